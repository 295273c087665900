/* Sessions: the window's end, errors that leave a session as it was, and what is reported. */
#include "support.h"

#include <math.h>
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
    struct kv_error error;
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    assert_ok(kv_pool_create(&f->pool, 2, &error), error);
    assert_ok(kv_model_synthesize(&f->model, &small, 7, NULL, f->pool, &error), error);
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

static struct kv_session *open_session(const struct fixture *f, const char *path, int batch, enum kv_overflow overflow)
{
    struct kv_error error;
    struct kv_session *session;
    const struct kv_session_options options = {.path = path, .batch = batch, .overflow = overflow};
    assert_ok(kv_session_create(&session, f->model, f->pool, &options, &error), error);
    return session;
}

static const int32_t ids[] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6, 2, 6, 4, 3, 3, 8, 3, 2, 7};

/* The logits of a fresh naive session on exactly these tokens. */
static void assert_last_logits(const struct fixture *f, const struct kv_session *session, const int32_t *tokens, int n)
{
    struct kv_error error;
    struct kv_session *fresh = open_session(f, "naive", 1, KV_OVERFLOW_STOP);
    assert_ok(kv_session_prefill(fresh, tokens, n, NULL, &error), error);
    assert_close(kv_session_logits(session), kv_session_logits(fresh), V, 1e-5);
    kv_session_free(fresh);
}

static void test_stop_leaves_the_session_as_it_was(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_STOP);
        assert_ok(kv_session_prefill(s, ids, P - 1, NULL, &error), error);
        assert_int_equal(kv_session_prefill(s, ids, 2, NULL, &error), KV_WINDOW_FULL);
        assert_non_null(strstr(error.message, "n_positions is 12"));
        assert_int_equal(kv_session_length(s), P - 1);
        assert_int_equal(kv_session_overflows(s), 0);
        assert_ok(kv_session_decode(s, ids + P - 1, &error), error);
        assert_last_logits(f, s, ids, P);
        assert_int_equal(kv_session_decode(s, ids, &error), KV_WINDOW_FULL);
        assert_last_logits(f, s, ids, P);
        kv_session_free(s);
    }
}

static void test_recompute_crops_to_the_window(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_RECOMPUTE);
        assert_ok(kv_session_prefill(s, ids, P + 4, NULL, &error), error); /* a prompt longer than the window */
        assert_int_equal(kv_session_length(s), P);
        assert_int_equal(kv_session_overflows(s), 1);
        assert_last_logits(f, s, ids + 4, P);
        for (int i = 1; i <= 3; i++) {
            assert_ok(kv_session_decode(s, ids + P + 3 + i, &error), error);
            assert_last_logits(f, s, ids + 4 + i, P);
        }
        assert_int_equal(kv_session_overflows(s), 4);
        kv_session_free(s);
    }
}

static void test_shift_drops_the_older_half(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s = open_session(f, kv_path_choice(p)->name, 1, KV_OVERFLOW_SHIFT);
        assert_ok(kv_session_prefill(s, ids, P, NULL, &error), error);
        assert_ok(kv_session_decode(s, ids + P, &error), error);
        assert_int_equal(kv_session_length(s), P / 2 + 1);
        assert_last_logits(f, s, ids + P / 2, P / 2 + 1);
        assert_ok(kv_session_decode(s, ids + P + 1, &error), error); /* goes on without another overflow */
        assert_int_equal(kv_session_length(s), P / 2 + 2);
        assert_int_equal(kv_session_overflows(s), 1);
        assert_last_logits(f, s, ids + P / 2, P / 2 + 2);
        kv_session_reset(s);
        assert_int_equal(kv_session_overflows(s), 0);
        assert_ok(kv_session_prefill(s, ids, 2 * P + 3, NULL, &error), error); /* halves, until it fits */
        assert_int_equal(kv_session_length(s), 2 * P + 3 - 3 * (P / 2));
        assert_last_logits(f, s, ids + 3 * (P / 2), 2 * P + 3 - 3 * (P / 2));
        kv_session_free(s);
    }
}

