/* The forward and the backward pass:  x = wte[token] + wpe[position]
 *                                     x += attn_proj(attention(c_attn(ln_1(x))))
 *                                     x += mlp_proj(gelu(c_fc(ln_2(x))))        for each layer
 *                                     loss = cross_entropy(ln_f(x) wte^T)
 * and the same backwards. What works on rows stays with the thread that has those rows; a barrier stands wherever a
 * thread goes on to read, or to overwrite, what is another one's. */
#include "train/trainer.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

#undef I /* of <complex.h>, which cblas.h includes */

/* ---- How work is divided, linear layers, layer norms: one thread's share of each ----------------------------- */

/* Columns are divided in whole cache lines: no two threads write the same one. */
#define COLUMN_GRAIN 16

struct range {
    int begin, end;
};

/* This rank's part of n. */
static struct range share(const struct kv_trainer *t, int n, int rank)
{
    const long n_ranks = kv_pool_size(t->pool);
    return (struct range){(int)((long)n * rank / n_ranks), (int)((long)n * (rank + 1) / n_ranks)};
}

/* The same, of columns: whole cache lines. */
static struct range share_columns(const struct kv_trainer *t, int n, int rank)
{
    const int grains = n / COLUMN_GRAIN + (n % COLUMN_GRAIN != 0);
    struct range range = share(t, grains, rank);
    range.begin = range.begin < grains ? range.begin * COLUMN_GRAIN : n;
    range.end = range.end < grains ? range.end * COLUMN_GRAIN : n;
    return range;
}

/* Where the gradient of that weight is. */
static float *gradient_of(const struct kv_trainer *t, const float *weight)
{
    const size_t offset = (size_t)((const char *)weight - t->parts[KV_TRAINER_WEIGHTS].base);
    return (float *)(void *)(t->parts[KV_TRAINER_GRADIENTS].base + offset);
}

/* A layer of x [R, k] -> y [R, n] = x w + bias. */
struct linear {
    const float *x;
    int k;
    const float *w; /* [k, n] */
    const float *bias;
    int n;
};

/* This rank's rows of y = x w + bias, or y += x w + bias; bias NULL: none. */
static void linear_forward(const struct kv_trainer *t, int rank, const struct linear *l, float *y, bool accumulate)
{
    const struct range rows = share(t, t->n_rows, rank);
    const size_t n = (size_t)l->n;
    if (rows.begin == rows.end)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows.end - rows.begin, l->n, l->k, 1.0f,
                l->x + (size_t)rows.begin * (size_t)l->k, l->k, l->w, l->n, accumulate ? 1.0f : 0.0f,
                y + (size_t)rows.begin * n, l->n);
    for (int row = rows.begin; l->bias && row < rows.end; row++)
        t->kernels->add(y + (size_t)row * n, l->bias, l->n);
}

/* This rank's rows of dx [R, k] = dy w^T. */
static void linear_input(const struct kv_trainer *t, int rank, const struct linear *l, const float *dy, float *dx)
{
    const struct range rows = share(t, t->n_rows, rank);
    if (rows.begin == rows.end)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows.end - rows.begin, l->k, l->n, 1.0f,
                dy + (size_t)rows.begin * (size_t)l->n, l->n, l->w, l->n, 0.0f, dx + (size_t)rows.begin * (size_t)l->k,
                l->k);
}

/* This rank's columns of the gradients of w and bias; all rows of x and dy must be there. */
static void linear_weights(const struct kv_trainer *t, int rank, const struct linear *l, const float *dy)
{
    const struct range columns = share_columns(t, l->n, rank);
    const int count = columns.end - columns.begin;
    float *dw = gradient_of(t, l->w) + columns.begin, *dbias = gradient_of(t, l->bias) + columns.begin;
    dy += columns.begin;
    if (count == 0)
        return;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->k, count, t->n_rows, 1.0f, l->x, l->k, dy, l->n, 0.0f, dw,
                l->n);
    memset(dbias, 0, (size_t)count * sizeof *dbias);
    for (int row = 0; row < t->n_rows; row++)
        t->kernels->add(dbias, dy + (size_t)row * (size_t)l->n, count);
}

/* This rank's rows: h again from what was kept. */
static void norm_again(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                       const float *bias)
{
    const int C = t->model->config.n_embd;
    const struct range rows = share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)C;
        t->kernels->train->affine(norm->normalized + at, gain, bias, t->buffers.h + at, C);
    }
}

