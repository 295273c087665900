/* Appends of another length for each sequence: what each has is, to the last bit, what it has alone, whoever is in the
 * batch beside it; and a call that is refused changes nothing. */
#include "unit.h"

#include "cache/cache.h"

#include <stdlib.h>
#include <string.h>

/* Windows of several blocks of keys; heads of whole vectors at every level, which are summed alike in whatever pass. */
enum { V = 31, C = 64, P = 48, B = 5, N_STEPS = 14 };

struct fixture {
    struct kv_pool *pool;
    struct kv_model *model;
};

static int set_up(void **state)
{
    const struct kv_config config = {2, 2, C, 96, V, P, KV_GELU_NEW, 1e-5f};
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    OK(kv_pool_create(&f->pool, 2, &error));
    OK(kv_model_synthesize(&f->model, &config, 7, NULL, NULL, f->pool, &error));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kv_model_free(f->model);
    kv_pool_free(f->pool);
    free(f);
    return 0;
}

#define FIXTURE_TEST(name) TEST_WITH(name, const struct fixture *f, set_up, tear_down)

/* A session under test, what its sequences were given, and one that has a sequence alone. */
struct pair {
    struct kv_session *together, *alone;
    int window;
    int32_t *tokens; /* [B, window] */
    int n[B];
};

static void open_pair(struct pair *p, const struct kv_model *model, struct kv_pool *pool,
                      struct kv_session_options options)
{
    p->window = kv_model_config(model)->n_positions;
    p->tokens = calloc((size_t)B * (size_t)p->window, sizeof *p->tokens);
    assert_non_null(p->tokens);
    memset(p->n, 0, sizeof p->n);
    options.batch = B;
    p->together = make_session(model, pool, options);
    options.batch = 1;
    options.chunk = 0;
    p->alone = make_session(model, pool, options);
}

static void close_pair(struct pair *p)
{
    kv_session_free(p->together);
    kv_session_free(p->alone);
    free(p->tokens);
}

/* Appends n[b] random tokens to each; `all` [sum of n, V] or NULL. */
static void append(struct pair *p, uint64_t *state, const int n[B], float *all)
{
    int32_t *tokens = malloc((size_t)B * (size_t)p->window * sizeof *tokens);
    int sum = 0;
    assert_non_null(tokens);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < n[b]; i++)
            tokens[sum++] = p->tokens[b * p->window + p->n[b]++] = random_between(state, 0, V - 1);
    OK(kv_session_append(p->together, n, tokens, all, &error));
    free(tokens);
}

/* The last logits of each sequence, and all of the last n[b] positions, [sum of n, V], where `all` is there. */
static void assert_as_alone(const struct pair *p, const int n[B], const float *all)
{
    float *expected = malloc((size_t)p->window * V * sizeof *expected);
    assert_non_null(expected);
    for (int b = 0; b < B; b++) {
        assert_int_equal(kv_session_lengths(p->together)[b], p->n[b]);
        if (p->n[b] == 0)
            continue;
        kv_session_reset(p->alone);
        OK(kv_session_prefill(p->alone, p->tokens + b * p->window, p->n[b], expected, &error));
        assert_memory_equal(kv_session_logits(p->together) + b * V, kv_session_logits(p->alone), V * sizeof *expected);
        if (all) {
            assert_memory_equal(all, expected + (p->n[b] - n[b]) * V, (size_t)n[b] * V * sizeof *expected);
            all += n[b] * V;
        }
    }
    free(expected);
}

/* For each sequence up to what it has room for, often none, often one, never none of all. */
static void random_counts(const struct pair *p, uint64_t *state, int n[B])
{
    int sum = 0;
    for (int b = 0; b < B; b++) {
        const int room = p->window - p->n[b], kind = random_between(state, 0, 3);
        n[b] = kind == 0 || room == 0 ? 0 : kind == 1 ? 1 : random_between(state, 0, room);
        sum += n[b];
    }
    for (int b = 0; !sum && b < B; b++)
        sum += n[b] = p->n[b] < p->window;
}

