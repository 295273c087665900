/* What a run shows, as data; the terminal, the page and other programs put it into words, or not. A difference is what
 * kv_judge calls one, with its usual alpha and noise. And what makes the samples less than they seem. */
#ifndef KV_RESULTS_FINDINGS_H
#define KV_RESULTS_FINDINGS_H

#include "machine/context.h"
#include "results/results.h"

enum kv_finding_kind {
    KV_FINDING_SPEED,         /* cell decodes `value` times as fast as base; below 1: slower */
    KV_FINDING_SPEED_RANGE,   /* an arm over several points: from `value` (cell) to `value_2` (cell_2) times as fast */
    KV_FINDING_NO_DIFFERENCE, /* in n of n_of points of an arm no difference is seen; of 1: value is the ratio */
    KV_FINDING_UNDECIDED,     /* in n of n_of points of an arm there are too few repetitions to tell */
    KV_FINDING_GROWTH,        /* a token late in a sequence (cell) takes `value` times as long as an early one: of the
                                 same generation, or of base, at a shorter context */
    KV_FINDING_MEMORY,        /* cell keeps `value` bytes of keys and values a token and sequence; value_2: the most in
                                 use, which was by cell */
    KV_FINDING_THROUGHPUT,    /* cell has the highest median decode throughput; n others are not told apart from it */
};

enum kv_growth {
    KV_GROWTH_NONE, /* no difference seen */
    KV_GROWTH_FLAT, /* the interval is within 10 % of 1 */
    KV_GROWTH_GROWS,
    KV_GROWTH_FALLS,
    KV_GROWTH_UNDECIDED, /* too few repetitions */
};

struct kv_finding {
    enum kv_finding_kind kind;
    enum kv_column axis;                  /* of speeds: what cell and base differ in */
    const struct kv_cell_results *cell;   /* the subject */
    const struct kv_cell_results *base;   /* what it is held against, or NULL */
    const struct kv_cell_results *cell_2; /* of a range: the other end, or NULL */
    double value, value_2;
    struct kv_stats_interval interval, interval_2; /* of value, of value_2 */
    enum kv_growth growth;
    size_t n, n_of;
};

/* *findings [*n] in the order in which they are told, for the caller to free(). Speeds are those of every arm against
 * the naive path at the same point, and, of every other axis that varies, against its first value. Errors: MEMORY. */
kv_status kv_findings_find(const struct kv_results *results, struct kv_finding **findings, size_t *n,
                           struct kv_error *error);

/* A sentence without a full stop, cut to `size`, and returned. It begins with its subject's suite, or what it is about,
 * and a colon. */
#define KV_FINDING_SIZE 768
const char *kv_finding_text(const struct kv_results *results, const struct kv_finding *finding, char *text,
                            size_t size);

/* "batch 8": what sets a cell apart from others of its suite, but its path and the exceptions (bits of columns). */
#define KV_WHERE_SIZE 192
const char *kv_where_text(const struct kv_results *results, const struct kv_cell_results *cell,
                          kv_column_set exceptions, char *text, size_t size);

/* A value and its interval, rounded alike, but so that the ends can be told apart. */
struct kv_interval_text {
    char value[40];
    char range[112]; /* "95 % interval 7.6 to 8.2" */
};
void kv_interval_text(double value, struct kv_stats_interval interval, struct kv_interval_text *text);

/* What makes the samples less than they seem, each with its remedy (warnings.c):
 *   variation    coefficient of variation of TTFT, TTPT or E2E above 5 %: the three worst, and how many more (4)
 *   outliers     beyond Tukey's fences; they are kept (info, 1)
 *   repetitions  fewer than KV_WARN_REPETITIONS, and one alone, but in suite memory, which times nothing (2)
 * Fills `warnings` in this order and returns how many there are. */
#define KV_WARN_VARIATION   0.05
#define KV_WARN_REPETITIONS 6
#define KV_MAX_WARNINGS     7
int kv_results_warnings(const struct kv_results *results, struct kv_warning warnings[KV_MAX_WARNINGS]);

#endif
