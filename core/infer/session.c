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

/* ---- The window's end ------------------------------------------------------------------------------------------ */

static const struct kv_choice overflows[] = {
    [KV_OVERFLOW_STOP] = {"stop", "generation ends there"},
    [KV_OVERFLOW_RECOMPUTE] = {"recompute", "every step runs the last n_positions tokens again"},
    [KV_OVERFLOW_SHIFT] = {"shift", "the older half is dropped, the rest is run again"},
};
enum { N_OVERFLOWS = sizeof overflows / sizeof overflows[0] };

const struct kv_choice *kv_overflow_choice(int index)
{
    return index >= 0 && index < N_OVERFLOWS ? &overflows[index] : NULL;
}

int kv_overflow_kept(enum kv_overflow overflow, int n_positions, long n_tokens)
{
    const long window = n_positions, half = window / 2 ? window / 2 : 1;
    if (n_tokens <= window)
        return (int)n_tokens;
    if (overflow != KV_OVERFLOW_SHIFT)
        return (int)window;
    return (int)(n_tokens - (n_tokens - window + half - 1) / half * half);
}

/* ---- Creation: one block for everything ---------------------------------------------------------------------- */

struct offsets {
    size_t lengths, kept, tokens, logits, wanted, passed, gathered, x, h, qkv, inner, last, scratch, partials;
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
    at->wanted = kv_layout_add(&layout, B, 1, sizeof *s->wanted);
    at->passed = kv_layout_add(&layout, B, 1, sizeof *s->passed);
    at->gathered = kv_layout_add(&layout, (size_t)s->engine.n_gathered, (size_t)c->vocab_size, F);
    s->cache.kind->lay_out(&s->cache, &layout);
    at->x = kv_layout_add(&layout, rows, C, F);
    at->h = kv_layout_add(&layout, rows, C, F);
    at->qkv = kv_layout_add(&layout, rows, 3 * C, F);
    at->inner = kv_layout_add(&layout, rows, (size_t)c->n_inner, F);
    at->last = kv_layout_add(&layout, rows, C, F);
    s->engine.scratch = s->cache.scratch;
    at->scratch = kv_layout_add(&layout, n_threads, s->engine.scratch, F);
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

static kv_status allocate(struct kv_session *s, const struct kv_session_options *options, struct kv_error *error)
{
    const struct kv_config *c = &s->engine.model->config;
    struct offsets at;
    s->cache.n_layer = c->n_layer;
    s->cache.n_kv_head = c->n_head;
    s->cache.head_size = c->n_embd / c->n_head;
    s->cache.batch = s->batch;
    s->cache.capacity = kv_round_to_key_block(s->capacity);
    s->cache.pool = options->pool;
    s->engine.capacity = s->capacity;
    s->engine.n_gathered = s->batch > 1 ? s->batch : 0;
    s->engine.max_rows = s->path->plan(&s->cache, s->capacity);
    const struct kv_layout layout = lay_out(s, &at);
    const kv_status status = kv_block_allocate(&s->block, &layout, "session (cache and activations)", error);
    if (status)
        return status;
    s->lengths = (int *)(void *)(s->block.base + at.lengths);
    s->tokens = (int32_t *)(void *)(s->block.base + at.tokens);
    s->logits = floats_at(s, at.logits);
    s->wanted = (struct kv_span *)(void *)(s->block.base + at.wanted);
    s->passed = (struct kv_span *)(void *)(s->block.base + at.passed);
    s->cache.base = s->cache.pages.base = s->block.base;
    s->cache.lengths = (int *)(void *)(s->block.base + at.kept);
    struct kv_workspace *work = &s->engine.work;
    work->gathered = floats_at(s, at.gathered);
    work->x = floats_at(s, at.x);
    work->h = floats_at(s, at.h);
    work->qkv = floats_at(s, at.qkv);
    work->inner = floats_at(s, at.inner);
    work->last = floats_at(s, at.last);
    work->scratch = floats_at(s, at.scratch);
    work->partials = floats_at(s, at.partials);
    kv_pool_run(s->engine.pool, prepare_job, s);
    s->cache.kind->start(&s->cache);
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
    if (o->pool < 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "pool: %d positions are not at least 0", o->pool);
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
        status = allocate(s, options, error);
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

/* What is to be appended: `each` tokens to every sequence, or n_tokens[b] where that is given. */
struct request {
    const int *n_tokens; /* [B] or NULL */
    int each;
    const int32_t *tokens; /* those of one sequence after those of the one before */
    float *all_logits;     /* [.., V], in the same order, or NULL */
    bool no_logits;        /* not even the last ones */
};

static int asked(const struct request *r, int b)
{
    return r->n_tokens ? r->n_tokens[b] : r->each;
}

/* How many of the last `total` tokens of a sequence stay. */
static int tokens_to_keep(const struct kv_session *s, long total)
{
    return kv_overflow_kept(s->overflow, s->engine.model->config.n_positions, total);
}

/* Whether sequence b has room for n further tokens. */
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

/* Blocks that n further tokens of sequence b take from the cache's pool. */
static long blocks_for(const struct kv_session *s, int b, int n)
{
    const long total = (long)s->lengths[b] + n;
    const int keep = tokens_to_keep(s, total);
    return s->cache.pool && n > 0 ? s->cache.kind->wants(&s->cache, b, keep < total ? 0 : s->cache.lengths[b], keep)
                                  : 0;
}

static kv_status check_pool(const struct kv_session *s, long n_blocks, struct kv_error *error)
{
    if (!kv_cache_is_short(&s->cache, n_blocks))
        return KV_OK;
    return kv_fail(
        error, KV_POOL_FULL,
        "the pool of the cache is full: %ld blocks are needed, %d of %d are free; reset or cut a sequence, or "
        "make the pool larger",
        n_blocks, s->cache.pages.n_free, s->cache.pages.n_blocks);
}

/* Whether all of it can be had by the first n_sequences, blocks of a pool aside. */
static kv_status check(const struct kv_session *s, const struct request *r, int n_sequences, struct kv_error *error)
{
    const int V = s->engine.model->config.vocab_size;
    kv_status status = KV_OK;
    long sum = 0;
    for (int b = 0; b < n_sequences; sum += asked(r, b++))
        if (asked(r, b) < 0)
            return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: %d tokens are not at least 0", b, asked(r, b));
    if (sum < 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: at least 1 is needed, %ld were given", sum);
    for (long i = 0; i < sum; i++)
        if (r->tokens[i] < 0 || r->tokens[i] >= V)
            return kv_fail(error, KV_ERROR_ARGUMENT, "tokens: %d is not in 0..%d (the model's vocab_size is %d)",
                           r->tokens[i], V - 1, V);
    for (int b = 0; !status && b < n_sequences; b++)
        status = check_room(s, b, asked(r, b), r->all_logits, error);
    return status;
}

/* The same of the blocks, where each sequence takes its own. */
static kv_status check_blocks(const struct kv_session *s, const struct request *r, struct kv_error *error)
{
    long n_blocks = 0;
    for (int b = 0; b < s->batch; b++)
        n_blocks += blocks_for(s, b, asked(r, b));
    return check_pool(s, n_blocks, error);
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

/* Gives sequence `to` all that sequence `from` has; `shares`: blocks too, where the cache has any. */
static void copy_sequence(struct kv_session *s, int from, int to, bool shares)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size, capacity = (size_t)s->capacity;
    memcpy(s->tokens + (size_t)to * capacity, s->tokens + (size_t)from * capacity,
           (size_t)s->lengths[from] * sizeof *s->tokens);
    memcpy(s->logits + (size_t)to * V, s->logits + (size_t)from * V, V * sizeof *s->logits);
    if (s->path->keeps && shares && s->cache.kind->share)
        s->cache.kind->share(&s->cache, from, to);
    else if (s->path->keeps)
        s->cache.kind->copy(&s->cache, from, to);
    s->cache.lengths[to] = s->cache.lengths[from];
    s->lengths[to] = s->lengths[from];
}

/* Puts into s->wanted what is left to run of the first n_sequences, at most `chunk` positions of each. Returns of how
 * many it is. */
static int want(struct kv_session *s, const struct request *r, int n_sequences)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    float *all_logits = r->all_logits;
    int n = 0;
    for (int b = 0; b < n_sequences; b++) {
        const int left = s->lengths[b] - s->cache.lengths[b];
        struct kv_span *span = &s->wanted[n];
        n += left > 0;
        *span = (struct kv_span){.sequence = b,
                                 .tokens = s->tokens + (size_t)b * (size_t)s->capacity,
                                 .n_positions = s->chunk && s->chunk < left ? s->chunk : left};
        if (all_logits) {
            span->n_logits = span->n_positions;
            span->logits = all_logits + (size_t)(asked(r, b) - left) * V;
            all_logits += (size_t)asked(r, b) * V;
        } else if (span->n_positions == left && !r->no_logits) {
            span->n_logits = 1;
            span->logits = s->logits + (size_t)b * V;
        }
    }
    return n;
}

/* Runs all that the first n_sequences have and the cache has not. */
static void run(struct kv_session *s, const struct request *r, int n_sequences)
{
    if (s->path->keeps && s->cache.kind->reserve)
        s->cache.kind->reserve(&s->cache, s->lengths);
    for (int n; (n = want(s, r, n_sequences));)
        s->path->extend(s, n);
}

/* Runs what sequences have but the cache forgot when they were cut. */
static void catch_up(struct kv_session *s)
{
    bool some = false;
    for (int b = 0; b < s->batch; b++)
        some |= s->cache.lengths[b] < s->lengths[b];
    if (some)
        run(s, &(struct request){.no_logits = true}, s->batch);
}

static kv_status append_all(struct kv_session *s, const struct request *r, struct kv_error *error)
{
    const size_t V = (size_t)s->engine.model->config.vocab_size;
    bool over = false;
    kv_status status = check(s, r, s->batch, error);
    if (!status)
        status = check_blocks(s, r, error);
    if (status)
        return status;
    catch_up(s);
    const int32_t *tokens = r->tokens;
    for (int b = 0; b < s->batch; tokens += asked(r, b++))
        over |= append(s, b, tokens, asked(r, b));
    s->overflows += over;
    run(s, r, s->batch);
    const float *end = r->all_logits;
    for (int b = 0; end && b < s->batch; b++) {
        end += (size_t)asked(r, b) * V;
        if (asked(r, b))
            memcpy(s->logits + (size_t)b * V, end - V, V * sizeof *end);
    }
    s->has_logits = true;
    return KV_OK;
}

kv_status kv_session_prefill(struct kv_session *s, const int32_t *tokens, int n_tokens, float *all_logits,
                             struct kv_error *error)
{
    return append_all(s, &(struct request){.each = n_tokens, .tokens = tokens, .all_logits = all_logits}, error);
}

kv_status kv_session_append(struct kv_session *s, const int *n_tokens, const int32_t *tokens, float *all_logits,
                            struct kv_error *error)
{
    return append_all(s, &(struct request){.n_tokens = n_tokens, .tokens = tokens, .all_logits = all_logits}, error);
}

kv_status kv_session_decode(struct kv_session *s, const int32_t *tokens, struct kv_error *error)
{
    return kv_session_prefill(s, tokens, 1, NULL, error);
}

static kv_status check_empty(const struct kv_session *s, struct kv_error *error)
{
    for (int b = 0; b < s->batch; b++)
        if (s->lengths[b])
            return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d: it has %d positions, and is to be empty", b,
                           s->lengths[b]);
    return KV_OK;
}

kv_status kv_session_prefill_same(struct kv_session *s, const int32_t *tokens, int n_tokens, struct kv_error *error)
{
    const struct request request = {.each = n_tokens, .tokens = tokens};
    const bool copies = s->path->keeps;
    kv_status status = check_empty(s, error);
    if (!status)
        status = check(s, &request, 1, error);
    if (!status)
        status = check_blocks(s, &request, error);
    if (status)
        return status;
    for (int b = 0; b < s->batch; b++)
        s->overflows += append(s, b, tokens, n_tokens) && b == 0;
    run(s, &request, copies ? 1 : s->batch);
    for (int b = 1; copies && b < s->batch; b++)
        copy_sequence(s, 0, b, false);
    s->has_logits = true;
    return KV_OK;
}

static kv_status check_prefix(const struct kv_session *s, const int32_t *tokens, int n_tokens, int n_prefix,
                              struct kv_error *error)
{
    if (n_prefix < 0 || n_prefix > n_tokens)
        return kv_fail(error, KV_ERROR_ARGUMENT, "prefix: %d is not in 0..%d (the prompt's tokens)", n_prefix,
                       n_tokens);
    for (int b = 1; b < s->batch; b++)
        if (memcmp(tokens, tokens + (size_t)b * (size_t)n_tokens, (size_t)n_prefix * sizeof *tokens) != 0)
            return kv_fail(error, KV_ERROR_ARGUMENT, "prefix: sequences 0 and %d differ in their first %d tokens", b,
                           n_prefix);
    /* blocks that the prefix fills are taken once */
    const long all = blocks_for(s, 0, n_tokens), full = s->cache.pool ? blocks_for(s, 0, n_prefix + 1) - 1 : 0;
    return check_pool(s, s->batch * (all - full) + full, error);
}

kv_status kv_session_prefill_prefix(struct kv_session *s, const int32_t *tokens, int n_tokens, int n_prefix,
                                    struct kv_error *error)
{
    /* The last token's logits are every sequence's own: at least one is run in each. */
    const int n_shared = n_prefix < n_tokens ? n_prefix : n_tokens - 1, n_rest = n_tokens - n_shared;
    const struct request prefix = {.each = n_shared, .tokens = tokens, .no_logits = true}, rest = {.each = n_rest};
    kv_status status = check_empty(s, error);
    if (!status)
        status = check(s, &(struct request){.each = n_tokens, .tokens = tokens}, s->batch, error);
    if (!status)
        status = check_prefix(s, tokens, n_tokens, n_prefix, error);
    if (status)
        return status;
    if (!s->path->keeps || n_shared < 1 || n_tokens > s->engine.model->config.n_positions)
        return kv_session_prefill(s, tokens, n_tokens, NULL, error);
    append(s, 0, tokens, n_shared);
    run(s, &prefix, 1);
    for (int b = 1; b < s->batch; b++)
        copy_sequence(s, 0, b, true);
    for (int b = 0; b < s->batch; b++)
        append(s, b, tokens + (size_t)b * (size_t)n_tokens + n_shared, n_rest);
    run(s, &rest, s->batch);
    s->has_logits = true;
    return KV_OK;
}

kv_status kv_session_fork(struct kv_session *s, int from, int to, struct kv_error *error)
{
    if (from < 0 || from >= s->batch || to < 0 || to >= s->batch)
        return kv_fail(error, KV_ERROR_ARGUMENT, "sequence %d cannot be given to %d: there are %d", from, to, s->batch);
    if (from != to)
        copy_sequence(s, from, to, true);
    return KV_OK;
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
