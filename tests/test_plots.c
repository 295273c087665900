/* plots/render.sh, its first figure, and that of a training run: it is run on folders that the tests write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plots_sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void append_row(const struct run *run, const char *path, int batch, int repetition)
{
    double ttft = 25.0 + 18.0 * batch + repetition;
    double ttpt = strcmp(path, "naive") == 0 ? 50.0 + 42.0 * batch + repetition : 24.0 + 1.6 * batch + repetition;
    int kv_bytes = strcmp(path, "naive") == 0 ? 0 : 73728 * 72 * batch;
    char row[512];
    snprintf(row, sizeof row,
             "1,batch,%s,tiny_model,synthetic:42,openblas,avx2,2,%d,22,50,72,%d,ok,,%g,%g,,,,,,%g,,%d,,,,,,,\n", path,
             batch, repetition, ttft, ttpt, batch * 1000.0 / ttpt, kv_bytes);
    append(run->csv, row);
}

static void append_failed_row(const struct run *run, const char *path, int batch, const char *error)
{
    char row[512];
    snprintf(row, sizeof row,
             "1,batch,%s,tiny_model,synthetic:42,openblas,avx2,2,%d,22,50,72,1,failed,,,,,,,,,,,,,,,,,,%s\n", path,
             batch, error);
    append(run->csv, row);
}

static void append_sweep(const struct run *run, const char *path, int repetitions)
{
    for (int batch = 1; batch <= 32; batch *= 2)
        for (int repetition = 1; repetition <= repetitions; repetition++)
            append_row(run, path, batch, repetition);
}

static char *assert_renders(struct run *run)
{
    render(run, run->folder, NULL);
    return assert_figure(run, "benchmark_results");
}

/* ---- Data that is plotted -------------------------------------------------------------------------- */

static void test_both_paths(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "naive", 3);
    append_sweep(run, "cached", 3);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>naive</text>");
    assert_contains(svg, "<text>cached</text>");
    assert_contains(svg, "With and without a KV cache: tiny_model");
    assert_contains(svg, "synthetic weights (seed 42), 2 threads, openblas, avx2; prompt of 22 tokens, 50 new");
    assert_contains(svg, "median of the repetitions (n = 3). Bars: smallest to largest.");
    assert_null(strstr(svg, "Left out"));
    assert_contains(svg, "log scale");
    free(svg);
}

static void test_new_path_needs_no_editing(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "naive", 2);
    append_sweep(run, "speculative", 2);
    append_sweep(run, "cached", 2);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>speculative</text>");
    assert_contains(svg, "rgb(  0, 158, 115)");
    free(svg);
}

static void test_one_path(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "cached", 3);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>cached</text>");
    assert_null(strstr(svg, "<text>naive</text>"));
    /* Its own blue, not the red of the first path. */
    assert_contains(svg, "rgb(  0, 114, 178)");
    assert_null(strstr(svg, "rgb(213,  94,   0)"));
    free(svg);
}

static void test_one_batch(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_row(run, "naive", 4, 1);
    append_row(run, "cached", 4, 1);
    char *svg = assert_renders(run);
    assert_contains(svg, "one repetition (n = 1), so no interval.");
    free(svg);
}

static void test_missing_repetition(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "naive", 3);
    append_sweep(run, "cached", 2);
    char *svg = assert_renders(run);
    assert_contains(svg, "(n = 2 to 3)");
    free(svg);
}

static void test_failed_rows_and_quotes(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "cached", 3);
    append_row(run, "naive", 1, 1);
    append_failed_row(run, "naive", 2, "\"does not fit, use \"\"--batch 1\"\", or a smaller model\"");
    append_failed_row(run, "naive", 4, "\"\"");
    char *svg = assert_renders(run);
    assert_contains(svg, "Left out: 2 rows that did not end ok.");
    free(svg);
}

static void test_unknown_values(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER "1,batch,naive,m,F32,openblas,avx2,1,1,22,1,23,1,ok,,40.5,,,,,,,,,0,,,,,,,\r\n"
                                 "1,batch,naive,m,F32,openblas,avx2,1,2,22,1,23,1,ok,,5e1,,,,,,,,,0,,,,,,,\r\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "not measured");
    assert_contains(svg, "F32 weights, 1 thread,");
    free(svg);
}

static void test_configurations_are_not_mixed(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "naive", 3);
    append(run->csv, "1,batch,naive,tiny_model,F32,openblas,avx2,2,1,22,50,72,1,ok,,900000,,,,,,,,,0,,,,,,,\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "Left out: 1 row of another configuration.");
    assert_null(strstr(svg, "900k"));
    free(svg);
}

static void test_model_name_with_markup(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER
           "1,batch,naive,\"a, \"\"b\"\" <c> & d_e\",F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "With and without a KV cache: a, ?b? &lt;c> &amp; d_e");
    free(svg);
}

