/* A pool of blocks of N positions, which sequences take as they grow: a table a sequence says which. Blocks count who has
 * them, so that sequences share what they have in common; one that is to be written behind what others see is copied
 * first (Kwon et al. 2023, "PagedAttention").
 *
 * The pool has the slots of cache/slots.h, as if all its blocks were one long sequence; a layer and head, and with them
 * all of it, use the same table. Its entries are of what never lies apart: where N is a multiple of KV_KEY_BLOCK
 * of so many positions, which attention reads where they are; else of N, and attention reads a copy in the order of the
 * positions. A centre is in the block that has the first of its positions, so a block has ceil(N / KV_KEY_BLOCK) of
 * them. */
#include "cache/slots.h"

#include <string.h>

struct block {
    int32_t users;  /* sequences, and whoever else holds it */
    int32_t filled; /* positions in it, and how many stand before it in its sequence */
    int32_t first;
    int32_t at; /* of one that nobody has, its place among them */
};

static int ceil_of(int n, int d)
{
    return (n + d - 1) / d;
}

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* ---- Where things are ---------------------------------------------------------------------------------------- */

static int size_of(const struct kv_cache *cache)
{
    return cache->numbers[0];
}

static bool in_place(const struct kv_cache *cache)
{
    return size_of(cache) % KV_KEY_BLOCK == 0;
}

/* Positions that an entry of the table is of. */
static int unit_of(const struct kv_cache *cache)
{
    return in_place(cache) ? KV_KEY_BLOCK : size_of(cache);
}

static int32_t *table_of(const struct kv_cache *cache, int sequence)
{
    int32_t *table = (int32_t *)(void *)(cache->pages.base + cache->pages.table);
    return table + (size_t)sequence * (size_t)cache->pages.n_entries;
}

static int32_t *held_of(const struct kv_cache *cache, int sequence)
{
    return (int32_t *)(void *)(cache->pages.base + cache->pages.held) + sequence;
}

static struct block *block_at(const struct kv_cache *cache, int block)
{
    return (struct block *)(void *)(cache->pages.base + cache->pages.blocks) + block;
}

static int32_t *free_blocks(const struct kv_cache *cache)
{
    return (int32_t *)(void *)(cache->pages.base + cache->pages.free);
}

/* The index-th block of a sequence. */
static int block_of(const struct kv_cache *cache, int sequence, int index)
{
    const int units = size_of(cache) / unit_of(cache);
    return table_of(cache, sequence)[index * units] / units;
}

static void set_block(const struct kv_cache *cache, int sequence, int index, int block)
{
    const int units = size_of(cache) / unit_of(cache);
    for (int i = 0; i < units; i++)
        table_of(cache, sequence)[index * units + i] = block * units + i;
}

static int slot_of(const struct kv_cache *cache, int sequence, int position)
{
    const int unit = unit_of(cache);
    return table_of(cache, sequence)[position / unit] * unit + position % unit;
}

static int centre_of(const struct kv_cache *cache, int sequence, int position)
{
    const int first = position / KV_KEY_BLOCK * KV_KEY_BLOCK, size = size_of(cache);
    return block_of(cache, sequence, first / size) * ceil_of(size, KV_KEY_BLOCK) + first % size / KV_KEY_BLOCK;
}

/* Positions from this one on, `most` at most, that lie in one block of the pool and have one centre. */
static int run_length(const struct kv_cache *cache, int position, int most)
{
    const int in_block = size_of(cache) - position % size_of(cache);
    return smaller(most, smaller(in_block, KV_KEY_BLOCK - position % KV_KEY_BLOCK));
}

struct room {
    size_t slots[KV_N_CACHE_PARTS];
};

static struct room room_of(const struct kv_cache *cache)
{
    const int n = cache->pages.n_blocks;
    const size_t slots = (size_t)kv_round_to_key_block(n * size_of(cache));
    return (struct room){{slots, slots, (size_t)kv_round_to_key_block(n * ceil_of(size_of(cache), KV_KEY_BLOCK))}};
}

static struct kv_slots slots_of(const struct kv_cache *cache, int layer, int head)
{
    return kv_slots_of(cache, layer, (size_t)head, room_of(cache).slots);
}

/* Where attention reads a copy: that of one head, in a thread's scratch. */
static size_t place_copy(const struct kv_cache *cache, float *scratch, struct kv_slots *copy)
{
    const size_t n = (size_t)kv_round_to_key_block(cache->capacity);
    size_t bytes = 0;
    for (int part = 0; part < KV_N_CACHE_PARTS; part++) {
        const size_t slots = part == KV_CACHE_CENTRE ? (size_t)kv_round_to_key_block((int)n / KV_KEY_BLOCK) : n;
        if (copy) {
            copy->codes[part] = (char *)scratch + bytes;
            copy->scales[part] = (uint16_t *)(void *)(copy->codes[part] +
                                                      slots * kv_slot_code_bytes(cache->kind, cache->head_size, part));
        }
        bytes += slots *
                 (kv_slot_code_bytes(cache->kind, cache->head_size, part) + kv_slot_scale_bytes(cache->kind, part));
    }
    return bytes;
}

