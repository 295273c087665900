/* The fixture of generations: a decoder, the gate, the warm-up, and the figures of measure.h. */
#include "measure/fixture.h"

#include "base/error.h"
#include "results/stats.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A generation predicted to be no longer than this is warmed up whole, a longer one by its first tokens. */
#define WARM_UP_SECONDS 1.0
#define WARM_UP_TOKENS  4
/* Warm enough: two successive ones within this of each other, or so many of them. Every repetition has an untimed first
 * token of its own besides. */
#define WARM_UP_AGREEMENT 0.05
#define WARM_UP_MOST      3

/* Between two steps of a long generation the machine is probed about so often. */
#define PROBE_SECONDS 1.0

/* Of a text past the window, the steps that are predicted one by one. */
#define WINDOWS_COUNTED 8

struct generation_state {
    struct kv_generation_state common; /* first: what the shared parts see */
    struct kv_decoder decoder;
    struct kv_parts *parts; /* NULL: its time is not asked for by part */
    struct kv_speculation speculation;
    struct kv_model *draft; /* owned */
    char by_place[128];     /* what the row has of the drafts */
};

void kv_generation_cell_name(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "%s/batch:%d/prompt:%d/new:%d", cell->arm.path, cell->point.batch,
             cell->point.n_prompt, cell->point.n_new);
}

void kv_generation_describe(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE])
{
    snprintf(text, KV_CELL_TEXT_SIZE, "batch %d, prompt %d, %s", cell->point.batch, cell->point.n_prompt,
             kv_engine_is_own(cell->arm.engine) ? cell->arm.path : cell->arm.engine);
}

enum kv_overflow kv_cell_overflow(const struct kv_cell *cell)
{
    const int overflow = kv_choice_find(kv_overflow_choice, "overflow", cell->arm.overflow, NULL);
    return overflow < 0 ? KV_OVERFLOW_STOP : (enum kv_overflow)overflow;
}

struct kv_session_options kv_cell_session_options(const struct kv_cell *cell)
{
    const enum kv_overflow overflow = kv_cell_overflow(cell);
    return (struct kv_session_options){
        .path = cell->arm.path,
        .cache = *cell->arm.cache ? cell->arm.cache : NULL,
        .kv = *cell->arm.kv ? cell->arm.kv : NULL,
        .matmul = cell->arm.gemm,
        .isa = cell->arm.isa,
        .batch = cell->point.batch,
        .capacity = overflow == KV_OVERFLOW_STOP ? cell->point.n_prompt + cell->point.n_new - 1 : 0,
        .chunk = cell->arm.chunk,
        .overflow = overflow,
    };
}

/* ---- Work and limits -------------------------------------------------------------------------------- */

/* Of n_new tokens behind n_before of a text; past the window, what is kept may have to be run again. */
static struct kv_work work_of(const struct kv_run *run, const struct kv_cell *cell, int n_before, int n_new)
{
    const struct kv_session_options options = kv_cell_session_options(cell);
    const int window = run->settings->config->n_positions;
    const int before = kv_overflow_kept(options.overflow, window, n_before);
    const int after = kv_overflow_kept(options.overflow, window, (long)n_before + n_new);
    const bool goes_on = after == before + n_new;
    return kv_step_work(run->settings->config, cell->arm.weights, &options, goes_on ? before : 0,
                        goes_on ? n_new : after);
}

/* Of the prompt; what sequences share is run once, on a path that keeps it. */
static struct kv_work prefill_work(const struct kv_run *run, const struct kv_cell *cell)
{
    const struct kv_point *p = &cell->point;
    struct kv_session_options one = kv_cell_session_options(cell);
    struct kv_work work = work_of(run, cell, 0, p->n_prompt);
    one.batch = 1;
    for (int part = 0; p->n_prefix && kv_path_keeps(cell->arm.path) && part < KV_N_PARTS; part++)
        if (part != KV_PART_HEAD)
            work.flops -=
                (p->batch - 1) *
                kv_part_work((enum kv_part)part, run->settings->config, cell->arm.weights, &one, 0, p->n_prefix).flops;
    return work;
}

