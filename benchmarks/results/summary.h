/* What a run measured, read back from its folder: runs.csv grouped into configurations with statistics, summary.csv,
 * a table a suite, the findings in words and the warnings about the samples. A run that has just ended, was resumed or
 * is looked at years later goes the same way.
 *   configuration  all rows that agree in suite, path, model, weights, gemm, isa, threads, batch, prompt_tokens and
 *                  new_tokens; a row that failed before gemm or isa was known belongs to the first that agrees
 *                  in the rest
 *   unknown        NaN for a number, "" for a text
 *   thread safety  a summary never changes once it is loaded
 */
#ifndef KV_RESULTS_SUMMARY_H
#define KV_RESULTS_SUMMARY_H

#include "kvbench.h"
#include "machine/context.h"
#include "results/stats.h"

#include <stdio.h>

/* Bootstrap resamples behind each interval; every interval starts the generator anew from the same seed, so that it
 * depends on its own samples alone. */
#define KV_SUMMARY_RESAMPLES 4000
#define KV_SUMMARY_SEED      20190214u

/* The columns that say which configuration a row belongs to, named and ordered as in runs.csv and summary.csv. */
enum kv_key {
    KV_KEY_RUN_ID,
    KV_KEY_SUITE,
    KV_KEY_PATH,
    KV_KEY_MODEL,
    KV_KEY_WEIGHTS,
    KV_KEY_GEMM,
    KV_KEY_ISA,
    KV_KEY_THREADS,
    KV_KEY_BATCH,
    KV_KEY_PROMPT_TOKENS,
    KV_KEY_NEW_TOKENS,
    KV_KEY_CONTEXT_TOKENS,
    KV_N_KEYS,
};

/* Figures with a sample each; the definitions are those of measure/measure.h. */
enum kv_figure {
    /* with their spread in summary.csv */
    KV_FIGURE_TTFT_MS,
    KV_FIGURE_TTPT_MS,
    KV_FIGURE_E2E_MS,
    KV_FIGURE_PREFILL_TOK_S,
    KV_FIGURE_DECODE_TOK_S,
    KV_FIGURE_OUTPUT_TOK_S,
    KV_N_SPREAD_FIGURES,
    /* further columns of runs.csv */
    KV_FIGURE_TTPT_P50_MS = KV_N_SPREAD_FIGURES,
    KV_FIGURE_TTPT_P95_MS,
    KV_FIGURE_TTPT_P99_MS,
    KV_FIGURE_KV_LIVE_BYTES,
    KV_FIGURE_KV_RESERVED_BYTES,
    KV_FIGURE_RSS_PEAK_BYTES,
    KV_FIGURE_LIMIT_MS,
    KV_FIGURE_LIMIT_PCT,
    KV_N_ROW_FIGURES,
    /* from tokens.csv, of suite trace, a value a repetition: with q = a quarter of the steps (tokens 2..N),
     *   growth  median latency of the last q steps / median latency of the first q
     *   slope   (that last median - that first median) / tokens from the middle of the first to that of the last q */
    KV_FIGURE_GROWTH = KV_N_ROW_FIGURES,
    KV_FIGURE_SLOPE_US,
    KV_N_FIGURES,
};

struct kv_summary_sample {
    double *values; /* [n] those that are known, ascending */
    size_t n;
    double median;
    double mad;                        /* median absolute deviation */
    double cv;                         /* coefficient of variation, a fraction */
    struct kv_stats_interval interval; /* 95 %, of the median; only figures with spread, and growth and slope */
};

enum kv_configuration_status {
    KV_CONFIGURATION_OK,
    KV_CONFIGURATION_FAILED,
    KV_CONFIGURATION_SKIPPED,
};

struct kv_configuration {
    const char *keys[KV_N_KEYS]; /* the file's own words */
    int batch;
    int prompt_tokens;
    int new_tokens;
    int context_tokens;
    enum kv_configuration_status status; /* of its last row: what failed and was then measured is ok */
    const char *error;                   /* why, when it is not ok */
    size_t n;                            /* repetitions that were measured, whatever the status */
    struct kv_summary_sample figures[KV_N_FIGURES];
};

struct kv_summary {
    struct kv_configuration *configurations; /* [n_configurations] in order of first appearance */
    size_t n_configurations;
    char **findings; /* [n_findings] a sentence each, without a full stop */
    size_t n_findings;
    struct kv_csv_table *rows; /* owns the texts above */
    double *values;            /* owns the samples above */
};

/* Reads folder/runs.csv, and folder/tokens.csv where there is one. A file without rows is a summary without
 * configurations. Errors: IO, FORMAT (each naming the file), MEMORY. */
kv_status kv_summary_load(struct kv_summary **summary, const char *folder, struct kv_error *error);
void kv_summary_free(struct kv_summary *summary);

/* Writes folder/summary.csv, a row a configuration, under its name whole or not at all; one that is there is
 * replaced. Errors: IO, MEMORY. */
kv_status kv_summary_write_csv(const struct kv_summary *summary, const char *folder, struct kv_error *error);

/* Prints a table a suite, what failed or was skipped with its reason, and the findings. */
void kv_summary_print(const struct kv_summary *summary, FILE *stream);

/* What makes the samples less than they seem, each with its remedy:
 *   variation    coefficient of variation of TTFT, TTPT or E2E above 5 %: the three worst, and how many more (4)
 *   outliers     beyond Tukey's fences; they are kept (info, 1)
 *   repetitions  fewer than KV_SUMMARY_REPETITIONS, and one alone, but in suite memory, which times nothing (2)
 * Fills `warnings` in this order and returns how many there are. */
#define KV_SUMMARY_VARIATION    0.05
#define KV_SUMMARY_REPETITIONS  6
#define KV_SUMMARY_MAX_WARNINGS 7
int kv_summary_warnings(const struct kv_summary *summary, struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS]);

#endif
