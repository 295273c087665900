/* What the figures say, in words. A difference is told only where the 95 % intervals of both medians lie apart and
 * that of their ratio leaves out 1; what was measured once has no interval, and nothing is said of it. */
#include "results/summary_parts.h"

#include "base/error.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* The path that the others are held against. */
#define BASE_PATH "naive"
/* More comparisons of one path in a suite are told as a range. */
#define MAX_LINES 6
/* A growth with its interval within this of 1 is called flat. */
#define FLAT 0.1

#define MIB (1024.0 * 1024.0)

struct comparison {
    double ratio; /* of medians */
    struct kv_stats_interval interval;
    bool known;
    bool different;
};

struct finder {
    struct kv_summary *summary;
    struct kv_error *error;
    kv_status status; /* of the first thing that went wrong: nothing is added after it */
};

__attribute__((format(printf, 2, 3))) static void add(struct finder *finder, const char *format, ...)
{
    struct kv_summary *summary = finder->summary;
    if (finder->status)
        return;
    char **grown = realloc(summary->findings, (summary->n_findings + 1) * sizeof *grown);
    if (grown)
        summary->findings = grown;
    va_list arguments;
    va_start(arguments, format);
    if (grown && vasprintf(&grown[summary->n_findings], format, arguments) >= 0)
        summary->n_findings++;
    else
        finder->status = kv_fail(finder->error, KV_ERROR_MEMORY, "no memory for the findings: close other programs");
    va_end(arguments);
}

/* ---- Comparing ---------------------------------------------------------------------------------- */

static struct comparison compare(struct finder *finder, const struct kv_configuration *above,
                                 const struct kv_configuration *below, enum kv_figure figure)
{
    struct comparison c = {.ratio = NAN};
    const struct kv_summary_sample *a = &above->figures[figure], *b = &below->figures[figure];
    if (finder->status || !kv_configuration_is_timed(above) || !kv_configuration_is_timed(below))
        return c;
    struct kv_stats_random random;
    kv_stats_random_seed(&random, KV_SUMMARY_SEED);
    finder->status = kv_stats_median_ratio_interval(a->values, a->n, b->values, b->n, KV_SUMMARY_RESAMPLES, &random,
                                                    &c.interval, finder->error);
    c.ratio = a->median / b->median;
    c.known = !finder->status && isfinite(c.ratio) && !isnan(c.interval.low);
    c.different = c.known && (a->interval.low > b->interval.high || b->interval.low > a->interval.high) &&
                  (c.interval.low > 1 || c.interval.high < 1);
    return c;
}

static struct comparison inverse(struct comparison c)
{
    c.ratio = 1 / c.ratio;
    c.interval = (struct kv_stats_interval){1 / c.interval.high, 1 / c.interval.low};
    return c;
}

/* ---- Paths against the base ---------------------------------------------------------------------- */

/* How much faster each configuration of one path in one suite decodes than the base path: [n]. */
struct arm {
    const struct kv_configuration **configurations;
    struct comparison *comparisons;
    size_t n;
};

static const struct kv_configuration *find_base(const struct kv_summary *summary,
                                                const struct kv_configuration *configuration)
{
    for (size_t i = 0; i < summary->n_configurations; i++)
        if (kv_configuration_is(&summary->configurations[i], KV_KEY_PATH, BASE_PATH) &&
            kv_configurations_agree(&summary->configurations[i], configuration, 1u << KV_KEY_PATH))
            return &summary->configurations[i];
    return NULL;
}

static void tell_pair(struct finder *finder, const struct kv_configuration *configuration, struct comparison faster)
{
    char where[KV_WHERE_SIZE];
    struct kv_summary_interval_text text;
    const char *suite = configuration->keys[KV_KEY_SUITE], *path = configuration->keys[KV_KEY_PATH];
    const bool is_faster = faster.ratio > 1;
    kv_summary_where_text(finder->summary, configuration, 0, where, sizeof where);
    if (!faster.different) {
        add(finder,
            "%s: at %s no difference is seen between the decode speeds of %s and " BASE_PATH
            ": their intervals overlap",
            suite, where, path);
        return;
    }
    if (!is_faster)
        faster = inverse(faster);
    kv_summary_interval_text(faster.ratio, faster.interval, &text);
    add(finder, "%s: %s decodes %s times as fast as %s at %s (%s)", suite, is_faster ? path : BASE_PATH, text.value,
        is_faster ? BASE_PATH : path, where, text.range);
}

