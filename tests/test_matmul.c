/* Every matmul backend against the definition in double precision; the packed one at every level, around every edge of
 * its tiles, its panels and its blocks; and how work is divided among ranks. All buffers end at a guard page, and what
 * a call must not use is NaN. */
#include "kernels/matmul.h"

#include "guard.h"
#include "unit.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Half a unit in the last place of 1: the relative error of one rounding. */
#define U 0x1p-24

#define MAX_M   340
#define MAX_N   272
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

/* How it is asked for. */
struct call {
    const struct kv_matmul_backend *backend;
    const struct kv_kernels *kernels;
    const struct mode *mode;
    bool transposed; /* plain weights lie as [n, k] */
    int gap;         /* floats between rows of x and of y */
    int n_ranks;
};

enum { X, W, BIAS, Y, N_GUARDS };
static struct guard guards[N_GUARDS];

static int create_guards(void **state)
{
    const size_t floats[N_GUARDS] = {(size_t)MAX_M * (MAX_K + MAX_GAP), (size_t)MAX_K * kv_packed_columns(MAX_N), MAX_N,
                                     (size_t)MAX_M * (MAX_N + MAX_GAP)};
    (void)state;
    if (getenv("KV_TEST_BETTER_CORE")) /* the restart of the last test */
        _exit(kv_openblas_better_core() != NULL);
    guards_create(guards, floats, N_GUARDS);
    for (int i = 0; kv_matmul_choice(i); i++) {
        const struct kv_matmul_backend *backend;
        OK(kv_matmul_find(kv_matmul_choice(i)->name, &backend, &error));
        backend->prepare_thread();
    }
    return 0;
}

static int free_guards(void **state)
{
    (void)state;
    return guards_free(guards, N_GUARDS);
}

/* ---- The reference -------------------------------------------------------------------------------- */

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

/* A backend that sums in double has no roundings but the last. Elsewhere a term goes through its product's rounding and
 * at most k + 1 of sums; packed, also through those of y, which every depth is added to (none is shorter than 48 unless
 * it is the only one). Then come those of bias and of what is added to, each below 1, and of gelu, whose slope is below
 * 1.13. */
