/* What scores of tokens say together. */
#include "text/evaluate.h"

#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

/* Student's t of KV_QUALITY_BLOCKS - 1 = 19 degrees of freedom, two-sided 95 %. */
#define STUDENT_T 2.093

enum figure { LOSS, REFERENCE_LOSS, CHANGE, DIVERGENCE, P99, SAME_TOP, N_FIGURES };

/* Of all scores but [begin, end); work [n]. */
static void figures_without(const struct kv_token_score *scores, size_t n, size_t begin, size_t end, double *work,
                            double figures[N_FIGURES])
{
    size_t count = 0;
    for (int f = 0; f < N_FIGURES; f++)
        figures[f] = 0;
    for (size_t i = 0; i < n; i++) {
        if (i >= begin && i < end)
            continue;
        figures[LOSS] += scores[i].loss;
        figures[REFERENCE_LOSS] += scores[i].reference_loss;
        figures[DIVERGENCE] += scores[i].divergence;
        figures[SAME_TOP] += scores[i].same_top;
        work[count++] = scores[i].divergence;
    }
    for (int f = 0; f < N_FIGURES; f++)
        figures[f] /= (double)count;
    figures[CHANGE] = figures[LOSS] - figures[REFERENCE_LOSS];
    kv_stats_sort(work, count);
    figures[P99] = kv_stats_quantile(work, count, 0.99);
}

static struct kv_estimate estimate(double value, double left_out[KV_QUALITY_BLOCKS][N_FIGURES], int figure)
{
    const double n = KV_QUALITY_BLOCKS;
    double mean = 0, squares = 0;
    for (int b = 0; b < KV_QUALITY_BLOCKS; b++)
        mean += left_out[b][figure] / n;
    for (int b = 0; b < KV_QUALITY_BLOCKS; b++)
        squares += (left_out[b][figure] - mean) * (left_out[b][figure] - mean);
    const double half = STUDENT_T * sqrt((n - 1) / n * squares);
    return (struct kv_estimate){value, value - half, value + half};
}

static struct kv_estimate exponential(struct kv_estimate e, double less)
{
    return (struct kv_estimate){exp(e.value) - less, exp(e.low) - less, exp(e.high) - less};
}

kv_status kv_quality_of(const struct kv_token_score *scores, size_t n, struct kv_quality *quality,
                        struct kv_error *error)
{
    double all[N_FIGURES], left_out[KV_QUALITY_BLOCKS][N_FIGURES];
    double *work = malloc(n * sizeof *work);
    if (!work)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the divergence of %zu tokens; give a shorter text", n);
    figures_without(scores, n, 0, 0, work, all);
    quality->divergence_largest = work[n - 1];
    for (size_t b = 0; b < KV_QUALITY_BLOCKS; b++) {
        if (n >= KV_QUALITY_BLOCKS * KV_QUALITY_LEAST_BLOCK)
            figures_without(scores, n, n * b / KV_QUALITY_BLOCKS, n * (b + 1) / KV_QUALITY_BLOCKS, work, left_out[b]);
        else
            for (int f = 0; f < N_FIGURES; f++)
                left_out[b][f] = NAN;
    }
    free(work);
    quality->loss = estimate(all[LOSS], left_out, LOSS);
    quality->perplexity = exponential(quality->loss, 0);
    quality->perplexity_change = exponential(estimate(all[CHANGE], left_out, CHANGE), 1);
    quality->divergence = estimate(all[DIVERGENCE], left_out, DIVERGENCE);
    quality->divergence_p99 = estimate(all[P99], left_out, P99);
    quality->same_top = estimate(all[SAME_TOP], left_out, SAME_TOP);
    return KV_OK;
}