static void tell_range(struct finder *finder, const struct arm *arm)
{
    size_t n_different = 0, least = 0, most = 0;
    for (size_t i = 0; i < arm->n; i++) {
        if (!arm->comparisons[i].different)
            continue;
        if (!n_different++)
            least = most = i;
        if (arm->comparisons[i].ratio < arm->comparisons[least].ratio)
            least = i;
        if (arm->comparisons[i].ratio > arm->comparisons[most].ratio)
            most = i;
    }
    const char *suite = arm->configurations[0]->keys[KV_KEY_SUITE], *path = arm->configurations[0]->keys[KV_KEY_PATH];
    const size_t n_same = arm->n - n_different;
    if (n_different) {
        char where_least[KV_WHERE_SIZE], where_most[KV_WHERE_SIZE];
        struct kv_summary_interval_text text_least, text_most;
        kv_summary_where_text(finder->summary, arm->configurations[least], 0, where_least, sizeof where_least);
        kv_summary_where_text(finder->summary, arm->configurations[most], 0, where_most, sizeof where_most);
        kv_summary_interval_text(arm->comparisons[least].ratio, arm->comparisons[least].interval, &text_least);
        kv_summary_interval_text(arm->comparisons[most].ratio, arm->comparisons[most].interval, &text_most);
        add(finder, "%s: %s decodes at between %s times (%s; %s) and %s times (%s; %s) the speed of " BASE_PATH, suite,
            path, text_least.value, where_least, text_least.range, text_most.value, where_most, text_most.range);
    }
    if (n_same)
        add(finder,
            "%s: in %zu of %zu configurations no difference is seen between the decode speeds of %s and " BASE_PATH
            ": their intervals overlap",
            suite, n_same, arm->n, path);
}

static void tell_arm(struct finder *finder, const struct arm *arm)
{
    if (arm->n > MAX_LINES)
        tell_range(finder, arm);
    else
        for (size_t i = 0; i < arm->n; i++)
            tell_pair(finder, arm->configurations[i], arm->comparisons[i]);
}

static bool same_arm(const struct kv_configuration *a, const struct kv_configuration *b)
{
    return kv_configuration_is(a, KV_KEY_SUITE, b->keys[KV_KEY_SUITE]) &&
           kv_configuration_is(a, KV_KEY_PATH, b->keys[KV_KEY_PATH]);
}

/* The arm that begins with configuration `first`; n = 0 when it began earlier. */
static void collect_arm(struct finder *finder, size_t first, struct arm *arm)
{
    const struct kv_summary *summary = finder->summary;
    const struct kv_configuration *all = summary->configurations;
    arm->n = 0;
    for (size_t i = 0; i < first; i++)
        if (same_arm(&all[i], &all[first]))
            return;
    for (size_t i = first; i < summary->n_configurations; i++) {
        const struct kv_configuration *base = same_arm(&all[i], &all[first]) ? find_base(summary, &all[i]) : NULL;
        if (!base || base == &all[i])
            continue;
        arm->configurations[arm->n] = &all[i];
        arm->comparisons[arm->n] = compare(finder, base, &all[i], KV_FIGURE_TTPT_MS);
        arm->n += arm->comparisons[arm->n].known;
    }
}

static void find_speeds(struct finder *finder)
{
    const size_t n = finder->summary->n_configurations;
    struct arm arm = {calloc(n + 1, sizeof *arm.configurations), calloc(n + 1, sizeof *arm.comparisons), 0};
    if (!arm.configurations || !arm.comparisons)
        finder->status = kv_fail(finder->error, KV_ERROR_MEMORY, "no memory for the findings: close other programs");
    for (size_t i = 0; !finder->status && i < n; i++) {
        collect_arm(finder, i, &arm);
        tell_arm(finder, &arm);
    }
    free(arm.configurations);
    free(arm.comparisons);
}

/* ---- Flat or growing ------------------------------------------------------------------------------ */

