/* Which configurations of the sides belong together. */
#ifndef KV_RESULTS_SIDES_H
#define KV_RESULTS_SIDES_H

#include "results/compare.h"

/* Fills comparison->sides, whose settings are set. Errors: ARGUMENT, MEMORY. */
kv_status kv_sides_find(struct kv_comparison *comparison, const struct kv_measurements *base,
                        const struct kv_measurements *other, struct kv_error *error);
bool kv_side_has(const struct kv_comparison *comparison, const struct kv_side *side,
                 const struct kv_arm *configuration);

/* Fills comparison->pairs and comparison->unmatched. Errors: ARGUMENT, MEMORY. */
kv_status kv_pairs_find(struct kv_comparison *comparison, struct kv_error *error);

#endif
