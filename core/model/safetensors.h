/* A safetensors file, mapped and checked: an 8-byte little-endian header length, a JSON header
 * {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ..}, then the data
 * (https://github.com/huggingface/safetensors, "Format"). */
#ifndef KV_MODEL_SAFETENSORS_H
#define KV_MODEL_SAFETENSORS_H

#include "base/file.h"

enum kv_dtype { KV_DTYPE_F32, KV_DTYPE_F16, KV_DTYPE_BF16, KV_DTYPE_OTHER };

enum { KV_MAX_DIMS = 8 };

struct kv_tensor {
    const char *name;
    const char *dtype_name;
    enum kv_dtype dtype;
    int n_dims;
    uint64_t shape[KV_MAX_DIMS];
    const unsigned char *data; /* in the file's mapping; any alignment */
    size_t n_elements;
    size_t begin, end; /* offsets of the data in the data section */
};

struct kv_safetensors;

/* Maps the file and checks all of it but the values: every tensor's type, shape, size and place, and that no
 * two overlap. Errors: IO, FORMAT, MEMORY, naming the tensor. */
kv_status kv_safetensors_open(struct kv_safetensors **out, const char *file, struct kv_error *error);
void kv_safetensors_close(struct kv_safetensors *file);

int kv_safetensors_count(const struct kv_safetensors *file);
const struct kv_tensor *kv_safetensors_at(const struct kv_safetensors *file, int index);
/* The tensor of that name, or NULL. */
const struct kv_tensor *kv_safetensors_find(const struct kv_safetensors *file, const char *name);

/* The value that the file's "__metadata__" has under that name; the file's own. NULL: none, or no string. */
const char *kv_safetensors_note(const struct kv_safetensors *file, const char *name);

/* The tensor's data was read and will not be again: its pages need not stay in memory. */
void kv_safetensors_release(const struct kv_tensor *tensor);

/* The type's name as the format spells it. */
const char *kv_dtype_name(enum kv_dtype dtype);

/* ---- Writing ------------------------------------------------------------------------------------------------- */

/* A tensor to be written: row-major, `dtype` is what it becomes in the file. */
struct kv_tensor_source {
    const char *name;    /* UTF-8 */
    enum kv_dtype dtype; /* F32, or BF16: rounded to nearest, ties to even */
    int n_dims;
    const size_t *shape; /* [n_dims] */
    const float *data;
};

/* An entry of "__metadata__", both UTF-8. */
struct kv_note {
    const char *name, *value;
};

/* Writes the tensors in that order, without gaps and without a copy of them, under its final name whole or not at all.
 * The data starts at a multiple of 64 bytes; with F32 before BF16 every tensor is aligned to its type.
 * Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_safetensors_write(const char *file, const struct kv_tensor_source *tensors, int n_tensors,
                               const struct kv_note *notes, int n_notes, struct kv_error *error);

/* The same into an output that was just opened, up to and with kv_file_finish. */
kv_status kv_safetensors_write_to(struct kv_file *output, const struct kv_tensor_source *tensors, int n_tensors,
                                  const struct kv_note *notes, int n_notes, struct kv_error *error);

#endif
