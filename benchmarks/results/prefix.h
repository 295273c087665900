/* What a shared prefix gains: a cell of suite prefix, held against the one at the same point that shares nothing.
 *
 *   share    tokens of the prompt that all sequences have in common, of all of it
 *   gain     how many times as soon the first token is there, within rounds
 *   bound    B / (share + B (1 - share)): the positions that B sequences run without it, over those with it; towards
 *            1 / (1 - share) with the batch. Attention and weights, which do not shrink with it, are not in it */
#ifndef KV_RESULTS_PREFIX_H
#define KV_RESULTS_PREFIX_H

#include "results/results.h"

struct kv_prefix {
    const struct kv_cell_results *base; /* that shares nothing; NULL: not measured, or the cell is none of the suite */
    double share, gain, bound;
    struct kv_stats_interval interval; /* of the gain; NaN: too few rounds */
    enum kv_effect_verdict verdict;
    size_t n_rounds;
};

/* Errors: MEMORY. */
kv_status kv_prefix_of(const struct kv_results *results, const struct kv_cell_results *cell, struct kv_prefix *prefix,
                       struct kv_error *error);

#endif
