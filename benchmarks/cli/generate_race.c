/* `--race` and `--path both`: arms that differ in some settings continue the same prompt, each with the same share of
 * the machine, so that what they show at any moment is what each makes of the same time. In a terminal they are columns. */
#include "cli/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* ---- Columns of a terminal ------------------------------------------------------------------------------- */

#define REDRAW_NS 33000000 /* faster than anyone reads */

/* Columns that are drawn over and over, below what the terminal shows at the start. */
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
static bool fill_side(struct side *side, const struct generate_arm *arm, const struct kv_decoder *d, int width,
                      int max_lines)
{
    char rate[RATE_TEXT_SIZE];
    int n_prompt, n_new;
    const int32_t *prompt = kv_decoder_prompt(d, 0, &n_prompt);
    const int32_t *new_tokens = kv_decoder_tokens(d, 0, &n_new);
    generate_rate_text(kv_generation_rate(&d->generation), rate);
    int n = snprintf(side->heading, sizeof side->heading, "%-6s %s tokens/s, %d of %d", arm->label, rate,
                     kv_generation_tokens(&d->generation), d->n_wanted);
    if (n > width) /* a number that is cut is a wrong one */
        n = snprintf(side->heading, sizeof side->heading, "%-6s %s tokens/s, %d of %d", arm->name, rate,
                     kv_generation_tokens(&d->generation), d->n_wanted);
    if (n > width)
        snprintf(side->heading, sizeof side->heading, "%s %s", arm->name, rate);
    FILE *stream = open_memstream(&side->text, &side->n_bytes);
    if (!stream)
        return false;
    write_tokens(stream, arm->job.tokenizer, prompt, n_prompt);
    write_tokens(stream, arm->job.tokenizer, new_tokens, n_new);
    if (fclose(stream) != 0)
        return false;
    side->n_lines = kv_pane_break(side->text, side->n_bytes, width, side->lines, max_lines);
    return true;
}

/* To where column i begins, which follows a bar. */
static void begin_column(FILE *frame, int i, int width)
{
    if (i > 0)
        fprintf(frame, "\033[%dG| ", i * (width + 3) - 1);
}

/* Line `index` of all columns, from the left margin on. */
static void write_line(FILE *frame, const struct side *sides, int n_sides, int index, int width)
{
    fputs("\r\033[K", frame);
    for (int i = 0; i < n_sides; i++) {
        begin_column(frame, i, width);
        if (index < sides[i].n_lines)
            kv_pane_write(frame, sides[i].text, &sides[i].lines[index]);
    }
}

static void write_frame(FILE *frame, struct screen *screen, const struct side *sides, int n_sides, int width)
{
    int most = screen->n_lines - 1;
    if (screen->n_lines > 1)
        fprintf(frame, "\033[%dA", screen->n_lines - 1);
    fputs("\r\033[K\033[1m", frame);
    for (int i = 0; i < n_sides; i++) {
        begin_column(frame, i, width);
        fprintf(frame, "%.*s", width, sides[i].heading);
        most = sides[i].n_lines > most ? sides[i].n_lines : most;
    }
    fputs("\033[0m", frame);
    screen->n_lines = most + 1;
    for (int i = 0; i < most; i++) {
        fputc('\n', frame);
        write_line(frame, sides, n_sides, i, width);
    }
}

static void draw(struct screen *screen, const struct generate_race *race, const struct kv_decoder *decoders)
{
    struct side sides[GENERATE_MOST_ARMS] = {{.text = NULL}};
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
    const int column = (width - 1 - 3 * (race->n_arms - 1)) / race->n_arms;
    const int room = height - 2 < MAX_LINES ? height - 2 : MAX_LINES;
    bool is_filled = frame;
    for (int i = 0; is_filled && i < race->n_arms; i++)
        is_filled = fill_side(&sides[i], &race->arms[i], &decoders[i], column, room);
    if (is_filled)
        write_frame(frame, screen, sides, race->n_arms, column);
    if (frame && fclose(frame) == 0) {
        fwrite(bytes, 1, n_bytes, stdout);
        fflush(stdout);
    }
    free(bytes);
    for (int i = 0; i < race->n_arms; i++)
        free(sides[i].text);
}

