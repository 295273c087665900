/* Takes CPU time and memory bandwidth from whatever else runs, as the neighbours of a virtual machine do: the promises of
 * the instrument are tested beside it, since a quiet machine proves nothing.
 *
 *   noise [--seed N] [--seconds S] [--threads N] [--log FILE]      S 0, the default: until it is killed
 *
 * Modelled on a recorded machine (data/noise): whole threads lose their core, phases last from 0.2 to 20 s, and the level
 * drifts over minutes. Two sequences run on top of each other, drawn from the seed alone:
 *   phases    one after the other, of log-uniform lengths; six of ten are quiet, in the others the first so many threads
 *             multiply or read memory, for a share of each turn of 4 to 400 ms, all at once
 *   drifts    of 1 to 4 minutes, half of them quiet, in which the share of the last so many threads rises to a peak and
 *             falls again
 * FILE gets a line of CSV as each begins; started_s is since 1970, as in runs.csv, after_s since the start. */
#include <getopt.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"

#define DRIFT_TURN_SECONDS 0.02
#define NAP_SECONDS        0.002

enum { BUFFER_FLOATS = 64 << 20, CHUNK_FLOATS = 64 << 10, PRODUCTS = 20000, THREADS_PER_CPU = 4, MOST_THREADS = 1024 };

typedef float vector __attribute__((vector_size(16)));

enum work { QUIET, PRODUCTS_ONLY, READING_ONLY, BOTH };
static const char *const work_names[] = {"quiet", "products", "reading", "both"};

/* What some threads do for a while; times are seconds since the start. */
struct spell {
    enum work work;
    double after, seconds, share, turn;
    int threads;
};

static struct {
    uint64_t seed;
    double seconds;
    int threads;
    FILE *log;
    float *buffer;
    struct timespec start;
    double started; /* seconds since 1970 */
    pthread_mutex_t mutex;
    struct spell phase, drift; /* those of now, under the mutex */
} noise = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)(time.tv_sec - noise.start.tv_sec) + 1e-9 * (double)(time.tv_nsec - noise.start.tv_nsec);
}

static void sleep_seconds(double seconds)
{
    struct timespec time = {.tv_sec = (time_t)seconds, .tv_nsec = (long)(1e9 * (seconds - floor(seconds)))};
    nanosleep(&time, NULL);
}

/* ---- What comes next ------------------------------------------------------------------------------------ */

static double uniform(uint64_t key, uint64_t *index)
{
    return (double)(kv_draw64(key, (*index)++) >> 11) * 0x1p-53;
}

static double log_uniform(uint64_t key, uint64_t *index, double low, double high)
{
    return low * pow(high / low, uniform(key, index));
}

static struct spell next_phase(uint64_t key, uint64_t *index, double after)
{
    struct spell phase = {.after = after, .seconds = log_uniform(key, index, 0.2, 20)};
    phase.work = uniform(key, index) < 0.6 ? QUIET : PRODUCTS_ONLY + (enum work)(3 * uniform(key, index));
    phase.threads = (int)log_uniform(key, index, 1, noise.threads + 1);
    phase.share = 0.2 + 0.8 * uniform(key, index);
    phase.turn = log_uniform(key, index, 0.004, 0.4);
    return phase;
}

static struct spell next_drift(uint64_t key, uint64_t *index, double after)
{
    struct spell drift = {.after = after, .seconds = log_uniform(key, index, 60, 240), .turn = DRIFT_TURN_SECONDS};
    drift.work = uniform(key, index) < 0.5 ? QUIET : PRODUCTS_ONLY + (enum work)(3 * uniform(key, index));
    drift.threads = 1 + (int)(noise.threads / 4 * uniform(key, index));
    drift.share = 0.2 + 0.6 * uniform(key, index);
    return drift;
}

static void begin(struct spell *place, const char *name, struct spell spell)
{
    pthread_mutex_lock(&noise.mutex);
    *place = spell;
    pthread_mutex_unlock(&noise.mutex);
    if (noise.log) {
        fprintf(noise.log, "%.3f,%.3f,%s,%.3f,%s,%d,%.3f,%.1f\n", noise.started + spell.after, spell.after, name,
                spell.seconds, work_names[spell.work], spell.work ? spell.threads : 0, spell.work ? spell.share : 0,
                1e3 * spell.turn);
        fflush(noise.log);
    }
}

/* ---- Threads -------------------------------------------------------------------------------------------- */

/* Whether that share of each turn is now. */
static bool has_turn(const struct spell *spell, double share, double time)
{
    const double turns = (time - spell->after) / spell->turn;
    return spell->work && turns - floor(turns) < share;
}