/* Of so many new tokens of the cell. Past the window the work repeats: the last of a few windows stands for all others. */
static double least_of(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits, int n_new)
{
    const struct kv_point *p = &cell->point;
    struct kv_work work = prefill_work(run, cell);
    double seconds = p->same_prompt ? 0 : kv_limit_seconds(limits, work.bytes, work.flops);
    const int window = run->settings->config->n_positions;
    if (p->n_prompt > window - (n_new - 1)) {
        const int n = n_new - 1 < WINDOWS_COUNTED * window ? n_new - 1 : WINDOWS_COUNTED * window;
        double last = 0;
        for (int i = 0; i < n; i++) {
            work = work_of(run, cell, p->n_prompt + i, 1);
            const double step = kv_limit_seconds(limits, work.bytes, work.flops);
            seconds += step;
            last += i >= n - window ? step / window : 0;
        }
        seconds += last * (n_new - 1 - n);
    } else if (n_new > 1) { /* a step grows evenly: the one in the middle stands for all */
        work = work_of(run, cell, p->n_prompt + (n_new - 2) / 2, 1);
        seconds += (n_new - 1) * kv_limit_seconds(limits, work.bytes, work.flops);
    }
    return seconds;
}

double kv_generation_least_seconds(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits)
{
    return least_of(run, cell, limits, cell->point.n_new);
}

void kv_generation_expect(struct kv_cell_run *cell)
{
    const struct kv_point *p = &cell->cell->point;
    const struct kv_work prefill = prefill_work(cell->run, cell->cell);
    const int n_steps = p->n_new - 1;
    struct kv_work mean = {0, 0};
    kv_row_set_number(&cell->row, KV_COLUMN_PREFILL_FLOPS, prefill.flops);
    kv_row_set_number(&cell->row, KV_COLUMN_PREFILL_BYTES, prefill.bytes);
    for (int i = 0; i < n_steps; i++) {
        const struct kv_work work = work_of(cell->run, cell->cell, p->n_prompt + i, 1);
        mean.flops += work.flops / n_steps;
        mean.bytes += work.bytes / n_steps;
    }
    if (n_steps < 1)
        return;
    kv_row_set_number(&cell->row, KV_COLUMN_FLOPS, mean.flops);
    kv_row_set_number(&cell->row, KV_COLUMN_BYTES, mean.bytes);
}

/* The least milliseconds of a mean step by the repetition's own probes; NaN unknown. */
static double limit_ms(const struct kv_cell_run *cell)
{
    const struct kv_point *p = &cell->cell->point;
    const int n_steps = strcmp(cell->cell->arm.speculate, "none") == 0 ? p->n_new - 1 : 0; /* it is of plain steps */
    double sum = 0;
    for (int i = 0; i < n_steps && cell->limits.threads; i++) {
        const struct kv_work work = work_of(cell->run, cell->cell, p->n_prompt + i, 1);
        sum += kv_limit_seconds(&cell->limits, work.bytes, work.flops) * 1e3;
    }
    return sum > 0 ? sum / n_steps : NAN;
}

/* ---- Opening ---------------------------------------------------------------------------------------- */

/* From one sequence's piece of a text to the next one's, in prompts; the first is the text's beginning. */
#define PROMPTS_APART 8

static bool is_of_text(const struct kv_run_settings *settings, const struct kv_point *point)
{
    return point->of_text && settings->text.n_ids > 0 && settings->text.load_context == settings->load_context;
}

void kv_generation_prompt(const struct kv_run_settings *settings, const struct kv_point *point, int sequence,
                          int32_t *prompt)
{
    const struct kv_run_text *text = &settings->text;
    if (!is_of_text(settings, point) && point->edit_every) {
        kv_copying_passage(settings->config->vocab_size, sequence, prompt, point->n_prompt);
        return;
    }
    if (!is_of_text(settings, point)) {
        for (int i = 0; i < point->n_prompt; i++)
            prompt[i] = settings->prompt[i % settings->n_prompt] % settings->config->vocab_size;
        return;
    }
    const size_t first = (size_t)sequence * PROMPTS_APART * (size_t)point->n_prompt;
    for (int i = 0; i < point->n_prompt; i++)
        prompt[i] = text->ids[(first + (size_t)i) % text->n_ids];
}

