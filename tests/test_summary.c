/* A run's rows become configurations with statistics, summary.csv and tables. Literal statistics are those of Python's
 * statistics module; of up to five values the 95 % bootstrap interval of the median ends at the outermost ones, because
 * each of them is the median of more than 2.5 % of all resamples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "results/summary_parts.h"
#include "summary_folder.h"

/* ---- Grouping ----------------------------------------------------------------------------------- */

static void test_configurations_in_order_of_appearance(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {8}}, {.path = "cached", .ttpt_ms = {2}},
             {.path = "naive", .ttpt_ms = {9, 7}}, {.path = "cached", .gemm = "packed", .ttpt_ms = {1}},
             {.path = "cached", .batch = 2, .ttpt_ms = {3}}, {.path = "cached", .new_tokens = 5, .ttpt_ms = {3}},
             {.suite = "grid", .path = "cached", .ttpt_ms = {3}}, {.isa = "portable", .ttpt_ms = {3}});
    struct kv_summary *summary = load(*state);
    assert_int_equal(summary->n_configurations, 7);
    const struct kv_configuration *naive = &summary->configurations[0];
    assert_string_equal(naive->keys[KV_KEY_PATH], "naive");
    assert_int_equal(naive->n, 3);
    assert_int_equal(naive->figures[KV_FIGURE_TTPT_MS].n, 3);
    assert_true(naive->figures[KV_FIGURE_TTPT_MS].values[0] == 7);
    assert_true(naive->figures[KV_FIGURE_TTPT_MS].values[2] == 9);
    assert_int_equal(naive->context_tokens, 16);
    assert_string_equal(summary->configurations[2].keys[KV_KEY_GEMM], "packed");
    assert_int_equal(summary->configurations[3].batch, 2);
    assert_int_equal(summary->configurations[4].new_tokens, 5);
    assert_string_equal(summary->configurations[5].keys[KV_KEY_SUITE], "grid");
    assert_string_equal(summary->configurations[6].keys[KV_KEY_ISA], "portable");
    kv_summary_free(summary);
}

/* A session that could not be created knows neither its gemm nor its isa. */
static void test_failed_before_gemm_was_known(void **state)
{
    PUT_RUNS(*state, {.gemm = "", .isa = "", .status = "failed", .error = "no memory"}, {.ttpt_ms = {2, 3}},
             {.batch = 2, .ttpt_ms = {2}}, {.batch = 2, .gemm = "", .isa = "", .status = "failed", .error = "too hot"});
    struct kv_summary *summary = load(*state);
    assert_int_equal(summary->n_configurations, 2);
    const struct kv_configuration *retried = &summary->configurations[0], *gave_up = &summary->configurations[1];
    assert_int_equal(retried->status, KV_CONFIGURATION_OK);
    assert_string_equal(retried->error, "");
    assert_string_equal(retried->keys[KV_KEY_GEMM], "openblas");
    assert_string_equal(retried->keys[KV_KEY_ISA], "avx2");
    assert_int_equal(retried->n, 2);
    assert_int_equal(gave_up->status, KV_CONFIGURATION_FAILED);
    assert_string_equal(gave_up->error, "too hot");
    assert_int_equal(gave_up->n, 1);
    kv_summary_free(summary);
}

static void test_unknown_is_not_a_value(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {2, 3}});
    struct kv_summary *summary = load(*state);
    const struct kv_summary_sample *p99 = &summary->configurations[0].figures[KV_FIGURE_TTPT_P99_MS];
    assert_int_equal(p99->n, 0);
    assert_true(isnan(p99->median) && isnan(p99->mad) && isnan(p99->cv) && isnan(p99->interval.low));
    kv_summary_free(summary);
}

/* ---- summary.csv -------------------------------------------------------------------------------- */

static const char csv_header[] =
    "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,status,n,"
    "ttft_ms_median,ttft_ms_mad,ttft_ms_cv,ttft_ms_low,ttft_ms_high,"
    "ttpt_ms_median,ttpt_ms_mad,ttpt_ms_cv,ttpt_ms_low,ttpt_ms_high,"
    "e2e_ms_median,e2e_ms_mad,e2e_ms_cv,e2e_ms_low,e2e_ms_high,"
    "prefill_tok_s_median,prefill_tok_s_mad,prefill_tok_s_cv,prefill_tok_s_low,prefill_tok_s_high,"
    "decode_tok_s_median,decode_tok_s_mad,decode_tok_s_cv,decode_tok_s_low,decode_tok_s_high,"
    "output_tok_s_median,output_tok_s_mad,output_tok_s_cv,output_tok_s_low,output_tok_s_high,"
    "kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,limit_ms,limit_pct,error\n";

