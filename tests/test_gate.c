/* The equality gate: a path that is broken on purpose is not timed, says why, and does not stop the others. */
#include "support.h"

#include "gbench/gbench.h"
#include "measure/run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How the cached path is broken: what its session answers is changed on the way. */
static enum { WHOLE, WRONG_LOGITS, WRONG_LOGIT_LATE, NOT_A_NUMBER, WRONG_TOKEN, WITHIN_THE_BOUND } damage;
static float damaged[4096]; /* [B, V] */

const float *__real_kv_session_logits(const struct kv_session *session);
const float *__wrap_kv_session_logits(const struct kv_session *session);
kv_status __real_kv_session_greedy(struct kv_session *session, int32_t *tokens, struct kv_error *error);
kv_status __wrap_kv_session_greedy(struct kv_session *session, int32_t *tokens, struct kv_error *error);

kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, struct kv_limits *limits,
                                   struct kv_error *error);

/* A machine without the memory for it: the limits stay unknown, and the test is quick. */
kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, struct kv_limits *limits,
                                   struct kv_error *error)
{
    (void)pool, (void)isa, (void)limits, (void)error;
    return KV_ERROR_MEMORY;
}

enum { V = 97, BATCH = 3, N_PROMPT = 6, N_NEW = 5 };

static bool is_damaged(const struct kv_session *session)
{
    return damage != WHOLE && strcmp(kv_session_path(session), "cached") == 0;
}

const float *__wrap_kv_session_logits(const struct kv_session *session)
{
    const float *logits = __real_kv_session_logits(session);
    if (!is_damaged(session))
        return logits;
    memcpy(damaged, logits, BATCH * V * sizeof *logits);
    float *one = &damaged[(BATCH - 1) * V + 5]; /* in the last sequence only */
    if (damage == WRONG_LOGITS || (damage == WRONG_LOGIT_LATE && kv_session_lengths(session)[0] >= N_PROMPT + 2))
        *one += 0.05f;
    if (damage == NOT_A_NUMBER)
        *one = NAN;
    if (damage == WITHIN_THE_BOUND)
        *one += 1e-5f;
    return damaged;
}

kv_status __wrap_kv_session_greedy(struct kv_session *session, int32_t *tokens, struct kv_error *error)
{
    const kv_status status = __real_kv_session_greedy(session, tokens, error);
    if (is_damaged(session) && damage == WRONG_TOKEN)
        tokens[1] = (tokens[1] + 1) % V;
    return status;
}

struct outcome {
    int n_failed;
    int n_naive, n_cached; /* rows with status ok */
    char error[256];       /* of the cached path */
    bool timed;            /* a failed row has a figure */
};

static void read_outcome(const char *folder, struct outcome *out)
{
    char file[128];
    struct kv_error error;
    struct kv_csv_table *rows;
    size_t path, status, message, ttft;
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    assert_ok(kv_csv_read(&rows, file, &error), error);
    assert_ok(kv_csv_column(rows, "path", &path, &error), error);
    assert_ok(kv_csv_column(rows, "status", &status, &error), error);
    assert_ok(kv_csv_column(rows, "error", &message, &error), error);
    assert_ok(kv_csv_column(rows, "ttft_ms", &ttft, &error), error);
    for (size_t row = 0; row < kv_csv_rows(rows); row++) {
        const bool naive = strcmp(kv_csv_text(rows, row, path), "naive") == 0;
        const bool ok = strcmp(kv_csv_text(rows, row, status), "ok") == 0;
        out->n_naive += naive && ok;
        out->n_cached += !naive && ok;
        out->timed |= !ok && kv_csv_text(rows, row, ttft)[0];
        if (!ok)
            snprintf(out->error, sizeof out->error, "%s", kv_csv_text(rows, row, message));
    }
    kv_csv_free(rows);
}

static void remove_run(const char *folder)
{
    static const char *const names[] = {"runs.csv", "tokens.csv", "limits.csv"};
    char file[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(folder), 0);
}

static struct outcome measure(void)
{
    static const int batches[] = {BATCH};
    static const char *const paths[] = {"naive", "cached"};
    const int32_t prompt[] = {3, 1, 4, 1, 5, 9};
    const struct kv_sweep sweep = {.batches = batches,
                                   .n_batches = 1,
                                   .paths = paths,
                                   .n_paths = 2,
                                   .n_new = N_NEW,
                                   .repetitions = 2,
                                   .n_positions = 64,
                                   .default_prompt = N_PROMPT};
    char folder[] = "/tmp/kvbench-gate-XXXXXX", checkpoint[600];
    struct kv_error error;
    struct kv_pool *pool;
    struct kv_model *model;
    struct kv_plan plan = {0};
    struct kv_run run;
    struct outcome outcome = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(checkpoint, sizeof checkpoint, "%s/reference/tiny-f32", KV_DATA_DIR);
    const struct kv_run_settings settings = {
        .run_id = "test", .folder = folder, .model_name = "tiny", .prompt = prompt, .n_prompt = N_PROMPT};
    assert_ok(kv_pool_create(&pool, 1, &error), error);
    assert_ok(kv_model_load(&model, checkpoint, NULL, NULL, pool, &error), error);
    assert_int_equal(kv_model_config(model)->vocab_size, V);
    assert_ok(kv_suite_batch.plan(&sweep, &plan, &error), error);
    assert_ok(kv_run_measure(&run, &settings, &plan, model, pool, &error), error);
    outcome.n_failed = run.n_failed;
    kv_run_free(&run);
    kv_plan_free(&plan);
    kv_model_free(model);
    kv_pool_free(pool);
    read_outcome(folder, &outcome);
    remove_run(folder);
    return outcome;
}

static void assert_refused(const char *reason)
{
    const struct outcome o = measure();
    assert_int_equal(o.n_failed, 1);
    assert_int_equal(o.n_naive, 2);
    assert_int_equal(o.n_cached, 0);
    assert_false(o.timed);
    if (!strstr(o.error, "equality gate") || !strstr(o.error, reason))
        fail_msg("'%s' does not say '%s'", o.error, reason);
}

static void test_whole_paths_pass(void **state)
{
    (void)state;
    damage = WHOLE;
    struct outcome o = measure();
    assert_int_equal(o.n_failed, 0);
    assert_int_equal(o.n_naive + o.n_cached, 4);
    damage = WITHIN_THE_BOUND;
    o = measure();
    assert_int_equal(o.n_failed, 0);
    assert_int_equal(o.n_cached, 2);
}

static void test_wrong_logits_are_refused(void **state)
{
    (void)state;
    damage = WRONG_LOGITS;
    assert_refused("logits of new token 1 of sequence 3");
    damage = WRONG_LOGIT_LATE;
    assert_refused("logits of new token 3 of sequence 3");
    damage = NOT_A_NUMBER;
    assert_refused("logits of new token 1 of sequence 3");
}

static void test_wrong_token_is_refused(void **state)
{
    (void)state;
    damage = WRONG_TOKEN;
    assert_refused("new token 1 of sequence 2");
}

int main(int argc, char **argv)
{
    struct kv_error error;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_paths_pass),
        cmocka_unit_test(test_wrong_logits_are_refused),
        cmocka_unit_test(test_wrong_token_is_refused),
    };
    if (gb_initialize(&argc, argv, &error) != KV_OK)
        return 1;
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
