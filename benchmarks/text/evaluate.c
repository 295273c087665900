#include "text/evaluate.h"

#include "base/error.h"
#include "base/file.h"
#include "measure/measure.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- Text files ---------------------------------------------------------------------------------------- */

kv_status kv_text_file_read(const char *file, char **bytes, size_t *n_bytes, struct kv_error *error)
{
    const kv_status status = kv_file_read(file, bytes, n_bytes, error);
    if (status || *n_bytes)
        return status;
    free(*bytes);
    *bytes = NULL;
    return kv_fail(error, KV_ERROR_ARGUMENT, "%.400s: the file is empty; give a text", file);
}

/* ---- Cross-entropy ------------------------------------------------------------------------------------- */

#define LOGITS_BYTES (64u << 20)
#define MOST_BATCH   16

int kv_evaluation_batch(const struct kv_config *config, int context)
{
    const size_t one = (size_t)context * (size_t)config->vocab_size * sizeof(float), fit = LOGITS_BYTES / one;
    return fit < 1 ? 1 : fit < MOST_BATCH ? (int)fit : MOST_BATCH;
}

/* ln sum e^logits [V]; the largest is taken out first, so that no power overflows. */
static double log_of_sum(const float *logits, int V, int *top)
{
    *top = 0;
    for (int i = 1; i < V; i++)
        *top = logits[i] > logits[*top] ? i : *top;
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += (double)expf(logits[i] - logits[*top]);
    return log(sum) + (double)logits[*top];
}

struct evaluator {
    struct kv_session *session, *reference;
    int batch, V;
    int32_t *tokens;                  /* [batch, context] */
    float *logits, *reference_logits; /* [batch, context, V] */
    double seconds;
};

static struct kv_token_score score(const float *logits, const float *reference, int V, int32_t target)
{
    int top, reference_top;
    const double sum = log_of_sum(logits, V, &top);
    struct kv_token_score s = {.loss = sum - (double)logits[target]};
    if (!reference)
        return s;
    const double reference_sum = log_of_sum(reference, V, &reference_top);
    for (int i = 0; i < V; i++) {
        const double log_f = (double)reference[i] - reference_sum, log_p = (double)logits[i] - sum;
        s.divergence += exp(log_f) * (log_f - log_p);
    }
    s.reference_loss = reference_sum - (double)reference[target];
    s.same_top = top == reference_top;
    return s;
}

/* n <= batch windows of `length` predictions each, one after the other from ids on: their scores. */
static kv_status score_windows(struct evaluator *e, const int32_t *ids, int n, int length,
                               struct kv_token_score *scores, struct kv_error *error)
{
    const size_t T = (size_t)length, V = (size_t)e->V;
    for (int b = 0; b < e->batch; b++) /* sequences without a window of their own repeat the last one */
        memcpy(e->tokens + (size_t)b * T, ids + (size_t)(b < n ? b : n - 1) * T, T * sizeof *ids);
    const int64_t begin = kv_now_ns();
    kv_session_reset(e->session);
    kv_status status = kv_session_prefill(e->session, e->tokens, length, e->logits, error);
    e->seconds += (double)(kv_now_ns() - begin) / 1e9;
    if (!status && e->reference) {
        kv_session_reset(e->reference);
        status = kv_session_prefill(e->reference, e->tokens, length, e->reference_logits, error);
    }
    for (size_t i = 0; !status && i < (size_t)n * T; i++)
        scores[i] = score(e->logits + i * V, e->reference ? e->reference_logits + i * V : NULL, e->V, ids[i + 1]);
    return status;
}

static kv_status score_all(struct evaluator *e, int context, const int32_t *ids, size_t n_predicted,
                           struct kv_token_score *scores, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (size_t at = 0; !status && at < n_predicted;) {
        const size_t left = n_predicted - at, whole = left / (size_t)context;
        const int n = whole == 0 ? 1 : whole < (size_t)e->batch ? (int)whole : e->batch;
        const int length = whole == 0 ? (int)left : context;
        status = score_windows(e, ids + at, n, length, scores + at, error);
        at += (size_t)n * (size_t)length;
    }
    for (size_t i = 0; !status && i < n_predicted; i++)
        if (!isfinite(scores[i].loss) || !isfinite(scores[i].divergence))
            status = kv_fail(error, KV_ERROR_NUMERIC, "the loss is not a number: this model's weights are not sound");
    return status;
}

