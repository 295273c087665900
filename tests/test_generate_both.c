/* `kvbench generate --path both`: on a terminal, into a file, and interrupted. */
#include "generate_bench.h"

#include "measure/measure.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Words of a few letters; the window holds `n_positions`. */
static const char *letter_urn(struct bench *bench, int n_positions)
{
    static const struct urn_token tokens[] = {{'a', 0}, {'b', 0}, {'c', 0}, {'d', 0}, {' ', 0}};
    build_urn(bench->checkpoint, 256, n_positions, tokens, COUNT(tokens));
    checkpoint_write(bench->checkpoint);
    return bench->checkpoint->folder;
}

/* The table's head, a row a path, and how they compare. */
static void assert_table(const char *text, int n_tokens)
{
    static const char *const names[] = {"naive", "cached"};
    const char *table = strstr(text, "path       tokens   TTFT, ms   TTPT, ms   tokens/s  cache, MiB");
    assert_non_null(table);
    double cache_mib[2], faster;
    for (int i = 0; i < 2; i++) {
        int tokens;
        double ttft_ms, ttpt_ms, rate;
        char name[16];
        table = strchr(table, '\n');
        assert_non_null(table);
        table++;
        assert_int_equal(
            sscanf(table, "%15s %d %lf %lf %lf %lf", name, &tokens, &ttft_ms, &ttpt_ms, &rate, &cache_mib[i]), 6);
        assert_string_equal(name, names[i]);
        assert_int_equal(tokens, n_tokens);
        assert_true(ttft_ms >= 0 && ttpt_ms >= 0 && rate > 0);
    }
    assert_true(cache_mib[0] < 0.001 && cache_mib[1] > 0);
    assert_int_equal(sscanf(strchr(table, '\n') + 1, "cached is %lf times as fast", &faster), 1);
    assert_true(faster > 0);
}

/* ---- Not on a terminal ----------------------------------------------------------------------------------- */

/* The text, once, and it is that of either path alone; past the window's end. */
static void test_text(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = byte_model(bench);
    struct packets *single = calloc(1, sizeof *single);
    assert_non_null(single);
    PACKETS(cli, single, GENERATE(model), "--seed", "5");
    assert_exit(cli, 0);
    PACKETS(cli, &bench->p, GENERATE(model), "--seed", "5", "--path", "both");
    assert_exit(cli, 0);
    assert_int_equal(bench->p.n_text, single->n_text);
    assert_memory_equal(bench->p.text, single->text, single->n_text);
    assert_table(cli->err, 200);
    assert_int_equal(count_lines(cli->err, "--overflow shift"), 1);
    assert_int_equal(count_lines(cli->err, "differ"), 0);
    free(single);
}

static void test_ids(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = byte_model(bench);
    RUN(cli, GENERATE(model), "--tokens", "1,2,3", "-n", "30");
    assert_exit(cli, 0);
    char *expected = strdup(cli->out);
    RUN(cli, GENERATE(model), "--tokens", "1,2,3", "-n", "30", "--path", "both");
    assert_exit(cli, 0);
    assert_string_equal(cli->out, expected);
    assert_table(cli->err, 30);
    free(expected);
}

