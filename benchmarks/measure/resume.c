#include "measure/run.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One of the run's files, read; columns by name. */
struct table {
    struct kv_csv_table *rows;
    size_t n;
    size_t suite, path, batch, prompt, n_new, repetition, status, e2e, error; /* runs.csv */
    size_t token, context;                                                    /* tokens.csv */
};

struct wanted_column {
    const char *name;
    size_t *column;
};

static kv_status read_rows(const char *folder, const char *name, struct table *table,
                           const struct wanted_column *columns, size_t n_columns, struct kv_error *error)
{
    char file[4096];
    snprintf(file, sizeof file, "%s/%s", folder, name);
    kv_status status = kv_csv_read(&table->rows, file, error);
    for (size_t i = 0; !status && i < n_columns; i++)
        status = kv_csv_column(table->rows, columns[i].name, columns[i].column, error);
    if (!status)
        table->n = kv_csv_rows(table->rows);
    return status;
}

static int integer_at(const struct table *table, size_t row, size_t column)
{
    double value;
    if (kv_csv_number(table->rows, row, column, &value, NULL) != KV_OK || isnan(value))
        return -1;
    return (int)value;
}

static int find_cell(const struct kv_run *run, const char *suite, const char *path, int batch, int n_prompt, int n_new)
{
    for (int i = 0; i < run->plan->n_cells; i++) {
        const struct kv_cell *cell = &run->plan->cells[i];
        if (strcmp(cell->suite, suite) == 0 && strcmp(cell->path, path) == 0 && cell->batch == batch &&
            cell->n_prompt == n_prompt && (n_new < 0 || cell->n_new == n_new))
            return i;
    }
    return -1;
}

/* A row of runs.csv counts for its cell; one that belongs to no cell of the plan is another run's. */
static kv_status take_row(struct kv_run *run, const struct table *t, size_t row, struct kv_error *error)
{
    const int cell = find_cell(run, kv_csv_text(t->rows, row, t->suite), kv_csv_text(t->rows, row, t->path),
                               integer_at(t, row, t->batch), integer_at(t, row, t->prompt),
                               integer_at(t, row, t->n_new));
    if (cell < 0)
        return kv_fail(error, KV_ERROR_FORMAT, "%s/runs.csv: row %zu is of no configuration of this run",
                       run->settings->folder, row + 1);
    struct kv_cell_result *result = &run->results[cell];
    double milliseconds;
    if (strcmp(kv_csv_text(t->rows, row, t->status), "ok") == 0) {
        const kv_status status = kv_csv_number(t->rows, row, t->e2e, &milliseconds, error);
        if (status)
            return status;
        result->n_done++;
        result->seconds += milliseconds * 1e-3;
        run->n_finished++;
    } else {
        result->given_up = true;
        result->failed = strcmp(kv_csv_text(t->rows, row, t->status), "failed") == 0;
        run->n_failed += result->failed;
        run->n_finished += run->plan->cells[cell].repetitions;
        snprintf(result->error, sizeof result->error, "%s", kv_csv_text(t->rows, row, t->error));
    }
    return KV_OK;
}

static kv_status take_runs(struct kv_run *run, struct kv_error *error)
{
    struct table t = {0};
    const struct wanted_column columns[] = {
        {"suite", &t.suite},      {"path", &t.path},     {"batch", &t.batch}, {"prompt_tokens", &t.prompt},
        {"new_tokens", &t.n_new}, {"status", &t.status}, {"e2e_ms", &t.e2e},  {"error", &t.error},
    };
    kv_status status = read_rows(run->settings->folder, "runs.csv", &t, columns, sizeof columns / sizeof *columns,
                                 error);
    for (size_t row = 0; !status && row < t.n; row++)
        status = take_row(run, &t, row, error);
    kv_csv_free(t.rows);
    return status;
}

/* Tokens whose repetition has a row in runs.csv; the prompt's length follows from the context. */
static bool is_finished(const struct kv_run *run, const struct table *t, size_t row)
{
    const int n_prompt = integer_at(t, row, t->context) - integer_at(t, row, t->token) + 1;
    const int cell = find_cell(run, kv_csv_text(t->rows, row, t->suite), kv_csv_text(t->rows, row, t->path),
                               integer_at(t, row, t->batch), n_prompt, -1);
    return cell >= 0 && integer_at(t, row, t->repetition) <= run->results[cell].n_done;
}

static kv_status drop_unfinished_tokens(struct kv_run *run, struct kv_error *error)
{
    struct table t = {0};
    const struct wanted_column columns[] = {
        {"suite", &t.suite},           {"path", &t.path},   {"batch", &t.batch},
        {"repetition", &t.repetition}, {"token", &t.token}, {"context_tokens", &t.context},
    };
    kv_status status = read_rows(run->settings->folder, "tokens.csv", &t, columns, sizeof columns / sizeof *columns,
                                 error);
    bool *keep = calloc(t.n ? t.n : 1, sizeof *keep);
    if (!status && !keep)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to resume %s", run->settings->folder);
    size_t n_dropped = 0;
    for (size_t row = 0; !status && row < t.n; row++) {
        keep[row] = is_finished(run, &t, row);
        n_dropped += !keep[row];
    }
    if (!status && n_dropped)
        status = kv_rows_keep_tokens(run, t.rows, keep, error);
    free(keep);
    kv_csv_free(t.rows);
    return status;
}

kv_status kv_resume(struct kv_run *run, struct kv_error *error)
{
    const kv_status status = take_runs(run, error);
    return status ? status : drop_unfinished_tokens(run, error);
}
