/* What draws of tokens are to be, and whether they are: by chi-square, above the quantile that chance alone exceeds once in
 * a million times. */
#ifndef KV_TESTS_DISTRIBUTION_H
#define KV_TESTS_DISTRIBUTION_H

#include "kvbench.h"

/* The quantile of chi-square that is exceeded with probability 1e-6 (4.7534 standard deviations of a normal), in
 * the cube-root approximation of Wilson & Hilferty (1931), here up to 15 % too high with 1 degree of freedom, 3 % with
 * 10, and less with more. */
double critical_value(int n_freedom);

/* probabilities [V], 0 for what is left out: by sorting, in double */
void expect_draws(struct kv_sampling sampling, const float *logits, int V, double *probabilities);

/* Fails unless counts [n] of n_draws are what probabilities [n] let expect. Cells below 5 are merged. */
void assert_distribution(const int *counts, const double *probabilities, int n, int n_draws);

#endif
