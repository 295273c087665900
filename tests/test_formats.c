/* The formats of weights: what comes back of what was packed, and the packed product of each at every level against a
 * sum in double precision of the weights that it stands for. What a call must not use is NaN. */
#include "base/bfloat.h"
#include "kernels/matmul.h"
#include "model/weights.h"

#include "guard.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Half a unit in the last place of 1. */
#define U 0x1p-24

enum { MAX_M = 73, MAX_N = 113, MAX_K = 801, MOST_RANKS = 3 };

static float x[MAX_M * MAX_K], w[MAX_K * MAX_N], columns[MAX_N * MAX_K], bias[MAX_N], before[MAX_M * MAX_N];
static struct guard data_guard, scale_guard, y_guard;

static int create_guards(void **state)
{
    (void)state;
    guard_create(&data_guard, kv_packed_columns(MAX_N) * MAX_K);
    guard_create(&scale_guard, kv_packed_columns(MAX_N) * MAX_K);
    guard_create(&y_guard, MAX_M * MAX_N);
    return 0;
}

static int free_guards(void **state)
{
    (void)state;
    guard_free(&data_guard);
    guard_free(&scale_guard);
    guard_free(&y_guard);
    return 0;
}

static const struct kv_weight_format *format_at(int index)
{
    const struct kv_weight_format *format;
    return kv_weights_choice(index) && !kv_format_find(kv_weights_choice(index)->name, &format, NULL) ? format : NULL;
}

/* ---- Packing -------------------------------------------------------------------------------------- */

/* Memory for w [k, n], which ends at a closed page. */
static struct kv_matrix make_matrix(const struct kv_weight_format *format, int k, int n)
{
    struct kv_matrix matrix = {.k = k, .n = n, .format = format, .layout = KV_WEIGHTS_PACKED};
    struct kv_layout layout = {0};
    size_t data, scales;
    format->lay_out(&matrix, &layout, &data, &scales);
    assert_false(layout.overflow);
    const size_t data_bytes = scales == data ? layout.bytes : scales - data;
    matrix.data = guard_last(&data_guard, data_bytes / sizeof(float));
    matrix.scales = scales == data ? NULL : guard_last(&scale_guard, (layout.bytes - scales) / sizeof(float));
    return matrix;
}

static void pack_rows(const struct kv_matrix *m, const float *rows)
{
    const int step = m->format->strip_rows;
    for (int first = (m->k - 1) / step * step; first >= 0; first -= step) /* in any order */
        m->format->pack_rows(m, first, m->k - first < step ? m->k - first : step, rows + first * m->n, (size_t)m->n);
}

static void pack_columns(const struct kv_matrix *m, const float *rows)
{
    for (int j = 0; j < m->n; j++)
        for (int p = 0; p < m->k; p++)
            memcpy(&columns[j * m->k + p], &rows[p * m->n + j], sizeof *rows);
    for (int first = (m->n - 1) / KV_PANEL * KV_PANEL; first >= 0; first -= KV_PANEL)
        m->format->pack_columns(m, first, m->n - first < KV_PANEL ? m->n - first : KV_PANEL,
                                columns + (size_t)first * (size_t)m->k, (size_t)m->k);
}

/* Nearest, and of two as near the one whose last bit is 0. */
static void check_bfloat(float value, float got)
{
    uint32_t bits, got_bits;
    memcpy(&bits, &value, sizeof bits);
    memcpy(&got_bits, &got, sizeof got_bits);
    const float below = kv_from_bfloat((uint16_t)(bits >> 16)), above = kv_from_bfloat((uint16_t)((bits >> 16) + 1));
    const double to_below = fabs((double)value - (double)below), to_above = fabs((double)above - (double)value);
    assert_int_equal(got_bits & 0xffff, 0);
    if (to_below == to_above)
        assert_true((got_bits >> 16) % 2 == 0 && (got == below || got == above));
    else
        assert_true(got == (to_below < to_above ? below : above));
}

/* A group's largest weight is 127 scales, and nothing is off by more than half a one. */
static void check_group(const float *values, const float *got, int n)
{
    float largest = 0;
    for (int i = 0; i < n; i++)
        largest = fmaxf(largest, fabsf(values[i]));
    for (int i = 0; i < n; i++) {
        const double off = fabs((double)got[i] - (double)values[i]);
        assert_true(off <= (double)largest * (4 * U + (fabsf(values[i]) == largest ? 0 : 0.5 / 127)));
        assert_true(values[i] != 0 || got[i] == 0);
    }
}

