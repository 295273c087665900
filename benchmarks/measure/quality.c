/* The fixture of suite quality: an arm predicts a text through the decode path, and is held against float32 weights and
 * cache on the cached path, which predict the same. Every cell predicts the same tokens, so that cells of different
 * contexts differ in the context alone. */
#include "measure/fixture.h"

#include "base/error.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Windows at a time, and their steps that tell how long the rest will take. */
enum { BATCH = 16, FIRST_STEPS = 32 };

struct quality_state {
    struct kv_session *session, *reference;
    int batch;
    struct kv_token_score *scores; /* [n_scored] */
    struct kv_quality quality;
    double token_bytes;
    size_t live_bytes, reserved_bytes;
};

/* The first token that is predicted: before it stands what the longest context needs. */
static size_t first_scored(const struct kv_run *run)
{
    return (size_t)run->settings->text.config->n_positions / 2 + 1;
}

/* Past the window: a text of so many windows for every sequence, all cells the same ones. */
enum { PAST_WINDOWS = 4 };

static size_t past_stride(const struct kv_run *run)
{
    return (size_t)PAST_WINDOWS * (size_t)run->settings->text.config->n_positions;
}

/* Of one sequence; the first id of the text is predicted by none. */
static size_t past_scored(const struct kv_run *run)
{
    return ((size_t)run->settings->text.config->n_positions - 1) / KV_EVALUATION_EVERY;
}

static size_t n_scored(const struct kv_run *run, const struct kv_point *point)
{
    const struct kv_run_text *text = &run->settings->text;
    if (point->past) {
        const size_t n_texts = text->n_ids / past_stride(run);
        return (n_texts < BATCH ? n_texts : BATCH) * past_scored(run);
    }
    const size_t around = first_scored(run) + (size_t)text->config->n_positions;
    return text->n_ids > around ? text->n_ids - around : 0;
}

static void name(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "%s/context:%d", cell->arm.path, cell->point.n_context);
}

static void describe(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "context %d, %s", cell->point.n_context, cell->arm.path);
}

static struct kv_session_options session_options(const struct kv_cell *cell, int batch)
{
    const struct kv_point *p = &cell->point;
    return (struct kv_session_options){
        .path = cell->arm.path,
        .cache = *cell->arm.cache ? cell->arm.cache : NULL,
        .kv = *cell->arm.kv ? cell->arm.kv : NULL,
        .matmul = cell->arm.gemm,
        .isa = cell->arm.isa,
        .batch = batch,
        .capacity = p->past ? 0 : p->n_context,
        .overflow = kv_cell_overflow(cell),
    };
}

/* Steps of the arm and of its reference at the middle of the context; the prefills come on top of them. */
static double least_seconds(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits)
{
    const struct kv_session_options options = session_options(cell, BATCH);
    const int window = run->settings->text.config->n_positions;
    const bool recomputes = cell->point.n_context > window; /* the reference does */
    const int n_before = cell->point.past ? window / 2 : cell->point.n_context * 3 / 4;
    const struct kv_work work = kv_step_work(run->settings->text.config, cell->arm.weights, &options,
                                             recomputes ? 0 : n_before, recomputes ? window : 1);
    const double n_steps = ceil((double)n_scored(run, &cell->point) / BATCH);
    return 3 * n_steps * kv_limit_seconds(limits, work.bytes, work.flops);
}

static void expect(struct kv_cell_run *cell)
{
    kv_row_set_text(&cell->row, KV_COLUMN_MODEL, cell->run->settings->text.model_name);
    kv_row_set_text(&cell->row, KV_COLUMN_WEIGHTS_SOURCE, "");
}

static kv_status create_sessions(struct kv_cell_run *cell, struct quality_state *state, struct kv_error *error)
{
    const struct kv_arm *arm = &cell->cell->arm;
    struct kv_session_options options = session_options(cell->cell, state->batch);
    const struct kv_model *model, *exact;
    struct kv_pool *pool;
    kv_status status = kv_run_pool(cell->run, arm->threads, &pool, error);
    if (!status)
        status = kv_run_text_model(cell->run, arm->weights, arm->gemm, pool, &model, error);
    if (!status)
        status = kv_run_text_model(cell->run, kv_weights_choice(0)->name, arm->gemm, pool, &exact, error);
    if (!status)
        status = kv_session_create(&state->session, model, pool, &options, error);
    if (status)
        return status;
    kv_row_set_text(&cell->row, KV_COLUMN_WEIGHTS_SOURCE, kv_model_source(model));
    options.path = "cached";
    options.cache = options.kv = NULL;
    if (cell->cell->point.past)
        options.overflow = KV_OVERFLOW_RECOMPUTE; /* sees most of the text */
    return kv_session_create(&state->reference, exact, pool, &options, error);
}

static kv_status evaluate(struct kv_cell_run *cell, size_t n, struct kv_error *error)
{
    struct quality_state *state = cell->state;
    const struct kv_run_text *text = &cell->run->settings->text;
    const int window = text->config->n_positions, begin = cell->cell->point.n_context - window;
    if (cell->cell->point.past)
        return kv_evaluate_past(state->session, state->reference, text->config, state->batch, past_stride(cell->run),
                                text->ids, begin + KV_EVALUATION_EVERY, n, state->scores, error);
    return kv_evaluate_decoding(state->session, state->reference, text->config, state->batch,
                                cell->cell->point.n_context, text->ids, first_scored(cell->run), n, state->scores,
                                error);
}

