/* Reading a run's folder: which files it has, its tokens, its limits and its context. */
#include "results/pack.h"
#include "results/reader.h"

#include "base/error.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Fewer steps than this in a quarter make no median of it. */
#define MIN_QUARTER 2

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
        const kv_status status = kv_reader_number(reader, row, columns[i], &values[i]);
        if (status)
            return status;
        if (isnan(values[i]) && columns[i] != KV_COLUMN_LIMIT_NS)
            return kv_reader_fail(reader, row, columns[i], "every token has");
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
        const char *id = kv_reader_text(reader, row, KV_COLUMN_CELL);
        if (!last_id || strcmp(id, last_id) != 0)
            cell = *kv_reader_bucket(reader->results, id);
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

/* The slopes of repetitions are no times: any sign, and their middle by signed ranks. */
static kv_status describe_slopes(struct kv_sample *slopes, struct kv_error *error)
{
    struct kv_effect_middle middle;
    const kv_status status = kv_effect_middle(slopes->values, slopes->n, KV_JUDGE_LEVEL, &middle, error);
    slopes->median = middle.value;
    if (isfinite(middle.low))
        slopes->interval = (struct kv_stats_interval){middle.low, middle.high};
    return status;
}

/* values, rounds [KV_N_TOKEN_FIGURES, repetitions]; the rows of a repetition count when they are all there. */
static kv_status find_growth(struct kv_cell_results *cell, const struct kv_token_row *rows, size_t n_rows,
                             double *values, struct kv_round_value *rounds, double *scratch, struct kv_error *error)
{
    const size_t n_new = cell->numbers[KV_COLUMN_NEW_TOKENS] >= 1 ? (size_t)cell->numbers[KV_COLUMN_NEW_TOKENS] : 1;
    const size_t quarter = (n_new - 1) / 4, most = n_rows / n_new;
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
        const double figures[] = {early, late, (late - early) * 1e-3 / (double)(n_new - 1 - quarter)};
        for (size_t f = 0; f < KV_N_TOKEN_FIGURES; f++) {
            values[f * most + n] = figures[f];
            rounds[f * most + n] = (struct kv_round_value){rows[i].repetition, figures[f]};
        }
        n++;
        i += n_new;
    }
    for (size_t f = 0; n && f < KV_N_TOKEN_FIGURES; f++) {
        cell->token_figures[f].n = n;
        kv_sample_describe(&cell->token_figures[f], values + f * most, rounds + f * most, false);
    }
    return n ? describe_slopes(&cell->token_figures[KV_TOKEN_SLOPE_US], error) : KV_OK;
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
    own->token_rounds = malloc(KV_N_TOKEN_FIGURES * (n_rows + 1) * sizeof *own->token_rounds);
    kv_status status = tokens && scratch && own->tokens && own->token_values && own->token_rounds
                           ? read_tokens(reader, tokens, &n)
                           : kv_reader_fail_memory(reader->file, reader->error);
    if (!status) {
        qsort(tokens, n, sizeof *tokens, compare_tokens);
        keep_tokens(results, tokens, n);
    }
    for (size_t i = 0; !status && i < results->n_cells; i++)
        if (own->spans[i].n)
            status = find_growth(&results->cells[i], own->tokens + own->spans[i].start, own->spans[i].n,
                                 own->token_values + KV_N_TOKEN_FIGURES * own->spans[i].start,
                                 own->token_rounds + KV_N_TOKEN_FIGURES * own->spans[i].start, scratch, reader->error);
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
        return kv_reader_fail_memory(reader->file, reader->error);
    for (size_t row = 0; row < n; row++) {
        struct kv_limits_row *limits = &results->limits[row];
        double threads;
        kv_status status = kv_reader_number(reader, row, KV_COLUMN_THREADS, &threads);
        if (!status)
            status = kv_reader_number(reader, row, KV_COLUMN_READ_BYTES_PER_S, &limits->read_bytes_per_s);
        if (!status)
            status = kv_reader_number(reader, row, KV_COLUMN_READ_BYTES_PER_S_MEDIAN, &limits->read_bytes_per_s_median);
        if (!status)
            status = kv_reader_number(reader, row, KV_COLUMN_FMA_FLOP_PER_S, &limits->fma_flop_per_s);
        if (!status)
            status = kv_reader_number(reader, row, KV_COLUMN_FMA_FLOP_PER_S_MEDIAN, &limits->fma_flop_per_s_median);
        if (status)
            return status;
        limits->moment = kv_reader_text(reader, row, KV_COLUMN_MOMENT);
        limits->isa = kv_reader_text(reader, row, KV_COLUMN_ISA);
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

static double memory_of(const json_t *memory)
{
    const json_t *total = json_object_get(memory, "total_bytes"), *limit = json_object_get(memory, "limit_bytes");
    const double bytes = json_is_integer(total) ? (double)json_integer_value(total) : NAN;
    return json_is_integer(limit) ? fmin(bytes, (double)json_integer_value(limit)) : bytes;
}

/* A run without context.json is read all the same, and one that cannot be read is no error: `problem` says so. */
static kv_status load_context(struct kv_results *results, struct kv_error *error)
{
    struct kv_results_own *own = results->own;
    json_error_t problem;
    char *file;
    own->facts = (struct kv_context_facts){own->cpu, own->core,    own->commit,  -1,   -1,
                                           NAN,      own->problem, own->program, false};
    results->context = &own->facts;
    if (asprintf(&file, "%s/context.json", results->folder) < 0)
        return kv_reader_fail_memory(results->folder, error);
    if (access(file, F_OK) == 0) {
        errno = 0;
        json_t *context = json_load_file(file, 0, &problem);
        if (!context && errno == ENOMEM) { /* no fault of the file */
            free(file);
            return kv_reader_fail_memory(results->folder, error);
        }
        const json_t *cpu = json_object_get(json_object_get(context, "machine"), "cpu");
        const json_t *threads = json_object_get(json_object_get(context, "run"), "threads");
        if (!json_is_object(context))
            snprintf(own->problem, sizeof own->problem, "%s", context ? "it is no JSON object" : problem.text);
        copy_text(own->cpu, sizeof own->cpu, cpu, "name");
        copy_text(own->core, sizeof own->core, json_object_get(context, "libraries"), "openblas_core");
        copy_text(own->commit, sizeof own->commit, json_object_get(context, "build"), "commit");
        copy_text(own->program, sizeof own->program, json_object_get(context, "build"), "program");
        own->facts.dirty = json_is_true(json_object_get(json_object_get(context, "build"), "dirty"));
        if (json_is_integer(json_object_get(cpu, "cpus_online")))
            own->facts.cpus = (int)json_integer_value(json_object_get(cpu, "cpus_online"));
        own->facts.memory_bytes = memory_of(json_object_get(json_object_get(context, "machine"), "memory"));
        if (json_is_integer(threads))
            own->facts.threads = (int)json_integer_value(threads);
        json_decref(context);
    }
    free(file);
    return KV_OK;
}

/* ---- The folder -------------------------------------------------------------------------------------------------- */

static kv_status load_files(struct kv_results *results, char *const *files, struct kv_error *error)
{
    struct reader readers[KV_N_FILES] = {0};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_N_FILES; i++)
        if (files[i])
            status = kv_reader_open(results, (enum kv_file_kind)i, files[i], &readers[i], error);
    if (!status)
        status = kv_reader_load_cells(results, readers, error);
    if (!status && readers[KV_FILE_TOKENS].table)
        status = load_tokens(&readers[KV_FILE_TOKENS]);
    if (!status && readers[KV_FILE_PARTS].table)
        status = kv_reader_load_parts(&readers[KV_FILE_PARTS]);
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
        return kv_reader_fail_memory(place, error);
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
            return kv_reader_fail_memory(place, error);
        }
    }
    const enum kv_file_kind first = access(files[KV_FILE_RUNS], F_OK) == 0 ? KV_FILE_RUNS : KV_FILE_KERNELS;
    if (is_ours && access(files[first], F_OK) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s holds no runs.csv and no kernels.csv (%s); name the folder of a run",
                       place, strerror(errno));
    results->own->file = strdup(files[first]);
    results->file = results->own->file;
    return results->file ? KV_OK : kv_reader_fail_memory(place, error);
}

