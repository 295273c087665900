#include "infer/path.h"

#include "base/error.h"

static const struct kv_path *const paths[] = {
    &kv_path_cached,
    &kv_path_naive,
};
enum { N_PATHS = sizeof paths / sizeof paths[0] };

const struct kv_choice *kv_path_choice(int index)
{
    return index >= 0 && index < N_PATHS ? &paths[index]->choice : NULL;
}

const struct kv_choice *kv_cache_choice(int index)
{
    static const struct kv_choice contiguous = {"contiguous", "room for all positions of a sequence, side by side"};
    return index == 0 ? &contiguous : NULL;
}

const struct kv_choice *kv_kv_choice(int index)
{
    static const struct kv_choice f32 = {"f32", "32-bit floats"};
    return index == 0 ? &f32 : NULL;
}

kv_status kv_path_find(const char *name, const struct kv_path **path, struct kv_error *error)
{
    const int i = kv_choice_find(kv_path_choice, "path", name, error);
    *path = i < 0 ? NULL : paths[i];
    return i < 0 ? KV_ERROR_ARGUMENT : KV_OK;
}

bool kv_path_keeps(const char *name)
{
    const struct kv_path *path;
    return kv_path_find(name, &path, NULL) == KV_OK && path->keeps;
}

struct kv_work kv_step_work(const struct kv_config *config, const char *weights,
                            const struct kv_session_options *options, int n_before, int n_new)
{
    const struct kv_path *path;
    if (kv_path_find(options->path, &path, NULL) ||
        kv_choice_find(kv_cache_choice, "cache", options->cache, NULL) < 0 ||
        kv_choice_find(kv_kv_choice, "kv", options->kv, NULL) < 0 ||
        kv_choice_find(kv_weights_choice, "weights", weights, NULL) < 0)
        return (struct kv_work){0, 0};
    const double L = config->n_layer, C = config->n_embd, I = config->n_inner, V = config->vocab_size;
    const double B = options->batch, first = path->keeps ? n_before : 0, last = (double)n_before + n_new;
    const double layer_weights = 4 * C * C + 2 * C * I;
    const double attended = (last * (last + 1) - first * (first + 1)) / 2; /* sum of t */
    return (struct kv_work){
        .flops = B * (L * (2 * layer_weights * (last - first) + 4 * C * attended) + 2 * C * V),
        .bytes = sizeof(float) * (L * layer_weights + C * V + (path->keeps ? B * 2 * L * C * last : 0)),
    };
}
