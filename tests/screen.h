/* A terminal's screen, as far as this program uses one: what a person sees of the bytes that were written to it. */
#ifndef KV_TESTS_SCREEN_H
#define KV_TESTS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>

enum { SCREEN_WIDTH = 200, SCREEN_HEIGHT = 60 };

struct screen {
    int width, height;
    int column, row; /* of the cursor, from 0 */
    bool cursor_is_hidden;
    int n_wrapped; /* lines that went on in the next one while the cursor was hidden: a drawing that is no more right */
    int n_bold;    /* times that bold began */
    char cells[SCREEN_HEIGHT][SCREEN_WIDTH][5];            /* a character each, "" is a blank */
    char text[SCREEN_HEIGHT * (4 * SCREEN_WIDTH + 1) + 1]; /* what screen_text returns */
};

/* Empty, the cursor at its top left corner. */
void screen_clear(struct screen *screen, int width, int height);

/* Shows bytes [n]; fails the running test at a sequence that is none of those that are known. */
void screen_show(struct screen *screen, const char *bytes, size_t n);

/* All lines, without the blanks at their ends and the empty lines below; valid until the next call. */
const char *screen_text(struct screen *screen);

#endif
