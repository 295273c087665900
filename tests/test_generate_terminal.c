/* `kvbench generate` as it is written: text as it is made, into a pipe; both paths side by side, on a terminal; and
 * what an interruption leaves. What is generated is tested in generate.bats and generate_text.bats. */
#include "packets.h"
#include "screen.h"
#include "unit.h"
#include "urn.h"

#include "base/utf8.h"
#include "measure/measure.h"
#include "text/terminal.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* One thread: the models are too small for more to do them good. */
#define GENERATE(model) "generate", "--threads", "1", "--model", (model)
/* A race that lasts until it is interrupted. */
#define RACE(model) GENERATE(model), "--path", "both", "-n", "100000000", "--overflow", "recompute"

struct bench {
    struct cli *cli;
    struct checkpoint *checkpoint;
    struct packets p;
    struct screen screen;
};

static int set_up(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    void *cli = NULL, *checkpoint = NULL;
    if (!bench || cli_set_up(&cli) != 0 || checkpoint_set_up(&checkpoint) != 0)
        return -1;
    bench->cli = cli;
    bench->checkpoint = checkpoint;
    bench->cli->settings[0] = "TERM=xterm";
    bench->cli->settings[1] = "COLUMNS";
    bench->cli->settings[2] = "LINES";
    *state = bench;
    return 0;
}

static int tear_down(void **state)
{
    struct bench *bench = *state;
    void *cli = bench->cli, *checkpoint = bench->checkpoint;
    screen_free(&bench->screen);
    const int failed = cli_tear_down(&cli) | checkpoint_tear_down(&checkpoint);
    free(bench);
    return failed;
}

#define GENERATE_TEST(name) TEST_WITH(name, struct bench *bench, set_up, tear_down)

/* Starts it into a pipe, or on a terminal of that size (width -1: none). */
static void begin(struct bench *bench, int width, int height, const char *const *arguments)
{
    if (width < 0)
        packets_start(bench->cli, &bench->p, arguments);
    else
        packets_start_on_terminal(bench->cli, &bench->p, width, height, arguments);
}
#define BEGIN(bench, width, height, ...) begin(bench, width, height, (const char *const[]){__VA_ARGS__, NULL})

/* Its end, by itself or by a signal that is sent now. */
static void end(struct bench *bench, int signal)
{
    if (signal)
        assert_int_equal(kill(bench->p.child, signal), 0);
    packets_finish(bench->cli, &bench->p);
    assert_exit(bench->cli, signal ? 128 + signal : 0);
}

/* The folder of a model that draws from these tokens; the window holds `n_positions`. */
static const char *urn(struct bench *bench, int n_positions, const struct urn_token *tokens, size_t n_tokens)
{
    build_urn(bench->checkpoint, 256, n_positions, tokens, n_tokens);
    checkpoint_write(bench->checkpoint);
    return bench->checkpoint->folder;
}

/* Words of a few letters. */
static const char *letter_urn(struct bench *bench, int n_positions)
{
    static const struct urn_token tokens[] = {{'a', 0}, {'b', 0}, {'c', 0}, {'d', 0}, {' ', 0}};
    return urn(bench, n_positions, tokens, COUNT(tokens));
}

/* ---- Not on a terminal ----------------------------------------------------------------------------------- */

/* The text of p is that of the ids, which are bytes. */
static void assert_bytes(const struct packets *p, const char *ids)
{
    size_t n = 0;
    for (const char *at = ids; *at; at += strcspn(at, ","), at += *at == ',') {
        assert_true(n < p->n_text);
        assert_int_equal((unsigned char)p->text[n++], atoi(at));
    }
    assert_in_range(p->n_text - n, 0, 1);
    assert_int_equal(p->text[p->n_text - 1], '\n');
}

/* Every kind of byte that there is in UTF-8, and some that are in none, so that characters come about by chance. */
static const char *utf8_urn(struct bench *bench)
{
    static const struct urn_token tokens[] = {{'e', 0},  {0xc3, 0}, {0xa9, 0}, {0xe2, 0}, {0x82, 0}, {0xac, 0},
                                              {0xf0, 0}, {0x9f, 0}, {0x98, 0}, {0x80, 0}, {0xff, 0}};
    return urn(bench, 64, tokens, COUNT(tokens));
}

