/* An inference path: what is kept from one step to the next, and so what has to be run again.
 *
 * A path is one file with one struct kv_path and one row in paths.c. The session around it (session.c)
 * owns tokens, window and memory; a path says how much it needs, and extends sequences. */
#ifndef KV_INFER_PATH_H
#define KV_INFER_PATH_H

#include "infer/forward.h"

struct kv_session {
    struct kv_engine engine;
    const struct kv_path *path;
    int batch;    /* B */
    int capacity; /* most positions of a sequence */
    int chunk;    /* most positions of one prefill step, 0: any */
    enum kv_overflow overflow;
    int *lengths;    /* [B] positions in the window */
    int *starts;     /* [B] the first of them that the running call has yet to run */
    bool has_logits; /* of those windows */
    int overflows;
    int32_t *tokens;       /* [B, capacity] the windows */
    float *logits;         /* [B, V] of the last position */
    struct kv_store store; /* of sequence 0 */
    size_t store_bytes;
    struct kv_block block; /* owns all buffers */
};

struct kv_path_plan {
    int max_rows;      /* kv_engine.max_rows */
    size_t store_rows; /* positions, over all sequences, that the store holds in one layer; layers share the store of a
                        * path that keeps nothing */
};

/* Of each sequence first_sequence + i of session->tokens, n_positions from first_positions[i] on are new; all before
 * them were given earlier. Logits as in struct kv_pass, with n_logits 0, 1 or n_positions. */
struct kv_extension {
    int first_sequence, n_sequences;
    const int *first_positions; /* [n_sequences] */
    int n_positions;
    int n_logits;
    float *logits;
    size_t logits_stride;
};

struct kv_path {
    struct kv_choice choice;
    bool keeps; /* keys and values, from one extension to the next */
    void (*plan)(int batch, int capacity, struct kv_path_plan *plan);
    void (*extend)(struct kv_session *session, const struct kv_extension *extension);
};

/* Rows that one pass aims at: enough for a matrix product at full speed, little enough that the activations
 * of the widest layer stay a small part of memory (28 KB a row for GPT-2 124M). */
#define KV_PASS_ROWS 1024

/* The smaller of two counts, one of which fits an int. */
static inline int kv_smaller(long a, long b)
{
    return (int)(a < b ? a : b);
}

/* The path of that name, NULL for the first. Errors: ARGUMENT for an unknown name. */
kv_status kv_path_find(const char *name, const struct kv_path **path, struct kv_error *error);

extern const struct kv_path kv_path_cached;
extern const struct kv_path kv_path_naive;

#endif
