/* `kvbench train` as a person meets it: it learns, it can be stopped at any moment and goes on to the same bits, what
 * it writes is a model, and it refuses what cannot be. */
#include "checkpoint.h"
#include "cli_runner.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SMALL "--text", "text", "--layers", "1", "--heads", "2", "--embd", "32", "--context", "32", "--batch", "4"

/* Sentences that a small model learns to predict in a few hundred steps. */
static void put_text(const struct cli *cli)
{
    static const char *const who[] = {"The cat", "A dog", "My horse", "The old bird"};
    static const char *const what[] = {"sees", "hears", "follows", "does not fear"};
    char path[CLI_PATH_SIZE], *text = malloc(64 << 10);
    uint64_t random = 5;
    size_t at = 0;
    assert_non_null(text);
    while (at < 60000)
        at += (size_t)sprintf(text + at, "%s %s the %s.\n", who[random_between(&random, 0, 3)],
                              what[random_between(&random, 0, 3)], who[random_between(&random, 0, 3)] + 2);
    cli_path(cli, "text", path);
    write_text(path, text);
    free(text);
}

static int set_up(void **state)
{
    cli_set_up(state);
    put_text(*state);
    return 0;
}

static bool exists(const struct cli *cli, const char *name)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    return access(path, F_OK) == 0;
}

/* Both files are the same; `filter` is a shell command that leaves of them what is to be compared. */
static void assert_same(const struct cli *cli, const char *filter, const char *a, const char *b)
{
    char command[3 * CLI_PATH_SIZE], first[CLI_PATH_SIZE], second[CLI_PATH_SIZE];
    cli_path(cli, a, first);
    cli_path(cli, b, second);
    snprintf(command, sizeof command, "test \"$(%s <'%s' | cksum)\" = \"$(%s <'%s' | cksum)\"", filter, first, filter,
             second);
    assert_int_equal(system(command), 0);
}
#define assert_same_file(cli, a, b) assert_same(cli, "cat", a, b)
/* training.csv without its times. */
#define assert_same_rows(cli, a, b) assert_same(cli, "cut -d, -f1-6", a, b)

/* Field `column` of the last row. */
static double last_value(const struct cli *cli, const char *name, int column)
{
    char path[CLI_PATH_SIZE];
    cli_path(cli, name, path);
    char *text = read_text(path), *line = text, *next;
    while ((next = strchr(line, '\n')) && next[1])
        line = next + 1;
    for (; column > 0; column--)
        line = strchr(line, ',') + 1;
    const double value = strtod(line, NULL);
    free(text);
    return value;
}

/* ---- Learning ------------------------------------------------------------------------------------------- */

static void test_learns_and_says_so(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "400", "--every", "100", "--lr", "0.01");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "step "), 5);
    assert_int_equal(count_lines(cli->err, "peak memory about"), 1);
    assert_int_equal(count_lines(cli->err, "left"), 4);
    assert_int_equal(count_lines(cli->out, "bits a byte"), 1);
    /* log 4 + log 4 + log 4 nats a sentence of some thirty bytes are its entropy: 0.14 a byte */
    const double loss = last_value(cli, "out/training.csv", 4);
    assert_true(loss > 0.13 && loss < 0.4);
    RUN(cli, "generate", "--model", "out", "--prompt", "The cat", "-n", "30", "--temperature", "0");
    assert_exit(cli, 0);
    assert_non_null(strstr(cli->out, " the "));
}

/* The number in training.csv is that of the model that was written, by the other command's reckoning. */
static void test_validation_loss_is_the_models(void **state)
{
    struct cli *cli = *state;
    char from[CLI_PATH_SIZE], to[CLI_PATH_SIZE];
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "100", "--every", "100");
    assert_exit(cli, 0);
    cli_path(cli, "text", from);
    cli_path(cli, "held_out", to);
    char *text = read_text(from);
    const size_t n = strlen(text);
    write_text(to, text + n - n * 5 / 100);
    free(text);
    RUN(cli, "evaluate", "--model", "out", "--text", "held_out", "--csv");
    assert_exit(cli, 0);
    char path[CLI_PATH_SIZE];
    cli_path(cli, "evaluation", path);
    write_text(path, cli->out);
    const char *header = strstr(cli->out, "loss_nats");
    assert_non_null(header);
    int column = 0;
    for (const char *c = cli->out; c < header; c++)
        column += *c == ',';
    const double loss = last_value(cli, "evaluation", column), expected = last_value(cli, "out/training.csv", 4);
    assert_true(fabs(loss - expected) < 1e-5 * expected);
}

