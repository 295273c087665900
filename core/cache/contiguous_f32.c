/* Every sequence has room for all its positions, side by side, in 32-bit floats. One head's keys are
 * [capacity / KV_KEY_BLOCK][head_size][KV_KEY_BLOCK], its values [capacity][head_size], as the attention kernels read
 * them; heads follow each other, then sequences, then layers. */
#include "cache/cache.h"

#include <string.h>

static double bytes(const struct kv_config *config, double n_positions)
{
    return (double)kv_config_kv_bytes_per_token(config) * n_positions;
}

static void lay_out(struct kv_cache *cache, struct kv_layout *layout)
{
    struct kv_layout layer = {0};
    kv_layout_add(&layer, (size_t)cache->batch * (size_t)cache->capacity,
                  (size_t)cache->n_kv_head * (size_t)cache->head_size, sizeof(float));
    layout->overflow |= layer.overflow;
    cache->layer_stride = layer.bytes;
    cache->keys = kv_layout_add(layout, (size_t)cache->n_layer, layer.bytes, 1);
    cache->values = kv_layout_add(layout, (size_t)cache->n_layer, layer.bytes, 1);
}

/* Bytes of keys and values of one position of one sequence. */
static size_t position_bytes(const struct kv_cache *cache)
{
    return 2 * (size_t)cache->n_layer * (size_t)cache->n_kv_head * (size_t)cache->head_size * sizeof(float);
}

static size_t live_bytes(const struct kv_cache *cache)
{
    size_t positions = 0;
    for (int b = 0; b < cache->batch; b++)
        positions += (size_t)cache->lengths[b];
    return position_bytes(cache) * positions;
}

static size_t reserved_bytes(const struct kv_cache *cache)
{
    return position_bytes(cache) * (size_t)cache->batch * (size_t)cache->capacity;
}

/* The first key or value of that place. */
static float *first(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part)
{
    const size_t head = (size_t)place.sequence * (size_t)cache->n_kv_head + (size_t)place.head;
    const size_t floats = head * (size_t)cache->capacity * (size_t)cache->head_size;
    const size_t offset = part == KV_CACHE_KEY ? cache->keys : cache->values;
    return (float *)(void *)(cache->base + offset + (size_t)place.layer * cache->layer_stride) + floats;
}

static void append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                   const float *values, size_t stride)
{
    const size_t head_size = (size_t)cache->head_size;
    float *kept_keys = first(cache, place, KV_CACHE_KEY), *kept_values = first(cache, place, KV_CACHE_VALUE);
    for (int i = 0; i < n; i++, keys += stride, values += stride) {
        const int t = cache->lengths[place.sequence] + i;
        float *block = kept_keys + (size_t)(t / KV_KEY_BLOCK * KV_KEY_BLOCK) * head_size + t % KV_KEY_BLOCK;
        for (size_t d = 0; d < head_size; d++)
            block[d * KV_KEY_BLOCK] = keys[d];
        memcpy(kept_values + (size_t)t * head_size, values, head_size * sizeof *values);
    }
}

static void attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention)
{
    attention->keys = first(cache, place, KV_CACHE_KEY);
    attention->values = first(cache, place, KV_CACHE_VALUE);
    kernels->attention(attention);
}

static float read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                  int dimension)
{
    const float *values = first(cache, place, part);
    const size_t head_size = (size_t)cache->head_size, t = (size_t)position, d = (size_t)dimension;
    if (part == KV_CACHE_VALUE)
        return values[t * head_size + d];
    return values[(t / KV_KEY_BLOCK * head_size + d) * KV_KEY_BLOCK + t % KV_KEY_BLOCK];
}

static void truncate(struct kv_cache *cache, int sequence, int length)
{
    cache->lengths[sequence] = length;
}

const struct kv_cache_kind kv_cache_contiguous_f32 = {
    .cache = {"contiguous", "room for all positions of a sequence, side by side"},
    .kv = {"f32", "32-bit floats"},
    .bytes = bytes,
    .lay_out = lay_out,
    .live_bytes = live_bytes,
    .reserved_bytes = reserved_bytes,
    .append = append,
    .attend = attend,
    .read = read,
    .truncate = truncate,
};
