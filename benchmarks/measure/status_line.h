/* One line on stderr that is drawn over while something goes on. It never wraps: what is wider than the terminal is cut
 * at its end. For one thread at a time. */
#ifndef KV_MEASURE_STATUS_LINE_H
#define KV_MEASURE_STATUS_LINE_H

#include <stdbool.h>

/* Whether stderr is a terminal that can draw over a line; a log, a pipe and TERM=dumb are none. */
bool kv_status_line_possible(void);

/* Columns of that terminal: its own size, else COLUMNS, else 80. */
int kv_status_line_width(void);

/* Draws `text`, UTF-8, over the line before; `stays`: the next one is drawn below it. */
void kv_status_line(const char *text, bool stays);

/* Wipes it out. */
void kv_status_line_end(void);

#endif
