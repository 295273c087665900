/* Reading rows: fields, the cells that they belong to, and their samples. */
#include "results/reader.h"

#include "base/error.h"
#include "base/random.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_BYTES 9007199254740992.0 /* 2^53: whole numbers above it are not exact */

static const char *const status_names[] = {"ok", "failed", "skipped", "stalled"};
enum { N_STATUSES = sizeof status_names / sizeof *status_names };

const char *kv_cell_status_name(enum kv_cell_status status)
{
    return status_names[status];
}

kv_status kv_reader_fail_memory(const char *file, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the results in %s: close other programs", file);
}

/* ---- Fields ------------------------------------------------------------------------------------------------- */

/* Columns that files before 0.2 do not have. */
static bool is_later(enum kv_file_kind kind, enum kv_column column)
{
    if (kv_column_info(column)->role == KV_ROLE_STRAIN)
        return true;
    switch (column) {
    case KV_COLUMN_CELL:
    case KV_COLUMN_WEIGHTS_SOURCE:
    case KV_COLUMN_CACHE:
    case KV_COLUMN_KV:
    case KV_COLUMN_CHUNK:
    case KV_COLUMN_SPECULATE:
    case KV_COLUMN_OVERFLOW:
    case KV_COLUMN_STEP_TOKENS:
    case KV_COLUMN_ACCEPTANCE:
    case KV_COLUMN_ACCEPTANCE_BY_PLACE:
    case KV_COLUMN_DRAFT_MS:
    case KV_COLUMN_VERIFY_MS:
    case KV_COLUMN_HELD_SEQUENCES:
    case KV_COLUMN_PREFIX_TOKENS:
    case KV_COLUMN_EDIT_EVERY:
    case KV_COLUMN_PREFILL_FLOPS:
    case KV_COLUMN_PREFILL_BYTES:
    case KV_COLUMN_LIMIT_NS:
    case KV_COLUMN_GATE:
    case KV_COLUMN_LOGIT_DIFFERENCE:
    case KV_COLUMN_ROUND:
    case KV_COLUMN_PLACE:
    case KV_COLUMN_STARTED_S:
    case KV_COLUMN_PROBES:
    case KV_COLUMN_LIMIT_FAULT:
    case KV_COLUMN_ENGINE:
    case KV_COLUMN_ENGINE_VERSION:
    case KV_COLUMN_ENGINE_OPTIONS:
    case KV_COLUMN_ENGINE_THREADS:
    case KV_COLUMN_STARTUP_S:
    case KV_COLUMN_SAME_TOKENS:
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

const char *kv_reader_text(const struct reader *reader, size_t row, enum kv_column column)
{
    return reader->at[column] == MISSING ? "" : kv_csv_text(reader->table, row, reader->at[column]);
}

kv_status kv_reader_fail(const struct reader *reader, size_t row, enum kv_column column, const char *expected)
{
    return kv_csv_refuse(reader->table, row, reader->at[column], expected, reader->error);
}

/* NaN when unknown. */
kv_status kv_reader_number(const struct reader *reader, size_t row, enum kv_column column, double *value)
{
    const struct kv_column_info *info = kv_column_info(column);
    *value = NAN;
    if (reader->at[column] == MISSING)
        return KV_OK;
    const kv_status status = kv_csv_amount(reader->table, row, reader->at[column], value, reader->error);
    if (status || isnan(*value))
        return status;
    if (*value == 0 && (info->role == KV_ROLE_TIME || info->role == KV_ROLE_RATE))
        return kv_reader_fail(reader, row, column, "is above 0");
    if (info->type != KV_TYPE_COUNT)
        return KV_OK;
    if (*value != floor(*value) || *value > (info->role == KV_ROLE_SIZE ? MAX_BYTES : INT_MAX))
        return kv_reader_fail(reader, row, column, "is a whole number");
    if (*value == 0 && info->role != KV_ROLE_SIZE && column != KV_COLUMN_CHUNK)
        return kv_reader_fail(reader, row, column, "counts from 1");
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
        row->texts[i] = kv_reader_text(reader, index, column);
        double value;
        if (kv_column_info(column)->type == KV_TYPE_TEXT)
            continue;
        const kv_status status = kv_reader_number(reader, index, column, &value);
        if (status)
            return status;
        kv_row_set_number(row, column, value);
    }
    if (reader->at[KV_COLUMN_CELL] == MISSING)
        complete_earlier(reader->kind, row);
    return KV_OK;
}

size_t *kv_reader_bucket(const struct kv_results *results, const char *id)
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
            strcmp(kv_reader_text(reader, index, (enum kv_column)i), cell->texts[i]) != 0)
            return kv_reader_fail(reader, index, (enum kv_column)i, "is another in an earlier row of its cell");
    return KV_OK;
}

