/* What the figures say, as data. */
#include "results/findings.h"

#include "base/error.h"
#include "results/precision.h"
#include "results/prefix.h"
#include "results/speculation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The path that the others are held against. */
#define BASE_PATH   "naive"
#define BASE_ENGINE "kvbench"
/* More comparisons of one arm in a suite are told as a range. */
#define MAX_LINES 6
/* A throughput this much lower is not worth a word where nothing is decided. */
#define CLEARLY_LOWER 0.1

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
        struct kv_judgement judged;
        struct kv_stats_interval interval; /* of the speed */
    } * pairs;
    size_t n;
    enum kv_column axis;
    struct kv_finding alone; /* of points where only one of both was timed */
};

static bool is_different(const struct pair *pair)
{
    return pair->judged.verdict == KV_EFFECT_FASTER || pair->judged.verdict == KV_EFFECT_SLOWER;
}

static size_t count(const struct comparisons *all, enum kv_effect_verdict verdict)
{
    size_t n = 0;
    for (size_t i = 0; i < all->n; i++)
        n += all->pairs[i].judged.verdict == verdict;
    return n;
}

static struct kv_finding finding_of(const struct comparisons *all, const struct pair *pair, enum kv_finding_kind kind)
{
    return (struct kv_finding){
        .kind = kind,
        .axis = all->axis,
        .cell = pair->cell,
        .base = pair->base,
        .value = pair->judged.speed,
        .interval = pair->interval,
        .n = 1,
        .n_of = 1,
        .rounds_needed = pair->judged.rounds_needed,
    };
}

static void find_pairs(struct finder *finder, const struct comparisons *all)
{
    for (size_t i = 0; i < all->n; i++)
        if (all->pairs[i].judged.verdict != KV_EFFECT_UNDECIDED)
            add(finder,
                finding_of(all, &all->pairs[i], is_different(&all->pairs[i]) ? KV_FINDING_SPEED : KV_FINDING_EQUAL));
}

static void find_range(struct finder *finder, const struct comparisons *all)
{
    const struct pair *least = NULL, *most = NULL, *equal = NULL;
    for (size_t i = 0; i < all->n; i++) {
        const struct pair *pair = &all->pairs[i];
        equal = !equal && pair->judged.verdict == KV_EFFECT_EQUAL ? pair : equal;
        if (!is_different(pair))
            continue;
        least = !least || pair->judged.speed < least->judged.speed ? pair : least;
        most = !most || pair->judged.speed > most->judged.speed ? pair : most;
    }
    if (least) {
        struct kv_finding finding = finding_of(all, least, KV_FINDING_SPEED_RANGE);
        finding.cell_2 = most->cell;
        finding.value_2 = most->judged.speed;
        finding.interval_2 = most->interval;
        finding.n = count(all, KV_EFFECT_FASTER) + count(all, KV_EFFECT_SLOWER);
        finding.n_of = all->n;
        add(finder, finding);
    }
    if (equal) {
        struct kv_finding finding = finding_of(all, equal, KV_FINDING_EQUAL);
        finding.n = count(all, KV_EFFECT_EQUAL);
        finding.n_of = all->n;
        add(finder, finding);
    }
}

/* What cannot be told is told once. */
static void find_undecided(struct finder *finder, const struct comparisons *all)
{
    const size_t n = count(all, KV_EFFECT_UNDECIDED);
    struct kv_finding finding = {0};
    for (size_t i = all->n; n && i-- > 0;) {
        const double most = finding.rounds_needed;
        if (all->pairs[i].judged.verdict != KV_EFFECT_UNDECIDED)
            continue;
        finding = finding_of(all, &all->pairs[i], KV_FINDING_UNDECIDED);
        finding.rounds_needed = fmax(finding.rounds_needed, most);
    }
    finding.n = n;
    finding.n_of = all->n;
    if (n)
        add(finder, finding);
}

/* The value of an axis that others in the suite are held against: the naive path, kvbench, no speculation,
 * recomputing, or what was measured first. */
