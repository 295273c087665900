/* The windows of the sequences, and what happens at their end; the paths do the rest. */
#include "base/error.h"
#include "infer/infer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Paths --------------------------------------------------------------------------------------------------- */

#define PATH_ROW(name) &kv_path_##name,
static const struct kv_path *const paths[] = {KV_PATHS(PATH_ROW)};
enum { N_PATHS = sizeof paths / sizeof paths[0] };

const struct kv_choice *kv_path_choice(int index)
{
    return index >= 0 && index < N_PATHS ? &paths[index]->choice : NULL;
}

static kv_status find_path(const char *name, const struct kv_path **path, struct kv_error *error)
{
    const int i = kv_choice_find(kv_path_choice, "path", name, error);
    *path = i < 0 ? NULL : paths[i];
    return i < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

bool kv_path_keeps(const char *name)
{
    const struct kv_path *path;
    return find_path(name, &path, NULL) == KV_OK && path->keeps;
}

/* sum of min(t, most), t = 1..n */
static double attended_to(double n, double most)
{
    const double all = fmin(n, most);
    return all * (all + 1) / 2 + (n > all ? (n - all) * most : 0);
}

struct kv_work kv_part_work(enum kv_part part, const struct kv_config *config, const char *weights,
                            const struct kv_session_options *options, int n_before, int n_new)
{
    const struct kv_path *path;
    const struct kv_cache_kind *cache;
    const struct kv_weight_format *format;
    int numbers[KV_CACHE_NUMBERS];
    if (find_path(options->path, &path, NULL) || kv_cache_find(options->cache, options->kv, &cache, numbers, NULL) ||
        kv_format_find(weights, &format, NULL))
        return (struct kv_work){0, 0};
    const double L = config->n_layer, C = config->n_embd, I = config->n_inner, V = config->vocab_size;
    const double B = options->batch, first = path->keeps ? n_before : 0, last = (double)n_before + n_new;
    const double most = cache->budget ? (double)cache->budget(numbers) : HUGE_VAL;
    const double attended = attended_to(last, most) - attended_to(first, most);
    const double rows = B * (last - first);
    switch (part) {
    case KV_PART_QKV:
        return (struct kv_work){rows * L * 2 * 3 * C * C, L * format->bytes(C, 3 * C)};
    case KV_PART_ATTENTION:
        return (struct kv_work){B * L * 4 * C * attended,
                                path->keeps ? B * cache->bytes(cache, numbers, config, last) : 0};
    case KV_PART_PROJECTION:
        return (struct kv_work){rows * L * 2 * C * C, L * format->bytes(C, C)};
    case KV_PART_MLP:
        return (struct kv_work){rows * L * 2 * 2 * C * I, L * (format->bytes(C, I) + format->bytes(I, C))};
    case KV_PART_HEAD:
        return (struct kv_work){B * 2 * C * V, format->bytes(C, V)};
    default:
        return (struct kv_work){0, 0};
    }
}

struct kv_work kv_step_work(const struct kv_config *config, const char *weights,
                            const struct kv_session_options *options, int n_before, int n_new)
{
    struct kv_work all = {0, 0};
    for (int part = 0; part < KV_N_PARTS; part++) {
        const struct kv_work work = kv_part_work((enum kv_part)part, config, weights, options, n_before, n_new);
        all.flops += work.flops;
        all.bytes += work.bytes;
    }
    return all;
}

/* ---- Creation: one block for everything ---------------------------------------------------------------------- */

struct offsets {
    size_t lengths, kept, tokens, logits, x, h, qkv, inner, last, scratch, partials;
};

static struct kv_layout lay_out(struct kv_session *s, struct offsets *at)
{
    const struct kv_config *c = &s->engine.model->config;
    const size_t rows = (size_t)s->engine.max_rows, C = (size_t)c->n_embd, F = sizeof(float), B = (size_t)s->batch;
    const size_t n_threads = (size_t)kv_pool_size(s->engine.pool);
    const size_t n_parts = ((size_t)s->capacity + KV_ATTENTION_PART - 1) / KV_ATTENTION_PART;
    struct kv_layout layout = {0};
    at->lengths = kv_layout_add(&layout, B, 1, sizeof(int));
    at->kept = kv_layout_add(&layout, B, 1, sizeof(int));
    at->tokens = kv_layout_add(&layout, B, (size_t)s->capacity, sizeof(int32_t));
    at->logits = kv_layout_add(&layout, B, (size_t)c->vocab_size, F);
    s->cache.kind->lay_out(&s->cache, &layout);
    at->x = kv_layout_add(&layout, rows, C, F);
    at->h = kv_layout_add(&layout, rows, C, F);
    at->qkv = kv_layout_add(&layout, rows, 3 * C, F);
    at->inner = kv_layout_add(&layout, rows, (size_t)c->n_inner, F);
    at->last = kv_layout_add(&layout, rows, C, F);
    at->scratch = kv_layout_add(&layout, n_threads, kv_attention_scratch(s->cache.head_size), F);
    at->partials = kv_layout_add(&layout, n_threads * KV_SPLIT_HEADS * n_parts, 2 + (size_t)s->cache.head_size, F);
    return layout;
}

static float *floats_at(const struct kv_session *s, size_t offset)
{
    return (float *)(void *)(s->block.base + offset);
}

/* Writes every page once, each thread its part: no page fault is left for the token loop. */
static void prepare_job(void *argument, int rank)
{
    struct kv_session *s = argument;
    const size_t n = (size_t)kv_pool_size(s->engine.pool);
    const size_t begin = s->block.bytes * (size_t)rank / n, end = s->block.bytes * ((size_t)rank + 1) / n;
    memset(s->block.base + begin, 0, end - begin);
    s->engine.matmul->prepare_thread();
}

static kv_status allocate(struct kv_session *s, struct kv_error *error)
{
    const struct kv_config *c = &s->engine.model->config;
    struct offsets at;
    s->cache.n_layer = c->n_layer;
    s->cache.n_kv_head = c->n_head;
    s->cache.head_size = c->n_embd / c->n_head;
    s->cache.batch = s->batch;
    s->cache.capacity = kv_round_to_key_block(s->capacity);
    s->engine.capacity = s->capacity;
    s->engine.max_rows = s->path->plan(&s->cache, s->capacity);
    const struct kv_layout layout = lay_out(s, &at);
    const kv_status status = kv_block_allocate(&s->block, &layout, "session (cache and activations)", error);
    if (status)
        return status;
    s->lengths = (int *)(void *)(s->block.base + at.lengths);
    s->tokens = (int32_t *)(void *)(s->block.base + at.tokens);
    s->logits = floats_at(s, at.logits);
    s->cache.base = s->block.base;
    s->cache.lengths = (int *)(void *)(s->block.base + at.kept);
    struct kv_workspace *work = &s->engine.work;
    work->x = floats_at(s, at.x);
    work->h = floats_at(s, at.h);
    work->qkv = floats_at(s, at.qkv);
    work->inner = floats_at(s, at.inner);
    work->last = floats_at(s, at.last);
    work->scratch = floats_at(s, at.scratch);
    work->partials = floats_at(s, at.partials);
    kv_pool_run(s->engine.pool, prepare_job, s);
    return KV_OK;
}

static kv_status check_options(const struct kv_config *c, const struct kv_session_options *o, struct kv_error *error)
{
    if (o->batch < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "batch: %d is not at least 1", o->batch);
    if (o->capacity < 0 || o->capacity > c->n_positions)
        return kv_fail(error, KV_ERROR_ARGUMENT, "capacity: %d is not in 0..%d (the model's n_positions)", o->capacity,
                       c->n_positions);
    if (o->chunk < 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "chunk: %d is not at least 0", o->chunk);
    if (o->overflow < KV_OVERFLOW_STOP || o->overflow > KV_OVERFLOW_SHIFT)
        return kv_fail(error, KV_ERROR_ARGUMENT, "overflow: %d is not a kv_overflow", (int)o->overflow);
    return KV_OK;
}

/* More positions than there can be would only be a mistake. */
static kv_status check_budget(const struct kv_session *s, struct kv_error *error)
{
    const int window = s->engine.model->config.n_positions;
    if (s->cache.kind->budget && s->cache.kind->budget(s->cache.numbers) > window)
        return kv_fail(error, KV_ERROR_ARGUMENT, "cache '%s': it keeps %d positions, n_positions is %d; give fewer",
                       s->cache_name, s->cache.kind->budget(s->cache.numbers), window);
    return KV_OK;
}

kv_status kv_session_create(struct kv_session **out, const struct kv_model *model, struct kv_pool *pool,
                            const struct kv_session_options *options, struct kv_error *error)
{
    *out = NULL;
    kv_status status = check_options(&model->config, options, error);
    if (status)
        return status;
    struct kv_session *s = calloc(1, sizeof *s);
    if (!s)
        return kv_fail(error, KV_ERROR_MEMORY, "session: no memory");
    s->engine.model = model;
    s->engine.pool = pool;
    s->batch = options->batch;
    s->capacity = options->capacity ? options->capacity : model->config.n_positions;
    s->chunk = options->chunk;
    s->overflow = options->overflow;
    snprintf(s->cache_name, sizeof s->cache_name, "%s", options->cache ? options->cache : kv_cache_choice(0)->name);
    status = find_path(options->path, &s->path, error);
    if (!status)
        status = kv_cache_find(options->cache, options->kv, &s->cache.kind, s->cache.numbers, error);
    if (!status)
        status = check_budget(s, error);
    if (!status && !s->path->keeps) /* only the scratch of a pass, but for what it drops */
        status = kv_cache_find(s->cache.kind->budget ? options->cache : NULL, NULL, &s->cache.kind, s->cache.numbers,
                               error);
    if (!status)
        status = kv_matmul_find(options->matmul, &s->engine.matmul, error);
    if (!status && s->engine.matmul->layout != model->layout)
        status = kv_fail(error, KV_ERROR_ARGUMENT,
                         "matmul '%s': the model's weights are laid out for another one; make the model for it",
                         s->engine.matmul->choice.name);
    if (!status)
        status = kv_kernels_find(options->isa, &s->engine.kernels, error);
    if (!status)
        status = allocate(s, error);
    if (status)
        kv_session_free(s);
    else
        *out = s;
    return status;
}

void kv_session_free(struct kv_session *s)
{
    if (!s)
        return;
    kv_block_free(&s->block);
    free(s);
}

/* ---- Tokens in, logits out ----------------------------------------------------------------------------------- */

static void cut(struct kv_session *s, int b, int length)
{
    s->lengths[b] = length;
    if (s->path->keeps)
        s->cache.kind->truncate(&s->cache, b, length);
    else
        s->cache.lengths[b] = length;
}

void kv_session_reset(struct kv_session *s)
{
    for (int b = 0; b < s->batch; b++)
        cut(s, b, 0);
    s->has_logits = false;
    s->overflows = 0;
}

kv_status kv_session_truncate(struct kv_session *s, const int *lengths, struct kv_error *error)
{
    for (int b = 0; b < s->batch; b++)
        if (lengths[b] < 0 || lengths[b] > s->lengths[b])
            return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: cannot be cut to %d positions, it has %d", b,
                           lengths[b], s->lengths[b]);
    for (int b = 0; b < s->batch; b++)
        cut(s, b, lengths[b]);
    s->has_logits = false;
    return KV_OK;
}

