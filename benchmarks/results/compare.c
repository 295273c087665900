/* Judging every pair, and the comparison as a whole. */
#include "results/compare.h"

#include "base/error.h"
#include "results/sides.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Two-sided p when every value of one sample is above every value of the other: of the C(a + b, a) ways to deal the
 * ranks, two are that. */
static double smallest_p(size_t n_a, size_t n_b)
{
    double ways = 1;
    for (size_t i = 1; i <= n_a; i++)
        ways *= (double)(n_b + i) / (double)i;
    return fmin(1, 2 / ways);
}

/* ---- One result --------------------------------------------------------------------------------- */

static kv_status median_of(const double *values, size_t n, double *median, struct kv_error *error)
{
    double *sorted = calloc(n, sizeof *sorted);
    if (!sorted)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to sort %zu repetitions: close other programs", n);
    memcpy(sorted, values, n * sizeof *sorted);
    kv_stats_sort(sorted, n);
    *median = kv_stats_median(sorted, n);
    free(sorted);
    return KV_OK;
}

static enum kv_verdict verdict_of(const struct kv_result *result, const struct kv_compare_settings *settings)
{
    if (!(result->p < settings->alpha) || !(fmax(result->ratio, 1 / result->ratio) > 1 + settings->noise))
        return KV_VERDICT_NONE;
    return result->speed > 1 ? KV_VERDICT_FASTER : KV_VERDICT_SLOWER;
}

static kv_status judge(struct kv_result *result, enum kv_metric metric, const struct kv_compare_settings *settings,
                       struct kv_error *error)
{
    const double *base = result->pair->base->samples[metric].values;
    const double *other = result->pair->other->samples[metric].values;
    const size_t n_base = result->pair->base->samples[metric].n, n_other = result->pair->other->samples[metric].n;
    struct kv_stats_random random;
    struct kv_stats_rank_test test;
    kv_stats_random_seed(&random, KV_COMPARE_SEED); /* anew, so that no result depends on the others */
    kv_status status = median_of(base, n_base, &result->median_base, error);
    if (status == KV_OK)
        status = median_of(other, n_other, &result->median_other, error);
    if (status == KV_OK)
        status = kv_stats_median_ratio_interval(other, n_other, base, n_base, KV_COMPARE_RESAMPLES, &random,
                                                &result->interval, error);
    if (status == KV_OK)
        status = kv_stats_mann_whitney(base, n_base, other, n_other, &test, error);
    if (status != KV_OK)
        return status;
    result->n_base = n_base;
    result->n_other = n_other;
    result->ratio = result->median_other / result->median_base;
    result->speed = kv_metric_info(metric)->is_rate ? result->ratio : 1 / result->ratio;
    result->smallest_p = smallest_p(n_base, n_other);
    result->u = test.u;
    /* With equal values p is approximate, and at small n it can be less than any arrangement of the ranks gives. */
    result->p = test.exact ? test.p : fmax(test.p, result->smallest_p);
    result->verdict = verdict_of(result, settings);
    return KV_OK;
}

/* ---- Sections ----------------------------------------------------------------------------------- */

static kv_status summarize(struct kv_section *section, struct kv_error *error)
{
    double *ratios = calloc(section->n_results + 1, sizeof *ratios);
    if (!ratios)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu ratios: close other programs", section->n_results);
    for (size_t i = 0; i < section->n_results; i++) {
        ratios[i] = section->results[i].ratio;
        section->n_verdicts[section->results[i].verdict]++;
    }
    section->geometric_mean = kv_stats_geometric_mean(ratios, section->n_results);
    free(ratios);
    return KV_OK;
}

/* Judges the section's pairs into `results`. */
static kv_status fill_section(const struct kv_comparison *comparison, struct kv_section *section,
                              struct kv_result *results, struct kv_error *error)
{
    section->results = results;
    for (size_t i = 0; i < comparison->n_pairs; i++) {
        const struct kv_pair *pair = &comparison->pairs[i];
        if (pair->other_side != section->other)
            continue;
        if (pair->base->samples[section->metric].n == 0 || pair->other->samples[section->metric].n == 0) {
            section->n_unknown++;
            continue;
        }
        struct kv_result *result = &results[section->n_results++];
        result->pair = pair;
        const kv_status status = judge(result, section->metric, &comparison->settings, error);
        if (status != KV_OK)
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
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    struct kv_result *next = comparison->results;
    for (size_t i = 0; i < n_metrics; i++) {
        for (size_t j = 0; j < n_others; j++) {
            struct kv_section *section = &comparison->sections[comparison->n_sections++];
            section->metric = comparison->settings.metrics[i];
            section->other = &comparison->sides[1 + j];
            const kv_status status = fill_section(comparison, section, next, error);
            if (status != KV_OK)
                return status;
            next += section->n_results;
        }
    }
    if (next == comparison->results)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: no configuration has %s on both sides; name "
                       "another with --metric",
                       kv_metric_info(comparison->settings.metrics[0])->name);
    return KV_OK;
}

/* ---- The comparison ----------------------------------------------------------------------------- */

kv_status kv_compare(struct kv_comparison **comparison, const struct kv_measurements *base,
                     const struct kv_measurements *other, const struct kv_compare_settings *settings,
                     struct kv_error *error)
{
    *comparison = NULL;
    struct kv_comparison *created = calloc(1, sizeof *created);
    if (!created)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    created->settings = *settings;
    kv_status status = kv_sides_find(created, base, other, error);
    if (status == KV_OK)
        status = kv_pairs_find(created, error);
    if (status == KV_OK)
        status = fill_sections(created, error);
    if (status != KV_OK) {
        kv_comparison_free(created);
        return status;
    }
    *comparison = created;
    return KV_OK;
}

void kv_comparison_free(struct kv_comparison *comparison)
{
    if (!comparison)
        return;
    free(comparison->sides);
    free(comparison->pairs);
    free(comparison->unmatched);
    free(comparison->sections);
    free(comparison->results);
    free(comparison);
}

size_t kv_compare_regressions(const struct kv_comparison *comparison, double above, const struct kv_section **section,
                              const struct kv_result **worst)
{
    size_t n = 0;
    *section = NULL;
    *worst = NULL;
    for (size_t i = 0; i < comparison->n_sections; i++) {
        for (size_t j = 0; j < comparison->sections[i].n_results; j++) {
            const struct kv_result *result = &comparison->sections[i].results[j];
            if (result->verdict != KV_VERDICT_SLOWER || !(1 / result->speed > 1 + above))
                continue;
            n++;
            if (!*worst || result->speed < (*worst)->speed) {
                *section = &comparison->sections[i];
                *worst = result;
            }
        }
    }
    return n;
}

bool kv_compare_can_judge(const struct kv_comparison *comparison)
{
    for (size_t i = 0; i < comparison->n_sections; i++)
        for (size_t j = 0; j < comparison->sections[i].n_results; j++)
            if (comparison->sections[i].results[j].smallest_p < comparison->settings.alpha)
                return true;
    return false;
}

int kv_compare_needed_repetitions(double alpha)
{
    int n = 1;
    while (!(smallest_p((size_t)n, (size_t)n) < alpha))
        n++;
    return n;
}
