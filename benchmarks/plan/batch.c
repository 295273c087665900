/* TTFT, TTPT, throughput and memory against the batch size. */
#include "plan/suite.h"

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    static const int quick[] = {1, 2, 4, 8}, all[] = {1, 2, 4, 8, 16, 32};
    const bool small = sweep->extent == KV_EXTENT_QUICK;
    const struct kv_sizes batches = kv_sweep_batches(sweep, small ? KV_SIZES(quick) : KV_SIZES(all));
    const struct kv_sizes prompts = kv_sweep_prompts(sweep, (struct kv_sizes){&sweep->default_prompt, 1});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++) {
        const int n_new = sweep->n_new ? sweep->n_new : kv_sweep_fitting(sweep, prompts.values[p], small ? 8 : 50);
        for (int b = 0; !status && b < batches.n; b++)
            status = kv_plan_add(plan, kv_suite_batch.choice.name, sweep, batches.values[b], prompts.values[p], n_new,
                                 sweep->repetitions, error);
    }
    return status;
}

const struct kv_suite kv_suite_batch = {
    .choice = {"batch", "batch 1 to 32: TTFT, TTPT, throughput, memory"},
    .plan = plan,
};
