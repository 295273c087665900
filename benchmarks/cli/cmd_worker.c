/* kvbench worker: one cell, measured when it is asked to. The protocol is no engine's own: whoever speaks it can be
 * held against kvbench by `ab`.
 *
 *   a line of JSON (UTF-8, one object, no line break within) each way, answers in the order of the requests; times are
 *   milliseconds of the engine's own clock, which runs in no pause between steps. stderr is for people.
 *
 *   first, once everything is loaded and a request would be measured at once:
 *     {"ready": true, "engine": NAME, "version": TEXT, "commit": TEXT, "settings": {NAME: TEXT or number, ..},
 *      "steps": true}            `settings` is what is in force, for the record; `steps`: that request is known, too
 *   requests and their answers:
 *     {"do": "run"}              one generation: the prompt, then one step a new token after the first
 *       {"ttft_ms": 12.3, "ttpt_ms": 4.5, "e2e_ms": 233.0, "step_ms": [4.6, ..], "ids": [17, ..]}
 *                                ttpt_ms: null with one new token; step_ms: of each step; ids: of the first sequence
 *     {"do": "steps", "n": 5}    the next n steps of a generation, which goes on from request to request and begins
 *       {"step_ms": [4.6, ..], "ttft_ms": 12.3}      again with the prompt when it is over; ttft_ms: null when it did
 *                                                    not begin here, else of the last time it did
 *                                "extra_pct": 3 in it: each step is longer by so much, as with --extra
 *     {"do": "quit"}             no answer: the process ends, as it does when stdin does
 *   anything else, and whatever fails: {"error": "one line"}; the next request is served as if it had not been.
 *
 * Between two requests the process takes no time from others: it waits in read(), and its threads, which spin for
 * about a millisecond after a step (core/base/pool.c), sleep. */
#include "cli/ab.h"

#include "base/error.h"
#include "base/pool.h"
#include "machine/context.h"
#include "measure/decoder.h"
#include "results/stats.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_STEPS = 100000, EXTRA_WINDOW = 31, EXTRA_ALONE_NS = 100000 };

struct worker {
    const char *command;
    const struct worker_settings *asked;
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_decoder decoder;
    /* Of --extra: CPU time of the latest steps, a ring. */
    double recent_ns[EXTRA_WINDOW];
    int n_recent;
    double extra_pct; /* of the request that is served */
};

/* ---- Options ----------------------------------------------------------------------------------------- */

struct worker_settings worker_settings_default(void)
{
    return (struct worker_settings){.model = model_options_default("gpt2"), .batch = 1, .n_new = 50};
}

const struct option_table *worker_rows(struct worker_rows *r, struct worker_settings *s)
{
    const struct option_table *parts[] = {model_source_rows(&r->source, &s->model, NULL),
                                          engine_rows(&r->engine, &s->model)};
    const struct option_row own[] = {
        {.name = "path", .argument = "NAME", .help = "inference path:", .chosen = &s->path, .choice = kv_path_choice},
        {.name = "chunk",
         .argument = "N",
         .help = "prefill N positions at a time (default: all at once)",
         .integer = &s->chunk,
         .low = 1,
         .high = INT32_MAX},
        {.name = "batch",
         .letter = 'b',
         .argument = "B",
         .help = "sequences (default 1)",
         .integer = &s->batch,
         .low = 1,
         .high = INT32_MAX},
        {.name = "prompt",
         .letter = 'p',
         .argument = "N",
         .help = "tokens of the prompt (default: the benchmark's 21)",
         .integer = &s->n_prompt,
         .low = 1,
         .high = INT32_MAX / 4},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new tokens of a generation (default 50)",
         .integer = &s->n_new,
         .low = 1,
         .high = INT32_MAX / 4},
        {.name = "extra",
         .argument = "PCT",
         .help = "do PCT % more work after each step: a slow-down of known size",
         .number = &s->extra_pct},
    };
    int n = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < parts[i]->n_rows; k++)
            r->rows[n++] = parts[i]->rows[k];
    memcpy(r->rows + n, own, sizeof own);
    r->table = (struct option_table){.rows = r->rows, .n_rows = n + (int)(sizeof own / sizeof own[0])};
    return &r->table;
}

