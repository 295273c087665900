/* What the train command was asked for, and what it says; its parts share this. */
#ifndef KV_CLI_TRAIN_H
#define KV_CLI_TRAIN_H

#include "cli/cli.h"
#include "text/training.h"

/* Reads the arguments; with --resume those of the interrupted run first, then what was typed now on top. *arguments,
 * for the caller to free(), is a command of all options as they are, from which the next --resume starts. *kept owns
 * what the options point to: give it back with arguments_free. False: *status is the exit status, said. */
bool train_parse(struct kv_training_options *options, int argc, char **argv, char **arguments, char ***kept,
                 int *status);

/* Writes progress to stderr; ends a training at the first SIGINT or SIGTERM, between two steps. */
struct train_progress {
    struct kv_training_watcher watcher;
    bool redraws; /* a terminal: one line, drawn over */
    int64_t began_ns, drawn_ns;
    int64_t first_step; /* of this sitting; -1: not begun */
};
void train_progress_begin(struct train_progress *progress);
/* Ends the line that is drawn over. */
void train_progress_end(const struct train_progress *progress);

#endif