static void write_csv(const char *folder)
{
    struct kv_error error = {""};
    struct kv_summary *summary = load(folder);
    if (kv_summary_write_csv(summary, folder, &error) != KV_OK)
        fail_msg("%s", error.message);
    kv_summary_free(summary);
}

static void assert_csv(const char *folder, const char *rows)
{
    char *text = get_file(folder, "summary.csv");
    assert_non_null(text);
    assert_memory_equal(text, csv_header, strlen(csv_header));
    assert_string_equal(text + strlen(csv_header), rows);
    free(text);
}

static void test_csv_holds_the_statistics(void **state)
{
    PUT_RUNS(*state, {.batch = 4, .path = "naive", .ttft_ms = {12, 12.5, 11.75}, .ttpt_ms = {8, 10, 9}},
             {.batch = 4,
              .ttft_ms = {12.5, 11.25, 13, 12, 40},
              .ttpt_ms = {2.5, 2.25, 2.75, 2.5, 3},
              .live_bytes = 4718592});
    write_csv(*state);
    assert_csv(*state, "R1,batch,naive,tiny,synthetic:1,openblas,avx2,2,4,6,11,16,ok,3,"
                       "12,0.25,0.0316039703,11.75,12.5,9,1,0.111111111,8,10,101.75,9.75,0.100447976,92,112.5,"
                       "2000,42.55319,0.0313067881,1920,2042.55319,444.444444,44.444444,0.111799581,400,500,"
                       "432.432432,41.321321,0.100462787,391.111111,478.26087,0,0,108003328,1,11.1111111,\n"
                       "R1,batch,cached,tiny,synthetic:1,openblas,avx2,2,4,6,11,16,ok,5,"
                       "12.5,0.5,0.701685561,11.25,40,2.5,0.25,0.109632252,2.25,3,37.5,3,0.339843902,33.75,70,"
                       "1920,80,0.367085056,600,2133.33333,1600,145.45455,0.10816556,1333.33333,1777.77778,"
                       "1173.33333,86.91358,0.243376889,628.571429,1303.7037,4718592,9437184,110100480,1,40,\n");
}

static void test_csv_of_failed_skipped_and_single(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {2.5}}, {.batch = 2, .status = "failed", .error = "\"no memory, use less\""},
             {.batch = 4, .ttpt_ms = {4}, .status = "skipped", .error = "would take 90 s"});
    write_csv(*state);
    assert_csv(*state,
               "R1,batch,cached,tiny,synthetic:1,openblas,avx2,2,1,6,11,16,ok,1,10,,,,,2.5,,,,,35,,,,,600,,,,,400,,,,,"
               "314.285714,,,,,0,0,105906176,1,40,\n"
               "R1,batch,cached,tiny,synthetic:1,openblas,avx2,2,2,6,11,16,failed,0,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,"
               "\"no memory, use less\"\n"
               "R1,batch,cached,tiny,synthetic:1,openblas,avx2,2,4,6,11,16,skipped,1,10,,,,,4,,,,,50,,,,,2400,,,,,"
               "1000,,,,,880,,,,,0,0,105906176,1,25,would take 90 s\n");
}

static void test_csv_replaces_and_leaves_nothing_else(void **state)
{
    char stale[64];
    snprintf(stale, sizeof stale, "summary.csv.part-%ld", (long)getpid());
    put_file(*state, "summary.csv", "of an earlier version\n");
    put_file(*state, stale, "of a killed process\n");
    put_file(*state, "runs.csv", runs_header);
    write_csv(*state);
    assert_csv(*state, "");
    assert_null(get_file(*state, stale));
}

static void test_csv_that_cannot_be_written(void **state)
{
    char file[512];
    struct kv_error error = {""};
    PUT_RUNS(*state, {.ttpt_ms = {2}});
    snprintf(file, sizeof file, "%s/summary.csv", (const char *)*state);
    assert_int_equal(mkdir(file, 0777), 0);
    struct kv_summary *summary = load(*state);
    assert_int_equal(kv_summary_write_csv(summary, *state, &error), KV_ERROR_IO);
    assert_holds(error.message, "summary.csv cannot be written");
    snprintf(file, sizeof file, "summary.csv.part-%ld", (long)getpid());
    assert_null(get_file(*state, file));
    assert_int_equal(kv_summary_write_csv(summary, "/nonexistent/folder", &error), KV_ERROR_IO);
    kv_summary_free(summary);
}

/* ---- Errors ------------------------------------------------------------------------------------- */

