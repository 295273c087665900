/* The Mann-Whitney U test. */
#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MAX KV_STATS_EXACT_MAX

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
    double count[MAX + 1][MAX * MAX + 1] = {{0}};
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

static bool has_unknown(const double *sorted, size_t n)
{
    return !isfinite(sorted[0]) || !isfinite(sorted[n - 1]);
}

kv_status kv_stats_mann_whitney(const double *a, size_t n_a, const double *b, size_t n_b,
                                struct kv_stats_rank_test *test, struct kv_error *error)
{
    *test = (struct kv_stats_rank_test){NAN, NAN, false};
    if (n_a == 0 || n_b == 0)
        return KV_OK;
    double *sorted_a = calloc(n_a, sizeof *sorted_a);
    double *sorted_b = calloc(n_b, sizeof *sorted_b);
    if (!sorted_a || !sorted_b) {
        free(sorted_a);
        free(sorted_b);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to rank %zu and %zu values: take fewer", n_a, n_b);
    }
    memcpy(sorted_a, a, n_a * sizeof *a);
    memcpy(sorted_b, b, n_b * sizeof *b);
    kv_stats_sort(sorted_a, n_a);
    kv_stats_sort(sorted_b, n_b);

    if (!has_unknown(sorted_a, n_a) && !has_unknown(sorted_b, n_b)) {
        const struct ranking ranking = rank_pooled(sorted_a, n_a, sorted_b, n_b);
        test->u = ranking.u;
        test->exact = ranking.ties == 0 && n_a <= MAX && n_b <= MAX;
        test->p = test->exact ? exact_p(ranking.u, n_a, n_b) : approximate_p(ranking, n_a, n_b);
    }
    free(sorted_a);
    free(sorted_b);
    return KV_OK;
}
