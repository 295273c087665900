/* Caches of a budget: window by an independent reference in double that masks, random and heavy by what they are. */
#include "unit.h"

#include "plain_gpt2.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TOKENS = 160, V = 37 };

static int32_t tokens[4 * MOST_TOKENS];

static int draw_tokens(void **state)
{
    uint64_t random = 5;
    (void)state;
    for (size_t i = 0; i < COUNT(tokens); i++)
        tokens[i] = random_between(&random, 0, V - 1);
    return 0;
}
GROUP(draw_tokens, NULL)

/* A model of any shape that has heads of head_size. */
static struct kv_config shape(int n_layer, int n_head, int head_size, int n_positions)
{
    const int C = n_head * head_size;
    return (struct kv_config){n_layer, n_head, C, 2 * C, V, n_positions, KV_GELU_NEW, 1e-5f};
}

static const char *window_name(char name[40], int sinks, int recent)
{
    snprintf(name, 40, "window:%d+%d", sinks, recent);
    return name;
}

/* Logits [n, V] of a session that is given n tokens in pieces of `piece`. */
static void run_in_pieces(struct kv_session *s, int n, int piece, float *logits)
{
    kv_session_reset(s);
    for (int at = 0; at < n; at += piece) {
        const int m = n - at < piece ? n - at : piece;
        OK(kv_session_prefill(s, tokens + at, m, logits + (size_t)at * V, &error));
    }
}

/* ---- Window: cached = naive = the reference ------------------------------------------------------------------- */

static void check_shape(uint64_t *random, struct kv_pool *pool)
{
    const int n_positions = random_between(random, 20, MOST_TOKENS), n = n_positions;
    const struct kv_config config = shape(random_between(random, 1, 3), random_between(random, 1, 3),
                                          random_between(random, 3, 40), n_positions);
    const int sinks = random_between(random, 0, 6), recent = random_between(random, 1, n_positions - sinks);
    struct kv_model *model = synthesize(&config, next_random(random), "reference", 1);
    struct plain_gpt2 plain;
    double *expected = calloc((size_t)n * V, sizeof *expected);
    float *rounded = calloc((size_t)n * V, sizeof *rounded), *logits = calloc((size_t)n * V, sizeof *logits);
    float *cached = calloc((size_t)n * V, sizeof *cached);
    assert_true(expected && rounded && logits && cached);
    plain_gpt2_run_window(&plain, model, tokens, n, sinks, recent, expected);
    for (size_t i = 0; i < (size_t)n * V; i++)
        rounded[i] = (float)expected[i];
    char name[40];
    for (int p = 0; kv_path_choice(p); p++)
        for (int k = 0; k < 3; k++) {
            const int piece = k == 0 ? n : k == 1 ? 1 : random_between(random, 2, n);
            struct kv_session *s = make_session(
                model, pool,
                (struct kv_session_options){.path = kv_path_choice(p)->name,
                                            .cache = window_name(name, sinks, recent),
                                            .matmul = "reference",
                                            .batch = 1,
                                            .chunk = random_between(random, 0, 1) * random_between(random, 1, n)});
            run_in_pieces(s, n, piece, logits);
            assert_close(logits, rounded, (size_t)n * V, 2e-5);
            if (p + k > 0)
                assert_close(logits, cached, (size_t)n * V, 1e-6);
            else
                memcpy(cached, logits, (size_t)n * V * sizeof *logits);
            assert_string_equal(kv_session_cache(s), name);
            kv_session_free(s);
        }
    plain_gpt2_free(&plain);
    kv_model_free(model);
    free(expected);
    free(rounded);
    free(logits);
    free(cached);
}

TEST(window_is_a_mask)
{
    uint64_t random = 11;
    for (int i = 0; i < 12; i++) {
        struct kv_pool *pool = make_pool(random_between(&random, 1, 3));
        check_shape(&random, pool);
        kv_pool_free(pool);
    }
}

