/* summary.csv: a row a configuration. */
#include "results/summary_parts.h"

#include "base/error.h"
#include "results/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const spread_names[] = {"median", "mad", "cv", "low", "high"};
static const enum kv_figure memory_figures[] = {KV_FIGURE_KV_LIVE_BYTES, KV_FIGURE_KV_RESERVED_BYTES,
                                                KV_FIGURE_RSS_PEAK_BYTES};
static const enum kv_figure limit_figures[] = {KV_FIGURE_LIMIT_MS, KV_FIGURE_LIMIT_PCT};

enum {
    N_SPREADS = sizeof spread_names / sizeof spread_names[0],
    N_MEMORY = sizeof memory_figures / sizeof memory_figures[0],
    N_LIMITS = sizeof limit_figures / sizeof limit_figures[0],
    /* with status, n and error */
    N_COLUMNS = KV_N_KEYS + 2 + KV_N_SPREAD_FIGURES * N_SPREADS + N_MEMORY + N_LIMITS + 1,
};

static kv_status open_file(struct kv_csv_writer **writer, const char *file, struct kv_error *error)
{
    char spreads[KV_N_SPREAD_FIGURES * N_SPREADS][40];
    const char *columns[N_COLUMNS];
    int n = 0;
    for (int i = 0; i < KV_N_KEYS; i++)
        columns[n++] = kv_key_names[i];
    columns[n++] = "status";
    columns[n++] = "n";
    for (int i = 0; i < KV_N_SPREAD_FIGURES * N_SPREADS; i++) {
        snprintf(spreads[i], sizeof spreads[i], "%s_%s", kv_figure_names[i / N_SPREADS], spread_names[i % N_SPREADS]);
        columns[n++] = spreads[i];
    }
    for (int i = 0; i < N_MEMORY; i++)
        columns[n++] = kv_figure_names[memory_figures[i]];
    for (int i = 0; i < N_LIMITS; i++)
        columns[n++] = kv_figure_names[limit_figures[i]];
    columns[n++] = "error";
    return kv_csv_append(writer, file, columns, n, error);
}

static kv_status write_row(struct kv_csv_writer *writer, const struct kv_configuration *configuration,
                           struct kv_error *error)
{
    for (int i = 0; i < KV_N_KEYS; i++)
        kv_csv_add_text(writer, configuration->keys[i]);
    kv_csv_add_text(writer, kv_configuration_status_name(configuration->status));
    kv_csv_add_integer(writer, (int64_t)configuration->n);
    for (int i = 0; i < KV_N_SPREAD_FIGURES; i++) {
        const struct kv_summary_sample *sample = &configuration->figures[i];
        kv_csv_add_double(writer, sample->median);
        kv_csv_add_double(writer, sample->mad);
        kv_csv_add_double(writer, sample->cv);
        kv_csv_add_double(writer, sample->interval.low);
        kv_csv_add_double(writer, sample->interval.high);
    }
    for (int i = 0; i < N_MEMORY; i++) {
        const struct kv_summary_sample *sample = &configuration->figures[memory_figures[i]];
        if (sample->n)
            kv_csv_add_integer(writer, (int64_t)sample->values[sample->n - 1]);
        else
            kv_csv_add_unknown(writer);
    }
    for (int i = 0; i < N_LIMITS; i++)
        kv_csv_add_double(writer, configuration->figures[limit_figures[i]].median);
    kv_csv_add_text(writer, configuration->status == KV_CONFIGURATION_OK ? "" : configuration->error);
    return kv_csv_end_row(writer, error);
}

static kv_status write_file(const struct kv_summary *summary, const char *temporary, const char *file,
                            struct kv_error *error)
{
    struct kv_csv_writer *writer;
    unlink(temporary); /* left by a killed process of the same number */
    kv_status status = open_file(&writer, temporary, error);
    for (size_t i = 0; !status && i < summary->n_configurations; i++)
        status = write_row(writer, &summary->configurations[i], error);
    kv_csv_close(writer);
    if (!status && rename(temporary, file) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written: %s", file, strerror(errno));
    if (status)
        unlink(temporary);
    return status;
}

kv_status kv_summary_write_csv(const struct kv_summary *summary, const char *folder, struct kv_error *error)
{
    char *file = NULL, *temporary = NULL;
    if (asprintf(&file, "%s/summary.csv", folder) < 0 ||
        asprintf(&temporary, "%s.part-%ld", file, (long)getpid()) < 0) {
        free(file);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write the summary of %s: close other programs", folder);
    }
    const kv_status status = write_file(summary, temporary, file, error);
    free(temporary);
    free(file);
    return status;
}