static void test_errors_name_the_thing(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    float logits[V];
    struct kv_session *s = open_session(f, "cached", 1, KV_OVERFLOW_RECOMPUTE);
    int32_t token;
    assert_int_equal(kv_session_greedy(s, &token, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_prefill(s, ids, 0, NULL, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_prefill(s, (int32_t[]){V}, 1, NULL, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "31 is not in 0..30"));
    assert_int_equal(kv_session_prefill(s, (int32_t[]){-1}, 1, NULL, NULL), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_prefill(s, ids, P + 1, logits, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_session_length(s), 0);
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
        {{.batch = 1, .path = "hybrid"}, "path 'hybrid'"},
        {{.batch = 1, .matmul = "cuda"}, "matmul 'cuda'"},
        {{.batch = 1, .isa = "sse9"}, "isa 'sse9'"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(kv_session_create(&s, f->model, f->pool, &bad[i].options, &error), KV_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, bad[i].message));
        assert_null(s);
    }
    const struct kv_session_options plain = {.batch = 1, .matmul = "reference"};
    assert_int_equal(kv_session_create(&s, f->model, f->pool, &plain, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "laid out for another"));
    const struct kv_session_options huge = {.batch = INT32_MAX};
    assert_int_equal(kv_session_create(&s, f->model, f->pool, &huge, &error), KV_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "GiB"));
}

static void test_capacity_is_a_promise(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    for (int p = 0; kv_path_choice(p); p++) {
        struct kv_session *s;
        const struct kv_session_options options = {.path = kv_path_choice(p)->name, .batch = 1, .capacity = 5};
        assert_ok(kv_session_create(&s, f->model, f->pool, &options, &error), error);
        assert_ok(kv_session_prefill(s, ids, 5, NULL, &error), error);
        assert_int_equal(kv_session_decode(s, ids, &error), KV_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "made for 5"));
        assert_last_logits(f, s, ids, 5);
        kv_session_free(s);
    }
}

static void test_memory_is_what_it_says(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    struct kv_session *s = open_session(f, "cached", 2, KV_OVERFLOW_STOP);
    assert_int_equal(kv_session_kv_live_bytes(s), 0);
    assert_ok(kv_session_prefill(s, ids, 3, NULL, &error), error);
    assert_int_equal(kv_session_kv_live_bytes(s), 2 * 2 * 8 * 3 * 2 * sizeof(float)); /* 2 L C T B */
    assert_true(kv_session_kv_reserved_bytes(s) >= 2 * 2 * 8 * P * 2 * sizeof(float));
    kv_session_free(s);
    s = open_session(f, "naive", 2, KV_OVERFLOW_STOP);
    assert_ok(kv_session_prefill(s, ids, 3, NULL, &error), error);
    assert_int_equal(kv_session_kv_live_bytes(s), 0);
    assert_int_equal(kv_session_kv_reserved_bytes(s), 0);
    kv_session_free(s);
}

static void test_defaults(void **state)
{
    const struct fixture *f = *state;
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
static void test_not_a_number_is_an_error(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    struct kv_model *model;
    struct kv_session *s;
    int32_t token;
    struct kv_config config = small;
    config.layer_norm_epsilon = NAN;
    assert_ok(kv_model_synthesize(&model, &config, 1, NULL, f->pool, &error), error);
    const struct kv_session_options options = {.batch = 1};
    assert_ok(kv_session_create(&s, model, f->pool, &options, &error), error);
    assert_ok(kv_session_prefill(s, ids, 3, NULL, &error), error);
    assert_int_equal(kv_session_greedy(s, &token, &error), KV_ERROR_NUMERIC);
    assert_non_null(strstr(error.message, "not a number"));
    kv_session_free(s);
    kv_model_free(model);
}

/* Sessions that share a model, each on a pool of its own. */
static void test_two_sessions_do_not_meet(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    struct kv_session *a = open_session(f, "cached", 1, KV_OVERFLOW_STOP);
    struct kv_session *b = open_session(f, "cached", 1, KV_OVERFLOW_STOP);
    assert_ok(kv_session_prefill(a, ids, 4, NULL, &error), error);
    assert_ok(kv_session_prefill(b, ids + 7, 6, NULL, &error), error);
    assert_ok(kv_session_decode(a, ids + 4, &error), error);
    assert_ok(kv_session_decode(b, ids + 13, &error), error);
    assert_last_logits(f, a, ids, 5);
    assert_last_logits(f, b, ids + 7, 7);
    kv_session_free(a);
    kv_session_free(b);
}

#define SESSION_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SESSION_TEST(test_stop_leaves_the_session_as_it_was),
        SESSION_TEST(test_recompute_crops_to_the_window),
        SESSION_TEST(test_shift_drops_the_older_half),
        SESSION_TEST(test_errors_name_the_thing),
        SESSION_TEST(test_capacity_is_a_promise),
        SESSION_TEST(test_memory_is_what_it_says),
        SESSION_TEST(test_defaults),
        SESSION_TEST(test_not_a_number_is_an_error),
        SESSION_TEST(test_two_sessions_do_not_meet),
    };
    return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}
