/* The one rule of significance. */
#include "results/results.h"

#include <math.h>

const char *kv_verdict_name(enum kv_verdict verdict)
{
    static const char *const names[] = {
        [KV_VERDICT_FASTER] = "faster",
        [KV_VERDICT_SLOWER] = "slower",
        [KV_VERDICT_NONE] = "no difference seen",
        [KV_VERDICT_UNDECIDED] = "undecided",
    };
    return names[verdict];
}

/* Two-sided p when every value of one sample is above every value of the other: of the C(a + b, a) ways to deal the
 * ranks, two are that. */
static double smallest_p(size_t n_a, size_t n_b)
{
    double ways = 1;
    for (size_t i = 1; i <= n_a; i++)
        ways *= (double)(n_b + i) / (double)i;
    return fmin(1, 2 / ways);
}

int kv_judge_needed_repetitions(double alpha)
{
    int n = 1;
    while (!(smallest_p((size_t)n, (size_t)n) < alpha))
        n++;
    return n;
}

kv_status kv_judge(const struct kv_cell_results *base, const struct kv_cell_results *other, enum kv_column column,
                   double alpha, double noise, struct kv_judgement *judgement, struct kv_error *error)
{
    return kv_judge_samples(&base->figures[column], &other->figures[column],
                            kv_column_info(column)->role == KV_ROLE_RATE, alpha, noise, judgement, error);
}

kv_status kv_judge_samples(const struct kv_sample *a, const struct kv_sample *b, bool is_rate, double alpha,
                           double noise, struct kv_judgement *judgement, struct kv_error *error)
{
    struct kv_judgement *j = judgement;
    *j = (struct kv_judgement){
        .n_base = a->n,
        .n_other = b->n,
        .median_base = a->n ? a->median : NAN,
        .median_other = b->n ? b->median : NAN,
        .interval = {NAN, NAN},
        .u = NAN,
        .p = NAN,
        .smallest_p = smallest_p(a->n, b->n),
        .verdict = KV_VERDICT_UNDECIDED,
    };
    j->ratio = j->median_other / j->median_base;
    j->speed = is_rate ? j->ratio : 1 / j->ratio;
    if (!a->n || !b->n)
        return KV_OK;
    const kv_status status = kv_stats_bootstrap_ratio(b->values, b->n, a->values, a->n, &j->interval, error);
    if (status)
        return status;
    const struct kv_stats_rank_test test = kv_stats_mann_whitney(a->values, a->n, b->values, b->n);
    j->u = test.u;
    /* With equal values p is approximate, and at small n it can be less than any arrangement of the ranks gives. */
    j->p = test.exact ? test.p : fmax(test.p, j->smallest_p);
    if (!(j->smallest_p < alpha))
        j->verdict = KV_VERDICT_UNDECIDED;
    else if (!(j->p < alpha) || !(fmax(j->ratio, 1 / j->ratio) > 1 + noise))
        j->verdict = KV_VERDICT_NONE;
    else
        j->verdict = j->speed > 1 ? KV_VERDICT_FASTER : KV_VERDICT_SLOWER;
    return KV_OK;
}

kv_status kv_results_speed(const struct kv_results *results, const struct kv_cell_results *cell,
                           struct kv_judgement *judgement, struct kv_error *error)
{
    static const char base_path[] = "naive";
    static const struct kv_cell_results none = {0};
    const struct kv_cell_results *base = &none;
    const bool is_judged = kv_cell_is_timed(cell) && !kv_cell_is(cell, KV_COLUMN_PATH, base_path);
    for (size_t i = 0; is_judged && base == &none && i < results->n_cells; i++)
        if (kv_cell_is(&results->cells[i], KV_COLUMN_PATH, base_path) && kv_cell_is_timed(&results->cells[i]) &&
            kv_cells_agree(&results->cells[i], cell, kv_key_columns() & ~KV_BIT(KV_COLUMN_PATH)))
            base = &results->cells[i];
    const kv_status status = kv_judge(base, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_ALPHA, KV_JUDGE_NOISE, judgement, error);
    judgement->interval = (struct kv_stats_interval){1 / judgement->interval.high, 1 / judgement->interval.low};
    return status;
}
