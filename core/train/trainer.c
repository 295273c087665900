/* A trainer's memory and its life, the optimizer, and a step. */
#include "train/trainer.h"
#include "base/error.h"
#include "base/random.h"

#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What does not need a trainer ---------------------------------------------------------------------------- */

float kv_learning_rate(const struct kv_learning_schedule *s, int64_t step)
{
    if (step < s->warmup_steps)
        return (float)((double)s->peak * (double)(step + 1) / (double)(s->warmup_steps + 1));
    if (step >= s->total_steps)
        return s->floor;
    const double progress = (double)(step - s->warmup_steps) / (double)(s->total_steps - s->warmup_steps);
    return (float)((double)s->floor + 0.5 * (1.0 + cos(M_PI * progress)) * ((double)s->peak - (double)s->floor));
}

void kv_training_batch(const int32_t *ids, size_t n_ids, uint64_t seed, int64_t step, int batch, int n_positions,
                       int32_t *tokens, int32_t *targets)
{
    const size_t T = (size_t)n_positions;
    for (int b = 0; b < batch; b++) {
        const uint64_t draw = kv_draw64(kv_mix64(seed), (uint64_t)step * (uint64_t)batch + (uint64_t)b);
        const size_t start = draw % (n_ids - T); /* n_ids is so far below 2^64 that no window is favoured */
        memcpy(tokens + (size_t)b * T, ids + start, T * sizeof *ids);
        memcpy(targets + (size_t)b * T, ids + start + 1, T * sizeof *ids);
    }
}

struct kv_trainer_options kv_trainer_default_options(void)
{
    return (struct kv_trainer_options){
        .beta1 = 0.9f, .beta2 = 0.95f, .epsilon = 1e-8f, .weight_decay = 0.1f, .clip_norm = 1.0f};
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

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

struct shape {
    const struct kv_config *config;
    int batch, n_positions, n_threads;
};

/* Bytes of the activations; with a block of that size at `base`, also the places in it. base NULL: only the size,
 * and layers [n_layer] may be NULL. */
static struct kv_layout lay_out(const struct shape *shape, char *base, struct kv_train_buffers *b,
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
    const struct shape shape = {c, batch, n_positions, n_threads};
    struct kv_train_buffers buffers;
    struct kv_layout weights = weights_layout(c), all = lay_out(&shape, NULL, &buffers, NULL);
    kv_layout_add(&all, KV_TRAINER_N_PARTS, weights.bytes, 1);
    return weights.overflow || all.overflow ? 0 : all.bytes;
}

/* ---- Creation ------------------------------------------------------------------------------------------------ */

static kv_status check_arguments(const struct kv_config *c, int batch, int n_positions,
                                 const struct kv_trainer_options *o, struct kv_error *error)
{
    if (c->n_layer < 1 || c->n_head < 1 || c->n_embd < 1 || c->n_inner < 1 || c->vocab_size < 1 || c->n_positions < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "model: every size of its config must be at least 1");
    if (batch < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "batch: %d is not at least 1", batch);
    if (n_positions < 1 || n_positions > c->n_positions)
        return kv_fail(error, KV_ERROR_ARGUMENT, "context: %d is not in 1..%d (the model's n_positions)", n_positions,
                       c->n_positions);
    if (batch > INT_MAX / n_positions || batch > INT_MAX / c->n_head || c->n_embd > INT_MAX / 3)
        return kv_fail(error, KV_ERROR_ARGUMENT, "batch: %d sequences of %d positions are too many; use fewer", batch,
                       n_positions);
    if (!(o->beta1 >= 0 && o->beta1 < 1 && o->beta2 >= 0 && o->beta2 < 1))
        return kv_fail(error, KV_ERROR_ARGUMENT, "beta1 (%g) and beta2 (%g) must be at least 0 and below 1",
                       (double)o->beta1, (double)o->beta2);
    if (!(o->epsilon > 0 && o->weight_decay >= 0 && o->clip_norm >= 0))
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "epsilon (%g) must be above 0, weight decay (%g) and clip norm (%g) at least 0",
                       (double)o->epsilon, (double)o->weight_decay, (double)o->clip_norm);
    return KV_OK;
}