/* First the prompt, then each write is what one token completes: no character is cut, no byte is lost or late. */
GENERATE_TEST(stream)
{
    struct packets *p = &bench->p;
    const char *model = utf8_urn(bench);
    RUN(bench->cli, GENERATE(model), "--prompt", "\xc3\xa9: ", "-n", "3000", "--ids", "--temperature", "1",
        "--overflow", "shift");
    assert_exit(bench->cli, 0);
    char *ids = strdup(bench->cli->out);
    PACKETS(bench->cli, p, GENERATE(model), "--prompt", "\xc3\xa9: ", "-n", "3000");
    assert_exit(bench->cli, 0);
    assert_bytes(p, ids);
    free(ids);
    struct kv_utf8_holder holder = {.n_held = 0};
    char whole[4];
    int packet = 0, n_long = 0;
    assert_int_equal(p->ends[0], 4);
    for (size_t i = 4; i < p->n_text - 1 && packet < p->n - 2; i++) {
        const int n = kv_utf8_take(&holder, p->text[i], whole);
        if (n) {
            packet++;
            assert_int_equal(p->ends[packet] - p->ends[packet - 1], n);
        }
        n_long += n > 1 && kv_utf8_length(whole, (size_t)n) == n;
    }
    assert_int_equal(packet, p->n - 2); /* the last one is what was left, and the newline */
    assert_true(n_long > 50);
}

/* Text arrives while more is being made, and what was made stays when the program is interrupted. */
GENERATE_TEST(interrupted)
{
    struct packets *p = &bench->p;
    BEGIN(bench, -1, 0, GENERATE(letter_urn(bench, 64)), "-n", "100000000", "--prompt", "Z");
    for (int i = 0; i < 100; i++)
        assert_true(packets_read(p));
    assert_int_equal(p->n_text, 100);
    end(bench, SIGINT);
    assert_in_range(p->n_text, 100, PACKETS_SIZE - 1);
    assert_int_equal(p->text[p->n_text - 1], '\n');
    assert_int_equal(count_lines(bench->cli->err, "TTFT"), 1);
}

/* A reader that goes away, or a full disk, ends the run at once. */
GENERATE_TEST(nobody_reads)
{
    struct cli *cli = bench->cli;
    const char *model = letter_urn(bench, 64);
    cli->stdout_file = "/dev/full";
    RUN(cli, GENERATE(model), "-n", "100000000");
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, ": stdout cannot be written: No space left on device"), 1);
    cli->stdout_file = NULL;
    BEGIN(bench, -1, 0, GENERATE(model), "-n", "100000000");
    assert_true(packets_read(&bench->p));
    close(bench->p.descriptor);
    cli_finish(cli, bench->p.child);
    assert_int_equal(cli->status, 128 + SIGPIPE);
}

/* Whether the running program has written anything to stderr. */
static bool has_reported(const struct cli *cli)
{
    char path[CLI_PATH_SIZE];
    struct stat err;
    snprintf(path, sizeof path, "%s/err", cli->root);
    return stat(path, &err) == 0 && err.st_size > 0;
}

/* About every second a line, with what each has done of the same time. */
GENERATE_TEST(progress_and_interrupt)
{
    struct cli *cli = bench->cli;
    int naive, cached;
    BEGIN(bench, -1, 0, RACE(letter_urn(bench, 1024)));
    const int64_t start = kv_now_ns();
    do
        assert_true(packets_read(&bench->p));
    while (kv_now_ns() - start < 1500000000 || !has_reported(cli));
    const int seconds = (int)((kv_now_ns() - start) / 1000000000);
    end(bench, SIGINT);
    assert_int_equal(bench->p.text[bench->p.n_text - 1], '\n');
    assert_in_range(count_lines(cli->err, " | cached "), 1, seconds + 1);
    assert_int_equal(
        sscanf(cli->err, "naive %d tokens, %*f tokens/s | cached %d tokens, %*f tokens/s\n", &naive, &cached), 2);
    assert_true(naive > 0 && cached > naive);
    assert_int_equal(count_lines(cli->err, "times as fast"), 0);
}

/* ---- On a terminal --------------------------------------------------------------------------------------- */

/* Runs to the end and shows it on a screen of that size. */
static void run_on_terminal(struct bench *bench, int width, int height, int shown_width, int shown_height,
                            const char *const *arguments)
{
    begin(bench, width, height, arguments);
    end(bench, 0);
    screen_clear(&bench->screen, shown_width, shown_height);
    screen_show(&bench->screen, bench->p.text, bench->p.n_text);
}
#define RUN_ON_TERMINAL(bench, width, height, shown_width, shown_height, ...)                                          \
    run_on_terminal(bench, width, height, shown_width, shown_height, (const char *const[]){__VA_ARGS__, NULL})

