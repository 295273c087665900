#include "distribution.h"

#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct ranked {
    double logit;
    int id;
};

static int more_probable_first(const void *left, const void *right)
{
    const struct ranked *a = left, *b = right;
    return a->logit > b->logit ? -1 : a->logit < b->logit ? 1 : a->id - b->id;
}

void expect_draws(struct kv_sampling sampling, const float *logits, int V, double *probabilities)
{
    struct ranked *ranking = malloc((size_t)V * sizeof *ranking);
    double sum = 0, share = 0, kept_sum = 0;
    assert_non_null(ranking);
    for (int i = 0; i < V; i++)
        ranking[i] = (struct ranked){(double)logits[i], i};
    qsort(ranking, (size_t)V, sizeof *ranking, more_probable_first);
    const int k = sampling.top_k && sampling.top_k < V ? sampling.top_k : V;
    memset(probabilities, 0, (size_t)V * sizeof *probabilities);
    for (int i = 0; i < k; i++)
        sum += exp((ranking[i].logit - ranking[0].logit) / (double)sampling.temperature);
    for (int i = 0; i < k && share < (double)sampling.top_p; i++) {
        const double p = exp((ranking[i].logit - ranking[0].logit) / (double)sampling.temperature) / sum;
        probabilities[ranking[i].id] = p;
        share += p;
        kept_sum += p;
    }
    for (int i = 0; i < V; i++)
        probabilities[i] /= kept_sum;
    free(ranking);
}

double critical_value(int n_freedom)
{
    const double v = 2.0 / (9.0 * n_freedom), root = 1 - v + 4.7534 * sqrt(v);
    return n_freedom * root * root * root;
}

void assert_distribution(const int *counts, const double *probabilities, int n, int n_draws)
{
    double chi_square = 0, small_expected = 0, small_counted = 0;
    int n_cells = 0;
    for (int i = 0; i < n; i++) {
        const double expected = probabilities[i] * n_draws;
        if (probabilities[i] == 0 && counts[i] > 0)
            fail_msg("%d is left out, and was drawn %d times", i, counts[i]);
        if (expected < 5) {
            small_expected += expected;
            small_counted += counts[i];
        } else {
            chi_square += (counts[i] - expected) * (counts[i] - expected) / expected;
            n_cells++;
        }
    }
    if (small_expected >= 5) {
        chi_square += (small_counted - small_expected) * (small_counted - small_expected) / small_expected;
        n_cells++;
    }
    assert_in_range(n_cells, 2, n);
    if (chi_square > critical_value(n_cells - 1))
        fail_msg("chi-square is %.2f with %d degrees of freedom, at most %.2f was expected", chi_square, n_cells - 1,
                 critical_value(n_cells - 1));
}
