#include "cli/cli.h"
#include "cli/generate.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEXT_TOP_K       40
#define TEXT_TEMPERATURE 1.0
#define BYTES_PROMPT     "In the beginning"

enum { UNSET = -1, IDS_NEW = 50, TEXT_NEW = 200 };

struct settings {
    struct model_options model;
    const char *prompt;
    struct token_rows rows; /* of --tokens, later of any prompt */
    int n_new;              /* UNSET: depends on what is printed, as with the next three */
    double temperature;     /* NaN: unset */
    int top_k;
    const char *overflow; /* NULL: unset */
    double top_p;
    int batch; /* 0: as many as --tokens has */
    int chunk;
    const char *path;
    bool stop_at_eot;
    bool ids;
};

/* ---- What was asked for ---------------------------------------------------------------------------------- */

static const struct kv_choice both = {"both", "side by side, with the same share of the machine"};

/* The paths, and both of them. */
static const struct kv_choice *path_choice(int index)
{
    if (kv_path_choice(index))
        return kv_path_choice(index);
    return index > 0 && kv_path_choice(index - 1) ? &both : NULL;
}

static bool is_both(const struct settings *s)
{
    return s->path && strcmp(s->path, both.name) == 0;
}

/* CLI_OK, or what is wrong with the options alone. */
static int check(const char *command, const struct settings *s)
{
    if (s->prompt && s->rows.tokens)
        return cli_fail(command, CLI_USAGE, "--prompt and --tokens exclude each other; choose one");
    if (s->batch && s->rows.batch > 1)
        return cli_fail(command, CLI_USAGE, "--tokens has %d sequences, which are the batch; leave out --batch",
                        s->rows.batch);
    if (is_both(s) && (s->batch > 1 || s->rows.batch > 1))
        return cli_fail(command, CLI_USAGE, "--path both shows one sequence, not %d; choose a path for more",
                        s->batch > 1 ? s->batch : s->rows.batch);
    if (!isnan(s->top_p) && !((float)s->top_p > 0 && s->top_p <= 1))
        return cli_fail(command, CLI_USAGE, "--top-p: %g is not above 0 and at most 1 (1: all tokens)", s->top_p);
    return CLI_OK;
}

/* Ids are for comparing, text is for reading: what was not given depends on which of them is printed. */
static void complete(struct settings *s)
{
    s->ids |= s->rows.tokens != NULL;
    if (s->n_new == UNSET)
        s->n_new = s->ids ? IDS_NEW : TEXT_NEW;
    if (isnan(s->temperature))
        s->temperature = s->ids ? 0 : TEXT_TEMPERATURE;
    if (s->top_k == UNSET)
        s->top_k = s->ids ? 0 : TEXT_TOP_K;
    if (isnan(s->top_p))
        s->top_p = 1;
    if (!s->overflow)
        s->overflow = generate_overflow(s->ids ? KV_OVERFLOW_STOP : KV_OVERFLOW_SHIFT)->name;
}

/* ---- The prompt ------------------------------------------------------------------------------------------ */

/* The benchmark's prompt, where the tokenizer is the one that it was made with. */
static kv_status use_default_prompt(struct settings *s, const struct kv_tokenizer *tokenizer, struct kv_error *error)
{
    char text[512];
    size_t at = 0;
    if (strcmp(kv_tokenizer_name(tokenizer), "gpt2") != 0)
        return text_rows(tokenizer, BYTES_PROMPT, &s->rows, error);
    for (int i = 0; i < default_prompt_length; i++)
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? "," : "", default_prompt[i]);
    return token_rows_parse(text, &s->rows, error) ? KV_OK : KV_ERROR_MEMORY;
}

/* The first id that the model does not have, or -1; a run of 0 new tokens would print it without a word. */
static int32_t find_unknown_id(const struct settings *s, const struct kv_config *config)
{
    for (int i = 0; i < s->rows.batch * s->rows.length; i++)
        if (s->rows.tokens[i] >= config->vocab_size)
            return s->rows.tokens[i];
    return -1;
}

/* The tokenizer, where one is needed, and the prompt's ids. */
static int use_prompt(const char *command, struct settings *s, const struct kv_config *config,
                      struct kv_tokenizer **tokenizer)
{
    struct kv_error error = {""};
    kv_status status = KV_OK;
    const bool has_ids = s->rows.tokens != NULL;
    if (!has_ids || s->stop_at_eot)
        status = text_tokenizer(NULL, s->model.model, tokenizer, &error);
    if (status == KV_ERROR_UNSUPPORTED && !has_ids && !s->prompt)
        return cli_fail(command, CLI_USAGE, "--tokens is needed: %s", error.message);
    if (!status && !has_ids)
        status = s->prompt ? text_rows(*tokenizer, s->prompt, &s->rows, &error)
                           : use_default_prompt(s, *tokenizer, &error);
    if (status)
        return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    if (s->stop_at_eot && kv_tokenizer_end_of_text(*tokenizer) < 0)
        return cli_fail(command, CLI_USAGE, "--stop-at-eot: the model's tokenizer, '%s', has no <|endoftext|>",
                        kv_tokenizer_name(*tokenizer));
    const int32_t unknown = find_unknown_id(s, config);
    if (unknown >= 0)
        return cli_fail(command, CLI_FAILED, "%s: %d is not in 0..%d (the model's vocab_size is %d)",
                        has_ids ? "--tokens" : "--prompt", unknown, config->vocab_size - 1, config->vocab_size);
    return CLI_OK;
}

