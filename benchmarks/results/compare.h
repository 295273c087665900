/* kvbench compare: cells that were measured on two sides, held against each other.
 *
 *   side           a run, several runs of one program, or the part of one run that has a certain value in one column;
 *                  the first is the base
 *   pair           a cell of the base and one of another side that agree in all columns that are compared by: kinds,
 *                  axes and sizes, the model and where its weights came from. An axis that does not apply to one of
 *                  them (a cache, on a path that keeps nothing) agrees with every value
 *   judgement      of cells of one run by kv_judge, of separate runs by results/apart.h: those are told apart where
 *                  the interval of the rounds, widened by what the machine may do from one run to the other, lies on one
 *                  side of 1, or within the threshold; of several runs a side, that of the runs
 * In every function:
 *   errors         a kv_status other than KV_OK, and one line in `error->message` when `error` is not NULL;
 *                  out-parameters are then NULL
 *   ownership      a comparison borrows the results and the settings' texts, which must outlive it
 *   thread safety  distinct objects may be used by distinct threads
 */
#ifndef KV_RESULTS_COMPARE_H
#define KV_RESULTS_COMPARE_H

#include "machine/context.h"
#include "results/apart.h"
#include "results/results.h"
#include "results/table.h"

#include <stdio.h>

/* Columns that may be named, row `index`, NULL past the end: what can be compared by, and what is compared. The choice
 * is valid until the thread's next call of either; its texts stay. */
const struct kv_choice *kv_compare_key_choice(int index);
const struct kv_choice *kv_compare_metric_choice(int index);

#define KV_COMPARE_MAX_METRICS     24
#define KV_COMPARE_MAX_DIFFERENCES 64

struct kv_compare_settings {
    enum kv_column metrics[KV_COMPARE_MAX_METRICS]; /* [n_metrics], none twice; of times and rates */
    int n_metrics;
    kv_column_set ignored; /* columns that need not agree, a KV_BIT each */
    enum kv_column by;     /* the column whose values are the sides of one run; KV_N_COLUMNS: two runs */
    const char *base;      /* the value of that column that is the base; NULL: the first in the file */
    double threshold;      /* ratios closer to 1 than this part are equal */
};

struct kv_side {
    const struct kv_results *run;         /* the first of */
    const struct kv_results *const *runs; /* [n_runs] */
    size_t n_runs;
    char *files;                          /* of whole runs: their files, a space between them; NULL */
    struct kv_matcher **matchers;         /* [n_runs] of several: of the cells of each; NULL */
    char label[64];                       /* "A", "B", "cached", "batch 8" */
    const char *value;                    /* of the column `by`; NULL: the whole run */
    const struct kv_cell_results **cells; /* [n_cells] on this side; of cells that several runs have, one */
    size_t n_cells;
    size_t first_pair, n_pairs; /* with the base, in the comparison's pairs */
};

struct kv_pair {
    const struct kv_cell_results *base, *other;
    const struct kv_side *other_side;
};

/* One metric of one pair. */
struct kv_result {
    const struct kv_pair *pair;
    struct kv_judgement judgement;
    double log_factor;        /* of separate runs, allowed for the machine; NaN */
    const char *corrected_by; /* of two: "reading" or "arithmetic"; NULL */
};

/* All results of one metric and one side against the base. */
struct kv_section {
    enum kv_column metric;
    const struct kv_side *other;
    struct kv_result *results; /* [n_results] */
    size_t n_results;
    size_t n_unknown;                        /* pairs of which a side has no value of this metric */
    size_t n_verdicts[KV_EFFECT_SLOWER + 1]; /* by enum kv_effect_verdict */
    double geometric_mean;                   /* of the ratios */
};

/* A cell that one side has and another has not, or has without one repetition that is ok. */
struct kv_unmatched {
    const struct kv_cell_results *cell;
    const struct kv_side *from; /* has it, */
    const struct kv_side *in;   /* and here it is */
    const char *problem;        /* "not", "failed", "skipped" or "stalled" */
};

/* A value of context.json that differs between two runs, the first and another one; "unknown" where one has none. */
struct kv_difference {
    char name[128]; /* "machine.kernel" */
    char base[96], other[96];
    size_t run; /* the other, in the comparison's runs */
};

struct kv_comparison {
    struct kv_compare_settings settings;
    uint64_t files;        /* those whose cells are looked at, a bit (1 << enum kv_file_kind) each */
    kv_column_set keys;    /* the columns that tell the compared cells apart: all that their files have */
    kv_column_set shown;   /* those in which the pairs differ, and path and batch: columns of tables for people */
    kv_column_set varying; /* those in which any of the sides' cells differ */
    const struct kv_results **runs; /* [n_runs] those of the base first */
    size_t n_runs;
    struct kv_side *sides; /* [n_sides], the base first */
    size_t n_sides;
    const struct kv_cell_results **cells; /* holds those of the sides */
    struct kv_pair *pairs;                /* [n_pairs] side after side */
    size_t n_pairs;
    struct kv_unmatched *unmatched; /* [n_unmatched] */
    size_t n_unmatched;
    struct kv_section *sections; /* [n_sections] metric after metric, and side after side */
    size_t n_sections;
    struct kv_result *results;         /* holds those of the sections */
    struct kv_apart apart;             /* of separate runs */
    struct kv_difference *differences; /* [n_differences] of separate runs */
    size_t n_differences;
};

