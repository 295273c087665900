/* kvbench peers: which engines there are, how they are installed, and a run of bench with them as one of its axes. */
#include "cli/bench.h"
#include "cli/engines.h"

#include "results/peers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ARGUMENTS = 40 };

/* The options that go on to bench, in the order of their rows. */
enum { MODEL, BATCH, PROMPT, NEW, WEIGHTS, TIME, THREADS, REPS, OUT, N_TEXTS };

struct peers {
    const char *texts[N_TEXTS];
    struct name_list with, install;
    const char *format_name;
    bool list, quiet, dry_run;
};

/* Row 0 is kvbench itself, which is always there. */
static const struct kv_choice *peer_choice(int index)
{
    return kv_engine_choice(index + 1);
}

static int list_peers(const char *command, enum kv_format format)
{
    static const struct kv_table_column columns[] = {
        {"peer", NULL, true}, {"installed", NULL, true}, {"weights", NULL, true}, {"summary", "what it is", true}};
    const struct kv_engine *engine;
    struct kv_table *table = NULL;
    char python[ENGINE_PATH_SIZE], weights[64];
    kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, NULL);
    for (int i = 1; table && (engine = kv_engine_at(i)); i++) {
        size_t n = 0;
        for (int k = 0; engine->weights[k]; k++)
            n += (size_t)snprintf(weights + n, sizeof weights - n, "%s%s", k ? "," : "", engine->weights[k]);
        kv_table_add_text(table, engine->choice.name);
        kv_table_add_text(table, engine_installed(engine, python) ? "yes" : "no");
        kv_table_add_text(table, weights);
        kv_table_add_text(table, engine->choice.summary);
    }
    const int status = print_and_free(command, table, format);
    if (!status && !kv_format_is_data(format))
        printf(
            "\nkvbench peers --install NAME makes its environment in %s, from PyPI; nothing else is ever downloaded.\n",
            engines_home());
    return status;
}

static int install(const char *command, const struct name_list *names)
{
    struct kv_error error = {""};
    for (int i = 0; i < names->n; i++) {
        const struct kv_engine *engine = kv_engine_find(names->names[i]);
        fprintf(stderr, "kvbench %s: installing %s in %s/%s; it takes minutes\n", command, engine->choice.name,
                engines_home(), engine->environment);
        if (engine_install(engine, &error) != KV_OK)
            return cli_fail(command, CLI_FAILED, "%s", error.message);
    }
    return CLI_OK;
}

/* "kvbench,torch,..": those that were asked for, else all that are installed. *n: how many peers. */
static const char *join_engines(const struct name_list *with, char *text, size_t size, int *n)
{
    char python[ENGINE_PATH_SIZE];
    size_t at = (size_t)snprintf(text, size, "%s", kv_engine_at(0)->choice.name);
    *n = 0;
    for (int i = 1; kv_engine_at(i) && at < size; i++) {
        const char *name = kv_engine_at(i)->choice.name;
        bool wanted = with->n == 0 && engine_installed(kv_engine_at(i), python);
        for (int k = 0; k < with->n; k++)
            wanted |= strcmp(with->names[k], name) == 0;
        if (wanted)
            at += (size_t)snprintf(text + at, size - at, ",%s", name);
        *n += wanted;
    }
    return text;
}

/* Nothing to measure; what is wrong with the options is said first, as it will be once there is. */
static int refuse_alone(int argc, char **argv)
{
    struct bench_settings settings;
    int status;
    if (bench_parse(&settings, argc, argv, &status))
        status = cli_fail("peers", CLI_USAGE, "no peer is installed; kvbench peers --list says which there are");
    bench_settings_free(&settings);
    return status;
}

static int run_bench(const struct peers *p, const struct option_row *rows, int n_rows)
{
    static char bench[] = "bench", suite[] = "--suite=batch", path[] = "--path=cached", engine[] = "--engine";
    static char quiet[] = "--quiet", dry_run[] = "--dry-run";
    char engines[300], names[sizeof p->texts / sizeof *p->texts][24];
    char format[24];
    char *argv[MOST_ARGUMENTS] = {bench, suite, path, engine, engines, format};
    int n = 6, n_peers;
    snprintf(format, sizeof format, "--format=%s", p->format_name);
    join_engines(&p->with, engines, sizeof engines, &n_peers);
    for (int i = 0; i < n_rows; i++)
        if (rows[i].text && *rows[i].text) {
            snprintf(names[i], sizeof names[i], "--%s", rows[i].name);
            argv[n++] = names[i];
            argv[n++] = (char *)(uintptr_t)*rows[i].text;
        }
    if (p->quiet)
        argv[n++] = quiet;
    if (p->dry_run)
        argv[n++] = dry_run;
    return n_peers ? bench_run(n, argv, kv_peers_print) : refuse_alone(n, argv);
}

int command_peers(int argc, char **argv)
{
    struct peers p = {.texts = {[BATCH] = "1,8,32", [WEIGHTS] = "f32", [TIME] = "10m"}};
    const struct option_row rows[] = {
        {.name = "model",
         .letter = 'm',
         .argument = "MODEL",
         .help = "as of bench (default gpt2)",
         .text = &p.texts[MODEL]},
        {.name = "batch",
         .letter = 'b',
         .argument = "LIST",
         .help = "batch sizes (default 1,8,32)",
         .text = &p.texts[BATCH]},
        {.name = "prompt",
         .letter = 'p',
         .argument = "LIST",
         .help = "prompt lengths (default 21)",
         .text = &p.texts[PROMPT]},
        {.name = "new", .letter = 'n', .argument = "N", .help = "new tokens (default 50)", .text = &p.texts[NEW]},
        {.name = "weights", .argument = "LIST", .help = "f32, bf16, int8 (default f32)", .text = &p.texts[WEIGHTS]},
        {.name = "time", .argument = "TIME", .help = "of the whole run (default 10m)", .text = &p.texts[TIME]},
        {.name = "threads", .letter = 't', .argument = "N", .help = "of every engine", .text = &p.texts[THREADS]},
        {.name = "reps", .letter = 'r', .argument = "N", .help = "rounds at least (default 6)", .text = &p.texts[REPS]},
        {.name = "out", .letter = 'o', .argument = "DIR", .help = "folder for the results", .text = &p.texts[OUT]},
        {.name = "with",
         .argument = "LIST",
         .help = "peers (default: all that are installed):",
         .names = &p.with,
         .choice = peer_choice},
        {.name = "list", .help = "what peers there are, and which are installed", .flag = &p.list},
        {.name = "install",
         .argument = "LIST",
         .help = "make the environments of these, from PyPI:",
         .names = &p.install,
         .choice = peer_choice},
        {.name = "dry-run", .help = "print the plan and how long it will take, and stop", .flag = &p.dry_run},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &p.quiet},
        format_row(&p.format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "Measures kvbench and other engines on the same weights, in the same rounds: every engine is a value of\n"
            "bench's axis --engine, is held to kvbench's own tokens before it is timed, and takes its turn in an\n"
            "order that is drawn anew each round. What it finds is a run as any other: compare DIR --by engine.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (p.install.n && (p.list || p.dry_run))
        return cli_fail(argv[0], CLI_USAGE, "--install and %s exclude each other; choose one",
                        p.list ? "--list" : "--dry-run");
    if (p.list)
        return list_peers(argv[0], format_of(p.format_name));
    return p.install.n ? install(argv[0], &p.install) : run_bench(&p, rows, N_TEXTS);
}
