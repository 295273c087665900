#include "cli/cli.h"

#include "text/race.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_WORDS = 11 };

static const char default_text[] = "The voice of";

struct settings {
    struct model_options model;
    const char *prompt, *out;
    int n_words;
};

static int record(const char *command, const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                  const struct kv_tokenizer *tokenizer, const struct token_rows *rows)
{
    const struct kv_race_options options = {
        .prompt = rows->tokens,
        .n_prompt = rows->length,
        .n_words = s->n_words,
        .session = model_session_options(&s->model, NULL),
    };
    struct kv_error error = {""};
    struct kv_race race;
    char *file;
    if (asprintf(&file, "%.*s.csv", (int)(strlen(s->out) - strlen(".gif")), s->out) < 0)
        return cli_fail(command, CLI_FAILED, "no memory for a file's name: close other programs");
    kv_status status = kv_race_record(&race, model, pool, s->model.model, tokenizer, &options, &error);
    if (!status)
        status = kv_race_write(&race, file, &error);
    if (!status)
        puts(file);
    free(file);
    return status ? cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message)
                  : CLI_OK;
}

static int run(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_tokenizer *tokenizer = NULL;
    struct token_rows rows = {NULL, 0, 0};
    const size_t n = strlen(s->out);
    if (n < sizeof ".gif" || strcmp(s->out + n - strlen(".gif"), ".gif") != 0)
        return cli_fail(command, CLI_USAGE, "--out '%.60s' does not end in .gif", s->out);
    int status = model_open(command, &s->model, &pool, &model);
    if (status)
        return status;
    kv_status found = text_tokenizer(NULL, s->model.model, &tokenizer, &error);
    if (!found)
        found = text_rows(tokenizer, s->prompt, &rows, &error);
    if (found)
        status = cli_fail(command, found == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    else if (rows.length > kv_model_config(model)->n_positions)
        status = cli_fail(command, CLI_USAGE, "--prompt: %d tokens are more than the model's window of %d; give fewer",
                          rows.length, kv_model_config(model)->n_positions);
    else
        status = record(command, s, model, pool, tokenizer, &rows);
    token_rows_free(&rows);
    kv_tokenizer_free(tokenizer);
    kv_model_free(model);
    kv_pool_free(pool);
    return status;
}

int command_race(int argc, char **argv)
{
    struct settings s = {.model = model_options_default(EMBEDDED_MODEL),
                         .prompt = default_text,
                         .out = "kv_race.gif",
                         .n_words = DEFAULT_WORDS};
    struct source_rows source;
    struct engine_rows engine;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, NULL)},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "prompt",
         .letter = 'p',
         .argument = "TEXT",
         .help = "what is continued (default \"The voice of\")",
         .text = &s.prompt},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new words (default 11); with the prompt's at most 16",
         .integer = &s.n_words,
         .low = 1,
         .high = KV_RACE_WORDS - 1},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE.gif",
         .help = "the picture (default kv_race.gif)",
         .text = &s.out},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "Writes the same text without and with a KV cache, in turns, 15 times each, and records what each path\n"
            "computes for every word and how long it takes, as FILE.csv beside FILE.gif; prints the name of that\n"
            "file. ./kvbench race then draws it, with plots/dashboard.sh.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    return options_parse(&table, argc, argv, &status) ? run(argv[0], &s) : status;
}
