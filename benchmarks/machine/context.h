/* context.json: what machine, build and command a run's figures come from, and what may have disturbed them.
 *
 * kv_context_start before anything is measured, kv_context_finish after; kv_context_write at any time between
 * and after, so that a run that was killed has its context too. A context tells of one process: resuming a run
 * into the same folder replaces that of the first.
 *   ownership      a context owns nothing: the texts that are passed in, `root` among them, must outlive it
 *   thread safety  distinct contexts may be used by distinct threads
 *   unknown        a text is NULL or empty, a number is -1; in the file it is null
 */
#ifndef KV_MACHINE_CONTEXT_H
#define KV_MACHINE_CONTEXT_H

#include "kvbench.h"
#include "machine/machine.h"

#include <time.h>

/* How this program was compiled: what meson knew, and what the compiler tells in its own macros (build_info.c). */
struct kv_build_info {
    const char *version;    /* of the project */
    const char *compiler;   /* name and version, as one text */
    const char *flags;      /* that apply to all C files */
    const char *build_type; /* meson's buildtype */
    const char *sanitizers; /* "address,undefined"; "none" when there are none */
    const char *commit;     /* hash, then "-dirty" when tracked files differ from it; "unknown" outside git */
    bool optimized;         /* compiled with optimization at all */
    bool assertions;        /* assert() checks */
};

/* All texts are constants. Any number of threads may call. */
void kv_build_info_get(struct kv_build_info *build);

/* Libraries that this part is not linked with. */
struct kv_library_info {
    const char *google_benchmark;     /* version */
    const char *openblas_core;        /* kv_openblas_core() */
    const char *openblas_better_core; /* kv_openblas_better_core(): NULL when OpenBLAS chose well */
    const char *openblas_config;      /* openblas_get_config() */
};

struct kv_run_info {
    int argc;
    char *const *argv; /* [argc] */
    const char *model;
    const char *weights;
    const char *gemm;
    const char *isa;
    int threads;
    int64_t seed; /* of the orders of the rounds */
};

struct kv_context {
    struct kv_machine machine; /* at the start */
    struct kv_build_info build;
    struct kv_library_info libraries;
    struct kv_run_info run;
    const char *root;
    time_t start;
    time_t end; /* when `finished` */
    bool finished;
    struct kv_cpu_time cpu_time; /* at the start */
    double steal_percent;        /* from start to end; -1 until finished */
};

/* Reads the machine (`root` as in machine.h) and the clock. What is known only later, such as the weights, may be
 * put into context->run until the file is written. */
void kv_context_start(struct kv_context *context, const struct kv_build_info *build,
                      const struct kv_library_info *libraries, const struct kv_run_info *run, const char *root);

void kv_context_finish(struct kv_context *context);

/* Writes folder/context.json, under its name whole or not at all; one that is there is replaced. Bytes of a
 * text that is not UTF-8 become "?". Errors: IO, MEMORY. */
kv_status kv_context_write(const struct kv_context *context, const char *folder, struct kv_error *error);

enum kv_severity {
    KV_SEVERITY_INFO,    /* worth knowing */
    KV_SEVERITY_WARNING, /* the figures may be wrong or not repeatable */
};

struct kv_warning {
    enum kv_severity severity;
    char text[384]; /* one line: what was seen, then its remedy */
};

/* One of each kind at most:
 *   load      1-minute average at the start above 0.5 per physical core of the machine
 *   governor  of a CPU in the affinity is not "performance"
 *   turbo     is on (info)
 *   build     not optimized, or with sanitizers
 *   OpenBLAS  uses kernels below what the CPU can run
 *   threads   more than physical cores in the affinity
 *   steal     above 1 % from start to end (known once finished)
 * What is unknown warns of nothing. Fills `warnings` in this order and returns how many there are. */
#define KV_CONTEXT_MAX_WARNINGS 7
int kv_context_warnings(const struct kv_context *context, struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS]);

#endif
