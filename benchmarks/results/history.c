#include "results/history.h"

#include "base/error.h"
#include "base/random.h"
#include "results/apart.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double least_floor = 0.04879016417; /* log 1.05 */

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the history: name fewer runs");
}

/* ---- Runs -------------------------------------------------------------------------------------------------------------- */

static int compare_runs(const void *left, const void *right)
{
    const struct kv_results *a = *(struct kv_results *const *)left, *b = *(struct kv_results *const *)right;
    const double first = isnan(a->started_s) ? 0 : a->started_s, second = isnan(b->started_s) ? 0 : b->started_s;
    return first < second ? -1 : first > second ? 1 : strcmp(a->run_id, b->run_id);
}

static kv_status add_runs(struct kv_history *history, struct kv_results **runs, size_t n, struct kv_error *error)
{
    qsort(runs, n, sizeof *runs, compare_runs);
    for (size_t i = 0; i < n; i++) {
        struct kv_history_run *run = &history->runs[history->n_runs++];
        const struct kv_context_facts *facts = runs[i]->context;
        run->results = runs[i];
        runs[i] = NULL;
        run->program = *facts->program ? facts->program : facts->dirty ? "" : facts->commit;
        run->apart = NAN;
        for (size_t k = 0; !run->has_quality && k < run->results->n_cells; k++)
            run->has_quality = run->results->cells[k].file == KV_FILE_QUALITY;
        kv_machine_name(run->results, run->machine);
        size_t before = i;
        while (before > 0 && strcmp(history->runs[before - 1].machine, run->machine) != 0)
            before--;
        if (before == 0) {
            history->n_machines++;
            continue;
        }
        struct kv_apart apart;
        const kv_status status = kv_apart_find(history->runs[before - 1].results, run->results, &apart, error);
        if (status)
            return status;
        run->apart = apart.log_factor;
    }
    return KV_OK;
}

/* ---- Lines ------------------------------------------------------------------------------------------------------------- */

static const enum kv_column told[] = {KV_COLUMN_TTPT_MS, KV_COLUMN_TTFT_MS, KV_COLUMN_SECONDS};
enum { N_TOLD = sizeof told / sizeof *told };

static uint64_t configuration_of(const struct kv_cell_results *cell)
{
    const char *const texts[] = {cell->id, cell->texts[KV_COLUMN_MODEL], cell->texts[KV_COLUMN_WEIGHTS_SOURCE]};
    uint64_t hash = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        hash = kv_mix64(hash + kv_hash_bytes(texts[i], strlen(texts[i])));
    return hash;
}

static bool is_on_line(const struct kv_history *history, const struct kv_history_line *line, size_t run,
                       uint64_t configuration, enum kv_column column)
{
    return line->column == column && line->configuration == configuration &&
           strcmp(history->runs[line->points[0].run].machine, history->runs[run].machine) == 0;
}

static kv_status add_point(struct kv_history *history, size_t run, const struct kv_cell_results *cell,
                           enum kv_column column, struct kv_error *error)
{
    const uint64_t configuration = configuration_of(cell);
    size_t i = 0;
    while (i < history->n_lines && !is_on_line(history, &history->lines[i], run, configuration, column))
        i++;
    if (i == history->n_lines) {
        struct kv_history_line *lines = realloc(history->lines, (i + 1) * sizeof *lines);
        if (!lines)
            return fail_memory(error);
        history->lines = lines;
        lines[i] = (struct kv_history_line){.column = column,
                                            .configuration = configuration,
                                            .points = calloc(KV_HISTORY_MOST_POINTS, sizeof *lines->points),
                                            .ratio = NAN};
        if (!lines[i].points)
            return fail_memory(error);
        history->n_lines++;
    }
    struct kv_history_line *line = &history->lines[i];
    if (line->n == KV_HISTORY_MOST_POINTS)
        memmove(line->points, line->points + 1, --line->n * sizeof *line->points);
    line->points[line->n++] = (struct kv_history_point){
        .run = run, .cell = cell, .log_value = log(cell->figures[column].median)};
    return KV_OK;
}

