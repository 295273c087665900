#include "report/parts.h"

#include "base/error.h"
#include "report/html.h"
#include "results/pack.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- What is known ---------------------------------------------------------------------------------------- */

bool kv_report_has_suite(const struct kv_report *report, const char *suite)
{
    for (size_t i = 0; i < report->results->n_cells; i++) {
        const struct kv_cell_results *const cell = &report->results->cells[i];
        if (cell->n &&
            (cell->file == KV_FILE_KERNELS ? strcmp(suite, "kernels") == 0 : kv_cell_is(cell, KV_COLUMN_SUITE, suite)))
            return true;
    }
    return false;
}

const json_t *kv_report_context(const struct kv_report *report, const char *names)
{
    const json_t *value = report->context;
    for (const char *name = names; *name; name += strspn(name, ".")) {
        const size_t length = strcspn(name, ".");
        value = json_object_getn(value, name, length);
        name += length;
    }
    return value;
}

const char *kv_report_context_text(const struct kv_report *report, const char *names)
{
    const char *const text = json_string_value(kv_report_context(report, names));
    return text ? text : "";
}

/* The one value that all generations have in a column, otherwise that of the context; "" when there is none. */
static const char *common(const struct kv_report *report, enum kv_column column, const char *names)
{
    const char *value = "";
    for (size_t i = 0; i < report->results->n_cells; i++) {
        const struct kv_cell_results *const cell = &report->results->cells[i];
        const char *const text = cell->texts[column];
        if (cell->file != KV_FILE_RUNS || !*text)
            continue;
        if (*value && strcmp(value, text) != 0)
            return kv_report_context_text(report, names);
        value = text;
    }
    return *value ? value : kv_report_context_text(report, names);
}

/* ---- The top of the page ---------------------------------------------------------------------------------- */

/* A checkpoint is a folder; its last name tells it. */
static const char *model_name(const struct kv_report *report)
{
    const char *const model = common(report, KV_COLUMN_MODEL, "run.model"), *const slash = strrchr(model, '/');
    return slash && slash[1] ? slash + 1 : *model ? model : "GPT-2";
}

/* "2024-05-01 12:00" of "2024-05-01T12:00:00+02:00", cut to `length`. */
static void write_date(const char *time, int length, char text[32])
{
    snprintf(text, 32, "%.*s", length, time);
    char *const separator = strchr(text, 'T');
    if (separator)
        *separator = ' ';
}

/* What follows a prefix, or NULL. */
static const char *seed_of(const char *weights)
{
    static const char synthetic[] = "synthetic:";
    return strncmp(weights, synthetic, strlen(synthetic)) == 0 ? weights + strlen(synthetic) : NULL;
}

/* "one, two", or the one that is known. */
static void print_about(FILE *page, const char *title, const char *one, const char *two, const char *after)
{
    char text[256];
    snprintf(text, sizeof text, "%.120s%s%.60s%s", one, *one && *two ? ", " : "", two, *two ? after : "");
    if (*text)
        kv_html_part(page, "about", "title", title, "text", text, NULL);
}

static kv_status print_abouts(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    const char *const weights = common(report, KV_COLUMN_WEIGHTS_SOURCE, "run.weights");
    const char *const threads = common(report, KV_COLUMN_THREADS, "");
    const char *const start = kv_report_context_text(report, "run.start");
    char text[32], seed[80];
    (void)error;
    snprintf(seed, sizeof seed, "seed %.60s", seed_of(weights) ? seed_of(weights) : "");
    if (seed_of(weights))
        print_about(page, "Weights", "synthetic", seed, "");
    else
        print_about(page, "Weights", "", weights, " checkpoint");
    print_about(page, "Machine", kv_report_context_text(report, "machine.cpu.name"), threads,
                strcmp(threads, "1") == 0 ? " thread" : " threads");
    print_about(page, "Products, kernels", common(report, KV_COLUMN_GEMM, "run.gemm"),
                common(report, KV_COLUMN_ISA, "run.isa"), "");
    write_date(start, 16, text);
    if (*start)
        kv_html_part(page, "date", "time", start, "text", text, NULL);
    return KV_OK;
}

