/* A file that appears under its name whole or not at all: it is written under another one in the same folder, brought
 * to the disk, and renamed. A link is followed, to where it leads; what is no regular file, a device or a pipe, is
 * written to as it is and never replaced. What a killed process left in the folder goes with the next file there. */
#ifndef KV_BASE_FILE_H
#define KV_BASE_FILE_H

#include "kvbench.h"

#include <stdio.h>

struct kv_file {
    const char *file; /* the caller's, until kv_file_close */
    char *target;     /* where its links lead; NULL, as is temporary: it is written to as it is */
    char *temporary;
    FILE *stream;
    int reason; /* errno of the first write that failed, or 0 */
};

/* In this order; kv_file_close always, also after an error or on one that is all zero. Errors: IO, MEMORY. */
kv_status kv_file_open(struct kv_file *output, const char *file, struct kv_error *error);
/* A failure is kept for kv_file_finish. */
void kv_file_write(struct kv_file *output, const void *bytes, size_t n_bytes);
/* All that was written is on the disk, under the temporary name. */
kv_status kv_file_finish(struct kv_file *output, struct kv_error *error);
/* Takes its name, from whatever file had it. */
kv_status kv_file_publish(struct kv_file *output, struct kv_error *error);
/* Removes what was not published. */
void kv_file_close(struct kv_file *output);

/* All of that, for bytes that are there at once. Errors: IO, MEMORY. */
kv_status kv_file_put(const char *file, const void *bytes, size_t n_bytes, struct kv_error *error);

/* Takes the folder for this process, where the file system knows locks, until *descriptor is closed; -1: it is not open.
 * Errors: IO, also when another process has it. */
kv_status kv_folder_lock(int *descriptor, const char *folder, struct kv_error *error);
/* Makes the folder, and those above it, where there is none. Errors: IO. */
kv_status kv_folder_make(const char *path, struct kv_error *error);

/* ---- Reading ------------------------------------------------------------------------------------------------- */

/* All that is left of the stream, *bytes [*n_bytes] ended by a zero, for the caller to free(); NULL only with an
 * error, which calls it `name`. Errors: IO, MEMORY. */
kv_status kv_stream_read(FILE *stream, const char *name, char **bytes, size_t *n_bytes, struct kv_error *error);

/* The same of a file; kv_regular_file_read only of a regular one: a pipe in place of a model's file would wait for
 * ever. */
kv_status kv_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error);
kv_status kv_regular_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error);

#endif