/* With the state's speculation, or without. */
static kv_status create_decoder(struct kv_cell_run *cell, struct kv_decoder *decoder,
                                const struct kv_speculation *speculation, struct kv_error *error)
{
    const struct kv_point *p = &cell->cell->point;
    const struct kv_arm *arm = &cell->cell->arm;
    const struct kv_model *model;
    struct kv_pool *pool;
    kv_status status = kv_run_pool(cell->run, arm->threads, &pool, error);
    if (!status)
        status = kv_run_model(cell->run, arm->weights, arm->gemm, pool, &model, error);
    if (status)
        return status;
    const bool are_alike = p->same_prompt || !(is_of_text(cell->run->settings, p) || p->edit_every);
    const int n_prompts = are_alike ? 1 : p->batch, n_given = p->edit_every ? p->n_new : 0;
    const size_t room = (size_t)p->n_prompt + (size_t)n_given;
    int32_t *prompts = malloc((size_t)n_prompts * room * sizeof *prompts);
    if (!prompts)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d prompts of %d tokens", n_prompts, p->n_prompt);
    int32_t *given = prompts + (size_t)n_prompts * (size_t)p->n_prompt;
    for (int b = 0; b < n_prompts; b++) {
        int32_t *prompt = prompts + (size_t)b * (size_t)p->n_prompt;
        kv_generation_prompt(cell->run->settings, p, b, prompt);
        kv_copying_text(cell->run->settings->config->vocab_size, b, prompt, p->n_prompt, p->edit_every,
                        given + (size_t)b * (size_t)n_given, n_given);
    }
    const struct kv_decoder_options options = {
        .session = kv_cell_session_options(cell->cell),
        .prompts = prompts,
        .n_prompts = n_prompts,
        .n_prompt = p->n_prompt,
        .n_new = p->n_new,
        .end_of_text = -1,
        .same_prompt = p->same_prompt,
        .speculation = *speculation,
        .given_text = n_given ? given : NULL,
        .n_prefix = p->n_prefix,
    };
    status = kv_decoder_create(decoder, model, pool, &options, error);
    free(prompts);
    return status;
}

/* Seconds of a whole generation, told by its first tokens: the rest grows as the least time of its steps does. */
static double extrapolate(const struct kv_cell_run *cell, const struct kv_generation *g, int n_tokens)
{
    static const struct kv_limits even = {.threads = 1, .read_bytes_per_s = 10e9, .fma_flop_per_s = 50e9};
    const struct kv_limits *known = kv_run_limits(cell->run, cell->cell->arm.threads), *limits = known ? known : &even;
    const double seconds = (double)kv_generation_ns(g) * 1e-9, first = (double)g->stamps[1] * 1e-9;
    const double least = least_of(cell->run, cell->cell, limits, n_tokens);
    const double whole = least_of(cell->run, cell->cell, limits, cell->cell->point.n_new);
    const double least_first = least_of(cell->run, cell->cell, limits, 1);
    if (cell->cell->point.same_prompt)
        return seconds;
    return n_tokens == 1 ? first * whole / least
                         : first + (seconds - first) * (whole - least_first) / (least - least_first);
}

/* The measured shape, untimed, as much of it as is worth the wait. */
static kv_status warm_up(struct kv_cell_run *cell, struct kv_decoder *decoder, double cold_ttft_ms,
                         struct kv_error *error)
{
    const int n_new = cell->cell->point.n_new;
    const double per_token = kv_predict_seconds(cell->run, (int)(cell - cell->run->cells)) / n_new;
    int n_tokens = n_new;
    if (per_token * n_tokens > WARM_UP_SECONDS && !cell->cell->point.same_prompt)
        n_tokens = per_token * WARM_UP_TOKENS > WARM_UP_SECONDS || n_new < WARM_UP_TOKENS ? 1 : WARM_UP_TOKENS;
    double previous = n_tokens == 1 ? cold_ttft_ms * 1e-3 : INFINITY; /* the gate ran the first token once */
    for (int i = 0; i < WARM_UP_MOST; i++) {
        kv_decoder_reset(decoder, n_tokens);
        const kv_status status = kv_decoder_run(decoder, error);
        if (status)
            return status;
        const double seconds = (double)kv_generation_ns(&decoder->generation) * 1e-9;
        cell->result.estimate = extrapolate(cell, &decoder->generation, n_tokens);
        if (fabs(seconds - previous) <= WARM_UP_AGREEMENT * fmin(seconds, previous))
            break;
        previous = seconds;
    }
    return KV_OK;
}

static kv_status compare_tokens(const struct kv_decoder *plain, const struct kv_decoder *decoder,
                                struct kv_error *error)
{
    for (int b = 0; b < plain->generation.batch; b++) {
        int n, n_plain;
        const int32_t *tokens = kv_decoder_tokens(decoder, b, &n), *expected = kv_decoder_tokens(plain, b, &n_plain);
        for (int i = 0; i < n_plain && i < n; i++)
            if (tokens[i] != expected[i])
                return kv_fail(
                    error, KV_ERROR_UNSUPPORTED,
                    "equality gate: new token %d of sequence %d is %d, without speculation it is %d: not timed", i + 1,
                    b + 1, (int)tokens[i], (int)expected[i]);
    }
    return KV_OK;
}