/* While sinks and the newest hold all positions there are, it is full attention. */
TEST(overlapping_sinks_and_window_see_all)
{
    const struct kv_config config = shape(2, 2, 16, 32);
    struct kv_pool *pool = make_pool(2);
    struct kv_model *model = synthesize(&config, 3, NULL, 1);
    float all[32 * V], windowed[32 * V];
    for (int sinks = 0; sinks <= 31; sinks += 31) {
        char name[40];
        struct kv_session *full = make_session(model, pool, (struct kv_session_options){.batch = 1});
        struct kv_session *s = make_session(
            model, pool, (struct kv_session_options){.cache = window_name(name, sinks, 32 - sinks), .batch = 1});
        run_in_pieces(full, 32, 32, all);
        run_in_pieces(s, 32, 7, windowed);
        assert_close(windowed, all, 32 * V, 1e-6);
        kv_session_free(full);
        kv_session_free(s);
    }
    kv_model_free(model);
    kv_pool_free(pool);
}

/* ---- All of them ----------------------------------------------------------------------------------------------- */

static const char *const budgets[] = {"window:3+14", "random:17@5", "heavy:17"};
enum { BUDGET = 17 };

struct bed {
    struct kv_pool *pool;
    struct kv_model *model;
};

static struct bed make_bed(int n_threads)
{
    const struct kv_config config = shape(2, 2, 32, MOST_TOKENS);
    return (struct bed){make_pool(n_threads), synthesize(&config, 9, NULL, 1)};
}

static void free_bed(struct bed *bed)
{
    kv_model_free(bed->model);
    kv_pool_free(bed->pool);
}

/* Bits depend neither on chunks, nor threads, nor the path, nor on what else is in the batch, in any type. */
TEST(bits_do_not_depend_on_how_it_is_run)
{
    struct bed one = make_bed(1), three = make_bed(3);
    static float expected[MOST_TOKENS * V], logits[3 * MOST_TOKENS * V];
    for (size_t c = 0; c < COUNT(budgets); c++)
        for (int t = 0; kv_kv_choice(t); t++) {
            struct kv_session_options options = {.cache = budgets[c], .kv = kv_kv_choice(t)->name, .batch = 1};
            struct kv_session *alone = make_session(one.model, one.pool, options);
            run_in_pieces(alone, MOST_TOKENS, 1, expected);
            kv_session_free(alone);
            options.chunk = 13;
            options.batch = 3;
            struct kv_session *s = make_session(three.model, three.pool, options);
            int32_t same[3 * MOST_TOKENS];
            for (int b = 0; b < 3; b++)
                memcpy(same + b * MOST_TOKENS, tokens + (b % 2) * MOST_TOKENS, MOST_TOKENS * sizeof *tokens);
            OK(kv_session_prefill(s, same, MOST_TOKENS, logits, &error));
            assert_memory_equal(logits, expected, sizeof expected);
            assert_memory_equal(logits + 2 * MOST_TOKENS * V, expected, sizeof expected);
            kv_session_free(s);
            if (t > 0)
                continue;
            s = make_session(one.model, one.pool,
                             (struct kv_session_options){.path = "naive", .cache = budgets[c], .batch = 1});
            run_in_pieces(s, MOST_TOKENS, 50, logits);
            assert_memory_equal(logits, expected, sizeof expected);
            kv_session_free(s);
        }
    free_bed(&one);
    free_bed(&three);
}

