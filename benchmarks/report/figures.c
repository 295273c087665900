/* The figures that plots/ drew, each with how to read it, and the animations of the dashboard. */
#include "report/parts.h"

#include "base/error.h"
#include "report/files.h"
#include "report/page.h"
#include "report/svg.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

struct figure {
    const char *name; /* figures/NAME.svg */
    const char *suite;
    const char *title;
    const char *reading;
    const char *caption;
};

static const struct figure figures[] = {
    {"benchmark_results", "batch", "Batch size",
     "Each panel has the batch size along its axis, and every step to the right doubles it. For the two times lower is "
     "better, for throughput higher. The further the two lines lie apart, the more work the cache saves; the memory "
     "panel shows the price, which naive does not pay and which grows in proportion to the batch.",
     "TTFT, TTPT, decode throughput and keys and values in use, by batch size."},
    {"token_latency", "trace", "Every token of a long generation",
     "From left to right, one sequence is being generated. Naive runs the whole window again for every token and so "
     "climbs; cached runs one position and stays nearly level. Grey is the least time that this machine's memory and "
     "cores allow: the gap between a line and its grey one is what a better implementation could still gain. A wide "
     "band means that repetitions disagree.",
     "Latency of each token at its place in the sequence: mean of the repetitions, and their range."},
    {"time_vs_cache", "trace", "What the memory buys",
     "Time is read on the left, memory on the right. Every token adds the same number of bytes to the cache, so its "
     "line is straight; in exchange the time per token of cached stays down while that of naive rises.",
     "Time per token, and memory of the keys and values in use, over the sequence."},
    {"speedup_grid", "grid", "Where the cache pays",
     "A cell is one batch size at one length; its number says how many times as fast a cached step is as a naive one "
     "there, with both times below it. Up and to the right there is more to compute again, so the gain grows; near 1 "
     "the cache makes no difference.",
     "Speed of a cached step against a naive one on the plane of batch and length."},
    {"depth", "depth", "Cost of a longer context",
     "Further right, more tokens are in the window already. The panel with the close-up matters most: the slope of "
     "the cached line is the price of each further token, and the grey line is what reading the weights and the cache "
     "at the measured bandwidth must cost. When the two are parallel, the bytes of the cache explain the slope.",
     "Latency of one step against the tokens in the sequence, with the limit of each path."},
    {"memory", "memory", "Memory",
     "Purple is the cache: in use, and reserved for what is to come. The other lines are all that the process holds, "
     "weights included. Both axes tell multiples, so a line that rises steadily grows in proportion.",
     "Keys and values in use and reserved, and peak of resident memory, by batch and length."},
    {"roofline", "batch", "How close to this machine's limit",
     "The roof is this machine as it was measured: its slope is memory bandwidth, its flat part arithmetic. A point "
     "below the slope waits for memory, one below the flat part for the cores, and the closer it is to the roof, the "
     "less is left to gain. Decoding moves right as the batch grows: weights that are read once serve more sequences. "
     "Naive lies far right because it computes so much, not because it is better.",
     "Prefill and decode at each batch size, below measured bandwidth and peak."},
    {"kernels", "kernels", "Kernels",
     "Each panel is one product of the model, or its attention. With one row the weights are read for a single "
     "sequence and memory decides; with many rows the lines should bend towards the peak. Where two backends differ, "
     "the higher line is the faster one. A line above its limit means that caches held what the limit counts as read "
     "from memory, or that the limits were measured while something else ran.",
     "Rate of each matrix product and of attention, by backend and instruction set, with limit and peak."},
    {"latency_distribution", "trace", "Distribution of step latencies",
     "Choose a time on the axis below: the curve tells the share of steps that took no longer. A steep curve is a "
     "steady path, a long tail to the right is made of few slow steps. That of naive leans because its steps get "
     "longer along the sequence, not because they are erratic.",
     "Share of steps that took at most so long, with the 50th, 95th and 99th percentile."},
};
enum { N_FIGURES = sizeof figures / sizeof figures[0] };

_Static_assert((int)N_FIGURES <= (int)KV_REPORT_MAX_FIGURES, "an outcome has room for all figures");

/* ---- Figures -------------------------------------------------------------------------------------- */

static void print_missing(const struct kv_report *report, const struct figure *figure, FILE *page)
{
    kv_page_print(page, "<p class=\"missing\"><b>%s</b> is not here: ", figure->title);
    if (kv_report_has_suite(report, figure->suite))
        kv_page_print(page, "<code>kvbench plots %s</code> draws it from the run's CSV files.</p>\n", report->folder);
    else
        kv_page_print(page,
                      "the run has no rows of suite %s; <code>kvbench bench --suite %s</code> measures them.</p>\n",
                      figure->suite, figure->suite);
}