/* A greedy generation has the tokens of the same arm without speculation, all of them; of a text that is given they are
 * what the model itself says at each place. */
static kv_status check_speculation(struct kv_cell_run *cell, struct kv_decoder *decoder, struct kv_error *error)
{
    static const struct kv_speculation none = {.k = 0};
    struct kv_decoder plain = {0};
    kv_status status = create_decoder(cell, &plain, &none, error);
    if (!status)
        status = kv_decoder_run(&plain, error);
    kv_decoder_reset(decoder, cell->cell->point.n_new);
    if (!status)
        status = kv_decoder_run(decoder, error);
    if (!status)
        status = compare_tokens(&plain, decoder, error);
    kv_decoder_free(&plain);
    return status;
}

/* One token alone is measured for its memory: the gate has run it once. */
static kv_status check_and_warm_up(struct kv_cell_run *cell, struct kv_decoder *decoder, struct kv_error *error)
{
    double cold_ttft_ms;
    kv_status status = kv_gate_check(cell, decoder, &cold_ttft_ms, error);
    if (!status && decoder->speculator)
        status = check_speculation(cell, decoder, error);
    if (status)
        return status;
    if (!cell->cell->point.same_prompt)
        kv_row_set_number(&cell->row, KV_COLUMN_COLD_TTFT_MS, cold_ttft_ms);
    cell->result.estimate = cold_ttft_ms * 1e-3;
    return cell->cell->point.n_new > 1 ? warm_up(cell, decoder, cold_ttft_ms, error) : KV_OK;
}

/* Where the prompt is not run again, the token behind. */
static kv_status run_first_token(struct generation_state *state, struct kv_error *error)
{
    kv_decoder_reset(&state->decoder, state->decoder.same_prompt ? 2 : 1);
    const kv_status status = kv_decoder_run(&state->decoder, error);
    state->common.first_seconds = (double)kv_generation_ns(&state->decoder.generation) * 1e-9;
    return status;
}

kv_status kv_generation_fit(const struct kv_cell *cell, const struct kv_config *config, struct kv_error *error)
{
    const struct kv_point *p = &cell->point;
    const long used = (long)p->n_prompt + p->n_new - 1;
    if (p->n_prefix > p->n_prompt)
        return kv_fail(error, KV_ERROR_ARGUMENT, "a prefix of %d is longer than the prompt of %d tokens: share fewer",
                       p->n_prefix, p->n_prompt);
    if (used <= config->n_positions || kv_cell_overflow(cell) != KV_OVERFLOW_STOP)
        return KV_OK;
    return kv_fail(
        error, KV_ERROR_ARGUMENT,
        "a prompt of %d and %d new tokens take %ld positions, the model has %d: use fewer, or choose overflow "
        "recompute or shift",
        p->n_prompt, p->n_new, used, config->n_positions);
}

static kv_status open_speculation(struct kv_cell_run *cell, struct generation_state *state, struct kv_error *error)
{
    const struct kv_run_settings *settings = cell->run->settings;
    const struct kv_arm *arm = &cell->cell->arm;
    struct kv_pool *pool;
    if (strcmp(arm->speculate, "none") == 0)
        return KV_OK;
    if (!settings->speculate)
        return kv_fail(error, KV_ERROR_UNSUPPORTED, "this program has no drafts");
    const kv_status status = kv_run_pool(cell->run, arm->threads, &pool, error);
    return status ? status
                  : settings->speculate(settings->load_context, arm, pool, &state->speculation, &state->draft, error);
}

static kv_status open(struct kv_cell_run *cell, struct kv_error *error)
{
    kv_status status = kv_generation_fit(cell->cell, cell->run->settings->config, error);
    if (status)
        return status;
    struct generation_state *state = calloc(1, sizeof *state);
    if (!state)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a generation");
    cell->state = state;
    state->common.generation = &state->decoder.generation;
    status = open_speculation(cell, state, error);
    if (!status)
        status = create_decoder(cell, &state->decoder, &state->speculation, error);
    state->common.same_prompt = state->decoder.same_prompt;
    if (!status && cell->cell->accounts)
        status = kv_parts_open(&state->parts, cell->cell, state->decoder.session, error);
    if (!status)
        status = cell->opened ? run_first_token(state, error) : check_and_warm_up(cell, &state->decoder, error);
    return status;
}

