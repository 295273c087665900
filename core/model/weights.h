/* The weights of one model, in one block of memory. */
#ifndef KV_MODEL_WEIGHTS_H
#define KV_MODEL_WEIGHTS_H

#include "base/memory.h"
#include "kernels/matmul.h"

/* C = n_embd, I = n_inner; a matrix is [in, out], as Conv1D stores it. */
struct kv_layer_weights {
    const float *ln_1_weight;          /* [C] */
    const float *ln_1_bias;            /* [C] */
    struct kv_matrix c_attn_weight;    /* [C, 3C]: queries, keys, values */
    const float *c_attn_bias;          /* [3C] */
    struct kv_matrix attn_proj_weight; /* [C, C] */
    const float *attn_proj_bias;       /* [C] */
    const float *ln_2_weight;          /* [C] */
    const float *ln_2_bias;            /* [C] */
    struct kv_matrix c_fc_weight;      /* [C, I] */
    const float *c_fc_bias;            /* [I] */
    struct kv_matrix mlp_proj_weight;  /* [I, C] */
    const float *mlp_proj_bias;        /* [C] */
};

struct kv_model {
    struct kv_config config;
    char source[32];                       /* kv_model_source */
    const struct kv_weight_format *format; /* of the matrices, wte among them; all else is plain float32 */
    enum kv_weight_layout layout;
    struct kv_block block;           /* owns every tensor below */
    struct kv_matrix wte;            /* [C, V]: the LM head, whose columns are the embedding */
    const float *wpe;                /* [n_positions, C] */
    const float *ln_f_weight;        /* [C] */
    const float *ln_f_bias;          /* [C] */
    struct kv_layer_weights *layers; /* [n_layer] */
};

/* One tensor of the model: what its file calls it, its shape, and where it lies. */
enum kv_tensor_role { KV_ROLE_MATRIX, KV_ROLE_BIAS, KV_ROLE_NORM };
struct kv_tensor_slot {
    char name[48];
    enum kv_tensor_role role;
    int n_dims;
    size_t shape[2];
    size_t n_elements;
    const struct kv_matrix *matrix; /* NULL: floats, as in the checkpoint */
    float *data;                    /* [n_elements], of floats and of plain float32 matrices */
};

/* Describes tensor `index` of a model of that shape, its data NULL; false past the last. */
bool kv_model_describe(const struct kv_config *config, size_t index, struct kv_tensor_slot *slot);
/* The floats of tensor `index` of a plain float32 model. */
const float *kv_model_tensor(const struct kv_model *model, size_t index);

/* Lays out a model of that shape: zeroed weights, and one slot a tensor, for kv_model_fill. The caller frees `*slots`
 * with free() and the model with kv_model_free(). Errors: ARGUMENT, MEMORY. */
kv_status kv_model_layout(struct kv_model **model, const struct kv_config *config,
                          const struct kv_weight_format *format, enum kv_weight_layout layout,
                          struct kv_tensor_slot **slots, int *n_slots, struct kv_error *error);

/* Elements [begin, begin + count) of the tensor of slot `index`, as a checkpoint has them, to values [count]. Called by
 * every thread of the pool. */
typedef void (*kv_weight_source)(const void *context, int index, size_t begin, size_t count, float *values);

/* Fills all slots from the source, matrices strip by strip: beside the model itself this takes a strip a thread, under
 * 4 MiB for the widest GPT-2. Errors: MEMORY. */
kv_status kv_model_fill(const struct kv_tensor_slot *slots, int n_slots, kv_weight_source source, const void *context,
                        struct kv_pool *pool, struct kv_error *error);

#endif
