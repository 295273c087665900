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