static kv_status open(struct kv_cell_run *cell, struct kv_error *error)
{
    const int context = cell->cell->point.n_context, stride = context - context / 2;
    const bool past = cell->cell->point.past;
    const size_t n = n_scored(cell->run, &cell->cell->point), n_windows = (n + (size_t)stride - 1) / (size_t)stride;
    if (n == 0 && past)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "a text of %zu tokens is too short for %d windows of %d: give one of at least %zu",
                       cell->run->settings->text.n_ids, PAST_WINDOWS, cell->run->settings->text.config->n_positions,
                       past_stride(cell->run));
    if (n == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "a text of %zu tokens is too short for contexts of %d: give one of more than %zu",
                       cell->run->settings->text.n_ids, cell->run->settings->text.config->n_positions,
                       first_scored(cell->run) + (size_t)cell->run->settings->text.config->n_positions);
    struct quality_state *state = calloc(1, sizeof *state);
    if (!state)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a text: close other programs");
    cell->state = state;
    state->batch = past ? (int)(n / past_scored(cell->run)) : n_windows < BATCH ? (int)n_windows : BATCH;
    state->scores = calloc(n, sizeof *state->scores);
    if (!state->scores)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the scores of %zu tokens: give a shorter text", n);
    kv_status status = create_sessions(cell, state, error);
    if (status || cell->opened)
        return status;
    /* The first steps of a window of each sequence tell what all of the text will take; the faster of two, as another
     * program may have had the CPUs. */
    const size_t most = past ? past_scored(cell->run) : (size_t)stride, some = past ? 2 : FIRST_STEPS;
    const size_t n_steps = most < some ? most : some, first = n_steps < n ? n_steps : n;
    double seconds = INFINITY;
    for (int i = 0; !status && i < 2; i++) {
        const int64_t begin = kv_now_ns();
        status = evaluate(cell, first, error);
        seconds = fmin(seconds, (double)(kv_now_ns() - begin) * 1e-9);
    }
    cell->result.estimate = seconds * (double)n / (double)first / state->batch;
    return status;
}

static kv_status settle(struct kv_cell_run *cell, struct kv_error *error)
{
    (void)cell;
    (void)error;
    return KV_OK;
}

static kv_status repeat(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error)
{
    struct quality_state *state = cell->state;
    const int64_t begin = kv_now_ns();
    (void)n;
    const size_t n_all = n_scored(cell->run, &cell->cell->point);
    kv_status status = evaluate(cell, cell->cell->point.past ? past_scored(cell->run) : n_all, error);
    if (!status)
        status = kv_quality_of(state->scores, n_all, &state->quality, error);
    *seconds = (double)(kv_now_ns() - begin) * 1e-9;
    state->live_bytes = kv_session_kv_live_bytes(state->session);
    state->reserved_bytes = kv_session_kv_reserved_bytes(state->session);
    state->token_bytes = (double)state->live_bytes / state->batch / kv_session_lengths(state->session)[0];
    return status;
}

/* A value and its interval, which lies where such a value can. */
static void set(struct kv_row *row, enum kv_column column, const struct kv_estimate *e, double scale, double most)
{
    kv_row_set_number(row, column, e->value * scale);
    kv_row_set_number(row, (enum kv_column)(column + 1), isnan(e->low) ? NAN : fmax(e->low * scale, 0));
    kv_row_set_number(row, (enum kv_column)(column + 2), isnan(e->high) ? NAN : fmin(e->high * scale, most));
}

static kv_status fill(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct quality_state *state = cell->state;
    const struct kv_quality *q = &state->quality;
    const struct kv_estimate ratio = {1 + q->perplexity_change.value, 1 + q->perplexity_change.low,
                                      1 + q->perplexity_change.high};
    /* Sums of products of what is equal may be off by a rounding. */
    const struct kv_estimate divergence = {fmax(q->divergence.value, 0), q->divergence.low, q->divergence.high};
    struct kv_row *row = &cell->newest;
    (void)error;
    kv_row_set_number(row, KV_COLUMN_SCORED_TOKENS, (double)n_scored(cell->run, &cell->cell->point));
    set(row, KV_COLUMN_PERPLEXITY, &q->perplexity, 1, INFINITY);
    set(row, KV_COLUMN_PERPLEXITY_RATIO, &ratio, 1, INFINITY);
    set(row, KV_COLUMN_DIVERGENCE, &divergence, 1, INFINITY);
    set(row, KV_COLUMN_DIVERGENCE_P99, &q->divergence_p99, 1, INFINITY);
    kv_row_set_number(row, KV_COLUMN_DIVERGENCE_LARGEST, fmax(q->divergence_largest, 0));
    set(row, KV_COLUMN_TOP_AGREEMENT_PCT, &q->same_top, 100, 100);
    kv_row_set_number(row, KV_COLUMN_KV_TOKEN_BYTES, state->token_bytes);
    kv_row_set_number(row, KV_COLUMN_KV_LIVE_BYTES, (double)state->live_bytes);
    kv_row_set_number(row, KV_COLUMN_KV_RESERVED_BYTES, (double)state->reserved_bytes);
    return KV_OK;
}

static void tell(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "divergence %.2g nats", cell->newest.numbers[KV_COLUMN_DIVERGENCE]);
}

static void close(struct kv_cell_run *cell)
{
    struct quality_state *state = cell->state;
    kv_session_free(state->reference);
    kv_session_free(state->session);
    free(state->scores);
    free(state);
}

const struct kv_fixture kv_quality_fixture = {
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
