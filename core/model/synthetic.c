/* Weights that need no file: drawn from a counter-based generator, so that any element can be made alone,
 * in any order, by any thread, and has the same bits on every machine.
 *
 *   key      = FNV-1a (64 bit) of the tensor's name, as in the checkpoint, xor SplitMix64's mix of the seed
 *   r(i)     = mix(key + (i + 1) * 0x9e3779b97f4a7c15)                  SplitMix64 (Steele, Lea & Flood 2014)
 *   s(i)     = the four 16-bit quarters of r(i), added, minus 131070    Irwin-Hall: close to normal, mean 0
 *   value(i) = mean + (s(i) * scale),  scale = deviation / 37837.227    the deviation of s is sqrt((2^32 - 1) / 3)
 *
 * Deviations: matrices sqrt(2 / n_embd), biases 0.1, layer-norm gains 1 +- 0.1: wider than GPT-2's own 0.02, so that
 * attention is far from uniform and an error anywhere shows in the logits. Integers, one exactly rounded product
 * and sum: no libm, no denormals (the smallest value that is not 0 is `scale` itself). */
#include "base/random.h"
#include "model/weights.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct synthesis {
    const struct kv_tensor_slot *slots; /* [n_slots] */
    uint64_t seed;
    float matrix_deviation;
};

/* values [count] of the tensor that `key` belongs to, from element `begin` on */
static void draw(float *values, size_t begin, size_t count, uint64_t key, float mean, float deviation)
{
    const float scale = deviation / 37837.227f;
    for (size_t i = 0; i < count; i++) {
        const uint64_t r = kv_draw64(key, begin + i);
        const int32_t sum = (int32_t)((r & 0xffff) + (r >> 16 & 0xffff) + (r >> 32 & 0xffff) + (r >> 48)) - 131070;
        values[i] = mean + (float)sum * scale;
    }
}

static void draw_weights(const void *context, int index, size_t begin, size_t count, float *values)
{
    const struct synthesis *s = context;
    const struct kv_tensor_slot *slot = &s->slots[index];
    draw(values, begin, count, kv_hash_bytes(slot->name, strlen(slot->name)) ^ kv_mix64(s->seed),
         slot->role == KV_ROLE_NORM ? 1.0f : 0.0f, slot->role == KV_ROLE_MATRIX ? s->matrix_deviation : 0.1f);
}

kv_status kv_model_synthesize(struct kv_model **out, const struct kv_config *config, uint64_t seed, const char *weights,
                              const char *matmul, struct kv_pool *pool, struct kv_error *error)
{
    const struct kv_matmul_backend *backend;
    struct kv_tensor_slot *slots;
    struct kv_model *model;
    int n_slots;
    const struct kv_weight_format *format;
    *out = NULL;
    kv_status status = kv_matmul_find_for(weights, matmul, &format, &backend, error);
    if (!status)
        status = kv_model_layout(&model, config, format, backend->layout, &slots, &n_slots, error);
    if (status)
        return status;
    const struct synthesis synthesis = {slots, seed, sqrtf(2.0f / (float)config->n_embd)};
    status = kv_model_fill(slots, n_slots, draw_weights, &synthesis, pool, error);
    free(slots);
    if (status) {
        kv_model_free(model);
        return status;
    }
    snprintf(model->source, sizeof model->source, "synthetic:%" PRIu64, seed);
    *out = model;
    return KV_OK;
}
