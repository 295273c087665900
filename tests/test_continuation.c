/* A prompt's continuation step by step: the tokens, the clock that runs only inside steps, the ends. */
#include "urn.h"

#include "text/continuation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define END_OF_URN 2 /* the id that ends a sequence of the urn below */

static const struct urn_token urn[] = {{1, 0.0f}, {END_OF_URN, -1.5f}};

struct bench {
    struct checkpoint *checkpoint;
    struct kv_pool *pool;
    struct kv_model *model;
};

static int tear_down(void **state)
{
    struct bench *bench = *state;
    void *checkpoint = bench->checkpoint;
    kv_model_free(bench->model);
    kv_pool_free(bench->pool);
    free(bench);
    return checkpoint_tear_down(&checkpoint);
}

static int open_model(void **state, bool is_urn)
{
    struct kv_error error;
    struct bench *bench = calloc(1, sizeof *bench);
    void *checkpoint;
    assert_non_null(bench);
    assert_int_equal(checkpoint_set_up(&checkpoint), 0);
    bench->checkpoint = checkpoint;
    if (is_urn)
        build_urn(bench->checkpoint, 11, 32, urn, COUNT(urn));
    else
        build_byte_model(bench->checkpoint, 32);
    checkpoint_write(bench->checkpoint);
    assert_ok(kv_pool_create(&bench->pool, 2, &error), error);
    assert_ok(kv_model_load(&bench->model, bench->checkpoint->folder, NULL, NULL, bench->pool, &error), error);
    *state = bench;
    return 0;
}

static int set_up_urn(void **state)
{
    return open_model(state, true);
}

static int set_up_bytes(void **state)
{
    return open_model(state, false);
}

static const int32_t prompt[] = {5, 6, 7, 8, 9, 10};

/* Two sequences of three ids, greedily. */
static struct kv_continuation_options plain_options(void)
{
    return (struct kv_continuation_options){
        .session = {.batch = 2}, .prompts = prompt, .n_prompts = 2, .n_prompt = 3, .n_new = 10, .end_of_text = -1};
}

static void create(const struct bench *bench, const struct kv_continuation_options *options, struct kv_continuation *c)
{
    struct kv_error error;
    assert_ok(kv_continuation_create(c, bench->model, bench->pool, options, &error), error);
}

static void run(struct kv_continuation *c)
{
    struct kv_error error;
    while (!kv_continuation_done(c))
        assert_ok(kv_continuation_step(c, &error), error);
}

/* Greedy tokens are those of kv_generate. */
static void test_greedy(void **state)
{
    const struct bench *bench = *state;
    const struct kv_continuation_options options = plain_options();
    struct kv_error error;
    struct kv_generation expected;
    struct kv_session *session;
    struct kv_continuation c;
    create(bench, &options, &c);
    assert_ok(kv_generation_create(&expected, 2, 10, &error), error);
    assert_ok(kv_session_create(&session, bench->model, bench->pool, &options.session, &error), error);
    assert_ok(kv_generate(session, 2, prompt, 3, 10, &expected, &error), error);
    run(&c);
    assert_int_equal(c.generation.n_done, 10);
    assert_memory_equal(c.generation.tokens, expected.tokens, 20 * sizeof(int32_t));
    assert_int_equal(c.generation.kv_live_bytes, expected.kv_live_bytes);
    kv_session_free(session);
    kv_generation_free(&expected);
    kv_continuation_free(&c);
}

/* Time that passes between steps is in no stamp. */
static void test_clock(void **state)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct kv_continuation_options options = plain_options();
    struct kv_error error;
    struct kv_continuation c;
    create(*state, &options, &c);
    const int64_t start = kv_now_ns();
    while (!kv_continuation_done(&c)) {
        const int64_t before = kv_now_ns(), spent = kv_continuation_spent_ns(&c);
        assert_ok(kv_continuation_step(&c, &error), error);
        const int64_t step = kv_continuation_spent_ns(&c) - spent;
        assert_in_range(step, 1, kv_now_ns() - before);
        nanosleep(&pause, NULL);
    }
    assert_in_range(kv_continuation_spent_ns(&c), 10, kv_now_ns() - start - 10 * pause.tv_nsec);
    assert_int_equal(c.generation.stamps[0], 0);
    assert_int_equal(c.generation.stamps[10], kv_continuation_spent_ns(&c));
    const double decode_s = (double)(c.generation.stamps[10] - c.generation.stamps[1]) * 1e-9;
    assert_true(fabs(kv_continuation_rate(&c) * decode_s - 2 * 9) < 1e-6);
    kv_continuation_free(&c);
}

