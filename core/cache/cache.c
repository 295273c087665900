/* The table of caches, and reading what an observer is shown. */
#include "cache/cache.h"

#include "base/error.h"

#include <math.h>

static const struct kv_choice types[KV_N_KEPT] = {
    [KV_KEPT_F32] = {"f32", "32-bit floats"},
    [KV_KEPT_BF16] = {"bf16", "bfloat16, rounded to nearest"},
    [KV_KEPT_INT8] = {"int8", "8-bit integers, a scale a head and position"},
    [KV_KEPT_INT4] = {"int4", "4-bit integers of rotated heads, of keys less what 16 neighbours share"},
};
#define KIND_ROW(name) kv_cache_##name,
static const struct kv_cache_kind *const kinds[] = {KV_CACHES(KIND_ROW)}; /* each by type */
enum { N_CACHES = sizeof kinds / sizeof kinds[0] };

const struct kv_choice *kv_cache_choice(int index)
{
    return index >= 0 && index < N_CACHES ? &kinds[index]->cache : NULL;
}

const struct kv_choice *kv_kv_choice(int index)
{
    return index >= 0 && index < KV_N_KEPT ? &types[index] : NULL;
}

kv_status kv_cache_find(const char *cache, const char *kv, const struct kv_cache_kind **kind, struct kv_error *error)
{
    const int i = kv_choice_find(kv_cache_choice, "cache", cache, error);
    const int j = i < 0 ? i : kv_choice_find(kv_kv_choice, "kv", kv, error);
    *kind = j < 0 ? NULL : &kinds[i][j];
    return j < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

const char *kv_cache_kv_name(const struct kv_cache_kind *kind)
{
    return types[kind->kept].name;
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
