/* What weights and caches in fewer bits, or caches of fewer positions, gain, beside what they cost: a variant is a cell of
 * suite precision or window, held against float32 with all positions at the same point. Its quality is that of suite quality in the same run, which may be of another model: a model
 * with synthetic weights has none.
 *
 *   gain      how many times as fast a step is, within rounds
 *   bound     bytes of a step of float32 over those of the variant, from the formats: what memory traffic allows
 *   share     gain / bound */
#ifndef KV_RESULTS_PRECISION_H
#define KV_RESULTS_PRECISION_H

#include "results/results.h"

#define KV_PRECISION_SUITE "precision"
#define KV_QUALITY_SUITE   "quality"
#define KV_WINDOW_SUITE    "window"

struct kv_variant {
    const struct kv_cell_results *cell, *base; /* base: float32; NULL: not measured at that point */
    const struct kv_cell_results *quality;     /* NULL: unknown */
    struct kv_judgement judged;                /* of the time per token */
    struct kv_stats_interval gain;             /* interval of judged.speed; NaN: too few rounds */
    double bound;                              /* NaN unknown */
    double divergence;                         /* nats; NaN unknown */
    double token_bytes;                        /* of keys and values in use, a position */
    /* Another variant of the point is worth more: its divergence is not larger, and it is faster, or as fast with less
     * divergence. */
    bool is_dominated;
};

bool kv_is_variant(const struct kv_cell_results *cell);
bool kv_is_full_precision(const struct kv_cell_results *cell);

/* What suite quality says of the cell's weights and cache, at the longest context that is not longer than the cell's,
 * otherwise at the shortest; NULL: nothing. */
const struct kv_cell_results *kv_quality_beside(const struct kv_results *results, const struct kv_cell_results *cell);

/* Of a cell of suite precision that is ok. Errors: MEMORY. */
kv_status kv_variant_of(const struct kv_results *results, const struct kv_cell_results *cell,
                        struct kv_variant *variant, struct kv_error *error);

/* A cell of suite window that predicts a text. */
struct kv_budget_quality {
    const struct kv_cell_results *base; /* float32 of all positions at that context; NULL: not measured */
    double share;                       /* bytes of keys and values over those of base */
    double divergence;                  /* nats */
    struct kv_variant step;             /* of that cache; its cell is NULL where steps were not timed */
    /* Another cell of the context has no more bytes and no more divergence, and less of one. */
    bool is_dominated;
};
bool kv_is_budget_quality(const struct kv_cell_results *cell); /* that is ok */
/* Errors: MEMORY. */
kv_status kv_budget_quality_of(const struct kv_results *results, const struct kv_cell_results *cell,
                               struct kv_budget_quality *quality, struct kv_error *error);

/* ---- In tables (tables_precision.c) */

struct kv_table;

/* Of a variant what stands for `column`: of DECODE_TOK_S the gain, BYTES the bound, LIMIT_PCT the share of the bound,
 * KV_LIVE_BYTES the bytes a position, DIVERGENCE and TOP_AGREEMENT_PCT those of its quality. Errors: MEMORY. */
kv_status kv_table_add_variant(struct kv_table *table, const struct kv_results *results,
                               const struct kv_cell_results *cell, enum kv_column column, bool page,
                               struct kv_error *error);
/* For programs: "gain". */
const char *kv_variant_column_name(enum kv_column column);

/* Of a cell of suite quality a figure; on the page with its interval, which the next two columns are. */
void kv_table_add_between(struct kv_table *table, const struct kv_cell_results *cell, enum kv_column column, bool page);

/* ---- In words */

/* "float32", "int8 weights", "int8 weights with an int4 cache", "an int4 cache"; returned. */
#define KV_VARIANT_SIZE 96
const char *kv_variant_name(const struct kv_cell_results *cell, char text[KV_VARIANT_SIZE]);

#endif
