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
    plan->store_per_layer = false;
}

static void extend(struct kv_session *s, const struct kv_extension *extension)
{
    if (extension->n_logits == 0)
        return; /* nothing is kept, so there is nothing to run */
    const int window = extension->first_position + extension->n_positions;
    const int padded = kv_round_to_key_block(window), group = s->engine.max_rows / padded;
    for (int b = 0; b < s->batch; b += group) {
        const struct kv_pass pass = {
            .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
            .token_stride = (size_t)s->capacity,
            .first_sequence = b,
            .n_sequences = kv_smaller(group, s->batch - b),
            .first_position = 0,
            .n_positions = window,
            .store = {s->store.keys, s->store.values, 0, padded},
            .n_logits = extension->n_logits,
            .logits = extension->logits + (size_t)b * extension->logits_stride,
            .logits_stride = extension->logits_stride,
        };
        kv_forward(&s->engine, &pass);
    }
}

static struct kv_work work(const struct kv_config *config, int batch, int n_before, int n_new)
{
    return kv_work_of_positions(config, batch, 0, n_before + n_new, false);
}

const struct kv_path kv_path_naive = {
    .choice = {"naive", "no cache: every step runs the whole window again"},
    .plan = plan,
    .extend = extend,
    .work = work,
};
