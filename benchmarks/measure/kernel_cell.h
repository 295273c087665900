/* Inside the kernels suite: its configurations, and what they run on. */
#ifndef KV_MEASURE_KERNEL_CELL_H
#define KV_MEASURE_KERNEL_CELL_H

#include "base/memory.h"
#include "kernels/matmul.h"
#include "results/csv.h"
#include "measure/kernel_suite.h"

/* Buffers of the configurations of one group. */
struct kv_kernel_work {
    struct kv_block block; /* owns them */
    float *x;              /* [rows, k] input; of attention [rows, 3C] queries, keys, values */
    float *y;              /* [rows, n] output; of attention [rows, C] */
    float *bias;           /* [n] */
    float *scores;         /* [threads, KV_MAX_QUERY_TILE, context rounded up to key blocks] */
};

/* One configuration. */
struct kv_kernel_cell {
    struct kv_kernel_row row;                /* its figures and repetition unset */
    const struct kv_matmul_backend *backend; /* NULL: attention */
    const struct kv_kernels *kernels;
    const struct kv_config *config;
    /* This rank's part of one call; `item` is one matrix, or one layer's keys and then its values. */
    void (*call)(const struct kv_kernel_cell *cell, const struct kv_kernel_work *work, const float *item, int rank,
                 int n_ranks);
    int shape;          /* index in its kernel's table */
    int group;          /* cells of one group differ in backend and level alone, and lie side by side */
    size_t item_floats; /* a whole number of KV_ALIGNMENT */
    size_t x_floats, y_floats, bias_floats;
    size_t scores_floats; /* of one rank */
    double flops, bytes;  /* of one call */
    bool warm;
    bool skipped;
    double call_seconds; /* as measured last; 0: not yet */
    char error[256];     /* "" while all goes well */
};

struct kv_kernel_plan {
    struct kv_kernel_cell *cells; /* [n_cells] */
    int n_cells;
    int n_groups;
};

/* Backends and levels that take turns. */
struct kv_kernel_arms {
    const struct kv_matmul_backend **backends; /* [n_backends] */
    int n_backends;
    const struct kv_kernels **product_levels; /* [n_product_levels] */
    int n_product_levels;
    const struct kv_kernels **attention_levels; /* [n_attention_levels] */
    int n_attention_levels;
};

/* Adds the products of every shape and number of rows, or attention at every context. Errors: MEMORY. */
kv_status kv_kernel_plan_matmul(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                                const struct kv_kernel_arms *arms, struct kv_error *error);
kv_status kv_kernel_plan_attention(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                                   const struct kv_kernel_arms *arms, struct kv_error *error);
/* Adds one cell. Errors: MEMORY. */
kv_status kv_kernel_plan_add(struct kv_kernel_plan *plan, const struct kv_kernel_cell *cell, struct kv_error *error);

/* The whole plan, given back with kv_kernel_plan_free. Errors: ARGUMENT, UNSUPPORTED, MEMORY. */
kv_status kv_kernel_plan_make(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                              struct kv_error *error);
void kv_kernel_plan_free(struct kv_kernel_plan *plan);

/* Floats of one item, rounded up so that the next one starts on a cache line. */
static inline size_t kv_kernel_item_floats(size_t n)
{
    const size_t line = KV_ALIGNMENT / sizeof(float);
    return (n + line - 1) / line * line;
}

/* Opens folder/kernels.csv, whole rows only. Errors: as kv_csv_append. */
kv_status kv_kernel_rows_open(struct kv_csv_writer **writer, const char *folder, struct kv_error *error);
/* Writes one row. Errors: IO, MEMORY. */
kv_status kv_kernel_rows_write(struct kv_csv_writer *writer, const char *run_id, int threads,
                               const struct kv_kernel_row *row, struct kv_error *error);
/* Sets done[cell, repetition - 1], of [n_cells, repetitions], and the cell's call_seconds for every row of
 * folder/kernels.csv of so many threads. Errors: IO, FORMAT, MEMORY. */
kv_status kv_kernel_rows_done(struct kv_kernel_plan *plan, const char *folder, int threads, int repetitions, bool *done,
                              struct kv_error *error);

#endif
