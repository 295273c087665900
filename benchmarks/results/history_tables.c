/* What a history says, as tables. */
#include "results/history.h"

#include "results/compare.h"
#include "results/precision.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Points ------------------------------------------------------------------------------------------------------------ */

const enum kv_column kv_history_beside_columns[KV_HISTORY_BESIDE] = {
    KV_COLUMN_LIMIT_PCT, KV_COLUMN_KV_LIVE_BYTES, KV_COLUMN_RSS_PEAK_BYTES, KV_COLUMN_PERPLEXITY, KV_COLUMN_DIVERGENCE};

double kv_history_beside(const struct kv_history *history, const struct kv_history_point *point, int which)
{
    const enum kv_column column = kv_history_beside_columns[which];
    const bool is_quality = column == KV_COLUMN_PERPLEXITY || column == KV_COLUMN_DIVERGENCE;
    const struct kv_cell_results *cell = point->cell;
    if (is_quality && !history->runs[point->run].has_quality)
        return NAN; /* a search through all cells a point would take longest of all */
    if (is_quality)
        cell = cell->file == KV_FILE_RUNS ? kv_quality_beside(history->runs[point->run].results, cell) : NULL;
    return cell && cell->figures[column].n ? cell->figures[column].median : NAN;
}

kv_status kv_history_points_table(const struct kv_history *history, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"machine", NULL, true},
        {"configuration", NULL, true},
        {"model", NULL, true},
        {"weights_source", NULL, true},
        {"cell", NULL, true},
        {"metric", NULL, true},
        {"run_id", NULL, true},
        {"started_s", NULL, false},
        {"commit", NULL, true},
        {"program", NULL, true},
        {"median", NULL, false},
        {"low", NULL, false},
        {"high", NULL, false},
        {"n", NULL, false},
        {"floor_pct", NULL, false},
        {"piece", NULL, false},
        {"limit_pct", NULL, false},
        {"kv_live_bytes", NULL, false},
        {"rss_peak_bytes", NULL, false},
        {"perplexity", NULL, false},
        {"divergence", NULL, false},
    };
    const kv_status status = kv_table_create(table, NULL, columns, sizeof columns / sizeof *columns, error);
    for (size_t i = 0; !status && i < history->n_lines; i++) {
        const struct kv_history_line *line = &history->lines[i];
        for (size_t k = 0; k < line->n; k++) {
            const struct kv_history_point *point = &line->points[k];
            const struct kv_history_run *run = &history->runs[point->run];
            const struct kv_sample *sample = &point->cell->figures[line->column];
            char configuration[17];
            snprintf(configuration, sizeof configuration, "%016" PRIx64, line->configuration);
            kv_table_add_text(*table, run->machine);
            kv_table_add_text(*table, configuration);
            kv_table_add_text(*table, point->cell->texts[KV_COLUMN_MODEL]);
            kv_table_add_text(*table, point->cell->texts[KV_COLUMN_WEIGHTS_SOURCE]);
            kv_table_add_text(*table, point->cell->id);
            kv_table_add_text(*table, kv_column_info(line->column)->name);
            kv_table_add_text(*table, run->results->run_id);
            kv_table_add_number(*table, run->results->started_s, NULL);
            kv_table_add_text(*table, run->results->context->commit);
            kv_table_add_text(*table, run->program);
            kv_table_add_number(*table, sample->median, NULL);
            kv_table_add_number(*table, sample->interval.low, NULL);
            kv_table_add_number(*table, sample->interval.high, NULL);
            kv_table_add_number(*table, (double)sample->n, NULL);
            kv_table_add_number(*table, 100 * expm1(line->floor), NULL);
            kv_table_add_number(*table, point->piece, NULL);
            for (int c = 0; c < KV_HISTORY_BESIDE; c++)
                kv_table_add_number(*table, kv_history_beside(history, point, c), NULL);
        }
    }
    return status;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------------- */

/* What is another in every run, or is told beside it. */
static bool is_of_program(const char *name)
{
    static const char *const names[] = {"build.commit", "build.program", "run.seed", "run.command"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

const char *kv_history_differences(const struct kv_history *history, const struct kv_history_step *step, char *text,
                                   size_t size)
{
    static const struct kv_compare_settings settings = {
        .metrics = {KV_COLUMN_TTPT_MS}, .n_metrics = 1, .threshold = KV_JUDGE_THRESHOLD, .by = KV_N_COLUMNS};
    const struct kv_history_point *point = &history->lines[step->line].points[step->point];
    struct kv_comparison *comparison;
    size_t n = 0;
    *text = '\0';
    if (kv_compare(&comparison, history->runs[point[-1].run].results, history->runs[point->run].results, &settings,
                   NULL) != KV_OK)
        return text;
    for (size_t i = 0; i < comparison->n_differences; i++) {
        const struct kv_difference *d = &comparison->differences[i];
        if (!is_of_program(d->name) && n + strlen(d->name) + strlen(d->base) + strlen(d->other) + 8 < size)
            n += (size_t)snprintf(text + n, size - n, "%s%s %s -> %s", n ? "; " : "", d->name, d->base, d->other);
    }
    kv_comparison_free(comparison);
    return text;
}

void kv_history_extremes(const struct kv_history *history, size_t *n_worst, size_t *n_best)
{
    enum { MOST = 5 };
    size_t n_slower = 0;
    while (n_slower < history->n_steps && history->steps[n_slower].ratio > 1)
        n_slower++;
    const size_t n_faster = history->n_steps - n_slower;
    *n_worst = n_slower < MOST ? n_slower : MOST;
    *n_best = n_faster < MOST ? n_faster : MOST;
}

kv_status kv_history_steps_table(const struct kv_history *history, size_t from, size_t to, struct kv_table **table,
                                 struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"ratio", "ratio", false},     {"verdict", "is", true},
        {"commits", "commits", true},  {"differences", "what else differs", true},
        {"metric", "metric", true},    {"cell", "cell", true},
        {"model", "model", true},      {"floor_pct", "noise, %", false},
        {"is_last", "still so", true}, {"run_before", "before", true},
        {"run_after", "after", true},  {"machine", "machine", true},
    };
    const kv_status status = kv_table_create(table, "Changes, the worst first", columns,
                                             sizeof columns / sizeof *columns, error);
    for (size_t i = from; !status && i < to; i++) {
        const struct kv_history_step *step = &history->steps[i];
        const struct kv_history_line *line = &history->lines[step->line];
        const struct kv_history_point *point = &line->points[step->point];
        const struct kv_results *after = history->runs[point->run].results,
                                *before = history->runs[point[-1].run].results;
        char text[600];
        kv_table_add_number(*table, step->ratio, NULL);
        kv_table_add_text(*table, step->ratio > 1 ? "slower" : "faster");
        snprintf(text, sizeof text, "%.12s..%.12s", before->context->commit, after->context->commit);
        kv_table_add_text(*table, text);
        kv_table_add_text(*table, kv_history_differences(history, step, text, sizeof text));
        kv_table_add_text(*table, kv_column_info(line->column)->name);
        kv_table_add_text(*table, point->cell->id);
        kv_table_add_text(*table, point->cell->texts[KV_COLUMN_MODEL]);
        kv_table_add_number(*table, 100 * expm1(line->floor), NULL);
        kv_table_add_text(*table, step->is_last ? "yes" : "no");
        kv_table_add_text(*table, before->run_id);
        kv_table_add_text(*table, after->run_id);
        kv_table_add_text(*table, history->runs[point->run].machine);
    }
    return status;
}
