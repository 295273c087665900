/* The plan measured through Google Benchmark, a row of kernels.csv as each repetition is done. */
#include "measure/kernel_suite.h"

#include "base/error.h"
#include "gbench/gbench.h"
#include "measure/measure.h"
#include "machine/machine.h"
#include "results/stats.h"
#include "measure/kernel_cell.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define REPETITIONS          3
#define MIN_TIME_SECONDS     0.05
#define MIN_TIME_QUICK       0.02
#define ASSUMED_READ_BYTES_S 10e9
#define ASSUMED_FLOP_S       30e9 /* a thread */
/* As the read bandwidth of limits.c, which the figures are held against. */
#define LEAST_RING_BYTES ((size_t)512 << 20)
#define CACHES_PER_RING  4

struct span {
    int64_t start_ns, end_ns;
};

struct suite {
    const struct kv_kernel_suite_options *options;
    struct kv_kernel_plan plan;
    int n_threads, repetitions;
    double min_time_s;
    struct kv_block ring;
    size_t cursor; /* items of the ring that were used so far */
    struct kv_kernel_work work;
    int group; /* that work is for, -1: none */
    struct kv_csv_writer *rows;
    struct repetition *registered; /* [n_cells, repetitions] */
    bool *done;                    /* [n_cells, repetitions] */
    int n_done;
    kv_status broken; /* no ring, or the rows cannot be written: nothing more is measured */
    struct kv_error broken_error;
};

/* What a registered benchmark knows. */
struct repetition {
    struct suite *suite;
    struct kv_kernel_cell *cell;
    int number; /* from 1 */
};

/* Calls in one parallel region. */
struct calls {
    const struct suite *suite;
    const struct kv_kernel_cell *cell;
    int64_t n;
    struct span spans[KV_MAX_THREADS];
};

/* ---- The ring and the buffers -------------------------------------------------------------------- */

static size_t ring_bytes(const struct suite *suite)
{
    struct kv_machine machine;
    size_t bytes = LEAST_RING_BYTES;
    if (suite->options->ring_bytes)
        return suite->options->ring_bytes;
    kv_machine_read(&machine, NULL);
    if (machine.l3.bytes > 0 && machine.l3.instances > 0) {
        const int occupied = machine.l3.instances < suite->n_threads ? machine.l3.instances : suite->n_threads;
        const size_t beyond = CACHES_PER_RING * (size_t)machine.l3.bytes * (size_t)occupied;
        bytes = beyond > bytes ? beyond : bytes;
    }
    return bytes;
}

/* This rank's share of n random floats within +- size, none of them denormal. */
static void draw(float *values, size_t n, float size, int rank, int n_ranks)
{
    const size_t end = n * ((size_t)rank + 1) / (size_t)n_ranks;
    struct kv_stats_random random;
    kv_stats_random_seed(&random, (uint64_t)rank);
    for (size_t i = n * (size_t)rank / (size_t)n_ranks; i < end; i++)
        values[i] = (float)(int32_t)(kv_stats_random_next(&random) >> 32) * 0x1p-31f * size;
}

static void fill_ring_job(void *argument, int rank)
{
    const struct suite *suite = argument;
    draw((float *)(void *)suite->ring.base, suite->ring.bytes / sizeof(float),
         1.0f / sqrtf((float)suite->options->config->n_embd), rank, suite->n_threads);
    /* Every group of products has all backends, and they come first. */
    for (int i = 0; i < suite->plan.n_cells && suite->plan.cells[i].group == 0; i++)
        suite->plan.cells[i].backend->prepare_thread();
}

/* Whole items, so that every shape cycles through at least ring_bytes. Made once, and only when something is to be
 * measured. */
static kv_status open_ring(struct suite *suite, struct kv_error *error)
{
    struct kv_layout largest = {0};
    if (suite->ring.base)
        return KV_OK;
    const size_t least = ring_bytes(suite);
    for (int i = 0; i < suite->plan.n_cells; i++) {
        const size_t item_floats = suite->plan.cells[i].item_floats;
        struct kv_layout layout = {0};
        kv_layout_add(&layout, least / sizeof(float) / item_floats + 1, item_floats, sizeof(float));
        largest.bytes = layout.bytes > largest.bytes ? layout.bytes : largest.bytes;
        largest.overflow |= layout.overflow;
    }
    const kv_status status = kv_block_allocate(&suite->ring, &largest, "kernels (weights beyond all caches)", error);
    if (!status)
        kv_pool_run(suite->options->pool, fill_ring_job, suite);
    return status;
}

