/* A buffer beyond all caches, and passes over it and over the registers timed across the pool. */
#include "machine/limits.h"

#include "machine/pass.h"
#include "results/stats.h"

#define PASS_SECONDS 0.05
enum { N_PASSES = 5 };

struct rate {
    double best, median;
};

static struct rate rate_of(double seconds[N_PASSES], double units_per_pass)
{
    kv_stats_sort(seconds, N_PASSES);
    return (struct rate){
        .best = units_per_pass / seconds[0],
        .median = units_per_pass / kv_stats_median(seconds, N_PASSES),
    };
}

static struct rate measure_read(struct kv_pool *pool, const struct kv_probe_kernels *kernels,
                                const struct kv_block *block)
{
    const size_t n_ranks = (size_t)kv_pool_size(pool), share = block->bytes / sizeof(float) / n_ranks;
    double seconds[N_PASSES];
    for (int i = 0; i < N_PASSES; i++)
        seconds[i] = kv_pass_read(pool, kernels, (const float *)(const void *)block->base, share);
    return rate_of(seconds, (double)(n_ranks * share * sizeof(float)));
}

static struct rate measure_multiply_add(struct kv_pool *pool, const struct kv_probe_kernels *kernels)
{
    size_t rounds = (size_t)1 << 20;
    double seconds[N_PASSES] = {kv_pass_multiply_add(pool, kernels, rounds)};
    while (seconds[0] < PASS_SECONDS / 4) {
        rounds *= 2;
        seconds[0] = kv_pass_multiply_add(pool, kernels, rounds);
    }
    rounds = (size_t)((double)rounds * PASS_SECONDS / seconds[0]) + 1;
    for (int i = 0; i < N_PASSES; i++)
        seconds[i] = kv_pass_multiply_add(pool, kernels, rounds);
    return rate_of(seconds, (double)kv_pool_size(pool) * (double)rounds * kernels->flops_per_round);
}

kv_status kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                            struct kv_limits *limits, struct kv_error *error)
{
    struct kv_block own = {0};
    const struct kv_kernels *level;
    kv_status status = kv_kernels_find(isa, &level, error);
    if (status == KV_OK && !buffer)
        status = kv_pass_buffer(pool, &own, error);
    if (status != KV_OK)
        return status;
    const struct rate read = measure_read(pool, level->probe, buffer ? buffer : &own);
    kv_block_free(&own);
    const struct rate multiply_add = measure_multiply_add(pool, level->probe);
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