/* This rank's rows: h = layer_norm(x), keeping what the way back needs. */
static void norm_forward(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                         const float *bias)
{
    const struct kv_config *c = &t->model->config;
    const struct range rows = share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)c->n_embd;
        norm->scale[row] = t->kernels->train->normalize(t->buffers.x + at, c->layer_norm_epsilon, norm->normalized + at,
                                                        c->n_embd);
    }
    norm_again(t, rank, norm, gain, bias);
}

/* This rank's rows of x's gradient, += what comes from dh, and its columns of the gradients of gain and bias; all rows
 * of dh must be there. */
static void norm_backward(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                          const float *bias)
{
    const struct kv_train_buffers *buffers = &t->buffers;
    const int C = t->model->config.n_embd;
    const struct range columns = share_columns(t, C, rank);
    const int count = columns.end - columns.begin;
    float *dgain = gradient_of(t, gain) + columns.begin, *dbias = gradient_of(t, bias) + columns.begin;
    memset(dgain, 0, (size_t)count * sizeof *dgain);
    memset(dbias, 0, (size_t)count * sizeof *dbias);
    for (int row = 0; row < t->n_rows; row++) {
        const size_t at = (size_t)row * (size_t)C + (size_t)columns.begin;
        t->kernels->train->multiply_add(dgain, buffers->dh + at, norm->normalized + at, count);
        t->kernels->add(dbias, buffers->dh + at, count);
    }
    const struct range rows = share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)C;
        t->kernels->train->normalize_backward(buffers->dh + at, gain, norm->normalized + at, norm->scale[row],
                                              buffers->x + at, C);
    }
}

/* ---- Attention ----------------------------------------------------------------------------------------------- */

/* Causal, of one head of one sequence at a time, a tile of queries against the keys they can see. The way back computes
 * the weights once more from queries and keys: kept, they would take H T^2 floats a sequence and layer, by far the most
 * of all activations. */

/* One tile of one head. Queries, keys, values and their gradients lie in rows of 3C, outputs in rows of C. */
struct tile {
    int first, n_queries; /* positions first .. first + n_queries - 1 */
    int n_keys;           /* first + n_queries: what the last of them sees */
    int head_size, C, stride;
    float scale;
    const float *q, *k, *v; /* q of the tile, k and v of position 0 */
    float *weights;         /* [n_queries, stride] */
    float *dweights;        /* [n_queries, stride] */
};

/* Places of a head's first position in rows of qkv and of C. */
struct place {
    size_t qkv, output;
};

static struct place place_of(const struct kv_trainer *t, int item)
{
    const struct kv_config *c = &t->model->config;
    const size_t row = (size_t)(item / c->n_head) * (size_t)t->n_positions, C = (size_t)c->n_embd;
    const size_t column = (size_t)(item % c->n_head) * (C / (size_t)c->n_head);
    return (struct place){row * 3 * C + column, row * C + column};
}

static struct tile tile_at(const struct kv_trainer *t, int rank, const float *qkv, int first)
{
    const struct kv_config *c = &t->model->config;
    const int C = c->n_embd, head_size = C / c->n_head, left = t->n_positions - first;
    const int n_queries = left < KV_TRAIN_QUERY_TILE ? left : KV_TRAIN_QUERY_TILE;
    const size_t tile_floats = (size_t)KV_TRAIN_QUERY_TILE * (size_t)t->n_positions;
    float *scores = t->buffers.scores + 2 * (size_t)rank * tile_floats;
    return (struct tile){
        .first = first,
        .n_queries = n_queries,
        .n_keys = first + n_queries,
        .head_size = head_size,
        .C = C,
        .stride = t->n_positions,
        .scale = 1.0f / sqrtf((float)head_size),
        .q = qkv + (size_t)first * 3 * (size_t)C,
        .k = qkv + C,
        .v = qkv + 2 * C,
        .weights = scores,
        .dweights = scores + tile_floats,
    };
}

/* weights = softmax(scale q k^T), 0 where a key comes after the query */
static void weigh(const struct kv_trainer *t, const struct tile *a)
{
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a->n_queries, a->n_keys, a->head_size, a->scale, a->q,
                3 * a->C, a->k, 3 * a->C, 0.0f, a->weights, a->stride);
    for (int i = 0; i < a->n_queries; i++) {
        float *row = a->weights + (size_t)i * (size_t)a->stride;
        const int seen = a->first + i + 1;
        t->kernels->train->softmax(row, seen);
        memset(row + seen, 0, (size_t)(a->n_keys - seen) * sizeof *row);
    }
}

