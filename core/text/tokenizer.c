#include "text/tokenizer.h"

#include "base/error.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { GPT2, BYTES, N_CHOICES };

static const struct kv_choice choices[] = {
    [GPT2] = {"gpt2", "GPT-2's byte-level BPE, 50257 ids"},
    [BYTES] = {"bytes", "a byte is a token, 256 ids"},
};
static const int vocab_sizes[] = {[GPT2] = KV_GPT2_VOCAB, [BYTES] = KV_N_BYTES};

const struct kv_choice *kv_tokenizer_choice(int index)
{
    return index >= 0 && index < N_CHOICES ? &choices[index] : NULL;
}

int kv_tokenizer_ids(int index)
{
    return vocab_sizes[index];
}

/* ---- Which one a model uses ------------------------------------------------------------------------- */

static kv_status choose(const json_t *field, const char *file, int vocab_size, const char **name,
                        struct kv_error *error)
{
    int index = 0;
    if (field) {
        const char *wanted = json_string_value(field);
        index = wanted ? kv_choice_find(kv_tokenizer_choice, "tokenizer", wanted, NULL) : -1;
        if (index < 0)
            return kv_fail(error, KV_ERROR_FORMAT, "%s: field 'kvbench_tokenizer' must be \"gpt2\" or \"bytes\"", file);
        if (vocab_sizes[index] > vocab_size)
            return kv_fail(error, KV_ERROR_FORMAT,
                           "%s: field 'kvbench_tokenizer' is \"%s\" with %d ids, but 'vocab_size' is %d", file,
                           choices[index].name, vocab_sizes[index], vocab_size);
    } else {
        while (index < N_CHOICES && vocab_sizes[index] != vocab_size)
            index++;
        if (index == N_CHOICES)
            return kv_fail(error, KV_ERROR_UNSUPPORTED,
                           "%s: no tokenizer has vocab_size %d; name one in the field 'kvbench_tokenizer'", file,
                           vocab_size);
    }
    *name = choices[index].name;
    return KV_OK;
}

kv_status kv_tokenizer_of_config(const char *config_file, const char **name, struct kv_error *error)
{
    struct kv_config config;
    *name = NULL;
    kv_status status = kv_config_load(config_file, &config, error);
    if (status)
        return status;
    json_error_t json_error;
    json_t *json = json_load_file(config_file, JSON_REJECT_DUPLICATES, &json_error);
    if (!json)
        return kv_fail(error, KV_ERROR_IO, "%s: %s", config_file, json_error.text);
    status = choose(json_object_get(json, "kvbench_tokenizer"), config_file, config.vocab_size, name, error);
    json_decref(json);
    return status;
}

/* ---- Creating it ------------------------------------------------------------------------------------ */

static kv_status make_bytes(struct kv_tokenizer *tokenizer, struct kv_error *error)
{
    tokenizer->vocab_size = KV_N_BYTES;
    tokenizer->bytes = malloc(KV_N_BYTES);
    tokenizer->starts = calloc(KV_N_BYTES + 1, sizeof *tokenizer->starts);
    if (!tokenizer->bytes || !tokenizer->starts)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for 256 tokens");
    for (int byte = 0; byte < KV_N_BYTES; byte++) {
        tokenizer->bytes[byte] = (char)byte;
        tokenizer->starts[byte + 1] = (size_t)byte + 1;
    }
    return KV_OK;
}

static kv_status make_gpt2(struct kv_tokenizer *tokenizer, const char *vocab_bpe, struct kv_error *error)
{
    if (!vocab_bpe)
        return kv_fail(error, KV_ERROR_ARGUMENT, "tokenizer gpt2 needs the file vocab.bpe");
    const kv_status status = kv_vocab_load(tokenizer, vocab_bpe, error);
    return status ? status : kv_pieces_compile(&tokenizer->pattern, error);
}

kv_status kv_tokenizer_create(struct kv_tokenizer **tokenizer, const char *name, const char *vocab_bpe,
                              struct kv_error *error)
{
    *tokenizer = NULL;
    const int index = kv_choice_find(kv_tokenizer_choice, "tokenizer", name, error);
    if (index < 0)
        return KV_ERROR_ARGUMENT;
    struct kv_tokenizer *made = calloc(1, sizeof *made);
    if (!made)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a tokenizer");
    made->choice = &choices[index];
    made->end_of_text = -1;
    const kv_status status = index == GPT2 ? make_gpt2(made, vocab_bpe, error) : make_bytes(made, error);
    if (status)
        kv_tokenizer_free(made);
    else
        *tokenizer = made;
    return status;
}

