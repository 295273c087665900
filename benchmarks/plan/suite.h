/* A suite: which configurations are measured. One file with one struct kv_suite and one row in suites.c each. */
#ifndef KV_PLAN_SUITE_H
#define KV_PLAN_SUITE_H

#include "kvbench.h"

/* One configuration; its texts are constants or the caller's. */
struct kv_cell {
    const char *suite;
    const char *path;
    int batch;
    int n_prompt;
    int n_new;
    int repetitions;
    int group; /* cells of one group differ in the path alone and are measured in turn */
};

struct kv_plan {
    struct kv_cell *cells; /* [n_cells], a group's cells side by side */
    int n_cells;
    int n_groups;
    bool kernels; /* the kernels suite is asked for */
    bool limits;  /* the limits suite is: every thread count, not only the run's */
};

enum kv_extent {
    KV_EXTENT_QUICK,  /* small sizes: the whole set in under 2 minutes on two cores */
    KV_EXTENT_REPORT, /* what the figures need: under 15 minutes */
    KV_EXTENT_FULL,   /* everything, however long it takes */
};

/* What a person asked for; a suite sweeps over its own sizes where nothing was asked for (n = 0). */
struct kv_sweep {
    const int *batches; /* [n_batches] */
    int n_batches;
    const int *prompts; /* [n_prompts] tokens */
    int n_prompts;
    const char *const *paths; /* [n_paths] */
    int n_paths;
    int n_new;
    int repetitions;
    enum kv_extent extent;
    int n_positions;    /* the model's */
    int default_prompt; /* length of the benchmark's own prompt */
};

struct kv_suite {
    struct kv_choice choice;
    kv_status (*plan)(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error);
};

/* Row `index` of the table, NULL past the end. */
const struct kv_suite *kv_suite_at(int index);
const struct kv_choice *kv_suite_choice(int index);

/* ---- For suites ------------------------------------------------------------------------------------- */

/* A list of sizes, and the one that was asked for, when one was. */
struct kv_sizes {
    const int *values;
    int n;
};
#define KV_SIZES(array) ((struct kv_sizes){(array), (int)(sizeof(array) / sizeof *(array))})
struct kv_sizes kv_sweep_batches(const struct kv_sweep *sweep, struct kv_sizes otherwise);
struct kv_sizes kv_sweep_prompts(const struct kv_sweep *sweep, struct kv_sizes otherwise);

/* `n_new`, or the most new tokens that the model's window takes after such a prompt, and 1 at least. */
int kv_sweep_fitting(const struct kv_sweep *sweep, int n_prompt, int n_new);

/* Adds a group: one cell for every path. Errors: MEMORY. */
kv_status kv_plan_add(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep, int batch, int n_prompt,
                      int n_new, int repetitions, struct kv_error *error);
void kv_plan_free(struct kv_plan *plan);

extern const struct kv_suite kv_suite_batch;
extern const struct kv_suite kv_suite_depth;
extern const struct kv_suite kv_suite_grid;
extern const struct kv_suite kv_suite_kernels;
extern const struct kv_suite kv_suite_limits;
extern const struct kv_suite kv_suite_memory;
extern const struct kv_suite kv_suite_trace;

#endif
