/* A time against the context, by the rounds and by what the probes say of each row.
 *
 * Rounds keep out what holds for a whole round. A memory that changes its speed from one cell of a round to the next they
 * do not: in the committed reference run it moved between 53 and 84 GB/s that way, and a step of 0.9 us a token by its
 * bytes had slopes of -0.5 to 3.7 us. Each row knows what the memory could do just then, so with
 *
 *   y = log time, x = log probe of the row, each less its median in its cell
 *   b = the slope of y on x through 0 that leaves least of |y| in sum (the median of y / x weighted by |x|: Boscovich's
 *       line), within -1 to 0: a time falls at most as the speed rises. Of all rows but those of a tenth of the rounds,
 *       of a tenth each in turn, so that no row is corrected by itself
 *
 * a time is corrected to log time - b (x - x'), x' the median of the probes of all rows, with the one kind of probe that
 * leaves least of |y|, if it leaves at most three quarters of it; else nothing is corrected. b and the choice see
 * differences within a cell alone, never those between contexts, and b is not of the round that it corrects: without a
 * slope, a corrected round is as likely tilted upwards as downwards still, and the interval of the slopes holds.
 *
 * In 20,000 runs each of tests/test_trend.c (9 contexts, 6 rounds, 80 % of a step is reading), in %: false slopes where
 * there is none (3.1 by the rule), found where a step grows by 15 %, and how often the correction was in force
 *   two speeds, 1.5 s each           3.4 (3.1 without probes)   68.1 (51.3 without probes)   76
 *   the recorded Xeon                3.4                        14.2 (13.4)                  59
 *   a drift by a factor of 4         3.3                        98.8                         78
 *   quiet                            3.3                        99.0                         0
 *   two speeds, probes are noise     3.3                        51.9                         0
 * In 400 of two speeds, a correction that is always in force found 74 for 72 %, least squares in place of the median 69;
 * but on a quiet machine, and where probes are noise, the three quarters keep out what is not borne out. */
#include "results/reader.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

#define MOST_LEFT 0.75
enum { N_FOLDS = 10, N_KINDS = 2 };

struct row {
    int round;
    double value, y, x[N_KINDS];
};

/* All rows of the cells, one cell's after the other's. */
struct curve {
    const struct kv_cell_results *const *cells; /* [n_cells] */
    size_t n_cells, n;
    size_t *begin;      /* [n_cells + 1] of each cell's rows */
    struct row *rows;   /* [n] */
    double *scratch;    /* [max(n, n_cells^2)] */
    struct ratio *sort; /* [n] */
    bool has_probes;    /* all rows have */
};

static double context_of(const struct kv_cell_results *cell)
{
    return cell->numbers[KV_COLUMN_CONTEXT_TOKENS];
}

static void close_curve(struct curve *curve)
{
    free(curve->begin);
    free(curve->rows);
    free(curve->scratch);
    free(curve->sort);
}

/* ---- What the probes explain --------------------------------------------------------------------------------------- */

struct ratio {
    double value, weight;
};

static int by_value(const void *left, const void *right)
{
    const struct ratio *a = left, *b = right;
    return (a->value > b->value) - (a->value < b->value);
}

static kv_status open_curve(struct curve *curve, const struct kv_cell_results *const *cells, size_t n_cells,
                            enum kv_column column, struct kv_error *error)
{
    static const enum kv_column columns[] = {KV_COLUMN_PROBE_READ_BYTES_PER_S, KV_COLUMN_PROBE_FMA_FLOP_PER_S};
    size_t n = 0;
    for (size_t i = 0; i < n_cells; i++)
        n += cells[i]->figures[column].n;
    const size_t room = n_cells * n_cells > n ? n_cells * n_cells : n;
    *curve = (struct curve){.cells = cells,
                            .n_cells = n_cells,
                            .begin = calloc(n_cells + 1, sizeof *curve->begin),
                            .rows = calloc(n + 1, sizeof *curve->rows),
                            .scratch = calloc(room + 1, sizeof *curve->scratch),
                            .sort = calloc(n + 1, sizeof *curve->sort),
                            .has_probes = true};
    if (!curve->begin || !curve->rows || !curve->scratch || !curve->sort) {
        close_curve(curve);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the trend of %zu cells: close other programs", n_cells);
    }
    for (size_t i = 0; i < n_cells; i++) {
        const struct kv_sample *sample = &cells[i]->figures[column];
        for (size_t k = 0, at[N_KINDS] = {0}; k < sample->n; k++) {
            struct row *row = &curve->rows[curve->n++];
            *row = (struct row){sample->rounds[k].round, sample->rounds[k].value, log(sample->rounds[k].value), {0}};
            for (int kind = 0; kind < N_KINDS; kind++) {
                const struct kv_sample *probe = &cells[i]->figures[columns[kind]];
                while (at[kind] < probe->n && probe->rounds[at[kind]].round < row->round)
                    at[kind]++;
                const bool has = at[kind] < probe->n && probe->rounds[at[kind]].round == row->round;
                row->x[kind] = has ? log(probe->rounds[at[kind]].value) : NAN;
                curve->has_probes &= has && isfinite(row->x[kind]) && isfinite(row->y);
            }
        }
        curve->begin[i + 1] = curve->n;
    }
    return KV_OK;
}

