/* What a run shows, in words, on runs made by hand: findings, which say a difference only where kv_judge sees one, and
 * warnings. Of six rounds the 95 % interval of a ratio goes from the smallest ratio of a round to the largest. */
#include "run_folder.h"

#include "results/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Findings ----------------------------------------------------------------------------------- */

/* Exactly these findings begin with the prefix, in this order. */
static void assert_findings(const char *folder, const char *prefix, const char *const *expected, size_t n)
{
    struct kv_results *results = load(folder);
    struct kv_finding *findings;
    size_t n_all, n_found = 0;
    char text[KV_FINDING_SIZE];
    assert_int_equal(kv_findings_find(results, &findings, &n_all, NULL), KV_OK);
    for (size_t i = 0; i < n_all; i++) {
        kv_finding_text(results, &findings[i], text, sizeof text);
        if (strncmp(text, prefix, strlen(prefix)) != 0)
            continue;
        if (n_found == n)
            fail_msg("one finding too many: %s", text);
        assert_string_equal(text, expected[n_found++]);
    }
    assert_int_equal(n_found, n);
    free(findings);
    kv_results_free(results);
}
#define ASSERT_FINDINGS(folder, prefix, ...)                                                                           \
    assert_findings((folder), (prefix), (const char *const[]){__VA_ARGS__},                                            \
                    sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static void assert_no_finding(const char *folder, const char *prefix)
{
    assert_findings(folder, prefix, NULL, 0);
}

static void test_faster_slower_or_neither(void **state)
{
    PUT_RUNS(*state, {.batch = 8, .path = "naive", .ttpt_ms = {79, 78, 80, 79, 79, 79}},
             {.batch = 8, .path = "cached", .ttpt_ms = {10, 9.75, 10.25, 10, 10, 10}});
    ASSERT_FINDINGS(
        *state, "batch: ", "batch: cached decodes 7.9 times as fast as naive at batch 8 (95 % interval 7.8 to 8.0)");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 9, 11, 10, 20, 10}},
             {.path = "cached", .ttpt_ms = {30, 27, 33, 30, 56, 31}});
    ASSERT_FINDINGS(
        *state, "batch: ", "batch: naive decodes 3.0 times as fast as cached at batch 1 (95 % interval 2.8 to 3.1)");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 12, 14, 15, 16, 10}},
             {.path = "cached", .ttpt_ms = {8, 9, 10.5, 13, 12, 11}});
    ASSERT_FINDINGS(
        *state, "batch: ",
        "batch: at batch 1 the decode speeds of cached and naive are not told apart yet: about 7 rounds are "
        "needed");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 12, 14, 15, 16, 10}},
             {.path = "cached", .ttpt_ms = {10.1, 12, 14, 15, 16, 10}});
    ASSERT_FINDINGS(
        *state, "batch: ",
        "batch: at batch 1 cached and naive decode equally fast within 2 % (ratio 1.00, 95 % interval 0.99 to "
        "1.00)");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {100, 101, 102}}, {.path = "cached", .ttpt_ms = {10, 11, 12}});
    ASSERT_FINDINGS(
        *state, "batch: ",
        "batch: at batch 1 the decode speeds of cached and naive are not told apart yet: about 6 rounds are "
        "needed");
}

/* An arm that the run had no time for takes a ratio with it, and that is said. */
static void test_an_arm_is_missing(void **state)
{
    PUT_RUNS(*state, {.batch = 8, .path = "naive", .status = "skipped", .error = "left out: it would take long"},
             {.batch = 8, .ttpt_ms = {10, 10, 10, 10, 10, 10}});
    ASSERT_FINDINGS(*state, "batch: ",
                    "batch: at batch 8 there is no ratio of cached to naive, which was skipped: left out: it would "
                    "take long");
    PUT_RUNS(*state, {.batch = 1, .path = "naive", .ttpt_ms = {20, 20, 20, 20, 20, 20}},
             {.batch = 1, .ttpt_ms = {10, 10, 10, 10, 10, 10}}, {.batch = 2, .path = "naive", .ttpt_ms = {20}},
             {.batch = 2, .ttpt_ms = {10, 10, 10, 10, 10, 10}}, {.batch = 4, .path = "naive", .ttpt_ms = {20, 20}},
             {.batch = 4, .status = "failed", .error = "gate"}, {.batch = 8, .path = "naive", .status = "skipped"},
             {.batch = 8, .status = "skipped"});
    ASSERT_FINDINGS(*state,
                    "batch: ", "batch: cached decodes 2.0 times as fast as naive at batch 1 (95 % interval 2.0 to 2.0)",
                    "batch: in 2 of 3 cells, as at batch 2, there is no ratio of cached to naive, which has too few "
                    "repetitions");
}

