/* Google Benchmark from C: benchmarks are C functions, and the measured loop stays in C.
 *
 *     static void sum_rows(struct gb_state *state, void *context)
 *     {
 *         const int64_t n = gb_begin(state);
 *         const double seconds = time_of_sums(context, n);
 *         gb_end(state);
 *         gb_set_time(state, seconds);
 *     }
 *
 * Order of calls: gb_initialize, then gb_register and gb_run as often as wanted.
 *   errors         a kv_status other than KV_OK, and, when `error` is not NULL, one line in
 *                  `error->message` that names the thing and the remedy. What goes wrong inside a fixture,
 *                  a wrong call included, becomes the error of its repetition. No C++ exception gets out
 *   ownership      names are copied, contexts are not
 *   thread safety  Google Benchmark keeps its flags and its registry once for the process, so this does
 *                  too: one thread makes all calls, and fixtures and their `done`, which run on it, neither
 *                  register, clear nor run. Only gb_request_stop and gb_stop_requested may be called anywhere
 *   output         none, except what --benchmark_list_tests asks for
 */
#ifndef KV_GBENCH_GBENCH_H
#define KV_GBENCH_GBENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kvbench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Flags -------------------------------------------------------------------------------------- */

/* Takes the --benchmark_* flags out of argv and leaves everything else there, --help included. Google
 * Benchmark's BENCHMARK_* environment variables give the defaults, as they do elsewhere. Not as elsewhere:
 *   --benchmark_out         the file holds every gb_run that follows: at the end of each it is replaced, whole
 *   --benchmark_out_format  json only
 *   --benchmark_format, _color, _counters_tabular, _report_aggregates_only, _display_aggregates_only
 *                           are accepted and change nothing: every repetition goes to the file
 * Errors: ARGUMENT for a flag that is unknown or has a value that cannot be used (that flag and those after it
 * are still in argv; the library may keep the value, so give up), IO when the file of --benchmark_out cannot be
 * written, MEMORY. */
kv_status gb_initialize(int *argc, char **argv, struct kv_error *error);

/* Whether --benchmark_list_tests was given: gb_run then prints the matching names, one a line, and runs nothing. */
bool gb_lists_only(void);

/* ---- Benchmarks --------------------------------------------------------------------------------- */

/* One call of a fixture; valid until the fixture returns. */
struct gb_state;

/* Of times in the file of --benchmark_out. */
enum gb_unit {
    GB_MICROSECONDS,
    GB_MILLISECONDS,
};

/* One repetition of something that is measured; the same name may be registered again. */
struct gb_benchmark {
    const char *name; /* not empty; --benchmark_filter sees it with /iterations:N/repeats:1/manual_time behind it */
    /* Not NULL; called as often as it takes to know how many iterations fill min_time_s. */
    void (*run)(struct gb_state *state, void *context);
    /* Called when the repetition is done: `error` is NULL when it succeeded. */
    void (*done)(void *context, const char *error);
    void *context;      /* must outlive the registration */
    int64_t iterations; /* exactly so many, in one call; 0: by time */
    double min_time_s;  /* 0: --benchmark_min_time, or 0.5; not together with iterations */
    enum gb_unit unit;
};

/* Benchmarks run in the order in which they were registered. Errors: ARGUMENT, MEMORY. */
kv_status gb_register(const struct gb_benchmark *benchmark, struct kv_error *error);

/* Forgets every registration. */
void gb_clear(void);

/* ---- Inside a fixture --------------------------------------------------------------------------- */

/* Returns how many iterations to run now, 0 after gb_skip_with_error. A fixture calls gb_begin once, runs that many
 * iterations, calls gb_end once, and gives the seconds that they took together, above 0, to gb_set_time. */
int64_t gb_begin(struct gb_state *state);
void gb_end(struct gb_state *state);
void gb_set_time(struct gb_state *state, double seconds);

/* Goes into the file as it is: neither divided by time nor by iterations. */
void gb_set_counter(struct gb_state *state, const char *name, double value);

/* The repetition carries the message instead of times and counters; of several messages, the first. Nothing
 * measures it again, and the fixture should return. */
void gb_skip_with_error(struct gb_state *state, const char *message);

/* There is nothing to measure: the repetition is neither done nor in the file. The fixture should return. */
void gb_pass_over(struct gb_state *state);

/* ---- Running ------------------------------------------------------------------------------------ */

/* Runs every registered benchmark that --benchmark_filter matches; *matched is how many those were, 0 being no error;
 * NULL allowed. Errors: ARGUMENT when the filter is no regular expression, IO when the file of --benchmark_out cannot
 * be written, MEMORY. */
kv_status gb_run(size_t *matched, struct kv_error *error);

/* Lets the call of a fixture that is running finish and starts no other one, for the rest of the process.
 * Repetitions that are not complete by then are not done. Safe in a signal handler. */
void gb_request_stop(void);
bool gb_stop_requested(void);

#ifdef __cplusplus
}
#endif

#endif