static void test_lacking_suite_is_named(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER "1,grid,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n");
    append_failed_row(run, "naive", 1, "broken");
    render(run, run->folder, NULL);
    assert_int_equal(run->status, 0);
    assert_string_equal(run->message, "");
    assert_skipped(run, "benchmark_results",
                   "has no row of suite batch with status ok; run ./kvbench bench --suite batch");
}

/* ---- A training run --------------------------------------------------------------------------------- */

#define TRAINING_HEADER "step,tokens,learning_rate,train_loss,validation_loss,gradient_norm,seconds\n"

/* An evaluation every 20 steps of 512 tokens and 3 s: training loss from `high` down to `low`, and validation loss
 * 0.125 above it, which rises again in the end by `rise`. Step 0 has no training loss yet. */
static void append_training(const struct run *run, int n_rows, double high, double low, double rise)
{
    append_to_run(run, "training.csv", TRAINING_HEADER);
    for (int i = 0; i < n_rows; i++) {
        const double x = n_rows > 1 ? (double)i / (n_rows - 1) : 0, train = low + (high - low) * (1 - x) * (1 - x);
        char row[256], loss[32] = "";
        if (i > 0)
            snprintf(loss, sizeof loss, "%.9g", train);
        snprintf(row, sizeof row, "%d,%d,%.9g,%s,%.9g,%s,%d\n", 20 * i, 20 * 512 * i, 1e-5 * (1 - 0.9 * x), loss,
                 train + 0.125 + (x > 0.5 ? rise * (x - 0.5) : 0), i > 0 ? "0.7" : "", 60 * i);
        append_to_run(run, "training.csv", row);
    }
}

/* The only thing said of a folder that holds a training run and no other. */
static char *assert_draws_training(struct run *run)
{
    render(run, run->folder, NULL);
    char *svg = assert_figure(run, "training");
    assert_ptr_equal(strchr(run->output, '\n'), run->output + strlen(run->output) - 1);
    return svg;
}

static void test_training(void **state)
{
    struct run *run = *state;
    append_training(run, 3, 5.5, 1.25, 0);
    char *svg = assert_draws_training(run);
    assert_contains(svg, "40 steps, 20.48k tokens in 2 min");
    assert_contains(svg, "lowest validation loss: 1.375 nats, 1.984 bits, after step 40");
    assert_contains(svg, "log scale");
    assert_contains(svg, "training loss");
    assert_contains(svg, "bits per token");
    assert_contains(svg, "Learning rate");
    assert_null(strstr(svg, "last:"));
    free(svg);
}

static void test_training_that_overfits(void **state)
{
    struct run *run = *state;
    append_training(run, 301, 3, 2, 1);
    char *svg = assert_draws_training(run);
    /* 2.125 + (1 - x)^2 + (x - 1/2) is lowest where its derivative 1 - 2 (1 - x) is 0: halfway. */
    assert_contains(svg, "lowest validation loss: 2.375 nats, 3.426 bits, after step 3000");
    assert_contains(svg, "last: 2.625 nats, 3.787 bits");
    assert_contains(svg, "6000 steps, 3.072M tokens in 5.0 h");
    assert_null(strstr(svg, "log scale"));
    free(svg);
}

static void test_training_that_has_just_begun(void **state)
{
    struct run *run = *state;
    append_training(run, 1, 5.5, 1, 0);
    char *svg = assert_draws_training(run);
    assert_contains(svg, "lowest validation loss: 5.625 nats, 8.115 bits, after step 0");
    free(svg);
}

static void test_training_in_the_folder_of_a_run(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_sweep(run, "cached", 1);
    free(assert_renders(run));
    assert_null(strstr(run->output, "training"));
    append_training(run, 9, 5.5, 1.25, 0);
    free(assert_renders(run));
    free(assert_figure(run, "training"));
}

static void test_training_without_losses(void **state)
{
    struct run *run = *state;
    append_to_run(run, "training.csv", TRAINING_HEADER "0,0,1e-3,,,,1\n");
    render(run, run->folder, NULL);
    assert_int_equal(run->status, 0);
    assert_string_equal(run->message, "");
    assert_skipped(run, "training", "training.csv has no values for it; run ./kvbench train");
}

/* ---- Data that is refused -------------------------------------------------------------------------- */

