/* A table a suite, aligned; then the findings. */
#include "results/summary_parts.h"

#include <math.h>
#include <string.h>

#define MIB       (1024.0 * 1024.0)
#define CELL_SIZE 64

enum kind {
    KIND_KEY,
    KIND_MEDIAN,
    KIND_SPREAD, /* half the interval, in percent of the median */
    KIND_MIB,    /* the largest value */
    KIND_COUNT,
};

struct column {
    const char *title;
    enum kind kind;
    int index; /* of enum kv_key or enum kv_figure */
};

/* What a suite's table shows; keys come first. Keys that are not named but vary in the suite are put before them. */
struct layout {
    const char *suite;
    const struct column *columns; /* up to the one without a title */
};

static const struct column batch_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_MEDIAN, KV_FIGURE_TTFT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTFT_MS},
    {"TTPT ms", KIND_MEDIAN, KV_FIGURE_TTPT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTPT_MS},
    {"decode tok/s", KIND_MEDIAN, KV_FIGURE_DECODE_TOK_S},
    {"KV MiB", KIND_MIB, KV_FIGURE_KV_LIVE_BYTES},
    {"% of limit", KIND_MEDIAN, KV_FIGURE_LIMIT_PCT},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column trace_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_MEDIAN, KV_FIGURE_TTFT_MS},
    {"TTPT ms", KIND_MEDIAN, KV_FIGURE_TTPT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTPT_MS},
    {"p50 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P50_MS},
    {"p95 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P95_MS},
    {"p99 ms", KIND_MEDIAN, KV_FIGURE_TTPT_P99_MS},
    {"slope us/token", KIND_MEDIAN, KV_FIGURE_SLOPE_US},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column grid_columns[] = {
    {"batch", KIND_KEY, KV_KEY_BATCH},
    {"context", KIND_KEY, KV_KEY_CONTEXT_TOKENS},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"TTFT ms", KIND_MEDIAN, KV_FIGURE_TTFT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTFT_MS},
    {"step ms", KIND_MEDIAN, KV_FIGURE_TTPT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTPT_MS},
    {"KV MiB", KIND_MIB, KV_FIGURE_KV_LIVE_BYTES},
    {"n", KIND_COUNT, 0},
    {0},
};

static const struct column depth_columns[] = {
    {"context", KIND_KEY, KV_KEY_CONTEXT_TOKENS},
    {"path", KIND_KEY, KV_KEY_PATH},
    {"step ms", KIND_MEDIAN, KV_FIGURE_TTPT_MS},
    {"+- %", KIND_SPREAD, KV_FIGURE_TTPT_MS},
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

/* A suite without a row here gets the first one. */
static const struct layout layouts[] = {
    {"batch", batch_columns}, {"trace", trace_columns},   {"grid", grid_columns},
    {"depth", depth_columns}, {"memory", memory_columns},
};

#define MAX_COLUMNS 20

struct table {
    const struct kv_summary *summary;
    const char *suite;
    FILE *stream;
    struct column columns[MAX_COLUMNS];
    int widths[MAX_COLUMNS];
    int n_columns;
};

/* ---- Cells -------------------------------------------------------------------------------------- */

static bool is_left(const struct column *column)
{
    return column->kind == KIND_KEY && column->index < KV_KEY_THREADS;
}

static const char *cell_text(const struct kv_configuration *configuration, const struct column *column, char *text)
{
    const struct kv_summary_sample *sample = column->kind == KIND_KEY ? NULL : &configuration->figures[column->index];
    double value = NAN;
    switch (column->kind) {
    case KIND_KEY:
        snprintf(text, CELL_SIZE, "%s", *configuration->keys[column->index] ? configuration->keys[column->index] : "-");
        return text;
    case KIND_COUNT:
        snprintf(text, CELL_SIZE, "%zu", configuration->n);
        return text;
    case KIND_SPREAD:
        value = 100 * (sample->interval.high - sample->interval.low) / (2 * sample->median);
        if (isnan(value))
            return kv_number_text(value, text, CELL_SIZE);
        snprintf(text, CELL_SIZE, "%.*f", value < 99.95 ? 1 : 0, value);
        return text;
    case KIND_MIB:
        value = sample->n ? sample->values[sample->n - 1] / MIB : NAN;
        break;
    case KIND_MEDIAN:
        value = sample->median;
        break;
    }
    return kv_number_text(value, text, CELL_SIZE);
}

static bool has_figures(const struct kv_configuration *configuration)
{
    return configuration->status == KV_CONFIGURATION_OK;
}

/* Figures that were not measured are told in words where the first of them would stand. */
static void print_reason(const struct table *table, const struct kv_configuration *configuration)
{
    fprintf(table->stream, "  %s", kv_configuration_status_name(configuration->status));
    if (configuration->n)
        fprintf(table->stream, " after %zu repetition%s", configuration->n, configuration->n == 1 ? "" : "s");
    fprintf(table->stream, ": %s\n", *configuration->error ? configuration->error : "no reason was given");
}

static void print_row(const struct table *table, const struct kv_configuration *configuration)
{
    char text[CELL_SIZE];
    for (int i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        if (column->kind != KIND_KEY && !has_figures(configuration)) {
            print_reason(table, configuration);
            return;
        }
        const int width = is_left(column) ? -table->widths[i] : table->widths[i];
        fprintf(table->stream, "  %*s", width, cell_text(configuration, column, text));
    }
    fputc('\n', table->stream);
}

/* ---- Tables ------------------------------------------------------------------------------------- */

static bool shows(const struct column *columns, enum kv_key key)
{
    for (; columns->title; columns++)
        if (columns->kind == KIND_KEY && columns->index == (int)key)
            return true;
    return false;
}

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
    const struct column *columns = layouts[0].columns;
    for (size_t i = 0; i < sizeof layouts / sizeof layouts[0]; i++)
        if (strcmp(layouts[i].suite, table->suite) == 0)
            columns = layouts[i].columns;
    for (size_t i = 0; i < sizeof optional / sizeof optional[0]; i++) {
        const enum kv_key key = (enum kv_key)optional[i].index;
        /* context and new tokens tell the prompt */
        const bool implied = key == KV_KEY_PROMPT_TOKENS && shows(columns, KV_KEY_CONTEXT_TOKENS);
        if (!shows(columns, key) && !implied && kv_key_varies(table->summary, table->suite, key))
            table->columns[table->n_columns++] = optional[i];
    }
    for (; columns->title; columns++)
        table->columns[table->n_columns++] = *columns;
}

static bool is_in(const struct table *table, const struct kv_configuration *configuration)
{
    return kv_configuration_is(configuration, KV_KEY_SUITE, table->suite);
}

static void measure_widths(struct table *table)
{
    char text[CELL_SIZE];
    for (int i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        table->widths[i] = (int)strlen(column->title);
        for (size_t j = 0; j < table->summary->n_configurations; j++) {
            const struct kv_configuration *c = &table->summary->configurations[j];
            if (!is_in(table, c) || (column->kind != KIND_KEY && !has_figures(c)))
                continue;
            const int width = (int)strlen(cell_text(c, column, text));
            if (width > table->widths[i])
                table->widths[i] = width;
        }
    }
}

static void print_title(const struct table *table, const struct kv_configuration *first)
{
    const char *separator = ": ";
    fprintf(table->stream, "\nSuite %s", table->suite);
    if (!kv_key_varies(table->summary, table->suite, KV_KEY_PROMPT_TOKENS)) {
        fprintf(table->stream, "%s%d prompt token%s", separator, first->prompt_tokens,
                first->prompt_tokens == 1 ? "" : "s");
        separator = ", ";
    }
    if (!kv_key_varies(table->summary, table->suite, KV_KEY_NEW_TOKENS))
        fprintf(table->stream, "%s%d new token%s", separator, first->new_tokens, first->new_tokens == 1 ? "" : "s");
    fputs("\n\n", table->stream);
    for (int i = 0; i < table->n_columns; i++) {
        const bool left = is_left(&table->columns[i]);
        fprintf(table->stream, "  %*s", left ? -table->widths[i] : table->widths[i], table->columns[i].title);
    }
    fputc('\n', table->stream);
}

static void print_table(const struct kv_summary *summary, size_t first, FILE *stream)
{
    struct table table = {
        .summary = summary, .suite = summary->configurations[first].keys[KV_KEY_SUITE], .stream = stream};
    choose_columns(&table);
    measure_widths(&table);
    print_title(&table, &summary->configurations[first]);
    for (size_t i = first; i < summary->n_configurations; i++)
        if (is_in(&table, &summary->configurations[i]))
            print_row(&table, &summary->configurations[i]);
}

/* ---- The whole ---------------------------------------------------------------------------------- */

/* What is the same for all configurations. */
static void print_heading(const struct kv_summary *summary, FILE *stream)
{
    static const struct {
        enum kv_key key;
        const char *name;
    } parts[] = {{KV_KEY_MODEL, "model"},
                 {KV_KEY_WEIGHTS, "weights"},
                 {KV_KEY_GEMM, "gemm"},
                 {KV_KEY_ISA, "isa"},
                 {KV_KEY_THREADS, "threads"}};
    const char *separator = "";
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const char *value = summary->configurations[0].keys[parts[i].key];
        if (!*value || kv_key_varies(summary, NULL, parts[i].key))
            continue;
        fprintf(stream, "%s%s %s", separator, parts[i].name, value);
        separator = ", ";
    }
    fputs("\nFigures are medians of n repetitions, MiB their maximum; +- is half the 95 % bootstrap interval of the "
          "figure before it,\nin percent of it; % of limit is how close a step comes to what this machine's memory and "
          "cores allow (above 100: the\ncaches hold what it needs).\n",
          stream);
}

