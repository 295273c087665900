/* Sessions: the window's end, errors that leave a session as it was, and what is reported. */
#include "unit.h"

#include "cache/cache.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { P = 12, V = 31 };
static const struct kv_config small = {2, 2, 8, 32, V, P, KV_GELU_NEW, 1e-5f};

struct fixture {
    struct kv_pool *pool;
    struct kv_model *model;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    OK(kv_pool_create(&f->pool, 2, &error));
    OK(kv_model_synthesize(&f->model, &small, 7, NULL, NULL, f->pool, &error));
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

static struct kv_session *open_session(const struct fixture *f, const char *path, int batch, enum kv_overflow overflow)
{
    return make_session(f->model, f->pool,
                        (struct kv_session_options){.path = path, .batch = batch, .overflow = overflow});
}

static const int32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7};

/* The logits of a fresh naive session on exactly these tokens. */
static void assert_last_logits(const struct fixture *f, const struct kv_session *session, const int32_t *tokens, int n)
{
    struct kv_session *fresh = open_session(f, "naive", 1, KV_OVERFLOW_STOP);
    OK(kv_session_prefill(fresh, tokens, n, NULL, &error));
    assert_close(kv_session_logits(session), kv_session_logits(fresh), V, 1e-5);
    kv_session_free(fresh);
}

FIXTURE_TEST(stop_leaves_the_session_as_it_was)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_STOP);
        OK(kv_session_prefill(s, ids, P - 1, NULL, &error));
        REFUSED(kv_session_prefill(s, ids, 2, NULL, &error), KV_WINDOW_FULL, "n_positions is 12", NULL);
        assert_int_equal(kv_session_lengths(s)[0], P - 1);
        assert_int_equal(kv_session_overflows(s), 0);
        OK(kv_session_decode(s, ids + P - 1, &error));
        assert_last_logits(f, s, ids, P);
        assert_int_equal(kv_session_decode(s, ids, &error), KV_WINDOW_FULL);
        assert_last_logits(f, s, ids, P);
        kv_session_free(s);
    }
}

FIXTURE_TEST(recompute_crops_to_the_window)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_RECOMPUTE);
        OK(kv_session_prefill(s, ids, P + 4, NULL, &error)); /* a prompt longer than the window */
        assert_int_equal(kv_session_lengths(s)[0], P);
        assert_int_equal(kv_session_overflows(s), 1);
        assert_last_logits(f, s, ids + 4, P);
        for (int i = 1; i <= 3; i++) {
            OK(kv_session_decode(s, ids + P + 3 + i, &error));
            assert_last_logits(f, s, ids + 4 + i, P);
        }
        assert_int_equal(kv_session_overflows(s), 4);
        kv_session_free(s);
    }
}

FIXTURE_TEST(shift_drops_the_older_half)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_SHIFT);
        OK(kv_session_prefill(s, ids, P, NULL, &error));
        OK(kv_session_decode(s, ids + P, &error));
        assert_int_equal(kv_session_lengths(s)[0], P / 2 + 1);
        assert_last_logits(f, s, ids + P / 2, P / 2 + 1);
        OK(kv_session_decode(s, ids + P + 1, &error)); /* goes on without another overflow */
        assert_int_equal(kv_session_lengths(s)[0], P / 2 + 2);
        assert_int_equal(kv_session_overflows(s), 1);
        assert_last_logits(f, s, ids + P / 2, P / 2 + 2);
        kv_session_reset(s);
        assert_int_equal(kv_session_overflows(s), 0);
        OK(kv_session_prefill(s, ids, 2 * P + 3, NULL, &error)); /* halves, until it fits */
        assert_int_equal(kv_session_lengths(s)[0], 2 * P + 3 - 3 * (P / 2));
        assert_last_logits(f, s, ids + 3 * (P / 2), 2 * P + 3 - 3 * (P / 2));
        kv_session_free(s);
    }
}

