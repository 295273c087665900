/* Sides, pairs and sections of a comparison. */
#include "results/compare.h"

#include "base/error.h"
#include "base/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
}

/* ---- Columns ---------------------------------------------------------------------------------------------------- */

/* What cells are told apart by: the columns of their ids, and what is the same for all cells of a run. */
static kv_column_set all_keys(void)
{
    return kv_key_columns() | KV_BIT(KV_COLUMN_MODEL) | KV_BIT(KV_COLUMN_WEIGHTS_SOURCE);
}

static bool is_metric(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    bool in_file = false;
    for (int kind = 0; kind < KV_N_FILES; kind++)
        for (int i = 0; i < kv_file_info((enum kv_file_kind)kind)->n_columns; i++)
            in_file = in_file || ((kind == KV_FILE_RUNS || kind == KV_FILE_KERNELS) &&
                                  kv_file_info((enum kv_file_kind)kind)->columns[i] == column);
    return in_file && (role == KV_ROLE_TIME || role == KV_ROLE_RATE);
}

static kv_column_set all_metrics(void)
{
    kv_column_set metrics = 0;
    for (int i = 0; i < KV_N_COLUMNS; i++)
        metrics |= is_metric((enum kv_column)i) ? KV_BIT(i) : 0;
    return metrics;
}

static const struct kv_choice *choice_of(kv_column_set columns, int index)
{
    static _Thread_local struct kv_choice choice;
    for (int i = 0; index >= 0 && i < KV_N_COLUMNS; i++)
        if (columns >> i & 1 && index-- == 0) {
            choice = (struct kv_choice){kv_column_info((enum kv_column)i)->name,
                                        kv_column_info((enum kv_column)i)->meaning};
            return &choice;
        }
    return NULL;
}

const struct kv_choice *kv_compare_key_choice(int index)
{
    return choice_of(all_keys(), index);
}

const struct kv_choice *kv_compare_metric_choice(int index)
{
    return choice_of(all_metrics(), index);
}

static kv_column_set columns_of(enum kv_file_kind kind)
{
    kv_column_set columns = 0;
    for (int i = 0; i < kv_file_info(kind)->n_columns; i++)
        columns |= KV_BIT(kv_file_info(kind)->columns[i]);
    return columns;
}

bool kv_compare_looks_at(const struct kv_comparison *comparison, const struct kv_cell_results *cell)
{
    return comparison->files >> cell->file & 1;
}

kv_column_set kv_compare_matched(const struct kv_comparison *comparison)
{
    const struct kv_compare_settings *settings = &comparison->settings;
    return comparison->keys & ~settings->ignored & ~(settings->by < KV_N_COLUMNS ? KV_BIT(settings->by) : 0);
}

kv_column_set kv_compare_lacking(const struct kv_comparison *comparison)
{
    kv_column_set lacking = 0;
    for (size_t i = 0; i < comparison->n_runs; i++)
        lacking |= kv_lacking_axes(comparison->runs[i]);
    return lacking;
}

static void find_keys(struct kv_comparison *comparison, const struct kv_results *base)
{
    for (int kind = 0; kind < KV_N_FILES; kind++)
        for (int i = 0; i < comparison->settings.n_metrics; i++)
            if (columns_of((enum kv_file_kind)kind) & KV_BIT(comparison->settings.metrics[i]))
                comparison->files |= UINT64_C(1) << kind;
    for (int kind = 0; kind < KV_N_FILES; kind++)
        for (size_t i = 0; i < base->n_cells; i++)
            if (base->cells[i].file == (enum kv_file_kind)kind && kv_compare_looks_at(comparison, &base->cells[i])) {
                comparison->keys |= all_keys() & columns_of((enum kv_file_kind)kind);
                if (kind == KV_FILE_RUNS)
                    comparison->keys &= ~KV_BIT(KV_COLUMN_CONTEXT_TOKENS); /* of which prompt and new tokens tell */
                break;
            }
}

/* ---- Sides ------------------------------------------------------------------------------------------------------- */