/* A token of the path takes `growth` times as long at the end (`what`) as at the beginning (`more`). */
static void tell_growth(struct finder *finder, const struct kv_configuration *configuration, struct comparison growth,
                        const char *what, const char *more)
{
    struct kv_summary_interval_text text;
    const char *verdict = "shows no growth";
    kv_summary_interval_text(growth.ratio, growth.interval, &text);
    if (growth.interval.low >= 1 - FLAT && growth.interval.high <= 1 + FLAT)
        verdict = "is flat within 10 %";
    else if (growth.different)
        verdict = growth.ratio > 1 ? "grows" : "falls";
    add(finder, "%s: the time per token of %s %s: %s %s times as long%s (%s)", configuration->keys[KV_KEY_SUITE],
        configuration->keys[KV_KEY_PATH], verdict, what, text.value, more, text.range);
}

static void find_trace_growth(struct finder *finder)
{
    for (size_t i = 0; i < finder->summary->n_configurations; i++) {
        const struct kv_configuration *c = &finder->summary->configurations[i];
        const struct kv_summary_sample *sample = &c->figures[KV_FIGURE_GROWTH];
        if (!kv_configuration_is_timed(c) || sample->n < 2)
            continue;
        const struct comparison growth = {
            .ratio = sample->median,
            .interval = sample->interval,
            .known = true,
            .different = sample->interval.low > 1 || sample->interval.high < 1,
        };
        char where[KV_WHERE_SIZE], what[2 * KV_WHERE_SIZE];
        snprintf(what, sizeof what, "at %s, a token in the last quarter of %d takes",
                 kv_summary_where_text(finder->summary, c, 0, where, sizeof where), c->new_tokens);
        tell_growth(finder, c, growth, what, " as one in the first");
    }
}

/* Whether they are points of one curve over the context. */
static bool same_curve(const struct kv_configuration *a, const struct kv_configuration *b)
{
    return kv_configurations_agree(a, b, 1u << KV_KEY_PROMPT_TOKENS);
}

/* The curve on which `first` is the first point, from its shortest to its longest measured context. */
static void find_curve_growth(struct finder *finder, size_t first)
{
    const struct kv_configuration *all = finder->summary->configurations;
    const struct kv_configuration *shortest = NULL, *longest = NULL;
    for (size_t i = 0; i < finder->summary->n_configurations; i++) {
        if (!same_curve(&all[i], &all[first]))
            continue;
        if (i < first)
            return;
        if (!kv_configuration_is_timed(&all[i]) || all[i].figures[KV_FIGURE_TTPT_MS].n < 2)
            continue;
        if (!shortest || all[i].context_tokens < shortest->context_tokens)
            shortest = &all[i];
        if (!longest || all[i].context_tokens > longest->context_tokens)
            longest = &all[i];
    }
    if (shortest == longest)
        return;
    const struct comparison growth = compare(finder, longest, shortest, KV_FIGURE_TTPT_MS);
    char where[KV_WHERE_SIZE], what[2 * KV_WHERE_SIZE], more[KV_WHERE_SIZE];
    snprintf(what, sizeof what, "at %s, a token at context %d takes",
             kv_summary_where_text(finder->summary, longest, 1u << KV_KEY_CONTEXT_TOKENS, where, sizeof where),
             longest->context_tokens);
    snprintf(more, sizeof more, " as at context %d", shortest->context_tokens);
    if (growth.known)
        tell_growth(finder, longest, growth, what, more);
}

static void find_depth_growth(struct finder *finder)
{
    for (size_t i = 0; i < finder->summary->n_configurations; i++)
        if (kv_configuration_is(&finder->summary->configurations[i], KV_KEY_SUITE, "depth"))
            find_curve_growth(finder, i);
}

/* ---- Memory and throughput ------------------------------------------------------------------------ */

static double live_bytes(const struct kv_configuration *configuration)
{
    const struct kv_summary_sample *sample = &configuration->figures[KV_FIGURE_KV_LIVE_BYTES];
    return configuration->status == KV_CONFIGURATION_OK && sample->n ? sample->values[sample->n - 1] : 0;
}

static double live_bytes_per_token(const struct kv_configuration *configuration)
{
    return live_bytes(configuration) / configuration->batch / configuration->context_tokens;
}

