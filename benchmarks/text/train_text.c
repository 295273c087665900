#include "text/training.h"

#include "base/random.h"
#include "text/text_file.h"

#include <stdio.h>
#include <stdlib.h>

static kv_status check_length(const char *file, const char *part, size_t n_ids, int n_positions, struct kv_error *error)
{
    if (n_ids > (size_t)n_positions)
        return KV_OK;
    snprintf(error->message, sizeof error->message,
             "%.300s: the part %s has %zu tokens, a window takes %d; give a longer text, or change --context or "
             "--validation",
             file, part, n_ids, n_positions + 1);
    return KV_ERROR_ARGUMENT;
}

kv_status kv_training_text_load(struct kv_training_text *text, const char *file, int validation, int n_positions,
                                const struct kv_tokenizer *tokenizer, struct kv_error *error)
{
    char *bytes;
    *text = (struct kv_training_text){0};
    kv_status status = kv_text_file_read(file, &bytes, &text->n_bytes, error);
    if (status)
        return status;
    text->hash = kv_hash_bytes(bytes, text->n_bytes);
    text->n_held_out_bytes = text->n_bytes / 100 * (size_t)validation + text->n_bytes % 100 * (size_t)validation / 100;
    const size_t n_train = text->n_bytes - text->n_held_out_bytes;
    status = kv_tokenizer_encode(tokenizer, bytes, n_train, false, &text->ids, &text->n_ids, error);
    if (!status)
        status = kv_tokenizer_encode(tokenizer, bytes + n_train, text->n_held_out_bytes, false, &text->held_out,
                                     &text->n_held_out, error);
    free(bytes);
    if (!status)
        status = check_length(file, "to train on", text->n_ids, n_positions, error);
    if (!status)
        status = check_length(file, "held out", text->n_held_out, n_positions, error);
    if (status)
        kv_training_text_free(text);
    return status;
}

void kv_training_text_free(struct kv_training_text *text)
{
    free(text->ids);
    free(text->held_out);
    *text = (struct kv_training_text){0};
}
