/* Moments and order statistics: what needs no working memory. */
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

static bool all_finite(const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            return false;
    return true;
}

/* The sort puts what is not finite at the ends, so that the ends answer for all. */
static bool sorted_is_known(const double *sorted, size_t n)
{
    return n > 0 && isfinite(sorted[0]) && isfinite(sorted[n - 1]);
}

double kv_stats_mean(const double *values, size_t n)
{
    if (n == 0 || !all_finite(values, n))
        return NAN;
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    return sum / (double)n;
}

double kv_stats_standard_deviation(const double *values, size_t n)
{
    const double mean = kv_stats_mean(values, n);
    if (n < 2 || isnan(mean))
        return NAN;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - mean) * (values[i] - mean);
    return sqrt(squares / (double)(n - 1));
}

double kv_stats_coefficient_of_variation(const double *values, size_t n)
{
    const double mean = kv_stats_mean(values, n);
    return mean > 0 ? kv_stats_standard_deviation(values, n) / mean : NAN;
}

double kv_stats_geometric_mean(const double *values, size_t n)
{
    if (n == 0 || !all_finite(values, n))
        return NAN;
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (values[i] <= 0)
            return NAN;
        sum += log(values[i]);
    }
    return exp(sum / (double)n);
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left;
    const double b = *(const double *)right;
    if (isnan(a) || isnan(b))
        return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

void kv_stats_sort(double *values, size_t n)
{
    if (n > 1)
        qsort(values, n, sizeof *values, compare_doubles);
}

double kv_stats_quantile(const double *sorted, size_t n, double p)
{
    if (!sorted_is_known(sorted, n) || !(p >= 0 && p <= 1))
        return NAN;
    const double h = (double)(n - 1) * p;
    const size_t j = (size_t)h;
    if (j + 1 >= n)
        return sorted[n - 1];
    return sorted[j] + (h - (double)j) * (sorted[j + 1] - sorted[j]);
}

double kv_stats_median(const double *sorted, size_t n)
{
    return kv_stats_quantile(sorted, n, 0.5);
}

double kv_stats_median_absolute_deviation(const double *sorted, size_t n)
{
    if (n < 2 || !sorted_is_known(sorted, n))
        return NAN;
    const double median = kv_stats_median(sorted, n);
    /* Deviations grow to both sides of the middle: merging the two runs gives them in order, without a copy. */
    size_t below = n / 2;
    size_t above = n / 2;
    double previous = 0;
    double deviation = 0;
    for (size_t rank = 0; rank <= n / 2; rank++) {
        previous = deviation;
        const bool take_below = below > 0 && (above == n || median - sorted[below - 1] < sorted[above] - median);
        deviation = take_below ? median - sorted[--below] : sorted[above++] - median;
    }
    return n % 2 ? deviation : previous + 0.5 * (deviation - previous);
}

struct kv_stats_outliers kv_stats_tukey_outliers(const double *sorted, size_t n)
{
    struct kv_stats_outliers count = {0};
    if (!sorted_is_known(sorted, n))
        return count;
    const double q1 = kv_stats_quantile(sorted, n, 0.25);
    const double q3 = kv_stats_quantile(sorted, n, 0.75);
    const double iqr = q3 - q1;
    for (size_t i = 0; i < n; i++) {
        if (sorted[i] < q1 - 3 * iqr)
            count.low_extreme++;
        else if (sorted[i] < q1 - 1.5 * iqr)
            count.low_mild++;
        else if (sorted[i] > q3 + 3 * iqr)
            count.high_extreme++;
        else if (sorted[i] > q3 + 1.5 * iqr)
            count.high_mild++;
    }
    return count;
}
