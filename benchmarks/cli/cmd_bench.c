#include "cli/bench.h"
#include "cli/engines.h"

#include "base/random.h"
#include "gbench/gbench.h"
#include "machine/context.h"
#include "measure/measure.h"
#include "measure/run.h"
#include "measure/status_line.h"
#include "results/findings.h"
#include "results/table.h"

#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void stop_on_signal(int number)
{
    gb_request_stop();
    signal(number, SIG_DFL); /* a second one ends the program at once */
}

/* Whose weights kv_run_settings.load reads. */
struct model_source {
    const char *command;
    struct model_options options;
    char for_engines[ENGINE_PATH_SIZE]; /* its files, once an engine has asked for them */
};

/* What a run is made of, while it lives. */
struct bench {
    const char *command;
    const struct bench_settings *asked;
    bench_ending ending; /* NULL: tables and findings */
    struct kv_config config;
    struct bench_text text;
    struct model_source source, text_source; /* of the run, and of its text */
    struct kv_plan plan;
    struct kv_run_folder folder;
    struct kv_run_settings settings;
    struct kv_run run;
    struct kv_context context;
    char gemms[128], isas[128]; /* of the plan, "a,b" */
};

/* kv_run_settings.load */
static kv_status load_model(void *context, const char *weights, const char *gemm, struct kv_pool *pool,
                            struct kv_model **model, struct kv_error *error)
{
    const struct model_source *source = context;
    struct model_options options = source->options;
    options.weights = weights;
    options.gemm = gemm;
    return model_load(source->command, &options, pool, model, error);
}

/* kv_run_settings.speculate */
static kv_status speculate(void *context, const struct kv_arm *arm, struct kv_pool *pool,
                           struct kv_speculation *speculation, struct kv_model **draft, struct kv_error *error)
{
    const struct model_source *source = context;
    struct model_options options = source->options;
    options.weights = arm->weights;
    options.gemm = arm->gemm;
    options.isa = arm->isa;
    options.cache = *arm->cache ? arm->cache : NULL;
    options.kv = *arm->kv ? arm->kv : NULL;
    return speculation_open(source->command, arm->speculate, &options, pool, speculation, draft, error);
}

/* kv_run_settings.start_engine */
static kv_status start_engine(void *context, const struct kv_arm *arm, struct kv_peer **peer, struct kv_error *error)
{
    struct model_source *source = context;
    return engine_start(source->command, &source->options, source->for_engines, arm, peer, error);
}

/* The thread counts that were asked for: the first, 0 being the default, and the largest. */
static int threads_asked(const struct bench_settings *asked, bool largest)
{
    int threads = 0;
    for (int i = 0; kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == KV_COLUMN_THREADS)
            for (int k = 0; k < asked->counts[i].n; k++)
                if (k == 0 || (largest && asked->counts[i].values[k] > threads))
                    threads = asked->counts[i].values[k];
    return threads ? threads : kv_default_threads();
}

static const struct name_list *names_asked(const struct bench_settings *asked, enum kv_column column)
{
    int i = 0;
    while (kv_axis_at(i)->column != column)
        i++;
    return &asked->names[i];
}

/* "a,b", or the default. */
static void join_names(const struct name_list *list, const char *otherwise, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "%s", list->n ? list->names[0] : otherwise);
    for (int i = 1; i < list->n && at < size; i++)
        at += (size_t)snprintf(text + at, size - at, ",%s", list->names[i]);
}

