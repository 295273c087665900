#include "plan/suite.h"

#include "base/error.h"

#include <stdlib.h>

/* In the order in which they are measured: what is shown first is there first. */
static const struct kv_suite *const suites[] = {
    &kv_suite_batch,  &kv_suite_trace,   &kv_suite_grid,   &kv_suite_depth,
    &kv_suite_memory, &kv_suite_kernels, &kv_suite_limits,
};
enum { N_SUITES = sizeof suites / sizeof suites[0] };

const struct kv_suite *kv_suite_at(int index)
{
    return index >= 0 && index < N_SUITES ? suites[index] : NULL;
}

const struct kv_choice *kv_suite_choice(int index)
{
    const struct kv_suite *suite = kv_suite_at(index);
    return suite ? &suite->choice : NULL;
}

struct kv_sizes kv_sweep_batches(const struct kv_sweep *sweep, struct kv_sizes otherwise)
{
    return sweep->n_batches ? (struct kv_sizes){sweep->batches, sweep->n_batches} : otherwise;
}

struct kv_sizes kv_sweep_prompts(const struct kv_sweep *sweep, struct kv_sizes otherwise)
{
    return sweep->n_prompts ? (struct kv_sizes){sweep->prompts, sweep->n_prompts} : otherwise;
}

int kv_sweep_fitting(const struct kv_sweep *sweep, int n_prompt, int n_new)
{
    const int most = sweep->n_positions - n_prompt + 1;
    return n_new < most ? n_new : (most > 1 ? most : 1);
}

kv_status kv_plan_add(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep, int batch, int n_prompt,
                      int n_new, int repetitions, struct kv_error *error)
{
    const size_t n = (size_t)(plan->n_cells + sweep->n_paths);
    struct kv_cell *cells = realloc(plan->cells, n * sizeof *cells);
    if (!cells)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a plan of %zu configurations", n);
    plan->cells = cells;
    for (int i = 0; i < sweep->n_paths; i++)
        plan->cells[plan->n_cells++] = (struct kv_cell){suite, sweep->paths[i], batch,         n_prompt,
                                                        n_new, repetitions,     plan->n_groups};
    plan->n_groups++;
    return KV_OK;
}

void kv_plan_free(struct kv_plan *plan)
{
    free(plan->cells);
    *plan = (struct kv_plan){0};
}