/* Of n_rows sequences. */
static kv_status check_tokens(const struct kv_session *s, const int32_t *tokens, int n_rows, int n_tokens,
                              struct kv_error *error)
{
    const int V = s->engine.model->config.vocab_size;
    if (n_tokens < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: at least 1 is needed, %d were given", n_tokens);
    for (size_t i = 0; i < (size_t)n_rows * (size_t)n_tokens; i++)
        if (tokens[i] < 0 || tokens[i] >= V)
            return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: %d is not in 0..%d (the model's vocab_size is %d)",
                           tokens[i], V - 1, V);
    return KV_OK;
}

/* How many of the last `total` tokens of a sequence stay. */
static int tokens_to_keep(const struct kv_session *s, long total)
{
    const long window = s->engine.model->config.n_positions;
    if (total <= window)
        return (int)total;
    if (s->overflow == KV_OVERFLOW_RECOMPUTE)
        return (int)window;
    const long half = window / 2 ? window / 2 : 1;
    const long dropped = (total - window + half - 1) / half * half;
    return (int)(total - dropped);
}

/* Whether n further tokens can be had by sequence b. */
static kv_status check_room(const struct kv_session *s, int b, int n, bool all_logits, struct kv_error *error)
{
    const int window = s->engine.model->config.n_positions;
    const long total = (long)s->lengths[b] + n;
    if (total > window && s->overflow == KV_OVERFLOW_STOP)
        return kv_fail(
            error, KV_WINDOW_FULL,
            "the window's end is reached: %ld tokens, n_positions is %d; give fewer, or choose overflow recompute "
            "or shift",
            total, window);
    if (total > window && all_logits)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: logits of all of %ld positions, n_positions is %d", total,
                       window);
    if (tokens_to_keep(s, total) > s->capacity)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: %d positions, the session was made for %d",
                       tokens_to_keep(s, total), s->capacity);
    return KV_OK;
}

