/* What the figures of figures.c are written with: the cells that a figure draws, its arms, settings and tables. After a
 * failure nothing more is written, and p->status says why. */
#ifndef KV_RESULTS_PICTURE_H
#define KV_RESULTS_PICTURE_H

#include "results/figures.h"
#include "results/results.h"

#include "base/file.h"

#define KV_PICTURE_SIZES                                                                                               \
    (KV_BIT(KV_COLUMN_BATCH) | KV_BIT(KV_COLUMN_PROMPT_TOKENS) | KV_BIT(KV_COLUMN_NEW_TOKENS) |                        \
     KV_BIT(KV_COLUMN_CONTEXT_TOKENS))
enum { KV_PICTURE_MAX_ARMS = 64, KV_PICTURE_MAX_KEYS = 4096, KV_PICTURE_ATTENTION = -1 };

struct kv_range {
    double low, high; /* NaN: nothing yet */
};
void kv_range_add(struct kv_range *range, double value); /* NaN: none */

struct kv_picture_arm {
    const struct kv_cell_results *cell; /* its first */
    int style;                          /* from 1; of kernels, of the colour */
    int form;                           /* of kernels, who computes the products: from 1; KV_PICTURE_ATTENTION */
    char label[200];
};

/* The arms of a run: of its generations, or of its kernels. Those beyond the last are not drawn. */
struct kv_picture_run {
    const struct kv_results *results;
    enum kv_file_kind kind;
    struct kv_picture_arm arms[KV_PICTURE_MAX_ARMS];
    int n_arms;
    bool varies[KV_N_COLUMNS]; /* axes that the label tells, but those it always has */
    int n_varying;
};
/* What a label always has, a column a bit: of a generation its path, of a kernel who computes it, with which
 * instructions. */
kv_column_set kv_picture_told(enum kv_file_kind kind);
bool kv_picture_is_axis(int column);

struct kv_picture_cell {
    const struct kv_cell_results *cell;
    int arm;         /* in the picture's arms */
    double group, x; /* batch and context; of kernels the number of the panel, and rows or context */
    int limit_group; /* of kernels: those with the same limit, whoever computes */
};

struct kv_picture {
    const struct kv_picture_run *run;
    struct kv_picture_cell *cells; /* [n_cells] by arm, group and x */
    size_t n_cells;
    const struct kv_picture_arm *arms[KV_PICTURE_MAX_ARMS]; /* [n_arms] that it draws */
    int n_arms;
    double not_ok, others;       /* rows left out: for their status, and for another model or size */
    double faults;               /* rows that have no share of the limit, faster than their probes as they were */
    struct kv_range repetitions; /* of a point */
    bool is_empty;               /* there are cells, but no values to draw */
    const char *folder;          /* OUT/NAME */
    const char *file;            /* the first of the figure's */
    struct kv_file settings, table;
    char *settings_name, *table_name;
    kv_status status;
    struct kv_error *error;
};

/* Writes the settings that all figures have, and frees it all. */
kv_status kv_picture_close(struct kv_picture *p);
void kv_picture_fail_memory(struct kv_picture *p);

/* ---- Settings */
void kv_picture_text(struct kv_picture *p, const char *name, const char *first, const char *second); /* joined */
void kv_picture_number(struct kv_picture *p, const char *name, double value);
void kv_picture_numbers(struct kv_picture *p, const char *name, const double *values, int n);
/* n_NAMEs and NAME[] */
void kv_picture_texts(struct kv_picture *p, const char *name, const char *const *texts, int n);
void kv_picture_range(struct kv_picture *p, const char *name, const struct kv_range *range);
/* The different sizes of a column, ascending; returns how many. Rows are those of matrix products. */
int kv_picture_sizes(const struct kv_picture *p, enum kv_column column, double sizes[KV_PICTURE_MAX_KEYS]);
void kv_picture_keys(struct kv_picture *p, const char *name, enum kv_column column);
/* panel_name[] and panel_is_rows[], n_panels, n_limit_groups, and arm_form[]. */
void kv_picture_kernel_settings(struct kv_picture *p);

void kv_picture_part_names(struct kv_picture *p); /* part[], n_parts */

/* ---- Tables */
void kv_picture_begin(struct kv_picture *p, const char *name, const char *header);
void kv_picture_row(struct kv_picture *p, const double *values, size_t n);
#define KV_PICTURE_ROW(p, ...)                                                                                         \
    kv_picture_row(p, (const double[]){__VA_ARGS__}, sizeof(const double[]){__VA_ARGS__} / sizeof(double))
void kv_picture_end(struct kv_picture *p);

/* What the bar of a median spans; NaN without values. */
struct kv_stats_interval kv_picture_bar(const struct kv_sample *sample);

struct kv_picture_value {
    const char *name;
    enum kv_column column;
    double unit; /* divides */
};
/* Table `points`: a row a cell with arm, batch, context_tokens, then NAME_n, _mean, _median, _low and _high of each
 * value: the interval of the median, or, where it has none, the smallest and the largest. Of KV_COLUMN_LIMIT_PCT it is
 * the limit of the time per token that is drawn: median time x median share, which no point is below. Returns how many points there are. */
size_t kv_picture_points(struct kv_picture *p, const struct kv_picture_value *values, int n_values);

/* What the trends of times against the context are drawn from (picture_trends.c): tables fit and corrected, and
 * slope_us[], slope_low_us[], slope_high_us[], limit_slope_us[], corrected_gbytes_s[], corrected_gflops[] of the arms. */
void kv_picture_trends(struct kv_picture *p);

/* Where the time of steps goes. (picture_parts.c) */
void kv_picture_parts(struct kv_picture *p);

/* What the figure `training` is drawn from: the whole of its file. (picture_training.c) */
void kv_picture_training(struct kv_picture *p);
void kv_picture_calibration(struct kv_picture *p);
/* What fewer bits gain and cost. (picture_precision.c) */
void kv_picture_precision(struct kv_picture *p);
void kv_picture_quality(struct kv_picture *p);
/* Of blocks against contiguous, and of shared prefixes against none. (picture_paged.c) */
void kv_picture_paged(struct kv_picture *p);
void kv_picture_prefix(struct kv_picture *p);
/* What drafts gain. (picture_speculate.c) */
void kv_picture_speculate(struct kv_picture *p);
/* What fewer positions cost and gain. (picture_window.c) */
void kv_picture_window(struct kv_picture *p);
/* Of the figure `peers`, likewise. (picture_peers.c) */
void kv_picture_peers(struct kv_picture *p);

#endif
