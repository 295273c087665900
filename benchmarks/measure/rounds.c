/* The opening and the rounds: in which order cells are measured, how often, and what is left out. */
#include "measure/fixture.h"

#include "base/error.h"
#include "base/random.h"
#include "results/effect.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the intervals that precision looks at; the threshold is of a verdict, which it does not look at. */
#define LEVEL     0.05
#define THRESHOLD 0.02

/* ---- Orders ----------------------------------------------------------------------------------------- */

/* Fisher and Yates. */
static void shuffle(int *items, int n, uint64_t key, uint64_t *draw)
{
    for (int i = n - 1; i > 0; i--) {
        const int k = (int)((kv_draw64(key, (*draw)++) >> 32) * (uint64_t)(i + 1) >> 32), kept = items[i];
        items[i] = items[k];
        items[k] = kept;
    }
}

void kv_round_order(const struct kv_plan *plan, uint64_t seed, int round, int *order)
{
    const uint64_t key = kv_draw64(seed, (uint64_t)round);
    uint64_t draw = 0;
    int n = 0;
    /* The first cells of all turns, shuffled, then each with its turn behind it. */
    int *firsts = order + plan->n_cells;
    for (int i = 0; i < plan->n_cells; i++)
        if (i == 0 || plan->cells[i].turn != plan->cells[i - 1].turn)
            firsts[n++] = i;
    shuffle(firsts, n, key, &draw);
    for (int t = 0, at = 0; t < n; t++) {
        const int begin = at;
        for (int i = firsts[t]; i < plan->n_cells && plan->cells[i].turn == plan->cells[firsts[t]].turn; i++)
            order[at++] = i;
        shuffle(order + begin, at - begin, key, &draw);
    }
}

/* ---- Time -------------------------------------------------------------------------------------------- */

/* The files at the end; the limits there take what they took at the start. */
#define END_SECONDS 1.0
/* Limits that took more of the time than this at the start are not measured again: the cells have it instead. */
#define END_SHARE 0.2

double kv_run_time_left(const struct kv_run *run)
{
    if (!(run->settings->time_s > 0))
        return INFINITY;
    const double gone = (double)kv_now_ns() * 1e-9 - run->start_s;
    return run->settings->time_s - gone - (kv_run_has_end(run) ? run->limits_seconds : 0) - END_SECONDS;
}

bool kv_run_has_end(const struct kv_run *run)
{
    return !(run->settings->time_s > 0) || run->limits_seconds <= END_SHARE * run->settings->time_s;
}

bool kv_cell_wants_more(const struct kv_cell_run *cell)
{
    const struct kv_cell_result *result = &cell->result;
    return !result->given_up && (result->n_done < cell->wanted || result->seconds < cell->run->settings->min_time_s);
}

#define MUCH 1e6

/* How early cells are left out where the time does not suffice, and how late they are opened: by what they take. Those
 * of suite parts, which time nothing that the others do not, count as much longer, those that are to be the last as much
 * shorter. */
static double weight_of(const struct kv_cell_run *cell, double seconds)
{
    return cell->cell->accounts ? seconds * MUCH : cell->cell->is_last ? seconds / MUCH : seconds;
}

/* The open cell of which most is left by that weight; -1: none has any left. */
static int longest_cell(const struct kv_run *run, int rounds)
{
    double most = 0;
    int longest = -1;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell_run *cell = &run->cells[i];
        const int wanted = cell->wanted < rounds ? cell->wanted : rounds;
        const double weight = weight_of(cell, kv_predict_seconds(run, i) * (wanted - cell->result.n_done));
        if (!cell->result.given_up && cell->opened && weight > most) {
            most = weight;
            longest = i;
        }
    }
    return longest;
}

const char *kv_cell_leave_out(struct kv_cell_run *cell, int rounds, double seconds, char *text, size_t size)
{
    char time[32];
    cell->skip = true;
    cell->run->n_left_out++;
    if (seconds < 60)
        snprintf(time, sizeof time, "%.2g s", seconds);
    else
        kv_clock_text(seconds, time);
    snprintf(text, size, "left out: its %d round%s would take %s, and --time has %s left; give it more", rounds,
             rounds == 1 ? "" : "s", time, kv_run_time_left(cell->run) > 0 ? "less" : "nothing");
    return text;
}

