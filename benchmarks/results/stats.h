/* Statistics of small samples of measurements: order statistics, spread, bootstrap intervals, a rank test.
 *
 * In every function:
 *   samples        arrays of double in any one unit; the results are in that unit. Never changed, but by
 *                  kv_stats_sort. `sorted` means: as kv_stats_sort left it
 *   unknown        NaN. An empty sample has no value of any kind; one value alone has no spread (never 0); a
 *                  sample that holds a NaN or an infinity makes every result NaN
 *   errors         only what needs working memory returns a kv_status; its results are NaN after an error
 *   thread safety  no state but what is passed in: distinct arguments, distinct threads
 *   repeatability  the same samples give the same bits on one machine: nothing is drawn
 */
#ifndef KV_RESULTS_STATS_H
#define KV_RESULTS_STATS_H

#include "kvbench.h"

/* ---- Moments ------------------------------------------------------------------------------------ */

double kv_stats_mean(const double *values, size_t n);

/* sqrt(sum (x - mean)^2 / (n - 1)) by the two-pass algorithm, which does not cancel (Chan, Golub &
 * LeVeque 1983). n = 1: NaN. */
double kv_stats_standard_deviation(const double *values, size_t n);

/* Standard deviation / mean, as a fraction. NaN unless the mean is positive. */
double kv_stats_coefficient_of_variation(const double *values, size_t n);

/* exp(mean(log x)). NaN unless every value is positive. */
double kv_stats_geometric_mean(const double *values, size_t n);

/* ---- Order statistics --------------------------------------------------------------------------- */

/* Ascending in place, NaNs last. */
void kv_stats_sort(double *values, size_t n);

/* Type 7 of Hyndman & Fan 1996, the default of R and NumPy: with h = (n - 1) p and j = floor(h), the value
 * x[j] + (h - j) (x[j + 1] - x[j]). NaN unless 0 <= p <= 1. */
double kv_stats_quantile(const double *sorted, size_t n, double p);

/* The middle value, or the mean of the two in the middle: kv_stats_quantile at 0.5. */
double kv_stats_median(const double *sorted, size_t n);

/* Median absolute deviation, median |x - median|, raw: times 1.4826 it estimates the standard deviation of a
 * normal distribution (Hampel 1974). n = 1: NaN. */
double kv_stats_median_absolute_deviation(const double *sorted, size_t n);

/* Values beyond the fences of Tukey 1977, Q1 - k IQR and Q3 + k IQR, with type 7 quartiles: mild beyond
 * k = 1.5, extreme beyond k = 3. A value on a fence is inside it. A sample with an unknown value counts none. */
struct kv_stats_outliers {
    size_t low_extreme;
    size_t low_mild;
    size_t high_mild;
    size_t high_extreme;
};
struct kv_stats_outliers kv_stats_tukey_outliers(const double *sorted, size_t n);

/* ---- Bootstrap ---------------------------------------------------------------------------------- */

struct kv_stats_interval {
    double low;
    double high;
};

/* The most values of a sample of an interval. */
#define KV_STATS_BOOTSTRAP_MAX 10000

/* 95 % percentile interval of the median (Efron & Tibshirani 1993, section 13.3), counted and not drawn: the ends are
 * those that ever more resamples come to (bootstrap.c has the formulas). n = 1: NaN. Below n = 6 the truth lies outside
 * even [min, max] with a probability of 2^(1 - n), more than 5 %: such an interval promises less than its name.
 * Errors: ARGUMENT (more than KV_STATS_BOOTSTRAP_MAX values), MEMORY. */
kv_status kv_stats_bootstrap_median(const double *sorted, size_t n, struct kv_stats_interval *interval,
                                    struct kv_error *error);

/* The same of median(numerator) / median(denominator), both sorted, each resampled on its own. Either n = 1, or a value
 * that is not positive: NaN. Errors: ARGUMENT, MEMORY. */
kv_status kv_stats_bootstrap_ratio(const double *numerator, size_t n_numerator, const double *denominator,
                                   size_t n_denominator, struct kv_stats_interval *interval, struct kv_error *error);

/* ---- Rank test ---------------------------------------------------------------------------------- */

/* Largest sample for which the exact distribution of U is counted. */
#define KV_STATS_EXACT_MAX 20

struct kv_stats_rank_test {
    double u;   /* pairs (a, b) with a > b, a pair of equals counting one half: 0..n_a n_b */
    double p;   /* two-sided, 0..1 */
    bool exact; /* false: the normal approximation */
};

/* Mann-Whitney U test, of two sorted samples, of "a value of a is as likely above as below a value of b".
 *   exact          no value occurs twice and both samples have at most KV_STATS_EXACT_MAX values:
 *                  p = 2 P(U <= min(u, n_a n_b - u)), at most 1, counted by the recurrence of Mann & Whitney 1947
 *   approximation  otherwise: z = (|u - n_a n_b / 2| - 1/2) / s, not below 0, and p = erfc(z / sqrt 2), where
 *                  s^2 = n_a n_b / 12 (N + 1 - sum (t^3 - t) / (N (N - 1))), N = n_a + n_b and t runs over the
 *                  sizes of the groups of equal values (Lehmann 1975, section 1.4); all values equal: p = 1
 * Either sample empty: u and p are NaN. */
struct kv_stats_rank_test kv_stats_mann_whitney(const double *a, size_t n_a, const double *b, size_t n_b);

#endif