static enum work work_of(int thread, double time)
{
    pthread_mutex_lock(&noise.mutex);
    const struct spell phase = noise.phase, drift = noise.drift;
    pthread_mutex_unlock(&noise.mutex);
    if (thread < phase.threads && has_turn(&phase, phase.share, time))
        return phase.work;
    const double level = (1 - cos(6.283185307179586 * (time - drift.after) / drift.seconds)) / 2;
    return thread >= noise.threads - drift.threads && has_turn(&drift, level * drift.share, time) ? drift.work : QUIET;
}

static void multiply(void)
{
    vector sums[8], one = {1, 1, 1, 1};
    for (int i = 0; i < 8; i++)
        sums[i] = one * (float)i;
    for (int k = 0; k < PRODUCTS; k++)
        for (int i = 0; i < 8; i++) {
            sums[i] = sums[i] * one + one;
            __asm__ volatile("" : "+m"(sums[i]));
        }
}

static void read_memory(size_t at)
{
    const vector *from = (const vector *)(noise.buffer + at);
    vector sum = {0};
    for (size_t i = 0; i < CHUNK_FLOATS / 4; i++)
        sum += from[i];
    __asm__ volatile("" ::"m"(sum));
}

/* Works in pieces of well under a millisecond, so that a turn ends in time. */
static void *run(void *argument)
{
    const int thread = (int)(intptr_t)argument;
    size_t at = (size_t)thread * (BUFFER_FLOATS / (size_t)noise.threads) / CHUNK_FLOATS * CHUNK_FLOATS;
    for (unsigned piece = 0;; piece++) {
        const enum work work = work_of(thread, now());
        if (work == QUIET) {
            sleep_seconds(NAP_SECONDS);
        } else if (work == PRODUCTS_ONLY || (work == BOTH && piece / 64 % 2)) {
            multiply();
        } else {
            read_memory(at);
            at = (at + CHUNK_FLOATS) % BUFFER_FLOATS;
        }
    }
    return NULL;
}

/* ---- From the command line on --------------------------------------------------------------------------- */

static void usage(void)
{
    fprintf(stderr, "usage: noise [--seed N] [--seconds S] [--threads N] [--log FILE]\n");
    exit(2);
}

static double number(const char *text, double low, double high)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= low && value <= high))
        usage();
    return value;
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"seed", 1, NULL, 's'}, {"seconds", 1, NULL, 'd'}, {"threads", 1, NULL, 't'}, {"log", 1, NULL, 'l'}, {0}};
    noise.threads = (int)(THREADS_PER_CPU * sysconf(_SC_NPROCESSORS_ONLN));
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;)
        switch (option) {
        case 's':
            noise.seed = (uint64_t)number(optarg, 0, 1e15);
            break;
        case 'd':
            noise.seconds = number(optarg, 0, 1e7);
            break;
        case 't':
            noise.threads = (int)number(optarg, 1, MOST_THREADS);
            break;
        case 'l':
            noise.log = fopen(optarg, "w");
            if (!noise.log) {
                perror(optarg);
                exit(1);
            }
            break;
        default:
            usage();
        }
    if (optind < argc)
        usage();
}

static void start_threads(void)
{
    noise.buffer = malloc(BUFFER_FLOATS * sizeof *noise.buffer);
    if (!noise.buffer) {
        fprintf(stderr, "noise: no memory for %zu MiB\n", BUFFER_FLOATS * sizeof *noise.buffer >> 20);
        exit(1);
    }
    memset(noise.buffer, 0, BUFFER_FLOATS * sizeof *noise.buffer); /* or else all of it is one page of zeros */
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    noise.started = (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
    clock_gettime(CLOCK_MONOTONIC, &noise.start);
    for (int i = 0; i < noise.threads; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, run, (void *)(intptr_t)i) != 0) {
            fprintf(stderr, "noise: no thread %d of %d: take fewer\n", i + 1, noise.threads);
            exit(1);
        }
    }
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    const double end = noise.seconds > 0 ? noise.seconds : INFINITY;
    const uint64_t phase_key = kv_mix64(2 * noise.seed), drift_key = kv_mix64(2 * noise.seed + 1);
    uint64_t phase_index = 0, drift_index = 0;
    double phase_end = 0, drift_end = 0;
    if (noise.log)
        fprintf(noise.log, "started_s,after_s,kind,seconds,work,threads,share,turn_ms\n");
    start_threads();
    for (double time = 0; time < end;) {
        if (drift_end <= phase_end) {
            begin(&noise.drift, "drift", next_drift(drift_key, &drift_index, drift_end));
            drift_end += noise.drift.seconds;
        } else {
            begin(&noise.phase, "phase", next_phase(phase_key, &phase_index, phase_end));
            phase_end += noise.phase.seconds;
        }
        time = fmin(fmin(phase_end, drift_end), end);
        sleep_seconds(fmax(time - now(), 0));
    }
    return 0;
}