struct filling {
    struct suite *suite;
    const struct kv_kernel_cell *cell;
};

/* Every page is written, so that no page fault is left for the timed region. */
static void fill_work_job(void *argument, int rank)
{
    const struct filling *job = argument;
    const struct kv_kernel_work *work = &job->suite->work;
    const int n = job->suite->n_threads;
    const size_t end = job->cell->y_floats * ((size_t)rank + 1) / (size_t)n;
    const size_t begin = job->cell->y_floats * (size_t)rank / (size_t)n;
    draw(work->x, job->cell->x_floats, 1.0f, rank, n);
    draw(work->bias, job->cell->bias_floats, 0.1f, rank, n);
    memset(work->y + begin, 0, (end - begin) * sizeof(float));
    memset(work->scores + (size_t)rank * job->cell->scores_floats, 0, job->cell->scores_floats * sizeof(float));
}

/* The buffers of the cell's group, in place of those of another one. */
static kv_status open_work(struct suite *suite, const struct kv_kernel_cell *cell, struct kv_error *error)
{
    if (suite->group == cell->group)
        return KV_OK;
    kv_block_free(&suite->work.block);
    suite->group = -1;
    struct kv_layout layout = {0};
    const size_t x = kv_layout_add(&layout, cell->x_floats, 1, sizeof(float));
    const size_t y = kv_layout_add(&layout, cell->y_floats, 1, sizeof(float));
    const size_t bias = kv_layout_add(&layout, cell->bias_floats, 1, sizeof(float));
    const size_t scores = kv_layout_add(&layout, cell->scores_floats, (size_t)suite->n_threads, sizeof(float));
    struct kv_block block;
    const kv_status status = kv_block_allocate(&block, &layout, "kernels (activations)", error);
    if (status)
        return status;
    suite->work = (struct kv_kernel_work){
        .block = block,
        .x = (float *)(void *)(block.base + x),
        .y = (float *)(void *)(block.base + y),
        .bias = (float *)(void *)(block.base + bias),
        .scores = (float *)(void *)(block.base + scores),
    };
    suite->group = cell->group;
    struct filling job = {suite, cell};
    kv_pool_run(suite->options->pool, fill_work_job, &job);
    return KV_OK;
}

/* ---- The timed region ---------------------------------------------------------------------------- */

static void calls_job(void *argument, int rank)
{
    struct calls *calls = argument;
    const struct suite *suite = calls->suite;
    const struct kv_kernel_cell *cell = calls->cell;
    const float *ring = (const float *)(const void *)suite->ring.base;
    const size_t n_items = suite->ring.bytes / sizeof(float) / cell->item_floats;
    kv_pool_barrier(suite->options->pool);
    calls->spans[rank].start_ns = kv_now_ns();
    for (int64_t i = 0; i < calls->n; i++) {
        const size_t item = (suite->cursor + (size_t)i) % n_items;
        cell->call(cell, &suite->work, ring + item * cell->item_floats, rank, suite->n_threads);
        kv_pool_barrier(suite->options->pool);
    }
    calls->spans[rank].end_ns = kv_now_ns();
}

/* Seconds of n calls. */
static double run_calls(struct suite *suite, const struct kv_kernel_cell *cell, int64_t n)
{
    struct calls calls = {.suite = suite, .cell = cell, .n = n};
    kv_pool_run(suite->options->pool, calls_job, &calls);
    suite->cursor += (size_t)n;
    struct span all = calls.spans[0];
    for (int rank = 1; rank < suite->n_threads; rank++) {
        const struct span *span = &calls.spans[rank];
        all.start_ns = span->start_ns < all.start_ns ? span->start_ns : all.start_ns;
        all.end_ns = span->end_ns > all.end_ns ? span->end_ns : all.end_ns;
    }
    return (double)(all.end_ns - all.start_ns) * 1e-9;
}

static struct kv_kernel_row figures_of(const struct suite *suite, const struct kv_kernel_cell *cell, int repetition,
                                       double seconds)
{
    const struct kv_limits *limits = suite->options->limits;
    struct kv_kernel_row row = cell->row;
    row.repetition = repetition;
    row.seconds = seconds;
    row.gflops = cell->flops / seconds * 1e-9;
    row.gbytes_s = cell->bytes / seconds * 1e-9;
    row.limit_pct = limits ? 100 * kv_limit_seconds(limits, cell->bytes, cell->flops) / seconds : NAN;
    return row;
}

/* Seconds that all of a cell's repetitions take, by the largest size of its kind that was measured before it; 0:
 * unknown. */
