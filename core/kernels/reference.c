/* The truth that other backends are held against: the definition, summed in double precision. */
#include "kernels/matmul.h"

static void prepare_thread(void) {}

static void product(const struct kv_matmul_task *t, int begin, int end)
{
    const size_t k_step = t->w_transposed ? 1 : (size_t)t->n, n_step = t->w_transposed ? (size_t)t->k : 1;
    for (int i = 0; i < t->m; i++) {
        for (int j = begin; j < end; j++) {
            const float *x = t->x + (size_t)i * t->x_stride, *w = t->w + (size_t)j * n_step;
            float *y = t->y + (size_t)i * t->y_stride + j;
            double sum = t->accumulate ? (double)*y : 0.0;
            for (int p = 0; p < t->k; p++)
                sum += (double)x[p] * (double)w[(size_t)p * k_step];
            *y = (float)sum;
        }
    }
}

const struct kv_matmul_backend kv_matmul_reference = {
    .choice = {"reference", "the definition in plain C, summed in double precision; slow"},
    .prepare_thread = prepare_thread,
    .product = product,
};
