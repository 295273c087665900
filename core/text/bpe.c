/* From text to ids: a pre-tokenizer cuts it into pieces, words, numbers, punctuation and spaces, and the bytes of each
 * piece are merged pair by pair: its symbols are a linked list, the pairs that can merge a heap.
 *
 * GPT-2 merges every occurrence of the best pair, left to right, then looks for the next best. Taking the best pair
 * one at a time, leftmost first, does the same: a merge only makes pairs of a worse rank, since no merge is listed
 * before those that make its two sides (kv_vocab_load checks that). */
#include "base/error.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

#include <stdlib.h>

#define NOWHERE UINT32_MAX

struct symbol {
    int32_t id; /* -1: merged into the symbol before it */
    uint32_t previous, next;
};

/* What merging needs for as long as one text is encoded; all zero at first, grows to the longest piece. */
struct merger {
    struct symbol *symbols; /* [capacity] */
    uint64_t *heap;         /* [2 capacity] */
    size_t capacity;
    size_t n_heap;
};

/* Fibonacci hashing: the high bits of a product depend on all bits of the pair. */
static uint32_t first_slot(uint32_t pair)
{
    return (pair * UINT32_C(2654435769)) >> (32 - KV_PAIR_SLOT_BITS);
}

static uint32_t pair_of(int32_t left, int32_t right)
{
    return (uint32_t)left << 16 | (uint32_t)right;
}

int32_t kv_pair_find(const struct kv_pair_slot *pairs, int32_t left, int32_t right)
{
    const uint32_t pair = pair_of(left, right);
    uint32_t slot = first_slot(pair);
    while (pairs[slot].merged && pairs[slot].pair != pair)
        slot = (slot + 1) % KV_PAIR_SLOTS;
    return pairs[slot].merged;
}

void kv_pair_add(struct kv_pair_slot *pairs, int32_t left, int32_t right, int32_t merged)
{
    const uint32_t pair = pair_of(left, right);
    uint32_t slot = first_slot(pair);
    while (pairs[slot].merged)
        slot = (slot + 1) % KV_PAIR_SLOTS;
    pairs[slot] = (struct kv_pair_slot){pair, merged};
}

static void merger_free(struct merger *merger)
{
    free(merger->symbols);
    free(merger->heap);
    *merger = (struct merger){0};
}

static kv_status make_room(struct merger *merger, size_t n_bytes, struct kv_error *error)
{
    merger->n_heap = 0;
    if (n_bytes <= merger->capacity)
        return KV_OK;
    const size_t capacity = n_bytes < 64 ? 64 : n_bytes + n_bytes / 2;
    merger_free(merger);
    merger->symbols = calloc(capacity, sizeof *merger->symbols);
    /* n - 1 pairs at first; a merge takes one out and puts at most two in. */
    merger->heap = calloc(capacity, 2 * sizeof *merger->heap);
    if (!merger->symbols || !merger->heap) {
        merger_free(merger);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to merge a word of %zu bytes; encode less text at once",
                       n_bytes);
    }
    merger->capacity = capacity;
    return KV_OK;
}

/* A key orders by what the pair merges into, that is by rank, then by position. */
static void heap_push(struct merger *merger, uint64_t key)
{
    size_t at = merger->n_heap++;
    for (; at && merger->heap[(at - 1) / 2] > key; at = (at - 1) / 2)
        merger->heap[at] = merger->heap[(at - 1) / 2];
    merger->heap[at] = key;
}

static uint64_t heap_pop(struct merger *merger)
{
    const uint64_t top = merger->heap[0], last = merger->heap[--merger->n_heap];
    size_t at = 0;
    for (size_t child = 1; child < merger->n_heap; child = 2 * at + 1) {
        if (child + 1 < merger->n_heap && merger->heap[child + 1] < merger->heap[child])
            child++;
        if (merger->heap[child] >= last)
            break;
        merger->heap[at] = merger->heap[child];
        at = child;
    }
    merger->heap[at] = last;
    return top;
}

/* What the symbol at `position` and the one behind it merge into, 0: nothing. */
static int32_t merged_at(const struct kv_tokenizer *tokenizer, const struct merger *merger, uint32_t position)
{
    const struct symbol *symbol = &merger->symbols[position];
    if (symbol->id < 0 || symbol->next == NOWHERE)
        return 0;
    return kv_pair_find(tokenizer->pairs, symbol->id, merger->symbols[symbol->next].id);
}

static void push_pair(const struct kv_tokenizer *tokenizer, struct merger *merger, uint32_t position)
{
    const int32_t merged = merged_at(tokenizer, merger, position);
    if (merged)
        heap_push(merger, (uint64_t)merged << 32 | position);
}

static void merge_at(struct merger *merger, uint32_t position, int32_t merged)
{
    struct symbol *left = &merger->symbols[position], *right = &merger->symbols[left->next];
    left->id = merged;
    left->next = right->next;
    if (right->next != NOWHERE)
        merger->symbols[right->next].previous = position;
    right->id = -1;
}

/* Merges one piece of 1 <= n_bytes <= INT32_MAX bytes in O(n log n), lowest rank first and leftmost among equals.
 * ids has room for n_bytes of them; *n_ids are written. */
static kv_status merge_piece(const struct kv_tokenizer *tokenizer, struct merger *merger, const uint8_t *piece,
                             size_t n_bytes, int32_t *ids, size_t *n_ids, struct kv_error *error)
{
    const kv_status status = make_room(merger, n_bytes, error);
    if (status)
        return status;
    const uint32_t n = (uint32_t)n_bytes;
    for (uint32_t i = 0; i < n; i++)
        merger->symbols[i] = (struct symbol){
            .id = tokenizer->byte_ids[piece[i]],
            .previous = i ? i - 1 : NOWHERE,
            .next = i + 1 < n ? i + 1 : NOWHERE,
        };
    for (uint32_t i = 0; i < n; i++)
        push_pair(tokenizer, merger, i);
    while (merger->n_heap) {
        const uint64_t key = heap_pop(merger);
        const uint32_t position = (uint32_t)key;
        const int32_t merged = (int32_t)(key >> 32);
        /* A pair whose neighbour has meanwhile merged elsewhere is no longer there. */
        if (merged_at(tokenizer, merger, position) != merged)
            continue;
        merge_at(merger, position, merged);
        push_pair(tokenizer, merger, position);
        if (merger->symbols[position].previous != NOWHERE)
            push_pair(tokenizer, merger, merger->symbols[position].previous);
    }
    *n_ids = 0;
    for (uint32_t i = 0; i != NOWHERE; i = merger->symbols[i].next)
        ids[(*n_ids)++] = merger->symbols[i].id;
    return KV_OK;
}

/* ---- Pieces -------------------------------------------------------------------------------------------------- */

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
    struct merger merger;
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
        const kv_status status = merge_piece(cutter->tokenizer, &cutter->merger, text + at, ends[1] - at, ids + *n_ids,
                                             &n_new, error);
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
    merger_free(&cutter.merger);
    pcre2_match_data_free(cutter.match);
    return status;
}
