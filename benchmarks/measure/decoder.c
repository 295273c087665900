#include "measure/decoder.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

static kv_status create_session(struct kv_decoder *d, const struct kv_model *model, struct kv_pool *pool,
                                const struct kv_decoder_options *o, struct kv_error *error)
{
    const struct kv_config *config = kv_model_config(model);
    const long needed = (long)o->n_prompt + (o->n_new > 0 ? o->n_new - 1 : 0); /* the last token is not run */
    struct kv_session_options options = o->session;
    if (options.capacity == 0)
        options.capacity = needed < config->n_positions ? (int)needed : config->n_positions;
    kv_status status = kv_session_create(&d->session, model, pool, &options, error);
    if (!status && o->sampling.temperature > 0)
        status = kv_sampler_create(&d->sampler, &o->sampling, config->vocab_size, options.batch, pool, error);
    return status;
}

static kv_status allocate(struct kv_decoder *d, const struct kv_decoder_options *o, struct kv_error *error)
{
    const size_t B = (size_t)o->session.batch, T = (size_t)o->n_prompt;
    const kv_status status = kv_generation_create(&d->generation, o->session.batch, o->n_prompt, o->n_new, error);
    if (status)
        return status;
    d->prompt = calloc(B * T, sizeof *d->prompt);
    d->newest = calloc(B, sizeof *d->newest);
    d->ended = calloc(B, sizeof *d->ended);
    d->prompt_lengths = calloc(B, sizeof *d->prompt_lengths);
    if (!d->prompt || !d->newest || !d->ended || !d->prompt_lengths)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu prompts of %zu tokens: choose a smaller batch", B, T);
    for (size_t b = 0; b < B; b++)
        d->prompt_lengths[b] = o->n_prompt;
    for (size_t b = 0; b < B; b++)
        memcpy(d->prompt + b * T, o->prompts + (o->n_prompts == 1 ? 0 : b * T), T * sizeof *d->prompt);
    return KV_OK;
}

kv_status kv_decoder_create(struct kv_decoder *d, const struct kv_model *model, struct kv_pool *pool,
                            const struct kv_decoder_options *o, struct kv_error *error)
{
    *d = (struct kv_decoder){.n_running = o->session.batch,
                             .n_wanted = o->n_new,
                             .end_of_text = o->end_of_text,
                             .same_prompt = o->same_prompt};
    /* The session first: it knows what memory is left before anything is touched. */
    kv_status status = create_session(d, model, pool, o, error);
    if (!status)
        status = allocate(d, o, error);
    if (status)
        kv_decoder_free(d);
    return status;
}

void kv_decoder_free(struct kv_decoder *d)
{
    kv_session_free(d->session);
    kv_sampler_free(d->sampler);
    kv_generation_free(&d->generation);
    free(d->prompt);
    free(d->newest);
    free(d->ended);
    free(d->prompt_lengths);
    *d = (struct kv_decoder){0};
}

bool kv_decoder_done(const struct kv_decoder *d)
{
    if (d->n_running == 0 || d->window_full)
        return true;
    for (int b = 0; b < d->generation.batch; b++)
        if (!d->ended[b] && d->generation.n_selected[b] < d->n_wanted)
            return false;
    return true;
}

/* From the tokens before to the next ones, in d->newest: all that the clock sees. */
static kv_status select_next(struct kv_decoder *d, struct kv_error *error)
{
    const struct kv_generation *g = &d->generation;
    const kv_status status = g->n_steps > 0   ? kv_session_decode(d->session, d->newest, error)
                             : d->same_prompt ? kv_session_prefill_same(d->session, d->prompt, g->n_prompt, error)
                                              : kv_session_prefill(d->session, d->prompt, g->n_prompt, NULL, error);
    if (status)
        return status;
    return d->sampler ? kv_sampler_select(d->sampler, kv_session_logits(d->session), d->newest, error)
                      : kv_session_greedy(d->session, d->newest, error);
}

