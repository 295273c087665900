/* Questions about cells, and finding those that agree. */
#include "results/reader.h"

#include "base/error.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

kv_column_set kv_key_columns(void)
{
    kv_column_set columns = 0;
    for (int i = 0; i < KV_N_COLUMNS; i++) {
        const enum kv_column_role role = kv_column_info((enum kv_column)i)->role;
        columns |= role == KV_ROLE_KIND || role == KV_ROLE_AXIS || role == KV_ROLE_POINT ? KV_BIT(i) : 0;
    }
    return columns;
}

bool kv_cells_agree(const struct kv_cell_results *a, const struct kv_cell_results *b, kv_column_set columns)
{
    if (a->file == KV_FILE_RUNS)
        columns &= ~KV_BIT(KV_COLUMN_CONTEXT_TOKENS);
    for (int i = 0; columns >> i; i++) {
        if (!(columns >> i & 1) || strcmp(a->texts[i], b->texts[i]) == 0)
            continue;
        if (kv_column_info((enum kv_column)i)->role != KV_ROLE_AXIS || (*a->texts[i] && *b->texts[i]))
            return false;
    }
    return true;
}

kv_column_set kv_lacking_axes(const struct kv_results *run)
{
    kv_column_set lacking = 0;
    for (int i = 0; i < KV_N_COLUMNS; i++)
        for (size_t k = 0; kv_column_info((enum kv_column)i)->role == KV_ROLE_AXIS && k < run->n_cells; k++)
            lacking |= *run->cells[k].texts[i] ? 0 : KV_BIT(i);
    return lacking;
}

/* ---- Matching -------------------------------------------------------------------------------------------------- */

struct entry {
    uint64_t hash;
    const struct kv_cell_results *cell;
    size_t order;
};

struct kv_matcher {
    struct entry *entries; /* [n] by hash, then by order */
    size_t n;
    kv_column_set columns;
    kv_column_set hashed; /* those of them in which cells that agree are equal */
};

static uint64_t hash_of(const struct kv_cell_results *cell, kv_column_set columns)
{
    uint64_t hash = 0;
    for (int i = 0; columns >> i; i++)
        if (columns >> i & 1)
            hash = kv_mix64(hash + kv_hash_bytes(cell->texts[i], strlen(cell->texts[i])));
    return hash;
}

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left, *b = right;
    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return a->order < b->order ? -1 : 1;
}

kv_status kv_matcher_create(struct kv_matcher **matcher, const struct kv_cell_results *const *cells, size_t n,
                            kv_column_set columns, kv_column_set lacking, struct kv_error *error)
{
    struct kv_matcher *created = *matcher = calloc(1, sizeof *created);
    if (created)
        created->entries = calloc(n + 1, sizeof *created->entries);
    if (!created || !created->entries) {
        free(created);
        *matcher = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to match %zu cells: close other programs", n);
    }
    created->n = n;
    created->columns = columns;
    created->hashed = columns & ~lacking & ~KV_BIT(KV_COLUMN_CONTEXT_TOKENS);
    for (size_t i = 0; i < n; i++)
        created->entries[i] = (struct entry){hash_of(cells[i], created->hashed), cells[i], i};
    qsort(created->entries, n, sizeof *created->entries, compare_entries);
    return KV_OK;
}

void kv_matcher_free(struct kv_matcher *matcher)
{
    if (matcher)
        free(matcher->entries);
    free(matcher);
}

const struct kv_cell_results *kv_matcher_next(const struct kv_matcher *matcher, const struct kv_cell_results *wanted,
                                              size_t *at)
{
    const uint64_t hash = hash_of(wanted, matcher->hashed);
    if (*at == 0) {
        size_t low = 0, high = matcher->n;
        while (low < high) {
            const size_t middle = low + (high - low) / 2;
            if (matcher->entries[middle].hash < hash)
                low = middle + 1;
            else
                high = middle;
        }
        *at = low + 1;
    }
    for (; *at <= matcher->n && matcher->entries[*at - 1].hash == hash; ++*at)
        if (kv_cells_agree(matcher->entries[*at - 1].cell, wanted, matcher->columns))
            return matcher->entries[(*at)++ - 1].cell;
    return NULL;
}

/* ---- Order ---------------------------------------------------------------------------------------------------------- */

/* Where a value stands among others of its column: as here, what is not here after them and by name. */
static size_t rank_of(const char *text)
{
    static const char *const order[] = {
        "batch",     "trace",      "grid",     "depth",    "memory",   "parts",   "precision", "quality",
        "window",    "speculate",  "copy",     "overflow", "kernels",  "matmul",  "attention", "c_attn",
        "attn_proj", "c_fc",       "mlp_proj", "lm_head",  "decode",   "prefill", "naive",     "cached",
        "f32",       "contiguous", "none",     "packed",   "openblas", "amx",     "avx512",    "avx2",
    };
    size_t i = 0;
    while (i < sizeof order / sizeof *order && strcmp(order[i], text) != 0)
        i++;
    return i;
}

