#include "text/text_file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Grows as it reads: a pipe has no size. */
kv_status kv_text_stream_read(FILE *stream, const char *name, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    size_t room = 0, n_read = 1;
    *bytes = NULL;
    for (*n_bytes = 0; n_read; *n_bytes += n_read) {
        if (room - *n_bytes < BUFSIZ) { /* also leaves a byte for the zero */
            room = room ? 2 * room : 16 * (size_t)BUFSIZ;
            char *larger = realloc(*bytes, room);
            if (!larger) {
                snprintf(error->message, sizeof error->message, "%.400s: no memory to read it; give less at once",
                         name);
                free(*bytes);
                *bytes = NULL;
                return KV_ERROR_MEMORY;
            }
            *bytes = larger;
        }
        n_read = fread(*bytes + *n_bytes, 1, room - *n_bytes - 1, stream);
    }
    (*bytes)[*n_bytes] = '\0';
    if (!ferror(stream))
        return KV_OK;
    snprintf(error->message, sizeof error->message, "%.400s: cannot be read: %s", name, strerror(errno));
    free(*bytes);
    *bytes = NULL;
    return KV_ERROR_IO;
}

kv_status kv_text_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    *bytes = NULL;
    *n_bytes = 0;
    FILE *stream = fopen(file, "re");
    if (!stream) {
        snprintf(error->message, sizeof error->message, "%.400s: %s", file, strerror(errno));
        return KV_ERROR_IO;
    }
    kv_status status = kv_text_stream_read(stream, file, bytes, n_bytes, error);
    fclose(stream);
    if (!status && *n_bytes == 0) {
        snprintf(error->message, sizeof error->message, "%.400s: the file is empty; give a text", file);
        status = KV_ERROR_ARGUMENT;
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}
