#include "report/changes.h"

#include "base/error.h"
#include "report/page.h"
#include "results/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Those of kvbench compare without options. */
static const struct kv_compare_settings settings = {.metrics = {KV_COLUMN_TTPT_MS, KV_COLUMN_TTFT_MS},
                                                    .n_metrics = 2,
                                                    .by = KV_N_COLUMNS,
                                                    .alpha = KV_JUDGE_ALPHA,
                                                    .noise = KV_JUDGE_NOISE};
enum { TEXT_SIZE = 256 };

struct kv_changes {
    struct kv_results *earlier;
    struct kv_results *now;
    struct kv_comparison *comparison;
};

kv_status kv_changes_load(struct kv_changes **changes, const char *earlier, const char *folder, struct kv_error *error)
{
    struct kv_changes *created = calloc(1, sizeof *created);
    *changes = NULL;
    if (!created)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to compare with %s: close other programs", earlier);
    kv_status status = kv_results_load(&created->earlier, earlier, error);
    if (!status)
        status = kv_results_load(&created->now, folder, error);
    if (!status)
        status = kv_compare(&created->comparison, created->earlier, created->now, &settings, error);
    if (status)
        kv_changes_free(created);
    else
        *changes = created;
    return status;
}

void kv_changes_free(struct kv_changes *changes)
{
    if (!changes)
        return;
    kv_comparison_free(changes->comparison);
    kv_results_free(changes->now);
    kv_results_free(changes->earlier);
    free(changes);
}

static const char *name_of(const struct kv_results *run)
{
    return *run->run_id ? run->run_id : run->file;
}

/* ---- A sentence ----------------------------------------------------------------------------------- */

void kv_changes_print_sentence(const struct kv_changes *changes, FILE *page)
{
    size_t n_verdicts[KV_N_VERDICTS] = {0};
    for (size_t i = 0; i < changes->comparison->n_sections; i++)
        for (int verdict = 0; verdict < KV_N_VERDICTS; verdict++)
            n_verdicts[verdict] += changes->comparison->sections[i].n_verdicts[verdict];
    kv_page_print(page,
                  "<p>Against the earlier run <b>%s</b>, %zu results are faster, %zu slower, and of %zu no difference "
                  "is seen: <a href=\"#changes\">what changed</a>.</p>\n",
                  name_of(changes->earlier), n_verdicts[KV_VERDICT_FASTER], n_verdicts[KV_VERDICT_SLOWER],
                  n_verdicts[KV_VERDICT_NONE]);
}

/* ---- Tables --------------------------------------------------------------------------------------- */

/* Three significant digits, all digits before the point. */
static const char *number_text(double value, char text[TEXT_SIZE])
{
    if (value >= 0.9995)
        snprintf(text, TEXT_SIZE, "%.*f", value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2, value);
    else
        snprintf(text, TEXT_SIZE, "%#.3g", value);
    return text;
}

static void print_cell(FILE *page, double value)
{
    char text[TEXT_SIZE];
    kv_page_print(page, "<td>%s</td>", number_text(value, text));
}

static void print_ratio(FILE *page, const struct kv_result *result)
{
    char ratio[TEXT_SIZE], low[TEXT_SIZE], high[TEXT_SIZE];
    kv_page_print(page, "<td><b>%s</b>", number_text(result->judgement.ratio, ratio));
    if (!isnan(result->judgement.interval.low))
        kv_page_print(page, " <span class=\"range\">%s to %s</span>", number_text(result->judgement.interval.low, low),
                      number_text(result->judgement.interval.high, high));
    fputs("</td>", page);
}

static bool is_column(const struct kv_comparison *comparison, int key)
{
    return comparison->shown >> key & 1;
}

static bool is_word(int key)
{
    return kv_column_info((enum kv_column)key)->type == KV_TYPE_TEXT;
}

/* "time to first token: t_1 - t_0" */
static const char *words_of(const struct kv_column_info *info, char text[TEXT_SIZE])
{
    int words = (int)strcspn(info->meaning, ":(,");
    snprintf(text, TEXT_SIZE, "%.*s", words - (words && info->meaning[words - 1] == ' '), info->meaning);
    return text;
}

static void print_result(const struct kv_comparison *comparison, const struct kv_result *result, FILE *page)
{
    static const char *const classes[KV_N_VERDICTS] = {"faster", "slower", "same", "same"};
    char text[TEXT_SIZE];
    fputs("<tr>", page);
    for (int key = 0; key < KV_N_COLUMNS; key++) {
        if (!is_column(comparison, key))
            continue;
        kv_pair_key(result->pair, (enum kv_column)key, text, sizeof text);
        fputs(is_word(key) ? "<th scope=\"row\" class=\"word\">" : "<th scope=\"row\">", page);
        kv_page_print(page, "%s</th>", text);
    }
    print_cell(page, result->judgement.median_base);
    print_cell(page, result->judgement.median_other);
    print_ratio(page, result);
    snprintf(text, sizeof text, result->judgement.p < 0.0001 ? "<0.0001" : "%.4f", result->judgement.p);
    kv_page_print(page, "<td>%s</td><td>%zu + %zu</td>", text, result->judgement.n_base, result->judgement.n_other);
    kv_page_print(page, "<td class=\"word\"><span class=\"%s\">%s</span>%s</td></tr>\n",
                  classes[result->judgement.verdict], kv_verdict_name(result->judgement.verdict),
                  result->judgement.smallest_p < settings.alpha ? "" : " *");
}

