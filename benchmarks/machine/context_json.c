#include "machine/context_json.h"

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "machine/context.h"

/* json_object_set_new takes the value, NULL too, and fails on NULL: so `failed` gathers every lack of memory. */
struct section {
    json_t *object;
    int failed;
};

static struct section section_new(void)
{
    return (struct section){.object = json_object()};
}

static void put(struct section *section, const char *key, json_t *value)
{
    section->failed |= json_object_set_new(section->object, key, value);
}

/* The object, or NULL when any part of it could not be made. */
static json_t *section_end(struct section *section)
{
    if (section->failed) {
        json_decref(section->object);
        return NULL;
    }
    return section->object;
}

/* jansson refuses texts that are not UTF-8, which arguments and names from the system may be. */
static json_t *string(const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL) {
        return NULL;
    }
    for (char *at = copy; *at != '\0';) {
        const int length = kv_utf8_length(at, strnlen(at, 4));
        if (length < 1)
            *at = '?';
        at += length > 0 ? length : 1;
    }
    json_t *value = json_string(copy);
    free(copy);
    return value;
}

static void put_text(struct section *section, const char *key, const char *text)
{
    put(section, key, text == NULL || text[0] == '\0' ? json_null() : string(text));
}

static void put_integer(struct section *section, const char *key, int64_t value)
{
    put(section, key, value < 0 ? json_null() : json_integer(value));
}

static void put_bool(struct section *section, const char *key, int value)
{
    put(section, key, value < 0 ? json_null() : json_boolean(value));
}

static json_t *real(double value)
{
    return value < 0 ? json_null() : json_real(value);
}

/* Appends as json_array_append_new does, and gives up the whole array when that fails. */
static json_t *append(json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) == 0) {
        return array;
    }
    json_decref(array);
    return NULL;
}

static json_t *cache_json(const struct kv_machine_cache *cache)
{
    struct section section = section_new();
    put_integer(&section, "bytes", cache->bytes);
    put_integer(&section, "instances", cache->instances);
    return section_end(&section);
}

static json_t *features_json(const struct kv_machine *machine)
{
    if (machine->n_features < 0) {
        return json_null();
    }
    json_t *array = json_array();
    for (int i = 0; i < machine->n_features; i++) {
        array = append(array, string(machine->features[i]));
    }
    return array;
}

static json_t *cpu_json(const struct kv_machine *machine)
{
    struct section section = section_new();
    put_text(&section, "vendor", machine->cpu_vendor);
    put_text(&section, "name", machine->cpu_name);
    put_integer(&section, "family", machine->cpu_family);
    put_integer(&section, "model", machine->cpu_model);
    put_integer(&section, "stepping", machine->cpu_stepping);
    put(&section, "features", features_json(machine));
    put_integer(&section, "cpus_online", machine->cpus_online);
    put_integer(&section, "cpus_affinity", machine->cpus_affinity);
    put_integer(&section, "cores_online", machine->cores_online);
    put_integer(&section, "cores_affinity", machine->cores_affinity);
    put_integer(&section, "sockets", machine->sockets);
    put(&section, "l1d", cache_json(&machine->l1d));
    put(&section, "l1i", cache_json(&machine->l1i));
    put(&section, "l2", cache_json(&machine->l2));
    put(&section, "l3", cache_json(&machine->l3));
    put_text(&section, "governor", machine->governor);
    put_bool(&section, "turbo", machine->turbo);
    return section_end(&section);
}

static json_t *memory_json(const struct kv_machine *machine)
{
    struct section section = section_new();
    put_integer(&section, "total_bytes", machine->memory_total_bytes);
    put_integer(&section, "available_bytes", machine->memory_available_bytes);
    put_integer(&section, "limit_bytes", machine->memory_limit_bytes);
    put_text(&section, "huge_pages", machine->huge_pages);
    return section_end(&section);
}

static json_t *machine_json(const struct kv_machine *machine)
{
    struct section section = section_new();
    put_text(&section, "hostname", machine->hostname);
    put_text(&section, "product", machine->product);
    put_bool(&section, "hypervisor", machine->hypervisor);
    put_text(&section, "os", machine->os);
    put_text(&section, "kernel", machine->kernel);
    put(&section, "cpu", cpu_json(machine));
    put(&section, "memory", memory_json(machine));
    return section_end(&section);
}

