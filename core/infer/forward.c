/* x = wte[token] + wpe[position]
 * for each layer:   x += attn_proj(attention(c_attn(ln_1(x))))
 *                   x += mlp_proj(gelu(c_fc(ln_2(x))))
 * logits = ln_f(x) wte^T
 *
 * All threads run the whole pass side by side. Rows (one new position of one sequence each; of a sequence as many as it
 * has new ones) are divided for what works on a row, columns for a matrix product, heads for attention; a barrier
 * stands wherever a thread goes on to read what another one wrote. */
#include "infer/infer.h"

#include <limits.h>
#include <math.h>
#include <string.h>

struct job {
    const struct kv_engine *engine;
    const struct kv_cache *cache;
    const struct kv_span *spans;
    int n_spans;
    int n_rows, n_logits; /* of all spans */
    int n_ranks;
    bool is_split;    /* heads along the context */
    bool is_gathered; /* logits, before they go to their places */
};

struct range {
    int begin, end;
};

static struct range share(int n, int rank, int n_ranks)
{
    return (struct range){(int)((long)n * rank / n_ranks), (int)((long)n * (rank + 1) / n_ranks)};
}

/* What a range has of those n that begin at `first`, counted from there. */
static struct range within(struct range range, int first, int n)
{
    const int begin = range.begin - first, end = range.end - first;
    return (struct range){begin > 0 ? begin : 0, end < n ? end : n};
}

/* Of its new positions. */
static int first_position(const struct job *job, const struct kv_span *span)
{
    return job->cache->lengths[span->in_cache];
}

static void embed(const struct job *job, struct range rows)
{
    const struct kv_model *model = job->engine->model;
    const int C = model->config.n_embd;
    for (const struct kv_span *span = job->spans; span < job->spans + job->n_spans; span++) {
        const struct range mine = within(rows, span->row, span->n_positions);
        for (int i = mine.begin; i < mine.end; i++) {
            const int t = first_position(job, span) + i;
            const float *position = model->wpe + (size_t)t * (size_t)C;
            float *x = job->engine->work.x + (size_t)(span->row + i) * (size_t)C;
            model->format->unpack_column(&model->wte, span->tokens[t], x);
            for (int c = 0; c < C; c++)
                x[c] += position[c];
        }
    }
}

/* h[row] = layer_norm(x[row]) */
static void normalize(const struct job *job, struct range rows, const float *gain, const float *bias)
{
    const struct kv_engine *e = job->engine;
    const int C = e->model->config.n_embd;
    for (int row = rows.begin; row < rows.end; row++)
        e->kernels->layer_norm(e->work.x + (size_t)row * (size_t)C, gain, bias, e->model->config.layer_norm_epsilon,
                               e->work.h + (size_t)row * (size_t)C, C);
}

/* y [rows of the pass, n] = epilogue(x [.., k] w + bias), or y += x w + bias */
static void linear(const struct job *job, int rank, const float *x, const struct kv_matrix *w, const float *bias,
                   float *y, bool accumulate, enum kv_epilogue epilogue)
{
    const struct kv_matmul_task task = {
        .x = x,
        .x_stride = (size_t)w->k,
        .w = w,
        .bias = bias,
        .y = y,
        .y_stride = (size_t)w->n,
        .m = job->n_rows,
        .accumulate = accumulate,
        .epilogue = epilogue,
    };
    kv_matmul(job->engine->matmul, job->engine->kernels, &task, rank, job->n_ranks);
}

/* Apart from attend(), so that its code is the same with and without an observer. */
static __attribute__((cold, noinline)) void show(const struct job *job, const struct kv_attention *a, int item,
                                                 struct kv_cache_place place)
{
    const struct kv_observer *observer = job->engine->observer;
    const int n_head = job->engine->model->config.n_head;
    const struct kv_span *span = &job->spans[item / n_head];
    const struct kv_attention_view view = {
        .layer = place.layer,
        .head = item % n_head,
        .sequence = span->sequence,
        .n_positions = a->first_position + a->n_queries,
        .head_size = a->head_size,
        .query = a->queries + (size_t)(a->n_queries - 1) * a->query_stride,
        .kept = job->cache,
        .kept_sequence = place.sequence,
        .kept_head = place.head,
    };
    if (span->n_logits > 0)
        observer->attention(observer->context, &view);
}

