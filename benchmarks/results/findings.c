/* What the figures say, as data. */
#include "results/findings.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The path that the others are held against. */
#define BASE_PATH "naive"
/* More comparisons of one arm in a suite are told as a range. */
#define MAX_LINES 6
/* A growth with its interval within this of 1 is called flat. */
#define FLAT 0.1

struct finder {
    const struct kv_results *results;
    struct kv_finding *findings; /* [n] */
    size_t n, capacity;
    struct kv_error *error;
    kv_status status; /* of the first thing that went wrong: nothing is added after it */
};

static void *allocate(struct finder *finder, size_t n, size_t size)
{
    void *memory = calloc(n + 1, size);
    if (!memory && !finder->status)
        finder->status = kv_fail(finder->error, KV_ERROR_MEMORY, "no memory for the findings: close other programs");
    return memory;
}

static void add(struct finder *finder, struct kv_finding finding)
{
    if (finder->status)
        return;
    if (finder->n == finder->capacity) {
        struct kv_finding *grown = allocate(finder, 2 * finder->capacity + 15, sizeof *grown);
        if (!grown)
            return;
        if (finder->n)
            memcpy(grown, finder->findings, finder->n * sizeof *grown);
        free(finder->findings);
        finder->findings = grown;
        finder->capacity = 2 * finder->capacity + 16;
    }
    finder->findings[finder->n++] = finding;
}

/* ---- Speeds: an arm against the base arm ------------------------------------------------------------------------ */

/* What the cells of one arm in one suite are against the base: [n]. */
struct comparisons {
    struct pair {
        const struct kv_cell_results *base, *cell;
        double speed;
        struct kv_stats_interval interval; /* of speed */
        enum kv_verdict verdict;
    } * pairs;
    size_t n;
    enum kv_column axis;
};

static struct kv_stats_interval inverse(struct kv_stats_interval interval)
{
    return (struct kv_stats_interval){1 / interval.high, 1 / interval.low};
}

static bool is_different(const struct pair *pair)
{
    return pair->verdict == KV_VERDICT_FASTER || pair->verdict == KV_VERDICT_SLOWER;
}

static void find_pair(struct finder *finder, const struct pair *pair, enum kv_column axis)
{
    add(finder, (struct kv_finding){
                    .kind = is_different(pair) ? KV_FINDING_SPEED : KV_FINDING_NO_DIFFERENCE,
                    .axis = axis,
                    .cell = pair->cell,
                    .base = pair->base,
                    .value = pair->speed,
                    .interval = pair->interval,
                    .n = 1,
                    .n_of = 1,
                });
}

static void find_range(struct finder *finder, const struct comparisons *all)
{
    const struct pair *least = NULL, *most = NULL;
    size_t n[KV_N_VERDICTS] = {0};
    for (size_t i = 0; i < all->n; i++) {
        const struct pair *pair = &all->pairs[i];
        n[pair->verdict]++;
        if (!is_different(pair))
            continue;
        least = !least || pair->speed < least->speed ? pair : least;
        most = !most || pair->speed > most->speed ? pair : most;
    }
    struct kv_finding finding = {
        .axis = all->axis, .cell = all->pairs[0].cell, .base = all->pairs[0].base, .n_of = all->n};
    if (least) {
        finding.kind = KV_FINDING_SPEED_RANGE;
        finding.cell = least->cell;
        finding.base = least->base;
        finding.value = least->speed;
        finding.interval = least->interval;
        finding.cell_2 = most->cell;
        finding.value_2 = most->speed;
        finding.interval_2 = most->interval;
        finding.n = n[KV_VERDICT_FASTER] + n[KV_VERDICT_SLOWER];
        add(finder, finding);
    }
    finding.value = finding.value_2 = NAN;
    finding.kind = KV_FINDING_NO_DIFFERENCE;
    if ((finding.n = n[KV_VERDICT_NONE]))
        add(finder, finding);
}

