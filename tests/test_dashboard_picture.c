/* plots/dashboard.sh: the animated pictures it draws, of what kvbench dashboard recorded and of files that the tests
 * write, and what it refuses. KV_DASHBOARD_SCRIPT is its path. */
#include "cli_runner.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define TINY KV_DATA_DIR "/reference/tiny-f32"

/* Draws `csv` as d.gif in the working folder. */
static void draw(struct cli *cli, const char *csv)
{
    const char *const arguments[] = {csv, "d.gif", NULL};
    cli_finish(cli, cli_start(cli, KV_DASHBOARD_SCRIPT, arguments));
}

struct bytes {
    unsigned char *data;
    size_t n;
};

static struct bytes read_bytes(const struct cli *cli, const char *name)
{
    char path[CLI_PATH_SIZE];
    struct stat status;
    cli_path(cli, name, path);
    assert_int_equal(stat(path, &status), 0);
    struct bytes bytes = {malloc((size_t)status.st_size), (size_t)status.st_size};
    FILE *file = fopen(path, "rbe");
    assert_non_null(bytes.data);
    assert_non_null(file);
    assert_int_equal(fread(bytes.data, 1, bytes.n, file), bytes.n);
    fclose(file);
    return bytes;
}

static unsigned little_endian(const struct bytes *gif, size_t at)
{
    assert_true(at + 1 < gif->n);
    return gif->data[at] | (unsigned)gif->data[at + 1] << 8;
}

/* Bytes of a colour table, as the flags of a screen or an image tell. */
static size_t table_bytes(unsigned flags)
{
    return flags & 0x80 ? (size_t)3 << ((flags & 7) + 1) : 0;
}

/* Behind the sub-blocks that begin at `at`. */
static size_t skip_blocks(const struct bytes *gif, size_t at)
{
    while (at < gif->n && gif->data[at])
        at += gif->data[at] + (size_t)1;
    assert_true(at < gif->n);
    return at + 1;
}

/* Fails the running test unless these are a whole GIF of 960 x 600 that loops for ever and keeps every frame under the
 * next one; returns the number of frames. */
static int count_frames(const struct bytes *gif)
{
    int n_frames = 0, n_loops = 0;
    assert_true(gif->n > 800);
    assert_memory_equal(gif->data, "GIF89a", 6);
    assert_int_equal(little_endian(gif, 6), 960);
    assert_int_equal(little_endian(gif, 8), 600);
    size_t at = 13 + table_bytes(gif->data[10]);
    while (at + 10 < gif->n && gif->data[at] != 0x3b) {
        if (gif->data[at] == 0x2c) {
            n_frames++;
            at = skip_blocks(gif, at + 10 + table_bytes(gif->data[at + 9]) + 1);
            continue;
        }
        assert_int_equal(gif->data[at], 0x21);
        if (gif->data[at + 1] == 0xf9)
            assert_int_equal(gif->data[at + 3] >> 2 & 7, 1);
        if (gif->data[at + 1] == 0xff && memcmp(gif->data + at + 3, "NETSCAPE2.0", 11) == 0)
            n_loops += little_endian(gif, at + 16) == 0;
        at = skip_blocks(gif, at + 2);
    }
    assert_int_equal(at, gif->n - 1);
    assert_int_equal(gif->data[at], 0x3b);
    assert_int_equal(n_loops, 1);
    return n_frames;
}

/* The last draw() went well; returns the size of the picture. */
static size_t assert_drawn(const struct cli *cli, int n_frames, int n_files)
{
    assert_exit(cli, 0);
    assert_string_equal(cli->out, "d.gif\n");
    assert_string_equal(cli->err, "");
    assert_int_equal(cli_count_entries(cli), n_files);
    const struct bytes gif = read_bytes(cli, "d.gif");
    assert_int_equal(count_frames(&gif), n_frames);
    free(gif.data);
    return gif.n;
}

