/* Weights as 8-bit integers q, packed, and a scale s for each KV_INT8_GROUP rows of a column:
 *
 *   s = max |w| / 127,   q = w / s rounded to nearest, ties to even, within -127..127;   w ~ q s
 *
 * (64 rows: on held-out text of the embedded model the mean divergence is 0.0003 nats; at 32 rows it is 0.0002, for 6 %
 * more bytes.) A group of zeros has s = 0. One with an infinity has the least s whose 127-fold is infinite, and its
 * finite weights end at 126: infinities come back as what they are, and nothing else becomes one. A NaN makes its group
 * NaN, and so the column's products, as in float32.
 *
 * In a panel four rows lie together, 16 apart: [ceil(k / 64)][16][KV_PANEL][4], where row p of a group is byte p / 16 of
 * p % 16, and rows that are not there are 0. A CPU's dot products of 8 or 16 bits take them as they lie, and so do tiles
 * of AMX. */
#include "kernels/matmul.h"

#include <math.h>

enum { LARGEST = 127, TOGETHER = 4, APART = KV_INT8_GROUP / TOGETHER };
/* The first float32 above 2^128 / 127. */
#define SCALE_OF_INFINITY 0x1.02040ap+121f

static int n_groups(int k)
{
    return (k + KV_INT8_GROUP - 1) / KV_INT8_GROUP;
}

static int filled(int k)
{
    return n_groups(k) * KV_INT8_GROUP;
}

static size_t place(int k, int row, int column)
{
    const int group_row = row % KV_INT8_GROUP, first = row - group_row;
    return kv_packed_place(filled(k), first, column / KV_PANEL * KV_PANEL) +
           (size_t)(group_row % APART * KV_PANEL + column % KV_PANEL) * TOGETHER + (size_t)(group_row / APART);
}

static void lay_out(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales)
{
    const size_t columns = kv_packed_columns(w->n);
    *data = kv_layout_add(layout, columns, (size_t)filled(w->k), sizeof(int8_t));
    *scales = kv_layout_add(layout, columns, (size_t)n_groups(w->k), sizeof(float));
}

static double bytes(double k, double n)
{
    return k * n + sizeof(float) * ceil(k / KV_INT8_GROUP) * n;
}

static float scale_of(const float *values, int n)
{
    float largest = 0;
    for (int i = 0; i < n; i++)
        largest = isnan(values[i]) || fabsf(values[i]) > largest ? fabsf(values[i]) : largest;
    return isinf(largest) ? SCALE_OF_INFINITY : largest / LARGEST;
}

static int8_t quantise(float value, float scale)
{
    if (!(scale > 0)) /* or NaN */
        return 0;
    const float most = scale < SCALE_OF_INFINITY || isinf(value) ? LARGEST : LARGEST - 1;
    return (int8_t)fminf(fmaxf(rintf(value / scale), -most), most);
}

/* n rows of a column from `first` on, which begins a group; values `step` apart, NULL: zeros. */
static void pack_groups(const struct kv_matrix *w, int first, int n, int column, const float *values, size_t step)
{
    int8_t *data = w->data;
    float *scales = (float *)w->scales + kv_packed_place(n_groups(w->k), first / KV_INT8_GROUP, column);
    for (int done = 0; done < n; done += KV_INT8_GROUP, scales += KV_PANEL) {
        float group[KV_INT8_GROUP] = {0};
        for (int i = 0; i < KV_INT8_GROUP && done + i < n && values; i++)
            group[i] = values[(size_t)(done + i) * step];
        *scales = scale_of(group, KV_INT8_GROUP);
        for (int i = 0; i < KV_INT8_GROUP; i++)
            data[place(w->k, first + done + i, column)] = quantise(group[i], *scales);
    }
}

/* The panel that holds the last column is filled up with zeros. */
static void pack_rows(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride)
{
    const int n_columns = (int)kv_packed_columns(w->n);
    for (int j = 0; j < n_columns; j++)
        pack_groups(w, first, count, j, j < w->n ? rows + j : NULL, row_stride);
}

static void pack_columns(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride)
{
    const int end = first + count < w->n ? first + count : (int)kv_packed_columns(w->n);
    for (int j = first; j < end; j++, columns += column_stride)
        pack_groups(w, 0, w->k, j, j < w->n ? columns : NULL, 1);
}

static void unpack_column(const struct kv_matrix *w, int column, float *out)
{
    const int8_t *data = w->data;
    const float *scales = (const float *)w->scales + kv_packed_place(n_groups(w->k), 0, column);
    for (int p = 0; p < w->k; p++)
        out[p] = (float)data[place(w->k, p, column)] * scales[(size_t)(p / KV_INT8_GROUP) * KV_PANEL];
}

static void packed(const struct kv_kernels *level, const struct kv_packed_call *call)
{
    level->packed_int8(call);
}

const struct kv_weight_format kv_format_int8 = {
    .choice = {"int8", "8-bit integers, a scale for each 64 of a column; activations 16-bit, likewise"},
    .strip_rows = KV_INT8_GROUP,
    .lay_out = lay_out,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .unpack_column = unpack_column,
    .packed = packed,
};
