/* Reading a run's folder: files, rows, cells, samples. */
#include "results/results.h"

#include "base/error.h"
#include "base/random.h"
#include "results/csv.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MISSING SIZE_MAX
/* Nothing that is measured here is larger: a year in nanoseconds is 3e16, the arithmetic of a run 1e20. */
#define MAX_NUMBER 1e30
#define MAX_BYTES  9007199254740992.0 /* 2^53: whole numbers above it are not exact */
/* Fewer steps than this in a quarter make no median of it. */
#define MIN_QUARTER 2

/* The tokens of one cell. */
struct span {
    size_t start, n;
};

struct kv_results_own {
    struct kv_csv_table *tables[KV_N_FILES]; /* NULL: no such file */
    size_t *owners[KV_N_FILES];              /* [rows] of runs and kernels: the cell of each row */
    size_t *buckets;                         /* [n_buckets] of a hash of the ids: 1 + number of the cell, 0 free */
    size_t n_buckets;
    size_t *latest;       /* [rows of runs, then of kernels]: 1 + the row of the same cell before, 0 none */
    size_t *last_row;     /* [n_cells] 1 + its last row that is ok */
    int *last_repetition; /* [n_cells] the largest that is ok */
    double *values;       /* the samples */
    double *token_values;
    struct kv_token_row *tokens;
    struct span *spans; /* [n_cells] */
    struct kv_context_facts facts;
    char *file, *folder;
    char cpu[96], core[64], commit[64], problem[256];
};

struct reader {
    struct kv_results *results;
    const struct kv_csv_table *table;
    enum kv_file_kind kind;
    char *file;
    size_t at[KV_N_COLUMNS]; /* where a column is, or MISSING */
    struct kv_error *error;
};

static const char *const status_names[] = {"ok", "failed", "skipped"};
enum { N_STATUSES = sizeof status_names / sizeof *status_names };

const char *kv_cell_status_name(enum kv_cell_status status)
{
    return status_names[status];
}

static kv_status fail_memory(const char *file, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the results in %s: close other programs", file);
}

/* ---- Fields ------------------------------------------------------------------------------------------------- */

/* Columns that files before 0.2 do not have. */
static bool is_later(enum kv_file_kind kind, enum kv_column column)
{
    switch (column) {
    case KV_COLUMN_CELL:
    case KV_COLUMN_WEIGHTS_SOURCE:
    case KV_COLUMN_CACHE:
    case KV_COLUMN_KV:
    case KV_COLUMN_CHUNK:
    case KV_COLUMN_PREFILL_FLOPS:
    case KV_COLUMN_PREFILL_BYTES:
    case KV_COLUMN_LIMIT_NS:
    case KV_COLUMN_GATE:
    case KV_COLUMN_LOGIT_DIFFERENCE:
        return true;
    case KV_COLUMN_SUITE:
    case KV_COLUMN_WEIGHTS:
        return kind == KV_FILE_KERNELS;
    case KV_COLUMN_FLOPS:
    case KV_COLUMN_BYTES:
        return kind != KV_FILE_RUNS;
    default:
        return false;
    }
}

static kv_status find_columns(struct reader *reader)
{
    const struct kv_file_info *info = kv_file_info(reader->kind);
    for (int i = 0; i < KV_N_COLUMNS; i++)
        reader->at[i] = MISSING;
    for (int i = 0; i < info->n_columns; i++) {
        const enum kv_column column = info->columns[i];
        const char *name = kv_column_info(column)->name;
        const kv_status status = kv_csv_column(reader->table, name, &reader->at[column], reader->error);
        if (status && !is_later(reader->kind, column))
            return status;
        if (status)
            reader->at[column] = MISSING;
    }
    return KV_OK;
}

static const char *text_of(const struct reader *reader, size_t row, enum kv_column column)
{
    return reader->at[column] == MISSING ? "" : kv_csv_text(reader->table, row, reader->at[column]);
}

