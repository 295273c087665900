/* Reading a CSV file as a whole. */
#include "base/error.h"
#include "results/csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kv_csv_table {
    char *file;
    char *bytes; /* the whole file, its last byte a newline; fields are unquoted and ended in place */
    size_t n_bytes;
    size_t n_columns;
    size_t n_lines; /* the header and the rows */
    char **fields;  /* [n_lines, n_columns] */
    size_t *starts; /* [n_lines] number of the line of the file at which each starts, from 1 */
};

struct parser {
    struct kv_csv_table *table;
    char *at;
    size_t line;
    size_t n_fields; /* of all lines so far */
    struct kv_error *error;
};

/* ---- The bytes ---------------------------------------------------------------------------------- */

static kv_status fail_memory(const char *file, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", file);
}

static kv_status read_bytes(struct kv_csv_table *table, struct kv_error *error)
{
    FILE *stream = fopen(table->file, "re");
    if (!stream)
        return kv_fail(error, KV_ERROR_IO, "cannot open %s: %s", table->file, strerror(errno));
    size_t capacity = 0;
    /* Text has no NUL, so this reads to the end. */
    const ssize_t n = getdelim(&table->bytes, &capacity, '\0', stream);
    const bool at_end = feof(stream);
    const int reason = errno;
    fclose(stream);
    if (n < 0 && at_end)
        return kv_fail(error, KV_ERROR_FORMAT, "%s is empty: it needs a header row", table->file);
    if (n < 0 && reason == ENOMEM)
        return fail_memory(table->file, error);
    if (n < 0 || (!at_end && table->bytes[n - 1] != '\0'))
        return kv_fail(error, KV_ERROR_IO, "cannot read %s: %s", table->file, strerror(reason));
    if (table->bytes[n - 1] == '\0')
        return kv_fail(error, KV_ERROR_FORMAT, "%s holds a NUL byte, so it is no text: name a CSV file", table->file);
    table->n_bytes = (size_t)n;
    return KV_OK;
}

/* Room for as many fields and lines as there are separators, quoted ones too. */
static kv_status allocate_fields(struct kv_csv_table *table, struct kv_error *error)
{
    size_t commas = 0;
    size_t newlines = 0;
    for (size_t i = 0; i < table->n_bytes; i++) {
        commas += table->bytes[i] == ',';
        newlines += table->bytes[i] == '\n';
    }
    if (table->bytes[table->n_bytes - 1] != '\n')
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s line %zu may be cut off, it has no newline: delete it, or end it if it is whole",
                       table->file, newlines + 1);
    table->fields = calloc(commas + newlines, sizeof *table->fields);
    table->starts = calloc(newlines, sizeof *table->starts);
    return table->fields && table->starts ? KV_OK : fail_memory(table->file, error);
}

/* ---- Lines and fields ---------------------------------------------------------------------------- */

/* Names the line at which the row began: an open quote shows itself only at the end of the file. */
static kv_status fail_format(const struct parser *parser, const char *problem)
{
    const struct kv_csv_table *table = parser->table;
    return kv_fail(parser->error, KV_ERROR_FORMAT, "%s line %zu %s", table->file, table->starts[table->n_lines],
                   problem);
}

/* Steps over the contents; `*tail` is where the unquoted text ends. */
static kv_status parse_quoted(struct parser *parser, char **tail)
{
    const char *end = parser->table->bytes + parser->table->n_bytes;
    char *out = ++parser->at;
    for (; parser->at < end; parser->at++) {
        if (*parser->at == '"' && *++parser->at != '"') {
            *tail = out;
            return KV_OK;
        }
        parser->line += *parser->at == '\n';
        *out++ = *parser->at;
    }
    return fail_format(parser, "opens a quote that is never closed: close it");
}

/* The newline at the end of the file stops every scan. */
static kv_status parse_field(struct parser *parser, bool *is_last)
{
    char *tail = parser->at;
    const bool quoted = *parser->at == '"';
    parser->table->fields[parser->n_fields++] = quoted ? parser->at + 1 : parser->at;
    if (quoted) {
        const kv_status status = parse_quoted(parser, &tail);
        if (status != KV_OK)
            return status;
    } else {
        parser->at += strcspn(parser->at, ",\"\r\n");
        tail = parser->at;
    }
    if (*parser->at == '\r' && parser->at[1] == '\n')
        parser->at++;
    if (*parser->at == '\r')
        return fail_format(parser, "has a carriage return that ends no line: remove it");
    if (*parser->at != ',' && *parser->at != '\n')
        return fail_format(parser, "has a quote in the wrong place: quote the whole field and double the quotes in it");
    *is_last = *parser->at == '\n';
    parser->line += *is_last;
    parser->at++;
    *tail = '\0';
    return KV_OK;
}

