/* Sampling's distribution: a chi-square against the softmax of what top-k and top-p keep, and independent draws; its
 * streams, errors and memory, and greedy selection. The same text on every path is generate_text.bats'.
 *
 * Seeds are fixed; a test fails above the quantile that chance alone exceeds once in a million times. */
#include "allocations.h"
#include "distribution.h"
#include "unit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct kv_sampler *open_sampler(struct kv_sampling sampling, int vocab_size, int batch)
{
    struct kv_sampler *sampler;
    OK(kv_sampler_create(&sampler, &sampling, vocab_size, batch, NULL, &error));
    return sampler;
}

static void select_ok(struct kv_sampler *sampler, const float *logits, int32_t *tokens)
{
    OK(kv_sampler_select(sampler, logits, NULL, tokens, &error));
}

/* logits [V] of about normal distribution, as those of a model are */
static void fill_logits(float *logits, int V, float deviation, uint64_t seed)
{
    uint64_t random = seed;
    for (int i = 0; i < V; i++) {
        float sum = 0;
        for (int j = 0; j < 12; j++)
            sum += random_float(&random);
        logits[i] = deviation * sum / 2; /* twelve numbers of -1..1 have the variance 4 */
    }
}

/* counts [V] of n_steps draws of every row of a batch that all have the same logits [V] */
static void count_draws(struct kv_sampling sampling, const float *logits, int V, int batch, int n_steps, int *counts)
{
    struct kv_sampler *sampler = open_sampler(sampling, V, batch);
    float *rows = malloc((size_t)batch * (size_t)V * sizeof *rows);
    int32_t *tokens = malloc((size_t)batch * sizeof *tokens);
    assert_true(rows && tokens);
    for (int b = 0; b < batch; b++)
        memcpy(rows + (size_t)b * (size_t)V, logits, (size_t)V * sizeof *rows);
    memset(counts, 0, (size_t)V * sizeof *counts);
    for (int step = 0; step < n_steps; step++) {
        select_ok(sampler, rows, tokens);
        for (int b = 0; b < batch; b++) {
            assert_in_range(tokens[b], 0, V - 1);
            counts[tokens[b]]++;
        }
    }
    kv_sampler_free(sampler);
    free(rows);
    free(tokens);
}

/* ---- Distribution --------------------------------------------------------------------------------- */

TEST(distribution)
{
    enum { V = 50, N = 200000 };
    static const float temperatures[] = {0.7f, 1.0f, 1.5f};
    static const struct {
        int top_k;
        float top_p;
    } kept[] = {{0, 1}, {10, 1}, {0, 0.8f}, {12, 0.9f}, {49, 1}, {V + 7, 0.999f}};
    float logits[V];
    double probabilities[V];
    int counts[V];
    fill_logits(logits, V, 1.5f, 5);
    for (size_t t = 0; t < COUNT(temperatures); t++) {
        for (size_t i = 0; i < COUNT(kept); i++) {
            const struct kv_sampling sampling = {temperatures[t], kept[i].top_k, kept[i].top_p, 100 * t + i};
            expect_draws(sampling, logits, V, probabilities);
            const int batch = i % 2 ? 8 : 1;
            count_draws(sampling, logits, V, batch, N / batch, counts);
            assert_distribution(counts, probabilities, V, N);
        }
    }
}

/* A test that every distribution passes would be none. */
TEST(chi_square_tells_distributions_apart)
{
    enum { V = 50, N = 200000 };
    float logits[V];
    double probabilities[V], chi_square = 0;
    int counts[V];
    fill_logits(logits, V, 1.5f, 5);
    expect_draws((struct kv_sampling){1.0f, 0, 1, 0}, logits, V, probabilities);
    count_draws((struct kv_sampling){1.03f, 0, 1, 0}, logits, V, 1, N, counts);
    for (int i = 0; i < V; i++)
        chi_square += pow(counts[i] - probabilities[i] * N, 2) / (probabilities[i] * N);
    assert_true(chi_square > 2 * critical_value(V - 1));
    /* The quantiles themselves, from the incomplete gamma function. */
    assert_true(critical_value(10) > 46.863 && critical_value(10) < 46.863 * 1.03);
    assert_true(critical_value(49) > 111.136 && critical_value(49) < 111.136 * 1.03);
}

