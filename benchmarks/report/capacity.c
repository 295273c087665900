/* What the machine serves: a table of goals, and the planner, which is a form with the measured points in it. */
#include "report/parts.h"

#include "base/error.h"
#include "report/html.h"
#include "results/capacity.h"

#include <stdlib.h>

static kv_status print_table(const struct kv_capacity *capacity, FILE *page, struct kv_error *error)
{
    static const double goals[] = {10, 20, 50, 100};
    double contexts[KV_CAPACITY_CONTEXTS];
    struct kv_table *table = NULL;
    const int n = kv_capacity_contexts(capacity, contexts);
    if (!n)
        return KV_OK;
    kv_html_part(page, "capacity", NULL);
    kv_status status = kv_capacity_table(capacity, goals, sizeof goals / sizeof *goals, contexts, n, &table, error);
    if (!status)
        status = kv_html_table(page, table, "What this machine serves at a time-per-token goal", error);
    kv_table_free(table);
    return status;
}

kv_status kv_report_capacity(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    struct kv_capacity *capacity;
    kv_status status = kv_capacity_create(&capacity, report->results, error);
    if (status)
        return status;
    if (!capacity->n_arms)
        kv_html_part(page, "no capacity", NULL);
    else
        status = print_table(capacity, page, error);
    char *data = !status && capacity->n_arms ? kv_capacity_json(capacity) : NULL;
    if (data)
        kv_html_part(page, "planner", "data", data, NULL);
    else if (!status && capacity->n_arms)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the planner: close other programs");
    free(data);
    kv_capacity_free(capacity);
    return status;
}
