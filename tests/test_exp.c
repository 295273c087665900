/* The bound that kernels/vector.h states for e^x, over the whole range of floats at every level. */
#include "unit.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* y = e^x; [n], n a multiple of 16: exp_level.c, which is built once a level. */
void exp_portable(const float *x, float *y, int n);
#if defined(__x86_64__)
void exp_avx2(const float *x, float *y, int n);
void exp_avx512(const float *x, float *y, int n);
#endif

/* A prime, so that every low bit of the mantissa is seen. */
#define STRIDE 1009
#define CHUNK  4096

static const float lowest = -87.33f, highest = 88.37f;

static const struct {
    const char *name;
    void (*exp)(const float *x, float *y, int n);
} levels[] = {
    {"portable", exp_portable},
#if defined(__x86_64__)
    {"avx2", exp_avx2},
    {"avx512", exp_avx512},
#endif
};
enum { N_LEVELS = sizeof levels / sizeof levels[0] };

/* Distance from the true value in units of the last place that the true value has as a float. */
static double ulps(float y, double truth)
{
    int exponent;
    frexp(truth, &exponent);
    return fabs((double)y - truth) / ldexp(1.0, exponent - FLT_MANT_DIG);
}

static void check(const char *level, float x, float y)
{
    bool right;
    if (isnan(x))
        right = isnan(y);
    else if (x < lowest)
        right = y == 0 && !signbit(y);
    else /* above, the value that it has at the upper end */
        right = y >= FLT_MIN && ulps(y, exp((double)fminf(x, highest))) <= 2;
    if (!right)
        fail_msg("%s: e^%.9g is %.9g, libm says %.9g", level, (double)x, (double)y, exp((double)x));
}

/* x [n], n a multiple of 16 up to CHUNK. Runs every level that this machine has. */
static void check_all(const float *x, int n)
{
    float y[CHUNK];
    for (int level = 0; level < N_LEVELS; level++) {
        if (!kv_isa_supported(levels[level].name))
            continue;
        levels[level].exp(x, y, n);
        for (int i = 0; i < n; i++)
            check(levels[level].name, x[i], y[i]);
    }
}

TEST(every_level_is_here)
{
    for (int i = 0; i < N_LEVELS; i++)
        assert_string_equal(kv_isa_choice(i)->name, levels[i].name);
    assert_null(kv_isa_choice(N_LEVELS));
}

TEST(whole_range)
{
    float x[CHUNK];
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        for (int i = 0; i < CHUNK; i++, bits += STRIDE) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[i], &pattern, sizeof pattern);
        }
        check_all(x, CHUNK);
    }
}

/* Where the polynomial's argument is largest: halfway between two multiples of ln 2, and the floats around. */
TEST(where_the_polynomial_changes)
{
    for (int n = -126; n <= 127; n++) {
        float x[16] = {0};
        x[8] = (float)((n + 0.5) * log(2.0));
        for (int i = 9; i < 16; i++)
            x[i] = nextafterf(x[i - 1], INFINITY);
        for (int i = 8; i-- > 0;)
            x[i] = nextafterf(x[i + 1], -INFINITY);
        check_all(x, 16);
    }
}

TEST(ends)
{
    const float x[16] = {
        lowest,  nextafterf(lowest, 0),  nextafterf(lowest, -INFINITY), -88,   -104,    -FLT_MAX, -INFINITY, NAN,
        highest, nextafterf(highest, 0), nextafterf(highest, INFINITY), 88.8f, FLT_MAX, INFINITY, -0.0f,     0.0f,
    };
    check_all(x, 16);
    for (int level = 0; level < N_LEVELS; level++) {
        float y[16];
        if (!kv_isa_supported(levels[level].name))
            continue;
        levels[level].exp(x, y, 16);
        for (int i = 10; i < 14; i++)
            assert_true(y[i] == y[8]);
    }
}