static kv_status check_memory(const struct kv_config *c, int batch, int n_positions, int n_threads,
                              struct kv_error *error)
{
    const size_t bytes = kv_trainer_bytes(c, batch, n_positions, n_threads), available = kv_memory_available();
    if (bytes == 0)
        return kv_fail(error, KV_ERROR_MEMORY, "training: its size overflows; use a smaller model or batch");
    if (bytes > available)
        return kv_fail(error, KV_ERROR_MEMORY,
                       "training takes %.1f MiB, %.1f MiB are available; use a smaller batch, context or model",
                       (double)bytes / 0x1p20, (double)available / 0x1p20);
    return KV_OK;
}

/* Gradients and moments: blocks and slots like those of the weights. */
static kv_status allocate_parts(struct kv_trainer *t, struct kv_error *error)
{
    static const char *const names[] = {"weights", "gradients", "first moments", "second moments"};
    const struct kv_block weights = t->parts[KV_TRAINER_WEIGHTS] = t->model->block;
    const size_t slots_bytes = (size_t)t->n_slots * sizeof *t->slots[0];
    for (int part = KV_TRAINER_GRADIENTS; part < KV_TRAINER_N_PARTS; part++) {
        struct kv_layout layout = {0};
        kv_layout_add(&layout, weights.bytes, 1, 1);
        const kv_status status = kv_block_allocate(&t->parts[part], &layout, names[part], error);
        if (status)
            return status;
        t->slots[part] = malloc(slots_bytes);
        if (!t->slots[part])
            return kv_fail(error, KV_ERROR_MEMORY, "training: no memory for %d tensors", t->n_slots);
        memcpy(t->slots[part], t->slots[KV_TRAINER_WEIGHTS], slots_bytes);
        for (int i = 0; i < t->n_slots; i++) {
            const ptrdiff_t offset = (char *)t->slots[part][i].data - weights.base;
            t->slots[part][i].data = (float *)(void *)(t->parts[part].base + offset);
        }
    }
    return KV_OK;
}

static kv_status allocate_activations(struct kv_trainer *t, struct kv_error *error)
{
    const struct kv_config *c = &t->model->config;
    const struct shape shape = {c, t->batch, t->n_positions, kv_pool_size(t->pool)};
    const struct kv_layout layout = lay_out(&shape, NULL, &t->buffers, NULL);
    t->layers = calloc((size_t)c->n_layer, sizeof *t->layers);
    if (!t->layers)
        return kv_fail(error, KV_ERROR_MEMORY, "training: no memory for %d layers", c->n_layer);
    const kv_status status = kv_block_allocate(&t->work, &layout, "training (activations)", error);
    if (!status)
        lay_out(&shape, t->work.base, &t->buffers, t->layers);
    return status;
}

static void prepare_job(void *argument, int rank)
{
    (void)argument;
    (void)rank;
    kv_matmul_openblas.prepare_thread();
}

kv_status kv_trainer_create(struct kv_trainer **out, const struct kv_config *config, int batch, int n_positions,
                            struct kv_pool *pool, const struct kv_trainer_options *options, struct kv_error *error)
{
    *out = NULL;
    struct kv_trainer *t = calloc(1, sizeof *t);
    if (!t)
        return kv_fail(error, KV_ERROR_MEMORY, "training: no memory");
    *t = (struct kv_trainer){.pool = pool, .options = *options, .batch = batch, .n_positions = n_positions};
    kv_status status = check_arguments(config, batch, n_positions, options, error);
    if (!status)
        status = check_memory(config, batch, n_positions, kv_pool_size(pool), error);
    if (!status)
        status = kv_model_layout(&t->model, config, &kv_format_f32, KV_WEIGHTS_PLAIN, &t->slots[KV_TRAINER_WEIGHTS],
                                 &t->n_slots, error);
    if (!status)
        status = allocate_parts(t, error);
    if (!status)
        status = allocate_activations(t, error);
    if (!status)
        status = kv_kernels_find(NULL, &t->kernels, error);
    if (status) {
        kv_trainer_free(t);
        return status;
    }
    t->n_rows = batch * n_positions;
    snprintf(t->model->source, sizeof t->model->source, "F32");
    kv_pool_run(pool, prepare_job, NULL);
    *out = t;
    return KV_OK;
}

void kv_trainer_free(struct kv_trainer *t)
{
    if (!t)
        return;
    for (int part = KV_TRAINER_WEIGHTS; part < KV_TRAINER_N_PARTS; part++) {
        free(t->slots[part]);
        if (part != KV_TRAINER_WEIGHTS)
            kv_block_free(&t->parts[part]);
    }
    kv_block_free(&t->work);
    kv_model_free(t->model);
    free(t->layers);
    free(t);
}

