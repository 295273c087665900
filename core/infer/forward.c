/* x = wte[token] + wpe[position]
 * for each layer:   x += attn_proj(attention(c_attn(ln_1(x))))
 *                   x += mlp_proj(gelu(c_fc(ln_2(x))))
 * logits = ln_f(x) wte^T
 *
 * All threads run the whole pass side by side. Rows (one new position of one sequence each) are divided for
 * what works on a row, columns for a matrix product, heads for attention; a barrier stands wherever a thread goes
 * on to read what another one wrote. */
#include "infer/infer.h"

#include <math.h>

struct job {
    const struct kv_engine *engine;
    const struct kv_pass *pass;
    int n_ranks;
};

struct range {
    int begin, end;
};

static struct range share(int n, int rank, int n_ranks)
{
    return (struct range){(int)((long)n * rank / n_ranks), (int)((long)n * (rank + 1) / n_ranks)};
}

/* Of the new positions of the pass's sequence `b`. */
static int first_position(const struct kv_pass *pass, int b)
{
    return pass->cache->lengths[pass->first_in_cache + b];
}

static void embed(const struct job *job, struct range rows)
{
    const struct kv_model *model = job->engine->model;
    const struct kv_pass *pass = job->pass;
    const int C = model->config.n_embd;
    for (int row = rows.begin; row < rows.end; row++) {
        const int b = row / pass->n_positions, t = first_position(pass, b) + row % pass->n_positions;
        const int token = pass->tokens[(size_t)b * pass->token_stride + (size_t)t];
        const float *position = model->wpe + (size_t)t * (size_t)C;
        float *x = job->engine->work.x + (size_t)row * (size_t)C;
        model->format->unpack_column(&model->wte, token, x);
        for (int c = 0; c < C; c++)
            x[c] += position[c];
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
        .m = job->pass->n_sequences * job->pass->n_positions,
        .accumulate = accumulate,
        .epilogue = epilogue,
    };
    kv_matmul(job->engine->matmul, job->engine->kernels, &task, rank, job->n_ranks);
}

/* Apart from attend(), so that its code is the same with and without an observer. */
static __attribute__((cold, noinline)) void show(const struct job *job, const struct kv_attention *a, int head,
                                                 struct kv_cache_place place)
{
    const struct kv_observer *observer = job->engine->observer;
    const struct kv_pass *pass = job->pass;
    const struct kv_attention_view view = {
        .layer = place.layer,
        .head = head,
        .sequence = pass->first_sequence + place.sequence - pass->first_in_cache,
        .n_positions = a->first_position + a->n_queries,
        .head_size = a->head_size,
        .query = a->queries + (size_t)(a->n_queries - 1) * a->query_stride,
        .kept = pass->cache,
        .kept_sequence = place.sequence,
        .kept_head = place.head,
    };
    observer->attention(observer->context, &view);
}

/* Of one head of one sequence: what is asked of its place in the cache. */
static struct kv_attention attention_of(const struct job *job, int rank, int layer, int item,
                                        struct kv_cache_place *place)
{
    const struct kv_engine *e = job->engine;
    const struct kv_pass *pass = job->pass;
    const int C = e->model->config.n_embd, n_head = e->model->config.n_head, head_size = C / n_head;
    const int b = item / n_head, head = item % n_head;
    const size_t row = (size_t)b * (size_t)pass->n_positions, column = (size_t)head * (size_t)head_size;
    *place = (struct kv_cache_place){layer, pass->first_in_cache + b, head};
    return (struct kv_attention){
        .queries = e->work.qkv + row * 3 * (size_t)C + column,
        .query_stride = 3 * (size_t)C,
        .n_queries = pass->n_positions,
        .first_position = first_position(pass, b),
        .head_size = head_size,
        .scale = 1.0f / sqrtf((float)head_size),
        .out = e->work.h + row * (size_t)C + column,
        .out_stride = (size_t)C,
        .scratch = e->work.scratch + (size_t)rank * kv_attention_scratch(head_size),
    };
}

/* Keeps the new keys and values: they lie behind the queries. */
static void keep(const struct job *job, const struct kv_attention *a, struct kv_cache_place place)
{
    const struct kv_cache *cache = job->pass->cache;
    const int C = job->engine->model->config.n_embd;
    cache->kind->append(cache, place, a->n_queries, a->queries + C, a->queries + 2 * C, a->query_stride);
}

