/* The machine that a run was measured on, as the operating system describes it.
 *
 * Everything is read from files below /proc, /sys and /etc. What cannot be read stays unknown and is never
 * guessed: an empty text, a NULL, or -1.
 *   ownership      the structs own nothing; their texts are inside them or are constants
 *   thread safety  no state is kept, so any number of threads may call
 *   root           a folder that stands for /, so that tests can feed sample trees; NULL: / itself
 */
#ifndef KV_MACHINE_MACHINE_H
#define KV_MACHINE_MACHINE_H

#include <stddef.h>
#include <stdint.h>

struct kv_machine_cache {
    int64_t bytes; /* of one instance, that of the first CPU */
    int instances; /* over all CPUs that are online */
};

#define KV_MACHINE_MAX_FEATURES 32

struct kv_machine {
    char hostname[256];
    char product[128]; /* computer, virtual machine or board, from DMI or the device tree */
    char os[128];      /* PRETTY_NAME of os-release */
    char kernel[128];  /* release */

    char cpu_vendor[64]; /* this and the rest of what a CPU is: of the first one */
    char cpu_name[128];
    int cpu_family;                                /* x86: family;   Arm: version of the architecture */
    int cpu_model;                                 /* x86: model;    Arm: part number of the MIDR register */
    int cpu_stepping;                              /* x86: stepping; Arm: revision */
    int hypervisor;                                /* 1: a virtual machine, 0: not; only x86 always says */
    int n_features;                                /* -1 when the features are unknown */
    const char *features[KV_MACHINE_MAX_FEATURES]; /* those that matter to matmul, as /proc/cpuinfo names them */

    int cpus_online;   /* logical CPUs */
    int cpus_affinity; /* of those, the ones that this process may run on */
    int cores_online;  /* physical cores */
    int cores_affinity;
    double cpu_quota; /* CPUs' worth of time that the control groups allow; -1: as much as it likes */
    int sockets;
    struct kv_machine_cache l1d, l1i, l2, l3;

    int64_t memory_total_bytes;
    int64_t memory_available_bytes;
    int64_t memory_limit_bytes; /* of the control group or one above it; -1 too when it is no lower than the total */
    char huge_pages[32];        /* transparent huge pages: "always", "madvise" or "never" */

    char governor[128];        /* of the CPUs in the affinity; several names, comma-separated, when they differ */
    int turbo;                 /* 1: on, 0: off */
    const char *turbo_control; /* the file below /sys/devices/system/cpu that said so */

    double load[3]; /* averages over 1, 5 and 15 minutes */
};

/* CPU time of the whole machine since it started, in clock ticks. */
struct kv_cpu_time {
    int64_t steal; /* a virtual CPU was ready to run, and the host ran something else */
    int64_t total;
};

void kv_machine_read(struct kv_machine *machine, const char *root);

/* Of so many bytes of this process, which have been written, those that lie in huge pages; -1 when it is unknown. */
int64_t kv_huge_bytes(const void *base, size_t bytes, const char *root);

void kv_cpu_time_read(struct kv_cpu_time *time, const char *root);

/* Share of the CPU time between two readings that was stolen, in percent; -1 when it is unknown. */
double kv_cpu_time_steal_percent(const struct kv_cpu_time *start, const struct kv_cpu_time *end);

#endif
