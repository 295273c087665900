/* What a summary says in words: findings and warnings, on runs made by hand. A ratio of medians of three values each
 * has its 95 % bootstrap interval from smallest / largest to largest / smallest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/summary.h"
#include "summary_folder.h"

/* ---- Findings ----------------------------------------------------------------------------------- */

/* Exactly these findings begin with the prefix, in this order. */
static void assert_findings(const char *folder, const char *prefix, const char *const *expected, size_t n)
{
    struct kv_summary *summary = load(folder);
    size_t n_found = 0;
    for (size_t i = 0; i < summary->n_findings; i++) {
        if (strncmp(summary->findings[i], prefix, strlen(prefix)) != 0)
            continue;
        assert_true(n_found < n || !"one finding too many");
        assert_string_equal(summary->findings[i], expected[n_found++]);
    }
    assert_int_equal(n_found, n);
    kv_summary_free(summary);
}
#define ASSERT_FINDINGS(folder, prefix, ...)                                                                           \
    assert_findings((folder), (prefix), (const char *const[]){__VA_ARGS__},                                            \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void assert_no_finding(const char *folder, const char *prefix)
{
    assert_findings(folder, prefix, NULL, 0);
}

static void test_faster_with_its_interval(void **state)
{
    PUT_RUNS(*state, {.batch = 8, .path = "naive", .ttpt_ms = {79, 78, 80}},
             {.batch = 8, .path = "cached", .ttpt_ms = {10, 9.75, 10.25}});
    ASSERT_FINDINGS(
        *state, "batch: ", "batch: cached decodes 7.9 times as fast as naive at batch 8 (95 % interval 7.6 to 8.2)");
}

static void test_slower_is_told_the_other_way_round(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 9, 11}}, {.path = "cached", .ttpt_ms = {30, 31, 29}});
    ASSERT_FINDINGS(
        *state, "batch: ", "batch: naive decodes 3.0 times as fast as cached at batch 1 (95 % interval 2.6 to 3.4)");
}

static void test_overlap_gives_no_claim(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 14, 15}}, {.path = "cached", .ttpt_ms = {8, 9, 10}});
    ASSERT_FINDINGS(*state, "batch: ",
                    "batch: at batch 1 no difference is seen between the decode speeds of cached and naive: their "
                    "intervals overlap");
    /* The interval of the ratio leaves out 1, those of the medians still overlap. */
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 11, 12, 13, 14}},
             {.path = "cached", .ttpt_ms = {9, 9.3, 9.6, 9.9, 10.5}});
    ASSERT_FINDINGS(*state, "batch: ",
                    "batch: at batch 1 no difference is seen between the decode speeds of cached and naive: their "
                    "intervals overlap");
}

static void test_nothing_to_compare(void **state)
{
    PUT_RUNS(*state, {.path = "cached", .ttpt_ms = {10, 11, 12}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 11, 12}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {100}}, {.path = "cached", .ttpt_ms = {10}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {100, 101, 102}},
             {.path = "cached", .ttpt_ms = {10, 11}, .status = "failed", .error = "the gate"});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .gemm = "reference", .ttpt_ms = {100, 101, 102}},
             {.path = "cached", .gemm = "openblas", .ttpt_ms = {10, 11, 12}});
    assert_no_finding(*state, "batch: ");
}

static void test_third_path_and_second_gemm(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {80, 80, 80}}, {.path = "cached", .ttpt_ms = {10, 10, 10}},
             {.path = "quantised", .ttpt_ms = {5, 5, 5}}, {.path = "naive", .gemm = "packed", .ttpt_ms = {40, 40, 40}},
             {.path = "quantised", .gemm = "packed", .ttpt_ms = {4, 4, 4}});
    ASSERT_FINDINGS(
        *state, "batch: ",
        "batch: cached decodes 8.0 times as fast as naive at batch 1, gemm openblas (95 % interval 8.0 to 8.0)",
        "batch: quantised decodes 16.0 times as fast as naive at batch 1, gemm openblas (95 % interval 16.0 to 16.0)",
        "batch: quantised decodes 10.0 times as fast as naive at batch 1, gemm packed (95 % interval 10.0 to 10.0)");
}

static void test_many_are_a_range(void **state)
{
    struct result results[16];
    for (int i = 0; i < 8; i++) {
        const double ttpt = i == 3 ? 10 : 20 * (i + 1);
        results[2 * i] = (struct result){
            .suite = "grid", .path = "naive", .prompt_tokens = 6 + i, .ttpt_ms = {ttpt, ttpt, ttpt}};
        results[2 * i + 1] = (struct result){.suite = "grid", .prompt_tokens = 6 + i, .ttpt_ms = {10, 10, 10}};
    }
    put_runs(*state, results, 16);
    ASSERT_FINDINGS(*state, "grid: ",
                    "grid: cached decodes at between 2.0 times (batch 1, context 16; 95 % interval 2.0 to 2.0) and "
                    "16.0 times (batch 1, context 23; 95 % interval 16.0 to 16.0) the speed of naive",
                    "grid: in 1 of 8 configurations no difference is seen between the decode speeds of cached and "
                    "naive: their intervals overlap");
}

