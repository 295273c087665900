/* 24 of 32 registers hold sums, 3 weights, 1 an x: 11 loads feed 24 fused products, at 2 of either a cycle. 384 rows of
 * a panel are 72 KiB: they, the 72 KiB that follow and half a MiB of x fit the smallest second-level cache of this
 * level's CPUs, 1 MiB. */
#define KV_LEVEL        avx512
#define KV_LANES        16
#define KV_TILE_ROWS    8
#define KV_TILE_VECTORS 3
#define KV_DEPTH        384
#define KV_X_BYTES      (512 * 1024)
#include "kernels/packed_tmpl.h"
