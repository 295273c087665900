/* A model as a folder that Hugging Face's GPT2LMHeadModel reads and writes: config.json and model.safetensors. */
#include "base/bfloat.h"
#include "base/error.h"
#include "model/safetensors.h"
#include "model/weights.h"
#include "text/tokenizer.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- Loading: every tensor is found and checked before the first weight is read ------------------------------ */

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
        values[i] = dtype == KV_DTYPE_BF16 ? kv_from_bfloat(bits) : from_half(bits);
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
    kv_status status = kv_matmul_find_for(weights, matmul, &format, &backend, error);
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

/* ---- Saving -------------------------------------------------------------------------------------------------- */

struct save {
    const struct kv_model *model;
    const char *folder;
    enum kv_dtype dtype;
    const char *tokenizer; /* NULL: none */
    char *config_path, *weights_path, *config_text;
    struct kv_file config, weights;
};

static kv_status check_tokenizer(const struct save *save, struct kv_error *error)
{
    if (!save->tokenizer)
        return KV_OK;
    const int index = kv_choice_find(kv_tokenizer_choice, "tokenizer", save->tokenizer, error);
    if (index < 0)
        return KV_ERROR_ARGUMENT;
    const int n_ids = kv_tokenizer_ids(index);
    if (n_ids > save->model->config.vocab_size)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "%s: tokenizer %s has %d ids, the model's vocab_size is %d; name another one", save->folder,
                       save->tokenizer, n_ids, save->model->config.vocab_size);
    return KV_OK;
}

static kv_status check_arguments(struct save *save, const char *dtype, struct kv_error *error)
{
    const float epsilon = save->model->config.layer_norm_epsilon;
    if (save->model->layout != KV_WEIGHTS_PLAIN)
        return kv_fail(error, KV_ERROR_ARGUMENT,
                       "%s: the weights are laid out for matmul packed; make the model for matmul openblas or "
                       "reference to save it",
                       save->folder);
    if (strcmp(dtype, "F32") != 0 && strcmp(dtype, "BF16") != 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: a model is saved as F32 or BF16, not as '%.40s'", save->folder,
                       dtype);
    if (!(epsilon >= 0 && epsilon <= 1))
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: layer_norm_epsilon is %g, it must be 0 to 1", save->folder,
                       (double)epsilon);
    save->dtype = strcmp(dtype, "F32") == 0 ? KV_DTYPE_F32 : KV_DTYPE_BF16;
    return check_tokenizer(save, error);
}

/* The number with the fewest digits that is read back as that float: 1e-05, not 9.99999975e-06. */
static double shortest(float value)
{
    char text[32];
    double number = 0;
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, (double)value);
        number = strtod(text, NULL);
        if ((float)number == value)
            break;
    }
    return number;
}

