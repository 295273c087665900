/* What layer norm knows of a row before gain and bias; for the templates of a level, after their KV_LANES. */
#ifndef KV_KERNELS_NORM_H
#define KV_KERNELS_NORM_H

#include "kernels/vector.h"

#include <math.h>

struct row_norm {
    float mean, scale; /* scale = 1 / sqrt(variance + epsilon) */
};

/* Of x [n]. Two passes: the mean first, then the squares about it, so that nothing cancels. */
static inline struct row_norm norm_of_row(const float *x, float epsilon, int n)
{
    const int whole = n - n % KV_LANES;
    vf sum = {0}, squares = {0};
    for (int i = 0; i < whole; i += KV_LANES)
        sum += v_load(x + i);
    float mean = v_sum(sum);
    for (int i = whole; i < n; i++)
        mean += x[i];
    mean /= (float)n;
    for (int i = 0; i < whole; i += KV_LANES) {
        const vf d = v_load(x + i) - mean;
        squares += d * d;
    }
    float variance = v_sum(squares);
    for (int i = whole; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean);
    return (struct row_norm){mean, 1.0f / sqrtf(variance / (float)n + epsilon)};
}

#endif
