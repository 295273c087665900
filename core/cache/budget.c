#include "cache/budget.h"

#include <math.h>
#include <string.h>

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int budget_of(const struct kv_cache *cache)
{
    return cache->kind->budget(cache->numbers);
}

/* Slots of a head, by part: whole blocks, of as many positions as there will be. */
struct room {
    size_t slots[KV_N_CACHE_PARTS];
};

static struct room room_of(const struct kv_cache *cache)
{
    const int n = kv_round_to_key_block(smaller(budget_of(cache), cache->capacity));
    const int n_centres = kv_round_to_key_block(n / KV_KEY_BLOCK);
    return (struct room){{(size_t)n, (size_t)n, (size_t)n_centres}};
}

static size_t head_of(const struct kv_cache *cache, struct kv_cache_place place)
{
    return (size_t)place.sequence * (size_t)cache->n_kv_head + (size_t)place.head;
}

static struct kv_slots slots_of(const struct kv_cache *cache, struct kv_cache_place place)
{
    return kv_slots_of(cache, place.layer, head_of(cache, place), room_of(cache).slots);
}

/* All positions of the slots of a head, then all weights. */
static char *notes_of(const struct kv_cache *cache, struct kv_cache_place place)
{
    const size_t head_bytes = room_of(cache).slots[KV_CACHE_KEY] * (size_t)cache->kind->note_bytes;
    return cache->base + cache->notes + (size_t)place.layer * cache->notes_stride + head_of(cache, place) * head_bytes;
}

int32_t *kv_budget_positions(const struct kv_cache *cache, struct kv_cache_place place)
{
    return (int32_t *)(void *)notes_of(cache, place);
}

float *kv_budget_weights(const struct kv_cache *cache, struct kv_cache_place place)
{
    return (float *)(void *)(kv_budget_positions(cache, place) + room_of(cache).slots[KV_CACHE_KEY]);
}

/* ---- Bytes: of keys and values, and of what is noted of them ------------------------------------------------- */

double kv_budget_bytes(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                       const struct kv_config *config, double n_positions)
{
    const double n = fmin(n_positions, kind->budget(numbers));
    return kv_slot_model_bytes(kind, config, n) + (double)config->n_layer * config->n_head * kind->note_bytes * n;
}

void kv_budget_lay_out(struct kv_cache *cache, struct kv_layout *layout)
{
    const struct room room = room_of(cache);
    const size_t n_heads = (size_t)cache->batch * (size_t)cache->n_kv_head;
    kv_slots_lay_out(cache, layout, n_heads, room.slots);
    cache->notes_stride = n_heads * room.slots[KV_CACHE_KEY] * (size_t)cache->kind->note_bytes;
    cache->notes = kv_layout_add(layout, (size_t)cache->n_layer, cache->notes_stride, 1);
    cache->scratch = kv_attention_scratch(cache->head_size);
}

void kv_budget_start(struct kv_cache *cache)
{
    memset(cache->lengths, 0, (size_t)cache->batch * sizeof *cache->lengths);
}

static size_t all_heads(const struct kv_cache *cache)
{
    return (size_t)cache->n_layer * (size_t)cache->n_kv_head;
}

size_t kv_budget_live_bytes(const struct kv_cache *cache)
{
    size_t sum = 0;
    for (int b = 0; b < cache->batch; b++) {
        const size_t n = (size_t)smaller(cache->lengths[b], budget_of(cache));
        sum += kv_slot_bytes(cache->kind, cache->head_size, n) + n * (size_t)cache->kind->note_bytes;
    }
    return all_heads(cache) * sum;
}

size_t kv_budget_reserved_bytes(const struct kv_cache *cache)
{
    const struct kv_cache_kind *kind = cache->kind;
    const struct room room = room_of(cache);
    size_t head = room.slots[KV_CACHE_KEY] * (size_t)kind->note_bytes;
    for (int part = 0; part < KV_N_CACHE_PARTS; part++)
        head += room.slots[part] * (kv_slot_code_bytes(kind, cache->head_size, part) + kv_slot_scale_bytes(kind, part));
    return all_heads(cache) * (size_t)cache->batch * head;
}

/* ---- Writing ------------------------------------------------------------------------------------------------- */

static void write_at(const struct kv_cache *cache, struct kv_cache_place place, int position, const float *key,
                     const float *value)
{
    const struct kv_slots slots = slots_of(cache, place);
    const bool drops = position >= budget_of(cache);
    const int slot = drops ? cache->kind->victim(cache, place, position) : position;
    const struct kv_slot_run run = {
        .slot = slot,
        .phase = drops || slot % KV_KEY_BLOCK, /* of a block's centre only whether it is to be written counts */
        .centre = slot / KV_KEY_BLOCK,
        .n = 1,
    };
    kv_slots_write(cache, &slots, run, key, value, 0);
    if (cache->kind->note_bytes)
        kv_budget_positions(cache, place)[slot] = position;
    if (cache->kind->note_bytes > (int)sizeof(int32_t))
        kv_budget_weights(cache, place)[slot] = 0;
}