static void add_side(struct kv_comparison *comparison, const struct kv_results *run, const char *value)
{
    const struct kv_column_info *by = kv_column_info(comparison->settings.by);
    struct kv_side *side = &comparison->sides[comparison->n_sides++];
    *side = (struct kv_side){.run = run, .runs = comparison->runs, .n_runs = 1, .value = value};
    if (by->type == KV_TYPE_COUNT) /* a number says nothing without its name */
        snprintf(side->label, sizeof side->label, "%s %s", by->name, value);
    else
        snprintf(side->label, sizeof side->label, "%s", *value ? value : "(empty)");
    for (char *c = side->label; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
}

/* The cells of a run that are looked at, on the side of their value; one to which an axis does not apply is on none. So
 * that a run may have a side a cell, they are found by hash: buckets [n_buckets], all 0, take numbers of sides from 1. */
static void place_cells(struct kv_comparison *comparison, const struct kv_results *run, size_t *buckets,
                        size_t n_buckets, size_t *side_of)
{
    const enum kv_column by = comparison->settings.by;
    for (size_t i = 0; i < run->n_cells; i++) {
        const char *value = run->cells[i].texts[by];
        side_of[i] = 0;
        if (!kv_compare_looks_at(comparison, &run->cells[i]) || (!*value && kv_column_info(by)->role == KV_ROLE_AXIS))
            continue;
        size_t at = kv_hash_bytes(value, strlen(value)) % n_buckets;
        while (buckets[at] && strcmp(comparison->sides[buckets[at] - 1].value, value) != 0)
            at = (at + 1) % n_buckets;
        if (!buckets[at]) {
            add_side(comparison, run, value);
            buckets[at] = comparison->n_sides;
        }
        side_of[i] = buckets[at];
        comparison->sides[buckets[at] - 1].n_cells++;
    }
    const struct kv_cell_results **next = comparison->cells;
    for (size_t i = 0; i < comparison->n_sides; i++) {
        comparison->sides[i].cells = next;
        next += comparison->sides[i].n_cells;
        comparison->sides[i].n_cells = 0;
    }
    for (size_t i = 0; i < run->n_cells; i++)
        if (side_of[i]) {
            struct kv_side *side = &comparison->sides[side_of[i] - 1];
            side->cells[side->n_cells++] = &run->cells[i];
        }
}

static kv_status find_values(struct kv_comparison *comparison, const struct kv_results *run, struct kv_error *error)
{
    const size_t n_buckets = 2 * run->n_cells + 1;
    size_t *buckets = calloc(n_buckets, sizeof *buckets), *side_of = calloc(run->n_cells + 1, sizeof *side_of);
    const bool has_memory = buckets && side_of;
    if (has_memory)
        place_cells(comparison, run, buckets, n_buckets, side_of);
    free(buckets);
    free(side_of);
    return has_memory ? KV_OK : fail_memory(error);
}

static kv_status fail_base(const struct kv_comparison *comparison, struct kv_error *error)
{
    char values[160] = "";
    for (size_t i = 0, length = 0; i < comparison->n_sides && length < sizeof values; i++)
        length += (size_t)snprintf(values + length, sizeof values - length, "%s%s", i ? ", " : "",
                                   comparison->sides[i].label);
    return kv_fail(error, KV_ERROR_ARGUMENT, "--base: %s has no %s \"%.60s\", only %s", comparison->sides[0].run->file,
                   kv_column_info(comparison->settings.by)->name, comparison->settings.base, values);
}

static kv_status move_base_first(struct kv_comparison *comparison, struct kv_error *error)
{
    const char *base = comparison->settings.base;
    size_t at = 0;
    while (base && at < comparison->n_sides && strcmp(comparison->sides[at].value, base) != 0)
        at++;
    if (at == comparison->n_sides)
        return fail_base(comparison, error);
    const struct kv_side side = comparison->sides[at];
    memmove(comparison->sides + 1, comparison->sides, at * sizeof side);
    comparison->sides[0] = side;
    return KV_OK;
}

/* The first n_base runs are one side and the others the other; without others, values of a column of the run are. */
static kv_status find_sides(struct kv_comparison *comparison, size_t n_base, struct kv_error *error)
{
    const struct kv_results *base = comparison->runs[0];
    size_t n_cells = 0;
    for (size_t i = 0; i < comparison->n_runs; i++)
        n_cells += comparison->runs[i]->n_cells;
    comparison->sides = calloc(base->n_cells + 2, sizeof *comparison->sides);
    comparison->cells = calloc(n_cells + 1, sizeof *comparison->cells);
    if (!comparison->sides || !comparison->cells)
        return fail_memory(error);
    if (n_base < comparison->n_runs)
        return kv_compare_add_sides(comparison, n_base, error);
    const char *by = kv_column_info(comparison->settings.by)->name;
    if (!base->n_cells)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s has no rows: measure first, with kvbench bench", base->file);
    kv_status status = find_values(comparison, base, error);
    if (status)
        return status;
    if (!comparison->n_sides)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--by %s: no row of %s has a value of it", by, base->file);
    status = move_base_first(comparison, error);
    if (!status && comparison->n_sides == 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--by %s: %s has only %s \"%.60s\"; measure another, or name two runs",
                       by, base->file, by, comparison->sides[0].value);
    return status;
}

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

static kv_status fail_ambiguous(const struct kv_side *side, const struct kv_cell_results *a,
                                const struct kv_cell_results *b, struct kv_error *error)
{
    int key = 0;
    while (key < KV_N_COLUMNS && (!(all_keys() >> key & 1) || strcmp(a->texts[key], b->texts[key]) == 0))
        key++;
    if (key == KV_N_COLUMNS)
        return kv_fail(
            error, KV_ERROR_FORMAT,
            "%s has two cells that are the same in all but their column \"cell\", %.80s and %.80s: correct it",
            side->run->file, a->id, b->id);
    const char *name = kv_column_info((enum kv_column)key)->name;
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "%s has cells that differ only in what --ignore leaves out, such as %s \"%.60s\" and "
                   "\"%.60s\": take %s out of --ignore",
                   side->run->file, name, a->texts[key], b->texts[key], name);
}

