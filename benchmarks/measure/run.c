#include "measure/run.h"

#include "base/error.h"
#include "gbench/gbench.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* What a registered benchmark knows: one repetition of one cell. */
struct repetition {
    struct kv_run *run;
    int cell;
    int number; /* from 1 */
};

static void write_row(struct kv_run *run, const struct kv_row *row)
{
    if (!run->broken)
        run->broken = kv_rows_write(run, row, &run->broken_error);
    if (run->broken)
        gb_request_stop();
}

/* The cell is failed or skipped: one row says why, and its other repetitions are passed over. */
static void give_up(struct kv_run *run, int index, bool failed, const char *reason)
{
    struct kv_cell_result *result = &run->results[index];
    snprintf(result->error, sizeof result->error, "%s", reason);
    result->given_up = true;
    result->failed = failed;
    run->n_failed += failed;
    run->n_finished += run->plan->cells[index].repetitions - result->n_done;
    kv_cell_close(&run->states[index]);
    write_row(run, &(struct kv_row){
                       .cell = &run->plan->cells[index],
                       .status = failed ? "failed" : "skipped",
                       .error = result->error,
                   });
    kv_progress(run, index, 0);
}

/* Skips a cell that is predicted to take longer than its budget. */
static bool over_budget(struct kv_run *run, int index)
{
    const struct kv_cell *cell = &run->plan->cells[index];
    const double budget = run->settings->cell_budget_s, seconds = kv_predict_seconds(run, cell) * cell->repetitions;
    char reason[128];
    if (budget <= 0 || seconds <= budget || run->results[index].n_done)
        return false;
    snprintf(reason, sizeof reason, "predicted to take %.1f s, the budget of a configuration is %.1f s", seconds,
             budget);
    give_up(run, index, false, reason);
    return true;
}

static void keep_result(struct kv_run *run, int index, int number, const struct kv_figures *figures, size_t rss_peak)
{
    struct kv_cell_result *result = &run->results[index];
    result->n_done++;
    result->seconds += figures->e2e_ms * 1e-3;
    if (result->n_samples < KV_PROGRESS_SAMPLES) {
        result->ttft_ms[result->n_samples] = figures->ttft_ms;
        result->ttpt_ms[result->n_samples++] = figures->ttpt_ms;
        kv_stats_sort(result->ttft_ms, (size_t)result->n_samples);
        kv_stats_sort(result->ttpt_ms, (size_t)result->n_samples);
    }
    if (figures->ttpt_ms > 0 && !(result->shortest_step_ms > 0 && result->shortest_step_ms < figures->ttpt_ms))
        result->shortest_step_ms = figures->ttpt_ms;
    run->n_finished++;
    write_row(run, &(struct kv_row){
                       .cell = &run->plan->cells[index],
                       .status = "ok",
                       .repetition = number,
                       .state = &run->states[index],
                       .figures = figures,
                       .rss_peak_bytes = rss_peak,
                   });
}

static void set_counters(struct gb_state *gb, const struct kv_figures *f, const struct kv_cell_state *state)
{
    gb_set_counter(gb, "ttft_ms", f->ttft_ms);
    if (!isnan(f->ttpt_ms)) {
        gb_set_counter(gb, "ttpt_ms", f->ttpt_ms);
        gb_set_counter(gb, "decode_tok_s", f->decode_tok_s);
    }
    gb_set_counter(gb, "output_tok_s", f->output_tok_s);
    gb_set_counter(gb, "kv_live_bytes", (double)state->decoder.generation.kv_live_bytes);
}

