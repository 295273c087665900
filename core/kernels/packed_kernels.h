/* The packed product at one instruction-set level.
 *
 * A level is one file (packed_LEVEL.c, which sets its tile and includes packed_tmpl.h), one row in packed.c and the
 * row in the top meson.build that kernels/ also uses. */
#ifndef KV_KERNELS_PACKED_KERNELS_H
#define KV_KERNELS_PACKED_KERNELS_H

#include "kernels/packed.h"

struct kv_packed_call {
    const float *x; /* [m, k], rows x_stride apart */
    size_t x_stride;
    const float *w; /* [ceil(n / KV_PANEL)][k][KV_PANEL] */
    float *y;       /* [m, n], rows y_stride apart */
    size_t y_stride;
    int m, n, k;
    bool accumulate;   /* y += x w + bias */
    const float *bias; /* [n], or NULL */
    /* y = f(y + bias) on [n], or NULL: only the bias is added. With it, bias is not NULL. */
    void (*activation)(float *y, const float *bias, int n);
};

struct kv_packed_kernel {
    const struct kv_kernels *kernels; /* of the same level */
    void (*product)(const struct kv_packed_call *call);
};

/* The kernel of that level. */
const struct kv_packed_kernel *kv_packed_kernel_of(const struct kv_kernels *kernels);

extern const struct kv_packed_kernel kv_packed_portable;
#if defined(__x86_64__)
extern const struct kv_packed_kernel kv_packed_avx2;
extern const struct kv_packed_kernel kv_packed_avx512;
#endif

#endif