static kv_status fail_field(const struct reader *reader, size_t row, enum kv_column column, const char *expected)
{
    return kv_fail(reader->error, KV_ERROR_FORMAT, "%s line %zu has \"%.60s\" in column \"%s\", which %s: correct it",
                   reader->file, kv_csv_line(reader->table, row), text_of(reader, row, column),
                   kv_column_info(column)->name, expected);
}

/* NaN when unknown. */
static kv_status number_of(const struct reader *reader, size_t row, enum kv_column column, double *value)
{
    const struct kv_column_info *info = kv_column_info(column);
    *value = NAN;
    if (reader->at[column] == MISSING)
        return KV_OK;
    const kv_status status = kv_csv_number(reader->table, row, reader->at[column], value, reader->error);
    if (status || isnan(*value))
        return status;
    if (*value < 0)
        return fail_field(reader, row, column, "is never negative");
    if (*value == 0 && (info->role == KV_ROLE_TIME || info->role == KV_ROLE_RATE))
        return fail_field(reader, row, column, "is above 0");
    if (*value > MAX_NUMBER)
        return fail_field(reader, row, column, "nothing measured can be");
    if (info->type != KV_TYPE_COUNT)
        return KV_OK;
    if (*value != floor(*value) || *value > (info->role == KV_ROLE_SIZE ? MAX_BYTES : INT_MAX))
        return fail_field(reader, row, column, "is a whole number");
    if (*value == 0 && info->role != KV_ROLE_SIZE && column != KV_COLUMN_CHUNK)
        return fail_field(reader, row, column, "counts from 1");
    return KV_OK;
}

/* ---- Cells --------------------------------------------------------------------------------------------------- */

/* What a row without a column `cell` meant. */
static void complete_earlier(enum kv_file_kind kind, struct kv_row *row)
{
    const char *const cached[] = {"contiguous", "f32"};
    bool keeps = kind == KV_FILE_RUNS && strcmp(row->texts[KV_COLUMN_PATH], "naive") != 0;
    if (kind == KV_FILE_RUNS) {
        row->texts[KV_COLUMN_WEIGHTS_SOURCE] = row->texts[KV_COLUMN_WEIGHTS];
        row->texts[KV_COLUMN_WEIGHTS] = "f32";
    } else {
        keeps = strcmp(row->texts[KV_COLUMN_KERNEL], "attention") == 0;
        row->texts[KV_COLUMN_SUITE] = "kernels";
        row->texts[KV_COLUMN_WEIGHTS] = keeps ? "" : "f32";
    }
    row->texts[KV_COLUMN_CACHE] = keeps ? cached[0] : "";
    row->texts[KV_COLUMN_KV] = keeps ? cached[1] : "";
}

static bool is_kept(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    return column != KV_COLUMN_CELL &&
           (role == KV_ROLE_ORIGIN || role == KV_ROLE_KIND || role == KV_ROLE_AXIS || role == KV_ROLE_POINT);
}

/* The row's key columns, all of their texts but those of numbers that are unknown. */
static kv_status read_keys(const struct reader *reader, size_t index, struct kv_row *row)
{
    *row = (struct kv_row){0};
    for (int i = 0; i < KV_N_COLUMNS; i++) {
        const enum kv_column column = (enum kv_column)i;
        if (!is_kept(column))
            continue;
        row->texts[i] = text_of(reader, index, column);
        double value;
        if (kv_column_info(column)->type == KV_TYPE_TEXT)
            continue;
        const kv_status status = number_of(reader, index, column, &value);
        if (status)
            return status;
        kv_row_set_number(row, column, value);
    }
    if (reader->at[KV_COLUMN_CELL] == MISSING)
        complete_earlier(reader->kind, row);
    return KV_OK;
}

static size_t *bucket_of(const struct kv_results *results, const char *id)
{
    const struct kv_results_own *own = results->own;
    size_t i = kv_hash_bytes(id, strlen(id)) % own->n_buckets;
    while (own->buckets[i] && strcmp(results->cells[own->buckets[i] - 1].id, id) != 0)
        i = (i + 1) % own->n_buckets;
    return &own->buckets[i];
}

