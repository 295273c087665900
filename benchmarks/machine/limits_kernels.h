/* The two measured loops, once per instruction-set level; internal to the limits and their test. */
#ifndef KV_MACHINE_LIMITS_KERNELS_H
#define KV_MACHINE_LIMITS_KERNELS_H

#include <stddef.h>

enum {
    KV_LIMITS_BLOCK_FLOATS = 128,
    KV_LIMITS_ALIGNMENT = 64, /* bytes */
};

struct kv_limits_kernels {
    const char *isa;
    int chains;             /* independent vector accumulators of `multiply_add` */
    int lanes;              /* floats in a vector */
    double flops_per_round; /* 2 chains lanes */

    /* Sum of data [n], n a multiple of KV_LIMITS_BLOCK_FLOATS, aligned to KV_LIMITS_ALIGNMENT. */
    double (*sum)(const float *data, size_t n);

    /* x[c] = (c + 1) / 64 in every lane of chain c, then x = x * factor + addend, `rounds` times; the sum of all x. */
    double (*multiply_add)(float factor, float addend, size_t rounds);
};

extern const struct kv_limits_kernels kv_limits_portable;
#ifdef __x86_64__
extern const struct kv_limits_kernels kv_limits_avx2;
extern const struct kv_limits_kernels kv_limits_avx512;
#endif

#endif