/* `place`, which is no pack. */
static kv_status load_place(struct kv_results **results, const char *place, struct kv_error *error)
{
    char *files[KV_N_FILES] = {NULL};
    *results = NULL;
    struct kv_results *created = calloc(1, sizeof *created);
    if (created)
        created->own = calloc(1, sizeof *created->own);
    if (!created || !created->own) {
        free(created);
        return kv_reader_fail_memory(place, error);
    }
    created->run_id = "";
    created->started_s = created->ended_s = NAN;
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

kv_status kv_results_load(struct kv_results **results, const char *place, struct kv_error *error)
{
    char *folder, *name;
    if (!kv_pack_is(place))
        return load_place(results, place, error);
    *results = NULL;
    kv_status status = kv_pack_open(&folder, place, error);
    if (status)
        return status;
    status = load_place(results, folder, error);
    if (status) {
        kv_pack_name(error, folder, place);
        kv_pack_close(folder);
        return status;
    }
    (*results)->own->unpacked = folder;
    name = strdup(place);
    if (!name) {
        kv_results_free(*results);
        *results = NULL;
        return kv_reader_fail_memory(place, error);
    }
    free((*results)->own->file);
    (*results)->own->file = name;
    (*results)->file = name;
    return KV_OK;
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
    free(own->rounds);
    free(own->token_values);
    free(own->token_rounds);
    free(own->tokens);
    free(own->spans);
    free(own->parts);
    free(own->file);
    free(own->folder);
    kv_pack_close(own->unpacked);
    free(own);
    free(results->cells);
    free(results->limits);
    free(results->probed);
    free(results);
}

const struct kv_token_row *kv_results_tokens(const struct kv_results *results, const struct kv_cell_results *cell,
                                             size_t *n)
{
    const struct span *span = &results->own->spans[cell - results->cells];
    *n = span->n;
    return span->n ? results->own->tokens + span->start : NULL;
}
