/* kernels.csv, read back. */
#ifndef KV_MEASURE_KERNEL_SUITE_H
#define KV_MEASURE_KERNEL_SUITE_H

#include "kvbench.h"

/* One repetition of one configuration. Numbers that do not apply are 0, texts that do not apply NULL, figures
 * that are unknown NaN. */
struct kv_kernel_row {
    const char *kernel; /* "matmul" or "attention" */
    const char *shape;  /* c_attn, attn_proj, c_fc, mlp_proj, lm_head; decode, prefill */
    const char *gemm;   /* matmul only */
    const char *isa;
    int rows;           /* M of a product; queries a head of attention */
    int n, k;           /* matmul only */
    int context_tokens; /* attention only: positions that the last query sees */
    int repetition;     /* from 1; 0: the configuration failed or was skipped, `error` says why */
    bool skipped;
    double seconds, gflops, gbytes_s, limit_pct;
    const char *error;
};

/* A configuration of kernels.csv: `row` has the medians of its repetitions, and repetition 0. */
struct kv_kernel_result {
    struct kv_kernel_row row;
    int threads;
    int n_samples; /* repetitions; 0 when it failed or was skipped */
};

struct kv_kernel_results {
    struct kv_kernel_result *results; /* [n], in the order of the file */
    int n;
    int n_failed, n_skipped;
    struct kv_csv_table *table; /* owns the texts */
};

/* Reads folder/kernels.csv. Errors: IO, FORMAT, MEMORY. */
kv_status kv_kernel_results_load(struct kv_kernel_results **results, const char *folder, struct kv_error *error);
void kv_kernel_results_free(struct kv_kernel_results *results);

#endif
