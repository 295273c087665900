/* Percentile bootstrap of the median, and of a ratio of medians. */
#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TAIL 0.025

/* A sample to draw from: a resample is how often each of the sorted values was drawn, so that its median is
 * found by counting up to the middle, and no resample has to be sorted. */
struct urn {
    double *sorted;
    uint32_t *drawn;
    size_t n;
};

static void urn_free(struct urn *urn)
{
    free(urn->sorted);
    free(urn->drawn);
}

static bool urn_create(struct urn *urn, const double *values, size_t n)
{
    *urn = (struct urn){calloc(n, sizeof *urn->sorted), calloc(n, sizeof *urn->drawn), n};
    if (!urn->sorted || !urn->drawn)
        return false;
    memcpy(urn->sorted, values, n * sizeof *values);
    kv_stats_sort(urn->sorted, n);
    return true;
}

static double urn_resampled_median(struct urn *urn, struct kv_stats_random *random)
{
    const size_t n = urn->n;
    memset(urn->drawn, 0, n * sizeof *urn->drawn);
    for (size_t i = 0; i < n; i++)
        urn->drawn[kv_stats_random_below(random, (uint32_t)n)]++;

    size_t lower = 0;
    size_t seen = urn->drawn[0];
    while (seen <= (n - 1) / 2)
        seen += urn->drawn[++lower];
    size_t upper = lower;
    while (seen <= n / 2)
        seen += urn->drawn[++upper];
    return urn->sorted[lower] + 0.5 * (urn->sorted[upper] - urn->sorted[lower]);
}

static bool all_within(const double *values, size_t n, double low, double high)
{
    for (size_t i = 0; i < n; i++)
        if (!(values[i] > low && values[i] < high))
            return false;
    return true;
}

static kv_status check_sizes(size_t n_a, size_t n_b, size_t resamples, struct kv_error *error)
{
    if (resamples == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "a bootstrap interval needs resamples: ask for 1000 or more");
    if (n_a > UINT32_MAX || n_b > UINT32_MAX)
        return kv_fail(error, KV_ERROR_ARGUMENT, "a sample of %zu values is too large for the bootstrap: take fewer",
                       n_a > n_b ? n_a : n_b);
    return KV_OK;
}

/* denominator NULL: the median of the numerator alone. */
static kv_status bootstrap(struct urn *numerator, struct urn *denominator, size_t resamples,
                           struct kv_stats_random *random, struct kv_stats_interval *interval, struct kv_error *error)
{
    double *estimates = calloc(resamples, sizeof *estimates);
    if (!estimates)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu bootstrap resamples: ask for fewer", resamples);
    for (size_t i = 0; i < resamples; i++) {
        estimates[i] = urn_resampled_median(numerator, random);
        if (denominator)
            estimates[i] /= urn_resampled_median(denominator, random);
    }
    kv_stats_sort(estimates, resamples);
    interval->low = kv_stats_quantile(estimates, resamples, TAIL);
    interval->high = kv_stats_quantile(estimates, resamples, 1 - TAIL);
    free(estimates);
    return KV_OK;
}

kv_status kv_stats_median_interval(const double *values, size_t n, size_t resamples, struct kv_stats_random *random,
                                   struct kv_stats_interval *interval, struct kv_error *error)
{
    *interval = (struct kv_stats_interval){NAN, NAN};
    kv_status status = check_sizes(n, n, resamples, error);
    if (status != KV_OK || n < 2 || !all_within(values, n, -INFINITY, INFINITY))
        return status;

    struct urn urn;
    if (urn_create(&urn, values, n))
        status = bootstrap(&urn, NULL, resamples, random, interval, error);
    else
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to resample %zu values: take fewer", n);
    urn_free(&urn);
    return status;
}

kv_status kv_stats_median_ratio_interval(const double *numerator, size_t n_numerator, const double *denominator,
                                         size_t n_denominator, size_t resamples, struct kv_stats_random *random,
                                         struct kv_stats_interval *interval, struct kv_error *error)
{
    *interval = (struct kv_stats_interval){NAN, NAN};
    kv_status status = check_sizes(n_numerator, n_denominator, resamples, error);
    if (status != KV_OK || n_numerator < 2 || n_denominator < 2 || !all_within(numerator, n_numerator, 0, INFINITY) ||
        !all_within(denominator, n_denominator, 0, INFINITY))
        return status;

    struct urn above = {0};
    struct urn below = {0};
    if (urn_create(&above, numerator, n_numerator) && urn_create(&below, denominator, n_denominator))
        status = bootstrap(&above, &below, resamples, random, interval, error);
    else
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to resample %zu and %zu values: take fewer", n_numerator,
                         n_denominator);
    urn_free(&above);
    urn_free(&below);
    return status;
}
