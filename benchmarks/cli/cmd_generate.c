/* kvbench generate: what is to be continued, and how. One continuation is written by generate_text.c, arms side by side
 * by generate_race.c. */
#include "cli/generate.h"

#include "base/error.h"
#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_TOP_K       40
#define TEXT_TEMPERATURE 1.0
#define BYTES_PROMPT     "In the beginning"

/* ---- What was asked for ---------------------------------------------------------------------------------- */

enum { UNSET = -1, IDS_NEW = 50, TEXT_NEW = 200 };

struct settings {
    struct model_options model;
    const char *prompt, *operand;
    const char *prompts_file;
    struct generate_prompts prompts;
    char *read;             /* of stdin; owned */
    struct token_rows rows; /* of --tokens, later of any prompt */
    int n_new;              /* UNSET: depends on what is printed, as with the next three */
    double temperature;     /* NaN: unset */
    int top_k;
    const char *overflow; /* NULL: unset */
    double top_p;
    int batch; /* 0: as many as --tokens has */
    int chunk;
    int n_prefix;
    const char *path;
    const char *speculate;                /* NULL: none */
    const char *race[GENERATE_MOST_ARMS]; /* settings of the arms; NULL: no more */
    bool stop_at_eot;
    bool ids;
};

static bool speculate_parse(const char *text, void *value, struct kv_error *error)
{
    struct kv_speculate_name read;
    *(const char **)value = text;
    return kv_speculate_read(text, &read, error) == KV_OK;
}

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

/* What stands for several arms. */
static const char *race_option(const struct settings *s)
{
    return s->race[0] ? "--race" : is_both(s) ? "--path both" : NULL;
}

static int check_top_p(const char *command, const struct settings *s)
{
    if (!isnan(s->top_p) && !((float)s->top_p > 0 && s->top_p <= 1))
        return cli_fail(command, CLI_USAGE, "--top-p: %g is not above 0 and at most 1 (1: all tokens)", s->top_p);
    return CLI_OK;
}

/* CLI_OK, or what is wrong with the options alone. */
static int check(const char *command, const struct settings *s)
{
    if (s->prompt && s->rows.tokens)
        return cli_fail(command, CLI_USAGE, "%s and --tokens exclude each other; choose one",
                        s->operand ? "-" : "--prompt");
    if (s->prompts_file && (s->prompt || s->rows.tokens))
        return cli_fail(command, CLI_USAGE, "--prompts and %s exclude each other; choose one",
                        s->rows.tokens ? "--tokens" : "--prompt");
    if (s->batch && s->prompts_file)
        return cli_fail(command, CLI_USAGE, "--prompts has the sequences, which are the batch; leave out --batch");
    if (s->batch && s->rows.batch > 1)
        return cli_fail(command, CLI_USAGE, "--tokens has %d sequences, which are the batch; leave out --batch",
                        s->rows.batch);
    const int n_sequences = s->prompts.n ? s->prompts.n : s->batch > 1 ? s->batch : s->rows.batch;
    if (s->race[0] && is_both(s))
        return cli_fail(command, CLI_USAGE, "--race and --path both exclude each other; choose one");
    if (race_option(s) && n_sequences > 1)
        return cli_fail(command, CLI_USAGE, "%s shows one sequence, not %d; choose a path for more", race_option(s),
                        n_sequences);
    return check_top_p(command, s);
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

/* The ids of --prompts in the place of those of other prompts, of lengths of their own. */
static kv_status use_prompts(struct settings *s, const struct kv_tokenizer *tokenizer, const struct kv_config *config,
                             struct kv_error *error)
{
    const bool stops = strcmp(s->overflow, generate_overflow(KV_OVERFLOW_STOP)->name) == 0;
    const kv_status status = generate_prompts_encode(&s->prompts, tokenizer,
                                                     s->n_new && stops ? config->n_positions : INT32_MAX, error);
    s->rows = (struct token_rows){s->prompts.ids, s->prompts.n, s->prompts.longest};
    s->prompts.ids = NULL;
    return status;
}

/* The first id that the model does not have, or -1; a run of 0 new tokens would print it without a word. */
static int32_t find_unknown_id(const struct settings *s, const struct kv_config *config)
{
    const int32_t *ids = s->rows.tokens;
    for (int b = 0; b < s->rows.batch; b++) {
        const int n = s->prompts.n ? s->prompts.lengths[b] : s->rows.length;
        for (int i = 0; i < n; i++)
            if (ids[i] >= config->vocab_size)
                return ids[i];
        ids += n;
    }
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
    if (status == KV_ERROR_UNSUPPORTED && !has_ids && !s->prompt && !s->prompts.n)
        return cli_fail(command, CLI_USAGE, "--tokens is needed: %s", error.message);
    if (!status && s->prompts.n)
        status = use_prompts(s, *tokenizer, config, &error);
    else if (!status && !has_ids)
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
                        has_ids        ? "--tokens"
                        : s->prompts.n ? "--prompts"
                                       : "--prompt",
                        unknown, config->vocab_size - 1, config->vocab_size);
    return CLI_OK;
}

