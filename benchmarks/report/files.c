#include "report/files.h"

#include "base/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool kv_file_is_there(const char *folder, const char *name)
{
    char *file;
    if (asprintf(&file, "%s/%s", folder, name) < 0)
        return false;
    const bool is_there = access(file, F_OK) == 0;
    free(file);
    return is_there;
}

static kv_status read_stream(char **bytes, size_t *n, FILE *stream, const char *file, struct kv_error *error)
{
    size_t capacity = 0, taken;
    *n = 0;
    do {
        if (capacity - *n < 2) {
            capacity = capacity ? 2 * capacity : 1 << 16;
            char *grown = realloc(*bytes, capacity);
            if (!grown)
                return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", file);
            *bytes = grown;
        }
        taken = fread(*bytes + *n, 1, capacity - *n - 1, stream);
        *n += taken;
    } while (taken);
    if (ferror(stream))
        return kv_fail(error, KV_ERROR_IO, "%s cannot be read: %s", file, strerror(errno));
    (*bytes)[*n] = '\0';
    return KV_OK;
}

kv_status kv_file_read(char **bytes, size_t *n, const char *folder, const char *name, struct kv_error *error)
{
    char *file;
    *bytes = NULL;
    if (asprintf(&file, "%s/%s", folder, name) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to read %s: close other programs", name);
    FILE *stream = fopen(file, "rbe");
    kv_status status = KV_OK;
    if (stream)
        status = read_stream(bytes, n, stream, file, error);
    else
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be opened: %s", file, strerror(errno));
    if (stream)
        fclose(stream);
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    free(file);
    return status;
}

kv_status kv_file_begin(struct kv_file_writer *writer, const char *file, struct kv_error *error)
{
    *writer = (struct kv_file_writer){.file = file};
    if (asprintf(&writer->temporary, "%s.part-%ld", file, (long)getpid()) < 0) {
        writer->temporary = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to write %s: close other programs", file);
    }
    writer->stream = fopen(writer->temporary, "wbe");
    if (writer->stream)
        return KV_OK;
    free(writer->temporary);
    return kv_fail(error, KV_ERROR_IO, "%s cannot be written (%s): choose another place with --out", file,
                   strerror(errno));
}

kv_status kv_file_end(struct kv_file_writer *writer, kv_status status, struct kv_error *error)
{
    const bool has_failed = ferror(writer->stream) != 0;
    if ((fclose(writer->stream) != 0 || has_failed) && !status)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written (%s): is the disk full?", writer->file,
                         strerror(errno));
    if (!status && rename(writer->temporary, writer->file) != 0)
        status = kv_fail(error, KV_ERROR_IO, "%s cannot be written (%s): choose another place with --out", writer->file,
                         strerror(errno));
    if (status)
        unlink(writer->temporary);
    free(writer->temporary);
    return status;
}
