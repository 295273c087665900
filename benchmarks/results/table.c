/* Tables as data, and the five ways to print them. */
#include "results/table.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct field {
    char *shown; /* of a text, the text */
    double value;
};

struct kv_table {
    char *title;
    struct kv_table_column *columns; /* [n_columns] their texts are the table's */
    int n_columns;
    struct field *fields; /* [n_fields] row after row */
    size_t n_fields, capacity;
    int *notes; /* [n_notes] of each row that is ended, where its note begins; n_columns: none */
    size_t n_notes;
    bool out_of_memory;
};

const struct kv_choice *kv_format_choice(int index)
{
    static const struct kv_choice choices[] = {
        {"text", "aligned, for a terminal"},
        {"markdown", "tables of Markdown"},
        {"csv", "every figure in full, a row a cell"},
        {"json", "the same, a JSON object a line"},
    };
    return index >= 0 && index < (int)(sizeof choices / sizeof *choices) ? &choices[index] : NULL;
}

bool kv_format_is_data(enum kv_format format)
{
    return format >= KV_FORMAT_CSV;
}

/* ---- Making ---------------------------------------------------------------------------------------------------- */

static char *copy(struct kv_table *table, const char *text)
{
    char *copied = strdup(text);
    table->out_of_memory = table->out_of_memory || !copied;
    return copied;
}

kv_status kv_table_create(struct kv_table **table, const char *title, const struct kv_table_column *columns,
                          int n_columns, struct kv_error *error)
{
    struct kv_table *created = *table = calloc(1, sizeof *created);
    if (created)
        created->columns = calloc((size_t)n_columns, sizeof *created->columns);
    if (!created || !created->columns) {
        free(created);
        *table = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a table: close other programs");
    }
    created->n_columns = n_columns;
    created->title = title ? copy(created, title) : NULL;
    for (int i = 0; i < n_columns; i++)
        created->columns[i] = (struct kv_table_column){
            .name = copy(created, columns[i].name),
            .heading = copy(created, columns[i].heading ? columns[i].heading : columns[i].name),
            .is_text = columns[i].is_text,
        };
    return KV_OK;
}

void kv_table_free(struct kv_table *table)
{
    if (!table)
        return;
    for (size_t i = 0; i < table->n_fields; i++)
        free(table->fields[i].shown);
    for (int i = 0; i < table->n_columns; i++) {
        free((char *)(uintptr_t)table->columns[i].name);
        free((char *)(uintptr_t)table->columns[i].heading);
    }
    free(table->fields);
    free(table->notes);
    free(table->columns);
    free(table->title);
    free(table);
}

static void end_row(struct kv_table *table, int note)
{
    int *notes = realloc(table->notes, (table->n_notes + 1) * sizeof *notes);
    if (notes) {
        table->notes = notes;
        notes[table->n_notes++] = note;
    }
    table->out_of_memory = table->out_of_memory || !notes;
}

