/* Sequence lengths that several suites sweep over: powers of a factor up to the model's window. */
#ifndef KV_PLAN_LENGTHS_H
#define KV_PLAN_LENGTHS_H

/* Calls that fill `values` (room for KV_MAX_LENGTHS) with first, first * factor, .. below n_positions, then n_positions
 * itself; returns how many. */
#define KV_MAX_LENGTHS 64
int kv_lengths_by_factor(int *values, int first, int factor, int n_positions);
/* n_steps lengths in equal steps: n_positions / n_steps, .., n_positions, after 1; none twice. */
int kv_lengths_by_step(int *values, int n_steps, int n_positions);

#endif
