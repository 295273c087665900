/* Google Benchmark from C: benchmarks are C functions, which take their own time.
 *
 * Order of calls: gb_initialize, then gb_register and gb_run as often as wanted.
 *   errors         a kv_status other than KV_OK, and, when `error` is not NULL, one line in
 *                  `error->message` that names the thing and the remedy. What goes wrong inside a function
 *                  of a benchmark becomes the error of its repetition. No C++ exception gets out
 *   ownership      names are copied, contexts are not
 *   thread safety  Google Benchmark keeps its flags and its registry once for the process, so this does
 *                  too: one thread makes all calls, and the functions of benchmarks, which run on it, neither
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

/* Of times in the file of --benchmark_out. */
enum gb_unit {
    GB_MICROSECONDS,
    GB_MILLISECONDS,
};

struct gb_counter {
    const char *name; /* a constant; NULL ends the list */
    double value;     /* goes into the file as it is: neither divided by time nor by iterations */
};

/* What `prepare` returns when there is nothing to measure: the repetition is neither done nor in the file. */
extern const char gb_pass_over[];

/* One repetition of something that is measured; the same name may be registered again. The functions return NULL, or
 * what went wrong: a text that stays until `done` has been called, and that the repetition carries instead of times. */
struct gb_benchmark {
    const char *name; /* not empty; --benchmark_filter sees it with /iterations:N/repeats:1/manual_time behind it */
    /* Before each call of run, outside of its CPU time; NULL: nothing to prepare. */
    const char *(*prepare)(void *context);
    /* Not NULL. Runs n iterations, which took *seconds together, above 0; called as often as it takes to know how many
     * of them fill min_time_s. */
    const char *(*run)(void *context, int64_t n, double *seconds);
    const struct gb_counter *(*counters)(void *context); /* after a run that went well; NULL: there are none */
    void (*done)(void *context, const char *error);      /* when the repetition is done; NULL: nobody is told */
    void *context;                                       /* must outlive the registration */
    int64_t iterations;                                  /* exactly so many, in one call; 0: by time */
    double min_time_s; /* 0: --benchmark_min_time, or 0.5; not together with iterations */
    enum gb_unit unit;
};

/* Inside `run`, in pairs: what is between them is not in the CPU time that goes into the file. */
void gb_pause(void);
void gb_resume(void);

/* Benchmarks run in the order in which they were registered. Errors: ARGUMENT, MEMORY. */
kv_status gb_register(const struct gb_benchmark *benchmark, struct kv_error *error);

/* Forgets every registration. */
void gb_clear(void);

/* ---- Running ------------------------------------------------------------------------------------ */

/* Runs every registered benchmark that --benchmark_filter matches; *matched is how many those were, 0 being no error;
 * NULL allowed. Errors: ARGUMENT when the filter is no regular expression, IO when the file of --benchmark_out cannot
 * be written, MEMORY. */
kv_status gb_run(size_t *matched, struct kv_error *error);

/* Lets the call of `run` that is running finish and starts no other one, for the rest of the process.
 * Repetitions that are not complete by then are not done. Safe in a signal handler. */
void gb_request_stop(void);
bool gb_stop_requested(void);

#ifdef __cplusplus
}
#endif

#endif