static void test_rate_needs_two_tokens(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_error error;
    struct kv_continuation c;
    create(*state, &options, &c);
    for (int i = 0; i < 2; i++) {
        assert_true(isnan(kv_continuation_rate(&c)));
        assert_ok(kv_continuation_step(&c, &error), error);
    }
    assert_true(kv_continuation_rate(&c) > 0);
    kv_continuation_free(&c);
}

static void test_nothing_to_do(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_continuation c;
    int n;
    options.n_new = 0;
    create(*state, &options, &c);
    assert_true(kv_continuation_done(&c));
    kv_continuation_tokens(&c, 1, &n);
    assert_int_equal(n, 0);
    kv_continuation_free(&c);
}

/* One prompt for all sequences; the draws of each are its own, and those of the first what they are alone. */
static void test_draws(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_continuation several, single;
    options.n_prompts = 1;
    options.sampling = (struct kv_sampling){.temperature = 1, .top_p = 1, .seed = 9};
    create(*state, &options, &several);
    options.session.batch = 1;
    create(*state, &options, &single);
    run(&several);
    run(&single);
    assert_memory_equal(several.prompt + 3, prompt, 3 * sizeof *prompt);
    assert_memory_equal(several.generation.tokens, single.generation.tokens, 10 * sizeof(int32_t));
    assert_memory_not_equal(several.generation.tokens + 10, single.generation.tokens, 10 * sizeof(int32_t));
    kv_continuation_free(&several);
    kv_continuation_free(&single);
}

/* ---- Ends ------------------------------------------------------------------------------------------------ */

static void test_window_is_full(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_error error;
    struct kv_continuation c;
    options.n_new = 100;
    create(*state, &options, &c);
    run(&c);
    assert_true(c.window_full);
    assert_int_equal(c.generation.n_done, 32 + 1 - 3);
    kv_continuation_free(&c);

    int32_t longer[33] = {0};
    options = (struct kv_continuation_options){
        .session = {.batch = 1}, .prompts = longer, .n_prompts = 1, .n_prompt = 33, .n_new = 1, .end_of_text = -1};
    create(*state, &options, &c);
    assert_int_equal(kv_continuation_step(&c, &error), KV_WINDOW_FULL);
    assert_int_equal(c.generation.n_done, 0);
    kv_continuation_free(&c);
}

/* The most that was in use: with a window that slides, the end has less. */
static void test_live_bytes(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_continuation c;
    const struct bench *bench = *state;
    options.session.overflow = KV_OVERFLOW_SHIFT;
    options.n_new = 35;
    create(bench, &options, &c);
    run(&c);
    assert_int_equal(c.generation.n_done, 35);
    assert_int_equal(c.generation.kv_live_bytes, 2 * 32 * kv_config_kv_bytes_per_token(kv_model_config(bench->model)));
    kv_continuation_free(&c);
}

/* What the first `n` tokens of a row are, and what follows them to the end of the run. */
static void assert_row(const struct kv_continuation *c, int sequence, int expected_done)
{
    int n;
    const int32_t *tokens = kv_continuation_tokens(c, sequence, &n);
    for (int i = 0; i < n; i++)
        assert_int_equal(tokens[i], 1);
    for (int i = n; i < expected_done; i++)
        assert_int_equal(tokens[i], END_OF_URN);
    assert_int_equal(c->ended[sequence], n < expected_done);
    assert_int_equal(c->n_selected[sequence], n + c->ended[sequence]);
}

