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
    kv_decoder_free(&state->decoder);
    *state = (struct kv_cell_state){0};
}

/* Ids [n_prompt] of the benchmark's prompt, over and over; a small model takes them modulo its vocabulary. */
static int32_t *make_prompt(const struct kv_run *run, const struct kv_cell *cell)
{
    const int V = kv_model_config(run->model)->vocab_size;
    int32_t *prompt = malloc((size_t)cell->n_prompt * sizeof *prompt);
    for (int i = 0; prompt && i < cell->n_prompt; i++)
        prompt[i] = run->settings->prompt[i % run->settings->n_prompt] % V;
    return prompt;
}

/* The measured shape, untimed, as much of it as is worth the wait. */
static kv_status warm_up(const struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                         struct kv_error *error)
{
    const double per_token = kv_predict_seconds(run, cell) / cell->n_new;
    int n_tokens = cell->n_new;
    if (per_token * n_tokens > WARM_UP_SECONDS)
        n_tokens = per_token * WARM_UP_TOKENS > WARM_UP_SECONDS || cell->n_new < WARM_UP_TOKENS ? 1 : WARM_UP_TOKENS;
    double previous = n_tokens == 1 ? state->cold_ttft_ms * 1e-3 : INFINITY; /* the gate ran the first token once */
    for (int i = 0; i < WARM_UP_MOST; i++) {
        kv_decoder_reset(&state->decoder, n_tokens);
        const kv_status status = kv_decoder_run(&state->decoder, error);
        if (status)
            return status;
        const double seconds = (double)kv_generation_ns(&state->decoder.generation) * 1e-9;
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
    int32_t *prompt = make_prompt(run, cell);
    if (!prompt)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a prompt of %d tokens", cell->n_prompt);
    const struct kv_decoder_options options = {
        .session = {.path = cell->path,
                    .matmul = run->settings->gemm,
                    .isa = run->settings->isa,
                    .batch = cell->batch,
                    .capacity = used},
        .prompts = prompt,
        .n_prompts = 1,
        .n_prompt = cell->n_prompt,
        .n_new = cell->n_new,
        .end_of_text = -1,
    };
    kv_status status = kv_decoder_create(&state->decoder, run->model, run->pool, &options, error);
    free(prompt);
    if (!status)
        status = kv_gate_check(run, cell, state, &state->cold_ttft_ms, error);
    if (!status && cell->n_new > 1) /* one token alone is measured for its memory: the gate has run it once */
        status = warm_up(run, cell, state, error);
    return status;
}