static kv_status check_ids(const int32_t *ids, size_t n_ids, int V, struct kv_error *error)
{
    if (n_ids < 2)
        return kv_fail(error, KV_ERROR_ARGUMENT, "a text of %zu token%s predicts nothing; give a longer one", n_ids,
                       n_ids == 1 ? "" : "s");
    for (size_t i = 0; i < n_ids; i++) {
        if (ids[i] < 0 || ids[i] >= V)
            return kv_fail(error, KV_ERROR_ARGUMENT, "id %d at %zu is not in 0..%d (the model's vocab_size is %d)",
                           (int)ids[i], i, V - 1, V);
    }
    return KV_OK;
}

kv_status kv_evaluate_tokens(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                             int batch, int context, const int32_t *ids, size_t n_ids, struct kv_token_score *scores,
                             double *seconds, struct kv_error *error)
{
    const size_t positions = (size_t)batch * (size_t)context, V = (size_t)config->vocab_size;
    struct evaluator e = {.session = session, .reference = reference, .batch = batch, .V = config->vocab_size};
    kv_status status = check_ids(ids, n_ids, e.V, error);
    if (status)
        return status;
    e.tokens = malloc(positions * sizeof *e.tokens);
    e.logits = malloc(positions * V * sizeof *e.logits);
    e.reference_logits = reference ? malloc(positions * V * sizeof *e.logits) : NULL;
    if (!e.tokens || !e.logits || (reference && !e.reference_logits))
        status = kv_fail(error, KV_ERROR_MEMORY,
                         "no memory for the logits of %d windows of %d positions; use a smaller batch or context",
                         batch, context);
    else
        status = score_all(&e, context, ids, n_ids - 1, scores, error);
    free(e.tokens);
    free(e.logits);
    free(e.reference_logits);
    *seconds = e.seconds;
    return status;
}

/* ---- Through the decode path ---------------------------------------------------------------------------- */

/* `batch` windows, `stride` ids apart from ids on. */
struct decoding {
    struct kv_session *session;
    int batch, context;
    size_t stride;
    const int32_t *ids;
    int32_t *tokens; /* [batch, context] */
};

/* Step 0 prefills, the others append an id each: the logits then predict the id behind. */
static kv_status step_windows(const struct decoding *d, int step, struct kv_error *error)
{
    const size_t before = (size_t)d->context / 2 + 1, n = step ? 1 : before,
                 skipped = step ? before + (size_t)step - 1 : 0;
    for (size_t b = 0; b < (size_t)d->batch; b++)
        memcpy(d->tokens + b * n, d->ids + b * d->stride + skipped, n * sizeof *d->ids);
    return kv_session_prefill(d->session, d->tokens, (int)n, NULL, error);
}

static kv_status decode_windows(const struct decoding *own, const struct decoding *reference, int V, size_t n,
                                struct kv_token_score *scores, struct kv_error *error)
{
    const size_t before = (size_t)own->context / 2 + 1;
    kv_status status = KV_OK;
    kv_session_reset(own->session);
    kv_session_reset(reference->session);
    for (size_t step = 0; !status && step < own->stride && step < n; step++) {
        status = step_windows(own, (int)step, error);
        if (!status)
            status = step_windows(reference, (int)step, error);
        for (size_t b = 0; !status && b < (size_t)own->batch && b * own->stride + step < n; b++)
            scores[b * own->stride + step] = score(kv_session_logits(own->session) + b * (size_t)V,
                                                   kv_session_logits(reference->session) + b * (size_t)V, V,
                                                   own->ids[b * own->stride + before + step]);
    }
    return status;
}

kv_status kv_evaluate_decoding(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                               int batch, int context, const int32_t *ids, size_t first, size_t n,
                               struct kv_token_score *scores, struct kv_error *error)
{
    const size_t T = (size_t)context, before = T / 2 + 1, stride = T - T / 2, together = (size_t)batch * stride;
    const size_t n_padded = (n + together - 1) / together * together;
    kv_status status = check_ids(ids, first + n + T, config->vocab_size, error);
    /* The last windows may reach behind the text: what they predict there is not scored. */
    int32_t *text = status ? NULL : calloc(first + n_padded + T, sizeof *text);
    int32_t *tokens = status ? NULL : calloc((size_t)batch * T, sizeof *tokens);
    if (!status && (!text || !tokens))
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for a text of %zu tokens; give a shorter one", n);
    if (!status)
        memcpy(text, ids, (first + n + T) * sizeof *ids);
    for (size_t at = 0; !status && at < n; at += together) {
        const struct decoding own = {session, batch, context, stride, text + first + at - before, tokens};
        struct decoding other = own;
        other.session = reference;
        status = decode_windows(&own, &other, config->vocab_size, n - at, scores + at, error);
    }
    for (size_t i = 0; !status && i < n; i++)
        if (!isfinite(scores[i].loss) || !isfinite(scores[i].divergence))
            status = kv_fail(error, KV_ERROR_NUMERIC, "the loss is not a number: this model's weights are not sound");
    free(text);
    free(tokens);
    return status;
}

