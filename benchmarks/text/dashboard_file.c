/* A dashboard's CSV, written and read again, and the tables that gnuplot draws from. */
#include "text/dashboard.h"

#include "base/error.h"
#include "base/file.h"
#include "results/csv.h"
#include "results/stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Writing ------------------------------------------------------------------------------------------- */

enum { UNKNOWN = -1 };

struct row {
    const char *kind;
    int step, layer, head, position, dimension; /* UNKNOWN: empty */
    double value;                               /* NaN: empty */
    int32_t token;
    const char *text;
};

static const struct row empty = {NULL, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NAN, UNKNOWN, NULL};

static void add_integer(struct kv_csv_writer *writer, int value)
{
    if (value == UNKNOWN)
        kv_csv_add_unknown(writer);
    else
        kv_csv_add_integer(writer, value);
}

static kv_status write_row(struct kv_csv_writer *writer, const struct row *row, struct kv_error *error)
{
    add_integer(writer, row->step);
    kv_csv_add_text(writer, row->kind);
    add_integer(writer, row->layer);
    add_integer(writer, row->head);
    add_integer(writer, row->position);
    add_integer(writer, row->dimension);
    kv_csv_add_double(writer, row->value);
    add_integer(writer, row->token);
    kv_csv_add_text(writer, row->text);
    return kv_csv_end_row(writer, error);
}

static kv_status write_text(struct kv_csv_writer *writer, const char *kind, const char *text, struct kv_error *error)
{
    struct row row = empty;
    row.kind = kind;
    row.text = text;
    return write_row(writer, &row, error);
}

static kv_status write_tokens(struct kv_csv_writer *writer, const struct kv_dashboard *d, struct kv_error *error)
{
    struct row row = empty;
    kv_status status = KV_OK;
    row.kind = "token";
    for (int t = 0; !status && t < d->n_prompt + d->n_steps; t++) {
        row.position = t;
        row.step = t < d->n_prompt ? 0 : t - d->n_prompt + 1;
        row.token = d->tokens[t];
        row.text = d->labels[t];
        status = write_row(writer, &row, error);
    }
    return status;
}

/* One query, key or value [head_size]. */
static kv_status write_vector(struct kv_csv_writer *writer, const struct kv_dashboard *d, const char *kind, int step,
                              int position, const float *vector, struct kv_error *error)
{
    struct row row = {kind, step, d->first_layer, d->first_head, position, 0, 0, d->tokens[position], NULL};
    kv_status status = KV_OK;
    for (; !status && row.dimension < d->head_size; row.dimension++) {
        row.value = (double)vector[row.dimension];
        status = write_row(writer, &row, error);
    }
    return status;
}

static kv_status write_attention(struct kv_csv_writer *writer, const struct kv_dashboard *d, int step,
                                 struct kv_error *error)
{
    struct row row = empty;
    kv_status status = KV_OK;
    row.kind = "attention";
    row.step = step + 1;
    for (int panel = 0; !status && panel < d->n_layers * d->n_heads; panel++) {
        row.layer = d->first_layer + panel / d->n_heads;
        row.head = d->first_head + panel % d->n_heads;
        const float *weights = kv_dashboard_attention(d, row.layer, row.head, step);
        for (int t = 0; !status && t < d->n_prompt + step; t++) {
            row.position = t;
            row.token = d->tokens[t];
            row.value = (double)weights[t];
            status = write_row(writer, &row, error);
        }
    }
    return status;
}

static kv_status write_step(struct kv_csv_writer *writer, const struct kv_dashboard *d, int step,
                            struct kv_error *error)
{
    const int newest = d->n_prompt + step - 1;
    const size_t n = (size_t)d->head_size;
    kv_status status = KV_OK;
    if (d->detailed)
        status = write_vector(writer, d, "query", step + 1, newest, d->queries + (size_t)step * n, error);
    for (int t = step == 0 ? 0 : newest; d->detailed && !status && t <= newest; t++) {
        status = write_vector(writer, d, "key", step + 1, t, d->keys + (size_t)t * n, error);
        if (!status)
            status = write_vector(writer, d, "value", step + 1, t, d->values + (size_t)t * n, error);
    }
    return status ? status : write_attention(writer, d, step, error);
}

static const char *const columns[] = {"step",      "kind",  "layer", "head", "position",
                                      "dimension", "value", "token", "text"};
