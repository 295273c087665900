/* The equality gate: a path that is broken on purpose is not timed, says why, and does not stop the others. */
#include "support.h"

#include "gbench/gbench.h"
#include "machine/pass.h"
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

kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                                   struct kv_limits *limits, struct kv_error *error);

kv_status __wrap_kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error);

/* A machine without the memory for them: limits and probes stay unknown, and the test is quick. */
kv_status __wrap_kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error)
{
    (void)pool, (void)block, (void)error;
    return KV_ERROR_MEMORY;
}

kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                                   struct kv_limits *limits, struct kv_error *error)
{
    (void)pool, (void)isa, (void)buffer, (void)limits, (void)error;
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
    char gate[16];         /* of the cached path's last row */
    double difference;
};

static void read_outcome(const char *folder, struct outcome *out)
{
    static const enum kv_column wanted[] = {KV_COLUMN_PATH,    KV_COLUMN_STATUS, KV_COLUMN_ERROR,
                                            KV_COLUMN_TTFT_MS, KV_COLUMN_GATE,   KV_COLUMN_LOGIT_DIFFERENCE};
    enum { PATH, STATUS, MESSAGE, TTFT, GATE, DIFFERENCE, N };
    char file[128];
    struct kv_error error;
    struct kv_csv_table *rows;
    size_t at[N];
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    assert_ok(kv_csv_read(&rows, file, &error), error);
    for (int i = 0; i < N; i++)
        assert_ok(kv_csv_column(rows, kv_column_info(wanted[i])->name, &at[i], &error), error);
    for (size_t row = 0; row < kv_csv_rows(rows); row++) {
        const bool naive = strcmp(kv_csv_text(rows, row, at[PATH]), "naive") == 0;
        const bool ok = strcmp(kv_csv_text(rows, row, at[STATUS]), "ok") == 0;
        out->n_naive += naive && ok;
        out->n_cached += !naive && ok;
        out->timed |= !ok && kv_csv_text(rows, row, at[TTFT])[0];
        if (!ok)
            snprintf(out->error, sizeof out->error, "%s", kv_csv_text(rows, row, at[MESSAGE]));
        if (naive)
            continue;
        snprintf(out->gate, sizeof out->gate, "%s", kv_csv_text(rows, row, at[GATE]));
        assert_ok(kv_csv_number(rows, row, at[DIFFERENCE], &out->difference, &error), error);
    }
    kv_csv_free(rows);
}

static void remove_run(const char *folder)
{
    static const char *const names[] = {"runs.csv", "tokens.csv", "limits.csv", "datapackage.json"};
    char file[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", folder, names[i]);
        unlink(file);
    }
    assert_int_equal(rmdir(folder), 0);
}

static kv_status load(void *context, const char *weights, const char *gemm, struct kv_pool *pool,
                      struct kv_model **model, struct kv_error *error)
{
    return kv_model_load(model, context, weights, gemm, pool, error);
}

static const char *cache; /* of both paths; NULL: the first */

/* With those rules in place of the built-in ones, when there are any. */
static struct outcome measure(const struct kv_gate_rule *rules, int n_rules)
{
    static const int batches[] = {BATCH};
    const int32_t prompt[] = {3, 1, 4, 1, 5, 9};
    char folder[] = "/tmp/kvbench-gate-XXXXXX", checkpoint[600], file[640];
    struct kv_error error;
    struct kv_config config;
    struct kv_plan plan = {0};
    struct kv_run run;
    struct outcome outcome = {0};
    assert_non_null(mkdtemp(folder));
    snprintf(checkpoint, sizeof checkpoint, "%s/reference/tiny-f32", KV_DATA_DIR);
    snprintf(file, sizeof file, "%s/config.json", checkpoint);
    assert_ok(kv_config_load(file, &config, &error), error);
    assert_int_equal(config.vocab_size, V);
    struct kv_sweep sweep = {
        .batches = batches,
        .n_batches = 1,
        .n_new = N_NEW,
        .repetitions = 2,
        .config = &config,
        .default_prompt = N_PROMPT,
        .default_threads = 1,
    };
    const struct kv_run_settings settings = {
        .run_id = "test",
        .folder = folder,
        .model_name = "tiny",
        .config = &config,
        .load = load,
        .load_context = checkpoint,
        .default_threads = 1,
        .prompt = prompt,
        .n_prompt = N_PROMPT,
        .gate_rules = rules,
        .n_gate_rules = n_rules,
    };
    for (int i = 0; cache && kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == KV_COLUMN_CACHE)
            sweep.axes[i] = (struct kv_axis_values){.names = &cache, .n = 1};
    assert_string_equal(kv_suite_at(0)->choice.name, "batch");
    assert_ok(kv_suite_at(0)->plan(kv_suite_at(0), &sweep, &plan, &error), error);
    assert_ok(kv_run_open(&run, &settings, &plan, &error), error);
    assert_ok(kv_run_measure(&run, &error), error);
    outcome.n_failed = run.n_failed[KV_FILE_RUNS];
    kv_run_free(&run);
    kv_plan_free(&plan);
    read_outcome(folder, &outcome);
    remove_run(folder);
    return outcome;
}

