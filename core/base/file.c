#include "base/file.h"

#include "base/error.h"
#include "base/number.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* Behind a file's name and before the writer's process id. */
#define PART ".kvbench-part-"

static kv_status refuse(const struct kv_file *output, int reason, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s", output->file, strerror(reason));
}

/* Where the links of `file` lead, there or not yet; NULL: no memory, or links in a circle, as errno says. */
static char *follow(const char *file)
{
    enum { MOST_LINKS = 40 };
    char *name = strdup(file), link[PATH_MAX];
    for (int i = 0; name && i < MOST_LINKS; i++) {
        const ssize_t n = readlink(name, link, sizeof link - 1);
        if (n < 0)
            return name;
        link[n] = '\0';
        const char *slash = strrchr(name, '/');
        char *next = NULL;
        if (asprintf(&next, "%.*s%s", slash && *link != '/' ? (int)(slash - name) + 1 : 0, name, link) < 0)
            next = NULL;
        free(name);
        name = next;
    }
    errno = name ? ELOOP : ENOMEM;
    free(name);
    return NULL;
}

/* The folder of a file, ended by a slash; NULL: no memory. */
static char *folder_of(const char *file)
{
    const char *slash = strrchr(file, '/');
    return slash ? strndup(file, (size_t)(slash - file) + 1) : strdup("./");
}

/* Whether a file of that name belongs to a process that has ended. */
static bool is_stale(int folder, const char *name)
{
    const char *part = strstr(name, PART), *end = part ? part + strlen(PART) : NULL;
    uint64_t process;
    if (!part || !kv_number_whole(&end, 1, INT_MAX, &process) || *end || kill((pid_t)process, 0) == 0 || errno != ESRCH)
        return false;
    /* A process of another container has a number that says nothing here, but holds its lock. */
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    const int fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    const bool is_known = fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0;
    if (fd >= 0)
        close(fd);
    return is_known && lock.l_type == F_UNLCK;
}

static void remove_stale(const char *target)
{
    char *folder = folder_of(target);
    DIR *entries = folder ? opendir(folder) : NULL;
    for (const struct dirent *entry; entries && (entry = readdir(entries));)
        if (is_stale(dirfd(entries), entry->d_name))
            unlinkat(dirfd(entries), entry->d_name, 0);
    if (entries)
        closedir(entries);
    free(folder);
}

kv_status kv_file_open(struct kv_file *output, const char *file, struct kv_error *error)
{
    struct stat there;
    const bool direct = stat(file, &there) == 0 && !S_ISREG(there.st_mode);
    *output = (struct kv_file){.file = file};
    if (!direct && !(output->target = follow(file)))
        return refuse(output, errno, error);
    if (!direct && asprintf(&output->temporary, "%s" PART "%ld", output->target, (long)getpid()) < 0) {
        output->temporary = NULL;
        kv_file_close(output);
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    }
    if (!direct)
        remove_stale(output->target);
    output->stream = fopen(direct ? file : output->temporary, "wbe");
    if (output->stream) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET}; /* tells others that the writer lives */
        fcntl(fileno(output->stream), F_OFD_SETLK, &lock);
        return KV_OK;
    }
    const kv_status status = refuse(output, errno, error);
    free(output->temporary); /* there is no such file to remove */
    output->temporary = NULL;
    kv_file_close(output);
    return status;
}

void kv_file_write(struct kv_file *output, const void *bytes, size_t n_bytes)
{
    if (!output->reason && fwrite(bytes, 1, n_bytes, output->stream) != n_bytes)
        output->reason = errno;
}

kv_status kv_file_finish(struct kv_file *output, struct kv_error *error)
{
    if (!output->reason && fflush(output->stream) != 0)
        output->reason = errno;
    if (!output->reason && output->temporary && fsync(fileno(output->stream)) != 0)
        output->reason = errno;
    if (fclose(output->stream) != 0 && !output->reason)
        output->reason = errno;
    output->stream = NULL;
    return output->reason ? refuse(output, output->reason, error) : KV_OK;
}

/* Brings the new name to the disk, where the file system can do that. */
static void sync_folder(const char *file)
{
    char *folder = folder_of(file);
    const int fd = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

kv_status kv_file_publish(struct kv_file *output, struct kv_error *error)
{
    if (!output->temporary)
        return KV_OK;
    if (rename(output->temporary, output->target) != 0)
        return refuse(output, errno, error);
    free(output->temporary);
    output->temporary = NULL;
    sync_folder(output->target);
    return KV_OK;
}

void kv_file_close(struct kv_file *output)
{
    if (output->stream)
        fclose(output->stream);
    if (output->temporary)
        unlink(output->temporary);
    free(output->temporary);
    free(output->target);
    *output = (struct kv_file){0};
}

kv_status kv_file_put(const char *file, const void *bytes, size_t n_bytes, struct kv_error *error)
{
    struct kv_file output = {0};
    kv_status status = kv_file_open(&output, file, error);
    if (!status) {
        kv_file_write(&output, bytes, n_bytes);
        status = kv_file_finish(&output, error);
    }
    if (!status)
        status = kv_file_publish(&output, error);
    kv_file_close(&output);
    return status;
}

kv_status kv_folder_lock(int *descriptor, const char *folder, struct kv_error *error)
{
    *descriptor = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (*descriptor < 0)
        return kv_fail(error, KV_ERROR_IO, "%.300s: cannot be opened: %s", folder, strerror(errno));
    /* A file system without locks is no reason to refuse. */
    if (flock(*descriptor, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK)
        return KV_OK;
    return kv_fail(error, KV_ERROR_IO, "%.300s: another kvbench is at work in it; wait until it ends", folder);
}

kv_status kv_folder_make(const char *path, struct kv_error *error)
{
    char part[4096];
    snprintf(part, sizeof part, "%s", path);
    for (char *slash = strchr(part + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return kv_fail(error, KV_ERROR_IO, "folder %s cannot be made: %s", part, strerror(errno));
        if (!slash)
            return KV_OK;
        *slash = '/';
    }
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

/* O_NONBLOCK opens a pipe that nobody writes to; a regular file does not care. */
static kv_status read_file(const char *file, bool must_be_regular, char **bytes, size_t *n_bytes,
                           struct kv_error *error)
{
    struct stat there;
    *bytes = NULL;
    *n_bytes = 0;
    const int fd = open(file, O_RDONLY | O_CLOEXEC | (must_be_regular ? O_NONBLOCK : 0));
    FILE *stream = fd < 0 ? NULL : fdopen(fd, "r");
    kv_status status = KV_OK;
    if (!stream)
        status = kv_fail(error, KV_ERROR_IO, "%.400s: %s", file, strerror(errno));
    else if (must_be_regular && fstat(fd, &there) == 0 && !S_ISREG(there.st_mode))
        status = kv_fail(error, KV_ERROR_IO, "%.400s: %s", file,
                         S_ISDIR(there.st_mode) ? strerror(EISDIR) : "not a regular file");
    else
        status = kv_stream_read(stream, file, bytes, n_bytes, error);
    if (stream)
        fclose(stream);
    else if (fd >= 0)
        close(fd);
    return status;
}

kv_status kv_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    return read_file(file, false, bytes, n_bytes, error);
}

kv_status kv_regular_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    return read_file(file, true, bytes, n_bytes, error);
}
