#include "cli/cli.h"

#include "base/error.h"
#include "base/number.h"

#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OPERAND = 1, HELP = 256, FIRST_ROW, MAX_ROWS = 62 };

/* Puts the rows of tables that rows stand for in their place: rows [MAX_ROWS]. */
static struct option_table flatten(const struct option_table *table, struct option_row *rows)
{
    struct option_table flat = *table;
    flat.rows = rows;
    flat.n_rows = 0;
    for (int i = 0; i < table->n_rows; i++) {
        const struct option_table *part = table->rows[i].table;
        const int n = part ? part->n_rows : 1;
        if (flat.n_rows + n > MAX_ROWS)
            abort(); /* a table of ours, so a mistake of ours */
        memcpy(rows + flat.n_rows, part ? part->rows : &table->rows[i], (size_t)n * sizeof *rows);
        flat.n_rows += n;
    }
    return flat;
}

static bool is_operand(const struct option_row *row)
{
    return row->operand || row->is_operand;
}

/* The names to choose from, behind a help that ends at `column`, in lines that fit. */
static void print_choices(const struct option_row *row, size_t column)
{
    enum { LEFT = 27, WIDTH = 116 };
    for (int i = 0; row->choice && row->choice(i); i++) {
        const char *name = row->choice(i)->name, *comma = row->choice(i + 1) ? "," : "";
        const size_t n = strlen(name) + strlen(comma) + 1;
        const bool wraps = column + n > WIDTH;
        printf(wraps ? "\n%*s%s%s" : "%*s%s%s", wraps ? LEFT : 1, "", name, comma);
        column = (wraps ? LEFT - 1 : column) + n;
    }
}

static void print_row(const struct option_row *row)
{
    char left[64];
    if (is_operand(row)) {
        printf("  %-24s %s\n", row->name, row->help);
        return;
    }
    const int n = row->letter ? snprintf(left, sizeof left, "-%c, ", row->letter) : snprintf(left, sizeof left, "    ");
    snprintf(left + n, sizeof left - (size_t)n, "--%s%s%s", row->name, row->argument ? " " : "",
             row->argument ? row->argument : "");
    printf("  %-24s %s", left, row->help);
    const char *last_line = strrchr(row->help, '\n');
    print_choices(row, last_line ? strlen(last_line + 1) : 27 + strlen(row->help));
    putchar('\n');
}

static void print_help(const struct option_table *table)
{
    printf("Usage: kvbench %s %s\n\n%s\n\n", table->command, table->usage, table->summary);
    for (int i = 0; i < table->n_rows; i++)
        print_row(&table->rows[i]);
    printf("  %-24s %s\n", "-h, --help", "show this and stop");
}

/* What help says, for benchmarks/docs/docs.py, which makes manual pages and completions of it. */
static void print_help_json(const struct option_table *table)
{
    json_t *options = json_array();
    for (int i = 0; i < table->n_rows; i++) {
        const struct option_row *row = &table->rows[i];
        const char letter[] = {row->letter, '\0'};
        json_t *choices = json_array();
        for (int k = 0; row->choice && row->choice(k); k++)
            json_array_append_new(choices, json_string(row->choice(k)->name));
        json_array_append_new(options, json_pack("{s:s, s:s, s:s?, s:s, s:b, s:o}", "name", row->name, "letter", letter,
                                                 "argument", row->argument, "help", row->help, "operand",
                                                 is_operand(row), "choices", choices));
    }
    json_t *help = json_pack("{s:s, s:s, s:s, s:o}", "command", table->command, "usage", table->usage, "summary",
                             table->summary, "options", options);
    json_dumpf(help, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(help);
}

static bool parse_integer(const struct option_row *row, const char *text, struct kv_error *error)
{
    const char *at = text;
    uint64_t number;
    if (!kv_number_whole(&at, (uint64_t)row->low, (uint64_t)row->high, &number) || *at)
        return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a whole number of %d to %d", text, row->low,
                       row->high) == KV_OK;
    *row->integer = (int)number;
    return true;
}

/* A number behind which may stand one of the letters in `units`; *unit is that letter, or 0. */
static bool parse_number(double *value, char *unit, const char *text, const char *units)
{
    double number;
    if (!kv_number_decimal(&text, 0, 1e9, &number))
        return false;
    *unit = *text && strchr(units, *text) ? *text++ : '\0';
    if (*text)
        return false;
    *value = number;
    return true;
}

static bool parse_plain(double *value, const char *text, struct kv_error *error)
{
    char unit;
    return parse_number(value, &unit, text, "") ||
           kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a number such as 0.5 or 10", text) == KV_OK;
}

