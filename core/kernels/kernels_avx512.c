#define KV_LEVEL      avx512
#define KV_SUMMARY    "AVX-512 (F BW DQ VL CD), 512-bit vectors"
#define KV_LANES      16
#define KV_QUERY_TILE 8
#include "kernels/kernels_tmpl.h"
