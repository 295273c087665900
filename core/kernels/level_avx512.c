#define KV_LEVEL   avx512
#define KV_SUMMARY "AVX-512 (F BW DQ VL CD), 512-bit vectors"
#define KV_LANES   16

/* 16 of 32 registers hold sums: 10 loads feed 16 fused products. */
#define KV_QUERY_TILE    8
#define KV_SCORE_BLOCKS  2
#define KV_WEIGH_VECTORS 2

/* 24 of 32 registers hold sums, 3 weights, 1 an x: 11 loads feed 24 fused products, at 2 of either a cycle. 128 rows of
 * a panel are 24 KiB: with 4 KiB of x and the tile of y they fit the smallest first-level cache of this level's CPUs,
 * 32 KiB. The tile alone then reaches 98 % of the peak (Sapphire Rapids); 384 rows, 72 KiB from the second level, are as
 * fast in few products and 2 to 5 % slower in most. Half a MiB of x fits the smallest second-level cache, 1 MiB. */
#define KV_TILE_ROWS    8
#define KV_TILE_VECTORS 3
#define KV_DEPTH        128
#define KV_X_BYTES      (512 * 1024)

/* Two FMA units of latency 4 need 8; half as many again cover an uneven split between the two. */
#define KV_PROBE_CHAINS 12

#include "kernels/level.h"

/* The same, with the tiles of AMX for two products. */
#include "kernels/amx_tmpl.h"

const struct kv_kernels kv_kernels_amx = {
    .choice = {"amx", "AVX-512, and AMX tiles for weights bf16x and int8"},
    KV_VECTOR_KERNELS,
    .packed_bf16x = amx_bf16x,
    .packed_int8 = amx_int8,
};