static kv_status check_keys(const struct reader *reader, size_t index, const struct kv_cell_results *cell)
{
    for (int i = 0; i < KV_N_COLUMNS; i++)
        if (kv_column_info((enum kv_column)i)->prefix && reader->at[i] != MISSING &&
            !(i == KV_COLUMN_WEIGHTS && reader->at[KV_COLUMN_CELL] == MISSING) &&
            strcmp(text_of(reader, index, (enum kv_column)i), cell->texts[i]) != 0)
            return fail_field(reader, index, (enum kv_column)i, "is another in an earlier row of its cell");
    return KV_OK;
}

static kv_status add_cell(const struct reader *reader, const struct kv_row *row, const char *id, size_t *bucket)
{
    struct kv_results *results = reader->results;
    struct kv_cell_results *cell = &results->cells[results->n_cells];
    cell->id = strdup(id);
    if (!cell->id)
        return fail_memory(reader->file, reader->error);
    *bucket = ++results->n_cells;
    cell->file = reader->kind;
    for (int i = 0; i < KV_N_COLUMNS; i++) {
        cell->texts[i] = row->texts[i] ? row->texts[i] : "";
        cell->numbers[i] = row->known[i] ? row->numbers[i] : NAN;
        cell->figures[i] = (struct kv_sample){.median = NAN, .mad = NAN, .cv = NAN, .interval = {NAN, NAN}};
    }
    for (int i = 0; i < KV_N_TOKEN_FIGURES; i++)
        cell->token_figures[i] = cell->figures[0];
    return KV_OK;
}

/* The cell of a row, a new one at the end when it is the first of its id. */
static kv_status find_cell(const struct reader *reader, size_t index, size_t *number)
{
    const char *id = text_of(reader, index, KV_COLUMN_CELL);
    char made[KV_CELL_ID_SIZE];
    struct kv_row row;
    if (!*id) {
        const kv_status status = read_keys(reader, index, &row);
        if (status)
            return status;
        id = kv_row_cell_id(&row, made);
    }
    size_t *bucket = bucket_of(reader->results, id);
    kv_status status = KV_OK;
    if (*bucket) {
        status = check_keys(reader, index, &reader->results->cells[*bucket - 1]);
    } else {
        if (id != made)
            status = read_keys(reader, index, &row);
        if (!status)
            status = add_cell(reader, &row, id, bucket);
    }
    *number = *bucket - 1;
    return status;
}

static kv_status read_status(const struct reader *reader, size_t row, enum kv_cell_status *status)
{
    const char *text = text_of(reader, row, KV_COLUMN_STATUS);
    for (int i = 0; i < N_STATUSES; i++)
        if (strcmp(text, status_names[i]) == 0) {
            *status = (enum kv_cell_status)i;
            return KV_OK;
        }
    return fail_field(reader, row, KV_COLUMN_STATUS, "is ok, failed or skipped");
}

/* A repetition that is ok is there once: with the same row twice, every interval would promise too much. `before`
 * [rows] links the rows of a cell. */
static kv_status check_repetition(const struct reader *reader, size_t row, size_t cell, size_t *before)
{
    struct kv_results_own *own = reader->results->own;
    double repetition, other;
    kv_status status = number_of(reader, row, KV_COLUMN_REPETITION, &repetition);
    if (status)
        return status;
    if (isnan(repetition))
        return fail_field(reader, row, KV_COLUMN_REPETITION, "a row that is ok has");
    before[row] = own->last_row[cell];
    own->last_row[cell] = row + 1;
    if (repetition > own->last_repetition[cell]) {
        own->last_repetition[cell] = (int)repetition;
        return KV_OK;
    }
    for (size_t i = before[row]; i; i = before[i - 1]) {
        status = number_of(reader, i - 1, KV_COLUMN_REPETITION, &other);
        if (!status && other == repetition)
            status = kv_fail(reader->error, KV_ERROR_FORMAT, "%s line %zu repeats repetition %.0f of %s: delete one",
                             reader->file, kv_csv_line(reader->table, row), repetition,
                             reader->results->cells[cell].id);
        if (status)
            return status;
    }
    return KV_OK;
}

