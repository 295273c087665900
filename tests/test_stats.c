/* Statistics, against published values and against those of SciPy 1.17.1 and NumPy 2.4.6. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/random.h"
#include "results/stats.h"

#define COUNT(array)                              (sizeof(array) / sizeof *(array))
#define assert_close(actual, expected, tolerance) check_close(actual, expected, tolerance, __LINE__)
#define assert_unknown(actual)                    assert_true(isnan(actual))
#define EXACT                                     (4 * DBL_EPSILON)

static void check_close(double actual, double expected, double tolerance, int line)
{
    if (!(fabs(actual - expected) <= tolerance * fabs(expected)))
        fail_msg("line %d: %.17g instead of %.17g", line, actual, expected);
}

/* ---- Moments ------------------------------------------------------------------------------------ */

/* NIST Statistical Reference Datasets, univariate: a middle value, then `pairs` times middle - 0.1 and + 0.1. */
static size_t nist_numerical_accuracy(double *values, double middle, size_t pairs)
{
    values[0] = middle + 0.2;
    for (size_t i = 0; i < pairs; i++) {
        values[2 * i + 1] = middle + 0.1;
        values[2 * i + 2] = middle + 0.3;
    }
    return 2 * pairs + 1;
}

static void test_moments_nist(void **state)
{
    (void)state;
    static const double accuracy_1[] = {10000001, 10000003, 10000002};
    assert_close(kv_stats_mean(accuracy_1, 3), 10000002, EXACT);
    assert_close(kv_stats_standard_deviation(accuracy_1, 3), 1, EXACT);

    /* NumAcc2, 3 and 4: certified standard deviation 0.1. The values themselves are rounded to a part in 1e16, which
     * leaves 8 digits of the deviation in the last. */
    static const struct {
        double middle;
        double tolerance;
    } cases[] = {{1, 1e-14}, {1e6, 1e-9}, {1e7, 1e-7}};
    double values[1001];
    for (size_t i = 0; i < COUNT(cases); i++) {
        const size_t n = nist_numerical_accuracy(values, cases[i].middle, 500);
        assert_close(kv_stats_mean(values, n), cases[i].middle + 0.2, 1e-14);
        assert_close(kv_stats_standard_deviation(values, n), 0.1, cases[i].tolerance);
    }
}

static void test_moments_scipy(void **state)
{
    (void)state;
    static const double values[] = {3.5, 1.25, 9.75, 2.0, 8.5, 4.125, 7.0, 0.5};
    const size_t n = COUNT(values);
    assert_close(kv_stats_mean(values, n), 4.578125, EXACT);
    assert_close(kv_stats_standard_deviation(values, n), 3.4582571348461477, EXACT);
    assert_close(kv_stats_coefficient_of_variation(values, n), 0.7553872239936978, EXACT);
    assert_close(kv_stats_geometric_mean(values, n), 3.180463742532027, EXACT);
}

static void test_moments_outside_their_domain(void **state)
{
    (void)state;
    static const double centred[] = {-1, 1};
    static const double negative[] = {-3, -1};
    static const double with_zero[] = {0, 2, 8};
    assert_unknown(kv_stats_coefficient_of_variation(centred, 2));
    assert_unknown(kv_stats_coefficient_of_variation(negative, 2));
    assert_unknown(kv_stats_geometric_mean(with_zero, 3));
    assert_close(kv_stats_geometric_mean(with_zero + 1, 2), 4, EXACT);
}

/* ---- Order statistics --------------------------------------------------------------------------- */

static void test_sort(void **state)
{
    (void)state;
    double values[] = {NAN, 3, -INFINITY, NAN, 1, INFINITY, 2, -5};
    static const double expected[] = {-INFINITY, -5, 1, 2, 3, INFINITY};
    kv_stats_sort(values, COUNT(values));
    assert_memory_equal(values, expected, sizeof expected);
    assert_unknown(values[6]);
    assert_unknown(values[7]);
}