static void assert_refused(const char *folder, kv_status expected, const char *part)
{
    struct kv_summary untouched, *summary = &untouched;
    struct kv_error error = {""};
    assert_int_equal(kv_summary_load(&summary, folder, &error), expected);
    assert_null(summary);
    assert_holds(error.message, part);
}

/* runs.csv of one failed row with one of its texts replaced. */
static void put_bad_row(const char *folder, const char *status, const char *batch, const char *context)
{
    char text[2048];
    snprintf(text, sizeof text, "%sR1,batch,cached,tiny,F32,openblas,avx2,2,%s,6,11,%s,,%s,,,,,,,,,,,,,,,,,,\n",
             runs_header, batch, context, status);
    put_file(folder, "runs.csv", text);
}

static void test_errors_name_the_file_and_the_field(void **state)
{
    assert_refused(*state, KV_ERROR_IO, "runs.csv");
    put_file(*state, "runs.csv", "");
    assert_refused(*state, KV_ERROR_FORMAT, "runs.csv is empty");
    put_file(*state, "runs.csv", "run_id,suite,status,error\n");
    assert_refused(*state, KV_ERROR_FORMAT, "has no column \"path\"");
    put_bad_row(*state, "failed", "1", "16");
    kv_summary_free(load(*state));
    put_bad_row(*state, "good", "1", "16");
    assert_refused(*state, KV_ERROR_FORMAT, "row 1 has status \"good\"");
    put_bad_row(*state, "ok", "", "16");
    assert_refused(*state, KV_ERROR_FORMAT, "row 1 needs a whole number in column \"batch\"");
    put_bad_row(*state, "ok", "1", "0");
    assert_refused(*state, KV_ERROR_FORMAT, "column \"context_tokens\"");
    put_bad_row(*state, "ok", "1.5", "16");
    assert_refused(*state, KV_ERROR_FORMAT, "column \"batch\"");
    put_bad_row(*state, "ok", "many", "16");
    assert_refused(*state, KV_ERROR_FORMAT, "\"many\"");
    put_bad_row(*state, "ok", "1", "16");
    put_file(*state, "tokens.csv", "run_id,suite\n");
    assert_refused(*state, KV_ERROR_FORMAT, "tokens.csv has no column \"path\"");
}

/* ---- Tables ------------------------------------------------------------------------------------- */

static void assert_printed(const char *folder, const char *const *parts, size_t n)
{
    struct kv_summary *summary = load(folder);
    char *text = printed(summary);
    for (size_t i = 0; i < n; i++)
        assert_holds(text, parts[i]);
    free(text);
    kv_summary_free(summary);
}
#define ASSERT_PRINTED(folder, ...)                                                                                    \
    assert_printed((folder), (const char *const[]){__VA_ARGS__},                                                       \
                   sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void test_table_is_aligned(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {1012, 1000, 1010}},
             {.path = "cached", .ttpt_ms = {2.5, 2.25, 2.75}, .live_bytes = 1310720},
             {.batch = 32, .path = "naive", .status = "skipped", .error = "would take 90 s"},
             {.batch = 32, .path = "cached", .ttpt_ms = {12.5}, .live_bytes = 37748736});
    ASSERT_PRINTED(*state, "model tiny, weights synthetic:1, gemm openblas, isa avx2, threads 2\n",
                   "\nSuite batch: 6 prompt tokens, 11 new tokens\n\n"
                   "  batch  path    TTFT ms  +- %  TTPT ms  +- %  decode tok/s  KV MiB  % of limit  n\n"
                   "      1  naive      10.0   0.0     1010   0.6         0.990       0      0.0990  3\n"
                   "      1  cached     10.0   0.0     2.50  10.0           400    1.25        40.0  3\n"
                   "     32  naive   skipped: would take 90 s\n"
                   "     32  cached     10.0     -     12.5     -          2560    36.0        8.00  1\n"
                   "\nOf 4 configurations 0 failed and 1 was skipped: the reasons stand in the tables.\n");
}

