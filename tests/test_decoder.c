/* A prompt's new tokens step by step: the tokens, the clock that runs only inside steps, the ends. */
#include "urn.h"

#include "measure/decoder.h"

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
static struct kv_decoder_options plain_options(void)
{
    return (struct kv_decoder_options){
        .session = {.batch = 2}, .prompts = prompt, .n_prompts = 2, .n_prompt = 3, .n_new = 10, .end_of_text = -1};
}

static void create(const struct bench *bench, const struct kv_decoder_options *options, struct kv_decoder *c)
{
    struct kv_error error;
    assert_ok(kv_decoder_create(c, bench->model, bench->pool, options, &error), error);
}

static void run(struct kv_decoder *c)
{
    struct kv_error error;
    assert_ok(kv_decoder_run(c, &error), error);
    assert_true(kv_decoder_done(c));
}

/* Of a reference case: the tokens of an independent GPT-2, on every path, also the second time and for fewer tokens
 * than there is room for; and the keys and values of all positions but the last token's, which is not run. */
static void test_greedy(void **state)
{
    struct kv_error error;
    struct reference_case r;
    struct kv_pool *pool;
    struct kv_model *model;
    (void)state;
    load_case(&r, "tiny-f32");
    const int n = r.n_greedy - r.n_tokens, n_new[] = {n, n, 3};
    assert_ok(kv_pool_create(&pool, 1, &error), error);
    assert_ok(kv_model_load(&model, r.folder, NULL, NULL, pool, &error), error);
    const struct kv_config *config = kv_model_config(model);
    for (int p = 0; kv_path_choice(p); p++) {
        const bool keeps = strcmp(kv_path_choice(p)->name, "cached") == 0;
        const struct kv_decoder_options options = {.session = {.path = kv_path_choice(p)->name, .batch = r.batch},
                                                   .prompts = r.tokens,
                                                   .n_prompts = r.batch,
                                                   .n_prompt = r.n_tokens,
                                                   .n_new = n,
                                                   .end_of_text = -1};
        struct kv_decoder d;
        assert_ok(kv_decoder_create(&d, model, pool, &options, &error), error);
        for (size_t i = 0; i < COUNT(n_new); i++) {
            const size_t positions = (size_t)(r.n_tokens + n_new[i] - 1) * (size_t)r.batch;
            kv_decoder_reset(&d, n_new[i]);
            run(&d);
            assert_int_equal(d.generation.n_steps, n_new[i]);
            for (int s = 0; s < n_new[i]; s++)
                assert_true(d.generation.stamps[s] < d.generation.stamps[s + 1]);
            for (int b = 0; b < r.batch; b++)
                assert_memory_equal(d.generation.tokens + b * n, r.greedy + b * r.n_greedy + r.n_tokens,
                                    (size_t)n_new[i] * sizeof(int32_t));
            assert_int_equal(d.generation.kv_live_bytes,
                             keeps ? positions * 2 * (size_t)config->n_layer * (size_t)config->n_embd * 4 : 0);
        }
        kv_decoder_free(&d);
    }
    kv_model_free(model);
    kv_pool_free(pool);
    free_case(&r);
}

/* Time that passes between steps is in no stamp. */
static void test_clock(void **state)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    struct kv_decoder_options options = plain_options();
    struct kv_error error;
    struct kv_decoder c;
    create(*state, &options, &c);
    const int64_t start = kv_now_ns();
    while (!kv_decoder_done(&c)) {
        const int64_t before = kv_now_ns(), spent = kv_generation_ns(&c.generation);
        assert_ok(kv_decoder_step(&c, &error), error);
        const int64_t step = kv_generation_ns(&c.generation) - spent;
        assert_in_range(step, 1, kv_now_ns() - before);
        nanosleep(&pause, NULL);
    }
    assert_in_range(kv_generation_ns(&c.generation), 10, kv_now_ns() - start - 10 * pause.tv_nsec);
    assert_int_equal(c.generation.stamps[0], 0);
    assert_int_equal(c.generation.stamps[10], kv_generation_ns(&c.generation));
    const double decode_s = (double)(c.generation.stamps[10] - c.generation.stamps[1]) * 1e-9;
    assert_true(fabs(kv_generation_rate(&c.generation) * decode_s - 2 * 9) < 1e-6);
    kv_decoder_free(&c);
}

static void test_nothing_to_do(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_decoder c;
    int n;
    options.n_new = 0;
    create(*state, &options, &c);
    assert_true(kv_decoder_done(&c));
    kv_decoder_tokens(&c, 1, &n);
    assert_int_equal(n, 0);
    kv_decoder_free(&c);
}

