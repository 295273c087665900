/* The tables that the figures are drawn from, of small runs whose numbers can be told by heart. */
#include "run_folder.h"

#include "results/columns.h"
#include "results/csv.h"
#include "results/figures.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What kv_figures_write lists, with the tables in the folder itself; to be freed. */
static char *write_tables(const char *folder)
{
    struct kv_error error = {""};
    char *list = NULL;
    size_t size;
    FILE *stream = open_memstream(&list, &size);
    assert_non_null(stream);
    if (kv_figures_write(folder, folder, stream, &error) != KV_OK)
        fail_msg("%s", error.message);
    fclose(stream);
    return list;
}

/* The number in that row (from 0) and column of folder/table. */
static double number(const char *folder, const char *table, int row, const char *column)
{
    char *text = get_file(folder, table), *lines, *fields;
    assert_non_null(text);
    char *line = strtok_r(text, "\n", &lines);
    int at = 0;
    for (char *name = strtok_r(line, "\t", &fields); name && strcmp(name, column) != 0; at++)
        name = strtok_r(NULL, "\t", &fields);
    for (int i = 0; i <= row; i++)
        line = strtok_r(NULL, "\n", &lines);
    assert_non_null(line);
    char *field = strtok_r(line, "\t", &fields);
    for (int i = 0; i < at; i++)
        field = strtok_r(NULL, "\t", &fields);
    assert_non_null(field);
    const double value = strtod(field, NULL);
    free(text);
    return value;
}

static void assert_near(double actual, double expected)
{
    if (!(fabs(actual - expected) <= 1e-8 * fabs(expected)))
        fail_msg("%.12g instead of %.12g", actual, expected);
}

static void assert_setting(const char *folder, const char *figure, const char *line)
{
    char name[100];
    snprintf(name, sizeof name, "%s/settings", figure);
    char *text = get_file(folder, name);
    assert_non_null(text);
    assert_holds(text, line);
    free(text);
}

static void test_points_are_medians_and_ranges_by_arm_and_size(void **state)
{
    PUT_RUNS(*state, {.path = "cached", .batch = 4, .ttpt_ms = {9, 7, 8, 10}, .live_bytes = 3 * 1048576},
             {.path = "naive", .batch = 4, .ttpt_ms = {100}}, {.batch = 2, .ttpt_ms = {5, 4, 6}},
             {.batch = 8, .status = "failed", .error = "no memory"},
             {.batch = 16, .new_tokens = 99, .ttpt_ms = {1, 1}});
    char *list = write_tables(*state);
    assert_holds(list, "benchmark_results\n");
    assert_holds(list, "depth: skipped, runs.csv has no row of suite depth with status ok; run ./kvbench bench --suite "
                       "depth\n");
    assert_holds(list, "kernels: skipped, kernels.csv is not there; run ./kvbench bench --suite kernels\n");
    /* naive comes first, and batches rise, whatever the order of the rows. */
    const char *table = "benchmark_results/points.tsv";
    assert_near(number(*state, table, 0, "ttpt_median"), 100);
    assert_near(number(*state, table, 1, "arm"), 2);
    assert_near(number(*state, table, 1, "batch"), 2);
    assert_near(number(*state, table, 1, "ttpt_median"), 5);
    assert_near(number(*state, table, 2, "ttpt_median"), 8.5);
    assert_near(number(*state, table, 2, "ttpt_mean"), 8.5);
    assert_near(number(*state, table, 2, "ttpt_low"), 7);
    assert_near(number(*state, table, 2, "ttpt_high"), 10);
    assert_near(number(*state, table, 2, "ttpt_n"), 4);
    assert_near(number(*state, table, 2, "kv_memory_median"), 3);
    const char *const settings[] = {
        "n_arms = 2\narray arm[2] = ['naive', 'cached']\narray arm_style[2] = [1, 2]\n",
        "not_ok = 1\nother_rows = 2\n",
        "fewest = 1\nmost = 4\n",
        "ttpt_low = '4'\nttpt_high = '100'\n",
        "batch_keys = '2 4'\n",
        "workload = 'prompt of 6 tokens, 11 new'\n",
    };
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        assert_setting(*state, "benchmark_results", settings[i]);
    free(list);
}

