#include "model/safetensors.h"

#include "base/bfloat.h"
#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct kv_safetensors {
    char *path; /* for messages */
    unsigned char *map;
    size_t map_bytes;
    size_t data_begin; /* offset of the data section in the map */
    json_t *header;    /* owns the tensors' names */
    int n_tensors;
    struct kv_tensor *tensors; /* [n_tensors], by name */
};

static const struct {
    const char *name;
    unsigned bytes;
    enum kv_dtype dtype;
} dtypes[] = {
    {"F32", 4, KV_DTYPE_F32},    {"F16", 2, KV_DTYPE_F16},       {"BF16", 2, KV_DTYPE_BF16},
    {"F64", 8, KV_DTYPE_OTHER},  {"I64", 8, KV_DTYPE_OTHER},     {"I32", 4, KV_DTYPE_OTHER},
    {"I16", 2, KV_DTYPE_OTHER},  {"I8", 1, KV_DTYPE_OTHER},      {"U64", 8, KV_DTYPE_OTHER},
    {"U32", 4, KV_DTYPE_OTHER},  {"U16", 2, KV_DTYPE_OTHER},     {"U8", 1, KV_DTYPE_OTHER},
    {"BOOL", 1, KV_DTYPE_OTHER}, {"F8_E4M3", 1, KV_DTYPE_OTHER}, {"F8_E5M2", 1, KV_DTYPE_OTHER},
};

const char *kv_dtype_name(enum kv_dtype dtype)
{
    return dtype == KV_DTYPE_OTHER ? "other" : dtypes[dtype].name;
}

/* Reads a JSON array of whole numbers >= 0; returns their count, or -1. */
static int read_numbers(const json_t *array, uint64_t *values, int most)
{
    if (!json_is_array(array) || json_array_size(array) > (size_t)most)
        return -1;
    const int n = (int)json_array_size(array);
    for (int i = 0; i < n; i++) {
        const json_t *item = json_array_get(array, (size_t)i);
        if (!json_is_integer(item) || json_integer_value(item) < 0)
            return -1;
        values[i] = (uint64_t)json_integer_value(item);
    }
    return n;
}

static kv_status read_dtype(const struct kv_safetensors *file, const json_t *entry, struct kv_tensor *tensor,
                            unsigned *bytes, struct kv_error *error)
{
    tensor->dtype_name = json_string_value(json_object_get(entry, "dtype"));
    if (!tensor->dtype_name)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': 'dtype' must be a string", file->path,
                       tensor->name);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, tensor->dtype_name) == 0) {
            tensor->dtype = dtypes[i].dtype;
            *bytes = dtypes[i].bytes;
            return KV_OK;
        }
    }
    return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': dtype '%.40s' is not known", file->path, tensor->name,
                   tensor->dtype_name);
}

static kv_status read_tensor(const struct kv_safetensors *file, const json_t *entry, struct kv_tensor *tensor,
                             struct kv_error *error)
{
    const size_t data_bytes = file->map_bytes - file->data_begin;
    if (!json_is_object(entry))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': its entry must be a JSON object", file->path,
                       tensor->name);
    unsigned element_bytes = 0;
    const kv_status status = read_dtype(file, entry, tensor, &element_bytes, error);
    if (status)
        return status;
    tensor->n_dims = read_numbers(json_object_get(entry, "shape"), tensor->shape, KV_MAX_DIMS);
    if (tensor->n_dims < 0)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': 'shape' must be at most %d whole numbers >= 0",
                       file->path, tensor->name, KV_MAX_DIMS);
    uint64_t elements = 1, bytes, offsets[2];
    bool overflow = false;
    for (int i = 0; i < tensor->n_dims; i++)
        overflow |= __builtin_mul_overflow(elements, tensor->shape[i], &elements);
    if (overflow || __builtin_mul_overflow(elements, (uint64_t)element_bytes, &bytes))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': the size of its shape overflows", file->path,
                       tensor->name);
    if (read_numbers(json_object_get(entry, "data_offsets"), offsets, 2) != 2)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': 'data_offsets' must be two whole numbers >= 0",
                       file->path, tensor->name);
    if (offsets[0] > offsets[1] || offsets[1] - offsets[0] != bytes)
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s: tensor '%.100s': data_offsets [%" PRIu64 ", %" PRIu64 "] do not hold the %" PRIu64
                       " bytes of its shape",
                       file->path, tensor->name, offsets[0], offsets[1], bytes);
    if (offsets[1] > data_bytes)
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s: tensor '%.100s': data_offsets end at %" PRIu64
                       ", but the file holds %zu bytes of data: it is truncated or damaged, fetch it again",
                       file->path, tensor->name, offsets[1], data_bytes);
    tensor->begin = (size_t)offsets[0];
    tensor->end = (size_t)offsets[1];
    tensor->n_elements = (size_t)elements;
    tensor->data = file->map + file->data_begin + tensor->begin;
    return KV_OK;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct kv_tensor *)a)->name, ((const struct kv_tensor *)b)->name);
}

