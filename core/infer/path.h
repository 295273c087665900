/* An inference path: what is kept from one step to the next, and so what has to be run again.
 *
 * A path is one file with one struct kv_path and one row in paths.c. The session around it (forward/session.c)
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
    int length; /* positions in the window */
    int overflows;
    int32_t *tokens;       /* [B, capacity] the window */
    float *logits;         /* [B, V] of the last position */
    struct kv_store store; /* of sequence 0 */
    size_t store_bytes;
    struct kv_block block; /* owns all buffers */
};

struct kv_path_plan {
    int max_rows;         /* kv_engine.max_rows */
    size_t store_rows;    /* positions, over all sequences, that the store holds in one layer */
    bool store_per_layer; /* keys and values are kept; otherwise the layers share one place */
};

/* Positions [first_position, first_position + n_positions) are new in all sequences of session->tokens; all
 * before them were given earlier. Logits as in struct kv_pass, with n_logits 0, 1 or n_positions. */
struct kv_extension {
    int first_position;
    int n_positions;
    int n_logits;
    float *logits;
    size_t logits_stride;
};

struct kv_path {
    struct kv_choice choice;
    void (*plan)(int batch, int capacity, struct kv_path_plan *plan);
    void (*extend)(struct kv_session *session, const struct kv_extension *extension);
    /* kv_path_work */
    struct kv_work (*work)(const struct kv_config *config, int batch, int n_before, int n_new);
};

/* The work of running positions first + 1 .. first + n of `batch` sequences through the model; kv_path_work has the
 * formulas. `kept`: their keys and values are written to a cache, and those of the positions before them read. */
struct kv_work kv_work_of_positions(const struct kv_config *config, int batch, int first, int n, bool kept);

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
