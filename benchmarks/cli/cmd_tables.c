#include "cli/cli.h"

#include "results/figures.h"

#include <stdio.h>

static int print_figures(const char *command, enum kv_format format)
{
    static const struct kv_table_column columns[] = {
        {"figure", NULL, true}, {"file", NULL, true}, {"suite", NULL, true}};
    struct kv_table *table;
    if (format != KV_FORMAT_TEXT) {
        if (kv_table_create(&table, NULL, columns, 3, NULL) != KV_OK)
            table = NULL;
        for (int i = 0; table && kv_figure(i); i++) {
            kv_table_add_text(table, kv_figure(i)->name);
            kv_table_add_text(table, kv_figure(i)->files[0]);
            kv_table_add_text(table, kv_figure(i)->suite);
        }
        return print_and_free(command, table, format);
    }
    for (int i = 0; kv_figure(i); i++) {
        const struct kv_figure *figure = kv_figure(i);
        printf("  %-20s from %s, suite %s\n", figure->name, figure->files[0], figure->suite);
    }
    return CLI_OK;
}

int command_tables(int argc, char **argv)
{
    const char *folder = NULL, *out = NULL, *format_name;
    bool lists = false;
    const struct option_row rows[] = {
        {.name = "DIR", .help = "folder of a run, its pack, or folder of a training", .operand = &folder},
        {.name = "OUT", .help = "folder that is there, for the tables: OUT/FIGURE/TABLE.tsv", .operand = &out},
        {.name = "list", .help = "list the figures, and write nothing", .flag = &lists},
        format_row(&format_name),
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
    if (lists && folder)
        return cli_fail(argv[0], CLI_USAGE, "--list writes nothing; leave out '%.60s', or --list", folder);
    if (lists)
        return print_figures(argv[0], format_of(format_name));
    if (!out)
        return cli_fail(argv[0], CLI_USAGE, "a run's folder and one for the tables are needed; see --help");
    if (kv_figures_write(folder, out, stdout, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    return CLI_OK;
}