/* What one column, values [k], became. */
static void check_column(const struct kv_weight_format *format, const float *values, const float *got, int k)
{
    if (format == &kv_format_f32)
        assert_memory_equal(values, got, (size_t)k * sizeof *got);
    for (int p = 0; p < k && (format == &kv_format_bf16 || format == &kv_format_bf16x); p++)
        check_bfloat(values[p], got[p]);
    for (int p = 0; p < k && format == &kv_format_int8; p += KV_INT8_GROUP)
        check_group(values + p, got + p, k - p < KV_INT8_GROUP ? k - p : KV_INT8_GROUP);
}

static void fill(float *values, int n, uint64_t seed)
{
    for (int i = 0; i < n; i++)
        values[i] = random_float(&seed);
}

TEST(round_trip)
{
    static float rows_way[MAX_K], columns_way[MAX_N * MAX_K];
    uint64_t random = 3;
    for (int f = 0; format_at(f); f++)
        for (int i = 0; i < 60; i++) {
            const int n = random_between(&random, 1, MAX_N), k = random_between(&random, 1, i % 2 ? 70 : MAX_K);
            fill(w, k * n, next_random(&random));
            w[k / 2 * n] = 0;
            struct kv_matrix m = make_matrix(format_at(f), k, n);
            pack_columns(&m, w);
            for (int j = 0; j < n; j++)
                m.format->unpack_column(&m, j, columns_way + j * k);
            m = make_matrix(format_at(f), k, n);
            pack_rows(&m, w);
            for (int j = 0; j < n; j++) {
                m.format->unpack_column(&m, j, rows_way);
                assert_memory_equal(rows_way, columns_way + j * k, (size_t)k * sizeof(float));
                check_column(m.format, columns + j * k, rows_way, k);
            }
        }
}

/* values [n], a column, packed and given back. */
static void there_and_back(const struct kv_weight_format *format, const float *values, float *got, int n)
{
    const struct kv_matrix m = make_matrix(format, n, 1);
    pack_columns(&m, values);
    format->unpack_column(&m, 0, got);
}

/* Zeros, what is not finite, the largest and the smallest: exact where they can be, and NaN only of NaN. */
TEST(unusual_values)
{
    float values[KV_INT8_GROUP + 2] = {0}, got[KV_INT8_GROUP + 2];
    const int n = KV_INT8_GROUP + 2;
    for (int f = 0; format_at(f); f++) {
        there_and_back(format_at(f), values, got, n);
        for (int i = 0; i < n; i++)
            assert_true(got[i] == 0);
        const float infinite[] = {INFINITY, -INFINITY, 0x1.fcp127f, -1, 0x1p-140f, 0};
        memcpy(values, infinite, sizeof infinite);
        there_and_back(format_at(f), values, got, n);
        assert_true(got[0] == INFINITY && got[1] == -INFINITY && got[5] == 0 && got[n - 1] == 0);
        assert_true(isfinite(got[2]) && got[2] > 0x1.f8p127f && fabsf(got[3] + 1) <= 1 && isfinite(got[4]));
        values[4] = NAN;
        there_and_back(format_at(f), values, got, n);
        assert_true(isnan(got[4]) && got[n - 1] == 0); /* of the next group */
        memset(values, 0, sizeof values);
    }
    const float tiny[] = {0x1p-149f, -0x1.8p-140f, 0x1p-130f, 0x1p-126f};
    there_and_back(&kv_format_bf16, tiny, got, 4);
    assert_true(got[0] == 0 && got[2] == tiny[2] && got[3] == tiny[3]);
    for (int i = 0; i < 4; i++) { /* scales that are denormal, or 0 */
        there_and_back(&kv_format_int8, tiny, got, i + 1);
        for (int j = 0; j <= i; j++)
            assert_true(fabsf(got[j] - tiny[j]) <= 64 * 0x1p-149f + 0x1p-126f / 127);
    }
}

