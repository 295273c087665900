/* No cache: every extension runs its whole window again, from position 0, and keeps nothing. Like nanoGPT's
 * generate(), only the positions that were asked for go through the LM head. */
#include "infer/path.h"

/* A window must be in one pass, since nothing of it is kept; further sequences join it up to KV_PASS_ROWS. */
static void plan(int batch, int capacity, struct kv_path_plan *plan)
{
    const int window = kv_round_to_key_block(capacity);
    const int rows = kv_smaller((long)batch * window, KV_PASS_ROWS);
    plan->max_rows = rows > window ? rows : window;
    plan->store_rows = (size_t)plan->max_rows;
}

static const int from_the_start[KV_PASS_ROWS]; /* first positions, all 0 */

/* Sequences whose windows are equally long share a pass. */
static void extend(struct kv_session *s, const struct kv_extension *x)
{
    if (x->n_logits == 0)
        return; /* nothing is kept, so there is nothing to run */
    for (int i = 0, n; i < x->n_sequences; i += n) {
        const int b = x->first_sequence + i, window = x->first_positions[i] + x->n_positions;
        const int padded = kv_round_to_key_block(window), group = s->engine.max_rows / padded;
        for (n = 1; n < group && i + n < x->n_sequences && x->first_positions[i + n] == x->first_positions[i];)
            n++;
        const struct kv_pass pass = {
            .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
            .token_stride = (size_t)s->capacity,
            .first_sequence = b,
            .n_sequences = n,
            .first_positions = from_the_start,
            .n_positions = window,
            .store = {s->store.keys, s->store.values, 0, padded},
            .n_logits = x->n_logits,
            .logits = x->logits + (size_t)i * x->logits_stride,
            .logits_stride = x->logits_stride,
        };
        kv_forward(&s->engine, &pass);
    }
}

const struct kv_path kv_path_naive = {
    .choice = {"naive", "no cache: every step runs the whole window again"},
    .plan = plan,
    .extend = extend,
};
