#include "text/terminal.h"

#include <stdbool.h>
#include <string.h>

int kv_utf8_take(struct kv_utf8_holder *holder, char byte, char *out)
{
    int n_out = 0;
    holder->held[holder->n_held++] = byte;
    if (holder->n_held > 1 && kv_utf8_length(holder->held, (size_t)holder->n_held) < 0) {
        holder->n_held--; /* they never become a character; the new byte may begin one */
        n_out = kv_utf8_rest(holder, out);
        holder->held[holder->n_held++] = byte;
    }
    if (kv_utf8_length(holder->held, (size_t)holder->n_held) != 0)
        n_out += kv_utf8_rest(holder, out + n_out);
    return n_out;
}

int kv_utf8_rest(struct kv_utf8_holder *holder, char *out)
{
    const int n = holder->n_held;
    memcpy(out, holder->held, (size_t)n);
    holder->n_held = 0;
    return n;
}

/* ---- A column ---------------------------------------------------------------------------------------- */

/* Blocks of characters that are not one column wide. Coarse: the next column is reached by its number, so that a
 * mistake costs no more than a space. */
static const struct block {
    uint32_t first, last;
    int columns;
} blocks[] = {
    {0x0300, 0x036f, 0}, {0x1100, 0x115f, 2},   {0x200b, 0x200f, 0},   {0x20d0, 0x20ff, 0},   {0x2e80, 0xa4cf, 2},
    {0xac00, 0xd7a3, 2}, {0xf900, 0xfaff, 2},   {0xfe00, 0xfe0f, 0},   {0xfe30, 0xfe6f, 2},   {0xff00, 0xff60, 2},
    {0xffe0, 0xffe6, 2}, {0x1f300, 0x1f64f, 2}, {0x1f680, 0x1f6ff, 2}, {0x1f900, 0x1faff, 2}, {0x20000, 0x3fffd, 2},
};

static bool is_control(uint32_t code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0);
}

static int columns_of(uint32_t code)
{
    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++)
        if (code >= blocks[i].first && code <= blocks[i].last)
            return blocks[i].columns;
    return 1;
}

/* What stands at the beginning of bytes [n], n >= 1: a character, a byte that is none, or the beginning of one. */
struct piece {
    int n_bytes;
    int columns;
    const char *in_place_of_it; /* NULL: it may be written as it is */
};

static struct piece next_piece(const char *bytes, size_t n)
{
    const int length = kv_utf8_length(bytes, n);
    if (length == 0)
        return (struct piece){(int)n, 0, ""};
    if (length < 0)
        return (struct piece){1, 1, "\xef\xbf\xbd"};
    const uint32_t code = kv_utf8_code_point(bytes, length);
    return (struct piece){length, columns_of(code), is_control(code) ? " " : NULL};
}

/* The last lines of a text, while it is broken. */
struct breaking {
    struct kv_pane_line *lines;
    int n, max;
};

static void add_line(struct breaking *b, size_t start, size_t end, int columns)
{
    if (b->n == b->max)
        memmove(b->lines, b->lines + 1, (size_t)--b->n * sizeof *b->lines);
    b->lines[b->n++] = (struct kv_pane_line){start, end - start, columns};
}

int kv_pane_break(const char *text, size_t n_bytes, int width, struct kv_pane_line *lines, int max_lines)
{
    struct breaking b = {lines, 0, max_lines};
    size_t start = 0, space = 0; /* of this line: where it starts, and its last space; space <= start: none */
    int columns = 0, before_space = 0;
    for (size_t at = 0; at < n_bytes;) {
        const struct piece piece = next_piece(text + at, n_bytes - at);
        const bool breaks = text[at] == '\n', is_space = text[at] == ' ';
        if (breaks || (columns + piece.columns > width && is_space)) {
            add_line(&b, start, at, columns);
            start = ++at;
            columns = 0;
            continue;
        }
        if (columns + piece.columns > width && space > start) {
            add_line(&b, start, space, before_space);
            start = space + 1;
            columns -= before_space + 1;
        } else if (columns + piece.columns > width) {
            add_line(&b, start, at, columns);
            start = at;
            columns = 0;
        }
        if (is_space) {
            space = at;
            before_space = columns;
        }
        columns += piece.columns;
        at += (size_t)piece.n_bytes;
    }
    add_line(&b, start, n_bytes, columns);
    return b.n;
}

void kv_pane_write(FILE *stream, const char *text, const struct kv_pane_line *line)
{
    const char *at = text + line->start, *end = at + line->n_bytes;
    while (at < end) {
        const struct piece piece = next_piece(at, (size_t)(end - at));
        if (piece.in_place_of_it)
            fputs(piece.in_place_of_it, stream);
        else
            fwrite(at, 1, (size_t)piece.n_bytes, stream);
        at += piece.n_bytes;
    }
}
