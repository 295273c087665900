#include "model/weights.h"

#include "base/error.h"
#include "kernels/packed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum dimension { NONE, VOCABULARY, POSITIONS, EMBEDDING, EMBEDDING_3, INNER };

/* One row a tensor: its name in the file, its shape, and the pointer that finds it. */
struct tensor_row {
    const char *name;
    enum kv_tensor_role role;
    enum dimension rows, columns;
    enum kv_packing packing; /* in a model whose matrices are packed */
    size_t field;
};

#define GLOBAL(field) offsetof(struct kv_model, field)
#define LAYER(field)  offsetof(struct kv_layer_weights, field)

static const struct tensor_row global_tensors[] = {
    {"wte.weight", KV_ROLE_MATRIX, VOCABULARY, EMBEDDING, KV_PACKING_COLUMNS, GLOBAL(wte)},
    {"wpe.weight", KV_ROLE_MATRIX, POSITIONS, EMBEDDING, KV_PACKING_NONE, GLOBAL(wpe)},
    {"ln_f.weight", KV_ROLE_NORM, EMBEDDING, NONE, KV_PACKING_NONE, GLOBAL(ln_f_weight)},
    {"ln_f.bias", KV_ROLE_BIAS, EMBEDDING, NONE, KV_PACKING_NONE, GLOBAL(ln_f_bias)},
};
static const struct tensor_row layer_tensors[] = {
    {"ln_1.weight", KV_ROLE_NORM, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(ln_1_weight)},
    {"ln_1.bias", KV_ROLE_BIAS, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(ln_1_bias)},
    {"attn.c_attn.weight", KV_ROLE_MATRIX, EMBEDDING, EMBEDDING_3, KV_PACKING_ROWS, LAYER(c_attn_weight)},
    {"attn.c_attn.bias", KV_ROLE_BIAS, EMBEDDING_3, NONE, KV_PACKING_NONE, LAYER(c_attn_bias)},
    {"attn.c_proj.weight", KV_ROLE_MATRIX, EMBEDDING, EMBEDDING, KV_PACKING_ROWS, LAYER(attn_proj_weight)},
    {"attn.c_proj.bias", KV_ROLE_BIAS, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(attn_proj_bias)},
    {"ln_2.weight", KV_ROLE_NORM, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(ln_2_weight)},
    {"ln_2.bias", KV_ROLE_BIAS, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(ln_2_bias)},
    {"mlp.c_fc.weight", KV_ROLE_MATRIX, EMBEDDING, INNER, KV_PACKING_ROWS, LAYER(c_fc_weight)},
    {"mlp.c_fc.bias", KV_ROLE_BIAS, INNER, NONE, KV_PACKING_NONE, LAYER(c_fc_bias)},
    {"mlp.c_proj.weight", KV_ROLE_MATRIX, INNER, EMBEDDING, KV_PACKING_ROWS, LAYER(mlp_proj_weight)},
    {"mlp.c_proj.bias", KV_ROLE_BIAS, EMBEDDING, NONE, KV_PACKING_NONE, LAYER(mlp_proj_bias)},
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

/* Floats that a tensor takes: packed, it is filled up to whole panels. */
static size_t columns_in_memory(const struct kv_config *c, const struct tensor_row *row, enum kv_weight_layout layout,
                                size_t *rows)
{
    *rows = dimension_size(c, row->rows);
    const size_t columns = dimension_size(c, row->columns);
    if (layout == KV_WEIGHTS_PACKED && row->packing == KV_PACKING_COLUMNS)
        *rows = kv_packed_columns((int)*rows);
    return layout == KV_WEIGHTS_PACKED && row->packing == KV_PACKING_ROWS ? kv_packed_columns((int)columns) : columns;
}

/* Adds the tensors of `rows` to the layout; `offsets` [n_rows]. */
static void lay_out(const struct kv_config *c, const struct tensor_row *rows, int n_rows, enum kv_weight_layout how,
                    struct kv_layout *layout, size_t *offsets)
{
    for (int i = 0; i < n_rows; i++) {
        size_t n_rows_in_memory;
        const size_t n_columns = columns_in_memory(c, &rows[i], how, &n_rows_in_memory);
        offsets[i] = kv_layout_add(layout, n_rows_in_memory, n_columns, sizeof(float));
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
        .packing = row->packing,
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

/* Sets where the data of a slot lies, and the pointer that the model reads it through. */
static void place(struct kv_tensor_slot *slot, const struct tensor_row *row, void *owner, char *bytes)
{
    slot->data = (float *)(void *)bytes;
    const float *pointer = slot->data;
    memcpy((char *)owner + row->field, &pointer, sizeof pointer);
}

kv_status kv_model_layout(struct kv_model **out, const struct kv_config *config, enum kv_weight_layout how,
                          struct kv_tensor_slot **slots, int *n_slots, struct kv_error *error)
{
    *out = NULL;
    *slots = NULL;
    const kv_status invalid = check_config(config, error);
    if (invalid)
        return invalid;
    size_t global_offsets[N_GLOBAL], layer_offsets[N_LAYER];
    struct kv_layout layout = {0}, layer = {0};
    lay_out(config, global_tensors, N_GLOBAL, how, &layout, global_offsets);
    lay_out(config, layer_tensors, N_LAYER, how, &layer, layer_offsets);
    layout.overflow |= layer.overflow;
    const size_t first_layer = kv_layout_add(&layout, (size_t)config->n_layer, layer.bytes, 1);
    struct kv_block block;
    const kv_status status = kv_block_allocate(&block, &layout, "model weights", error);
    if (status)
        return status;
    const size_t n = N_GLOBAL + N_LAYER * (size_t)config->n_layer;
    struct kv_model *model = calloc(1, sizeof *model);
    struct kv_layer_weights *layers = calloc((size_t)config->n_layer, sizeof *layers);
    struct kv_tensor_slot *slot = *slots = calloc(n, sizeof **slots);
    if (!model || !layers || !slot) {
        kv_block_free(&block);
        free(model);
        free(layers);
        free(*slots);
        *slots = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "model: no memory for %d layers", config->n_layer);
    }
    *model = (struct kv_model){.config = *config, .layout = how, .block = block, .layers = layers};
    for (size_t i = 0; i < n; i++) {
        kv_model_describe(config, i, &slot[i]);
        if (how == KV_WEIGHTS_PLAIN)
            slot[i].packing = KV_PACKING_NONE;
    }
    for (int i = 0; i < N_GLOBAL; i++)
        place(slot++, &global_tensors[i], model, block.base + global_offsets[i]);
    for (int l = 0; l < config->n_layer; l++)
        for (int i = 0; i < N_LAYER; i++)
            place(slot++, &layer_tensors[i], &layers[l],
                  block.base + first_layer + (size_t)l * layer.bytes + layer_offsets[i]);
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

const struct kv_choice *kv_weights_choice(int index)
{
    static const struct kv_choice f32 = {"f32", "32-bit floats"};
    return index == 0 ? &f32 : NULL;
}

const char *kv_model_format(const struct kv_model *model)
{
    (void)model;
    return kv_weights_choice(0)->name;
}

const char *kv_model_source(const struct kv_model *model)
{
    return model->source;
}

uint64_t kv_config_parameters(const struct kv_config *c)
{
    const uint64_t C = (uint64_t)c->n_embd, I = (uint64_t)c->n_inner;
    const uint64_t outer = (uint64_t)c->vocab_size + (uint64_t)c->n_positions + 2;
    uint64_t a, b, d, layer, total;
    /* per layer: matrices 3CC + CC + 2CI, biases 3C + C + I + C, norms 4C */
    if (__builtin_mul_overflow(C, 4 * C + 9, &a) || __builtin_mul_overflow(I, 2 * C + 1, &b) ||
        __builtin_add_overflow(a, b, &layer) || __builtin_mul_overflow(layer, (uint64_t)c->n_layer, &d) ||
        __builtin_mul_overflow(outer, C, &a) || __builtin_add_overflow(a, d, &total))
        return 0;
    return total;
}
