/* Weights as bfloat16, packed: float32 rounded to nearest, ties to even. */
#include "base/bfloat.h"
#include "kernels/matmul.h"

enum { STRIP_ROWS = 16 };

static void lay_out(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales)
{
    *data = *scales = kv_layout_add(layout, kv_packed_columns(w->n), (size_t)w->k, sizeof(uint16_t));
}

static double bytes(double k, double n)
{
    return sizeof(uint16_t) * k * n;
}

/* The panel that holds the last column is filled up with zeros. */
static void pack_rows(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride)
{
    uint16_t *data = w->data;
    const int n_columns = (int)kv_packed_columns(w->n);
    for (int i = 0; i < count; i++, rows += row_stride)
        for (int j = 0; j < n_columns; j++)
            data[kv_packed_place(w->k, first + i, j)] = j < w->n ? kv_to_bfloat(rows[j]) : 0;
}

static void pack_columns(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride)
{
    uint16_t *data = w->data;
    const int end = first + count < w->n ? first + count : (int)kv_packed_columns(w->n);
    for (int j = first; j < end; j++, columns += column_stride)
        for (int p = 0; p < w->k; p++)
            data[kv_packed_place(w->k, p, j)] = j < w->n ? kv_to_bfloat(columns[p]) : 0;
}

static void unpack_column(const struct kv_matrix *w, int column, float *out)
{
    const uint16_t *in = (const uint16_t *)w->data + kv_packed_place(w->k, 0, column);
    for (int p = 0; p < w->k; p++)
        out[p] = kv_from_bfloat(in[(size_t)p * KV_PANEL]);
}

static void packed(const struct kv_kernels *level, const struct kv_packed_call *call)
{
    level->packed_bf16(call);
}

const struct kv_weight_format kv_format_bf16 = {
    .choice = {"bf16", "bfloat16, rounded to nearest; products in 32-bit floats"},
    .strip_rows = STRIP_ROWS,
    .lay_out = lay_out,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .unpack_column = unpack_column,
    .packed = packed,
};