/* Puts tokens [n] behind those that sequence b has, and drops the oldest when they are too many: all that are left are
 * then to be run again. True when they were. */
static bool append(struct kv_session *s, int b, const int32_t *tokens, int n)
{
    const long total = (long)s->lengths[b] + n;
    const int keep = tokens_to_keep(s, total);
    const int kept_new = n < keep ? n : keep, kept_old = keep - kept_new;
    int32_t *window = s->tokens + (size_t)b * (size_t)s->capacity;
    if (keep < total)
        memmove(window, window + (s->lengths[b] - kept_old), (size_t)kept_old * sizeof *window);
    memcpy(window + kept_old, tokens + (n - kept_new), (size_t)kept_new * sizeof *window);
    if (keep < total)
        cut(s, b, 0);
    s->lengths[b] = keep;
    return keep < total;
}

/* Runs the new positions, n of each, of sequences [first, first + n_sequences) in chunks. */
static void extend(struct kv_session *s, int first, int n_sequences, int n, float *all_logits)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    const int step = s->chunk && s->chunk < n ? s->chunk : n;
    for (int begin = 0; begin < n; begin += step) {
        const int end = begin + step < n ? begin + step : n;
        struct kv_extension extension = {
            .first_sequence = first,
            .n_sequences = n_sequences,
            .n_positions = end - begin,
        };
        if (all_logits) {
            extension.n_logits = end - begin;
            extension.logits = all_logits + ((size_t)first * (size_t)n + (size_t)begin) * V;
            extension.logits_stride = (size_t)n * V;
        } else if (end == n) {
            extension.n_logits = 1;
            extension.logits = s->logits + (size_t)first * V;
            extension.logits_stride = V;
        }
        s->path->extend(s, &extension);
    }
}

