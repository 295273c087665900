#include "measure/decoder.h"

#include "base/error.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* Most tokens of a sequence. */
static int room_of(const struct kv_decoder_options *o)
{
    return o->n_prompt + (o->n_new > 0 ? o->n_new : 1);
}

/* Prompts with the text that is given behind them, if one is. */
static kv_status take_text(struct kv_decoder *d, const struct kv_decoder_options *o, struct kv_error *error)
{
    const size_t B = (size_t)o->session.batch, room = (size_t)room_of(o);
    const int32_t *prompt = o->prompts;
    if (!o->given_text)
        return KV_OK;
    if (o->sampling.temperature > 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "of a text that is given nothing is drawn; use temperature 0");
    d->text = calloc(B * room, sizeof *d->text);
    if (!d->text)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu texts of %zu tokens: choose a smaller batch", B,
                       room);
    for (size_t b = 0; b < B; b++) {
        const size_t p = o->n_prompts == 1 ? 0 : b;
        const int n = o->prompt_lengths ? o->prompt_lengths[p] : o->n_prompt;
        memcpy(d->text + b * room, prompt, (size_t)n * sizeof *prompt);
        memcpy(d->text + b * room + n, o->given_text + p * (size_t)o->n_new, (size_t)o->n_new * sizeof *prompt);
        prompt += o->n_prompts == 1 ? 0 : n;
    }
    return KV_OK;
}

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
    if (status || !d->k)
        return status;
    struct kv_speculation speculation = o->speculation;
    speculation.sampling = o->sampling;
    speculation.n_tokens = room_of(o);
    speculation.text = d->text;
    return kv_speculator_create(&d->speculator, d->session, &speculation, error);
}

static kv_status allocate(struct kv_decoder *d, const struct kv_decoder_options *o, struct kv_error *error)
{
    const size_t B = (size_t)o->session.batch, T = (size_t)o->n_prompt, most = (size_t)d->k + 1;
    const kv_status status = kv_generation_create(&d->generation, o->session.batch, o->n_prompt, o->n_new, error);
    if (status)
        return status;
    d->prompt = calloc(B * T, sizeof *d->prompt);
    d->newest = calloc(B, sizeof *d->newest);
    d->given = calloc(B, sizeof *d->given);
    d->n_given = calloc(B, sizeof *d->n_given);
    d->runs = calloc(B, sizeof *d->runs);
    d->ended = calloc(B, sizeof *d->ended);
    d->prompt_lengths = calloc(B, sizeof *d->prompt_lengths);
    d->selected = calloc(B * most, sizeof *d->selected);
    d->n_new = calloc(B, sizeof *d->n_new);
    d->n_left = calloc(B, sizeof *d->n_left);
    if (!d->prompt || !d->newest || !d->given || !d->n_given || !d->runs || !d->ended || !d->prompt_lengths ||
        !d->selected || !d->n_new || !d->n_left)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu prompts of %zu tokens: choose a smaller batch", B, T);
    const int32_t *prompt = o->prompts;
    int32_t *end = d->prompt;
    for (int b = 0; b < o->session.batch; b++) {
        const int n = o->prompt_lengths ? o->prompt_lengths[o->n_prompts == 1 ? 0 : b] : o->n_prompt;
        memcpy(end, prompt, (size_t)n * sizeof *end);
        end += d->prompt_lengths[b] = n;
        prompt += o->n_prompts == 1 ? 0 : n;
    }
    return KV_OK;
}

/* All sequences run, if there is something that they are to do. */
static void start(struct kv_decoder *d, int n_new)
{
    d->n_wanted = n_new;
    d->n_running = n_new > 0 ? d->generation.batch : 0;
    d->window_full = false;
    for (int b = 0; b < d->generation.batch; b++) {
        d->runs[b] = n_new > 0;
        d->ended[b] = false;
    }
}