/* Large vocabularies, in orders that a selection may find hard, with equal logits among them. */
TEST(sets_of_a_large_vocabulary)
{
    enum { V = 1001, N = 3000 };
    static const struct kv_sampling samplings[] = {{1, 40, 1, 1},    {1, 0, 0.9f, 2},    {1, 0, 0.3f, 3},
                                                   {2, 300, 1, 4},   {1, 470, 1, 5},     {1, 501, 0.97f, 6},
                                                   {3, 100, .5f, 7}, {1, 1000, .999f, 8}};
    static float logits[V];
    static double probabilities[V];
    static int counts[V];
    for (int order = 0; order < 5; order++) {
        uint64_t random = 77;
        for (int i = 0; i < V; i++)
            logits[i] = order == 0   ? (float)random_between(&random, -40, 40) / 8
                        : order == 1 ? (float)i / 100
                        : order == 2 ? (float)-i / 100
                        : order == 3 ? (float)abs(i - V / 2) / 67
                                     : (float)-abs(i - V / 2) / 67;
        for (size_t i = 0; i < COUNT(samplings); i++) {
            expect_draws(samplings[i], logits, V, probabilities);
            count_draws(samplings[i], logits, V, 1, N, counts);
            assert_distribution(counts, probabilities, V, N);
        }
    }
}

/* The number of different tokens in `n_draws`, all below `end`. */
static int count_kept(struct kv_sampling sampling, const float *logits, int V, int n_draws, int end)
{
    int *counts = malloc((size_t)V * sizeof *counts), n_kept = 0;
    assert_non_null(counts);
    count_draws(sampling, logits, V, 1, n_draws, counts);
    for (int i = 0; i < V; i++) {
        n_kept += counts[i] > 0;
        assert_true(i < end || counts[i] == 0);
    }
    free(counts);
    return n_kept;
}

TEST(edges_of_what_is_kept)
{
    enum { V = 64 };
    static const struct {
        int top_k;
        float top_p;
        bool equal; /* all probabilities, or 4 tokens of each */
        int V, n_draws, n_kept;
    } cases[] = {
        {0, 1, true, V, 2000, V},
        {1, 1, true, V, 100, 1},
        {7, 1, true, V, 1000, 7},
        {V, 1, true, V, 2000, V},
        {6, 1, false, V, 1000, 6},
        {0, 0.5f, true, V, 1000, V / 2},
        {0, 0.501f, true, V, 1000, V / 2 + 1},
        {16, 0.5f, true, V, 1000, 8}, /* of what top-k left */
        {0, 1e-3f, false, V, 100, 1},
        {0, FLT_MIN, true, V, 100, 1},
        {0, 0x1p-149f, false, V, 100, 1},
        {0, 0.3f, true, 1, 10, 1},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        float logits[V];
        for (int id = 0; id < V; id++)
            logits[id] = cases[i].equal ? 0 : (float)-(id / 4);
        assert_int_equal(count_kept((struct kv_sampling){1, cases[i].top_k, cases[i].top_p, 1}, logits, cases[i].V,
                                    cases[i].n_draws, cases[i].n_kept),
                         cases[i].n_kept);
    }
}

TEST(extreme_temperatures_and_logits)
{
    enum { V = 40, N = 40000 };
    static const float cold[] = {0x1p-149f, FLT_MIN, 1e-30f, 1e-6f};
    static const float hot[] = {1e6f, 1e30f, FLT_MAX};
    float logits[V];
    double probabilities[V];
    int counts[V];
    fill_logits(logits, V, 2, 9);
    logits[3] = logits[31] = 20; /* two equals at the top share all */
    for (size_t i = 0; i < COUNT(cold); i++) {
        count_draws((struct kv_sampling){cold[i], 0, 1, i}, logits, V, 1, N, counts);
        assert_distribution((int[]){counts[3], counts[31]}, (double[]){0.5, 0.5}, 2, N);
    }
    logits[7] = logits[8] = -INFINITY;
    for (int i = 0; i < V; i++)
        probabilities[i] = i == 7 || i == 8 ? 0 : 1.0 / (V - 2);
    for (size_t i = 0; i < COUNT(hot); i++) {
        count_draws((struct kv_sampling){hot[i], 0, 1, i}, logits, V, 1, N, counts);
        assert_distribution(counts, probabilities, V, N);
    }
    const float wide[] = {-FLT_MAX, FLT_MAX, -INFINITY, 0};
    assert_int_equal(count_kept((struct kv_sampling){1, 0, 1, 1}, wide, 4, 100, 2), 1);
    assert_int_equal(count_kept((struct kv_sampling){0, 0, 1, 1}, wide, 4, 100, 2), 1);
    const float lowest[] = {-FLT_MAX, -INFINITY, -FLT_MAX};
    assert_int_equal(count_kept((struct kv_sampling){1, 0, 1, 1}, lowest, 3, 100, 3), 2);
}

