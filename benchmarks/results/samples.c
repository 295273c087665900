/* From runs.csv to one sample a configuration and metric. */
#include "base/error.h"
#include "results/compare.h"
#include "results/measured_on.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const key_names[] = {"suite",   "path",  "model",         "weights",    "gemm", "isa",
                                        "threads", "batch", "prompt_tokens", "new_tokens", NULL};

static const struct kv_metric_info metrics[] = {
    [KV_METRIC_TTFT_MS] = {"ttft_ms", "time to first token", "ms", false},
    [KV_METRIC_TTPT_MS] = {"ttpt_ms", "time per token after the first", "ms", false},
    [KV_METRIC_TTPT_P50_MS] = {"ttpt_p50_ms", "median step latency", "ms", false},
    [KV_METRIC_TTPT_P95_MS] = {"ttpt_p95_ms", "95th percentile of the step latency", "ms", false},
    [KV_METRIC_TTPT_P99_MS] = {"ttpt_p99_ms", "99th percentile of the step latency", "ms", false},
    [KV_METRIC_E2E_MS] = {"e2e_ms", "time from prompt to last token", "ms", false},
    [KV_METRIC_PREFILL_TOK_S] = {"prefill_tok_s", "prefill throughput", "tok/s", true},
    [KV_METRIC_DECODE_TOK_S] = {"decode_tok_s", "decode throughput", "tok/s", true},
    [KV_METRIC_OUTPUT_TOK_S] = {"output_tok_s", "output throughput, prefill included", "tok/s", true},
};

const char *kv_arm_key_name(int key)
{
    return key >= 0 && key < KV_ARM_KEYS ? key_names[key] : NULL;
}

const struct kv_metric_info *kv_metric_info(int metric)
{
    return metric >= 0 && metric < KV_METRICS ? &metrics[metric] : NULL;
}

/* ---- Rows --------------------------------------------------------------------------------------- */

struct columns {
    size_t keys[KV_ARM_KEYS];
    size_t metrics[KV_METRICS];
    size_t status;
    size_t run_id;
};

static kv_status find_columns(const struct kv_csv_table *table, struct columns *columns, struct kv_error *error)
{
    kv_status status = kv_csv_column(table, "status", &columns->status, error);
    if (status == KV_OK)
        status = kv_csv_column(table, "run_id", &columns->run_id, error);
    for (int i = 0; status == KV_OK && i < KV_ARM_KEYS; i++)
        status = kv_csv_column(table, key_names[i], &columns->keys[i], error);
    for (int i = 0; status == KV_OK && i < KV_METRICS; i++)
        status = kv_csv_column(table, metrics[i].name, &columns->metrics[i], error);
    return status;
}

/* The configuration of a row, a new one at the end when it is the first of its kind. */
static struct kv_arm *configuration_of(struct kv_measurements *run, const struct columns *columns, size_t row)
{
    const char *keys[KV_ARM_KEYS];
    for (int i = 0; i < KV_ARM_KEYS; i++)
        keys[i] = kv_csv_text(run->table, row, columns->keys[i]);
    for (size_t i = 0; i < run->n_configurations; i++) {
        int equal = 0;
        while (equal < KV_ARM_KEYS && strcmp(run->configurations[i].keys[equal], keys[equal]) == 0)
            equal++;
        if (equal == KV_ARM_KEYS)
            return &run->configurations[i];
    }
    struct kv_arm *added = &run->configurations[run->n_configurations++];
    memcpy(added->keys, keys, sizeof keys);
    return added;
}

/* Counts the row; only one that is ok has figures. */
static kv_status count_row(struct kv_measurements *run, struct kv_arm *configuration, const char *status,
                           struct kv_error *error)
{
    if (strcmp(status, "ok") == 0) {
        configuration->n_ok++;
    } else if (strcmp(status, "failed") == 0) {
        configuration->n_failed++;
        run->n_failed++;
    } else if (strcmp(status, "skipped") == 0) {
        configuration->n_skipped++;
        run->n_skipped++;
    } else {
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s has the status \"%s\", which is not ok, failed or skipped: correct it", run->file, status);
    }
    return KV_OK;
}

