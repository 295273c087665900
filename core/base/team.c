/* A team of threads that wait by spinning briefly and then sleeping.
 *
 * Why a team of our own and not OpenMP: ThreadSanitizer can check every line of it (libgomp's barriers are
 * invisible to it), and single-threaded OpenBLAS calls on slices of the columns were as fast as OpenBLAS's
 * own threads or faster: [M, 768] x [768, 3072] on two cores, SkylakeX kernels, 0.3.21, own team against
 * OpenBLAS's pthreads: M=1 60 against 43 GB/s, M=8 76 against 57 GFLOPS, M=128 353 against 368, M=1024 457
 * against 472. The OpenMP build ties at best, and restarts a team for every call that a foreign thread makes. */
#include "base/cpus.h"
#include "base/error.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* About a millisecond: longer than any pause between the stages of a step, short against a person's. */
#define SPINS 10000
/* Who spins longer than this offers its CPU now and then: the thread waited for may be queued behind it, and until the
 * scheduler parts the two, every barrier would take a tick of some milliseconds. */
#define SPINS_BETWEEN_OFFERS 128

struct kv_team {
    int n_threads;
    int spins; /* 0 when the threads outnumber the CPUs: spinning would hold up the one waited for */
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
        struct kv_team *team;
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
static void wait_for_change(struct kv_team *team, atomic_uint *word, unsigned seen)
{
    for (int i = 0; i < team->spins; i++) {
        if (atomic_load_explicit(word, memory_order_acquire) != seen)
            return;
        if (i % SPINS_BETWEEN_OFFERS == SPINS_BETWEEN_OFFERS - 1)
            sched_yield();
        else
            relax();
    }
    pthread_mutex_lock(&team->mutex);
    atomic_fetch_add(&team->sleepers, 1);
    while (atomic_load(word) == seen)
        pthread_cond_wait(&team->wake, &team->mutex);
    atomic_fetch_sub(&team->sleepers, 1);
    pthread_mutex_unlock(&team->mutex);
}

/* Sleepers count themselves before they look at the word, and the word changes before the count is read here:
 * in the one order of sequentially consistent operations, no wake-up is lost. */
static void change(struct kv_team *team, atomic_uint *word)
{
    atomic_fetch_add(word, 1);
    if (atomic_load(&team->sleepers) > 0) {
        pthread_mutex_lock(&team->mutex);
        pthread_cond_broadcast(&team->wake);
        pthread_mutex_unlock(&team->mutex);
    }
}

void kv_team_barrier(struct kv_team *team)
{
    const unsigned phase = atomic_load(&team->phase);
    if (atomic_fetch_add(&team->arrived, 1) + 1 == team->n_threads) {
        atomic_store(&team->arrived, 0);
        change(team, &team->phase);
    } else {
        wait_for_change(team, &team->phase, phase);
    }
}

static void *work(void *argument)
{
    const struct worker *worker = argument;
    struct kv_team *team = worker->team;
    if (worker->cpu >= 0)
        kv_cpus_visit(worker->cpu);
    for (unsigned seen = 0;; seen++) {
        wait_for_change(team, &team->generation, seen);
        if (atomic_load(&team->quit))
            return NULL;
        team->job(team->argument, worker->rank);
        kv_team_barrier(team);
    }
}

void kv_team_run(struct kv_team *team, void (*job)(void *argument, int rank), void *argument)
{
    team->job = job;
    team->argument = argument;
    change(team, &team->generation);
    job(argument, 0);
    kv_team_barrier(team);
}

kv_status kv_team_create(struct kv_team **out, int n_threads, struct kv_error *error)
{
    *out = NULL;
    if (n_threads < 1 || n_threads > KV_MAX_THREADS)
        return kv_fail(error, KV_ERROR_ARGUMENT, "threads: %d is not in 1..%d", n_threads, KV_MAX_THREADS);
    struct kv_team *team = calloc(1, sizeof *team);
    struct worker *workers = calloc((size_t)n_threads, sizeof *workers);
    if (!team || !workers) {
        free(team);
        free(workers);
        return kv_fail(error, KV_ERROR_MEMORY, "threads: no memory for a team of %d", n_threads);
    }
    /* A core each from the start: a thread often begins on its creator's, and a short run would end before it moves. */
    struct kv_cpus cpus;
    kv_cpus_list(&cpus, sched_getcpu());
    const bool fits = n_threads <= (cpus.n ? cpus.n : 1);
    team->n_threads = n_threads;
    team->spins = fits ? SPINS : 0;
    team->workers = workers;
    pthread_mutex_init(&team->mutex, NULL);
    pthread_cond_init(&team->wake, NULL);
    for (int i = 0; i < n_threads - 1; i++, team->n_started++) {
        workers[i] = (struct worker){.team = team, .rank = i + 1, .cpu = fits ? cpus.order[i + 1] : -1};
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) != 0) {
            kv_team_free(team);
            return kv_fail(error, KV_ERROR_THREAD, "threads: the system refused thread %d of %d; use fewer", i + 2,
                           n_threads);
        }
    }
    *out = team;
    return KV_OK;
}

void kv_team_free(struct kv_team *team)
{
    if (!team)
        return;
    atomic_store(&team->quit, true);
    change(team, &team->generation);
    for (int i = 0; i < team->n_started; i++)
        pthread_join(team->workers[i].thread, NULL);
    pthread_cond_destroy(&team->wake);
    pthread_mutex_destroy(&team->mutex);
    free(team->workers);
    free(team);
}

int kv_team_size(const struct kv_team *team)
{
    return team->n_threads;
}
