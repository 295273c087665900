#include "cli_runner.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

int cli_set_up(void **state)
{
    struct cli *cli = *state = calloc(1, sizeof *cli);
    if (!cli || folder_make(cli->root, sizeof cli->root) != 0)
        return -1;
    snprintf(cli->folder, sizeof cli->folder, "%s/folder", cli->root);
    return mkdir(cli->folder, 0755);
}

int cli_tear_down(void **state)
{
    struct cli *cli = *state;
    const int failed = folder_remove(cli->root);
    free(cli);
    return failed;
}

/* ---- The program and its environment ------------------------------------------------------------------- */

static void unset_all(const char *prefix)
{
    for (char **variable = environ; *variable;) {
        if (strncmp(*variable, prefix, strlen(prefix)) != 0) {
            variable++;
            continue;
        }
        char name[256] = "";
        strncat(name, *variable, sizeof name - 1);
        name[strcspn(name, "=")] = '\0';
        unsetenv(name);
        variable = environ;
    }
}

static void set_environment(const struct cli *cli)
{
    char models[sizeof cli->root + 16];
    unset_all("KVBENCH_");
    unset_all("BENCHMARK_");
    snprintf(models, sizeof models, "%s/models", cli->root);
    setenv("KVBENCH_MODELS", models, 1); /* checkpoints that a person has fetched are out of sight */
    const char *better = kv_openblas_better_core();
    if (better)
        setenv("OPENBLAS_CORETYPE", better, 0); /* no restart where OpenBLAS mistakes this CPU */
    for (int i = 0; i < CLI_MAX_SETTINGS && cli->settings[i]; i++)
        putenv((char *)(uintptr_t)cli->settings[i]);
}

static void captured_path(const struct cli *cli, const char *stream, char *path)
{
    snprintf(path, CLI_PATH_SIZE, "%s/%s", cli->root, stream);
}

/* In the child. */
static void become(const struct cli *cli, const char *program, const char *const *arguments)
{
    char out[CLI_PATH_SIZE], err[CLI_PATH_SIZE];
    const char *argv[32] = {program};
    for (int i = 0; arguments[i] && i < 30; i++)
        argv[1 + i] = arguments[i];
    captured_path(cli, "out", out);
    captured_path(cli, "err", err);
    set_environment(cli);
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && chdir(cli->folder) == 0 && freopen("/dev/null", "r", stdin) &&
        freopen(out, "w", stdout) && (!cli->stdout_file || freopen(cli->stdout_file, "w", stdout)) &&
        freopen(err, "w", stderr))
        execv(program, (char *const *)(uintptr_t)argv);
    _exit(126);
}

pid_t cli_start(const struct cli *cli, const char *program, const char *const *arguments)
{
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become(cli, program, arguments);
    return child;
}

static void read_captured(const struct cli *cli, const char *stream, char *text)
{
    char path[CLI_PATH_SIZE];
    captured_path(cli, stream, path);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    const size_t length = fread(text, 1, CLI_TEXT_SIZE, file);
    fclose(file);
    assert_true(length < CLI_TEXT_SIZE);
    text[length] = '\0';
}

void cli_finish(struct cli *cli, pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    cli->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    read_captured(cli, "out", cli->out);
    read_captured(cli, "err", cli->err);
}

void cli_run(struct cli *cli, const char *const *arguments)
{
    cli_finish(cli, cli_start(cli, KV_PROGRAM, arguments));
}

/* ---- Judging what came of it ----------------------------------------------------------------------------- */

void check_exit(const struct cli *cli, int expected, const char *file, int line)
{
    if (cli->status == expected)
        return;
    print_error("exit status %d instead of %d; stderr:\n%s", cli->status, expected, cli->err);
    _fail(file, line);
}

void check_complaint(const struct cli *cli, int expected, const char *part, const char *file, int line)
{
    static const char name[] = "kvbench";
    const char after = strncmp(cli->err, name, strlen(name)) == 0 ? cli->err[strlen(name)] : '\0';
    const char *end = strchr(cli->err, '\n');
    check_exit(cli, expected, file, line);
    if ((after == ' ' || after == ':') && end && !end[1] && strstr(cli->err, part) && !*cli->out)
        return;
    print_error("'%s' wanted in one line on stderr and nothing on stdout; stdout:\n%sstderr:\n%s", part, cli->out,
                cli->err);
    _fail(file, line);
}

int count_lines(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text, *end; *at; at = *end ? end + 1 : end) {
        end = at + strcspn(at, "\n");
        n += memmem(at, (size_t)(end - at), part, strlen(part)) != NULL;
    }
    return n;
}

void cli_path(const struct cli *cli, const char *name, char *path)
{
    assert_in_range(snprintf(path, CLI_PATH_SIZE, "%s/%s", cli->folder, name), 1, CLI_PATH_SIZE - 1);
}
