/* What kvbench calibrate found, as the figure shows it: how often ab says what, by its time and the true slow-down. */
#include "results/picture.h"

#include "base/error.h"
#include "results/calibrated.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

enum { MAX_SLOWDOWNS = 12 };

/* 95 % interval of a share of n (Wilson 1927), in percent. */
static void interval(double count, double n, double *low, double *high)
{
    const double z = 1.959963984540054, share = count / n, middle = (share + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    *low = 100 * (middle - half);
    *high = 100 * (middle + half);
}

/* Table `power`: a row a time and slow-down, shares in percent. Found is slower; of no slow-down, faster or slower. */
static void write_rows(struct kv_picture *p, const struct kv_power_row *rows, size_t n)
{
    double slowdowns[MAX_SLOWDOWNS], contests = 0;
    int n_slowdowns = 0;
    struct kv_range times = {NAN, NAN};
    kv_picture_begin(p, "power", "slowdown\ttime_s\tfound\tlow\thigh\tequal\tundecided");
    for (size_t i = 0; i < n; i++) {
        const struct kv_power_row *r = &rows[i];
        const double found = kv_power_found(r);
        int at = 0;
        double low, high;
        while (at < n_slowdowns && slowdowns[at] != r->slowdown_pct)
            at++;
        if (at == MAX_SLOWDOWNS)
            continue;
        slowdowns[at] = r->slowdown_pct;
        n_slowdowns = at == n_slowdowns ? at + 1 : n_slowdowns;
        contests = r->n;
        kv_range_add(&times, r->time_s);
        interval(found, r->n, &low, &high);
        KV_PICTURE_ROW(p, at + 1, r->time_s, 100 * found / r->n, low, high, 100 * r->equal / r->n,
                       100 * r->undecided / r->n);
    }
    kv_picture_end(p);
    kv_picture_range(p, "time", &times);
    kv_picture_number(p, "contests", contests);
    kv_picture_number(p, "n_slowdowns", n_slowdowns);
    kv_picture_numbers(p, "slowdown_pct", slowdowns, n_slowdowns);
}

void kv_picture_calibration(struct kv_picture *p)
{
    struct kv_power_row *rows = NULL;
    size_t n = 0;
    p->status = kv_power_read(p->file, &rows, &n, p->error);
    if (!p->status && n == 0)
        p->status = kv_fail(p->error, KV_ERROR_FORMAT,
                            "%s: a header and no rows; calibrate again with ./kvbench calibrate", p->file);
    if (!p->status)
        write_rows(p, rows, n);
    free(rows);
}
