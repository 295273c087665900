#include "cli/cli.h"

#include "report/report.h"
#include "results/pack.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "a, b" */
static void print_missing(const char *command, const struct kv_report_outcome *outcome, const char *folder)
{
    if (!outcome->n_missing)
        return;
    fprintf(stderr, "kvbench %s: note: not drawn yet: ", command);
    for (int i = 0; i < outcome->n_missing; i++)
        fprintf(stderr, "%s%s", i ? ", " : "", outcome->missing[i]);
    fprintf(stderr, "; run kvbench plots %s, then this again\n", folder);
}

static int write_report(const char *command, const struct kv_report_settings *settings)
{
    struct kv_error error = {""};
    struct kv_report_outcome outcome;
    if (kv_report_write(settings, &outcome, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    printf("%s: %d figure%s", settings->file, outcome.n_figures, outcome.n_figures == 1 ? "" : "s");
    if (outcome.n_animations)
        printf(", %d animation%s", outcome.n_animations, outcome.n_animations == 1 ? "" : "s");
    putchar('\n');
    fflush(stdout);
    print_missing(command, &outcome, settings->folder);
    return CLI_OK;
}

int command_report(int argc, char **argv)
{
    const char *results = getenv("KVBENCH_RESULTS");
    struct kv_report_settings settings = {0};
    char latest[4096], file[4096 + 16];
    const struct option_row rows[] = {
        {.name = "DIR",
         .help = "folder of a run, or its pack (default: latest in $KVBENCH_RESULTS, or in results)",
         .operand = &settings.folder},
        {.name = "against",
         .argument = "DIR",
         .help = "an earlier run, or another machine's, or its pack, to hold it against",
         .text = &settings.against},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE",
         .help = "the page (default: DIR/report.html, of NAME.kvbench NAME.html)",
         .text = &settings.file},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[DIR] [OPTIONS]",
        .summary = "Writes a run as one HTML page that needs no network and no other file: findings, figures, tables "
                   "with intervals,\n"
                   "the machine, warnings. Figures are those that kvbench plots drew.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (!settings.folder) {
        snprintf(latest, sizeof latest, "%s/latest", results && *results ? results : "results");
        settings.folder = latest;
    }
    if (!settings.file && kv_pack_is(settings.folder)) {
        snprintf(file, sizeof file, "%.*s.html", (int)(strlen(settings.folder) - strlen(".kvbench")), settings.folder);
        settings.file = file;
    }
    if (!settings.file) {
        if (snprintf(file, sizeof file, "%s/report.html", settings.folder) >= (int)sizeof file)
            return cli_fail(argv[0], CLI_USAGE, "'%.60s...' is too long for a folder's name", settings.folder);
        settings.file = file;
    }
    return write_report(argv[0], &settings);
}
