#include "run/run.h"

#include "gbench/gbench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A generation that takes no longer than this is warmed up whole, a longer one by its first tokens. */
#define WARM_UP_SECONDS 2.0
#define WARM_UP_TOKENS 4

/* What a cell needs while it is measured: open from its first repetition to its last. */
struct cell_state {
    struct kv_session *session;
    struct kv_generation generation;
    int32_t *prompt; /* [B, n_prompt] */
    double cold_ttft_ms;
};

/* What a registered benchmark knows: one repetition of one cell. */
struct repetition {
    struct kv_run *run;
    int cell;
    int number; /* from 1 */
};

static void close_state(struct cell_state *state)
{
    kv_session_free(state->session);
    kv_generation_free(&state->generation);
    free(state->prompt);
    *state = (struct cell_state){0};
}

/* Ids of the benchmark's prompt, over and over; a small model takes them modulo its vocabulary. */
static int32_t *make_prompt(const struct kv_run *run, const struct kv_cell *cell)
{
    const int V = kv_model_config(run->model)->vocab_size;
    int32_t *prompt = malloc((size_t)cell->batch * (size_t)cell->n_prompt * sizeof *prompt);
    for (int b = 0; prompt && b < cell->batch; b++)
        for (int i = 0; i < cell->n_prompt; i++)
            prompt[b * cell->n_prompt + i] = run->settings->prompt[i % run->settings->n_prompt] % V;
    return prompt;
}

/* The measured shape, untimed: its first tokens give the cold figure, and all of it runs when it is short. */
static kv_status warm_up(const struct kv_cell *cell, struct cell_state *state, struct kv_error *error)
{
    struct kv_generation *g = &state->generation;
    const int n_first = cell->n_new < WARM_UP_TOKENS ? cell->n_new : WARM_UP_TOKENS;
    kv_status status = kv_generate(state->session, cell->batch, state->prompt, cell->n_prompt, n_first, g, error);
    if (status)
        return status;
    state->cold_ttft_ms = (double)(g->stamps[1] - g->stamps[0]) * 1e-6;
    const double seconds = (double)(g->stamps[n_first] - g->stamps[0]) * 1e-9 * cell->n_new / n_first;
    if (seconds < WARM_UP_SECONDS)
        status = kv_generate(state->session, cell->batch, state->prompt, cell->n_prompt, cell->n_new, g, error);
    return status;
}

static kv_status open_state(const struct kv_run *run, const struct kv_cell *cell, struct cell_state *state,
                            struct kv_error *error)
{
    const int n_positions = kv_model_config(run->model)->n_positions, used = cell->n_prompt + cell->n_new - 1;
    if (used > n_positions) {
        snprintf(error->message, sizeof error->message,
                 "a prompt of %d and %d new tokens take %d positions, the model has %d; use fewer", cell->n_prompt,
                 cell->n_new, used, n_positions);
        return KV_ERROR_ARGUMENT;
    }
    const struct kv_session_options options = {
        .path = cell->path,
        .matmul = run->settings->gemm,
        .isa = run->settings->isa,
        .batch = cell->batch,
        .capacity = used,
    };
    state->prompt = make_prompt(run, cell);
    if (!state->prompt) {
        snprintf(error->message, sizeof error->message, "no memory for %d prompts", cell->batch);
        return KV_ERROR_MEMORY;
    }
    kv_status status = kv_generation_create(&state->generation, cell->batch, cell->n_new, error);
    if (!status)
        status = kv_session_create(&state->session, run->model, run->team, &options, error);
    if (!status)
        status = warm_up(cell, state, error);
    return status;
}

static void write_row(struct kv_run *run, const struct kv_row *row)
{
    if (!run->broken)
        run->broken = kv_rows_write(run, row, &run->broken_error);
    if (run->broken)
        gb_request_stop();
}

/* The cell is given up: one row says why, and its other repetitions are passed over. */
static void give_up(struct kv_run *run, int index, const struct kv_error *error)
{
    struct kv_cell_result *result = &run->results[index];
    snprintf(result->error, sizeof result->error, "%s", error->message);
    close_state(&run->states[index]);
    run->n_failed++;
    write_row(run, &(struct kv_row){
                       .cell = &run->plan->cells[index],
                       .gemm = run->settings->gemm ? run->settings->gemm : kv_matmul_choice(0)->name,
                       .isa = run->settings->isa,
                       .error = result->error,
                   });
}

static void keep_result(const struct repetition *r, struct cell_state *state, const struct kv_figures *figures,
                        size_t rss_peak)
{
    struct kv_run *run = r->run;
    struct kv_cell_result *result = &run->results[r->cell];
    result->figures[result->n_done++] = *figures;
    result->kv_live_bytes = state->generation.kv_live_bytes;
    write_row(run, &(struct kv_row){
                       .cell = &run->plan->cells[r->cell],
                       .gemm = kv_session_matmul(state->session),
                       .isa = kv_session_isa(state->session),
                       .repetition = r->number,
                       .cold_ttft_ms = state->cold_ttft_ms,
                       .figures = figures,
                       .kv_live_bytes = state->generation.kv_live_bytes,
                       .kv_reserved_bytes = kv_session_kv_reserved_bytes(state->session),
                       .rss_peak_bytes = rss_peak,
                   });
}

static void set_counters(struct gb_state *gb, const struct kv_figures *f, const struct cell_state *state)
{
    gb_set_counter(gb, "ttft_ms", f->ttft_ms);
    if (!isnan(f->ttpt_ms)) {
        gb_set_counter(gb, "ttpt_ms", f->ttpt_ms);
        gb_set_counter(gb, "decode_tok_s", f->decode_tok_s);
    }
    gb_set_counter(gb, "output_tok_s", f->output_tok_s);
    gb_set_counter(gb, "kv_live_bytes", (double)state->generation.kv_live_bytes);
}