static int fold_of(const struct row *row)
{
    return row->round % N_FOLDS;
}

/* Medians of y and of x of a cell's rows that are not of the fold; false: there are none. */
static bool find_middle(const struct curve *curve, size_t cell, int fold, int kind, double *y, double *x)
{
    for (int k = 0; k < 2; k++) {
        size_t n = 0;
        for (size_t i = curve->begin[cell]; i < curve->begin[cell + 1]; i++)
            if (fold_of(&curve->rows[i]) != fold)
                curve->scratch[n++] = k ? curve->rows[i].x[kind] : curve->rows[i].y;
        kv_stats_sort(curve->scratch, n);
        *(k ? x : y) = kv_stats_median(curve->scratch, n);
    }
    return !isnan(*y);
}

/* b of the rows that are not of the fold. */
static double slope_without(struct curve *curve, int fold, int kind)
{
    size_t n = 0;
    double y, x, all = 0, sum = 0;
    for (size_t cell = 0; cell < curve->n_cells; cell++) {
        if (!find_middle(curve, cell, fold, kind, &y, &x))
            continue;
        for (size_t i = curve->begin[cell]; i < curve->begin[cell + 1]; i++) {
            const double dx = curve->rows[i].x[kind] - x;
            if (fold_of(&curve->rows[i]) == fold || !(fabs(dx) > 1e-12))
                continue;
            curve->sort[n++] = (struct ratio){(curve->rows[i].y - y) / dx, fabs(dx)};
            all += fabs(dx);
        }
    }
    qsort(curve->sort, n, sizeof *curve->sort, by_value);
    for (size_t i = 0; i < n; i++) {
        sum += curve->sort[i].weight;
        if (sum >= all / 2)
            return fmax(-1, fmin(0, curve->sort[i].value));
    }
    return 0;
}

/* What a kind of probe leaves of |y|, as a part, and its slopes [N_FOLDS]. */
static double left_by(struct curve *curve, int kind, double *slopes)
{
    double all = 0, left = 0, y, x;
    for (int fold = 0; fold < N_FOLDS; fold++) {
        slopes[fold] = slope_without(curve, fold, kind);
        for (size_t cell = 0; cell < curve->n_cells; cell++)
            if (find_middle(curve, cell, fold, kind, &y, &x))
                for (size_t i = curve->begin[cell]; i < curve->begin[cell + 1]; i++)
                    if (fold_of(&curve->rows[i]) == fold) {
                        all += fabs(curve->rows[i].y - y);
                        left += fabs(curve->rows[i].y - y - slopes[fold] * (curve->rows[i].x[kind] - x));
                    }
    }
    return all > 0 ? left / all : 1;
}

/* Corrects the values where that is borne out, and says so in the trend. */
static void correct(struct curve *curve, struct kv_trend *trend)
{
    static const char *const names[N_KINDS] = {"reading", "arithmetic"};
    double slopes[N_KINDS][N_FOLDS], left[N_KINDS];
    for (int kind = 0; kind < N_KINDS; kind++)
        left[kind] = left_by(curve, kind, slopes[kind]);
    const int kind = left[1] < left[0];
    if (!(left[kind] <= MOST_LEFT))
        return;
    for (size_t i = 0; i < curve->n; i++)
        curve->scratch[i] = curve->rows[i].x[kind];
    kv_stats_sort(curve->scratch, curve->n);
    const double middle = kv_stats_median(curve->scratch, curve->n);
    for (size_t i = 0; i < curve->n; i++) {
        struct row *row = &curve->rows[i];
        row->value = exp(row->y - slopes[kind][fold_of(row)] * (row->x[kind] - middle));
    }
    trend->corrected_by = names[kind];
    trend->corrected_to = exp(middle);
}

/* ---- Slopes ------------------------------------------------------------------------------------------------------------ */

/* The shortest and the longest context that have the figure, and the last round; false: there are no two. */
static bool find_ends(const struct curve *curve, size_t *first, size_t *last, int *last_round)
{
    bool found = false;
    *first = *last = 0;
    *last_round = 0;
    for (size_t i = 0; i < curve->n_cells; i++) {
        const double context = context_of(curve->cells[i]);
        if (curve->begin[i] == curve->begin[i + 1] || isnan(context))
            continue;
        *first = !found || context < context_of(curve->cells[*first]) ? i : *first;
        *last = !found || context > context_of(curve->cells[*last]) ? i : *last;
        found = true;
        const int round = curve->rows[curve->begin[i + 1] - 1].round;
        *last_round = round > *last_round ? round : *last_round;
    }
    return *first != *last;
}

