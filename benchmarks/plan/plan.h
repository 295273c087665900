/* What is measured: arms at points.
 *
 *   axis   something that is compared: a column and a list option, whose values are swept against each other
 *   arm    one value of every axis
 *   point  the sizes: batch, prompt and new tokens; of a kernel its shape, rows and context
 *   cell   an arm at a point; its id (results/columns.h) is in every row
 *   turn   the cells of one point, which differ in their arm alone, are measured side by side in every round
 *
 * A suite is one row in suites.c; a new axis is a field of kv_arm and a row in axes.c; an axis gets a new value where
 * that value is made (a path, a format, a cache), and nothing here changes. */
#ifndef KV_PLAN_PLAN_H
#define KV_PLAN_PLAN_H

#include "results/columns.h"

/* Names are constants; "" and 0 where the axis does not apply (no cache on a path that keeps nothing). */
struct kv_arm {
    const char *engine; /* who runs the model; of a peer, path is cached, and cache, kv, gemm and isa are its own */
    const char *path;
    const char *weights; /* format in memory */
    const char *cache;   /* layout */
    const char *kv;      /* type of keys and values */
    const char *gemm;
    const char *isa;
    int threads;
    int chunk;             /* 0: the path's own choice */
    const char *speculate; /* kv_speculate_read's */
    const char *overflow;  /* past the window */
};
bool kv_arms_equal(const struct kv_arm *a, const struct kv_arm *b);

struct kv_axis {
    enum kv_column column;                        /* its name is that of the option, too */
    size_t field;                                 /* offsetof(struct kv_arm, ..) */
    const struct kv_choice *(*choice)(int index); /* of a name; NULL: a count */
    const char *(*more)(const char *name);        /* names besides these; NULL: there are none */
    const char *besides;                          /* what those are, behind a list of these */
    /* Says what is wrong with a name that is meant to be one of those; NULL: nothing can. */
    bool (*misspelt)(const char *name, struct kv_error *error);
    int low, high; /* of a count */
    char letter;   /* short form of the option, 0: none */
    const char *help;
};
/* Row `index`, NULL past the end. */
const struct kv_axis *kv_axis_at(int index);
#define KV_MAX_AXES 16

/* The arm's value as text, "" where the axis does not apply. */
#define KV_AXIS_TEXT_SIZE 64
const char *kv_axis_text(const struct kv_axis *axis, const struct kv_arm *arm, char text[KV_AXIS_TEXT_SIZE]);

/* The values of one axis that were asked for; n = 0: the default alone. */
struct kv_axis_values {
    const char *const *names; /* [n] of a name */
    const int *counts;        /* [n] of a count */
    int n;
};

/* Who can run a model: row 0 is kvbench itself, the others are peers, each a program benchmarks/peers/NAME.py that speaks
 * the protocol of benchmarks/peers/README.md. */
struct kv_engine {
    struct kv_choice choice;
    const char *weights[4];  /* formats that it takes, by the names of kvbench's; ended by NULL */
    const char *environment; /* its Python's, below the folder of peers; several may share one */
};
const struct kv_engine *kv_engine_at(int index);
const struct kv_choice *kv_engine_choice(int index);
/* The row of that name, NULL: none. */
const struct kv_engine *kv_engine_find(const char *name);
bool kv_engine_is_own(const char *name); /* kvbench, or "" of a kernel alone */
bool kv_engine_takes(const struct kv_engine *engine, const char *weights);

enum kv_extent {
    KV_EXTENT_QUICK,  /* small sizes */
    KV_EXTENT_REPORT, /* what the figures need */
    KV_EXTENT_FULL,   /* everything, however long it takes */
};

/* What a person asked for; a suite sweeps over its own sizes where nothing was asked for (n = 0). */
struct kv_sweep {
    struct kv_axis_values axes[KV_MAX_AXES]; /* in the order of kv_axis_at */
    const int *batches;                      /* [n_batches] */
    int n_batches;
    const int *prompts; /* [n_prompts] tokens */
    int n_prompts;
    int n_new;
    int n_prefix; /* of every generation; suite prefix has its own where it is 0 */
    int repetitions;
    enum kv_extent extent;
    const struct kv_config *config; /* the model's shape */
    int text_positions;             /* n_positions of the model that predicts the text of suite quality */
    const char *const *drafts;      /* [n_drafts] speculations by a smaller model that comes with the run's own */
    int n_drafts;
    /* Of the suites about fewer bits: weights that go with every type of keys and values, as the first do; others go with
     * the first type alone. NULL: all go with all. */
    const char *for_all_types;
    int default_prompt; /* length of the benchmark's own prompt */
    int default_threads;
};

