/* The files of a run: written row by row, and read back when the run is resumed. */
#include "measure/fixture.h"

#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const enum kv_file_kind row_files[] = {KV_FILE_RUNS, KV_FILE_KERNELS};

kv_status kv_rows_open(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_N_FILES; i++)
        if (i != KV_FILE_KERNELS || kv_plan_has(run->plan, KV_FILE_KERNELS))
            status = kv_result_file_append(&run->files[i], run->settings->folder, (enum kv_file_kind)i, error);
    return status;
}

void kv_rows_close(struct kv_run *run)
{
    for (int i = 0; i < KV_N_FILES; i++) {
        kv_csv_close(run->files[i]);
        run->files[i] = NULL;
    }
}

kv_status kv_rows_write(struct kv_cell_run *cell, bool measured, struct kv_error *error)
{
    const enum kv_file_kind file = kv_kind_info(cell->cell->kind)->file;
    kv_status status = KV_OK;
    if (measured && cell->fixture->write_details)
        status = cell->fixture->write_details(cell, error);
    return status ? status : kv_row_write(cell->run->files[file], file, &cell->newest, error);
}

kv_status kv_rows_write_limits(struct kv_run *run, const char *moment, const struct kv_limits *limits,
                               struct kv_error *error)
{
    struct kv_row row = {0};
    kv_row_set_text(&row, KV_COLUMN_RUN_ID, run->settings->run_id);
    kv_row_set_text(&row, KV_COLUMN_MOMENT, moment);
    kv_row_set_number(&row, KV_COLUMN_THREADS, limits->threads);
    kv_row_set_text(&row, KV_COLUMN_ISA, limits->isa);
    kv_row_set_number(&row, KV_COLUMN_READ_BYTES_PER_S, limits->read_bytes_per_s);
    kv_row_set_number(&row, KV_COLUMN_READ_BYTES_PER_S_MEDIAN, limits->read_bytes_per_s_median);
    kv_row_set_number(&row, KV_COLUMN_FMA_FLOP_PER_S, limits->fma_flop_per_s);
    kv_row_set_number(&row, KV_COLUMN_FMA_FLOP_PER_S_MEDIAN, limits->fma_flop_per_s_median);
    return kv_row_write(run->files[KV_FILE_LIMITS], KV_FILE_LIMITS, &row, error);
}

/* ---- Resuming --------------------------------------------------------------------------------------- */

/* One of the run's files, read. */
struct table {
    char file[4200];
    struct kv_csv_table *rows;
    size_t n;
    size_t cell, repetition, status, error, time;
};

/* `time` is the column of a repetition's time. */
static kv_status read_table(const struct kv_run *run, enum kv_file_kind kind, enum kv_column time, struct table *t,
                            struct kv_error *error)
{
    *t = (struct table){.n = 0};
    snprintf(t->file, sizeof t->file, "%s/%s", run->settings->folder, kv_file_info(kind)->name);
    const struct {
        enum kv_column column;
        size_t *index;
    } wanted[] = {
        {KV_COLUMN_CELL, &t->cell},     {KV_COLUMN_REPETITION, &t->repetition}, {time, &t->time},
        {KV_COLUMN_STATUS, &t->status}, {KV_COLUMN_ERROR, &t->error},
    };
    const size_t n_wanted = kind == KV_FILE_TOKENS ? 3 : sizeof wanted / sizeof *wanted;
    kv_status status = kv_csv_read(&t->rows, t->file, error);
    for (size_t i = 0; !status && i < n_wanted; i++)
        status = kv_csv_column(t->rows, kv_column_info(wanted[i].column)->name, wanted[i].index, error);
    if (!status)
        t->n = kv_csv_rows(t->rows);
    return status;
}

/* The cell of a row and its repetition, 0: none was run. */
static kv_status find_cell(struct kv_run *run, const struct table *t, size_t row, struct kv_cell_run **cell,
                           int *repetition, struct kv_error *error)
{
    const int index = kv_plan_find(run->plan, kv_csv_text(t->rows, row, t->cell));
    double number;
    if (index < 0)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: row %zu is of no configuration of this run", t->file, row + 1);
    const kv_status status = kv_csv_number(t->rows, row, t->repetition, &number, error);
    *cell = &run->cells[index];
    *repetition = !status && number >= 1 && number <= INT32_MAX ? (int)number : 0;
    return status;
}

