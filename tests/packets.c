#include "packets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000, MAX_ARGUMENTS = 28 };

/* A shell gives the program its stdout, which the runner would make a file. */
static void start(const struct cli *cli, struct packets *p, int out, const char *redirection,
                  const char *const *arguments)
{
    char script[64];
    const char *all[MAX_ARGUMENTS + 5] = {"-c", script, "sh", KV_PROGRAM};
    snprintf(script, sizeof script, redirection, out, out);
    for (int i = 0; arguments[i]; i++) {
        assert_in_range(i, 0, MAX_ARGUMENTS - 1);
        all[4 + i] = arguments[i];
    }
    p->n_text = 0;
    p->n = 0;
    p->child = cli_start(cli, "/bin/sh", all);
    close(out);
}

void packets_start(const struct cli *cli, struct packets *p, const char *const *arguments)
{
    int ends[2];
    assert_int_equal(pipe2(ends, O_DIRECT), 0); /* packets: what is written at once is read at once */
    p->descriptor = ends[0];
    assert_int_equal(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);
    start(cli, p, ends[1], "exec \"$@\" >&%d %d>&-", arguments);
}

void packets_start_on_terminal(const struct cli *cli, struct packets *p, int width, int height,
                               const char *const *arguments)
{
    int terminal;
    const struct winsize size = {.ws_col = (unsigned short)width, .ws_row = (unsigned short)height};
    assert_int_equal(openpty(&p->descriptor, &terminal, NULL, NULL, &size), 0);
    assert_int_equal(fcntl(p->descriptor, F_SETFD, FD_CLOEXEC), 0);
    start(cli, p, terminal, "exec \"$@\" >&%d 2>&%d", arguments);
}

bool packets_read(struct packets *p)
{
    struct pollfd poll_for = {.fd = p->descriptor, .events = POLLIN};
    const int ready = poll(&poll_for, 1, PATIENCE_MS);
    if (ready == 0)
        fail_msg("nothing was written for %d s", PATIENCE_MS / 1000);
    assert_true(p->n < MAX_PACKETS);
    const ssize_t n = read(p->descriptor, p->text + p->n_text, sizeof p->text - p->n_text);
    if (n <= 0) { /* a terminal whose program has ended says EIO */
        assert_true(n == 0 || errno == EIO);
        return false;
    }
    p->n_text += (size_t)n;
    assert_true(p->n_text < sizeof p->text);
    p->ends[p->n++] = p->n_text;
    return true;
}

void packets_finish(struct cli *cli, struct packets *p)
{
    while (packets_read(p))
        continue;
    close(p->descriptor);
    cli_finish(cli, p->child);
    p->text[p->n_text] = '\0';
}

void packets_run(struct cli *cli, struct packets *p, const char *const *arguments)
{
    packets_start(cli, p, arguments);
    packets_finish(cli, p);
}
