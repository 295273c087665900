/* The findings: the numbers that tell most, the sentences, the most telling first; warnings and terms. */
#include "report/parts.h"

#include "report/html.h"
#include "results/figures.h"
#include "results/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_SIZE = 512 };

/* ---- Numbers ---------------------------------------------------------------------------------------------- */

/* `doubt` is the part that says that nothing is seen, or NULL. */
static void print_number(FILE *page, const char *part, const struct kv_cell_results *cell, double value,
                         struct kv_stats_interval interval, const char *where, const char *doubt)
{
    char number[KV_NUMBER_SIZE], low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE], range[128] = "";
    if (!isnan(interval.low))
        snprintf(range, sizeof range, "95 %% interval %s to %s", kv_number_text(interval.low, low, sizeof low),
                 kv_number_text(interval.high, high, sizeof high));
    kv_html_part(page, part, "path", cell->texts[KV_COLUMN_PATH], "number",
                 kv_number_text(value, number, sizeof number), "where", where, "tokens",
                 cell->texts[KV_COLUMN_NEW_TOKENS], "doubt", doubt ? kv_html_markup(doubt) : "", "range", range, NULL);
}

/* Of the first and the last cell of the suite that shows batch sizes, of the first path that has a speed. */
static kv_status print_speeds(const struct kv_results *results, FILE *page, struct kv_error *error)
{
    const struct kv_cell_results *found[2] = {NULL, NULL};
    struct kv_judgement speeds[2], speed;
    char where[KV_WHERE_SIZE];
    const char *const suite = kv_figure_suite(kv_figure(0), results);
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *const cell = &results->cells[i];
        if (!kv_cell_is(cell, KV_COLUMN_SUITE, suite) ||
            (found[0] && !kv_cell_is(cell, KV_COLUMN_PATH, found[0]->texts[KV_COLUMN_PATH])))
            continue;
        const kv_status status = kv_results_speed(results, cell, &speed, error);
        if (status)
            return status;
        if (!speed.n_base)
            continue;
        const int at = found[0] != NULL;
        found[at] = cell;
        speeds[at] = speed;
    }
    for (int i = 0; i < 2 && found[i]; i++)
        print_number(page, "number speed", found[i], speeds[i].speed, speeds[i].interval,
                     kv_where_text(results, found[i], 0, where, sizeof where),
                     speeds[i].verdict == KV_EFFECT_EQUAL       ? "no difference"
                     : speeds[i].verdict == KV_EFFECT_UNDECIDED ? "not told apart"
                                                                : NULL);
    return KV_OK;
}

static kv_status print_numbers(const struct kv_results *results, const struct kv_finding *findings, size_t n,
                               FILE *page, struct kv_error *error)
{
    fputs("<ul class=\"numbers\">\n", page);
    const kv_status status = print_speeds(results, page, error);
    for (size_t i = 0; i < n; i++) {
        const struct kv_finding *const f = &findings[i];
        if (f->kind == KV_FINDING_GROWTH && !f->base && f->growth != KV_GROWTH_UNDECIDED)
            print_number(page, "number growth", f->cell, f->value_2, f->interval_2, "",
                         f->growth == KV_GROWTH_FLAT ? "no change" : NULL);
        else if (f->kind == KV_FINDING_MEMORY)
            print_number(page, "number memory", f->cell, f->value / 1024, (struct kv_stats_interval){NAN, NAN}, "",
                         NULL);
    }
    fputs("</ul>\n", page);
    return status;
}

/* ---- Sentences -------------------------------------------------------------------------------------------- */

static const char *topic_of(const struct kv_finding *finding)
{
    switch (finding->kind) {
    case KV_FINDING_MEMORY:
        return "memory";
    case KV_FINDING_THROUGHPUT:
        return "throughput";
    case KV_FINDING_FAULTS:
        return "limits";
    default:
        return finding->cell->texts[KV_COLUMN_SUITE];
    }
}