enum { STEP, KIND, LAYER, HEAD, POSITION, DIMENSION, VALUE, TOKEN, TEXT, N_COLUMNS };

kv_status kv_dashboard_write(const struct kv_dashboard *d, const char *file, struct kv_error *error)
{
    struct kv_csv_writer *writer = NULL;
    kv_status status = kv_csv_create(&writer, file, columns, N_COLUMNS, error);
    if (!status)
        status = write_text(writer, "model", d->model, error);
    if (!status)
        status = write_text(writer, "weights", d->weights, error);
    if (!status)
        status = write_tokens(writer, d, error);
    for (int step = 0; !status && step < d->n_steps; step++)
        status = write_step(writer, d, step, error);
    if (!status)
        status = kv_csv_publish(writer, error);
    kv_csv_close(writer);
    return status;
}

/* ---- Reading ------------------------------------------------------------------------------------------- */

/* Which columns a row of that kind fills with numbers. */
static const struct kind {
    const char *name;
    unsigned needs; /* a bit a column */
} kinds[] = {
    {"model", 0},
    {"weights", 0},
    {"token", 1 << STEP | 1 << POSITION | 1 << TOKEN},
    {"attention", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << VALUE},
    {"query", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
    {"key", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
    {"value", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
};
enum { MODEL, WEIGHTS, A_TOKEN, ATTENTION, QUERY, KEY, A_VALUE, N_KINDS };

struct reader {
    const char *file;
    struct kv_csv_table *table;
    size_t column[N_COLUMNS];
    struct kv_dashboard *d;
};

/* A row as it was read: numbers by column, of which a kind has those that it needs. */
struct read_row {
    int kind;
    double numbers[N_COLUMNS];
    const char *text;
};

static kv_status refuse_number(const struct reader *r, size_t at, int column, const char *what, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_FORMAT, "%s line %zu: %s is \"%.40s\", which is %s", r->file,
                   kv_csv_line(r->table, at), columns[column], kv_csv_text(r->table, at, r->column[column]), what);
}

static kv_status read_row(const struct reader *r, size_t at, struct read_row *row, struct kv_error *error)
{
    const char *name = kv_csv_text(r->table, at, r->column[KIND]);
    for (row->kind = 0; row->kind < N_KINDS && strcmp(kinds[row->kind].name, name) != 0;)
        row->kind++;
    if (row->kind == N_KINDS)
        return refuse_number(r, at, KIND, "not known", error);
    row->text = kv_csv_text(r->table, at, r->column[TEXT]);
    for (int i = 0; i < N_COLUMNS; i++) {
        if (!(kinds[row->kind].needs >> i & 1))
            continue;
        const kv_status status = kv_csv_number(r->table, at, r->column[i], &row->numbers[i], error);
        if (status)
            return status;
        if (isnan(row->numbers[i]))
            return refuse_number(r, at, i, "no number", error);
        if (i != VALUE &&
            !(row->numbers[i] >= 0 && row->numbers[i] < INT32_MAX && row->numbers[i] == floor(row->numbers[i])))
            return refuse_number(r, at, i, "not a whole number", error);
    }
    return KV_OK;
}

static void widen(int value, int *first, int *n)
{
    if (*n == 0) {
        *first = value;
        *n = 1;
    } else if (value < *first) {
        *n += *first - value;
        *first = value;
    } else if (value - *first >= *n) {
        *n = value - *first + 1;
    }
}

/* The sizes, from all rows. */
static kv_status read_sizes(struct reader *r, struct kv_error *error)
{
    struct kv_dashboard *d = r->d;
    int n_tokens = 0;
    for (size_t at = 0; at < kv_csv_rows(r->table); at++) {
        struct read_row row;
        const kv_status status = read_row(r, at, &row, error);
        if (status)
            return status;
        if (row.kind == A_TOKEN) {
            n_tokens++;
            d->n_prompt += row.numbers[STEP] == 0;
        } else if (row.kind == ATTENTION) {
            widen((int)row.numbers[LAYER], &d->first_layer, &d->n_layers);
            widen((int)row.numbers[HEAD], &d->first_head, &d->n_heads);
        } else if (row.kind >= QUERY && row.numbers[DIMENSION] >= d->head_size) {
            d->head_size = (int)row.numbers[DIMENSION] + 1;
        }
    }
    d->n_steps = n_tokens - d->n_prompt;
    d->n_positions = n_tokens - 1;
    d->detailed = d->head_size > 0;
    const double n_rows = (double)kv_csv_rows(r->table);
    if (d->n_prompt < 1 || d->n_steps < 1 || d->n_layers < 1)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: no step is in it; record again with ./kvbench dashboard", r->file);
    if ((double)d->n_layers * d->n_heads > n_rows || d->head_size > n_rows)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: rows are missing; record again with ./kvbench dashboard", r->file);
    return KV_OK;
}

static void place_number(struct kv_dashboard *d, const struct read_row *row)
{
    const int step = (int)row->numbers[STEP], position = (int)row->numbers[POSITION];
    const size_t at = (size_t)position * (size_t)d->head_size + (size_t)row->numbers[DIMENSION];
    const float value = (float)row->numbers[VALUE];
    if (step < 1 || step > d->n_steps || position >= d->n_prompt + step - 1)
        return; /* no step of it shows that */
    if (row->kind == ATTENTION)
        kv_dashboard_attention(d, (int)row->numbers[LAYER], (int)row->numbers[HEAD], step - 1)[position] = value;
    else if (row->kind == KEY)
        d->keys[at] = value;
    else if (row->kind == A_VALUE)
        d->values[at] = value;
    else if (position == d->n_prompt + step - 2)
        d->queries[at - (size_t)(d->n_prompt - 1) * (size_t)d->head_size] = value;
}

static kv_status fill(struct reader *r, struct kv_error *error)
{
    struct kv_dashboard *d = r->d;
    kv_status status = kv_dashboard_allocate(d, error);
    for (size_t at = 0; !status && at < kv_csv_rows(r->table); at++) {
        struct read_row row = {.numbers = {0}};
        status = read_row(r, at, &row, error);
        if (status)
            break;
        if (row.kind == MODEL)
            snprintf(d->model, sizeof d->model, "%s", row.text);
        else if (row.kind == WEIGHTS)
            snprintf(d->weights, sizeof d->weights, "%s", row.text);
        else if (row.kind >= ATTENTION)
            place_number(d, &row);
        else if (row.numbers[POSITION] <= d->n_positions) {
            d->tokens[(int)row.numbers[POSITION]] = (int32_t)row.numbers[TOKEN];
            snprintf(d->labels[(int)row.numbers[POSITION]], sizeof *d->labels, "%s", row.text);
        }
    }
    return status;
}

kv_status kv_dashboard_read(struct kv_dashboard **out, const char *file, struct kv_error *error)
{
    struct reader r = {.file = file, .d = calloc(1, sizeof *r.d)};
    *out = NULL;
    kv_status status = r.d ? kv_csv_read(&r.table, file, error)
                           : kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to read it", file);
    for (int i = 0; !status && i < N_COLUMNS; i++)
        status = kv_csv_column(r.table, columns[i], &r.column[i], error);
    if (!status)
        status = read_sizes(&r, error);
    if (!status)
        status = fill(&r, error);
    kv_csv_free(r.table);
    if (status)
        kv_dashboard_free(r.d);
    else
        *out = r.d;
    return status;
}

/* ---- Tables -------------------------------------------------------------------------------------------- */

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

/* *largest: of all weights but the first token's. */
static kv_status write_attention_table(const struct tables *t, int step, double *largest, struct kv_error *error)
{
    const struct kv_dashboard *d = t->d;
    FILE *stream;
    kv_status status = open_table(t, "attention", step, &stream, error);
    for (int panel = 0; !status && panel < d->n_layers * d->n_heads; panel++) {
        const int layer = d->first_layer + panel / d->n_heads, head = d->first_head + panel % d->n_heads;
        const float *weights = kv_dashboard_attention(d, layer, head, step - 1);
        for (int i = 0; !status && i < d->n_prompt + step - 1; i++) {
            if (isnan(weights[i]))
                status = kv_fail(error, KV_ERROR_FORMAT,
                                 "%s: layer %d, head %d has no attention weight of step %d, position %d", t->file,
                                 layer, head, step, i);
            fprintf(stream, "%d\t%.9g\n", i, (double)weights[i]);
            *largest = i > 0 && (double)weights[i] > *largest ? (double)weights[i] : *largest;
        }
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
