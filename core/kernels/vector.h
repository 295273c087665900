/* Vectors of KV_LANES floats by the compilers' vector extension, and what the templates of a level share: one source
 * for every level, gcc and clang. */
#ifndef KV_KERNELS_VECTOR_H
#define KV_KERNELS_VECTOR_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#if defined(__SSE2__)
#include <immintrin.h>
#endif

typedef float vf __attribute__((vector_size(KV_LANES * 4)));
typedef int32_t vi __attribute__((vector_size(KV_LANES * 4)));
typedef uint32_t vu __attribute__((vector_size(KV_LANES * 4)));

static inline vf v_load(const float *p)
{
    vf v;
    memcpy(&v, p, sizeof v);
    return v;
}

static inline void v_store(float *p, vf v)
{
    memcpy(p, &v, sizeof v);
}

static inline vf v_set(float x)
{
    return x - (vf){0};
}

/* The first n < KV_LANES floats, `rest` in the other lanes. */
static inline vf v_load_part(const float *p, int n, float rest)
{
    float lanes[KV_LANES];
    for (int i = 0; i < KV_LANES; i++)
        lanes[i] = i < n ? p[i] : rest;
    return v_load(lanes);
}

static inline void v_store_part(float *p, int n, vf v)
{
    float lanes[KV_LANES];
    v_store(lanes, v);
    for (int i = 0; i < n; i++)
        p[i] = lanes[i];
}

/* sum + a0 b0 + a1 b1, where a lane of a and of b is two bfloat16; denormals count as 0. Only for a CPU with
 * AVX512-BF16; assembly, since the level is compiled for CPUs without it. */
