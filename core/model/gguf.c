/* A model as a GGUF file, version 3, for llama.cpp and what reads its files: all float32, no vocabulary.
 *
 *   "GGUF"  u32 version  u64 tensors  u64 fields
 *   field   string key, u32 type, value          string   u64 length, bytes
 *   tensor  string name, u32 n_dims, u64 ne[n_dims] the fastest first, u32 type, u64 offset in the data
 *   data    from a multiple of 32 bytes on, as is each tensor
 *
 * A matrix [in, out] of the checkpoint is stored as its transpose, ne = {in, out}; embeddings as they are.
 * https://github.com/ggml-org/ggml/blob/master/docs/gguf.md */
#include "model/weights.h"

#include "base/error.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { GGUF_VERSION = 3, ALIGNMENT = 32, TYPE_UINT32 = 4, TYPE_FLOAT32 = 6, TYPE_STRING = 8, TENSOR_F32 = 0 };

/* What llama.cpp calls them, of a whole name or of what follows "h.N.". */
static const struct {
    const char *ours, *theirs;
} names[] = {
    {"wte.weight", "token_embd"}, {"wpe.weight", "position_embd"}, {"ln_f.", "output_norm"},
    {"ln_1.", "attn_norm"},       {"attn.c_attn.", "attn_qkv"},    {"attn.c_proj.", "attn_output"},
    {"ln_2.", "ffn_norm"},        {"mlp.c_fc.", "ffn_up"},         {"mlp.c_proj.", "ffn_down"},
};

/* "h.3.attn.c_attn.bias" is "blk.3.attn_qkv.bias". */
static void translate(const char *ours, char theirs[64])
{
    int layer = 0, n = 0;
    const bool in_layer = sscanf(ours, "h.%d.%n", &layer, &n) == 1;
    const char *kind = strrchr(ours, '.');
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(ours + n, names[i].ours, strlen(names[i].ours)) == 0 && in_layer)
            snprintf(theirs, 64, "blk.%d.%s%s", layer, names[i].theirs, kind);
        else if (strncmp(ours + n, names[i].ours, strlen(names[i].ours)) == 0)
            snprintf(theirs, 64, "%s%s", names[i].theirs, kind);
}

struct gguf {
    struct kv_file file;
    uint64_t n_bytes; /* written so far */
};

static void write_bytes(struct gguf *out, const void *bytes, size_t n_bytes)
{
    kv_file_write(&out->file, bytes, n_bytes);
    out->n_bytes += n_bytes;
}