static void assert_refused(const char *reason)
{
    const struct outcome o = measure(NULL, 0);
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
    struct outcome o = measure(NULL, 0);
    assert_int_equal(o.n_failed, 0);
    assert_int_equal(o.n_naive + o.n_cached, 4);
    assert_string_equal(o.gate, "exact");
    assert_true(o.difference >= 0 && o.difference < 1e-6);
    damage = WITHIN_THE_BOUND;
    o = measure(NULL, 0);
    assert_int_equal(o.n_failed, 0);
    assert_int_equal(o.n_cached, 2);
    assert_true(o.difference > 1e-6 && o.difference < KV_GATE_BOUND);
}

/* What a cache drops the reference drops, too: here half of the prompt. */
static void test_caches_that_drop_are_held_against_their_own(void **state)
{
    static const char *const caches[] = {"window:1+2", "random:3@1", "heavy:3"};
    (void)state;
    damage = WHOLE;
    for (size_t i = 0; i < COUNT(caches); i++) {
        cache = caches[i];
        const struct outcome o = measure(NULL, 0);
        assert_int_equal(o.n_failed, 0);
        assert_int_equal(o.n_naive + o.n_cached, 4);
        assert_string_equal(o.gate, "exact");
        assert_true(o.difference >= 0 && o.difference < 1e-6);
    }
    damage = WRONG_LOGITS;
    assert_refused("logits of new token 1 of sequence 3");
    cache = NULL;
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

/* What is lossy by design is held to its own bound, may select another token, and says how far off it was. */
static void test_lossy_arms_are_held_to_their_bound(void **state)
{
    const struct kv_gate_rule wide = {.kv = "f32", .bound = 0.2}, narrow = {.kv = "f32", .bound = 1e-5};
    const struct kv_gate_rule of_another = {.weights = "int4", .bound = 0.2};
    (void)state;
    damage = WRONG_LOGITS;
    struct outcome o = measure(&wide, 1);
    assert_int_equal(o.n_failed, 0);
    assert_int_equal(o.n_cached, 2);
    assert_string_equal(o.gate, "lossy");
    assert_true(o.difference > KV_GATE_BOUND && o.difference < 0.2);
    o = measure(&narrow, 1);
    assert_int_equal(o.n_failed, 1);
    assert_int_equal(o.n_cached, 0);
    assert_string_equal(o.gate, "lossy");
    assert_true(o.difference > KV_GATE_BOUND);
    assert_non_null(strstr(o.error, "are off the float32 reference's by"));
    o = measure(&of_another, 1);
    assert_string_equal(o.gate, "exact");
    assert_int_equal(o.n_cached, 0);
    damage = WRONG_TOKEN;
    o = measure(&wide, 1);
    assert_int_equal(o.n_cached, 2);
    damage = NOT_A_NUMBER;
    o = measure(&wide, 1);
    assert_int_equal(o.n_cached, 0);
}

int main(int argc, char **argv)
{
    struct kv_error error;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_paths_pass),
        cmocka_unit_test(test_caches_that_drop_are_held_against_their_own),
        cmocka_unit_test(test_wrong_logits_are_refused),
        cmocka_unit_test(test_wrong_token_is_refused),
        cmocka_unit_test(test_lossy_arms_are_held_to_their_bound),
    };
    if (gb_initialize(&argc, argv, &error) != KV_OK)
        return 1;
    return cmocka_run_group_tests_name("gate", tests, NULL, NULL);
}
