/* v_exp of kernels/vector.h as each instruction-set level compiles it: exp_level.c is built once a level, with the
 * level's own flags and -DKV_LEVEL=its name. */
#ifndef KV_TESTS_EXP_LEVEL_H
#define KV_TESTS_EXP_LEVEL_H

/* y = e^x; [n], n a multiple of 16 */
void exp_portable(const float *x, float *y, int n);
#if defined(__x86_64__)
void exp_avx2(const float *x, float *y, int n);
void exp_avx512(const float *x, float *y, int n);
#endif

#endif
