/* The command bench end to end: the files of a run, what fails and goes on, and what a killed run leaves. CSV is read
 * by Python's csv module. */
#include "cli_runner.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TINY     KV_DATA_DIR "/reference/tiny-f32"
#define LONG_RUN "1000" /* repetitions that take far longer than a test waits before it ends them */

static const char header[] =
    "run_id,cell,suite,path,model,weights,weights_source,cache,kv,gemm,isa,threads,chunk,batch,prompt_tokens,new_"
    "tokens,"
    "context_tokens,repetition,status,cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,"
    "prefill_tok_s,decode_tok_s,output_tok_s,kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,prefill_flops,prefill_"
    "bytes,"
    "flops,bytes,limit_ms,limit_pct,gate,logit_difference,error";
enum { N_COLUMNS = 41 };

/* Cell of a row of runs.csv, its header being row 0. */
static const char *cell(const json_t *rows, size_t row, size_t column)
{
    const char *text = json_string_value(json_array_get(json_array_get(rows, row), column));
    assert_non_null(text);
    return text;
}

/* Text of a column in row 0, 1, .. below the header. */
static const char *text_of(const json_t *rows, int row, const char *column)
{
    size_t i = 0;
    while (strcmp(cell(rows, 0, i), column) != 0)
        i++;
    return cell(rows, (size_t)row + 1, i);
}

static double number_of(const json_t *rows, int row, const char *column)
{
    const char *text = text_of(rows, row, column);
    char *end;
    const double number = strtod(text, &end);
    if (end == text || *end)
        fail_msg("row %d: %s is '%s', not a number", row, column, text);
    return number;
}

static int count_rows(const json_t *rows)
{
    return (int)json_array_size(rows) - 1;
}

/* runs.csv of a run, [row][column] of text, which must have these columns in every row and end with a line's end. */
static json_t *read_rows(struct cli *cli, const char *run)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, run, path);
    strncat(path, "/runs.csv", sizeof path - strlen(path) - 1);
    char *text = read_text(path);
    assert_int_equal(strncmp(text, header, strlen(header)), 0);
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    json_t *rows = PYTHON(cli, KV_CHECK_CSV, "read", path);
    for (size_t i = 0; i < json_array_size(rows); i++)
        assert_int_equal(json_array_size(json_array_get(rows, i)), N_COLUMNS);
    return rows;
}

static json_t *read_context(struct cli *cli, const char *run)
{
    char path[CLI_PATH_SIZE];
    json_error_t error;
    cli_path(cli, run, path);
    strncat(path, "/context.json", sizeof path - strlen(path) - 1);
    json_t *context = json_load_file(path, JSON_REJECT_DUPLICATES, &error);
    if (!context)
        fail_msg("%s: %s", path, error.text);
    return context;
}

/* ---- One run, looked at from all sides ------------------------------------------------------------------- */

struct finished_run {
    struct cli *cli;
    json_t *rows;
    char *out, *err; /* what the run printed */
};

enum { N_BATCHES = 2, N_PATHS = 2, N_REPETITIONS = 2, N_ROWS = N_BATCHES * N_PATHS * N_REPETITIONS };
static const int batches[N_BATCHES] = {1, 4};
static const char *const paths[N_PATHS] = {"naive", "cached"};

static int measure(void **state)
{
    void *cli_state;
    struct finished_run *run = calloc(1, sizeof *run);
    if (!run || cli_set_up(&cli_state) != 0)
        return -1;
    run->cli = cli_state;
    run->cli->settings[0] = "KVBENCH_ISA=portable";
    RUN(run->cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1,4", "--path", "naive,cached", "--new",
        "8", "--reps", "2", "--threads", "2", "--gemm", "reference", "--out", "run");
    assert_exit(run->cli, 0);
    run->out = strdup(run->cli->out);
    run->err = strdup(run->cli->err);
    run->rows = read_rows(run->cli, "run");
    *state = run;
    return 0;
}

static int forget(void **state)
{
    struct finished_run *run = *state;
    void *cli_state = run->cli;
    json_decref(run->rows);
    free(run->out);
    free(run->err);
    free(run);
    return cli_tear_down(&cli_state);
}