kv_status kv_decoder_create(struct kv_decoder *d, const struct kv_model *model, struct kv_pool *pool,
                            const struct kv_decoder_options *o, struct kv_error *error)
{
    *d = (struct kv_decoder){
        .end_of_text = o->end_of_text,
        .k = o->speculation.k,
        .same_prompt = o->same_prompt,
        .n_prefix = o->n_prefix,
        .most_positions = o->session.overflow == KV_OVERFLOW_STOP ? kv_model_config(model)->n_positions : INT_MAX};
    /* The session first: it knows what memory is left before anything is touched. */
    kv_status status = take_text(d, o, error);
    if (!status)
        status = create_session(d, model, pool, o, error);
    if (!status)
        status = allocate(d, o, error);
    if (status)
        kv_decoder_free(d);
    else
        start(d, o->n_new);
    return status;
}

void kv_decoder_free(struct kv_decoder *d)
{
    kv_speculator_free(d->speculator);
    kv_session_free(d->session);
    kv_sampler_free(d->sampler);
    kv_generation_free(&d->generation);
    free(d->text);
    free(d->prompt);
    free(d->newest);
    free(d->given);
    free(d->n_given);
    free(d->runs);
    free(d->ended);
    free(d->prompt_lengths);
    free(d->selected);
    free(d->n_new);
    free(d->n_left);
    *d = (struct kv_decoder){0};
}

bool kv_decoder_done(const struct kv_decoder *d)
{
    return d->n_running == 0;
}

/* What sequence b goes on with behind `before` new tokens of it: what the step selected, or the given text's. */
static int32_t next_of(const struct kv_decoder *d, int b, int before)
{
    return d->text ? kv_decoder_given(d, b)[before] : d->newest[b];
}

/* The newest token of each that runs. */
static kv_status decode(struct kv_decoder *d, struct kv_error *error)
{
    int n = 0;
    for (int b = 0; b < d->generation.batch; b++) {
        d->n_given[b] = d->runs[b];
        d->given[n] = next_of(d, b, d->generation.n_selected[b] - 1);
        n += d->runs[b];
    }
    return kv_session_append(d->session, d->n_given, d->given, NULL, error);
}

/* The speculator is told of the prompt and of what was selected behind it. */
static kv_status start_speculation(struct kv_decoder *d, struct kv_error *error)
{
    const int32_t *prompt = d->prompt;
    kv_status status = KV_OK;
    kv_speculator_reset(d->speculator);
    for (int b = 0; !status && b < d->generation.batch; prompt += d->prompt_lengths[b++]) {
        status = kv_speculator_push(d->speculator, b, prompt, d->prompt_lengths[b], error);
        const int32_t next = next_of(d, b, 0);
        if (!status)
            status = kv_speculator_push(d->speculator, b, &next, 1, error);
    }
    return status ? status : kv_speculator_prepare(d->speculator, error);
}

/* Where a step puts the tokens of sequence b. */
static int32_t *selected_of(const struct kv_decoder *d, int b)
{
    return d->selected + (size_t)b * (size_t)(d->k + 1);
}

/* Of every sequence that runs the next token. */
static kv_status select_one(struct kv_decoder *d, struct kv_error *error)
{
    const struct kv_generation *g = &d->generation;
    kv_status status = g->n_steps > 0   ? decode(d, error)
                       : d->same_prompt ? kv_session_prefill_same(d->session, d->prompt, g->n_prompt, error)
                       : d->n_prefix ? kv_session_prefill_prefix(d->session, d->prompt, g->n_prompt, d->n_prefix, error)
                                     : kv_session_append(d->session, d->prompt_lengths, d->prompt, NULL, error);
    if (!status)
        status = d->sampler ? kv_sampler_select(d->sampler, kv_session_logits(d->session), d->runs, d->newest, error)
                            : kv_session_greedy(d->session, d->newest, error);
    for (int b = 0; !status && b < g->batch; b++) {
        *selected_of(d, b) = d->newest[b];
        d->n_new[b] = d->runs[b];
    }
    return status;
}

