/* The fixtures of kernels: a model's matrix products and its attention, each alone, called as the forward pass calls
 * them: on the pool's threads, in one parallel region, a product's columns and attention's heads shared out by rank, a
 * barrier after each. Bias, GELU and residual are part of a product where the model has them.
 *
 *   seconds    of one call, the mean over the calls of one repetition; wall clock from the first rank's start to the
 *              last one's end
 *   flops      matmul 2 rows n k; attention 4 head_size flops for each head, query and position that it sees:
 *              n_context positions in decode, n_context (n_context + 1) / 2 in all in prefill
 *   bytes      what has to come from memory: the weights and the bias of a product, the keys and values of an
 *              attention. Activations are not counted, a cache may hold them
 * Weights, keys and values stream from memory as in a step of a whole model: each call takes the next of a ring of
 * matrices (of keys and values: the next layer), and the ring is too large for the caches. */
#include "measure/fixture.h"

#include "base/error.h"
#include "base/random.h"
#include "cache/cache.h"
#include "kernels/matmul.h"
#include "machine/pass.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A call shorter than this part of a repetition is run once before it, untimed. */
#define SETTLE_PART 0.1

/* Floats of the activations. */
struct sizes {
    size_t x, y, bias, scratch; /* scratch: of one rank */
};

/* What the kernels of a run share; the activations are large enough for all that were opened so far. */
struct kv_kernel_memory {
    struct kv_block ring;
    size_t cursor; /* items of the ring that were used so far */
    struct kv_block work;
    struct sizes room;
    float *x;       /* [rows, k] input; of attention [rows, 3C] queries, keys, values */
    float *y;       /* [rows, n] output; of attention [rows, C] */
    float *bias;    /* [n] */
    float *scratch; /* [threads, kv_attention_scratch] of attention */
};

/* What one call works on. */
struct shape {
    struct kv_matrix w;    /* of a product, */
    size_t data, scales;   /*   its parts' offsets in an item of the ring */
    struct kv_cache cache; /* of attention: one layer and one sequence; its tables are apart from the ring's items */
    size_t item_bytes;     /* of the ring: one w, or one such cache; a whole number of KV_ALIGNMENT */
    struct sizes sizes;
    struct kv_work work;
};

struct span {
    int64_t start_ns, end_ns;
};

struct kernel_state {
    const struct kv_matmul_backend *backend; /* NULL: attention */
    const struct kv_kernels *kernels;
    struct kv_pool *pool;
    int n_threads;
    struct shape shape;
    char *tables; /* of the cache: what stands before its first layer */
    int length;   /* of its sequence */
    /* of the parallel region that runs */
    const struct kv_cell_run *cell;
    int64_t n_calls;
    struct span spans[KV_MAX_THREADS];
};

/* ---- Sizes ------------------------------------------------------------------------------------------ */

static bool has_bias(const struct kv_cell *cell)
{
    return strcmp(cell->point.shape, "lm_head") != 0;
}

static void shape_matmul(const struct kv_cell *cell, struct shape *shape)
{
    const struct kv_point *p = &cell->point;
    const double M = p->rows, N = p->n, K = p->k;
    const struct kv_matmul_backend *backend;
    struct kv_layout layout = {0};
    shape->w = (struct kv_matrix){.k = p->k, .n = p->n, .transposed = !has_bias(cell)};
    if (kv_format_find(cell->arm.weights, &shape->w.format, NULL) || kv_matmul_find(cell->arm.gemm, &backend, NULL))
        return; /* open says so */
    shape->w.layout = backend->layout;
    shape->w.format->lay_out(&shape->w, &layout, &shape->data, &shape->scales);
    shape->item_bytes = layout.bytes;
    shape->sizes.x = (size_t)p->rows * (size_t)p->k;
    shape->sizes.y = (size_t)p->rows * (size_t)p->n;
    shape->sizes.bias = has_bias(cell) ? (size_t)p->n : 0;
    shape->work = (struct kv_work){2 * M * N * K,
                                   shape->w.format->bytes(K, N) + (double)shape->sizes.bias * sizeof(float)};
}

