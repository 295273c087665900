/* The loops of one instruction-set level. The including file defines KV_LANES, the floats of a vector, and
 * KV_CHAINS, how many vectors the registers hold beside two constants. */
#include "machine/limits_kernels.h"

/* may_alias: `sum` reads an array of float through it. */
typedef float kv_vector __attribute__((vector_size(KV_LANES * sizeof(float)), may_alias));

static double sum_of_lanes(const kv_vector *x, int n)
{
    double total = 0;
    for (int i = 0; i < n; i++) {
        for (int lane = 0; lane < KV_LANES; lane++)
            total += (double)x[i][lane];
    }
    return total;
}

static double sum(const float *data, size_t n)
{
    /* Eight sums, so that the additions never wait for each other and memory alone sets the pace. */
    enum { STREAMS = 8 };
    _Static_assert(KV_LIMITS_BLOCK_FLOATS % (STREAMS * KV_LANES) == 0, "a block is whole rounds of the loop");

    const kv_vector *vectors = (const kv_vector *)data;
    kv_vector x[STREAMS] = {0};
    for (size_t i = 0; i < n / KV_LANES; i += STREAMS) {
        for (int s = 0; s < STREAMS; s++)
            x[s] += vectors[i + s];
    }
    return sum_of_lanes(x, STREAMS);
}

static double multiply_add(float factor, float addend, size_t rounds)
{
    kv_vector x[KV_CHAINS];
    for (int c = 0; c < KV_CHAINS; c++)
        x[c] = (kv_vector){0} + (float)(c + 1) / 64;
    const kv_vector a = (kv_vector){0} + factor;
    const kv_vector b = (kv_vector){0} + addend;
    for (size_t round = 0; round < rounds; round++) {
        for (int c = 0; c < KV_CHAINS; c++)
            x[c] = x[c] * a + b;
    }
    return sum_of_lanes(x, KV_CHAINS);
}

#define KV_LIMITS_KERNELS(name)                                                                                        \
    {                                                                                                                  \
        .isa = (name), .chains = KV_CHAINS, .lanes = KV_LANES, .flops_per_round = 2.0 * KV_CHAINS * KV_LANES,          \
        .sum = sum, .multiply_add = multiply_add,                                                                      \
    }
