/* The packed product at every level against the definition in double precision, around every edge of its tiles, its
 * panels and its blocks. All buffers end at a guard page, and what a call must not use is NaN. */
#include "kernels/packed.h"

#include "guard.h"
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Half a unit in the last place of 1: the relative error of one rounding. */
#define U 0x1p-24

#define MAX_M   340
#define MAX_N   150
#define MAX_K   1200
#define MAX_GAP 8

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

static struct guard x_guard, w_guard, bias_guard, y_guard;
static struct kv_matrix packed; /* in w_guard */

static int create_guards(void **state)
{
    (void)state;
    guard_create(&x_guard, (size_t)MAX_M * (MAX_K + MAX_GAP));
    guard_create(&w_guard, (size_t)MAX_K * kv_packed_columns(MAX_N));
    guard_create(&bias_guard, MAX_N);
    guard_create(&y_guard, (size_t)MAX_M * (MAX_N + MAX_GAP));
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

static struct kv_matrix packed_matrix(int n, int k)
{
    return (struct kv_matrix){
        .data = guard_last(&w_guard, kv_packed_columns(n) * (size_t)k),
        .k = k,
        .n = n,
        .format = &kv_format_f32,
        .layout = KV_WEIGHTS_PACKED,
    };
}

static void pack_problem(void)
{
    packed = packed_matrix(problem.n, problem.k);
    kv_format_f32.pack_rows(&packed, 0, problem.k, problem.w[0], MAX_N);
}

static void compute_sums(void)
{
    for (int i = 0; i < problem.m; i++) {
        memset(problem.sum[i], 0, sizeof problem.sum[i]);
        memset(problem.size[i], 0, sizeof problem.size[i]);
        for (int p = 0; p < problem.k; p++)
            for (int j = 0; j < problem.n; j++) {
                const double product = (double)problem.x[i][p] * (double)problem.w[p][j];
                problem.sum[i][j] += product;
                problem.size[i][j] += fabs(product);
            }
    }
}

static void fill_problem(int m, int n, int k)
{
    uint64_t random = 0x9e3779b97f4a7c15u + (uint64_t)(m + 1000 * n + 1000000 * k);
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
    pack_problem();
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

/* A term goes through its product's rounding and at most k + 1 of sums. Then come those of y, which every depth is
 * added to (none is shorter than 48 unless it is the only one), of bias, each below 1, and of gelu, whose slope is
 * below 1.13. */
static double bound_at(const struct mode *mode, int i, int j)
{
    const int roundings_after = problem.k / 48 + (mode->epilogue == KV_EPILOGUE_NONE ? 2 : 16);
    return 1.13 * U * ((problem.k + 2) * problem.size[i][j] + roundings_after * (problem.size[i][j] + 2));
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

/* y [m, n], rows n + gap apart; valid until the next call. */
static const float *multiply(const struct kv_kernels *kernels, const struct mode *mode, int gap, int n_ranks)
{
    const size_t y_stride = (size_t)(problem.n + gap),
                 y_floats = (size_t)(problem.m - 1) * y_stride + (size_t)problem.n;
    const struct kv_matmul_task task = {
        .x = lay_rows(&x_guard, problem.x[0], problem.k, MAX_K, gap),
        .x_stride = (size_t)(problem.k + gap),
        .w = &packed,
        .bias = mode->bias ? guard_copy(&bias_guard, problem.bias, (size_t)problem.n) : NULL,
        .y = mode->accumulate ? lay_rows(&y_guard, problem.y[0], problem.n, MAX_N, gap)
                              : guard_last(&y_guard, y_floats),
        .y_stride = y_stride,
        .m = problem.m,
        .accumulate = mode->accumulate,
        .epilogue = mode->epilogue,
    };
    for (int rank = 0; rank < n_ranks; rank++)
        kv_packed_matmul(kernels, &task, rank, n_ranks);
    assert_guard(&y_guard, y_floats);
    return task.y;
}

static void check_call(const struct kv_kernels *kernels, const struct mode *mode, int gap, int n_ranks)
{
    const float *y = multiply(kernels, mode, gap, n_ranks);
    for (int i = 0; i < problem.m; i++, y += problem.n + gap) {
        for (int j = 0; j < problem.n; j++) {
            const double expected = expected_at(mode, i, j), bound = bound_at(mode, i, j);
            if (!(fabs((double)y[j] - expected) <= bound))
                fail_msg("%s, %s, m n k = %d %d %d, gap %d, %d ranks: [%d][%d] is %.9g, expected %.9g within %.3g",
                         kernels->choice.name, mode->name, problem.m, problem.n, problem.k, gap, n_ranks, i, j,
                         (double)y[j], expected, bound);
        }
        for (int j = problem.n; j < problem.n + gap && i + 1 < problem.m; j++)
            assert_true(isnan(y[j])); /* between two rows, nothing is written */
    }
}

static const struct kv_kernels *level(const char *name)
{
    const struct kv_kernels *kernels;
    struct kv_error error;
    assert_ok(kv_kernels_find(name, &kernels, &error), error);
    return kernels;
}

static void check_levels(int most_ranks)
{
    for (int index = 0; supported_isa(index); index++)
        for (int mode = 0; mode < N_MODES; mode++)
            for (int n_ranks = 1; n_ranks <= most_ranks; n_ranks++)
                check_call(level(supported_isa(index)), &modes[mode], (mode + n_ranks) % 2 ? MAX_GAP - n_ranks : 0,
                           n_ranks);
}

/* ---- Values --------------------------------------------------------------------------------------- */

struct shape {
    int n, k;
};

static void test_tiles(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23};
    static const struct shape shapes[] = {
        {1, 1},   {2, 5},   {7, 3},   {8, 4},    {9, 8},    {15, 17}, {23, 2},  {24, 33},  {25, 7},   {31, 64},
        {40, 12}, {47, 31}, {48, 16}, {49, 129}, {71, 6},   {72, 9},  {73, 65}, {95, 11},  {96, 97},  {97, 95},
        {98, 1},  {104, 3}, {121, 2}, {143, 96}, {144, 10}, {145, 5}, {150, 4}, {33, 191}, {17, 193}, {50, 192},
    };
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_levels(4);
        }
}

/* Around the depth of a block (96, 384), where one more sweep is needed, and the most rows of one (168). */
static void test_blocks(void **state)
{
    (void)state;
    static const int rows[] = {1, 8, 24, 64, 167, 168, 169, 175, MAX_M};
    static const struct shape shapes[] = {{1, 384}, {49, 383}, {50, 385}, {97, 290}, {48, 769}, {26, 1155}, {145, 97}};
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_levels(rows[m] > 100 ? 1 : 2);
        }
    fill_problem(MAX_M, 97, 100);
    check_levels(6);
}