/* Of one head of one span, item = span * n_head + head: what is asked of its place in the cache. */
static struct kv_attention attention_of(const struct job *job, int rank, int layer, int item,
                                        struct kv_cache_place *place)
{
    const struct kv_engine *e = job->engine;
    const int C = e->model->config.n_embd, n_head = e->model->config.n_head, head_size = C / n_head;
    const struct kv_span *span = &job->spans[item / n_head];
    const size_t row = (size_t)span->row, column = (size_t)(item % n_head) * (size_t)head_size;
    *place = (struct kv_cache_place){layer, span->in_cache, item % n_head};
    return (struct kv_attention){
        .queries = e->work.qkv + row * 3 * (size_t)C + column,
        .query_stride = 3 * (size_t)C,
        .n_queries = span->n_positions,
        .first_position = first_position(job, span),
        .head_size = head_size,
        .scale = 1.0f / sqrtf((float)head_size),
        .out = e->work.h + row * (size_t)C + column,
        .out_stride = (size_t)C,
        .scratch = e->work.scratch + (size_t)rank * e->scratch,
    };
}

/* Keeps the new keys and values: they lie behind the queries. */
static void keep(const struct job *job, const struct kv_attention *a, struct kv_cache_place place)
{
    const struct kv_cache *cache = job->cache;
    const int C = job->engine->model->config.n_embd;
    cache->kind->append(cache, place, a->n_queries, a->queries + C, a->queries + 2 * C, a->query_stride);
}

static void keep_and_attend(const struct job *job, struct kv_attention *a, struct kv_cache_place place)
{
    const struct kv_cache *cache = job->cache;
    const int C = job->engine->model->config.n_embd;
    if (cache->kind->extend) {
        cache->kind->extend(cache, place, job->engine->kernels, a, a->queries + C, a->queries + 2 * C);
    } else {
        keep(job, a, place);
        cache->kind->attend(cache, place, job->engine->kernels, a);
    }
}

static int parts_of(const struct kv_attention *a)
{
    return (a->first_position + a->n_queries - 1) / KV_ATTENTION_PART + 1;
}

/* Whether heads are split along the context: where there are so few that whole ones leave threads waiting for a third
 * of the longest thread's time or more. */
static bool is_split(const struct job *job)
{
    const int n_head = job->engine->model->config.n_head, n_items = job->n_spans * n_head;
    long n_parts = 0, most = 0;
    if (job->cache->kind->extend || job->n_rows > job->n_spans || n_items > KV_SPLIT_HEADS * job->n_ranks)
        return false;
    for (const struct kv_span *span = job->spans; span < job->spans + job->n_spans; span++) {
        const long parts = first_position(job, span) / KV_ATTENTION_PART + 1;
        n_parts += parts * n_head;
        most = parts > most ? parts : most;
    }
    const long whole = (n_items + job->n_ranks - 1) / job->n_ranks * most;
    const long split = (n_parts + job->n_ranks - 1) / job->n_ranks;
    return 4 * split <= 3 * whole;
}

/* Positions that the queries of one head of a span attend to. */
static long attended(const struct job *job, const struct kv_span *span)
{
    const struct kv_cache *cache = job->cache;
    const long n = span->n_positions, first = first_position(job, span);
    const long most = cache->kind->budget ? cache->kind->budget(cache->numbers) : INT_MAX;
    const long growing = first + n < most ? n : first < most ? most - first : 0; /* queries that see one more each */
    return growing * first + growing * (growing + 1) / 2 + (n - growing) * most;
}

/* The items of each rank, so that all attend to about as many positions: of spans alike, as many items. */
static struct range share_heads(const struct job *job, int rank)
{
    const int n_head = job->engine->model->config.n_head;
    const struct kv_span *end = job->spans + job->n_spans;
    int bounds[2];
    long all = 0;
    for (const struct kv_span *span = job->spans; span < end; span++)
        all += n_head * attended(job, span);
    for (int i = 0; i < 2; i++) {
        long left = all * (rank + i) / job->n_ranks;
        const struct kv_span *span = job->spans;
        while (span < end && left >= n_head * attended(job, span))
            left -= n_head * attended(job, span++);
        bounds[i] = (int)(span - job->spans) * n_head + (span < end ? (int)(left / attended(job, span)) : 0);
    }
    return (struct range){bounds[0], bounds[1]};
}

