/* Findings in words. */
#include "results/findings.h"

#include "results/precision.h"
#include "results/table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

static struct kv_stats_interval inverse(struct kv_stats_interval interval)
{
    return (struct kv_stats_interval){1 / interval.high, 1 / interval.low};
}

const char *kv_where_text(const struct kv_results *results, const struct kv_cell_results *cell,
                          kv_column_set exceptions, char *text, size_t size)
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
        {KV_COLUMN_SPECULATE, "speculate ", ""},
        {KV_COLUMN_OVERFLOW, "overflow ", ""},
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
    if (isnan(interval.low)) {
        kv_number_text(value, text->value, sizeof text->value);
        snprintf(text->range, sizeof text->range, "too few rounds for an interval");
        return;
    }
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

/* "cached", "torch", "gemm openblas", "2 threads" */
static const char *arm_text(const struct kv_cell_results *cell, enum kv_column axis, char *text, size_t size)
{
    const char *value = cell->texts[axis];
    if (axis == KV_COLUMN_PATH || axis == KV_COLUMN_ENGINE)
        snprintf(text, size, "%s", value);
    else if (axis == KV_COLUMN_THREADS)
        snprintf(text, size, "%s thread%s", value, strcmp(value, "1") == 0 ? "" : "s");
    else
        snprintf(text, size, "%s %s", kv_column_info(axis)->name, value);
    return text;
}

/* "about 24 rounds are needed" */
static const char *needed_text(double rounds, char *text, size_t size)
{
    snprintf(text, size, "%s %.0f rounds are needed", rounds > KV_EFFECT_MAX_ROUNDS ? "more than" : "about",
             fmin(rounds, KV_EFFECT_MAX_ROUNDS));
    return text;
}

static void tell_one_speed(const struct kv_finding *f, const char *arm, const char *base, const char *where,
                           const char *path, char *text, size_t size)
{
    struct kv_interval_text value;
    const char *suite = f->cell->texts[KV_COLUMN_SUITE];
    const bool faster = f->value >= 1;
    kv_interval_text(faster ? f->value : 1 / f->value, faster ? f->interval : inverse(f->interval), &value);
    if (f->kind == KV_FINDING_SPEED)
        snprintf(text, size, "%s: %s decodes %s times as fast as %s at %s%s (%s)", suite, faster ? arm : base,
                 value.value, faster ? base : arm, where, path, value.range);
    else
        snprintf(text, size, "%s: at %s %s and %s decode equally fast within %g %%%s (ratio %s, %s)", suite, where, arm,
                 base, 100 * KV_JUDGE_THRESHOLD, path, value.value, value.range);
}

static void tell_speed_range(const struct kv_finding *f, const char *arm, const char *base, const char *where,
                             const char *where_2, const char *path, char *text, size_t size)
{
    struct kv_interval_text value, value_2;
    kv_interval_text(f->value, f->interval, &value);
    kv_interval_text(f->value_2, f->interval_2, &value_2);
    snprintf(text, size, "%s: %s decodes at between %s times (%s; %s) and %s times (%s; %s) the speed of %s%s",
             f->cell->texts[KV_COLUMN_SUITE], arm, value.value, where, value.range, value_2.value, where_2,
             value_2.range, base, path);
}

static void tell_speed(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    char where[KV_WHERE_SIZE], where_2[KV_WHERE_SIZE], arm[64], base[64], path[64] = "", needed[64];
    const char *suite = f->cell->texts[KV_COLUMN_SUITE];
    kv_where_text(results, f->cell, KV_BIT(f->axis), where, sizeof where);
    arm_text(f->cell, f->axis, arm, sizeof arm);
    arm_text(f->base, f->axis, base, sizeof base);
    if (f->axis != KV_COLUMN_PATH && f->axis != KV_COLUMN_ENGINE) /* a peer's path is its own */
        snprintf(path, sizeof path, " on path %s", f->cell->texts[KV_COLUMN_PATH]);
    if (f->kind == KV_FINDING_SPEED_RANGE) {
        kv_where_text(results, f->cell_2, KV_BIT(f->axis), where_2, sizeof where_2);
        tell_speed_range(f, arm, base, where, where_2, path, text, size);
    } else if (f->kind == KV_FINDING_UNDECIDED) {
        if (f->n_of > 1)
            snprintf(where, sizeof where, "%zu of %zu cells", f->n, f->n_of);
        snprintf(text, size, "%s: %s %s the decode speeds of %s and %s%s are not told apart yet: %s", suite,
                 f->n_of > 1 ? "in" : "at", where, arm, base, path,
                 needed_text(f->rounds_needed, needed, sizeof needed));
    } else if (f->n_of > 1) {
        snprintf(text, size, "%s: in %zu of %zu cells %s and %s decode equally fast within %g %%%s", suite, f->n,
                 f->n_of, arm, base, 100 * KV_JUDGE_THRESHOLD, path);
    } else {
        tell_one_speed(f, arm, base, where, path, text, size);
    }
}

