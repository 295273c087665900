/* What a history says, as tables. */
#include "results/history.h"

#include "results/compare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

kv_status kv_history_points_table(const struct kv_history *history, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"machine", NULL, true},    {"model", NULL, true},          {"weights_source", NULL, true},
        {"cell", NULL, true},       {"metric", NULL, true},         {"run_id", NULL, true},
        {"started_s", NULL, false}, {"commit", NULL, true},         {"program", NULL, true},
        {"median", NULL, false},    {"low", NULL, false},           {"high", NULL, false},
        {"n", NULL, false},         {"floor_pct", NULL, false},     {"piece", NULL, false},
        {"limit_pct", NULL, false}, {"kv_live_bytes", NULL, false}, {"rss_peak_bytes", NULL, false},
    };
    const kv_status status = kv_table_create(table, NULL, columns, sizeof columns / sizeof *columns, error);
    for (size_t i = 0; !status && i < history->n_lines; i++) {
        const struct kv_history_line *line = &history->lines[i];
        for (size_t k = 0; k < line->n; k++) {
            const struct kv_history_point *point = &line->points[k];
            const struct kv_history_run *run = &history->runs[point->run];
            const struct kv_sample *figures = point->cell->figures, *sample = &figures[line->column];
            const enum kv_column beside[] = {KV_COLUMN_LIMIT_PCT, KV_COLUMN_KV_LIVE_BYTES, KV_COLUMN_RSS_PEAK_BYTES};
            kv_table_add_text(*table, run->machine);
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
            for (size_t c = 0; c < sizeof beside / sizeof *beside; c++)
                kv_table_add_number(*table, figures[beside[c]].n ? figures[beside[c]].median : NAN, NULL);
        }
    }
    return status;
}

/* "machine.kernel, libraries.openblas_core": what differs beside the program; "" when nothing does. */
static void name_differences(const struct kv_results *before, const struct kv_results *after, char *text, size_t size)
{
    const struct kv_compare_settings settings = {
        .metrics = {KV_COLUMN_TTPT_MS}, .n_metrics = 1, .threshold = KV_JUDGE_THRESHOLD, .by = KV_N_COLUMNS};
    struct kv_comparison *comparison;
    size_t n = 0;
    *text = '\0';
    if (kv_compare(&comparison, before, after, &settings, NULL) != KV_OK)
        return;
    for (size_t i = 0; i < comparison->n_differences; i++) {
        const char *name = comparison->differences[i].name;
        if (strcmp(name, "build.commit") != 0 && strcmp(name, "build.program") != 0 && strcmp(name, "run.seed") != 0 &&
            strcmp(name, "run.command") != 0 && n + strlen(name) + 3 < size)
            n += (size_t)snprintf(text + n, size - n, "%s%s", n ? ", " : "", name);
    }
    kv_comparison_free(comparison);
}

kv_status kv_history_steps_table(const struct kv_history *history, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"ratio", "ratio", false},     {"floor_pct", "noise, %", false}, {"verdict", "is", true},
        {"metric", "metric", true},    {"cell", "cell", true},           {"model", "model", true},
        {"commits", "commits", true},  {"run_before", "before", true},   {"run_after", "after", true},
        {"is_last", "still so", true}, {"machine", "machine", true},     {"differences", "what else differs", true},
    };
    const kv_status status = kv_table_create(table, "Steps, the worst first", columns, sizeof columns / sizeof *columns,
                                             error);
    for (size_t i = 0; !status && i < history->n_steps; i++) {
        const struct kv_history_step *step = &history->steps[i];
        const struct kv_history_line *line = &history->lines[step->line];
        const struct kv_history_point *point = &line->points[step->point];
        const struct kv_results *after = history->runs[point->run].results,
                                *before = history->runs[point[-1].run].results;
        char text[200];
        kv_table_add_number(*table, step->ratio, NULL);
        kv_table_add_number(*table, 100 * expm1(line->floor), NULL);
        kv_table_add_text(*table, step->ratio > 1 ? "slower" : "faster");
        kv_table_add_text(*table, kv_column_info(line->column)->name);
        kv_table_add_text(*table, point->cell->id);
        kv_table_add_text(*table, point->cell->texts[KV_COLUMN_MODEL]);
        snprintf(text, sizeof text, "%.12s..%.12s", before->context->commit, after->context->commit);
        kv_table_add_text(*table, text);
        kv_table_add_text(*table, before->run_id);
        kv_table_add_text(*table, after->run_id);
        kv_table_add_text(*table, step->is_last ? "yes" : "no");
        kv_table_add_text(*table, history->runs[point->run].machine);
        name_differences(before, after, text, sizeof text);
        kv_table_add_text(*table, text);
    }
    return status;
}