/* ---- Memory -------------------------------------------------------------------------------------------------- */

static double bytes(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                    const struct kv_config *config, double n_positions)
{
    (void)numbers;
    return kv_slot_model_bytes(kind, config, n_positions);
}

static void lay_out(struct kv_cache *cache, struct kv_layout *layout)
{
    const int size = size_of(cache), units = size / unit_of(cache);
    struct kv_cache_pages *pages = &cache->pages;
    const size_t before = layout->bytes;
    const long all = (long)cache->batch * ceil_of(cache->capacity, size);
    const long asked = ((long)cache->pool + size - 1) / size;
    const long n = cache->pool ? asked : all;
    layout->overflow |= n * size > INT32_MAX / 2;
    pages->n_blocks = layout->overflow ? 1 : (int)n;
    pages->n_entries = kv_round_to_key_block(ceil_of(cache->capacity, size) * units) + KV_KEY_BLOCK;
    pages->table = kv_layout_add(layout, (size_t)cache->batch, (size_t)pages->n_entries, sizeof(int32_t));
    pages->held = kv_layout_add(layout, (size_t)cache->batch, 1, sizeof(int32_t));
    pages->free = kv_layout_add(layout, (size_t)pages->n_blocks, 1, sizeof(int32_t));
    pages->blocks = kv_layout_add(layout, (size_t)pages->n_blocks, 1, sizeof(struct block));
    kv_slots_lay_out(cache, layout, (size_t)cache->n_kv_head, room_of(cache).slots);
    pages->bytes = layout->bytes - before;
    cache->scratch = kv_attention_scratch(cache->head_size);
    if (!in_place(cache))
        cache->scratch += (place_copy(cache, NULL, NULL) + sizeof(float) - 1) / sizeof(float);
}

static void put_back(struct kv_cache *cache, int block)
{
    block_at(cache, block)->at = cache->pages.n_free;
    free_blocks(cache)[cache->pages.n_free++] = block;
}

static void start(struct kv_cache *cache)
{
    struct kv_cache_pages *pages = &cache->pages;
    memset(cache->lengths, 0, (size_t)cache->batch * sizeof *cache->lengths);
    memset(table_of(cache, 0), 0, (size_t)cache->batch * (size_t)pages->n_entries * sizeof(int32_t));
    memset(held_of(cache, 0), 0, (size_t)cache->batch * sizeof(int32_t));
    memset(block_at(cache, 0), 0, (size_t)pages->n_blocks * sizeof(struct block));
    for (pages->n_free = 0; pages->n_free < pages->n_blocks;)
        put_back(cache, pages->n_blocks - 1 - pages->n_free);
}

/* Every block once, however many have it. */
static size_t live_bytes(const struct kv_cache *cache)
{
    const struct kv_cache_kind *kind = cache->kind;
    const size_t centre_bytes = kv_slot_code_bytes(kind, cache->head_size, KV_CACHE_CENTRE) +
                                kv_slot_scale_bytes(kind, KV_CACHE_CENTRE);
    const size_t bytes_of_one = kv_slot_bytes(kind, cache->head_size, 1) - centre_bytes;
    size_t n = 0, n_centres = 0;
    for (int i = 0; i < cache->pages.n_blocks; i++) {
        const struct block *block = block_at(cache, i);
        if (!block->users)
            continue;
        n += (size_t)block->filled;
        n_centres += (size_t)(ceil_of(block->first + block->filled, KV_KEY_BLOCK) -
                              ceil_of(block->first, KV_KEY_BLOCK));
    }
    return (size_t)cache->n_layer * (size_t)cache->n_kv_head * (n * bytes_of_one + n_centres * centre_bytes);
}

static size_t reserved_bytes(const struct kv_cache *cache)
{
    return cache->pages.bytes;
}

/* ---- The pool ------------------------------------------------------------------------------------------------ */

static void release(struct kv_cache *cache, int block)
{
    if (--block_at(cache, block)->users == 0)
        put_back(cache, block);
}

/* The block `wanted`, when nobody has it, or else any. */
static int take(struct kv_cache *cache, int wanted, int first)
{
    int32_t *free = free_blocks(cache);
    const int last = free[--cache->pages.n_free];
    const bool is_free = wanted < cache->pages.n_blocks && block_at(cache, wanted)->users == 0;
    const int block = is_free ? wanted : last;
    const int at = block_at(cache, block)->at;
    free[at] = last; /* in the place of the one that goes */
    block_at(cache, last)->at = at;
    *block_at(cache, block) = (struct block){.users = 1, .first = first};
    return block;
}

