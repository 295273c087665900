/* Writing HTML: what a format holds is markup, what its arguments bring is text and is escaped. Streams keep their
 * own error, which whoever closes them checks. */
#ifndef KV_REPORT_PAGE_H
#define KV_REPORT_PAGE_H

#include <stdio.h>

/* Conversions: %s (escaped, for elements and for quoted attributes), %d, %zu and %%. */
__attribute__((format(printf, 2, 3))) void kv_page_print(FILE *page, const char *format, ...);

/* Text as it is written in notes: escaped, and what stands between two ` becomes <code>. */
void kv_page_print_note(FILE *page, const char *text);

/* Base64 of RFC 4648, on one line. */
void kv_page_print_base64(FILE *page, const unsigned char *bytes, size_t n);

/* The style sheet. */
void kv_page_print_style(FILE *page);

#endif
