/* `kvbench generate` with text: as it is made, whole characters, the same on every path; its options and ends. */
#include "generate_bench.h"

#include "text/terminal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TINY        KV_DATA_DIR "/reference/tiny-f32"
#define END_OF_TEXT 50256

static const char *urn(struct bench *bench, int vocab_size, const struct urn_token *tokens, size_t n_tokens)
{
    build_urn(bench->checkpoint, vocab_size, 64, tokens, n_tokens);
    checkpoint_write(bench->checkpoint);
    return bench->checkpoint->folder;
}

/* Mostly "a", and about every tenth token the end of the text. */
static const char *ending_urn(struct bench *bench)
{
    static const struct urn_token tokens[] = {{64, 0.0f}, {END_OF_TEXT, -2.2f}};
    return urn(bench, 50257, tokens, COUNT(tokens));
}

static void assert_same(const struct packets *p, const struct packets *q)
{
    assert_int_equal(p->n_text, q->n_text);
    assert_memory_equal(p->text, q->text, p->n_text);
}

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

/* ---- The same text --------------------------------------------------------------------------------------- */

/* Text is the ids decoded: greedy and drawn, on both paths, past the window's end. */
static void test_text_and_ids(void **state)
{
    static const char *const temperatures[] = {"0", "1.3"};
    struct bench *bench = *state;
    const char *model = byte_model(bench);
    for (size_t i = 0; i < 2 * COUNT(temperatures); i++) {
        const char *path = kv_path_choice((int)(i / 2))->name, *temperature = temperatures[i % 2];
        RUN(bench->cli, GENERATE(model), "--prompt", "Hello", "--path", path, "--temperature", temperature, "--ids",
            "-n", "200", "--overflow", "shift", "--top-k", "40");
        assert_exit(bench->cli, 0);
        char *ids = strdup(bench->cli->out);
        PACKETS(bench->cli, &bench->p, GENERATE(model), "--prompt", "Hello", "--path", path, "--temperature",
                temperature);
        assert_exit(bench->cli, 0);
        assert_bytes(&bench->p, ids);
        assert_int_equal(strncmp(bench->p.text, "Hello", 5), 0);
        assert_int_equal(count_lines(bench->cli->err, ", 200 new tokens"), 1);
        assert_int_equal(count_lines(bench->cli->err, "--overflow shift"), 1);
        free(ids);
    }
}

static void test_seeds(void **state)
{
    static const char *const threads[] = {"1", "2", "3"};
    struct bench *bench = *state;
    const char *model = byte_model(bench);
    PACKETS(bench->cli, &bench->p, GENERATE(model), "--top-k", "0");
    assert_exit(bench->cli, 0);
    assert_int_equal(strncmp(bench->p.text, "In the beginning", 16), 0);
    for (size_t i = 0; i < 2 * COUNT(threads); i++) {
        PACKETS(bench->cli, &bench->q, GENERATE(model), "--top-k", "0", "--seed", "42", "--threads", threads[i / 2],
                "--path", i % 2 ? "naive" : "cached", "--chunk", "3");
        assert_exit(bench->cli, 0);
        assert_same(&bench->p, &bench->q);
    }
    PACKETS(bench->cli, &bench->q, GENERATE(model), "--top-k", "0", "--seed", "43");
    assert_exit(bench->cli, 0);
    assert_memory_not_equal(bench->p.text, bench->q.text, 40);
}

/* What leaves one token to draw from is greedy, whatever the temperature. */
static void test_one_token_is_left(void **state)
{
    static const char *const choices[][2] = {{"--top-k", "1"}, {"--top-p", "1e-9"}, {"--temperature", "1e-9"}};
    struct bench *bench = *state;
    const char *model = byte_model(bench);
    PACKETS(bench->cli, &bench->p, GENERATE(model), "--temperature", "0", "--seed", "9");
    assert_exit(bench->cli, 0);
    for (size_t i = 0; i < COUNT(choices); i++) {
        PACKETS(bench->cli, &bench->q, GENERATE(model), choices[i][0], choices[i][1]);
        assert_exit(bench->cli, 0);
        assert_same(&bench->p, &bench->q);
    }
}

