/* A run that is killed at any moment leaves whole rows, and --resume finishes it: the same rows, none twice. */
#include "cli_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Kills over the whole test, and the most that one run takes before it is left to finish. */
#define KILLS       20
#define KILLS_A_RUN 7
/* A part of a run lives for so long, at random: measuring the limits takes the first half of a second. */
#define SHORTEST_MS 300
#define LONGEST_MS  2200

static const char *const folder_model = KV_DATA_DIR "/reference/tiny-f32";

/* The arguments of the run that is killed: cells of which one fails, for a failed row is a finished one, too. */
#define BENCH(out)                                                                                                     \
    "bench", "--quiet", "--threads", "1", "--model", folder_model, "--suite", "batch,depth", "--batch", "1,3",         \
        "--prompt", "1,21,60", "--new", "7", "--reps", "300", "--out", out

static void sleep_ms(int milliseconds)
{
    nanosleep(&(struct timespec){milliseconds / 1000, milliseconds % 1000 * 1000000L}, NULL);
}

/* Starts the run or goes on with it, and kills it after a while; true when it ended before that. */
static bool run_for(struct cli *cli, const char *const *arguments, int milliseconds)
{
    const pid_t child = cli_start(cli, KV_PROGRAM, arguments);
    sleep_ms(milliseconds);
    kill(child, SIGKILL);
    cli_finish(cli, child);
    return cli->status != 128 + SIGKILL;
}

static void assert_same_rows(struct cli *cli, const char *whole, const char *resumed)
{
    json_t *report = PYTHON(cli, KV_CHECK_RESUME, whole, resumed);
    const json_t *problems = json_object_get(report, "problems");
    for (size_t i = 0; i < json_array_size(problems); i++)
        print_error("%s\n", json_string_value(json_array_get(problems, i)));
    assert_int_equal(json_array_size(problems), 0);
    assert_true(json_integer_value(json_object_get(report, "runs")) > 4000);
    assert_true(json_integer_value(json_object_get(report, "tokens")) > 30000);
    json_decref(report);
}

static void test_killed_at_random_moments(void **state)
{
    struct cli *cli = *state;
    uint64_t random = 20190214;
    RUN(cli, BENCH("whole"));
    assert_exit(cli, 1); /* one configuration is longer than the window */
    for (int kills = 0, run = 0; kills < KILLS; run++) {
        char out[32];
        snprintf(out, sizeof out, "run%d", run);
        const char *const first[] = {BENCH(out), NULL}, *const again[] = {"bench", "--quiet", "--resume", out, NULL};
        bool done = run_for(cli, first, random_between(&random, SHORTEST_MS, LONGEST_MS));
        kills += !done;
        for (int i = 1; !done && i < KILLS_A_RUN && kills < KILLS; i++) {
            done = run_for(cli, again, random_between(&random, SHORTEST_MS, LONGEST_MS));
            kills += !done;
        }
        cli_run(cli, again); /* of a run that is done: there is nothing to measure */
        assert_exit(cli, 1);
        assert_same_rows(cli, "whole", out);
    }
}

static void test_interrupt_leaves_a_run_to_resume(void **state)
{
    struct cli *cli = *state;
    const char *const first[] = {BENCH("run"), NULL};
    RUN(cli, BENCH("whole"));
    const pid_t child = cli_start(cli, KV_PROGRAM, first);
    sleep_ms(1500);
    kill(child, SIGINT);
    cli_finish(cli, child);
    assert_exit(cli, 1);
    assert_non_null(strstr(cli->err, "--resume run"));
    RUN(cli, "bench", "--quiet", "--resume", "run");
    assert_exit(cli, 1);
    assert_same_rows(cli, "whole", "run");
}

static void test_what_cannot_be_resumed(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "bench", "--resume", "nowhere");
    assert_complaint(cli, 1, "nowhere holds no run to resume");
    RUN(cli, "bench", "--resume", "run", "--out", "other");
    assert_complaint(cli, 2, "--resume");
    RUN(cli, "bench", "--quiet", "--model", folder_model, "--suite", "batch", "--batch", "1", "--new", "2", "--out",
        "run");
    assert_exit(cli, 0);
    RUN(cli, "bench", "--quiet", "--resume", "run", "--batch", "2"); /* another plan than the rows are of */
    assert_exit(cli, 1);
    assert_non_null(strstr(cli->err, "no configuration of this run"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_killed_at_random_moments),
        CLI_TEST(test_interrupt_leaves_a_run_to_resume),
        CLI_TEST(test_what_cannot_be_resumed),
    };
    return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
