/* A sandbox for tests of the door script ./kvbench: a copy of it in an empty project, and a PATH that holds nothing
 * but a few basic tools and fakes that write down how they were called. Every failure ends the running test. */
#ifndef KVBENCH_TESTS_DOOR_SANDBOX_H
#define KVBENCH_TESTS_DOOR_SANDBOX_H

#include <stdbool.h>
#include <sys/types.h>

enum { SANDBOX_PATH_SIZE = 512, SANDBOX_TEXT_SIZE = 8192, SANDBOX_MAX_SETTINGS = 8 };

struct sandbox {
    char root[64];                                          /* holds bin, caller, project, and the files below */
    char settings[SANDBOX_MAX_SETTINGS][SANDBOX_PATH_SIZE]; /* NAME=VALUE, all that the door's environment has */
    int n_settings;
    int status;                    /* the door's exit status */
    char out[SANDBOX_TEXT_SIZE];   /* its stdout */
    char err[SANDBOX_TEXT_SIZE];   /* its stderr */
    char calls[SANDBOX_TEXT_SIZE]; /* a line a call of a fake, in order */
};

/* cmocka fixtures: *state becomes a struct sandbox with every tool that the door needs, a user who is not root,
 * no apt-get and no sudo, and a build folder that holds the program but is not configured. */
int sandbox_create(void **state);
int sandbox_remove(void **state);

/* Names are relative to box->root. Files are written executable. */
void sandbox_write(const struct sandbox *box, const char *name, const char *text);
void sandbox_delete(const struct sandbox *box, const char *name);
void sandbox_make_folder(const struct sandbox *box, const char *name);
bool sandbox_has(const struct sandbox *box, const char *name);

/* A command that notes its name and arguments, then goes on with this line of sh. */
void sandbox_fake(const struct sandbox *box, const char *command, const char *body);
void sandbox_fake_program(const struct sandbox *box, const char *body);

/* Adds one NAME=VALUE to the door's environment. */
void sandbox_set(struct sandbox *box, const char *setting);

/* Starts the door in the folder `caller`; arguments end with NULL. finish returns its exit status. */
pid_t sandbox_start(const struct sandbox *box, const char *const *arguments);
int sandbox_finish(pid_t door);

/* Forgets, and reads, what all doors since then have written and called. */
void sandbox_clear_results(const struct sandbox *box);
void sandbox_read_results(struct sandbox *box);

/* All of that for one door. */
void sandbox_run(struct sandbox *box, const char *const *arguments);
#define RUN(box, ...) sandbox_run(box, (const char *const[]){__VA_ARGS__, NULL})

#endif
