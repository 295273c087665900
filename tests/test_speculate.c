/* Speculation: the tokens of plain steps when greedy, their distribution when drawn, whatever drafts; what is looked up;
 * names, formulas, errors and counts. */
#include "allocations.h"
#include "distribution.h"
#include "unit.h"

#include "infer/lookup.h"
#include "measure/decoder.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Greedy: the same ids ---------------------------------------------------------------------------------- */

enum { N_MODELS = 60 /* KV_COUNT: others */, N_CASES = 40 /* of each */ };

static struct kv_config random_config(uint64_t *random, int vocab_size)
{
    const int n_head = random_between(random, 1, 3), head_size = random_between(random, 1, 12);
    return (struct kv_config){
        .n_layer = random_between(random, 1, 2),
        .n_head = n_head,
        .n_embd = n_head * head_size,
        .n_inner = random_between(random, 1, 40),
        .vocab_size = vocab_size,
        .n_positions = random_between(random, 2, 40),
        .activation = KV_GELU_NEW,
        .layer_norm_epsilon = 1e-5f,
    };
}

/* A plain model whose embeddings come in equal pairs: so do all logits. */
struct paired {
    const struct kv_model *model;
    int embedding; /* index of wte.weight */
};

static void read_paired(const void *context, int index, size_t begin, size_t count, float *values)
{
    const struct paired *p = context;
    const size_t C = (size_t)p->model->config.n_embd;
    const float *tensor = kv_model_tensor(p->model, (size_t)index);
    for (size_t i = begin; i < begin + count; i++)
        *values++ = tensor[index == p->embedding && i / C % 2 ? i - C : i];
}

static struct kv_model *make_ties(const struct kv_config *config, uint64_t seed, struct kv_pool *pool)
{
    const struct kv_weight_format *format;
    const struct kv_matmul_backend *backend;
    struct kv_model *plain = synthesize(config, seed, "reference", 1), *model;
    struct kv_tensor_slot *slots;
    struct paired paired = {.model = plain};
    int n_slots;
    OK(kv_format_find(NULL, &format, &error));
    OK(kv_matmul_find(NULL, &backend, &error));
    OK(kv_model_layout(&model, config, format, backend->layout, &slots, &n_slots, &error));
    while (strcmp(slots[paired.embedding].name, "wte.weight") != 0)
        paired.embedding++;
    OK(kv_model_fill(slots, n_slots, read_paired, &paired, pool, &error));
    free(slots);
    kv_model_free(plain);
    return model;
}

/* One case: everything but the speculation is the same. */
struct greedy_case {
    struct kv_decoder_options options;
    const struct kv_model *model;
    struct kv_pool *pool;
    int32_t prompts[4 * 40];
};

static void draw_case(struct greedy_case *c, uint64_t *random, const struct kv_model *other)
{
    const struct kv_config *config = kv_model_config(c->model);
    const int batch = random_between(random, 1, 4), draft = random_between(random, 0, 2);
    static const int most[] = {1, 2, 4, 7, 63};
    c->options = (struct kv_decoder_options){
        .session = {.path = kv_path_choice(random_between(random, 0, 3) == 0)->name,
                    .kv = kv_kv_choice(random_between(random, 0, 3))->name,
                    .batch = batch,
                    .chunk = random_between(random, 0, 3),
                    .overflow = (enum kv_overflow)random_between(random, 0, 2)},
        .prompts = c->prompts,
        .n_prompts = random_between(random, 0, 1) ? batch : 1,
        .n_prompt = random_between(random, 1, config->n_positions),
        .n_new = random_between(random, 1, 2 * config->n_positions),
        .end_of_text = random_between(random, -1, config->vocab_size - 1),
        .speculation = {.k = most[random_between(random, 0, 4)],
                        .draft = draft == 0   ? NULL
                                 : draft == 1 ? c->model
                                              : other},
    };
    for (size_t i = 0; i < COUNT(c->prompts); i++)
        c->prompts[i] = random_between(random, 0, config->vocab_size - 1);
    c->options.same_prompt = c->options.n_prompts == 1 && c->options.session.overflow == KV_OVERFLOW_STOP &&
                             random_between(random, 0, 1); /* a reset cuts back to it, which a shift drops */
}

