/* kvbench compare as a person runs it: what it prints, what it writes, and how it ends. */
#include "sample_runs.h"

#include "results/columns.h"
#include "results/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static void put(const struct cli *cli, const char *name, const char *text)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    write_text(path, text);
}

#define assert_says(text, part)                                                                                        \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            fail_msg("'%s' is not in:\n%s", part, text);                                                               \
    } while (0)

/* ---- The command -------------------------------------------------------------------------------- */

/* A and B with batch 1 slower, batch 2 the same, and configurations that only one of them has. */
static void make_two_runs(const struct cli *cli)
{
    FILE *a = begin_run(cli, "A"), *b = begin_run(cli, "B");
    ADD(a, "cached", "openblas", 1, nine);
    ADD(b, "cached", "openblas", 1, nine_slower);
    ADD(a, "cached", "openblas", 2, nine);
    ADD(b, "cached", "openblas", 2, nine);
    ADD(a, "cached", "openblas", 4, nine);
    ADD(b, "cached", "openblas", 8, nine);
    ADD(a, "naive", "openblas", 1, nine);
    add_without_figures(b, "naive", 1, "failed");
    ADD(a, "naive", "openblas", 2, nine);
    add_without_figures(b, "naive", 2, "skipped");
    add_without_figures(a, "naive", 4, "failed");
    ADD(b, "naive", "openblas", 4, nine);
    add_without_figures(a, "naive", 8, "failed");
    add_without_figures(b, "naive", 8, "failed");
    end_run(a);
    end_run(b);
}

static void test_table(void **state)
{
    struct cli *cli = *state;
    make_two_runs(cli);
    RUN(cli, "compare", "A", "B/runs.csv", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    assert_string_equal(
        cli->out, "A:   A/runs.csv, run r1\n"
                  "B:   B/runs.csv, run r1\n"
                  "all: suite batch, weights f32, cache contiguous, kv f32, gemm openblas, isa avx2, threads 2, "
                  "prompt_tokens 21, new_tokens 50, model gpt2, weights_source F32\n"
                  "Figures are medians. Measured at different times, differences under 5.0 % could be the machine "
                  "(in both runs reading moved by 0 %, arithmetic by 0 %, early from late rounds by 2 %; kvbench "
                  "calibrate tells it better).\n"
                  "The interval is that of the rounds, widened by as much, or by less where the probes correct it; "
                  "faster or slower: it\nlies on one side of 1; equal: within 2 % of it.\n"
                  "\n"
                  "B against A: time per token after the first (ttpt_ms), less is better\n"
                  "\n"
                  "  path    batch  A ms  B ms    n    B/A   95 % interval  B is\n"
                  "  cached      1  10.5  11.5  9+9  1.095  1.004 to 1.195  slower\n"
                  "  cached      2  10.5  10.5  9+9  1.000  0.915 to 1.093  not told apart\n"
                  "  0 faster, 1 slower, 0 equal, 1 not told apart\n"
                  "  Geometric mean of B/A over 2: 1.047 (A is 1.05 times as fast)\n"
                  "\n"
                  "Not compared: 5 cells\n"
                  "  not in B: path cached, batch 4\n"
                  "  failed in B: path naive, batch 1\n"
                  "  skipped in B: path naive, batch 2\n"
                  "  not in A: path cached, batch 8\n"
                  "  failed in A: path naive, batch 4\n"
                  "\n"
                  "Left out of A/runs.csv: 2 failed, 0 skipped and 0 stalled rows\n"
                  "\n"
                  "Left out of B/runs.csv: 2 failed, 1 skipped and 0 stalled rows\n");
}

static void test_defaults_and_metrics(void **state)
{
    struct cli *cli = *state;
    make_two_runs(cli);
    RUN(cli, "compare", "A", "B");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->out, "B against A: "), 2);
    assert_says(cli->out, "(ttpt_ms), less is better");
    assert_says(cli->out, "(ttft_ms), less is better");
    RUN(cli, "compare", "--metric", "decode_tok_s,e2e_ms", "A", "B");
    assert_exit(cli, 0);
    assert_says(cli->out, "(decode_tok_s), more is better");
    assert_says(cli->out, "2 more without e2e_ms on a side");
    RUN(cli, "compare", "A", "B", "--metric", "e2e_ms");
    assert_complaint(cli, 2, "no cell has e2e_ms on both sides");
}

