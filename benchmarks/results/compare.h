/* kvbench compare: configurations that were measured on two sides, held against each other.
 *
 *   configuration  all rows of runs.csv that agree in the ten key columns; its repetitions of status ok are one
 *                  sample of every metric
 *   side           a run, or the part of one run that has a certain value in one column; the first is the base
 *   ratio          median of the other side / median of the base, of one metric
 *   speed          how many times as fast the other side is: the ratio of a rate, 1 / ratio of a time
 * In every function:
 *   errors         a kv_status other than KV_OK, and one line in `error->message` when `error` is not NULL;
 *                  out-parameters are then NULL
 *   ownership      what was loaded or compared is the caller's, given back with the matching `*_free` (NULL is
 *                  allowed); a comparison borrows the runs and the settings' texts, which must outlive it
 *   thread safety  distinct objects may be used by distinct threads
 *   unknown        NaN
 */
#ifndef KV_RESULTS_COMPARE_H
#define KV_RESULTS_COMPARE_H

#include <stdio.h>

#include "kvbench.h"
#include "machine/context.h"
#include "results/csv.h"
#include "results/results.h"

/* ---- What is compared --------------------------------------------------------------------------- */

/* The columns that tell configurations apart, in their order in runs.csv. */
enum kv_arm_key {
    KV_ARM_KEY_SUITE,
    KV_ARM_KEY_PATH,
    KV_ARM_KEY_MODEL,
    KV_ARM_KEY_WEIGHTS,
    KV_ARM_KEY_GEMM,
    KV_ARM_KEY_ISA,
    KV_ARM_KEY_THREADS, /* this and the following are numbers */
    KV_ARM_KEY_BATCH,
    KV_ARM_KEY_PROMPT_TOKENS,
    KV_ARM_KEY_NEW_TOKENS,
    KV_ARM_KEYS,
};
const char *kv_arm_key_name(int key); /* NULL past the end */

enum kv_metric {
    KV_METRIC_TTFT_MS,
    KV_METRIC_TTPT_MS,
    KV_METRIC_TTPT_P50_MS,
    KV_METRIC_TTPT_P95_MS,
    KV_METRIC_TTPT_P99_MS,
    KV_METRIC_E2E_MS,
    KV_METRIC_PREFILL_TOK_S,
    KV_METRIC_DECODE_TOK_S,
    KV_METRIC_OUTPUT_TOK_S,
    KV_METRICS,
};
struct kv_metric_info {
    const char *name; /* its column */
    const char *summary;
    const char *unit;
    bool is_rate; /* more is faster; otherwise a time, and less is */
};
const struct kv_metric_info *kv_metric_info(int metric); /* NULL past the end */

/* ---- One run ------------------------------------------------------------------------------------ */

struct kv_arm {
    const char *keys[KV_ARM_KEYS];
    size_t n_ok, n_failed, n_skipped; /* rows */
    struct {
        double *values; /* [n] those that are known, all above 0 */
        size_t n;
    } samples[KV_METRICS];
};

/* From context.json; texts are empty and threads -1 when unknown. */
struct kv_measured_on {
    char cpu[96];
    char openblas_core[64];
    int threads;
    char problem[256]; /* why a context.json that is there could not be read, or empty */
};

struct kv_measurements {
    char *file;         /* its runs.csv */
    const char *run_id; /* of its first row, "" without rows */
    struct kv_measured_on machine;
    struct kv_arm *configurations; /* [n_configurations] in order of first appearance */
    size_t n_configurations;
    size_t n_failed, n_skipped; /* rows */
    struct kv_csv_table *table; /* holds the texts */
    double *values;             /* holds the samples */
};

/* `place` is the folder of a run, or a file such as its runs.csv, whose folder may have a context.json.
 * Errors: IO, FORMAT (not such a file, a status that is none, a time or rate that is not above 0), MEMORY. */
kv_status kv_measurements_load(struct kv_measurements **run, const char *place, struct kv_error *error);
void kv_measurements_free(struct kv_measurements *run);

/* ---- Comparing ---------------------------------------------------------------------------------- */

/* The median of a few thousand resamples is steady in the digits that are shown. */
#define KV_COMPARE_RESAMPLES 5000
#define KV_COMPARE_SEED      42
/* Fewer repetitions than this on a side are warned of, as Google Benchmark's tools/compare.py does. */
#define KV_COMPARE_REPETITIONS 9

struct kv_compare_settings {
    enum kv_metric metrics[KV_METRICS]; /* [n_metrics], none twice */
    int n_metrics;
    bool ignored[KV_ARM_KEYS]; /* columns that need not agree */
    int by;                    /* the column whose values are the sides of one run; -1: two runs */
    const char *base;          /* the value of that column that is the base; NULL: the first in the file */
    double alpha;              /* a difference needs p < alpha, */
    double noise;              /* and a ratio r with max(r, 1 / r) > 1 + noise */
};

