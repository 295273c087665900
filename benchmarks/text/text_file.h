/* A text file as a whole. */
#ifndef KV_TEXT_TEXT_FILE_H
#define KV_TEXT_TEXT_FILE_H

#include "kvbench.h"

#include <stdio.h>

/* All that is left of the stream, *bytes [*n_bytes] and a zero behind it, for the caller to free(); NULL only with an
 * error, which calls it `name`. Errors: IO, MEMORY. */
kv_status kv_text_stream_read(FILE *stream, const char *name, char **bytes, size_t *n_bytes, struct kv_error *error);

/* The same of a file.
 * Errors: IO, MEMORY, ARGUMENT (the file is empty). */
kv_status kv_text_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error);

#endif
