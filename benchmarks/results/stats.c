/* Moments, order statistics and the interval of a median. */
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

/* Fewest values of which an interval of 95 % has ends. */
#define LEAST_FOR_95 6

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

/* ---- The interval of a median -------------------------------------------------------------------- */

/* How many of the other values are below, equal ones counting one half; less their mean. */
static double centred_rank(const double *values, size_t n, size_t i)
{
    double rank = -0.5 * (double)n;
    for (size_t k = 0; k < n; k++)
        rank += values[k] < values[i] ? 1 : values[k] == values[i] ? 0.5 : 0;
    return rank;
}

double kv_stats_dependence(const double *values, size_t n)
{
    double products = 0, squares = 0, before = 0;
    if (n < LEAST_FOR_95)
        return 1;
    for (size_t i = 0; i < n; i++) {
        const double rank = centred_rank(values, n, i);
        products += i ? before * rank : 0;
        squares += rank * rank;
        before = rank;
    }
    const double m = (double)n, r = squares > 0 ? (products / squares + 1 / m) / (1 - 4 / m) : 0;
    const double held = fmin(fmax(r, 0), 0.8);
    return sqrt((1 + held) / (1 - held));
}

struct kv_stats_interval kv_stats_median_interval(const double *sorted, size_t n, double dependence)
{
    if (n < 2 || !sorted_is_known(sorted, n) || !(sorted[0] > 0))
        return (struct kv_stats_interval){NAN, NAN};
    /* P(Binomial(n, 1/2) < k), by logarithms for large n */
    size_t k = 0;
    double below = 0, term = -(double)n * log(2);
    while (2 * (below += exp(term)) <= 0.05) {
        term += log((double)(n - k) / (double)(k + 1));
        k++;
    }
    k = k ? k : 1;
    const double median = kv_stats_median(sorted, n);
    const double deviation = 1.4826 * kv_stats_median_absolute_deviation(sorted, n) / median;
    const double away = dependence > 1 ? dependence * 1.96 * 1.2533 * deviation / sqrt((double)n) : 0;
    return (struct kv_stats_interval){fmin(sorted[k - 1], median * exp(-away)),
                                      fmax(sorted[n - k], median * exp(away))};
}

/* ---- The difference of two means ------------------------------------------------------------------ */

/* Of cos(x)^power from 0 to `end`, by Simpson's rule. */
static double integral_of_cosine(double power, double end)
{
    enum { STEPS = 400 };
    double sum = 0;
    for (int i = 0; i <= STEPS; i++) {
        const double weight = i == 0 || i == STEPS ? 1 : i % 2 ? 4 : 2;
        sum += weight * pow(fmax(cos(end * i / STEPS), 0), power);
    }
    return sum * end / (3 * STEPS);
}

double kv_stats_student(double freedom, double level)
{
    if (!(freedom >= 1 && level > 0 && level < 1))
        return NAN;
    /* nothing of it is left beyond 12 standard deviations */
    const double end = fmin(acos(0), 12 / sqrt(freedom)), wanted = (1 - level) * integral_of_cosine(freedom - 1, end);
    double low = 0, high = end;
    for (int i = 0; i < 50; i++) {
        const double middle = (low + high) / 2;
        if (integral_of_cosine(freedom - 1, middle) < wanted)
            low = middle;
        else
            high = middle;
    }
    return sqrt(freedom) * tan((low + high) / 2);
}

struct kv_stats_interval kv_stats_difference(const double *a, size_t n_a, const double *b, size_t n_b)
{
    if (n_a < 2 || n_b < 2)
        return (struct kv_stats_interval){NAN, NAN};
    const double difference = kv_stats_mean(b, n_b) - kv_stats_mean(a, n_a);
    const double part_a = pow(kv_stats_standard_deviation(a, n_a), 2) / (double)n_a;
    const double part_b = pow(kv_stats_standard_deviation(b, n_b), 2) / (double)n_b, variance = part_a + part_b;
    const double freedom = variance * variance /
                           (part_a * part_a / (double)(n_a - 1) + part_b * part_b / (double)(n_b - 1));
    const double half = variance > 0 ? kv_stats_student(freedom, 0.05) * sqrt(variance) : variance;
    return (struct kv_stats_interval){difference - half, difference + half};
}
