/* The fixture of a ragged load: sequences of mixed lengths come one after the other, each is run, and stays, until the
 * room that a contiguous cache has for `batch` of them is full. How many there were then, and what of the bytes is in
 * use, are its figures; they depend on the lengths alone, which are drawn from the run's seed. */
#include "measure/fixture.h"

#include "base/error.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The longest is so many times as long as the shortest. */
enum { RANGE = 8 };

struct load_state {
    int n_held;
    size_t live_bytes, reserved_bytes;
};

static void name(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "load/batch:%d/context:%d", cell->point.batch, cell->point.n_context);
}

static void describe(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "load of mixed lengths up to %d", cell->point.n_context);
}

/* Of sequence i: as many between n and 2 n as between 2 n and 4 n. */
static int length_of(const struct kv_cell_run *cell, int i)
{
    const int longest = cell->cell->point.n_context;
    const double part = ldexp((double)(kv_draw64(cell->run->settings->seed, (uint64_t)i) >> 11), -53);
    const int length = (int)ceil(longest * pow(RANGE, part - 1));
    return length < longest ? length : longest;
}

/* Of a cache with a pool there is room for as many positions as the others have, and for more sequences of them. */
static struct kv_session_options session_options(const struct kv_cell *cell)
{
    const struct kv_point *p = &cell->point;
    const bool has_pool = strncmp(cell->arm.cache, "paged:", 6) == 0;
    return (struct kv_session_options){
        .path = cell->arm.path,
        .cache = cell->arm.cache,
        .kv = cell->arm.kv,
        .matmul = cell->arm.gemm,
        .isa = cell->arm.isa,
        .batch = has_pool ? RANGE * p->batch : p->batch,
        .capacity = p->n_context,
        .pool = has_pool ? p->batch * p->n_context : 0,
        .chunk = cell->arm.chunk,
    };
}

/* As if all positions that there is room for were run. */
static double least_seconds(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits)
{
    struct kv_session_options options = session_options(cell);
    options.batch = 1;
    const struct kv_work work = kv_step_work(run->settings->config, cell->arm.weights, &options, 0,
                                             cell->point.n_context);
    return cell->point.batch * kv_limit_seconds(limits, work.bytes, work.flops);
}

static void expect(struct kv_cell_run *cell)
{
    (void)cell;
}

static kv_status open(struct kv_cell_run *cell, struct kv_error *error)
{
    cell->state = calloc(1, sizeof(struct load_state));
    return cell->state ? KV_OK : kv_fail(error, KV_ERROR_MEMORY, "no memory for a load: close other programs");
}

static kv_status settle(struct kv_cell_run *cell, struct kv_error *error)
{
    (void)cell;
    (void)error;
    return KV_OK;
}

/* Sequence after sequence, as long as there is room; n_tokens [batch] are 0. */
static kv_status fill_up(struct kv_cell_run *cell, struct kv_session *session, int batch, const int32_t *prompt,
                         int *n_tokens, struct kv_error *error)
{
    struct load_state *state = cell->state;
    kv_status status = KV_OK;
    state->n_held = 0;
    for (int i = 0; !status && i < batch; i++) {
        n_tokens[i] = length_of(cell, i);
        status = kv_session_append(session, n_tokens, prompt, NULL, error);
        n_tokens[i] = 0;
        state->n_held += status == KV_OK;
    }
    state->live_bytes = kv_session_kv_live_bytes(session);
    state->reserved_bytes = kv_session_kv_reserved_bytes(session);
    return status == KV_POOL_FULL ? KV_OK : status;
}

/* The session is there only meanwhile: it takes as much memory as the largest generations. */
static kv_status repeat(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error)
{
    const struct kv_arm *arm = &cell->cell->arm;
    const struct kv_session_options options = session_options(cell->cell);
    const int64_t begin = kv_now_ns();
    struct kv_session *session = NULL;
    const struct kv_model *model;
    struct kv_pool *pool;
    (void)n;
    const struct kv_point whole = {.n_prompt = cell->cell->point.n_context};
    int32_t *prompt = calloc((size_t)whole.n_prompt, sizeof *prompt);
    int *n_tokens = calloc((size_t)options.batch, sizeof *n_tokens);
    kv_status status = prompt && n_tokens
                           ? KV_OK
                           : kv_fail(error, KV_ERROR_MEMORY, "no memory for a load: close other programs");
    if (!status)
        kv_generation_prompt(cell->run->settings, &whole, 0, prompt);
    if (!status)
        status = kv_run_pool(cell->run, arm->threads, &pool, error);
    if (!status)
        status = kv_run_model(cell->run, arm->weights, arm->gemm, pool, &model, error);
    if (!status)
        status = kv_session_create(&session, model, pool, &options, error);
    if (!status)
        status = fill_up(cell, session, options.batch, prompt, n_tokens, error);
    kv_session_free(session);
    free(n_tokens);
    free(prompt);
    *seconds = (double)(kv_now_ns() - begin) * 1e-9;
    return status;
}

static kv_status fill(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct load_state *state = cell->state;
    (void)error;
    kv_row_set_number(&cell->newest, KV_COLUMN_HELD_SEQUENCES, state->n_held);
    kv_row_set_number(&cell->newest, KV_COLUMN_KV_LIVE_BYTES, (double)state->live_bytes);
    kv_row_set_number(&cell->newest, KV_COLUMN_KV_RESERVED_BYTES, (double)state->reserved_bytes);
    return KV_OK;
}

static void tell(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "%.0f sequences", cell->newest.numbers[KV_COLUMN_HELD_SEQUENCES]);
}

static void close(struct kv_cell_run *cell)
{
    free(cell->state);
}

const struct kv_fixture kv_load_fixture = {
    .unit = GB_MILLISECONDS,
    .calls = 1,
    .untimed = true,
    .name = name,
    .describe = describe,
    .least_seconds = least_seconds,
    .expect = expect,
    .open = open,
    .settle = settle,
    .repeat = repeat,
    .fill = fill,
    .tell = tell,
    .close = close,
};
