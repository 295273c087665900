/* What a run shows, as data; the terminal, the page and other programs put it into words, or not. A difference is what
 * kv_judge calls one, with its usual level and threshold; what an interval does not carry is told as undecided, with the
 * rounds that it would take. And what makes the samples less than they seem. */
#ifndef KV_RESULTS_FINDINGS_H
#define KV_RESULTS_FINDINGS_H

#include "machine/context.h"
#include "results/results.h"

enum kv_finding_kind {
    KV_FINDING_SPEED,       /* cell decodes `value` times as fast as base; below 1: slower */
    KV_FINDING_SPEED_RANGE, /* an arm over several points: from `value` (cell) to `value_2` (cell_2) times as fast */
    KV_FINDING_EQUAL,       /* n of n_of points of an arm are as fast within the threshold; of 1: value is the speed */
    KV_FINDING_UNDECIDED,   /* n of n_of points of an arm are not told apart */
    KV_FINDING_NO_RATIO, /* n of n_of points of an arm have no ratio to its base, such as that of cell, whose times are
                               missing, to base, or of base to it */
    KV_FINDING_GROWTH,   /* a step takes `value` us more a token of context, and late in a sequence (cell) value_2
                               times as long as early: in the same generation, or in base, at a shorter context */
    KV_FINDING_MEMORY,   /* cell keeps `value` bytes of keys and values a token and sequence; value_2: the most in
                               use, which was by cell */
    KV_FINDING_THROUGHPUT, /* cell has the highest median decode throughput; n others are not told apart from it */
    KV_FINDING_PARTS,      /* what the parts of cell's steps take: cell->parts */
    KV_FINDING_PRECISION,  /* cell, a variant that no other of its point dominates, decodes `value` times as fast as
                               float32 (base) of `value_2` that its bytes allow, for the divergence of cell_2, or NULL */
    KV_FINDING_PREFIX,     /* the first token of cell, which shares a prefix, is there `value` times as soon as that of
                            * base; value_2: what the positions that are saved allow */
    KV_FINDING_LOAD, /* cell holds `value` sequences of a load of mixed lengths in the room that base, contiguous, has;
                            * value_2: the part of the bytes that is in use */
    KV_FINDING_WINDOW,    /* cell, whose predictions no other cache dominates, keeps `value` of the bytes of base for
                               `value_2` times its perplexity; one of the latter's interval on either side */
    KV_FINDING_SPECULATE, /* cell, the fastest of the n that draft in its way at its point, gives tokens `value` times as
                               fast as plain steps (base); value_2: what acceptance and costs foretell */
    KV_FINDING_OVERFLOW, /* cell predicts the last window of its text with `value` times the perplexity of recomputing */
    KV_FINDING_FAULTS,   /* n of n_of repetitions have no share of the limit: faster than their probes allow */
};

enum kv_growth {
    KV_GROWTH_UNDECIDED,
    KV_GROWTH_FLAT, /* over all the context within KV_JUDGE_THRESHOLD of the time at its beginning */
    KV_GROWTH_GROWS,
    KV_GROWTH_FALLS,
};

struct kv_finding {
    enum kv_finding_kind kind;
    enum kv_column axis;                  /* of speeds: what cell and base differ in */
    const struct kv_cell_results *cell;   /* the subject */
    const struct kv_cell_results *base;   /* what it is held against, or NULL */
    const struct kv_cell_results *cell_2; /* of a range: the other end, or NULL */
    double value, value_2;
    struct kv_stats_interval interval, interval_2; /* of value, of value_2; NaN: too few rounds */
    enum kv_growth growth;
    const char *corrected_by; /* of growth: as in struct kv_trend */
    double corrected_to;
    double limit;         /* of growth: us more a token of context that bytes and flops take at least; NaN: not told */
    size_t n, n_of;       /* of growth, n: rounds */
    double rounds_needed; /* of what is undecided: the most of these points */
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
 *   outliers     beyond Tukey's fences; they are kept (info, 1)
 *   stalls       repetitions that the machine stalled (info, 1)
 *   repetitions  fewer than KV_WARN_REPETITIONS, and one alone, but in suite memory, which times nothing (2)
 * Fills `warnings` in this order and returns how many there are. */
#define KV_WARN_REPETITIONS 6
#define KV_MAX_WARNINGS     4
int kv_results_warnings(const struct kv_results *results, struct kv_warning warnings[KV_MAX_WARNINGS]);

/* ---- How steady the machine was (steadiness.c) ---------------------------------------------------------------------- */

enum kv_grade {
    KV_GRADE_UNKNOWN, /* fewer than 6 repetitions with probes */
    KV_GRADE_STEADY,
    KV_GRADE_MOVING,
    KV_GRADE_UNUSABLE,
};
const char *kv_grade_name(enum kv_grade grade); /* "not graded", "steady", "moving", "unusable" */

/* From the probes of all repetitions, those of each number of threads and instruction set by themselves:
 *   spread  90th percentile / 10th percentile - 1, of reading or of arithmetic, whichever is more. A share of the limit,
 *           and a time, may be off by about as much from one hour to the next
 *   jump    median |log ratio| from one probe to the next, likewise. With d = the noise of a pair of neighbours, the
 *           interval of a ratio from n rounds is about exp(+-1.96 d / sqrt(n)) wide, d = jump / 0.67
 * steady: spread <= 10 %, as much as the limits themselves are uncertain, and at most 1 % of the time stolen. unusable:
 * jump > 15 %, with which 20 rounds leave a ratio uncertain by 10 %, or more repetitions stalled than measured. moving:
 * between them. Two shared cores of a Xeon, recorded for 330 s, had a jump of 4 to 7 % and a spread of 90 to 230 %. */
struct kv_steadiness {
    enum kv_grade grade;
    size_t n; /* repetitions with probes */
    double read_spread, fma_spread, jump;
    double stolen; /* mean, a fraction; NaN unknown */
    size_t n_stalled;
    char line[400];  /* "moving: reading varied by 38 %, ..: ratios hold, ..", with the remedy */
    char brief[160]; /* for a footer: "Machine: moving (reading varied by 38 %, arithmetic by 12 %)" */
};
struct kv_steadiness kv_steadiness(const struct kv_results *results);

#endif