/* Within a batch: naive, cached, naive, cached. */
static void test_order_of_rows(void **state)
{
    const struct finished_run *run = *state;
    assert_int_equal(count_rows(run->rows), N_ROWS);
    for (int i = 0; i < N_ROWS; i++) {
        assert_string_equal(text_of(run->rows, i, "path"), paths[i % N_PATHS]);
        assert_true(number_of(run->rows, i, "repetition") == 1 + i / N_PATHS % N_REPETITIONS);
        assert_true(number_of(run->rows, i, "batch") == batches[i / (N_PATHS * N_REPETITIONS)]);
    }
}

static void test_what_was_measured(void **state)
{
    const struct finished_run *run = *state;
    for (int i = 0; i < N_ROWS; i++) {
        assert_true(*text_of(run->rows, i, "run_id"));
        assert_string_equal(text_of(run->rows, i, "run_id"), text_of(run->rows, 0, "run_id"));
        assert_string_equal(text_of(run->rows, i, "suite"), "batch");
        assert_non_null(strstr(text_of(run->rows, i, "model"), "tiny-f32"));
        assert_string_equal(text_of(run->rows, i, "weights"), "f32");
        assert_string_equal(text_of(run->rows, i, "weights_source"), "F32");
        assert_string_equal(text_of(run->rows, i, "kv"), i % N_PATHS ? "f32" : "");
        assert_string_equal(text_of(run->rows, i, "gate"), "exact");
        assert_true(number_of(run->rows, i, "logit_difference") < 1e-4);
        assert_string_equal(text_of(run->rows, i, "gemm"), "reference");
        assert_string_equal(text_of(run->rows, i, "isa"), "portable");
        assert_string_equal(text_of(run->rows, i, "threads"), "2");
        assert_string_equal(text_of(run->rows, i, "prompt_tokens"), "21");
        assert_string_equal(text_of(run->rows, i, "new_tokens"), "8");
        assert_string_equal(text_of(run->rows, i, "status"), "ok");
        assert_string_equal(text_of(run->rows, i, "error"), "");
    }
}

static void assert_near(double value, double expected)
{
    if (!(fabs(value - expected) <= 1e-6 * fabs(expected)))
        fail_msg("%.9g instead of %.9g", value, expected);
}

static void test_figures(void **state)
{
    const struct finished_run *run = *state;
    for (int i = 0; i < N_ROWS; i++) {
        const double batch = number_of(run->rows, i, "batch"), ttft = number_of(run->rows, i, "ttft_ms");
        const double ttpt = number_of(run->rows, i, "ttpt_ms"), e2e = number_of(run->rows, i, "e2e_ms");
        assert_true(ttft > 0 && ttpt > 0 && e2e >= ttft);
        assert_true(number_of(run->rows, i, "cold_ttft_ms") > 0);
        assert_near(e2e, ttft + 7 * ttpt);
        assert_near(number_of(run->rows, i, "prefill_tok_s"), batch * 21 / (ttft * 1e-3));
        assert_near(number_of(run->rows, i, "decode_tok_s"), batch / (ttpt * 1e-3));
        assert_near(number_of(run->rows, i, "output_tok_s"), batch * 8 / (e2e * 1e-3));
        assert_true(number_of(run->rows, i, "ttpt_p50_ms") > 0);
        assert_true(number_of(run->rows, i, "ttpt_p95_ms") >= number_of(run->rows, i, "ttpt_p50_ms"));
    }
}

/* 2 L C T B sizeof(float) with L 2, C 32 and T = 21 + 8 - 1: the last token is selected but not run. */
static void test_memory(void **state)
{
    const struct finished_run *run = *state;
    for (int i = 0; i < N_ROWS; i++) {
        const double live = number_of(run->rows, i, "kv_live_bytes");
        const double reserved = number_of(run->rows, i, "kv_reserved_bytes");
        const bool cached = strcmp(text_of(run->rows, i, "path"), "cached") == 0;
        assert_true(live == (cached ? 2.0 * 2 * 32 * 28 * number_of(run->rows, i, "batch") * 4 : 0));
        assert_true(cached ? reserved >= live : reserved == 0);
        assert_true(number_of(run->rows, i, "rss_peak_bytes") > 100000);
    }
}

