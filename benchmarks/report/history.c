/* The page of a history: steps as a table, and a drawing a line. */
#include "results/history.h"

#include "report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 640, HEIGHT = 110, MARGIN = 12 };

struct scale {
    double low, high; /* logs */
    size_t n;
};

static double x_of(const struct scale *scale, double point)
{
    return MARGIN + (scale->n > 1 ? point / (double)(scale->n - 1) : 0.5) * (WIDTH - 2 * MARGIN);
}

static double y_of(const struct scale *scale, double value)
{
    return HEIGHT - MARGIN - (value - scale->low) / (scale->high - scale->low) * (HEIGHT - 2 * MARGIN);
}

/* At least the noise floor is shown around the points, so that noise looks as small as it is. */
static struct scale find_scale(const struct kv_history_line *line)
{
    struct scale scale = {INFINITY, -INFINITY, line->n};
    for (size_t i = 0; i < line->n; i++) {
        scale.low = fmin(scale.low, line->points[i].log_value);
        scale.high = fmax(scale.high, line->points[i].log_value);
    }
    scale.low -= line->floor;
    scale.high += line->floor;
    return scale;
}

/* The median of the piece that begins with point *at, which then is that behind it. */
static double next_piece(const struct kv_history_line *line, size_t *at)
{
    double logs[KV_HISTORY_MOST_POINTS];
    const int piece = line->points[*at].piece;
    size_t n = 0;
    for (; *at < line->n && line->points[*at].piece == piece; ++*at)
        logs[n++] = line->points[*at].log_value;
    kv_stats_sort(logs, n);
    return kv_stats_median(logs, n);
}

static void draw(const struct kv_history *history, const struct kv_history_line *line, FILE *page)
{
    const struct scale scale = find_scale(line);
    char text[160];
    fprintf(page,
            "<div class=\"canvas\"><svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    kv_html_text(page, line->points[0].cell->id);
    fputs(" over its runs\">", page);
    for (size_t at = 0; at < line->n;) {
        const size_t first = at;
        const double middle = next_piece(line, &at), y = y_of(&scale, middle);
        const double top = y_of(&scale, middle + line->floor), bottom = y_of(&scale, middle - line->floor);
        const double left = x_of(&scale, (double)first - 0.4), right = x_of(&scale, (double)at - 0.6);
        fprintf(page,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"currentColor\" opacity=\"0.08\"/>"
                "<path d=\"M%.1f %.1fH%.1f\" stroke=\"currentColor\"/>",
                left, top, right - left, bottom - top, left, y, right);
    }
    for (size_t i = 0; i < line->n; i++) {
        const struct kv_results *results = history->runs[line->points[i].run].results;
        fprintf(page, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"currentColor\"><title>",
                x_of(&scale, (double)i), y_of(&scale, line->points[i].log_value));
        snprintf(text, sizeof text, "%.80s, commit %.12s: %.4g", results->run_id, results->context->commit,
                 exp(line->points[i].log_value));
        kv_html_text(page, text);
        fputs("</title></circle>", page);
    }
    fputs("</svg></div>\n", page);
}

static kv_status print_steps(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_history *history = context;
    struct kv_table *table;
    if (!history->n_steps) {
        kv_html_part(page, "no steps", NULL);
        return KV_OK;
    }
    kv_status status = kv_history_steps_table(history, &table, error);
    if (!status)
        status = kv_html_table(page, table, "Steps", error);
    kv_table_free(table);
    return status;
}

/* Lines with steps first, then all others. */
static kv_status print_lines(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_history *history = context;
    (void)error;
    for (int with_steps = 1; with_steps >= 0; with_steps--)
        for (size_t i = 0; i < history->n_lines; i++) {
            const struct kv_history_line *line = &history->lines[i];
            const struct kv_history_point *last = &line->points[line->n - 1];
            char title[300], more[300], value[KV_NUMBER_SIZE];
            if ((line->last_step > 0) != (with_steps == 1) || line->n < 2)
                continue;
            snprintf(title, sizeof title, "%s of %s", kv_column_info(line->column)->name, last->cell->id);
            snprintf(more, sizeof more, "%.60s on %.180s: %zu runs, the last %s %s, noise %.1f %%",
                     last->cell->texts[KV_COLUMN_MODEL], history->runs[last->run].machine, line->n,
                     kv_number_text(exp(last->log_value), value, sizeof value), kv_column_info(line->column)->unit,
                     100 * expm1(line->floor));
            kv_html_part(page, "heading", "title", title, "more", more, NULL);
            draw(history, line, page);
        }
    return KV_OK;
}

static kv_status print_page(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_history *history = context;
    char summary[200], mean[KV_NUMBER_SIZE];
    snprintf(summary, sizeof summary,
             "%zu runs of %zu machine%s, %zu lines, %zu steps; newest to oldest: %s x the time", history->n_runs,
             history->n_machines, history->n_machines == 1 ? "" : "s", history->n_lines, history->n_steps,
             kv_number_text(history->mean, mean, sizeof mean));
    const struct kv_html_slot slots[] = {{"style", .markup = kv_page_style},
                                         {"summary", .text = summary},
                                         {"steps", .print = print_steps},
                                         {"lines", .print = print_lines},
                                         {0}};
    return kv_html_fill(page, "history", slots, context, error);
}

kv_status kv_history_write_page(const struct kv_history *history, const char *file, struct kv_error *error)
{
    return kv_html_write(file, print_page, (void *)(uintptr_t)history, error);
}
