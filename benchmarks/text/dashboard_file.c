/* A dashboard's CSV, written and read again. */
#include "text/dashboard.h"

#include "base/error.h"
#include "results/csv.h"

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
    row.step = step + 1;
    for (int panel = 0; !status && panel < d->n_layers * d->n_heads; panel++) {
        row.layer = d->first_layer + panel / d->n_heads;
        row.head = d->first_head + panel % d->n_heads;
        const float *weights = kv_dashboard_attention(d, row.layer, row.head, step);
        const float *of_f32 = *d->kv ? kv_dashboard_attention_f32(d, row.layer, row.head, step) : NULL;
        for (int t = 0; !status && t < d->n_prompt + step; t++) {
            row.kind = "attention";
            row.position = t;
            row.token = d->tokens[t];
            row.value = (double)weights[t];
            status = write_row(writer, &row, error);
            if (status || !of_f32)
                continue;
            row.kind = "attention_f32";
            row.value = (double)of_f32[t];
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
    if (!status && *d->kv)
        status = write_text(writer, "kv", d->kv, error);
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
    {"kv", 0},
    {"token", 1 << STEP | 1 << POSITION | 1 << TOKEN},
    {"attention", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << VALUE},
    {"attention_f32", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << VALUE},
    {"query", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
    {"key", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
    {"value", 1 << STEP | 1 << LAYER | 1 << HEAD | 1 << POSITION | 1 << DIMENSION | 1 << VALUE},
};
enum { MODEL, WEIGHTS, KV, A_TOKEN, ATTENTION, ATTENTION_F32, QUERY, KEY, A_VALUE, N_KINDS };

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

/* The sizes, and whether there are weights of float32 beside the others, from all rows. */
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
        } else if (row.kind == KV) {
            snprintf(d->kv, sizeof d->kv, "%s", row.text);
        } else if (row.kind == ATTENTION || row.kind == ATTENTION_F32) {
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
    if (row->kind == ATTENTION_F32 && !*d->kv)
        return; /* nor of which cache the others are */
    if (row->kind == ATTENTION)
        kv_dashboard_attention(d, (int)row->numbers[LAYER], (int)row->numbers[HEAD], step - 1)[position] = value;
    else if (row->kind == ATTENTION_F32)
        kv_dashboard_attention_f32(d, (int)row->numbers[LAYER], (int)row->numbers[HEAD], step - 1)[position] = value;
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
        else if (row.kind == A_TOKEN && row.numbers[POSITION] <= d->n_positions) {
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
