#include "cli/cli.h"

#include "base/error.h"
#include "measure/status_line.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    struct model_options model;
    const char *text;
    const char *path;
    int chunk;
    int batch;   /* 0: as many as suit the model */
    int context; /* 0: n_positions */
    bool csv;
    const char *format_name;
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

/* What was found out, of all ids that are predicted. */
struct outcome {
    struct kv_token_score *scores;
    struct kv_quality quality;
    double seconds; /* of the session, not of its reference */
};

static void show_progress(const char *command, const struct outcome *so_far, size_t n, const struct text *text)
{
    double nats = 0;
    char line[128];
    for (size_t i = 0; i < n; i++)
        nats += so_far->scores[i].loss;
    snprintf(line, sizeof line, "kvbench %s: %.0f %%, %.4f nats a token so far", command,
             100.0 * (double)n / (double)(text->n_ids - 1), nats / (double)n);
    kv_status_line(line, false);
}

/* On a terminal `batch` windows at a time, to show progress; else all in one call, which allocates logits once. */
static kv_status evaluate(const char *command, const struct settings *s, struct kv_session *session,
                          struct kv_session *reference, const struct kv_config *config, const struct text *text,
                          struct outcome *outcome, struct kv_error *error)
{
    const bool watched = kv_status_line_possible();
    const size_t n = text->n_ids - 1, step = watched ? (size_t)s->batch * (size_t)s->context : n;
    kv_status status = KV_OK;
    outcome->scores = calloc(n, sizeof *outcome->scores);
    if (!outcome->scores)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the losses of %zu tokens; give a shorter text", n);
    for (size_t at = 0; !status && at < n; at += step) {
        const size_t part = n - at < step ? n - at : step;
        double seconds;
        status = kv_evaluate_tokens(session, reference, config, s->batch, s->context, text->ids + at, part + 1,
                                    outcome->scores + at, &seconds, error);
        outcome->seconds += seconds;
        if (!status && watched && outcome->seconds > 1)
            show_progress(command, outcome, at + part, text);
    }
    if (watched && outcome->seconds > 1)
        kv_status_line_end();
    return status ? status : kv_quality_of(outcome->scores, n, &outcome->quality, error);
}

/* ---- What is printed ----------------------------------------------------------------------------------- */

/* A figure with its interval; what is not known is empty. */
static void print_cells(const struct kv_estimate *e, bool known)
{
    printf(known ? ",%.9g" : ",", e->value);
    printf(known && !isnan(e->low) ? ",%.9g,%.9g" : ",,", e->low, e->high);
}

static void print_csv(const struct settings *s, const struct text *text, const struct kv_session *session,
                      const char *format, const struct outcome *outcome, bool compared)
{
    const struct kv_quality *q = &outcome->quality;
    const struct kv_estimate *figures[] = {&q->perplexity_change, &q->divergence, &q->divergence_p99, &q->same_top};
    const size_t n = text->n_ids - 1;
    printf("path,cache,kv,weights,chunk,context,batch,tokens,bytes,loss_nats,bits_per_byte,perplexity,seconds,"
           "tokens_per_second,loss_nats_low,loss_nats_high,perplexity_low,perplexity_high,divergence_largest");
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        static const char *const names[] = {"perplexity_change", "divergence_mean", "divergence_p99", "top_agreement"};
        printf(",%s,%s_low,%s_high", names[i], names[i], names[i]);
    }
    printf("\n%s,%s,%s,%s,%d,%d,%d,%zu,%zu,%.9f,%.9f,%.6f,%.3f,%.1f", kv_session_path(session),
           kv_session_cache(session), kv_session_kv(session), format, s->chunk, s->context, s->batch, n, text->n_bytes,
           q->loss.value, q->loss.value * (double)n / (log(2) * (double)text->n_bytes), q->perplexity.value,
           outcome->seconds, (double)n / outcome->seconds);
    const bool known = !isnan(q->loss.low);
    printf(known ? ",%.9f,%.9f" : ",,", q->loss.low, q->loss.high);
    printf(known ? ",%.6f,%.6f" : ",,", q->perplexity.low, q->perplexity.high);
    printf(compared ? ",%.9g" : ",", q->divergence_largest);
    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++)
        print_cells(figures[i], compared);
    putchar('\n');
}