/* What is missing stands in cell. */
static void tell_no_ratio(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    static const char *const states[] = {[KV_CELL_OK] = "has too few repetitions",
                                         [KV_CELL_FAILED] = "failed",
                                         [KV_CELL_SKIPPED] = "was skipped",
                                         [KV_CELL_STALLED] = "was stalled"};
    char where[KV_WHERE_SIZE], missing[64], other[64], count[64] = "at ";
    kv_where_text(results, f->base, KV_BIT(f->axis), where, sizeof where);
    arm_text(f->cell, f->axis, missing, sizeof missing);
    arm_text(f->base, f->axis, other, sizeof other);
    if (f->n > 1)
        snprintf(count, sizeof count, "in %zu of %zu cells, as at ", f->n, f->n_of);
    snprintf(text, size, "%s: %s%s%s there is no ratio of %s to %s, which %s%s%s", f->cell->texts[KV_COLUMN_SUITE],
             count, where, f->n > 1 ? "," : "", other, missing, states[f->cell->status], *f->cell->error ? ": " : "",
             f->cell->error);
}

/* "cached takes 0.9 us more per token of context (95 % interval 0.7 to 1.1)", or why that cannot be told */
static void tell_slope(const struct kv_finding *f, char *text, size_t size)
{
    const char *path = f->cell->texts[KV_COLUMN_PATH];
    char value[KV_NUMBER_SIZE], low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    const bool falls = f->growth == KV_GROWTH_FALLS;
    const struct kv_stats_interval ends = {falls ? -f->interval.high : f->interval.low,
                                           falls ? -f->interval.low : f->interval.high};
    kv_number_text(falls ? -f->value : f->value, value, sizeof value);
    kv_number_text(ends.low, low, sizeof low);
    kv_number_text(ends.high, high, sizeof high);
    if (isnan(f->interval.low))
        snprintf(text, size,
                 "whether a step of %s grows with the context cannot be told from %zu round%s: %zu are the least", path,
                 f->n, f->n == 1 ? "" : "s", kv_effect_least_rounds(KV_JUDGE_LEVEL));
    else if (f->growth == KV_GROWTH_UNDECIDED)
        snprintf(
            text, size,
            "whether a step of %s grows with the context cannot be told: the interval of its slope, %s to %s us per "
            "token, holds 0",
            path, low, high);
    else if (f->growth == KV_GROWTH_FLAT)
        snprintf(text, size, "a step of %s is flat within %g %% (%s us per token of context, 95 %% interval %s to %s)",
                 path, 100 * KV_JUDGE_THRESHOLD, value, low, high);
    else
        snprintf(text, size, "a step of %s takes %s us %s per token of context (95 %% interval %s to %s)", path, value,
                 falls ? "less" : "more", low, high);
}

/* Appends what the probes were used for, and what bytes and flops take at least. */
static void tell_correction(const struct kv_finding *f, char *text, size_t size)
{
    char number[KV_NUMBER_SIZE];
    const size_t used = strlen(text);
    if (f->corrected_by)
        snprintf(text + used, size - used, ", with times corrected by the probes to %s at %s %s", f->corrected_by,
                 kv_number_text(f->corrected_to / 1e9, number, sizeof number),
                 strcmp(f->corrected_by, "reading") == 0 ? "GB/s" : "GFLOPS");
    const size_t end = strlen(text);
    if (f->growth == KV_GROWTH_GROWS && !isnan(f->limit))
        snprintf(text + end, size - end, "; its limit grows by %s us", kv_number_text(f->limit, number, sizeof number));
}

