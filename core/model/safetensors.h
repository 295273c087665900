/* A safetensors file, mapped and checked: an 8-byte little-endian header length, a JSON header
 * {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, ..}, then the data
 * (https://github.com/huggingface/safetensors, "Format"). */
#ifndef KV_MODEL_SAFETENSORS_H
#define KV_MODEL_SAFETENSORS_H

#include "kvbench.h"

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

/* The type's name as the format spells it. */
const char *kv_dtype_name(enum kv_dtype dtype);

#endif
