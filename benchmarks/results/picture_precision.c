/* The figures of suites precision and quality: what fewer bits gain, and what they cost. */
#include "results/picture.h"
#include "results/precision.h"

#include <math.h>
#include <stdio.h>

/* variant_1, variant_2, ..: weights and cache of each arm, "int8 / f32". */
static void write_variants(struct kv_picture *p)
{
    for (int arm = 0; arm < p->n_arms; arm++) {
        const char *const *texts = p->arms[arm]->cell->texts;
        char name[32], text[80];
        snprintf(name, sizeof name, "variant_%d", arm + 1);
        snprintf(text, sizeof text, "%.30s / %.30s", texts[KV_COLUMN_WEIGHTS],
                 *texts[KV_COLUMN_KV] ? texts[KV_COLUMN_KV] : "no cache");
        kv_picture_text(p, name, text, "");
    }
}

/* Table `variants`: a row a cell with its gain, divergence and bytes over those of float32. */
void kv_picture_precision(struct kv_picture *p)
{
    struct kv_range gain = {NAN, NAN}, divergence = {NAN, NAN};
    const struct kv_cell_results *quality = NULL;
    p->is_empty = true;
    kv_picture_begin(p, "variants",
                     "arm\tbatch\tcontext_tokens\tdivergence\tgain\tgain_low\tgain_high\tbound\tis_dominated");
    for (size_t i = 0; i < p->n_cells && !p->status; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        struct kv_variant v;
        if (!kv_is_variant(cell->cell))
            continue;
        p->status = kv_variant_of(p->run->results, cell->cell, &v, p->error);
        if (p->status || !v.base || !v.quality)
            continue;
        quality = v.quality;
        KV_PICTURE_ROW(p, cell->arm + 1, cell->group, cell->x, v.divergence, v.judged.speed, v.gain.low, v.gain.high,
                       v.bound, v.is_dominated);
        kv_range_add(&gain, v.judged.speed);
        kv_range_add(&gain, v.bound);
        kv_range_add(&divergence, v.divergence > 0 ? v.divergence : NAN);
        kv_range_add(&p->repetitions, (double)v.judged.n_rounds);
        p->is_empty = false;
    }
    kv_picture_end(p);
    write_variants(p);
    kv_picture_keys(p, "batch", KV_COLUMN_BATCH);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    kv_picture_range(p, "gain", &gain);
    kv_picture_range(p, "divergence", &divergence);
    kv_picture_text(p, "quality_model", quality ? quality->texts[KV_COLUMN_MODEL] : "", "");
}

/* Table `divergences`: a row a cell. */
void kv_picture_quality(struct kv_picture *p)
{
    struct kv_range range = {NAN, NAN};
    double scored = NAN;
    kv_picture_begin(p, "divergences", "arm\tcontext_tokens\tdivergence\tlow\thigh\tp99");
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_sample *figures = p->cells[i].cell->figures;
        const double value = figures[KV_COLUMN_DIVERGENCE].median, p99 = figures[KV_COLUMN_DIVERGENCE_P99].median;
        if (!(value > 0)) /* a logarithmic axis has no 0 */
            continue;
        KV_PICTURE_ROW(p, p->cells[i].arm + 1, p->cells[i].x, value, figures[KV_COLUMN_DIVERGENCE_LOW].median,
                       figures[KV_COLUMN_DIVERGENCE_HIGH].median, p99);
        kv_range_add(&range, value);
        kv_range_add(&range, p99 > 0 ? p99 : NAN);
        scored = figures[KV_COLUMN_SCORED_TOKENS].median;
    }
    kv_picture_end(p);
    p->is_empty = isnan(range.low);
    write_variants(p);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
    kv_picture_range(p, "divergence", &range);
    kv_picture_number(p, "scored", scored);
}
