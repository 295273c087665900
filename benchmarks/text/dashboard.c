#include "text/dashboard.h"

#include "base/error.h"
#include "measure/decoder.h"
#include "results/csv.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct kv_dashboard {
    int first_layer, n_layers;
    int first_head, n_heads;
    bool detailed; /* one head of one layer, with its queries, keys and values */
    int head_size;
    int n_prompt;
    int n_steps;      /* tokens generated */
    int n_positions;  /* of the cache at the last step: the prompt's, and one more for each step but the first */
    int32_t *tokens;  /* [n_positions + 1] the last one selected only */
    float *queries;   /* [n_steps, head_size] */
    float *keys;      /* [n_positions, head_size] */
    float *values;    /* [n_positions, head_size] */
    float *attention; /* [n_layers, n_heads, n_steps, n_positions] */
};

/* ---- Recording ----------------------------------------------------------------------------------------- */

static float *weights_at(const struct kv_dashboard *d, int layer, int head, int step)
{
    const size_t panel = (size_t)(layer - d->first_layer) * (size_t)d->n_heads + (size_t)(head - d->first_head);
    return d->attention + (panel * (size_t)d->n_steps + (size_t)step) * (size_t)d->n_positions;
}

/* Runs on every thread of the pool; each head has its own place. */
static void look(void *context, const struct kv_attention_view *view)
{
    const struct kv_dashboard *d = context;
    const int layer = view->layer - d->first_layer, head = view->head - d->first_head;
    if (layer < 0 || layer >= d->n_layers || head < 0 || head >= d->n_heads)
        return;
    const int step = view->n_positions - d->n_prompt;
    kv_view_weights(view, weights_at(d, view->layer, view->head, step));
    if (!d->detailed)
        return;
    const size_t n = (size_t)d->head_size;
    memcpy(d->queries + (size_t)step * n, view->query, n * sizeof *d->queries);
    for (int t = step == 0 ? 0 : view->n_positions - 1; t < view->n_positions; t++)
        for (int i = 0; i < d->head_size; i++) {
            d->keys[(size_t)t * n + (size_t)i] = kv_view_key(view, t, i);
            d->values[(size_t)t * n + (size_t)i] = kv_view_value(view, t, i);
        }
}

static kv_status check_options(const struct kv_config *c, const struct kv_dashboard_options *o, struct kv_error *error)
{
    if (o->layer < KV_DASHBOARD_ALL || o->layer >= c->n_layer)
        return kv_fail(error, KV_ERROR_ARGUMENT, "layer: %d is not in 0..%d", o->layer, c->n_layer - 1);
    if (o->head < KV_DASHBOARD_ALL || o->head >= c->n_head)
        return kv_fail(error, KV_ERROR_ARGUMENT, "head: %d is not in 0..%d", o->head, c->n_head - 1);
    if (o->layer == KV_DASHBOARD_ALL && o->head == KV_DASHBOARD_ALL)
        return kv_fail(error, KV_ERROR_ARGUMENT, "all layers and all heads at once: choose one of the two");
    if (o->n_prompt < 1 || o->n_new < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: a prompt of %d and %d new; at least 1 of each is needed",
                       o->n_prompt, o->n_new);
    if (o->n_prompt > c->n_positions)
        return kv_fail(error, KV_WINDOW_FULL, "tokens: a prompt of %d, the model's n_positions is %d", o->n_prompt,
                       c->n_positions);
    return KV_OK;
}

static kv_status create(struct kv_dashboard **out, const struct kv_config *c, const struct kv_dashboard_options *o,
                        struct kv_error *error)
{
    const int room = c->n_positions - o->n_prompt + 1;
    struct kv_dashboard *d = calloc(1, sizeof *d);
    *out = d;
    if (!d)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the dashboard: close other programs");
    d->first_layer = o->layer == KV_DASHBOARD_ALL ? 0 : o->layer;
    d->n_layers = o->layer == KV_DASHBOARD_ALL ? c->n_layer : 1;
    d->first_head = o->head == KV_DASHBOARD_ALL ? 0 : o->head;
    d->n_heads = o->head == KV_DASHBOARD_ALL ? c->n_head : 1;
    d->detailed = o->layer != KV_DASHBOARD_ALL && o->head != KV_DASHBOARD_ALL;
    d->head_size = c->n_embd / c->n_head;
    d->n_prompt = o->n_prompt;
    d->n_steps = o->n_new < room ? o->n_new : room;
    d->n_positions = d->n_prompt + d->n_steps - 1;
    const size_t T = (size_t)d->n_positions, steps = (size_t)d->n_steps, n = d->detailed ? (size_t)d->head_size : 1;
    d->tokens = calloc(T + 1, sizeof *d->tokens);
    d->queries = calloc(steps * n, sizeof *d->queries);
    d->keys = calloc(T * n, sizeof *d->keys);
    d->values = calloc(T * n, sizeof *d->values);
    d->attention = calloc((size_t)d->n_layers * (size_t)d->n_heads, steps * T * sizeof *d->attention);
    if (d->tokens && d->queries && d->keys && d->values && d->attention)
        return KV_OK;
    return kv_fail(error, KV_ERROR_MEMORY, "no memory to record %zu steps of %zu positions: ask for fewer tokens",
                   steps, T);
}

