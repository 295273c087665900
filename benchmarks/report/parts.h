/* What a report is made from, and its sections in their order on the page. */
#ifndef KV_REPORT_PARTS_H
#define KV_REPORT_PARTS_H

#include <jansson.h>
#include <stdio.h>

#include "report/changes.h"
#include "report/report.h"
#include "results/csv.h"
#include "results/summary.h"

/* All that the folder of a run holds; NULL where a file is not there. */
struct kv_report {
    const char *folder;
    struct kv_summary *summary;   /* of runs.csv, with its tokens.csv */
    struct kv_csv_table *kernels; /* kernels.csv */
    struct kv_csv_table *limits;  /* limits.csv */
    json_t *context;              /* context.json */
    struct kv_changes *changes;   /* against an earlier run */
};

/* Whether the run has rows of that suite. */
bool kv_report_has_suite(const struct kv_report *report, const char *suite);

/* ---- context.json: a value by the names on the way to it, such as "machine.cpu.name" ------------------------- */

/* Both NULL when it is unknown. */
const json_t *kv_report_context(const struct kv_report *report, const char *names);
const char *kv_report_context_text(const struct kv_report *report, const char *names);

/* ---- Numbers ------------------------------------------------------------------------------------- */

/* How many times as fast a step of `configuration` is as one of path naive that agrees in all else: ratio of the
 * medians, with its interval. Ratio NaN when there is no such pair; interval NaN with one repetition. */
struct kv_report_speed {
    double ratio;
    struct kv_stats_interval interval;
};
kv_status kv_report_speed(const struct kv_report *report, const struct kv_configuration *configuration,
                          struct kv_report_speed *speed, struct kv_error *error);

/* "2.41 to 2.60", "" when it is unknown; cut to `size`, and returned. */
const char *kv_report_range(struct kv_stats_interval interval, char *text, size_t size);

/* ---- Sections ------------------------------------------------------------------------------------ */

void kv_report_print_head(const struct kv_report *report, FILE *page);
kv_status kv_report_print_findings(const struct kv_report *report, FILE *page, struct kv_error *error);
/* Fills `outcome`. */
kv_status kv_report_print_figures(const struct kv_report *report, FILE *page, struct kv_report_outcome *outcome,
                                  struct kv_error *error);
kv_status kv_report_print_tables(const struct kv_report *report, FILE *page, struct kv_error *error);
kv_status kv_report_print_kernels(const struct kv_report *report, FILE *page, struct kv_error *error);
kv_status kv_report_print_machine(const struct kv_report *report, FILE *page, struct kv_error *error);
void kv_report_print_warnings(const struct kv_report *report, FILE *page);
void kv_report_print_glossary(FILE *page);

#endif
