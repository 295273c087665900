/* The C shim over Google Benchmark: flags, the JSON file, stopping. */
#include <jansson.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "gbench_child.h"

/* ---- Flags ------------------------------------------------------------------------------------------ */

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

static void check_filter(void)
{
    int calls[3] = {0};
    add("naive", counting, &calls[0]);
    add("cached", counting, &calls[1]);
    add("cached_chunked", counting, &calls[2]);
    size_t matched = 0;
    CHECK(initialize("--benchmark_filter=^cached", NULL) == KV_OK);
    CHECK(gb_run(NULL, NULL, &matched, NULL) == KV_OK && matched == 2);
    CHECK(calls[0] == 0 && calls[1] == 1 && calls[2] == 1);
    CHECK(initialize("--benchmark_filter=-^cached", NULL) == KV_OK);
    CHECK(gb_run(NULL, NULL, &matched, NULL) == KV_OK && matched == 1 && calls[0] == 1);
    CHECK(initialize("--benchmark_filter=nothing", NULL) == KV_OK);
    CHECK(gb_run(NULL, NULL, &matched, NULL) == KV_OK && matched == 0);
    struct kv_error error = {""};
    CHECK(initialize("--benchmark_filter=(", NULL) == KV_OK);
    CHECK(gb_run(NULL, NULL, &matched, &error) == KV_ERROR_ARGUMENT && matched == 0);
    CHECK(strncmp(error.message, "--benchmark_filter=(:", 21) == 0);
    CHECK(calls[0] == 1 && calls[1] == 1 && calls[2] == 1);
}

