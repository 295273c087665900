/* Google Benchmark from C: benchmarks are C functions, and the measured loop stays in C.
 *
 *     static void sum_rows(struct gb_state *state, void *context)
 *     {
 *         const int64_t n = gb_begin(state);
 *         for (int64_t i = 0; i < n; i++)
 *             gb_do_not_optimize(sum(context));
 *         gb_end(state);
 *     }
 *
 * Order of calls: gb_initialize, then gb_register and gb_run as often as wanted.
 *   errors         a kv_status other than KV_OK, and, when `error` is not NULL, one line in
 *                  `error->message` that names the thing and the remedy. What goes wrong inside a fixture,
 *                  a wrong call included, becomes the error of its row. No C++ exception gets out
 *   ownership      strings and arrays that are handed in are copied, contexts are not; what a report is
 *                  given is valid until it returns
 *   thread safety  Google Benchmark keeps its flags and its registry once for the process, so this does
 *                  too: one thread makes all calls, and fixtures and reports, which run on it, neither
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
 *                           are accepted and change nothing: every row goes to the report and to the file
 * Errors: ARGUMENT for a flag that is unknown or has a value that cannot be used (that flag and those after it
 * are still in argv; the library may keep the value, so give up), IO when the file of --benchmark_out cannot be
 * written, MEMORY. */
kv_status gb_initialize(int *argc, char **argv, struct kv_error *error);

/* Whether --benchmark_list_tests was given: gb_run then prints the matching names, one a line, and runs nothing. */
bool gb_lists_only(void);

/* ---- Benchmarks --------------------------------------------------------------------------------- */

/* One call of a fixture; valid until the fixture returns. */
struct gb_state;
typedef void (*gb_fixture)(struct gb_state *state, void *context);

enum gb_clock {
    GB_REAL_TIME,   /* wall clock from gb_begin to gb_end */
    GB_MANUAL_TIME, /* what the fixture gives to gb_set_iteration_time */
};

/* Of times in the file of --benchmark_out; rows are in seconds whatever the unit. */
enum gb_unit {
    GB_NANOSECONDS,
    GB_MICROSECONDS,
    GB_MILLISECONDS,
    GB_SECONDS,
};

/* Fields that are left zero take the default that is given with them. */
struct gb_benchmark {
    const char *name;         /* not empty; the same name may be registered again */
    gb_fixture run;           /* not NULL; called as often as it takes to know how many iterations fill min_time_s */
    void *context;            /* handed to run and to the report; must outlive the registration */
    const int64_t *arguments; /* [n_arguments] */
    const char *const *argument_names; /* [n_arguments] or NULL: unnamed */
    int n_arguments;
    int64_t iterations; /* exactly so many, in one call; 0: by time */
    int repetitions;    /* 0: --benchmark_repetitions, or 1 */
    double min_time_s;  /* 0: --benchmark_min_time, or 0.5; not together with iterations */
    enum gb_clock clock;
    enum gb_unit unit;
};

/* Benchmarks run in the order in which they were registered. Errors: ARGUMENT, MEMORY. */
kv_status gb_register(const struct gb_benchmark *benchmark, struct kv_error *error);

/* Forgets every registration. */
void gb_clear(void);

/* ---- Inside a fixture --------------------------------------------------------------------------- */

/* Argument `index`, 0..n_arguments-1; any other index is an error of the row. */
int64_t gb_argument(struct gb_state *state, int index);

/* Starts the clock and returns how many iterations to run now, 0 after gb_skip_with_error. A fixture calls
 * gb_begin once, runs that many iterations, and calls gb_end once. */
int64_t gb_begin(struct gb_state *state);
void gb_end(struct gb_state *state);

/* With GB_MANUAL_TIME: adds to the time of this call's iterations together. Their sum must be above 0. */
void gb_set_iteration_time(struct gb_state *state, double seconds);

/* Goes into the row as it is: neither divided by time nor by iterations. */
void gb_set_counter(struct gb_state *state, const char *name, double value);
void gb_set_label(struct gb_state *state, const char *text);

/* The row carries the message instead of times and counters; of several messages, the first. Nothing
 * measures this repetition again, and the fixture should return. */
void gb_skip_with_error(struct gb_state *state, const char *message);

/* Makes the compiler believe that the pointer, and all memory it can reach, is read here. */
static inline void gb_do_not_optimize(const void *pointer)
{
    __asm__ volatile("" : : "r"(pointer) : "memory");
}

/* Makes the compiler finish all writes to memory before this point and read memory again after it. */
static inline void gb_clobber_memory(void)
{
    __asm__ volatile("" : : : "memory");
}

/* ---- Running ------------------------------------------------------------------------------------ */

struct gb_counter {
    const char *name;
    double value;
};

/* One repetition of one registered benchmark. */
struct gb_row {
    const char *name;        /* as --benchmark_filter sees it: name/arguments/iterations:N/real_time */
    void *benchmark_context; /* gb_benchmark.context: tells registrations of the same name apart */
    const char *label;       /* empty when none was set */
    const char *error;       /* NULL when the repetition succeeded */
    int64_t iterations;
    int repetition_index; /* 0..repetitions-1 */
    int repetitions;
    double real_time_s;                /* an iteration, by the benchmark's clock; NaN with an error */
    double cpu_time_s;                 /* an iteration, of the calling thread alone; NaN with an error */
    const struct gb_counter *counters; /* [n_counters], by name; none with an error */
    int n_counters;
};

/* Called when the last repetition of a registration is done, once for each of its repetitions. To see each
 * repetition at once, register one-repetition benchmarks of the same name. */
typedef void (*gb_report)(const struct gb_row *row, void *context);

/* Runs every registered benchmark that --benchmark_filter matches.
 *   report   NULL: no rows
 *   matched  how many benchmarks that were, 0 being no error; NULL allowed
 * Errors: ARGUMENT when the filter is no regular expression, IO when the file of --benchmark_out cannot be
 * written (the rows have been reported by then), MEMORY. */
kv_status gb_run(gb_report report, void *context, size_t *matched, struct kv_error *error);

/* Lets the call of a fixture that is running finish and starts no other one, for the rest of the process.
 * Repetitions that are not complete by then yield no row. Safe in a signal handler. */
void gb_request_stop(void);
bool gb_stop_requested(void);

#ifdef __cplusplus
}
#endif

#endif