/* ---- The command ----------------------------------------------------------------------------------------- */

static int generate(const char *command, const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                    const struct kv_tokenizer *tokenizer)
{
    int overflow = 0;
    while (strcmp(generate_overflow(overflow)->name, s->overflow) != 0)
        overflow++;
    const struct generate_job job = {
        .command = command,
        .model = model,
        .pool = pool,
        .tokenizer = tokenizer,
        .as_ids = s->ids,
        .options = {.session = {.path = s->path,
                                .matmul = s->model.gemm,
                                .isa = s->model.isa,
                                .batch = s->batch ? s->batch : s->rows.batch,
                                .chunk = s->chunk,
                                .overflow = (enum kv_overflow)overflow},
                    .sampling = {.temperature = (float)s->temperature,
                                 .top_k = s->top_k,
                                 .top_p = (float)s->top_p,
                                 .seed = s->model.seed},
                    .prompts = s->rows.tokens,
                    .n_prompts = s->rows.batch,
                    .n_prompt = s->rows.length,
                    .n_new = s->n_new,
                    .end_of_text = s->stop_at_eot ? kv_tokenizer_end_of_text(tokenizer) : -1},
    };
    const int n_positions = kv_model_config(model)->n_positions;
    if (s->n_new > 0 && job.options.session.overflow == KV_OVERFLOW_STOP && s->rows.length > n_positions)
        return cli_fail(command, CLI_FAILED,
                        "%s: %d tokens, n_positions is %d; give fewer, or choose --overflow recompute or shift",
                        s->prompt ? "--prompt" : "--tokens", s->rows.length, n_positions);
    return is_both(s) ? generate_on_both(&job) : generate_on_path(&job);
}

static int run(const char *command, struct settings *s)
{
    struct kv_pool *pool;
    struct kv_model *model;
    int status = check(command, s);
    if (!status)
        status = model_open(command, &s->model, &pool, &model);
    if (status)
        return status;
    struct kv_tokenizer *tokenizer = NULL;
    complete(s);
    status = use_prompt(command, s, kv_model_config(model), &tokenizer);
    if (!status)
        status = generate(command, s, model, pool, tokenizer);
    kv_tokenizer_free(tokenizer);
    kv_model_free(model);
    kv_pool_free(pool);
    return status;
}

int command_generate(int argc, char **argv)
{
    struct settings s = {.model = model_options_default(EMBEDDED_MODEL),
                         .n_new = UNSET,
                         .temperature = (double)NAN,
                         .top_k = UNSET,
                         .top_p = (double)NAN};
    struct source_rows source;
    struct engine_rows engine;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, "seed of the draws, and of synthetic weights (default 42)")},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "prompt",
         .letter = 'p',
         .argument = "TEXT",
         .help = "what is continued (default: \"" BYTES_PROMPT "\" for a model on bytes, else the\n"
                 "                           benchmark's prompt)",
         .text = &s.prompt},
        {.name = "tokens",
         .argument = "IDS",
         .help = "prompts as ids, \"1,2,3\" or \"1,2,3;4,5,6\": ids are printed, too",
         .value = &s.rows,
         .parse = token_rows_parse},
        {.name = "new",
         .letter = 'n',
         .argument = "N",
         .help = "new tokens (default 200; ids: 50)",
         .integer = &s.n_new,
         .high = INT32_MAX / 2},
        {.name = "path", .argument = "NAME", .help = "inference path:", .chosen = &s.path, .choice = path_choice},
        {.name = "temperature",
         .argument = "T",
         .help = "0: the most probable token; more: more surprise (default 1.0; ids: 0)",
         .number = &s.temperature},
        {.name = "top-k",
         .argument = "K",
         .help = "draw from the K most probable tokens, 0: all (default 40; ids: 0)",
         .integer = &s.top_k,
         .high = INT32_MAX},
        {.name = "top-p",
         .argument = "P",
         .help = "and of those the fewest whose probabilities reach P (default 1.0)",
         .number = &s.top_p},
        {.name = "batch",
         .letter = 'b',
         .argument = "B",
         .help = "sequences from the same prompt, each with draws of its own (default 1)",
         .integer = &s.batch,
         .low = 1,
         .high = INT32_MAX},
        {.name = "stop-at-eot",
         .help = "end a sequence at <|endoftext|>, which is not printed",
         .flag = &s.stop_at_eot},
        {.name = "overflow",
         .argument = "POLICY",
         .help = "at the window's end (default shift; ids: stop):",
         .chosen = &s.overflow,
         .choice = generate_overflow},
        {.name = "chunk",
         .argument = "N",
         .help = "prefill N positions at a time (default: all at once)",
         .integer = &s.chunk,
         .low = 1,
         .high = INT32_MAX},
        {.name = "ids", .help = "print token ids, on one line, in place of text", .flag = &s.ids},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary = "Continues a text and writes it as it is made. The same seed gives the same text, on every path and "
                   "with any\n"
                   "number of threads. --path both runs the naive and the cached path side by side. Figures go to "
                   "stderr, and\n"
                   "are of the time that the model takes: writing is not in them.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status))
        status = run(argv[0], &s);
    token_rows_free(&s.rows);
    return status;
}