static bool is_same(const struct kv_decoder *plain, const struct kv_decoder *speculative)
{
    bool same = speculative->window_full == plain->window_full;
    for (int b = 0; b < plain->generation.batch; b++) {
        int n_plain, n;
        const int32_t *expected = kv_decoder_tokens(plain, b, &n_plain);
        const int32_t *tokens = kv_decoder_tokens(speculative, b, &n);
        same = same && n == n_plain && memcmp(tokens, expected, (size_t)n * sizeof *tokens) == 0;
    }
    return same;
}

static void tell(const struct greedy_case *c) /* of one that fails */
{
    const struct kv_decoder_options *o = &c->options;
    const struct kv_config *f = kv_model_config(c->model);
    printf("L %d H %d C %d I %d V %d P %d; %s, kv %s, batch %d, chunk %d, overflow %d, %d prompts of %d, %d new, end "
           "%d, k %d by "
           "%s%s\n",
           f->n_layer, f->n_head, f->n_embd, f->n_inner, f->vocab_size, f->n_positions, o->session.path, o->session.kv,
           o->session.batch, o->session.chunk, (int)o->session.overflow, o->n_prompts, o->n_prompt, o->n_new,
           o->end_of_text, o->speculation.k,
           !o->speculation.draft              ? "lookup"
           : o->speculation.draft == c->model ? "itself"
                                              : "another model",
           o->same_prompt ? ", the same prompt" : "");
}

/* Returns how many drafts stayed. The second time is after a reset. */
static int64_t check_case(struct greedy_case *c)
{
    struct kv_decoder plain, speculative;
    struct kv_decoder_options options = c->options;
    OK(kv_decoder_create(&speculative, c->model, c->pool, &options, &error));
    options.speculation.k = 0;
    OK(kv_decoder_create(&plain, c->model, c->pool, &options, &error));
    OK(kv_decoder_run(&plain, &error));
    for (int i = 0; i < 2; i++) {
        OK(kv_decoder_run(&speculative, &error));
        assert_true(kv_decoder_done(&speculative));
        if (!is_same(&plain, &speculative))
            tell(c);
        assert_true(is_same(&plain, &speculative));
        assert_true(speculative.generation.n_steps <= plain.generation.n_steps);
        if (i == 0)
            kv_decoder_reset(&speculative, options.n_new);
    }
    const struct kv_speculation_counts *counts = kv_speculator_counts(speculative.speculator);
    int64_t stayed = 0;
    for (int j = 0; j < KV_SPECULATE_MOST; j++) {
        assert_true(counts->stayed[j] <= counts->judged[j]);
        assert_true(j == 0 || counts->judged[j] <= counts->stayed[j - 1]);
        stayed += counts->stayed[j];
    }
    assert_int_equal(counts->tokens, counts->steps + stayed);
    kv_decoder_free(&plain);
    kv_decoder_free(&speculative);
    return stayed;
}

TEST(greedy_ids_are_those_of_plain_steps)
{
    uint64_t random = 5;
    int64_t stayed = 0;
    struct greedy_case *c = calloc(1, sizeof *c);
    assert_non_null(c);
    const int n_models = (int)number_of("KV_COUNT", N_MODELS);
    for (int m = 0; m < n_models; m++) {
        const int vocab_size = random_between(&random, 2, 30);
        const struct kv_config config = random_config(&random, vocab_size),
                               smaller = random_config(&random, vocab_size);
        c->pool = make_pool(m % 8 == 0 ? 2 : 1);
        struct kv_model *model = m % 3 ? synthesize(&config, next_random(&random), NULL, 1)
                                       : make_ties(&config, next_random(&random), c->pool);
        struct kv_model *other = synthesize(&smaller, next_random(&random), NULL, 1);
        c->model = model;
        for (int i = 0; i < N_CASES; i++) {
            draw_case(c, &random, other);
            stayed += check_case(c);
        }
        kv_model_free(other);
        kv_model_free(model);
        kv_pool_free(c->pool);
    }
    free(c);
    assert_true(stayed > n_models * N_CASES); /* or nothing was held */
}