static kv_status group_rows(const struct reader *reader, size_t *owners, size_t *before)
{
    struct kv_results *results = reader->results;
    for (size_t row = 0; row < kv_csv_rows(reader->table); row++) {
        enum kv_cell_status state = KV_CELL_OK;
        kv_status status = read_status(reader, row, &state);
        if (!status)
            status = find_cell(reader, row, &owners[row]);
        if (!status && state == KV_CELL_OK)
            status = check_repetition(reader, row, owners[row], before);
        if (status)
            return status;
        struct kv_cell_results *cell = &results->cells[owners[row]];
        cell->status = state;
        cell->error = text_of(reader, row, KV_COLUMN_ERROR);
        cell->n += state == KV_CELL_OK;
        cell->n_failed += state == KV_CELL_FAILED;
        cell->n_skipped += state == KV_CELL_SKIPPED;
    }
    if (!*results->run_id && kv_csv_rows(reader->table))
        results->run_id = text_of(reader, 0, KV_COLUMN_RUN_ID);
    return KV_OK;
}

/* ---- Samples -------------------------------------------------------------------------------------------------- */

static bool is_figure(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    return role == KV_ROLE_TIME || role == KV_ROLE_RATE || role == KV_ROLE_SIZE;
}

static kv_status describe(struct kv_sample *sample, double *values, bool with_interval, struct kv_error *error)
{
    kv_stats_sort(values, sample->n);
    sample->values = values;
    sample->median = kv_stats_median(values, sample->n);
    sample->mad = kv_stats_median_absolute_deviation(values, sample->n);
    sample->cv = kv_stats_coefficient_of_variation(values, sample->n);
    return with_interval && sample->n > 1 ? kv_stats_bootstrap_median(values, sample->n, &sample->interval, error)
                                          : KV_OK;
}

/* Room for a value of every figure and repetition: each cell's lie together, figure after figure. */
static double *allocate_samples(struct kv_results *results)
{
    size_t n = 0;
    for (size_t i = 0; i < results->n_cells; i++) {
        struct kv_cell_results *cell = &results->cells[i];
        const struct kv_file_info *file = kv_file_info(cell->file);
        for (int c = 0; c < file->n_columns; c++)
            n += is_figure(file->columns[c]) ? cell->n : 0;
    }
    double *next = results->own->values = malloc((n + 1) * sizeof *next);
    for (size_t i = 0; next && i < results->n_cells; i++) {
        struct kv_cell_results *cell = &results->cells[i];
        const struct kv_file_info *file = kv_file_info(cell->file);
        for (int c = 0; c < file->n_columns; c++)
            if (is_figure(file->columns[c])) {
                cell->figures[file->columns[c]].values = next;
                next += cell->n;
            }
    }
    return results->own->values;
}

/* The place of a value in own->values, which the sample may only read. */
static double *place_of(const struct kv_results *results, const struct kv_sample *sample)
{
    return results->own->values + (sample->values - results->own->values);
}

static kv_status read_samples(const struct reader *reader, const size_t *owners)
{
    const struct kv_file_info *file = kv_file_info(reader->kind);
    for (size_t row = 0; row < kv_csv_rows(reader->table); row++) {
        if (strcmp(text_of(reader, row, KV_COLUMN_STATUS), status_names[KV_CELL_OK]) != 0)
            continue;
        struct kv_cell_results *cell = &reader->results->cells[owners[row]];
        for (int i = 0; i < file->n_columns; i++) {
            struct kv_sample *sample = &cell->figures[file->columns[i]];
            double value;
            if (!is_figure(file->columns[i]))
                continue;
            const kv_status status = number_of(reader, row, file->columns[i], &value);
            if (status)
                return status;
            if (!isnan(value))
                place_of(reader->results, sample)[sample->n++] = value;
        }
    }
    return KV_OK;
}

static kv_status describe_all(struct kv_results *results, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < results->n_cells; i++)
        for (int c = 0; !status && c < KV_N_COLUMNS; c++) {
            struct kv_sample *sample = &results->cells[i].figures[c];
            if (sample->n)
                status = describe(sample, place_of(results, sample),
                                  kv_column_info((enum kv_column)c)->role != KV_ROLE_SIZE, error);
        }
    return status;
}

