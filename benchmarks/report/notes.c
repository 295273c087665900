/* The warnings of the run, and the terms. */
#include "report/parts.h"

#include "report/page.h"

#include <string.h>

/* ---- Warnings ------------------------------------------------------------------------------------- */

static void print_warning(FILE *page, bool is_warning, const char *text)
{
    kv_page_print(page, "<li class=\"%s\"><b>%s</b> ", is_warning ? "warning" : "note",
                  is_warning ? "warning" : "note");
    kv_page_print_note(page, text);
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
        print_warning(page, !severity || strcmp(severity, "info") != 0, text);
        n++;
    }
    return n;
}

void kv_report_print_warnings(const struct kv_report *report, FILE *page)
{
    struct kv_warning warnings[KV_SUMMARY_MAX_WARNINGS];
    const int n = report->summary ? kv_summary_warnings(report->summary, warnings) : 0;
    fputs("<section id=\"warnings\"><h2>Warnings</h2>\n<ul class=\"notes\">\n", page);
    for (int i = 0; i < n; i++)
        print_warning(page, warnings[i].severity == KV_SEVERITY_WARNING, warnings[i].text);
    if (n + print_context_warnings(report, page) == 0)
        fputs("<li class=\"none\">None: nothing was seen that makes these figures less than they seem.</li>\n", page);
    fputs("</ul></section>\n", page);
}

/* ---- Terms ---------------------------------------------------------------------------------------- */

static const struct {
    const char *term;
    const char *meaning; /* markup */
} terms[] = {
    {"naive", "the path that runs the whole window again for every token and keeps nothing"},
    {"cached", "the path that keeps keys and values of all positions and runs one position a token"},
    {"TTFT", "time to first token: t<sub>1</sub> − t<sub>0</sub>"},
    {"step latency", "of token i ≥ 2: t<sub>i</sub> − t<sub>i−1</sub> (elsewhere inter-token latency, ITL)"},
    {"TTPT", "time per token: (t<sub>N</sub> − t<sub>1</sub>) / (N − 1) (elsewhere TPOT)"},
    {"E2E", "end to end: t<sub>N</sub> − t<sub>0</sub>"},
    {"prefill throughput", "B · prompt / TTFT"},
    {"decode throughput", "B / TTPT"},
    {"output throughput", "B · N / E2E, prefill included"},
    {"KV memory, live", "keys and values in use: 2 · L · C · T · B · 4 bytes, of L layers, width C and T positions"},
    {"KV memory, reserved", "what was allocated for them"},
    {"RSS", "the process's peak of resident memory during the repetition"},
    {"growth", "median latency of the last quarter of the steps ÷ that of the first"},
    {"slope", "the difference of these two medians by the tokens that lie between them"},
    {"limit", "the least time of a step: the larger of its bytes ÷ the measured bandwidth and its flops ÷ the measured "
              "peak"},
    {"GFLOPS, GB/s", "10<sup>9</sup> floating-point operations, and 10<sup>9</sup> bytes that have to come from "
                     "memory, in a second"},
    {"p50, p95, p99", "percentiles of the step latencies; with fewer than 100 samples there is no p99"},
    {"95 % interval", "percentile bootstrap interval of the median: with few repetitions it promises less than its "
                      "name"},
};

void kv_report_print_glossary(FILE *page)
{
    fputs("<section id=\"glossary\"><h2>Terms</h2>\n<p>t<sub>0</sub> is the moment the prompt’s token ids are ready, "
          "t<sub>i</sub> the moment new token i is selected (its logits <em>and</em> its argmax), N the number of new "
          "tokens, B the batch.</p>\n<dl class=\"facts\">\n",
          page);
    for (size_t i = 0; i < sizeof terms / sizeof terms[0]; i++)
        fprintf(page, "<dt>%s</dt><dd>%s</dd>\n", terms[i].term, terms[i].meaning);
    fputs("</dl></section>\n", page);
}
