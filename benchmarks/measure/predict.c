/* How long the rest will take, and what is said of it meanwhile. */
#include "measure/fixture.h"

#include <stdio.h>
#include <string.h>

/* Of the limits, what an untried arm is taken to reach, and the limits when they are unknown. */
#define USUAL_SHARE 0.5
static const struct kv_limits slow_machine = {
    .threads = 1, .isa = "", .read_bytes_per_s = 10e9, .fma_flop_per_s = 50e9};

/* Gate and warm-up beside the repetitions of a generation, in units of one repetition, when it is short and when long.
 */
#define OPENING_SHORT 3.0
#define OPENING_LONG  0.3
#define SHORT_SECONDS 2.0

static double least_seconds(const struct kv_run *run, int index)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    const struct kv_limits *limits = kv_run_limits(run, cell->arm.threads);
    return run->cells[index].fixture->least_seconds(run, cell, limits ? limits : &slow_machine);
}

/* The same work by the same arm, at whatever size. */
static bool is_like(const struct kv_cell *a, const struct kv_cell *b)
{
    return a->kind == b->kind && (a->kind == KV_KIND_GENERATION || strcmp(a->point.shape, b->point.shape) == 0) &&
           kv_arms_equal(&a->arm, &b->arm);
}

static bool is_same_size(const struct kv_point *a, const struct kv_point *b)
{
    return a->batch == b->batch && a->n_prompt == b->n_prompt && a->n_new == b->n_new && a->rows == b->rows &&
           a->n_context == b->n_context;
}

/* Of one call. */
static double predict_call(const struct kv_run *run, int index)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    double measured = 0, ideal = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell_result *result = &run->cells[i].result;
        if (!result->n_done || !is_like(cell, &run->plan->cells[i]))
            continue;
        if (is_same_size(&cell->point, &run->plan->cells[i].point))
            return result->call_seconds / result->n_done;
        measured += result->call_seconds;
        ideal += result->n_done * least_seconds(run, i);
    }
    return least_seconds(run, index) * (ideal > 0 ? measured / ideal : 1 / USUAL_SHARE);
}

double kv_predict_seconds(const struct kv_run *run, int index)
{
    const double call = predict_call(run, index), fill = 2 * run->settings->kernel_min_time_s;
    /* Finding out how many calls fill the time takes as long as they do. */
    return run->cells[index].fixture->calls || call > fill ? call : fill;
}

double kv_predict_left(const struct kv_run *run)
{
    double left = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell_result *result = &run->cells[i].result;
        const int n_left = run->plan->cells[i].repetitions - result->n_done;
        if (result->given_up || n_left <= 0)
            continue;
        const double seconds = kv_predict_seconds(run, i);
        left += seconds * n_left;
        if (result->n_done == 0 && run->plan->cells[i].kind == KV_KIND_GENERATION)
            left += seconds * (seconds < SHORT_SECONDS ? OPENING_SHORT : OPENING_LONG);
    }
    return left;
}

/* ---- Progress --------------------------------------------------------------------------------------- */

static void print_bar(const struct kv_run *run)
{
    enum { WIDTH = 24 };
    char bar[WIDTH + 1];
    for (int i = 0; i < WIDTH; i++)
        bar[i] = i < (long)run->n_finished * WIDTH / run->n_total ? '#' : '.';
    bar[WIDTH] = '\0';
    fprintf(stderr, "\r\033[K[%s] ", bar);
}

/* Of the arm, what more than one value is measured of; the path is said anyway, as are a kernel's backend and level. */
static void print_arm(const struct kv_cell_run *cell)
{
    char text[KV_AXIS_TEXT_SIZE];
    for (int i = 0; kv_axis_at(i); i++) {
        const struct kv_axis *axis = kv_axis_at(i);
        if (axis->column == KV_COLUMN_PATH || !*kv_axis_text(axis, &cell->cell->arm, text) ||
            !kv_plan_varies(cell->run->plan, cell->cell->kind, axis) ||
            (cell->cell->kind != KV_KIND_GENERATION && axis->choice))
            continue;
        fprintf(stderr, ", %s %s", kv_column_info(axis->column)->name, text);
    }
}

void kv_progress(const struct kv_cell_run *cell)
{
    const struct kv_run *run = cell->run;
    char left[32], text[KV_CELL_TEXT_SIZE];
    if (run->settings->progress == KV_PROGRESS_NONE)
        return;
    if (run->settings->progress == KV_PROGRESS_BAR)
        print_bar(run);
    cell->fixture->describe(cell->cell, text);
    fprintf(stderr, "%d/%d, %s left; %s: %s", run->n_finished, run->n_total, kv_clock_text(kv_predict_left(run), left),
            cell->cell->suite, text);
    print_arm(cell);
    if (cell->result.given_up) {
        fprintf(stderr, " %s: %s", cell->result.failed ? "failed" : "skipped", cell->result.error);
    } else {
        cell->fixture->tell(cell, text);
        fprintf(stderr, " %d/%d: %s", cell->result.n_done, cell->cell->repetitions, text);
    }
    /* What was given up stays on the screen; a bar is drawn over by the next one. */
    if (run->settings->progress == KV_PROGRESS_LINES || cell->result.given_up)
        fputc('\n', stderr);
}

void kv_progress_end(const struct kv_run *run)
{
    if (run->settings->progress == KV_PROGRESS_BAR)
        fputs("\r\033[K", stderr);
}
