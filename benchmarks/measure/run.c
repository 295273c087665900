#include "measure/fixture.h"

#include "base/error.h"
#include "results/columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_fixture *fixture_of(enum kv_kind kind)
{
    static const struct kv_fixture *const fixtures[KV_N_KINDS] = {
        [KV_KIND_GENERATION] = &kv_generation_fixture,
        [KV_KIND_MATMUL] = &kv_matmul_fixture,
        [KV_KIND_ATTENTION] = &kv_attention_fixture,
    };
    return fixtures[kind];
}

/* ---- What a run holds ------------------------------------------------------------------------------- */

kv_status kv_run_open(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                      struct kv_error *error)
{
    *run = (struct kv_run){.settings = settings, .plan = plan};
    run->cells = calloc((size_t)plan->n_cells + 1, sizeof *run->cells); /* a plan without cells is no failure */
    if (!run->cells)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a run of %d cells", plan->n_cells);
    for (int i = 0; i < plan->n_cells; i++) {
        run->cells[i].run = run;
        run->cells[i].cell = &plan->cells[i];
        run->cells[i].fixture = fixture_of(plan->cells[i].kind);
        run->n_total += plan->cells[i].repetitions;
    }
    return KV_OK;
}

static void close_cell(struct kv_cell_run *cell)
{
    if (cell->state)
        cell->fixture->close(cell);
    cell->state = NULL;
}

void kv_run_free(struct kv_run *run)
{
    for (int i = 0; run->cells && i < run->plan->n_cells; i++)
        close_cell(&run->cells[i]);
    kv_rows_close(run);
    free(run->cells);
    kv_references_free(run->references);
    kv_kernel_memory_free(run->kernel_memory);
    for (int i = 0; i < run->n_models; i++)
        kv_model_free(run->models[i]);
    for (int i = 0; i <= KV_MAX_THREADS; i++)
        kv_pool_free(run->pools[i]);
    *run = (struct kv_run){0};
}

kv_status kv_run_pool(struct kv_run *run, int threads, struct kv_pool **pool, struct kv_error *error)
{
    const bool possible = threads >= 1 && threads <= KV_MAX_THREADS;
    kv_status status = KV_OK;
    if (!possible)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%d threads: use 1 to %d", threads, KV_MAX_THREADS);
    if (!run->pools[threads])
        status = kv_pool_create(&run->pools[threads], threads, error);
    *pool = run->pools[threads];
    return status;
}

kv_status kv_run_model(struct kv_run *run, const char *weights, const char *gemm, struct kv_pool *pool,
                       const struct kv_model **model, struct kv_error *error)
{
    const struct kv_matmul_backend *backend;
    kv_status status = kv_matmul_find(gemm, &backend, error);
    if (status)
        return status;
    for (int i = 0; i < run->n_models; i++) {
        *model = run->models[i];
        if (run->layouts[i] == backend->layout && strcmp(kv_model_format(*model), weights) == 0)
            return KV_OK;
    }
    if (run->n_models == KV_MAX_MODELS)
        return kv_fail(error, KV_ERROR_MEMORY, "more than %d weight formats in one run", KV_MAX_MODELS);
    struct kv_model *loaded;
    status = run->settings->load(run->settings->load_context, weights, gemm, pool, &loaded, error);
    if (status)
        return status;
    run->layouts[run->n_models] = backend->layout;
    run->models[run->n_models++] = loaded;
    *model = loaded;
    return KV_OK;
}

/* ---- Limits ----------------------------------------------------------------------------------------- */

const struct kv_limits *kv_run_limits(const struct kv_run *run, int threads)
{
    return threads >= 1 && threads <= KV_MAX_THREADS && run->limits[threads].threads ? &run->limits[threads] : NULL;
}

/* A machine without the memory for it leaves the limits unknown. */
static kv_status measure_limits_of(struct kv_run *run, int threads, const char *moment, struct kv_limits *limits,
                                   struct kv_error *error)
{
    struct kv_pool *pool;
    if (limits->threads || gb_stop_requested())
        return KV_OK;
    kv_status status = kv_run_pool(run, threads, &pool, error);
    if (!status && kv_limits_measure(pool, run->settings->limits_isa, limits, NULL) != KV_OK)
        limits->threads = 0;
    else if (!status && run->files[KV_FILE_LIMITS])
        status = kv_rows_write_limits(run, moment, limits, error);
    return status;
}

