/* What the machine can do just now, and what it did meanwhile.
 *
 *   probe    a few milliseconds of reading beyond the caches, then as many of fused products, on all threads of a pool
 *   counts   what the operating system has counted up to a moment; two of them say what happened between
 *
 * What is unknown is NaN.
 *   thread safety  a prober belongs to one thread at a time, as its pools; the other functions keep no state
 *   root           as in machine.h */
#ifndef KV_MACHINE_PROBE_H
#define KV_MACHINE_PROBE_H

#include "base/memory.h"
#include "machine/machine.h"

/* ---- Probes ----------------------------------------------------------------------------------------- */

/* Rates of all threads of the pool together, as those of struct kv_limits. */
struct kv_probe {
    double read_bytes_per_s;
    double fma_flop_per_s;
};

struct kv_prober;

/* Allocates and touches what the probes of all pools read, kv_beyond_caches of that pool's threads: each probe reads a
 * few ms of it and the next one goes on behind, so that no cache holds what is read. Errors: as kv_limits_measure. */
kv_status kv_prober_create(struct kv_prober **prober, struct kv_pool *pool, const char *isa, struct kv_error *error);
void kv_prober_free(struct kv_prober *prober);
/* What it reads. */
const struct kv_block *kv_prober_buffer(const struct kv_prober *prober);

/* Whether a probe may be taken: 19 times as long as the last one took has passed since its end, so that probes take no
 * more than 5 % of the time. */
bool kv_prober_due(const struct kv_prober *prober);
/* Seconds since the end of the last one, INFINITY before the first. */
double kv_prober_age(const struct kv_prober *prober);

void kv_prober_take(struct kv_prober *prober, struct kv_pool *pool, struct kv_probe *probe);

/* ---- Counts ----------------------------------------------------------------------------------------- */

struct kv_counts {
    double seconds;          /* of CLOCK_MONOTONIC */
    struct kv_cpu_time cpu;  /* of the whole machine */
    double pressure_seconds; /* in which something waited for a CPU: "some" of /proc/pressure/cpu */
    double switches;         /* involuntary ones, of this process's threads */
    double page_faults;      /* of this process */
};

struct kv_strain {
    double seconds;
    double stolen_pct; /* of the CPU time of the whole machine */
    double cpu_ticks;  /* which is counted in so many; few make a coarse part */
    double pressure_pct;
    double switches, page_faults;
};

void kv_counts_read(struct kv_counts *counts, const char *root);
struct kv_strain kv_strain_between(const struct kv_counts *start, const struct kv_counts *end);

/* Mean clock of the CPUs, of the first 16 at most, as scaling_cur_freq tells it. */
double kv_clock_hz(const char *root);

#endif
