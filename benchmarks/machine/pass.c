#include "machine/pass.h"

#include "base/error.h"
#include "machine/machine.h"

#include <time.h>

#define LEAST_BYTES     ((size_t)512 << 20)
#define HUGE_PAGE_BYTES ((size_t)2 << 20)
enum { CACHES_PER_BUFFER = 4 };

size_t kv_beyond_caches(int n_threads)
{
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    if (machine.l3.bytes <= 0 || machine.l3.instances <= 0)
        return LEAST_BYTES;
    const int occupied = machine.l3.instances < n_threads ? machine.l3.instances : n_threads;
    const size_t beyond = CACHES_PER_BUFFER * (size_t)machine.l3.bytes * (size_t)occupied;
    return beyond > LEAST_BYTES ? beyond : LEAST_BYTES;
}

struct touch {
    const struct kv_block *block;
    int n_ranks;
};

static void touch_job(void *argument, int rank)
{
    const struct touch *touch = argument;
    const size_t n = touch->block->bytes / sizeof(float) / (size_t)touch->n_ranks;
    float *share = (float *)(void *)touch->block->base + (size_t)rank * n;
    for (size_t i = 0; i < n; i++)
        share[i] = 1.0f;
}

kv_status kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error)
{
    struct touch touch = {block, kv_pool_size(pool)};
    struct kv_layout layout = {0};
    const size_t n = (size_t)touch.n_ranks;
    kv_layout_add(&layout, n, (kv_beyond_caches(touch.n_ranks) / n + HUGE_PAGE_BYTES - 1) / HUGE_PAGE_BYTES,
                  HUGE_PAGE_BYTES);
    if (kv_block_allocate(block, &layout, "limits", NULL) != KV_OK)
        return kv_fail(error, KV_ERROR_MEMORY,
                       "limits: reading beyond all caches takes a buffer of %zu MiB of memory; free as much",
                       layout.bytes >> 20);
    kv_pool_run(pool, touch_job, &touch);
    return KV_OK;
}

/* ---- Timed passes --------------------------------------------------------------------------------- */

struct pass {
    struct kv_pool *pool;
    const struct kv_probe_kernels *kernels;
    const float *data; /* NULL: products */
    size_t share, rounds;
    struct {
        double start, end; /* seconds of CLOCK_MONOTONIC */
        double value;      /* of the kernel: kept, so that no compiler can drop the work */
    } results[KV_MAX_THREADS];
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* x = -1 x + 1: every value alternates between x and 1 - x, so none becomes denormal, infinite or constant. */
static void pass_job(void *argument, int rank)
{
    struct pass *pass = argument;
    kv_pool_barrier(pass->pool);
    pass->results[rank].start = now();
    pass->results[rank].value = pass->data ? pass->kernels->sum(pass->data + (size_t)rank * pass->share, pass->share)
                                           : pass->kernels->multiply_add(-1.0f, 1.0f, pass->rounds);
    pass->results[rank].end = now();
}

static double run(struct pass *pass)
{
    kv_pool_run(pass->pool, pass_job, pass);
    double start = pass->results[0].start, end = pass->results[0].end;
    for (int rank = 1; rank < kv_pool_size(pass->pool); rank++) {
        start = pass->results[rank].start < start ? pass->results[rank].start : start;
        end = pass->results[rank].end > end ? pass->results[rank].end : end;
    }
    return end - start;
}

double kv_pass_read(struct kv_pool *pool, const struct kv_probe_kernels *kernels, const float *data, size_t share)
{
    return run(&(struct pass){.pool = pool, .kernels = kernels, .data = data, .share = share});
}

double kv_pass_multiply_add(struct kv_pool *pool, const struct kv_probe_kernels *kernels, size_t rounds)
{
    return run(&(struct pass){.pool = pool, .kernels = kernels, .rounds = rounds});
}
