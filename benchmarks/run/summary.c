#include "run/run.h"

#include "report/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct medians {
    double ttft_ms, ttpt_ms, decode_tok_s;
    double spread; /* of TTPT: (largest - smallest) / median; NaN with fewer than two repetitions */
};

/* The median of one figure, which lies `offset` bytes into kv_figures; *spread may be NULL. */
static double median_of(const struct kv_cell_result *result, size_t offset, double *spread)
{
    const size_t n = (size_t)result->n_done;
    double *values = malloc((n ? n : 1) * sizeof *values), median = NAN;
    if (values && n) {
        for (size_t i = 0; i < n; i++)
            memcpy(&values[i], (const char *)&result->figures[i] + offset, sizeof *values);
        kv_stats_sort(values, n);
        median = kv_stats_median(values, n);
        if (spread)
            *spread = n > 1 ? (values[n - 1] - values[0]) / median : NAN;
    }
    free(values);
    return median;
}

static struct medians medians_of(const struct kv_cell_result *result)
{
    struct medians m = {.spread = NAN};
    m.ttft_ms = median_of(result, offsetof(struct kv_figures, ttft_ms), NULL);
    m.ttpt_ms = median_of(result, offsetof(struct kv_figures, ttpt_ms), &m.spread);
    m.decode_tok_s = median_of(result, offsetof(struct kv_figures, decode_tok_s), NULL);
    return m;
}

static void print_number(double value, int width, int decimals)
{
    if (isnan(value))
        printf("%*s", width, "-");
    else
        printf("%*.*f", width, decimals, value);
}

static void print_row(const struct kv_cell *cell, const struct kv_cell_result *result)
{
    const struct medians m = medians_of(result);
    printf("%5d  %-8s", cell->batch, cell->path);
    if (result->error[0]) {
        printf("  failed: %s\n", result->error);
        return;
    }
    if (!result->n_done) {
        printf("  not measured\n");
        return;
    }
    print_number(m.ttft_ms, 10, 1);
    print_number(m.ttpt_ms, 10, 2);
    print_number(m.spread * 100, 7, 1);
    print_number(m.decode_tok_s, 11, 1);
    print_number((double)result->kv_live_bytes / (1024 * 1024), 10, 2);
    printf("%5d\n", result->n_done);
}

static int find_path(const struct kv_plan *plan, int group, const char *path)
{
    for (int i = 0; i < plan->n_cells; i++)
        if (plan->cells[i].group == group && strcmp(plan->cells[i].path, path) == 0)
            return i;
    return -1;
}

/* "cached decodes 7.9 times as fast as naive at batch 8", for every group that has both. */
static void print_findings(const struct kv_run *run)
{
    for (int group = 0; group < run->plan->n_groups; group++) {
        const int cached = find_path(run->plan, group, "cached"), naive = find_path(run->plan, group, "naive");
        if (cached < 0 || naive < 0)
            continue;
        const struct medians c = medians_of(&run->results[cached]), n = medians_of(&run->results[naive]);
        const double faster = n.ttpt_ms / c.ttpt_ms;
        if (isnan(faster))
            continue;
        printf("Batch %d: cached decodes at %.1f tok/s, %.1f times as fast as naive; time to first token %.2f times "
               "naive's.\n",
               run->plan->cells[cached].batch, c.decode_tok_s, faster, c.ttft_ms / n.ttft_ms);
    }
}

void kv_summary_print(const struct kv_run *run)
{
    printf("\n%s (weights %s), %d thread%s; medians, spread = (max - min) / median of TTPT\n\n", run->settings->model_name,
           kv_model_weights(run->model), kv_team_size(run->team), kv_team_size(run->team) == 1 ? "" : "s");
    printf("batch  path       TTFT ms   TTPT ms  +- %%  decode tok/s   KV MiB    n\n");
    for (int i = 0; i < run->plan->n_cells; i++)
        print_row(&run->plan->cells[i], &run->results[i]);
    putchar('\n');
    print_findings(run);
}
