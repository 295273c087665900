#include "measure/run.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

/* A generation predicted to be no longer than this is warmed up whole, a longer one by its first tokens. */
#define WARM_UP_SECONDS 2.0
#define WARM_UP_TOKENS  4
/* Warm enough: two successive ones within this of each other, or so many of them. */
#define WARM_UP_AGREEMENT 0.05
#define WARM_UP_MOST      5

void kv_cell_close(struct kv_cell_state *state)
{
    kv_session_free(state->session);
    kv_generation_free(&state->generation);
    free(state->prompt);
    *state = (struct kv_cell_state){0};
}

/* Ids of the benchmark's prompt, over and over; a small model takes them modulo its vocabulary. */
static int32_t *make_prompt(const struct kv_run *run, const struct kv_cell *cell)
{
    const int V = kv_model_config(run->model)->vocab_size;
    int32_t *prompt = malloc((size_t)cell->batch * (size_t)cell->n_prompt * sizeof *prompt);
    for (int b = 0; prompt && b < cell->batch; b++)
        for (int i = 0; i < cell->n_prompt; i++)
            prompt[(size_t)b * (size_t)cell->n_prompt + (size_t)i] =
                run->settings->prompt[i % run->settings->n_prompt] % V;
    return prompt;
}

/* The measured shape, untimed, as much of it as is worth the wait. */
static kv_status warm_up(const struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                         struct kv_error *error)
{
    struct kv_generation *g = &state->generation;
    const double per_token = kv_predict_seconds(run, cell) / cell->n_new;
    int n_tokens = cell->n_new;
    if (per_token * n_tokens > WARM_UP_SECONDS)
        n_tokens = per_token * WARM_UP_TOKENS > WARM_UP_SECONDS || cell->n_new < WARM_UP_TOKENS ? 1 : WARM_UP_TOKENS;
    double previous = n_tokens == 1 ? state->cold_ttft_ms * 1e-3 : INFINITY; /* the gate ran the first token once */
    for (int i = 0; i < WARM_UP_MOST; i++) {
        const kv_status status = kv_generate(state->session, cell->batch, state->prompt, cell->n_prompt, n_tokens, g,
                                             error);
        if (status)
            return status;
        const double seconds = (double)(g->stamps[n_tokens] - g->stamps[0]) * 1e-9;
        if (fabs(seconds - previous) <= WARM_UP_AGREEMENT * fmin(seconds, previous))
            break;
        previous = seconds;
    }
    return KV_OK;
}

kv_status kv_cell_open(struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                       struct kv_error *error)
{
    const int n_positions = kv_model_config(run->model)->n_positions, used = cell->n_prompt + cell->n_new - 1;
    if (used > n_positions)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "a prompt of %d and %d new tokens take %d positions, the model has %d: use fewer",
                       cell->n_prompt, cell->n_new, used, n_positions);
    const struct kv_session_options options = {
        .path = cell->path,
        .matmul = run->settings->gemm,
        .isa = run->settings->isa,
        .batch = cell->batch,
        .capacity = used,
    };
    /* The session first: it refuses a batch that does not fit before any memory is touched. */
    kv_status status = kv_session_create(&state->session, run->model, run->pool, &options, error);
    if (!status)
        status = kv_generation_create(&state->generation, cell->batch, cell->n_new, error);
    if (!status && !(state->prompt = make_prompt(run, cell)))
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for %d prompts of %d tokens", cell->batch, cell->n_prompt);
    if (!status)
        status = kv_gate_check(run, cell, state, &state->cold_ttft_ms, error);
    if (!status && cell->n_new > 1) /* one token alone is measured for its memory: the gate has run it once */
        status = warm_up(run, cell, state, error);
    return status;
}
