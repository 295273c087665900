/* The table of caches, and reading what an observer is shown. */
#include "cache/cache.h"

#include "base/error.h"

#include <math.h>
#include <string.h>

#define KIND_ROW(name) &kv_cache_##name,
static const struct kv_cache_kind *const kinds[] = {KV_CACHES(KIND_ROW)};
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

static const struct kv_choice *choice_of(const struct kv_cache_kind *kind, bool is_type)
{
    return is_type ? &kind->kv : &kind->cache;
}

/* Each name once, in the order of the table. */
static const struct kv_choice *choice_at(int index, bool is_type)
{
    for (int i = 0; i < N_KINDS; i++) {
        int first = 0;
        while (strcmp(choice_of(kinds[first], is_type)->name, choice_of(kinds[i], is_type)->name) != 0)
            first++;
        if (first == i && index-- == 0)
            return choice_of(kinds[i], is_type);
    }
    return NULL;
}

const struct kv_choice *kv_cache_choice(int index)
{
    return choice_at(index, false);
}

const struct kv_choice *kv_kv_choice(int index)
{
    return choice_at(index, true);
}

kv_status kv_cache_find(const char *cache, const char *kv, const struct kv_cache_kind **kind, struct kv_error *error)
{
    *kind = NULL;
    if (kv_choice_find(kv_cache_choice, "cache", cache, error) < 0 || kv_choice_find(kv_kv_choice, "kv", kv, error) < 0)
        return KV_ERROR_ARGUMENT;
    for (int i = 0; i < N_KINDS && !*kind; i++)
        if ((!cache || strcmp(kinds[i]->cache.name, cache) == 0) && (!kv || strcmp(kinds[i]->kv.name, kv) == 0))
            *kind = kinds[i];
    return *kind ? KV_OK : kv_fail(error, KV_ERROR_ARGUMENT, "cache '%s' keeps no kv '%s'", cache, kv);
}

/* ---- Looking at attention ------------------------------------------------------------------------------------ */

static float read(const struct kv_attention_view *view, enum kv_cache_part part, int position, int dimension)
{
    const struct kv_cache_place place = {view->layer, view->kept_sequence, view->kept_head};
    return view->kept->kind->read(view->kept, place, part, position, dimension);
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
        weights[t] = (float)score(view, t);
        largest = fmax(largest, (double)weights[t]);
    }
    for (int t = 0; t < n; t++)
        sum += exp((double)weights[t] - largest);
    for (int t = 0; t < n; t++)
        weights[t] = (float)(exp((double)weights[t] - largest) / sum);
}
