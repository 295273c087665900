/* A pool of threads that wait by spinning briefly and then sleeping.
 *
 * Why a pool of our own and not OpenMP: ThreadSanitizer can check every line of it (libgomp's barriers are
 * invisible to it), and single-threaded OpenBLAS calls on slices of the columns were as fast as OpenBLAS's
 * own threads or faster: [M, 768] x [768, 3072] on two cores, SkylakeX kernels, 0.3.21, own pool against
 * OpenBLAS's pthreads: M=1 60 against 43 GB/s, M=8 76 against 57 GFLOPS, M=128 353 against 368, M=1024 457
 * against 472. The OpenMP build ties at best, and restarts a pool for every call that a foreign thread makes. */
#include "base/pool.h"

#include "base/error.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- CPUs ---------------------------------------------------------------------------------------------------- */

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

/* The path of this process's group in version 2, whose line is "0::PATH", cut to `size`; false where there is none. */
static bool read_group(const char *root, char *path, size_t size)
{
    char line[4096];
    bool found = false;
    snprintf(line, sizeof line, "%s/proc/self/cgroup", root);
    FILE *stream = fopen(line, "re");
    while (stream && !found && fgets(line, sizeof line, stream)) {
        line[strcspn(line, "\n")] = '\0';
        found = strncmp(line, "0::", 3) == 0;
    }
    if (stream)
        fclose(stream);
    snprintf(path, size, "%s", found ? line + 3 : "");
    return found;
}

/* Of one group, "QUOTA PERIOD" in microseconds, or "max PERIOD"; INFINITY: none. */
static double read_quota(const char *root, const char *path)
{
    char file[8400];
    double quota, period, cpus = INFINITY;
    snprintf(file, sizeof file, "%s/sys/fs/cgroup%s/cpu.max", root, path);
    FILE *stream = fopen(file, "re");
    if (!stream)
        return INFINITY;
    if (fscanf(stream, "%lf %lf", &quota, &period) == 2 && quota > 0 && period > 0)
        cpus = quota / period;
    fclose(stream);
    return cpus;
}

double kv_cpu_quota(const char *root)
{
    char path[4096];
    double least = INFINITY;
    root = root ? root : "";
    if (!read_group(root, path, sizeof path))
        return 0;
    /* A container often sees only the top of its own tree: what is missing is passed over. */
    for (;;) {
        least = fmin(least, read_quota(root, path));
        char *slash = strrchr(path, '/');
        if (!slash)
            return isinf(least) ? 0 : least;
        *slash = '\0';
    }
}

int kv_threads_of(int n_cores, double quota)
{
    const double n = fmin(quota > 0 ? ceil(quota) : INFINITY, n_cores);
    return n < 1 ? 1 : n < KV_MAX_THREADS ? (int)n : KV_MAX_THREADS;
}

int kv_default_threads(void)
{
    struct kv_cpus cpus;
    kv_cpus_list(&cpus, -1);
    return kv_threads_of(cpus.n_cores, kv_cpu_quota(NULL));
}

void kv_cpus_visit(int cpu)
{
    cpu_set_t before, one;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    if (sched_getaffinity(0, sizeof before, &before) == 0 && sched_setaffinity(0, sizeof one, &one) == 0)
        sched_setaffinity(0, sizeof before, &before);
}

/* ---- Threads ------------------------------------------------------------------------------------------------- */

/* About a millisecond: longer than any pause between the stages of a step, too short for a user to notice. */
#define SPINS 10000
/* Who spins longer than this offers its CPU now and then: the thread waited for may be queued behind it, and until the
 * scheduler parts the two, every barrier would take a tick of some milliseconds. */
#define SPINS_BETWEEN_OFFERS 128

struct kv_pool {
    int n_threads;
    int spins; /* 0 when the threads outnumber the CPUs or the quota: spinning would hold up the one waited for */
    void (*job)(void *argument, int rank);
    void *argument;
    atomic_uint generation; /* one more for every job */
    atomic_uint phase;      /* one more for every barrier passed */
    atomic_int arrived;     /* ranks in the current barrier */
    atomic_int sleepers;    /* ranks that no longer spin */
    atomic_bool quit;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    int n_started;
    struct worker {
        struct kv_pool *pool;
        int rank;
        int cpu; /* where it starts; -1: anywhere */
        pthread_t thread;
    } * workers; /* [n_threads - 1] */
};

