/* What the machine may do between two runs. */
#include "results/apart.h"

#include "base/error.h"
#include "results/calibrated.h"
#include "results/csv.h"
#include "results/pack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LEAST_FACTOR   1.05
#define FACTOR_UNKNOWN 2.0
#define MOST_WAITING   0.99
enum { QUARTERS = 4, LEAST_PROBES = 8, LEAST_PAIRS = 20, LEAST_ROUNDS = 6 };

/* ---- What both runs show ------------------------------------------------------------------------------------------ */

/* Levels of one kind of probe; `values` is scratch for as many as either run has. */
struct levels {
    double low, high;
    double *values;
};

/* Medians of the quarters of values [n], in the order of time. */
static void add_levels(struct levels *levels, double *values, size_t n)
{
    for (size_t q = 0; n >= LEAST_PROBES && q < QUARTERS; q++) {
        const size_t start = q * n / QUARTERS, end = (q + 1) * n / QUARTERS;
        kv_stats_sort(values + start, end - start);
        const double level = kv_stats_median(values + start, end - start);
        levels->low = fmin(levels->low, level);
        levels->high = fmax(levels->high, level);
    }
}

static void add_run(struct levels *levels, const struct kv_results *run, const struct kv_cell_results *of,
                    bool arithmetic)
{
    size_t n = 0;
    for (size_t i = 0; i < run->n_probed; i++) {
        const struct kv_probed *probed = &run->probed[i];
        if (kv_cells_agree(&run->cells[probed->cell], of, KV_BIT(KV_COLUMN_THREADS) | KV_BIT(KV_COLUMN_ISA)))
            levels->values[n++] = arithmetic ? probed->fma_flop_per_s : probed->read_bytes_per_s;
    }
    add_levels(levels, levels->values, n);
}

/* log(largest / smallest level) of a kind of probe, of the threads and instructions of which it is most; NaN: none. */
static double swing_of(const struct kv_results *a, const struct kv_results *b, bool arithmetic, double *values)
{
    double swing = NAN;
    const struct kv_cell_results *last = NULL;
    for (size_t i = 0; i < a->n_probed; i++) {
        const struct kv_cell_results *of = &a->cells[a->probed[i].cell];
        if (last && kv_cells_agree(last, of, KV_BIT(KV_COLUMN_THREADS) | KV_BIT(KV_COLUMN_ISA)))
            continue;
        struct levels levels = {NAN, NAN, values};
        add_run(&levels, a, of, arithmetic);
        add_run(&levels, b, of, arithmetic);
        swing = fmax(swing, log(levels.high / levels.low));
        last = of;
    }
    return swing;
}

static double half_median(const struct kv_round_value *rounds, size_t n, double *values)
{
    for (size_t i = 0; i < n; i++)
        values[i] = rounds[i].value;
    kv_stats_sort(values, n);
    return kv_stats_median(values, n);
}

/* What early and late rounds of the cells differ by, at its third quartile; NaN: too few rounds. */
static kv_status drift_of(const struct kv_results *run, double *drift, struct kv_error *error)
{
    double *found = malloc((run->n_cells + 1) * sizeof *found), *values = NULL;
    size_t n = 0, most = 0;
    for (size_t i = 0; i < run->n_cells; i++)
        most = run->cells[i].n > most ? run->cells[i].n : most;
    values = malloc((most + 1) * sizeof *values);
    if (!found || !values) {
        free(found);
        free(values);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    }
    for (size_t i = 0; i < run->n_cells; i++) {
        const struct kv_cell_results *cell = &run->cells[i];
        const struct kv_sample *s = &cell->figures[cell->file == KV_FILE_RUNS ? KV_COLUMN_TTPT_MS : KV_COLUMN_SECONDS];
        const size_t half = s->n / 2;
        if (s->n >= LEAST_ROUNDS && kv_cell_is_timed(cell))
            found[n++] = fabs(
                log(half_median(s->rounds, half, values) / half_median(s->rounds + half, s->n - half, values)));
    }
    kv_stats_sort(found, n);
    *drift = n ? kv_stats_quantile(found, n, 0.75) : NAN;
    free(found);
    free(values);
    return KV_OK;
}

static kv_status find_by_runs(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                              struct kv_error *error)
{
    double drift_a = NAN, drift_b = NAN;
    double *values = malloc((a->n_probed + b->n_probed + 1) * sizeof *values);
    if (!values)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    const double reading = swing_of(a, b, false, values), arithmetic = swing_of(a, b, true, values);
    free(values);
    apart->swings[0] = reading;
    apart->swings[1] = arithmetic;
    kv_status status = drift_of(a, &drift_a, error);
    if (!status)
        status = drift_of(b, &drift_b, error);
    const double probes = fmax(reading, arithmetic), drift = fmax(drift_a, drift_b);
    if (isnan(probes) || !b->n_probed) {
        apart->log_factor = fmax(drift, log(FACTOR_UNKNOWN));
        snprintf(apart->source, sizeof apart->source,
                 "no probes in both runs, so nothing tells what the machine did: measure both again");
    } else {
        apart->log_factor = fmax(fmax(probes, drift), log(LEAST_FACTOR));
        snprintf(
            apart->source, sizeof apart->source,
            "in both runs reading moved by %.0f %%, arithmetic by %.0f %%, early from late rounds by %.0f %%; kvbench "
            "calibrate tells it better",
            100 * expm1(reading), 100 * expm1(arithmetic), isnan(drift) ? 0 : 100 * expm1(drift));
    }
    return status;
}

/* ---- What was calibrated -------------------------------------------------------------------------------------------- */

