/* kernels.csv: written row by row, read back to resume a run and for its results. */
#include "base/error.h"
#include "measure/kernel_suite.h"
#include "results/csv.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum column {
    RUN_ID,
    KERNEL,
    SHAPE,
    GEMM,
    ISA,
    THREADS,
    ROWS,
    N,
    K,
    CONTEXT_TOKENS,
    REPETITION,
    STATUS,
    SECONDS,
    GFLOPS,
    GBYTES_S,
    LIMIT_PCT,
    ERROR,
    N_COLUMNS,
};

static const char *const columns[N_COLUMNS] = {
    "run_id",         "kernel",     "shape",  "gemm",    "isa",    "threads",  "rows",      "n",     "k",
    "context_tokens", "repetition", "status", "seconds", "gflops", "gbytes_s", "limit_pct", "error",
};

static void name_file(char *file, size_t size, const char *folder)
{
    snprintf(file, size, "%s/kernels.csv", folder);
}

/* ---- Reading ------------------------------------------------------------------------------------ */

struct reader {
    struct kv_csv_table *table;
    size_t at[N_COLUMNS];
};

static kv_status open_reader(struct reader *reader, const char *folder, struct kv_error *error)
{
    char file[4200];
    name_file(file, sizeof file, folder);
    kv_status status = kv_csv_read(&reader->table, file, error);
    for (int i = 0; !status && i < N_COLUMNS; i++)
        status = kv_csv_column(reader->table, columns[i], &reader->at[i], error);
    if (status)
        kv_csv_free(reader->table);
    return status;
}

static const char *text_of(const struct reader *reader, size_t row, enum column column)
{
    const char *text = kv_csv_text(reader->table, row, reader->at[column]);
    return *text ? text : NULL;
}

/* The row's texts are the table's. */
static kv_status read_row(const struct reader *reader, size_t index, struct kv_kernel_row *row, int *threads,
                          struct kv_error *error)
{
    double values[N_COLUMNS];
    kv_status status = KV_OK;
    for (int i = THREADS; !status && i <= LIMIT_PCT; i++)
        if (i != STATUS)
            status = kv_csv_number(reader->table, index, reader->at[i], &values[i], error);
    if (status)
        return status;
    int counts[N_COLUMNS];
    for (int i = THREADS; i <= REPETITION; i++)
        counts[i] = values[i] >= 1 && values[i] <= INT32_MAX ? (int)values[i] : 0;
    *threads = counts[THREADS];
    *row = (struct kv_kernel_row){
        .kernel = kv_csv_text(reader->table, index, reader->at[KERNEL]),
        .shape = kv_csv_text(reader->table, index, reader->at[SHAPE]),
        .gemm = text_of(reader, index, GEMM),
        .isa = kv_csv_text(reader->table, index, reader->at[ISA]),
        .rows = counts[ROWS],
        .n = counts[N],
        .k = counts[K],
        .context_tokens = counts[CONTEXT_TOKENS],
        .repetition = counts[REPETITION],
        .skipped = strcmp(kv_csv_text(reader->table, index, reader->at[STATUS]), "skipped") == 0,
        .seconds = values[SECONDS],
        .gflops = values[GFLOPS],
        .gbytes_s = values[GBYTES_S],
        .limit_pct = values[LIMIT_PCT],
        .error = text_of(reader, index, ERROR),
    };
    return KV_OK;
}

static bool same_configuration(const struct kv_kernel_row *a, const struct kv_kernel_row *b)
{
    return strcmp(a->kernel, b->kernel) == 0 && strcmp(a->shape, b->shape) == 0 &&
           strcmp(a->gemm ? a->gemm : "", b->gemm ? b->gemm : "") == 0 && strcmp(a->isa, b->isa) == 0 &&
           a->rows == b->rows && a->n == b->n && a->k == b->k && a->context_tokens == b->context_tokens;
}

/* ---- Results ------------------------------------------------------------------------------------ */

/* All rows, in the order of the file. */
struct samples {
    struct kv_kernel_row *rows; /* [n] */
    int *threads;               /* [n] */
    size_t *result;             /* [n] the result that each belongs to */
    double *values;             /* [n] scratch */
    size_t n;
};

