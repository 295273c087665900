#include "suites/suite.h"

#include <stdio.h>
#include <stdlib.h>

static const struct kv_suite *const suites[] = {
    &kv_suite_batch,
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

kv_status kv_plan_add(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep, int batch, int n_prompt,
                      int n_new, struct kv_error *error)
{
    const size_t n = (size_t)(plan->n_cells + sweep->n_paths);
    struct kv_cell *cells = realloc(plan->cells, n * sizeof *cells);
    if (!cells) {
        if (error)
            snprintf(error->message, sizeof error->message, "no memory for a plan of %zu configurations", n);
        return KV_ERROR_MEMORY;
    }
    plan->cells = cells;
    for (int i = 0; i < sweep->n_paths; i++)
        plan->cells[plan->n_cells++] =
            (struct kv_cell){suite, sweep->paths[i], batch, n_prompt, n_new, plan->n_groups};
    plan->n_groups++;
    return KV_OK;
}

void kv_plan_free(struct kv_plan *plan)
{
    free(plan->cells);
    *plan = (struct kv_plan){0};
}
