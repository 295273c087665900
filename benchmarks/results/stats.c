/* Moments, order statistics and the Mann-Whitney U test: what needs no working memory. */
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

/* ---- Rank test ---------------------------------------------------------------------------------- */

/* What the ranks of the pooled sample say. */
struct ranking {
    double u;
    double ties; /* sum of t^3 - t over the groups of equal values */
};

static size_t run_length(const double *sorted, size_t n, double value)
{
    size_t length = 0;
    while (length < n && sorted[length] == value)
        length++;
    return length;
}

/* Merges the two sorted samples group by group of equal values. */
static struct ranking rank_pooled(const double *a, size_t n_a, const double *b, size_t n_b)
{
    struct ranking ranking = {0, 0};
    size_t i = 0;
    size_t j = 0;
    while (i < n_a || j < n_b) {
        const double value = j == n_b || (i < n_a && a[i] < b[j]) ? a[i] : b[j];
        const size_t in_a = run_length(a + i, n_a - i, value);
        const size_t in_b = run_length(b + j, n_b - j, value);
        const double t = (double)(in_a + in_b);
        ranking.u += (double)in_a * ((double)j + 0.5 * (double)in_b);
        ranking.ties += t * t * t - t;
        i += in_a;
        j += in_b;
    }
    return ranking;
}

/* P(U <= u) for samples of m and n values without ties. Of the orders of i and j values, the count with U = u is
 * count(i, j, u) = count(i - 1, j, u - j) + count(i, j - 1, u): the largest value is of the first sample, above
 * all j of the second, or it is of the second. All counts are at most C(40, 20) < 2^53, so the sums are exact. */
static double exact_lower_tail(size_t m, size_t n, size_t u)
{
    double count[KV_STATS_EXACT_MAX + 1][KV_STATS_EXACT_MAX * KV_STATS_EXACT_MAX + 1] = {{0}};
    for (size_t i = 0; i <= m; i++)
        count[i][0] = 1;
    for (size_t j = 1; j <= n; j++)
        for (size_t i = 1; i <= m; i++)
            for (size_t v = j; v <= i * j; v++)
                count[i][v] += count[i - 1][v - j];

    double tail = 0;
    double all = 0;
    for (size_t v = 0; v <= m * n; v++) {
        tail += v <= u ? count[m][v] : 0;
        all += count[m][v];
    }
    return tail / all;
}

static double exact_p(double u, size_t n_a, size_t n_b)
{
    const double smaller = fmin(u, (double)(n_a * n_b) - u);
    return fmin(1, 2 * exact_lower_tail(n_a, n_b, (size_t)smaller));
}

static double approximate_p(struct ranking ranking, size_t n_a, size_t n_b)
{
    const double pairs = (double)n_a * (double)n_b;
    const double total = (double)n_a + (double)n_b;
    const double variance = pairs / 12 * (total + 1 - ranking.ties / (total * (total - 1)));
    const double distance = fabs(ranking.u - pairs / 2) - 0.5;
    /* Here too when all values are equal, and the variance is 0: u is then its mean. */
    if (distance <= 0)
        return 1;
    return erfc(distance / sqrt(2 * variance));
}

struct kv_stats_rank_test kv_stats_mann_whitney(const double *a, size_t n_a, const double *b, size_t n_b)
{
    if (!sorted_is_known(a, n_a) || !sorted_is_known(b, n_b))
        return (struct kv_stats_rank_test){NAN, NAN, false};
    const struct ranking ranking = rank_pooled(a, n_a, b, n_b);
    const bool exact = ranking.ties == 0 && n_a <= KV_STATS_EXACT_MAX && n_b <= KV_STATS_EXACT_MAX;
    return (struct kv_stats_rank_test){
        .u = ranking.u,
        .p = exact ? exact_p(ranking.u, n_a, n_b) : approximate_p(ranking, n_a, n_b),
        .exact = exact,
    };
}
