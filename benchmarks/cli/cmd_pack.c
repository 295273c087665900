#include "cli/cli.h"

#include "results/pack.h"
#include "results/results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ID.kvbench in the current folder, the id without its host unless names are asked for. */
static int default_file(const char *command, const char *folder, bool with_names, char *file, size_t size)
{
    struct kv_error error = {""};
    struct kv_results *results;
    if (kv_results_load(&results, folder, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    const size_t length = strlen(results->run_id), date = strlen("2026-11-27T010931");
    const int n = (int)(with_names || length < date ? length : date);
    snprintf(file, size, "%.*s.kvbench", n ? n : 3, n ? results->run_id : "run");
    for (char *c = file; *c; c++)
        *c = *c == '/' ? '-' : *c;
    kv_results_free(results);
    return CLI_OK;
}

int command_pack(int argc, char **argv)
{
    const char *results = getenv("KVBENCH_RESULTS"), *folder = NULL, *file = NULL;
    char latest[4096], made[300];
    bool with_names = false;
    const struct option_row rows[] = {
        {.name = "DIR",
         .help = "folder of a run (default: latest in $KVBENCH_RESULTS, or in results)",
         .operand = &folder},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE",
         .help = "the pack, NAME.kvbench (default: named after the run's date, in the current folder)",
         .text = &file},
        {.name = "with-names",
         .help = "keep host name, user name and paths, which are otherwise left out",
         .flag = &with_names},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[DIR] [OPTIONS]",
        .summary = "Makes one file of a run, to keep or to send: its CSV files, context.json and datapackage.json.\n"
                   "report, compare, plots and report --against read it as they read a folder; so does tar -xzf.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    struct kv_error error = {""};
    struct stat info;
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (!folder) {
        snprintf(latest, sizeof latest, "%s/latest", results && *results ? results : "results");
        folder = latest;
    }
    if (stat(folder, &info) == 0 && !S_ISDIR(info.st_mode))
        return cli_fail(argv[0], CLI_USAGE, "%s is no folder: name the folder of a run", folder);
    if (file && (strlen(file) < 9 || strcmp(file + strlen(file) - 8, ".kvbench") != 0))
        return cli_fail(argv[0], CLI_USAGE, "--out: '%.200s' has to end with .kvbench", file);
    if (!file && (status = default_file(argv[0], folder, with_names, made, sizeof made)) != CLI_OK)
        return status;
    file = file ? file : made;
    if (kv_pack_write(folder, file, with_names, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    stat(file, &info);
    printf("%s: %.0f KiB\n", file, (double)info.st_size / 1024);
    return CLI_OK;
}
