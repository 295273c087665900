/* One generation, timed token by token. Definitions of all figures:
 *   t0   the prompt's ids are ready       t_i  new token i is selected, its logits and argmax included
 *   TTFT = t_1 - t_0        step latency of token i >= 2 = t_i - t_(i-1)      E2E = t_N - t_0
 *   TTPT = (t_N - t_1) / (N - 1)          prefill throughput = B prompt / TTFT
 *   decode throughput = B / TTPT          output throughput = B N / E2E, prefill included
 */
#ifndef KV_MEASURE_MEASURE_H
#define KV_MEASURE_MEASURE_H

#include "kvbench.h"

/* Samples that a p99 needs before it says anything. */
#define KV_P99_SAMPLES 100

struct kv_generation {
    int n_new;            /* N >= 1 */
    int n_done;           /* tokens selected; below n_new when the window's end stopped it */
    int64_t *stamps;      /* [N + 1] ns: t_0 .. t_N */
    int32_t *tokens;      /* [B, N] the new tokens, only the first n_done of a row meaningful */
    int32_t *step;        /* [B] scratch */
    size_t kv_live_bytes; /* at the end, the most there were */
};

/* Room for one generation; errors: MEMORY. */
kv_status kv_generation_create(struct kv_generation *generation, int batch, int n_new, struct kv_error *error);
void kv_generation_free(struct kv_generation *generation);

/* Nanoseconds of CLOCK_MONOTONIC. */
int64_t kv_now_ns(void);

/* "1:02:03" or "2:03", in `text`. */
const char *kv_clock_text(double seconds, char text[32]);

/* What one reading of that clock costs, in nanoseconds: the instrument's own share of a token. */
double kv_clock_cost_ns(void);

/* Resets the session (of `batch` sequences), prefills prompt [B, T] and selects n_new <= generation->n_new tokens a
 * sequence, greedily. Nothing but that is between two stamps. Allocates nothing. KV_WINDOW_FULL with n_done > 0 is the
 * end under KV_OVERFLOW_STOP, not a failure. */
kv_status kv_generate(struct kv_session *session, int batch, const int32_t *prompt, int n_prompt, int n_new,
                      struct kv_generation *generation, struct kv_error *error);

/* Unknown figures are NaN. Milliseconds, tokens a second. */
struct kv_figures {
    double ttft_ms, ttpt_ms, ttpt_p50_ms, ttpt_p95_ms, ttpt_p99_ms, e2e_ms;
    double prefill_tok_s, decode_tok_s, output_tok_s;
};

/* Errors: MEMORY. */
kv_status kv_figures_of(const struct kv_generation *generation, int batch, int n_prompt, struct kv_figures *figures,
                        struct kv_error *error);

/* Starts a new peak of resident memory, where the system allows it. */
void kv_rss_reset_peak(void);
/* Peak resident bytes since then (or since the start of the process), 0 when unknown. */
size_t kv_rss_peak(void);

#endif
