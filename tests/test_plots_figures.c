/* The figures of every suite, drawn by plots/render.sh from run folders that the tests write. The step of naive has the
 * flops and bytes of GPT-2 124M, so that what is derived from them can be held against the model's own sizes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plots_sandbox.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TOKENS_HEADER "run_id,suite,path,batch,repetition,token,context_tokens,latency_ns\n"
#define KERNELS_HEADER                                                                                                 \
    "run_id,kernel,shape,gemm,isa,threads,rows,n,k,context_tokens,repetition,status,seconds,gflops,gbytes_s,"          \
    "limit_pct,error\n"
#define LIMITS_HEADER                                                                                                  \
    "run_id,moment,threads,isa,read_bytes_per_s,read_bytes_per_s_median,fma_flop_per_s,fma_flop_per_s_median\n"

enum { PROMPT = 22, BYTES_A_TOKEN = 73728, N_REPETITIONS = 3 };

static const char *const all_figures[] = {"benchmark_results", "token_latency", "time_vs_cache",
                                          "speedup_grid",      "depth",         "memory",
                                          "roofline",          "kernels",       "latency_distribution"};
enum { N_FIGURES = sizeof all_figures / sizeof all_figures[0] };

/* ---- The rows of a run ------------------------------------------------------------------------------ */

/* GPT-2 124M: 2 flops and 4 bytes a weight; naive's flops are of a mean window of PROMPT + 25. */
static void append_cell(const struct run *run, const char *suite, const char *path, int batch, int prompt, int n_new,
                        int repetition, double ttpt_ms)
{
    const int naive = strcmp(path, "naive") == 0, context = prompt + n_new - 1;
    const double flops = (naive ? 8106321408.0 : 248796672.0) * batch;
    const double bytes = 494128128.0 + (naive ? 0 : BYTES_A_TOKEN * (prompt + n_new / 2.0) * batch);
    const double kept = naive ? 0 : (double)BYTES_A_TOKEN * context * batch;
    char row[1024];
    snprintf(row, sizeof row,
             "1,%s,%s,tiny_model,synthetic:42,openblas,avx2,2,%d,%d,%d,%d,%d,ok,,%g,%g,,,,,,%g,,%.0f,%.0f,%.0f,%.10g,"
             "%.10g,%g,,\n",
             suite, path, batch, prompt, n_new, context, repetition, 50.0 * batch, ttpt_ms, batch * 1000.0 / ttpt_ms,
             kept, naive ? 0 : BYTES_A_TOKEN * 1024.0 * batch, 6e8 + kept, flops, bytes, bytes / 30e6);
    append(run->csv, row);
}

static void append_trace(const struct run *run, const char *path, int n_new, int repetitions)
{
    char rows[8192];
    for (int repetition = 1; repetition <= repetitions; repetition++) {
        size_t end = 0;
        for (int token = 1; token <= n_new; token++)
            end += (size_t)snprintf(rows + end, sizeof rows - end, "1,trace,%s,1,%d,%d,%d,%d\n", path, repetition,
                                    token, PROMPT + token - 1,
                                    (strcmp(path, "naive") == 0 ? 90 : 20) * 1000000 + token);
        assert_true(end < sizeof rows);
        append_to_run(run, "tokens.csv", rows);
        append_cell(run, "trace", path, 1, PROMPT, n_new, repetition, strcmp(path, "naive") == 0 ? 90 : 20);
    }
}

/* Cached steps take 20 ms and 2 us a token of context, naive ones 8 times as long as cached ones at batch 4. */
static void append_path(const struct run *run, const char *path, int repetitions)
{
    const int slow = strcmp(path, "naive") == 0;
    const int lengths[] = {64, 256, 1024}, batches[] = {1, 4, 16};
    for (int repetition = 1; repetition <= repetitions; repetition++) {
        for (int b = 0; b < 3; b++) {
            append_cell(run, "batch", path, batches[b], PROMPT, 50, repetition, slow ? 90.0 * batches[b] : 20.0);
            for (int l = 0; l < 3; l++) {
                append_cell(run, "grid", path, batches[b], lengths[l] - 1, 2, repetition,
                            slow ? 40.0 * batches[b] : 20.0);
                append_cell(run, "memory", path, batches[b], lengths[l], 2, repetition, 20);
            }
        }
        for (int context = 16; context <= 1016; context += 250)
            append_cell(run, "depth", path, 1, context - 4, 5, repetition, slow ? context : 20 + 0.002 * context);
    }
    append_trace(run, path, 50, repetitions);
}

