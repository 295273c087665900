/* Two machines side by side, as a section of the page. */
#include "report/parts.h"

#include "report/html.h"

#include <math.h>

/* Prints and frees a table, where it has rows. */
static kv_status put_table(FILE *page, struct kv_table *table, const char *title, struct kv_error *error)
{
    kv_status status = KV_OK;
    if (kv_table_rows(table)) {
        kv_html_part(page, "heading", "title", title, "more", "", NULL);
        status = kv_html_table(page, table, title, error);
    }
    kv_table_free(table);
    return status;
}

static void print_sentences(const struct kv_machines *machines, FILE *page)
{
    char text[500];
    for (int task = 0; task < KV_N_TASKS; task++)
        if (machines->tasks[task].n)
            kv_html_part(page, "finding", "topic", kv_task_name((enum kv_task)task), "text",
                         kv_task_sentence(machines, (enum kv_task)task, text, sizeof text), NULL);
}

void kv_report_machines_sentence(const struct kv_report *report, FILE *page)
{
    char name[KV_MACHINE_NAME_SIZE];
    kv_html_part(page, "machines sentence", "machine", kv_machine_name(report->earlier, name), NULL);
}

kv_status kv_report_machines(void *context, FILE *page, struct kv_error *error)
{
    static const double goals[] = {10, 20, 50, 100};
    const struct kv_report *report = context;
    const struct kv_machines *machines = report->machines;
    char allowance[KV_NUMBER_SIZE];
    struct kv_table *table = NULL;
    if (!machines)
        return KV_OK;
    snprintf(allowance, sizeof allowance, "%.0f", 100 * expm1(machines->apart.log_factor));
    kv_html_part(page, "machines", NULL);
    kv_status status = kv_machines_facts_table(machines, &table, error);
    if (!status)
        status = put_table(page, table, "The machines", error);
    kv_html_part(page, "machines better", NULL);
    print_sentences(machines, page);
    kv_html_part(page, "machines method", "allowance", allowance, "source", machines->apart.source, NULL);
    if (!status)
        status = kv_machines_serve_table(machines, goals, sizeof goals / sizeof *goals, &table, error);
    if (!status)
        status = put_table(page, table, "What both serve", error);
    for (int task = 0; !status && task < KV_N_TASKS; task++) {
        status = kv_machines_task_table(machines, (enum kv_task)task, &table, error);
        if (!status)
            status = put_table(page, table, kv_task_name((enum kv_task)task), error);
    }
    fputs("</section>\n", page);
    return status;
}
