/* CSV files: rows appended, each in one write, and files read as a whole. */
#include "results/csv.h"

#include "base/error.h"
#include "base/file.h"
#include "base/number.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

struct kv_csv_writer {
    char *file;
    struct kv_file whole; /* of kv_csv_create; all zero: rows are added to a file that is there under its name */
    int descriptor;
    off_t size; /* of the whole rows in the file */
    int n_columns;
    int n_fields; /* of the row that is being made */
    char *row;    /* [capacity] */
    size_t length;
    size_t capacity;
    bool out_of_memory; /* since the row began */
};

/* ---- The row in memory -------------------------------------------------------------------------- */

static void append_bytes(struct kv_csv_writer *writer, const char *bytes, size_t n)
{
    if (writer->capacity - writer->length < n) {
        const size_t capacity = 2 * writer->capacity + n;
        char *row = realloc(writer->row, capacity);
        if (!row) {
            writer->out_of_memory = true;
            return;
        }
        writer->row = row;
        writer->capacity = capacity;
    }
    if (n > 0)
        memcpy(writer->row + writer->length, bytes, n);
    writer->length += n;
}

static void begin_field(struct kv_csv_writer *writer)
{
    if (writer->n_fields++ > 0)
        append_bytes(writer, ",", 1);
}

static void reset_row(struct kv_csv_writer *writer)
{
    writer->n_fields = 0;
    writer->length = 0;
    writer->out_of_memory = false;
}

void kv_csv_add_unknown(struct kv_csv_writer *writer)
{
    begin_field(writer);
}

void kv_csv_add_integer(struct kv_csv_writer *writer, int64_t value)
{
    char digits[32];
    begin_field(writer);
    append_bytes(writer, digits, (size_t)snprintf(digits, sizeof digits, "%" PRId64, value));
}

void kv_csv_add_double(struct kv_csv_writer *writer, double value)
{
    char digits[32];
    begin_field(writer);
    if (isfinite(value))
        append_bytes(writer, digits,
                     (size_t)snprintf(digits, sizeof digits, fabs(value) < 1e9 ? "%.9g" : "%.13g", value));
}

void kv_csv_add_text(struct kv_csv_writer *writer, const char *text)
{
    begin_field(writer);
    if (!text)
        return;
    const bool quoted = strpbrk(text, ",\"") != NULL;
    if (quoted)
        append_bytes(writer, "\"", 1);
    for (const char *c = text; *c; c++) {
        if (*c == '"')
            append_bytes(writer, "\"\"", 2);
        else
            append_bytes(writer, *c == '\n' || *c == '\r' ? " " : c, 1);
    }
    if (quoted)
        append_bytes(writer, "\"", 1);
}

static void finish_line(struct kv_csv_writer *writer)
{
    /* A row of one empty field would be a blank line, which many readers skip. */
    if (writer->n_columns == 1 && writer->length == 0)
        append_bytes(writer, "\"\"", 2);
    append_bytes(writer, "\n", 1);
}

/* ---- The file ----------------------------------------------------------------------------------- */

static kv_status fail_io(const struct kv_csv_writer *writer, const char *action, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_IO, "cannot %s %s: %s", action, writer->file, strerror(errno));
}

static kv_status fail_row_memory(const struct kv_csv_writer *writer, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for a row of %s: close other programs", writer->file);
}

static kv_status write_row(struct kv_csv_writer *writer, struct kv_error *error)
{
    ssize_t written;
    do
        written = write(writer->descriptor, writer->row, writer->length);
    while (written < 0 && errno == EINTR);
    if (written >= 0 && (size_t)written == writer->length) {
        writer->size += written;
        return KV_OK;
    }
    if (written < 0)
        return fail_io(writer, "write a row to", error);
    /* The part of a row that still fitted on a full disk must not stay. */
    if (ftruncate(writer->descriptor, writer->size) != 0) {
        const kv_status status = fail_io(writer, "take half a row back from", error);
        /* Nothing may follow half a row: later rows fail as well. */
        close(writer->descriptor);
        writer->descriptor = -1;
        return status;
    }
    return kv_fail(error, KV_ERROR_IO, "cannot write a whole row to %s: free some space on its disk", writer->file);
}