/* Draws all sides as they are, unless that was done a moment ago; `at_once`: even then. */
static void screen_draw(struct screen *screen, const struct generate_race *race, const struct kv_decoder *sides,
                        bool at_once)
{
    const int64_t now = kv_now_ns();
    if (!at_once && screen->n_lines && now - screen->drawn_ns < REDRAW_NS)
        return;
    draw(screen, race, sides);
    screen->drawn_ns = now;
}

/* ---- The race -------------------------------------------------------------------------------------------- */

#define PROGRESS_NS 1000000000 /* between two lines on stderr */

struct run {
    const struct generate_race *race;
    struct kv_decoder sides[GENERATE_MOST_ARMS];
    bool as_ids, on_screen;
    int streamed; /* the arm whose text is written as it is made, where there is no screen */
    int n_streamed;
    struct screen screen;
    struct text_stream stream;
    int64_t reported_ns;
};

#define HIDE_CURSOR "\033[?25l"
#define SHOW_CURSOR "\033[?25h"

/* ---- While they run -------------------------------------------------------------------------------------- */

static void print_progress(struct run *r)
{
    const int64_t now = kv_now_ns();
    char rate[RATE_TEXT_SIZE];
    if (now - r->reported_ns < PROGRESS_NS)
        return;
    r->reported_ns = now;
    for (int i = 0; i < r->race->n_arms; i++)
        fprintf(stderr, "%s%s %d tokens, %s tokens/s", i ? " | " : "", r->race->arms[i].name,
                kv_generation_tokens(&r->sides[i].generation),
                generate_rate_text(kv_generation_rate(&r->sides[i].generation), rate));
    fputc('\n', stderr);
}

static void show(struct run *r, bool at_once)
{
    if (r->on_screen) {
        screen_draw(&r->screen, r->race, r->sides, at_once);
        return;
    }
    if (!r->as_ids) {
        int n_new;
        const int32_t *new_tokens = kv_decoder_tokens(&r->sides[r->streamed], 0, &n_new);
        text_stream_put(&r->stream, new_tokens + r->n_streamed, n_new - r->n_streamed);
        r->n_streamed = n_new;
    }
    print_progress(r);
}

static void begin_to_show(struct run *r)
{
    r->reported_ns = kv_now_ns();
    if (r->on_screen) {
        signals_last_words(SHOW_CURSOR);
        fputs(HIDE_CURSOR, stdout);
    } else if (!r->as_ids) {
        int n_prompt;
        const int32_t *prompt = kv_decoder_prompt(&r->sides[r->streamed], 0, &n_prompt);
        r->stream.tokenizer = r->race->arms[r->streamed].job.tokenizer;
        text_stream_put(&r->stream, prompt, n_prompt);
    }
    show(r, true);
}

/* Those of the arms behind the one that was written as it was made. */
static void print_other_texts(const struct run *r)
{
    for (int i = r->streamed + 1; i < r->race->n_arms; i++) {
        const struct generate_arm *arm = &r->race->arms[i];
        struct text_stream stream = {.tokenizer = arm->job.tokenizer};
        int n_prompt, n_new;
        const int32_t *prompt = kv_decoder_prompt(&r->sides[i], 0, &n_prompt);
        const int32_t *new_tokens = kv_decoder_tokens(&r->sides[i], 0, &n_new);
        printf("--- %s ---\n", arm->label);
        text_stream_put(&stream, prompt, n_prompt);
        text_stream_put(&stream, new_tokens, n_new);
        text_stream_end(&stream);
    }
}

static void end_to_show(struct run *r)
{
    show(r, true);
    if (r->on_screen) {
        fputs("\n" SHOW_CURSOR, stdout);
        fflush(stdout);
        signals_last_words(NULL);
    } else if (r->as_ids) {
        for (int i = r->streamed; i < r->race->n_arms; i++)
            generate_print_ids(&r->sides[i]);
    } else {
        text_stream_end(&r->stream);
        print_other_texts(r);
    }
}

