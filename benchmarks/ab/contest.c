/* The plan of starts, the coins, and the looks. */
#include "ab/contest.h"

#include "base/error.h"
#include "base/random.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

/* A start takes so many times what starting costs, but no more than a part of the time, so that there are enough of them,
 * and no less than so many seconds or a smaller part. */
#define START_OVERHEADS 4
#define LARGEST_SHARE   12
#define LEAST_SHARE     24
#define LEAST_SECONDS   5.0
/* A start of fewer rounds says little: when the machine is slow, it takes longer. */
enum { LEAST_ROUNDS = 12 };

struct contest {
    struct kv_contest *known;
    const struct kv_contest_side *sides;
    const struct kv_contest_settings *settings;
    double began_s;
    uint64_t n_drawn;
    struct kv_repetition *kept; /* [n_kept] of the start that goes on */
    size_t n_kept, room;
};

static double elapsed(const struct contest *c)
{
    return c->settings->now_s(c->settings->context) - c->began_s;
}

static bool is_stopped(const struct contest *c)
{
    return c->settings->stopped && c->settings->stopped(c->settings->context);
}

static int throw_coin(struct contest *c)
{
    return (int)(kv_draw64(c->settings->seed, c->n_drawn++) >> 63);
}

double kv_contest_look_at(int look)
{
    static const double fractions[KV_CONTEST_LOOKS] = {5.0 / 12, 2.0 / 3, 1};
    return fractions[look];
}

/* ---- One start --------------------------------------------------------------------------------------- */

/* Sorts and takes the middle; NaN of none. */
static double median(double *values, size_t n)
{
    kv_stats_sort(values, n);
    return n ? kv_stats_median(values, n) : (double)NAN;
}

kv_status kv_contest_log_ratio(const struct kv_repetition *repetitions, size_t n, enum kv_peer_metric metric, double *d,
                               struct kv_error *error)
{
    double *ratios = malloc((n + 1) * sizeof *ratios);
    size_t n_ratios = 0;
    const struct kv_repetition *before = NULL;
    *d = NAN;
    if (!ratios)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: give less time", n);
    for (size_t i = 0; i < n; i++) {
        const struct kv_repetition *r = &repetitions[i];
        if (!(r->ms[metric] > 0))
            continue;
        if (before && before->side != r->side)
            ratios[n_ratios++] = (r->side ? 1 : -1) * log(r->ms[metric] / before->ms[metric]);
        before = r;
    }
    *d = median(ratios, n_ratios);
    free(ratios);
    return KV_OK;
}

static kv_status keep(struct contest *c, const struct kv_repetition *repetition, struct kv_error *error)
{
    if (c->n_kept == c->room) {
        const size_t room = c->room ? 2 * c->room : 256;
        struct kv_repetition *kept = realloc(c->kept, room * sizeof *kept);
        if (!kept)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: give less time", room);
        c->kept = kept;
        c->room = room;
    }
    c->kept[c->n_kept++] = *repetition;
    return c->settings->keep ? c->settings->keep(c->settings->context, repetition, error) : KV_OK;
}

static kv_status run_round(struct contest *c, int start, int round, struct kv_error *error)
{
    const int first = throw_coin(c);
    kv_status status = KV_OK;
    for (int place = 0; !status && place < KV_CONTEST_SIDES; place++) {
        struct kv_repetition r = {.start = start, .round = round, .place = place + 1, .side = first ^ place};
        const struct kv_contest_side *side = &c->sides[r.side];
        if (c->settings->pause)
            c->settings->pause(c->settings->context);
        r.started_s = elapsed(c);
        status = side->repeat(side->context, r.ms, error);
        if (!status)
            status = keep(c, &r, error);
    }
    return status;
}

/* What its repetitions say becomes known. */
static kv_status conclude_start(struct contest *c, int n_rounds, struct kv_error *error)
{
    struct kv_contest *known = c->known;
    const int k = known->n_starts;
    double *values = malloc((c->n_kept + 1) * sizeof *values);
    kv_status status =
        values ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: give less time", c->n_kept);
    for (int m = 0; !status && m < KV_PEER_N_METRICS; m++) {
        double d;
        status = kv_contest_log_ratio(c->kept, c->n_kept, (enum kv_peer_metric)m, &d, error);
        known->ratios[m][k] = exp(d);
        for (int side = 0; side < KV_CONTEST_SIDES; side++) {
            size_t n = 0;
            for (size_t i = 0; i < c->n_kept; i++)
                if (c->kept[i].side == side && c->kept[i].ms[m] > 0)
                    values[n++] = c->kept[i].ms[m];
            known->ms[side][m][k] = median(values, n);
        }
    }
    free(values);
    if (status || isnan(known->ratios[c->settings->metric][k]))
        return status;
    known->n_starts++;
    known->n_rounds += n_rounds;
    return kv_contest_estimate(known, c->settings->metric, &known->shown, error);
}

double kv_contest_start_seconds(const struct kv_contest_settings *s, double cost_s)
{
    if (s->start_s > 0)
        return s->start_s;
    const double least = fmin(s->seconds / LEAST_SHARE, LEAST_SECONDS);
    const double most = fmax(s->seconds / LARGEST_SHARE, least);
    return fmax(least, fmin(START_OVERHEADS * cost_s, most));
}

