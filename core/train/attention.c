/* Causal attention of one head of one sequence at a time, a tile of queries against the keys they can see.
 *
 * The way back computes the weights once more from queries and keys: kept, they would take H T^2 floats a sequence
 * and layer, by far the most of all activations. */
#include "train/trainer.h"

#include <cblas.h>
#include <math.h>
#include <string.h>

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

void kv_train_attention_forward(const struct kv_trainer *t, int rank, const struct kv_train_layer *layer)
{
    const struct kv_train_range items = kv_train_share(t, t->batch * t->model->config.n_head, rank);
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

void kv_train_attention_backward(const struct kv_trainer *t, int rank, const struct kv_train_layer *layer)
{
    const struct kv_config *c = &t->model->config;
    const size_t C = (size_t)c->n_embd, head_size = C / (size_t)c->n_head;
    const struct kv_train_range items = kv_train_share(t, t->batch * c->n_head, rank);
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
