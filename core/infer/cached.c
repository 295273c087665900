/* The KV cache: keys and values of every position stay where they were first written, so that an extension
 * runs its new positions only. */
#include "infer/infer.h"

static int plan(struct kv_cache *cache, int capacity)
{
    return kv_smaller((long)cache->batch * capacity, KV_PASS_ROWS);
}

/* `n` of the extension's new positions, `left` of them behind these, for its sequences [i, i + n_sequences). */
static void run(struct kv_session *s, const struct kv_extension *x, int i, int n_sequences, int n, int left)
{
    const int b = x->first_sequence + i;
    const bool all = x->n_logits == x->n_positions;
    const size_t before = all ? (size_t)(x->n_positions - left - n) * (size_t)s->engine.model->config.vocab_size : 0;
    const struct kv_pass pass = {
        .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
        .token_stride = (size_t)s->capacity,
        .first_sequence = b,
        .n_sequences = n_sequences,
        .n_positions = n,
        .cache = &s->cache,
        .first_in_cache = b,
        .n_logits = all ? n : (left ? 0 : x->n_logits),
        .logits = x->logits ? x->logits + (size_t)i * x->logits_stride + before : NULL,
        .logits_stride = x->logits_stride,
    };
    kv_forward(&s->engine, &pass);
    for (int j = b; j < b + n_sequences; j++)
        s->cache.lengths[j] += n;
}

static void extend(struct kv_session *s, const struct kv_extension *x)
{
    const int step = kv_smaller(x->n_positions, s->engine.max_rows);
    const int group = s->engine.max_rows / step;
    for (int i = 0; i < x->n_sequences; i += group)
        for (int left = x->n_positions, n; left > 0; left -= n) {
            n = kv_smaller(step, left);
            run(s, x, i, kv_smaller(group, x->n_sequences - i), n, left - n);
        }
}

const struct kv_path kv_path_cached = {
    .choice = {"cached", "KV cache: prefill once, then one position a step"},
    .keeps = true,
    .plan = plan,
    .extend = extend,
};
