/* kvbench generate: what is to be continued, and one path's continuation, written while it is made. Both paths side by
 * side are in generate_both.c. */
#include "cli/generate.h"

#include "base/file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_TOP_K       40
#define TEXT_TEMPERATURE 1.0
#define BYTES_PROMPT     "In the beginning"

static const struct kv_choice overflows[] = {
    [KV_OVERFLOW_STOP] = {"stop", "generation ends there"},
    [KV_OVERFLOW_RECOMPUTE] = {"recompute", "every step runs the last n_positions tokens again"},
    [KV_OVERFLOW_SHIFT] = {"shift", "the older half is dropped, the rest is run again"},
};
enum { N_OVERFLOWS = sizeof overflows / sizeof overflows[0] };

static const struct kv_choice *overflow_choice(int index)
{
    return index >= 0 && index < N_OVERFLOWS ? &overflows[index] : NULL;
}

/* ---- Text and ids ---------------------------------------------------------------------------------------- */

static void write_bytes(struct text_stream *s, const char *bytes, int n)
{
    if (n == 0)
        return;
    fwrite(bytes, 1, (size_t)n, stdout);
    s->last = bytes[n - 1];
}

void text_stream_put(struct text_stream *s, const int32_t *tokens, int n_tokens)
{
    char whole[4];
    for (int i = 0; i < n_tokens; i++) {
        size_t n_bytes;
        const char *bytes = kv_tokenizer_token(s->tokenizer, tokens[i], &n_bytes);
        for (size_t k = 0; k < n_bytes; k++)
            write_bytes(s, whole, kv_utf8_take(&s->holder, bytes[k], whole));
    }
    fflush(stdout);
}

void text_stream_end(struct text_stream *s)
{
    char rest[4];
    write_bytes(s, rest, kv_utf8_rest(&s->holder, rest));
    if (s->last != '\n')
        putchar('\n');
    fflush(stdout);
}

void generate_print_ids(const struct kv_decoder *d)
{
    for (int b = 0; b < d->generation.batch; b++) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(d, b, &n_new);
        for (int i = 0; i < d->generation.n_prompt; i++)
            printf("%s%d", i ? "," : (b ? ";" : ""), d->prompt[(size_t)b * (size_t)d->generation.n_prompt + (size_t)i]);
        for (int i = 0; i < n_new; i++)
            printf(",%d", new_tokens[i]);
    }
    putchar('\n');
    fflush(stdout);
}

/* The sequences after the first, each whole, after a line with its number. */
static void print_other_texts(const struct generate_job *job, const struct kv_decoder *d)
{
    for (int b = 1; b < d->generation.batch; b++) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(d, b, &n_new);
        struct text_stream stream = {.tokenizer = job->tokenizer};
        printf("--- %d of %d ---\n", b + 1, d->generation.batch);
        text_stream_put(&stream, d->prompt + (size_t)b * (size_t)d->generation.n_prompt, d->generation.n_prompt);
        text_stream_put(&stream, new_tokens, n_new);
        text_stream_end(&stream);
    }
}

/* ---- Figures --------------------------------------------------------------------------------------------- */

const char *generate_rate_text(double rate, char *text)
{
    if (isnan(rate))
        snprintf(text, RATE_TEXT_SIZE, "-");
    else
        snprintf(text, RATE_TEXT_SIZE, "%.*f", rate < 100 ? 1 : 0, rate);
    return text;
}

void generate_warn_of_window(const struct generate_job *job, const struct kv_decoder *d)
{
    const int n_positions = kv_model_config(job->model)->n_positions;
    const struct kv_choice *policy = &overflows[job->options.session.overflow];
    if (d->window_full)
        fprintf(stderr,
                "kvbench %s: warning: stopped after %d of %d new tokens at the window's end (n_positions %d); "
                "--overflow recompute or shift goes on\n",
                job->command, kv_generation_tokens(&d->generation), d->n_wanted, n_positions);
    else if (kv_session_overflows(d->session))
        fprintf(stderr, "kvbench %s: warning: the window's end (n_positions %d) was passed: %s (--overflow %s)\n",
                job->command, n_positions, policy->summary, policy->name);
}