static double predict_seconds(const struct suite *suite, const struct kv_kernel_cell *cell)
{
    for (const struct kv_kernel_cell *known = cell; known > suite->plan.cells;) {
        known--;
        if (known->shape == cell->shape && strcmp(known->row.kernel, cell->row.kernel) == 0 &&
            known->backend == cell->backend && known->kernels == cell->kernels && known->call_seconds > 0)
            return known->call_seconds * cell->flops / known->flops * (suite->repetitions + 1);
    }
    return 0;
}

static bool over_budget(const struct suite *suite, struct kv_kernel_cell *cell, struct kv_error *error)
{
    const double budget = suite->options->cell_budget_s, seconds = predict_seconds(suite, cell);
    cell->skipped = budget > 0 && seconds > budget && cell->call_seconds <= 0;
    if (cell->skipped)
        snprintf(error->message, sizeof error->message,
                 "predicted to take %.1f s, the budget of a configuration is %.1f s", seconds, budget);
    return cell->skipped;
}

/* The fixture: as many calls as Google Benchmark asks for. */
static void measure(struct gb_state *gb, void *context)
{
    const struct repetition *r = context;
    struct suite *suite = r->suite;
    struct kv_kernel_cell *cell = r->cell;
    struct kv_error error = {""};
    if (!suite->broken)
        suite->broken = open_ring(suite, &suite->broken_error);
    if (suite->broken || cell->error[0]) {
        gb_skip_with_error(gb, suite->broken ? suite->broken_error.message : cell->error);
        return;
    }
    if (over_budget(suite, cell, &error) || open_work(suite, cell, &error)) {
        gb_skip_with_error(gb, error.message);
        return;
    }
    if (!cell->warm)
        run_calls(suite, cell, 1);
    cell->warm = true;
    const int64_t n = gb_begin(gb);
    const double seconds = run_calls(suite, cell, n);
    gb_end(gb);
    gb_set_iteration_time(gb, seconds);
    const struct kv_kernel_row row = figures_of(suite, cell, r->number, seconds / (double)n);
    cell->call_seconds = row.seconds;
    gb_set_counter(gb, "gflops", row.gflops);
    gb_set_counter(gb, "gbytes_s", row.gbytes_s);
    if (!isnan(row.limit_pct))
        gb_set_counter(gb, "limit_pct", row.limit_pct);
}

/* A configuration that failed or was skipped is one row; its other repetitions are passed over. */
static void keep(const struct gb_row *measured, void *context)
{
    struct suite *suite = context;
    const struct kv_kernel_suite_options *options = suite->options;
    const struct repetition *r = measured->benchmark_context;
    const bool is_new = !suite->broken && !r->cell->error[0];
    struct kv_kernel_row row = figures_of(suite, r->cell, r->number, measured->real_time_s);
    suite->n_done++;
    if (!is_new)
        return;
    if (measured->error) {
        snprintf(r->cell->error, sizeof r->cell->error, "%s", measured->error);
        row.repetition = 0;
        row.skipped = r->cell->skipped;
        row.error = r->cell->error;
    }
    suite->broken = kv_kernel_rows_write(suite->rows, options->run_id, suite->n_threads, &row, &suite->broken_error);
    const struct kv_kernel_progress progress = {&row, suite->n_done, suite->plan.n_cells * suite->repetitions};
    if (options->progress)
        options->progress(&progress, options->progress_context);
}

/* ---- Registration -------------------------------------------------------------------------------- */

static kv_status register_repetition(struct repetition *r, struct kv_error *error)
{
    const struct kv_kernel_row *row = &r->cell->row;
    const int64_t argument = row->context_tokens ? row->context_tokens : row->rows;
    const char *const argument_name = row->context_tokens ? "context" : "rows";
    char name[256];
    snprintf(name, sizeof name, "kernels/%s/%s%s%s/%s", row->kernel, row->shape, row->gemm ? "/" : "",
             row->gemm ? row->gemm : "", row->isa);
    const struct gb_benchmark benchmark = {
        .name = name,
        .run = measure,
        .context = r,
        .arguments = &argument,
        .argument_names = &argument_name,
        .n_arguments = 1,
        .repetitions = 1,
        .min_time_s = r->suite->min_time_s,
        .clock = GB_MANUAL_TIME,
        .unit = GB_MICROSECONDS,
    };
    return gb_register(&benchmark, error);
}

