/* Every sequence has room for all its positions, side by side: of one head its keys, values and scales as kernels/kept.h
 * has them. Heads follow each other, then sequences; a layer has all keys, all values, all
 * centres, then the scales of each.
 *
 * A key or value x [head_size] becomes codes when it is appended, and then stays. With largest = max |x_d|:
 *   int8   scale = largest / 127, rounded up to bf16;   code = x / scale, rounded to nearest
 *   int4   x is rotated; a key then loses the centre of its block, which is made of the block's first key as an int8 key
 *          of it is; scale = (the x_d that is largest in size) / -8, rounded to bf16, so that the side with the
 *          largest uses all 8 steps that it has;   code = x / scale, rounded to nearest, at most 7
 * Where x is not finite the scale is NaN, so that attention does not hide it; where scale is below TINY_SCALE, 0. */
#include "cache/cache.h"

#include <string.h>

#define TINY_SCALE 0x1p-100f
/* Beside KV_CACHE_KEY and KV_CACHE_VALUE: what the keys of a block have in common. */
enum { CENTRE = KV_CACHE_VALUE + 1, N_PARTS };
#define INLINED static inline __attribute__((always_inline))

/* ---- Where things are ---------------------------------------------------------------------------------------- */

/* The type of that part; what a centre is of, the type of keys. */
static enum kv_kept kept_of(const struct kv_cache_kind *kind, int part)
{
    return part == KV_CACHE_VALUE ? kind->values : kind->keys;
}

/* Bytes of a key, value or centre of one head, without its scale. */
static size_t code_bytes(const struct kv_cache_kind *kind, int head_size, int part)
{
    const enum kv_kept kept = kept_of(kind, part);
    if (part == CENTRE)
        return kv_is_centred(kept) ? kv_key_bytes(KV_KEPT_INT8, head_size) : 0;
    return part == KV_CACHE_KEY ? kv_key_bytes(kept, head_size) : kv_value_bytes(kept, head_size);
}

static size_t scale_bytes(const struct kv_cache_kind *kind, int part)
{
    const enum kv_kept kept = kept_of(kind, part);
    return part == CENTRE && !kv_is_centred(kept) ? 0 : kv_scale_bytes(kept);
}