static void print_figures(const struct generate_job *job, const struct kv_decoder *d)
{
    const struct kv_generation *g = &d->generation;
    struct kv_figures f;
    char rate[RATE_TEXT_SIZE], sequences[32] = "";
    if (kv_generation_tokens(g) == 0 || kv_figures_of(g, &f, NULL) != KV_OK)
        return;
    if (d->generation.batch > 1)
        snprintf(sequences, sizeof sequences, "%d x ", d->generation.batch);
    fprintf(stderr, "kvbench %s: %s, %s%d new token%s%s, TTFT %.2f ms", job->command, kv_session_path(d->session),
            sequences, kv_generation_tokens(g), kv_generation_tokens(g) == 1 ? "" : "s",
            d->n_running == 0 ? " (to <|endoftext|>)" : "", f.ttft_ms);
    if (!isnan(f.ttpt_ms))
        fprintf(stderr, ", TTPT (TPOT) %.2f ms, %s tokens/s", f.ttpt_ms,
                generate_rate_text(kv_generation_rate(&d->generation), rate));
    fprintf(stderr, ", cache %.2f MiB\n", (double)g->kv_live_bytes / (1024 * 1024));
}

/* ---- The run --------------------------------------------------------------------------------------------- */

static kv_status make(const struct generate_job *job, struct kv_decoder *d, struct text_stream *stream,
                      struct kv_error *error)
{
    int n_written = 0, n_new;
    if (!job->as_ids)
        text_stream_put(stream, d->prompt, d->generation.n_prompt);
    while (!kv_decoder_done(d) && !ferror(stdout) && !signals_received()) {
        const kv_status status = kv_decoder_step(d, error);
        if (status)
            return status;
        const int32_t *new_tokens = kv_decoder_tokens(d, 0, &n_new);
        if (!job->as_ids)
            text_stream_put(stream, new_tokens + n_written, n_new - n_written);
        n_written = n_new;
    }
    return KV_OK;
}

static int generate_on_path(const struct generate_job *job)
{
    struct kv_error error = {""};
    struct kv_decoder d;
    struct text_stream stream = {.tokenizer = job->tokenizer};
    kv_status status = kv_decoder_create(&d, job->model, job->pool, &job->options, &error);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    signals_listen(NULL);
    status = make(job, &d, &stream, &error);
    if (!job->as_ids) {
        text_stream_end(&stream);
        print_other_texts(job, &d);
    } else if (!status) {
        generate_print_ids(&d);
    }
    if (!status) {
        generate_warn_of_window(job, &d);
        print_figures(job, &d);
    }
    kv_decoder_free(&d);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    return signals_received() ? 128 + signals_received() : CLI_OK;
}

/* ---- What was asked for ---------------------------------------------------------------------------------- */

enum { UNSET = -1, IDS_NEW = 50, TEXT_NEW = 200 };

struct settings {
    struct model_options model;
    const char *prompt, *operand;
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
    bool stop_at_eot;
    bool ids;
};

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
        s->overflow = overflow_choice(s->ids ? KV_OVERFLOW_STOP : KV_OVERFLOW_SHIFT)->name;
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
    while (strcmp(overflow_choice(overflow)->name, s->overflow) != 0)
        overflow++;
    struct generate_job job = {
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
                    .n_prefix = s->n_prefix,
                    .n_new = s->n_new,
                    .end_of_text = s->stop_at_eot ? kv_tokenizer_end_of_text(tokenizer) : -1},
    };
    job.options.session.batch = s->batch ? s->batch : s->rows.batch;
    job.options.session.chunk = s->chunk;
    job.options.session.overflow = (enum kv_overflow)overflow;
    const int n_positions = kv_model_config(model)->n_positions;
    if (s->n_prefix > s->rows.length)
        return cli_fail(command, CLI_FAILED, "--prefix: %d is longer than the prompt of %d tokens; share fewer",
                        s->n_prefix, s->rows.length);
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

/* Of `-`, all of stdin but the line break at its end. */
static int read_prompt(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    size_t n;
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
         .help = "0: the most probable token; higher: more random (default 1.0; ids: 0)",
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
         .choice = overflow_choice},
        {.name = "chunk",
         .argument = "N",
         .help = "prefill N positions at a time (default: all at once)",
         .integer = &s.chunk,
         .low = 1,
         .high = INT32_MAX},
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
                   "number of threads. --path both runs the naive and the cached path side by side. Figures go to "
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
    free(s.read);
    return status;
}