static void set_up(struct bench *bench)
{
    const struct bench_settings *asked = bench->asked;
    bench->source = (struct model_source){bench->command, asked->model, ""};
    bench->text_source = (struct model_source){bench->command, bench->text.model, ""};
    const struct name_list *gemms = names_asked(asked, KV_COLUMN_GEMM), *isas = names_asked(asked, KV_COLUMN_ISA);
    join_names(gemms, kv_matmul_choice(0)->name, bench->gemms, sizeof bench->gemms);
    join_names(isas, kv_isa_default(), bench->isas, sizeof bench->isas);
    bench->settings = (struct kv_run_settings){
        .run_id = bench->folder.id,
        .folder = bench->folder.path,
        .model_name = asked->model.model,
        .config = &bench->config,
        .load = load_model,
        .speculate = speculate,
        .start_engine = start_engine,
        .load_context = &bench->source,
        .text = {.model_name = bench->text.model.model,
                 .config = &bench->text.config,
                 .load_context = bench->text.is_own ? &bench->source : &bench->text_source,
                 .ids = bench->text.ids,
                 .n_ids = bench->text.n_ids},
        .limits_isa = isas->n == 1 ? isas->names[0] : NULL,
        .default_threads = threads_asked(asked, false),
        .seed = asked->seed,
        .time_s = asked->time_s,
        .precision = asked->precision,
        .min_time_s = asked->min_time_s,
        .cell_budget_s = asked->cell_budget_s,
        .prompt = default_prompt,
        .n_prompt = default_prompt_length,
        .kernel_min_time_s = asked->quick ? 0.02 : 0.05,
        .resume = asked->resume != NULL,
        .progress = asked->quiet                ? KV_PROGRESS_NONE
                    : kv_status_line_possible() ? KV_PROGRESS_BAR
                                                : KV_PROGRESS_LINES,
    };
}

static void start_context(struct bench *bench)
{
    struct kv_build_info build;
    const struct kv_library_info libraries = {
        .google_benchmark = KV_GOOGLE_BENCHMARK_VERSION,
        .openblas_core = kv_openblas_core(),
        .openblas_better_core = kv_openblas_better_core(),
        .openblas_config = kv_openblas_config(),
    };
    const struct kv_run_info run = {
        .argc = bench->asked->argc,
        .argv = bench->asked->argv,
        .model = bench->asked->model.model,
        .weights = bench->run.n_models ? kv_model_source(bench->run.models[0]) : NULL,
        .gemm = bench->gemms,
        .isa = bench->isas,
        .threads = threads_asked(bench->asked, true),
        .seed = (int64_t)bench->settings.seed,
    };
    kv_build_info_get(&build);
    kv_context_start(&bench->context, &build, &libraries, &run, NULL);
}

/* What is not told in full counts here. */
struct untold {
    size_t findings;
    int warnings;
};

/* The short end is for people who did not ask for more; other formats are for other programs. */
static bool is_brief(const struct bench *bench)
{
    return !bench->asked->verbose && bench->asked->format == KV_FORMAT_TEXT;
}

static void print_warnings(const struct bench *bench, const struct kv_warning *warnings, int n, struct untold *untold)
{
    for (int i = 0; i < n; i++) {
        const bool is_warning = warnings[i].severity == KV_SEVERITY_WARNING;
        if (is_brief(bench))
            untold->warnings += is_warning;
        else
            fprintf(stderr, "kvbench %s: %s: %s\n", bench->command, is_warning ? "warning" : "note", warnings[i].text);
    }
}

/* Of what stands in the folder: summary.csv, the tables and findings on stdout, the warnings on stderr, the machine. */
static kv_status summarize(const struct bench *bench, struct kv_steadiness *machine, struct untold *untold,
                           struct kv_error *error)
{
    struct kv_results *results;
    struct kv_warning warnings[KV_MAX_WARNINGS];
    kv_status status = kv_results_load(&results, bench->folder.path, error);
    if (status)
        return status;
    if (kv_plan_has(&bench->plan, KV_FILE_RUNS))
        status = kv_summary_write(results, error);
    if (!status)
        status = bench->ending     ? bench->ending(results, bench->asked->format, stdout, error)
                 : is_brief(bench) ? kv_results_brief(results, stdout, &untold->findings, error)
                                   : kv_results_print(results, bench->asked->format, stdout, error);
    fflush(stdout);
    print_warnings(bench, warnings, kv_results_warnings(results, warnings), untold);
    *machine = kv_steadiness(results);
    kv_results_free(results);
    return status;
}

/* Limits that moved by so large a part are no roof: shares of the limit come from the probes of each row. */
#define LIMITS_MOVED 0.1

/* What was measured of a limit at the start and at the end of the run. */
static void warn_if_moved(const char *command, const char *what, const char *unit, double start, double end)
{
    if (fabs(end / start - 1) > LIMITS_MOVED)
        fprintf(stderr,
                "kvbench %s: warning: %s was %.1f %s at the start and %.1f at the end: the roof of the roofline is as "
                "uncertain; "
                "run again when the machine is steady\n",
                command, what, start * 1e-9, unit, end * 1e-9);
}

