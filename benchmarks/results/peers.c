/* Other engines against kvbench: pairs, a table, and sentences. */
#include "results/peers.h"

#include "base/error.h"
#include "results/findings.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define SUITE "batch"
#define MIB   (1024.0 * 1024.0)

/* ---- Pairs ------------------------------------------------------------------------------------------------------- */

static bool is_looked_at(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_RUNS && kv_cell_is(cell, KV_COLUMN_SUITE, SUITE) && *cell->texts[KV_COLUMN_ENGINE];
}

/* The fewer bits, the later. */
static int weights_rank(const struct kv_cell_results *cell)
{
    int rank = 0;
    while (kv_weights_choice(rank) && !kv_cell_is(cell, KV_COLUMN_WEIGHTS, kv_weights_choice(rank)->name))
        rank++;
    return rank;
}

static int compare_cells(const void *left, const void *right)
{
    static const enum kv_column sizes[] = {KV_COLUMN_THREADS, KV_COLUMN_BATCH, KV_COLUMN_PROMPT_TOKENS,
                                           KV_COLUMN_NEW_TOKENS};
    const struct kv_peer_cell *a = left, *b = right;
    const int rank_a = weights_rank(a->cell), rank_b = weights_rank(b->cell);
    if (rank_a != rank_b)
        return rank_a < rank_b ? -1 : 1;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const double x = a->cell->numbers[sizes[i]], y = b->cell->numbers[sizes[i]];
        if (x != y)
            return x < y ? -1 : 1;
    }
    if (a->is_own != b->is_own)
        return a->is_own ? -1 : 1;
    return strcmp(a->cell->id, b->cell->id);
}

/* kvbench with the peer's sizes; NULL: it was not measured there. */
static const struct kv_cell_results *own_of(const struct kv_results *results, const struct kv_cell_results *peer)
{
    const struct kv_cell_results *best = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (is_looked_at(cell) && kv_cell_is(cell, KV_COLUMN_ENGINE, KV_OWN_ENGINE) && kv_cell_is_timed(cell) &&
            kv_cells_agree(cell, peer, kv_key_columns() & ~KV_BIT(KV_COLUMN_ENGINE)) &&
            (!best || cell->figures[KV_COLUMN_TTPT_MS].median < best->figures[KV_COLUMN_TTPT_MS].median))
            best = cell;
    }
    return best;
}

kv_status kv_peers_find(const struct kv_results *results, struct kv_peer_cell **cells, size_t *n,
                        struct kv_error *error)
{
    bool any = false;
    *n = 0;
    *cells = calloc(results->n_cells + 1, sizeof **cells);
    if (!*cells)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to hold the engines against each other");
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (!is_looked_at(cell))
            continue;
        const bool is_own = kv_cell_is(cell, KV_COLUMN_ENGINE, KV_OWN_ENGINE);
        (*cells)[(*n)++] = (struct kv_peer_cell){cell, is_own ? cell : own_of(results, cell), is_own};
        any = any || !is_own;
    }
    *n = any ? *n : 0;
    qsort(*cells, *n, sizeof **cells, compare_cells);
    return KV_OK;
}

/* ---- The table --------------------------------------------------------------------------------------------------- */

static const enum kv_column compared[] = {KV_COLUMN_TTFT_MS, KV_COLUMN_TTPT_MS, KV_COLUMN_OUTPUT_TOK_S};
enum { N_COMPARED = sizeof compared / sizeof *compared };

/* "0.52 ms"; of a peer "1.52 (1.48 to 1.55)" */
static kv_status add_compared(struct kv_table *table, const struct kv_peer_cell *cell, enum kv_column column,
                              struct kv_error *error)
{
    char text[128], number[KV_NUMBER_SIZE], low[KV_NUMBER_SIZE], high[KV_NUMBER_SIZE];
    struct kv_judgement j = {.ratio = 1, .interval = {NAN, NAN}};
    kv_status status = KV_OK;
    if (cell->is_own) {
        const double median = cell->cell->figures[column].median;
        snprintf(text, sizeof text, "%s %s", kv_number_text(median, number, sizeof number),
                 kv_column_info(column)->unit);
    } else if (cell->own) {
        status = kv_judge(cell->own, cell->cell, column, KV_JUDGE_THRESHOLD, &j, error);
        snprintf(text, sizeof text, "%s", kv_number_text(j.ratio, number, sizeof number));
        if (!isnan(j.interval.low))
            snprintf(text, sizeof text, "%s (%s to %s)", number, kv_number_text(j.interval.low, low, sizeof low),
                     kv_number_text(j.interval.high, high, sizeof high));
    } else {
        j.ratio = NAN;
        snprintf(text, sizeof text, "-");
    }
    kv_table_add_number(table, j.ratio, text);
    return status;
}

