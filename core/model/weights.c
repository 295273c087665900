#include "model/weights.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dimension { NONE, VOCABULARY, POSITIONS, EMBEDDING, EMBEDDING_3, INNER };

/* One row a tensor: its name in the file, its shape, and the pointer that finds it. */
struct tensor_row {
    const char *name;
    enum kv_tensor_role role;
    enum dimension rows, columns;
    enum kind { FLOATS, MATRIX, TRANSPOSED } kind;
    size_t field;
};

#define GLOBAL(field) offsetof(struct kv_model, field)
#define LAYER(field)  offsetof(struct kv_layer_weights, field)

static const struct tensor_row global_tensors[] = {
    {"wte.weight", KV_ROLE_MATRIX, VOCABULARY, EMBEDDING, TRANSPOSED, GLOBAL(wte)},
    {"wpe.weight", KV_ROLE_MATRIX, POSITIONS, EMBEDDING, FLOATS, GLOBAL(wpe)},
    {"ln_f.weight", KV_ROLE_NORM, EMBEDDING, NONE, FLOATS, GLOBAL(ln_f_weight)},
    {"ln_f.bias", KV_ROLE_BIAS, EMBEDDING, NONE, FLOATS, GLOBAL(ln_f_bias)},
};
static const struct tensor_row layer_tensors[] = {
    {"ln_1.weight", KV_ROLE_NORM, EMBEDDING, NONE, FLOATS, LAYER(ln_1_weight)},
    {"ln_1.bias", KV_ROLE_BIAS, EMBEDDING, NONE, FLOATS, LAYER(ln_1_bias)},
    {"attn.c_attn.weight", KV_ROLE_MATRIX, EMBEDDING, EMBEDDING_3, MATRIX, LAYER(c_attn_weight)},
    {"attn.c_attn.bias", KV_ROLE_BIAS, EMBEDDING_3, NONE, FLOATS, LAYER(c_attn_bias)},
    {"attn.c_proj.weight", KV_ROLE_MATRIX, EMBEDDING, EMBEDDING, MATRIX, LAYER(attn_proj_weight)},
    {"attn.c_proj.bias", KV_ROLE_BIAS, EMBEDDING, NONE, FLOATS, LAYER(attn_proj_bias)},
    {"ln_2.weight", KV_ROLE_NORM, EMBEDDING, NONE, FLOATS, LAYER(ln_2_weight)},
    {"ln_2.bias", KV_ROLE_BIAS, EMBEDDING, NONE, FLOATS, LAYER(ln_2_bias)},
    {"mlp.c_fc.weight", KV_ROLE_MATRIX, EMBEDDING, INNER, MATRIX, LAYER(c_fc_weight)},
    {"mlp.c_fc.bias", KV_ROLE_BIAS, INNER, NONE, FLOATS, LAYER(c_fc_bias)},
    {"mlp.c_proj.weight", KV_ROLE_MATRIX, INNER, EMBEDDING, MATRIX, LAYER(mlp_proj_weight)},
    {"mlp.c_proj.bias", KV_ROLE_BIAS, EMBEDDING, NONE, FLOATS, LAYER(mlp_proj_bias)},
};
enum {
    N_GLOBAL = sizeof global_tensors / sizeof global_tensors[0],
    N_LAYER = sizeof layer_tensors / sizeof layer_tensors[0],
};

static size_t dimension_size(const struct kv_config *c, enum dimension dimension)
{
    switch (dimension) {
    case VOCABULARY:
        return (size_t)c->vocab_size;
    case POSITIONS:
        return (size_t)c->n_positions;
    case EMBEDDING:
        return (size_t)c->n_embd;
    case EMBEDDING_3:
        return 3 * (size_t)c->n_embd;
    case INNER:
        return (size_t)c->n_inner;
    case NONE:
        break;
    }
    return 1;
}

/* The matrix of that row, without its memory. */
static struct kv_matrix matrix_of(const struct kv_config *c, const struct tensor_row *row,
                                  const struct kv_weight_format *format, enum kv_weight_layout layout)
{
    const int rows = (int)dimension_size(c, row->rows), columns = (int)dimension_size(c, row->columns);
    return (struct kv_matrix){
        .k = row->kind == TRANSPOSED ? columns : rows,
        .n = row->kind == TRANSPOSED ? rows : columns,
        .format = format,
        .layout = layout,
        .transposed = row->kind == TRANSPOSED,
    };
}

/* Where the parts of a tensor lie; scales only of a format that has them. */
struct place {
    size_t data, scales;
};

