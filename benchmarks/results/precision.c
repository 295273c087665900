#include "results/precision.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What variants of one point differ in. */
#define BITS (KV_BIT(KV_COLUMN_WEIGHTS) | KV_BIT(KV_COLUMN_KV))

bool kv_is_variant(const struct kv_cell_results *cell)
{
    return (kv_cell_is(cell, KV_COLUMN_SUITE, KV_PRECISION_SUITE) ||
            kv_cell_is(cell, KV_COLUMN_SUITE, KV_WINDOW_SUITE)) &&
           cell->status == KV_CELL_OK && cell->figures[KV_COLUMN_TTPT_MS].n > 0;
}

bool kv_is_full_precision(const struct kv_cell_results *cell)
{
    return kv_cell_is(cell, KV_COLUMN_WEIGHTS, kv_weights_choice(0)->name) &&
           !kv_cache_drops(cell->texts[KV_COLUMN_CACHE]) &&
           (!*cell->texts[KV_COLUMN_KV] || kv_cell_is(cell, KV_COLUMN_KV, kv_kv_choice(0)->name));
}

static bool same_point(const struct kv_cell_results *a, const struct kv_cell_results *b)
{
    const bool drops = kv_cache_drops(a->texts[KV_COLUMN_CACHE]) || kv_cache_drops(b->texts[KV_COLUMN_CACHE]);
    return kv_cells_agree(a, b, kv_key_columns() & ~BITS & ~(drops ? KV_BIT(KV_COLUMN_CACHE) : 0));
}

const struct kv_cell_results *kv_quality_beside(const struct kv_results *results, const struct kv_cell_results *cell)
{
    const struct kv_cell_results *best = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *other = &results->cells[i];
        if (other->file != KV_FILE_QUALITY || other->status != KV_CELL_OK ||
            !kv_cells_agree(other, cell, BITS | KV_BIT(KV_COLUMN_CACHE)))
            continue;
        const double context = other->numbers[KV_COLUMN_CONTEXT_TOKENS], most = cell->numbers[KV_COLUMN_CONTEXT_TOKENS];
        const double so_far = best ? best->numbers[KV_COLUMN_CONTEXT_TOKENS] : NAN;
        if (!best || (context <= most ? so_far > most || context > so_far : context < so_far))
            best = other;
    }
    return best;
}

static double divergence_of(const struct kv_cell_results *quality)
{
    return quality ? quality->figures[KV_COLUMN_DIVERGENCE].median : NAN;
}

static kv_status find_dominating(const struct kv_results *results, struct kv_variant *variant, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < results->n_cells && !variant->is_dominated; i++) {
        const struct kv_cell_results *other = &results->cells[i];
        struct kv_judgement j;
        if (other == variant->cell || !kv_is_variant(other) || !same_point(other, variant->cell))
            continue;
        const double divergence = divergence_of(kv_quality_beside(results, other));
        if (!(divergence <= variant->divergence))
            continue;
        status = kv_judge(variant->cell, other, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &j, error);
        variant->is_dominated = j.verdict == KV_EFFECT_FASTER ||
                                (j.verdict == KV_EFFECT_EQUAL && divergence < variant->divergence);
    }
    return status;
}

kv_status kv_variant_of(const struct kv_results *results, const struct kv_cell_results *cell,
                        struct kv_variant *variant, struct kv_error *error)
{
    const struct kv_sample *live = &cell->figures[KV_COLUMN_KV_LIVE_BYTES];
    *variant = (struct kv_variant){.cell = cell, .gain = {NAN, NAN}, .bound = NAN, .judged = {.speed = NAN}};
    variant->quality = kv_quality_beside(results, cell);
    variant->divergence = divergence_of(variant->quality);
    variant->token_bytes = live->n
                               ? live->median / cell->numbers[KV_COLUMN_BATCH] / cell->numbers[KV_COLUMN_CONTEXT_TOKENS]
                               : NAN;
    for (size_t i = 0; i < results->n_cells && !variant->base; i++)
        if (kv_is_variant(&results->cells[i]) && kv_is_full_precision(&results->cells[i]) &&
            same_point(&results->cells[i], cell))
            variant->base = &results->cells[i];
    kv_status status = KV_OK;
    if (variant->base) {
        variant->bound = variant->base->figures[KV_COLUMN_BYTES].median / cell->figures[KV_COLUMN_BYTES].median;
        status = kv_judge(variant->base, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &variant->judged, error);
        variant->gain = (struct kv_stats_interval){1 / variant->judged.interval.high, 1 / variant->judged.interval.low};
    }
    return status ? status : find_dominating(results, variant, error);
}

