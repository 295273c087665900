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

/* Of the base's first run, and of which other one. */
struct contexts {
    struct kv_comparison *comparison;
    size_t run;
};

static void find(const struct contexts *contexts, const json_t *a, const json_t *b, const char *before);

/* Whether an earlier run of the same side differs in the same way. */
static bool is_known(const struct kv_comparison *comparison, const struct kv_difference *difference)
{
    const size_t n_base = comparison->sides[0].n_runs;
    for (size_t i = 0; i < comparison->n_differences; i++) {
        const struct kv_difference *known = &comparison->differences[i];
        if (strcmp(known->name, difference->name) == 0 && strcmp(known->other, difference->other) == 0 &&
            (known->run < n_base) == (difference->run < n_base))
            return true;
    }
    return false;
}

static void compare_value(const struct contexts *contexts, const char *name, const json_t *a, const json_t *b)
{
    struct kv_comparison *comparison = contexts->comparison;
    if (is_of_the_moment(name) || json_equal(a, b) || comparison->n_differences == KV_COMPARE_MAX_DIFFERENCES)
        return;
    if (json_is_object(a) && json_is_object(b)) {
        find(contexts, a, b, name);
        return;
    }
    struct kv_difference difference = {.run = contexts->run};
    snprintf(difference.name, sizeof difference.name, "%s", name);
    write_value(a, difference.base, sizeof difference.base);
    write_value(b, difference.other, sizeof difference.other);
    if (!is_known(comparison, &difference))
        comparison->differences[comparison->n_differences++] = difference;
}

/* What is in either of two objects. */
static void find(const struct contexts *contexts, const json_t *a, const json_t *b, const char *before)
{
    const json_t *const sides[] = {a, b};
    for (int side = 0; side < 2; side++) {
        const char *key;
        json_t *value;
        char name[sizeof contexts->comparison->differences->name];
        json_object_foreach((json_t *)(uintptr_t)sides[side], key, value)
        {
            snprintf(name, sizeof name, "%.60s%s%.60s", before, *before ? "." : "", key);
            if (side == 0)
                compare_value(contexts, name, value, json_object_get(b, key));
            else if (!json_object_get(a, key))
                compare_value(contexts, name, NULL, value);
        }
    }
}

/* One that is not there, or is damaged, which kv_compare_warnings says, is NULL and differs from nothing. */
static json_t *load(const struct kv_results *run)
{
    char file[4200];
    snprintf(file, sizeof file, "%s/context.json", run->folder);
    json_t *context = json_load_file(file, 0, NULL);
    if (context && !json_is_object(context)) {
        json_decref(context);
        context = NULL;
    }
    return context;
}

kv_status kv_compare_contexts(struct kv_comparison *comparison, struct kv_error *error)
{
    const size_t n_base = comparison->sides[0].n_runs;
    comparison->differences = calloc(KV_COMPARE_MAX_DIFFERENCES, sizeof *comparison->differences);
    if (!comparison->differences)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
    json_t *first = load(comparison->runs[0]);
    for (size_t i = 1; first && i < comparison->n_runs; i++) {
        /* those of the other side before those of the first's own */
        const size_t run = i <= comparison->n_runs - n_base ? n_base + i - 1 : i - (comparison->n_runs - n_base);
        json_t *other = load(comparison->runs[run]);
        if (other)
            find(&(struct contexts){comparison, run}, first, other, "");
        json_decref(other);
    }
    json_decref(first);
    return KV_OK;
}
