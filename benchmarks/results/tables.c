/* The tables of a run: one a suite and two of kernels for people, a row a cell with every figure for programs. */
#include "results/table.h"

#include "base/error.h"
#include "results/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MIB         (1024.0 * 1024.0)
#define MAX_COLUMNS 24

enum kind {
    KIND_END,
    KIND_KEY,
    KIND_MEDIAN,
    KIND_SPREAD, /* half the interval, in percent of the median */
    KIND_MIB,    /* the largest value */
    KIND_SLOPE,
    KIND_COUNT,
};

struct shown {
    enum kind kind;
    enum kv_column column;
    const char *heading;
};

/* What a suite's table shows; keys come first. Keys that are not named but vary in the suite are put before them. */
static const struct {
    const char *suite;
    struct shown columns[MAX_COLUMNS];
} layouts[] = {
    {"batch",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MEDIAN, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_SPREAD, KV_COLUMN_TTFT_MS, "+- %"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_SPREAD, KV_COLUMN_TTPT_MS, "+- %"},
      {KIND_MEDIAN, KV_COLUMN_DECODE_TOK_S, "decode tok/s"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_MEDIAN, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"trace",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MEDIAN, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_MS, "TTPT ms"},
      {KIND_SPREAD, KV_COLUMN_TTPT_MS, "+- %"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P50_MS, "p50 ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P95_MS, "p95 ms"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_P99_MS, "p99 ms"},
      {KIND_SLOPE, KV_COLUMN_LATENCY_NS, "slope us/token"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"grid",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MEDIAN, KV_COLUMN_TTFT_MS, "TTFT ms"},
      {KIND_SPREAD, KV_COLUMN_TTFT_MS, "+- %"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_MS, "step ms"},
      {KIND_SPREAD, KV_COLUMN_TTPT_MS, "+- %"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "KV MiB"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"depth",
     {{KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MEDIAN, KV_COLUMN_TTPT_MS, "step ms"},
      {KIND_SPREAD, KV_COLUMN_TTPT_MS, "+- %"},
      {KIND_MEDIAN, KV_COLUMN_LIMIT_PCT, "% of limit"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
    {"memory",
     {{KIND_KEY, KV_COLUMN_BATCH, "batch"},
      {KIND_KEY, KV_COLUMN_CONTEXT_TOKENS, "context"},
      {KIND_KEY, KV_COLUMN_PATH, "path"},
      {KIND_MIB, KV_COLUMN_KV_LIVE_BYTES, "live MiB"},
      {KIND_MIB, KV_COLUMN_KV_RESERVED_BYTES, "reserved MiB"},
      {KIND_MIB, KV_COLUMN_RSS_PEAK_BYTES, "RSS MiB"},
      {KIND_COUNT, KV_COLUMN_REPETITION, "n"}}},
}; /* a suite without a row gets the first one */

static const struct shown optional[] = {
    {KIND_KEY, KV_COLUMN_WEIGHTS, "weights"},
    {KIND_KEY, KV_COLUMN_CACHE, "cache"},
    {KIND_KEY, KV_COLUMN_KV, "kv"},
    {KIND_KEY, KV_COLUMN_GEMM, "gemm"},
    {KIND_KEY, KV_COLUMN_ISA, "isa"},
    {KIND_KEY, KV_COLUMN_THREADS, "threads"},
    {KIND_KEY, KV_COLUMN_CHUNK, "chunk"},
    {KIND_KEY, KV_COLUMN_BATCH, "batch"},
    {KIND_KEY, KV_COLUMN_PROMPT_TOKENS, "prompt"},
    {KIND_KEY, KV_COLUMN_NEW_TOKENS, "new"},
};

/* ---- A suite's table --------------------------------------------------------------------------------------------- */

static const struct shown *layout_of(const char *suite)
{
    for (size_t i = 0; i < sizeof layouts / sizeof *layouts; i++)
        if (strcmp(layouts[i].suite, suite) == 0)
            return layouts[i].columns;
    return layouts[0].columns;
}

static bool shows(const struct shown *columns, enum kv_column key)
{
    for (; columns->kind; columns++)
        if (columns->kind == KIND_KEY && columns->column == key)
            return true;
    return false;
}

/* Returns how many columns there are. */
static int choose_columns(const struct kv_results *results, const char *suite, struct shown *chosen)
{
    const struct shown *columns = layout_of(suite);
    int n = 0;
    for (size_t i = 0; i < sizeof optional / sizeof *optional; i++) {
        /* context and new tokens tell the prompt */
        const bool implied = optional[i].column == KV_COLUMN_PROMPT_TOKENS && shows(columns, KV_COLUMN_CONTEXT_TOKENS);
        if (!shows(columns, optional[i].column) && !implied && kv_column_varies(results, suite, optional[i].column))
            chosen[n++] = optional[i];
    }
    for (; columns->kind; columns++)
        chosen[n++] = *columns;
    return n;
}

static double largest(const struct kv_sample *sample)
{
    return sample->n ? sample->values[sample->n - 1] : NAN;
}

static void add_key(struct kv_table *table, const struct kv_cell_results *cell, enum kv_column column)
{
    if (kv_column_info(column)->type == KV_TYPE_TEXT)
        kv_table_add_text(table, cell->texts[column]);
    else
        kv_table_add_number(table, cell->numbers[column], *cell->texts[column] ? cell->texts[column] : "-");
}

static void add_shown(struct kv_table *table, const struct kv_cell_results *cell, const struct shown *column)
{
    const struct kv_sample *sample = &cell->figures[column->column];
    char text[KV_NUMBER_SIZE];
    const double spread = 100 * (sample->interval.high - sample->interval.low) / (2 * sample->median);
    switch (column->kind) {
    case KIND_KEY:
        add_key(table, cell, column->column);
        break;
    case KIND_COUNT:
        snprintf(text, sizeof text, "%zu", cell->n);
        kv_table_add_number(table, (double)cell->n, text);
        break;
    case KIND_SPREAD:
        snprintf(text, sizeof text, "%.*f", spread < 99.95 ? 1 : 0, spread);
        kv_table_add_number(table, spread, isnan(spread) ? NULL : text);
        break;
    case KIND_MIB:
        kv_table_add_number(table, largest(sample) / MIB, NULL);
        break;
    case KIND_SLOPE:
        sample = &cell->token_figures[KV_TOKEN_SLOPE_US];
        kv_table_add_number(table, sample->n ? sample->median : NAN, NULL);
        break;
    default:
        kv_table_add_number(table, sample->median, NULL);
    }
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

static void suite_title(const struct kv_results *results, const struct kv_cell_results *first, char *title, size_t size)
{
    const char *suite = first->texts[KV_COLUMN_SUITE], *separator = ": ";
    snprintf(title, size, "Suite %s", suite);
    for (int i = 0; i < 2; i++) {
        const enum kv_column column = i ? KV_COLUMN_NEW_TOKENS : KV_COLUMN_PROMPT_TOKENS;
        const size_t used = strlen(title);
        if (kv_column_varies(results, suite, column))
            continue;
        snprintf(title + used, size - used, "%s%s %s token%s", separator, first->texts[column], i ? "new" : "prompt",
                 kv_cell_is(first, column, "1") ? "" : "s");
        separator = ", ";
    }
}

static kv_status suite_table(const struct kv_results *results, const struct kv_cell_results *first,
                             struct kv_table **table, struct kv_error *error)
{
    const char *suite = first->texts[KV_COLUMN_SUITE];
    char title[192], names[MAX_COLUMNS][64], reason[512];
    struct shown chosen[MAX_COLUMNS];
    struct kv_table_column columns[MAX_COLUMNS];
    const int n = choose_columns(results, suite, chosen);
    for (int i = 0; i < n; i++) {
        const struct kv_column_info *info = kv_column_info(chosen[i].column);
        snprintf(names[i], sizeof names[i], "%s%s",
                 chosen[i].kind == KIND_COUNT   ? "n"
                 : chosen[i].kind == KIND_SLOPE ? "slope_us"
                                                : info->name,
                 chosen[i].kind == KIND_SPREAD ? "_spread_pct" : "");
        if (chosen[i].kind == KIND_MIB) /* "kv_live_bytes" */
            snprintf(names[i] + strlen(names[i]) - strlen("bytes"), sizeof "bytes", "mib");
        columns[i] = (struct kv_table_column){names[i], chosen[i].heading,
                                              chosen[i].kind == KIND_KEY && info->type == KV_TYPE_TEXT};
    }
    suite_title(results, first, title, sizeof title);
    const kv_status status = kv_table_create(table, title, columns, n, error);
    for (size_t k = 0; !status && k < results->n_cells; k++) {
        const struct kv_cell_results *cell = &results->cells[k];
        if (cell->file != KV_FILE_RUNS || !kv_cell_is(cell, KV_COLUMN_SUITE, suite))
            continue;
        bool noted = false;
        for (int i = 0; i < n && !noted; i++)
            if (cell->status != KV_CELL_OK && chosen[i].kind != KIND_KEY) {
                kv_table_add_note(*table, reason_text(cell, reason, sizeof reason));
                noted = true;
            } else {
                add_shown(*table, cell, &chosen[i]);
            }
    }
    return status;
}

/* The first cell of suite `index`, NULL past the last. */
static const struct kv_cell_results *first_of_suite(const struct kv_results *results, int index)
{
    for (size_t i = 0; i < results->n_cells; i++) {
        bool seen = results->cells[i].file != KV_FILE_RUNS;
        for (size_t k = 0; !seen && k < i; k++)
            seen = kv_cell_is(&results->cells[k], KV_COLUMN_SUITE, results->cells[i].texts[KV_COLUMN_SUITE]);
        if (!seen && index-- == 0)
            return &results->cells[i];
    }
    return NULL;
}

/* ---- Kernels -------------------------------------------------------------------------------------------------------
 */

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

static void add_line(struct kv_table *table, const struct kv_results *results, size_t first, uint64_t line,
                     bool products, enum kv_column column, const double *sizes, int n_sizes)
{
    const struct kv_cell_results *cells = results->cells, *of = &cells[first];
    /* One query does so little arithmetic that only the reading of keys and values says anything. */
    const bool bytes = kv_cell_is(of, KV_COLUMN_SHAPE, "decode");
    kv_table_add_text(table, of->texts[KV_COLUMN_SHAPE]);
    kv_table_add_text(table, of->texts[products ? KV_COLUMN_GEMM : KV_COLUMN_CACHE]);
    kv_table_add_text(table, of->texts[products ? KV_COLUMN_WEIGHTS : KV_COLUMN_KV]);
    kv_table_add_text(table, of->texts[KV_COLUMN_ISA]);
    add_key(table, of, KV_COLUMN_THREADS);
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
    const uint64_t line = kv_key_columns() & ~(KV_BIT(KV_COLUMN_ROWS) | KV_BIT(KV_COLUMN_CONTEXT_TOKENS));
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

/* ---- For programs
 * ---------------------------------------------------------------------------------------------------- */

static const char *const spreads[] = {"median", "mad", "cv", "low", "high"};
enum { N_SPREADS = sizeof spreads / sizeof *spreads };

static bool is_rate_or_time(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    return role == KV_ROLE_TIME || role == KV_ROLE_RATE;
}

/* A row a cell of one file: its keys, status and n, then every figure: median, spread and interval of times and rates,
 * the largest of bytes in use, the median of other sizes. */
static kv_status full_table(const struct kv_results *results, enum kv_file_kind kind, struct kv_table **table,
                            struct kv_error *error)
{
    const struct kv_file_info *file = kv_file_info(kind);
    struct kv_table_column columns[KV_N_COLUMNS * N_SPREADS];
    char names[KV_N_COLUMNS][N_SPREADS][48];
    int n = 0;
    for (int i = 0; i < file->n_columns; i++) {
        const enum kv_column c = file->columns[i];
        const struct kv_column_info *info = kv_column_info(c);
        if (c == KV_COLUMN_REPETITION)
            columns[n++] = (struct kv_table_column){"n", NULL, false};
        else if (info->role == KV_ROLE_STATE && c != KV_COLUMN_STATUS && c != KV_COLUMN_ERROR)
            continue;
        else if (!is_rate_or_time(c))
            columns[n++] = (struct kv_table_column){info->name, NULL, info->type == KV_TYPE_TEXT};
        else
            for (int s = 0; s < N_SPREADS; s++) {
                snprintf(names[c][s], sizeof names[c][s], "%s_%s", info->name, spreads[s]);
                columns[n++] = (struct kv_table_column){names[c][s], NULL, false};
            }
    }
    const kv_status status = kv_table_create(table, NULL, columns, n, error);
    for (size_t k = 0; !status && k < results->n_cells; k++) {
        const struct kv_cell_results *cell = &results->cells[k];
        if (cell->file != kind)
            continue;
        for (int i = 0; i < file->n_columns; i++) {
            const enum kv_column c = file->columns[i];
            const struct kv_column_info *info = kv_column_info(c);
            const struct kv_sample *s = &cell->figures[c];
            if (c == KV_COLUMN_CELL)
                kv_table_add_text(*table, cell->id);
            else if (c == KV_COLUMN_STATUS)
                kv_table_add_text(*table, kv_cell_status_name(cell->status));
            else if (c == KV_COLUMN_REPETITION)
                kv_table_add_number(*table, (double)cell->n, NULL);
            else if (c == KV_COLUMN_ERROR)
                kv_table_add_text(*table, cell->status == KV_CELL_OK ? "" : cell->error);
            else if (info->role == KV_ROLE_STATE)
                continue;
            else if (is_rate_or_time(c)) {
                const double values[N_SPREADS] = {s->median, s->mad, s->cv, s->interval.low, s->interval.high};
                for (int v = 0; v < N_SPREADS; v++)
                    kv_table_add_number(*table, values[v], NULL);
            } else if (info->role == KV_ROLE_SIZE)
                kv_table_add_number(*table, info->type == KV_TYPE_COUNT ? largest(s) : s->median, NULL);
            else
                add_key(*table, cell, c);
        }
    }
    return status;
}

static bool has_cells(const struct kv_results *results, enum kv_file_kind kind)
{
    for (size_t i = 0; i < results->n_cells; i++)
        if (results->cells[i].file == kind)
            return true;
    return false;
}

kv_status kv_results_table(const struct kv_results *results, int index, bool full, struct kv_table **table,
                           struct kv_error *error)
{
    *table = NULL;
    if (full) {
        static const enum kv_file_kind kinds[] = {KV_FILE_RUNS, KV_FILE_KERNELS};
        for (int i = 0; i < 2; i++)
            if (has_cells(results, kinds[i]) && index-- == 0)
                return full_table(results, kinds[i], table, error);
        return KV_OK;
    }
    int n_suites = 0;
    while (n_suites <= index && first_of_suite(results, n_suites))
        n_suites++;
    if (index < n_suites)
        return suite_table(results, first_of_suite(results, index), table, error);
    for (int products = 1, at = n_suites; products >= 0; products--) {
        const kv_status status = kernel_table(results, products, table, error);
        if (status || (*table && at++ == index))
            return status;
        kv_table_free(*table);
        *table = NULL;
    }
    return KV_OK;
}

kv_status kv_summary_write(const struct kv_results *results, struct kv_error *error)
{
    char *file;
    struct kv_table *table;
    kv_status status = full_table(results, KV_FILE_RUNS, &table, error);
    if (status)
        return status;
    if (asprintf(&file, "%s/summary.csv", results->folder) < 0) {
        kv_table_free(table);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write the summary of %s: close other programs",
                       results->folder);
    }
    status = kv_table_write(table, KV_FORMAT_CSV, file, error);
    free(file);
    kv_table_free(table);
    return status;
}

/* ---- The whole, for people
 * --------------------------------------------------------------------------------------------- */

/* What is the same for all cells. */
static void print_heading(const struct kv_results *results, FILE *stream)
{
    static const struct {
        enum kv_column column;
        const char *name;
    } parts[] = {{KV_COLUMN_MODEL, "model"}, {KV_COLUMN_WEIGHTS_SOURCE, "weights"},
                 {KV_COLUMN_WEIGHTS, "as"},  {KV_COLUMN_GEMM, "gemm"},
                 {KV_COLUMN_ISA, "isa"},     {KV_COLUMN_THREADS, "threads"}};
    const char *separator = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        const char *value = results->cells[0].texts[parts[i].column];
        if (!*value || kv_column_varies(results, NULL, parts[i].column))
            continue;
        fprintf(stream, "%s%s %s", parts[i].column == KV_COLUMN_WEIGHTS && *separator ? " " : separator, parts[i].name,
                value);
        separator = ", ";
    }
    fputc('\n', stream);
    if (has_cells(results, KV_FILE_RUNS))
        fputs("Figures are medians of n repetitions, MiB their maximum; +- is half the 95 % bootstrap interval of the "
              "figure before it,\nin percent of it; % of limit is how close a step comes to what this machine's memory "
              "and cores allow (above 100: the\ncaches hold what it needs).\n",
              stream);
}

static void print_incomplete(const struct kv_results *results, FILE *stream)
{
    size_t n[3] = {0};
    bool named = false;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        n[cell->status]++;
        if (cell->file != KV_FILE_KERNELS || cell->status == KV_CELL_OK)
            continue;
        const bool product = kv_cell_is(cell, KV_COLUMN_KERNEL, "matmul");
        fprintf(stream, "%s%s: %s, %s%s%s, %s %s: %s\n", named ? "" : "\n", kv_cell_status_name(cell->status),
                cell->texts[KV_COLUMN_SHAPE], cell->texts[KV_COLUMN_GEMM], *cell->texts[KV_COLUMN_GEMM] ? ", " : "",
                cell->texts[KV_COLUMN_ISA], product ? "rows" : "context",
                cell->texts[product ? KV_COLUMN_ROWS : KV_COLUMN_CONTEXT_TOKENS],
                *cell->error ? cell->error : "no reason was given");
        named = true;
    }
    if (n[KV_CELL_FAILED] + n[KV_CELL_SKIPPED])
        fprintf(stream, "\nOf %zu cells %zu failed and %zu %s skipped: the reasons stand in the tables.\n",
                results->n_cells, n[KV_CELL_FAILED], n[KV_CELL_SKIPPED], n[KV_CELL_SKIPPED] == 1 ? "was" : "were");
}

static kv_status print_findings(const struct kv_results *results, FILE *stream, struct kv_error *error)
{
    struct kv_finding *findings;
    size_t n;
    char text[KV_FINDING_SIZE];
    const kv_status status = kv_findings_find(results, &findings, &n, error);
    if (!status && n)
        fputs("\nFindings\n", stream);
    for (size_t i = 0; i < n; i++)
        fprintf(stream, "- %s.\n", kv_finding_text(results, &findings[i], text, sizeof text));
    free(findings);
    return status;
}

kv_status kv_results_print(const struct kv_results *results, enum kv_format format, FILE *stream,
                           struct kv_error *error)
{
    const bool data = kv_format_is_data(format);
    kv_status status = KV_OK;
    if (!results->n_cells) {
        fputs(data ? "" : "Nothing was measured.\n", stream);
        return KV_OK;
    }
    if (!data)
        print_heading(results, stream);
    for (int index = 0; !status; index++) {
        struct kv_table *table;
        status = kv_results_table(results, index, data, &table, error);
        if (!table)
            break;
        if (data && index && format != KV_FORMAT_JSON)
            fputc('\n', stream);
        status = kv_table_print(table, format, stream, error);
        kv_table_free(table);
    }
    if (data || status)
        return status;
    print_incomplete(results, stream);
    return print_findings(results, stream, error);
}

/* ---- The glossary
 * ----------------------------------------------------------------------------------------------------- */

kv_status kv_columns_table(struct kv_table **table, struct kv_error *error)
{
    static const char *const types[] = {
        [KV_TYPE_TEXT] = "text", [KV_TYPE_COUNT] = "count", [KV_TYPE_NUMBER] = "number"};
    static const struct kv_table_column columns[] = {{"name", "column", true},
                                                     {"unit", NULL, true},
                                                     {"type", NULL, true},
                                                     {"files", NULL, true},
                                                     {"meaning", NULL, true}};
    const kv_status status = kv_table_create(table, NULL, columns, 5, error);
    for (int c = 0; !status && c < KV_N_COLUMNS; c++) {
        const struct kv_column_info *info = kv_column_info((enum kv_column)c);
        char in[80] = "";
        for (int f = 0; f < KV_N_FILES; f++) {
            const struct kv_file_info *file = kv_file_info((enum kv_file_kind)f);
            for (int i = 0; i < file->n_columns; i++)
                if ((int)file->columns[i] == c)
                    snprintf(in + strlen(in), sizeof in - strlen(in), "%s%.*s", *in ? ", " : "",
                             (int)strcspn(file->name, "."), file->name);
        }
        const char *const texts[] = {info->name, info->unit, types[info->type], in, info->meaning};
        for (int i = 0; i < 5; i++)
            kv_table_add_text(*table, texts[i]);
    }
    return status;
}
