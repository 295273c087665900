#define KV_LANES 8
/* 14 and two constants fill the 16 registers; two FMA units of latency 5 (Haswell) need 10. */
#define KV_CHAINS 14
#include "machine/limits_tmpl.h"

const struct kv_limits_kernels kv_limits_avx2 = KV_LIMITS_KERNELS("avx2");
