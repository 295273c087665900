/* The types that keys and values of one head are kept in, each in its own: what a cache writes and the attention kernels
 * read.
 *
 *   f32    as they are
 *   bf16   rounded to the nearest of 8 bits of precision, to even
 *   int8   x = scale * code, code -127..127, a scale for each position
 *   int4   of values: R v = scale * code, code -8..7, a scale for each position; R: kv_rotate_together
 *          of keys: R k = centre + scale * code, a centre for each block of positions, kept as an int8 key is
 *
 * The keys of neighbours have much in common, by their positions and by a bias that each channel has: 4 bits are for what
 * differs from R k of the block's first position, which the centre is. So keys are appended one by one, and no later one
 * changes an earlier one.
 *
 * Keys lie in blocks of KV_KEY_BLOCK positions: rows of the codes of one head dimension, of int4 of two, the even one in
 * the lower four bits. A value is its codes side by side; of int4 in groups of
 * KV_VALUE_GROUP dimensions. Scales are bf16, side by side by position, so that a vector of them goes with one of scores.
 * The centres of KV_KEY_BLOCK blocks lie as a block of int8 keys does. */
#ifndef KV_KERNELS_KEPT_H
#define KV_KERNELS_KEPT_H

#include "base/bfloat.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Keys lie in blocks of this many positions: a vector of scores then grows by one product per head dimension with no
 * sum across lanes. 16 floats are one cache line. */
#define KV_KEY_BLOCK 16

enum kv_kept { KV_KEPT_F32, KV_KEPT_BF16, KV_KEPT_INT8, KV_KEPT_INT4, KV_N_KEPT };

static inline bool kv_is_scaled(enum kv_kept kept)
{
    return kept >= KV_KEPT_INT8;
}

/* Bytes of a code, of int4 of two. */
static inline size_t kv_code_bytes(enum kv_kept kept)
{
    return kept == KV_KEPT_F32 ? 4 : kept == KV_KEPT_BF16 ? 2 : 1;
}

/* Rows of a block of keys, each of KV_KEY_BLOCK codes. */
static inline size_t kv_key_rows(enum kv_kept kept, int head_size)
{
    return (size_t)(kept == KV_KEPT_INT4 ? (head_size + 1) / 2 : head_size);
}

/* Bytes of a key without its scale. */
static inline size_t kv_key_bytes(enum kv_kept kept, int head_size)
{
    return kv_key_rows(kept, head_size) * kv_code_bytes(kept);
}

/* Dimensions of a value whose int4 codes lie together: those of its first half in the lower bits, of its second half in
 * the upper bits of the same bytes. */
#define KV_VALUE_GROUP 32

/* The byte where the code of a value's dimension begins, and whether it is the upper half of that byte. */
static inline size_t kv_value_offset(enum kv_kept kept, int dimension)
{
    const int half = KV_VALUE_GROUP / 2;
    if (kept == KV_KEPT_INT4)
        return (size_t)(dimension / KV_VALUE_GROUP * half + dimension % half);
    return (size_t)dimension * kv_code_bytes(kept);
}

static inline bool kv_value_is_upper(enum kv_kept kept, int dimension)
{
    return kept == KV_KEPT_INT4 && dimension % KV_VALUE_GROUP >= KV_VALUE_GROUP / 2;
}

/* Bytes of a value without its scale. */
static inline size_t kv_value_bytes(enum kv_kept kept, int head_size)
{
    const int half = KV_VALUE_GROUP / 2, rest = head_size % KV_VALUE_GROUP;
    if (kept == KV_KEPT_INT4)
        return (size_t)(head_size / KV_VALUE_GROUP * half + (rest < half ? rest : half));
    return (size_t)head_size * kv_code_bytes(kept);
}

/* A code as a number, its scale left out. */
static inline float kv_code(enum kv_kept kept, const char *code, bool upper)
{
    uint16_t half;
    float value;
    switch (kept) {
    case KV_KEPT_BF16:
        memcpy(&half, code, sizeof half);
        return kv_from_bfloat(half);
    case KV_KEPT_INT8:
        return (float)(signed char)*code;
    case KV_KEPT_INT4:
        return (float)(((*code >> (upper ? 4 : 0) & 15) ^ 8) - 8);
    default:
        memcpy(&value, code, sizeof value);
        return value;
    }
}

/* Bytes of the scale of a key or value. */
static inline size_t kv_scale_bytes(enum kv_kept kept)
{
    return kv_is_scaled(kept) ? sizeof(uint16_t) : 0;
}

static inline bool kv_is_centred(enum kv_kept kept)
{
    return kept == KV_KEPT_INT4;
}

/* ---- The rotation of int4 ------------------------------------------------------------------------------------- */

/* Most head dimensions that are rotated together. */
#define KV_MOST_ROTATED 64

/* The largest power of two among the n > 0 dimensions that are left, at most KV_MOST_ROTATED. */
static inline int kv_rotated_together(int n)
{
    int size = KV_MOST_ROTATED;
    while (size > n)
        size /= 2;
    return size;
}

/* R takes the dimensions in such blocks. x [n] = H x / sqrt(n), H the Hadamard matrix of Sylvester's order, n a power of two: its own inverse. It spreads an
 * outlier over all of x, so that a scale for all of it is small (Chee et al. 2023, "QuIP"; Ashkboos et al. 2024,
 * "QuaRot"). */
static inline void kv_rotate_together(float *x, int n)
{
    for (int half = 1; half < n; half *= 2)
        for (int i = 0; i < n; i += 2 * half)
            for (int j = i; j < i + half; j++) {
                const float a = x[j], b = x[j + half];
                x[j] = a + b;
                x[j + half] = a - b;
            }
    const float scale = 1.0f / sqrtf((float)n);
    for (int i = 0; i < n; i++)
        x[i] *= scale;
}

#endif
