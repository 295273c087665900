/* What came next the last time: drafts from a sequence's own tokens (prompt lookup; Saxena 2023), without a model. */
#ifndef KV_INFER_LOOKUP_H
#define KV_INFER_LOOKUP_H

#include "kvbench.h"

/* Of one sequence; memory is the caller's. */
struct kv_lookup {
    const int32_t *tokens; /* [n] */
    int n;
    int32_t *matches; /* [i] for i in 0..n: how many tokens before place i are those before place n */
};

/* tokens[n], which stands there, is one more: O(n), and no allocation. */
void kv_lookup_push(struct kv_lookup *lookup);

/* drafts [<= most]: what stood behind the longest run of tokens, earlier in the sequence, that is the one at its end;
 * of equally long ones behind the last. No more than the run is long: a long one is likelier to go on. Where what
 * follows the run reaches the end it goes on with itself, as a text of one period does. Returns how many; 0: the last
 * token is new. O(n). */
int kv_lookup_draft(const struct kv_lookup *lookup, int most, int32_t *drafts);

#endif
