#include "cli/cli.h"

int command_columns(int argc, char **argv)
{
    const char *format_name;
    const struct option_row rows[] = {format_row(&format_name)};
    const struct option_table options = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary = "Shows the columns of all result files: what they are called, their units, and what they mean.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status;
    struct kv_error error = {""};
    struct kv_table *table;
    if (!options_parse(&options, argc, argv, &status))
        return status;
    if (kv_columns_table(&table, &error) != KV_OK)
        return cli_fail(argv[0], CLI_FAILED, "%s", error.message);
    return print_and_free(argv[0], table, format_of(format_name));
}