/* Parts are shared out in the order of heads; then every head's are joined. */
static void attend_split(const struct job *job, int rank, int layer, int n_items)
{
    const struct kv_engine *e = job->engine;
    const struct kv_cache *cache = job->cache;
    const int capacity_parts = (e->capacity + KV_ATTENTION_PART - 1) / KV_ATTENTION_PART;
    const size_t size = 2 + (size_t)cache->head_size, item_size = (size_t)capacity_parts * size;
    struct kv_cache_place place;
    int n_units = 0, unit = 0;
    for (int item = 0; item < n_items; item++) {
        const struct kv_attention a = attention_of(job, rank, layer, item, &place);
        n_units += parts_of(&a);
    }
    const struct range mine = share(n_units, rank, job->n_ranks);
    for (int item = 0; item < n_items; item++) {
        struct kv_attention a = attention_of(job, rank, layer, item, &place);
        for (a.part = 0; a.part < parts_of(&a); a.part++, unit++) {
            if (unit < mine.begin || unit >= mine.end)
                continue;
            if (a.part == parts_of(&a) - 1)
                keep(job, &a, place); /* the new position is in the last part */
            a.partial = e->work.partials + (size_t)item * item_size + (size_t)a.part * size;
            cache->kind->attend(cache, place, e->kernels, &a);
        }
    }
    kv_meet(e, rank, KV_PART_ATTENTION);
    const struct range heads = share(n_items, rank, job->n_ranks);
    for (int item = heads.begin; item < heads.end; item++) {
        const struct kv_attention a = attention_of(job, rank, layer, item, &place);
        e->kernels->attention_join(e->work.partials + (size_t)item * item_size, parts_of(&a), a.head_size, a.out);
        if (e->observer)
            show(job, &a, item, place);
    }
}

/* One span's one head at a time: keep its new keys and values, then attend to all there are. */
static void attend(const struct job *job, int rank, struct range heads, int layer)
{
    const struct kv_engine *e = job->engine;
    if (job->is_split) {
        attend_split(job, rank, layer, job->n_spans * e->model->config.n_head);
        return;
    }
    for (int item = heads.begin; item < heads.end; item++) {
        struct kv_cache_place place;
        struct kv_attention a = attention_of(job, rank, layer, item, &place);
        keep_and_attend(job, &a, place);
        if (e->observer)
            show(job, &a, item, place);
    }
}

static void run_layer(const struct job *job, int rank, struct range rows, struct range heads, int layer)
{
    const struct kv_engine *e = job->engine;
    const struct kv_config *c = &e->model->config;
    const struct kv_layer_weights *w = &e->model->layers[layer];
    const struct kv_workspace *work = &e->work;
    const enum kv_epilogue gelu = c->activation == KV_GELU ? KV_EPILOGUE_GELU : KV_EPILOGUE_GELU_NEW;

    normalize(job, rows, w->ln_1_weight, w->ln_1_bias);
    kv_meet(e, rank, KV_PART_NORMS);
    linear(job, rank, work->h, &w->c_attn_weight, w->c_attn_bias, work->qkv, false, KV_EPILOGUE_NONE);
    kv_meet(e, rank, KV_PART_QKV);
    attend(job, rank, heads, layer);
    kv_meet(e, rank, KV_PART_ATTENTION);
    linear(job, rank, work->h, &w->attn_proj_weight, w->attn_proj_bias, work->x, true, KV_EPILOGUE_NONE);
    kv_meet(e, rank, KV_PART_PROJECTION);

    normalize(job, rows, w->ln_2_weight, w->ln_2_bias);
    kv_meet(e, rank, KV_PART_NORMS);
    linear(job, rank, work->h, &w->c_fc_weight, w->c_fc_bias, work->inner, false, gelu);
    kv_meet(e, rank, KV_PART_MLP);
    linear(job, rank, work->inner, &w->mlp_proj_weight, w->mlp_proj_bias, work->x, true, KV_EPILOGUE_NONE);
    kv_meet(e, rank, KV_PART_MLP);
}

/* Only the positions whose logits were asked for go through the final norm and the LM head. */
static void normalize_last(const struct job *job, int rank)
{
    const struct kv_engine *e = job->engine;
    const struct kv_config *c = &e->model->config;
    const size_t C = (size_t)c->n_embd;
    const struct range rows = share(job->n_logits, rank, job->n_ranks);
    for (const struct kv_span *span = job->spans; span < job->spans + job->n_spans; span++) {
        const struct range mine = within(rows, span->logits_row, span->n_logits);
        const int first = span->row + span->n_positions - span->n_logits;
        for (int i = mine.begin; i < mine.end; i++)
            e->kernels->layer_norm(e->work.x + (size_t)(first + i) * C, e->model->ln_f_weight, e->model->ln_f_bias,
                                   c->layer_norm_epsilon, e->work.last + (size_t)(span->logits_row + i) * C, c->n_embd);
    }
}