/* Seven steps are too few for a p99; what is unknown is empty, and nothing is spelt like a broken number. */
static void test_unknown_is_empty(void **state)
{
    static const char *const broken[] = {"nan", "-nan", "NaN", "inf", "-inf", "null"};
    const struct finished_run *run = *state;
    for (int i = 0; i < N_ROWS; i++) {
        assert_string_equal(text_of(run->rows, i, "ttpt_p99_ms"), "");
        for (size_t c = 0; c < N_COLUMNS; c++)
            for (size_t k = 0; k < sizeof broken / sizeof broken[0]; k++)
                assert_string_not_equal(cell(run->rows, (size_t)i + 1, c), broken[k]);
    }
}

static void test_context(void **state)
{
    const struct finished_run *run = *state;
    json_t *context = read_context(run->cli, "run");
    const json_t *about = json_object_get(context, "run"), *command = json_object_get(about, "command");
    const char *start = json_string_value(json_object_get(about, "start"));
    const char *end = json_string_value(json_object_get(about, "end"));
    size_t at = 0;
    while (at < json_array_size(command) && strcmp(json_string_value(json_array_get(command, at)), "--batch") != 0)
        at++;
    assert_true(at + 1 < json_array_size(command));
    assert_string_equal(json_string_value(json_array_get(command, at + 1)), "1,4");
    assert_true(start && end && strcmp(start, end) <= 0);
    assert_string_equal(json_string_value(json_object_get(about, "weights")), "F32");
    assert_string_equal(json_string_value(json_object_get(about, "gemm")), "reference");
    assert_string_equal(json_string_value(json_object_get(about, "isa")), "portable");
    assert_int_equal(json_integer_value(json_object_get(about, "threads")), 2);
    json_decref(context);
}

static void test_what_is_printed(void **state)
{
    const struct finished_run *run = *state;
    assert_true(strstr(run->out, "naive") && strstr(run->out, "cached"));
    assert_int_equal(count_lines(run->out, "runs.csv"), 1);
    assert_true(count_lines(run->err, "") > count_lines(run->err, "warning: "));
}

static void test_folder_with_a_run_is_left_alone(void **state)
{
    static const char *const files[] = {"run/runs.csv", "run/context.json"};
    const struct finished_run *run = *state;
    char path[CLI_PATH_SIZE];
    char *before[2];
    for (int i = 0; i < 2; i++) {
        cli_path(run->cli, files[i], path);
        before[i] = read_text(path);
    }
    assert_int_equal(cli_count_entries(run->cli), 1);
    RUN(run->cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--out", "run");
    assert_complaint(run->cli, 2, "run holds a run already");
    for (int i = 0; i < 2; i++) {
        cli_path(run->cli, files[i], path);
        char *after = read_text(path);
        assert_string_equal(after, before[i]);
        free(before[i]);
        free(after);
    }
    assert_int_equal(cli_count_entries(run->cli), 1);
}

/* `latest` in the results folder names a folder beside it, that of the run with the same id; target [256]. */
static void check_latest(struct cli *cli, const char *results, char *target)
{
    char name[300], path[CLI_PATH_SIZE];
    snprintf(name, sizeof name, "%s/latest", results);
    cli_path(cli, name, path);
    const ssize_t length = readlink(path, target, 255);
    assert_true(length > 0);
    target[length] = '\0';
    assert_null(strchr(target, '/'));
    snprintf(name, sizeof name, "%s/%s", results, target);
    json_t *rows = read_rows(cli, name);
    assert_string_equal(text_of(rows, 0, "run_id"), target);
    json_decref(rows);
}

/* ---- What cannot be run ---------------------------------------------------------------------------------- */

static void assert_failed_row(const json_t *rows, int row, const char *part)
{
    static const char *const figures[] = {"cold_ttft_ms",  "ttft_ms",      "ttpt_ms",      "e2e_ms",
                                          "prefill_tok_s", "decode_tok_s", "output_tok_s", "kv_live_bytes"};
    assert_string_equal(text_of(rows, row, "status"), "failed");
    if (!strstr(text_of(rows, row, "error"), part))
        fail_msg("'%s' is not in '%s'", part, text_of(rows, row, "error"));
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        assert_string_equal(text_of(rows, row, figures[i]), "");
}

/* 21 + 60 - 1 positions of 64; without --out the results are under `results`, of a run that failed too. */
static void test_over_the_window(void **state)
{
    struct cli *cli = *state;
    char id[256];
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1,4", "--path", "naive,cached", "--new", "60",
        "--reps", "2");
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, "4 of 4 configurations failed"), 1);
    check_latest(cli, "results", id);
    json_t *rows = read_rows(cli, "results/latest");
    assert_int_equal(count_rows(rows), N_BATCHES * N_PATHS);
    for (int i = 0; i < N_BATCHES * N_PATHS; i++) {
        assert_true(number_of(rows, i, "batch") == batches[i / N_PATHS]);
        assert_string_equal(text_of(rows, i, "path"), paths[i % N_PATHS]);
        assert_failed_row(rows, i, "take 80 positions, the model has 64");
    }
    json_decref(rows);
}

