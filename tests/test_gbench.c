/* The C shim over Google Benchmark: what is run, what goes wrong, flags, the JSON file, stopping. The library keeps its
 * flags and registry once for a process, so every check runs in a child process of its own. */
#include "support.h"

#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "gbench/gbench.h"

/* Ends the child: cmocka's own assertions would jump back into a copy of the parent's test runner. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* ---- What is run and what comes of it --------------------------------------------------------------- */

/* A registration's context: how often it was prepared, run and done, and with what error. */
struct seen {
    const char *refusal; /* of prepare */
    const char *failure; /* of run */
    double seconds;      /* of an iteration */
    bool interrupted;    /* run raises SIGINT */
    int burns;           /* run takes 0.1 s of CPU time: 1 inside a pause, 2 outside */
    int n_prepared, n_calls, n_done;
    int64_t iterations; /* of the last call */
    char error[256];    /* "" when none */
    int order;          /* its place among all that were done */
};
static int n_done_in_all;

static const char *prepare_seen(void *context)
{
    struct seen *seen = context;
    seen->n_prepared++;
    return seen->refusal;
}

static const char *run_seen(void *context, int64_t n, double *seconds)
{
    struct seen *seen = context;
    seen->n_calls++;
    seen->iterations = n;
    if (seen->interrupted)
        CHECK(raise(SIGINT) == 0);
    if (seen->burns == 1)
        gb_pause();
    for (const clock_t start = clock(); seen->burns && clock() - start < CLOCKS_PER_SEC / 10;)
        ;
    if (seen->burns == 1)
        gb_resume();
    *seconds = seen->seconds * (double)n;
    return seen->failure;
}

static void done_seen(void *context, const char *error)
{
    struct seen *seen = context;
    CHECK(!error || *error);
    seen->n_done++;
    seen->order = ++n_done_in_all;
    snprintf(seen->error, sizeof seen->error, "%s", error ? error : "");
}

static const struct gb_counter *counters_seen(void *context)
{
    static const struct gb_counter counters[] = {{"tokens", 1.0 / 3.0}, {NULL, 0}};
    (void)context;
    return counters;
}

static void add_benchmark(const char *name, struct seen *seen, int64_t iterations, double min_time_s)
{
    const struct gb_benchmark benchmark = {
        .name = name,
        .prepare = prepare_seen,
        .run = run_seen,
        .counters = counters_seen,
        .done = done_seen,
        .context = seen,
        .iterations = iterations,
        .min_time_s = min_time_s,
        .unit = GB_MILLISECONDS,
    };
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
}

/* Of two iterations. */
static void add(const char *name, struct seen *seen)
{
    if (seen->seconds == 0)
        seen->seconds = 1e-3;
    add_benchmark(name, seen, 2, 0);
}

static size_t run_all(void)
{
    size_t matched = 0;
    CHECK(gb_run(&matched, NULL) == KV_OK);
    return matched;
}

static void check_iterations_fill_the_time(void)
{
    struct seen exact = {.seconds = 0.25}, timed = {.seconds = 0.25};
    add("exact", &exact);
    add_benchmark("timed", &timed, 0, 0.9);
    CHECK(run_all() == 2);
    CHECK(exact.n_calls == 1 && exact.iterations == 2 && exact.n_done == 1 && !*exact.error);
    CHECK(timed.iterations >= 4 && timed.n_prepared == timed.n_calls && timed.n_done == 1 && !*timed.error);
    CHECK(exact.order == 1 && timed.order == 2);
}

static void check_what_goes_wrong(void)
{
    struct seen seen[] = {
        {.refusal = "does not fit"}, {.failure = "no number", .seconds = 1}, {.seconds = 0}, {.seconds = -1},
        {.seconds = (double)NAN},    {.seconds = (double)INFINITY},          {.seconds = 1},
    };
    static const char *const errors[] = {"does not fit",         "no number",
                                         "no time was measured", "no time was measured",
                                         "no time was measured", "no time was measured"};
    enum { N = sizeof errors / sizeof *errors };
    for (int i = 0; i <= N; i++)
        add_benchmark("skip", &seen[i], 0, 1e-9);
    CHECK(run_all() == N + 1);
    for (int i = 0; i < N; i++) {
        CHECK(strstr(seen[i].error, errors[i]));
        CHECK(seen[i].n_calls == (i > 0) && seen[i].n_prepared == 1 && seen[i].n_done == 1);
    }
    CHECK(!*seen[N].error && seen[N].n_done == 1);
}

