/* What a GPT-2 computes on its way, by the book and in double: no cache, no blocks, no threads. */
#ifndef KV_TESTS_PLAIN_GPT2_H
#define KV_TESTS_PLAIN_GPT2_H

#include "support.h"

/* Turns the keys or values of one head, rows [n] of S numbers each, `stride` apart, into what a cache gives back. */
typedef void plain_keep(double *rows, int n, int S, int stride, bool are_keys);

/* Of one sequence of n positions; S = C / H. */
struct plain_gpt2 {
    int n, n_head, n_embd, head_size;
    int sinks, recent; /* what a position attends to: the first ones and the newest ones; recent 0: all */
    plain_keep *keep;  /* NULL: keys and values stay as they are */
    double *qkv;       /* [L, n, 3C] queries, keys, values */
    double *weights;   /* [L, H, n, n] attention of position i (row) to position t (column), 0 where t > i */
};

/* y [n] = x [k] w [k, n] + bias */
void plain_linear(const double *x, int k, const float *w, const float *bias, double *y, int n);
/* y [n] = layer_norm(x [n]) */
void plain_layer_norm(const double *x, const float *gain, const float *bias, double epsilon, double *y, int n);
double plain_gelu(enum kv_activation activation, double x);

/* Fails the running test without memory. */
void plain_gpt2_run(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n);
/* With that mask; logits [n, V] of all positions, or NULL. */
void plain_gpt2_run_window(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n, int sinks,
                           int recent, double *logits);
/* With a cache that keeps what `keep` makes of keys and values. */
void plain_gpt2_run_kept(struct plain_gpt2 *g, const struct kv_model *model, const int32_t *tokens, int n,
                         plain_keep *keep, double *logits);
void plain_gpt2_free(struct plain_gpt2 *g);

enum plain_part { PLAIN_QUERY, PLAIN_KEY, PLAIN_VALUE };
/* Element `dimension` of one head's query, key or value at a position. */
double plain_vector(const struct plain_gpt2 *g, enum plain_part part, int layer, int head, int position, int dimension);
/* The weight with which position `from` attends to position `to`. */
double plain_weight(const struct plain_gpt2 *g, int layer, int head, int from, int to);

#endif