static void test_sweep_goes_on(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "2000000000,1", "--path", "naive,cached", "--new",
        "4", "--reps", "1", "--out", "run");
    assert_exit(cli, 1);
    json_t *rows = read_rows(cli, "run");
    assert_int_equal(count_rows(rows), 2 * N_PATHS);
    for (int i = 0; i < N_PATHS; i++) {
        assert_failed_row(rows, i, "memory");
        assert_string_equal(text_of(rows, N_PATHS + i, "status"), "ok");
        assert_string_equal(text_of(rows, N_PATHS + i, "path"), paths[i]);
    }
    json_decref(rows);
}

static void test_folder_cannot_be_made(void **state)
{
    struct cli *cli = *state;
    char path[CLI_PATH_SIZE];
    cli_path(cli, "file", path);
    write_text(path, "a file");
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--out", "file/run");
    assert_complaint(cli, 1, "file/run");
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--out", "");
    assert_complaint(cli, 2, "--out");
    assert_int_equal(cli_count_entries(cli), 1);
}

/* ---- Google Benchmark's flags -------------------------------------------------------------------------- */

static void test_list(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "bench", "--suite", "batch", "--batch", "1,4", "--benchmark_list_tests");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    assert_int_equal(count_lines(cli->out, ""), N_BATCHES * N_PATHS);
    assert_int_equal(count_lines(cli->out, "batch/naive/batch:1/"), 1);
    assert_int_equal(count_lines(cli->out, "batch/cached/batch:4/"), 1);
    RUN(cli, "bench", "--suite", "batch", "--batch", "1,4", "--benchmark_list_tests", "--benchmark_filter=naive.*:4");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->out, ""), 1);
    assert_int_equal(count_lines(cli->out, "batch/naive/batch:4/"), 1);
    assert_int_equal(cli_count_entries(cli), 0);
}

static void check_json(const struct cli *cli, const char *name, int n)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    json_t *json = json_load_file(path, 0, NULL);
    const json_t *benchmarks = json_object_get(json, "benchmarks");
    assert_true(json_is_object(json_object_get(json, "context")));
    assert_int_equal(json_array_size(benchmarks), n);
    for (int i = 0; i < n; i++) {
        const json_t *benchmark = json_array_get(benchmarks, (size_t)i);
        assert_non_null(strstr(json_string_value(json_object_get(benchmark, "name")), "cached"));
        assert_string_equal(json_string_value(json_object_get(benchmark, "run_type")), "iteration");
        assert_true(json_number_value(json_object_get(benchmark, "real_time")) > 0);
        assert_true(json_number_value(json_object_get(benchmark, "ttft_ms")) > 0);
    }
    json_decref(json);
}

static void test_filter_and_json(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1,4", "--new", "4", "--reps", "2", "--out",
        "run", "--benchmark_filter=cached", "--benchmark_out=out.json", "--benchmark_out_format=json");
    assert_exit(cli, 0);
    json_t *rows = read_rows(cli, "run");
    assert_int_equal(count_rows(rows), N_BATCHES * N_REPETITIONS);
    for (int i = 0; i < count_rows(rows); i++)
        assert_string_equal(text_of(rows, i, "path"), "cached");
    check_json(cli, "out.json", N_BATCHES * N_REPETITIONS);
    json_decref(rows);
}

/* ---- The results folder ---------------------------------------------------------------------------------- */

/* A short run into the results folder; --quiet leaves nothing on stderr but warnings. */
static void run_quietly(struct cli *cli)
{
    RUN(cli, "bench", "--model", TINY, "--suite", "batch", "--batch", "1", "--new", "2", "--reps", "1", "--quiet");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, ""), count_lines(cli->err, "kvbench bench: warning: "));
    assert_non_null(strstr(cli->out, "cached"));
}

