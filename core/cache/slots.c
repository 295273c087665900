#include "cache/slots.h"

#include <string.h>

#define TINY_SCALE 0x1p-100f
#define INLINED    static inline __attribute__((always_inline))

/* ---- Where things are ---------------------------------------------------------------------------------------- */

/* The type of that part; what a centre is of, the type of keys. */
static enum kv_kept kept_of(const struct kv_cache_kind *kind, int part)
{
    return part == KV_CACHE_VALUE ? kind->values : kind->keys;
}

size_t kv_slot_code_bytes(const struct kv_cache_kind *kind, int head_size, int part)
{
    const enum kv_kept kept = kept_of(kind, part);
    if (part == KV_CACHE_CENTRE)
        return kv_is_centred(kept) ? kv_key_bytes(KV_KEPT_INT8, head_size) : 0;
    return part == KV_CACHE_KEY ? kv_key_bytes(kept, head_size) : kv_value_bytes(kept, head_size);
}

size_t kv_slot_scale_bytes(const struct kv_cache_kind *kind, int part)
{
    const enum kv_kept kept = kept_of(kind, part);
    return part == KV_CACHE_CENTRE && !kv_is_centred(kept) ? 0 : kv_scale_bytes(kept);
}

size_t kv_slot_bytes(const struct kv_cache_kind *kind, int head_size, size_t n_positions)
{
    size_t sum = 0;
    for (int part = 0; part < KV_N_CACHE_PARTS; part++) {
        const size_t n = part == KV_CACHE_CENTRE ? (n_positions + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK : n_positions;
        sum += n * (kv_slot_code_bytes(kind, head_size, part) + kv_slot_scale_bytes(kind, part));
    }
    return sum;
}

double kv_slot_model_bytes(const struct kv_cache_kind *kind, const struct kv_config *config, double n_positions)
{
    const size_t head = kv_slot_bytes(kind, config->n_embd / config->n_head, (size_t)n_positions);
    return (double)config->n_layer * (double)config->n_head * (double)head;
}

void kv_slots_lay_out(struct kv_cache *cache, struct kv_layout *layout, size_t n_heads,
                      const size_t slots[KV_N_CACHE_PARTS])
{
    struct kv_layout layer = {0};
    for (int part = 0; part < KV_N_CACHE_PARTS; part++)
        cache->codes[part] = kv_layout_add(&layer, n_heads, slots[part],
                                           kv_slot_code_bytes(cache->kind, cache->head_size, part));
    for (int part = 0; part < KV_N_CACHE_PARTS; part++)
        cache->scales[part] = kv_layout_add(&layer, n_heads, slots[part], kv_slot_scale_bytes(cache->kind, part));
    layout->overflow |= layer.overflow;
    cache->layer_stride = layer.bytes;
    cache->layers = kv_layout_add(layout, (size_t)cache->n_layer, layer.bytes, 1);
}

struct kv_slots kv_slots_of(const struct kv_cache *cache, int layer, size_t head, const size_t slots[KV_N_CACHE_PARTS])
{
    struct kv_slots of;
    char *base = cache->base + cache->layers + (size_t)layer * cache->layer_stride;
    for (int part = 0; part < KV_N_CACHE_PARTS; part++) {
        const size_t before = head * slots[part];
        of.codes[part] = base + cache->codes[part] + before * kv_slot_code_bytes(cache->kind, cache->head_size, part);
        of.scales[part] = (uint16_t *)(void *)(base + cache->scales[part]) + before;
    }
    return of;
}

/* The byte of the code of a dimension, among those of its place, and whether it is the upper half of it. */
INLINED size_t code_offset(enum kv_kept kept, int head_size, int part, int index, int dimension, bool *upper)
{
    if (part == KV_CACHE_VALUE) {
        *upper = kv_value_is_upper(kept, dimension);
        return (size_t)index * kv_value_bytes(kept, head_size) + kv_value_offset(kept, dimension);
    }
    /* Keys lie transposed, [dimension][KV_KEY_BLOCK positions] of a block: a vector of scores then grows by one product
     * a dimension, and no lanes have to be summed. The key of one position is a column. */
    const size_t block = (size_t)(index / KV_KEY_BLOCK), column = (size_t)(index % KV_KEY_BLOCK);
    const size_t row = (size_t)(kept == KV_KEPT_INT4 ? dimension / 2 : dimension);
    *upper = kept == KV_KEPT_INT4 && dimension % 2;
    return ((block * kv_key_rows(kept, head_size) + row) * KV_KEY_BLOCK + column) * kv_code_bytes(kept);
}

/* ---- Writing ------------------------------------------------------------------------------------------------- */

/* Where one key, value or centre goes. */
struct target {
    char *codes;
    uint16_t *scales;
    int part, slot;
    int head_size;
    const char *centres; /* of keys that lose theirs, or NULL */
    const uint16_t *centre_scales;
    int centre;
};

static inline struct target target_of(const struct kv_cache *cache, const struct kv_slots *slots, int part, int slot)
{
    return (struct target){
        .codes = slots->codes[part],
        .scales = slots->scales[part],
        .part = part,
        .slot = slot,
        .head_size = cache->head_size,
    };
}

/* The centre's element `dimension` number `index`. */
static inline float centre_at(const char *centres, const uint16_t *scales, int head_size, int index, int dimension)
{
    bool upper;
    const size_t offset = code_offset(KV_KEPT_INT8, head_size, KV_CACHE_CENTRE, index, dimension, &upper);
    return kv_code(KV_KEPT_INT8, centres + offset, upper) * kv_from_bfloat(scales[index]);
}

/* Of x, the dimensions from d on that become codes together, as they are turned into numbers; returns how many. */
INLINED int take_block(const struct target *to, bool rotated, const float *x, int d, float block[KV_MOST_ROTATED])
{
    const int n = kv_rotated_together(to->head_size - d);
    memcpy(block, x + d, (size_t)n * sizeof *x);
    if (rotated)
        kv_rotate_together(block, n);
    if (to->centres)
        for (int i = 0; i < n; i++)
            block[i] -= centre_at(to->centres, to->centre_scales, to->head_size, to->centre, d + i);
    return n;
}

/* bf16 */
INLINED uint16_t scale_for(enum kv_kept kept, const struct target *to, bool rotated, const float *x)
{
    float block[KV_MOST_ROTATED], most = 0, least = 0, not_finite = 0;
    for (int d = 0, n; d < to->head_size; d += n) {
        n = take_block(to, rotated, x, d, block);
        for (int i = 0; i < n; i++) {
            most = block[i] > most ? block[i] : most;
            least = block[i] < least ? block[i] : least;
            not_finite += block[i] * 0.0f;
        }
    }
    const bool below = -least > most;
    const float largest = below ? -least : most, steps = kept == KV_KEPT_INT4 ? 8 : 127;
    if (not_finite != 0)
        return kv_to_bfloat(NAN);
    if (largest < TINY_SCALE * steps)
        return 0;
    if (kept == KV_KEPT_INT4)
        return kv_to_bfloat(below ? largest / steps : -largest / steps);
    const uint16_t nearest = kv_to_bfloat(largest / steps);
    return (uint16_t)(nearest + (kv_from_bfloat(nearest) * steps < largest));
}

/* x, divided by its scale, as a code; the lower half of a byte is written first. */
INLINED void write_code(enum kv_kept kept, float x, char *code, bool upper)
{
    const float magic = 0x1.8p23f; /* rounds to a whole number */
    uint16_t half;
    switch (kept) {
    case KV_KEPT_BF16:
        half = kv_to_bfloat(x);
        memcpy(code, &half, sizeof half);
        break;
    case KV_KEPT_INT8:
        *code = (char)(int)(x + magic - magic);
        break;
    case KV_KEPT_INT4: {
        const int nibble = (int)((x < 7 ? x : 7) + magic - magic) & 15;
        *code = (char)(upper ? (*code & 15) | nibble << 4 : nibble);
        break;
    }
    default:
        memcpy(code, &x, sizeof x);
    }
}

INLINED void write(enum kv_kept kept, const struct target *to, bool rotated, const float *x)
{
    float block[KV_MOST_ROTATED], inverse = 1;
    if (kv_is_scaled(kept)) {
        const float scale = kv_from_bfloat(to->scales[to->slot] = scale_for(kept, to, rotated, x));
        inverse = scale != 0 && !isnan(scale) ? 1.0f / scale : 0;
    }
    for (int d = 0, n; d < to->head_size; d += n) {
        n = take_block(to, rotated, x, d, block);
        if (inverse == 0)
            memset(block, 0, sizeof block);
        for (int i = 0; i < n; i++) {
            bool upper;
            const size_t offset = code_offset(kept, to->head_size, to->part, to->slot, d + i, &upper);
            write_code(kept, kv_is_scaled(kept) ? block[i] * inverse : block[i], to->codes + offset, upper);
        }
    }
}

INLINED void write_keys(enum kv_kept kept, const struct kv_cache *cache, const struct kv_slots *slots,
                        struct kv_slot_run run, const float *keys, size_t stride)
{
    const bool rotated = kept == KV_KEPT_INT4;
    struct target key = target_of(cache, slots, KV_CACHE_KEY, run.slot);
    struct target centre = target_of(cache, slots, KV_CACHE_CENTRE, 0);
    if (kv_is_centred(kept)) {
        key.centres = centre.codes;
        key.centre_scales = centre.scales;
    }
    for (int i = 0; i < run.n; i++, key.slot++, keys += stride) {
        key.centre = centre.slot = run.centre + (run.phase + i) / KV_KEY_BLOCK;
        if (kv_is_centred(kept) && (run.phase + i) % KV_KEY_BLOCK == 0)
            write(KV_KEPT_INT8, &centre, rotated, keys);
        write(kept, &key, rotated, keys);
    }
}

INLINED void write_values(enum kv_kept kept, const struct kv_cache *cache, const struct kv_slots *slots,
                          struct kv_slot_run run, const float *values, size_t stride)
{
    struct target value = target_of(cache, slots, KV_CACHE_VALUE, run.slot);
    for (int i = 0; i < run.n; i++, value.slot++, values += stride)
        write(kept, &value, kept == KV_KEPT_INT4, values);
}

/* By type. */
#define WRITER(NAME, KEPT)                                                                                             \
    static void write_keys_##NAME(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_slot_run run,  \
                                  const float *keys, size_t stride)                                                    \
    {                                                                                                                  \
        write_keys(KEPT, cache, slots, run, keys, stride);                                                             \
    }                                                                                                                  \
    static void write_values_##NAME(const struct kv_cache *cache, const struct kv_slots *slots,                        \
                                    struct kv_slot_run run, const float *values, size_t stride)                        \
    {                                                                                                                  \
        write_values(KEPT, cache, slots, run, values, stride);                                                         \
    }