static void shape_attention(const struct kv_config *config, const struct kv_cell *cell, struct shape *shape)
{
    const struct kv_point *p = &cell->point;
    const double T = p->n_context, C = config->n_embd;
    const size_t M = (size_t)p->rows, width = (size_t)config->n_embd;
    struct kv_layout layout = {0};
    shape->cache = (struct kv_cache){.n_layer = 1,
                                     .n_kv_head = config->n_head,
                                     .head_size = config->n_embd / config->n_head,
                                     .batch = 1,
                                     .capacity = kv_round_to_key_block(p->n_context)};
    if (kv_cache_find(cell->arm.cache, cell->arm.kv, &shape->cache.kind, shape->cache.numbers, NULL))
        return; /* open says so */
    shape->cache.kind->lay_out(&shape->cache, &layout);
    shape->item_bytes = layout.bytes;
    shape->sizes.x = M * 3 * width;
    shape->sizes.y = M * width;
    shape->sizes.scratch = shape->cache.scratch;
    shape->work = (struct kv_work){4 * (p->rows > 1 ? T * (T + 1) / 2 : T) * C,
                                   shape->cache.kind->bytes(shape->cache.kind, shape->cache.numbers, config, T) /
                                       config->n_layer};
}

static struct shape shape_of(const struct kv_config *config, const struct kv_cell *cell)
{
    struct shape shape = {.item_bytes = 0};
    if (cell->kind == KV_KIND_ATTENTION)
        shape_attention(config, cell, &shape);
    else
        shape_matmul(cell, &shape);
    return shape;
}

static double least_seconds(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits)
{
    const struct kv_work work = shape_of(run->settings->config, cell).work;
    return kv_limit_seconds(limits, work.bytes, work.flops);
}

static void expect(struct kv_cell_run *cell)
{
    const struct kv_work work = shape_of(cell->run->settings->config, cell->cell).work;
    kv_row_set_number(&cell->row, KV_COLUMN_FLOPS, work.flops);
    kv_row_set_number(&cell->row, KV_COLUMN_BYTES, work.bytes);
}

static void name_matmul(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "matmul/%s/%s/%s/rows:%d", cell->point.shape, cell->arm.gemm, cell->arm.isa,
             cell->point.rows);
}

static void name_attention(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "attention/%s/%s/context:%d", cell->point.shape, cell->arm.isa,
             cell->point.n_context);
}

static void describe(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "%s %s, %s, %d rows", kv_kind_info(cell->kind)->kernel, cell->point.shape,
             cell->kind == KV_KIND_MATMUL ? cell->arm.gemm : cell->arm.isa, cell->point.rows);
}

/* ---- The ring and the activations ------------------------------------------------------------------- */

static size_t ring_bytes(const struct kv_run *run)
{
    return run->settings->ring_bytes ? run->settings->ring_bytes : kv_beyond_caches(kv_plan_most_threads(run->plan));
}

/* This rank's share of n random floats within +- size, none of them denormal. */
static void draw(float *values, size_t n, float size, int rank, int n_ranks)
{
    const size_t end = n * ((size_t)rank + 1) / (size_t)n_ranks;
    for (size_t i = n * (size_t)rank / (size_t)n_ranks; i < end; i++)
        values[i] = (float)(int32_t)(kv_draw64(1, i) >> 32) * 0x1p-31f * size;
}

static void fill_ring_job(void *argument, int rank)
{
    const struct kernel_state *state = argument;
    const struct kv_block *ring = &state->cell->run->kernel_memory->ring;
    const size_t n = ring->bytes / sizeof(float), end = n * ((size_t)rank + 1) / (size_t)state->n_threads;
    draw((float *)(void *)ring->base, n, 1.0f / sqrtf((float)state->cell->run->settings->config->n_embd), rank,
         state->n_threads);
    for (size_t i = n * (size_t)rank / (size_t)state->n_threads; i < end; i++) {
        uint32_t bits;
        memcpy(&bits, ring->base + i * sizeof bits, sizeof bits);
        bits = (bits & 0xffff0000) | bits >> 16;
        memcpy(ring->base + i * sizeof bits, &bits, sizeof bits);
    }
}

