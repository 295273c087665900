/* One side of a comparison as a process of its own, which measures one cell on request: what speaks the protocol of
 * benchmarks/cli/cmd_worker.c, of this program or of any other engine; or `kvbench bench`, for programs from before it.
 *   waiting        while it is not asked, a worker sleeps
 *   Ctrl-C         a worker has a process group of its own, so that an interrupt from the terminal is the caller's
 *   errors         name the side, and have the last line that it wrote to stderr
 *   thread safety  a peer belongs to one thread */
#ifndef KV_AB_PEER_H
#define KV_AB_PEER_H

#include "measure/measure.h"

#include <jansson.h>

/* What is measured of a repetition, by the names of the columns: milliseconds, less is better. */
enum kv_peer_metric { KV_PEER_TTPT, KV_PEER_TTFT, KV_PEER_E2E, KV_PEER_N_METRICS };
/* Row `index`, NULL past the end. */
const struct kv_choice *kv_peer_metric_choice(int index);

struct kv_peer;

/* Starts argv (ended by NULL; argv[0] is found as a shell does) and waits until it says that it is ready. `name` is the
 * side's, in messages, and is copied. It may take patience_s over that and over each answer; 0: 15 minutes. Errors: IO (it cannot be started, ended or said something else), MEMORY. */
kv_status kv_peer_start(struct kv_peer **peer, const char *name, const char *const *argv, double patience_s,
                        struct kv_error *error);
/* Asks it to end, waits a little, then ends it. NULL is allowed. */
void kv_peer_stop(struct kv_peer *peer);

/* What it said when it was ready; the peer's. */
const json_t *kv_peer_ready(const struct kv_peer *peer);

/* A whole generation: ms [KV_PEER_N_METRICS] of it, TTPT being that of its middle step, NaN what it has not; *ids, the
 * tokens of its first sequence, for the caller to json_decref, NULL when not wanted. Errors: IO, FORMAT (an answer that
 * the protocol does not have), and what the peer answers as an error: ARGUMENT. */
kv_status kv_peer_run(struct kv_peer *peer, double *ms, json_t **ids, struct kv_error *error);

/* n more steps of a generation that goes on, each longer by extra_pct % (0: as it was started): the middle one is TTPT,
 * and TTFT is there when it began anew. Errors: as kv_peer_run. */
kv_status kv_peer_steps(struct kv_peer *peer, int n, double extra_pct, double *ms, struct kv_error *error);

/* One generation, of g's sizes, by an engine that takes them with the request; prompt [n_prompt] is that of all
 * sequences. Fills g: its stamps, and the tokens of the first sequence. An engine without a time a token gives two steps,
 * the first token's and one of all others. Errors: IO, FORMAT (an answer that the protocol does not have, times that are
 * none, too few tokens), and what the peer answers as an error: ARGUMENT. */
kv_status kv_peer_generate(struct kv_peer *peer, const int32_t *prompt, struct kv_generation *g,
                           struct kv_error *error);
/* Its peak of resident memory so far, in bytes; NaN unknown. */
double kv_peer_rss_peak(const struct kv_peer *peer);
/* CPU time of its threads so far, a row each; 0 where it cannot be read. */
enum { KV_PEER_MOST_THREADS = 256 };
struct kv_peer_thread {
    int id;
    long ticks;
};
int kv_peer_threads(const struct kv_peer *peer, struct kv_peer_thread threads[KV_PEER_MOST_THREADS]);
/* False once it has ended. */
bool kv_peer_lives(struct kv_peer *peer);
/* How long it may take over an answer from now on. */
void kv_peer_set_patience(struct kv_peer *peer, double seconds);

/* Whether it knows steps. */
bool kv_peer_has_steps(const struct kv_peer *peer);

/* Runs argv, such as `kvbench bench ..`, to its end; what it writes to stdout is dropped. Errors: IO. */
kv_status kv_peer_execute(const char *name, const char *const *argv, struct kv_error *error);

#endif
