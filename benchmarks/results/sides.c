#include "results/sides.h"

#include "base/error.h"
#include "results/names.h"

#include <stdlib.h>
#include <string.h>

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory for the comparison: close other programs");
}

bool kv_side_has(const struct kv_comparison *comparison, const struct kv_side *side, const struct kv_arm *configuration)
{
    return !side->value || strcmp(side->value, configuration->keys[comparison->settings.by]) == 0;
}

/* ---- Sides -------------------------------------------------------------------------------------- */

static void add_value(struct kv_comparison *comparison, const struct kv_measurements *run, const char *value)
{
    for (size_t i = 0; i < comparison->n_sides; i++)
        if (strcmp(comparison->sides[i].value, value) == 0)
            return;
    struct kv_side *side = &comparison->sides[comparison->n_sides++];
    *side = (struct kv_side){.run = run, .value = value};
    if (comparison->settings.by >= KV_ARM_KEY_THREADS) /* a number says nothing without its name */
        snprintf(side->label, sizeof side->label, "%s %s", kv_arm_key_name(comparison->settings.by), value);
    else
        snprintf(side->label, sizeof side->label, "%s", *value ? value : "(empty)");
    kv_make_printable(side->label);
}

static kv_status fail_base(const struct kv_comparison *comparison, struct kv_error *error)
{
    char values[160] = "";
    for (size_t i = 0, length = 0; i < comparison->n_sides && length < sizeof values; i++)
        length += (size_t)snprintf(values + length, sizeof values - length, "%s%s", i ? ", " : "",
                                   comparison->sides[i].label);
    return kv_fail(error, KV_ERROR_ARGUMENT, "--base: %s has no %s \"%.60s\", only %s", comparison->sides[0].run->file,
                   kv_arm_key_name(comparison->settings.by), comparison->settings.base, values);
}

static kv_status move_base_first(struct kv_comparison *comparison, struct kv_error *error)
{
    const char *base = comparison->settings.base;
    size_t at = 0;
    while (base && at < comparison->n_sides && strcmp(comparison->sides[at].value, base) != 0)
        at++;
    if (at == comparison->n_sides)
        return fail_base(comparison, error);
    const struct kv_side side = comparison->sides[at];
    memmove(comparison->sides + 1, comparison->sides, at * sizeof side);
    comparison->sides[0] = side;
    return KV_OK;
}

kv_status kv_sides_find(struct kv_comparison *comparison, const struct kv_measurements *base,
                        const struct kv_measurements *other, struct kv_error *error)
{
    comparison->sides = calloc(base->n_configurations + 2, sizeof *comparison->sides);
    if (!comparison->sides)
        return fail_memory(error);
    if (other) {
        comparison->sides[comparison->n_sides++] = (struct kv_side){base, "A", NULL};
        comparison->sides[comparison->n_sides++] = (struct kv_side){other, "B", NULL};
        return KV_OK;
    }
    for (size_t i = 0; i < base->n_configurations; i++)
        add_value(comparison, base, base->configurations[i].keys[comparison->settings.by]);
    const char *by = kv_arm_key_name(comparison->settings.by);
    if (comparison->n_sides == 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s has no rows: measure first, with kvbench bench", base->file);
    const kv_status status = move_base_first(comparison, error);
    if (status == KV_OK && comparison->n_sides == 1)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--by %s: %s has only %s \"%.60s\"; measure another, or name two runs",
                       by, base->file, by, comparison->sides[0].value);
    return status;
}

/* ---- Pairs -------------------------------------------------------------------------------------- */

static bool is_key(const struct kv_comparison *comparison, int key)
{
    return !comparison->settings.ignored[key] && key != comparison->settings.by;
}

static bool agree(const struct kv_comparison *comparison, const struct kv_arm *a, const struct kv_arm *b)
{
    for (int key = 0; key < KV_ARM_KEYS; key++)
        if (is_key(comparison, key) && strcmp(a->keys[key], b->keys[key]) != 0)
            return false;
    return true;
}

static kv_status fail_ambiguous(const struct kv_side *side, const struct kv_arm *a, const struct kv_arm *b,
                                struct kv_error *error)
{
    int key = 0;
    while (strcmp(a->keys[key], b->keys[key]) == 0)
        key++;
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "%s has configurations that differ only in what --ignore leaves out, such as %s \"%.60s\" and "
                   "\"%.60s\": take %s out of --ignore",
                   side->run->file, kv_arm_key_name(key), a->keys[key], b->keys[key], kv_arm_key_name(key));
}