static void write_integer(struct gguf *out, uint64_t value, int n_bytes)
{
    unsigned char bytes[8];
    for (int i = 0; i < n_bytes; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    write_bytes(out, bytes, (size_t)n_bytes);
}

static void write_string(struct gguf *out, const char *text)
{
    write_integer(out, strlen(text), 8);
    write_bytes(out, text, strlen(text));
}

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* How many there are; out NULL: writes none. */
static int write_fields(struct gguf *out, const struct kv_config *c, const char *name)
{
    const struct {
        const char *key;
        uint32_t value, type;
    } numbers[] = {
        {"general.file_type", TENSOR_F32, TYPE_UINT32},
        {"gpt2.context_length", (uint32_t)c->n_positions, TYPE_UINT32},
        {"gpt2.embedding_length", (uint32_t)c->n_embd, TYPE_UINT32},
        {"gpt2.feed_forward_length", (uint32_t)c->n_inner, TYPE_UINT32},
        {"gpt2.block_count", (uint32_t)c->n_layer, TYPE_UINT32},
        {"gpt2.attention.head_count", (uint32_t)c->n_head, TYPE_UINT32},
        {"gpt2.attention.layer_norm_epsilon", bits_of(c->layer_norm_epsilon), TYPE_FLOAT32},
        {"gpt2.vocab_size", (uint32_t)c->vocab_size, TYPE_UINT32},
    };
    const char *const texts[][2] = {
        {"general.architecture", "gpt2"}, {"general.name", name}, {"tokenizer.ggml.model", "no_vocab"}};
    const int n_numbers = sizeof numbers / sizeof numbers[0], n_texts = sizeof texts / sizeof texts[0];
    for (int i = 0; out && i < n_texts; i++) {
        write_string(out, texts[i][0]);
        write_integer(out, TYPE_STRING, 4);
        write_string(out, texts[i][1]);
    }
    for (int i = 0; out && i < n_numbers; i++) {
        write_string(out, numbers[i].key);
        write_integer(out, numbers[i].type, 4);
        write_integer(out, numbers[i].value, 4);
    }
    return n_texts + n_numbers;
}

static bool is_transposed(const struct kv_tensor_slot *slot)
{
    return slot->n_dims == 2 && strncmp(slot->name, "h.", 2) == 0;
}

static uint64_t aligned(uint64_t bytes)
{
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static void write_tensor_list(struct gguf *out, const struct kv_config *config)
{
    struct kv_tensor_slot slot;
    uint64_t offset = 0;
    for (size_t i = 0; kv_model_describe(config, i, &slot); i++) {
        char name[64] = "";
        translate(slot.name, name);
        write_string(out, name);
        write_integer(out, (uint64_t)slot.n_dims, 4);
        for (int d = 0; d < slot.n_dims; d++) /* fastest first: of a transposed matrix that is its own first */
            write_integer(out, slot.shape[is_transposed(&slot) ? d : slot.n_dims - 1 - d], 8);
        write_integer(out, TENSOR_F32, 4);
        write_integer(out, offset, 8);
        offset = aligned(offset + slot.n_elements * sizeof(float));
    }
}

static void pad(struct gguf *out)
{
    static const char zeros[ALIGNMENT] = {0};
    write_bytes(out, zeros, (size_t)(aligned(out->n_bytes) - out->n_bytes));
}

/* row [shape[0]]: one column of a matrix [in, out] at a time. */
static void write_data(struct gguf *out, const struct kv_tensor_slot *slot, const float *data, float *row)
{
    if (!is_transposed(slot)) {
        write_bytes(out, data, slot->n_elements * sizeof *data);
        return;
    }
    for (size_t column = 0; column < slot->shape[1]; column++) {
        for (size_t k = 0; k < slot->shape[0]; k++)
            row[k] = data[k * slot->shape[1] + column];
        write_bytes(out, row, slot->shape[0] * sizeof *row);
    }
}

static void write_all(struct gguf *out, const struct kv_model *model, const char *name, float *row)
{
    const struct kv_config *c = &model->config;
    struct kv_tensor_slot slot;
    uint64_t n_tensors = 0;
    while (kv_model_describe(c, n_tensors, &slot))
        n_tensors++;
    write_bytes(out, "GGUF", 4);
    write_integer(out, GGUF_VERSION, 4);
    write_integer(out, n_tensors, 8);
    write_integer(out, (uint64_t)write_fields(NULL, c, name), 8);
    write_fields(out, c, name);
    write_tensor_list(out, c);
    pad(out);
    for (size_t i = 0; kv_model_describe(c, i, &slot); i++) {
        write_data(out, &slot, kv_model_tensor(model, i), row);
        pad(out);
    }
}

kv_status kv_model_save_gguf(const struct kv_model *model, const char *file, const char *name, struct kv_error *error)
{
    const struct kv_config *c = &model->config;
    if (model->layout != KV_WEIGHTS_PLAIN || strcmp(model->format->choice.name, "f32") != 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: make the model in float32 for matmul openblas or reference",
                       file);
    struct gguf out = {0};
    float *row = malloc((size_t)(c->n_inner > c->n_embd ? c->n_inner : c->n_embd) * sizeof *row);
    kv_status status = row ? kv_file_open(&out.file, file, error)
                           : kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    if (!status) {
        write_all(&out, model, name, row);
        status = kv_file_finish(&out.file, error);
    }
    if (!status)
        status = kv_file_publish(&out.file, error);
    kv_file_close(&out.file);
    free(row);
    return status;
}
