/* Keys and values of one head in arrays with a slot for each position, as kernels/kept.h has them: what every layout
 * writes to and reads from. Which slot a position has is the layout's; of a block of KV_KEY_BLOCK slots all lie together.
 *
 * A key or value x [head_size] becomes codes when it is appended, and then stays. With largest = max |x_d|:
 *   int8   scale = largest / 127, rounded up to bf16;   code = x / scale, rounded to nearest
 *   int4   x is rotated; a key then loses the centre of its block, which is made of the block's first key as an int8 key
 *          of it is; scale = (the x_d that is largest in size) / -8, rounded to bf16, so that the side with the
 *          largest uses all 8 steps that it has;   code = x / scale, rounded to nearest, at most 7
 * Where x is not finite the scale is NaN, so that attention does not hide it; where scale is below TINY_SCALE, 0. */
#ifndef KV_CACHE_SLOTS_H
#define KV_CACHE_SLOTS_H

#include "cache/cache.h"

/* Beside KV_CACHE_KEY and KV_CACHE_VALUE: what the keys of KV_KEY_BLOCK positions have in common. */
enum { KV_CACHE_CENTRE = KV_CACHE_VALUE + 1, KV_N_CACHE_PARTS };

/* The first ones of a head, by part. */
struct kv_slots {
    char *codes[KV_N_CACHE_PARTS];
    uint16_t *scales[KV_N_CACHE_PARTS];
};

/* Positions that follow each other in as many slots. */
struct kv_slot_run {
    int slot;   /* of the first */
    int phase;  /* how many positions stand before it in its block of KV_KEY_BLOCK positions */
    int centre; /* of that block, among the centres; the next block has the next one */
    int n;
};

/* Bytes of a key, value or centre of one head, without its scale; of its scale; of n positions with both, one behind the
 * other from the first of a sequence on. */
size_t kv_slot_code_bytes(const struct kv_cache_kind *kind, int head_size, int part);
size_t kv_slot_scale_bytes(const struct kv_cache_kind *kind, int part);
size_t kv_slot_bytes(const struct kv_cache_kind *kind, int head_size, size_t n_positions);
/* The same of all layers and heads of a model. */
double kv_slot_model_bytes(const struct kv_cache_kind *kind, const struct kv_config *config, double n_positions);

/* Adds the layers of a cache to a layout: a layer has n_heads times slots[part] keys, values and centres, then as many
 * scales of each. Multiples of KV_KEY_BLOCK. */
void kv_slots_lay_out(struct kv_cache *cache, struct kv_layout *layout, size_t n_heads,
                      const size_t slots[KV_N_CACHE_PARTS]);
/* Those of a layer's head `head`, as they were laid out. */
struct kv_slots kv_slots_of(const struct kv_cache *cache, int layer, size_t head, const size_t slots[KV_N_CACHE_PARTS]);

/* Writes keys and values [run.n][head_size], rows `stride` floats apart. */
void kv_slots_write(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_slot_run run,
                    const float *keys, const float *values, size_t stride);
/* Tells attention where the keys and values of a head are; all but keys and values is set. */
void kv_slots_show(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_attention *attention);
/* Element `dimension` of the key or value in a slot, whose block has that centre. */
float kv_slots_read(const struct kv_cache *cache, const struct kv_slots *slots, enum kv_cache_part part, int slot,
                    int centre, int dimension);
/* n keys and values, without their centres; then a centre. */
void kv_slots_copy(const struct kv_cache *cache, const struct kv_slots *from, int slot, const struct kv_slots *to,
                   int to_slot, int n);
void kv_slots_copy_centre(const struct kv_cache *cache, const struct kv_slots *from, int centre,
                          const struct kv_slots *to, int to_centre);

/* The rows of a layout, by types: KIND(KEYS, VALUES) is one. */
#define KV_SLOT_KEYS(KIND, KEYS)                                                                                       \
    KIND(KEYS, KV_KEPT_F32), KIND(KEYS, KV_KEPT_BF16), KIND(KEYS, KV_KEPT_INT8), KIND(KEYS, KV_KEPT_INT4)
#define KV_SLOT_KINDS(KIND)                                                                                            \
    {                                                                                                                  \
        KV_SLOT_KEYS(KIND, KV_KEPT_F32), KV_SLOT_KEYS(KIND, KV_KEPT_BF16), KV_SLOT_KEYS(KIND, KV_KEPT_INT8),           \
            KV_SLOT_KEYS(KIND, KV_KEPT_INT4),                                                                          \
    }

#endif
