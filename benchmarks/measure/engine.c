/* The fixture of generations by another engine: a process that holds the model, asked for a generation whenever the rounds
 * come to it. Its tokens are held against kvbench's own in float32 before it is timed. Times are the engine's own clock,
 * around what TTFT and a step mean (measure.h). */
#include "measure/fixture.h"

#include "base/error.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A first generation, a whole one, also compiles, and fills pools; then so many times the first tokens of one: all cells
 * of all engines have to be open before the rounds begin. */
#define WARM_UPS       2
#define WARM_UP_TOKENS 8

/* Of CPU time, a hundredth of a second each: fewer say nothing of a thread. */
#define LEAST_TICKS 5

/* One process an engine, format and number of threads: cells of other sizes are other requests to it. */
struct kv_engine_process {
    struct kv_engine_process *next;
    const char *engine, *weights;
    int threads;
    double startup_s;
    char *version, *options;
    struct kv_peer *peer;
};

/* The tokens of kvbench in float32, of one length of prompt. */
struct kv_engine_answer {
    struct kv_engine_answer *next;
    int n_prompt, n_new;
    int32_t *tokens; /* [n_new] */
};

struct engine_state {
    struct kv_generation_state common; /* first: what the shared parts see */
    struct kv_generation generation;
    int32_t *prompt; /* [n_prompt] */
    struct kv_engine_process *process;
};

void kv_engines_free(struct kv_engine_process *process)
{
    while (process) {
        struct kv_engine_process *next = process->next;
        kv_peer_stop(process->peer);
        free(process->version);
        free(process->options);
        free(process);
        process = next;
    }
}

void kv_engine_answers_free(struct kv_engine_answer *answer)
{
    while (answer) {
        struct kv_engine_answer *next = answer->next;
        free(answer->tokens);
        free(answer);
        answer = next;
    }
}

/* ---- Processes --------------------------------------------------------------------------------------- */

static void keep_settings(struct kv_engine_process *process)
{
    const json_t *ready = kv_peer_ready(process->peer);
    const char *version = json_string_value(json_object_get(ready, "version"));
    process->version = version ? strdup(version) : NULL;
    process->options = json_dumps(json_object_get(ready, "settings"), JSON_COMPACT | JSON_SORT_KEYS);
}

/* The process of the cell's arm, started when it is first asked for. One that has ended is started again. */
static kv_status find_process(struct kv_cell_run *cell, struct kv_engine_process **out, struct kv_error *error)
{
    struct kv_run *run = cell->run;
    const struct kv_arm *arm = &cell->cell->arm;
    struct kv_engine_process *p = run->engines;
    while (p &&
           (strcmp(p->engine, arm->engine) != 0 || strcmp(p->weights, arm->weights) != 0 || p->threads != arm->threads))
        p = p->next;
    *out = p;
    if (p && kv_peer_lives(p->peer))
        return KV_OK;
    if (!run->settings->start_engine)
        return kv_fail(error, KV_ERROR_UNSUPPORTED, "this program starts no other engine");
    struct kv_peer *peer;
    const int64_t start = kv_now_ns();
    const kv_status status = run->settings->start_engine(run->settings->load_context, arm, &peer, error);
    if (status)
        return status;
    if (p) {
        kv_peer_stop(p->peer);
        p->peer = peer;
        return KV_OK;
    }
    p = calloc(1, sizeof *p);
    if (!p) {
        kv_peer_stop(peer);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for an engine's process");
    }
    *p = (struct kv_engine_process){.next = run->engines,
                                    .engine = arm->engine,
                                    .weights = arm->weights,
                                    .threads = arm->threads,
                                    .startup_s = (double)(kv_now_ns() - start) * 1e-9,
                                    .peer = peer};
    keep_settings(p);
    run->engines = p;
    *out = p;
    return KV_OK;
}

/* ---- The gate ---------------------------------------------------------------------------------------- */

static kv_status generate_answer(struct kv_run *run, const struct kv_cell *cell, const int32_t *prompt,
                                 struct kv_engine_answer *answer, struct kv_error *error)
{
    const struct kv_decoder_options options = {
        .session = {.path = "cached", .batch = 1, .capacity = answer->n_prompt + answer->n_new - 1},
        .prompts = prompt,
        .n_prompts = 1,
        .n_prompt = answer->n_prompt,
        .n_new = answer->n_new,
        .end_of_text = -1,
    };
    struct kv_decoder decoder = {0};
    const struct kv_model *model;
    struct kv_pool *pool;
    kv_status status = kv_run_pool(run, cell->arm.threads, &pool, error);
    if (!status)
        status = kv_run_model(run, "f32", kv_matmul_choice(0)->name, pool, &model, error);
    if (!status)
        status = kv_decoder_create(&decoder, model, pool, &options, error);
    if (!status)
        status = kv_decoder_run(&decoder, error);
    if (!status)
        memcpy(answer->tokens, decoder.generation.tokens, (size_t)answer->n_new * sizeof *answer->tokens);
    kv_decoder_free(&decoder);
    return status;
}

