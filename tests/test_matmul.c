/* Every matmul backend against the definition in double precision, and how the columns are divided among ranks.
 * All buffers end at a guard page, and what a call must not use is NaN. */
#include "kernels/matmul.h"

#include "guard.h"
#include "support.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Half a unit in the last place of 1: the relative error of one rounding. */
#define U 0x1p-24

#define MAX_M   64
#define MAX_N   272
#define MAX_K   800
#define MAX_GAP 8

/* What is asked of one product besides itself. */
struct mode {
    const char *name;
    bool accumulate, bias;
    enum kv_epilogue epilogue;
};
static const struct mode modes[] = {
    {"plain", false, false, KV_EPILOGUE_NONE},       {"bias", false, true, KV_EPILOGUE_NONE},
    {"accumulate", true, false, KV_EPILOGUE_NONE},   {"accumulate, bias", true, true, KV_EPILOGUE_NONE},
    {"gelu_new", false, true, KV_EPILOGUE_GELU_NEW}, {"gelu", false, true, KV_EPILOGUE_GELU},
};
enum { N_MODES = sizeof modes / sizeof modes[0] };

/* One product: its numbers, and the sums that they make. */
static struct {
    int m, n, k;
    float x[MAX_M][MAX_K];
    float w[MAX_K][MAX_N];
    float bias[MAX_N];
    float y[MAX_M][MAX_N]; /* what is added to, when accumulating */
    double sum[MAX_M][MAX_N];
    double size[MAX_M][MAX_N]; /* the sum of the products' magnitudes */
} problem;

/* How it is asked for. */
struct call {
    const struct kv_matmul_backend *backend;
    const struct kv_kernels *kernels;
    const struct mode *mode;
    bool w_transposed;
    int gap; /* floats between rows of x and of y */
    int n_ranks;
};

static struct guard x_guard, w_guard, bias_guard, y_guard;

static int create_guards(void **state)
{
    (void)state;
    guard_create(&x_guard, (size_t)MAX_M * (MAX_K + MAX_GAP));
    guard_create(&w_guard, (size_t)MAX_K * MAX_N);
    guard_create(&bias_guard, MAX_N);
    guard_create(&y_guard, (size_t)MAX_M * (MAX_N + MAX_GAP));
    for (int i = 0; kv_matmul_choice(i); i++) {
        const struct kv_matmul_backend *backend;
        assert_int_equal(kv_matmul_find(kv_matmul_choice(i)->name, &backend, NULL), KV_OK);
        backend->prepare_thread();
    }
    return 0;
}

static int free_guards(void **state)
{
    (void)state;
    guard_free(&x_guard);
    guard_free(&w_guard);
    guard_free(&bias_guard);
    guard_free(&y_guard);
    return 0;
}

/* ---- The reference -------------------------------------------------------------------------------- */

static void compute_sums(void)
{
    for (int i = 0; i < problem.m; i++)
        for (int j = 0; j < problem.n; j++) {
            double sum = 0, size = 0;
            for (int p = 0; p < problem.k; p++) {
                const double product = (double)problem.x[i][p] * (double)problem.w[p][j];
                sum += product;
                size += fabs(product);
            }
            problem.sum[i][j] = sum;
            problem.size[i][j] = size;
        }
}

static void fill_problem(int m, int n, int k)
{
    uint64_t random = 0x9e3779b97f4a7c15u + (uint64_t)(m + 100 * n + 100000 * k);
    problem.m = m;
    problem.n = n;
    problem.k = k;
    for (int i = 0; i < m; i++)
        for (int p = 0; p < k; p++)
            problem.x[i][p] = random_float(&random);
    for (int p = 0; p < k; p++)
        for (int j = 0; j < n; j++)
            problem.w[p][j] = random_float(&random);
    for (int j = 0; j < n; j++) {
        problem.bias[j] = random_float(&random);
        for (int i = 0; i < m; i++)
            problem.y[i][j] = random_float(&random);
    }
    compute_sums();
}

static double expected_at(const struct mode *mode, int i, int j)
{
    double v = problem.sum[i][j];
    v += mode->accumulate ? (double)problem.y[i][j] : 0;
    v += mode->bias ? (double)problem.bias[j] : 0;
    if (mode->epilogue == KV_EPILOGUE_GELU_NEW)
        return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    return mode->epilogue == KV_EPILOGUE_GELU ? 0.5 * v * (1 + erf(v / sqrt(2))) : v;
}

