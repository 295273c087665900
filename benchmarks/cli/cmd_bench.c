#include "cli/arguments.h"
#include "cli/bench.h"

#include "gbench/gbench.h"
#include "machine/context.h"
#include "results/summary.h"
#include "results/summary_kernels.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void stop_on_signal(int number)
{
    gb_request_stop();
    signal(number, SIG_DFL); /* a second one ends the program at once */
}

static bool is_wanted(const struct name_list *suites, const char *name)
{
    for (int i = 0; i < suites->n; i++)
        if (strcmp(suites->names[i], name) == 0)
            return true;
    return suites->n == 0;
}

static kv_status make_plan(const struct bench_settings *s, int n_positions, struct kv_plan *plan,
                           struct kv_error *error)
{
    const struct kv_sweep sweep = {
        .batches = s->batches.values,
        .n_batches = s->batches.n,
        .prompts = s->prompts.values,
        .n_prompts = s->prompts.n,
        .paths = s->paths.names,
        .n_paths = s->paths.n,
        .n_new = s->n_new,
        .repetitions = s->repetitions,
        .extent = s->quick ? KV_EXTENT_QUICK : (s->full ? KV_EXTENT_FULL : KV_EXTENT_REPORT),
        .n_positions = n_positions,
        .default_prompt = default_prompt_length,
    };
    kv_status status = KV_OK;
    for (int i = 0; !status && kv_suite_at(i); i++)
        if (is_wanted(&s->suites, kv_suite_at(i)->choice.name))
            status = kv_suite_at(i)->plan(&sweep, plan, error);
    return status;
}

static void start_context(struct kv_context *context, const struct bench_settings *s, const struct kv_model *model,
                          const struct kv_pool *pool)
{
    struct kv_build_info build;
    const struct kv_library_info libraries = {
        .google_benchmark = KV_GOOGLE_BENCHMARK_VERSION,
        .openblas_core = kv_openblas_core(),
        .openblas_better_core = kv_openblas_better_core(),
        .openblas_config = kv_openblas_config(),
    };
    const struct kv_run_info run = {
        .argc = s->argc,
        .argv = s->argv,
        .model = s->model.model,
        .weights = kv_model_source(model),
        .gemm = s->model.gemm ? s->model.gemm : kv_matmul_choice(0)->name,
        .isa = s->model.isa ? s->model.isa : kv_isa_default(),
        .threads = kv_pool_size(pool),
    };
    kv_build_info_get(&build);
    kv_context_start(context, &build, &libraries, &run, NULL);
}

static void print_warnings(const char *command, const struct kv_warning *warnings, int n)
{
    for (int i = 0; i < n; i++)
        fprintf(stderr, "kvbench %s: %s: %s\n", command,
                warnings[i].severity == KV_SEVERITY_WARNING ? "warning" : "note", warnings[i].text);
}

static struct kv_run_settings run_settings(const struct bench_settings *s, const struct kv_run_folder *folder)
{
    return (struct kv_run_settings){
        .run_id = folder ? folder->id : "",
        .folder = folder ? folder->path : "",
        .model_name = s->model.model,
        .gemm = s->model.gemm ? s->model.gemm : kv_matmul_choice(0)->name,
        .isa = s->model.isa ? s->model.isa : kv_isa_default(),
        .only_gemm = s->model.gemm,
        .only_isa = s->model.isa,
        .min_time_s = s->min_time_s,
        .cell_budget_s = s->cell_budget_s,
        .prompt = default_prompt,
        .n_prompt = default_prompt_length,
        .resume = s->resume != NULL,
        .quick = s->quick,
        .progress = s->quiet                ? KV_PROGRESS_NONE
                    : isatty(STDERR_FILENO) ? KV_PROGRESS_BAR
                                            : KV_PROGRESS_LINES,
    };
}

/* Of what stands in the folder: summary.csv, the tables on stdout, the warnings on stderr. */
static kv_status summarize(const char *command, const struct kv_run_folder *folder, struct kv_error *error)
{
    struct kv_summary *summary;
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    kv_status status = kv_summary_load(&summary, folder->path, error);
    if (status)
        return status;
    status = kv_summary_write_csv(summary, folder->path, error);
    kv_summary_print(summary, stdout);
    fflush(stdout);
    print_warnings(command, warnings, kv_summary_warnings(summary, warnings));
    kv_summary_free(summary);
    return status;
}

static kv_status summarize_kernels(const struct kv_run_folder *folder, struct kv_error *error)
{
    struct kv_kernel_results *results;
    const kv_status status = kv_kernel_results_load(&results, folder->path, error);
    if (!status) {
        putchar('\n');
        kv_kernel_summary_print(results, stdout);
    }
    kv_kernel_results_free(results);
    return status;
}

/* Limits that moved, by so large a part, make every share of them as uncertain. */
#define LIMITS_MOVED 0.1

/* What was measured of a limit at the start and at the end of the run. */
static void warn_if_moved(const char *command, const char *what, const char *unit, double start, double end)
{
    if (fabs(end / start - 1) > LIMITS_MOVED)
        fprintf(
            stderr,
            "kvbench %s: warning: %s was %.1f %s at the start and %.1f at the end: limits, and shares of them, are as "
            "uncertain; run again when the machine is steady\n",
            command, what, start * 1e-9, unit, end * 1e-9);
}

static void warn_of_limits(const char *command, const struct kv_run *run)
{
    const struct kv_limits *start = &run->limits, *end = &run->limits_at_end;
    if (!start->threads || !end->threads)
        return;
    warn_if_moved(command, "read bandwidth", "GB/s", start->read_bytes_per_s, end->read_bytes_per_s);
    warn_if_moved(command, "the arithmetic peak", "GFLOPS", start->fma_flop_per_s, end->fma_flop_per_s);
}

