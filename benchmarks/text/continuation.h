/* The continuation of a prompt on one path, token by token, with a clock of its own.
 *
 * The clock runs only while kv_continuation_step does: from the ids of the prompt, or of the tokens before, to the
 * selected ones. What a caller does between two steps, writing text or running another path, is in no figure. The
 * stamps are of that clock, t_0 = 0; with them the definitions of measure/measure.h hold. */
#ifndef KV_TEXT_CONTINUATION_H
#define KV_TEXT_CONTINUATION_H

#include "measure/measure.h"

struct kv_continuation_options {
    struct kv_session_options session; /* `capacity` is not read: it follows from the lengths */
    struct kv_sampling sampling;       /* temperature 0: kv_session_greedy */
    const int32_t *prompts;            /* [n_prompts, n_prompt] */
    int n_prompts;                     /* the batch, or 1 for all sequences */
    int n_prompt;                      /* T >= 1 */
    int n_new;                         /* N >= 0: most tokens to select */
    int32_t end_of_text;               /* the id that ends a sequence; -1: none does */
};

/* To be read by others, and changed by the functions below alone. */
struct kv_continuation {
    struct kv_session *session;
    struct kv_sampler *sampler;      /* NULL: greedy */
    struct kv_generation generation; /* all that was selected, end_of_text and what fills up ended rows included */
    int32_t *prompt;                 /* [B, T] */
    int *n_selected;                 /* [B] tokens of each sequence, its end_of_text among them */
    bool *ended;                     /* [B] at end_of_text */
    int batch, n_prompt, n_new;
    int n_running; /* sequences that have not ended */
    int32_t end_of_text;
    bool window_full; /* KV_OVERFLOW_STOP stopped it */
};

/* Model and pool must outlive it; the options are read during the call only. Errors: MEMORY, those of kv_session_create
 * and kv_sampler_create. */
kv_status kv_continuation_create(struct kv_continuation *continuation, const struct kv_model *model,
                                 struct kv_pool *pool, const struct kv_continuation_options *options,
                                 struct kv_error *error);
void kv_continuation_free(struct kv_continuation *continuation);

/* Whether there is nothing left to do: N tokens, all sequences ended, or the window full. */
bool kv_continuation_done(const struct kv_continuation *continuation);

/* Selects the next token of every sequence, the first time from a prefill of the prompt; allocates nothing. A sequence
 * that has ended is fed end_of_text. The window's end under KV_OVERFLOW_STOP is an error only when not even one token
 * was selected. Errors: those of kv_session_prefill, kv_session_greedy and kv_sampler_select. */
kv_status kv_continuation_step(struct kv_continuation *continuation, struct kv_error *error);

/* Of two, the one to run next so that both get the same time: the one that is not done and has used less. NULL when
 * both are done. */
struct kv_continuation *kv_continuation_next(struct kv_continuation *a, struct kv_continuation *b);

/* The new tokens [*n] of one sequence, without its end_of_text. */
const int32_t *kv_continuation_tokens(const struct kv_continuation *continuation, int sequence, int *n);

/* The first place, from 0, where the first sequences of the two differ, of the tokens that both have; -1: nowhere. */
int kv_continuation_difference(const struct kv_continuation *a, const struct kv_continuation *b);

/* Nanoseconds spent in steps. */
int64_t kv_continuation_spent_ns(const struct kv_continuation *continuation);

/* Tokens of all sequences after their first over the time of those steps; NaN before there are two. It is B / TTPT
 * while no sequence has ended. */
double kv_continuation_rate(const struct kv_continuation *continuation);

#endif