/* What one repetition of a cell is. */
enum kv_kind {
    KV_KIND_GENERATION, /* new tokens of B sequences */
    KV_KIND_MATMUL,     /* one of the model's matrix products, over and over */
    KV_KIND_ATTENTION,  /* attention of all heads of one sequence, over and over */
    KV_KIND_QUALITY,    /* predictions of a text, held against those of float32 */
    KV_KIND_LOAD,       /* sequences of mixed lengths, up to n_context, in the room of a contiguous cache for B */
    KV_N_KINDS,
};
struct kv_kind_info {
    const char *kernel; /* "" for a generation */
    enum kv_file_kind file;
    kv_column_set axes; /* that apply */
};
const struct kv_kind_info *kv_kind_info(enum kv_kind kind);

struct kv_point {
    int batch, n_prompt, n_new; /* of a generation; of a load the batch */
    int n_prefix;               /* first tokens of the prompt that are run once for all sequences, and timed */
    int edit_every;             /* of a generation: its text is given, the prompt again with every so many-th token
                                   another one (copying.c); 0: the model writes */
    const char *shape;          /* of a kernel */
    int rows;                   /* of x; queries a head of attention */
    int n, k;                   /* the weights of a product are [k, n] */
    int n_context;              /* positions that the last query of attention sees; the most of a prediction's */
    bool past;                  /* of a prediction: of the last n_positions of so long a text, from its beginning */
    bool same_prompt;           /* of a generation: run once for all sequences, in the opening alone, and not timed */
    bool of_text;               /* of a generation: prompts are of the text that the run's own model predicts, each
                                   sequence's of another place; the benchmark's own where there is no such text */
};

struct kv_cell {
    char id[KV_CELL_ID_SIZE];
    const char *suite;
    enum kv_kind kind;
    struct kv_arm arm;
    struct kv_point point;
    int repetitions; /* in so many rounds, the first ones */
    int turn;        /* cells of one turn lie side by side */
    bool accounts;   /* of a generation: for its time by part */
    bool is_last; /* to be left out where the time does not suffice: what shows the paths by batch in the least of it */
};

struct kv_plan {
    struct kv_cell *cells; /* [n_cells] */
    int n_cells;
    int n_turns;
    bool limits; /* the limits suite is asked for: every thread count, not only the run's */
};

struct kv_suite {
    struct kv_choice choice;
    bool by_name; /* measured where it is asked for by its name, or all is; it takes too long for a run of all suites */
    double own_s; /* of a run of such suites only, what each takes: under 2 minutes with all; 0: as any run */
    kv_status (*plan)(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                      struct kv_error *error);
};
/* Row `index` of the table, NULL past the end; in the order in which they are measured. */
const struct kv_suite *kv_suite_at(int index);
const struct kv_choice *kv_suite_choice(int index);

/* Adds a turn: one cell for every arm of the sweep that makes sense for the kind and is no other's equal (the naive
 * path keeps nothing, so it is one arm whatever caches are swept). A cell that the plan has already is not added again.
 * Errors: MEMORY. */
kv_status kv_plan_add(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                      const struct kv_point *point, int repetitions, struct kv_error *error);
void kv_plan_free(struct kv_plan *plan);

/* The kinds, axes and sizes of a cell, and its id, as its rows have them; the texts are the cell's. */
void kv_cell_describe(const struct kv_cell *cell, struct kv_row *row);
/* The cell of that id, -1: none. */
int kv_plan_find(const struct kv_plan *plan, const char *id);
/* Whether cells of that kind have different values of the axis. */
bool kv_plan_varies(const struct kv_plan *plan, enum kv_kind kind, const struct kv_axis *axis);
/* Of the cell that has most, at least 1. */
int kv_plan_most_threads(const struct kv_plan *plan);
/* Whether there will be rows for that file. */
bool kv_plan_has(const struct kv_plan *plan, enum kv_file_kind file);

#endif