static const char *base_value(const struct kv_results *results, const char *suite, enum kv_column axis)
{
    if (axis == KV_COLUMN_PATH)
        return BASE_PATH;
    if (axis == KV_COLUMN_ENGINE)
        return BASE_ENGINE;
    if (axis == KV_COLUMN_SPECULATE)
        return "none";
    if (axis == KV_COLUMN_OVERFLOW)
        return kv_overflow_choice(KV_OVERFLOW_RECOMPUTE)->name;
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

/* What fewer bits gain is told beside what they cost, what drafts gain beside what of them stays. */
static bool has_speed(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_RUNS && !kv_is_variant(cell) && !kv_is_of_speculation(cell) &&
           kv_cell_is_timed(cell) && cell->figures[KV_COLUMN_TTPT_MS].n > 1;
}

/* Of a cell whose other, or which itself, was not timed. */
static void miss(struct comparisons *all, const struct kv_cell_results *cell, const struct kv_cell_results *other)
{
    struct kv_finding *alone = &all->alone;
    if (!alone->n++)
        *alone = (struct kv_finding){.kind = KV_FINDING_NO_RATIO,
                                     .axis = all->axis,
                                     .cell = has_speed(cell) ? other : cell,
                                     .base = has_speed(cell) ? cell : other,
                                     .n = 1};
}

static void compare(struct finder *finder, const struct kv_matcher *matcher, const struct kv_cell_results *cell,
                    const char *base, struct comparisons *all)
{
    const struct kv_cell_results *other;
    for (size_t at = 0; !finder->status && (other = kv_matcher_next(matcher, cell, &at)) != NULL;) {
        if (other == cell || !kv_cell_is(other, all->axis, base))
            continue;
        if (!has_speed(cell) || !has_speed(other)) {
            if (has_speed(cell) || has_speed(other))
                miss(all, cell, other);
            continue;
        }
        struct pair *pair = &all->pairs[all->n++];
        *pair = (struct pair){.base = other, .cell = cell};
        finder->status = kv_judge(other, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &pair->judged, finder->error);
        pair->interval = (struct kv_stats_interval){1 / pair->judged.interval.high, 1 / pair->judged.interval.low};
        return;
    }
}

static void find_speeds_of(struct finder *finder, enum kv_column axis)
{
    const struct kv_results *results = finder->results;
    const size_t n = results->n_cells;
    const struct kv_cell_results **cells = allocate(finder, n, sizeof *cells);
    struct comparisons all = {.pairs = allocate(finder, n, sizeof *all.pairs), .axis = axis};
    bool *told = allocate(finder, n, sizeof *told);
    struct kv_matcher *matcher = NULL;
    for (size_t i = 0; !finder->status && i < n; i++)
        cells[i] = &results->cells[i];
    if (!finder->status)
        finder->status = kv_matcher_create(&matcher, cells, n, kv_key_columns() & ~KV_BIT(axis),
                                           kv_lacking_axes(results), finder->error);
    for (size_t i = 0; !finder->status && i < n; i++) {
        const char *base = base_value(results, cells[i]->texts[KV_COLUMN_SUITE], axis);
        if (told[i] || !*cells[i]->texts[axis] || kv_cell_is(cells[i], axis, base))
            continue;
        all.n = all.alone.n = 0;
        for (size_t k = i; k < n; k++)
            if (same_arm(cells[k], cells[i], axis)) {
                told[k] = true;
                compare(finder, matcher, cells[k], base, &all);
            }
        if (all.n > MAX_LINES)
            find_range(finder, &all);
        else
            find_pairs(finder, &all);
        find_undecided(finder, &all);
        all.alone.n_of = all.n + all.alone.n;
        if (all.alone.n)
            add(finder, all.alone);
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

/* Over `span` tokens of context, from a step of `first_us` on. */
static enum kv_growth growth_of(struct kv_stats_interval slope, double span, double first_us)
{
    const double flat = KV_JUDGE_THRESHOLD * first_us;
    if (isnan(slope.low))
        return KV_GROWTH_UNDECIDED;
    if (slope.low * span >= -flat && slope.high * span <= flat)
        return KV_GROWTH_FLAT;
    return slope.low > 0 ? KV_GROWTH_GROWS : slope.high < 0 ? KV_GROWTH_FALLS : KV_GROWTH_UNDECIDED;
}

static void find_trace_growth(struct finder *finder)
{
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        const struct kv_sample *slope = &cell->token_figures[KV_TOKEN_SLOPE_US];
        const struct kv_sample *early = &cell->token_figures[KV_TOKEN_EARLY_NS];
        if (!kv_cell_is(cell, KV_COLUMN_SUITE, "trace") || !kv_cell_is_timed(cell) || slope->n < 2)
            continue;
        struct kv_judgement j;
        finder->status = kv_judge_samples(early, &cell->token_figures[KV_TOKEN_LATE_NS], false, KV_JUDGE_THRESHOLD, &j,
                                          finder->error);
        add(finder, (struct kv_finding){.kind = KV_FINDING_GROWTH,
                                        .cell = cell,
                                        .value = slope->median,
                                        .interval = slope->interval,
                                        .value_2 = j.ratio,
                                        .interval_2 = j.interval,
                                        .limit = NAN,
                                        .growth = growth_of(slope->interval, 0.75 * cell->numbers[KV_COLUMN_NEW_TOKENS],
                                                            early->median / 1e3),
                                        .n = slope->n});
    }
}

/* Points of one curve over the context agree in all but the prompt. */
static void find_curve_growth(struct finder *finder, size_t first, bool *told)
{
    const struct kv_results *results = finder->results;
    const struct kv_cell_results **curve = allocate(finder, results->n_cells, sizeof *curve);
    const kv_column_set columns = kv_key_columns() & ~KV_BIT(KV_COLUMN_PROMPT_TOKENS);
    struct kv_trend trend, limit;
    size_t n = 0;
    for (size_t i = first; curve && i < results->n_cells; i++) {
        if (!kv_cells_agree(&results->cells[i], &results->cells[first], columns))
            continue;
        told[i] = true;
        if (has_speed(&results->cells[i]))
            curve[n++] = &results->cells[i];
    }
    if (!finder->status)
        finder->status = kv_results_trend(curve, n, KV_COLUMN_TTPT_MS, &trend, NULL, finder->error);
    if (!finder->status)
        finder->status = kv_results_trend(curve, n, KV_COLUMN_LIMIT_MS, &limit, NULL, finder->error);
    free(curve);
    if (finder->status || !trend.first)
        return;
    add(finder, (struct kv_finding){.kind = KV_FINDING_GROWTH,
                                    .cell = trend.last,
                                    .base = trend.first,
                                    .value = trend.slope,
                                    .interval = trend.interval,
                                    .value_2 = trend.ends.ratio,
                                    .interval_2 = trend.ends.interval,
                                    .corrected_by = trend.corrected_by,
                                    .corrected_to = trend.corrected_to,
                                    .limit = limit.interval.low > 0 ? limit.slope : NAN,
                                    .growth = growth_of(trend.interval,
                                                        trend.last->numbers[KV_COLUMN_CONTEXT_TOKENS] -
                                                            trend.first->numbers[KV_COLUMN_CONTEXT_TOKENS],
                                                        1e3 * trend.first->figures[KV_COLUMN_TTPT_MS].median),
                                    .n = trend.n});
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

/* A load in blocks against the contiguous one. */
static void find_loads(struct finder *finder)
{
    const struct kv_results *results = finder->results;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i], *base = kv_load_base(results, cell);
        if (base && base != cell)
            add(finder, (struct kv_finding){.kind = KV_FINDING_LOAD,
                                            .cell = cell,
                                            .base = base,
                                            .value = cell->figures[KV_COLUMN_HELD_SEQUENCES].median,
                                            .interval = {NAN, NAN},
                                            .value_2 = kv_load_use(cell)});
    }
}

/* Whether every sequence has as many positions as the cell's context. */
static bool is_of_tokens(const struct kv_cell_results *cell)
{
    return live_bytes(cell) > 0 && !cell->figures[KV_COLUMN_HELD_SEQUENCES].n;
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
        if (told[i] || !is_of_tokens(first))
            continue;
        for (size_t k = i; k < results->n_cells; k++) {
            const struct kv_cell_results *cell = &results->cells[k];
            if (!is_of_tokens(cell) || !kv_cells_agree(cell, first, columns))
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
        finder->status = kv_judge(best, cell, KV_COLUMN_DECODE_TOK_S, KV_JUDGE_THRESHOLD, &j, finder->error);
        finding.n += j.verdict == KV_EFFECT_EQUAL || j.verdict == KV_EFFECT_FASTER ||
                     (j.verdict == KV_EFFECT_UNDECIDED &&
                      !(cell->figures[KV_COLUMN_DECODE_TOK_S].median < (1 - CLEARLY_LOWER) * sample->median));
    }
    add(finder, finding);
}

/* Of every path the cells, from the smallest to the largest. */
static void find_parts(struct finder *finder)
{
    for (size_t i = 0; i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        if (cell->status == KV_CELL_OK && cell->parts && cell->parts->n[KV_PHASE_DECODE])
            add(finder, (struct kv_finding){.kind = KV_FINDING_PARTS,
                                            .cell = cell,
                                            .n = cell->parts->n[KV_PHASE_DECODE],
                                            .interval = {NAN, NAN}});
    }
}

/* ---- Fewer bits --------------------------------------------------------------------------------------------------- */

static void find_precision(struct finder *finder)
{
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        struct kv_variant v;
        if (!kv_is_variant(cell) || kv_is_full_precision(cell))
            continue;
        finder->status = kv_variant_of(finder->results, cell, &v, finder->error);
        if (!finder->status && v.base && !v.is_dominated && v.judged.verdict == KV_EFFECT_FASTER)
            add(finder, (struct kv_finding){.kind = KV_FINDING_PRECISION,
                                            .cell = cell,
                                            .base = v.base,
                                            .cell_2 = v.quality,
                                            .value = v.judged.speed,
                                            .interval = v.gain,
                                            .value_2 = v.bound,
                                            .n_of = v.judged.n_rounds});
    }
}

