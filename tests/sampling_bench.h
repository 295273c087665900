/* What the tests of sampling share. */
#ifndef KV_TESTS_SAMPLING_BENCH_H
#define KV_TESTS_SAMPLING_BENCH_H

#include "support.h"

/* Both fail the running test when they cannot. */
struct kv_sampler *open_sampler(struct kv_sampling sampling, int vocab_size, int batch);
void select_ok(struct kv_sampler *sampler, const float *logits, int32_t *tokens);

/* logits [V] of about normal distribution, as those of a model are */
void fill_logits(float *logits, int V, float deviation, uint64_t seed);

#endif
