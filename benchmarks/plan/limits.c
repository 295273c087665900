/* The machine's limits at every thread count; every run measures those of its own threads at its start and end. */
#include "plan/suite.h"

static kv_status plan(const struct kv_sweep *sweep, struct kv_plan *plan, struct kv_error *error)
{
    (void)sweep;
    (void)error;
    plan->limits = true;
    return KV_OK;
}

const struct kv_suite kv_suite_limits = {
    .choice = {"limits", "read bandwidth and arithmetic peak of this machine"},
    .plan = plan,
};
