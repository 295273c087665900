#include "cli/bench.h"
#include "measure/kernel_suite.h"

#include <stdio.h>

int bench_dry_run(const char *command, const struct kv_run_settings *settings, const struct kv_plan *plan,
                  const struct kv_model *model, struct kv_pool *pool)
{
    struct kv_error error = {""};
    struct kv_run run;
    if (kv_run_predict(&run, settings, plan, model, pool, &error) != KV_OK) {
        kv_run_free(&run);
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    }
    printf("suite   path      batch  prompt    new  reps    seconds\n");
    for (int i = 0; i < plan->n_cells; i++) {
        const struct kv_cell *cell = &plan->cells[i];
        const double seconds = kv_predict_seconds(&run, cell) * cell->repetitions;
        const bool over = settings->cell_budget_s > 0 && seconds > settings->cell_budget_s;
        printf("%-7s %-8s %6d %7d %6d %5d %10.1f%s\n", cell->suite, cell->path, cell->batch, cell->n_prompt,
               cell->n_new, cell->repetitions, seconds, over ? "  skipped: over the budget" : "");
    }
    struct kv_kernel_expectation kernels = {0};
    if (plan->kernels) {
        const char *names[2];
        struct kv_kernel_suite_options options = kv_run_kernel_options(settings, kv_model_config(model), names);
        options.pool = pool;
        options.limits = run.limits.threads ? &run.limits : NULL;
        if (kv_kernel_suite_expect(&options, &kernels, &error) == KV_OK)
            printf("kernels %d products and attentions %52.1f\n", kernels.n_configurations, kernels.seconds);
    }
    printf("\n%d configurations, about %.1f minutes with warm-up\n", plan->n_cells + kernels.n_configurations,
           (kv_predict_left(&run) + kernels.seconds) / 60);
    kv_run_free(&run);
    return CLI_OK;
}