TEST(bytes)
{
    assert_true(kv_format_f32.bytes(128, 48) == 4 * 128 * 48);
    assert_true(kv_format_bf16.bytes(128, 48) == 2 * 128 * 48);
    assert_true(kv_format_int8.bytes(128, 48) == 128 * 48 + 4 * 48 * 128 / KV_INT8_GROUP);
    assert_true(kv_format_int8.bytes(129, 48) == 129 * 48 + 4 * 48 * (128 / KV_INT8_GROUP + 1));
    for (int f = 0; format_at(f); f++) { /* they are what a matrix without padding takes */
        struct kv_matrix m = {.k = 192, .n = 96, .format = format_at(f), .layout = KV_WEIGHTS_PACKED};
        struct kv_layout layout = {0};
        size_t data, scales;
        m.format->lay_out(&m, &layout, &data, &scales);
        assert_true((double)layout.bytes == m.format->bytes(192, 96));
    }
}

/* ---- Products ------------------------------------------------------------------------------------- */

struct mode {
    bool accumulate, bias;
    enum kv_epilogue epilogue;
};
static const struct mode modes[] = {{false, false, KV_EPILOGUE_NONE},
                                    {true, true, KV_EPILOGUE_NONE},
                                    {false, true, KV_EPILOGUE_GELU_NEW},
                                    {false, true, KV_EPILOGUE_GELU}};
enum { N_MODES = sizeof modes / sizeof modes[0] };

/* y [m, n] of all ranks, valid until the next call. */
static float *multiply(const struct kv_kernels *level, const struct kv_matrix *matrix, const struct mode *mode, int m,
                       int n_ranks)
{
    const size_t n_floats = (size_t)m * (size_t)matrix->n;
    const struct kv_matmul_task task = {
        .x = x,
        .x_stride = (size_t)matrix->k,
        .w = matrix,
        .bias = mode->bias ? bias : NULL,
        .y = mode->accumulate ? guard_copy(&y_guard, before, n_floats) : guard_last(&y_guard, n_floats),
        .y_stride = (size_t)matrix->n,
        .m = m,
        .accumulate = mode->accumulate,
        .epilogue = mode->epilogue,
    };
    for (int rank = 0; rank < n_ranks; rank++)
        kv_matmul(&kv_matmul_packed, level, &task, rank, n_ranks);
    assert_guard(&y_guard, n_floats);
    return task.y;
}

static double activation(enum kv_epilogue epilogue, double v)
{
    if (epilogue == KV_EPILOGUE_GELU_NEW)
        return 0.5 * v * (1 + tanh(sqrt(2 / M_PI) * (v + 0.044715 * v * v * v)));
    return epilogue == KV_EPILOGUE_GELU ? 0.5 * v * (1 + erf(v / sqrt(2))) : v;
}

/* How far a sum of int8 products may be off because a row of x became 16-bit integers: half a scale for each weight, and
 * a little for the rounding of the scale. */
static double rounding_of_integers(const float *row, const float *column, int k)
{
    double off = 0;
    for (int first = 0; first < k; first += KV_INT8_GROUP) {
        double largest = 0, weights = 0;
        for (int p = first; p < k && p < first + KV_INT8_GROUP; p++) {
            largest = fmax(largest, fabs((double)row[p]));
            weights += fabs((double)column[p]);
        }
        off += 0.51 * largest / 32639 * weights;
    }
    return off;
}

/* Every y of x [m, k] with column j, whose weights are `column`. A term goes through its own rounding, those of at most
 * k + 1 sums and of its scale; y through one for every depth, of which none but the only one is below 48; then come
 * those of bias, of what is added to, and of gelu, whose slope is below 1.13. */
static void check_results(const struct kv_matrix *matrix, const float *y, const struct mode *mode, int m, int j,
                          const float *column, const char *level)
{
    const int k = matrix->k, n = matrix->n;
    const bool rounds = matrix->format == &kv_format_bf16x;
    for (int i = 0; i < m; i++) {
        double sum = 0, size = 0;
        for (int p = 0; p < k; p++) {
            const float factor = rounds ? kv_from_bfloat(kv_to_bfloat(x[i * k + p])) : x[i * k + p];
            sum += (double)factor * (double)column[p];
            size += fabs((double)factor * (double)column[p]);
        }
        sum += (mode->accumulate ? (double)before[i * n + j] : 0) + (mode->bias ? (double)bias[j] : 0);
        const double expected = activation(mode->epilogue, sum), got = (double)y[i * n + j];
        const double integers = matrix->format == &kv_format_int8 ? rounding_of_integers(x + i * k, column, k) : 0;
        if (!(fabs(got - expected) <= 1.13 * (integers + U * ((k + 4) * size + (k / 24 + 16) * (size + 2)))))
            fail_msg("%s, %s, m n k = %d %d %d, mode %d: [%d][%d] is %.9g, expected %.9g", matrix->format->choice.name,
                     level, m, n, k, (int)(mode - modes), i, j, got, expected);
    }
}

