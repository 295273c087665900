#include "base/error.h"
#include "model/safetensors.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/* The format wants little-endian; so are all machines this builds for, which a static assertion holds. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are written as they lie in memory");

/* The data starts on a cache line of a mapped file. */
enum { DATA_ALIGNMENT = 64 };

/* ---- Header ----------------------------------------------------------------------------------------- */

static bool is_utf8(const char *text)
{
    json_t *string = json_string(text);
    json_decref(string);
    return string != NULL;
}

static size_t n_elements(const struct kv_tensor_source *tensor)
{
    size_t n = 1;
    for (int i = 0; i < tensor->n_dims; i++)
        n *= tensor->shape[i];
    return n;
}

static kv_status check_tensor(const char *file, const json_t *header, const struct kv_tensor_source *tensor,
                              struct kv_error *error)
{
    size_t bytes = sizeof(float);
    if (!is_utf8(tensor->name))
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the tensor's name must be UTF-8", file);
    if (strcmp(tensor->name, "__metadata__") == 0 || json_object_get(header, tensor->name))
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the name '%.100s' is taken, give its tensor another one", file,
                       tensor->name);
    if (tensor->dtype != KV_DTYPE_F32 && tensor->dtype != KV_DTYPE_BF16)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: tensor '%.100s' can be written as F32 or BF16", file,
                       tensor->name);
    if (tensor->n_dims > KV_MAX_DIMS)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: tensor '%.100s' has %d dimensions, at most %d can be written",
                       file, tensor->name, tensor->n_dims, KV_MAX_DIMS);
    for (int i = 0; i < tensor->n_dims; i++)
        if (tensor->shape[i] > INT64_MAX || __builtin_mul_overflow(bytes, tensor->shape[i], &bytes))
            return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the size of tensor '%.100s' overflows", file, tensor->name);
    return KV_OK;
}

/* Adds {"NAME": {"dtype": .., "shape": [..], "data_offsets": [*end, *end + its bytes]}}. */
static kv_status add_tensor(const char *file, json_t *header, const struct kv_tensor_source *tensor, uint64_t *end,
                            struct kv_error *error)
{
    const kv_status status = check_tensor(file, header, tensor, error);
    if (status)
        return status;
    const uint64_t begin = *end, width = tensor->dtype == KV_DTYPE_F32 ? sizeof(float) : sizeof(uint16_t);
    if (__builtin_add_overflow(begin, n_elements(tensor) * width, end) || *end > INT64_MAX)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the size of all tensors overflows", file);
    json_t *shape = json_array();
    for (int i = 0; i < tensor->n_dims; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", kv_dtype_name(tensor->dtype), "shape", shape,
                              "data_offsets", (json_int_t)begin, (json_int_t)*end);
    if (json_object_set_new(header, tensor->name, entry) != 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    return KV_OK;
}

static kv_status add_notes(const char *file, json_t *header, const struct kv_note *notes, int n_notes,
                           struct kv_error *error)
{
    json_t *metadata = json_object();
    if (json_object_set_new(header, "__metadata__", metadata) != 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    for (int i = 0; i < n_notes; i++) {
        if (!is_utf8(notes[i].name) || !is_utf8(notes[i].value))
            return kv_fail(error, KV_ERROR_ARGUMENT, "%s: name and value of a note must be UTF-8", file);
        if (json_object_get(metadata, notes[i].name))
            return kv_fail(error, KV_ERROR_ARGUMENT, "%s: the name '%.100s' is taken, give its note another one", file,
                           notes[i].name);
        if (json_object_set_new(metadata, notes[i].name, json_string(notes[i].value)) != 0)
            return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    }
    return KV_OK;
}

/* The header as text, for the caller to free. */
static kv_status make_header(const char *file, const struct kv_tensor_source *tensors, int n_tensors,
                             const struct kv_note *notes, int n_notes, char **text, struct kv_error *error)
{
    json_t *header = json_object();
    uint64_t end = 0;
    kv_status status = n_notes ? add_notes(file, header, notes, n_notes, error) : KV_OK;
    for (int i = 0; !status && i < n_tensors; i++)
        status = add_tensor(file, header, &tensors[i], &end, error);
    *text = status ? NULL : json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(header);
    if (!status && !*text)
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    return status;
}

/* ---- Data ------------------------------------------------------------------------------------------- */

/* The upper half, rounded to nearest, ties to even; what is too large becomes infinity. */
static inline uint16_t to_bfloat(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) /* rounding could make a NaN infinity: it only becomes quiet */
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void write_bfloats(struct kv_file *output, const float *data, size_t n)
{
    uint16_t buffer[4096];
    const size_t most = sizeof buffer / sizeof *buffer;
    for (size_t begin = 0; begin < n; begin += most) {
        const size_t count = n - begin < most ? n - begin : most;
        for (size_t i = 0; i < count; i++)
            buffer[i] = to_bfloat(data[begin + i]);
        kv_file_write(output, buffer, count * sizeof *buffer);
    }
}

kv_status kv_safetensors_write_to(struct kv_file *output, const struct kv_tensor_source *tensors, int n_tensors,
                                  const struct kv_note *notes, int n_notes, struct kv_error *error)
{
    static const char spaces[DATA_ALIGNMENT + 1] = "                                                                ";
    char *header;
    const kv_status status = make_header(output->file, tensors, n_tensors, notes, n_notes, &header, error);
    if (status)
        return status;
    const size_t length = strlen(header), over = (sizeof(uint64_t) + length) % DATA_ALIGNMENT;
    const size_t padding = over ? DATA_ALIGNMENT - over : 0;
    const uint64_t header_bytes = length + padding;
    kv_file_write(output, &header_bytes, sizeof header_bytes);
    kv_file_write(output, header, length);
    kv_file_write(output, spaces, padding);
    free(header);
    for (int i = 0; i < n_tensors; i++) {
        if (tensors[i].dtype == KV_DTYPE_BF16)
            write_bfloats(output, tensors[i].data, n_elements(&tensors[i]));
        else
            kv_file_write(output, tensors[i].data, n_elements(&tensors[i]) * sizeof(float));
    }
    return kv_file_finish(output, error);
}

kv_status kv_safetensors_write(const char *file, const struct kv_tensor_source *tensors, int n_tensors,
                               const struct kv_note *notes, int n_notes, struct kv_error *error)
{
    struct kv_file output;
    kv_status status = kv_file_open(&output, file, error);
    if (!status)
        status = kv_safetensors_write_to(&output, tensors, n_tensors, notes, n_notes, error);
    if (!status)
        status = kv_file_publish(&output, error);
    kv_file_close(&output);
    return status;
}

kv_status kv_write_safetensors(const char *file, const char *name, const float *data, const size_t *shape, int n_dims,
                               struct kv_error *error)
{
    const struct kv_tensor_source tensor = {name, KV_DTYPE_F32, n_dims, shape, data};
    return kv_safetensors_write(file, &tensor, 1, NULL, 0, error);
}
