/* 95 % bootstrap intervals without drawing: of a median the bootstrap distribution is known in closed form (Efron 1979,
 * section 3; Maritz & Jarrett 1978), so that what a resampling program gives with ever more resamples is counted here.
 * It takes microseconds, and has no seed.
 *
 * With ranks 1..n of the sorted sample and i <= j, a resample has its k-th smallest value at most at rank i with
 *   P(X(k) <= i) = P(Binomial(n, i / n) >= k),
 * which for odd n is the whole answer (k = (n + 1) / 2). For even n = 2 k the median is the mean of X(k) and X(k + 1):
 *   P(X(k) = i, X(k+1) = j) = C(n, k) ((i/n)^k - ((i-1)/n)^k) (((n-j+1)/n)^k - ((n-j)/n)^k)   for i < j
 *   P(X(k) = X(k+1) = i)    = P(X(k) = i) - sum of the above over j > i */
#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

#define TAIL 0.025
/* Sums of probabilities are exact to about this. */
#define ROUNDING 1e-12
/* Between neighbours X(k) and X(k + 1) lie g ranks with a probability of about e^-g. */
#define MAX_GAP 45

/* A value that the median of a resample can have. */
struct step {
    double value, p;
};

struct distribution {
    struct step *steps; /* [n_steps], ascending */
    size_t n_steps;
};

static double log_choose(double n, double k)
{
    int sign;
    return lgamma_r(n + 1, &sign) - lgamma_r(k + 1, &sign) - lgamma_r(n - k + 1, &sign);
}

/* P(Binomial(n, i / n) >= k) */
static double at_most(size_t i, size_t n, size_t k)
{
    const double q = (double)i / (double)n;
    if (i == 0 || i == n)
        return i == n;
    double term = exp(log_choose((double)n, (double)k) + (double)k * log(q) + (double)(n - k) * log1p(-q));
    double sum = term;
    for (size_t m = k; m < n; m++)
        sum += term *= (double)(n - m) / (double)(m + 1) * q / (1 - q);
    return fmin(sum, 1);
}

/* sqrt(C(n, k)) ((i/n)^k - ((i-1)/n)^k): two of these make the probability of a pair, and neither overflows. */
static double half_pair(size_t i, size_t n, double half_log)
{
    const double k = (double)n / 2;
    return exp(half_log + k * log((double)i / (double)n)) -
           (i > 1 ? exp(half_log + k * log((double)(i - 1) / (double)n)) : 0);
}

/* Ranks that the middle of a resample can have: beyond 4 sqrt(n) of the middle, with probability below 1e-13. */
static void window(size_t n, size_t *first, size_t *last)
{
    const size_t reach = (size_t)(4 * sqrt((double)n)) + 1, k = (n + 1) / 2;
    *first = k > reach ? k - reach : 1;
    *last = k + 1 + reach < n ? k + 1 + reach : n;
}

static void add_pairs(struct distribution *d, const double *sorted, size_t n, size_t i, size_t last, double p_i)
{
    const size_t k = n / 2;
    const double half_log = 0.5 * log_choose((double)n, (double)k), left = half_pair(i, n, half_log);
    const double above = i < n ? exp(half_log + (double)k * log((double)(n - i) / (double)n)) : 0;
    d->steps[d->n_steps++] = (struct step){sorted[i - 1], fmax(0, p_i - left * above)};
    for (size_t j = i + 1; j <= last && j <= i + MAX_GAP; j++)
        d->steps[d->n_steps++] = (struct step){sorted[i - 1] + 0.5 * (sorted[j - 1] - sorted[i - 1]),
                                               left * half_pair(n + 1 - j, n, half_log)};
}

static int compare_steps(const void *left, const void *right)
{
    const struct step *a = left, *b = right;
    return (a->value > b->value) - (a->value < b->value);
}