/* What cannot be told is told once. */
static void find_undecided(struct finder *finder, const struct comparisons *all)
{
    const struct pair *first = NULL;
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        if (all->pairs[i].verdict == KV_VERDICT_UNDECIDED && !n++)
            first = &all->pairs[i];
    if (first)
        add(finder, (struct kv_finding){.kind = KV_FINDING_UNDECIDED,
                                        .axis = all->axis,
                                        .cell = first->cell,
                                        .base = first->base,
                                        .n = n,
                                        .n_of = all->n});
}

/* The value of an axis that others in the suite are held against: the naive path, or what was measured first. */
static const char *base_value(const struct kv_results *results, const char *suite, enum kv_column axis)
{
    if (axis == KV_COLUMN_PATH)
        return BASE_PATH;
    for (size_t i = 0; i < results->n_cells; i++)
        if (kv_cell_is(&results->cells[i], KV_COLUMN_SUITE, suite) && *results->cells[i].texts[axis])
            return results->cells[i].texts[axis];
    return "";
}

/* Of one arm: those of one suite and path that have the same value of the axis. */
static bool same_arm(const struct kv_cell_results *a, const struct kv_cell_results *b, enum kv_column axis)
{
    return kv_cell_is(a, KV_COLUMN_SUITE, b->texts[KV_COLUMN_SUITE]) &&
           kv_cell_is(a, KV_COLUMN_PATH, b->texts[KV_COLUMN_PATH]) && kv_cell_is(a, axis, b->texts[axis]);
}

static bool has_speed(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_RUNS && kv_cell_is_timed(cell) && cell->figures[KV_COLUMN_TTPT_MS].n > 1;
}

static void compare(struct finder *finder, const struct kv_matcher *matcher, const struct kv_cell_results *cell,
                    const char *base, struct comparisons *all)
{
    const struct kv_cell_results *other;
    for (size_t at = 0; !finder->status && (other = kv_matcher_next(matcher, cell, &at)) != NULL;) {
        if (other == cell || !kv_cell_is(other, all->axis, base) || !has_speed(other))
            continue;
        struct kv_judgement j;
        finder->status = kv_judge(other, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_ALPHA, KV_JUDGE_NOISE, &j, finder->error);
        all->pairs[all->n++] = (struct pair){other, cell, j.speed, inverse(j.interval), j.verdict};
        return;
    }
}

static void find_speeds_of(struct finder *finder, enum kv_column axis)
{
    const struct kv_results *results = finder->results;
    const size_t n = results->n_cells;
    const struct kv_cell_results **cells = allocate(finder, n, sizeof *cells);
    struct comparisons all = {allocate(finder, n, sizeof *all.pairs), 0, axis};
    bool *told = allocate(finder, n, sizeof *told);
    struct kv_matcher *matcher = NULL;
    for (size_t i = 0; !finder->status && i < n; i++)
        cells[i] = &results->cells[i];
    if (!finder->status)
        finder->status = kv_matcher_create(&matcher, cells, n, kv_key_columns() & ~KV_BIT(axis), finder->error);
    for (size_t i = 0; !finder->status && i < n; i++) {
        const char *base = base_value(results, cells[i]->texts[KV_COLUMN_SUITE], axis);
        if (told[i] || !*cells[i]->texts[axis] || kv_cell_is(cells[i], axis, base))
            continue;
        all.n = 0;
        for (size_t k = i; k < n; k++)
            if (same_arm(cells[k], cells[i], axis)) {
                told[k] = true;
                if (has_speed(cells[k]))
                    compare(finder, matcher, cells[k], base, &all);
            }
        if (all.n > MAX_LINES)
            find_range(finder, &all);
        for (size_t k = 0; all.n <= MAX_LINES && k < all.n; k++)
            if (all.pairs[k].verdict != KV_VERDICT_UNDECIDED)
                find_pair(finder, &all.pairs[k], axis);
        find_undecided(finder, &all);
    }
    kv_matcher_free(matcher);
    free(cells);
    free(all.pairs);
    free(told);
}

