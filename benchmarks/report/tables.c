/* A table a suite, a row a configuration. */
#include "report/parts.h"

#include "report/page.h"
#include "results/summary_parts.h"

#include <math.h>
#include <string.h>

#define MIB (1024.0 * 1024.0)

enum kind {
    KIND_KEY,
    KIND_INTERVAL, /* median and interval */
    KIND_MEDIAN,
    KIND_MIB,   /* the largest value */
    KIND_SPEED, /* against path naive */
    KIND_COUNT,
};

struct column {
    const char *title;
    enum kind kind;
    int index; /* of enum kv_key or enum kv_figure */
};

static const struct column batch_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_INTERVAL, KV_FIGURE_TTFT_MS},
    {"TTPT ms", KIND_INTERVAL, KV_FIGURE_TTPT_MS},
    {"decode tok/s", KIND_INTERVAL, KV_FIGURE_DECODE_TOK_S},
    {"speed, × naive", KIND_SPEED, 0},
    {"output tok/s", KIND_INTERVAL, KV_FIGURE_OUTPUT_TOK_S},
    {"KV MiB", KIND_MIB, KV_FIGURE_KV_LIVE_BYTES},
    {"% of limit", KIND_MEDIAN, KV_FIGURE_LIMIT_PCT},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column trace_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_INTERVAL, KV_FIGURE_TTFT_MS},
    {"TTPT ms", KIND_INTERVAL, KV_FIGURE_TTPT_MS},
    {"speed, × naive", KIND_SPEED, 0},
    {"p50 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P50_MS},
    {"p95 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P95_MS},
    {"p99 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P99_MS},
    {"growth ×", KIND_INTERVAL, KV_FIGURE_GROWTH},
    {"slope µs/token", KIND_INTERVAL, KV_FIGURE_SLOPE_US},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column grid_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"context", KIND_KEY, KV_KEY_CONTEXT_TOKENS},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_INTERVAL, KV_FIGURE_TTFT_MS},
    {"step ms", KIND_INTERVAL, KV_FIGURE_TTPT_MS},
    {"speed, × naive", KIND_SPEED, 0},
    {"KV MiB", KIND_MIB, KV_FIGURE_KV_LIVE_BYTES},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column depth_columns[] = {
    {"context", KIND_KEY, KV_KEY_CONTEXT_TOKENS},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"step ms", KIND_INTERVAL, KV_FIGURE_TTPT_MS},
    {"speed, × naive", KIND_SPEED, 0},
    {"limit ms", KIND_MEDIAN, KV_FIGURE_LIMIT_MS},
    {"% of limit", KIND_MEDIAN, KV_FIGURE_LIMIT_PCT},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column memory_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"context", KIND_KEY, KV_KEY_CONTEXT_TOKENS},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"live MiB", KIND_MIB, KV_FIGURE_KV_LIVE_BYTES},
    {"reserved MiB", KIND_MIB, KV_FIGURE_KV_RESERVED_BYTES},
    {"RSS MiB", KIND_MIB, KV_FIGURE_RSS_PEAK_BYTES},
    {"n", KIND_COUNT, 0},
    {0},
};

/* What a suite's table shows, keys first. A suite without a row here gets the columns of the first. */
static const struct {
    const char *suite;
    const char *title;
    const struct column *columns; /* up to the one without a title */
} layouts[] = {
    {"batch", "Batch size", batch_columns},     {"trace", "One long generation", trace_columns},
    {"grid", "Batch and length", grid_columns}, {"depth", "Context", depth_columns},
    {"memory", "Memory", memory_columns},
};
enum { N_LAYOUTS = sizeof layouts / sizeof layouts[0], MAX_COLUMNS = 20 };

struct table {
    const struct kv_report *report;
    const char *suite;
    FILE *page;
    struct column columns[MAX_COLUMNS];
    int n_columns;
};

/* ---- Cells ---------------------------------------------------------------------------------------- */

/* An unknown value is a dash. */
static void print_value(FILE *page, double value)
{
    char number[KV_NUMBER_SIZE];
    kv_page_print(page, "%s", isnan(value) ? "–" : kv_number_text(value, number, sizeof number));
}

