/* The findings: the numbers that tell most, the sentences of the summary, the most telling first. */
#include "report/parts.h"

#include "report/page.h"
#include "results/summary_parts.h"

#include <math.h>
#include <string.h>

#define KIB 1024.0

/* ---- Numbers -------------------------------------------------------------------------------------- */

static void print_number(FILE *page, const char *path, const char *number, const char *unit, const char *meaning,
                         const char *range)
{
    kv_page_print(page, "<li class=\"%s\"><b>%s<small>%s</small></b> <span>%s</span>%s<small>%s</small></li>\n", path,
                  number, unit, meaning, *range ? " " : "", range);
}

/* Text of an interval in words, "" when it is unknown. */
static void words(struct kv_stats_interval interval, char *text, size_t size)
{
    char range[KV_NUMBER_SIZE * 2];
    snprintf(text, size, "%s%s", isnan(interval.low) ? "" : "95 % interval ",
             kv_report_range(interval, range, sizeof range));
}

static kv_status print_speed(const struct kv_report *report, const struct kv_configuration *configuration, FILE *page,
                             struct kv_error *error)
{
    struct kv_report_speed speed;
    char number[KV_NUMBER_SIZE], range[128], where[KV_WHERE_SIZE], meaning[2 * KV_WHERE_SIZE];
    const kv_status status = kv_report_speed(report, configuration, &speed, error);
    if (status || isnan(speed.ratio))
        return status;
    const bool is_seen = speed.interval.low > 1 || speed.interval.high < 1;
    kv_summary_where_text(report->summary, configuration, 0, where, sizeof where);
    snprintf(meaning, sizeof meaning, "speed of %s against naive, decoding at %s%s", configuration->keys[KV_KEY_PATH],
             where, is_seen || isnan(speed.interval.low) ? "" : ": no difference is seen");
    words(speed.interval, range, sizeof range);
    print_number(page, configuration->keys[KV_KEY_PATH], kv_number_text(speed.ratio, number, sizeof number), "×",
                 meaning, range);
    return KV_OK;
}

/* The first and the last batch size of suite batch, of the first path that is not the base. */
static kv_status print_speeds(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    const struct kv_configuration *first = NULL, *last = NULL;
    for (size_t i = 0; i < report->summary->n_configurations; i++) {
        const struct kv_configuration *c = &report->summary->configurations[i];
        struct kv_report_speed speed;
        const kv_status status = kv_report_speed(report, c, &speed, error);
        if (status)
            return status;
        if (!kv_configuration_is(c, KV_KEY_SUITE, "batch") || isnan(speed.ratio) ||
            (first && !kv_configuration_is(c, KV_KEY_PATH, first->keys[KV_KEY_PATH])))
            continue;
        first = first ? first : c;
        last = c;
    }
    kv_status status = first ? print_speed(report, first, page, error) : KV_OK;
    if (!status && last != first)
        status = print_speed(report, last, page, error);
    return status;
}

static void print_growths(const struct kv_report *report, FILE *page)
{
    for (size_t i = 0; i < report->summary->n_configurations; i++) {
        const struct kv_configuration *c = &report->summary->configurations[i];
        const struct kv_summary_sample *growth = &c->figures[KV_FIGURE_GROWTH];
        char number[KV_NUMBER_SIZE], range[128], meaning[KV_WHERE_SIZE];
        if (!kv_configuration_is_timed(c) || !growth->n)
            continue;
        const bool is_seen = growth->interval.low > 1 || growth->interval.high < 1;
        snprintf(meaning, sizeof meaning, "time per token of %.60s: last quarter of %d tokens against the first%s",
                 c->keys[KV_KEY_PATH], c->new_tokens,
                 is_seen || isnan(growth->interval.low) ? "" : ", no change is seen");
        words(growth->interval, range, sizeof range);
        print_number(page, c->keys[KV_KEY_PATH], kv_number_text(growth->median, number, sizeof number), "×", meaning,
                     range);
    }
}

