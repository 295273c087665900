/* A weight matrix, and the formats that its weights may have in memory.
 *
 * A format is one file with one struct kv_weight_format and one row in matmul.c; a format with a product of its own has
 * an instance of packed_tmpl.h in level.h besides. */
#ifndef KV_KERNELS_FORMAT_H
#define KV_KERNELS_FORMAT_H

#include "base/memory.h"
#include "kernels/kernels.h"

/* How a matrix lies in memory: each matmul backend works on one layout, and a model is laid out when it is made. */
enum kv_weight_layout {
    KV_WEIGHTS_PLAIN,  /* as in a checkpoint */
    KV_WEIGHTS_PACKED, /* as in packed.h */
};

/* w [k, n], for x [m, k] w = y [m, n]. */
struct kv_matrix {
    void *data;   /* written while the matrix is packed, and by training; read only otherwise */
    void *scales; /* NULL: the format has none */
    int k, n;
    const struct kv_weight_format *format;
    enum kv_weight_layout layout;
    bool transposed; /* a checkpoint, and the plain layout, has it as [n, k] */
};

struct kv_weight_format {
    struct kv_choice choice;
    /* Rows of w that are packed at a time: a multiple of those that share a scale. Columns are packed KV_PANEL at a
     * time. Distinct threads may pack distinct strips, in any order. */
    int strip_rows;
    /* Adds w's memory to a layout: *data and *scales are the offsets of its parts, equal where there are no scales. */
    void (*lay_out)(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales);
    /* Bytes that hold k * n weights, without any padding: what a product has to read. */
    double (*bytes)(double k, double n);
    /* Rows [first, first + count) of w, each [n], row_stride floats apart. */
    void (*pack_rows)(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride);
    /* Columns [first, first + count) of w, each [k], column_stride floats apart. */
    void (*pack_columns)(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride);
    /* out [k] = column of w: of the LM head, a token's embedding. */
    void (*unpack_column)(const struct kv_matrix *w, int column, float *out);
    /* The product of packed weights at that level. */
    void (*packed)(const struct kv_kernels *level, const struct kv_packed_call *call);
};

/* The format of that name, NULL for the first. Errors: ARGUMENT for an unknown name. */
kv_status kv_format_find(const char *name, const struct kv_weight_format **format, struct kv_error *error);

extern const struct kv_weight_format kv_format_f32;

/* The weights of a plain float32 matrix: [k, n], or [n, k] when it is transposed. */
static inline float *kv_matrix_floats(const struct kv_matrix *w)
{
    return w->data;
}

#endif