/* ---- Weights ------------------------------------------------------------------------------------------------- */

kv_status kv_trainer_copy_weights(struct kv_trainer *t, const struct kv_model *model, struct kv_error *error)
{
    const struct kv_config *a = &t->model->config, *b = &model->config;
    if (model->layout != KV_WEIGHTS_PLAIN)
        return kv_fail(error, KV_ERROR_ARGUMENT, "training: the weights are packed; load them for matmul openblas");
    if (a->n_layer != b->n_layer || a->n_embd != b->n_embd || a->n_inner != b->n_inner || a->n_head != b->n_head ||
        a->vocab_size != b->vocab_size || a->n_positions != b->n_positions || a->activation != b->activation ||
        a->layer_norm_epsilon != b->layer_norm_epsilon)
        return kv_fail(error, KV_ERROR_ARGUMENT, "training: the weights are of a model of another shape");
    memcpy(t->model->block.base, model->block.base, model->block.bytes);
    return KV_OK;
}

/* Deviation of a tensor that is drawn; the gains and biases are not. */
static float initial_deviation(const struct kv_config *c, const char *name)
{
    const bool residual = strstr(name, ".c_proj.") != NULL;
    return residual ? 0.02f / sqrtf(2.0f * (float)c->n_layer) : 0.02f;
}

kv_status kv_trainer_initialize(struct kv_trainer *t, uint64_t seed, struct kv_error *error)
{
    struct kv_model *drawn;
    kv_status status = kv_model_synthesize(&drawn, &t->model->config, seed, NULL, "openblas", t->pool, error);
    if (status)
        return status;
    status = kv_trainer_copy_weights(t, drawn, error);
    kv_model_free(drawn);
    /* Drawn wider, with deviation sqrt(2 / C), and with noise on gains and biases: model/synthetic.c. */
    const float drawn_deviation = sqrtf(2.0f / (float)t->model->config.n_embd);
    for (int i = 0; !status && i < t->n_slots; i++) {
        const struct kv_tensor_slot *slot = &t->slots[KV_TRAINER_WEIGHTS][i];
        const float factor = initial_deviation(&t->model->config, slot->name) / drawn_deviation;
        for (size_t k = 0; k < slot->n_elements; k++)
            slot->data[k] = slot->role == KV_ROLE_MATRIX ? slot->data[k] * factor
                                                         : (slot->role == KV_ROLE_NORM ? 1.0f : 0.0f);
    }
    return status;
}

/* ---- Steps --------------------------------------------------------------------------------------------------- */

struct kv_adamw kv_train_adamw(const struct kv_trainer *t, float learning_rate)
{
    const struct kv_trainer_options *o = &t->options;
    const double step = (double)(t->steps + 1), rate = (double)learning_rate, clip = (double)o->clip_norm;
    return (struct kv_adamw){
        .gradient_scale = clip > 0 && t->gradient_norm > clip ? (float)(clip / t->gradient_norm) : 1.0f,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .epsilon = o->epsilon,
        .keep = (float)(1.0 - rate * (double)o->weight_decay),
        .rate = (float)(rate / (1.0 - pow((double)o->beta1, step))),
        .root_correction = (float)(1.0 / sqrt(1.0 - pow((double)o->beta2, step))),
    };
}

struct update {
    struct kv_trainer *trainer;
    struct kv_adamw adamw; /* `keep` is that of the tensors that decay */
};

/* Pool job: AdamW on every tensor. */
static void update_job(void *argument, int rank)
{
    const struct update *update = argument;
    const struct kv_trainer *t = update->trainer;
    const size_t n_ranks = (size_t)kv_pool_size(t->pool);
    for (int i = 0; i < t->n_slots; i++) {
        const struct kv_tensor_slot *slot = &t->slots[KV_TRAINER_WEIGHTS][i];
        const size_t begin = slot->n_elements * (size_t)rank / n_ranks;
        const size_t end = slot->n_elements * ((size_t)rank + 1) / n_ranks;
        struct kv_adamw adamw = update->adamw;
        if (slot->role != KV_ROLE_MATRIX)
            adamw.keep = 1.0f;
        t->kernels->train->adamw(&adamw, slot->data + begin, t->slots[KV_TRAINER_GRADIENTS][i].data + begin,
                                 t->slots[KV_TRAINER_FIRST_MOMENT][i].data + begin,
                                 t->slots[KV_TRAINER_SECOND_MOMENT][i].data + begin, end - begin);
    }
}

