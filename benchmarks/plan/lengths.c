#include "plan/lengths.h"

int kv_lengths_by_factor(int *values, int first, int factor, int n_positions)
{
    int n = 0;
    for (long length = first; length < n_positions && n < KV_MAX_LENGTHS - 1; length *= factor)
        values[n++] = (int)length;
    values[n++] = n_positions;
    return n;
}

int kv_lengths_by_step(int *values, int n_steps, int n_positions)
{
    int n = 0;
    values[n++] = 1;
    for (int i = 1; i <= n_steps && n < KV_MAX_LENGTHS; i++) {
        const int length = (int)((long)n_positions * i / n_steps);
        if (length > values[n - 1])
            values[n++] = length;
    }
    return n;
}
