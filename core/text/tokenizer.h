/* GPT-2's byte-level BPE from its list of merges: text -> pieces -> bytes, merged pair by pair (bpe.c). */
#ifndef KV_TEXT_TOKENIZER_H
#define KV_TEXT_TOKENIZER_H

#define PCRE2_CODE_UNIT_WIDTH 8

#include "kvbench.h"

#include <pcre2.h>

/* Ids below are single bytes; id KV_N_BYTES + r is merge r, best first; the last one is <|endoftext|>. */
enum { KV_N_BYTES = 256, KV_N_MERGES = 50000, KV_GPT2_VOCAB = KV_N_BYTES + KV_N_MERGES + 1 };

/* An open-addressed table from a pair of ids to the id that they merge into. Power of two, at most half full. */
enum { KV_PAIR_SLOT_BITS = 17, KV_PAIR_SLOTS = 1 << KV_PAIR_SLOT_BITS };

struct kv_pair_slot {
    uint32_t pair;  /* left id << 16 | right id */
    int32_t merged; /* 0: the slot is free */
};

struct kv_tokenizer {
    const struct kv_choice *choice;
    int vocab_size;
    int32_t end_of_text; /* -1: none */
    char *bytes;         /* of all tokens, one behind the other */
    size_t *starts;      /* [vocab_size + 1]: token t is bytes[starts[t] .. starts[t + 1]) */

    /* gpt2 only */
    int32_t byte_ids[KV_N_BYTES]; /* id of each byte */
    struct kv_pair_slot *pairs;   /* [KV_PAIR_SLOTS] */
    pcre2_code *pattern;
};

/* The id that the two merge into, 0 when they do not. */
int32_t kv_pair_find(const struct kv_pair_slot *pairs, int32_t left, int32_t right);
void kv_pair_add(struct kv_pair_slot *pairs, int32_t left, int32_t right, int32_t merged);

/* Compiles GPT-2's pre-tokenizer. Errors: MEMORY, UNSUPPORTED (PCRE2 was built without Unicode). */
kv_status kv_pieces_compile(pcre2_code **pattern, struct kv_error *error);

/* Appends the ids of `text` to ids, which has room for n_bytes more. Errors: MEMORY, UNSUPPORTED. */
kv_status kv_pieces_encode(const struct kv_tokenizer *tokenizer, const uint8_t *text, size_t n_bytes, int32_t *ids,
                           size_t *n_ids, struct kv_error *error);

/* Ids of kv_tokenizer_choice(index). */
int kv_tokenizer_ids(int index);

#endif
