/* How bfloat16 weights lie in memory: what their formats share, see struct kv_weight_format. */
#ifndef KV_KERNELS_FORMAT_BF16_H
#define KV_KERNELS_FORMAT_BF16_H

#include "kernels/matmul.h"

void kv_bf16_lay_out(const struct kv_matrix *w, struct kv_layout *layout, size_t *data, size_t *scales);
double kv_bf16_bytes(double k, double n);
void kv_bf16_pack_rows(const struct kv_matrix *w, int first, int count, const float *rows, size_t row_stride);
void kv_bf16_pack_columns(const struct kv_matrix *w, int first, int count, const float *columns, size_t column_stride);
void kv_bf16_unpack_column(const struct kv_matrix *w, int column, float *out);

/* The members of a format that stores its weights so. */
#define KV_BF16_STORAGE                                                                                                \
    .strip_rows = 16, .lay_out = kv_bf16_lay_out, .bytes = kv_bf16_bytes, .pack_rows = kv_bf16_pack_rows,              \
    .pack_columns = kv_bf16_pack_columns, .unpack_column = kv_bf16_unpack_column

#endif