static kv_status find_answer(struct kv_cell_run *cell, const int32_t *prompt, const struct kv_engine_answer **out,
                             struct kv_error *error)
{
    struct kv_run *run = cell->run;
    const struct kv_point *p = &cell->cell->point;
    for (struct kv_engine_answer *a = run->engine_answers; a; a = a->next)
        if (a->n_prompt == p->n_prompt && a->n_new >= p->n_new) {
            *out = a;
            return KV_OK;
        }
    struct kv_engine_answer *a = calloc(1, sizeof *a);
    if (a)
        *a = (struct kv_engine_answer){.next = run->engine_answers,
                                       .n_prompt = p->n_prompt,
                                       .n_new = p->n_new,
                                       .tokens = calloc((size_t)p->n_new, sizeof *a->tokens)};
    if (!a || !a->tokens) {
        free(a);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the equality gate");
    }
    run->engine_answers = a; /* freed with the run, also when it stays empty */
    const kv_status status = generate_answer(run, cell->cell, prompt, a, error);
    if (status)
        a->n_new = 0;
    *out = a;
    return status;
}

/* The same tokens where the engine computes in float32; in fewer bits how many are the same is told. */
static kv_status check_tokens(struct kv_cell_run *cell, const struct engine_state *state, struct kv_error *error)
{
    const struct kv_engine_answer *answer = NULL;
    const bool exact = strcmp(cell->cell->arm.weights, "f32") == 0;
    const kv_status status = find_answer(cell, state->prompt, &answer, error);
    if (status)
        return status;
    const int32_t *tokens = state->generation.tokens;
    const int n = cell->cell->point.n_new;
    int same = 0;
    while (same < n && tokens[same] == answer->tokens[same])
        same++;
    kv_row_set_text(&cell->row, KV_COLUMN_GATE, exact ? "exact" : "lossy");
    kv_row_set_number(&cell->row, KV_COLUMN_SAME_TOKENS, same);
    if (exact && same < n)
        return kv_fail(error, KV_ERROR_UNSUPPORTED, "equality gate: new token %d is %d, kvbench's is %d: not timed",
                       same + 1, (int)tokens[same], (int)answer->tokens[same]);
    return KV_OK;
}

/* Threads that computed since `before` [n_before]: at least a fifth of what the busiest did. 0: too short to tell. */
static int count_threads(const struct kv_peer *peer, const struct kv_peer_thread *before, int n_before)
{
    struct kv_peer_thread now[KV_PEER_MOST_THREADS];
    const int n = kv_peer_threads(peer, now);
    long most = 0;
    int n_busy = 0;
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < n_before; k++)
            now[i].ticks -= before[k].id == now[i].id ? before[k].ticks : 0;
        most = now[i].ticks > most ? now[i].ticks : most;
    }
    for (int i = 0; i < n && most >= LEAST_TICKS; i++)
        n_busy += now[i].ticks * 5 >= most;
    return n_busy;
}

/* ---- The fixture ------------------------------------------------------------------------------------- */

static kv_status generate(struct engine_state *state, struct kv_error *error)
{
    const kv_status status = kv_peer_generate(state->process->peer, state->prompt, &state->generation, error);
    if (!status)
        state->common.first_seconds = (double)state->generation.stamps[1] * 1e-9;
    return status;
}

/* Only the first `room` tokens of it. */
static kv_status generate_some(struct engine_state *state, int room, struct kv_error *error)
{
    const int whole = state->generation.room;
    state->generation.room = room < whole ? room : whole;
    const kv_status status = generate(state, error);
    state->generation.room = whole;
    return status;
}

/* A whole generation takes the first token's time, and for each other one what those of a short one took; the quicker
 * one tells, since the other may have been held up. */
static kv_status warm_up(struct kv_cell_run *cell, struct engine_state *state, struct kv_error *error)
{
    const int n_new = cell->cell->point.n_new, n_tokens = n_new < WARM_UP_TOKENS ? n_new : WARM_UP_TOKENS;
    for (int i = 0; i < WARM_UPS; i++) {
        const kv_status status = generate_some(state, n_tokens, error);
        if (status)
            return status;
        const double seconds = (double)kv_generation_ns(&state->generation) * 1e-9;
        const double first = state->common.first_seconds;
        const double whole = n_tokens == n_new ? seconds : first + (seconds - first) * (n_new - 1) / (n_tokens - 1);
        cell->result.estimate = i == 0 ? whole : fmin(cell->result.estimate, whole);
    }
    return KV_OK;
}

