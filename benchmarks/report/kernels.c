/* The table of the kernels suite, a row a configuration of kernels.csv. */
#include "report/parts.h"

#include "base/error.h"
#include "report/page.h"
#include "results/summary_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KERNEL, SHAPE, GEMM, ISA, THREADS, ROWS, N, K, CONTEXT, N_KEYS };
enum { GFLOPS, GBYTES, LIMIT, N_FIGURES };

static const char *const key_names[N_KEYS] = {"kernel", "shape", "gemm", "isa",           "threads",
                                              "rows",   "n",     "k",    "context_tokens"};
static const char *const figure_names[N_FIGURES] = {"gflops", "gbytes_s", "limit_pct"};

struct reader {
    const struct kv_csv_table *table;
    FILE *page;
    size_t keys[N_KEYS], figures[N_FIGURES], status, error;
    double *values; /* [rows] of one figure */
};

static kv_status find_columns(struct reader *reader, struct kv_error *error)
{
    kv_status status = kv_csv_column(reader->table, "status", &reader->status, error);
    if (!status)
        status = kv_csv_column(reader->table, "error", &reader->error, error);
    for (int i = 0; !status && i < N_KEYS; i++)
        status = kv_csv_column(reader->table, key_names[i], &reader->keys[i], error);
    for (int i = 0; !status && i < N_FIGURES; i++)
        status = kv_csv_column(reader->table, figure_names[i], &reader->figures[i], error);
    return status;
}

static const char *key_text(const struct reader *reader, size_t row, int key)
{
    return kv_csv_text(reader->table, row, reader->keys[key]);
}

static bool same_configuration(const struct reader *reader, size_t a, size_t b)
{
    for (int key = 0; key < N_KEYS; key++)
        if (strcmp(key_text(reader, a, key), key_text(reader, b, key)) != 0)
            return false;
    return true;
}

static bool is_ok(const struct reader *reader, size_t row)
{
    return strcmp(kv_csv_text(reader->table, row, reader->status), "ok") == 0;
}

/* The known values of a figure over the repetitions of a configuration, ascending; *last is its last row. */
static kv_status collect(const struct reader *reader, size_t first, int figure, size_t *n, size_t *last,
                         struct kv_error *error)
{
    *n = 0;
    *last = first;
    for (size_t row = first; row < kv_csv_rows(reader->table); row++) {
        double value;
        if (!same_configuration(reader, first, row))
            continue;
        *last = row;
        if (!is_ok(reader, row))
            continue;
        const kv_status status = kv_csv_number(reader->table, row, reader->figures[figure], &value, error);
        if (status)
            return status;
        if (!isnan(value))
            reader->values[(*n)++] = value;
    }
    kv_stats_sort(reader->values, *n);
    return KV_OK;
}

static kv_status print_figure(const struct reader *reader, const double *values, size_t n, bool with_interval,
                              struct kv_error *error)
{
    char number[KV_NUMBER_SIZE], range[2 * KV_NUMBER_SIZE];
    struct kv_stats_interval interval = {NAN, NAN};
    struct kv_stats_random random;
    kv_status status = KV_OK;
    kv_stats_random_seed(&random, KV_SUMMARY_SEED);
    if (with_interval)
        status = kv_stats_median_interval(values, n, KV_SUMMARY_RESAMPLES, &random, &interval, error);
    kv_page_print(reader->page, with_interval ? "<td><b>%s</b>" : "<td>%s",
                  n ? kv_number_text(kv_stats_median(values, n), number, sizeof number) : "–");
    if (!isnan(interval.low))
        kv_page_print(reader->page, " <span class=\"range\">%s</span>", kv_report_range(interval, range, sizeof range));
    fputs("</td>", reader->page);
    return status;
}

static kv_status print_figures(const struct reader *reader, size_t first, struct kv_error *error)
{
    size_t n, n_samples = 0, last;
    for (int figure = 0; figure < N_FIGURES; figure++) {
        kv_status status = collect(reader, first, figure, &n, &last, error);
        if (status)
            return status;
        if (!is_ok(reader, last)) {
            const char *reason = kv_csv_text(reader->table, last, reader->error);
            kv_page_print(reader->page, "<td class=\"word reason\" colspan=\"%d\">%s: %s</td>", N_FIGURES + 1,
                          kv_csv_text(reader->table, last, reader->status), *reason ? reason : "no reason was given");
            return KV_OK;
        }
        status = print_figure(reader, reader->values, n, figure != LIMIT, error);
        if (status)
            return status;
        n_samples = n > n_samples ? n : n_samples;
    }
    kv_page_print(reader->page, "<td>%zu</td>", n_samples);
    return KV_OK;
}

static kv_status print_row(const struct reader *reader, size_t first, struct kv_error *error)
{
    const bool is_product = strcmp(key_text(reader, first, KERNEL), "matmul") == 0;
    for (size_t row = 0; row < first; row++)
        if (same_configuration(reader, row, first))
            return KV_OK;
    kv_page_print(reader->page, "<tr><th scope=\"row\" class=\"word\">%s%s</th>", is_product ? "" : "attention, ",
                  key_text(reader, first, SHAPE));
    kv_page_print(reader->page, "<th scope=\"row\" class=\"word\">%s</th><th scope=\"row\" class=\"word\">%s</th>",
                  is_product ? key_text(reader, first, GEMM) : "–", key_text(reader, first, ISA));
    if (is_product)
        kv_page_print(reader->page, "<th scope=\"row\">%s × %s × %s</th>", key_text(reader, first, ROWS),
                      key_text(reader, first, N), key_text(reader, first, K));
    else
        kv_page_print(reader->page, "<th scope=\"row\">context %s</th>", key_text(reader, first, CONTEXT));
    const kv_status status = print_figures(reader, first, error);
    fputs("</tr>\n", reader->page);
    return status;
}

kv_status kv_report_print_kernels(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    if (!kv_report_has_suite(report, "kernels"))
        return KV_OK;
    struct reader reader = {.table = report->kernels, .page = page};
    const size_t n_rows = kv_csv_rows(report->kernels);
    kv_status status = find_columns(&reader, error);
    if (status)
        return status;
    reader.values = calloc(n_rows + 1, sizeof *reader.values);
    if (!reader.values)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the %zu rows of kernels.csv: close other programs",
                       n_rows);
    fputs(
        "<h3>Kernels alone <span class=\"soft\">suite kernels; size is rows × n × k of a product</span></h3>\n"
        "<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"Table of suite kernels\"><table><thead><tr>"
        "<th scope=\"col\" class=\"word\">kernel</th><th scope=\"col\" class=\"word\">gemm</th>"
        "<th scope=\"col\" class=\"word\">isa</th><th scope=\"col\">size</th><th scope=\"col\">GFLOPS</th>"
        "<th scope=\"col\">GB/s</th><th scope=\"col\">% of limit</th><th scope=\"col\">n</th></tr></thead>\n<tbody>\n",
        page);
    for (size_t row = 0; !status && row < n_rows; row++)
        status = print_row(&reader, row, error);
    fputs("</tbody></table></div>\n", page);
    free(reader.values);
    return status;
}
