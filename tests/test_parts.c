/* Where the time of a step goes: the parts of every thread add up to the step, nothing else changes, and what parts.csv
 * says is read back and put into words. */
#include "run_folder.h"
#include "unit.h"

#include "results/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct kv_config shape = {.n_layer = 4,
                                       .n_head = 4,
                                       .n_embd = 256,
                                       .n_inner = 1024,
                                       .vocab_size = 2000,
                                       .n_positions = 64,
                                       .layer_norm_epsilon = 1e-5f};
enum { MOST_BATCH = 8, PROMPT = 24 };

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void prefill(struct kv_session *session)
{
    int32_t tokens[MOST_BATCH * PROMPT];
    for (int i = 0; i < MOST_BATCH * PROMPT; i++)
        tokens[i] = i * 37 % shape.vocab_size;
    kv_session_reset(session);
    OK(kv_session_prefill(session, tokens, PROMPT, NULL, &error));
}

/* Prefill and 20 steps; returns their seconds. */
static double run(struct kv_session *session, int32_t *newest)
{
    const double start = seconds_of(CLOCK_MONOTONIC);
    prefill(session);
    OK(kv_session_greedy(session, newest, &error));
    for (int i = 0; i < 20; i++) {
        OK(kv_session_decode(session, newest, &error));
        OK(kv_session_greedy(session, newest, &error));
    }
    return seconds_of(CLOCK_MONOTONIC) - start;
}

/* What is between two parallel regions is of no part, and a thread may lose its CPU there: the best of some trials. */
static double worst_sum(struct kv_session *session, int n_threads)
{
    struct kv_account accounts[4];
    int32_t newest[MOST_BATCH];
    double best = INFINITY;
    kv_session_account(session, accounts);
    for (int trial = 0; trial < 20 && best > 0.02; trial++) {
        double worst = 0;
        memset(accounts, 0, sizeof accounts);
        const double seconds = run(session, newest);
        for (int rank = 0; rank < n_threads; rank++) {
            double sum = 0;
            for (int part = 0; part < KV_N_PARTS; part++) {
                assert_true(accounts[rank].ns[part] >= 0);
                assert_true(accounts[rank].calls[part] > 0);
                sum += (double)accounts[rank].ns[part] * 1e-9;
            }
            assert_true(sum <= seconds);
            worst = fmax(worst, 1 - sum / seconds);
        }
        best = fmin(best, worst);
    }
    kv_session_account(session, NULL);
    return best;
}

TEST(parts_add_up_to_the_step)
{
    struct kv_model *model = synthesize(&shape, 1, "packed", 1);
    for (int n_threads = 1; n_threads <= 3; n_threads++)
        for (int i = 0; kv_path_choice(i); i++)
            for (int batch = 1; batch <= MOST_BATCH; batch += MOST_BATCH - 1) {
                struct kv_pool *pool = make_pool(n_threads);
                struct kv_session *session = make_session(
                    model, pool, (struct kv_session_options){.path = kv_path_choice(i)->name, .batch = batch});
                const double lacking = worst_sum(session, n_threads);
                printf("%s, batch %d, %d threads: the parts lack %.2f %% of the steps\n", kv_path_choice(i)->name,
                       batch, n_threads, 100 * lacking);
                assert_true(lacking <= 0.02);
                kv_session_free(session);
                kv_pool_free(pool);
            }
    kv_model_free(model);
}

TEST(accounts_change_nothing)
{
    struct kv_model *model = synthesize(&shape, 1, "packed", 1);
    struct kv_pool *pool = make_pool(2);
    struct kv_session *session = make_session(model, pool, (struct kv_session_options){.batch = 2});
    struct kv_account accounts[2] = {0};
    const struct kv_account zero = {0};
    int32_t with[2], without[2];
    float *logits = malloc(2 * (size_t)shape.vocab_size * sizeof *logits);
    run(session, without);
    memcpy(logits, kv_session_logits(session), 2 * (size_t)shape.vocab_size * sizeof *logits);
    kv_session_account(session, accounts);
    run(session, with);
    kv_session_account(session, NULL);
    assert_memory_equal(with, without, sizeof with);
    assert_memory_equal(logits, kv_session_logits(session), 2 * (size_t)shape.vocab_size * sizeof *logits);
    memset(accounts, 0, sizeof accounts);
    run(session, with);
    assert_memory_equal(&accounts[0], &zero, sizeof zero);
    assert_memory_equal(&accounts[1], &zero, sizeof zero);
    free(logits);
    kv_session_free(session);
    kv_pool_free(pool);
    kv_model_free(model);
}

