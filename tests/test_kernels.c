/* Every kernel but attention, and the e^x that they use, at every level that this machine has, against its definition in
 * double precision. All buffers end at a guard page. */
#include "guard.h"
#include "unit.h"

#include <errno.h>
#include <float.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Half a unit in the last place of 1: the relative error of one rounding. */
#define U 0x1p-24

#define LARGEST 10007

/* Every remainder of every vector width, then long ones that are odd. */
static int size_at(int index)
{
    static const int large[] = {127, 255, 257, 769, 1601, 4097, LARGEST};
    if (index < 70)
        return index + 1;
    return index - 70 < (int)(sizeof large / sizeof large[0]) ? large[index - 70] : 0;
}

/* Runs check(level, n) at every level and size. */
static void for_all(void (*check)(const struct kv_kernels *kernels, int n))
{
    const struct kv_kernels *kernels;
    for (int level = 0; (kernels = supported_kernels(level)); level++)
        for (int i = 0; size_at(i); i++)
            check(kernels, size_at(i));
}

static void check_value(const struct kv_kernels *kernels, const char *what, int n, int i, float value, double expected,
                        double bound)
{
    if (!(fabs((double)value - expected) <= bound))
        fail_msg("%s %s, n = %d: value %d is %.9g, expected %.9g within %.3g", kernels->choice.name, what, n, i,
                 (double)value, expected, bound);
}

static struct guard guards[4];

static int create_guards(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        guard_create(&guards[i], LARGEST);
    return 0;
}

static int free_guards(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++)
        guard_free(&guards[i]);
    return 0;
}

/* n numbers in centre - spread .. centre + spread, at guard `index` */
static float *random_floats(int index, int n, float centre, float spread)
{
    uint64_t random = 0x9e3779b97f4a7c15u + (uint64_t)(n * 8 + index);
    float *values = guard_last(&guards[index], (size_t)n);
    for (int i = 0; i < n; i++)
        values[i] = centre + spread * random_float(&random);
    return values;
}

/* ---- The guard itself ----------------------------------------------------------------------------- */

