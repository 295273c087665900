/* The definitions of all figures on stamps made by hand, and one real generation. */
#include "measure/measure.h"
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS 1000000 /* ns */

/* A generation of n tokens whose stamps are t0 + ms[0..n]. */
static void make_generation(struct kv_generation *g, int batch, const int *ms, int n)
{
    const int64_t t0 = 1234567890123456789;
    struct kv_error error;
    assert_ok(kv_generation_create(g, batch, n, &error), error);
    for (int i = 0; i <= n; i++)
        g->stamps[i] = t0 + (int64_t)ms[i] * MS;
    g->n_done = n;
}

static struct kv_figures figures_of(struct kv_generation *g, int batch, int n_prompt)
{
    struct kv_figures figures;
    struct kv_error error;
    assert_ok(kv_figures_of(g, batch, n_prompt, &figures, &error), error);
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
    make_generation(&g, 4, (const int[]){0, 40, 50, 70, 80, 100}, 5);
    const struct kv_figures f = figures_of(&g, 4, 21);
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
    make_generation(&g, 1, (const int[]){0, 1000, 1001, 1002}, 3);
    const struct kv_figures f = figures_of(&g, 1, 8);
    assert_figure(f.ttft_ms, 1000);
    assert_figure(f.ttpt_ms, 1);
    assert_figure(f.ttpt_p50_ms, 1);
    assert_figure(f.ttpt_p95_ms, 1);
}

static void test_one_token_has_no_steps(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 2, (const int[]){0, 25}, 1);
    const struct kv_figures f = figures_of(&g, 2, 10);
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
    make_generation(&g, 1, (const int[]){0, 1, 2}, 2);
    g.n_done = 0;
    const struct kv_figures f = figures_of(&g, 1, 10);
    assert_true(isnan(f.ttft_ms) && isnan(f.ttpt_ms) && isnan(f.ttpt_p50_ms) && isnan(f.ttpt_p95_ms));
    assert_true(isnan(f.ttpt_p99_ms) && isnan(f.e2e_ms) && isnan(f.prefill_tok_s) && isnan(f.decode_tok_s));
    assert_true(isnan(f.output_tok_s));
}