static void find_prefixes(struct finder *finder)
{
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        struct kv_prefix prefix;
        finder->status = kv_prefix_of(finder->results, cell, &prefix, finder->error);
        if (!finder->status && prefix.base && prefix.base != cell && prefix.verdict != KV_EFFECT_UNDECIDED)
            add(finder, (struct kv_finding){.kind = KV_FINDING_PREFIX,
                                            .cell = cell,
                                            .base = prefix.base,
                                            .value = prefix.gain,
                                            .interval = prefix.interval,
                                            .value_2 = prefix.bound,
                                            .n_of = prefix.n_rounds});
    }
}

/* From the fewest bytes to the most. */
static void find_window(struct finder *finder)
{
    const struct kv_results *results = finder->results;
    double told = 0;
    for (bool more = true; !finder->status && more;) {
        struct kv_budget_quality next = {.share = INFINITY};
        const struct kv_cell_results *cell = NULL;
        for (size_t i = 0; !finder->status && i < results->n_cells; i++) {
            struct kv_budget_quality q;
            if (!kv_is_budget_quality(&results->cells[i]))
                continue;
            finder->status = kv_budget_quality_of(results, &results->cells[i], &q, finder->error);
            if (!finder->status && q.base && q.base != &results->cells[i] && !q.is_dominated && q.share > told &&
                q.share < next.share) {
                next = q;
                cell = &results->cells[i];
            }
        }
        more = cell != NULL;
        told = next.share;
        if (more && !finder->status)
            add(finder, (struct kv_finding){.kind = KV_FINDING_WINDOW,
                                            .cell = cell,
                                            .base = next.base,
                                            .value = next.share,
                                            .interval = {NAN, NAN},
                                            .value_2 = cell->figures[KV_COLUMN_PERPLEXITY_RATIO].median,
                                            .interval_2 = {cell->figures[KV_COLUMN_PERPLEXITY_RATIO_LOW].median,
                                                           cell->figures[KV_COLUMN_PERPLEXITY_RATIO_HIGH].median}});
    }
}