static bool is_first_of_suite(const struct kv_summary *summary, size_t index)
{
    for (size_t i = 0; i < index; i++)
        if (kv_configuration_is(&summary->configurations[i], KV_KEY_SUITE,
                                summary->configurations[index].keys[KV_KEY_SUITE]))
            return false;
    return true;
}

static size_t count(const struct kv_summary *summary, enum kv_configuration_status status)
{
    size_t n = 0;
    for (size_t i = 0; i < summary->n_configurations; i++)
        n += summary->configurations[i].status == status;
    return n;
}

static void print_incomplete(const struct kv_summary *summary, FILE *stream)
{
    const size_t n_failed = count(summary, KV_CONFIGURATION_FAILED),
                 n_skipped = count(summary, KV_CONFIGURATION_SKIPPED);
    if (n_failed + n_skipped)
        fprintf(stream, "\nOf %zu configurations %zu failed and %zu %s skipped: the reasons stand in the tables.\n",
                summary->n_configurations, n_failed, n_skipped, n_skipped == 1 ? "was" : "were");
}

void kv_summary_print(const struct kv_summary *summary, FILE *stream)
{
    if (!summary->n_configurations) {
        fputs("Nothing was measured.\n", stream);
        return;
    }
    print_heading(summary, stream);
    for (size_t i = 0; i < summary->n_configurations; i++)
        if (is_first_of_suite(summary, i))
            print_table(summary, i, stream);
    print_incomplete(summary, stream);
    if (summary->n_findings)
        fputs("\nFindings\n", stream);
    for (size_t i = 0; i < summary->n_findings; i++)
        fprintf(stream, "- %s.\n", summary->findings[i]);
}