static void test_malformed_files(void **state)
{
    struct run *run = *state;
    const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "runs.csv: the file is empty"},
        {RUNS_HEADER, "runs.csv: a header and no rows"},
        {"a,b,c\n1,2,3\n", "runs.csv:1: the header has no column suite"},
        {"1,batch,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n", "runs.csv:1: the header has no"},
        {RUNS_HEADER "1,batch,naive,m\n", "runs.csv:2: 4 fields where the header has 32"},
        {RUNS_HEADER "1,batch,naive,m,F32,openblas,avx2,1,one,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n",
         "runs.csv:2: batch is \"one\""},
        {RUNS_HEADER "1,grid,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,nan,,,,,,,,,0,,,,,,,\n",
         "runs.csv:2: ttft_ms is \"nan\""},
        {RUNS_HEADER "1,batch,naive,m,F32,openblas,avx2,1,1,22,9,31,1,failed,,,,,,,,,,,,,,,,,,\"open\n",
         "runs.csv:2: a quoted field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(run->csv);
        append(run->csv, cases[i].text);
        render(run, run->folder, NULL);
        assert_error(run, 1, cases[i].message);
    }
}

static void test_malformed_training(void **state)
{
    struct run *run = *state;
    const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "training.csv: the file is empty; run ./kvbench train again"},
        {TRAINING_HEADER, "training.csv: a header and no rows; train again with ./kvbench train"},
        {"step,tokens\n1,2\n",
         "training.csv:1: the header has no column learning_rate; give a folder that ./kvbench train"},
        {TRAINING_HEADER "0,0,1e-3,,5.5,,1\n20,512,1e-3,nan,5.5,,1\n", "training.csv:3: train_loss is \"nan\""},
        {TRAINING_HEADER "0,0,1e-3\n", "training.csv:2: 3 fields where the header has 7"},
    };
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/training.csv", run->folder);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(file);
        append(file, cases[i].text);
        render(run, run->folder, NULL);
        assert_error(run, 1, cases[i].message);
    }
}

static void test_missing_folder_and_file(void **state)
{
    struct run *run = *state;
    render(run, run->folder, NULL);
    assert_error(run, 1, "has no runs.csv; run ./kvbench bench");
    render(run, "/nonexistent/run", NULL);
    assert_error(run, 1, "/nonexistent/run is not a folder");
}

static void test_usage(void **state)
{
    struct run *run = *state;
    render(run, "--help", NULL);
    assert_int_equal(run->status, 0);
    assert_contains(run->output, "Usage: render.sh [DIR]");
    assert_contains(run->output, "benchmark_results");
    assert_string_equal(run->message, "");
    render(run, "--colour", NULL);
    assert_error(run, 2, "unknown option --colour");
    render(run, run->folder, run->folder);
    assert_error(run, 2, "one folder at most");
}

static void test_default_folder(void **state)
{
    struct run *run = *state;
    char latest[PATH_BYTES];
    snprintf(latest, sizeof latest, "%s/latest", run->folder);
    assert_int_equal(symlink(".", latest), 0);
    append(run->csv, RUNS_HEADER);
    append_row(run, "naive", 1, 1);
    assert_int_equal(setenv("KVBENCH_RESULTS", run->folder, 1), 0);
    render(run, NULL, NULL);
    unsetenv("KVBENCH_RESULTS");
    free(assert_figure(run, "benchmark_results"));
}

/* A gnuplot that writes half a picture and fails. */
static void test_half_a_picture_is_not_kept(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_row(run, "naive", 1, 1);

    char gnuplot[PATH_BYTES], *path = strdup(getenv("PATH"));
    snprintf(gnuplot, sizeof gnuplot, "%s/gnuplot", run->folder);
    append(gnuplot, "#!/bin/sh\necho half >\"$5\"\necho 'line 1: out of paper' >&2\nexit 1\n");
    assert_int_equal(chmod(gnuplot, 0700), 0);
    char search[4 * PATH_BYTES];
    assert_true(snprintf(search, sizeof search, "%s:%s", run->folder, path) < (int)sizeof search);
    assert_int_equal(setenv("PATH", search, 1), 0);
    render(run, run->folder, NULL);
    setenv("PATH", path, 1);
    free(path);

    assert_error(run, 1, "benchmark_results: gnuplot failed: line 1: out of paper");
}

int main(void)
{
#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, create_run, remove_run)
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_both_paths),
        RUN_TEST(test_new_path_needs_no_editing),
        RUN_TEST(test_one_path),
        RUN_TEST(test_one_batch),
        RUN_TEST(test_missing_repetition),
        RUN_TEST(test_failed_rows_and_quotes),
        RUN_TEST(test_unknown_values),
        RUN_TEST(test_configurations_are_not_mixed),
        RUN_TEST(test_model_name_with_markup),
        RUN_TEST(test_lacking_suite_is_named),
        RUN_TEST(test_training),
        RUN_TEST(test_training_that_overfits),
        RUN_TEST(test_training_that_has_just_begun),
        RUN_TEST(test_training_in_the_folder_of_a_run),
        RUN_TEST(test_training_without_losses),
        RUN_TEST(test_malformed_files),
        RUN_TEST(test_malformed_training),
        RUN_TEST(test_missing_folder_and_file),
        RUN_TEST(test_usage),
        RUN_TEST(test_default_folder),
        RUN_TEST(test_half_a_picture_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
