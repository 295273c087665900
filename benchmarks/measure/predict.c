/* How long the rest will take, and what is said of it meanwhile. */
#include "measure/fixture.h"
#include "measure/status_line.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of the limits, what an untried arm is taken to reach, and the limits when they are unknown. */
#define USUAL_SHARE 0.5
static const struct kv_limits slow_machine = {
    .threads = 1, .isa = "", .read_bytes_per_s = 10e9, .fma_flop_per_s = 50e9};

/* Gate and warm-up of a generation, in units of one repetition, when it is short and when long. */
#define OPENING_SHORT 3.0
#define OPENING_LONG  0.5
#define SHORT_SECONDS 2.0
/* Of another engine's: one whole repetition, and the first tokens a few times. */
#define OPENING_ENGINE 1.5

/* Of a repetition's own time, what probes and counts add, and at most a first token that is not timed. */
#define AROUND_SHARE 0.06

static double least_seconds(const struct kv_run *run, int index)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    const struct kv_limits *limits = kv_run_limits(run, cell->arm.threads);
    return run->cells[index].fixture->least_seconds(run, cell, limits ? limits : &slow_machine);
}

/* The same work by the same arm, at whatever size. */
static bool is_like(const struct kv_cell *a, const struct kv_cell *b)
{
    return a->kind == b->kind && (!a->point.shape || strcmp(a->point.shape, b->point.shape) == 0) &&
           kv_arms_equal(&a->arm, &b->arm);
}

static bool is_same_size(const struct kv_point *a, const struct kv_point *b)
{
    return a->batch == b->batch && a->n_prompt == b->n_prompt && a->n_new == b->n_new && a->rows == b->rows &&
           a->n_context == b->n_context;
}

/* Of one call, as the cell's repetitions or its opening told; 0: not yet. */
static double known_call(const struct kv_run *run, int index)
{
    const struct kv_cell_result *result = &run->cells[index].result;
    return result->n_done ? result->call_seconds / result->n_done : result->estimate;
}

static double predict_call(const struct kv_run *run, int index)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    double measured = known_call(run, index), ideal = 0;
    if (measured > 0)
        return measured;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const double known = known_call(run, i);
        if (!(known > 0) || !is_like(cell, &run->plan->cells[i]))
            continue;
        if (is_same_size(&cell->point, &run->plan->cells[i].point))
            return known;
        measured += known;
        ideal += least_seconds(run, i);
    }
    return least_seconds(run, index) * (ideal > 0 ? measured / ideal : 1 / USUAL_SHARE);
}

double kv_predict_seconds(const struct kv_run *run, int index)
{
    const double call = predict_call(run, index), fill = 2 * run->settings->kernel_min_time_s;
    const struct kv_cell *cell = &run->plan->cells[index];
    /* Finding out how many calls fill the time takes as long as they do. */
    const double seconds = run->cells[index].fixture->calls || call > fill ? call : fill;
    const double first = cell->kind == KV_KIND_GENERATION ? seconds / cell->point.n_new : 0;
    return seconds * (1 + AROUND_SHARE) + (first < KV_SETTLE_SECONDS ? first : 0);
}

double kv_predict_opening(const struct kv_run *run, int index)
{
    const double seconds = predict_call(run, index);
    if (run->plan->cells[index].kind == KV_KIND_LOAD)
        return 0; /* it is run once, in its repetition */
    if (run->plan->cells[index].kind != KV_KIND_GENERATION)
        return 2 * seconds;
    if (!kv_engine_is_own(run->plan->cells[index].arm.engine))
        return OPENING_ENGINE * seconds;
    const double first = seconds / run->plan->cells[index].point.n_new;
    return fmax(seconds * (seconds < SHORT_SECONDS ? OPENING_SHORT : OPENING_LONG), 2 * first);
}

