#include "cli/cli.h"

#include "base/error.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct settings {
    struct model_options model;
    const char *text;
    const char *path;
    int chunk;
    int batch;   /* 0: as many as suit the model */
    int context; /* 0: n_positions */
    bool csv;
};

/* What is to be predicted: every id but the first. */
struct text {
    int32_t *ids;
    size_t n_ids;
    size_t n_bytes; /* of the ids that are predicted */
};

/* text->ids is for the caller to free(), whatever comes back. */
static kv_status read_text(const struct settings *s, struct text *text, struct kv_error *error)
{
    struct kv_tokenizer *tokenizer;
    char *bytes = NULL;
    size_t n_bytes;
    kv_status status = text_tokenizer(NULL, s->model.model, &tokenizer, error);
    if (!status)
        status = kv_text_file_read(s->text, &bytes, &n_bytes, error);
    if (!status)
        status = kv_tokenizer_encode(tokenizer, bytes, n_bytes, false, &text->ids, &text->n_ids, error);
    if (!status && text->n_ids < 2)
        status = kv_fail(error, KV_ERROR_ARGUMENT, "%.400s: one token is no text to predict; give a longer one",
                         s->text);
    for (size_t i = 1; !status && i < text->n_ids; i++) {
        size_t n;
        kv_tokenizer_token(tokenizer, text->ids[i], &n);
        text->n_bytes += n;
    }
    free(bytes);
    kv_tokenizer_free(tokenizer);
    return status;
}

/* ---- Evaluation -------------------------------------------------------------------------------------- */

static void show_progress(const char *command, const struct kv_evaluation *so_far, const struct text *text)
{
    if (so_far->seconds > 1)
        fprintf(stderr, "\r\033[Kkvbench %s: %.0f %%, %.4f nats a token so far", command,
                100.0 * (double)so_far->n_tokens / (double)(text->n_ids - 1), so_far->loss);
}

/* On a terminal `batch` windows at a time, to show progress; else all in one call, which allocates logits once. */
static kv_status evaluate(const char *command, const struct settings *s, struct kv_session *session,
                          const struct kv_config *config, const struct text *text, struct kv_evaluation *whole,
                          struct kv_error *error)
{
    const bool watched = isatty(STDERR_FILENO);
    const size_t n = text->n_ids - 1, step = watched ? (size_t)s->batch * (size_t)s->context : n;
    kv_status status = KV_OK;
    *whole = (struct kv_evaluation){0};
    for (size_t at = 0; !status && at < n; at += step) {
        const size_t n_ids = (n - at < step ? n - at : step) + 1;
        struct kv_evaluation part;
        status = kv_evaluate(session, config, s->batch, s->context, text->ids + at, n_ids, &part, error);
        if (status)
            break;
        kv_evaluation_add(whole, &part);
        if (watched)
            show_progress(command, whole, text);
    }
    if (watched && whole->seconds > 1)
        fputs("\r\033[K", stderr);
    return status;
}

static void print(const struct settings *s, const struct text *text, const struct kv_session *session,
                  const char *format, const struct kv_evaluation *e)
{
    const double bits_per_byte = e->loss * (double)e->n_tokens / (log(2) * (double)text->n_bytes);
    const double rate = (double)e->n_tokens / e->seconds;
    if (s->csv) {
        printf("path,cache,kv,weights,chunk,context,batch,tokens,bytes,loss_nats,bits_per_byte,perplexity,seconds,"
               "tokens_per_second\n");
        printf("%s,%s,%s,%s,%d,%d,%d,%zu,%zu,%.9f,%.9f,%.6f,%.3f,%.1f\n", kv_session_path(session),
               kv_session_cache(session), kv_session_kv(session), format, s->chunk, s->context, s->batch, e->n_tokens,
               text->n_bytes, e->loss, bits_per_byte, exp(e->loss), e->seconds, rate);
        return;
    }
    printf("predicted    %zu tokens, %zu bytes\n", e->n_tokens, text->n_bytes);
    printf("loss         %.6f nats a token\n", e->loss);
    printf("bits a byte  %.6f\n", bits_per_byte);
    printf("perplexity   %.4f a token\n", exp(e->loss));
    printf("speed        %.0f tokens/s: path %s, context %d, batch %d", rate, kv_session_path(session), s->context,
           s->batch);
    if (s->chunk)
        printf(", chunk %d", s->chunk);
    putchar('\n');
}

