#include "kernels/matmul.h"

#include "base/error.h"

static const struct kv_matmul_backend *const backends[] = {
    &kv_matmul_packed,
    &kv_matmul_openblas,
    &kv_matmul_reference,
};
enum { N_BACKENDS = sizeof backends / sizeof backends[0] };

/* Slices of whole cache lines: no two threads write the same one, and none starts between vectors. */
#define COLUMN_GRAIN 16

const struct kv_choice *kv_matmul_choice(int index)
{
    return index >= 0 && index < N_BACKENDS ? &backends[index]->choice : NULL;
}

kv_status kv_matmul_find(const char *name, const struct kv_matmul_backend **backend, struct kv_error *error)
{
    const int i = kv_choice_find(kv_matmul_choice, "matmul", name, error);
    *backend = i < 0 ? NULL : backends[i];
    return i < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

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
    const int begin = slice_begin(task->n, rank, n_ranks), end = slice_begin(task->n, rank + 1, n_ranks);
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