static kv_status add_lines(struct kv_history *history, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t run = 0; run < history->n_runs; run++) {
        const struct kv_results *results = history->runs[run].results;
        for (size_t i = 0; !status && i < results->n_cells; i++)
            for (int k = 0; !status && k < N_TOLD; k++)
                if (kv_cell_is_timed(&results->cells[i]) && results->cells[i].figures[told[k]].n)
                    status = add_point(history, run, &results->cells[i], told[k], error);
    }
    return status;
}

/* ---- Steps ------------------------------------------------------------------------------------------------------------- */

static double median_of(const double *values, size_t n)
{
    double sorted[KV_HISTORY_MOST_POINTS];
    memcpy(sorted, values, n * sizeof *values);
    kv_stats_sort(sorted, n);
    return kv_stats_median(sorted, n);
}

static bool same_program(const struct kv_history *history, const struct kv_history_point *a,
                         const struct kv_history_point *b)
{
    const char *program = history->runs[a->run].program;
    return *program && strcmp(program, history->runs[b->run].program) == 0;
}

static void find_floor(const struct kv_history *history, struct kv_history_line *line)
{
    double apart[KV_HISTORY_MOST_POINTS], distances[KV_HISTORY_MOST_POINTS];
    size_t n_apart = 0, n_distances = 0;
    for (size_t i = 1; i < line->n; i++) {
        const struct kv_history_point *a = &line->points[i - 1], *b = &line->points[i];
        if (!isnan(history->runs[b->run].apart))
            apart[n_apart++] = history->runs[b->run].apart;
        if (same_program(history, a, b))
            distances[n_distances++] = fabs(b->log_value - a->log_value);
    }
    line->floor = least_floor;
    if (n_apart)
        line->floor = fmax(line->floor, median_of(apart, n_apart));
    if (n_distances >= 4)
        line->floor = fmax(line->floor, 2 * 1.4826 * median_of(distances, n_distances));
}

/* Cuts logs [n] so that |log - median of its piece| in sum, and `price` a cut, are least: begins [n] of a point is the
 * first of the piece that ends with it in the best way to cut the points up to it. */
static void cut(const double *logs, size_t n, double price, size_t *begins)
{
    double best[KV_HISTORY_MOST_POINTS + 1] = {0};
    for (size_t end = 0; end < n; end++) {
        best[end + 1] = INFINITY;
        for (size_t begin = 0; begin <= end; begin++) {
            const double middle = median_of(logs + begin, end + 1 - begin);
            double cost = best[begin] + (begin ? price : 0);
            for (size_t i = begin; i <= end; i++)
                cost += fabs(logs[i] - middle);
            if (cost < best[end + 1]) {
                best[end + 1] = cost;
                begins[end] = begin;
            }
        }
    }
}

static kv_status add_step(struct kv_history *history, size_t line, size_t point, double ratio, struct kv_error *error)
{
    struct kv_history_step *steps = realloc(history->steps, (history->n_steps + 1) * sizeof *steps);
    if (!steps)
        return fail_memory(error);
    history->steps = steps;
    steps[history->n_steps++] = (struct kv_history_step){.line = line, .point = point, .ratio = ratio};
    return KV_OK;
}

/* The cut at point `at`, before which the piece began at *from, and behind which it ends at `to`: one that counts is
 * added as a step. */
