/* What kvbench calibrate found, as the figure shows it: how often ab says what, by its time and the true slow-down. */
#include "results/picture.h"

#include "base/error.h"
#include "results/csv.h"
#include "results/stats.h"

#include <math.h>
#include <stdlib.h>

enum { TIME, SLOWDOWN, N, FASTER, SLOWER, EQUAL, UNDECIDED, N_COLUMNS, MAX_SLOWDOWNS = 12 };

/* 95 % interval of a share of n (Wilson 1927), in percent. */
static void interval(double count, double n, double *low, double *high)
{
    const double z = 1.959963984540054, share = count / n, middle = (share + z * z / (2 * n)) / (1 + z * z / n);
    const double half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n);
    *low = 100 * (middle - half);
    *high = 100 * (middle + half);
}

static kv_status read_rows(const struct kv_csv_table *table, double (*rows)[N_COLUMNS], struct kv_error *error)
{
    static const char *const names[N_COLUMNS] = {"time_s", "slowdown_pct", "n",        "faster",
                                                 "slower", "equal",        "undecided"};
    size_t at[N_COLUMNS];
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_COLUMNS; i++)
        status = kv_csv_column(table, names[i], &at[i], error);
    for (size_t row = 0; !status && row < kv_csv_rows(table); row++)
        for (int i = 0; !status && i < N_COLUMNS; i++)
            status = i < N ? kv_csv_amount(table, row, at[i], &rows[row][i], error)
                           : kv_csv_count(table, row, at[i], 0, &rows[row][i], error);
    return status;
}

/* Table `power`: a row a time and slow-down, shares in percent. Found is slower; of no slow-down, faster or slower. */
static void write_rows(struct kv_picture *p, double (*rows)[N_COLUMNS], size_t n)
{
    double slowdowns[MAX_SLOWDOWNS], contests = 0;
    int n_slowdowns = 0;
    struct kv_range times = {NAN, NAN};
    kv_picture_begin(p, "power", "slowdown\ttime_s\tfound\tlow\thigh\tequal\tundecided");
    for (size_t i = 0; i < n; i++) {
        const double *r = rows[i], found = r[SLOWER] + (r[SLOWDOWN] > 0 ? 0 : r[FASTER]);
        int at = 0;
        double low, high;
        while (at < n_slowdowns && slowdowns[at] != r[SLOWDOWN])
            at++;
        if (at == MAX_SLOWDOWNS || !(r[N] > 0))
            continue;
        slowdowns[at] = r[SLOWDOWN];
        n_slowdowns = at == n_slowdowns ? at + 1 : n_slowdowns;
        contests = r[N];
        kv_range_add(&times, r[TIME]);
        interval(found, r[N], &low, &high);
        KV_PICTURE_ROW(p, at + 1, r[TIME], 100 * found / r[N], low, high, 100 * r[EQUAL] / r[N],
                       100 * r[UNDECIDED] / r[N]);
    }
    kv_picture_end(p);
    kv_picture_range(p, "time", &times);
    kv_picture_number(p, "contests", contests);
    kv_picture_number(p, "n_slowdowns", n_slowdowns);
    kv_picture_numbers(p, "slowdown_pct", slowdowns, n_slowdowns);
}

void kv_picture_calibration(struct kv_picture *p)
{
    struct kv_csv_table *table = NULL;
    p->status = kv_csv_read(&table, p->file, p->error);
    const size_t n = p->status ? 0 : kv_csv_rows(table);
    double(*rows)[N_COLUMNS] = malloc((n + 1) * sizeof *rows);
    if (!rows)
        kv_picture_fail_memory(p);
    if (!p->status && n == 0)
        p->status = kv_fail(p->error, KV_ERROR_FORMAT,
                            "%s: a header and no rows; calibrate again with ./kvbench calibrate", p->file);
    if (!p->status)
        p->status = read_rows(table, rows, p->error);
    if (!p->status)
        write_rows(p, rows, n);
    free(rows);
    kv_csv_free(table);
}
