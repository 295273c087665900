/* OpenBLAS, one thread a call: the pool's threads call it on their own columns (base/pool.c says why).
 *
 * One row of x is a matrix-vector product: sgemm would pack the weights, which are read but once, and so
 * reaches a quarter of sgemv's bandwidth. */
#include "kernels/kernels.h"
#include "kernels/matmul.h"

#include <cblas.h>
#include <string.h>

/* In the OpenMP build the thread count belongs to the calling thread, so every thread sets its own. */
static void prepare_thread(void)
{
    openblas_set_num_threads(1);
}

static void product(const struct kv_matmul_task *t, int begin, int end)
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
    .prepare_thread = prepare_thread,
    .product = product,
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
