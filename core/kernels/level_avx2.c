#define KV_LEVEL   avx2
#define KV_SUMMARY "AVX2 and FMA, 256-bit vectors"
#define KV_LANES   8

/* 12 of 16 registers hold sums: 8 loads feed 12 fused products. */
#define KV_QUERY_TILE    6
#define KV_SCORE_BLOCKS  1
#define KV_WEIGH_VECTORS 2

/* 12 of 16 registers hold sums, 3 weights, 1 an x: 7 loads feed 12 fused products. Half a panel's 96 rows touch 12 KiB
 * and stay in the first-level cache while all rows of x pass by; x takes half of 256 KiB, the smallest second level. */
#define KV_TILE_ROWS    4
#define KV_TILE_VECTORS 3
#define KV_DEPTH        96
#define KV_X_BYTES      (128 * 1024)

/* 14 and two constants fill the 16 registers; two FMA units of latency 5 (Haswell) need 10. */
#define KV_PROBE_CHAINS 14

#include "kernels/level.h"
