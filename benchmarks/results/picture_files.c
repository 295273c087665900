/* What a figure's folder holds: settings and tables. */
#include "results/picture.h"

#include "base/error.h"
#include "results/findings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 4 }; /* of a point */

void kv_range_add(struct kv_range *range, double value)
{
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

void kv_picture_fail_memory(struct kv_picture *p)
{
    if (!p->status)
        p->status = kv_fail(p->error, KV_ERROR_MEMORY, "%s: no memory for the figures: close other programs",
                            p->folder);
}

/* Opens p->folder/name; *path is its name, for free(). */
static void open_file(struct kv_picture *p, struct kv_file *file, char **path, const char *name, const char *suffix)
{
    if (p->status)
        return;
    if (asprintf(path, "%s/%s%s", p->folder, name, suffix) < 0) {
        *path = NULL;
        kv_picture_fail_memory(p);
        return;
    }
    p->status = kv_file_open(file, *path, p->error);
}

static void close_file(struct kv_picture *p, struct kv_file *file, char **path)
{
    if (!p->status)
        p->status = kv_file_finish(file, p->error);
    if (!p->status)
        p->status = kv_file_publish(file, p->error);
    kv_file_close(file);
    free(*path);
    *path = NULL;
}

/* ---- Settings ------------------------------------------------------------------------------------------------- */

/* Opened with the first of them, so that a figure without cells leaves no file. */
static FILE *settings_of(struct kv_picture *p)
{
    if (!p->settings_name)
        open_file(p, &p->settings, &p->settings_name, "settings", "");
    return p->status ? NULL : p->settings.stream;
}

/* In gnuplot's single quotes only the quote itself is special. */
static void print_quoted(FILE *stream, const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputc('\'', stream);
        fputc((unsigned char)*text < ' ' || *text == 127 ? '?' : *text, stream);
    }
}

void kv_picture_text(struct kv_picture *p, const char *name, const char *first, const char *second)
{
    FILE *stream = settings_of(p);
    if (!stream)
        return;
    fprintf(stream, "%s = '", name);
    print_quoted(stream, first);
    print_quoted(stream, second);
    fputs("'\n", stream);
}

static void print_number(FILE *stream, double value)
{
    if (isnan(value))
        fputs("NaN", stream);
    else
        fprintf(stream, "%.10g", value);
}

void kv_picture_number(struct kv_picture *p, const char *name, double value)
{
    FILE *stream = settings_of(p);
    if (!stream)
        return;
    fprintf(stream, "%s = ", name);
    print_number(stream, value);
    fputc('\n', stream);
}

void kv_picture_numbers(struct kv_picture *p, const char *name, const double *values, int n)
{
    FILE *stream = settings_of(p);
    if (!stream || n == 0)
        return;
    fprintf(stream, "array %s[%d] = [", name, n);
    for (int i = 0; i < n; i++) {
        fputs(i ? ", " : "", stream);
        print_number(stream, values[i]);
    }
    fputs("]\n", stream);
}

void kv_picture_range(struct kv_picture *p, const char *name, const struct kv_range *range)
{
    FILE *stream = settings_of(p);
    if (!stream)
        return;
    if (isnan(range->low))
        fprintf(stream, "%s_low = ''\n%s_high = ''\n", name, name);
    else
        fprintf(stream, "%s_low = '%.10g'\n%s_high = '%.10g'\n", name, range->low, name, range->high);
}

int kv_picture_sizes(const struct kv_picture *p, enum kv_column column, double sizes[KV_PICTURE_MAX_KEYS])
{
    int n = 0;
    for (size_t i = 0; i < p->n_cells; i++) {
        const double *numbers = p->cells[i].cell->numbers;
        int at = 0;
        if (isnan(numbers[column]) || (column == KV_COLUMN_ROWS && !isnan(numbers[KV_COLUMN_CONTEXT_TOKENS])))
            continue;
        while (at < n && sizes[at] < numbers[column])
            at++;
        if ((at < n && sizes[at] == numbers[column]) || n == KV_PICTURE_MAX_KEYS)
            continue;
        memmove(sizes + at + 1, sizes + at, (size_t)(n++ - at) * sizeof *sizes);
        sizes[at] = numbers[column];
    }
    return n;
}

void kv_picture_keys(struct kv_picture *p, const char *name, enum kv_column column)
{
    double sizes[KV_PICTURE_MAX_KEYS];
    const int n = kv_picture_sizes(p, column, sizes);
    FILE *stream = settings_of(p);
    if (!stream)
        return;
    fprintf(stream, "%s_keys = '", name);
    for (int i = 0; i < n; i++)
        fprintf(stream, "%s%.0f", i ? " " : "", sizes[i]);
    fputs("'\n", stream);
}

