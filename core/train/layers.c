/* The layers and the embedding, forward:  x = wte[token] + wpe[position]
 *                                         x += attn_proj(attention(c_attn(ln_1(x))))
 *                                         x += mlp_proj(gelu(c_fc(ln_2(x))))        for each layer
 * and the same backwards. What works on rows stays with the thread that has those rows; a barrier stands wherever a
 * thread goes on to read, or to overwrite, what is another one's. */
#include "train/trainer.h"

#include <string.h>

/* The four linear layers of a layer, and what they read. */
struct linears {
    struct kv_train_linear c_attn, attn_proj, c_fc, mlp_proj;
};

static struct linears linears_of(const struct kv_trainer *t, int layer)
{
    const struct kv_layer_weights *w = &t->model->layers[layer];
    const struct kv_train_layer *kept = &t->layers[layer];
    const int C = t->model->config.n_embd, I = t->model->config.n_inner;
    return (struct linears){
        .c_attn = {t->buffers.h, C, kv_matrix_floats(&w->c_attn_weight), w->c_attn_bias, 3 * C},
        .attn_proj = {kept->attended, C, kv_matrix_floats(&w->attn_proj_weight), w->attn_proj_bias, C},
        .c_fc = {t->buffers.h, C, kv_matrix_floats(&w->c_fc_weight), w->c_fc_bias, I},
        .mlp_proj = {kept->inner, I, kv_matrix_floats(&w->mlp_proj_weight), w->mlp_proj_bias, C},
    };
}

static void embed(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const size_t C = (size_t)t->model->config.n_embd;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        float *x = t->buffers.x + (size_t)row * C;
        memcpy(x, kv_matrix_floats(&t->model->wte) + (size_t)pass->tokens[row] * C, C * sizeof *x);
        t->kernels->add(x, t->model->wpe + (size_t)(row % t->n_positions) * C, (int)C);
    }
}

/* This rank's rows: inner = gelu(fc + bias) */
static void activate(const struct kv_trainer *t, int rank, const struct kv_train_layer *kept, const float *bias)
{
    const int I = t->model->config.n_inner;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    const size_t begin = (size_t)rows.begin * (size_t)I, n = (size_t)(rows.end - rows.begin) * (size_t)I;
    memcpy(kept->inner + begin, kept->fc + begin, n * sizeof *kept->inner);
    for (size_t at = begin; at < begin + n; at += (size_t)I) {
        if (t->model->config.activation == KV_GELU)
            t->kernels->gelu(kept->inner + at, bias, I);
        else
            t->kernels->gelu_new(kept->inner + at, bias, I);
    }
}

/* This rank's rows of dinner: from the gradient of the activation's output to that of its input */
static void activate_backward(const struct kv_trainer *t, int rank, const struct kv_train_layer *kept,
                              const float *bias)
{
    const int I = t->model->config.n_inner;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)I;
        float *gradient = t->buffers.dinner + at;
        if (t->model->config.activation == KV_GELU)
            t->kernels->train->gelu_backward(kept->fc + at, bias, kept->inner + at, gradient, I);
        else
            t->kernels->train->gelu_new_backward(kept->fc + at, bias, kept->inner + at, gradient, I);
    }
}

void kv_train_forward(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    embed(pass, rank);
    for (int layer = 0; layer < t->model->config.n_layer; layer++) {
        const struct kv_layer_weights *w = &t->model->layers[layer];
        const struct kv_train_layer *kept = &t->layers[layer];
        struct linears linears = linears_of(t, layer);
        linears.c_fc.bias = NULL; /* the activation adds it */

        kv_train_norm_forward(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
        kv_train_linear_forward(t, rank, &linears.c_attn, kept->qkv, false);
        kv_pool_barrier(t->pool);
        kv_train_attention_forward(t, rank, kept);
        kv_pool_barrier(t->pool);
        kv_train_linear_forward(t, rank, &linears.attn_proj, t->buffers.x, true);

        kv_train_norm_forward(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);
        kv_train_linear_forward(t, rank, &linears.c_fc, kept->fc, false);
        activate(t, rank, kept, w->c_fc_bias);
        kv_train_linear_forward(t, rank, &linears.mlp_proj, t->buffers.x, true);
    }
}

/* The embedding's gradients by columns: a token may stand in many rows. The LM head's part is in dwte already. */
static void embed_backward(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_config *c = &t->model->config;
    const size_t C = (size_t)c->n_embd;
    const struct kv_train_range columns = kv_train_share_columns(t, c->n_embd, rank);
    const int count = columns.end - columns.begin;
    float *dwte = kv_train_gradient(t, kv_matrix_floats(&t->model->wte)) + columns.begin;
    float *dwpe = kv_train_gradient(t, t->model->wpe) + columns.begin;
    for (int position = 0; position < c->n_positions; position++)
        memset(dwpe + (size_t)position * C, 0, (size_t)count * sizeof *dwpe);
    for (int row = 0; row < t->n_rows; row++) {
        const float *dx = t->buffers.x + (size_t)row * C + columns.begin;
        t->kernels->add(dwte + (size_t)pass->tokens[row] * C, dx, count);
        t->kernels->add(dwpe + (size_t)(row % t->n_positions) * C, dx, count);
    }
}

void kv_train_backward(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_train_buffers *b = &t->buffers;
    for (int layer = t->model->config.n_layer - 1; layer >= 0; layer--) {
        const struct kv_layer_weights *w = &t->model->layers[layer];
        const struct kv_train_layer *kept = &t->layers[layer];
        const struct linears linears = linears_of(t, layer);

        kv_train_linear_input(t, rank, &linears.mlp_proj, b->x, b->dinner);
        kv_pool_barrier(t->pool);
        kv_train_linear_weights(t, rank, &linears.mlp_proj, b->x);
        activate_backward(t, rank, kept, w->c_fc_bias);
        kv_train_norm_again(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);
        kv_train_linear_input(t, rank, &linears.c_fc, b->dinner, b->dh);
        kv_pool_barrier(t->pool);
        kv_train_linear_weights(t, rank, &linears.c_fc, b->dinner);
        kv_train_norm_backward(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);

        kv_train_linear_input(t, rank, &linears.attn_proj, b->x, b->dattended);
        kv_pool_barrier(t->pool);
        kv_train_linear_weights(t, rank, &linears.attn_proj, b->x);
        kv_train_attention_backward(t, rank, kept);
        kv_pool_barrier(t->pool);
        kv_train_norm_again(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
        kv_train_linear_input(t, rank, &linears.c_attn, b->dqkv, b->dh);
        kv_pool_barrier(t->pool);
        kv_train_linear_weights(t, rank, &linears.c_attn, b->dqkv);
        kv_train_norm_backward(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
    }
    kv_pool_barrier(t->pool);
    embed_backward(pass, rank);
}