static kv_status add_cell(const struct reader *reader, const struct kv_row *row, const char *id, size_t *bucket)
{
    struct kv_results *results = reader->results;
    struct kv_cell_results *cell = &results->cells[results->n_cells];
    cell->id = strdup(id);
    if (!cell->id)
        return kv_reader_fail_memory(reader->file, reader->error);
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
    const char *id = kv_reader_text(reader, index, KV_COLUMN_CELL);
    char made[KV_CELL_ID_SIZE];
    struct kv_row row;
    if (!*id) {
        const kv_status status = read_keys(reader, index, &row);
        if (status)
            return status;
        id = kv_row_cell_id(&row, made);
    }
    size_t *bucket = kv_reader_bucket(reader->results, id);
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
    const char *text = kv_reader_text(reader, row, KV_COLUMN_STATUS);
    for (int i = 0; i < N_STATUSES; i++)
        if (strcmp(text, status_names[i]) == 0) {
            *status = (enum kv_cell_status)i;
            return KV_OK;
        }
    return kv_reader_fail(reader, row, KV_COLUMN_STATUS, "is ok, failed, skipped or stalled");
}

/* A repetition that is ok is there once: with the same row twice, every interval would promise too much. `before`
 * [rows] links the rows of a cell. */
static kv_status check_repetition(const struct reader *reader, size_t row, size_t cell, size_t *before)
{
    struct kv_results_own *own = reader->results->own;
    double repetition, other;
    kv_status status = kv_reader_number(reader, row, KV_COLUMN_REPETITION, &repetition);
    if (status)
        return status;
    if (isnan(repetition))
        return kv_reader_fail(reader, row, KV_COLUMN_REPETITION, "a row that is ok has");
    before[row] = own->last_row[cell];
    own->last_row[cell] = row + 1;
    if (repetition > own->last_repetition[cell]) {
        own->last_repetition[cell] = (int)repetition;
        return KV_OK;
    }
    for (size_t i = before[row]; i; i = before[i - 1]) {
        status = kv_reader_number(reader, i - 1, KV_COLUMN_REPETITION, &other);
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
    struct kv_results_own *own = results->own;
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
        own->is_shuffled = own->is_shuffled || *kv_reader_text(reader, row, KV_COLUMN_PLACE);
        const bool is_first = cell->n + cell->n_failed + cell->n_skipped + cell->n_stalled == 0;
        if (state != KV_CELL_STALLED || is_first) {
            cell->status = state;
            cell->error = kv_reader_text(reader, row, KV_COLUMN_ERROR);
        }
        cell->n += state == KV_CELL_OK;
        cell->n_stalled += state == KV_CELL_STALLED;
        cell->n_failed += state == KV_CELL_FAILED;
        cell->n_skipped += state == KV_CELL_SKIPPED;
    }
    if (!*results->run_id && kv_csv_rows(reader->table))
        results->run_id = kv_reader_text(reader, 0, KV_COLUMN_RUN_ID);
    return KV_OK;
}

/* ---- The order of cells -------------------------------------------------------------------------------------- */

/* Rows of random rounds say nothing of the order in which people read of them. */
static kv_status order_cells(struct kv_results *results, const struct reader *readers, struct kv_error *error)
{
    struct kv_results_own *own = results->own;
    const size_t n = results->n_cells;
    struct kv_cell_results **order = malloc((n + 1) * sizeof *order), *ordered = calloc(n + 1, sizeof *ordered);
    size_t *places = malloc((n + 1) * sizeof *places);
    const bool has_memory = order && ordered && places;
    for (size_t i = 0; has_memory && i < n; i++)
        order[i] = &results->cells[i];
    if (has_memory)
        qsort(order, n, sizeof *order, kv_cells_compare);
    for (size_t i = 0; has_memory && i < n; i++) {
        places[order[i] - results->cells] = i;
        ordered[i] = *order[i];
    }
    for (size_t i = 0; has_memory && i < own->n_buckets; i++)
        own->buckets[i] = own->buckets[i] ? 1 + places[own->buckets[i] - 1] : 0;
    for (int kind = 0; has_memory && kind < KV_N_FILES; kind++)
        for (size_t row = 0; own->owners[kind] && row < kv_csv_rows(readers[kind].table); row++)
            own->owners[kind][row] = places[own->owners[kind][row]];
    free(order);
    free(places);
    if (!has_memory) {
        free(ordered);
        return kv_reader_fail_memory(results->folder, error);
    }
    free(results->cells);
    results->cells = ordered;
    return KV_OK;
}

