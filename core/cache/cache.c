/* The table of caches, and reading what an observer is shown. */
#include "cache/cache.h"

#include "base/error.h"
#include "base/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const struct kv_choice types[KV_N_KEPT] = {
    [KV_KEPT_F32] = {"f32", "32-bit floats"},
    [KV_KEPT_BF16] = {"bf16", "bfloat16, rounded to nearest"},
    [KV_KEPT_INT8] = {"int8", "8-bit integers, a scale a head and position"},
    [KV_KEPT_INT4] = {"int4", "4-bit integers of rotated heads; of keys, what differs within 16 neighbours"},
};
/* Names of keys of one type and values of another. */
#define WITH_VALUES(keys)                                                                                              \
    {                                                                                                                  \
        keys "/f32", keys "/bf16", keys "/int8", keys "/int4"                                                          \
    }
static const char *const mixed[KV_N_KEPT][KV_N_KEPT] = {WITH_VALUES("f32"), WITH_VALUES("bf16"), WITH_VALUES("int8"),
                                                        WITH_VALUES("int4")};
#define KIND_ROW(name) kv_cache_##name,
static const struct kv_cache_kind *const kinds[] = {KV_CACHES(KIND_ROW)}; /* each by types */
enum { N_CACHES = sizeof kinds / sizeof kinds[0] };

const struct kv_choice *kv_cache_choice(int index)
{
    return index >= 0 && index < N_CACHES ? &kinds[index]->cache : NULL;
}

const struct kv_choice *kv_kv_choice(int index)
{
    return index >= 0 && index < KV_N_KEPT ? &types[index] : NULL;
}

static int find_type(const char *name, size_t length)
{
    for (int i = 0; i < KV_N_KEPT; i++)
        if (strlen(types[i].name) == length && strncmp(types[i].name, name, length) == 0)
            return i;
    return -1;
}

/* "KEYS/VALUES", or the same type for both. */
static bool find_types(const char *name, int *keys, int *values)
{
    const size_t length = strcspn(name, "/");
    const char *of_values = name[length] ? name + length + 1 : name;
    *keys = find_type(name, length);
    *values = find_type(of_values, strlen(of_values));
    return *keys >= 0 && *values >= 0;
}

static const char *name_of(int keys, int values)
{
    return keys == values ? types[keys].name : mixed[keys][values];
}

const char *kv_kv_name(const char *name)
{
    int keys, values;
    return find_types(name, &keys, &values) ? name_of(keys, values) : NULL;
}

/* Reads the numbers of `name`, which has as many, and the same signs between them, as the one in the table has. */
static bool read_numbers(const struct kv_cache_kind *kind, const char *name, int numbers[KV_CACHE_NUMBERS])
{
    const char *usual = kind->cache.name;
    int n = 0;
    while (*usual) {
        uint64_t number;
        const bool is_number = *usual >= '0' && *usual <= '9';
        if (!is_number) {
            if (*usual++ != *name++)
                return false;
            continue;
        }
        if ((*name == '0' && name[1] >= '0' && name[1] <= '9') || /* 016: one number has one spelling */
            !kv_number_whole(&name, (uint64_t)kind->ranges[n].low, (uint64_t)kind->ranges[n].high, &number))
            return false;
        numbers[n++] = (int)number;
        usual += strspn(usual, "0123456789");
    }
    return !*name;
}

/* The row of that layout; -1: there is none. */
static int find_layout(const char *name, int numbers[KV_CACHE_NUMBERS], struct kv_error *error)
{
    char ranges[64] = "";
    const size_t length = strcspn(name, ":");
    for (int i = 0; i < N_CACHES; i++) {
        const struct kv_cache_kind *kind = kinds[i];
        if (strcspn(kind->cache.name, ":") != length || strncmp(kind->cache.name, name, length) != 0)
            continue;
        if (read_numbers(kind, name, numbers))
            return i;
        size_t n = 0;
        for (int k = 0; k < KV_CACHE_NUMBERS && kind->ranges[k].high; k++)
            n += (size_t)snprintf(ranges + n, sizeof ranges - n, "%s%d to %d", k ? " and " : ", with ",
                                  kind->ranges[k].low, kind->ranges[k].high);
        kv_fail(error, KV_ERROR_ARGUMENT, "cache '%.40s' is not written like %s%s", name, kind->cache.name, ranges);
        return -1;
    }
    return kv_choice_find(kv_cache_choice, "cache", name, error);
}

