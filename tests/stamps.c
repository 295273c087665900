/* Preloaded before OpenBLAS: notes in the file KV_STAMPS when each of its products begins and ends, so that the program's
 * clock can be held against another. A line has the seconds since 1970 at the beginning, and both
 * moments by CLOCK_MONOTONIC_RAW, which nothing adjusts. */
#include <cblas.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double read_clock(clockid_t clock)
{
    struct timespec time;
    clock_gettime(clock, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static FILE *file;

__attribute__((constructor)) static void open_file(void)
{
    const char *name = getenv("KV_STAMPS");
    file = name ? fopen(name, "w") : NULL;
}

/* What the buffer still holds is written as the program ends. */
static void note(double since_1970, double began)
{
    if (file)
        fprintf(file, "%.6f %.9f %.9f\n", since_1970, began, read_clock(CLOCK_MONOTONIC_RAW));
}

void cblas_sgemm(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transpose_a, enum CBLAS_TRANSPOSE transpose_b, blasint m,
                 blasint n, blasint k, float alpha, const float *a, blasint lda, const float *b, blasint ldb,
                 float beta, float *c, blasint ldc)
{
    static __typeof__(&cblas_sgemm) next;
    const double since_1970 = read_clock(CLOCK_REALTIME), began = read_clock(CLOCK_MONOTONIC_RAW);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "cblas_sgemm");
    next(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    note(since_1970, began);
}

void cblas_sgemv(enum CBLAS_ORDER order, enum CBLAS_TRANSPOSE transpose, blasint m, blasint n, float alpha,
                 const float *a, blasint lda, const float *x, blasint step_x, float beta, float *y, blasint step_y)
{
    static __typeof__(&cblas_sgemv) next;
    const double since_1970 = read_clock(CLOCK_REALTIME), began = read_clock(CLOCK_MONOTONIC_RAW);
    if (!next)
        *(void **)&next = dlsym(RTLD_NEXT, "cblas_sgemv");
    next(order, transpose, m, n, alpha, a, lda, x, step_x, beta, y, step_y);
    note(since_1970, began);
}