/* Takes the next block of a sequence: the one behind its last, or of the sequence's own part of the pool the first, so
 * that blocks lie one behind the other as long as there is room. Attention then runs as in a contiguous cache. */
static void grow(struct kv_cache *cache, int sequence)
{
    const int index = (*held_of(cache, sequence))++;
    const int first = (int)((long)cache->pages.n_blocks * sequence / cache->batch);
    const int wanted = index ? block_of(cache, sequence, index - 1) + 1 : first;
    set_block(cache, sequence, index, take(cache, wanted, index * size_of(cache)));
}

static void truncate(struct kv_cache *cache, int sequence, int length)
{
    const int size = size_of(cache);
    int32_t *held = held_of(cache, sequence);
    while (*held > ceil_of(length, size))
        release(cache, block_of(cache, sequence, --*held));
    if (length % size && *held) {
        struct block *last = block_at(cache, block_of(cache, sequence, *held - 1));
        last->filled = last->users == 1 ? length % size : last->filled;
    }
    cache->lengths[sequence] = length;
}

/* The first n positions of a block, in all layers and heads. */
static void copy_block(const struct kv_cache *cache, int from, int to, int n)
{
    const int size = size_of(cache), n_centres = ceil_of(size, KV_KEY_BLOCK), first = block_at(cache, from)->first;
    for (int layer = 0; layer < cache->n_layer; layer++)
        for (int head = 0; head < cache->n_kv_head; head++) {
            const struct kv_slots slots = slots_of(cache, layer, head);
            kv_slots_copy(cache, &slots, from * size, &slots, to * size, n);
            for (int t = kv_round_to_key_block(first); t < first + n; t += KV_KEY_BLOCK) {
                const int centre = (t - first) / KV_KEY_BLOCK;
                kv_slots_copy_centre(cache, &slots, from * n_centres + centre, &slots, to * n_centres + centre);
            }
        }
}

/* The block that the sequence's next position goes into, when it has that and others have it, too; -1: none. */
static int shared_end(const struct kv_cache *cache, int sequence, int length)
{
    const int size = size_of(cache);
    if (length % size == 0)
        return -1;
    const int block = block_of(cache, sequence, length / size);
    return block_at(cache, block)->users > 1 ? block : -1;
}

static long wants(const struct kv_cache *cache, int sequence, int kept, int length)
{
    const int size = size_of(cache), n_kept = ceil_of(kept, size);
    long n = ceil_of(length, size) - n_kept + (length > kept && shared_end(cache, sequence, kept) >= 0);
    for (int i = n_kept; i < *held_of(cache, sequence); i++)
        n -= block_at(cache, block_of(cache, sequence, i))->users == 1;
    return n;
}

/* Notes how full the blocks of positions [from, to) become. */
static void fill(const struct kv_cache *cache, int sequence, int from, int to)
{
    const int size = size_of(cache);
    for (int i = from / size; i < ceil_of(to, size); i++)
        block_at(cache, block_of(cache, sequence, i))->filled = smaller(size, to - i * size);
}

/* Sequences take turns, a block each, so that none takes what another one would want. */
static void reserve(struct kv_cache *cache, const int *lengths)
{
    const int size = size_of(cache);
    bool more = true;
    for (int b = 0; b < cache->batch; b++) {
        const int length = cache->lengths[b], old = lengths[b] > length ? shared_end(cache, b, length) : -1;
        if (old < 0)
            continue;
        const int block = take(cache, old + 1, block_at(cache, old)->first);
        copy_block(cache, old, block, length % size);
        release(cache, old);
        set_block(cache, b, length / size, block);
    }
    for (int n = 1; more; n++) {
        more = false;
        for (int b = 0; b < cache->batch; b++) {
            const int wanted = ceil_of(lengths[b], size);
            if (*held_of(cache, b) < smaller(n, wanted))
                grow(cache, b);
            more |= *held_of(cache, b) < wanted;
        }
    }
    for (int b = 0; b < cache->batch; b++)
        if (lengths[b] > cache->lengths[b])
            fill(cache, b, cache->lengths[b], lengths[b]);
}

static void copy(const struct kv_cache *cache, int from, int to)
{
    const int length = cache->lengths[from], size = size_of(cache);
    for (int i = 0; i < ceil_of(length, size); i++)
        copy_block(cache, block_of(cache, from, i), block_of(cache, to, i), smaller(size, length - i * size));
}

static void share(struct kv_cache *cache, int from, int to)
{
    const int n = *held_of(cache, from);
    truncate(cache, to, 0);
    for (int i = 0; i < n; i++) {
        const int block = block_of(cache, from, i);
        block_at(cache, block)->users++;
        set_block(cache, to, i, block);
    }
    *held_of(cache, to) = n;
}

