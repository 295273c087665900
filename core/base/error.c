#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>

kv_status kv_fail(struct kv_error *error, kv_status status, const char *format, ...)
{
    if (error) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
        /* Names come from files: a newline or an escape sequence in one must not reach the person's terminal. */
        for (char *c = error->message; *c; c++)
            *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    }
    return status;
}