static void check_registration_errors(void)
{
    struct seen seen = {.n_calls = 0};
    const struct gb_benchmark good = {.name = "good", .run = run_seen, .context = &seen};
    struct gb_benchmark bad[6];
    for (int i = 0; i < 6; i++)
        bad[i] = good;
    bad[0].name = NULL;
    bad[1].name = "";
    bad[2].run = NULL;
    bad[3].iterations = -1;
    bad[4].min_time_s = NAN;
    bad[5].iterations = 1;
    bad[5].min_time_s = 1;
    for (int i = 0; i < 6; i++) {
        struct kv_error error = {""};
        CHECK(gb_register(&bad[i], &error) == KV_ERROR_ARGUMENT);
        CHECK(strchr(error.message, ';') && !strchr(error.message, '\n'));
        CHECK(i < 2 || strstr(error.message, "good"));
    }
    CHECK(run_all() == 0 && seen.n_calls == 0);
}

static void check_several_runs(void)
{
    struct seen seen[3] = {{.n_calls = 0}};
    add("a", &seen[0]);
    for (int run = 1; run <= 3; run++)
        CHECK(run_all() == 1 && seen[0].n_calls == run && seen[0].n_done == run);
    add("b", &seen[1]);
    CHECK(run_all() == 2);
    gb_clear();
    CHECK(run_all() == 0);
    add("c", &seen[2]);
    CHECK(run_all() == 1 && seen[0].n_calls == 4 && seen[1].n_calls == 1 && seen[2].n_calls == 1);
    CHECK(gb_run(NULL, NULL) == KV_OK && seen[2].n_calls == 2);
}

/* ---- Flags ------------------------------------------------------------------------------------------ */

/* Hands over one flag, NULL for none. */
static kv_status initialize(const char *flag, struct kv_error *error)
{
    char program[] = "test";
    char copy[512];
    snprintf(copy, sizeof copy, "%s", flag ? flag : "");
    char *argv[] = {program, copy, NULL};
    int argc = flag ? 2 : 1;
    return gb_initialize(&argc, argv, error);
}

static void check_flags_are_taken(void)
{
    char arguments[][32] = {"test",
                            "--help",
                            "--benchmark_min_time=0.01",
                            "bench",
                            "--benchmark_context=a=b",
                            "--v=2",
                            "--benchmark_list_tests=false"};
    char *argv[8] = {NULL};
    for (int i = 0; i < 7; i++)
        argv[i] = arguments[i];
    int argc = 7;
    CHECK(gb_initialize(&argc, argv, NULL) == KV_OK);
    CHECK(argc == 4 && !argv[4]);
    CHECK(strcmp(argv[1], "--help") == 0 && strcmp(argv[2], "bench") == 0 && strcmp(argv[3], "--v=2") == 0);
    CHECK(!gb_lists_only());
}

static void check_bad_flag(const char *flag)
{
    struct kv_error error = {""};
    char program[] = "test", first[] = "--benchmark_filter=a", last[] = "--benchmark_min_time=1", middle[64];
    snprintf(middle, sizeof middle, "%s", flag);
    char *argv[] = {program, first, middle, last, NULL};
    int argc = 4;
    CHECK(gb_initialize(&argc, argv, &error) == KV_ERROR_ARGUMENT);
    CHECK(strncmp(error.message, flag, strlen(flag)) == 0 && !strchr(error.message, '\n'));
    CHECK(argc == 3 && argv[1] == middle && argv[2] == last && !argv[3]);
}

