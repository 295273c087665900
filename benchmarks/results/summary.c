/* Reading a run's folder: rows to configurations, their samples, and the statistics of those. */
#include "results/summary_parts.h"

#include "base/error.h"
#include "results/csv.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const kv_key_names[KV_N_KEYS] = {
    "run_id", "suite",   "path",  "model",         "weights",    "gemm",
    "isa",    "threads", "batch", "prompt_tokens", "new_tokens", "context_tokens",
};

const char *const kv_figure_names[KV_N_ROW_FIGURES] = {
    "ttft_ms",     "ttpt_ms",     "e2e_ms",        "prefill_tok_s",     "decode_tok_s",   "output_tok_s", "ttpt_p50_ms",
    "ttpt_p95_ms", "ttpt_p99_ms", "kv_live_bytes", "kv_reserved_bytes", "rss_peak_bytes", "limit_ms",     "limit_pct",
};

static const char *const status_names[] = {"ok", "failed", "skipped"};
enum { N_STATUSES = sizeof status_names / sizeof status_names[0] };

const char *kv_configuration_status_name(enum kv_configuration_status status)
{
    return status_names[status];
}

/* ---- The columns of runs.csv -------------------------------------------------------------------- */

struct reader {
    const struct kv_csv_table *rows;
    const char *file;
    size_t keys[KV_N_KEYS];
    size_t figures[KV_N_ROW_FIGURES];
    size_t status;
    size_t message;
    size_t *owners; /* [rows] the configuration of each */
    struct kv_error *error;
};

static kv_status find_columns(struct reader *reader)
{
    kv_status status = kv_csv_column(reader->rows, "status", &reader->status, reader->error);
    if (!status)
        status = kv_csv_column(reader->rows, "error", &reader->message, reader->error);
    for (int i = 0; !status && i < KV_N_KEYS; i++)
        status = kv_csv_column(reader->rows, kv_key_names[i], &reader->keys[i], reader->error);
    for (int i = 0; !status && i < KV_N_ROW_FIGURES; i++)
        status = kv_csv_column(reader->rows, kv_figure_names[i], &reader->figures[i], reader->error);
    return status;
}

static kv_status read_count(const struct reader *reader, size_t row, enum kv_key key, int *count)
{
    double value;
    const kv_status status = kv_csv_number(reader->rows, row, reader->keys[key], &value, reader->error);
    if (status)
        return status;
    if (!(value >= 1 && value <= INT_MAX && value == floor(value)))
        return kv_fail(reader->error, KV_ERROR_FORMAT, "%s row %zu needs a whole number in column \"%s\": correct it",
                       reader->file, row + 1, kv_key_names[key]);
    *count = (int)value;
    return KV_OK;
}

static kv_status read_status(const struct reader *reader, size_t row, enum kv_configuration_status *status)
{
    const char *text = kv_csv_text(reader->rows, row, reader->status);
    for (int i = 0; i < N_STATUSES; i++)
        if (strcmp(text, status_names[i]) == 0) {
            *status = (enum kv_configuration_status)i;
            return KV_OK;
        }
    return kv_fail(reader->error, KV_ERROR_FORMAT, "%s row %zu has status \"%.40s\": ok, failed or skipped is expected",
                   reader->file, row + 1, text);
}

static kv_status read_configuration(const struct reader *reader, size_t row, struct kv_configuration *read)
{
    *read = (struct kv_configuration){.error = kv_csv_text(reader->rows, row, reader->message)};
    for (int i = 0; i < KV_N_KEYS; i++)
        read->keys[i] = kv_csv_text(reader->rows, row, reader->keys[i]);
    kv_status status = read_status(reader, row, &read->status);
    if (!status)
        status = read_count(reader, row, KV_KEY_BATCH, &read->batch);
    if (!status)
        status = read_count(reader, row, KV_KEY_PROMPT_TOKENS, &read->prompt_tokens);
    if (!status)
        status = read_count(reader, row, KV_KEY_NEW_TOKENS, &read->new_tokens);
    if (!status)
        status = read_count(reader, row, KV_KEY_CONTEXT_TOKENS, &read->context_tokens);
    return status;
}

/* ---- Rows to configurations --------------------------------------------------------------------- */

static bool same_or_unknown(const char *a, const char *b)
{
    return !*a || !*b || strcmp(a, b) == 0;
}

static bool belongs(const struct kv_configuration *row, const struct kv_configuration *group)
{
    return kv_configurations_agree(row, group, 1u << KV_KEY_GEMM | 1u << KV_KEY_ISA) &&
           same_or_unknown(row->keys[KV_KEY_GEMM], group->keys[KV_KEY_GEMM]) &&
           same_or_unknown(row->keys[KV_KEY_ISA], group->keys[KV_KEY_ISA]);
}

static size_t group_row(struct kv_summary *summary, const struct kv_configuration *row)
{
    size_t owner = 0;
    while (owner < summary->n_configurations && !belongs(row, &summary->configurations[owner]))
        owner++;
    struct kv_configuration *group = &summary->configurations[owner];
    if (owner == summary->n_configurations) {
        *group = *row;
        summary->n_configurations++;
    }
    for (int i = 0; i < KV_N_KEYS; i++)
        if (!*group->keys[i])
            group->keys[i] = row->keys[i];
    group->status = row->status;
    group->error = row->error;
    group->n += row->status == KV_CONFIGURATION_OK;
    return owner;
}