/* One prompt for all sequences; the draws of each are its own, and those of the first what they are alone. */
static void test_draws(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_decoder several, single;
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
    kv_decoder_reset(&several, 10);
    assert_int_equal(several.generation.n_steps, 0);
    run(&several);
    assert_memory_equal(several.generation.tokens, single.generation.tokens, 10 * sizeof(int32_t));
    kv_decoder_free(&several);
    kv_decoder_free(&single);
}

/* ---- Ends ------------------------------------------------------------------------------------------------ */

static void test_window_is_full(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_error error;
    struct kv_decoder c;
    options.n_new = 100;
    create(*state, &options, &c);
    run(&c);
    assert_true(c.window_full);
    assert_int_equal(c.generation.n_steps, 32 + 1 - 3);
    kv_decoder_free(&c);

    int32_t longer[33] = {0};
    options = (struct kv_decoder_options){
        .session = {.batch = 1}, .prompts = longer, .n_prompts = 1, .n_prompt = 33, .n_new = 1, .end_of_text = -1};
    create(*state, &options, &c);
    assert_int_equal(kv_decoder_step(&c, &error), KV_WINDOW_FULL);
    assert_int_equal(c.generation.n_steps, 0);
    kv_decoder_free(&c);
}

/* The most that was in use: with a window that slides, the end has less. */
static void test_live_bytes(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_decoder c;
    const struct bench *bench = *state;
    options.session.overflow = KV_OVERFLOW_SHIFT;
    options.n_new = 35;
    create(bench, &options, &c);
    run(&c);
    assert_int_equal(c.generation.n_steps, 35);
    assert_int_equal(c.generation.kv_live_bytes, 2 * 32 * kv_config_kv_bytes_per_token(kv_model_config(bench->model)));
    kv_decoder_free(&c);
}

/* A row is tokens, and when it has ended the end of text behind them. */
static void assert_row(const struct kv_decoder *c, int sequence)
{
    int n;
    const int32_t *tokens = kv_decoder_tokens(c, sequence, &n);
    for (int i = 0; i < n; i++)
        assert_int_equal(tokens[i], 1);
    assert_true(c->ended[sequence]);
    assert_int_equal(tokens[n], END_OF_URN);
    assert_int_equal(c->generation.n_selected[sequence], n + 1);
}

/* Each sequence ends at its own end of text; the run, when all have ended. */
static void test_end_of_text(void **state)
{
    enum { BATCH = 6, N_NEW = 200 };
    struct kv_decoder_options options = plain_options();
    struct kv_decoder c;
    int longest = 0, shortest = N_NEW, n_tokens = 0;
    options.session = (struct kv_session_options){.batch = BATCH, .overflow = KV_OVERFLOW_SHIFT};
    options.sampling = (struct kv_sampling){.temperature = 1, .top_p = 1, .seed = 5};
    options.n_prompts = 1;
    options.n_new = N_NEW;
    options.end_of_text = END_OF_URN;
    create(*state, &options, &c);
    run(&c);
    for (int b = 0; b < BATCH; b++) {
        const int n = c.generation.n_selected[b];
        longest = n > longest ? n : longest;
        shortest = n < shortest ? n : shortest;
        n_tokens += n - 1;
        assert_row(&c, b);
    }
    assert_int_equal(c.n_running, 0);
    assert_int_equal(c.generation.n_steps, longest);
    assert_in_range(longest, shortest + 1, N_NEW - 1);
    const double decode_s = (double)(c.generation.stamps[longest] - c.generation.stamps[1]) * 1e-9;
    assert_true(fabs(kv_generation_rate(&c.generation) * decode_s - n_tokens) < 1e-6);
    kv_decoder_free(&c);
}

/* ---- Lengths of their own -------------------------------------------------------------------------------- */

enum { RAGGED = 4 };
static const int ragged_lengths[RAGGED] = {2, 19, 1, 8};

/* Prompts of those lengths, one behind the other: "a" of the urn, other ids of the model on bytes. */
static void ragged_prompts(int32_t prompts[30], bool is_urn)
{
    for (int i = 0; i < 30; i++)
        prompts[i] = is_urn ? 1 : i * 7 % 100;
}

