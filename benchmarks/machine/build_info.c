#include "machine/context.h"

#include "machine/build_commit.h" /* made at every build */
#include "machine/build_config.h" /* made when the build is configured */

#ifdef __OPTIMIZE__
#define IS_OPTIMIZED true
#else
#define IS_OPTIMIZED false
#endif

#ifdef NDEBUG
#define HAS_ASSERTIONS false
#else
#define HAS_ASSERTIONS true
#endif

void kv_build_info_get(struct kv_build_info *build)
{
    *build = (struct kv_build_info){
        .version = KV_BUILD_VERSION,
        .compiler = KV_BUILD_COMPILER,
        .flags = KV_BUILD_FLAGS,
        .build_type = KV_BUILD_TYPE,
        .sanitizers = KV_BUILD_SANITIZERS,
        .commit = KV_BUILD_COMMIT,
        .optimized = IS_OPTIMIZED,
        .assertions = HAS_ASSERTIONS,
    };
}