#if defined(__AVX512F__)
#define V_HAS_DOT
static inline vf v_dot(vf sum, vf a, vf b)
{
    __asm__("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
/* The first and then the second, rounded to bfloat16 as kv_to_bfloat rounds, but denormals become 0. */
static inline vf v_round_pairs(vf first, vf second)
{
    vf pairs;
    __asm__("vcvtne2ps2bf16 %1, %2, %0" : "=v"(pairs) : "v"(first), "v"(second));
    return pairs;
}
#else
static inline vf v_dot(vf sum, vf a, vf b)
{
    (void)a, (void)b;
    return sum;
}
#endif

/* Of four 8-bit integers a lane, the first and the third, or the second and the fourth, as 16-bit integers. */
typedef int16_t v16 __attribute__((vector_size(KV_LANES * 4)));
typedef uint16_t v16u __attribute__((vector_size(KV_LANES * 4)));
static inline vi v_int8_pairs(const char *p, int half)
{
    v16 v;
    memcpy(&v, p, sizeof v);
    return (vi)((half ? v : (v16)((v16u)v << 8)) >> 8);
}

/* sum + a0 b0 + a1 b1, where a lane of a and of b is two 16-bit integers. */
static inline vi v_dot_pairs(vi sum, vi a, vi b)
{
#if defined(__AVX512BW__)
    return sum + (vi)_mm512_madd_epi16((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return sum + (vi)_mm256_madd_epi16((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return sum + (vi)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    const vi a0 = (vi)((vu)a << 16) >> 16, b0 = (vi)((vu)b << 16) >> 16;
    return sum + a0 * b0 + (a >> 16) * (b >> 16);
#endif
}

/* The same, only for a CPU with AVX512-VNNI. */
#if defined(__AVX512F__)
static inline vi v_dot_pairs_vnni(vi sum, vi a, vi b)
{
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
    return sum;
}
#endif

/* mask ? a : b, lane by lane */
static inline vf v_select(vi mask, vf a, vf b)
{
    return (vf)((mask & (vi)a) | (~mask & (vi)b));
}

/* The larger, or the smaller, of each lane; a when either is not a number. Compilers make several instructions of the
 * selection where the CPU has one that does just that. */
#if defined(__AVX512F__)
#define V_MAX(a, b) (vf) _mm512_max_ps((__m512)(b), (__m512)(a))
#define V_MIN(a, b) (vf) _mm512_min_ps((__m512)(b), (__m512)(a))
#elif defined(__AVX2__)
#define V_MAX(a, b) (vf) _mm256_max_ps((__m256)(b), (__m256)(a))
#define V_MIN(a, b) (vf) _mm256_min_ps((__m256)(b), (__m256)(a))
#else
#define V_MAX(a, b) v_select((b) > (a), (b), (a))
#define V_MIN(a, b) v_select((b) < (a), (b), (a))
#endif

static inline vf v_max(vf a, vf b)
{
    return V_MAX(a, b);
}

static inline vf v_min(vf a, vf b)
{
    return V_MIN(a, b);
}

/* Lanes by fours: halves are folded onto each other in whole vectors for as long as that goes. */
typedef float v4 __attribute__((vector_size(16)));
typedef int32_t v4i __attribute__((vector_size(16)));
union v_fours {
    vf whole;
    v4 fours[KV_LANES / 4];
};

static inline float v_sum(vf v)
{
    union v_fours u = {v};
    for (int n = KV_LANES / 8; n; n /= 2)
        for (int i = 0; i < n; i++)
            u.fours[i] += u.fours[i + n];
    const v4 s = u.fours[0];
    return (s[0] + s[2]) + (s[1] + s[3]);
}

static inline float v_largest(vf v)
{
    union v_fours u = {v};
    for (int n = KV_LANES / 8; n; n /= 2)
        for (int i = 0; i < n; i++) {
            const v4i above = u.fours[i + n] > u.fours[i];
            u.fours[i] = (v4)((above & (v4i)u.fours[i + n]) | (~above & (v4i)u.fours[i]));
        }
    const v4 s = u.fours[0];
    const float a = s[2] > s[0] ? s[2] : s[0], b = s[3] > s[1] ? s[3] : s[1];
    return b > a ? b : a;
}

/* e^x: x = n ln 2 + r, |r| <= ln 2 / 2, e^r by its Taylor polynomial of degree 7 in Horner form (remainder below
 * 6e-9 relative), 2^n by building the exponent. Within 2 ulp of the true value for -87.33 <= x <= 88.37; exactly
 * 0 below (no denormals), the value at 88.37 above, NaN for NaN. ln 2 is split so that n * hi is exact. */
static inline vf v_exp(vf x)
{
    const vf low = v_set(-87.33f), high = v_set(88.37f), shift = v_set(0x1.8p23f);
    const vi underflow = x < low;
    const vf t = v_min(v_max(x, low), high);
    const vf magic = t * 0x1.715476p+0f + shift; /* round to a whole number in the low mantissa bits */
    const vf n = magic - shift;
    const vf r = (t - n * 0x1.63p-1f) + n * 0x1.bd0106p-13f;
    vf p = v_set(1.0f / 5040);
    p = p * r + 1.0f / 720;
    p = p * r + 1.0f / 120;
    p = p * r + 1.0f / 24;
    p = p * r + 1.0f / 6;
    p = p * r + 0.5f;
    p = p * r + 1.0f;
    p = p * r + 1.0f;
    const vf power = (vf)(((vu)magic - (vu)shift + 127u) << 23);
    return (vf)(~underflow & (vi)(p * power));
}

/* What layer norm knows of a row before gain and bias. */
struct row_norm {
    float mean, scale; /* scale = 1 / sqrt(variance + epsilon) */
};

/* Of x [n]. Two passes: the mean first, then the squares about it, so that nothing cancels. */
static inline struct row_norm norm_of_row(const float *x, float epsilon, int n)
{
    const int whole = n - n % KV_LANES;
    vf sum = {0}, squares = {0};
    for (int i = 0; i < whole; i += KV_LANES)
        sum += v_load(x + i);
    float mean = v_sum(sum);
    for (int i = whole; i < n; i++)
        mean += x[i];
    mean /= (float)n;
    for (int i = 0; i < whole; i += KV_LANES) {
        const vf d = v_load(x + i) - mean;
        squares += d * d;
    }
    float variance = v_sum(squares);
    for (int i = whole; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    return (struct row_norm){mean, 1.0f / sqrtf(variance / (float)n + epsilon)};
}

#endif
