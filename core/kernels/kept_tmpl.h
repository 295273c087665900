/* Codes of keys and values as vectors, and the rotation of int4, at one level: kept.h says how they lie. */
#if defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

/* KV_LANES bfloat16 as floats: exact. */
static inline vf v_load_bfloat(const uint16_t *p)
{
#if defined(__AVX512F__)
    return (vf)_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p)), 16);
#elif defined(__AVX2__)
    return (vf)_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p)), 16);
#elif defined(__ARM_NEON)
    return (vf)vshll_n_u16(vld1_u16(p), 16);
#else
    uint16_t lanes __attribute__((vector_size(KV_LANES * 2)));
    memcpy(&lanes, p, sizeof lanes);
    return (vf)(__builtin_convertvector(lanes, vu) << 16);
#endif
}

/* KV_LANES bytes, sign-extended. */
static inline vi v_load_bytes(const void *p)
{
#if defined(__AVX512F__)
    return (vi)_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p));
#elif defined(__AVX2__)
    return (vi)_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p));
#elif defined(__SSE2__)
    int32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    const __m128i pairs = _mm_unpacklo_epi8(_mm_cvtsi32_si128(bytes), _mm_cvtsi32_si128(bytes));
    return (vi)_mm_srai_epi32(_mm_unpacklo_epi16(pairs, pairs), 24);
#elif defined(__ARM_NEON)
    uint32_t bytes;
    memcpy(&bytes, p, sizeof bytes);
    return (vi)vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(bytes))));
#else
    int8_t lanes __attribute__((vector_size(KV_LANES)));
    memcpy(&lanes, p, sizeof lanes);
    return __builtin_convertvector(lanes, vi);
#endif
}

/* The lower (0) or upper (1) four bits of such bytes. */
INLINED vf v_nibbles(vi bytes, int upper)
{
#if defined(__AVX512F__)
    /* looks at four bits of each lane, and so needs no mask */
    const vf codes = {0, 1, 2, 3, 4, 5, 6, 7, -8, -7, -6, -5, -4, -3, -2, -1};
    return (vf)_mm512_permutexvar_ps((__m512i)(bytes >> 4 * upper), (__m512)codes);
#else
    return __builtin_convertvector(bytes << (28 - 4 * upper) >> 28, vf);
#endif
}

/* KV_LANES codes that lie side by side: keys of a block, or dimensions of a value. */
INLINED vf load_codes(enum kv_kept kept, const char *p, int upper)
{
    switch (kept) {
    case KV_KEPT_BF16:
        return v_load_bfloat((const uint16_t *)(const void *)p);
    case KV_KEPT_INT8:
        return __builtin_convertvector(v_load_bytes(p), vf);
    case KV_KEPT_INT4:
        return v_nibbles(v_load_bytes(p), upper);
    default:
        return v_load((const float *)(const void *)p);
    }
}

/* The signs of a Hadamard matrix of KV_LANES rows or of any smaller power of two, which is in its corner. */
#define SIGN(i, j) (__builtin_parity((i) & (j)) ? -1.0f : 1.0f)
#define FOUR(i, j) SIGN(i, j), SIGN(i, (j) + 1), SIGN(i, (j) + 2), SIGN(i, (j) + 3)
#define SIGNS(i)                                                                                                       \
    {                                                                                                                  \
        FOUR(i, 0), FOUR(i, 4), FOUR(i, 8), FOUR(i, 12)                                                                \
    }
static const float signs[16][16] = {SIGNS(0),  SIGNS(1),  SIGNS(2),  SIGNS(3), SIGNS(4),  SIGNS(5),
                                    SIGNS(6),  SIGNS(7),  SIGNS(8),  SIGNS(9), SIGNS(10), SIGNS(11),
                                    SIGNS(12), SIGNS(13), SIGNS(14), SIGNS(15)};

/* As kv_rotate_together: within a vector by products with signs, between vectors by sums and differences. */
INLINED void rotate_together(float *x, int n)
{
    vf v[KV_MOST_ROTATED / KV_LANES];
    const int n_vectors = n / KV_LANES;
    if (n_vectors == 0) {
        kv_rotate_together(x, n);
        return;
    }
    const float scale = 1.0f / sqrtf((float)n);
    for (int i = 0; i < n_vectors; i++) {
        v[i] = (vf){0};
        for (int j = 0; j < KV_LANES; j++)
            v[i] += v_load(signs[j]) * x[i * KV_LANES + j];
    }
    for (int half = 1; half < n_vectors; half *= 2)
        for (int i = 0; i < n_vectors; i++)
            if (!(i & half)) {
                const vf a = v[i], b = v[i + half];
                v[i] = a + b;
                v[i + half] = a - b;
            }
    for (int i = 0; i < n_vectors; i++)
        v_store(x + i * KV_LANES, v[i] * scale);
}

/* R: kept.h. */
static void rotate(float *x, int head_size)
{
    for (int d = 0, n; d < head_size; d += n) {
        n = kv_rotated_together(head_size - d);
        if (n == KV_MOST_ROTATED)
            rotate_together(x + d, KV_MOST_ROTATED); /* inlined with a constant */
        else
            rotate_together(x + d, n);
    }
}