/* Takes the tokens that a step selected for one sequence; returns how many of them count. */
static int keep_tokens(struct kv_decoder *d, int b, const int32_t *tokens, int n)
{
    struct kv_generation *g = &d->generation;
    int32_t *row = g->tokens + (size_t)b * (size_t)g->room;
    int n_kept = 0;
    while (n_kept < n && !d->ended[b] && g->n_selected[b] < d->n_wanted) {
        const int32_t token = tokens[n_kept++];
        row[g->n_selected[b]++] = token;
        if (token == d->end_of_text) {
            d->ended[b] = true;
            d->n_running--;
        }
    }
    if (d->ended[b])
        d->newest[b] = d->end_of_text;
    return n_kept;
}

static void keep_step(struct kv_decoder *d, int64_t elapsed_ns)
{
    struct kv_generation *g = &d->generation;
    const int step = ++g->n_steps;
    g->stamps[step] = g->stamps[step - 1] + elapsed_ns;
    g->n_running[step] = d->n_running;
    for (int b = 0; b < g->batch; b++)
        g->n_given[step] += keep_tokens(d, b, &d->newest[b], 1);
    const size_t live = kv_session_kv_live_bytes(d->session);
    g->kv_live_bytes = live > g->kv_live_bytes ? live : g->kv_live_bytes;
}

/* Behind a prompt that has been run: what follows is cut off. A cache that drops positions may have dropped some of the
 * prompt's meanwhile, so it is run again, outside of what is timed. */
static bool return_to_prompt(struct kv_decoder *d)
{
    if (!kv_cache_drops(kv_session_cache(d->session)))
        return kv_session_truncate(d->session, d->prompt_lengths, NULL) == KV_OK;
    kv_session_reset(d->session);
    return kv_session_prefill_same(d->session, d->prompt, d->generation.n_prompt, NULL) == KV_OK;
}

void kv_decoder_reset(struct kv_decoder *d, int n_new)
{
    const size_t B = (size_t)d->generation.batch;
    if (!d->has_prompt || !return_to_prompt(d))
        kv_session_reset(d->session);
    if (d->sampler)
        kv_sampler_reset(d->sampler);
    kv_generation_reset(&d->generation);
    memset(d->ended, 0, B * sizeof *d->ended);
    d->n_running = d->generation.batch;
    d->n_wanted = n_new;
    d->window_full = false;
    for (size_t b = 0; d->has_prompt && b < B; b++)
        d->newest[b] = d->first;
    if (d->has_prompt && n_new > 0)
        keep_step(d, 0);
}

kv_status kv_decoder_step(struct kv_decoder *d, struct kv_error *error)
{
    const int64_t start = kv_now_ns();
    const kv_status status = select_next(d, error);
    const bool is_prompt = d->same_prompt && d->generation.n_steps == 0;
    const int64_t elapsed_ns = is_prompt ? 0 : kv_now_ns() - start;
    if (!status)
        keep_step(d, elapsed_ns);
    if (!status && is_prompt) {
        d->has_prompt = true;
        d->first = d->newest[0];
    }
    d->window_full = status == KV_WINDOW_FULL;
    return d->window_full && d->generation.n_steps > 0 ? KV_OK : status;
}

kv_status kv_decoder_run(struct kv_decoder *d, struct kv_error *error)
{
    kv_status status = KV_OK;
    while (!status && !kv_decoder_done(d))
        status = kv_decoder_step(d, error);
    return status;
}

struct kv_decoder *kv_decoder_next(struct kv_decoder *a, struct kv_decoder *b)
{
    if (kv_decoder_done(a))
        return kv_decoder_done(b) ? NULL : b;
    if (kv_decoder_done(b))
        return a;
    return kv_generation_ns(&b->generation) < kv_generation_ns(&a->generation) ? b : a;
}

const int32_t *kv_decoder_tokens(const struct kv_decoder *d, int sequence, int *n)
{
    *n = d->generation.n_selected[sequence] - d->ended[sequence];
    return d->generation.tokens + (size_t)sequence * (size_t)d->generation.room;
}

int kv_decoder_difference(const struct kv_decoder *a, const struct kv_decoder *b)
{
    const int n_a = a->generation.n_selected[0], n_b = b->generation.n_selected[0], n = n_a < n_b ? n_a : n_b;
    for (int i = 0; i < n; i++)
        if (a->generation.tokens[i] != b->generation.tokens[i])
            return i;
    return -1;
}
