#include "measure/fixture.h"

#include "base/error.h"
#include "base/memory.h"
#include "machine/machine.h"
#include "results/columns.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Cells stay open in that part of the memory that is free at the start. */
enum { OPEN_CELLS_PART = 4 };

static const struct kv_fixture *fixture_of(const struct kv_cell *cell)
{
    static const struct kv_fixture *const fixtures[KV_N_KINDS] = {
        [KV_KIND_GENERATION] = &kv_generation_fixture,
        [KV_KIND_MATMUL] = &kv_matmul_fixture,
        [KV_KIND_ATTENTION] = &kv_attention_fixture,
        [KV_KIND_QUALITY] = &kv_quality_fixture,
        [KV_KIND_LOAD] = &kv_load_fixture,
    };
    return kv_engine_is_own(cell->arm.engine) ? fixtures[cell->kind] : &kv_engine_fixture;
}

/* ---- What a run holds ------------------------------------------------------------------------------- */

kv_status kv_run_open(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                      struct kv_error *error)
{
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    const size_t available = kv_memory_available();
    *run = (struct kv_run){
        .settings = settings,
        .plan = plan,
        .start_s = (double)kv_now_ns() * 1e-9,
        .open_bytes_most = available / OPEN_CELLS_PART,
        .cache_bytes = machine.l3.bytes > 0 ? (double)machine.l3.bytes * machine.l3.instances : 0,
    };
    run->cells = calloc((size_t)plan->n_cells + 1, sizeof *run->cells); /* a plan without cells is no failure */
    if (!run->cells)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a run of %d cells", plan->n_cells);
    for (int i = 0; i < plan->n_cells; i++) {
        run->cells[i].run = run;
        run->cells[i].cell = &plan->cells[i];
        run->cells[i].fixture = fixture_of(&plan->cells[i]);
        run->cells[i].wanted = plan->cells[i].repetitions;
        run->n_total += plan->cells[i].repetitions;
        run->least_rounds = plan->cells[i].repetitions > run->least_rounds ? plan->cells[i].repetitions
                                                                           : run->least_rounds;
    }
    return KV_OK;
}

