/* Runs the built program as a person would, in an empty folder of its own and with nothing of the person's settings
 * in its environment, and keeps what it printed and how it ended. Every failure in here ends the running test. */
#ifndef KV_TESTS_CLI_RUNNER_H
#define KV_TESTS_CLI_RUNNER_H

#include "support.h"

#include <jansson.h>
#include <sys/types.h>

enum { CLI_PATH_SIZE = 1024, CLI_TEXT_SIZE = 1 << 20, CLI_MAX_SETTINGS = 8 };

struct cli {
    char root[128];                         /* temporary; holds the folder below and what is captured */
    char folder[160];                       /* the program's working folder, empty at first */
    const char *settings[CLI_MAX_SETTINGS]; /* of the runs to come: "NAME=VALUE" sets, "NAME" unsets; NULL: no more */
    const char *stdout_file;                /* where stdout goes instead of `out`; NULL: nowhere else */
    int status;                             /* exit status, or 128 + the signal that ended it */
    char out[CLI_TEXT_SIZE];                /* stdout */
    char err[CLI_TEXT_SIZE];                /* stderr */
};

/* cmocka fixtures: *state becomes a struct cli. */
int cli_set_up(void **state);
int cli_tear_down(void **state);
#define CLI_TEST(function) cmocka_unit_test_setup_teardown(function, cli_set_up, cli_tear_down)

/* Starts a program; arguments end with NULL. It dies with the test. */
pid_t cli_start(const struct cli *cli, const char *program, const char *const *arguments);
/* Waits for its end and reads what it printed. */
void cli_finish(struct cli *cli, pid_t child);
/* Both, for kvbench. */
void cli_run(struct cli *cli, const char *const *arguments);
#define RUN(cli, ...) cli_run(cli, (const char *const[]){__VA_ARGS__, NULL})

/* Fails the running test, and shows stderr, unless the last run ended so. */
#define assert_exit(cli, expected) check_exit((cli), (expected), __FILE__, __LINE__)
void check_exit(const struct cli *cli, int expected, const char *file, int line);

/* Fails the running test unless the last run ended so, printed nothing on stdout and, on stderr, one line that begins
 * with the program's name and has `part` in it. */
#define assert_complaint(cli, expected, part) check_complaint((cli), (expected), (part), __FILE__, __LINE__)
void check_complaint(const struct cli *cli, int expected, const char *part, const char *file, int line);

/* Lines of a text that have `part` in them; "" is in every line. */
int count_lines(const char *text, const char *part);

/* path [CLI_PATH_SIZE] = folder/name. */
void cli_path(const struct cli *cli, const char *name, char *path);
/* Entries of the working folder. */
#define cli_count_entries(cli) files_in((cli)->folder)

#endif
