/* What a trainer takes, and where in its one block of activations everything lies. */
#include "train/memory.h"

/* Logits of about so many bytes at a time; fewer rows would starve the matrix products. */
#define HEAD_BYTES    (64u << 20)
#define MIN_HEAD_ROWS 64

static int head_rows(const struct kv_config *c, size_t n_rows)
{
    size_t rows = HEAD_BYTES / ((size_t)c->vocab_size * sizeof(float));
    rows = rows < MIN_HEAD_ROWS ? MIN_HEAD_ROWS : rows;
    return (int)(rows < n_rows ? rows : n_rows);
}

/* Adds [a, b] floats: sets *pointer when there is a block already. */
static void add(struct kv_layout *layout, char *base, size_t a, size_t b, float **pointer)
{
    const size_t offset = kv_layout_add(layout, a, b, sizeof(float));
    if (base)
        *pointer = (float *)(void *)(base + offset);
}

static void add_norm(struct kv_layout *layout, char *base, size_t R, size_t C, struct kv_train_norm *norm)
{
    add(layout, base, R, C, &norm->normalized);
    add(layout, base, R, 1, &norm->scale);
}

static void add_layer(struct kv_layout *layout, char *base, const struct kv_config *c, size_t R,
                      struct kv_train_layer *layer)
{
    const size_t C = (size_t)c->n_embd, I = (size_t)c->n_inner;
    add_norm(layout, base, R, C, &layer->ln_1);
    add_norm(layout, base, R, C, &layer->ln_2);
    add(layout, base, R, 3 * C, &layer->qkv);
    add(layout, base, R, C, &layer->attended);
    add(layout, base, R, I, &layer->fc);
    add(layout, base, R, I, &layer->inner);
}

struct kv_layout kv_train_lay_out(const struct kv_train_shape *shape, char *base, struct kv_train_buffers *b,
                                  struct kv_train_layer *layers)
{
    const struct kv_config *c = shape->config;
    const size_t T = (size_t)shape->n_positions, n_threads = (size_t)shape->n_threads;
    const size_t R = (size_t)shape->batch * T, C = (size_t)c->n_embd;
    struct kv_layout layout = {0}, one_layer = {0};
    struct kv_train_layer sized;
    b->head_rows = head_rows(c, R);
    add_norm(&layout, base, R, C, &b->ln_f);
    add(&layout, base, R, C, &b->x);
    add(&layout, base, R, C, &b->h);
    add(&layout, base, R, C, &b->dh);
    add(&layout, base, R, C, &b->dattended);
    add(&layout, base, R, 3 * C, &b->dqkv);
    add(&layout, base, R, (size_t)c->n_inner, &b->dinner);
    add(&layout, base, (size_t)b->head_rows, (size_t)c->vocab_size, &b->logits);
    add(&layout, base, n_threads * 2 * KV_TRAIN_QUERY_TILE, T, &b->scores);
    const size_t losses = kv_layout_add(&layout, R, 1, sizeof(double));
    const size_t square_sums = kv_layout_add(&layout, n_threads, 1, sizeof(double));
    add_layer(&one_layer, NULL, c, R, &sized);
    layout.overflow |= one_layer.overflow;
    const size_t first_layer = kv_layout_add(&layout, (size_t)c->n_layer, one_layer.bytes, 1);
    if (!base)
        return layout;
    b->losses = (double *)(void *)(base + losses);
    b->square_sums = (double *)(void *)(base + square_sums);
    for (int l = 0; l < c->n_layer; l++) {
        struct kv_layout place = {0};
        add_layer(&place, base + first_layer + (size_t)l * one_layer.bytes, c, R, &layers[l]);
    }
    return layout;
}

/* All layers are alike: one is asked for, and counted n_layer times. */
static struct kv_layout weights_layout(const struct kv_config *config)
{
    struct kv_config one = *config;
    struct kv_tensor_slot slot;
    struct kv_layout layout = {0}, layer = {0};
    one.n_layer = 1;
    for (size_t i = 0; kv_model_describe(&one, i, &slot); i++)
        kv_layout_add(slot.name[0] == 'h' ? &layer : &layout, slot.shape[0], slot.shape[1], sizeof(float));
    layout.overflow |= layer.overflow;
    kv_layout_add(&layout, (size_t)config->n_layer, layer.bytes, 1);
    return layout;
}

size_t kv_trainer_bytes(const struct kv_config *c, int batch, int n_positions, int n_threads)
{
    const int sizes[] = {c->n_layer,     c->n_head, c->n_embd,   c->n_inner, c->vocab_size,
                         c->n_positions, batch,     n_positions, n_threads};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] < 1)
            return 0;
    const struct kv_train_shape shape = {c, batch, n_positions, n_threads};
    struct kv_train_buffers buffers;
    struct kv_layout weights = weights_layout(c), all = kv_train_lay_out(&shape, NULL, &buffers, NULL);
    kv_layout_add(&all, KV_TRAINER_N_PARTS, weights.bytes, 1);
    return weights.overflow || all.overflow ? 0 : all.bytes;
}