static void test_quantiles_type_7(void **state)
{
    (void)state;
    /* numpy.quantile, whose default is type 7. Types 5, 6 and 8 differ in every quartile here. */
    static const double odd[] = {6, 7, 15, 36, 39, 40, 41, 42, 43, 47, 49};
    static const double even[] = {0.5, 1.25, 2.0, 3.5, 4.125, 7.0, 8.5, 9.75};
    static const struct {
        double p, odd, even;
    } cases[] = {{0, 6, 0.5},         {0.05, 6.5, 0.7625}, {0.25, 25.5, 1.8125}, {0.5, 40, 3.8125},
                 {0.75, 42.5, 7.375}, {0.95, 48, 9.3125},  {1, 49, 9.75}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_close(kv_stats_quantile(odd, COUNT(odd), cases[i].p), cases[i].odd, EXACT);
        assert_close(kv_stats_quantile(even, COUNT(even), cases[i].p), cases[i].even, EXACT);
    }
    assert_close(kv_stats_median(odd, COUNT(odd)), 40, 0);
    assert_close(kv_stats_median(even, COUNT(even)), 3.8125, 0);
    assert_unknown(kv_stats_quantile(odd, COUNT(odd), -0.01));
    assert_unknown(kv_stats_quantile(odd, COUNT(odd), 1.01));
    assert_unknown(kv_stats_quantile(odd, COUNT(odd), NAN));
}

static void test_median_absolute_deviation(void **state)
{
    (void)state;
    static const double textbook[] = {1, 1, 2, 2, 4, 6, 9};
    static const double even[] = {0.5, 1.25, 2.0, 3.5, 4.125, 7.0, 8.5, 9.75};
    static const double two[] = {1, 4};
    static const double skewed[] = {1, 10, 11, 12};
    assert_close(kv_stats_median_absolute_deviation(textbook, COUNT(textbook)), 1, 0);
    assert_close(kv_stats_median_absolute_deviation(even, COUNT(even)), 2.875, 0); /* scipy.stats */
    assert_close(kv_stats_median_absolute_deviation(two, 2), 1.5, 0);
    assert_close(kv_stats_median_absolute_deviation(skewed, 4), 1, 0);
}

/* The definition, taken literally: sort the deviations. */
static void test_median_absolute_deviation_by_definition(void **state)
{
    (void)state;
    for (size_t n = 2; n < 40; n++) {
        double values[40];
        double deviations[40];
        for (size_t i = 0; i < n; i++)
            values[i] = (double)(kv_draw64(n, i) % 30);
        kv_stats_sort(values, n);
        for (size_t i = 0; i < n; i++)
            deviations[i] = fabs(values[i] - kv_stats_median(values, n));
        kv_stats_sort(deviations, n);
        assert_close(kv_stats_median_absolute_deviation(values, n), kv_stats_median(deviations, n), EXACT);
    }
}

static void test_tukey_outliers(void **state)
{
    (void)state;
    /* All these samples have Q1 = 25 and Q3 = 75: fences at -50 and 150, and at -125 and 225. */
    const double values[] = {-125.5, 10, 20, 30, 40, 50, 60, 70, 80, 150.5, 225.5};
    const double on_fences[] = {-50, 10, 20, 30, 40, 50, 60, 70, 80, 90, 150};
    struct kv_stats_outliers count = kv_stats_tukey_outliers(values, COUNT(values));
    assert_int_equal(count.low_extreme, 1);
    assert_int_equal(count.low_mild, 0);
    assert_int_equal(count.high_mild, 1);
    assert_int_equal(count.high_extreme, 1);

    count = kv_stats_tukey_outliers(on_fences, COUNT(on_fences));
    assert_int_equal(count.low_extreme + count.low_mild + count.high_mild + count.high_extreme, 0);

    const double on_outer_fences[] = {-125, 10, 20, 30, 40, 50, 60, 70, 80, 90, 225};
    count = kv_stats_tukey_outliers(on_outer_fences, COUNT(on_outer_fences));
    assert_int_equal(count.low_extreme + count.high_extreme, 0);
    assert_int_equal(count.low_mild, 1);
    assert_int_equal(count.high_mild, 1);
}

/* ---- Degenerate samples -------------------------------------------------------------------------- */