static kv_status settle(struct kv_cell_run *cell, struct kv_error *error)
{
    struct generation_state *state = cell->state;
    return state->common.first_seconds < KV_SETTLE_SECONDS ? run_first_token(state, error) : KV_OK;
}

static void close(struct kv_cell_run *cell)
{
    struct generation_state *state = cell->state;
    kv_decoder_free(&state->decoder);
    kv_model_free(state->draft);
    free(state->parts);
    free(state);
}

/* ---- Measuring -------------------------------------------------------------------------------------- */

static kv_status repeat(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error)
{
    struct generation_state *state = cell->state;
    const struct kv_generation *g = &state->decoder.generation;
    kv_status status = KV_OK;
    int64_t probed_ns = 0;
    (void)n;
    kv_rss_reset_peak();
    kv_decoder_reset(&state->decoder, cell->cell->point.n_new);
    if (state->parts)
        kv_parts_begin(state->parts);
    while (!status && !kv_decoder_done(&state->decoder)) {
        status = kv_decoder_step(&state->decoder, error);
        if (state->parts && g->n_steps == 1)
            kv_parts_prefilled(state->parts);
        if ((double)(kv_generation_ns(g) - probed_ns) * 1e-9 < PROBE_SECONDS || kv_decoder_done(&state->decoder))
            continue;
        kv_cell_probe(cell);
        probed_ns = kv_generation_ns(g);
    }
    *seconds = (double)kv_generation_ns(g) * 1e-9;
    state->common.first_seconds = (double)g->stamps[1] * 1e-9;
    const size_t peak = kv_rss_peak(), foreign = kv_cell_foreign_bytes(cell);
    state->common.rss_peak_bytes = peak > foreign ? (double)(peak - foreign) : NAN;
    state->common.kv_live_bytes = (double)g->kv_live_bytes;
    state->common.kv_reserved_bytes = (double)kv_session_kv_reserved_bytes(state->decoder.session);
    return status;
}

static void keep_samples(struct kv_generation_state *state, const struct kv_figures *f)
{
    if (state->n_samples == KV_PROGRESS_SAMPLES)
        return;
    state->ttft_ms[state->n_samples] = f->ttft_ms;
    state->ttpt_ms[state->n_samples++] = f->ttpt_ms;
    kv_stats_sort(state->ttft_ms, (size_t)state->n_samples);
    kv_stats_sort(state->ttpt_ms, (size_t)state->n_samples);
}

kv_status kv_generation_fill(struct kv_cell_run *cell, struct kv_error *error)
{
    struct kv_generation_state *state = cell->state;
    struct kv_row *row = &cell->newest;
    struct kv_figures f;
    const kv_status status = kv_figures_of(state->generation, &f, error);
    if (status)
        return status;
    if (state->same_prompt)
        f.ttft_ms = f.e2e_ms = f.prefill_tok_s = f.output_tok_s = NAN;
    const struct {
        enum kv_column column;
        double value;
    } figures[] = {
        {KV_COLUMN_TTFT_MS, f.ttft_ms},
        {KV_COLUMN_TTPT_MS, f.ttpt_ms},
        {KV_COLUMN_TTPT_P50_MS, f.ttpt_p50_ms},
        {KV_COLUMN_TTPT_P95_MS, f.ttpt_p95_ms},
        {KV_COLUMN_TTPT_P99_MS, f.ttpt_p99_ms},
        {KV_COLUMN_E2E_MS, f.e2e_ms},
        {KV_COLUMN_PREFILL_TOK_S, f.prefill_tok_s},
        {KV_COLUMN_DECODE_TOK_S, f.decode_tok_s},
        {KV_COLUMN_OUTPUT_TOK_S, f.output_tok_s},
        {KV_COLUMN_KV_LIVE_BYTES, state->kv_live_bytes},
        {KV_COLUMN_KV_RESERVED_BYTES, state->kv_reserved_bytes},
        {KV_COLUMN_RSS_PEAK_BYTES, state->rss_peak_bytes},
        {KV_COLUMN_LIMIT_MS, limit_ms(cell)},
    };
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        kv_row_set_number(row, figures[i].column, figures[i].value);
    if (row->known[KV_COLUMN_LIMIT_MS])
        kv_cell_set_share(cell, row->numbers[KV_COLUMN_LIMIT_MS], f.ttpt_ms, row->numbers[KV_COLUMN_BYTES]);
    keep_samples(state, &f);
    return KV_OK;
}