static void test_an_arm_is_the_path_and_what_varies(void **state)
{
    PUT_RUNS(*state, {.gemm = "packed", .ttpt_ms = {1}}, {.gemm = "plain", .ttpt_ms = {1}},
             {.path = "naive", .gemm = "packed", .ttpt_ms = {1}}, {.path = "other", .gemm = "packed", .ttpt_ms = {1}});
    free(write_tables(*state));
    assert_setting(*state, "benchmark_results",
                   "array arm[4] = ['naive, packed', 'cached, packed', 'cached, plain', 'other, packed']\n"
                   "array arm_style[4] = [1, 2, 3, 4]\n");
    PUT_RUNS(*state, {.gemm = "plain", .threads = 1, .ttpt_ms = {1}}, {.threads = 4, .ttpt_ms = {1}});
    free(write_tables(*state));
    assert_setting(*state, "benchmark_results",
                   "array arm[2] = ['cached, gemm plain, threads 1', 'cached, gemm openblas, threads 4']\n"
                   "array arm_style[2] = [2, 3]\n");
}

/* An arm is held against naive that is otherwise the same. */
static void test_speedups(void **state)
{
    PUT_RUNS(*state, {.suite = "grid", .path = "naive", .ttpt_ms = {80, 40, 80, 80, 160, 80}},
             {.suite = "grid", .path = "naive", .threads = 4, .ttpt_ms = {30}},
             {.suite = "grid", .ttpt_ms = {20, 10, 20, 20, 40, 20}}, {.suite = "grid", .threads = 4, .ttpt_ms = {10}},
             {.suite = "grid", .batch = 4, .ttpt_ms = {25}});
    free(write_tables(*state));
    const char *table = "speedup_grid/speedup.tsv";
    assert_near(number(*state, table, 0, "ratio"), 4);
    assert_near(number(*state, table, 0, "is_told"), 1);
    assert_near(number(*state, table, 0, "naive_ms"), 80);
    assert_true(isnan(number(*state, table, 1, "ratio")));
    assert_near(number(*state, table, 1, "arm_ms"), 25);
    assert_near(number(*state, table, 2, "ratio"), 3);
    assert_near(number(*state, table, 2, "is_told") + 1, 1); /* of one round */
    assert_setting(*state, "speedup_grid", "best_speedup = 4\nmissing = 2\nuntold = 1\n");
    assert_setting(*state, "speedup_grid", "array others[2] = [2, 4]\n");
}

static void test_slopes(void **state)
{
    PUT_RUNS(
        *state,
        {.suite = "depth", .prompt_tokens = 100, .ttpt_ms = {20.2, 40.2, 20.2, 20.2, 20.2, 20.2}, .live_bytes = 100},
        {.suite = "depth", .prompt_tokens = 200, .ttpt_ms = {20.4, 40.4, 20.4, 20.4, 20.4, 20.4}, .live_bytes = 200},
        {.suite = "depth", .prompt_tokens = 400, .ttpt_ms = {20.8, 40.8, 20.8, 20.8, 20.8, 20.8}, .live_bytes = 400},
        {.suite = "depth", .path = "naive", .ttpt_ms = {100, 0.9}});
    free(write_tables(*state));
    assert_setting(*state, "depth", "array slope_us[2] = [NaN, 2]\narray slope_low_us[2] = [NaN, 2]\n");
    assert_setting(*state, "depth", "array limit_slope_us[2] = [NaN, NaN]\n"); /* of equal limits */
    assert_setting(*state, "depth", "array keeps[2] = [0, 1]\n");
    assert_setting(*state, "depth", "faults = 1\nsteadiness = 'Machine: not graded.'\n");
    assert_near(number(*state, "depth/fit.tsv", 0, "context_tokens"), 110);
    assert_near(number(*state, "depth/fit.tsv", 2, "fit") - number(*state, "depth/fit.tsv", 0, "fit"), 0.6);
    /* the limit of naive is that of the row that has one: 1 % of the median time */
    assert_near(number(*state, "depth/points.tsv", 0, "limit_median"), 0.5045);
    assert_near(number(*state, "depth/points.tsv", 0, "limit_n"), 1);
}