static void test_dtype(void **state)
{
    struct cli *cli = *state;
    struct stat f32, bf16;
    char path[CLI_PATH_SIZE];
    RUN(cli, "train", SMALL, "--out", "a", "--steps", "2");
    RUN(cli, "train", SMALL, "--out", "b", "--steps", "2", "--dtype", "BF16");
    assert_exit(cli, 0);
    cli_path(cli, "a/model.safetensors", path);
    assert_int_equal(stat(path, &f32), 0);
    cli_path(cli, "b/model.safetensors", path);
    assert_int_equal(stat(path, &bf16), 0);
    assert_in_range(bf16.st_size, f32.st_size * 45 / 100, f32.st_size * 55 / 100);
    assert_true(last_value(cli, "a/training.csv", 4) == last_value(cli, "b/training.csv", 4));
}

/* ---- Stopping and going on ------------------------------------------------------------------------------ */

#define LONG_RUN(out) "train", SMALL, "--out", out, "--steps", "6000", "--every", "500", "--threads", "2"

static void sleep_ms(int milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000L}, NULL);
}

/* Starts or goes on with the run in `broken` and ends it by a signal after a while; whether it had ended before. */
static bool run_for(struct cli *cli, int milliseconds, int signal_number)
{
    const bool begun = exists(cli, "broken/checkpoint.safetensors");
    const pid_t child = begun ? cli_start(cli, KV_PROGRAM,
                                          (const char *const[]){"train", "--out", "broken", "--resume", NULL})
                              : cli_start(cli, KV_PROGRAM, (const char *const[]){LONG_RUN("broken"), NULL});
    sleep_ms(milliseconds);
    kill(child, signal_number);
    cli_finish(cli, child);
    return cli->status == 0;
}

static void test_resume_to_the_same_bits(void **state)
{
    struct cli *cli = *state;
    uint64_t random = 11;
    int n_ended = 0, n_parts = 0;
    RUN(cli, LONG_RUN("whole"));
    assert_exit(cli, 0);
    while (!run_for(cli, random_between(&random, 100, 350) + 20 * n_parts, n_parts % 2 ? SIGKILL : SIGINT)) {
        n_ended += count_lines(cli->err, "stopped after step") == 1;
        assert_true(++n_parts < 60);
    }
    assert_true(n_ended > 0);
    assert_same_file(cli, "whole/model.safetensors", "broken/model.safetensors");
    assert_same_file(cli, "whole/config.json", "broken/config.json");
    assert_same_rows(cli, "whole/training.csv", "broken/training.csv");
}

static void test_signal_keeps_the_last_step(void **state)
{
    static const int signals[] = {SIGINT, SIGTERM};
    struct cli *cli = *state;
    for (size_t i = 0; i < COUNT(signals); i++) {
        char out[16], checkpoint[64];
        snprintf(out, sizeof out, "out%zu", i);
        snprintf(checkpoint, sizeof checkpoint, "%s/checkpoint.safetensors", out);
        const pid_t child = cli_start(cli, KV_PROGRAM,
                                      (const char *const[]){"train", SMALL, "--out", out, "--steps", "1000000", NULL});
        while (!exists(cli, checkpoint))
            sleep_ms(20);
        sleep_ms(300);
        kill(child, signals[i]);
        cli_finish(cli, child);
        assert_exit(cli, 1);
        assert_int_equal(count_lines(cli->err, "--resume goes on from here"), 1);
        RUN(cli, "generate", "--model", out, "-n", "4");
        assert_exit(cli, 0);
    }
}

