#include "measure/text_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Grows as it reads: a pipe has no size. */
static kv_status read_all(FILE *stream, const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    size_t room = 0;
    do {
        if (*n_bytes == room) {
            room = room ? 2 * room : 1u << 16;
            char *larger = realloc(*bytes, room);
            if (!larger) {
                snprintf(error->message, sizeof error->message, "%.400s: no memory to read it; give less at once",
                         file);
                return KV_ERROR_MEMORY;
            }
            *bytes = larger;
        }
        *n_bytes += fread(*bytes + *n_bytes, 1, room - *n_bytes, stream);
    } while (!feof(stream) && !ferror(stream));
    if (!ferror(stream))
        return KV_OK;
    snprintf(error->message, sizeof error->message, "%.400s: cannot be read: %s", file, strerror(errno));
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
    kv_status status = read_all(stream, file, bytes, n_bytes, error);
    fclose(stream);
    if (!status && *n_bytes == 0) {
        snprintf(error->message, sizeof error->message, "%.400s: the file is empty; give a text", file);
        status = KV_ERROR_ARGUMENT;
    }
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}
