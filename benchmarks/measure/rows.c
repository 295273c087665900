/* Where a run's files go; they are written row by row, and read back when the run is resumed. */
#include "measure/fixture.h"

#include "base/error.h"
#include "base/file.h"
#include "results/results.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---- The folder ------------------------------------------------------------------------------------- */

static void make_id(char *id, size_t size)
{
    char host[256] = "", date[64];
    const time_t now = time(NULL);
    struct tm local;
    gethostname(host, sizeof host - 1);
    localtime_r(&now, &local);
    strftime(date, sizeof date, "%Y-%m-%dT%H%M%S", &local);
    snprintf(id, size, "%s-%s", date, *host ? host : "unknown");
}

/* results/ID, with a number behind the id when a run of the same second has that name. */
static kv_status make_in_results(struct kv_run_folder *folder, struct kv_error *error)
{
    const size_t plain = strlen(folder->id);
    kv_status status = kv_folder_make(folder->results, error);
    for (int i = 2; !status; i++) {
        const int length = snprintf(folder->path, sizeof folder->path, "%s/%s", folder->results, folder->id);
        if (length >= (int)sizeof folder->path)
            return kv_fail(error, KV_ERROR_ARGUMENT, "'%.60s' is too long a name for a folder", folder->results);
        if (mkdir(folder->path, 0777) == 0)
            break;
        if (errno != EEXIST || i == 1000)
            return kv_fail(error, KV_ERROR_IO, "folder %s cannot be made: %s", folder->path, strerror(errno));
        snprintf(folder->id + plain, sizeof folder->id - plain, "-%d", i);
    }
    return status;
}

void kv_run_folder_close(struct kv_run_folder *folder)
{
    if (*folder->path && folder->lock >= 0)
        close(folder->lock);
    *folder = (struct kv_run_folder){.lock = -1};
}

kv_status kv_run_folder_make(struct kv_run_folder *folder, const char *out, struct kv_error *error)
{
    const char *results = getenv("KVBENCH_RESULTS");
    char runs[sizeof folder->path + 16];
    kv_status status;
    *folder = (struct kv_run_folder){.in_results = !out, .lock = -1};
    make_id(folder->id, sizeof folder->id);
    snprintf(folder->results, sizeof folder->results, "%s", results && *results ? results : "results");
    if (out && (!*out || snprintf(folder->path, sizeof folder->path, "%s", out) >= (int)sizeof folder->path))
        return kv_fail(error, KV_ERROR_ARGUMENT, "--out: '%.60s' is not a folder's name", out);
    status = out ? kv_folder_make(folder->path, error) : make_in_results(folder, error);
    if (!status)
        status = kv_folder_lock(&folder->lock, folder->path, error);
    if (status)
        return status;
    snprintf(runs, sizeof runs, "%s/runs.csv", folder->path);
    if (access(runs, F_OK) == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s holds a run already: choose another folder with --out",
                       folder->path);
    return KV_OK;
}

/* The run_id in the first row of a file, when it has one. */
static bool read_id(const char *folder, const char *name, char *id, size_t size)
{
    char file[4200];
    struct kv_csv_table *table;
    size_t column;
    snprintf(file, sizeof file, "%s/%s", folder, name);
    if (kv_csv_read(&table, file, NULL) != KV_OK)
        return false;
    const bool found = kv_csv_rows(table) > 0 && kv_csv_column(table, "run_id", &column, NULL) == KV_OK;
    if (found)
        snprintf(id, size, "%s", kv_csv_text(table, 0, column));
    kv_csv_free(table);
    return found;
}

kv_status kv_run_folder_open(struct kv_run_folder *folder, const char *path, struct kv_error *error)
{
    *folder = (struct kv_run_folder){.lock = -1};
    if (snprintf(folder->path, sizeof folder->path, "%s", path) >= (int)sizeof folder->path)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--resume: '%.60s...' is too long a name", path);
    /* A run that was killed before it measured anything has no row yet, and takes a new id. */
    if (!read_id(path, "limits.csv", folder->id, sizeof folder->id) &&
        !read_id(path, "runs.csv", folder->id, sizeof folder->id))
        make_id(folder->id, sizeof folder->id);
    return kv_folder_lock(&folder->lock, folder->path, error);
}

kv_status kv_run_folder_link(const struct kv_run_folder *folder, struct kv_error *error)
{
    char latest[sizeof folder->results + 16], temporary[sizeof latest + 32];
    if (!folder->in_results)
        return KV_OK;
    snprintf(latest, sizeof latest, "%s/latest", folder->results);
    snprintf(temporary, sizeof temporary, "%s.%ld", latest, (long)getpid());
    if (symlink(folder->id, temporary) == 0 && rename(temporary, latest) == 0)
        return KV_OK;
    const int saved = errno;
    unlink(temporary);
    return kv_fail(error, KV_ERROR_IO, "%s cannot be made: %s", latest, strerror(saved));
}

/* ---- Rows ------------------------------------------------------------------------------------------- */

/* Files with a row a repetition, and the column of its time, which what is untimed need not have. */
static const struct {
    enum kv_file_kind file;
    enum kv_column time;
} row_files[] = {
    {KV_FILE_RUNS, KV_COLUMN_E2E_MS}, {KV_FILE_KERNELS, KV_COLUMN_SECONDS}, {KV_FILE_QUALITY, KV_COLUMN_STARTED_S}};

