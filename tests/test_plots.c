/* The figures: plots/render.sh is run on run folders that the tests write. KV_PLOTS_SCRIPT is its path. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define HEADER                                                                                                         \
    "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,repetition,"       \
    "status,cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,prefill_tok_s,decode_tok_s,"       \
    "output_tok_s,kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms,limit_pct,error\n"

enum { PATH_BYTES = 512 };

struct run {
    char folder[64];
    char csv[PATH_BYTES];
    int status;         /* exit status of the last render() */
    char output[8192];  /* its stdout */
    char message[8192]; /* its stderr */
};

/* ---- Run folders ---------------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *walk)
{
    (void)info, (void)kind, (void)walk;
    return remove(path);
}

static int create_run(void **state)
{
    struct run *run = calloc(1, sizeof *run);
    assert_non_null(run);
    strcpy(run->folder, "/tmp/kvbench-plots-XXXXXX");
    assert_non_null(mkdtemp(run->folder));
    snprintf(run->csv, sizeof run->csv, "%s/runs.csv", run->folder);
    *state = run;
    return 0;
}

static int remove_run(void **state)
{
    struct run *run = *state;
    int failed = nftw(run->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(run);
    return failed;
}

static void append(const char *file, const char *text)
{
    FILE *stream = fopen(file, "a");
    assert_non_null(stream);
    assert_true(fputs(text, stream) >= 0);
    assert_int_equal(fclose(stream), 0);
}

static void append_row(const struct run *run, const char *path, int batch, int repetition)
{
    double ttft = 25.0 + 18.0 * batch + repetition;
    double ttpt = strcmp(path, "naive") == 0 ? 50.0 + 42.0 * batch + repetition : 24.0 + 1.6 * batch + repetition;
    int kv_bytes = strcmp(path, "naive") == 0 ? 0 : 73728 * 72 * batch;
    char row[512];
    snprintf(row, sizeof row,
             "1,batch,%s,tiny_model,synthetic:42,openblas,avx2,2,%d,22,50,72,%d,ok,,%g,%g,,,,,,%g,,%d,,,,,,,\n", path,
             batch, repetition, ttft, ttpt, batch * 1000.0 / ttpt, kv_bytes);
    append(run->csv, row);
}

static void append_failed_row(const struct run *run, const char *path, int batch, const char *error)
{
    char row[512];
    snprintf(row, sizeof row,
             "1,batch,%s,tiny_model,synthetic:42,openblas,avx2,2,%d,22,50,72,1,failed,,,,,,,,,,,,,,,,,,%s\n", path,
             batch, error);
    append(run->csv, row);
}

static void append_sweep(const struct run *run, const char *path, int repetitions)
{
    for (int batch = 1; batch <= 32; batch *= 2)
        for (int repetition = 1; repetition <= repetitions; repetition++)
            append_row(run, path, batch, repetition);
}

/* ---- Running and reading --------------------------------------------------------------------------- */

static char *read_file(const char *file, size_t *n_bytes)
{
    FILE *stream = fopen(file, "rb");
    if (stream == NULL)
        fail_msg("%s is not there", file);
    char *text = calloc(1, 1 << 20);
    assert_non_null(text);
    *n_bytes = fread(text, 1, (1 << 20) - 1, stream);
    fclose(stream);
    return text;
}

static void read_into(char *text, size_t capacity, const char *file)
{
    size_t n_bytes;
    char *content = read_file(file, &n_bytes);
    assert_true(n_bytes < capacity);
    memcpy(text, content, n_bytes + 1);
    free(content);
}

static void redirect(int descriptor, const char *file)
{
    int opened = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (opened < 0 || dup2(opened, descriptor) < 0)
        _exit(126);
}

