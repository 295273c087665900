/* What changed since an earlier run: kvbench compare without options, as a section of the page. */
#include "report/parts.h"

#include "report/html.h"

#include <math.h>

static const struct kv_compare_settings settings = {
    .metrics = {KV_COLUMN_TTPT_MS, KV_COLUMN_TTFT_MS},
    .n_metrics = 2,
    .by = KV_N_COLUMNS,
    .threshold = KV_JUDGE_THRESHOLD,
};

kv_status kv_report_compare(struct kv_report *report, const char *against, struct kv_error *error)
{
    const kv_status status = kv_results_load(&report->earlier, against, error);
    if (status)
        return status;
    return kv_machines_differ(report->earlier, report->results)
               ? kv_machines_create(&report->machines, report->earlier, report->results, error)
               : kv_compare(&report->comparison, report->earlier, report->results, &settings, error);
}

/* A number as text. */
struct number {
    char text[40];
};

static struct number count(size_t n)
{
    struct number number;
    snprintf(number.text, sizeof number.text, "%zu", n);
    return number;
}

static struct number real(double value)
{
    struct number number;
    snprintf(number.text, sizeof number.text, "%g", value);
    return number;
}

/* The verdicts of a section, or of all. */
static void print_verdicts(const struct kv_section *sections, size_t n_sections, const char *part, const char *run,
                           const char *mean, const char *speed, FILE *page)
{
    size_t n[KV_EFFECT_SLOWER + 1] = {0};
    for (size_t i = 0; i < n_sections; i++)
        for (int verdict = 0; verdict <= KV_EFFECT_SLOWER; verdict++)
            n[verdict] += sections[i].n_verdicts[verdict];
    const struct number faster = count(n[KV_EFFECT_FASTER]), slower = count(n[KV_EFFECT_SLOWER]),
                        same = count(n[KV_EFFECT_EQUAL]), undecided = count(n[KV_EFFECT_UNDECIDED]);
    kv_html_part(page, part, "run", run, "faster", faster.text, "slower", slower.text, "same", same.text, "undecided",
                 undecided.text, "mean", mean, "speed", speed, NULL);
}

static const char *name_of(const struct kv_results *run)
{
    return *run->run_id ? run->run_id : run->file;
}

void kv_report_changes_sentence(const struct kv_report *report, FILE *page)
{
    print_verdicts(report->comparison->sections, report->comparison->n_sections, "changes sentence",
                   name_of(report->earlier), "", "", page);
}

/* ---- The section ------------------------------------------------------------------------------------------ */

static void print_mean(const struct kv_section *section, FILE *page)
{
    const double mean = section->geometric_mean;
    const double speed = kv_column_info(section->metric)->role == KV_ROLE_RATE ? mean : 1 / mean;
    const double factor = fmax(speed, 1 / speed);
    const size_t n_seen = section->n_verdicts[KV_EFFECT_FASTER] + section->n_verdicts[KV_EFFECT_SLOWER];
    char number[KV_NUMBER_SIZE], words[KV_NUMBER_SIZE + 40] = "";
    if (n_seen && factor > 1 + settings.threshold)
        snprintf(words, sizeof words, " (%s %s times as fast)", speed >= 1 ? "now" : "before",
                 kv_number_text(factor, number, sizeof number));
    print_verdicts(section, 1, "changes mean", "", kv_number_text(mean, number, sizeof number), words, page);
}

static kv_status print_section(const struct kv_comparison *comparison, const struct kv_section *section, FILE *page,
                               struct kv_error *error)
{
    const struct kv_column_info *const info = kv_column_info(section->metric);
    struct kv_table *table = NULL;
    kv_html_part(page, "heading", "title", info->label, "more", info->name, NULL);
    if (section->n_results) {
        print_mean(section, page);
        kv_status status = kv_section_table(comparison, section, &table, error);
        if (status)
            return status;
        status = kv_html_table(page, table, info->label, error);
        kv_table_free(table);
        if (status)
            return status;
    }
    if (section->n_unknown)
        kv_html_part(page, "changes unknown", "n", count(section->n_unknown).text, "column", info->label, NULL);
    return KV_OK;
}

static void write_run(const struct kv_results *run, char *text, size_t size)
{
    const struct kv_context_facts *const facts = run->context;
    char threads[40] = "";
    if (facts->threads > 0)
        snprintf(threads, sizeof threads, ", %d thread%s", facts->threads, facts->threads == 1 ? "" : "s");
    snprintf(text, size, "%.200s%s%s%s%s%s", name_of(run), *facts->cpu ? "; " : "", facts->cpu, threads,
             *facts->openblas_core ? ", OpenBLAS " : "", facts->openblas_core);
}

static void print_unmatched(const struct kv_comparison *comparison, FILE *page)
{
    char name[256], text[400];
    if (!comparison->n_unmatched)
        return;
    snprintf(text, sizeof text, "%zu cell%s", comparison->n_unmatched, comparison->n_unmatched == 1 ? "" : "s");
    kv_html_part(page, "unmatched", "n", text, NULL);
    for (size_t i = 0; i < comparison->n_unmatched; i++) {
        const struct kv_unmatched *const unmatched = &comparison->unmatched[i];
        kv_compare_name(comparison, unmatched->cell, name, sizeof name);
        snprintf(text, sizeof text, "%s: %s in the %s run", name, unmatched->problem,
                 unmatched->in == &comparison->sides[0] ? "earlier" : "present");
        fputs("<li>", page);
        kv_html_text(page, text);
        fputs("</li>\n", page);
    }
    fputs("</ul></details>\n", page);
}

kv_status kv_report_changes(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_report *const report = context;
    struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS];
    char before[512], now[512], machine[32];
    kv_status status = KV_OK;
    if (!report->comparison)
        return KV_OK;
    const int n_warnings = kv_compare_warnings(report->comparison, warnings);
    write_run(report->earlier, before, sizeof before);
    write_run(report->results, now, sizeof now);
    kv_html_part(page, "changes", "before", before, "now", now, "machine",
                 kv_compare_allowance(report->comparison, machine, sizeof machine), "source",
                 report->comparison->apart.source, "threshold", real(100 * settings.threshold).text, NULL);
    fputs("<ul class=\"notes\">\n", page);
    for (size_t i = 0; i < report->comparison->n_differences; i++) {
        const struct kv_difference *const difference = &report->comparison->differences[i];
        char text[400];
        snprintf(text, sizeof text, "%s differs: %s before, %s now", difference->name, difference->base,
                 difference->other);
        kv_report_print_warning(page, false, text);
    }
    for (int i = 0; i < n_warnings; i++)
        kv_report_print_warning(page, true, warnings[i].text);
    fputs("</ul>\n", page);
    for (size_t i = 0; !status && i < report->comparison->n_sections; i++)
        status = print_section(report->comparison, &report->comparison->sections[i], page, error);
    print_unmatched(report->comparison, page);
    fputs("</section>\n", page);
    return status;
}
