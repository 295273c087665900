/* Over random shapes: naive and cached agree, a row of a batch is what it is alone, and nothing depends on what an
 * earlier run left in the buffers. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOGIT_BOUND 1e-4 /* of the largest |logit| */
#define N_SHAPES    40

struct shape {
    struct kv_config config;
    int batch, n_tokens, threads, chunk;
    uint64_t seed;
};

/* Odd head sizes, windows that are no multiple of anything, prompts up to the whole window. */
static struct shape random_shape(uint64_t *state)
{
    const int n_head = random_between(state, 1, 5), head_size = random_between(state, 1, 21);
    struct shape s = {.config = {
                          .n_layer = random_between(state, 1, 3),
                          .n_head = n_head,
                          .n_embd = n_head * head_size,
                          .n_inner = random_between(state, 1, 130),
                          .vocab_size = random_between(state, 2, 200),
                          .n_positions = random_between(state, 1, 70),
                          .activation = random_between(state, 0, 1) ? KV_GELU : KV_GELU_NEW,
                          .layer_norm_epsilon = 1e-5f,
                      }};
    s.batch = random_between(state, 1, 9);
    s.n_tokens = random_between(state, 1, s.config.n_positions);
    s.threads = random_between(state, 1, 2);
    s.chunk = random_between(state, 0, s.n_tokens);
    s.seed = next_random(state);
    return s;
}

static int32_t *random_tokens(uint64_t *state, const struct shape *s)
{
    int32_t *tokens = malloc((size_t)s->batch * (size_t)s->n_tokens * sizeof *tokens);
    assert_non_null(tokens);
    for (int i = 0; i < s->batch * s->n_tokens; i++)
        tokens[i] = random_between(state, 0, s->config.vocab_size - 1);
    return tokens;
}

static size_t logit_count(const struct shape *s, int batch)
{
    return (size_t)batch * (size_t)s->n_tokens * (size_t)s->config.vocab_size;
}

/* Logits [batch, T, V] of tokens [batch, T] by a session that may have run before; the caller frees them. */
static float *run(struct kv_session *session, const struct shape *s, int batch, const int32_t *tokens)
{
    float *logits = malloc(logit_count(s, batch) * sizeof *logits);
    assert_non_null(logits);
    memset(logits, 0xff, logit_count(s, batch) * sizeof *logits);
    kv_session_reset(session);
    OK(kv_session_prefill(session, tokens, s->n_tokens, logits, &error));
    return logits;
}

static struct kv_session *open_session(const struct shape *s, const struct kv_model *model, struct kv_pool *pool,
                                       const char *path, int batch)
{
    return make_session(model, pool, (struct kv_session_options){.path = path, .batch = batch, .chunk = s->chunk});
}

/* Calls `check` with a model of each random shape; a failure names the shape. */
static void for_random_shapes(uint64_t state, void (*check)(const struct shape *s, const struct kv_model *model,
                                                            struct kv_pool *pool, uint64_t *state))
{
    const int n = (int)number_of("KV_COUNT", N_SHAPES);
    for (int i = 0; i < n; i++) {
        struct kv_pool *pool;
        struct kv_model *model;
        const struct shape s = random_shape(&state);
        const struct kv_config *c = &s.config;
        printf("shape %d: L %d H %d C %d I %d V %d P %d, B %d T %d chunk %d threads %d\n", i, c->n_layer, c->n_head,
               c->n_embd, c->n_inner, c->vocab_size, c->n_positions, s.batch, s.n_tokens, s.chunk, s.threads);
        pool = make_pool(s.threads);
        OK(kv_model_synthesize(&model, &s.config, s.seed, NULL, NULL, pool, &error));
        check(&s, model, pool, &state);
        kv_model_free(model);
        kv_pool_free(pool);
    }
}

/* PROPERTY(name, seed) { ... } is the test that it holds for every shape of that seed. */
#define PROPERTY(name, seed)                                                                                           \
    static void check_##name(const struct shape *s, const struct kv_model *model, struct kv_pool *pool,                \
                             uint64_t *state);                                                                         \
    TEST(name)                                                                                                         \
    {                                                                                                                  \
        for_random_shapes(seed, check_##name);                                                                         \
    }                                                                                                                  \
    static void check_##name(const struct shape *s, __attribute__((unused)) const struct kv_model *model,              \
                             struct kv_pool *pool, uint64_t *state)

