/* One path's continuation, written while it is made, and the figures after it. */
#include "cli/cli.h"
#include "cli/generate.h"
#include "cli/signals.h"

#include <math.h>
#include <stdio.h>

static const struct kv_choice overflows[] = {
    [KV_OVERFLOW_STOP] = {"stop", "generation ends there"},
    [KV_OVERFLOW_RECOMPUTE] = {"recompute", "every step runs the last n_positions tokens again"},
    [KV_OVERFLOW_SHIFT] = {"shift", "the older half is dropped, the rest is run again"},
};
enum { N_OVERFLOWS = sizeof overflows / sizeof overflows[0] };

const struct kv_choice *generate_overflow(int index)
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

void generate_print_ids(const struct kv_decoder *c)
{
    for (int b = 0; b < c->generation.batch; b++) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(c, b, &n_new);
        for (int i = 0; i < c->generation.n_prompt; i++)
            printf("%s%d", i ? "," : (b ? ";" : ""), c->prompt[(size_t)b * (size_t)c->generation.n_prompt + (size_t)i]);
        for (int i = 0; i < n_new; i++)
            printf(",%d", new_tokens[i]);
    }
    putchar('\n');
    fflush(stdout);
}

/* The sequences after the first, each whole, behind a line with its number. */
static void print_other_texts(const struct generate_job *job, const struct kv_decoder *c)
{
    for (int b = 1; b < c->generation.batch; b++) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(c, b, &n_new);
        struct text_stream stream = {.tokenizer = job->tokenizer};
        printf("--- %d of %d ---\n", b + 1, c->generation.batch);
        text_stream_put(&stream, c->prompt + (size_t)b * (size_t)c->generation.n_prompt, c->generation.n_prompt);
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

void generate_warn_of_window(const struct generate_job *job, const struct kv_decoder *c)
{
    const int n_positions = kv_model_config(job->model)->n_positions;
    const struct kv_choice *policy = &overflows[job->options.session.overflow];
    if (c->window_full)
        fprintf(stderr,
                "kvbench %s: warning: stopped after %d of %d new tokens at the window's end (n_positions %d); "
                "--overflow recompute or shift goes on\n",
                job->command, kv_generation_tokens(&c->generation), c->n_wanted, n_positions);
    else if (kv_session_overflows(c->session))
        fprintf(stderr, "kvbench %s: warning: the window's end (n_positions %d) was passed: %s (--overflow %s)\n",
                job->command, n_positions, policy->summary, policy->name);
}

static void print_figures(const struct generate_job *job, const struct kv_decoder *c)
{
    const struct kv_generation *g = &c->generation;
    struct kv_figures f;
    char rate[RATE_TEXT_SIZE], sequences[32] = "";
    if (kv_generation_tokens(g) == 0 || kv_figures_of(g, &f, NULL) != KV_OK)
        return;
    if (c->generation.batch > 1)
        snprintf(sequences, sizeof sequences, "%d x ", c->generation.batch);
    fprintf(stderr, "kvbench %s: %s, %s%d new token%s%s, TTFT %.2f ms", job->command, kv_session_path(c->session),
            sequences, kv_generation_tokens(g), kv_generation_tokens(g) == 1 ? "" : "s",
            c->n_running == 0 ? " (to <|endoftext|>)" : "", f.ttft_ms);
    if (!isnan(f.ttpt_ms))
        fprintf(stderr, ", TTPT %.2f ms, %s tokens/s", f.ttpt_ms,
                generate_rate_text(kv_generation_rate(&c->generation), rate));
    fprintf(stderr, ", cache %.2f MiB\n", (double)g->kv_live_bytes / (1024 * 1024));
}

/* ---- The run --------------------------------------------------------------------------------------------- */

static kv_status make(const struct generate_job *job, struct kv_decoder *c, struct text_stream *stream,
                      struct kv_error *error)
{
    int n_written = 0, n_new;
    if (!job->as_ids)
        text_stream_put(stream, c->prompt, c->generation.n_prompt);
    while (!kv_decoder_done(c) && !ferror(stdout) && !signals_received()) {
        const kv_status status = kv_decoder_step(c, error);
        if (status)
            return status;
        const int32_t *new_tokens = kv_decoder_tokens(c, 0, &n_new);
        if (!job->as_ids)
            text_stream_put(stream, new_tokens + n_written, n_new - n_written);
        n_written = n_new;
    }
    return KV_OK;
}

int generate_on_path(const struct generate_job *job)
{
    struct kv_error error = {""};
    struct kv_decoder c;
    struct text_stream stream = {.tokenizer = job->tokenizer};
    kv_status status = kv_decoder_create(&c, job->model, job->pool, &job->options, &error);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    signals_listen(NULL);
    status = make(job, &c, &stream, &error);
    if (!job->as_ids) {
        text_stream_end(&stream);
        print_other_texts(job, &c);
    } else if (!status) {
        generate_print_ids(&c);
    }
    if (!status) {
        generate_warn_of_window(job, &c);
        print_figures(job, &c);
    }
    kv_decoder_free(&c);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    return signals_received() ? 128 + signals_received() : CLI_OK;
}
