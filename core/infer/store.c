/* The tree of blocks: a node a block, found by a hash of its parent and its tokens. */
#include "base/error.h"
#include "cache/slots.h"
#include "infer/infer.h"

#include <stdlib.h>
#include <string.h>

enum { ROOT = -1, NONE = -2 };

struct node {
    int parent;     /* ROOT: the first block of a prompt */
    int block;      /* of the pool */
    int n_children; /* nodes that stand behind it */
    int next;       /* with the same hash, or of those that are free; NONE: the last */
    int64_t used;   /* the time of the last use */
};

struct kv_store {
    struct kv_session *session;
    int size;   /* positions a block */
    int n_most; /* nodes */
    struct node *nodes;
    int32_t *tokens; /* [n_most, size] of each node */
    int *buckets;    /* [n_most] the first node of each hash */
    int free;        /* the first free node */
    int64_t now;
    size_t block_bytes;
    struct kv_store_counts counts;
};

static uint32_t bucket_of(const struct kv_store *store, int parent, const int32_t *tokens)
{
    uint32_t hash = 2166136261u ^ (uint32_t)parent; /* FNV-1a */
    for (int i = 0; i < store->size; i++)
        hash = (hash ^ (uint32_t)tokens[i]) * 16777619u;
    return (hash ^ hash >> 15) % (uint32_t)store->n_most;
}

static int32_t *tokens_of(const struct kv_store *store, int node)
{
    return store->tokens + (size_t)node * (size_t)store->size;
}

static int find(const struct kv_store *store, int parent, const int32_t *tokens)
{
    int node = store->buckets[bucket_of(store, parent, tokens)];
    while (node != NONE && (store->nodes[node].parent != parent ||
                            memcmp(tokens_of(store, node), tokens, (size_t)store->size * sizeof *tokens) != 0))
        node = store->nodes[node].next;
    return node;
}

kv_status kv_store_create(struct kv_store **out, struct kv_session *s, size_t budget, struct kv_error *error)
{
    const struct kv_cache *cache = &s->cache;
    *out = NULL;
    if (!s->path->keeps || !cache->kind->hold)
        return kv_fail(error, KV_ERROR_ARGUMENT, "store: cache '%s' has no blocks to keep; use one such as paged:16",
                       kv_session_cache(s));
    const int size = cache->numbers[0];
    const size_t block_bytes = (size_t)cache->n_layer * (size_t)cache->n_kv_head *
                               kv_slot_bytes(cache->kind, cache->head_size, (size_t)size);
    if (budget < block_bytes)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "store: %zu bytes are less than a block of %d positions, %zu; give more", budget, size,
                       block_bytes);
    const size_t most = budget / block_bytes, all = (size_t)cache->pages.n_blocks;
    struct kv_store *store = calloc(1, sizeof *store);
    if (!store)
        return kv_fail(error, KV_ERROR_MEMORY, "store: no memory");
    *store = (struct kv_store){.session = s, .size = size, .n_most = (int)(most < all ? most : all)};
    store->block_bytes = block_bytes;
    store->nodes = calloc((size_t)store->n_most, sizeof *store->nodes);
    store->tokens = calloc((size_t)store->n_most * (size_t)size, sizeof *store->tokens);
    store->buckets = calloc((size_t)store->n_most, sizeof *store->buckets);
    if (!store->nodes || !store->tokens || !store->buckets) {
        kv_store_free(store);
        return kv_fail(error, KV_ERROR_MEMORY, "store: no memory for %zu blocks", most);
    }
    for (int i = 0; i < store->n_most; i++) {
        store->buckets[i] = NONE;
        store->nodes[i].next = i + 1 < store->n_most ? i + 1 : NONE;
    }
    *out = store;
    return KV_OK;
}

bool kv_store_evict(struct kv_store *store)
{
    int oldest = NONE;
    for (int i = 0; i < store->n_most; i++) {
        const struct node *node = &store->nodes[i];
        if (node->used && !node->n_children && (oldest == NONE || node->used < store->nodes[oldest].used))
            oldest = i;
    }
    if (oldest == NONE)
        return false;
    struct node *node = &store->nodes[oldest];
    int *link = &store->buckets[bucket_of(store, node->parent, tokens_of(store, oldest))];
    while (*link != oldest)
        link = &store->nodes[*link].next;
    *link = node->next;
    if (node->parent != ROOT)
        store->nodes[node->parent].n_children--;
    store->session->cache.kind->let_go(&store->session->cache, node->block);
    *node = (struct node){.next = store->free};
    store->free = oldest;
    store->counts.n_blocks--;
    store->counts.evicted_blocks++;
    return true;
}