static void warn_of_limits(const struct bench *bench)
{
    const char *command = bench->command;
    const struct kv_run *run = &bench->run;
    char whose[32] = "", what[64];
    int n = 0;
    for (int threads = 1; threads <= KV_MAX_THREADS; threads++)
        n += run->limits_at_end[threads].threads > 0;
    for (int threads = 1; threads <= KV_MAX_THREADS; threads++) {
        const struct kv_limits *start = &run->limits[threads], *end = &run->limits_at_end[threads];
        if (!start->threads || !end->threads)
            continue;
        if (n > 1)
            snprintf(whose, sizeof whose, " of %d thread%s", threads, threads == 1 ? "" : "s");
        snprintf(what, sizeof what, "read bandwidth%s", whose);
        warn_if_moved(command, what, "GB/s", start->read_bytes_per_s, end->read_bytes_per_s);
        snprintf(what, sizeof what, "the arithmetic peak%s", whose);
        warn_if_moved(command, what, "GFLOPS", start->fma_flop_per_s, end->fma_flop_per_s);
    }
}

static int count_cells(const struct kv_plan *plan, enum kv_file_kind file)
{
    int n = 0;
    for (int i = 0; i < plan->n_cells; i++)
        n += kv_kind_info(plan->cells[i].kind)->file == file;
    return n;
}

/* What the time was not enough for, in one line. */
static void tell_of_time(const struct bench *bench)
{
    const struct kv_run *run = &bench->run;
    char time[32], text[400] = "";
    size_t n = 0;
    kv_clock_text(bench->asked->time_s, time);
    if (run->n_left_out == bench->plan.n_cells)
        n += (size_t)snprintf(text + n, sizeof text - n, ", nothing was measured");
    else if (run->n_left_out == 1)
        n += (size_t)snprintf(text + n, sizeof text - n, ", the largest of %d cells was left out", bench->plan.n_cells);
    else if (run->n_left_out)
        n += (size_t)snprintf(text + n, sizeof text - n, ", the %d largest of %d cells were left out", run->n_left_out,
                              bench->plan.n_cells);
    if (run->n_rounds_less)
        n += (size_t)snprintf(text + n, sizeof text - n, ", %d rounds were planned instead of %d", run->least_rounds,
                              run->least_rounds + run->n_rounds_less);
    if (run->time_over)
        n += (size_t)snprintf(text + n, sizeof text - n, ", the last of %d rounds was not finished", run->round - 1);
    if (run->n_wide)
        snprintf(text + n, sizeof text - n, ", %d %s wider than the precision asked for, the widest is 1 +- %.1f %%",
                 run->n_wide, run->n_wide == 1 ? "ratio between arms is" : "ratios between arms are",
                 100 * run->widest);
    if (*text)
        fprintf(stderr, "kvbench %s: note: %s were not enough: %s; give it more --time\n", bench->command, time,
                text + 2);
}

/* What the arms of the run differ in: the path, or the first other axis; NULL: in nothing. */
static const char *axis_to_compare(const struct kv_plan *plan)
{
    const char *first = NULL;
    for (int i = 0; kv_axis_at(i); i++) {
        const enum kv_column column = kv_axis_at(i)->column;
        bool varies = false;
        for (int kind = 0; kind < KV_N_KINDS && !varies; kind++)
            varies = kv_plan_varies(plan, (enum kv_kind)kind, kv_axis_at(i));
        if (varies && column == KV_COLUMN_PATH)
            return kv_column_info(column)->name;
        if (varies && !first)
            first = kv_column_info(column)->name;
    }
    return first;
}

