/* What makes a comparison worth less than it looks, each with its remedy. */
#include "results/compare.h"

#include <string.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Names the result that can see least. */
static int warn_of_repetitions(const struct kv_comparison *comparison, struct kv_warning *warning)
{
    const double alpha = comparison->settings.alpha;
    const struct kv_result *fewest = NULL;
    size_t n = 0, n_all = 0;
    for (size_t i = 0; i < comparison->n_sections; i++) {
        for (size_t j = 0; j < comparison->sections[i].n_results; j++) {
            const struct kv_result *result = &comparison->sections[i].results[j];
            n_all++;
            n += smaller(result->n_base, result->n_other) < KV_COMPARE_REPETITIONS;
            if (!fewest || result->smallest_p > fewest->smallest_p)
                fewest = result;
        }
    }
    if (n == 0)
        return 0;
    const int needed = kv_compare_needed_repetitions(alpha);
    warning->severity = KV_SEVERITY_WARNING;
    snprintf(warning->text, sizeof warning->text,
             "fewer than %d repetitions in %zu of %zu rows, as few as %zu against %zu, where p cannot go below %.2g%s; "
             "measure again with --reps %d",
             KV_COMPARE_REPETITIONS, n, n_all, fewest->n_base, fewest->n_other, fewest->smallest_p,
             fewest->smallest_p < alpha ? "" : " and no difference can be seen",
             needed > KV_COMPARE_REPETITIONS ? needed : KV_COMPARE_REPETITIONS);
    return 1;
}

static int warn_of_machines(const struct kv_comparison *comparison, struct kv_warning *warning)
{
    const struct kv_measured_on *a = &comparison->sides[0].run->machine, *b = &comparison->sides[1].run->machine;
    char seen[320] = "";
    size_t length = 0;
    if (*a->cpu && *b->cpu && strcmp(a->cpu, b->cpu) != 0)
        length += (size_t)snprintf(seen, sizeof seen, ", CPU %s and %s", a->cpu, b->cpu);
    if (a->threads > 0 && b->threads > 0 && a->threads != b->threads)
        length += (size_t)snprintf(seen + length, sizeof seen - length, ", %d and %d threads", a->threads, b->threads);
    if (*a->openblas_core && *b->openblas_core && strcmp(a->openblas_core, b->openblas_core) != 0 &&
        length < sizeof seen)
        length += (size_t)snprintf(seen + length, sizeof seen - length, ", OpenBLAS %s and %s", a->openblas_core,
                                   b->openblas_core);
    if (length == 0)
        return 0;
    warning->severity = KV_SEVERITY_WARNING;
    snprintf(warning->text, sizeof warning->text, "the machines of A and B differ%s: measure both on one", seen);
    return 1;
}

static int warn_of_context(const struct kv_measurements *run, struct kv_warning *warning)
{
    if (!*run->machine.problem)
        return 0;
    warning->severity = KV_SEVERITY_WARNING;
    snprintf(warning->text, sizeof warning->text,
             "context.json beside %.180s cannot be read (%.80s), so its machine is unknown: mend or delete it",
             run->file, run->machine.problem);
    return 1;
}

int kv_compare_warnings(const struct kv_comparison *comparison, struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS])
{
    const struct kv_measurements *base = comparison->sides[0].run, *other = comparison->sides[1].run;
    int n = warn_of_repetitions(comparison, &warnings[0]);
    n += warn_of_machines(comparison, &warnings[n]);
    n += warn_of_context(base, &warnings[n]);
    if (other != base)
        n += warn_of_context(other, &warnings[n]);
    return n;
}
