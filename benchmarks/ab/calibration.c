/* Contests put together from a recording, and windows of it. */
#include "ab/calibration.h"

#include "base/error.h"
#include "base/random.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

enum { CONTESTS = 400 };
/* Windows begin so many times in a window's length. */
enum { WINDOW_STEPS = 4 };

/* ---- Power ------------------------------------------------------------------------------------------- */

/* log(b / a) of the rounds of one slow-down, by start. */
struct pairs {
    double *d;                               /* [n] */
    size_t first[KV_CONTEST_MAX_STARTS + 1]; /* of each start */
    int n_starts;                            /* that have one */
    double *window;                          /* [n] room */
    double a[KV_CONTEST_MAX_STARTS], b[KV_CONTEST_MAX_STARTS];
};

static kv_status find_pairs(const struct kv_recording *r, double slowdown_pct, struct pairs *p, struct kv_error *error)
{
    int start = 0;
    size_t n = 0;
    p->d = malloc((r->n + 1) * sizeof *p->d);
    p->window = malloc((r->n + 1) * sizeof *p->window);
    if (!p->d || !p->window)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: give less time", r->n);
    for (size_t i = 0; i + 1 < r->n; i++) {
        const struct kv_repetition *one = &r->repetitions[i].repetition, *other = &r->repetitions[i + 1].repetition;
        const struct kv_repetition *a = one->side ? other : one, *b = one->side ? one : other;
        const double d = log(b->ms[r->metric] / a->ms[r->metric]);
        if (one->place != 1 || one->round != other->round || one->start != other->start ||
            r->repetitions[i].slowdown_pct != slowdown_pct || !isfinite(d))
            continue;
        if (one->start != start && p->n_starts < KV_CONTEST_MAX_STARTS)
            p->first[p->n_starts++] = n;
        start = one->start;
        p->d[n++] = d;
    }
    p->first[p->n_starts] = n;
    return n ? KV_OK
             : kv_fail(error, KV_ERROR_ARGUMENT, "the recording has no round of a slow-down of %g %%: give more time",
                       slowdown_pct);
}

static size_t draw(uint64_t *at, uint64_t seed, size_t n)
{
    return (size_t)(kv_draw64(seed, (*at)++) % n);
}

/* d of one start: of so many neighbouring rounds of a recorded one. */
static double draw_start(struct pairs *p, size_t n_rounds, uint64_t *at, uint64_t seed)
{
    const size_t start = draw(at, seed, (size_t)p->n_starts), n = p->first[start + 1] - p->first[start];
    const size_t used = n_rounds < n ? n_rounds : n, from = p->first[start] + draw(at, seed, n - used + 1);
    for (size_t i = 0; i < used; i++)
        p->window[i] = p->d[from + i];
    kv_stats_sort(p->window, used);
    return kv_stats_median(p->window, used);
}

static kv_status draw_contest(struct pairs *p, const struct kv_effect_looks *rule, int n_starts, size_t n_rounds,
                              bool flips, uint64_t seed, enum kv_effect_verdict *verdict, struct kv_error *error)
{
    struct kv_effect_looks looks = *rule;
    struct kv_effect effect = {.n = 0};
    int n = 0;
    uint64_t at = 0;
    kv_status status = KV_OK;
    for (int i = 0; !status && !effect.verdict && i < KV_CONTEST_LOOKS; i++) {
        const double part = kv_contest_look_at(i);
        for (; n < part * n_starts; n++) {
            const double d = draw_start(p, n_rounds, &at, seed);
            p->a[n] = 1;
            p->b[n] = exp(flips && draw(&at, seed, 2) ? -d : d);
        }
        status = kv_effect_look(&looks, p->a, p->b, (size_t)n, part, &effect, error);
    }
    *verdict = effect.verdict;
    return status;
}

/* Rounds that a start of a contest of this time has, of any slow-down. */
static size_t rounds_of(const struct kv_recording *r, double start_seconds)
{
    size_t n_rounds = 0;
    int n_starts = 0;
    for (size_t i = 0; i < r->n; i++) {
        n_rounds += r->repetitions[i].repetition.place == 2;
        n_starts += i == 0 || r->repetitions[i].repetition.start != r->repetitions[i - 1].repetition.start;
    }
    const double round_s = (r->seconds - n_starts * r->start_s) / (double)(n_rounds ? n_rounds : 1);
    const double n = (start_seconds - r->start_s) / round_s;
    return n > 1 ? (size_t)n : 1;
}

kv_status kv_calibrate_power(const struct kv_recording *r, double seconds, double slowdown_pct, double alpha,
                             double threshold, uint64_t seed, struct kv_power *power, struct kv_error *error)
{
    const struct kv_contest_settings settings = {.seconds = seconds, .alpha = alpha};
    const struct kv_effect_looks rule = {.alpha = alpha, .threshold = threshold};
    const double start_seconds = kv_contest_start_seconds(&settings, r->start_s);
    const int n_starts = (int)fmin(fmax(seconds / start_seconds, 1), KV_CONTEST_MAX_STARTS);
    struct pairs *pairs = calloc(1, sizeof *pairs);
    *power = (struct kv_power){.seconds = seconds, .slowdown_pct = slowdown_pct};
    if (!pairs)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for contests");
    kv_status status = find_pairs(r, slowdown_pct, pairs, error);
    for (int i = 0; !status && i < CONTESTS; i++) {
        enum kv_effect_verdict verdict;
        status = draw_contest(pairs, &rule, n_starts, rounds_of(r, start_seconds), slowdown_pct == 0,
                              kv_mix64(seed + (uint64_t)i * KV_GOLDEN_64), &verdict, error);
        power->verdicts[verdict] += !status;
        power->n += !status;
    }
    free(pairs->d);
    free(pairs->window);
    free(pairs);
    return status;
}

/* ---- Windows ----------------------------------------------------------------------------------------- */

/* Median of A from a time on; NaN without a repetition. */
static double median_from(const struct kv_recording *r, double from_s, double window_s, double *values)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct kv_repetition *one = &r->repetitions[i].repetition;
        if (one->side == 0 && one->started_s >= from_s && one->started_s < from_s + window_s && one->ms[r->metric] > 0)
            values[n++] = one->ms[r->metric];
    }
    kv_stats_sort(values, n);
    return n ? kv_stats_median(values, n) : (double)NAN;
}

kv_status kv_calibrate_windows(const struct kv_recording *r, double window_s, double separation_s,
                               struct kv_apart_windows *windows, struct kv_error *error)
{
    const double step = window_s / WINDOW_STEPS, last = r->seconds - window_s - separation_s;
    const size_t most = last > 0 ? (size_t)(last / step) + 1 : 0;
    *windows = (struct kv_apart_windows){.separation_s = separation_s, .log_ratio_q95 = NAN};
    double *values = malloc((r->n + 1) * sizeof *values), *ratios = malloc((most + 1) * sizeof *ratios);
    kv_status status = values && ratios ? KV_OK
                                        : kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions", r->n);
    size_t n = 0;
    for (size_t i = 0; !status && i < most; i++) {
        const double from = (double)i * step;
        const double ratio = median_from(r, from, window_s, values) /
                             median_from(r, from + separation_s, window_s, values);
        if (!isnan(ratio))
            ratios[n++] = fabs(log(ratio));
    }
    if (n) {
        kv_stats_sort(ratios, n);
        windows->n = (int)n;
        windows->log_ratio_q95 = kv_stats_quantile(ratios, n, 0.95);
    }
    free(values);
    free(ratios);
    return status;
}