/* The promise of packed.h: neither the rows beside it nor the division among threads changes a bit of an element. */
static void test_bits_depend_on_nothing_else(void **state)
{
    (void)state;
    static const int rows[] = {1, 2, 3, 5, 8, 13, 70, 169};
    static float whole[MAX_M][MAX_N];
    for (int index = 0; supported_isa(index); index++) {
        const struct kv_kernels *kernels = level(supported_isa(index));
        for (int mode = 0; mode < N_MODES; mode++) {
            fill_problem(MAX_M, 113, 801);
            memcpy(whole, problem.y, sizeof whole);
            const float *y = multiply(kernels, &modes[mode], 0, 1);
            for (int i = 0; i < MAX_M; i++)
                memcpy(whole[i], y + i * problem.n, (size_t)problem.n * sizeof *y);
            for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
                for (int n_ranks = 1; n_ranks <= 3; n_ranks++) {
                    problem.m = rows[m];
                    y = multiply(kernels, &modes[mode], n_ranks, n_ranks);
                    for (int i = 0; i < problem.m; i++)
                        assert_memory_equal(whole[i], y + i * (problem.n + n_ranks), (size_t)problem.n * sizeof *y);
                }
        }
    }
}

/* ---- Values that are no numbers --------------------------------------------------------------------- */

