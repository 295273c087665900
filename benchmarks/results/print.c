/* A run's tables for programs, a row a cell with every figure; and the whole run, printed. */
#include "results/table.h"

#include "base/error.h"
#include "results/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- For programs ------------------------------------------------------------------------------------------------ */

static const char *const spreads[] = {"median", "mad", "cv", "low", "high"};
enum { N_SPREADS = sizeof spreads / sizeof *spreads };

static bool is_rate_or_time(enum kv_column column)
{
    const enum kv_column_role role = kv_column_info(column)->role;
    return role == KV_ROLE_TIME || role == KV_ROLE_RATE;
}

/* A row a cell of one file: its keys, status and n, then every figure: median, spread and interval of times and rates,
 * the largest of bytes in use, the median of other sizes and of what the machine could do. */
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
            } else if (info->role == KV_ROLE_SIZE || info->role == KV_ROLE_STRAIN)
                kv_table_add_number(*table,
                                    info->type == KV_TYPE_COUNT ? (s->n ? s->values[s->n - 1] : NAN) : s->median, NULL);
            else
                kv_table_add_key(*table, cell, c);
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

kv_status kv_results_full_table(const struct kv_results *results, int index, struct kv_table **table,
                                struct kv_error *error)
{
    static const enum kv_file_kind kinds[] = {KV_FILE_RUNS, KV_FILE_KERNELS, KV_FILE_QUALITY};
    *table = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (has_cells(results, kinds[i]) && index-- == 0)
            return full_table(results, kinds[i], table, error);
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

/* ---- The whole, for people --------------------------------------------------------------------------------------- */

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
    fprintf(stream, "The machine was %s.\n", kv_steadiness(results).line);
    if (has_cells(results, KV_FILE_RUNS))
        fputs("Figures are medians of n repetitions, a round each, MiB their maximum; +- is half the 95 % interval of "
              "the "
              "figure before it\nover the rounds, in percent of it; % of limit is how close a step comes to what this "
              "machine's memory and cores allowed\njust then, (4 of 6) of how many repetitions, as the others were "
              "faster "
              "than their probes.\n",
              stream);
}

static void print_incomplete(const struct kv_results *results, FILE *stream)
{
    size_t n[4] = {0};
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
        status = kv_results_table(results, index, data ? KV_VIEW_FULL : KV_VIEW_TERMINAL, &table, error);
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

/* ---- The glossary ------------------------------------------------------------------------------------------------ */

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