static void print_interval(FILE *page, double value, struct kv_stats_interval interval)
{
    char range[2 * KV_NUMBER_SIZE];
    fputs(isnan(value) ? "<span>" : "<b>", page);
    print_value(page, value);
    fputs(isnan(value) ? "</span>" : "</b>", page);
    if (!isnan(interval.low))
        kv_page_print(page, " <span class=\"range\">%s</span>", kv_report_range(interval, range, sizeof range));
}

static kv_status print_cell(const struct table *table, const struct kv_configuration *configuration,
                            const struct column *column, struct kv_error *error)
{
    const bool has_figure = column->kind == KIND_INTERVAL || column->kind == KIND_MEDIAN || column->kind == KIND_MIB;
    const struct kv_summary_sample *sample = has_figure ? &configuration->figures[column->index] : NULL;
    struct kv_report_speed speed;
    kv_status status = KV_OK;
    fputs("<td>", table->page);
    switch (column->kind) {
    case KIND_KEY: /* is a heading of its row */
        break;
    case KIND_COUNT:
        kv_page_print(table->page, "%zu", configuration->n);
        break;
    case KIND_MIB:
        print_value(table->page, sample->n ? sample->values[sample->n - 1] / MIB : NAN);
        break;
    case KIND_MEDIAN:
        print_value(table->page, sample->median);
        break;
    case KIND_INTERVAL:
        print_interval(table->page, sample->median, sample->interval);
        break;
    case KIND_SPEED:
        status = kv_report_speed(table->report, configuration, &speed, error);
        if (!status)
            print_interval(table->page, speed.ratio, speed.interval);
        break;
    }
    fputs("</td>", table->page);
    return status;
}

static void print_key(const struct table *table, const struct kv_configuration *configuration, enum kv_key key)
{
    const char *text = *configuration->keys[key] ? configuration->keys[key] : "–";
    if (key == KV_KEY_PATH)
        kv_page_print(table->page, "<th scope=\"row\" class=\"word\"><span class=\"path %s\">%s</span></th>", text,
                      text);
    else if (key < KV_KEY_THREADS)
        kv_page_print(table->page, "<th scope=\"row\" class=\"word\">%s</th>", text);
    else
        kv_page_print(table->page, "<th scope=\"row\">%s</th>", text);
}

/* Instead of the figures that were not measured. */
static void print_reason(const struct table *table, const struct kv_configuration *configuration, int n_cells)
{
    kv_page_print(table->page, "<td class=\"word reason\" colspan=\"%d\">%s", n_cells,
                  kv_configuration_status_name(configuration->status));
    if (configuration->n)
        kv_page_print(table->page, " after %zu repetition%s", configuration->n, configuration->n == 1 ? "" : "s");
    kv_page_print(table->page, ": %s</td>", *configuration->error ? configuration->error : "no reason was given");
}

static kv_status print_row(const struct table *table, const struct kv_configuration *configuration,
                           struct kv_error *error)
{
    kv_status status = KV_OK;
    fputs(kv_configuration_is(configuration, KV_KEY_PATH, "naive") ? "<tr class=\"base\">" : "<tr>", table->page);
    for (int i = 0; !status && i < table->n_columns; i++) {
        if (table->columns[i].kind == KIND_KEY) {
            print_key(table, configuration, (enum kv_key)table->columns[i].index);
        } else if (configuration->status != KV_CONFIGURATION_OK) {
            print_reason(table, configuration, table->n_columns - i);
            break;
        } else {
            status = print_cell(table, configuration, &table->columns[i], error);
        }
    }
    fputs("</tr>\n", table->page);
    return status;
}

/* ---- Tables --------------------------------------------------------------------------------------- */

static int find_layout(const char *suite)
{
    for (int i = 0; i < N_LAYOUTS; i++)
        if (strcmp(layouts[i].suite, suite) == 0)
            return i;
    return 0;
}

static bool shows(const struct column *columns, enum kv_key key)
{
    for (; columns->title; columns++)
        if (columns->kind == KIND_KEY && columns->index == (int)key)
            return true;
    return false;
}

