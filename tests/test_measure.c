/* The definitions of all figures on stamps made by hand; the order of rounds, and what a stall is. */
#include "measure/measure.h"
#include "measure/run.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000 /* ns */

/* A generation of n steps of a token each, whose stamps are ms[0..n]. */
static void make_generation(struct kv_generation *g, int batch, int n_prompt, const int *ms, int n)
{
    struct kv_error error;
    assert_ok(kv_generation_create(g, batch, n_prompt, n, &error), error);
    for (int i = 0; i <= n; i++) {
        g->stamps[i] = (int64_t)ms[i] * MS;
        g->n_given[i] = g->n_running[i] = i ? batch : 0;
    }
    g->n_steps = n;
}

static struct kv_figures figures_of(struct kv_generation *g)
{
    struct kv_figures figures;
    struct kv_error error;
    assert_ok(kv_figures_of(g, &figures, &error), error);
    kv_generation_free(g);
    return figures;
}

static void assert_figure(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-12 * fabs(expected)))
        fail_msg("%.17g instead of %.17g", value, expected);
}

/* Prompt of 21, batch 4, tokens at 40, 50, 70, 80 and 100 ms: steps of 10, 20, 10, 20. */
static void test_definitions(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 4, 21, (const int[]){0, 40, 50, 70, 80, 100}, 5);
    const struct kv_figures f = figures_of(&g);
    assert_figure(f.ttft_ms, 40);
    assert_figure(f.ttpt_ms, 60.0 / 4);
    assert_figure(f.ttpt_p50_ms, 15);
    assert_figure(f.ttpt_p95_ms, 20);
    assert_true(isnan(f.ttpt_p99_ms));
    assert_figure(f.e2e_ms, 100);
    assert_figure(f.prefill_tok_s, 4 * 21 / 0.040);
    assert_figure(f.decode_tok_s, 4 / 0.015);
    assert_figure(f.output_tok_s, 4 * 5 / 0.100);
}

/* The first token's latency is the prompt's, so it is in no step. */
static void test_first_token_is_no_step(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 1, 8, (const int[]){0, 1000, 1001, 1002}, 3);
    const struct kv_figures f = figures_of(&g);
    assert_figure(f.ttft_ms, 1000);
    assert_figure(f.ttpt_ms, 1);
    assert_figure(f.ttpt_p50_ms, 1);
    assert_figure(f.ttpt_p95_ms, 1);
}

static void test_one_token_has_no_steps(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 2, 10, (const int[]){0, 25}, 1);
    assert_true(isnan(kv_generation_rate(&g)));
    const struct kv_figures f = figures_of(&g);
    assert_figure(f.ttft_ms, 25);
    assert_figure(f.e2e_ms, 25);
    assert_figure(f.prefill_tok_s, 2 * 10 / 0.025);
    assert_figure(f.output_tok_s, 2 / 0.025);
    assert_true(isnan(f.ttpt_ms) && isnan(f.ttpt_p50_ms) && isnan(f.ttpt_p95_ms) && isnan(f.ttpt_p99_ms));
    assert_true(isnan(f.decode_tok_s));
}

static void test_nothing_done_is_all_unknown(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 1, 10, (const int[]){0, 1, 2}, 2);
    g.n_steps = 0;
    const struct kv_figures f = figures_of(&g);
    assert_true(isnan(f.ttft_ms) && isnan(f.ttpt_ms) && isnan(f.ttpt_p50_ms) && isnan(f.ttpt_p95_ms));
    assert_true(isnan(f.ttpt_p99_ms) && isnan(f.e2e_ms) && isnan(f.prefill_tok_s) && isnan(f.decode_tok_s));
    assert_true(isnan(f.output_tok_s));
}

/* What the window's end cut off is not counted, whatever room there was. */
static void test_only_what_was_done_counts(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 1, 4, (const int[]){0, 10, 12, 14, 0, 0}, 5);
    g.n_steps = 3;
    const struct kv_figures f = figures_of(&g);
    assert_figure(f.e2e_ms, 14);
    assert_figure(f.ttpt_ms, 2);
    assert_figure(f.output_tok_s, 3 / 0.014);
}

/* Steps of 1, 2 .. n ms in a mixed order; type 7 puts the p-quantile of these at 1 + (n - 1) p. */
static struct kv_figures figures_of_steps(int n)
{
    struct kv_generation g;
    int *ms = calloc((size_t)n + 2, sizeof *ms);
    assert_non_null(ms);
    ms[1] = 7;
    for (int i = 0; i < n; i++)
        ms[i + 2] = ms[i + 1] + 1 + i * 37 % n; /* n and 37 have no common factor */
    make_generation(&g, 1, 1, ms, n + 1);
    free(ms);
    return figures_of(&g);
}

static void test_p99_needs_100_samples(void **state)
{
    (void)state;
    const struct kv_figures few = figures_of_steps(99), enough = figures_of_steps(100);
    assert_true(isnan(few.ttpt_p99_ms));
    assert_figure(few.ttpt_p50_ms, 50);
    assert_figure(few.ttpt_p95_ms, 1 + 98 * 0.95);
    assert_figure(enough.ttpt_p99_ms, 1 + 99 * 0.99);
    assert_figure(enough.ttpt_p50_ms, 50.5);
    assert_figure(enough.ttpt_ms, 50.5);
}