/* ---- Jobs ------------------------------------------------------------------------------------------------ */

static int make_job(const char *command, const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                    const struct kv_tokenizer *tokenizer, const struct kv_speculation *speculation,
                    struct generate_job *job)
{
    int overflow = 0;
    while (strcmp(generate_overflow(overflow)->name, s->overflow) != 0)
        overflow++;
    *job = (struct generate_job){
        .command = command,
        .model = model,
        .pool = pool,
        .tokenizer = tokenizer,
        .as_ids = s->ids,
        .options = {.session = model_session_options(&s->model, s->path),
                    .sampling = {.temperature = (float)s->temperature,
                                 .top_k = s->top_k,
                                 .top_p = (float)s->top_p,
                                 .seed = s->model.seed},
                    .prompts = s->rows.tokens,
                    .n_prompts = s->rows.batch,
                    .n_prompt = s->rows.length,
                    .prompt_lengths = s->prompts.lengths,
                    .n_prefix = s->n_prefix,
                    .n_new = s->n_new,
                    .end_of_text = s->stop_at_eot ? kv_tokenizer_end_of_text(tokenizer) : -1,
                    .speculation = *speculation},
    };
    job->options.session.batch = s->batch ? s->batch : s->rows.batch;
    job->options.session.chunk = s->chunk;
    job->options.session.overflow = (enum kv_overflow)overflow;
    const int n_positions = kv_model_config(model)->n_positions;
    if (s->n_prefix > s->rows.length)
        return cli_fail(command, CLI_FAILED, "--prefix: %d is longer than the prompt of %d tokens; share fewer",
                        s->n_prefix, s->rows.length);
    if (s->n_prefix && s->prompts.lengths)
        return cli_fail(command, CLI_USAGE, "--prefix is of prompts of one length; leave it out with --prompts");
    if (s->n_new > 0 && job->options.session.overflow == KV_OVERFLOW_STOP && s->rows.length > n_positions)
        return cli_fail(command, CLI_FAILED,
                        "%s: %d tokens, n_positions is %d; give fewer, or choose --overflow recompute or shift",
                        s->prompt ? "--prompt" : "--tokens", s->rows.length, n_positions);
    return CLI_OK;
}