/* With no step to compare there is nothing to say about speed. */
static void test_few_tokens(void **state)
{
    static const char *const numbers[] = {"0", "1"};
    struct bench *bench = *state;
    const char *model = letter_urn(bench, 64);
    for (size_t i = 0; i < COUNT(numbers); i++) {
        RUN(bench->cli, GENERATE(model), "--prompt", "Z", "--path", "both", "-n", numbers[i]);
        assert_exit(bench->cli, 0);
        assert_int_equal(strlen(bench->cli->out), 2 + i);
        assert_int_equal(count_lines(bench->cli->err, " - "), 2);
        assert_int_equal(count_lines(bench->cli->err, "times as fast"), 0);
        assert_null(strstr(bench->cli->err, "nan"));
    }
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
static void test_progress_and_interrupt(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    int naive, cached;
    packets_start(cli, &bench->p,
                  (const char *const[]){GENERATE(letter_urn(bench, 1024)), "--path", "both", "-n", "100000000",
                                        "--overflow", "recompute", NULL});
    const int64_t start = kv_now_ns();
    do
        assert_true(packets_read(&bench->p));
    while (kv_now_ns() - start < 1500000000 || !has_reported(cli));
    const int seconds = (int)((kv_now_ns() - start) / 1000000000);
    assert_int_equal(kill(bench->p.child, SIGINT), 0);
    packets_finish(cli, &bench->p);
    assert_exit(cli, 128 + SIGINT);
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
    packets_start_on_terminal(bench->cli, &bench->p, width, height, arguments);
    packets_finish(bench->cli, &bench->p);
    screen_clear(&bench->screen, shown_width, shown_height);
    screen_show(&bench->screen, bench->p.text, bench->p.n_text);
}

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
    assert_table(strstr(screen->text, "\npath "), 200);
    assert_false(screen->cursor_is_hidden);
    assert_false(screen->was_too_narrow);
    assert_true(screen->n_bold > 1);
    free(text);
}

static void test_terminal(void **state)
{
    struct bench *bench = *state;
    const char *model = letter_urn(bench, 512);
    run_on_terminal(bench, 100, 30, 100, 30, (const char *const[]){GENERATE(model), "--path", "both", NULL});
    assert_exit(bench->cli, 0);
    assert_columns(&bench->screen, 100, "200 of 200");
    assert_non_null(strstr(screen_text(&bench->screen), "In the beginning"));
}

/* A terminal that does not tell its size: COLUMNS, or 80. */
static void test_terminal_without_size(void **state)
{
    struct bench *bench = *state;
    const char *model = letter_urn(bench, 512);
    run_on_terminal(bench, 0, 0, 80, 24, (const char *const[]){GENERATE(model), "--path", "both", NULL});
    assert_exit(bench->cli, 0);
    assert_columns(&bench->screen, 80, "200 of 200");
    bench->cli->settings[1] = "COLUMNS=120";
    run_on_terminal(bench, 0, 0, 120, 24, (const char *const[]){GENERATE(model), "--path", "both", NULL});
    assert_exit(bench->cli, 0);
    assert_columns(&bench->screen, 120, "200 of 200");
}

/* Where a text is longer than the screen its end is shown, and nothing above the two columns is written over. */
static void test_small_terminal(void **state)
{
    struct bench *bench = *state;
    const char *model = letter_urn(bench, 512);
    RUN(bench->cli, GENERATE(model));
    assert_exit(bench->cli, 0);
    const size_t n = strlen(bench->cli->out) - 1;
    char last[4] = "";
    memcpy(last, bench->cli->out + n - 3, 3);
    packets_start_on_terminal(bench->cli, &bench->p, 70, 8,
                              (const char *const[]){GENERATE(model), "--path", "both", NULL});
    packets_finish(bench->cli, &bench->p);
    assert_exit(bench->cli, 0);
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
    assert_table(table, 200);
}

/* Any bytes: none of them reaches the terminal as a control character. */
static void test_any_bytes_on_a_terminal(void **state)
{
    struct bench *bench = *state;
    const char *model = byte_model(bench);
    run_on_terminal(bench, 80, 24, 80, 40,
                    (const char *const[]){GENERATE(model), "--path", "both", "--top-k", "0", "--temperature", "3", "-n",
                                          "300", NULL});
    assert_exit(bench->cli, 0);
    assert_false(bench->screen.was_too_narrow);
}

/* While they run: both texts grow, the cached one faster; Ctrl-C leaves a cursor and what was done. */
static void test_interrupt_on_a_terminal(void **state)
{
    struct bench *bench = *state;
    int naive = 0, cached = 0;
    packets_start_on_terminal(bench->cli, &bench->p, 100, 12,
                              (const char *const[]){GENERATE(letter_urn(bench, 1024)), "--path", "both", "-n",
                                                    "100000000", "--overflow", "recompute", NULL});
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
    assert_int_equal(kill(bench->p.child, SIGINT), 0);
    packets_finish(bench->cli, &bench->p);
    assert_exit(bench->cli, 128 + SIGINT);
    screen_show(&bench->screen, bench->p.text, bench->p.n_text);
    assert_false(bench->screen.cursor_is_hidden);
    assert_non_null(strstr(screen_text(&bench->screen), "\npath "));
    assert_null(strstr(bench->screen.text, "times as fast"));
}

