/* kvbench report: the page is read back by Python's HTML parser. */
#include "cli_runner.h"
#include "report_folder.h"
#include "summary_folder.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What check_report.py found, for the caller to json_decref. */
static json_t *read_page(struct cli *cli, const char *page)
{
    return PYTHON(cli, KV_CHECK_REPORT, page);
}

/* Runs the command in the working folder and reads its page. */
static json_t *report(struct cli *cli)
{
    RUN(cli, "report", ".");
    assert_exit(cli, 0);
    return read_page(cli, "report.html");
}

static const char *text_of(const json_t *page)
{
    const char *text = json_string_value(json_object_get(page, "text"));
    assert_non_null(text);
    return text;
}

static json_int_t count_of(const json_t *page, const char *what)
{
    const json_t *value = json_object_get(page, what);
    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static void assert_empty(const json_t *page, const char *what)
{
    const json_t *list = json_object_get(page, what);
    assert_true(json_is_array(list));
    if (json_array_size(list))
        fail_msg("%s: %s", what, json_string_value(json_array_get(list, 0)));
}

/* Balanced, self-contained, no reference that leads nowhere. */
static void assert_sound(const json_t *page)
{
    assert_empty(page, "problems");
    assert_empty(page, "duplicates");
    assert_empty(page, "dangling");
    assert_empty(page, "loads");
    assert_int_equal(count_of(page, "scripts"), 0);
    assert_int_equal(count_of(page, "addresses"), 0);
}

/* Names of temporary files end with the number of their process. */
static int count_parts(const struct cli *cli)
{
    int n = 0;
    DIR *folder = opendir(cli->folder);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));)
        n += strstr(entry->d_name, ".part-") != NULL;
    closedir(folder);
    return n;
}

static void put_in(const struct cli *cli, const char *name, const char *text)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    write_text(path, text);
}

static char *text_in(const struct cli *cli, const char *name)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    return read_text(path);
}

/* ---- A whole run ---------------------------------------------------------------------------------- */

static void test_structure(void **state)
{
    static const char *const sections[] = {"findings", "figures", "tables", "machine", "warnings", "glossary"};
    struct cli *cli = *state;
    put_whole_run(cli->folder);
    put_figures(cli->folder);
    put_animation(cli->folder);
    json_t *page = report(cli);
    assert_sound(page);
    const json_t *found = json_object_get(page, "sections");
    assert_int_equal(json_array_size(found), sizeof sections / sizeof sections[0]);
    for (size_t i = 0; i < json_array_size(found); i++)
        assert_string_equal(json_string_value(json_array_get(found, i)), sections[i]);
    assert_int_equal(count_of(page, "drawings"), 9);
    /* three in each drawing, six in the contents, one to the tables */
    assert_int_equal(count_of(page, "n_references"), 9 * 3 + 6 + 1);
    assert_int_equal(count_parts(cli), 0);
    json_decref(page);
    RUN(cli, "report", ".");
    assert_string_equal(cli->out, "./report.html: 9 figures, 1 animation\n");
    assert_string_equal(cli->err, "");
}

static void test_figures(void **state)
{
    struct cli *cli = *state;
    put_whole_run(cli->folder);
    put_figures(cli->folder);
    put_animation(cli->folder);
    json_t *page = report(cli);
    const char *text = text_of(page);
    int n = 0;
    for (const char *at = text; (at = strstr(at, "How to read it.")); at++)
        n++;
    assert_int_equal(n, 10);
    assert_holds(text, "a < b");
    assert_holds(text, "Figure 9.");
    assert_null(strstr(text, "a title"));
    const json_t *images = json_object_get(page, "images");
    assert_int_equal(json_array_size(images), 1);
    assert_string_equal(json_string_value(json_array_get(images, 0)),
                        "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==");
    json_decref(page);
    char *source = text_in(cli, "report.html");
    assert_holds(source, "<circle id='depth-dot' r='2'/><use xlink:href='#depth-dot' id='depth-dot2' fill='red'/>");
    assert_holds(source, "clip-path=\"url(#depth-clip)\"");
    free(source);
}