/* What is said at the end; returns the exit status. */
static int conclude(const char *command, const struct kv_run *run, const struct kv_run_folder *folder,
                    const struct kv_context *context)
{
    struct kv_error error = {""};
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    const double share = kv_run_instrument_share(run);
    if (run->plan->n_cells && summarize(command, folder, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    if (run->plan->kernels && !gb_stop_requested() && summarize_kernels(folder, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    print_warnings(command, warnings, kv_context_warnings(context, warnings));
    warn_of_limits(command, run);
    if (!isnan(share))
        printf("\nThe instrument reads the clock once a token: %.4f %% of the shortest step.\n", share);
    printf("Files in %s: %slimits.csv, context.json%s\n", folder->path,
           run->plan->n_cells ? "runs.csv, tokens.csv, summary.csv, " : "", run->plan->kernels ? ", kernels.csv" : "");
    fflush(stdout);
    if (gb_stop_requested())
        return cli_fail(command, CLI_FAILED, "stopped; kvbench bench --resume %s goes on from here", folder->path);
    if (run->n_failed)
        return cli_fail(command, CLI_FAILED, "%d of %d configurations failed; %s/runs.csv says why", run->n_failed,
                        run->plan->n_cells, folder->path);
    if (run->n_kernels_failed)
        return cli_fail(command, CLI_FAILED, "%d kernel configurations failed; %s/kernels.csv says why",
                        run->n_kernels_failed, folder->path);
    return CLI_OK;
}

static int measure(const char *command, const struct bench_settings *s, const struct kv_plan *plan,
                   const struct kv_model *model, struct kv_pool *pool)
{
    struct kv_error error = {""};
    struct kv_run_folder folder;
    struct kv_context context;
    struct kv_run run;
    kv_status status = s->resume ? kv_run_folder_open(&folder, s->resume, &error)
                                 : kv_run_folder_make(&folder, s->out, &error);
    if (status)
        return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    start_context(&context, s, model, pool);
    status = kv_context_write(&context, folder.path, &error);
    if (status)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    const struct kv_run_settings settings = run_settings(s, &folder);
    status = kv_run_measure(&run, &settings, plan, model, pool, &error);
    kv_context_finish(&context);
    if (!status)
        status = kv_context_write(&context, folder.path, &error);
    if (!status)
        status = kv_run_folder_link(&folder, &error);
    const int exit_status = status ? cli_fail(command, CLI_FAILED, "%s", error.message)
                                   : conclude(command, &run, &folder, &context);
    kv_run_free(&run);
    return exit_status;
}

/* Only the names, one a configuration: neither weights nor threads are needed. */
static int list(const char *command, const struct bench_settings *s)
{
    struct kv_error error = {""};
    struct kv_plan plan = {0};
    struct kv_config config;
    const char *names[2];
    const int exit_status = model_shape(command, &s->model, &config);
    if (exit_status)
        return exit_status;
    const struct kv_run_settings settings = run_settings(s, NULL);
    const struct kv_kernel_suite_options kernels = kv_run_kernel_options(&settings, &config, names);
    kv_status status = make_plan(s, config.n_positions, &plan, &error);
    if (!status && plan.n_cells)
        status = kv_run_list(&plan, &error);
    if (!status && plan.kernels)
        status = kv_kernel_suite_list(&kernels, &error);
    kv_plan_free(&plan);
    return status ? cli_fail(command, CLI_FAILED, "%s", error.message) : CLI_OK;
}

static int run(const char *command, const struct bench_settings *s)
{
    struct kv_error error = {""};
    struct kv_plan plan = {0};
    struct kv_pool *pool;
    struct kv_model *model;
    if (gb_lists_only())
        return list(command, s);
    int exit_status = model_open(command, &s->model, &pool, &model);
    if (exit_status)
        return exit_status;
    signal(SIGINT, stop_on_signal);
    signal(SIGTERM, stop_on_signal);
    if (make_plan(s, kv_model_config(model)->n_positions, &plan, &error) != KV_OK) {
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    } else if (s->dry_run) {
        const struct kv_run_settings settings = run_settings(s, NULL);
        exit_status = bench_dry_run(command, &settings, &plan, model, pool);
    } else {
        exit_status = measure(command, s, &plan, model, pool);
    }
    kv_plan_free(&plan);
    kv_model_free(model);
    kv_pool_free(pool);
    return exit_status;
}

/* The settings of the run to go on with, then what was typed now on top. */
static bool parse_resumed(struct bench_settings *s, int argc, char **argv, char ***first_argv, int *status)
{
    struct kv_error error = {""};
    int first_argc;
    if (bench_read_arguments(s->resume, &first_argc, first_argv, &error) != KV_OK) {
        *status = cli_fail("bench", CLI_FAILED, "%s", error.message);
        return false;
    }
    bench_settings_free(s);
    *s = bench_settings_default();
    if (!bench_parse(s, first_argc, *first_argv, status))
        return false;
    s->out = NULL; /* the folder is the one that is resumed, wherever it lies now */
    if (!bench_parse(s, argc, argv, status))
        return false;
    s->argc = first_argc;
    s->argv = *first_argv;
    return true;
}

int command_bench(int argc, char **argv)
{
    struct bench_settings s = bench_settings_default();
    char **first_argv = NULL;
    int status;
    s.argc = argc;
    s.argv = argv;
    if (bench_parse(&s, argc, argv, &status) && (!s.resume || parse_resumed(&s, argc, argv, &first_argv, &status)))
        status = run(argv[0], &s);
    bench_settings_free(&s);
    arguments_free(first_argv);
    return status;
}
