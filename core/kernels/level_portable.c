#define KV_LEVEL   portable
#define KV_SUMMARY "plain C, 128-bit vectors"
#define KV_LANES   4

#define KV_QUERY_TILE    4
#define KV_SCORE_BLOCKS  1
#define KV_WEIGH_VECTORS 2

/* 8 of 16 registers hold sums: a product that is not fused needs one for itself. Cache as for AVX2. */
#define KV_TILE_ROWS    4
#define KV_TILE_VECTORS 2
#define KV_DEPTH        96
#define KV_X_BYTES      (128 * 1024)

/* 14 and two constants fill the 16 registers of x86-64. aarch64 has 32, and up to four FMA units of latency 4. */
#ifdef __aarch64__
#define KV_PROBE_CHAINS 24
#else
#define KV_PROBE_CHAINS 14
#endif

#include "kernels/level.h"