static void *grow(void *array, size_t n, size_t size)
{
    /* at the powers of two */
    return n & (n - 1) ? array : realloc(array, (n ? 2 * n : 1) * size);
}

static kv_status add_pair(struct kv_comparison *comparison, struct kv_pair pair, struct kv_error *error)
{
    struct kv_pair *pairs = grow(comparison->pairs, comparison->n_pairs, sizeof *pairs);
    if (!pairs)
        return fail_memory(error);
    comparison->pairs = pairs;
    pairs[comparison->n_pairs++] = pair;
    return KV_OK;
}

static kv_status add_unmatched(struct kv_comparison *comparison, struct kv_unmatched one, struct kv_error *error)
{
    struct kv_unmatched *unmatched = grow(comparison->unmatched, comparison->n_unmatched, sizeof *unmatched);
    if (!unmatched)
        return fail_memory(error);
    comparison->unmatched = unmatched;
    unmatched[comparison->n_unmatched++] = one;
    return KV_OK;
}

/* Looks for one cell of `from` in `in`. It may have several there: those that differ in an axis that does not apply to
 * the one; two that it cannot tell apart are an error. Pairs come of the base's cells only, so that each is one. */
static kv_status match_cell(struct kv_comparison *comparison, const struct kv_side *from, const struct kv_side *in,
                            const struct kv_matcher *matcher, const struct kv_cell_results *cell,
                            struct kv_error *error)
{
    const struct kv_cell_results *found, *before = NULL;
    bool any = false;
    const char *problem = "not";
    kv_status status = KV_OK;
    for (size_t at = 0; !status && (found = kv_matcher_next(matcher, cell, &at)) != NULL; before = found) {
        if (before && kv_cells_agree(before, found, kv_compare_matched(comparison)))
            return fail_ambiguous(in, before, found, error);
        if (!found->n) {
            problem = found->n_failed ? "failed" : found->n_skipped ? "skipped" : "stalled";
            continue;
        }
        any = true;
        if (from == comparison->sides)
            status = add_pair(comparison, (struct kv_pair){cell, found, in}, error);
    }
    return any || status ? status : add_unmatched(comparison, (struct kv_unmatched){cell, from, in, problem}, error);
}

