/* A trainer with a pool and tokens of its own, for the tests of training. */
#ifndef KV_TESTS_TRAIN_BENCH_H
#define KV_TESTS_TRAIN_BENCH_H

#include "checkpoint.h"
#include "train/trainer.h"

struct bench {
    struct kv_pool *pool;
    struct kv_trainer *trainer;
    int32_t *tokens, *targets; /* [B, T] */
};

/* Widths that no vector divides, an MLP that is not 4 C, and more positions than a tile of queries. */
extern const struct kv_config odd_shape;

/* Weights 0, tokens and targets random, default options. */
void open_bench(struct bench *bench, const struct kv_config *config, int B, int T, int n_threads);
/* The same with synthetic weights, whose gradients are large everywhere. */
void open_synthetic(struct bench *bench, const struct kv_config *config, int B, int T, int n_threads);
void close_bench(struct bench *bench);

/* A step, or the loss alone; a failure ends the running test. */
double bench_step(const struct bench *bench, float learning_rate);
double bench_loss(const struct bench *bench);

/* Mean cross-entropy by the definition, of logits [n, V]. */
double cross_entropy(const float *logits, const int32_t *targets, int n, int V);

#endif
