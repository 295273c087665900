/* An SVG file as a part of an HTML page. */
#ifndef KV_REPORT_SVG_H
#define KV_REPORT_SVG_H

#include <stdio.h>

/* Writes the drawing in `text` without what only a file of its own needs (prolog, namespaces, title). Every id, and
 * every reference to one, gets `prefix`, so that drawings with different prefixes share a page; `label` says to
 * screen readers what it shows.
 * Returns NULL, or, when it is not one whole SVG element or holds more than a drawing (a script, a handler, a
 * reference to another file), what is wrong, a constant; part of it may have been written then. */
const char *kv_svg_print(FILE *page, const char *text, const char *prefix, const char *label);

#endif
