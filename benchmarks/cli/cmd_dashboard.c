#include "cli/cli.h"

#include "text/dashboard.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { UNSET = -2, DEFAULT_LAYER = 5, DEFAULT_HEAD = 0, DEFAULT_NEW = 12 };

/* Short, so that rows of the picture stay high enough to read. */
static const char default_text[] = "And God";
/* Of the benchmark's prompt, for a model without a known tokenizer. */
enum { DEFAULT_PROMPT_LENGTH = 10 };

struct settings {
    struct model_options model;
    struct token_rows rows;
    const char *prompt;
    const char *all_heads; /* "all" or NULL */
    const char *all_layers;
    const char *out;
    const char *from, *tables; /* both or none */
    int layer, head;           /* UNSET, KV_DASHBOARD_ALL once resolved, or 0.. */
    int n_new;
};

static const struct kv_choice all = {"all", "every one, each in a panel of its own"};

static const struct kv_choice *all_choice(int index)
{
    return index == 0 ? &all : NULL;
}

/* ---- What was asked for -------------------------------------------------------------------------------- */

static bool ends_with(const char *text, const char *end)
{
    const size_t n = strlen(text), n_end = strlen(end);
    return n > n_end && strcmp(text + n - n_end, end) == 0;
}

/* CLI_OK, or what is wrong with the options alone. */
static int check(const char *command, const struct settings *s)
{
    if (s->prompt && s->rows.tokens)
        return cli_fail(command, CLI_USAGE, "--prompt and --tokens exclude each other; choose one");
    if (s->all_heads && s->all_layers)
        return cli_fail(command, CLI_USAGE, "--heads all and --layers all exclude each other; choose one");
    if (s->all_heads && s->head != UNSET)
        return cli_fail(command, CLI_USAGE, "--heads all and --head exclude each other; choose one");
    if (s->all_layers && s->layer != UNSET)
        return cli_fail(command, CLI_USAGE, "--layers all and --layer exclude each other; choose one");
    if (s->rows.batch > 1)
        return cli_fail(command, CLI_USAGE, "--tokens has %d sequences; the dashboard shows one", s->rows.batch);
    if (!s->from != !s->tables)
        return cli_fail(command, CLI_USAGE, "--from and --tables go together; see kvbench dashboard --help");
    if (s->out && !ends_with(s->out, ".gif"))
        return cli_fail(command, CLI_USAGE, "--out '%.60s' does not end in .gif", s->out);
    return CLI_OK;
}

/* Which layer and head: those that were given must be in the model, the defaults are adapted to it. */
static int choose(const char *command, struct settings *s, const struct kv_config *config)
{
    if (s->layer >= config->n_layer)
        return cli_fail(command, CLI_USAGE, "--layer %d is not in 0..%d, the model's layers", s->layer,
                        config->n_layer - 1);
    if (s->head >= config->n_head)
        return cli_fail(command, CLI_USAGE, "--head %d is not in 0..%d, the model's heads", s->head,
                        config->n_head - 1);
    if (s->all_layers) {
        s->layer = KV_DASHBOARD_ALL;
    } else if (s->layer == UNSET) {
        s->layer = config->n_layer > DEFAULT_LAYER ? DEFAULT_LAYER : config->n_layer / 2;
    }
    if (s->all_heads)
        s->head = KV_DASHBOARD_ALL;
    else if (s->head == UNSET)
        s->head = DEFAULT_HEAD;
    return CLI_OK;
}

/* Where a model's vocabulary is smaller than GPT-2's, the ids of the default prompt are wrapped into it. */
static int use_default_prompt(const char *command, struct settings *s, const struct kv_config *config)
{
    const int n = config->n_positions < DEFAULT_PROMPT_LENGTH ? config->n_positions : DEFAULT_PROMPT_LENGTH;
    s->rows = (struct token_rows){calloc((size_t)n, sizeof *s->rows.tokens), 1, n};
    if (!s->rows.tokens)
        return cli_fail(command, CLI_FAILED, "no memory for the prompt: close other programs");
    for (int i = 0; i < n; i++)
        s->rows.tokens[i] = default_prompt[i] % config->vocab_size;
    return CLI_OK;
}