kv_status kv_rows_open(struct kv_run *run, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_N_FILES; i++)
        if ((i != KV_FILE_KERNELS && i != KV_FILE_PARTS && i != KV_FILE_QUALITY) ||
            kv_plan_has(run->plan, (enum kv_file_kind)i))
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
    cell->run->n_written++;
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
    size_t cell, repetition, status, error, time, step, round;
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
        {KV_COLUMN_STATUS, &t->status}, {KV_COLUMN_ERROR, &t->error},           {KV_COLUMN_ROUND, &t->round},
        {KV_COLUMN_TTPT_MS, &t->step},
    };
    const size_t n_wanted = kind == KV_FILE_TOKENS || kind == KV_FILE_PARTS ? 3 : kind == KV_FILE_RUNS ? 7 : 6;
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
        return kv_fail(error, KV_ERROR_FORMAT, "%s: row %zu is of no cell of this run", t->file, row + 1);
    const kv_status status = kv_csv_number(t->rows, row, t->repetition, &number, error);
    *cell = &run->cells[index];
    *repetition = !status && number >= 1 && number <= INT32_MAX ? (int)number : 0;
    return status;
}

/* The row of a repetition that is done. */
static kv_status take_repetition(struct kv_cell_run *cell, const struct table *t, size_t row, struct kv_error *error)
{
    const bool is_run = cell->cell->kind == KV_KIND_GENERATION;
    double time, round;
    kv_status status = kv_csv_number(t->rows, row, t->time, &time, error);
    if (!status && cell->cell->point.same_prompt) {
        status = kv_csv_number(t->rows, row, t->step, &time, error);
        time *= cell->cell->point.n_new - 1;
    }
    if (!status)
        status = kv_csv_number(t->rows, row, t->round, &round, error);
    if (status)
        return status;
    if (!(round > cell->result.last_round && round <= INT32_MAX) || (!(time > 0) && !cell->fixture->untimed))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: row %zu has no time, or a round that is not after %d", t->file,
                       row + 1, cell->result.last_round);
    if (cell->fixture->untimed)
        return kv_cell_keep_time(cell, (int)round, 0, error);
    const double seconds = is_run ? time * 1e-3 : time;
    cell->result.seconds += is_run ? seconds : fmax(seconds, cell->run->settings->kernel_min_time_s);
    return kv_cell_keep_time(cell, (int)round, seconds, error);
}

static kv_status take_row(struct kv_run *run, const struct table *t, size_t row, struct kv_error *error)
{
    struct kv_cell_run *cell = NULL;
    int repetition = 0;
    const kv_status status = find_cell(run, t, row, &cell, &repetition, error);
    if (status)
        return status;
    struct kv_cell_result *result = &cell->result;
    const char *state = kv_csv_text(t->rows, row, t->status);
    if (result->given_up || (repetition && repetition != result->n_done + 1))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: row %zu is not the next one of its cell: '%.60s' %d", t->file,
                       row + 1, cell->cell->id, repetition);
    if (strcmp(state, "ok") == 0)
        return take_repetition(cell, t, row, error);
    if (strcmp(state, "stalled") == 0) {
        result->n_stalled++;
        return KV_OK;
    }
    result->given_up = true;
    result->failed = strcmp(state, "failed") == 0;
    run->n_failed[kv_kind_info(cell->cell->kind)->file] += result->failed;
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

/* Replaces a file, whole or not at all, by its header and those of its rows for which keep [n] is true. */
static kv_status keep_rows(struct kv_run *run, enum kv_file_kind kind, const struct table *t, const bool *keep,
                           struct kv_error *error)
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
    kv_csv_close(run->files[kind]);
    run->files[kind] = NULL;
    return kv_result_file_append(&run->files[kind], run->settings->folder, kind, error);
}

/* Details count when their repetition has a row in runs.csv. */
static kv_status drop_unfinished(struct kv_run *run, enum kv_file_kind kind, enum kv_column time,
                                 struct kv_error *error)
{
    struct table t;
    if (!run->files[kind])
        return KV_OK;
    kv_status status = read_table(run, kind, time, &t, error);
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
        status = keep_rows(run, kind, &t, keep, error);
    free(keep);
    kv_csv_free(t.rows);
    return status;
}

/* What no reader of results takes, as a repetition that is there twice, is refused before it is gone on from. */
static kv_status check_rows(const struct kv_run *run, struct kv_error *error)
{
    struct kv_results *results;
    const kv_status status = kv_results_load(&results, run->settings->folder, error);
    kv_results_free(results);
    return status;
}

kv_status kv_resume(struct kv_run *run, struct kv_error *error)
{
    kv_status status = check_rows(run, error);
    for (size_t i = 0; !status && i < sizeof row_files / sizeof *row_files; i++) {
        struct table t;
        if (!run->files[row_files[i].file])
            continue;
        status = read_table(run, row_files[i].file, row_files[i].time, &t, error);
        for (size_t row = 0; !status && row < t.n; row++)
            status = take_row(run, &t, row, error);
        kv_csv_free(t.rows);
    }
    if (!status)
        status = drop_unfinished(run, KV_FILE_TOKENS, KV_COLUMN_LATENCY_NS, error);
    return status ? status : drop_unfinished(run, KV_FILE_PARTS, KV_COLUMN_PART_NS, error);
}