/* Runs what a sequence has but its cache forgot when it was cut. */
static void catch_up(struct kv_session *s, int b)
{
    if (s->cache.lengths[b] < s->lengths[b])
        extend(s, b, 1, s->lengths[b] - s->cache.lengths[b], NULL);
}

kv_status kv_session_prefill(struct kv_session *s, const int32_t *tokens, int n_tokens, float *all_logits,
                             struct kv_error *error)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size, n = (size_t)n_tokens;
    bool over = false;
    kv_status status = check_tokens(s, tokens, s->batch, n_tokens, error);
    for (int b = 0; !status && b < s->batch; b++)
        status = check_room(s, b, n_tokens, all_logits, error);
    if (status)
        return status;
    for (int b = 0; b < s->batch; b++) {
        catch_up(s, b);
        over |= append(s, b, tokens + (size_t)b * n, n_tokens);
    }
    s->overflows += over;
    /* Neighbours with equally many positions to run are run together: all of them, unless some were dropped from. */
    for (int b = 0, end; b < s->batch; b = end) {
        const int n_new = s->lengths[b] - s->cache.lengths[b];
        for (end = b + 1; end < s->batch && s->lengths[end] - s->cache.lengths[end] == n_new;)
            end++;
        extend(s, b, end - b, n_new, all_logits);
    }
    for (int b = 0; all_logits && b < s->batch; b++)
        memcpy(s->logits + (size_t)b * V, all_logits + ((size_t)(b + 1) * n - 1) * V, V * sizeof(float));
    s->has_logits = true;
    return KV_OK;
}

kv_status kv_session_prefill_same(struct kv_session *s, const int32_t *tokens, int n_tokens, struct kv_error *error)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    const bool copies = s->path->keeps;
    kv_status status = check_tokens(s, tokens, 1, n_tokens, error);
    for (int b = 0; !status && b < s->batch; b++)
        status = s->lengths[b] ? kv_fail(error, KV_ERROR_ARGUMENT,
                                         "sequence %d: it has %d positions, and is to be empty", b, s->lengths[b])
                               : check_room(s, b, n_tokens, false, error);
    if (status)
        return status;
    for (int b = 0; b < s->batch; b++)
        s->overflows += append(s, b, tokens, n_tokens) && b == 0;
    extend(s, 0, copies ? 1 : s->batch, s->lengths[0], NULL);
    for (int b = 1; copies && b < s->batch; b++) {
        s->cache.kind->copy(&s->cache, 0, b);
        s->cache.lengths[b] = s->cache.lengths[0];
        memcpy(s->logits + (size_t)b * V, s->logits, V * sizeof *s->logits);
    }
    s->has_logits = true;
    return KV_OK;
}