void kv_picture_texts(struct kv_picture *p, const char *name, const char *const *texts, int n)
{
    FILE *stream = settings_of(p);
    if (!stream || n == 0)
        return;
    fprintf(stream, "n_%ss = %d\narray %s[%d] = [", name, n, name, n);
    for (int i = 0; i < n; i++) {
        fputs(i ? ", '" : "'", stream);
        print_quoted(stream, texts[i]);
        fputc('\'', stream);
    }
    fputs("]\n", stream);
}

void kv_picture_kernel_settings(struct kv_picture *p)
{
    double is_rows[KV_PICTURE_MAX_ARMS] = {0}, forms[KV_PICTURE_MAX_ARMS];
    const char *kernels[KV_PICTURE_MAX_ARMS] = {NULL}, *shapes[KV_PICTURE_MAX_ARMS] = {NULL};
    int n_panels = 0, n_limits = 0;
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        const int panel = (int)cell->group;
        n_limits = cell->limit_group >= n_limits ? cell->limit_group + 1 : n_limits;
        if (panel >= KV_PICTURE_MAX_ARMS)
            continue;
        n_panels = panel >= n_panels ? panel + 1 : n_panels;
        is_rows[panel] = isnan(cell->cell->numbers[KV_COLUMN_CONTEXT_TOKENS]);
        kernels[panel] = cell->cell->texts[KV_COLUMN_KERNEL];
        shapes[panel] = cell->cell->texts[KV_COLUMN_SHAPE];
    }
    for (int i = 0; i < p->n_arms; i++)
        forms[i] = p->arms[i]->form;
    kv_picture_texts(p, "panel", kernels, n_panels);
    kv_picture_texts(p, "shape", shapes, n_panels);
    kv_picture_numbers(p, "is_rows", is_rows, n_panels);
    kv_picture_numbers(p, "arm_form", forms, p->n_arms);
    kv_picture_number(p, "n_limit_groups", n_limits);
}

void kv_picture_part_names(struct kv_picture *p)
{
    const char *names[KV_N_PARTS];
    for (int i = 0; i < KV_N_PARTS; i++)
        names[i] = kv_part_name((enum kv_part)i);
    kv_picture_texts(p, "part", names, KV_N_PARTS);
}

/* The end of a long name, in whole characters of UTF-8. */
static void write_model(struct kv_picture *p, const char *model)
{
    const size_t n = strlen(model);
    const char *end = n > 40 ? model + n - 39 : model;
    while (((unsigned char)*end & 0xc0) == 0x80)
        end++;
    kv_picture_text(p, "model", n > 40 ? "…" : "", end);
}

/* Axes whose value says by itself what it is, but the number of threads. */
static bool is_plain(enum kv_column column)
{
    return column == KV_COLUMN_THREADS || column == KV_COLUMN_GEMM || column == KV_COLUMN_ISA;
}

/* Values that are not worth a word. */
static bool is_usual(const char *text)
{
    static const char *const usual[] = {"", "0", "f32", "contiguous", "kvbench", "none", "stop"};
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++)
        if (strcmp(text, usual[i]) == 0)
            return true;
    return false;
}

/* ", 2 threads", ", avx512", ", weights int8": an axis that does not vary; nothing for one that does, or is as usual.
 */
static void add_setting(const struct kv_picture *p, enum kv_column column, char *words, size_t size)
{
    const size_t end = strlen(words);
    const char *text = "";
    for (size_t i = 0; i < p->n_cells && !*text; i++)
        text = p->cells[i].cell->texts[column];
    if (p->run->varies[column] || is_usual(text))
        return;
    if (column == KV_COLUMN_THREADS)
        snprintf(words + end, size - end, ", %.60s thread%s", text, strcmp(text, "1") == 0 ? "" : "s");
    else if (is_plain(column))
        snprintf(words + end, size - end, ", %.60s", text);
    else
        snprintf(words + end, size - end, ", %s %.60s", kv_column_info(column)->name, text);
}

/* "synthetic weights (seed 42), 2 threads, packed, avx512" */
static void write_setting(struct kv_picture *p)
{
    const char *source = p->cells[0].cell->texts[KV_COLUMN_WEIGHTS_SOURCE];
    const bool is_synthetic = strncmp(source, "synthetic:", 10) == 0;
    char words[800];
    snprintf(words, sizeof words, is_synthetic ? "synthetic weights (seed %.60s)" : "%.60s weights",
             is_synthetic ? source + 10 : source);
    add_setting(p, KV_COLUMN_THREADS, words, sizeof words);
    add_setting(p, KV_COLUMN_GEMM, words, sizeof words);
    add_setting(p, KV_COLUMN_ISA, words, sizeof words);
    for (int c = 0; c < KV_N_COLUMNS; c++)
        if (kv_picture_is_axis(c) && c != KV_COLUMN_PATH && !is_plain((enum kv_column)c))
            add_setting(p, (enum kv_column)c, words, sizeof words);
    kv_picture_text(p, "setting", words, "");
}

