/* Two cells of separate runs. */
#include "results/apart.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

#define LEAST_LOG        0.04879016416943205 /* of 5 % */
#define LEAST_PART       0.2
#define MOST_LEFT        0.5
#define MOST_LEFT_TO_ONE 0.75
enum { LEAST_ROUNDS = 6 };

/* The rounds of one cell, in logarithms; of a rate the time that it stands for. */
struct side {
    double *y, *x[2]; /* [n] of the figure; of the probes of reading and of arithmetic */
    size_t n;
    bool has_probes;
    double median, low, high; /* of y */
};

static double median_of(const double *values, size_t n, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = values[i];
    kv_stats_sort(scratch, n);
    return kv_stats_median(scratch, n);
}

/* memory [3 n of the sample] */
static void fill_side(struct side *side, const struct kv_cell_results *cell, enum kv_column column, double *memory)
{
    static const enum kv_column columns[] = {KV_COLUMN_PROBE_READ_BYTES_PER_S, KV_COLUMN_PROBE_FMA_FLOP_PER_S};
    const struct kv_sample *sample = &cell->figures[column];
    const double sign = kv_column_info(column)->role == KV_ROLE_RATE ? -1 : 1;
    *side = (struct side){
        .y = memory, .x = {memory + sample->n, memory + 2 * sample->n}, .n = sample->n, .has_probes = true};
    for (size_t i = 0; i < sample->n; i++) {
        side->y[i] = sign * log(sample->rounds[i].value);
        for (int kind = 0; kind < 2; kind++) {
            const struct kv_sample *probe = &cell->figures[columns[kind]];
            side->has_probes = side->has_probes && probe->n == sample->n &&
                               probe->rounds[i].round == sample->rounds[i].round;
            side->x[kind][i] = side->has_probes ? log(probe->rounds[i].value) : NAN;
        }
    }
}

/* ---- By the probes ------------------------------------------------------------------------------------------------ */

/* Rows of both runs, each less its median in its run: [n], those of the first run first [n_a]. */
struct rows {
    const double *x, *y;
    size_t n, n_a;
};

static void sum(const struct rows *rows, size_t from, size_t to, double *xx, double *xy, double *size)
{
    *xx = *xy = *size = 0;
    for (size_t i = from; i < to; i++) {
        *xx += rows->x[i] * rows->x[i];
        *xy += rows->x[i] * rows->y[i];
        *size += fabs(rows->y[i]);
    }
}

/* What a slope leaves of |y| in sum, from row to row. */
static double left(const struct rows *rows, size_t from, size_t to, double slope)
{
    double sum_left = 0;
    for (size_t i = from; i < to; i++)
        sum_left += fabs(rows->y[i] - slope * rows->x[i]);
    return sum_left;
}

/* The slope, and how far those of both runs differ; false: it is not borne out. *part: what it leaves, of 1. */
static bool find_slope(const struct rows *rows, double *slope, double *apart, double *part)
{
    double xx, xy, size, xx_a, xy_a, size_a, xx_b, xy_b, size_b, sum_left = 0;
    sum(rows, 0, rows->n, &xx, &xy, &size);
    sum(rows, 0, rows->n_a, &xx_a, &xy_a, &size_a);
    sum(rows, rows->n_a, rows->n, &xx_b, &xy_b, &size_b);
    if (!(xx_a > 0 && xx_b > 0 && size_a > 0 && size_b > 0))
        return false;
    *slope = xy / xx;
    *apart = fabs(xy_a / xx_a - xy_b / xx_b);
    for (size_t i = 0; i < rows->n; i++) {
        const double of_others = (xy - rows->x[i] * rows->y[i]) / fmax(xx - rows->x[i] * rows->x[i], 1e-12);
        sum_left += fabs(rows->y[i] - of_others * rows->x[i]);
    }
    *part = sum_left / size;
    return *slope < 0 && *part <= MOST_LEFT && left(rows, 0, rows->n_a, xy_b / xx_b) <= MOST_LEFT_TO_ONE * size_a &&
           left(rows, rows->n_a, rows->n, xy_a / xx_a) <= MOST_LEFT_TO_ONE * size_b;
}

/* What the medians of early and of late rounds differ by. */
static double drift_of(const double *values, size_t n, double *scratch)
{
    const size_t half = n / 2;
    return fabs(median_of(values, half, scratch) - median_of(values + half, n - half, scratch));
}

struct correction {
    int kind; /* -1: none */
    double slope, middle, part;
    double log_factor; /* the allowance that is left */
};

static double corrected(const struct side *side, size_t i, int kind, double slope, double middle)
{
    return side->y[i] - slope * (side->x[kind][i] - middle);
}

