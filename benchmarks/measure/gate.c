#include "measure/fixture.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* New tokens that are compared, the first being the prefill's; the first alone where a step takes so long. */
#define GATE_TOKENS       4
#define GATE_STEP_SECONDS 1.0

#define REFERENCE_WEIGHTS "f32"
/* The formats and types that are lossy by design, and how far their logits may be off: twice what was measured, which
 * core/README.md has. */
static const struct kv_gate_rule built_in_rules[] = {
    {.weights = "bf16", .bound = 0.04}, {.weights = "bf16x", .bound = 0.23}, {.weights = "int8", .bound = 0.11},
    {.kv = "bf16", .bound = 0.04},      {.kv = "int8", .bound = 0.11},       {.kv = "int4", .bound = 0.5},
};
enum { N_BUILT_IN_RULES = sizeof built_in_rules / sizeof built_in_rules[0] };

/* Whether keys or values are of that type. */
static bool keeps_as(const char *kv, const char *type)
{
    const size_t length = strcspn(kv, "/");
    return (strlen(type) == length && strncmp(kv, type, length) == 0) ||
           (kv[length] && strcmp(kv + length + 1, type) == 0);
}

/* Of those that name these weights or this cache, the one with the widest bound; NULL: exact. */
static const struct kv_gate_rule *widest_of(const struct kv_gate_rule *rules, int n, const char *weights,
                                            const char *kv)
{
    const struct kv_gate_rule *widest = NULL;
    for (int i = 0; i < n; i++)
        if ((!rules[i].weights || strcmp(rules[i].weights, weights) == 0) &&
            (!rules[i].kv || keeps_as(kv, rules[i].kv)) && (!widest || rules[i].bound > widest->bound))
            widest = &rules[i];
    return widest;
}

static const struct kv_gate_rule *rule_of(const struct kv_run_settings *settings, const struct kv_arm *arm)
{
    const struct kv_gate_rule *rules = settings->gate_rules ? settings->gate_rules : built_in_rules;
    const int n = settings->gate_rules ? settings->n_gate_rules : N_BUILT_IN_RULES;
    return widest_of(rules, n, arm->weights, arm->kv);
}

double kv_gate_bound(const char *weights, const char *kv)
{
    const struct kv_gate_rule *rule = widest_of(built_in_rules, N_BUILT_IN_RULES, weights, kv);
    return rule ? rule->bound : KV_GATE_BOUND;
}

/* ---- References ------------------------------------------------------------------------------------- */

/* What the naive path says of one prompt. */
struct kv_reference {
    struct kv_reference *next;
    const char *weights, *gemm, *isa;
    const char *cache; /* of those that drop positions; "" */
    int32_t *prompt;   /* [n_prompt + n_given], and the text that is given behind it */
    enum kv_overflow overflow;
    int n_prompt;
    int n_given;     /* n_tokens - 1 of a text that is given; 0: it goes on with its own tokens */
    int n_tokens;    /* compared, 1..GATE_TOKENS */
    float *logits;   /* [n_tokens, V] */
    int32_t *tokens; /* [n_tokens] */
};

void kv_references_free(struct kv_reference *reference)
{
    while (reference) {
        struct kv_reference *next = reference->next;
        free(reference->prompt);
        free(reference->logits);
        free(reference->tokens);
        free(reference);
        reference = next;
    }
}

