/* The option --format, which every command that prints a table has. */
#include "cli/cli.h"

#include "results/table.h"

#include <stdio.h>
#include <string.h>

struct option_row format_row(const char **name)
{
    *name = kv_format_choice(KV_FORMAT_TEXT)->name;
    return (struct option_row){.name = "format",
                               .argument = "FORMAT",
                               .help = "of what is printed (default text):",
                               .chosen = name,
                               .choice = kv_format_choice};
}

enum kv_format format_of(const char *name)
{
    int format = KV_FORMAT_TEXT;
    while (strcmp(kv_format_choice(format)->name, name) != 0)
        format++;
    return (enum kv_format)format;
}

const char *printable(const char *text, char *copy, size_t size)
{
    snprintf(copy, size, "%s", text);
    for (char *c = copy; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    return copy;
}

int print_and_free(const char *command, struct kv_table *table, enum kv_format format)
{
    struct kv_error error = {""};
    const kv_status status = table ? kv_table_print(table, format, stdout, &error) : KV_ERROR_MEMORY;
    kv_table_free(table);
    if (status == KV_ERROR_IO)
        return CLI_FAILED; /* main says of stdout what is wrong with it */
    return status ? cli_fail(command, CLI_FAILED, "%s", table ? error.message : "no memory for a table") : CLI_OK;
}