static void test_every_suite_has_its_columns(void **state)
{
    PUT_RUNS(*state, {.suite = "trace", .ttpt_ms = {2, 3}}, {.suite = "grid", .ttpt_ms = {2}},
             {.suite = "grid", .prompt_tokens = 99, .ttpt_ms = {2}}, {.suite = "depth", .ttpt_ms = {2}},
             {.suite = "memory", .new_tokens = 1, .ttpt_ms = {2}, .live_bytes = 1048576},
             {.suite = "novel", .path = "a_path_of_tomorrow", .ttpt_ms = {2}});
    ASSERT_PRINTED(*state,
                   "  batch  path    TTFT ms  TTPT ms  +- %  p50 ms  p95 ms  p99 ms  slope us/token  n\n"
                   "      1  cached     10.0     2.50  20.0    2.50    5.00       -               -  2\n",
                   "Suite grid: 11 new tokens\n\n"
                   "  batch  context  path    TTFT ms  +- %  step ms  +- %  KV MiB  n\n"
                   "      1       16  cached     10.0     -     2.00     -       0  1\n"
                   "      1      109  cached     10.0     -     2.00     -       0  1\n",
                   "  context  path    step ms  +- %  % of limit  n\n"
                   "       16  cached     2.00     -        50.0  1\n",
                   "Suite memory: 6 prompt tokens, 1 new token\n\n"
                   "  batch  context  path    live MiB  reserved MiB  RSS MiB  n\n"
                   "      1        6  cached      1.00          2.00      101  1\n",
                   "Suite novel: 6 prompt tokens, 11 new tokens\n\n  batch  path                TTFT ms",
                   "      1  a_path_of_tomorrow     10.0");
}

/* What differs between the rows of a suite is a column, what does not is in the heading. */
static void test_what_varies_is_a_column(void **state)
{
    PUT_RUNS(*state, {.gemm = "openblas", .ttpt_ms = {2}}, {.gemm = "packed", .prompt_tokens = 12, .ttpt_ms = {2}},
             {.gemm = "", .isa = "", .batch = 8, .status = "failed"});
    ASSERT_PRINTED(*state, "model tiny, weights synthetic:1, isa avx2, threads 2\n", "\nSuite batch: 11 new tokens\n",
                   "  gemm      prompt  batch  path    TTFT ms", "  openblas       6      1  cached     10.0",
                   "  packed        12      1  cached     10.0",
                   "  -              6      8  cached  failed: no reason was given\n");
}

static void test_failed_halfway_says_so(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {2, 3}, .status = "failed", .error = "a logit is not a number"});
    ASSERT_PRINTED(*state, "      1  cached  failed after 2 repetitions: a logit is not a number\n",
                   "\nOf 1 configurations 1 failed and 0 were skipped");
}

static void test_empty_run(void **state)
{
    put_file(*state, "runs.csv", runs_header);
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    struct kv_summary *summary = load(*state);
    char *text = printed(summary);
    assert_string_equal(text, "Nothing was measured.\n");
    assert_int_equal(summary->n_findings, 0);
    assert_int_equal(kv_summary_warnings(summary, warnings), 0);
    free(text);
    kv_summary_free(summary);
}

/* ---- Numbers ------------------------------------------------------------------------------------ */

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
    assert_string_equal(kv_integer_text(100, text, sizeof text), "100");
    assert_string_equal(kv_integer_text(1234567890, text, sizeof text), "1,234,567,890");
}

static void test_interval_ends_can_be_told_apart(void **state)
{
    (void)state;
    struct kv_summary_interval_text text;
    kv_summary_interval_text(7.91, (struct kv_stats_interval){7.63, 8.16}, &text);
    assert_string_equal(text.value, "7.9");
    assert_string_equal(text.range, "95 % interval 7.6 to 8.2");
    kv_summary_interval_text(7.913, (struct kv_stats_interval){7.907, 7.921}, &text);
    assert_string_equal(text.value, "7.91");
    assert_string_equal(text.range, "95 % interval 7.91 to 7.92");
    kv_summary_interval_text(4.6, (struct kv_stats_interval){0.0123, 4.9}, &text);
    assert_string_equal(text.value, "4.60");
    assert_string_equal(text.range, "95 % interval 0.0123 to 4.90");
    kv_summary_interval_text(1234, (struct kv_stats_interval){1234, 1234}, &text);
    assert_string_equal(text.range, "95 % interval 1234 to 1234");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_configurations_in_order_of_appearance),
        TEST(test_failed_before_gemm_was_known),
        TEST(test_unknown_is_not_a_value),
        TEST(test_csv_holds_the_statistics),
        TEST(test_csv_of_failed_skipped_and_single),
        TEST(test_csv_replaces_and_leaves_nothing_else),
        TEST(test_csv_that_cannot_be_written),
        TEST(test_errors_name_the_file_and_the_field),
        TEST(test_table_is_aligned),
        TEST(test_every_suite_has_its_columns),
        TEST(test_what_varies_is_a_column),
        TEST(test_failed_halfway_says_so),
        TEST(test_empty_run),
        TEST(test_numbers_are_rounded_for_people),
        TEST(test_interval_ends_can_be_told_apart),
    };
    return cmocka_run_group_tests_name("summary", tests, NULL, NULL);
}