/* Of every thread count in the plan, at its start or end. */
static kv_status measure_limits(struct kv_run *run, const char *moment, struct kv_limits *limits,
                                struct kv_error *error)
{
    const int otherwise = run->settings->default_threads;
    kv_status status = KV_OK;
    for (int i = 0; !status && i < run->plan->n_cells; i++) {
        const int threads = run->plan->cells[i].arm.threads;
        status = measure_limits_of(run, threads, moment, &limits[threads], error);
    }
    if (!status && run->plan->n_cells == 0)
        status = measure_limits_of(run, otherwise, moment, &limits[otherwise], error);
    return status;
}

kv_status kv_run_measure_limits(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    /* The limits suite: all smaller thread counts, too, by doubling. */
    for (int n = 1; !status && run->plan->limits && n < run->settings->default_threads; n *= 2)
        status = measure_limits_of(run, n, "start", &run->limits[n], error);
    return status ? status : measure_limits(run, "start", run->limits, error);
}

/* ---- One repetition --------------------------------------------------------------------------------- */

static void write_row(struct kv_cell_run *cell, bool measured)
{
    struct kv_run *run = cell->run;
    if (!run->broken)
        run->broken = kv_rows_write(cell, measured, &run->broken_error);
    if (run->broken)
        gb_request_stop();
}

/* The cell is failed or skipped: one row says why, and its other repetitions are passed over. */
static void give_up(struct kv_cell_run *cell, const char *reason)
{
    struct kv_run *run = cell->run;
    struct kv_cell_result *result = &cell->result;
    snprintf(result->error, sizeof result->error, "%s", reason);
    result->given_up = true;
    result->failed = !cell->skip;
    if (result->failed)
        ++*(kv_kind_info(cell->cell->kind)->file == KV_FILE_RUNS ? &run->n_failed : &run->n_kernels_failed);
    if (result->n_done < cell->cell->repetitions)
        run->n_finished += cell->cell->repetitions - result->n_done;
    close_cell(cell);
    cell->newest = cell->row;
    kv_row_set_text(&cell->newest, KV_COLUMN_STATUS, result->failed ? "failed" : "skipped");
    kv_row_set_text(&cell->newest, KV_COLUMN_ERROR, result->error);
    write_row(cell, false);
    kv_progress(cell);
}

static void keep_result(struct kv_cell_run *cell)
{
    struct kv_run *run = cell->run;
    const struct kv_row *row = &cell->newest;
    const double step_ms = row->known[KV_COLUMN_TTPT_MS] ? row->numbers[KV_COLUMN_TTPT_MS] : 0;
    cell->result.n_done++;
    cell->result.seconds += cell->seconds;
    cell->result.call_seconds += cell->call_seconds;
    if (step_ms > 0 && !(run->shortest_step_ms > 0 && run->shortest_step_ms < step_ms))
        run->shortest_step_ms = step_ms;
    run->n_finished++;
    write_row(cell, true);
    kv_progress(cell);
}

/* Whether the cell is predicted to take longer than its budget; the reason in `error`. */
static bool over_budget(struct kv_cell_run *cell, struct kv_error *error)
{
    const double budget = cell->run->settings->cell_budget_s;
    const double seconds = kv_predict_seconds(cell->run, (int)(cell - cell->run->cells)) * cell->cell->repetitions;
    cell->skip = budget > 0 && seconds > budget && !cell->result.n_done;
    if (cell->skip)
        kv_fail(error, KV_ERROR_UNSUPPORTED, "predicted to take %.1f s, the budget of a cell is %.1f s", seconds,
                budget);
    return cell->skip;
}