/* Whether a start of so many rounds has another one. */
static bool goes_on(const struct contest *c, int n_rounds, double end_s)
{
    const struct kv_contest_settings *s = c->settings;
    const double now = elapsed(c);
    if (n_rounds == 0 || (s->rounds && n_rounds >= s->rounds))
        return n_rounds == 0;
    return now < s->seconds && (now < end_s || n_rounds < LEAST_ROUNDS);
}

static kv_status run_start(struct contest *c, int start, struct kv_error *error)
{
    const struct kv_contest_settings *s = c->settings;
    const double began = elapsed(c);
    const int first = throw_coin(c);
    kv_status status = KV_OK;
    c->n_kept = 0;
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        status = c->sides[first ^ i].start(c->sides[first ^ i].context, error);
    const double cost_s = elapsed(c) - began;
    if (start == 1 || cost_s < c->known->start_s)
        c->known->start_s = cost_s;
    if (!status && s->prepare)
        status = s->prepare(s->context, first, error);
    const double end_s = elapsed(c) + kv_contest_start_seconds(s, c->known->start_s) - c->known->start_s;
    int n_rounds = 0;
    while (!status && !is_stopped(c) && goes_on(c, n_rounds, end_s)) {
        status = run_round(c, start, n_rounds + 1, error);
        n_rounds += !status;
        c->known->elapsed_s = elapsed(c);
        if (!status && s->progress)
            s->progress(s->context, c->known);
    }
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        c->sides[i].stop(c->sides[i].context);
    return status || n_rounds == 0 ? status : conclude_start(c, n_rounds, error);
}

/* ---- All of them ------------------------------------------------------------------------------------- */

/* Starts that have this metric, as the sides' times in a and b [n_starts]: their ratio is all that counts. */
static size_t gather(const struct kv_contest *known, enum kv_peer_metric metric, double *a, double *b)
{
    size_t n = 0;
    for (int k = 0; k < known->n_starts; k++)
        if (!isnan(known->ratios[metric][k])) {
            a[n] = 1;
            b[n++] = known->ratios[metric][k];
        }
    return n;
}

kv_status kv_contest_estimate(const struct kv_contest *known, enum kv_peer_metric metric, struct kv_effect *effect,
                              struct kv_error *error)
{
    double a[KV_CONTEST_MAX_STARTS], b[KV_CONTEST_MAX_STARTS];
    const size_t n = gather(known, metric, a, b);
    return kv_effect_estimate(a, b, n, known->looks.alpha, known->looks.threshold, effect, error);
}

double kv_contest_median(const struct kv_contest *known, int side, enum kv_peer_metric metric)
{
    double values[KV_CONTEST_MAX_STARTS];
    size_t n = 0;
    for (int k = 0; k < known->n_starts; k++)
        if (!isnan(known->ms[side][metric][k]))
            values[n++] = known->ms[side][metric][k];
    return median(values, n);
}

static kv_status look(struct contest *c, double fraction, struct kv_error *error)
{
    struct kv_contest *known = c->known;
    double a[KV_CONTEST_MAX_STARTS], b[KV_CONTEST_MAX_STARTS];
    const size_t n = gather(known, c->settings->metric, a, b);
    if (known->looks.alpha * fraction * fraction <= known->looks.used)
        return KV_OK; /* interrupted soon after the look before: that one stands */
    return kv_effect_look(&known->looks, a, b, n, fraction, &known->effect, error);
}

/* The time is; or twice the time, where it was too short for any interval. */
static bool is_over(const struct contest *c)
{
    const struct kv_contest_settings *s = c->settings;
    const bool enough = c->known->n_starts >= (int)kv_effect_least_rounds(s->alpha);
    return elapsed(c) >= (enough || s->no_looks ? 1 : 2) * s->seconds;
}

kv_status kv_contest_run(struct kv_contest *known, const struct kv_contest_side sides[KV_CONTEST_SIDES],
                         const struct kv_contest_settings *s, struct kv_error *error)
{
    struct contest c = {.known = known, .sides = sides, .settings = s, .began_s = s->now_s(s->context)};
    *known = (struct kv_contest){.looks = {.alpha = s->alpha, .threshold = s->threshold},
                                 .effect = {.ratio = NAN, .high = INFINITY}};
    kv_status status = KV_OK;
    int n_looks = 0, looked_at = 0;
    for (int start = 1; !status && !known->effect.verdict && !is_stopped(&c); start++) {
        if (is_over(&c) || known->n_starts == KV_CONTEST_MAX_STARTS)
            break;
        status = run_start(&c, start, error);
        const double fraction = elapsed(&c) / s->seconds;
        if (status || s->no_looks || fraction < kv_contest_look_at(n_looks) || fraction >= 1 ||
            known->n_starts == looked_at)
            continue;
        looked_at = known->n_starts;
        while (fraction >= kv_contest_look_at(n_looks))
            n_looks++;
        status = look(&c, fraction, error);
    }
    known->elapsed_s = elapsed(&c);
    if (!status && !s->no_looks && !known->effect.verdict && known->n_starts > looked_at) {
        const double fraction = known->elapsed_s / s->seconds;
        status = look(&c, is_stopped(&c) && fraction < 1 ? fraction : 1, error);
    }
    free(c.kept);
    return status;
}
