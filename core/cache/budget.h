/* Layouts that keep so many positions of a sequence, whatever its length: window, random, heavy. Memory is flat.
 *
 * Positions are run one after the other, those of a prompt too, so that nothing depends on how it is cut into chunks:
 * position t is kept, and while there are more than the budget, one of those before it is dropped; then t's query attends
 * to what is kept, t among it. Keys and values of t in the deeper layers thus depend on what t attended to in the layers
 * above. A prefill needs no more room than a step: its keys and values wait in the activations of the pass.
 *
 * A position below the budget lies in the slot of that number; each later one takes the slot of the one that it drops.
 * A head of a layer may drop others than the next head does. Attention sees slots in their order. Keys of int4 lose the
 * centre of the first key that was ever in their block of slots, which stays when that key is dropped.
 *
 * A sequence that has dropped positions cannot be cut back: those that a shorter one attends to are gone, and running
 * them again takes all before them, as their keys and values depend on what they attended to. So truncate leaves such a
 * sequence without any, and it is run again from its tokens when it is next appended to. Sequences within the budget are
 * cut as they are; of `heavy` only to nothing, since what was cut off has left its weights. */
#ifndef KV_CACHE_BUDGET_H
#define KV_CACHE_BUDGET_H

#include "cache/slots.h"

/* Most positions of a budget whose queries' weights are noted. */
#define KV_MOST_WEIGHED 1024

/* What is noted of the slots of a head. */
int32_t *kv_budget_positions(const struct kv_cache *cache, struct kv_cache_place place); /* [slots] */
float *kv_budget_weights(const struct kv_cache *cache, struct kv_cache_place place);     /* [slots] sums over queries */

/* Of struct kv_cache_kind. */
double kv_budget_bytes(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                       const struct kv_config *config, double n_positions);
void kv_budget_lay_out(struct kv_cache *cache, struct kv_layout *layout);
void kv_budget_start(struct kv_cache *cache);
size_t kv_budget_live_bytes(const struct kv_cache *cache);
size_t kv_budget_reserved_bytes(const struct kv_cache *cache);
void kv_budget_append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                      const float *values, size_t stride);
void kv_budget_attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                      struct kv_attention *attention);
void kv_budget_extend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                      struct kv_attention *attention, const float *keys, const float *values);
float kv_budget_read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                     int dimension);
int kv_budget_find(const struct kv_cache *cache, struct kv_cache_place place, int n_positions, int position);
void kv_budget_copy(const struct kv_cache *cache, int from, int to);
void kv_budget_truncate(struct kv_cache *cache, int sequence, int length);

/* The rows of such a layout, by types. */
#define KV_BUDGET_KIND(KEYS, VALUES, ...)                                                                              \
    [KV_CACHE_TYPES(KEYS, VALUES)] = {                                                                                 \
        .keys = KEYS,                                                                                                  \
        .values = VALUES,                                                                                              \
        .bytes = kv_budget_bytes,                                                                                      \
        .lay_out = kv_budget_lay_out,                                                                                  \
        .start = kv_budget_start,                                                                                      \
        .live_bytes = kv_budget_live_bytes,                                                                            \
        .reserved_bytes = kv_budget_reserved_bytes,                                                                    \
        .append = kv_budget_append,                                                                                    \
        .attend = kv_budget_attend,                                                                                    \
        .extend = kv_budget_extend,                                                                                    \
        .read = kv_budget_read,                                                                                        \
        .copy = kv_budget_copy,                                                                                        \
        .truncate = kv_budget_truncate,                                                                                \
        __VA_ARGS__,                                                                                                   \
    }
#define KV_BUDGET_KEYS(KEYS, ...)                                                                                      \
    KV_BUDGET_KIND(KEYS, KV_KEPT_F32, __VA_ARGS__), KV_BUDGET_KIND(KEYS, KV_KEPT_BF16, __VA_ARGS__),                   \
        KV_BUDGET_KIND(KEYS, KV_KEPT_INT8, __VA_ARGS__), KV_BUDGET_KIND(KEYS, KV_KEPT_INT4, __VA_ARGS__)
#define KV_BUDGET_KINDS(...)                                                                                           \
    {                                                                                                                  \
        KV_BUDGET_KEYS(KV_KEPT_F32, __VA_ARGS__), KV_BUDGET_KEYS(KV_KEPT_BF16, __VA_ARGS__),                           \
            KV_BUDGET_KEYS(KV_KEPT_INT8, __VA_ARGS__), KV_BUDGET_KEYS(KV_KEPT_INT4, __VA_ARGS__)                       \
    }

#endif
