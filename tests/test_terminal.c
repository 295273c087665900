/* Text for a terminal: whole characters out of bytes that come one at a time, and lines of a column: where they break,
 * how wide they are, and what never reaches the terminal. */
#include "unit.h"

#include "text/terminal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- A byte at a time ----------------------------------------------------------------------------------- */

/* Puts all bytes through a holder; `pieces` becomes what came out, with a | behind what came at once. */
static void take_all(const char *bytes, size_t n, char *pieces)
{
    struct kv_utf8_holder holder = {.n_held = 0};
    for (size_t i = 0; i < n; i++) {
        const int n_out = kv_utf8_take(&holder, bytes[i], pieces);
        assert_in_range(n_out, 0, 4);
        pieces += n_out;
        if (n_out)
            *pieces++ = '|';
    }
    const int n_rest = kv_utf8_rest(&holder, pieces);
    assert_in_range(n_rest, 0, 3);
    pieces[n_rest] = '\0';
    assert_int_equal(kv_utf8_rest(&holder, pieces + n_rest + 1), 0);
}

TEST(whole_characters)
{
    static const struct {
        const char *bytes, *pieces;
    } cases[] = {
        {"ab", "a|b|"},
        {"\xc3\xa9x", "\xc3\xa9|x|"},
        {"\xe2\x82\xac\xf0\x9f\x98\x80", "\xe2\x82\xac|\xf0\x9f\x98\x80|"},
        {"\x80z", "\x80|z|"},                        /* nothing continues nothing */
        {"\xc0\xaf", "\xc0|\xaf|"},                  /* overlong, of two */
        {"\xe0\x80\xaf", "\xe0\x80|\xaf|"},          /* of three */
        {"\xf0\x8f\xbf\xbf", "\xf0\x8f|\xbf|\xbf|"}, /* of four */
        {"\xed\xa0\x80", "\xed\xa0|\x80|"},          /* a surrogate */
        {"\xf4\x90\x80\x80", "\xf4\x90|\x80|\x80|"}, /* above U+10FFFF */
        {"\xf5\xff", "\xf5|\xff|"},                  /* never in UTF-8 */
        {"\xe2\x82z", "\xe2\x82z|"},                 /* cut off by a letter */
        {"\xe2\x82\xc3\xa9", "\xe2\x82|\xc3\xa9|"},  /* by another character */
        {"\xf0\x9f\x98\xf0\x9f\x98\x80", "\xf0\x9f\x98|\xf0\x9f\x98\x80|"},
        {"\xc3", "\xc3"}, /* by the end */
        {"\xf0\x9f\x98", "\xf0\x9f\x98"},
    };
    char pieces[64];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        take_all(cases[i].bytes, strlen(cases[i].bytes), pieces);
        assert_string_equal(pieces, cases[i].pieces);
    }
}

/* Any bytes come out as they went in, and what is out never ends within a character that may still become whole. */
TEST(any_bytes)
{
    static const unsigned char likely[] = {0x41, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80, 0xed, 0xf4};
    uint64_t random = 7;
    for (int round = 0; round < 2000; round++) {
        struct kv_utf8_holder holder = {.n_held = 0};
        char in[40], out[48];
        int n_out = 0;
        for (int i = 0; i < 40; i++) {
            in[i] = (char)(random_between(&random, 0, 9) ? likely[random_between(&random, 0, sizeof likely - 1)]
                                                         : random_between(&random, 0, 255));
            const int n = kv_utf8_take(&holder, in[i], out + n_out);
            n_out += n;
            assert_int_equal(n_out + holder.n_held, i + 1);
            assert_int_equal(kv_utf8_length(holder.held, (size_t)holder.n_held), 0);
        }
        n_out += kv_utf8_rest(&holder, out + n_out);
        assert_int_equal(n_out, 40);
        assert_memory_equal(out, in, 40);
    }
}

/* ---- A column -------------------------------------------------------------------------------------------- */

enum { MAX_LINES = 64 };

