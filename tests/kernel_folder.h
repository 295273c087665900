/* What the test programs of the kernels suite share: a tiny model, a run of it in a folder of its own, and its rows. */
#ifndef KV_TESTS_KERNEL_FOLDER_H
#define KV_TESTS_KERNEL_FOLDER_H

#include "support.h"

#include "results/csv.h"
#include "measure/kernel_suite.h"

#define KERNEL_RING_BYTES ((size_t)64 << 10)
#define KERNEL_HEADER                                                                                                  \
    "run_id,kernel,shape,gemm,isa,threads,rows,n,k,context_tokens,repetition,status,seconds,gflops,gbytes_s,"          \
    "limit_pct,error\n"
/* Of a quick run on kernel_config. */
enum { REPETITIONS = 2, QUICK_PRODUCTS = 5 * 4, QUICK_CONTEXTS = 2, ATTENTIONS = 2 };

extern const struct kv_config kernel_config;

struct kernel_folder {
    char folder[64];
    char file[96]; /* kernels.csv in it */
    struct kv_pool *pool;
    struct kv_kernel_suite_options options; /* quick, on two threads */
};

/* Setup and teardown of a test. */
int open_kernel_folder(void **state);
int close_kernel_folder(void **state);

void run_suite(const struct kernel_folder *place);
void assert_refused(const struct kernel_folder *place, kv_status expected, const char *part);

/* Google Benchmark's flags and the request to stop are the process's: runs body in a child, whose exit status says
 * whether it was true. */
void in_child(struct kernel_folder *place, bool (*body)(struct kernel_folder *place));

/* What see_progress, with one of these as its context, has seen. */
struct progress_seen {
    int n, last_done, last_total;
    bool measured;
};
void see_progress(const struct kv_kernel_progress *progress, void *context);

char *contents_of(const struct kernel_folder *place); /* the whole file, to be freed */
void put_file(const struct kernel_folder *place, const char *text, size_t n);
struct kv_csv_table *read_rows(const struct kernel_folder *place);
struct kv_kernel_results *load_results(const struct kernel_folder *place);

const char *text_at(const struct kv_csv_table *table, size_t row, const char *name);
double number_at(const struct kv_csv_table *table, size_t row, const char *name); /* NaN: empty */
/* The first row of a shape at that many rows and positions. */
size_t find_row(const struct kv_csv_table *table, const char *shape, const char *rows, const char *context);

int n_levels(void); /* that this machine supports */
int quick_configurations(void);

/* Every row is of another configuration or repetition; assert_whole: and all are there. */
void assert_distinct(const struct kv_csv_table *table);
void assert_whole(const struct kernel_folder *place);

#endif