/* ---- Past the window ------------------------------------------------------------------------------------ */

/* To every sequence n ids of its text from `at` on. */
static kv_status append_texts(struct kv_session *session, int batch, size_t stride, const int32_t *ids, size_t at,
                              size_t n, int32_t *tokens, struct kv_error *error)
{
    for (size_t b = 0; b < (size_t)batch; b++)
        memcpy(tokens + b * n, ids + b * stride + at, n * sizeof *ids);
    return kv_session_prefill(session, tokens, (int)n, NULL, error);
}

kv_status kv_evaluate_past(struct kv_session *session, struct kv_session *reference, const struct kv_config *config,
                           int batch, size_t stride, const int32_t *ids, int from, size_t n,
                           struct kv_token_score *scores, struct kv_error *error)
{
    const size_t V = (size_t)config->vocab_size, last = (size_t)from + (n - 1) * KV_EVALUATION_EVERY;
    struct kv_session *other = reference ? reference : session;
    kv_status status = check_ids(ids, (size_t)(batch - 1) * stride + last + 1, config->vocab_size, error);
    int32_t *tokens = status ? NULL : calloc((size_t)batch * (size_t)(from + KV_EVALUATION_EVERY), sizeof *tokens);
    if (!status && !tokens)
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for texts of %d tokens; give a shorter one", from);
    kv_session_reset(session);
    kv_session_reset(other);
    for (size_t i = 0, at = 0; !status && i < n; i++) {
        const size_t next = (size_t)from + i * KV_EVALUATION_EVERY;
        status = append_texts(session, batch, stride, ids, at, next - at, tokens, error);
        if (!status && reference)
            status = append_texts(reference, batch, stride, ids, at, next - at, tokens, error);
        at = next;
        for (size_t b = 0; !status && b < (size_t)batch; b++)
            scores[b * n + i] = score(kv_session_logits(session) + b * V, kv_session_logits(other) + b * V,
                                      config->vocab_size, ids[b * stride + next]);
    }
    free(tokens);
    for (size_t i = 0; !status && i < (size_t)batch * n; i++)
        if (!isfinite(scores[i].loss) || !isfinite(scores[i].divergence))
            status = kv_fail(error, KV_ERROR_NUMERIC, "the loss is not a number: this model's weights are not sound");
    return status;
}

kv_status kv_evaluate(struct kv_session *session, const struct kv_config *config, int batch, int context,
                      const int32_t *ids, size_t n_ids, struct kv_evaluation *evaluation, struct kv_error *error)
{
    const int64_t begin = kv_now_ns();
    double total = 0, seconds;
    *evaluation = (struct kv_evaluation){NAN, 0, NAN};
    struct kv_token_score *scores = malloc((n_ids + 1) * sizeof *scores);
    if (!scores)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for the losses of %zu tokens; give a shorter text", n_ids);
    const kv_status status = kv_evaluate_tokens(session, NULL, config, batch, context, ids, n_ids, scores, &seconds,
                                                error);
    for (size_t i = 0; !status && i + 1 < n_ids; i++)
        total += scores[i].loss;
    if (!status)
        *evaluation = (struct kv_evaluation){total / (double)(n_ids - 1), n_ids - 1,
                                             (double)(kv_now_ns() - begin) / 1e9};
    free(scores);
    return status;
}

void kv_evaluation_add(struct kv_evaluation *whole, const struct kv_evaluation *part)
{
    const size_t n_tokens = whole->n_tokens + part->n_tokens;
    const double nats = whole->loss * (double)whole->n_tokens + part->loss * (double)part->n_tokens;
    *whole = (struct kv_evaluation){nats / (double)n_tokens, n_tokens, whole->seconds + part->seconds};
}