static void test_fail_above(void **state)
{
    struct cli *cli = *state;
    static const double three[] = {5, 5.1, 5.2}, three_more[] = {6, 6.1, 6.2};
    make_two_runs(cli);
    RUN(cli, "compare", "A", "B", "--fail-above", "9%");
    assert_exit(cli, 1);
    assert_string_equal(cli->err, "kvbench compare: 2 results are slower by more than 9 %; the worst: B, ttpt_ms of "
                                  "path cached, batch 1, by 9.52 %\n");
    assert_int_equal(count_lines(cli->out, "  slower"), 2); /* the table is there too */
    RUN(cli, "compare", "A", "B", "--fail-above", "0.09", "--metric", "decode_tok_s");
    assert_exit(cli, 1);
    RUN(cli, "compare", "A", "B", "--fail-above", "10%");
    assert_exit(cli, 0);
    RUN(cli, "compare", "B", "A", "--fail-above", "0%"); /* faster is no regression */
    assert_exit(cli, 0);
    probed_bytes_per_s = 1.2e10; /* a machine that is 20 % faster in one of them */
    MAKE_RUN(cli, "moved", "openblas", nine_slower);
    probed_bytes_per_s = 1e10;
    RUN(cli, "compare", "A", "moved", "--metric", "ttpt_ms", "--fail-above", "5%"); /* nor is what has no verdict */
    assert_exit(cli, 0);
    assert_says(cli->out, "differences under 20 % could be the machine (in both runs reading moved by 20 %");
    assert_says(cli->out, "not told apart\n");
    MAKE_RUN(cli, "three", "openblas", three);
    MAKE_RUN(cli, "three_more", "openblas", three_more);
    RUN(cli, "compare", "three", "three_more", "--fail-above", "5%"); /* a gate that cannot close must say so */
    assert_exit(cli, 2);
    assert_says(cli->err, "no regression can be seen; measure with --reps 6 or more");
}

static void test_fail_above_names_the_worst(void **state)
{
    struct cli *cli = *state;
    static const double slowest[] = {20, 23, 21, 22, 20, 23};
    FILE *a = begin_run(cli, "A"), *b = begin_run(cli, "B");
    for (int batch = 1; batch <= 4; batch *= 2)
        ADD(a, "cached", "openblas", batch, nine);
    ADD(b, "cached", "openblas", 1, nine_slower);
    ADD(b, "cached", "openblas", 2, slowest);
    ADD(b, "cached", "openblas", 4, nine_slower);
    end_run(a);
    end_run(b);
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms", "--fail-above", "5%");
    assert_exit(cli, 1);
    assert_says(cli->err,
                "3 results are slower by more than 5 %; the worst: B, ttpt_ms of path cached, batch 2, by 105 %");
}

static void test_by(void **state)
{
    struct cli *cli = *state;
    FILE *run = begin_run(cli, "A");
    ADD(run, "naive", "openblas", 1, nine_slower);
    ADD(run, "cached", "openblas", 1, nine);
    ADD(run, "naive", "packed", 1, nine_slower);
    ADD(run, "cached", "packed", 1, nine);
    ADD(run, "cached", "reference", 1, nine_slower);
    end_run(run);
    RUN(cli, "compare", "A", "--by", "path", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "cached against naive: ");
    assert_says(cli->out, "  gemm      batch  naive ms  cached ms    n  cached/naive   95 % interval  cached is\n"
                          "  openblas      1      11.5       10.5  9+9         0.913  0.911 to 0.915  faster\n");
    assert_says(cli->out, "not in naive: gemm reference, batch 1\n");
    RUN(cli, "compare", "A", "--by", "path", "--base", "cached", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "naive against cached: ");
    RUN(cli, "compare", "A", "--by", "gemm", "--base", "packed", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "openblas against packed: ");
    assert_says(cli->out, "reference against packed: ");
    assert_says(cli->out, "not in reference: path naive, batch 1\n");
    assert_int_equal(count_lines(cli->out, "  equal"), 2);
    RUN(cli, "compare", "A", "--by", "path", "--base", "none");
    assert_complaint(cli, 2, "has no path \"none\", only naive, cached");
    RUN(cli, "compare", "A", "--by", "threads");
    assert_complaint(cli, 2, "has only threads \"2\"");
}

static void test_by_a_number(void **state)
{
    struct cli *cli = *state;
    FILE *run = begin_run(cli, "A");
    ADD(run, "cached", "openblas", 1, nine);
    ADD(run, "cached", "openblas", 8, nine_slower);
    end_run(run);
    RUN(cli, "compare", "A", "--by", "batch", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "batch 8 against batch 1: ");
    assert_says(cli->out, "  path    batch 1 ms  batch 8 ms    n  ");
}