/* ---- Growth ------------------------------------------------------------------------------------- */

/* tokens.csv of suite trace after a prompt of 6, 17 tokens: latency of step s = 0..15 is first + s * slope, in us. */
struct line {
    const char *path;
    int repetition;
    double first_us, slope_us;
    int n_tokens;
};

static void put_tokens(const char *folder, const struct line *lines, size_t n)
{
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    fputs("run_id,suite,path,batch,repetition,token,context_tokens,latency_ns\n", stream);
    for (size_t i = 0; i < n; i++)
        for (int token = 1; token <= lines[i].n_tokens; token++)
            fprintf(stream, "R1,trace,%s,1,%d,%d,%d,%.0f\n", lines[i].path, lines[i].repetition, token, 6 + token - 1,
                    token == 1 ? 9e9 : 1e3 * (lines[i].first_us + (token - 2) * lines[i].slope_us));
    fclose(stream);
    put_file(folder, "tokens.csv", text);
    free(text);
}
#define PUT_TOKENS(folder, ...)                                                                                        \
    put_tokens((folder), (const struct line[]){__VA_ARGS__},                                                           \
               sizeof((const struct line[]){__VA_ARGS__}) / sizeof(struct line))

static void put_trace(const char *folder)
{
    PUT_RUNS(folder, {.suite = "trace", .path = "naive", .new_tokens = 17, .ttpt_ms = {1, 1, 1}},
             {.suite = "trace", .path = "cached", .new_tokens = 17, .ttpt_ms = {1, 1, 1}});
}

/* Of 16 steps the medians of the first and last quarter are those of steps 1.5 and 13.5. */
static void test_trace_grows_or_is_flat(void **state)
{
    put_trace(*state);
    PUT_TOKENS(*state, {"naive", 1, 85, 10, 17}, {"naive", 2, 85, 10, 17}, {"naive", 3, 85, 10, 17},
               {"cached", 1, 100, 0, 17}, {"cached", 2, 200, 0, 17}, {"cached", 3, 98.5, 1, 17});
    ASSERT_FINDINGS(*state, "trace: the time",
                    "trace: the time per token of naive grows: at batch 1, a token in the last quarter of 17 takes 2.2 "
                    "times as long as one in the first (95 % interval 2.2 to 2.2)",
                    "trace: the time per token of cached shows no growth: at batch 1, a token in the last quarter of "
                    "17 takes 1.00 times as long as one in the first (95 % interval 1.00 to 1.12)");
    PUT_TOKENS(*state, {"cached", 1, 100, 0, 17}, {"cached", 2, 98.5, -0.25, 17}, {"cached", 3, 98.5, 0.5, 17});
    ASSERT_FINDINGS(*state, "trace: the time",
                    "trace: the time per token of cached is flat within 10 %: at batch 1, a token in the last quarter "
                    "of 17 takes 1.00 times as long as one in the first (95 % interval 0.97 to 1.06)");
    PUT_TOKENS(*state, {"cached", 1, 115, -10, 17}, {"cached", 2, 115, -1.25, 17}, {"cached", 3, 115, -2, 17});
    struct kv_summary *summary = load(*state);
    assert_true(fabs(summary->configurations[1].figures[KV_FIGURE_SLOPE_US].median + 2) < 1e-9);
    assert_int_equal(summary->configurations[0].figures[KV_FIGURE_SLOPE_US].n, 0);
    kv_summary_free(summary);
}

static void test_trace_of_one_repetition(void **state)
{
    PUT_RUNS(*state, {.suite = "trace", .new_tokens = 17, .ttpt_ms = {1}});
    PUT_TOKENS(*state, {"cached", 1, 85, 10, 17});
    assert_no_finding(*state, "trace: ");
    ASSERT_FINDINGS(*state, "throughput: ",
                    "throughput: the highest median is 1000 tok/s of decoding, cached at batch 1 in suite trace (one "
                    "repetition)");
}

