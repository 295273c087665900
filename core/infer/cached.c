/* The KV cache: keys and values of every position stay where they were first written, so that an extension
 * runs its new positions only. */
#include "infer/path.h"

static void plan(int batch, int capacity, struct kv_path_plan *plan)
{
    plan->max_rows = kv_smaller((long)batch * capacity, KV_PASS_ROWS);
    plan->store_rows = (size_t)batch * (size_t)kv_round_to_key_block(capacity);
}

/* `n` new positions from the `begin`-th of the extension on, for its sequences [i, i + n_sequences). */
static void run(struct kv_session *s, const struct kv_extension *x, int i, int n_sequences, int begin, int n)
{
    const struct kv_config *c = &s->engine.model->config;
    const int b = x->first_sequence + i;
    const size_t place = (size_t)b * (size_t)s->store.capacity * (size_t)c->n_embd;
    const bool all = x->n_logits == x->n_positions;
    const bool last = begin + n == x->n_positions;
    const struct kv_pass pass = {
        .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
        .token_stride = (size_t)s->capacity,
        .first_sequence = b,
        .n_sequences = n_sequences,
        .first_positions = x->first_positions + i,
        .skip = begin,
        .n_positions = n,
        .store = {s->store.keys + place, s->store.values + place, s->store.layer_stride, s->store.capacity},
        .n_logits = all ? n : (last ? x->n_logits : 0),
        .logits = x->logits + (size_t)i * x->logits_stride + (all ? (size_t)begin * (size_t)c->vocab_size : 0),
        .logits_stride = x->logits_stride,
    };
    kv_forward(&s->engine, &pass);
}

static void extend(struct kv_session *s, const struct kv_extension *x)
{
    const int step = kv_smaller(x->n_positions, s->engine.max_rows);
    const int group = s->engine.max_rows / step;
    for (int i = 0; i < x->n_sequences; i += group)
        for (int begin = 0; begin < x->n_positions; begin += step)
            run(s, x, i, kv_smaller(group, x->n_sequences - i), begin, kv_smaller(step, x->n_positions - begin));
}

const struct kv_path kv_path_cached = {
    .choice = {"cached", "KV cache: prefill once, then one position a step"},
    .keeps = true,
    .plan = plan,
    .extend = extend,
};
