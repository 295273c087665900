/* Lists of numbers and of token ids, as options take them. */
#include "cli/cli.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

TEST(numbers_and_ranges)
{
    static const struct {
        const char *text;
        int n, values[9];
    } cases[] = {
        {"4", 1, {4}},
        {"007", 1, {7}},
        {"1,2,8", 3, {1, 2, 8}},
        {"8,2,8", 3, {8, 2, 8}},
        {"2147483647", 1, {2147483647}},
        {"1-4", 4, {1, 2, 3, 4}},
        {"3-3", 1, {3}},
        {"1-32*2", 6, {1, 2, 4, 8, 16, 32}},
        {"1-31*2", 5, {1, 2, 4, 8, 16}},
        {"3-100*5", 3, {3, 15, 75}},
        {"64-256+64", 4, {64, 128, 192, 256}},
        {"64-255+64", 3, {64, 128, 192}},
        {"5-6+100", 1, {5}},
        {"1,2-8*2,10-12,9", 8, {1, 2, 4, 8, 10, 11, 12, 9}},
        {"1-2147483647*2147483647", 2, {1, 2147483647}},
        {"2147483645-2147483647+2", 2, {2147483645, 2147483647}},
        {"2147483646-2147483647*2", 1, {2147483646}},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct int_list list = {0};
        if (!int_list_parse(cases[i].text, &list, &error))
            fail_msg("'%s': %s", cases[i].text, error.message);
        assert_int_equal(list.n, cases[i].n);
        assert_memory_equal(list.values, cases[i].values, (size_t)list.n * sizeof *list.values);
        int_list_free(&list);
        assert_null(list.values);
    }
}

TEST(longest_list)
{
    struct int_list list = {0};
    assert_true(int_list_parse("1-100000", &list, &error));
    assert_int_equal(list.n, 100000);
    assert_int_equal(list.values[99999], 100000);
    assert_false(int_list_parse("1-100001", &list, &error));
    assert_int_equal(list.n, 100000);
    int_list_free(&list);
}

/* Refused with a line that quotes it; what the option had before stays. */
static void assert_no_numbers(const char *text)
{
    struct int_list list = {0};
    assert_true(int_list_parse("3,4", &list, &error));
    if (int_list_parse(text, &list, &error))
        fail_msg("'%s' was taken for %d numbers", text, list.n);
    assert_non_null(strstr(error.message, text));
    assert_null(strchr(error.message, '\n'));
    assert_int_equal(list.n, 2);
    assert_int_equal(list.values[1], 4);
    int_list_free(&list);
}

TEST(bad_numbers)
{
    static const char *const texts[] = {"",
                                        "0",
                                        "-1",
                                        "+1",
                                        " 1",
                                        "1 ",
                                        "x",
                                        "1x",
                                        "1.5",
                                        ",",
                                        "1,",
                                        ",1",
                                        "1,,2",
                                        "1-",
                                        "-",
                                        "4-3",
                                        "1-4-8",
                                        "1-8*",
                                        "1-8*1",
                                        "1-8*0",
                                        "1-8*-2",
                                        "1-8+",
                                        "1-8+0",
                                        "1-8+x",
                                        "1-x",
                                        "4*2",
                                        "4+2",
                                        "1;2",
                                        "1-8*2+1",
                                        "2147483648",
                                        "1-2147483648",
                                        "1-8/2",
                                        "0x10",
                                        "1-2,0",
                                        "1-8*2147483648",
                                        "99999999999999999999"};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_no_numbers(texts[i]);
}

static void assert_rows(const char *text, int batch, int length, const int32_t *expected)
{
    struct token_rows rows = {0};
    if (!token_rows_parse(text, &rows, &error))
        fail_msg("'%s': %s", text, error.message);
    assert_int_equal(rows.batch, batch);
    assert_int_equal(rows.length, length);
    assert_memory_equal(rows.tokens, expected, (size_t)batch * (size_t)length * sizeof *expected);
    token_rows_free(&rows);
    assert_null(rows.tokens);
}

TEST(rows)
{
    assert_rows("5", 1, 1, (const int32_t[]){5});
    assert_rows("0,2147483647", 1, 2, (const int32_t[]){0, 2147483647});
    assert_rows("1,2,3;4,5,6", 2, 3, (const int32_t[]){1, 2, 3, 4, 5, 6});
    assert_rows("7;8;9", 3, 1, (const int32_t[]){7, 8, 9});
}

static void assert_no_rows(const char *text, const char *reason)
{
    struct token_rows rows = {0};
    assert_true(token_rows_parse("1,2;3,4", &rows, &error));
    if (token_rows_parse(text, &rows, &error))
        fail_msg("'%s' was taken for [%d, %d] ids", text, rows.batch, rows.length);
    assert_non_null(strstr(error.message, text));
    assert_non_null(strstr(error.message, reason));
    assert_null(strchr(error.message, '\n'));
    assert_int_equal(rows.batch, 2);
    assert_int_equal(rows.tokens[3], 4);
    token_rows_free(&rows);
}

TEST(bad_rows)
{
    static const char *const not_ids[] = {"",    ",",    ";",    "1,",  ",1",   "1,,2",       "1;",
                                          ";1",  "1;;2", "1,2;", "1 2", "-1",   "1,-1",       "1.5",
                                          "1e3", "x,1",  "1,x",  "0x1", "1, 2", "2147483648", "99999999999999999999"};
    static const char *const ragged[] = {"1,2;3", "1;2,3", "1,2;3,4;5", "1;2;3,4"};
    for (size_t i = 0; i < sizeof not_ids / sizeof not_ids[0]; i++)
        assert_no_rows(not_ids[i], "is not token ids");
    for (size_t i = 0; i < sizeof ragged / sizeof ragged[0]; i++)
        assert_no_rows(ragged[i], "differ in length");
}