static void assert_unknown_interval(const double *sorted, size_t n)
{
    static const double other[] = {1, 2, 3};
    struct kv_stats_interval interval = {0, 0};
    assert_int_equal(kv_stats_bootstrap_median(sorted, n, &interval, NULL), KV_OK);
    assert_unknown(interval.low);
    assert_unknown(interval.high);
    interval = (struct kv_stats_interval){0, 0};
    assert_int_equal(kv_stats_bootstrap_ratio(sorted, n, other, 3, &interval, NULL), KV_OK);
    assert_unknown(interval.low);
    assert_int_equal(kv_stats_bootstrap_ratio(other, 3, sorted, n, &interval, NULL), KV_OK);
    assert_unknown(interval.high);
}

static void assert_all_unknown(const double *sorted, size_t n)
{
    static const double other[] = {1, 2, 3};
    assert_unknown(kv_stats_mean(sorted, n));
    assert_unknown(kv_stats_standard_deviation(sorted, n));
    assert_unknown(kv_stats_coefficient_of_variation(sorted, n));
    assert_unknown(kv_stats_geometric_mean(sorted, n));
    assert_unknown(kv_stats_quantile(sorted, n, 0));
    assert_unknown(kv_stats_median(sorted, n));
    assert_unknown(kv_stats_median_absolute_deviation(sorted, n));
    const struct kv_stats_outliers count = kv_stats_tukey_outliers(sorted, n);
    assert_int_equal(count.low_extreme + count.low_mild + count.high_mild + count.high_extreme, 0);
    assert_unknown_interval(sorted, n);
    assert_unknown(kv_stats_mann_whitney(sorted, n, other, 3).u);
    assert_unknown(kv_stats_mann_whitney(other, 3, sorted, n).p);
}

static void test_no_values_and_unknown_values(void **state)
{
    (void)state;
    static const double with_nan[] = {1, 2, NAN};
    static const double with_infinity[] = {1, 2, INFINITY};
    static const double with_minus_infinity[] = {-INFINITY, 1, 2};
    assert_all_unknown(NULL, 0);
    assert_all_unknown(with_nan, 3);
    assert_all_unknown(with_infinity, 3);
    assert_all_unknown(with_minus_infinity, 3);
}

static void test_one_value_has_no_spread(void **state)
{
    (void)state;
    static const double one[] = {7.25};
    assert_close(kv_stats_mean(one, 1), 7.25, 0);
    assert_close(kv_stats_geometric_mean(one, 1), 7.25, EXACT);
    assert_close(kv_stats_median(one, 1), 7.25, 0);
    assert_close(kv_stats_quantile(one, 1, 0.9), 7.25, 0);
    assert_unknown(kv_stats_standard_deviation(one, 1));
    assert_unknown(kv_stats_coefficient_of_variation(one, 1));
    assert_unknown(kv_stats_median_absolute_deviation(one, 1));
    assert_unknown_interval(one, 1);
}

static void test_all_values_equal(void **state)
{
    (void)state;
    /* A value that has no exact double, so that a careless mean would give a spread. */
    static const double equal[] = {0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1};
    const size_t n = COUNT(equal);
    struct kv_stats_interval interval;
    assert_close(kv_stats_mean(equal, n), 0.1, EXACT);
    assert_true(kv_stats_standard_deviation(equal, n) < 1e-16);
    assert_close(kv_stats_median(equal, n), 0.1, 0);
    assert_true(kv_stats_median_absolute_deviation(equal, n) == 0);
    assert_int_equal(kv_stats_tukey_outliers(equal, n).high_mild, 0);
    assert_int_equal(kv_stats_bootstrap_median(equal, n, &interval, NULL), KV_OK);
    assert_close(interval.low, 0.1, 0);
    assert_close(interval.high, 0.1, 0);
}

/* ---- Bootstrap ---------------------------------------------------------------------------------- */

#define ASSERT_INTERVAL(interval, low_end, high_end, tolerance)                                                        \
    do {                                                                                                               \
        assert_close((interval).low, low_end, tolerance);                                                              \
        assert_close((interval).high, high_end, tolerance);                                                            \
    } while (0)

