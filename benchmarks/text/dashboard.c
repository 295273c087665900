#include "text/dashboard.h"

#include "base/error.h"
#include "measure/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the weights of a step begin among those of all. */
static size_t place_of(const struct kv_dashboard *d, int layer, int head, int step)
{
    const size_t panel = (size_t)(layer - d->first_layer) * (size_t)d->n_heads + (size_t)(head - d->first_head);
    return (panel * (size_t)d->n_steps + (size_t)step) * (size_t)d->n_positions;
}

float *kv_dashboard_attention(const struct kv_dashboard *d, int layer, int head, int step)
{
    return d->attention + place_of(d, layer, head, step);
}

float *kv_dashboard_attention_f32(const struct kv_dashboard *d, int layer, int head, int step)
{
    return d->attention_f32 + place_of(d, layer, head, step);
}

struct kv_dashboard_change kv_dashboard_change(const struct kv_dashboard *d, int layer, int head, int step)
{
    const float *weights = kv_dashboard_attention(d, layer, head, step);
    const float *of_f32 = kv_dashboard_attention_f32(d, layer, head, step);
    struct kv_dashboard_change change = {0, 0};
    for (int t = 0; t < d->n_prompt + step; t++) {
        const double size = fabs((double)weights[t] - (double)of_f32[t]);
        change.largest = size > change.largest ? size : change.largest;
        change.moved += size / 2;
    }
    return change;
}

static bool is_recorded(const struct kv_dashboard *d, const struct kv_attention_view *view)
{
    const int layer = view->layer - d->first_layer, head = view->head - d->first_head;
    return layer >= 0 && layer < d->n_layers && head >= 0 && head < d->n_heads;
}

/* Both run on every thread of the pool; each head has its own place. */
static void look_f32(void *context, const struct kv_attention_view *view)
{
    const struct kv_dashboard *d = context;
    if (is_recorded(d, view))
        kv_view_weights(view, kv_dashboard_attention_f32(d, view->layer, view->head, view->n_positions - d->n_prompt));
}