static kv_status parse_line(struct parser *parser)
{
    struct kv_csv_table *table = parser->table;
    const size_t n_before = parser->n_fields;
    table->starts[table->n_lines] = parser->line;
    for (bool is_last = false; !is_last;) {
        const kv_status status = parse_field(parser, &is_last);
        if (status != KV_OK)
            return status;
    }
    const size_t n = parser->n_fields - n_before;
    if (table->n_lines == 0)
        table->n_columns = n;
    if (n != table->n_columns)
        return kv_fail(parser->error, KV_ERROR_FORMAT,
                       "%s line %zu has %zu fields, the header has %zu: delete or mend it", table->file,
                       table->starts[table->n_lines], n, table->n_columns);
    table->n_lines++;
    return KV_OK;
}

static kv_status check_header(const struct kv_csv_table *table, struct kv_error *error)
{
    for (size_t i = 0; i < table->n_columns; i++)
        for (size_t j = 0; j < i; j++)
            if (strcmp(table->fields[i], table->fields[j]) == 0)
                return kv_fail(error, KV_ERROR_FORMAT, "%s has two columns \"%s\": rename one", table->file,
                               table->fields[i]);
    return KV_OK;
}

static kv_status read_table(struct kv_csv_table *table, struct kv_error *error)
{
    kv_status status = read_bytes(table, error);
    if (status == KV_OK)
        status = allocate_fields(table, error);
    if (status != KV_OK)
        return status;
    struct parser parser = {.table = table, .at = table->bytes, .line = 1, .error = error};
    while (status == KV_OK && parser.at < table->bytes + table->n_bytes)
        status = parse_line(&parser);
    return status == KV_OK ? check_header(table, error) : status;
}

/* ---- The table ----------------------------------------------------------------------------------- */

kv_status kv_csv_read(struct kv_csv_table **table, const char *file, struct kv_error *error)
{
    *table = NULL;
    struct kv_csv_table *created = calloc(1, sizeof *created);
    if (!created)
        return fail_memory(file, error);
    created->file = strdup(file);
    const kv_status status = created->file ? read_table(created, error) : fail_memory(file, error);
    if (status != KV_OK) {
        kv_csv_free(created);
        return status;
    }
    *table = created;
    return KV_OK;
}

void kv_csv_free(struct kv_csv_table *table)
{
    if (!table)
        return;
    free(table->fields);
    free(table->starts);
    free(table->bytes);
    free(table->file);
    free(table);
}

size_t kv_csv_rows(const struct kv_csv_table *table)
{
    return table->n_lines - 1;
}

size_t kv_csv_line(const struct kv_csv_table *table, size_t row)
{
    return table->starts[row + 1];
}

kv_status kv_csv_column(const struct kv_csv_table *table, const char *name, size_t *column, struct kv_error *error)
{
    for (*column = 0; *column < table->n_columns; ++*column)
        if (strcmp(table->fields[*column], name) == 0)
            return KV_OK;
    return kv_fail(error, KV_ERROR_FORMAT, "%s has no column \"%s\": name a file of this program's version",
                   table->file, name);
}

const char *kv_csv_text(const struct kv_csv_table *table, size_t row, size_t column)
{
    return table->fields[(row + 1) * table->n_columns + column];
}

kv_status kv_csv_number(const struct kv_csv_table *table, size_t row, size_t column, double *value,
                        struct kv_error *error)
{
    const char *text = kv_csv_text(table, row, column);
    *value = NAN;
    if (*text == '\0')
        return KV_OK;
    char *end = NULL;
    /* strtod also takes spaces, hexadecimal, "inf" and "nan", none of which these files hold. */
    const double number = strspn(text, "+-.0123456789eE") == strlen(text) ? strtod(text, &end) : NAN;
    if (!end || *end != '\0' || end == text || !isfinite(number))
        return kv_fail(error, KV_ERROR_FORMAT, "%s line %zu has \"%s\" where column \"%s\" needs a number: correct it",
                       table->file, table->starts[row + 1], text, table->fields[column]);
    *value = number;
    return KV_OK;
}