/* Takes one kind of probe for *best when it leaves less than that and narrows the allowance. scratch [3 (n_a + n_b)]. */
static void try_kind(const struct side *a, const struct side *b, const struct kv_apart *apart, int kind,
                     struct correction *best, double *scratch)
{
    const size_t n = a->n + b->n;
    double *x = scratch, *y = scratch + n, *rest = scratch + 2 * n, slopes_apart;
    struct correction c = {.kind = kind};
    const double x_a = median_of(a->x[kind], a->n, rest), x_b = median_of(b->x[kind], b->n, rest);
    const double y_a = median_of(a->y, a->n, rest), y_b = median_of(b->y, b->n, rest);
    for (size_t i = 0; i < n; i++) {
        x[i] = i < a->n ? a->x[kind][i] - x_a : b->x[kind][i - a->n] - x_b;
        y[i] = i < a->n ? a->y[i] - y_a : b->y[i - a->n] - y_b;
    }
    if (!find_slope(&(struct rows){x, y, n, a->n}, &c.slope, &slopes_apart, &c.part) || c.part >= best->part)
        return;
    c.middle = (x_a + x_b) / 2;
    for (size_t i = 0; i < n; i++)
        y[i] = i < a->n ? corrected(a, i, kind, c.slope, c.middle) : corrected(b, i - a->n, kind, c.slope, c.middle);
    const double drift = fmax(drift_of(y, a->n, rest), drift_of(y + a->n, b->n, rest));
    c.log_factor = apart->waiting + fmax(LEAST_LOG, drift) + fmax(LEAST_PART, slopes_apart) * fabs(x_a - x_b) +
                   fmax(LEAST_PART, 1 + c.slope) * apart->swings[1 - kind];
    if (c.log_factor < apart->log_factor)
        *best = c;
}

/* Corrects y of both sides where that is borne out. */
static struct correction correct(struct side *a, struct side *b, const struct kv_apart *apart, double *scratch)
{
    struct correction best = {.kind = -1, .part = INFINITY, .log_factor = apart->log_factor};
    for (int kind = 0; kind < 2 && a->has_probes && b->has_probes; kind++)
        try_kind(a, b, apart, kind, &best, scratch);
    for (size_t i = 0; best.kind >= 0 && i < a->n; i++)
        a->y[i] = corrected(a, i, best.kind, best.slope, best.middle);
    for (size_t i = 0; best.kind >= 0 && i < b->n; i++)
        b->y[i] = corrected(b, i, best.kind, best.slope, best.middle);
    return best;
}

/* ---- Judging --------------------------------------------------------------------------------------------------------- */

/* Median and interval of y; scratch [n]. */
static void describe(struct side *side, double *scratch)
{
    const double dependence = kv_stats_dependence(side->y, side->n);
    for (size_t i = 0; i < side->n; i++)
        scratch[i] = exp(side->y[i]);
    kv_stats_sort(scratch, side->n);
    const struct kv_stats_interval interval = kv_stats_median_interval(scratch, side->n, dependence);
    side->median = log(kv_stats_median(scratch, side->n));
    side->low = log(interval.low);
    side->high = log(interval.high);
}

/* With D the difference of the logs of both medians, and l, u how far the ends of each interval are from its median:
 * D - sqrt(l_b^2 + u_a^2) to D + sqrt(u_b^2 + l_a^2), and the machine's part on both sides. */
static void conclude(const struct side *a, const struct side *b, bool is_rate, double threshold,
                     struct kv_apart_judgement *judgement)
{
    struct kv_judgement *j = &judgement->judged;
    const double d = b->median - a->median;
    const double low = d - judgement->log_factor - hypot(b->median - b->low, a->high - a->median);
    const double high = d + judgement->log_factor + hypot(b->high - b->median, a->median - a->low);
    if (judgement->corrected_by) {
        j->ratio = exp(is_rate ? -d : d);
        j->speed = exp(-d);
    }
    j->interval = (struct kv_stats_interval){exp(is_rate ? -high : low), exp(is_rate ? -low : high)};
    j->verdict = kv_effect_judge(low, high, threshold);
}

kv_status kv_apart_judge(const struct kv_apart *apart, const struct kv_cell_results *a, const struct kv_cell_results *b,
                         enum kv_column column, double threshold, struct kv_apart_judgement *judgement,
                         struct kv_error *error)
{
    static const char *const kinds[] = {"reading", "arithmetic"};
    const struct kv_sample *base = &a->figures[column], *other = &b->figures[column];
    const bool is_rate = kv_column_info(column)->role == KV_ROLE_RATE;
    const double ratio = other->median / base->median;
    const size_t n = base->n + other->n;
    struct side sides[2];
    *judgement = (struct kv_apart_judgement){
        .judged = {.n_base = base->n,
                   .n_other = other->n,
                   .n_rounds = base->n < other->n ? base->n : other->n,
                   .median_base = base->median,
                   .median_other = other->median,
                   .ratio = ratio,
                   .interval = {NAN, NAN},
                   .speed = is_rate ? ratio : 1 / ratio,
                   .rounds_needed = NAN},
        .log_factor = apart->log_factor,
    };
    if (judgement->judged.n_rounds < LEAST_ROUNDS)
        return KV_OK;
    double *memory = malloc(6 * n * sizeof *memory), *scratch = memory + 3 * n;
    if (!memory)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    fill_side(&sides[0], a, column, memory);
    fill_side(&sides[1], b, column, memory + 3 * base->n);
    const struct correction correction = correct(&sides[0], &sides[1], apart, scratch);
    judgement->log_factor = correction.log_factor;
    judgement->corrected_by = correction.kind >= 0 ? kinds[correction.kind] : NULL;
    for (int i = 0; i < 2; i++)
        describe(&sides[i], scratch);
    conclude(&sides[0], &sides[1], is_rate, threshold, judgement);
    free(memory);
    return KV_OK;
}