static void append_kernels(const struct run *run)
{
    const char *const shapes[] = {"c_attn", "lm_head"}, *const gemms[] = {"openblas", "packed"};
    char row[512];
    append_to_run(run, "kernels.csv", KERNELS_HEADER);
    for (int shape = 0; shape < 2; shape++) {
        for (int i = 0; i < 4; i++) {
            for (int rows = 1; rows <= 1024; rows *= 4) {
                const double gflops = 300.0 * rows / (rows + 20.0) / (1 + i / 2);
                snprintf(row, sizeof row, "1,matmul,%s,%s,%s,2,%d,2304,768,,1,ok,0.1,%g,3,%g,\n", shapes[shape],
                         gemms[i % 2], i < 2 ? "avx512" : "avx2", rows, gflops, gflops / 3.34);
                append_to_run(run, "kernels.csv", row);
            }
        }
    }
    for (int tokens = 64; tokens <= 1024; tokens *= 2) {
        snprintf(row, sizeof row, "1,attention,decode,,avx512,2,1,,,%d,1,ok,0.1,12,3,80,\n", tokens);
        append_to_run(run, "kernels.csv", row);
    }
}

static void append_limits(const struct run *run, int threads)
{
    char rows[512];
    snprintf(rows, sizeof rows,
             LIMITS_HEADER "1,start,%d,avx512,30e9,29e9,330e9,329e9\n1,end,%d,avx512,28e9,27e9,334e9,333e9\n", threads,
             threads);
    append_to_run(run, "limits.csv", rows);
}

static void begin(const struct run *run)
{
    append(run->csv, RUNS_HEADER);
    append_to_run(run, "tokens.csv", TOKENS_HEADER);
}

static void append_everything(const struct run *run, int repetitions)
{
    begin(run);
    append_path(run, "naive", repetitions);
    append_path(run, "cached", repetitions);
    append_kernels(run);
    append_limits(run, 2);
}

static void assert_shows(const struct run *run, const char *figure, const char *text)
{
    char *svg = assert_figure(run, figure);
    assert_contains(svg, text);
    free(svg);
}

static void assert_does_not_show(const struct run *run, const char *figure, const char *text)
{
    char *svg = assert_figure(run, figure);
    if (strstr(svg, text))
        fail_msg("\"%s\" is in %s", text, figure);
    free(svg);
}

/* ---- What the figures say --------------------------------------------------------------------------- */

static void test_whole_set(void **state)
{
    struct run *run = *state;
    struct timespec start, end;
    append_everything(run, N_REPETITIONS);
    clock_gettime(CLOCK_MONOTONIC, &start);
    render(run, run->folder, NULL);
    clock_gettime(CLOCK_MONOTONIC, &end);
    for (int i = 0; i < N_FIGURES; i++)
        free(assert_figure(run, all_figures[i]));
    assert_null(strstr(run->output, "skipped"));
    assert_true(end.tv_sec - start.tv_sec < 10);
}

static void test_paths_have_their_colours_everywhere(void **state)
{
    struct run *run = *state;
    append_everything(run, 1);
    render(run, run->folder, NULL);
    for (int i = 0; i < N_FIGURES; i++) {
        if (strcmp(all_figures[i], "speedup_grid") == 0 || strcmp(all_figures[i], "kernels") == 0)
            continue;
        assert_shows(run, all_figures[i], "rgb(213,  94,   0)");
        assert_shows(run, all_figures[i], "rgb(  0, 114, 178)");
    }
    assert_shows(run, "time_vs_cache", "rgb(152,  78, 163)");
    assert_shows(run, "memory", "rgb(152,  78, 163)");
}

