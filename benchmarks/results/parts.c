/* Reading parts.csv: the median time of each part of a cell's steps. */
#include "results/reader.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct value {
    size_t cell;
    int phase, part;
    double ns, limit_pct;
};

static int compare_values(const void *left, const void *right)
{
    const struct value *a = left, *b = right;
    if (a->cell != b->cell)
        return a->cell < b->cell ? -1 : 1;
    return a->phase != b->phase ? a->phase - b->phase : a->part - b->part;
}

static kv_status read_value(const struct reader *reader, size_t row, struct value *value)
{
    const char *phase = kv_reader_text(reader, row, KV_COLUMN_PHASE);
    const char *part = kv_reader_text(reader, row, KV_COLUMN_PART);
    value->phase = strcmp(phase, "decode") == 0 ? KV_PHASE_DECODE : KV_PHASE_PREFILL;
    if (value->phase == KV_PHASE_PREFILL && strcmp(phase, "prefill") != 0)
        return kv_reader_fail(reader, row, KV_COLUMN_PHASE, "is prefill or decode");
    value->part = 0;
    while (value->part < KV_N_PARTS && strcmp(part, kv_part_name((enum kv_part)value->part)) != 0)
        value->part++;
    if (value->part == KV_N_PARTS)
        return kv_reader_fail(reader, row, KV_COLUMN_PART, "is no part of a step");
    kv_status status = kv_reader_number(reader, row, KV_COLUMN_PART_NS, &value->ns);
    if (!status)
        status = kv_reader_number(reader, row, KV_COLUMN_LIMIT_PCT, &value->limit_pct);
    return !status && isnan(value->ns) ? kv_reader_fail(reader, row, KV_COLUMN_PART_NS, "every part has") : status;
}

static double median_of(double *values, size_t n)
{
    kv_stats_sort(values, n);
    return kv_stats_median(values, n);
}

/* values [n] of one part; ns and shares are scratch. */
static void keep(struct kv_results *results, const struct value *values, size_t n, double *ns, double *shares)
{
    struct kv_cell_parts *parts = &results->own->parts[values->cell];
    const int phase = values->phase, part = values->part;
    size_t n_shares = 0;
    for (size_t i = 0; i < n; i++) {
        ns[i] = values[i].ns;
        if (!isnan(values[i].limit_pct))
            shares[n_shares++] = values[i].limit_pct;
    }
    parts->n[phase] = n;
    parts->ns[phase][part] = median_of(ns, n);
    parts->limit_pct[phase][part] = median_of(shares, n_shares);
    parts->step_ns[phase] += parts->ns[phase][part];
    results->cells[values->cell].parts = parts;
}

kv_status kv_reader_load_parts(const struct reader *reader)
{
    struct kv_results *results = reader->results;
    const size_t n_rows = kv_csv_rows(reader->table);
    struct value *values = malloc((n_rows + 1) * sizeof *values);
    double *scratch = malloc(2 * (n_rows + 1) * sizeof *scratch);
    results->own->parts = calloc(results->n_cells + 1, sizeof *results->own->parts);
    kv_status status = values && scratch && results->own->parts ? KV_OK
                                                                : kv_reader_fail_memory(reader->file, reader->error);
    size_t n = 0;
    for (size_t row = 0; !status && row < n_rows; row++) {
        const size_t bucket = *kv_reader_bucket(results, kv_reader_text(reader, row, KV_COLUMN_CELL));
        values[n].cell = bucket - 1;
        status = read_value(reader, row, &values[n]);
        n += bucket > 0;
    }
    if (!status)
        qsort(values, n, sizeof *values, compare_values);
    for (size_t i = 0, end; !status && i < n; i = end) {
        for (end = i + 1; end < n && compare_values(&values[i], &values[end]) == 0;)
            end++;
        keep(results, &values[i], end - i, scratch, scratch + n_rows + 1);
    }
    free(values);
    free(scratch);
    return status;
}