/* ---- Independence -------------------------------------------------------------------------------------- */

/* Fails unless a [n] and b [n], each of the tokens that probabilities [V] tell of, are drawn without regard to each
 * other: a chi-square of all pairs. */
static void assert_independent(const int32_t *a, const int32_t *b, int n, const double *probabilities, int V)
{
    int counts[64] = {0};
    double pairs[64];
    assert_true(V * V <= 64);
    for (int i = 0; i < n; i++)
        counts[a[i] * V + b[i]]++;
    for (int i = 0; i < V * V; i++)
        pairs[i] = probabilities[i / V] * probabilities[i % V];
    assert_distribution(counts, pairs, V * V, n);
}

/* Successive steps, steps further apart, rows of a batch, and seeds that follow each other. */
TEST(draws_are_independent)
{
    enum { V = 8, B = 3, N = 50000, SEEDS = 3 };
    static int32_t drawn[SEEDS * B][N];
    float logits[B * V];
    double probabilities[V];
    fill_logits(logits, V, 0.7f, 3);
    for (int b = 1; b < B; b++)
        memcpy(logits + b * V, logits, V * sizeof *logits);
    expect_draws((struct kv_sampling){1, 0, 1, 0}, logits, V, probabilities);
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct kv_sampler *sampler = open_sampler((struct kv_sampling){1, 0, 1, seed}, V, B);
        for (int i = 0; i < N; i++) {
            int32_t tokens[B];
            select_ok(sampler, logits, tokens);
            for (int b = 0; b < B; b++)
                drawn[seed * B + (uint64_t)b][i] = tokens[b];
        }
        kv_sampler_free(sampler);
    }
    for (int i = 0; i < SEEDS * B; i++) {
        for (int j = i + 1; j < SEEDS * B; j++) {
            assert_independent(drawn[i], drawn[j], N, probabilities, V);
            assert_independent(drawn[i], drawn[j] + 1, N - 1, probabilities, V);
        }
        for (int lag = 1; lag < 5; lag++)
            assert_independent(drawn[i], drawn[i] + lag, N - lag, probabilities, V);
    }
}

/* The header's bound: at most 2 d / temperature of the draws change, whatever the size of the vocabulary. */
TEST(logits_that_differ_a_little)
{
    enum { V = 1000, N = 2000 };
    const float d = 1e-3f;
    static float logits[V], near[V];
    uint64_t random = 8;
    int n_changed = 0;
    const struct kv_sampling sampling = {0.5f, 0, 1, 3};
    struct kv_sampler *a = open_sampler(sampling, V, 1), *b = open_sampler(sampling, V, 1);
    fill_logits(logits, V, 1, 21);
    for (int i = 0; i < N; i++) {
        int32_t first, second;
        for (int j = 0; j < V; j++)
            near[j] = logits[j] + (next_random(&random) >> 63 ? d : -d);
        select_ok(a, logits, &first);
        select_ok(b, near, &second);
        n_changed += first != second;
    }
    kv_sampler_free(a);
    kv_sampler_free(b);
    const double expected = N * 2.0 * 1e-3 / 0.5;
    assert_in_range(n_changed, 1, (int)(expected + 5 * sqrt(expected)));
}

/* ---- Streams -------------------------------------------------------------------------------------- */

/* tokens [n_steps, B], one step after the other, of logits [B, V] */
static void draw_steps(struct kv_sampler *sampler, const float *logits, int B, int n_steps, int32_t *tokens)
{
    for (int i = 0; i < n_steps; i++)
        select_ok(sampler, logits, tokens + i * B);
}