static kv_status generate(struct kv_dashboard *d, const struct kv_model *model, struct kv_pool *pool,
                          const struct kv_dashboard_options *o, struct kv_error *error)
{
    const struct kv_observer observer = {look, d};
    struct kv_decoder_options options = {
        .session = o->session,
        .prompts = o->prompt,
        .n_prompts = 1,
        .n_prompt = o->n_prompt,
        .n_new = d->n_steps,
        .end_of_text = -1,
    };
    options.session.batch = 1;
    options.session.capacity = 0;
    options.session.overflow = KV_OVERFLOW_STOP;
    struct kv_decoder decoder;
    kv_status status = kv_decoder_create(&decoder, model, pool, &options, error);
    if (status)
        return status;
    kv_session_observe(decoder.session, &observer);
    status = kv_decoder_run(&decoder, error);
    if (!status) {
        memcpy(d->tokens, o->prompt, (size_t)o->n_prompt * sizeof *d->tokens);
        memcpy(d->tokens + o->n_prompt, decoder.generation.tokens, (size_t)d->n_steps * sizeof *d->tokens);
    }
    kv_decoder_free(&decoder);
    return status;
}

kv_status kv_dashboard_record(struct kv_dashboard **out, const struct kv_model *model, struct kv_pool *pool,
                              const struct kv_dashboard_options *options, struct kv_error *error)
{
    const struct kv_config *config = kv_model_config(model);
    *out = NULL;
    kv_status status = check_options(config, options, error);
    if (!status)
        status = create(out, config, options, error);
    if (!status)
        status = generate(*out, model, pool, options, error);
    if (status) {
        kv_dashboard_free(*out);
        *out = NULL;
    }
    return status;
}

void kv_dashboard_free(struct kv_dashboard *d)
{
    if (!d)
        return;
    free(d->tokens);
    free(d->queries);
    free(d->keys);
    free(d->values);
    free(d->attention);
    free(d);
}

int kv_dashboard_steps(const struct kv_dashboard *d)
{
    return d->n_steps;
}

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

/* The longest label that a row of the picture has room for. */
enum { LABEL_SIZE = 16 };

/* A space before a word is a dot; what is nothing but white space has a sign of its own; other bytes show the id. */
static void make_label(char label[LABEL_SIZE], const struct kv_tokenizer *tokenizer, int32_t token)
{
    size_t n = 0;
    const char *text = tokenizer ? kv_tokenizer_token(tokenizer, token, &n) : NULL;
    bool plain = n > 0 && n < LABEL_SIZE - 2;
    for (size_t i = 0; plain && i < n; i++)
        plain = text[i] >= ' ' && text[i] <= '~';
    if (n == 1 && (text[0] == ' ' || text[0] == '\n'))
        snprintf(label, LABEL_SIZE, "%s", text[0] == ' ' ? "\u2423" : "\u21b5");
    else if (plain && text[0] == ' ')
        snprintf(label, LABEL_SIZE, "\u00b7%.*s", (int)n - 1, text + 1);
    else if (plain)
        snprintf(label, LABEL_SIZE, "%.*s", (int)n, text);
    else
        snprintf(label, LABEL_SIZE, "%d", (int)token);
}

static kv_status write_tokens(struct kv_csv_writer *writer, const struct kv_dashboard *d,
                              const struct kv_tokenizer *tokenizer, struct kv_error *error)
{
    char label[LABEL_SIZE];
    struct row row = empty;
    kv_status status = KV_OK;
    row.kind = "token";
    row.text = label;
    for (int t = 0; !status && t < d->n_prompt + d->n_steps; t++) {
        row.position = t;
        row.step = t < d->n_prompt ? 0 : t - d->n_prompt + 1;
        row.token = d->tokens[t];
        make_label(label, tokenizer, row.token);
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
        const float *weights = weights_at(d, row.layer, row.head, step);
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

static kv_status write_rows(const struct kv_dashboard *d, const char *model, const char *weights,
                            const struct kv_tokenizer *tokenizer, const char *file, struct kv_error *error)
{
    static const char *const columns[] = {"step",      "kind",  "layer", "head", "position",
                                          "dimension", "value", "token", "text"};
    struct kv_csv_writer *writer;
    kv_status status = kv_csv_append(&writer, file, columns, sizeof columns / sizeof columns[0], error);
    if (!status)
        status = write_text(writer, "model", model, error);
    if (!status)
        status = write_text(writer, "weights", weights, error);
    if (!status)
        status = write_tokens(writer, d, tokenizer, error);
    for (int step = 0; !status && step < d->n_steps; step++)
        status = write_step(writer, d, step, error);
    kv_csv_close(writer);
    return status;
}

kv_status kv_dashboard_write(const struct kv_dashboard *d, const char *model, const char *weights,
                             const struct kv_tokenizer *tokenizer, const char *file, struct kv_error *error)
{
    char *temporary;
    if (asprintf(&temporary, "%s.part-%ld", file, (long)getpid()) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write %s: close other programs", file);
    unlink(temporary); /* left by a killed process of the same number */
    kv_status status = write_rows(d, model, weights, tokenizer, temporary, error);
    if (!status && rename(temporary, file) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written: %s", file, strerror(errno));
    if (status)
        unlink(temporary);
    free(temporary);
    return status;
}
