/* How steady the machine was during a run, from the probes of its repetitions. */
#include "results/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define STEADY_SPREAD 0.10
#define STEADY_STOLEN 0.01
#define UNUSABLE_JUMP 0.15
enum { LEAST_PROBES = 6 };

const char *kv_grade_name(enum kv_grade grade)
{
    static const char *const names[] = {"not graded", "steady", "moving", "unusable"};
    return names[grade];
}

static double rate_of(const struct kv_probed *probed, bool arithmetic)
{
    return arithmetic ? probed->fma_flop_per_s : probed->read_bytes_per_s;
}

/* Spread and median jump of one kind of probe, of all groups the largest. values, jumps [n_probed] are scratch. */
static void measure(const struct kv_results *results, bool arithmetic, double *values, double *jumps, bool *done,
                    double *spread, double *jump)
{
    const kv_column_set group = KV_BIT(KV_COLUMN_THREADS) | KV_BIT(KV_COLUMN_ISA);
    for (size_t i = 0; i < results->n_probed; i++)
        done[i] = false;
    for (size_t i = 0; i < results->n_probed; i++) {
        const struct kv_cell_results *first = &results->cells[results->probed[i].cell];
        size_t n = 0, n_jumps = 0;
        for (size_t k = i; k < results->n_probed; k++) {
            const struct kv_probed *probed = &results->probed[k];
            if (done[k] || !kv_cells_agree(&results->cells[probed->cell], first, group))
                continue;
            done[k] = true;
            values[n] = rate_of(probed, arithmetic);
            /* short repetitions share a probe */
            if (n && values[n] != values[n - 1])
                jumps[n_jumps++] = fabs(log(values[n] / values[n - 1]));
            n++;
        }
        if (n < LEAST_PROBES)
            continue;
        kv_stats_sort(values, n);
        kv_stats_sort(jumps, n_jumps);
        *spread = fmax(*spread, kv_stats_quantile(values, n, 0.9) / kv_stats_quantile(values, n, 0.1) - 1);
        *jump = fmax(*jump, kv_stats_median(jumps, n_jumps));
    }
}

static double mean_stolen(const struct kv_results *results)
{
    double sum = 0;
    for (size_t i = 0; i < results->n_probed; i++)
        sum += results->probed[i].stolen_pct / 100;
    return sum / (double)results->n_probed;
}

static enum kv_grade grade_of(const struct kv_steadiness *s, size_t n_ok)
{
    if (isnan(s->read_spread) || isnan(s->fma_spread))
        return KV_GRADE_UNKNOWN;
    if (s->n_stalled > n_ok || s->jump > UNUSABLE_JUMP)
        return KV_GRADE_UNUSABLE;
    const bool steady = fmax(s->read_spread, s->fma_spread) <= STEADY_SPREAD && !(s->stolen > STEADY_STOLEN);
    return steady ? KV_GRADE_STEADY : KV_GRADE_MOVING;
}

static void tell(struct kv_steadiness *s)
{
    static const char *const allowed[] = {
        [KV_GRADE_STEADY] = "ratios can be trusted, and so can times and shares of the limit",
        [KV_GRADE_MOVING] =
            "ratios can be trusted; times and shares of the limit hold for that hour only: measure them again when "
            "nothing else runs here",
        [KV_GRADE_UNUSABLE] = "times and shares of the limit say nothing, and a ratio needs very many rounds: measure "
                              "again when nothing else runs here, or elsewhere",
    };
    char stolen[48] = "", numbers[128];
    if (s->grade == KV_GRADE_UNKNOWN) {
        snprintf(s->line, sizeof s->line,
                 "not graded: fewer than %d repetitions with probes, so nothing tells how steady the machine was; "
                 "measure again",
                 LEAST_PROBES);
        snprintf(s->brief, sizeof s->brief, "Machine: not graded.");
        return;
    }
    if (s->stolen > STEADY_STOLEN / 2)
        snprintf(stolen, sizeof stolen, ", %.1f %% of the time stolen", 100 * s->stolen);
    snprintf(numbers, sizeof numbers, "reading varied by %.0f %%, arithmetic by %.0f %%%s", 100 * s->read_spread,
             100 * s->fma_spread, stolen);
    snprintf(s->line, sizeof s->line, "%s: %s (%zu repetitions): %s", kv_grade_name(s->grade), numbers, s->n,
             allowed[s->grade]);
    snprintf(s->brief, sizeof s->brief, "Machine: %s (%s).", kv_grade_name(s->grade), numbers);
}

struct kv_steadiness kv_steadiness(const struct kv_results *results)
{
    struct kv_steadiness s = {.n = results->n_probed, .read_spread = NAN, .fma_spread = NAN, .jump = NAN};
    double *values = malloc((2 * s.n + 1) * sizeof *values);
    bool *done = malloc(s.n + 1);
    size_t n_ok = 0;
    for (size_t i = 0; i < results->n_cells; i++) {
        s.n_stalled += results->cells[i].n_stalled;
        n_ok += results->cells[i].n;
    }
    if (values && done) {
        measure(results, false, values, values + s.n, done, &s.read_spread, &s.jump);
        measure(results, true, values, values + s.n, done, &s.fma_spread, &s.jump);
    }
    s.stolen = s.n ? mean_stolen(results) : NAN;
    s.grade = grade_of(&s, n_ok);
    tell(&s);
    free(values);
    free(done);
    return s;
}
