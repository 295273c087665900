/* What a forward pass does besides matrix products, once for each instruction-set level.
 *
 * A level is one file (kernels_LEVEL.c, which sets the vector width and includes kernels_tmpl.h), one row in
 * kernels.c and one row in the top meson.build. All functions are pure: they write only what they say. */
#ifndef KV_KERNELS_KERNELS_H
#define KV_KERNELS_KERNELS_H

#include "kvbench.h"

/* Keys lie in blocks of this many positions, [head_size][KV_KEY_BLOCK] a block: a vector of scores then grows
 * by one product per head dimension with no sum across lanes. 16 floats are one cache line. */
#define KV_KEY_BLOCK 16
/* Most queries that one call of a level works on at a time; sizes the scores' scratch. */
#define KV_MAX_QUERY_TILE 8

/* Causal attention of consecutive queries of one head over the cached positions 0..position:
 *   out_i = sum_t softmax_t(q_i . k_t * scale) v_t,   t <= first_position + i     (Vaswani et al. 2017, eq. 1) */
struct kv_attention {
    const float *queries; /* query i: [head_size] at queries + i * query_stride */
    size_t query_stride;
    int n_queries;
    int first_position;  /* of query 0 */
    const float *keys;   /* [capacity / KV_KEY_BLOCK][head_size][KV_KEY_BLOCK] */
    const float *values; /* [capacity][head_size] */
    int head_size;
    float scale;
    float *out; /* out_i: [head_size] at out + i * out_stride */
    size_t out_stride;
    float *scores;       /* scratch [KV_MAX_QUERY_TILE][score_stride] */
    size_t score_stride; /* a multiple of KV_KEY_BLOCK, at least the last query's positions */
};

struct kv_kernels {
    struct kv_choice choice;
    /* y = (x - mean) / sqrt(variance + epsilon) * gain + bias; x, y, gain, bias [n] */
    void (*layer_norm)(const float *x, const float *gain, const float *bias, float epsilon, float *y, int n);
    /* y += bias; [n] */
    void (*add)(float *y, const float *bias, int n);
    /* y = gelu(y + bias), by the tanh formula; [n] */
    void (*gelu_new)(float *y, const float *bias, int n);
    /* y = gelu(y + bias), by the error function; [n] */
    void (*gelu)(float *y, const float *bias, int n);
    void (*attention)(const struct kv_attention *attention);
    /* The index of the largest of x [n], the lowest among equals; -1 when one is not a number. */
    int (*argmax)(const float *x, int n);
};

/* The level of that name, NULL for the highest that this CPU and its system support.
 * Errors: ARGUMENT for an unknown name, UNSUPPORTED. */
kv_status kv_kernels_find(const char *name, const struct kv_kernels **kernels, struct kv_error *error);

extern const struct kv_kernels kv_kernels_portable;
#if defined(__x86_64__)
extern const struct kv_kernels kv_kernels_avx2;
extern const struct kv_kernels kv_kernels_avx512;
#endif

#endif
