/* The observer: what it is shown is what a plain GPT-2 computes, how often it is called, and that nothing changes
 * with it or without it. */
#include "plain_gpt2.h"
#include "unit.h"

#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { L = 3, H = 3, C = 21, S = C / H, V = 53, P = 44, N_PROMPT = 19, N_MOST = 40 };
/* Head sizes and positions that fill neither a vector nor a block of keys. */
static const struct kv_config small = {L, H, C, 32, V, P, KV_GELU_NEW, 1e-5f};

static const double bound = 2e-5; /* of float32 through three layers, against double */

struct fixture {
    struct kv_pool *pool;
    struct kv_model *model;
    int32_t tokens[N_MOST];
    struct plain_gpt2 plain; /* of `tokens` */
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uint64_t random = 5;
    assert_non_null(f);
    OK(kv_pool_create(&f->pool, 2, &error));
    OK(kv_model_synthesize(&f->model, &small, 11, NULL, "openblas", f->pool, &error));
    for (int i = 0; i < N_MOST; i++)
        f->tokens[i] = random_between(&random, 0, V - 1);
    plain_gpt2_run(&f->plain, f->model, f->tokens, N_MOST);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    plain_gpt2_free(&f->plain);
    kv_model_free(f->model);
    kv_pool_free(f->pool);
    free(f);
    return 0;
}

#define FIXTURE_TEST(name) TEST_WITH(name, const struct fixture *f, NULL, NULL)

static struct kv_session *open_session(const struct fixture *f, const char *path, const char *isa, int batch)
{
    return make_session(f->model, f->pool,
                        (struct kv_session_options){.path = path, .matmul = "openblas", .isa = isa, .batch = batch});
}

/* ---- What is shown ------------------------------------------------------------------------------------- */

struct checker {
    const struct plain_gpt2 *plain;
    int n_positions; /* that every view is to have */
    double worst;    /* difference that was met */
    bool wrong;      /* a view that does not fit the model */
    int calls[L][H];
    pthread_mutex_t mutex; /* views come from several threads */
};

/* fmax would take the number of a number and NaN. */
static double larger(double worst, double difference)
{
    return fabs(difference) <= worst ? worst : isnan(difference) ? INFINITY : fabs(difference);
}

static double difference(const struct plain_gpt2 *plain, const struct kv_attention_view *view)
{
    const int layer = view->layer, head = view->head, newest = view->n_positions - 1;
    float weights[P];
    double worst = 0;
    kv_view_weights(view, weights);
    for (int t = 0; t <= newest; t++) {
        worst = larger(worst, (double)weights[t] - plain_weight(plain, layer, head, newest, t));
        for (int d = 0; d < S; d++) {
            const double key = plain_vector(plain, PLAIN_KEY, layer, head, t, d);
            const double value = plain_vector(plain, PLAIN_VALUE, layer, head, t, d);
            worst = larger(worst, (double)kv_view_key(view, t, d) - key);
            worst = larger(worst, (double)kv_view_value(view, t, d) - value);
        }
    }
    for (int d = 0; d < S; d++)
        worst = larger(worst, (double)view->query[d] - plain_vector(plain, PLAIN_QUERY, layer, head, newest, d));
    return worst;
}

static void check_view(void *context, const struct kv_attention_view *view)
{
    struct checker *c = context;
    const bool fits = view->layer >= 0 && view->layer < L && view->head >= 0 && view->head < H && view->sequence == 0 &&
                      view->head_size == S && view->n_positions == c->n_positions;
    const double found = fits ? difference(c->plain, view) : 0;
    pthread_mutex_lock(&c->mutex);
    c->wrong |= !fits;
    c->worst = fmax(c->worst, found);
    if (fits)
        c->calls[view->layer][view->head]++;
    pthread_mutex_unlock(&c->mutex);
}

static void assert_seen(const struct checker *c, int calls)
{
    assert_false(c->wrong);
    for (int layer = 0; layer < L; layer++)
        for (int head = 0; head < H; head++)
            assert_int_equal(c->calls[layer][head], calls);
    if (!(c->worst <= bound))
        fail_msg("%d positions: off by %.3g, bound %.3g", c->n_positions, c->worst, bound);
}

FIXTURE_TEST(views_are_what_a_plain_gpt2_computes)
{
    for (int p = 0; kv_path_choice(p); p++)
        for (int i = 0; supported_isa(i); i++) {
            struct checker c = {.plain = &f->plain, .n_positions = N_PROMPT, .mutex = PTHREAD_MUTEX_INITIALIZER};
            const struct kv_observer observer = {check_view, &c};
            struct kv_session *s = open_session(f, kv_path_choice(p)->name, supported_isa(i), 1);
            kv_session_observe(s, &observer);
            OK(kv_session_prefill(s, f->tokens, N_PROMPT, NULL, &error));
            assert_seen(&c, 1);
            for (int t = N_PROMPT; t < N_MOST; t++) {
                c.n_positions = t + 1;
                OK(kv_session_decode(s, f->tokens + t, &error));
                assert_seen(&c, t - N_PROMPT + 2);
            }
            kv_session_free(s);
        }
}

