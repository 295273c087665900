/* Whole UTF-8 characters out of bytes that come a few at a time. Well-formed is what Unicode's table 3-7 says: no
 * overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef KV_TEXT_UTF8_H
#define KV_TEXT_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length, 1..4, of the character that bytes [n] begin with; 0 when they are the beginning of one and there are no more
 * of them, or n is 0; -1 when no character begins so. */
int kv_utf8_length(const char *bytes, size_t n);

/* The number of the character of that length, 1..4, which is well-formed. */
uint32_t kv_utf8_code_point(const char *bytes, int length);

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