/* Ids are greedy unless a temperature is given. */
static void test_ids(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    RUN(cli, GENERATE(TINY), "--tokens", "5,6,7");
    assert_exit(cli, 0);
    char *greedy = strdup(cli->out);
    RUN(cli, GENERATE(TINY), "--tokens", "5,6,7", "--temperature", "0", "--seed", "9", "-n", "50");
    assert_string_equal(cli->out, greedy);
    RUN(cli, GENERATE(TINY), "--tokens", "5,6,7", "--temperature", "1", "--path", "naive");
    assert_exit(cli, 0);
    assert_string_not_equal(cli->out, greedy);
    char *drawn = strdup(cli->out);
    RUN(cli, GENERATE(TINY), "--tokens", "5,6,7", "--temperature", "1", "--threads", "2");
    assert_string_equal(cli->out, drawn);
    free(greedy);
    free(drawn);
}

/* ---- Batch ----------------------------------------------------------------------------------------------- */

/* Letters and spaces, so that whole texts can be told apart by what stands between them. */
static const char *letter_urn(struct bench *bench)
{
    static const struct urn_token tokens[] = {{'a', 0}, {'b', 0}, {'c', 0}, {'d', 0}, {' ', 0}};
    return urn(bench, 256, tokens, COUNT(tokens));
}

static void test_batch(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = letter_urn(bench);
    RUN(cli, GENERATE(model), "--prompt", "Z", "-n", "30");
    assert_exit(cli, 0);
    char *single = strdup(cli->out);
    RUN(cli, GENERATE(model), "--prompt", "Z", "-n", "30", "--batch", "3");
    assert_exit(cli, 0);
    char first[64], second[64], third[64];
    assert_int_equal(
        sscanf(cli->out, "%63[^\n]\n--- 2 of 3 ---\n%63[^\n]\n--- 3 of 3 ---\n%63[^\n]\n", first, second, third), 3);
    assert_int_equal(count_lines(cli->out, ""), 5);
    assert_int_equal(strncmp(single, first, 31), 0);
    assert_int_equal(strlen(first) + strlen(second) + strlen(third), 3 * 31);
    assert_string_not_equal(second, first);
    assert_string_not_equal(third, second);
    assert_int_equal(count_lines(cli->err, "3 x 30 new tokens"), 1);
    RUN(cli, GENERATE(model), "--prompt", "Z", "-n", "30", "--batch", "3", "--ids", "--temperature", "1");
    assert_exit(cli, 0);
    const char *at = cli->out;
    for (int i = 0; i < 3 * 31; i++, at = strpbrk(at, ",;\n") + 1)
        assert_int_equal(atoi(at), (i < 31 ? first : i < 62 ? second : third)[i % 31]);
    assert_int_equal(count_lines(cli->out, ";"), 1);
    free(single);
}

/* ---- The end of a text ------------------------------------------------------------------------------------ */

static void test_stop_at_eot(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = ending_urn(bench);
    RUN(cli, GENERATE(model), "--prompt", "b");
    assert_exit(cli, 0);
    const char *end = strstr(cli->out, "<|endoftext|>");
    assert_non_null(end);
    const int n = (int)(end - cli->out);
    char *text = strndup(cli->out, (size_t)n);
    RUN(cli, GENERATE(model), "--prompt", "b", "--stop-at-eot");
    assert_exit(cli, 0);
    assert_int_equal(strncmp(cli->out, text, (size_t)n), 0);
    assert_string_equal(cli->out + n, "\n");
    char figures[64];
    snprintf(figures, sizeof figures, ", %d new token%s (to <|endoftext|>), TTFT", n, n == 1 ? "" : "s");
    assert_int_equal(count_lines(cli->err, figures), 1);
    free(text);
}