static void add(struct kv_table *table, double value, const char *shown)
{
    if (table->n_fields == table->capacity) {
        const size_t capacity = 2 * table->capacity + 64;
        struct field *fields = realloc(table->fields, capacity * sizeof *fields);
        if (!fields) {
            table->out_of_memory = true;
            return;
        }
        table->fields = fields;
        table->capacity = capacity;
    }
    char *text = copy(table, shown);
    /* What files hold must not reach a terminal as an escape sequence. */
    for (char *c = text; c && *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    table->fields[table->n_fields++] = (struct field){text, value};
}

static int column_of_next(const struct kv_table *table)
{
    return (int)(table->n_fields % (size_t)table->n_columns);
}

void kv_table_add_text(struct kv_table *table, const char *text)
{
    add(table, NAN, text);
    if (column_of_next(table) == 0)
        end_row(table, table->n_columns);
}

void kv_table_add_number(struct kv_table *table, double value, const char *shown)
{
    char text[KV_NUMBER_SIZE];
    add(table, value, shown ? shown : kv_number_text(value, text, sizeof text));
    if (column_of_next(table) == 0)
        end_row(table, table->n_columns);
}

void kv_table_add_note(struct kv_table *table, const char *note)
{
    const int first = column_of_next(table);
    for (int column = first; column < table->n_columns && !table->out_of_memory; column++)
        add(table, NAN, column == first ? note : "");
    end_row(table, first);
}

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

size_t kv_table_rows(const struct kv_table *table)
{
    return table->n_notes;
}

static const struct field *field_at(const struct kv_table *table, size_t row, int column)
{
    return &table->fields[row * (size_t)table->n_columns + (size_t)column];
}

const char *kv_table_shown(const struct kv_table *table, size_t row, int column)
{
    return field_at(table, row, column)->shown;
}

int kv_table_note_column(const struct kv_table *table, size_t row)
{
    return table->notes[row];
}

const struct kv_table_column *kv_table_columns(const struct kv_table *table, int *n_columns)
{
    *n_columns = table->n_columns;
    return table->columns;
}

const char *kv_table_title(const struct kv_table *table)
{
    return table->title;
}

/* ---- For people -------------------------------------------------------------------------------------------------- */

/* Characters, not bytes. */
static int width_of(const char *text)
{
    int width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

static const char *shown_or_dash(const struct kv_table *table, size_t row, int column)
{
    const char *text = field_at(table, row, column)->shown;
    return *text || column >= table->notes[row] ? text : "-";
}

static void pad(int n, FILE *stream)
{
    fprintf(stream, "%*s", n > 0 ? n : 0, "");
}

/* The last text of a line is not filled up with blanks. */
static void print_aligned(const struct kv_table *table, int column, const char *text, int width, FILE *stream)
{
    const bool left = table->columns[column].is_text, last = column == table->n_columns - 1;
    fputs("  ", stream);
    pad(left ? 0 : width - width_of(text), stream);
    fputs(text, stream);
    pad(left && !last ? width - width_of(text) : 0, stream);
}

static void print_text(const struct kv_table *table, FILE *stream)
{
    int widths[table->n_columns];
    if (table->title)
        fprintf(stream, "\n%s\n\n", table->title);
    for (int c = 0; c < table->n_columns; c++) {
        widths[c] = width_of(table->columns[c].heading);
        for (size_t row = 0; row < table->n_notes; row++) {
            const int width = c < table->notes[row] ? width_of(shown_or_dash(table, row, c)) : 0;
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    for (int c = 0; c < table->n_columns; c++)
        print_aligned(table, c, table->columns[c].heading, widths[c], stream);
    fputc('\n', stream);
    for (size_t row = 0; row < table->n_notes; row++) {
        for (int c = 0; c < table->n_columns && c < table->notes[row]; c++)
            print_aligned(table, c, shown_or_dash(table, row, c), widths[c], stream);
        if (table->notes[row] < table->n_columns)
            fprintf(stream, "  %s", field_at(table, row, table->notes[row])->shown);
        fputc('\n', stream);
    }
}

static void print_markdown_text(const char *text, FILE *stream)
{
    fputs(" ", stream);
    for (; *text; text++)
        fprintf(stream, *text == '|' ? "\\%c" : "%c", *text);
    fputs(" |", stream);
}

static void print_markdown(const struct kv_table *table, FILE *stream)
{
    if (table->title)
        fprintf(stream, "\n### %s\n\n", table->title);
    fputc('|', stream);
    for (int c = 0; c < table->n_columns; c++)
        print_markdown_text(table->columns[c].heading, stream);
    fputs("\n|", stream);
    for (int c = 0; c < table->n_columns; c++)
        fputs(table->columns[c].is_text ? " --- |" : " ---: |", stream);
    fputc('\n', stream);
    for (size_t row = 0; row < table->n_notes; row++) {
        fputc('|', stream);
        for (int c = 0; c < table->n_columns; c++)
            print_markdown_text(shown_or_dash(table, row, c), stream);
        fputc('\n', stream);
    }
}

/* ---- For programs ------------------------------------------------------------------------------------------------ */

static const char *number_in_full(double value, char *text)
{
    if (!isfinite(value))
        return "";
    snprintf(text, KV_NUMBER_SIZE, value == floor(value) && fabs(value) < 0x1p53 ? "%.0f" : "%.9g", value);
    return text;
}

/* A text as it is in the data: unknown where a note stands. */
static const char *data_of(const struct kv_table *table, size_t row, int column, char *number)
{
    if (column >= table->notes[row])
        return "";
    const struct field *field = field_at(table, row, column);
    return table->columns[column].is_text ? field->shown : number_in_full(field->value, number);
}

static void print_separated(const char *text, char separator, FILE *stream)
{
    if (separator == '\t' || !strpbrk(text, ",\"")) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text; text++)
        fprintf(stream, *text == '"' ? "\"%c" : "%c", *text);
    fputc('"', stream);
}

static void print_lines(const struct kv_table *table, char separator, FILE *stream)
{
    char number[KV_NUMBER_SIZE];
    for (int c = 0; c < table->n_columns; c++) {
        print_separated(table->columns[c].name, separator, stream);
        fputc(c == table->n_columns - 1 ? '\n' : separator, stream);
    }
    for (size_t row = 0; row < table->n_notes; row++)
        for (int c = 0; c < table->n_columns; c++) {
            print_separated(data_of(table, row, c, number), separator, stream);
            fputc(c == table->n_columns - 1 ? '\n' : separator, stream);
        }
}

static kv_status print_json(const struct kv_table *table, FILE *stream, struct kv_error *error)
{
    for (size_t row = 0; row < table->n_notes; row++) {
        json_t *object = json_object();
        for (int c = 0; c < table->n_columns; c++) {
            const struct field *field = field_at(table, row, c);
            const bool known = c < table->notes[row] &&
                               (table->columns[c].is_text ? *field->shown : isfinite(field->value));
            const bool whole = known && field->value == floor(field->value) && fabs(field->value) < 0x1p53;
            json_t *value = !known                      ? json_null()
                            : table->columns[c].is_text ? json_string(field->shown)
                            : whole                     ? json_integer((json_int_t)field->value)
                                                        : json_real(field->value);
            json_object_set_new(object, table->columns[c].name, value ? value : json_null());
        }
        char *line = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
        json_decref(object);
        if (!line)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for a line of JSON: close other programs");
        fprintf(stream, "%s\n", line);
        free(line);
    }
    return KV_OK;
}

kv_status kv_table_check(const struct kv_table *table, struct kv_error *error)
{
    return table->out_of_memory ? kv_fail(error, KV_ERROR_MEMORY, "no memory for a table: close other programs")
                                : KV_OK;
}

kv_status kv_table_print(const struct kv_table *table, enum kv_format format, FILE *stream, struct kv_error *error)
{
    kv_status status = kv_table_check(table, error);
    if (status)
        return status;
    if (format == KV_FORMAT_TEXT)
        print_text(table, stream);
    else if (format == KV_FORMAT_MARKDOWN)
        print_markdown(table, stream);
    else if (format == KV_FORMAT_JSON)
        status = print_json(table, stream, error);
    else
        print_lines(table, format == KV_FORMAT_TSV ? '\t' : ',', stream);
    if (!status && ferror(stream))
        status = kv_fail(error, KV_ERROR_IO, "the table cannot be written: %s", strerror(errno));
    return status;
}

kv_status kv_table_write(const struct kv_table *table, enum kv_format format, const char *file, struct kv_error *error)
{
    struct kv_file output = {0};
    kv_status status = kv_file_open(&output, file, error);
    if (!status)
        status = kv_table_print(table, format, output.stream, error);
    if (!status)
        status = kv_file_finish(&output, error);
    if (!status)
        status = kv_file_publish(&output, error);
    kv_file_close(&output);
    return status;
}

/* ---- Numbers for people ------------------------------------------------------------------------------------------ */

const char *kv_number_text(double value, char *text, size_t size)
{
    const double magnitude = fabs(value);
    if (isnan(value))
        snprintf(text, size, "-");
    else if (magnitude >= 99.95 || magnitude == 0)
        snprintf(text, size, "%.0f", value);
    else if (magnitude >= 9.995)
        snprintf(text, size, "%.1f", value);
    else if (magnitude >= 0.9995)
        snprintf(text, size, "%.2f", value);
    else
        snprintf(text, size, "%#.3g", value);
    return text;
}

const char *kv_integer_text(double value, char *text, size_t size)
{
    char digits[KV_NUMBER_SIZE];
    size_t used = 0;
    const int n = snprintf(digits, sizeof digits, "%.0f", value);
    for (int i = 0; i < n && used + 2 < size; i++) {
        if (i > 0 && (n - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = digits[i];
    }
    text[used] = '\0';
    return text;
}
