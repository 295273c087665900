/* The tables of a run as people and programs read them, and the columns that all files share. Literal statistics are
 * those of Python's statistics module. */
#include "run_folder.h"

#include "results/csv.h"
#include "results/table.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *printed(const char *folder, enum kv_format format)
{
    struct kv_results *results = load(folder);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    assert_int_equal(kv_results_print(results, format, stream, NULL), KV_OK);
    assert_int_equal(fclose(stream), 0);
    kv_results_free(results);
    return text;
}

static void assert_printed(const char *folder, enum kv_format format, const char *const *parts, size_t n)
{
    char *text = printed(folder, format);
    for (size_t i = 0; i < n; i++)
        assert_holds(text, parts[i]);
    free(text);
}
#define ASSERT_PRINTED(folder, format, ...)                                                                            \
    assert_printed((folder), (format), (const char *const[]){__VA_ARGS__},                                             \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

/* ---- summary.csv ------------------------------------------------------------------------------------------------ */

static kv_status summarize(const char *folder, struct kv_error *error)
{
    struct kv_results *results = load(folder);
    const kv_status status = kv_summary_write(results, error);
    kv_results_free(results);
    return status;
}

/* Field `name` of row `row` of summary.csv, as csv.h reads it. */
static const char *field(const struct kv_csv_table *table, size_t row, const char *name)
{
    size_t column;
    assert_int_equal(kv_csv_column(table, name, &column, NULL), KV_OK);
    return kv_csv_text(table, row, column);
}

static void test_summary_holds_the_statistics(void **state)
{
    char file[512];
    struct kv_csv_table *table;
    PUT_RUNS(
        *state,
        {.batch = 4, .ttft_ms = {12.5, 11.25, 13, 12, 40}, .ttpt_ms = {2.5, 2.25, 2.75, 2.5, 3}, .live_bytes = 4718592},
        {.batch = 2, .status = "failed", .error = "\"no memory, use less\""}, {.batch = 1, .ttpt_ms = {2.5}});
    put_file(*state, "summary.csv", "of an earlier version\n");
    assert_int_equal(summarize(*state, NULL), KV_OK);
    snprintf(file, sizeof file, "%s/summary.csv", (char *)*state);
    assert_int_equal(kv_csv_read(&table, file, NULL), KV_OK);
    static const struct {
        size_t row;
        const char *column, *text;
    } expected[] = {
        {0, "cell", "batch/cached/w-f32/contiguous/kv-f32/openblas/avx2/t2/b4/p6/n11/x16"},
        {0, "status", "ok"},
        {0, "n", "5"},
        {0, "batch", "4"},
        {0, "cache", "contiguous"},
        {0, "ttft_ms_median", "12.5"},
        {0, "ttft_ms_mad", "0.5"},
        {0, "ttft_ms_cv", "0.701685561"},
        {0, "ttft_ms_low", "11.25"},
        {0, "ttft_ms_high", "40"},
        {0, "ttpt_ms_cv", "0.109632252"},
        {0, "decode_tok_s_median", "1600"},
        {0, "decode_tok_s_mad", "145.45455"},
        {0, "output_tok_s_low", "628.571429"},
        {0, "kv_live_bytes", "4718592"},
        {0, "kv_reserved_bytes", "9437184"},
        {0, "rss_peak_bytes", "110100480"},
        {0, "limit_pct", "40"},
        {0, "error", ""},
        {0, "ttpt_p99_ms_median", ""},
        {1, "status", "failed"},
        {1, "n", "0"},
        {1, "ttft_ms_median", ""},
        {1, "error", "\"no memory, use less\""},
        {2, "ttpt_ms_median", "2.5"},
        {2, "ttpt_ms_mad", ""},
        {2, "ttpt_ms_low", ""},
    };
    assert_int_equal(kv_csv_rows(table), 3);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_string_equal(field(table, expected[i].row, expected[i].column), expected[i].text);
    kv_csv_free(table);
}

static void test_summary_that_cannot_be_written(void **state)
{
    char file[512];
    struct kv_error error = {""};
    PUT_RUNS(*state, {.ttpt_ms = {2}});
    snprintf(file, sizeof file, "%s/summary.csv", (const char *)*state);
    assert_int_equal(mkdir(file, 0777), 0);
    assert_int_equal(summarize(*state, &error), KV_ERROR_IO);
    assert_holds(error.message, "summary.csv: cannot be written");
    assert_int_equal(rmdir(file), 0);
}

/* ---- Tables for people ------------------------------------------------------------------------------------------- */

static void test_table_is_aligned(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {1012, 1000, 1010}},
             {.path = "cached", .ttpt_ms = {2.5, 2.25, 2.75}, .live_bytes = 1310720},
             {.batch = 32, .path = "naive", .status = "skipped", .error = "would take 90 s"},
             {.batch = 32, .path = "cached", .ttpt_ms = {12.5}, .live_bytes = 37748736},
             {.batch = 64, .path = "cached", .ttpt_ms = {2, 3}, .status = "failed", .error = "a logit is not a number"},
             {.batch = 64, .path = "naive", .status = "failed"});
    ASSERT_PRINTED(*state, KV_FORMAT_TEXT,
                   "model tiny, weights synthetic:1 as f32, gemm openblas, isa avx2, threads 2\n",
                   "\nSuite batch: 6 prompt tokens, 11 new tokens\n\n"
                   "  batch  path    TTFT ms  +- %  TTPT (TPOT) ms  +- %  decode tok/s  KV MiB  % of limit  n\n"
                   "      1  naive      10.0   0.0            1010   0.6         0.990       0      0.0990  3\n"
                   "      1  cached     10.0   0.0            2.50  10.0           400    1.25        40.0  3\n"
                   "     32  naive   skipped: would take 90 s\n"
                   "     32  cached     10.0     -            12.5     -          2560    36.0        8.00  1\n"
                   "     64  cached  failed after 2 repetitions: a logit is not a number\n"
                   "     64  naive   failed: no reason was given\n"
                   "\nOf 6 cells 2 failed and 1 was skipped: the reasons stand in the tables.\n");
    ASSERT_PRINTED(*state, KV_FORMAT_MARKDOWN, "\n### Suite batch: 6 prompt tokens, 11 new tokens\n\n| batch | path |",
                   "\n| ---: | --- | ---: |", "\n| 32 | naive | skipped: would take 90 s |  |");
}