/* This rank's heads, from and to all rows. */
static void attention_forward(const struct kv_trainer *t, int rank, const struct kv_train_layer *layer)
{
    const struct range items = share(t, t->batch * t->model->config.n_head, rank);
    for (int item = items.begin; item < items.end; item++) {
        const struct place at = place_of(t, item);
        for (int first = 0; first < t->n_positions; first += KV_TRAIN_QUERY_TILE) {
            const struct tile a = tile_at(t, rank, layer->qkv + at.qkv, first);
            float *out = layer->attended + at.output + (size_t)first * (size_t)a.C;
            weigh(t, &a);
            cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a.n_queries, a.head_size, a.n_keys, 1.0f, a.weights,
                        a.stride, a.v, 3 * a.C, 0.0f, out, a.C);
        }
    }
}

/* With p the weights: dv += p^T dout, dp = dout v^T, ds = softmax'(dp), dq = ds k, dk += ds^T q */
static void tile_backward(const struct kv_trainer *t, const struct tile *a, const float *dout, float *dqkv)
{
    const int C3 = 3 * a->C;
    float *dq = dqkv + (size_t)a->first * (size_t)C3, *dk = dqkv + a->C, *dv = dqkv + 2 * a->C;
    weigh(t, a);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, a->n_keys, a->head_size, a->n_queries, 1.0f, a->weights,
                a->stride, dout, a->C, 1.0f, dv, C3);
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, a->n_queries, a->n_keys, a->head_size, 1.0f, dout, a->C, a->v,
                C3, 0.0f, a->dweights, a->stride);
    for (int i = 0; i < a->n_queries; i++) {
        const size_t row = (size_t)i * (size_t)a->stride;
        t->kernels->train->softmax_backward(a->weights + row, a->dweights + row, a->scale, a->n_keys);
    }
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, a->n_queries, a->head_size, a->n_keys, 1.0f, a->dweights,
                a->stride, a->k, C3, 0.0f, dq, C3);
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, a->n_keys, a->head_size, a->n_queries, 1.0f, a->dweights,
                a->stride, a->q, C3, 1.0f, dk, C3);
}

static void attention_backward(const struct kv_trainer *t, int rank, const struct kv_train_layer *layer)
{
    const struct kv_config *c = &t->model->config;
    const size_t C = (size_t)c->n_embd, head_size = C / (size_t)c->n_head;
    const struct range items = share(t, t->batch * c->n_head, rank);
    for (int item = items.begin; item < items.end; item++) {
        const struct place at = place_of(t, item);
        float *dqkv = t->buffers.dqkv + at.qkv;
        for (int i = 0; i < t->n_positions; i++) /* the tiles add up keys and values */
            for (size_t which = 1; which < 3; which++)
                memset(dqkv + (size_t)i * 3 * C + which * C, 0, head_size * sizeof *dqkv);
        for (int first = 0; first < t->n_positions; first += KV_TRAIN_QUERY_TILE) {
            const struct tile a = tile_at(t, rank, layer->qkv + at.qkv, first);
            tile_backward(t, &a, t->buffers.dattended + at.output + (size_t)first * C, dqkv);
        }
    }
}

/* ---- Layers and embedding ------------------------------------------------------------------------------------ */

/* The four linear layers of a layer, and what they read. */
struct linears {
    struct linear c_attn, attn_proj, c_fc, mlp_proj;
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
    const struct range rows = share(t, t->n_rows, rank);
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
    const struct range rows = share(t, t->n_rows, rank);
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
    const struct range rows = share(t, t->n_rows, rank);
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

        norm_forward(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
        linear_forward(t, rank, &linears.c_attn, kept->qkv, false);
        kv_pool_barrier(t->pool);
        attention_forward(t, rank, kept);
        kv_pool_barrier(t->pool);
        linear_forward(t, rank, &linears.attn_proj, t->buffers.x, true);

        norm_forward(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);
        linear_forward(t, rank, &linears.c_fc, kept->fc, false);
        activate(t, rank, kept, w->c_fc_bias);
        linear_forward(t, rank, &linears.mlp_proj, t->buffers.x, true);
    }
}