static void test_every_view_is_drawn(void **state)
{
    struct cli *cli = *state;
    static const char *const views[][2] = {{"--head", "1"}, {"--heads", "all"}};
    for (size_t i = 0; i < sizeof views / sizeof views[0]; i++) {
        RUN(cli, "dashboard", "--model", TINY, "--layer", "0", "-n", "6", "-o", "d.gif", views[i][0], views[i][1]);
        assert_exit(cli, 0);
        draw(cli, "d.csv");
        assert_drawn(cli, 6, 2);
    }
    RUN(cli, "dashboard", "--model", TINY, "--layers", "all", "--tokens", "5", "-n", "1", "-o", "d.gif");
    draw(cli, "d.csv");
    assert_drawn(cli, 1, 2);
}

/* Drawn again, it is the same picture. */
static void test_redrawing(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "dashboard", "--model", TINY, "--layer", "0", "-n", "3", "-o", "d.gif");
    draw(cli, "d.csv");
    assert_drawn(cli, 3, 2);
    const struct bytes first = read_bytes(cli, "d.gif");
    draw(cli, "d.csv");
    const struct bytes second = read_bytes(cli, "d.gif");
    assert_int_equal(first.n, second.n);
    assert_memory_equal(first.data, second.data, first.n);
    free(first.data);
    free(second.data);
}

#define HEADER "step,kind,layer,head,position,dimension,value,token,text\n"

/* Noise, which compresses worst, in the shape that a GPT-2 of 124M has by default. */
enum { SAMPLE_PROMPT = 10, SAMPLE_STEPS = 20, SAMPLE_SIZE = 64, SAMPLE_PANELS = 12 };

static void write_sample_step(FILE *file, int step, int n_panels, uint64_t *random)
{
    const int newest = SAMPLE_PROMPT + step - 2;
    for (int d = 0; d < SAMPLE_SIZE && n_panels == 1; d++) {
        fprintf(file, "%d,query,5,0,%d,%d,%g,7,\n", step, newest, d, (double)random_float(random));
        for (int t = step == 1 ? 0 : newest; t <= newest; t++) {
            fprintf(file, "%d,key,5,0,%d,%d,%g,7,\n", step, t, d, (double)random_float(random));
            fprintf(file, "%d,value,5,0,%d,%d,%g,7,\n", step, t, d, (double)random_float(random));
        }
    }
    for (int panel = 0; panel < n_panels; panel++)
        for (int t = 0; t <= newest; t++)
            fprintf(file, "%d,attention,5,%d,%d,,%g,7,\n", step, panel, t,
                    t ? 0.05 * fabs((double)random_float(random)) : 0.6);
}

static void write_sample(const struct cli *cli, int n_panels)
{
    static const char *const labels[] = {"\" it's, a \"\"label\"\"\"", "{/:Bold x}_2^3", "\\n", "@p & ~q", "ünï", "%s"};
    uint64_t random = 3;
    char path[CLI_PATH_SIZE];
    cli_path(cli, "d.csv", path);
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(HEADER ",model,,,,,,,\"/models/it's, a \"\"model\"\"/\"\n,weights,,,,,,,synthetic:42\n", file);
    for (int t = 0; t < SAMPLE_PROMPT + SAMPLE_STEPS; t++)
        fprintf(file, "%d,token,,,%d,,,7,%s\n", t < SAMPLE_PROMPT ? 0 : t - SAMPLE_PROMPT + 1, t, labels[t % 6]);
    for (int step = 1; step <= SAMPLE_STEPS; step++)
        write_sample_step(file, step, n_panels, &random);
    assert_int_equal(fclose(file), 0);
}

static void test_size(void **state)
{
    struct cli *cli = *state;
    static const int panels[] = {1, SAMPLE_PANELS};
    for (int i = 0; i < 2; i++) {
        write_sample(cli, panels[i]);
        draw(cli, "d.csv");
        assert_in_range(assert_drawn(cli, SAMPLE_STEPS, 2), 50000, 500000);
    }
}

