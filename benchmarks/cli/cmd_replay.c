/* kvbench replay: the requests of a trace one after the other, in the order of their arrival, without and with a store
 * of prefixes. */
#include "cli/cli.h"

#include "base/error.h"
#include "base/file.h"
#include "measure/measure.h"
#include "results/stats.h"
#include "results/table.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB 1048576.0

struct request {
    int32_t *prompt; /* [n_prompt] */
    int n_prompt, n_new;
    double ttft_ms[2]; /* without and with the store */
    int n_found;
};

struct trace {
    struct request *requests; /* [n] */
    int n, longest;           /* positions that the longest one takes */
};

struct settings {
    struct model_options model;
    const char *trace, *format_name;
    double budget_mib;
};

/* ---- The trace ------------------------------------------------------------------------------------------- */

static void free_trace(struct trace *trace)
{
    for (int i = 0; i < trace->n; i++)
        free(trace->requests[i].prompt);
    free(trace->requests);
    *trace = (struct trace){0};
}

/* The ids of a prompt that is text, or a list of ids. */
static kv_status read_prompt(const json_t *prompt, const struct kv_tokenizer *tokenizer, int vocab_size,
                             struct request *request, struct kv_error *error)
{
    size_t n = json_array_size(prompt);
    if (json_is_string(prompt)) {
        const kv_status status = kv_tokenizer_encode(tokenizer, json_string_value(prompt), json_string_length(prompt),
                                                     false, &request->prompt, &n, error);
        request->n_prompt = (int)n;
        return status ? status : n ? KV_OK : kv_fail(error, KV_ERROR_FORMAT, "its prompt is empty");
    }
    if (n == 0)
        return kv_fail(error, KV_ERROR_FORMAT, "it has no \"prompt\", a text or a list of ids");
    request->prompt = cli_memory(NULL, n * sizeof *request->prompt);
    request->n_prompt = (int)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *id = json_array_get(prompt, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= vocab_size)
            return kv_fail(error, KV_ERROR_FORMAT, "id %zu of its prompt is not in 0..%d", i + 1, vocab_size - 1);
        request->prompt[i] = (int32_t)json_integer_value(id);
    }
    return KV_OK;
}

/* One line; *arrival is that of the line before, then of this one. */
static kv_status read_request(const char *line, const struct kv_tokenizer *tokenizer, const struct kv_config *config,
                              double *arrival, struct request *request, struct kv_error *error)
{
    json_error_t wrong;
    json_t *object = json_loads(line, 0, &wrong);
    const double arrival_s = json_number_value(json_object_get(object, "arrival_s"));
    const json_int_t n = json_integer_value(json_object_get(object, "n"));
    kv_status status = KV_OK;
    if (!json_is_object(object))
        status = kv_fail(error, KV_ERROR_FORMAT, "it is no JSON object: %.120s", object ? "another value" : wrong.text);
    else if (!json_is_number(json_object_get(object, "arrival_s")) || arrival_s < *arrival)
        status = kv_fail(error, KV_ERROR_FORMAT, "\"arrival_s\" is no time after that of the line before");
    else if (n < 1 || n > config->n_positions)
        status = kv_fail(error, KV_ERROR_FORMAT, "\"n\" is not in 1..%d", config->n_positions);
    else
        status = read_prompt(json_object_get(object, "prompt"), tokenizer, config->vocab_size, request, error);
    json_decref(object);
    *arrival = arrival_s;
    request->n_new = (int)n;
    if (!status && request->n_prompt + request->n_new - 1 > config->n_positions)
        status = kv_fail(error, KV_ERROR_FORMAT, "%d tokens and %d new ones are more than the model's n_positions, %d",
                         request->n_prompt, request->n_new, config->n_positions);
    return status;
}

static kv_status read_trace(const char *file, const struct kv_tokenizer *tokenizer, const struct kv_config *config,
                            struct trace *trace, struct kv_error *error)
{
    char *bytes = NULL;
    size_t n_bytes;
    double arrival = 0;
    kv_status status = kv_file_read(file, &bytes, &n_bytes, error);
    int number = 1;
    for (char *line = bytes, *end; !status && *line; line = end, number++) {
        struct kv_error reason = {""};
        end = strchrnul(line, '\n');
        if (*end)
            *end++ = '\0';
        if (!line[strspn(line, " \r\t")])
            continue;
        trace->requests = cli_memory(trace->requests, ((size_t)trace->n + 1) * sizeof *trace->requests);
        struct request *request = &trace->requests[trace->n++];
        *request = (struct request){0};
        status = read_request(line, tokenizer, config, &arrival, request, &reason);
        const int positions = request->n_prompt + request->n_new - 1;
        trace->longest = positions > trace->longest ? positions : trace->longest;
        if (status)
            kv_fail(error, status, "%.200s: line %d: %s", file, number, reason.message);
    }
    free(bytes);
    if (!status && trace->n == 0)
        status = kv_fail(error, KV_ERROR_FORMAT, "%.200s: there is no request in it, a JSON object a line", file);
    return status;
}