/* ---- Samples -------------------------------------------------------------------------------------------------- */

static bool is_figure(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    return role == KV_ROLE_TIME || role == KV_ROLE_RATE || role == KV_ROLE_SIZE || role == KV_ROLE_STRAIN;
}

static int compare_rounds(const void *left, const void *right)
{
    const struct kv_round_value *a = left, *b = right;
    return (a->round > b->round) - (a->round < b->round);
}

void kv_sample_describe(struct kv_sample *sample, double *values, struct kv_round_value *rounds, bool with_interval)
{
    const size_t n = sample->n;
    double in_order[KV_EFFECT_MAX_ROUNDS];
    qsort(rounds, n, sizeof *rounds, compare_rounds);
    for (size_t i = 0; i < n && i < KV_EFFECT_MAX_ROUNDS; i++)
        in_order[i] = rounds[i].value;
    kv_stats_sort(values, n);
    sample->values = values;
    sample->rounds = rounds;
    sample->median = kv_stats_median(values, n);
    sample->mad = kv_stats_median_absolute_deviation(values, n);
    sample->cv = kv_stats_coefficient_of_variation(values, n);
    if (with_interval)
        sample->interval = kv_stats_median_interval(
            values, n, kv_stats_dependence(in_order, n < KV_EFFECT_MAX_ROUNDS ? n : KV_EFFECT_MAX_ROUNDS));
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
    results->own->rounds = malloc((n + 1) * sizeof *results->own->rounds);
    for (size_t i = 0; next && i < results->n_cells; i++) {
        struct kv_cell_results *cell = &results->cells[i];
        const struct kv_file_info *file = kv_file_info(cell->file);
        for (int c = 0; c < file->n_columns; c++)
            if (is_figure(file->columns[c])) {
                cell->figures[file->columns[c]].values = next;
                next += cell->n;
            }
    }
    return results->own->rounds ? results->own->values : NULL;
}

/* Where a sample begins in own->values and own->rounds. */
static size_t place_of(const struct kv_results *results, const struct kv_sample *sample)
{
    return (size_t)(sample->values - results->own->values);
}

static kv_status add_probed(const struct reader *reader, size_t row, size_t cell)
{
    struct kv_results *results = reader->results;
    struct kv_probed *probed = &results->probed[results->n_probed];
    *probed = (struct kv_probed){.cell = cell};
    kv_status status = kv_reader_number(reader, row, KV_COLUMN_PROBE_READ_BYTES_PER_S, &probed->read_bytes_per_s);
    if (!status)
        status = kv_reader_number(reader, row, KV_COLUMN_PROBE_FMA_FLOP_PER_S, &probed->fma_flop_per_s);
    if (!status)
        status = kv_reader_number(reader, row, KV_COLUMN_STOLEN_PCT, &probed->stolen_pct);
    results->n_probed += probed->read_bytes_per_s > 0 && probed->fma_flop_per_s > 0;
    return status;
}

/* The round of a row; a row that is ok has a repetition. */
static kv_status read_round(const struct reader *reader, size_t row, int *round)
{
    double number;
    kv_status status = kv_reader_number(reader, row, KV_COLUMN_ROUND, &number);
    if (!status && isnan(number))
        status = kv_reader_number(reader, row, KV_COLUMN_REPETITION, &number);
    *round = status ? 0 : (int)number;
    return status;
}

static kv_status read_row(const struct reader *reader, size_t row, struct kv_cell_results *cell)
{
    const struct kv_file_info *file = kv_file_info(reader->kind);
    struct kv_results *results = reader->results;
    double share, started;
    int round;
    kv_status status = read_round(reader, row, &round);
    if (!status)
        status = kv_reader_number(reader, row, KV_COLUMN_LIMIT_PCT, &share);
    if (!status)
        status = kv_reader_number(reader, row, KV_COLUMN_STARTED_S, &started);
    if (status)
        return status;
    results->started_s = fmin(results->started_s, started);
    results->ended_s = fmax(results->ended_s, started);
    const bool fault = share > 100 || *kv_reader_text(reader, row, KV_COLUMN_LIMIT_FAULT);
    cell->n_faults += fault;
    for (int i = 0; i < file->n_columns; i++) {
        struct kv_sample *sample = &cell->figures[file->columns[i]];
        double value;
        if (!is_figure(file->columns[i]) || (fault && file->columns[i] == KV_COLUMN_LIMIT_PCT))
            continue;
        status = kv_reader_number(reader, row, file->columns[i], &value);
        if (status)
            return status;
        if (isnan(value))
            continue;
        results->own->values[place_of(results, sample) + sample->n] = value;
        results->own->rounds[place_of(results, sample) + sample->n++] = (struct kv_round_value){round, value};
    }
    return KV_OK;
}

