/* Runs of a comparison: their sides, and the cells that several of them have in common. */
#include "results/compare.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
}

/* Its folder and its pack, a link, or twice the same name. */
static bool is_same_run(const struct kv_results *a, const struct kv_results *b)
{
    const bool as_long = a->started_s <= b->started_s && a->started_s >= b->started_s && a->ended_s <= b->ended_s &&
                         a->ended_s >= b->ended_s && a->n_cells == b->n_cells;
    return strcmp(a->file, b->file) == 0 || (as_long && strcmp(a->run_id, b->run_id) == 0);
}

/* A run that is named twice would look like two that agree. */
static kv_status refuse_twice(const struct kv_comparison *comparison, struct kv_error *error)
{
    for (size_t i = 0; i < comparison->n_runs; i++)
        for (size_t k = 0; k < i; k++)
            if (is_same_run(comparison->runs[k], comparison->runs[i]))
                return kv_fail(error, KV_ERROR_ARGUMENT, "%s and %s are the same run: name it once",
                               comparison->runs[k]->file, comparison->runs[i]->file);
    return KV_OK;
}

/* "A/runs.csv B/runs.csv" */
static char *join_files(const struct kv_side *side)
{
    size_t size = 1;
    for (size_t i = 0; i < side->n_runs; i++)
        size += strlen(side->runs[i]->file) + 1;
    char *text = malloc(size), *at = text;
    for (size_t i = 0; text && i < side->n_runs; i++)
        at += snprintf(at, size - (size_t)(at - text), "%s%s", i ? " " : "", side->runs[i]->file);
    return text;
}

static kv_status make_matchers(const struct kv_comparison *comparison, struct kv_side *side, struct kv_error *error)
{
    const struct kv_cell_results **cells = NULL;
    kv_status status = KV_OK;
    side->matchers = calloc(side->n_runs, sizeof *side->matchers);
    for (size_t i = 0; side->matchers && !status && i < side->n_runs; i++) {
        const struct kv_results *run = side->runs[i];
        size_t n = 0;
        cells = calloc(run->n_cells + 1, sizeof *cells);
        for (size_t k = 0; cells && k < run->n_cells; k++)
            if (kv_compare_looks_at(comparison, &run->cells[k]))
                cells[n++] = &run->cells[k];
        status = cells ? kv_matcher_create(&side->matchers[i], cells, n, kv_compare_matched(comparison),
                                           kv_compare_lacking(comparison), error)
                       : fail_memory(error);
        free(cells);
    }
    return side->matchers ? status : fail_memory(error);
}

/* The cell of run `i` of the side that agrees with this one, one that was measured where there is one; NULL: none. */
static const struct kv_cell_results *find_cell(const struct kv_side *side, size_t i, const struct kv_cell_results *cell)
{
    const struct kv_cell_results *first = NULL, *found;
    for (size_t at = 0; (found = kv_matcher_next(side->matchers[i], cell, &at)) != NULL;) {
        if (found->n)
            return found;
        first = first ? first : found;
    }
    return first;
}

/* Whether a cell of run `of` stands for those of all runs of the side that agree with it: the first that was measured,
 * or, where none was, the first. */
static bool stands_for_all(const struct kv_side *side, size_t of, const struct kv_cell_results *cell)
{
    for (size_t i = 0; i < side->n_runs; i++) {
        const struct kv_cell_results *found = i == of ? NULL : find_cell(side, i, cell);
        if (found && (i < of ? found->n || !cell->n : found->n && !cell->n))
            return false;
    }
    return true;
}

