/* Passes over memory and registers, timed across a pool: what limits.c and probe.c are made of. */
#ifndef KV_MACHINE_PASS_H
#define KV_MACHINE_PASS_H

#include "base/memory.h"
#include "kernels/kernels.h"

/* Bytes that the caches of so many threads cannot hold: max(512 MiB, 4 x the L3 caches that they can occupy). The first
 * is more than the largest single last-level cache on sale in 2025 (504 MiB), because a virtual machine may show less
 * than it has: a buffer that a cache holds in part reads faster than memory does. */
size_t kv_beyond_caches(int n_threads);

/* That many bytes in whole huge pages, each page written by one of the pool's threads: a page that was never written is
 * one shared page of zeros, which caches hold. Errors: MEMORY. */
kv_status kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error);

/* Rank r sums data + r share .. + share floats, a multiple of KV_PROBE_BLOCK each. Seconds from the first rank's start to
 * the last one's end: one rank's clock would miss what the others did while it waited for a core. */
double kv_pass_read(struct kv_pool *pool, const struct kv_probe_kernels *kernels, const float *data, size_t share);

/* The same of so many rounds of fused products on every rank. */
double kv_pass_multiply_add(struct kv_pool *pool, const struct kv_probe_kernels *kernels, size_t rounds);

#endif