/* Each sequence ends at its own end of text; the run, when all have ended. */
static void test_end_of_text(void **state)
{
    enum { BATCH = 6, N_NEW = 200 };
    struct kv_continuation_options options = plain_options();
    struct kv_continuation c;
    int longest = 0, shortest = N_NEW, n_tokens = 0;
    options.session = (struct kv_session_options){.batch = BATCH, .overflow = KV_OVERFLOW_SHIFT};
    options.sampling = (struct kv_sampling){.temperature = 1, .top_p = 1, .seed = 5};
    options.n_prompts = 1;
    options.n_new = N_NEW;
    options.end_of_text = END_OF_URN;
    create(*state, &options, &c);
    run(&c);
    for (int b = 0; b < BATCH; b++) {
        const int n = c.n_selected[b];
        longest = n > longest ? n : longest;
        shortest = n < shortest ? n : shortest;
        n_tokens += n - 1;
        assert_row(&c, b, c.generation.n_done);
    }
    assert_int_equal(c.n_running, 0);
    assert_int_equal(c.generation.n_done, longest);
    assert_in_range(longest, shortest + 1, N_NEW - 1);
    const double decode_s = (double)(c.generation.stamps[longest] - c.generation.stamps[1]) * 1e-9;
    assert_true(fabs(kv_continuation_rate(&c) * decode_s - n_tokens) < 1e-6);
    kv_continuation_free(&c);
}

/* ---- Turns ----------------------------------------------------------------------------------------------- */

static void test_turns(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_continuation a, b, *next;
    struct kv_error error;
    int64_t longest = 0;
    options.n_new = 25;
    options.session.path = "naive";
    create(*state, &options, &a);
    options.session.path = "cached";
    create(*state, &options, &b);
    while (!kv_continuation_done(&a) && !kv_continuation_done(&b)) {
        next = kv_continuation_next(&a, &b);
        const int64_t spent = kv_continuation_spent_ns(next);
        assert_true(spent <= kv_continuation_spent_ns(next == &a ? &b : &a));
        assert_ok(kv_continuation_step(next, &error), error);
        const int64_t step = kv_continuation_spent_ns(next) - spent;
        longest = step > longest ? step : longest;
        const int64_t apart = kv_continuation_spent_ns(&a) - kv_continuation_spent_ns(&b);
        assert_true((apart < 0 ? -apart : apart) <= longest);
    }
    while ((next = kv_continuation_next(&a, &b))) {
        assert_false(kv_continuation_done(next));
        assert_ok(kv_continuation_step(next, &error), error);
    }
    assert_true(kv_continuation_done(&a) && kv_continuation_done(&b));
    assert_memory_equal(a.generation.tokens, b.generation.tokens, 50 * sizeof(int32_t));
    assert_int_equal(kv_continuation_difference(&a, &b), -1);
    a.generation.tokens[25] ^= 1; /* of the second sequence */
    assert_int_equal(kv_continuation_difference(&a, &b), -1);
    a.generation.tokens[24] ^= 1;
    assert_int_equal(kv_continuation_difference(&a, &b), 24);
    b.generation.tokens[7] ^= 1;
    assert_int_equal(kv_continuation_difference(&a, &b), 7);
    b.n_selected[0] = 7;
    assert_int_equal(kv_continuation_difference(&a, &b), -1);
    kv_continuation_free(&a);
    kv_continuation_free(&b);
}

/* ---- Refusals -------------------------------------------------------------------------------------------- */

static void assert_create_fails(const struct bench *bench, const struct kv_continuation_options *options,
                                const char *part)
{
    struct kv_error error;
    struct kv_continuation c;
    assert_int_equal(kv_continuation_create(&c, bench->model, bench->pool, options, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, part));
}

static void test_refusals(void **state)
{
    struct kv_continuation_options options = plain_options();
    struct kv_error error;
    struct kv_continuation c;
    options.session.path = "fast";
    assert_create_fails(*state, &options, "fast");
    options = plain_options();
    options.sampling = (struct kv_sampling){.temperature = 1, .top_k = -1, .top_p = 1};
    assert_create_fails(*state, &options, "top_k");
    options = plain_options();
    options.prompts = (const int32_t[]){1, 2, 3, 4, 5, 256};
    create(*state, &options, &c);
    assert_int_equal(kv_continuation_step(&c, &error), KV_ERROR_ARGUMENT);
    kv_continuation_free(&c);
}

#define BYTES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up_bytes, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        BYTES_TEST(test_greedy),
        BYTES_TEST(test_clock),
        BYTES_TEST(test_rate_needs_two_tokens),
        BYTES_TEST(test_nothing_to_do),
        BYTES_TEST(test_draws),
        BYTES_TEST(test_window_is_full),
        BYTES_TEST(test_live_bytes),
        cmocka_unit_test_setup_teardown(test_end_of_text, set_up_urn, tear_down),
        BYTES_TEST(test_turns),
        BYTES_TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
