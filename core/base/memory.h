/* Large blocks: sized without overflow, refused before the machine runs out, on huge pages where there are some. */
#ifndef KV_BASE_MEMORY_H
#define KV_BASE_MEMORY_H

#include "kvbench.h"

/* Every part of a block starts on a cache line, which is also the widest vector. */
#define KV_ALIGNMENT 64

/* Sizes a block part by part; `overflow` sticks. */
struct kv_layout {
    size_t bytes;
    bool overflow;
};

/* Adds a part of count_a * count_b elements; returns its offset in bytes, a multiple of KV_ALIGNMENT. */
size_t kv_layout_add(struct kv_layout *layout, size_t count_a, size_t count_b, size_t element_bytes);

struct kv_block {
    char *base;
    size_t bytes;
};

/* Zeroed memory for `layout`; `what` names it in the error. Errors: MEMORY. */
kv_status kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                            struct kv_error *error);
void kv_block_free(struct kv_block *block);

/* Bytes that this process can still take without swapping or being killed; SIZE_MAX when unknown. */
size_t kv_memory_available(void);

#endif
