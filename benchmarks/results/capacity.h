/* What the machine of a run serves: how many sequences, and tokens/s, at a time-per-token goal and a context, what fits
 * into its memory, and what limits it. From the run's own rows alone:
 *
 *   time      medians of ttpt_ms of cells of a path with a cache, at their batch and their mean context (of steps 2 to N
 *             of a generation of N tokens after a prompt of p: p + N / 2). At a batch linear in the context between the
 *             measured ones, as attention is; then linear in the batch. Nothing is said outside of what was measured
 *   memory    weights + batch context kv + rest: weights and kv, bytes a position, from the columns bytes and
 *             kv_live_bytes; rest, what else was resident, the most of rss_peak_bytes less both. Of the machine's memory
 *             or the control group's limit, as context.json has it
 *   limits    bytes and flops of a step (kv_step_work in kvbench.h: linear in batch and in batch times context, so
 *             two cells give both) by the medians of the run's probes
 *   unknown   NaN
 */
#ifndef KV_RESULTS_CAPACITY_H
#define KV_RESULTS_CAPACITY_H

#include "results/results.h"
#include "results/table.h"

struct kv_capacity_point {
    int batch;
    double context, ttpt_ms;
};

struct kv_capacity_arm {
    const struct kv_cell_results *cell;     /* one of its cells, with the names of its axes */
    const struct kv_capacity_point *points; /* [n_points] by batch, then context; each pair once */
    size_t n_points;
    double weights_bytes, kv_bytes; /* kv: of a position of a sequence */
    double rest_bytes;
    double flops_token, flops_position; /* of a step, a sequence: the first + context times the second */
    double bytes_per_s, flops_per_s;
};

struct kv_capacity {
    struct kv_capacity_arm *arms; /* [n_arms] */
    size_t n_arms;
    double memory_bytes;
    double window; /* of the model, where it is a published one */
    const struct kv_results *results;
    struct kv_capacity_point *points; /* of all arms */
};

/* The results must outlive it. n_arms 0: the run has no timed cell of a path with a cache. Errors: MEMORY. */
kv_status kv_capacity_create(struct kv_capacity **capacity, const struct kv_results *results, struct kv_error *error);
void kv_capacity_free(struct kv_capacity *capacity);

/* Sequences that fit the memory at a context, or positions that fit with so many sequences; NaN unknown. */
double kv_capacity_fit(const struct kv_capacity *capacity, const struct kv_capacity_arm *arm, double other);

/* The time per token there; NaN outside of what was measured. *is_measured: it is a measured point itself. */
double kv_capacity_ttpt(const struct kv_capacity_arm *arm, int batch, double context, bool *is_measured);

enum kv_capacity_limit { KV_LIMIT_UNKNOWN, KV_LIMIT_BANDWIDTH, KV_LIMIT_ARITHMETIC, KV_LIMIT_CAPACITY };
/* "memory bandwidth", "arithmetic", "memory capacity"; "-" unknown. */
const char *kv_capacity_limit_name(enum kv_capacity_limit limit);

struct kv_capacity_plan {
    const struct kv_capacity_arm *arm; /* NULL: no arm was measured at this context */
    double goal_ms, context;
    int batch; /* sequences at once, the most that meet the goal; 0: not even the smallest batch measured does */
    double ttpt_ms, tok_s;         /* with them; of the smallest batch measured where none does */
    bool is_measured, is_largest;  /* it was measured itself; no larger batch was measured */
    int smallest, largest;         /* batches measured at this context */
    double fit_batch, fit_context; /* the most that memory holds: of sequences there; of positions with `batch` */
    double read_ms, compute_ms;    /* least times of the step */
    double step_bytes, step_flops; /* of it */
    enum kv_capacity_limit limit;
};

/* The arm that serves the most tokens/s, or, where none meets the goal, is the fastest. */
struct kv_capacity_plan kv_capacity_plan(const struct kv_capacity *capacity, double goal_ms, double context);

/* The contexts at which at least two batches were measured, ascending, 4 at most; returns how many. */
enum { KV_CAPACITY_CONTEXTS = 4 };
int kv_capacity_contexts(const struct kv_capacity *capacity, double contexts[KV_CAPACITY_CONTEXTS]);

/* A row a plan, of goals [n_goals] at each of contexts [n_contexts]. Errors: MEMORY. */
kv_status kv_capacity_table(const struct kv_capacity *capacity, const double *goals, int n_goals,
                            const double *contexts, int n_contexts, struct kv_table **table, struct kv_error *error);

/* All of it as JSON, for the planner on the page, to give back with free(); NULL: no memory. */
char *kv_capacity_json(const struct kv_capacity *capacity);

/* "weights f32, kv f32, packed, avx512, 2 threads", in text [size], which it returns. */
const char *kv_capacity_arm_text(const struct kv_capacity_arm *arm, char *text, size_t size);

#endif
