/* What gbench_flags.c asks of gbench.cc; of no use to anything else. No exception gets out. */
#ifndef KV_GBENCH_GBENCH_LIBRARY_H
#define KV_GBENCH_GBENCH_LIBRARY_H

#include <stdbool.h>

#include "kvbench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Gives Google Benchmark one flag, or with NULL the environment alone. False when it does not take it. */
bool gb_library_takes(const char *program, const char *flag);

/* Where the JSON of all further runs goes, NULL for nowhere. Errors: ARGUMENT, IO, MEMORY. */
kv_status gb_library_write_to(const char *file, struct kv_error *error);

void gb_library_list_only(bool lists_only);

#ifdef __cplusplus
}
#endif

#endif