const struct option_table *worker_texts(struct worker_texts *t)
{
    t->unused = worker_settings_default();
    const struct option_table *known = worker_rows(&t->known, &t->unused);
    for (int i = 0; i < known->n_rows; i++) {
        const struct option_row *row = &known->rows[i];
        t->rows[i] = (struct option_row){.name = row->name,
                                         .letter = row->letter,
                                         .argument = row->argument,
                                         .help = row->help,
                                         .choice = row->choice};
        if (row->flag)
            t->rows[i].flag = &t->flags[i];
        else
            t->rows[i].text = &t->texts[i];
        snprintf(t->names[i], sizeof t->names[i], "--%s", row->name);
    }
    t->table = (struct option_table){.rows = t->rows, .n_rows = known->n_rows};
    return &t->table;
}

int worker_arguments(const struct worker_texts *t, const char **arguments)
{
    int n = 0;
    for (int i = 0; i < t->table.n_rows; i++) {
        if (t->flags[i] || t->texts[i])
            arguments[n++] = t->names[i];
        if (t->texts[i])
            arguments[n++] = t->texts[i];
    }
    return n;
}

/* ---- Steps ------------------------------------------------------------------------------------------- */

static int64_t cpu_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return time.tv_sec * INT64_C(1000000000) + time.tv_nsec;
}

static void work_for(void *argument, int rank)
{
    const int64_t end = cpu_ns() + *(const int64_t *)argument;
    (void)rank;
    while (cpu_ns() < end)
        ;
}

/* Works on for so long, and returns the milliseconds. A moment is the caller's alone, while the others wait for it by
 * spinning: to call them would be work itself. More is done by all, and counted in CPU time: a machine that is busy with
 * others stretches it as it stretches a step. */
static double work_on(struct worker *w, int64_t extra_ns)
{
    const int64_t start = kv_now_ns();
    int64_t now = start;
    if (extra_ns > EXTRA_ALONE_NS) {
        kv_pool_run(w->pool, work_for, &extra_ns);
        now = kv_now_ns();
    }
    while (now - start < extra_ns)
        now = kv_now_ns();
    return (double)(now - start) * 1e-6;
}

/* What the middle one of the latest steps took of the caller's CPU time, the newest among them. */
static double middle_step_ns(struct worker *w, int64_t newest_ns)
{
    double sorted[EXTRA_WINDOW];
    w->recent_ns[w->n_recent++ % EXTRA_WINDOW] = (double)newest_ns;
    const size_t n = w->n_recent < EXTRA_WINDOW ? (size_t)w->n_recent : EXTRA_WINDOW;
    memcpy(sorted, w->recent_ns, n * sizeof *sorted);
    kv_stats_sort(sorted, n);
    return kv_stats_median(sorted, n);
}

/* The next step, the first after a reset being the prompt's; its milliseconds. */
static kv_status step(struct worker *w, double *ms, struct kv_error *error)
{
    struct kv_decoder *d = &w->decoder;
    const bool slowed = w->extra_pct > 0 && d->generation.n_steps > 0; /* the prompt's is no measure of the others */
    const int64_t cpu_start = slowed ? cpu_ns() : 0;
    const kv_status status = kv_decoder_step(d, error);
    if (status)
        return status;
    const int i = d->generation.n_steps;
    *ms = (double)(d->generation.stamps[i] - d->generation.stamps[i - 1]) * 1e-6;
    if (slowed)
        *ms += work_on(w, (int64_t)(w->extra_pct / 100 * middle_step_ns(w, cpu_ns() - cpu_start)));
    return KV_OK;
}

static kv_status run_generation(struct worker *w, json_t *answer, struct kv_error *error)
{
    struct kv_decoder *d = &w->decoder;
    json_t *steps = json_array(), *ids = json_array();
    double first_ms = 0, ms = 0, sum_ms = 0;
    kv_decoder_reset(d, w->asked->n_new);
    kv_status status = step(w, &first_ms, error);
    while (!status && !kv_decoder_done(d)) {
        status = step(w, &ms, error);
        json_array_append_new(steps, json_real(ms));
        sum_ms += ms;
    }
    const size_t n_steps = json_array_size(steps);
    json_object_set_new(answer, "ttft_ms", json_real(first_ms));
    json_object_set_new(answer, "ttpt_ms", n_steps ? json_real(sum_ms / (double)n_steps) : json_null());
    json_object_set_new(answer, "e2e_ms", json_real(first_ms + sum_ms));
    json_object_set_new(answer, "step_ms", steps);
    int n_ids = 0;
    const int32_t *tokens = kv_decoder_tokens(d, 0, &n_ids);
    for (int i = 0; i < n_ids; i++)
        json_array_append_new(ids, json_integer(tokens[i]));
    json_object_set_new(answer, "ids", ids);
    return status;
}