/* Every sequence of a batch has its own end, in text and in ids. */
static void test_stop_at_eot_in_a_batch(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = ending_urn(bench);
    int lengths[4], n = 0, longest = 0;
    RUN(cli, GENERATE(model), "--prompt", "b", "--stop-at-eot", "--batch", "4");
    assert_exit(cli, 0);
    assert_null(strstr(cli->out, "endoftext"));
    for (const char *line = cli->out; *line; line = strchr(line, '\n') + 1) {
        if (line[0] == '-')
            continue;
        assert_in_range(n, 0, 3);
        lengths[n] = (int)strspn(line + 1, "a");
        assert_int_equal(line[1 + lengths[n]], '\n');
        longest = lengths[n] > longest ? lengths[n] : longest;
        n++;
    }
    assert_int_equal(n, 4);
    assert_true(lengths[0] != lengths[1] || lengths[1] != lengths[2] || lengths[2] != lengths[3]);
    char figures[64];
    snprintf(figures, sizeof figures, "4 x %d new tokens (to <|endoftext|>)", longest + 1);
    assert_int_equal(count_lines(cli->err, figures), 1);
    RUN(cli, GENERATE(model), "--tokens", "65", "--stop-at-eot", "--batch", "4", "--temperature", "1", "--top-k", "40",
        "-n", "200", "--overflow", "shift");
    assert_exit(cli, 0);
    const char *at = cli->out;
    for (int b = 0; b < 4; b++, at = strpbrk(at, ";\n") + 1)
        assert_int_equal(strcspn(at, ";\n"), strlen("65") + (size_t)lengths[b] * strlen(",64"));
}

/* ---- As it is made --------------------------------------------------------------------------------------- */

/* Every kind of byte that there is in UTF-8, and some that are in none, so that characters come about by chance. */
static const char *utf8_urn(struct bench *bench)
{
    static const struct urn_token tokens[] = {{'e', 0},  {0xc3, 0}, {0xa9, 0}, {0xe2, 0}, {0x82, 0}, {0xac, 0},
                                              {0xf0, 0}, {0x9f, 0}, {0x98, 0}, {0x80, 0}, {0xff, 0}};
    return urn(bench, 256, tokens, COUNT(tokens));
}

/* First the prompt, then each write is what one token completes: no character is cut, no byte is lost or late. */
static void test_stream(void **state)
{
    struct bench *bench = *state;
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
static void test_interrupted(void **state)
{
    struct bench *bench = *state;
    struct packets *p = &bench->p;
    packets_start(bench->cli, p,
                  (const char *const[]){GENERATE(letter_urn(bench)), "-n", "100000000", "--prompt", "Z", NULL});
    for (int i = 0; i < 100; i++)
        assert_true(packets_read(p));
    assert_int_equal(p->n_text, 100);
    assert_int_equal(kill(p->child, SIGINT), 0);
    packets_finish(bench->cli, p);
    assert_int_equal(bench->cli->status, 128 + SIGINT);
    assert_in_range(p->n_text, 100, PACKETS_SIZE - 1);
    assert_int_equal(p->text[p->n_text - 1], '\n');
    assert_int_equal(count_lines(bench->cli->err, "TTFT"), 1);
}

/* A name is the model's, whatever folders there are; with its path a folder is one. */
static void test_names_win(void **state)
{
    struct cli *cli = ((struct bench *)*state)->cli;
    char path[CLI_PATH_SIZE];
    cli_path(cli, "kjv", path);
    assert_int_equal(mkdir(path, 0755), 0);
    RUN(cli, "generate", "-n", "5");
    assert_exit(cli, 0);
    RUN(cli, "generate", "-n", "5", "--model", "./kjv");
    assert_complaint(cli, 1, "./kjv/config.json");
    RUN(cli, "generate", "-n", "5", "--model", TINY, "--tokens", "1", "--synthetic");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "synthetic weights, seed 42"), 1);
}

/* A reader that goes away, or a full disk, ends the run at once. */
static void test_nobody_reads(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = letter_urn(bench);
    cli->stdout_file = "/dev/full";
    RUN(cli, GENERATE(model), "-n", "100000000");
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, ": stdout cannot be written: No space left on device"), 1);
    cli->stdout_file = NULL;
    packets_start(cli, &bench->p, (const char *const[]){GENERATE(model), "-n", "100000000", NULL});
    assert_true(packets_read(&bench->p));
    close(bench->p.descriptor);
    cli_finish(cli, bench->p.child);
    assert_int_equal(cli->status, 128 + SIGPIPE);
}