void kv_store_free(struct kv_store *store)
{
    if (!store)
        return;
    while (store->counts.n_blocks > 0)
        kv_store_evict(store);
    free(store->nodes);
    free(store->tokens);
    free(store->buckets);
    free(store);
}

static kv_status check_sequence(const struct kv_store *store, int sequence, struct kv_error *error)
{
    if (sequence < 0 || sequence >= store->session->batch)
        return kv_fail(error, KV_ERROR_ARGUMENT, "store: there is no sequence %d of %d", sequence,
                       store->session->batch);
    return KV_OK;
}

kv_status kv_store_take(struct kv_store *store, int sequence, const int32_t *tokens, int n, int *n_found,
                        struct kv_error *error)
{
    struct kv_session *s = store->session;
    *n_found = 0;
    kv_status status = check_sequence(store, sequence, error);
    if (!status && s->lengths[sequence])
        status = kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: it has %d positions, and is to be empty", sequence,
                         s->lengths[sequence]);
    if (status)
        return status;
    const int most = n - 1 < s->capacity ? n - 1 : s->capacity;
    store->now++;
    for (int parent = ROOT, node; *n_found + store->size <= most; parent = node, *n_found += store->size) {
        node = find(store, parent, tokens + *n_found);
        if (node == NONE)
            break;
        store->nodes[node].used = store->now;
        s->cache.kind->give(&s->cache, sequence, store->nodes[node].block);
    }
    memcpy(s->tokens + (size_t)sequence * (size_t)s->capacity, tokens, (size_t)*n_found * sizeof *tokens);
    s->lengths[sequence] = *n_found;
    store->counts.asked_tokens += n;
    store->counts.found_tokens += *n_found;
    return KV_OK;
}

/* A node for the index-th block of the sequence; NONE: all that there are were used just now. */
static int add(struct kv_store *store, int parent, int sequence, int index, const int32_t *tokens)
{
    struct kv_session *s = store->session;
    if (store->free == NONE) {
        if (parent != ROOT)
            store->nodes[parent].n_children++; /* stays, whatever goes */
        const bool evicted = kv_store_evict(store);
        if (parent != ROOT)
            store->nodes[parent].n_children--;
        if (!evicted)
            return NONE;
    }
    const int node = store->free;
    const uint32_t bucket = bucket_of(store, parent, tokens);
    store->free = store->nodes[node].next;
    store->nodes[node] = (struct node){.parent = parent,
                                       .block = s->cache.kind->hold(&s->cache, sequence, index),
                                       .next = store->buckets[bucket],
                                       .used = store->now};
    store->buckets[bucket] = node;
    memcpy(tokens_of(store, node), tokens, (size_t)store->size * sizeof *tokens);
    if (parent != ROOT)
        store->nodes[parent].n_children++;
    store->counts.n_blocks++;
    return node;
}

kv_status kv_store_keep(struct kv_store *store, int sequence, struct kv_error *error)
{
    struct kv_session *s = store->session;
    const kv_status status = check_sequence(store, sequence, error);
    if (status)
        return status;
    const int32_t *tokens = s->tokens + (size_t)sequence * (size_t)s->capacity;
    store->now++;
    for (int i = 0, parent = ROOT; (i + 1) * store->size <= s->lengths[sequence]; i++, tokens += store->size) {
        int node = find(store, parent, tokens);
        if (node == NONE)
            node = add(store, parent, sequence, i, tokens);
        if (node == NONE)
            break;
        store->nodes[node].used = store->now;
        parent = node;
    }
    return KV_OK;
}

struct kv_store_counts kv_store_counts(const struct kv_store *store)
{
    struct kv_store_counts counts = store->counts;
    counts.bytes = (size_t)counts.n_blocks * store->block_bytes;
    return counts;
}
