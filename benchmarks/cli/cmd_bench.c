#include "cli/cli.h"

#include "gbench/gbench.h"
#include "report/context.h"
#include "run/folder.h"
#include "run/run.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_PATHS = 8 };

struct path_list {
    const char *names[MAX_PATHS];
    int n;
};

struct settings {
    struct model_options model;
    const char *suite;
    struct path_list paths;
    struct int_list batches;
    int n_prompt;
    int n_new;
    int repetitions;
    const char *out;
    bool quick;
    bool quiet;
    int argc;    /* as typed, for the record */
    char **argv;
};

static const char *find_path(const char *name, size_t length)
{
    for (int i = 0; kv_path_choice(i); i++) {
        const char *known = kv_path_choice(i)->name;
        if (strlen(known) == length && strncmp(known, name, length) == 0)
            return known;
    }
    return NULL;
}

/* "naive,cached": known paths, none twice */
static bool parse_paths(const char *text, void *value, struct kv_error *error)
{
    struct path_list list = {.n = 0};
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        const char *name = find_path(at, length);
        for (int i = 0; name && i < list.n; i++)
            name = list.names[i] == name ? NULL : name;
        if (!name || list.n == MAX_PATHS) {
            snprintf(error->message, sizeof error->message, "'%.60s' is not a list of different paths such as %s", text,
                     "naive,cached");
            return false;
        }
        list.names[list.n++] = name;
        at += length;
        if (!*at)
            break;
    }
    *(struct path_list *)value = list;
    return true;
}

static void stop_on_signal(int number)
{
    gb_request_stop();
    signal(number, SIG_DFL); /* a second one ends the program at once */
}

static kv_status make_plan(const struct settings *s, struct kv_plan *plan, struct kv_error *error)
{
    struct kv_sweep sweep = {
        .batches = s->batches.values,
        .n_batches = s->batches.n,
        .paths = s->paths.names,
        .n_paths = s->paths.n,
        .n_prompt = s->n_prompt ? s->n_prompt : default_prompt_length,
        .n_new = s->n_new,
        .quick = s->quick,
    };
    for (int i = 0; kv_suite_at(i); i++)
        if (strcmp(kv_suite_at(i)->choice.name, s->suite) == 0)
            return kv_suite_at(i)->plan(&sweep, plan, error);
    return KV_ERROR_ARGUMENT; /* the option's parser knows the suites */
}

static void start_context(struct kv_context *context, const struct settings *s, const struct kv_model *model,
                          const struct kv_team *team)
{
    struct kv_build_info build;
    const struct kv_library_info libraries = {
        .google_benchmark = KV_GOOGLE_BENCHMARK_VERSION,
        .openblas_core = kv_openblas_core(),
        .openblas_better_core = kv_openblas_better_core(),
    };
    const struct kv_run_info run = {
        .argc = s->argc,
        .argv = s->argv,
        .model = s->model.model,
        .weights = kv_model_weights(model),
        .gemm = s->model.gemm ? s->model.gemm : kv_matmul_choice(0)->name,
        .isa = s->model.isa,
        .threads = kv_team_size(team),
    };
    kv_build_info_get(&build);
    kv_context_start(context, &build, &libraries, &run, NULL);
}

static void print_warnings(const char *command, const struct kv_context *context)
{
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    const int n = kv_context_warnings(context, warnings);
    for (int i = 0; i < n; i++)
        if (warnings[i].severity == KV_SEVERITY_WARNING)
            fprintf(stderr, "kvbench %s: warning: %s\n", command, warnings[i].text);
}

static int measure(const char *command, const struct settings *s, const struct kv_plan *plan,
                   const struct kv_model *model, struct kv_team *team)
{
    struct kv_error error = {""};
    struct kv_run_folder folder;
    struct kv_context context;
    struct kv_run run;
    kv_status status = kv_run_folder_make(&folder, s->out, &error);
    if (status)
        return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    start_context(&context, s, model, team);
    status = kv_context_write(&context, folder.path, &error);
    if (status)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    const struct kv_run_settings settings = {
        .run_id = folder.id,
        .folder = folder.path,
        .model_name = s->model.model,
        .gemm = s->model.gemm,
        .isa = s->model.isa,
        .repetitions = s->repetitions,
        .prompt = default_prompt,
        .n_prompt = default_prompt_length,
        .quiet = s->quiet,
    };
    status = kv_run_measure(&run, &settings, plan, model, team, &error);
    kv_context_finish(&context);
    if (!status)
        status = kv_context_write(&context, folder.path, &error);
    if (!status)
        status = kv_run_folder_link(&folder, &error);
    int exit_status = status ? cli_fail(command, CLI_FAILED, "%s", error.message) : CLI_OK;
    if (!status) {
        kv_summary_print(&run);
        printf("\n%s: runs.csv, context.json\n", folder.path);
        fflush(stdout);
        print_warnings(command, &context);
        if (run.n_failed)
            exit_status = cli_fail(command, CLI_FAILED, "%d of %d configurations failed; %s/runs.csv says why",
                                   run.n_failed, plan->n_cells, folder.path);
        if (gb_stop_requested())
            exit_status = cli_fail(command, CLI_FAILED, "stopped; what was measured is in %s", folder.path);
    }
    kv_run_free(&run);
    return exit_status;
}