static void look(void *context, const struct kv_attention_view *view)
{
    const struct kv_dashboard *d = context;
    if (!is_recorded(d, view))
        return;
    const int step = view->n_positions - d->n_prompt;
    kv_view_weights(view, kv_dashboard_attention(d, view->layer, view->head, step));
    if (!d->detailed)
        return;
    const size_t n = (size_t)d->head_size;
    memcpy(d->queries + (size_t)step * n, view->query, n * sizeof *d->queries);
    for (int t = step == 0 ? 0 : view->n_positions - 1; t < view->n_positions; t++)
        for (int i = 0; kv_view_keeps(view, t) && i < d->head_size; i++) {
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

/* The type of a session's cache, unless that is f32: then, and of a path that keeps nothing, "". */
static const char *fewer_bits(const struct kv_session_options *o)
{
    const char *kv = o->kv && kv_path_keeps(o->path) ? kv_kv_name(o->kv) : NULL;
    return kv && strcmp(kv, kv_kv_choice(0)->name) != 0 ? kv : "";
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
    d->head_size = d->detailed ? c->n_embd / c->n_head : 0;
    d->n_prompt = o->n_prompt;
    d->n_steps = o->n_new < room ? o->n_new : room;
    d->n_positions = d->n_prompt + d->n_steps - 1;
    snprintf(d->kv, sizeof d->kv, "%s", fewer_bits(&o->session));
    return kv_dashboard_allocate(d, error);
}

/* A space before a word is a dot; what is nothing but white space has a sign of its own; other bytes show the id. */
static void make_label(char label[KV_DASHBOARD_LABEL], const struct kv_tokenizer *tokenizer, int32_t token)
{
    enum { SIZE = 16, MOST_BYTES = SIZE - 3 }; /* what a row of the picture has room for */
    size_t n = 0;
    const char *text = tokenizer ? kv_tokenizer_token(tokenizer, token, &n) : NULL;
    bool plain = n > 0 && n <= MOST_BYTES;
    for (size_t i = 0; plain && i < n; i++)
        plain = text[i] >= ' ' && text[i] <= '~';
    if (n == 1 && (text[0] == ' ' || text[0] == '\n'))
        snprintf(label, SIZE, "%s", text[0] == ' ' ? "\u2423" : "\u21b5");
    else if (plain && text[0] == ' ')
        snprintf(label, SIZE, "\u00b7%.*s", (int)n - 1, text + 1);
    else if (plain)
        snprintf(label, SIZE, "%.*s", (int)n, text);
    else
        snprintf(label, SIZE, "%d", (int)token);
}

/* One session to its end, shown to `observer`; tokens [n_new], or NULL: what it selected. */
static kv_status run(const struct kv_decoder_options *options, const struct kv_model *model, struct kv_pool *pool,
                     const struct kv_observer *observer, int32_t *tokens, struct kv_error *error)
{
    struct kv_decoder decoder;
    kv_status status = kv_decoder_create(&decoder, model, pool, options, error);
    if (status)
        return status;
    kv_session_observe(decoder.session, observer);
    status = kv_decoder_run(&decoder, error);
    if (!status && tokens)
        memcpy(tokens, decoder.generation.tokens, (size_t)options->n_new * sizeof *tokens);
    kv_decoder_free(&decoder);
    return status;
}

/* With fewer bits, a float32 cache then sees the same tokens. */
static kv_status generate(struct kv_dashboard *d, const struct kv_model *model, struct kv_pool *pool,
                          const struct kv_dashboard_options *o, struct kv_error *error)
{
    const struct kv_observer observer = {look, d}, of_f32 = {look_f32, d};
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
    memcpy(d->tokens, o->prompt, (size_t)o->n_prompt * sizeof *d->tokens);
    const kv_status status = run(&options, model, pool, &observer, d->tokens + o->n_prompt, error);
    if (status || !*d->kv)
        return status;
    options.session.kv = kv_kv_choice(0)->name;
    options.given_text = d->tokens + o->n_prompt;
    return run(&options, model, pool, &of_f32, NULL, error);
}

kv_status kv_dashboard_record(struct kv_dashboard **out, const struct kv_model *model, struct kv_pool *pool,
                              const char *name, const struct kv_tokenizer *tokenizer,
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
        return status;
    }
    snprintf((*out)->model, sizeof(*out)->model, "%s", name);
    snprintf((*out)->weights, sizeof(*out)->weights, "%s", kv_model_source(model));
    for (int t = 0; t <= (*out)->n_positions; t++)
        make_label((*out)->labels[t], tokenizer, (*out)->tokens[t]);
    return KV_OK;
}

/* [rows, columns] of NaN; NULL without memory. */
static float *unknown_numbers(size_t rows, size_t columns)
{
    float *numbers = calloc(rows * columns + 1, sizeof *numbers);
    for (size_t i = 0; numbers && i < rows * columns; i++)
        numbers[i] = NAN;
    return numbers;
}

kv_status kv_dashboard_allocate(struct kv_dashboard *d, struct kv_error *error)
{
    const size_t T = (size_t)d->n_positions, steps = (size_t)d->n_steps, n = (size_t)d->head_size;
    d->tokens = calloc(T + 1, sizeof *d->tokens);
    d->labels = calloc(T + 1, sizeof *d->labels);
    d->queries = unknown_numbers(steps, n);
    d->keys = unknown_numbers(T, n);
    d->values = unknown_numbers(T, n);
    d->attention = unknown_numbers((size_t)d->n_layers * (size_t)d->n_heads * steps, T);
    if (*d->kv)
        d->attention_f32 = unknown_numbers((size_t)d->n_layers * (size_t)d->n_heads * steps, T);
    if (d->tokens && d->labels && d->queries && d->keys && d->values && d->attention && (d->attention_f32 || !*d->kv))
        return KV_OK;
    return kv_fail(error, KV_ERROR_MEMORY, "no memory to record %zu steps of %zu positions: ask for fewer tokens",
                   steps, T);
}

void kv_dashboard_free(struct kv_dashboard *d)
{
    if (!d)
        return;
    free(d->tokens);
    free(d->labels);
    free(d->queries);
    free(d->keys);
    free(d->values);
    free(d->attention);
    free(d->attention_f32);
    free(d);
}