TEST(rows_steps_and_reset)
{
    enum { V = 500, B = 4, N = 50 };
    const struct kv_sampling sampling = {1, 100, 0.95f, 42};
    static float logits[B * V];
    int32_t four[N * B], again[N * B], one[N], other[N];
    int n_other = 0, n_across = 0;
    for (int b = 0; b < B; b++)
        fill_logits(logits + b * V, V, 1, 11);
    struct kv_sampler *sampler = open_sampler(sampling, V, B), *single = open_sampler(sampling, V, 1);
    draw_steps(sampler, logits, B, N, four);
    draw_steps(single, logits, 1, N, one);
    for (int i = 0; i < N; i++) {
        assert_int_equal(one[i], four[i * B]);
        n_across += four[i * B] == four[i * B + 1];
    }
    assert_in_range(n_across, 0, N / 4); /* the same logits, but not the same draws */
    kv_sampler_reset(sampler);
    fill_logits(logits + 2 * V, V, 3, 12); /* of another row: nobody else's business */
    draw_steps(sampler, logits, B, N, again);
    for (int i = 0; i < N * B; i++)
        assert_true(i % B == 2 || again[i] == four[i]);
    kv_sampler_free(single);
    single = open_sampler((struct kv_sampling){1, 100, 0.95f, 43}, V, 1);
    draw_steps(single, logits, 1, N, other);
    for (int i = 0; i < N; i++)
        n_other += one[i] == other[i];
    assert_in_range(n_other, 0, N / 4);
    kv_sampler_free(single);
    kv_sampler_free(sampler);
}

/* With any number of threads the same ids, and of several rows that have no token the first is told. */
TEST(threads_draw_the_same)
{
    enum { V = 3000, B = 9, N = 4 };
    static const struct kv_sampling samplings[] = {{0, 0, 1, 1},   {1, 0, 1, 1},    {0.01f, 0, 1, 2}, {50, 0, 1, 3},
                                                   {1, 100, 1, 4}, {1, 0, 0.8f, 5}, {1, 100, 0.8f, 6}};
    static float logits[B * V];
    int32_t alone[N * B], shared[N * B];
    for (int b = 0; b < B; b++)
        fill_logits(logits + b * V, V, (float)(b + 1), (uint64_t)b);
    for (int n_threads = 1; n_threads <= 12; n_threads += n_threads < 3 ? 1 : 9) {
        struct kv_pool *pool = make_pool(n_threads);
        for (size_t i = 0; i < COUNT(samplings); i++) {
            struct kv_sampler *one = open_sampler(samplings[i], V, B), *sampler;
            OK(kv_sampler_create(&sampler, &samplings[i], V, B, pool, &error));
            draw_steps(one, logits, B, N, alone);
            draw_steps(sampler, logits, B, N, shared);
            assert_memory_equal(alone, shared, sizeof alone);
            logits[3 * V + 1] = logits[5 * V] = NAN;
            REFUSED(kv_sampler_select(sampler, logits, NULL, shared, &error), KV_ERROR_NUMERIC, "sequence 3", NULL);
            logits[3 * V + 1] = logits[5 * V] = 0;
            kv_sampler_free(one);
            kv_sampler_free(sampler);
        }
        kv_pool_free(pool);
    }
}

/* ---- Greedy ---------------------------------------------------------------------------------------- */

TEST(greedy_takes_the_lowest_of_equals)
{
    const float logits[] = {1, -0.0f, 3, 3, 2, -2, -1, -1, -1, -INFINITY, -0.0f, 0, 0, -1, -3};
    int32_t tokens[3];
    struct kv_sampler *sampler = open_sampler((struct kv_sampling){0, 3, 0.5f, 9}, 5, 3);
    for (int i = 0; i < 10; i++) {
        select_ok(sampler, logits, tokens);
        assert_true(tokens[0] == 2 && tokens[1] == 1 && tokens[2] == 0);
    }
    kv_sampler_free(sampler);
}

/* ---- Errors, memory, time -------------------------------------------------------------------------- */

