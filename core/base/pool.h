/* The CPUs that this process may use, and where its threads start on them. */
#ifndef KV_BASE_POOL_H
#define KV_BASE_POOL_H

#include <sched.h>

struct kv_cpus {
    int n_cores, n;
    int order[CPU_SETSIZE]; /* [n]: one CPU of each core [n_cores], then the other CPUs of these cores */
};

/* `first`, where it may be used, comes first; -1: none does. n is 0 when the system does not tell; where it does not
 * tell of cores, every CPU counts as one. */
void kv_cpus_list(struct kv_cpus *cpus, int first);

/* How many CPUs' worth of time the control groups (version 2, cpu.max) of this process allow, its own and those above it:
 * the least of them; 0: as many as it likes. root: a folder that stands for /, NULL: / itself. */
double kv_cpu_quota(const char *root);

/* Threads of that many cores with that quota: as many as can run at once, 1..KV_MAX_THREADS. */
int kv_threads_of(int n_cores, double quota);

/* Moves the calling thread to that CPU without pinning it: its affinity is as before. */
void kv_cpus_visit(int cpu);

#endif