static void test_nothing_to_compare(void **state)
{
    PUT_RUNS(*state, {.path = "cached", .ttpt_ms = {10, 11, 12, 13}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 11, 12, 13}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {100}}, {.path = "cached", .ttpt_ms = {10}});
    assert_no_finding(*state, "batch: ");
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {100, 101, 102, 103}},
             {.path = "cached", .ttpt_ms = {10, 11, 12, 13}, .status = "failed", .error = "the gate"});
    ASSERT_FINDINGS(*state,
                    "batch: ", "batch: at batch 1 there is no ratio of naive to cached, which failed: the gate");
    PUT_RUNS(*state, {.path = "naive", .gemm = "reference", .ttpt_ms = {100, 101, 102, 103}},
             {.path = "cached", .gemm = "openblas", .ttpt_ms = {10, 11, 12, 13}});
    assert_no_finding(*state, "batch: ");
}

/* Every arm against the naive path, and, of any other axis, against what was measured first. */
static void test_axes(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {80, 80, 80, 80, 80, 80}},
             {.path = "cached", .ttpt_ms = {10, 10, 10, 10, 10, 10}},
             {.path = "tomorrow", .ttpt_ms = {5, 5, 5, 5, 5, 5}},
             {.path = "naive", .gemm = "packed", .ttpt_ms = {40, 40, 40, 40, 40, 40}},
             {.path = "tomorrow", .gemm = "packed", .ttpt_ms = {4, 4, 4, 4, 4, 4}});
    ASSERT_FINDINGS(
        *state, "batch: ",
        "batch: cached decodes 8.0 times as fast as naive at batch 1, gemm openblas (95 % interval 8.0 to 8.0)",
        "batch: tomorrow decodes 16.0 times as fast as naive at batch 1, gemm openblas (95 % interval 16.0 to 16.0)",
        "batch: tomorrow decodes 10.0 times as fast as naive at batch 1, gemm packed (95 % interval 10.0 to 10.0)",
        "batch: gemm packed decodes 2.0 times as fast as gemm openblas at batch 1 on path naive (95 % interval 2.0 to "
        "2.0)",
        "batch: gemm packed decodes 1.25 times as fast as gemm openblas at batch 1 on path tomorrow (95 % interval "
        "1.25 "
        "to 1.25)");
}

static void test_many_are_a_range(void **state)
{
    struct result results[16];
    for (int i = 0; i < 8; i++) {
        const double ttpt = i == 3 ? 10 : 20 * (i + 1), last = i == 2 ? 0 : 1;
        results[2 * i] = (struct result){.suite = "grid",
                                         .path = "naive",
                                         .prompt_tokens = 6 + i,
                                         .ttpt_ms = {ttpt, ttpt, ttpt, ttpt, ttpt, last * ttpt}};
        results[2 * i + 1] = (struct result){
            .suite = "grid", .prompt_tokens = 6 + i, .ttpt_ms = {10, 10, 10, 10, 10, 10}};
    }
    put_runs(*state, results, 16);
    ASSERT_FINDINGS(
        *state, "grid: ",
        "grid: cached decodes at between 2.0 times (batch 1, context 16; 95 % interval 2.0 to 2.0) and "
        "16.0 times (batch 1, context 23; 95 % interval 16.0 to 16.0) the speed of naive",
        "grid: in 1 of 8 cells cached and naive decode equally fast within 2 %",
        "grid: in 1 of 8 cells the decode speeds of cached and naive are not told apart yet: about 6 rounds "
        "are needed");
}

/* ---- Growth ------------------------------------------------------------------------------------- */

/* Six repetitions of 17 tokens of a path's trace: latency of step s = 0..15 is first + s * slope, in us. */
static void add_tokens(char *text, size_t size, const char *path, const double slopes_us[6], double first_us)
{
    char id[KV_CELL_ID_SIZE];
    const bool keeps = strcmp(path, "naive") != 0;
    snprintf(id, sizeof id, "trace/%s/w-f32/%sopenblas/avx2/t2/b1/p6/n17/x22", path, keeps ? "contiguous/kv-f32/" : "");
    for (int repetition = 1; repetition <= 6; repetition++)
        for (int token = 1; token <= 17; token++)
            snprintf(text + strlen(text), size - strlen(text), "R1,%s,trace,%s,1,%d,%d,%d,%.0f,,,\n", id, path,
                     repetition, token, 5 + token,
                     token == 1 ? 9e9 : 1e3 * (first_us + repetition + (token - 2) * slopes_us[repetition - 1]));
}

