/* What makes the samples less than they seem. */
#include "results/findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Throughputs are these turned over: they would say the same twice. */
static const enum kv_column watched[] = {KV_COLUMN_TTFT_MS, KV_COLUMN_TTPT_MS, KV_COLUMN_E2E_MS};
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

/* ---- Outliers ----------------------------------------------------------------------------------- */

static void warn_of_outliers(struct list *list, const struct kv_results *results)
{
    size_t n = 0, n_extreme = 0, n_values = 0;
    for (size_t i = 0; i < results->n_cells; i++)
        for (int w = 0; w < N_WATCHED; w++) {
            const struct kv_sample *sample = &results->cells[i].figures[watched[w]];
            const struct kv_stats_outliers o = kv_stats_tukey_outliers(sample->values, sample->n);
            n_extreme += o.low_extreme + o.high_extreme;
            n += o.low_extreme + o.low_mild + o.high_mild + o.high_extreme;
            n_values += sample->n;
        }
    if (n)
        add(list, KV_SEVERITY_INFO,
            "%zu of %zu values of TTFT, TTPT (TPOT) and E2E lie%s beyond Tukey's fences, %zu of them far: they are "
            "kept, and "
            "the medians barely move; where they matter, run again with nothing else running here",
            n, n_values, n == 1 ? "s" : "", n_extreme);
}

/* ---- Repetitions -------------------------------------------------------------------------------- */

static void warn_of_repetitions(struct list *list, const struct kv_results *results)
{
    size_t n_few = 0, n_single = 0, fewest = KV_WARN_REPETITIONS;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *c = &results->cells[i];
        if (c->file != KV_FILE_RUNS || !kv_cell_is_timed(c))
            continue;
        n_single += c->n == 1;
        if (c->n > 1 && c->n < KV_WARN_REPETITIONS) {
            n_few++;
            fewest = c->n < fewest ? c->n : fewest;
        }
    }
    if (n_few)
        add(list, KV_SEVERITY_WARNING,
            "%zu cell%s fewer than %d repetitions, at the least %zu: the true median lies outside the smallest and the "
            "largest of %zu in %.0f %% of cases, so their interval covers less than 95 %%; use --reps %d or more",
            n_few, n_few == 1 ? " has" : "s have", KV_WARN_REPETITIONS, fewest, fewest,
            100 * pow(2, 1 - (double)fewest), KV_WARN_REPETITIONS);
    if (n_single)
        add(list, KV_SEVERITY_WARNING,
            "%zu cell%s measured once: one value has no spread and supports no finding; use --reps %d or more",
            n_single, n_single == 1 ? " was" : "s were", KV_WARN_REPETITIONS);
}

static void warn_of_stalls(struct list *list, const struct kv_results *results)
{
    size_t n = 0, n_ok = 0;
    for (size_t i = 0; i < results->n_cells; i++) {
        n += results->cells[i].n_stalled;
        n_ok += results->cells[i].n;
    }
    if (n)
        add(list, KV_SEVERITY_INFO,
            "%zu repetition%s stalled by the machine beside %zu that are ok: %s in no figure, and %s rows stay in the "
            "files",
            n, n == 1 ? " was" : "s were", n_ok, n == 1 ? "it is" : "they are", n == 1 ? "its" : "their");
}

int kv_results_warnings(const struct kv_results *results, struct kv_warning warnings[KV_MAX_WARNINGS])
{
    struct list list = {warnings, 0};
    warn_of_outliers(&list, results);
    warn_of_stalls(&list, results);
    warn_of_repetitions(&list, results);
    return list.n;
}
