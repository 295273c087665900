/* A suite: which configurations are measured. One file with one struct kv_suite and one row in suites.c each. */
#ifndef KV_SUITES_SUITE_H
#define KV_SUITES_SUITE_H

#include "kvbench.h"

/* One configuration; its texts are constants or the caller's. */
struct kv_cell {
    const char *suite;
    const char *path;
    int batch;
    int n_prompt;
    int n_new;
    int group; /* cells of one group differ in the path alone and are measured in turn */
};

struct kv_plan {
    struct kv_cell *cells; /* [n_cells], a group's cells side by side */
    int n_cells;
    int n_groups;
};

/* What a person asked for; a suite takes what it sweeps over and has defaults for the rest (n = 0). */
struct kv_sweep {
    const int *batches; /* [n_batches] */
    int n_batches;
    const char *const *paths; /* [n_paths] */
    int n_paths;
    int n_prompt;
    int n_new;
    bool quick;
};

struct kv_suite {
    struct kv_choice choice;
    kv_status (*plan)(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error);
};

/* Row `index` of the table, NULL past the end. */
const struct kv_suite *kv_suite_at(int index);
const struct kv_choice *kv_suite_choice(int index);

/* Adds a group: one cell for every path. Errors: MEMORY. */
kv_status kv_plan_add(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep, int batch, int n_prompt,
                      int n_new, struct kv_error *error);
void kv_plan_free(struct kv_plan *plan);

extern const struct kv_suite kv_suite_batch;

#endif
