/* A text file as a whole. */
#ifndef KV_MEASURE_TEXT_FILE_H
#define KV_MEASURE_TEXT_FILE_H

#include "kvbench.h"

/* *bytes [*n_bytes], any bytes, for the caller to free(); never NULL without an error, and nothing ends it.
 * Errors: IO, MEMORY, ARGUMENT (the file is empty). */
kv_status kv_text_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error);

#endif