static void test_resume_with_more_steps(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "20", "--every", "10");
    assert_exit(cli, 0);
    RUN(cli, "train", "--out", "out", "--resume");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "all 20 steps are done"), 1);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "40");
    assert_exit(cli, 0);
    assert_true(last_value(cli, "out/training.csv", 0) == 40);
    RUN(cli, "train", "--out", "out", "--resume"); /* it is 40 from now on */
    assert_int_equal(count_lines(cli->err, "all 40 steps are done"), 1);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "60", "--threads", "1");
    assert_exit(cli, 0);
    RUN(cli, "train", "--out", "out", "--resume", "--threads", "2", "--steps", "70");
    assert_int_equal(count_lines(cli->err, "threads was 1 and is 2 now"), 1);
}

/* A run that ends after an evaluation's checkpoint and before its model. */
static void test_resume_writes_the_missing_model(void **state)
{
    struct cli *cli = *state;
    char model[CLI_PATH_SIZE], kept[CLI_PATH_SIZE];
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "100", "--every", "50", "--lr", "0.01");
    assert_exit(cli, 0);
    cli_path(cli, "out/model.safetensors", model);
    cli_path(cli, "kept", kept);
    assert_int_equal(rename(model, kept), 0);
    RUN(cli, "train", "--out", "out", "--resume");
    assert_exit(cli, 0);
    assert_same_file(cli, "kept", "out/model.safetensors");
}

static void test_resume_without_rows(void **state)
{
    struct cli *cli = *state;
    char path[CLI_PATH_SIZE];
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "20", "--every", "10");
    assert_exit(cli, 0);
    cli_path(cli, "out/training.csv", path);
    unlink(path);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "30");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "training.csv begins anew"), 1);
    assert_true(last_value(cli, "out/training.csv", 0) == 30);
    assert_true(last_value(cli, "out/training.csv", 1) == 30 * 4 * 32);
}

/* The text was named from where the run began; a moved checkpoint of --init is not needed any more. */
static void test_resume_from_elsewhere(void **state)
{
    static const char command[] = "mkdir elsewhere && mv base elsewhere && cd elsewhere && "
                                  "'" KV_PROGRAM "' train --out ../tuned --resume --steps 6";
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "base", "--steps", "2");
    RUN(cli, "train", "--text", "text", "--init", "base", "--out", "tuned", "--steps", "4");
    assert_exit(cli, 0);
    RUN(cli, "train", "--text", "text", "--init", "base", "--out", "kjv", "--steps", "2"); /* also a model's name */
    RUN(cli, "train", "--out", "kjv", "--resume", "--steps", "3");
    assert_exit(cli, 0);
    assert_non_null(strstr(cli->out, "--model ./kjv\n"));
    cli_finish(cli, cli_start(cli, "/bin/sh", (const char *const[]){"-c", command, NULL}));
    assert_exit(cli, 0);
    assert_true(last_value(cli, "tuned/training.csv", 0) == 6);
}

static void test_what_cannot_change(void **state)
{
    static const char *const changes[][2] = {{"--validation", "9"}, {"--context", "16"}, {"--layers", "2"},
                                             {"--heads", "4"},      {"--embd", "64"},    {"--tokenizer", "gpt2"},
                                             {"--init", "kjv"}};
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "2");
    assert_exit(cli, 0);
    for (size_t i = 0; i < COUNT(changes); i++) {
        RUN(cli, "train", "--out", "out", "--resume", changes[i][0], changes[i][1]);
        assert_complaint(cli, 2, changes[i][0]);
    }
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "3", "--resume"); /* the same again is no change */
    assert_exit(cli, 0);
}

