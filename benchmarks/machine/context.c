#include "machine/context.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "machine/context_json.h"

void kv_context_start(struct kv_context *context, const struct kv_build_info *build,
                      const struct kv_library_info *libraries, const struct kv_run_info *run, const char *root)
{
    *context = (struct kv_context){
        .build = *build,
        .libraries = *libraries,
        .run = *run,
        .root = root,
        .start = time(NULL),
        .steal_percent = -1,
    };
    kv_machine_read(&context->machine, root);
    kv_cpu_time_read(&context->cpu_time, root);
}

void kv_context_finish(struct kv_context *context)
{
    struct kv_cpu_time now;
    kv_cpu_time_read(&now, context->root);
    context->steal_percent = kv_cpu_time_steal_percent(&context->cpu_time, &now);
    context->end = time(NULL);
    context->finished = true;
}

__attribute__((format(printf, 3, 4))) static kv_status fail(struct kv_error *error, kv_status status,
                                                            const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error->message, sizeof error->message, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* 0, or the errno of the first step that failed. */
static int write_whole(const json_t *object, FILE *file)
{
    errno = 0;
    bool ok = json_dumpf(object, file, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) == 0 && fputc('\n', file) != EOF &&
              fflush(file) == 0 && fsync(fileno(file)) == 0;
    int reason = ok ? 0 : errno != 0 ? errno : EIO;
    if (fclose(file) != 0 && reason == 0) {
        reason = errno;
    }
    return reason;
}

static int replace_file(const json_t *object, const char *file, const char *temporary)
{
    FILE *stream = fopen(temporary, "we");
    if (stream == NULL) {
        return errno;
    }
    int reason = write_whole(object, stream);
    if (reason == 0 && rename(temporary, file) != 0) {
        reason = errno;
    }
    if (reason != 0) {
        unlink(temporary);
    }
    return reason;
}

kv_status kv_context_write(const struct kv_context *context, const char *folder, struct kv_error *error)
{
    char file[PATH_MAX], temporary[PATH_MAX];
    snprintf(file, sizeof file, "%s/context.json", folder);
    int length = snprintf(temporary, sizeof temporary, "%s/context.json.part", folder);
    if (length < 0 || (size_t)length >= sizeof temporary) {
        return fail(error, KV_ERROR_IO, "%.200s...: the path is too long; choose a shorter results folder", folder);
    }
    json_t *object = kv_context_json(context);
    if (object == NULL) {
        return fail(error, KV_ERROR_MEMORY, "%s: out of memory while writing; free some memory and run again", file);
    }
    int reason = replace_file(object, file, temporary);
    json_decref(object);
    if (reason != 0) {
        return fail(error, KV_ERROR_IO,
                    "%s: cannot be written (%s); check that the folder exists, is writable and has room", file,
                    strerror(reason));
    }
    return KV_OK;
}