/* ---- The replay ------------------------------------------------------------------------------------------ */

struct replay {
    struct kv_session *sessions[2]; /* without and with the store */
    struct kv_store *store;
    int32_t *ids[2]; /* [longest] */
};

/* What is kept makes room for what is run. */
static kv_status append(struct replay *r, int with, const int32_t *tokens, int n, struct kv_error *error)
{
    kv_status status;
    do
        status = kv_session_prefill(r->sessions[with], tokens, n, NULL, error);
    while (status == KV_POOL_FULL && with && kv_store_evict(r->store));
    return status;
}

static kv_status prefill(struct replay *r, int with, const struct request *request, int *n_found,
                         struct kv_error *error)
{
    kv_status status = KV_OK;
    *n_found = 0;
    kv_session_reset(r->sessions[with]);
    if (with)
        status = kv_store_take(r->store, 0, request->prompt, request->n_prompt, n_found, error);
    if (!status)
        status = append(r, with, request->prompt + *n_found, request->n_prompt - *n_found, error);
    return status;
}

/* Its time to the first token, and all of its ids. */
static kv_status answer(struct replay *r, int with, struct request *request, struct kv_error *error)
{
    struct kv_session *session = r->sessions[with];
    int n_found;
    const int64_t start = kv_now_ns();
    kv_status status = prefill(r, with, request, &n_found, error);
    if (!status)
        status = kv_session_greedy(session, r->ids[with], error);
    request->ttft_ms[with] = (double)(kv_now_ns() - start) * 1e-6;
    request->n_found = with ? n_found : request->n_found;
    for (int i = 1; !status && i < request->n_new; i++) {
        status = append(r, with, r->ids[with] + i - 1, 1, error);
        if (!status)
            status = kv_session_greedy(session, r->ids[with] + i, error);
    }
    return status || !with ? status : kv_store_keep(r->store, 0, error);
}

static kv_status replay(struct replay *r, struct trace *trace, struct kv_error *error)
{
    /* The first request once, untimed and unkept: it finds cold caches and pages. */
    kv_status status = answer(r, 0, &trace->requests[0], error);
    for (int i = 0; !status && i < trace->n && !signals_received(); i++) {
        struct request *request = &trace->requests[i];
        for (int k = 0; !status && k < 2; k++) /* they take turns to be first */
            status = answer(r, (i + k) % 2, request, error);
        if (!status && memcmp(r->ids[0], r->ids[1], (size_t)request->n_new * sizeof **r->ids) != 0)
            status = kv_fail(error, KV_ERROR_NUMERIC,
                             "request %d: its ids with the store are not those without; this is a fault of kvbench",
                             i + 1);
    }
    return status;
}

static kv_status open_replay(struct replay *r, const struct settings *s, const struct kv_model *model,
                             struct kv_pool *pool, const struct trace *trace, struct kv_error *error)
{
    struct kv_session_options options = model_session_options(&s->model, NULL);
    const double budget = s->budget_mib * MIB;
    options.batch = 1;
    options.capacity = trace->longest;
    kv_status status = kv_session_create(&r->sessions[0], model, pool, &options, error);
    if (!status) { /* room for the store beside the sequence, by what a position took there */
        const double position_bytes = (double)kv_session_kv_reserved_bytes(r->sessions[0]) / trace->longest;
        options.pool = trace->longest + 256 + (int)fmin(1.1 * budget / position_bytes, 1 << 24);
        status = kv_session_create(&r->sessions[1], model, pool, &options, error);
    }
    if (!status)
        status = kv_store_create(&r->store, r->sessions[1], (size_t)budget, error);
    for (int i = 0; i < 2; i++)
        r->ids[i] = cli_memory(NULL, (size_t)trace->longest * sizeof **r->ids);
    return status;
}

static void close_replay(struct replay *r)
{
    kv_store_free(r->store);
    for (int i = 0; i < 2; i++) {
        kv_session_free(r->sessions[i]);
        free(r->ids[i]);
    }
}

/* ---- What is told ---------------------------------------------------------------------------------------- */

static double quantile_of(const struct trace *trace, int with, double q)
{
    double *times = cli_memory(NULL, (size_t)trace->n * sizeof *times);
    for (int i = 0; i < trace->n; i++)
        times[i] = trace->requests[i].ttft_ms[with];
    kv_stats_sort(times, (size_t)trace->n);
    const double value = kv_stats_quantile(times, (size_t)trace->n, q);
    free(times);
    return value;
}

static double sum_of(const struct trace *trace, int with)
{
    double sum = 0;
    for (int i = 0; i < trace->n; i++)
        sum += trace->requests[i].ttft_ms[with];
    return sum;
}

