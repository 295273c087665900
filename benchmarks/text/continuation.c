#include "text/continuation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kv_status no_memory(struct kv_error *error)
{
    if (error)
        snprintf(error->message, sizeof error->message, "no memory for the prompts: choose a smaller batch");
    return KV_ERROR_MEMORY;
}

static kv_status create_session(struct kv_continuation *c, const struct kv_model *model, struct kv_pool *pool,
                                const struct kv_continuation_options *o, struct kv_error *error)
{
    const struct kv_config *config = kv_model_config(model);
    const long wanted = (long)o->n_prompt + o->n_new;
    struct kv_session_options options = o->session;
    options.capacity = wanted < config->n_positions ? (int)wanted : config->n_positions;
    kv_status status = kv_session_create(&c->session, model, pool, &options, error);
    if (!status && o->sampling.temperature > 0)
        status = kv_sampler_create(&c->sampler, &o->sampling, config->vocab_size, c->batch, error);
    return status;
}

static kv_status allocate(struct kv_continuation *c, const struct kv_continuation_options *o, struct kv_error *error)
{
    const size_t B = (size_t)c->batch, T = (size_t)c->n_prompt;
    const kv_status status = kv_generation_create(&c->generation, c->batch, c->n_new ? c->n_new : 1, error);
    if (status)
        return status;
    c->prompt = calloc(B * T, sizeof *c->prompt);
    c->n_selected = calloc(B, sizeof *c->n_selected);
    c->ended = calloc(B, sizeof *c->ended);
    if (!c->prompt || !c->n_selected || !c->ended)
        return no_memory(error);
    for (size_t b = 0; b < B; b++)
        memcpy(c->prompt + b * T, o->prompts + (o->n_prompts == 1 ? 0 : b * T), T * sizeof *c->prompt);
    return KV_OK;
}

kv_status kv_continuation_create(struct kv_continuation *c, const struct kv_model *model, struct kv_pool *pool,
                                 const struct kv_continuation_options *o, struct kv_error *error)
{
    *c = (struct kv_continuation){
        .batch = o->session.batch,
        .n_prompt = o->n_prompt,
        .n_new = o->n_new,
        .n_running = o->session.batch,
        .end_of_text = o->end_of_text,
    };
    /* The session first: it knows what memory is left before anything is touched. */
    kv_status status = create_session(c, model, pool, o, error);
    if (!status)
        status = allocate(c, o, error);
    if (status)
        kv_continuation_free(c);
    return status;
}

void kv_continuation_free(struct kv_continuation *c)
{
    kv_session_free(c->session);
    kv_sampler_free(c->sampler);
    kv_generation_free(&c->generation);
    free(c->prompt);
    free(c->n_selected);
    free(c->ended);
    *c = (struct kv_continuation){0};
}

bool kv_continuation_done(const struct kv_continuation *c)
{
    return c->generation.n_done >= c->n_new || c->n_running == 0 || c->window_full;
}

/* From the tokens before to the next ones, in generation.step: all that the clock sees. */
static kv_status select_next(struct kv_continuation *c, struct kv_error *error)
{
    int32_t *tokens = c->generation.step;
    const kv_status status = c->generation.n_done == 0
                                 ? kv_session_prefill(c->session, c->prompt, c->n_prompt, NULL, error)
                                 : kv_session_decode(c->session, tokens, error);
    if (status)
        return status;
    return c->sampler ? kv_sampler_select(c->sampler, kv_session_logits(c->session), tokens, error)
                      : kv_session_greedy(c->session, tokens, error);
}

static void keep(struct kv_continuation *c, int64_t elapsed_ns)
{
    struct kv_generation *g = &c->generation;
    const int done = ++g->n_done;
    g->stamps[done] = g->stamps[done - 1] + elapsed_ns;
    for (int b = 0; b < c->batch; b++) {
        if (c->ended[b])
            g->step[b] = c->end_of_text;
        else
            c->n_selected[b]++;
        g->tokens[(size_t)b * (size_t)g->n_new + (size_t)done - 1] = g->step[b];
        if (!c->ended[b] && g->step[b] == c->end_of_text) {
            c->ended[b] = true;
            c->n_running--;
        }
    }
    const size_t live = kv_session_kv_live_bytes(c->session);
    g->kv_live_bytes = live > g->kv_live_bytes ? live : g->kv_live_bytes;
}

kv_status kv_continuation_step(struct kv_continuation *c, struct kv_error *error)
{
    const int64_t start = kv_now_ns();
    const kv_status status = select_next(c, error);
    const int64_t elapsed_ns = kv_now_ns() - start;
    if (!status)
        keep(c, elapsed_ns);
    c->window_full = status == KV_WINDOW_FULL;
    return c->window_full && c->generation.n_done > 0 ? KV_OK : status;
}

struct kv_continuation *kv_continuation_next(struct kv_continuation *a, struct kv_continuation *b)
{
    if (kv_continuation_done(a))
        return kv_continuation_done(b) ? NULL : b;
    if (kv_continuation_done(b))
        return a;
    return kv_continuation_spent_ns(b) < kv_continuation_spent_ns(a) ? b : a;
}

const int32_t *kv_continuation_tokens(const struct kv_continuation *c, int sequence, int *n)
{
    *n = c->n_selected[sequence] - c->ended[sequence];
    return c->generation.tokens + (size_t)sequence * (size_t)c->generation.n_new;
}

int kv_continuation_difference(const struct kv_continuation *a, const struct kv_continuation *b)
{
    const int n = a->n_selected[0] < b->n_selected[0] ? a->n_selected[0] : b->n_selected[0];
    for (int i = 0; i < n; i++)
        if (a->generation.tokens[i] != b->generation.tokens[i])
            return i;
    return -1;
}

int64_t kv_continuation_spent_ns(const struct kv_continuation *c)
{
    return c->generation.stamps[c->generation.n_done];
}

double kv_continuation_rate(const struct kv_continuation *c)
{
    const struct kv_generation *g = &c->generation;
    long n_tokens = 0;
    if (g->n_done < 2)
        return NAN;
    for (int b = 0; b < c->batch; b++)
        n_tokens += c->n_selected[b] - 1;
    return (double)n_tokens / ((double)(g->stamps[g->n_done] - g->stamps[1]) * 1e-9);
}
