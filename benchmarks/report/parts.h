/* What a report is made from, and its sections, which fill the slots of page.html. */
#ifndef KV_REPORT_PARTS_H
#define KV_REPORT_PARTS_H

#include <jansson.h>
#include <stdio.h>

#include "report/html.h"
#include "report/report.h"
#include "results/compare.h"
#include "results/machines.h"
#include "results/results.h"

struct kv_report {
    const char *folder; /* or pack, as it was named */
    char *figures;      /* folder of the figures */
    struct kv_results *results;
    json_t *context;                   /* context.json, NULL where there is none */
    struct kv_results *earlier;        /* with --against; else NULL, as the comparison */
    struct kv_comparison *comparison;  /* of one machine; */
    struct kv_machines *machines;      /* or of two; else NULL */
    struct kv_report_outcome *outcome; /* the section of the figures fills it */
};

/* Whether the run measured cells of that suite. */
bool kv_report_has_suite(const struct kv_report *report, const char *suite);

/* A value of context.json by the names on the way to it, such as "machine.cpu.name"; NULL and "" when unknown. */
const json_t *kv_report_context(const struct kv_report *report, const char *names);
const char *kv_report_context_text(const struct kv_report *report, const char *names);

/* ---- Slots: `report` is a struct kv_report ------------------------------------------------------------------ */

kv_status kv_report_findings(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_figures(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_tables(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_capacity(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_machines(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_machine(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_limits(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_calibration(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_warnings(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_terms(void *report, FILE *page, struct kv_error *error);
kv_status kv_report_changes(void *report, FILE *page, struct kv_error *error);

/* The figure that is no run's, and has a section of its own. */
#define KV_REPORT_CALIBRATION "calibration"
/* The one below which its findings stand. */
#define KV_REPORT_PEERS "peers"

/* Shows folder/NAME.svg with its title and caption; *found: it is there. Errors: IO, FORMAT, MEMORY. */
kv_status kv_report_figure(const struct kv_report *report, const char *folder, const struct kv_figure_text *figure,
                           FILE *page, bool *found, struct kv_error *error);

/* One item of a list of warnings and notes. */
void kv_report_print_warning(FILE *page, bool is_warning, const char *text);

/* Holds the run against an earlier one, or one of another machine. Errors: as kv_results_load, kv_compare and
 * kv_machines_create. */
kv_status kv_report_compare(struct kv_report *report, const char *against, struct kv_error *error);

/* One sentence for the findings. */
void kv_report_changes_sentence(const struct kv_report *report, FILE *page);
void kv_report_machines_sentence(const struct kv_report *report, FILE *page);

#endif