static char *config_text(const struct save *save)
{
    const struct kv_config *c = &save->model->config;
    const bool end_of_text = save->tokenizer && strcmp(save->tokenizer, "gpt2") == 0;
    json_t *json = json_pack(
        "{s:s, s:[s], s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:s, s:f, s:b, s:f, s:f, s:f, s:s}", "model_type", "gpt2",
        "architectures", "GPT2LMHeadModel", "n_layer", c->n_layer, "n_head", c->n_head, "n_embd", c->n_embd, "n_inner",
        c->n_inner, "vocab_size", c->vocab_size, "n_positions", c->n_positions, "n_ctx", c->n_positions,
        "activation_function", c->activation == KV_GELU ? "gelu" : "gelu_new", "layer_norm_epsilon",
        shortest(c->layer_norm_epsilon), "tie_word_embeddings", 1, "attn_pdrop", 0.0, "embd_pdrop", 0.0, "resid_pdrop",
        0.0, "torch_dtype", save->dtype == KV_DTYPE_F32 ? "float32" : "bfloat16");
    bool whole = json != NULL;
    /* null, not left out: Hugging Face's default is GPT-2's own id, which a smaller vocabulary does not have */
    whole &= json_object_set_new(json, "bos_token_id", end_of_text ? json_integer(KV_GPT2_VOCAB - 1) : json_null()) ==
             0;
    whole &= json_object_set_new(json, "eos_token_id", end_of_text ? json_integer(KV_GPT2_VOCAB - 1) : json_null()) ==
             0;
    if (save->tokenizer)
        whole &= json_object_set_new(json, "kvbench_tokenizer", json_string(save->tokenizer)) == 0;
    char *text = whole ? json_dumps(json, JSON_INDENT(2) | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    return text;
}

static kv_status prepare_config(struct save *save, struct kv_error *error)
{
    const kv_status status = kv_file_open(&save->config, save->config_path, error);
    if (status)
        return status;
    kv_file_write(&save->config, save->config_text, strlen(save->config_text));
    kv_file_write(&save->config, "\n", 1);
    return kv_file_finish(&save->config, error);
}

static kv_status prepare_weights(struct save *save, struct kv_error *error)
{
    static const struct kv_note format = {"format", "pt"}; /* Hugging Face's loader asks for it */
    const struct kv_model *model = save->model;
    struct kv_tensor_slot slot;
    int n = 0;
    while (kv_model_describe(&model->config, (size_t)n, &slot))
        n++;
    struct kv_tensor_slot *slots = calloc((size_t)n, sizeof *slots);
    struct kv_tensor_source *sources = calloc((size_t)n, sizeof *sources);
    kv_status status = KV_OK;
    if (!slots || !sources)
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", save->weights_path);
    for (int i = 0; !status && i < n; i++) {
        kv_model_describe(&model->config, (size_t)i, &slots[i]);
        sources[i] = (struct kv_tensor_source){slots[i].name, save->dtype, slots[i].n_dims, slots[i].shape,
                                               kv_model_tensor(model, (size_t)i)};
    }
    if (!status)
        status = kv_file_open(&save->weights, save->weights_path, error);
    if (!status)
        status = kv_safetensors_write_to(&save->weights, sources, n, &format, 1, error);
    free(slots);
    free(sources);
    return status;
}

/* Whether config.json already says just that. */
static bool config_stays(const struct save *save)
{
    const size_t length = strlen(save->config_text);
    char *old = malloc(length + 2);
    FILE *stream = old ? fopen(save->config_path, "rbe") : NULL;
    const size_t n = stream ? fread(old, 1, length + 2, stream) : 0;
    const bool same = n == length + 1 && memcmp(old, save->config_text, length) == 0 && old[length] == '\n';
    if (stream)
        fclose(stream);
    free(old);
    return same;
}

/* Both files are whole on the disk; this gives them their names. The same config stays, so that new weights take the
 * place of the old ones in one step; another one is removed first, since a folder without config.json does not load,
 * while one with another model's may load and be wrong. */
static kv_status publish(struct save *save, struct kv_error *error)
{
    struct stat weights;
    const bool stays = config_stays(save);
    /* What would make the renaming fail is to be known while the old config is still there. */
    if (stat(save->weights_path, &weights) == 0 && S_ISDIR(weights.st_mode))
        return kv_fail(error, KV_ERROR_IO, "%s: cannot be written: %s", save->weights_path, strerror(EISDIR));
    if (!stays && unlink(save->config_path) != 0 && errno != ENOENT)
        return kv_fail(error, KV_ERROR_IO, "%s: cannot be replaced: %s", save->config_path, strerror(errno));
    const kv_status status = kv_file_publish(&save->weights, error);
    return status || stays ? status : kv_file_publish(&save->config, error);
}

static kv_status save_files(struct save *save, struct kv_error *error)
{
    kv_status status = prepare_weights(save, error);
    if (!status)
        status = prepare_config(save, error);
    if (!status)
        status = publish(save, error);
    kv_file_close(&save->weights);
    kv_file_close(&save->config);
    return status;
}

kv_status kv_model_save(const struct kv_model *model, const char *folder, const char *dtype, const char *tokenizer,
                        struct kv_error *error)
{
    struct save save = {.model = model, .folder = folder, .tokenizer = tokenizer};
    kv_status status = check_arguments(&save, dtype, error);
    if (status)
        return status;
    save.config_text = config_text(&save);
    if (asprintf(&save.config_path, "%s/config.json", folder) < 0)
        save.config_path = NULL;
    if (asprintf(&save.weights_path, "%s/model.safetensors", folder) < 0)
        save.weights_path = NULL;
    if (!save.config_text || !save.config_path || !save.weights_path)
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", folder);
    const bool made = !status && mkdir(folder, 0777) == 0;
    if (!status && !made && errno != EEXIST)
        status = kv_fail(error, KV_ERROR_IO, "%s: cannot be made: %s", folder, strerror(errno));
    if (!status)
        status = save_files(&save, error);
    if (status && made)
        rmdir(folder);
    free(save.config_text);
    free(save.config_path);
    free(save.weights_path);
    return status;
}