/* Cuts all to lengths of their own, so that there is room again, or gives one all that another has. */
static void cut_or_fork(struct pair *p, uint64_t *state)
{
    if (random_between(state, 0, 2)) {
        const int from = random_between(state, 0, B - 1), to = random_between(state, 0, B - 1);
        OK(kv_session_fork(p->together, from, to, &error));
        memmove(p->tokens + to * p->window, p->tokens + from * p->window, (size_t)p->window * sizeof *p->tokens);
        p->n[to] = p->n[from];
        return;
    }
    for (int b = 0; b < B; b++)
        p->n[b] = p->n[b] ? random_between(state, 0, p->n[b] - 1) : 0;
    p->n[random_between(state, 0, B - 1)] = 0;
    OK(kv_session_truncate(p->together, p->n, &error));
    append(p, state, (int[B]){1, 1, 1, 1, 1}, NULL);
}

/* Every path, every cache and type, with and without chunks. */
FIXTURE_TEST(as_alone)
{
    static float all[B * P * V];
    uint64_t state = 3;
    int n[B];
    for (int i = 0; kv_cache_choice(i); i++)
        for (int j = 0; kv_kv_choice(j); j++)
            for (int k = 0; kv_path_choice(k); k++)
                for (int chunk = 0; chunk <= 5; chunk += 5) {
                    struct pair p;
                    open_pair(&p, f->model, f->pool,
                              (struct kv_session_options){.path = kv_path_choice(k)->name,
                                                          .cache = kv_cache_choice(i)->name,
                                                          .kv = kv_kv_choice(j)->name,
                                                          .chunk = chunk});
                    append(&p, &state, (int[B]){P - 1, 1, 17, 3, 16}, NULL);
                    for (int step = 0; step < N_STEPS; step++) {
                        cut_or_fork(&p, &state);
                        random_counts(&p, &state, n);
                        float *wanted = step % 2 ? all : NULL;
                        memset(all, 0xff, sizeof all); /* NaN: what is left unwritten fails */
                        if (n[0] + n[1] + n[2] + n[3] + n[4] > 0)
                            append(&p, &state, n, wanted);
                        assert_as_alone(&p, n, wanted);
                    }
                    close_pair(&p);
                }
}

/* More positions than one pass has rows: a sequence is cut where a pass is full, on the path that can. */
TEST(several_passes)
{
    enum { WINDOW = 330 };
    const struct kv_config config = {1, 2, 32, 32, V, WINDOW, KV_GELU_NEW, 1e-5f};
    static float all[B * WINDOW * V];
    struct kv_pool *pool = make_pool(2);
    struct kv_model *model;
    uint64_t state = 9;
    OK(kv_model_synthesize(&model, &config, 7, NULL, NULL, pool, &error));
    for (int k = 0; kv_path_choice(k); k++)
        for (int pass = 0; pass < 3; pass++) {
            const int n[B] = {WINDOW, WINDOW - 1, pass == 1 ? 0 : WINDOW - 40, 1, WINDOW};
            struct pair p;
            open_pair(&p, model, pool,
                      (struct kv_session_options){.path = kv_path_choice(k)->name, .chunk = pass == 2 ? 300 : 0});
            append(&p, &state, n, pass ? all : NULL);
            assert_as_alone(&p, n, pass ? all : NULL);
            append(&p, &state, (int[B]){0, 1, 0, WINDOW - 1, 0}, NULL);
            assert_as_alone(&p, NULL, NULL);
            close_pair(&p);
        }
    kv_model_free(model);
    kv_pool_free(pool);
}