static double bound_at(const struct call *call, int i, int j)
{
    const int after = call->mode->epilogue == KV_EPILOGUE_NONE ? 2 : 16;
    const double size = problem.size[i][j], sum = fabs(problem.sum[i][j]);
    if (call->backend == &kv_matmul_packed)
        return 1.13 * U * ((problem.k + 2) * size + (problem.k / 48 + after) * (size + 2));
    return 1.13 * U * ((call->backend == &kv_matmul_reference ? 0 : problem.k) * size + after * (sum + 2));
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

static struct kv_matrix make_matrix(int n, int k, enum kv_weight_layout layout, bool transposed)
{
    const size_t columns = layout == KV_WEIGHTS_PACKED ? kv_packed_columns(n) : (size_t)n;
    return (struct kv_matrix){
        .data = guard_last(&guards[W], columns * (size_t)k),
        .k = k,
        .n = n,
        .format = &kv_format_f32,
        .layout = layout,
        .transposed = transposed,
    };
}

/* Columns of the problem's w, strip by strip of random width, from rows of its transpose that are k + gap apart. */
static void pack_columns(const struct kv_matrix *w, int gap, uint64_t *random)
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

static void pack_rows(const struct kv_matrix *w, uint64_t *random)
{
    for (int first = 0, count; first < w->k; first += count) {
        count = random_between(random, 1, 64);
        count = count < w->k - first ? count : w->k - first;
        w->format->pack_rows(w, first, count, problem.w[first], MAX_N);
    }
}

/* y [m, n], rows n + gap apart; valid until the next call. */
static const float *multiply(const struct call *call)
{
    uint64_t random = 5;
    const size_t y_stride = (size_t)(problem.n + call->gap);
    const size_t y_floats = (size_t)(problem.m - 1) * y_stride + (size_t)problem.n;
    const struct kv_matrix w = make_matrix(problem.n, problem.k, call->backend->layout, call->transposed);
    if (call->transposed)
        pack_columns(&w, 0, &random);
    else
        pack_rows(&w, &random);
    const struct kv_matmul_task task = {
        .x = lay_rows(&guards[X], problem.x[0], problem.k, MAX_K, call->gap),
        .x_stride = (size_t)(problem.k + call->gap),
        .w = &w,
        .bias = call->mode->bias ? guard_copy(&guards[BIAS], problem.bias, (size_t)problem.n) : NULL,
        .y = call->mode->accumulate ? lay_rows(&guards[Y], problem.y[0], problem.n, MAX_N, call->gap)
                                    : guard_last(&guards[Y], y_floats),
        .y_stride = y_stride,
        .m = problem.m,
        .accumulate = call->mode->accumulate,
        .epilogue = call->mode->epilogue,
    };
    for (int rank = 0; rank < call->n_ranks; rank++)
        kv_matmul(call->backend, call->kernels, &task, rank, call->n_ranks);
    assert_guard(&guards[Y], y_floats);
    return task.y;
}

static void check_call(const struct call *call)
{
    const float *y = multiply(call);
    for (int i = 0; i < problem.m; i++, y += problem.n + call->gap) {
        for (int j = 0; j < problem.n; j++)
            if (!(fabs((double)y[j] - expected_at(call->mode, i, j)) <= bound_at(call, i, j)))
                fail_msg("%s, %s, %s, m n k = %d %d %d, transposed %d, gap %d, %d ranks: [%d][%d] is %.9g, expected "
                         "%.9g within %.3g",
                         call->backend->choice.name, call->kernels->choice.name, call->mode->name, problem.m, problem.n,
                         problem.k, call->transposed, call->gap, call->n_ranks, i, j, (double)y[j],
                         expected_at(call->mode, i, j), bound_at(call, i, j));
        for (int j = problem.n; j < problem.n + call->gap && i + 1 < problem.m; j++)
            assert_true(isnan(y[j])); /* between two rows, nothing is written */
    }
}

/* Every mode and number of ranks; the packed product at every level, the others with the portable epilogues, whose
 * values are in test_kernels.c. */
static void check_backend(const struct kv_matmul_backend *backend, int most_ranks)
{
    const bool packed = backend == &kv_matmul_packed;
    for (int index = 0; supported_kernels(index) && (packed || index == 0); index++)
        for (int mode = 0; mode < N_MODES; mode++)
            for (int n_ranks = 1; n_ranks <= most_ranks; n_ranks++) {
                const int gap = (mode + n_ranks) % 2 ? MAX_GAP - n_ranks : 0;
                check_call(&(struct call){backend, supported_kernels(index), &modes[mode], false, gap, n_ranks});
                if (!packed)
                    check_call(&(struct call){backend, supported_kernels(index), &modes[mode], true, gap, n_ranks});
            }
}

/* ---- Values --------------------------------------------------------------------------------------- */

struct shape {
    int n, k;
};

TEST(plain)
{
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 17, 64};
    static const struct shape shapes[] = {
        {1, 1},   {1, 7},  {5, 3},    {15, 16}, {16, 17}, {17, 1},  {31, 33}, {32, 32},
        {33, 65}, {47, 2}, {48, 129}, {49, 5},  {64, 64}, {65, 31}, {80, 3},  {81, 127},
    };
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_backend(&kv_matmul_reference, 5);
            check_backend(&kv_matmul_openblas, 5);
        }
}

/* Long enough for OpenBLAS to go through its blocks of columns and of summands more than once. */
TEST(openblas_blocks)
{
    static const int rows[] = {1, 2, 9, 64};
    for (int m = 0; m < 4; m++) {
        fill_problem(rows[m], 257, 769);
        check_backend(&kv_matmul_openblas, 5);
        fill_problem(rows[m], 272, 800);
        check_backend(&kv_matmul_openblas, 5);
    }
}

TEST(tiles)
{
    static const int rows[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 23};
    static const struct shape shapes[] = {
        {1, 1},   {2, 5},   {7, 3},   {8, 4},    {9, 8},    {15, 17}, {23, 2},  {24, 33},  {25, 7},   {31, 64},
        {40, 12}, {47, 31}, {48, 16}, {49, 129}, {71, 6},   {72, 9},  {73, 65}, {95, 11},  {96, 97},  {97, 95},
        {98, 1},  {104, 3}, {121, 2}, {143, 96}, {144, 10}, {145, 5}, {150, 4}, {33, 191}, {17, 193}, {50, 192},
    };
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_backend(&kv_matmul_packed, 4);
        }
}

/* Around the depth of a block (96, 384), where one more sweep is needed, and the most rows of one (168). */
TEST(blocks)
{
    static const int rows[] = {1, 8, 24, 64, 167, 168, 169, 175, MAX_M};
    static const struct shape shapes[] = {{1, 384}, {49, 383}, {50, 385}, {97, 290}, {48, 769}, {26, 1155}, {145, 97}};
    for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
        for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; s++) {
            fill_problem(rows[m], shapes[s].n, shapes[s].k);
            check_backend(&kv_matmul_packed, rows[m] > 100 ? 1 : 2);
        }
    fill_problem(MAX_M, 97, 100);
    check_backend(&kv_matmul_packed, 6);
}

