/* Selects the next token: top-k, temperature, top-p, and a race of what they leave.
 *
 *   weight(i) = exp((logit(i) - largest) / temperature)
 *   u(i)      = (floor(r(i) / 2^12) + 1/2) / 2^52,     r = draw number i of the key of (seed, row, step), base/random.h
 *   time(i)   = -ln(1 - u(i)) / weight(i)              exponentially distributed with that rate
 *
 * Token i is the first with probability weight(i) / sum (the exponential race, also known as the Gumbel-max trick).
 * A search in cumulative weights would need one random number in place of one a token, but there every boundary is a
 * sum of what comes before it: a difference in the last bits of one logit, or one token more in the set, moves them
 * all. Here it matters only where that token is among the first two. */
#include "infer/sampler.h"

#include "base/error.h"
#include "base/random.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

struct kv_sampler {
    double inverse_temperature, top_p;
    int keep; /* tokens that top-k leaves */
    int room; /* 2 keep, or the whole vocabulary */
    int vocab_size, batch;
    uint64_t key, step;
    struct kv_pool *pool; /* or NULL */
    int n_ranks;
    /* of the selection that runs */
    const float *logits;
    int32_t *tokens;
    int *outcomes;                    /* [batch] candidates of each row; where there are none, as gather says it */
    struct kv_candidate candidates[]; /* [n_ranks, room], then outcomes */
};

/* ---- Creation ------------------------------------------------------------------------------------------------ */

static kv_status check(const struct kv_sampling *s, int vocab_size, int batch, struct kv_error *error)
{
    if (!(s->temperature >= 0 && s->temperature <= FLT_MAX))
        return kv_fail(error, KV_ERROR_ARGUMENT, "temperature: %g is not a number of at least 0 (0: greedy)",
                       (double)s->temperature);
    if (s->top_k < 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "top_k: %d is not at least 0 (0: all tokens)", s->top_k);
    if (!(s->top_p > 0 && s->top_p <= 1))
        return kv_fail(error, KV_ERROR_ARGUMENT, "top_p: %g is not above 0 and at most 1 (1: all tokens)",
                       (double)s->top_p);
    if (vocab_size < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "vocab_size: %d is not at least 1", vocab_size);
    if (batch < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "batch: %d is not at least 1", batch);
    return KV_OK;
}

kv_status kv_sampler_create(struct kv_sampler **out, const struct kv_sampling *sampling, int vocab_size, int batch,
                            struct kv_pool *pool, struct kv_error *error)
{
    *out = NULL;
    const kv_status status = check(sampling, vocab_size, batch, error);
    if (status)
        return status;
    const int top_k = sampling->temperature > 0 ? sampling->top_k : 1; /* greedy: no race with one runner */
    const int keep = top_k == 0 || top_k > vocab_size ? vocab_size : top_k;
    const int room = keep > vocab_size / 2 ? vocab_size : 2 * keep;
    const int n_threads = pool ? kv_pool_size(pool) : 1, n_ranks = n_threads < batch ? n_threads : batch;
    const size_t n_candidates = (size_t)n_ranks * (size_t)room;
    struct kv_sampler *s = calloc(1, sizeof *s + n_candidates * sizeof *s->candidates + (size_t)batch * sizeof(int));
    if (!s)
        return kv_fail(error, KV_ERROR_MEMORY, "sampler: no memory for %zu tokens; use a smaller top_k", n_candidates);
    s->inverse_temperature = sampling->temperature > 0 ? 1 / (double)sampling->temperature : 0;
    s->top_p = (double)sampling->top_p;
    s->keep = keep;
    s->room = room;
    s->vocab_size = vocab_size;
    s->batch = batch;
    s->key = kv_mix64(sampling->seed);
    s->pool = n_ranks > 1 ? pool : NULL;
    s->n_ranks = n_ranks;
    s->outcomes = (int *)(void *)(s->candidates + n_candidates);
    *out = s;
    return KV_OK;
}

void kv_sampler_free(struct kv_sampler *s)
{
    free(s);
}

void kv_sampler_reset(struct kv_sampler *s)
{
    s->step = 0;
}

/* ---- The best of a set --------------------------------------------------------------------------------------- */