/* A window with room for more short sequences than a pass of the naive path takes. */
TEST(many_short_ones)
{
    enum { MANY = 150 };
    const struct kv_config config = {1, 2, 32, 32, V, 3000, KV_GELU_NEW, 1e-5f};
    struct kv_pool *pool = make_pool(2);
    struct kv_model *model;
    int32_t tokens[3 * MANY];
    int n[MANY];
    OK(kv_model_synthesize(&model, &config, 7, NULL, NULL, pool, &error));
    struct kv_session *s = make_session(model, pool, (struct kv_session_options){.path = "naive", .batch = MANY});
    struct kv_session *alone = make_session(model, pool, (struct kv_session_options){.path = "naive", .batch = 1});
    for (int i = 0; i < 3 * MANY; i++)
        tokens[i] = i * 7 % V;
    for (int b = 0; b < MANY; b++)
        n[b] = 1 + b % 3;
    OK(kv_session_append(s, n, tokens, NULL, &error));
    const int32_t *own = tokens;
    for (int b = 0; b < MANY; own += n[b++]) {
        kv_session_reset(alone);
        OK(kv_session_prefill(alone, own, n[b], NULL, &error));
        assert_memory_equal(kv_session_logits(s) + b * V, kv_session_logits(alone), V * sizeof(float));
    }
    kv_session_free(s);
    kv_session_free(alone);
    kv_model_free(model);
    kv_pool_free(pool);
}

/* Each of the two that pass their window's end does so by itself, one of them with more tokens than the window has. */
FIXTURE_TEST(past_the_window)
{
    static const int n[B] = {2, 0, P + 7, 5, 1};
    int32_t tokens[P + 15];
    uint64_t state = 5;
    for (enum kv_overflow policy = KV_OVERFLOW_RECOMPUTE; policy <= KV_OVERFLOW_SHIFT; policy++)
        for (int k = 0; kv_path_choice(k); k++)
            for (int chunk = 0; chunk <= 5; chunk += 5) {
                const struct kv_session_options options = {
                    .path = kv_path_choice(k)->name, .overflow = policy, .chunk = chunk};
                struct pair p;
                open_pair(&p, f->model, f->pool, options);
                append(&p, &state, (int[B]){P - 1, 4, 3, 1, P}, NULL);
                for (int i = 0; i < P + 15; i++)
                    tokens[i] = random_between(&state, 0, V - 1);
                OK(kv_session_append(p.together, n, tokens, NULL, &error));
                assert_int_equal(kv_session_overflows(p.together), 1);
                const int32_t *given = tokens;
                for (int b = 0; b < B; given += n[b++]) {
                    kv_session_reset(p.alone);
                    OK(kv_session_prefill(p.alone, p.tokens + b * P, p.n[b], NULL, &error));
                    if (n[b])
                        OK(kv_session_prefill(p.alone, given, n[b], NULL, &error));
                    assert_int_equal(kv_session_lengths(p.together)[b], kv_session_lengths(p.alone)[0]);
                    assert_memory_equal(kv_session_logits(p.together) + b * V, kv_session_logits(p.alone),
                                        V * sizeof(float));
                }
                close_pair(&p);
            }
}

/* ---- Refusals ------------------------------------------------------------------------------------------ */

/* The session is as it was: lengths, logits, and what comes next. */
static void assert_unchanged(struct pair *p, const float before[B * V], uint64_t *state)
{
    assert_memory_equal(kv_session_logits(p->together), before, B * V * sizeof *before);
    assert_int_equal(kv_session_overflows(p->together), 0);
    assert_as_alone(p, NULL, NULL);
    append(p, state, (int[B]){0, 1, 0, 0, 2}, NULL);
    assert_as_alone(p, NULL, NULL);
}

/* One of them would pass its window's end, or more than that. */
static kv_status too_many(struct kv_session *s, int n, float *all)
{
    const int32_t tokens[2 * P] = {0};
    return kv_session_append(s, (int[B]){1, n, 0, 2, 0}, tokens, all, &error);
}