/* Logits of a fresh session with these options, compared with `expected`. */
static void check_session(const struct shape *s, const struct kv_model *model, struct kv_pool *pool,
                          struct kv_session_options options, const int32_t *tokens, const float *expected)
{
    struct kv_session *session;
    options.batch = s->batch;
    options.chunk = s->chunk;
    OK(kv_session_create(&session, model, pool, &options, &error));
    float *logits = run(session, s, s->batch, tokens);
    assert_close(logits, expected, logit_count(s, s->batch), LOGIT_BOUND);
    free(logits);
    kv_session_free(session);
}

/* The reference: naive on the reference product and portable kernels. The caller frees it. */
static float *reference_logits(const struct shape *s, struct kv_pool *pool, const int32_t *tokens)
{
    struct kv_model *model;
    struct kv_session *session;
    const struct kv_session_options options = {
        .path = "naive", .matmul = "reference", .isa = "portable", .batch = s->batch};
    OK(kv_model_synthesize(&model, &s->config, s->seed, NULL, "reference", pool, &error));
    OK(kv_session_create(&session, model, pool, &options, &error));
    float *logits = run(session, s, s->batch, tokens);
    kv_session_free(session);
    kv_model_free(model);
    return logits;
}

/* Every path on every product at every instruction-set level is held against it. */
PROPERTY(paths_agree, 1)
{
    int32_t *tokens = random_tokens(state, s);
    float *expected = reference_logits(s, pool, tokens);
    for (int m = 0; kv_matmul_choice(m); m++) {
        struct kv_model *model;
        const char *matmul = kv_matmul_choice(m)->name;
        OK(kv_model_synthesize(&model, &s->config, s->seed, NULL, matmul, pool, &error));
        for (int p = 0; kv_path_choice(p); p++)
            for (int isa = 0; supported_isa(isa); isa++)
                check_session(s, model, pool,
                              (struct kv_session_options){
                                  .path = kv_path_choice(p)->name, .matmul = matmul, .isa = supported_isa(isa)},
                              tokens, expected);
        kv_model_free(model);
    }
    free(expected);
    free(tokens);
}

/* With weights of every format, at every level, and heads of whole vectors, as all of GPT-2's are: naive and cached are
 * the same to the last bit. */
PROPERTY(formats, 8)
{
    struct shape whole = *s;
    whole.config.n_embd = whole.config.n_head * 16 * random_between(state, 1, 4);
    s = &whole;
    int32_t *tokens = random_tokens(state, s);
    for (int f = 0; kv_weights_choice(f); f++) {
        struct kv_model *formatted;
        OK(kv_model_synthesize(&formatted, &s->config, s->seed, kv_weights_choice(f)->name, NULL, pool, &error));
        for (int isa = 0; supported_isa(isa); isa++) {
            float *logits[2];
            for (int p = 0; p < 2; p++) {
                struct kv_session *session;
                const struct kv_session_options options = {.path = p ? "naive" : "cached",
                                                           .isa = supported_isa(isa),
                                                           .batch = s->batch,
                                                           .chunk = p ? 0 : s->chunk};
                OK(kv_session_create(&session, formatted, pool, &options, &error));
                logits[p] = run(session, s, s->batch, tokens);
                kv_session_free(session);
            }
            assert_memory_equal(logits[0], logits[1], logit_count(s, s->batch) * sizeof *logits[0]);
            free(logits[0]);
            free(logits[1]);
        }
        kv_model_free(formatted);
    }
    free(tokens);
}

/* The same run twice is the same to the last bit; more threads change nothing beyond the bound. */
PROPERTY(threads, 5)
{
    int32_t *tokens = random_tokens(state, s);
    for (int p = 0; kv_path_choice(p); p++) {
        const struct kv_session_options options = {.path = kv_path_choice(p)->name};
        struct kv_session *session = open_session(s, model, pool, options.path, s->batch);
        float *once = run(session, s, s->batch, tokens), *twice = run(session, s, s->batch, tokens);
        assert_memory_equal(once, twice, logit_count(s, s->batch) * sizeof *once);
        for (int threads = 1; threads <= 3; threads++) {
            struct kv_pool *other;
            other = make_pool(threads);
            check_session(s, model, other, options, tokens, once);
            kv_pool_free(other);
        }
        free(once);
        free(twice);
        kv_session_free(session);
    }
    free(tokens);
}

