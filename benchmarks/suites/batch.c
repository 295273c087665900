/* TTFT, TTPT, throughput and memory against the batch size. */
#include "suites/suite.h"

static const int full_batches[] = {1, 2, 4, 8, 16, 32};
static const int quick_batches[] = {1, 2, 4, 8};

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    const int *batches = sweep->quick ? quick_batches : full_batches;
    int n = (int)(sweep->quick ? sizeof quick_batches : sizeof full_batches) / (int)sizeof *batches;
    if (sweep->n_batches) {
        batches = sweep->batches;
        n = sweep->n_batches;
    }
    const int n_new = sweep->n_new ? sweep->n_new : (sweep->quick ? 16 : 50);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < n; i++)
        status = kv_plan_add(plan, kv_suite_batch.choice.name, sweep, batches[i], sweep->n_prompt, n_new, error);
    return status;
}

const struct kv_suite kv_suite_batch = {
    .choice = {"batch", "batch sizes 1 to 32: TTFT, TTPT, throughput, memory"},
    .plan = plan,
};
