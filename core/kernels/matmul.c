#include "kernels/matmul.h"

#include "base/error.h"

/* ---- The reference that other backends are held against: the definition, summed in double precision ----------------
 */

static void prepare_nothing(void) {}

static void reference_product(const struct kv_matmul_task *t, int begin, int end)
{
    const size_t k = (size_t)t->w->k, n = (size_t)t->w->n;
    const size_t k_step = t->w->transposed ? 1 : n, n_step = t->w->transposed ? k : 1;
    for (int i = 0; i < t->m; i++) {
        for (int j = begin; j < end; j++) {
            const float *x = t->x + (size_t)i * t->x_stride, *w = kv_matrix_floats(t->w) + (size_t)j * n_step;
            float *y = t->y + (size_t)i * t->y_stride + j;
            double sum = t->accumulate ? (double)*y : 0.0;
            for (size_t p = 0; p < k; p++)
                sum += (double)x[p] * (double)w[p * k_step];
            *y = (float)sum;
        }
    }
}

const struct kv_matmul_backend kv_matmul_reference = {
    .choice = {"reference", "the definition in plain C, summed in double precision; slow"},
    .prepare_thread = prepare_nothing,
    .product = reference_product,
};

/* ---- Tables -------------------------------------------------------------------------------------------------------
 */

static const struct kv_weight_format *const formats[] = {
    &kv_format_f32,
};
enum { N_FORMATS = sizeof formats / sizeof formats[0] };

static const struct kv_matmul_backend *const backends[] = {
    &kv_matmul_packed,
    &kv_matmul_openblas,
    &kv_matmul_reference,
};
enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

const struct kv_choice *kv_matmul_choice(int index)
{
    return index >= 0 && index < N_BACKENDS ? &backends[index]->choice : NULL;
}

const struct kv_choice *kv_weights_choice(int index)
{
    return index >= 0 && index < N_FORMATS ? &formats[index]->choice : NULL;
}

kv_status kv_format_find(const char *name, const struct kv_weight_format **format, struct kv_error *error)
{
    const int i = kv_choice_find(kv_weights_choice, "weights", name, error);
    *format = i < 0 ? NULL : formats[i];
    return i < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

kv_status kv_matmul_find(const char *name, const struct kv_matmul_backend **backend, struct kv_error *error)
{
    const int i = kv_choice_find(kv_matmul_choice, "matmul", name, error);
    *backend = i < 0 ? NULL : backends[i];
    return i < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

/* ---- The product --------------------------------------------------------------------------------------------------
 */

/* Slices of whole cache lines: no two threads write the same one, and none starts between vectors. */
#define COLUMN_GRAIN 16

static int slice_begin(int n, int rank, int n_ranks)
{
    const long grains = ((long)n + COLUMN_GRAIN - 1) / COLUMN_GRAIN;
    const long begin = grains * rank / n_ranks * COLUMN_GRAIN;
    return begin < n ? (int)begin : n;
}

void kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
               const struct kv_matmul_task *task, int rank, int n_ranks)
{
    if (backend->run) {
        backend->run(kernels, task, rank, n_ranks);
        return;
    }
    const int begin = slice_begin(task->w->n, rank, n_ranks), end = slice_begin(task->w->n, rank + 1, n_ranks);
    if (begin == end)
        return;
    backend->product(task, begin, end);
    if (!task->bias)
        return;
    /* The slice was written just now and by this thread: its end needs no barrier and finds it in cache. */
    for (int i = 0; i < task->m; i++) {
        float *y = task->y + (size_t)i * task->y_stride + begin;
        switch (task->epilogue) {
        case KV_EPILOGUE_NONE:
            kernels->add(y, task->bias + begin, end - begin);
            break;
        case KV_EPILOGUE_GELU_NEW:
            kernels->gelu_new(y, task->bias + begin, end - begin);
            break;
        case KV_EPILOGUE_GELU:
            kernels->gelu(y, task->bias + begin, end - begin);
            break;
        }
    }
}
