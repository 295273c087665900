/* Numbers, lists, ids and options as a person types them, against the grammar that their headers promise. */
#include "fuzz.h"

#include "base/number.h"
#include "cli/cli.h"

#include <math.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

/* Of main.c, which is not linked. */
int cli_fail(const char *command, int status, const char *format, ...)
{
    (void)command;
    (void)format;
    return status;
}

static bool matches(const char *pattern, const char *text)
{
    regex_t regex;
    FUZZ_HOLDS(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
    const bool found = regexec(&regex, text, 0, NULL, 0) == 0;
    regfree(&regex);
    return found;
}

static void check_numbers(const char *text)
{
    const char *at = text;
    uint64_t whole = 7;
    double number = 7;
    if (kv_number_whole(&at, 0, UINT64_MAX, &whole))
        FUZZ_HOLDS(at > text && strspn(text, "0123456789") == (size_t)(at - text) && strtoull(text, NULL, 10) == whole);
    else
        FUZZ_HOLDS(at == text && whole == 7 && (!strspn(text, "0123456789") || strtoull(text, NULL, 10) == UINT64_MAX));
    at = text;
    const bool found = kv_number_decimal(&at, -1e300, 1e300, &number);
    FUZZ_HOLDS(found == (at > text) && (found || number == 7));
    if (found && !*at)
        FUZZ_HOLDS(matches("^-?[0-9]+(\\.[0-9]+)?([eE][+-]?[0-9]+)?$", text) && number == strtod(text, NULL));
}

#define RANGE "[0-9]+(-[0-9]+([*+][0-9]+)?)?"

static void check_lists(const char *text)
{
    struct int_list list = {0};
    struct token_rows rows = {0};
    struct kv_error error = {""};
    if (int_list_parse(text, &list, &error)) {
        FUZZ_HOLDS(list.n > 0 && matches("^" RANGE "(," RANGE ")*$", text));
        for (int i = 0; i < list.n; i++)
            FUZZ_HOLDS(list.values[i] >= 1);
    } else {
        fuzz_refused(KV_ERROR_ARGUMENT, &error);
    }
    if (token_rows_parse(text, &rows, &error)) {
        FUZZ_HOLDS(rows.batch > 0 && rows.length > 0 && matches("^[0-9]+([,;][0-9]+)*$", text));
        for (int i = 0; i < rows.batch * rows.length; i++)
            FUZZ_HOLDS(rows.tokens[i] >= 0);
    } else {
        fuzz_refused(KV_ERROR_ARGUMENT, &error);
    }
    int_list_free(&list);
    token_rows_free(&rows);
}

/* One option of each type, and what it may become. */
static void check_option(const char *name, const char *text)
{
    int integer = 5;
    double number = 5, seconds = 5, share = 0.5;
    uint64_t seed = 5;
    const char *chosen = NULL;
    struct name_list names = {.n = 0};
    struct int_list sizes = {0};
    struct kv_error error = {""};
    const struct option_row rows[] = {
        {.name = "integer", .integer = &integer, .low = 1, .high = 100},
        {.name = "number", .number = &number},
        {.name = "seconds", .seconds = &seconds},
        {.name = "share", .share = &share},
        {.name = "seed", .seed = &seed},
        {.name = "chosen", .chosen = &chosen, .choice = kv_kv_choice, .more = kv_kv_name},
        {.name = "names", .names = &names, .choice = kv_kv_choice, .more = kv_kv_name},
        {.name = "sizes", .sizes = &sizes, .low = 2, .high = 1000},
    };
    const struct option_table table = {.command = "fuzz", .rows = rows, .n_rows = sizeof rows / sizeof *rows};
    if (!options_set(&table, name, text, &error))
        fuzz_refused(KV_ERROR_ARGUMENT, &error);
    else
        fuzz_say("%s: taken\n", name);
    FUZZ_HOLDS(integer >= 1 && integer <= 100 && number >= 0 && number <= 1e9 && isfinite(number));
    FUZZ_HOLDS(seconds >= 0 && seconds <= 3600e9 && isfinite(seconds) && share >= 0 && isfinite(share));
    FUZZ_HOLDS(!chosen || kv_kv_name(chosen));
    for (int i = 0; i < names.n; i++)
        for (int k = 0; k < i; k++)
            FUZZ_HOLDS(strcmp(names.names[i], names.names[k]) != 0);
    for (int i = 0; i < sizes.n; i++)
        FUZZ_HOLDS(sizes.values[i] >= 2 && sizes.values[i] <= 1000);
    int_list_free(&sizes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"integer", "number", "seconds", "share", "seed",
                                        "chosen",  "names",  "sizes",   "none"};
    char *text = malloc(size + 1);
    FUZZ_HOLDS(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    check_numbers(text);
    check_lists(text);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        check_option(names[i], text);
    free(text);
    return 0;
}
