#include "screen.h"

#include "support.h"

#include "text/terminal.h"

#include <stdlib.h>
#include <string.h>

void screen_clear(struct screen *s, int width, int height)
{
    memset(s, 0, sizeof *s);
    assert_in_range(width, 1, SCREEN_WIDTH);
    assert_in_range(height, 1, SCREEN_HEIGHT);
    s->width = width;
    s->height = height;
}

static void line_feed(struct screen *s)
{
    if (s->row < s->height - 1) {
        s->row++;
        return;
    }
    memmove(s->cells[0], s->cells[1], (size_t)(s->height - 1) * sizeof s->cells[0]);
    memset(s->cells[s->height - 1], 0, sizeof s->cells[0]);
}

static void wrap(struct screen *s)
{
    s->n_wrapped += s->cursor_is_hidden;
    s->column = 0;
    line_feed(s);
}

/* ESC [ parameters final */
static void control(struct screen *s, const char *parameters, char final)
{
    const int number = *parameters ? atoi(parameters) : 1;
    const bool is_cursor = strcmp(parameters, "?25") == 0;
    if (final == 'A') {
        assert_in_range(number, 1, s->row); /* further up there is nothing of the program's */
        s->row -= number;
    } else if (final == 'G') {
        assert_in_range(number, 1, s->width);
        s->column = number - 1;
    } else if (final == 'K' && !*parameters) {
        memset(s->cells[s->row][s->column], 0, (size_t)(s->width - s->column) * sizeof s->cells[0][0]);
    } else if (final == 'J' && number == 2) {
        memset(s->cells, 0, sizeof s->cells);
    } else if (final == 'H' && !*parameters) {
        s->row = s->column = 0;
    } else if (final == 'm' && (number == 1 || strcmp(parameters, "0") == 0)) {
        s->n_bold += strcmp(parameters, "1") == 0;
    } else if (is_cursor && (final == 'l' || final == 'h')) {
        s->cursor_is_hidden = final == 'l';
    } else {
        fail_msg("ESC [ %s %c is not known", parameters, final);
    }
}

/* Returns how many bytes the sequence has. */
static size_t escape(struct screen *s, const char *bytes, size_t n)
{
    char parameters[16] = "";
    assert_true(n > 2 && bytes[1] == '[');
    const size_t length = strspn(bytes + 2, "0123456789;?");
    assert_true(length < sizeof parameters && length + 2 < n);
    memcpy(parameters, bytes + 2, length);
    control(s, parameters, bytes[2 + length]);
    return length + 3;
}

void screen_show(struct screen *s, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        const int length = kv_utf8_length(bytes + at, n - at);
        if (bytes[at] == '\033') {
            at += escape(s, bytes + at, n - at);
            continue;
        }
        if (bytes[at] == '\r') {
            s->column = 0;
        } else if (bytes[at] == '\n') {
            line_feed(s);
        } else {
            assert_in_range(length, 1, 4);
            assert_true((unsigned char)bytes[at] >= ' ');
            if (s->column == s->width)
                wrap(s);
            char *cell = s->cells[s->row][s->column++];
            memcpy(cell, bytes + at, (size_t)length);
            cell[length] = '\0';
        }
        at += (size_t)length;
    }
}

const char *screen_text(struct screen *s)
{
    char *out = s->text;
    for (int row = 0; row < s->height; row++) {
        char *end = out;
        for (int column = 0; column < s->width; column++) {
            const char *cell = s->cells[row][column];
            const size_t length = *cell ? strlen(cell) : 1;
            memcpy(out, *cell ? cell : " ", length);
            out += length;
            if (*cell && *cell != ' ')
                end = out;
        }
        out = end;
        *out++ = '\n';
    }
    while (out > s->text + 1 && out[-2] == '\n')
        out--;
    *out = '\0';
    return s->text;
}