/* A row without the store, one with it. */
static struct kv_table *table_of(const struct replay *r, const struct trace *trace)
{
    static const struct kv_table_column columns[] = {
        {"store", NULL, true},
        {"requests", NULL, false},
        {"hit_rate_pct", "found, % of tokens", false},
        {"ttft_p50_ms", "TTFT p50 ms", false},
        {"ttft_p95_ms", "TTFT p95 ms", false},
        {"ttft_sum_ms", "TTFT, all, ms", false},
        {"bound", "speed at most", false},
        {"speed", "speed", false},
        {"kept_bytes", "kept MiB", false},
        {"reserved_bytes", "reserved MiB", false},
        {"evicted_blocks", "blocks evicted", false},
    };
    const struct kv_store_counts counts = kv_store_counts(r->store);
    const double hits = (double)counts.found_tokens / (double)counts.asked_tokens;
    struct kv_table *table;
    char text[KV_NUMBER_SIZE];
    if (kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, NULL) != KV_OK)
        return NULL;
    for (int with = 0; with < 2; with++) {
        const double reserved = (double)kv_session_kv_reserved_bytes(r->sessions[with]);
        const double kept = with ? (double)counts.bytes : 0;
        kv_table_add_text(table, with ? "with" : "without");
        kv_table_add_number(table, trace->n, NULL);
        kv_table_add_number(table, with ? 100 * hits : 0, NULL);
        kv_table_add_number(table, quantile_of(trace, with, 0.50), NULL);
        kv_table_add_number(table, quantile_of(trace, with, 0.95), NULL);
        kv_table_add_number(table, sum_of(trace, with), NULL);
        kv_table_add_number(table, with ? 1 / (1 - hits) : 1, NULL);
        kv_table_add_number(table, with ? sum_of(trace, 0) / sum_of(trace, 1) : 1, NULL);
        kv_table_add_number(table, kept, kv_number_text(kept / MIB, text, sizeof text));
        kv_table_add_number(table, reserved, kv_number_text(reserved / MIB, text, sizeof text));
        kv_table_add_number(table, with ? (double)counts.evicted_blocks : 0, NULL);
    }
    return table;
}

/* ---- The command ----------------------------------------------------------------------------------------- */

static int run(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_config config;
    struct kv_tokenizer *tokenizer = NULL;
    struct kv_pool *pool = NULL;
    struct kv_model *model = NULL;
    struct trace trace = {0};
    struct replay r = {0};
    int exit_status = model_shape(command, &s->model, &config);
    if (exit_status)
        return exit_status;
    kv_status status = text_tokenizer(NULL, s->model.model, &tokenizer, &error);
    if (!status)
        status = read_trace(s->trace, tokenizer, &config, &trace, &error);
    if (!status)
        exit_status = model_open(command, &s->model, &pool, &model);
    signals_listen(NULL);
    if (!status && !exit_status)
        status = open_replay(&r, s, model, pool, &trace, &error);
    if (!status && !exit_status)
        status = replay(&r, &trace, &error);
    if (status)
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    else if (!exit_status && signals_received())
        exit_status = 128 + signals_received();
    else if (!exit_status)
        exit_status = print_and_free(command, table_of(&r, &trace), format_of(s->format_name));
    close_replay(&r);
    free_trace(&trace);
    kv_model_free(model);
    kv_pool_free(pool);
    kv_tokenizer_free(tokenizer);
    return exit_status;
}

int command_replay(int argc, char **argv)
{
    struct settings s = {.model = model_options_default(EMBEDDED_MODEL), .budget_mib = 64};
    struct source_rows source;
    struct engine_rows engine;
    s.model.cache = "paged:16";
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, NULL)},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "trace",
         .argument = "FILE",
         .help = "the requests, a JSON object a line: arrival_s, prompt (a text, or a list of ids), n new\n"
                 "                           tokens; data/trace/chat.jsonl is one",
         .text = &s.trace},
        {.name = "store",
         .argument = "MIB",
         .help = "keys and values that the store keeps at most (default 64)",
         .number = &s.budget_mib},
        format_row(&s.format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "--trace FILE [OPTIONS]",
        .summary =
            "Replays the requests of a trace, one after the other in the order of their arrival, without and with "
            "a\n"
            "store of prefixes: blocks of keys and values that stay when their request is done, in a tree, until "
            "the\n"
            "budget is full and those used longest ago go. Prints how many of the prompts' tokens were found, and "
            "the\n"
            "time to the first token; ids are the same with the store, or the replay fails. The cache is paged:16\n"
            "unless --cache names another one with blocks.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (!s.trace)
        return cli_fail(argv[0], CLI_USAGE, "--trace FILE is needed; see kvbench replay --help");
    return run(argv[0], &s);
}