FIXTURE_TEST(errors_name_the_thing)
{
    float logits[V];
    struct kv_session *s = open_session(f, "cached", 1, KV_OVERFLOW_RECOMPUTE);
    int32_t token;
    assert_int_equal(kv_session_greedy(s, &token, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_prefill(s, ids, 0, NULL, &error), KV_ERROR_ARGUMENT);
    REFUSED(kv_session_prefill(s, (int32_t[]){V}, 1, NULL, &error), KV_ERROR_ARGUMENT, "31 is not in 0..30", NULL);
    assert_int_equal(kv_session_prefill(s, (int32_t[]){-1}, 1, NULL, NULL), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_prefill(s, ids, P + 1, logits, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_lengths(s)[0], 0);
    kv_session_free(s);

    static const struct {
        struct kv_session_options options;
        const char *message;
    } bad[] = {
        {{.batch = 0}, "batch"},
        {{.batch = 1, .capacity = P + 1}, "capacity"},
        {{.batch = 1, .capacity = -1}, "capacity"},
        {{.batch = 1, .chunk = -1}, "chunk"},
        {{.batch = 1, .overflow = (enum kv_overflow)3}, "overflow"},
        {{.batch = 1, .path = "hybrid"}, "path 'hybrid' is not known; use one of: cached, naive"},
        {{.batch = 1, .cache = "pages"}, "cache 'pages' is not known; use one of: contiguous"},
        {{.batch = 1, .matmul = "cuda"}, "matmul 'cuda' is not known; use one of: packed, openblas, reference"},
        {{.batch = 1, .isa = "sse9"}, "isa 'sse9' is not known; use one of: portable"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        REFUSED(kv_session_create(&s, f->model, f->pool, &bad[i].options, &error), KV_ERROR_ARGUMENT, bad[i].message,
                NULL);
        assert_null(s);
    }
    const struct kv_session_options plain = {.batch = 1, .matmul = "reference"};
    REFUSED(kv_session_create(&s, f->model, f->pool, &plain, &error), KV_ERROR_ARGUMENT, "laid out for another", NULL);
    const struct kv_session_options huge = {.batch = INT32_MAX};
    REFUSED(kv_session_create(&s, f->model, f->pool, &huge, &error), KV_ERROR_MEMORY, "GiB", NULL);
}

FIXTURE_TEST(capacity_is_a_promise)
{
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = make_session(
            f->model, f->pool, (struct kv_session_options){.path = kv_path_choice(p)->name, .batch = 1, .capacity = 5});
        OK(kv_session_prefill(s, ids, 5, NULL, &error));
        REFUSED(kv_session_decode(s, ids, &error), KV_ERROR_ARGUMENT, "made for 5", NULL);
        assert_last_logits(f, s, ids, 5);
        kv_session_free(s);
    }
}

FIXTURE_TEST(memory_is_what_it_says)
{
    struct kv_session *s = open_session(f, "cached", 2, KV_OVERFLOW_STOP);
    assert_int_equal(kv_session_kv_live_bytes(s), 0);
    OK(kv_session_prefill(s, ids, 3, NULL, &error));
    assert_int_equal(kv_session_kv_live_bytes(s), 2 * 2 * 8 * 3 * 2 * sizeof(float)); /* 2 L C T B */
    assert_true(kv_session_kv_reserved_bytes(s) >= 2 * 2 * 8 * P * 2 * sizeof(float));
    kv_session_free(s);
    s = open_session(f, "naive", 2, KV_OVERFLOW_STOP);
    OK(kv_session_prefill(s, ids, 3, NULL, &error));
    assert_int_equal(kv_session_kv_live_bytes(s), 0);
    assert_int_equal(kv_session_kv_reserved_bytes(s), 0);
    kv_session_free(s);
}

FIXTURE_TEST(defaults)
{
    struct kv_session *s = open_session(f, NULL, 1, KV_OVERFLOW_STOP);
    assert_string_equal(kv_session_path(s), kv_path_choice(0)->name);
    assert_string_equal(kv_session_matmul(s), kv_matmul_choice(0)->name);
    int highest = 0;
    while (supported_isa(highest + 1))
        highest++;
    assert_string_equal(kv_session_isa(s), supported_isa(highest));
    kv_session_free(s);
}

/* Weights that overflow give logits that are no numbers: an error, never a token. */
FIXTURE_TEST(not_a_number_is_an_error)
{
    struct kv_model *model;
    struct kv_session *s;
    int32_t token;
    struct kv_config config = small;
    config.layer_norm_epsilon = NAN;
    OK(kv_model_synthesize(&model, &config, 1, NULL, NULL, f->pool, &error));
    const struct kv_session_options options = {.batch = 1};
    OK(kv_session_create(&s, model, f->pool, &options, &error));
    OK(kv_session_prefill(s, ids, 3, NULL, &error));
    REFUSED(kv_session_greedy(s, &token, &error), KV_ERROR_NUMERIC, "not a number", NULL);
    kv_session_free(s);
    kv_model_free(model);
}

/* Sessions that share a model, each on a pool of its own. */
FIXTURE_TEST(two_sessions_do_not_meet)
{
    struct kv_session *a = open_session(f, "cached", 1, KV_OVERFLOW_STOP);
    struct kv_session *b = open_session(f, "cached", 1, KV_OVERFLOW_STOP);
    OK(kv_session_prefill(a, ids, 4, NULL, &error));
    OK(kv_session_prefill(b, ids + 7, 6, NULL, &error));
    OK(kv_session_decode(a, ids + 4, &error));
    OK(kv_session_decode(b, ids + 13, &error));
    assert_last_logits(f, a, ids, 5);
    assert_last_logits(f, b, ids + 7, 7);
    kv_session_free(a);
    kv_session_free(b);
}

/* ---- Lengths of their own ------------------------------------------------------------------------------ */

/* A window of three blocks of keys, so that lengths lie at, before and behind their boundaries; heads of whole
 * vectors at every level, which are summed alike in whatever pass. */
enum { LONG_P = 48, LONG_B = 5, LONG_C = 64 };

struct ragged {
    struct kv_model *model;
    const char *cache, *kv;             /* of the sessions */
    int32_t tokens[LONG_B][3 * LONG_P]; /* what each sequence has been given since it was empty, or was cut */
    int n[LONG_B];
};

static int32_t next_token(int i)
{
    return (i * 7 + i / 5) % V;
}

/* Gives every sequence n further tokens of its own. */
static void give(struct ragged *r, struct kv_session *s, int batch, int n)
{
    int32_t tokens[LONG_B * LONG_P];
    for (int b = 0; b < batch; b++)
        for (int i = 0; i < n; i++)
            tokens[b * n + i] = r->tokens[b][r->n[b] + i] = next_token((r->n[b] + i) * (b + 1) + b);
    for (int b = 0; b < batch; b++)
        r->n[b] += n;
    OK(kv_session_prefill(s, tokens, n, NULL, &error));
}

static void cut(struct ragged *r, struct kv_session *s, int batch, const int *lengths)
{
    int32_t token[LONG_B];
    OK(kv_session_truncate(s, lengths, &error));
    for (int b = 0; b < batch; b++) {
        assert_int_equal(kv_session_lengths(s)[b], lengths[b]);
        r->n[b] = lengths[b];
    }
    assert_int_equal(kv_session_greedy(s, token, &error), KV_ERROR_ARGUMENT);
}

static struct kv_session *open_long(const struct fixture *f, const struct ragged *r, struct kv_session_options options)
{
    options.cache = r->cache;
    options.kv = r->kv;
    return make_session(r->model, f->pool, options);
}

/* Each sequence's logits are, to the last bit, those of a fresh session of that path that has it alone. */
static void assert_as_alone(const struct fixture *f, const struct ragged *r, const struct kv_session *s, int batch)
{
    for (int b = 0; b < batch; b++) {
        struct kv_session *alone = open_long(f, r, (struct kv_session_options){.path = kv_session_path(s), .batch = 1});
        const int n = kv_session_lengths(s)[b];
        OK(kv_session_prefill(alone, r->tokens[b] + r->n[b] - n, n, NULL, &error));
        assert_memory_equal(kv_session_logits(s) + b * V, kv_session_logits(alone), V * sizeof(float));
        kv_session_free(alone);
    }
}

/* On every path, in every cache that there is. */
static void with_long_model(const struct fixture *f,
                            void (*check)(const struct fixture *f, struct ragged *r, const char *path, int chunk))
{
    struct ragged r = {0};
    struct kv_config config = small;
    config.n_positions = LONG_P;
    config.n_embd = LONG_C;
    OK(kv_model_synthesize(&r.model, &config, 7, NULL, NULL, f->pool, &error));
    static const char *const others[] = {"paged:3", "paged:256"}; /* other numbers than the table's */
    int n_caches = 0;
    while (kv_cache_choice(n_caches))
        n_caches++;
    for (int i = 0; i < n_caches + 2; i++)
        for (int j = 0; kv_kv_choice(j); j++) {
            const struct kv_cache_kind *kind;
            int numbers[KV_CACHE_NUMBERS];
            r.cache = i < n_caches ? kv_cache_choice(i)->name : others[i - n_caches];
            r.kv = kv_kv_choice(j)->name;
            for (int p = 0; kv_cache_find(r.cache, r.kv, &kind, numbers, NULL) == KV_OK && kv_path_choice(p); p++)
                for (int chunk = 0; chunk <= 5; chunk += 5) {
                    memset(r.n, 0, sizeof r.n);
                    check(f, &r, kv_path_choice(p)->name, chunk);
                }
        }
    kv_model_free(r.model);
}

static void check_truncation(const struct fixture *f, struct ragged *r, const char *path, int chunk)
{
    static const int cuts[][LONG_B] = {{0, 15, 16, 17, 33}, {1, 0, 20, 16, 33}, {8, 7, 0, 0, 0}, {0, 0, 0, 0, 0}};
    struct kv_session *s = open_long(f, r, (struct kv_session_options){.path = path, .batch = LONG_B, .chunk = chunk});
    give(r, s, LONG_B, 33);
    assert_as_alone(f, r, s, LONG_B);
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        cut(r, s, LONG_B, cuts[i]);
        give(r, s, LONG_B, i == 1 ? 14 : 1);
        assert_as_alone(f, r, s, LONG_B);
        give(r, s, LONG_B, 1);
        assert_as_alone(f, r, s, LONG_B);
        size_t positions = 0;
        for (int b = 0; b < LONG_B; b++)
            positions += (size_t)kv_session_lengths(s)[b];
        const size_t position_bytes = 2 * 2 * LONG_C * sizeof(float);
        if (kv_path_keeps(path) && kv_cache_drops(r->cache)) /* test_window.c knows how many */
            assert_in_range(kv_session_kv_live_bytes(s), 1, (position_bytes + 64) * positions);
        else if (!kv_path_keeps(path) || strcmp(r->kv, "f32") == 0)
            assert_int_equal(kv_session_kv_live_bytes(s), kv_path_keeps(path) ? position_bytes * positions : 0);
        else
            assert_in_range(kv_session_kv_live_bytes(s), 1, position_bytes * positions - 1);
        if (i == 0) /* back to lengths that every cut of the table fits */
            give(r, s, LONG_B, 13);
    }
    kv_session_free(s);
}

/* What is kept in another type is about what the naive path computes, within the widest bound of the gate. */
static void check_values(const struct fixture *f, struct ragged *r, const char *path, int chunk)
{
    float expected[V];
    for (int pass = 0; pass < 2; pass++) {
        struct kv_session *s = open_long(
            f, r, (struct kv_session_options){.path = pass ? path : "naive", .batch = 1, .chunk = pass ? chunk : 0});
        memset(r->n, 0, sizeof r->n);
        give(r, s, 1, 40);
        give(r, s, 1, 1);
        if (pass)
            assert_close(kv_session_logits(s), expected, V, strcmp(r->kv, "f32") == 0 ? 1e-5 : 0.5);
        memcpy(expected, kv_session_logits(s), sizeof expected);
        kv_session_free(s);
    }
}

FIXTURE_TEST(every_cache)
{
    with_long_model(f, check_values);
}

FIXTURE_TEST(truncation)
{
    with_long_model(f, check_truncation);
}

/* Each sequence slides by itself, and only once its own window is full. */
static void check_ragged_overflow(const struct fixture *f, struct ragged *r, const char *path, int chunk)
{
    for (enum kv_overflow policy = KV_OVERFLOW_STOP; policy <= KV_OVERFLOW_SHIFT; policy++) {
        struct kv_session *s = open_long(
            f, r, (struct kv_session_options){.path = path, .batch = 3, .chunk = chunk, .overflow = policy});
        memset(r->n, 0, sizeof r->n);
        give(r, s, 3, LONG_P);
        cut(r, s, 3, (int[]){LONG_P - 1, LONG_P, 3});
        if (policy == KV_OVERFLOW_STOP) {
            assert_int_equal(kv_session_decode(s, ids, &error), KV_WINDOW_FULL);
            assert_int_equal(kv_session_lengths(s)[0], LONG_P - 1);
            assert_int_equal(kv_session_lengths(s)[2], 3);
            kv_session_free(s);
            continue;
        }
        give(r, s, 3, 1);
        const int slid = policy == KV_OVERFLOW_RECOMPUTE ? LONG_P : LONG_P / 2 + 1;
        assert_int_equal(kv_session_lengths(s)[0], LONG_P);
        assert_int_equal(kv_session_lengths(s)[1], slid);
        assert_int_equal(kv_session_lengths(s)[2], 4);
        assert_int_equal(kv_session_overflows(s), 1);
        assert_as_alone(f, r, s, 3);
        give(r, s, 3, 2);
        assert_int_equal(kv_session_overflows(s), 2);
        assert_int_equal(kv_session_lengths(s)[2], 6);
        assert_as_alone(f, r, s, 3);
        kv_session_free(s);
    }
}

FIXTURE_TEST(ragged_overflow)
{
    with_long_model(f, check_ragged_overflow);
}

FIXTURE_TEST(refused_truncation)
{
    struct kv_session *s = open_session(f, NULL, 2, KV_OVERFLOW_STOP);
    int32_t tokens[2];
    OK(kv_session_prefill(s, ids, 4, NULL, &error));
    REFUSED(kv_session_truncate(s, (int[]){3, 5}, &error), KV_ERROR_ARGUMENT, "sequence 1", NULL);
    assert_int_equal(kv_session_truncate(s, (int[]){-1, 4}, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_lengths(s)[0], 4);
    OK(kv_session_greedy(s, tokens, &error));
    kv_session_free(s);
}

/* Unknown names say what there is instead. */
/* A prompt that was run once and copied leaves every sequence as if each had run it, in all types and on all paths. */
FIXTURE_TEST(the_same_prompt)
{
    enum { B = 3, T = 7 };
    int32_t prompts[B * T], next[B] = {5, 6, 7};
    for (int i = 0; i < B * T; i++)
        prompts[i] = ids[i % T];
    for (int p = 0; kv_path_choice(p); p++)
        for (int k = 0; kv_kv_choice(k); k++) {
            const struct kv_session_options options = {
                .path = kv_path_choice(p)->name, .kv = kv_kv_choice(k)->name, .batch = B};
            struct kv_session *each = make_session(f->model, f->pool, options);
            struct kv_session *once = make_session(f->model, f->pool, options);
            OK(kv_session_prefill(each, prompts, T, NULL, &error));
            OK(kv_session_prefill_same(once, ids, T, &error));
            assert_memory_equal(kv_session_logits(each), kv_session_logits(once), B * V * sizeof(float));
            OK(kv_session_decode(each, next, &error));
            OK(kv_session_decode(once, next, &error));
            assert_memory_equal(kv_session_logits(each), kv_session_logits(once), B * V * sizeof(float));
            assert_int_equal(kv_session_kv_live_bytes(each), kv_session_kv_live_bytes(once));
            REFUSED(kv_session_prefill_same(once, ids, T, &error), KV_ERROR_ARGUMENT, "to be empty", NULL);
            kv_session_free(each);
            kv_session_free(once);
        }
}

enum { APART_T = 19, APART_C = 32, APART_KEPT = APART_T * APART_C };

/* What the first layer keeps, [heads][positions][dimensions], of the last of these. */
struct looked_at {
    float keys[APART_KEPT], values[APART_KEPT];
};

static void look(void *context, const struct kv_attention_view *view)
{
    struct looked_at *seen = context;
    const int n = view->n_positions, size = view->head_size;
    for (int i = 0; view->layer == 0 && i < n * size; i++) {
        seen->keys[view->head * APART_T * size + i] = kv_view_key(view, i / size, i % size);
        seen->values[view->head * APART_T * size + i] = kv_view_value(view, i / size, i % size);
    }
}

/* Runs ids in that cache, in chunks; returns its bytes. */
static size_t run_kept(const struct kv_model *model, struct kv_pool *pool, const char *kv, int chunk,
                       struct looked_at *seen, float logits[V])
{
    const struct kv_observer observer = {look, seen};
    struct kv_session *s = make_session(model, pool, (struct kv_session_options){.kv = kv, .batch = 1, .chunk = chunk});
    kv_session_observe(s, &observer);
    OK(kv_session_prefill(s, ids, APART_T, NULL, &error));
    memcpy(logits, kv_session_logits(s), V * sizeof *logits);
    assert_string_equal(kv_session_kv(s), kv_kv_name(kv));
    const size_t bytes = kv_session_kv_live_bytes(s);
    kv_session_free(s);
    return bytes;
}

/* Keys of one type and values of another are kept as each type keeps them, in all pairs: the same keys and values in the
 * first layer, whose input no cache has touched; bytes that add up; bits that do not depend on chunks. */
FIXTURE_TEST(keys_and_values_apart)
{
    static struct looked_at of_type[8], mixed;
    float logits[8][V], own[V], again[V];
    size_t bytes[8];
    struct kv_config config = small;
    struct kv_model *model;
    config.n_positions = 2 * APART_T;
    config.n_embd = APART_C;
    OK(kv_model_synthesize(&model, &config, 7, NULL, NULL, f->pool, &error));
    for (int k = 0; kv_kv_choice(k); k++)
        bytes[k] = run_kept(model, f->pool, kv_kv_choice(k)->name, 0, &of_type[k], logits[k]);
    for (int k = 0; kv_kv_choice(k); k++)
        for (int v = 0; kv_kv_choice(v); v++) {
            char kv[32], turned[32];
            snprintf(kv, sizeof kv, "%s/%s", kv_kv_choice(k)->name, kv_kv_choice(v)->name);
            snprintf(turned, sizeof turned, "%s/%s", kv_kv_choice(v)->name, kv_kv_choice(k)->name);
            const size_t one_way = run_kept(model, f->pool, kv, 0, &mixed, own);
            assert_memory_equal(mixed.keys, of_type[k].keys, sizeof mixed.keys);
            assert_memory_equal(mixed.values, of_type[v].values, sizeof mixed.values);
            assert_int_equal(memcmp(own, logits[k], sizeof own) == 0, k == v);
            assert_int_equal(one_way + run_kept(model, f->pool, turned, 0, &mixed, again), bytes[k] + bytes[v]);
            run_kept(model, f->pool, kv, 1, &mixed, again);
            assert_memory_equal(own, again, sizeof own);
        }
    assert_null(kv_kv_name("int8/"));
    assert_null(kv_kv_name("/int8"));
    assert_null(kv_kv_name("int8/int4/f32"));
    assert_ptr_equal(kv_kv_name("int8/int8"), kv_kv_choice(2)->name);
    kv_model_free(model);
}

FIXTURE_TEST(choices)
{
    struct kv_session *s;
    struct kv_model *model;
    assert_string_equal(kv_weights_choice(0)->name, "f32");
    assert_string_equal(kv_cache_choice(0)->name, "contiguous");
    assert_string_equal(kv_kv_choice(0)->name, "f32");
    assert_true(kv_path_keeps("cached"));
    assert_false(kv_path_keeps("naive") || kv_path_keeps("hybrid"));
    const struct kv_session_options wrong = {.batch = 1, .path = "naive", .kv = "f8"};
    REFUSED(kv_session_create(&s, f->model, f->pool, &wrong, &error), KV_ERROR_ARGUMENT,
            "kv 'f8' is not known; use one of: f32", NULL);
    REFUSED(kv_model_synthesize(&model, &small, 1, "f33", NULL, f->pool, &error), KV_ERROR_ARGUMENT, "f32", NULL);
    const struct kv_session_options known = {.batch = 1, .cache = "contiguous", .kv = "f32"};
    OK(kv_session_create(&s, f->model, f->pool, &known, &error));
    assert_string_equal(kv_session_cache(s), "contiguous");
    assert_string_equal(kv_session_kv(s), "f32");
    kv_session_free(s);
    s = open_session(f, "naive", 1, KV_OVERFLOW_STOP);
    assert_string_equal(kv_session_cache(s), "");
    assert_string_equal(kv_session_kv(s), "");
    kv_session_free(s);
}

/* The formulas of kvbench.h, by hand: one layer, C 2, I 3, V 5: 4 C^2 + 2 C I = 28 weights in it, 10 in the head. */
FIXTURE_TEST(work)
{
    const struct kv_config config = {1, 1, 2, 3, 5, 10, KV_GELU, 1e-5f};
    struct kv_session_options options = {.path = "cached", .batch = 2};
    struct kv_work work = kv_step_work(&config, "f32", &options, 3, 2);
    assert_true(work.flops == 2 * (2 * 28 * 2 + 4 * 2 * (4 + 5) + 2 * 10));
    assert_true(work.bytes == 4 * (28 + 10) + 2 * 5 * 2 * 2 * 4);
    options.path = "naive";
    work = kv_step_work(&config, NULL, &options, 3, 2);
    assert_true(work.flops == 2 * (2 * 28 * 5 + 4 * 2 * (1 + 2 + 3 + 4 + 5) + 2 * 10));
    assert_true(work.bytes == 4 * (28 + 10));
    options.cache = "unknown";
    assert_true(kv_step_work(&config, NULL, &options, 3, 2).flops == 0);
}

/* A context of several parts and fewer heads than threads: attention is split along it, and not a bit moves. */
TEST(long_contexts_are_shared_by_threads)
{
    const struct kv_config config = {2, 3, 24, 48, 31, 800, KV_GELU_NEW, 1e-5f};
    const int lengths[] = {700, 255};
    int32_t tokens[2][700], next[2] = {5, 6};
    float first[4][2 * 31];
    for (int i = 0; i < 2 * 700; i++)
        tokens[i / 700][i % 700] = i * 7 % 31;
    for (int n_threads = 1; n_threads <= 8; n_threads = n_threads == 1 ? 4 : n_threads + 1) {
        struct kv_pool *pool = make_pool(n_threads);
        struct kv_model *model = synthesize(&config, 3, NULL, n_threads);
        struct kv_session *s = make_session(model, pool, (struct kv_session_options){.path = "cached", .batch = 2});
        OK(kv_session_prefill(s, tokens[0], 700, NULL, &error));
        OK(kv_session_truncate(s, lengths, &error));
        for (int step = 0; step < 4; step++) {
            OK(kv_session_decode(s, next, &error));
            if (n_threads == 1)
                memcpy(first[step], kv_session_logits(s), sizeof first[step]);
            else
                assert_memory_equal(first[step], kv_session_logits(s), sizeof first[step]);
        }
        kv_session_free(s);
        kv_model_free(model);
        kv_pool_free(pool);
    }
}