/* ---- Drawn: the same distribution --------------------------------------------------------------------------- */

enum { DRAWN_V = 6, N_DRAWN = 3, N_OUTCOMES = DRAWN_V * DRAWN_V * DRAWN_V };
static const struct kv_config drawn_config = {1, 2, 16, 32, DRAWN_V, 16, KV_GELU_NEW, 1e-5f};
static const int32_t drawn_prompt[] = {1, 4, 1, 4, 1};

/* Probabilities [V^3] of the first three new tokens, by the chain of their logits. */
static void expect_chain(struct kv_session *session, struct kv_sampling sampling, double probabilities[N_OUTCOMES])
{
    for (int i = 0; i < N_OUTCOMES; i++) {
        const int32_t tokens[] = {i / DRAWN_V / DRAWN_V, i / DRAWN_V % DRAWN_V, i % DRAWN_V};
        probabilities[i] = 1;
        kv_session_reset(session);
        OK(kv_session_prefill(session, drawn_prompt, COUNT(drawn_prompt), NULL, &error));
        for (int n = 0; n < N_DRAWN; n++) {
            double each[DRAWN_V];
            expect_draws(sampling, kv_session_logits(session), DRAWN_V, each);
            probabilities[i] *= each[tokens[n]];
            OK(kv_session_decode(session, &tokens[n], &error));
        }
    }
}

/* The largest logit behind the prompt less the smallest. */
static float spread_of(struct kv_session *session)
{
    float low = INFINITY, high = -INFINITY;
    OK(kv_session_prefill(session, drawn_prompt, COUNT(drawn_prompt), NULL, &error));
    for (int i = 0; i < DRAWN_V; i++) {
        low = fminf(low, kv_session_logits(session)[i]);
        high = fmaxf(high, kv_session_logits(session)[i]);
    }
    return high - low;
}

/* Of n_seeds generations of four sequences each. */
static void count_chains(const struct kv_model *model, struct kv_pool *pool, struct kv_decoder_options options,
                         int n_seeds, int counts[N_OUTCOMES])
{
    memset(counts, 0, N_OUTCOMES * sizeof *counts);
    for (int seed = 0; seed < n_seeds; seed++) {
        struct kv_decoder decoder;
        options.sampling.seed = (uint64_t)seed;
        OK(kv_decoder_create(&decoder, model, pool, &options, &error));
        OK(kv_decoder_run(&decoder, &error));
        for (int b = 0; b < options.session.batch; b++) {
            int n;
            const int32_t *tokens = kv_decoder_tokens(&decoder, b, &n);
            assert_int_equal(n, options.n_new);
            counts[(tokens[0] * DRAWN_V + tokens[1]) * DRAWN_V + tokens[2]]++;
        }
        kv_decoder_free(&decoder);
    }
}

