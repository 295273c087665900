/* Which tokenizer a model uses, and `kvbench tokenize`: what it reads, writes and refuses. */
#include "checkpoint.h"
#include "cli_runner.h"

#include <stdio.h>

#define END_OF_TEXT "<|endoftext|>"

/* ---- Which one a model uses ----------------------------------------------------------------------------- */

static void put_config(const struct checkpoint *c, int vocab_size, const char *more)
{
    char text[256];
    snprintf(text, sizeof text, "{\"n_layer\":1,\"n_head\":1,\"n_embd\":8,\"n_positions\":8,\"vocab_size\":%d%s}",
             vocab_size, more);
    write_text(c->config_file, text);
}

static void test_tokenizer_of_config(void **state)
{
    static const struct {
        int vocab_size;
        const char *more;
        kv_status status;
        const char *expected; /* the name, or what the error names */
    } configs[] = {{50257, "", KV_OK, "gpt2"},
                   {256, "", KV_OK, "bytes"},
                   {50304, ",\"kvbench_tokenizer\":\"gpt2\"", KV_OK, "gpt2"},
                   {50257, ",\"kvbench_tokenizer\":\"bytes\"", KV_OK, "bytes"},
                   {257, "", KV_ERROR_UNSUPPORTED, "257"},
                   {256, ",\"kvbench_tokenizer\":\"gpt2\"", KV_ERROR_FORMAT, "50257"},
                   {256, ",\"kvbench_tokenizer\":\"words\"", KV_ERROR_FORMAT, "kvbench_tokenizer"},
                   {256, ",\"kvbench_tokenizer\":1", KV_ERROR_FORMAT, "kvbench_tokenizer"}};
    const struct checkpoint *c = *state;
    const char *name;
    struct kv_error error;
    assert_refused(kv_tokenizer_of_config(c->config_file, &name, &error), KV_ERROR_IO, error, c->config_file, NULL);
    for (size_t i = 0; i < COUNT(configs); i++) {
        put_config(c, configs[i].vocab_size, configs[i].more);
        const kv_status status = kv_tokenizer_of_config(c->config_file, &name, &error);
        if (configs[i].status) {
            assert_refused(status, configs[i].status, error, c->config_file, configs[i].expected);
            assert_null(name);
        } else {
            assert_ok(status, error);
            assert_string_equal(name, configs[i].expected);
        }
    }
}

/* ---- The command ---------------------------------------------------------------------------------------- */

/* Runs `kvbench tokenize OPTIONS` with what a shell's printf makes of `format` on stdin. */
static void tokenize(struct cli *cli, const char *format, const char *options)
{
    char command[2048];
    snprintf(command, sizeof command, "printf -- '%s' | '%s' tokenize %s", format, KV_PROGRAM, options);
    cli_finish(cli, cli_start(cli, "/bin/sh", (const char *const[]){"-c", command, NULL}));
}

static void test_command(void **state)
{
    static const struct {
        const char *format, *options, *out;
    } runs[] = {{"Hello, world!", "", "15496,11,995,0\n"},
                {"", "", "\n"},
                {"hello\\n", "--model gpt2-xl", "31373,198\n"},
                {"hi\\377", "--tokenizer bytes", "104,105,255\n"},
                {END_OF_TEXT, "", "27,91,437,1659,5239,91,29\n"},
                {END_OF_TEXT, "--special", "50256\n"},
                {"15496,11,995,0\\n", "--decode", "Hello, world!"},
                {" 15496 11,\\n995\\t0", "--decode", "Hello, world!"},
                {"104,105,10", "--decode --tokenizer bytes", "hi\n"},
                {"\\n", "--decode", ""}};
    struct cli *cli = *state;
    for (size_t i = 0; i < COUNT(runs); i++) {
        tokenize(cli, runs[i].format, runs[i].options);
        assert_exit(cli, 0);
        assert_string_equal(cli->out, runs[i].out);
        assert_string_equal(cli->err, "");
    }
}

static void test_command_with_a_folder(void **state)
{
    struct cli *cli = *state;
    char file[CLI_PATH_SIZE];
    cli_path(cli, "config.json", file);
    write_text(file, "{\"n_layer\":1,\"n_head\":1,\"n_embd\":8,\"n_positions\":8,\"vocab_size\":256}");
    tokenize(cli, "hi", "--model .");
    assert_exit(cli, 0);
    assert_string_equal(cli->out, "104,105\n");
}

static void test_command_complains(void **state)
{
    static const struct {
        const char *format, *options;
        int status;
        const char *part;
    } runs[] = {{"12,x", "--decode", 2, "byte 3"},
                {"-1", "--decode", 2, "byte 0"},
                {"99999999999", "--decode", 2, "byte 0"},
                {"1\\0002", "--decode", 2, "byte 1"},
                {"50257", "--decode", 2, "50257"},
                {"a", "--tokenizer words", 2, "words"},
                {"a", "--model no-such-model", 2, "no-such-model"}};
    struct cli *cli = *state;
    for (size_t i = 0; i < COUNT(runs); i++) {
        tokenize(cli, runs[i].format, runs[i].options);
        assert_complaint(cli, runs[i].status, runs[i].part);
    }
    cli->settings[0] = "KVBENCH_DATA=/nowhere";
    tokenize(cli, "a", "");
    assert_complaint(cli, 1, "/nowhere/gpt2/vocab.bpe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_tokenizer_of_config, checkpoint_set_up, checkpoint_tear_down),
        CLI_TEST(test_command),
        CLI_TEST(test_command_with_a_folder),
        CLI_TEST(test_command_complains),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
