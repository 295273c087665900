/* GPT-2's pre-tokenizer: cuts text into words, numbers, punctuation and spaces that merges never cross. */
#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

/* Unicode's White_Space, for PCRE2's own \s also takes U+180E, which is none. */
#define SPACE "\\t-\\r\\x{85}\\p{Z}"

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
static const char pattern_text[] = "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" SPACE "\\p{L}\\p{N}]+|[" SPACE
                                   "]+(?![^" SPACE "])|[" SPACE "]+";

kv_status kv_pieces_compile(pcre2_code **pattern, struct kv_error *error)
{
    int code;
    PCRE2_SIZE offset;
    /* The pattern matches any character, so anchoring it costs nothing and lets no byte be skipped. */
    *pattern = pcre2_compile((PCRE2_SPTR)pattern_text, sizeof pattern_text - 1, PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED,
                             &code, &offset, NULL);
    if (!*pattern && code == PCRE2_ERROR_NOMEMORY)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the pre-tokenizer's pattern");
    if (!*pattern) {
        char reason[256];
        pcre2_get_error_message(code, (PCRE2_UCHAR *)reason, sizeof reason);
        return kv_fail(error, KV_ERROR_UNSUPPORTED,
                       "PCRE2 cannot compile the pre-tokenizer's pattern: %s; use one built with Unicode", reason);
    }
    /* Where code may not be made at run time this fails, and the interpreter does the same, only slower. */
    pcre2_jit_compile(*pattern, PCRE2_JIT_COMPLETE);
    return KV_OK;
}

/* Bytes at the start of `text` that are well-formed UTF-8. */
static size_t valid_prefix(const uint8_t *text, size_t n_bytes)
{
    size_t n = 0;
    for (int length; (length = kv_utf8_length((const char *)text + n, n_bytes - n)) > 0;)
        n += (size_t)length;
    return n;
}

struct cutter {
    const struct kv_tokenizer *tokenizer;
    pcre2_match_data *match;
    struct kv_merger merger;
};

/* Cuts well-formed UTF-8 and merges each piece. */
static kv_status encode_valid(struct cutter *cutter, const uint8_t *text, size_t n_bytes, int32_t *ids, size_t *n_ids,
                              struct kv_error *error)
{
    const PCRE2_SIZE *ends = pcre2_get_ovector_pointer(cutter->match);
    for (size_t at = 0; at < n_bytes; at = ends[1]) {
        /* Checked already; PCRE2 would check all the rest again for every piece. */
        const int found = pcre2_match(cutter->tokenizer->pattern, text, n_bytes, at, PCRE2_NO_UTF_CHECK, cutter->match,
                                      NULL);
        if (found < 0) {
            char reason[256];
            pcre2_get_error_message(found, (PCRE2_UCHAR *)reason, sizeof reason);
            return kv_fail(error, found == PCRE2_ERROR_NOMEMORY ? KV_ERROR_MEMORY : KV_ERROR_UNSUPPORTED,
                           "PCRE2 cannot cut the text at byte %zu: %s; encode less text at once", at, reason);
        }
        size_t n_new;
        const kv_status status = kv_bpe_encode(cutter->tokenizer, &cutter->merger, text + at, ends[1] - at,
                                               ids + *n_ids, &n_new, error);
        if (status)
            return status;
        *n_ids += n_new;
    }
    return KV_OK;
}

kv_status kv_pieces_encode(const struct kv_tokenizer *tokenizer, const uint8_t *text, size_t n_bytes, int32_t *ids,
                           size_t *n_ids, struct kv_error *error)
{
    struct cutter cutter = {.tokenizer = tokenizer, .match = pcre2_match_data_create(1, NULL)};
    if (!cutter.match)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to cut text into pieces");
    kv_status status = KV_OK;
    for (size_t at = 0; !status && at < n_bytes; at++) {
        const size_t n_valid = valid_prefix(text + at, n_bytes - at);
        status = encode_valid(&cutter, text + at, n_valid, ids, n_ids, error);
        at += n_valid;
        if (!status && at < n_bytes)
            ids[(*n_ids)++] = tokenizer->byte_ids[text[at]];
    }
    kv_merger_free(&cutter.merger);
    pcre2_match_data_free(cutter.match);
    return status;
}
