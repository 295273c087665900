/* What one generation was, and its figures. Definitions of all figures:
 *   t0   the prompt's ids are ready       t_i  new token i is selected, its logits and argmax included
 *   TTFT = t_1 - t_0        step latency of token i >= 2 = t_i - t_(i-1)      E2E = t_N - t_0
 *   TTPT = (t_N - t_1) / (N - 1)          prefill throughput = B prompt / TTFT
 *   decode throughput = B / TTPT          output throughput = B N / E2E, prefill included
 * Where a step gives more tokens than one, t_i is the end of step i, and N counts the tokens of a sequence on average.
 */
#ifndef KV_MEASURE_MEASURE_H
#define KV_MEASURE_MEASURE_H

#include "kvbench.h"

/* Samples that a p99 needs before it says anything. */
#define KV_P99_SAMPLES 100

/* All zero in the counts and stamps: nothing is done yet. */
struct kv_generation {
    int batch, n_prompt;  /* B, T */
    int room;             /* N, at least 1: most tokens a sequence */
    int n_steps;          /* done: the prompt's, and those after it */
    int64_t *stamps;      /* [N + 1] ns: 0, and the end of each step, by a clock that runs only during steps */
    int *n_given;         /* [N + 1] tokens that each step gave all sequences together; of index 0: 0 */
    int *n_running;       /* [N + 1] sequences that had not ended, also such as have their N tokens */
    int32_t *tokens;      /* [B, N] the new tokens, only the first n_selected of a row meaningful */
    int *n_selected;      /* [B] tokens of each sequence, an end_of_text among them */
    size_t kv_live_bytes; /* keys and values in use, the most there were */
};

/* Room for one generation of n_new tokens; errors: MEMORY. */
kv_status kv_generation_create(struct kv_generation *generation, int batch, int n_prompt, int n_new,
                               struct kv_error *error);
void kv_generation_free(struct kv_generation *generation);
/* Nothing done. */
void kv_generation_reset(struct kv_generation *generation);

/* Tokens of the sequence that has most. */
int kv_generation_tokens(const struct kv_generation *generation);
/* Nanoseconds spent in steps. */
int64_t kv_generation_ns(const struct kv_generation *generation);
/* Tokens of all sequences after their first over the time of those steps; NaN before there are two. It is B / TTPT
 * while no sequence has ended. */
double kv_generation_rate(const struct kv_generation *generation);

/* Unknown figures are NaN. Milliseconds, tokens a second. */
struct kv_figures {
    double ttft_ms, ttpt_ms, ttpt_p50_ms, ttpt_p95_ms, ttpt_p99_ms, e2e_ms;
    double prefill_tok_s, decode_tok_s, output_tok_s;
};

/* Errors: MEMORY. */
kv_status kv_figures_of(const struct kv_generation *generation, struct kv_figures *figures, struct kv_error *error);

/* ---- Time and memory of the process ------------------------------------------------------------------- */

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t kv_now_ns(void);
/* What one reading of that clock costs, in nanoseconds: the instrument's own share of a token. */
double kv_clock_cost_ns(void);
/* "1:02:03" or "2:03", in `text`. */
const char *kv_clock_text(double seconds, char text[32]);

/* Resident bytes now, 0 when unknown. */
size_t kv_rss(void);
/* Starts a new peak of resident memory, where the system allows it. */
void kv_rss_reset_peak(void);
/* Peak resident bytes since then (or since the start of the process), 0 when unknown. */
size_t kv_rss_peak(void);

#endif