/* A repetition that was killed left some tokens, or all but no row of runs.csv, and was measured again. */
static void test_trace_of_a_resumed_run(void **state)
{
    put_trace(*state);
    PUT_TOKENS(*state, {"cached", 1, 85, 10, 17}, {"cached", 2, 85, 99, 9}, {"cached", 2, 85, 10, 17},
               {"cached", 3, 85, 50, 12}, {"cached", 4, 85, 70, 17}, {"unknown", 1, 85, 70, 17});
    struct kv_summary *summary = load(*state);
    const struct kv_summary_sample *growth = &summary->configurations[1].figures[KV_FIGURE_GROWTH];
    assert_int_equal(growth->n, 2);
    assert_true(fabs(growth->values[0] - 2.2) < 1e-9 && fabs(growth->values[1] - 2.2) < 1e-9);
    kv_summary_free(summary);
}

/* tokens.csv names no gemm, so that it cannot be told which of the two a token belongs to. */
static void test_trace_that_is_ambiguous(void **state)
{
    PUT_RUNS(*state, {.suite = "trace", .new_tokens = 17, .ttpt_ms = {1, 1}},
             {.suite = "trace", .new_tokens = 17, .gemm = "packed", .ttpt_ms = {1, 1}});
    PUT_TOKENS(*state, {"cached", 1, 85, 10, 17}, {"cached", 2, 85, 10, 17});
    assert_no_finding(*state, "trace: the time");
}

static void test_depth_from_shortest_to_longest(void **state)
{
    PUT_RUNS(*state, {.suite = "depth", .prompt_tokens = 500, .ttpt_ms = {24, 25, 26}},
             {.suite = "depth", .prompt_tokens = 6, .ttpt_ms = {20, 20, 20}},
             {.suite = "depth", .prompt_tokens = 1000, .ttpt_ms = {30, 29, 31}},
             {.suite = "depth", .prompt_tokens = 1014, .ttpt_ms = {90}},
             {.suite = "depth", .path = "naive", .prompt_tokens = 6, .ttpt_ms = {20, 30, 40}},
             {.suite = "depth", .path = "naive", .prompt_tokens = 1000, .ttpt_ms = {39, 41, 42}},
             {.suite = "depth", .path = "steady", .prompt_tokens = 6, .ttpt_ms = {20, 20, 21}},
             {.suite = "depth", .path = "steady", .prompt_tokens = 1000, .ttpt_ms = {20, 20, 20.5}});
    ASSERT_FINDINGS(*state, "depth: the time",
                    "depth: the time per token of cached grows: at batch 1, a token at context 1010 takes 1.50 times "
                    "as long as at context 16 (95 % interval 1.45 to 1.55)",
                    "depth: the time per token of naive shows no growth: at batch 1, a token at context 1010 takes "
                    "1.37 times as long as at context 16 (95 % interval 0.97 to 2.10)",
                    "depth: the time per token of steady is flat within 10 %: at batch 1, a token at context 1010 "
                    "takes 1.00 times as long as at context 16 (95 % interval 0.95 to 1.02)");
}

/* ---- Memory and throughput ------------------------------------------------------------------------ */

static void test_bytes_a_token(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {9}}, {.ttpt_ms = {9}, .live_bytes = 73728.0 * 16},
             {.batch = 32, .ttpt_ms = {9}, .live_bytes = 73728.0 * 16 * 32});
    ASSERT_FINDINGS(*state, "memory: ",
                    "memory: cached keeps 73,728 B (0.0703 MiB) of keys and values a token and sequence; the most in "
                    "use was 36.0 MiB, at batch 32 and context 16");
    PUT_RUNS(*state, {.ttpt_ms = {9}, .live_bytes = 73728.0 * 16}, {.batch = 32, .ttpt_ms = {9}, .live_bytes = 73728});
    assert_no_finding(*state, "memory: ");
}

static void test_highest_throughput(void **state)
{
    PUT_RUNS(*state, {.batch = 4, .ttpt_ms = {10, 10, 10}}, {.batch = 8, .ttpt_ms = {16, 16.5, 17}},
             {.batch = 16, .ttpt_ms = {32.5, 33, 33.5}}, {.suite = "memory", .batch = 64, .ttpt_ms = {1, 1}});
    ASSERT_FINDINGS(*state, "throughput: ",
                    "throughput: the highest median is 485 tok/s of decoding, cached at batch 8 in suite batch (95 % "
                    "interval 471 to 500); 1 other is not told apart from it");
    PUT_RUNS(*state, {.batch = 4, .ttpt_ms = {10}}, {.batch = 8, .ttpt_ms = {16}});
    ASSERT_FINDINGS(*state, "throughput: ",
                    "throughput: the highest median is 500 tok/s of decoding, cached at batch 8 in suite batch (one "
                    "repetition)");
    PUT_RUNS(*state, {.status = "failed"});
    assert_no_finding(*state, "");
}

/* ---- Warnings ----------------------------------------------------------------------------------- */

static int warn(const char *folder, struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS])
{
    struct kv_summary *summary = load(folder);
    const int n = kv_summary_warnings(summary, warnings);
    kv_summary_free(summary);
    return n;
}