int kv_cells_compare(const void *left, const void *right)
{
    static const enum kv_column columns[] = {
        KV_COLUMN_SUITE,         KV_COLUMN_KERNEL,     KV_COLUMN_SHAPE,    KV_COLUMN_BATCH, KV_COLUMN_CONTEXT_TOKENS,
        KV_COLUMN_PROMPT_TOKENS, KV_COLUMN_NEW_TOKENS, KV_COLUMN_ROWS,     KV_COLUMN_PATH,  KV_COLUMN_WEIGHTS,
        KV_COLUMN_CACHE,         KV_COLUMN_KV,         KV_COLUMN_GEMM,     KV_COLUMN_ISA,   KV_COLUMN_THREADS,
        KV_COLUMN_CHUNK,         KV_COLUMN_SPECULATE,  KV_COLUMN_OVERFLOW,
    };
    const struct kv_cell_results *a = *(const struct kv_cell_results *const *)left;
    const struct kv_cell_results *b = *(const struct kv_cell_results *const *)right;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    for (size_t i = 0; i < sizeof columns / sizeof *columns; i++) {
        const enum kv_column c = columns[i];
        const bool is_text = kv_column_info(c)->type == KV_TYPE_TEXT;
        const double rank_a = is_text ? (double)rank_of(a->texts[c]) : a->numbers[c];
        const double rank_b = is_text ? (double)rank_of(b->texts[c]) : b->numbers[c];
        const int by_name = is_text ? strcmp(a->texts[c], b->texts[c]) : 0;
        if (rank_a != rank_b && !isnan(rank_a) && !isnan(rank_b))
            return rank_a < rank_b ? -1 : 1;
        if (by_name)
            return by_name;
    }
    return a < b ? -1 : 1;
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

bool kv_column_varies(const struct kv_results *results, const char *suite, enum kv_column column)
{
    const char *first = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if ((suite ? !kv_cell_is(cell, KV_COLUMN_SUITE, suite) : cell->file != results->cells[0].file) ||
            !*cell->texts[column])
            continue;
        if (first && strcmp(cell->texts[column], first) != 0)
            return true;
        first = cell->texts[column];
    }
    return false;
}

bool kv_suite_has_ratio(const struct kv_results *results, const char *suite)
{
    for (size_t i = 0; i < results->n_cells; i++)
        for (size_t k = 0; k < results->n_cells; k++) {
            const struct kv_cell_results *cell = &results->cells[i], *naive = &results->cells[k];
            if (kv_cell_is(cell, KV_COLUMN_SUITE, suite) && !kv_cell_is(cell, KV_COLUMN_PATH, "naive") &&
                kv_cell_is(naive, KV_COLUMN_PATH, "naive") && cell->figures[KV_COLUMN_TTPT_MS].n &&
                naive->figures[KV_COLUMN_TTPT_MS].n &&
                kv_cells_agree(naive, cell, kv_key_columns() & ~KV_BIT(KV_COLUMN_PATH)))
                return true;
        }
    return false;
}

bool kv_cell_is_timed(const struct kv_cell_results *cell)
{
    return cell->status == KV_CELL_OK && !kv_cell_is(cell, KV_COLUMN_SUITE, "memory") &&
           !cell->figures[KV_COLUMN_HELD_SEQUENCES].n;
}

const struct kv_cell_results *kv_load_base(const struct kv_results *results, const struct kv_cell_results *cell)
{
    for (size_t i = 0; cell->figures[KV_COLUMN_HELD_SEQUENCES].n && i < results->n_cells; i++)
        if (results->cells[i].figures[KV_COLUMN_HELD_SEQUENCES].n &&
            kv_cell_is(&results->cells[i], KV_COLUMN_CACHE, "contiguous") &&
            kv_cells_agree(&results->cells[i], cell, kv_key_columns() & ~KV_BIT(KV_COLUMN_CACHE)))
            return &results->cells[i];
    return NULL;
}

double kv_load_use(const struct kv_cell_results *cell)
{
    if (!cell->figures[KV_COLUMN_HELD_SEQUENCES].n)
        return NAN;
    return cell->figures[KV_COLUMN_KV_LIVE_BYTES].median / cell->figures[KV_COLUMN_KV_RESERVED_BYTES].median;
}

bool kv_cell_is(const struct kv_cell_results *cell, enum kv_column column, const char *text)
{
    return strcmp(cell->texts[column], text) == 0;
}

double kv_results_bandwidth(const struct kv_results *results, int threads)
{
    double best = NAN;
    for (size_t i = 0; i < results->n_limits; i++)
        if (results->limits[i].threads == threads)
            best = fmax(best, results->limits[i].read_bytes_per_s);
    return best;
}

double kv_results_peak(const struct kv_results *results, int threads)
{
    double best = NAN;
    for (size_t i = 0; i < results->n_limits; i++)
        if (results->limits[i].threads == threads)
            best = fmax(best, results->limits[i].fma_flop_per_s);
    return best;
}
