/* The one rule of what differs. */
#include "results/results.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

/* ---- Pairs of the same round -------------------------------------------------------------------------------------- */

/* Fills a, b [the smaller n]; returns how many rounds both have, at most KV_EFFECT_MAX_ROUNDS. */
static size_t pair_rounds(const struct kv_sample *base, const struct kv_sample *other, double *a, double *b)
{
    size_t n = 0;
    for (size_t i = 0, k = 0; i < base->n && k < other->n && n < KV_EFFECT_MAX_ROUNDS;) {
        const int left = base->rounds[i].round, right = other->rounds[k].round;
        if (left == right) {
            a[n] = base->rounds[i].value;
            b[n++] = other->rounds[k].value;
        }
        i += left <= right;
        k += right <= left;
    }
    return n;
}

static enum kv_effect_verdict of_rate(enum kv_effect_verdict of_time)
{
    return of_time == KV_EFFECT_FASTER ? KV_EFFECT_SLOWER : of_time == KV_EFFECT_SLOWER ? KV_EFFECT_FASTER : of_time;
}

kv_status kv_judge_samples(const struct kv_sample *base, const struct kv_sample *other, bool is_rate, double threshold,
                           struct kv_judgement *judgement, struct kv_error *error)
{
    struct kv_judgement *j = judgement;
    struct kv_effect effect;
    const size_t most = base->n < other->n ? base->n : other->n;
    *j = (struct kv_judgement){
        .n_base = base->n,
        .n_other = other->n,
        .median_base = base->n ? base->median : NAN,
        .median_other = other->n ? other->median : NAN,
        .interval = {NAN, NAN},
    };
    double *a = malloc((2 * most + 1) * sizeof *a), *b = a + most;
    if (!a)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to compare %zu rounds: close other programs", most);
    j->n_rounds = pair_rounds(base, other, a, b);
    const kv_status status = kv_effect_estimate(a, b, j->n_rounds, KV_JUDGE_LEVEL, threshold, &effect, error);
    free(a);
    if (status)
        return status;
    j->ratio = effect.ratio;
    j->speed = is_rate ? j->ratio : 1 / j->ratio;
    if (effect.level > 0)
        j->interval = (struct kv_stats_interval){effect.low, effect.high};
    j->verdict = is_rate ? of_rate(effect.verdict) : effect.verdict;
    j->rounds_needed = effect.rounds_needed;
    return KV_OK;
}

kv_status kv_judge(const struct kv_cell_results *base, const struct kv_cell_results *other, enum kv_column column,
                   double threshold, struct kv_judgement *judgement, struct kv_error *error)
{
    return kv_judge_samples(&base->figures[column], &other->figures[column],
                            kv_column_info(column)->role == KV_ROLE_RATE, threshold, judgement, error);
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
    const kv_status status = kv_judge(base, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, judgement, error);
    judgement->interval = (struct kv_stats_interval){1 / judgement->interval.high, 1 / judgement->interval.low};
    return status;
}