static void test_slopes_by_the_probes(void **state)
{
    PUT_RUNS(*state,
             {.suite = "depth",
              .prompt_tokens = 100,
              .ttpt_ms = {20, 40, 20, 20, 40, 20},
              .probe_read = {8e10, 4e10, 8e10, 8e10, 4e10, 8e10}},
             {.suite = "depth",
              .prompt_tokens = 200,
              .ttpt_ms = {21, 21, 42, 21, 21, 42},
              .probe_read = {8e10, 8e10, 4e10, 8e10, 8e10, 4e10}});
    free(write_tables(*state));
    assert_setting(*state, "depth", "array slope_us[1] = [10]\narray slope_low_us[1] = [10]\n");
    assert_setting(*state, "depth", "array corrected_gbytes_s[1] = [80]\narray corrected_gflops[1] = [NaN]\n");
    assert_near(number(*state, "depth/corrected.tsv", 0, "high"), 20);
    assert_near(number(*state, "depth/corrected.tsv", 1, "median"), 21);
    assert_near(number(*state, "depth/points.tsv", 1, "ttpt_high"), 42);
}

/* 100 steps of 1 to 100 ms after a first token; the second repetition's take 2 ms longer. */
static void test_tokens(void **state)
{
    struct kv_csv_writer *writer = NULL;
    PUT_RUNS(*state, {.suite = "trace", .new_tokens = 101, .ttpt_ms = {50, 52}});
    assert_int_equal(kv_result_file_append(&writer, *state, KV_FILE_TOKENS, NULL), KV_OK);
    for (int i = 0; i < 202; i++) {
        const int token = i % 101 + 1;
        struct kv_row row = {0};
        kv_row_set_text(&row, KV_COLUMN_CELL, "trace/cached/w-f32/contiguous/kv-f32/openblas/avx2/t2/b1/p6/n101/x106");
        kv_row_set_number(&row, KV_COLUMN_REPETITION, i / 101 + 1);
        kv_row_set_number(&row, KV_COLUMN_TOKEN, token);
        kv_row_set_number(&row, KV_COLUMN_CONTEXT_TOKENS, 5 + token);
        kv_row_set_number(&row, KV_COLUMN_LATENCY_NS, 1e6 * (token == 1 ? 500 : token - 1 + i / 101 * 2));
        kv_row_set_number(&row, KV_COLUMN_LIMIT_NS, 1e5 * token);
        assert_int_equal(kv_row_write(writer, KV_FILE_TOKENS, &row, NULL), KV_OK);
    }
    kv_csv_close(writer);
    free(write_tables(*state));
    const char *table = "token_latency/tokens.tsv";
    assert_near(number(*state, table, 0, "mean"), 500);
    assert_near(number(*state, table, 10, "token"), 11);
    assert_near(number(*state, table, 10, "context_tokens"), 16);
    assert_near(number(*state, table, 10, "low"), 10);
    assert_near(number(*state, table, 10, "high"), 12);
    assert_near(number(*state, table, 10, "median"), 11);
    assert_near(number(*state, table, 10, "limit_ms"), 1.1);
    assert_setting(*state, "token_latency", "limit_low = '0.1'\nlimit_high = '10.1'\nn_tokens = 101\nn_limits = 101\n");
    /* Of 200 steps, two of each from 3 to 100, one of 1, 2, 101 and 102: the 100th and 101st take 51 ms. */
    assert_near(number(*state, "latency_distribution/percentiles.tsv", 0, "ms"), 51.5);
    assert_near(number(*state, "latency_distribution/percentiles.tsv", 0, "n"), 200);
    assert_near(number(*state, "latency_distribution/percentiles.tsv", 2, "percentile"), 99);
    assert_near(number(*state, "latency_distribution/distribution.tsv", 100, "share"), 0.5);
    assert_setting(*state, "latency_distribution", "steps_low = '1'\nsteps_high = '102'\n");
}

