#include "text/utf8.h"

#include <string.h>

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
