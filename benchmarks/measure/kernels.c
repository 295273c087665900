#include "gbench/gbench.h"
#include "measure/run.h"
#include "measure/kernel_suite.h"

#include <stdio.h>

struct kv_kernel_suite_options kv_run_kernel_options(const struct kv_run_settings *settings,
                                                     const struct kv_config *config, const char *names[2])
{
    names[0] = settings->only_gemm;
    names[1] = settings->only_isa;
    return (struct kv_kernel_suite_options){
        .config = config,
        .gemms = &names[0],
        .n_gemms = names[0] != NULL,
        .isas = &names[1],
        .n_isas = names[1] != NULL,
        .quick = settings->quick,
        .cell_budget_s = settings->cell_budget_s,
        .run_id = settings->run_id,
        .folder = settings->folder,
    };
}

static void print_progress(const struct kv_kernel_progress *progress, void *context)
{
    const struct kv_run *run = context;
    const struct kv_kernel_row *row = progress->row;
    if (run->settings->progress == KV_PROGRESS_BAR)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "kernels %d/%d: %s %s, %s, %d rows", progress->n_done, progress->n_total, row->kernel, row->shape,
            row->gemm ? row->gemm : row->isa, row->rows);
    if (row->error)
        fprintf(stderr, ": %s", row->error);
    else
        fprintf(stderr, ": %.1f GFLOPS, %.1f GB/s", row->gflops, row->gbytes_s);
    if (run->settings->progress == KV_PROGRESS_LINES || row->error)
        fputc('\n', stderr);
}

kv_status kv_run_measure_kernels(struct kv_run *run, struct kv_error *error)
{
    const char *names[2];
    struct kv_kernel_suite_options options = kv_run_kernel_options(run->settings, kv_model_config(run->model), names);
    options.pool = run->pool;
    options.limits = run->limits.threads ? &run->limits : NULL;
    if (run->settings->progress != KV_PROGRESS_NONE)
        options.progress = print_progress;
    options.progress_context = run;
    kv_status status = kv_kernel_suite_run(&options, error);
    kv_progress_end(run);
    if (!status) {
        struct kv_kernel_results *results;
        status = kv_kernel_results_load(&results, run->settings->folder, error);
        run->n_kernels_failed = results ? results->n_failed : 0;
        kv_kernel_results_free(results);
    }
    return status;
}
