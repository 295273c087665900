/* The kernels suite: a model's matrix products and its attention, each alone, called as the forward pass calls
 * them: on the pool's threads, in one parallel region, a product's columns and attention's heads shared out by
 * rank, a barrier after each. Bias, GELU and residual are part of a product where the model has them.
 *
 *   seconds    of one call, the mean over the calls of one repetition; wall clock from the first rank's start to
 *              the last one's end
 *   gflops     matmul 2 rows n k; attention 4 head_size flops for each head, query and position that it sees:
 *              context_tokens positions in decode, context_tokens (context_tokens + 1) / 2 in all in prefill
 *   gbytes_s   what has to come from memory, over seconds: the weights and the bias of a product, the keys and
 *              values of an attention. Activations are not counted, a cache may hold them
 *   limit_pct  100 x kv_limit_seconds of those bytes and flops / seconds
 * Weights, keys and values stream from memory as in a step of a whole model: each call takes the next of a ring
 * of matrices (of keys and values: the next layer), and the ring is too large for the caches.
 */
#ifndef KV_MEASURE_KERNEL_SUITE_H
#define KV_MEASURE_KERNEL_SUITE_H

#include "machine/limits.h"

/* ---- Measuring ---------------------------------------------------------------------------------- */

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

struct kv_kernel_progress {
    const struct kv_kernel_row *row; /* what has just been measured */
    int n_done, n_total;             /* repetitions of all configurations, those of a resumed run included */
};

/* What is left zero takes the default. All that is pointed at must outlive the call. */
struct kv_kernel_suite_options {
    const struct kv_config *config; /* the shapes; one that a model can be made of */
    struct kv_pool *pool;
    const char *const *gemms; /* [n_gemms] kv_matmul_choice names; none: all of them but "reference" */
    int n_gemms;
    const char *const *isas; /* [n_isas] kv_isa_choice names; none: the highest for products, all for attention */
    int n_isas;
    bool quick;        /* fewer rows and contexts */
    int repetitions;   /* 0: 3 */
    double min_time_s; /* of a repetition; 0: 0.05, quick 0.02 */
    /* A configuration that would take longer, going by the same product or attention at smaller sizes, is a row
     * that says so; 0: none is. */
    double cell_budget_s;
    /* Least bytes that the ring cycles through; 0: max(512 MiB, 4 x the L3 caches that so many threads can occupy).
     * The memory that is needed: these, at most one LM head more, and the activations of one shape. */
    size_t ring_bytes;
    const struct kv_limits *limits; /* of as many threads as the pool has; NULL: limit_pct is unknown */
    const char *run_id;
    const char *folder; /* exists; kernels.csv is written there */
    void (*progress)(const struct kv_kernel_progress *progress, void *context); /* after each repetition, or NULL */
    void *progress_context;
};

/* Measures what folder/kernels.csv does not hold yet, one row a repetition, each written when it is measured; what
 * it does hold, of as many threads, is not measured again, failed and skipped ones included. The backends and levels
 * of one shape take turns, repetition by repetition. A configuration that does not fit in memory is a row with its
 * error, and the others go on. Returns KV_OK early once gb_stop_requested().
 * Uses Google Benchmark's registry, which must be empty, and leaves it empty; --benchmark_filter applies.
 * Thread safety: as gbench.h and the pool.
 * Errors: ARGUMENT (unknown name, negative number, bad filter), UNSUPPORTED (isa), MEMORY (the ring), IO, FORMAT
 * (kernels.csv is another file's). */
kv_status kv_kernel_suite_run(const struct kv_kernel_suite_options *options, struct kv_error *error);

/* Prints the name of every configuration that --benchmark_filter matches, after --benchmark_list_tests; options as
 * above, but pool, run_id and folder are not needed. */
kv_status kv_kernel_suite_list(const struct kv_kernel_suite_options *options, struct kv_error *error);

/* What a whole run would be; options as for a list. Without limits, seconds assume 10 GB/s, and 30 GFLOPS a thread
 * (one thread, without a pool). */
struct kv_kernel_expectation {
    int n_configurations;
    double seconds;
};
kv_status kv_kernel_suite_expect(const struct kv_kernel_suite_options *options,
                                 struct kv_kernel_expectation *expectation, struct kv_error *error);

/* ---- Results ------------------------------------------------------------------------------------ */

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