/* From the tokens before to the next ones, in d->selected: all that the clock sees. */
static kv_status select_next(struct kv_decoder *d, struct kv_error *error)
{
    const struct kv_generation *g = &d->generation;
    if (g->n_steps == 0 || !d->speculator) {
        const kv_status status = select_one(d, error);
        return status || !d->speculator ? status : start_speculation(d, error);
    }
    for (int b = 0; b < g->batch; b++)
        d->n_left[b] = d->runs[b] ? d->n_wanted - g->n_selected[b] : 0;
    const kv_status status = kv_speculator_step(d->speculator, d->n_left, d->selected, d->n_new, error);
    for (int b = 0; !status && b < g->batch; b++)
        if (d->n_new[b] > 0)
            d->newest[b] = selected_of(d, b)[d->n_new[b] - 1];
    return status;
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
        d->ended[b] = token == d->end_of_text;
    }
    return n_kept;
}

/* Takes sequence b out of the batch where nothing is left to be had of it. */
static void let_go(struct kv_decoder *d, int b)
{
    const bool has_all = d->ended[b] || d->generation.n_selected[b] == d->n_wanted;
    const bool is_full = kv_session_lengths(d->session)[b] == d->most_positions;
    d->runs[b] = !has_all && !is_full;
    d->window_full |= !has_all && is_full;
    d->n_running -= !d->runs[b];
}

static void keep_step(struct kv_decoder *d, int64_t elapsed_ns)
{
    struct kv_generation *g = &d->generation;
    const int step = ++g->n_steps;
    g->stamps[step] = g->stamps[step - 1] + elapsed_ns;
    for (int b = 0; b < g->batch; b++)
        g->n_running[step] += d->runs[b] || (!d->ended[b] && g->n_selected[b] == d->n_wanted);
    for (int b = 0; b < g->batch; b++)
        if (d->runs[b]) {
            g->n_given[step] += keep_tokens(d, b, selected_of(d, b), d->n_new[b]);
            let_go(d, b);
        }
    const size_t live = kv_session_kv_live_bytes(d->session);
    g->kv_live_bytes = live > g->kv_live_bytes ? live : g->kv_live_bytes;
}

/* Behind a prompt that has been run: what follows is cut off. A cache that drops positions may have dropped some of the
 * prompt's meanwhile, as the window's end does, so it is run again, outside of what is timed. */
static bool return_to_prompt(struct kv_decoder *d)
{
    if (!kv_cache_drops(kv_session_cache(d->session)) && kv_session_overflows(d->session) == 0)
        return kv_session_truncate(d->session, d->prompt_lengths, NULL) == KV_OK;
    kv_session_reset(d->session);
    return kv_session_prefill_same(d->session, d->prompt, d->generation.n_prompt, NULL) == KV_OK;
}

void kv_decoder_reset(struct kv_decoder *d, int n_new)
{
    if (!d->has_prompt || !return_to_prompt(d))
        kv_session_reset(d->session);
    if (d->sampler)
        kv_sampler_reset(d->sampler);
    kv_generation_reset(&d->generation);
    start(d, n_new);
    for (int b = 0; d->has_prompt && b < d->generation.batch; b++) {
        d->newest[b] = *selected_of(d, b) = d->first;
        d->n_new[b] = 1;
    }
    if (d->has_prompt && d->speculator)
        (void)start_speculation(d, NULL); /* which did so before */
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
    return status;
}

kv_status kv_decoder_run(struct kv_decoder *d, struct kv_error *error)
{
    kv_status status = KV_OK;
    while (!status && !kv_decoder_done(d))
        status = kv_decoder_step(d, error);
    return status;
}

struct kv_decoder *kv_decoder_next(struct kv_decoder *decoders, int n)
{
    struct kv_decoder *next = NULL;
    for (struct kv_decoder *d = decoders; d < decoders + n; d++)
        if (!kv_decoder_done(d) && (!next || kv_generation_ns(&d->generation) < kv_generation_ns(&next->generation)))
            next = d;
    return next;
}

const int32_t *kv_decoder_prompt(const struct kv_decoder *d, int sequence, int *n)
{
    const int32_t *prompt = d->prompt;
    for (int b = 0; b < sequence; b++)
        prompt += d->prompt_lengths[b];
    *n = d->prompt_lengths[sequence];
    return prompt;
}

const int32_t *kv_decoder_given(const struct kv_decoder *d, int sequence)
{
    const size_t room = (size_t)d->generation.n_prompt + (size_t)d->generation.room;
    return d->text ? d->text + (size_t)sequence * room + d->prompt_lengths[sequence] : NULL;
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
