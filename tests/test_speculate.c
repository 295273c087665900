/* Speculation: the tokens of plain steps when greedy, their distribution when drawn, whatever drafts; what is looked up;
 * names, formulas, errors and counts. */
#include "allocations.h"
#include "unit.h"

#include "infer/lookup.h"
#include "measure/decoder.h"
#include "model/weights.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Greedy: the same ids ---------------------------------------------------------------------------------- */

enum { N_MODELS = 60, N_CASES = 40 /* of each */ };

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
                        .draft = draft == 0 ? NULL : draft == 1 ? c->model : other},
    };
    for (size_t i = 0; i < COUNT(c->prompts); i++)
        c->prompts[i] = random_between(random, 0, config->vocab_size - 1);
    c->options.same_prompt = c->options.n_prompts == 1 && c->options.session.overflow == KV_OVERFLOW_STOP &&
                             random_between(random, 0, 1); /* a reset cuts back to it, which a shift drops */
}

static void assert_same(const struct kv_decoder *plain, const struct kv_decoder *speculative)
{
    assert_int_equal(speculative->window_full, plain->window_full);
    for (int b = 0; b < plain->generation.batch; b++) {
        int n_plain, n;
        const int32_t *expected = kv_decoder_tokens(plain, b, &n_plain);
        const int32_t *tokens = kv_decoder_tokens(speculative, b, &n);
        assert_int_equal(n, n_plain);
        assert_memory_equal(tokens, expected, (size_t)n * sizeof *tokens);
    }
}

static void tell(const struct greedy_case *c)
{
    const struct kv_decoder_options *o = &c->options;
    const struct kv_config *f = kv_model_config(c->model);
    printf("L %d H %d C %d I %d V %d P %d; %s, kv %s, batch %d, chunk %d, overflow %d, %d prompts of %d, %d new, end %d, k %d by "
           "%s%s\n",
           f->n_layer, f->n_head, f->n_embd, f->n_inner, f->vocab_size, f->n_positions, o->session.path, o->session.kv,
           o->session.batch, o->session.chunk, (int)o->session.overflow, o->n_prompts, o->n_prompt, o->n_new,
           o->end_of_text, o->speculation.k,
           !o->speculation.draft             ? "lookup"
           : o->speculation.draft == c->model ? "itself"
                                              : "another model",
           o->same_prompt ? ", the same prompt" : "");
}

/* Returns how many drafts stayed. The second time is after a reset. */
static int64_t check_case(struct greedy_case *c)
{
    struct kv_decoder plain, speculative;
    struct kv_decoder_options options = c->options;
    tell(c);
    OK(kv_decoder_create(&speculative, c->model, c->pool, &options, &error));
    options.speculation.k = 0;
    OK(kv_decoder_create(&plain, c->model, c->pool, &options, &error));
    OK(kv_decoder_run(&plain, &error));
    for (int i = 0; i < 2; i++) {
        OK(kv_decoder_run(&speculative, &error));
        assert_true(kv_decoder_done(&speculative));
        assert_same(&plain, &speculative);
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
    for (int m = 0; m < N_MODELS; m++) {
        const int vocab_size = random_between(&random, 2, 30);
        const struct kv_config config = random_config(&random, vocab_size), smaller = random_config(&random, vocab_size);
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
    assert_true(stayed > 10 * N_MODELS * N_CASES); /* or nothing was held */
}
