/* All that exists once for each instruction-set level: level.h says how a level is made. The functions are pure: they
 * write only what they say. */
#ifndef KV_KERNELS_KERNELS_H
#define KV_KERNELS_KERNELS_H

#include "kernels/kept.h"
#include "kvbench.h"

/* Attention takes the keys in parts of so many positions: a head's scores of 8 queries, 8 KiB, and its keys or values,
 * 64 KiB at a head size of 64, are then used again from the first and second-level cache. */
#define KV_ATTENTION_PART 256
/* Queries that a level keeps in registers at most, and those that use a part one after the other. */
#define KV_MAX_QUERY_TILE 8
#define KV_QUERY_GROUP    48

/* Floats of scratch that attention needs, whatever the number of queries and positions. */
static inline size_t kv_attention_scratch(int head_size)
{
    const size_t centres = KV_KEY_BLOCK * ((size_t)head_size + sizeof(uint16_t)) / sizeof(float);
    return (size_t)KV_MAX_QUERY_TILE * (2 * ((size_t)head_size + 1) + KV_ATTENTION_PART + KV_KEY_BLOCK) + centres;
}

/* Positions rounded up to whole blocks of keys. */
static inline int kv_round_to_key_block(int n_positions)
{
    return (n_positions + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK * KV_KEY_BLOCK;
}

/* Causal attention of consecutive queries of one head over the cached positions 0..position:
 *   out_i = sum_t softmax_t(q_i . k_t * scale) v_t,   t <= first_position + i     (Vaswani et al. 2017, eq. 1) */
struct kv_attention {
    const float *queries; /* query i: [head_size] at queries + i * query_stride */
    size_t query_stride;
    int n_queries;
    int first_position;                        /* of query 0 */
    const void *keys;                          /* [capacity / KV_KEY_BLOCK][kv_key_rows][KV_KEY_BLOCK] codes */
    const void *values;                        /* [capacity][kv_value_bytes] */
    enum kv_kept values_kept;                  /* their type; that of keys says whose kernel it is */
    const uint16_t *key_scales, *value_scales; /* [capacity] bf16, of types that have them */
    /* Of types that have them, the centres of the blocks of keys: as int8 keys, one for each block. */
    const void *centres;
    const uint16_t *centre_scales;
    /* Positions, a multiple of KV_KEY_BLOCK, from this head's first one to that of the head which is attended to next, as
     * the arrays above have them; 0: unknown. A query alone then fetches what comes next from memory. */
    size_t next;
    /* NULL: position t lies in slot t of the arrays above. Else the KV_KEY_BLOCK positions of block j lie from slot
     * KV_KEY_BLOCK places[j] on, their centre at places[j]; KV_KEY_BLOCK entries more than there are blocks may be read.
     * next_places: the same of the head that is attended to next. */
    const int32_t *places, *next_places;
    int head_size;
    float scale;
    float *out; /* out_i: [head_size] at out + i * out_stride */
    size_t out_stride;
    float *scratch; /* [kv_attention_scratch(head_size)] of the caller's thread */
    /* NULL, or where the scores of a query alone, n_queries 1, go: [first_position + 1] q . k_t * scale */
    float *scores;
    /* NULL: all of it, into out. Else only part `part` of the keys, which the query, n_queries 1, sees some of, into
     * partial [2 + head_size]; attention_join makes out of all parts. The bits are the same. */
    float *partial;
    int part;
};

/* Weights of a packed product lie in panels of this many columns: matmul.h. */
#define KV_PANEL 48
/* Rows of 8-bit weights that share a scale. */
#define KV_INT8_GROUP 64

/* y = f(x w + bias), w packed. */
struct kv_matrix;
struct kv_packed_call {
    const float *x; /* [m, k], rows x_stride apart */
    size_t x_stride;
    const struct kv_matrix *w; /* packed; of it, the columns from first_column on, a multiple of KV_PANEL */
    int first_column;
    float *y; /* [m, n], rows y_stride apart */
    size_t y_stride;
    int m, n;
    bool accumulate;   /* y += x w + bias */
    const float *bias; /* [n], or NULL */
    /* y = f(y + bias) on [n], or NULL: only the bias is added. With it, bias is not NULL. */
    void (*activation)(float *y, const float *bias, int n);
};

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

/* What training does to a row of floats besides matrix products; rows need no alignment. */
struct kv_train_kernels {
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

/* The two loops that the machine's limits are measured with. */
enum { KV_PROBE_BLOCK = 128, KV_PROBE_ALIGNMENT = 64 /* bytes */ };
struct kv_probe_kernels {
    int chains;             /* independent vector accumulators of `multiply_add` */
    int lanes;              /* floats in a vector */
    double flops_per_round; /* 2 chains lanes */
    /* Sum of data [n], n a multiple of KV_PROBE_BLOCK, aligned to KV_PROBE_ALIGNMENT. */
    double (*sum)(const float *data, size_t n);
    /* x[c] = (c + 1) / 64 in every lane of chain c, then x = x * factor + addend, `rounds` times; the sum of all x. */
    double (*multiply_add)(float factor, float addend, size_t rounds);
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
    /* By the type of keys. */
    void (*attention[KV_N_KEPT])(const struct kv_attention *attention);
    /* out [head_size] of one query, from its partials [n, 2 + head_size]. */
    void (*attention_join)(const float *partials, int n, int head_size, float *out);
    /* The index of the largest of x [n], the lowest among equals; -1 when one is not a number. */
    int (*argmax)(const float *x, int n);
    /* The product of packed weights of each format. */
    void (*packed_f32)(const struct kv_packed_call *call);
    void (*packed_bf16)(const struct kv_packed_call *call);
    void (*packed_bf16x)(const struct kv_packed_call *call);
    void (*packed_int8)(const struct kv_packed_call *call);
    const struct kv_train_kernels *train;
    const struct kv_probe_kernels *probe;
};

/* The level of that name, NULL for the highest that this CPU and its system support.
 * Errors: ARGUMENT for an unknown name, UNSUPPORTED. */
kv_status kv_kernels_find(const char *name, const struct kv_kernels **kernels, struct kv_error *error);

extern const struct kv_kernels kv_kernels_portable;
#if defined(__x86_64__)
extern const struct kv_kernels kv_kernels_avx2;
extern const struct kv_kernels kv_kernels_avx512;
extern const struct kv_kernels kv_kernels_amx;
#elif defined(__aarch64__)
extern const struct kv_kernels kv_kernels_neon;
#endif

#endif