/* Group by group; in a group, repetition by repetition; in a repetition, arm after arm. */
static kv_status register_all(struct suite *suite, struct kv_error *error)
{
    const struct kv_kernel_plan *plan = &suite->plan;
    const int n_repetitions = suite->repetitions;
    kv_status status = KV_OK;
    for (int begin = 0, end; !status && begin < plan->n_cells; begin = end) {
        for (end = begin; end < plan->n_cells && plan->cells[end].group == plan->cells[begin].group;)
            end++;
        for (int number = 1; !status && number <= n_repetitions; number++)
            for (int c = begin; !status && c < end; c++) {
                const size_t i = (size_t)c * (size_t)n_repetitions + (size_t)number - 1;
                suite->registered[i] = (struct repetition){suite, &plan->cells[c], number};
                if (suite->done[i])
                    suite->n_done++;
                else
                    status = register_repetition(&suite->registered[i], error);
            }
    }
    return status;
}

/* ---- The whole ----------------------------------------------------------------------------------- */

static kv_status open_suite(struct suite *suite, const struct kv_kernel_suite_options *options, struct kv_error *error)
{
    *suite = (struct suite){
        .options = options,
        .n_threads = options->pool ? kv_pool_size(options->pool) : 1,
        .repetitions = options->repetitions ? options->repetitions : REPETITIONS,
        .min_time_s = options->min_time_s > 0 ? options->min_time_s
                                              : (options->quick ? MIN_TIME_QUICK : MIN_TIME_SECONDS),
        .group = -1,
    };
    const kv_status status = kv_kernel_plan_make(&suite->plan, options, error);
    if (status)
        return status;
    const size_t n_cells = (size_t)suite->plan.n_cells, n_repetitions = (size_t)suite->repetitions;
    suite->registered = calloc(n_cells * n_repetitions, sizeof *suite->registered);
    suite->done = calloc(n_cells * n_repetitions, sizeof *suite->done);
    if (suite->registered && suite->done)
        return KV_OK;
    return kv_fail(error, KV_ERROR_MEMORY, "kernels: no memory for %d configurations; close other programs",
                   suite->plan.n_cells);
}

static void close_suite(struct suite *suite)
{
    gb_clear();
    kv_csv_close(suite->rows);
    kv_block_free(&suite->work.block);
    kv_block_free(&suite->ring);
    free(suite->registered);
    free(suite->done);
    kv_kernel_plan_free(&suite->plan);
}

kv_status kv_kernel_suite_run(const struct kv_kernel_suite_options *options, struct kv_error *error)
{
    struct suite suite;
    kv_status status = open_suite(&suite, options, error);
    /* The writer comes first: it cuts off the torn last line of a killed run. */
    if (!status)
        status = kv_kernel_rows_open(&suite.rows, options->folder, error);
    if (!status)
        status = kv_kernel_rows_done(&suite.plan, options->folder, suite.n_threads, suite.repetitions, suite.done,
                                     error);
    if (!status)
        status = register_all(&suite, error);
    if (!status)
        status = gb_run(keep, &suite, NULL, error);
    if (!status && suite.broken) {
        status = suite.broken;
        if (error)
            *error = suite.broken_error;
    }
    close_suite(&suite);
    return status;
}

kv_status kv_kernel_suite_list(const struct kv_kernel_suite_options *options, struct kv_error *error)
{
    struct kv_kernel_suite_options once = *options;
    struct suite suite;
    once.repetitions = 1;
    kv_status status = open_suite(&suite, &once, error);
    if (!status)
        status = register_all(&suite, error);
    if (!status)
        status = gb_run(NULL, NULL, NULL, error);
    close_suite(&suite);
    return status;
}

/* A call is taken to run at half its limit, and finding the number of calls to take as long as they do. */
kv_status kv_kernel_suite_expect(const struct kv_kernel_suite_options *options,
                                 struct kv_kernel_expectation *expectation, struct kv_error *error)
{
    struct suite suite;
    const kv_status status = open_suite(&suite, options, error);
    const struct kv_limits assumed = {
        .read_bytes_per_s = ASSUMED_READ_BYTES_S,
        .fma_flop_per_s = ASSUMED_FLOP_S * suite.n_threads,
    };
    const struct kv_limits *limits = options->limits ? options->limits : &assumed;
    *expectation = (struct kv_kernel_expectation){.n_configurations = suite.plan.n_cells};
    for (int i = 0; !status && i < suite.plan.n_cells; i++) {
        const double call = 2 * kv_limit_seconds(limits, suite.plan.cells[i].bytes, suite.plan.cells[i].flops);
        const double repetition = call > 2 * suite.min_time_s ? call : 2 * suite.min_time_s;
        expectation->seconds += call + suite.repetitions * repetition;
    }
    close_suite(&suite);
    return status;
}