/* At most a rounding for each of k products and sums, of the summands' size, whatever the order; a backend that sums
 * in double has none of them. Then come those of y and bias, each below 1, and of gelu, whose slope is below 1.13. */
static double bound_at(const struct call *call, int i, int j)
{
    const int roundings = call->backend == &kv_matmul_reference ? 0 : problem.k;
    const int roundings_after = call->mode->epilogue == KV_EPILOGUE_NONE ? 2 : 16;
    return 1.13 * U * (roundings * problem.size[i][j] + roundings_after * (fabs(problem.sum[i][j]) + 2));
}

/* ---- One call ------------------------------------------------------------------------------------- */

static float *lay_rows(struct guard *guard, const float *rows, int columns, int row_stride, int gap)
{
    const size_t stride = (size_t)(columns + gap);
    float *first = guard_last(guard, (size_t)(problem.m - 1) * stride + (size_t)columns);
    for (int i = 0; i < problem.m; i++)
        memcpy(first + (size_t)i * stride, rows + (size_t)i * (size_t)row_stride, (size_t)columns * sizeof *first);
    return first;
}

static struct kv_matrix lay_weights(bool transposed)
{
    float *w = guard_last(&w_guard, (size_t)problem.k * (size_t)problem.n);
    for (int p = 0; p < problem.k; p++)
        for (int j = 0; j < problem.n; j++)
            w[transposed ? j * problem.k + p : p * problem.n + j] = problem.w[p][j];
    return (struct kv_matrix){
        .data = w, .k = problem.k, .n = problem.n, .format = &kv_format_f32, .transposed = transposed};
}

/* NaN, unless it is to be added to. */
static float *lay_y(const struct call *call)
{
    if (call->mode->accumulate)
        return lay_rows(&y_guard, problem.y[0], problem.n, MAX_N, call->gap);
    return guard_last(&y_guard, (size_t)(problem.m - 1) * (size_t)(problem.n + call->gap) + (size_t)problem.n);
}

static void check_y(const struct call *call, const float *y)
{
    for (int i = 0; i < problem.m; i++, y += problem.n + call->gap) {
        for (int j = 0; j < problem.n; j++) {
            const double expected = expected_at(call->mode, i, j);
            if (!(fabs((double)y[j] - expected) <= bound_at(call, i, j)))
                fail_msg("%s, %s, %s, m n k = %d %d %d, transposed %d, gap %d, %d ranks: [%d][%d] is %.9g, expected "
                         "%.9g within %.3g",
                         call->backend->choice.name, call->kernels->choice.name, call->mode->name, problem.m, problem.n,
                         problem.k, call->w_transposed, call->gap, call->n_ranks, i, j, (double)y[j], expected,
                         bound_at(call, i, j));
        }
        for (int j = problem.n; j < problem.n + call->gap && i + 1 < problem.m; j++)
            assert_true(isnan(y[j])); /* between two rows, nothing is written */
    }
}

static void check_call(const struct call *call)
{
    const struct kv_matrix w = lay_weights(call->w_transposed);
    const struct kv_matmul_task task = {
        .x = lay_rows(&x_guard, problem.x[0], problem.k, MAX_K, call->gap),
        .x_stride = (size_t)(problem.k + call->gap),
        .w = &w,
        .bias = call->mode->bias ? guard_copy(&bias_guard, problem.bias, (size_t)problem.n) : NULL,
        .y = lay_y(call),
        .y_stride = (size_t)(problem.n + call->gap),
        .m = problem.m,
        .accumulate = call->mode->accumulate,
        .epilogue = call->mode->epilogue,
    };
    for (int rank = 0; rank < call->n_ranks; rank++)
        kv_matmul(call->backend, call->kernels, &task, rank, call->n_ranks);
    check_y(call, task.y);
    assert_guard(&y_guard, (size_t)(problem.m - 1) * task.y_stride + (size_t)problem.n);
}

/* ---- Values --------------------------------------------------------------------------------------- */