/* The fixture: one generation, its figures, its row. */
static void measure_repetition(struct gb_state *gb, void *context)
{
    const struct repetition *r = context;
    struct kv_run *run = r->run;
    const struct kv_cell *cell = &run->plan->cells[r->cell];
    struct cell_state *state = &run->states[r->cell];
    struct kv_cell_result *result = &run->results[r->cell];
    struct kv_figures figures;
    struct kv_error error = {""};
    kv_status status = KV_OK;
    run->n_finished++;
    if (result->error[0]) {
        gb_skip_with_error(gb, result->error);
        return;
    }
    if (!state->session)
        status = open_state(run, cell, state, &error);
    if (!status) {
        kv_rss_reset_peak();
        gb_begin(gb);
        status = kv_generate(state->session, cell->batch, state->prompt, cell->n_prompt, cell->n_new,
                             &state->generation, &error);
        gb_end(gb);
    }
    if (!status)
        status = kv_figures_of(&state->generation, cell->batch, cell->n_prompt, &figures, &error);
    if (status) {
        gb_skip_with_error(gb, error.message);
        give_up(run, r->cell, &error);
    } else {
        gb_set_iteration_time(gb, figures.e2e_ms * 1e-3);
        set_counters(gb, &figures, state);
        keep_result(r, state, &figures, kv_rss_peak());
        if (r->number == run->settings->repetitions)
            close_state(state);
    }
    kv_progress(run, r->cell, r->number);
}

static kv_status register_repetition(struct repetition *r, struct kv_error *error)
{
    static const char *const names[] = {"batch", "prompt", "new"};
    const struct kv_cell *cell = &r->run->plan->cells[r->cell];
    const int64_t arguments[] = {cell->batch, cell->n_prompt, cell->n_new};
    char name[256];
    snprintf(name, sizeof name, "%s/%s", cell->suite, cell->path);
    const struct gb_benchmark benchmark = {
        .name = name,
        .run = measure_repetition,
        .context = r,
        .arguments = arguments,
        .argument_names = names,
        .n_arguments = 3,
        .iterations = 1,
        .repetitions = 1,
        .clock = GB_MANUAL_TIME,
        .unit = GB_MILLISECONDS,
    };
    return gb_register(&benchmark, error);
}

/* Group by group; in a group, repetition by repetition; in a repetition, path after path. */
static kv_status register_all(struct kv_run *run, struct repetition *repetitions, struct kv_error *error)
{
    const struct kv_plan *plan = run->plan;
    kv_status status = KV_OK;
    for (int begin = 0, end; !status && begin < plan->n_cells; begin = end) {
        for (end = begin; end < plan->n_cells && plan->cells[end].group == plan->cells[begin].group;)
            end++;
        for (int number = 1; !status && number <= run->settings->repetitions; number++)
            for (int cell = begin; !status && cell < end; cell++) {
                *repetitions = (struct repetition){run, cell, number};
                status = register_repetition(repetitions++, error);
            }
    }
    return status;
}

static kv_status allocate(struct kv_run *run, struct repetition **repetitions, struct kv_error *error)
{
    const size_t n = (size_t)run->plan->n_cells, n_repetitions = (size_t)run->settings->repetitions;
    bool good = (run->states = calloc(n, sizeof *run->states)) && (run->results = calloc(n, sizeof *run->results)) &&
                (*repetitions = calloc(n * n_repetitions, sizeof **repetitions));
    for (size_t i = 0; good && i < n; i++)
        good = (run->results[i].figures = calloc(n_repetitions, sizeof *run->results[i].figures)) != NULL;
    if (!good && error)
        snprintf(error->message, sizeof error->message, "no memory for a run of %zu configurations", n);
    return good ? KV_OK : KV_ERROR_MEMORY;
}

kv_status kv_run_measure(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_team *team, struct kv_error *error)
{
    struct repetition *repetitions = NULL;
    *run = (struct kv_run){.settings = settings, .plan = plan, .model = model, .team = team};
    run->start_ns = kv_now_ns();
    kv_status status = allocate(run, &repetitions, error);
    if (!status)
        status = kv_rows_open(&run->runs, settings->folder, error);
    if (!status)
        status = register_all(run, repetitions, error);
    if (!status)
        status = gb_run(NULL, NULL, NULL, error);
    gb_clear();
    for (int i = 0; run->states && i < plan->n_cells; i++)
        close_state(&run->states[i]);
    free(repetitions);
    kv_csv_close(run->runs);
    run->runs = NULL;
    if (!status && run->broken) {
        status = run->broken;
        if (error)
            *error = run->broken_error;
    }
    return status;
}

kv_status kv_run_list(const struct kv_plan *plan, const struct kv_run_settings *settings, struct kv_error *error)
{
    struct repetition *repetitions = NULL;
    struct kv_run run = {.settings = settings, .plan = plan};
    kv_status status = allocate(&run, &repetitions, error);
    if (!status)
        status = register_all(&run, repetitions, error);
    if (!status)
        status = gb_run(NULL, NULL, NULL, error);
    gb_clear();
    free(repetitions);
    kv_run_free(&run);
    return status;
}

void kv_run_free(struct kv_run *run)
{
    for (int i = 0; run->results && i < run->plan->n_cells; i++)
        free(run->results[i].figures);
    free(run->results);
    free(run->states);
    run->results = NULL;
    run->states = NULL;
}