/* A second signal does not wait for the step; the cursor is there all the same. */
static void test_interrupted_twice(void **state)
{
    struct bench *bench = *state;
    packets_start_on_terminal(bench->cli, &bench->p, 100, 12,
                              (const char *const[]){GENERATE(letter_urn(bench, 1024)), "--path", "both", "-n",
                                                    "100000000", "--overflow", "recompute", NULL});
    while (bench->p.n_text < 2000)
        assert_true(packets_read(&bench->p));
    /* With Ctrl-S whatever it writes waits, the end of the race, too; with Ctrl-Q it goes on. */
    assert_int_equal(write(bench->p.descriptor, "\x13", 1), 1);
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
static void test_resized(void **state)
{
    struct bench *bench = *state;
    const struct winsize narrower = {.ws_col = 60, .ws_row = 20};
    packets_start_on_terminal(bench->cli, &bench->p, 100, 20,
                              (const char *const[]){GENERATE(letter_urn(bench, 1024)), "--path", "both", "-n",
                                                    "100000000", "--overflow", "recompute", NULL});
    while (bench->p.n_text < 2000)
        assert_true(packets_read(&bench->p));
    assert_int_equal(ioctl(bench->p.descriptor, TIOCSWINSZ, &narrower), 0);
    const char *cleared = NULL;
    while (!cleared) {
        assert_true(packets_read(&bench->p));
        bench->p.text[bench->p.n_text] = '\0';
        cleared = strstr(bench->p.text, "\033[H\033[2J");
    }
    assert_int_equal(kill(bench->p.child, SIGTERM), 0);
    packets_finish(bench->cli, &bench->p);
    assert_exit(bench->cli, 128 + SIGTERM);
    screen_clear(&bench->screen, 60, 20);
    screen_show(&bench->screen, cleared, bench->p.n_text - (size_t)(cleared - bench->p.text));
    assert_non_null(strstr(screen_text(&bench->screen), " | "));
    assert_false(bench->screen.was_too_narrow);
}

/* A dumb terminal, and ids, are written as into a file. */
static void test_terminal_without_columns(void **state)
{
    struct bench *bench = *state;
    const char *model = letter_urn(bench, 512);
    run_on_terminal(bench, 80, 24, 80, 24,
                    (const char *const[]){GENERATE(model), "--path", "both", "--tokens", "1", "-n", "3", NULL});
    assert_exit(bench->cli, 0);
    screen_text(&bench->screen);
    assert_int_equal(bench->screen.n_bold, 0);
    bench->cli->settings[0] = "TERM=dumb";
    packets_start_on_terminal(bench->cli, &bench->p, 80, 24,
                              (const char *const[]){GENERATE(model), "--path", "both", NULL});
    packets_finish(bench->cli, &bench->p);
    assert_exit(bench->cli, 0);
    assert_null(strchr(bench->p.text, '\033'));
    assert_int_equal(strncmp(bench->p.text, "In the beginning", 16), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GENERATE_TEST(test_text),
        GENERATE_TEST(test_ids),
        GENERATE_TEST(test_few_tokens),
        GENERATE_TEST(test_progress_and_interrupt),
        GENERATE_TEST(test_terminal),
        GENERATE_TEST(test_terminal_without_size),
        GENERATE_TEST(test_small_terminal),
        GENERATE_TEST(test_any_bytes_on_a_terminal),
        GENERATE_TEST(test_interrupt_on_a_terminal),
        GENERATE_TEST(test_interrupted_twice),
        GENERATE_TEST(test_resized),
        GENERATE_TEST(test_terminal_without_columns),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
