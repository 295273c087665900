#include "results/summary_kernels.h"

#include <math.h>
#include <string.h>

/* Columns of a table: the first size, the last, and others evenly between. */
#define MAX_COLUMNS 5

static bool is_product(const struct kv_kernel_row *row)
{
    return strcmp(row->kernel, "matmul") == 0;
}

/* What a kernel's columns stand for. */
static int size_of(const struct kv_kernel_row *row)
{
    return is_product(row) ? row->rows : row->context_tokens;
}

/* The least size above `size`, 0 when there is none. */
static int next_size(const struct kv_kernel_results *results, bool products, int size)
{
    int next = 0;
    for (int i = 0; i < results->n; i++) {
        const struct kv_kernel_row *row = &results->results[i].row;
        if (is_product(row) == products && size_of(row) > size && (!next || size_of(row) < next))
            next = size_of(row);
    }
    return next;
}

/* Returns how many columns there are. */
static int choose_sizes(const struct kv_kernel_results *results, bool products, int sizes[MAX_COLUMNS])
{
    int n_sizes = 0, n = 0;
    for (int size = 0; (size = next_size(results, products, size)) != 0;)
        n_sizes++;
    const int n_columns = n_sizes < MAX_COLUMNS ? n_sizes : MAX_COLUMNS;
    for (int size = 0, i = 0; n < n_columns; i++) {
        size = next_size(results, products, size);
        if (i == (n_columns > 1 ? n * (n_sizes - 1) / (n_columns - 1) : 0))
            sizes[n++] = size;
    }
    return n_columns;
}

static bool same_line(const struct kv_kernel_result *a, const struct kv_kernel_result *b)
{
    return strcmp(a->row.kernel, b->row.kernel) == 0 && strcmp(a->row.shape, b->row.shape) == 0 &&
           strcmp(a->row.gemm ? a->row.gemm : "", b->row.gemm ? b->row.gemm : "") == 0 &&
           strcmp(a->row.isa, b->row.isa) == 0 && a->threads == b->threads;
}

/* The result on the line of `first` at that size, the first one when size is 0. */
static const struct kv_kernel_result *find(const struct kv_kernel_results *results,
                                           const struct kv_kernel_result *first, int size)
{
    for (int i = 0; i < results->n; i++)
        if (same_line(&results->results[i], first) && (!size || size_of(&results->results[i].row) == size))
            return &results->results[i];
    return NULL;
}

static void print_rate(const struct kv_kernel_result *result, bool bytes, FILE *stream)
{
    const double rate = result && result->n_samples ? (bytes ? result->row.gbytes_s : result->row.gflops) : NAN;
    if (isnan(rate))
        fprintf(stream, "%15s", "-");
    else if (isnan(result->row.limit_pct))
        fprintf(stream, "%9.1f     -", rate);
    else
        fprintf(stream, "%9.1f %3.0f %%", rate, result->row.limit_pct);
}

static void print_header(bool products, const int *sizes, int n_sizes, FILE *stream)
{
    if (products)
        fprintf(stream, "%-10s %-10s %-9s %7s %-7s", "product", "gemm", "isa", "threads", "unit");
    else
        fprintf(stream, "%-10s %-10s %-9s %7s %-7s", "attention", "", "isa", "threads", "unit");
    for (int i = 0; i < n_sizes; i++) {
        char title[32];
        snprintf(title, sizeof title, "%s %d", products ? "rows" : "context", sizes[i]);
        fprintf(stream, "%15s", title);
    }
    fputc('\n', stream);
}

static void print_table(const struct kv_kernel_results *results, bool products, FILE *stream)
{
    int sizes[MAX_COLUMNS];
    const int n_sizes = choose_sizes(results, products, sizes);
    if (!n_sizes)
        return;
    print_header(products, sizes, n_sizes, stream);
    for (int i = 0; i < results->n; i++) {
        const struct kv_kernel_result *first = &results->results[i];
        if (is_product(&first->row) != products || find(results, first, 0) != first)
            continue;
        /* One query does so little arithmetic that only the reading of keys and values says anything. */
        const bool bytes = strcmp(first->row.shape, "decode") == 0;
        fprintf(stream, "%-10s %-10s %-9s %7d %-7s", first->row.shape, first->row.gemm ? first->row.gemm : "",
                first->row.isa, first->threads, bytes ? "GB/s" : "GFLOPS");
        for (int c = 0; c < n_sizes; c++)
            print_rate(find(results, first, sizes[c]), bytes, stream);
        fputc('\n', stream);
    }
    fputc('\n', stream);
}

void kv_kernel_summary_print(const struct kv_kernel_results *results, FILE *stream)
{
    fprintf(stream, "Kernels alone: median rate, and its share of the machine's limit\n\n");
    print_table(results, true, stream);
    print_table(results, false, stream);
    for (int i = 0; i < results->n; i++) {
        const struct kv_kernel_row *row = &results->results[i].row;
        if (row->error)
            fprintf(stream, "%s: %s, %s%s%s, %s %d: %s\n", row->skipped ? "skipped" : "failed", row->shape,
                    row->gemm ? row->gemm : "", row->gemm ? ", " : "", row->isa, is_product(row) ? "rows" : "context",
                    size_of(row), row->error);
    }
}