/* The promise of packed.h: neither the rows beside it nor the division among threads changes a bit of an element. */
TEST(bits_depend_on_nothing_else)
{
    static const int rows[] = {1, 2, 3, 5, 8, 13, 70, 169};
    static float whole[MAX_M][MAX_N];
    for (int index = 0; supported_kernels(index); index++) {
        struct call call = {.backend = &kv_matmul_packed, .kernels = supported_kernels(index)};
        for (int mode = 0; mode < N_MODES; mode++) {
            fill_problem(MAX_M, 113, 801);
            memcpy(whole, problem.y, sizeof whole);
            call.mode = &modes[mode];
            call.gap = 0;
            call.n_ranks = 1;
            const float *y = multiply(&call);
            for (int i = 0; i < MAX_M; i++)
                memcpy(whole[i], y + i * problem.n, (size_t)problem.n * sizeof *y);
            for (size_t m = 0; m < sizeof rows / sizeof rows[0]; m++)
                for (int n_ranks = 1; n_ranks <= 3; n_ranks++) {
                    problem.m = rows[m];
                    call.gap = call.n_ranks = n_ranks;
                    y = multiply(&call);
                    for (int i = 0; i < problem.m; i++)
                        assert_memory_equal(whole[i], y + i * (problem.n + n_ranks), (size_t)problem.n * sizeof *y);
                }
        }
    }
}

/* ---- Values that are no numbers --------------------------------------------------------------------- */