/* Each in its own row of x or column of w: it must reach every result that it belongs to, and no other. */
static void check_spread(const struct kv_kernels *kernels, const struct mode *mode, int row, int column)
{
    const float *y = multiply(kernels, mode, 0, 1);
    for (int i = 0; i < problem.m; i++)
        for (int j = 0; j < problem.n; j++) {
            const double expected = i == row || j == column ? problem.sum[i][j] : expected_at(mode, i, j);
            const float got = y[i * problem.n + j];
            if (isnan(expected))
                assert_true(isnan(got));
            else if (isinf(expected) && mode->epilogue == KV_EPILOGUE_NONE)
                assert_true((double)got == expected);
            else if (isinf(expected)) /* gelu of minus infinity is 0 times infinity at the least */
                assert_true(expected < 0 || (double)got == expected);
            else
                assert_true(isfinite(got));
        }
}

static void test_not_finite(void **state)
{
    (void)state;
    static const float values[] = {NAN, INFINITY, -INFINITY};
    static const int depths[] = {0, 5, 96, 383, 399};
    for (int index = 0; supported_isa(index); index++)
        for (int m = 1; m <= 11; m += 5)
            for (int v = 0; v < 3; v++)
                for (int d = 0; d < 5; d++)
                    for (int mode = 0; mode < N_MODES; mode++) {
                        const int row = m / 2, column = (7 + 13 * d) % 61;
                        fill_problem(m, 61, 400);
                        problem.x[row][depths[d]] = values[v];
                        compute_sums();
                        check_spread(level(supported_isa(index)), &modes[mode], row, -1);
                        fill_problem(m, 61, 400);
                        problem.w[depths[d]][column] = values[v];
                        compute_sums();
                        pack_problem();
                        check_spread(level(supported_isa(index)), &modes[mode], -1, column);
                    }
}

/* Infinity times 0 is no number, although the 0 is a weight like any other. */
static void test_infinity_times_zero(void **state)
{
    (void)state;
    for (int index = 0; supported_isa(index); index++) {
        fill_problem(3, 50, 9);
        problem.x[1][4] = INFINITY;
        problem.w[4][49] = 0;
        pack_problem();
        const float *y = multiply(level(supported_isa(index)), &modes[0], 0, 1);
        assert_true(isnan(y[1 * 50 + 49]));
        assert_true(isinf(y[1 * 50 + 48]));
        assert_true(isfinite(y[0 * 50 + 49]) && isfinite(y[2 * 50 + 49]));
    }
}

/* ---- Packing -------------------------------------------------------------------------------------- */

static void check_packed(const struct kv_matrix *w)
{
    static float column[MAX_K];
    const float *values = w->data;
    for (int j = 0; j < w->n; j++) {
        w->format->unpack_column(w, j, column);
        for (int p = 0; p < w->k; p++)
            assert_memory_equal(&column[p], &problem.w[p][j], sizeof *column);
    }
    for (int p = 0; p < w->k; p++)
        for (int j = w->n; j % KV_PANEL; j++)
            assert_true(values[(j / KV_PANEL * w->k + p) * KV_PANEL + j % KV_PANEL] == 0);
}

static void pack_by_rows(const struct kv_matrix *w, uint64_t *random)
{
    for (int first = 0, count; first < w->k; first += count) {
        count = random_between(random, 1, 64);
        count = count < w->k - first ? count : w->k - first;
        w->format->pack_rows(w, first, count, problem.w[first], MAX_N);
    }
}