static void test_one_run_a_folder(void **state)
{
    struct cli *cli = *state;
    char leaving[CLI_PATH_SIZE];
    const pid_t child = cli_start(cli, KV_PROGRAM,
                                  (const char *const[]){"train", SMALL, "--out", "out", "--steps", "1000000", NULL});
    while (!exists(cli, "out/model.safetensors"))
        sleep_ms(20);
    struct cli *other = calloc(1, sizeof *other);
    assert_non_null(other);
    *other = *cli;
    RUN(other, "train", "--out", "out", "--resume");
    assert_exit(other, 1);
    assert_int_equal(count_lines(other->err, "another kvbench train is at work in it"), 1);
    free(other);
    kill(child, SIGKILL);
    cli_finish(cli, child);
    cli_path(cli, "out/checkpoint.safetensors.part-1", leaving);
    write_text(leaving, "half");
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "1");
    assert_exit(cli, 0);
    assert_false(exists(cli, "out/checkpoint.safetensors.part-1"));
}

/* ---- What goes wrong -------------------------------------------------------------------------------------- */

static void test_divergence_keeps_the_last_good_files(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "40", "--every", "20");
    assert_exit(cli, 0);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "80", "--lr", "1000");
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, "diverges") + count_lines(cli->err, "not a number"), 1);
    assert_true(last_value(cli, "out/training.csv", 0) == 40);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "60", "--lr", "0.001");
    assert_exit(cli, 0);
    assert_true(last_value(cli, "out/training.csv", 4) < 4);
}

/* Steps of a single token are noisy; that is no divergence. */
static void test_noise_is_no_divergence(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", "--text", "text", "--out", "out", "--layers", "1", "--heads", "2", "--embd", "32", "--batch", "1",
        "--context", "1", "--steps", "4000", "--every", "4000", "--validation", "1", "--threads", "1");
    assert_exit(cli, 0);
}

/* The smallest limit on files: what does not fit is said, and leaves nothing. */
static void test_no_room(void **state)
{
    static const char command[] = "ulimit -f 60; exec '" KV_PROGRAM
                                  "' train --text text --out out --layers 1 --steps 2";
    struct cli *cli = *state;
    cli_finish(cli, cli_start(cli, "/bin/sh", (const char *const[]){"-c", command, NULL}));
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, "out/checkpoint.safetensors: cannot be written: File too large"), 1);
    assert_false(exists(cli, "out/checkpoint.safetensors"));
    RUN(cli, "train", "--text", "text", "--out", "out", "--layers", "1", "--steps", "2");
    assert_exit(cli, 0);
}

/* The number before " MiB" behind `what`. */
static double mebibytes(const char *text, const char *what)
{
    const char *at = strstr(text, what);
    assert_non_null(at);
    return strtod(at + strlen(what), NULL);
}

/* With weights that dominate; a sanitizer's own memory is beside them, so there only the lower bound can hold. */
static void check_memory(const struct cli *cli)
{
    const double stated = mebibytes(cli->err, "peak memory about "), taken = mebibytes(cli->out, "peak memory ");
    assert_true(taken > 0.85 * stated);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(taken < 1.15 * stated);
#endif
}

static void test_stated_memory(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", "--text", "text", "--out", "out", "--layers", "2", "--heads", "2", "--embd", "512", "--context",
        "8", "--batch", "1", "--steps", "2", "--threads", "2");
    assert_exit(cli, 0);
    check_memory(cli);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "3");
    assert_exit(cli, 0);
    check_memory(cli);
}

