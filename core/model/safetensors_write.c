#include "base/error.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* {"NAME":{"dtype":"F32","shape":[..],"data_offsets":[0,BYTES]}} as text that the caller frees, or NULL. */
static char *header_text(const char *name, const size_t *shape, int n_dims, size_t bytes)
{
    json_t *dims = json_array();
    for (int i = 0; i < n_dims; i++)
        json_array_append_new(dims, json_integer((json_int_t)shape[i]));
    json_t *header = json_pack("{s:{s:s, s:o, s:[I, I]}}", name, "dtype", "F32", "shape", dims, "data_offsets",
                               (json_int_t)0, (json_int_t)bytes);
    char *text = header ? json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;
    json_decref(header);
    return text;
}

/* The format wants little-endian; so are all machines this builds for, which a static assertion holds. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are written as they lie in memory");

static bool write_parts(FILE *stream, const char *header, const float *data, size_t bytes)
{
    const size_t length = strlen(header), padding = (8 - length % 8) % 8; /* so that the data is aligned */
    const uint64_t header_bytes = length + padding;
    return fwrite(&header_bytes, sizeof header_bytes, 1, stream) == 1 && fwrite(header, 1, length, stream) == length &&
           fwrite("        ", 1, padding, stream) == padding && fwrite(data, 1, bytes, stream) == bytes;
}

kv_status kv_write_safetensors(const char *file, const char *name, const float *data, const size_t *shape, int n_dims,
                               struct kv_error *error)
{
    size_t bytes = sizeof(float);
    json_t *label = json_string(name);
    const bool is_utf8 = label != NULL;
    json_decref(label);
    if (!is_utf8)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the tensor's name must be UTF-8", file);
    for (int i = 0; i < n_dims; i++)
        if (__builtin_mul_overflow(bytes, shape[i], &bytes))
            return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the size of tensor '%s' overflows", file, name);
    char *temporary = NULL;
    char *header = header_text(name, shape, n_dims, bytes);
    if (!header || asprintf(&temporary, "%s.part-%ld", file, (long)getpid()) < 0) {
        free(header);
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    }
    errno = 0;
    FILE *stream = fopen(temporary, "wbe");
    bool whole = stream && write_parts(stream, header, data, bytes);
    int saved = errno;
    if (stream && fclose(stream) != 0) {
        saved = errno;
        whole = false;
    }
    if (whole && rename(temporary, file) != 0) {
        saved = errno;
        whole = false;
    }
    if (!whole && stream)
        unlink(temporary);
    free(temporary);
    free(header);
    return whole ? KV_OK : kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s", file, strerror(saved));
}
