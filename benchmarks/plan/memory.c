/* Memory alone: one prefill of every batch x length, once. */
#include "plan/lengths.h"
#include "plan/suite.h"

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    static const int small[] = {1, 4}, all[] = {1, 2, 4, 8};
    const bool quick = sweep->extent == KV_EXTENT_QUICK;
    const struct kv_sizes batches = kv_sweep_batches(sweep, quick ? KV_SIZES(small) : KV_SIZES(all));
    int lengths[KV_MAX_LENGTHS];
    const int window = quick && sweep->n_positions > 256 ? 256 : sweep->n_positions;
    const int n_lengths = kv_lengths_by_factor(lengths, 64, sweep->extent == KV_EXTENT_FULL ? 2 : 4, window);
    const struct kv_sizes prompts = kv_sweep_prompts(sweep, (struct kv_sizes){lengths, n_lengths});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++)
            status = kv_plan_add(plan, kv_suite_memory.choice.name, sweep, batches.values[b], prompts.values[p],
                                 sweep->n_new ? sweep->n_new : 1, 1, error);
    return status;
}

const struct kv_suite kv_suite_memory = {
    .choice = {"memory", "batch x length: live, reserved and resident memory"},
    .plan = plan,
};