static void test_intervals_against_numpy(void **state)
{
    (void)state;
    /* P(median* <= x(k)) = P(Binomial(n, k / n) >= (n + 1) / 2): 0.007 at 7, 0.051 at 15, 0.949 at 42, 0.993 at 43. */
    static const double odd[] = {6, 7, 15, 36, 39, 40, 41, 42, 43, 47, 49};
    /* From 1e6 resamples drawn by numpy.random.default_rng(1). */
    static const double even[] = {0.5, 1.25, 2.0, 3.5, 4.125, 7.0, 8.5, 9.75};
    static const double above[] = {20.8, 20.9, 21.0, 21.3, 21.7, 22.4, 23.8};
    static const double below[] = {10.1, 10.2, 10.4, 10.6, 10.9, 11.9};
    struct kv_stats_interval interval;
    assert_int_equal(kv_stats_bootstrap_median(odd, COUNT(odd), &interval, NULL), KV_OK);
    ASSERT_INTERVAL(interval, 15, 43, 0);
    assert_int_equal(kv_stats_bootstrap_median(even, COUNT(even), &interval, NULL), KV_OK);
    ASSERT_INTERVAL(interval, 1.25, 8.5, 0);
    assert_int_equal(kv_stats_bootstrap_ratio(above, COUNT(above), below, COUNT(below), &interval, NULL), KV_OK);
    ASSERT_INTERVAL(interval, 1.86842105, 2.17475728, 1e-8);
}

/* The quantile of all n^n resamples, drawn one by one. */
static double by_enumeration(const double *sorted, size_t n, double p)
{
    static double medians[46656];
    size_t n_all = 1;
    for (size_t i = 0; i < n; i++)
        n_all *= n;
    for (size_t k = 0; k < n_all; k++) {
        double resample[6];
        for (size_t i = 0, rest = k; i < n; i++, rest /= n)
            resample[i] = sorted[rest % n];
        kv_stats_sort(resample, n);
        medians[k] = kv_stats_median(resample, n);
    }
    kv_stats_sort(medians, n_all);
    return medians[(size_t)ceil(p * (double)n_all - 1e-9) - 1];
}

static void test_intervals_are_those_of_all_resamples(void **state)
{
    (void)state;
    for (size_t n = 2; n <= 6; n++)
        for (uint64_t sample = 0; sample < 5; sample++) {
            double values[6];
            struct kv_stats_interval interval;
            for (size_t i = 0; i < n; i++)
                values[i] = 1 + (double)(kv_draw64(sample, i) % 8);
            kv_stats_sort(values, n);
            assert_int_equal(kv_stats_bootstrap_median(values, n, &interval, NULL), KV_OK);
            ASSERT_INTERVAL(interval, by_enumeration(values, n, 0.025), by_enumeration(values, n, 0.975), EXACT);
        }
}

static void test_intervals_cover_the_truth(void **state)
{
    (void)state;
    enum { TRIALS = 1000, N = 21 };
    int median_covered = 0, ratio_covered = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        double a[N], b[N];
        struct kv_stats_interval median, ratio;
        for (uint64_t i = 0; i < N; i++) {
            a[i] = 2 + 2 * (double)(kv_draw64(2 * trial, i) >> 11) * 0x1p-53;
            b[i] = 1 + (double)(kv_draw64(2 * trial + 1, i) >> 11) * 0x1p-53;
        }
        kv_stats_sort(a, N);
        kv_stats_sort(b, N);
        assert_int_equal(kv_stats_bootstrap_median(a, N, &median, NULL), KV_OK);
        assert_int_equal(kv_stats_bootstrap_ratio(a, N, b, N, &ratio, NULL), KV_OK);
        median_covered += median.low <= 3 && 3 <= median.high;
        ratio_covered += ratio.low <= 2 && 2 <= ratio.high;
    }
    /* The interval of the median is nearly [x(6), x(16)] of 21, which covers with 97.3 %, or [x(7), x(15)], 92.2 %. */
    assert_in_range(median_covered, 910, 980);
    assert_in_range(ratio_covered, 920, 990);
}