/* The configuration of `side` that agrees with `wanted`, NULL when there is none. Errors: ARGUMENT (there are two). */
static kv_status find_in(const struct kv_comparison *comparison, const struct kv_side *side,
                         const struct kv_arm *wanted, const struct kv_arm **found, struct kv_error *error)
{
    *found = NULL;
    for (size_t i = 0; i < side->run->n_configurations; i++) {
        const struct kv_arm *candidate = &side->run->configurations[i];
        if (!kv_side_has(comparison, side, candidate) || !agree(comparison, candidate, wanted))
            continue;
        if (*found)
            return fail_ambiguous(side, *found, candidate, error);
        *found = candidate;
    }
    return KV_OK;
}

static const char *problem_of(const struct kv_arm *found)
{
    return !found ? "not" : found->n_failed ? "failed" : "skipped";
}

/* Looks for the configurations of `from` in `in`; pairs come of those of the base only, so that each is one. */
static kv_status match(struct kv_comparison *comparison, const struct kv_side *from, const struct kv_side *in,
                       struct kv_error *error)
{
    for (size_t i = 0; i < from->run->n_configurations; i++) {
        const struct kv_arm *configuration = &from->run->configurations[i], *found;
        if (configuration->n_ok == 0 || !kv_side_has(comparison, from, configuration))
            continue;
        const kv_status status = find_in(comparison, in, configuration, &found, error);
        if (status != KV_OK)
            return status;
        if (!found || found->n_ok == 0)
            comparison->unmatched[comparison->n_unmatched++] = (struct kv_unmatched){configuration, from, in,
                                                                                     problem_of(found)};
        else if (from == comparison->sides)
            comparison->pairs[comparison->n_pairs++] = (struct kv_pair){configuration, found, in};
    }
    return KV_OK;
}

/* ---- Why there is no pair ----------------------------------------------------------------------- */

static bool value_occurs(const struct kv_measurements *run, int key, const char *value)
{
    for (size_t i = 0; i < run->n_configurations; i++)
        if (strcmp(run->configurations[i].keys[key], value) == 0)
            return true;
    return false;
}

/* "gemm,isa": the columns in which two runs have no value in common */
static void list_disjoint(const struct kv_comparison *comparison, char *list, size_t size)
{
    const struct kv_measurements *a = comparison->sides[0].run, *b = comparison->sides[1].run;
    size_t length = 0;
    *list = '\0';
    for (int key = 0; key < KV_ARM_KEYS; key++) {
        bool common = !is_key(comparison, key);
        for (size_t i = 0; !common && i < a->n_configurations; i++)
            common = value_occurs(b, key, a->configurations[i].keys[key]);
        if (!common && length < size)
            length += (size_t)snprintf(list + length, size - length, "%s%s", length ? "," : "", kv_arm_key_name(key));
    }
}

static bool is_measured(const struct kv_comparison *comparison, const struct kv_side *side)
{
    for (size_t i = 0; i < side->run->n_configurations; i++)
        if (side->run->configurations[i].n_ok > 0 && kv_side_has(comparison, side, &side->run->configurations[i]))
            return true;
    return false;
}

static kv_status fail_without_pairs(const struct kv_comparison *comparison, struct kv_error *error)
{
    const struct kv_side *base = comparison->sides;
    char columns[160];
    for (size_t i = 0; i < comparison->n_sides; i++)
        if (!is_measured(comparison, &base[i]))
            return kv_fail(error, KV_ERROR_ARGUMENT, "nothing to compare: %s has no row that is ok%s%s; see its errors",
                           base[i].run->file, base[i].value ? " of " : "", base[i].value ? base[i].label : "");
    if (base->value)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: no configurations of %s differ in %s alone; --ignore what else differs",
                       base->run->file, kv_arm_key_name(comparison->settings.by));
    list_disjoint(comparison, columns, sizeof columns);
    if (*columns)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "nothing to compare: %s and %s have no value of %s in common; to compare all the same: "
                       "--ignore %s",
                       base[0].run->file, base[1].run->file, columns, columns);
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "nothing to compare: no configuration is in both %s and %s with a row that is ok; measure the same",
                   base[0].run->file, base[1].run->file);
}

kv_status kv_pairs_find(struct kv_comparison *comparison, struct kv_error *error)
{
    size_t n = 0;
    for (size_t i = 0; i < comparison->n_sides; i++)
        n += comparison->sides[i].run->n_configurations;
    comparison->pairs = calloc(n, sizeof *comparison->pairs);
    comparison->unmatched = calloc(2 * n, sizeof *comparison->unmatched);
    if (!comparison->pairs || !comparison->unmatched)
        return n > 0 ? fail_memory(error) : fail_without_pairs(comparison, error);
    for (size_t i = 1; i < comparison->n_sides; i++) {
        kv_status status = match(comparison, comparison->sides, &comparison->sides[i], error);
        if (status == KV_OK)
            status = match(comparison, &comparison->sides[i], comparison->sides, error);
        if (status != KV_OK)
            return status;
    }
    return comparison->n_pairs > 0 ? KV_OK : fail_without_pairs(comparison, error);
}