/* ---- Fewer positions ---------------------------------------------------------------------------------------------- */

bool kv_is_budget_quality(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_QUALITY && kv_cell_is(cell, KV_COLUMN_SUITE, KV_WINDOW_SUITE) &&
           cell->status == KV_CELL_OK;
}

static bool same_text(const struct kv_cell_results *a, const struct kv_cell_results *b)
{
    return kv_is_budget_quality(a) &&
           kv_cells_agree(a, b, kv_key_columns() & ~(BITS | KV_BIT(KV_COLUMN_CACHE) | KV_BIT(KV_COLUMN_CELL)));
}

static double bytes_of(const struct kv_cell_results *cell)
{
    return cell->figures[KV_COLUMN_KV_LIVE_BYTES].median;
}

kv_status kv_budget_quality_of(const struct kv_results *results, const struct kv_cell_results *cell,
                               struct kv_budget_quality *quality, struct kv_error *error)
{
    static const kv_column_set arm = BITS | KV_BIT(KV_COLUMN_CACHE);
    const struct kv_cell_results *step = NULL;
    *quality = (struct kv_budget_quality){.divergence = divergence_of(cell),
                                          .step = {.gain = {NAN, NAN}, .judged = {.speed = NAN}}};
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *other = &results->cells[i];
        if (kv_is_variant(other) && kv_cell_is(other, KV_COLUMN_SUITE, KV_WINDOW_SUITE) &&
            kv_cells_agree(other, cell, arm))
            step = step ? step : other;
        if (!same_text(other, cell))
            continue;
        if (kv_is_full_precision(other))
            quality->base = other;
        const double bytes = bytes_of(other), divergence = divergence_of(other);
        quality->is_dominated |= bytes <= bytes_of(cell) && divergence <= quality->divergence &&
                                 (bytes < bytes_of(cell) || divergence < quality->divergence);
    }
    quality->share = quality->base ? bytes_of(cell) / bytes_of(quality->base) : NAN;
    return step ? kv_variant_of(results, step, &quality->step, error) : KV_OK;
}

const char *kv_variant_name(const struct kv_cell_results *cell, char text[KV_VARIANT_SIZE])
{
    const char *weights = cell->texts[KV_COLUMN_WEIGHTS], *kv = cell->texts[KV_COLUMN_KV];
    const char *layout = cell->texts[KV_COLUMN_CACHE];
    const bool of_weights = strcmp(weights, kv_weights_choice(0)->name) != 0, drops = kv_cache_drops(layout);
    const bool of_type = *kv && strcmp(kv, kv_kv_choice(0)->name) != 0, of_cache = of_type || drops;
    char cache[KV_VARIANT_SIZE / 2];
    if (drops)
        snprintf(cache, sizeof cache, "the cache %.20s%s%.12s", layout, of_type ? " in " : "", of_type ? kv : "");
    else
        snprintf(cache, sizeof cache, "%s %.30s cache", strchr("aeiou", *kv) ? "an" : "a", kv);
    snprintf(text, KV_VARIANT_SIZE, "%.30s%s%s",
             of_weights ? weights
             : of_cache ? cache
                        : "float32",
             of_weights ? " weights" : "", of_weights && of_cache ? " with " : "");
    if (of_weights && of_cache)
        snprintf(text + strlen(text), KV_VARIANT_SIZE - strlen(text), "%s", cache);
    return text;
}