/* Each in its own row of x or column of w: it must reach every result that it belongs to, and no other. */
static void check_spread(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
                         const struct mode *mode, int row, int column)
{
    const float *y = multiply(&(struct call){backend, kernels, mode, false, 0, 1});
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

TEST(not_finite)
{
    static const float values[] = {NAN, INFINITY, -INFINITY};
    static const int depths[] = {0, 5, 96, 383, 399};
    for (int index = 0; supported_kernels(index); index++)
        for (int m = 1; m <= 11; m += 5)
            for (int v = 0; v < 3; v++)
                for (int d = 0; d < 5; d++)
                    for (int mode = 0; mode < N_MODES; mode++) {
                        const int row = m / 2, column = (7 + 13 * d) % 61;
                        fill_problem(m, 61, 400);
                        problem.x[row][depths[d]] = values[v];
                        compute_sums();
                        check_spread(&kv_matmul_packed, supported_kernels(index), &modes[mode], row, -1);
                        fill_problem(m, 61, 400);
                        problem.w[depths[d]][column] = values[v];
                        compute_sums();
                        check_spread(&kv_matmul_packed, supported_kernels(index), &modes[mode], -1, column);
                    }
}

TEST(nan_of_other_backends)
{
    for (int m = 1; m <= 5; m += 2) {
        fill_problem(m, 37, 19);
        problem.w[7][11] = NAN;
        compute_sums();
        check_spread(&kv_matmul_openblas, supported_kernels(0), &modes[0], -1, 11);
        check_spread(&kv_matmul_reference, supported_kernels(0), &modes[0], -1, 11);
    }
}

/* Infinity times 0 is no number, although the 0 is a weight like any other. */
TEST(infinity_times_zero)
{
    for (int index = 0; supported_kernels(index); index++) {
        fill_problem(3, 50, 9);
        problem.x[1][4] = INFINITY;
        problem.w[4][49] = 0;
        const float *y = multiply(&(struct call){&kv_matmul_packed, supported_kernels(index), &modes[0], false, 0, 1});
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

TEST(round_trip)
{
    uint64_t random = 1;
    for (int i = 0; i < 200; i++) {
        const int n = random_between(&random, 1, MAX_N), k = random_between(&random, 1, 100);
        const size_t n_floats = kv_packed_columns(n) * (size_t)k;
        assert_true(kv_packed_columns(n) % KV_PANEL == 0 && kv_packed_columns(n) < (size_t)n + KV_PANEL);
        fill_problem(1, n, k);
        const uint32_t payload = 0x7fa00001u; /* a signalling NaN: bits are copied, not numbers */
        memcpy(&problem.w[k / 2][n / 2], &payload, sizeof payload);
        struct kv_matrix w = make_matrix(n, k, KV_WEIGHTS_PACKED, false);
        pack_rows(&w, &random);
        check_packed(&w);
        w = make_matrix(n, k, KV_WEIGHTS_PACKED, false);
        pack_columns(&w, i % MAX_GAP, &random);
        check_packed(&w);
        assert_guard(&guards[W], n_floats);
    }
}

/* ---- Division among ranks --------------------------------------------------------------------------- */

static void check_parts(int m, int n, int n_ranks)
{
    static unsigned char owners[1100][150];
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

TEST(parts)
{
    static const int rows[] = {1, 7, 8, 63, 64, 127, 128, 129, 500, 1024};
    static const int columns[] = {1, 47, 48, 49, 96, 97, 150};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t j = 0; j < sizeof columns / sizeof columns[0]; j++)
            for (int n_ranks = 1; n_ranks <= 17; n_ranks++)
                check_parts(rows[i], columns[j], n_ranks);
}

/* Decoding divides columns only; a prefill on more threads than panels divides rows as well. */
TEST(parts_are_fair)
{
    for (int rank = 0; rank < 16; rank++) {
        const struct kv_packed_part decode = kv_packed_part(8, 768, rank, 16);
        assert_int_equal(decode.row_end - decode.row_begin, 8);
        assert_int_equal(decode.end - decode.begin, 48);
        const struct kv_packed_part prefill = kv_packed_part(1024, 768, rank * 2, 32);
        assert_int_equal((prefill.row_end - prefill.row_begin) * (prefill.end - prefill.begin), 1024 * 768 / 32);
    }
}

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

TEST(division_of_columns)
{
    for (int n = 1; n <= 300; n++)
        for (int n_ranks = 1; n_ranks <= 24; n_ranks++)
            check_division(n, n_ranks);
    for (int n_ranks = 1; n_ranks <= KV_MAX_THREADS; n_ranks++) {
        check_division(50257, n_ranks);
        check_division(INT_MAX, n_ranks);
    }
}

/* ---- The table of backends, and OpenBLAS's choice of kernels -------------------------------------- */

TEST(backends_by_name)
{
    const struct kv_matmul_backend *backend;
    assert_null(kv_matmul_choice(-1));
    assert_string_equal(kv_matmul_choice(0)->name, "packed");
    for (int i = 0; kv_matmul_choice(i); i++) {
        OK(kv_matmul_find(kv_matmul_choice(i)->name, &backend, &error));
        assert_string_equal(backend->choice.name, kv_matmul_choice(i)->name);
        assert_true(backend->choice.summary[0] != '\0');
    }
    OK(kv_matmul_find(NULL, &backend, &error));
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

TEST(better_core_by_cpu)
{
    static const struct {
        const char *core;
        bool avx2, avx512;
        const char *better; /* than which there is none */
    } cases[] = {
        {"Prescott", true, true, "SkylakeX"}, /* what 0.3.21 takes an Emerald Rapids for */
        {"Haswell", true, true, "SkylakeX"},
        {"Zen", true, true, "SkylakeX"},
        {"SkylakeX", true, true, NULL},
        {"Cooperlake", true, true, NULL},
        {"SapphireRapids", true, true, NULL},
        {"Prescott", true, false, "Haswell"},
        {"Sandybridge", true, false, "Haswell"},
        {"Haswell", true, false, NULL},
        {"Zen", true, false, NULL},
        {"Prescott", false, false, NULL},
        {"Nehalem", false, false, NULL},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const char *better = kv_openblas_better_core_for(cases[i].core, cases[i].avx2, cases[i].avx512);
        assert_true(!better == !cases[i].better && (!better || strcmp(better, cases[i].better) == 0));
        assert_true(!better || !kv_openblas_better_core_for(better, cases[i].avx2, cases[i].avx512));
    }
}

/* A process that is restarted with the better core must not find a better one again, or it would never end. */
TEST(better_core_here)
{
    enum { NOT_OF_THIS_CPU = 77 };
    assert_true(kv_openblas_core()[0] != '\0');
    const char *better = kv_openblas_better_core();
    if (better)
        assert_string_not_equal(better, kv_openblas_core());
    const pid_t child = fork();
    if (child == 0) {
        if (better)
            setenv("OPENBLAS_CORETYPE", better, 1);
        setenv("KV_TEST_BETTER_CORE", "1", 1);
        execl("/proc/self/exe", "test_matmul", (char *)NULL);
        _exit(errno == ENOEXEC ? NOT_OF_THIS_CPU : 2);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_OF_THIS_CPU)
        skip(); /* as under qemu-user, which starts no program of another CPU than the machine's */
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

GROUP(create_guards, free_guards)