/* Runs the script with up to two arguments; what it prints goes to a folder beside the run. */
static void render(struct run *run, const char *first, const char *second)
{
    char output[PATH_BYTES], message[PATH_BYTES];
    snprintf(output, sizeof output, "%s/stdout.txt", run->folder);
    snprintf(message, sizeof message, "%s/stderr.txt", run->folder);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        redirect(STDOUT_FILENO, output);
        redirect(STDERR_FILENO, message);
        execl(KV_PLOTS_SCRIPT, KV_PLOTS_SCRIPT, first, second, (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    run->status = WEXITSTATUS(status);
    read_into(run->output, sizeof run->output, output);
    read_into(run->message, sizeof run->message, message);
}

static void figure_name(const struct run *run, const char *format, char *name)
{
    snprintf(name, PATH_BYTES, "%s/figures/benchmark_results.%s", run->folder, format);
}

static void assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in: %s", part, text);
}

static void assert_no_figure(const struct run *run)
{
    char name[PATH_BYTES];
    figure_name(run, "png", name);
    assert_int_not_equal(access(name, F_OK), 0);
    figure_name(run, "svg", name);
    assert_int_not_equal(access(name, F_OK), 0);
}

/* One line on stderr that holds `part`, nothing on stdout, no figure. */
static void assert_error(const struct run *run, int status, const char *part)
{
    assert_int_equal(run->status, status);
    assert_string_equal(run->output, "");
    assert_int_equal(strncmp(run->message, "plots: ", 7), 0);
    assert_contains(run->message, part);
    assert_ptr_equal(strchr(run->message, '\n'), run->message + strlen(run->message) - 1);
    assert_no_figure(run);
}

static unsigned big_endian(const unsigned char *bytes)
{
    return (unsigned)bytes[0] << 24 | (unsigned)bytes[1] << 16 | (unsigned)bytes[2] << 8 | bytes[3];
}

/* Both pictures are whole; returns the SVG, to be freed. */
static char *assert_rendered(const struct run *run)
{
    assert_string_equal(run->message, "");
    assert_int_equal(run->status, 0);
    assert_contains(run->output, "/figures/benchmark_results.png");

    char name[PATH_BYTES];
    size_t n_bytes;
    figure_name(run, "png", name);
    unsigned char *png = (unsigned char *)read_file(name, &n_bytes);
    assert_true(n_bytes > 20000);
    assert_memory_equal(png, "\x89PNG\r\n\x1a\n", 8);
    assert_int_equal(big_endian(png + 16), 1800);
    assert_int_equal(big_endian(png + 20), 1440);
    assert_memory_equal(png + n_bytes - 8, "IEND", 4);
    free(png);

    figure_name(run, "svg", name);
    char *svg = read_file(name, &n_bytes);
    assert_true(n_bytes > 10000);
    assert_int_equal(strncmp(svg, "<?xml", 5), 0);
    assert_contains(svg, "<svg");
    assert_contains(svg + n_bytes - 10, "</svg>");
    assert_contains(svg, "fill=\"#ffffff\"");
    return svg;
}

static char *assert_renders(struct run *run)
{
    render(run, run->folder, NULL);
    return assert_rendered(run);
}

/* ---- Data that is plotted -------------------------------------------------------------------------- */

static void test_both_paths(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "naive", 3);
    append_sweep(run, "cached", 3);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>naive</text>");
    assert_contains(svg, "<text>cached</text>");
    assert_contains(svg, "With and without a KV cache: tiny_model");
    assert_contains(svg, "synthetic weights (seed 42), 2 threads, openblas, avx2; prompt of 22 tokens, 50 new");
    assert_contains(svg, "median of the repetitions (n = 3). Bars: smallest to largest.");
    assert_null(strstr(svg, "Left out"));
    assert_contains(svg, "log scale");
    free(svg);
}

static void test_new_path_needs_no_editing(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "naive", 2);
    append_sweep(run, "speculative", 2);
    append_sweep(run, "cached", 2);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>speculative</text>");
    assert_contains(svg, "rgb(  0, 158, 115)");
    free(svg);
}

static void test_one_path(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "cached", 3);
    char *svg = assert_renders(run);
    assert_contains(svg, "<text>cached</text>");
    assert_null(strstr(svg, "<text>naive</text>"));
    /* Its own blue, not the red of the first path. */
    assert_contains(svg, "rgb(  0, 114, 178)");
    assert_null(strstr(svg, "rgb(213,  94,   0)"));
    free(svg);
}

static void test_one_batch(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_row(run, "naive", 4, 1);
    append_row(run, "cached", 4, 1);
    char *svg = assert_renders(run);
    assert_contains(svg, "one repetition (n = 1), so no interval.");
    free(svg);
}

static void test_missing_repetition(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "naive", 3);
    append_sweep(run, "cached", 2);
    char *svg = assert_renders(run);
    assert_contains(svg, "(n = 2 to 3)");
    free(svg);
}

static void test_failed_rows_and_quotes(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "cached", 3);
    append_row(run, "naive", 1, 1);
    append_failed_row(run, "naive", 2, "\"does not fit, use \"\"--batch 1\"\", or a smaller model\"");
    append_failed_row(run, "naive", 4, "\"\"");
    char *svg = assert_renders(run);
    assert_contains(svg, "Left out: 2 rows that did not end ok.");
    free(svg);
}

static void test_unknown_values(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER "1,batch,naive,m,F32,openblas,avx2,1,1,22,1,23,1,ok,,40.5,,,,,,,,,0,,,,,,,\r\n"
                            "1,batch,naive,m,F32,openblas,avx2,1,2,22,1,23,1,ok,,5e1,,,,,,,,,0,,,,,,,\r\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "not measured");
    assert_contains(svg, "F32 weights, 1 thread,");
    free(svg);
}

static void test_configurations_are_not_mixed(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_sweep(run, "naive", 3);
    append(run->csv, "1,batch,naive,tiny_model,F32,openblas,avx2,2,1,22,50,72,1,ok,,900000,,,,,,,,,0,,,,,,,\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "Left out: 1 row of another configuration.");
    assert_null(strstr(svg, "900k"));
    free(svg);
}

static void test_model_name_with_markup(void **state)
{
    struct run *run = *state;
    append(run->csv,
           HEADER "1,batch,naive,\"a, \"\"b\"\" <c> & d_e\",F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n");
    char *svg = assert_renders(run);
    assert_contains(svg, "With and without a KV cache: a, ?b? &lt;c> &amp; d_e");
    free(svg);
}

static void test_lacking_suite_is_named(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER "1,grid,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n");
    append_failed_row(run, "naive", 1, "broken");
    render(run, run->folder, NULL);
    assert_int_equal(run->status, 0);
    assert_string_equal(run->message, "");
    assert_contains(run->output, "benchmark_results: skipped");
    assert_contains(run->output, "--suite batch");
    assert_no_figure(run);
}