/* Of 16 steps the medians of the first and last quarter are those of steps 1.5 and 13.5. */
static void test_trace_grows_or_is_flat(void **state)
{
    static char text[1 << 17];
    PUT_RUNS(*state, {.suite = "trace", .path = "plain", .new_tokens = 17, .ttpt_ms = {1, 1, 1, 1, 1, 1}},
             {.suite = "trace", .path = "cached", .new_tokens = 17, .ttpt_ms = {1, 1, 1, 1, 1, 1}},
             {.suite = "trace", .path = "tomorrow", .new_tokens = 17, .ttpt_ms = {1, 1, 1, 1, 1, 1}});
    snprintf(text, sizeof text,
             "run_id,cell,suite,path,batch,repetition,token,context_tokens,latency_ns,flops,bytes,limit_ns\n");
    add_tokens(text, sizeof text, "plain", (double[]){10, 10, 10, 9, 11, 10}, 82.5);
    add_tokens(text, sizeof text, "cached", (double[]){0, 0.05, -0.05, 0, 0, 0}, 98.5);
    add_tokens(text, sizeof text, "tomorrow", (double[]){-4, 4, 2, -4, 0, 1}, 98.5);
    put_file(*state, "tokens.csv", text);
    ASSERT_FINDINGS(
        *state, "trace: ",
        "trace: a step of plain takes 10.0 us more per token of context (95 % interval 9.00 to 11.0), at batch "
        "1; in the last quarter of 17 tokens 2.2 times as long as in the first (95 % interval 2.1 to 2.3)",
        "trace: a step of cached is flat within 2 % (0 us per token of context, 95 % interval -0.0500 to "
        "0.0500), at batch 1; in the last quarter of 17 tokens 1.00 times as long as in the first (95 % "
        "interval 0.99 to 1.01)",
        "trace: whether a step of tomorrow grows with the context cannot be told: the interval of its slope, "
        "-4.00 to 4.00 us per token, holds 0, at batch 1");
}

static void test_depth_from_shortest_to_longest(void **state)
{
    PUT_RUNS(*state, {.suite = "depth", .prompt_tokens = 506, .ttpt_ms = {25, 50, 25, 25, 26, 25}},
             {.suite = "depth", .prompt_tokens = 6, .ttpt_ms = {20, 40, 20, 20, 20, 20}},
             {.suite = "depth", .prompt_tokens = 1006, .ttpt_ms = {30, 60, 31, 30, 29, 30}},
             {.suite = "depth", .prompt_tokens = 1014, .ttpt_ms = {90}},
             {.suite = "depth", .path = "erratic", .prompt_tokens = 6, .ttpt_ms = {20, 30, 40, 41, 20, 30}},
             {.suite = "depth", .path = "erratic", .prompt_tokens = 1006, .ttpt_ms = {39, 41, 42, 43, 10, 20}},
             {.suite = "depth", .path = "steady", .prompt_tokens = 6, .ttpt_ms = {20, 20, 20, 20, 30, 20}},
             {.suite = "depth", .path = "steady", .prompt_tokens = 1006, .ttpt_ms = {20, 20, 20.2, 20, 30, 20}},
             {.suite = "depth", .path = "seldom", .prompt_tokens = 6, .ttpt_ms = {20, 20}},
             {.suite = "depth", .path = "seldom", .prompt_tokens = 1006, .ttpt_ms = {40, 40}});
    ASSERT_FINDINGS(
        *state, "depth: ",
        "depth: a step of cached takes 10.0 us more per token of context (95 % interval 9.00 to 20.0), at batch "
        "1; at context 1016 1.50 times as long as at context 16 (95 % interval 1.45 to 1.55)",
        "depth: whether a step of erratic grows with the context cannot be told: the interval of its slope, "
        "-10.0 to 19.0 us per token, holds 0, at batch 1",
        "depth: a step of steady is flat within 2 % (0 us per token of context, 95 % interval 0 to 0.200), at "
        "batch 1; at context 1016 1.00 times as long as at context 16 (95 % interval 1.00 to 1.01)",
        "depth: whether a step of seldom grows with the context cannot be told from 2 rounds: 6 are the least, "
        "at batch 1");
}

