/* Several runs a side. */
#include "results/apart.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

enum { LEAST_ROUNDS = 6 };

/* The middles of runs [n], in seconds since 1970. */
static void fill_times(const struct kv_results *const *runs, size_t n, double *times)
{
    for (size_t i = 0; i < n; i++)
        times[i] = (runs[i]->started_s + runs[i]->ended_s) / 2;
}

static kv_status find_turns(const struct kv_results *const *a, size_t n_a, const struct kv_results *const *b,
                            size_t n_b, bool *in_turns, struct kv_error *error)
{
    double *times = malloc((n_a + n_b) * sizeof *times);
    if (!times)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    fill_times(a, n_a, times);
    fill_times(b, n_b, times + n_a);
    const struct kv_stats_interval apart = kv_stats_difference(times, n_a, times + n_a, n_b);
    *in_turns = apart.low <= 0 && apart.high >= 0;
    free(times);
    return KV_OK;
}

kv_status kv_apart_find_sides(const struct kv_results *const *a, size_t n_a, const struct kv_results *const *b,
                              size_t n_b, struct kv_apart *apart, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < n_a * n_b; i++) {
        struct kv_apart of_pair;
        status = kv_apart_find(a[i / n_b], b[i % n_b], &of_pair, error);
        if (!status && (i == 0 || of_pair.log_factor > apart->log_factor))
            *apart = of_pair;
    }
    return status ? status : find_turns(a, n_a, b, n_b, &apart->in_turns, error);
}

/* The log of a run's median, of a rate that of the time that it stands for. */
static double log_time(const struct kv_cell_results *cell, enum kv_column column)
{
    return (kv_column_info(column)->role == KV_ROLE_RATE ? -1 : 1) * log(cell->figures[column].median);
}

/* Repetitions of all runs; *fewest: of the run that has fewest. */
static size_t count_rounds(const struct kv_cell_results *const *cells, size_t n, enum kv_column column, size_t *fewest)
{
    size_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        sum += cells[i]->figures[column].n;
        *fewest = cells[i]->figures[column].n < *fewest ? cells[i]->figures[column].n : *fewest;
    }
    return sum;
}

/* From the lowest end to the highest of what two runs at a time say. */
static struct kv_stats_interval hull(const struct kv_cell_results *const *a, size_t n_a,
                                     const struct kv_cell_results *const *b, size_t n_b, enum kv_column column)
{
    const bool is_rate = kv_column_info(column)->role == KV_ROLE_RATE;
    struct kv_stats_interval all = {INFINITY, -INFINITY};
    for (size_t i = 0; i < n_a * n_b; i++) {
        const struct kv_sample *of_a = &a[i / n_b]->figures[column], *of_b = &b[i % n_b]->figures[column];
        const double d = log(of_b->median / of_a->median);
        const double below = hypot(log(of_b->median / of_b->interval.low), log(of_a->interval.high / of_a->median));
        const double above = hypot(log(of_b->interval.high / of_b->median), log(of_a->median / of_a->interval.low));
        all.low = fmin(all.low, is_rate ? -d - above : d - below);
        all.high = fmax(all.high, is_rate ? -d + below : d + above);
    }
    return all;
}

kv_status kv_apart_judge_sides(const struct kv_apart *apart, const struct kv_cell_results *const *a, size_t n_a,
                               const struct kv_cell_results *const *b, size_t n_b, enum kv_column column,
                               double threshold, struct kv_apart_judgement *judgement, struct kv_error *error)
{
    const bool by_runs = n_a >= KV_APART_LEAST_RUNS && n_b >= KV_APART_LEAST_RUNS;
    const bool is_rate = kv_column_info(column)->role == KV_ROLE_RATE;
    struct kv_judgement *j = &judgement->judged;
    size_t fewest = SIZE_MAX;
    const size_t rounds_a = count_rounds(a, n_a, column, &fewest), rounds_b = count_rounds(b, n_b, column, &fewest);
    double *y = malloc((n_a + n_b) * sizeof *y);
    if (!y)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    for (size_t i = 0; i < n_a + n_b; i++)
        y[i] = log_time(i < n_a ? a[i] : b[i - n_a], column);
    const double mean_a = kv_stats_mean(y, n_a), mean_b = kv_stats_mean(y + n_a, n_b), sign = is_rate ? -1 : 1;
    struct kv_stats_interval logs = by_runs ? kv_stats_difference(y, n_a, y + n_a, n_b) : hull(a, n_a, b, n_b, column);
    free(y);
    *judgement = (struct kv_apart_judgement){
        .judged = {.n_base = n_a,
                   .n_other = n_b,
                   .n_rounds = rounds_a < rounds_b ? rounds_a : rounds_b,
                   .median_base = exp(sign * mean_a),
                   .median_other = exp(sign * mean_b),
                   .ratio = exp(sign * (mean_b - mean_a)),
                   .interval = {NAN, NAN},
                   .speed = exp(mean_a - mean_b),
                   .rounds_needed = NAN},
        .log_factor = by_runs && apart->in_turns ? 0 : apart->log_factor,
    };
    if (!by_runs && fewest < LEAST_ROUNDS)
        return KV_OK;
    logs.low -= judgement->log_factor;
    logs.high += judgement->log_factor;
    j->interval = (struct kv_stats_interval){exp(is_rate ? -logs.high : logs.low),
                                             exp(is_rate ? -logs.low : logs.high)};
    j->verdict = kv_effect_judge(logs.low, logs.high, threshold);
    return KV_OK;
}