/* ---- How often, and of which sequence -------------------------------------------------------------------- */

enum { MANY = 37 };

struct counter {
    int calls[L][H][MANY]; /* each place belongs to one thread at a time */
    int positions[MANY];
};

static void count_view(void *context, const struct kv_attention_view *view)
{
    struct counter *c = context;
    c->calls[view->layer][view->head][view->sequence]++;
    if (view->head == 0)
        c->positions[view->sequence] = view->n_positions;
}

static void assert_counts(const struct counter *c, int batch, int calls, int n_positions)
{
    for (int b = 0; b < batch; b++) {
        assert_int_equal(c->positions[b], n_positions);
        for (int layer = 0; layer < L; layer++)
            for (int head = 0; head < H; head++)
                assert_int_equal(c->calls[layer][head][b], calls);
    }
}

/* 37 sequences of 40 positions are more rows than one pass takes, so there are several. */
FIXTURE_TEST(every_sequence_is_shown_once)
{
    int32_t tokens[MANY * N_MOST];
    for (int i = 0; i < MANY * N_MOST; i++)
        tokens[i] = f->tokens[i % N_MOST];
    for (int p = 0; kv_path_choice(p); p++) {
        struct counter c = {0};
        const struct kv_observer observer = {count_view, &c};
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, NULL, MANY);
        kv_session_observe(s, &observer);
        OK(kv_session_prefill(s, tokens, N_MOST, NULL, &error));
        assert_counts(&c, MANY, 1, N_MOST);
        OK(kv_session_decode(s, tokens, &error));
        assert_counts(&c, MANY, 2, N_MOST + 1);
        kv_session_free(s);
    }
}

FIXTURE_TEST(a_prefill_in_chunks_is_shown_once)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct counter c = {0};
        const struct kv_observer observer = {count_view, &c};
        const struct kv_session_options options = {
            .path = kv_path_choice(p)->name, .matmul = "openblas", .batch = 1, .chunk = 7};
        struct kv_session *s = make_session(f->model, f->pool, options);
        kv_session_observe(s, &observer);
        OK(kv_session_prefill(s, f->tokens, N_MOST, NULL, &error));
        assert_counts(&c, 1, 1, N_MOST);
        kv_session_free(s);
    }
}

/* ---- What does not change -------------------------------------------------------------------------------- */

FIXTURE_TEST(nobody_is_called_when_it_is_off)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct counter c = {0};
        const struct kv_observer observer = {count_view, &c};
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, NULL, 1);
        OK(kv_session_prefill(s, f->tokens, N_PROMPT, NULL, &error));
        assert_counts(&c, 1, 0, 0);
        kv_session_observe(s, &observer);
        OK(kv_session_decode(s, f->tokens + N_PROMPT, &error));
        assert_counts(&c, 1, 1, N_PROMPT + 1);
        kv_session_observe(s, NULL);
        OK(kv_session_decode(s, f->tokens + N_PROMPT + 1, &error));
        kv_session_reset(s);
        OK(kv_session_prefill(s, f->tokens, N_PROMPT, NULL, &error));
        assert_counts(&c, 1, 1, N_PROMPT + 1);
        kv_session_free(s);
    }
}

static void assert_same_bits(const struct kv_session *a, const struct kv_session *b)
{
    assert_memory_equal(kv_session_logits(a), kv_session_logits(b), V * sizeof(float));
}

FIXTURE_TEST(logits_are_the_same_bits)
{
    for (int p = 0; kv_path_choice(p); p++)
        for (int i = 0; supported_isa(i); i++) {
            struct counter c = {0};
            const struct kv_observer observer = {count_view, &c};
            struct kv_session *with = open_session(f, kv_path_choice(p)->name, supported_isa(i), 1);
            struct kv_session *without = open_session(f, kv_path_choice(p)->name, supported_isa(i), 1);
            kv_session_observe(with, &observer);
            OK(kv_session_prefill(with, f->tokens, N_PROMPT, NULL, &error));
            OK(kv_session_prefill(without, f->tokens, N_PROMPT, NULL, &error));
            assert_same_bits(with, without);
            for (int t = N_PROMPT; t < N_MOST; t++) {
                OK(kv_session_decode(with, f->tokens + t, &error));
                OK(kv_session_decode(without, f->tokens + t, &error));
                assert_same_bits(with, without);
            }
            kv_session_free(with);
            kv_session_free(without);
        }
}

GROUP(set_up, tear_down)