/* Of that part of a layer, how many there are for n positions of a head. */
static size_t count(size_t n, int part)
{
    return part == CENTRE ? (n + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK : n;
}

/* Those that there is room for: whole blocks. */
static size_t capacity_of(const struct kv_cache *cache, int part)
{
    return (count((size_t)cache->capacity, part) + KV_KEY_BLOCK - 1) / KV_KEY_BLOCK * KV_KEY_BLOCK;
}

/* Bytes of n positions of a head. */
static size_t head_bytes(const struct kv_cache_kind *kind, int head_size, size_t n)
{
    size_t sum = 0;
    for (int part = 0; part < N_PARTS; part++)
        sum += count(n, part) * (code_bytes(kind, head_size, part) + scale_bytes(kind, part));
    return sum;
}

static double bytes(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                    const struct kv_config *config, double n_positions)
{
    (void)numbers;
    const size_t head = head_bytes(kind, config->n_embd / config->n_head, (size_t)n_positions);
    return (double)config->n_layer * (double)config->n_head * (double)head;
}

static void lay_out(struct kv_cache *cache, struct kv_layout *layout)
{
    const struct kv_cache_kind *kind = cache->kind;
    const size_t n_heads = (size_t)cache->batch * (size_t)cache->n_kv_head;
    struct kv_layout layer = {0};
    for (int part = 0; part < N_PARTS; part++)
        cache->codes[part] = kv_layout_add(&layer, n_heads, capacity_of(cache, part),
                                           code_bytes(kind, cache->head_size, part));
    for (int part = 0; part < N_PARTS; part++)
        cache->scales[part] = kv_layout_add(&layer, n_heads, capacity_of(cache, part), scale_bytes(kind, part));
    layout->overflow |= layer.overflow;
    cache->layer_stride = layer.bytes;
    cache->layers = kv_layout_add(layout, (size_t)cache->n_layer, layer.bytes, 1);
}

static size_t live_bytes(const struct kv_cache *cache)
{
    size_t sum = 0;
    for (int b = 0; b < cache->batch; b++)
        sum += head_bytes(cache->kind, cache->head_size, (size_t)cache->lengths[b]);
    return (size_t)cache->n_layer * (size_t)cache->n_kv_head * sum;
}

static size_t reserved_bytes(const struct kv_cache *cache)
{
    const struct kv_cache_kind *kind = cache->kind;
    size_t head = 0;
    for (int part = 0; part < N_PARTS; part++)
        head += capacity_of(cache, part) * (code_bytes(kind, cache->head_size, part) + scale_bytes(kind, part));
    return (size_t)cache->n_layer * (size_t)cache->batch * (size_t)cache->n_kv_head * head;
}

/* How many of that part there are in a layer before those of that place. */
static size_t before(const struct kv_cache *cache, struct kv_cache_place place, int part)
{
    return ((size_t)place.sequence * (size_t)cache->n_kv_head + (size_t)place.head) * capacity_of(cache, part);
}

/* The first ones of that place. */
static char *codes_of(const struct kv_cache *cache, struct kv_cache_place place, int part)
{
    return cache->base + cache->layers + (size_t)place.layer * cache->layer_stride + cache->codes[part] +
           before(cache, place, part) * code_bytes(cache->kind, cache->head_size, part);
}

static uint16_t *scales_of(const struct kv_cache *cache, struct kv_cache_place place, int part)
{
    char *scales = cache->base + cache->layers + (size_t)place.layer * cache->layer_stride + cache->scales[part];
    return (uint16_t *)(void *)scales + before(cache, place, part);
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
    int part, index;
    int head_size;
    const char *centres; /* of keys that lose theirs, or NULL */
    const uint16_t *centre_scales;
};

static inline struct target target_of(const struct kv_cache *cache, struct kv_cache_place place, int part, int index)
{
    return (struct target){
        .codes = codes_of(cache, place, part),
        .scales = scales_of(cache, place, part),
        .part = part,
        .index = index,
        .head_size = cache->head_size,
    };
}

/* The centre's element `dimension` of block `index`. */
static inline float centre_at(const char *centres, const uint16_t *scales, int head_size, int index, int dimension)
{
    bool upper;
    const size_t offset = code_offset(KV_KEPT_INT8, head_size, CENTRE, index, dimension, &upper);
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
            block[i] -= centre_at(to->centres, to->centre_scales, to->head_size, to->index / KV_KEY_BLOCK, d + i);
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
        const float scale = kv_from_bfloat(to->scales[to->index] = scale_for(kept, to, rotated, x));
        inverse = scale != 0 && !isnan(scale) ? 1.0f / scale : 0;
    }
    for (int d = 0, n; d < to->head_size; d += n) {
        n = take_block(to, rotated, x, d, block);
        if (inverse == 0)
            memset(block, 0, sizeof block);
        for (int i = 0; i < n; i++) {
            bool upper;
            const size_t offset = code_offset(kept, to->head_size, to->part, to->index, d + i, &upper);
            write_code(kept, kv_is_scaled(kept) ? block[i] * inverse : block[i], to->codes + offset, upper);
        }
    }
}

INLINED void append_keys(enum kv_kept kept, const struct kv_cache *cache, struct kv_cache_place place, int n,
                         const float *keys, size_t stride)
{
    const bool rotated = kept == KV_KEPT_INT4;
    struct target key = target_of(cache, place, KV_CACHE_KEY, cache->lengths[place.sequence]);
    struct target centre = target_of(cache, place, CENTRE, 0);
    if (kv_is_centred(kept)) {
        key.centres = centre.codes;
        key.centre_scales = centre.scales;
    }
    for (int i = 0; i < n; i++, key.index++, keys += stride) {
        centre.index = key.index / KV_KEY_BLOCK;
        if (kv_is_centred(kept) && key.index % KV_KEY_BLOCK == 0)
            write(KV_KEPT_INT8, &centre, rotated, keys);
        write(kept, &key, rotated, keys);
    }
}

INLINED void append_values(enum kv_kept kept, const struct kv_cache *cache, struct kv_cache_place place, int n,
                           const float *values, size_t stride)
{
    struct target value = target_of(cache, place, KV_CACHE_VALUE, cache->lengths[place.sequence]);
    for (int i = 0; i < n; i++, value.index++, values += stride)
        write(kept, &value, kept == KV_KEPT_INT4, values);
}

/* By type. */
#define WRITER(NAME, KEPT)                                                                                             \
    static void append_keys_##NAME(const struct kv_cache *cache, struct kv_cache_place place, int n,                   \
                                   const float *keys, size_t stride)                                                   \
    {                                                                                                                  \
        append_keys(KEPT, cache, place, n, keys, stride);                                                              \
    }                                                                                                                  \
    static void append_values_##NAME(const struct kv_cache *cache, struct kv_cache_place place, int n,                 \
                                     const float *values, size_t stride)                                               \
    {                                                                                                                  \
        append_values(KEPT, cache, place, n, values, stride);                                                          \
    }
