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
    const struct kv_stats_interval interval = kv_stats_median_interval(sorted, n, 1);
    assert_unknown(interval.low);
    assert_unknown(interval.high);
}

static void assert_all_unknown(const double *sorted, size_t n)
{
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
    const struct kv_stats_interval interval = kv_stats_median_interval(equal, n, kv_stats_dependence(equal, n));
    assert_close(kv_stats_mean(equal, n), 0.1, EXACT);
    assert_true(kv_stats_standard_deviation(equal, n) < 1e-16);
    assert_close(kv_stats_median(equal, n), 0.1, 0);
    assert_true(kv_stats_median_absolute_deviation(equal, n) == 0);
    assert_int_equal(kv_stats_tukey_outliers(equal, n).high_mild, 0);
    assert_close(interval.low, 0.1, 0);
    assert_close(interval.high, 0.1, 0);
}

/* ---- The interval of a median ---------------------------------------------------------------------- */

/* Ranks of the 95 % interval, as tables of the sign test have them (Conover 1999, table A3). */
static void test_intervals_by_ranks(void **state)
{
    (void)state;
    static const struct {
        size_t n, low;
    } cases[] = {{2, 1},  {5, 1},  {6, 1},  {8, 1},  {9, 2},   {11, 2},
                 {12, 3}, {15, 4}, {20, 6}, {21, 6}, {50, 18}, {100, 40}};
    double values[2000];
    for (size_t i = 0; i < 2000; i++)
        values[i] = (double)i + 1;
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct kv_stats_interval interval = kv_stats_median_interval(values, cases[i].n, 1);
        assert_close(interval.low, (double)cases[i].low, EXACT);
        assert_close(interval.high, (double)(cases[i].n + 1 - cases[i].low), EXACT);
    }
    /* Of many, n / 2 +- 1.96 sqrt(n) / 2. */
    assert_close(kv_stats_median_interval(values, 2000, 1).low, 1000 - 43.8, 2e-3);
    /* 4 exp(+-3 1.96 1.2533 1.4826 (1 / 4) / sqrt(5)) is 1.18 to 13.6 */
    static const double few[] = {2, 3, 4, 5, 10};
    assert_close(kv_stats_median_interval(few, 5, 3).low, 4 * exp(-1.2215), 1e-4);
    assert_close(kv_stats_median_interval(few, 5, 3).high, 4 * exp(1.2215), 1e-4);
    assert_close(kv_stats_median_interval(few, 5, 1.01).high, 10, 0);
    static const double with_zero[] = {0, 1, 2};
    assert_unknown_interval(with_zero, 3);
}

/* A standard normal number by Box and Muller. */
static double normal(uint64_t key, uint64_t i)
{
    const double u = ((double)(kv_draw64(key, 2 * i) >> 11) + 0.5) * 0x1p-53,
                 v = (double)(kv_draw64(key, 2 * i + 1) >> 11) * 0x1p-53;
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

/* Share of intervals of n rounds that hold the true median of a process with that correlation from round to round, every
 * tenth of which stalls. *width: their mean length, in logarithms. */
static double coverage(double correlation, size_t n, double *width)
{
    enum { TRIALS = 1000 };
    int covered = 0;
    *width = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        double values[40], before = normal(trial, 1000);
        for (size_t i = 0; i < n; i++) {
            before = correlation * before + sqrt(1 - correlation * correlation) * normal(trial, i);
            values[i] = exp(0.1 * before);
            if (kv_draw64(trial, 5000 + i) % 10 == 0) /* on both sides, so that the median stays 1 */
                values[i] *= before > 0 ? 2 : 0.5;
        }
        const double dependence = kv_stats_dependence(values, n);
        kv_stats_sort(values, n);
        const struct kv_stats_interval interval = kv_stats_median_interval(values, n, dependence);
        covered += interval.low <= 1 && 1 <= interval.high;
        *width += log(interval.high / interval.low) / TRIALS;
    }
    return covered / (double)TRIALS;
}