static kv_status take_row(struct kv_run *run, const struct table *t, size_t row, struct kv_error *error)
{
    struct kv_cell_run *cell = NULL;
    int repetition = 0;
    double time;
    kv_status status = find_cell(run, t, row, &cell, &repetition, error);
    if (!status)
        status = kv_csv_number(t->rows, row, t->time, &time, error);
    if (status)
        return status;
    struct kv_cell_result *result = &cell->result;
    const bool is_run = cell->cell->kind == KV_KIND_GENERATION;
    const char *state = kv_csv_text(t->rows, row, t->status);
    if (result->given_up || (repetition && repetition != result->n_done + 1))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: row %zu is not the next one of its configuration: '%.60s' %d",
                       t->file, row + 1, cell->cell->id, repetition);
    if (strcmp(state, "ok") == 0) {
        result->n_done++;
        result->call_seconds += is_run ? time * 1e-3 : time;
        result->seconds += is_run ? time * 1e-3 : fmax(time, run->settings->kernel_min_time_s);
        run->n_finished++;
        return KV_OK;
    }
    result->given_up = true;
    result->failed = strcmp(state, "failed") == 0;
    *(is_run ? &run->n_failed : &run->n_kernels_failed) += result->failed;
    run->n_finished += cell->cell->repetitions - result->n_done;
    snprintf(result->error, sizeof result->error, "%s", kv_csv_text(t->rows, row, t->error));
    return KV_OK;
}

/* Copies the lines of `from` whose row is kept, and the header. A row is a line in our files. */
static kv_status copy_lines(const char *from, struct kv_file *to, const bool *keep, size_t n, struct kv_error *error)
{
    FILE *stream = fopen(from, "re");
    char *line = NULL;
    size_t capacity = 0;
    if (!stream)
        return kv_fail(error, KV_ERROR_IO, "%s cannot be read: %s", from, strerror(errno));
    for (size_t i = 0; i <= n; i++) {
        const ssize_t length = getline(&line, &capacity, stream);
        if (length > 0 && (i == 0 || keep[i - 1]))
            kv_file_write(to, line, (size_t)length);
    }
    const bool bad = ferror(stream);
    fclose(stream);
    free(line);
    return bad ? kv_fail(error, KV_ERROR_IO, "%s cannot be read", from) : KV_OK;
}

/* Replaces tokens.csv, whole or not at all, by its header and those of its rows for which keep [n] is true. */
static kv_status keep_tokens(struct kv_run *run, const struct table *t, const bool *keep, struct kv_error *error)
{
    struct kv_file output = {0};
    kv_status status = kv_file_open(&output, t->file, error);
    if (!status)
        status = copy_lines(t->file, &output, keep, t->n, error);
    if (!status)
        status = kv_file_finish(&output, error);
    if (!status)
        status = kv_file_publish(&output, error);
    kv_file_close(&output);
    if (status)
        return status;
    kv_csv_close(run->files[KV_FILE_TOKENS]);
    run->files[KV_FILE_TOKENS] = NULL;
    return kv_result_file_append(&run->files[KV_FILE_TOKENS], run->settings->folder, KV_FILE_TOKENS, error);
}

/* Tokens count when their repetition has a row in runs.csv. */
static kv_status drop_unfinished_tokens(struct kv_run *run, struct kv_error *error)
{
    struct table t;
    kv_status status = read_table(run, KV_FILE_TOKENS, KV_COLUMN_LATENCY_NS, &t, error);
    bool *keep = calloc(t.n + 1, sizeof *keep);
    if (!status && !keep)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to resume %s", run->settings->folder);
    size_t n_dropped = 0;
    for (size_t row = 0; !status && row < t.n; row++) {
        struct kv_cell_run *cell = NULL;
        int repetition = 0;
        status = find_cell(run, &t, row, &cell, &repetition, error);
        keep[row] = !status && repetition <= cell->result.n_done;
        n_dropped += !keep[row];
    }
    if (!status && n_dropped)
        status = keep_tokens(run, &t, keep, error);
    free(keep);
    kv_csv_free(t.rows);
    return status;
}

kv_status kv_resume(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < sizeof row_files / sizeof *row_files; i++) {
        struct table t;
        if (!run->files[row_files[i]])
            continue;
        status = read_table(run, row_files[i], row_files[i] == KV_FILE_RUNS ? KV_COLUMN_E2E_MS : KV_COLUMN_SECONDS, &t,
                            error);
        for (size_t row = 0; !status && row < t.n; row++)
            status = take_row(run, &t, row, error);
        kv_csv_free(t.rows);
    }
    return status ? status : drop_unfinished_tokens(run, error);
}