/* `matcher` is of the cells of `in`. */
static kv_status match(struct kv_comparison *comparison, const struct kv_side *from, const struct kv_side *in,
                       const struct kv_matcher *matcher, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < from->n_cells; i++)
        if (from->cells[i]->n)
            status = match_cell(comparison, from, in, matcher, from->cells[i], error);
    return status;
}

/* ---- Why there is no pair ---------------------------------------------------------------------------------------- */

static int compare_texts(const void *left, const void *right)
{
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Whether a cell of either side has the same text in the column. texts [b->n_cells] is scratch. */
static bool have_common(const struct kv_side *a, const struct kv_side *b, int key, const char **texts)
{
    for (size_t i = 0; i < b->n_cells; i++)
        texts[i] = b->cells[i]->texts[key];
    qsort(texts, b->n_cells, sizeof *texts, compare_texts);
    for (size_t i = 0; i < a->n_cells; i++)
        if (bsearch(&a->cells[i]->texts[key], texts, b->n_cells, sizeof *texts, compare_texts))
            return true;
    return false;
}

/* "gemm,isa": the columns in which two runs have no value in common */
static void list_disjoint(const struct kv_comparison *comparison, char *list, size_t size)
{
    const struct kv_side *a = &comparison->sides[0], *b = &comparison->sides[1];
    const char **texts = malloc((b->n_cells + 1) * sizeof *texts);
    size_t length = 0;
    *list = '\0';
    for (int key = 0; texts && key < KV_N_COLUMNS; key++)
        if (kv_compare_matched(comparison) >> key & 1 && length < size && !have_common(a, b, key, texts))
            length += (size_t)snprintf(list + length, size - length, "%s%s", length ? "," : "",
                                       kv_column_info((enum kv_column)key)->name);
    free(texts);
}

static bool is_measured(const struct kv_side *side)
{
    for (size_t i = 0; i < side->n_cells; i++)
        if (side->cells[i]->n)
            return true;
    return false;
}

static kv_status fail_without_pairs(const struct kv_comparison *comparison, struct kv_error *error)
{
    const struct kv_side *base = comparison->sides;
    char columns[160];
    for (size_t i = 0; i < comparison->n_sides; i++)
        if (!is_measured(&base[i]))
            return kv_fail(error, KV_ERROR_ARGUMENT, "nothing to compare: %s has no row that is ok%s%s; see its errors",
                           base[i].run->file, base[i].value ? " of " : "", base[i].value ? base[i].label : "");
    if (base->value)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: no cells of %s differ in %s alone; --ignore what else differs",
                       base->run->file, kv_column_info(comparison->settings.by)->name);
    list_disjoint(comparison, columns, sizeof columns);
    if (*columns)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: %s and %s have no value of %s in common; to compare all the same: "
                       "--ignore %s",
                       base[0].files, base[1].files, columns, columns);
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "nothing to compare: no cell is in both %s and %s with a row that is ok; measure the same",
                   base[0].files, base[1].files);
}

static kv_status find_pairs(struct kv_comparison *comparison, struct kv_error *error)
{
    const kv_column_set columns = kv_compare_matched(comparison);
    const kv_column_set lacking = kv_compare_lacking(comparison);
    struct kv_side *base = comparison->sides;
    struct kv_matcher *of_base, *of_side;
    kv_status status = kv_matcher_create(&of_base, base->cells, base->n_cells, columns, lacking, error);
    for (size_t i = 1; !status && i < comparison->n_sides; i++) {
        struct kv_side *side = &comparison->sides[i];
        side->first_pair = comparison->n_pairs;
        status = kv_matcher_create(&of_side, side->cells, side->n_cells, columns, lacking, error);
        if (!status)
            status = match(comparison, base, side, of_side, error);
        side->n_pairs = comparison->n_pairs - side->first_pair;
        if (!status)
            status = match(comparison, side, base, of_base, error);
        kv_matcher_free(of_side);
    }
    kv_matcher_free(of_base);
    return status || comparison->n_pairs ? status : fail_without_pairs(comparison, error);
}