static void test_ignore(void **state)
{
    struct cli *cli = *state;
    MAKE_RUN(cli, "A", "openblas", nine);
    MAKE_RUN(cli, "B", "packed", nine_slower);
    RUN(cli, "compare", "A", "B");
    assert_complaint(cli, 2, "have no value of gemm in common; to compare all the same: --ignore gemm");
    RUN(cli, "compare", "A", "B", "--ignore", "gemm,isa");
    assert_exit(cli, 0);
    assert_says(cli->out, "gemm openblas in A and packed in B, isa avx2");
    assert_says(cli->out, "1.095");
    FILE *both = begin_run(cli, "both");
    ADD(both, "cached", "openblas", 1, nine);
    ADD(both, "cached", "packed", 1, nine);
    end_run(both);
    RUN(cli, "compare", "A", "both", "--ignore", "gemm");
    assert_complaint(cli, 2, "such as gemm \"openblas\" and \"packed\": take gemm out of --ignore");
}

static void test_csv(void **state)
{
    struct cli *cli = *state;
    char path[CLI_PATH_SIZE];
    make_two_runs(cli);
    put(cli, "out.csv", "what was there before\n");
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms", "--csv", "out.csv");
    assert_exit(cli, 0);
    assert_int_equal(cli_count_entries(cli), 3);
    cli_path(cli, "out.csv", path);
    char *text = read_text(path);
    assert_int_equal(count_lines(text, ""), 1 + 2 + 5);
    assert_says(
        text,
        "metric,base,other,suite,engine,path,weights,cache,kv,gemm,isa,threads,chunk,speculate,overflow,batch,"
        "prompt_tokens,"
        "new_tokens,prefix_tokens,edit_every,model,weights_source,n_base,"
        "n_other,median_base,median_other,ratio,ratio_low,ratio_high,rounds,rounds_needed,machine_pct,"
        "corrected_by,verdict\n"
        "ttpt_ms,A/runs.csv,B/runs.csv,batch,,cached,f32,contiguous,f32,openblas,avx2,2,,,,1,21,50,,,gpt2,F32,9,9,"
        "10.5,11.5,"
        "1.0952381,");
    assert_says(text, ",9,,5,,slower\n");
    assert_says(text,
                "\n,A/runs.csv,B/runs.csv,batch,,naive,f32,,,openblas,avx2,2,,,,1,21,50,,,gpt2,F32,,,,,,,,,,,,failed "
                "in B\n");
    free(text);
    RUN(cli, "compare", "A", "B", "--csv", "A/runs.csv");
    assert_complaint(cli, 2, "A/runs.csv is one of the compared files");
    RUN(cli, "compare", "A", "B", "--csv", "none/out.csv");
    assert_complaint(cli, 2, "none/out.csv");
    RUN(cli, "compare", "A", "B"); /* both are whole */
    assert_exit(cli, 0);
}

/* Known figures, in every format. Of six rounds the interval of a ratio goes from its smallest value to its largest;
 * here its middle is sqrt(0.85 0.8). */
static void test_formats(void **state)
{
    struct cli *cli = *state;
    static const double low[] = {20, 24, 21, 23, 20, 25}, lower[] = {17, 18, 17.85, 18.4, 17, 20};
    FILE *run = begin_run(cli, "A");
    ADD(run, "cached", "openblas", 1, low);
    ADD(run, "cached", "packed", 1, lower);
    end_run(run);
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms,decode_tok_s", "--format", "csv");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->out, ""), 3);
    assert_says(cli->out, ",6,6,22,17.925,0.824621125,0.75,0.85,6,6,,,faster\n");
    assert_says(cli->out, ",1.21267813,1.17647059,1.33333333,6,6,,,faster\n"); /* the rate */
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms", "--format", "json");
    assert_says(cli->out, "{\"metric\":\"ttpt_ms\",");
    assert_says(cli->out, "\"median_base\":22,\"median_other\":17.925,\"ratio\":0.824621125,");
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms", "--format", "markdown");
    assert_says(cli->out,
                "\n### packed against openblas: time per token after the first (ttpt_ms), less is better\n\n| path |");
    assert_says(cli->out, "\n| cached | 1 | 22.0 | 17.9 | 6+6 | 0.825 | 0.750 to 0.850 | faster |\n");
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms", "--threshold", "34%");
    assert_says(cli->out, "0.850  equal\n");
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms", "--threshold", "0.33");
    assert_says(cli->out, "0.850  faster\n");
}

