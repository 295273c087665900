/* The slopes of figure depth. */
#include "results/picture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The trend of an arm, its points, and their middle, through which the line is drawn. */
struct arm_trend {
    const struct kv_cell_results **cells; /* [n] in room for all of the picture */
    struct kv_trend_point *points;        /* likewise */
    size_t n;
    struct kv_trend trend;
    double x, y;
};

static void find_trend(struct kv_picture *p, int arm, enum kv_column column, struct arm_trend *t)
{
    t->n = 0;
    t->x = t->y = 0;
    for (size_t i = 0; i < p->n_cells; i++)
        if (p->cells[i].arm == arm && p->cells[i].cell->figures[column].n)
            t->cells[t->n++] = p->cells[i].cell;
    if (!p->status)
        p->status = kv_results_trend(t->cells, t->n, column, &t->trend, t->points, p->error);
    for (size_t i = 0; !p->status && i < t->n; i++) {
        t->x += t->cells[i]->numbers[KV_COLUMN_CONTEXT_TOKENS] / (double)t->n;
        t->y += t->points[i].median / (double)t->n;
    }
}

/* A line at its first, middle and last context, and those with the least and the largest slope through its middle. */
static void write_fit(struct kv_picture *p, int arm, const struct arm_trend *t)
{
    const struct kv_trend *trend = &t->trend;
    if (isnan(trend->interval.low))
        return;
    const double places[] = {trend->first->numbers[KV_COLUMN_CONTEXT_TOKENS], t->x,
                             trend->last->numbers[KV_COLUMN_CONTEXT_TOKENS]};
    for (int i = 0; i < 3; i++) {
        const double away = 1e-3 * (places[i] - t->x);
        KV_PICTURE_ROW(p, arm + 1, places[i], t->y + trend->slope * away, t->y + trend->interval.low * away,
                       t->y + trend->interval.high * away);
    }
}

static bool is_by_reading(const struct kv_trend *trend)
{
    return trend->corrected_by && strcmp(trend->corrected_by, "reading") == 0;
}

/* Of an arm whose slope is corrected by the probes: its points so, and what bytes and flops take at that speed, where a
 * point is not faster than that. */
static void write_corrected(struct kv_picture *p, int arm, const struct arm_trend *t)
{
    for (size_t i = 0; t->trend.corrected_by && i < t->n; i++) {
        const struct kv_trend_point *point = &t->points[i];
        const struct kv_cell_results *cell = t->cells[i];
        const bool has_interval = !isnan(point->interval.low);
        const double bytes = cell->figures[KV_COLUMN_BYTES].median, flops = cell->figures[KV_COLUMN_FLOPS].median;
        const double limit = 1e3 * (is_by_reading(&t->trend) ? bytes : flops) / t->trend.corrected_to;
        KV_PICTURE_ROW(p, arm + 1, cell->numbers[KV_COLUMN_CONTEXT_TOKENS], point->median,
                       has_interval ? point->interval.low : point->median,
                       has_interval ? point->interval.high : point->median, limit <= point->median ? limit : NAN);
    }
}

/* Asks `write` of every arm for its rows. */
static void write_trend_table(struct kv_picture *p, const char *name, const char *header,
                              void (*write)(struct kv_picture *, int, const struct arm_trend *), struct arm_trend *t)
{
    kv_picture_begin(p, name, header);
    for (int arm = 0; arm < p->n_arms && !p->status; arm++) {
        find_trend(p, arm, KV_COLUMN_TTPT_MS, t);
        if (!p->status)
            write(p, arm, t);
    }
    kv_picture_end(p);
}

void kv_picture_trends(struct kv_picture *p)
{
    double slopes[KV_PICTURE_MAX_ARMS], lows[KV_PICTURE_MAX_ARMS], highs[KV_PICTURE_MAX_ARMS],
        limits[KV_PICTURE_MAX_ARMS], reading[KV_PICTURE_MAX_ARMS], arithmetic[KV_PICTURE_MAX_ARMS];
    struct arm_trend t = {.cells = malloc((p->n_cells + 1) * sizeof *t.cells),
                          .points = malloc((p->n_cells + 1) * sizeof *t.points)};
    if (!t.cells || !t.points)
        kv_picture_fail_memory(p);
    for (int arm = 0; arm < p->n_arms && !p->status; arm++) {
        find_trend(p, arm, KV_COLUMN_LIMIT_MS, &t);
        limits[arm] = t.trend.interval.low > 0 ? t.trend.slope : NAN;
        find_trend(p, arm, KV_COLUMN_TTPT_MS, &t);
        slopes[arm] = t.trend.slope;
        lows[arm] = t.trend.interval.low;
        highs[arm] = t.trend.interval.high;
        reading[arm] = is_by_reading(&t.trend) ? t.trend.corrected_to / 1e9 : NAN;
        arithmetic[arm] = is_by_reading(&t.trend) ? NAN : t.trend.corrected_to / 1e9;
    }
    if (!p->status) {
        write_trend_table(p, "fit", "arm\tcontext_tokens\tfit\tlow\thigh", write_fit, &t);
        write_trend_table(p, "corrected", "arm\tcontext_tokens\tmedian\tlow\thigh\tlimit", write_corrected, &t);
        kv_picture_numbers(p, "slope_us", slopes, p->n_arms);
        kv_picture_numbers(p, "slope_low_us", lows, p->n_arms);
        kv_picture_numbers(p, "slope_high_us", highs, p->n_arms);
        kv_picture_numbers(p, "limit_slope_us", limits, p->n_arms);
        kv_picture_numbers(p, "corrected_gbytes_s", reading, p->n_arms);
        kv_picture_numbers(p, "corrected_gflops", arithmetic, p->n_arms);
    }
    free(t.cells);
    free(t.points);
}
