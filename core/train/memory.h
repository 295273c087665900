/* The layout of a trainer's activations. */
#ifndef KV_TRAIN_MEMORY_H
#define KV_TRAIN_MEMORY_H

#include "train/trainer.h"

struct kv_train_shape {
    const struct kv_config *config;
    int batch, n_positions, n_threads;
};

/* Bytes of the activations; with a block of that size at `base`, also the places in it. base NULL: only the size,
 * and layers [n_layer] may be NULL. */
struct kv_layout kv_train_lay_out(const struct kv_train_shape *shape, char *base, struct kv_train_buffers *buffers,
                                  struct kv_train_layer *layers);

#endif