double kv_predict_left(const struct kv_run *run, int rounds)
{
    double left = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell_run *cell = &run->cells[i];
        const int n_left = (cell->wanted < rounds ? cell->wanted : rounds) - cell->result.n_done;
        if (cell->result.given_up || n_left <= 0 || (run->all_opened && !cell->opened))
            continue;
        left += kv_predict_seconds(run, i) * n_left;
        if (!run->all_opened && !cell->opened)
            left += kv_predict_opening(run, i);
    }
    return left;
}

/* ---- Progress --------------------------------------------------------------------------------------- */

static void print_bar(FILE *line, const struct kv_run *run)
{
    const int width = kv_status_line_width() < 100 ? 10 : 24;
    fputc('[', line);
    for (int i = 0; i < width; i++)
        fputc(i < (long)run->n_finished * width / run->n_total ? '#' : '.', line);
    fputs("] ", line);
}

/* Of the arm, what more than one value is measured of; the path is said anyway, as are a kernel's backend and level. */
static void print_arm(FILE *line, const struct kv_cell_run *cell)
{
    char text[KV_AXIS_TEXT_SIZE];
    for (int i = 0; kv_axis_at(i); i++) {
        const struct kv_axis *axis = kv_axis_at(i);
        if (axis->column == KV_COLUMN_PATH || !*kv_axis_text(axis, &cell->cell->arm, text) ||
            !kv_plan_varies(cell->run->plan, cell->cell->kind, axis) ||
            (cell->cell->kind != KV_KIND_GENERATION && axis->choice))
            continue;
        fprintf(line, ", %s %s", kv_column_info(axis->column)->name, text);
    }
}

/* What is done, and what there is to do as far as it is known now. */
static void count_repetitions(struct kv_run *run)
{
    run->n_finished = run->n_total = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell_run *cell = &run->cells[i];
        const int planned = cell->wanted > cell->result.n_done ? cell->wanted : cell->result.n_done;
        run->n_total += planned;
        run->n_finished += cell->result.given_up ? planned : cell->result.n_done;
    }
}

static void print_progress(FILE *line, const struct kv_cell_run *cell)
{
    struct kv_run *run = cell->run;
    char left[32], text[KV_CELL_TEXT_SIZE];
    const double seconds = fmin(kv_predict_left(run, INT_MAX), fmax(kv_run_time_left(run), 0));
    cell->fixture->describe(cell->cell, text);
    fprintf(line, "%d/%d, %s left; ", run->n_finished, run->n_total, kv_clock_text(seconds, left));
    if (run->round == 0)
        fputs("opening ", line);
    else
        fprintf(line, "round %d of %d; ", run->round, run->least_rounds > run->round ? run->least_rounds : run->round);
    fprintf(line, "%s: %s", cell->cell->suite, text);
    print_arm(line, cell);
    if (cell->result.given_up) {
        fprintf(line, " %s: %s", cell->result.failed ? "failed" : "skipped", cell->result.error);
    } else if (run->round > 0) {
        cell->fixture->tell(cell, text);
        fprintf(line, " %d/%d: %s", cell->result.n_done, cell->wanted, text);
    }
}

void kv_progress(const struct kv_cell_run *cell)
{
    struct kv_run *run = cell->run;
    const bool has_bar = run->settings->progress == KV_PROGRESS_BAR;
    char *text = NULL;
    size_t n;
    count_repetitions(run);
    if (run->settings->progress == KV_PROGRESS_NONE || (run->round == 0 && !cell->result.given_up && !has_bar))
        return;
    FILE *line = open_memstream(&text, &n);
    if (line && has_bar)
        print_bar(line, run);
    if (line)
        print_progress(line, cell);
    /* What was given up stays on the screen. */
    if (line && fclose(line) == 0 && has_bar)
        kv_status_line(text, cell->result.given_up);
    else if (text)
        fprintf(stderr, "%s\n", text);
    free(text);
}

void kv_progress_end(struct kv_run *run)
{
    count_repetitions(run);
    if (run->settings->progress == KV_PROGRESS_BAR)
        kv_status_line_end();
}
