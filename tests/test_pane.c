/* Text in lines for a part of the screen: where they break, how wide they are, and what never reaches the terminal. */
#include "support.h"

#include "text/pane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static void test_breaks(void **state)
{
    (void)state;
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

static void test_last_lines(void **state)
{
    (void)state;
    assert_lines("a\nb\nc\nd", 10, 2, "c|d|");
    assert_lines("a\nb\nc\nd", 10, 1, "d|");
    assert_lines("one two three four", 5, 2, "three|four|");
}

static void test_widths(void **state)
{
    (void)state;
    assert_lines("\xc3\xa9\xc3\xa9\xc3\xa9", 2, 5, "\xc3\xa9\xc3\xa9|\xc3\xa9|");
    assert_lines("\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e", 5, 5, "\xe6\x97\xa5\xe6\x9c\xac|\xe8\xaa\x9e|");
    assert_lines("e\xcc\x81"
                 "e\xcc\x81",
                 2, 5,
                 "e\xcc\x81"
                 "e\xcc\x81|");
}

/* No escape sequence of a text can move the cursor, and a character that is not whole yet waits. */
static void test_what_is_not_written(void **state)
{
    (void)state;
    assert_lines("a\033[2Jb\tc\rd\x7f"
                 "e\xc2\x9b"
                 "f",
                 40, 5, "a [2Jb c d e f|");
    assert_lines("a\xff\xc3(", 40, 5, "a\xef\xbf\xbd\xef\xbf\xbd(|");
    assert_lines("a\xe2\x82", 40, 5, "a|");
    assert_lines("\xe2\x82", 40, 5, "|");
}

/* Any bytes at any width: nothing is lost but the spaces and newlines that lines break at. */
static void test_any_bytes(void **state)
{
    static const char likely[] = "aaaa bc \n\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80\xff";
    uint64_t random = 3;
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_breaks),    cmocka_unit_test(test_last_lines),
        cmocka_unit_test(test_widths),    cmocka_unit_test(test_what_is_not_written),
        cmocka_unit_test(test_any_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