static kv_status check_ids(const struct kv_trainer *t, const char *what, const int32_t *ids, struct kv_error *error)
{
    const int V = t->model->config.vocab_size;
    for (int i = 0; i < t->n_rows; i++)
        if (ids[i] < 0 || ids[i] >= V)
            return kv_fail(error, KV_ERROR_ARGUMENT, "%s: %" PRId32 " is not in 0..%d (the model's vocab_size is %d)",
                           what, ids[i], V - 1, V);
    return KV_OK;
}

static void pass_job(void *argument, int rank)
{
    const struct kv_train_pass *pass = argument;
    const struct kv_trainer *t = pass->trainer;
    kv_train_forward(pass, rank);
    kv_train_head(pass, rank);
    if (!pass->with_gradients)
        return;
    kv_train_backward(pass, rank);
    kv_pool_barrier(t->pool);
    const struct kv_block *gradients = &t->parts[KV_TRAINER_GRADIENTS];
    const size_t n = gradients->bytes / sizeof(float), n_ranks = (size_t)kv_pool_size(t->pool);
    const size_t begin = n * (size_t)rank / n_ranks, end = n * ((size_t)rank + 1) / n_ranks;
    t->buffers.square_sums[rank] = t->kernels->train->squares((const float *)(const void *)gradients->base + begin,
                                                              end - begin);
}

/* Runs the pass and works out the loss, which must be a number. */
static kv_status run_pass(struct kv_train_pass *pass, double *loss, struct kv_error *error)
{
    struct kv_trainer *t = pass->trainer;
    *loss = NAN;
    kv_status status = check_ids(t, "tokens", pass->tokens, error);
    if (!status)
        status = check_ids(t, "targets", pass->targets, error);
    if (status)
        return status;
    kv_pool_run(t->pool, pass_job, pass);
    double sum = 0;
    for (int row = 0; row < t->n_rows; row++)
        sum += t->buffers.losses[row];
    *loss = sum / (double)t->n_rows;
    if (!isfinite(*loss))
        return kv_fail(error, KV_ERROR_NUMERIC,
                       "the loss after %" PRId64 " steps is not a number; go back to a checkpoint and lower the "
                       "learning rate",
                       t->steps);
    return KV_OK;
}

kv_status kv_trainer_step(struct kv_trainer *t, const int32_t *tokens, const int32_t *targets, float learning_rate,
                          double *loss, struct kv_error *error)
{
    struct kv_train_pass pass = {t, tokens, targets, true};
    if (!(learning_rate >= 0 && isfinite(learning_rate))) {
        *loss = NAN;
        return kv_fail(error, KV_ERROR_ARGUMENT, "learning rate: %g is not a number of at least 0",
                       (double)learning_rate);
    }
    const kv_status status = run_pass(&pass, loss, error);
    if (status)
        return status;
    double sum = 0;
    for (int rank = 0; rank < kv_pool_size(t->pool); rank++)
        sum += t->buffers.square_sums[rank];
    t->gradient_norm = sqrt(sum);
    if (!isfinite(t->gradient_norm))
        return kv_fail(error, KV_ERROR_NUMERIC,
                       "a gradient after %" PRId64 " steps is not a number; go back to a checkpoint and lower the "
                       "learning rate",
                       t->steps);
    struct update update = {t, kv_train_adamw(t, learning_rate)};
    kv_pool_run(t->pool, update_job, &update);
    t->steps++;
    return KV_OK;
}

kv_status kv_trainer_loss(struct kv_trainer *t, const int32_t *tokens, const int32_t *targets, double *loss,
                          struct kv_error *error)
{
    struct kv_train_pass pass = {t, tokens, targets, false};
    return run_pass(&pass, loss, error);
}

/* ---- What can be read ---------------------------------------------------------------------------------------- */

const struct kv_model *kv_trainer_model(const struct kv_trainer *t)
{
    return t->model;
}

double kv_trainer_gradient_norm(const struct kv_trainer *t)
{
    return t->gradient_norm;
}

int64_t kv_trainer_steps(const struct kv_trainer *t)
{
    return t->steps;
}
