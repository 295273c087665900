/* The forward pass of GPT-2 (Radford et al. 2019) over some new positions of some sequences, given a place
 * where keys and values are kept. Naive and cached run this same pass: they differ only in what they ask of it. */
#ifndef KV_INFER_FORWARD_H
#define KV_INFER_FORWARD_H

#include "kernels/matmul.h"
#include "model/weights.h"

/* Keys and values of `n_sequences` sequences. One head's keys are [capacity / KV_KEY_BLOCK][head_size][KV_KEY_BLOCK],
 * its values [capacity][head_size]; heads follow each other, then sequences, then layers. */
struct kv_store {
    float *keys;
    float *values;
    size_t layer_stride; /* floats from one layer to the next; 0: all layers share one place in turn */
    int capacity;        /* positions, a multiple of KV_KEY_BLOCK */
};

/* Buffers between the stages; R = kv_engine.max_rows. */
struct kv_workspace {
    float *x;      /* [R, C] the residual stream */
    float *h;      /* [R, C] layer norm's output, then attention's */
    float *qkv;    /* [R, 3C] queries, keys, values */
    float *inner;  /* [R, I] */
    float *last;   /* [R, C] layer norm of the positions that go through the LM head */
    float *scores; /* [n_threads, KV_MAX_QUERY_TILE, score_stride] */
    size_t score_stride;
};

struct kv_engine {
    const struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_kernels *kernels;
    const struct kv_matmul_backend *matmul;
    struct kv_workspace work;
    int max_rows;                       /* most positions, over all sequences, in one pass */
    const struct kv_observer *observer; /* NULL: nobody looks */
};

struct kv_pass {
    const int32_t *tokens; /* [n_sequences] windows, token_stride apart */
    size_t token_stride;
    int first_sequence; /* the session's number of the pass's first sequence, for the observer */
    int n_sequences;
    const int *first_positions; /* [n_sequences]: sequence i's new positions are the n_positions from */
    int skip;                   /*   first_positions[i] + skip on */
    int n_positions;            /* n_sequences * n_positions <= max_rows */
    struct kv_store store;      /* of the pass's first sequence */
    /* Logits of the last `n_logits` new positions of every sequence: row (b, i) at
     * logits + b * logits_stride + i * V. 0: none. */
    int n_logits;
    float *logits;
    size_t logits_stride;
};

/* Appends keys and values of the new positions to the store and computes the logits that were asked for. */
void kv_forward(const struct kv_engine *engine, const struct kv_pass *pass);

#endif
