/* Both paths' texts in two columns of a terminal. */
#include "cli/generate.h"

#include "text/pane.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define REDRAW_NS 33000000 /* faster than anyone reads */

enum { MAX_LINES = 200, MIN_WIDTH = 20, MIN_HEIGHT = 3 };

bool race_screen_is_possible(void)
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
static bool fill_side(struct side *side, const struct generate_job *job, const struct kv_decoder *c, int width,
                      int max_lines)
{
    char rate[RATE_TEXT_SIZE];
    int n_new;
    const int32_t *new_tokens = kv_decoder_tokens(c, 0, &n_new);
    generate_rate_text(kv_generation_rate(&c->generation), rate);
    const int n = snprintf(side->heading, sizeof side->heading, "%-6s %s tokens/s, %d of %d",
                           kv_session_path(c->session), rate, kv_generation_tokens(&c->generation), c->n_wanted);
    if (n > width) /* a number that is cut is a wrong one */
        snprintf(side->heading, sizeof side->heading, "%s %s", kv_session_path(c->session), rate);
    FILE *stream = open_memstream(&side->text, &side->n_bytes);
    if (!stream)
        return false;
    write_tokens(stream, job->tokenizer, c->prompt, c->generation.n_prompt);
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

static void write_frame(FILE *frame, struct race_screen *screen, const struct side sides[2], int width)
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

static void draw(struct race_screen *screen, const struct generate_job *job, const struct kv_decoder *const decoders[2])
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

void race_screen_draw(struct race_screen *screen, const struct generate_job *job,
                      const struct kv_decoder *const sides[2], bool at_once)
{
    const int64_t now = kv_now_ns();
    if (!at_once && screen->n_lines && now - screen->drawn_ns < REDRAW_NS)
        return;
    draw(screen, job, sides);
    screen->drawn_ns = now;
}