static kv_status run(struct run *r, struct kv_error *error)
{
    struct kv_decoder *next;
    kv_status status = KV_OK;
    begin_to_show(r);
    while (!status && !signals_received() && !ferror(stdout) && (next = kv_decoder_next(r->sides, r->race->n_arms))) {
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

static void print_table(const struct run *r)
{
    const struct generate_race *race = r->race;
    int width = 8;
    for (int i = 0; i < race->n_arms; i++)
        width = (int)strlen(race->arms[i].label) > width ? (int)strlen(race->arms[i].label) : width;
    fprintf(stderr, "%-*s %8s %10s %16s %10s %11s\n", width, race->is_both ? "path" : "arm", "tokens", "TTFT, ms",
            "TTPT (TPOT), ms", "tokens/s", "cache, MiB");
    for (int i = 0; i < race->n_arms; i++) {
        const struct kv_decoder *d = &r->sides[i];
        char ttft[32], ttpt[32], rate[RATE_TEXT_SIZE];
        struct kv_figures f;
        if (kv_figures_of(&d->generation, &f, NULL) != KV_OK)
            continue;
        fprintf(stderr, "%-*s %8d %10s %16s %10s %11.2f\n", width, race->arms[i].label,
                kv_generation_tokens(&d->generation), milliseconds_text(f.ttft_ms, ttft),
                milliseconds_text(f.ttpt_ms, ttpt), generate_rate_text(kv_generation_rate(&d->generation), rate),
                (double)d->generation.kv_live_bytes / (1024 * 1024));
    }
    for (int i = 1; i < race->n_arms; i++) {
        const double ratio = kv_generation_rate(&r->sides[i].generation) / kv_generation_rate(&r->sides[0].generation);
        if (isnan(ratio) || signals_received())
            continue;
        if (race->is_both)
            fprintf(stderr, "%s is %.1f times as fast\n", race->arms[i].name, ratio);
        else
            fprintf(stderr, "%s is %.2f times as fast as %s\n", race->arms[i].name, ratio, race->arms[0].name);
    }
}

/* Both paths draw with the same random numbers, so their texts are the same unless a draw fell where the last bits of
 * the logits decide. Arms may well write texts of their own. */
static void compare_texts(const struct run *r)
{
    const struct generate_race *race = r->race;
    for (int i = 1; i < race->n_arms; i++) {
        const int at = kv_decoder_difference(&r->sides[0], &r->sides[i]);
        const char *first = race->arms[0].name, *name = race->arms[i].name;
        if (at < 0) {
            if (!race->is_both)
                fprintf(stderr, "%s writes what %s writes\n", name, first);
            continue;
        }
        const int32_t token = r->sides[0].generation.tokens[at], other = r->sides[i].generation.tokens[at];
        if (race->is_both)
            fprintf(stderr,
                    "kvbench %s: warning: the two texts differ from new token %d on (%s %d, %s %d): the logits of the "
                    "paths are not the same to the last bit, and here these bits made the choice\n",
                    race->arms[0].job.command, at + 1, first, token, name, other);
        else
            fprintf(stderr, "%s differs from %s from new token %d on (%s %d, %s %d)\n", name, first, at + 1, first,
                    token, name, other);
    }
}

/* What happened at the window's end, once where arms did the same. */
static void warn_of_windows(const struct run *r)
{
    for (int i = r->streamed; i < r->race->n_arms; i++) {
        const struct kv_decoder *d = &r->sides[i], *first = &r->sides[r->streamed];
        const struct generate_arm *arms = r->race->arms;
        if (i == r->streamed || d->window_full != first->window_full ||
            arms[i].job.options.session.overflow != arms[r->streamed].job.options.session.overflow)
            generate_warn_of_window(&arms[i].job, d);
    }
}

int generate_race(const struct generate_race *race)
{
    const struct generate_job *job = &race->arms[0].job;
    struct kv_error error = {""};
    struct run r = {.race = race,
                    .as_ids = job->as_ids,
                    .on_screen = !job->as_ids && screen_is_possible(),
                    .streamed = race->is_both ? race->n_arms - 1 : 0};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < race->n_arms; i++)
        status = kv_decoder_create(&r.sides[i], race->arms[i].job.model, race->arms[i].job.pool,
                                   &race->arms[i].job.options, &error);
    if (!status) {
        signals_listen(NULL);
        status = run(&r, &error);
    }
    if (!status) {
        warn_of_windows(&r);
        print_table(&r);
        compare_texts(&r);
    }
    for (int i = 0; i < race->n_arms; i++)
        kv_decoder_free(&r.sides[i]);
    if (status)
        return cli_fail(job->command, CLI_FAILED, "%s", error.message);
    return signals_received() ? 128 + signals_received() : CLI_OK;
}
