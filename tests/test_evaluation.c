/* The loss of a text: against its definition, against the reference's loss, on both paths. */
#include "checkpoint.h"
#include "text/evaluate.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOSS_BOUND 1e-6 /* relative; paths and batches differ by rounding only */

enum { TEXT_LENGTH = 50 };

struct fixture {
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    const struct kv_config *config;
    int32_t ids[TEXT_LENGTH];
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    uint64_t random = 11;
    assert_non_null(f);
    load_case(&f->c, "tiny-f32");
    OK(kv_pool_create(&f->pool, 2, &error));
    OK(kv_model_load(&f->model, f->c.folder, NULL, NULL, f->pool, &error));
    f->config = kv_model_config(f->model);
    for (int i = 0; i < TEXT_LENGTH; i++)
        f->ids[i] = random_between(&random, 0, f->config->vocab_size - 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kv_model_free(f->model);
    kv_pool_free(f->pool);
    free_case(&f->c);
    free(f);
    return 0;
}

#define FIXTURE_TEST(name) TEST_WITH(name, const struct fixture *f, set_up, tear_down)

/* One way to run a text. */
struct way {
    const char *path;
    int chunk, batch;
};

static void evaluate(const struct fixture *f, struct way way, int context, const int32_t *ids, int n_ids,
                     struct kv_evaluation *evaluation)
{
    struct kv_session *session;
    const struct kv_session_options options = {
        .path = way.path, .chunk = way.chunk, .batch = way.batch, .capacity = context};
    OK(kv_session_create(&session, f->model, f->pool, &options, &error));
    OK(kv_evaluate(session, f->config, way.batch, context, ids, (size_t)n_ids, evaluation, &error));
    assert_true(evaluation->seconds > 0);
    kv_session_free(session);
}

static void assert_loss(double loss, double expected, double bound)
{
    if (!(fabs(loss - expected) <= bound * expected))
        fail_msg("the loss is %.9f, expected %.9f within %.0e of it", loss, expected, bound);
}

/* -ln softmax(logits)[target], all of it in double */
static double negative_log_likelihood(const float *logits, int V, int32_t target)
{
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp((double)logits[i] - (double)logits[target]);
    return log(sum);
}

/* The definition, step by step: ids T apart begin a window, and each but the first of all is predicted from what its
 * window has before it. One position at a time, each from a fresh logits row. */
static double loss_by_definition(const struct fixture *f, int context, const int32_t *ids, int n_ids)
{
    struct kv_session *session;
    const struct kv_session_options options = {.path = "naive", .batch = 1};
    double total = 0;
    OK(kv_session_create(&session, f->model, f->pool, &options, &error));
    for (int i = 1; i < n_ids; i++) {
        if ((i - 1) % context == 0)
            kv_session_reset(session);
        OK(kv_session_decode(session, &ids[i - 1], &error));
        total += negative_log_likelihood(kv_session_logits(session), f->config->vocab_size, ids[i]);
    }
    kv_session_free(session);
    return total / (n_ids - 1);
}

/* ---- The figure ------------------------------------------------------------------------------------------ */

FIXTURE_TEST(definition_at_the_edges_of_windows)
{
    static const int lengths[] = {2, 3, 7, 8, 9, 14, 15, 16, 17, 22, TEXT_LENGTH};
    static const int contexts[] = {1, 7, TEXT_LENGTH - 1, 64};
    for (size_t c = 0; c < COUNT(contexts); c++) {
        for (size_t i = 0; i < COUNT(lengths); i++) {
            struct kv_evaluation evaluation;
            evaluate(f, (struct way){"cached", 0, 2}, contexts[c], f->ids, lengths[i], &evaluation);
            assert_int_equal(evaluation.n_tokens, lengths[i] - 1);
            assert_loss(evaluation.loss, loss_by_definition(f, contexts[c], f->ids, lengths[i]), LOSS_BOUND);
        }
    }
}

FIXTURE_TEST(paths_chunks_and_batches_agree)
{
    static const int chunks[] = {0, 1, 7}, batches[] = {1, 3};
    for (int context = 6; context <= 16; context += 5) {
        const double expected = loss_by_definition(f, context, f->ids, TEXT_LENGTH);
        for (int p = 0; kv_path_choice(p); p++) {
            for (size_t c = 0; c < COUNT(chunks) * COUNT(batches); c++) {
                struct kv_evaluation evaluation;
                const struct way way = {kv_path_choice(p)->name, chunks[c % 3], batches[c / 3]};
                evaluate(f, way, context, f->ids, TEXT_LENGTH, &evaluation);
                assert_int_equal(evaluation.n_tokens, TEXT_LENGTH - 1);
                assert_loss(evaluation.loss, expected, LOSS_BOUND);
            }
        }
    }
}

/* An implementation that is not ours: the mean over both sequences of data/reference/tiny-f32, computed by PyTorch. */
FIXTURE_TEST(reference_loss)
{
    char file[600];
    double sum = 0;
    snprintf(file, sizeof file, "%s/expected.json", f->c.folder);
    json_t *json = json_load_file(file, 0, NULL);
    assert_non_null(json);
    const double expected = json_number_value(json_object_get(json, "loss"));
    json_decref(json);
    assert_true(expected > 0);
    for (int b = 0; b < f->c.batch; b++) {
        struct kv_evaluation evaluation;
        evaluate(f, (struct way){"cached", 1, 1}, 64, f->c.tokens + b * f->c.n_tokens, f->c.n_tokens, &evaluation);
        sum += evaluation.loss;
    }
    assert_loss(sum / f->c.batch, expected, 1e-5);
}

/* ---- Divergence ------------------------------------------------------------------------------------------ */

static struct kv_session *open_session(const struct fixture *f, const char *kv, int chunk)
{
    struct kv_session *session;
    const struct kv_session_options options = {.path = "cached", .kv = kv, .batch = 2, .chunk = chunk, .capacity = 16};
    assert_ok(kv_session_create(&session, f->model, f->pool, &options, &error), error);
    return session;
}

/* Of a cache of that type against one of float32, in windows of 16. */
static void score(const struct fixture *f, const char *kv, int chunk, struct kv_token_score scores[TEXT_LENGTH - 1])
{
    double seconds;
    struct kv_session *session = open_session(f, kv, chunk), *reference = open_session(f, "f32", 0);
    assert_ok(kv_evaluate_tokens(session, reference, f->config, 2, 16, f->ids, TEXT_LENGTH, scores, &seconds, &error),
              error);
    assert_true(seconds > 0);
    kv_session_free(session);
    kv_session_free(reference);
}

static double mean_divergence(const struct kv_token_score scores[TEXT_LENGTH - 1])
{
    double sum = 0;
    for (int i = 0; i < TEXT_LENGTH - 1; i++)
        sum += scores[i].divergence / (TEXT_LENGTH - 1);
    return sum;
}

/* From logits of one window, position by position: sum f ln (f / p), all in double. */
FIXTURE_TEST(divergence_by_definition)
{
    struct kv_token_score scores[TEXT_LENGTH - 1];
    const int V = f->config->vocab_size;
    struct kv_session *sessions[] = {open_session(f, "int4", 0), open_session(f, "f32", 0)};
    score(f, "int4", 0, scores);
    for (int t = 0; t < 16; t++) {
        const int32_t tokens[] = {f->ids[t], f->ids[t]};
        double sums[2] = {0}, divergence = 0;
        int top[2] = {0};
        const float *logits[2];
        for (int s = 0; s < 2; s++) {
            assert_ok(kv_session_decode(sessions[s], tokens, &error), error);
            logits[s] = kv_session_logits(sessions[s]);
            for (int i = 0; i < V; i++) {
                sums[s] += exp((double)logits[s][i]);
                top[s] = logits[s][i] > logits[s][top[s]] ? i : top[s];
            }
        }
        for (int i = 0; i < V; i++) {
            const double p = exp((double)logits[0][i]) / sums[0], q = exp((double)logits[1][i]) / sums[1];
            divergence += q * log(q / p);
        }
        assert_true(fabs(scores[t].divergence - divergence) <= 1e-5 * divergence + 1e-7);
        assert_int_equal(scores[t].same_top, top[0] == top[1]);
        assert_loss(scores[t].loss, negative_log_likelihood(logits[0], V, f->ids[t + 1]), LOSS_BOUND);
        assert_loss(scores[t].reference_loss, negative_log_likelihood(logits[1], V, f->ids[t + 1]), LOSS_BOUND);
    }
    kv_session_free(sessions[0]);
    kv_session_free(sessions[1]);
}

/* A cache that were not read would make all types alike: each is further off than the one before, f32 not at all, and
 * token by token is what it is in one pass, to the bit. */
FIXTURE_TEST(the_cache_is_read)
{
    struct kv_token_score scores[TEXT_LENGTH - 1], decoded[TEXT_LENGTH - 1];
    double last = -1;
    for (int k = 0; kv_kv_choice(k); k++) {
        memset(scores, 0, sizeof scores);
        memset(decoded, 0, sizeof decoded);
        score(f, kv_kv_choice(k)->name, 0, scores);
        score(f, kv_kv_choice(k)->name, 1, decoded);
        for (int i = 0; i < TEXT_LENGTH - 1; i++)
            assert_true(scores[i].loss == decoded[i].loss && scores[i].divergence == decoded[i].divergence);
        const double mean = mean_divergence(scores);
        assert_true(k == 0 ? mean == 0 && scores[0].same_top : mean > 2 * last);
        last = mean;
    }
}

/* At a context each token is predicted once, by what stands before it: from context / 2 + 1 ids on. What the last
 * windows predict behind the text is not asked for. */
FIXTURE_TEST(decoding_at_a_context)
{
    static const int contexts[] = {1, 2, 7, 16};
    enum { FIRST = 9, N = 21 };
    for (size_t c = 0; c < COUNT(contexts); c++)
        for (int batch = 1; batch <= 4; batch += 3) {
            const int context = contexts[c], stride = context - context / 2;
            const struct kv_session_options options = {.kv = "int4", .batch = batch, .capacity = context};
            const struct kv_session_options exact = {.batch = batch, .capacity = context};
            struct kv_session *own = make_session(f->model, f->pool, options);
            struct kv_session *reference = make_session(f->model, f->pool, exact);
            struct kv_session *alone = make_session(f->model, f->pool,
                                                    (struct kv_session_options){.path = "naive", .batch = 1});
            struct kv_token_score scores[N];
            OK(kv_evaluate_decoding(own, reference, f->config, batch, context, f->ids, FIRST, N, scores, &error));
            for (int i = 0; i < N; i++) {
                const int n_before = context / 2 + 1 + i % stride;
                kv_session_reset(alone);
                OK(kv_session_prefill(alone, f->ids + FIRST + i - n_before, n_before, NULL, &error));
                assert_loss(scores[i].reference_loss,
                            negative_log_likelihood(kv_session_logits(alone), f->config->vocab_size, f->ids[FIRST + i]),
                            LOSS_BOUND);
                assert_true(scores[i].divergence > 0 && scores[i].loss != scores[i].reference_loss);
            }
            kv_session_free(own);
            kv_session_free(reference);
            kv_session_free(alone);
        }
}

/* Past the window a token is predicted by what the policy kept of the text before it, at most a window. */
FIXTURE_TEST(past_the_window)
{
    enum { BATCH = 2, STRIDE = 20, N = 12, MOST_IDS = 400 };
    static const enum kv_overflow policies[] = {KV_OVERFLOW_RECOMPUTE, KV_OVERFLOW_SHIFT};
    const int window = f->config->n_positions, from = window + 6;
    const struct kv_session_options recompute = {.batch = BATCH, .overflow = KV_OVERFLOW_RECOMPUTE};
    struct kv_session *reference = make_session(f->model, f->pool, recompute);
    struct kv_session *alone = make_session(f->model, f->pool,
                                            (struct kv_session_options){.path = "naive", .batch = 1});
    int32_t ids[MOST_IDS];
    uint64_t random = 12;
    assert_true((BATCH - 1) * STRIDE + from + N * KV_EVALUATION_EVERY <= MOST_IDS);
    for (int i = 0; i < MOST_IDS; i++)
        ids[i] = random_between(&random, 0, f->config->vocab_size - 1);
    for (size_t k = 0; k < COUNT(policies); k++) {
        struct kv_token_score scores[BATCH * N];
        struct kv_session *own = make_session(f->model, f->pool,
                                              (struct kv_session_options){.batch = BATCH, .overflow = policies[k]});
        OK(kv_evaluate_past(own, reference, f->config, BATCH, STRIDE, ids, from, N, scores, &error));
        for (int i = 0; i < BATCH * N; i++) {
            const int32_t *text = ids + i / N * STRIDE;
            const int at = from + i % N * KV_EVALUATION_EVERY, kept = kv_overflow_kept(policies[k], window, at);
            assert_in_range(kept, policies[k] == KV_OVERFLOW_SHIFT ? window / 2 : window, window);
            kv_session_reset(alone);
            OK(kv_session_prefill(alone, text + at - kept, kept, NULL, &error));
            assert_loss(scores[i].loss,
                        negative_log_likelihood(kv_session_logits(alone), f->config->vocab_size, text[at]), LOSS_BOUND);
            assert_true(kept < window ? scores[i].divergence > 0 : fabs(scores[i].divergence) < 1e-9);
        }
        kv_session_free(own);
    }
    kv_session_free(reference);
    kv_session_free(alone);
}

/* Blocks whose means are 0 .. 19: the interval of their mean, as of any 20 values. */
TEST(intervals)
{
    enum { N = 20 * KV_QUALITY_BLOCKS };
    struct kv_token_score scores[N];
    struct kv_quality q;
    for (int i = 0; i < N; i++)
        scores[i] = (struct kv_token_score){
            .loss = i / 20 + (i % 2 ? 0.5 : -0.5), .reference_loss = 1, .divergence = i, .same_top = i % 4 != 0};
    assert_ok(kv_quality_of(scores, N, &q, &error), error);
    const double half = 2.093 * sqrt(35.0) / sqrt(20.0); /* 35 = the variance of 0 .. 19 */
    assert_true(fabs(q.loss.value - 9.5) < 1e-9);
    assert_true(fabs(q.loss.low - (9.5 - half)) < 1e-9 && fabs(q.loss.high - (9.5 + half)) < 1e-9);
    assert_true(fabs(q.perplexity.high / exp(9.5 + half) - 1) < 1e-9);
    assert_true(fabs(q.perplexity_change.value / (exp(8.5) - 1) - 1) < 1e-9);
    assert_true(fabs(q.divergence.value - (N - 1) / 2.0) < 1e-9 && q.divergence_largest == N - 1);
    assert_true(fabs(q.divergence_p99.value - 0.99 * (N - 1)) < 1e-9);
    assert_true(q.divergence_p99.low < q.divergence_p99.value && q.divergence_p99.value < q.divergence_p99.high);
    assert_true(q.same_top.value == 0.75 && q.same_top.high - q.same_top.low < 1e-9); /* in every block */
    assert_ok(kv_quality_of(scores, 1, &q, &error), error);
    assert_true(q.loss.value == -0.5 && isnan(q.loss.low) && isnan(q.divergence_p99.high));
}

FIXTURE_TEST(errors)
{
    struct kv_evaluation evaluation;
    struct kv_session *session;
    const struct kv_session_options options = {.path = "cached", .batch = 1};
    int32_t ids[] = {0, 1, f->config->vocab_size};
    OK(kv_session_create(&session, f->model, f->pool, &options, &error));
    for (size_t n = 0; n < 2; n++) {
        REFUSED(kv_evaluate(session, f->config, 1, 8, ids, n, &evaluation, &error), KV_ERROR_ARGUMENT, "longer", NULL);
        assert_true(isnan(evaluation.loss));
    }
    REFUSED(kv_evaluate(session, f->config, 1, 8, ids, 3, &evaluation, &error), KV_ERROR_ARGUMENT,
            "97 at 2 is not in 0..96", NULL); /* the last one is never run, only predicted */
    ids[2] = -1;
    assert_int_equal(kv_evaluate(session, f->config, 1, 8, ids, 3, &evaluation, &error), KV_ERROR_ARGUMENT);
    kv_session_free(session);
}

TEST(batch_that_suits)
{
    const struct kv_config bytes = {.vocab_size = 256}, gpt2 = {.vocab_size = 50257};
    assert_int_equal(kv_evaluation_batch(&bytes, 256), 16);
    assert_int_equal(kv_evaluation_batch(&gpt2, 1024), 1);
    assert_in_range(kv_evaluation_batch(&gpt2, 64), 2, 15);
}