kv_status kv_session_append(struct kv_session *s, const int *n_tokens, const int32_t *tokens, float *all_logits,
                            struct kv_error *error)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    long sum = 0;
    bool over = false;
    kv_status status = KV_OK;
    for (int b = 0; !status && b < s->batch; b++) {
        status = n_tokens[b] < 0
                     ? kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: %d tokens are not at least 0", b, n_tokens[b])
                     : check_room(s, b, n_tokens[b], all_logits, error);
        sum += n_tokens[b];
    }
    if (!status)
        status = check_tokens(s, tokens, 1, (int)sum, error);
    if (status)
        return status;
    for (int b = 0; b < s->batch; tokens += n_tokens[b++]) {
        if (n_tokens[b] == 0)
            continue;
        catch_up(s, b);
        over |= append(s, b, tokens, n_tokens[b]);
        extend(s, b, 1, s->lengths[b] - s->cache.lengths[b], all_logits);
        if (all_logits) {
            all_logits += (size_t)n_tokens[b] * V;
            memcpy(s->logits + (size_t)b * V, all_logits - V, V * sizeof(float));
        }
    }
    s->overflows += over;
    s->has_logits = true;
    return KV_OK;
}

kv_status kv_session_fork(struct kv_session *s, int from, int to, struct kv_error *error)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size, capacity = (size_t)s->capacity;
    if (from < 0 || from >= s->batch || to < 0 || to >= s->batch)
        return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d cannot be given to %d: there are %d", from, to, s->batch);
    if (from == to)
        return KV_OK;
    memcpy(s->tokens + (size_t)to * capacity, s->tokens + (size_t)from * capacity,
           (size_t)s->lengths[from] * sizeof *s->tokens);
    memcpy(s->logits + (size_t)to * V, s->logits + (size_t)from * V, V * sizeof *s->logits);
    if (s->path->keeps)
        s->cache.kind->copy(&s->cache, from, to);
    s->cache.lengths[to] = s->cache.lengths[from];
    s->lengths[to] = s->lengths[from];
    return KV_OK;
}

kv_status kv_session_decode(struct kv_session *s, const int32_t *tokens, struct kv_error *error)
{
    return kv_session_prefill(s, tokens, 1, NULL, error);
}

const float *kv_session_logits(const struct kv_session *s)
{
    return s->logits;
}

struct selection {
    const struct kv_session *session;
    int32_t *tokens;
};

static void select_job(void *argument, int rank)
{
    const struct selection *job = argument;
    const struct kv_session *s = job->session;
    const int V = s->engine.model->config.vocab_size;
    kv_lap(&s->engine, rank, KV_PART_WAITING);
    for (int b = rank; b < s->batch; b += kv_pool_size(s->engine.pool))
        job->tokens[b] = s->engine.kernels->argmax(s->logits + (size_t)b * (size_t)V, V);
    kv_lap(&s->engine, rank, KV_PART_SELECTION);
}

kv_status kv_session_greedy(struct kv_session *s, int32_t *tokens, struct kv_error *error)
{
    if (!s->has_logits)
        return kv_fail(error, KV_ERROR_ARGUMENT, "no token can be selected: there are no logits before a prefill");
    struct selection job = {s, tokens};
    kv_engine_run(&s->engine, select_job, &job);
    for (int b = 0; b < s->batch; b++)
        if (tokens[b] < 0)
            return kv_fail(error, KV_ERROR_NUMERIC,
                           "sequence %d: a logit is not a number; the weights hold NaN or overflow", b);
    return KV_OK;
}

void kv_session_observe(struct kv_session *s, const struct kv_observer *observer)
{
    s->engine.observer = observer;
}

/* ---- What is in force ---------------------------------------------------------------------------------------- */

const int *kv_session_lengths(const struct kv_session *s)
{
    return s->lengths;
}

int kv_session_overflows(const struct kv_session *s)
{
    return s->overflows;
}

size_t kv_session_kv_live_bytes(const struct kv_session *s)
{
    return s->path->keeps ? s->cache.kind->live_bytes(&s->cache) : 0;
}

size_t kv_session_kv_reserved_bytes(const struct kv_session *s)
{
    return s->path->keeps ? s->cache.kind->reserved_bytes(&s->cache) : 0;
}

size_t kv_session_bytes(const struct kv_session *s)
{
    return s->block.bytes;
}

const char *kv_session_path(const struct kv_session *s)
{
    return s->path->choice.name;
}

const char *kv_session_cache(const struct kv_session *s)
{
    return s->path->keeps || s->cache.kind->budget ? s->cache_name : "";
}

const char *kv_session_kv(const struct kv_session *s)
{
    return s->path->keeps ? kv_cache_kv_name(s->cache.kind) : "";
}

const char *kv_session_matmul(const struct kv_session *s)
{
    return s->engine.matmul->choice.name;
}

const char *kv_session_isa(const struct kv_session *s)
{
    return s->engine.kernels->choice.name;
}
