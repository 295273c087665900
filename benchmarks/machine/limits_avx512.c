#define KV_LANES 16
/* Two FMA units of latency 4 need 8; half as many again cover an uneven split between the two. */
#define KV_CHAINS 12
#include "machine/limits_tmpl.h"

const struct kv_limits_kernels kv_limits_avx512 = KV_LIMITS_KERNELS("avx512");
