/* The machine, the build and the command, from context.json; the limits that were measured; how it was measured. */
#include "report/parts.h"

#include "report/page.h"
#include "results/summary_parts.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { FACT_SIZE = 1024 };

/* ---- Facts ---------------------------------------------------------------------------------------- */

/* A list of definitions that is written as it grows; a fact that is unknown has no line. */
struct facts {
    const struct kv_report *report;
    FILE *page;
};

static void print_fact(const struct facts *facts, const char *title, const char *text)
{
    if (*text)
        kv_page_print(facts->page, "<dt>%s</dt><dd>%s</dd>\n", title, text);
}

static void begin_facts(const struct facts *facts, const char *title)
{
    kv_page_print(facts->page, "<h3>%s</h3>\n<dl class=\"facts\">\n", title);
}

static void print_text_fact(const struct facts *facts, const char *title, const char *names)
{
    const char *text = kv_report_context_text(facts->report, names);
    print_fact(facts, title, text ? text : "");
}

/* NaN when it is unknown. */
static double number(const struct facts *facts, const char *names)
{
    const json_t *value = kv_report_context(facts->report, names);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static const char *yes_or_no(const struct facts *facts, const char *names, const char *yes, const char *no)
{
    const json_t *value = kv_report_context(facts->report, names);
    return json_is_true(value) ? yes : json_is_false(value) ? no : "";
}

/* "48 KiB", "31.8 GiB"; "" when it is unknown. */
static const char *bytes_text(double bytes, char text[KV_NUMBER_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    char digits[KV_NUMBER_SIZE - 8];
    int unit = 0;
    *text = '\0';
    if (isnan(bytes))
        return text;
    for (; bytes >= 1024 && unit < 4; unit++)
        bytes /= 1024;
    snprintf(digits, sizeof digits, bytes == floor(bytes) ? "%.0f" : "%.1f", bytes);
    snprintf(text, KV_NUMBER_SIZE, "%s %s", digits, units[unit]);
    return text;
}

/* Adds the words to the text behind a separator. */
__attribute__((format(printf, 2, 3))) static void add(char text[FACT_SIZE], const char *format, ...)
{
    const size_t used = strlen(text);
    const int separator = used ? snprintf(text + used, FACT_SIZE - used, ", ") : 0;
    va_list arguments;
    va_start(arguments, format);
    if (used + (size_t)separator < FACT_SIZE)
        vsnprintf(text + used + separator, FACT_SIZE - used - (size_t)separator, format, arguments);
    va_end(arguments);
}

/* ---- Machine -------------------------------------------------------------------------------------- */

static void print_cpu(const struct facts *facts)
{
    const char *vendor = kv_report_context_text(facts->report, "machine.cpu.vendor");
    const double family = number(facts, "machine.cpu.family"), model = number(facts, "machine.cpu.model"),
                 stepping = number(facts, "machine.cpu.stepping");
    const json_t *features = kv_report_context(facts->report, "machine.cpu.features"), *feature;
    char text[FACT_SIZE] = "";
    size_t i;
    print_text_fact(facts, "CPU", "machine.cpu.name");
    if (vendor)
        add(text, "%s", vendor);
    if (!isnan(family) && !isnan(model) && !isnan(stepping))
        add(text, "family %.0f, model %.0f, stepping %.0f", family, model, stepping);
    print_fact(facts, "Type", text);
    *text = '\0';
    json_array_foreach(features, i, feature)
    {
        if (json_is_string(feature))
            add(text, "%s", json_string_value(feature));
    }
    print_fact(facts, "Features", text);
}

static void print_cores(const struct facts *facts)
{
    static const struct {
        const char *names;
        const char *one, *many;
    } parts[] = {
        {"machine.cpu.cores_online", "physical core", "physical cores"},
        {"machine.cpu.cpus_online", "logical CPU", "logical CPUs"},
        {"machine.cpu.sockets", "socket", "sockets"},
        {"machine.cpu.cores_affinity", "core of them for this program", "cores of them for this program"},
    };
    char text[FACT_SIZE] = "";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const double n = number(facts, parts[i].names);
        if (!isnan(n))
            add(text, "%.0f %s", n, n == 1 ? parts[i].one : parts[i].many);
    }
    print_fact(facts, "Cores", text);
}

static void print_caches(const struct facts *facts)
{
    static const struct {
        const char *bytes, *instances, *name;
    } caches[] = {
        {"machine.cpu.l1d.bytes", "machine.cpu.l1d.instances", "L1 data"},
        {"machine.cpu.l1i.bytes", "machine.cpu.l1i.instances", "L1 code"},
        {"machine.cpu.l2.bytes", "machine.cpu.l2.instances", "L2"},
        {"machine.cpu.l3.bytes", "machine.cpu.l3.instances", "L3"},
    };
    char text[FACT_SIZE] = "", size[KV_NUMBER_SIZE];
    for (size_t i = 0; i < sizeof caches / sizeof caches[0]; i++) {
        const double bytes = number(facts, caches[i].bytes), n = number(facts, caches[i].instances);
        if (isnan(bytes))
            continue;
        if (n > 1)
            add(text, "%s %.0f × %s", caches[i].name, n, bytes_text(bytes, size));
        else
            add(text, "%s %s", caches[i].name, bytes_text(bytes, size));
    }
    print_fact(facts, "Caches", text);
}

static void print_memory(const struct facts *facts)
{
    const char *huge_pages = kv_report_context_text(facts->report, "machine.memory.huge_pages");
    const double total = number(facts, "machine.memory.total_bytes"),
                 available = number(facts, "machine.memory.available_bytes"),
                 limit = number(facts, "machine.memory.limit_bytes");
    char text[FACT_SIZE] = "", size[KV_NUMBER_SIZE];
    if (!isnan(total))
        add(text, "%s", bytes_text(total, size));
    if (!isnan(available))
        add(text, "%s available at the start", bytes_text(available, size));
    if (!isnan(limit))
        add(text, "limited to %s", bytes_text(limit, size));
    if (huge_pages)
        add(text, "transparent huge pages: %s", huge_pages);
    print_fact(facts, "Memory", text);
}

static void print_machine(const struct facts *facts)
{
    begin_facts(facts, "Machine");
    print_cpu(facts);
    print_cores(facts);
    print_caches(facts);
    print_memory(facts);
    print_text_fact(facts, "Governor", "machine.cpu.governor");
    print_fact(facts, "Turbo", yes_or_no(facts, "machine.cpu.turbo", "on", "off"));
    print_text_fact(facts, "Computer", "machine.product");
    print_fact(facts, "Virtual machine", yes_or_no(facts, "machine.hypervisor", "yes", "no"));
    print_text_fact(facts, "Host", "machine.hostname");
    print_text_fact(facts, "System", "machine.os");
    print_text_fact(facts, "Kernel", "machine.kernel");
    fputs("</dl>\n", facts->page);
}

/* ---- Build and run -------------------------------------------------------------------------------- */

static void print_build(const struct facts *facts)
{
    const char *commit = kv_report_context_text(facts->report, "build.commit");
    char text[FACT_SIZE] = "";
    begin_facts(facts, "Program");
    print_text_fact(facts, "kvbench", "build.version");
    if (commit)
        add(text, "%s%s", commit, yes_or_no(facts, "build.dirty", " with local changes", ""));
    print_fact(facts, "Commit", text);
    print_text_fact(facts, "Compiler", "build.compiler");
    print_text_fact(facts, "Flags", "build.flags");
    print_text_fact(facts, "Build type", "build.build_type");
    print_text_fact(facts, "Sanitizers", "build.sanitizers");
    print_text_fact(facts, "OpenBLAS", "libraries.openblas_config");
    print_text_fact(facts, "OpenBLAS kernels", "libraries.openblas_core");
    print_text_fact(facts, "Google Benchmark", "libraries.google_benchmark");
    print_text_fact(facts, "jansson", "libraries.jansson");
    fputs("</dl>\n", facts->page);
}

static void print_command(const struct facts *facts)
{
    const json_t *command = kv_report_context(facts->report, "run.command"), *argument;
    size_t i;
    if (!json_array_size(command))
        return;
    fputs("<dt>Command</dt><dd><code>kvbench", facts->page);
    json_array_foreach(command, i, argument)
    {
        const char *text = json_string_value(argument);
        if (text)
            kv_page_print(facts->page, !*text || strchr(text, ' ') ? " '%s'" : " %s", text);
    }
    fputs("</code></dd>\n", facts->page);
}

static void print_run(const struct facts *facts)
{
    const json_t *load = kv_report_context(facts->report, "run.load_at_start"), *average;
    const double steal = number(facts, "run.steal_percent");
    char text[FACT_SIZE] = "";
    size_t i;
    begin_facts(facts, "Run");
    print_command(facts);
    print_text_fact(facts, "Model", "run.model");
    print_text_fact(facts, "Start", "run.start");
    print_text_fact(facts, "End", "run.end");
    json_array_foreach(load, i, average)
    {
        if (json_is_number(average))
            add(text, "%.2f", json_number_value(average));
    }
    if (*text)
        add(text, "averages over 1, 5 and 15 minutes");
    print_fact(facts, "Load at the start", text);
    *text = '\0';
    if (!isnan(steal))
        add(text, "%.2f %% of the CPU time", steal);
    print_fact(facts, "Stolen by the host", text);
    fputs("</dl>\n", facts->page);
}

/* ---- Limits --------------------------------------------------------------------------------------- */

static kv_status print_limit(const struct kv_csv_table *limits, size_t row, const char *column, FILE *page,
                             struct kv_error *error)
{
    char text[KV_NUMBER_SIZE];
    size_t index;
    double value;
    kv_status status = kv_csv_column(limits, column, &index, error);
    if (!status)
        status = kv_csv_number(limits, row, index, &value, error);
    if (!status)
        kv_page_print(page, "<td>%s</td>", kv_number_text(value / 1e9, text, sizeof text));
    return status;
}

static kv_status print_limits_row(const struct kv_csv_table *limits, size_t row, FILE *page, struct kv_error *error)
{
    static const char *const keys[] = {"moment", "threads", "isa"};
    static const char *const figures[] = {"read_bytes_per_s", "read_bytes_per_s_median", "fma_flop_per_s",
                                          "fma_flop_per_s_median"};
    kv_status status = KV_OK;
    size_t column;
    fputs("<tr>", page);
    for (int i = 0; !status && i < 3; i++) {
        status = kv_csv_column(limits, keys[i], &column, error);
        if (!status)
            kv_page_print(page, i == 1 ? "<th scope=\"row\">%s</th>" : "<th scope=\"row\" class=\"word\">%s</th>",
                          kv_csv_text(limits, row, column));
    }
    for (int i = 0; !status && i < 4; i++)
        status = print_limit(limits, row, figures[i], page, error);
    fputs("</tr>\n", page);
    return status;
}

static kv_status print_limits(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    kv_status status = KV_OK;
    fputs("<h3>Limits of this machine, as measured</h3>\n", page);
    if (!report->limits || !kv_csv_rows(report->limits)) {
        fputs("<p class=\"missing\">The run has no <code>limits.csv</code>: <code>kvbench limits</code> measures them "
              "alone.</p>\n",
              page);
        return KV_OK;
    }
    fputs("<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"Limits\"><table><thead><tr>"
          "<th scope=\"col\" class=\"word\">at the</th><th scope=\"col\">threads</th>"
          "<th scope=\"col\" class=\"word\">isa</th><th scope=\"col\">read GB/s, best</th>"
          "<th scope=\"col\">median</th><th scope=\"col\">GFLOPS, best</th><th scope=\"col\">median</th></tr></thead>\n"
          "<tbody>\n",
          page);
    for (size_t row = 0; !status && row < kv_csv_rows(report->limits); row++)
        status = print_limits_row(report->limits, row, page, error);
    fputs("</tbody></table></div>\n", page);
    return status;
}

/* ---- The section ---------------------------------------------------------------------------------- */

static const char method[] =
    "<h3>How it was measured</h3>\n<ul>\n"
    "<li><b>Equality first.</b> Before a configuration is timed, its path is held against the naive path on the same "
    "weights: logits within the bound, greedy tokens equal. A path that differs is not timed.</li>\n"
    "<li><b>By turns.</b> Paths take turns repetition by repetition, so that a machine that gets warmer or busier "
    "treats them alike.</li>\n"
    "<li><b>Warm.</b> Each shape runs until two repetitions in a row agree within 5 %, five at most; the cold figure "
    "is kept apart.</li>\n"
    "<li><b>Per token.</b> One monotonic clock is read once a token. A step includes selecting the token, and nothing "
    "else is in the timed region.</li>\n"
    "<li><b>Medians, with their doubt.</b> Intervals are 95 % percentile bootstrap intervals of the median. Outliers "
    "are kept.</li>\n</ul>\n";

kv_status kv_report_print_machine(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    const struct facts facts = {report, page};
    fputs("<section id=\"machine\"><h2>Machine and method</h2>\n", page);
    fputs(method, page);
    if (report->context) {
        fputs("<div class=\"columns\"><div>\n", page);
        print_machine(&facts);
        fputs("</div><div>\n", page);
        print_build(&facts);
        print_run(&facts);
        fputs("</div></div>\n", page);
    } else {
        fputs("<p class=\"missing\">The run has no <code>context.json</code>, so its machine is unknown: "
              "<code>kvbench info</code> tells that of today.</p>\n",
              page);
    }
    const kv_status status = print_limits(report, page, error);
    fputs("</section>\n", page);
    return status;
}
