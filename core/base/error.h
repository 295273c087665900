/* How the core reports an error: a status for the program, one line for the person. */
#ifndef KV_BASE_ERROR_H
#define KV_BASE_ERROR_H

#include "kvbench.h"

/* Writes the message (cut to the buffer) when `error` is not NULL, and returns `status`. */
__attribute__((format(printf, 3, 4))) kv_status kv_fail(struct kv_error *error, kv_status status, const char *format,
                                                        ...);

#endif