static void start_row(struct kv_cell_run *cell)
{
    const struct kv_run_settings *settings = cell->run->settings;
    cell->row = (struct kv_row){0};
    kv_cell_describe(cell->cell, &cell->row);
    kv_row_set_text(&cell->row, KV_COLUMN_RUN_ID, settings->run_id);
    kv_row_set_text(&cell->row, KV_COLUMN_MODEL, settings->model_name);
    if (cell->run->n_models)
        kv_row_set_text(&cell->row, KV_COLUMN_WEIGHTS_SOURCE, kv_model_source(cell->run->models[0]));
    cell->fixture->expect(cell);
}

/* The next functions are what Google Benchmark calls. Their errors stay in cell->error. */

static const char *outcome(struct kv_cell_run *cell, kv_status status, const struct kv_error *error)
{
    if (status)
        snprintf(cell->error, sizeof cell->error, "%s", error->message);
    return status ? cell->error : NULL;
}

/* Opens the cell before its first call. */
static const char *prepare(void *context)
{
    struct kv_cell_run *cell = context;
    struct kv_error error = {""};
    if (cell->run->broken || cell->result.given_up)
        return gb_pass_over;
    if (cell->state)
        return NULL;
    start_row(cell);
    return outcome(cell, over_budget(cell, &error) ? KV_ERROR_UNSUPPORTED : cell->fixture->open(cell, &error), &error);
}

static const char *repeat(void *context, int64_t n, double *seconds)
{
    struct kv_cell_run *cell = context;
    struct kv_error error = {""};
    kv_status status = cell->fixture->repeat(cell, n, &cell->seconds, &error);
    if (!status) {
        cell->call_seconds = cell->seconds / (double)n;
        cell->newest = cell->row;
        kv_row_set_number(&cell->newest, KV_COLUMN_REPETITION, cell->result.n_done + 1);
        kv_row_set_text(&cell->newest, KV_COLUMN_STATUS, "ok");
        status = cell->fixture->fill(cell, &error);
    }
    *seconds = cell->seconds;
    return outcome(cell, status, &error);
}

/* Figures that go into the file of --benchmark_out. */
static const struct gb_counter *counters(void *context)
{
    static const enum kv_column columns[KV_MAX_COUNTERS] = {
        KV_COLUMN_TTFT_MS,       KV_COLUMN_TTPT_MS, KV_COLUMN_DECODE_TOK_S, KV_COLUMN_OUTPUT_TOK_S,
        KV_COLUMN_KV_LIVE_BYTES, KV_COLUMN_GFLOPS,  KV_COLUMN_GBYTES_S,     KV_COLUMN_LIMIT_PCT};
    struct kv_cell_run *cell = context;
    int n = 0;
    for (int i = 0; i < KV_MAX_COUNTERS; i++)
        if (cell->newest.known[columns[i]])
            cell->counters[n++] = (struct gb_counter){kv_column_info(columns[i])->name,
                                                      cell->newest.numbers[columns[i]]};
    cell->counters[n] = (struct gb_counter){NULL, 0};
    return cell->counters;
}

static void repeated(void *context, const char *error)
{
    if (error)
        give_up(context, error);
    else
        keep_result(context);
}

/* SUITE/PATH/batch:1/prompt:21/new:50, or SUITE/KERNEL/SHAPE/.., and /AXIS:VALUE for every other axis that has more
 * values than one. */
static void name_cell(const struct kv_cell_run *cell, char *name, size_t size)
{
    static const enum kv_column in_name[] = {KV_COLUMN_PATH, KV_COLUMN_GEMM, KV_COLUMN_ISA};
    const bool is_kernel = cell->cell->kind != KV_KIND_GENERATION;
    char text[KV_CELL_TEXT_SIZE], value[KV_AXIS_TEXT_SIZE];
    cell->fixture->name(cell->cell, text);
    size_t n = (size_t)snprintf(name, size, "%s/%s", cell->cell->suite, text);
    for (int i = 0; kv_axis_at(i); i++) {
        const struct kv_axis *axis = kv_axis_at(i);
        if (axis->column == in_name[0] || (is_kernel && (axis->column == in_name[1] || axis->column == in_name[2])))
            continue;
        if (n < size && kv_plan_varies(cell->run->plan, cell->cell->kind, axis) &&
            *kv_axis_text(axis, &cell->cell->arm, value))
            n += (size_t)snprintf(name + n, size - n, "/%s:%s", kv_column_info(axis->column)->name, value);
    }
}

