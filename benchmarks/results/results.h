/* The results of a run, read back from its folder: rows grouped into cells, their samples and statistics. The terminal,
 * summary.csv, the page, the figures and compare all take them from here, so that they cannot disagree; a run that has
 * just ended, was resumed or is looked at years later goes the same way.
 *
 *   cell           all rows with the same id; its repetitions of status ok are one sample of every figure
 *   round          in which a repetition was measured: what was measured in one round is compared with each other. Files
 *                  without that column (kvbench 0.2): the number of the repetition, as arms took turns within it
 *   earlier files  runs.csv without a column `cell` (kvbench before 0.2): its `weights` was the source, and weights,
 *                  cache and kv are those of that time (f32, contiguous, f32); ids are made from the columns. The rows
 *                  of tokens.csv without ids belong to no cell
 *   unknown        NaN for a number, "" for a text
 *   errors         damaged files name the line and the column: a text that should be a number, a count that is none, a
 *                  negative number or one that nothing measured can be, an unknown status, a row that repeats a
 *                  repetition, rows of one id that disagree
 *   ownership      everything belongs to the kv_results and lives as long; nothing of it changes once it is loaded, so
 *                  any number of threads may read it
 */
#ifndef KV_RESULTS_RESULTS_H
#define KV_RESULTS_RESULTS_H

#include "results/columns.h"
#include "results/effect.h"
#include "results/stats.h"

/* ---- Cells ----------------------------------------------------------------------------------------------- */

struct kv_round_value {
    int round;
    double value;
};

/* One figure of one cell. */
struct kv_sample {
    const double *values;                /* [n] those that are known, ascending */
    const struct kv_round_value *rounds; /* [n] the same, by round */
    size_t n;
    double median;
    double mad;                        /* median absolute deviation */
    double cv;                         /* coefficient of variation, a fraction */
    struct kv_stats_interval interval; /* of the median: kv_stats_median_interval. NaN for sizes, and with n = 1 */
};

enum kv_cell_status { KV_CELL_OK, KV_CELL_FAILED, KV_CELL_SKIPPED, KV_CELL_STALLED };
const char *kv_cell_status_name(enum kv_cell_status status);

/* Figures that follow from tokens.csv, a value a repetition: with q = a quarter of the steps (tokens 2..N),
 *   early, late  median latency of the first q steps, of the last q
 *   slope        (late - early) / tokens from the middle of the first to that of the last q, in us. Its median and its
 *                interval are those of kv_effect_middle over the repetitions
 */
enum kv_token_figure {
    KV_TOKEN_EARLY_NS,
    KV_TOKEN_LATE_NS,
    KV_TOKEN_SLOPE_US,
    KV_N_TOKEN_FIGURES,
};

/* Where the time of a cell's steps goes, from parts.csv: medians over the repetitions. */
enum kv_phase { KV_PHASE_PREFILL, KV_PHASE_DECODE, KV_N_PHASES };
struct kv_cell_parts {
    size_t n[KV_N_PHASES];                     /* repetitions; 0: unknown */
    double ns[KV_N_PHASES][KV_N_PARTS];        /* of a step */
    double limit_pct[KV_N_PHASES][KV_N_PARTS]; /* NaN: unknown */
    double step_ns[KV_N_PHASES];               /* of all parts */
};

struct kv_cell_results {
    const char *id;
    const char *texts[KV_N_COLUMNS];        /* of kinds, axes, points and origin, as the file has them; "" unknown */
    double numbers[KV_N_COLUMNS];           /* of those that are counts; NaN unknown */
    enum kv_file_kind file;                 /* runs or kernels */
    enum kv_cell_status status;             /* of its last row: what failed and was then measured is ok; that the
                                               machine stalled matters where nothing else is known */
    const char *error;                      /* why, when it is not ok */
    size_t n;                               /* repetitions that were measured, whatever the status */
    size_t n_failed, n_skipped, n_stalled;  /* rows */
    size_t n_faults;                        /* repetitions that were faster than their probes allow: without a share of
                                               the limit. One above 100 % in a file counts as such */
    struct kv_sample figures[KV_N_COLUMNS]; /* of the columns with role time, rate, size or strain */
    struct kv_sample token_figures[KV_N_TOKEN_FIGURES];
    const struct kv_cell_parts *parts; /* NULL: unknown */
};