static kv_status run_steps(struct worker *w, const json_t *request, json_t *answer, struct kv_error *error)
{
    struct kv_decoder *d = &w->decoder;
    const json_int_t n = json_integer_value(json_object_get(request, "n"));
    const json_t *extra = json_object_get(request, "extra_pct");
    if (json_is_number(extra) && json_number_value(extra) >= 0)
        w->extra_pct = json_number_value(extra);
    if (n < 1 || n > MOST_STEPS)
        return kv_fail(error, KV_ERROR_ARGUMENT, "\"n\" is to be a whole number of 1 to %d", MOST_STEPS);
    if (w->asked->n_new < 2)
        return kv_fail(error, KV_ERROR_ARGUMENT, "one new token has no step after it: start the worker with -n 2");
    json_t *steps = json_array();
    double first_ms = NAN, ms = 0;
    kv_status status = KV_OK;
    while (!status && json_array_size(steps) < (size_t)n) {
        if (kv_decoder_done(d) || d->generation.n_steps == 0) {
            kv_decoder_reset(d, w->asked->n_new);
            status = step(w, &first_ms, error);
        } else {
            status = step(w, &ms, error);
            json_array_append_new(steps, json_real(ms));
        }
    }
    json_object_set_new(answer, "step_ms", steps);
    json_object_set_new(answer, "ttft_ms", isnan(first_ms) ? json_null() : json_real(first_ms));
    return status;
}

/* ---- The protocol ------------------------------------------------------------------------------------ */

static void say(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    puts(text ? text : "{\"error\":\"no memory for the answer\"}");
    fflush(stdout);
    free(text);
    json_decref(object);
}

static void say_ready(const struct worker *w)
{
    const struct kv_session *session = w->decoder.session;
    struct kv_build_info build;
    kv_build_info_get(&build);
    json_t *settings = json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:i}", "model", w->asked->model.model,
        "weights_source", kv_model_source(w->model), "path", kv_session_path(session), "weights",
        kv_model_format(w->model), "cache", kv_session_cache(session), "kv", kv_session_kv(session), "gemm",
        kv_session_matmul(session), "isa", kv_session_isa(session), "threads", kv_pool_size(w->pool), "batch",
        w->decoder.generation.batch, "prompt_tokens", w->decoder.generation.n_prompt, "new_tokens", w->asked->n_new);
    if (w->asked->chunk)
        json_object_set_new(settings, "chunk", json_integer(w->asked->chunk));
    if (w->asked->extra_pct > 0)
        json_object_set_new(settings, "extra_pct", json_real(w->asked->extra_pct));
    say(json_pack("{s:b, s:s, s:s, s:s, s:b, s:o}", "ready", 1, "engine", "kvbench", "version", build.version, "commit",
                  build.commit, "steps", w->asked->n_new > 1, "settings", settings));
}

/* False: to quit. */
static bool serve(struct worker *w, const char *line, size_t length)
{
    struct kv_error error = {""};
    json_error_t json_error;
    json_t *request = json_loadb(line, length, 0, &json_error), *answer = json_object();
    const char *what = json_string_value(json_object_get(request, "do"));
    const bool quits = what && strcmp(what, "quit") == 0;
    kv_status status;
    w->extra_pct = w->asked->extra_pct;
    if (!request)
        status = kv_fail(&error, KV_ERROR_FORMAT, "not a line of JSON: %s", json_error.text);
    else if (!what)
        status = kv_fail(&error, KV_ERROR_FORMAT, "the request has no \"do\", such as {\"do\": \"run\"}");
    else if (strcmp(what, "run") == 0)
        status = run_generation(w, answer, &error);
    else if (strcmp(what, "steps") == 0)
        status = run_steps(w, request, answer, &error);
    else
        status = kv_fail(&error, KV_ERROR_ARGUMENT, "'%.40s' is none of run, steps and quit", what);
    if (status && !quits) {
        kv_decoder_reset(&w->decoder, w->asked->n_new);
        json_object_clear(answer);
        json_object_set_new(answer, "error", json_string(error.message));
    }
    if (quits)
        json_decref(answer);
    else
        say(answer);
    json_decref(request);
    return !quits;
}