/* Temperatures are in differences between the largest and the smallest logit. Another seed is a draft that knows nothing. */
TEST(draws_have_the_distribution_of_plain_ones)
{
    enum { N_SEEDS = 5000, BATCH = 4 };
    static const struct kv_sampling samplings[] = {{0.15f, 0, 1, 0}, {0.3f, 0, 1, 0},    {1, 0, 1, 0},
                                                   {0.2f, 3, 1, 0},  {0.3f, 0, 0.7f, 0}, {0.3f, 4, 0.8f, 0}};
    struct kv_pool *pool = make_pool(1);
    struct kv_model *model = synthesize(&drawn_config, 3, NULL, 1), *other = synthesize(&drawn_config, 4, NULL, 1);
    struct kv_session *session = make_session(model, pool, (struct kv_session_options){.batch = 1});
    const struct kv_model *const drafts[] = {NULL, other, model};
    const float spread = spread_of(session);
    for (size_t i = 0; i < COUNT(samplings); i++) {
        double probabilities[N_OUTCOMES];
        struct kv_sampling sampling = samplings[i];
        sampling.temperature *= spread;
        expect_chain(session, sampling, probabilities);
        for (size_t d = 0; d < COUNT(drafts); d++) {
            int counts[N_OUTCOMES];
            const struct kv_decoder_options options = {.session = {.batch = BATCH},
                                                       .sampling = sampling,
                                                       .prompts = drawn_prompt,
                                                       .n_prompts = 1,
                                                       .n_prompt = COUNT(drawn_prompt),
                                                       .n_new = 6,
                                                       .end_of_text = -1,
                                                       .speculation = {.k = 4, .draft = drafts[d]}};
            count_chains(model, pool, options, N_SEEDS, counts);
            assert_distribution(counts, probabilities, N_OUTCOMES, N_SEEDS * BATCH);
        }
    }
    kv_session_free(session);
    kv_model_free(other);
    kv_model_free(model);
    kv_pool_free(pool);
}

/* ---- Looking up --------------------------------------------------------------------------------------------- */

/* The longest run at the end that is there earlier, by trying all: its length, and behind which place. */
static int find_longest(const int32_t *tokens, int n, int *place)
{
    int longest = 0;
    for (int i = 1; i < n; i++) {
        int length = 0;
        while (length < i && tokens[i - 1 - length] == tokens[n - 1 - length])
            length++;
        if (length > 0 && length >= longest) {
            longest = length;
            *place = i;
        }
    }
    return longest;
}

TEST(what_is_looked_up_stood_behind_the_longest_run)
{
    enum { N = 60, K = 9 };
    uint64_t random = 9;
    for (int i = 0; i < 300; i++) {
        int32_t tokens[N + K], matches[N], drafts[K];
        const int n_different = random_between(&random, 1, 5);
        struct kv_lookup lookup = {tokens, 0, matches};
        for (int n = 1; n <= N; n++) {
            int place = 0;
            tokens[n - 1] = random_between(&random, 1, n_different);
            kv_lookup_push(&lookup);
            const int longest = find_longest(tokens, n, &place), found = kv_lookup_draft(&lookup, K, drafts);
            assert_int_equal(found, longest < K ? longest : K);
            for (int j = 0; j < found; j++) {
                assert_int_equal(drafts[j], tokens[place + j]); /* past n: what was drafted before */
                if (n + j < N + K)
                    tokens[n + j] = drafts[j];
            }
        }
    }
}

/* ---- A text that is given ------------------------------------------------------------------------------------ */

/* Two sequences that copy eight ids, the second with another one in the fourth place. The model says something else, which
 * decides nothing; it says the same with drafts and without. By hand, where a run of n that is found drafts n: the first
 * drafts 1, 3 and, of the two tokens left, 1, which all stay, in 3 steps; the second 1, which stays, 3, of which the first
 * does not and decides, behind the edit none, then 1 and 1, which stay, in 5 steps. */