/* Each in a process of its own: some values stay in the library's flags although it refused them. */
static void check_bad_flags(void)
{
    static const char *const bad[] = {
        "--benchmark_foo=1",
        "--benchmark_",
        "--benchmark_repetitions=many",
        "--benchmark_repetitions=0",
        "--benchmark_min_time=x",
        "--benchmark_min_time=-1",
        "--benchmark_min_time=nan",
        "--benchmark_min_warmup_time=1e300",
        "--benchmark_out_format=csv",
        "--benchmark_time_unit=h",
        "--benchmark_format=xml",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int status = -1;
        const pid_t child = fork();
        if (child == 0) {
            check_bad_flag(bad[i]);
            _exit(0);
        }
        CHECK(waitpid(child, &status, 0) == child && status == 0);
    }
}

static void check_environment(void)
{
    struct kv_error error = {""};
    setenv("BENCHMARK_OUT", "file", 1);
    setenv("BENCHMARK_OUT_FORMAT", "console", 1);
    CHECK(initialize(NULL, &error) == KV_ERROR_ARGUMENT);
    CHECK(strstr(error.message, "BENCHMARK_OUT_FORMAT"));
    CHECK(initialize("--benchmark_out=", &error) == KV_OK);
}

/* What the flags say of repetitions and aggregates changes nothing: a registration is one repetition. */
static void check_repetitions(void)
{
    struct seen seen = {.n_calls = 0};
    CHECK(initialize("--benchmark_report_aggregates_only=true", NULL) == KV_OK);
    CHECK(initialize("--benchmark_repetitions=2", NULL) == KV_OK);
    add("flag", &seen);
    CHECK(run_all() == 1 && seen.n_calls == 1 && seen.n_done == 1);
}

static void check_filter(void)
{
    struct seen seen[3] = {{.n_calls = 0}};
    struct kv_error error = {""};
    size_t matched = 99;
    add("naive", &seen[0]);
    add("cached", &seen[1]);
    add("cached_chunked", &seen[2]);
    CHECK(initialize("--benchmark_filter=^cached", NULL) == KV_OK);
    CHECK(run_all() == 2 && seen[0].n_calls == 0 && seen[1].n_calls == 1 && seen[2].n_calls == 1);
    CHECK(initialize("--benchmark_filter=-^cached", NULL) == KV_OK);
    CHECK(run_all() == 1 && seen[0].n_calls == 1);
    CHECK(initialize("--benchmark_filter=nothing", NULL) == KV_OK);
    CHECK(run_all() == 0);
    CHECK(initialize("--benchmark_filter=(", NULL) == KV_OK);
    CHECK(gb_run(&matched, &error) == KV_ERROR_ARGUMENT && matched == 0);
    CHECK(strncmp(error.message, "--benchmark_filter=(:", 21) == 0);
    CHECK(seen[0].n_calls == 1 && seen[1].n_calls == 1 && seen[2].n_calls == 1);
}

static void check_list_tests(void)
{
    struct seen seen = {.n_calls = 0};
    add("naive", &seen);
    add_benchmark("cached", &seen, 0, 0.02);
    CHECK(initialize("--benchmark_list_tests", NULL) == KV_OK);
    CHECK(gb_lists_only());
    CHECK(initialize("--benchmark_filter=cached|naive", NULL) == KV_OK);
    CHECK(!gb_lists_only());
    CHECK(initialize("--benchmark_list_tests=true", NULL) == KV_OK);
    CHECK(gb_run(NULL, NULL) == KV_OK && seen.n_calls == 0 && seen.n_done == 0);
}

/* ---- The JSON file ---------------------------------------------------------------------------------- */

static json_t *read_benchmarks(const char *file)
{
    json_error_t error;
    json_t *document = json_load_file(file, 0, &error);
    if (!document)
        fprintf(stderr, "%s:%d: %s\n", file, error.line, error.text);
    CHECK(document);
    CHECK(json_is_string(json_object_get(json_object_get(document, "context"), "date")));
    json_t *benchmarks = json_incref(json_object_get(document, "benchmarks"));
    CHECK(json_is_array(benchmarks));
    json_decref(document);
    return benchmarks;
}

