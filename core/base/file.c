#include "base/file.h"

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static kv_status refuse(const struct kv_file *output, int reason, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s", output->file, strerror(reason));
}

kv_status kv_file_open(struct kv_file *output, const char *file, struct kv_error *error)
{
    *output = (struct kv_file){.file = file};
    if (asprintf(&output->temporary, "%s.part-%ld", file, (long)getpid()) < 0) {
        output->temporary = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    }
    output->stream = fopen(output->temporary, "wbe");
    if (output->stream)
        return KV_OK;
    const kv_status status = refuse(output, errno, error);
    free(output->temporary);
    output->temporary = NULL;
    return status;
}

void kv_file_write(struct kv_file *output, const void *bytes, size_t n_bytes)
{
    if (!output->reason && fwrite(bytes, 1, n_bytes, output->stream) != n_bytes)
        output->reason = errno;
}

kv_status kv_file_finish(struct kv_file *output, struct kv_error *error)
{
    if (!output->reason && (fflush(output->stream) != 0 || fsync(fileno(output->stream)) != 0))
        output->reason = errno;
    if (fclose(output->stream) != 0 && !output->reason)
        output->reason = errno;
    output->stream = NULL;
    return output->reason ? refuse(output, output->reason, error) : KV_OK;
}

/* Brings the new name to the disk, where the file system can do that. */
static void sync_folder(const char *file)
{
    const char *slash = strrchr(file, '/');
    char *folder = slash ? strndup(file, (size_t)(slash - file) + 1) : strdup(".");
    const int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

kv_status kv_file_publish(struct kv_file *output, struct kv_error *error)
{
    if (rename(output->temporary, output->file) != 0)
        return refuse(output, errno, error);
    free(output->temporary);
    output->temporary = NULL;
    sync_folder(output->file);
    return KV_OK;
}

void kv_file_close(struct kv_file *output)
{
    if (output->stream)
        fclose(output->stream);
    if (output->temporary)
        unlink(output->temporary);
    free(output->temporary);
    *output = (struct kv_file){0};
}

/* ---- Reading ------------------------------------------------------------------------------------------------- */

/* Grows as it reads: a pipe has no size. */
static kv_status read_all(FILE *stream, const char *name, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    size_t room = 0, n_read = 1;
    for (*n_bytes = 0; n_read; *n_bytes += n_read) {
        if (room - *n_bytes < BUFSIZ) { /* also leaves a byte for the zero */
            room = room ? 2 * room : 16 * (size_t)BUFSIZ;
            char *larger = realloc(*bytes, room);
            if (!larger)
                return kv_fail(error, KV_ERROR_MEMORY, "%.400s: no memory to read it; give less at once", name);
            *bytes = larger;
        }
        n_read = fread(*bytes + *n_bytes, 1, room - *n_bytes - 1, stream);
    }
    (*bytes)[*n_bytes] = '\0';
    return ferror(stream) ? kv_fail(error, KV_ERROR_IO, "%.400s: cannot be read: %s", name, strerror(errno)) : KV_OK;
}

kv_status kv_stream_read(FILE *stream, const char *name, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    *bytes = NULL;
    const kv_status status = read_all(stream, name, bytes, n_bytes, error);
    if (status) {
        free(*bytes);
        *bytes = NULL;
    }
    return status;
}

kv_status kv_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    *bytes = NULL;
    *n_bytes = 0;
    FILE *stream = fopen(file, "re");
    if (!stream)
        return kv_fail(error, KV_ERROR_IO, "%.400s: %s", file, strerror(errno));
    const kv_status status = kv_stream_read(stream, file, bytes, n_bytes, error);
    fclose(stream);
    return status;
}
