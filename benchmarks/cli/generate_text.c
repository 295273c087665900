/* One continuation, written while it is made, and what generate says of it. */
#include "cli/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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
        int n_prompt, n_new;
        const int32_t *prompt = kv_decoder_prompt(d, b, &n_prompt), *new_tokens = kv_decoder_tokens(d, b, &n_new);
        for (int i = 0; i < n_prompt; i++)
            printf("%s%d", i ? "," : (b ? ";" : ""), prompt[i]);
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
        int n_prompt, n_new;
        const int32_t *prompt = kv_decoder_prompt(d, b, &n_prompt), *new_tokens = kv_decoder_tokens(d, b, &n_new);
        struct text_stream stream = {.tokenizer = job->tokenizer};
        printf("--- %d of %d ---\n", b + 1, d->generation.batch);
        text_stream_put(&stream, prompt, n_prompt);
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

/* Sequences that have not all their tokens. */
static int count_stopped(const struct kv_decoder *d)
{
    int n = 0;
    for (int b = 0; b < d->generation.batch; b++)
        n += !d->ended[b] && d->generation.n_selected[b] < d->n_wanted;
    return n;
}

void generate_warn_of_window(const struct generate_job *job, const struct kv_decoder *d)
{
    const int n_positions = kv_model_config(job->model)->n_positions, batch = d->generation.batch;
    const struct kv_choice *policy = kv_overflow_choice((int)job->options.session.overflow);
    if (d->window_full && job->options.prompt_lengths)
        fprintf(stderr,
                "kvbench %s: warning: %d of %d sequences stopped before %d new tokens at the window's end (n_positions "
                "%d); --overflow recompute or shift goes on\n",
                job->command, count_stopped(d), batch, d->n_wanted, n_positions);
    else if (d->window_full)
        fprintf(stderr,
                "kvbench %s: warning: stopped after %d of %d new tokens at the window's end (n_positions %d); "
                "--overflow recompute or shift goes on\n",
                job->command, kv_generation_tokens(&d->generation), d->n_wanted, n_positions);
    else if (kv_session_overflows(d->session))
        fprintf(stderr, "kvbench %s: warning: the window's end (n_positions %d) was passed: %s (--overflow %s)\n",
                job->command, n_positions, policy->summary, policy->name);
}

static bool all_ended(const struct kv_decoder *d)
{
    int n = 0;
    for (int b = 0; b < d->generation.batch; b++)
        n += d->ended[b];
    return n == d->generation.batch;
}

/* What a step took while so many sequences ran, in powers of two: what those that left have saved. */
static void print_steps(const struct generate_job *job, const struct kv_generation *g)
{
    const char *between = "a step of ";
    if (g->n_steps < 2 || g->n_running[2] == g->n_running[g->n_steps])
        return;
    fprintf(stderr, "kvbench %s: ", job->command);
    for (int most = g->n_running[2], least; most > 0; most = least - 1) {
        for (least = 1; 2 * least <= most;)
            least *= 2;
        int64_t ns = 0;
        int n = 0;
        for (int i = 2; i <= g->n_steps; i++)
            if (g->n_running[i] >= least && g->n_running[i] <= most) {
                ns += g->stamps[i] - g->stamps[i - 1];
                n++;
            }
        if (n == 0)
            continue;
        fprintf(stderr, "%s%d", between, least);
        if (most > least)
            fprintf(stderr, "-%d", most);
        fprintf(stderr, " %s %.3f ms (%d)", most > 1 ? "sequences" : "sequence", (double)ns * 1e-6 / n, n);
        between = ", of ";
    }
    fputc('\n', stderr);
}

void generate_tell_speculation(const struct kv_decoder *d)
{
    const struct kv_speculation_counts *c = kv_speculator_counts(d->speculator);
    const double alpha = kv_speculation_acceptance(c);
    if (c->steps == 0)
        return;
    fprintf(stderr, ", %.2f tokens a step", (double)c->tokens / (double)c->steps);
    if (!isnan(alpha))
        fprintf(stderr, " (%.0f %% of drafts stayed)", 100 * alpha);
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
            all_ended(d) ? " (to <|endoftext|>)" : "", f.ttft_ms);
    if (!isnan(f.ttpt_ms))
        fprintf(stderr, ", TTPT (TPOT) %.2f ms, %s tokens/s", f.ttpt_ms,
                generate_rate_text(kv_generation_rate(&d->generation), rate));
    if (d->speculator)
        generate_tell_speculation(d);
    fprintf(stderr, ", cache %.2f MiB\n", (double)g->kv_live_bytes / (1024 * 1024));
    print_steps(job, g);
}

/* ---- The run --------------------------------------------------------------------------------------------- */

static kv_status make(const struct generate_job *job, struct kv_decoder *d, struct text_stream *stream,
                      struct kv_error *error)
{
    int n_written = 0, n_prompt, n_new;
    const int32_t *prompt = kv_decoder_prompt(d, 0, &n_prompt);
    if (!job->as_ids)
        text_stream_put(stream, prompt, n_prompt);
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

int generate_on_path(const struct generate_job *job)
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
