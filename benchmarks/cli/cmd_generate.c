#include "cli/cli.h"

#include "measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct settings {
    struct model_options model;
    struct token_rows rows;
    const char *path;
    const char *overflow;
    int n_new;
    int chunk;
    bool ids;
};

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

static enum kv_overflow overflow_of(const char *name)
{
    int i = 0;
    while (strcmp(overflows[i].name, name) != 0)
        i++;
    return (enum kv_overflow)i;
}

/* "1,2,3;4,5,6" on one line: prompt and new tokens of every sequence */
static void print_ids(const struct settings *s, const struct kv_generation *g)
{
    for (int b = 0; b < s->rows.batch; b++) {
        for (int i = 0; i < s->rows.length; i++)
            printf("%s%d", i ? "," : (b ? ";" : ""), s->rows.tokens[b * s->rows.length + i]);
        for (int i = 0; i < g->n_done; i++)
            printf(",%d", g->tokens[(size_t)b * (size_t)g->n_new + (size_t)i]);
    }
    putchar('\n');
}

static void print_figures(const char *command, const struct settings *s, const struct kv_generation *g,
                          const struct kv_session *session)
{
    struct kv_figures f;
    if (g->n_done == 0 || kv_figures_of(g, s->rows.batch, s->rows.length, &f, NULL) != KV_OK)
        return;
    fprintf(stderr, "kvbench %s: %s, TTFT %.2f ms", command, kv_session_path(session), f.ttft_ms);
    if (!isnan(f.ttpt_ms))
        fprintf(stderr, ", TTPT %.2f ms, %.1f tokens/s", f.ttpt_ms, f.decode_tok_s);
    fprintf(stderr, ", cache %.2f MiB\n", (double)g->kv_live_bytes / (1024 * 1024));
}

/* What happened at the window's end, in one line. */
static void warn_of_overflow(const char *command, const struct settings *s, const struct kv_generation *g,
                             const struct kv_session *session, int n_positions)
{
    if (s->n_new > g->n_done)
        fprintf(stderr,
                "kvbench %s: warning: stopped after %d of %d new tokens at the window's end (n_positions %d); "
                "--overflow recompute or shift goes on\n",
                command, g->n_done, s->n_new, n_positions);
    else if (kv_session_overflows(session))
        fprintf(stderr, "kvbench %s: warning: the window's end (n_positions %d) was passed: %s (--overflow %s)\n",
                command, n_positions, overflows[overflow_of(s->overflow)].summary, s->overflow);
}

static kv_status generate(const char *command, const struct settings *s, const struct kv_model *model,
                          struct kv_team *team, struct kv_error *error)
{
    const int n_positions = kv_model_config(model)->n_positions;
    const long wanted = (long)s->rows.length + s->n_new;
    const struct kv_session_options options = {
        .path = s->path,
        .matmul = s->model.gemm,
        .isa = s->model.isa,
        .batch = s->rows.batch,
        .capacity = wanted < n_positions ? (int)wanted : n_positions,
        .chunk = s->chunk,
        .overflow = overflow_of(s->overflow),
    };
    struct kv_session *session = NULL;
    struct kv_generation g = {0};
    kv_status status = kv_generation_create(&g, s->rows.batch, s->n_new ? s->n_new : 1, error);
    if (!status)
        status = kv_session_create(&session, model, team, &options, error);
    if (!status && s->n_new)
        status = kv_generate(session, s->rows.batch, s->rows.tokens, s->rows.length, s->n_new, &g, error);
    if (status == KV_WINDOW_FULL && g.n_done > 0)
        status = KV_OK;
    if (!status) {
        print_ids(s, &g);
        fflush(stdout);
        warn_of_overflow(command, s, &g, session, n_positions);
        print_figures(command, s, &g, session);
    }
    kv_session_free(session);
    kv_generation_free(&g);
    return status;
}

/* Without --tokens: the benchmark's prompt, which needs GPT-2's vocabulary. */
static bool use_default_prompt(struct settings *s, const struct kv_config *config)
{
    struct kv_error error;
    char text[512];
    size_t at = 0;
    for (int i = 0; i < default_prompt_length; i++) {
        if (default_prompt[i] >= config->vocab_size)
            return false;
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%d", i ? "," : "", default_prompt[i]);
    }
    return token_rows_parse(text, &s->rows, &error);
}

/* The first id that the model does not have, or -1; a run of 0 new tokens would print it without a word. */
static int32_t find_unknown_id(const struct settings *s, const struct kv_config *config)
{
    for (int i = 0; i < s->rows.batch * s->rows.length; i++)
        if (s->rows.tokens[i] >= config->vocab_size)
            return s->rows.tokens[i];
    return -1;
}

static int run(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    struct kv_team *team;
    struct kv_model *model;
    int exit_status = model_open(command, &s->model, &team, &model);
    if (exit_status)
        return exit_status;
    if (!s->rows.tokens && !use_default_prompt(s, kv_model_config(model)))
        exit_status = cli_fail(command, CLI_USAGE, "--tokens is needed: the default prompt is of GPT-2's vocabulary");
    else if (find_unknown_id(s, kv_model_config(model)) >= 0)
        exit_status = cli_fail(command, CLI_FAILED, "--tokens: %d is not in 0..%d (the model's vocab_size is %d)",
                               find_unknown_id(s, kv_model_config(model)), kv_model_config(model)->vocab_size - 1,
                               kv_model_config(model)->vocab_size);
    else if (generate(command, s, model, team, &error) != KV_OK)
        exit_status = cli_fail(command, CLI_FAILED, "%s", error.message);
    kv_model_free(model);
    kv_team_free(team);
    return exit_status;
}

int command_generate(int argc, char **argv)
{
    struct settings s = {.model = model_options_default(), .overflow = "stop", .n_new = 50};
    const struct option_row rows[] = {
        MODEL_OPTION_ROWS(&s.model),
        {"tokens", 0, "IDS", "prompts as ids: \"1,2,3\" or \"1,2,3;4,5,6\" (default: the benchmark's prompt)",
         OPTION_PARSED, &s.rows, 0, 0, NULL, token_rows_parse},
        {"new", 'n', "N", "new tokens (default 50)", OPTION_INTEGER, &s.n_new, 0, INT32_MAX / 2, NULL, NULL},
        {"path", 0, "NAME", "inference path:", OPTION_CHOICE, &s.path, 0, 0, kv_path_choice, NULL},
        {"overflow", 0, "POLICY", "at the window's end (default stop):", OPTION_CHOICE, &s.overflow, 0, 0,
         overflow_choice, NULL},
        {"chunk", 0, "N", "prefill N positions at a time (default: all at once)", OPTION_INTEGER, &s.chunk, 1,
         INT32_MAX, NULL, NULL},
        {"ids", 0, NULL, "print token ids (there is no other form yet)", OPTION_FLAG, &s.ids, 0, 0, NULL, NULL},
    };
    const struct option_table table = {
        argv[0], "[OPTIONS]",
        "Continues every sequence by greedy choice and prints it whole, ids separated by commas, on one line.", rows,
        sizeof rows / sizeof rows[0]};
    int status;
    if (options_parse(&table, argc, argv, &status))
        status = run(argv[0], &s);
    token_rows_free(&s.rows);
    return status;
}
