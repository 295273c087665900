/* Every token's latency in one long generation. */
#include "plan/suite.h"

/* Fewer repetitions make no band around a token's latency. */
#define LEAST_REPETITIONS 5

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    static const int one[] = {1}, new_tokens[] = {24, 128, INT32_MAX}; /* quick, report, full: the whole window */
    const struct kv_sizes batches = kv_sweep_batches(sweep, KV_SIZES(one));
    const struct kv_sizes prompts = kv_sweep_prompts(sweep, (struct kv_sizes){&sweep->default_prompt, 1});
    const int repetitions = sweep->repetitions > LEAST_REPETITIONS ? sweep->repetitions : LEAST_REPETITIONS;
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++) {
        const int n_new = sweep->n_new ? sweep->n_new
                                       : kv_sweep_fitting(sweep, prompts.values[p], new_tokens[sweep->extent]);
        for (int b = 0; !status && b < batches.n; b++)
            status = kv_plan_add(plan, kv_suite_trace.choice.name, sweep, batches.values[b], prompts.values[p], n_new,
                                 repetitions, error);
    }
    return status;
}

const struct kv_suite kv_suite_trace = {
    .choice = {"trace", "one long generation: every token's latency"},
    .plan = plan,
};