static bool is_better(struct kv_candidate a, struct kv_candidate b)
{
    return (a.value > b.value) | ((a.value == b.value) & (a.id < b.id)); /* | and &: no branch to mispredict */
}

static void swap(struct kv_candidate *a, struct kv_candidate *b)
{
    const struct kv_candidate kept = *a;
    *a = *b;
    *b = kept;
}

/* Moves the fewest best of c [n] that reach `target` > 0, each counted as 1 or as its value, to the front, the least of
 * them to their end, and returns how many they are. Quickselect with scattered pivots, so that no order of the logits
 * that is likely to be met takes more than linear time. */
static int select_best(struct kv_candidate *c, int n, double target, bool by_value)
{
    int begin = 0, end = n;
    double reached = 0; /* by those before `begin` */
    while (begin < end) {
        swap(&c[begin + (int)(kv_draw64((uint64_t)begin, (uint64_t)end) % (uint64_t)(end - begin))], &c[end - 1]);
        const struct kv_candidate pivot = c[end - 1];
        int place = begin;
        double better = 0;
        for (int i = begin; i < end - 1; i++) {
            const struct kv_candidate x = c[i];
            const bool is_ahead = is_better(x, pivot);
            c[i] = c[place];
            c[place] = x;
            place += is_ahead;
            better += is_ahead ? by_value ? (double)x.value : 1 : 0;
        }
        swap(&c[place], &c[end - 1]);
        if (reached + better >= target) {
            end = place;
            continue;
        }
        reached += better + (by_value ? (double)pivot.value : 1);
        begin = place + 1;
        if (reached >= target)
            return begin;
    }
    return end; /* the sum, in another order than the target was added up in, fell short of it by a rounding */
}

/* ---- One token ----------------------------------------------------------------------------------------------- */

/* The candidates that top-k leaves, how many; 0 when no logit is above -inf, -1 when one is +inf or not a number. */
static int gather(const struct kv_sampler *s, const float *logits, struct kv_candidate *c)
{
    float least = -INFINITY; /* of the best so far; what comes later must be larger */
    int n = 0;
    for (int id = 0; id < s->vocab_size; id++) {
        if (logits[id] <= least)
            continue;
        if (!(logits[id] <= FLT_MAX))
            return -1;
        c[n++] = (struct kv_candidate){logits[id], id};
        if (n == s->room && n > s->keep) {
            n = select_best(c, n, s->keep, false);
            least = c[n - 1].value;
        }
    }
    return n > s->keep ? select_best(c, n, s->keep, false) : n;
}

static float largest_of(const struct kv_candidate *c, int n)
{
    float largest = c[0].value;
    for (int i = 1; i < n; i++)
        largest = c[i].value > largest ? c[i].value : largest;
    return largest;
}

/* Logits to weights; returns their sum. */
static double weigh(struct kv_candidate *c, int n, double inverse_temperature)
{
    const float largest = largest_of(c, n);
    double sum = 0;
    for (int i = 0; i < n; i++) {
        c[i].value = (float)exp(((double)c[i].value - (double)largest) * inverse_temperature);
        sum += (double)c[i].value;
    }
    return sum;
}

/* How many of c [n], moved to the front, top-p keeps. */
static int keep_top_p(struct kv_candidate *c, int n, double top_p, double sum)
{
    /* All weights below this one add up to less than (1 - top_p) sum: the others reach top_p without them. */
    const double least = (1 - top_p) * sum / n;
    int n_left = 0;
    for (int i = 0; i < n; i++) {
        const struct kv_candidate x = c[i];
        c[n_left] = x;
        n_left += (double)x.value >= least;
    }
    return select_best(c, n_left, top_p * sum, true);
}

struct race {
    uint64_t key;
    double best; /* time */
    int32_t winner;
};

static double draw(const struct race *race, int32_t id)
{
    return ((double)(int64_t)(kv_draw64(race->key, (uint64_t)id) >> 12) + 0.5) * 0x1p-52;
}

static void run(struct race *race, int32_t id, double u, double weight)
{
    if (!(u < race->best * weight)) /* -ln(1 - u) >= u: few logarithms are needed */
        return;
    const double time = -log1p(-u) / weight;
    if (time < race->best) {
        race->best = time;
        race->winner = id;
    }
}