/* logits = last[first .. first + m) wte^T */
static void multiply_head(const struct job *job, int rank, int first, int m, float *logits)
{
    const struct kv_engine *e = job->engine;
    const size_t C = (size_t)e->model->config.n_embd;
    const struct kv_matmul_task task = {
        .x = e->work.last + (size_t)first * C,
        .x_stride = C,
        .w = &e->model->wte,
        .y = logits,
        .y_stride = (size_t)e->model->config.vocab_size,
        .m = m,
    };
    kv_matmul(e->matmul, e->kernels, &task, rank, job->n_ranks);
}

/* Logits of neighbouring spans that lie side by side. */
struct run {
    int end;       /* the span behind them */
    int n;         /* rows */
    float *logits; /* [n, V] */
};

static struct run run_from(const struct job *job, int first)
{
    const size_t V = (size_t)job->engine->model->config.vocab_size;
    struct run run = {first, 0, NULL};
    for (; run.end < job->n_spans; run.end++) {
        const struct kv_span *span = &job->spans[run.end];
        if (span->n_logits == 0)
            continue;
        if (run.n && span->logits != run.logits + (size_t)run.n * V)
            break;
        run.logits = run.n ? run.logits : span->logits;
        run.n += span->n_logits;
    }
    return run;
}

/* Gathered logits to where they belong. */
static void scatter(const struct job *job, int rank)
{
    const size_t V = (size_t)job->engine->model->config.vocab_size;
    const struct range rows = share(job->n_logits, rank, job->n_ranks);
    for (const struct kv_span *span = job->spans; span < job->spans + job->n_spans; span++) {
        const struct range mine = within(rows, span->logits_row, span->n_logits);
        for (int i = mine.begin; i < mine.end; i++)
            memcpy(span->logits + (size_t)i * V, job->engine->work.gathered + (size_t)(span->logits_row + i) * V,
                   V * sizeof(float));
    }
}

/* As few products as can be, since each reads the LM head: one where all logits lie side by side, as they do when a
 * whole batch decodes, and one where they can be gathered. */
static void run_head(const struct job *job, int rank)
{
    const struct kv_engine *e = job->engine;
    normalize_last(job, rank);
    kv_meet(e, rank, KV_PART_NORMS);
    if (job->is_gathered) {
        multiply_head(job, rank, 0, job->n_logits, e->work.gathered);
        kv_meet(e, rank, KV_PART_HEAD);
        scatter(job, rank);
    } else {
        for (int i = 0; i < job->n_spans;) {
            const struct run run = run_from(job, i);
            if (run.n)
                multiply_head(job, rank, job->spans[i].logits_row, run.n, run.logits);
            i = run.end;
        }
    }
    kv_lap(e, rank, KV_PART_HEAD);
}

static void run(void *argument, int rank)
{
    const struct job *job = argument;
    const struct range rows = share(job->n_rows, rank, job->n_ranks), heads = share_heads(job, rank);
    kv_lap(job->engine, rank, KV_PART_WAITING);
    embed(job, rows);
    kv_lap(job->engine, rank, KV_PART_EMBEDDING);
    for (int layer = 0; layer < job->engine->model->config.n_layer; layer++)
        run_layer(job, rank, rows, heads, layer);
    if (job->n_logits > 0)
        run_head(job, rank);
}

void kv_forward(const struct kv_engine *engine, const struct kv_cache *cache, struct kv_span *spans, int n_spans)
{
    struct job job = {
        .engine = engine, .cache = cache, .spans = spans, .n_spans = n_spans, .n_ranks = kv_pool_size(engine->pool)};
    for (int i = 0; i < n_spans; i++) {
        spans[i].row = job.n_rows;
        spans[i].logits_row = job.n_logits;
        job.n_rows += spans[i].n_positions;
        job.n_logits += spans[i].n_logits;
    }
    job.is_split = is_split(&job);
    job.is_gathered = run_from(&job, 0).end < n_spans && job.n_logits <= engine->n_gathered;
    kv_engine_run(engine, run, &job);
}
