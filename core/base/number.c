#include "base/number.h"

#include <math.h>
#include <stdlib.h>

/* The end of the digits at `text`. */
static const char *skip_digits(const char *text)
{
    while (*text >= '0' && *text <= '9')
        text++;
    return text;
}

bool kv_number_whole(const char **text, uint64_t low, uint64_t high, uint64_t *number)
{
    const char *end = skip_digits(*text);
    uint64_t value = 0;
    for (const char *c = *text; c < end; c++)
        if (__builtin_mul_overflow(value, 10, &value) || __builtin_add_overflow(value, (uint64_t)(*c - '0'), &value))
            return false;
    if (end == *text || value < low || value > high)
        return false;
    *text = end;
    *number = value;
    return true;
}

/* The end of the decimal number at `text`; NULL: there is none. */
static const char *skip_decimal(const char *text)
{
    const char *end = skip_digits(text), *more;
    if (end == text)
        return NULL;
    if (*end == '.') {
        more = skip_digits(end + 1);
        if (more == end + 1)
            return NULL;
        end = more;
    }
    if (*end == 'e' || *end == 'E') {
        const char *digits = end + 1 + (end[1] == '+' || end[1] == '-');
        more = skip_digits(digits);
        if (more == digits)
            return NULL;
        end = more;
    }
    return end;
}

/* strtod takes every number of the grammar whole; what follows one, as the x of "0x1", is no part of it. */
bool kv_number_decimal(const char **text, double low, double high, double *number)
{
    const char *end = skip_decimal(*text + (**text == '-' && low < 0));
    char *taken;
    if (!end)
        return false;
    const double value = strtod(*text, &taken);
    if (taken != end || !isfinite(value) || !(value >= low && value <= high))
        return false;
    *text = end;
    *number = value;
    return true;
}