static void print_memory(const struct kv_report *report, FILE *page)
{
    for (size_t i = 0; i < report->summary->n_configurations; i++) {
        const struct kv_configuration *c = &report->summary->configurations[i];
        const struct kv_summary_sample *live = &c->figures[KV_FIGURE_KV_LIVE_BYTES];
        char number[KV_NUMBER_SIZE], meaning[KV_WHERE_SIZE];
        if (c->status != KV_CONFIGURATION_OK || !live->n || live->values[live->n - 1] <= 0)
            continue;
        kv_number_text(live->values[live->n - 1] / c->batch / c->context_tokens / KIB, number, sizeof number);
        snprintf(meaning, sizeof meaning, "keys and values that %.60s keeps for each token of a sequence",
                 c->keys[KV_KEY_PATH]);
        print_number(page, "memory", number, "KiB", meaning, "");
        return;
    }
}

static kv_status print_numbers(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    fputs("<ul class=\"numbers\">\n", page);
    const kv_status status = print_speeds(report, page, error);
    print_growths(report, page);
    print_memory(report, page);
    fputs("</ul>\n", page);
    return status;
}

/* ---- Sentences ------------------------------------------------------------------------------------ */

/* A finding begins with its topic, a suite for instance, and a colon. */
static size_t topic_length(const char *finding)
{
    return strcspn(finding, ":");
}

static bool same_topic(const char *a, const char *b)
{
    return topic_length(a) == topic_length(b) && strncmp(a, b, topic_length(a)) == 0;
}

/* That nothing was seen is worth a line, but not one at the top. */
static bool says_little(const char *finding)
{
    return strstr(finding, "no difference") || strstr(finding, "no growth");
}

/* Of each topic the last that tells something: sweeps go upwards, so that is the largest batch or the longest
 * context. */
static bool is_telling(const struct kv_summary *summary, size_t index)
{
    if (says_little(summary->findings[index]))
        return false;
    for (size_t i = index + 1; i < summary->n_findings; i++)
        if (same_topic(summary->findings[i], summary->findings[index]) && !says_little(summary->findings[i]))
            return false;
    return true;
}

static void print_sentence(const char *finding, FILE *page)
{
    const size_t length = topic_length(finding);
    char topic[32];
    snprintf(topic, sizeof topic, "%.*s", (int)length, finding);
    kv_page_print(page, "<li><b class=\"topic\">%s</b> %s.</li>\n", topic,
                  finding + length + (finding[length] ? strspn(finding + length, ": ") : 0));
}

/* Those that are telling, or those that are not; returns how many there were. */
static size_t print_sentences(const struct kv_summary *summary, bool telling, FILE *page)
{
    size_t n = 0;
    for (size_t i = 0; i < summary->n_findings; i++) {
        if (is_telling(summary, i) != telling)
            continue;
        if (page && !n)
            fputs("<ul class=\"findings\">\n", page);
        if (page)
            print_sentence(summary->findings[i], page);
        n++;
    }
    if (page && n)
        fputs("</ul>\n", page);
    return n;
}

static void print_incomplete(const struct kv_summary *summary, FILE *page)
{
    size_t n_failed = 0, n_skipped = 0;
    for (size_t i = 0; i < summary->n_configurations; i++) {
        n_failed += summary->configurations[i].status == KV_CONFIGURATION_FAILED;
        n_skipped += summary->configurations[i].status == KV_CONFIGURATION_SKIPPED;
    }
    if (n_failed + n_skipped)
        kv_page_print(page,
                      "<p>Of %zu configurations %zu failed and %zu %s skipped: the reasons stand in the "
                      "<a href=\"#tables\">tables</a>.</p>\n",
                      summary->n_configurations, n_failed, n_skipped, n_skipped == 1 ? "was" : "were");
}

kv_status kv_report_print_findings(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    const struct kv_summary *summary = report->summary;
    kv_status status = KV_OK;
    fputs("<section id=\"findings\"><h2>Findings</h2>\n", page);
    if (report->changes)
        kv_changes_print_sentence(report->changes, page);
    if (summary && summary->n_configurations) {
        status = print_numbers(report, page, error);
        print_sentences(summary, true, page);
        const size_t n_others = print_sentences(summary, false, NULL);
        if (n_others) {
            kv_page_print(page, "<details><summary>%zu more finding%s</summary>\n", n_others, n_others == 1 ? "" : "s");
            print_sentences(summary, false, page);
            fputs("</details>\n", page);
        }
        print_incomplete(summary, page);
    } else {
        fputs("<p class=\"missing\">The run has no rows in <code>runs.csv</code>: <code>kvbench bench</code> measures "
              "both paths.</p>\n",
              page);
    }
    fputs("</section>\n", page);
    return status;
}