/* With no option at all: the model that comes along, the same on either path and with any number of threads. */
static void test_embedded_model(void **state)
{
    static const char *const options[][2] = {
        {"--path", "cached"}, {"--path", "naive"}, {"--threads", "1"}, {"--threads", "2"}, {"--threads", "3"}};
    struct cli *cli = ((struct bench *)*state)->cli;
    RUN(cli, "generate");
    assert_exit(cli, 0);
    assert_int_equal(strncmp(cli->out, "In the beginning", 16), 0);
    assert_in_range(strlen(cli->out), 16 + 200, 16 + 201); /* and a newline, unless it ends with one */
    char *expected = strdup(cli->out);
    assert_non_null(expected);
    for (size_t i = 0; i < COUNT(options); i++) {
        RUN(cli, "generate", options[i][0], options[i][1]);
        assert_string_equal(cli->out, expected);
    }
    RUN(cli, "generate", "--seed", "43");
    assert_string_not_equal(cli->out, expected);
    free(expected);
}

/* ---- Prompts --------------------------------------------------------------------------------------------- */

static void test_prompts(void **state)
{
    static const struct {
        const char *prompt, *out;
    } prompts[] = {{"a", "a\n"}, {"a\n", "a\n"}, {"a\n\n", "a\n\n"}, {"\xff\xe2\x82", "\xff\xe2\x82\n"}};
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    const char *model = letter_urn(bench);
    for (size_t i = 0; i < COUNT(prompts); i++) {
        RUN(cli, GENERATE(model), "--prompt", prompts[i].prompt, "-n", "0");
        assert_exit(cli, 0);
        assert_string_equal(cli->out, prompts[i].out);
        assert_string_equal(cli->err, "");
    }
    RUN(cli, GENERATE(model), "-n", "0");
    assert_string_equal(cli->out, "In the beginning\n");
    RUN(cli, GENERATE(model), "-n", "0", "--ids");
    assert_string_equal(cli->out, "73,110,32,116,104,101,32,98,101,103,105,110,110,105,110,103\n");
    RUN(cli, GENERATE(ending_urn(bench)), "-n", "0");
    assert_string_equal(cli->out, " I am vibe coding to learn kv cache. To do that I am benchmarking kv cache.\n");
    RUN(cli, GENERATE(ending_urn(bench)), "-n", "0", "--ids");
    assert_int_equal(strncmp(cli->out, "314,716,27426,", 14), 0);
}

static void test_window_end(void **state)
{
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    char prompt[101];
    memset(prompt, 'b', 100);
    prompt[100] = '\0';
    const char *model = letter_urn(bench);
    RUN(cli, GENERATE(model), "--prompt", "Z", "--overflow", "stop");
    assert_exit(cli, 0);
    assert_int_equal(strlen(cli->out), 64 + 1 + 1);
    assert_int_equal(count_lines(cli->err, "stopped after 64 of 200 new tokens at the window's end"), 1);
    RUN(cli, GENERATE(model), "--prompt", prompt, "-n", "20");
    assert_exit(cli, 0);
    assert_int_equal(strncmp(cli->out, prompt, 100), 0);
    assert_int_equal(strlen(cli->out), 100 + 20 + 1);
    RUN(cli, GENERATE(model), "--prompt", prompt, "-n", "20", "--overflow", "stop");
    assert_complaint(cli, 1, "--prompt: 100 tokens, n_positions is 64");
}