static void add_estimate(struct kv_table *table, const struct kv_estimate *e, bool known)
{
    kv_table_add_number(table, known ? e->value : NAN, NULL);
    kv_table_add_number(table, known ? e->low : NAN, NULL);
    kv_table_add_number(table, known ? e->high : NAN, NULL);
}

/* The same as a table of --format. */
static kv_status print_table(const struct settings *s, const struct text *text, const struct kv_session *session,
                             const char *format, const struct outcome *outcome, bool compared, struct kv_error *error)
{
#define ESTIMATE(name)                                                                                                 \
    {name, NULL, false}, {name "_low", NULL, false},                                                                   \
    {                                                                                                                  \
        name "_high", NULL, false                                                                                      \
    }
    static const struct kv_table_column columns[] = {
        {"path", NULL, true},           {"cache", NULL, true},       {"kv", NULL, true},
        {"weights", NULL, true},        {"chunk", NULL, false},      {"context", NULL, false},
        {"batch", NULL, false},         {"tokens", NULL, false},     {"bytes", NULL, false},
        {"bits_per_byte", NULL, false}, {"seconds", NULL, false},    {"tokens_per_second", NULL, false},
        ESTIMATE("loss_nats"),          ESTIMATE("perplexity"),      {"divergence_largest", NULL, false},
        ESTIMATE("perplexity_change"),  ESTIMATE("divergence_mean"), ESTIMATE("divergence_p99"),
        ESTIMATE("top_agreement"),
    };
#undef ESTIMATE
    const struct kv_quality *q = &outcome->quality;
    const double n = (double)(text->n_ids - 1);
    struct kv_table *table;
    kv_status status = kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, error);
    if (status)
        return status;
    kv_table_add_text(table, kv_session_path(session));
    kv_table_add_text(table, kv_session_cache(session));
    kv_table_add_text(table, kv_session_kv(session));
    kv_table_add_text(table, format);
    kv_table_add_number(table, s->chunk, NULL);
    kv_table_add_number(table, s->context, NULL);
    kv_table_add_number(table, s->batch, NULL);
    kv_table_add_number(table, n, NULL);
    kv_table_add_number(table, (double)text->n_bytes, NULL);
    kv_table_add_number(table, q->loss.value * n / (log(2) * (double)text->n_bytes), NULL);
    kv_table_add_number(table, outcome->seconds, NULL);
    kv_table_add_number(table, n / outcome->seconds, NULL);
    add_estimate(table, &q->loss, true);
    add_estimate(table, &q->perplexity, true);
    kv_table_add_number(table, compared ? q->divergence_largest : NAN, NULL);
    add_estimate(table, &q->perplexity_change, compared);
    add_estimate(table, &q->divergence, compared);
    add_estimate(table, &q->divergence_p99, compared);
    add_estimate(table, &q->same_top, compared);
    status = kv_table_print(table, format_of(s->format_name), stdout, error);
    kv_table_free(table);
    return status;
}

/* "VALUE UNIT (LOW to HIGH)", each times `scale`, or without the interval where there is none. */
static void print_estimate(const char *name, const struct kv_estimate *e, int decimals, double scale, const char *unit)
{
    printf("%-12s %.*f %s", name, decimals, e->value * scale, unit);
    if (!isnan(e->low))
        printf(" (%.*f to %.*f)", decimals, e->low * scale, decimals, e->high * scale);
    putchar('\n');
}

