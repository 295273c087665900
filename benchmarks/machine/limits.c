/* A buffer beyond all caches, and passes over it and over the registers timed across the pool. */
#include "machine/limits.h"

#include "base/error.h"
#include "base/memory.h"
#include "kernels/kernels.h"
#include "machine/machine.h"
#include "results/stats.h"

#include <time.h>

/* More than the largest single last-level cache on sale in 2025 (504 MiB), because a virtual machine may show less than
 * it has: a buffer that a cache holds in part reads faster than memory does. */
#define LEAST_BUFFER_BYTES ((size_t)512 << 20)
#define HUGE_PAGE_BYTES    ((size_t)2 << 20)
#define PASS_SECONDS       0.05
enum { N_PASSES = 9, CACHES_PER_BUFFER = 4 };

struct rank_result {
    double start, end; /* seconds of CLOCK_MONOTONIC */
    double value;      /* of the kernel: kept, so that no compiler can drop the work */
};

struct measurement {
    struct kv_pool *pool;
    const struct kv_probe_kernels *kernels;
    float *data; /* [threads, share] */
    size_t share;
    size_t rounds;
    double (*work)(const struct measurement *measurement, int rank);
    struct rank_result results[KV_MAX_THREADS];
};

struct rate {
    double best, median;
};

static kv_status allocate_buffer(struct measurement *measurement, struct kv_block *block, struct kv_error *error)
{
    const int n_threads = kv_pool_size(measurement->pool);
    size_t bytes = LEAST_BUFFER_BYTES;
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    if (machine.l3.bytes > 0 && machine.l3.instances > 0) {
        const int occupied = machine.l3.instances < n_threads ? machine.l3.instances : n_threads;
        const size_t beyond = CACHES_PER_BUFFER * (size_t)machine.l3.bytes * (size_t)occupied;
        bytes = beyond > bytes ? beyond : bytes;
    }
    const size_t pages = (bytes / (size_t)n_threads + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES;
    struct kv_layout layout = {0};
    kv_layout_add(&layout, (size_t)n_threads, pages, HUGE_PAGE_BYTES);
    if (kv_block_allocate(block, &layout, "limits", NULL) != KV_OK)
        return kv_fail(error, KV_ERROR_MEMORY,
                       "limits: reading beyond all caches takes a buffer of %zu MiB of memory; free as much",
                       layout.bytes >> 20);
    measurement->data = (float *)block->base;
    measurement->share = pages * HUGE_PAGE_BYTES / sizeof(float);
    return KV_OK;
}

/* ---- Timed passes --------------------------------------------------------------------------------- */

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static void pass_job(void *argument, int rank)
{
    struct measurement *measurement = argument;
    struct rank_result *result = &measurement->results[rank];
    kv_pool_barrier(measurement->pool);
    result->start = now();
    result->value = measurement->work(measurement, rank);
    result->end = now();
}

/* Seconds from the first rank's start to the last one's end: one rank's clock would miss what the others did while
 * it waited for a core. */
static double run_pass(struct measurement *measurement)
{
    kv_pool_run(measurement->pool, pass_job, measurement);
    double start = measurement->results[0].start;
    double end = measurement->results[0].end;
    for (int rank = 1; rank < kv_pool_size(measurement->pool); rank++) {
        const struct rank_result *result = &measurement->results[rank];
        start = result->start < start ? result->start : start;
        end = result->end > end ? result->end : end;
    }
    return end - start;
}

static struct rate run_passes(struct measurement *measurement, double units_per_pass)
{
    double seconds[N_PASSES];
    for (int i = 0; i < N_PASSES; i++)
        seconds[i] = run_pass(measurement);
    kv_stats_sort(seconds, N_PASSES);
    return (struct rate){
        .best = units_per_pass / seconds[0],
        .median = units_per_pass / kv_stats_median(seconds, N_PASSES),
    };
}

/* Written, not only read: a page that was never written is one shared page of zeros, which caches hold. */
static void touch_job(void *argument, int rank)
{
    const struct measurement *measurement = argument;
    float *share = measurement->data + (size_t)rank * measurement->share;
    for (size_t i = 0; i < measurement->share; i++)
        share[i] = 1.0f;
}

static double read_share(const struct measurement *measurement, int rank)
{
    return measurement->kernels->sum(measurement->data + (size_t)rank * measurement->share, measurement->share);
}

static struct rate measure_read(struct measurement *measurement)
{
    const double bytes = (double)kv_pool_size(measurement->pool) * (double)measurement->share * (double)sizeof(float);
    kv_pool_run(measurement->pool, touch_job, measurement);
    measurement->work = read_share;
    return run_passes(measurement, bytes);
}

/* x = -1 x + 1: every value alternates between x and 1 - x, so none becomes denormal, infinite or constant. */
static double multiply_add_rounds(const struct measurement *measurement, int rank)
{
    (void)rank;
    return measurement->kernels->multiply_add(-1.0f, 1.0f, measurement->rounds);
}

static struct rate measure_multiply_add(struct measurement *measurement)
{
    measurement->work = multiply_add_rounds;
    measurement->rounds = (size_t)1 << 20;
    double seconds = run_pass(measurement);
    while (seconds < PASS_SECONDS / 4) {
        measurement->rounds *= 2;
        seconds = run_pass(measurement);
    }
    measurement->rounds = (size_t)((double)measurement->rounds * PASS_SECONDS / seconds) + 1;
    return run_passes(measurement, (double)kv_pool_size(measurement->pool) * (double)measurement->rounds *
                                       measurement->kernels->flops_per_round);
}

/* ---- Public --------------------------------------------------------------------------------------- */

kv_status kv_limits_measure(struct kv_pool *pool, const char *isa, struct kv_limits *limits, struct kv_error *error)
{
    struct measurement measurement = {.pool = pool};
    struct kv_block block = {0};
    const struct kv_kernels *level;
    kv_status status = kv_kernels_find(isa, &level, error);
    if (status == KV_OK)
        status = allocate_buffer(&measurement, &block, error);
    if (status != KV_OK)
        return status;

    measurement.kernels = level->probe;
    const struct rate read = measure_read(&measurement);
    kv_block_free(&block);
    const struct rate multiply_add = measure_multiply_add(&measurement);
    *limits = (struct kv_limits){
        .threads = kv_pool_size(pool),
        .isa = level->choice.name,
        .read_bytes_per_s = read.best,
        .read_bytes_per_s_median = read.median,
        .fma_flop_per_s = multiply_add.best,
        .fma_flop_per_s_median = multiply_add.median,
    };
    return KV_OK;
}

double kv_limit_seconds(const struct kv_limits *limits, double bytes, double flops)
{
    const double memory = bytes / limits->read_bytes_per_s;
    const double arithmetic = flops / limits->fma_flop_per_s;
    return memory > arithmetic ? memory : arithmetic;
}
