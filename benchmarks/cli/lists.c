#include "cli/cli.h"

#include "base/error.h"
#include "base/number.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const int32_t default_prompt[] = {314, 716, 27426, 19617, 284,   2193, 479, 85, 12940, 13, 1675,
                                  466, 326, 314,   716,   18335, 278,  479, 85, 12940, 13};
const int default_prompt_length = sizeof default_prompt / sizeof default_prompt[0];

/* Longest list: more would be a mistake, not a sweep. */
#define MAX_VALUES 100000

void *cli_memory(void *block, size_t bytes)
{
    void *larger = realloc(block, bytes);
    if (larger || !bytes)
        return larger;
    fputs("kvbench: no memory; close other programs\n", stderr);
    exit(CLI_FAILED);
}

/* A whole number of low..INT32_MAX at *text, which then points past it. */
static bool read_number(const char **text, long low, int *value)
{
    uint64_t number;
    if (!kv_number_whole(text, (uint64_t)low, INT32_MAX, &number))
        return false;
    *value = (int)number;
    return true;
}

static bool append(struct int_list *list, int value)
{
    if (list->n == MAX_VALUES)
        return false;
    if ((list->n & (list->n - 1)) == 0) /* 0 or a power of two: full, and the room doubles */
        list->values = cli_memory(list->values, (size_t)(list->n ? 2 * list->n : 1) * sizeof *list->values);
    list->values[list->n++] = value;
    return true;
}

/* "4" or "1-32*2" or "64-1024+64" or "1-8" (step 1) at *text */
static bool read_range(const char **text, struct int_list *list)
{
    int first, last, step = 1;
    char sign = '+';
    if (!read_number(text, 1, &first))
        return false;
    last = first;
    if (**text == '-') {
        ++*text;
        if (!read_number(text, first, &last))
            return false;
        if (**text == '*' || **text == '+') {
            sign = *(*text)++;
            if (!read_number(text, sign == '*' ? 2 : 1, &step))
                return false;
        }
    }
    for (long value = first; value <= last; value = sign == '*' ? value * step : value + step)
        if (!append(list, (int)value))
            return false;
    return true;
}

bool int_list_parse(const char *text, struct int_list *out, struct kv_error *error)
{
    struct int_list list = {0};
    const char *at = text;
    bool good = read_range(&at, &list);
    while (good && *at == ',') {
        at++;
        good = read_range(&at, &list);
    }
    if (!good || *at) {
        free(list.values);
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "'%.60s' is not a list of whole numbers such as 4 or 1,2,8 or 1-32*2 or 64-1024+64",
                       text) == KV_OK;
    }
    int_list_free(out);
    *out = list;
    return true;
}

void int_list_free(struct int_list *list)
{
    free(list->values);
    *list = (struct int_list){0};
}

const char *choice_names(const struct kv_choice *(*choice)(int index), char *text)
{
    size_t at = 0;
    *text = '\0';
    for (int i = 0; choice(i) && at < CHOICE_NAMES_SIZE; i++)
        at += (size_t)snprintf(text + at, CHOICE_NAMES_SIZE - at, "%s%s", i ? ", " : "", choice(i)->name);
    return text;
}

static const char *find_name(const struct kv_choice *(*choice)(int index), const char *name, size_t length)
{
    for (int i = 0; choice(i); i++)
        if (strlen(choice(i)->name) == length && strncmp(choice(i)->name, name, length) == 0)
            return choice(i)->name;
    return NULL;
}

/* A copy that lives as long as the program, as the arguments do: names made of parts of them are used like those of
 * tables. */
static const char *kept_name(const char *name)
{
    static struct kept {
        struct kept *next;
        char name[64];
    } * all;
    for (const struct kept *k = all; k; k = k->next)
        if (strcmp(k->name, name) == 0)
            return k->name;
    struct kept *kept = cli_memory(NULL, sizeof *kept);
    kept->next = all;
    snprintf(kept->name, sizeof kept->name, "%s", name);
    all = kept;
    return kept->name;
}

const char *choice_name(const struct kv_choice *(*choice)(int index), const char *(*more)(const char *name),
                        const char *text, size_t length)
{
    char copy[64];
    const char *name = find_name(choice, text, length);
    if (name || !more || length >= sizeof copy)
        return name;
    memcpy(copy, text, length);
    copy[length] = '\0';
    name = more(copy);
    return name == copy ? kept_name(copy) : name;
}

/* What is wrong with text [length], where the row can tell. */
static bool is_misspelt(const struct option_row *row, const char *text, size_t length, struct kv_error *error)
{
    char copy[64];
    if (!row->misspelt || length >= sizeof copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    return row->misspelt(copy, error);
}

bool name_list_parse(const struct option_row *row, const char *text, struct name_list *out, struct kv_error *error)
{
    struct name_list list = {.n = 0};
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        const char *name = choice_name(row->choice, row->more, at, length);
        if (!name && is_misspelt(row, at, length, error))
            return false;
        for (int i = 0; name && i < list.n; i++)
            name = list.names[i] == name ? NULL : name;
        if (!name || list.n == MAX_NAMES) {
            char names[CHOICE_NAMES_SIZE];
            return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' has an unknown or repeated name; choose from %s%s", text,
                           choice_names(row->choice, names), row->more ? row->besides : "") == KV_OK;
        }
        list.names[list.n++] = name;
        at += length;
        if (!*at)
            break;
    }
    *out = list;
    return true;
}

bool token_rows_parse(const char *text, void *value, struct kv_error *error)
{
    struct token_rows *out = value, rows = {0};
    size_t capacity = 1;
    for (const char *at = text; *at; at++)
        capacity += *at == ',' || *at == ';';
    rows.tokens = cli_memory(NULL, capacity * sizeof *rows.tokens);
    int n = 0, row_length = 0;
    bool good = true, ragged = false;
    for (const char *at = text; good; at++) {
        good = read_number(&at, 0, &rows.tokens[n]) && (*at == ',' || *at == ';' || *at == '\0');
        n += good;
        row_length += good;
        if (good && *at != ',') {
            ragged |= rows.batch > 0 && row_length != rows.length;
            rows.length = row_length;
            rows.batch++;
            row_length = 0;
        }
        if (*at == '\0')
            break;
    }
    if (!good || ragged) {
        free(rows.tokens);
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       ragged ? "the sequences of '%.60s' differ in length; give all the same number of ids"
                              : "'%.60s' is not token ids such as 1,2,3 or 1,2,3;4,5,6",
                       text) == KV_OK;
    }
    token_rows_free(out);
    *out = rows;
    return true;
}

void token_rows_free(struct token_rows *rows)
{
    free(rows->tokens);
    *rows = (struct token_rows){0};
}
