/* Every sequence has room for all its positions, side by side: a slot each, as cache/slots.h has them. Heads follow each
 * other, then sequences; a layer has all keys, all values, all centres, then the scales of each. */
#include "cache/slots.h"

#include <string.h>

/* Slots of a head, by part: whole blocks. */
struct room {
    size_t slots[KV_N_CACHE_PARTS];
};

static struct room room_of(const struct kv_cache *cache)
{
    const size_t n = (size_t)cache->capacity, n_blocks = (n + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK;
    const size_t n_centres = (n_blocks + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK * KV_KEY_BLOCK;
    return (struct room){{n_blocks * KV_KEY_BLOCK, n_blocks * KV_KEY_BLOCK, n_centres}};
}

static double bytes(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                    const struct kv_config *config, double n_positions)
{
    (void)numbers;
    return kv_slot_model_bytes(kind, config, n_positions);
}

static void lay_out(struct kv_cache *cache, struct kv_layout *layout)
{
    kv_slots_lay_out(cache, layout, (size_t)cache->batch * (size_t)cache->n_kv_head, room_of(cache).slots);
    cache->scratch = kv_attention_scratch(cache->head_size);
}

static void start(struct kv_cache *cache)
{
    memset(cache->lengths, 0, (size_t)cache->batch * sizeof *cache->lengths);
}

static size_t live_bytes(const struct kv_cache *cache)
{
    size_t sum = 0;
    for (int b = 0; b < cache->batch; b++)
        sum += kv_slot_bytes(cache->kind, cache->head_size, (size_t)cache->lengths[b]);
    return (size_t)cache->n_layer * (size_t)cache->n_kv_head * sum;
}

static size_t reserved_bytes(const struct kv_cache *cache)
{
    const struct kv_cache_kind *kind = cache->kind;
    const struct room room = room_of(cache);
    size_t head = 0;
    for (int part = 0; part < KV_N_CACHE_PARTS; part++)
        head += room.slots[part] * (kv_slot_code_bytes(kind, cache->head_size, part) + kv_slot_scale_bytes(kind, part));
    return (size_t)cache->n_layer * (size_t)cache->batch * (size_t)cache->n_kv_head * head;
}

static struct kv_slots slots_of(const struct kv_cache *cache, struct kv_cache_place place)
{
    const size_t head = (size_t)place.sequence * (size_t)cache->n_kv_head + (size_t)place.head;
    return kv_slots_of(cache, place.layer, head, room_of(cache).slots);
}

static void append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                   const float *values, size_t stride)
{
    const struct kv_slots slots = slots_of(cache, place);
    const int first = cache->lengths[place.sequence];
    const struct kv_slot_run run = {
        .slot = first, .phase = first % KV_KEY_BLOCK, .centre = first / KV_KEY_BLOCK, .n = n};
    kv_slots_write(cache, &slots, run, keys, values, stride);
}

static void attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention)
{
    const struct kv_slots slots = slots_of(cache, place);
    kv_slots_show(cache, &slots, attention);
    attention->next = (size_t)cache->capacity;
    kernels->attention[cache->kind->keys](attention);
}

static float read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                  int dimension)
{
    const struct kv_slots slots = slots_of(cache, place);
    return kv_slots_read(cache, &slots, part, position, position / KV_KEY_BLOCK, dimension);
}

/* All heads of a sequence lie side by side. */
static void copy(const struct kv_cache *cache, int from, int to)
{
    const struct room room = room_of(cache);
    for (int layer = 0; layer < cache->n_layer; layer++) {
        const struct kv_slots source = slots_of(cache, (struct kv_cache_place){layer, from, 0});
        const struct kv_slots target = slots_of(cache, (struct kv_cache_place){layer, to, 0});
        for (int part = 0; part < KV_N_CACHE_PARTS; part++) {
            const size_t n = (size_t)cache->n_kv_head * room.slots[part];
            memcpy(target.codes[part], source.codes[part], n * kv_slot_code_bytes(cache->kind, cache->head_size, part));
            memcpy(target.scales[part], source.scales[part], n * kv_slot_scale_bytes(cache->kind, part));
        }
    }
}

static void truncate(struct kv_cache *cache, int sequence, int length)
{
    cache->lengths[sequence] = length;
}

/* ---- By types ------------------------------------------------------------------------------------------------ */

#define KIND(KEYS, VALUES)                                                                                             \
    [KV_CACHE_TYPES(KEYS, VALUES)] = {                                                                                 \
        .cache = {"contiguous", "room for all positions of a sequence, side by side"},                                 \
        .keys = KEYS,                                                                                                  \
        .values = VALUES,                                                                                              \
        .bytes = bytes,                                                                                                \
        .lay_out = lay_out,                                                                                            \
        .start = start,                                                                                                \
        .live_bytes = live_bytes,                                                                                      \
        .reserved_bytes = reserved_bytes,                                                                              \
        .append = append,                                                                                              \
        .attend = attend,                                                                                              \
        .read = read,                                                                                                  \
        .copy = copy,                                                                                                  \
        .truncate = truncate,                                                                                          \
    }
const struct kv_cache_kind kv_cache_contiguous[KV_N_KEPT * KV_N_KEPT] = KV_SLOT_KINDS(KIND);
