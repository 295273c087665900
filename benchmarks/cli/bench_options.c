#include "cli/bench.h"

#include "gbench/gbench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *find_name(const struct kv_choice *(*choice)(int index), const char *name, size_t length)
{
    for (int i = 0; choice(i); i++)
        if (strlen(choice(i)->name) == length && strncmp(choice(i)->name, name, length) == 0)
            return choice(i)->name;
    return NULL;
}

static bool parse_names(const char *text, struct name_list *out, const struct kv_choice *(*choice)(int index),
                        struct kv_error *error)
{
    struct name_list list = {.n = 0};
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        const char *name = find_name(choice, at, length);
        for (int i = 0; name && i < list.n; i++)
            name = list.names[i] == name ? NULL : name;
        if (!name || list.n == BENCH_MAX_NAMES) {
            int n = snprintf(error->message, sizeof error->message, "'%.60s' is not a list of different names of",
                             text);
            for (int i = 0; choice(i) && n < (int)sizeof error->message - 40; i++)
                n += snprintf(error->message + n, sizeof error->message - (size_t)n, "%s%s", i ? ", " : " ",
                              choice(i)->name);
            return false;
        }
        list.names[list.n++] = name;
        at += length;
        if (!*at)
            break;
    }
    *out = list;
    return true;
}

static bool parse_paths(const char *text, void *value, struct kv_error *error)
{
    return parse_names(text, value, kv_path_choice, error);
}

static bool parse_suites(const char *text, void *value, struct kv_error *error)
{
    return parse_names(text, value, kv_suite_choice, error);
}

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
    const struct option_row rows[] = {
        {"suite", 's', "LIST", "what to sweep (default: all):", OPTION_PARSED, &s->suites, 0, 0, kv_suite_choice,
         parse_suites},
        {"quick", 0, NULL, "small sizes, under 2 minutes on two cores", OPTION_FLAG, &s->quick, 0, 0, NULL, NULL},
        {"full", 0, NULL, "every size, however long it takes", OPTION_FLAG, &s->full, 0, 0, NULL, NULL},
        MODEL_OPTION_ROWS(&s->model, "gpt2"),
        {"path", 0, "LIST", "measured in turn (default naive,cached):", OPTION_PARSED, &s->paths, 0, 0, kv_path_choice,
         parse_paths},
        {"batch", 'b', "LIST", "batch sizes: 4 or 1,2,8 or 1-32*2 (default: as the suite likes)", OPTION_PARSED,
         &s->batches, 0, 0, NULL, int_list_parse},
        {"prompt", 'p', "LIST", "prompt lengths: 21 or 64-1024+64 (default: as the suite likes)", OPTION_PARSED,
         &s->prompts, 0, 0, NULL, int_list_parse},
        {"new", 'n', "N", "new tokens (default: as the suite likes; 50 in batch)", OPTION_INTEGER, &s->n_new, 1,
         INT32_MAX / 4, NULL, NULL},
        {"reps", 'r', "N", "repetitions of every configuration (default 3)", OPTION_INTEGER, &s->repetitions, 1, 10000,
         NULL, NULL},
        {"min-time", 0, "S", "go on repeating a configuration until it was measured for S seconds", OPTION_SECONDS,
         &s->min_time_s, 0, 0, NULL, NULL},
        {"cell-budget", 0, "S", "skip a configuration that is predicted to take more than S seconds", OPTION_SECONDS,
         &s->cell_budget_s, 0, 0, NULL, NULL},
        {"out", 'o', "DIR", "folder for the results (default results/DATE-HOST, and results/latest leads to it)",
         OPTION_TEXT, &s->out, 0, 0, NULL, NULL},
        {"resume", 0, "DIR", "finish the run in DIR that was stopped or killed", OPTION_TEXT, &s->resume, 0, 0, NULL,
         NULL},
        {"dry-run", 0, NULL, "print the plan and how long it will take, and stop", OPTION_FLAG, &s->dry_run, 0, 0, NULL,
         NULL},
        {"quiet", 'q', NULL, "no progress on stderr", OPTION_FLAG, &s->quiet, 0, 0, NULL, NULL},
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