FIXTURE_TEST(refused)
{
    static float all[2 * P * V];
    float before[B * V];
    uint64_t state = 5;
    for (enum kv_overflow policy = KV_OVERFLOW_STOP; policy <= KV_OVERFLOW_SHIFT; policy++)
        for (int k = 0; kv_path_choice(k); k++) {
            struct pair p;
            open_pair(&p, f->model, f->pool,
                      (struct kv_session_options){.path = kv_path_choice(k)->name, .overflow = policy});
            append(&p, &state, (int[B]){3, P - 4, 1, 16, 20}, NULL);
            memcpy(before, kv_session_logits(p.together), sizeof before);
            REFUSED(kv_session_append(p.together, (int[B]){0}, NULL, NULL, &error), KV_ERROR_ARGUMENT,
                    "at least 1 is needed, 0 were given", NULL);
            REFUSED(kv_session_append(p.together, (int[B]){2, 0, 1, -1, 0}, (int32_t[]){1, 2, 3}, NULL, &error),
                    KV_ERROR_ARGUMENT, "sequence 3: -1 tokens", NULL);
            REFUSED(kv_session_append(p.together, (int[B]){2, 0, 1, 0, 0}, (int32_t[]){1, 2, V}, NULL, &error),
                    KV_ERROR_ARGUMENT, "31 is not in 0..30", NULL);
            REFUSED(too_many(p.together, 5, all), policy == KV_OVERFLOW_STOP ? KV_WINDOW_FULL : KV_ERROR_ARGUMENT,
                    "n_positions is 48", NULL);
            if (policy == KV_OVERFLOW_STOP)
                REFUSED(too_many(p.together, 5, NULL), KV_WINDOW_FULL, "49 tokens, n_positions is 48", NULL);
            REFUSED(kv_session_fork(p.together, 1, B, &error), KV_ERROR_ARGUMENT, "there are 5", NULL);
            REFUSED(kv_session_fork(p.together, -1, 0, &error), KV_ERROR_ARGUMENT, "there are 5", NULL);
            assert_unchanged(&p, before, &state);
            close_pair(&p);
        }
}

/* More positions than the session was made for are refused while others have room. */
FIXTURE_TEST(capacity)
{
    float before[B * V];
    uint64_t state = 5;
    for (enum kv_overflow policy = KV_OVERFLOW_STOP; policy <= KV_OVERFLOW_SHIFT; policy++) {
        struct pair p;
        open_pair(&p, f->model, f->pool, (struct kv_session_options){.capacity = 20, .overflow = policy});
        append(&p, &state, (int[B]){1, 20, 3, 1, 7}, NULL);
        memcpy(before, kv_session_logits(p.together), sizeof before);
        REFUSED(too_many(p.together, 1, NULL), KV_ERROR_ARGUMENT, "made for 20", NULL);
        assert_memory_equal(kv_session_logits(p.together), before, sizeof before);
        assert_as_alone(&p, NULL, NULL);
        close_pair(&p);
    }
}

/* ---- What others see ----------------------------------------------------------------------------------- */

struct seen {
    int calls[B], n_positions[B]; /* of the first head of the first layer */
};

static void look(void *context, const struct kv_attention_view *view)
{
    struct seen *seen = context;
    if (view->layer || view->head) /* others come from other threads */
        return;
    seen->calls[view->sequence]++;
    seen->n_positions[view->sequence] = view->n_positions;
}

/* An observer is shown each sequence that got positions, once, under its own number. */
FIXTURE_TEST(observed)
{
    static const int n[B] = {0, 7, 1, 0, 20};
    uint64_t state = 8;
    for (int k = 0; kv_path_choice(k); k++)
        for (int chunk = 0; chunk <= 5; chunk += 5) {
            struct pair p;
            struct seen seen = {{0}, {0}};
            const struct kv_observer observer = {look, &seen};
            open_pair(&p, f->model, f->pool,
                      (struct kv_session_options){.path = kv_path_choice(k)->name, .chunk = chunk});
            append(&p, &state, (int[B]){1, 2, 3, 4, 5}, NULL);
            kv_session_observe(p.together, &observer);
            append(&p, &state, n, NULL);
            for (int b = 0; b < B; b++) {
                assert_int_equal(seen.calls[b], n[b] > 0);
                assert_int_equal(seen.n_positions[b], n[b] ? p.n[b] : 0);
            }
            assert_as_alone(&p, NULL, NULL);
            close_pair(&p);
        }
}