/* The allowance of the rows that apply; *reaches: one of them is of so long a separation. 0: none applies. */
static kv_status read_calibration(const char *file, const char *machine, double seconds, double *log_factor,
                                  double *nearest, bool *reaches, struct kv_error *error)
{
    static const char *const names[] = {"machine", "separation_s", "n", "log_ratio_q95"};
    size_t at[4];
    struct kv_csv_table *table = NULL;
    kv_status status = kv_csv_read(&table, file, error);
    for (int i = 0; !status && i < 4; i++)
        status = kv_csv_column(table, names[i], &at[i], error);
    double end = INFINITY;
    for (int pass = 0; !status && pass < 2; pass++)
        for (size_t row = 0; !status && row < kv_csv_rows(table); row++) {
            double numbers[3];
            for (int i = 0; !status && i < 3; i++)
                status = kv_csv_amount(table, row, at[i + 1], &numbers[i], error);
            if (status || strcmp(kv_csv_text(table, row, at[0]), machine) != 0 || !(numbers[1] >= LEAST_PAIRS) ||
                !(numbers[0] <= end))
                continue;
            if (pass == 0 && numbers[0] >= seconds) {
                end = numbers[0];
                *reaches = true;
            } else if (pass == 1 && numbers[2] > *log_factor) {
                *log_factor = numbers[2];
                *nearest = numbers[0];
            }
        }
    kv_csv_free(table);
    return status;
}

static kv_status find_calibrated(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                                 bool *reaches, struct kv_error *error)
{
    enum { N_PLACES = 2 * KV_CALIBRATED_PLACES };
    char machine[KV_CALIBRATED_MACHINE_SIZE], other[KV_CALIBRATED_MACHINE_SIZE];
    kv_status status = KV_OK;
    if (!*kv_calibrated_machine(a, machine) || strcmp(machine, kv_calibrated_machine(b, other)) != 0)
        return KV_OK;
    for (int i = 0; !status && i < N_PLACES; i++) {
        const struct kv_results *run = i < KV_CALIBRATED_PLACES ? a : b;
        double log_factor = 0, nearest = 0;
        char *file;
        if (kv_pack_is(run->file)) /* its folder stands nowhere near other runs */
            continue;
        if (asprintf(&file, "%s%s/calibration.csv", run->folder, kv_calibrated_places[i % KV_CALIBRATED_PLACES]) < 0)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
        if (access(file, F_OK) == 0)
            status = read_calibration(file, machine, apart->seconds, &log_factor, &nearest, reaches, error);
        if (log_factor > 0) {
            apart->log_factor = fmax(log_factor, log(LEAST_FACTOR));
            apart->is_calibrated = true;
            snprintf(apart->source, sizeof apart->source, "%.160s: windows %.0f s apart on this machine", file,
                     nearest);
            i = N_PLACES;
        }
        free(file);
    }
    return status;
}

/* Of the time of a run, the mean part in which something waited for a CPU; 0 unknown. */
static double waiting_of(const struct kv_results *run)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < run->n_cells; i++) {
        const struct kv_sample *s = &run->cells[i].figures[KV_COLUMN_PRESSURE_PCT];
        for (size_t k = 0; k < s->n; k++)
            sum += s->values[k] / 100;
        n += (double)s->n;
    }
    return n > 0 ? sum / n : 0;
}

static void allow_for_waiting(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart)
{
    const double waiting = fmin(fmax(waiting_of(a), waiting_of(b)), MOST_WAITING);
    const size_t used = strlen(apart->source);
    apart->waiting = -log1p(-waiting);
    apart->log_factor += apart->waiting;
    if (waiting >= 0.01)
        snprintf(apart->source + used, sizeof apart->source - used,
                 "; something waited for a CPU in %.0f %% of the time", 100 * waiting);
}

/* seconds: between the middles of the runs; INFINITY: any */
static kv_status find(const struct kv_results *a, const struct kv_results *b, double seconds, struct kv_apart *apart,
                      struct kv_error *error)
{
    struct kv_apart by_runs;
    bool reaches = false;
    *apart = (struct kv_apart){.swings = {NAN, NAN}, .seconds = seconds};
    by_runs = *apart;
    kv_status status = find_calibrated(a, b, apart, &reaches, error);
    if (!status)
        status = find_by_runs(a, b, &by_runs, error);
    memcpy(apart->swings, by_runs.swings, sizeof apart->swings);
    if (!reaches && by_runs.log_factor > apart->log_factor)
        *apart = by_runs;
    if (!status)
        allow_for_waiting(a, b, apart);
    return status;
}

kv_status kv_apart_find(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                        struct kv_error *error)
{
    return find(a, b, fabs(a->started_s + a->ended_s - b->started_s - b->ended_s) / 2, apart, error);
}

kv_status kv_apart_of_machines(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                               struct kv_error *error)
{
    struct kv_apart alone[2] = {{0}};
    kv_status status = find(a, a, INFINITY, &alone[0], error);
    if (!status)
        status = find(b, b, INFINITY, &alone[1], error);
    *apart = (struct kv_apart){.log_factor = hypot(alone[0].log_factor, alone[1].log_factor),
                               .waiting = hypot(alone[0].waiting, alone[1].waiting),
                               .seconds = NAN,
                               .swings = {NAN, NAN}};
    size_t n = 0;
    for (int i = 0; i < 2; i++)
        n += (size_t)snprintf(apart->source + n, sizeof apart->source - n, "%s%c by %.0f %% %s", i ? ", " : "", 'A' + i,
                              100 * expm1(alone[i].log_factor),
                              alone[i].is_calibrated ? "from run to run, as calibrated" : "within its run");
    return status;
}