/* The last lines of the short end: where the rest is, and what to type next. */
static void tell_what_next(const struct bench *bench, const struct untold *untold)
{
    const char *folder = bench->folder.path, *axis = axis_to_compare(&bench->plan);
    char findings[48] = "", warnings[48] = "";
    if (untold->findings)
        snprintf(findings, sizeof findings, "%zu more finding%s%s", untold->findings, untold->findings == 1 ? "" : "s",
                 untold->warnings ? ", " : " and ");
    if (untold->warnings)
        snprintf(warnings, sizeof warnings, " and %d warning%s", untold->warnings, untold->warnings == 1 ? "" : "s");
    if (bench->plan.n_cells)
        printf("%s%s tables%s: in the page, or %s bench --resume %s --verbose\n", findings, *findings ? "the" : "The",
               warnings, cli_called(), folder);
    printf("Files: %s\n", folder);
    if (bench->asked->quick)
        printf("Next: %s bench measures all sizes, in a quarter of an hour\n", cli_called());
    else if (axis)
        printf("Next: %s compare %s --by %s\n", cli_called(), folder, axis);
}

/* The whole end: how exact it is, and all files. */
static void tell_files(const struct bench *bench, int n_runs)
{
    /* In a format for programs stdout is theirs. */
    FILE *to = kv_format_is_data(bench->asked->format) ? stderr : stdout;
    const double share = kv_run_instrument_share(&bench->run);
    if (!isnan(share))
        fprintf(to, "\nThe instrument reads the clock once a token: %.4f %% of the shortest step.\n", share);
    fprintf(to, "Files in %s: %slimits.csv, context.json, datapackage.json%s%s%s\n", bench->folder.path,
            n_runs ? "runs.csv, tokens.csv, summary.csv, " : "",
            kv_plan_has(&bench->plan, KV_FILE_KERNELS) ? ", kernels.csv" : "",
            kv_plan_has(&bench->plan, KV_FILE_PARTS) ? ", parts.csv" : "",
            kv_plan_has(&bench->plan, KV_FILE_QUALITY) ? ", quality.csv" : "");
}