static kv_status evaluate_model(const char *command, const struct settings *s, const struct kv_model *model,
                                struct kv_pool *pool, const struct text *text, struct kv_error *error)
{
    struct kv_session_options options = model_session_options(&s->model, s->path);
    options.batch = s->batch;
    options.capacity = s->context;
    options.chunk = s->chunk;
    struct kv_session *session;
    struct kv_evaluation evaluation;
    kv_status status = kv_session_create(&session, model, pool, &options, error);
    if (!status)
        status = evaluate(command, s, session, kv_model_config(model), text, &evaluation, error);
    if (!status)
        print(s, text, session, kv_model_format(model), &evaluation);
    kv_session_free(session);
    return status;
}

/* ---- The command ------------------------------------------------------------------------------------- */

/* What was left open, from the model's shape; no more windows at a time than there are. */
static void settle(struct settings *s, const struct kv_config *config, const struct text *text)
{
    if (s->context == 0)
        s->context = config->n_positions;
    if (s->batch == 0)
        s->batch = kv_evaluation_batch(config, s->context);
    const size_t n_windows = (text->n_ids - 1 + (size_t)s->context - 1) / (size_t)s->context;
    if ((size_t)s->batch > n_windows)
        s->batch = (int)n_windows;
}

static int run(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    struct kv_config config;
    struct text text = {0};
    struct kv_pool *pool = NULL;
    struct kv_model *model = NULL;
    int exit_status = model_shape(command, &s->model, &config);
    if (exit_status)
        return exit_status;
    if (s->context > config.n_positions)
        return cli_fail(command, CLI_USAGE, "--context: %d is more than the model's n_positions, %d", s->context,
                        config.n_positions);
    if (read_text(s, &text, &error) != KV_OK) {
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    } else {
        settle(s, &config, &text);
        exit_status = model_open(command, &s->model, &pool, &model);
    }
    if (!exit_status && evaluate_model(command, s, model, pool, &text, &error) != KV_OK)
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    kv_model_free(model);
    kv_pool_free(pool);
    free(text.ids);
    return exit_status;
}

int command_evaluate(int argc, char **argv)
{
    struct settings s = {.model = model_options_default(EMBEDDED_MODEL)};
    struct source_rows source;
    struct engine_rows engine;
    const struct option_row rows[] = {
        {.table = model_source_rows(&source, &s.model, NULL)},
        {.table = engine_rows(&engine, &s.model)},
        {.name = "text",
         .argument = "FILE",
         .help = "the text to predict; the model's tokenizer makes its ids",
         .text = &s.text},
        {.name = "path", .argument = "NAME", .help = "inference path:", .chosen = &s.path, .choice = kv_path_choice},
        {.name = "chunk",
         .argument = "N",
         .help = "run N positions at a time (default: all at once); with 1, cached reads all from its cache",
         .integer = &s.chunk,
         .low = 1,
         .high = INT32_MAX},
        {.name = "context",
         .argument = "T",
         .help = "positions of a window (default: the model's n_positions)",
         .integer = &s.context,
         .low = 1,
         .high = INT32_MAX},
        {.name = "batch",
         .argument = "B",
         .help = "windows at a time, at most (default: up to 16 whose logits take 64 MiB)",
         .integer = &s.batch,
         .low = 1,
         .high = INT32_MAX},
        {.name = "csv", .help = "print a header and a row of CSV", .flag = &s.csv},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "--text FILE [OPTIONS]",
        .summary = "How well a model predicts a text: cross-entropy over windows of T ids, each but the text's first "
                   "predicted\n"
                   "once, from those before it in its window. Prints nats and perplexity a token, and bits a byte.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (!s.text)
        return cli_fail(argv[0], CLI_USAGE, "--text FILE is needed; see kvbench evaluate --help");
    return run(argv[0], &s);
}
