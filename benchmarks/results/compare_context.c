/* In what the environments of two runs differ: every value of their context.json, but those that differ of themselves. */
#include "results/compare.h"

#include "base/error.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The run's times, and what follows from them. */
static bool is_of_the_moment(const char *name)
{
    static const char *const names[] = {
        "run.start", "run.end",       "run.load_at_start", "run.steal_percent", "machine.memory.available_bytes",
        "warnings",  "format_version"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static void write_value(const json_t *value, char *text, size_t size)
{
    char *dumped = value ? json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT) : NULL;
    snprintf(text, size, "%s", json_is_string(value) ? json_string_value(value) : dumped ? dumped : "unknown");
    for (char *c = text; *c; c++)
        *c = (unsigned char)*c < ' ' || *c == 127 ? '?' : *c;
    free(dumped);
}

static void find(struct kv_comparison *comparison, const json_t *a, const json_t *b, const char *before);

static void compare_value(struct kv_comparison *comparison, const char *name, const json_t *a, const json_t *b)
{
    if (is_of_the_moment(name) || json_equal(a, b) || comparison->n_differences == KV_COMPARE_MAX_DIFFERENCES)
        return;
    if (json_is_object(a) && json_is_object(b)) {
        find(comparison, a, b, name);
        return;
    }
    struct kv_difference *difference = &comparison->differences[comparison->n_differences++];
    snprintf(difference->name, sizeof difference->name, "%s", name);
    write_value(a, difference->base, sizeof difference->base);
    write_value(b, difference->other, sizeof difference->other);
}

/* What is in either of two objects. */
static void find(struct kv_comparison *comparison, const json_t *a, const json_t *b, const char *before)
{
    const json_t *const sides[] = {a, b};
    for (int side = 0; side < 2; side++) {
        const char *key;
        json_t *value;
        char name[sizeof comparison->differences->name];
        json_object_foreach((json_t *)(uintptr_t)sides[side], key, value)
        {
            snprintf(name, sizeof name, "%.60s%s%.60s", before, *before ? "." : "", key);
            if (side == 0)
                compare_value(comparison, name, value, json_object_get(b, key));
            else if (!json_object_get(a, key))
                compare_value(comparison, name, NULL, value);
        }
    }
}

kv_status kv_compare_contexts(struct kv_comparison *comparison, struct kv_error *error)
{
    json_t *contexts[2] = {NULL, NULL};
    comparison->differences = calloc(KV_COMPARE_MAX_DIFFERENCES, sizeof *comparison->differences);
    if (!comparison->differences)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    for (int i = 0; i < 2; i++) {
        char file[4200];
        snprintf(file, sizeof file, "%s/context.json", comparison->sides[i].run->folder);
        contexts[i] = json_load_file(file, 0, NULL);
    }
    /* one that is not there, or is damaged, which kv_compare_warnings says, differs from nothing */
    if (json_is_object(contexts[0]) && json_is_object(contexts[1]))
        find(comparison, contexts[0], contexts[1], "");
    json_decref(contexts[0]);
    json_decref(contexts[1]);
    return KV_OK;
}
