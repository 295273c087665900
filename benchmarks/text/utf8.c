#include "text/utf8.h"

#include <string.h>

/* By their first byte: how long such characters are, and between which bounds the second byte lies. */
static const struct row {
    unsigned char first, last;
    int length;
    unsigned char second_low, second_high;
} rows[] = {
    {0x00, 0x7f, 1, 0x00, 0x00}, {0xc2, 0xdf, 2, 0x80, 0xbf}, {0xe0, 0xe0, 3, 0xa0, 0xbf},
    {0xe1, 0xec, 3, 0x80, 0xbf}, {0xed, 0xed, 3, 0x80, 0x9f}, {0xee, 0xef, 3, 0x80, 0xbf},
    {0xf0, 0xf0, 4, 0x90, 0xbf}, {0xf1, 0xf3, 4, 0x80, 0xbf}, {0xf4, 0xf4, 4, 0x80, 0x8f},
};

static const struct row *find_row(unsigned char first)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (first >= rows[i].first && first <= rows[i].last)
            return &rows[i];
    return NULL;
}

int kv_utf8_length(const char *bytes, size_t n)
{
    if (n == 0)
        return 0;
    const struct row *row = find_row((unsigned char)bytes[0]);
    if (!row)
        return -1;
    for (int i = 1; i < row->length; i++) {
        if ((size_t)i == n)
            return 0;
        const unsigned char byte = (unsigned char)bytes[i];
        if (byte < (i == 1 ? row->second_low : 0x80) || byte > (i == 1 ? row->second_high : 0xbf))
            return -1;
    }
    return row->length;
}

uint32_t kv_utf8_code_point(const char *bytes, int length)
{
    static const unsigned char first_bits[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    uint32_t code = (unsigned char)bytes[0] & first_bits[length];
    for (int i = 1; i < length; i++)
        code = code << 6 | ((unsigned char)bytes[i] & 0x3f);
    return code;
}

int kv_utf8_take(struct kv_utf8_holder *holder, char byte, char *out)
{
    int n_out = 0;
    holder->held[holder->n_held++] = byte;
    if (holder->n_held > 1 && kv_utf8_length(holder->held, (size_t)holder->n_held) < 0) {
        holder->n_held--; /* they never become a character; the new byte may begin one */
        n_out = kv_utf8_rest(holder, out);
        holder->held[holder->n_held++] = byte;
    }
    if (kv_utf8_length(holder->held, (size_t)holder->n_held) != 0)
        n_out += kv_utf8_rest(holder, out + n_out);
    return n_out;
}

int kv_utf8_rest(struct kv_utf8_holder *holder, char *out)
{
    const int n = holder->n_held;
    memcpy(out, holder->held, (size_t)n);
    holder->n_held = 0;
    return n;
}