/* Adds the tensors of `rows` to the layout; `places` [n_rows]. */
static void lay_out(const struct kv_model *model, const struct tensor_row *rows, int n_rows, struct kv_layout *layout,
                    struct place *places)
{
    const struct kv_config *c = &model->config;
    for (int i = 0; i < n_rows; i++) {
        const struct kv_matrix matrix = matrix_of(c, &rows[i], model->format, model->layout);
        if (rows[i].kind == FLOATS)
            places[i].data = kv_layout_add(layout, dimension_size(c, rows[i].rows), dimension_size(c, rows[i].columns),
                                           sizeof(float));
        else
            model->format->lay_out(&matrix, layout, &places[i].data, &places[i].scales);
    }
}

static kv_status check_config(const struct kv_config *c, struct kv_error *error)
{
    const struct {
        const char *name;
        int value;
    } sizes[] = {{"n_layer", c->n_layer}, {"n_head", c->n_head},         {"n_embd", c->n_embd},
                 {"n_inner", c->n_inner}, {"vocab_size", c->vocab_size}, {"n_positions", c->n_positions}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].value < 1)
            return kv_fail(error, KV_ERROR_ARGUMENT, "model: %s is %d, it must be at least 1", sizes[i].name,
                           sizes[i].value);
    if (c->n_embd % c->n_head != 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "model: n_embd (%d) must be a multiple of n_head (%d)", c->n_embd,
                       c->n_head);
    return KV_OK;
}

/* The row of tensor `index`, and its layer: 0 for those that belong to none. */
static const struct tensor_row *find_row(size_t index, size_t *layer)
{
    *layer = index < N_GLOBAL ? 0 : (index - N_GLOBAL) / N_LAYER;
    return index < N_GLOBAL ? &global_tensors[index] : &layer_tensors[(index - N_GLOBAL) % N_LAYER];
}

bool kv_model_describe(const struct kv_config *c, size_t index, struct kv_tensor_slot *slot)
{
    size_t layer;
    const struct tensor_row *row = find_row(index, &layer);
    if (layer >= (size_t)c->n_layer)
        return false;
    *slot = (struct kv_tensor_slot){
        .role = row->role,
        .n_dims = row->columns == NONE ? 1 : 2,
        .shape = {dimension_size(c, row->rows), dimension_size(c, row->columns)},
    };
    slot->n_elements = slot->shape[0] * slot->shape[1];
    if (index < N_GLOBAL)
        snprintf(slot->name, sizeof slot->name, "%s", row->name);
    else
        snprintf(slot->name, sizeof slot->name, "h.%zu.%s", layer, row->name);
    return true;
}

const float *kv_model_tensor(const struct kv_model *model, size_t index)
{
    size_t layer;
    const float *data;
    const struct tensor_row *row = find_row(index, &layer);
    const char *owner = index < N_GLOBAL ? (const char *)model : (const char *)&model->layers[layer];
    memcpy(&data, owner + row->field, sizeof data);
    return data;
}

/* Sets where a slot lies, and what the model reads it through: a matrix, or a pointer to floats. */
static void place(struct kv_tensor_slot *slot, const struct kv_model *model, const struct tensor_row *row, void *owner,
                  char *base, struct place at)
{
    char *field = (char *)owner + row->field;
    slot->data = (float *)(void *)(base + at.data);
    if (row->kind == FLOATS) {
        const float *pointer = slot->data;
        memcpy(field, &pointer, sizeof pointer);
        return;
    }
    struct kv_matrix *matrix = (struct kv_matrix *)(void *)field;
    *matrix = matrix_of(&model->config, row, model->format, model->layout);
    matrix->data = slot->data;
    matrix->scales = at.scales == at.data ? NULL : base + at.scales;
    slot->matrix = matrix;
}

/* Slots of all tensors, [n]. */
static void place_all(struct kv_model *model, const struct place *global, const struct place *layer, size_t first_layer,
                      size_t layer_bytes, struct kv_tensor_slot *slots)
{
    struct kv_tensor_slot *slot = slots;
    for (size_t i = 0; kv_model_describe(&model->config, i, &slots[i]);)
        i++;
    for (int i = 0; i < N_GLOBAL; i++)
        place(slot++, model, &global_tensors[i], model, model->block.base, global[i]);
    for (int l = 0; l < model->config.n_layer; l++)
        for (int i = 0; i < N_LAYER; i++)
            place(slot++, model, &layer_tensors[i], &model->layers[l],
                  model->block.base + first_layer + (size_t)l * layer_bytes, layer[i]);
}