WRITER(f32, KV_KEPT_F32)
WRITER(bf16, KV_KEPT_BF16)
WRITER(int8, KV_KEPT_INT8)
WRITER(int4, KV_KEPT_INT4)
typedef void write_part(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_slot_run run,
                        const float *x, size_t stride);
static const struct {
    write_part *keys, *values;
} writers[KV_N_KEPT] = {
    [KV_KEPT_F32] = {write_keys_f32, write_values_f32},
    [KV_KEPT_BF16] = {write_keys_bf16, write_values_bf16},
    [KV_KEPT_INT8] = {write_keys_int8, write_values_int8},
    [KV_KEPT_INT4] = {write_keys_int4, write_values_int4},
};

void kv_slots_write(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_slot_run run,
                    const float *keys, const float *values, size_t stride)
{
    writers[cache->kind->keys].keys(cache, slots, run, keys, stride);
    writers[cache->kind->values].values(cache, slots, run, values, stride);
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

void kv_slots_show(const struct kv_cache *cache, const struct kv_slots *slots, struct kv_attention *attention)
{
    attention->keys = slots->codes[KV_CACHE_KEY];
    attention->values = slots->codes[KV_CACHE_VALUE];
    attention->centres = slots->codes[KV_CACHE_CENTRE];
    attention->key_scales = slots->scales[KV_CACHE_KEY];
    attention->value_scales = slots->scales[KV_CACHE_VALUE];
    attention->centre_scales = slots->scales[KV_CACHE_CENTRE];
    attention->values_kept = cache->kind->values;
}

/* Of int4, all dimensions that were rotated together are needed for one. */
float kv_slots_read(const struct kv_cache *cache, const struct kv_slots *slots, enum kv_cache_part part, int slot,
                    int centre, int dimension)
{
    const enum kv_kept kept = kept_of(cache->kind, (int)part);
    const float scale = kv_is_scaled(kept) ? kv_from_bfloat(slots->scales[part][slot]) : 1;
    float block[KV_MOST_ROTATED];
    int first = dimension, n = 1;
    if (kept == KV_KEPT_INT4)
        for (first = 0; first + (n = kv_rotated_together(cache->head_size - first)) <= dimension;)
            first += n;
    for (int i = 0; i < n; i++) {
        bool upper;
        const size_t offset = code_offset(kept, cache->head_size, (int)part, slot, first + i, &upper);
        block[i] = kv_code(kept, slots->codes[part] + offset, upper) * scale;
        if (kv_is_centred(kept) && part == KV_CACHE_KEY)
            block[i] += centre_at(slots->codes[KV_CACHE_CENTRE], slots->scales[KV_CACHE_CENTRE], cache->head_size,
                                  centre, first + i);
    }
    if (kept == KV_KEPT_INT4)
        kv_rotate_together(block, n);
    return block[dimension - first];
}

/* ---- Copying ------------------------------------------------------------------------------------------------- */

/* Where the column of that key or centre begins; its rows lie KV_KEY_BLOCK codes apart. */
static size_t column_offset(enum kv_kept kept, int head_size, int slot)
{
    const size_t block = (size_t)(slot / KV_KEY_BLOCK), column = (size_t)(slot % KV_KEY_BLOCK);
    return (block * kv_key_rows(kept, head_size) * KV_KEY_BLOCK + column) * kv_code_bytes(kept);
}

/* n columns of keys, which lie in one block on both sides; whole blocks are one piece. */
static void copy_columns(enum kv_kept kept, int head_size, const char *from, int slot, char *to, int to_slot, int n)
{
    const size_t row = KV_KEY_BLOCK * kv_code_bytes(kept), rows = kv_key_rows(kept, head_size);
    const size_t bytes = (size_t)n * kv_code_bytes(kept);
    from += column_offset(kept, head_size, slot);
    to += column_offset(kept, head_size, to_slot);
    if (bytes == row) {
        memcpy(to, from, rows * row);
        return;
    }
    for (size_t r = 0; r < rows; r++, from += row, to += row)
        memcpy(to, from, bytes);
}

static int to_block_end(int slot)
{
    return KV_KEY_BLOCK - slot % KV_KEY_BLOCK;
}

void kv_slots_copy(const struct kv_cache *cache, const struct kv_slots *from, int slot, const struct kv_slots *to,
                   int to_slot, int n)
{
    const struct kv_cache_kind *kind = cache->kind;
    const size_t value_bytes = kv_value_bytes(kind->values, cache->head_size);
    memcpy(to->codes[KV_CACHE_VALUE] + (size_t)to_slot * value_bytes,
           from->codes[KV_CACHE_VALUE] + (size_t)slot * value_bytes, (size_t)n * value_bytes);
    for (int part = KV_CACHE_KEY; part <= KV_CACHE_VALUE; part++)
        memcpy(to->scales[part] + to_slot, from->scales[part] + slot, (size_t)n * kv_slot_scale_bytes(kind, part));
    for (int i = 0, m; i < n; i += m) {
        const int left = to_block_end(slot + i), to_left = to_block_end(to_slot + i);
        m = n - i < left ? n - i : left;
        m = m < to_left ? m : to_left;
        copy_columns(kind->keys, cache->head_size, from->codes[KV_CACHE_KEY], slot + i, to->codes[KV_CACHE_KEY],
                     to_slot + i, m);
    }
}

void kv_slots_copy_centre(const struct kv_cache *cache, const struct kv_slots *from, int centre,
                          const struct kv_slots *to, int to_centre)
{
    if (!kv_is_centred(cache->kind->keys))
        return;
    copy_columns(KV_KEPT_INT8, cache->head_size, from->codes[KV_CACHE_CENTRE], centre, to->codes[KV_CACHE_CENTRE],
                 to_centre, 1);
    to->scales[KV_CACHE_CENTRE][to_centre] = from->scales[KV_CACHE_CENTRE][centre];
}