static void test_steady_run_warns_of_nothing(void **state)
{
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttpt_ms = {10, 10.1, 9.9, 10, 10.1, 9.9}}, {.batch = 2, .status = "failed"},
             {.suite = "memory", .new_tokens = 1, .ttpt_ms = {10}});
    assert_int_equal(warn(*state, warnings), 0);
}

/* stdev / mean by Python: TTPT 0.179 at batch 2, 0.268 at batch 3, 0.071 at batch 4; E2E 0.149, 0.224 and 0.059. */
static void test_the_worst_variations_are_named(void **state)
{
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttpt_ms = {5, 5, 5, 5, 5, 5}}, {.batch = 2, .ttpt_ms = {4, 6, 4, 6, 5, 5}},
             {.batch = 3, .ttpt_ms = {3.5, 6.5, 3.5, 6.5, 5, 5}},
             {.batch = 4, .ttpt_ms = {4.5, 5.5, 4.75, 5.25, 5, 5}});
    assert_int_equal(warn(*state, warnings), 4);
    assert_string_equal(warnings[0].text,
                        "TTPT of cached at batch 3 in suite batch varies by 27 % (coefficient of variation of 6 "
                        "repetitions): stop what else runs here, or take more with --reps");
    assert_holds(warnings[1].text, "E2E of cached at batch 3 in suite batch varies by 22 %");
    assert_holds(warnings[2].text, "TTPT of cached at batch 2 in suite batch varies by 18 %");
    assert_string_equal(warnings[3].text, "3 more figures vary by more than 5 %: the columns ttft_ms_cv, ttpt_ms_cv "
                                          "and e2e_ms_cv of summary.csv tell which");
    for (int i = 0; i < 4; i++)
        assert_int_equal(warnings[i].severity, KV_SEVERITY_WARNING);
}

/* Quartiles of TTPT 20.175 and 20.525: fences at 19.65 and 21.05, the far ones at 19.125 and 21.575. */
static void test_outliers_are_kept(void **state)
{
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttft_ms = {900, 900, 900, 900, 900, 900, 900, 900},
                      .ttpt_ms = {20.3, 20.1, 20.2, 20, 20.4, 20.5, 22, 20.6}});
    assert_int_equal(warn(*state, warnings), 1);
    assert_int_equal(warnings[0].severity, KV_SEVERITY_INFO);
    assert_string_equal(warnings[0].text,
                        "2 of 24 values of TTFT, TTPT and E2E lie beyond Tukey's fences, 2 of them far: they are kept, "
                        "and medians bear them; where they matter, run again with nothing else running here");
}

static void test_few_repetitions(void **state)
{
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttpt_ms = {5, 5, 5}}, {.batch = 2, .ttpt_ms = {5, 5, 5, 5, 5}}, {.batch = 4, .ttpt_ms = {5}});
    assert_int_equal(warn(*state, warnings), 2);
    assert_string_equal(warnings[0].text,
                        "2 configurations have fewer than 6 repetitions, at the least 3: even from the smallest to the "
                        "largest of 3 the true median is missed 25 % of the time, so a 95 % interval promises less "
                        "than its name; use --reps 6 or more");
    assert_string_equal(warnings[1].text, "1 configuration was measured once: one value has no spread and supports no "
                                          "finding; use --reps 6 or more");
}

static void test_findings_and_intervals_repeat(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {80, 81, 84, 79, 83, 82, 78}},
             {.path = "cached", .ttpt_ms = {10, 10.5, 9.75, 10.25, 10.75, 9.5, 9.9}});
    struct kv_summary *first = load(*state), *second = load(*state);
    char *text = printed(first), *again = printed(second);
    assert_string_equal(text, again);
    assert_holds(text, "\nFindings\n- batch: cached decodes 8.");
    free(text);
    free(again);
    kv_summary_free(first);
    kv_summary_free(second);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_faster_with_its_interval),
        TEST(test_slower_is_told_the_other_way_round),
        TEST(test_overlap_gives_no_claim),
        TEST(test_nothing_to_compare),
        TEST(test_third_path_and_second_gemm),
        TEST(test_many_are_a_range),
        TEST(test_trace_grows_or_is_flat),
        TEST(test_trace_of_one_repetition),
        TEST(test_trace_of_a_resumed_run),
        TEST(test_trace_that_is_ambiguous),
        TEST(test_depth_from_shortest_to_longest),
        TEST(test_bytes_a_token),
        TEST(test_highest_throughput),
        TEST(test_steady_run_warns_of_nothing),
        TEST(test_the_worst_variations_are_named),
        TEST(test_outliers_are_kept),
        TEST(test_few_repetitions),
        TEST(test_findings_and_intervals_repeat),
    };
    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