/* Each of `together` is the last row of a batch of one prompt that has as many rows as it needs. */
static void assert_as_alone(const struct bench *bench, struct kv_decoder_options options,
                            const struct kv_decoder *together)
{
    const int32_t *own = options.prompts;
    options.prompt_lengths = NULL;
    options.n_prompts = 1;
    for (int b = 0; b < RAGGED; own += ragged_lengths[b++]) {
        struct kv_decoder alone;
        int n_prompt, n, n_alone;
        options.prompts = own;
        options.n_prompt = ragged_lengths[b];
        options.session.batch = b + 1;
        create(bench, &options, &alone);
        run(&alone);
        const int32_t *kept = kv_decoder_prompt(together, b, &n_prompt);
        assert_int_equal(n_prompt, ragged_lengths[b]);
        assert_memory_equal(kept, own, (size_t)n_prompt * sizeof *own);
        const int32_t *tokens = kv_decoder_tokens(together, b, &n), *expected = kv_decoder_tokens(&alone, b, &n_alone);
        assert_int_equal(n, n_alone);
        assert_memory_equal(tokens, expected, (size_t)n * sizeof *tokens);
        assert_int_equal(together->ended[b], alone.ended[b]);
        kv_decoder_free(&alone);
    }
}

/* Prompts of other lengths and sequences that leave at their window's end, at an end of text, or not at all: on every
 * path, greedy and drawn, each has the tokens that it has alone; who has left is not run any more. */
static void check_ragged(const struct bench *bench, bool is_urn)
{
    int32_t prompts[30];
    ragged_prompts(prompts, is_urn);
    for (int p = 0; kv_path_choice(p); p++)
        for (enum kv_overflow policy = KV_OVERFLOW_STOP; policy <= KV_OVERFLOW_SHIFT; policy++)
            for (int draws = is_urn; draws < 2; draws++) {
                const struct kv_decoder_options options = {
                    .session = {.path = kv_path_choice(p)->name, .batch = RAGGED, .overflow = policy},
                    .sampling = {.temperature = (float)draws, .top_p = 1, .seed = 4},
                    .prompts = prompts,
                    .prompt_lengths = ragged_lengths,
                    .n_prompts = RAGGED,
                    .n_prompt = 19,
                    .n_new = 26,
                    .end_of_text = is_urn ? END_OF_URN : -1};
                struct kv_decoder d;
                create(bench, &options, &d);
                run(&d);
                assert_as_alone(bench, options, &d);
                for (int i = 1; i <= d.generation.n_steps; i++)
                    assert_int_equal(d.generation.n_given[i], d.generation.n_running[i]);
                for (int b = 0; policy == KV_OVERFLOW_STOP && b < RAGGED; b++)
                    assert_int_equal(kv_session_lengths(d.session)[b],
                                     ragged_lengths[b] + d.generation.n_selected[b] - 1);
                assert_true(policy != KV_OVERFLOW_STOP || d.generation.n_running[d.generation.n_steps] < RAGGED);
                kv_decoder_reset(&d, 26);
                run(&d);
                assert_as_alone(bench, options, &d);
                kv_decoder_free(&d);
            }
}

static void test_ragged(void **state)
{
    check_ragged(*state, false);
}

static void test_ragged_ends(void **state)
{
    check_ragged(*state, true);
}

/* ---- Turns ----------------------------------------------------------------------------------------------- */

static void test_turns(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_decoder sides[2], *const a = &sides[0], *const b = &sides[1], *next;
    struct kv_error error;
    int64_t longest = 0;
    options.n_new = 25;
    options.session.path = "naive";
    create(*state, &options, a);
    options.session.path = "cached";
    create(*state, &options, b);
    while (!kv_decoder_done(a) && !kv_decoder_done(b)) {
        next = kv_decoder_next(sides, 2);
        const int64_t spent = kv_generation_ns(&next->generation);
        assert_true(spent <= kv_generation_ns(&(next == a ? b : a)->generation));
        assert_ok(kv_decoder_step(next, &error), error);
        const int64_t step = kv_generation_ns(&next->generation) - spent;
        longest = step > longest ? step : longest;
        const int64_t apart = kv_generation_ns(&a->generation) - kv_generation_ns(&b->generation);
        assert_true((apart < 0 ? -apart : apart) <= longest);
    }
    while ((next = kv_decoder_next(sides, 2))) {
        assert_false(kv_decoder_done(next));
        assert_ok(kv_decoder_step(next, &error), error);
    }
    assert_true(kv_decoder_done(a) && kv_decoder_done(b));
    assert_memory_equal(a->generation.tokens, b->generation.tokens, 50 * sizeof(int32_t));
    assert_int_equal(kv_decoder_difference(a, b), -1);
    a->generation.tokens[25] ^= 1; /* of the second sequence */
    assert_int_equal(kv_decoder_difference(a, b), -1);
    a->generation.tokens[24] ^= 1;
    assert_int_equal(kv_decoder_difference(a, b), 24);
    b->generation.tokens[7] ^= 1;
    assert_int_equal(kv_decoder_difference(a, b), 7);
    b->generation.n_selected[0] = 7;
    assert_int_equal(kv_decoder_difference(a, b), -1);
    kv_decoder_free(a);
    kv_decoder_free(b);
}

