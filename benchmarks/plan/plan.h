/* What is measured: arms at points.
 *
 *   axis   something that is compared: a column and a list option, whose values are swept against each other
 *   arm    one value of every axis
 *   point  the sizes: batch, prompt and new tokens; of a kernel its shape, rows and context
 *   cell   an arm at a point; its id (results/columns.h) is in every row
 *   turn   the cells of one point, which differ in their arm alone, take turns within each repetition
 *
 * A suite is one row in suites.c; a new axis is a field of kv_arm and a row in axes.c; an axis gets a new value where that
 * value is made (a path, a format, a cache), and nothing here changes. */
#ifndef KV_PLAN_PLAN_H
#define KV_PLAN_PLAN_H

#include "results/columns.h"

/* Names are constants; "" where the axis does not apply (no cache on a path that keeps nothing). */
struct kv_arm {
    const char *path;
    const char *weights; /* format in memory */
    const char *cache;   /* layout */
    const char *kv;      /* type of keys and values */
    const char *gemm;
    const char *isa;
    int threads;
    int chunk; /* 0: as the path likes */
};

struct kv_axis {
    enum kv_column column;                     /* its name is that of the option, too */
    size_t field;                              /* offsetof(struct kv_arm, ..) */
    const struct kv_choice *(*choice)(int index); /* of a name; NULL: a count */
    int low, high;                             /* of a count */
    const char *help;
};
/* Row `index`, NULL past the end. */
const struct kv_axis *kv_axis_at(int index);
#define KV_MAX_AXES 16

/* The values of one axis that were asked for; n = 0: the default alone. */
#define KV_MAX_AXIS_VALUES 32
struct kv_axis_values {
    const char *names[KV_MAX_AXIS_VALUES];
    int counts[KV_MAX_AXIS_VALUES];
    int n;
};

enum kv_extent {
    KV_EXTENT_QUICK,  /* small sizes: the whole set in under 2 minutes on two cores */
    KV_EXTENT_REPORT, /* what the figures need: under 15 minutes */
    KV_EXTENT_FULL,   /* everything, however long it takes */
};

/* What a person asked for; a suite sweeps over its own sizes where nothing was asked for (n = 0). */
struct kv_sweep {
    struct kv_axis_values axes[KV_MAX_AXES]; /* in the order of kv_axis_at */
    const int *batches; /* [n_batches] */
    int n_batches;
    const int *prompts; /* [n_prompts] tokens */
    int n_prompts;
    int n_new;
    int repetitions;
    enum kv_extent extent;
    const struct kv_config *config; /* the model's shape */
    int default_prompt;             /* length of the benchmark's own prompt */
    int default_threads;
};

struct kv_point {
    int batch, n_prompt, n_new;       /* of a generation */
    int shape, rows, n, k, n_context; /* of a kernel */
};

struct kv_fixture;

struct kv_cell {
    char id[KV_CELL_ID_SIZE];
    const char *suite;
    const struct kv_fixture *fixture; /* what one repetition of it is (measure/fixture.h) */
    struct kv_arm arm;
    struct kv_point point;
    int repetitions;
    int turn; /* cells of one turn lie side by side */
};

struct kv_plan {
    struct kv_cell *cells; /* [n_cells] */
    int n_cells;
    int n_turns;
    bool limits; /* the limits suite is asked for: every thread count, not only the run's */
};

struct kv_suite {
    struct kv_choice choice;
    kv_status (*plan)(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                      struct kv_error *error);
};
/* Row `index` of the table, NULL past the end; in the order in which they are measured. */
const struct kv_suite *kv_suite_at(int index);
const struct kv_choice *kv_suite_choice(int index);

/* Adds a turn: one cell for every arm of the sweep that makes sense for the fixture and is no other's equal (the naive
 * path keeps nothing, so it is one arm whatever caches are swept). Errors: MEMORY, ARGUMENT. */
kv_status kv_plan_add(struct kv_plan *plan, const char *suite, const struct kv_fixture *fixture,
                      const struct kv_sweep *sweep, const struct kv_point *point, int repetitions,
                      struct kv_error *error);
void kv_plan_free(struct kv_plan *plan);

/* The kinds, axes and sizes of a cell, as its rows have them. */
void kv_cell_describe(const struct kv_cell *cell, struct kv_row *row);

/* The cell of that id, -1: none. */
int kv_plan_find(const struct kv_plan *plan, const char *id);

#endif
