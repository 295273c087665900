/* What speculation gains: a cell of suite speculate or copy, held against plain steps at the same point.
 *
 *   tokens    E = (1 - alpha^(k + 1)) / (1 - alpha), which a step of a sequence gives where every draft stays with the
 *             probability alpha (Leviathan et al. 2023, equation 1): kv_speculation_tokens. alpha is that of the rows, of
 *             all places together; a lookup that finds nothing drafts fewer than k, which E does not know
 *   verify    time of running and judging k + 1 positions, over that of a plain step, within rounds
 *   draft     time of drafting k tokens, over the same
 *   foretold  E / (verify + draft), how many times as fast tokens come: theorem 3.8 there, where verify is 1. A batch goes
 *             on until its last sequence has all its tokens, which is not in it
 *   gain      the same as measured, within rounds */
#ifndef KV_RESULTS_SPECULATION_H
#define KV_RESULTS_SPECULATION_H

#include "results/results.h"
#include "results/table.h"

#define KV_SPECULATE_SUITE "speculate"
#define KV_COPY_SUITE      "copy" /* of a text that is given */

struct kv_speculated {
    const struct kv_cell_results
        *base;                     /* plain steps; NULL: not measured, or the cell is none of the suite that drafts */
    struct kv_speculate_name name; /* of the cell's; `model` points into its text */
    double alpha, step_tokens;     /* as measured; NaN: nothing was judged */
    double tokens, verify, draft, foretold;
    double gain;
    struct kv_stats_interval interval; /* of the gain; NaN: too few rounds */
    size_t n_rounds;
};

/* A cell of these suites, plain steps among them. */
bool kv_is_of_speculation(const struct kv_cell_results *cell);
/* Errors: MEMORY. */
kv_status kv_speculated_of(const struct kv_results *results, const struct kv_cell_results *cell,
                           struct kv_speculated *speculated, struct kv_error *error);
/* Whether no other cell that drafts as `cell`, s, does at its point is faster, however many tokens they draft; *n is how
 * many there are. Errors: MEMORY. */
kv_status kv_speculated_is_fastest(const struct kv_results *results, const struct kv_cell_results *cell,
                                   const struct kv_speculated *s, bool *is_fastest, size_t *n, struct kv_error *error);
/* In a table: of TTPT_MS the gain, DECODE_TOK_S what is foretold of it, STEP_TOKENS E, VERIFY_MS and DRAFT_MS their
 * costs in plain steps. (tables_precision.c) Errors: MEMORY. */
kv_status kv_table_add_speculated(struct kv_table *table, const struct kv_results *results,
                                  const struct kv_cell_results *cell, enum kv_column column, bool page,
                                  struct kv_error *error);
/* For programs: "gain". */
const char *kv_speculated_column_name(enum kv_column column);
/* Whether both draft in the same way, however many tokens. */
bool kv_speculated_alike(const struct kv_speculated *a, const struct kv_speculated *b);

#endif
