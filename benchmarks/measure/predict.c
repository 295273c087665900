#include "measure/run.h"

#include <string.h>

/* Of the limits, what an untried path is taken to reach, and the limits when they are unknown. */
#define USUAL_SHARE 0.5
static const struct kv_limits slow_machine = {
    .threads = 1, .isa = "", .read_bytes_per_s = 10e9, .fma_flop_per_s = 50e9};

/* Gate and warm-up beside the repetitions of a cell, in units of one repetition, when it is short and when long. */
#define OPENING_SHORT 3.0
#define OPENING_LONG  0.3
#define SHORT_SECONDS 2.0

static double seconds_at_limits(const struct kv_run *run, const struct kv_cell *cell)
{
    const struct kv_config *config = kv_model_config(run->model);
    const struct kv_limits *limits = run->limits.threads ? &run->limits : &slow_machine;
    const struct kv_session_options options = {.path = cell->path, .batch = cell->batch};
    const char *format = kv_model_format(run->model);
    struct kv_work work = kv_step_work(config, format, &options, 0, cell->n_prompt);
    double seconds = kv_limit_seconds(limits, work.bytes, work.flops);
    if (cell->n_new > 1) { /* a step grows evenly: the one in the middle stands for all */
        work = kv_step_work(config, format, &options, cell->n_prompt + (cell->n_new - 2) / 2, 1);
        seconds += (cell->n_new - 1) * kv_limit_seconds(limits, work.bytes, work.flops);
    }
    return seconds;
}

double kv_predict_seconds(const struct kv_run *run, const struct kv_cell *cell)
{
    double measured = 0, ideal = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell *other = &run->plan->cells[i];
        if (!run->results || !run->results[i].n_done || strcmp(other->path, cell->path) != 0)
            continue;
        if (other->batch == cell->batch && other->n_prompt == cell->n_prompt && other->n_new == cell->n_new)
            return run->results[i].seconds / run->results[i].n_done;
        measured += run->results[i].seconds;
        ideal += run->results[i].n_done * seconds_at_limits(run, other);
    }
    return seconds_at_limits(run, cell) * (ideal > 0 ? measured / ideal : 1 / USUAL_SHARE);
}

double kv_predict_left(const struct kv_run *run)
{
    double left = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell *cell = &run->plan->cells[i];
        const struct kv_cell_result *result = run->results ? &run->results[i] : NULL;
        const int n_done = result ? result->n_done : 0;
        if ((result && result->given_up) || n_done >= cell->repetitions)
            continue;
        const double seconds = kv_predict_seconds(run, cell);
        left += seconds * (cell->repetitions - n_done);
        if (n_done == 0)
            left += seconds * (seconds < SHORT_SECONDS ? OPENING_SHORT : OPENING_LONG);
    }
    return left;
}
