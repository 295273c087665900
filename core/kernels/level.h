/* All kernels of one instruction-set level, from the templates. A level is one file that sets the constants below and
 * includes this one, one row in kernels.c and one in the top meson.build. Set before:
 *   KV_LEVEL, KV_SUMMARY   its name, and one line that describes it
 *   KV_LANES               floats in a vector
 *   KV_QUERY_TILE          queries that share each load of a key or value
 *   KV_SCORE_BLOCKS, KV_WEIGH_VECTORS   blocks of keys, vectors of a value that a tile works on at once: the sums just
 *                          fill the registers
 *   KV_TILE_ROWS (4 or 8), KV_TILE_VECTORS   the tile of y that the packed product keeps in registers
 *   KV_DEPTH, KV_X_BYTES   rows of weights, and bytes of x, that it works on before it goes on to the next
 *   KV_PROBE_CHAINS        independent sums that hide the latency of a multiplication and addition */
#include "base/bfloat.h"
#include "kernels/matmul.h"
#include "kernels/vector.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)
#define TEXT_(a)    #a
#define TEXT(a)     TEXT_(a)
#define INLINED     static inline __attribute__((always_inline))

/* Sums stay in registers only if the compiler knows all their indices early, and if gcc does not mix several steps. */
#if defined(__clang__)
#define UNROLLED _Pragma("clang loop unroll(full)")
#define ROLLED
#else
#define UNROLLED _Pragma("GCC unroll 16")
#define ROLLED   _Pragma("GCC unroll 1")
#endif

#include "kernels/kept_tmpl.h"

#include "kernels/attention_tmpl.h"
#include "kernels/kernels_tmpl.h"
#include "kernels/packed_tmpl.h"
#include "kernels/probe_tmpl.h"
#include "kernels/train_tmpl.h"

#include "kernels/int8_tmpl.h" /* after packed_tmpl.h, whose sizes it uses */

static const struct kv_train_kernels train = {
    .normalize = train_normalize,
    .affine = train_affine,
    .multiply_add = train_multiply_add,
    .normalize_backward = normalize_backward,
    .gelu_new_backward = gelu_new_backward,
    .gelu_backward = gelu_backward,
    .softmax = train_softmax,
    .softmax_backward = softmax_backward,
    .cross_entropy = cross_entropy,
    .squares = train_squares,
    .adamw = adamw,
};

static const struct kv_probe_kernels probe = {
    .chains = KV_PROBE_CHAINS,
    .lanes = KV_LANES,
    .flops_per_round = 2.0 * KV_PROBE_CHAINS * KV_LANES,
    .sum = probe_sum,
    .multiply_add = probe_multiply_add,
};

/* What levels of the same vectors share. */
#define KV_VECTOR_KERNELS                                                                                              \
    .layer_norm = layer_norm, .add = add, .gelu_new = gelu_new, .gelu = gelu,                                          \
    .attention = {[KV_KEPT_F32] = attention_f32,                                                                       \
                  [KV_KEPT_BF16] = attention_bf16,                                                                     \
                  [KV_KEPT_INT8] = attention_int8,                                                                     \
                  [KV_KEPT_INT4] = attention_int4},                                                                    \
    .attention_join = attention_join, .argmax = argmax, .packed_f32 = packed_f32, .packed_bf16 = packed_bf16,          \
    .train = &train, .probe = &probe

const struct kv_kernels JOIN(kv_kernels_, KV_LEVEL) = {
    .choice = {TEXT(KV_LEVEL), KV_SUMMARY},
    KV_VECTOR_KERNELS,
    .packed_bf16x = packed_bf16x,
    .packed_int8 = packed_int8,
};
