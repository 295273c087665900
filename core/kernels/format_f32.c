/* Weights as 32-bit floats, plain or packed. */
#include "kernels/matmul.h"

#include <string.h>

enum { STRIP_ROWS = 16 };

static void lay_out(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales)
{
    const size_t columns = w->layout == KV_WEIGHTS_PACKED ? kv_packed_columns(w->n) : (size_t)w->n;
    *data = *scales = kv_layout_add(layout, columns, (size_t)w->k, sizeof(float));
}

static double bytes(double k, double n)
{
    return sizeof(float) * k * n;
}

static int columns_of_panel(int n, int column)
{
    return n - column < KV_PANEL ? n - column : KV_PANEL;
}

static void pack_rows(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride)
{
    float *data = w->data;
    for (int i = 0; i < count && w->layout == KV_WEIGHTS_PLAIN; i++)
        memcpy(data + (size_t)(first + i) * (size_t)w->n, rows + (size_t)i * row_stride, (size_t)w->n * sizeof *data);
    for (int column = 0; column < w->n && w->layout == KV_WEIGHTS_PACKED; column += KV_PANEL) {
        const size_t width = (size_t)columns_of_panel(w->n, column);
        float *out = data + kv_packed_place(w->k, first, column);
        for (int i = 0; i < count; i++, out += KV_PANEL) {
            memcpy(out, rows + (size_t)i * row_stride + column, width * sizeof *out);
            memset(out + width, 0, (KV_PANEL - width) * sizeof *out);
        }
    }
}

/* The panel that holds the last column is filled up with zeros. */
static void pack_columns(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride)
{
    float *data = w->data;
    const size_t k = (size_t)w->k;
    for (int i = 0; i < count; i++, columns += column_stride) {
        if (w->layout == KV_WEIGHTS_PLAIN)
            memcpy(data + (size_t)(first + i) * k, columns, k * sizeof *data);
        else
            for (int p = 0; p < w->k; p++)
                data[kv_packed_place(w->k, p, first + i)] = columns[p];
    }
    if (w->layout == KV_WEIGHTS_PLAIN || first + count != w->n || w->n % KV_PANEL == 0)
        return;
    for (int p = 0; p < w->k; p++)
        memset(data + kv_packed_place(w->k, p, w->n), 0, (KV_PANEL - (size_t)w->n % KV_PANEL) * sizeof *data);
}

static void unpack_column(const struct kv_matrix *w, int column, float *out)
{
    const float *data = w->data;
    if (w->layout == KV_WEIGHTS_PLAIN) {
        memcpy(out, data + (size_t)column * (size_t)w->k, (size_t)w->k * sizeof *out);
        return;
    }
    const float *in = data + kv_packed_place(w->k, 0, column);
    for (int p = 0; p < w->k; p++)
        out[p] = in[(size_t)p * KV_PANEL];
}

static void packed(const struct kv_kernels *level, const struct kv_packed_call *call)
{
    level->packed_f32(call);
}

const struct kv_weight_format kv_format_f32 = {
    .choice = {"f32", "32-bit floats"},
    .strip_rows = STRIP_ROWS,
    .lay_out = lay_out,
    .bytes = bytes,
    .pack_rows = pack_rows,
    .pack_columns = pack_columns,
    .unpack_column = unpack_column,
    .packed = packed,
};
