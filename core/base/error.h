/* How the core reports an error: a status for the program, one line for the user. */
#ifndef KV_BASE_ERROR_H
#define KV_BASE_ERROR_H

#include "kvbench.h"

/* Writes the message (cut to the buffer) when `error` is not NULL, and returns `status`. */
__attribute__((format(printf, 3, 4))) kv_status kv_fail(struct kv_error *error, kv_status status, const char *format,
                                                        ...);

/* The index of `name` in a table of choices, 0 for NULL; -1, and an ARGUMENT error that lists the table, for a name
 * that is not in it. `what` is what is chosen, for instance "path". */
int kv_choice_find(const struct kv_choice *(*table)(int index), const char *what, const char *name,
                   struct kv_error *error);

#endif
