/* The batch x length plane: TTFT of a sequence, and one step at its end. */
#include "plan/lengths.h"
#include "plan/suite.h"

/* One step after the first token: the naive path runs the whole window for each. */
#define NEW_TOKENS 2

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    static const int quick[] = {1, 4}, report[] = {1, 4, 16}, full[] = {1, 2, 4, 8, 16, 32};
    const struct kv_sizes otherwise = sweep->extent == KV_EXTENT_QUICK    ? KV_SIZES(quick)
                                      : sweep->extent == KV_EXTENT_REPORT ? KV_SIZES(report)
                                                                          : KV_SIZES(full);
    const struct kv_sizes batches = kv_sweep_batches(sweep, otherwise);
    const int n_new = sweep->n_new ? sweep->n_new : NEW_TOKENS;
    int lengths[KV_MAX_LENGTHS];
    const int window = sweep->extent == KV_EXTENT_QUICK && sweep->n_positions > 256 ? 256 : sweep->n_positions;
    const int n_lengths = kv_lengths_by_factor(lengths, 64, sweep->extent == KV_EXTENT_FULL ? 2 : 4, window);
    for (int i = 0; i < n_lengths; i++) /* the last step then stands at the end of that length */
        lengths[i] = lengths[i] > n_new - 1 ? lengths[i] - (n_new - 1) : 1;
    const struct kv_sizes prompts = kv_sweep_prompts(sweep, (struct kv_sizes){lengths, n_lengths});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++)
            status = kv_plan_add(plan, kv_suite_grid.choice.name, sweep, batches.values[b], prompts.values[p], n_new,
                                 sweep->repetitions, error);
    return status;
}

const struct kv_suite kv_suite_grid = {
    .choice = {"grid", "batch x sequence length: TTFT, a step at that depth, memory"},
    .plan = plan,
};