/* Fewer rounds, and when that is not enough fewer cells, until what is left fits into the time. */
static void fit_into_time(struct kv_run *run)
{
    const double left = kv_run_time_left(run);
    int rounds = run->least_rounds;
    while (rounds > KV_LEAST_ROUNDS && kv_predict_left(run, rounds) > left)
        rounds--;
    for (int i; kv_predict_left(run, rounds) > left && (i = longest_cell(run, rounds)) >= 0;) {
        struct kv_cell_run *cell = &run->cells[i];
        char reason[sizeof cell->result.error];
        const int n = (cell->wanted < rounds ? cell->wanted : rounds) - cell->result.n_done;
        kv_cell_give_up(cell, kv_cell_leave_out(cell, n, kv_predict_seconds(run, i) * n, reason, sizeof reason));
    }
    run->n_rounds_less = run->least_rounds - rounds;
    run->least_rounds = rounds;
    for (int i = 0; i < run->plan->n_cells; i++)
        run->cells[i].wanted = run->cells[i].wanted < rounds ? run->cells[i].wanted : rounds;
}

/* ---- Precision --------------------------------------------------------------------------------------- */

/* The next of 6, 8, 12, 16, 24, 32, ..: looks at counts that grow by a factor. */
static int next_count(int n)
{
    int count = KV_LEAST_ROUNDS;
    for (bool half = false; count <= n; half = !half)
        count = half ? count / 2 * 3 : count / 3 * 4;
    return count;
}

/* How wide the ratio of two cells is, the half of its interval as a part; of the rounds that both were measured in. */
static double width_of(const struct kv_cell_run *a, const struct kv_cell_run *b, double *scratch)
{
    struct kv_effect effect;
    double *of_a = scratch, *of_b = scratch + KV_EFFECT_MAX_ROUNDS;
    size_t n = 0;
    for (int i = 0, k = 0; i < a->result.n_done && k < b->result.n_done && n < KV_EFFECT_MAX_ROUNDS;) {
        const struct kv_round_time *x = &a->times[i], *y = &b->times[k];
        if (x->round == y->round) {
            of_a[n] = x->seconds;
            of_b[n++] = y->seconds;
        }
        i += x->round <= y->round;
        k += y->round <= x->round;
    }
    if (kv_effect_estimate(of_a, of_b, n, LEVEL, THRESHOLD, &effect, NULL) != KV_OK)
        return INFINITY;
    return sqrt(effect.high / effect.low) - 1;
}

/* Looks at the ratios of a turn [begin, end), unless nothing was added since the last look; the turn's first cell keeps
 * what was seen. */
static void look(struct kv_run *run, int begin, int end, double *scratch)
{
    struct kv_cell_run *first = &run->cells[begin];
    int n = 0;
    for (int i = begin; i < end; i++)
        n += run->cells[i].result.n_done;
    if (n == first->n_looked_at)
        return;
    first->n_looked_at = n;
    first->n_wide = 0;
    first->widest = 0;
    for (int i = begin; i < end; i++)
        for (int k = i + 1; k < end; k++) {
            const struct kv_cell_run *a = &run->cells[i], *b = &run->cells[k];
            if (a->result.given_up || b->result.given_up || a->cell->repetitions == 1)
                continue; /* what is measured once is not compared */
            const double width = width_of(a, b, scratch);
            first->n_wide += width > run->settings->precision;
            first->widest = fmax(first->widest, width);
        }
}

/* After a round: turns whose cells have come to where they are looked at, and whose ratios are still too wide, go on to
 * the next count. Widths alone are looked at, so that no verdict is waited for. */
static kv_status add_rounds(struct kv_run *run, struct kv_error *error)
{
    const struct kv_plan *plan = run->plan;
    double *scratch = malloc(2 * KV_EFFECT_MAX_ROUNDS * sizeof *scratch);
    if (!scratch)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d rounds: close other programs", KV_EFFECT_MAX_ROUNDS);
    run->n_wide = 0;
    run->widest = 0;
    for (int begin = 0, end; begin < plan->n_cells; begin = end) {
        const struct kv_cell_run *first = &run->cells[begin];
        bool due = true;
        for (end = begin; end < plan->n_cells && plan->cells[end].turn == plan->cells[begin].turn; end++)
            due &= !kv_cell_wants_more(&run->cells[end]);
        if (due)
            look(run, begin, end, scratch);
        for (int i = begin; due && first->n_wide && i < end; i++)
            if (run->cells[i].wanted < KV_EFFECT_MAX_ROUNDS)
                run->cells[i].wanted = next_count(run->cells[i].wanted);
        run->n_wide += first->n_wide;
        run->widest = fmax(run->widest, first->widest);
    }
    free(scratch);
    return KV_OK;
}

