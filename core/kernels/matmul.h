/* y = epilogue(x w + bias): the one matrix product of the model, and the table of those who compute it.
 *
 * A backend is one file with one struct kv_matmul_backend and one row in matmul.c. Both inference paths are
 * given the same one. */
#ifndef KV_KERNELS_MATMUL_H
#define KV_KERNELS_MATMUL_H

#include "kernels/format.h"

enum kv_epilogue { KV_EPILOGUE_NONE, KV_EPILOGUE_GELU_NEW, KV_EPILOGUE_GELU };

struct kv_matmul_task {
    const float *x; /* [m, k], rows x_stride apart */
    size_t x_stride;
    const struct kv_matrix *w; /* [k, n], of the backend's layout */
    const float *bias;         /* [n], or NULL: none, and no epilogue */
    float *y;                  /* [m, n], rows y_stride apart */
    size_t y_stride;
    int m;
    bool accumulate; /* y += x w + bias; no epilogue */
    enum kv_epilogue epilogue;
};

struct kv_matmul_backend {
    struct kv_choice choice;
    /* Called once by every thread that will call `product`. */
    void (*prepare_thread)(void);
    enum kv_weight_layout layout;
    /* A rank's share of the whole task, divided and finished by the backend itself; or NULL, and then */
    void (*run)(const struct kv_kernels *kernels, const struct kv_matmul_task *task, int rank, int n_ranks);
    /* columns [begin, end) of y = x w, or y += x w; bias and epilogue are not its concern. */
    void (*product)(const struct kv_matmul_task *task, int begin, int end);
};

/* The backend of that name, NULL for the first. Errors: ARGUMENT for an unknown name. */
kv_status kv_matmul_find(const char *name, const struct kv_matmul_backend **backend, struct kv_error *error);

/* This rank's share of y, bias and epilogue included: all ranks together make y. */
void kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
               const struct kv_matmul_task *task, int rank, int n_ranks);

/* kv_openblas_better_core for an OpenBLAS that uses `core` on a CPU with those levels. */
const char *kv_openblas_better_core_for(const char *core, bool avx2, bool avx512);

extern const struct kv_matmul_backend kv_matmul_packed;
extern const struct kv_matmul_backend kv_matmul_openblas;
extern const struct kv_matmul_backend kv_matmul_reference;

#endif
