/* A run that is resumed is the run that its context.json tells of. */
#include "cli/bench.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void bench_free_arguments(char **argv)
{
    for (int i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

static char **copy_texts(const json_t *array)
{
    const size_t n = json_array_size(array);
    char **texts = calloc(n + 1, sizeof *texts);
    for (size_t i = 0; texts && i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        texts[i] = text ? strdup(text) : NULL;
        if (!texts[i]) {
            bench_free_arguments(texts);
            return NULL;
        }
    }
    return texts;
}

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
    if (!json_is_array(arguments) || json_array_size(arguments) < 1 || !(*argv = copy_texts(arguments))) {
        snprintf(error->message, sizeof error->message, "%.400s: run.command is no list of arguments", file);
        status = KV_ERROR_FORMAT;
    } else {
        *argc = (int)json_array_size(arguments);
    }
    json_decref(context);
    return status;
}
