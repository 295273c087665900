/* How this program was compiled: what meson knew, and what the compiler tells in its own macros. */
#ifndef KV_MACHINE_BUILD_INFO_H
#define KV_MACHINE_BUILD_INFO_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

struct kv_build_info {
    const char *version;    /* of the project */
    const char *compiler;   /* name and version, as one text */
    const char *flags;      /* that apply to all C files */
    const char *build_type; /* meson's buildtype */
    const char *sanitizers; /* "address,undefined"; "none" when there are none */
    const char *commit;     /* hash, then "-dirty" when tracked files differ from it; "unknown" outside git */
    bool optimized;         /* compiled with optimization at all */
    bool assertions;        /* assert() checks */
};

/* All texts are constants. Any number of threads may call. */
void kv_build_info_get(struct kv_build_info *build);

#ifdef __cplusplus
}
#endif

#endif