/* The fixture: one generation, its figures, its row. */
static void measure_repetition(struct gb_state *gb, void *context)
{
    const struct repetition *r = context;
    struct kv_run *run = r->run;
    const struct kv_cell *cell = &run->plan->cells[r->cell];
    struct kv_cell_state *state = &run->states[r->cell];
    struct kv_figures figures;
    struct kv_error error = {""};
    kv_status status = KV_OK;
    if (!state->decoder.session && over_budget(run, r->cell)) {
        gb_skip_with_error(gb, run->results[r->cell].error);
        return;
    }
    if (!state->decoder.session)
        status = kv_cell_open(run, cell, state, &error);
    if (!status) {
        kv_rss_reset_peak();
        gb_begin(gb);
        kv_decoder_reset(&state->decoder, cell->n_new);
        status = kv_decoder_run(&state->decoder, &error);
        gb_end(gb);
    }
    if (!status)
        status = kv_figures_of(&state->decoder.generation, &figures, &error);
    if (status) {
        gb_skip_with_error(gb, error.message);
        give_up(run, r->cell, true, error.message);
        return;
    }
    gb_set_iteration_time(gb, figures.e2e_ms * 1e-3);
    set_counters(gb, &figures, state);
    keep_result(run, r->cell, r->number, &figures, kv_rss_peak());
    kv_progress(run, r->cell, r->number);
}

static kv_status register_repetition(struct repetition *r, struct kv_error *error)
{
    static const char *const names[] = {"batch", "prompt", "new"};
    const struct kv_cell *cell = &r->run->plan->cells[r->cell];
    const int64_t arguments[] = {cell->batch, cell->n_prompt, cell->n_new};
    char name[256];
    snprintf(name, sizeof name, "%s/%s", cell->suite, cell->path);
    const struct gb_benchmark benchmark = {
        .name = name,
        .run = measure_repetition,
        .context = r,
        .arguments = arguments,
        .argument_names = names,
        .n_arguments = 3,
        .iterations = 1,
        .repetitions = 1,
        .clock = GB_MANUAL_TIME,
        .unit = GB_MILLISECONDS,
    };
    return gb_register(&benchmark, error);
}

/* Whether a cell still lacks a repetition, by number or by time. */
static bool wants_more(const struct kv_run *run, int index)
{
    const struct kv_cell_result *result = &run->results[index];
    return !result->given_up &&
           (result->n_done < run->plan->cells[index].repetitions || result->seconds < run->settings->min_time_s);
}

/* The next repetition of every cell of the group [begin, end) that wants one, one path after the other. */
static kv_status measure_round(struct kv_run *run, int begin, int end, size_t *n_measured, struct kv_error *error)
{
    struct repetition *repetitions = calloc((size_t)(end - begin), sizeof *repetitions);
    kv_status status = repetitions ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for a round of repetitions");
    for (int i = begin; !status && i < end; i++) {
        repetitions[i - begin] = (struct repetition){run, i, run->results[i].n_done + 1};
        if (wants_more(run, i))
            status = register_repetition(&repetitions[i - begin], error);
    }
    if (!status)
        status = gb_run(NULL, NULL, n_measured, error);
    gb_clear();
    free(repetitions);
    return status;
}

static kv_status measure_group(struct kv_run *run, int begin, int end, struct kv_error *error)
{
    kv_status status = KV_OK;
    size_t n_measured = 1; /* 0 when --benchmark_filter leaves the group out */
    for (bool more = true; more && !status && n_measured && !gb_stop_requested();) {
        more = false;
        for (int i = begin; i < end; i++)
            more |= wants_more(run, i);
        if (more)
            status = measure_round(run, begin, end, &n_measured, error);
    }
    for (int i = begin; i < end; i++)
        kv_cell_close(&run->states[i]);
    if (!status && run->broken) {
        status = run->broken;
        if (error)
            *error = run->broken_error;
    }
    return status;
}

static kv_status measure_all(struct kv_run *run, struct kv_error *error)
{
    const struct kv_plan *plan = run->plan;
    kv_status status = KV_OK;
    for (int begin = 0, end; !status && begin < plan->n_cells && !gb_stop_requested(); begin = end) {
        for (end = begin; end < plan->n_cells && plan->cells[end].group == plan->cells[begin].group;)
            end++;
        status = measure_group(run, begin, end, error);
    }
    kv_progress_end(run);
    return status;
}