static int hold(struct kv_cache *cache, int sequence, int index)
{
    const int block = block_of(cache, sequence, index);
    block_at(cache, block)->users++;
    return block;
}

static void give(struct kv_cache *cache, int sequence, int block)
{
    const int index = (*held_of(cache, sequence))++;
    block_at(cache, block)->users++;
    set_block(cache, sequence, index, block);
    cache->lengths[sequence] = *held_of(cache, sequence) * size_of(cache);
}

/* ---- Keys and values ----------------------------------------------------------------------------------------- */

static void append(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                   const float *values, size_t stride)
{
    const struct kv_slots slots = slots_of(cache, place.layer, place.head);
    const int first = cache->lengths[place.sequence];
    for (int i = 0, m; i < n; i += m) {
        const int position = first + i;
        m = run_length(cache, position, n - i);
        const struct kv_slot_run run = {.slot = slot_of(cache, place.sequence, position),
                                        .phase = position % KV_KEY_BLOCK,
                                        .centre = centre_of(cache, place.sequence, position),
                                        .n = m};
        kv_slots_write(cache, &slots, run, keys + (size_t)i * stride, values + (size_t)i * stride, stride);
    }
}

/* Positions [begin, end) in their order, in the thread's scratch. */
static struct kv_slots gather(const struct kv_cache *cache, struct kv_cache_place place, float *scratch, int begin,
                              int end)
{
    const struct kv_slots slots = slots_of(cache, place.layer, place.head);
    struct kv_slots copy;
    place_copy(cache, scratch, &copy);
    for (int t = begin, n; t < end; t += n) {
        n = run_length(cache, t, end - t);
        kv_slots_copy(cache, &slots, slot_of(cache, place.sequence, t), &copy, t, n);
        if (t % KV_KEY_BLOCK == 0)
            kv_slots_copy_centre(cache, &slots, centre_of(cache, place.sequence, t), &copy, t / KV_KEY_BLOCK);
    }
    return copy;
}

static void attend(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention)
{
    if (in_place(cache)) {
        const struct kv_slots slots = slots_of(cache, place.layer, place.head);
        const bool last = place.head == cache->n_kv_head - 1, ends = last && place.sequence == cache->batch - 1;
        const size_t head_slots = room_of(cache).slots[KV_CACHE_KEY];
        kv_slots_show(cache, &slots, attention);
        attention->places = table_of(cache, place.sequence);
        attention->next_places = ends ? NULL : table_of(cache, place.sequence + last);
        attention->next = last ? (size_t)0 - (size_t)place.head * head_slots : head_slots; /* back to head 0 */
    } else {
        const int end = attention->first_position + attention->n_queries;
        const int begin = attention->partial ? attention->part * KV_ATTENTION_PART : 0;
        const struct kv_slots copy = gather(cache, place, attention->scratch + kv_attention_scratch(cache->head_size),
                                            begin, attention->partial ? smaller(end, begin + KV_ATTENTION_PART) : end);
        kv_slots_show(cache, &copy, attention);
        attention->next = 0;
    }
    kernels->attention[cache->kind->keys](attention);
}

static float read(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                  int dimension)
{
    const struct kv_slots slots = slots_of(cache, place.layer, place.head);
    return kv_slots_read(cache, &slots, part, slot_of(cache, place.sequence, position),
                         centre_of(cache, place.sequence, position), dimension);
}

/* ---- By types ------------------------------------------------------------------------------------------------ */

#define KIND(KEYS, VALUES)                                                                                             \
    [KV_CACHE_TYPES(KEYS, VALUES)] = {                                                                                 \
        .cache = {"paged:16", "blocks of so many positions out of a pool, shared until they differ"},                  \
        .keys = KEYS,                                                                                                  \
        .values = VALUES,                                                                                              \
        .ranges = {{1, 256}},                                                                                          \
        .bytes = bytes,                                                                                                \
        .lay_out = lay_out,                                                                                            \
        .start = start,                                                                                                \
        .wants = wants,                                                                                                \
        .reserve = reserve,                                                                                            \
        .live_bytes = live_bytes,                                                                                      \
        .reserved_bytes = reserved_bytes,                                                                              \
        .append = append,                                                                                              \
        .attend = attend,                                                                                              \
        .read = read,                                                                                                  \
        .copy = copy,                                                                                                  \
        .share = share,                                                                                                \
        .hold = hold,                                                                                                  \
        .give = give,                                                                                                  \
        .let_go = release,                                                                                             \
        .truncate = truncate,                                                                                          \
    }
const struct kv_cache_kind kv_cache_paged[KV_N_KEPT * KV_N_KEPT] = KV_SLOT_KINDS(KIND);
