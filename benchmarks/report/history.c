/* The page of a history: steps as a table, and a drawing a line. */
#include "results/history.h"

#include "report/html.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 640, HEIGHT = 110, MARGIN = 12, STRIP = 42 };

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

/* ---- Drawing --------------------------------------------------------------------------------------------------------- */

/* The levels of the pieces, each in the band of the noise; where one begins, what it is to the one before. */
static void draw_pieces(const struct kv_history *history, const struct kv_history_line *line, const struct scale *scale,
                        FILE *page)
{
    char text[60];
    double before = NAN;
    for (size_t at = 0; at < line->n;) {
        const size_t first = at;
        const double middle = next_piece(line, &at), y = y_of(scale, middle);
        const double top = y_of(scale, middle + line->floor), bottom = y_of(scale, middle - line->floor);
        const double left = x_of(scale, (double)first - 0.4), right = x_of(scale, (double)at - 0.6);
        fprintf(page,
                "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"currentColor\" opacity=\"0.08\"/>"
                "<path d=\"M%.1f %.1fH%.1f\" stroke=\"currentColor\"/>",
                left, top, right - left, bottom - top, left, y, right);
        if (first) {
            fprintf(page, "<text x=\"%.1f\" y=\"12\" font-size=\"12\" fill=\"currentColor\" text-anchor=\"middle\">",
                    fmin(fmax(x_of(scale, (double)first - 0.5), 90), WIDTH - 90));
            snprintf(text, sizeof text, "%.3g × at %.8s", exp(middle - before),
                     history->runs[line->points[first].run].results->context->commit);
            kv_html_text(page, text);
            fputs("</text>", page);
        }
        before = middle;
    }
}

static void draw_points(const struct kv_history *history, const struct kv_history_line *line, const struct scale *scale,
                        FILE *page)
{
    char text[160];
    for (size_t i = 0; i < line->n; i++) {
        const struct kv_results *results = history->runs[line->points[i].run].results;
        fprintf(page, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.5\" fill=\"currentColor\"><title>", x_of(scale, (double)i),
                y_of(scale, line->points[i].log_value));
        snprintf(text, sizeof text, "%.80s, commit %.12s: %.4g", results->run_id, results->context->commit,
                 exp(line->points[i].log_value));
        kv_html_text(page, text);
        fputs("</title></circle>", page);
    }
}

/* One of what lies beside the speed, below it on the same time line, from `top` on; false: no run knows it. */
static bool draw_strip(const struct kv_history *history, const struct kv_history_line *line, const struct scale *scale,
                       int which, int top, FILE *page)
{
    const struct kv_column_info *info = kv_column_info(kv_history_beside_columns[which]);
    char low_text[KV_NUMBER_SIZE], high_text[KV_NUMBER_SIZE], text[160];
    double low = NAN, high = NAN;
    for (size_t i = 0; i < line->n; i++) {
        low = fmin(low, kv_history_beside(history, &line->points[i], which));
        high = fmax(high, kv_history_beside(history, &line->points[i], which));
    }
    if (isnan(low))
        return false;
    const bool is_bytes = strcmp(info->unit, "B") == 0;
    const double unit = is_bytes ? 1 << 20 : 1, spread = fmax(high - low, 0.05 * fabs(high));
    kv_number_text(low / unit, low_text, sizeof low_text);
    kv_number_text(high / unit, high_text, sizeof high_text);
    snprintf(text, sizeof text, "%s: %s%s%s %s", info->label, low_text, high > low ? " to " : "",
             high > low ? high_text : "",
             is_bytes                       ? "MiB"
             : strcmp(info->unit, "-") == 0 ? ""
                                            : info->unit);
    fprintf(page, "<text x=\"%d\" y=\"%d\" font-size=\"12\" fill=\"currentColor\">", MARGIN, top + 12);
    kv_html_text(page, text);
    fputs("</text>", page);
    for (size_t i = 0; i < line->n; i++) {
        const double value = kv_history_beside(history, &line->points[i], which);
        if (!isnan(value))
            fprintf(page, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"2.5\" fill=\"currentColor\" opacity=\"0.7\"/>",
                    x_of(scale, (double)i), top + STRIP - 6 - (spread > 0 ? 16 * (value - low) / spread : 0));
    }
    return true;
}

static int count_strips(const struct kv_history *history, const struct kv_history_line *line)
{
    int n = 0;
    for (int which = 0; which < KV_HISTORY_BESIDE; which++) {
        size_t i = 0;
        while (i < line->n && isnan(kv_history_beside(history, &line->points[i], which)))
            i++;
        n += i < line->n;
    }
    return n;
}

static void draw(const struct kv_history *history, const struct kv_history_line *line, FILE *page)
{
    const struct scale scale = find_scale(line);
    const int height = HEIGHT + STRIP * count_strips(history, line);
    int top = HEIGHT;
    fprintf(page,
            "<div class=\"canvas\"><svg width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
            WIDTH, height, WIDTH, height);
    kv_html_text(page, line->points[0].cell->id);
    fputs(" over its runs\">", page);
    draw_pieces(history, line, &scale, page);
    draw_points(history, line, &scale, page);
    for (int which = 0; which < KV_HISTORY_BESIDE; which++)
        if (draw_strip(history, line, &scale, which, top, page))
            top += STRIP;
    fputs("</svg></div>\n", page);
}

/* ---- Sections -------------------------------------------------------------------------------------------------------- */

static kv_status put_steps(const struct kv_history *history, size_t from, size_t to, const char *title, FILE *page,
                           struct kv_error *error)
{
    struct kv_table *table;
    if (from == to)
        return KV_OK;
    kv_html_part(page, "heading", "title", title, "more", "", NULL);
    kv_status status = kv_history_steps_table(history, from, to, &table, error);
    if (!status)
        status = kv_html_table(page, table, title, error);
    kv_table_free(table);
    return status;
}

/* All of them, or, of many, the five worst and the five best, then the others. */
static kv_status print_steps(void *context, FILE *page, struct kv_error *error)
{
    const struct kv_history *history = context;
    const size_t n = history->n_steps;
    size_t n_worst, n_best;
    kv_history_extremes(history, &n_worst, &n_best);
    if (!n)
        kv_html_part(page, "no steps", NULL);
    kv_status status = put_steps(history, 0, n_worst, "Slower", page, error);
    if (!status)
        status = put_steps(history, n - n_best, n, "Faster, the best last", page, error);
    return status ? status : put_steps(history, n_worst, n - n_best, "All others", page, error);
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
            snprintf(more, sizeof more, "%.60s on %.120s: %zu runs, %.10s to %.10s, the last %s %s, noise %.1f %%",
                     last->cell->texts[KV_COLUMN_MODEL], history->runs[last->run].machine, line->n,
                     history->runs[line->points[0].run].results->run_id, history->runs[last->run].results->run_id,
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
    char summary[300], mean[KV_NUMBER_SIZE];
    const int n = snprintf(summary, sizeof summary, "%zu runs of %zu machine%s, %zu lines, %zu changes. ",
                           history->n_runs, history->n_machines, history->n_machines == 1 ? "" : "s", history->n_lines,
                           history->n_steps);
    if (isnan(history->mean))
        snprintf(summary + n, sizeof summary - (size_t)n, "No line has two runs yet");
    else
        snprintf(summary + n, sizeof summary - (size_t)n,
                 "In the geometric mean over all lines the newest run takes %s × the time of the oldest",
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