/* Keys that the layout does not name but that vary in the suite come first. */
static void choose_columns(struct table *table)
{
    static const struct column optional[] = {
        {"model", KIND_KEY, KV_KEY_MODEL},
        {"weights", KIND_KEY, KV_KEY_WEIGHTS},
        {"gemm", KIND_KEY, KV_KEY_GEMM},
        {"isa", KIND_KEY, KV_KEY_ISA},
        {"threads", KIND_KEY, KV_KEY_THREADS},
        {"batch", KIND_KEY, KV_KEY_BATCH},
        {"prompt", KIND_KEY, KV_KEY_PROMPT_TOKENS},
        {"new", KIND_KEY, KV_KEY_NEW_TOKENS},
    };
    const struct column *columns = layouts[find_layout(table->suite)].columns;
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        const enum kv_key key = (enum kv_key)optional[i].index;
        /* context and new tokens tell the prompt */
        const bool is_implied = key == KV_KEY_PROMPT_TOKENS && shows(columns, KV_KEY_CONTEXT_TOKENS);
        if (!shows(columns, key) && !is_implied && kv_key_varies(table->report->summary, table->suite, key))
            table->columns[table->n_columns++] = optional[i];
    }
    for (; columns->title; columns++)
        table->columns[table->n_columns++] = *columns;
}

static void print_title(const struct table *table, const struct kv_configuration *first)
{
    const struct kv_summary *summary = table->report->summary;
    const int layout = find_layout(table->suite);
    const bool is_known = strcmp(layouts[layout].suite, table->suite) == 0;
    kv_page_print(table->page, "<h3>%s <span class=\"soft\">suite %s", is_known ? layouts[layout].title : table->suite,
                  table->suite);
    if (!kv_key_varies(summary, table->suite, KV_KEY_PROMPT_TOKENS))
        kv_page_print(table->page, ", prompt of %d token%s", first->prompt_tokens,
                      first->prompt_tokens == 1 ? "" : "s");
    if (!kv_key_varies(summary, table->suite, KV_KEY_NEW_TOKENS))
        kv_page_print(table->page, ", %d new", first->new_tokens);
    kv_page_print(table->page,
                  "</span></h3>\n<div class=\"box\" role=\"region\" tabindex=\"0\" aria-label=\"Table of suite %s\">"
                  "<table><thead><tr>",
                  table->suite);
    for (int i = 0; i < table->n_columns; i++) {
        const bool is_word = table->columns[i].kind == KIND_KEY && table->columns[i].index < KV_KEY_THREADS;
        fputs(is_word ? "<th scope=\"col\" class=\"word\">" : "<th scope=\"col\">", table->page);
        kv_page_print(table->page, "%s</th>", table->columns[i].title);
    }
    fputs("</tr></thead>\n<tbody>\n", table->page);
}

static kv_status print_table(const struct kv_report *report, size_t first, FILE *page, struct kv_error *error)
{
    const struct kv_configuration *all = report->summary->configurations;
    struct table table = {.report = report, .suite = all[first].keys[KV_KEY_SUITE], .page = page};
    kv_status status = KV_OK;
    for (size_t i = 0; i < first; i++)
        if (kv_configuration_is(&all[i], KV_KEY_SUITE, table.suite))
            return KV_OK;
    choose_columns(&table);
    print_title(&table, &all[first]);
    for (size_t i = first; !status && i < report->summary->n_configurations; i++)
        if (kv_configuration_is(&all[i], KV_KEY_SUITE, table.suite))
            status = print_row(&table, &all[i], error);
    fputs("</tbody></table></div>\n", page);
    return status;
}

kv_status kv_report_print_tables(const struct kv_report *report, FILE *page, struct kv_error *error)
{
    kv_status status = KV_OK;
    fputs("<section id=\"tables\"><h2>Tables</h2>\n<p>Large: the median of n repetitions. "
          "<span class=\"range\">Small: its 95 % bootstrap interval.</span> MiB are the most that any repetition "
          "held. <i>% of limit</i> is how close a step comes to what this machine's memory and cores allow; above 100 "
          "the caches hold what it needs.</p>\n",
          page);
    for (size_t i = 0; !status && report->summary && i < report->summary->n_configurations; i++)
        status = print_table(report, i, page, error);
    if (!status)
        status = kv_report_print_kernels(report, page, error);
    fputs("</section>\n", page);
    return status;
}
