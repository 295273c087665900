#define KV_LEVEL      portable
#define KV_SUMMARY    "plain C, 128-bit vectors"
#define KV_LANES      4
#define KV_QUERY_TILE 4
#include "kernels/kernels_tmpl.h"
