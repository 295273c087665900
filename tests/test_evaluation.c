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