static void tell_growth(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    char slope[256], where[KV_WHERE_SIZE], late[96], early[96];
    struct kv_interval_text ratio;
    tell_slope(f, slope, sizeof slope);
    kv_where_text(results, f->cell, f->base ? KV_BIT(KV_COLUMN_CONTEXT_TOKENS) : 0, where, sizeof where);
    snprintf(text, size, "%s: %s, at %s", f->cell->texts[KV_COLUMN_SUITE], slope, where);
    tell_correction(f, text, size);
    if (isnan(f->interval_2.low) || f->growth == KV_GROWTH_UNDECIDED)
        return;
    if (f->base) {
        snprintf(late, sizeof late, "at context %s", f->cell->texts[KV_COLUMN_CONTEXT_TOKENS]);
        snprintf(early, sizeof early, "at context %s", f->base->texts[KV_COLUMN_CONTEXT_TOKENS]);
    } else {
        snprintf(late, sizeof late, "in the last quarter of %s tokens", f->cell->texts[KV_COLUMN_NEW_TOKENS]);
        snprintf(early, sizeof early, "in the first");
    }
    kv_interval_text(f->value_2, f->interval_2, &ratio);
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "; %s %s times as long as %s (%s)", late, ratio.value, early, ratio.range);
}

static void tell_faults(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    (void)results;
    const bool one = f->n == 1;
    snprintf(text, size,
             "limits: of %zu repetitions %zu %s faster than %s probes allow, and %s no share of the limit; most of "
             "them: %s",
             f->n_of, f->n, one ? "was" : "were", one ? "its" : "their", one ? "has" : "have", f->cell->id);
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

/* "parts: of a step of cached at batch 8 MLP takes 40 %, head 25 %, .., waiting 3 %": the largest first, waiting last, and
 * what is below half a percent not at all. */
static void tell_parts(const struct kv_results *results, const struct kv_finding *f, char *text, size_t size)
{
    const struct kv_cell_parts *parts = f->cell->parts;
    const double *ns = parts->ns[KV_PHASE_DECODE], whole = parts->step_ns[KV_PHASE_DECODE];
    char where[KV_WHERE_SIZE];
    bool told[KV_N_PARTS] = {[KV_PART_WAITING] = true};
    size_t used = (size_t)snprintf(text, size, "%s: of a step of %s at %s", f->cell->texts[KV_COLUMN_SUITE],
                                   f->cell->texts[KV_COLUMN_PATH],
                                   kv_where_text(results, f->cell, 0, where, sizeof where));
    for (int i = 0; i < KV_N_PARTS && used < size; i++) {
        int next = KV_PART_WAITING;
        for (int part = 0; part < KV_N_PARTS; part++)
            if (!told[part] && (next == KV_PART_WAITING || ns[part] > ns[next]))
                next = part;
        told[next] = true;
        if (next == KV_PART_WAITING || 100 * ns[next] / whole >= 0.5)
            used += (size_t)snprintf(text + used, size - used, "%s%s%s %.0f %%", i ? ", " : " ",
                                     kv_part_name((enum kv_part)next), i ? "" : " takes", 100 * ns[next] / whole);
    }
}

/* "at batch 8 and 1,024 tokens an int8 cache decodes 1.50 times as fast as float32, of a possible 1.68, for .." */
static void tell_precision(const struct kv_finding *f, char *text, size_t size)
{
    char name[KV_VARIANT_SIZE], bound[KV_NUMBER_SIZE], context[KV_NUMBER_SIZE], cost[200];
    struct kv_interval_text gain;
    const struct kv_cell_results *q = f->cell_2;
    kv_interval_text(f->value, f->interval, &gain);
    kv_variant_name(f->cell, name);
    if (!q)
        snprintf(cost, sizeof cost, "; what it costs in quality was not measured in this run");
    else if (q->figures[KV_COLUMN_DIVERGENCE].median > 0)
        snprintf(cost, sizeof cost, ", for a divergence of %.2g nats a token on %.60s at context %s",
                 q->figures[KV_COLUMN_DIVERGENCE].median, q->texts[KV_COLUMN_MODEL],
                 q->texts[KV_COLUMN_CONTEXT_TOKENS]);
    else
        snprintf(cost, sizeof cost, ", without any divergence on %.60s, whose weights were saved as %.20s",
                 q->texts[KV_COLUMN_MODEL], q->texts[KV_COLUMN_WEIGHTS_SOURCE]);
    const bool is_plural = strcmp(f->cell->texts[KV_COLUMN_WEIGHTS], f->base->texts[KV_COLUMN_WEIGHTS]) != 0;
    snprintf(text, size,
             "%s: at batch %s and %s tokens %s decode%s %s times as fast as float32 (%s), of a "
             "possible %s%s",
             f->cell->texts[KV_COLUMN_SUITE], f->cell->texts[KV_COLUMN_BATCH],
             kv_integer_text(f->cell->numbers[KV_COLUMN_CONTEXT_TOKENS], context, sizeof context), name,
             is_plural ? "" : "s", gain.value, gain.range, kv_number_text(f->value_2, bound, sizeof bound), cost);
}

/* "prefix: with paged:16 the first tokens of 8 sequences that share 115 of 128 tokens are there 4.10 times as soon .." */
static void tell_prefix(const struct kv_finding *f, char *text, size_t size)
{
    char bound[KV_NUMBER_SIZE];
    struct kv_interval_text gain;
    const double kept = f->cell->figures[KV_COLUMN_KV_LIVE_BYTES].median /
                        f->base->figures[KV_COLUMN_KV_LIVE_BYTES].median;
    kv_interval_text(f->value, f->interval, &gain);
    snprintf(
        text, size,
        "prefix: with a %s cache the first tokens of %s sequences that share %s of %s tokens are there %s times as "
        "soon as without sharing (%s), of a possible %s; keys and values take %.0f %% of the bytes",
        f->cell->texts[KV_COLUMN_CACHE], f->cell->texts[KV_COLUMN_BATCH], f->cell->texts[KV_COLUMN_PREFIX_TOKENS],
        f->cell->texts[KV_COLUMN_PROMPT_TOKENS], gain.value, gain.range,
        kv_number_text(f->value_2, bound, sizeof bound), 100 * kept);
}

/* "paged: in the room of 8 sequences of up to 256 positions a contiguous cache holds 8 of mixed lengths, with 42 % of its
 * bytes in use, and a paged:16 cache holds 19, with 98 %" */
static void tell_load(const struct kv_finding *f, char *text, size_t size)
{
    snprintf(
        text, size,
        "%s: in the room of %s sequences of up to %s positions a %s cache holds %.0f of mixed lengths, with %.0f %% of "
        "its bytes in use, and a %s cache holds %.0f, with %.0f %%",
        f->cell->texts[KV_COLUMN_SUITE], f->cell->texts[KV_COLUMN_BATCH], f->cell->texts[KV_COLUMN_CONTEXT_TOKENS],
        f->base->texts[KV_COLUMN_CACHE], f->base->figures[KV_COLUMN_HELD_SEQUENCES].median, 100 * kv_load_use(f->base),
        f->cell->texts[KV_COLUMN_CACHE], f->value, 100 * f->value_2);
}

/* "on kjv at context 256 the cache window:4+60 keeps 25 % of the bytes of float32, for a divergence of .." */
static void tell_window(const struct kv_finding *f, char *text, size_t size)
{
    char name[KV_VARIANT_SIZE], interval[64] = "";
    kv_variant_name(f->cell, name);
    if (!isnan(f->interval_2.low))
        snprintf(interval, sizeof interval, " (%.4f to %.4f)", f->interval_2.low, f->interval_2.high);
    snprintf(
        text, size,
        "%s: on %.60s at context %s %s keeps %.1f %% of the bytes of float32 with all positions, for a divergence of "
        "%.2g nats a token and %.4f times its perplexity%s; no other cache that was measured comes closer with so few",
        f->cell->texts[KV_COLUMN_SUITE], f->cell->texts[KV_COLUMN_MODEL], f->cell->texts[KV_COLUMN_CONTEXT_TOKENS],
        name, 100 * f->value, f->cell->figures[KV_COLUMN_DIVERGENCE].median, f->value_2, interval);
}

/* "at batch 1 drafts of up to 4 tokens by kjv-draft stay 81 % of the time: 3.40 tokens a step, 1.20 times as fast .." */
static void tell_speculation(const struct kv_finding *f, char *text, size_t size)
{
    char tokens[KV_NUMBER_SIZE], foretold[KV_NUMBER_SIZE], expected[KV_NUMBER_SIZE], who[120] = "lookups",
                                                                                     more[64] = "", given[128] = "";
    struct kv_interval_text gain;
    struct kv_speculate_name name = {.k = 0};
    const double alpha = f->cell->figures[KV_COLUMN_ACCEPTANCE].median;
    (void)kv_speculate_read(f->cell->texts[KV_COLUMN_SPECULATE], &name, NULL);
    if (name.model)
        snprintf(who, sizeof who, "drafts by %.*s", name.n_model, name.model);
    if (f->n > 1)
        snprintf(more, sizeof more, "; the fastest of %zu lengths", f->n);
    if (*f->cell->texts[KV_COLUMN_EDIT_EVERY])
        snprintf(given, sizeof given, "on a text that is given, the prompt again with an edit every %s tokens, ",
                 f->cell->texts[KV_COLUMN_EDIT_EVERY]);
    kv_interval_text(f->value, f->interval, &gain);
    const bool is_told = f->interval.low > 1 || f->interval.high < 1;
    snprintf(
        text, size,
        "%s: %sat batch %s %s of up to %d token%s stay %.0f %% of the time: %s tokens a step (%s by that), %s times "
        "as fast as plain steps (%s)%s, where acceptance and costs foretell %s%s",
        f->cell->texts[KV_COLUMN_SUITE], given, f->cell->texts[KV_COLUMN_BATCH], who, name.k, name.k == 1 ? "" : "s",
        100 * alpha, kv_number_text(f->cell->figures[KV_COLUMN_STEP_TOKENS].median, tokens, sizeof tokens),
        kv_number_text(kv_speculation_tokens(alpha, name.k), expected, sizeof expected), gain.value, gain.range,
        is_told ? "" : ", not told apart from them", kv_number_text(f->value_2, foretold, sizeof foretold), more);
}

static void tell_overflow(const struct kv_finding *f, char *text, size_t size)
{
    struct kv_interval_text ratio;
    kv_interval_text(f->value, f->interval, &ratio);
    const char *range = isnan(f->interval.low) ? "too few tokens for an interval" : ratio.range;
    snprintf(
        text, size,
        "overflow: on %.60s, in the last window of a text of %s tokens, overflow %s with cache %s has %s times the "
        "perplexity of running the whole window for every token (%s)",
        f->cell->texts[KV_COLUMN_MODEL], f->cell->texts[KV_COLUMN_CONTEXT_TOKENS], f->cell->texts[KV_COLUMN_OVERFLOW],
        f->cell->texts[KV_COLUMN_CACHE], ratio.value, range);
}

const char *kv_finding_text(const struct kv_results *results, const struct kv_finding *finding, char *text, size_t size)
{
    if (finding->kind == KV_FINDING_GROWTH)
        tell_growth(results, finding, text, size);
    else if (finding->kind == KV_FINDING_NO_RATIO)
        tell_no_ratio(results, finding, text, size);
    else if (finding->kind == KV_FINDING_MEMORY)
        tell_memory(results, finding, text, size);
    else if (finding->kind == KV_FINDING_THROUGHPUT)
        tell_throughput(results, finding, text, size);
    else if (finding->kind == KV_FINDING_PARTS)
        tell_parts(results, finding, text, size);
    else if (finding->kind == KV_FINDING_PRECISION)
        tell_precision(finding, text, size);
    else if (finding->kind == KV_FINDING_LOAD)
        tell_load(finding, text, size);
    else if (finding->kind == KV_FINDING_PREFIX)
        tell_prefix(finding, text, size);
    else if (finding->kind == KV_FINDING_WINDOW)
        tell_window(finding, text, size);
    else if (finding->kind == KV_FINDING_SPECULATE)
        tell_speculation(finding, text, size);
    else if (finding->kind == KV_FINDING_OVERFLOW)
        tell_overflow(finding, text, size);
    else if (finding->kind == KV_FINDING_FAULTS)
        tell_faults(results, finding, text, size);
    else
        tell_speed(results, finding, text, size);
    return text;
}