/* The two columns below the head, without the table: the same text on both sides. */
static void assert_columns(struct screen *screen, int width, const char *n_done)
{
    char *text = strdup(screen_text(screen));
    assert_non_null(text);
    const int column = (width - 4) / 2;
    char *line = strtok(text, "\n");
    assert_int_equal(strncmp(line, "naive  ", 7), 0);
    assert_non_null(strstr(line, n_done));
    assert_int_equal(strncmp(line + column + 1, "| cached ", 9), 0);
    int n_lines = 0;
    while ((line = strtok(NULL, "\n")) && strncmp(line, "path ", 5) != 0) {
        assert_int_equal(strncmp(line + column + 1, "| ", 2), 0);
        const char *right = line + column + 3;
        assert_in_range(strlen(right), 1, column);
        assert_int_equal(strncmp(line, right, strlen(right)), 0);
        assert_int_equal(strspn(line + strlen(right), " "), column + 1 - (int)strlen(right));
        n_lines++;
    }
    assert_non_null(line);
    assert_true(n_lines > 1);
    assert_non_null(strstr(screen->text, "\ncached is "));
    assert_false(screen->cursor_is_hidden);
    assert_false(screen->was_too_narrow);
    assert_true(screen->n_bold > 1);
    free(text);
}

/* A terminal, and one that does not tell its size: COLUMNS, or 80. */
GENERATE_TEST(terminal)
{
    static const struct {
        int width, shown_width;
        const char *columns;
    } terminals[] = {{100, 100, "COLUMNS"}, {0, 80, "COLUMNS"}, {0, 120, "COLUMNS=120"}};
    const char *model = letter_urn(bench, 512);
    for (size_t i = 0; i < COUNT(terminals); i++) {
        bench->cli->settings[1] = terminals[i].columns;
        RUN_ON_TERMINAL(bench, terminals[i].width, terminals[i].width ? 30 : 0, terminals[i].shown_width,
                        terminals[i].width ? 30 : 24, GENERATE(model), "--path", "both");
        assert_columns(&bench->screen, terminals[i].shown_width, "200 of 200");
        assert_non_null(strstr(screen_text(&bench->screen), "In the beginning"));
    }
}

/* Three arms, wide and so narrow that headings are cut down to a name and a rate: a bar between two columns, in every
 * line, and texts of their own below their headings. */
GENERATE_TEST(race_of_three)
{
    static const int widths[] = {120, 44, 20};
    const char *model = letter_urn(bench, 512);
    for (size_t i = 0; i < COUNT(widths); i++) {
        RUN_ON_TERMINAL(bench, widths[i], 50, 120, 60, GENERATE(model), "--prompt", "ZZ", "-n", "90", "--race", "",
                        "--path naive", "--seed 4");
        const int column = (widths[i] - 7) / 3;
        char *text = strdup(screen_text(&bench->screen));
        assert_non_null(text);
        char *line = strtok(text, "\n");
        for (int n_lines = 0; line && strncmp(line, "arm ", 4) != 0; n_lines++, line = strtok(NULL, "\n")) {
            for (int k = 1; k < 3; k++) {
                const int bar = k * (column + 3) - 2;
                assert_true((int)strlen(line) > bar);
                assert_int_equal(line[bar], '|');
                if (n_lines == 0)
                    assert_int_equal(line[bar + 2], 'A' + k);
                if (n_lines == 1)
                    assert_int_equal(strncmp(line + bar + 2, "ZZ", 2), 0);
            }
            if (n_lines == 1) /* another seed, another text */
                assert_memory_equal(line, line + column + 3, (size_t)(column < 20 ? 2 : 20));
            if (n_lines == 0)
                assert_int_equal(line[0], 'A');
        }
        assert_non_null(line);
        assert_non_null(strstr(bench->screen.text, "B writes what A writes"));
        assert_non_null(strstr(bench->screen.text, "C differs from A from new token "));
        assert_false(bench->screen.cursor_is_hidden);
        assert_false(bench->screen.was_too_narrow);
        free(text);
    }
}

/* Where a text is longer than the screen its end is shown, and nothing above the two columns is written over. */
GENERATE_TEST(small_terminal)
{
    const char *model = letter_urn(bench, 512);
    RUN(bench->cli, GENERATE(model));
    assert_exit(bench->cli, 0);
    const size_t n = strlen(bench->cli->out) - 1;
    char last[4] = "";
    memcpy(last, bench->cli->out + n - 3, 3);
    BEGIN(bench, 70, 8, GENERATE(model), "--path", "both");
    end(bench, 0);
    screen_clear(&bench->screen, 70, 20);
    screen_show(&bench->screen, "$ ls\r\n", 6);
    screen_show(&bench->screen, bench->p.text, bench->p.n_text);
    const char *text = screen_text(&bench->screen);
    assert_ptr_equal(strstr(text, "$ ls\n"), text);
    assert_false(bench->screen.was_too_narrow);
    assert_null(strstr(text, "In the"));
    assert_non_null(strstr(text, last));
    const char *table = strstr(text, "path ");
    assert_non_null(table);
    int n_above = 0;
    for (const char *at = text; at < table; at++)
        n_above += *at == '\n';
    assert_int_equal(n_above, 1 + 1 + 8 - 2);
    assert_non_null(strstr(table, "\ncached is "));
}