static void serve_all(struct worker *w)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t length;
    while ((length = getline(&line, &capacity, stdin)) > 0 && serve(w, line, (size_t)length) && !ferror(stdout))
        ;
    free(line);
}

/* ---- The command ------------------------------------------------------------------------------------- */

/* Ids [n_prompt] of the benchmark's prompt, over and over, modulo the vocabulary, as bench has them. */
static int32_t *make_prompt(const struct kv_model *model, int n_prompt)
{
    int32_t *prompt = malloc((size_t)n_prompt * sizeof *prompt);
    for (int i = 0; prompt && i < n_prompt; i++)
        prompt[i] = default_prompt[i % default_prompt_length] % kv_model_config(model)->vocab_size;
    return prompt;
}

static kv_status open_decoder(struct worker *w, struct kv_error *error)
{
    const struct worker_settings *s = w->asked;
    const int n_prompt = s->n_prompt ? s->n_prompt : default_prompt_length;
    const int n_positions = kv_model_config(w->model)->n_positions;
    if ((long)n_prompt + s->n_new - 1 > n_positions)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "%d tokens of prompt and %d new ones are more than the model's window of %d: give fewer",
                       n_prompt, s->n_new, n_positions);
    int32_t *prompt = make_prompt(w->model, n_prompt);
    if (!prompt)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a prompt of %d tokens", n_prompt);
    struct kv_decoder_options options = {
        .session = model_session_options(&s->model, s->path),
        .prompts = prompt,
        .n_prompts = 1,
        .n_prompt = n_prompt,
        .n_new = s->n_new,
        .end_of_text = -1,
    };
    options.session.batch = s->batch;
    options.session.chunk = s->chunk;
    const kv_status status = kv_decoder_create(&w->decoder, w->model, w->pool, &options, error);
    free(prompt);
    return status;
}

static void stay(void *argument, int rank)
{
    const struct kv_cpus *cpus = argument;
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(cpus->order[rank], &one);
    sched_setaffinity(0, sizeof one, &one); /* refused: as if nobody had asked */
}

/* A CPU for each thread, for good. A worker sleeps between its turns, and beside another program the scheduler may wake
 * two of its threads on one CPU, turn after turn, for seconds: its steps were then ten times as long as those of an equal
 * worker that it took turns with. */
static void spread_threads(struct kv_pool *pool)
{
    struct kv_cpus cpus;
    kv_cpus_list(&cpus, -1);
    if (kv_pool_size(pool) <= cpus.n)
        kv_pool_run(pool, stay, &cpus);
}

static int work(const char *command, const struct worker_settings *asked)
{
    struct kv_error error = {""};
    struct worker w = {.command = command, .asked = asked};
    int exit_status = model_open(command, &asked->model, &w.pool, &w.model);
    if (exit_status)
        return exit_status;
    spread_threads(w.pool);
    const kv_status status = open_decoder(&w, &error);
    if (status) {
        exit_status = cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    } else {
        say_ready(&w);
        serve_all(&w);
        kv_decoder_free(&w.decoder);
    }
    kv_model_free(w.model);
    kv_pool_free(w.pool);
    return exit_status;
}

int command_worker(int argc, char **argv)
{
    struct worker_settings settings = worker_settings_default();
    struct worker_rows rows;
    struct option_table table = *worker_rows(&rows, &settings);
    table.command = argv[0];
    table.usage = "[OPTIONS]";
    table.summary =
        "Measures one cell whenever a line of JSON on stdin asks for it, and answers with a line on stdout: "
        "what\n"
        "`ab` drives two of. It says when it is ready, then knows the requests {\"do\": \"run\"}, a whole\n"
        "generation, {\"do\": \"steps\", \"n\": 5}, so many steps of one that goes on, and {\"do\": "
        "\"quit\"};\n"
        "the head of benchmarks/cli/cmd_worker.c has the protocol.";
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    return work(argv[0], &settings);
}