static kv_status check_and_warm_up(struct kv_cell_run *cell, struct engine_state *state, struct kv_error *error)
{
    struct kv_peer_thread before[KV_PEER_MOST_THREADS];
    const int n_before = kv_peer_threads(state->process->peer, before);
    kv_status status = generate(state, error);
    if (status)
        return status;
    kv_row_set_number(&cell->row, KV_COLUMN_COLD_TTFT_MS, state->common.first_seconds * 1e3);
    status = check_tokens(cell, state, error);
    if (!status)
        status = warm_up(cell, state, error);
    if (status)
        return status;
    const int n_threads = count_threads(state->process->peer, before, n_before);
    kv_row_set_number(&cell->row, KV_COLUMN_ENGINE_THREADS, n_threads ? n_threads : NAN);
    return KV_OK;
}

static kv_status open(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct kv_point *p = &cell->cell->point;
    kv_status status = kv_generation_fit(cell->cell, cell->run->settings->config, error);
    struct engine_state *state = status ? NULL : calloc(1, sizeof *state);
    if (status)
        return status;
    if (!state)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a generation");
    cell->state = state;
    state->common.generation = &state->generation;
    state->common.kv_live_bytes = state->common.kv_reserved_bytes = NAN;
    state->prompt = malloc((size_t)p->n_prompt * sizeof *state->prompt);
    if (state->prompt)
        kv_generation_prompt(cell->run->settings, p, 0, state->prompt);
    status = state->prompt ? find_process(cell, &state->process, error)
                           : kv_fail(error, KV_ERROR_MEMORY, "no memory for a prompt of %d tokens", p->n_prompt);
    if (!status)
        status = kv_generation_create(&state->generation, p->batch, p->n_prompt, p->n_new, error);
    if (!status && !cell->opened) {
        kv_row_set_text(&cell->row, KV_COLUMN_ENGINE_VERSION, state->process->version);
        kv_row_set_text(&cell->row, KV_COLUMN_ENGINE_OPTIONS, state->process->options);
        kv_row_set_number(&cell->row, KV_COLUMN_STARTUP_S, state->process->startup_s);
        status = check_and_warm_up(cell, state, error);
    }
    return status;
}

/* The engines before it had the caches: one first token of its own. */
static kv_status settle(struct kv_cell_run *cell, struct kv_error *error)
{
    struct engine_state *state = cell->state;
    if (state->common.first_seconds >= KV_SETTLE_SECONDS)
        return KV_OK;
    return generate_some(state, 1, error);
}

static kv_status repeat(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error)
{
    struct engine_state *state = cell->state;
    (void)n;
    const kv_status status = generate(state, error);
    *seconds = (double)kv_generation_ns(&state->generation) * 1e-9;
    state->common.rss_peak_bytes = kv_peer_rss_peak(state->process->peer);
    return status;
}

/* One that gives no time a token has two steps, the first token and all others: a mean, and no percentiles. */
static bool has_steps(const struct engine_state *state)
{
    return state->generation.n_steps == state->generation.room;
}

static kv_status fill(struct kv_cell_run *cell, struct kv_error *error)
{
    const kv_status status = kv_generation_fill(cell, error);
    if (!status && !has_steps(cell->state)) {
        kv_row_set_number(&cell->newest, KV_COLUMN_TTPT_P50_MS, NAN);
        kv_row_set_number(&cell->newest, KV_COLUMN_TTPT_P95_MS, NAN);
        kv_row_set_number(&cell->newest, KV_COLUMN_TTPT_P99_MS, NAN);
    }
    return status;
}

static kv_status write_tokens(struct kv_cell_run *cell, struct kv_error *error)
{
    return has_steps(cell->state) ? kv_generation_write_tokens(cell, error) : KV_OK;
}

static void close(struct kv_cell_run *cell)
{
    struct engine_state *state = cell->state;
    kv_generation_free(&state->generation);
    free(state->prompt);
    free(state);
}

const struct kv_fixture kv_engine_fixture = {
    .unit = GB_MILLISECONDS,
    .calls = 1,
    .name = kv_generation_cell_name,
    .describe = kv_generation_describe,
    .least_seconds = kv_generation_least_seconds,
    .expect = kv_generation_expect,
    .fit = kv_generation_fit,
    .open = open,
    .settle = settle,
    .repeat = repeat,
    .fill = fill,
    .write_details = write_tokens,
    .tell = kv_generation_tell,
    .close = close,
};
