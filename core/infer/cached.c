/* The KV cache: keys and values of every position stay where they were first written, so that an extension
 * runs its new positions only. */
#include "infer/infer.h"

static int plan(struct kv_cache *cache, int capacity)
{
    return kv_smaller((long)cache->batch * capacity, KV_PASS_ROWS);
}

/* As much as one pass takes of what is wanted, from position `done` of span `i` on. Returns how many spans. */
static int fill_pass(struct kv_session *s, int n, int *i, int *done)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    int n_passed = 0;
    for (int room = s->engine.max_rows; room > 0 && *i < n;) {
        const struct kv_span *wanted = &s->wanted[*i];
        const int left = wanted->n_positions - *done, taken = kv_smaller(left, room);
        struct kv_span *span = &s->passed[n_passed++];
        *span = *wanted;
        span->in_cache = wanted->sequence;
        span->n_positions = taken;
        if (wanted->n_logits == wanted->n_positions) {
            span->n_logits = taken;
            span->logits += (size_t)*done * V;
        } else if (taken < left) {
            span->n_logits = 0;
        }
        room -= taken;
        *done = taken < left ? *done + taken : 0;
        *i += taken == left;
    }
    return n_passed;
}

static void extend(struct kv_session *s, int n)
{
    for (int i = 0, done = 0; i < n;) {
        const int n_passed = fill_pass(s, n, &i, &done);
        kv_forward(&s->engine, &s->cache, s->passed, n_passed);
        for (int k = 0; k < n_passed; k++)
            s->cache.lengths[s->passed[k].in_cache] += s->passed[k].n_positions;
    }
}

const struct kv_path kv_path_cached = {
    .choice = {"cached", "KV cache: prefill once, then one position a step"},
    .keeps = true,
    .plan = plan,
    .extend = extend,
};