/* Any bytes: none of them reaches the terminal as a control character. */
GENERATE_TEST(any_bytes_on_a_terminal)
{
    build_byte_model(bench->checkpoint, 64);
    checkpoint_write(bench->checkpoint);
    const char *model = bench->checkpoint->folder;
    RUN_ON_TERMINAL(bench, 80, 24, 80, 40, GENERATE(model), "--path", "both", "--top-k", "0", "--temperature", "3",
                    "-n", "300");
    assert_false(bench->screen.was_too_narrow);
}

/* While they run: both texts grow, the cached one faster; Ctrl-C leaves a cursor and what was done. */
GENERATE_TEST(interrupt_on_a_terminal)
{
    int naive = 0, cached = 0;
    BEGIN(bench, 100, 12, RACE(letter_urn(bench, 1024)));
    screen_clear(&bench->screen, 100, 12);
    while (naive < 100) {
        const size_t shown = bench->p.n_text;
        assert_true(packets_read(&bench->p));
        bench->p.text[bench->p.n_text] = '\0';
        const char *heading = strstr(bench->p.text + shown, "\033[1mnaive");
        if (heading)
            sscanf(heading, "\033[1mnaive %*f tokens/s, %d of 100000000\033[50G| cached %*f tokens/s, %d of", &naive,
                   &cached);
    }
    assert_true(cached > naive);
    end(bench, SIGINT);
    screen_show(&bench->screen, bench->p.text, bench->p.n_text);
    assert_false(bench->screen.cursor_is_hidden);
    assert_non_null(strstr(screen_text(&bench->screen), "\npath "));
    assert_null(strstr(bench->screen.text, "times as fast"));
}

/* A second signal does not wait for the step; the cursor is there all the same. */
GENERATE_TEST(interrupted_twice)
{
    BEGIN(bench, 100, 12, RACE(letter_urn(bench, 1024)));
    while (bench->p.n_text < 2000)
        assert_true(packets_read(&bench->p));
    /* With Ctrl-S whatever it writes waits, the end of the race, too; with Ctrl-Q it goes on. */
    assert_int_equal(write(bench->p.descriptor, "\x13", 1), 1);
    struct pollfd written = {.fd = bench->p.descriptor, .events = POLLIN};
    while (poll(&written, 1, 500) > 0) /* the terminal may take a moment to stop */
        assert_true(packets_read(&bench->p));
    assert_int_equal(kill(bench->p.child, SIGINT), 0);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_int_equal(kill(bench->p.child, SIGTERM), 0);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL);
    assert_int_equal(write(bench->p.descriptor, "\x11", 1), 1);
    packets_finish(bench->cli, &bench->p);
    assert_int_equal(bench->cli->status, 128 + SIGTERM);
    assert_null(strstr(bench->p.text, "path "));
    assert_non_null(strstr(bench->p.text + bench->p.n_text - strlen("\033[?25h"), "\033[?25h"));
}

/* A terminal that has become narrower has wrapped the lines: it is drawn anew from the top. */
GENERATE_TEST(resized)
{
    const struct winsize narrower = {.ws_col = 60, .ws_row = 20};
    BEGIN(bench, 100, 20, RACE(letter_urn(bench, 1024)));
    while (bench->p.n_text < 2000)
        assert_true(packets_read(&bench->p));
    assert_int_equal(ioctl(bench->p.descriptor, TIOCSWINSZ, &narrower), 0);
    const char *cleared = NULL;
    while (!cleared) {
        assert_true(packets_read(&bench->p));
        bench->p.text[bench->p.n_text] = '\0';
        cleared = strstr(bench->p.text, "\033[H\033[2J");
    }
    end(bench, SIGTERM);
    screen_clear(&bench->screen, 60, 20);
    screen_show(&bench->screen, cleared, bench->p.n_text - (size_t)(cleared - bench->p.text));
    assert_non_null(strstr(screen_text(&bench->screen), " | "));
    assert_false(bench->screen.was_too_narrow);
}

/* A dumb terminal, and ids, are written as into a file. */
GENERATE_TEST(terminal_without_columns)
{
    const char *model = letter_urn(bench, 512);
    RUN_ON_TERMINAL(bench, 80, 24, 80, 24, GENERATE(model), "--path", "both", "--tokens", "1", "-n", "3");
    screen_text(&bench->screen);
    assert_int_equal(bench->screen.n_bold, 0);
    bench->cli->settings[0] = "TERM=dumb";
    BEGIN(bench, 80, 24, GENERATE(model), "--path", "both");
    end(bench, 0);
    assert_null(strchr(bench->p.text, '\033'));
    assert_int_equal(strncmp(bench->p.text, "In the beginning", 16), 0);
}