/* That nothing was seen is worth a line, but not one at the top. */
static bool says_something(const struct kv_finding *finding)
{
    return finding->kind != KV_FINDING_EQUAL && finding->kind != KV_FINDING_UNDECIDED &&
           finding->kind != KV_FINDING_FAULTS && finding->kind != KV_FINDING_NO_RATIO &&
           (finding->kind != KV_FINDING_GROWTH || finding->growth != KV_GROWTH_UNDECIDED);
}

/* Of each topic the last that says something: sweeps go upwards, so that is the largest batch or longest context. */
static bool is_telling(const struct kv_finding *findings, size_t n, size_t index)
{
    if (!says_something(&findings[index]))
        return false;
    for (size_t i = index + 1; i < n; i++)
        if (strcmp(topic_of(&findings[i]), topic_of(&findings[index])) == 0 && says_something(&findings[i]))
            return false;
    return true;
}

static void print_sentences(const struct kv_results *results, const struct kv_finding *findings, size_t n, bool telling,
                            FILE *page)
{
    fputs("<ul class=\"findings\">\n", page);
    for (size_t i = 0; i < n; i++) {
        const char *const topic = topic_of(&findings[i]);
        char buffer[KV_FINDING_SIZE];
        const char *const text = kv_finding_text(results, &findings[i], buffer, sizeof buffer);
        const char *const colon = strstr(text, ": ");
        if (is_telling(findings, n, i) == telling)
            kv_html_part(page, "finding", "topic", topic, "text", colon ? colon + 2 : text, NULL);
    }
    fputs("</ul>\n", page);
}

static void print_all_sentences(const struct kv_results *results, const struct kv_finding *findings, size_t n,
                                FILE *page)
{
    size_t n_telling = 0;
    for (size_t i = 0; i < n; i++)
        n_telling += is_telling(findings, n, i);
    if (n_telling)
        print_sentences(results, findings, n, true, page);
    if (n == n_telling)
        return;
    fprintf(page, "<details><summary>%zu more finding%s</summary>\n", n - n_telling, n - n_telling == 1 ? "" : "s");
    print_sentences(results, findings, n, false, page);
    fputs("</details>\n", page);
}

static void print_incomplete(const struct kv_results *results, FILE *page)
{
    size_t n_failed = 0, n_skipped = 0, n_cells = 0;
    char n[24], failed[24], skipped[24];
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (cell->file != KV_FILE_RUNS)
            continue;
        n_cells++;
        n_failed += cell->status == KV_CELL_FAILED;
        n_skipped += cell->status == KV_CELL_SKIPPED;
    }
    snprintf(n, sizeof n, "%zu", n_cells);
    snprintf(failed, sizeof failed, "%zu", n_failed);
    snprintf(skipped, sizeof skipped, "%zu", n_skipped);
    if (n_failed + n_skipped)
        kv_html_part(page, "incomplete", "n", n, "failed", failed, "skipped", skipped, "were",
                     n_skipped == 1 ? "was" : "were", NULL);
}

kv_status kv_report_findings(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    struct kv_finding *findings = NULL;
    size_t n = 0;
    if (report->comparison)
        kv_report_changes_sentence(report, page);
    if (report->machines)
        kv_report_machines_sentence(report, page);
    if (!report->results->n_cells || report->results->cells[0].file != KV_FILE_RUNS) {
        kv_html_part(page, "nothing measured", NULL);
        return KV_OK;
    }
    kv_html_part(page, "steadiness", "line", kv_steadiness(report->results).line, NULL);
    kv_status status = kv_findings_find(report->results, &findings, &n, error);
    if (!status)
        status = print_numbers(report->results, findings, n, page, error);
    if (!status) {
        print_all_sentences(report->results, findings, n, page);
        print_incomplete(report->results, page);
    }
    free(findings);
    return status;
}

/* ---- Tables ----------------------------------------------------------------------------------------------- */

static void print_heading(FILE *page, const char *title)
{
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "%s", title);
    char *more = strstr(text, " (");
    if (more) {
        *more = '\0';
        more += 2;
        more[strcspn(more, ")")] = '\0';
    }
    kv_html_part(page, "heading", "title", text, "more", more ? more : "", NULL);
}

