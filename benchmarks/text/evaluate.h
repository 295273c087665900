/* How well a model predicts a text: cross-entropy, as training minimises it and as model cards state it.
 *
 * The ids are cut into windows of T + 1 that overlap by one: window i predicts ids i T + 1 .. i T + T, each from those
 * of the window that stand before it. The last window may be shorter. Every id but the first is predicted once, and
 *   loss = mean over these of  -ln p(id | window so far)                                          nats a token
 *   bits a byte = loss * tokens / (ln 2 * bytes)             perplexity = e^loss, a token
 */
#ifndef KV_TEXT_EVALUATE_H
#define KV_TEXT_EVALUATE_H

#include "kvbench.h"

/* ---- Text files ---------------------------------------------------------------------------------------- */

/* All of a file, as kv_file_read gives it. Errors: IO, MEMORY, ARGUMENT (the file is empty). */
kv_status kv_text_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error);

/* ---- Cross-entropy ------------------------------------------------------------------------------------- */

struct kv_evaluation {
    double loss;     /* nats a token */
    size_t n_tokens; /* predicted: n_ids - 1 */
    double seconds;
};

/* A session's batch such that its logits of `context` positions stay near 64 MiB: 1..16. */
int kv_evaluation_batch(const struct kv_config *config, int context);

/* session: of `batch` sequences, capacity >= context = T; it is reset before every window. Which path and chunk it has
 * decides how the logits come about: chunk 1 of the cached path reads every position from the cache.
 * Errors: ARGUMENT (fewer than 2 ids, or one out of range), MEMORY, NUMERIC (the loss is not a number). */
kv_status kv_evaluate(struct kv_session *session, const struct kv_config *config, int batch, int context,
                      const int32_t *ids, size_t n_ids, struct kv_evaluation *evaluation, struct kv_error *error);

/* Joins what the next part of a text adds: parts that overlap by one id, their windows whole but for the last. */
void kv_evaluation_add(struct kv_evaluation *whole, const struct kv_evaluation *part);

#endif