/* An id beyond the tokenizer's has no text, and takes none from the others. */
static void test_id_without_text(void **state)
{
    static const struct urn_token tokens[] = {{64, 0}, {50300, 0}};
    struct bench *bench = *state;
    struct cli *cli = bench->cli;
    build_urn(bench->checkpoint, 50304, 64, tokens, COUNT(tokens));
    json_object_set_new(bench->checkpoint->config, "kvbench_tokenizer", json_string("gpt2"));
    checkpoint_write(bench->checkpoint);
    RUN(cli, "generate", "--model", bench->checkpoint->folder, "--prompt", "b", "-n", "40");
    assert_exit(cli, 0);
    const size_t n = strspn(cli->out + 1, "a");
    assert_in_range(n, 5, 35);
    assert_string_equal(cli->out + 1 + n, "\n");
}

/* ---- Mistakes -------------------------------------------------------------------------------------------- */

static void test_refuses(void **state)
{
    static const struct {
        const char *options[6];
        const char *part;
    } mistakes[] = {
        {{"--prompt", "a", "--tokens", "1"}, "--prompt and --tokens exclude each other"},
        {{"--prompt", ""}, "--prompt: the text is empty"},
        {{"--tokens", "1;2", "--batch", "2"}, "leave out --batch"},
        {{"--path", "both", "--batch", "2"}, "--path both shows one sequence, not 2"},
        {{"--path", "both", "--tokens", "1;2;3"}, "--path both shows one sequence, not 3"},
        {{"--top-p", "0"}, "--top-p: 0 is not above 0"},
        {{"--top-p", "1e-50"}, "--top-p: 1e-50 is not above 0"},
        {{"--top-p", "1.01"}, "--top-p: 1.01 is not above 0 and at most 1"},
        {{"--top-p", "-1"}, "--top-p: '-1'"},
        {{"--top-k", "-1"}, "--top-k: '-1'"},
        {{"--temperature", "-0.1"}, "--temperature: '-0.1'"},
        {{"--temperature", "nan"}, "--temperature: 'nan'"},
        {{"--temperature", "hot"}, "--temperature: 'hot'"},
        {{"--batch", "0"}, "--batch: '0'"},
        {{"--stop-at-eot"}, "--stop-at-eot: the model's tokenizer, 'bytes', has no <|endoftext|>"},
    };
    struct bench *bench = *state;
    const char *model = letter_urn(bench);
    for (size_t i = 0; i < COUNT(mistakes); i++) {
        const char *const *o = mistakes[i].options;
        RUN(bench->cli, GENERATE(model), o[0], o[1], o[2], o[3], o[4]);
        assert_complaint(bench->cli, 2, mistakes[i].part);
    }
    RUN(bench->cli, GENERATE(TINY), "--prompt", "a");
    assert_complaint(bench->cli, 1, "no tokenizer has vocab_size 97");
    RUN(bench->cli, "generate", "--model", TINY);
    assert_complaint(bench->cli, 2, "--tokens is needed: ");
    RUN(bench->cli, GENERATE(TINY), "--tokens", "1", "--batch", "2147483647");
    assert_exit(bench->cli, 1);
    assert_string_equal(bench->cli->out, "");
    bench->cli->settings[0] = "KVBENCH_DATA=/nowhere";
    RUN(bench->cli, "generate", "--model", ending_urn(bench));
    assert_complaint(bench->cli, 1, "/nowhere/gpt2/vocab.bpe");
    RUN(bench->cli, GENERATE(ending_urn(bench)), "--tokens", "1", "-n", "1");
    assert_exit(bench->cli, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        GENERATE_TEST(test_text_and_ids),
        GENERATE_TEST(test_seeds),
        GENERATE_TEST(test_one_token_is_left),
        GENERATE_TEST(test_ids),
        GENERATE_TEST(test_batch),
        GENERATE_TEST(test_stop_at_eot),
        GENERATE_TEST(test_stop_at_eot_in_a_batch),
        GENERATE_TEST(test_stream),
        GENERATE_TEST(test_embedded_model),
        GENERATE_TEST(test_names_win),
        GENERATE_TEST(test_interrupted),
        GENERATE_TEST(test_nobody_reads),
        GENERATE_TEST(test_prompts),
        GENERATE_TEST(test_window_end),
        GENERATE_TEST(test_id_without_text),
        GENERATE_TEST(test_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
