/* `--path both`: the naive and the cached path make the same text, each with the same share of the machine, so that
 * what they show at any moment is what each makes of the same time. */
#include "cli/cli.h"
#include "cli/generate.h"
#include "cli/signals.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROGRESS_NS 1000000000 /* between two lines on stderr */

enum { NAIVE, CACHED, N_SIDES };

static const char *const path_names[N_SIDES] = {[NAIVE] = "naive", [CACHED] = "cached"};

struct race {
    const struct generate_job *job;
    struct kv_decoder sides[N_SIDES];
    bool on_screen;
    struct race_screen screen;
    struct text_stream stream; /* the cached path's text, where there is no screen */
    int n_streamed;
    int64_t reported_ns;
};

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

/* ---- While they run -------------------------------------------------------------------------------------- */

static void print_progress(struct race *r)
{
    const int64_t now = kv_now_ns();
    char rate[RATE_TEXT_SIZE];
    if (now - r->reported_ns < PROGRESS_NS)
        return;
    r->reported_ns = now;
    for (int i = 0; i < N_SIDES; i++)
        fprintf(stderr, "%s%s %d tokens, %s tokens/s", i ? " | " : "", path_names[i],
                kv_generation_tokens(&r->sides[i].generation),
                generate_rate_text(kv_generation_rate(&r->sides[i].generation), rate));
    fputc('\n', stderr);
}

static void show(struct race *r, bool at_once)
{
    const struct kv_decoder *const sides[] = {&r->sides[NAIVE], &r->sides[CACHED]};
    if (r->on_screen) {
        race_screen_draw(&r->screen, r->job, sides, at_once);
        return;
    }
    if (!r->job->as_ids) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(&r->sides[CACHED], 0, &n_new);
        text_stream_put(&r->stream, new_tokens + r->n_streamed, n_new - r->n_streamed);
        r->n_streamed = n_new;
    }
    print_progress(r);
}

static void begin_to_show(struct race *r)
{
    r->reported_ns = kv_now_ns();
    if (r->on_screen) {
        signals_last_words(SHOW_CURSOR);
        fputs(HIDE_CURSOR, stdout);
    } else if (!r->job->as_ids) {
        r->stream.tokenizer = r->job->tokenizer;
        text_stream_put(&r->stream, r->sides[CACHED].prompt, r->sides[CACHED].generation.n_prompt);
    }
    show(r, true);
}

static void end_to_show(struct race *r)
{
    show(r, true);
    if (r->on_screen) {
        fputs("\n" SHOW_CURSOR, stdout);
        fflush(stdout);
        signals_last_words(NULL);
    } else if (r->job->as_ids) {
        generate_print_ids(&r->sides[CACHED]);
    } else {
        text_stream_end(&r->stream);
    }
}

static kv_status run(struct race *r, struct kv_error *error)
{
    struct kv_decoder *next;
    kv_status status = KV_OK;
    begin_to_show(r);
    while (!status && !signals_received() && !ferror(stdout) &&
           (next = kv_decoder_next(&r->sides[NAIVE], &r->sides[CACHED]))) {
        status = kv_decoder_step(next, error);
        show(r, false);
    }
    end_to_show(r);
    return status;
}

/* ---- What came of it ------------------------------------------------------------------------------------- */

/* "12.34", or "-" for NaN */
static const char *milliseconds_text(double ms, char text[32])
{
    if (isnan(ms))
        snprintf(text, 32, "-");
    else
        snprintf(text, 32, "%.2f", ms);
    return text;
}

static void print_table(const struct race *r)
{
    fprintf(stderr, "%-8s %8s %10s %10s %10s %11s\n", "path", "tokens", "TTFT, ms", "TTPT, ms", "tokens/s",
            "cache, MiB");
    for (int i = 0; i < N_SIDES; i++) {
        const struct kv_decoder *c = &r->sides[i];
        char ttft[32], ttpt[32], rate[RATE_TEXT_SIZE];
        struct kv_figures f;
        if (kv_figures_of(&c->generation, &f, NULL) != KV_OK)
            continue;
        fprintf(stderr, "%-8s %8d %10s %10s %10s %11.2f\n", path_names[i], kv_generation_tokens(&c->generation),
                milliseconds_text(f.ttft_ms, ttft), milliseconds_text(f.ttpt_ms, ttpt),
                generate_rate_text(kv_generation_rate(&c->generation), rate),
                (double)c->generation.kv_live_bytes / (1024 * 1024));
    }
    const double ratio = kv_generation_rate(&r->sides[CACHED].generation) /
                         kv_generation_rate(&r->sides[NAIVE].generation);
    if (!isnan(ratio) && !signals_received())
        fprintf(stderr, "cached is %.1f times as fast\n", ratio);
}

/* Both paths draw with the same random numbers, so their texts are the same unless a draw fell where the last bits of
 * the logits decide. */
static void compare_texts(const struct race *r)
{
    const int at = kv_decoder_difference(&r->sides[NAIVE], &r->sides[CACHED]);
    if (at >= 0)
        fprintf(
            stderr,
            "kvbench %s: warning: the two texts differ from new token %d on (naive %d, cached %d): the logits of the "
            "paths are not the same to the last bit, and here these bits made the choice\n",
            r->job->command, at + 1, r->sides[NAIVE].generation.tokens[at], r->sides[CACHED].generation.tokens[at]);
}

int generate_on_both(const struct generate_job *job)
{
    struct kv_error error = {""};
    struct race r = {.job = job, .on_screen = !job->as_ids && race_screen_is_possible()};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_SIDES; i++) {
        struct kv_decoder_options options = job->options;
        options.session.path = path_names[i];
        status = kv_decoder_create(&r.sides[i], job->model, job->pool, &options, &error);
    }
    if (!status) {
        signals_listen(NULL);
        status = run(&r, &error);
    }
    if (!status) {
        generate_warn_of_window(job, &r.sides[CACHED]);
        print_table(&r);
        compare_texts(&r);
    }
    for (int i = 0; i < N_SIDES; i++)
        kv_decoder_free(&r.sides[i]);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    return signals_received() ? 128 + signals_received() : CLI_OK;
}