/* What is said at the end; returns the exit status. */
static int conclude(const struct bench *bench)
{
    const char *command = bench->command;
    const struct kv_run *run = &bench->run;
    const int n_runs = count_cells(&bench->plan, KV_FILE_RUNS);
    struct kv_error error = {""};
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    struct kv_steadiness machine = {.grade = KV_GRADE_UNKNOWN, .line = "not graded: nothing was measured"};
    struct untold untold = {0, 0};
    if (bench->plan.n_cells && summarize(bench, &machine, &untold, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    print_warnings(bench, warnings, kv_context_warnings(&bench->context, warnings), &untold);
    if (!is_brief(bench))
        warn_of_limits(bench);
    tell_of_time(bench);
    if (is_brief(bench))
        tell_what_next(bench, &untold);
    else
        tell_files(bench, n_runs);
    fflush(stdout);
    if (gb_stop_requested())
        return cli_fail(command, CLI_FAILED, "stopped; %s bench --resume %s goes on from here", cli_called(),
                        bench->folder.path);
    if (run->n_failed[KV_FILE_RUNS])
        return cli_fail(command, CLI_FAILED, "%d of %d cells failed; %s/runs.csv says why", run->n_failed[KV_FILE_RUNS],
                        n_runs, bench->folder.path);
    if (run->n_failed[KV_FILE_KERNELS])
        return cli_fail(command, CLI_FAILED, "%d kernel cells failed; %s/kernels.csv says why",
                        run->n_failed[KV_FILE_KERNELS], bench->folder.path);
    if (run->n_failed[KV_FILE_QUALITY])
        return cli_fail(command, CLI_FAILED, "%d cells of suite quality failed; %s/quality.csv says why",
                        run->n_failed[KV_FILE_QUALITY], bench->folder.path);
    if (bench->asked->require_steady && machine.grade != KV_GRADE_STEADY)
        return cli_fail(command, CLI_UNSTEADY, "--require-steady: the machine was %s", machine.line);
    return CLI_OK;
}

/* ---- The ways to go ---------------------------------------------------------------------------------- */

/* The plan for programs: a row a cell, with the seconds of all its repetitions. */
static int print_plan(struct bench *bench)
{
    static const struct kv_table_column columns[] = {
        {"suite", NULL, true},        {"shape", NULL, true},          {"arm", NULL, true},
        {"batch", NULL, false},       {"prompt_tokens", NULL, false}, {"new_tokens", NULL, false},
        {"repetitions", NULL, false}, {"seconds", NULL, false},
    };
    struct kv_table *table;
    if (kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, NULL) != KV_OK)
        table = NULL;
    for (int i = 0; table && i < bench->plan.n_cells; i++) {
        const struct kv_cell *cell = &bench->plan.cells[i];
        const bool is_generation = cell->kind == KV_KIND_GENERATION;
        char value[KV_AXIS_TEXT_SIZE], arm[256] = "";
        for (int k = 0; kv_axis_at(k); k++) {
            const size_t n = strlen(arm);
            if (*kv_axis_text(kv_axis_at(k), &cell->arm, value))
                snprintf(arm + n, sizeof arm - n, "%s%s %s", n ? ", " : "", kv_column_info(kv_axis_at(k)->column)->name,
                         value);
        }
        kv_table_add_text(table, cell->suite);
        kv_table_add_text(table, is_generation ? "" : cell->point.shape);
        kv_table_add_text(table, arm);
        kv_table_add_number(table, is_generation ? cell->point.batch : NAN, NULL);
        kv_table_add_number(table, is_generation ? cell->point.n_prompt : NAN, NULL);
        kv_table_add_number(table, is_generation ? cell->point.n_new : NAN, NULL);
        kv_table_add_number(table, cell->repetitions, NULL);
        kv_table_add_number(table, kv_predict_seconds(&bench->run, i) * cell->repetitions, NULL);
    }
    return print_and_free(bench->command, table, bench->asked->format);
}

/* Prints the plan and how long it will take, by the machine's limits. */
static int dry_run(struct bench *bench)
{
    struct kv_error error = {""};
    double kernel_seconds = 0, quality_seconds = 0, load_seconds = 0;
    const int n_kernels = count_cells(&bench->plan, KV_FILE_KERNELS);
    const int n_quality = count_cells(&bench->plan, KV_FILE_QUALITY);
    char value[KV_AXIS_TEXT_SIZE], why[20];
    if (kv_run_measure_limits(&bench->run, &error) != KV_OK)
        return cli_fail(bench->command, CLI_FAILED, "%s", error.message);
    const int n_misfits = kv_run_leave_misfits(&bench->run, &error);
    if (bench->asked->format != KV_FORMAT_TEXT)
        return print_plan(bench);
    printf("suite   path      batch  prompt    new  reps    seconds\n");
    for (int i = 0; i < bench->plan.n_cells; i++) {
        const struct kv_cell *cell = &bench->plan.cells[i];
        const bool fits = !bench->run.cells[i].result.given_up;
        const double seconds = fits ? kv_predict_seconds(&bench->run, i) * cell->repetitions : 0;
        const bool over = bench->asked->cell_budget_s > 0 && seconds > bench->asked->cell_budget_s;
        if (cell->kind != KV_KIND_GENERATION) {
            *(cell->kind == KV_KIND_QUALITY ? &quality_seconds
              : cell->kind == KV_KIND_LOAD  ? &load_seconds
                                            : &kernel_seconds) += seconds;
            continue;
        }
        snprintf(why, sizeof why, fits ? "%.1f" : "cannot fit", seconds);
        printf("%-7s %-8s %6d %7d %6d %5d %10s", cell->suite, cell->arm.path, cell->point.batch, cell->point.n_prompt,
               cell->point.n_new, cell->repetitions, why);
        for (int k = 0; kv_axis_at(k); k++)
            if (kv_axis_at(k)->column != KV_COLUMN_PATH && kv_plan_varies(&bench->plan, cell->kind, kv_axis_at(k)) &&
                *kv_axis_text(kv_axis_at(k), &cell->arm, value))
                printf("  %s %s", kv_column_info(kv_axis_at(k)->column)->name, value);
        printf("%s\n", over ? "  skipped: over the budget" : "");
    }
    if (load_seconds > 0)
        printf("loads of mixed lengths %50.1f\n", load_seconds);
    if (n_quality)
        printf("quality %d texts at %zu tokens %45.1f\n", n_quality, bench->text.n_ids, quality_seconds);
    if (n_kernels)
        printf("kernels %d products and attentions %52.1f\n", n_kernels, kernel_seconds);
    const double seconds = kv_predict_left(&bench->run, INT_MAX);
    printf("\n%d cells, about %.1f minutes with warm-up\n", bench->plan.n_cells - n_misfits, seconds / 60);
    if (n_misfits)
        printf("%d cells cannot fit and will fail: %s\n", n_misfits, error.message);
    if (seconds > kv_run_time_left(&bench->run))
        printf(
            "more than --time allows: fewer rounds first, then without the largest cells, it will take %.1f minutes\n",
            bench->asked->time_s / 60);
    return CLI_OK;
}

static int measure(struct bench *bench)
{
    const struct bench_settings *asked = bench->asked;
    struct kv_error error = {""};
    kv_status status = asked->resume ? kv_run_folder_open(&bench->folder, asked->resume, &error)
                                     : kv_run_folder_make(&bench->folder, asked->out, &error);
    if (status)
        return cli_fail(bench->command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    if (!asked->has_seed)
        bench->settings.seed = kv_hash_bytes(bench->folder.id, strlen(bench->folder.id)) & BENCH_SEED_MASK;
    start_context(bench);
    if (!asked->resume)
        status = kv_context_write(&bench->context, bench->folder.path, &error);
    if (status)
        return cli_fail(bench->command, CLI_FAILED, "%s", error.message);
    status = kv_run_measure(&bench->run, &error);
    kv_context_finish(&bench->context);
    if (!status && (!asked->resume || bench->run.n_written > 0)) /* who only looks at a run has not measured it */
        status = kv_context_write(&bench->context, bench->folder.path, &error);
    if (!status)
        status = kv_run_folder_link(&bench->folder, &error);
    return status ? cli_fail(bench->command, CLI_FAILED, "%s", error.message) : conclude(bench);
}

/* The model of the first arm, before a folder is made for what it cannot measure. */
static int load_first_model(struct bench *bench)
{
    struct kv_error error = {""};
    const struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_arm *arm = NULL;
    for (int i = 0; !arm && i < bench->plan.n_cells; i++)
        if (bench->plan.cells[i].kind == KV_KIND_GENERATION && kv_engine_is_own(bench->plan.cells[i].arm.engine))
            arm = &bench->plan.cells[i].arm;
    kv_status status = kv_run_pool(&bench->run, arm ? arm->threads : bench->settings.default_threads, &pool, &error);
    if (!status && arm)
        status = kv_run_model(&bench->run, arm->weights, arm->gemm, pool, &model, &error);
    if (!status)
        return CLI_OK;
    return cli_fail(bench->command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

static int run(const char *command, const struct bench_settings *asked, bench_ending ending)
{
    struct kv_error error = {""};
    struct bench *bench = calloc(1, sizeof *bench);
    if (!bench)
        return cli_fail(command, CLI_FAILED, "no memory for a run");
    bench->command = command;
    bench->asked = asked;
    bench->ending = ending;
    int exit_status = model_shape(command, &asked->model, &bench->config);
    if (!exit_status)
        exit_status = bench_text_read(command, asked, &bench->config, &bench->text);
    if (!exit_status) {
        set_up(bench);
        kv_status status = bench_plan(asked, &bench->config, &bench->text.config, &bench->plan, &error);
        if (!status)
            status = kv_run_open(&bench->run, &bench->settings, &bench->plan, &error);
        if (!status && gb_lists_only())
            status = kv_run_list(&bench->run, &error);
        if (status)
            exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
        if (!exit_status && !gb_lists_only()) {
            exit_status = load_first_model(bench);
            signal(SIGINT, stop_on_signal);
            signal(SIGTERM, stop_on_signal);
            if (!exit_status)
                exit_status = asked->dry_run ? dry_run(bench) : measure(bench);
        }
        kv_run_free(&bench->run);
    }
    kv_plan_free(&bench->plan);
    free(bench->text.ids);
    kv_run_folder_close(&bench->folder);
    free(bench);
    return exit_status;
}

int bench_run(int argc, char **argv, bench_ending ending)
{
    struct bench_settings settings;
    int status;
    if (bench_parse(&settings, argc, argv, &status))
        status = run(argv[0], &settings, ending);
    bench_settings_free(&settings);
    return status;
}

int command_bench(int argc, char **argv)
{
    return bench_run(argc, argv, NULL);
}