/* What the window's end cut off is not counted, whatever room there was. */
static void test_only_what_was_done_counts(void **state)
{
    struct kv_generation g;
    (void)state;
    make_generation(&g, 1, (const int[]){0, 10, 12, 14, 0, 0}, 5);
    g.n_done = 3;
    const struct kv_figures f = figures_of(&g, 1, 4);
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
    make_generation(&g, 1, ms, n + 1);
    free(ms);
    return figures_of(&g, 1, 1);
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

/* ---- A real generation --------------------------------------------------------------------------------- */

struct bench {
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_session *session;
};

static void open_bench(struct bench *bench, const char *name, const char *path, int capacity)
{
    struct kv_error error;
    load_case(&bench->c, name);
    assert_ok(kv_pool_create(&bench->pool, 1, &error), error);
    assert_ok(kv_model_load(&bench->model, bench->c.folder, NULL, NULL, bench->pool, &error), error);
    const struct kv_session_options options = {.path = path, .batch = bench->c.batch, .capacity = capacity};
    assert_ok(kv_session_create(&bench->session, bench->model, bench->pool, &options, &error), error);
}

static void close_bench(struct bench *bench)
{
    kv_session_free(bench->session);
    kv_model_free(bench->model);
    kv_pool_free(bench->pool);
    free_case(&bench->c);
}

static void check_tokens(const struct bench *bench, const struct kv_generation *g)
{
    for (int b = 0; b < bench->c.batch; b++)
        assert_memory_equal(g->tokens + b * g->n_new, bench->c.greedy + b * bench->c.n_greedy + bench->c.n_tokens,
                            (size_t)g->n_done * sizeof *g->tokens);
}

static void test_generation(void **state)
{
    struct kv_error error;
    struct kv_generation g;
    (void)state;
    for (int p = 0; kv_path_choice(p); p++) {
        struct bench bench;
        open_bench(&bench, "tiny-f32", kv_path_choice(p)->name, 0);
        const int n = bench.c.n_greedy - bench.c.n_tokens;
        assert_ok(kv_generation_create(&g, bench.c.batch, n, &error), error);
        for (int repetition = 0; repetition < 2; repetition++) {
            const int64_t before = kv_now_ns();
            assert_ok(kv_generate(bench.session, bench.c.batch, bench.c.tokens, bench.c.n_tokens, n, &g, &error),
                      error);
            assert_true(before <= g.stamps[0] && g.stamps[n] <= kv_now_ns());
            assert_int_equal(g.n_done, n);
            for (int i = 0; i < n; i++)
                assert_true(g.stamps[i] < g.stamps[i + 1]);
            check_tokens(&bench, &g);
            assert_int_equal(g.kv_live_bytes, kv_session_kv_live_bytes(bench.session));
        }
        kv_generation_free(&g);
        close_bench(&bench);
    }
}

/* Fewer tokens than there is room for keep their places in [B, N]. */
static void test_fewer_tokens_than_room(void **state)
{
    struct bench bench;
    struct kv_error error;
    struct kv_generation g;
    (void)state;
    open_bench(&bench, "tiny-f32", "cached", 0);
    assert_ok(kv_generation_create(&g, bench.c.batch, 10, &error), error);
    assert_ok(kv_generate(bench.session, bench.c.batch, bench.c.tokens, bench.c.n_tokens, 3, &g, &error), error);
    assert_int_equal(g.n_done, 3);
    check_tokens(&bench, &g);
    kv_generation_free(&g);
    close_bench(&bench);
}

/* KV bytes at the end: keys and values of every position that was run, which the last token was not. */
static void test_live_bytes(void **state)
{
    struct kv_error error;
    struct kv_generation g;
    (void)state;
    for (int p = 0; kv_path_choice(p); p++) {
        struct bench bench;
        open_bench(&bench, "tiny-f32", kv_path_choice(p)->name, 0);
        const struct kv_config *c = kv_model_config(bench.model);
        const size_t positions = (size_t)(bench.c.n_tokens + 8 - 1) * (size_t)bench.c.batch;
        const bool cached = strcmp(kv_path_choice(p)->name, "cached") == 0;
        assert_ok(kv_generation_create(&g, bench.c.batch, 8, &error), error);
        assert_ok(kv_generate(bench.session, bench.c.batch, bench.c.tokens, bench.c.n_tokens, 8, &g, &error), error);
        assert_int_equal(g.kv_live_bytes, cached ? 2 * (size_t)c->n_layer * (size_t)c->n_embd * positions * 4 : 0);
        kv_generation_free(&g);
        close_bench(&bench);
    }
}

static void test_window_end(void **state)
{
    struct bench bench;
    struct kv_error error = {""};
    struct kv_generation g;
    (void)state;
    open_bench(&bench, "odd-f16", "cached", 0);
    const int n_positions = kv_model_config(bench.model)->n_positions, n = bench.c.n_greedy - bench.c.n_tokens;
    assert_ok(kv_generation_create(&g, bench.c.batch, n, &error), error);
    assert_int_equal(kv_generate(bench.session, bench.c.batch, bench.c.tokens, bench.c.n_tokens, n, &g, &error),
                     KV_WINDOW_FULL);
    assert_int_equal(g.n_done, n_positions + 1 - bench.c.n_tokens);
    check_tokens(&bench, &g);
    kv_generation_free(&g);
    close_bench(&bench);
}

static void test_error_leaves_nothing_done(void **state)
{
    struct bench bench;
    struct kv_error error = {""};
    struct kv_generation g;
    (void)state;
    open_bench(&bench, "tiny-f32", "cached", 0);
    assert_ok(kv_generation_create(&g, bench.c.batch, 4, &error), error);
    g.n_done = 4;
    bench.c.tokens[0] = kv_model_config(bench.model)->vocab_size;
    assert_int_equal(kv_generate(bench.session, bench.c.batch, bench.c.tokens, bench.c.n_tokens, 4, &g, &error),
                     KV_ERROR_ARGUMENT);
    assert_int_equal(g.n_done, 0);
    assert_true(*error.message);
    kv_generation_free(&g);
    close_bench(&bench);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_definitions),
        cmocka_unit_test(test_first_token_is_no_step),
        cmocka_unit_test(test_one_token_has_no_steps),
        cmocka_unit_test(test_nothing_done_is_all_unknown),
        cmocka_unit_test(test_only_what_was_done_counts),
        cmocka_unit_test(test_p99_needs_100_samples),
        cmocka_unit_test(test_generation),
        cmocka_unit_test(test_fewer_tokens_than_room),
        cmocka_unit_test(test_live_bytes),
        cmocka_unit_test(test_window_end),
        cmocka_unit_test(test_error_leaves_nothing_done),
        cmocka_unit_test(test_rss_peak),
    };
    return cmocka_run_group_tests_name("measure", tests, NULL, NULL);
}
