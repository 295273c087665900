/* Models for what is generated from them, not for how: an urn, which draws every token from the same probabilities,
 * and a small random model on bytes. Both are built into a checkpoint, for checkpoint_write. */
#ifndef KV_TESTS_URN_H
#define KV_TESTS_URN_H

#include "checkpoint.h"

/* A token of the urn; with temperature 1 its share is exp(logit) over the sum of all. */
struct urn_token {
    int32_t id;
    float logit;
};

/* Tokens that are not named have no chance to be drawn. */
void build_urn(struct checkpoint *c, int vocab_size, int n_positions, const struct urn_token *tokens, size_t n_tokens);

void build_byte_model(struct checkpoint *c, int n_positions);

#endif