static kv_status distribute(struct distribution *d, const double *sorted, size_t n, struct kv_error *error)
{
    size_t first, last;
    window(n, &first, &last);
    const size_t n_ranks = last - first + 1;
    *d = (struct distribution){calloc(n_ranks * (n % 2 ? 1 : 1 + MAX_GAP), sizeof *d->steps), 0};
    if (!d->steps)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the interval of %zu values: take fewer", n);
    double below = at_most(first - 1, n, (n + 1) / 2);
    for (size_t i = first; i <= last; i++) {
        const double up_to = at_most(i, n, (n + 1) / 2);
        if (n % 2)
            d->steps[d->n_steps++] = (struct step){sorted[i - 1], up_to - below};
        else
            add_pairs(d, sorted, n, i, last, up_to - below);
        below = up_to;
    }
    if (n % 2 == 0)
        qsort(d->steps, d->n_steps, sizeof *d->steps, compare_steps);
    return KV_OK;
}

static double quantile(const struct distribution *d, double p)
{
    double sum = 0;
    for (size_t i = 0; i < d->n_steps; i++)
        if ((sum += d->steps[i].p) >= p - ROUNDING)
            return d->steps[i].value;
    return d->steps[d->n_steps - 1].value;
}

/* P(a / b <= ratio): as a grows, so does the least b that is enough. */
static double ratio_at_most(const struct distribution *a, const struct distribution *b, double ratio)
{
    double sum = 0, enough = 1;
    for (size_t i = 0, j = 0; i < a->n_steps; i++) {
        for (; j < b->n_steps && a->steps[i].value > ratio * b->steps[j].value; j++)
            enough -= b->steps[j].p;
        if (j == b->n_steps)
            break;
        sum += a->steps[i].p * enough;
    }
    return sum;
}

static double ratio_quantile(const struct distribution *a, const struct distribution *b, double p)
{
    double low = a->steps[0].value / b->steps[b->n_steps - 1].value;
    double high = a->steps[a->n_steps - 1].value / b->steps[0].value;
    if (ratio_at_most(a, b, low) >= p - ROUNDING)
        return low;
    for (double middle; middle = low + 0.5 * (high - low), middle > low && middle < high;)
        if (ratio_at_most(a, b, middle) >= p - ROUNDING)
            high = middle;
        else
            low = middle;
    return high;
}

static bool within(const double *sorted, size_t n, double low, double high)
{
    return n > 1 && sorted[0] > low && sorted[n - 1] < high;
}

static kv_status check_size(size_t n, struct kv_error *error)
{
    return n <= KV_STATS_BOOTSTRAP_MAX ? KV_OK
                                       : kv_fail(error, KV_ERROR_ARGUMENT,
                                                 "a sample of %zu values is too large for a bootstrap interval: take "
                                                 "%d or fewer",
                                                 n, KV_STATS_BOOTSTRAP_MAX);
}

kv_status kv_stats_bootstrap_median(const double *sorted, size_t n, struct kv_stats_interval *interval,
                                    struct kv_error *error)
{
    *interval = (struct kv_stats_interval){NAN, NAN};
    struct distribution d;
    kv_status status = check_size(n, error);
    if (status || !within(sorted, n, -INFINITY, INFINITY))
        return status;
    status = distribute(&d, sorted, n, error);
    if (!status)
        *interval = (struct kv_stats_interval){quantile(&d, TAIL), quantile(&d, 1 - TAIL)};
    free(d.steps);
    return status;
}

kv_status kv_stats_bootstrap_ratio(const double *numerator, size_t n_numerator, const double *denominator,
                                   size_t n_denominator, struct kv_stats_interval *interval, struct kv_error *error)
{
    *interval = (struct kv_stats_interval){NAN, NAN};
    struct distribution a, b = {0};
    kv_status status = check_size(n_numerator > n_denominator ? n_numerator : n_denominator, error);
    if (status || !within(numerator, n_numerator, 0, INFINITY) || !within(denominator, n_denominator, 0, INFINITY))
        return status;
    status = distribute(&a, numerator, n_numerator, error);
    if (!status)
        status = distribute(&b, denominator, n_denominator, error);
    if (!status)
        *interval = (struct kv_stats_interval){ratio_quantile(&a, &b, TAIL), ratio_quantile(&a, &b, 1 - TAIL)};
    free(a.steps);
    free(b.steps);
    return status;
}