/* ---- Reading and writing ---------------------------------------------------------------------------------- */

static kv_status load_context(struct kv_report *report, struct kv_error *error)
{
    json_error_t problem;
    char *file;
    if (asprintf(&file, "%s/context.json", report->results->folder) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read context.json: close other programs");
    const bool is_there = access(file, F_OK) == 0;
    report->context = is_there ? json_load_file(file, JSON_REJECT_DUPLICATES, &problem) : NULL;
    free(file);
    if (!is_there || json_is_object(report->context))
        return KV_OK;
    return kv_fail(error, KV_ERROR_FORMAT, "%s/context.json cannot be read (%.120s): mend or delete it", report->folder,
                   report->context ? "it is no object" : problem.text);
}

static kv_status load(struct kv_report *report, const struct kv_report_settings *settings, struct kv_error *error)
{
    struct kv_error reason = {""};
    const bool is_pack = kv_pack_is(settings->folder);
    kv_status status = kv_results_load(&report->results, settings->folder, error);
    if (is_pack)
        report->figures = kv_pack_beside(settings->folder, "-figures");
    else if (asprintf(&report->figures, "%s/figures", settings->folder) < 0)
        report->figures = NULL;
    if (!status && !report->figures)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the page: close other programs");
    if (!status)
        status = load_context(report, error);
    if (status || !settings->against)
        return status;
    status = kv_report_compare(report, settings->against, &reason);
    return status ? kv_fail(error, status, "--against: %.480s", reason.message) : KV_OK;
}

static void unload(struct kv_report *report)
{
    kv_comparison_free(report->comparison);
    kv_machines_free(report->machines);
    kv_results_free(report->earlier);
    json_decref(report->context);
    kv_results_free(report->results);
    free(report->figures);
}

static kv_status print_page(void *context, FILE *page, struct kv_error *error)
{
    struct kv_report *const report = context;
    const char *const host = kv_report_context_text(report, "machine.hostname");
    const bool is_synthetic = seed_of(common(report, KV_COLUMN_WEIGHTS_SOURCE, "run.weights")) != NULL;
    char date[32], origin[200];
    write_date(kv_report_context_text(report, "run.start"), 10, date);
    snprintf(origin, sizeof origin, "%s%.150s%s%s", *host ? " on " : "", host, *date ? ", " : "", date);
    const struct kv_html_slot slots[] = {
        {"model", .text = model_name(report)},
        {"origin", .text = origin},
        {"folder", .text = report->folder},
        {"style", .markup = kv_page_style},
        {"synthetic", .markup = is_synthetic ? kv_html_markup("synthetic") : ""},
        {"about", .print = print_abouts},
        {"changes link", .markup = report->comparison ? kv_html_markup("changes link")
                                   : report->machines ? kv_html_markup("machines link")
                                                      : ""},
        {"findings", .print = kv_report_findings},
        {"figures", .print = kv_report_figures},
        {"tables", .print = kv_report_tables},
        {"capacity", .print = kv_report_capacity},
        {"script", .markup = kv_page_script},
        {"script hash", .markup = kv_page_script_hash},
        {"machine", .print = kv_report_machine},
        {"limits", .print = kv_report_limits},
        {"calibration", .print = kv_report_calibration},
        {"warnings", .print = kv_report_warnings},
        {"terms", .print = kv_report_terms},
        {"changes", .print = kv_report_changes},
        {"machines", .print = kv_report_machines},
        {0},
    };
    return kv_html_fill(page, "page", slots, report, error);
}

kv_status kv_report_write(const struct kv_report_settings *settings, struct kv_report_outcome *outcome,
                          struct kv_error *error)
{
    struct kv_report report = {.folder = settings->folder, .outcome = outcome};
    *outcome = (struct kv_report_outcome){0};
    kv_status status = load(&report, settings, error);
    if (!status)
        status = kv_html_write(settings->file, print_page, &report, error);
    unload(&report);
    return status;
}