static void test_what_is_said(void **state)
{
    struct run *run = *state;
    append_everything(run, N_REPETITIONS);
    render(run, run->folder, NULL);
    assert_shows(run, "token_latency", "mean of the repetitions (n = 3). Bands: smallest to largest.");
    assert_shows(run, "token_latency", "limit of each path");
    assert_shows(run, "time_vs_cache", "KV memory, cached");
    assert_does_not_show(run, "time_vs_cache", "KV memory, naive");
    assert_shows(run, "speedup_grid", "2.0×");
    assert_shows(run, "speedup_grid", "8.0×");
    assert_shows(run, "speedup_grid", "32×");
    assert_shows(run, "speedup_grid", "640 ms → 20 ms");
    /* 73728 bytes at 30 GB/s are 2.46 us, which is what limit_ms in the rows grows by. */
    assert_shows(run, "depth", "cached: 2 µs per token of context, limit 2.46");
    assert_shows(run, "memory", "KV reserved");
    assert_shows(run, "memory", "Batch 16");
    assert_shows(run, "roofline", "measured peak 334 GFLOPS");
    assert_shows(run, "roofline", "measured read bandwidth 30 GB/s");
    assert_shows(run, "kernels", "measured peak 334 GFLOPS");
    assert_shows(run, "kernels", "packed, avx2");
    assert_shows(run, "kernels", "attention, avx512");
    /* 49 steps in each of 3 repetitions. */
    assert_shows(run, "latency_distribution", "naive:  n = 147,  p50 90 ms,  p95 90 ms,  p99 90 ms");
}

static void test_percentiles_need_samples(void **state)
{
    struct run *run = *state;
    begin(run);
    append_trace(run, "cached", 30, 1);
    render(run, run->folder, NULL);
    assert_shows(run, "latency_distribution", "cached:  n = 29,  p50 20 ms,  p95 20 ms");
    assert_does_not_show(run, "latency_distribution", "p99");
}

static void test_new_path_needs_no_editing(void **state)
{
    struct run *run = *state;
    append_everything(run, 1);
    append_path(run, "int8_cache", 1);
    render(run, run->folder, NULL);
    assert_shows(run, "token_latency", "int8_cache");
    assert_shows(run, "time_vs_cache", "KV memory, int8_cache");
    assert_shows(run, "speedup_grid", "int8_cache");
    assert_shows(run, "depth", "int8_cache: 2 µs per token of context");
    assert_shows(run, "memory", "RSS, int8_cache");
    assert_shows(run, "roofline", "decode, int8_cache");
    assert_shows(run, "latency_distribution", "int8_cache:  n = 49");
}

/* ---- What a run may lack ---------------------------------------------------------------------------- */

static void test_single_repetition(void **state)
{
    struct run *run = *state;
    append_everything(run, 1);
    render(run, run->folder, NULL);
    assert_shows(run, "depth", "one repetition (n = 1), so no interval.");
    assert_shows(run, "token_latency", "one repetition (n = 1), so no band.");
    assert_shows(run, "memory", "one repetition (n = 1).");
}

static void test_one_path(void **state)
{
    struct run *run = *state;
    begin(run);
    append_path(run, "cached", 2);
    append_limits(run, 2);
    render(run, run->folder, NULL);
    for (int i = 0; i < N_FIGURES; i++)
        if (strcmp(all_figures[i], "speedup_grid") != 0 && strcmp(all_figures[i], "kernels") != 0)
            assert_does_not_show(run, all_figures[i], "rgb(213,  94,   0)");
    assert_skipped(run, "speedup_grid", "no values for it in suite grid; run ./kvbench bench --suite grid");
    /* How many flops a prompt takes is known from naive. */
    assert_does_not_show(run, "roofline", "prefill");
}

static void test_skipped_cells_of_the_grid(void **state)
{
    struct run *run = *state;
    begin(run);
    append_cell(run, "grid", "naive", 1, 63, 2, 1, 80);
    append_cell(run, "grid", "cached", 1, 63, 2, 1, 20);
    append_cell(run, "grid", "cached", 1, 1023, 2, 1, 25);
    append(run->csv, "1,grid,naive,tiny_model,synthetic:42,openblas,avx2,2,1,1023,2,1024,,skipped,,,,,,,,,,,,,,,,,,"
                     "\"predicted to take 90 s, more than the budget\"\n");
    render(run, run->folder, NULL);
    assert_shows(run, "speedup_grid", "4.0×");
    assert_shows(run, "speedup_grid", "– → 25 ms");
    assert_shows(run, "speedup_grid", "–  not measured.  Left out: 1 row that did not end ok.");
}

