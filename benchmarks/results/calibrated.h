/* What kvbench calibrate left of a machine, in results/calibration unless it was told otherwise: power.csv, verdicts of ab
 * by its time and by the true slow-down, and calibration.csv, which says of which machine they are. */
#ifndef KV_RESULTS_CALIBRATED_H
#define KV_RESULTS_CALIBRATED_H

#include "results/results.h"

/* Where a calibration lies from the folder of a run: where calibrate puts it by itself, beside the runs, in the folder. */
enum { KV_CALIBRATED_PLACES = 3 };
extern const char *const kv_calibrated_places[KV_CALIBRATED_PLACES];

/* "CPU name, 2 CPUs", by which calibration.csv knows a machine; "" when it is unknown. */
#define KV_CALIBRATED_MACHINE_SIZE 160
const char *kv_calibrated_machine(const struct kv_results *run, char text[KV_CALIBRATED_MACHINE_SIZE]);

struct kv_power_row {
    double time_s, slowdown_pct;
    double n; /* contests, of which so many ended */
    double faster, slower, equal, undecided;
};

/* *rows [*n] of a power.csv, for the caller to free(); no row is no error. Errors: IO, FORMAT (a count is missing, or
 * counts do not add up), MEMORY. */
kv_status kv_power_read(const char *file, struct kv_power_row **rows, size_t *n, struct kv_error *error);

/* How many contests of a row found what is true of it: slower; of no slow-down, how many said faster or slower. */
double kv_power_found(const struct kv_power_row *row);

struct kv_calibrated {
    char *folder;                             /* to be given back with free(); NULL: there is none */
    char machine[KV_CALIBRATED_MACHINE_SIZE]; /* that it is of */
    bool is_of_run;
};

/* That of the run's machine, or else the first of another one. Errors: IO, FORMAT (a calibration.csv that cannot be
 * read), MEMORY. */
kv_status kv_calibrated_find(const struct kv_results *run, struct kv_calibrated *found, struct kv_error *error);

#endif