static void test_refusals(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", "--text", "text");
    assert_complaint(cli, 2, "--out is missing");
    RUN(cli, "train", "--out", "out");
    assert_complaint(cli, 2, "--text is missing");
    RUN(cli, "train", "--resume");
    assert_complaint(cli, 2, "--resume needs --out");
    RUN(cli, "train", "--resume", "--out", "nothing");
    assert_complaint(cli, 1, "nothing/checkpoint.safetensors");
    RUN(cli, "train", "--text", "text", "--out", "out", "--heads", "3");
    assert_complaint(cli, 2, "--embd must be a multiple of --heads");
    RUN(cli, "train", "--text", "text", "--out", "out", "--lr", "-1");
    assert_complaint(cli, 2, "--lr");
    RUN(cli, "train", "--text", "text", "--out", "out", "--init", "x", "--layers", "2");
    assert_complaint(cli, 2, "--init");
    RUN(cli, "train", "--text", "text", "--out", "out", "--init", "nothing");
    assert_complaint(cli, 1, "--init nothing: there are no weights");
    RUN(cli, "train", "--text", "text", "--out", "out", "--init", KV_DATA_DIR "/reference/tiny-f32", "--tokenizer",
        "bytes");
    assert_complaint(cli, 1, "tokenizer 'bytes' has 256 ids");
    RUN(cli, "train", "--text", "missing", "--out", "out");
    assert_complaint(cli, 1, "missing");
    RUN(cli, "train", "--text", "text", "--out", "no/such/folder");
    assert_int_equal(count_lines(cli->err, "no/such/folder: cannot be made"), 1);
    assert_exit(cli, 1);
    RUN(cli, "train", "--text", "text", "--out", "out", "--embd", "1000000", "--heads", "1", "--layers", "1000");
    assert_complaint(cli, 1, "use a smaller");
    RUN(cli, "train", "--text", "text", "--out", "out", "--context", "50000");
    assert_complaint(cli, 1, "give a longer text");
    assert_int_equal(cli_count_entries(cli), 1); /* the text: what is refused leaves nothing behind */
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "2");
    assert_exit(cli, 0);
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "2");
    assert_complaint(cli, 1, "--resume goes on with that run");
    char path[CLI_PATH_SIZE];
    cli_path(cli, "out/checkpoint.safetensors", path);
    unlink(path);
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "2");
    assert_complaint(cli, 1, "out holds model.safetensors already");
}

static void test_another_text_is_noticed(void **state)
{
    struct cli *cli = *state;
    char path[CLI_PATH_SIZE];
    RUN(cli, "train", SMALL, "--out", "out", "--steps", "2");
    cli_path(cli, "text", path);
    char *text = read_text(path);
    text[17] ^= 1;
    write_text(path, text);
    free(text);
    RUN(cli, "train", "--out", "out", "--resume", "--steps", "4");
    assert_exit(cli, 1);
    assert_int_equal(count_lines(cli->err, "not the text"), 1);
}

/* ---- From a checkpoint ------------------------------------------------------------------------------------ */

static void test_fine_tuning(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "train", SMALL, "--out", "base", "--steps", "200", "--every", "100", "--lr", "0.01");
    assert_exit(cli, 0);
    const double before = last_value(cli, "base/training.csv", 4);
    RUN(cli, "train", "--text", "text", "--init", "base", "--out", "tuned", "--steps", "100", "--every", "50", "--lr",
        "0.002");
    assert_exit(cli, 0);
    assert_true(last_value(cli, "tuned/training.csv", 4) < before);
    RUN(cli, "train", "--text", "text", "--init", "base", "--out", "same", "--steps", "1", "--lr", "0", "--context",
        "16");
    assert_exit(cli, 0);
    assert_same_file(cli, "base/config.json", "same/config.json");
    assert_same_file(cli, "base/model.safetensors", "same/model.safetensors"); /* rate 0: not a bit moves */
}

#define TRAIN_TEST(function) cmocka_unit_test_setup_teardown(function, set_up, cli_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRAIN_TEST(test_learns_and_says_so),
        TRAIN_TEST(test_validation_loss_is_the_models),
        TRAIN_TEST(test_dtype),
        TRAIN_TEST(test_resume_to_the_same_bits),
        TRAIN_TEST(test_signal_keeps_the_last_step),
        TRAIN_TEST(test_resume_with_more_steps),
        TRAIN_TEST(test_divergence_keeps_the_last_good_files),
        TRAIN_TEST(test_resume_writes_the_missing_model),
        TRAIN_TEST(test_resume_without_rows),
        TRAIN_TEST(test_resume_from_elsewhere),
        TRAIN_TEST(test_what_cannot_change),
        TRAIN_TEST(test_one_run_a_folder),
        TRAIN_TEST(test_noise_is_no_divergence),
        TRAIN_TEST(test_no_room),
        TRAIN_TEST(test_stated_memory),
        TRAIN_TEST(test_refusals),
        TRAIN_TEST(test_another_text_is_noticed),
        TRAIN_TEST(test_fine_tuning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
