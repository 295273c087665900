/* What the files that read a run's folder have in common; all else knows results.h alone. */
#ifndef KV_RESULTS_READER_H
#define KV_RESULTS_READER_H

#include "results/csv.h"
#include "results/results.h"

#define MISSING SIZE_MAX

/* The tokens of one cell. */
struct span {
    size_t start, n;
};

struct kv_results_own {
    struct kv_csv_table *tables[KV_N_FILES]; /* NULL: no such file */
    size_t *owners[KV_N_FILES];              /* [rows] of runs and kernels: the cell of each row */
    size_t *buckets;                         /* [n_buckets] of a hash of the ids: 1 + number of the cell, 0 free */
    size_t n_buckets;
    size_t *latest;                /* [rows of runs, then of kernels]: 1 + the row of the same cell before, 0 none */
    size_t *last_row;              /* [n_cells] 1 + its last row that is ok */
    bool is_shuffled;              /* rows have places in rounds of random order */
    int *last_repetition;          /* [n_cells] the largest that is ok */
    double *values;                /* the samples, */
    struct kv_round_value *rounds; /* and by round */
    double *token_values;
    struct kv_round_value *token_rounds;
    struct kv_token_row *tokens;
    struct span *spans;          /* [n_cells] */
    struct kv_cell_parts *parts; /* [n_cells], NULL: there is no parts.csv */
    struct kv_context_facts facts;
    char *file, *folder;
    char *unpacked; /* the folder of a pack, which goes when the results do; NULL */
    char cpu[96], core[64], commit[64], program[24], problem[256];
};

struct reader {
    struct kv_results *results;
    const struct kv_csv_table *table;
    enum kv_file_kind kind;
    char *file;
    size_t at[KV_N_COLUMNS]; /* where a column is, or MISSING */
    struct kv_error *error;
};

kv_status kv_reader_fail_memory(const char *file, struct kv_error *error);

/* Opens one file of a run where it is there; the table is the results'. Errors: IO, FORMAT, MEMORY. */
kv_status kv_reader_open(struct kv_results *results, enum kv_file_kind kind, const char *file, struct reader *reader,
                         struct kv_error *error);

/* A field, "" or NaN when it is unknown, or its column is not in the file. Errors: FORMAT. */
const char *kv_reader_text(const struct reader *reader, size_t row, enum kv_column column);
kv_status kv_reader_number(const struct reader *reader, size_t row, enum kv_column column, double *value);
/* "FILE line N has "X" in column "C", which EXPECTED: correct it" */
kv_status kv_reader_fail(const struct reader *reader, size_t row, enum kv_column column, const char *expected);

/* Makes cells and samples of runs and kernels; readers [KV_N_FILES], those without a table were not there. */
kv_status kv_reader_load_cells(struct kv_results *results, struct reader *readers, struct kv_error *error);

/* What parts.csv says of the cells. (parts.c) */
kv_status kv_reader_load_parts(const struct reader *reader);

/* Of two pointers to cells, for qsort: by suite and kernel, size, then arm. (cells.c) */
int kv_cells_compare(const void *left, const void *right);

/* Where the hash of the ids has this one: 1 + the number of its cell, 0 when there is none. */
size_t *kv_reader_bucket(const struct kv_results *results, const char *id);

/* Sorts values and rounds [sample->n], which hold the same, and describes them. */
void kv_sample_describe(struct kv_sample *sample, double *values, struct kv_round_value *rounds, bool with_interval);

#endif