/* Rounds in which the order of the two changes, and as many as would tell. */
static void test_undecided(void **state)
{
    struct cli *cli = *state;
    static const double some[] = {10, 10, 10, 10, 10, 10}, others[] = {11, 9, 11.5, 10, 10.5, 11};
    FILE *run = begin_run(cli, "A");
    ADD(run, "cached", "openblas", 1, some);
    ADD(run, "cached", "packed", 1, others);
    end_run(run);
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "6+6            1.050  0.900 to 1.150  undecided, about 38 rounds\n");
}

/* What was calibrated on this machine counts instead of what the runs show, as far as it reaches. */
static void test_calibration(void **state)
{
    struct cli *cli = *state;
    static const char rows[] = "machine,separation_s,n,log_ratio_q95\n"
                               "\"Zen, 2 CPUs\",60,40,0.02\n\"Zen, 2 CPUs\",3600,40,0.3\n"
                               "\"Zen, 2 CPUs\",10,8,9\nanother,60,99,9\n";
    static const char context[] = "{\"machine\": {\"cpu\": {\"name\": \"Zen\", \"cpus_online\": 2}}}";
    make_two_runs(cli);
    put(cli, "calibration.csv", rows);
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms");
    assert_says(cli->out, "kvbench calibrate tells it better"); /* the machine of these runs is unknown */
    put(cli, "A/context.json", context);
    put(cli, "B/context.json", context);
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out,
                "differences under 35 % could be the machine (A/../calibration.csv: windows 3600 s apart on this "
                "machine)");
    assert_says(cli->out, "not told apart\n");
    put(cli, "calibration.csv", "machine,separation_s\n");
    RUN(cli, "compare", "A", "B");
    assert_complaint(cli, 2, "calibration.csv has no column \"n\"");
}

/* Kernels are compared by their own figures, and an axis that does not apply to a cell is on no side of it. */
static void test_axes_and_kernels(void **state)
{
    struct cli *cli = *state;
    char folder[CLI_PATH_SIZE];
    MAKE_RUN(cli, "A", "openblas", nine);
    cli_path(cli, "A", folder);
    struct kv_csv_writer *writer;
    assert_int_equal(kv_result_file_append(&writer, folder, KV_FILE_KERNELS, NULL), KV_OK);
    for (int i = 0; i < 12; i++) {
        char id[KV_CELL_ID_SIZE];
        struct kv_row row = {.texts = {[KV_COLUMN_RUN_ID] = "r1",
                                       [KV_COLUMN_CELL] = id,
                                       [KV_COLUMN_SUITE] = "kernels",
                                       [KV_COLUMN_KERNEL] = i < 8 ? "matmul" : "attention",
                                       [KV_COLUMN_SHAPE] = i < 8 ? "c_fc" : "decode",
                                       [KV_COLUMN_GEMM] = i < 4   ? "packed"
                                                          : i < 8 ? "openblas"
                                                                  : "",
                                       [KV_COLUMN_ISA] = "avx2",
                                       [KV_COLUMN_STATUS] = "ok"}};
        kv_row_set_number(&row, KV_COLUMN_THREADS, 2);
        kv_row_set_number(&row, KV_COLUMN_ROWS, 1);
        kv_row_set_number(&row, KV_COLUMN_REPETITION, i % 4 + 1);
        kv_row_set_number(&row, KV_COLUMN_GFLOPS, i < 4 ? 20 + i : 10 + i);
        kv_row_cell_id(&row, id);
        assert_int_equal(kv_row_write(writer, KV_FILE_KERNELS, &row, NULL), KV_OK);
    }
    kv_csv_close(writer);
    RUN(cli, "compare", "A", "--by", "gemm", "--metric", "gflops");
    assert_exit(cli, 0);
    assert_says(cli->out, "openblas against packed: ");
    assert_says(cli->out, "(gflops), more is better");
    assert_says(cli->out, "4+4");
    assert_null(strstr(cli->out, "Not compared"));
    RUN(cli, "compare", "A", "--by", "gemm"); /* which the generations have one value of */
    assert_exit(cli, 0);
    assert_says(cli->out, "(gflops), more is better");
}

/* ---- Warnings ----------------------------------------------------------------------------------- */