/* Of many values the interval is that of the normal distribution of the median's rank: n / 2 +- 1.96 sqrt(n) / 2. */
static void test_intervals_of_many_values(void **state)
{
    (void)state;
    static double values[KV_STATS_BOOTSTRAP_MAX + 1];
    struct kv_stats_interval interval;
    struct kv_error error;
    for (size_t i = 0; i <= KV_STATS_BOOTSTRAP_MAX; i++)
        values[i] = (double)i + 1;
    for (size_t n = KV_STATS_BOOTSTRAP_MAX - 1; n <= KV_STATS_BOOTSTRAP_MAX; n++) {
        assert_int_equal(kv_stats_bootstrap_median(values, n, &interval, NULL), KV_OK);
        ASSERT_INTERVAL(interval, 5000 - 98, 5000 + 98, 3e-4);
    }
    assert_int_equal(kv_stats_bootstrap_median(values, KV_STATS_BOOTSTRAP_MAX + 1, &interval, &error),
                     KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "10000 or fewer"));
    values[0] = 0;
    assert_int_equal(kv_stats_bootstrap_ratio(values + 1, 3, values, 3, &interval, NULL), KV_OK);
    assert_unknown(interval.low);
}

/* ---- Rank test ---------------------------------------------------------------------------------- */

/* Of samples [n] in any order. */
static struct kv_stats_rank_test rank(const double *a, size_t n_a, const double *b, size_t n_b)
{
    double sorted_a[30], sorted_b[30];
    memcpy(sorted_a, a, n_a * sizeof *a);
    memcpy(sorted_b, b, n_b * sizeof *b);
    kv_stats_sort(sorted_a, n_a);
    kv_stats_sort(sorted_b, n_b);
    return kv_stats_mann_whitney(sorted_a, n_a, sorted_b, n_b);
}

static void assert_rank_test(const double *a, size_t n_a, const double *b, size_t n_b, double u, double p, bool exact)
{
    struct kv_stats_rank_test test = rank(a, n_a, b, n_b);
    assert_close(test.u, u, 0);
    assert_close(test.p, p, 1e-12);
    assert_int_equal(test.exact, exact);
    test = rank(b, n_b, a, n_a);
    assert_close(test.u, (double)n_a * (double)n_b - u, 0);
    assert_close(test.p, p, 1e-12);
}

static void test_mann_whitney_exact(void **state)
{
    (void)state;
    /* Hollander & Wolfe 1973, p. 69, permeability of membranes; R: wilcox.test, W = 35, p-value = 0.2544. */
    static const double at_term[] = {0.80, 0.83, 1.89, 1.04, 1.45, 1.38, 1.91, 1.64, 0.73, 1.46};
    static const double earlier[] = {1.15, 0.88, 0.90, 0.74, 1.21};
    assert_rank_test(at_term, 10, earlier, 5, 35, 0.2544122544122544, true);
    /* The example of scipy.stats.mannwhitneyu. */
    static const double males[] = {19, 22, 16, 29, 24};
    static const double females[] = {20, 11, 17, 12};
    assert_rank_test(males, 5, females, 4, 17, 1.0 / 9, true);
    /* By hand: of the C(6, 3) = 20 orders, 2 are as extreme. */
    static const double low[] = {1, 2, 3};
    static const double high[] = {4, 5, 6};
    assert_rank_test(low, 3, high, 3, 0, 0.1, true);
    assert_rank_test(low, 1, high, 1, 0, 1, true);
    static const double outer[] = {1, 4};
    assert_rank_test(outer, 2, low + 1, 2, 2, 1, true);
}

/* Critical values of U, two-sided, 5 %, for n_a = 5..20 (rows) and n_b = n_a..20 (columns): the largest U with
 * p <= 0.05. Mann-Whitney tables in Siegel 1956 (table K) and later books; the copies that give 67 for (14, 17)
 * carry a misprint. */
