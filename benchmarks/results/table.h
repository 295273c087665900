/* A table as data, and the ways to print it: every table of the program is one of these, so that each can be read on a
 * terminal, put into a Markdown file, and taken up by another program. */
#ifndef KV_RESULTS_TABLE_H
#define KV_RESULTS_TABLE_H

#include "results/columns.h"
#include "results/stats.h"

#include <stdio.h>

enum kv_format {
    KV_FORMAT_TEXT, /* aligned, for a terminal */
    KV_FORMAT_MARKDOWN,
    KV_FORMAT_CSV,  /* RFC 4180; numbers in full, unknown empty */
    KV_FORMAT_JSON, /* a JSON object a line; unknown null */
    KV_FORMAT_TSV,  /* for gnuplot: tabs, no quotes, unknown empty */
    KV_N_FORMATS,
};
/* text, markdown, csv, json; NULL past the end (TSV is not offered to people). */
const struct kv_choice *kv_format_choice(int index);
/* Whether programs read it: tables then have every figure, and no prose stands between them. */
bool kv_format_is_data(enum kv_format format);

/* Columns of a table. */
struct kv_table_column {
    const char *name;    /* in CSV and JSON: "ttft_ms" */
    const char *heading; /* for people: "TTFT, ms"; NULL: the name */
    bool is_text;        /* left-aligned, quoted; otherwise a number */
};

struct kv_table;

/* `title` is printed above by text and Markdown, NULL: none; names and texts are copied. Errors: MEMORY. */
kv_status kv_table_create(struct kv_table **table, const char *title, const struct kv_table_column *columns,
                          int n_columns, struct kv_error *error);
void kv_table_free(struct kv_table *table);

/* The next field of the current row; the last one ends the row. A failed allocation is kept until kv_table_check or
 * kv_table_print.
 *   shown  what text and Markdown print, as "10.2 (10.1 to 10.3)", which the page sets on two lines; NULL: three
 * significant digits, "-" when unknown */
void kv_table_add_text(struct kv_table *table, const char *text); /* "": unknown; control characters become ? */
void kv_table_add_number(struct kv_table *table, double value, const char *shown);
/* Ends a row that has begun: its other fields are unknown, and people read the note in their place. */
void kv_table_add_note(struct kv_table *table, const char *note);

size_t kv_table_rows(const struct kv_table *table);
/* What text and Markdown would print there; for the page. With a note, the first unknown field has it. */
const char *kv_table_shown(const struct kv_table *table, size_t row, int column);
/* The first column that the row's note stands in, n_columns when it has none. */
int kv_table_note_column(const struct kv_table *table, size_t row);
const struct kv_table_column *kv_table_columns(const struct kv_table *table, int *n_columns);
const char *kv_table_title(const struct kv_table *table);

/* Whether the table's making had memory enough: before its fields are read. Errors: MEMORY. */
kv_status kv_table_check(const struct kv_table *table, struct kv_error *error);

/* Errors: MEMORY (of the table's making, too), IO. */
kv_status kv_table_print(const struct kv_table *table, enum kv_format format, FILE *stream, struct kv_error *error);

/* Prints it into a file that appears whole or not at all; one that is there is replaced. Errors: MEMORY, IO. */
kv_status kv_table_write(const struct kv_table *table, enum kv_format format, const char *file, struct kv_error *error);

/* ---- The tables of a run (tables.c) ------------------------------------------------------------------------ */

struct kv_results;

enum kv_view {
    KV_VIEW_TERMINAL, /* a suite each, then the products and the attention of the kernels: medians, and half their
                         interval in percent */
    KV_VIEW_PAGE,     /* a suite each, kernels too: medians with their interval, speeds against the naive path */
    KV_VIEW_FULL,     /* for programs: all generations, which is summary.csv, then all kernels, a row a cell, of every
                         figure median, spread and interval */
};

/* Table `index` of the run, *table is NULL past the last. Errors: MEMORY. */
kv_status kv_results_table(const struct kv_results *results, int index, enum kv_view view, struct kv_table **table,
                           struct kv_error *error);

/* Its KV_VIEW_FULL, and a field of it: the value of a key column. (print.c, tables.c) */
struct kv_cell_results;
kv_status kv_results_full_table(const struct kv_results *results, int index, struct kv_table **table,
                                struct kv_error *error);
void kv_table_add_key(struct kv_table *table, const struct kv_cell_results *cell, enum kv_column column);
/* "10.2 (10.1 to 10.3)", or the value alone where there is no interval. */
void kv_table_add_interval(struct kv_table *table, double value, struct kv_stats_interval interval);

/* Everything of the run: for people what is the same for all cells, the tables, what failed and the findings; in CSV or
 * JSON the full tables alone. Errors: IO, MEMORY. */
kv_status kv_results_print(const struct kv_results *results, enum kv_format format, FILE *stream,
                           struct kv_error *error);

/* The same for people in a hurry: the three findings that matter most, what is incomplete, how steady the machine was;
 * *n_more findings were not told. Errors: MEMORY. */
kv_status kv_results_brief(const struct kv_results *results, FILE *stream, size_t *n_more, struct kv_error *error);

/* Writes folder/summary.csv, a row a cell of runs.csv, whole or not at all. Errors: IO, MEMORY. */
kv_status kv_summary_write(const struct kv_results *results, struct kv_error *error);

/* The columns of all result files: name, unit, type, files, meaning. Errors: MEMORY. */
kv_status kv_columns_table(struct kv_table **table, struct kv_error *error);

/* ---- Numbers for people -------------------------------------------------------------------------------------- */

#define KV_NUMBER_SIZE 40
/* Three significant digits, all digits before the point; "-" when unknown. */
const char *kv_number_text(double value, char *text, size_t size);
/* "73,728" */
const char *kv_integer_text(double value, char *text, size_t size);

#endif