/* Only the names, one a configuration: no model is needed. */
static int list(const char *command, const struct kv_plan *plan)
{
    struct kv_error error = {""};
    const struct kv_run_settings settings = {.repetitions = 1};
    if (kv_run_list(plan, &settings, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    return CLI_OK;
}

static int run(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_plan plan = {0};
    struct kv_team *team;
    struct kv_model *model;
    if (make_plan(s, &plan, &error) != KV_OK) {
        kv_plan_free(&plan);
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    }
    int exit_status;
    if (gb_lists_only()) {
        exit_status = list(command, &plan);
    } else if ((exit_status = model_open(command, &s->model, &team, &model)) == CLI_OK) {
        signal(SIGINT, stop_on_signal);
        signal(SIGTERM, stop_on_signal);
        exit_status = measure(command, s, &plan, model, team);
        kv_model_free(model);
        kv_team_free(team);
    }
    kv_plan_free(&plan);
    return exit_status;
}

int command_bench(int argc, char **argv)
{
    struct settings s = {
        .model = model_options_default(),
        .suite = "batch",
        .paths = {{"naive", "cached"}, 2},
        .repetitions = 3,
        .argc = argc,
        .argv = argv,
    };
    const struct option_row rows[] = {
        MODEL_OPTION_ROWS(&s.model),
        {"suite", 's', "NAME", "what to sweep (default batch):", OPTION_CHOICE, &s.suite, 0, 0, kv_suite_choice, NULL},
        {"path", 0, "LIST", "paths to measure in turn (default naive,cached)", OPTION_PARSED, &s.paths, 0, 0, NULL,
         parse_paths},
        {"batch", 'b', "LIST", "batch sizes: 4 or 1,2,8 or 1-32*2 (default 1-32*2)", OPTION_PARSED, &s.batches, 0, 0,
         NULL, int_list_parse},
        {"prompt", 'p', "N", "prompt length in tokens (default 21)", OPTION_INTEGER, &s.n_prompt, 1, INT32_MAX / 4,
         NULL, NULL},
        {"new", 'n', "N", "new tokens (default 50)", OPTION_INTEGER, &s.n_new, 1, INT32_MAX / 4, NULL, NULL},
        {"reps", 'r', "N", "repetitions of every configuration (default 3)", OPTION_INTEGER, &s.repetitions, 1, 10000,
         NULL, NULL},
        {"quick", 0, NULL, "small: batches 1 to 8, 16 new tokens", OPTION_FLAG, &s.quick, 0, 0, NULL, NULL},
        {"out", 'o', "DIR", "folder for the results (default results/DATE-HOST, and results/latest leads to it)",
         OPTION_TEXT, &s.out, 0, 0, NULL, NULL},
        {"quiet", 'q', NULL, "no progress on stderr", OPTION_FLAG, &s.quiet, 0, 0, NULL, NULL},
    };
    const struct option_table table = {
        argv[0], "[OPTIONS] [--benchmark_FLAG...]",
        "Measures the inference paths side by side; results go to DIR/runs.csv, a row a repetition. Google Benchmark's\n"
        "flags work too: --benchmark_filter, --benchmark_list_tests, --benchmark_out=FILE.json.",
        rows, sizeof rows / sizeof rows[0]};
    struct kv_error error = {""};
    int status;
    /* Google Benchmark takes its flags out of argv; the record keeps them. */
    char **arguments = calloc((size_t)argc + 1, sizeof *arguments);
    if (!arguments)
        return cli_fail(argv[0], CLI_FAILED, "no memory for the arguments");
    memcpy(arguments, argv, (size_t)argc * sizeof *arguments);
    if (gb_initialize(&argc, arguments, &error) != KV_OK)
        status = cli_fail(argv[0], CLI_USAGE, "%s", error.message);
    else if (options_parse(&table, argc, arguments, &status))
        status = run(argv[0], &s);
    int_list_free(&s.batches);
    free(arguments);
    return status;
}
