/* `--path both`: the naive and the cached path make the same text, each with the same share of the machine, so that
 * what they show at any moment is what each makes of the same time. In a terminal they are two columns. */
#include "cli/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- Two columns of a terminal --------------------------------------------------------------------------- */

#define REDRAW_NS 33000000 /* faster than anyone reads */

/* Two columns that are drawn over and over, below what the terminal shows at the start. */
struct screen {
    int width, height; /* of the terminal when it was drawn last */
    int n_lines;       /* drawn; the cursor is in the last one */
    int64_t drawn_ns;  /* when */
};

enum { MAX_LINES = 200, MIN_WIDTH = 20, MIN_HEIGHT = 3 };

/* Whether stdout is a terminal that can do it. */
static bool screen_is_possible(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDOUT_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

/* A size out of the environment, for terminals that do not tell theirs. */
static int size_of(const char *variable, int otherwise)
{
    const char *text = getenv(variable);
    const int size = text ? atoi(text) : 0;
    return size > 0 ? size : otherwise;
}

static void read_size(int *width, int *height)
{
    struct winsize size = {0};
    ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
    *width = size.ws_col ? size.ws_col : size_of("COLUMNS", 80);
    *height = size.ws_row ? size.ws_row : size_of("LINES", 24);
    *width = *width < MIN_WIDTH ? MIN_WIDTH : *width;
    *height = *height < MIN_HEIGHT ? MIN_HEIGHT : *height;
}

static void write_tokens(FILE *stream, const struct kv_tokenizer *tokenizer, const int32_t *tokens, int n)
{
    for (int i = 0; i < n; i++) {
        size_t n_bytes;
        const char *bytes = kv_tokenizer_token(tokenizer, tokens[i], &n_bytes);
        fwrite(bytes ? bytes : "", 1, n_bytes, stream);
    }
}

/* One column: a heading, and the last lines of its text. */
struct side {
    char heading[128];
    char *text;
    size_t n_bytes;
    struct kv_pane_line lines[MAX_LINES];
    int n_lines;
};

/* False without memory for the text, which the caller frees. */
static bool fill_side(struct side *side, const struct generate_job *job, const struct kv_decoder *d, int width,
                      int max_lines)
{
    char rate[RATE_TEXT_SIZE];
    int n_new;
    const int32_t *new_tokens = kv_decoder_tokens(d, 0, &n_new);
    generate_rate_text(kv_generation_rate(&d->generation), rate);
    const int n = snprintf(side->heading, sizeof side->heading, "%-6s %s tokens/s, %d of %d",
                           kv_session_path(d->session), rate, kv_generation_tokens(&d->generation), d->n_wanted);
    if (n > width) /* a number that is cut is a wrong one */
        snprintf(side->heading, sizeof side->heading, "%s %s", kv_session_path(d->session), rate);
    FILE *stream = open_memstream(&side->text, &side->n_bytes);
    if (!stream)
        return false;
    write_tokens(stream, job->tokenizer, d->prompt, d->generation.n_prompt);
    write_tokens(stream, job->tokenizer, new_tokens, n_new);
    if (fclose(stream) != 0)
        return false;
    side->n_lines = kv_pane_break(side->text, side->n_bytes, width, side->lines, max_lines);
    return true;
}

/* Line `index` of both columns, from the left margin on. */
static void write_line(FILE *frame, const struct side sides[2], int index, int width)
{
    fputs("\r\033[K", frame);
    if (index < sides[0].n_lines)
        kv_pane_write(frame, sides[0].text, &sides[0].lines[index]);
    fprintf(frame, "\033[%dG| ", width + 2);
    if (index < sides[1].n_lines)
        kv_pane_write(frame, sides[1].text, &sides[1].lines[index]);
}

static void write_frame(FILE *frame, struct screen *screen, const struct side sides[2], int width)
{
    const int more = sides[0].n_lines > sides[1].n_lines ? sides[0].n_lines : sides[1].n_lines;
    if (screen->n_lines > 1)
        fprintf(frame, "\033[%dA", screen->n_lines - 1);
    fprintf(frame, "\r\033[K\033[1m%.*s\033[%dG| %.*s\033[0m", width, sides[0].heading, width + 2, width,
            sides[1].heading);
    screen->n_lines = more + 1 > screen->n_lines ? more + 1 : screen->n_lines;
    for (int i = 0; i < screen->n_lines - 1; i++) {
        fputc('\n', frame);
        write_line(frame, sides, i, width);
    }
}

static void draw(struct screen *screen, const struct generate_job *job, const struct kv_decoder *const decoders[2])
{
    struct side sides[2] = {{.text = NULL}, {.text = NULL}};
    char *bytes = NULL;
    size_t n_bytes = 0;
    int width, height;
    read_size(&width, &height);
    FILE *frame = open_memstream(&bytes, &n_bytes);
    if (frame && screen->width && (width != screen->width || height != screen->height)) {
        fputs("\033[H\033[2J", frame); /* the terminal has wrapped what was drawn for another size */
        screen->n_lines = 0;
    }
    screen->width = width;
    screen->height = height;
    /* The last column stays empty, because some terminals go to the next line as soon as it is written. */
    const int column = (width - 4) / 2, room = height - 2 < MAX_LINES ? height - 2 : MAX_LINES;
    if (frame && fill_side(&sides[0], job, decoders[0], column, room) &&
        fill_side(&sides[1], job, decoders[1], column, room))
        write_frame(frame, screen, sides, column);
    if (frame && fclose(frame) == 0) {
        fwrite(bytes, 1, n_bytes, stdout);
        fflush(stdout);
    }
    free(bytes);
    free(sides[0].text);
    free(sides[1].text);
}

/* Draws both sides as they are, unless that was done a moment ago; `at_once`: even then. */
static void screen_draw(struct screen *screen, const struct generate_job *job, const struct kv_decoder *const sides[2],
                        bool at_once)
{
    const int64_t now = kv_now_ns();
    if (!at_once && screen->n_lines && now - screen->drawn_ns < REDRAW_NS)
        return;
    draw(screen, job, sides);
    screen->drawn_ns = now;
}

/* ---- The race -------------------------------------------------------------------------------------------- */

#define PROGRESS_NS 1000000000 /* between two lines on stderr */

enum { NAIVE, CACHED, N_SIDES };

static const char *const path_names[N_SIDES] = {[NAIVE] = "naive", [CACHED] = "cached"};

struct race {
    const struct generate_job *job;
    struct kv_decoder sides[N_SIDES];
    bool on_screen;
    struct screen screen;
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
        screen_draw(&r->screen, r->job, sides, at_once);
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
    fprintf(stderr, "%-8s %8s %10s %16s %10s %11s\n", "path", "tokens", "TTFT, ms", "TTPT (TPOT), ms", "tokens/s",
            "cache, MiB");
    for (int i = 0; i < N_SIDES; i++) {
        const struct kv_decoder *d = &r->sides[i];
        char ttft[32], ttpt[32], rate[RATE_TEXT_SIZE];
        struct kv_figures f;
        if (kv_figures_of(&d->generation, &f, NULL) != KV_OK)
            continue;
        fprintf(stderr, "%-8s %8d %10s %16s %10s %11.2f\n", path_names[i], kv_generation_tokens(&d->generation),
                milliseconds_text(f.ttft_ms, ttft), milliseconds_text(f.ttpt_ms, ttpt),
                generate_rate_text(kv_generation_rate(&d->generation), rate),
                (double)d->generation.kv_live_bytes / (1024 * 1024));
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
    struct race r = {.job = job, .on_screen = !job->as_ids && screen_is_possible()};
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