/* ---- Measuring --------------------------------------------------------------------------------------- */

static kv_status run_registered(struct kv_run *run, size_t *n_matched, struct kv_error *error)
{
    kv_status status = gb_run(n_matched, error);
    gb_clear();
    if (!status && run->broken) {
        status = run->broken;
        if (error)
            *error = run->broken_error;
    }
    return status;
}

struct size {
    double weight;
    int cell;
};

static int by_size(const void *a, const void *b)
{
    const struct size *x = a, *y = b;
    return x->weight != y->weight ? (x->weight < y->weight ? -1 : 1) : (x->cell > y->cell) - (x->cell < y->cell);
}

/* Opens every cell that has something left, by weight: what it finds of small ones says what larger ones will take.
 * Cells that --benchmark_filter leaves out stay closed. */
static kv_status open_cells(struct kv_run *run, struct kv_error *error)
{
    const int n = run->plan->n_cells;
    struct size *sizes = calloc((size_t)n + 1, sizeof *sizes);
    kv_status status = sizes ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for a run of %d cells", n);
    for (int i = 0; !status && i < n; i++)
        sizes[i] = (struct size){weight_of(&run->cells[i], kv_predict_seconds(run, i) * run->cells[i].wanted), i};
    if (!status)
        qsort(sizes, (size_t)n, sizeof *sizes, by_size);
    for (int i = 0; !status && i < n; i++)
        if (kv_cell_wants_more(&run->cells[sizes[i].cell]) ||
            (run->settings->precision > 0 && !run->cells[sizes[i].cell].result.given_up))
            status = kv_cell_register(&run->cells[sizes[i].cell], error);
    free(sizes);
    run->round = 0;
    if (!status)
        status = run_registered(run, NULL, error);
    run->all_opened = true;
    return status;
}

/* One round of what has not been measured in it; *more: some cell wants to be measured in this or in another one. */
static kv_status measure_round(struct kv_run *run, int *order, bool *more, struct kv_error *error)
{
    kv_status status = KV_OK;
    int n = 0, n_done = 0;
    *more = false;
    kv_round_order(run->plan, run->settings->seed, run->round, order);
    for (int i = 0; !status && i < run->plan->n_cells; i++) {
        struct kv_cell_run *cell = &run->cells[order[i]];
        n_done += cell->result.last_round == run->round;
        if (!cell->opened || !kv_cell_wants_more(cell))
            continue;
        *more = true;
        if (cell->result.last_round >= run->round)
            continue;
        status = kv_cell_register(cell, error);
        n++;
    }
    run->place = n_done; /* of a round that an earlier part of the run began */
    return status || !n ? status : run_registered(run, NULL, error);
}

kv_status kv_rounds_measure(struct kv_run *run, struct kv_error *error)
{
    const struct kv_plan *plan = run->plan;
    int *order = calloc(2 * (size_t)plan->n_cells + 1, sizeof *order);
    int first = 1;
    if (!order)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a run of %d cells", plan->n_cells);
    for (int i = 0; i < plan->n_cells; i++)
        first = run->cells[i].result.last_round > first ? run->cells[i].result.last_round : first;
    kv_status status = KV_OK;
    if (run->settings->precision > 0) /* of what an earlier part of the run has */
        status = add_rounds(run, error);
    if (!status)
        status = open_cells(run, error);
    if (!status && !gb_stop_requested())
        fit_into_time(run);
    bool more = true;
    for (run->round = first; !status && more && !gb_stop_requested() && !run->time_over; run->round++) {
        status = measure_round(run, order, &more, error);
        if (!status && run->settings->precision > 0)
            status = add_rounds(run, error);
    }
    free(order);
    kv_progress_end(run);
    return status;
}
