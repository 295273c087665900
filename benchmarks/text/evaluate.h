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

/* What is known of one predicted id. p: softmax of the logits; f: of those of the reference, for the same ids before. */
struct kv_token_score {
    double loss;           /* -ln p(id) */
    double reference_loss; /* -ln f(id) */
    double divergence;     /* sum f (ln f - ln p): from the reference (Kullback & Leibler 1951) */
    bool same_top;         /* the same id is the likeliest; of equals the lowest */
};

/* kv_evaluate, token by token: scores [n_ids - 1]. `reference`: another session of that batch and capacity, or NULL:
 * only the loss is known, what refers to it is 0. *seconds: of `session` alone. Errors: as kv_evaluate. */
kv_status kv_evaluate_tokens(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                             int batch, int context, const int32_t *ids, size_t n_ids, struct kv_token_score *scores,
                             double *seconds, struct kv_error *error);

/* The same through the decode path, at one length of context: each window's first context / 2 + 1 ids are prefilled and
 * the others appended one by one, so that ids [first .. first + n) are predicted once each, from more than context / 2
 * and at most `context` ids before it, whatever the context is. scores [n].
 *   ids  [first + n + context], first > context / 2
 * Both sessions: of `batch` sequences, capacity >= context. Errors: as kv_evaluate. */
kv_status kv_evaluate_decoding(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                               int batch, int context, const int32_t *ids, size_t first, size_t n,
                               struct kv_token_score *scores, struct kv_error *error);

/* Past the window: a text for each sequence of the batch, `stride` ids apart, is appended from its beginning, and every
 * KV_EVALUATION_EVERY-th of its ids [from .. from + n KV_EVALUATION_EVERY) predicted; those between are appended
 * together, after which a sequence holds what it does when they come one by one. scores [n], of one sequence after
 * those of the one before.
 *   ids  [(batch - 1) stride + from + n KV_EVALUATION_EVERY],  from >= 1
 * `reference`: another session of that batch, or NULL: then the session is its own. Errors: as kv_evaluate, and those of
 * kv_session_append. */
#define KV_EVALUATION_EVERY 4
kv_status kv_evaluate_past(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                           int batch, size_t stride, const int32_t *ids, int from, size_t n,
                           struct kv_token_score *scores, struct kv_error *error);

/* ---- What tokens say together ------------------------------------------------------------------------------ */

/* With a 95 % interval over blocks of text, by the jackknife: each of n = KV_QUALITY_BLOCKS neighbouring blocks of equal
 * length is left out in turn, which gives values x_i of mean m, and with Student's t of n - 1 degrees of freedom
 *   value -+ t sqrt((n - 1) / n sum (x_i - m)^2)                         (Efron & Tibshirani 1993, chapter 11)
 * Neighbouring tokens depend on each other, blocks hardly; so many tokens left out at once make it hold for quantiles
 * too (Shao & Wu 1989). NaN below KV_QUALITY_LEAST_BLOCK tokens a block. */
#define KV_QUALITY_BLOCKS      20
#define KV_QUALITY_LEAST_BLOCK 16
struct kv_estimate {
    double value, low, high;
};

struct kv_quality {
    struct kv_estimate loss, perplexity;  /* perplexity = e^loss */
    struct kv_estimate perplexity_change; /* over the reference's, as a fraction: e^(loss - reference's) - 1 */
    struct kv_estimate divergence, divergence_p99;
    double divergence_largest;   /* of an extreme, no interval is known */
    struct kv_estimate same_top; /* fraction */
};

/* Of scores [n], n >= 1. Errors: MEMORY. */
kv_status kv_quality_of(const struct kv_token_score *scores, size_t n, struct kv_quality *quality,
                        struct kv_error *error);

#endif
