/* From a prompt to its new tokens, step by step, with a clock of its own: what `bench`, `generate` and the dashboard
 * run.
 *
 * A step appends positions to every sequence that runs, the first time its prompt, and selects tokens for each of them:
 * one, or with speculation 1..k + 1, as many as its drafts gave. The draft's run of the prompt is in the first step. A
 * sequence that has all its tokens, its end of text or a full window leaves the batch: from then on a step costs what the
 * others take. The tokens of a sequence are those that it has alone, whoever is beside it, and its draws those of row b
 * of kv_sampler.
 *
 * The clock runs only inside kv_decoder_step: from the ids of the prompt, or of the tokens before, to the selected
 * ones. What a caller does between two steps, writing text or running another path, is in no figure. The stamps are of
 * that clock, t_0 = 0; with them the definitions of measure/measure.h hold. */
#ifndef KV_MEASURE_DECODER_H
#define KV_MEASURE_DECODER_H

#include "measure/measure.h"

struct kv_decoder_options {
    struct kv_session_options session; /* capacity 0: as many positions as the lengths need */
    struct kv_sampling sampling;       /* temperature 0: kv_session_greedy */
    const int32_t *prompts;            /* [n_prompts, n_prompt]; with lengths of their own, one behind the other */
    int n_prompts;                     /* the batch, or 1 for all sequences */
    int n_prompt;                      /* T >= 1, of the longest */
    const int *prompt_lengths;         /* [n_prompts], each at least 1; NULL: all n_prompt */
    int n_prefix;                      /* first tokens that all prompts, of one length, share, run once: 0..T */
    int n_new;                         /* N >= 0: most tokens a sequence */
    int32_t end_of_text;               /* the id that ends a sequence; -1: none does */
    struct kv_speculation speculation; /* k 0: none; its sampling, n_tokens and text are seen to */
    /* [n_prompts, n_new], greedily: what the sequences go on with, whatever the model says. All its work is done, and its
     * own tokens are those of the generation: what it says at each place of that text. NULL: they go on with these. */
    const int32_t *given_text;
    /* With n_prompts = 1 and without draws: the prompt is run once, for all sequences, and a reset goes back to behind
     * it. Its step is there as always, but takes no time: such a generation has no TTFT. */
    bool same_prompt;
};

/* To be read by others, and changed by the functions below alone. */
struct kv_decoder {
    struct kv_session *session;
    struct kv_sampler *sampler;       /* NULL: greedy */
    struct kv_speculator *speculator; /* NULL: a token a step */
    struct kv_generation generation;
    int32_t *prompt;   /* those of all sequences, one behind the other: [B, T] where all are as long */
    int32_t *newest;   /* [B] what the step before selected last: the next one runs it, or the text's in its place */
    int32_t *text;     /* [B, T + N] prompt and given text, at the row's beginning; NULL: none is given */
    int32_t *selected; /* [B, k + 1] and all that it selected */
    int *n_new;        /* [B] how many these are */
    int *n_left;       /* [B] tokens that are still wanted */
    int k;             /* most drafts a step; 0: no speculation */
    int32_t *given;    /* [B] of those that run, one behind the other */
    int *n_given;      /* [B] how many of each: 0 or 1 */
    bool *runs;        /* [B] has not left the batch */
    bool *ended;       /* [B] at end_of_text */
    int n_running;     /* sequences that have not left */
    int n_wanted;      /* tokens a sequence, 0..N */
    int32_t end_of_text;
    int most_positions;           /* of a window that can be full, under KV_OVERFLOW_STOP; else INT_MAX */
    bool window_full;             /* KV_OVERFLOW_STOP stopped one of them */
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

/* Whether there is nothing left to do: every sequence has left. */
bool kv_decoder_done(const struct kv_decoder *decoder);

/* The next tokens of every sequence that runs; allocates nothing. The window's end under KV_OVERFLOW_STOP is an error
 * only for a prompt that is longer. Errors: those of kv_session_append, kv_session_greedy, kv_sampler_select and
 * kv_speculator_step; the generation is then as before the step, and only a reset goes on. */
kv_status kv_decoder_step(struct kv_decoder *decoder, struct kv_error *error);

/* All steps that are left. */
kv_status kv_decoder_run(struct kv_decoder *decoder, struct kv_error *error);

/* Of decoders [n], the one to run next so that all get the same time: of those that are not done the one that has used
 * least, the first of equals. NULL when all are done. */
struct kv_decoder *kv_decoder_next(struct kv_decoder *decoders, int n);

/* The prompt [*n] of one sequence. */
const int32_t *kv_decoder_prompt(const struct kv_decoder *decoder, int sequence, int *n);

/* The text [N] that is given to one sequence; NULL: none is. */
const int32_t *kv_decoder_given(const struct kv_decoder *decoder, int sequence);

/* The new tokens [*n] of one sequence, without its end_of_text. */
const int32_t *kv_decoder_tokens(const struct kv_decoder *decoder, int sequence, int *n);

/* The first place, from 0, where the first sequences of the two differ, of the tokens that both have; -1: nowhere. */
int kv_decoder_difference(const struct kv_decoder *a, const struct kv_decoder *b);

#endif
