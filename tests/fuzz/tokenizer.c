/* Both tokenizers, both ways: text that was encoded decodes to itself, whatever its bytes are; ids that were decoded are
 * the bytes of each, one behind the other, and encode to text that decodes to the same again. */
#include "fuzz.h"

#include <stdlib.h>
#include <string.h>

static char *decode(const struct kv_tokenizer *t, const int32_t *ids, size_t n_ids, size_t *n)
{
    struct kv_error error = {""};
    char *text;
    FUZZ_HOLDS(kv_tokenizer_decode(t, ids, n_ids, &text, n, &error) == KV_OK && text[*n] == '\0');
    return text;
}

static void check_text(const struct kv_tokenizer *t, const char *text, size_t size, bool special)
{
    struct kv_error error = {""};
    int32_t *ids;
    size_t n_ids, n;
    FUZZ_HOLDS(kv_tokenizer_encode(t, text, size, special, &ids, &n_ids, &error) == KV_OK && n_ids <= size);
    for (size_t i = 0; i < n_ids; i++) {
        FUZZ_HOLDS(ids[i] >= 0 && ids[i] < kv_tokenizer_vocab_size(t));
        FUZZ_HOLDS(special || ids[i] != kv_tokenizer_end_of_text(t));
    }
    char *back = decode(t, ids, n_ids, &n);
    FUZZ_HOLDS(n == size && memcmp(back, text, n) == 0);
    fuzz_say("%s: %zu ids\n", kv_tokenizer_name(t), n_ids);
    free(ids);
    free(back);
}

/* The input taken as ids of three bytes each, some of them out of range. */
static void check_ids(const struct kv_tokenizer *t, const uint8_t *data, size_t size)
{
    struct kv_error error = {""};
    const size_t n_ids = size / 3;
    int32_t *ids = malloc((n_ids + 1) * sizeof *ids);
    size_t n, at = 0, n_token;
    bool good = true;
    char *text;
    FUZZ_HOLDS(ids != NULL);
    for (size_t i = 0; i < n_ids; i++) {
        ids[i] = data[3 * i] | data[3 * i + 1] << 8 | (data[3 * i + 2] & 1) << 16;
        good = good && kv_tokenizer_token(t, ids[i], &n_token);
    }
    const kv_status status = kv_tokenizer_decode(t, ids, n_ids, &text, &n, &error);
    FUZZ_HOLDS((status == KV_OK) == good);
    if (status) {
        fuzz_refused(status, &error);
    } else {
        for (size_t i = 0; i < n_ids; i++, at += n_token) {
            const char *token = kv_tokenizer_token(t, ids[i], &n_token);
            FUZZ_HOLDS(at + n_token <= n && memcmp(text + at, token, n_token) == 0);
        }
        FUZZ_HOLDS(at == n);
        check_text(t, text, n, true);
    }
    free(text);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kv_tokenizer *tokenizers[2];
    struct kv_error error;
    for (int i = 0; i < 2; i++) {
        if (!tokenizers[i])
            FUZZ_HOLDS(kv_tokenizer_create(&tokenizers[i], kv_tokenizer_choice(i)->name, KV_DATA_DIR "/gpt2/vocab.bpe",
                                           &error) == KV_OK);
        check_text(tokenizers[i], (const char *)data, size, false);
        check_text(tokenizers[i], (const char *)data, size, true);
        check_ids(tokenizers[i], data, size);
    }
    return 0;
}