static int compare_places(const void *a, const void *b)
{
    const struct kv_tensor *x = a, *y = b;
    return x->begin != y->begin ? (x->begin < y->begin ? -1 : 1) : (x->end > y->end) - (x->end < y->end);
}

/* Tensors, in order of their places, cover the data without a gap, as the format asks for: with a header's length that is
 * off by its padding, all of them would be read from a few bytes beside their own. */
static kv_status check_places(const struct kv_safetensors *file, struct kv_error *error)
{
    const size_t data_bytes = file->map_bytes - file->data_begin;
    size_t end = 0;
    for (int i = 0; i < file->n_tensors; end = file->tensors[i++].end) {
        if (file->tensors[i].begin < end)
            return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s' overlaps tensor '%.100s'", file->path,
                           file->tensors[i].name, file->tensors[i - 1].name);
        if (file->tensors[i].begin > end)
            return kv_fail(error, KV_ERROR_FORMAT,
                           "%s: bytes %zu to %zu of the data are no tensor's: it is damaged, fetch it again",
                           file->path, end, file->tensors[i].begin);
    }
    if (end < data_bytes)
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s: the tensors end at byte %zu of the data, which has %zu: it is damaged, fetch it again",
                       file->path, end, data_bytes);
    return KV_OK;
}

/* The format's metadata are texts by name; what else stands there is another's file, or damage. */
static kv_status check_metadata(const struct kv_safetensors *file, struct kv_error *error)
{
    json_t *metadata = json_object_get(file->header, "__metadata__"), *value;
    const char *name;
    if (metadata && !json_is_object(metadata))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: '__metadata__' must be a JSON object of strings", file->path);
    json_object_foreach(metadata, name, value) if (!json_is_string(value)) return kv_fail(
        error, KV_ERROR_FORMAT, "%s: '__metadata__' has '%.100s', which is no string", file->path, name);
    return KV_OK;
}

static kv_status read_tensors(struct kv_safetensors *file, struct kv_error *error)
{
    const char *name;
    json_t *entry;
    file->tensors = calloc(json_object_size(file->header) + 1, sizeof *file->tensors);
    if (!file->tensors)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory for its header", file->path);
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0)
            continue;
        struct kv_tensor *tensor = &file->tensors[file->n_tensors];
        tensor->name = name;
        const kv_status status = read_tensor(file, entry, tensor, error);
        if (status)
            return status;
        file->n_tensors++;
    }
    qsort(file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_places);
    const kv_status status = check_places(file, error);
    if (status)
        return status;
    qsort(file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_names);
    return KV_OK;
}

