/* The JSON of context.json; shared by context.c and context_json.c only. */
#ifndef KV_MACHINE_CONTEXT_JSON_H
#define KV_MACHINE_CONTEXT_JSON_H

#include <jansson.h>

struct kv_context;

/* A new object, or NULL when memory ran out. The caller gives it back with json_decref. */
json_t *kv_context_json(const struct kv_context *context);

#endif
