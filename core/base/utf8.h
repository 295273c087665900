/* UTF-8 as Unicode's table 3-7 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef KV_BASE_UTF8_H
#define KV_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* Length, 1..4, of the character that bytes [n] begin with; 0 when they are the beginning of one and there are no more
 * of them, or n is 0; -1 when no character begins so. */
int kv_utf8_length(const char *bytes, size_t n);

/* The number of the character of that length, 1..4, which is well-formed. */
uint32_t kv_utf8_code_point(const char *bytes, int length);

#endif