PROPERTY(row_alone, 2)
{
    int32_t *tokens = random_tokens(state, s);
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *together = open_session(s, model, pool, kv_path_choice(p)->name, s->batch);
        struct kv_session *alone = open_session(s, model, pool, kv_path_choice(p)->name, 1);
        float *all = run(together, s, s->batch, tokens);
        for (int b = 0; b < s->batch; b++) {
            float *one = run(alone, s, 1, tokens + b * s->n_tokens);
            assert_close(all + (size_t)b * logit_count(s, 1), one, logit_count(s, 1), LOGIT_BOUND);
            free(one);
        }
        free(all);
        kv_session_free(together);
        kv_session_free(alone);
    }
    free(tokens);
}

/* Appends of random lengths, none among them, in one call: each sequence is what it is alone, at every position. */
PROPERTY(ragged, 9)
{
    const int V = s->config.vocab_size, B = s->batch, T = s->n_tokens;
    int32_t *tokens = random_tokens(state, s), *given = malloc((size_t)(B * T) * sizeof *given);
    float *logits = malloc(logit_count(s, B) * sizeof *logits);
    assert_non_null(given);
    assert_non_null(logits);
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *together = open_session(s, model, pool, kv_path_choice(p)->name, B);
        struct kv_session *alone = open_session(s, model, pool, kv_path_choice(p)->name, 1);
        float *expected[9];
        int had[9] = {0}, n[9], sum;
        for (int b = 0; b < B; b++)
            expected[b] = run(alone, s, 1, tokens + b * T);
        do {
            sum = 0;
            for (int b = 0; b < B; had[b] += n[b], b++) {
                n[b] = random_between(state, 0, T - had[b]);
                memcpy(given + sum, tokens + b * T + had[b], (size_t)n[b] * sizeof *given);
                sum += n[b];
            }
            if (sum)
                OK(kv_session_append(together, n, given, logits, &error));
            const float *row = logits;
            for (int b = 0; b < B; row += n[b++] * V)
                for (int i = 0; i < n[b]; i++)
                    assert_close(row + i * V, expected[b] + (had[b] - n[b] + i) * V, (size_t)V, LOGIT_BOUND);
            sum = 0;
            for (int b = 0; b < B; b++)
                sum += had[b];
        } while (sum < B * T);
        for (int b = 0; b < B; b++)
            free(expected[b]);
        kv_session_free(together);
        kv_session_free(alone);
    }
    free(tokens);
    free(given);
    free(logits);
}

/* Sequences cut back to lengths of their own, then given further tokens: each is what it is alone. */
PROPERTY(truncation, 6)
{
    int32_t *tokens = random_tokens(state, s), more[16], one[128];
    int lengths[9], longest = 0;
    for (int b = 0; b < s->batch; b++) {
        lengths[b] = random_between(state, 0, s->n_tokens);
        longest = lengths[b] > longest ? lengths[b] : longest;
    }
    const int room = s->config.n_positions - longest, n = room < 16 / s->batch ? room : 16 / s->batch;
    for (int i = 0; i < s->batch * n; i++)
        more[i] = random_between(state, 0, s->config.vocab_size - 1);
    for (int p = 0; n > 0 && kv_path_choice(p); p++) {
        struct kv_session *together = open_session(s, model, pool, kv_path_choice(p)->name, s->batch);
        struct kv_session *alone = open_session(s, model, pool, kv_path_choice(p)->name, 1);
        OK(kv_session_prefill(together, tokens, s->n_tokens, NULL, &error));
        OK(kv_session_truncate(together, lengths, &error));
        OK(kv_session_prefill(together, more, n, NULL, &error));
        for (int b = 0; b < s->batch; b++) {
            memcpy(one, tokens + b * s->n_tokens, (size_t)lengths[b] * sizeof *one);
            memcpy(one + lengths[b], more + b * n, (size_t)n * sizeof *one);
            kv_session_reset(alone);
            OK(kv_session_prefill(alone, one, lengths[b] + n, NULL, &error));
            assert_close(kv_session_logits(together) + b * s->config.vocab_size, kv_session_logits(alone),
                         (size_t)s->config.vocab_size, LOGIT_BOUND);
        }
        kv_session_free(together);
        kv_session_free(alone);
    }
    free(tokens);
}

