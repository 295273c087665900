#include "base/cpus.h"

#include "kvbench.h"

#include <stdio.h>

struct place {
    int package, core;
};

static int read_topology(int cpu, const char *name)
{
    char path[128];
    int value = -1;
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%d/topology/%s", cpu, name);
    FILE *stream = fopen(path, "re");
    if (!stream)
        return -1;
    if (fscanf(stream, "%d", &value) != 1)
        value = -1;
    fclose(stream);
    return value;
}

/* Whether one of places [n] is that core; an unknown one is never known. */
static bool is_known(const struct place *places, int n, struct place place)
{
    for (int i = 0; i < n; i++)
        if (places[i].package == place.package && places[i].core == place.core)
            return place.core >= 0;
    return false;
}

void kv_cpus_list(struct kv_cpus *cpus, int first)
{
    cpu_set_t set;
    struct place places[CPU_SETSIZE]; /* of order [n_cores] */
    int n_others = 0, others[CPU_SETSIZE];
    cpus->n_cores = 0;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        CPU_ZERO(&set);
    for (int i = -1; i < CPU_SETSIZE; i++) {
        const int cpu = i < 0 ? first : i;
        if (cpu < 0 || !CPU_ISSET(cpu, &set))
            continue;
        CPU_CLR(cpu, &set);
        const struct place place = {read_topology(cpu, "physical_package_id"), read_topology(cpu, "core_id")};
        if (is_known(places, cpus->n_cores, place)) {
            others[n_others++] = cpu;
        } else {
            places[cpus->n_cores] = place;
            cpus->order[cpus->n_cores++] = cpu;
        }
    }
    cpus->n = cpus->n_cores;
    for (int i = 0; i < n_others; i++)
        cpus->order[cpus->n++] = others[i];
}

int kv_default_threads(void)
{
    struct kv_cpus cpus;
    kv_cpus_list(&cpus, -1);
    return cpus.n_cores < 1 ? 1 : cpus.n_cores < KV_MAX_THREADS ? cpus.n_cores : KV_MAX_THREADS;
}

void kv_cpus_visit(int cpu)
{
    cpu_set_t before, one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_getaffinity(0, sizeof before, &before) == 0 && sched_setaffinity(0, sizeof one, &one) == 0)
        sched_setaffinity(0, sizeof before, &before);
}
