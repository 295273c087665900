/* The pool of threads: every rank runs, nobody passes a barrier early, and nobody is left asleep.
 *
 * What ranks hand each other is plain memory, so that ThreadSanitizer sees a missing barrier even where the values
 * happen to be right. Linked with --wrap=pthread_create, so that starting a thread can be made to fail and
 * one that does not end is seen. */
#include "base/pool.h"
#include "unit.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define MAX_SIZE 8

/* ---- Starting and ending threads ------------------------------------------------------------------ */

struct start {
    void *(*run)(void *argument);
    void *argument;
};
static struct start starts[KV_MAX_THREADS]; /* of the latest threads: no test has more at once */
static int n_starts;
static int starts_allowed = -1; /* negative: as many as are asked for */
static atomic_int n_running;

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument);

static void *run_and_count(void *argument)
{
    const struct start *start = argument;
    void *result = start->run(start->argument);
    atomic_fetch_sub(&n_running, 1);
    return result;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument)
{
    if (starts_allowed == 0)
        return EAGAIN;
    starts_allowed -= starts_allowed > 0;
    struct start *start = &starts[n_starts++ % KV_MAX_THREADS];
    *start = (struct start){run, argument};
    atomic_fetch_add(&n_running, 1);
    return __real_pthread_create(thread, attributes, run_and_count, start);
}

static struct kv_pool *create(int n_threads)
{
    struct kv_pool *pool;
    pool = make_pool(n_threads);
    assert_int_equal(kv_pool_size(pool), n_threads);
    return pool;
}

/* ---- Jobs ----------------------------------------------------------------------------------------- */

struct calls {
    int of_rank[KV_MAX_THREADS];
    int job; /* written by the caller before each job */
    int wrong;
};

/* Each rank finds its own count as its last job left it, and this job's number as the caller wrote it. */
static void count_call(void *argument, int rank)
{
    struct calls *calls = argument;
    if (calls->of_rank[rank]++ != calls->job)
        calls->wrong = 1;
}

/* The caller reads what all ranks wrote after every job. */
static void run_jobs(struct kv_pool *pool, int n_jobs)
{
    struct calls calls = {0};
    const int size = kv_pool_size(pool);
    for (calls.job = 0; calls.job < n_jobs; calls.job++) {
        kv_pool_run(pool, count_call, &calls);
        for (int rank = 0; rank < size; rank++)
            assert_int_equal(calls.of_rank[rank], calls.job + 1);
    }
    for (int rank = size; rank < KV_MAX_THREADS; rank++)
        assert_int_equal(calls.of_rank[rank], 0);
    assert_int_equal(calls.wrong, 0);
}

TEST(every_rank_runs_every_job)
{
    for (int size = 1; size <= MAX_SIZE; size++) {
        struct kv_pool *pool = create(size);
        run_jobs(pool, 1500);
        kv_pool_free(pool);
    }
}

TEST(largest_pool)
{
    struct kv_pool *pool = create(KV_MAX_THREADS);
    run_jobs(pool, 10);
    kv_pool_free(pool);
}

/* ---- Barriers ------------------------------------------------------------------------------------- */

struct relay {
    struct kv_pool *pool;
    int n_steps;
    int first_value; /* so that no job repeats another one's values */
    int late_rank;   /* sleeps before the barrier of the middle step; -1: none */
    int slots[2][KV_MAX_THREADS];
    int wrong[KV_MAX_THREADS];
    double waiting_cpu_ms[KV_MAX_THREADS]; /* in that barrier */
};

