/* What the train command was asked for. */
#ifndef KV_CLI_TRAIN_H
#define KV_CLI_TRAIN_H

#include "cli/cli.h"
#include "text/training.h"

#include <jansson.h>

struct train_settings {
    struct kv_training_options options;
    json_t *before; /* settings of the interrupted run, which own texts that the options point to; or NULL */
    char *record;   /* a JSON object of all options as they are, by their names: what the next --resume starts from */
};

/* Reads the arguments; with --resume the settings of the interrupted run first, then what was typed now on top. False:
 * *status is the exit status, said. In either case train_settings_free after it. */
bool train_parse(struct train_settings *settings, int argc, char **argv, int *status);
void train_settings_free(struct train_settings *settings);

#endif