static void test_findings_and_tables(void **state)
{
    struct cli *cli = *state;
    put_whole_run(cli->folder);
    json_t *page = report(cli);
    const char *text = text_of(page);
    assert_holds(text, "What a KV cache does for tiny");
    assert_holds(text, "A CPU, 2 threads");
    assert_holds(text, "4.00 × speed of cached against naive, decoding at batch 8 95 % interval 3.64 to 4.44");
    assert_holds(text, "batch cached decodes 4.0 times as fast as naive at batch 8 (95 % interval 3.6 to 4.4).");
    assert_holds(text, "Of 15 configurations 1 failed and 0 were skipped");
    assert_holds(text, "failed: no memory");
    assert_holds(text, "1.00 0.900 to 1.10"); /* TTPT of cached at batch 1 */
    assert_holds(text, "failed: no memory for the ring");
    assert_holds(text, "1 × 96 × 32 3.00 2.50 to 3.50");
    json_decref(page);
}

/* What tells little stands in the details. */
static void test_findings_are_chosen(void **state)
{
    struct cli *cli = *state;
    PUT_RUNS(cli->folder, {.path = "naive", .ttpt_ms = {3.9, 4, 4.1}}, {.ttpt_ms = {0.9, 1, 1.1}},
             {.path = "naive", .batch = 2, .ttpt_ms = {4, 4.1, 4.2}}, {.batch = 2, .ttpt_ms = {0.9, 1, 1.1}},
             {.path = "naive", .batch = 4, .ttpt_ms = {1, 2, 3}}, {.batch = 4, .ttpt_ms = {1, 2, 3}});
    json_t *page = report(cli);
    json_decref(page);
    char *source = text_in(cli, "report.html");
    char *details = strstr(source, "<details>");
    assert_non_null(details);
    assert_holds(details, "at batch 4 no difference is seen");
    assert_holds(details, "as naive at batch 1 (");
    *details = '\0';
    assert_holds(source, "as naive at batch 2 (");
    assert_null(strstr(source, "as naive at batch 1 ("));
    free(source);
}

static void test_machine_and_warnings(void **state)
{
    struct cli *cli = *state;
    put_whole_run(cli->folder);
    json_t *page = report(cli);
    const char *text = text_of(page);
    assert_holds(text, "Caches L2 2 × 1 MiB");
    assert_holds(text, "Memory 8 GiB");
    assert_holds(text, "Governor powersave Turbo on");
    assert_holds(text, "Virtual machine no");
    assert_holds(text, "Commit 0123abc with local changes");
    assert_holds(text, "Command kvbench bench --out 'a b'");
    assert_holds(text, "Load at the start 0.50, 0.25, 0.10");
    assert_holds(text, "start 2 avx2 25.0 24.0 150 140");
    assert_holds(text, "note turbo is on: run echo 1");
    assert_holds(text, "warning TTPT of cached at batch 1 in suite batch varies by 10 %");
    json_decref(page);
    char *source = text_in(cli, "report.html");
    assert_holds(source, "run <code>echo 1</code>");
    free(source);
}

/* ---- What people write ---------------------------------------------------------------------------- */

static void test_escaping(void **state)
{
    struct cli *cli = *state;
    char rows[2048];
    snprintf(rows, sizeof rows,
             "%sR1,<i>suite,\"\"\"><script>alert(1)</script>\",<b>&amp;'&'m,synthetic:1,openblas,avx2,2,1,6,11,16,,"
             "failed,,,,,,,,,,,,,,,,,,</td><script>alert(2)</script>\n",
             runs_header);
    put_in(cli, "runs.csv", rows);
    put_in(cli, "context.json",
           "{\"machine\": {\"cpu\": {\"name\": \"<u>CPU</u> & \\\"x\\\"\"}, \"os\": 7}, "
           "\"warnings\": [{\"text\": \"a <b> `c<d` `e\"}]}");
    json_t *page = report(cli);
    assert_sound(page);
    const char *text = text_of(page);
    assert_holds(text, "failed: </td><script>alert(2)</script>");
    assert_holds(text, "\"><script>alert(1)</script>");
    assert_holds(text, "What a KV cache does for <b>&amp;'&'m");
    assert_holds(text, "<u>CPU</u> & \"x\"");
    assert_holds(text, "a <b> c<d `e");
    json_decref(page);
}

/* ---- What is missing ------------------------------------------------------------------------------ */