struct kv_side {
    const struct kv_measurements *run;
    char label[64];    /* "A", "B", "cached", "batch 8" */
    const char *value; /* of the column `by`; NULL: the whole run */
};


struct kv_pair {
    const struct kv_arm *base, *other;
    const struct kv_side *other_side;
};

/* One metric of one pair. */
struct kv_result {
    const struct kv_pair *pair;
    size_t n_base, n_other;
    double median_base, median_other;
    double ratio;
    struct kv_stats_interval interval; /* of the ratio, 95 % bootstrap */
    double u;                          /* as kv_stats_mann_whitney(base, other) gives it */
    double p;                          /* its p; with equal values, no less than smallest_p */
    double smallest_p;                 /* 2 / C(n_base + n_other, n_base): what a complete separation gives */
    double speed;
    enum kv_verdict verdict;
};

/* All results of one metric and one side against the base. */
struct kv_section {
    enum kv_metric metric;
    const struct kv_side *other;
    struct kv_result *results; /* [n_results] */
    size_t n_results;
    size_t n_unknown; /* pairs of which a side has no value of this metric */
    size_t n_verdicts[KV_N_VERDICTS];
    double geometric_mean; /* of the ratios */
};

/* A configuration that one side has and another has not, or has without one repetition that is ok. */
struct kv_unmatched {
    const struct kv_arm *configuration;
    const struct kv_side *from; /* has it, */
    const struct kv_side *in;   /* and here it is */
    const char *problem;        /* "not", "failed" or "skipped" */
};

struct kv_comparison {
    struct kv_compare_settings settings;
    struct kv_side *sides; /* [n_sides], the base first */
    size_t n_sides;
    struct kv_pair *pairs; /* [n_pairs] side after side */
    size_t n_pairs;
    struct kv_unmatched *unmatched; /* [n_unmatched] */
    size_t n_unmatched;
    struct kv_section *sections; /* [n_sections] metric after metric, and side after side */
    size_t n_sections;
    struct kv_result *results; /* holds those of the sections */
};

/* Compares run `other` with run `base`, or, where settings->by names a column, the values of that column in `base`;
 * `other` is then NULL. Every pair is judged by itself: p is not corrected for their number.
 * Errors: ARGUMENT (nothing to compare, or --ignore makes two configurations of a side equal; each says what to
 * change), MEMORY. */
kv_status kv_compare(struct kv_comparison **comparison, const struct kv_measurements *base,
                     const struct kv_measurements *other, const struct kv_compare_settings *settings,
                     struct kv_error *error);
void kv_comparison_free(struct kv_comparison *comparison);

/* Results whose verdict is slower, by a factor 1 / speed above 1 + `above`; *section and *worst are those of the
 * slowest, NULL when there is none. */
size_t kv_compare_regressions(const struct kv_comparison *comparison, double above, const struct kv_section **section,
                              const struct kv_result **worst);

/* Whether any result has the repetitions that p < alpha takes. */
bool kv_compare_can_judge(const struct kv_comparison *comparison);

/* Repetitions on each side from which p < alpha is possible. */
int kv_compare_needed_repetitions(double alpha);

/* ---- Telling ------------------------------------------------------------------------------------ */

/* The value of a column in a pair: "openblas", or "openblas>packed" where base and other differ. Cut to `size`. */
void kv_pair_key(const struct kv_pair *pair, int key, char *text, size_t size);

/* "path cached, batch 8": the columns in which the configurations of the comparison differ. Cut to `size`. */
void kv_compare_name(const struct kv_comparison *comparison, const struct kv_arm *configuration, char *text,
                     size_t size);

/* What is compared, a table for each section, and what was left out. */
void kv_compare_print(const struct kv_comparison *comparison, FILE *stream);

/* Few repetitions, machines that differ, a context.json that cannot be read. Returns how many. */
#define KV_COMPARE_MAX_WARNINGS 4
int kv_compare_warnings(const struct kv_comparison *comparison, struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS]);

/* A row a result, then one for each unmatched configuration: metric, base, other (files, or values of the column
 * `by`), the key columns (as kv_pair_key), n_base, n_other, median_base, median_other, ratio, ratio_low, ratio_high,
 * u, p, verdict ("faster", "slower", "no difference seen", "not in B", "failed in B", ..). Under its name whole or
 * not at all; a file that is there is replaced. Errors: ARGUMENT (it is one of the compared files), IO, MEMORY. */
kv_status kv_compare_write_csv(const struct kv_comparison *comparison, const char *file, struct kv_error *error);

#endif