static kv_status read_samples(const struct reader *reader, const size_t *owners)
{
    kv_status status = KV_OK;
    for (size_t row = 0; !status && row < kv_csv_rows(reader->table); row++) {
        if (strcmp(kv_reader_text(reader, row, KV_COLUMN_STATUS), status_names[KV_CELL_OK]) != 0)
            continue;
        status = read_row(reader, row, &reader->results->cells[owners[row]]);
        if (!status)
            status = add_probed(reader, row, owners[row]);
    }
    return status;
}

static void describe_all(struct kv_results *results)
{
    for (size_t i = 0; i < results->n_cells; i++)
        for (int c = 0; c < KV_N_COLUMNS; c++) {
            struct kv_sample *sample = &results->cells[i].figures[c];
            const enum kv_column_role role = kv_column_info((enum kv_column)c)->role;
            const size_t at = sample->n ? place_of(results, sample) : 0;
            if (sample->n)
                kv_sample_describe(sample, results->own->values + at, results->own->rounds + at,
                                   role == KV_ROLE_TIME || role == KV_ROLE_RATE);
        }
}

/* Reads one file when it is there. `load`: what becomes of it; NULL: later, with the others */
kv_status kv_reader_open(struct kv_results *results, enum kv_file_kind kind, const char *file, struct reader *reader,
                         struct kv_error *error)
{
    *reader = (struct reader){.results = results, .kind = kind, .error = error};
    if (access(file, F_OK) != 0)
        return KV_OK;
    reader->file = strdup(file);
    const kv_status status = reader->file ? kv_csv_read(&results->own->tables[kind], file, error)
                                          : kv_reader_fail_memory(file, error);
    reader->table = results->own->tables[kind];
    return status ? status : find_columns(reader);
}

kv_status kv_reader_load_cells(struct kv_results *results, struct reader *readers, struct kv_error *error)
{
    struct kv_results_own *own = results->own;
    static const enum kv_file_kind kinds[] = {KV_FILE_RUNS, KV_FILE_KERNELS, KV_FILE_QUALITY};
    enum { N_KINDS = sizeof kinds / sizeof *kinds };
    size_t n_rows = 0;
    for (int i = 0; i < N_KINDS; i++)
        n_rows += readers[kinds[i]].table ? kv_csv_rows(readers[kinds[i]].table) : 0;
    own->n_buckets = 2 * n_rows + 1;
    own->buckets = calloc(own->n_buckets, sizeof *own->buckets);
    own->latest = calloc(n_rows + 1, sizeof *own->latest);
    own->last_row = calloc(n_rows + 1, sizeof *own->last_row);
    own->last_repetition = calloc(n_rows + 1, sizeof *own->last_repetition);
    own->spans = calloc(n_rows + 1, sizeof *own->spans);
    results->cells = calloc(n_rows + 1, sizeof *results->cells);
    results->probed = calloc(n_rows + 1, sizeof *results->probed);
    if (!own->buckets || !own->latest || !own->last_row || !own->last_repetition || !own->spans || !results->cells ||
        !results->probed)
        return kv_reader_fail_memory(results->folder, error);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_KINDS; i++) {
        const struct reader *reader = &readers[kinds[i]];
        if (!reader->table)
            continue;
        size_t *owners = own->owners[kinds[i]] = calloc(kv_csv_rows(reader->table) + 1, sizeof *owners);
        status = owners ? group_rows(reader, owners, own->latest) : kv_reader_fail_memory(reader->file, error);
        memset(own->latest, 0, (n_rows + 1) * sizeof *own->latest);
    }
    if (!status && own->is_shuffled)
        status = order_cells(results, readers, error);
    if (!status && !allocate_samples(results))
        status = kv_reader_fail_memory(results->folder, error);
    for (int i = 0; !status && i < N_KINDS; i++)
        if (readers[kinds[i]].table)
            status = read_samples(&readers[kinds[i]], own->owners[kinds[i]]);
    if (!status)
        describe_all(results);
    return status;
}

/* files [KV_N_FILES], NULL: not to be read */