static const char *entry_text(const json_t *benchmarks, size_t index, const char *key)
{
    return json_string_value(json_object_get(json_array_get(benchmarks, index), key));
}

static double entry_number(const json_t *benchmarks, size_t index, const char *key)
{
    return json_number_value(json_object_get(json_array_get(benchmarks, index), key));
}

/* Three times the same name, interleaved with another one, as repetitions of two paths are. */
static void check_json_file(void)
{
    const char *const file = "runs.json", *const temporary = "runs.json.tmp";
    CHECK(initialize("--benchmark_out=runs.json", NULL) == KV_OK);
    CHECK(access(file, F_OK) != 0 && access(temporary, F_OK) != 0);
    struct seen seen[6], passed = {.refusal = gb_pass_over}, failed = {.refusal = "does not fit"};
    for (int i = 0; i < 6; i++) {
        seen[i] = (struct seen){.seconds = i + 1};
        add(i % 2 ? "naive" : "cached", &seen[i]);
    }
    add("nothing to do", &passed);
    CHECK(run_all() == 7 && passed.n_prepared == 1 && passed.n_calls == 0 && passed.n_done == 0);
    json_t *benchmarks = read_benchmarks(file);
    CHECK(json_array_size(benchmarks) == 6);
    for (size_t i = 0; i < 6; i++) {
        CHECK(strcmp(entry_text(benchmarks, i, "name"), i % 2 ? "naive/iterations:2/repeats:1/manual_time"
                                                              : "cached/iterations:2/repeats:1/manual_time") == 0);
        CHECK(strcmp(entry_text(benchmarks, i, "run_type"), "iteration") == 0);
        CHECK(strcmp(entry_text(benchmarks, i, "time_unit"), "ms") == 0);
        CHECK(entry_number(benchmarks, i, "real_time") == seen[i].seconds * 1000);
        CHECK(entry_number(benchmarks, i, "tokens") == 1.0 / 3.0);
    }
    json_decref(benchmarks);

    gb_clear();
    add("later", &failed);
    CHECK(run_all() == 1);
    benchmarks = read_benchmarks(file);
    CHECK(json_array_size(benchmarks) == 7);
    CHECK(strcmp(entry_text(benchmarks, 6, "error_message"), "does not fit") == 0);
    CHECK(!json_object_get(json_array_get(benchmarks, 6), "tokens"));
    json_decref(benchmarks);
    CHECK(access(temporary, F_OK) != 0);
    CHECK(unlink(file) == 0);
}

static void check_pauses_are_not_in_the_cpu_time(void)
{
    struct seen inside = {.burns = 1}, outside = {.burns = 2};
    gb_pause(); /* outside of run: nothing to pause */
    gb_resume();
    CHECK(initialize("--benchmark_out=paused.json", NULL) == KV_OK);
    add("inside", &inside);
    add("outside", &outside);
    CHECK(run_all() == 2);
    json_t *benchmarks = read_benchmarks("paused.json");
    CHECK(entry_number(benchmarks, 0, "cpu_time") < 10 && entry_number(benchmarks, 1, "cpu_time") > 45); /* of two */
    json_decref(benchmarks);
    CHECK(unlink("paused.json") == 0);
}

static void check_json_file_errors(void)
{
    struct kv_error error = {""};
    struct seen seen = {.n_calls = 0};
    CHECK(initialize("--benchmark_out=missing/runs.json", &error) == KV_ERROR_IO);
    CHECK(strncmp(error.message, "--benchmark_out=missing/runs.json:", 34) == 0);
    CHECK(initialize("--benchmark_out=/dev/null", &error) == KV_ERROR_ARGUMENT);
    CHECK(initialize("--benchmark_out=.", &error) == KV_ERROR_ARGUMENT);
    add("a", &seen);
    CHECK(mkdir("gone", 0700) == 0);
    CHECK(initialize("--benchmark_out=gone/runs.json", &error) == KV_OK);
    CHECK(rmdir("gone") == 0);
    CHECK(gb_run(NULL, &error) == KV_ERROR_IO);
    CHECK(seen.n_calls == 1 && seen.n_done == 1);
}