/* One token of one repetition. */
struct kv_token_row {
    int repetition, token, context_tokens;
    double latency_ns;
    double limit_ns; /* NaN unknown */
};

/* What the machine could do around one repetition that is ok; NaN unknown. */
struct kv_probed {
    size_t cell; /* number */
    double read_bytes_per_s, fma_flop_per_s;
    double stolen_pct;
};

struct kv_limits_row {
    const char *moment, *isa;
    int threads;
    double read_bytes_per_s, fma_flop_per_s; /* the best that was seen */
    double read_bytes_per_s_median, fma_flop_per_s_median;
};

struct kv_results {
    const char *folder, *file;     /* file: its runs.csv, or its kernels.csv where there is no runs.csv; of a pack its
                                      name, and the folder that of its files meanwhile */
    const char *run_id;            /* of its first row, "" without rows */
    struct kv_cell_results *cells; /* [n_cells] generations first: by suite, size and arm, or, without rounds of random
                                      order, in order of first appearance */
    size_t n_cells;
    struct kv_limits_row *limits; /* [n_limits] */
    size_t n_limits;
    double started_s, ended_s; /* when the first and the last repetition began, since 1970; NaN unknown */
    struct kv_probed *probed;  /* [n_probed] in the order of the rows; none without probes */
    size_t n_probed;
    const struct kv_context_facts *context; /* of context.json; never NULL */
    struct kv_results_own *own;             /* what the reader keeps: files, samples */
};

/* What context.json says of where the run was measured; texts are printable, "" when unknown, as numbers are -1. */
struct kv_context_facts {
    const char *cpu, *openblas_core, *commit;
    int threads, cpus;
    double memory_bytes; /* of the machine, or the limit of the control group; NaN unknown */
    const char *problem; /* why a context.json that is there could not be read, or "" */
    const char *program; /* hash of the program's file */
    bool dirty;          /* its tree was not that of the commit, as far as is known */
};

/* `place` is the folder of a run, a pack of one (pack.h), or a file such as its runs.csv, whose folder may have the rest. There must be a
 * runs.csv or a kernels.csv. Errors: IO, FORMAT (each naming the file, the row and the column), MEMORY. */
kv_status kv_results_load(struct kv_results **results, const char *place, struct kv_error *error);
void kv_results_free(struct kv_results *results);

/* The tokens of a cell, in order of repetition and token; NULL and 0 where there are none. */
const struct kv_token_row *kv_results_tokens(const struct kv_results *results, const struct kv_cell_results *cell,
                                             size_t *n);

/* ---- Questions -------------------------------------------------------------------------------------------- */

/* The columns that are part of a cell's id: kinds, axes and points. */
kv_column_set kv_key_columns(void);

/* Whether two cells agree in those columns. An axis that is empty, because it does not apply, agrees with every value;
 * the context of a generation follows from its prompt and new tokens and is not looked at. */
bool kv_cells_agree(const struct kv_cell_results *a, const struct kv_cell_results *b, kv_column_set columns);

/* The axes that do not apply to some cell of the run. */
kv_column_set kv_lacking_axes(const struct kv_results *run);

/* Finds the cells that agree with another one, each in about log n steps. The cells [n] must outlive it; lacking: the
 * kv_lacking_axes of them, and of those that are looked for. Errors: MEMORY. */
struct kv_matcher;
kv_status kv_matcher_create(struct kv_matcher **matcher, const struct kv_cell_results *const *cells, size_t n,
                            kv_column_set columns, kv_column_set lacking, struct kv_error *error);
void kv_matcher_free(struct kv_matcher *matcher);
/* The next one, in the order of cells, that agrees with `wanted`; NULL after the last. *at is 0 at first. `wanted` may
 * be of another run. */
const struct kv_cell_results *kv_matcher_next(const struct kv_matcher *matcher, const struct kv_cell_results *wanted,
                                              size_t *at);

/* Whether cells of a suite (NULL: of all generations, or, where there are none, of all kernels) have different values in
 * that column; what is unknown differs from nothing. */
bool kv_column_varies(const struct kv_results *results, const char *suite, enum kv_column column);

/* Whether a cell of that suite and the naive one at the same point were both timed. */
bool kv_suite_has_ratio(const struct kv_results *results, const char *suite);

