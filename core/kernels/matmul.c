#include "kernels/matmul.h"

#include "base/error.h"

#include <cblas.h>
#include <string.h>

/* ---- The reference that other backends are held against: the definition, summed in double precision ---------- */

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

/* ---- OpenBLAS ------------------------------------------------------------------------------------------------ */

/* One thread a call: the pool's threads call it on their own columns (base/pool.c says why).
 *
 * One row of x is a matrix-vector product: sgemm would pack the weights, which are read but once, and so reaches a
 * quarter of sgemv's bandwidth. */

/* In the OpenMP build the thread count belongs to the calling thread, so every thread sets its own. */
static void prepare_openblas(void)
{
    openblas_set_num_threads(1);
}

static void openblas_product(const struct kv_matmul_task *t, int begin, int end)
{
    const float beta = t->accumulate ? 1.0f : 0.0f;
    const bool transposed = t->w->transposed;
    const int n = end - begin, k = t->w->k, w_stride = transposed ? k : t->w->n;
    const float *w = kv_matrix_floats(t->w) + (size_t)begin * (transposed ? (size_t)k : 1);
    float *y = t->y + begin;
    if (t->m == 1)
        cblas_sgemv(CblasRowMajor, transposed ? CblasNoTrans : CblasTrans, transposed ? n : k, transposed ? k : n, 1.0f,
                    w, w_stride, t->x, 1, beta, y, 1);
    else
        cblas_sgemm(CblasRowMajor, CblasNoTrans, transposed ? CblasTrans : CblasNoTrans, t->m, n, k, 1.0f, t->x,
                    (int)t->x_stride, w, w_stride, beta, y, (int)t->y_stride);
}

const struct kv_matmul_backend kv_matmul_openblas = {
    .choice = {"openblas", "OpenBLAS sgemm, and sgemv for a single row"},
    .prepare_thread = prepare_openblas,
    .product = openblas_product,
};

const char *kv_openblas_core(void)
{
    return openblas_get_corename();
}

const char *kv_openblas_config(void)
{
    return openblas_get_config();
}

static bool is_one_of(const char *name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

/* OpenBLAS knows CPUs by their model number and gives those that are newer than itself an old one's kernels: 0.3.21
 * takes an Emerald Rapids Xeon for a Prescott (SSE3) and reaches a fifth of what its SkylakeX kernels do there. */
const char *kv_openblas_better_core_for(const char *core, bool avx2, bool avx512)
{
    static const char *const with_avx512[] = {"SkylakeX", "Cooperlake", "SapphireRapids"};
    static const char *const with_avx2[] = {"Haswell", "Zen", "Excavator"};
    if (is_one_of(core, with_avx512, sizeof with_avx512 / sizeof *with_avx512))
        return NULL;
    if (avx512)
        return "SkylakeX";
    if (is_one_of(core, with_avx2, sizeof with_avx2 / sizeof *with_avx2))
        return NULL;
    return avx2 ? "Haswell" : NULL;
}

const char *kv_openblas_better_core(void)
{
    return kv_openblas_better_core_for(openblas_get_corename(), kv_isa_supported("avx2"), kv_isa_supported("avx512"));
}

/* ---- Tables -------------------------------------------------------------------------------------------------- */

#define FORMAT_ROW(name) &kv_format_##name,
static const struct kv_weight_format *const formats[] = {KV_FORMATS(FORMAT_ROW)};
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

kv_status kv_matmul_find_for(const char *weights, const char *matmul, const struct kv_weight_format **format,
                             const struct kv_matmul_backend **backend, struct kv_error *error)
{
    kv_status status = kv_format_find(weights, format, error);
    if (!status)
        status = kv_matmul_find(matmul, backend, error);
    if (!status && (*backend)->layout == KV_WEIGHTS_PLAIN && *format != &kv_format_f32)
        return kv_fail(error, KV_ERROR_UNSUPPORTED,
                       "matmul '%s' multiplies weights 'f32', not '%s'; use it with those, or matmul 'packed'",
                       (*backend)->choice.name, (*format)->choice.name);
    return status;
}

/* ---- The product --------------------------------------------------------------------------------------------- */

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