static void keep_and_attend(const struct job *job, struct kv_attention *a, struct kv_cache_place place)
{
    const struct kv_cache *cache = job->pass->cache;
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
    const struct kv_pass *pass = job->pass;
    const int n_head = job->engine->model->config.n_head, n_items = pass->n_sequences * n_head;
    long n_parts = 0, most = 0;
    if (pass->cache->kind->extend || pass->n_positions > 1 || n_items > KV_SPLIT_HEADS * job->n_ranks)
        return false;
    for (int b = 0; b < pass->n_sequences; b++) {
        const long parts = first_position(pass, b) / KV_ATTENTION_PART + 1;
        n_parts += parts * n_head;
        most = parts > most ? parts : most;
    }
    const long whole = (n_items + job->n_ranks - 1) / job->n_ranks * most;
    const long split = (n_parts + job->n_ranks - 1) / job->n_ranks;
    return 4 * split <= 3 * whole;
}

/* Parts are shared out in the order of heads; then every head's are joined. */
static void attend_split(const struct job *job, int rank, int layer, int n_items)
{
    const struct kv_engine *e = job->engine;
    const struct kv_cache *cache = job->pass->cache;
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
        if (e->observer && job->pass->n_logits > 0)
            show(job, &a, item % e->model->config.n_head, place);
    }
}

/* One sequence's one head at a time: keep its new keys and values, then attend to all there are. */
static void attend(const struct job *job, int rank, int layer)
{
    const struct kv_engine *e = job->engine;
    const int n_head = e->model->config.n_head, n_items = job->pass->n_sequences * n_head;
    if (is_split(job)) {
        attend_split(job, rank, layer, n_items);
    } else {
        const struct range heads = share(n_items, rank, job->n_ranks);
        for (int item = heads.begin; item < heads.end; item++) {
            struct kv_cache_place place;
            struct kv_attention a = attention_of(job, rank, layer, item, &place);
            keep_and_attend(job, &a, place);
            if (e->observer && job->pass->n_logits > 0)
                show(job, &a, item % n_head, place);
        }
    }
}

static void run_layer(const struct job *job, int rank, struct range rows, int layer)
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
    attend(job, rank, layer);
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
static void run_head(const struct job *job, int rank)
{
    const struct kv_engine *e = job->engine;
    const struct kv_pass *pass = job->pass;
    const struct kv_config *c = &e->model->config;
    const size_t C = (size_t)c->n_embd;
    const struct range rows = share(pass->n_sequences * pass->n_logits, rank, job->n_ranks);
    for (int row = rows.begin; row < rows.end; row++) {
        const int b = row / pass->n_logits, i = pass->n_positions - pass->n_logits + row % pass->n_logits;
        const float *x = e->work.x + ((size_t)b * (size_t)pass->n_positions + (size_t)i) * C;
        e->kernels->layer_norm(x, e->model->ln_f_weight, e->model->ln_f_bias, c->layer_norm_epsilon,
                               e->work.last + (size_t)row * C, c->n_embd);
    }
    kv_meet(e, rank, KV_PART_NORMS);
    /* One product for all sequences where their logits lie side by side, as in decoding. */
    const bool joined = pass->logits_stride == (size_t)pass->n_logits * (size_t)c->vocab_size;
    const int n_products = joined ? 1 : pass->n_sequences;
    const int m = joined ? pass->n_sequences * pass->n_logits : pass->n_logits;
    for (int p = 0; p < n_products; p++) {
        const struct kv_matmul_task task = {
            .x = e->work.last + (size_t)p * (size_t)m * C,
            .x_stride = C,
            .w = &e->model->wte,
            .y = pass->logits + (size_t)p * pass->logits_stride,
            .y_stride = (size_t)c->vocab_size,
            .m = m,
        };
        kv_matmul(e->matmul, e->kernels, &task, rank, job->n_ranks);
    }
    kv_lap(e, rank, KV_PART_HEAD);
}

static void run(void *argument, int rank)
{
    const struct job *job = argument;
    const struct range rows = share(job->pass->n_sequences * job->pass->n_positions, rank, job->n_ranks);
    kv_lap(job->engine, rank, KV_PART_WAITING);
    embed(job, rows);
    kv_lap(job->engine, rank, KV_PART_EMBEDDING);
    for (int layer = 0; layer < job->engine->model->config.n_layer; layer++)
        run_layer(job, rank, rows, layer);
    if (job->pass->n_logits > 0)
        run_head(job, rank);
}

void kv_forward(const struct kv_engine *engine, const struct kv_pass *pass)
{
    struct job job = {engine, pass, kv_pool_size(engine->pool)};
    kv_engine_run(engine, run, &job);
}