/* ---- Tokens --------------------------------------------------------------------------------------------------- */

struct token {
    size_t cell, line;
    struct kv_token_row row;
};

static int compare_tokens(const void *left, const void *right)
{
    const struct token *a = left, *b = right;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    if (a->row.repetition != b->row.repetition)
        return a->row.repetition < b->row.repetition ? -1 : 1;
    if (a->row.token != b->row.token)
        return a->row.token < b->row.token ? -1 : 1;
    return a->line < b->line ? -1 : 1;
}

static kv_status read_token(const struct reader *reader, size_t row, struct kv_token_row *token)
{
    static const enum kv_column columns[] = {KV_COLUMN_REPETITION, KV_COLUMN_TOKEN, KV_COLUMN_CONTEXT_TOKENS,
                                             KV_COLUMN_LATENCY_NS, KV_COLUMN_LIMIT_NS};
    double values[5];
    for (int i = 0; i < 5; i++) {
        const kv_status status = number_of(reader, row, columns[i], &values[i]);
        if (status)
            return status;
        if (isnan(values[i]) && columns[i] != KV_COLUMN_LIMIT_NS)
            return fail_field(reader, row, columns[i], "every token has");
    }
    *token = (struct kv_token_row){(int)values[0], (int)values[1], (int)values[2], values[3], values[4]};
    return KV_OK;
}

/* tokens [n_rows] of cells that there are; returns how many in *n. */
static kv_status read_tokens(const struct reader *reader, struct token *tokens, size_t *n)
{
    const char *last_id = NULL;
    size_t cell = 0;
    for (size_t row = 0; row < kv_csv_rows(reader->table); row++) {
        const char *id = text_of(reader, row, KV_COLUMN_CELL);
        if (!last_id || strcmp(id, last_id) != 0)
            cell = *bucket_of(reader->results, id);
        last_id = id;
        tokens[*n] = (struct token){.cell = cell - 1, .line = row};
        const kv_status status = read_token(reader, row, &tokens[*n].row);
        if (status)
            return status;
        *n += cell > 0;
    }
    return KV_OK;
}

/* A repetition that was killed and measured again may be there twice: the later row holds. */
static void keep_tokens(struct kv_results *results, const struct token *tokens, size_t n)
{
    struct kv_results_own *own = results->own;
    size_t n_kept = 0;
    for (size_t i = 0; i < n; i++) {
        const struct token *t = &tokens[i];
        if (i + 1 < n && t[1].cell == t->cell && t[1].row.repetition == t->row.repetition &&
            t[1].row.token == t->row.token)
            continue;
        struct span *span = &own->spans[t->cell];
        if (!span->n)
            span->start = n_kept;
        span->n++;
        own->tokens[n_kept++] = t->row;
    }
}

static double median_latency(const struct kv_token_row *rows, size_t n, double *scratch)
{
    for (size_t i = 0; i < n; i++)
        scratch[i] = rows[i].latency_ns;
    kv_stats_sort(scratch, n);
    return kv_stats_median(scratch, n);
}

/* values [KV_N_TOKEN_FIGURES, repetitions]; the rows of a repetition count when they are all there. */
static kv_status find_growth(struct kv_cell_results *cell, const struct kv_token_row *rows, size_t n_rows,
                             double *values, double *scratch, struct kv_error *error)
{
    const size_t n_new = cell->numbers[KV_COLUMN_NEW_TOKENS] >= 1 ? (size_t)cell->numbers[KV_COLUMN_NEW_TOKENS] : 1;
    const size_t quarter = (n_new - 1) / 4, most = n_rows / n_new;
    kv_status status = KV_OK;
    size_t n = 0;
    for (size_t i = 0; quarter >= MIN_QUARTER && i + n_new <= n_rows;) {
        if (rows[i].token != 1 || rows[i + n_new - 1].token != (int)n_new ||
            rows[i].repetition != rows[i + n_new - 1].repetition) {
            i++;
            continue;
        }
        /* the first latency is TTFT */
        const double early = median_latency(rows + i + 1, quarter, scratch);
        const double late = median_latency(rows + i + n_new - quarter, quarter, scratch);
        values[KV_TOKEN_GROWTH * most + n] = late / early;
        values[KV_TOKEN_SLOPE_US * most + n] = (late - early) * 1e-3 / (double)(n_new - 1 - quarter);
        values[KV_TOKEN_EARLY_NS * most + n] = early;
        values[KV_TOKEN_LATE_NS * most + n++] = late;
        i += n_new;
    }
    for (size_t f = 0; !status && n && f < KV_N_TOKEN_FIGURES; f++) {
        cell->token_figures[f].n = n;
        status = describe(&cell->token_figures[f], values + f * most, true, error);
    }
    return status;
}