void kv_run_free(struct kv_run *run)
{
    for (int i = 0; run->cells && i < run->plan->n_cells; i++) {
        kv_cell_close(&run->cells[i]);
        free(run->cells[i].times);
    }
    kv_rows_close(run);
    kv_prober_free(run->prober);
    kv_probe_histories_free(run);
    free(run->cells);
    kv_references_free(run->references);
    kv_engines_free(run->engines);
    kv_engine_answers_free(run->engine_answers);
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

static kv_status find_model(struct kv_run *run, void *load_context, const char *weights, const char *gemm,
                            struct kv_pool *pool, const struct kv_model **model, struct kv_error *error)
{
    const struct kv_matmul_backend *backend;
    kv_status status = kv_matmul_find(gemm, &backend, error);
    if (status)
        return status;
    for (int i = 0; i < run->n_models; i++) {
        *model = run->models[i];
        if (run->load_contexts[i] == load_context && run->layouts[i] == backend->layout &&
            strcmp(kv_model_format(*model), weights) == 0)
            return KV_OK;
    }
    if (run->n_models == KV_MAX_MODELS)
        return kv_fail(error, KV_ERROR_MEMORY, "more than %d weight formats in one run", KV_MAX_MODELS);
    struct kv_model *loaded;
    status = run->settings->load(load_context, weights, gemm, pool, &loaded, error);
    if (status)
        return status;
    run->layouts[run->n_models] = backend->layout;
    run->load_contexts[run->n_models] = load_context;
    run->models[run->n_models++] = loaded;
    *model = loaded;
    return KV_OK;
}

kv_status kv_run_model(struct kv_run *run, const char *weights, const char *gemm, struct kv_pool *pool,
                       const struct kv_model **model, struct kv_error *error)
{
    return find_model(run, run->settings->load_context, weights, gemm, pool, model, error);
}

kv_status kv_run_text_model(struct kv_run *run, const char *weights, const char *gemm, struct kv_pool *pool,
                            const struct kv_model **model, struct kv_error *error)
{
    return find_model(run, run->settings->text.load_context, weights, gemm, pool, model, error);
}

/* ---- Limits ----------------------------------------------------------------------------------------- */

const struct kv_limits *kv_run_limits(const struct kv_run *run, int threads)
{
    return threads >= 1 && threads <= KV_MAX_THREADS && run->limits[threads].threads ? &run->limits[threads] : NULL;
}

static int most_threads(const struct kv_run *run)
{
    return run->plan->n_cells ? kv_plan_most_threads(run->plan) : run->settings->default_threads;
}

/* A machine without the memory for it leaves the limits unknown. */
static kv_status measure_limits_of(struct kv_run *run, int threads, const char *moment, struct kv_limits *limits,
                                   struct kv_error *error)
{
    struct kv_pool *pool;
    if (limits->threads || gb_stop_requested())
        return KV_OK;
    kv_status status = kv_run_pool(run, threads, &pool, error);
    const bool is_largest = threads == most_threads(run) && run->prober;
    const struct kv_block *buffer = is_largest ? kv_prober_buffer(run->prober) : NULL;
    if (!status && kv_limits_measure(pool, run->settings->limits_isa, buffer, limits, NULL) != KV_OK)
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
    const int64_t start = kv_now_ns();
    struct kv_pool *pool;
    kv_status status = kv_run_pool(run, most_threads(run), &pool, error);
    if (!status && !run->prober)
        (void)kv_prober_create(&run->prober, pool, run->settings->limits_isa, NULL);
    /* The limits suite: all smaller thread counts, too, by doubling. */
    for (int n = 1; !status && run->plan->limits && n < run->settings->default_threads; n *= 2)
        status = measure_limits_of(run, n, "start", &run->limits[n], error);
    if (!status)
        status = measure_limits(run, "start", run->limits, error);
    run->limits_seconds = (double)(kv_now_ns() - start) * 1e-9;
    return status;
}

int kv_run_leave_misfits(struct kv_run *run, struct kv_error *error)
{
    int n = 0;
    for (int i = 0; i < run->plan->n_cells; i++) {
        struct kv_cell_run *cell = &run->cells[i];
        if (!cell->fixture->fit || cell->fixture->fit(cell->cell, run->settings->config, n ? NULL : error) == KV_OK)
            continue;
        cell->result.given_up = true;
        n++;
    }
    return n;
}

/* ---- The whole ----------------------------------------------------------------------------------------- */

/* One that is resumed to be looked at again. */
static bool is_finished(const struct kv_run *run)
{
    bool finished = run->settings->resume && run->plan->n_cells > 0 && !(run->settings->precision > 0);
    for (int i = 0; finished && i < run->plan->n_cells; i++)
        finished = !kv_cell_wants_more(&run->cells[i]);
    return finished;
}

static kv_status measure(struct kv_run *run, struct kv_error *error)
{
    kv_status status = kv_run_measure_limits(run, error);
    if (!status)
        status = kv_rounds_measure(run, error);
    return !status && kv_run_has_end(run) ? measure_limits(run, "end", run->limits_at_end, error) : status;
}

kv_status kv_run_measure(struct kv_run *run, struct kv_error *error)
{
    kv_status status = kv_rows_open(run, error);
    if (!status && run->settings->resume)
        status = kv_resume(run, error);
    if (!status && !is_finished(run))
        status = measure(run, error);
    kv_rows_close(run);
    if (!status)
        status = kv_datapackage_write(run->settings->folder, error);
    return status;
}

kv_status kv_run_list(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int i = 0; !status && i < run->plan->n_cells; i++)
        status = kv_cell_register(&run->cells[i], error);
    if (!status)
        status = gb_run(NULL, error);
    gb_clear();
    return status;
}

double kv_run_instrument_share(const struct kv_run *run)
{
    return run->shortest_step_ms > 0 ? 100 * kv_clock_cost_ns() * 1e-6 / run->shortest_step_ms : NAN;
}
