/* Linear layers and layer norms, forward and backward, as one thread's share of each. */
#include "train/trainer.h"

#include "kernels/kernels.h"

#include <cblas.h>
#include <string.h>

/* Columns are divided in whole cache lines: no two threads write the same one. */
#define COLUMN_GRAIN 16

struct kv_train_range kv_train_share(const struct kv_trainer *t, int n, int rank)
{
    const long n_ranks = kv_pool_size(t->pool);
    return (struct kv_train_range){(int)((long)n * rank / n_ranks), (int)((long)n * (rank + 1) / n_ranks)};
}

struct kv_train_range kv_train_share_columns(const struct kv_trainer *t, int n, int rank)
{
    const int grains = n / COLUMN_GRAIN + (n % COLUMN_GRAIN != 0);
    struct kv_train_range range = kv_train_share(t, grains, rank);
    range.begin = range.begin < grains ? range.begin * COLUMN_GRAIN : n;
    range.end = range.end < grains ? range.end * COLUMN_GRAIN : n;
    return range;
}

float *kv_train_gradient(const struct kv_trainer *t, const float *weight)
{
    const size_t offset = (size_t)((const char *)weight - t->parts[KV_TRAINER_WEIGHTS].base);
    return (float *)(void *)(t->parts[KV_TRAINER_GRADIENTS].base + offset);
}

void kv_train_linear_forward(const struct kv_trainer *t, int rank, const struct kv_train_linear *l, float *y,
                             bool accumulate)
{
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    const size_t n = (size_t)l->n;
    if (rows.begin == rows.end)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, rows.end - rows.begin, l->n, l->k, 1.0f,
                l->x + (size_t)rows.begin * (size_t)l->k, l->k, l->w, l->n, accumulate ? 1.0f : 0.0f,
                y + (size_t)rows.begin * n, l->n);
    for (int row = rows.begin; l->bias && row < rows.end; row++)
        t->kernels->add(y + (size_t)row * n, l->bias, l->n);
}

void kv_train_linear_input(const struct kv_trainer *t, int rank, const struct kv_train_linear *l, const float *dy,
                           float *dx)
{
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    if (rows.begin == rows.end)
        return;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, rows.end - rows.begin, l->k, l->n, 1.0f,
                dy + (size_t)rows.begin * (size_t)l->n, l->n, l->w, l->n, 0.0f, dx + (size_t)rows.begin * (size_t)l->k,
                l->k);
}

void kv_train_linear_weights(const struct kv_trainer *t, int rank, const struct kv_train_linear *l, const float *dy)
{
    const struct kv_train_range columns = kv_train_share_columns(t, l->n, rank);
    const int count = columns.end - columns.begin;
    float *dw = kv_train_gradient(t, l->w) + columns.begin, *dbias = kv_train_gradient(t, l->bias) + columns.begin;
    dy += columns.begin;
    if (count == 0)
        return;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, l->k, count, t->n_rows, 1.0f, l->x, l->k, dy, l->n, 0.0f, dw,
                l->n);
    memset(dbias, 0, (size_t)count * sizeof *dbias);
    for (int row = 0; row < t->n_rows; row++)
        t->kernels->add(dbias, dy + (size_t)row * (size_t)l->n, count);
}

void kv_train_norm_forward(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                           const float *bias)
{
    const struct kv_config *c = &t->model->config;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)c->n_embd;
        norm->scale[row] = t->kernels->train->normalize(t->buffers.x + at, c->layer_norm_epsilon, norm->normalized + at,
                                                        c->n_embd);
    }
    kv_train_norm_again(t, rank, norm, gain, bias);
}

void kv_train_norm_again(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                         const float *bias)
{
    const int C = t->model->config.n_embd;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)C;
        t->kernels->train->affine(norm->normalized + at, gain, bias, t->buffers.h + at, C);
    }
}

void kv_train_norm_backward(const struct kv_trainer *t, int rank, const struct kv_train_norm *norm, const float *gain,
                            const float *bias)
{
    const struct kv_train_buffers *buffers = &t->buffers;
    const int C = t->model->config.n_embd;
    const struct kv_train_range columns = kv_train_share_columns(t, C, rank);
    const int count = columns.end - columns.begin;
    float *dgain = kv_train_gradient(t, gain) + columns.begin, *dbias = kv_train_gradient(t, bias) + columns.begin;
    memset(dgain, 0, (size_t)count * sizeof *dgain);
    memset(dbias, 0, (size_t)count * sizeof *dbias);
    for (int row = 0; row < t->n_rows; row++) {
        const size_t at = (size_t)row * (size_t)C + (size_t)columns.begin;
        t->kernels->train->multiply_add(dgain, buffers->dh + at, norm->normalized + at, count);
        t->kernels->add(dbias, buffers->dh + at, count);
    }
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    for (int row = rows.begin; row < rows.end; row++) {
        const size_t at = (size_t)row * (size_t)C;
        t->kernels->train->normalize_backward(buffers->dh + at, gain, norm->normalized + at, norm->scale[row],
                                              buffers->x + at, C);
    }
}
