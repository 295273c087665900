/* CSV files: what is written is read back by Python's csv module, what that module writes is read back by us,
 * and a writer that is killed leaves whole rows. */
#include "run_folder.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "results/csv.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof *(array)))

static const char *const columns[] = {"run_id", "note", "count", "time_ms"};

/* ---- Files -------------------------------------------------------------------------------------- */

/* In the test's folder. */
static const char *file_of(void **state)
{
    static char file[512];
    snprintf(file, sizeof file, "%s/rows.csv", (char *)*state);
    return file;
}

static void put(const char *file, const char *bytes, size_t n)
{
    FILE *stream = fopen(file, "w");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

static void put_text(const char *file, const char *text)
{
    put(file, text, strlen(text));
}

static void assert_contents(const char *file, const char *expected)
{
    char contents[4096];
    FILE *stream = fopen(file, "r");
    assert_non_null(stream);
    contents[fread(contents, 1, sizeof contents - 1, stream)] = '\0';
    fclose(stream);
    assert_string_equal(contents, expected);
}

static off_t size_of(const char *file)
{
    struct stat information;
    return stat(file, &information) == 0 ? information.st_size : -1;
}

/* What `check_csv.py COMMAND FILE [ROWS]` prints, without its newline. */
static void python(const char *command, const char *file, const char *rows, char *output, size_t n_output)
{
    char line[2048];
    const int n = snprintf(line, sizeof line, "'%s' '%s' %s '%s' %s%s%s", KV_PYTHON, KV_CHECK_CSV, command, file,
                           rows ? "'" : "", rows ? rows : "", rows ? "'" : "");
    assert_in_range(n, 1, sizeof line - 1);
    FILE *stream = popen(line, "r");
    assert_non_null(stream);
    output[fread(output, 1, n_output - 1, stream)] = '\0';
    output[strcspn(output, "\n")] = '\0';
    assert_int_equal(pclose(stream), 0);
}

/* ---- Writing ------------------------------------------------------------------------------------ */

static struct kv_csv_writer *append(const char *file)
{
    struct kv_csv_writer *writer;
    struct kv_error error = {""};
    if (kv_csv_append(&writer, file, columns, COUNT(columns), &error) != KV_OK)
        fail_msg("%s", error.message);
    return writer;
}

static kv_status add_row(struct kv_csv_writer *writer, const char *id, const char *note, int64_t count, double time)
{
    kv_csv_add_text(writer, id);
    kv_csv_add_text(writer, note);
    kv_csv_add_integer(writer, count);
    kv_csv_add_double(writer, time);
    return kv_csv_end_row(writer, NULL);
}

static void test_fields_as_python_reads_them(void **state)
{
    struct kv_csv_writer *writer = append(file_of(state));
    assert_int_equal(add_row(writer, "plain", "", 0, 0), KV_OK);
    assert_int_equal(add_row(writer, "a,b", "say \"no\"", INT64_MIN, -1.0 / 3), KV_OK);
    assert_int_equal(add_row(writer, "\"", ",", INT64_MAX, 123456789), KV_OK);
    assert_int_equal(add_row(writer, "one\ntwo\r\nthree", " é µs ", -1, 1e-300), KV_OK);
    assert_int_equal(add_row(writer, NULL, "infinite", 1, INFINITY), KV_OK);
    assert_int_equal(add_row(writer, "unknown", "'", 1, NAN), KV_OK);
    kv_csv_add_text(writer, "unknown");
    for (int i = 1; i < COUNT(columns); i++)
        kv_csv_add_unknown(writer);
    assert_int_equal(kv_csv_end_row(writer, NULL), KV_OK);
    kv_csv_close(writer);

    char rows[2048];
    python("read", file_of(state), NULL, rows, sizeof rows);
    assert_string_equal(rows, "[[\"run_id\", \"note\", \"count\", \"time_ms\"], "
                              "[\"plain\", \"\", \"0\", \"0\"], "
                              "[\"a,b\", \"say \\\"no\\\"\", \"-9223372036854775808\", \"-0.333333333\"], "
                              "[\"\\\"\", \",\", \"9223372036854775807\", \"123456789\"], "
                              "[\"one two  three\", \" é µs \", \"-1\", \"1e-300\"], "
                              "[\"\", \"infinite\", \"1\", \"\"], "
                              "[\"unknown\", \"'\", \"1\", \"\"], "
                              "[\"unknown\", \"\", \"\", \"\"]]");
}

static void test_bytes_on_disk(void **state)
{
    struct kv_csv_writer *writer = append(file_of(state));
    assert_contents(file_of(state), "run_id,note,count,time_ms\n");
    assert_int_equal(add_row(writer, "1", "a,\"b\"", 2, 0.5), KV_OK);
    /* On disk before the file is closed. */
    assert_contents(file_of(state), "run_id,note,count,time_ms\n1,\"a,\"\"b\"\"\",2,0.5\n");
    kv_csv_close(writer);
}

static void test_header_is_written_once(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct kv_csv_writer *writer = append(file_of(state));
        assert_int_equal(add_row(writer, "r", NULL, i, NAN), KV_OK);
        kv_csv_close(writer);
    }
    assert_contents(file_of(state), "run_id,note,count,time_ms\nr,,0,\nr,,1,\nr,,2,\n");
}

