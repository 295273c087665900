#include "cli/cli.h"

#include "results/figures.h"

#include <stdio.h>

static void print_figures(void)
{
    for (int i = 0; kv_figure(i); i++) {
        const struct kv_figure *figure = kv_figure(i);
        printf("  %-20s from %s, suite %s\n", figure->name, figure->files[0], figure->suite);
    }
}

int command_tables(int argc, char **argv)
{
    const char *folder = NULL, *out = NULL;
    bool lists = false;
    const struct option_row rows[] = {
        {.name = "DIR", .help = "folder of a run, its pack, or folder of a training", .operand = &folder},
        {.name = "OUT", .help = "folder that is there, for the tables: OUT/FIGURE/TABLE.tsv", .operand = &out},
        {.name = "list", .help = "list the figures, and write nothing", .flag = &lists},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "DIR OUT",
        .summary = "Writes the tables that the figures of a run are drawn from, and prints which figures there are: "
                   "for plots/render.sh,\n"
                   "and for whoever would rather draw them with another program.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    struct kv_error error = {""};
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (lists) {
        print_figures();
        return CLI_OK;
    }
    if (!out)
        return cli_fail(argv[0], CLI_USAGE, "a run's folder and one for the tables are needed; see --help");
    if (kv_figures_write(folder, out, stdout, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    return CLI_OK;
}
