/* Keys and values of the positions that have been run, so that none is run twice.
 *
 * How they are laid out and in what types they are kept are two choices; a layout is a file with a struct kv_cache_kind
 * for each two types, a type is a row of cache.c and of kernels/kept.h. All other code reaches a cache's memory through
 * its kind only. Heads are those of keys and values, which several heads of queries may share. */
#ifndef KV_CACHE_CACHE_H
#define KV_CACHE_CACHE_H

#include "base/memory.h"
#include "kernels/kernels.h"
#include "tables.h"

/* A layout's own numbers stand behind its name: "paged:16". */
#define KV_CACHE_NUMBERS 2

/* Of a layout that shares memory out in blocks: where it notes which sequence has which. */
struct kv_cache_pages {
    int n_blocks;  /* of the pool */
    int n_free;    /* that nobody has */
    int n_entries; /* of a sequence in the table */
    size_t bytes;  /* all that the cache allocated */
    char *base;    /* of the owner's, as the cache's: what the offsets below are from */
    size_t table;  /* [batch, n_entries] int32 */
    size_t held;   /* [batch] blocks of each sequence */
    size_t free;   /* [n_blocks] those that nobody has, the next one to take at n_free - 1 */
    size_t blocks; /* [n_blocks] what is known of each */
};

struct kv_cache {
    const struct kv_cache_kind *kind;
    int n_layer, n_kv_head, head_size;
    int batch;                     /* sequences */
    int capacity;                  /* positions that each has room for, a multiple of KV_KEY_BLOCK */
    int numbers[KV_CACHE_NUMBERS]; /* of its layout, as kv_cache_find read them */
    int *lengths;                  /* [batch] positions that are in it: what is appended goes behind them */
    char *base;                    /* memory of the owner's */
    size_t layers, layer_stride;   /* bytes: where in it the first layer lies, and from one to the next */
    size_t codes[3], scales[3];    /* of keys, values and centres: where they lie in a layer */
    int pool; /* positions of all sequences together that there is to be room for; 0: of each all */
    struct kv_cache_pages pages;
    size_t scratch;             /* floats that a thread's attention needs, as lay_out found */
    size_t notes, notes_stride; /* bytes: of layouts with a budget, what the first layer notes of its slots; the next */
};

/* A head of a sequence in a layer. */
struct kv_cache_place {
    int layer, sequence, head;
};

enum kv_cache_part { KV_CACHE_KEY, KV_CACHE_VALUE };

/* Of keys and values of these types. */
#define KV_CACHE_TYPES(keys, values) ((keys)*KV_N_KEPT + (values))

struct kv_cache_kind {
    struct kv_choice cache;    /* the layout; its numbers, as in "paged:16", are only the usual ones */
    enum kv_kept keys, values; /* their types */
    /* The least and the most of each number in that name. */
    struct {
        int low, high;
    } ranges[KV_CACHE_NUMBERS];
    /* Bytes of n positions of one sequence: what a step reads of them, or writes. */
    double (*bytes)(const struct kv_cache_kind *kind, const int numbers[KV_CACHE_NUMBERS],
                    const struct kv_config *config, double n_positions);
    /* Adds the cache's memory to a layout and notes where it is; the owner sets `base` once it has that memory. */
    void (*lay_out)(struct kv_cache *cache, struct kv_layout *layout);
    /* With `base` set, and that of pages: nothing is in it. */
    void (*start)(struct kv_cache *cache);
    /* Blocks that sequence takes from the pool, at most, when it is cut to `kept` of its positions and then reserved for
     * `length`; NULL: there is no pool, and room for all. */
    long (*wants)(const struct kv_cache *cache, int sequence, int kept, int length);
    /* Before positions behind a sequence's length are appended: gives each sequence room of its own up to lengths[b], not
     * less than it has. NULL: it has. */
    void (*reserve)(struct kv_cache *cache, const int *lengths);
    /* Bytes of all that is in it, and of all that it has room for. */
    size_t (*live_bytes)(const struct kv_cache *cache);
    size_t (*reserved_bytes)(const struct kv_cache *cache);
    /* Writes n keys and values [head_size], rows `stride` floats apart, behind the sequence's length, which the owner
     * raises once all heads and layers are there. Distinct places at the same time by distinct threads. */
    void (*append)(const struct kv_cache *cache, struct kv_cache_place place, int n, const float *keys,
                   const float *values, size_t stride);
    /* Attention over the positions of that place, by a level's kernel; all but keys and values is set. */
    void (*attend)(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention);
    /* Element `dimension` of the key or value of a position. */
    float (*read)(const struct kv_cache *cache, struct kv_cache_place place, enum kv_cache_part part, int position,
                  int dimension);
    /* Gives sequence `to`, for which as much is reserved, copies of all keys and values of sequence `from`, whose length
     * the owner copies. */
    void (*copy)(const struct kv_cache *cache, int from, int to);
    /* The same without reserving, and without a copy until one of the two is appended to; NULL: cannot. */
    void (*share)(struct kv_cache *cache, int from, int to);
    /* Of layouts with a pool, for whoever keeps blocks beside the sequences: holds the index-th block of a sequence, which
     * is full, and returns it; gives it to a sequence of whole blocks as its next one; lets it go. NULL: cannot. */
    int (*hold)(struct kv_cache *cache, int sequence, int index);
    void (*give)(struct kv_cache *cache, int sequence, int block);
    void (*let_go)(struct kv_cache *cache, int block);
    /* Forgets what a sequence has behind its first `length` positions. Where one that is needed then was dropped, its
     * length becomes 0: the owner runs all of them again. */
    void (*truncate)(struct kv_cache *cache, int sequence, int length);

    /* Of layouts that keep a budget of positions, by cache/budget.h; NULL: all are kept. What a query attends to is then
     * part of what is computed, whether it is kept for the next step or not. */
    int (*budget)(const int numbers[KV_CACHE_NUMBERS]); /* most that a head keeps, and that a query attends to */
    /* The slot whose position makes room for `position`, which is not less than the budget. */
    int (*victim)(const struct kv_cache *cache, struct kv_cache_place place, int position);
    int note_bytes; /* of a slot: 0, its position, or also the weights that it got */
    /* As append and attend, for each query after the one before it: appending drops what later ones do not see. Keys and
     * values lie as the queries do. */
    void (*extend)(const struct kv_cache *cache, struct kv_cache_place place, const struct kv_kernels *kernels,
                   struct kv_attention *attention, const float *keys, const float *values);
    /* Where that position of a sequence of n is; -1: it was dropped. */
    int (*slot_of)(const struct kv_cache *cache, struct kv_cache_place place, int n_positions, int position);
};

/* Whether a pool lacks blocks for what cache->kind->wants adds up to. */
static inline bool kv_cache_is_short(const struct kv_cache *cache, long n_wanted)
{
    return cache->pool && n_wanted > cache->pages.n_free;
}

/* What keeps keys and values of type `kv`, or of two types, "KEYS/VALUES", as `cache` has it, and the numbers behind that
 * name, 0 where it has none; NULL: the first of each table. Errors: ARGUMENT for an unknown name or number. */
kv_status kv_cache_find(const char *cache, const char *kv, const struct kv_cache_kind **kind,
                        int numbers[KV_CACHE_NUMBERS], struct kv_error *error);
/* The name of its type, or of its two. */
const char *kv_cache_kv_name(const struct kv_cache_kind *kind);

#define KV_DECLARE_CACHE(name) extern const struct kv_cache_kind kv_cache_##name[KV_N_KEPT * KV_N_KEPT]; /* by types */
KV_CACHES(KV_DECLARE_CACHE)

#endif