static void test_warns_of_few_repetitions(void **state)
{
    struct cli *cli = *state;
    make_run(cli, "A", "openblas", nine, 3);
    make_run(cli, "B", "openblas", nine_slower, 3);
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_string_equal(
        cli->err, "kvbench compare: warning: fewer than 6 rounds in 1 of 1 rows, as few as 3, from which no verdict "
                  "can come; measure again with --reps 6 or more\n");
    assert_says(cli->out, "3+3  1.095              -  not told apart\n");
    make_run(cli, "one", "openblas", nine_slower, 1);
    RUN(cli, "compare", "A", "one", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_says(cli->out, "3+1  1.095              -  not told apart\n");
}

static void put_context(const struct cli *cli, const char *name, const char *cpu, int threads, const char *core)
{
    char text[512];
    snprintf(text, sizeof text,
             "{\"machine\": {\"cpu\": {\"name\": \"%s\"}}, \"run\": {\"threads\": %d}, \"libraries\": "
             "{\"openblas_core\": \"%s\"}}\n",
             cpu, threads, core);
    put(cli, name, text);
}

static void test_environments(void **state)
{
    struct cli *cli = *state;
    make_two_runs(cli);
    put_context(cli, "A/context.json", "Zen", 2, "SkylakeX");
    RUN(cli, "compare", "A", "B");
    assert_string_equal(cli->err, ""); /* what is unknown differs from nothing */
    assert_says(cli->out, "A:   A/runs.csv, run r1, Zen, 2 threads, OpenBLAS SkylakeX\n");
    put_context(cli, "B/context.json", "Zen", 2, "SkylakeX");
    RUN(cli, "compare", "A", "B/runs.csv");
    assert_string_equal(cli->err, "");
    put_context(cli, "B/context.json", "Xeon", 4, "Prescott");
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    assert_says(cli->out,
                "\nEnvironments differ:\n  machine.cpu.name: Zen in A, Xeon in B\n  run.threads: 2 in A, 4 in "
                "B\n  libraries.openblas_core: SkylakeX in A, Prescott in B\n\nB against A");
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms", "--format", "csv");
    assert_says(cli->out, "\nmachine.cpu.name,Zen,Xeon,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,environment\nrun.threads,2,4,,,");
    put(cli, "B/context.json", "{\"machine\": ");
    RUN(cli, "compare", "A", "B");
    assert_exit(cli, 0);
    assert_says(cli->err, "context.json beside B/runs.csv cannot be read (");
    assert_int_equal(count_lines(cli->err, ""), 1);
}

/* ---- What is wrong is one line and exit 2 -------------------------------------------------------- */

static void test_bad_files(void **state)
{
    struct cli *cli = *state;
    static const struct {
        const char *rows, *complaint;
    } cases[] = {
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,ok,,fast,1,,,,,,,,,,,,,,,\n", "bad.csv line 2 has \"fast\""},
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,ok,,-3,1,,,,,,,,,,,,,,,\n",
         "bad.csv line 2 has \"-3\" in column \"ttft_ms\""},
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,ok,,0,1,,,,,,,,,,,,,,,\n",
         "bad.csv line 2 has \"0\" in column \"ttft_ms\""},
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,ok\n", "bad.csv line 2 has 14 fields"},
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,done,,1,1,,,,,,,,,,,,,,,\n",
         "bad.csv line 2 has \"done\" in column \"status\""},
        {"r1,batch,cached,m,F32,g,i,2,1,21,50,70,1,ok,,1", "bad.csv line 2 may be cut off"},
    };
    make_two_runs(cli);
    RUN(cli, "compare", "A", "none");
    assert_complaint(cli, 2, "none: No such file or directory; name the folder of a run, or its runs.csv");
    RUN(cli, "compare", ".", "A");
    assert_complaint(cli, 2, ". holds no runs.csv");
    put(cli, "bad.csv", "a,b\n1,2\n");
    RUN(cli, "compare", "A", "bad.csv");
    assert_complaint(cli, 2, "bad.csv has no column \"run_id\"");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        put_rows(cli, "bad.csv", cases[i].rows);
        RUN(cli, "compare", "A", "bad.csv");
        assert_complaint(cli, 2, cases[i].complaint);
    }
}

/* ---- Several runs a side ------------------------------------------------------------------------ */

/* A run of two configurations whose TTPT are so many times those of nine. */
static void make_scaled(const struct cli *cli, const char *name, const char *when, double factor)
{
    double scaled[9];
    for (int i = 0; i < 9; i++)
        scaled[i] = factor * nine[i];
    FILE *run = begin_run(cli, name);
    started_s = when;
    ADD(run, "cached", "openblas", 1, scaled);
    ADD(run, "naive", "openblas", 1, scaled);
    started_s = "";
    end_run(run);
}

/* 2.77645 is the t of 4 degrees of freedom; the factors of a side are 1 / 1.01, 1 and 1.01 times its own, so that its
 * logs have the deviation log(1.01). */