static kv_status map_file(struct kv_safetensors *file, struct kv_error *error)
{
    struct stat stat;
    const int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe would wait */
    if (fd < 0)
        return kv_fail(error, KV_ERROR_IO, "%s: %s", file->path, strerror(errno));
    void *map = MAP_FAILED;
    const char *why = NULL;
    if (fstat(fd, &stat) != 0)
        why = strerror(errno);
    else if (!S_ISREG(stat.st_mode))
        why = "not a regular file";
    else if (stat.st_size > 0 && (map = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
        why = strerror(errno);
    close(fd);
    if (why)
        return kv_fail(error, KV_ERROR_IO, "%s: %s", file->path, why);
    if (map != MAP_FAILED) {
        file->map = map;
        file->map_bytes = (size_t)stat.st_size;
    }
    return KV_OK;
}

/* The parser stops at a number of more than 64 bits without saying whose it is: this does. */
static kv_status refuse_not_json(const struct kv_safetensors *file, size_t length, const json_error_t *json_error,
                                 struct kv_error *error)
{
    static const char *const fields[] = {"shape", "data_offsets"};
    kv_status status = KV_OK;
    json_t *header = NULL, *entry;
    const char *name;
    if (json_error_code(json_error) == json_error_numeric_overflow)
        header = json_loadb((const char *)file->map + 8, length, JSON_DECODE_INT_AS_REAL, NULL);
    json_object_foreach(header, name, entry)
    {
        for (int f = 0; f < 2 && !status; f++) {
            const json_t *numbers = json_object_get(entry, fields[f]);
            for (size_t i = 0; i < json_array_size(numbers) && !status; i++)
                if (fabs(json_real_value(json_array_get(numbers, i))) > 0x1p63)
                    status = kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%.100s': '%s' holds a number that overflows",
                                     file->path, name, fields[f]);
        }
    }
    json_decref(header);
    return status ? status
                  : kv_fail(error, KV_ERROR_FORMAT, "%s: the header is not JSON: %s", file->path, json_error->text);
}

static kv_status read_header(struct kv_safetensors *file, struct kv_error *error)
{
    if (file->map_bytes < 8)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: %zu bytes are too few for a safetensors file: fetch it again",
                       file->path, file->map_bytes);
    uint64_t length = 0;
    for (int i = 0; i < 8; i++)
        length |= (uint64_t)file->map[i] << (8 * i);
    if (length > file->map_bytes - 8)
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s: the header's length, %" PRIu64 " bytes, is more than the file holds: it is truncated or "
                       "not safetensors",
                       file->path, length);
    if (length == 0 || file->map[8] != '{')
        return kv_fail(error, KV_ERROR_FORMAT, "%s: the header does not begin with '{': it is not safetensors",
                       file->path);
    file->data_begin = 8 + (size_t)length;
    json_error_t json_error;
    file->header = json_loadb((const char *)file->map + 8, (size_t)length, JSON_REJECT_DUPLICATES, &json_error);
    if (!file->header)
        return refuse_not_json(file, (size_t)length, &json_error, error);
    return check_metadata(file, error);
}

kv_status kv_safetensors_open(struct kv_safetensors **out, const char *path, struct kv_error *error)
{
    *out = NULL;
    struct kv_safetensors *file = calloc(1, sizeof *file);
    if (!file || !(file->path = strdup(path))) {
        free(file);
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to open it", path);
    }
    kv_status status = map_file(file, error);
    if (!status)
        status = read_header(file, error);
    if (!status)
        status = read_tensors(file, error);
    if (status)
        kv_safetensors_close(file);
    else
        *out = file;
    return status;
}

void kv_safetensors_close(struct kv_safetensors *file)
{
    if (!file)
        return;
    if (file->map)
        munmap(file->map, file->map_bytes);
    json_decref(file->header);
    free(file->tensors);
    free(file->path);
    free(file);
}

int kv_safetensors_count(const struct kv_safetensors *file)
{
    return file->n_tensors;
}

const struct kv_tensor *kv_safetensors_at(const struct kv_safetensors *file, int index)
{
    return &file->tensors[index];
}

const struct kv_tensor *kv_safetensors_find(const struct kv_safetensors *file, const char *name)
{
    const struct kv_tensor key = {.name = name};
    return bsearch(&key, file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_names);
}

const char *kv_safetensors_note(const struct kv_safetensors *file, const char *name)
{
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), name));
}

void kv_safetensors_release(const struct kv_tensor *tensor)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), at = (uintptr_t)tensor->data;
    const uintptr_t begin = (at + page - 1) / page * page, end = (at + (tensor->end - tensor->begin)) / page * page;
    if (begin < end)
        madvise((void *)begin, end - begin, MADV_DONTNEED);
}

/* ---- Writing ------------------------------------------------------------------------------------------------- */

/* The format wants little-endian; so are all machines this builds for, which a static assertion holds. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors are written as they lie in memory");

/* The data starts on a cache line of a mapped file. */
enum { DATA_ALIGNMENT = 64 };

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

static void write_bfloats(struct kv_file *output, const float *data, size_t n)
{
    uint16_t buffer[4096];
    const size_t most = sizeof buffer / sizeof *buffer;
    for (size_t begin = 0; begin < n; begin += most) {
        const size_t count = n - begin < most ? n - begin : most;
        for (size_t i = 0; i < count; i++)
            buffer[i] = kv_to_bfloat(data[begin + i]);
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
