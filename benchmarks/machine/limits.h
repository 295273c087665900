/* What this machine can do at most, measured: reading main memory, and multiplying and adding in registers.
 * Work on more data than the caches hold can be no faster than these two allow, so they stand beside every figure. */
#ifndef KV_MACHINE_LIMITS_H
#define KV_MACHINE_LIMITS_H

#include "base/memory.h"
#include "kvbench.h"

/* Rates of all threads of the pool together; an FMA counts as two flops. The best pass is the limit; a median far
 * below it says that the machine was doing something else as well. On a virtual machine whose host moves its CPUs
 * between cores the bandwidth itself may change, up to twofold, from one minute to the next: measure before and
 * after the work that is held against it. */
struct kv_limits {
    int threads;
    const char *isa; /* instruction-set level of the kernels, a static string */
    double read_bytes_per_s;
    double read_bytes_per_s_median;
    double fma_flop_per_s;
    double fma_flop_per_s_median;
};

/* Measures both, 5 passes each, in less than a second on two cores; where a host backs a virtual machine's memory only at
 * first use, in a few.
 *   isa      "portable", "avx2", "avx512" or "amx"; NULL: the highest that this CPU supports. The portable level uses only
 *            what every CPU of the architecture has: on x86-64 a multiplication and an addition in place of the FMA
 *   buffer   of kv_pass_buffer for a pool of as many threads; NULL: one is made, and freed again
 *   limits   unchanged after an error
 * The read buffer is max(512 MiB, 4 x the L3 caches that so many threads can occupy); every thread streams the share
 * that it touched first, and page faults are outside the timed region.
 * Thread safety: as the pool; other load on the machine lowers what is measured.
 * Errors: ARGUMENT (unknown isa), UNSUPPORTED (not on this CPU), MEMORY (for the buffer). */
kv_status kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                            struct kv_limits *limits, struct kv_error *error);

/* The least seconds that work moving `bytes` from memory and doing `flops` can take:
 *   max(bytes / read_bytes_per_s, flops / fma_flop_per_s)
 * the roofline of S. Williams, A. Waterman and D. Patterson, "Roofline: An Insightful Visual Performance Model for
 * Multicore Architectures", Communications of the ACM 52(4), 2009, solved for time. Memory traffic and arithmetic are
 * taken to overlap fully. What a cache still holds does not count among the bytes: a model or KV cache that fits can
 * be faster than a limit that counts it. Both rates must be positive. */
double kv_limit_seconds(const struct kv_limits *limits, double bytes, double flops);

#endif