/* A job, and the model that drafts for it, or NULL. */
static int open_job(const char *command, const struct settings *s, const struct kv_model *model, struct kv_pool *pool,
                    const struct kv_tokenizer *tokenizer, struct kv_model **draft, struct generate_job *job)
{
    struct kv_speculation speculation;
    struct kv_error error = {""};
    if (speculation_open(command, s->speculate, &s->model, pool, &speculation, draft, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "--speculate: %s", error.message);
    return make_job(command, s, model, pool, tokenizer, &speculation, job);
}

/* ---- Arms ------------------------------------------------------------------------------------------------ */

/* The options of how it is continued, which an arm of --race may have of its own. */
struct how_rows {
    struct option_table table;
    struct option_row rows[7];
};

static const struct option_table *how_rows(struct how_rows *r, struct settings *s)
{
    const struct option_row rows[] = {
        {.name = "path", .argument = "NAME", .help = "inference path:", .chosen = &s->path, .choice = path_choice},
        {.name = "temperature",
         .argument = "T",
         .help = "0: the most probable token; higher: more random (default 1.0; ids: 0)",
         .number = &s->temperature},
        {.name = "top-k",
         .argument = "K",
         .help = "draw from the K most probable tokens, 0: all (default 40; ids: 0)",
         .integer = &s->top_k,
         .high = INT32_MAX},
        {.name = "top-p",
         .argument = "P",
         .help = "and of those the fewest whose probabilities reach P (default 1.0)",
         .number = &s->top_p},
        {.name = "overflow",
         .argument = "POLICY",
         .help = "at the window's end (default shift; ids: stop):",
         .chosen = &s->overflow,
         .choice = generate_overflow},
        {.name = "chunk",
         .argument = "N",
         .help = "prefill N positions at a time (default: all at once)",
         .integer = &s->chunk,
         .low = 1,
         .high = INT32_MAX},
        {.name = "speculate",
         .argument = "KIND",
         .help =
             "draft K tokens a step, 1 to 63, and run them at once: lookup:K, what came next in the\n"
             "                           text itself the last time, or draft:MODEL:K, what a smaller model says, such\n"
             "                           as draft:" EMBEDDED_DRAFT ":4 for " EMBEDDED_MODEL
             "; without draws the same text",
         .value = &s->speculate,
         .parse = speculate_parse},
    };
    memcpy(r->rows, rows, sizeof rows);
    r->table = (struct option_table){.rows = r->rows, .n_rows = sizeof rows / sizeof rows[0]};
    return &r->table;
}

/* An arm's settings are those of the command and its own words, which are to live as long. */
struct arm {
    struct settings settings;
    char *words;
    struct kv_model *model; /* its own, or NULL */
    struct kv_model *draft; /* or NULL */
};

enum { MOST_ARM_WORDS = 64 };

static int read_arm(const char *command, const struct settings *s, const char *text, struct arm *arm)
{
    struct source_rows source;
    struct engine_rows engine;
    struct how_rows how;
    const char *words[MOST_ARM_WORDS + 2] = {command};
    int status = CLI_OK;
    arm->settings = *s;
    arm->words = strdup(text);
    if (!arm->words)
        return cli_fail(command, CLI_FAILED, "no memory for the arms of --race");
    const struct option_row rows[] = {{.table = model_source_rows(&source, &arm->settings.model, NULL)},
                                      {.table = engine_rows(&engine, &arm->settings.model)},
                                      {.table = how_rows(&how, &arm->settings)}};
    const struct option_table table = {.command = command, .rows = rows, .n_rows = sizeof rows / sizeof rows[0]};
    const int n = options_words(arm->words, words + 1, MOST_ARM_WORDS);
    if (n > MOST_ARM_WORDS)
        return cli_fail(command, CLI_USAGE, "--race '%.60s': more than %d words", text, MOST_ARM_WORDS);
    if (!options_parse(&table, n + 1, (char **)(void *)words, &status))
        return status ? status : CLI_USAGE;
    if (is_both(&arm->settings) || arm->settings.model.threads != s->model.threads)
        return cli_fail(command, CLI_USAGE, "--race '%.60s': an arm has one path, and the threads of all", text);
    return check_top_p(command, &arm->settings);
}

static bool is_same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

/* The model that an arm runs: the command's, unless it has its own or its weights in another form. */
static int open_arm(const char *command, const struct settings *s, struct arm *arm, struct kv_pool *pool,
                    const struct kv_tokenizer *tokenizer)
{
    const struct model_options *all = &s->model, *own = &arm->settings.model;
    struct model_options weights = *own;
    weights.seed = all->seed; /* an arm's own is that of its draws */
    struct kv_tokenizer *other = NULL;
    struct kv_error error = {""};
    kv_status status = KV_OK;
    if (tokenizer && !is_same(all->model, own->model)) {
        status = text_tokenizer(NULL, own->model, &other, &error);
        if (!status && strcmp(kv_tokenizer_name(other), kv_tokenizer_name(tokenizer)) != 0)
            status = kv_fail(&error, KV_ERROR_ARGUMENT,
                             "--race: %.100s has the tokenizer '%s', %.100s has '%s'; give the prompt as --tokens",
                             own->model, kv_tokenizer_name(other), all->model, kv_tokenizer_name(tokenizer));
        kv_tokenizer_free(other);
    }
    const bool differs = !is_same(all->model, own->model) || !is_same(all->weights, own->weights) ||
                         !is_same(all->gemm, own->gemm) || all->synthetic != own->synthetic;
    if (!status && differs)
        status = model_load(command, &weights, pool, &arm->model, &error);
    if (status)
        return cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    return CLI_OK;
}

/* --race: arms A, B and C; --path both: both paths, under their names. */
static int generate_on_arms(const char *command, const struct settings *s, const struct kv_model *model,
                            struct kv_pool *pool, const struct kv_tokenizer *tokenizer)
{
    static const char *const letters[] = {"A", "B", "C"}, *const paths[] = {"naive", "cached"};
    struct arm arms[GENERATE_MOST_ARMS] = {{.words = NULL}};
    struct generate_race race = {.is_both = is_both(s)};
    int status = CLI_OK;
    for (int i = 0; !status && (race.is_both ? i < 2 : i < GENERATE_MOST_ARMS && s->race[i]); i++) {
        struct generate_arm *arm = &race.arms[race.n_arms++];
        arm->name = race.is_both ? paths[i] : letters[i];
        arms[i].settings = *s;
        if (race.is_both) {
            arms[i].settings.path = paths[i];
            snprintf(arm->label, sizeof arm->label, "%s", paths[i]);
        } else {
            char shown[sizeof arm->label];
            status = read_arm(command, s, s->race[i], &arms[i]);
            snprintf(arm->label, sizeof arm->label, "%s%s%s", letters[i], *s->race[i] ? " " : "",
                     printable(s->race[i], shown, sizeof shown - 2));
        }
        if (!status)
            status = open_arm(command, s, &arms[i], pool, tokenizer);
        if (!status)
            status = open_job(command, &arms[i].settings, arms[i].model ? arms[i].model : model, pool, tokenizer,
                              &arms[i].draft, &arm->job);
    }
    if (!status)
        status = generate_race(&race);
    for (int i = 0; i < GENERATE_MOST_ARMS; i++) {
        kv_model_free(arms[i].draft);
        kv_model_free(arms[i].model);
        free(arms[i].words);
    }
    return status;
}

/* ---- The command ----------------------------------------------------------------------------------------- */

static int run(const char *command, struct settings *s)
{
    struct kv_pool *pool;
    struct kv_model *model;
    struct generate_job job;
    int status = check(command, s);
    if (!status)
        status = model_open(command, &s->model, &pool, &model);
    if (status)
        return status;
    struct kv_tokenizer *tokenizer = NULL;
    struct kv_model *draft = NULL;
    complete(s);
    status = use_prompt(command, s, kv_model_config(model), &tokenizer);
    if (!status && race_option(s))
        status = generate_on_arms(command, s, model, pool, tokenizer);
    else if (!status && !(status = open_job(command, s, model, pool, tokenizer, &draft, &job)))
        status = generate_on_path(&job);
    kv_tokenizer_free(tokenizer);
    kv_model_free(draft);
    kv_model_free(model);
    kv_pool_free(pool);
    return status;
}

/* Of `-`, all of stdin but the line break at its end. */
static int read_prompt(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    size_t n;
    if (s->prompts_file && !s->prompt && !s->operand && !s->rows.tokens) {
        const kv_status status = generate_prompts_read(&s->prompts, s->prompts_file, &error);
        return !status ? CLI_OK
                       : cli_fail(command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
    }
    if (s->operand && strcmp(s->operand, "-") == 0 && s->prompts_file)
        return cli_fail(command, CLI_USAGE, "--prompts and - exclude each other; choose one");
    if (s->operand && strcmp(s->operand, "-") != 0)
        return cli_fail(command, CLI_USAGE,
                        "unexpected argument '%.60s'; a text to continue is given as --prompt '%.60s'", s->operand,
                        s->operand);
    if (s->operand && s->prompt)
        return cli_fail(command, CLI_USAGE, "--prompt and - exclude each other; choose one");
    if (!s->operand && !(s->prompt && strcmp(s->prompt, "-") == 0))
        return CLI_OK;
    if (kv_stream_read(stdin, "stdin", &s->read, &n, &error) != KV_OK)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    if (n != strlen(s->read))
        return cli_fail(command, CLI_USAGE, "the text on stdin has a zero byte in it; give plain text");
    if (n > 0 && s->read[n - 1] == '\n')
        s->read[n - 1] = '\0';
    if (!*s->read)
        return cli_fail(command, CLI_USAGE, "the text on stdin is empty; give at least one character");
    s->prompt = s->read;
    return CLI_OK;
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
    struct how_rows how;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, "seed of the draws, and of synthetic weights (default 42)")},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "prompt",
         .letter = 'p',
         .argument = "TEXT",
         .help = "what is continued (default: \"" BYTES_PROMPT "\" for a model on bytes, else the\n"
                 "                           benchmark's prompt); -: the text on stdin",
         .text = &s.prompt},
        {.name = "-", .help = "the same as --prompt -", .operand = &s.operand},
        {.name = "prompts",
         .argument = "FILE",
         .help = "a prompt a line, which are the batch; -: stdin. Each gets the text that it\n"
                 "                           has alone; what row b draws depends on the seed and b",
         .text = &s.prompts_file},
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
        {.table = how_rows(&how, &s)},
        {.name = "race",
         .argument = "A B [C]",
         .help = "two or three arms side by side, each its settings in one argument, such as\n"
                 "                           \"--kv int8\" or \"\"; --path both: \"--path naive\" \"--path cached\"",
         .several = s.race,
         .low = 2,
         .high = GENERATE_MOST_ARMS},
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
        {.name = "prefix",
         .argument = "N",
         .help = "the first N tokens, the same in all prompts, are run once for all sequences, and kept once where\n"
                 "                           the cache shares blocks (--cache paged:16); the ids are the same",
         .integer = &s.n_prefix,
         .low = 1,
         .high = INT32_MAX},
        {.name = "ids", .help = "print token ids on one line instead of text", .flag = &s.ids},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS] [-]",
        .summary = "Continues a text and writes it as it is made. The same seed gives the same text, on every path and "
                   "with any\n"
                   "number of threads. --race runs arms that differ in some settings side by side, each with the same\n"
                   "share of the time; --path both is the naive path against the cached one. Figures go to "
                   "stderr, and\n"
                   "are of the time that the model takes: writing is not in them.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status)) {
        status = read_prompt(argv[0], &s);
        if (!status)
            status = run(argv[0], &s);
    }
    token_rows_free(&s.rows);
    generate_prompts_free(&s.prompts);
    free(s.read);
    return status;
}