static void print_table(const struct kv_comparison *comparison, const struct kv_section *section, FILE *page)
{
    const struct kv_column_info *info = kv_column_info(section->metric);
    char words[TEXT_SIZE];
    kv_page_print(page,
                  "<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"%s, before and now\">"
                  "<table><thead><tr>",
                  words_of(info, words));
    for (int key = 0; key < KV_N_COLUMNS; key++) {
        if (!is_column(comparison, key))
            continue;
        fputs(is_word(key) ? "<th scope=\"col\" class=\"word\">" : "<th scope=\"col\">", page);
        kv_page_print(page, "%s</th>", kv_column_info((enum kv_column)key)->name);
    }
    kv_page_print(page,
                  "<th scope=\"col\">before, %s</th><th scope=\"col\">now, %s</th><th scope=\"col\">now ÷ before</th>"
                  "<th scope=\"col\">p</th><th scope=\"col\">n</th><th scope=\"col\" class=\"word\">now is</th></tr>"
                  "</thead>\n<tbody>\n",
                  info->unit, info->unit);
    for (size_t i = 0; i < section->n_results; i++)
        print_result(comparison, &section->results[i], page);
    fputs("</tbody></table></div>\n", page);
}

static void print_mean(const struct kv_section *section, FILE *page)
{
    const double mean = section->geometric_mean,
                 speed = kv_column_info(section->metric)->role == KV_ROLE_RATE ? mean : 1 / mean;
    const double factor = fmax(speed, 1 / speed);
    char text[TEXT_SIZE];
    kv_page_print(page, "<p>%zu faster, %zu slower, %zu with no difference seen. Geometric mean of the ratios: %s",
                  section->n_verdicts[KV_VERDICT_FASTER], section->n_verdicts[KV_VERDICT_SLOWER],
                  section->n_verdicts[KV_VERDICT_NONE], number_text(mean, text));
    if (section->n_verdicts[KV_VERDICT_FASTER] + section->n_verdicts[KV_VERDICT_SLOWER] && factor > 1 + settings.noise)
        kv_page_print(page, " (%s %s times as fast)", speed >= 1 ? "now" : "before", number_text(factor, text));
    fputs(".</p>\n", page);
}

static bool has_blind_result(const struct kv_section *section)
{
    for (size_t i = 0; i < section->n_results; i++)
        if (!(section->results[i].judgement.smallest_p < settings.alpha))
            return true;
    return false;
}

static void print_section(const struct kv_comparison *comparison, const struct kv_section *section, FILE *page)
{
    const struct kv_column_info *info = kv_column_info(section->metric);
    char words[TEXT_SIZE];
    kv_page_print(page, "<h3>%s <code>%s</code></h3>\n", words_of(info, words), info->name);
    if (section->n_results) {
        print_mean(section, page);
        print_table(comparison, section, page);
    }
    if (has_blind_result(section))
        fprintf(page, "<p class=\"soft\">* says nothing: with so few repetitions p cannot go below %g.</p>\n",
                settings.alpha);
    if (section->n_unknown)
        kv_page_print(page, "<p class=\"soft\">%zu more without %s in one of the runs.</p>\n", section->n_unknown,
                      info->name);
}

/* ---- The section ---------------------------------------------------------------------------------- */

static void print_run(const struct kv_results *run, const char *title, FILE *page)
{
    kv_page_print(page, "<dt>%s</dt><dd>%s", title, name_of(run));
    if (*run->context->cpu)
        kv_page_print(page, "; %s", run->context->cpu);
    if (run->context->threads > 0)
        kv_page_print(page, ", %d thread%s", run->context->threads, run->context->threads == 1 ? "" : "s");
    if (*run->context->openblas_core)
        kv_page_print(page, ", OpenBLAS %s", run->context->openblas_core);
    fputs("</dd>\n", page);
}

static void print_unmatched(const struct kv_comparison *comparison, FILE *page)
{
    char name[TEXT_SIZE];
    if (!comparison->n_unmatched)
        return;
    kv_page_print(page, "<details><summary>%zu configuration%s not compared</summary>\n<ul>\n", comparison->n_unmatched,
                  comparison->n_unmatched == 1 ? "" : "s");
    for (size_t i = 0; i < comparison->n_unmatched; i++) {
        const struct kv_unmatched *unmatched = &comparison->unmatched[i];
        kv_compare_name(comparison, unmatched->cell, name, sizeof name);
        kv_page_print(page, "<li>%s: %s in the %s run</li>\n", name, unmatched->problem,
                      unmatched->in == &comparison->sides[0] ? "earlier" : "present");
    }
    fputs("</ul></details>\n", page);
}

void kv_changes_print(const struct kv_changes *changes, FILE *page)
{
    struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS];
    const int n_warnings = kv_compare_warnings(changes->comparison, warnings);
    fputs("<section id=\"changes\"><h2>What changed</h2>\n<dl class=\"facts\">\n", page);
    print_run(changes->earlier, "Before (A)", page);
    print_run(changes->now, "Now (B)", page);
    fprintf(page,
            "</dl>\n<p>A result is faster or slower when p of the Mann-Whitney U test is below %g <em>and</em> the "
            "medians are more than %g %% apart. Of times, a ratio below 1 is faster.</p>\n",
            settings.alpha, 100 * settings.noise);
    if (n_warnings)
        fputs("<ul class=\"notes\">\n", page);
    for (int i = 0; i < n_warnings; i++) {
        fputs("<li class=\"warning\"><b>warning</b> ", page);
        kv_page_print_note(page, warnings[i].text);
        fputs("</li>\n", page);
    }
    if (n_warnings)
        fputs("</ul>\n", page);
    for (size_t i = 0; i < changes->comparison->n_sections; i++)
        print_section(changes->comparison, &changes->comparison->sections[i], page);
    print_unmatched(changes->comparison, page);
    fputs("</section>\n", page);
}