static inline void relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Returns once *word differs from `seen`. */
static void wait_for_change(struct kv_pool *pool, atomic_uint *word, unsigned seen)
{
    for (int i = 0; i < pool->spins; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
            return;
        if (i % SPINS_BETWEEN_OFFERS == SPINS_BETWEEN_OFFERS - 1)
            sched_yield();
        else
            relax();
    }
    pthread_mutex_lock(&pool->mutex);
    atomic_fetch_add(&pool->sleepers, 1);
    while (atomic_load(word) == seen)
        pthread_cond_wait(&pool->wake, &pool->mutex);
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->mutex);
}

/* Sleepers count themselves before they look at the word, and the word changes before the count is read here:
 * in the one order of sequentially consistent operations, no wake-up is lost. */
static void change(struct kv_pool *pool, atomic_uint *word)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->mutex);
        pthread_cond_broadcast(&pool->wake);
        pthread_mutex_unlock(&pool->mutex);
    }
}

void kv_pool_barrier(struct kv_pool *pool)
{
    const unsigned phase = atomic_load(&pool->phase);
    if (atomic_fetch_add(&pool->arrived, 1) + 1 == pool->n_threads) {
        atomic_store(&pool->arrived, 0);
        change(pool, &pool->phase);
    } else {
        wait_for_change(pool, &pool->phase, phase);
    }
}

static void *work(void *argument)
{
    const struct worker *worker = argument;
    struct kv_pool *pool = worker->pool;
    if (worker->cpu >= 0)
        kv_cpus_visit(worker->cpu);
    for (unsigned seen = 0;; seen++) {
        wait_for_change(pool, &pool->generation, seen);
        if (atomic_load(&pool->quit))
            return NULL;
        pool->job(pool->argument, worker->rank);
        kv_pool_barrier(pool);
    }
}

void kv_pool_run(struct kv_pool *pool, void (*job)(void *argument, int rank), void *argument)
{
    pool->job = job;
    pool->argument = argument;
    change(pool, &pool->generation);
    job(argument, 0);
    kv_pool_barrier(pool);
}

kv_status kv_pool_create(struct kv_pool **out, int n_threads, struct kv_error *error)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > KV_MAX_THREADS)
        return kv_fail(error, KV_ERROR_ARGUMENT, "threads: %d is not in 1..%d", n_threads, KV_MAX_THREADS);
    struct kv_pool *pool = calloc(1, sizeof *pool);
    struct worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!pool || !workers) {
        free(pool);
        free(workers);
        return kv_fail(error, KV_ERROR_MEMORY, "threads: no memory for a pool of %d", n_threads);
    }
    /* A core each from the start: a thread often begins on its creator's, and a short run would end before it moves. */
    struct kv_cpus cpus;
    kv_cpus_list(&cpus, sched_getcpu());
    const bool fits = n_threads <= (cpus.n ? cpus.n : 1);
    pool->n_threads = n_threads;
    pool->spins = fits && n_threads <= kv_threads_of(n_threads, kv_cpu_quota(NULL)) ? SPINS : 0;
    pool->workers = workers;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    for (int i = 0; i < n_threads - 1; i++, pool->n_started++) {
        workers[i] = (struct worker){.pool = pool, .rank = i + 1, .cpu = fits ? cpus.order[i + 1] : -1};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            kv_pool_free(pool);
            return kv_fail(error, KV_ERROR_THREAD, "threads: the system refused thread %d of %d; use fewer", i + 2,
                           n_threads);
        }
    }
    *out = pool;
    return KV_OK;
}

void kv_pool_free(struct kv_pool *pool)
{
    if (!pool)
        return;
    atomic_store(&pool->quit, true);
    change(pool, &pool->generation);
    for (int i = 0; i < pool->n_started; i++)
        pthread_join(pool->workers[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->workers);
    free(pool);
}

int kv_pool_size(const struct kv_pool *pool)
{
    return pool->n_threads;
}
