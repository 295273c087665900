/* The commands generate and logits against the reference cases, at the window's end, and where they must refuse. */
#include "cli_runner.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOGIT_BOUND 1e-4 /* of the case's largest |logit| */

static const char *const case_names[] = {"tiny-f32", "odd-f16", "gelu-erf-bf16"};
static const char *const chunks[] = {"1", "2", "7"};
enum { N_CASES = sizeof case_names / sizeof case_names[0], N_CHUNKS = sizeof chunks / sizeof chunks[0] };

/* A reference case as the command line has it. */
struct text_case {
    struct reference_case c;
    char *prompt;   /* --tokens of all rows */
    char *greedy;   /* what follows from it, prompt included */
    char n_new[16]; /* -n that gives it */
    int n_positions;
};

static void open_case(struct text_case *t, const char *name)
{
    char file[600];
    struct kv_config config;
    struct kv_error error;
    load_case(&t->c, name);
    t->prompt = ids_text(t->c.tokens, t->c.batch, t->c.n_tokens, t->c.n_tokens);
    t->greedy = ids_text(t->c.greedy, t->c.batch, t->c.n_greedy, t->c.n_greedy);
    snprintf(t->n_new, sizeof t->n_new, "%d", t->c.n_greedy - t->c.n_tokens);
    snprintf(file, sizeof file, "%s/config.json", t->c.folder);
    assert_ok(kv_config_load(file, &config, &error), error);
    t->n_positions = config.n_positions;
}

static void close_case(struct text_case *t)
{
    free(t->prompt);
    free(t->greedy);
    free_case(&t->c);
}

/* The last run printed these ids, and they alone, on one line. */
static void assert_ids(const struct cli *cli, const char *ids)
{
    const size_t length = strlen(ids);
    assert_exit(cli, 0);
    if (strncmp(cli->out, ids, length) != 0 || strcmp(cli->out + length, "\n") != 0)
        fail_msg("%sinstead of %s", cli->out, ids);
}

/* ---- generate ------------------------------------------------------------------------------------------ */

static void test_reference_ids(void **state)
{
    struct cli *cli = *state;
    for (int i = 0; i < N_CASES; i++) {
        struct text_case t;
        open_case(&t, case_names[i]);
        for (int p = 0; kv_path_choice(p); p++) {
            RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", t.n_new, "--path",
                kv_path_choice(p)->name, "--overflow", "recompute", "--ids");
            assert_ids(cli, t.greedy);
        }
        close_case(&t);
    }
}

static void test_options_change_no_id(void **state)
{
    static const char *const options[][2] = {{"--gemm", "reference"}, {"--gemm", "openblas"}, {"--threads", "1"},
                                             {"--threads", "2"},      {"--isa", "portable"},  {"--chunk", "1"},
                                             {"--chunk", "2"},        {"--chunk", "7"},       {"--chunk", "1000"}};
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "gelu-erf-bf16"); /* small, and past the window's end */
    for (size_t i = 0; i < 2 * sizeof options / sizeof options[0]; i++) {
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", t.n_new, "--path",
            i % 2 ? "naive" : "cached", "--overflow", "recompute", options[i / 2][0], options[i / 2][1]);
        assert_ids(cli, t.greedy);
    }
    close_case(&t);
}

/* The window's last position still selects a token, so a sequence ends with n_positions + 1 ids. */
static void test_stop_at_the_window_end(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    char fitting[16];
    open_case(&t, "odd-f16");
    char *expected = ids_text(t.c.greedy, t.c.batch, t.c.n_greedy, t.n_positions + 1);
    snprintf(fitting, sizeof fitting, "%d", t.n_positions + 1 - t.c.n_tokens);
    for (int p = 0; kv_path_choice(p); p++) {
        const char *path = kv_path_choice(p)->name;
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", t.n_new, "--path", path);
        assert_ids(cli, expected);
        assert_int_equal(count_lines(cli->err, "warning"), 1);
        assert_int_equal(count_lines(cli->err, "(n_positions 48)"), 1);
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", fitting, "--path", path);
        assert_ids(cli, expected);
        assert_int_equal(count_lines(cli->err, "warning"), 0);
    }
    free(expected);
    close_case(&t);
}

static void test_window_end_is_said_once(void **state)
{
    static const char *const policies[] = {"recompute", "shift"};
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "odd-f16");
    for (size_t i = 0; i < sizeof policies / sizeof policies[0]; i++) {
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", t.n_new, "--overflow", policies[i]);
        assert_exit(cli, 0);
        assert_int_equal(count_lines(cli->err, "warning"), 1);
        assert_int_equal(count_lines(cli->err, policies[i]), 1);
    }
    close_case(&t);
}

