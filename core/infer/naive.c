/* No cache: every extension runs its whole window again, from position 0, and keeps nothing. Like nanoGPT's
 * generate(), only the positions that were asked for go through the LM head. */
#include "infer/infer.h"

/* One layer's keys and values during a pass, taken in turn by all layers. A window must be in one pass, since nothing
 * of it is kept; further sequences join it up to KV_PASS_ROWS. */
static int plan(struct kv_cache *cache, int capacity)
{
    (void)capacity;
    const int rows = kv_smaller((long)cache->batch * cache->capacity, KV_PASS_ROWS);
    cache->n_layer = 1;
    cache->batch = 1;
    cache->capacity = rows > cache->capacity ? rows : cache->capacity;
    return cache->capacity;
}

/* Sequences whose windows are equally long share a pass. */
static void extend(struct kv_session *s, const struct kv_extension *x)
{
    const int *lengths = s->cache.lengths + x->first_sequence;
    int empty[KV_PASS_ROWS / KV_KEY_BLOCK] = {0};                       /* lengths of the scratch cache before a pass */
    for (int i = 0, n; x->n_logits > 0 && i < x->n_sequences; i += n) { /* without logits there is nothing to run */
        const int b = x->first_sequence + i, window = lengths[i] + x->n_positions;
        struct kv_cache scratch = s->cache;
        scratch.lengths = empty;
        scratch.layer_stride = 0;
        scratch.capacity = kv_round_to_key_block(window);
        scratch.batch = s->engine.max_rows / scratch.capacity;
        for (n = 1; n < scratch.batch && i + n < x->n_sequences && lengths[i + n] == lengths[i];)
            n++;
        const struct kv_pass pass = {
            .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
            .token_stride = (size_t)s->capacity,
            .first_sequence = b,
            .n_sequences = n,
            .n_positions = window,
            .cache = &scratch,
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