static bool parse_duration(double *seconds, const char *text, struct kv_error *error)
{
    char unit;
    if (!parse_number(seconds, &unit, text, "smh"))
        return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a time such as 90, 90s, 2m or 1h", text) == KV_OK;
    *seconds *= unit == 'h' ? 3600 : (unit == 'm' ? 60 : 1);
    return true;
}

/* A number of 1 or more without its sign may mean either, and is refused. */
static bool parse_share(double *share, const char *text, struct kv_error *error)
{
    char unit;
    if (!parse_number(share, &unit, text, "%") || (!unit && *share >= 1))
        return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a share such as 5%% or 0.05", text) == KV_OK;
    *share /= unit ? 100 : 1;
    return true;
}

static bool parse_seed(const struct option_row *row, const char *text, struct kv_error *error)
{
    const char *at = text;
    uint64_t number;
    if (!kv_number_whole(&at, 0, UINT64_MAX, &number) || *at)
        return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not a whole number of 0 to 18446744073709551615", text) ==
               KV_OK;
    *row->seed = number;
    return true;
}

static bool parse_choice(const struct option_row *row, const char *text, struct kv_error *error)
{
    char names[CHOICE_NAMES_SIZE];
    const char *name = choice_name(row->choice, row->more, text, strlen(text));
    if (name) {
        *row->chosen = name;
        return true;
    }
    if (row->misspelt && row->misspelt(text, error))
        return false;
    return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is not one of %s%s", text, choice_names(row->choice, names),
                   row->more ? row->besides : "") == KV_OK;
}

static bool parse_sizes(const struct option_row *row, const char *text, struct kv_error *error)
{
    struct int_list list = {0};
    if (!int_list_parse(text, &list, error))
        return false;
    for (int i = 0; i < list.n; i++) {
        if (list.values[i] < row->low || list.values[i] > row->high) {
            kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s': %d is not in %d to %d", text, list.values[i], row->low,
                    row->high);
            int_list_free(&list);
            return false;
        }
    }
    int_list_free(row->sizes);
    *row->sizes = list;
    return true;
}

void text_list_add(struct text_list *list, const char *text)
{
    list->values = cli_memory(list->values, ((size_t)list->n + 1) * sizeof *list->values);
    list->values[list->n++] = text;
}

void text_list_free(struct text_list *list)
{
    free(list->values);
    *list = (struct text_list){0};
}

static bool parse_value(const struct option_row *row, const char *text, struct kv_error *error)
{
    if (row->flag)
        return *row->flag = true;
    if (row->texts) {
        text_list_add(row->texts, text);
        return true;
    }
    if (row->text) {
        *row->text = text;
        return true;
    }
    if (row->integer)
        return parse_integer(row, text, error);
    if (row->number)
        return parse_plain(row->number, text, error);
    if (row->seconds)
        return parse_duration(row->seconds, text, error);
    if (row->share)
        return parse_share(row->share, text, error);
    if (row->seed)
        return parse_seed(row, text, error);
    if (row->chosen)
        return parse_choice(row, text, error);
    if (row->names)
        return name_list_parse(row, text, row->names, error);
    if (row->sizes)
        return parse_sizes(row, text, error);
    return row->parse(text, row->value, error);
}

static int usage_error(const struct option_table *table, const char *what, const char *argument)
{
    return cli_fail(table->command, CLI_USAGE, "%s '%s'; see kvbench %s --help", what, argument, table->command);
}

/* getopt's two tables, made from ours: long_options [n_rows + 2], letters [2 n_rows + 5]. */
static void make_tables(const struct option_table *table, struct option *long_options, char *letters)
{
    *letters++ = '-'; /* operands come in their place, as the value of OPERAND */
    *letters++ = ':'; /* a missing argument is told from an unknown option */
    *letters++ = 'h';
    for (int i = 0; i < table->n_rows; i++) {
        const struct option_row *row = &table->rows[i];
        if (is_operand(row))
            continue;
        const int has_argument = row->flag ? no_argument : required_argument;
        *long_options++ = (struct option){row->name, has_argument, NULL, FIRST_ROW + i};
        if (row->letter) {
            *letters++ = row->letter;
            if (has_argument == required_argument)
                *letters++ = ':';
        }
    }
    *letters = '\0';
    *long_options++ = (struct option){"help", optional_argument, NULL, HELP};
    *long_options = (struct option){0};
}

static const struct option_row *find_row(const struct option_table *table, int found)
{
    if (found >= FIRST_ROW)
        return &table->rows[found - FIRST_ROW];
    for (int i = 0; i < table->n_rows; i++)
        if (table->rows[i].letter == found)
            return &table->rows[i];
    return NULL;
}

