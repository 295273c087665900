/* y = epilogue(x w + bias): the one matrix product of the model, the formats of its weights, and the table of those who
 * compute it. Both inference paths are given the same one. */
#ifndef KV_KERNELS_MATMUL_H
#define KV_KERNELS_MATMUL_H

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tables.h"

/* ---- Weights ------------------------------------------------------------------------------------------------- */

/* A format is one file with one struct kv_weight_format, its name in core/meson.build, and an instance of
 * packed_tmpl.h. */

/* How a matrix lies in memory: each matmul backend works on one layout, and a model is laid out when it is made. */
enum kv_weight_layout {
    KV_WEIGHTS_PLAIN,  /* as in a checkpoint */
    KV_WEIGHTS_PACKED, /* in panels, see below */
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

#define KV_DECLARE_FORMAT(name) extern const struct kv_weight_format kv_format_##name;
KV_FORMATS(KV_DECLARE_FORMAT)

/* The weights of a plain float32 matrix: [k, n], or [n, k] when it is transposed. */
static inline float *kv_matrix_floats(const struct kv_matrix *w)
{
    return w->data;
}

/* ---- Products ------------------------------------------------------------------------------------------------ */

/* A backend is one struct kv_matmul_backend and one row in matmul.c. */

enum kv_epilogue { KV_EPILOGUE_NONE, KV_EPILOGUE_GELU_NEW, KV_EPILOGUE_GELU };

struct kv_matmul_task {
    const float *x; /* [m, k], rows x_stride apart */
    size_t x_stride;
    const struct kv_matrix *w; /* [k, n], of the backend's layout */
    const float *bias;         /* [n], or NULL: none, and no epilogue */
    float *y;                  /* [m, n], rows y_stride apart */
    size_t y_stride;
    int m;
    bool accumulate; /* y += x w + bias; no epilogue */
    enum kv_epilogue epilogue;
};

struct kv_matmul_backend {
    struct kv_choice choice;
    /* Called once by every thread that will call `product`. */
    void (*prepare_thread)(void);
    enum kv_weight_layout layout;
    /* A rank's share of the whole task, divided and finished by the backend itself; or NULL, and then */
    void (*run)(const struct kv_kernels *kernels, const struct kv_matmul_task *task, int rank, int n_ranks);
    /* columns [begin, end) of y = x w, or y += x w; bias and epilogue are not its concern. */
    void (*product)(const struct kv_matmul_task *task, int begin, int end);
};

/* The backend of that name, NULL for the first. Errors: ARGUMENT for an unknown name. */
kv_status kv_matmul_find(const char *name, const struct kv_matmul_backend **backend, struct kv_error *error);

/* Both by name, for a model whose weights that backend multiplies. Errors: ARGUMENT for an unknown name; UNSUPPORTED:
 * plain weights are f32. */
kv_status kv_matmul_find_for(const char *weights, const char *matmul, const struct kv_weight_format **format,
                             const struct kv_matmul_backend **backend, struct kv_error *error);

/* This rank's share of y, bias and epilogue included: all ranks together make y. */
void kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
               const struct kv_matmul_task *task, int rank, int n_ranks);

/* kv_openblas_better_core for an OpenBLAS that uses `core` on a CPU with those levels. */
const char *kv_openblas_better_core_for(const char *core, bool avx2, bool avx512);

extern const struct kv_matmul_backend kv_matmul_packed;
extern const struct kv_matmul_backend kv_matmul_openblas;
extern const struct kv_matmul_backend kv_matmul_reference;

/* ---- Packed -------------------------------------------------------------------------------------------------- */

/* Weights that were packed once, when the model was made.
 *
 * Layout of w [k, n]: panels of KV_PANEL columns, [ceil(n / KV_PANEL)][k][KV_PANEL], the last one filled up with zeros.
 * A tile of y then reads its weights in one contiguous stream, and so does a whole slice of columns.
 *
 * One layout serves every instruction-set level, so a model is packed without knowing who will run on it, and sessions
 * of different levels share it. 48 columns are 3 vectors of AVX-512, 6 of AVX2, 12 of 128 bits: for each level a
 * whole number of register tiles. Sizes of GPT-2 fill the panels wholly (768 and its multiples) or leave 3 % (1024),
 * 1 % (1280), 2 % (1600) and 0.1 % (50257) of padding.
 *
 * Every element of y is summed in the same order whatever m, the slice and the number of threads are: its bits depend
 * on the level, its row of x, its column of w and what it is added to, and on nothing else. */

/* n rounded up to whole panels: packed weights are kv_packed_columns(n) * k floats, best aligned to 64 bytes. */
size_t kv_packed_columns(int n);

/* Where in packed weights the one of that row and column lies. */
static inline size_t kv_packed_place(int k, int row, int column)
{
    return ((size_t)(column / KV_PANEL) * (size_t)k + (size_t)row) * KV_PANEL + (size_t)(column % KV_PANEL);
}

/* The packed backend: this rank's part of the product, bias and epilogue included; task->w is packed. All
 * ranks together make y. Allocates nothing. */
void kv_packed_matmul(const struct kv_kernels *kernels, const struct kv_matmul_task *task, int rank, int n_ranks);

/* What a rank of kv_packed_matmul works on: rows [row_begin, row_end) and columns [begin, end) of y. `begin` is a
 * multiple of KV_PANEL, and `end` too unless it is n. Columns are divided first, so that each weight is read by one
 * thread; rows as well where that is fairer and leaves every thread at least 64 of them. */
struct kv_packed_part {
    int row_begin, row_end;
    int begin, end;
};
struct kv_packed_part kv_packed_part(int m, int n, int rank, int n_ranks);

#endif