/* "HASH" or "HASH-dirty" as two members; "unknown" as two unknowns. */
static void put_commit(struct section *section, const char *text)
{
    static const char suffix[] = "-dirty";
    char commit[80] = "";
    int dirty = -1;
    size_t length = text != NULL && strcmp(text, "unknown") != 0 ? strlen(text) : 0;
    if (length > 0 && length < sizeof commit) {
        memcpy(commit, text, length + 1);
        size_t hash_length = length > strlen(suffix) ? length - strlen(suffix) : 0;
        dirty = strcmp(commit + hash_length, suffix) == 0;
        if (dirty) {
            commit[hash_length] = '\0';
        }
    }
    put_text(section, "commit", commit);
    put_bool(section, "dirty", dirty);
}

static json_t *build_json(const struct kv_build_info *build)
{
    struct section section = section_new();
    put_text(&section, "version", build->version);
    put_commit(&section, build->commit);
    put_text(&section, "compiler", build->compiler);
    put_text(&section, "flags", build->flags);
    put_text(&section, "build_type", build->build_type);
    put_text(&section, "sanitizers", build->sanitizers);
    put_bool(&section, "optimized", build->optimized);
    put_bool(&section, "assertions", build->assertions);
    return section_end(&section);
}

static json_t *libraries_json(const struct kv_library_info *libraries)
{
    struct section section = section_new();
    put_text(&section, "google_benchmark", libraries->google_benchmark);
    put_text(&section, "openblas_core", libraries->openblas_core);
    put_text(&section, "openblas_better_core", libraries->openblas_better_core);
    put_text(&section, "openblas_config", libraries->openblas_config);
    put_text(&section, "jansson", jansson_version_str());
    return section_end(&section);
}

static json_t *command_json(const struct kv_run_info *run)
{
    json_t *array = json_array();
    for (int i = 0; i < run->argc; i++) {
        array = append(array, string(run->argv[i]));
    }
    return array;
}

static json_t *load_json(const struct kv_machine *machine)
{
    json_t *array = json_array();
    for (int i = 0; i < 3; i++) {
        array = append(array, real(machine->load[i]));
    }
    return array;
}

/* ISO 8601 in local time, "2024-05-01T12:00:00+02:00": strftime's %z lacks the colon. */
static void put_time(struct section *section, const char *key, time_t time)
{
    struct tm local;
    char text[64] = "";
    if (localtime_r(&time, &local) != NULL) {
        size_t length = strftime(text, sizeof text - 1, "%Y-%m-%dT%H:%M:%S%z", &local);
        if (length > 2) {
            memmove(text + length - 1, text + length - 2, 3);
            text[length - 2] = ':';
        }
    }
    put_text(section, key, text);
}

static json_t *run_json(const struct kv_context *context)
{
    struct section section = section_new();
    put(&section, "command", command_json(&context->run));
    put_time(&section, "start", context->start);
    if (context->finished) {
        put_time(&section, "end", context->end);
    } else {
        put(&section, "end", json_null());
    }
    put_text(&section, "model", context->run.model);
    put_text(&section, "weights", context->run.weights);
    put_text(&section, "gemm", context->run.gemm);
    put_text(&section, "isa", context->run.isa);
    put_integer(&section, "threads", context->run.threads);
    put(&section, "load_at_start", load_json(&context->machine));
    put(&section, "steal_percent", real(context->steal_percent));
    return section_end(&section);
}

static json_t *warnings_json(const struct kv_context *context)
{
    struct kv_warning warnings[KV_CONTEXT_MAX_WARNINGS];
    int n_warnings = kv_context_warnings(context, warnings);
    json_t *array = json_array();
    for (int i = 0; i < n_warnings; i++) {
        struct section section = section_new();
        put_text(&section, "severity", warnings[i].severity == KV_SEVERITY_INFO ? "info" : "warning");
        put_text(&section, "text", warnings[i].text);
        array = append(array, section_end(&section));
    }
    return array;
}

json_t *kv_context_json(const struct kv_context *context)
{
    struct section section = section_new();
    put(&section, "format_version", json_integer(1));
    put(&section, "machine", machine_json(&context->machine));
    put(&section, "build", build_json(&context->build));
    put(&section, "libraries", libraries_json(&context->libraries));
    put(&section, "run", run_json(context));
    put(&section, "warnings", warnings_json(context));
    return section_end(&section);
}
