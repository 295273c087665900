/* Text for a terminal: whole characters out of tokens that end within one, and the end of a text as lines of a column.
 */
#ifndef KV_TEXT_TERMINAL_H
#define KV_TEXT_TERMINAL_H

#include "base/utf8.h"

#include <stdio.h>

/* ---- Whole characters -------------------------------------------------------------------------------- */

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

/* ---- A column ---------------------------------------------------------------------------------------- */

/* A line of a text: `n_bytes` of it from `start` on, which take `columns` of the screen. */
struct kv_pane_line {
    size_t start, n_bytes;
    int columns;
};

/* Breaks text [n_bytes] into lines of at most `width` >= 2 columns, at spaces where there are some, and keeps the last
 * max_lines >= 1 of them in lines [max_lines]. Returns how many those are; an empty text has one, empty line. */
int kv_pane_break(const char *text, size_t n_bytes, int width, struct kv_pane_line *lines, int max_lines);

/* Writes one such line so that it moves no cursor but to the right: control characters become spaces, and bytes that
 * are no character U+FFFD. The beginning of a character at the text's end is left out. */
void kv_pane_write(FILE *stream, const char *text, const struct kv_pane_line *line);

#endif
