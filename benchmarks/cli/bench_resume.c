/* A run that is resumed is the run that its context.json tells of. */
#include "cli/arguments.h"
#include "cli/bench.h"

#include <jansson.h>
#include <stdio.h>

kv_status bench_read_arguments(const char *folder, int *argc, char ***argv, struct kv_error *error)
{
    char file[4096];
    json_error_t json_error;
    *argv = NULL;
    snprintf(file, sizeof file, "%s/context.json", folder);
    json_t *context = json_load_file(file, 0, &json_error);
    if (!context) {
        snprintf(error->message, sizeof error->message, "%s holds no run to resume: %.160s", folder, json_error.text);
        return KV_ERROR_IO;
    }
    const json_t *arguments = json_object_get(json_object_get(context, "run"), "command");
    kv_status status = KV_OK;
    if (!json_is_array(arguments) || json_array_size(arguments) < 1 || !(*argv = arguments_of_json(arguments))) {
        snprintf(error->message, sizeof error->message, "%.400s: run.command is no list of arguments", file);
        status = KV_ERROR_FORMAT;
    } else {
        *argc = (int)json_array_size(arguments);
    }
    json_decref(context);
    return status;
}