/* Of three, who has used least; a pointer to the first of equals. */
static void test_turns_of_three(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_decoder sides[3], *next;
    struct kv_error error;
    options.n_new = 8;
    for (int i = 0; i < 3; i++)
        create(*state, &options, &sides[i]);
    for (int i = 0; i < 3; i++) {
        next = kv_decoder_next(sides, 3);
        assert_ptr_equal(next, &sides[i]);
        assert_ok(kv_decoder_step(next, &error), error);
    }
    while ((next = kv_decoder_next(sides, 3))) {
        for (int i = 0; i < 3; i++)
            assert_true(kv_decoder_done(&sides[i]) ||
                        kv_generation_ns(&next->generation) <= kv_generation_ns(&sides[i].generation));
        assert_ok(kv_decoder_step(next, &error), error);
    }
    for (int i = 0; i < 3; i++) {
        assert_true(kv_decoder_done(&sides[i]));
        kv_decoder_free(&sides[i]);
    }
}

/* ---- Refusals -------------------------------------------------------------------------------------------- */

static void assert_create_fails(const struct bench *bench, const struct kv_decoder_options *options, const char *part)
{
    struct kv_error error;
    struct kv_decoder c;
    assert_int_equal(kv_decoder_create(&c, bench->model, bench->pool, options, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, part));
}

static void test_refusals(void **state)
{
    struct kv_decoder_options options = plain_options();
    struct kv_error error;
    struct kv_decoder c;
    options.session.path = "fast";
    assert_create_fails(*state, &options, "fast");
    options = plain_options();
    options.sampling = (struct kv_sampling){.temperature = 1, .top_k = -1, .top_p = 1};
    assert_create_fails(*state, &options, "top_k");
    options = plain_options();
    options.prompts = (const int32_t[]){1, 2, 3, 4, 5, 256};
    create(*state, &options, &c);
    assert_int_equal(kv_decoder_step(&c, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(c.generation.n_steps, 0);
    kv_decoder_free(&c);
}

/* A prompt that is run once and kept gives the same tokens, again and again; its step takes no time. */
static void test_same_prompt(void **state)
{
    const struct bench *bench = *state;
    struct kv_decoder_options options = plain_options();
    struct kv_decoder plain, kept;
    options.n_prompts = 1;
    create(bench, &options, &plain);
    run(&plain);
    options.same_prompt = true;
    create(bench, &options, &kept);
    for (int i = 0; i < 3; i++) {
        run(&kept);
        assert_int_equal(kept.generation.n_steps, plain.generation.n_steps);
        assert_int_equal(kept.generation.stamps[1], 0);
        assert_true(kept.generation.stamps[2] > 0);
        for (int b = 0; b < 2; b++)
            assert_memory_equal(kept.generation.tokens + b * kept.generation.room,
                                plain.generation.tokens + b * plain.generation.room, 10 * sizeof(int32_t));
        assert_int_equal(kept.generation.kv_live_bytes, plain.generation.kv_live_bytes);
        kv_decoder_reset(&kept, 10);
    }
    kv_decoder_free(&plain);
    kv_decoder_free(&kept);
}

#define BYTES_TEST(function) cmocka_unit_test_setup_teardown(function, set_up_bytes, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_greedy),
        BYTES_TEST(test_clock),
        BYTES_TEST(test_nothing_to_do),
        BYTES_TEST(test_draws),
        BYTES_TEST(test_window_is_full),
        BYTES_TEST(test_live_bytes),
        cmocka_unit_test_setup_teardown(test_end_of_text, set_up_urn, tear_down),
        BYTES_TEST(test_ragged),
        cmocka_unit_test_setup_teardown(test_ragged_ends, set_up_urn, tear_down),
        BYTES_TEST(test_turns),
        BYTES_TEST(test_turns_of_three),
        BYTES_TEST(test_same_prompt),
        BYTES_TEST(test_refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