static void test_several_runs_in_turns(void **state)
{
    struct cli *cli = *state;
    char row[160];
    const double half = exp(2.7764451 * log(1.01) * sqrt(2.0 / 3));
    make_scaled(cli, "A1", "1000", 1);
    make_scaled(cli, "B1", "2000", 1.04);
    make_scaled(cli, "A2", "3000", 1.01);
    make_scaled(cli, "B2", "4000", 1.04 * 1.01);
    make_scaled(cli, "A3", "5000", 1 / 1.01);
    make_scaled(cli, "B3", "6000", 1.04 / 1.01);
    RUN(cli, "compare", "A1", "A2", "A3", "--with", "B1", "B2", "--metric", "TTPT", "B3");
    assert_exit(cli, 0);
    assert_string_equal(cli->err, "");
    assert_says(cli->out, "A3:  A3/runs.csv, run r1\nB1:  B1/runs.csv");
    assert_says(cli->out, "they took turns, so the machine is in it");
    snprintf(row, sizeof row, "  10.5  10.9  3+3  1.040  %.3f to %.3f  slower\n", 1.04 / half, 1.04 * half);
    assert_says(cli->out, row);
    assert_int_equal(count_lines(cli->out, "  slower"), 2);
    RUN(cli, "compare", "B1", "B2", "B3", "--with", "A1", "A2", "A3", "--metric", "decode"); /* a rate */
    assert_exit(cli, 0);
    snprintf(row, sizeof row, "  3+3  1.040  %.3f to %.3f  faster\n", 1.04 / half, 1.04 * half);
    assert_says(cli->out, row);
    RUN(cli, "compare", "A1", "B1", "--metric", "TTPT"); /* two runs cannot tell 4 % from the machine */
    assert_int_equal(count_lines(cli->out, "not told apart"), 3);
}

static void test_several_runs_one_side_first(void **state)
{
    struct cli *cli = *state;
    char row[160];
    const double half = exp(2.7764451 * log(1.01) * sqrt(2.0 / 3)) * 1.05;
    static const char *const names[] = {"A1", "A2", "A3", "B1", "B2", "B3"};
    static const char *const times[] = {"1000", "2000", "3000", "14000", "15000", "16000"};
    static const double factors[] = {1, 1.01, 1 / 1.01};
    for (int i = 0; i < 6; i++)
        make_scaled(cli, names[i], times[i], factors[i % 3] * (i < 3 ? 1 : 1.04));
    RUN(cli, "compare", "A1", "A2", "A3", "--with", "B1", "B2", "B3", "--metric", "TTPT");
    assert_exit(cli, 0);
    assert_says(cli->out, "widened by 5.0 %, which could be the machine, as one side was measured before the other");
    snprintf(row, sizeof row, "  3+3  1.040  %.3f to %.3f  not told apart\n", 1.04 / half, 1.04 * half);
    assert_says(cli->out, row);
    make_scaled(cli, "unknown", "", 1); /* when it was measured nobody knows */
    RUN(cli, "compare", "A1", "A2", "unknown", "--with", "B1", "B2", "B3", "--metric", "TTPT");
    assert_says(cli->out, "widened by 5.0 %");
}

/* Fewer: from the lowest end of all pairs to the highest. */
static void test_few_runs_a_side(void **state)
{
    struct cli *cli = *state;
    const double low = log(10.2 / 10.5), high = log(10.8 / 10.5); /* ends of the interval of nine */
    char row[160];
    make_scaled(cli, "A1", "1000", 1);
    make_scaled(cli, "B1", "2000", 1.5);
    make_scaled(cli, "B2", "3000", 1.6);
    RUN(cli, "compare", "A1", "--with", "B1", "B2", "--metric", "TTPT");
    assert_exit(cli, 0);
    assert_says(cli->out, "With fewer than 3 runs a side each run\nis held against each of the other side");
    snprintf(row, sizeof row, "  1+2  %.3f  %.3f", sqrt(1.5 * 1.6), 1.5 / 1.05 * exp(-hypot(low, high)));
    assert_says(cli->out, row);
    snprintf(row, sizeof row, " to %.3f  slower", 1.6 * 1.05 * exp(hypot(low, high)));
    assert_says(cli->out, row);
    assert_int_equal(count_lines(cli->out, "  slower"), 2);
    RUN(cli, "compare", "A1", "--with", "B1", "B2", "--fail-above", "40%", "--format", "csv", "--csv", "all.csv");
    assert_exit(cli, 1);
    assert_says(cli->out, ",B1/runs.csv B2/runs.csv,");
    RUN(cli, "compare", "A1", "--with", "B1", "B2", "--csv", "B2/runs.csv");
    assert_complaint(cli, 2, "B2/runs.csv is one of the compared files");
}

