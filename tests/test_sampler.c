/* A sampler's streams, its errors and its memory, greedy selection, and the same tokens on every path. */
#include "sampling_bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Streams -------------------------------------------------------------------------------------- */

/* tokens [n_steps, B], one step after the other, of logits [B, V] */
static void draw_steps(struct kv_sampler *sampler, const float *logits, int B, int n_steps, int32_t *tokens)
{
    for (int i = 0; i < n_steps; i++)
        select_ok(sampler, logits, tokens + i * B);
}

static void test_rows_steps_and_reset(void **state)
{
    (void)state;
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

/* ---- Greedy, paths and threads -------------------------------------------------------------------- */

enum { N_NEW = 60, MAX_BATCH = 8, TINY_V = 97 };

/* What was selected at every step, and from what. */
struct generation {
    int32_t tokens[N_NEW * MAX_BATCH];
    float logits[N_NEW * MAX_BATCH * TINY_V];
};

/* Continues the case's prompts; without a sampler, by kv_session_greedy. */
static void generate(const struct reference_case *c, const struct kv_session_options *options, int n_threads,
                     struct kv_sampler *sampler, struct generation *g)
{
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_session *session;
    struct kv_error error;
    const size_t B = (size_t)c->batch;
    memset(g, 0, sizeof *g);
    assert_ok(kv_pool_create(&pool, n_threads, &error), error);
    assert_ok(kv_model_load(&model, c->folder, NULL, options->matmul, pool, &error), error);
    assert_ok(kv_session_create(&session, model, pool, options, &error), error);
    assert_ok(kv_session_prefill(session, c->tokens, c->n_tokens, NULL, &error), error);
    for (size_t i = 0; i < N_NEW; i++) {
        memcpy(g->logits + i * B * TINY_V, kv_session_logits(session), B * TINY_V * sizeof *g->logits);
        if (sampler)
            select_ok(sampler, g->logits + i * B * TINY_V, g->tokens + i * B);
        else
            assert_ok(kv_session_greedy(session, g->tokens + i * B, &error), error);
        assert_ok(kv_session_decode(session, g->tokens + i * B, &error), error);
    }
    kv_session_free(session);
    kv_model_free(model);
    kv_pool_free(pool);
}

/* Of the same seed, though logits may differ by roundings, which compilers choose anew for every kernel: some 1e-6
 * here, so that a thousand draws agree unless chance is one in a thousand. */
static void test_same_tokens_on_every_path_and_pool(void **state)
{
    (void)state;
    static const struct kv_sampling samplings[] = {{1, 0, 1, 1}, {0.8f, 40, 0.95f, 2}, {1.5f, 10, 1, 3}, {0, 0, 1, 4}};
    static const char *const matmuls[] = {"packed", "reference"};
    static struct generation first, other;
    struct reference_case c;
    load_case(&c, "tiny-f32");
    assert_in_range(c.batch, 2, MAX_BATCH);
    for (size_t i = 0; i < COUNT(samplings) * COUNT(matmuls); i++) {
        const struct kv_sampling sampling = samplings[i / COUNT(matmuls)];
        struct kv_session_options options = {
            .path = "naive", .matmul = matmuls[i % 2], .batch = c.batch, .overflow = KV_OVERFLOW_RECOMPUTE};
        struct kv_sampler *sampler = open_sampler(sampling, TINY_V, c.batch);
        generate(&c, &options, 1, sampling.temperature > 0 ? sampler : NULL, &first);
        for (int p = 0; kv_path_choice(p); p++) {
            options.path = kv_path_choice(p)->name;
            for (int n_threads = 1; n_threads <= 2; n_threads++) {
                kv_sampler_reset(sampler);
                generate(&c, &options, n_threads, sampler, &other);
                assert_memory_equal(other.tokens, first.tokens, sizeof first.tokens);
                assert_close(other.logits, first.logits, COUNT(first.logits), 1e-5);
            }
        }
        kv_sampler_free(sampler);
    }
    free_case(&c);
}

static void test_greedy_takes_the_lowest_of_equals(void **state)
{
    (void)state;
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

static void test_logits_that_are_not_numbers(void **state)
{
    (void)state;
    enum { V = 40 };
    static const struct kv_sampling samplings[] = {{0, 0, 1, 1}, {1, 0, 1, 1}, {1, 3, 1, 1}, {1, 0, 0.5f, 1}};
    const float wrong[] = {NAN, -NAN, INFINITY};
    float logits[3 * V];
    int32_t undisturbed[3], tokens[3];
    struct kv_error error;
    fill_logits(logits, 3 * V, 1, 31);
    for (size_t s = 0; s < COUNT(samplings); s++) {
        struct kv_sampler *sampler = open_sampler(samplings[s], V, 3);
        select_ok(sampler, logits, undisturbed);
        kv_sampler_reset(sampler);
        for (size_t w = 0; w < COUNT(wrong); w++) {
            for (int i = V; i < 2 * V; i++) {
                const float kept = logits[i];
                logits[i] = wrong[w];
                assert_int_equal(kv_sampler_select(sampler, logits, tokens, &error), KV_ERROR_NUMERIC);
                assert_non_null(strstr(error.message, "sequence 1: a logit is not a finite number"));
                assert_int_equal(kv_sampler_select(sampler, logits, tokens, NULL), KV_ERROR_NUMERIC);
                logits[i] = kept;
            }
        }
        select_ok(sampler, logits, tokens); /* no step was taken */
        assert_memory_equal(tokens, undisturbed, sizeof tokens);
        kv_sampler_free(sampler);
        sampler = open_sampler(samplings[s], 3, 1);
        const float nothing[] = {-INFINITY, -INFINITY, -INFINITY};
        assert_int_equal(kv_sampler_select(sampler, nothing, tokens, &error), KV_ERROR_NUMERIC);
        assert_non_null(strstr(error.message, "sequence 0: every logit is -inf"));
        kv_sampler_free(sampler);
    }
}

static void test_arguments(void **state)
{
    (void)state;
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
    struct kv_error error;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kv_sampler *sampler = (void *)&error;
        assert_int_equal(kv_sampler_create(&sampler, &cases[i].sampling, cases[i].vocab_size, cases[i].batch, &error),
                         KV_ERROR_ARGUMENT);
        assert_null(sampler);
        assert_ptr_equal(strstr(error.message, cases[i].message), error.message);
        assert_null(strchr(error.message, '\n'));
    }
    kv_sampler_free(NULL);
}

/* The linker gives our own calls of the allocators to these, which count them, and fail when asked to. */
static int n_allocations;
static bool allocations_fail;

void *__real_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_malloc(size_t bytes)
{
    n_allocations++;
    return allocations_fail ? NULL : __real_malloc(bytes);
}

void *__real_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes)
{
    n_allocations++;
    return allocations_fail ? NULL : __real_calloc(count, bytes);
}