/* What is kept never grows beyond the budget, nor is more reserved than whole blocks of it. */
TEST(memory_is_flat)
{
    struct bed bed = make_bed(1);
    for (size_t c = 0; c < COUNT(budgets); c++) {
        struct kv_session *s = make_session(
            bed.model, bed.pool,
            (struct kv_session_options){.cache = budgets[c], .batch = 1, .overflow = KV_OVERFLOW_SHIFT});
        const size_t vectors = 2 * 2 * 64 * sizeof(float), noted = c == 0 ? 0 : c == 1 ? 4 : 8;
        const size_t position = vectors + 2 * 2 * noted;
        for (int i = 0; i < (int)COUNT(tokens); i++) {
            OK(kv_session_decode(s, tokens + i, &error));
            const int n = kv_session_lengths(s)[0];
            assert_int_equal(kv_session_kv_live_bytes(s), position * (size_t)(n < BUDGET ? n : BUDGET));
            assert_int_equal(kv_session_kv_reserved_bytes(s), position * 32);
        }
        assert_true(kv_session_overflows(s) > 0);
        kv_session_free(s);
    }
    free_bed(&bed);
}

/* A sequence that is cut back goes on as if the rest had never been there, whether positions were dropped or not; so
 * does one that takes all of another. */
TEST(sequences_are_cut_and_forked)
{
    static const int cuts[] = {0, 2, 16, 17, 18, 39, 40};
    struct bed bed = make_bed(2);
    for (size_t c = 0; c < COUNT(budgets); c++)
        for (int before = 12; before <= 40; before += 28)
            for (size_t i = 0; i < COUNT(cuts); i++) {
                const int cut[] = {cuts[i] < before ? cuts[i] : before, before};
                const struct kv_session_options options = {.cache = budgets[c], .batch = 2};
                struct kv_session *s = make_session(bed.model, bed.pool, options);
                struct kv_session *fresh = make_session(bed.model, bed.pool, options);
                int32_t both[2 * 40], next[2] = {tokens[90], tokens[90]};
                memcpy(both, tokens, (size_t)before * sizeof *both);
                memcpy(both + before, tokens, (size_t)before * sizeof *both);
                OK(kv_session_prefill(s, both, before, NULL, &error));
                const int longer[] = {(cut[0] + before) / 2, before};
                OK(kv_session_truncate(s, longer, &error)); /* what a cut made the cache forget stays forgotten */
                OK(kv_session_truncate(s, cut, &error));
                OK(kv_session_decode(s, next, &error));
                const int n_fresh[] = {cut[0] + 1, cut[1] + 1};
                int32_t of_fresh[2 * 41];
                memcpy(of_fresh, tokens, (size_t)cut[0] * sizeof *of_fresh);
                of_fresh[cut[0]] = next[0];
                memcpy(of_fresh + cut[0] + 1, tokens, (size_t)before * sizeof *of_fresh);
                of_fresh[cut[0] + 1 + before] = next[1];
                OK(kv_session_append(fresh, n_fresh, of_fresh, NULL, &error));
                assert_memory_equal(kv_session_logits(s), kv_session_logits(fresh), 2 * V * sizeof(float));
                OK(kv_session_fork(s, 1, 0, &error));
                OK(kv_session_decode(s, next, &error));
                assert_memory_equal(kv_session_logits(s), kv_session_logits(s) + V, V * sizeof(float));
                kv_session_free(s);
                kv_session_free(fresh);
            }
    free_bed(&bed);
}

static double distance(const float *a, const float *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    return sqrt(sum / (double)n);
}

/* The same seed draws the same, another one something else; a budget of all positions drops none. */
TEST(random_is_its_seed)
{
    struct bed bed = make_bed(1);
    static const char *const caches[] = {"random:24@1", "random:24@1", "random:24@2", "random:160@1", "contiguous"};
    static float logits[COUNT(caches)][MOST_TOKENS * V];
    for (size_t i = 0; i < COUNT(caches); i++) {
        struct kv_session *s = make_session(bed.model, bed.pool,
                                            (struct kv_session_options){.cache = caches[i], .batch = 1});
        run_in_pieces(s, MOST_TOKENS, MOST_TOKENS, logits[i]);
        kv_session_free(s);
    }
    assert_memory_equal(logits[0], logits[1], sizeof *logits);
    assert_true(distance(logits[0], logits[2], MOST_TOKENS * V) > 1e-4);
    assert_close(logits[3], logits[4], MOST_TOKENS * V, 1e-6);
    free_bed(&bed);
}