TEST(what_stays_is_the_given_texts)
{
    enum { T = 8, N = 9 };
    static const int32_t prompts[2][T] = {{1, 2, 3, 4, 5, 6, 7, 8}, {1, 2, 3, 4, 5, 6, 7, 8}};
    static const int32_t given[2][N] = {{1, 2, 3, 4, 5, 6, 7, 8, 1}, {1, 2, 3, 9, 5, 6, 7, 8, 1}};
    struct kv_config config = drawn_config;
    config.vocab_size = 10;
    config.n_positions = 32;
    struct kv_pool *pool = make_pool(1);
    struct kv_model *model = synthesize(&config, 3, NULL, 1);
    struct kv_decoder_options options = {.session = {.batch = 2},
                                         .prompts = prompts[0],
                                         .n_prompts = 2,
                                         .n_prompt = T,
                                         .n_new = N,
                                         .end_of_text = -1,
                                         .given_text = given[0]};
    struct kv_decoder plain, looks_up;
    OK(kv_decoder_create(&plain, model, pool, &options, &error));
    options.speculation.k = 4;
    OK(kv_decoder_create(&looks_up, model, pool, &options, &error));
    for (int time = 0; time < 2; time++) { /* and again, after a reset */
        kv_decoder_reset(&plain, N);
        kv_decoder_reset(&looks_up, N);
        OK(kv_decoder_run(&plain, &error));
        OK(kv_decoder_run(&looks_up, &error));
        assert_int_equal(plain.generation.n_steps, N);
        for (int b = 0; b < 2; b++) {
            int32_t said[N]; /* the model alone, told the text in one piece */
            struct kv_session *session = make_session(model, pool, (struct kv_session_options){.batch = 1});
            OK(kv_session_prefill(session, prompts[b], T, NULL, &error));
            for (int i = 0; i < N; i++) {
                OK(kv_session_greedy(session, &said[i], &error));
                OK(kv_session_decode(session, &given[b][i], &error));
            }
            kv_session_free(session);
            assert_memory_equal(plain.generation.tokens + (size_t)b * N, said, sizeof said);
            assert_memory_equal(looks_up.generation.tokens + (size_t)b * N, said, sizeof said);
            assert_memory_equal(kv_decoder_given(&looks_up, b), given[b], sizeof given[b]);
        }
        const struct kv_speculation_counts *c = kv_speculator_counts(looks_up.speculator);
        int64_t judged = 0, stayed = 0;
        for (int j = 0; j < 4; j++) {
            judged += c->judged[j];
            stayed += c->stayed[j];
        }
        assert_int_equal(judged, 5 + 4);
        assert_int_equal(stayed, 5 + 3);
        assert_int_equal(c->drafted, 5 + 6);
        assert_int_equal(c->steps, 3 + 5);
        assert_int_equal(c->tokens, 2 * (N - 1));
    }
    kv_decoder_free(&plain);
    kv_decoder_free(&looks_up);
    options.sampling.temperature = 1;
    REFUSED(kv_decoder_create(&plain, model, pool, &options, &error), KV_ERROR_ARGUMENT, "nothing is drawn", NULL);
    kv_model_free(model);
    kv_pool_free(pool);
}

/* ---- Names, formulas, errors --------------------------------------------------------------------------------- */

TEST(names)
{
    struct kv_speculate_name read;
    OK(kv_speculate_read("none", &read, &error));
    assert_int_equal(read.k, 0);
    OK(kv_speculate_read("lookup:63", &read, &error));
    assert_int_equal(read.k, 63);
    assert_null(read.model);
    OK(kv_speculate_read("draft:a:b/c:1", &read, &error));
    assert_int_equal(read.k, 1);
    assert_int_equal(read.n_model, 5);
    assert_memory_equal(read.model, "a:b/c", 5);
    static const char *const bad[][2] = {
        {"", "is not known; use none, lookup:K or draft:MODEL:K"},
        {"lookups:4", "is not known"},
        {"lookup", "use lookup:K"},
        {"lookup:", "use lookup:K"},
        {"lookup:4x", "use lookup:K"},
        {"lookup:-1", "use lookup:K"},
        {"lookup:a:4", "use lookup:K"},
        {"lookup:0", "0 tokens a step are not in 1..63"},
        {"lookup:64", "64 tokens a step are not in 1..63"},
        {"draft:4", "use draft:MODEL:K"},
        {"draft::4", "use draft:MODEL:K"},
        {"draft:kjv", "use draft:MODEL:K"},
        {"draft:kjv:0", "0 tokens a step are not in 1..63"},
    };
    for (size_t i = 0; i < COUNT(bad); i++)
        REFUSED(kv_speculate_read(bad[i][0], &read, &error), KV_ERROR_ARGUMENT, bad[i][1], NULL);
    for (int i = 0; kv_speculate_choice(i); i++)
        OK(kv_speculate_read(kv_speculate_choice(i)->name, &read, &error));
}

