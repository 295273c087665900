/* Merges one piece: its symbols are a linked list, the pairs that can merge a heap.
 *
 * GPT-2 merges every occurrence of the best pair, left to right, then looks for the next best. Taking the best pair
 * one at a time, leftmost first, does the same: a merge only makes pairs of a worse rank, since no merge is listed
 * before those that make its two sides (kv_vocab_load checks that). */
#include "base/error.h"
#include "text/tokenizer.h"

#include <stdlib.h>

#define NOWHERE UINT32_MAX

struct kv_merge_symbol {
    int32_t id; /* -1: merged into the symbol before it */
    uint32_t previous, next;
};

/* Fibonacci hashing: the high bits of a product depend on all bits of the pair. */
static uint32_t first_slot(uint32_t pair)
{
    return (pair * UINT32_C(2654435769)) >> (32 - KV_PAIR_SLOT_BITS);
}

static uint32_t pair_of(int32_t left, int32_t right)
{
    return (uint32_t)left << 16 | (uint32_t)right;
}

int32_t kv_pair_find(const struct kv_pair_slot *pairs, int32_t left, int32_t right)
{
    const uint32_t pair = pair_of(left, right);
    uint32_t slot = first_slot(pair);
    while (pairs[slot].merged && pairs[slot].pair != pair)
        slot = (slot + 1) % KV_PAIR_SLOTS;
    return pairs[slot].merged;
}

void kv_pair_add(struct kv_pair_slot *pairs, int32_t left, int32_t right, int32_t merged)
{
    const uint32_t pair = pair_of(left, right);
    uint32_t slot = first_slot(pair);
    while (pairs[slot].merged)
        slot = (slot + 1) % KV_PAIR_SLOTS;
    pairs[slot] = (struct kv_pair_slot){pair, merged};
}

void kv_merger_free(struct kv_merger *merger)
{
    free(merger->symbols);
    free(merger->heap);
    *merger = (struct kv_merger){0};
}

static kv_status make_room(struct kv_merger *merger, size_t n_bytes, struct kv_error *error)
{
    merger->n_heap = 0;
    if (n_bytes <= merger->capacity)
        return KV_OK;
    const size_t capacity = n_bytes < 64 ? 64 : n_bytes + n_bytes / 2;
    kv_merger_free(merger);
    merger->symbols = calloc(capacity, sizeof *merger->symbols);
    /* n - 1 pairs at first; a merge takes one out and puts at most two in. */
    merger->heap = calloc(capacity, 2 * sizeof *merger->heap);
    if (!merger->symbols || !merger->heap) {
        kv_merger_free(merger);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to merge a word of %zu bytes; encode less text at once",
                       n_bytes);
    }
    merger->capacity = capacity;
    return KV_OK;
}

/* A key orders by what the pair merges into, that is by rank, then by position. */
static void heap_push(struct kv_merger *merger, uint64_t key)
{
    size_t at = merger->n_heap++;
    for (; at && merger->heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        merger->heap[at] = merger->heap[(at - 1) / 2];
    merger->heap[at] = key;
}

static uint64_t heap_pop(struct kv_merger *merger)
{
    const uint64_t top = merger->heap[0], last = merger->heap[--merger->n_heap];
    size_t at = 0;
    for (size_t child = 1; child < merger->n_heap; child = 2 * at + 1) {
        if (child + 1 < merger->n_heap && merger->heap[child + 1] < merger->heap[child])
            child++;
        if (merger->heap[child] >= last)
            break;
        merger->heap[at] = merger->heap[child];
        at = child;
    }
    merger->heap[at] = last;
    return top;
}

/* What the symbol at `position` and the one behind it merge into, 0: nothing. */
static int32_t merged_at(const struct kv_tokenizer *tokenizer, const struct kv_merger *merger, uint32_t position)
{
    const struct kv_merge_symbol *symbol = &merger->symbols[position];
    if (symbol->id < 0 || symbol->next == NOWHERE)
        return 0;
    return kv_pair_find(tokenizer->pairs, symbol->id, merger->symbols[symbol->next].id);
}

static void push_pair(const struct kv_tokenizer *tokenizer, struct kv_merger *merger, uint32_t position)
{
    const int32_t merged = merged_at(tokenizer, merger, position);
    if (merged)
        heap_push(merger, (uint64_t)merged << 32 | position);
}

static void merge_at(struct kv_merger *merger, uint32_t position, int32_t merged)
{
    struct kv_merge_symbol *left = &merger->symbols[position], *right = &merger->symbols[left->next];
    left->id = merged;
    left->next = right->next;
    if (right->next != NOWHERE)
        merger->symbols[right->next].previous = position;
    right->id = -1;
}

kv_status kv_bpe_encode(const struct kv_tokenizer *tokenizer, struct kv_merger *merger, const uint8_t *piece,
                        size_t n_bytes, int32_t *ids, size_t *n_ids, struct kv_error *error)
{
    const kv_status status = make_room(merger, n_bytes, error);
    if (status)
        return status;
    const uint32_t n = (uint32_t)n_bytes;
    for (uint32_t i = 0; i < n; i++)
        merger->symbols[i] = (struct kv_merge_symbol){
            .id = tokenizer->byte_ids[piece[i]],
            .previous = i ? i - 1 : NOWHERE,
            .next = i + 1 < n ? i + 1 : NOWHERE,
        };
    for (uint32_t i = 0; i < n; i++)
        push_pair(tokenizer, merger, i);
    while (merger->n_heap) {
        const uint64_t key = heap_pop(merger);
        const uint32_t position = (uint32_t)key;
        const int32_t merged = (int32_t)(key >> 32);
        /* A pair whose neighbour has meanwhile merged elsewhere is no longer there. */
        if (merged_at(tokenizer, merger, position) != merged)
            continue;
        merge_at(merger, position, merged);
        push_pair(tokenizer, merger, position);
        if (merger->symbols[position].previous != NOWHERE)
            push_pair(tokenizer, merger, merger->symbols[position].previous);
    }
    *n_ids = 0;
    for (uint32_t i = 0; i != NOWHERE; i = merger->symbols[i].next)
        ids[(*n_ids)++] = merger->symbols[i].id;
    return KV_OK;
}