TEST(the_guard_kills)
{
    volatile float *first = guard_last(&guards[0], 5);
    assert_true(isnan(first[0]) && isnan(first[4]) && isnan(first[-1]));
    const pid_t child = fork();
    if (child == 0) {
        signal(SIGSEGV, SIG_DFL);
        const float past_the_end = first[5];
        _exit(past_the_end > 0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV);
}

/* ---- Layer norm ----------------------------------------------------------------------------------- */

/* Errors grow with the square root of n summands, as those of random sign do; the mean's is in units of the values'
 * size, not of their spread. */
static void check_layer_norm_of(const struct kv_kernels *kernels, int n, float centre, float spread, float epsilon)
{
    const float *x = random_floats(0, n, centre, spread);
    const float *gain = random_floats(1, n, 0.5f, 1), *bias = random_floats(2, n, 0, 2);
    float *y = guard_last(&guards[3], (size_t)n);
    double mean = 0, size = 0, variance = 0;
    for (int i = 0; i < n; i++) {
        mean += (double)x[i] / n;
        size += fabs((double)x[i]) / n;
    }
    for (int i = 0; i < n; i++)
        variance += ((double)x[i] - mean) * ((double)x[i] - mean) / n;
    const double scale = 1 / sqrt(variance + (double)epsilon);
    kernels->layer_norm(x, gain, bias, epsilon, y, n);
    for (int i = 0; i < n; i++) {
        const double normal = ((double)x[i] - mean) * scale, g = (double)gain[i], b = (double)bias[i];
        const double bound = U * (8 + sqrt(n)) * (fabs(g) * (fabs(normal) + size * scale) + fabs(b));
        check_value(kernels, "layer_norm", n, i, y[i], normal * g + b, bound);
    }
    assert_guard(&guards[3], (size_t)n);
}

static void check_layer_norm(const struct kv_kernels *kernels, int n)
{
    check_layer_norm_of(kernels, n, 0, 1, 1e-5f);
    check_layer_norm_of(kernels, n, 100, 1, 1e-5f);   /* the squares of a one-pass variance would cancel */
    check_layer_norm_of(kernels, n, -3, 0, 1e-5f);    /* no variance: epsilon alone is divided by */
    check_layer_norm_of(kernels, n, 0, 1e-4f, 1e-5f); /* epsilon outweighs the variance */
    check_layer_norm_of(kernels, n, 0, 1e-4f, 1e-12f);
    check_layer_norm_of(kernels, n, 1e14f, 1e15f, 1e-5f);
}

TEST(layer_norm)
{
    for_all(check_layer_norm);
}

/* ---- Elementwise ---------------------------------------------------------------------------------- */

static void check_add(const struct kv_kernels *kernels, int n)
{
    const float *bias = random_floats(0, n, 0, 3);
    float *y = random_floats(1, n, 0, 1000), expected[LARGEST];
    for (int i = 0; i < n; i++)
        expected[i] = y[i] + bias[i];
    kernels->add(y, bias, n);
    assert_memory_equal(y, expected, (size_t)n * sizeof *y);
    assert_guard(&guards[1], (size_t)n);
}

TEST(add)
{
    for_all(check_add);
}

static double u_of(double x)
{
    return sqrt(2 / M_PI) * (x + 0.044715 * x * x * x);
}

static double true_gelu_new(double x)
{
    return 0.5 * x * (1 + tanh(u_of(x)));
}

static double true_gelu(double x)
{
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}

/* x / (1 + e^(-2u)): the error of 2u, a few roundings of its own size, is the power's relative one, and counts by
 * the power's share of the sum. Where the result all but vanishes, 1 + tanh cancels in the reference too. */
static double gelu_new_bound(double x)
{
    const double u = u_of(x), share = 1 / (1 + exp(2 * u));
    return U * (6 + 8 * fabs(u) * share) * fabs(true_gelu_new(x)) + 1e-15 * fabs(x);
}

/* 1 + erf cancels below zero, so the error is of x's size. */
static double gelu_bound(double x)
{
    return 4 * U * fabs(x);
}

static void check_gelu_both(const struct kv_kernels *kernels, int n, float spread)
{
    const float *bias = random_floats(0, n, 0.1f, spread / 4);
    float x[LARGEST];
    float *tanh_y = random_floats(1, n, 0, spread), *erf_y = guard_copy(&guards[2], tanh_y, (size_t)n);
    for (int i = 0; i < n; i++)
        x[i] = tanh_y[i] + bias[i];
    kernels->gelu_new(tanh_y, bias, n);
    kernels->gelu(erf_y, bias, n);
    for (int i = 0; i < n; i++) {
        const double v = (double)x[i];
        check_value(kernels, "gelu_new", n, i, tanh_y[i], true_gelu_new(v), gelu_new_bound(v));
        check_value(kernels, "gelu", n, i, erf_y[i], true_gelu(v), gelu_bound(v));
    }
    assert_guard(&guards[1], (size_t)n);
    assert_guard(&guards[2], (size_t)n);
}

static void check_gelu(const struct kv_kernels *kernels, int n)
{
    check_gelu_both(kernels, n, 1e-6f);
    check_gelu_both(kernels, n, 2);
    check_gelu_both(kernels, n, 14);
    check_gelu_both(kernels, n, 1e30f);
}

TEST(gelu)
{
    for_all(check_gelu);
}

/* A NaN comes out where it went in, and nowhere else. */
static void check_gelu_nan(const struct kv_kernels *kernels, int n)
{
    void (*const gelus[])(float *, const float *, int) = {kernels->gelu_new, kernels->gelu};
    for (int which = 0; which < 2; which++) {
        const float *bias = random_floats(0, n, 0, 1);
        float *y = random_floats(1, n, 0, 1);
        y[n / 2] = NAN;
        gelus[which](y, bias, n);
        for (int i = 0; i < n; i++)
            assert_true(i == n / 2 ? isnan(y[i]) : isfinite(y[i]));
    }
}

TEST(gelu_of_nan)
{
    for_all(check_gelu_nan);
}

/* ---- Argmax --------------------------------------------------------------------------------------- */

static void check_argmax_is(const struct kv_kernels *kernels, const float *x, int n, int expected)
{
    const int index = kernels->argmax(x, n);
    if (index != expected)
        fail_msg("%s argmax, n = %d: %d, expected %d", kernels->choice.name, n, index, expected);
}

/* All negative, so that a lane that started from zero would show. */
static void check_argmax_at(const struct kv_kernels *kernels, int n, int at)
{
    float *x = random_floats(0, n, -5, 1);
    x[at] = -0.25f;
    check_argmax_is(kernels, x, n, at);
    x[(at + n) / 2] = -0.25f;
    check_argmax_is(kernels, x, n, at);
    x[at / 2] = -0.25f;
    check_argmax_is(kernels, x, n, at / 2);
    x[at] = INFINITY;
    check_argmax_is(kernels, x, n, at);
    x[n - 1 - at] = NAN;
    check_argmax_is(kernels, x, n, -1);
}

static void check_argmax(const struct kv_kernels *kernels, int n)
{
    for (int at = 0; at < n; at += 1 + n / 70)
        check_argmax_at(kernels, n, at);
    check_argmax_at(kernels, n, n - 1);
    float *x = guard_last(&guards[0], (size_t)n);
    check_argmax_is(kernels, x, n, -1);
    for (int i = 0; i < n; i++)
        x[i] = -INFINITY;
    check_argmax_is(kernels, x, n, 0);
    x[n - 1] = -FLT_MAX;
    check_argmax_is(kernels, x, n, n - 1);
    for (int i = 0; i < n; i++)
        x[i] = i % 2 ? 0.0f : -0.0f; /* equal, though not in their bits */
    check_argmax_is(kernels, x, n, 0);
}

TEST(argmax)
{
    for_all(check_argmax);
}

/* ---- The table of levels -------------------------------------------------------------------------- */

TEST(levels_by_name)
{
    const struct kv_kernels *kernels, *highest = NULL;
    assert_string_equal(kv_isa_choice(0)->name, "portable");
    assert_true(kv_isa_supported("portable"));
    assert_null(kv_isa_choice(-1));
    for (int i = 0; kv_isa_choice(i); i++) {
        const char *name = kv_isa_choice(i)->name;
        assert_true(kv_isa_choice(i)->summary[0] != '\0');
        const kv_status status = kv_kernels_find(name, &kernels, &error);
        if (kv_isa_supported(name)) {
            OK(status);
            assert_string_equal(kernels->choice.name, name);
            highest = kernels;
        } else {
            assert_int_equal(status, KV_ERROR_UNSUPPORTED);
            assert_null(kernels);
            assert_non_null(strstr(error.message, name));
        }
    }
    OK(kv_kernels_find(NULL, &kernels, &error));
    assert_ptr_equal(kernels, highest);
}

TEST(unknown_level)
{
    static const char *const names[] = {"", "avx", "AVX2", "avx51", "avx512 ", "portable,avx2"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct kv_kernels *kernels = &kv_kernels_portable;
        assert_false(kv_isa_supported(names[i]));
        assert_int_equal(kv_kernels_find(names[i], &kernels, &error), KV_ERROR_ARGUMENT);
        assert_null(kernels);
        assert_non_null(strstr(error.message, names[i]));
        assert_non_null(strstr(error.message, "portable")); /* the remedy */
        assert_int_equal(kv_kernels_find(names[i], &kernels, NULL), KV_ERROR_ARGUMENT);
    }
}

#if defined(__x86_64__)
/* As a container does whose filter of system calls does not know the request. */
static void refuse_tiles(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_arch_prctl, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    assert_int_equal(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    assert_int_equal(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

/* Without the system's permission there is no level amx, and the one below is taken and named. */
TEST(tiles_refused)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct kv_kernels *kernels;
        refuse_tiles();
        const bool gone = !kv_isa_supported("amx") && kv_kernels_find("amx", &kernels, &error) == KV_ERROR_UNSUPPORTED;
        const bool named = strcmp(kv_isa_default(), kv_isa_supported("avx512") ? "avx512"
                                                    : kv_isa_supported("avx2") ? "avx2"
                                                                               : "portable") == 0;
        _exit(gone && named && strstr(error.message, "use a lower one") ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
#endif

/* ---- e^x: the bound that kernels/vector.h states, over the whole range of floats -------------------- */

/* y = e^x; [n], n a multiple of 16: exp_level.c, which is built once a level. */
void exp_portable(const float *x, float *y, int n);
#if defined(__x86_64__)
void exp_avx2(const float *x, float *y, int n);
void exp_avx512(const float *x, float *y, int n);
#elif defined(__aarch64__)
void exp_neon(const float *x, float *y, int n);
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
    {"amx", exp_avx512}, /* its vectors are those of avx512 */
#elif defined(__aarch64__)
    {"neon", exp_neon},
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

static void check_exp(const char *level, float x, float y)
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
static void check_exps(const float *x, int n)
{
    float y[CHUNK];
    for (int level = 0; level < N_LEVELS; level++) {
        if (!kv_isa_supported(levels[level].name))
            continue;
        levels[level].exp(x, y, n);
        for (int i = 0; i < n; i++)
            check_exp(levels[level].name, x[i], y[i]);
    }
}

TEST(exp_at_every_level)
{
    for (int i = 0; i < N_LEVELS; i++)
        assert_string_equal(kv_isa_choice(i)->name, levels[i].name);
    assert_null(kv_isa_choice(N_LEVELS));
}

TEST(exp_whole_range)
{
    float x[CHUNK];
    uint64_t bits = 0;
    while (bits <= UINT32_MAX) {
        for (int i = 0; i < CHUNK; i++, bits += STRIDE) {
            const uint32_t pattern = (uint32_t)bits;
            memcpy(&x[i], &pattern, sizeof pattern);
        }
        check_exps(x, CHUNK);
    }
}

/* Where the polynomial's argument is largest: halfway between two multiples of ln 2, and the floats around. */
TEST(exp_where_the_polynomial_changes)
{
    for (int n = -126; n <= 127; n++) {
        float x[16] = {0};
        x[8] = (float)((n + 0.5) * log(2.0));
        for (int i = 9; i < 16; i++)
            x[i] = nextafterf(x[i - 1], INFINITY);
        for (int i = 8; i-- > 0;)
            x[i] = nextafterf(x[i + 1], -INFINITY);
        check_exps(x, 16);
    }
}

TEST(exp_ends)
{
    const float x[16] = {
        lowest,  nextafterf(lowest, 0),  nextafterf(lowest, -INFINITY), -88,   -104,    -FLT_MAX, -INFINITY, NAN,
        highest, nextafterf(highest, 0), nextafterf(highest, INFINITY), 88.8f, FLT_MAX, INFINITY, -0.0f,     0.0f,
    };
    check_exps(x, 16);
    for (int level = 0; level < N_LEVELS; level++) {
        float y[16];
        if (!kv_isa_supported(levels[level].name))
            continue;
        levels[level].exp(x, y, 16);
        for (int i = 10; i < 14; i++)
            assert_true(y[i] == y[8]);
    }
}

GROUP(create_guards, free_guards)