static const struct row *find_round(const struct curve *curve, size_t cell, int round)
{
    for (size_t i = curve->begin[cell]; i < curve->begin[cell + 1]; i++)
        if (curve->rows[i].round == round)
            return &curve->rows[i];
    return NULL;
}

/* Median of the slopes of all pairs of the round's cells, in us for figures in ms; NaN: they span less than half of
 * `span`. */
static double slope_of_round(const struct curve *curve, int round, double span)
{
    double *slopes = curve->scratch, widest = 0;
    size_t n = 0;
    for (size_t i = 0; i < curve->n_cells; i++) {
        const struct row *a = find_round(curve, i, round);
        for (size_t k = 0; a && k < i; k++) {
            const double apart = context_of(curve->cells[i]) - context_of(curve->cells[k]);
            const struct row *b = find_round(curve, k, round);
            if (!(fabs(apart) > 0) || !b)
                continue;
            widest = fmax(widest, fabs(apart));
            slopes[n++] = 1e3 * (a->value - b->value) / apart;
        }
    }
    kv_stats_sort(slopes, n);
    return widest >= span / 2 ? kv_stats_median(slopes, n) : NAN;
}

static kv_status find_slope(const struct curve *curve, int last_round, struct kv_trend *trend, struct kv_error *error)
{
    double by_round[KV_EFFECT_MAX_ROUNDS];
    struct kv_effect_middle middle;
    const double span = context_of(trend->last) - context_of(trend->first);
    for (int round = 1; round <= last_round && trend->n < KV_EFFECT_MAX_ROUNDS; round++) {
        by_round[trend->n] = slope_of_round(curve, round, span);
        trend->n += !isnan(by_round[trend->n]);
    }
    const kv_status status = kv_effect_middle(by_round, trend->n, KV_JUDGE_LEVEL, &middle, error);
    trend->slope = middle.value;
    if (isfinite(middle.low))
        trend->interval = (struct kv_stats_interval){middle.low, middle.high};
    return status;
}

/* The rows of a cell as a sample; the caller frees what it returns. Errors: MEMORY. */
static kv_status sample_of(const struct curve *curve, size_t cell, struct kv_sample *sample, void **memory,
                           struct kv_error *error)
{
    const size_t begin = curve->begin[cell], n = curve->begin[cell + 1] - begin;
    struct kv_round_value *rounds = malloc((n + 1) * (sizeof *rounds + sizeof(double)));
    double *values = (double *)(rounds + n);
    *memory = rounds;
    if (!rounds)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a trend: close other programs");
    for (size_t i = 0; i < n; i++) {
        rounds[i] = (struct kv_round_value){curve->rows[begin + i].round, curve->rows[begin + i].value};
        values[i] = rounds[i].value;
    }
    *sample = (struct kv_sample){.n = n};
    kv_sample_describe(sample, values, rounds, true);
    return KV_OK;
}

/* The longest context against the shortest. */
static kv_status judge_ends(const struct curve *curve, size_t first, size_t last, struct kv_trend *trend,
                            struct kv_error *error)
{
    struct kv_sample samples[2];
    void *memory[2] = {NULL, NULL};
    kv_status status = sample_of(curve, first, &samples[0], &memory[0], error);
    if (!status)
        status = sample_of(curve, last, &samples[1], &memory[1], error);
    if (!status)
        status = kv_judge_samples(&samples[0], &samples[1], false, KV_JUDGE_THRESHOLD, &trend->ends, error);
    free(memory[0]);
    free(memory[1]);
    return status;
}

static kv_status describe_points(const struct curve *curve, struct kv_trend_point *points, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t cell = 0; !status && cell < curve->n_cells; cell++) {
        struct kv_sample sample;
        void *memory;
        status = sample_of(curve, cell, &sample, &memory, error);
        if (!status)
            points[cell] = (struct kv_trend_point){sample.median, sample.interval};
        free(memory);
    }
    return status;
}

kv_status kv_results_trend(const struct kv_cell_results *const *cells, size_t n, enum kv_column column,
                           struct kv_trend *trend, struct kv_trend_point *points, struct kv_error *error)
{
    struct curve curve;
    size_t first, last;
    int last_round;
    *trend = (struct kv_trend){.slope = NAN, .interval = {NAN, NAN}, .corrected_to = NAN};
    kv_status status = open_curve(&curve, cells, n, column, error);
    if (status)
        return status;
    if (curve.has_probes)
        correct(&curve, trend);
    if (points)
        status = describe_points(&curve, points, error);
    if (!status && find_ends(&curve, &first, &last, &last_round)) {
        trend->first = cells[first];
        trend->last = cells[last];
        status = find_slope(&curve, last_round, trend, error);
        if (!status)
            status = judge_ends(&curve, first, last, trend, error);
    }
    close_curve(&curve);
    return status;
}
