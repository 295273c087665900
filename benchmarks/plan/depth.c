/* The latency of a step against the context it stands in. */
#include "plan/lengths.h"
#include "plan/suite.h"

/* Two steps at nearly the same depth, after the first token. */
#define NEW_TOKENS 3

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    static const int one[] = {1}, steps[] = {[KV_EXTENT_QUICK] = 2, [KV_EXTENT_REPORT] = 8, [KV_EXTENT_FULL] = 32};
    const struct kv_sizes batches = kv_sweep_batches(sweep, KV_SIZES(one));
    const int n_new = sweep->n_new ? sweep->n_new : NEW_TOKENS;
    int lengths[KV_MAX_LENGTHS];
    const int window = sweep->extent == KV_EXTENT_QUICK && sweep->n_positions > 512 ? 512 : sweep->n_positions;
    const int last = window - (n_new - 1) > 1 ? window - (n_new - 1) : 1;
    const int n_lengths = kv_lengths_by_step(lengths, steps[sweep->extent], last);
    const struct kv_sizes prompts = kv_sweep_prompts(sweep, (struct kv_sizes){lengths, n_lengths});
    kv_status status = KV_OK;
    for (int b = 0; b < batches.n; b++)
        for (int p = 0; !status && p < prompts.n; p++)
            status = kv_plan_add(plan, kv_suite_depth.choice.name, sweep, batches.values[b], prompts.values[p], n_new,
                                 sweep->repetitions, error);
    return status;
}

const struct kv_suite kv_suite_depth = {
    .choice = {"depth", "context 1 to n_positions: step latency against context"},
    .plan = plan,
};
