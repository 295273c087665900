/* y = epilogue(x w + bias) on weights that were packed once, when the model was made.
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
#ifndef KV_KERNELS_PACKED_H
#define KV_KERNELS_PACKED_H

#include "kernels/matmul.h"

/* n rounded up to whole panels: packed weights are kv_packed_columns(n) * k floats, best aligned to 64 bytes. */
size_t kv_packed_columns(int n);

/* Where in packed weights the one of that row and column lies. */
static inline size_t kv_packed_place(int k, int row, int column)
{
    return ((size_t)(column / KV_PANEL) * (size_t)k + (size_t)row) * KV_PANEL + (size_t)(column % KV_PANEL);
}

/* This rank's part of the product, bias and epilogue included; task->w is packed. All
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