static void test_every_suite_has_its_columns(void **state)
{
    PUT_RUNS(*state, {.suite = "trace", .ttpt_ms = {2, 3}}, {.suite = "grid", .ttpt_ms = {2}},
             {.suite = "grid", .prompt_tokens = 99, .ttpt_ms = {2}}, {.suite = "depth", .ttpt_ms = {2}},
             {.suite = "memory", .new_tokens = 1, .ttpt_ms = {2}, .live_bytes = 1048576},
             {.suite = "novel", .path = "a_path_of_tomorrow", .ttpt_ms = {2}});
    ASSERT_PRINTED(*state, KV_FORMAT_TEXT,
                   "  batch  path    TTFT ms  TTPT (TPOT) ms  +- %  p50 ms  p95 ms  p99 ms  slope us/token  n\n"
                   "      1  cached     10.0            2.50  20.0    2.50    5.00       -               -  2\n",
                   "Suite grid: 11 new tokens\n\n"
                   "  batch  context  path    TTFT ms  +- %  step ms  +- %  KV MiB  n\n"
                   "      1       16  cached     10.0     -     2.00     -       0  1\n"
                   "      1      109  cached     10.0     -     2.00     -       0  1\n",
                   "  context  path    step ms  +- %  % of limit  n\n"
                   "       16  cached     2.00     -        50.0  1\n",
                   "Suite memory: 6 prompt tokens, 1 new token\n\n"
                   "  batch  context  path    live MiB  reserved MiB  RSS MiB  n\n"
                   "      1        6  cached      1.00          2.00      101  1\n",
                   "Suite novel: 6 prompt tokens, 11 new tokens\n\n  batch  path                TTFT ms");
}