kv_status kv_model_layout(struct kv_model **out, const struct kv_config *config, const struct kv_weight_format *format,
                          enum kv_weight_layout how, struct kv_tensor_slot **slots, int *n_slots,
                          struct kv_error *error)
{
    *out = NULL;
    *slots = NULL;
    kv_status status = check_config(config, error);
    if (status)
        return status;
    const size_t n = N_GLOBAL + N_LAYER * (size_t)config->n_layer;
    struct kv_model sized = {.config = *config, .format = format, .layout = how};
    struct place global_places[N_GLOBAL], layer_places[N_LAYER];
    struct kv_layout layout = {0}, layer = {0};
    lay_out(&sized, global_tensors, N_GLOBAL, &layout, global_places);
    lay_out(&sized, layer_tensors, N_LAYER, &layer, layer_places);
    layout.overflow |= layer.overflow;
    const size_t first_layer = kv_layout_add(&layout, (size_t)config->n_layer, layer.bytes, 1);
    status = kv_block_allocate(&sized.block, &layout, "model weights", error);
    if (status)
        return status;
    struct kv_model *model = calloc(1, sizeof *model);
    sized.layers = calloc((size_t)config->n_layer, sizeof *sized.layers);
    *slots = calloc(n, sizeof **slots);
    if (!model || !sized.layers || !*slots) {
        kv_block_free(&sized.block);
        free(model);
        free(sized.layers);
        free(*slots);
        *slots = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "model: no memory for %d layers", config->n_layer);
    }
    *model = sized;
    place_all(model, global_places, layer_places, first_layer, layer.bytes, *slots);
    *n_slots = (int)n;
    *out = model;
    return KV_OK;
}

void kv_model_free(struct kv_model *model)
{
    if (!model)
        return;
    kv_block_free(&model->block);
    free(model->layers);
    free(model);
}

const struct kv_config *kv_model_config(const struct kv_model *model)
{
    return &model->config;
}

const char *kv_model_format(const struct kv_model *model)
{
    return model->format->choice.name;
}

const char *kv_model_source(const struct kv_model *model)
{
    return model->source;
}

/* ---- From a checkpoint's order of weights to the model's, by all threads ------------------------------------- */

struct filling {
    const struct kv_tensor_slot *slots; /* [n_slots] */
    int n_slots;
    int n_threads;
    kv_weight_source source;
    const void *context;
    float *strips; /* [n_threads, strip_floats] */
    size_t strip_floats;
};

static size_t share_begin(size_t n, int rank, int n_ranks)
{
    return n * (size_t)rank / (size_t)n_ranks;
}

static void fill_floats(const struct filling *job, int index, int rank)
{
    const struct kv_tensor_slot *slot = &job->slots[index];
    const size_t begin = share_begin(slot->n_elements, rank, job->n_threads);
    const size_t end = share_begin(slot->n_elements, rank + 1, job->n_threads);
    if (begin < end)
        job->source(job->context, index, begin, end - begin, slot->data + begin);
}

/* Rows of the checkpoint's tensor that make a strip. */
static size_t strip_rows(const struct kv_matrix *matrix)
{
    return matrix->transposed ? KV_PANEL : (size_t)matrix->format->strip_rows;
}

/* Strips start at multiples of their height: distinct threads then pack distinct panels. */
static void fill_matrix(const struct filling *job, int index, int rank)
{
    const struct kv_tensor_slot *slot = &job->slots[index];
    const struct kv_matrix *matrix = slot->matrix;
    const size_t step = strip_rows(matrix), n_rows = slot->shape[0], n_columns = slot->shape[1];
    const size_t n_strips = (n_rows + step - 1) / step, end = share_begin(n_strips, rank + 1, job->n_threads);
    float *strip = job->strips + (size_t)rank * job->strip_floats;
    for (size_t i = share_begin(n_strips, rank, job->n_threads); i < end; i++) {
        const size_t first = i * step, count = n_rows - first < step ? n_rows - first : step;
        job->source(job->context, index, first * n_columns, count * n_columns, strip);
        if (matrix->transposed)
            matrix->format->pack_columns(matrix, (int)first, (int)count, strip, n_columns);
        else
            matrix->format->pack_rows(matrix, (int)first, (int)count, strip, n_columns);
    }
}

static void fill_job(void *argument, int rank)
{
    const struct filling *job = argument;
    for (int i = 0; i < job->n_slots; i++) {
        if (job->slots[i].matrix)
            fill_matrix(job, i, rank);
        else
            fill_floats(job, i, rank);
    }
}

kv_status kv_model_fill(const struct kv_tensor_slot *slots, int n_slots, kv_weight_source source, const void *context,
                        struct kv_pool *pool, struct kv_error *error)
{
    struct filling job = {slots, n_slots, kv_pool_size(pool), source, context, NULL, 1};
    for (int i = 0; i < n_slots; i++) {
        const size_t floats = slots[i].matrix ? strip_rows(slots[i].matrix) * slots[i].shape[1] : 0;
        job.strip_floats = floats > job.strip_floats ? floats : job.strip_floats;
    }
    job.strips = calloc((size_t)job.n_threads, job.strip_floats * sizeof *job.strips);
    if (!job.strips)
        return kv_fail(error, KV_ERROR_MEMORY, "model weights: no memory to pack them");
    kv_pool_run(pool, fill_job, &job);
    free(job.strips);
    return KV_OK;
}