kv_status kv_csv_end_row(struct kv_csv_writer *writer, struct kv_error *error)
{
    finish_line(writer);
    kv_status status;
    if (writer->out_of_memory)
        status = fail_row_memory(writer, error);
    else if (writer->n_fields != writer->n_columns)
        status = kv_fail(error, KV_ERROR_ARGUMENT,
                         "a row of %s was given %d fields: give one for each of its %d columns", writer->file,
                         writer->n_fields, writer->n_columns);
    else
        status = write_row(writer, error);
    reset_row(writer);
    return status;
}

/* Compares the file's first bytes with the header row in `writer->row`. A file that was cut off inside its header
 * counts as equal; `*whole` tells the two apart. */
static kv_status check_header(const struct kv_csv_writer *writer, bool *whole, struct kv_error *error)
{
    char *found = malloc(writer->length);
    if (!found)
        return fail_row_memory(writer, error);
    const ssize_t n = pread(writer->descriptor, found, writer->length, 0);
    kv_status status = KV_OK;
    if (n < 0)
        status = fail_io(writer, "read", error);
    else if (memcmp(found, writer->row, (size_t)n) != 0)
        status = kv_fail(error, KV_ERROR_FORMAT,
                         "%s has another header row than this program writes: name another file", writer->file);
    *whole = n >= 0 && (size_t)n == writer->length;
    free(found);
    return status;
}

/* Bytes up to and with the last newline. */
static kv_status measure_whole_lines(struct kv_csv_writer *writer, off_t file_size, struct kv_error *error)
{
    char block[4096];
    off_t end = file_size;
    while (end > 0) {
        const off_t start = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
        const ssize_t n = pread(writer->descriptor, block, (size_t)(end - start), start);
        if (n != end - start)
            return fail_io(writer, "read", error);
        const char *newline = memrchr(block, '\n', (size_t)n);
        if (newline) {
            writer->size = start + (newline - block) + 1;
            return KV_OK;
        }
        end = start;
    }
    writer->size = 0;
    return KV_OK;
}