/* The race of weights. */
static void race_weights(struct race *race, const struct kv_candidate *c, int n)
{
    for (int i = 0; i < n; i++)
        run(race, c[i].id, draw(race, c[i].id), (double)c[i].value);
}

/* Logits so far below the largest that their weight, as a float, is 0. */
enum { LOWEST = 104 };

/* The same of logits, without most of the exponentials: with y = (logit - largest) / temperature the weight is at most
 * e^-floor(-y), and who is too late with that is too late. */
static void race_logits(struct race *race, const struct kv_candidate *c, int n, double inverse_temperature)
{
    double most[LOWEST + 1]; /* with room for the roundings of exp and of the weight */
    const double largest = (double)largest_of(c, n);
    for (int i = 0; i <= LOWEST; i++)
        most[i] = exp(-i) * (1 + 1e-6);
    for (int i = 0; i < n; i++) {
        const double y = ((double)c[i].value - largest) * inverse_temperature, u = draw(race, c[i].id);
        if (y < -LOWEST || !(u < race->best * most[(int)-y]))
            continue;
        run(race, c[i].id, u, (double)(float)exp(y));
    }
}

static struct race race_of(const struct kv_sampler *s, int b, uint64_t step, int32_t otherwise)
{
    return (struct race){kv_draw64(kv_draw64(s->key, (uint64_t)b), step), INFINITY, otherwise};
}

/* Row b by the candidates' room of a rank; how many candidates there were. */
static int select_row(const struct kv_sampler *s, int b, struct kv_candidate *c)
{
    int n = gather(s, s->logits + (size_t)b * (size_t)s->vocab_size, c);
    if (n < 1)
        return n;
    struct race race = race_of(s, b, s->step, c[0].id);
    if (s->top_p < 1) {
        const double sum = weigh(c, n, s->inverse_temperature);
        race_weights(&race, c, keep_top_p(c, n, s->top_p, sum));
    } else {
        race_logits(&race, c, n, s->inverse_temperature);
    }
    s->tokens[b] = race.winner;
    return n;
}

/* ---- The same in pieces ------------------------------------------------------------------------------------------ */

int kv_sampler_room(const struct kv_sampler *s)
{
    return s->room;
}

int kv_sampler_weigh(const struct kv_sampler *s, const float *logits, struct kv_candidate *c, double *sum)
{
    int n = gather(s, logits, c);
    if (n < 1)
        return n;
    *sum = weigh(c, n, s->inverse_temperature);
    if (s->top_p >= 1)
        return n;
    n = keep_top_p(c, n, s->top_p, *sum);
    *sum = 0;
    for (int i = 0; i < n; i++)
        *sum += (double)c[i].value;
    return n;
}

int32_t kv_sampler_race(const struct kv_sampler *s, int b, int64_t step, const struct kv_candidate *c, int n)
{
    struct race race = race_of(s, b, (uint64_t)step, c[0].id);
    race_weights(&race, c, n);
    return race.winner;
}

double kv_sampler_uniform(const struct kv_sampler *s, int b, int64_t step)
{
    const struct race race = race_of(s, b, (uint64_t)step, 0);
    return draw(&race, s->vocab_size);
}

static void select_job(void *argument, int rank)
{
    struct kv_sampler *s = argument;
    for (int b = rank; rank < s->n_ranks && b < s->batch; b += s->n_ranks)
        s->outcomes[b] = select_row(s, b, s->candidates + (size_t)rank * (size_t)s->room);
}

kv_status kv_sampler_select(struct kv_sampler *s, const float *logits, int32_t *tokens, struct kv_error *error)
{
    s->logits = logits;
    s->tokens = tokens;
    if (s->pool)
        kv_pool_run(s->pool, select_job, s);
    else
        select_job(s, 0);
    for (int b = 0; b < s->batch; b++)
        if (s->outcomes[b] < 1)
            return kv_fail(error, KV_ERROR_NUMERIC, "sequence %d: %s; the weights hold NaN or overflow", b,
                           s->outcomes[b] < 0 ? "a logit is not a finite number" : "every logit is -inf");
    s->step++;
    return KV_OK;
}