kv_status kv_report_tables(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    for (int i = 0;; i++) {
        struct kv_table *table;
        kv_status status = kv_results_table(report->results, i, KV_VIEW_PAGE, &table, error);
        if (status || !table)
            return status;
        status = kv_table_check(table, error);
        if (!status) {
            print_heading(page, kv_table_title(table));
            status = kv_html_table(page, table, kv_table_title(table), error);
        }
        kv_table_free(table);
        if (status)
            return status;
    }
}

/* ---- Warnings --------------------------------------------------------------------------------------------- */

void kv_report_print_warning(FILE *page, bool is_warning, const char *text)
{
    const char *const word = is_warning ? "warning" : "note";
    fprintf(page, "<li class=\"%s\"><b>%s</b> ", word, word);
    kv_html_note(page, text);
    fputs("</li>\n", page);
}

static int print_context_warnings(const struct kv_report *report, FILE *page)
{
    const json_t *warnings = kv_report_context(report, "warnings"), *warning;
    size_t i;
    int n = 0;
    json_array_foreach(warnings, i, warning)
    {
        const char *severity = json_string_value(json_object_get(warning, "severity"));
        const char *text = json_string_value(json_object_get(warning, "text"));
        if (!text)
            continue;
        kv_report_print_warning(page, !severity || strcmp(severity, "info") != 0, text);
        n++;
    }
    return n;
}

kv_status kv_report_warnings(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    struct kv_warning warnings[KV_MAX_WARNINGS];
    const int n = kv_results_warnings(report->results, warnings);
    for (int i = 0; i < n; i++)
        kv_report_print_warning(page, warnings[i].severity == KV_SEVERITY_WARNING, warnings[i].text);
    if (n + print_context_warnings(report, page) == 0)
        kv_html_part(page, "no warnings", NULL);
    (void)error;
    return KV_OK;
}

/* ---- Terms ------------------------------------------------------------------------------------------------ */

static bool is_told(const bool *told, const char *label)
{
    for (int i = 0; i < KV_N_COLUMNS; i++)
        if (told[i] && strcmp(kv_column_info((enum kv_column)i)->label, label) == 0)
            return true;
    return false;
}

/* Of a formula: t_1 and t_(i-1) have an index. */
static kv_status print_meaning(void *context, FILE *page, struct kv_error *error)
{
    const char *at = context;
    (void)error;
    for (const char *index; (index = strstr(at, "t_")) != NULL;) {
        char before[TEXT_SIZE], inside[16] = "";
        int n = 0;
        index += 2;
        if (sscanf(index, "(%15[^)])%n", inside, &n) != 1)
            sscanf(index, "%15[0-9A-Za-z]%n", inside, &n);
        snprintf(before, sizeof before, "%.*s", (int)(index - 1 - at), at);
        kv_html_text(page, before);
        fputs("<sub>", page);
        kv_html_text(page, inside);
        fputs("</sub>", page);
        at = index + n;
    }
    kv_html_text(page, at);
    return KV_OK;
}

/* The figures of runs.csv, tokens.csv and kernels.csv, each label once. */
kv_status kv_report_terms(void *context, FILE *page, struct kv_error *error)
{
    bool told[KV_N_COLUMNS] = {false};
    for (int kind = KV_FILE_RUNS; kind <= KV_FILE_KERNELS; kind++) {
        const struct kv_file_info *const file = kv_file_info((enum kv_file_kind)kind);
        for (int i = 0; i < file->n_columns; i++) {
            const struct kv_column_info *const column = kv_column_info(file->columns[i]);
            if (!column->label || is_told(told, column->label))
                continue;
            told[file->columns[i]] = true;
            const struct kv_html_slot slots[] = {
                {"title", .text = column->label}, {"text", .print = print_meaning}, {0}};
            const kv_status status = kv_html_fill(page, "fact", slots, (void *)(uintptr_t)column->meaning, error);
            if (status)
                return status;
        }
    }
    (void)context;
    return KV_OK;
}