static void find_speeds(struct finder *finder)
{
    find_speeds_of(finder, KV_COLUMN_PATH);
    for (int i = 0; i < KV_N_COLUMNS; i++)
        if (i != KV_COLUMN_PATH && kv_column_info((enum kv_column)i)->role == KV_ROLE_AXIS &&
            kv_column_varies(finder->results, NULL, (enum kv_column)i))
            find_speeds_of(finder, (enum kv_column)i);
}

/* ---- Flat or growing --------------------------------------------------------------------------------------------- */

static enum kv_growth growth_of(enum kv_verdict of_late, struct kv_stats_interval interval)
{
    if (of_late == KV_VERDICT_UNDECIDED)
        return KV_GROWTH_UNDECIDED;
    if (interval.low >= 1 - FLAT && interval.high <= 1 + FLAT)
        return KV_GROWTH_FLAT;
    return of_late == KV_VERDICT_SLOWER   ? KV_GROWTH_GROWS
           : of_late == KV_VERDICT_FASTER ? KV_GROWTH_FALLS
                                          : KV_GROWTH_NONE;
}

static void find_trace_growth(struct finder *finder)
{
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        const struct kv_sample *growth = &cell->token_figures[KV_TOKEN_GROWTH];
        if (!kv_cell_is(cell, KV_COLUMN_SUITE, "trace") || !kv_cell_is_timed(cell) || growth->n < 2)
            continue;
        struct kv_judgement j;
        finder->status = kv_judge_samples(&cell->token_figures[KV_TOKEN_EARLY_NS],
                                          &cell->token_figures[KV_TOKEN_LATE_NS], false, KV_JUDGE_ALPHA, KV_JUDGE_NOISE,
                                          &j, finder->error);
        add(finder, (struct kv_finding){.kind = KV_FINDING_GROWTH,
                                        .cell = cell,
                                        .value = growth->median,
                                        .interval = growth->interval,
                                        .growth = growth_of(j.verdict, growth->interval),
                                        .n = growth->n});
    }
}

/* Points of one curve over the context agree in all but the prompt: from its shortest to its longest. */
static void find_curve_growth(struct finder *finder, size_t first, bool *told)
{
    const struct kv_results *results = finder->results;
    const struct kv_cell_results *all = results->cells, *shortest = NULL, *longest = NULL;
    const kv_column_set columns = kv_key_columns() & ~KV_BIT(KV_COLUMN_PROMPT_TOKENS);
    for (size_t i = first; i < results->n_cells; i++) {
        if (!kv_cells_agree(&all[i], &all[first], columns))
            continue;
        told[i] = true;
        const double context = all[i].numbers[KV_COLUMN_CONTEXT_TOKENS];
        if (!has_speed(&all[i]))
            continue;
        if (!shortest || context < shortest->numbers[KV_COLUMN_CONTEXT_TOKENS])
            shortest = &all[i];
        if (!longest || context > longest->numbers[KV_COLUMN_CONTEXT_TOKENS])
            longest = &all[i];
    }
    if (shortest == longest)
        return;
    struct kv_judgement j;
    finder->status = kv_judge(shortest, longest, KV_COLUMN_TTPT_MS, KV_JUDGE_ALPHA, KV_JUDGE_NOISE, &j, finder->error);
    add(finder, (struct kv_finding){.kind = KV_FINDING_GROWTH,
                                    .cell = longest,
                                    .base = shortest,
                                    .value = j.ratio,
                                    .interval = j.interval,
                                    .growth = growth_of(j.verdict, j.interval),
                                    .n = j.n_other < j.n_base ? j.n_other : j.n_base});
}

static void find_depth_growth(struct finder *finder)
{
    bool *told = allocate(finder, finder->results->n_cells, sizeof *told);
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++)
        if (!told[i] && kv_cell_is(&finder->results->cells[i], KV_COLUMN_SUITE, "depth"))
            find_curve_growth(finder, i, told);
    free(told);
}

