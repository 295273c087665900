/* What training does to a row of floats besides matrix products, once for each instruction-set level: the same
 * scheme, and the same levels, as kernels/kernels.h. Pure functions; rows need no alignment. */
#ifndef KV_TRAIN_TRAIN_KERNELS_H
#define KV_TRAIN_TRAIN_KERNELS_H

#include <stddef.h>

/* One AdamW step of one tensor, all that does not depend on the element worked out beforehand:
 *   g' = g * gradient_scale,  m = beta1 m + (1 - beta1) g',  v = beta2 v + (1 - beta2) g'^2
 *   w  = w * keep - rate * m / (sqrt(v) * root_correction + epsilon) */
struct kv_adamw {
    float gradient_scale;
    float beta1, beta2, epsilon;
    float keep;            /* 1 - learning rate * weight decay */
    float rate;            /* learning rate / (1 - beta1^step) */
    float root_correction; /* 1 / sqrt(1 - beta2^step) */
};

struct kv_train_kernels {
    const char *name;
    /* normalized = (x - mean) * scale, which is returned: 1 / sqrt(variance + epsilon); [n] */
    float (*normalize)(const float *x, float epsilon, float *normalized, int n);
    /* y = x * gain + bias; [n] */
    void (*affine)(const float *x, const float *gain, const float *bias, float *y, int n);
    /* y += a * b; [n] */
    void (*multiply_add)(float *y, const float *a, const float *b, int n);
    /* dx += the gradient of normalize's x, given dy of y = normalized * gain + bias; [n] */
    void (*normalize_backward)(const float *dy, const float *gain, const float *normalized, float scale, float *dx,
                               int n);
    /* dy *= gelu'(x + bias), given y = gelu(x + bias) by the tanh formula; [n] */
    void (*gelu_new_backward)(const float *x, const float *bias, const float *y, float *dy, int n);
    /* The same by the error function. */
    void (*gelu_backward)(const float *x, const float *bias, const float *y, float *dy, int n);
    /* x = softmax(x); [n] */
    void (*softmax)(float *x, int n);
    /* dp = scale * p (dp - sum p dp): the gradient of softmax's input times `scale`; [n] */
    void (*softmax_backward)(const float *p, float *dp, float scale, int n);
    /* Returns -log softmax(x)[target] and leaves its gradient, times `scale`, in x [n]. */
    double (*cross_entropy)(float *x, int target, float scale, int n);
    /* Sum of squares of x [n] */
    double (*squares)(const float *x, size_t n);
    /* w, g, m, v [n] */
    void (*adamw)(const struct kv_adamw *step, float *w, const float *g, float *m, float *v, size_t n);
};

extern const struct kv_train_kernels kv_train_kernels_portable;
#if defined(__x86_64__)
extern const struct kv_train_kernels kv_train_kernels_avx2;
extern const struct kv_train_kernels kv_train_kernels_avx512;
#endif

#endif
