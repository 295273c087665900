/* No cache: every extension runs its whole window again, from position 0, and keeps nothing. Like nanoGPT's
 * generate(), only the positions that were asked for go through the LM head. */
#include "infer/infer.h"

/* Sequences of one pass: of the shortest windows as many as KV_PASS_ROWS has room for. */
enum { MOST_SEQUENCES = KV_PASS_ROWS / KV_KEY_BLOCK };

/* One layer's keys and values during a pass, taken in turn by all layers. A window must be in one pass, since nothing
 * of it is kept; further sequences join it up to KV_PASS_ROWS, whatever their lengths. */
static int plan(struct kv_cache *cache, int capacity)
{
    (void)capacity;
    const int some = kv_smaller((long)cache->batch * cache->capacity, KV_PASS_ROWS);
    const int rows = some > cache->capacity ? some : cache->capacity;
    cache->n_layer = 1;
    cache->batch = rows / KV_KEY_BLOCK; /* as many positions, however many sequences they will be of */
    cache->capacity = KV_KEY_BLOCK;
    return rows;
}

/* The point of this path: a cache in which nothing is kept, every length 0. So the first position that a pass runs is
 * 0, and all keys and values of the window are computed again. Room for sequences of n positions each. */
static struct kv_cache empty_cache(const struct kv_session *s, int n_positions, int *nothing_kept)
{
    struct kv_cache cache = s->cache;
    cache.lengths = nothing_kept;
    cache.layer_stride = cache.notes_stride = 0; /* a layer's keys and values overwrite those of the layer before */
    cache.capacity = kv_round_to_key_block(n_positions);
    cache.batch = s->engine.max_rows / cache.capacity;
    return cache;
}

/* Whole windows of what is wanted from span *i on, as many as have room side by side when each has that of the longest;
 * without logits there is nothing to run. Returns how many. */
static int fill_pass(struct kv_session *s, int n, int *i, int *longest)
{
    int n_passed = 0;
    for (*longest = 0; *i < n; (*i)++) {
        const struct kv_span *wanted = &s->wanted[*i];
        const int window = s->cache.lengths[wanted->sequence] + wanted->n_positions;
        const int longer = window > *longest ? window : *longest;
        if (wanted->n_logits == 0)
            continue;
        const bool fits = (n_passed + 1) * kv_round_to_key_block(longer) <= s->engine.max_rows;
        if (n_passed && (n_passed == MOST_SEQUENCES || !fits))
            break;
        *longest = longer;
        struct kv_span *span = &s->passed[n_passed];
        *span = *wanted;
        span->in_cache = n_passed++;
        span->n_positions = window; /* all of it, not just what is new */
    }
    return n_passed;
}

static void extend(struct kv_session *s, int n)
{
    int nothing_kept[MOST_SEQUENCES] = {0};
    for (int i = 0, longest; i < n;) {
        const int n_passed = fill_pass(s, n, &i, &longest);
        if (!n_passed)
            break;
        const struct kv_cache empty = empty_cache(s, longest, nothing_kept);
        kv_forward(&s->engine, &empty, s->passed, n_passed);
    }
    for (int i = 0; i < n; i++)
        s->cache.lengths[s->wanted[i].sequence] += s->wanted[i].n_positions;
}

const struct kv_path kv_path_naive = {
    .choice = {"naive", "no cache: every step runs the whole window again"},
    .plan = plan,
    .extend = extend,
};