static void test_missing_pieces(void **state)
{
    struct cli *cli = *state;
    PUT_RUNS(cli->folder, {.path = "naive", .ttpt_ms = {4}}, {.ttpt_ms = {1}});
    json_t *page = report(cli);
    assert_sound(page);
    const char *text = text_of(page);
    assert_holds(text, "Batch size is not here: kvbench plots . draws it");
    assert_holds(text, "no rows of suite trace; kvbench bench --suite trace measures them");
    assert_holds(text, "no rows of suite kernels; kvbench bench --suite kernels measures them");
    assert_holds(text, "The run has no context.json");
    assert_holds(text, "The run has no limits.csv");
    json_decref(page);
    RUN(cli, "report", ".");
    assert_string_equal(cli->out, "./report.html: 0 figures\n");
    assert_string_equal(cli->err, "kvbench report: note: not drawn yet: benchmark_results, roofline; run kvbench plots "
                                  "., then this again\n");
}

static void test_kernels_alone(void **state)
{
    struct cli *cli = *state;
    char path[CLI_PATH_SIZE];
    put_whole_run(cli->folder);
    cli_path(cli, "runs.csv", path);
    assert_int_equal(unlink(path), 0);
    json_t *page = report(cli);
    assert_sound(page);
    assert_holds(text_of(page), "The run has no rows in runs.csv");
    assert_holds(text_of(page), "attention, decode – avx2 context 64");
    json_decref(page);
}

/* ---- What is damaged ------------------------------------------------------------------------------ */

/* The page of an earlier call stays as it is. */
static void assert_refused(struct cli *cli, const char *part)
{
    put_in(cli, "report.html", "earlier");
    RUN(cli, "report", ".");
    assert_complaint(cli, 1, part);
    char *page = text_in(cli, "report.html");
    assert_string_equal(page, "earlier");
    assert_int_equal(count_parts(cli), 0);
    free(page);
}

static void test_damaged_drawings(void **state)
{
    static const struct {
        const char *svg, *complaint;
    } cases[] = {
        {"<svg viewBox='0 0 1 1'><g></svg>", "cut short"},
        {"<svg viewBox='0 0 1 1'><g/>", "cut short"},
        {"<svg viewBox='0 0 1 1'></svg></div>", "not well-formed"},
        {"<svg viewBox='0 0 1 1'></svg><p>", "not one SVG element"},
        {"<p>no drawing</p>", "not one SVG element"},
        {"<svg viewBox=0><g/></svg>", "not well-formed"},
        {"<svg><!-- no end </svg>", "cut short"},
        {"<svg><script>alert(1)</script></svg>", "more than a drawing"},
        {"<svg><foreignObject><p/></foreignObject></svg>", "more than a drawing"},
        {"<svg onload='alert(1)'></svg>", "event handler"},
        {"<svg><image href='https://example.org/a.png'/></svg>", "another file"},
        {" ", "cut short"},
    };
    struct cli *cli = *state;
    char folder[CLI_PATH_SIZE];
    put_whole_run(cli->folder);
    cli_path(cli, "figures", folder);
    assert_int_equal(mkdir(folder, 0755), 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_in(cli, "figures/depth.svg", cases[i].svg);
        assert_refused(cli, cases[i].complaint);
        assert_holds(cli->err, "./figures/depth.svg");
    }
}

static void test_damaged_files(void **state)
{
    struct cli *cli = *state;
    put_whole_run(cli->folder);
    put_in(cli, "kv_dashboard_l5_h0.gif", "GIF89a and no more");
    assert_refused(cli, "./kv_dashboard_l5_h0.gif is not a whole GIF");
    put_in(cli, "kv_dashboard_l5_h0.gif", "GIF89a, so it seems;");
    put_in(cli, "context.json", "{\"machine\": ");
    assert_refused(cli, "./context.json cannot be read");
    put_in(cli, "context.json", "[]");
    assert_refused(cli, "it is no object");
    put_in(cli, "context.json", "{}");
    put_in(cli, "limits.csv", "moment\nstart\n");
    assert_refused(cli, "threads");
    put_in(cli, "limits.csv", "moment\nstart");
    assert_refused(cli, "limits.csv");
    put_in(cli, "limits.csv", "moment\n");
    put_in(cli, "kernels.csv", "kernel\nmatmul\n");
    assert_refused(cli, "status");
    put_in(cli, "runs.csv", "suite\nbatch\n");
    assert_refused(cli, "runs.csv");
}