/* ---- Stopping ---------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
    gb_request_stop();
}

static void check_stop(void)
{
    struct seen seen[3] = {{.n_calls = 0}, {.interrupted = true}, {.n_calls = 0}};
    CHECK(initialize("--benchmark_out=stopped.json", NULL) == KV_OK);
    CHECK(signal(SIGINT, on_signal) != SIG_ERR);
    for (int i = 0; i < 3; i++)
        add("of three", &seen[i]);
    CHECK(!gb_stop_requested());
    run_all();
    CHECK(gb_stop_requested());
    CHECK(seen[0].n_done == 1 && seen[1].n_done == 1 && !*seen[1].error);
    CHECK(seen[2].n_calls == 0 && seen[2].n_done == 0);
    json_t *benchmarks = read_benchmarks("stopped.json");
    CHECK(json_array_size(benchmarks) == 2);
    json_decref(benchmarks);
    run_all();
    CHECK(seen[0].n_calls == 1);
    CHECK(unlink("stopped.json") == 0);
}

/* The call that was interrupted had too few iterations for min_time_s, so nothing is done. */
static void check_stop_while_growing(void)
{
    struct seen seen = {.interrupted = true, .seconds = 1e-3};
    CHECK(signal(SIGINT, on_signal) != SIG_ERR);
    add_benchmark("long", &seen, 0, 60);
    run_all();
    CHECK(seen.n_calls == 1 && seen.n_done == 0);
}

/* ---- Running the checks ------------------------------------------------------------------------------- */

struct check {
    const char *name;
    void (*run)(void);
    const char *output; /* what it prints on stdout, NULL for nothing */
};

/* Runs `check` in a child; what it printed on stdout goes to output [size], and it must not print on stderr. */
static void run_child(void (*check)(void), char *output, size_t size)
{
    FILE *const out = tmpfile();
    FILE *const err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(fileno(out), STDOUT_FILENO) < 0 || dup2(fileno(err), STDERR_FILENO) < 0)
            _exit(2);
        check();
        fflush(NULL);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    char complaints[4096];
    rewind(err);
    complaints[fread(complaints, 1, sizeof complaints - 1, err)] = '\0';
    rewind(out);
    output[fread(output, 1, size - 1, out)] = '\0';
    fclose(out);
    fclose(err);
    assert_string_equal(complaints, "");
    assert_int_equal(status, 0);
}

static void run_check(void **state)
{
    const struct check *check = *state;
    char output[4096];
    run_child(check->run, output, sizeof output);
    assert_string_equal(output, check->output ? check->output : "");
}

int main(void)
{
    static const struct check checks[] = {
        {"iterations fill the time", check_iterations_fill_the_time, NULL},
        {"what goes wrong", check_what_goes_wrong, NULL},
        {"registration errors", check_registration_errors, NULL},
        {"several runs", check_several_runs, NULL},
        {"flags are taken", check_flags_are_taken, NULL},
        {"bad flags", check_bad_flags, NULL},
        {"environment", check_environment, NULL},
        {"repetitions", check_repetitions, NULL},
        {"filter", check_filter, NULL},
        {"list tests", check_list_tests,
         "naive/iterations:2/repeats:1/manual_time\ncached/min_time:0.020/repeats:1/manual_time\n"},
        {"JSON file", check_json_file, NULL},
        {"pauses", check_pauses_are_not_in_the_cpu_time, NULL},
        {"JSON file errors", check_json_file_errors, NULL},
        {"stop", check_stop, NULL},
        {"stop while growing", check_stop_while_growing, NULL},
    };
    enum { N = sizeof checks / sizeof checks[0] };
    struct CMUnitTest tests[N];
    char folder[] = "/tmp/test_gbench_XXXXXX";
    for (int i = 0; i < N; i++)
        tests[i] = (struct CMUnitTest){checks[i].name, run_check, NULL, NULL, (void *)(uintptr_t)&checks[i]};
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    const int failed = _cmocka_run_group_tests("gbench", tests, N, NULL, NULL);
    /* Also shows that no file was left behind. */
    if (rmdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    return failed;
}
