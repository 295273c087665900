/* Two machines side by side: a run of each, and which of them is better for what. A is the run that is held against, B
 * the one that is held against it.
 *
 *   machine   name of the CPU, number of CPUs, memory in GiB
 *   point     what is asked of a machine: suite, engine, path, model, weights, type of keys and values, batch, prompt and
 *             new tokens. How it does that is its own affair: of its instruction sets, threads, products, layouts and
 *             chunks each machine is taken with the arm of the least median
 *   task      what points have in common for whom they serve: a first token, tokens of one sequence, of a batch, and
 *             tokens without a cache
 *   ratio     of medians, B over A, of a time. Its interval is that of the rounds, widened by what both machines do
 *             from one run to another (kv_apart_of_machines): it is of these two machines, not of their make
 *   limit     the larger of bytes / bandwidth and flops / peak, by the medians of the cell's own probes
 *   in every function errors are a kv_status and one line; distinct objects may be used by distinct threads */
#ifndef KV_RESULTS_MACHINES_H
#define KV_RESULTS_MACHINES_H

#include "results/apart.h"
#include "results/capacity.h"
#include "results/results.h"
#include "results/table.h"

/* "AMD EPYC, 2 CPUs, 24 GiB", in text, which it returns. */
#define KV_MACHINE_NAME_SIZE 192
const char *kv_machine_name(const struct kv_results *run, char text[KV_MACHINE_NAME_SIZE]);

/* Whether the runs are known to be of machines with different names. */
bool kv_machines_differ(const struct kv_results *a, const struct kv_results *b);

enum kv_task { KV_TASK_FIRST_TOKEN, KV_TASK_ONE_SEQUENCE, KV_TASK_BATCH, KV_TASK_NO_CACHE, KV_N_TASKS };
/* "Tokens of one sequence" */
const char *kv_task_name(enum kv_task task);

/* One point that both machines measured, in one figure. */
struct kv_machines_row {
    enum kv_task task;
    enum kv_column column;                  /* TTFT_MS or TTPT_MS */
    const struct kv_cell_results *cells[2]; /* of A, of B */
    struct kv_apart_judgement judgement;    /* of B against A */
    enum kv_capacity_limit limits[2];
};

/* The rows of a task. */
struct kv_task_summary {
    size_t n, n_better[2]; /* rows; those that A, that B is faster in */
    size_t n_equal;
    double ratio;                          /* geometric mean; NaN without rows */
    size_t n_limits[2][KV_LIMIT_CAPACITY]; /* of A, of B: rows by their limit */
};

struct kv_machines {
    const struct kv_results *runs[2];
    struct kv_apart apart;
    struct kv_machines_row *rows; /* [n_rows] task after task */
    size_t n_rows;
    struct kv_task_summary tasks[KV_N_TASKS];
    struct kv_capacity *capacities[2];
    double read_bytes_per_s[2], fma_flop_per_s[2]; /* medians of the probes with the most threads; NaN: none */
};

/* The results must outlive it. Errors: ARGUMENT (no point is of both runs), IO, FORMAT (of a calibration), MEMORY. */
kv_status kv_machines_create(struct kv_machines **machines, const struct kv_results *a, const struct kv_results *b,
                             struct kv_error *error);
void kv_machines_free(struct kv_machines *machines);

/* ---- Telling (machines_tables.c); errors: MEMORY ----------------------------------------------------------------- */

/* Both machines, a row a property. */
kv_status kv_machines_facts_table(const struct kv_machines *machines, struct kv_table **table, struct kv_error *error);

/* A row a point of a task, with what limits each machine there. */
kv_status kv_machines_task_table(const struct kv_machines *machines, enum kv_task task, struct kv_table **table,
                                 struct kv_error *error);

/* What both serve at goals [n_goals], at contexts around which both were measured; no row: there is none. */
kv_status kv_machines_serve_table(const struct kv_machines *machines, const double *goals, int n_goals,
                                  struct kv_table **table, struct kv_error *error);

/* "B is 2.1 times as fast in the geometric mean of 6 points: ..", and what limits both; in text [size], returned. */
const char *kv_task_sentence(const struct kv_machines *machines, enum kv_task task, char *text, size_t size);

#endif