static kv_status group_rows(struct kv_summary *summary, const struct reader *reader)
{
    for (size_t row = 0; row < kv_csv_rows(reader->rows); row++) {
        struct kv_configuration read;
        const kv_status status = read_configuration(reader, row, &read);
        if (status)
            return status;
        reader->owners[row] = group_row(summary, &read);
    }
    return KV_OK;
}

/* ---- Samples ------------------------------------------------------------------------------------ */

/* Room for a value of every figure and repetition. */
static bool allocate_samples(struct kv_summary *summary)
{
    size_t n = 0;
    for (size_t i = 0; i < summary->n_configurations; i++)
        n += summary->configurations[i].n;
    double *next = summary->values = calloc(n * KV_N_FIGURES + 1, sizeof *summary->values);
    for (size_t i = 0; next && i < summary->n_configurations; i++) {
        struct kv_configuration *c = &summary->configurations[i];
        for (int figure = 0; figure < KV_N_FIGURES; figure++, next += c->n)
            c->figures[figure].values = next;
    }
    return next != NULL;
}

static kv_status read_samples(struct kv_summary *summary, const struct reader *reader)
{
    for (size_t row = 0; row < kv_csv_rows(reader->rows); row++) {
        if (strcmp(kv_csv_text(reader->rows, row, reader->status), status_names[KV_CONFIGURATION_OK]) != 0)
            continue;
        struct kv_configuration *c = &summary->configurations[reader->owners[row]];
        for (int i = 0; i < KV_N_ROW_FIGURES; i++) {
            struct kv_summary_sample *sample = &c->figures[i];
            double value;
            const kv_status status = kv_csv_number(reader->rows, row, reader->figures[i], &value, reader->error);
            if (status)
                return status;
            if (!isnan(value))
                sample->values[sample->n++] = value;
        }
    }
    return KV_OK;
}

static kv_status describe(struct kv_summary_sample *sample, bool with_interval, struct kv_error *error)
{
    kv_stats_sort(sample->values, sample->n);
    sample->median = kv_stats_median(sample->values, sample->n);
    sample->mad = kv_stats_median_absolute_deviation(sample->values, sample->n);
    sample->cv = kv_stats_coefficient_of_variation(sample->values, sample->n);
    sample->interval = (struct kv_stats_interval){NAN, NAN};
    if (!with_interval)
        return KV_OK;
    struct kv_stats_random random;
    kv_stats_random_seed(&random, KV_SUMMARY_SEED);
    return kv_stats_median_interval(sample->values, sample->n, KV_SUMMARY_RESAMPLES, &random, &sample->interval, error);
}

static kv_status describe_all(struct kv_summary *summary, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < summary->n_configurations; i++)
        for (int figure = 0; !status && figure < KV_N_FIGURES; figure++)
            status = describe(&summary->configurations[i].figures[figure],
                              figure < KV_N_SPREAD_FIGURES || figure >= KV_N_ROW_FIGURES, error);
    return status;
}

/* ---- The summary -------------------------------------------------------------------------------- */

static kv_status read_rows(struct kv_summary *summary, const char *file, struct kv_error *error)
{
    kv_status status = kv_csv_read(&summary->rows, file, error);
    if (status)
        return status;
    struct reader reader = {.rows = summary->rows, .file = file, .error = error};
    status = find_columns(&reader);
    if (status)
        return status;
    const size_t n_rows = kv_csv_rows(summary->rows);
    summary->configurations = calloc(n_rows + 1, sizeof *summary->configurations);
    reader.owners = calloc(n_rows + 1, sizeof *reader.owners);
    if (!summary->configurations || !reader.owners)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the %zu rows of %s: close other programs", n_rows,
                         file);
    if (!status)
        status = group_rows(summary, &reader);
    if (!status && !allocate_samples(summary))
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the figures of %s: close other programs", file);
    if (!status)
        status = read_samples(summary, &reader);
    free(reader.owners);
    return status;
}

kv_status kv_summary_load(struct kv_summary **summary, const char *folder, struct kv_error *error)
{
    char *file;
    struct kv_summary *created = calloc(1, sizeof *created);
    *summary = NULL;
    if (!created || asprintf(&file, "%s/runs.csv", folder) < 0) {
        free(created);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to summarize %s: close other programs", folder);
    }
    kv_status status = read_rows(created, file, error);
    free(file);
    if (!status)
        status = kv_summary_read_tokens(created, folder, error);
    if (!status)
        status = describe_all(created, error);
    if (!status)
        status = kv_summary_find(created, error);
    if (status)
        kv_summary_free(created);
    else
        *summary = created;
    return status;
}

void kv_summary_free(struct kv_summary *summary)
{
    if (!summary)
        return;
    for (size_t i = 0; i < summary->n_findings; i++)
        free(summary->findings[i]);
    free(summary->findings);
    free(summary->configurations);
    free(summary->values);
    kv_csv_free(summary->rows);
    free(summary);
}
