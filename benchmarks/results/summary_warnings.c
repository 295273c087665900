/* What makes the samples less than they seem. */
#include "results/summary_parts.h"

#include <math.h>
#include <stdarg.h>

#define MAX_NAMED 3

/* Throughputs are these turned over: they would say the same twice. */
static const struct {
    enum kv_figure figure;
    const char *name;
} watched[] = {{KV_FIGURE_TTFT_MS, "TTFT"}, {KV_FIGURE_TTPT_MS, "TTPT"}, {KV_FIGURE_E2E_MS, "E2E"}};
enum { N_WATCHED = sizeof watched / sizeof watched[0] };

struct list {
    struct kv_warning *warnings;
    int n;
};

__attribute__((format(printf, 3, 4))) static void add(struct list *list, enum kv_severity severity, const char *format,
                                                      ...)
{
    struct kv_warning *warning = &list->warnings[list->n++];
    va_list arguments;
    warning->severity = severity;
    va_start(arguments, format);
    vsnprintf(warning->text, sizeof warning->text, format, arguments);
    va_end(arguments);
}

/* ---- Variation ---------------------------------------------------------------------------------- */

struct varying {
    const struct kv_configuration *configuration;
    int watched;
    double cv;
};

/* Keeps the MAX_NAMED worst in order, the worst first. */
static void insert(struct varying worst[MAX_NAMED], struct varying one)
{
    for (int i = 0; i < MAX_NAMED; i++)
        if (!worst[i].configuration || one.cv > worst[i].cv) {
            const struct varying moved = worst[i];
            worst[i] = one;
            one = moved;
            if (!one.configuration)
                return;
        }
}

static void warn_of_variation(struct list *list, const struct kv_summary *summary)
{
    struct varying worst[MAX_NAMED] = {{0}};
    size_t n = 0;
    for (size_t i = 0; i < summary->n_configurations; i++)
        for (int w = 0; w < N_WATCHED; w++) {
            const struct kv_configuration *c = &summary->configurations[i];
            const double cv = c->figures[watched[w].figure].cv;
            if (!kv_configuration_is_timed(c) || !(cv > KV_SUMMARY_VARIATION))
                continue;
            insert(worst, (struct varying){c, w, cv});
            n++;
        }
    for (int i = 0; i < MAX_NAMED && worst[i].configuration; i++) {
        const struct kv_configuration *c = worst[i].configuration;
        char where[KV_WHERE_SIZE];
        add(list, KV_SEVERITY_WARNING,
            "%s of %s at %s in suite %s varies by %.*f %% (coefficient of variation of %zu repetitions): stop what "
            "else "
            "runs here, or take more with --reps",
            watched[worst[i].watched].name, c->keys[KV_KEY_PATH], kv_summary_where_text(summary, c, 0, where, sizeof where),
            c->keys[KV_KEY_SUITE], worst[i].cv < 0.0995 ? 1 : 0, 100 * worst[i].cv,
            c->figures[watched[worst[i].watched].figure].n);
    }
    if (n > MAX_NAMED)
        add(list, KV_SEVERITY_WARNING,
            "%zu more figure%s by more than %.0f %%: the columns ttft_ms_cv, ttpt_ms_cv and e2e_ms_cv of summary.csv "
            "tell which",
            n - MAX_NAMED, n - MAX_NAMED == 1 ? " varies" : "s vary", 100 * KV_SUMMARY_VARIATION);
}

/* ---- Outliers ----------------------------------------------------------------------------------- */

static void warn_of_outliers(struct list *list, const struct kv_summary *summary)
{
    size_t n = 0, n_extreme = 0, n_values = 0;
    for (size_t i = 0; i < summary->n_configurations; i++)
        for (int w = 0; w < N_WATCHED; w++) {
            const struct kv_summary_sample *sample = &summary->configurations[i].figures[watched[w].figure];
            const struct kv_stats_outliers o = kv_stats_tukey_outliers(sample->values, sample->n);
            n_extreme += o.low_extreme + o.high_extreme;
            n += o.low_extreme + o.low_mild + o.high_mild + o.high_extreme;
            n_values += sample->n;
        }
    if (n)
        add(list, KV_SEVERITY_INFO,
            "%zu of %zu values of TTFT, TTPT and E2E lie%s beyond Tukey's fences, %zu of them far: they are kept, and "
            "medians bear them; where they matter, run again with nothing else running here",
            n, n_values, n == 1 ? "s" : "", n_extreme);
}

/* ---- Repetitions -------------------------------------------------------------------------------- */

static void warn_of_repetitions(struct list *list, const struct kv_summary *summary)
{
    size_t n_few = 0, n_single = 0, fewest = KV_SUMMARY_REPETITIONS;
    for (size_t i = 0; i < summary->n_configurations; i++) {
        const struct kv_configuration *c = &summary->configurations[i];
        if (!kv_configuration_is_timed(c))
            continue;
        n_single += c->n == 1;
        if (c->n > 1 && c->n < KV_SUMMARY_REPETITIONS) {
            n_few++;
            fewest = c->n < fewest ? c->n : fewest;
        }
    }
    if (n_few)
        add(list, KV_SEVERITY_WARNING,
            "%zu configuration%s fewer than %d repetitions, at the least %zu: even from the smallest to the largest of "
            "%zu the true median is missed %.0f %% of the time, so a 95 %% interval promises less than its name; use "
            "--reps %d or more",
            n_few, n_few == 1 ? " has" : "s have", KV_SUMMARY_REPETITIONS, fewest, fewest,
            100 * pow(2, 1 - (double)fewest), KV_SUMMARY_REPETITIONS);
    if (n_single)
        add(list, KV_SEVERITY_WARNING,
            "%zu configuration%s measured once: one value has no spread and supports no finding; use --reps %d or more",
            n_single, n_single == 1 ? " was" : "s were", KV_SUMMARY_REPETITIONS);
}

int kv_summary_warnings(const struct kv_summary *summary, struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS])
{
    struct list list = {warnings, 0};
    warn_of_variation(&list, summary);
    warn_of_outliers(&list, summary);
    warn_of_repetitions(&list, summary);
    return list.n;
}