/* Other tokens, longer and shorter, run before: the result is the same to the last bit. */
PROPERTY(leftovers, 3)
{
    struct shape longest = *s;
    longest.n_tokens = s->config.n_positions;
    int32_t *tokens = random_tokens(state, s), *others = random_tokens(state, &longest);
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *fresh = open_session(s, model, pool, kv_path_choice(p)->name, s->batch);
        struct kv_session *used = open_session(s, model, pool, kv_path_choice(p)->name, s->batch);
        float *expected = run(fresh, s, s->batch, tokens);
        free(run(used, &longest, s->batch, others));
        float *logits = run(used, s, s->batch, tokens);
        assert_memory_equal(logits, expected, logit_count(s, s->batch) * sizeof *logits);
        free(expected);
        free(logits);
        kv_session_free(fresh);
        kv_session_free(used);
    }
    free(tokens);
    free(others);
}

/* Every type of keys and values: bits depend neither on threads nor on chunks, of which one position is decoding; f32 is
 * what the naive path has, and no other is (tiny heads of random weights know no bound for how far they are). */
PROPERTY(kept, 7)
{
    int32_t *tokens = random_tokens(state, s);
    struct kv_session *naive = open_session(s, model, pool, "naive", s->batch);
    float *expected = run(naive, s, s->batch, tokens);
    for (int k = 0; kv_kv_choice(k); k++) {
        float *first = NULL;
        for (int threads = 1; threads <= 3; threads++) {
            struct kv_pool *other;
            struct kv_session *session;
            const struct kv_session_options options = {
                .kv = kv_kv_choice(k)->name, .batch = s->batch, .chunk = threads == 2 ? 1 : s->chunk};
            assert_ok(kv_pool_create(&other, threads, &error), error);
            assert_ok(kv_session_create(&session, model, other, &options, &error), error);
            float *logits = run(session, s, s->batch, tokens);
            assert_close(logits, expected, logit_count(s, s->batch), k == 0 ? LOGIT_BOUND : INFINITY);
            if (first)
                assert_memory_equal(logits, first, logit_count(s, s->batch) * sizeof *logits);
            else
                first = memcpy(malloc(logit_count(s, s->batch) * sizeof *first), logits,
                               logit_count(s, s->batch) * sizeof *first);
            free(logits);
            kv_session_free(session);
            kv_pool_free(other);
        }
        free(first);
    }
    free(expected);
    free(tokens);
    kv_session_free(naive);
}

/* Token by token, past the window's end, under both policies that go on: the same logits on both paths. */
PROPERTY(overflow, 4)
{
    const size_t n = (size_t)s->batch * (size_t)s->config.vocab_size;
    for (enum kv_overflow policy = KV_OVERFLOW_RECOMPUTE; policy <= KV_OVERFLOW_SHIFT; policy++) {
        struct kv_session *naive, *cached;
        struct kv_session_options options = {.path = "naive", .batch = s->batch, .overflow = policy};
        OK(kv_session_create(&naive, model, pool, &options, &error));
        options.path = "cached";
        options.chunk = s->chunk;
        OK(kv_session_create(&cached, model, pool, &options, &error));
        int32_t *tokens = random_tokens(state, s);
        OK(kv_session_prefill(naive, tokens, s->n_tokens, NULL, &error));
        OK(kv_session_prefill(cached, tokens, s->n_tokens, NULL, &error));
        const int n_steps = s->config.n_positions - s->n_tokens + 5;
        for (int i = 0; i < n_steps; i++) {
            for (int b = 0; b < s->batch; b++)
                tokens[b] = random_between(state, 0, s->config.vocab_size - 1);
            OK(kv_session_decode(naive, tokens, &error));
            OK(kv_session_decode(cached, tokens, &error));
            assert_int_equal(kv_session_lengths(naive)[0], kv_session_lengths(cached)[0]);
            assert_int_equal(kv_session_overflows(naive), kv_session_overflows(cached));
            assert_close(kv_session_logits(cached), kv_session_logits(naive), n, LOGIT_BOUND);
        }
        assert_true(kv_session_overflows(naive) > 0);
        free(tokens);
        kv_session_free(naive);
        kv_session_free(cached);
    }
}
