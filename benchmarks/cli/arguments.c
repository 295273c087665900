#include "cli/arguments.h"

#include <stdlib.h>
#include <string.h>

char *arguments_to_json(int argc, char **argv)
{
    json_t *array = json_array();
    for (int i = 0; i < argc; i++) {
        if (json_array_append_new(array, json_string(argv[i])) != 0) {
            json_decref(array);
            return NULL;
        }
    }
    char *text = json_dumps(array, JSON_COMPACT);
    json_decref(array);
    return text;
}

void arguments_free(char **argv)
{
    for (int i = 0; argv && argv[i]; i++)
        free(argv[i]);
    free(argv);
}

char **arguments_of_json(const json_t *array)
{
    const size_t n = json_array_size(array);
    char **argv = calloc(n + 1, sizeof *argv);
    for (size_t i = 0; argv && i < n; i++) {
        const char *text = json_string_value(json_array_get(array, i));
        argv[i] = text ? strdup(text) : NULL;
        if (!argv[i]) {
            arguments_free(argv);
            return NULL;
        }
    }
    return argv;
}