/* A cell is compared where a run of each side has it, and counts the runs that do. */
static void test_several_runs_with_other_cells(void **state)
{
    struct cli *cli = *state;
    MAKE_RUN(cli, "A1", "openblas", nine);
    FILE *a2 = begin_run(cli, "A2"), *b1 = begin_run(cli, "B1"), *b2 = begin_run(cli, "B2");
    ADD(a2, "cached", "openblas", 2, nine);
    add_without_figures(a2, "cached", 1, "failed");
    ADD(b1, "cached", "openblas", 1, nine);
    ADD(b1, "cached", "openblas", 4, nine);
    ADD(b2, "cached", "openblas", 1, nine);
    ADD(b2, "cached", "openblas", 2, nine);
    end_run(a2);
    end_run(b1);
    end_run(b2);
    RUN(cli, "compare", "A1", "A2", "--with", "B1", "B2", "--metric", "TTPT");
    assert_exit(cli, 0);
    assert_says(cli->out, "cached      1  10.5  10.5  1+2");
    assert_says(cli->out, "cached      2  10.5  10.5  1+1");
    assert_says(cli->out, "Not compared: 1 cell\n  not in A: path cached, batch 4");
    assert_says(cli->out, "Left out of A2/runs.csv: 1 failed");
    put(cli, "A1/context.json", "{\"machine\": {\"kernel\": \"6.1\"}}\n");
    put(cli, "A2/context.json", "{\"machine\": {\"kernel\": \"6.2\"}}\n");
    put(cli, "B1/context.json", "{\"machine\": {\"kernel\": \"6.3\"}}\n");
    put(cli, "B2/context.json", "{\"machine\": {\"kernel\": \"6.3\"}}\n");
    RUN(cli, "compare", "A1", "A2", "--with", "B1", "B2");
    assert_says(cli->out, "Environments differ:\n  machine.kernel: 6.1 in A1, 6.3 in B1\n"
                          "  machine.kernel: 6.1 in A1, 6.2 in A2\n");
    assert_int_equal(count_lines(cli->out, "machine.kernel"), 2);
    RUN(cli, "compare", "A1", "--with", "B1", "B1/runs.csv");
    assert_complaint(cli, 2, "B1/runs.csv and B1/runs.csv are the same run: name it once");
    RUN(cli, "compare", "A1", "A2", "B1");
    assert_complaint(cli, 2, "put --with between those of one side and those of the other");
    RUN(cli, "compare", "A1", "--with", "B1", "--by", "path");
    assert_complaint(cli, 2, "two runs are named");
}

static void test_nothing_to_compare(void **state)
{
    struct cli *cli = *state;
    make_two_runs(cli);
    end_run(begin_run(cli, "empty"));
    RUN(cli, "compare", "A", "empty");
    assert_complaint(cli, 2, "empty/runs.csv has no row that is ok");
    RUN(cli, "compare", "empty", "empty");
    assert_complaint(cli, 2, "empty/runs.csv has no row that is ok");
    RUN(cli, "compare", "empty", "--by", "path");
    assert_complaint(cli, 2, "empty/runs.csv has no rows");
    FILE *failed = begin_run(cli, "failed");
    add_without_figures(failed, "cached", 1, "failed");
    end_run(failed);
    RUN(cli, "compare", "A", "failed");
    assert_complaint(cli, 2, "failed/runs.csv has no row that is ok");
}

