#define KV_LEVEL      avx2
#define KV_SUMMARY    "AVX2 and FMA, 256-bit vectors"
#define KV_LANES      8
#define KV_QUERY_TILE 4
#include "kernels/kernels_tmpl.h"