void kv_tokenizer_free(struct kv_tokenizer *tokenizer)
{
    if (!tokenizer)
        return;
    pcre2_code_free(tokenizer->pattern);
    free(tokenizer->pairs);
    free(tokenizer->starts);
    free(tokenizer->bytes);
    free(tokenizer);
}

const char *kv_tokenizer_name(const struct kv_tokenizer *tokenizer)
{
    return tokenizer->choice->name;
}

int kv_tokenizer_vocab_size(const struct kv_tokenizer *tokenizer)
{
    return tokenizer->vocab_size;
}

int32_t kv_tokenizer_end_of_text(const struct kv_tokenizer *tokenizer)
{
    return tokenizer->end_of_text;
}

/* ---- Text to ids ------------------------------------------------------------------------------------ */

static kv_status encode_gpt2(const struct kv_tokenizer *tokenizer, const char *text, size_t n_bytes, bool allow_special,
                             int32_t *ids, size_t *n_ids, struct kv_error *error)
{
    size_t n_special;
    const char *special = kv_tokenizer_token(tokenizer, tokenizer->end_of_text, &n_special), *end = text + n_bytes;
    for (;;) {
        const char *found = allow_special ? memmem(text, (size_t)(end - text), special, n_special) : NULL;
        const size_t n_plain = (size_t)((found ? found : end) - text);
        const kv_status status = kv_pieces_encode(tokenizer, (const uint8_t *)text, n_plain, ids, n_ids, error);
        if (status || !found)
            return status;
        ids[(*n_ids)++] = tokenizer->end_of_text;
        text = found + n_special;
    }
}

kv_status kv_tokenizer_encode(const struct kv_tokenizer *tokenizer, const char *text, size_t n_bytes,
                              bool allow_special, int32_t **ids, size_t *n_ids, struct kv_error *error)
{
    kv_status status = KV_OK;
    *ids = NULL;
    *n_ids = 0;
    if (n_bytes > INT32_MAX)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%zu bytes are too many to encode at once; give at most %d", n_bytes,
                       INT32_MAX);
    /* No token is shorter than a byte, so there are at most so many ids. */
    int32_t *made = malloc((n_bytes + 1) * sizeof *made);
    if (!made)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the ids of %zu bytes; encode less text at once", n_bytes);
    size_t n = 0;
    if (tokenizer->pattern && n_bytes)
        status = encode_gpt2(tokenizer, text, n_bytes, allow_special, made, &n, error);
    else
        for (; n < n_bytes; n++)
            made[n] = (uint8_t)text[n];
    if (status) {
        free(made);
        return status;
    }
    int32_t *fitted = realloc(made, (n + 1) * sizeof *made);
    *ids = fitted ? fitted : made;
    *n_ids = n;
    return KV_OK;
}

/* ---- Ids to text ------------------------------------------------------------------------------------ */

const char *kv_tokenizer_token(const struct kv_tokenizer *tokenizer, int32_t id, size_t *n_bytes)
{
    *n_bytes = 0;
    if (id < 0 || id >= tokenizer->vocab_size)
        return NULL;
    *n_bytes = tokenizer->starts[id + 1] - tokenizer->starts[id];
    return tokenizer->bytes + tokenizer->starts[id];
}

kv_status kv_tokenizer_decode(const struct kv_tokenizer *tokenizer, const int32_t *ids, size_t n_ids, char **text,
                              size_t *n_bytes, struct kv_error *error)
{
    size_t n = 0, n_token;
    *text = NULL;
    *n_bytes = 0;
    for (size_t i = 0; i < n_ids; i++, n += n_token)
        if (!kv_tokenizer_token(tokenizer, ids[i], &n_token))
            return kv_fail(error, KV_ERROR_ARGUMENT,
                           "id %d, number %zu of %zu, is not one of 0..%d that tokenizer %s has", (int)ids[i], i + 1,
                           n_ids, tokenizer->vocab_size - 1, tokenizer->choice->name);
    char *made = malloc(n + 1);
    if (!made)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu bytes of text; decode fewer ids at once", n);
    n = 0;
    for (size_t i = 0; i < n_ids; i++, n += n_token) {
        const char *token = kv_tokenizer_token(tokenizer, ids[i], &n_token);
        memcpy(made + n, token, n_token);
    }
    made[n] = '\0';
    *text = made;
    *n_bytes = n;
    return KV_OK;
}
