/* From the arguments of bench, or those that a run was started with, to its plan. */
#include "cli/bench.h"

#include "base/error.h"
#include "gbench/gbench.h"
#include "results/effect.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* No time was asked for: that of the extent. */
#define TIME_OF_EXTENT (-1.0)
/* Model and figures come on top: 15 minutes, and with --quick 2, are to be enough for all. */
#define REPORT_SECONDS 840.0
#define QUICK_SECONDS  100.0

/* No seed was asked for; nobody types this one. */
#define NO_SEED UINT64_C(0xfedcba9876543210)

static struct bench_settings default_settings(int argc, char **argv)
{
    struct bench_settings settings = {
        .model = model_options_default("gpt2"),
        .repetitions = (int)kv_effect_least_rounds(0.05),
        .time_s = TIME_OF_EXTENT,
        .format_name = "text",
        .argc = argc,
        .argv = argv,
    };
    settings.model.seed = NO_SEED;
    return settings;
}

static void free_lists(struct bench_settings *s)
{
    for (int i = 0; i < KV_MAX_AXES; i++)
        int_list_free(&s->counts[i]);
    int_list_free(&s->batches);
    int_list_free(&s->prompts);
}

static void free_arguments(char **argv)
{
    for (int i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

void bench_settings_free(struct bench_settings *s)
{
    free_lists(s);
    free_arguments(s->first_argv);
    s->first_argv = NULL;
}

/* ---- Options ---------------------------------------------------------------------------------------- */

static bool check(struct bench_settings *s, int *status)
{
    const char *wrong_isa = s->model.isa && !kv_isa_supported(s->model.isa) ? s->model.isa : NULL;
    for (int i = 0; kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == KV_COLUMN_ISA) {
            if (s->names[i].n == 0 && s->model.isa)
                s->names[i] = (struct name_list){.names = {s->model.isa}, .n = 1};
            for (int k = 0; k < s->names[i].n; k++)
                wrong_isa = kv_isa_supported(s->names[i].names[k]) ? wrong_isa : s->names[i].names[k];
        }
    s->format = KV_FORMAT_TEXT;
    while (strcmp(kv_format_choice(s->format)->name, s->format_name) != 0)
        s->format++;
    if (s->quick && s->full)
        *status = cli_fail("bench", CLI_USAGE, "--quick and --full exclude each other; see kvbench bench --help");
    else if (s->resume && s->out)
        *status = cli_fail("bench", CLI_USAGE, "--resume goes on in its own folder, so --out cannot be given with it");
    else if (wrong_isa)
        *status = cli_fail("bench", CLI_USAGE,
                           "isa '%.40s' is unknown, or more than this CPU has; kvbench info lists them", wrong_isa);
    else
        return true;
    return false;
}

/* An option a row of the axes' table: a list, whose values take turns. */
static struct option_table axis_rows(struct bench_settings *s, struct option_row rows[KV_MAX_AXES])
{
    int n = 0;
    for (const struct kv_axis *axis; (axis = kv_axis_at(n)); n++)
        rows[n] = (struct option_row){
            .name = kv_column_info(axis->column)->name,
            .letter = axis->letter,
            .argument = "LIST",
            .help = axis->help,
            .names = axis->choice ? &s->names[n] : NULL,
            .choice = axis->choice,
            .more = axis->more,
            .besides = axis->besides,
            .misspelt = axis->misspelt,
            .sizes = axis->choice ? NULL : &s->counts[n],
            .low = axis->low,
            .high = axis->high,
        };
    return (struct option_table){.rows = rows, .n_rows = n};
}

static bool parse_own(struct bench_settings *s, int argc, char **argv, int *status)
{
    struct source_rows source;
    struct option_row axes_rows[KV_MAX_AXES];
    const struct option_table axes = axis_rows(s, axes_rows);
    const struct option_row rows[] = {
        {.name = "suite",
         .letter = 's',
         .argument = "LIST",
         .help = "what to sweep (default: batch, trace, grid, depth, memory, parts, kernels and limits;\n"
                 "                           --full has all):",
         .names = &s->suites,
         .choice = kv_suite_choice},
        {.name = "quick",
         .help = "some of the sizes, under 2 minutes on every machine; what it measures can be\n"
                 "                           compared with a whole run",
         .flag = &s->quick},
        {.name = "full", .help = "every size, however long it takes", .flag = &s->full},
        {.table = model_source_rows(&source, &s->model,
                                    "seed of synthetic weights (default 42), and of the orders of rounds")},
        {.table = &axes},
        {.name = "batch",
         .letter = 'b',
         .argument = "LIST",
         .help = "batch sizes: 4 or 1,2,8 or 1-32*2 (default: the suite's own; --dry-run lists them)",
         .sizes = &s->batches,
         .low = 1,
         .high = INT32_MAX},
        {.name = "prompt",
         .letter = 'p',
         .argument = "LIST",
         .help = "prompt lengths: 21 or 64-1024+64 (default: the suite's own)",
         .sizes = &s->prompts,
         .low = 1,
         .high = INT32_MAX},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new tokens (default: 50 in batch, 128 in trace, 2 in grid, 3 in depth)",
         .integer = &s->n_new,
         .low = 1,
         .high = INT32_MAX / 4},
        {.name = "prefix",
         .argument = "N",
         .help =
             "the first N tokens of the prompt are run once for all sequences, and kept once where\n"
             "                           the cache shares blocks (default: none; in suite prefix 0, 50 and 90 % of it)",
         .integer = &s->n_prefix,
         .low = 1,
         .high = INT32_MAX / 4},
        {.name = "reps",
         .letter = 'r',
         .argument = "N",
         .help = "rounds at least, in which every cell is measured once (default 6; with fewer no\n"
                 "                           difference can be told; suite memory, which times nothing, has 1)",
         .integer = &s->repetitions,
         .low = 1,
         .high = 10000},
        {.name = "precision",
         .argument = "PART",
         .help = "add rounds until every ratio between arms is known to 1 +- PART, such as 2%",
         .share = &s->precision},
        {.name = "time",
         .argument = "TIME",
         .help = "of the whole run, such as 90s, 10m or 1h: what does not fit is left out (default 14m;\n"
                 "                           2m for each of paged, prefix, window, speculate, copy, overflow alone;\n"
                 "                           100s with --quick, no end with --full; 0: no end)",
         .seconds = &s->time_s},
        {.name = "min-time",
         .argument = "TIME",
         .help = "repeat a cell until it has been measured for at least that long",
         .seconds = &s->min_time_s},
        {.name = "cell-budget",
         .argument = "TIME",
         .help = "skip a cell that is predicted to take more than that",
         .seconds = &s->cell_budget_s},
        {.name = "text",
         .argument = "FILE",
         .help =
             "what the model predicts in suite quality, and goes on from in speculate, and copies in copy (default:\n"
             "                           held-out text of " EMBEDDED_MODEL ", by " EMBEDDED_MODEL ")",
         .text = &s->text},
        {.name = "out",
         .letter = 'o',
         .argument = "DIR",
         .help = "folder for the results (default results/DATE-HOST, and results/latest leads to it)",
         .text = &s->out},
        {.name = "resume",
         .argument = "DIR",
         .help = "finish the run in DIR that was stopped or killed",
         .text = &s->resume},
        {.name = "format",
         .argument = "NAME",
         .help = "of the tables on stdout (default text):",
         .chosen = &s->format_name,
         .choice = kv_format_choice},
        {.name = "require-steady",
         .help = "exit 3 unless the probes say that the machine was steady; what was measured is kept",
         .flag = &s->require_steady},
        {.name = "dry-run", .help = "print the plan and how long it will take, and stop", .flag = &s->dry_run},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &s->quiet},
        {.name = "verbose",
         .letter = 'v',
         .help = "at the end all tables, findings and warnings, not just what matters most",
         .flag = &s->verbose},
    };
    const struct option_table table = {
        .command = "bench",
        .usage = "[OPTIONS] [--benchmark_FLAG...]",
        .summary =
            "Measures the inference paths side by side and writes what it finds as CSV, a row a repetition.\n"
            "Options from --path to --chunk take lists: every combination is an arm; an arm at one batch, prompt\n"
            "and length is a cell. Every cell is measured once a round, in an order that is drawn anew.\n"
            "Google Benchmark's flags work too: --benchmark_filter=REGEX, --benchmark_list_tests,\n"
            "--benchmark_out=FILE.json.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    return options_parse(&table, argc, argv, status) && check(s, status);
}

static bool parse(struct bench_settings *s, int argc, char **argv, int *status)
{
    struct kv_error error = {""};
    /* Google Benchmark takes its flags out of its copy; the record keeps them. */
    char **own = calloc((size_t)argc + 1, sizeof *own);
    if (!own) {
        *status = cli_fail("bench", CLI_FAILED, "no memory for the arguments");
        return false;
    }
    memcpy(own, argv, (size_t)argc * sizeof *own);
    bool good = false;
    /* Run with nothing registered, it looks at its filter and measures nothing. */
    if (gb_initialize(&argc, own, &error) != KV_OK || (!gb_lists_only() && gb_run(NULL, &error) != KV_OK))
        *status = cli_fail("bench", CLI_USAGE, "%s", error.message);
    else
        good = parse_own(s, argc, own, status);
    free(own);
    return good;
}

/* ---- Resuming --------------------------------------------------------------------------------------- */

/* The arguments that a run in `folder` was started with: argv [*argc], ended by NULL, for free_arguments; and the seed of
 * its orders, where it had one. */
static kv_status read_arguments(const char *folder, int *argc, char ***argv, json_int_t *seed, struct kv_error *error)
{
    char file[4096];
    json_error_t json_error;
    snprintf(file, sizeof file, "%s/context.json", folder);
    json_t *context = json_load_file(file, 0, &json_error);
    if (!context)
        return kv_fail(error, KV_ERROR_IO, "%s holds no run to resume: %.160s", folder, json_error.text);
    const json_t *run = json_object_get(context, "run"), *list = json_object_get(run, "command");
    *seed = json_is_integer(json_object_get(run, "seed")) ? json_integer_value(json_object_get(run, "seed")) : -1;
    const size_t n = json_array_size(list);
    char **texts = calloc(n + 1, sizeof *texts);
    bool good = texts && n > 0;
    for (size_t i = 0; good && i < n; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        texts[i] = text ? strdup(text) : NULL;
        good = texts[i];
    }
    json_decref(context);
    if (!good) {
        free_arguments(texts);
        return kv_fail(error, KV_ERROR_FORMAT, "%.400s: run.command is no list of arguments", file);
    }
    *argc = (int)n;
    *argv = texts;
    return KV_OK;
}

/* Suites that have a time of their own take no more together. */
static double time_of_suites(const struct bench_settings *s)
{
    double seconds = 0;
    for (int i = 0; i < s->suites.n; i++) {
        const double own = kv_suite_at(kv_choice_find(kv_suite_choice, "suite", s->suites.names[i], NULL))->own_s;
        if (own <= 0)
            return REPORT_SECONDS;
        seconds += own;
    }
    return seconds > 0 && seconds < REPORT_SECONDS ? seconds : REPORT_SECONDS;
}

/* What was not asked for, and follows from the rest. */
static void complete(struct bench_settings *s, json_int_t first_seed)
{
    s->has_seed = first_seed >= 0 || s->model.seed != NO_SEED;
    s->seed = first_seed >= 0 ? (uint64_t)first_seed : s->model.seed & BENCH_SEED_MASK;
    if (s->model.seed == NO_SEED)
        s->model.seed = model_options_default("gpt2").seed;
    if (s->time_s == TIME_OF_EXTENT)
        s->time_s = s->full ? 0 : (s->quick ? QUICK_SECONDS : time_of_suites(s));
    const int least = (int)kv_effect_least_rounds(0.05);
    if (s->precision > 0 && s->repetitions < least)
        s->repetitions = least; /* fewer make no interval */
}

static bool parse_resumed(struct bench_settings *s, int argc, char **argv, json_int_t *seed, int *status)
{
    struct kv_error error = {""};
    int first_argc = 0;
    char **first_argv = NULL;
    if (read_arguments(s->resume, &first_argc, &first_argv, seed, &error) != KV_OK) {
        *status = cli_fail("bench", CLI_FAILED, "%s", error.message);
        return false;
    }
    /* The settings of the run to go on with, then what was typed now on top. */
    free_lists(s);
    *s = default_settings(first_argc, first_argv);
    s->first_argv = first_argv;
    if (!parse(s, first_argc, first_argv, status))
        return false;
    s->out = NULL; /* the folder is the one that is resumed, wherever it lies now */
    return parse(s, argc, argv, status);
}

bool bench_parse(struct bench_settings *s, int argc, char **argv, int *status)
{
    json_int_t first_seed = -1;
    *s = default_settings(argc, argv);
    if (!parse(s, argc, argv, status) || (s->resume && !parse_resumed(s, argc, argv, &first_seed, status)))
        return false;
    complete(s, first_seed);
    return true;
}

/* ---- The plan --------------------------------------------------------------------------------------- */

static bool is_wanted(const struct bench_settings *s, const struct kv_suite *suite)
{
    for (int i = 0; i < s->suites.n; i++)
        if (strcmp(s->suites.names[i], suite->choice.name) == 0)
            return true;
    return s->suites.n == 0 && (s->full || !suite->by_name);
}

bool bench_has_suite(const struct bench_settings *s, const char *suite)
{
    for (int i = 0; kv_suite_at(i); i++)
        if (strcmp(kv_suite_at(i)->choice.name, suite) == 0)
            return is_wanted(s, kv_suite_at(i));
    return false;
}

kv_status bench_plan(const struct bench_settings *s, const struct kv_config *config,
                     const struct kv_config *text_config, struct kv_plan *plan, struct kv_error *error)
{
    struct kv_sweep sweep = {
        .batches = s->batches.values,
        .n_batches = s->batches.n,
        .prompts = s->prompts.values,
        .n_prompts = s->prompts.n,
        .n_new = s->n_new,
        .n_prefix = s->n_prefix,
        .repetitions = s->repetitions,
        .extent = s->quick ? KV_EXTENT_QUICK : (s->full ? KV_EXTENT_FULL : KV_EXTENT_REPORT),
        .config = config,
        .text_positions = text_config->n_positions,
        .default_prompt = default_prompt_length,
        .default_threads = kv_default_threads(),
    };
    sweep.drafts = speculation_drafts(&s->model, &sweep.n_drafts);
    for (int i = 0; kv_axis_at(i); i++)
        sweep.axes[i] = (struct kv_axis_values){
            .names = s->names[i].names,
            .counts = s->counts[i].values,
            .n = kv_axis_at(i)->choice ? s->names[i].n : s->counts[i].n,
        };
    kv_status status = KV_OK;
    for (int i = 0; !status && kv_suite_at(i); i++)
        if (is_wanted(s, kv_suite_at(i)))
            status = kv_suite_at(i)->plan(kv_suite_at(i), &sweep, plan, error);
    return status;
}
