/* Whole files: read in one go, or written under their name whole or not at all. */
#ifndef KV_REPORT_FILES_H
#define KV_REPORT_FILES_H

#include "kvbench.h"

#include <stdio.h>

/* Whether there is something of that name in the folder. */
bool kv_file_is_there(const char *folder, const char *name);

/* The bytes of folder/name and a 0 behind them, to be given back with free. Errors: IO, MEMORY. */
kv_status kv_file_read(char **bytes, size_t *n, const char *folder, const char *name, struct kv_error *error);

/* A file that is being written beside its final name. */
struct kv_file_writer {
    FILE *stream;
    const char *file; /* borrowed */
    char *temporary;
};
/* Errors: IO, MEMORY. */
kv_status kv_file_begin(struct kv_file_writer *writer, const char *file, struct kv_error *error);
/* Gives the file its name, or, when `status` is an error, takes it away; returns `status` or what went wrong here.
 * Errors: IO. */
kv_status kv_file_end(struct kv_file_writer *writer, kv_status status, struct kv_error *error);

#endif
