#include "infer/path.h"

#include "base/error.h"

#include <string.h>

static const struct kv_path *const paths[] = {
    &kv_path_cached,
    &kv_path_naive,
};
enum { N_PATHS = sizeof paths / sizeof paths[0] };

const struct kv_choice *kv_path_choice(int index)
{
    return index >= 0 && index < N_PATHS ? &paths[index]->choice : NULL;
}

kv_status kv_path_find(const char *name, const struct kv_path **path, struct kv_error *error)
{
    *path = paths[0];
    if (!name)
        return KV_OK;
    for (int i = 0; i < N_PATHS; i++) {
        if (strcmp(paths[i]->choice.name, name) == 0) {
            *path = paths[i];
            return KV_OK;
        }
    }
    *path = NULL;
    return kv_fail(error, KV_ERROR_ARGUMENT, "path '%.40s' is not known; use cached or naive", name);
}

struct kv_work kv_work_of_positions(const struct kv_config *config, int batch, int first, int n, bool kept)
{
    const double L = config->n_layer, C = config->n_embd, I = config->n_inner, V = config->vocab_size;
    const double B = batch, last = (double)first + n;
    const double layer_weights = 4 * C * C + 2 * C * I;
    const double attended = (last * (last + 1) - (double)first * ((double)first + 1)) / 2; /* sum of t */
    return (struct kv_work){
        .flops = B * (L * (2 * layer_weights * n + 4 * C * attended) + 2 * C * V),
        .bytes = sizeof(float) * (L * layer_weights + C * V + (kept ? B * 2 * L * C * last : 0)),
    };
}

struct kv_work kv_path_work(const char *name, const struct kv_config *config, int batch, int n_before, int n_new)
{
    const struct kv_path *path;
    if (kv_path_find(name, &path, NULL) != KV_OK)
        return (struct kv_work){0, 0};
    return path->work(config, batch, n_before, n_new);
}
