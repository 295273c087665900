/* From a prompt to its new tokens, step by step, with a clock of its own: what `bench`, `generate` and the dashboard
 * run.
 *
 * A step appends k >= 1 positions to every sequence, the first time the prompt, and selects 1..k tokens for each of
 * them; on today's paths k is 1 after the prompt. The clock runs only inside kv_decoder_step: from the ids of the
 * prompt, or of the tokens before, to the selected ones. What a caller does between two steps, writing text or running
 * another path, is in no figure. The stamps are of that clock, t_0 = 0; with them the definitions of measure/measure.h
 * hold. */
#ifndef KV_MEASURE_DECODER_H
#define KV_MEASURE_DECODER_H

#include "measure/measure.h"

struct kv_decoder_options {
    struct kv_session_options session; /* capacity 0: as many positions as the lengths need */
    struct kv_sampling sampling;       /* temperature 0: kv_session_greedy */
    const int32_t *prompts;            /* [n_prompts, n_prompt] */
    int n_prompts;                     /* the batch, or 1 for all sequences */
    int n_prompt;                      /* T >= 1 */
    int n_prefix;                      /* first tokens that all prompts share, which are run once: 0..T */
    int n_new;                         /* N >= 0: most tokens a sequence */
    int32_t end_of_text;               /* the id that ends a sequence; -1: none does */
    /* With n_prompts = 1 and without draws: the prompt is run once, for all sequences, and a reset goes back to behind
     * it. Its step is there as always, but takes no time: such a generation has no TTFT. */
    bool same_prompt;
};

/* To be read by others, and changed by the functions below alone. */
struct kv_decoder {
    struct kv_session *session;
    struct kv_sampler *sampler; /* NULL: greedy */
    struct kv_generation generation;
    int32_t *prompt; /* [B, T] */
    int32_t *newest; /* [B] what the step before selected: the next one runs it */
    bool *ended;     /* [B] at end_of_text */
    int n_running;   /* sequences that have not ended */
    int n_wanted;    /* tokens a sequence, 0..N */
    int32_t end_of_text;
    bool window_full;             /* KV_OVERFLOW_STOP stopped it */
    bool same_prompt, has_prompt; /* kept over resets; it has been run */
    int *prompt_lengths;          /* [B] */
    int32_t first;                /* token behind it, of all sequences */
    int n_prefix;
};

/* Model and pool must outlive it; the options are read during the call only. Errors: MEMORY, those of kv_session_create
 * and kv_sampler_create. */
kv_status kv_decoder_create(struct kv_decoder *decoder, const struct kv_model *model, struct kv_pool *pool,
                            const struct kv_decoder_options *options, struct kv_error *error);
void kv_decoder_free(struct kv_decoder *decoder);

/* Back to the prompt, for n_new <= N tokens this time; the draws are the same again. */
void kv_decoder_reset(struct kv_decoder *decoder, int n_new);

/* Whether there is nothing left to do: the wanted tokens, all sequences ended, or the window full. */
bool kv_decoder_done(const struct kv_decoder *decoder);

/* The next tokens of every sequence; allocates nothing. A sequence that has ended is fed end_of_text. The window's end
 * under KV_OVERFLOW_STOP is an error only when not even one token was selected. Errors: those of kv_session_prefill,
 * kv_session_greedy and kv_sampler_select; the generation is then as before the step, and only a reset goes on. */
kv_status kv_decoder_step(struct kv_decoder *decoder, struct kv_error *error);

/* All steps that are left. */
kv_status kv_decoder_run(struct kv_decoder *decoder, struct kv_error *error);

/* Of two, the one to run next so that both get the same time: the one that is not done and has used less. NULL when
 * both are done. */
struct kv_decoder *kv_decoder_next(struct kv_decoder *a, struct kv_decoder *b);

/* The new tokens [*n] of one sequence, without its end_of_text. */
const int32_t *kv_decoder_tokens(const struct kv_decoder *decoder, int sequence, int *n);

/* The first place, from 0, where the first sequences of the two differ, of the tokens that both have; -1: nowhere. */
int kv_decoder_difference(const struct kv_decoder *a, const struct kv_decoder *b);

#endif
