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

/* Moves the calling thread to that CPU without pinning it: its affinity is as before. */
void kv_cpus_visit(int cpu);

#endif
