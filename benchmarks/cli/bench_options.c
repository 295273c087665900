#include "cli/bench.h"

#include "gbench/gbench.h"

#include <stdlib.h>
#include <string.h>

struct bench_settings bench_settings_default(void)
{
    return (struct bench_settings){
        .model = model_options_default("gpt2"),
        .paths = {{"naive", "cached"}, 2},
        .repetitions = 3,
    };
}

void bench_settings_free(struct bench_settings *s)
{
    int_list_free(&s->batches);
    int_list_free(&s->prompts);
}

static bool check(const struct bench_settings *s, int *status)
{
    if (s->quick && s->full) {
        *status = cli_fail("bench", CLI_USAGE, "--quick and --full exclude each other; see kvbench bench --help");
        return false;
    }
    if (s->resume && s->out) {
        *status = cli_fail("bench", CLI_USAGE, "--resume goes on in its own folder, so --out cannot be given with it");
        return false;
    }
    return true;
}

static bool parse_own(struct bench_settings *s, int argc, char **argv, int *status)
{
    struct source_rows source;
    const struct option_row rows[] = {
        {.name = "suite",
         .letter = 's',
         .argument = "LIST",
         .help = "what to sweep (default: all):",
         .names = &s->suites,
         .choice = kv_suite_choice},
        {.name = "quick", .help = "small sizes, under 2 minutes on two cores", .flag = &s->quick},
        {.name = "full", .help = "every size, however long it takes", .flag = &s->full},
        {.table = model_source_rows(&source, &s->model, NULL)},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: the physical cores)",
         .integer = &s->model.threads,
         .low = 1,
         .high = KV_MAX_THREADS},
        {.name = "gemm",
         .argument = "NAME",
         .help = "matrix product:",
         .chosen = &s->model.gemm,
         .choice = kv_matmul_choice},
        {.name = "isa",
         .argument = "NAME",
         .help = "instruction set of the other kernels (or KVBENCH_ISA):",
         .chosen = &s->model.isa,
         .choice = kv_isa_choice},
        {.name = "path",
         .argument = "LIST",
         .help = "measured in turn (default naive,cached):",
         .names = &s->paths,
         .choice = kv_path_choice},
        {.name = "batch",
         .letter = 'b',
         .argument = "LIST",
         .help = "batch sizes: 4 or 1,2,8 or 1-32*2 (default: as the suite likes)",
         .sizes = &s->batches,
         .low = 1,
         .high = INT32_MAX},
        {.name = "prompt",
         .letter = 'p',
         .argument = "LIST",
         .help = "prompt lengths: 21 or 64-1024+64 (default: as the suite likes)",
         .sizes = &s->prompts,
         .low = 1,
         .high = INT32_MAX},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new tokens (default: as the suite likes; 50 in batch)",
         .integer = &s->n_new,
         .low = 1,
         .high = INT32_MAX / 4},
        {.name = "reps",
         .letter = 'r',
         .argument = "N",
         .help = "repetitions of every configuration (default 3)",
         .integer = &s->repetitions,
         .low = 1,
         .high = 10000},
        {.name = "min-time",
         .argument = "S",
         .help = "go on repeating a configuration until it was measured for S seconds",
         .seconds = &s->min_time_s},
        {.name = "cell-budget",
         .argument = "S",
         .help = "skip a configuration that is predicted to take more than S seconds",
         .seconds = &s->cell_budget_s},
        {.name = "out",
         .letter = 'o',
         .argument = "DIR",
         .help = "folder for the results (default results/DATE-HOST, and results/latest leads to it)",
         .text = &s->out},
        {.name = "resume",
         .argument = "DIR",
         .help = "finish the run in DIR that was stopped or killed",
         .text = &s->resume},
        {.name = "dry-run", .help = "print the plan and how long it will take, and stop", .flag = &s->dry_run},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &s->quiet},
    };
    const struct option_table table = {
        .command = "bench",
        .usage = "[OPTIONS] [--benchmark_FLAG...]",
        .summary = "Measures the inference paths side by side and writes what it finds as CSV, a row a repetition.\n"
                   "Google Benchmark's flags work too: --benchmark_filter=REGEX, --benchmark_list_tests,\n"
                   "--benchmark_out=FILE.json.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    return options_parse(&table, argc, argv, status) && check(s, status);
}

bool bench_parse(struct bench_settings *s, int argc, char **argv, int *status)
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
    if (gb_initialize(&argc, own, &error) != KV_OK || (!gb_lists_only() && gb_run(NULL, NULL, NULL, &error) != KV_OK))
        *status = cli_fail("bench", CLI_USAGE, "%s", error.message);
    else
        good = parse_own(s, argc, own, status);
    free(own);
    return good;
}
