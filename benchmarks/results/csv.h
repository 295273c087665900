/* CSV files of results, RFC 4180: a header row, fields quoted when they must be, a quote doubled inside quotes.
 *
 * What this project's files promise beyond it, or differently:
 *   lines          end with LF alone, and no field holds a line break: a row is a line
 *   unknown        an empty field, never 0
 *   numbers        in the C locale, as long as the program does not set LC_NUMERIC
 * In every function:
 *   errors         a kv_status other than KV_OK, and one line in `error->message` when `error` is not NULL
 *   ownership      what kv_csv_append or kv_csv_read returned is the caller's, given back with the matching
 *                  function (NULL is allowed); names and texts are copied
 *   thread safety  distinct objects may be used by distinct threads
 */
#ifndef KV_RESULTS_CSV_H
#define KV_RESULTS_CSV_H

#include "kvbench.h"

/* ---- Writing ------------------------------------------------------------------------------------ */

struct kv_csv_writer;

/* Opens `file` to add rows at its end; a file that is not there, or empty, gets the header row first.
 *   columns  [n_columns] names, n_columns >= 1
 * A last line without its newline is the trace of a killed writer and is cut off. A file has one writer at a
 * time. Errors: ARGUMENT (no columns), IO (also: another writer has it), FORMAT (its header is another one;
 * the file is then untouched), MEMORY. */
kv_status kv_csv_append(struct kv_csv_writer **writer, const char *file, const char *const *columns, int n_columns,
                        struct kv_error *error);
/* Opens `file` to be written anew, for rows as above: it appears whole, with kv_csv_publish, or not at all, and what was
 * there stays until then. What is no regular file is written to as it is (base/file.h). Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_csv_create(struct kv_csv_writer **writer, const char *file, const char *const *columns, int n_columns,
                        struct kv_error *error);
/* Errors: IO. */
kv_status kv_csv_publish(struct kv_csv_writer *writer, struct kv_error *error);
void kv_csv_close(struct kv_csv_writer *writer);

/* The next field of the row. */
void kv_csv_add_text(struct kv_csv_writer *writer, const char *text); /* NULL: unknown; line breaks become spaces */
void kv_csv_add_integer(struct kv_csv_writer *writer, int64_t value);
/* 9 digits, from 1e9 on 13: a time since 1970 keeps its milliseconds. NaN and infinities: unknown. */
void kv_csv_add_double(struct kv_csv_writer *writer, double value);
void kv_csv_add_unknown(struct kv_csv_writer *writer);

/* Hands the whole row to the operating system in one write, so that it outlives this process (not a power
 * cut), and starts the next row. After an error the row is dropped, the file holds the rows before it, and the
 * next row may be tried. Errors: ARGUMENT (not n_columns fields), IO, MEMORY. */
kv_status kv_csv_end_row(struct kv_csv_writer *writer, struct kv_error *error);

/* ---- Reading ------------------------------------------------------------------------------------ */

struct kv_csv_table;

/* Reads a whole file: a header row of distinct names, then rows of as many fields. LF and CRLF both end a
 * line, and quoted fields may hold line breaks; the last line needs its newline, because without it nobody
 * can tell whether its last field is whole. Errors: IO, FORMAT (each with its line number), MEMORY. */
kv_status kv_csv_read(struct kv_csv_table **table, const char *file, struct kv_error *error);
void kv_csv_free(struct kv_csv_table *table);

/* Rows after the header. */
size_t kv_csv_rows(const struct kv_csv_table *table);

/* The line of the file at which that row begins, from 1 (the header). */
size_t kv_csv_line(const struct kv_csv_table *table, size_t row);

/* Columns, and the name of each; column < kv_csv_columns. */
size_t kv_csv_columns(const struct kv_csv_table *table);
const char *kv_csv_name(const struct kv_csv_table *table, size_t column);

/* Number of the column of that name, for the two functions below. Errors: FORMAT (no such column). */
kv_status kv_csv_column(const struct kv_csv_table *table, const char *name, size_t *column, struct kv_error *error);

/* Text of a field, "" when unknown; row < kv_csv_rows. Valid until kv_csv_free. */
const char *kv_csv_text(const struct kv_csv_table *table, size_t row, size_t column);

/* The field as a number, NaN when unknown. Errors: FORMAT (anything but a finite decimal number). */
kv_status kv_csv_number(const struct kv_csv_table *table, size_t row, size_t column, double *value,
                        struct kv_error *error);

/* What a column of measured numbers takes: NaN when unknown, else 0..1e30, more than anything measured here. */
kv_status kv_csv_amount(const struct kv_csv_table *table, size_t row, size_t column, double *value,
                        struct kv_error *error);

/* A whole number of low..2^53, which every row has. */
kv_status kv_csv_count(const struct kv_csv_table *table, size_t row, size_t column, double low, double *value,
                       struct kv_error *error);

/* FORMAT: the field is quoted, with its line and column, "which EXPECTED: correct it". */
kv_status kv_csv_refuse(const struct kv_csv_table *table, size_t row, size_t column, const char *expected,
                        struct kv_error *error);

#endif
