/* What a run shows, as data; the terminal, the page and other programs put it into words, or not. */
#ifndef KV_RESULTS_FINDINGS_H
#define KV_RESULTS_FINDINGS_H

#include "results/results.h"

enum kv_finding_kind {
    KV_FINDING_SPEED,       /* cell decodes `value` times as fast as base */
    KV_FINDING_SPEED_RANGE, /* an arm over several points: from `value` (cell) to `value_2` (cell_2) times as fast */
    KV_FINDING_NO_DIFFERENCE, /* in n of n_of points of an arm no difference is seen */
    KV_FINDING_UNDECIDED,     /* in n of n_of points of an arm there are too few repetitions to tell */
    KV_FINDING_GROWTH,      /* a token late in a sequence takes `value` times as long as an early one */
    KV_FINDING_MEMORY,      /* bytes of keys and values a token and sequence; value_2: the most in use */
    KV_FINDING_THROUGHPUT,  /* the highest median decode throughput; n others are not told apart from it */
};

enum kv_growth { KV_GROWTH_NONE, KV_GROWTH_FLAT, KV_GROWTH_GROWS, KV_GROWTH_FALLS };

struct kv_finding {
    enum kv_finding_kind kind;
    const struct kv_cell_results *cell;   /* the subject */
    const struct kv_cell_results *base;   /* what it is held against, or NULL */
    const struct kv_cell_results *cell_2; /* of a range or a curve: the other end, or NULL */
    double value, value_2;
    struct kv_stats_interval interval, interval_2;
    enum kv_growth growth;
    size_t n, n_of;
};

/* *findings [*n] in the order in which they are told, for the caller to free(). Errors: MEMORY. */
kv_status kv_findings_find(const struct kv_results *results, struct kv_finding **findings, size_t *n,
                           struct kv_error *error);

/* A sentence without a full stop, cut to `size`, and returned. */
const char *kv_finding_text(const struct kv_results *results, const struct kv_finding *finding, char *text,
                            size_t size);

/* "batch 8": what sets a cell apart from others of its suite, but its path and the exceptions (bits of columns). */
const char *kv_where_text(const struct kv_results *results, const struct kv_cell_results *cell, uint64_t exceptions,
                          char *text, size_t size);

#endif