/* The lines as they would be written, each with a | behind it; for the caller to free. */
static char *lines_text(const char *text, size_t n, int width, int max_lines)
{
    struct kv_pane_line lines[MAX_LINES];
    char *written;
    size_t size;
    FILE *stream = open_memstream(&written, &size);
    assert_non_null(stream);
    const int n_lines = kv_pane_break(text, n, width, lines, max_lines);
    assert_in_range(n_lines, 1, max_lines);
    for (int i = 0; i < n_lines; i++) {
        assert_in_range(lines[i].columns, 0, width);
        kv_pane_write(stream, text, &lines[i]);
        fputc('|', stream);
    }
    fclose(stream);
    return written;
}

static void assert_lines(const char *text, int width, int max_lines, const char *expected)
{
    char *lines = lines_text(text, strlen(text), width, max_lines);
    assert_string_equal(lines, expected);
    free(lines);
}

TEST(breaks)
{
    assert_lines("", 10, 5, "|");
    assert_lines("in the beginning", 16, 5, "in the beginning|");
    assert_lines("in the beginning", 15, 5, "in the|beginning|");
    assert_lines("in the beginning", 6, 5, "in the|beginn|ing|");
    assert_lines("in the beginning", 5, 5, "in|the|begin|ning|");
    assert_lines("beginning", 4, 5, "begi|nnin|g|");
    assert_lines("a\nb\n\nc", 10, 5, "a|b||c|");
    assert_lines("a\n", 10, 5, "a||");
    assert_lines("abcd efgh", 4, 5, "abcd|efgh|");
    assert_lines(" abcdef", 4, 5, " abc|def|");
    assert_lines("ab  cd", 3, 5, "ab |cd|");
}

TEST(last_lines)
{
    assert_lines("a\nb\nc\nd", 10, 2, "c|d|");
    assert_lines("a\nb\nc\nd", 10, 1, "d|");
    assert_lines("one two three four", 5, 2, "three|four|");
}

TEST(column_widths)
{
    assert_lines("\xc3\xa9\xc3\xa9\xc3\xa9", 2, 5, "\xc3\xa9\xc3\xa9|\xc3\xa9|");
    assert_lines("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, 5, "\xe6\x97\xa5\xe6\x9c\xac|\xe8\xaa\x9e|");
    assert_lines("e\xcc\x81"
                 "e\xcc\x81",
                 2, 5,
                 "e\xcc\x81"
                 "e\xcc\x81|");
}

/* No escape sequence of a text can move the cursor, and a character that is not whole yet waits. */
TEST(what_is_not_written)
{
    assert_lines("a\033[2Jb\tc\rd\x7f"
                 "e\xc2\x9b"
                 "f",
                 40, 5, "a [2Jb c d e f|");
    assert_lines("a\xff\xc3(", 40, 5, "a\xef\xbf\xbd\xef\xbf\xbd(|");
    assert_lines("a\xe2\x82", 40, 5, "a|");
    assert_lines("\xe2\x82", 40, 5, "|");
}

/* Any bytes at any width: nothing is lost but the spaces and newlines that lines break at. */
TEST(any_bytes_in_lines)
{
    static const char likely[] = "aaaa bc \n\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\xff";
    uint64_t random = 3;
    for (int round = 0; round < 3000; round++) {
        struct kv_pane_line lines[MAX_LINES];
        char text[48];
        const size_t n = (size_t)random_between(&random, 0, sizeof text);
        for (size_t i = 0; i < n; i++)
            text[i] = likely[random_between(&random, 0, sizeof likely - 2)];
        const int width = random_between(&random, 2, 12);
        const int n_lines = kv_pane_break(text, n, width, lines, MAX_LINES);
        size_t at = 0;
        for (int i = 0; i < n_lines; i++) {
            assert_in_range(lines[i].columns, 0, width);
            assert_in_range(lines[i].start - at, 0, 1);
            if (lines[i].start > at)
                assert_non_null(memchr(" \n", text[at], 2));
            at = lines[i].start + lines[i].n_bytes;
        }
        assert_int_equal(at, n);
        free(lines_text(text, n, width, MAX_LINES));
    }
}
