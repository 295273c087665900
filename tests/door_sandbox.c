#include "door_sandbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *const basic_tools[] = {"sh",  "env", "dirname", "readlink", "tr",    "paste", "grep",
                                          "cat", "rm",  "mkdir",   "cksum",    "flock", "sleep"};

static void in_sandbox(const struct sandbox *box, const char *name, char *path)
{
    assert_in_range(snprintf(path, SANDBOX_PATH_SIZE, "%s/%s", box->root, name), 1, SANDBOX_PATH_SIZE - 1);
}

void sandbox_write(const struct sandbox *box, const char *name, const char *text)
{
    char path[SANDBOX_PATH_SIZE];
    in_sandbox(box, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static void read_path(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t length = fread(text, 1, size - 1, file);
    text[length] = '\0';
    assert_true(feof(file));
    fclose(file);
}

static void read_file(const struct sandbox *box, const char *name, char *text)
{
    char path[SANDBOX_PATH_SIZE];
    in_sandbox(box, name, path);
    read_path(path, text, SANDBOX_TEXT_SIZE);
}

bool sandbox_has(const struct sandbox *box, const char *name)
{
    char path[SANDBOX_PATH_SIZE];
    in_sandbox(box, name, path);
    return access(path, F_OK) == 0;
}

void sandbox_make_folder(const struct sandbox *box, const char *name)
{
    char path[SANDBOX_PATH_SIZE];
    in_sandbox(box, name, path);
    assert_int_equal(mkdir(path, 0755), 0);
}

void sandbox_delete(const struct sandbox *box, const char *name)
{
    char path[SANDBOX_PATH_SIZE];
    in_sandbox(box, name, path);
    assert_int_equal(unlink(path), 0);
}

static void link_basic_tools(const struct sandbox *box)
{
    for (size_t i = 0; i < sizeof basic_tools / sizeof *basic_tools; i++) {
        char target[SANDBOX_PATH_SIZE], name[SANDBOX_PATH_SIZE], path[SANDBOX_PATH_SIZE];
        snprintf(target, sizeof target, "/usr/bin/%s", basic_tools[i]);
        if (access(target, X_OK) != 0) {
            snprintf(target, sizeof target, "/bin/%s", basic_tools[i]);
        }
        assert_int_equal(access(target, X_OK), 0);
        snprintf(name, sizeof name, "bin/%s", basic_tools[i]);
        in_sandbox(box, name, path);
        assert_int_equal(symlink(target, path), 0);
    }
}

void sandbox_fake(const struct sandbox *box, const char *command, const char *body)
{
    char script[SANDBOX_TEXT_SIZE], name[SANDBOX_PATH_SIZE];
    snprintf(script, sizeof script, "#!/bin/sh\necho \"%s $*\" >>\"$CALLS\"\n%s\n", command, body);
    snprintf(name, sizeof name, "bin/%s", command);
    sandbox_write(box, name, script);
}

void sandbox_fake_program(const struct sandbox *box, const char *body)
{
    char script[SANDBOX_TEXT_SIZE];
    snprintf(script, sizeof script, "#!/bin/sh\necho \"program $*\" >>\"$CALLS\"\n%s\n", body);
    sandbox_write(box, "project/build/benchmarks/kvbench", script);
}

int sandbox_create(void **state)
{
    static char text[1 << 16];
    char setting[SANDBOX_PATH_SIZE];
    struct sandbox *box = calloc(1, sizeof *box);
    assert_non_null(box);
    strcpy(box->root, "/tmp/kvbench door-XXXXXX");
    assert_non_null(mkdtemp(box->root));
    static const char *const folders[] = {"bin",
                                          "caller",
                                          "project",
                                          "project/plots",
                                          "project/subprojects",
                                          "project/build",
                                          "project/build/benchmarks"};
    for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
        sandbox_make_folder(box, folders[i]);
    }
    link_basic_tools(box);
    read_path(KV_DOOR, text, sizeof text);
    sandbox_write(box, "project/kvbench", text);
    sandbox_write(box, "project/plots/render.sh",
                  "#!/bin/sh\necho \"render $*\" >>\"$CALLS\"\nexit \"${RENDER_STATUS:-0}\"\n");
    sandbox_fake(box, "id", "echo 1000");
    sandbox_fake(box, "gcc", "");
    sandbox_fake(box, "g++", "");
    sandbox_fake(box, "curl", "");
    sandbox_fake(box, "gnuplot", "");
    sandbox_fake(box, "pkg-config", "[ \"$2\" != \"${NO_MODULE:-}\" ]");
    sandbox_fake(box, "meson",
                 "case $1 in --version) echo \"${MESON_VERSION:-1.0.1}\" ;; "
                 "setup) echo ninja >\"$3/build.ninja\" ;; test) exit \"${TEST_STATUS:-0}\" ;; esac");
    sandbox_fake(box, "ninja", "printf '[1/1] compiling\\nunused variable x\\n'; exit \"${NINJA_STATUS:-0}\"");
    sandbox_fake_program(box, "echo \"in $PWD\"; exit \"${PROGRAM_STATUS:-0}\"");
    snprintf(setting, sizeof setting, "PATH=%s/bin", box->root);
    sandbox_set(box, setting);
    snprintf(setting, sizeof setting, "CALLS=%s/calls", box->root);
    sandbox_set(box, setting);
    *state = box;
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

int sandbox_remove(void **state)
{
    struct sandbox *box = *state;
    int failed = nftw(box->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(box);
    return failed;
}

void sandbox_set(struct sandbox *box, const char *setting)
{
    assert_in_range(box->n_settings, 0, SANDBOX_MAX_SETTINGS - 1);
    assert_true(strlen(setting) < SANDBOX_PATH_SIZE);
    strcpy(box->settings[box->n_settings++], setting);
}

/* In the child: the door with these arguments, started from the folder `caller`. */
static void become_door(const struct sandbox *box, const char *const *arguments)
{
    char door[SANDBOX_PATH_SIZE], folder[SANDBOX_PATH_SIZE], out[SANDBOX_PATH_SIZE], err[SANDBOX_PATH_SIZE];
    in_sandbox(box, "project/kvbench", door);
    in_sandbox(box, "caller", folder);
    in_sandbox(box, "out", out);
    in_sandbox(box, "err", err);
    const char *environment[SANDBOX_MAX_SETTINGS + 1] = {NULL};
    for (int i = 0; i < box->n_settings; i++) {
        environment[i] = box->settings[i];
    }
    const char *argv[16] = {door};
    for (int i = 0; arguments[i] != NULL && i < 14; i++) {
        argv[1 + i] = arguments[i];
    }
    if (chdir(folder) == 0 && freopen(out, "a", stdout) && freopen(err, "a", stderr)) {
        execve(door, (char *const *)argv, (char *const *)environment);
    }
    _exit(126);
}

pid_t sandbox_start(const struct sandbox *box, const char *const *arguments)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        become_door(box, arguments);
    }
    return child;
}

int sandbox_finish(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

void sandbox_read_results(struct sandbox *box)
{
    read_file(box, "out", box->out);
    read_file(box, "err", box->err);
    read_file(box, "calls", box->calls);
}

void sandbox_clear_results(const struct sandbox *box)
{
    sandbox_write(box, "out", "");
    sandbox_write(box, "err", "");
    sandbox_write(box, "calls", "");
}

void sandbox_run(struct sandbox *box, const char *const *arguments)
{
    sandbox_clear_results(box);
    box->status = sandbox_finish(sandbox_start(box, arguments));
    sandbox_read_results(box);
}