static void test_bad_options(void **state)
{
    struct cli *cli = *state;
    static const struct {
        const char *option, *value, *complaint;
    } cases[] = {
        {"--threshold", "5", "'5' is not a share such as 5% or 0.05"},
        {"--threshold", "-1%", "not a share"},
        {"--threshold", "%", "not a share"},
        {"--threshold", "0x1", "not a share"},
        {"--threshold", "+0.1%", "not a share"},
        {"--threshold", "2%%", "not a share"},
        {"--threshold", "1.5.2", "not a share"},
        {"--fail-above", "", "not a share"},
        {"--threshold", "0", "--threshold is to be above 0"},
        {"--metric", "speed", "'speed' has an unknown or repeated name; choose from startup_s, cold_ttft_ms, ttft_ms"},
        {"--metric", "ttpt_ms,ttpt_ms", "has an unknown or repeated name"},
        {"--metric", "ttpt_ms,", "has an unknown or repeated name"},
        {"--ignore", "colour", "'colour' has an unknown or repeated name; choose from suite"},
        {"--ignore", "gemm,gemm", "has an unknown or repeated name"},
        {"--by", "status", "suite, kernel, shape, engine, path"},
        {"--by", "path", "two runs are named"},
        {"--base", "naive", "--base needs --by"},
        {"--format", "xml", "text, markdown, csv, json"},
    };
    make_two_runs(cli);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RUN(cli, "compare", "A", "B", cases[i].option, cases[i].value);
        assert_complaint(cli, 2, cases[i].complaint);
    }
    RUN(cli, "compare");
    assert_complaint(cli, 2, "missing argument 'A B'");
    RUN(cli, "compare", "A");
    assert_complaint(cli, 2, "one run is named");
    RUN(cli, "compare", "A", "--by", "path", "--ignore", "path");
    assert_complaint(cli, 2, "--ignore names the column of --by");
}

/* Of the programs that ran so far. */
static double seconds_used(void)
{
    struct rusage used;
    getrusage(RUSAGE_CHILDREN, &used);
    return (double)used.ru_utime.tv_sec + (double)used.ru_utime.tv_usec * 1e-6;
}

/* What takes a step for every two configurations takes half a minute of 20,000; all of it together one second. */
static void test_twenty_thousand_configurations(void **state)
{
    enum { N = 20000, SECONDS = 10 }; /* with sanitizers */
    struct cli *cli = *state;
    FILE *a = begin_run(cli, "A"), *b = begin_run(cli, "B"), *c = begin_run(cli, "C");
    for (int i = 1; i <= N; i++) {
        add(a, i % 2 ? "cached" : "naive", "openblas", i, nine, 1);
        add(b, i % 2 ? "cached" : "naive", "openblas", i, nine_slower, 1);
        add(c, i % 2 ? "cached" : "naive", "openblas", N + i, nine, 1);
    }
    end_run(a);
    end_run(b);
    end_run(c);
    const double before = seconds_used();
    cli->stdout_file = "/dev/null";
    RUN(cli, "compare", "A", "B", "--metric", "ttpt_ms");
    assert_exit(cli, 0);
    RUN(cli, "compare", "A", "--by", "batch", "--metric", "ttpt_ms", "--csv", "all.csv");
    assert_exit(cli, 0);
    cli->stdout_file = NULL;
    RUN(cli, "compare", "A", "C");
    assert_complaint(cli, 2, "have no value of batch in common; to compare all the same: --ignore batch");
    if (seconds_used() - before > SECONDS)
        fail_msg("three comparisons of %d configurations took %.1f s", N, seconds_used() - before);
}

static void test_escape_sequences_stay_in_the_file(void **state)
{
    struct cli *cli = *state;
    FILE *run = begin_run(cli, "A");
    ADD(run, "na\033[2Jive", "openblas", 1, nine);
    ADD(run, "cached", "open\033[31m", 1, nine);
    ADD(run, "cached", "openblas", 1, nine);
    end_run(run);
    RUN(cli, "compare", "A", "A");
    assert_exit(cli, 0);
    assert_null(strchr(cli->out, '\033'));
    RUN(cli, "compare", "A", "--by", "path");
    assert_exit(cli, 0);
    assert_says(cli->out, "cached against na?[2Jive");
    assert_null(strchr(cli->out, '\033'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_table),
        CLI_TEST(test_defaults_and_metrics),
        CLI_TEST(test_fail_above),
        CLI_TEST(test_fail_above_names_the_worst),
        CLI_TEST(test_by),
        CLI_TEST(test_by_a_number),
        CLI_TEST(test_ignore),
        CLI_TEST(test_csv),
        CLI_TEST(test_formats),
        CLI_TEST(test_undecided),
        CLI_TEST(test_calibration),
        CLI_TEST(test_axes_and_kernels),
        CLI_TEST(test_warns_of_few_repetitions),
        CLI_TEST(test_environments),
        CLI_TEST(test_bad_files),
        CLI_TEST(test_several_runs_in_turns),
        CLI_TEST(test_several_runs_one_side_first),
        CLI_TEST(test_few_runs_a_side),
        CLI_TEST(test_several_runs_with_other_cells),
        CLI_TEST(test_nothing_to_compare),
        CLI_TEST(test_bad_options),
        CLI_TEST(test_twenty_thousand_configurations),
        CLI_TEST(test_escape_sequences_stay_in_the_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
