#define KV_LANES 4
/* 14 and two constants fill the 16 registers of x86-64. aarch64 has 32, and up to four FMA units of latency 4. */
#ifdef __aarch64__
#define KV_CHAINS 24
#else
#define KV_CHAINS 14
#endif
#include "machine/limits_tmpl.h"

const struct kv_limits_kernels kv_limits_portable = KV_LIMITS_KERNELS("portable");