/* The limits suite: all smaller thread counts, by doubling. */
static kv_status measure_fewer_threads(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int n = 1; !status && run->plan->limits && n < kv_pool_size(run->pool) && !gb_stop_requested(); n *= 2) {
        struct kv_pool *pool;
        struct kv_limits limits;
        status = kv_pool_create(&pool, n, error);
        if (!status && kv_limits_measure(pool, run->settings->isa, &limits, NULL) == KV_OK)
            status = kv_rows_write_limits(run, "start", &limits, error);
        kv_pool_free(pool);
    }
    return status;
}

/* The machine's limits, now; a machine without the memory for it leaves them unknown. */
static kv_status measure_limits(struct kv_run *run, const char *moment, struct kv_limits *limits,
                                struct kv_error *error)
{
    if (gb_stop_requested() || kv_limits_measure(run->pool, run->settings->isa, limits, NULL) != KV_OK) {
        limits->threads = 0;
        return KV_OK;
    }
    return kv_rows_write_limits(run, moment, limits, error);
}

static kv_status prepare(struct kv_run *run, struct kv_error *error)
{
    const size_t n = (size_t)run->plan->n_cells + 1; /* a plan without cells is no failure */
    run->states = calloc(n, sizeof *run->states);
    run->results = calloc(n, sizeof *run->results);
    if (!run->states || !run->results)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a run of %zu configurations", n);
    for (int i = 0; i < run->plan->n_cells; i++)
        run->n_total += run->plan->cells[i].repetitions;
    return KV_OK;
}

kv_status kv_run_measure(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_pool *pool, struct kv_error *error)
{
    *run = (struct kv_run){.settings = settings, .plan = plan, .model = model, .pool = pool};
    kv_status status = prepare(run, error);
    if (!status)
        status = kv_rows_open(run, error);
    if (!status && settings->resume)
        status = kv_resume(run, error);
    if (!status)
        status = measure_fewer_threads(run, error);
    if (!status)
        status = measure_limits(run, "start", &run->limits, error);
    if (!status)
        status = measure_all(run, error);
    if (!status && plan->kernels && !gb_stop_requested())
        status = kv_run_measure_kernels(run, error);
    if (!status)
        status = measure_limits(run, "end", &run->limits_at_end, error);
    for (int i = 0; run->states && i < plan->n_cells; i++)
        kv_cell_close(&run->states[i]);
    kv_rows_close(run);
    return status;
}

kv_status kv_run_predict(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_pool *pool, struct kv_error *error)
{
    *run = (struct kv_run){.settings = settings, .plan = plan, .model = model, .pool = pool};
    const kv_status status = prepare(run, error);
    if (!status && kv_limits_measure(pool, settings->isa, &run->limits, NULL) != KV_OK)
        run->limits.threads = 0;
    return status;
}

double kv_run_instrument_share(const struct kv_run *run)
{
    double shortest = INFINITY;
    for (int i = 0; i < run->plan->n_cells; i++)
        if (run->results[i].shortest_step_ms > 0)
            shortest = fmin(shortest, run->results[i].shortest_step_ms);
    return isinf(shortest) ? NAN : 100 * kv_clock_cost_ns() * 1e-6 / shortest;
}

kv_status kv_run_list(const struct kv_plan *plan, struct kv_error *error)
{
    struct repetition *repetitions = calloc((size_t)plan->n_cells + 1, sizeof *repetitions);
    struct kv_run run = {.plan = plan};
    kv_status status = repetitions ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for a list of configurations");
    for (int i = 0; !status && i < plan->n_cells; i++) {
        repetitions[i] = (struct repetition){&run, i, 1};
        status = register_repetition(&repetitions[i], error);
    }
    if (!status)
        status = gb_run(NULL, NULL, NULL, error);
    gb_clear();
    free(repetitions);
    return status;
}

void kv_run_free(struct kv_run *run)
{
    free(run->results);
    free(run->states);
    kv_truths_free(run->truths);
    run->results = NULL;
    run->states = NULL;
    run->truths = NULL;
}