static void find_speculation(struct finder *finder)
{
    for (size_t i = 0; !finder->status && i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        struct kv_speculated s;
        size_t n = 0;
        bool is_fastest = false;
        finder->status = kv_speculated_of(finder->results, cell, &s, finder->error);
        if (!finder->status && s.base && !isnan(s.gain))
            finder->status = kv_speculated_is_fastest(finder->results, cell, &s, &is_fastest, &n, finder->error);
        if (is_fastest)
            add(finder, (struct kv_finding){.kind = KV_FINDING_SPECULATE,
                                            .cell = cell,
                                            .base = s.base,
                                            .value = s.gain,
                                            .interval = s.interval,
                                            .value_2 = s.foretold,
                                            .n = n,
                                            .n_of = s.n_rounds});
    }
}

/* What a policy costs in the last window of the text; recomputing is what it is held against. */
static void find_overflow(struct finder *finder)
{
    const struct kv_results *results = finder->results;
    double last = 0;
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < results->n_cells; i++) {
            const struct kv_cell_results *cell = &results->cells[i];
            const struct kv_sample *ratio = &cell->figures[KV_COLUMN_PERPLEXITY_RATIO];
            const double context = cell->numbers[KV_COLUMN_CONTEXT_TOKENS];
            if (cell->file != KV_FILE_QUALITY || !kv_cell_is(cell, KV_COLUMN_SUITE, "overflow") ||
                cell->status != KV_CELL_OK || kv_cell_is(cell, KV_COLUMN_OVERFLOW, "stop"))
                continue;
            if (pass == 0)
                last = fmax(last, context);
            else if (context == last && ratio->n && ratio->median != 1)
                add(finder, (struct kv_finding){.kind = KV_FINDING_OVERFLOW,
                                                .cell = cell,
                                                .value = ratio->median,
                                                .interval = {cell->figures[KV_COLUMN_PERPLEXITY_RATIO_LOW].median,
                                                             cell->figures[KV_COLUMN_PERPLEXITY_RATIO_HIGH].median}});
        }
}