static void test_phases_below_the_roof(void **state)
{
    struct kv_csv_writer *writer = NULL;
    struct kv_row row = {0};
    const struct {
        enum kv_column column;
        double value;
    } numbers[] = {{KV_COLUMN_THREADS, 2},         {KV_COLUMN_BATCH, 8},
                   {KV_COLUMN_REPETITION, 1},      {KV_COLUMN_TTFT_MS, 100},
                   {KV_COLUMN_TTPT_MS, 10},        {KV_COLUMN_FLOPS, 2e9},
                   {KV_COLUMN_BYTES, 4e8},         {KV_COLUMN_PREFILL_FLOPS, 4e10},
                   {KV_COLUMN_PREFILL_BYTES, 5e8}, {KV_COLUMN_KV_LIVE_BYTES, 96}};
    kv_row_set_text(&row, KV_COLUMN_CELL, "batch/cached/t2/b8");
    kv_row_set_text(&row, KV_COLUMN_SUITE, "batch");
    kv_row_set_text(&row, KV_COLUMN_PATH, "cached");
    kv_row_set_text(&row, KV_COLUMN_STATUS, "ok");
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        kv_row_set_number(&row, numbers[i].column, numbers[i].value);
    assert_int_equal(kv_result_file_append(&writer, *state, KV_FILE_RUNS, NULL), KV_OK);
    assert_int_equal(kv_row_write(writer, KV_FILE_RUNS, &row, NULL), KV_OK);
    kv_csv_close(writer);
    put_file(
        *state, "limits.csv",
        "run_id,moment,threads,isa,read_bytes_per_s,read_bytes_per_s_median,fma_flop_per_s,fma_flop_per_s_median\n"
        "R,start,2,avx2,3e10,3e10,3e11,3e11\nR,end,2,avx2,4e10,4e10,2e11,2e11\nR,end,1,avx2,9e10,9e10,9e11,9e11\n");
    free(write_tables(*state));
    assert_near(number(*state, "roofline/phases.tsv", 0, "intensity"), 5);
    assert_near(number(*state, "roofline/phases.tsv", 0, "gflops"), 200);
    /* 400 GFLOPS of prefill are above the peak, and left out; with a faster probe they are below it */
    assert_setting(*state, "roofline", "n_prefill = 0\nn_above = 1\nbandwidth = 40\npeak = 300\n");
    kv_row_set_number(&row, KV_COLUMN_REPETITION, 2);
    kv_row_set_number(&row, KV_COLUMN_PROBE_READ_BYTES_PER_S, 45e9);
    kv_row_set_number(&row, KV_COLUMN_PROBE_FMA_FLOP_PER_S, 5e11);
    assert_int_equal(kv_result_file_append(&writer, *state, KV_FILE_RUNS, NULL), KV_OK);
    assert_int_equal(kv_row_write(writer, KV_FILE_RUNS, &row, NULL), KV_OK);
    kv_csv_close(writer);
    free(write_tables(*state));
    assert_near(number(*state, "roofline/phases.tsv", 1, "prefill"), 1);
    assert_near(number(*state, "roofline/phases.tsv", 1, "intensity"), 80);
    assert_near(number(*state, "roofline/phases.tsv", 1, "gflops"), 400);
    assert_setting(*state, "roofline", "n_prefill = 1\nn_above = 0\nbandwidth = 45\npeak = 500\n");
}

static void test_kernels(void **state)
{
    put_file(*state, "kernels.csv",
             "run_id,cell,suite,kernel,shape,weights,cache,kv,gemm,isa,threads,rows,n,k,context_tokens,repetition,"
             "status,seconds,gflops,gbytes_s,flops,bytes,limit_pct,error\n"
             "R,kernels/matmul/c_fc/m1,kernels,matmul,c_fc,f32,,,packed,avx2,2,1,9,9,,1,ok,1,20,1,1,1,50,\n"
             "R,kernels/matmul/c_fc/m1,kernels,matmul,c_fc,f32,,,packed,avx2,2,1,9,9,,2,ok,1,30,1,1,1,75,\n"
             "R,kernels/attention/decode,kernels,attention,decode,,contiguous,f32,,portable,2,1,,,64,1,ok,1,8,1,1,1,80,"
             "\n");
    char *list = write_tables(*state);
    assert_holds(list, "kernels\n");
    free(list);
    assert_near(number(*state, "kernels/kernels.tsv", 0, "median"), 25);
    assert_near(number(*state, "kernels/kernels.tsv", 0, "limit"), 40);
    assert_near(number(*state, "kernels/kernels.tsv", 1, "x"), 64);
    assert_near(number(*state, "kernels/kernels.tsv", 1, "panel"), 2);
    assert_setting(*state, "kernels", "array arm[2] = ['packed, avx2', 'attention, portable']\n");
    assert_setting(*state, "kernels", "rows_keys = '1'\ncontext_keys = '64'\n");
}