/* Whether it was measured to its end and its times count: those of suite memory are by the way. */
bool kv_cell_is_timed(const struct kv_cell_results *cell);
/* Of a load of mixed lengths: the same in a contiguous cache, which may be the cell itself; NULL: not measured, or the
 * cell is no load. And the part of the bytes reserved that is in use; NaN: the cell is no load. */
const struct kv_cell_results *kv_load_base(const struct kv_results *results, const struct kv_cell_results *cell);
double kv_load_use(const struct kv_cell_results *cell);

bool kv_cell_is(const struct kv_cell_results *cell, enum kv_column column, const char *text);

/* The limit of so many threads, the larger of start and end; NaN unknown. */
double kv_results_bandwidth(const struct kv_results *results, int threads);
double kv_results_peak(const struct kv_results *results, int threads);

/* ---- The one rule of what differs --------------------------------------------------------------------------- */

/* Within a run two cells are compared by pairs of the same round: results/effect.h says how, and why that is safe. */
#define KV_JUDGE_LEVEL     0.05
#define KV_JUDGE_THRESHOLD 0.02

struct kv_judgement {
    size_t n_base, n_other; /* repetitions */
    size_t n_rounds;        /* that have both */
    double median_base, median_other;
    double ratio;                      /* of the figure, other / base, within rounds */
    struct kv_stats_interval interval; /* of the ratio; NaN with too few rounds for it */
    double speed;                   /* how many times as fast the other side is: ratio of a rate, 1 / ratio of a time */
    enum kv_effect_verdict verdict; /* on the other side */
    double rounds_needed;           /* for a verdict, as far as these rounds can tell; n_rounds where there is one */
};

/* Judges figure `column` of `other` against that of `base`, cells of one run: findings, tables, compare --by, figures
 * and the page all ask here. Without a common round figures are NaN and the verdict is undecided. Errors: MEMORY. */
kv_status kv_judge(const struct kv_cell_results *base, const struct kv_cell_results *other, enum kv_column column,
                   double threshold, struct kv_judgement *judgement, struct kv_error *error);

/* The same of two samples; `is_rate`: more is better. */
kv_status kv_judge_samples(const struct kv_sample *base, const struct kv_sample *other, bool is_rate, double threshold,
                           struct kv_judgement *judgement, struct kv_error *error);

/* How many times as fast the steps of a cell are as those of the naive path at the same point: `speed`, and here
 * `interval` is of the speed. n_base 0 and NaN where one of them is not timed, or it is the naive path. Errors: MEMORY. */
kv_status kv_results_speed(const struct kv_results *results, const struct kv_cell_results *cell,
                           struct kv_judgement *judgement, struct kv_error *error);

/* A time in ms against context: in every round the median slope of all pairs of that round's cells (Theil 1950, Sen
 * 1968), of which a round that is slow as a whole says nothing, and one stalled cell next to nothing; then the middle of
 * the rounds' slopes and its interval (effect.h: the order of the cells within a round is random, so that a machine that
 * drifts tilts a round upwards as often as downwards). A round counts when its cells span at least half of the contexts.
 * Where the probes of the rows foretell the times of a cell, times are corrected by them first: trend.c says how, and
 * why that invents no slope. */
struct kv_trend {
    size_t n;                                   /* rounds that count */
    double slope;                               /* us a token of context; NaN without rounds */
    struct kv_stats_interval interval;          /* of slope; NaN: too few rounds for it */
    const struct kv_cell_results *first, *last; /* of the shortest and the longest context; NULL: there are no two */
    struct kv_judgement ends;                   /* of last against first, as corrected */
    const char *corrected_by;                   /* "reading" or "arithmetic": times are as if that */
    double corrected_to; /*   had been so many B/s or flop/s; NULL and NaN: they are as measured */
};

/* What a cell has in its trend. */
struct kv_trend_point {
    double median; /* as corrected */
    struct kv_stats_interval interval;
};

/* cells [n] that differ in their context alone; points [n], in their order, or NULL. Errors: MEMORY. */
kv_status kv_results_trend(const struct kv_cell_results *const *cells, size_t n, enum kv_column column,
                           struct kv_trend *trend, struct kv_trend_point *points, struct kv_error *error);

#endif
