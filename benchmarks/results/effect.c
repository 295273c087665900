/* The signed-rank test turned into an interval, and its looks. */
#include "results/effect.h"

#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

/* From here on the distribution of T is taken as normal: its tails are lighter, so that levels hold all the more. */
enum { EXACT_ROUNDS = 100 };

const char *kv_effect_verdict_name(enum kv_effect_verdict verdict)
{
    static const char *const names[] = {"undecided", "equal", "faster", "slower"};
    return names[verdict];
}

size_t kv_effect_least_rounds(double level)
{
    size_t n = 1;
    while (ldexp(1, 1 - (int)n) > level)
        n++;
    return n;
}

/* Counts C of the interval's ends, 0 for none, and the level 2 P(T <= C - 1) that it has. The distribution of T over
 * all signs is that of a sum of coins worth 0 or i, i = 1..n. */
static kv_status count_exact(size_t n, double level, size_t *ends, double *true_level, struct kv_error *error)
{
    const size_t most = n * (n + 1) / 2;
    double *chance = calloc(most + 1, sizeof *chance); /* [most + 1] that T is so large */
    if (!chance)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the distribution of %zu ranks: take fewer rounds", n);
    chance[0] = 1;
    for (size_t i = 1; i <= n; i++)
        for (size_t t = i * (i + 1) / 2 + 1; t-- > 0;)
            chance[t] = (chance[t] + (t >= i ? chance[t - i] : 0)) / 2;
    double below = 0;
    *ends = 0;
    while (*ends < most / 2 && 2 * (below + chance[*ends]) <= level)
        below += chance[(*ends)++];
    *true_level = 2 * below;
    free(chance);
    return KV_OK;
}

static void count_normal(size_t n, double level, size_t *ends, double *true_level)
{
    const double m = (double)n, mean = m * (m + 1) / 4, deviation = sqrt(m * (m + 1) * (2 * m + 1) / 24);
    double low = 0, high = mean;
    /* P(T <= c - 1) = Phi((c - 1/2 - mean) / deviation), which grows with c */
    while (high - low > 0.5) {
        const double c = floor((low + high) / 2);
        if (c <= low)
            break;
        if (erfc((mean - c + 0.5) / deviation / sqrt(2)) <= level)
            low = c;
        else
            high = c;
    }
    *ends = (size_t)low;
    *true_level = *ends ? erfc((mean - low + 0.5) / deviation / sqrt(2)) : 0;
}

/* Walsh averages of d [n], ascending, [n (n + 1) / 2]. */
static double *walsh_averages(const double *d, size_t n)
{
    double *averages = malloc(n * (n + 1) / 2 * sizeof *averages);
    size_t at = 0;
    for (size_t i = 0; averages && i < n; i++)
        for (size_t j = i; j < n; j++)
            averages[at++] = (d[i] + d[j]) / 2;
    if (averages)
        kv_stats_sort(averages, at);
    return averages;
}

static kv_status fail_rounds(size_t n, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_ARGUMENT, "%zu rounds are more than the %d of an estimate: take fewer", n,
                   KV_EFFECT_MAX_ROUNDS);
}

kv_status kv_effect_middle(const double *d, size_t n, double level, struct kv_effect_middle *middle,
                           struct kv_error *error)
{
    *middle = (struct kv_effect_middle){.n = n, .value = NAN, .low = -INFINITY, .high = INFINITY};
    if (n > KV_EFFECT_MAX_ROUNDS)
        return fail_rounds(n, error);
    if (n == 0)
        return KV_OK;
    const size_t n_averages = n * (n + 1) / 2;
    size_t ends = 0;
    kv_status status = KV_OK;
    double *averages = walsh_averages(d, n);
    if (!averages)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to compare %zu rounds: take fewer", n);
    if (n <= EXACT_ROUNDS)
        status = count_exact(n, level, &ends, &middle->level, error);
    else
        count_normal(n, level, &ends, &middle->level);
    middle->value = kv_stats_median(averages, n_averages);
    if (!status && ends) {
        middle->low = averages[ends - 1];
        middle->high = averages[n_averages - ends];
    }
    free(averages);
    return status;
}

enum kv_effect_verdict kv_effect_judge(double low, double high, double threshold)
{
    if (high <= log1p(threshold) && low >= -log1p(threshold))
        return KV_EFFECT_EQUAL;
    if (low > 0)
        return KV_EFFECT_SLOWER;
    return high < 0 ? KV_EFFECT_FASTER : KV_EFFECT_UNDECIDED;
}

/* An interval shrinks as 1 / sqrt(n): the rounds at which, around the same estimate, it leaves 1 or fits the threshold.
 */
static double forecast(double estimate, double low, double high, double threshold, size_t n, double level)
{
    const double half = (high - low) / 2, away = fabs(estimate), inside = log1p(threshold) - away;
    const double room = away > inside ? away : inside;
    const double least = (double)kv_effect_least_rounds(level);
    if (!isfinite(half))
        return least > (double)n ? least : (double)n + 1;
    const double needed = ceil((double)n * (half / room) * (half / room));
    return needed > (double)n ? needed : (double)n + 1;
}

static kv_status check(const double *a, const double *b, size_t n, double level, double threshold,
                       struct kv_error *error)
{
    if (n > KV_EFFECT_MAX_ROUNDS)
        return fail_rounds(n, error);
    if (!(level > 0 && level < 1) || !(threshold > 0 && isfinite(threshold)))
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "a level of %g and a threshold of %g: give one between 0 and 1, and one above 0", level,
                       threshold);
    for (size_t i = 0; i < n; i++)
        if (!(a[i] > 0 && isfinite(a[i]) && b[i] > 0 && isfinite(b[i])))
            return kv_fail(error, KV_ERROR_ARGUMENT, "round %zu has times %g and %g: leave out what was not measured",
                           i + 1, a[i], b[i]);
    return KV_OK;
}

kv_status kv_effect_estimate(const double *a, const double *b, size_t n, double level, double threshold,
                             struct kv_effect *effect, struct kv_error *error)
{
    *effect = (struct kv_effect){.n = n, .ratio = NAN, .high = INFINITY, .rounds_needed = NAN};
    struct kv_effect_middle m;
    kv_status status = check(a, b, n, level, threshold, error);
    double *d = status ? NULL : malloc((n + 1) * sizeof *d);
    if (!status && !d)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to compare %zu rounds: take fewer", n);
    for (size_t i = 0; d && i < n; i++)
        d[i] = log(b[i] / a[i]);
    if (!status)
        status = kv_effect_middle(d, n, level, &m, error);
    free(d);
    if (status)
        return status;
    effect->level = m.level;
    effect->ratio = exp(m.value);
    effect->low = exp(m.low);
    effect->high = exp(m.high);
    effect->verdict = kv_effect_judge(m.low, m.high, threshold);
    effect->rounds_needed = effect->verdict ? (double)n : forecast(m.value, m.low, m.high, threshold, n, level);
    return KV_OK;
}

kv_status kv_effect_look(struct kv_effect_looks *looks, const double *a, const double *b, size_t n, double fraction,
                         struct kv_effect *effect, struct kv_error *error)
{
    const double level = looks->alpha * fraction * fraction - looks->used;
    if (!(fraction > 0 && fraction <= 1) || !(level > 0))
        return kv_fail(error, KV_ERROR_ARGUMENT, "a look at %g of the time after one at as much: look later", fraction);
    kv_status status = kv_effect_estimate(a, b, n, level, looks->threshold, effect, error);
    if (!status)
        looks->used += effect->level;
    return status;
}
