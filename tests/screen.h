/* A terminal's screen (libvterm): what a person sees of the bytes that were written to it. */
#ifndef KV_TESTS_SCREEN_H
#define KV_TESTS_SCREEN_H

#include <stdbool.h>
#include <stddef.h>
#include <vterm.h>

enum { SCREEN_WIDTH = 200, SCREEN_HEIGHT = 60 };

struct screen {
    VTerm *terminal; /* one column wider than `width`, which only what does not fit reaches */
    int width, height;
    bool cursor_is_hidden;
    bool was_too_narrow; /* while the cursor was hidden: a drawing that is no more right */
    int n_bold;          /* characters, of what screen_text returned last */
    char text[SCREEN_HEIGHT * (4 * SCREEN_WIDTH + 1) + 1];
};

/* Empty, the cursor at its top left corner. screen_free before the memory goes; all 0 is a screen, too. */
void screen_clear(struct screen *screen, int width, int height);
void screen_free(struct screen *screen);

/* Shows bytes [n]; fails the running test at what is no UTF-8, a control character or a sequence that is not known. */
void screen_show(struct screen *screen, const char *bytes, size_t n);

/* All lines, without the blanks at their ends and the empty lines below; valid until the next call. */
const char *screen_text(struct screen *screen);

#endif
