#include "machine/probe.h"

#include "base/error.h"
#include "machine/files.h"
#include "machine/pass.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* A probe is the best of a few passes: one alone may fall into a moment in which a thread waits for its CPU. */
#define PASS_SECONDS 0.001
enum { N_PASSES = 3 };
#define PAUSE            19 /* probe times between two probes */
#define LEAST_SHARE      ((size_t)64 << 10)
#define FIRST_READ       2e9 /* bytes, and */
#define FIRST_FMA        5e9 /* flops a second and thread, until a probe has told: a slow machine's */
#define SHARES_OF_BUFFER 32  /* one pass reads no more of it than that part */
enum { MOST_CPUS = 16 };

struct kv_prober {
    struct kv_block buffer;
    const struct kv_probe_kernels *kernels;
    size_t cursor;                            /* floats of the buffer that were read */
    struct kv_probe last[KV_MAX_THREADS + 1]; /* of pools of so many threads */
    double last_end, last_cost;               /* seconds */
    bool any;
};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

kv_status kv_prober_create(struct kv_prober **out, struct kv_pool *pool, const char *isa, struct kv_error *error)
{
    const struct kv_kernels *level;
    kv_status status = kv_kernels_find(isa, &level, error);
    struct kv_prober *prober = status ? NULL : calloc(1, sizeof *prober);
    if (!status && !prober)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for probes of the machine: close other programs");
    if (!status)
        status = kv_pass_buffer(pool, &prober->buffer, error);
    if (status) {
        free(prober);
        return status;
    }
    prober->kernels = level->probe;
    *out = prober;
    return KV_OK;
}

void kv_prober_free(struct kv_prober *prober)
{
    if (prober)
        kv_block_free(&prober->buffer);
    free(prober);
}

const struct kv_block *kv_prober_buffer(const struct kv_prober *prober)
{
    return &prober->buffer;
}

double kv_prober_age(const struct kv_prober *prober)
{
    return prober->any ? now() - prober->last_end : INFINITY;
}

bool kv_prober_due(const struct kv_prober *prober)
{
    return kv_prober_age(prober) >= PAUSE * prober->last_cost;
}

/* Floats that one rank reads in a pass, of the rate that was seen last. */
static size_t share_of(const struct kv_prober *prober, size_t n_ranks, double bytes_per_s)
{
    const size_t most = prober->buffer.bytes / sizeof(float) / SHARES_OF_BUFFER / n_ranks;
    size_t share = (size_t)(bytes_per_s * PASS_SECONDS / sizeof(float)) / n_ranks;
    share = share < LEAST_SHARE ? LEAST_SHARE : share;
    return (share < most ? share : most) / KV_PROBE_BLOCK * KV_PROBE_BLOCK;
}

void kv_prober_take(struct kv_prober *prober, struct kv_pool *pool, struct kv_probe *probe)
{
    const size_t n_ranks = (size_t)kv_pool_size(pool);
    struct kv_probe *last = &prober->last[n_ranks];
    const double start = now();
    if (!(last->read_bytes_per_s > 0))
        *last = (struct kv_probe){FIRST_READ * (double)n_ranks, FIRST_FMA * (double)n_ranks};
    const size_t share = share_of(prober, n_ranks, last->read_bytes_per_s);
    const double flops_a_round = prober->kernels->flops_per_round * (double)n_ranks;
    const size_t rounds = (size_t)(last->fma_flop_per_s * PASS_SECONDS / flops_a_round) + 1;
    double read = INFINITY, multiply_add = INFINITY;
    for (int i = 0; i < N_PASSES; i++) {
        if ((prober->cursor + n_ranks * share) * sizeof(float) > prober->buffer.bytes)
            prober->cursor = 0;
        const float *data = (const float *)(const void *)prober->buffer.base + prober->cursor;
        prober->cursor += n_ranks * share;
        read = fmin(read, kv_pass_read(pool, prober->kernels, data, share));
    }
    for (int i = 0; i < N_PASSES; i++)
        multiply_add = fmin(multiply_add, kv_pass_multiply_add(pool, prober->kernels, rounds));
    *probe = (struct kv_probe){(double)(n_ranks * share * sizeof(float)) / read,
                               (double)rounds * flops_a_round / multiply_add};
    *last = *probe;
    prober->any = true;
    prober->last_end = now();
    prober->last_cost = prober->last_end - start;
}

/* ---- Counts ----------------------------------------------------------------------------------------- */

void kv_counts_read(struct kv_counts *counts, const char *root)
{
    char text[256];
    struct rusage usage;
    int64_t microseconds;
    *counts = (struct kv_counts){.pressure_seconds = NAN, .switches = NAN, .page_faults = NAN};
    kv_cpu_time_read(&counts->cpu, root);
    kv_files_line(text, sizeof text, root ? root : "", "/proc/pressure/cpu");
    const char *total = strncmp(text, "some ", 5) == 0 ? strstr(text, "total=") : NULL;
    if (total && sscanf(total, "total=%" SCNd64, &microseconds) == 1)
        counts->pressure_seconds = (double)microseconds * 1e-6;
    if (getrusage(RUSAGE_SELF, &usage) == 0) {
        counts->switches = (double)usage.ru_nivcsw;
        counts->page_faults = (double)usage.ru_minflt + (double)usage.ru_majflt;
    }
    counts->seconds = now();
}

struct kv_strain kv_strain_between(const struct kv_counts *start, const struct kv_counts *end)
{
    const double seconds = end->seconds - start->seconds;
    const double stolen_pct = kv_cpu_time_steal_percent(&start->cpu, &end->cpu);
    const bool known = stolen_pct >= 0;
    const double pressure = 100 * (end->pressure_seconds - start->pressure_seconds) / seconds;
    return (struct kv_strain){
        .seconds = seconds,
        .stolen_pct = known ? stolen_pct : NAN,
        .cpu_ticks = known ? (double)(end->cpu.total - start->cpu.total) : NAN,
        .pressure_pct = pressure > 100 ? 100 : pressure, /* the two clocks are not read at once */
        .switches = end->switches - start->switches,
        .page_faults = end->page_faults - start->page_faults,
    };
}

double kv_clock_hz(const char *root)
{
    double sum = 0;
    int n = 0;
    for (int cpu = 0; cpu < MOST_CPUS; cpu++) {
        char text[32];
        kv_files_line(text, sizeof text, root ? root : "", "/sys/devices/system/cpu/cpu%d/cpufreq/scaling_cur_freq",
                      cpu);
        const int64_t khz = kv_files_number(text);
        if (khz <= 0)
            break;
        sum += (double)khz * 1e3;
        n++;
    }
    return n ? sum / n : NAN;
}
