/* What the figures say: found as data, and put into words. */
#include "results/findings.h"

#include "base/error.h"
#include "results/table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The path that the others are held against. */
#define BASE_PATH "naive"
/* More comparisons of one arm in a suite are told as a range. */
#define MAX_LINES 6
/* A growth with its interval within this of 1 is called flat. */
#define FLAT 0.1

#define MIB (1024.0 * 1024.0)

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

/* ---- Flat or growing ----------------------------------------------------------------------------------------------
 */

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
    const uint64_t columns = kv_key_columns() & ~KV_BIT(KV_COLUMN_PROMPT_TOKENS);
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

/* ---- Memory and throughput ----------------------------------------------------------------------------------------
 */

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
    const uint64_t columns = KV_BIT(KV_COLUMN_PATH) | KV_BIT(KV_COLUMN_CACHE) | KV_BIT(KV_COLUMN_KV);
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

/* ---- Words
 * ----------------------------------------------------------------------------------------------------------- */

const char *kv_where_text(const struct kv_results *results, const struct kv_cell_results *cell, uint64_t exceptions,
                          char *text, size_t size)
{
    static const struct {
        enum kv_column column;
        const char *before, *after;
    } parts[] = {
        {KV_COLUMN_CONTEXT_TOKENS, "context ", ""},
        {KV_COLUMN_NEW_TOKENS, "", " new tokens"},
        {KV_COLUMN_WEIGHTS, "weights ", ""},
        {KV_COLUMN_CACHE, "cache ", ""},
        {KV_COLUMN_KV, "kv ", ""},
        {KV_COLUMN_GEMM, "gemm ", ""},
        {KV_COLUMN_ISA, "isa ", ""},
        {KV_COLUMN_THREADS, "", " threads"},
        {KV_COLUMN_CHUNK, "chunk ", ""},
    };
    snprintf(text, size, "batch %s", cell->texts[KV_COLUMN_BATCH]);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const size_t used = strlen(text);
        const char *value = cell->texts[parts[i].column];
        if (*value && !(exceptions & KV_BIT(parts[i].column)) &&
            kv_column_varies(results, cell->texts[KV_COLUMN_SUITE], parts[i].column))
            snprintf(text + used, size - used, ", %s%s%s", parts[i].before, value, parts[i].after);
    }
    return text;
}

#define MAX_DECIMALS 4

/* As many decimals for all three as tell the ends apart. */
static void similar_text(double value, struct kv_stats_interval interval, char *middle, char *low, char *high)
{
    int decimals = value >= 99.5 ? 0 : value >= 1.995 ? 1 : 2;
    for (;; decimals++) {
        snprintf(low, KV_NUMBER_SIZE, "%.*f", decimals, interval.low);
        snprintf(high, KV_NUMBER_SIZE, "%.*f", decimals, interval.high);
        if (decimals == MAX_DECIMALS || interval.low == interval.high || strcmp(low, high) != 0)
            break;
    }
    snprintf(middle, KV_NUMBER_SIZE, "%.*f", decimals, value);
}

void kv_interval_text(double value, struct kv_stats_interval interval, struct kv_interval_text *text)
{
    char low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    if (interval.high < 10 * interval.low) {
        similar_text(value, interval, text->value, low, high);
    } else { /* no number of decimals suits them all */
        kv_number_text(value, text->value, sizeof text->value);
        kv_number_text(interval.low, low, sizeof low);
        kv_number_text(interval.high, high, sizeof high);
    }
    snprintf(text->range, sizeof text->range, "95 %% interval %s to %s", low, high);
}

/* "cached", "gemm openblas", "2 threads" */
static const char *arm_text(const struct kv_cell_results *cell, enum kv_column axis, char *text, size_t size)
{
    const char *value = cell->texts[axis];
    if (axis == KV_COLUMN_PATH)
        snprintf(text, size, "%s", value);
    else if (axis == KV_COLUMN_THREADS)
        snprintf(text, size, "%s thread%s", value, strcmp(value, "1") == 0 ? "" : "s");
    else
        snprintf(text, size, "%s %s", kv_column_info(axis)->name, value);
    return text;
}