TEST(logits_that_are_not_numbers)
{
    enum { V = 40 };
    static const struct kv_sampling samplings[] = {{0, 0, 1, 1}, {1, 0, 1, 1}, {1, 3, 1, 1}, {1, 0, 0.5f, 1}};
    const float wrong[] = {NAN, -NAN, INFINITY};
    float logits[3 * V];
    int32_t undisturbed[3], tokens[3];
    fill_logits(logits, 3 * V, 1, 31);
    for (size_t s = 0; s < COUNT(samplings); s++) {
        struct kv_sampler *sampler = open_sampler(samplings[s], V, 3);
        select_ok(sampler, logits, undisturbed);
        kv_sampler_reset(sampler);
        for (size_t w = 0; w < COUNT(wrong); w++) {
            for (int i = V; i < 2 * V; i++) {
                const float kept = logits[i];
                logits[i] = wrong[w];
                REFUSED(kv_sampler_select(sampler, logits, NULL, tokens, &error), KV_ERROR_NUMERIC,
                        "sequence 1: a logit is not a finite number", NULL);
                assert_int_equal(kv_sampler_select(sampler, logits, NULL, tokens, NULL), KV_ERROR_NUMERIC);
                logits[i] = kept;
            }
        }
        select_ok(sampler, logits, tokens); /* no step was taken */
        assert_memory_equal(tokens, undisturbed, sizeof tokens);
        kv_sampler_free(sampler);
        sampler = open_sampler(samplings[s], 3, 1);
        const float nothing[] = {-INFINITY, -INFINITY, -INFINITY};
        REFUSED(kv_sampler_select(sampler, nothing, NULL, tokens, &error), KV_ERROR_NUMERIC,
                "sequence 0: every logit is -inf", NULL);
        kv_sampler_free(sampler);
    }
}

TEST(arguments)
{
    static const struct {
        struct kv_sampling sampling;
        int vocab_size, batch;
        const char *message;
    } cases[] = {
        {{-1, 0, 1, 0}, 9, 1, "temperature: -1 is not"},
        {{NAN, 0, 1, 0}, 9, 1, "temperature: "},
        {{INFINITY, 0, 1, 0}, 9, 1, "temperature: inf is not"},
        {{1, -1, 1, 0}, 9, 1, "top_k: -1 is not"},
        {{1, 0, 0, 0}, 9, 1, "top_p: 0 is not"},
        {{1, 0, -0.5f, 0}, 9, 1, "top_p: -0.5 is not"},
        {{1, 0, 1.5f, 0}, 9, 1, "top_p: 1.5 is not"},
        {{1, 0, NAN, 0}, 9, 1, "top_p: "},
        {{0, 0, 2, 0}, 9, 1, "top_p: 2 is not"}, /* also where it would not matter */
        {{1, 0, 1, 0}, 0, 1, "vocab_size: 0 is not"},
        {{1, 0, 1, 0}, 9, 0, "batch: 0 is not"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kv_sampler *sampler = (void *)&error;
        assert_int_equal(
            kv_sampler_create(&sampler, &cases[i].sampling, cases[i].vocab_size, cases[i].batch, NULL, &error),
            KV_ERROR_ARGUMENT);
        assert_null(sampler);
        assert_ptr_equal(strstr(error.message, cases[i].message), error.message);
        assert_null(strchr(error.message, '\n'));
    }
    kv_sampler_free(NULL);
}

TEST(memory)
{
    enum { V = 300 };
    float logits[V];
    int32_t token;
    struct kv_sampler *sampler;
    const struct kv_sampling sampling = {1, 20, 0.9f, 1};
    fill_logits(logits, V, 1, 1);
    allocations_left = 0;
    REFUSED(kv_sampler_create(&sampler, &sampling, V, 1, NULL, &error), KV_ERROR_MEMORY, "sampler: no memory", NULL);
    assert_null(sampler);
    sampler = open_sampler(sampling, V, 1);
    n_allocations = 0;
    select_ok(sampler, logits, &token);
    kv_sampler_reset(sampler);
    assert_int_equal(n_allocations, 0);
    kv_sampler_free(sampler);
}

/* Orders that a quickselect with fixed pivots needs seconds for; this one, a millisecond. */
TEST(no_order_takes_long)
{
    enum { V = 50257, N = 10 };
    static float logits[V];
    static const struct kv_sampling samplings[] = {{0, 0, 1, 1}, {1, 40, 1, 1}, {1, 0, 0.5f, 1}, {1, 5000, 0.9f, 1}};
    int32_t token;
    const clock_t start = clock();
    for (int order = 0; order < 4; order++) {
        for (int i = 0; i < V; i++)
            logits[i] = (float)(order == 0   ? i
                                : order == 1 ? -i
                                : order == 2 ? abs(i - V / 2)
                                             : -abs(i - V / 2)) *
                        1e-4f;
        for (size_t s = 0; s < COUNT(samplings); s++) {
            struct kv_sampler *sampler = open_sampler(samplings[s], V, 1);
            for (int i = 0; i < N; i++)
                select_ok(sampler, logits, &token);
            kv_sampler_free(sampler);
        }
    }
    assert_true((double)(clock() - start) / CLOCKS_PER_SEC < 5);
}