static void print(const struct settings *s, const struct text *text, const struct kv_session *session,
                  const char *format, const struct outcome *outcome, bool compared)
{
    const struct kv_quality *q = &outcome->quality;
    const size_t n = text->n_ids - 1;
    printf("predicted    %zu tokens, %zu bytes\n", n, text->n_bytes);
    print_estimate("loss", &q->loss, 6, 1, "nats a token");
    printf("bits a byte  %.6f\n", q->loss.value * (double)n / (log(2) * (double)text->n_bytes));
    print_estimate("perplexity", &q->perplexity, 4, 1, "a token");
    if (compared) {
        print_estimate("  change", &q->perplexity_change, 3, 100, "% from float32");
        print_estimate("divergence", &q->divergence, 6, 1, "nats a token from float32");
        print_estimate("  p99", &q->divergence_p99, 6, 1, "nats");
        printf("  largest    %.6f nats\n", q->divergence_largest);
        print_estimate("top token", &q->same_top, 2, 100, "% as float32's");
    }
    printf("speed        %.0f tokens/s: path %s, context %d, batch %d", (double)n / outcome->seconds,
           kv_session_path(session), s->context, s->batch);
    if (s->chunk)
        printf(", chunk %d", s->chunk);
    if (kv_session_kv(session)[0])
        printf(", kv %s", kv_session_kv(session));
    printf(", weights %s\n", format);
    if (!isnan(q->loss.low))
        printf("(in brackets: 95 %% intervals over %d blocks of the text)\n", KV_QUALITY_BLOCKS);
}

/* ---- The session and its reference ------------------------------------------------------------------------ */

static const char *first_name(const struct kv_choice *(*choice)(int index))
{
    return choice(0)->name;
}

/* Weights and cache of float32 and of all positions, whatever the session has: the same tokens through the cached path. */
static kv_status open_reference(const char *command, const struct settings *s, const struct kv_model *model,
                                struct kv_pool *pool, struct kv_model **own, struct kv_session **session,
                                struct kv_error *error)
{
    struct model_options exact = s->model;
    kv_status status = KV_OK;
    exact.weights = first_name(kv_weights_choice);
    exact.kv = first_name(kv_kv_choice);
    exact.cache = first_name(kv_cache_choice);
    if (strcmp(kv_model_format(model), exact.weights) != 0)
        status = model_load(command, &exact, pool, own, error);
    struct kv_session_options options = model_session_options(&exact, NULL);
    options.batch = s->batch;
    options.capacity = s->context;
    return status ? status : kv_session_create(session, *own ? *own : model, pool, &options, error);
}

static kv_status evaluate_model(const char *command, const struct settings *s, const struct kv_model *model,
                                struct kv_pool *pool, const struct text *text, struct kv_error *error)
{
    struct kv_session_options options = model_session_options(&s->model, s->path);
    options.batch = s->batch;
    options.capacity = s->context;
    options.chunk = s->chunk;
    struct kv_session *session, *reference = NULL;
    struct kv_model *exact = NULL;
    struct outcome outcome = {0};
    kv_status status = kv_session_create(&session, model, pool, &options, error);
    const bool lossy = !status &&
                       (strcmp(kv_model_format(model), first_name(kv_weights_choice)) != 0 ||
                        kv_cache_drops(kv_session_cache(session)) ||
                        (kv_session_kv(session)[0] && strcmp(kv_session_kv(session), first_name(kv_kv_choice)) != 0));
    if (lossy)
        status = open_reference(command, s, model, pool, &exact, &reference, error);
    if (!status)
        status = evaluate(command, s, session, reference, kv_model_config(model), text, &outcome, error);
    if (!status && format_of(s->format_name) != KV_FORMAT_TEXT)
        status = print_table(s, text, session, kv_model_format(model), &outcome, lossy, error);
    else if (!status)
        (s->csv ? print_csv : print)(s, text, session, kv_model_format(model), &outcome, lossy);
    free(outcome.scores);
    kv_session_free(reference);
    kv_session_free(session);
    kv_model_free(exact);
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
        format_row(&s.format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "--text FILE [OPTIONS]",
        .summary = "How well a model predicts a text: cross-entropy over windows of T ids, each but the text's first "
                   "predicted\n"
                   "once, from those before it in its window. Prints nats and perplexity a token, and bits a byte;\n"
                   "of weights or a cache that are not f32 also how far the predictions are from those of f32.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (s.csv && strcmp(s.format_name, "text") != 0 && strcmp(s.format_name, "csv") != 0)
        return cli_fail(argv[0], CLI_USAGE, "--csv and --format %s exclude each other; choose one", s.format_name);
    if (!s.text || !*s.text)
        return cli_fail(argv[0], CLI_USAGE, "--text FILE is needed; see kvbench evaluate --help");
    return run(argv[0], &s);
}
