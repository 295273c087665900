/* Cells of the tables of suites precision, quality and speculate. */
#include "results/precision.h"
#include "results/speculation.h"
#include "results/table.h"

#include <math.h>
#include <stdio.h>

static void add_rounded(struct kv_table *table, double value, const char *format)
{
    char text[KV_NUMBER_SIZE];
    snprintf(text, sizeof text, format, value);
    kv_table_add_number(table, value, isnan(value) ? NULL : text);
}

const char *kv_variant_column_name(enum kv_column column)
{
    return column == KV_COLUMN_DECODE_TOK_S    ? "gain"
           : column == KV_COLUMN_BYTES         ? "bound"
           : column == KV_COLUMN_LIMIT_PCT     ? "bound_pct"
           : column == KV_COLUMN_KV_LIVE_BYTES ? "kv_token_bytes"
                                               : kv_column_info(column)->name;
}

kv_status kv_table_add_variant(struct kv_table *table, const struct kv_results *results,
                               const struct kv_cell_results *cell, enum kv_column column, bool page,
                               struct kv_error *error)
{
    static const struct kv_stats_interval none = {NAN, NAN};
    struct kv_variant v;
    const kv_status status = kv_variant_of(results, cell, &v, error);
    if (status)
        return status;
    if (column == KV_COLUMN_DECODE_TOK_S)
        kv_table_add_interval(table, v.judged.speed, page ? v.gain : none);
    else if (column == KV_COLUMN_BYTES)
        kv_table_add_number(table, v.bound, NULL);
    else if (column == KV_COLUMN_LIMIT_PCT)
        add_rounded(table, 100 * v.judged.speed / v.bound, "%.0f");
    else if (column == KV_COLUMN_KV_LIVE_BYTES)
        kv_table_add_number(table, v.token_bytes, NULL);
    else if (column == KV_COLUMN_DIVERGENCE)
        add_rounded(table, v.divergence, "%.2g");
    else
        add_rounded(table, v.quality ? v.quality->figures[column].median : NAN,
                    column == KV_COLUMN_PERPLEXITY_RATIO ? "%.4f" : "%.2f");
    return KV_OK;
}

/* As many decimals as tell a value from 1, or from 100 %. */
void kv_table_add_between(struct kv_table *table, const struct kv_cell_results *cell, enum kv_column column, bool page)
{
    const struct kv_sample *figures = &cell->figures[column];
    const bool is_divergence = column == KV_COLUMN_DIVERGENCE || column == KV_COLUMN_DIVERGENCE_P99;
    const char *format = is_divergence ? "%.2g" : column == KV_COLUMN_TOP_AGREEMENT_PCT ? "%.2f" : "%.4f";
    char parts[3][KV_NUMBER_SIZE], text[4 * KV_NUMBER_SIZE];
    for (int i = 0; i < 3; i++)
        snprintf(parts[i], sizeof parts[i], format, figures[i].median);
    snprintf(text, sizeof text, page && figures[1].n ? "%s (%s to %s)" : "%s", parts[0], parts[1], parts[2]);
    kv_table_add_number(table, figures[0].median, figures[0].n ? text : NULL);
}

const char *kv_speculated_column_name(enum kv_column column)
{
    return column == KV_COLUMN_TTPT_MS        ? "gain"
           : column == KV_COLUMN_DECODE_TOK_S ? "foretold_gain"
           : column == KV_COLUMN_STEP_TOKENS  ? "foretold_tokens"
           : column == KV_COLUMN_VERIFY_MS    ? "verify_steps"
                                              : "draft_steps";
}

kv_status kv_table_add_speculated(struct kv_table *table, const struct kv_results *results,
                                  const struct kv_cell_results *cell, enum kv_column column, bool page,
                                  struct kv_error *error)
{
    static const struct kv_stats_interval none = {NAN, NAN};
    struct kv_speculated s;
    const kv_status status = kv_speculated_of(results, cell, &s, error);
    if (status)
        return status;
    if (column == KV_COLUMN_TTPT_MS)
        kv_table_add_interval(table, s.gain, page ? s.interval : none);
    else
        kv_table_add_number(table,
                            column == KV_COLUMN_DECODE_TOK_S  ? s.foretold
                            : column == KV_COLUMN_STEP_TOKENS ? s.tokens
                            : column == KV_COLUMN_VERIFY_MS   ? s.verify
                                                              : s.draft,
                            NULL);
    return KV_OK;
}