/* The embedding's gradients by columns: a token may stand in many rows. The LM head's part is in dwte already. */
static void embed_backward(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_config *c = &t->model->config;
    const size_t C = (size_t)c->n_embd;
    const struct range columns = share_columns(t, c->n_embd, rank);
    const int count = columns.end - columns.begin;
    float *dwte = gradient_of(t, kv_matrix_floats(&t->model->wte)) + columns.begin;
    float *dwpe = gradient_of(t, t->model->wpe) + columns.begin;
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

        linear_input(t, rank, &linears.mlp_proj, b->x, b->dinner);
        kv_pool_barrier(t->pool);
        linear_weights(t, rank, &linears.mlp_proj, b->x);
        activate_backward(t, rank, kept, w->c_fc_bias);
        norm_again(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);
        linear_input(t, rank, &linears.c_fc, b->dinner, b->dh);
        kv_pool_barrier(t->pool);
        linear_weights(t, rank, &linears.c_fc, b->dinner);
        norm_backward(t, rank, &kept->ln_2, w->ln_2_weight, w->ln_2_bias);

        linear_input(t, rank, &linears.attn_proj, b->x, b->dattended);
        kv_pool_barrier(t->pool);
        linear_weights(t, rank, &linears.attn_proj, b->x);
        attention_backward(t, rank, kept);
        kv_pool_barrier(t->pool);
        norm_again(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
        linear_input(t, rank, &linears.c_attn, b->dqkv, b->dh);
        kv_pool_barrier(t->pool);
        linear_weights(t, rank, &linears.c_attn, b->dqkv);
        norm_backward(t, rank, &kept->ln_1, w->ln_1_weight, w->ln_1_bias);
    }
    kv_pool_barrier(t->pool);
    embed_backward(pass, rank);
}

/* ---- Head ---------------------------------------------------------------------------------------------------- */

/* ln_f, the LM head, the loss, and the way back through them: some rows at a time, since the logits of all rows of a
 * GPT-2 would be larger than everything else together. */

/* This rank's rows of a chunk: losses, and with gradients dh. */
static void score_rows(const struct kv_train_pass *pass, int first, struct range rows)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_train_buffers *b = &t->buffers;
    const int C = t->model->config.n_embd, V = t->model->config.vocab_size, count = rows.end - rows.begin;
    const size_t at = (size_t)(first + rows.begin) * (size_t)C;
    float *logits = b->logits + (size_t)rows.begin * (size_t)V;
    if (count == 0)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, count, V, C, 1.0f, b->h + at, C,
                kv_matrix_floats(&t->model->wte), C, 0.0f, logits, V);
    for (int i = 0; i < count; i++) {
        const int row = first + rows.begin + i;
        b->losses[row] = t->kernels->train->cross_entropy(logits + (size_t)i * (size_t)V, pass->targets[row],
                                                          1.0f / (float)t->n_rows, V);
    }
    if (pass->with_gradients)
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, count, C, V, 1.0f, logits, V,
                    kv_matrix_floats(&t->model->wte), C, 0.0f, b->dh + at, C);
}

/* This rank's part of the vocabulary: dwte, the first chunk setting what the others add to. */
static void head_weights(const struct kv_trainer *t, int rank, int first, int count)
{
    const int C = t->model->config.n_embd, V = t->model->config.vocab_size;
    const struct range tokens = share_columns(t, V, rank);
    if (tokens.begin == tokens.end)
        return;
    float *dwte = gradient_of(t, kv_matrix_floats(&t->model->wte)) + (size_t)tokens.begin * (size_t)C;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tokens.end - tokens.begin, C, count, 1.0f,
                t->buffers.logits + tokens.begin, V, t->buffers.h + (size_t)first * (size_t)C, C,
                first == 0 ? 0.0f : 1.0f, dwte, C);
}

void kv_train_head(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_train_buffers *b = &t->buffers;
    const struct kv_model *model = t->model;
    norm_forward(t, rank, &b->ln_f, model->ln_f_weight, model->ln_f_bias);
    kv_pool_barrier(t->pool);
    for (int first = 0; first < t->n_rows; first += b->head_rows) {
        const int left = t->n_rows - first, count = left < b->head_rows ? left : b->head_rows;
        score_rows(pass, first, share(t, count, rank));
        kv_pool_barrier(t->pool);
        if (pass->with_gradients)
            head_weights(t, rank, first, count);
        kv_pool_barrier(t->pool);
    }
    if (!pass->with_gradients)
        return;
    const struct range rows = share(t, t->n_rows, rank);
    const size_t C = (size_t)model->config.n_embd;
    memset(b->x + (size_t)rows.begin * C, 0, (size_t)(rows.end - rows.begin) * C * sizeof *b->x);
    norm_backward(t, rank, &b->ln_f, model->ln_f_weight, model->ln_f_bias);
}
