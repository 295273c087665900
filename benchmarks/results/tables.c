/* The tables of a run for people: one a suite, and kernels. */
#include "results/table.h"

#include "base/error.h"
#include "results/findings.h"
#include "results/precision.h"
#include "results/speculation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB         (1024.0 * 1024.0)
#define MAX_COLUMNS 24

enum kind {
    KIND_END,
    KIND_KEY,
    KIND_MEDIAN,
    KIND_INTERVAL, /* median; on the page with its interval */
    KIND_FIGURE,   /* the same; on a terminal followed by */
    KIND_SPREAD,   /* half the interval, in percent of the median */
    KIND_MIB,      /* the largest value */
    KIND_SHARE,    /* of the limit: the median of those that have one */
    KIND_SPEED,    /* of a step, against the naive path */
    KIND_GROWTH,
    KIND_SLOPE,
    KIND_BETWEEN,    /* a value; on the page with its interval, which the next two columns are */
    KIND_VARIANT,    /* what fewer bits gain and cost: kv_table_add_variant */
    KIND_SPECULATED, /* what drafts gain: kv_table_add_speculated */
    KIND_SHAPE,      /* of a kernel */
    KIND_SIZE,       /* likewise */
    KIND_COUNT,      /* of repetitions */
    ON_PAGE = 64,    /* added: and not on a terminal */
};

struct shown {
    int kind; /* enum kind */
    enum kv_column column;
    const char *heading;
};

