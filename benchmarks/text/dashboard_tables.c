/* The tables that gnuplot draws a dashboard from. */
#include "text/dashboard.h"

#include "base/error.h"
#include "results/stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct tables {
    const struct kv_dashboard *d;
    const char *file, *folder;
};

/* folder/KIND.STEP, or folder/KIND for step 0. Files are of one run of the script, so none is renamed into place. */
static kv_status open_table(const struct tables *t, const char *kind, int step, FILE **stream, struct kv_error *error)
{
    char *name;
    const int n = step ? asprintf(&name, "%s/%s.%d", t->folder, kind, step) : asprintf(&name, "%s/%s", t->folder, kind);
    *stream = NULL;
    if (n < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a file's name: close other programs");
    *stream = fopen(name, "we");
    const kv_status status = *stream ? KV_OK : kv_fail(error, KV_ERROR_IO, "%s: %s", name, strerror(errno));
    free(name);
    return status;
}

static kv_status close_table(const struct tables *t, FILE *stream, kv_status status, struct kv_error *error)
{
    bool failed = stream && ferror(stream);
    failed |= stream && fclose(stream) != 0;
    return failed && !status ? kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s", t->folder, strerror(errno))
                             : status;
}

/* What the rows first..last [n] of that kind hold: into a table, and into numbers. */
static kv_status write_numbers(const struct tables *t, const char *kind, int step, int first, int last,
                               const float *numbers, double *all, struct kv_error *error)
{
    FILE *stream;
    kv_status status = open_table(t, kind, step, &stream, error);
    for (int row = first; !status && row <= last; row++) {
        for (int i = 0; !status && i < t->d->head_size; i++, numbers++) {
            if (isnan(*numbers))
                status = kv_fail(error, KV_ERROR_FORMAT, "%s: the %s of position %d has no dimension %d", t->file, kind,
                                 row, i);
            fprintf(stream, "%d\t%d\t%.9g\n", row, i, (double)*numbers);
            *all++ = (double)*numbers;
        }
    }
    return close_table(t, stream, status, error);
}

/* `numbers` are of the positions from first_position on. */
static kv_status write_kind(const struct tables *t, FILE *view, const char *kind, const float *numbers,
                            int first_position, struct kv_error *error)
{
    const struct kv_dashboard *d = t->d;
    const size_t n = (size_t)(d->n_positions - first_position) * (size_t)d->head_size;
    double *all = calloc(n, sizeof *all);
    kv_status status = all ? KV_OK
                           : kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu numbers: close other programs", n);
    for (int step = 1; !status && step <= d->n_steps; step++) {
        const int last = d->n_prompt + step - 2, first = step == 1 ? first_position : last;
        const size_t at = (size_t)(first - first_position) * (size_t)d->head_size;
        status = write_numbers(t, kind, step, first, last, numbers + at, all + at, error);
    }
    if (!status) {
        kv_stats_sort(all, n);
        const double limit = fmax(fabs(kv_stats_quantile(all, n, 0.05)), fabs(kv_stats_quantile(all, n, 0.95)));
        fprintf(view, "%s_limit = %.6g\n", kind, limit > 0 ? limit : 1);
    }
    free(all);
    return status;
}

/* One panel's weights of a step, those of float32 beside them where there are any; *largest: of all but the first token's. */
static kv_status write_panel(const struct tables *t, FILE *stream, int panel, int step, double *largest,
                             struct kv_error *error)
{
    const struct kv_dashboard *d = t->d;
    const int layer = d->first_layer + panel / d->n_heads, head = d->first_head + panel % d->n_heads;
    const float *weights = kv_dashboard_attention(d, layer, head, step - 1);
    const float *of_f32 = *d->kv ? kv_dashboard_attention_f32(d, layer, head, step - 1) : NULL;
    for (int i = 0; i < d->n_prompt + step - 1; i++) {
        if (isnan(weights[i]) || (of_f32 && isnan(of_f32[i])))
            return kv_fail(error, KV_ERROR_FORMAT,
                           "%s: layer %d, head %d has no attention weight%s of step %d, position %d", t->file, layer,
                           head, isnan(weights[i]) ? "" : " of float32", step, i);
        fprintf(stream, "%d\t%.9g", i, (double)weights[i]);
        if (of_f32)
            fprintf(stream, "\t%.9g", (double)of_f32[i]);
        fputc('\n', stream);
        *largest = i > 0 ? fmax(*largest, (double)weights[i]) : *largest;
        *largest = i > 0 && of_f32 ? fmax(*largest, (double)of_f32[i]) : *largest;
    }
    return KV_OK;
}

static kv_status write_attention_table(const struct tables *t, int step, double *largest, struct kv_error *error)
{
    const struct kv_dashboard *d = t->d;
    FILE *stream;
    kv_status status = open_table(t, "attention", step, &stream, error);
    for (int panel = 0; !status && panel < d->n_layers * d->n_heads; panel++) {
        status = write_panel(t, stream, panel, step, largest, error);
        fputs("\n\n", stream);
    }
    return close_table(t, stream, status, error);
}

/* The text, with '?' for control characters and `other` for `quote`, which gnuplot would take away. */
static void write_words(FILE *stream, const char *text, char quote, const char *other)
{
    for (; *text; text++) {
        if (*text == quote)
            fputs(other, stream);
        else
            fputc((unsigned char)*text < ' ' || *text == 0x7f ? '?' : *text, stream);
    }
}

/* The last part of a path. */
static void write_last_part(FILE *view, const char *name, const char *text)
{
    char part[256];
    size_t n = (size_t)snprintf(part, sizeof part, "%s", text);
    while (n > 0 && part[n - 1] == '/')
        part[--n] = '\0';
    const char *slash = strrchr(part, '/');
    fprintf(view, "%s = '", name);
    write_words(view, slash ? slash + 1 : part, '\'', "''");
    fputs("'\n", view);
}

/* By step, from 1: the largest change of a weight in any panel, and the panel, from 1, where most of it moved. */
static void write_changes(const struct kv_dashboard *d, FILE *view)
{
    double limit = 0;
    fprintf(view, "array largest_change[%d]\narray most_moved[%d]\narray moved_panel[%d]\n", d->n_steps, d->n_steps,
            d->n_steps);
    for (int step = 1; step <= d->n_steps; step++) {
        struct kv_dashboard_change most = {0, 0};
        int most_panel = 1;
        for (int panel = 0; panel < d->n_layers * d->n_heads; panel++) {
            const struct kv_dashboard_change change = kv_dashboard_change(d, d->first_layer + panel / d->n_heads,
                                                                          d->first_head + panel % d->n_heads, step - 1);
            most_panel = change.moved > most.moved ? panel + 1 : most_panel;
            most.moved = fmax(most.moved, change.moved);
            most.largest = fmax(most.largest, change.largest);
        }
        fprintf(view, "largest_change[%d] = %.6g; most_moved[%d] = %.6g; moved_panel[%d] = %d\n", step, most.largest,
                step, most.moved, step, most_panel);
        limit = fmax(limit, most.largest);
    }
    fprintf(view, "change_limit = %.6g\n", limit > 0 ? limit : 1);
}

static kv_status write_labels(const struct tables *t, struct kv_error *error)
{
    FILE *stream;
    kv_status status = open_table(t, "tokens", 0, &stream, error);
    for (int i = 0; !status && i <= t->d->n_positions; i++) {
        if (!*t->d->labels[i])
            status = kv_fail(error, KV_ERROR_FORMAT, "%s: there is no token of position %d", t->file, i);
        fprintf(stream, "%d\t", i);
        write_words(stream, t->d->labels[i], '"', "\u201d");
        fputc('\n', stream);
    }
    return close_table(t, stream, status, error);
}

static void write_view(const struct kv_dashboard *d, FILE *view, double largest)
{
    const bool by_layer = d->n_layers > 1;
    fprintf(view, "n_prompt = %d; n_steps = %d; n_positions = %d; n_panels = %d\n", d->n_prompt, d->n_steps,
            d->n_positions, d->n_layers * d->n_heads);
    fprintf(view, "largest = %.6g; by_layer = %d; head_size = %d\n", largest > 0 ? largest : 1, by_layer, d->head_size);
    fprintf(view, "panels = '");
    for (int i = 0; i < d->n_layers * d->n_heads; i++)
        fprintf(view, "%s%d", i ? " " : "",
                by_layer ? d->first_layer + i / d->n_heads : d->first_head + i % d->n_heads);
    fprintf(view, "'\nlayer = '%d'\nhead = '%d'\n", d->first_layer, d->first_head);
    write_last_part(view, "model", d->model);
    write_last_part(view, "weights", d->weights);
    fputs("kv = '", view);
    write_words(view, d->kv, '\'', "''");
    fputs("'\n", view);
    if (*d->kv)
        write_changes(d, view);
}

kv_status kv_dashboard_tables(const struct kv_dashboard *d, const char *file, const char *folder,
                              struct kv_error *error)
{
    const struct tables t = {d, file, folder};
    double largest = 0;
    FILE *view;
    kv_status status = open_table(&t, "view", 0, &view, error);
    if (!status)
        status = write_labels(&t, error);
    for (int step = 1; !status && step <= d->n_steps; step++)
        status = write_attention_table(&t, step, &largest, error);
    if (!status && d->detailed)
        status = write_kind(&t, view, "query", d->queries, d->n_prompt - 1, error);
    if (!status && d->detailed)
        status = write_kind(&t, view, "key", d->keys, 0, error);
    if (!status && d->detailed)
        status = write_kind(&t, view, "value", d->values, 0, error);
    if (!status)
        write_view(d, view, largest);
    return close_table(&t, view, status, error);
}