/* The last draw() failed with one line, and left nothing. */
static void assert_not_drawn(const struct cli *cli, int status, const char *message, int n_files)
{
    assert_int_equal(cli->status, status);
    assert_string_equal(cli->out, "");
    assert_int_equal(strncmp(cli->err, "dashboard: ", 11), 0);
    if (!strstr(cli->err, message))
        fail_msg("\"%s\" is not in: %s", message, cli->err);
    assert_int_equal(count_lines(cli->err, ""), 1);
    assert_int_equal(cli_count_entries(cli), n_files);
}

static void test_malformed_files(void **state)
{
    struct cli *cli = *state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\n", "d.csv:1: the header has no column step"},
        {"step,kind,layer\n1,key,0\n", "d.csv:1: the header has no column head"},
        {HEADER, "d.csv: no step is in it"},
        {HEADER "0,token,,,0,,,5,5\n1,token,,,1,,,6,6\n", "d.csv: no step is in it"},
        {HEADER "1,key,0\n", "d.csv:2: 3 fields where the header has 9"},
        {HEADER "1,lock,0,0,0,0,1,5,\n", "d.csv:2: kind is \"lock\""},
        {HEADER "1,key,0,0,0,0,nan,5,\n", "d.csv:2: value is \"nan\", which is not a number"},
        {HEADER "one,key,0,0,0,0,1,5,\n", "d.csv:2: step is \"one\", which is not a whole number"},
        {HEADER "0,token,,,0,,,5,\"5\n", "d.csv:2: a quoted field does not end"},
        {HEADER "0,token,,,0,,,5,5\n1,token,,,1,,,6,6\n1,attention,0,0,1,,1,6,\n",
         "d.csv: layer 0, head 0 has no attention weight of step 1, position 0"},
        {HEADER "0,token,,,0,,,5,5\n1,token,,,1,,,6,6\n1,attention,0,0,0,,1,5,\n1,query,0,0,0,1,1,5,\n",
         "d.csv: the query of position 0 has no dimension 0"},
        {HEADER "0,token,,,0,,,5,5\n1,token,,,2,,,6,6\n1,attention,0,0,0,,1,5,\n",
         "d.csv: there is no token of position 1"},
    };
    char path[CLI_PATH_SIZE];
    cli_path(cli, "d.csv", path);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_text(path, cases[i].text);
        draw(cli, "d.csv");
        assert_not_drawn(cli, 1, cases[i].message, 1);
    }
}

static void test_script_usage(void **state)
{
    struct cli *cli = *state;
    static const char *const one[] = {"d.csv", NULL}, *const unknown[] = {"--colour", NULL};
    static const char *const nowhere[] = {"d.csv", "no-folder/d.gif", NULL};
    char path[CLI_PATH_SIZE];
    draw(cli, "d.csv");
    assert_not_drawn(cli, 1, "d.csv is not a file", 0);
    cli_finish(cli, cli_start(cli, KV_DASHBOARD_SCRIPT, one));
    assert_not_drawn(cli, 2, "a CSV file and a GIF file are needed", 0);
    cli_finish(cli, cli_start(cli, KV_DASHBOARD_SCRIPT, unknown));
    assert_not_drawn(cli, 2, "unknown option --colour", 0);
    cli_path(cli, "d.csv", path);
    write_text(path, HEADER);
    cli_finish(cli, cli_start(cli, KV_DASHBOARD_SCRIPT, nowhere));
    assert_not_drawn(cli, 1, "the folder of no-folder/d.gif cannot be entered", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_every_view_is_drawn), CLI_TEST(test_redrawing),    CLI_TEST(test_size),
        CLI_TEST(test_malformed_files),     CLI_TEST(test_script_usage),
    };
    return cmocka_run_group_tests_name("dashboard_picture", tests, NULL, NULL);
}