static kv_status load_tokens(const struct reader *reader)
{
    struct kv_results *results = reader->results;
    struct kv_results_own *own = results->own;
    const size_t n_rows = kv_csv_rows(reader->table);
    size_t n = 0;
    if (reader->at[KV_COLUMN_CELL] == MISSING)
        return KV_OK;
    struct token *tokens = malloc((n_rows + 1) * sizeof *tokens);
    double *scratch = malloc((n_rows + 1) * sizeof *scratch);
    own->tokens = malloc((n_rows + 1) * sizeof *own->tokens);
    own->token_values = malloc(KV_N_TOKEN_FIGURES * (n_rows + 1) * sizeof *own->token_values);
    kv_status status = tokens && scratch && own->tokens && own->token_values ? read_tokens(reader, tokens, &n)
                                                                             : fail_memory(reader->file, reader->error);
    if (!status) {
        qsort(tokens, n, sizeof *tokens, compare_tokens);
        keep_tokens(results, tokens, n);
    }
    for (size_t i = 0; !status && i < results->n_cells; i++)
        if (own->spans[i].n)
            status = find_growth(&results->cells[i], own->tokens + own->spans[i].start, own->spans[i].n,
                                 own->token_values + KV_N_TOKEN_FIGURES * own->spans[i].start, scratch, reader->error);
    free(tokens);
    free(scratch);
    return status;
}

/* ---- Limits and context ---------------------------------------------------------------------------------------- */

static kv_status load_limits(const struct reader *reader)
{
    struct kv_results *results = reader->results;
    const size_t n = kv_csv_rows(reader->table);
    results->limits = calloc(n + 1, sizeof *results->limits);
    if (!results->limits)
        return fail_memory(reader->file, reader->error);
    for (size_t row = 0; row < n; row++) {
        struct kv_limits_row *limits = &results->limits[row];
        double threads;
        kv_status status = number_of(reader, row, KV_COLUMN_THREADS, &threads);
        if (!status)
            status = number_of(reader, row, KV_COLUMN_READ_BYTES_PER_S, &limits->read_bytes_per_s);
        if (!status)
            status = number_of(reader, row, KV_COLUMN_READ_BYTES_PER_S_MEDIAN, &limits->read_bytes_per_s_median);
        if (!status)
            status = number_of(reader, row, KV_COLUMN_FMA_FLOP_PER_S, &limits->fma_flop_per_s);
        if (!status)
            status = number_of(reader, row, KV_COLUMN_FMA_FLOP_PER_S_MEDIAN, &limits->fma_flop_per_s_median);
        if (status)
            return status;
        limits->moment = text_of(reader, row, KV_COLUMN_MOMENT);
        limits->isa = text_of(reader, row, KV_COLUMN_ISA);
        limits->threads = isnan(threads) ? -1 : (int)threads;
    }
    results->n_limits = n;
    return KV_OK;
}

/* What files hold must not reach a terminal as an escape sequence. */
static void copy_text(char *text, size_t size, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    snprintf(text, size, "%s", value ? value : "");
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
}

