/* The top of the page: what was measured, where and when, and the contents. */
#include "report/parts.h"

#include "report/page.h"
#include "results/summary_parts.h"

#include <string.h>

/* ---- What it is about ----------------------------------------------------------------------------- */

/* One value for the whole run: of the rows where they agree, otherwise of the context; "" when there is none. */
static const char *common(const struct kv_report *report, enum kv_key key, const char *names)
{
    const struct kv_summary *summary = report->summary;
    if (summary && summary->n_configurations && !kv_key_varies(summary, NULL, key))
        for (size_t i = 0; i < summary->n_configurations; i++)
            if (*summary->configurations[i].keys[key])
                return summary->configurations[i].keys[key];
    const char *text = kv_report_context_text(report, names);
    return text ? text : "";
}

/* A checkpoint is a folder; its last name tells it. */
static const char *model_name(const struct kv_report *report)
{
    const char *model = common(report, KV_KEY_MODEL, "run.model");
    const char *slash = strrchr(model, '/');
    return slash && slash[1] ? slash + 1 : *model ? model : "GPT-2";
}

/* "2024-05-01 12:00", cut to `length`, of "2024-05-01T12:00:00+02:00" */
static void date_text(const char *time, int length, char *text, size_t size)
{
    snprintf(text, size, "%.*s", length, time);
    char *separator = strchr(text, 'T');
    if (separator)
        *separator = ' ';
}

static void print_fact(FILE *page, const char *title, const char *text)
{
    if (*text)
        kv_page_print(page, "<div><dt>%s</dt><dd>%s</dd></div>\n", title, text);
}

static const char synthetic[] = "synthetic:";

static bool is_synthetic(const char *weights)
{
    return strncmp(weights, synthetic, strlen(synthetic)) == 0;
}

static void print_weights(FILE *page, const char *weights)
{
    char text[128];
    if (is_synthetic(weights))
        snprintf(text, sizeof text, "synthetic, seed %.60s", weights + strlen(synthetic));
    else
        snprintf(text, sizeof text, "%.60s%s", weights, *weights ? " checkpoint" : "");
    print_fact(page, "Weights", text);
}

static void print_facts(const struct kv_report *report, FILE *page)
{
    const char *cpu = kv_report_context_text(report, "machine.cpu.name");
    const char *start = kv_report_context_text(report, "run.start");
    const char *gemm = common(report, KV_KEY_GEMM, "run.gemm"), *isa = common(report, KV_KEY_ISA, "run.isa");
    const char *threads = common(report, KV_KEY_THREADS, "");
    char text[256];
    fputs("<dl class=\"about\">\n", page);
    print_weights(page, common(report, KV_KEY_WEIGHTS, "run.weights"));
    snprintf(text, sizeof text, "%.150s%s%.20s%s", cpu ? cpu : "", *threads ? (cpu ? ", " : "") : "", threads,
             !*threads                   ? ""
             : strcmp(threads, "1") == 0 ? " thread"
                                         : " threads");
    print_fact(page, "Machine", text);
    snprintf(text, sizeof text, "%.60s%s%.60s", gemm, *gemm && *isa ? ", " : "", isa);
    print_fact(page, "Products, kernels", text);
    if (start) {
        date_text(start, 16, text, sizeof text);
        kv_page_print(page, "<div><dt>Date</dt><dd><time datetime=\"%s\">%s</time></dd></div>\n", start, text);
    }
    fputs("</dl>\n", page);
}

void kv_report_print_head(const struct kv_report *report, FILE *page)
{
    const char *host = kv_report_context_text(report, "machine.hostname");
    char date[32] = "";
    if (kv_report_context_text(report, "run.start"))
        date_text(kv_report_context_text(report, "run.start"), 10, date, sizeof date);
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
          "style-src 'unsafe-inline'\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
          "<meta name=\"color-scheme\" content=\"light dark\">\n<link rel=\"icon\" href=\"data:,\">\n",
          page);
    kv_page_print(page, "<title>kvbench: %s%s%s%s%s</title>\n<style>\n", model_name(report), host ? " on " : "",
                  host ? host : "", *date ? ", " : "", date);
    kv_page_print_style(page);
    kv_page_print(page,
                  "</style>\n</head>\n<body>\n<header>\n<p class=\"over\">kvbench report</p>\n"
                  "<h1>What a KV cache does for <em>%s</em></h1>\n"
                  "<p class=\"lead\">To generate a token, a transformer needs the keys and values of all tokens before "
                  "it. <b class=\"naive\">naive</b> computes them again at every step; <b class=\"cached\">cached</b> "
                  "keeps them in memory. Both ran the same kernels on the same machine, by turns.%s</p>\n",
                  model_name(report),
                  is_synthetic(common(report, KV_KEY_WEIGHTS, "run.weights"))
                      ? " The weights are synthetic: times are as real, texts are not."
                      : "");
    print_facts(report, page);
    fputs("</header>\n<nav aria-label=\"Contents\"><a href=\"#findings\">Findings</a> <a href=\"#figures\">Figures</a> "
          "<a href=\"#tables\">Tables</a> <a href=\"#machine\">Machine</a> <a href=\"#warnings\">Warnings</a> "
          "<a href=\"#glossary\">Terms</a>",
          page);
    fputs(report->changes ? " <a href=\"#changes\">Changes</a></nav>\n<main>\n" : "</nav>\n<main>\n", page);
}
