/* The model's matrix products and attention alone: measured by kernels/, not as cells of the plan. */
#include "plan/suite.h"

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    (void)sweep;
    (void)error;
    plan->kernels = true;
    return KV_OK;
}

const struct kv_suite kv_suite_kernels = {
    .choice = {"kernels", "matmul and attention shapes by backend, instruction set and rows"},
    .plan = plan,
};