/* Every level's epilogues are in test_kernels.c: here it is enough that they are given the right columns. */
static void check_backend(const struct kv_matmul_backend *backend)
{
    const struct kv_kernels *kernels;
    assert_int_equal(kv_kernels_find(NULL, &kernels, NULL), KV_OK);
    for (int mode = 0; mode < N_MODES; mode++)
        for (int n_ranks = 1; n_ranks <= 5; n_ranks++) {
            const int gap = (mode + n_ranks) % 2 ? MAX_GAP - n_ranks : 0;
            check_call(&(struct call){backend, kernels, &modes[mode], false, gap, n_ranks});
            check_call(&(struct call){backend, kernels, &modes[mode], true, gap, n_ranks});
        }
}

static void check_shapes(const char *name)
{
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, MAX_M};
    static const struct {
        int n, k;
    } shapes[] = {
        {1, 1},   {1, 7},  {5, 3},    {15, 16}, {16, 17}, {17, 1},  {31, 33}, {32, 32},
        {33, 65}, {47, 2}, {48, 129}, {49, 5},  {64, 64}, {65, 31}, {80, 3},  {81, 127},
    };
    const struct kv_matmul_backend *backend;
    assert_int_equal(kv_matmul_find(name, &backend, NULL), KV_OK);
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_backend(backend);
        }
}

static void test_reference(void **state)
{
    (void)state;
    check_shapes("reference");
}

static void test_openblas(void **state)
{
    (void)state;
    check_shapes("openblas");
}

/* Long enough for OpenBLAS to go through its blocks of columns and of summands more than once. */
static void test_openblas_blocks(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 9, MAX_M};
    for (int m = 0; m < 4; m++) {
        fill_problem(rows[m], 257, 769);
        check_backend(&kv_matmul_openblas);
        fill_problem(rows[m], MAX_N, MAX_K);
        check_backend(&kv_matmul_openblas);
    }
}

/* A NaN in the input must reach every result that it belongs to, and no other. */
static void test_nan_reaches_its_own(void **state)
{
    (void)state;
    for (int index = 0; kv_matmul_choice(index); index++)
        for (int m = 1; m <= 5; m += 2) {
            const struct kv_matmul_backend *backend;
            assert_int_equal(kv_matmul_find(kv_matmul_choice(index)->name, &backend, NULL), KV_OK);
            if (backend->layout != KV_WEIGHTS_PLAIN)
                continue; /* test_packed.c has the same for it */
            fill_problem(m, 37, 19);
            problem.w[7][11] = NAN;
            const struct kv_matrix w = lay_weights(false);
            const struct kv_matmul_task task = {
                .x = lay_rows(&x_guard, problem.x[0], problem.k, MAX_K, 0),
                .x_stride = 19,
                .w = &w,
                .y = guard_last(&y_guard, (size_t)m * 37),
                .y_stride = 37,
                .m = m,
            };
            kv_matmul(backend, &kv_kernels_portable, &task, 0, 1);
            for (int i = 0; i < m * 37; i++)
                assert_true(i % 37 == 11 ? isnan(task.y[i]) : isfinite(task.y[i]));
        }
}

/* ---- How columns are divided ---------------------------------------------------------------------- */

/* The columns that the last rank was given. */
static int given_begin, given_end, n_given;

static void prepare_nothing(void) {}

static void note_columns(const struct kv_matmul_task *task, int begin, int end)
{
    (void)task;
    given_begin = begin;
    given_end = end;
    n_given++;
}

static const struct kv_matmul_backend noting = {
    .choice = {"noting", ""}, .prepare_thread = prepare_nothing, .product = note_columns};

/* Slices follow each other from 0 to n, begin on a cache line (two ranks must not write the same one), are empty
 * only where the backend is not called, and differ by one line at most. */
static void check_division(int n, int n_ranks)
{
    const struct kv_matrix w = {.n = n};
    const struct kv_matmul_task task = {.w = &w};
    int end = 0, smallest = INT_MAX, largest = 0;
    for (int rank = 0; rank < n_ranks; rank++) {
        n_given = 0;
        kv_matmul(&noting, &kv_kernels_portable, &task, rank, n_ranks);
        assert_in_range(n_given, 0, 1);
        int lines = 0;
        if (n_given) {
            assert_int_equal(given_begin, end);
            assert_int_equal(given_begin % 16, 0);
            assert_true(given_end > given_begin && given_end <= n);
            end = given_end;
            lines = (given_end - given_begin - 1) / 16 + 1;
        }
        smallest = lines < smallest ? lines : smallest;
        largest = lines > largest ? lines : largest;
    }
    assert_int_equal(end, n);
    assert_true(largest - smallest <= 1);
}