/* New ids in a printed line "1,2,3;4,5,6": commas and semicolons, plus one. */
static int count_ids(const char *line)
{
    int n = 1;
    for (; *line; line++)
        n += *line == ',' || *line == ';';
    return n;
}

static void test_shift(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "odd-f16");
    char *until_the_end = ids_text(t.c.greedy, 1, t.c.n_greedy, t.n_positions + 1), *one_path = NULL;
    for (int p = 0; kv_path_choice(p); p++) {
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", "100", "--path",
            kv_path_choice(p)->name, "--overflow", "shift");
        assert_exit(cli, 0);
        assert_int_equal(count_ids(cli->out), t.c.batch * (t.c.n_tokens + 100));
        assert_int_equal(strncmp(cli->out, until_the_end, strlen(until_the_end)), 0);
        if (one_path)
            assert_string_equal(cli->out, one_path);
        else
            one_path = strdup(cli->out);
    }
    free(one_path);
    free(until_the_end);
    close_case(&t);
}

/* Prompts of more than n_positions ids: 49 of 48. */
static void test_prompt_over_the_window(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "odd-f16");
    char *prompt = ids_text(t.c.greedy, t.c.batch, t.c.n_greedy, t.n_positions + 1);
    for (int p = 0; kv_path_choice(p); p++) {
        const char *path = kv_path_choice(p)->name;
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", prompt, "-n", "2", "--path", path);
        assert_complaint(cli, 1, "49 tokens, n_positions is 48");
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", prompt, "-n", "28", "--path", path, "--overflow",
            "recompute");
        assert_ids(cli, t.greedy);
    }
    free(prompt);
    close_case(&t);
}

static void test_no_new_tokens(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "tiny-f32");
    RUN(cli, "generate", "--model", t.c.folder, "--tokens", t.prompt, "-n", "0");
    assert_ids(cli, t.prompt);
    RUN(cli, "generate", "--model", t.c.folder, "--tokens", "1;2;3", "-n", "0");
    assert_ids(cli, "1;2;3");
    close_case(&t);
}

/* A row alone gives what it gives in a batch. */
static void test_rows_of_a_batch(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "tiny-f32");
    for (int b = 0; b < t.c.batch; b++) {
        char *prompt = ids_text(t.c.tokens + b * t.c.n_tokens, 1, t.c.n_tokens, t.c.n_tokens);
        char *greedy = ids_text(t.c.greedy + b * t.c.n_greedy, 1, t.c.n_greedy, t.c.n_greedy);
        RUN(cli, "generate", "--model", t.c.folder, "--tokens", prompt, "-n", t.n_new);
        assert_ids(cli, greedy);
        free(prompt);
        free(greedy);
    }
    close_case(&t);
}

static void test_generate_refuses(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    open_case(&t, "tiny-f32");
    RUN(cli, "generate", "--model", t.c.folder, "--tokens", "1,97,2", "-n", "1");
    assert_complaint(cli, 1, "97 is not in 0..96");
    RUN(cli, "generate", "--model", t.c.folder, "--tokens", "1,2;3,2147483647", "-n", "1");
    assert_complaint(cli, 1, "2147483647 is not in 0..96");
    RUN(cli, "generate", "--model", t.c.folder);
    assert_complaint(cli, 2, "--tokens is needed");
    close_case(&t);
}

/* ---- logits -------------------------------------------------------------------------------------------- */

/* Writes logits for both paths and every chunk into the working folder, PATH-CHUNK.safetensors; names [n][32]. */
static int write_all(struct cli *cli, const struct text_case *t, char (*names)[32])
{
    int n = 0;
    for (int p = 0; kv_path_choice(p); p++) {
        const char *path = kv_path_choice(p)->name;
        for (int i = -1; i < N_CHUNKS; i++, n++) {
            snprintf(names[n], sizeof names[n], "%s-%s.safetensors", path, i < 0 ? "whole" : chunks[i]);
            if (i < 0)
                RUN(cli, "logits", "--model", t->c.folder, "--tokens", t->prompt, "--path", path, "--out", names[n]);
            else
                RUN(cli, "logits", "--model", t->c.folder, "--tokens", t->prompt, "--path", path, "--out", names[n],
                    "--chunk", chunks[i]);
            assert_exit(cli, 0);
            assert_string_equal(cli->out, "");
        }
    }
    return n;
}