static kv_status add_row(struct kv_table *table, const struct kv_peer_cell *cell, struct kv_error *error)
{
    const struct kv_sample *figures = cell->cell->figures;
    const struct kv_sample *memory = &figures[KV_COLUMN_RSS_PEAK_BYTES], *same = &figures[KV_COLUMN_SAME_TOKENS];
    char text[64];
    if (!cell->cell->n) {
        kv_table_add_note(table, *cell->cell->error ? cell->cell->error : kv_cell_status_name(cell->cell->status));
        return KV_OK;
    }
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_COMPARED; i++)
        status = add_compared(table, cell, compared[i], error);
    kv_table_add_number(table, memory->n ? memory->values[memory->n - 1] / MIB : NAN, NULL);
    kv_table_add_number(table, figures[KV_COLUMN_STARTUP_S].n ? figures[KV_COLUMN_STARTUP_S].median : NAN, NULL);
    snprintf(text, sizeof text, "%.0f of %s", same->median, cell->cell->texts[KV_COLUMN_NEW_TOKENS]);
    kv_table_add_number(table, same->n ? same->median : NAN, same->n ? text : NULL);
    return status;
}

kv_status kv_peers_table(const struct kv_results *results, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column keys[] = {{"weights", NULL, true},
                                                  {"threads", NULL, false},
                                                  {"batch", NULL, false},
                                                  {"prompt_tokens", "prompt", false},
                                                  {"engine", NULL, true}},
                                        figures[] = {{"ttft_ratio", "TTFT", false},
                                                     {"ttpt_ratio", "TTPT (TPOT)", false},
                                                     {"output_tok_s_ratio", "tokens/s", false},
                                                     {"rss_peak_mib", "peak MiB", false},
                                                     {"startup_s", "start-up s", false},
                                                     {"same_tokens", "same tokens", false}};
    enum { N_KEYS = sizeof keys / sizeof *keys, N_FIGURES = sizeof figures / sizeof *figures };
    struct kv_table_column columns[N_KEYS + N_FIGURES];
    enum kv_column shown[N_KEYS];
    struct kv_peer_cell *cells;
    size_t n;
    int n_shown = 0;
    *table = NULL;
    kv_status status = kv_peers_find(results, &cells, &n, error);
    if (status)
        return status;
    for (int i = 0; i < N_KEYS; i++) {
        const enum kv_column column = kv_column_find(keys[i].name);
        if ((column == KV_COLUMN_THREADS || column == KV_COLUMN_PROMPT_TOKENS) &&
            !kv_column_varies(results, SUITE, column))
            continue;
        columns[n_shown] = keys[i];
        shown[n_shown++] = column;
    }
    memcpy(columns + n_shown, figures, sizeof figures);
    status = kv_table_create(table, NULL, columns, n_shown + N_FIGURES, error);
    for (size_t i = 0; !status && i < n; i++) {
        for (int k = 0; k < n_shown; k++)
            kv_table_add_key(*table, cells[i].cell, shown[k]);
        status = add_row(*table, &cells[i], error);
    }
    free(cells);
    return status;
}

/* ---- Sentences --------------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 3, 4))) static void append(char *text, size_t size, const char *format, ...)
{
    va_list arguments;
    const size_t used = strlen(text);
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

static void tell_speed(const struct kv_results *results, const struct kv_peer_cell *cell, const struct kv_judgement *j,
                       char *text, size_t size)
{
    const kv_column_set said = KV_BIT(KV_COLUMN_ENGINE) | KV_BIT(KV_COLUMN_WEIGHTS);
    const bool peer_is_faster = j->speed >= 1;
    const struct kv_stats_interval of_peer = {1 / j->interval.high, 1 / j->interval.low};
    struct kv_interval_text value;
    char where[KV_WHERE_SIZE];
    kv_where_text(results, cell->cell, said, where, sizeof where);
    kv_interval_text(peer_is_faster ? j->speed : j->ratio, peer_is_faster ? of_peer : j->interval, &value);
    if (j->verdict == KV_EFFECT_EQUAL)
        append(text, size, "equally fast within %g %% at %s", 100 * KV_JUDGE_THRESHOLD, where);
    else if (j->verdict == KV_EFFECT_UNDECIDED)
        append(text, size, "not told apart yet at %s", where);
    else
        append(text, size, "%s decodes %s times as fast at %s (%s)",
               peer_is_faster ? cell->cell->texts[KV_COLUMN_ENGINE] : KV_OWN_ENGINE, value.value, where, value.range);
}

/* In float32 they are the same, or it is not timed. */
static void tell_tokens(const struct kv_cell_results *cell, char *text, size_t size)
{
    const struct kv_sample *same = &cell->figures[KV_COLUMN_SAME_TOKENS];
    const double n_new = cell->numbers[KV_COLUMN_NEW_TOKENS];
    if (weights_rank(cell) == 0 || !same->n)
        return;
    if (same->values[0] >= n_new)
        append(text, size, "; all its tokens are those of float32");
    else
        append(text, size, "; its tokens differ from those of float32 from token %.0f of %.0f on", same->values[0] + 1,
               n_new);
}