static int compare_doubles(const void *left, const void *right)
{
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

/* CPU time of alternating steps on one thread. The bound has room for a busy machine; the figure is in the log. */
TEST(accounts_cost_little)
{
    enum { STEPS = 401 };
    static double seconds[2][STEPS];
    struct kv_model *model = synthesize(&shape, 1, "packed", 1);
    struct kv_pool *pool = make_pool(1);
    struct kv_session *session = make_session(model, pool, (struct kv_session_options){.batch = 1});
    struct kv_account account = {0};
    const int lengths[] = {PROMPT};
    int32_t newest[MOST_BATCH] = {1};
    prefill(session);
    for (int i = 0; i < 2 * STEPS; i++) {
        OK(kv_session_truncate(session, lengths, &error));
        kv_session_account(session, i % 2 ? &account : NULL);
        const double start = seconds_of(CLOCK_THREAD_CPUTIME_ID);
        OK(kv_session_decode(session, newest, &error));
        seconds[i % 2][i / 2] = seconds_of(CLOCK_THREAD_CPUTIME_ID) - start;
    }
    for (int side = 0; side < 2; side++)
        qsort(seconds[side], STEPS, sizeof seconds[side][0], compare_doubles);
    const double ratio = seconds[1][STEPS / 2] / seconds[0][STEPS / 2];
    printf("a step of %.3f ms takes %+.2f %% with accounts\n", 1e3 * seconds[0][STEPS / 2], 100 * (ratio - 1));
    assert_true(ratio < 1.05);
    kv_session_free(session);
    kv_pool_free(pool);
    kv_model_free(model);
}

/* ---- parts.csv -------------------------------------------------------------------------------------- */

#define HEADER                                                                                                         \
    "run_id,cell,suite,path,batch,repetition,round,phase,part,context_tokens,part_ns,calls,flops,bytes,limit_pct\n"

/* Of repetition r of the cell: the parts' times are r times the given ones, in ns. */
static void put_parts(const char *folder, const char *cell, const double ns[KV_N_PARTS], int n_repetitions)
{
    char *text;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    fputs(HEADER, stream);
    for (int r = 1; r <= n_repetitions; r++)
        for (int part = 0; part < KV_N_PARTS; part++)
            fprintf(stream, "r,%s,parts,cached,1,%d,%d,decode,%s,16,%.0f,1,,,%s\n", cell, r, r,
                    kv_part_name((enum kv_part)part), ns[part] * r, part == KV_PART_MLP ? "50" : "");
    fclose(stream);
    put_file(folder, "parts.csv", text);
    free(text);
}

static const double times[KV_N_PARTS] = {[KV_PART_EMBEDDING] = 0,   [KV_PART_NORMS] = 20,      [KV_PART_QKV] = 179,
                                         [KV_PART_ATTENTION] = 120, [KV_PART_PROJECTION] = 50, [KV_PART_MLP] = 400,
                                         [KV_PART_HEAD] = 195,      [KV_PART_SELECTION] = 6,   [KV_PART_WAITING] = 30};

TEST_WITH(read_and_told, const char *folder, make_folder, remove_folder)
{
    char text[KV_FINDING_SIZE];
    PUT_RUNS(folder, {.suite = "parts", .ttpt_ms = {1, 2, 3}});
    struct kv_results *results = load(folder);
    assert_null(results->cells[0].parts);
    put_parts(folder, results->cells[0].id, times, 3);
    kv_results_free(results);
    results = load(folder);
    const struct kv_cell_parts *parts = results->cells[0].parts;
    assert_non_null(parts);
    assert_int_equal(parts->n[KV_PHASE_DECODE], 3);
    assert_int_equal(parts->n[KV_PHASE_PREFILL], 0);
    for (int part = 0; part < KV_N_PARTS; part++)
        assert_float_equal(parts->ns[KV_PHASE_DECODE][part], 2 * times[part], 1e-9);
    assert_float_equal(parts->step_ns[KV_PHASE_DECODE], 2000, 1e-9);
    assert_float_equal(parts->limit_pct[KV_PHASE_DECODE][KV_PART_MLP], 50, 1e-9);
    assert_true(isnan(parts->limit_pct[KV_PHASE_DECODE][KV_PART_NORMS]));
    kv_finding_text(results, &(struct kv_finding){.kind = KV_FINDING_PARTS, .cell = &results->cells[0]}, text,
                    sizeof text);
    assert_string_equal(text,
                        "parts: of a step of cached at batch 1 MLP takes 40 %, head 20 %, qkv 18 %, attention 12 %, "
                        "projection 5 %, norms 2 %, selection 1 %, waiting 3 %");
    kv_results_free(results);
}

TEST_WITH(damage_is_named, const char *folder, make_folder, remove_folder)
{
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"r,c,parts,cached,1,1,1,later,qkv,16,5,1,,,\n", "\"later\" in column \"phase\", which is prefill or decode"},
        {"r,c,parts,cached,1,1,1,decode,tail,16,5,1,,,\n", "\"tail\" in column \"part\", which is no part of a step"},
        {"r,c,parts,cached,1,1,1,decode,qkv,16,,1,,,\n", "column \"part_ns\", which every part has"},
        {"r,c,parts,cached,1,1,1,decode,qkv,16,-5,1,,,\n", "\"-5\" in column \"part_ns\", which is never negative"},
    };
    PUT_RUNS(folder, {.suite = "parts", .ttpt_ms = {1, 2, 3}});
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct kv_results *results;
        char *text;
        assert_true(asprintf(&text, HEADER "%s", cases[i].row) > 0);
        put_file(folder, "parts.csv", text);
        REFUSED(kv_results_load(&results, folder, &error), KV_ERROR_FORMAT, cases[i].message, "parts.csv line 2");
        free(text);
    }
}