TEST(formulas)
{
    for (int k = 1; k <= KV_SPECULATE_MOST; k++) { /* sum of alpha^i, i = 0..k */
        double sum = 1, power = 1;
        for (int i = 1; i <= k; i++)
            sum += power *= 0.8;
        assert_true(fabs(kv_speculation_tokens(0.8, k) - sum) < 1e-12 * sum);
        assert_true(kv_speculation_tokens(0, k) == 1);
        assert_true(kv_speculation_tokens(1, k) == k + 1);
    }
    struct kv_speculation_counts counts = {.judged = {10, 6}, .stayed = {6, 2}};
    assert_true(fabs(kv_speculation_acceptance(&counts) - 0.5) < 1e-12);
    counts = (struct kv_speculation_counts){.steps = 1};
    assert_true(isnan(kv_speculation_acceptance(&counts)));
}

TEST(errors_and_allocations)
{
    struct kv_config larger = drawn_config;
    larger.vocab_size++;
    struct kv_pool *pool = make_pool(1);
    struct kv_model *model = synthesize(&drawn_config, 3, NULL, 1), *other = synthesize(&larger, 4, NULL, 1);
    struct kv_session *session = make_session(model, pool, (struct kv_session_options){.batch = 2});
    struct kv_speculation speculation = {.k = 0, .n_tokens = 10};
    struct kv_speculator *s;
    REFUSED(kv_speculator_create(&s, session, &speculation, &error), KV_ERROR_ARGUMENT, "not in 1..63", NULL);
    speculation.k = 64;
    REFUSED(kv_speculator_create(&s, session, &speculation, &error), KV_ERROR_ARGUMENT, "not in 1..63", NULL);
    speculation.k = 3;
    speculation.draft = other;
    REFUSED(kv_speculator_create(&s, session, &speculation, &error), KV_ERROR_ARGUMENT, "another vocabulary", NULL);
    speculation.draft = model;
    allocations_left = 0;
    REFUSED(kv_speculator_create(&s, session, &speculation, &error), KV_ERROR_MEMORY, "no memory", NULL);
    allocations_left = -1;
    assert_null(s);
    OK(kv_speculator_create(&s, session, &speculation, &error));
    OK(kv_session_prefill(session, (int32_t[]){1, 2, 3, 4}, 2, NULL, &error));
    int32_t tokens[2 * 4];
    int n_tokens[2];
    REFUSED(kv_speculator_step(s, (int[]){1, 1}, tokens, n_tokens, &error), KV_ERROR_ARGUMENT, "sequence 0", NULL);
    OK(kv_speculator_push(s, 0, (int32_t[]){1, 2, 5}, 3, &error));
    OK(kv_speculator_push(s, 1, (int32_t[]){3, 4, 5}, 3, &error));
    REFUSED(kv_speculator_push(s, 1, tokens, 8, &error), KV_ERROR_ARGUMENT, "8 more tokens, 10 in all", NULL);
    REFUSED(kv_speculator_step(s, (int[]){0, 0}, tokens, n_tokens, &error), KV_ERROR_ARGUMENT, "no sequence", NULL);
    REFUSED(kv_speculator_step(s, (int[]){8, 0}, tokens, n_tokens, &error), KV_ERROR_ARGUMENT, "10 in all", NULL);
    n_allocations = 0;
    OK(kv_speculator_step(s, (int[]){5, 0}, tokens, n_tokens, &error));
    assert_int_equal(n_allocations, 0);
    assert_int_equal(n_tokens[0], 4); /* the draft is the model */
    assert_int_equal(n_tokens[1], 0);
    assert_int_equal(kv_session_lengths(session)[0], 6);
    assert_int_equal(kv_session_lengths(session)[1], 2);
    kv_speculator_free(s);
    kv_session_free(session);
    kv_model_free(other);
    kv_model_free(model);
    kv_pool_free(pool);
}
