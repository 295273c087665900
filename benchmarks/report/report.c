#include "report/parts.h"

#include "base/error.h"
#include "report/files.h"
#include "report/page.h"
#include "results/summary_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The path that the others are held against. */
#define BASE_PATH "naive"

/* ---- Questions ------------------------------------------------------------------------------------ */

bool kv_report_has_suite(const struct kv_report *report, const char *suite)
{
    if (strcmp(suite, "kernels") == 0)
        return report->kernels && kv_csv_rows(report->kernels) > 0;
    for (size_t i = 0; report->summary && i < report->summary->n_configurations; i++)
        if (kv_configuration_is(&report->summary->configurations[i], KV_KEY_SUITE, suite))
            return true;
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
    return json_string_value(kv_report_context(report, names));
}

static const struct kv_configuration *find_base(const struct kv_summary *summary,
                                                const struct kv_configuration *configuration)
{
    for (size_t i = 0; i < summary->n_configurations; i++) {
        const struct kv_configuration *c = &summary->configurations[i];
        if (kv_configuration_is(c, KV_KEY_PATH, BASE_PATH) && kv_configuration_is_timed(c) &&
            kv_configurations_agree(c, configuration, 1u << KV_KEY_PATH))
            return c;
    }
    return NULL;
}

kv_status kv_report_speed(const struct kv_report *report, const struct kv_configuration *configuration,
                          struct kv_report_speed *speed, struct kv_error *error)
{
    const struct kv_configuration *base = find_base(report->summary, configuration);
    *speed = (struct kv_report_speed){NAN, {NAN, NAN}};
    if (!base || base == configuration || !kv_configuration_is_timed(configuration))
        return KV_OK;
    const struct kv_summary_sample *a = &base->figures[KV_FIGURE_TTPT_MS], *b = &configuration->figures[KV_FIGURE_TTPT_MS];
    struct kv_stats_random random;
    speed->ratio = a->median / b->median;
    kv_stats_random_seed(&random, KV_SUMMARY_SEED);
    return kv_stats_median_ratio_interval(a->values, a->n, b->values, b->n, KV_SUMMARY_RESAMPLES, &random,
                                          &speed->interval, error);
}

const char *kv_report_range(struct kv_stats_interval interval, char *text, size_t size)
{
    char low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    *text = '\0';
    if (!isnan(interval.low))
        snprintf(text, size, "%s to %s", kv_number_text(interval.low, low, sizeof low),
                 kv_number_text(interval.high, high, sizeof high));
    return text;
}

/* ---- Reading -------------------------------------------------------------------------------------- */

static kv_status read_csv(struct kv_csv_table **table, const char *folder, const char *name, struct kv_error *error)
{
    char *file;
    if (!kv_file_is_there(folder, name))
        return KV_OK;
    if (asprintf(&file, "%s/%s", folder, name) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", name);
    const kv_status status = kv_csv_read(table, file, error);
    free(file);
    return status;
}

static kv_status read_context(json_t **context, const char *folder, struct kv_error *error)
{
    json_error_t problem;
    char *text;
    size_t n;
    if (!kv_file_is_there(folder, "context.json"))
        return KV_OK;
    kv_status status = kv_file_read(&text, &n, folder, "context.json", error);
    if (status)
        return status;
    *context = json_loadb(text, n, JSON_REJECT_DUPLICATES, &problem);
    free(text);
    if (*context && !json_is_object(*context)) {
        json_decref(*context);
        *context = NULL;
        snprintf(problem.text, sizeof problem.text, "it is no object");
    }
    if (*context)
        return KV_OK;
    return kv_fail(error, KV_ERROR_FORMAT, "%s/context.json cannot be read (%.120s): mend or delete it", folder,
                   problem.text);
}

static kv_status compare(struct kv_report *report, const char *against, struct kv_error *error)
{
    struct kv_error reason = {""};
    const kv_status status = kv_changes_load(&report->changes, against, report->folder, &reason);
    return status ? kv_fail(error, status, "--against: %.480s", reason.message) : KV_OK;
}

static kv_status load(struct kv_report *report, const struct kv_report_settings *settings, struct kv_error *error)
{
    const bool has_runs = kv_file_is_there(settings->folder, "runs.csv");
    *report = (struct kv_report){.folder = settings->folder};
    if (!has_runs && !kv_file_is_there(settings->folder, "kernels.csv"))
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "%s has no runs.csv: name the folder of a run, or measure with kvbench bench", settings->folder);
    kv_status status = has_runs ? kv_summary_load(&report->summary, settings->folder, error) : KV_OK;
    if (!status)
        status = read_csv(&report->kernels, settings->folder, "kernels.csv", error);
    if (!status)
        status = read_csv(&report->limits, settings->folder, "limits.csv", error);
    if (!status)
        status = read_context(&report->context, settings->folder, error);
    if (!status && settings->against)
        status = compare(report, settings->against, error);
    return status;
}

static void unload(struct kv_report *report)
{
    kv_changes_free(report->changes);
    json_decref(report->context);
    kv_csv_free(report->limits);
    kv_csv_free(report->kernels);
    kv_summary_free(report->summary);
}

/* ---- Writing -------------------------------------------------------------------------------------- */

static kv_status print_page(const struct kv_report *report, FILE *page, struct kv_report_outcome *outcome,
                            struct kv_error *error)
{
    kv_report_print_head(report, page);
    kv_status status = kv_report_print_findings(report, page, error);
    if (!status)
        status = kv_report_print_figures(report, page, outcome, error);
    if (!status)
        status = kv_report_print_tables(report, page, error);
    if (!status)
        status = kv_report_print_machine(report, page, error);
    if (status)
        return status;
    kv_report_print_warnings(report, page);
    kv_report_print_glossary(page);
    if (report->changes)
        kv_changes_print(report->changes, page);
    kv_page_print(page,
                  "</main>\n<footer>Written by <code>kvbench report</code> from the CSV files in <code>%s</code>."
                  "</footer>\n</body>\n</html>\n",
                  report->folder);
    return KV_OK;
}

kv_status kv_report_write(const struct kv_report_settings *settings, struct kv_report_outcome *outcome,
                          struct kv_error *error)
{
    struct kv_report report;
    struct kv_file_writer writer;
    *outcome = (struct kv_report_outcome){0};
    kv_status status = load(&report, settings, error);
    if (!status)
        status = kv_file_begin(&writer, settings->file, error);
    if (!status)
        status = kv_file_end(&writer, print_page(&report, writer.stream, outcome, error), error);
    unload(&report);
    return status;
}
