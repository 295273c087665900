/* The end of a text as lines for a part of a terminal's screen. */
#ifndef KV_TEXT_PANE_H
#define KV_TEXT_PANE_H

#include <stddef.h>
#include <stdio.h>

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