/* The prompt's ids. A model without a known tokenizer is shown with ids; a text prompt is then an error. */
static int use_prompt(const char *command, struct settings *s, const struct kv_config *config,
                      struct kv_tokenizer **tokenizer)
{
    struct kv_error error = {""};
    kv_status status = text_tokenizer(NULL, s->model.model, tokenizer, &error);
    if (s->rows.tokens)
        return CLI_OK;
    if (status && !s->prompt)
        return use_default_prompt(command, s, config);
    if (!status)
        status = text_rows(*tokenizer, s->prompt ? s->prompt : default_text, &s->rows, &error);
    if (!status)
        return CLI_OK;
    return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

/* ---- Files --------------------------------------------------------------------------------------------- */

/* "5" or "all" */
static void name_part(char *text, size_t size, int number)
{
    if (number == KV_DASHBOARD_ALL)
        snprintf(text, size, "all");
    else
        snprintf(text, size, "%d", number);
}

/* FILE.csv beside FILE.gif; the caller frees it, NULL without memory. */
static char *csv_name(const struct settings *s)
{
    char layer[16], head[16], *file;
    int length;
    name_part(layer, sizeof layer, s->layer);
    name_part(head, sizeof head, s->head);
    if (s->out)
        length = asprintf(&file, "%.*s.csv", (int)(strlen(s->out) - strlen(".gif")), s->out);
    else
        length = asprintf(&file, "kv_dashboard_l%s_h%s.csv", layer, head);
    return length < 0 ? NULL : file;
}

/* ---- The command --------------------------------------------------------------------------------------- */

static int record(const char *command, const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                  const struct kv_tokenizer *tokenizer)
{
    const struct kv_dashboard_options options = {
        .layer = s->layer,
        .head = s->head,
        .prompt = s->rows.tokens,
        .n_prompt = s->rows.length,
        .n_new = s->n_new,
        .session = model_session_options(&s->model, "cached"),
    };
    struct kv_error error = {""};
    struct kv_dashboard *dashboard;
    char *file = csv_name(s);
    if (!file)
        return cli_fail(command, CLI_FAILED, "no memory for a file's name: close other programs");
    kv_status status = kv_dashboard_record(&dashboard, model, pool, s->model.model, tokenizer, &options, &error);
    if (!status)
        status = kv_dashboard_write(dashboard, file, &error);
    if (!status && dashboard->n_steps < s->n_new)
        fprintf(stderr, "kvbench %s: warning: %d of %d new tokens are shown: the window ends there (n_positions %d)\n",
                command, dashboard->n_steps, s->n_new, kv_model_config(model)->n_positions);
    if (!status)
        puts(file);
    kv_dashboard_free(dashboard);
    free(file);
    return status ? cli_fail(command, CLI_FAILED, "%s", error.message) : CLI_OK;
}

/* From a record to what gnuplot draws. */
static int write_tables(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_dashboard *dashboard;
    kv_status status = kv_dashboard_read(&dashboard, s->from, &error);
    if (!status)
        status = kv_dashboard_tables(dashboard, s->from, s->tables, &error);
    kv_dashboard_free(dashboard);
    return status ? cli_fail(command, CLI_FAILED, "%s", error.message) : CLI_OK;
}

static int run(const char *command, struct settings *s)
{
    struct kv_pool *pool;
    struct kv_model *model;
    int status = check(command, s);
    if (!status && s->from)
        return write_tables(command, s);
    if (!status)
        status = model_open(command, &s->model, &pool, &model);
    if (status)
        return status;
    const struct kv_config *config = kv_model_config(model);
    struct kv_tokenizer *tokenizer = NULL;
    status = choose(command, s, config);
    if (!status)
        status = use_prompt(command, s, config, &tokenizer);
    if (!status && s->rows.length > config->n_positions)
        status = cli_fail(command, CLI_USAGE, "%s: %d tokens are more than the model's window of %d; give fewer",
                          s->prompt ? "--prompt" : "--tokens", s->rows.length, config->n_positions);
    if (!status)
        status = record(command, s, model, pool, tokenizer);
    kv_tokenizer_free(tokenizer);
    kv_model_free(model);
    kv_pool_free(pool);
    return status;
}

int command_dashboard(int argc, char **argv)
{
    struct settings s = {
        .model = model_options_default(EMBEDDED_MODEL), .layer = UNSET, .head = UNSET, .n_new = DEFAULT_NEW};
    struct source_rows source;
    struct engine_rows engine;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, NULL)},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "prompt", .argument = "TEXT", .help = "the prompt (default \"And God\")", .text = &s.prompt},
        {.name = "tokens",
         .argument = "IDS",
         .help = "the prompt as ids: \"1,2,3\"",
         .value = &s.rows,
         .parse = token_rows_parse},
        {.name = "layer",
         .argument = "N",
         .help = "the layer, from 0 (default 5; of fewer the middle one)",
         .integer = &s.layer,
         .high = INT32_MAX},
        {.name = "head",
         .argument = "N",
         .help = "the head, from 0 (default 0)",
         .integer = &s.head,
         .high = INT32_MAX},
        {.name = "layers",
         .argument = "all",
         .help = "one head's attention in every layer:",
         .chosen = &s.all_layers,
         .choice = all_choice},
        {.name = "heads",
         .argument = "all",
         .help = "one layer's attention in every head:",
         .chosen = &s.all_heads,
         .choice = all_choice},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new tokens, each a frame (default 12)",
         .integer = &s.n_new,
         .low = 1,
         .high = 1000},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE.gif",
         .help = "the picture (default kv_dashboard_lN_hN.gif, after layer and head)",
         .text = &s.out},
        {.name = "from",
         .argument = "FILE.csv",
         .help = "record nothing, take this record; with --tables",
         .text = &s.from},
        {.name = "tables",
         .argument = "DIR",
         .help = "write into DIR what gnuplot draws, for plots/dashboard.sh",
         .text = &s.tables},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "Records queries, keys, values and attention of the cached path while it generates, as FILE.csv beside\n"
            "FILE.gif, and prints the name of that file. ./kvbench dashboard then draws it, with plots/dashboard.sh.\n"
            "With another --kv than f32 a float32 cache sees the same tokens, and the\n"
            "change in the attention weights is shown.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status))
        status = run(argv[0], &s);
    token_rows_free(&s.rows);
    return status;
}
