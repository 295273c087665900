#include "run/run.h"

#include <stdio.h>
#include <string.h>

/* How the time of a repetition grows from one cell of a path to another, roughly: by rows, tokens and context. */
static double weight(const struct kv_cell *cell)
{
    return (double)cell->batch * cell->n_new * (cell->n_prompt + cell->n_new / 2.0);
}

static double mean_seconds(const struct kv_cell_result *result)
{
    double sum = 0;
    for (int i = 0; i < result->n_done; i++)
        sum += result->figures[i].e2e_ms * 1e-3;
    return sum / result->n_done;
}

/* Seconds that one repetition of a cell takes: as measured, or by the nearest earlier cell of its path; 0: unknown. */
static double predict(const struct kv_run *run, int cell)
{
    const struct kv_cell *cells = run->plan->cells;
    for (int i = cell; i >= 0; i--)
        if (strcmp(cells[i].path, cells[cell].path) == 0 && run->results[i].n_done)
            return mean_seconds(&run->results[i]) * weight(&cells[cell]) / weight(&cells[i]);
    return 0;
}

static double seconds_left(const struct kv_run *run)
{
    double left = 0;
    for (int i = 0; i < run->plan->n_cells; i++)
        if (!run->results[i].error[0])
            left += predict(run, i) * (run->settings->repetitions - run->results[i].n_done);
    return left;
}

void kv_progress(const struct kv_run *run, int index, int repetition)
{
    if (run->settings->quiet)
        return;
    const struct kv_cell *cell = &run->plan->cells[index];
    const struct kv_cell_result *result = &run->results[index];
    const int total = run->plan->n_cells * run->settings->repetitions;
    fprintf(stderr, "[%*d/%d] %s: batch %d, %s, repetition %d/%d: ", total > 99 ? 3 : 2, run->n_finished, total,
            cell->suite, cell->batch, cell->path, repetition, run->settings->repetitions);
    if (result->error[0]) {
        fprintf(stderr, "failed: %s\n", result->error);
        return;
    }
    const struct kv_figures *f = &result->figures[result->n_done - 1];
    const double left = seconds_left(run);
    fprintf(stderr, "TTFT %.1f ms, TTPT %.2f ms, %.0f tok/s", f->ttft_ms, f->ttpt_ms, f->decode_tok_s);
    if (left >= 90)
        fprintf(stderr, "; about %.0f min left\n", left / 60);
    else
        fprintf(stderr, "; about %.0f s left\n", left);
}