static void test_latest(void **state)
{
    struct cli *cli = *state;
    char first[256], second[256], setting[CLI_PATH_SIZE + 32];
    const struct timespec until_the_id_differs = {.tv_sec = 1, .tv_nsec = 50000000};
    snprintf(setting, sizeof setting, "KVBENCH_RESULTS=%s/kept/here", cli->folder);
    cli->settings[0] = setting;
    run_quietly(cli);
    check_latest(cli, "kept/here", first);
    assert_int_equal(nanosleep(&until_the_id_differs, NULL), 0);
    run_quietly(cli);
    check_latest(cli, "kept/here", second);
    assert_string_not_equal(first, second);
    assert_int_equal(cli_count_entries(cli), 1);
}

/* ---- Runs that end early --------------------------------------------------------------------------------- */

/* Starts a long run, waits for this many rows and sends the signal. */
static void interrupt(struct cli *cli, const char *run, int n_rows, int signal_number)
{
    const char *const arguments[] = {"bench",  "--model",      TINY,    "--suite", "batch",  "--batch", "8",
                                     "--path", "naive,cached", "--new", "40",      "--reps", LONG_RUN,  "--threads",
                                     "1",      "--quiet",      "--out", run,       NULL};
    const struct timespec a_moment = {.tv_nsec = 1000000};
    char path[CLI_PATH_SIZE];
    struct stat status;
    cli_path(cli, run, path);
    strncat(path, "/runs.csv", sizeof path - strlen(path) - 1);
    const pid_t child = cli_start(cli, KV_PROGRAM, arguments);
    bool enough = false;
    for (int tries = 0; !enough && tries < 20000; tries++) {
        nanosleep(&a_moment, NULL);
        if (stat(path, &status) != 0 || status.st_size == 0)
            continue;
        char *text = read_text(path);
        enough = count_lines(text, "") > n_rows; /* the header is one more */
        free(text);
    }
    kill(child, signal_number);
    cli_finish(cli, child);
    assert_true(enough);
}

static void check_rows_of_interrupted(struct cli *cli, const char *run, int least)
{
    json_t *rows = read_rows(cli, run);
    const int n = count_rows(rows);
    assert_in_range(n, least, N_PATHS * atoi(LONG_RUN) - 1);
    for (int i = 0; i < n; i++) {
        assert_string_equal(text_of(rows, i, "status"), "ok");
        assert_string_equal(text_of(rows, i, "path"), paths[i % N_PATHS]);
        assert_true(number_of(rows, i, "repetition") == 1 + i / N_PATHS);
    }
    json_decref(rows);
}

static void test_stop(void **state)
{
    static const struct {
        const char *run;
        int signal_number;
    } ways[] = {{"interrupted", SIGINT}, {"terminated", SIGTERM}};
    struct cli *cli = *state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        interrupt(cli, ways[i].run, 3, ways[i].signal_number);
        assert_exit(cli, 1);
        assert_int_equal(count_lines(cli->err, "kvbench bench: stopped; "), 1);
        check_rows_of_interrupted(cli, ways[i].run, 3);
        json_t *context = read_context(cli, ways[i].run);
        assert_true(json_is_string(json_object_get(json_object_get(context, "run"), "end")));
        json_decref(context);
    }
}

static void test_kill(void **state)
{
    struct cli *cli = *state;
    interrupt(cli, "early", 1, SIGKILL);
    assert_int_equal(cli->status, 128 + SIGKILL);
    check_rows_of_interrupted(cli, "early", 1);
    interrupt(cli, "late", 8, SIGKILL);
    assert_int_equal(cli->status, 128 + SIGKILL);
    check_rows_of_interrupted(cli, "late", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order_of_rows),
        cmocka_unit_test(test_what_was_measured),
        cmocka_unit_test(test_figures),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_unknown_is_empty),
        cmocka_unit_test(test_context),
        cmocka_unit_test(test_what_is_printed),
        cmocka_unit_test(test_folder_with_a_run_is_left_alone),
        CLI_TEST(test_over_the_window),
        CLI_TEST(test_sweep_goes_on),
        CLI_TEST(test_folder_cannot_be_made),
        CLI_TEST(test_list),
        CLI_TEST(test_filter_and_json),
        CLI_TEST(test_latest),
        CLI_TEST(test_stop),
        CLI_TEST(test_kill),
    };
    return cmocka_run_group_tests_name("bench", tests, measure, forget);
}
