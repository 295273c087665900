/* The inside of a trainer. R = B T rows, row (b, t) at b T + t; C = n_embd, I = n_inner, V = vocab_size. */
#ifndef KV_TRAIN_TRAINER_H
#define KV_TRAIN_TRAINER_H

#include "train/train.h"

/* Queries that one head works on at a time: it then computes little more than the causal half of the scores. */
#define KV_TRAIN_QUERY_TILE 64

/* A layer norm's input is not kept: its backward pass needs what it became before gain and bias. */
struct kv_train_norm {
    float *normalized; /* [R, C] */
    float *scale;      /* [R] */
};

/* What the backward pass of a layer needs of its forward pass. */
struct kv_train_layer {
    struct kv_train_norm ln_1, ln_2;
    float *qkv;      /* [R, 3C] */
    float *attended; /* [R, C] attention's output, before its projection */
    float *fc;       /* [R, I] c_fc's product, its bias not yet added */
    float *inner;    /* [R, I] after the activation */
};

struct kv_train_buffers {
    struct kv_train_norm ln_f;
    float *x;            /* [R, C] the residual stream; on the way back, its gradient */
    float *h;            /* [R, C] a layer norm's output */
    float *dh;           /* [R, C] its gradient */
    float *dattended;    /* [R, C] */
    float *dqkv;         /* [R, 3C] */
    float *dinner;       /* [R, I] */
    float *logits;       /* [head_rows, V], then their gradient */
    float *scores;       /* [n_threads, 2, KV_TRAIN_QUERY_TILE, T] attention weights and their gradient */
    double *losses;      /* [R] */
    double *square_sums; /* [n_threads] */
    int head_rows;       /* rows that go through the LM head at a time */
};

enum kv_trainer_part {
    KV_TRAINER_WEIGHTS,
    KV_TRAINER_GRADIENTS, /* of the last step, before clipping */
    KV_TRAINER_FIRST_MOMENT,
    KV_TRAINER_SECOND_MOMENT,
    KV_TRAINER_N_PARTS,
};

/* A trainer that is given another one's weights, moments and count of steps goes on with the same bits. */
struct kv_trainer {
    struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_kernels *kernels;
    struct kv_trainer_options options;
    int batch, n_positions, n_rows;
    struct kv_block parts[KV_TRAINER_N_PARTS];        /* one layout; the weights' block is the model's own */
    struct kv_tensor_slot *slots[KV_TRAINER_N_PARTS]; /* [n_slots] each: a tensor, as the model lays it out */
    int n_slots;
    struct kv_block work;
    struct kv_train_layer *layers; /* [n_layer] */
    struct kv_train_buffers buffers;
    int64_t steps;
    double gradient_norm;
};

/* One pass, as every thread sees it. Rows are divided for what works on rows, heads for attention, columns for the
 * gradients of weights: each sum is one thread's, in one order. */
struct kv_train_pass {
    struct kv_trainer *trainer;
    const int32_t *tokens;  /* [B, T] */
    const int32_t *targets; /* [B, T] */
    bool with_gradients;
};

/* The stages of a pass, each called by every rank; in between they wait for each other themselves. */
void kv_train_forward(const struct kv_train_pass *pass, int rank);
void kv_train_head(const struct kv_train_pass *pass, int rank);
void kv_train_backward(const struct kv_train_pass *pass, int rank);

/* AdamW's step number steps + 1 at that rate, gradients clipped as the options say. */
struct kv_adamw kv_train_adamw(const struct kv_trainer *t, float learning_rate);

#endif
