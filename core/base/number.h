/* The one grammar of numbers in options, lists and files. A whole number is decimal digits. A decimal one is digits,
 * perhaps a point and digits, perhaps an exponent: "12", "0.5", "1e-3". There are no spaces, plus signs (but in an
 * exponent), hexadecimal digits or names such as "inf"; a minus sign only where numbers below 0 are allowed. */
#ifndef KV_BASE_NUMBER_H
#define KV_BASE_NUMBER_H

#include <stdbool.h>
#include <stdint.h>

/* Reads the number at *text, which then points behind it. False: there is none of low..high, and nothing was changed. */
bool kv_number_whole(const char **text, uint64_t low, uint64_t high, uint64_t *number);
bool kv_number_decimal(const char **text, double low, double high, double *number);

#endif