static kv_status print_figure(const struct kv_report *report, const struct figure *figure, int number, FILE *page,
                              struct kv_error *error)
{
    char file[128], prefix[64], *text;
    size_t n;
    snprintf(file, sizeof file, "figures/%s.svg", figure->name);
    snprintf(prefix, sizeof prefix, "%s-", figure->name);
    kv_status status = kv_file_read(&text, &n, report->folder, file, error);
    if (status)
        return status;
    kv_page_print(page,
                  "<figure id=\"figure-%s\"><h3>%s</h3>\n<p><b>How to read it.</b> %s</p>\n"
                  "<div class=\"canvas\" role=\"region\" tabindex=\"0\" aria-label=\"%s\">",
                  figure->name, figure->title, figure->reading, figure->title);
    const char *defect = kv_svg_print(page, text, prefix, figure->caption);
    if (defect)
        status = kv_fail(error, KV_ERROR_FORMAT, "%s/%s cannot be shown, %s: draw it again with kvbench plots",
                         report->folder, file, defect);
    kv_page_print(page,
                  "</div>\n<figcaption><b>Figure %d.</b> %s <span class=\"soft\">Suite %s.</span></figcaption>"
                  "</figure>\n",
                  number, figure->caption, figure->suite);
    free(text);
    return status;
}

/* ---- Animations ----------------------------------------------------------------------------------- */

static const char cache_reading[] =
    "The query at the top is held against the key of every position before it; the bars tell how much attention each "
    "position gets, and by these weights the values are added up. Keys and values of earlier tokens never change, they "
    "only grow by a row: that is what the cache keeps.";
static const char overview_reading[] =
    "Each panel is one head or one layer, and shows how much attention the new token pays to every position before it. "
    "All of them read keys and values that were computed once, when their token came, and kept since.";

/* Its size stands behind the signature, lowest byte first. */
static kv_status print_animation(const struct kv_report *report, const char *name, FILE *page, struct kv_error *error)
{
    char *text;
    size_t n;
    kv_status status = kv_file_read(&text, &n, report->folder, name, error);
    if (status)
        return status;
    const unsigned char *bytes = (const unsigned char *)text;
    if (n < 14 || (memcmp(text, "GIF89a", 6) != 0 && memcmp(text, "GIF87a", 6) != 0) || bytes[n - 1] != ';') {
        free(text);
        return kv_fail(error, KV_ERROR_FORMAT, "%s/%s is not a whole GIF: make it again with kvbench dashboard",
                       report->folder, name);
    }
    /* kvbench dashboard names those with all heads or layers so */
    const bool is_overview = strstr(name, "_hall") || strstr(name, "_lall");
    kv_page_print(page,
                  "<figure class=\"animation\"><h3>Inside the cache</h3>\n<p><b>How to read it.</b> A frame is one "
                  "generated token. %s</p>\n<div class=\"canvas\"><img width=\"%d\" height=\"%d\" alt=\"Animation: "
                  "%s, one frame a token\" src=\"data:image/gif;base64,",
                  is_overview ? overview_reading : cache_reading, bytes[6] | bytes[7] << 8, bytes[8] | bytes[9] << 8,
                  is_overview ? "attention over all positions, a panel each head or layer"
                              : "query, key cache, value cache and attention weights");
    kv_page_print_base64(page, bytes, n);
    const char *slash = strrchr(name, '/');
    kv_page_print(page, "\"></div>\n<figcaption>%s, from the observed cached path.</figcaption></figure>\n",
                  slash ? slash + 1 : name);
    free(text);
    return KV_OK;
}

static int is_animation(const struct dirent *entry)
{
    return fnmatch("kv_dashboard_*.gif", entry->d_name, 0) == 0;
}

/* Those in a folder of the run, "" or "figures/"; one that is not there has none. */
static kv_status print_animations(const struct kv_report *report, const char *place, FILE *page, int *n_animations,
                                  struct kv_error *error)
{
    char *folder, *name;
    struct dirent **entries = NULL;
    kv_status status = KV_OK;
    if (asprintf(&folder, "%s/%s", report->folder, place) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to look for animations: close other programs");
    const int n = scandir(folder, &entries, is_animation, alphasort);
    for (int i = 0; i < n; i++) {
        if (!status && asprintf(&name, "%s%s", place, entries[i]->d_name) < 0)
            status = kv_fail(error, KV_ERROR_MEMORY, "no memory to show animations: close other programs");
        if (!status) {
            status = print_animation(report, name, page, error);
            free(name);
            ++*n_animations;
        }
        free(entries[i]);
    }
    free(entries);
    free(folder);
    return status;
}

/* ---- The section ---------------------------------------------------------------------------------- */

kv_status kv_report_print_figures(const struct kv_report *report, FILE *page, struct kv_report_outcome *outcome,
                                  struct kv_error *error)
{
    kv_status status = KV_OK;
    char file[128];
    fputs("<section id=\"figures\"><h2>Figures</h2>\n", page);
    for (int i = 0; !status && i < N_FIGURES; i++) {
        snprintf(file, sizeof file, "figures/%s.svg", figures[i].name);
        if (kv_file_is_there(report->folder, file)) {
            status = print_figure(report, &figures[i], ++outcome->n_figures, page, error);
            continue;
        }
        print_missing(report, &figures[i], page);
        if (kv_report_has_suite(report, figures[i].suite))
            outcome->missing[outcome->n_missing++] = figures[i].name;
    }
    if (!status)
        status = print_animations(report, "", page, &outcome->n_animations, error);
    if (!status)
        status = print_animations(report, "figures/", page, &outcome->n_animations, error);
    fputs("</section>\n", page);
    return status;
}