WRITER(f32, KV_KEPT_F32)
WRITER(bf16, KV_KEPT_BF16)
WRITER(int8, KV_KEPT_INT8)
WRITER(int4, KV_KEPT_INT4)
typedef void append_part(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *x,
                         size_t stride);
static const struct {
    append_part *keys, *values;
} writers[KV_N_KEPT] = {
    [KV_KEPT_F32] = {append_keys_f32, append_values_f32},
    [KV_KEPT_BF16] = {append_keys_bf16, append_values_bf16},
    [KV_KEPT_INT8] = {append_keys_int8, append_values_int8},
    [KV_KEPT_INT4] = {append_keys_int4, append_values_int4},
};

static void append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                   const float *values, size_t stride)
{
    writers[cache->kind->keys].keys(cache, place, n, keys, stride);
    writers[cache->kind->values].values(cache, place, n, values, stride);
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

static void attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention)
{
    attention->keys = codes_of(cache, place, KV_CACHE_KEY);
    attention->values = codes_of(cache, place, KV_CACHE_VALUE);
    attention->centres = codes_of(cache, place, CENTRE);
    attention->key_scales = scales_of(cache, place, KV_CACHE_KEY);
    attention->value_scales = scales_of(cache, place, KV_CACHE_VALUE);
    attention->centre_scales = scales_of(cache, place, CENTRE);
    attention->values_kept = cache->kind->values;
    attention->next = (size_t)cache->capacity;
    kernels->attention[cache->kind->keys](attention);
}

/* Of int4, all dimensions that were rotated together are needed for one. */
static float read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                  int dimension)
{
    const enum kv_kept kept = kept_of(cache->kind, (int)part);
    const struct target at = target_of(cache, place, (int)part, position), centre = target_of(cache, place, CENTRE, 0);
    const float scale = kv_is_scaled(kept) ? kv_from_bfloat(at.scales[position]) : 1;
    float block[KV_MOST_ROTATED];
    int first = dimension, n = 1;
    if (kept == KV_KEPT_INT4)
        for (first = 0; first + (n = kv_rotated_together(cache->head_size - first)) <= dimension;)
            first += n;
    for (int i = 0; i < n; i++) {
        bool upper;
        const size_t offset = code_offset(kept, cache->head_size, at.part, position, first + i, &upper);
        block[i] = kv_code(kept, at.codes + offset, upper) * scale;
        if (kv_is_centred(kept) && part == KV_CACHE_KEY)
            block[i] += centre_at(centre.codes, centre.scales, cache->head_size, position / KV_KEY_BLOCK, first + i);
    }
    if (kept == KV_KEPT_INT4)
        kv_rotate_together(block, n);
    return block[dimension - first];
}

/* All heads of a sequence lie side by side. */
static void copy(const struct kv_cache *cache, int from, int to)
{
    for (int layer = 0; layer < cache->n_layer; layer++)
        for (int part = 0; part < N_PARTS; part++) {
            const struct kv_cache_place source = {layer, from, 0}, target = {layer, to, 0};
            const size_t n = (size_t)cache->n_kv_head * capacity_of(cache, part);
            memcpy(codes_of(cache, target, part), codes_of(cache, source, part),
                   n * code_bytes(cache->kind, cache->head_size, part));
            memcpy(scales_of(cache, target, part), scales_of(cache, source, part), n * scale_bytes(cache->kind, part));
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
        .live_bytes = live_bytes,                                                                                      \
        .reserved_bytes = reserved_bytes,                                                                              \
        .append = append,                                                                                              \
        .attend = attend,                                                                                              \
        .read = read,                                                                                                  \
        .copy = copy,                                                                                                  \
        .truncate = truncate,                                                                                          \
    }
#define KINDS(KEYS)                                                                                                    \
    KIND(KEYS, KV_KEPT_F32), KIND(KEYS, KV_KEPT_BF16), KIND(KEYS, KV_KEPT_INT8), KIND(KEYS, KV_KEPT_INT4)
const struct kv_cache_kind kv_cache_contiguous[KV_N_KEPT * KV_N_KEPT] = {
    KINDS(KV_KEPT_F32),
    KINDS(KV_KEPT_BF16),
    KINDS(KV_KEPT_INT8),
    KINDS(KV_KEPT_INT4),
};