static kv_status add_figures(const struct kv_measurements *run, const struct columns *columns, size_t row,
                             struct kv_arm *configuration, struct kv_error *error)
{
    for (int i = 0; i < KV_METRICS; i++) {
        double value;
        const kv_status status = kv_csv_number(run->table, row, columns->metrics[i], &value, error);
        if (status != KV_OK)
            return status;
        if (value <= 0)
            return kv_fail(error, KV_ERROR_FORMAT, "%s has %s %g, and times and rates are above 0: delete that row",
                           run->file, metrics[i].name, value);
        if (!isnan(value))
            configuration->samples[i].values[configuration->samples[i].n++] = value;
    }
    return KV_OK;
}

/* ---- A run -------------------------------------------------------------------------------------- */

static kv_status fail_memory(const char *file, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the measurements in %s: close other programs", file);
}

/* Cuts the one array of values into a sample for each configuration and metric, as long as it can get. */
static void lay_out_samples(struct kv_measurements *run)
{
    double *next = run->values;
    for (size_t i = 0; i < run->n_configurations; i++) {
        for (int j = 0; j < KV_METRICS; j++) {
            run->configurations[i].samples[j].values = next;
            next += run->configurations[i].n_ok;
        }
    }
}

/* owners [rows]: the configuration of each row */
static kv_status gather(struct kv_measurements *run, const struct columns *columns, struct kv_arm **owners,
                        struct kv_error *error)
{
    const size_t n_rows = kv_csv_rows(run->table);
    kv_status status = KV_OK;
    for (size_t row = 0; status == KV_OK && row < n_rows; row++) {
        owners[row] = configuration_of(run, columns, row);
        status = count_row(run, owners[row], kv_csv_text(run->table, row, columns->status), error);
    }
    lay_out_samples(run);
    for (size_t row = 0; status == KV_OK && row < n_rows; row++)
        if (strcmp(kv_csv_text(run->table, row, columns->status), "ok") == 0)
            status = add_figures(run, columns, row, owners[row], error);
    return status;
}

static kv_status read_rows(struct kv_measurements *run, struct kv_error *error)
{
    struct columns columns;
    kv_status status = kv_csv_read(&run->table, run->file, error);
    if (status == KV_OK)
        status = find_columns(run->table, &columns, error);
    if (status != KV_OK)
        return status;
    const size_t n_rows = kv_csv_rows(run->table);
    run->run_id = n_rows > 0 ? kv_csv_text(run->table, 0, columns.run_id) : "";
    /* One more than needed: calloc may give NULL for none. */
    run->configurations = calloc(n_rows + 1, sizeof *run->configurations);
    run->values = calloc(n_rows + 1, KV_METRICS * sizeof *run->values);
    struct kv_arm **owners = calloc(n_rows + 1, sizeof *owners);
    status = run->configurations && run->values && owners ? gather(run, &columns, owners, error)
                                                          : fail_memory(run->file, error);
    free(owners);
    return status;
}

/* The file of rows and the folder that it is in. */
static kv_status find_files(const char *place, char **file, char **folder, struct kv_error *error)
{
    struct stat info;
    *file = NULL;
    *folder = NULL;
    if (stat(place, &info) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s: %s; name the folder of a run, or its runs.csv", place, strerror(errno));
    const char *slash = strrchr(place, '/');
    if (S_ISDIR(info.st_mode)) {
        size_t length = strlen(place);
        while (length > 1 && place[length - 1] == '/')
            length--;
        *folder = strndup(place, length);
        if (asprintf(file, "%.*s/runs.csv", (int)length, place) < 0)
            *file = NULL;
    } else {
        *folder = !slash ? strdup(".") : strndup(place, (size_t)(slash - place) + 1);
        *file = strdup(place);
    }
    if (!*file || !*folder)
        return fail_memory(place, error);
    if (stat(*file, &info) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s holds no runs.csv (%s); name the folder of a run", place,
                       strerror(errno));
    return KV_OK;
}

kv_status kv_measurements_load(struct kv_measurements **run, const char *place, struct kv_error *error)
{
    *run = NULL;
    struct kv_measurements *created = calloc(1, sizeof *created);
    if (!created)
        return fail_memory(place, error);
    char *folder;
    kv_status status = find_files(place, &created->file, &folder, error);
    if (status == KV_OK)
        status = read_rows(created, error);
    if (status == KV_OK)
        kv_measured_on_read(&created->machine, folder);
    free(folder);
    if (status != KV_OK) {
        kv_measurements_free(created);
        return status;
    }
    *run = created;
    return KV_OK;
}

void kv_measurements_free(struct kv_measurements *run)
{
    if (!run)
        return;
    kv_csv_free(run->table);
    free(run->configurations);
    free(run->values);
    free(run->file);
    free(run);
}