static void check_product(const struct kv_weight_format *format, int k, int n)
{
    static float column[MAX_K];
    fill(x, MAX_M * k, 1 + (uint64_t)k);
    fill(w, k * n, 2 + (uint64_t)n);
    const struct kv_matrix matrix = make_matrix(format, k, n);
    pack_rows(&matrix, w);
    for (int index = 0; supported_kernels(index); index++)
        for (int m = 1; m <= MAX_M; m += m < 10 ? 1 : 9) {
            const struct mode *mode = &modes[(m + index) % N_MODES];
            const float *y = multiply(supported_kernels(index), &matrix, mode, m, 1 + m % MOST_RANKS);
            for (int j = 0; j < n; j++) {
                format->unpack_column(&matrix, j, column);
                check_results(&matrix, y, mode, m, j, column, supported_isa(index));
            }
        }
}

TEST(products)
{
    static const struct {
        int k, n;
    } shapes[] = {{1, 1}, {3, 50}, {31, 7}, {64, 48}, {65, 49}, {95, 96}, {127, 25}, {193, 72}, {387, 97}, {801, 33}};
    fill(bias, MAX_N, 4);
    fill(before, MAX_M * MAX_N, 5);
    for (int f = 0; format_at(f); f++)
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
            check_product(format_at(f), shapes[i].k, shapes[i].n);
}

/* Neither the rows beside it nor the division among threads changes a bit of an element. */
TEST(bits_depend_on_nothing_else)
{
    static float whole[MAX_M * MAX_N];
    const int k = 771, n = 113;
    fill(x, MAX_M * k, 6);
    fill(w, k * n, 7);
    for (int f = 0; format_at(f); f++) {
        const struct kv_matrix matrix = make_matrix(format_at(f), k, n);
        pack_rows(&matrix, w);
        for (int index = 0; supported_kernels(index); index++)
            for (int mode = 0; mode < N_MODES; mode++) {
                memcpy(whole, multiply(supported_kernels(index), &matrix, &modes[mode], MAX_M, 1), sizeof whole);
                for (int m = 1; m <= 70; m++)
                    assert_memory_equal(
                        whole, multiply(supported_kernels(index), &matrix, &modes[mode], m, 1 + m % MOST_RANKS),
                        (size_t)(m * n) * sizeof(float));
            }
    }
}

/* Rows of x that 16-bit integers do not hold: what is not finite is not hidden, in its own row alone, and what is too
 * small to matter counts as nothing. */
TEST(unusual_activations)
{
    enum { M = 18, K = 130, N = 50 };
    const float unusual[] = {INFINITY, -INFINITY, NAN, 0x1p-149f, 0x1p-110f, 0x1p120f};
    fill(w, K * N, 11);
    const struct kv_matrix matrix = make_matrix(&kv_format_int8, K, N);
    pack_rows(&matrix, w);
    for (int index = 0; supported_kernels(index); index++)
        for (int u = 0; u < 6; u++)
            for (int m = 1; m <= M; m += M - 1) {
                memset(x, 0, sizeof x);
                x[(m - 1) * K + 70] = unusual[u];
                const float *y = multiply(supported_kernels(index), &matrix, &modes[0], m, 1);
                for (int i = 0; i < m * N; i++)
                    if (i < (m - 1) * N)
                        assert_true(y[i] == 0);
                    else if (!isfinite(unusual[u]))
                        assert_true(isnan(y[i]));
                    else
                        assert_true(fabs((double)y[i] - (double)unusual[u] * (double)w[70 * N + i % N]) <=
                                    0.01 * (double)unusual[u] + 0x1p-100);
            }
}

/* The levels' integers are the same, so that only the sums of groups are rounded. */
TEST(int8_at_every_level)
{
    static float first[MAX_M * MAX_N];
    const int k = 771, n = 113;
    fill(x, MAX_M * k, 12);
    fill(w, k * n, 13);
    const struct kv_matrix matrix = make_matrix(&kv_format_int8, k, n);
    pack_rows(&matrix, w);
    memcpy(first, multiply(supported_kernels(0), &matrix, &modes[0], MAX_M, 1), (size_t)(MAX_M * n) * sizeof *first);
    for (int index = 1; supported_kernels(index); index++) {
        const float *y = multiply(supported_kernels(index), &matrix, &modes[0], MAX_M, 1);
        for (int i = 0; i < MAX_M * n; i++)
            assert_true(fabs((double)y[i] - (double)first[i]) <= 1e-4);
    }
}

