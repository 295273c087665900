/* No cache: every extension runs its whole window again, from position 0, and keeps nothing. Like nanoGPT's
 * generate(), only the positions that were asked for go through the LM head. */
#include "infer/infer.h"

/* One layer's keys and values during a pass, taken in turn by all layers. A window must be in one pass, since nothing
 * of it is kept; further sequences join it up to KV_PASS_ROWS. */
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

/* How many sequences from `i` on have windows as long as that one's, `most` at most: they share a pass. */
static int equally_long(const int *lengths, int i, int n_sequences, int most)
{
    int n = 1;
    while (n < most && i + n < n_sequences && lengths[i + n] == lengths[i])
        n++;
    return n;
}

static void extend(struct kv_session *s, const struct kv_extension *x)
{
    const int *lengths = s->cache.lengths + x->first_sequence;
    int nothing_kept[KV_PASS_ROWS / KV_KEY_BLOCK] = {0};
    for (int i = 0, n; x->n_logits > 0 && i < x->n_sequences; i += n) { /* without logits there is nothing to run */
        const int b = x->first_sequence + i, window = lengths[i] + x->n_positions;
        const struct kv_cache empty = empty_cache(s, window, nothing_kept);
        n = equally_long(lengths, i, x->n_sequences, empty.batch);
        const struct kv_pass pass = {
            .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
            .token_stride = (size_t)s->capacity,
            .first_sequence = b,
            .n_sequences = n,
            .n_positions = window, /* all of it, not just what is new */
            .cache = &empty,
            .first_in_cache = 0,
            .n_logits = x->n_logits,
            .logits = x->logits + (size_t)i * x->logits_stride,
            .logits_stride = x->logits_stride,
        };
        kv_forward(&s->engine, &pass);
    }
    for (int b = x->first_sequence; b < x->first_sequence + x->n_sequences; b++)
        s->cache.lengths[b] += x->n_positions;
}

const struct kv_path kv_path_naive = {
    .choice = {"naive", "no cache: every step runs the whole window again"},
    .plan = plan,
    .extend = extend,
};