/* What a suite's table shows; keys come first. Keys that are not named but vary in the suite are put before them. */
static const struct layout {
    const char *suite;
    const char *title;
    struct shown columns[MAX_COLUMNS];
} layouts[] = {
    {"batch",
     "Batch size",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_FIGURE, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT (TPOT) ms"},
      {KIND_INTERVAL, KV_COLUMN_DECODE_TOK_S, "decode tok/s"},
      {KIND_SPEED | ON_PAGE, KV_COLUMN_TTPT_MS, "speed, × naive"},
      {KIND_INTERVAL | ON_PAGE, KV_COLUMN_OUTPUT_TOK_S, "output tok/s"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_SHARE, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"trace",
     "One long generation",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_INTERVAL, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT (TPOT) ms"},
      {KIND_SPEED | ON_PAGE, KV_COLUMN_TTPT_MS, "speed, × naive"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P50_MS, "p50 ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P95_MS, "p95 ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P99_MS, "p99 ms"},
      {KIND_GROWTH | ON_PAGE, KV_COLUMN_LATENCY_NS, "growth ×"},
      {KIND_SLOPE, KV_COLUMN_LATENCY_NS, "slope us/token"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"grid",
     "Batch and length",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_FIGURE, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "step ms"},
      {KIND_SPEED | ON_PAGE, KV_COLUMN_TTPT_MS, "speed, × naive"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"depth",
     "Context",
     {{KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "step ms"},
      {KIND_SPEED | ON_PAGE, KV_COLUMN_TTPT_MS, "speed, × naive"},
      {KIND_MEDIAN | ON_PAGE, KV_COLUMN_LIMIT_MS, "limit ms"},
      {KIND_SHARE, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"memory",
     "Memory",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "live MiB"},
      {KIND_MIB, KV_COLUMN_KV_RESERVED_BYTES, "reserved MiB"},
      {KIND_MIB, KV_COLUMN_RSS_PEAK_BYTES, "RSS MiB"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"precision",
     "Fewer bits",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_WEIGHTS, "weights"},
      {KIND_KEY, KV_COLUMN_KV, "kv"},
      {KIND_INTERVAL, KV_COLUMN_PREFILL_TOK_S, "prefill tok/s"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT (TPOT) ms"},
      {KIND_VARIANT, KV_COLUMN_DECODE_TOK_S, "speed, × f32"},
      {KIND_VARIANT, KV_COLUMN_BYTES, "bound"},
      {KIND_VARIANT, KV_COLUMN_LIMIT_PCT, "% of bound"},
      {KIND_VARIANT, KV_COLUMN_KV_LIVE_BYTES, "KV B/token"},
      {KIND_VARIANT, KV_COLUMN_DIVERGENCE, "divergence"},
      {KIND_VARIANT, KV_COLUMN_TOP_AGREEMENT_PCT, "same top %"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"paged",
     "Blocks",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_CACHE, "cache"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "step ms"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "live MiB"},
      {KIND_MIB, KV_COLUMN_KV_RESERVED_BYTES, "reserved MiB"},
      {KIND_MEDIAN, KV_COLUMN_HELD_SEQUENCES, "mixed lengths that fit"},
      {KIND_SHARE, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"prefix",
     "Shared prefix",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_PROMPT_TOKENS, "prompt"},
      {KIND_KEY, KV_COLUMN_PREFIX_TOKENS, "shared"},
      {KIND_KEY, KV_COLUMN_CACHE, "cache"},
      {KIND_FIGURE, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"quality",
     "What fewer bits cost",
     {{KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_WEIGHTS, "weights"},
      {KIND_KEY, KV_COLUMN_KV, "kv"},
      {KIND_BETWEEN, KV_COLUMN_DIVERGENCE, "divergence, nats"},
      {KIND_BETWEEN, KV_COLUMN_DIVERGENCE_P99, "p99"},
      {KIND_MEDIAN, KV_COLUMN_DIVERGENCE_LARGEST, "largest"},
      {KIND_BETWEEN, KV_COLUMN_TOP_AGREEMENT_PCT, "same top token, %"},
      {KIND_BETWEEN, KV_COLUMN_PERPLEXITY_RATIO, "perplexity, × f32"},
      {KIND_BETWEEN | ON_PAGE, KV_COLUMN_PERPLEXITY, "perplexity"},
      {KIND_MEDIAN, KV_COLUMN_KV_TOKEN_BYTES, "KV B/token"},
      {KIND_MEDIAN, KV_COLUMN_SCORED_TOKENS, "tokens"}}},
    {"window",
     "Fewer positions",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_CACHE, "cache"},
      {KIND_KEY, KV_COLUMN_KV, "kv"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_VARIANT, KV_COLUMN_DECODE_TOK_S, "speed, × all f32"},
      {KIND_VARIANT, KV_COLUMN_BYTES, "bound"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_VARIANT, KV_COLUMN_DIVERGENCE, "divergence"},
      {KIND_VARIANT, KV_COLUMN_TOP_AGREEMENT_PCT, "same top %"},
      {KIND_VARIANT, KV_COLUMN_PERPLEXITY_RATIO, "perplexity, × all f32"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"speculate",
     "Drafts of several tokens",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_SPECULATE, "speculate"},
      {KIND_MEDIAN, KV_COLUMN_ACCEPTANCE, "stays"},
      {KIND_MEDIAN, KV_COLUMN_STEP_TOKENS, "tokens a step"},
      {KIND_SPECULATED, KV_COLUMN_STEP_TOKENS, "foretold"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_SPECULATED, KV_COLUMN_TTPT_MS, "speed, × plain"},
      {KIND_SPECULATED, KV_COLUMN_DECODE_TOK_S, "foretold"},
      {KIND_SPECULATED, KV_COLUMN_VERIFY_MS, "verifying, plain steps"},
      {KIND_SPECULATED, KV_COLUMN_DRAFT_MS, "drafting"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"copy",
     "Copying with edits, a text that is given",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_EDIT_EVERY, "edit every"},
      {KIND_KEY, KV_COLUMN_SPECULATE, "speculate"},
      {KIND_MEDIAN, KV_COLUMN_ACCEPTANCE, "stays"},
      {KIND_MEDIAN, KV_COLUMN_STEP_TOKENS, "tokens a step"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_SPECULATED, KV_COLUMN_TTPT_MS, "speed, × plain"},
      {KIND_SPECULATED, KV_COLUMN_DECODE_TOK_S, "foretold"},
      {KIND_SPECULATED, KV_COLUMN_VERIFY_MS, "verifying, plain steps"},
      {KIND_SPECULATED, KV_COLUMN_DRAFT_MS, "drafting"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"overflow",
     "Past the window",
     {{KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "text"},
      {KIND_KEY, KV_COLUMN_CACHE, "cache"},
      {KIND_KEY, KV_COLUMN_OVERFLOW, "overflow"},
      {KIND_FIGURE, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P50_MS, "p50 ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P99_MS, "p99 ms"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_BETWEEN | ON_PAGE, KV_COLUMN_PERPLEXITY, "perplexity"},
      {KIND_BETWEEN, KV_COLUMN_PERPLEXITY_RATIO, "perplexity, × recompute"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"kernels", /* on the page; a terminal has tables of its own */
     "Kernels alone",
     {{KIND_SHAPE, KV_COLUMN_SHAPE, "kernel"},
      {KIND_KEY, KV_COLUMN_GEMM, "gemm"},
      {KIND_KEY, KV_COLUMN_ISA, "isa"},
      {KIND_SIZE, KV_COLUMN_ROWS, "size"},
      {KIND_INTERVAL, KV_COLUMN_GFLOPS, "GFLOPS"},
      {KIND_INTERVAL, KV_COLUMN_GBYTES_S, "GB/s"},
      {KIND_SHARE, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
}; /* a suite without a row gets the first one */

static const struct shown optional[] = {
    {KIND_KEY, KV_COLUMN_ENGINE, "engine"},       {KIND_KEY, KV_COLUMN_WEIGHTS, "weights"},
    {KIND_KEY, KV_COLUMN_CACHE, "cache"},         {KIND_KEY, KV_COLUMN_KV, "kv"},
    {KIND_KEY, KV_COLUMN_GEMM, "gemm"},           {KIND_KEY, KV_COLUMN_ISA, "isa"},
    {KIND_KEY, KV_COLUMN_THREADS, "threads"},     {KIND_KEY, KV_COLUMN_CHUNK, "chunk"},
    {KIND_KEY, KV_COLUMN_SPECULATE, "speculate"}, {KIND_KEY, KV_COLUMN_OVERFLOW, "overflow"},
    {KIND_KEY, KV_COLUMN_BATCH, "batch"},         {KIND_KEY, KV_COLUMN_PROMPT_TOKENS, "prompt"},
    {KIND_KEY, KV_COLUMN_NEW_TOKENS, "new"},
};

/* ---- A suite's table --------------------------------------------------------------------------------------------- */

static const struct layout *layout_of(const char *suite)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (strcmp(layouts[i].suite, suite) == 0)
            return &layouts[i];
    return &layouts[0];
}

static bool shows(const struct shown *columns, enum kv_column key)
{
    for (; columns->kind; columns++)
        if (columns->kind == KIND_KEY && columns->column == key)
            return true;
    return false;
}

/* Returns how many columns there are. */
static int choose_columns(const struct kv_results *results, const char *suite, bool page, struct shown *chosen)
{
    const struct shown *columns = layout_of(suite)->columns;
    int n = 0;
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        /* context and new tokens tell the prompt */
        const bool implied = optional[i].column == KV_COLUMN_PROMPT_TOKENS && shows(columns, KV_COLUMN_CONTEXT_TOKENS);
        if (!shows(columns, optional[i].column) && !implied && kv_column_varies(results, suite, optional[i].column))
            chosen[n++] = optional[i];
    }
    for (; columns->kind; columns++) {
        const struct shown column = {columns->kind & ~ON_PAGE, columns->column, columns->heading};
        if (columns->kind == column.kind || page)
            chosen[n++] = column;
        if (column.kind == KIND_FIGURE && !page)
            chosen[n++] = (struct shown){KIND_SPREAD, column.column, "+- %"};
    }
    return n;
}

static double largest(const struct kv_sample *sample)
{
    return sample->n ? sample->values[sample->n - 1] : NAN;
}

void kv_table_add_key(struct kv_table *table, const struct kv_cell_results *cell, enum kv_column column)
{
    if (kv_column_info(column)->type == KV_TYPE_TEXT)
        kv_table_add_text(table, cell->texts[column]);
    else
        kv_table_add_number(table, cell->numbers[column], *cell->texts[column] ? cell->texts[column] : "-");
}

void kv_table_add_interval(struct kv_table *table, double value, struct kv_stats_interval interval)
{
    char text[4 * KV_NUMBER_SIZE], middle[KV_NUMBER_SIZE], low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    snprintf(text, sizeof text, "%s (%s to %s)", kv_number_text(value, middle, sizeof middle),
             kv_number_text(interval.low, low, sizeof low), kv_number_text(interval.high, high, sizeof high));
    kv_table_add_number(table, value, isnan(interval.low) ? NULL : text);
}

/* "attention, decode", or a product's name; "1 × 2304 × 768", or "context 64". */
static void add_kernel(struct kv_table *table, const struct kv_cell_results *cell, int kind)
{
    const bool product = kv_cell_is(cell, KV_COLUMN_KERNEL, "matmul");
    const char *const *texts = cell->texts;
    char text[128];
    if (kind == KIND_SHAPE)
        snprintf(text, sizeof text, "%s%s", product ? "" : "attention, ", texts[KV_COLUMN_SHAPE]);
    else if (product)
        snprintf(text, sizeof text, "%s × %s × %s", texts[KV_COLUMN_ROWS], texts[KV_COLUMN_N], texts[KV_COLUMN_K]);
    else
        snprintf(text, sizeof text, "context %s", texts[KV_COLUMN_CONTEXT_TOKENS]);
    if (kind == KIND_SHAPE)
        kv_table_add_text(table, text);
    else
        kv_table_add_number(table, cell->numbers[product ? KV_COLUMN_ROWS : KV_COLUMN_CONTEXT_TOKENS], text);
}

static kv_status add_speed(struct kv_table *table, const struct kv_results *results, const struct kv_cell_results *cell,
                           struct kv_error *error)
{
    struct kv_judgement j;
    const kv_status status = kv_results_speed(results, cell, &j, error);
    if (!status)
        kv_table_add_interval(table, j.speed, j.interval);
    return status;
}

static void add_spread(struct kv_table *table, const struct kv_sample *sample)
{
    char text[KV_NUMBER_SIZE];
    const double spread = 100 * (sample->interval.high - sample->interval.low) / (2 * sample->median);
    snprintf(text, sizeof text, "%.*f", spread < 99.95 ? 1 : 0, spread);
    kv_table_add_number(table, spread, isnan(spread) ? NULL : text);
}

/* How many times as long the last quarter of a generation takes as the first. */
static kv_status add_growth(struct kv_table *table, const struct kv_cell_results *cell, struct kv_error *error)
{
    struct kv_judgement j;
    const struct kv_sample *tokens = cell->token_figures;
    const kv_status status = kv_judge_samples(&tokens[KV_TOKEN_EARLY_NS], &tokens[KV_TOKEN_LATE_NS], false,
                                              KV_JUDGE_THRESHOLD, &j, error);
    if (!status)
        kv_table_add_interval(table, j.ratio, j.interval);
    return status;
}

/* "86.4 (4 of 6)" where some repetitions have no share of the limit. */
static void add_share(struct kv_table *table, const struct kv_cell_results *cell)
{
    const struct kv_sample *share = &cell->figures[KV_COLUMN_LIMIT_PCT];
    char text[2 * KV_NUMBER_SIZE], number[KV_NUMBER_SIZE];
    const double median = share->n ? share->median : NAN;
    snprintf(text, sizeof text, "%s (%zu of %zu)", kv_number_text(median, number, sizeof number), share->n,
             share->n + cell->n_faults);
    kv_table_add_number(table, median, cell->n_faults ? text : NULL);
}

static kv_status add_shown(struct kv_table *table, const struct kv_results *results, const struct kv_cell_results *cell,
                           const struct shown *column, bool page, struct kv_error *error)
{
    const struct kv_sample *sample = column->kind == KIND_SLOPE ? &cell->token_figures[KV_TOKEN_SLOPE_US]
                                                                : &cell->figures[column->column];
    char text[KV_NUMBER_SIZE];
    switch (column->kind) {
    case KIND_KEY:
        kv_table_add_key(table, cell, column->column);
        break;
    case KIND_SHAPE:
    case KIND_SIZE:
        add_kernel(table, cell, column->kind);
        break;
    case KIND_COUNT:
        snprintf(text, sizeof text, "%zu", cell->n);
        kv_table_add_number(table, (double)cell->n, text);
        break;
    case KIND_SPEED:
        return add_speed(table, results, cell, error);
    case KIND_GROWTH:
        return add_growth(table, cell, error);
    case KIND_SHARE:
        add_share(table, cell);
        break;
    case KIND_VARIANT:
        return kv_table_add_variant(table, results, cell, column->column, page, error);
    case KIND_SPECULATED:
        return kv_table_add_speculated(table, results, cell, column->column, page, error);
    case KIND_BETWEEN:
        kv_table_add_between(table, cell, column->column, page);
        break;
    case KIND_SPREAD:
        add_spread(table, sample);
        break;
    case KIND_MIB:
        kv_table_add_number(table, largest(sample) / MIB, NULL);
        break;
    default:
        if (page && column->kind != KIND_MEDIAN)
            kv_table_add_interval(table, sample->n ? sample->median : NAN, sample->interval);
        else
            kv_table_add_number(table, sample->n ? sample->median : NAN, NULL);
    }
    return KV_OK;
}

static const char *reason_text(const struct kv_cell_results *cell, char *text, size_t size)
{
    char after[48] = "";
    if (cell->n)
        snprintf(after, sizeof after, " after %zu repetition%s", cell->n, cell->n == 1 ? "" : "s");
    snprintf(text, size, "%s%s: %s", kv_cell_status_name(cell->status), after,
             *cell->error ? cell->error : "no reason was given");
    return text;
}

/* "Suite batch: 21 prompt tokens, 50 new tokens", or for the page "Batch size (suite batch, 21 prompt tokens, ..)". */
static void suite_title(const struct kv_results *results, const struct kv_cell_results *first, bool page, char *title,
                        size_t size)
{
    const char *suite = first->texts[KV_COLUMN_SUITE], *separator = page ? ", " : ": ";
    const struct layout *layout = layout_of(suite);
    const char *name = strcmp(layout->suite, suite) == 0 ? layout->title : suite;
    int used = page ? snprintf(title, size, "%s (suite %s", name, suite) : snprintf(title, size, "Suite %s", suite);
    for (int i = 0; i < 2 && used < (int)size; i++) {
        const enum kv_column column = i ? KV_COLUMN_NEW_TOKENS : KV_COLUMN_PROMPT_TOKENS;
        if (kv_column_varies(results, suite, column) || !*first->texts[column])
            continue;
        used += snprintf(title + used, size - (size_t)used, "%s%s %s token%s", separator, first->texts[column],
                         i ? "new" : "prompt", kv_cell_is(first, column, "1") ? "" : "s");
        separator = ", ";
    }
    if (page && used < (int)size)
        snprintf(title + used, size - (size_t)used, "%s)",
                 first->file == KV_FILE_KERNELS ? ", size is rows × n × k of a product" : "");
}

static const char *column_name(const struct shown *column, char *name, size_t size)
{
    snprintf(name, size, "%s%s",
             column->kind == KIND_COUNT        ? "n"
             : column->kind == KIND_SPEED      ? "speed"
             : column->kind == KIND_GROWTH     ? "growth"
             : column->kind == KIND_SLOPE      ? "slope_us"
             : column->kind == KIND_VARIANT    ? kv_variant_column_name(column->column)
             : column->kind == KIND_SPECULATED ? kv_speculated_column_name(column->column)
                                               : kv_column_info(column->column)->name,
             column->kind == KIND_SPREAD ? "_spread_pct" : "");
    return name;
}

static kv_status add_cell(struct kv_table *table, const struct kv_results *results, const struct kv_cell_results *cell,
                          const struct shown *chosen, int n, bool page, struct kv_error *error)
{
    char reason[512];
    kv_status status = KV_OK;
    for (int i = 0; i < n && !status; i++) {
        const bool key = chosen[i].kind == KIND_KEY || chosen[i].kind == KIND_SHAPE || chosen[i].kind == KIND_SIZE;
        if (cell->status != KV_CELL_OK && !key) {
            kv_table_add_note(table, reason_text(cell, reason, sizeof reason));
            break;
        }
        status = add_shown(table, results, cell, &chosen[i], page, error);
    }
    return status;
}

static kv_status suite_table(const struct kv_results *results, const struct kv_cell_results *first, bool page,
                             struct kv_table **table, struct kv_error *error)
{
    const char *suite = first->texts[KV_COLUMN_SUITE];
    char title[192], names[MAX_COLUMNS][64];
    struct shown chosen[MAX_COLUMNS];
    struct kv_table_column columns[MAX_COLUMNS];
    const int n = choose_columns(results, suite, page, chosen);
    for (int i = 0; i < n; i++) {
        const bool is_text = kv_column_info(chosen[i].column)->type == KV_TYPE_TEXT;
        const char *const heading = page && chosen[i].kind == KIND_SLOPE ? "slope µs/token" : chosen[i].heading;
        columns[i] = (struct kv_table_column){column_name(&chosen[i], names[i], sizeof names[i]), heading,
                                              is_text && (chosen[i].kind == KIND_KEY || chosen[i].kind == KIND_SHAPE)};
    }
    suite_title(results, first, page, title, sizeof title);
    kv_status status = kv_table_create(table, title, columns, n, error);
    for (size_t k = 0; !status && k < results->n_cells; k++)
        if (results->cells[k].file == first->file && kv_cell_is(&results->cells[k], KV_COLUMN_SUITE, suite))
            status = add_cell(*table, results, &results->cells[k], chosen, n, page, error);
    if (status) {
        kv_table_free(*table);
        *table = NULL;
    }
    return status;
}

/* The first cell of suite `index`, NULL past the last. */
static const struct kv_cell_results *first_of_suite(const struct kv_results *results, bool page, int index)
{
    for (size_t i = 0; i < results->n_cells; i++) {
        bool seen = results->cells[i].file == KV_FILE_KERNELS && !page;
        for (size_t k = 0; !seen && k < i; k++)
            seen = kv_cell_is(&results->cells[k], KV_COLUMN_SUITE, results->cells[i].texts[KV_COLUMN_SUITE]);
        if (!seen && index-- == 0)
            return &results->cells[i];
    }
    return NULL;
}

/* ---- Kernels ----------------------------------------------------------------------------------------------------- */

/* Columns of a table of kernels: the first size, the last, and others evenly between. */
#define MAX_SIZES 5

static bool is_of(const struct kv_cell_results *cell, const char *kernel)
{
    return cell->file == KV_FILE_KERNELS && kv_cell_is(cell, KV_COLUMN_KERNEL, kernel);
}

/* Returns how many there are. */
static int choose_sizes(const struct kv_results *results, const char *kernel, enum kv_column column, double *sizes)
{
    double all[256];
    int n_all = 0, n = 0;
    for (size_t i = 0; i < results->n_cells; i++) {
        const double size = results->cells[i].numbers[column];
        int at = 0;
        if (!is_of(&results->cells[i], kernel) || isnan(size))
            continue;
        while (at < n_all && all[at] != size)
            at++;
        if (at == n_all && n_all < 256)
            all[n_all++] = size;
    }
    kv_stats_sort(all, (size_t)n_all);
    const int n_columns = n_all < MAX_SIZES ? n_all : MAX_SIZES;
    for (; n < n_columns; n++)
        sizes[n] = all[n_columns > 1 ? n * (n_all - 1) / (n_columns - 1) : 0];
    return n;
}

static void add_rate(struct kv_table *table, const struct kv_cell_results *cell, bool bytes)
{
    char text[KV_NUMBER_SIZE];
    const struct kv_sample *rate = cell ? &cell->figures[bytes ? KV_COLUMN_GBYTES_S : KV_COLUMN_GFLOPS] : NULL;
    if (!rate || !rate->n) {
        kv_table_add_number(table, NAN, "-");
        return;
    }
    const struct kv_sample *share = &cell->figures[KV_COLUMN_LIMIT_PCT];
    if (share->n)
        snprintf(text, sizeof text, "%.1f %3.0f %%", rate->median, share->median);
    else
        snprintf(text, sizeof text, "%.1f     -", rate->median);
    kv_table_add_number(table, rate->median, text);
}

static void add_line(struct kv_table *table, const struct kv_results *results, size_t first, kv_column_set line,
                     bool products, enum kv_column column, const double *sizes, int n_sizes)
{
    const struct kv_cell_results *cells = results->cells, *of = &cells[first];
    /* One query does so little arithmetic that only the reading of keys and values says anything. */
    const bool bytes = kv_cell_is(of, KV_COLUMN_SHAPE, "decode");
    kv_table_add_text(table, of->texts[KV_COLUMN_SHAPE]);
    kv_table_add_text(table, of->texts[products ? KV_COLUMN_GEMM : KV_COLUMN_CACHE]);
    kv_table_add_text(table, of->texts[products ? KV_COLUMN_WEIGHTS : KV_COLUMN_KV]);
    kv_table_add_text(table, of->texts[KV_COLUMN_ISA]);
    kv_table_add_key(table, of, KV_COLUMN_THREADS);
    kv_table_add_text(table, bytes ? "GB/s" : "GFLOPS");
    for (int i = 0; i < n_sizes; i++) {
        const struct kv_cell_results *found = NULL;
        for (size_t k = first; k < results->n_cells && !found; k++)
            if (cells[k].file == KV_FILE_KERNELS && cells[k].numbers[column] == sizes[i] &&
                kv_cells_agree(&cells[k], of, line))
                found = &cells[k];
        add_rate(table, found, bytes);
    }
}

/* *table stays NULL where the run has none. */
static kv_status kernel_table(const struct kv_results *results, bool products, struct kv_table **table,
                              struct kv_error *error)
{
    const char *kernel = products ? "matmul" : "attention";
    const enum kv_column column = products ? KV_COLUMN_ROWS : KV_COLUMN_CONTEXT_TOKENS;
    const kv_column_set line = kv_key_columns() & ~(KV_BIT(KV_COLUMN_ROWS) | KV_BIT(KV_COLUMN_CONTEXT_TOKENS));
    double sizes[MAX_SIZES];
    const int n_sizes = choose_sizes(results, kernel, column, sizes);
    if (!n_sizes)
        return KV_OK;
    char names[MAX_SIZES][32], headings[MAX_SIZES][32];
    struct kv_table_column columns[6 + MAX_SIZES] = {
        {"shape", products ? "product" : "attention", true},
        {products ? "gemm" : "cache", NULL, true},
        {products ? "weights" : "kv", NULL, true},
        {"isa", NULL, true},
        {"threads", NULL, false},
        {"unit", NULL, true},
    };
    for (int i = 0; i < n_sizes; i++) {
        snprintf(names[i], sizeof names[i], "%s_%.0f", kv_column_info(column)->name, sizes[i]);
        snprintf(headings[i], sizeof headings[i], "%s %.0f", products ? "rows" : "context", sizes[i]);
        columns[6 + i] = (struct kv_table_column){names[i], headings[i], false};
    }
    const kv_status status = kv_table_create(table,
                                             products
                                                 ? "Products alone: median rate, and its share of the machine's limit"
                                                 : "Attention alone: median rate, and its share of the machine's limit",
                                             columns, 6 + n_sizes, error);
    bool *told = calloc(results->n_cells + 1, sizeof *told);
    if (!status && !told) {
        kv_table_free(*table);
        *table = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a table: close other programs");
    }
    for (size_t i = 0; !status && i < results->n_cells; i++) {
        if (told[i] || !is_of(&results->cells[i], kernel))
            continue;
        add_line(*table, results, i, line, products, column, sizes, n_sizes);
        for (size_t k = i; k < results->n_cells; k++)
            told[k] = told[k] || (is_of(&results->cells[k], kernel) &&
                                  kv_cells_agree(&results->cells[k], &results->cells[i], line));
    }
    free(told);
    return status;
}

/* ---- The tables, one after the other ------------------------------------------------------------------------ */

kv_status kv_results_table(const struct kv_results *results, int index, enum kv_view view, struct kv_table **table,
                           struct kv_error *error)
{
    *table = NULL;
    const bool page = view == KV_VIEW_PAGE;
    if (view == KV_VIEW_FULL)
        return kv_results_full_table(results, index, table, error);
    int n_suites = 0;
    while (n_suites <= index && first_of_suite(results, page, n_suites))
        n_suites++;
    if (index < n_suites)
        return suite_table(results, first_of_suite(results, page, index), page, table, error);
    for (int products = 1, at = n_suites; !page && products >= 0; products--) {
        const kv_status status = kernel_table(results, products, table, error);
        if (status || (*table && at++ == index))
            return status;
        kv_table_free(*table);
        *table = NULL;
    }
    return KV_OK;
}