/* Says something only of a path whose every cache takes the same for a token, and once for each model. */
static void find_memory_of(struct finder *finder, size_t first)
{
    const struct kv_configuration *all = finder->summary->configurations, *most = &all[first];
    for (size_t i = 0; i < finder->summary->n_configurations; i++) {
        if (!kv_configuration_is(&all[i], KV_KEY_PATH, all[first].keys[KV_KEY_PATH]) ||
            !kv_configuration_is(&all[i], KV_KEY_MODEL, all[first].keys[KV_KEY_MODEL]) || live_bytes(&all[i]) <= 0)
            continue;
        if (i < first || live_bytes_per_token(&all[i]) != live_bytes_per_token(&all[first]))
            return;
        if (live_bytes(&all[i]) > live_bytes(most))
            most = &all[i];
    }
    const bool several_models = kv_key_varies(finder->summary, NULL, KV_KEY_MODEL);
    char bytes[KV_NUMBER_SIZE], mib[KV_NUMBER_SIZE], most_mib[KV_NUMBER_SIZE];
    add(finder,
        "memory: %s keeps %s B (%s MiB) of keys and values a token and sequence%s%s; the most in use was %s MiB, "
        "at batch %d and context %d",
        all[first].keys[KV_KEY_PATH], kv_integer_text(live_bytes_per_token(most), bytes, sizeof bytes),
        kv_number_text(live_bytes_per_token(most) / MIB, mib, sizeof mib), several_models ? " of " : "",
        several_models ? all[first].keys[KV_KEY_MODEL] : "",
        kv_number_text(live_bytes(most) / MIB, most_mib, sizeof most_mib), most->batch, most->context_tokens);
}

static void find_memory(struct finder *finder)
{
    for (size_t i = 0; i < finder->summary->n_configurations; i++)
        if (live_bytes(&finder->summary->configurations[i]) > 0)
            find_memory_of(finder, i);
}

/* Those that reach into the interval of the best one; without an interval nobody can tell. */
static size_t count_equals(const struct kv_summary *summary, const struct kv_configuration *best)
{
    const struct kv_summary_sample *top = &best->figures[KV_FIGURE_DECODE_TOK_S];
    size_t n = 0;
    for (size_t i = 0; i < summary->n_configurations; i++) {
        const struct kv_configuration *c = &summary->configurations[i];
        const struct kv_summary_sample *sample = &c->figures[KV_FIGURE_DECODE_TOK_S];
        const double reach = sample->n > 1 ? sample->interval.high : sample->median;
        n += c != best && kv_configuration_is_timed(c) && reach >= top->interval.low;
    }
    return n;
}

static void find_throughput(struct finder *finder)
{
    const struct kv_summary *summary = finder->summary;
    const struct kv_configuration *best = NULL;
    for (size_t i = 0; i < summary->n_configurations; i++) {
        const struct kv_configuration *c = &summary->configurations[i];
        const double median = c->figures[KV_FIGURE_DECODE_TOK_S].median;
        if (kv_configuration_is_timed(c) && !isnan(median) &&
            (!best || median > best->figures[KV_FIGURE_DECODE_TOK_S].median))
            best = c;
    }
    if (!best)
        return;
    const struct kv_summary_sample *sample = &best->figures[KV_FIGURE_DECODE_TOK_S];
    const size_t n_equals = count_equals(summary, best);
    char where[KV_WHERE_SIZE], others[64] = "";
    struct kv_summary_interval_text text = {.range = "one repetition"};
    if (sample->n > 1)
        kv_summary_interval_text(sample->median, sample->interval, &text);
    else
        kv_number_text(sample->median, text.value, sizeof text.value);
    if (n_equals)
        snprintf(others, sizeof others, "; %zu other%s not told apart from it", n_equals,
                 n_equals == 1 ? " is" : "s are");
    add(finder, "throughput: the highest median is %s tok/s of decoding, %s at %s in suite %s (%s)%s", text.value,
        best->keys[KV_KEY_PATH], kv_summary_where_text(summary, best, 0, where, sizeof where), best->keys[KV_KEY_SUITE],
        text.range, others);
}

/* ---- The whole --------------------------------------------------------------------------------------- */

kv_status kv_summary_find(struct kv_summary *summary, struct kv_error *error)
{
    struct finder finder = {.summary = summary, .error = error};
    find_speeds(&finder);
    find_trace_growth(&finder);
    find_depth_growth(&finder);
    find_memory(&finder);
    find_throughput(&finder);
    return finder.status;
}