static void test_one_empty_column_is_no_blank_line(void **state)
{
    static const char *const single[] = {"note"};
    struct kv_csv_writer *writer;
    char rows[256];
    assert_int_equal(kv_csv_append(&writer, file_of(state), single, 1, NULL), KV_OK);
    kv_csv_add_unknown(writer);
    assert_int_equal(kv_csv_end_row(writer, NULL), KV_OK);
    kv_csv_close(writer);
    python("read", file_of(state), NULL, rows, sizeof rows);
    assert_string_equal(rows, "[[\"note\"], [\"\"]]");
}

static void test_row_of_the_wrong_length_is_dropped(void **state)
{
    struct kv_csv_writer *writer = append(file_of(state));
    struct kv_error error;
    kv_csv_add_text(writer, "short");
    assert_int_equal(kv_csv_end_row(writer, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "1 fields"));
    for (int i = 0; i < 5; i++)
        kv_csv_add_integer(writer, i);
    assert_int_equal(kv_csv_end_row(writer, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_csv_end_row(writer, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(add_row(writer, "whole", NULL, 4, 4), KV_OK);
    kv_csv_close(writer);
    assert_contents(file_of(state), "run_id,note,count,time_ms\nwhole,,4,4\n");
}

static void assert_append_fails(const char *file, kv_status expected, const char *hint)
{
    struct kv_csv_writer *writer;
    struct kv_error error = {""};
    assert_int_equal(kv_csv_append(&writer, file, columns, COUNT(columns), &error), expected);
    assert_null(writer);
    assert_non_null(strstr(error.message, file));
    assert_non_null(strstr(error.message, hint));
}

static void test_another_header_is_an_error(void **state)
{
    static const char *const others[] = {
        "run_id,note,count\n1,2,3\n",
        "run_id,note,count,time_ms,error\n",
        "note,run_id,count,time_ms\nx,y,1,2\ntorn",
        "a letter to my aunt",
    };
    for (int i = 0; i < COUNT(others); i++) {
        put_text(file_of(state), others[i]);
        assert_append_fails(file_of(state), KV_ERROR_FORMAT, "header");
        assert_contents(file_of(state), others[i]);
    }
}

static void test_files_that_cannot_be_written(void **state)
{
    struct kv_csv_writer *writer;
    assert_append_fails(*state, KV_ERROR_IO, "directory");
    assert_append_fails("/dev/null", KV_ERROR_IO, "regular file");
    assert_append_fails("/nonexistent/rows.csv", KV_ERROR_IO, "No such file");
    assert_int_equal(kv_csv_append(&writer, file_of(state), columns, 0, NULL), KV_ERROR_ARGUMENT);
    assert_null(writer);
    kv_csv_close(NULL);
}

static void test_one_writer_at_a_time(void **state)
{
    struct kv_csv_writer *writer = append(file_of(state));
    assert_append_fails(file_of(state), KV_ERROR_IO, "another process");
    kv_csv_close(writer);
    kv_csv_close(append(file_of(state)));
}

/* ---- Rows that were cut ------------------------------------------------------------------------- */

static void test_torn_line_is_cut_off(void **state)
{
    static const char whole[] = "run_id,note,count,time_ms\nr,\"a,b\",1,2\n";
    static const char *const torn[] = {"r", "r,\"open quote, ", "r,x,1,2"};
    char contents[128];
    for (int i = 0; i < COUNT(torn); i++) {
        snprintf(contents, sizeof contents, "%s%s", whole, torn[i]);
        put_text(file_of(state), contents);
        kv_csv_close(append(file_of(state)));
        assert_contents(file_of(state), whole);
    }
}

static void test_torn_header_is_written_again(void **state)
{
    static const char *const torn[] = {"", "r", "run_id,note,count,time_ms"};
    for (int i = 0; i < COUNT(torn); i++) {
        put_text(file_of(state), torn[i]);
        kv_csv_close(append(file_of(state)));
        assert_contents(file_of(state), "run_id,note,count,time_ms\n");
    }
}

static void test_torn_line_longer_than_a_block(void **state)
{
    static const char whole[] = "run_id,note,count,time_ms\nr,,1,2\n";
    const size_t n = sizeof whole - 1 + 3 * 4096;
    char *contents = malloc(n);
    assert_non_null(contents);
    memset(contents, 'x', n);
    memcpy(contents, whole, sizeof whole - 1);
    put(file_of(state), contents, n);
    free(contents);
    kv_csv_close(append(file_of(state)));
    assert_contents(file_of(state), whole);
}

static void test_full_disk_leaves_whole_rows(void **state)
{
    struct kv_csv_writer *writer = append(file_of(state));
    struct rlimit limit, small;
    struct kv_error error = {""};
    assert_int_equal(add_row(writer, "before", NULL, 1, 1), KV_OK);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    small = limit;
    small.rlim_cur = (rlim_t)size_of(file_of(state)) + 10;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    for (int i = 0; i < COUNT(columns); i++)
        kv_csv_add_text(writer, "does not fit");
    const kv_status refused = kv_csv_end_row(writer, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    signal(SIGXFSZ, handler);

    assert_int_equal(refused, KV_ERROR_IO);
    assert_non_null(strstr(error.message, "space"));
    assert_contents(file_of(state), "run_id,note,count,time_ms\nbefore,,1,1\n");
    assert_int_equal(add_row(writer, "after", NULL, 2, 2), KV_OK);
    kv_csv_close(writer);
    assert_contents(file_of(state), "run_id,note,count,time_ms\nbefore,,1,1\nafter,,2,2\n");
}

static size_t count_rows(const char *file)
{
    struct kv_csv_table *table;
    struct kv_error error = {""};
    if (kv_csv_read(&table, file, &error) != KV_OK)
        fail_msg("%s", error.message);
    const size_t rows = kv_csv_rows(table);
    kv_csv_free(table);
    return rows;
}

/* Adds rows, numbered on from those in the file, until it is killed. */
static void write_until_killed(const char *file)
{
    static char note[20000];
    memset(note, 'n', sizeof note - 1);
    struct kv_csv_writer *writer;
    if (kv_csv_append(&writer, file, columns, COUNT(columns), NULL) != KV_OK)
        _exit(1);
    for (int64_t row = (int64_t)count_rows(file); add_row(writer, "killed", note, row, 0.5) == KV_OK; row++)
        continue;
    _exit(1);
}

static void kill_a_writer(const char *file, useconds_t delay)
{
    const off_t before = size_of(file);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        write_until_killed(file);
    for (int i = 0; i < 10000 && size_of(file) <= before; i++)
        usleep(1000);
    const bool grew = size_of(file) > before;
    usleep(delay);
    int status = 0;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(grew);
    assert_true(WIFSIGNALED(status));
}

static void test_killed_writers_leave_whole_rows(void **state)
{
    for (int i = 0; i < 20; i++) {
        kill_a_writer(file_of(state), (useconds_t)(i * 137 % 1000));
        kv_csv_close(append(file_of(state)));
    }
    struct kv_csv_table *table;
    size_t column = 0;
    assert_int_equal(kv_csv_read(&table, file_of(state), NULL), KV_OK);
    assert_true(kv_csv_rows(table) >= 10);
    assert_int_equal(kv_csv_column(table, "count", &column, NULL), KV_OK);
    for (size_t row = 0; row < kv_csv_rows(table); row++) {
        double number;
        assert_int_equal(kv_csv_number(table, row, column, &number, NULL), KV_OK);
        assert_true(number == (double)row);
    }
    kv_csv_free(table);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

static struct kv_csv_table *read_text(const char *file, const char *text)
{
    struct kv_csv_table *table;
    struct kv_error error = {""};
    put_text(file, text);
    if (kv_csv_read(&table, file, &error) != KV_OK)
        fail_msg("%s", error.message);
    return table;
}

static void test_reads_what_python_wrote(void **state)
{
    char nothing[16];
    struct kv_csv_table *table;
    python("write", file_of(state),
           "[[\"id\", \"the, text\"], [\"1\", \"a\\nb\"], [\"\", \"say \\\"no\\\"\"], [\"\\\"\", \"\\r\\n,\"], "
           "[\"é\", \"\"]]",
           nothing, sizeof nothing);
    assert_int_equal(kv_csv_read(&table, file_of(state), NULL), KV_OK);
    assert_int_equal(kv_csv_rows(table), 4);
    size_t id, text;
    assert_int_equal(kv_csv_column(table, "the, text", &text, NULL), KV_OK);
    assert_int_equal(kv_csv_column(table, "id", &id, NULL), KV_OK);
    static const char *const expected[][2] = {{"1", "a\nb"}, {"", "say \"no\""}, {"\"", "\r\n,"}, {"é", ""}};
    for (size_t row = 0; row < 4; row++) {
        assert_string_equal(kv_csv_text(table, row, id), expected[row][0]);
        assert_string_equal(kv_csv_text(table, row, text), expected[row][1]);
    }
    kv_csv_free(table);
}

static void test_header_alone(void **state)
{
    struct kv_csv_table *table = read_text(file_of(state), "a,b\n");
    size_t column;
    struct kv_error error;
    assert_int_equal(kv_csv_rows(table), 0);
    assert_int_equal(kv_csv_column(table, "b", &column, NULL), KV_OK);
    assert_int_equal(column, 1);
    assert_int_equal(kv_csv_column(table, "c", &column, &error), KV_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "\"c\""));
    kv_csv_free(table);
}

static void assert_read_fails(const char *file, kv_status expected, const char *hint)
{
    struct kv_csv_table *table;
    struct kv_error error = {""};
    assert_int_equal(kv_csv_read(&table, file, &error), expected);
    assert_null(table);
    if (!strstr(error.message, hint) || !strstr(error.message, file) || strchr(error.message, '\n'))
        fail_msg("\"%s\" does not say \"%s\"", error.message, hint);
}

static void test_malformed_files(void **state)
{
    static const struct {
        const char *text;
        const char *hint;
    } cases[] = {
        {"", "is empty"},
        {"a,b", "line 1 may be cut off"},
        {"a,b\n1,2\n3,4", "line 3 may be cut off"},
        {"a,b\n1,2\n\"3,4\n5,6\n", "line 3 opens a quote"},
        {"a,b\n\"1\n2\",3\n4\n", "line 4 has 1 fields, the header has 2"},
        {"a,b\n1,2,3\n", "line 2 has 3 fields"},
        {"a,b\n\n", "line 2 has 1 fields"},
        {"a,b\n1,x\"y\"\n", "line 2 has a quote in the wrong place"},
        {"a,b\n1,\"x\"y\n", "line 2 has a quote in the wrong place"},
        {"a,b\n1,x\ry\n", "line 2 has a carriage return"},
        {"a,b,a\n", "two columns \"a\""},
    };
    for (int i = 0; i < COUNT(cases); i++) {
        put_text(file_of(state), cases[i].text);
        assert_read_fails(file_of(state), KV_ERROR_FORMAT, cases[i].hint);
    }
    put(file_of(state), "a,b\n1,\0\n", 8);
    assert_read_fails(file_of(state), KV_ERROR_FORMAT, "NUL");
    put(file_of(state), "a,b\n1,2\0", 8);
    assert_read_fails(file_of(state), KV_ERROR_FORMAT, "NUL");
}

static void test_files_that_cannot_be_read(void **state)
{
    assert_read_fails(file_of(state), KV_ERROR_IO, "No such file");
    assert_read_fails(*state, KV_ERROR_IO, "directory");
    kv_csv_free(NULL);
}

static void test_numbers(void **state)
{
    static const double good[] = {1000, -0.5, 2, 0, 123456789};
    struct kv_csv_table *table = read_text(
        file_of(state), "x\n1e3\n-0.5\n2\n0\n1.23456789E+08\n"
                        "12 \n 12\n+2\n-.5\n5.\n1e+\n0x10\ninf\nnan\n1e999\n1.2.3\n-\ne\nfailed\n\"1,5\"\n");
    double number;
    size_t row = 0;
    for (; row < sizeof good / sizeof *good; row++) {
        assert_int_equal(kv_csv_number(table, row, 0, &number, NULL), KV_OK);
        assert_true(number == good[row]);
    }
    assert_int_equal(kv_csv_rows(table), 20);
    for (; row < kv_csv_rows(table); row++) {
        struct kv_error error;
        char hint[64];
        assert_int_equal(kv_csv_number(table, row, 0, &number, &error), KV_ERROR_FORMAT);
        assert_true(isnan(number));
        snprintf(hint, sizeof hint, "line %zu has \"%s\" where column \"x\"", row + 2, kv_csv_text(table, row, 0));
        assert_non_null(strstr(error.message, hint));
    }
    kv_csv_free(table);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_fields_as_python_reads_them),
        TEST(test_bytes_on_disk),
        TEST(test_header_is_written_once),
        TEST(test_one_empty_column_is_no_blank_line),
        TEST(test_row_of_the_wrong_length_is_dropped),
        TEST(test_another_header_is_an_error),
        TEST(test_files_that_cannot_be_written),
        TEST(test_one_writer_at_a_time),
        TEST(test_torn_line_is_cut_off),
        TEST(test_torn_header_is_written_again),
        TEST(test_torn_line_longer_than_a_block),
        TEST(test_full_disk_leaves_whole_rows),
        TEST(test_killed_writers_leave_whole_rows),
        TEST(test_reads_what_python_wrote),
        TEST(test_header_alone),
        TEST(test_malformed_files),
        TEST(test_files_that_cannot_be_read),
        TEST(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