static void free_samples(struct samples *samples)
{
    free(samples->rows);
    free(samples->threads);
    free(samples->result);
    free(samples->values);
}

/* The median of one figure, which lies `offset` bytes into kv_kernel_row; unknown when any value is. */
static double median_of(const struct samples *samples, size_t result, size_t offset)
{
    size_t n = 0;
    for (size_t i = 0; i < samples->n; i++)
        if (samples->result[i] == result && samples->rows[i].repetition)
            memcpy(&samples->values[n++], (const char *)&samples->rows[i] + offset, sizeof(double));
    kv_stats_sort(samples->values, n);
    return kv_stats_median(samples->values, n);
}

/* Finds the result of row `i`, or starts it. */
static struct kv_kernel_result *result_of(struct kv_kernel_results *results, struct samples *samples, size_t i)
{
    size_t r = 0;
    while (r < (size_t)results->n && !(results->results[r].threads == samples->threads[i] &&
                                       same_configuration(&results->results[r].row, &samples->rows[i])))
        r++;
    samples->result[i] = r;
    struct kv_kernel_result *result = &results->results[r];
    if (r == (size_t)results->n) {
        *result = (struct kv_kernel_result){.row = samples->rows[i], .threads = samples->threads[i]};
        result->row.error = NULL;
        results->n++;
    }
    return result;
}

static kv_status collect(struct kv_kernel_results *results, const struct reader *reader, struct samples *samples,
                         struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < samples->n; i++) {
        status = read_row(reader, i, &samples->rows[i], &samples->threads[i], error);
        if (status)
            break;
        struct kv_kernel_result *result = result_of(results, samples, i);
        const struct kv_kernel_row *row = &samples->rows[i];
        if (row->repetition) {
            result->n_samples++;
        } else {
            result->row.error = row->error ? row->error : "no reason given";
            result->row.skipped = row->skipped;
        }
    }
    for (int r = 0; !status && r < results->n; r++) {
        struct kv_kernel_row *row = &results->results[r].row;
        row->repetition = 0;
        row->seconds = median_of(samples, (size_t)r, offsetof(struct kv_kernel_row, seconds));
        row->gflops = median_of(samples, (size_t)r, offsetof(struct kv_kernel_row, gflops));
        row->gbytes_s = median_of(samples, (size_t)r, offsetof(struct kv_kernel_row, gbytes_s));
        row->limit_pct = median_of(samples, (size_t)r, offsetof(struct kv_kernel_row, limit_pct));
        results->n_failed += row->error && !row->skipped;
        results->n_skipped += row->error && row->skipped;
    }
    return status;
}

kv_status kv_kernel_results_load(struct kv_kernel_results **out, const char *folder, struct kv_error *error)
{
    struct reader reader;
    *out = NULL;
    kv_status status = open_reader(&reader, folder, error);
    if (status)
        return status;
    const size_t n = kv_csv_rows(reader.table), room = n ? n : 1;
    struct samples samples = {
        .rows = calloc(room, sizeof *samples.rows),
        .threads = calloc(room, sizeof *samples.threads),
        .result = calloc(room, sizeof *samples.result),
        .values = calloc(room, sizeof *samples.values),
        .n = n,
    };
    struct kv_kernel_results *results = calloc(1, sizeof *results);
    struct kv_kernel_result *list = calloc(room, sizeof *list);
    if (!samples.rows || !samples.threads || !samples.result || !samples.values || !results || !list) {
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the results of %s/kernels.csv; close other programs",
                         folder);
        kv_csv_free(reader.table);
        free(results);
        free(list);
    } else {
        *results = (struct kv_kernel_results){.results = list, .table = reader.table};
        status = collect(results, &reader, &samples, error);
        if (status)
            kv_kernel_results_free(results);
        else
            *out = results;
    }
    free_samples(&samples);
    return status;
}

void kv_kernel_results_free(struct kv_kernel_results *results)
{
    if (!results)
        return;
    kv_csv_free(results->table);
    free(results->results);
    free(results);
}