static kv_status fill_reference(struct kv_run *run, struct kv_reference *reference, int threads, struct kv_error *error)
{
    const size_t V = (size_t)run->settings->config->vocab_size;
    const int needed = reference->n_prompt + reference->n_tokens - 1, window = run->settings->config->n_positions;
    const struct kv_session_options options = {
        .path = "naive",
        .cache = *reference->cache ? reference->cache : NULL,
        .matmul = reference->gemm,
        .isa = reference->isa,
        .batch = 1,
        .capacity = needed < window ? needed : window,
        .overflow = reference->overflow,
    };
    struct kv_session *session = NULL;
    const struct kv_model *model;
    struct kv_pool *pool;
    kv_status status = kv_run_pool(run, threads, &pool, error);
    if (!status)
        status = kv_run_model(run, reference->weights, reference->gemm, pool, &model, error);
    if (!status)
        status = kv_session_create(&session, model, pool, &options, error);
    if (!status)
        status = kv_session_prefill(session, reference->prompt, reference->n_prompt, NULL, error);
    for (int i = 0; !status && i < reference->n_tokens; i++) {
        memcpy(reference->logits + (size_t)i * V, kv_session_logits(session), V * sizeof *reference->logits);
        status = kv_session_greedy(session, &reference->tokens[i], error);
        if (!status && i + 1 < reference->n_tokens)
            status = kv_session_decode(
                session, i < reference->n_given ? &reference->prompt[reference->n_prompt + i] : &reference->tokens[i],
                error);
    }
    kv_session_free(session);
    return status;
}

/* Whether the reference's tokens [n_tokens] stand where they are asked for: behind the same given text, or its own. */
static bool goes_on_alike(const struct kv_reference *r, const int32_t *given, int n_tokens)
{
    const int n_given = given ? n_tokens - 1 : 0;
    if (n_tokens == 1 || !given)
        return n_tokens == 1 || r->n_given == 0;
    return r->n_given >= n_given && memcmp(r->prompt + r->n_prompt, given, (size_t)n_given * sizeof *given) == 0;
}

/* The reference for such weights and the prompt of that sequence, with what is given behind it, made when it is first
 * asked for. */
static kv_status find_reference(struct kv_cell_run *cell, const char *weights, const struct kv_decoder *decoder,
                                int sequence, int n_tokens, const struct kv_reference **out, struct kv_error *error)
{
    struct kv_run *run = cell->run;
    const struct kv_arm *arm = &cell->cell->arm;
    const int32_t *given = kv_decoder_given(decoder, sequence);
    const int n_given = given ? n_tokens - 1 : 0;
    int n_prompt;
    const int32_t *prompt = kv_decoder_prompt(decoder, sequence, &n_prompt);
    const size_t V = (size_t)run->settings->config->vocab_size;
    const char *cache = kv_cache_drops(arm->cache) ? arm->cache : "";
    const enum kv_overflow overflow = kv_cell_overflow(cell->cell);
    for (struct kv_reference *r = run->references; r; r = r->next)
        if (r->n_prompt == n_prompt && r->overflow == overflow && r->n_tokens >= n_tokens &&
            goes_on_alike(r, given, n_tokens) && strcmp(r->weights, weights) == 0 &&
            memcmp(r->prompt, prompt, (size_t)n_prompt * sizeof *prompt) == 0 && strcmp(r->cache, cache) == 0 &&
            strcmp(r->gemm, arm->gemm) == 0 && strcmp(r->isa, arm->isa) == 0) {
            *out = r;
            return KV_OK;
        }
    struct kv_reference *r = calloc(1, sizeof *r);
    if (!r)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    *r = (struct kv_reference){
        .weights = weights,
        .gemm = arm->gemm,
        .isa = arm->isa,
        .cache = cache,
        .prompt = malloc((size_t)(n_prompt + n_given) * sizeof *r->prompt),
        .overflow = overflow,
        .n_prompt = n_prompt,
        .n_given = n_given,
        .n_tokens = n_tokens,
        .logits = calloc((size_t)n_tokens * V, sizeof *r->logits),
        .tokens = calloc((size_t)n_tokens, sizeof *r->tokens),
    };
    kv_status status = KV_OK;
    if (!r->prompt || !r->logits || !r->tokens) {
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    } else {
        memcpy(r->prompt, prompt, (size_t)n_prompt * sizeof *prompt);
        for (int i = 0; i < n_given; i++)
            r->prompt[n_prompt + i] = given[i];
        status = fill_reference(run, r, arm->threads, error);
    }
    if (status) {
        kv_references_free(r);
        return status;
    }
    r->next = run->references;
    run->references = r;
    *out = r;
    return KV_OK;
}

/* ---- The comparison --------------------------------------------------------------------------------- */