static void test_division_of_columns(void **state)
{
    (void)state;
    for (int n = 1; n <= 300; n++)
        for (int n_ranks = 1; n_ranks <= 24; n_ranks++)
            check_division(n, n_ranks);
    for (int n_ranks = 1; n_ranks <= KV_MAX_THREADS; n_ranks++) {
        check_division(50257, n_ranks);
        check_division(INT_MAX, n_ranks);
    }
}

/* ---- The table of backends, and OpenBLAS's choice of kernels -------------------------------------- */

static void test_backends_by_name(void **state)
{
    (void)state;
    const struct kv_matmul_backend *backend;
    struct kv_error error;
    assert_null(kv_matmul_choice(-1));
    assert_string_equal(kv_matmul_choice(0)->name, "packed");
    for (int i = 0; kv_matmul_choice(i); i++) {
        assert_ok(kv_matmul_find(kv_matmul_choice(i)->name, &backend, &error), error);
        assert_string_equal(backend->choice.name, kv_matmul_choice(i)->name);
        assert_true(backend->choice.summary[0] != '\0');
    }
    assert_ok(kv_matmul_find(NULL, &backend, &error), error);
    assert_ptr_equal(backend, &kv_matmul_packed);
    static const char *const unknown[] = {"", "OpenBLAS", "openblas ", "open", "mkl"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; i++) {
        backend = &kv_matmul_openblas;
        assert_int_equal(kv_matmul_find(unknown[i], &backend, &error), KV_ERROR_ARGUMENT);
        assert_null(backend);
        assert_non_null(strstr(error.message, unknown[i]));
        assert_non_null(strstr(error.message, "packed, openblas, reference")); /* the remedy */
        assert_int_equal(kv_matmul_find(unknown[i], &backend, NULL), KV_ERROR_ARGUMENT);
    }
}

static void check_better_core(const char *core, bool avx2, bool avx512, const char *expected)
{
    const char *better = kv_openblas_better_core_for(core, avx2, avx512);
    if (!expected) {
        assert_null(better);
        return;
    }
    assert_non_null(better);
    assert_string_equal(better, expected);
    assert_null(kv_openblas_better_core_for(better, avx2, avx512));
}

static void test_better_core_by_cpu(void **state)
{
    (void)state;
    check_better_core("Prescott", true, true, "SkylakeX"); /* what 0.3.21 takes an Emerald Rapids for */
    check_better_core("Haswell", true, true, "SkylakeX");
    check_better_core("Zen", true, true, "SkylakeX");
    check_better_core("SkylakeX", true, true, NULL);
    check_better_core("Cooperlake", true, true, NULL);
    check_better_core("SapphireRapids", true, true, NULL);
    check_better_core("Prescott", true, false, "Haswell");
    check_better_core("Sandybridge", true, false, "Haswell");
    check_better_core("Haswell", true, false, NULL);
    check_better_core("Zen", true, false, NULL);
    check_better_core("Prescott", false, false, NULL);
    check_better_core("Nehalem", false, false, NULL);
}

/* A process that is restarted with the better core must not find a better one again, or it would never end. */
static void test_better_core_here(void **state)
{
    (void)state;
    assert_true(kv_openblas_core()[0] != '\0');
    const char *better = kv_openblas_better_core();
    if (better)
        assert_string_not_equal(better, kv_openblas_core());
    const pid_t child = fork();
    if (child == 0) {
        if (better)
            setenv("OPENBLAS_CORETYPE", better, 1);
        execl("/proc/self/exe", "test_matmul", "--better-core", (char *)NULL);
        _exit(2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--better-core") == 0)
        return kv_openblas_better_core() != NULL;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),           cmocka_unit_test(test_openblas),
        cmocka_unit_test(test_openblas_blocks),     cmocka_unit_test(test_nan_reaches_its_own),
        cmocka_unit_test(test_division_of_columns), cmocka_unit_test(test_backends_by_name),
        cmocka_unit_test(test_better_core_by_cpu),  cmocka_unit_test(test_better_core_here),
    };
    return cmocka_run_group_tests(tests, create_guards, free_guards);
}