static void tell_speed(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    char where[KV_WHERE_SIZE], where_2[KV_WHERE_SIZE], arm[64], base[64], path[64] = "";
    struct kv_interval_text value, value_2;
    const char *suite = f->cell->texts[KV_COLUMN_SUITE];
    kv_where_text(results, f->cell, KV_BIT(f->axis), where, sizeof where);
    arm_text(f->cell, f->axis, arm, sizeof arm);
    arm_text(f->base, f->axis, base, sizeof base);
    if (f->axis != KV_COLUMN_PATH)
        snprintf(path, sizeof path, " on path %s", f->cell->texts[KV_COLUMN_PATH]);
    const bool faster = f->value >= 1;
    switch (f->kind) {
    case KV_FINDING_SPEED:
        kv_interval_text(faster ? f->value : 1 / f->value, faster ? f->interval : inverse(f->interval), &value);
        snprintf(text, size, "%s: %s decodes %s times as fast as %s at %s%s (%s)", suite, faster ? arm : base,
                 value.value, faster ? base : arm, where, path, value.range);
        break;
    case KV_FINDING_SPEED_RANGE:
        kv_interval_text(f->value, f->interval, &value);
        kv_interval_text(f->value_2, f->interval_2, &value_2);
        kv_where_text(results, f->cell_2, KV_BIT(f->axis), where_2, sizeof where_2);
        snprintf(text, size, "%s: %s decodes at between %s times (%s; %s) and %s times (%s; %s) the speed of %s%s",
                 suite, arm, value.value, where, value.range, value_2.value, where_2, value_2.range, base, path);
        break;
    case KV_FINDING_NO_DIFFERENCE:
        if (f->n_of > 1) {
            snprintf(text, size,
                     "%s: in %zu of %zu cells no difference is seen between the decode speeds of %s and %s%s", suite,
                     f->n, f->n_of, arm, base, path);
            break;
        }
        kv_interval_text(f->value, f->interval, &value);
        snprintf(text, size, "%s: at %s no difference is seen between the decode speeds of %s and %s%s (ratio %s, %s)",
                 suite, where, arm, base, path, value.value, value.range);
        break;
    default:
        if (f->n_of > 1)
            snprintf(where, sizeof where, "%zu of %zu cells", f->n, f->n_of);
        snprintf(
            text, size,
            "%s: %s %s there are too few repetitions to tell the decode speeds of %s and %s%s apart: use --reps %d "
            "or more",
            suite, f->n_of > 1 ? "in" : "at", where, arm, base, path, kv_judge_needed_repetitions(KV_JUDGE_ALPHA));
    }
}

static void tell_growth(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    static const char *const verdicts[] = {
        [KV_GROWTH_NONE] = "shows no growth",
        [KV_GROWTH_FLAT] = "is flat within 10 %",
        [KV_GROWTH_GROWS] = "grows",
        [KV_GROWTH_FALLS] = "falls",
        [KV_GROWTH_UNDECIDED] = "was measured too seldom to tell growth from noise",
    };
    char where[KV_WHERE_SIZE], late[96], early[96];
    struct kv_interval_text value;
    kv_interval_text(f->value, f->interval, &value);
    kv_where_text(results, f->cell, f->base ? KV_BIT(KV_COLUMN_CONTEXT_TOKENS) : 0, where, sizeof where);
    if (f->base) {
        snprintf(late, sizeof late, "a token at context %s", f->cell->texts[KV_COLUMN_CONTEXT_TOKENS]);
        snprintf(early, sizeof early, "at context %s", f->base->texts[KV_COLUMN_CONTEXT_TOKENS]);
    } else {
        snprintf(late, sizeof late, "a token in the last quarter of %s", f->cell->texts[KV_COLUMN_NEW_TOKENS]);
        snprintf(early, sizeof early, "one in the first");
    }
    snprintf(text, size, "%s: the time per token of %s %s: at %s, %s takes %s times as long as %s (%s)",
             f->cell->texts[KV_COLUMN_SUITE], f->cell->texts[KV_COLUMN_PATH], verdicts[f->growth], where, late,
             value.value, early, value.range);
}

static void tell_memory(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    char bytes[KV_NUMBER_SIZE], mib[KV_NUMBER_SIZE], most[KV_NUMBER_SIZE], with[96] = "";
    for (int i = 0; i < 2; i++) {
        const enum kv_column axis = i ? KV_COLUMN_KV : KV_COLUMN_CACHE;
        const size_t used = strlen(with);
        if (kv_column_varies(results, NULL, axis))
            snprintf(with + used, sizeof with - used, "%s %s %s", used ? "," : " with", kv_column_info(axis)->name,
                     f->cell->texts[axis]);
    }
    snprintf(text, size,
             "memory: %s%s keeps %s B (%s MiB) of keys and values a token and sequence; the most in use was %s MiB, at "
             "batch %s and context %s",
             f->cell->texts[KV_COLUMN_PATH], with, kv_integer_text(f->value, bytes, sizeof bytes),
             kv_number_text(f->value / MIB, mib, sizeof mib), kv_number_text(f->value_2 / MIB, most, sizeof most),
             f->cell->texts[KV_COLUMN_BATCH], f->cell->texts[KV_COLUMN_CONTEXT_TOKENS]);
}

static void tell_throughput(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    char where[KV_WHERE_SIZE], others[64] = "";
    struct kv_interval_text value = {.range = "one repetition"};
    if (f->n_of > 1)
        kv_interval_text(f->value, f->interval, &value);
    else
        kv_number_text(f->value, value.value, sizeof value.value);
    if (f->n)
        snprintf(others, sizeof others, "; %zu other%s not told apart from it", f->n, f->n == 1 ? " is" : "s are");
    snprintf(text, size, "throughput: the highest median is %s tok/s of decoding, %s at %s in suite %s (%s)%s",
             value.value, f->cell->texts[KV_COLUMN_PATH], kv_where_text(results, f->cell, 0, where, sizeof where),
             f->cell->texts[KV_COLUMN_SUITE], value.range, others);
}

const char *kv_finding_text(const struct kv_results *results, const struct kv_finding *finding, char *text, size_t size)
{
    if (finding->kind == KV_FINDING_GROWTH)
        tell_growth(results, finding, text, size);
    else if (finding->kind == KV_FINDING_MEMORY)
        tell_memory(results, finding, text, size);
    else if (finding->kind == KV_FINDING_THROUGHPUT)
        tell_throughput(results, finding, text, size);
    else
        tell_speed(results, finding, text, size);
    return text;
}