/* The product of bfloat16 is that of the same weights in float32. */
TEST(bfloat_as_floats)
{
    static float rounded[MAX_K * MAX_N], y[MAX_M * MAX_N];
    const int k = 771, n = 113;
    fill(x, MAX_M * k, 8);
    fill(w, k * n, 9);
    for (int i = 0; i < k * n; i++)
        rounded[i] = kv_from_bfloat(kv_to_bfloat(w[i]));
    for (int index = 0; supported_kernels(index); index++)
        for (int m = 1; m <= MAX_M; m += 24) {
            struct kv_matrix matrix = make_matrix(&kv_format_bf16, k, n);
            pack_rows(&matrix, w);
            memcpy(y, multiply(supported_kernels(index), &matrix, &modes[1], m, 1), (size_t)(m * n) * sizeof *y);
            matrix = make_matrix(&kv_format_f32, k, n);
            pack_rows(&matrix, rounded);
            assert_memory_equal(y, multiply(supported_kernels(index), &matrix, &modes[1], m, 1),
                                (size_t)(m * n) * sizeof *y);
        }
}

/* ---- Models --------------------------------------------------------------------------------------- */

static void check_matrix(const struct kv_matrix *matrix, const struct kv_matrix *plain)
{
    float values[512], got[512];
    assert_true(matrix->k <= 512);
    for (int j = 0; j < matrix->n; j++) {
        for (int p = 0; p < matrix->k; p++)
            values[p] = kv_matrix_floats(plain)[plain->transposed ? j * plain->k + p : p * plain->n + j];
        matrix->format->unpack_column(matrix, j, got);
        check_column(matrix->format, values, got, matrix->k);
    }
}

/* Checkpoints of every type, by one thread and by three. */
TEST(checkpoints)
{
    static const char *const names[] = {"tiny-f32", "odd-f16", "gelu-erf-bf16"};
    for (int i = 0; i < 3; i++)
        for (int f = 0; format_at(f); f++) {
            struct kv_pool *pool = make_pool(1 + 2 * (f % 2));
            struct kv_model *model, *plain;
            char folder[512];
            snprintf(folder, sizeof folder, "%s/reference/%s", KV_DATA_DIR, names[i]);

            OK(kv_model_load(&model, folder, format_at(f)->choice.name, NULL, pool, &error));
            OK(kv_model_load(&plain, folder, NULL, "reference", pool, &error));
            assert_string_equal(kv_model_format(model), format_at(f)->choice.name);
            check_matrix(&model->wte, &plain->wte);
            for (int l = 0; l < model->config.n_layer; l++) {
                check_matrix(&model->layers[l].c_attn_weight, &plain->layers[l].c_attn_weight);
                check_matrix(&model->layers[l].mlp_proj_weight, &plain->layers[l].mlp_proj_weight);
                assert_memory_equal(model->layers[l].c_fc_bias, plain->layers[l].c_fc_bias,
                                    (size_t)model->config.n_inner * sizeof(float));
            }
            kv_model_free(model);
            kv_model_free(plain);
            kv_pool_free(pool);
        }
}

/* Backends that multiply plain float32 weights say what to use instead. */
TEST(other_backends_refuse)
{
    const struct kv_weight_format *format;
    const struct kv_matmul_backend *backend;
    OK(kv_matmul_find_for("f32", "openblas", &format, &backend, &error));
    OK(kv_matmul_find_for("int8", NULL, &format, &backend, &error));
    assert_ptr_equal(format, &kv_format_int8);
    assert_ptr_equal(backend, &kv_matmul_packed);
    REFUSED(kv_matmul_find_for("int8", "openblas", &format, &backend, &error), KV_ERROR_UNSUPPORTED,
            "'openblas' multiplies weights 'f32', not 'int8'", "matmul 'packed'");
    REFUSED(kv_matmul_find_for("bf16", "reference", &format, &backend, &error), KV_ERROR_UNSUPPORTED, "'bf16'", NULL);
    REFUSED(kv_matmul_find_for("int3", "packed", &format, &backend, &error), KV_ERROR_ARGUMENT, "'int3'",
            "f32, bf16, bf16x, int8");
}

GROUP(create_guards, free_guards)