static void check_list_tests(void)
{
    int calls = 0;
    add("naive", counting, &calls);
    add("cached", counting, &calls);
    CHECK(initialize("--benchmark_list_tests", NULL) == KV_OK);
    CHECK(gb_lists_only());
    CHECK(initialize("--benchmark_filter=cached|naive", NULL) == KV_OK);
    CHECK(!gb_lists_only());
    CHECK(initialize("--benchmark_list_tests=true", NULL) == KV_OK);
    CHECK(run_all().n == 0 && calls == 0);
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

static void failing(struct gb_state *state, void *context)
{
    (void)context;
    gb_skip_with_error(state, "does not fit");
}

/* Three times the same name, interleaved with another one, as repetitions of two paths are. */
static void check_json_file(void)
{
    const char *const file = "runs.json", *const temporary = "runs.json.tmp";
    CHECK(initialize("--benchmark_out=runs.json", NULL) == KV_OK);
    CHECK(access(file, F_OK) != 0 && access(temporary, F_OK) != 0);
    double seconds[] = {1, 5, 2, 6, 3, 7};
    struct gb_benchmark benchmark = {.run = manual, .clock = GB_MANUAL_TIME, .iterations = 2, .unit = GB_MILLISECONDS};
    for (int i = 0; i < 6; i++) {
        benchmark.name = i % 2 ? "naive" : "cached";
        benchmark.context = &seconds[i];
        CHECK(gb_register(&benchmark, NULL) == KV_OK);
    }
    const struct rows rows = run_all();
    CHECK(rows.n == 6);
    json_t *benchmarks = read_benchmarks(file);
    CHECK(json_array_size(benchmarks) == 6);
    for (size_t i = 0; i < 6; i++) {
        const char *name = i % 2 ? "naive/iterations:2/manual_time" : "cached/iterations:2/manual_time";
        CHECK(strcmp(rows.row[i].name, name) == 0);
        CHECK(rows.row[i].benchmark_context == &seconds[i] && rows.row[i].real_time_s == seconds[i]);
        CHECK(strcmp(entry_text(benchmarks, i, "name"), name) == 0);
        CHECK(strcmp(entry_text(benchmarks, i, "run_type"), "iteration") == 0);
        CHECK(strcmp(entry_text(benchmarks, i, "time_unit"), "ms") == 0);
        CHECK(entry_number(benchmarks, i, "real_time") == seconds[i] * 1000);
    }
    json_decref(benchmarks);

    gb_clear();
    add("later", failing, NULL);
    CHECK(run_all().n == 1);
    benchmarks = read_benchmarks(file);
    CHECK(json_array_size(benchmarks) == 7);
    CHECK(strcmp(entry_text(benchmarks, 6, "error_message"), "does not fit") == 0);
    json_decref(benchmarks);
    CHECK(access(temporary, F_OK) != 0);
    CHECK(unlink(file) == 0);
}

static void check_json_file_errors(void)
{
    struct kv_error error = {""};
    CHECK(initialize("--benchmark_out=missing/runs.json", &error) == KV_ERROR_IO);
    CHECK(strncmp(error.message, "--benchmark_out=missing/runs.json:", 34) == 0);
    CHECK(initialize("--benchmark_out=/dev/null", &error) == KV_ERROR_ARGUMENT);
    CHECK(initialize("--benchmark_out=.", &error) == KV_ERROR_ARGUMENT);

    int calls = 0;
    add("a", counting, &calls);
    CHECK(mkdir("gone", 0700) == 0);
    CHECK(initialize("--benchmark_out=gone/runs.json", &error) == KV_OK);
    CHECK(rmdir("gone") == 0);
    struct rows rows = {.n = 0};
    CHECK(gb_run(collect, &rows, NULL, &error) == KV_ERROR_IO);
    CHECK(rows.n == 1 && calls == 1);
}

/* ---- Stopping ---------------------------------------------------------------------------------------- */

static void on_signal(int number)
{
    (void)number;
    gb_request_stop();
}

static void interrupted(struct gb_state *state, void *context)
{
    CHECK(raise(SIGINT) == 0);
    counting(state, context);
}

static void check_stop(void)
{
    CHECK(initialize("--benchmark_out=stopped.json", NULL) == KV_OK);
    CHECK(signal(SIGINT, on_signal) != SIG_ERR);
    int calls[3] = {0};
    add("first", counting, &calls[0]);
    struct gb_benchmark benchmark = {.name = "second", .run = interrupted, .context = &calls[1], .iterations = 1};
    benchmark.repetitions = 3;
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    add("third", counting, &calls[2]);
    CHECK(!gb_stop_requested());
    const struct rows rows = run_all();
    CHECK(gb_stop_requested());
    CHECK(rows.n == 2 && calls[0] == 1 && calls[1] == 1 && calls[2] == 0);
    CHECK(strcmp(rows.row[1].error, "") == 0 && rows.row[1].repetition_index == 0);
    json_t *benchmarks = read_benchmarks("stopped.json");
    CHECK(json_array_size(benchmarks) == 2);
    json_decref(benchmarks);
    CHECK(run_all().n == 0 && calls[0] == 1);
    CHECK(unlink("stopped.json") == 0);
}

/* The call that was interrupted had too few iterations for min_time_s, so there is nothing to report. */
static void check_stop_while_growing(void)
{
    CHECK(signal(SIGINT, on_signal) != SIG_ERR);
    int calls = 0;
    struct gb_benchmark benchmark = {.name = "long", .run = interrupted, .context = &calls, .min_time_s = 60};
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    CHECK(run_all().n == 0 && calls == 1);
}

int main(void)
{
    static const struct check checks[] = {
        {"flags are taken", check_flags_are_taken, NULL},
        {"bad flags", check_bad_flags, NULL},
        {"environment", check_environment, NULL},
        {"filter", check_filter, NULL},
        {"list tests", check_list_tests, "naive/iterations:2/real_time\ncached/iterations:2/real_time\n"},
        {"JSON file", check_json_file, NULL},
        {"JSON file errors", check_json_file_errors, NULL},
        {"stop", check_stop, NULL},
        {"stop while growing", check_stop_while_growing, NULL},
    };
    char folder[] = "/tmp/test_gbench_XXXXXX";
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    const int failed = run_checks("gbench flags", checks, sizeof checks / sizeof checks[0]);
    /* Also shows that no file was left behind. */
    if (rmdir(folder) != 0) {
        perror(folder);
        return 1;
    }
    return failed;
}