static void test_no_limits(void **state)
{
    struct run *run = *state;
    begin(run);
    append_path(run, "naive", 1);
    append_path(run, "cached", 1);
    append_kernels(run);
    render(run, run->folder, NULL);
    assert_skipped(run, "roofline", "limits.csv is not there; run ./kvbench bench --suite batch");
    assert_does_not_show(run, "token_latency", "limit");
    assert_does_not_show(run, "kernels", "measured peak 334");
}

static void test_limits_of_other_threads(void **state)
{
    struct run *run = *state;
    begin(run);
    append_path(run, "naive", 1);
    append_path(run, "cached", 1);
    append_limits(run, 1);
    render(run, run->folder, NULL);
    assert_shows(run, "roofline", "No roof: limits.csv has none of 2 threads.");
    assert_does_not_show(run, "roofline", "measured peak");
    assert_does_not_show(run, "token_latency", "limit");
}

static void test_each_lacking_suite_is_named(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_kernels(run);
    render(run, run->folder, NULL);
    free(assert_figure(run, "kernels"));
    assert_skipped(run, "token_latency", "tokens.csv is not there; run ./kvbench bench --suite trace");
    assert_skipped(run, "time_vs_cache", "--suite trace");
    assert_skipped(run, "latency_distribution", "--suite trace");
    assert_skipped(run, "speedup_grid", "--suite grid");
    assert_skipped(run, "depth", "--suite depth");
    assert_skipped(run, "memory", "--suite memory");
    assert_skipped(run, "roofline", "--suite batch");
}

static void test_values_that_are_unknown(void **state)
{
    struct run *run = *state;
    begin(run);
    for (const char *const *suite = (const char *const[]){"batch", "grid", "depth", "memory", NULL}; *suite; suite++) {
        char row[256];
        snprintf(row, sizeof row, "1,%s,naive,m,F32,openblas,avx2,2,1,22,9,30,1,ok,,,,,,,,,,,,,,,,,,\n", *suite);
        append(run->csv, row);
    }
    append_limits(run, 2);
    render(run, run->folder, NULL);
    assert_skipped(run, "benchmark_results", "no values for it in suite batch");
    assert_skipped(run, "speedup_grid", "no values for it in suite grid");
    assert_skipped(run, "depth", "no values for it in suite depth");
    assert_skipped(run, "memory", "no values for it in suite memory");
    assert_skipped(run, "roofline", "no values for it in suite batch");
    assert_string_equal(run->message, "");
    assert_int_equal(run->status, 0);
}

/* One clear error before anything is drawn, though the figures of runs.csv could be. */
static void test_malformed_files(void **state)
{
    struct run *run = *state;
    const struct {
        const char *file, *text, *message;
    } cases[] = {
        {"tokens.csv", "", "tokens.csv: the file is empty"},
        {"tokens.csv", "a,b\n1,2\n", "tokens.csv:1: the header has no column suite"},
        {"tokens.csv", TOKENS_HEADER "1,trace,naive,1,1,1,22,fast\n", "tokens.csv:2: latency_ns is \"fast\""},
        {"tokens.csv", TOKENS_HEADER "1,trace,naive,1,1\n", "tokens.csv:2: 5 fields where the header has 8"},
        {"kernels.csv", KERNELS_HEADER "1,matmul,c_fc,a,b,2,1,1,1,,1,ok,,x,,,\n", "kernels.csv:2: gflops is \"x\""},
        {"limits.csv", LIMITS_HEADER "1,start,2,avx2,inf,1,1,1\n", "limits.csv:2: read_bytes_per_s is \"inf\""},
    };
    append(run->csv, RUNS_HEADER);
    append_cell(run, "batch", "naive", 1, PROMPT, 50, 1, 90);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        append_to_run(run, cases[i].file, cases[i].text);
        render(run, run->folder, NULL);
        assert_error(run, 1, cases[i].message);
        char file[PATH_BYTES];
        snprintf(file, sizeof file, "%s/%s", run->folder, cases[i].file);
        assert_int_equal(unlink(file), 0);
    }
}

