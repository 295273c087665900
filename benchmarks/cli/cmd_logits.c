#include "cli/cli.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

struct settings {
    struct model_options model;
    struct token_rows rows;
    const char *path;
    const char *out;
    int chunk;
};

static kv_status write_logits(const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                              struct kv_error *error)
{
    const size_t shape[] = {(size_t)s->rows.batch, (size_t)s->rows.length, (size_t)kv_model_config(model)->vocab_size};
    struct kv_session_options options = model_session_options(&s->model, s->path);
    options.batch = s->rows.batch;
    options.capacity = s->rows.length;
    options.chunk = s->chunk;
    struct kv_session *session;
    kv_status status = kv_session_create(&session, model, pool, &options, error);
    if (status)
        return status;
    float *logits = calloc(shape[0] * shape[1], shape[2] * sizeof *logits);
    if (!logits)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for logits [%zu, %zu, %zu]; give fewer tokens", shape[0],
                         shape[1], shape[2]);
    if (!status)
        status = kv_session_prefill(session, s->rows.tokens, s->rows.length, logits, error);
    if (!status)
        status = kv_write_safetensors(s->out, "logits", logits, shape, 3, error);
    if (!status)
        fprintf(stderr, "kvbench logits: %s: tensor logits [%zu, %zu, %zu], F32\n", s->out, shape[0], shape[1],
                shape[2]);
    free(logits);
    kv_session_free(session);
    return status;
}

static int run(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_pool *pool;
    struct kv_model *model;
    int exit_status = model_open(command, &s->model, &pool, &model);
    if (exit_status)
        return exit_status;
    const int n_positions = kv_model_config(model)->n_positions;
    if (s->rows.length > n_positions)
        exit_status = cli_fail(command, CLI_FAILED, "--tokens has %d ids a sequence, the model's n_positions is %d",
                               s->rows.length, n_positions);
    else if (write_logits(s, model, pool, &error) != KV_OK)
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    kv_model_free(model);
    kv_pool_free(pool);
    return exit_status;
}

int command_logits(int argc, char **argv)
{
    struct settings s = {.model = model_options_default("gpt2")};
    struct source_rows source;
    struct engine_rows engine;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, NULL)},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "tokens",
         .argument = "IDS",
         .help = "sequences of ids: \"1,2,3\" or \"1,2,3;4,5,6\"",
         .value = &s.rows,
         .parse = token_rows_parse},
        {.name = "path", .argument = "NAME", .help = "inference path:", .chosen = &s.path, .choice = kv_path_choice},
        {.name = "chunk",
         .argument = "N",
         .help = "prefill N positions at a time (default: all at once)",
         .integer = &s.chunk,
         .low = 1,
         .high = INT32_MAX},
        {.name = "out", .letter = 'o', .argument = "FILE", .help = "the safetensors file to write", .text = &s.out},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "--tokens IDS --out FILE [OPTIONS]",
        .summary =
            "Writes the logits of every position as tensor \"logits\" [B, T, V], float32, in a safetensors file.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status)) {
        if (!s.rows.tokens || !s.out)
            status = cli_fail(argv[0], CLI_USAGE, "%s is needed; see kvbench logits --help",
                              s.out ? "--tokens IDS" : "--out FILE");
        else
            status = run(argv[0], &s);
    }
    token_rows_free(&s.rows);
    return status;
}
