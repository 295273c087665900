/* Both paths against an independent PyTorch GPT-2 (data/reference): logits at every position and greedy tokens,
 * past the window's end too, for every matmul, instruction-set level, chunk size and thread count. */
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIT_BOUND 1e-4 /* of the case's largest |logit| */

static const char *const case_names[] = {"tiny-f32", "odd-f16", "gelu-erf-bf16"};
static const int chunks[] = {0, 1, 2, 7};

/* Calls `check` for every way to run a case. */
static void for_every_way(void (*check)(const struct reference_case *c, const struct kv_model *model,
                                        struct kv_pool *pool, struct kv_session_options options))
{
    for (size_t i = 0; i < sizeof case_names / sizeof case_names[0]; i++) {
        struct reference_case c;
        load_case(&c, case_names[i]);
        for (int threads = 1; threads <= 2; threads++) {
            struct kv_pool *pool;
            pool = make_pool(threads);
            for (int m = 0; kv_matmul_choice(m); m++) {
                const char *matmul = kv_matmul_choice(m)->name;
                struct kv_model *model;
                OK(kv_model_load(&model, c.folder, NULL, matmul, pool, &error));
                for (int p = 0; kv_path_choice(p); p++)
                    for (int isa = 0; supported_isa(isa); isa++)
                        check(&c, model, pool,
                              (struct kv_session_options){.path = kv_path_choice(p)->name,
                                                          .matmul = matmul,
                                                          .isa = supported_isa(isa),
                                                          .batch = c.batch});
                kv_model_free(model);
            }
            kv_pool_free(pool);
        }
        free_case(&c);
    }
}

static void check_logits(const struct reference_case *c, const struct kv_model *model, struct kv_pool *pool,
                         struct kv_session_options options)
{
    const size_t V = (size_t)kv_model_config(model)->vocab_size, n = (size_t)c->batch * (size_t)c->n_tokens * V;
    float *logits = malloc(n * sizeof *logits);
    assert_non_null(logits);
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct kv_session *session;
        options.chunk = chunks[i];
        memset(logits, 0xff, n * sizeof *logits); /* NaN: what is left unwritten fails */
        OK(kv_session_create(&session, model, pool, &options, &error));
        OK(kv_session_prefill(session, c->tokens, c->n_tokens, logits, &error));
        assert_close(logits, c->logits, n, LOGIT_BOUND);
        for (int b = 0; b < c->batch; b++)
            assert_memory_equal(kv_session_logits(session) + (size_t)b * V,
                                logits + ((size_t)(b + 1) * (size_t)c->n_tokens - 1) * V, V * sizeof *logits);
        kv_session_free(session);
    }
    free(logits);
}

/* The first row ahead of the second, and so on, in two calls: every position has the same logits. */
static void check_ragged(const struct reference_case *c, const struct kv_model *model, struct kv_pool *pool,
                         struct kv_session_options options)
{
    const size_t V = (size_t)kv_model_config(model)->vocab_size, n = (size_t)c->batch * (size_t)c->n_tokens;
    float *logits = malloc(n * V * sizeof *logits);
    int32_t *tokens = malloc(n * sizeof *tokens);
    int *counts = calloc((size_t)c->batch, sizeof *counts), *had = calloc((size_t)c->batch, sizeof *had);
    struct kv_session *session;
    assert_true(logits && tokens && counts && had);
    OK(kv_session_create(&session, model, pool, &options, &error));
    for (int call = 0; call < 2; call++) {
        size_t sum = 0;
        for (int b = 0; b < c->batch; b++) {
            counts[b] = call ? c->n_tokens - had[b] : c->n_tokens - b * c->n_tokens / c->batch;
            memcpy(tokens + sum, c->tokens + b * c->n_tokens + had[b], (size_t)counts[b] * sizeof *tokens);
            sum += (size_t)counts[b];
        }
        if (sum == 0)
            continue;
        OK(kv_session_append(session, counts, tokens, logits, &error));
        const float *row = logits;
        for (int b = 0; b < c->batch; had[b] += counts[b], row += (size_t)counts[b++] * V)
            if (counts[b])
                assert_close(row, c->logits + ((size_t)b * (size_t)c->n_tokens + (size_t)had[b]) * V,
                             (size_t)counts[b] * V, LOGIT_BOUND);
    }
    kv_session_free(session);
    free(logits);
    free(tokens);
    free(counts);
    free(had);
}

static void check_greedy(const struct reference_case *c, const struct kv_model *model, struct kv_pool *pool,
                         struct kv_session_options options)
{
    const size_t n = (size_t)c->batch * (size_t)c->n_greedy;
    int32_t *sequences = malloc(n * sizeof *sequences);
    assert_non_null(sequences);
    options.overflow = KV_OVERFLOW_RECOMPUTE;
    for (size_t i = 0; i < sizeof chunks / sizeof chunks[0]; i++) {
        struct kv_session *session;
        options.chunk = chunks[i];
        memset(sequences, 0xff, n * sizeof *sequences);
        for (int b = 0; b < c->batch; b++)
            memcpy(sequences + b * c->n_greedy, c->tokens + b * c->n_tokens, (size_t)c->n_tokens * sizeof *sequences);
        OK(kv_session_create(&session, model, pool, &options, &error));
        generate_greedy(session, c->batch, sequences, c->n_tokens, c->n_greedy - c->n_tokens);
        assert_memory_equal(sequences, c->greedy, n * sizeof *sequences);
        kv_session_free(session);
    }
    free(sequences);
}

TEST(logits)
{
    for_every_way(check_logits);
}

TEST(ragged)
{
    for_every_way(check_ragged);
}

TEST(greedy)
{
    for_every_way(check_greedy);
}
