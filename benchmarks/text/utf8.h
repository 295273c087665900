/* Whole UTF-8 characters out of bytes that come a few at a time. */
#ifndef KV_TEXT_UTF8_H
#define KV_TEXT_UTF8_H

#include "base/utf8.h"

/* The beginning of a character that waits for its end; all zero: none. */
struct kv_utf8_holder {
    char held[4];
    int n_held; /* 0..3 */
};

/* Takes one more byte and puts into out [4] what need wait no longer: a whole character, or bytes that can become none.
 * Returns how many, 0..4. What comes out is what went in, in the same order. */
int kv_utf8_take(struct kv_utf8_holder *holder, char byte, char *out);

/* The bytes that still wait, when no more will come: into out [4], returns how many. */
int kv_utf8_rest(struct kv_utf8_holder *holder, char *out);

#endif