static void test_training(void **state)
{
    put_file(*state, "training.csv",
             "step,tokens,learning_rate,train_loss,validation_loss,gradient_norm,seconds\n0,0,0.1,,5.5,,1\n"
             "20,512,0.2,4,3.5,,61\n40,1024,0.1,3,3.75,,\n");
    char *list = write_tables(*state);
    assert_string_equal(list, "training\n");
    free(list);
    assert_near(number(*state, "training/training.tsv", 1, "train_loss"), 4);
    assert_true(isnan(number(*state, "training/training.tsv", 0, "train_loss")));
    assert_setting(*state, "training",
                   "least = 3\nhighest = 5.5\nlowest = 3.5\nlowest_tokens = 512\nlowest_step = 20\n");
    assert_setting(*state, "training", "last = 3.75\n");
}

static void test_a_folder_without_results(void **state)
{
    struct kv_error error = {""};
    assert_int_equal(kv_figures_write(*state, *state, stdout, &error), KV_ERROR_IO);
    assert_holds(error.message, "has no runs.csv; run ./kvbench bench");
    put_file(*state, "runs.csv", runs_header());
    assert_int_equal(kv_figures_write(*state, *state, stdout, &error), KV_ERROR_FORMAT);
    assert_holds(error.message, "a header and no rows");
}

/* Every figure is there under a name and has its script. */
static void test_every_figure_has_a_script(void **state)
{
    (void)state;
    for (int i = 0; kv_figure(i); i++) {
        char name[100];
        snprintf(name, sizeof name, "%s.gp", kv_figure(i)->name);
        char *script = get_file(KV_PLOTS, name);
        assert_non_null(script);
        free(script);
    }
}

/* A run that had no time for the naive path of suite batch shows batch sizes by the shortest texts of suite grid. */
static void test_batch_sizes_are_of_the_grid_where_the_time_was_short(void **state)
{
    PUT_RUNS(*state, {.path = "cached", .ttpt_ms = {5, 5}}, {.path = "naive", .status = "skipped", .error = "left out"},
             {.suite = "grid", .path = "naive", .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {40, 42}},
             {.suite = "grid", .path = "cached", .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {7, 7}},
             {.suite = "grid", .path = "cached", .batch = 4, .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {8}},
             {.suite = "grid", .path = "cached", .prompt_tokens = 255, .new_tokens = 2, .ttpt_ms = {9}});
    const char *table = "benchmark_results/points.tsv";
    free(write_tables(*state));
    assert_near(number(*state, table, 0, "ttpt_median"), 41);
    assert_near(number(*state, table, 1, "ttpt_median"), 7);
    assert_near(number(*state, table, 2, "ttpt_median"), 8);
    assert_setting(*state, "benchmark_results", "other_rows = 1\n");
}

/* Where one path was asked for, nothing is lacking. */
static void test_batch_sizes_of_one_path(void **state)
{
    PUT_RUNS(*state, {.path = "cached", .ttpt_ms = {5, 5}},
             {.suite = "grid", .path = "cached", .prompt_tokens = 63, .new_tokens = 2, .ttpt_ms = {7, 7}});
    free(write_tables(*state));
    assert_near(number(*state, "benchmark_results/points.tsv", 0, "ttpt_median"), 5);
}

int main(void)
{
#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_points_are_medians_and_ranges_by_arm_and_size),
        RUN_TEST(test_an_arm_is_the_path_and_what_varies),
        RUN_TEST(test_speedups),
        RUN_TEST(test_slopes),
        RUN_TEST(test_slopes_by_the_probes),
        RUN_TEST(test_tokens),
        RUN_TEST(test_phases_below_the_roof),
        RUN_TEST(test_kernels),
        RUN_TEST(test_training),
        RUN_TEST(test_a_folder_without_results),
        cmocka_unit_test(test_every_figure_has_a_script),
        RUN_TEST(test_batch_sizes_are_of_the_grid_where_the_time_was_short),
        RUN_TEST(test_batch_sizes_of_one_path),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
