/* The inside of a session: the forward pass of GPT-2 (Radford et al. 2019) over some new positions of some sequences,
 * given a place where keys and values are kept, and the inference paths, which say what is kept from one step to the
 * next, and so what has to be run again. All paths run the same pass: they differ only in what they ask of it.
 *
 * A path is one file with one struct kv_path and one row in session.c. The session owns tokens, windows and memory; a
 * path says how much it needs, and extends sequences. */
#ifndef KV_INFER_INFER_H
#define KV_INFER_INFER_H

#include "cache/cache.h"
#include "kernels/matmul.h"
#include "model/weights.h"
#include "tables.h"

/* Buffers between the stages; R = kv_engine.max_rows. */
struct kv_workspace {
    float *x;        /* [R, C] the residual stream */
    float *h;        /* [R, C] layer norm's output, then attention's */
    float *qkv;      /* [R, 3C] queries, keys, values */
    float *inner;    /* [R, I] */
    float *last;     /* [R, C] layer norm of the positions that go through the LM head */
    float *gathered; /* [n_gathered, V] logits that belong in places apart */
    float *scratch;  /* [n_threads, kv_engine.scratch] of attention */
    float *partials; /* [KV_SPLIT_HEADS * n_threads, parts of the capacity, 2 + head_size] of heads that are split */
};

/* Most heads a thread of a pass that are split along the context: with more of them, whole heads are even enough. */
#define KV_SPLIT_HEADS 4

struct kv_engine {
    const struct kv_model *model;
    struct kv_pool *pool;
    const struct kv_kernels *kernels;
    const struct kv_matmul_backend *matmul;
    struct kv_workspace work;
    int max_rows;                       /* most positions, over all sequences, in one pass */
    int capacity;                       /* most positions of a sequence */
    int n_gathered;                     /* the batch, 0 where it is one sequence */
    size_t scratch;                     /* floats of a thread's attention, as the cache asks for */
    const struct kv_observer *observer; /* or NULL */
    struct kv_account *accounts;        /* [n_threads] or NULL */
};

/* The time of this rank since its last lap was of that part. */
void kv_account_lap(struct kv_account *account, enum kv_part part);
static inline void kv_lap(const struct kv_engine *engine, int rank, enum kv_part part)
{
    if (engine->accounts)
        kv_account_lap(&engine->accounts[rank], part);
}

/* The same, then a barrier. */
void kv_meet(const struct kv_engine *engine, int rank, enum kv_part part);

/* kv_pool_run. Every rank begins with a lap of KV_PART_WAITING; what is left after its last one is waiting, too. */
void kv_engine_run(const struct kv_engine *engine, void (*job)(void *argument, int rank), void *argument);

/* New positions of one sequence. */
struct kv_span {
    int sequence;          /* the session's number, for the observer */
    int in_cache;          /* the cache's number */
    const int32_t *tokens; /* its window, from position 0 on */
    int n_positions;       /* at least 1, behind those in the cache */
    int n_logits;          /* 0..n_positions: of the last of them */
    float *logits;         /* [n_logits, V] */
    int row, logits_row;   /* kv_forward's: the first among the rows of the pass, and among those with logits */
};

/* Writes keys and values of all spans behind the cache's lengths, which stay as they are, and computes the logits that
 * were asked for. Spans are of distinct sequences and have at most max_rows positions together: a row each, which share
 * the products. The bits of a row do not depend on the others. */
void kv_forward(const struct kv_engine *engine, const struct kv_cache *cache, struct kv_span *spans, int n_spans);

struct kv_session {
    struct kv_engine engine;
    const struct kv_path *path;
    int batch;    /* B */
    int capacity; /* most positions of a sequence */
    int chunk;    /* most positions of one prefill step, 0: any */
    enum kv_overflow overflow;
    int *lengths;    /* [B] positions in the window */
    bool has_logits; /* of those windows */
    int overflows;
    int32_t *tokens;        /* [B, capacity] the windows */
    float *logits;          /* [B, V] of the last position */
    char cache_name[64];    /* with its numbers */
    struct kv_cache cache;  /* its lengths: the positions of each window that have been run */
    struct kv_span *wanted; /* [B] what a path is asked for */
    struct kv_span *passed; /* [B] what it runs in one pass */
    struct kv_block block;  /* owns all buffers */
};

struct kv_path {
    struct kv_choice choice;
    bool keeps; /* keys and values, from one extension to the next */
    /* Given a cache of the session's batch and capacity, the latter also as it was asked for: changes it to what the
     * path needs, and returns kv_engine.max_rows. */
    int (*plan)(struct kv_cache *cache, int capacity);
    /* Runs what session->wanted [n] says, where in_cache is not set, and n_logits is 0, 1 or n_positions. Also raises
     * the lengths of session->cache, of every path, to what has been run. */
    void (*extend)(struct kv_session *session, int n);
};

/* Rows that one pass aims at: enough for a matrix product at full speed, little enough that the activations
 * of the widest layer stay a small part of memory (28 KB a row for GPT-2 124M). */
#define KV_PASS_ROWS 1024

/* The smaller of two counts, one of which fits an int. */
static inline int kv_smaller(long a, long b)
{
    return (int)(a < b ? a : b);
}

#define KV_DECLARE_PATH(name) extern const struct kv_path kv_path_##name;
KV_PATHS(KV_DECLARE_PATH)

#endif