/* What getopt could not take: optopt is a letter, a row's code, or 0 for a long option that it does not know. */
static int refuse(const struct option_table *table, int found, char **argv)
{
    const char letter[] = {'-', (char)optopt, '\0'};
    const bool is_letter = optopt > 0 && optopt < HELP;
    if (found == ':')
        return usage_error(table, "a value is missing after", argv[optind - 1]);
    if (optopt >= HELP)
        return usage_error(table, "no value can follow the flag in", argv[optind - 1]);
    return usage_error(table, "unknown option", is_letter ? letter : argv[optind - 1]);
}

/* "--kv int8", or nothing at all: the settings of one thing, given as one argument. */
static bool is_settings(const char *argument)
{
    const size_t n = strcspn(argument, " \t\n=");
    return !*argument || (strncmp(argument, "--", 2) == 0 && argument[n] && argument[n] != '=');
}

/* The arguments of an option that takes several; false where there are too few. */
static bool take_several(const struct option_row *row, const char *first, char **argv)
{
    int n = 0;
    row->several[n++] = first;
    while (argv[optind] && n < row->high && (n < row->low || is_settings(argv[optind])))
        row->several[n++] = argv[optind++];
    return n >= row->low;
}

/* One option that getopt found; false when parsing is over, with *status set. */
static bool take(const struct option_table *table, int found, char **argv, int *status)
{
    struct kv_error error = {""};
    if (found == HELP && optarg && strcmp(optarg, "json") != 0) {
        *status = usage_error(table, "help is text, or --help=json, not", optarg);
        return false;
    }
    if (found == HELP || found == 'h') {
        (found == HELP && optarg ? print_help_json : print_help)(table);
        *status = CLI_OK;
        return false;
    }
    if (found == '?' || found == ':') {
        *status = refuse(table, found, argv);
        return false;
    }
    const struct option_row *row = find_row(table, found);
    if (row->several && !take_several(row, optarg, argv)) {
        *status = usage_error(table, "a value is missing after", argv[optind - 1]);
        return false;
    }
    if (row->several || parse_value(row, optarg, &error))
        return true;
    *status = cli_fail(table->command, CLI_USAGE, "--%s: %s; see kvbench %s --help", row->name, error.message,
                       table->command);
    return false;
}

/* Gives each operand row its operand, one of texts all that are left. */
static bool take_operands(const struct option_table *table, const struct text_list *operands, int *status)
{
    int next = 0;
    for (int i = 0; i < table->n_rows; i++) {
        const struct option_row *row = &table->rows[i];
        if (!is_operand(row))
            continue;
        if (next == operands->n && row->required) {
            *status = usage_error(table, "missing argument", row->name);
            return false;
        }
        while (row->texts && next < operands->n)
            text_list_add(row->texts, operands->values[next++]);
        if (row->operand && next < operands->n)
            *row->operand = operands->values[next++];
    }
    if (next < operands->n) {
        *status = usage_error(table, "unexpected argument", operands->values[next]);
        return false;
    }
    return true;
}

/* Takes all options, and puts the operands aside: those behind an option of several texts are its own. */
static bool take_options(const struct option_table *table, int argc, char **argv, struct text_list *operands,
                         int *status)
{
    struct option long_options[MAX_ROWS + 2];
    char letters[2 * MAX_ROWS + 5];
    struct text_list *to = operands;
    make_tables(table, long_options, letters);
    opterr = 0;
    optind = 0; /* anew, in the order of argv */
    for (int found; (found = getopt_long(argc, argv, letters, long_options, NULL)) != -1;) {
        if (found == OPERAND) {
            text_list_add(to, optarg);
            continue;
        }
        if (!take(table, found, argv, status))
            return false;
        const struct option_row *row = find_row(table, found);
        to = row->texts ? row->texts : to;
    }
    while (optind < argc) /* what stands after -- */
        text_list_add(operands, argv[optind++]);
    return true;
}

bool options_parse(const struct option_table *table, int argc, char **argv, int *status)
{
    struct option_row rows[MAX_ROWS];
    struct text_list operands = {0};
    const struct option_table flat = flatten(table, rows);
    const bool good = take_options(&flat, argc, argv, &operands, status) && take_operands(&flat, &operands, status);
    text_list_free(&operands);
    return good;
}

int options_words(char *text, const char **words, int most)
{
    int n = 0;
    for (char *rest = text, *word; (word = strtok_r(rest, " \t\n", &rest)); n++)
        if (n < most)
            words[n] = word;
    return n;
}

bool options_set(const struct option_table *table, const char *name, const char *text, struct kv_error *error)
{
    for (int i = 0; i < table->n_rows; i++)
        if (!is_operand(&table->rows[i]) && strcmp(table->rows[i].name, name) == 0)
            return parse_value(&table->rows[i], text, error);
    return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is no option of %s", name, table->command) == KV_OK;
}
