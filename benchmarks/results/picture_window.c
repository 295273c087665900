/* The figure of suite window: what caches of a budget cost in quality and gain in speed, against their bytes. */
#include "results/picture.h"
#include "results/precision.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Caches of one layout and type, of different budgets; all that keep every position, of whatever type, are one. */
enum { MOST_FAMILIES = 16, FAMILY_SIZE = 64 };
struct families {
    char names[MOST_FAMILIES][FAMILY_SIZE];
    int n;
};

/* Its number from 1, 0 where there are too many. */
static int family_of(struct families *families, const struct kv_cell_results *cell)
{
    const char *cache = cell->texts[KV_COLUMN_CACHE];
    char name[FAMILY_SIZE] = "all positions";
    if (kv_cache_drops(cache))
        snprintf(name, sizeof name, "%.*s, %.20s", (int)strcspn(cache, ":"), cache, cell->texts[KV_COLUMN_KV]);
    int i = 0;
    while (i < families->n && strcmp(families->names[i], name) != 0)
        i++;
    if (i == MOST_FAMILIES)
        return 0;
    if (i == families->n)
        memcpy(families->names[families->n++], name, sizeof name);
    return i + 1;
}

struct ranges {
    struct kv_range bytes, divergence, perplexity, gain;
};

/* A row of table `budgets`. */
static void write_cell(struct kv_picture *p, struct families *families, const struct kv_cell_results *quality,
                       struct ranges *ranges)
{
    struct kv_budget_quality b;
    const int family = family_of(families, quality);
    p->status = kv_budget_quality_of(p->run->results, quality, &b, p->error);
    if (p->status || !b.base || !family)
        return;
    const struct kv_sample *of = quality->figures;
    double loss[3]; /* perplexity, % above that of float32 with all positions, and its interval */
    for (int i = 0; i < 3; i++)
        loss[i] = 100 * (of[KV_COLUMN_PERPLEXITY_RATIO + i].median - 1);
    KV_PICTURE_ROW(p, family, 100 * b.share, b.divergence, of[KV_COLUMN_DIVERGENCE_LOW].median,
                   of[KV_COLUMN_DIVERGENCE_HIGH].median, loss[0], loss[1], loss[2], b.step.judged.speed,
                   b.step.gain.low, b.step.gain.high);
    kv_range_add(&ranges->bytes, 100 * b.share);
    kv_range_add(&ranges->divergence, b.divergence > 0 ? b.divergence : NAN);
    kv_range_add(&ranges->perplexity, loss[0] > 0 ? loss[0] : NAN);
    kv_range_add(&ranges->gain, b.step.judged.speed);
    kv_range_add(&p->repetitions, b.step.cell ? (double)b.step.judged.n_rounds : NAN);
    p->is_empty = false;
}

void kv_picture_window(struct kv_picture *p)
{
    static const struct kv_range none = {NAN, NAN};
    struct ranges ranges = {none, none, none, none};
    struct families families = {.n = 0};
    const char *names[MOST_FAMILIES];
    p->is_empty = true;
    kv_picture_begin(p, "budgets",
                     "family\tbytes\tdivergence\tdivergence_low\tdivergence_high\tperplexity\tperplexity_low\t"
                     "perplexity_high\tgain\tgain_low\tgain_high");
    for (size_t i = 0; i < p->n_cells && !p->status; i++)
        if (p->cells[i].cell->status == KV_CELL_OK)
            write_cell(p, &families, p->cells[i].cell, &ranges);
    kv_picture_end(p);
    for (int i = 0; i < families.n; i++)
        names[i] = families.names[i];
    kv_picture_texts(p, "layout", names, families.n);
    kv_picture_range(p, "bytes", &ranges.bytes);
    kv_picture_range(p, "divergence", &ranges.divergence);
    kv_picture_range(p, "perplexity", &ranges.perplexity);
    kv_picture_range(p, "gain", &ranges.gain);
    kv_picture_keys(p, "context", KV_COLUMN_CONTEXT_TOKENS);
}