static void sleep_20_ms(void)
{
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static double thread_cpu_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* One barrier a step and no slack: a rank that passes it early reads its neighbours' slots before they are written,
 * and one that is overtaken by two steps finds them overwritten. */
static void hand_over(void *argument, int rank)
{
    struct relay *relay = argument;
    const int size = kv_pool_size(relay->pool);
    for (int step = 0; step < relay->n_steps; step++) {
        int *slots = relay->slots[step % 2];
        const int value = relay->first_value + step * size; /* of rank 0 */
        slots[rank] = value + rank;
        const bool sleeps = relay->late_rank >= 0 && step == relay->n_steps / 2;
        if (sleeps && rank == relay->late_rank)
            sleep_20_ms();
        const double before = sleeps ? thread_cpu_ms() : 0;
        kv_pool_barrier(relay->pool);
        if (sleeps)
            relay->waiting_cpu_ms[rank] = thread_cpu_ms() - before;
        for (int other = 0; other < size; other++)
            relay->wrong[rank] += slots[other] != value + other;
    }
}

static void run_relay(struct relay *relay)
{
    kv_pool_run(relay->pool, hand_over, relay);
    relay->first_value += relay->n_steps * kv_pool_size(relay->pool);
    for (int rank = 0; rank < kv_pool_size(relay->pool); rank++)
        assert_int_equal(relay->wrong[rank], 0);
}

TEST(barriers_hand_over)
{
    for (int size = 1; size <= MAX_SIZE; size++) {
        struct relay relay = {.pool = create(size), .n_steps = 2000, .late_rank = -1};
        run_relay(&relay);
        /* An odd number of steps in many jobs: the end of one job is no safer than its middle. */
        relay.n_steps = 3;
        for (int job = 0; job < 500; job++)
            run_relay(&relay);
        kv_pool_free(relay.pool);
    }
}

/* Ranks that wait for 20 ms fall asleep after a brief spin, are woken, and have not burnt the time meanwhile. */
TEST(late_rank)
{
    for (int size = 2; size <= MAX_SIZE; size += 3) {
        struct relay relay = {.pool = create(size), .n_steps = 101};
        for (relay.late_rank = 0; relay.late_rank < size; relay.late_rank++) {
            run_relay(&relay);
            for (int rank = 0; rank < size; rank++)
                assert_true(relay.waiting_cpu_ms[rank] < 10);
        }
        kv_pool_free(relay.pool);
    }
}

TEST(late_caller)
{
    for (int size = 2; size <= MAX_SIZE; size += 3) {
        struct relay relay = {.pool = create(size), .n_steps = 5, .late_rank = -1};
        for (int job = 0; job < 5; job++) {
            run_relay(&relay);
            sleep_20_ms();
        }
        kv_pool_free(relay.pool);
    }
}

/* ---- Life ----------------------------------------------------------------------------------------- */

TEST(create_and_free)
{
    for (int i = 0; i < 200; i++) {
        struct kv_pool *pool = create(1 + i % MAX_SIZE);
        assert_int_equal(atomic_load(&n_running), i % MAX_SIZE);
        if (i % 3)
            run_jobs(pool, i % 3);
        kv_pool_free(pool);
        assert_int_equal(atomic_load(&n_running), 0);
    }
    kv_pool_free(NULL);
}

TEST(two_pools)
{
    struct kv_pool *a = create(2), *b = create(3);
    for (int i = 0; i < 50; i++) {
        run_jobs(a, 2);
        run_jobs(b, 2);
    }
    kv_pool_free(a);
    run_jobs(b, 2);
    kv_pool_free(b);
}

TEST(wrong_sizes)
{
    static const int sizes[] = {0, -1, INT32_MIN, KV_MAX_THREADS + 1, INT32_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct kv_pool *pool = (void *)&error;
        char number[16];
        snprintf(number, sizeof number, "%d", sizes[i]);
        assert_int_equal(kv_pool_create(&pool, sizes[i], &error), KV_ERROR_ARGUMENT);
        assert_null(pool);
        assert_non_null(strstr(error.message, number));
        assert_non_null(strstr(error.message, "1..256")); /* the remedy */
        assert_int_equal(kv_pool_create(&pool, sizes[i], NULL), KV_ERROR_ARGUMENT);
    }
}

/* The threads that did start are ended. */
TEST(thread_refused)
{
    for (int allowed = 0; allowed < MAX_SIZE - 1; allowed++) {
        struct kv_pool *pool = (void *)&error;
        char thread[32];
        snprintf(thread, sizeof thread, "thread %d of %d", allowed + 2, MAX_SIZE);
        n_starts = 0;
        starts_allowed = allowed;
        const kv_status status = kv_pool_create(&pool, MAX_SIZE, &error);
        starts_allowed = -1;
        assert_int_equal(status, KV_ERROR_THREAD);
        assert_null(pool);
        assert_non_null(strstr(error.message, thread));
        assert_int_equal(n_starts, allowed);
        assert_int_equal(atomic_load(&n_running), 0);
    }
}

/* ---- CPUs ----------------------------------------------------------------------------------------- */

static cpu_set_t all_cpus;

static int save_affinity(void **state)
{
    (void)state;
    return sched_getaffinity(0, sizeof all_cpus, &all_cpus);
}

static int restore_affinity(void **state)
{
    (void)state;
    return sched_setaffinity(0, sizeof all_cpus, &all_cpus);
}

#define CPU_TEST(name) TEST_WITH(name, void *nothing, save_affinity, restore_affinity)

CPU_TEST(default_threads)
{
    const int n = kv_default_threads(); /* a quota may make them fewer than the cores */
    assert_in_range(n, 1, CPU_COUNT(&all_cpus) < KV_MAX_THREADS ? CPU_COUNT(&all_cpus) : KV_MAX_THREADS);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        cpu_set_t one;
        if (!CPU_ISSET(cpu, &all_cpus))
            continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        assert_int_equal(kv_default_threads(), 1);
    }
}

