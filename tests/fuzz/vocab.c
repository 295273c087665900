/* vocab.bpe: an input is a list of changes to the published file, as hardly anything else is one at all. Four bytes say
 * where in the file, one how many bytes go, one how many of the input's next take their place; an input that begins with
 * '#' is the file itself. What loads has all ids, and gives every text back. */
#include "fuzz.h"

#include "base/file.h"
#include "text/tokenizer.h"

#include <stdlib.h>
#include <string.h>

struct vocabulary {
    char *bytes;
    size_t n;
};

static void change(struct vocabulary *v, size_t at, size_t n_gone, const uint8_t *more, size_t n_more)
{
    at %= v->n + 1;
    n_gone = n_gone < v->n - at ? n_gone : v->n - at;
    memmove(v->bytes + at + n_more, v->bytes + at + n_gone, v->n - at - n_gone);
    memcpy(v->bytes + at, more, n_more);
    v->n = v->n - n_gone + n_more;
}

static struct vocabulary changed(const uint8_t *data, size_t size)
{
    struct vocabulary v;
    struct kv_error error;
    FUZZ_HOLDS(kv_file_read(KV_DATA_DIR "/gpt2/vocab.bpe", &v.bytes, &v.n, &error) == KV_OK);
    v.bytes = realloc(v.bytes, v.n + size + 1);
    FUZZ_HOLDS(v.bytes != NULL);
    while (size >= 6) {
        const size_t at = (size_t)data[0] | (size_t)data[1] << 8 | (size_t)data[2] << 16 | (size_t)data[3] << 24;
        const size_t n_gone = data[4], n_more = data[5] < size - 6 ? data[5] : size - 6;
        change(&v, at, n_gone, data + 6, n_more);
        data += 6 + n_more;
        size -= 6 + n_more;
    }
    return v;
}

static void check_tokenizer(const struct kv_tokenizer *t)
{
    static const char text[] = "Hello, w\xc3\xb6rld! <|endoftext|> 12345   x\r\n\n\t\xf0\x9f\x98\x80 it's \xff\xc3";
    struct kv_error error = {""};
    int32_t *ids;
    size_t n_ids, n;
    char *back;
    FUZZ_HOLDS(kv_tokenizer_vocab_size(t) == KV_GPT2_VOCAB && kv_tokenizer_end_of_text(t) == KV_GPT2_VOCAB - 1);
    for (int32_t id = 0; id < KV_GPT2_VOCAB; id++)
        FUZZ_HOLDS(kv_tokenizer_token(t, id, &n) && n > 0);
    FUZZ_HOLDS(kv_tokenizer_encode(t, text, sizeof text, false, &ids, &n_ids, &error) == KV_OK);
    FUZZ_HOLDS(kv_tokenizer_decode(t, ids, n_ids, &back, &n, &error) == KV_OK);
    FUZZ_HOLDS(n == sizeof text && memcmp(back, text, n) == 0);
    free(ids);
    free(back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kv_tokenizer *tokenizer;
    struct kv_error error = {""};
    const bool whole = size && *data == '#';
    struct vocabulary v = {NULL, 0};
    if (!whole)
        v = changed(data, size);
    const kv_status status = kv_tokenizer_create(&tokenizer, "gpt2",
                                                 whole ? fuzz_file(data, size) : fuzz_file(v.bytes, v.n), &error);
    free(v.bytes);
    if (status) {
        fuzz_refused(status, &error);
        return 0;
    }
    check_tokenizer(tokenizer);
    fuzz_say("loaded\n");
    kv_tokenizer_free(tokenizer);
    return 0;
}
