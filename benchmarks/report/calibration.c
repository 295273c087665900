/* What kvbench calibrate found of the machine of the run. */
#include "report/parts.h"

#include "base/error.h"
#include "results/calibrated.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A slow-down is found in a time when so many contests find it. */
#define FOUND 0.9

/* "15 s", "2 min" */
static const char *time_text(double seconds, char *text, size_t size)
{
    snprintf(text, size, seconds < 60 ? "%.3g s" : "%.3g min", seconds < 60 ? seconds : seconds / 60);
    return text;
}

/* The row of a slow-down with the least time in which it is found, or else with the longest; NULL: there is none. */
static const struct kv_power_row *best_of(const struct kv_power_row *rows, size_t n, double slowdown_pct)
{
    const struct kv_power_row *best = NULL;
    for (size_t i = 0; i < n; i++) {
        const struct kv_power_row *row = &rows[i];
        if (row->slowdown_pct != slowdown_pct)
            continue;
        const bool is_found = kv_power_found(row) >= FOUND * row->n;
        const bool was_found = best && kv_power_found(best) >= FOUND * best->n;
        if (!best || (is_found ? !was_found || row->time_s < best->time_s : !was_found && row->time_s > best->time_s))
            best = row;
    }
    return best;
}

static void tell_alarms(const struct kv_power_row *rows, size_t n, char *text, size_t size)
{
    double found = 0, contests = 0;
    for (size_t i = 0; i < n; i++)
        if (rows[i].slowdown_pct == 0) {
            found += kv_power_found(&rows[i]);
            contests += rows[i].n;
        }
    if (contests > 0)
        snprintf(text, size,
                 "Of %.0f contests of a program with itself, put together from a recording, kvbench ab called %.2g %% "
                 "faster or slower; it may 2 %%.",
                 contests, 100 * found / contests);
}

/* The largest slow-down first. */
static void tell_found(const struct kv_power_row *rows, size_t n, char *text, size_t size)
{
    double below = INFINITY;
    size_t used = 0;
    for (;;) {
        double largest = 0;
        char clock[32];
        for (size_t i = 0; i < n; i++)
            if (rows[i].slowdown_pct < below)
                largest = fmax(largest, rows[i].slowdown_pct);
        if (!(largest > 0) || used >= size)
            break;
        const struct kv_power_row *row = best_of(rows, n, largest);
        const double part = kv_power_found(row) / row->n;
        time_text(row->time_s, clock, sizeof clock);
        used += (size_t)snprintf(text + used, size - used, used ? ", %g %%" : "A slow-down of %g %% is found", largest);
        if (used < size && part >= FOUND)
            used += (size_t)snprintf(text + used, size - used, " in %s (%.0f of 100 times)", clock, 100 * part);
        else if (used < size)
            used += (size_t)snprintf(text + used, size - used, " in %.0f of 100 times even in %s", 100 * part, clock);
        below = largest;
    }
    if (used && used < size)
        snprintf(text + used, size - used, ".");
}

static const struct kv_figure_text *figure_text(void)
{
    const struct kv_figure_text *figure = kv_figure_texts;
    while (strcmp(figure->name, KV_REPORT_CALIBRATION) != 0)
        figure++;
    return figure;
}

static kv_status print_calibration(const struct kv_report *report, const char *folder, const struct kv_power_row *rows,
                                   size_t n, FILE *page, struct kv_error *error)
{
    char alarms[256] = "", found[512] = "";
    bool is_drawn;
    tell_alarms(rows, n, alarms, sizeof alarms);
    tell_found(rows, n, found, sizeof found);
    kv_html_part(page, "calibration", "alarms", alarms, "found", found, NULL);
    const kv_status status = kv_report_figure(report, folder, figure_text(), page, &is_drawn, error);
    if (!status && !is_drawn)
        kv_html_part(page, "calibration not drawn", "folder", folder, NULL);
    return status;
}

/* A calibration that cannot be read, or is of another machine, is told and not used: the run is none the worse. */
kv_status kv_report_calibration(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    struct kv_calibrated found;
    struct kv_error reason = {""};
    struct kv_power_row *rows = NULL;
    char *file = NULL, why[sizeof reason.message + 64] = "";
    size_t n = 0;
    kv_status status = kv_calibrated_find(report->results, &found, &reason), shown = KV_OK;
    if (!status && !found.folder)
        return KV_OK;
    if (!status && !found.is_of_run) {
        snprintf(why, sizeof why, "The calibration in %.160s is of another machine (%s) and not used.", found.folder,
                 *found.machine ? found.machine : "it does not say which");
    } else if (!status) {
        if (asprintf(&file, "%s/power.csv", found.folder) < 0) {
            file = NULL;
            status = kv_fail(&reason, KV_ERROR_MEMORY, "no memory to read power.csv: close other programs");
        } else {
            status = kv_power_read(file, &rows, &n, &reason);
        }
    }
    if (status)
        snprintf(why, sizeof why, "Its calibration cannot be read and is not used: %s.", reason.message);
    else if (!*why && n == 0)
        snprintf(why, sizeof why, "The calibration in %.160s has no rows.", found.folder);
    if (*why)
        kv_html_part(page, "calibration not used", "why", why, NULL);
    else
        shown = print_calibration(report, found.folder, rows, n, page, error);
    free(rows);
    free(file);
    free(found.folder);
    return shown;
}