/* A run without context.json is read all the same, and one that cannot be read is no error: `problem` says so. */
static kv_status load_context(struct kv_results *results, struct kv_error *error)
{
    struct kv_results_own *own = results->own;
    json_error_t problem;
    char *file;
    own->facts = (struct kv_context_facts){own->cpu, own->core, own->commit, -1, own->problem};
    results->context = &own->facts;
    if (asprintf(&file, "%s/context.json", results->folder) < 0)
        return fail_memory(results->folder, error);
    if (access(file, F_OK) == 0) {
        json_t *context = json_load_file(file, 0, &problem);
        const json_t *threads = json_object_get(json_object_get(context, "run"), "threads");
        if (!json_is_object(context))
            snprintf(own->problem, sizeof own->problem, "%s", context ? "it is no JSON object" : problem.text);
        copy_text(own->cpu, sizeof own->cpu, json_object_get(json_object_get(context, "machine"), "cpu"), "name");
        copy_text(own->core, sizeof own->core, json_object_get(context, "libraries"), "openblas_core");
        copy_text(own->commit, sizeof own->commit, json_object_get(context, "build"), "commit");
        if (json_is_integer(threads))
            own->facts.threads = (int)json_integer_value(threads);
        json_decref(context);
    }
    free(file);
    return KV_OK;
}

/* ---- The folder -------------------------------------------------------------------------------------------------- */

/* Reads one file when it is there. `load`: what becomes of it; NULL: later, with the others */
static kv_status open_reader(struct kv_results *results, enum kv_file_kind kind, const char *file,
                             struct reader *reader, struct kv_error *error)
{
    *reader = (struct reader){.results = results, .kind = kind, .error = error};
    if (access(file, F_OK) != 0)
        return KV_OK;
    reader->file = strdup(file);
    const kv_status status = reader->file ? kv_csv_read(&results->own->tables[kind], file, error)
                                          : fail_memory(file, error);
    reader->table = results->own->tables[kind];
    return status ? status : find_columns(reader);
}

static kv_status load_cells(struct kv_results *results, struct reader *readers, struct kv_error *error)
{
    struct kv_results_own *own = results->own;
    static const enum kv_file_kind kinds[] = {KV_FILE_RUNS, KV_FILE_KERNELS};
    size_t n_rows = 0;
    for (int i = 0; i < 2; i++)
        n_rows += readers[kinds[i]].table ? kv_csv_rows(readers[kinds[i]].table) : 0;
    own->n_buckets = 2 * n_rows + 1;
    own->buckets = calloc(own->n_buckets, sizeof *own->buckets);
    own->latest = calloc(n_rows + 1, sizeof *own->latest);
    own->last_row = calloc(n_rows + 1, sizeof *own->last_row);
    own->last_repetition = calloc(n_rows + 1, sizeof *own->last_repetition);
    own->spans = calloc(n_rows + 1, sizeof *own->spans);
    results->cells = calloc(n_rows + 1, sizeof *results->cells);
    if (!own->buckets || !own->latest || !own->last_row || !own->last_repetition || !own->spans || !results->cells)
        return fail_memory(results->folder, error);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < 2; i++) {
        const struct reader *reader = &readers[kinds[i]];
        if (!reader->table)
            continue;
        size_t *owners = own->owners[kinds[i]] = calloc(kv_csv_rows(reader->table) + 1, sizeof *owners);
        status = owners ? group_rows(reader, owners, own->latest) : fail_memory(reader->file, error);
        memset(own->latest, 0, (n_rows + 1) * sizeof *own->latest);
    }
    if (!status && !allocate_samples(results))
        status = fail_memory(results->folder, error);
    for (int i = 0; !status && i < 2; i++)
        if (readers[kinds[i]].table)
            status = read_samples(&readers[kinds[i]], own->owners[kinds[i]]);
    return status ? status : describe_all(results, error);
}