/* Compares run `other` with run `base`, or, where settings->by names a column, the values of that column in `base`;
 * `other` is then NULL. Only cells of files that have one of the metrics are looked at. Every pair is judged by itself,
 * at the same level whatever their number. Errors: ARGUMENT (nothing to compare, or --ignore makes two cells of a side
 * equal; each says what to change), MEMORY; those of kv_apart_find. */
kv_status kv_compare(struct kv_comparison **comparison, const struct kv_results *base, const struct kv_results *other,
                     const struct kv_compare_settings *settings, struct kv_error *error);
void kv_comparison_free(struct kv_comparison *comparison);

/* The same of several runs a side: others [n_others] with bases [n_bases], 1 or more. A cell is compared where a run of
 * each side has it. Errors: ARGUMENT also where a run is named twice. */
kv_status kv_compare_sides(struct kv_comparison **comparison, const struct kv_results *const *bases, size_t n_bases,
                           const struct kv_results *const *others, size_t n_others,
                           const struct kv_compare_settings *settings, struct kv_error *error);

/* Whether the comparison looks at that cell: its file has one of the metrics. */
bool kv_compare_looks_at(const struct kv_comparison *comparison, const struct kv_cell_results *cell);

/* Results whose verdict is slower, by a factor 1 / speed above 1 + `above`; *section and *worst are those of the
 * slowest, NULL when there is none. */
size_t kv_compare_regressions(const struct kv_comparison *comparison, double above, const struct kv_section **section,
                              const struct kv_result **worst);

/* Whether any result has as many rounds as a verdict takes. */
bool kv_compare_can_judge(const struct kv_comparison *comparison);

/* Finds comparison->differences of its runs (compare_context.c). Errors: MEMORY. */
kv_status kv_compare_contexts(struct kv_comparison *comparison, struct kv_error *error);

/* ---- Whole runs (compare_runs.c), for compare.c ------------------------------------------------------ */

/* The columns in which cells must agree, and the axes that some cell of some run lacks. */
kv_column_set kv_compare_matched(const struct kv_comparison *comparison);
kv_column_set kv_compare_lacking(const struct kv_comparison *comparison);

/* Makes both sides of comparison->runs, the first n_base being the base's. Errors: ARGUMENT (a run is named twice),
 * MEMORY. */
kv_status kv_compare_add_sides(struct kv_comparison *comparison, size_t n_base, struct kv_error *error);
void kv_compare_free_side(struct kv_side *side);

/* Finds comparison->apart. Errors: those of kv_apart_find. */
kv_status kv_compare_find_apart(struct kv_comparison *comparison, struct kv_error *error);

/* Judges a pair by all runs that have it. Errors: MEMORY. */
kv_status kv_compare_judge_runs(const struct kv_comparison *comparison, const struct kv_pair *pair,
                                enum kv_column metric, struct kv_apart_judgement *judgement, struct kv_error *error);

/* ---- Telling (compare_print.c) ----------------------------------------------------------------------------------- */

/* The value of a column in a pair: "openblas", or "openblas>packed" where base and other differ. Cut to `size`. */
void kv_pair_key(const struct kv_pair *pair, enum kv_column key, char *text, size_t size);

/* "path cached, batch 8": the columns in which the cells of the comparison differ. Cut to `size`. */
void kv_compare_name(const struct kv_comparison *comparison, const struct kv_cell_results *cell, char *text,
                     size_t size);

/* The results of a section, for people; its title says what it is of. Errors: MEMORY. */
kv_status kv_section_table(const struct kv_comparison *comparison, const struct kv_section *section,
                           struct kv_table **table, struct kv_error *error);

/* "faster"; "undecided", or of separate runs "not told apart". */
const char *kv_compare_verdict(const struct kv_comparison *comparison, enum kv_effect_verdict verdict);

/* "A", or of several runs a side "A2". Returns `label`. */
enum { KV_RUN_LABEL_SIZE = 32 };
const char *kv_compare_run_label(const struct kv_comparison *comparison, size_t run, char label[KV_RUN_LABEL_SIZE]);

/* By how much the machine alone may part two runs: "10 %". Returns `text`. */
const char *kv_compare_allowance(const struct kv_comparison *comparison, char *text, size_t size);

/* A row a result, then one for each unmatched cell, then one for each difference of the contexts: metric, base, other
 * (files, or values of the column `by`), the key columns (as kv_pair_key), n_base, n_other (repetitions; of several runs
 * a side, runs), median_base, median_other, ratio, ratio_low, ratio_high, rounds, rounds_needed (of --by), machine_pct (of
 * separate runs, what is allowed for the machine), corrected_by (of two), verdict (as kv_compare_verdict, "not in B", "failed in B", .., or "environment", of which base and other are the
 * values and metric is the name). Errors: MEMORY. */
kv_status kv_compare_table(const struct kv_comparison *comparison, struct kv_table **table, struct kv_error *error);

/* For people what is compared, a table for each section, and what was left out; for programs kv_compare_table.
 * Errors: IO, MEMORY. */
kv_status kv_compare_print(const struct kv_comparison *comparison, enum kv_format format, FILE *stream,
                           struct kv_error *error);

/* Writes kv_compare_table to a CSV file, whole or not at all. Errors: ARGUMENT (it is one of the compared files), IO,
 * MEMORY. */
kv_status kv_compare_write_csv(const struct kv_comparison *comparison, const char *file, struct kv_error *error);

/* Few repetitions, a context.json that cannot be read. Returns how many. */
#define KV_COMPARE_MAX_WARNINGS 8
int kv_compare_warnings(const struct kv_comparison *comparison, struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS]);

#endif