/* An axis that does not apply to a pair, such as the cache of a path that keeps nothing, varies from nothing. */
static bool pairs_vary(const struct kv_comparison *comparison, enum kv_column key)
{
    char first[256] = "", text[256];
    for (size_t i = 0; i < comparison->n_pairs; i++) {
        kv_pair_key(&comparison->pairs[i], key, text, sizeof text);
        if (*first && *text && strcmp(first, text) != 0)
            return true;
        if (!*first)
            memcpy(first, text, sizeof first);
    }
    return false;
}

/* What does not apply to a cell differs from nothing. */
static bool cells_vary(const struct kv_comparison *comparison, int key)
{
    const char *first = NULL;
    for (size_t i = 0; i < comparison->n_sides; i++) {
        const struct kv_side *side = &comparison->sides[i];
        for (size_t k = 0; k < side->n_cells; k++) {
            const char *value = side->cells[k]->texts[key];
            if (first && *value && strcmp(value, first) != 0)
                return true;
            first = *value ? value : first;
        }
    }
    return false;
}

static void find_shown(struct kv_comparison *comparison)
{
    for (int key = 0; key < KV_N_COLUMNS; key++)
        comparison->varying |= cells_vary(comparison, key) ? KV_BIT(key) : 0;
    for (int key = 0; key < KV_N_COLUMNS; key++)
        if (comparison->keys >> key & 1 && comparison->settings.by != (enum kv_column)key &&
            (key == KV_COLUMN_PATH || key == KV_COLUMN_BATCH || pairs_vary(comparison, (enum kv_column)key)))
            comparison->shown |= KV_BIT(key);
}

/* ---- Sections ---------------------------------------------------------------------------------------------------- */

static kv_status summarize(struct kv_section *section, struct kv_error *error)
{
    double *ratios = calloc(section->n_results + 1, sizeof *ratios);
    if (!ratios)
        return fail_memory(error);
    for (size_t i = 0; i < section->n_results; i++) {
        const struct kv_judgement *j = &section->results[i].judgement;
        /* without a common round there is still a ratio of the medians */
        ratios[i] = isnan(j->ratio) ? j->median_other / j->median_base : j->ratio;
        section->n_verdicts[section->results[i].judgement.verdict]++;
    }
    section->geometric_mean = kv_stats_geometric_mean(ratios, section->n_results);
    free(ratios);
    return KV_OK;
}

static kv_status judge(const struct kv_comparison *comparison, const struct kv_pair *pair, enum kv_column metric,
                       struct kv_result *result, struct kv_error *error)
{
    const double threshold = comparison->settings.threshold;
    struct kv_apart_judgement apart;
    *result = (struct kv_result){.pair = pair, .log_factor = NAN};
    if (comparison->settings.by < KV_N_COLUMNS)
        return kv_judge(pair->base, pair->other, metric, threshold, &result->judgement, error);
    const kv_status status = kv_compare_judge_runs(comparison, pair, metric, &apart, error);
    if (!status)
        *result = (struct kv_result){pair, apart.judged, apart.log_factor, apart.corrected_by};
    return status;
}

/* Judges the section's pairs into `results`. */
static kv_status fill_section(const struct kv_comparison *comparison, struct kv_section *section,
                              struct kv_result *results, struct kv_error *error)
{
    section->results = results;
    const struct kv_side *other = section->other;
    for (size_t i = other->first_pair; i < other->first_pair + other->n_pairs; i++) {
        const struct kv_pair *pair = &comparison->pairs[i];
        if (!(columns_of(pair->base->file) & KV_BIT(section->metric)))
            continue;
        if (!pair->base->figures[section->metric].n || !pair->other->figures[section->metric].n) {
            section->n_unknown++;
            continue;
        }
        const kv_status status = judge(comparison, pair, section->metric, &results[section->n_results++], error);
        if (status)
            return status;
    }
    return summarize(section, error);
}

