#include "paths/path.h"

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