/* Random float32 whose lower half is the upper one: random weights, keys and values as float32, bfloat16 or integers, in
 * any layout. Whole items, so that every shape cycles through at least ring_bytes. Made once, and only when something is
 * to be measured. */
static kv_status open_ring(struct kernel_state *state, struct kv_error *error)
{
    struct kv_run *run = state->cell->run;
    struct kv_layout largest = {0};
    if (run->kernel_memory)
        return KV_OK;
    const size_t least = ring_bytes(run);
    for (int i = 0; i < run->plan->n_cells; i++) {
        if (run->plan->cells[i].kind == KV_KIND_GENERATION)
            continue;
        const size_t item = shape_of(run->settings->config, &run->plan->cells[i]).item_bytes;
        struct kv_layout layout = {0};
        kv_layout_add(&layout, item ? least / item + 1 : 0, item, 1);
        largest.bytes = layout.bytes > largest.bytes ? layout.bytes : largest.bytes;
        largest.overflow |= layout.overflow;
    }
    struct kv_kernel_memory *memory = calloc(1, sizeof *memory);
    if (!memory)
        return kv_fail(error, KV_ERROR_MEMORY, "kernels: no memory; close other programs");
    const kv_status status = kv_block_allocate(&memory->ring, &largest, "kernels (weights beyond all caches)", error);
    if (status) {
        free(memory);
        return status;
    }
    run->kernel_memory = memory;
    kv_pool_run(state->pool, fill_ring_job, state);
    return KV_OK;
}

void kv_kernel_memory_free(struct kv_kernel_memory *memory)
{
    if (!memory)
        return;
    kv_block_free(&memory->ring);
    kv_block_free(&memory->work);
    free(memory);
}

/* Every page is written, so that no page fault is left for the timed region. */
static void fill_work_job(void *argument, int rank)
{
    const struct kernel_state *state = argument;
    const struct kv_kernel_memory *memory = state->cell->run->kernel_memory;
    const struct sizes *room = &memory->room;
    const size_t begin = room->y * (size_t)rank / (size_t)state->n_threads;
    const size_t end = room->y * ((size_t)rank + 1) / (size_t)state->n_threads;
    draw(memory->x, room->x, 1.0f, rank, state->n_threads);
    draw(memory->bias, room->bias, 0.1f, rank, state->n_threads);
    memset(memory->y + begin, 0, (end - begin) * sizeof(float));
}