/* A row a step: its latency, its work and its limit. */
kv_status kv_generation_write_tokens(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct kv_generation_state *state = cell->state;
    const struct kv_generation *g = state->generation;
    const struct kv_limits *limits = &cell->limits;
    struct kv_row row = cell->newest;
    kv_status status = KV_OK;
    const int first = state->same_prompt ? 2 : 1;
    int n_before = first == 1 ? 0 : g->n_prompt;
    for (int i = first; !status && i <= g->n_steps; i++) {
        const int n_after = g->n_prompt + i - 1;
        const struct kv_work work = work_of(cell->run, cell->cell, n_before, n_after - n_before);
        kv_row_set_number(&row, KV_COLUMN_TOKEN, i);
        kv_row_set_number(&row, KV_COLUMN_CONTEXT_TOKENS, n_after);
        kv_row_set_number(&row, KV_COLUMN_LATENCY_NS, (double)(g->stamps[i] - g->stamps[i - 1]));
        kv_row_set_number(&row, KV_COLUMN_FLOPS, work.flops);
        kv_row_set_number(&row, KV_COLUMN_BYTES, work.bytes);
        kv_row_set_number(&row, KV_COLUMN_LIMIT_NS,
                          limits->threads ? kv_limit_seconds(limits, work.bytes, work.flops) * 1e9 : NAN);
        status = kv_row_write(cell->run->files[KV_FILE_TOKENS], KV_FILE_TOKENS, &row, error);
        n_before = n_after;
    }
    return status;
}

static void fill_speculation(struct kv_cell_run *cell, struct generation_state *state)
{
    enum { MOST_PLACES = 12 };
    const struct kv_speculation_counts *c = kv_speculator_counts(state->decoder.speculator);
    struct kv_row *row = &cell->newest;
    size_t n = 0;
    state->by_place[0] = '\0';
    for (int j = 0; j < MOST_PLACES && c->judged[j]; j++)
        n += (size_t)snprintf(state->by_place + n, sizeof state->by_place - n, "%s%.3f", j ? " " : "",
                              (double)c->stayed[j] / (double)c->judged[j]);
    kv_row_set_number(row, KV_COLUMN_STEP_TOKENS, (double)c->tokens / (double)c->steps);
    kv_row_set_number(row, KV_COLUMN_ACCEPTANCE, kv_speculation_acceptance(c));
    kv_row_set_text(row, KV_COLUMN_ACCEPTANCE_BY_PLACE, state->by_place);
    kv_row_set_number(row, KV_COLUMN_DRAFT_MS, (double)c->draft_ns * 1e-6 / (double)c->passes);
    kv_row_set_number(row, KV_COLUMN_VERIFY_MS, (double)c->verify_ns * 1e-6 / (double)c->passes);
}

static kv_status fill(struct kv_cell_run *cell, struct kv_error *error)
{
    struct generation_state *state = cell->state;
    const kv_status status = kv_generation_fill(cell, error);
    if (!status && state->decoder.speculator)
        fill_speculation(cell, state);
    return status;
}

static kv_status write_details(struct kv_cell_run *cell, struct kv_error *error)
{
    const struct generation_state *state = cell->state;
    const kv_status status = kv_generation_write_tokens(cell, error);
    return status || !state->parts ? status
                                   : kv_parts_write(cell, state->parts, state->decoder.generation.n_steps, error);
}

/* The running medians. */
void kv_generation_tell(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE])
{
    const struct kv_generation_state *state = cell->state;
    const size_t n = (size_t)state->n_samples;
    const double ttft_ms = kv_stats_median(state->ttft_ms, n), ttpt_ms = kv_stats_median(state->ttpt_ms, n);
    int used = snprintf(text, KV_CELL_TEXT_SIZE, "median");
    if (!isnan(ttft_ms))
        used += snprintf(text + used, KV_CELL_TEXT_SIZE - (size_t)used, " TTFT %.2f ms", ttft_ms);
    if (!isnan(ttpt_ms))
        snprintf(text + used, KV_CELL_TEXT_SIZE - (size_t)used, "%s TTPT %.2f ms", isnan(ttft_ms) ? "" : ",", ttpt_ms);
}

const struct kv_fixture kv_generation_fixture = {
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
    .write_details = write_details,
    .tell = kv_generation_tell,
    .close = close,
};