/* ---- What is derived -------------------------------------------------------------------------------- */

/* The text that a script of plots/ prints for rows of runs.csv and limits.csv that are separated by tabs. */
static char *derive(const struct run *run, const char *script)
{
    char command[4 * PATH_BYTES], *text = calloc(1, 1 << 16);
    assert_non_null(text);
    snprintf(
        command, sizeof command,
        "cd %s && tr , '\\t' <runs.csv >runs.tsv && tr , '\\t' <limits.csv >limits.tsv && cd \"$(dirname '%s')\" && "
        "awk -f sort.awk -f work.awk -f %s %s/runs.tsv %s/limits.tsv",
        run->folder, KV_PLOTS_SCRIPT, script, run->folder, run->folder);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    assert_true(fread(text, 1, (1 << 16) - 1, pipe) > 0);
    assert_int_equal(pclose(pipe), 0);
    return text;
}

static double number_after(const char *text, const char *key)
{
    const char *found = strstr(text, key);
    if (!found)
        fail_msg("\"%s\" is not in: %s", key, text);
    return atof(found + strlen(key));
}

static void assert_close(double value, double expected)
{
    if (fabs(value - expected) > 1e-6 * fabs(expected))
        fail_msg("%.10g is not %.10g", value, expected);
}

/* Against max(bytes / 30e9, flops / 334e9) of kv_step_work for GPT-2 124M, computed on its own. */
static void test_limits_of_tokens(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_cell(run, "trace", "naive", 1, PROMPT, 50, 1, 90);
    append_cell(run, "trace", "cached", 1, PROMPT, 50, 1, 20);
    append_limits(run, 2);
    char *text = derive(run, "predictions.awk");
    assert_close(number_after(text, "\nnaive\t1\t"), 16.4709376);
    assert_close(number_after(text, "\nnaive\t50\t"), 36.62317451497006);
    assert_close(number_after(text, "\ncached\t1\t"), 16.5250048);
    assert_close(number_after(text, "\ncached\t2\t"), 16.5274624);
    assert_close(number_after(text, "\ncached\t50\t"), 16.6454272);
    free(text);
}

static void test_phases_below_the_roof(void **state)
{
    struct run *run = *state;
    append(run->csv, RUNS_HEADER);
    append_cell(run, "batch", "naive", 1, PROMPT, 50, 1, 90);
    append_cell(run, "batch", "cached", 1, PROMPT, 50, 1, 20);
    append_limits(run, 2);
    char *text = derive(run, "roofline.awk");
    assert_close(number_after(text, "\nprefill\tcached\t1\t"), 7.712849414724527);
    assert_close(number_after(text, "\nprefill\tcached\t1\t7.712849415\t"), 3823646208.0 / 50e-3 / 1e9);
    assert_close(number_after(text, "\ndecode\tcached\t1\t"), 248796672.0 / 497593344.0);
    assert_close(number_after(text, "\ndecode\tnaive\t1\t"), 8106321408.0 / 494128128.0);
    assert_close(number_after(text, "\nbandwidth = "), 30);
    assert_close(number_after(text, "\npeak = "), 334);
    free(text);
}

int main(void)
{
#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, create_run, remove_run)
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_whole_set),
        RUN_TEST(test_paths_have_their_colours_everywhere),
        RUN_TEST(test_what_is_said),
        RUN_TEST(test_percentiles_need_samples),
        RUN_TEST(test_new_path_needs_no_editing),
        RUN_TEST(test_single_repetition),
        RUN_TEST(test_one_path),
        RUN_TEST(test_skipped_cells_of_the_grid),
        RUN_TEST(test_no_limits),
        RUN_TEST(test_limits_of_other_threads),
        RUN_TEST(test_each_lacking_suite_is_named),
        RUN_TEST(test_values_that_are_unknown),
        RUN_TEST(test_malformed_files),
        RUN_TEST(test_limits_of_tokens),
        RUN_TEST(test_phases_below_the_roof),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