const char *kv_cache_name(const char *name)
{
    int numbers[KV_CACHE_NUMBERS];
    return find_layout(name, numbers, NULL) < 0 ? NULL : name;
}

bool kv_cache_misspelt(const char *name, struct kv_error *error)
{
    int numbers[KV_CACHE_NUMBERS];
    const size_t length = strcspn(name, ":");
    for (int i = 0; i < N_CACHES; i++)
        if (strcspn(kinds[i]->cache.name, ":") == length && strncmp(kinds[i]->cache.name, name, length) == 0)
            return find_layout(name, numbers, error) < 0;
    return false;
}

bool kv_cache_drops(const char *name)
{
    const struct kv_cache_kind *kind;
    int numbers[KV_CACHE_NUMBERS];
    return kv_cache_find(name, NULL, &kind, numbers, NULL) == KV_OK && kind->budget;
}

kv_status kv_cache_find(const char *cache, const char *kv, const struct kv_cache_kind **kind,
                        int numbers[KV_CACHE_NUMBERS], struct kv_error *error)
{
    int keys = 0, values = 0;
    *kind = NULL;
    memset(numbers, 0, KV_CACHE_NUMBERS * sizeof *numbers);
    const int i = find_layout(cache ? cache : kinds[0]->cache.name, numbers, error);
    if (i >= 0 && kv && !find_types(kv, &keys, &values)) {
        kv_choice_find(kv_kv_choice, "kv", kv, error); /* which says what there is */
        return KV_ERROR_ARGUMENT;
    }
    if (i < 0)
        return KV_ERROR_ARGUMENT;
    *kind = &kinds[i][KV_CACHE_TYPES(keys, values)];
    return KV_OK;
}

const char *kv_cache_kv_name(const struct kv_cache_kind *kind)
{
    return name_of((int)kind->keys, (int)kind->values);
}

/* ---- Looking at attention ------------------------------------------------------------------------------------ */

bool kv_view_keeps(const struct kv_attention_view *view, int position)
{
    const struct kv_cache_place place = {view->layer, view->kept_sequence, view->kept_head};
    const struct kv_cache_kind *kind = view->kept->kind;
    return !kind->slot_of || kind->slot_of(view->kept, place, view->n_positions, position) >= 0;
}

static float read(const struct kv_attention_view *view, enum kv_cache_part part, int position, int dimension)
{
    const struct kv_cache_place place = {view->layer, view->kept_sequence, view->kept_head};
    return kv_view_keeps(view, position) ? view->kept->kind->read(view->kept, place, part, position, dimension) : NAN;
}

float kv_view_key(const struct kv_attention_view *view, int position, int dimension)
{
    return read(view, KV_CACHE_KEY, position, dimension);
}

float kv_view_value(const struct kv_attention_view *view, int position, int dimension)
{
    return read(view, KV_CACHE_VALUE, position, dimension);
}

static double score(const struct kv_attention_view *view, int position)
{
    double sum = 0;
    for (int d = 0; d < view->head_size; d++)
        sum += (double)view->query[d] * (double)kv_view_key(view, position, d);
    return sum / sqrt(view->head_size);
}

void kv_view_weights(const struct kv_attention_view *view, float *weights)
{
    const int n = view->n_positions;
    double largest = -INFINITY, sum = 0;
    for (int t = 0; t < n; t++) {
        weights[t] = kv_view_keeps(view, t) ? (float)score(view, t) : -INFINITY;
        largest = fmax(largest, (double)weights[t]);
    }
    for (int t = 0; t < n; t++)
        sum += exp((double)weights[t] - largest);
    for (int t = 0; t < n; t++)
        weights[t] = (float)(exp((double)weights[t] - largest) / sum);
}
