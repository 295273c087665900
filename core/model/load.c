/* A Hugging Face checkpoint: every tensor is found and checked before the first weight is read. */
#include "base/error.h"
#include "model/safetensors.h"
#include "model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16, subnormals, infinities and NaN included. */
static inline float from_half(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, mantissa = half & 1023;
    if (exponent == 0) /* mantissa * 2^-24 is exact in float32 */
        return from_bits(sign | 0x3f800000) * ((float)mantissa * 0x1p-24f);
    if (exponent == 31)
        return from_bits(sign | 0x7f800000 | mantissa << 13);
    return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

/* data [n] of the file's type, at any alignment -> values [n] */
static void convert(const unsigned char *data, enum kv_dtype dtype, float *values, size_t n)
{
    uint16_t bits;
    if (dtype == KV_DTYPE_F32) {
        memcpy(values, data, n * sizeof *values);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        memcpy(&bits, data + i * sizeof bits, sizeof bits);
        values[i] = dtype == KV_DTYPE_BF16 ? from_bits((uint32_t)bits << 16) : from_half(bits);
    }
}

/* Of sources [n_slots]: const struct kv_tensor * */
static void read_weights(const void *context, int index, size_t begin, size_t count, float *values)
{
    const struct kv_tensor *source = ((const struct kv_tensor *const *)context)[index];
    const size_t element_bytes = source->dtype == KV_DTYPE_F32 ? 4 : 2;
    convert(source->data + begin * element_bytes, source->dtype, values, count);
}

/* The tensor that fills a slot, with or without the "transformer." that some files put before every name. */
static kv_status find_source(const struct kv_safetensors *file, const char *path, const struct kv_tensor_slot *slot,
                             const struct kv_tensor **source, struct kv_error *error)
{
    char prefixed[sizeof slot->name + 16];
    snprintf(prefixed, sizeof prefixed, "transformer.%s", slot->name);
    const struct kv_tensor *tensor = kv_safetensors_find(file, slot->name);
    if (!tensor)
        tensor = kv_safetensors_find(file, prefixed);
    if (!tensor)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%s' is missing", path, slot->name);
    bool same = tensor->n_dims == slot->n_dims;
    for (int i = 0; same && i < slot->n_dims; i++)
        same = tensor->shape[i] == slot->shape[i];
    if (!same) {
        char wanted[64], found[128] = "";
        snprintf(wanted, sizeof wanted, slot->n_dims == 1 ? "%zu" : "%zu, %zu", slot->shape[0], slot->shape[1]);
        for (int i = 0, at = 0; i < tensor->n_dims && at < (int)sizeof found - 24; i++)
            at += snprintf(found + at, sizeof found - (size_t)at, "%s%llu", i ? ", " : "",
                           (unsigned long long)tensor->shape[i]);
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%s' has shape [%s], config.json asks for [%s]", path,
                       tensor->name, found, wanted);
    }
    if (tensor->dtype == KV_DTYPE_OTHER)
        return kv_fail(error, KV_ERROR_UNSUPPORTED, "%s: tensor '%s' has dtype %s; F32, F16 and BF16 are supported",
                       path, tensor->name, tensor->dtype_name);
    *source = tensor;
    return KV_OK;
}

/* A file with more layers than its config would run, and be wrong, without a word. */
static kv_status refuse_more_layers(const struct kv_safetensors *file, const char *path, int n_layer,
                                    struct kv_error *error)
{
    for (int i = 0; i < kv_safetensors_count(file); i++) {
        const char *name = kv_safetensors_at(file, i)->name;
        const char *plain = strncmp(name, "transformer.", 12) == 0 ? name + 12 : name;
        long layer;
        int end = 0;
        if (sscanf(plain, "h.%ld.%n", &layer, &end) == 1 && end && layer >= n_layer)
            return kv_fail(error, KV_ERROR_FORMAT,
                           "%s: tensor '%.100s' is of a layer that config.json's n_layer (%d) "
                           "leaves out",
                           path, name, n_layer);
    }
    return KV_OK;
}

/* Whether the file is what its config asks for, known before any memory is taken for the weights. */
static kv_status check_tensors(const struct kv_safetensors *file, const char *path, const struct kv_config *config,
                               struct kv_error *error)
{
    struct kv_tensor_slot slot;
    const struct kv_tensor *source;
    kv_status status = refuse_more_layers(file, path, config->n_layer, error);
    for (size_t i = 0; !status && kv_model_describe(config, i, &slot); i++)
        status = find_source(file, path, &slot, &source, error);
    return status;
}

static kv_status fill(struct kv_model *model, const struct kv_tensor_slot *slots, int n_slots,
                      const struct kv_safetensors *file, const char *path, struct kv_pool *pool, struct kv_error *error)
{
    const struct kv_tensor **sources = calloc((size_t)n_slots, sizeof *sources);
    if (!sources)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to read it", path);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < n_slots; i++)
        status = find_source(file, path, &slots[i], &sources[i], error);
    if (!status) {
        status = kv_model_fill(slots, n_slots, read_weights, sources, pool, error);
        snprintf(model->source, sizeof model->source, "%s", kv_dtype_name(sources[0]->dtype));
    }
    free(sources);
    return status;
}

kv_status kv_model_load(struct kv_model **out, const char *folder, const char *weights, const char *matmul,
                        struct kv_pool *pool, struct kv_error *error)
{
    *out = NULL;
    char *config_path = NULL, *weights_path = NULL;
    struct kv_config config;
    struct kv_safetensors *file = NULL;
    struct kv_tensor_slot *slots = NULL;
    struct kv_model *model = NULL;
    int n_slots = 0;
    const struct kv_weight_format *format;
    const struct kv_matmul_backend *backend;
    kv_status status = kv_format_find(weights, &format, error);
    if (!status)
        status = kv_matmul_find(matmul, &backend, error);
    if (status)
        return status;
    if (asprintf(&config_path, "%s/config.json", folder) < 0)
        config_path = NULL;
    if (asprintf(&weights_path, "%s/model.safetensors", folder) < 0)
        weights_path = NULL;
    if (!config_path || !weights_path)
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to open it", folder);
    if (!status)
        status = kv_config_load(config_path, &config, error);
    if (!status)
        status = kv_safetensors_open(&file, weights_path, error);
    if (!status)
        status = check_tensors(file, weights_path, &config, error);
    if (!status)
        status = kv_model_layout(&model, &config, format, backend->layout, &slots, &n_slots, error);
    if (!status)
        status = fill(model, slots, n_slots, file, weights_path, pool, error);
    if (status)
        kv_model_free(model);
    else
        *out = model;
    kv_safetensors_close(file);
    free(slots);
    free(config_path);
    free(weights_path);
    return status;
}