/* Every CPU once, the first one where it was asked for, one of each core before the others. */
CPU_TEST(cpus)
{
    for (int first = -1; first < 64; first++) {
        struct kv_cpus cpus;
        cpu_set_t seen;
        CPU_ZERO(&seen);
        kv_cpus_list(&cpus, first);
        assert_int_equal(cpus.n, CPU_COUNT(&all_cpus));
        assert_int_equal(kv_threads_of(cpus.n_cores, kv_cpu_quota(NULL)), kv_default_threads());
        for (int i = 0; i < cpus.n; i++)
            CPU_SET(cpus.order[i], &seen);
        assert_true(CPU_EQUAL(&seen, &all_cpus));
        if (first >= 0 && CPU_ISSET(first, &all_cpus))
            assert_int_equal(cpus.order[0], first);
    }
}

static void put(const char *root, const char *name, const char *text)
{
    char path[512];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = strchr(path + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(path, 0777);
        *slash = '/';
    }
    write_text(path, text);
}

/* A container's quota: of its own group and of those above it the least. */
TEST(quota)
{
    static const struct {
        const char *groups, *own, *above, *top; /* /proc/self/cgroup and cpu.max; NULL: not there */
        double quota;
    } cases[] = {
        {"0::/a/b\n", "200000 100000\n", NULL, NULL, 2},
        {"0::/a/b\n", "max 100000\n", "50000 100000\n", NULL, 0.5},
        {"0::/a/b\n", "300000 100000\n", "250000 100000\n", "max 100000\n", 2.5},
        {"0::/a/b\n", "max 100000\n", NULL, NULL, 0},
        {"0::/a/b\n", NULL, NULL, NULL, 0},
        {"0::/\n", NULL, NULL, "400000 100000\n", 4},
        {"4:cpu:/a/b\n0::/a\n", "100000 100000\n", "300000 100000\n", NULL, 3},
        {"4:cpu:/a/b\n", "100000 100000\n", NULL, NULL, 0},
        {"0::/a/b\n", "0 100000\n", "-5 100000\n", "100 0\n", 0},
        {"0::/a/b\n", "", "many\n", "100000\n", 0},
        {"", NULL, NULL, NULL, 0},
        {NULL, NULL, NULL, NULL, 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char root[64];
        assert_int_equal(folder_make(root, sizeof root), 0);
        const struct {
            const char *name, *text;
        } files[] = {{"proc/self/cgroup", cases[i].groups},
                     {"sys/fs/cgroup/a/b/cpu.max", cases[i].own},
                     {"sys/fs/cgroup/a/cpu.max", cases[i].above},
                     {"sys/fs/cgroup/cpu.max", cases[i].top}};
        for (size_t k = 0; k < COUNT(files); k++)
            if (files[k].text)
                put(root, files[k].name, files[k].text);
        assert_float_equal(kv_cpu_quota(root), cases[i].quota, 1e-12);
        folder_remove(root);
    }
}

TEST(threads_of_a_quota)
{
    static const struct {
        int n_cores;
        double quota;
        int threads;
    } cases[] = {{8, 0, 8},
                 {8, 2, 2},
                 {8, 1.5, 2},
                 {8, 0.1, 1},
                 {8, 8.01, 8},
                 {2, 64, 2},
                 {0, 0, 1},
                 {1000, 0, KV_MAX_THREADS},
                 {1000, 999, KV_MAX_THREADS}};
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(kv_threads_of(cases[i].n_cores, cases[i].quota), cases[i].threads);
}

/* ---- What a barrier takes ---------------------------------------------------------------------------- */

enum { WINDOWS = 400, BARRIERS = 100 };
struct windows {
    struct kv_pool *pool;
    double us[WINDOWS];
};

static void barriers_job(void *argument, int rank)
{
    struct windows *windows = argument;
    for (int i = 0; i < WINDOWS; i++) {
        struct timespec start, end;
        clock_gettime(CLOCK_MONOTONIC, &start);
        for (int k = 0; k < BARRIERS; k++)
            kv_pool_barrier(windows->pool);
        clock_gettime(CLOCK_MONOTONIC, &end);
        if (rank == 0)
            windows->us[i] =
                ((double)(end.tv_sec - start.tv_sec) * 1e6 + (double)(end.tv_nsec - start.tv_nsec) * 1e-3) / BARRIERS;
    }
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* Where two threads have a CPU each: the best window, as other programs may take the CPUs in most of them. 0.3 us on two
 * cores of a Xeon, with and without other programs; the bound leaves room for a sanitizer. */
TEST(barrier_of_two_threads)
{
    static struct windows windows;
    if (sysconf(_SC_NPROCESSORS_ONLN) < 2 || kv_default_threads() < 2) {
        printf("this process may use one core: a barrier of two threads is a matter of the scheduler\n");
        skip();
    }
    windows.pool = create(2);
    kv_pool_run(windows.pool, barriers_job, &windows);
    qsort(windows.us, WINDOWS, sizeof windows.us[0], compare_doubles);
    printf("a barrier of two threads: best %.2f, median %.2f us\n", windows.us[0], windows.us[WINDOWS / 2]);
    assert_true(windows.us[0] < 20);
    kv_pool_free(windows.pool);
}

/* ---- Affinity --------------------------------------------------------------------------------------- */

static void visit_job(void *argument, int rank)
{
    cpu_set_t *sets = argument;
    if (sched_getaffinity(0, sizeof sets[rank], &sets[rank]) != 0)
        CPU_ZERO(&sets[rank]);
}

/* Threads are shown a place at the start, and are not held there. */
CPU_TEST(threads_stay_free)
{
    enum { N = 4 };
    cpu_set_t sets[N];
    for (int n = 1; n <= N; n++) {
        struct kv_pool *pool = create(n);
        kv_pool_run(pool, visit_job, sets);
        for (int rank = 0; rank < n; rank++)
            assert_true(CPU_EQUAL(&sets[rank], &all_cpus));
        kv_pool_free(pool);
    }
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &all_cpus))
            continue;
        kv_cpus_visit(cpu);
        visit_job(sets, 0);
        assert_true(CPU_EQUAL(&sets[0], &all_cpus));
    }
}

/* All threads on one CPU: whoever spins there holds up the one it waits for. */
CPU_TEST(one_cpu)
{
    cpu_set_t one;
    int cpu = 0;
    while (!CPU_ISSET(cpu, &all_cpus))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
    struct relay relay = {.pool = create(3), .n_steps = 2000, .late_rank = -1};
    run_relay(&relay);
    run_jobs(relay.pool, 500);
    kv_pool_free(relay.pool);
}
