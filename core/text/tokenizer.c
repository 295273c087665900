#include "text/tokenizer.h"

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

/* ---- Which one a model uses ---------------------------------------------------------------------------------- */

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

/* ---- vocab.bpe ----------------------------------------------------------------------------------------------- */

/* A version line, then one merge a line, "LEFT RIGHT", best first. Every byte is written as one character: the
 * printable ones of Latin-1 as themselves, the others, in order, as U+0100 and on. */

/* Characters that stand for a byte are all below the first; the second makes a table that is at most half full. */
enum { N_CHARACTERS = 512, N_TOKEN_SLOTS = 1 << 17 };

static const char end_of_text[] = "<|endoftext|>";

struct reader {
    struct kv_tokenizer *tokenizer;
    const char *file;
    char *text; /* the whole file, and a zero */
    size_t n_text;
    int n_tokens;                          /* so far */
    int16_t bytes_of[N_CHARACTERS];        /* -1: stands for no byte */
    int32_t tokens_by_text[N_TOKEN_SLOTS]; /* open-addressed by the token's bytes; -1: free */
};

static kv_status read_whole(struct reader *reader, struct kv_error *error)
{
    if (access(reader->file, R_OK) != 0)
        return kv_fail(error, KV_ERROR_IO, "%s: %s; give the vocab.bpe that was published with GPT-2", reader->file,
                       strerror(errno));
    return kv_regular_file_read(reader->file, &reader->text, &reader->n_text, error);
}

/* The slot of the token with these bytes, or the free one where it belongs. */
static int32_t *find_token(struct reader *reader, const char *bytes, size_t n_bytes)
{
    const struct kv_tokenizer *t = reader->tokenizer;
    for (size_t slot = kv_hash_bytes(bytes, n_bytes) % N_TOKEN_SLOTS;; slot = (slot + 1) % N_TOKEN_SLOTS) {
        const int32_t id = reader->tokens_by_text[slot];
        if (id < 0 ||
            (t->starts[id + 1] - t->starts[id] == n_bytes && memcmp(t->bytes + t->starts[id], bytes, n_bytes) == 0))
            return &reader->tokens_by_text[slot];
    }
}

/* The bytes are behind those of the last token already. False: there is such a token. */
static bool add_token(struct reader *reader, size_t n_bytes)
{
    struct kv_tokenizer *t = reader->tokenizer;
    const size_t start = t->starts[reader->n_tokens];
    int32_t *slot = find_token(reader, t->bytes + start, n_bytes);
    if (*slot >= 0)
        return false;
    *slot = reader->n_tokens++;
    t->starts[reader->n_tokens] = start + n_bytes;
    return true;
}