/* From the transposed matrix [n, k], rows k + gap apart. */
static void pack_by_columns(const struct kv_matrix *w, int gap, uint64_t *random)
{
    static float transposed[MAX_N * (MAX_K + MAX_GAP)];
    const size_t stride = (size_t)(w->k + gap);
    for (int j = 0; j < w->n; j++)
        for (int p = 0; p < w->k; p++)
            memcpy(transposed + (size_t)j * stride + p, &problem.w[p][j], sizeof(float));
    for (int first = 0, count; first < w->n; first += count) {
        count = random_between(random, 1, 2 * KV_PANEL);
        count = count < w->n - first ? count : w->n - first;
        w->format->pack_columns(w, first, count, transposed + (size_t)first * stride, stride);
    }
}

static void test_round_trip(void **state)
{
    (void)state;
    uint64_t random = 1;
    for (int i = 0; i < 200; i++) {
        const int n = random_between(&random, 1, MAX_N), k = random_between(&random, 1, 100);
        const size_t n_floats = kv_packed_columns(n) * (size_t)k;
        assert_true(kv_packed_columns(n) % KV_PANEL == 0 && kv_packed_columns(n) < (size_t)n + KV_PANEL);
        fill_problem(1, n, k);
        const uint32_t payload = 0x7fa00001u; /* a signalling NaN: bits are copied, not numbers */
        memcpy(&problem.w[k / 2][n / 2], &payload, sizeof payload);
        struct kv_matrix w = packed_matrix(n, k);
        pack_by_rows(&w, &random);
        check_packed(&w);
        w = packed_matrix(n, k);
        pack_by_columns(&w, i % MAX_GAP, &random);
        check_packed(&w);
        assert_guard(&w_guard, n_floats);
    }
}

/* ---- Division among ranks --------------------------------------------------------------------------- */

static void check_division(int m, int n, int n_ranks)
{
    static unsigned char owners[1100][MAX_N];
    memset(owners, 0, sizeof owners);
    for (int rank = 0; rank < n_ranks; rank++) {
        const struct kv_packed_part part = kv_packed_part(m, n, rank, n_ranks);
        assert_true(part.begin % KV_PANEL == 0 || part.begin == n);
        assert_true(part.end % KV_PANEL == 0 || part.end == n);
        if (part.row_begin > 0 || part.row_end < m)
            assert_true(part.row_end - part.row_begin >= 56); /* 64, give or take a tile */
        for (int i = part.row_begin; i < part.row_end; i++)
            for (int j = part.begin; j < part.end; j++)
                owners[i][j]++;
    }
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++)
            if (owners[i][j] != 1)
                fail_msg("m n = %d %d, %d ranks: [%d][%d] is made %d times", m, n, n_ranks, i, j, owners[i][j]);
}

static void test_division(void **state)
{
    (void)state;
    static const int rows[] = {1, 7, 8, 63, 64, 127, 128, 129, 500, 1024};
    static const int columns[] = {1, 47, 48, 49, 96, 97, MAX_N};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t j = 0; j < sizeof columns / sizeof columns[0]; j++)
            for (int n_ranks = 1; n_ranks <= 17; n_ranks++)
                check_division(rows[i], columns[j], n_ranks);
}

/* Decoding divides columns only; a prefill on more threads than panels divides rows as well. */
static void test_division_is_fair(void **state)
{
    (void)state;
    for (int rank = 0; rank < 16; rank++) {
        const struct kv_packed_part decode = kv_packed_part(8, 768, rank, 16);
        assert_int_equal(decode.row_end - decode.row_begin, 8);
        assert_int_equal(decode.end - decode.begin, 48);
        const struct kv_packed_part prefill = kv_packed_part(1024, 768, rank * 2, 32);
        assert_int_equal((prefill.row_end - prefill.row_begin) * (prefill.end - prefill.begin), 1024 * 768 / 32);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tiles),
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_bits_depend_on_nothing_else),
        cmocka_unit_test(test_not_finite),
        cmocka_unit_test(test_infinity_times_zero),
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_division),
        cmocka_unit_test(test_division_is_fair),
    };
    return cmocka_run_group_tests(tests, create_guards, free_guards);
}