static void find_faults(struct finder *finder)
{
    struct kv_finding finding = {.kind = KV_FINDING_FAULTS};
    for (size_t i = 0; i < finder->results->n_cells; i++) {
        const struct kv_cell_results *cell = &finder->results->cells[i];
        finding.n += cell->n_faults;
        finding.n_of += cell->n_faults + cell->figures[KV_COLUMN_LIMIT_PCT].n;
        finding.cell = finding.cell && finding.cell->n_faults >= cell->n_faults ? finding.cell : cell;
    }
    if (finding.n)
        add(finder, finding);
}

kv_status kv_findings_find(const struct kv_results *results, struct kv_finding **findings, size_t *n,
                           struct kv_error *error)
{
    struct finder finder = {.results = results, .error = error};
    find_speeds(&finder);
    find_precision(&finder);
    find_loads(&finder);
    find_prefixes(&finder);
    find_window(&finder);
    find_speculation(&finder);
    find_overflow(&finder);
    find_trace_growth(&finder);
    find_depth_growth(&finder);
    find_memory(&finder);
    find_throughput(&finder);
    find_parts(&finder);
    find_faults(&finder);
    if (finder.status) {
        free(finder.findings);
        finder.findings = NULL;
        finder.n = 0;
    }
    *findings = finder.findings;
    *n = finder.n;
    return finder.status;
}