/* A side of runs [n]; its cells go to `cells`, which has room for those of all of them. */
static kv_status add_runs(struct kv_comparison *comparison, const struct kv_results *const *runs, size_t n,
                          const char *label, const struct kv_cell_results **cells, struct kv_error *error)
{
    struct kv_side *side = &comparison->sides[comparison->n_sides++];
    *side = (struct kv_side){.run = runs[0], .runs = runs, .n_runs = n, .cells = cells};
    snprintf(side->label, sizeof side->label, "%s", label);
    side->files = join_files(side);
    if (!side->files)
        return fail_memory(error);
    const kv_status status = n > 1 ? make_matchers(comparison, side, error) : KV_OK;
    for (size_t i = 0; !status && i < n; i++)
        for (size_t k = 0; k < runs[i]->n_cells; k++) {
            const struct kv_cell_results *cell = &runs[i]->cells[k];
            if (kv_compare_looks_at(comparison, cell) && (n == 1 || stands_for_all(side, i, cell)))
                cells[side->n_cells++] = cell;
        }
    return status;
}

kv_status kv_compare_add_sides(struct kv_comparison *comparison, size_t n_base, struct kv_error *error)
{
    const struct kv_results *const *runs = comparison->runs;
    const size_t n = comparison->n_runs;
    kv_status status = n > 2 ? refuse_twice(comparison, error) : KV_OK;
    if (!status)
        status = add_runs(comparison, runs, n_base, "A", comparison->cells, error);
    if (!status)
        status = add_runs(comparison, runs + n_base, n - n_base, "B", comparison->cells + comparison->sides[0].n_cells,
                          error);
    return status;
}

/* The cells of all runs of a side that agree with `cell` and have a value of the metric; found [side->n_runs]. */
static size_t find_cells(const struct kv_side *side, const struct kv_cell_results *cell, enum kv_column metric,
                         const struct kv_cell_results **found)
{
    size_t n = 0;
    for (size_t i = 0; i < side->n_runs; i++) {
        const struct kv_cell_results *of_run = side->n_runs == 1 ? cell : find_cell(side, i, cell);
        if (of_run && of_run->figures[metric].n)
            found[n++] = of_run;
    }
    return n;
}

kv_status kv_compare_judge_runs(const struct kv_comparison *comparison, const struct kv_pair *pair,
                                enum kv_column metric, struct kv_apart_judgement *judgement, struct kv_error *error)
{
    const struct kv_side *base = comparison->sides;
    const double threshold = comparison->settings.threshold;
    if (comparison->n_runs == 2)
        return kv_apart_judge(&comparison->apart, pair->base, pair->other, metric, threshold, judgement, error);
    const struct kv_cell_results **found = malloc(comparison->n_runs * sizeof *found);
    if (!found)
        return fail_memory(error);
    const size_t n_base = find_cells(base, pair->base, metric, found);
    const size_t n_other = find_cells(pair->other_side, pair->other, metric, found + n_base);
    const kv_status status = kv_apart_judge_sides(&comparison->apart, found, n_base, found + n_base, n_other, metric,
                                                  threshold, judgement, error);
    free(found);
    return status;
}

kv_status kv_compare_find_apart(struct kv_comparison *comparison, struct kv_error *error)
{
    const struct kv_side *a = &comparison->sides[0], *b = &comparison->sides[1];
    if (comparison->n_runs == 2)
        return kv_apart_find(a->run, b->run, &comparison->apart, error);
    return kv_apart_find_sides(a->runs, a->n_runs, b->runs, b->n_runs, &comparison->apart, error);
}

void kv_compare_free_side(struct kv_side *side)
{
    for (size_t i = 0; side->matchers && i < side->n_runs; i++)
        kv_matcher_free(side->matchers[i]);
    free(side->matchers);
    free(side->files);
}

const char *kv_compare_run_label(const struct kv_comparison *comparison, size_t run, char label[KV_RUN_LABEL_SIZE])
{
    const size_t n_base = comparison->sides[0].n_runs;
    const struct kv_side *side = &comparison->sides[run >= n_base];
    const size_t number = run >= n_base ? run - n_base : run;
    if (side->n_runs > 1)
        snprintf(label, KV_RUN_LABEL_SIZE, "%.4s%zu", side->label, number + 1);
    else
        snprintf(label, KV_RUN_LABEL_SIZE, "%.4s", side->label);
    return label;
}