static void write_common(struct kv_picture *p)
{
    const char *const *texts = p->cells[0].cell->texts, *labels[KV_PICTURE_MAX_ARMS];
    double styles[KV_PICTURE_MAX_ARMS];
    char workload[200];
    for (int i = 0; i < p->n_arms; i++) {
        labels[i] = p->arms[i]->label;
        styles[i] = p->arms[i]->style;
    }
    snprintf(workload, sizeof workload, "prompt of %.40s token%s, %.40s new", texts[KV_COLUMN_PROMPT_TOKENS],
             strcmp(texts[KV_COLUMN_PROMPT_TOKENS], "1") == 0 ? "" : "s", texts[KV_COLUMN_NEW_TOKENS]);
    if (p->run->kind != KV_FILE_KERNELS) {
        write_model(p, texts[KV_COLUMN_MODEL]);
        write_setting(p);
        kv_picture_text(p, "workload", workload, "");
        kv_picture_text(p, "batch", texts[KV_COLUMN_BATCH], "");
    }
    kv_picture_texts(p, "arm", labels, p->n_arms);
    kv_picture_numbers(p, "arm_style", styles, p->n_arms);
    kv_picture_number(p, "not_ok", p->not_ok);
    kv_picture_number(p, "other_rows", p->others);
    kv_picture_number(p, "faults", p->faults);
    kv_picture_text(p, "steadiness", kv_steadiness(p->run->results).brief, "");
    kv_picture_number(p, "fewest", p->repetitions.low);
    kv_picture_number(p, "most", p->repetitions.high);
}

kv_status kv_picture_close(struct kv_picture *p)
{
    if (p->n_cells && !p->is_empty && !p->status)
        write_common(p);
    if (p->table_name)
        close_file(p, &p->table, &p->table_name);
    if (p->settings_name)
        close_file(p, &p->settings, &p->settings_name);
    free(p->cells);
    p->cells = NULL;
    return p->status;
}

/* ---- Tables --------------------------------------------------------------------------------------------------- */

void kv_picture_begin(struct kv_picture *p, const char *name, const char *header)
{
    open_file(p, &p->table, &p->table_name, name, ".tsv");
    if (!p->status)
        fprintf(p->table.stream, "%s\n", header);
}

void kv_picture_row(struct kv_picture *p, const double *values, size_t n)
{
    for (size_t i = 0; i < n && !p->status; i++) {
        print_number(p->table.stream, values[i]);
        fputc(i + 1 < n ? '\t' : '\n', p->table.stream);
    }
}

void kv_picture_end(struct kv_picture *p)
{
    close_file(p, &p->table, &p->table_name);
}

struct kv_stats_interval kv_picture_bar(const struct kv_sample *sample)
{
    if (!sample->n || !isnan(sample->interval.low))
        return sample->n ? sample->interval : (struct kv_stats_interval){NAN, NAN};
    return (struct kv_stats_interval){sample->values[0], sample->values[sample->n - 1]};
}

size_t kv_picture_points(struct kv_picture *p, const struct kv_picture_value *values, int n_values)
{
    struct kv_range ranges[MAX_VALUES];
    char header[MAX_VALUES * 120] = "arm\tbatch\tcontext_tokens";
    size_t n_points = 0;
    for (int v = 0; v < n_values; v++) {
        const char *name = values[v].name;
        const size_t end = strlen(header);
        ranges[v] = (struct kv_range){NAN, NAN};
        snprintf(header + end, sizeof header - end, "\t%s_n\t%s_mean\t%s_median\t%s_low\t%s_high", name, name, name,
                 name, name);
    }
    kv_picture_begin(p, "points", header);
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *cell = &p->cells[i];
        double row[3 + 5 * MAX_VALUES] = {cell->arm + 1, cell->group, cell->x};
        for (int v = 0; v < n_values; v++) {
            const struct kv_sample *sample = &cell->cell->figures[values[v].column];
            const double unit = values[v].unit;
            const struct kv_stats_interval bar = kv_picture_bar(sample);
            double of_value[5] = {(double)sample->n, kv_stats_mean(sample->values, sample->n) / unit,
                                  sample->median / unit, bar.low / unit, bar.high / unit};
            if (values[v].column == KV_COLUMN_LIMIT_PCT) {
                const double limit = sample->median / 100 * cell->cell->figures[KV_COLUMN_TTPT_MS].median / unit;
                of_value[1] = of_value[2] = of_value[3] = of_value[4] = limit;
            }
            memcpy(row + 3 + 5 * v, of_value, sizeof of_value);
            kv_range_add(&ranges[v], of_value[3]);
            kv_range_add(&ranges[v], of_value[4]);
            if (values[v].column != KV_COLUMN_LIMIT_PCT)
                kv_range_add(&p->repetitions, sample->n ? (double)sample->n : NAN);
            n_points += sample->n > 0;
        }
        kv_picture_row(p, row, (size_t)(3 + 5 * n_values));
    }
    kv_picture_end(p);
    for (int v = 0; v < n_values; v++)
        kv_picture_range(p, values[v].name, &ranges[v]);
    return n_points;
}