/* Of the cells from `first` on that have its weights and engine: the sentence, "" where none was measured. */
static kv_status write_sentence(const struct kv_results *results, const struct kv_peer_cell *cells, size_t n,
                                size_t first, char *text, size_t size, struct kv_error *error)
{
    const char *const *texts = cells[first].cell->texts, *separator = ": ";
    const struct kv_cell_results *measured = NULL;
    snprintf(text, size, "%s, %s", texts[KV_COLUMN_ENGINE], texts[KV_COLUMN_WEIGHTS]);
    for (size_t i = first; i < n; i++) {
        const struct kv_cell_results *cell = cells[i].cell;
        struct kv_judgement j;
        if (!cell->n || !cells[i].own || !kv_cell_is(cell, KV_COLUMN_ENGINE, texts[KV_COLUMN_ENGINE]) ||
            !kv_cell_is(cell, KV_COLUMN_WEIGHTS, texts[KV_COLUMN_WEIGHTS]))
            continue;
        const kv_status status = kv_judge(cells[i].own, cell, KV_COLUMN_TTPT_MS, KV_JUDGE_THRESHOLD, &j, error);
        if (status)
            return status;
        append(text, size, "%s", separator);
        tell_speed(results, &cells[i], &j, text, size);
        separator = "; ";
        measured = cell;
    }
    if (measured)
        tell_tokens(measured, text, size);
    else
        *text = '\0';
    return KV_OK;
}

kv_status kv_peers_tell(const struct kv_results *results, void (*tell)(void *context, const char *sentence),
                        void *context, struct kv_error *error)
{
    struct kv_peer_cell *cells;
    size_t n;
    char text[2 * KV_FINDING_SIZE];
    kv_status status = kv_peers_find(results, &cells, &n, error);
    for (size_t i = 0; !status && i < n; i++) {
        bool is_told = cells[i].is_own;
        for (size_t k = 0; k < i; k++)
            is_told = is_told || (kv_cell_is(cells[k].cell, KV_COLUMN_ENGINE, cells[i].cell->texts[KV_COLUMN_ENGINE]) &&
                                  weights_rank(cells[k].cell) == weights_rank(cells[i].cell));
        if (is_told)
            continue;
        status = write_sentence(results, cells, n, i, text, sizeof text, error);
        if (!status && *text)
            tell(context, text);
    }
    free(cells);
    return status;
}

/* ---- All of it --------------------------------------------------------------------------------------------------- */

static void print_sentence(void *stream, const char *sentence)
{
    fprintf(stream, "- %s.\n", sentence);
}

static void print_heading(const struct kv_results *results, FILE *stream)
{
    static const struct {
        enum kv_column column;
        const char *before, *after;
    } parts[] = {{KV_COLUMN_MODEL, "model ", ""},
                 {KV_COLUMN_WEIGHTS_SOURCE, "weights ", ""},
                 {KV_COLUMN_THREADS, "", " threads"},
                 {KV_COLUMN_PROMPT_TOKENS, "prompt of ", " tokens"},
                 {KV_COLUMN_NEW_TOKENS, "", " new ones"}};
    const char *separator = "";
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        if (kv_column_varies(results, SUITE, parts[i].column))
            continue;
        fprintf(stream, "%s%s%s%s", separator, parts[i].before, results->cells[0].texts[parts[i].column],
                parts[i].after);
        separator = ", ";
    }
    fprintf(stream, "\nThe machine was %s.\n", kv_steadiness(results).line);
}

kv_status kv_peers_print(const struct kv_results *results, enum kv_format format, FILE *stream, struct kv_error *error)
{
    struct kv_table *table;
    const bool is_data = kv_format_is_data(format);
    if (!results->n_cells && !is_data) {
        fputs("Nothing was measured.\n", stream);
        return KV_OK;
    }
    kv_status status = kv_peers_table(results, &table, error);
    if (status)
        return status;
    if (is_data) {
        status = kv_table_print(table, format, stream, error);
        kv_table_free(table);
        return status;
    }
    print_heading(results, stream);
    fputs("Of a peer TTFT, TTPT (TPOT) and tokens/s are multiples of kvbench's, in pairs of one round, with their 95 % "
          "interval: "
          "times above\n1 are slower, tokens/s above 1 faster.\n",
          stream);
    status = kv_table_print(table, format, stream, error);
    kv_table_free(table);
    fputs("\nFindings\n", stream);
    return status ? status : kv_peers_tell(results, print_sentence, stream, error);
}