/* Two sequences; steps that give 4, 3 and 1 tokens, the last to the one that had not ended. */
static void test_more_tokens_a_step(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 2, 8, (const int[]){0, 20, 40, 55, 60}, 4);
    memcpy(g.n_given, (const int[]){0, 2, 4, 3, 1}, 5 * sizeof *g.n_given);
    memcpy(g.n_running, (const int[]){0, 2, 2, 2, 1}, 5 * sizeof *g.n_running);
    assert_figure(kv_generation_rate(&g), 8 / 0.040);
    const struct kv_figures f = figures_of(&g);
    assert_figure(f.ttft_ms, 20);
    assert_figure(f.ttpt_ms, 40 / (2 + 1.5 + 1));
    assert_figure(f.ttpt_p50_ms, 15);
    assert_figure(f.output_tok_s, 2 * (1 + 2 + 1.5 + 1) / 0.060);
}

/* ---- Memory -------------------------------------------------------------------------------------------- */

static void test_rss_peak(void **state)
{
    const size_t bytes = (size_t)64 << 20;
    (void)state;
    kv_rss_reset_peak();
    const size_t before = kv_rss_peak();
    assert_true(before > 0);
    char *block = malloc(bytes);
    assert_non_null(block);
    memset(block, 1, bytes);
    __asm__ volatile("" : : "r"(block) : "memory"); /* or the compiler leaves all of it out */
    free(block);
    const size_t peak = kv_rss_peak();
    assert_true(peak >= bytes && peak >= before);
}

/* ---- Rounds ------------------------------------------------------------------------------------------- */

enum { TURNS = 7, ARMS = 3, CELLS = TURNS * ARMS, ROUNDS = 3000 };

/* Every cell once, the cells of a turn side by side; each cell as often at each place of its turn, and each turn as
 * often at each place, as a fair draw gives; and the same seed gives the same order. */
static void orders_are_fair(void **state)
{
    static int at[TURNS][TURNS], in_turn[CELLS][ARMS];
    struct kv_cell cells[CELLS] = {{.turn = 0}};
    const struct kv_plan plan = {.cells = cells, .n_cells = CELLS, .n_turns = TURNS};
    int order[2 * CELLS], again[2 * CELLS], n_changed = 0;
    (void)state;
    for (int i = 0; i < CELLS; i++)
        cells[i].turn = i / ARMS;
    for (int round = 1; round <= ROUNDS; round++) {
        bool seen[CELLS] = {false};
        kv_round_order(&plan, 11, round, order);
        kv_round_order(&plan, 11, round, again);
        assert_memory_equal(order, again, CELLS * sizeof *order);
        kv_round_order(&plan, 12, round, again);
        n_changed += memcmp(order, again, CELLS * sizeof *order) != 0;
        for (int i = 0; i < CELLS; i++) {
            assert_false(seen[order[i]]);
            seen[order[i]] = true;
            assert_int_equal(cells[order[i]].turn, cells[order[i - i % ARMS]].turn);
            in_turn[order[i]][i % ARMS]++;
            at[cells[order[i]].turn][i / ARMS] += i % ARMS == 0;
        }
    }
    assert_int_equal(n_changed, ROUNDS);
    /* six standard deviations of a binomial count */
    for (int i = 0; i < CELLS; i++)
        for (int k = 0; k < ARMS; k++)
            assert_true(fabs(in_turn[i][k] - ROUNDS / 3.0) < 6 * sqrt(ROUNDS * 2 / 9.0));
    for (int i = 0; i < TURNS; i++)
        for (int k = 0; k < TURNS; k++)
            assert_true(fabs(at[i][k] - ROUNDS / 7.0) < 6 * sqrt(ROUNDS * 6 / 49.0));
}

static void stalls_are_told_from_probes_and_counts(void **state)
{
    const struct kv_probe usual = {10, 100}, unknown = {NAN, NAN};
    const struct kv_strain calm = {.stolen_pct = 0, .cpu_ticks = 1000},
                           not_known = {.stolen_pct = NAN, .cpu_ticks = NAN};
    const struct kv_probes good = {.n = 2, .best = {9, 90}, .worst = {1, 1}};
    const struct kv_probes no_memory = {.n = 2, .best = {4.9, 90}}, no_cpu = {.n = 3, .best = {9, 49}};
    const struct kv_probes alone = {.n = 1, .best = {1, 1}}, none = {.n = 0};
    (void)state;
    assert_false(kv_is_stalled(&calm, &good, &usual));
    assert_false(kv_is_stalled(&not_known, &none, &unknown));
    assert_true(kv_is_stalled(&calm, &no_memory, &usual) && kv_is_stalled(&not_known, &no_cpu, &usual));
    assert_false(kv_is_stalled(&calm, &no_memory, &unknown)); /* nothing to compare with */
    assert_false(kv_is_stalled(&calm, &alone, &usual));
    assert_true(kv_is_stalled(&(struct kv_strain){.stolen_pct = 26, .cpu_ticks = 20}, &good, &usual));
    assert_false(kv_is_stalled(&(struct kv_strain){.stolen_pct = 25, .cpu_ticks = 20}, &good, &usual));
    assert_false(kv_is_stalled(&(struct kv_strain){.stolen_pct = 50, .cpu_ticks = 4}, &good, &usual)); /* too coarse */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_first_token_is_no_step),
        cmocka_unit_test(test_one_token_has_no_steps),
        cmocka_unit_test(test_nothing_done_is_all_unknown),
        cmocka_unit_test(test_only_what_was_done_counts),
        cmocka_unit_test(test_p99_needs_100_samples),
        cmocka_unit_test(test_more_tokens_a_step),
        cmocka_unit_test(test_rss_peak),
        cmocka_unit_test(orders_are_fair),
        cmocka_unit_test(stalls_are_told_from_probes_and_counts),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