static kv_status fill_sections(struct kv_comparison *comparison, struct kv_error *error)
{
    const size_t n_others = comparison->n_sides - 1, n_metrics = (size_t)comparison->settings.n_metrics;
    comparison->sections = calloc(n_metrics * n_others, sizeof *comparison->sections);
    comparison->results = calloc(n_metrics * comparison->n_pairs, sizeof *comparison->results);
    if (!comparison->sections || !comparison->results)
        return fail_memory(error);
    struct kv_result *next = comparison->results;
    for (size_t i = 0; i < n_metrics; i++)
        for (size_t j = 0; j < n_others; j++) {
            struct kv_section *section = &comparison->sections[comparison->n_sections++];
            section->metric = comparison->settings.metrics[i];
            section->other = &comparison->sides[1 + j];
            const kv_status status = fill_section(comparison, section, next, error);
            if (status)
                return status;
            next += section->n_results;
        }
    if (next == comparison->results)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: no cell has %s on both sides; name another with --metric",
                       kv_column_info(comparison->settings.metrics[0])->name);
    return KV_OK;
}

/* ---- The comparison ---------------------------------------------------------------------------------------------- */

kv_status kv_compare_sides(struct kv_comparison **comparison, const struct kv_results *const *bases, size_t n_bases,
                           const struct kv_results *const *others, size_t n_others,
                           const struct kv_compare_settings *settings, struct kv_error *error)
{
    *comparison = NULL;
    struct kv_comparison *created = calloc(1, sizeof *created);
    if (created)
        created->runs = malloc((n_bases + n_others) * sizeof *created->runs);
    if (!created || !created->runs) {
        free(created);
        return fail_memory(error);
    }
    for (size_t i = 0; i < n_bases + n_others; i++)
        created->runs[created->n_runs++] = i < n_bases ? bases[i] : others[i - n_bases];
    created->settings = *settings;
    find_keys(created, bases[0]);
    kv_status status = find_sides(created, n_bases, error);
    if (!status)
        status = find_pairs(created, error);
    if (!status && n_others)
        status = kv_compare_contexts(created, error);
    if (!status && n_others)
        status = kv_compare_find_apart(created, error);
    if (!status) {
        find_shown(created);
        status = fill_sections(created, error);
    }
    if (status)
        kv_comparison_free(created);
    else
        *comparison = created;
    return status;
}

kv_status kv_compare(struct kv_comparison **comparison, const struct kv_results *base, const struct kv_results *other,
                     const struct kv_compare_settings *settings, struct kv_error *error)
{
    return kv_compare_sides(comparison, &base, 1, &other, other ? 1 : 0, settings, error);
}

void kv_comparison_free(struct kv_comparison *comparison)
{
    if (!comparison)
        return;
    for (size_t i = 0; i < comparison->n_sides; i++)
        kv_compare_free_side(&comparison->sides[i]);
    free(comparison->runs);
    free(comparison->sides);
    free(comparison->cells);
    free(comparison->pairs);
    free(comparison->unmatched);
    free(comparison->sections);
    free(comparison->results);
    free(comparison->differences);
    free(comparison);
}

size_t kv_compare_regressions(const struct kv_comparison *comparison, double above, const struct kv_section **section,
                              const struct kv_result **worst)
{
    size_t n = 0;
    *section = NULL;
    *worst = NULL;
    for (size_t i = 0; i < comparison->n_sections; i++)
        for (size_t j = 0; j < comparison->sections[i].n_results; j++) {
            const struct kv_result *result = &comparison->sections[i].results[j];
            const struct kv_judgement *judged = &result->judgement;
            if (judged->verdict != KV_EFFECT_SLOWER || !(1 / judged->speed > 1 + above))
                continue;
            n++;
            if (!*worst || judged->speed < (*worst)->judgement.speed) {
                *section = &comparison->sections[i];
                *worst = result;
            }
        }
    return n;
}

bool kv_compare_can_judge(const struct kv_comparison *comparison)
{
    for (size_t i = 0; i < comparison->n_sections; i++)
        for (size_t k = 0; k < comparison->sections[i].n_results; k++)
            if (!isnan(comparison->sections[i].results[k].judgement.interval.low))
                return true;
    return false;
}