/* ---- Data that is refused -------------------------------------------------------------------------- */

static void test_malformed_files(void **state)
{
    struct run *run = *state;
    const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "runs.csv: the file is empty"},
        {HEADER, "runs.csv: a header and no rows"},
        {"a,b,c\n1,2,3\n", "runs.csv:1: the header has no column suite"},
        {"1,batch,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n", "runs.csv:1: the header has no"},
        {HEADER "1,batch,naive,m\n", "runs.csv:2: 4 fields where the header has 32"},
        {HEADER "1,batch,naive,m,F32,openblas,avx2,1,one,22,9,31,1,ok,,4,,,,,,,,,0,,,,,,,\n",
         "runs.csv:2: batch is \"one\""},
        {HEADER "1,grid,naive,m,F32,openblas,avx2,1,1,22,9,31,1,ok,,nan,,,,,,,,,0,,,,,,,\n",
         "runs.csv:2: ttft_ms is \"nan\""},
        {HEADER "1,batch,naive,m,F32,openblas,avx2,1,1,22,9,31,1,failed,,,,,,,,,,,,,,,,,,\"open\n",
         "runs.csv:2: a quoted field"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        unlink(run->csv);
        append(run->csv, cases[i].text);
        render(run, run->folder, NULL);
        assert_error(run, 1, cases[i].message);
    }
}

static void test_missing_folder_and_file(void **state)
{
    struct run *run = *state;
    render(run, run->folder, NULL);
    assert_error(run, 1, "has no runs.csv; run ./kvbench bench");
    render(run, "/nonexistent/run", NULL);
    assert_error(run, 1, "/nonexistent/run is not a folder");
}

static void test_usage(void **state)
{
    struct run *run = *state;
    render(run, "--help", NULL);
    assert_int_equal(run->status, 0);
    assert_contains(run->output, "Usage: render.sh [DIR]");
    assert_contains(run->output, "benchmark_results");
    assert_string_equal(run->message, "");
    render(run, "--colour", NULL);
    assert_error(run, 2, "unknown option --colour");
    render(run, run->folder, run->folder);
    assert_error(run, 2, "one folder at most");
}

static void test_default_folder(void **state)
{
    struct run *run = *state;
    char latest[PATH_BYTES];
    snprintf(latest, sizeof latest, "%s/latest", run->folder);
    assert_int_equal(symlink(".", latest), 0);
    append(run->csv, HEADER);
    append_row(run, "naive", 1, 1);
    assert_int_equal(setenv("KVBENCH_RESULTS", run->folder, 1), 0);
    render(run, NULL, NULL);
    unsetenv("KVBENCH_RESULTS");
    free(assert_rendered(run));
}

/* A gnuplot that writes half a picture and fails. */
static void test_half_a_picture_is_not_kept(void **state)
{
    struct run *run = *state;
    append(run->csv, HEADER);
    append_row(run, "naive", 1, 1);

    char gnuplot[PATH_BYTES], *path = strdup(getenv("PATH"));
    snprintf(gnuplot, sizeof gnuplot, "%s/gnuplot", run->folder);
    append(gnuplot, "#!/bin/sh\necho half >\"$5\"\necho 'line 1: out of paper' >&2\nexit 1\n");
    assert_int_equal(chmod(gnuplot, 0700), 0);
    char search[4 * PATH_BYTES];
    assert_true(snprintf(search, sizeof search, "%s:%s", run->folder, path) < (int)sizeof search);
    assert_int_equal(setenv("PATH", search, 1), 0);
    render(run, run->folder, NULL);
    setenv("PATH", path, 1);
    free(path);

    assert_error(run, 1, "benchmark_results: gnuplot failed: line 1: out of paper");
    char figures[PATH_BYTES];
    snprintf(figures, sizeof figures, "%s/figures", run->folder);
    assert_int_not_equal(access(figures, F_OK), 0);
}

int main(void)
{
#define RUN_TEST(test) cmocka_unit_test_setup_teardown(test, create_run, remove_run)
    const struct CMUnitTest tests[] = {
        RUN_TEST(test_both_paths),
        RUN_TEST(test_new_path_needs_no_editing),
        RUN_TEST(test_one_path),
        RUN_TEST(test_one_batch),
        RUN_TEST(test_missing_repetition),
        RUN_TEST(test_failed_rows_and_quotes),
        RUN_TEST(test_unknown_values),
        RUN_TEST(test_configurations_are_not_mixed),
        RUN_TEST(test_model_name_with_markup),
        RUN_TEST(test_lacking_suite_is_named),
        RUN_TEST(test_malformed_files),
        RUN_TEST(test_missing_folder_and_file),
        RUN_TEST(test_usage),
        RUN_TEST(test_default_folder),
        RUN_TEST(test_half_a_picture_is_not_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