static void assert_logits(const json_t *report, const struct text_case *t, const char *name)
{
    const json_t *shape = json_object_get(report, "shape"), *tensors = json_object_get(report, "names");
    struct kv_config config;
    struct kv_error error;
    char file[600];
    snprintf(file, sizeof file, "%s/config.json", t->c.folder);
    assert_ok(kv_config_load(file, &config, &error), error);
    assert_int_equal(json_array_size(tensors), 1);
    assert_string_equal(json_string_value(json_array_get(tensors, 0)), "logits");
    assert_string_equal(json_string_value(json_object_get(report, "dtype")), "F32");
    assert_int_equal(json_array_size(shape), 3);
    assert_int_equal(json_integer_value(json_array_get(shape, 0)), t->c.batch);
    assert_int_equal(json_integer_value(json_array_get(shape, 1)), t->c.n_tokens);
    assert_int_equal(json_integer_value(json_array_get(shape, 2)), config.vocab_size);
    const double difference = json_number_value(json_object_get(report, "difference"));
    if (!(difference <= LOGIT_BOUND))
        fail_msg("%s, %s: off by %.3g of the largest, bound %.3g", t->c.folder, name, difference, LOGIT_BOUND);
}

static void test_reference_logits(void **state)
{
    struct cli *cli = *state;
    for (int i = 0; i < N_CASES; i++) {
        struct text_case t;
        char names[16][32], expected[600];
        const char *arguments[24] = {KV_CHECK_LOGITS, expected};
        open_case(&t, case_names[i]);
        snprintf(expected, sizeof expected, "%s/logits.safetensors", t.c.folder);
        const int n = write_all(cli, &t, names);
        assert_int_equal(n, 2 * (N_CHUNKS + 1));
        for (int k = 0; k < n; k++)
            arguments[2 + k] = names[k];
        json_t *reports = cli_python(cli, arguments);
        assert_int_equal(json_array_size(reports), n);
        for (int k = 0; k < n; k++)
            assert_logits(json_array_get(reports, (size_t)k), &t, names[k]);
        assert_int_equal(cli_count_entries(cli), n);
        json_decref(reports);
        close_case(&t);
    }
}

static void test_logits_cannot_be_written(void **state)
{
    static const char *const files[] = {"no-folder/logits", "file/logits", "folder"};
    struct cli *cli = *state;
    struct text_case t;
    char path[CLI_PATH_SIZE];
    open_case(&t, "tiny-f32");
    cli_path(cli, "file", path);
    write_text(path, "a file");
    cli_path(cli, "folder", path);
    assert_int_equal(mkdir(path, 0755), 0);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        RUN(cli, "logits", "--model", t.c.folder, "--tokens", "1,2", "--out", files[i]);
        assert_complaint(cli, 1, files[i]);
        assert_int_equal(cli_count_entries(cli), 2);
    }
    close_case(&t);
}

/* What was there before stays until there is something whole to take its place. */
static void test_logits_refuses(void **state)
{
    struct cli *cli = *state;
    struct text_case t;
    char path[CLI_PATH_SIZE];
    open_case(&t, "odd-f16");
    char *long_prompt = ids_text(t.c.greedy, 1, t.c.n_greedy, t.n_positions + 1);
    cli_path(cli, "logits.safetensors", path);
    write_text(path, "before");
    RUN(cli, "logits", "--model", t.c.folder, "--tokens", "1,131", "--out", "logits.safetensors");
    assert_complaint(cli, 1, "131 is not in 0..130");
    RUN(cli, "logits", "--model", t.c.folder, "--tokens", long_prompt, "--out", "logits.safetensors");
    assert_complaint(cli, 1, "n_positions is 48");
    char *text = read_text(path);
    assert_string_equal(text, "before");
    assert_int_equal(cli_count_entries(cli), 1);
    free(text);
    free(long_prompt);
    close_case(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_reference_ids),
        CLI_TEST(test_options_change_no_id),
        CLI_TEST(test_stop_at_the_window_end),
        CLI_TEST(test_window_end_is_said_once),
        CLI_TEST(test_shift),
        CLI_TEST(test_prompt_over_the_window),
        CLI_TEST(test_no_new_tokens),
        CLI_TEST(test_rows_of_a_batch),
        CLI_TEST(test_generate_refuses),
        CLI_TEST(test_reference_logits),
        CLI_TEST(test_logits_cannot_be_written),
        CLI_TEST(test_logits_refuses),
    };
    return cmocka_run_group_tests_name("generate", tests, NULL, NULL);
}
