#define KV_LEVEL   neon
#define KV_SUMMARY "NEON, 128-bit vectors"
#define KV_LANES   4

/* 24 of 32 registers hold sums, 4 keys or values, 1 a factor: 10 loads feed 24 fused products. */
#define KV_QUERY_TILE    6
#define KV_SCORE_BLOCKS  1
#define KV_WEIGH_VECTORS 4

/* 24 of 32 registers hold sums, 6 weights, 1 an x, which is a product's factor as its lane 0: 10 loads feed 24 fused
 * products. As wide as the tile of AVX2; cache as there. (8 x 12 makes 11 loads, and only 6 sums where there are 2 rows.)
 * The dot products of 8-bit integers are of no use to int8_tmpl.h, whose x has 16 bits. */
#define KV_TILE_ROWS    4
#define KV_TILE_VECTORS 6
#define KV_DEPTH        96
#define KV_X_BYTES      (128 * 1024)

/* Up to four FMA units of latency 4 need 16; half as many again cover an uneven split between them. */
#define KV_PROBE_CHAINS 24

#include "kernels/level.h"