static kv_status judge_cut(struct kv_history *history, size_t number, const double *logs, size_t *from, size_t at,
                           size_t to, struct kv_error *error)
{
    struct kv_history_line *line = &history->lines[number];
    const struct kv_history_point *after = &line->points[at], *before = after - 1;
    const double shift = median_of(logs + at, to - at) - median_of(logs + *from, at - *from);
    struct kv_apart apart;
    if (same_program(history, before, after)) {
        *from = at;
        return KV_OK;
    }
    const kv_status status = kv_apart_find(history->runs[before->run].results, history->runs[after->run].results,
                                           &apart, error);
    if (status || !(fabs(shift) > line->floor && fabs(shift) > apart.log_factor))
        return status;
    line->last_step = *from = at;
    line->ratio = exp(shift);
    return add_step(history, number, at, line->ratio, error);
}

static kv_status find_steps(struct kv_history *history, size_t number, struct kv_error *error)
{
    struct kv_history_line *line = &history->lines[number];
    double logs[KV_HISTORY_MOST_POINTS];
    size_t begins[KV_HISTORY_MOST_POINTS] = {0}, from = 0;
    bool is_cut[KV_HISTORY_MOST_POINTS + 1] = {false};
    const size_t n_before = history->n_steps;
    kv_status status = KV_OK;
    for (size_t i = 0; i < line->n; i++)
        logs[i] = line->points[i].log_value;
    find_floor(history, line);
    cut(logs, line->n, 2 * line->floor, begins);
    for (size_t i = line->n; i > 0; i = begins[i - 1])
        is_cut[begins[i - 1]] = true;
    is_cut[line->n] = true;
    for (size_t at = 1; !status && at < line->n; at++) {
        size_t to = at + 1;
        while (!is_cut[to])
            to++;
        if (is_cut[at])
            status = judge_cut(history, number, logs, &from, at, to, error);
        line->points[at].piece = (int)(history->n_steps - n_before);
    }
    return status;
}

static int compare_steps(const void *left, const void *right)
{
    const struct kv_history_step *a = left, *b = right;
    return (a->ratio < b->ratio) - (a->ratio > b->ratio);
}

/* Of lines with two points or more. */
static double find_mean(const struct kv_history *history)
{
    double sum = 0, n = 0;
    for (size_t i = 0; i < history->n_lines; i++) {
        const struct kv_history_line *line = &history->lines[i];
        if (line->n < 2)
            continue;
        sum += line->points[line->n - 1].log_value - line->points[0].log_value;
        n++;
    }
    return n > 0 ? exp(sum / n) : NAN;
}

kv_status kv_history_create(struct kv_history **history, struct kv_results **runs, size_t n, struct kv_error *error)
{
    struct kv_history *made = calloc(1, sizeof *made);
    if (made)
        made->runs = calloc(n + 1, sizeof *made->runs);
    kv_status status = made && made->runs ? add_runs(made, runs, n, error) : fail_memory(error);
    for (size_t i = 0; i < n; i++)
        kv_results_free(runs[i]);
    if (!status)
        status = add_lines(made, error);
    for (size_t i = 0; !status && i < made->n_lines; i++)
        status = find_steps(made, i, error);
    if (status) {
        kv_history_free(made);
        *history = NULL;
        return status;
    }
    for (size_t i = 0; i < made->n_steps; i++)
        made->steps[i].is_last = made->lines[made->steps[i].line].last_step == made->steps[i].point;
    if (made->n_steps)
        qsort(made->steps, made->n_steps, sizeof *made->steps, compare_steps);
    made->mean = find_mean(made);
    *history = made;
    return KV_OK;
}

void kv_history_free(struct kv_history *history)
{
    if (!history)
        return;
    for (size_t i = 0; i < history->n_runs; i++)
        kv_results_free(history->runs[i].results);
    for (size_t i = 0; i < history->n_lines; i++)
        free(history->lines[i].points);
    free(history->runs);
    free(history->lines);
    free(history->steps);
    free(history);
}

size_t kv_history_regressions(const struct kv_history *history)
{
    size_t n = 0;
    for (size_t i = 0; i < history->n_steps; i++)
        n += history->steps[i].is_last && history->steps[i].ratio > 1;
    return n;
}
