/* Shapes: the published ones by name, others from a Hugging Face config.json. */
#include "base/error.h"
#include "base/file.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <string.h>

/* Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", table 2; the sizes that were
 * released have these widths, depths and heads. */
static const struct {
    const char *name;
    int n_layer, n_head, n_embd;
} presets[] = {
    {"gpt2", 12, 12, 768},
    {"gpt2-medium", 24, 16, 1024},
    {"gpt2-large", 36, 20, 1280},
    {"gpt2-xl", 48, 25, 1600},
};
enum { N_PRESETS = sizeof presets / sizeof presets[0] };

const char *kv_config_preset_name(int index)
{
    return index >= 0 && index < N_PRESETS ? presets[index].name : NULL;
}

kv_status kv_config_preset(const char *name, struct kv_config *config, struct kv_error *error)
{
    for (int i = 0; i < N_PRESETS; i++) {
        if (strcmp(presets[i].name, name) == 0) {
            *config = (struct kv_config){
                .n_layer = presets[i].n_layer,
                .n_head = presets[i].n_head,
                .n_embd = presets[i].n_embd,
                .n_inner = 4 * presets[i].n_embd,
                .vocab_size = 50257,
                .n_positions = 1024,
                .activation = KV_GELU_NEW,
                .layer_norm_epsilon = 1e-5f,
            };
            return KV_OK;
        }
    }
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "model '%s' is neither a folder nor one of gpt2, gpt2-medium, gpt2-large, gpt2-xl", name);
}

/* A whole number of 1..INT32_MAX; absent or null gives `fallback` when that is not 0. */
static kv_status read_size(const json_t *json, const char *file, const char *field, int fallback, int *value,
                           struct kv_error *error)
{
    const json_t *item = json_object_get(json, field);
    if ((!item || json_is_null(item)) && fallback) {
        *value = fallback;
        return KV_OK;
    }
    if (!item)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field '%s' is missing", file, field);
    const json_int_t number = json_integer_value(item);
    if (!json_is_integer(item) || number < 1 || number > INT32_MAX)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field '%s' must be a whole number of 1 to %d", file, field,
                       INT32_MAX);
    *value = (int)number;
    return KV_OK;
}

static kv_status read_activation(const json_t *json, const char *file, enum kv_activation *activation,
                                 struct kv_error *error)
{
    static const struct {
        const char *name;
        enum kv_activation activation;
    } known[] = {{"gelu_new", KV_GELU_NEW}, {"gelu_pytorch_tanh", KV_GELU_NEW}, {"gelu", KV_GELU}};
    const json_t *item = json_object_get(json, "activation_function");
    *activation = KV_GELU_NEW;
    if (!item)
        return KV_OK;
    const char *name = json_string_value(item);
    if (!name)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field 'activation_function' must be a string", file);
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(known[i].name, name) == 0) {
            *activation = known[i].activation;
            return KV_OK;
        }
    }
    return kv_fail(error, KV_ERROR_UNSUPPORTED,
                   "%s: field 'activation_function' is '%.40s'; gelu_new, gelu_pytorch_tanh and gelu are supported",
                   file, name);
}

/* Fields that change the arithmetic: only the values that published GPT-2 models have are implemented. */
static kv_status refuse_variants(const json_t *json, const char *file, struct kv_error *error)
{
    static const struct {
        const char *field;
        bool supported;
    } flags[] = {{"scale_attn_weights", true},
                 {"scale_attn_by_inverse_layer_idx", false},
                 {"add_cross_attention", false},
                 {"tie_word_embeddings", true}};
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        const json_t *item = json_object_get(json, flags[i].field);
        if (item && !(flags[i].supported ? json_is_true(item) : json_is_false(item)))
            return kv_fail(error, KV_ERROR_UNSUPPORTED, "%s: field '%s' must be %s, as in every published GPT-2", file,
                           flags[i].field, flags[i].supported ? "true" : "false");
    }
    const json_t *type = json_object_get(json, "model_type");
    if (type && !json_is_string(type))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field 'model_type' must be a string", file);
    if (type && strcmp(json_string_value(type), "gpt2") != 0)
        return kv_fail(error, KV_ERROR_UNSUPPORTED, "%s: field 'model_type' is '%.40s'; only gpt2 is supported", file,
                       json_string_value(type));
    return KV_OK;
}

static kv_status read_config(const json_t *json, const char *file, struct kv_config *c, struct kv_error *error)
{
    if (!json_is_object(json))
        return kv_fail(error, KV_ERROR_FORMAT, "%s: must hold one JSON object", file);
    kv_status status = refuse_variants(json, file, error);
    const struct {
        const char *field;
        int *value;
    } sizes[] = {{"n_layer", &c->n_layer},
                 {"n_head", &c->n_head},
                 {"n_embd", &c->n_embd},
                 {"vocab_size", &c->vocab_size},
                 {"n_positions", &c->n_positions}};
    for (size_t i = 0; !status && i < sizeof sizes / sizeof sizes[0]; i++)
        status = read_size(json, file, sizes[i].field, 0, sizes[i].value, error);
    if (!status && c->n_embd > INT32_MAX / 4)
        status = kv_fail(error, KV_ERROR_FORMAT, "%s: field 'n_embd' is too large", file);
    if (!status)
        status = read_size(json, file, "n_inner", 4 * c->n_embd, &c->n_inner, error);
    if (!status)
        status = read_activation(json, file, &c->activation, error);
    if (status)
        return status;
    if (c->n_embd % c->n_head != 0)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field 'n_embd' (%d) must be a multiple of 'n_head' (%d)", file,
                       c->n_embd, c->n_head);
    const json_t *epsilon = json_object_get(json, "layer_norm_epsilon");
    const double value = epsilon ? json_number_value(epsilon) : 1e-5;
    if ((epsilon && !json_is_number(epsilon)) || !(value >= 0) || value > 1)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: field 'layer_norm_epsilon' must be a number of 0 to 1", file);
    c->layer_norm_epsilon = (float)value;
    return KV_OK;
}

kv_status kv_config_load(const char *file, struct kv_config *config, struct kv_error *error)
{
    *config = (struct kv_config){0};
    char *text;
    size_t n_text;
    kv_status status = kv_regular_file_read(file, &text, &n_text, error);
    if (status)
        return status;
    json_error_t json_error;
    json_t *json = json_loadb(text, n_text, JSON_REJECT_DUPLICATES, &json_error);
    free(text);
    if (!json)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: not JSON, line %d: %s", file, json_error.line, json_error.text);
    status = read_config(json, file, config, error);
    json_decref(json);
    return status;
}

size_t kv_config_kv_bytes_per_token(const struct kv_config *c)
{
    return 2 * (size_t)c->n_layer * (size_t)c->n_embd * sizeof(float);
}

uint64_t kv_config_parameters(const struct kv_config *c)
{
    const uint64_t C = (uint64_t)c->n_embd, I = (uint64_t)c->n_inner;
    const uint64_t outer = (uint64_t)c->vocab_size + (uint64_t)c->n_positions + 2;
    uint64_t a, b, d, layer, total;
    /* per layer: matrices 3CC + CC + 2CI, biases 3C + C + I + C, norms 4C */
    if (__builtin_mul_overflow(C, 4 * C + 9, &a) || __builtin_mul_overflow(I, 2 * C + 1, &b) ||
        __builtin_add_overflow(a, b, &layer) || __builtin_mul_overflow(layer, (uint64_t)c->n_layer, &d) ||
        __builtin_mul_overflow(outer, C, &a) || __builtin_add_overflow(a, d, &total))
        return 0;
    return total;
}
