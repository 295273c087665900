#include "results/measured_on.h"

#include "results/names.h"

#include <jansson.h>
#include <stdlib.h>
#include <unistd.h>

/* A text of the object's member, cut to `size`; "" when it is unknown. */
static void copy_text(char *text, size_t size, const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));
    snprintf(text, size, "%s", value ? value : "");
    kv_make_printable(text);
}

static void read_members(struct kv_measured_on *machine, const json_t *context)
{
    const json_t *cpu = json_object_get(json_object_get(context, "machine"), "cpu");
    const json_t *threads = json_object_get(json_object_get(context, "run"), "threads");
    copy_text(machine->cpu, sizeof machine->cpu, cpu, "name");
    copy_text(machine->openblas_core, sizeof machine->openblas_core, json_object_get(context, "libraries"),
              "openblas_core");
    if (json_is_integer(threads))
        machine->threads = (int)json_integer_value(threads);
}

void kv_measured_on_read(struct kv_measured_on *machine, const char *folder)
{
    json_error_t problem;
    char *file;
    *machine = (struct kv_measured_on){.threads = -1};
    if (asprintf(&file, "%s/context.json", folder) < 0)
        return;
    if (access(file, F_OK) == 0) {
        json_t *context = json_load_file(file, 0, &problem);
        if (json_is_object(context))
            read_members(machine, context);
        else
            snprintf(machine->problem, sizeof machine->problem, "%s", context ? "it is no JSON object" : problem.text);
        json_decref(context);
    }
    free(file);
}
