/* Which configurations there are: the names that were asked for, and every shape for each of them. */
#include "base/error.h"
#include "measure/kernel_cell.h"

#include <stdlib.h>

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "kernels: no memory for the plan; close other programs");
}

static int count(const struct kv_choice *(*choice)(int index))
{
    int n = 0;
    while (choice(n))
        n++;
    return n;
}

/* Those that were named, or all but the reference, which is there to be right and takes minutes. */
static kv_status find_backends(const struct kv_kernel_suite_options *options, struct kv_kernel_arms *arms,
                               struct kv_error *error)
{
    const int n = options->n_gemms ? options->n_gemms : count(kv_matmul_choice);
    kv_status status = KV_OK;
    arms->backends = calloc((size_t)n, sizeof *arms->backends);
    if (!arms->backends)
        return fail_memory(error);
    for (int i = 0; !status && i < n; i++) {
        const char *name = options->n_gemms ? options->gemms[i] : kv_matmul_choice(i)->name;
        const struct kv_matmul_backend *backend;
        status = kv_matmul_find(name, &backend, error);
        if (!status && (options->n_gemms || backend != &kv_matmul_reference))
            arms->backends[arms->n_backends++] = backend;
    }
    return status;
}

static kv_status find_levels(const struct kv_kernel_suite_options *options, struct kv_kernel_arms *arms,
                             struct kv_error *error)
{
    const int n = options->n_isas ? options->n_isas : count(kv_isa_choice);
    kv_status status = KV_OK;
    arms->product_levels = calloc((size_t)n, sizeof *arms->product_levels);
    arms->attention_levels = calloc((size_t)n, sizeof *arms->attention_levels);
    if (!arms->product_levels || !arms->attention_levels)
        return fail_memory(error);
    for (int i = 0; !status && i < n; i++) {
        const char *name = options->n_isas ? options->isas[i] : kv_isa_choice(i)->name;
        if (!options->n_isas && !kv_isa_supported(name))
            continue;
        status = kv_kernels_find(name, &arms->attention_levels[arms->n_attention_levels++], error);
    }
    for (int i = 0; !status && i < options->n_isas; i++)
        arms->product_levels[arms->n_product_levels++] = arms->attention_levels[i];
    if (!status && !options->n_isas)
        status = kv_kernels_find(NULL, &arms->product_levels[arms->n_product_levels++], error);
    return status;
}

kv_status kv_kernel_plan_add(struct kv_kernel_plan *plan, const struct kv_kernel_cell *cell, struct kv_error *error)
{
    struct kv_kernel_cell *cells = realloc(plan->cells, ((size_t)plan->n_cells + 1) * sizeof *cells);
    if (!cells)
        return fail_memory(error);
    plan->cells = cells;
    plan->cells[plan->n_cells++] = *cell;
    return KV_OK;
}

kv_status kv_kernel_plan_make(struct kv_kernel_plan *plan, const struct kv_kernel_suite_options *options,
                              struct kv_error *error)
{
    struct kv_kernel_arms arms = {0};
    *plan = (struct kv_kernel_plan){0};
    if (options->repetitions < 0 || options->n_gemms < 0 || options->n_isas < 0 || !(options->min_time_s >= 0) ||
        !(options->cell_budget_s >= 0))
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "kernels: a negative number of repetitions, names or seconds; use 0 "
                       "for the default");
    kv_status status = find_backends(options, &arms, error);
    if (!status)
        status = find_levels(options, &arms, error);
    if (!status)
        status = kv_kernel_plan_matmul(plan, options, &arms, error);
    if (!status)
        status = kv_kernel_plan_attention(plan, options, &arms, error);
    free(arms.backends);
    free(arms.product_levels);
    free(arms.attention_levels);
    if (status)
        kv_kernel_plan_free(plan);
    return status;
}

void kv_kernel_plan_free(struct kv_kernel_plan *plan)
{
    free(plan->cells);
    *plan = (struct kv_kernel_plan){0};
}