static const int critical_u[][16] = {
    {2, 3, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15, 17, 18, 19, 20},
    {5, 6, 8, 10, 11, 13, 14, 16, 17, 19, 21, 22, 24, 25, 27},
    {8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34},
    {13, 15, 17, 19, 22, 24, 26, 29, 31, 34, 36, 38, 41},
    {17, 20, 23, 26, 28, 31, 34, 37, 39, 42, 45, 48},
    {23, 26, 29, 33, 36, 39, 42, 45, 48, 52, 55},
    {30, 33, 37, 40, 44, 47, 51, 55, 58, 62},
    {37, 41, 45, 49, 53, 57, 61, 65, 69},
    {45, 50, 54, 59, 63, 67, 72, 76},
    {55, 59, 64, 69, 74, 78, 83},
    {64, 70, 75, 80, 85, 90},
    {75, 81, 86, 92, 98},
    {87, 93, 99, 105},
    {99, 106, 112},
    {113, 119},
    {127},
};

/* p of two samples without ties, n_a values against n_b, with the given U. */
static double exact_p_of(int u, int n_a, int n_b)
{
    double a[20], b[20];
    for (int j = 0; j < n_b; j++)
        b[j] = j;
    /* Each value of a lies above as many values of b as are still needed. */
    for (int i = n_a - 1; i >= 0; i--) {
        const int above = u < n_b ? u : n_b;
        a[i] = above - 1 + (i + 1) / 32.0;
        u -= above;
    }
    const struct kv_stats_rank_test test = rank(a, (size_t)n_a, b, (size_t)n_b);
    assert_true(test.exact);
    return test.p;
}

static void test_mann_whitney_critical_table(void **state)
{
    (void)state;
    for (int n_a = 5; n_a <= 20; n_a++)
        for (int n_b = n_a; n_b <= 20; n_b++) {
            const int critical = critical_u[n_a - 5][n_b - n_a];
            assert_true(exact_p_of(critical, n_a, n_b) <= 0.05);
            assert_true(exact_p_of(critical + 1, n_a, n_b) > 0.05);
            assert_true(exact_p_of(critical, n_b, n_a) <= 0.05);
        }
    /* 2 / C(40, 20), the smallest p there is. */
    assert_close(exact_p_of(0, 20, 20), 2 / 137846528820.0, 1e-14);
}

static void test_mann_whitney_approximation(void **state)
{
    (void)state;
    /* scipy.stats.mannwhitneyu(method="asymptotic"), with its continuity correction. */
    static const double tied_a[] = {12, 15, 15, 18, 20, 22};
    static const double tied_b[] = {11, 12, 15, 16, 17, 17, 18};
    assert_rank_test(tied_a, 6, tied_b, 7, 27, 0.4275564756355391, false);

    double a[25], b[30];
    for (int i = 0; i < 25; i++)
        a[i] = 37 * (i + 1) % 101 + 0.5;
    for (int i = 0; i < 30; i++)
        b[i] = 53 * (i + 1) % 103 + 8;
    assert_rank_test(a, 25, b, 30, 316, 0.3227460897170271, false);
    assert_rank_test(a, 21, b, 20, 219, 0.8245495899820174, false);
    assert_rank_test(a, 20, b, 20, 205, 0.9042080378734633, true);

    static const double threes[] = {3, 3, 3};
    assert_rank_test(threes, 3, threes, 2, 3, 1, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_moments_nist),
        cmocka_unit_test(test_moments_scipy),
        cmocka_unit_test(test_moments_outside_their_domain),
        cmocka_unit_test(test_sort),
        cmocka_unit_test(test_quantiles_type_7),
        cmocka_unit_test(test_median_absolute_deviation),
        cmocka_unit_test(test_median_absolute_deviation_by_definition),
        cmocka_unit_test(test_tukey_outliers),
        cmocka_unit_test(test_no_values_and_unknown_values),
        cmocka_unit_test(test_one_value_has_no_spread),
        cmocka_unit_test(test_all_values_equal),
        cmocka_unit_test(test_intervals_are_those_of_all_resamples),
        cmocka_unit_test(test_intervals_against_numpy),
        cmocka_unit_test(test_intervals_cover_the_truth),
        cmocka_unit_test(test_intervals_of_many_values),
        cmocka_unit_test(test_mann_whitney_exact),
        cmocka_unit_test(test_mann_whitney_critical_table),
        cmocka_unit_test(test_mann_whitney_approximation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
