#include "measure/run.h"

#include "measure/measure.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>

enum { BAR_WIDTH = 24 };

static void print_bar(const struct kv_run *run)
{
    char bar[BAR_WIDTH + 1];
    for (int i = 0; i < BAR_WIDTH; i++)
        bar[i] = i < run->n_finished * BAR_WIDTH / run->n_total ? '#' : '.';
    bar[BAR_WIDTH] = '\0';
    fprintf(stderr, "\r\033[K[%s] ", bar);
}

/* The running medians of a configuration. */
static void print_medians(const struct kv_cell_result *result)
{
    const size_t n = (size_t)result->n_samples;
    const double ttpt_ms = kv_stats_median(result->ttpt_ms, n);
    fprintf(stderr, ": median TTFT %.2f ms", kv_stats_median(result->ttft_ms, n));
    if (!isnan(ttpt_ms))
        fprintf(stderr, ", TTPT %.2f ms", ttpt_ms);
}

void kv_progress(const struct kv_run *run, int index, int repetition)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    const struct kv_cell_result *result = &run->results[index];
    char left[32];
    if (run->settings->progress == KV_PROGRESS_NONE)
        return;
    if (run->settings->progress == KV_PROGRESS_BAR)
        print_bar(run);
    fprintf(stderr, "%d/%d, %s left; %s: batch %d, prompt %d, %s", run->n_finished, run->n_total,
            kv_clock_text(kv_predict_left(run), left), cell->suite, cell->batch, cell->n_prompt, cell->path);
    if (result->given_up) {
        fprintf(stderr, " %s: %s", result->failed ? "failed" : "skipped", result->error);
    } else {
        fprintf(stderr, " %d/%d", repetition, cell->repetitions);
        print_medians(result);
    }
    /* What was given up stays on the screen; a bar is drawn over by the next one. */
    if (run->settings->progress == KV_PROGRESS_LINES || result->given_up)
        fputc('\n', stderr);
}

void kv_progress_end(const struct kv_run *run)
{
    if (run->settings->progress == KV_PROGRESS_BAR)
        fputs("\r\033[K", stderr);
}