/* Memory that changes its speed within rounds is taken out by the probes, and that is said. */
static void test_depth_on_a_moving_machine(void **state)
{
    PUT_RUNS(*state,
             {.suite = "depth",
              .prompt_tokens = 6,
              .ttpt_ms = {20, 40, 20, 20, 40, 20},
              .probe_read = {8e10, 4e10, 8e10, 8e10, 4e10, 8e10}},
             {.suite = "depth",
              .prompt_tokens = 1006,
              .ttpt_ms = {30, 30, 60, 30, 30, 60},
              .probe_read = {8e10, 8e10, 4e10, 8e10, 8e10, 4e10}});
    ASSERT_FINDINGS(*state, "depth: ",
                    "depth: a step of cached takes 10.0 us more per token of context (95 % interval 10.0 to 10.0), at "
                    "batch 1, with times corrected by the probes to reading at 80.0 GB/s; at context 1016 1.5000 times "
                    "as long as at context 16 (95 % interval 1.5000 to 1.5000)");
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
    PUT_RUNS(*state, {.batch = 4, .ttpt_ms = {10, 10, 10, 10, 10, 10}},
             {.batch = 8, .ttpt_ms = {16.5, 16, 17, 16.5, 16.5, 16.5}},
             {.batch = 16, .ttpt_ms = {32.5, 33, 33.5, 33, 33, 33}},
             {.suite = "memory", .batch = 64, .ttpt_ms = {1, 1}});
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

static void test_what_beats_its_limit(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {0.9, 2, 0.8, 2, 2, 2}}, {.batch = 2, .ttpt_ms = {2}});
    ASSERT_FINDINGS(
        *state, "limits: ",
        "limits: of 7 repetitions 2 were faster than their probes allow, and have no share of the limit; most of "
        "them: batch/cached/w-f32/contiguous/kv-f32/openblas/avx2/t2/b1/p6/n11/x16");
}

/* ---- Warnings ----------------------------------------------------------------------------------- */

static int warn(const char *folder, struct kv_warning warnings[KV_MAX_WARNINGS])
{
    struct kv_results *results = load(folder);
    const int n = kv_results_warnings(results, warnings);
    kv_results_free(results);
    return n;
}

static void test_steady_run_warns_of_nothing(void **state)
{
    struct kv_warning warnings[KV_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttpt_ms = {10, 10.1, 9.9, 10, 10.1, 9.9}}, {.batch = 2, .status = "failed"},
             {.suite = "memory", .new_tokens = 1, .ttpt_ms = {10}});
    assert_int_equal(warn(*state, warnings), 0);
}

/* Quartiles of TTPT 20.175 and 20.525: fences at 19.65 and 21.05, the far ones at 19.125 and 21.575. */
static void test_outliers_are_kept(void **state)
{
    struct kv_warning warnings[KV_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttft_ms = {900, 900, 900, 900, 900, 900, 900, 900},
                      .ttpt_ms = {20.3, 20.1, 20.2, 20, 20.4, 20.5, 22, 20.6}});
    assert_int_equal(warn(*state, warnings), 1);
    assert_int_equal(warnings[0].severity, KV_SEVERITY_INFO);
    assert_string_equal(
        warnings[0].text,
        "2 of 24 values of TTFT, TTPT (TPOT) and E2E lie beyond Tukey's fences, 2 of them far: they are kept, "
        "and the medians barely move; where they matter, run again with nothing else running here");
}

static void test_few_repetitions(void **state)
{
    struct kv_warning warnings[KV_MAX_WARNINGS];
    PUT_RUNS(*state, {.ttpt_ms = {5, 5, 5, 5, 5, 5}, .status = "stalled"});
    assert_int_equal(warn(*state, warnings), 1);
    assert_string_equal(warnings[0].text, "1 repetition was stalled by the machine beside 6 that are ok: it is in no "
                                          "figure, and its rows stay in the files");
    PUT_RUNS(*state, {.ttpt_ms = {5, 5, 5}}, {.batch = 2, .ttpt_ms = {5, 5, 5, 5, 5}}, {.batch = 4, .ttpt_ms = {5}});
    assert_int_equal(warn(*state, warnings), 2);
    assert_string_equal(warnings[0].text,
                        "2 cells have fewer than 6 repetitions, at the least 3: the true median lies outside the "
                        "smallest and the largest of 3 in 25 % of cases, so their interval covers less than 95 %; use "
                        "--reps 6 or more");
    assert_string_equal(warnings[1].text, "1 cell was measured once: one value has no spread and supports no "
                                          "finding; use --reps 6 or more");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_faster_slower_or_neither),
        TEST(test_nothing_to_compare),
        TEST(test_an_arm_is_missing),
        TEST(test_axes),
        TEST(test_many_are_a_range),
        TEST(test_trace_grows_or_is_flat),
        TEST(test_depth_from_shortest_to_longest),
        TEST(test_depth_on_a_moving_machine),
        TEST(test_bytes_a_token),
        TEST(test_highest_throughput),
        TEST(test_what_beats_its_limit),
        TEST(test_steady_run_warns_of_nothing),
        TEST(test_outliers_are_kept),
        TEST(test_few_repetitions),
    };
    return cmocka_run_group_tests_name("findings", tests, NULL, NULL);
}
