/* ln_f, the LM head, the loss, and the way back through them: some rows at a time, since the logits of all rows of a
 * GPT-2 would be larger than everything else together. */
#include "train/trainer.h"

#include <cblas.h>
#include <string.h>

/* This rank's rows of a chunk: losses, and with gradients dh. */
static void score_rows(const struct kv_train_pass *pass, int first, struct kv_train_range rows)
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
    const struct kv_train_range tokens = kv_train_share_columns(t, V, rank);
    if (tokens.begin == tokens.end)
        return;
    float *dwte = kv_train_gradient(t, kv_matrix_floats(&t->model->wte)) + (size_t)tokens.begin * (size_t)C;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, tokens.end - tokens.begin, C, count, 1.0f,
                t->buffers.logits + tokens.begin, V, t->buffers.h + (size_t)first * (size_t)C, C,
                first == 0 ? 0.0f : 1.0f, dwte, C);
}

void kv_train_head(const struct kv_train_pass *pass, int rank)
{
    const struct kv_trainer *t = pass->trainer;
    const struct kv_train_buffers *b = &t->buffers;
    const struct kv_model *model = t->model;
    kv_train_norm_forward(t, rank, &b->ln_f, model->ln_f_weight, model->ln_f_bias);
    kv_pool_barrier(t->pool);
    for (int first = 0; first < t->n_rows; first += b->head_rows) {
        const int left = t->n_rows - first, count = left < b->head_rows ? left : b->head_rows;
        score_rows(pass, first, kv_train_share(t, count, rank));
        kv_pool_barrier(t->pool);
        if (pass->with_gradients)
            head_weights(t, rank, first, count);
        kv_pool_barrier(t->pool);
    }
    if (!pass->with_gradients)
        return;
    const struct kv_train_range rows = kv_train_share(t, t->n_rows, rank);
    const size_t C = (size_t)model->config.n_embd;
    memset(b->x + (size_t)rows.begin * C, 0, (size_t)(rows.end - rows.begin) * C * sizeof *b->x);
    kv_train_norm_backward(t, rank, &b->ln_f, model->ln_f_weight, model->ln_f_bias);
}