static bool is_printable(int byte)
{
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

/* Ids 0..255: the printable bytes, then the others. */
static void add_bytes(struct reader *reader)
{
    struct kv_tokenizer *t = reader->tokenizer;
    int next_character = KV_N_BYTES;
    memset(reader->bytes_of, -1, sizeof reader->bytes_of);
    memset(reader->tokens_by_text, -1, sizeof reader->tokens_by_text);
    for (int printable = 1; printable >= 0; printable--) {
        for (int byte = 0; byte < KV_N_BYTES; byte++) {
            if (is_printable(byte) != printable)
                continue;
            reader->bytes_of[printable ? byte : next_character++] = (int16_t)byte;
            t->byte_ids[byte] = reader->n_tokens;
            t->bytes[reader->n_tokens] = (char)byte;
            add_token(reader, 1);
        }
    }
}

/* Reads one side of a merge, up to `stop`, and puts its bytes at `bytes`, which has room for the rest of the line.
 * Returns its id and moves *text behind `stop`; -1 when it is not a token that is known by now. */
static int32_t read_side(struct reader *reader, const char **text, char stop, char *bytes)
{
    const char *c = *text;
    size_t n = 0;
    while (*c != stop) {
        int character = (unsigned char)*c++;
        /* No character that stands for a byte takes three. */
        if (character >= 0xC2 && character <= 0xDF && ((unsigned char)*c & 0xC0) == 0x80)
            character = (character & 0x1F) << 6 | (*c++ & 0x3F);
        else if (character >= 0x80)
            return -1;
        if (character >= N_CHARACTERS || reader->bytes_of[character] < 0)
            return -1;
        bytes[n++] = (char)reader->bytes_of[character];
    }
    *text = c + 1;
    return n ? *find_token(reader, bytes, n) : -1;
}

static kv_status read_merges(struct reader *reader, struct kv_error *error)
{
    struct kv_tokenizer *t = reader->tokenizer;
    const char *text = strchr(reader->text, '\n');
    if (strncmp(reader->text, "#version", strlen("#version")) != 0 || !text)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: line 1 must be '#version: 0.2'; give the vocab.bpe of GPT-2",
                       reader->file);
    text++;
    for (int rank = 0; rank < KV_N_MERGES; rank++) {
        char *bytes = t->bytes + t->starts[reader->n_tokens];
        if (!*text)
            return kv_fail(error, KV_ERROR_FORMAT, "%s: ends after %d merges of %d; copy it again", reader->file, rank,
                           KV_N_MERGES);
        const int32_t left = read_side(reader, &text, ' ', bytes);
        const size_t n_left = left < 0 ? 0 : t->starts[left + 1] - t->starts[left];
        const int32_t right = left < 0 ? -1 : read_side(reader, &text, '\n', bytes + n_left);
        const size_t n_right = right < 0 ? 0 : t->starts[right + 1] - t->starts[right];
        if (right < 0 || !add_token(reader, n_left + n_right))
            return kv_fail(error, KV_ERROR_FORMAT,
                           "%s: line %d must be two known tokens that make a new one; copy it again", reader->file,
                           rank + 2);
        kv_pair_add(t->pairs, left, right, KV_N_BYTES + rank);
    }
    if (text != reader->text + reader->n_text)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: goes on after its %d merges; give the vocab.bpe of GPT-2",
                       reader->file, KV_N_MERGES);
    return KV_OK;
}

static kv_status load(struct reader *reader, struct kv_error *error)
{
    struct kv_tokenizer *t = reader->tokenizer;
    const kv_status status = read_whole(reader, error);
    if (status)
        return status;
    /* A merge is at least as long in the file as its token is in bytes. */
    t->bytes = malloc(reader->n_text + KV_N_BYTES + sizeof end_of_text);
    t->starts = calloc(KV_GPT2_VOCAB + 1, sizeof *t->starts);
    t->pairs = calloc(KV_PAIR_SLOTS, sizeof *t->pairs);
    if (!t->bytes || !t->starts || !t->pairs)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory for its tokens", reader->file);
    add_bytes(reader);
    return read_merges(reader, error);
}

/* Reads vocab.bpe into bytes, starts, byte_ids and pairs; on failure the caller frees what is there. */
static kv_status load_vocabulary(struct kv_tokenizer *tokenizer, const char *file, struct kv_error *error)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (!reader)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to read it", file);
    reader->tokenizer = tokenizer;
    reader->file = file;
    const kv_status status = load(reader, error);
    if (!status) {
        const size_t start = tokenizer->starts[reader->n_tokens];
        tokenizer->end_of_text = reader->n_tokens;
        tokenizer->vocab_size = reader->n_tokens + 1;
        memcpy(tokenizer->bytes + start, end_of_text, sizeof end_of_text);
        tokenizer->starts[tokenizer->vocab_size] = start + sizeof end_of_text - 1;
    }
    free(reader->text);
    free(reader);
    return status;
}

/* ---- Creating it --------------------------------------------------------------------------------------------- */

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
    const kv_status status = load_vocabulary(tokenizer, vocab_bpe, error);
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

/* ---- Text to ids --------------------------------------------------------------------------------------------- */

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

/* ---- Ids to text --------------------------------------------------------------------------------------------- */

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
