/* Runs the program with stdout into something else than a file: a pipe that keeps every write apart, so that a test
 * sees what was written at once and when, or a terminal. */
#ifndef KV_TESTS_PACKETS_H
#define KV_TESTS_PACKETS_H

#include "cli_runner.h"

enum { PACKETS_SIZE = 1 << 18, MAX_PACKETS = 1 << 17 };

/* What one run wrote. */
struct packets {
    pid_t child;
    int descriptor; /* to read from */
    char text[PACKETS_SIZE];
    size_t n_text;
    size_t ends[MAX_PACKETS]; /* of each write, in text */
    int n;
};

/* Starts kvbench with those arguments, which end with NULL. */
void packets_start(const struct cli *cli, struct packets *p, const char *const *arguments);
/* The same with stdout and stderr on a terminal of that size; 0 x 0: one that does not know its own. */
void packets_start_on_terminal(const struct cli *cli, struct packets *p, int width, int height,
                               const char *const *arguments);

/* Waits for the next write and appends it; false at the end. A program that writes nothing for long fails the test. */
bool packets_read(struct packets *p);

/* Reads to the end and waits for the program; its status, as in struct cli, and stderr are then in *cli. */
void packets_finish(struct cli *cli, struct packets *p);

/* All of it, for a program and its text. */
#define PACKETS(cli, p, ...) packets_run(cli, p, (const char *const[]){__VA_ARGS__, NULL})
void packets_run(struct cli *cli, struct packets *p, const char *const *arguments);

#endif
