/* v_exp of kernels/vector.h as each instruction-set level compiles it: built once a level, with the level's own flags
 * and -DKV_LEVEL=its name. */
#if defined(__AVX512F__)
#define KV_LANES 16
#elif defined(__AVX2__)
#define KV_LANES 8
#else
#define KV_LANES 4
#endif
#include "kernels/vector.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b)  JOIN_(a, b)

void JOIN(exp_, KV_LEVEL)(const float *x, float *y, int n);
void JOIN(exp_, KV_LEVEL)(const float *x, float *y, int n)
{
    for (int i = 0; i < n; i += KV_LANES)
        v_store(y + i, v_exp(v_load(x + i)));
}
