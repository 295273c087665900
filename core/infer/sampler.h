/* The pieces of a draw, for who needs the probabilities too: speculate.c. */
#ifndef KV_INFER_SAMPLER_H
#define KV_INFER_SAMPLER_H

#include "kvbench.h"

struct kv_candidate {
    float value; /* the logit, later the weight */
    int32_t id;
};

/* Candidates that kv_sampler_weigh needs room for. */
int kv_sampler_room(const struct kv_sampler *sampler);

/* c [n] = what top-k and top-p leave of logits [V], with their weights, whose sum is *sum: the probability of c[i] is
 * c[i].value / *sum. Returns n; 0: no logit is above -inf, -1: one is +inf or not a number. */
int kv_sampler_weigh(const struct kv_sampler *sampler, const float *logits, struct kv_candidate *c, double *sum);

/* The token of c [n >= 1] that row b draws in that step: of what kv_sampler_weigh left of a row's logits it is that of
 * kv_sampler_select. */
int32_t kv_sampler_race(const struct kv_sampler *sampler, int b, int64_t step, const struct kv_candidate *c, int n);

/* A number between 0 and 1 of row b and that step, which no token's is: draw number V of their key. */
double kv_sampler_uniform(const struct kv_sampler *sampler, int b, int64_t step);

#endif