static bool fits(const struct sizes *a, const struct sizes *room)
{
    return a->x <= room->x && a->y <= room->y && a->bias <= room->bias && a->scratch <= room->scratch;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Activations large enough for the cell and for all that were opened before it. */
static kv_status open_work(struct kernel_state *state, struct kv_error *error)
{
    struct kv_kernel_memory *memory = state->cell->run->kernel_memory;
    const struct sizes *own = &state->shape.sizes;
    if (fits(own, &memory->room))
        return KV_OK;
    const struct sizes room = {larger(own->x, memory->room.x), larger(own->y, memory->room.y),
                               larger(own->bias, memory->room.bias), larger(own->scratch, memory->room.scratch)};
    struct kv_block work;
    struct kv_layout layout = {0};
    const size_t x = kv_layout_add(&layout, room.x, 1, sizeof(float));
    const size_t y = kv_layout_add(&layout, room.y, 1, sizeof(float));
    const size_t bias = kv_layout_add(&layout, room.bias, 1, sizeof(float));
    const size_t scratch = kv_layout_add(&layout, room.scratch, (size_t)kv_plan_most_threads(state->cell->run->plan),
                                         sizeof(float));
    const kv_status status = kv_block_allocate(&work, &layout, "kernels (activations)", error);
    if (status)
        return status;
    kv_block_free(&memory->work);
    memory->work = work;
    memory->room = room;
    memory->x = (float *)(void *)(work.base + x);
    memory->y = (float *)(void *)(work.base + y);
    memory->bias = (float *)(void *)(work.base + bias);
    memory->scratch = (float *)(void *)(work.base + scratch);
    kv_pool_run(state->pool, fill_work_job, state);
    return KV_OK;
}

/* ---- Calls ------------------------------------------------------------------------------------------ */

/* As run_layer and run_head of infer/forward.c call them. */
static void call_matmul(const struct kernel_state *state, char *item, int rank)
{
    const struct kv_cell *cell = state->cell->cell;
    const struct kv_config *config = state->cell->run->settings->config;
    const struct kv_kernel_memory *memory = state->cell->run->kernel_memory;
    const struct kv_point *p = &cell->point;
    const bool is_proj = strcmp(p->shape, "attn_proj") == 0 || strcmp(p->shape, "mlp_proj") == 0;
    const enum kv_epilogue gelu = config->activation == KV_GELU ? KV_EPILOGUE_GELU : KV_EPILOGUE_GELU_NEW;
    struct kv_matrix w = state->shape.w;
    w.data = item + state->shape.data;
    w.scales = state->shape.scales != state->shape.data ? item + state->shape.scales : NULL;
    const struct kv_matmul_task task = {
        .x = memory->x,
        .x_stride = (size_t)p->k,
        .w = &w,
        .bias = has_bias(cell) ? memory->bias : NULL,
        .y = memory->y,
        .y_stride = (size_t)p->n,
        .m = p->rows,
        .accumulate = is_proj,
        .epilogue = strcmp(p->shape, "c_fc") == 0 ? gelu : KV_EPILOGUE_NONE,
    };
    kv_matmul(state->backend, state->kernels, &task, rank, state->n_threads);
}

/* As attend of infer/forward.c: a rank's heads one after the other, read from a cache of just that capacity. */
static void call_attention(const struct kernel_state *state, char *item, int rank)
{
    const struct kv_point *p = &state->cell->cell->point;
    const struct kv_config *config = state->cell->run->settings->config;
    const struct kv_kernel_memory *memory = state->cell->run->kernel_memory;
    const int n_head = config->n_head, head_size = config->n_embd / n_head;
    const size_t C = (size_t)config->n_embd;
    struct kv_cache cache = state->shape.cache;
    cache.base = item;
    const int end = (int)((long)n_head * (rank + 1) / state->n_threads);
    for (int head = (int)((long)n_head * rank / state->n_threads); head < end; head++) {
        const size_t column = (size_t)head * (size_t)head_size;
        struct kv_attention attention = {
            .queries = memory->x + column,
            .query_stride = 3 * C,
            .n_queries = p->rows,
            .first_position = p->n_context - p->rows,
            .head_size = head_size,
            .scale = 1.0f / sqrtf((float)head_size),
            .out = memory->y + column,
            .out_stride = C,
            .scratch = memory->scratch + (size_t)rank * memory->room.scratch,
        };
        cache.kind->attend(&cache, (struct kv_cache_place){0, 0, head}, state->kernels, &attention);
    }
}

static void calls_job(void *argument, int rank)
{
    struct kernel_state *state = argument;
    const struct kv_kernel_memory *memory = state->cell->run->kernel_memory;
    const size_t item_bytes = state->shape.item_bytes, n_items = memory->ring.bytes / item_bytes;
    kv_pool_barrier(state->pool);
    state->spans[rank].start_ns = kv_now_ns();
    for (int64_t i = 0; i < state->n_calls; i++) {
        char *item = memory->ring.base + (memory->cursor + (size_t)i) % n_items * item_bytes;
        if (state->backend)
            call_matmul(state, item, rank);
        else
            call_attention(state, item, rank);
        kv_pool_barrier(state->pool);
    }
    state->spans[rank].end_ns = kv_now_ns();
}

static kv_status repeat(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error)
{
    struct kernel_state *state = cell->state;
    (void)error;
    state->n_calls = n;
    kv_pool_run(state->pool, calls_job, state);
    cell->run->kernel_memory->cursor += (size_t)n;
    struct span all = state->spans[0];
    for (int rank = 1; rank < state->n_threads; rank++) {
        const struct span *span = &state->spans[rank];
        all.start_ns = span->start_ns < all.start_ns ? span->start_ns : all.start_ns;
        all.end_ns = span->end_ns > all.end_ns ? span->end_ns : all.end_ns;
    }
    *seconds = (double)(all.end_ns - all.start_ns) * 1e-9;
    return KV_OK;
}

static void prepare_job(void *argument, int rank)
{
    const struct kernel_state *state = argument;
    (void)rank;
    state->backend->prepare_thread();
}

/* All of the sequence is there: in which of the items does not matter to the tables. */
static kv_status open_tables(struct kernel_state *state, struct kv_error *error)
{
    struct kv_cache *cache = &state->shape.cache;
    const int n_context = state->cell->cell->point.n_context;
    state->tables = calloc(cache->layers + 1, 1);
    if (!state->tables)
        return kv_fail(error, KV_ERROR_MEMORY, "kernels: no memory; close other programs");
    cache->pages.base = state->tables;
    cache->lengths = &state->length;
    cache->kind->start(cache);
    if (cache->kind->reserve)
        cache->kind->reserve(cache, &n_context);
    state->length = n_context;
    return KV_OK;
}

static kv_status open(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct kv_arm *arm = &cell->cell->arm;
    struct kernel_state *state = calloc(1, sizeof *state);
    if (!state)
        return kv_fail(error, KV_ERROR_MEMORY, "kernels: no memory; close other programs");
    cell->state = state;
    state->cell = cell;
    state->n_threads = arm->threads;
    state->shape = shape_of(cell->run->settings->config, cell->cell);
    kv_status status = kv_kernels_find(arm->isa, &state->kernels, error);
    if (!status && cell->cell->kind == KV_KIND_MATMUL) {
        status = kv_matmul_find_for(arm->weights, arm->gemm, &state->shape.w.format, &state->backend, error);
    } else if (!status) {
        status = kv_cache_find(arm->cache, arm->kv, &state->shape.cache.kind, state->shape.cache.numbers, error);
        if (!status)
            status = open_tables(state, error);
    }
    if (!status)
        status = kv_run_pool(cell->run, arm->threads, &state->pool, error);
    if (!status)
        status = open_ring(state, error);
    if (!status)
        status = open_work(state, error);
    if (status)
        return status;
    if (state->backend)
        kv_pool_run(state->pool, prepare_job, state);
    double seconds; /* the first call is not timed, the second tells what one takes */
    repeat(cell, 1, &seconds, error);
    return repeat(cell, 1, &cell->result.estimate, error);
}

static kv_status settle(struct kv_cell_run *cell, struct kv_error *error)
{
    double seconds;
    if (cell->result.estimate > SETTLE_PART * cell->run->settings->kernel_min_time_s)
        return KV_OK;
    return repeat(cell, 1, &seconds, error);
}

static void close(struct kv_cell_run *cell)
{
    struct kernel_state *state = cell->state;
    free(state->tables);
    free(state);
}

/* ---- Figures ---------------------------------------------------------------------------------------- */

static kv_status fill(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct kv_work work = ((const struct kernel_state *)cell->state)->shape.work;
    const double seconds = cell->call_seconds;
    (void)error;
    kv_row_set_number(&cell->newest, KV_COLUMN_SECONDS, seconds);
    kv_row_set_number(&cell->newest, KV_COLUMN_GFLOPS, work.flops / seconds * 1e-9);
    kv_row_set_number(&cell->newest, KV_COLUMN_GBYTES_S, work.bytes / seconds * 1e-9);
    if (cell->limits.threads)
        kv_cell_set_share(cell, kv_limit_seconds(&cell->limits, work.bytes, work.flops), seconds, work.bytes);
    return KV_OK;
}

static void tell(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "%.1f GFLOPS, %.1f GB/s", cell->newest.numbers[KV_COLUMN_GFLOPS],
             cell->newest.numbers[KV_COLUMN_GBYTES_S]);
}

#define KERNEL_FIXTURE(name_it)                                                                                        \
    {                                                                                                                  \
        .unit = GB_MICROSECONDS, .name = name_it, .describe = describe, .least_seconds = least_seconds,                \
        .expect = expect, .open = open, .settle = settle, .repeat = repeat, .fill = fill, .tell = tell,                \
        .close = close,                                                                                                \
    }
const struct kv_fixture kv_matmul_fixture = KERNEL_FIXTURE(name_matmul);
const struct kv_fixture kv_attention_fixture = KERNEL_FIXTURE(name_attention);