static kv_status register_cell(struct kv_cell_run *cell, struct kv_error *error)
{
    char name[512];
    name_cell(cell, name, sizeof name);
    return gb_register(
        &(struct gb_benchmark){.name = name,
                               .prepare = prepare,
                               .run = repeat,
                               .counters = counters,
                               .done = repeated,
                               .context = cell,
                               .iterations = cell->fixture->calls,
                               .min_time_s = cell->fixture->calls ? 0 : cell->run->settings->kernel_min_time_s,
                               .unit = cell->fixture->unit},
        error);
}

/* ---- Turns ------------------------------------------------------------------------------------------ */

/* How many repetitions a cell still lacks, by number, or one more by time. */
static int n_missing(const struct kv_cell_run *cell)
{
    const struct kv_cell_result *result = &cell->result;
    if (result->given_up)
        return 0;
    if (result->n_done < cell->cell->repetitions)
        return cell->cell->repetitions - result->n_done;
    return result->seconds < cell->run->settings->min_time_s;
}

/* All that is missing of cells [begin, end), round by round, and in a round arm after arm: an arm that has done more,
 * because the run was stopped between two, waits for the others. */
static kv_status register_rounds(struct kv_run *run, int begin, int end, struct kv_error *error)
{
    int most = 0;
    kv_status status = KV_OK;
    for (int i = begin; i < end; i++)
        most = n_missing(&run->cells[i]) > most ? n_missing(&run->cells[i]) : most;
    for (int left = most; !status && left > 0; left--)
        for (int i = begin; !status && i < end; i++)
            if (n_missing(&run->cells[i]) >= left)
                status = register_cell(&run->cells[i], error);
    return status;
}

static kv_status measure_turn(struct kv_run *run, int begin, int end, struct kv_error *error)
{
    kv_status status = KV_OK;
    size_t n_measured = 1; /* 0 when --benchmark_filter leaves out all that is missing */
    for (bool more = true; more && !status && n_measured && !gb_stop_requested();) {
        status = register_rounds(run, begin, end, error);
        if (!status)
            status = gb_run(&n_measured, error);
        gb_clear();
        more = false;
        for (int i = begin; i < end; i++)
            more |= n_missing(&run->cells[i]) > 0;
    }
    for (int i = begin; i < end; i++)
        close_cell(&run->cells[i]);
    if (!status && run->broken) {
        status = run->broken;
        if (error)
            *error = run->broken_error;
    }
    return status;
}

static kv_status measure_turns(struct kv_run *run, struct kv_error *error)
{
    const struct kv_plan *plan = run->plan;
    kv_status status = KV_OK;
    for (int begin = 0, end; !status && begin < plan->n_cells && !gb_stop_requested(); begin = end) {
        for (end = begin; end < plan->n_cells && plan->cells[end].turn == plan->cells[begin].turn;)
            end++;
        status = measure_turn(run, begin, end, error);
    }
    kv_progress_end(run);
    return status;
}

kv_status kv_run_measure(struct kv_run *run, struct kv_error *error)
{
    kv_status status = kv_rows_open(run, error);
    if (!status && run->settings->resume)
        status = kv_resume(run, error);
    if (!status)
        status = kv_run_measure_limits(run, error);
    if (!status)
        status = measure_turns(run, error);
    if (!status)
        status = measure_limits(run, "end", run->limits_at_end, error);
    kv_rows_close(run);
    if (!status)
        status = kv_datapackage_write(run->settings->folder, error);
    return status;
}

kv_status kv_run_list(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int i = 0; !status && i < run->plan->n_cells; i++)
        status = register_cell(&run->cells[i], error);
    if (!status)
        status = gb_run(NULL, error);
    gb_clear();
    return status;
}

double kv_run_instrument_share(const struct kv_run *run)
{
    return run->shortest_step_ms > 0 ? 100 * kv_clock_cost_ns() * 1e-6 / run->shortest_step_ms : NAN;
}