/* ---- Memory and throughput --------------------------------------------------------------------------------------- */

static double live_bytes(const struct kv_cell_results *cell)
{
    const struct kv_sample *sample = &cell->figures[KV_COLUMN_KV_LIVE_BYTES];
    return cell->status == KV_CELL_OK && sample->n ? sample->values[sample->n - 1] : 0;
}

static double live_bytes_per_token(const struct kv_cell_results *cell)
{
    return live_bytes(cell) / cell->numbers[KV_COLUMN_BATCH] / cell->numbers[KV_COLUMN_CONTEXT_TOKENS];
}

/* Says something only of what takes the same for every token: a path with its cache and its type. */
static void find_memory(struct finder *finder)
{
    const struct kv_results *results = finder->results;
    const kv_column_set columns = KV_BIT(KV_COLUMN_PATH) | KV_BIT(KV_COLUMN_CACHE) | KV_BIT(KV_COLUMN_KV);
    bool *told = allocate(finder, results->n_cells, sizeof *told);
    for (size_t i = 0; !finder->status && i < results->n_cells; i++) {
        const struct kv_cell_results *first = &results->cells[i], *most = first;
        bool same = true;
        if (told[i] || live_bytes(first) <= 0)
            continue;
        for (size_t k = i; k < results->n_cells; k++) {
            const struct kv_cell_results *cell = &results->cells[k];
            if (live_bytes(cell) <= 0 || !kv_cells_agree(cell, first, columns))
                continue;
            told[k] = true;
            same = same && live_bytes_per_token(cell) == live_bytes_per_token(first);
            most = live_bytes(cell) > live_bytes(most) ? cell : most;
        }
        if (same)
            add(finder, (struct kv_finding){.kind = KV_FINDING_MEMORY,
                                            .cell = most,
                                            .value = live_bytes_per_token(most),
                                            .value_2 = live_bytes(most)});
    }
    free(told);
}

static void find_throughput(struct finder *finder)
{
    const struct kv_results *results = finder->results;
    const struct kv_cell_results *best = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        const double median = cell->figures[KV_COLUMN_DECODE_TOK_S].median;
        if (kv_cell_is_timed(cell) && !isnan(median) &&
            (!best || median > best->figures[KV_COLUMN_DECODE_TOK_S].median))
            best = cell;
    }
    if (!best)
        return;
    const struct kv_sample *sample = &best->figures[KV_COLUMN_DECODE_TOK_S];
    struct kv_finding finding = {.kind = KV_FINDING_THROUGHPUT,
                                 .cell = best,
                                 .value = sample->median,
                                 .interval = sample->interval,
                                 .n_of = sample->n};
    for (size_t i = 0; !finder->status && i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        struct kv_judgement j;
        if (cell == best || !kv_cell_is_timed(cell) || !cell->figures[KV_COLUMN_DECODE_TOK_S].n)
            continue;
        finder->status = kv_judge(best, cell, KV_COLUMN_DECODE_TOK_S, KV_JUDGE_ALPHA, KV_JUDGE_NOISE, &j,
                                  finder->error);
        /* where too few were measured, what lies clearly lower is not worth a word */
        finding.n += j.verdict == KV_VERDICT_NONE || (j.verdict == KV_VERDICT_UNDECIDED && j.ratio > 1 - FLAT);
    }
    add(finder, finding);
}

kv_status kv_findings_find(const struct kv_results *results, struct kv_finding **findings, size_t *n,
                           struct kv_error *error)
{
    struct finder finder = {.results = results, .error = error};
    find_speeds(&finder);
    find_trace_growth(&finder);
    find_depth_growth(&finder);
    find_memory(&finder);
    find_throughput(&finder);
    if (finder.status) {
        free(finder.findings);
        finder.findings = NULL;
        finder.n = 0;
    }
    *findings = finder.findings;
    *n = finder.n;
    return finder.status;
}