/* What an observer sees of the last position: as many positions as the budget, their weights adding up to 1. */
struct seen {
    int n_kept[2][2];
    double sum[2][2];
    bool newest[2][2];
};

static void see(void *context, const struct kv_attention_view *view)
{
    struct seen *seen = context;
    float weights[MOST_TOKENS];
    kv_view_weights(view, weights);
    seen->n_kept[view->layer][view->head] = 0;
    seen->sum[view->layer][view->head] = 0;
    for (int t = 0; t < view->n_positions; t++) {
        const bool keeps = kv_view_keeps(view, t);
        seen->n_kept[view->layer][view->head] += keeps;
        seen->sum[view->layer][view->head] += (double)weights[t];
        assert_int_equal(keeps, !isnan(kv_view_key(view, t, 0)));
        assert_int_equal(keeps, weights[t] > 0);
    }
    seen->newest[view->layer][view->head] = kv_view_keeps(view, view->n_positions - 1);
}

TEST(observers_see_what_is_kept)
{
    struct bed bed = make_bed(1);
    for (size_t c = 0; c < COUNT(budgets); c++) {
        struct seen seen;
        const struct kv_observer observer = {see, &seen};
        struct kv_session *s = make_session(bed.model, bed.pool,
                                            (struct kv_session_options){.cache = budgets[c], .batch = 1});
        kv_session_observe(s, &observer);
        OK(kv_session_prefill(s, tokens, 70, NULL, &error));
        for (int i = 0; i < 4; i++) {
            assert_int_equal(seen.n_kept[i / 2][i % 2], BUDGET);
            assert_true(fabs(seen.sum[i / 2][i % 2] - 1) < 1e-5);
            assert_true(seen.newest[i / 2][i % 2]);
        }
        kv_session_free(s);
    }
    free_bed(&bed);
}

TEST(work_is_of_what_is_attended_to)
{
    const struct kv_config config = shape(2, 2, 32, MOST_TOKENS);
    const struct kv_session_options all = {.path = "cached", .batch = 1},
                                    some = {.path = "cached", .cache = "window:4+28", .batch = 1};
    const struct kv_work full = kv_part_work(KV_PART_ATTENTION, &config, NULL, &all, 31, 1);
    const struct kv_work same = kv_part_work(KV_PART_ATTENTION, &config, NULL, &some, 31, 1);
    const struct kv_work later = kv_part_work(KV_PART_ATTENTION, &config, NULL, &some, 131, 1);
    assert_true(full.flops == same.flops && full.bytes == same.bytes);
    assert_true(later.flops == same.flops && later.bytes == same.bytes);
}

TEST(bad_budgets_are_named)
{
    static const struct {
        const char *cache, *message;
    } bad[] = {
        {"window:4", "cache 'window:4' is not written like window:4+28, with 0 to 65536 and 1 to 65536"},
        {"window:4+0", "is not written like window:4+28"},
        {"window:+4", "is not written like window:4+28"},
        {"window:-1+4", "is not written like window:4+28"},
        {"window:04+4", "is not written like window:4+28"},
        {"random:0@1", "is not written like random:32@1"},
        {"heavy:1", "is not written like heavy:32, with 2 to 1024"},
        {"window:100+61", "cache 'window:100+61': it keeps 161 positions, n_positions is 160; give fewer"},
        {"heavy:1024", "it keeps 1024 positions"},
    };
    struct bed bed = make_bed(1);
    for (size_t i = 0; i < COUNT(bad); i++)
        for (int p = 0; kv_path_choice(p); p++) {
            const struct kv_session_options options = {
                .path = kv_path_choice(p)->name, .cache = bad[i].cache, .batch = 1};
            struct kv_session *s;
            REFUSED(kv_session_create(&s, bed.model, bed.pool, &options, &error), KV_ERROR_ARGUMENT, bad[i].message,
                    NULL);
        }
    free_bed(&bed);
}
