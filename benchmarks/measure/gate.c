#include "measure/run.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* New tokens that are compared, the first being the prefill's; the first alone where a step takes so long. */
#define GATE_TOKENS       4
#define GATE_STEP_SECONDS 1.0

/* What the naive path says of the benchmark's prompt of one length. */
struct kv_truth {
    struct kv_truth *next;
    int n_prompt;
    int n_tokens;    /* compared, 1..GATE_TOKENS */
    float *logits;   /* [n_tokens, V] */
    int32_t *tokens; /* [n_tokens] */
};

void kv_truths_free(struct kv_truth *truth)
{
    while (truth) {
        struct kv_truth *next = truth->next;
        free(truth->logits);
        free(truth->tokens);
        free(truth);
        truth = next;
    }
}

static kv_status fill_truth(const struct kv_run *run, struct kv_truth *truth, const int32_t *prompt,
                            struct kv_error *error)
{
    const size_t V = (size_t)kv_model_config(run->model)->vocab_size;
    const struct kv_session_options options = {
        .path = "naive",
        .matmul = run->settings->gemm,
        .isa = run->settings->isa,
        .batch = 1,
        .capacity = truth->n_prompt + truth->n_tokens - 1,
    };
    struct kv_session *session;
    kv_status status = kv_session_create(&session, run->model, run->pool, &options, error);
    if (status)
        return status;
    status = kv_session_prefill(session, prompt, truth->n_prompt, NULL, error);
    for (int i = 0; !status && i < truth->n_tokens; i++) {
        memcpy(truth->logits + (size_t)i * V, kv_session_logits(session), V * sizeof *truth->logits);
        status = kv_session_greedy(session, &truth->tokens[i], error);
        if (!status && i + 1 < truth->n_tokens)
            status = kv_session_decode(session, &truth->tokens[i], error);
    }
    kv_session_free(session);
    return status;
}

/* The truth for a prompt of that length, made when it is first asked for. */
static kv_status find_truth(struct kv_run *run, const int32_t *prompt, int n_prompt, int n_tokens,
                            const struct kv_truth **out, struct kv_error *error)
{
    for (struct kv_truth *t = run->truths; t; t = t->next)
        if (t->n_prompt == n_prompt && t->n_tokens >= n_tokens) {
            *out = t;
            return KV_OK;
        }
    const size_t V = (size_t)kv_model_config(run->model)->vocab_size;
    struct kv_truth *truth = calloc(1, sizeof *truth);
    if (!truth)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    truth->n_prompt = n_prompt;
    truth->n_tokens = n_tokens;
    truth->logits = calloc((size_t)n_tokens * V, sizeof *truth->logits);
    truth->tokens = calloc((size_t)n_tokens, sizeof *truth->tokens);
    const kv_status status = truth->logits && truth->tokens
                                 ? fill_truth(run, truth, prompt, error)
                                 : kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    if (status) {
        kv_truths_free(truth);
        return status;
    }
    truth->next = run->truths;
    run->truths = truth;
    *out = truth;
    return KV_OK;
}

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

static kv_status compare(const struct kv_run *run, const struct kv_cell *cell, const struct kv_cell_state *state,
                         const struct kv_truth *truth, int step, struct kv_error *error)
{
    const size_t V = (size_t)kv_model_config(run->model)->vocab_size;
    const float *logits = kv_session_logits(state->decoder.session), *expected = truth->logits + (size_t)step * V;
    for (int b = 0; b < cell->batch; b++) {
        const double off = difference(logits + (size_t)b * V, expected, V);
        if (!(off <= KV_GATE_BOUND))
            return kv_fail(error, KV_ERROR_UNSUPPORTED,
                           "equality gate: logits of new token %d of sequence %d are off the naive path's by %.2g of "
                           "the largest (bound %.0e): not timed",
                           step + 1, b + 1, off, KV_GATE_BOUND);
        if (state->decoder.newest[b] != truth->tokens[step])
            return kv_fail(error, KV_ERROR_UNSUPPORTED,
                           "equality gate: new token %d of sequence %d is %d, the naive path's is %d: not timed",
                           step + 1, b + 1, state->decoder.newest[b], truth->tokens[step]);
    }
    return KV_OK;
}

kv_status kv_gate_check(struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                        double *cold_ttft_ms, struct kv_error *error)
{
    const bool slow = kv_predict_seconds(run, cell) / cell->n_new > GATE_STEP_SECONDS;
    const int n_tokens = slow ? 1 : (cell->n_new < GATE_TOKENS ? cell->n_new : GATE_TOKENS);
    const struct kv_truth *truth = NULL;
    struct kv_decoder *d = &state->decoder;
    kv_decoder_reset(d, n_tokens);
    kv_status status = kv_decoder_step(d, error);
    *cold_ttft_ms = (double)kv_generation_ns(&d->generation) * 1e-6;
    if (!status)
        status = find_truth(run, d->prompt, cell->n_prompt, n_tokens, &truth, error);
    for (int step = 0; !status; step++) {
        status = compare(run, cell, state, truth, step, error);
        if (status || step + 1 == n_tokens)
            break;
        status = kv_decoder_step(d, error);
    }
    return status;
}