/* Largest |a - b| over the largest |b|; NaN counts as infinite. */
static double difference(const float *a, const float *b, size_t n)
{
    double largest = 0, worst = 0;
    for (size_t i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        largest = fmax(largest, fabs((double)b[i]));
        worst = d > worst || isnan(d) ? (isnan(d) ? INFINITY : d) : worst;
    }
    return worst == 0 ? 0 : worst / largest;
}

struct comparison {
    const struct kv_decoder *decoder;
    const struct kv_reference **references; /* [batch] */
    size_t V;
    double bound;
    bool lossy;
    double worst;
};

/* One step of all sequences; *same: they still have the reference's tokens. */
static kv_status compare(struct comparison *c, int step, bool *same, struct kv_error *error)
{
    const float *logits = kv_session_logits(c->decoder->session);
    const char *whose = c->lossy ? "the float32 reference's" : "the naive path's";
    for (int b = 0; b < c->decoder->generation.batch; b++) {
        const struct kv_reference *reference = c->references[b];
        const double off = difference(logits + (size_t)b * c->V, reference->logits + (size_t)step * c->V, c->V);
        const int token = c->decoder->newest[b], expected = reference->tokens[step];
        c->worst = fmax(c->worst, off);
        if (!(off <= c->bound))
            return kv_fail(error, KV_ERROR_UNSUPPORTED,
                           "equality gate: logits of new token %d of sequence %d are off %s by %.2g of "
                           "the largest (bound %.0e): not timed",
                           step + 1, b + 1, whose, off, c->bound);
        *same &= token == expected;
        if (!c->lossy && token != expected)
            return kv_fail(error, KV_ERROR_UNSUPPORTED,
                           "equality gate: new token %d of sequence %d is %d, %s is %d: not timed", step + 1, b + 1,
                           token, whose, expected);
    }
    return KV_OK;
}

/* Of every sequence's prompt; most often it is the same one. */
static kv_status find_references(struct kv_cell_run *cell, const struct kv_decoder *decoder, const char *weights,
                                 int n_tokens, const struct kv_reference **references, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int b = 0; !status && b < decoder->generation.batch; b++)
        status = find_reference(cell, weights, decoder, b, n_tokens, &references[b], error);
    return status;
}

kv_status kv_gate_check(struct kv_cell_run *cell, struct kv_decoder *decoder, double *cold_ttft_ms,
                        struct kv_error *error)
{
    const struct kv_gate_rule *rule = rule_of(cell->run->settings, &cell->cell->arm);
    const int n_new = cell->cell->point.n_new;
    const bool slow = kv_predict_seconds(cell->run, (int)(cell - cell->run->cells)) / n_new > GATE_STEP_SECONDS;
    const int n_tokens = slow || decoder->speculator ? 1 /* generation.c holds all tokens against plain steps */
                                                     : (n_new < GATE_TOKENS ? n_new : GATE_TOKENS);
    struct comparison c = {
        .decoder = decoder,
        .references = calloc((size_t)decoder->generation.batch, sizeof *c.references),
        .V = (size_t)cell->run->settings->config->vocab_size,
        .bound = rule ? rule->bound : KV_GATE_BOUND,
        .lossy = rule != NULL,
    };
    if (!c.references)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    kv_decoder_reset(decoder, n_tokens);
    kv_status status = kv_decoder_step(decoder, error);
    *cold_ttft_ms = (double)kv_generation_ns(&decoder->generation) * 1e-6;
    if (!status)
        status = find_references(cell, decoder, rule ? REFERENCE_WEIGHTS : cell->cell->arm.weights, n_tokens,
                                 c.references, error);
    if (status) {
        free(c.references);
        return status;
    }
    kv_row_set_text(&cell->row, KV_COLUMN_GATE, rule ? "lossy" : "exact");
    bool same = true;
    for (int step = 0; !status && same; step++) {
        status = compare(&c, step, &same, error);
        if (status || step + 1 == n_tokens)
            break;
        status = kv_decoder_step(decoder, error);
    }
    free(c.references);
    kv_row_set_number(&cell->row, KV_COLUMN_LOGIT_DIFFERENCE, c.worst);
    return status;
}
