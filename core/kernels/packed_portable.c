/* 8 of 16 registers hold sums: a product that is not fused needs one for itself. Cache as for AVX2. */
#define KV_LEVEL        portable
#define KV_LANES        4
#define KV_TILE_ROWS    4
#define KV_TILE_VECTORS 2
#define KV_DEPTH        96
#define KV_X_BYTES      (128 * 1024)
#include "kernels/packed_tmpl.h"