void *__real_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes);
void *__wrap_realloc(void *block, size_t bytes)
{
    n_allocations++;
    return allocations_fail ? NULL : __real_realloc(block, bytes);
}

static void test_memory(void **state)
{
    (void)state;
    enum { V = 300 };
    float logits[V];
    int32_t token;
    struct kv_error error;
    struct kv_sampler *sampler;
    const struct kv_sampling sampling = {1, 20, 0.9f, 1};
    fill_logits(logits, V, 1, 1);
    allocations_fail = true;
    const kv_status status = kv_sampler_create(&sampler, &sampling, V, 1, &error);
    allocations_fail = false;
    assert_int_equal(status, KV_ERROR_MEMORY);
    assert_null(sampler);
    assert_non_null(strstr(error.message, "sampler: no memory"));
    sampler = open_sampler(sampling, V, 1);
    n_allocations = 0;
    allocations_fail = true;
    const kv_status selected = kv_sampler_select(sampler, logits, &token, &error);
    kv_sampler_reset(sampler);
    allocations_fail = false;
    assert_int_equal(selected, KV_OK);
    assert_int_equal(n_allocations, 0);
    kv_sampler_free(sampler);
}

/* Orders that a quickselect with fixed pivots needs seconds for; this one, a millisecond. */
static void test_no_order_takes_long(void **state)
{
    (void)state;
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_steps_and_reset),
        cmocka_unit_test(test_same_tokens_on_every_path_and_pool),
        cmocka_unit_test(test_greedy_takes_the_lowest_of_equals),
        cmocka_unit_test(test_logits_that_are_not_numbers),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_no_order_takes_long),
    };
    return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