static void test_intervals_cover_the_truth(void **state)
{
    (void)state;
    double alone, together;
    assert_true(coverage(0, 12, &alone) >= 0.95);
    assert_true(coverage(0.4, 12, &together) >= 0.93);
    assert_true(together > 1.1 * alone);
    assert_true(coverage(0.6, 36, &together) >= 0.91);
}

static void test_dependence(void **state)
{
    (void)state;
    static const double rising[] = {1, 2, 3, 4, 5, 6, 7, 8}, turns[] = {1, 9, 2, 8, 3, 7, 4, 6};
    assert_close(kv_stats_dependence(rising, 5), 1, 0);
    assert_close(kv_stats_dependence(turns, 8), 1, 0);
    assert_close(kv_stats_dependence(rising, 8), 3, 1e-12); /* the most */
}

/* ---- The difference of two means ------------------------------------------------------------------ */

/* Published tables; of 2 degrees of freedom p sqrt(2 / (1 - p^2)) with p = 1 - level. */
static void test_student(void **state)
{
    (void)state;
    static const struct {
        double freedom, level, t;
    } cases[] = {{1, 0.05, 12.7062047362}, {4, 0.05, 2.7764451052},  {5, 0.01, 4.0321429836},
                 {10, 0.05, 2.228138852},  {30, 0.05, 2.0422724563}, {1e6, 0.05, 1.9599663}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_close(kv_stats_student(cases[i].freedom, cases[i].level), cases[i].t, 1e-6);
    for (double level = 0.01; level < 1; level += 0.07)
        assert_close(kv_stats_student(2, level), (1 - level) * sqrt(2 / (1 - pow(1 - level, 2))), 1e-6);
    assert_true(kv_stats_student(2.5, 0.05) < kv_stats_student(2, 0.05));
    assert_true(kv_stats_student(2.5, 0.05) > kv_stats_student(3, 0.05));
    assert_unknown(kv_stats_student(0.5, 0.05));
    assert_unknown(kv_stats_student(4, 0));
    assert_unknown(kv_stats_student(4, 1));
}

/* Three values of deviation 1 and five of deviation 3, whose means differ by 2; of equal spread and number the degrees
 * of freedom are 2 (n - 1). */
static void test_difference_of_means(void **state)
{
    (void)state;
    enum { TRIALS = 4000 };
    static const double a[] = {-1, 0, 1}, b[] = {4, 5, 6};
    struct kv_stats_interval interval = kv_stats_difference(a, 3, b, 3);
    assert_close(interval.low, 5 - 2.7764451052 * sqrt(2.0 / 3), 1e-6);
    assert_close(interval.high, 5 + 2.7764451052 * sqrt(2.0 / 3), 1e-6);
    int covered = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        double x[3], y[5];
        for (uint64_t i = 0; i < 3; i++)
            x[i] = normal(trial, i);
        for (uint64_t i = 0; i < 5; i++)
            y[i] = 2 + 3 * normal(trial, 3 + i);
        interval = kv_stats_difference(x, 3, y, 5);
        covered += interval.low <= 2 && 2 <= interval.high;
    }
    print_message("Welch: %.1f %% of %d intervals hold the truth\n", 100.0 * covered / TRIALS, TRIALS);
    assert_in_range(covered, 0.935 * TRIALS, 0.965 * TRIALS);
    assert_unknown(kv_stats_difference(a, 1, b, 3).low);
    assert_unknown(kv_stats_difference(a, 3, b, 1).high);
    interval = kv_stats_difference(a + 1, 2, a + 1, 2);
    assert_true(interval.low <= 0 && interval.high >= 0);
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
        cmocka_unit_test(test_intervals_by_ranks),
        cmocka_unit_test(test_intervals_cover_the_truth),
        cmocka_unit_test(test_dependence),
        cmocka_unit_test(test_student),
        cmocka_unit_test(test_difference_of_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