/* files [KV_N_FILES], NULL: not to be read */
static kv_status load_files(struct kv_results *results, char *const *files, struct kv_error *error)
{
    struct reader readers[KV_N_FILES] = {0};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_N_FILES; i++)
        if (files[i])
            status = open_reader(results, (enum kv_file_kind)i, files[i], &readers[i], error);
    if (!status)
        status = load_cells(results, readers, error);
    if (!status && readers[KV_FILE_TOKENS].table)
        status = load_tokens(&readers[KV_FILE_TOKENS]);
    if (!status && readers[KV_FILE_LIMITS].table)
        status = load_limits(&readers[KV_FILE_LIMITS]);
    for (int i = 0; i < KV_N_FILES; i++)
        free(readers[i].file);
    return status ? status : load_context(results, error);
}

/* The folder of a place, and the names of its files. A file that is called like none of a run's stands for its
 * runs.csv, and says nothing of the others in its folder. */
static kv_status find_files(struct kv_results *results, const char *place, char **files, struct kv_error *error)
{
    struct stat info;
    if (stat(place, &info) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s: %s; name the folder of a run, or its runs.csv", place, strerror(errno));
    const char *slash = strrchr(place, '/');
    size_t length = S_ISDIR(info.st_mode) ? strlen(place) : slash ? (size_t)(slash - place) : 0;
    while (length > 1 && place[length - 1] == '/')
        length--;
    results->own->folder = length ? strndup(place, length) : strdup(slash ? "/" : ".");
    results->folder = results->own->folder;
    if (!results->folder)
        return fail_memory(place, error);
    bool is_ours = S_ISDIR(info.st_mode);
    for (int i = 0; i < KV_N_FILES; i++)
        is_ours = is_ours || strcmp(slash ? slash + 1 : place, kv_file_info((enum kv_file_kind)i)->name) == 0;
    for (int i = 0; i < KV_N_FILES; i++) {
        if (!is_ours && i != KV_FILE_RUNS)
            continue;
        const char *name = kv_file_info((enum kv_file_kind)i)->name;
        if ((is_ours ? asprintf(&files[i], length ? "%s/%s" : "%.0s%s", results->folder, name)
                     : asprintf(&files[i], "%s", place)) < 0) {
            files[i] = NULL;
            return fail_memory(place, error);
        }
    }
    const enum kv_file_kind first = access(files[KV_FILE_RUNS], F_OK) == 0 ? KV_FILE_RUNS : KV_FILE_KERNELS;
    if (is_ours && access(files[first], F_OK) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s holds no runs.csv and no kernels.csv (%s); name the folder of a run",
                       place, strerror(errno));
    results->own->file = strdup(files[first]);
    results->file = results->own->file;
    return results->file ? KV_OK : fail_memory(place, error);
}

kv_status kv_results_load(struct kv_results **results, const char *place, struct kv_error *error)
{
    char *files[KV_N_FILES] = {NULL};
    *results = NULL;
    struct kv_results *created = calloc(1, sizeof *created);
    if (created)
        created->own = calloc(1, sizeof *created->own);
    if (!created || !created->own) {
        free(created);
        return fail_memory(place, error);
    }
    created->run_id = "";
    kv_status status = find_files(created, place, files, error);
    if (!status)
        status = load_files(created, files, error);
    for (int i = 0; i < KV_N_FILES; i++)
        free(files[i]);
    if (status)
        kv_results_free(created);
    else
        *results = created;
    return status;
}

void kv_results_free(struct kv_results *results)
{
    if (!results)
        return;
    struct kv_results_own *own = results->own;
    for (size_t i = 0; i < results->n_cells; i++)
        free((char *)(uintptr_t)results->cells[i].id);
    for (int i = 0; i < KV_N_FILES; i++) {
        kv_csv_free(own->tables[i]);
        free(own->owners[i]);
    }
    free(own->buckets);
    free(own->latest);
    free(own->last_row);
    free(own->last_repetition);
    free(own->values);
    free(own->token_values);
    free(own->tokens);
    free(own->spans);
    free(own->file);
    free(own->folder);
    free(own);
    free(results->cells);
    free(results->limits);
    free(results);
}

const struct kv_token_row *kv_results_tokens(const struct kv_results *results, const struct kv_cell_results *cell,
                                             size_t *n)
{
    const struct span *span = &results->own->spans[cell - results->cells];
    *n = span->n;
    return span->n ? results->own->tokens + span->start : NULL;
}
