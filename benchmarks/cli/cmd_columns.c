#include "cli/cli.h"

#include "results/table.h"

#include <stdio.h>
#include <string.h>

int command_columns(int argc, char **argv)
{
    const char *format_name = "text";
    const struct option_row rows[] = {
        {.name = "format",
         .argument = "FORMAT",
         .help = "of what is printed (default text):",
         .chosen = &format_name,
         .choice = kv_format_choice},
    };
    const struct option_table options = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary = "Shows the columns of all result files: what they are called, their units, and what they mean.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status, format = 0;
    struct kv_error error = {""};
    struct kv_table *table;
    if (!options_parse(&options, argc, argv, &status))
        return status;
    while (strcmp(kv_format_choice(format)->name, format_name) != 0)
        format++;
    kv_status made = kv_columns_table(&table, &error);
    if (!made)
        made = kv_table_print(table, (enum kv_format)format, stdout, &error);
    kv_table_free(table);
    return made ? cli_fail(argv[0], CLI_FAILED, "%s", error.message) : CLI_OK;
}