/* What differs between the rows of a suite is a column, what does not is in the heading. */
static void test_what_varies_is_a_column(void **state)
{
    PUT_RUNS(*state, {.gemm = "openblas", .ttpt_ms = {2}}, {.gemm = "packed", .prompt_tokens = 12, .ttpt_ms = {2}});
    ASSERT_PRINTED(*state, KV_FORMAT_TEXT, "model tiny, weights synthetic:1 as f32, isa avx2, threads 2\n",
                   "\nSuite batch: 11 new tokens\n", "  gemm      prompt  batch  path    TTFT ms",
                   "  openblas       6      1  cached     10.0", "  packed        12      1  cached     10.0");
}

static void test_kernels(void **state)
{
    struct kv_csv_writer *writer;
    put_file(*state, "runs.csv", runs_header());
    assert_int_equal(kv_result_file_append(&writer, *state, KV_FILE_KERNELS, NULL), KV_OK);
    for (int i = 0; i < 8; i++) {
        char id[KV_CELL_ID_SIZE];
        const bool product = i < 7, failed = i == 6;
        struct kv_row row = {.texts = {[KV_COLUMN_CELL] = id,
                                       [KV_COLUMN_SUITE] = "kernels",
                                       [KV_COLUMN_KERNEL] = product ? "matmul" : "attention",
                                       [KV_COLUMN_SHAPE] = product ? "c_fc" : "decode",
                                       [KV_COLUMN_WEIGHTS] = product ? "f32" : "",
                                       [KV_COLUMN_CACHE] = product ? "" : "contiguous",
                                       [KV_COLUMN_KV] = product ? "" : "f32",
                                       [KV_COLUMN_GEMM] = product ? "packed" : "",
                                       [KV_COLUMN_ISA] = "avx2",
                                       [KV_COLUMN_STATUS] = failed ? "failed" : "ok",
                                       [KV_COLUMN_ERROR] = failed ? "no ring" : ""}};
        kv_row_set_number(&row, KV_COLUMN_THREADS, 2);
        kv_row_set_number(&row, KV_COLUMN_ROWS, product ? 1 << i : 1);
        kv_row_set_number(&row, KV_COLUMN_CONTEXT_TOKENS, product ? NAN : 64);
        if (!failed) {
            kv_row_set_number(&row, KV_COLUMN_REPETITION, 1);
            kv_row_set_number(&row, KV_COLUMN_GFLOPS, 10 * (i + 1));
            kv_row_set_number(&row, KV_COLUMN_GBYTES_S, 3);
            kv_row_set_number(&row, KV_COLUMN_LIMIT_PCT, product ? 50 : NAN);
        }
        kv_row_cell_id(&row, id);
        assert_int_equal(kv_row_write(writer, KV_FILE_KERNELS, &row, NULL), KV_OK);
    }
    kv_csv_close(writer);
    /* five of the seven sizes, the first and the last among them */
    ASSERT_PRINTED(*state, KV_FORMAT_TEXT,
                   "  product  gemm    weights  isa   threads  unit        rows 1      rows 2      rows 8     rows 16  "
                   "rows 64\n"
                   "  c_fc     packed  f32      avx2        2  GFLOPS  10.0  50 %  20.0  50 %  40.0  50 %  50.0  50 %  "
                   "      -\n",
                   "  attention  cache       kv   isa   threads  unit  context 64\n"
                   "  decode     contiguous  f32  avx2        2  GB/s   3.0     -\n",
                   "\nfailed: c_fc, packed, avx2, rows 64: no ring\n");
    ASSERT_PRINTED(*state, KV_FORMAT_CSV, "run_id,cell,suite,kernel,shape,weights,cache,kv,gemm,isa,threads,rows,n,k,",
                   ",kernels/matmul/c_fc/w-f32/packed/avx2/t2/m64,", ",failed,");
}