static kv_status open_file(struct kv_csv_writer *writer, struct kv_error *error)
{
    struct stat information;
    writer->descriptor = open(writer->file, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (writer->descriptor < 0)
        return fail_io(writer, "open", error);
    if (fstat(writer->descriptor, &information) != 0)
        return fail_io(writer, "open", error);
    if (!S_ISREG(information.st_mode))
        return kv_fail(error, KV_ERROR_IO, "%s is not a regular file: name another one", writer->file);
    /* A file system without locks is no reason to refuse. */
    if (flock(writer->descriptor, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return kv_fail(error, KV_ERROR_IO, "another process is writing %s: wait for it, or name another file",
                       writer->file);
    return KV_OK;
}

/* Leaves the file with its header and whole rows only. */
static kv_status prepare_file(struct kv_csv_writer *writer, const char *const *columns, struct kv_error *error)
{
    struct stat information;
    bool has_header = false;
    kv_status status = KV_OK;
    for (int i = 0; i < writer->n_columns; i++)
        kv_csv_add_text(writer, columns[i]);
    finish_line(writer);
    if (writer->out_of_memory)
        return fail_row_memory(writer, error);
    if ((status = check_header(writer, &has_header, error)) != KV_OK)
        return status;
    /* The size is taken under the lock: another writer may just have finished. */
    if (fstat(writer->descriptor, &information) != 0)
        return fail_io(writer, "read", error);
    if ((status = measure_whole_lines(writer, information.st_size, error)) != KV_OK)
        return status;
    if (writer->size < information.st_size && ftruncate(writer->descriptor, writer->size) != 0)
        return fail_io(writer, "cut the torn last line off", error);
    if (!has_header)
        status = write_row(writer, error);
    reset_row(writer);
    return status;
}

/* Nothing is open yet. */
static kv_status make_writer(struct kv_csv_writer **writer, const char *file, int n_columns, struct kv_error *error)
{
    *writer = NULL;
    if (n_columns < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s needs columns: name at least one", file);
    struct kv_csv_writer *created = calloc(1, sizeof *created);
    char *name = strdup(file);
    if (!created || !name) {
        free(created);
        free(name);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write %s: close other programs", file);
    }
    *created = (struct kv_csv_writer){.file = name, .descriptor = -1, .n_columns = n_columns};
    *writer = created;
    return KV_OK;
}

/* What a writer that could not be opened leaves. */
static kv_status opened(struct kv_csv_writer **writer, kv_status status)
{
    if (status != KV_OK) {
        kv_csv_close(*writer);
        *writer = NULL;
    }
    return status;
}

kv_status kv_csv_append(struct kv_csv_writer **writer, const char *file, const char *const *columns, int n_columns,
                        struct kv_error *error)
{
    kv_status status = make_writer(writer, file, n_columns, error);
    if (!status)
        status = open_file(*writer, error);
    if (!status)
        status = prepare_file(*writer, columns, error);
    return opened(writer, status);
}

kv_status kv_csv_create(struct kv_csv_writer **writer, const char *file, const char *const *columns, int n_columns,
                        struct kv_error *error)
{
    kv_status status = make_writer(writer, file, n_columns, error);
    if (!status)
        status = kv_file_open(&(*writer)->whole, file, error);
    if (!status) {
        (*writer)->descriptor = dup(fileno((*writer)->whole.stream));
        status = (*writer)->descriptor < 0 ? fail_io(*writer, "open", error) : KV_OK;
    }
    for (int i = 0; !status && i < n_columns; i++)
        kv_csv_add_text(*writer, columns[i]);
    if (!status)
        status = kv_csv_end_row(*writer, error);
    return opened(writer, status);
}

kv_status kv_csv_publish(struct kv_csv_writer *writer, struct kv_error *error)
{
    const kv_status status = kv_file_finish(&writer->whole, error);
    return status ? status : kv_file_publish(&writer->whole, error);
}

void kv_csv_close(struct kv_csv_writer *writer)
{
    if (!writer)
        return;
    if (writer->descriptor >= 0)
        close(writer->descriptor);
    kv_file_close(&writer->whole);
    free(writer->row);
    free(writer->file);
    free(writer);
}

/* ---- Reading ------------------------------------------------------------------------------------- */

/* Nothing that is measured here is larger: a year in nanoseconds is 3e16, the arithmetic of a run 1e20. */
#define MAX_NUMBER 1e30
#define MAX_WHOLE  9007199254740992.0 /* 2^53: whole numbers above it are not exact */

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

static kv_status check_names(const struct kv_csv_table *table, struct kv_error *error)
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
    return status == KV_OK ? check_names(table, error) : status;
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

size_t kv_csv_columns(const struct kv_csv_table *table)
{
    return table->n_columns;
}

const char *kv_csv_name(const struct kv_csv_table *table, size_t column)
{
    return table->fields[column];
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
    const char *at = text;
    double number;
    if (!kv_number_decimal(&at, -HUGE_VAL, HUGE_VAL, &number) || *at)
        return kv_fail(error, KV_ERROR_FORMAT, "%s line %zu has \"%s\" where column \"%s\" needs a number: correct it",
                       table->file, table->starts[row + 1], text, table->fields[column]);
    *value = number;
    return KV_OK;
}

kv_status kv_csv_refuse(const struct kv_csv_table *table, size_t row, size_t column, const char *expected,
                        struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_FORMAT, "%s line %zu has \"%.60s\" in column \"%s\", which %s: correct it",
                   table->file, kv_csv_line(table, row), kv_csv_text(table, row, column), table->fields[column],
                   expected);
}

kv_status kv_csv_amount(const struct kv_csv_table *table, size_t row, size_t column, double *value,
                        struct kv_error *error)
{
    const kv_status status = kv_csv_number(table, row, column, value, error);
    if (status || isnan(*value))
        return status;
    if (*value < 0)
        return kv_csv_refuse(table, row, column, "is never negative", error);
    return *value > MAX_NUMBER ? kv_csv_refuse(table, row, column, "nothing measured can be", error) : KV_OK;
}

kv_status kv_csv_count(const struct kv_csv_table *table, size_t row, size_t column, double low, double *value,
                       struct kv_error *error)
{
    const kv_status status = kv_csv_amount(table, row, column, value, error);
    if (status)
        return status;
    if (isnan(*value))
        return kv_csv_refuse(table, row, column, "every row has", error);
    if (*value != floor(*value) || *value > MAX_WHOLE)
        return kv_csv_refuse(table, row, column, "is a whole number", error);
    return *value < low ? kv_csv_refuse(table, row, column, "counts from 1", error) : KV_OK;
}