/* ---- Against an earlier run ----------------------------------------------------------------------- */

static void put_pair(struct cli *cli)
{
    char now[CLI_PATH_SIZE], before[CLI_PATH_SIZE];
    cli_path(cli, "now", now);
    cli_path(cli, "before", before);
    assert_int_equal(mkdir(now, 0755), 0);
    assert_int_equal(mkdir(before, 0755), 0);
    PUT_RUNS(now, {.ttpt_ms = {1, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8}}, {.batch = 2, .ttpt_ms = {3}});
    PUT_RUNS(before, {.ttpt_ms = {2, 2.2, 2.4, 2.6, 2.8, 3, 3.2, 3.4, 3.6}}, {.batch = 4, .ttpt_ms = {3}});
}

static void test_against(void **state)
{
    struct cli *cli = *state;
    put_pair(cli);
    RUN(cli, "report", "now", "--against", "before", "--out", "page.html");
    assert_exit(cli, 0);
    json_t *page = read_page(cli, "page.html");
    assert_sound(page);
    const char *text = text_of(page);
    assert_holds(text, "Against the earlier run R1 , 1 results are faster, 0 slower, and of 1 no difference is seen");
    assert_holds(text, "cached 1 2.80 1.40 0.500");
    assert_holds(text, "<0.0001 9 + 9 faster");
    assert_holds(text, "2 configurations not compared");
    assert_holds(text, "not in the earlier run");
    json_decref(page);
}

static void test_nothing_to_compare(void **state)
{
    struct cli *cli = *state;
    put_pair(cli);
    RUN(cli, "report", "now", "--against", "nowhere");
    assert_complaint(cli, 1, "--against: nowhere");
    put_in(cli, "before/runs.csv", runs_header);
    RUN(cli, "report", "now", "--against", "before");
    assert_complaint(cli, 1, "--against: ");
}

/* ---- The command ---------------------------------------------------------------------------------- */

static void test_default_folder(void **state)
{
    struct cli *cli = *state;
    char results[CLI_PATH_SIZE], latest[CLI_PATH_SIZE];
    cli_path(cli, "results", results);
    cli_path(cli, "results/latest", latest);
    assert_int_equal(mkdir(results, 0755) | mkdir(latest, 0755), 0);
    PUT_RUNS(latest, {.ttpt_ms = {1}});
    RUN(cli, "report");
    assert_exit(cli, 0);
    assert_holds(cli->out, "results/latest/report.html: 0 figures");
    cli_path(cli, "other", results);
    assert_int_equal(rename(latest, results), 0);
    cli->settings[0] = "KVBENCH_RESULTS=.";
    RUN(cli, "report");
    assert_complaint(cli, 1, "./latest has no runs.csv");
}

static void test_bad_usage(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "report", "a", "b");
    assert_complaint(cli, 2, "'b'");
    RUN(cli, "report", "--outt", "x");
    assert_complaint(cli, 2, "outt");
    RUN(cli, "report", "nowhere");
    assert_complaint(cli, 1, "nowhere has no runs.csv");
    PUT_RUNS(cli->folder, {.ttpt_ms = {1}});
    RUN(cli, "report", ".", "--out", "nowhere/page.html");
    assert_complaint(cli, 1, "nowhere/page.html cannot be written");
    RUN(cli, "report", "--help");
    assert_exit(cli, 0);
    assert_holds(cli->out, "--against DIR");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_structure),           CLI_TEST(test_figures),       CLI_TEST(test_findings_and_tables),
        CLI_TEST(test_findings_are_chosen), CLI_TEST(test_escaping),      CLI_TEST(test_machine_and_warnings),
        CLI_TEST(test_missing_pieces),      CLI_TEST(test_kernels_alone), CLI_TEST(test_damaged_drawings),
        CLI_TEST(test_damaged_files),       CLI_TEST(test_against),       CLI_TEST(test_nothing_to_compare),
        CLI_TEST(test_default_folder),      CLI_TEST(test_bad_usage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