static void test_empty_run(void **state)
{
    put_file(*state, "runs.csv", runs_header());
    char *text = printed(*state, KV_FORMAT_TEXT);
    assert_string_equal(text, "Nothing was measured.\n");
    free(text);
    assert_int_equal(summarize(*state, NULL), KV_OK);
}

/* ---- Formats ----------------------------------------------------------------------------------------------------- */

/* One table in every format; RFC 4180 and JSON are read back by csv.h and jansson, which other tests hold against
 * Python's. */
static void test_formats(void **state)
{
    static const struct kv_table_column columns[] = {
        {"name", "Name", true}, {"value", "Value, ms", false}, {"more", NULL, true}};
    static const char hard[] = "a \"b\", c | \033d";
    char file[512], *text = NULL;
    size_t size = 0;
    struct kv_table *table;
    struct kv_csv_table *read;
    assert_int_equal(kv_table_create(&table, "Title", columns, 3, NULL), KV_OK);
    kv_table_add_text(table, hard);
    kv_table_add_number(table, 0.123456789012, NULL);
    kv_table_add_text(table, "x");
    kv_table_add_text(table, "big");
    kv_table_add_number(table, 1234567890123, "so many");
    kv_table_add_text(table, "");
    kv_table_add_text(table, "unknown");
    kv_table_add_note(table, "failed");
    assert_int_equal(kv_table_rows(table), 3);
    assert_string_equal(kv_table_shown(table, 1, 1), "so many");
    assert_int_equal(kv_table_note_column(table, 2), 1);
    snprintf(file, sizeof file, "%s/table.csv", (char *)*state);
    assert_int_equal(kv_table_write(table, KV_FORMAT_CSV, file, NULL), KV_OK);
    assert_int_equal(kv_csv_read(&read, file, NULL), KV_OK);
    assert_string_equal(field(read, 0, "name"), "a \"b\", c | ?d");
    assert_string_equal(field(read, 0, "value"), "0.123456789");
    assert_string_equal(field(read, 1, "value"), "1234567890123");
    assert_string_equal(field(read, 2, "value"), "");
    kv_csv_free(read);
    static const char *const expected[KV_N_FORMATS] = {
        [KV_FORMAT_TEXT] = "\nTitle\n\n"
                           "  Name           Value, ms  more\n"
                           "  a \"b\", c | ?d      0.123  x\n"
                           "  big              so many  -\n"
                           "  unknown        failed\n",
        [KV_FORMAT_MARKDOWN] = "\n### Title\n\n| Name | Value, ms | more |\n| --- | ---: | --- |\n"
                               "| a \"b\", c \\| ?d | 0.123 | x |\n| big | so many | - |\n| unknown | failed |  |\n",
        [KV_FORMAT_TSV] = "name\tvalue\tmore\na \"b\", c | ?d\t0.123456789\tx\nbig\t1234567890123\t\nunknown\t\t\n",
        [KV_FORMAT_JSON] = "{\"name\":\"a \\\"b\\\", c | ?d\",\"value\":0.123456789,\"more\":\"x\"}\n"
                           "{\"name\":\"big\",\"value\":1234567890123,\"more\":null}\n"
                           "{\"name\":\"unknown\",\"value\":null,\"more\":null}\n",
    };
    for (int format = 0; format < KV_N_FORMATS; format++) {
        FILE *stream = open_memstream(&text, &size);
        assert_non_null(stream);
        assert_int_equal(kv_table_print(table, (enum kv_format)format, stream, NULL), KV_OK);
        assert_int_equal(fclose(stream), 0);
        if (expected[format])
            assert_string_equal(text, expected[format]);
        free(text);
    }
    kv_table_free(table);
}

