/* Weights as bfloat16, packed: float32 rounded to nearest, ties to even. In a panel two rows lie together,
 * [ceil(k / 2)][KV_PANEL][2]: a pair is a float32 whose halves are weights. Where k is odd, the last has a 0. */
#include "kernels/format_bf16.h"
#include "base/bfloat.h"

static size_t place(int k, int row, int column)
{
    return 2 * kv_packed_place((k + 1) / 2, row / 2, column) + (size_t)(row % 2);
}

void kv_bf16_lay_out(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales)
{
    *data = *scales = kv_layout_add(layout, kv_packed_columns(w->n), ((size_t)w->k + 1) / 2, 2 * sizeof(uint16_t));
}

double kv_bf16_bytes(double k, double n)
{
    return sizeof(uint16_t) * k * n;
}

/* The panel that holds the last column is filled up with zeros. */
void kv_bf16_pack_rows(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride)
{
    uint16_t *data = w->data;
    const int n_columns = (int)kv_packed_columns(w->n);
    const int end = first + count < w->k ? first + count : (w->k + 1) / 2 * 2;
    for (int p = first; p < end; p++, rows += row_stride)
        for (int j = 0; j < n_columns; j++)
            data[place(w->k, p, j)] = p < w->k && j < w->n ? kv_to_bfloat(rows[j]) : 0;
}

void kv_bf16_pack_columns(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride)
{
    uint16_t *data = w->data;
    const int end = first + count < w->n ? first + count : (int)kv_packed_columns(w->n);
    for (int j = first; j < end; j++, columns += column_stride)
        for (int p = 0; p < (w->k + 1) / 2 * 2; p++)
            data[place(w->k, p, j)] = p < w->k && j < w->n ? kv_to_bfloat(columns[p]) : 0;
}

void kv_bf16_unpack_column(const struct kv_matrix *w, int column, float *out)
{
    const uint16_t *data = w->data;
    for (int p = 0; p < w->k; p++)
        out[p] = kv_from_bfloat(data[place(w->k, p, column)]);
}

static void packed(const struct kv_kernels *level, const struct kv_packed_call *call)
{
    level->packed_bf16(call);
}

const struct kv_weight_format kv_format_bf16 = {
    .choice = {"bf16", "bfloat16, rounded to nearest; activations float32"},
    KV_BF16_STORAGE,
    .packed = packed,
};
