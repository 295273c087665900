#include "results/calibrated.h"

#include "base/error.h"
#include "results/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const kv_calibrated_places[KV_CALIBRATED_PLACES] = {"/../calibration", "/..", ""};

const char *kv_calibrated_machine(const struct kv_results *run, char text[KV_CALIBRATED_MACHINE_SIZE])
{
    *text = '\0';
    if (*run->context->cpu)
        snprintf(text, KV_CALIBRATED_MACHINE_SIZE, "%s, %d CPUs", run->context->cpu, run->context->cpus);
    return text;
}

/* ---- power.csv ------------------------------------------------------------------------------------------------------ */

enum { N_AMOUNTS = 2 /* the first columns, others count */, N_POWER_COLUMNS = 7 };

static kv_status read_row(const struct kv_csv_table *table, size_t row, const size_t *at, const char *file,
                          struct kv_power_row *power, struct kv_error *error)
{
    double *const fields[N_POWER_COLUMNS] = {&power->time_s, &power->slowdown_pct, &power->n,        &power->faster,
                                             &power->slower, &power->equal,        &power->undecided};
    for (int i = 0; i < N_POWER_COLUMNS; i++) {
        const kv_status status = i < N_AMOUNTS ? kv_csv_amount(table, row, at[i], fields[i], error)
                                               : kv_csv_count(table, row, at[i], 0, fields[i], error);
        if (status)
            return status;
    }
    const bool is_good = power->time_s > 0 && power->n > 0 &&
                         power->faster + power->slower + power->equal + power->undecided == power->n;
    return is_good ? KV_OK
                   : kv_fail(error, KV_ERROR_FORMAT,
                             "%s line %zu has verdicts that do not add up; calibrate again with ./kvbench calibrate",
                             file, kv_csv_line(table, row));
}

kv_status kv_power_read(const char *file, struct kv_power_row **rows, size_t *n, struct kv_error *error)
{
    static const char *const names[N_POWER_COLUMNS] = {"time_s", "slowdown_pct", "n",        "faster",
                                                       "slower", "equal",        "undecided"};
    size_t at[N_POWER_COLUMNS];
    struct kv_csv_table *table = NULL;
    *rows = NULL;
    kv_status status = kv_csv_read(&table, file, error);
    for (int i = 0; !status && i < N_POWER_COLUMNS; i++)
        status = kv_csv_column(table, names[i], &at[i], error);
    *n = status ? 0 : kv_csv_rows(table);
    if (!status && !(*rows = calloc(*n + 1, sizeof **rows)))
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", file);
    for (size_t row = 0; !status && row < *n; row++)
        status = read_row(table, row, at, file, &(*rows)[row], error);
    kv_csv_free(table);
    if (status) {
        free(*rows);
        *rows = NULL;
    }
    return status;
}

double kv_power_found(const struct kv_power_row *row)
{
    return row->slower + (row->slowdown_pct > 0 ? 0 : row->faster);
}

/* ---- Whose calibration it is ------------------------------------------------------------------------------------------- */

/* Whether calibration.csv has a row of the machine; *other: the first that it has of another one. */
static kv_status has_machine(const char *file, const char *machine, bool *found, char *other, struct kv_error *error)
{
    struct kv_csv_table *table = NULL;
    size_t at;
    kv_status status = kv_csv_read(&table, file, error);
    if (!status)
        status = kv_csv_column(table, "machine", &at, error);
    *found = false;
    *other = '\0';
    for (size_t row = 0; !status && row < kv_csv_rows(table); row++) {
        const char *text = kv_csv_text(table, row, at);
        *found |= *machine && strcmp(text, machine) == 0;
        if (row == 0)
            snprintf(other, KV_CALIBRATED_MACHINE_SIZE, "%s", text);
    }
    kv_csv_free(table);
    return status;
}

kv_status kv_calibrated_find(const struct kv_results *run, struct kv_calibrated *found, struct kv_error *error)
{
    char machine[KV_CALIBRATED_MACHINE_SIZE], other[KV_CALIBRATED_MACHINE_SIZE];
    kv_status status = KV_OK;
    kv_calibrated_machine(run, machine);
    *found = (struct kv_calibrated){.folder = NULL};
    for (int i = 0; !status && !found->is_of_run && i < KV_CALIBRATED_PLACES; i++) {
        char *file, *folder;
        bool is_of_run = false;
        if (asprintf(&file, "%s%s/calibration.csv", run->folder, kv_calibrated_places[i]) < 0)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory to look for a calibration: close other programs");
        const bool is_there = access(file, F_OK) == 0;
        if (is_there)
            status = has_machine(file, machine, &is_of_run, other, error);
        if (is_there && !status && (is_of_run || !found->folder)) {
            folder = strndup(file, strlen(file) - strlen("/calibration.csv"));
            free(found->folder);
            found->folder = folder;
            found->is_of_run = is_of_run;
            snprintf(found->machine, sizeof found->machine, "%s", is_of_run ? machine : other);
            if (!folder)
                status = kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", file);
        }
        free(file);
    }
    if (status) {
        free(found->folder);
        found->folder = NULL;
    }
    return status;
}