static void test_numbers_are_rounded_for_people(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {{NAN, "-"},         {0, "0"},         {0.0703125, "0.0703"}, {0.48, "0.480"},
                 {0.99949, "0.999"}, {0.9996, "1.00"}, {9.994, "9.99"},       {9.996, "10.0"},
                 {99.94, "99.9"},    {99.96, "100"},   {6123.4, "6123"},      {0.00012345, "0.000123"}};
    char text[KV_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(kv_number_text(cases[i].value, text, sizeof text), cases[i].text);
    assert_string_equal(kv_integer_text(73728, text, sizeof text), "73,728");
    assert_string_equal(kv_integer_text(1234567890, text, sizeof text), "1,234,567,890");
}

/* ---- The one table of columns ------------------------------------------------------------------------------------ */

/* Headers that are written, datapackage.json and the glossary say the same of every column. */
static void test_columns_are_told_alike_everywhere(void **state)
{
    char *text, file[512];
    struct kv_table *glossary;
    static const char *const types[] = {
        [KV_TYPE_TEXT] = "string", [KV_TYPE_COUNT] = "integer", [KV_TYPE_NUMBER] = "number"};
    for (int kind = 0; kind < KV_N_FILES; kind++) {
        struct kv_csv_writer *writer;
        assert_int_equal(kv_result_file_append(&writer, *state, (enum kv_file_kind)kind, NULL), KV_OK);
        kv_csv_close(writer);
    }
    assert_int_equal(kv_datapackage_write(*state, NULL), KV_OK);
    text = get_file(*state, "datapackage.json");
    json_t *package = json_loads(text, 0, NULL), *resources = json_object_get(package, "resources");
    assert_int_equal(json_array_size(resources), KV_N_FILES);
    free(text);
    assert_int_equal(kv_columns_table(&glossary, NULL), KV_OK);
    assert_int_equal(kv_table_rows(glossary), KV_N_COLUMNS);
    for (int kind = 0; kind < KV_N_FILES; kind++) {
        const struct kv_file_info *info = kv_file_info((enum kv_file_kind)kind);
        const json_t *fields = json_object_get(json_object_get(json_array_get(resources, (size_t)kind), "schema"),
                                               "fields");
        struct kv_csv_table *table;
        snprintf(file, sizeof file, "%s/%s", (char *)*state, info->name);
        assert_int_equal(kv_csv_read(&table, file, NULL), KV_OK);
        assert_int_equal(json_array_size(fields), info->n_columns);
        for (int i = 0; i < info->n_columns; i++) {
            const enum kv_column c = info->columns[i];
            const json_t *told = json_array_get(fields, (size_t)i);
            size_t at;
            assert_int_equal(kv_csv_column(table, kv_column_info(c)->name, &at, NULL), KV_OK);
            assert_int_equal(at, i);
            assert_string_equal(json_string_value(json_object_get(told, "name")), kv_column_info(c)->name);
            assert_string_equal(json_string_value(json_object_get(told, "type")), types[kv_column_info(c)->type]);
            assert_string_equal(json_string_value(json_object_get(told, "description")), kv_column_info(c)->meaning);
            assert_string_equal(kv_table_shown(glossary, c, 0), kv_column_info(c)->name);
            assert_holds(kv_table_shown(glossary, c, 3), strtok(strdupa(info->name), "."));
            assert_int_equal(kv_column_find(kv_column_info(c)->name), c);
        }
        kv_csv_free(table);
    }
    kv_table_free(glossary);
    json_decref(package);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_summary_holds_the_statistics),
        TEST(test_summary_that_cannot_be_written),
        TEST(test_table_is_aligned),
        TEST(test_every_suite_has_its_columns),
        TEST(test_what_varies_is_a_column),
        TEST(test_kernels),
        TEST(test_empty_run),
        TEST(test_formats),
        TEST(test_numbers_are_rounded_for_people),
        TEST(test_columns_are_told_alike_everywhere),
    };
    return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