void kv_budget_append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                      const float *values, size_t stride)
{
    for (int i = 0; i < n; i++, keys += stride, values += stride)
        write_at(cache, place, cache->lengths[place.sequence] + i, keys, values);
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

/* The weights that a query with scores [n] gave go to what its slots had. */
static void note_weights(const struct kv_cache *cache, struct kv_cache_place place, const float *scores, int n)
{
    float *sums = kv_budget_weights(cache, place), weights[KV_MOST_WEIGHED], largest = scores[0], sum = 0;
    for (int i = 1; i < n; i++)
        largest = scores[i] > largest ? scores[i] : largest;
    for (int i = 0; i < n; i++)
        sum += weights[i] = expf(scores[i] - largest);
    const float inverse = 1 / sum;
    for (int i = 0; i < n; i++)
        sums[i] += weights[i] * inverse;
}

/* The query of `position`. */
static void attend_alone(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                         struct kv_attention *attention, int position)
{
    const struct kv_slots slots = slots_of(cache, place);
    const int n = smaller(position + 1, budget_of(cache));
    const bool weighs = cache->kind->note_bytes > (int)sizeof(int32_t);
    float scores[KV_MOST_WEIGHED];
    attention->n_queries = 1;
    attention->first_position = n - 1; /* slots take the place of positions: a query sees all that are in use */
    attention->next = room_of(cache).slots[KV_CACHE_KEY];
    attention->scores = weighs ? scores : NULL;
    kv_slots_show(cache, &slots, attention);
    kernels->attention[cache->kind->keys](attention);
    if (weighs)
        note_weights(cache, place, scores, n);
}

static void attend_in_turn(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                           const struct kv_attention *attention, const float *keys, const float *values)
{
    for (int i = 0; i < attention->n_queries; i++) {
        struct kv_attention alone = *attention;
        const int position = attention->first_position + i;
        alone.queries += (size_t)i * attention->query_stride;
        alone.out += (size_t)i * attention->out_stride;
        if (keys)
            write_at(cache, place, position, keys + (size_t)i * attention->query_stride,
                     values + (size_t)i * attention->query_stride);
        attend_alone(cache, place, kernels, &alone, position);
    }
}

void kv_budget_attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                      struct kv_attention *attention)
{
    attend_in_turn(cache, place, kernels, attention, NULL, NULL);
}

void kv_budget_extend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                      struct kv_attention *attention, const float *keys, const float *values)
{
    attend_in_turn(cache, place, kernels, attention, keys, values);
}

int kv_budget_find(const struct kv_cache *cache, struct kv_cache_place place, int n_positions, int position)
{
    const int32_t *positions = kv_budget_positions(cache, place);
    const int n = smaller(n_positions, budget_of(cache));
    for (int slot = 0; slot < n; slot++)
        if (positions[slot] == position)
            return slot;
    return -1;
}

float kv_budget_read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                     int dimension)
{
    const struct kv_slots slots = slots_of(cache, place);
    const int slot = cache->kind->slot_of(cache, place, position + 1, position);
    return slot < 0 ? NAN : kv_slots_read(cache, &slots, part, slot, slot / KV_KEY_BLOCK, dimension);
}

/* ---- Sequences ----------------------------------------------------------------------------------------------- */

void kv_budget_copy(const struct kv_cache *cache, int from, int to)
{
    const int n = smaller(cache->lengths[from], budget_of(cache));
    const size_t n_slots = room_of(cache).slots[KV_CACHE_KEY];
    for (int layer = 0; layer < cache->n_layer; layer++)
        for (int head = 0; head < cache->n_kv_head; head++) {
            const struct kv_cache_place source = {layer, from, head}, target = {layer, to, head};
            const struct kv_slots source_slots = slots_of(cache, source), target_slots = slots_of(cache, target);
            kv_slots_copy(cache, &source_slots, 0, &target_slots, 0, n);
            for (int centre = 0; centre * KV_KEY_BLOCK < n; centre++)
                kv_slots_copy_centre(cache, &source_slots, centre, &target_slots, centre);
            memcpy(notes_of(cache, target), notes_of(cache, source), n_slots * (size_t)cache->kind->note_bytes);
        }
}

void kv_budget_truncate(struct kv_cache *cache, int sequence, int length)
{
    const bool weighs = cache->kind->note_bytes > (int)sizeof(int32_t);
    const int now = cache->lengths[sequence];
    const bool is_forgotten = length > now; /* it was cut before, and has not been run again since */
    if (length != now && (weighs || now > budget_of(cache) || is_forgotten))
        length = 0;
    cache->lengths[sequence] = length;
}
