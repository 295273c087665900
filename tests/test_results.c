/* A run's folder as results: cells, samples, tokens, damaged files; the one rule of significance. */
#include "run_folder.h"

#include "results/csv.h"
#include "results/findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Cells and samples -------------------------------------------------------------------------------------- */

static void test_rows_of_one_id_are_one_sample(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {4, 2, 3}, .live_bytes = 512}, {.path = "naive", .ttpt_ms = {8}},
             {.batch = 2, .status = "skipped", .error = "too large"});
    struct kv_results *results = load(*state);
    assert_int_equal(results->n_cells, 3);
    const struct kv_cell_results *cell = &results->cells[0];
    assert_string_equal(cell->id, "batch/cached/w-f32/contiguous/kv-f32/openblas/avx2/t2/b1/p6/n11/x16");
    assert_string_equal(results->cells[1].id, "batch/naive/w-f32/openblas/avx2/t2/b1/p6/n11/x16");
    assert_int_equal(cell->n, 3);
    const struct kv_sample *ttpt = &cell->figures[KV_COLUMN_TTPT_MS];
    assert_int_equal(ttpt->n, 3);
    assert_true(ttpt->values[0] == 2 && ttpt->values[1] == 3 && ttpt->values[2] == 4);
    assert_true(ttpt->rounds[0].value == 4 && ttpt->rounds[1].value == 2 && ttpt->rounds[2].round == 3);
    assert_true(ttpt->median == 3 && ttpt->mad == 1 && ttpt->interval.low == 2 && ttpt->interval.high == 4);
    assert_true(fabs(ttpt->cv - 1.0 / 3) < 1e-12);
    assert_true(cell->figures[KV_COLUMN_KV_LIVE_BYTES].median == 512);
    assert_int_equal(cell->figures[KV_COLUMN_TTPT_P99_MS].n, 0);
    assert_true(isnan(cell->figures[KV_COLUMN_TTPT_P99_MS].median));
    assert_true(isnan(results->cells[1].figures[KV_COLUMN_TTPT_MS].interval.low));
    assert_int_equal(results->cells[2].status, KV_CELL_SKIPPED);
    assert_string_equal(results->cells[2].error, "too large");
    assert_string_equal(results->run_id, "R1");
    kv_results_free(results);
}

/* What failed and was then measured is ok; what was measured and then failed is not, and keeps what it has. */
static void test_the_last_row_tells_the_status(void **state)
{
    PUT_RUNS(*state, {.status = "failed", .error = "no memory"}, {.ttpt_ms = {1, 2}},
             {.batch = 2, .ttpt_ms = {3}, .status = "failed", .error = "no memory"});
    struct kv_results *results = load(*state);
    assert_int_equal(results->n_cells, 2);
    assert_int_equal(results->cells[0].status, KV_CELL_OK);
    assert_int_equal(results->cells[0].n_failed, 1);
    assert_int_equal(results->cells[1].status, KV_CELL_FAILED);
    assert_int_equal(results->cells[1].n, 1);
    kv_results_free(results);
}

/* kvbench 0.1 wrote no ids: its rows mean what they meant. */
static void test_files_of_earlier_versions(void **state)
{
    put_file(*state, "runs.csv",
             "run_id,suite,path,model,weights,gemm,isa,threads,batch,prompt_tokens,new_tokens,context_tokens,"
             "repetition,status,cold_ttft_ms,ttft_ms,ttpt_ms,ttpt_p50_ms,ttpt_p95_ms,ttpt_p99_ms,e2e_ms,prefill_tok_s,"
             "decode_tok_s,output_tok_s,kv_live_bytes,kv_reserved_bytes,rss_peak_bytes,flops,bytes,limit_ms,limit_pct,"
             "error\n"
             "R,batch,cached,gpt2,synthetic:1,packed,avx2,2,1,6,11,16,1,ok,,10,5,,,,,,,,,,,,,,,\n"
             "R,batch,naive,gpt2,synthetic:1,packed,avx2,2,1,6,11,16,1,ok,,10,9,,,,,,,,,,,,,,,\n"
             "R,batch,cached,gpt2,synthetic:1,packed,avx2,2,1,6,11,16,2,ok,,10,6,,,,,,,,,,,,,,,\n");
    put_file(*state, "tokens.csv",
             "run_id,suite,path,batch,repetition,token,context_tokens,latency_ns\nR,batch,cached,1,1,1,6,1000\n");
    put_file(*state, "kernels.csv",
             "run_id,kernel,shape,gemm,isa,threads,rows,n,k,context_tokens,repetition,status,seconds,gflops,gbytes_s,"
             "limit_pct,error\nR,matmul,c_fc,packed,avx2,2,4,3072,768,,1,ok,0.001,3,4,50,\n"
             "R,attention,decode,,avx2,2,1,,,64,1,ok,0.001,3,4,,\n");
    struct kv_results *results = load(*state);
    assert_int_equal(results->n_cells, 4);
    assert_string_equal(results->cells[0].id, "batch/cached/w-f32/contiguous/kv-f32/packed/avx2/t2/b1/p6/n11/x16");
    assert_string_equal(results->cells[0].texts[KV_COLUMN_WEIGHTS_SOURCE], "synthetic:1");
    assert_int_equal(results->cells[0].n, 2);
    assert_string_equal(results->cells[1].texts[KV_COLUMN_CACHE], "");
    assert_string_equal(results->cells[2].id, "kernels/matmul/c_fc/w-f32/packed/avx2/t2/m4");
    assert_string_equal(results->cells[3].id, "kernels/attention/decode/contiguous/kv-f32/avx2/t2/x64/m1");
    size_t n;
    assert_null(kv_results_tokens(results, &results->cells[0], &n));
    kv_results_free(results);
}

static void test_places(void **state)
{
    char file[512];
    struct kv_error error = {""};
    struct kv_results *results;
    assert_int_equal(kv_results_load(&results, *state, &error), KV_ERROR_IO);
    assert_holds(error.message, "holds no runs.csv and no kernels.csv");
    PUT_RUNS(*state, {.ttpt_ms = {1}});
    put_file(*state, "context.json", "{\"machine\": {\"cpu\": {\"name\": \"A\\u001bB\"}}, \"run\": {\"threads\": 3}}");
    put_file(*state, "limits.csv",
             "run_id,moment,threads,isa,read_bytes_per_s,read_bytes_per_s_median,fma_flop_per_s,fma_flop_per_s_median\n"
             "R,start,2,avx2,4e9,3e9,5e10,4e10\nR,end,2,avx2,3e9,3e9,6e10,4e10\n");
    snprintf(file, sizeof file, "%s/runs.csv", (char *)*state);
    const char *const places[] = {*state, file};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(kv_results_load(&results, places[i], &error), KV_OK);
        assert_string_equal(results->file, file);
        assert_string_equal(results->context->cpu, "A?B");
        assert_int_equal(results->context->threads, 3);
        assert_true(kv_results_bandwidth(results, 2) == 4e9 && kv_results_peak(results, 2) == 6e10);
        assert_true(isnan(kv_results_peak(results, 1)));
        kv_results_free(results);
    }
    put_file(*state, "context.json", "{");
    results = load(*state);
    assert_string_not_equal(results->context->problem, "");
    kv_results_free(results);
    assert_int_equal(kv_results_load(&results, "/nowhere", &error), KV_ERROR_IO);
    assert_null(results);
}

/* ---- Tokens ------------------------------------------------------------------------------------------------------ */

static void test_tokens_and_their_growth(void **state)
{
    const char *id = "trace/cached/w-f32/contiguous/kv-f32/openblas/avx2/t2/b1/p6/n9/x14";
    char rows[4096] = "run_id,cell,suite,path,batch,repetition,token,context_tokens,latency_ns,flops,bytes,limit_ns\n";
    PUT_RUNS(*state, {.suite = "trace", .new_tokens = 9, .ttpt_ms = {1, 1}});
    /* steps 2..9 take 1000, 1100 .. 1700 ns; of repetition 2, which was killed once, twice that; 3 is not whole */
    for (int repetition = 2, again = 0; repetition > 0; repetition -= again, again = 1)
        for (int token = 1; token <= 9; token++)
            snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "R1,%s,trace,cached,1,%d,%d,%d,%d,1,2,%d\n", id,
                     repetition, token, 5 + token, again * repetition * (800 + 100 * token) + 1, token);
    snprintf(rows + strlen(rows), sizeof rows - strlen(rows), "R1,%s,trace,cached,1,3,1,6,7,,,\n", id);
    strcat(rows, "R1,of/no/cell,trace,cached,1,1,1,6,7,,,\n");
    put_file(*state, "tokens.csv", rows);
    struct kv_results *results = load(*state);
    size_t n;
    const struct kv_token_row *tokens = kv_results_tokens(results, &results->cells[0], &n);
    assert_int_equal(n, 19);
    for (int i = 0; i < 18; i++) {
        assert_int_equal(tokens[i].repetition, i / 9 + 1);
        assert_int_equal(tokens[i].token, i % 9 + 1);
        assert_int_equal(tokens[i].context_tokens, i % 9 + 6);
        assert_true(tokens[i].latency_ns == (i / 9 + 1) * (900 + 100 * (i % 9)) + 1);
    }
    assert_true(tokens[3].limit_ns == 4 && isnan(tokens[18].limit_ns));
    const struct kv_cell_results *cell = &results->cells[0];
    assert_int_equal(cell->token_figures[KV_TOKEN_LATE_NS].n, 2);
    assert_true(cell->token_figures[KV_TOKEN_EARLY_NS].rounds[1].value == 2101);
    assert_true(cell->token_figures[KV_TOKEN_LATE_NS].rounds[1].value == 3301);
    assert_true(fabs(cell->token_figures[KV_TOKEN_SLOPE_US].values[0] - 0.1) < 1e-12);
    assert_true(fabs(cell->token_figures[KV_TOKEN_SLOPE_US].values[1] - 0.2) < 1e-12);
    kv_results_free(results);
}

/* ---- Damaged files ----------------------------------------------------------------------------------------------- */

static void test_damage_is_named(void **state)
{
    static const struct {
        const char *row, *message;
    } cases[] = {
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,x,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"x\" where column \"batch\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1.5,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"1.5\" in column \"batch\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,0,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"0\" in column \"batch\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,1,-2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"-2\" in column \"ttpt_ms\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,0,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"0\" in column \"ttft_ms\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,1e308,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"1e308\" in column \"ttft_ms\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,fine,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 2 has \"fine\" in column \"status\", which is ok, failed, skipped or stalled"},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "column \"repetition\""},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"
         "R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,2,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"
         "R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 4 repeats repetition 1 of a/b"},
        {"R,a/b,s,,cached,m,f32,,,,,,g,i,2,0,,,1,6,11,,,16,1,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,\n"
         "R,a/b,s,,cached,m,f32,,,,,,g,i,3,0,,,1,6,11,,,16,2,1,1,5,ok,,,,,1,2,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,,",
         "line 3 has \"3\" in column \"threads\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[8192];
        struct kv_error error = {""};
        struct kv_results *results;
        snprintf(text, sizeof text, "%s%s\n", runs_header(), cases[i].row);
        put_file(*state, "runs.csv", text);
        assert_int_equal(kv_results_load(&results, *state, &error), KV_ERROR_FORMAT);
        assert_null(results);
        assert_holds(error.message, cases[i].message);
        assert_holds(error.message, "runs.csv");
    }
    struct kv_error error = {""};
    struct kv_results *results;
    put_file(*state, "runs.csv", "run_id,suite\n");
    assert_int_equal(kv_results_load(&results, *state, &error), KV_ERROR_FORMAT);
    assert_holds(error.message, "has no column");
}

/* ---- Questions --------------------------------------------------------------------------------------------------- */

static void test_an_axis_that_does_not_apply_agrees_with_all(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {1}}, {.path = "naive", .ttpt_ms = {1}}, {.batch = 2, .ttpt_ms = {1}});
    struct kv_results *results = load(*state);
    const struct kv_cell_results *cells = results->cells;
    const kv_column_set all = kv_key_columns(), others = all & ~KV_BIT(KV_COLUMN_PATH);
    assert_false(kv_cells_agree(&cells[0], &cells[1], all));
    assert_true(kv_cells_agree(&cells[0], &cells[1], others)); /* one has a cache, the other has none */
    assert_false(kv_cells_agree(&cells[0], &cells[2], others));
    struct kv_matcher *matcher;
    const struct kv_cell_results *const list[] = {&cells[2], &cells[1], &cells[0]};
    assert_int_equal(kv_matcher_create(&matcher, list, 3, others, kv_lacking_axes(results), NULL), KV_OK);
    size_t at = 0;
    assert_ptr_equal(kv_matcher_next(matcher, &cells[0], &at), &cells[1]);
    assert_ptr_equal(kv_matcher_next(matcher, &cells[0], &at), &cells[0]);
    assert_null(kv_matcher_next(matcher, &cells[0], &at));
    kv_matcher_free(matcher);
    assert_true(kv_column_varies(results, NULL, KV_COLUMN_BATCH));
    assert_false(kv_column_varies(results, "batch", KV_COLUMN_CACHE));
    kv_results_free(results);
}

/* ---- Rounds ------------------------------------------------------------------------------------------------------ */

/* What the machine stalled is no sample, and a cell is what its other rows say. */
static void test_stalled_repetitions(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {3, 4}, .status = "stalled", .error = "the machine stood still"},
             {.batch = 2, .status = "stalled", .error = "the machine stood still"});
    struct kv_results *results = load(*state);
    assert_int_equal(results->cells[0].n, 2);
    assert_int_equal(results->cells[0].n_stalled, 1);
    assert_int_equal(results->cells[0].status, KV_CELL_OK);
    assert_int_equal(results->cells[1].status, KV_CELL_STALLED);
    assert_string_equal(results->cells[1].error, "the machine stood still");
    kv_results_free(results);
}

/* A share of the limit above 100 % is a fault of the probes, whether the file says so or not. */
static void test_no_share_above_the_limit(void **state)
{
    PUT_RUNS(*state, {.ttpt_ms = {2, 0.8, 1.25}, .rounds = {1, 2, 5}, .probe_read = {9e9, 8e9, 7e9}});
    struct kv_results *results = load(*state);
    const struct kv_cell_results *cell = &results->cells[0];
    const struct kv_sample *share = &cell->figures[KV_COLUMN_LIMIT_PCT];
    assert_int_equal(cell->n_faults, 1);
    assert_true(share->n == 2 && share->values[0] == 50 && share->values[1] == 80);
    assert_true(share->rounds[0].round == 1 && share->rounds[1].round == 5);
    assert_true(cell->figures[KV_COLUMN_PROBE_READ_BYTES_PER_S].median == 8e9);
    assert_int_equal(results->n_probed, 3);
    assert_true(results->probed[2].read_bytes_per_s == 7e9);
    kv_results_free(results);
}

static void test_the_machine_is_graded(void **state)
{
    static const struct {
        double probe_read[MAX_VALUES];
        enum kv_grade grade;
        const char *line;
    } cases[] = {
        {{9e9, 9e9, 9e9, 9e9, 9e9}, KV_GRADE_UNKNOWN, "not graded: fewer than 6 repetitions with probes"},
        {{9e9, 9.1e9, 9e9, 9.2e9, 9e9, 8.9e9, 9e9},
         KV_GRADE_STEADY,
         "steady: reading varied by 2 %, arithmetic by 0 % (7 repetitions): ratios can be trusted, and so can times"},
        {{9e9, 9.1e9, 9e9, 9.2e9, 12e9, 12.5e9, 12e9},
         KV_GRADE_MOVING,
         "moving: reading varied by 36 %, arithmetic by 0 % (7 repetitions): ratios can be trusted; times and shares "
         "of "
         "the limit hold for that hour only: measure them again when nothing else"},
        {{9e9, 6e9, 9e9, 5e9, 12e9, 8e9, 12e9}, KV_GRADE_UNUSABLE, "unusable: reading varied by "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result result = {.ttpt_ms = {0}};
        memcpy(result.probe_read, cases[i].probe_read, sizeof result.probe_read);
        for (int k = 0; k < MAX_VALUES && result.probe_read[k] > 0; k++)
            result.ttpt_ms[k] = 5;
        put_runs(*state, &result, 1);
        struct kv_results *results = load(*state);
        const struct kv_steadiness machine = kv_steadiness(results);
        assert_int_equal(machine.grade, cases[i].grade);
        assert_holds(machine.line, cases[i].line);
        kv_results_free(results);
    }
}

/* ---- Judging ----------------------------------------------------------------------------------------------------- */

static struct kv_judgement judge(const struct kv_results *results, enum kv_column column)
{
    struct kv_judgement judgement;
    assert_int_equal(kv_judge(&results->cells[0], &results->cells[1], column, KV_JUDGE_THRESHOLD, &judgement, NULL),
                     KV_OK);
    return judgement;
}

static void test_verdicts(void **state)
{
    static const struct {
        double base[MAX_VALUES], other[MAX_VALUES];
        enum kv_effect_verdict verdict; /* of other, by its time */
    } cases[] = {
        {{10, 11, 12, 13, 14, 15}, {5, 6, 7, 8, 8.5, 9}, KV_EFFECT_FASTER},
        {{5, 6, 7, 8, 8.5, 9}, {10, 11, 12, 13, 14, 15}, KV_EFFECT_SLOWER},
        {{5, 6, 7, 8, 5, 6}, {7.5, 5.5, 9.5, 6.5, 4, 7}, KV_EFFECT_UNDECIDED},
        {{100, 100.1, 100.2, 100.3, 100, 100}, {101, 101.1, 101.2, 101.3, 101, 101}, KV_EFFECT_EQUAL},
        {{5, 6, 7, 8, 9}, {10, 11, 12, 13, 14}, KV_EFFECT_UNDECIDED}, /* five rounds are too few */
        /* the machine halves its speed half-way: within each round other takes 10 % longer */
        {{10, 10.1, 9.9, 20, 20.1, 19.9}, {11, 11.2, 10.8, 22, 22.2, 21.9}, KV_EFFECT_SLOWER},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct result results[2] = {{.path = "naive"}, {.path = "cached"}};
        memcpy(results[0].ttpt_ms, cases[i].base, sizeof cases[i].base);
        memcpy(results[1].ttpt_ms, cases[i].other, sizeof cases[i].other);
        put_runs(*state, results, 2);
        struct kv_results *loaded = load(*state);
        const struct kv_judgement time = judge(loaded, KV_COLUMN_TTPT_MS), rate = judge(loaded, KV_COLUMN_DECODE_TOK_S);
        assert_int_equal(time.verdict, cases[i].verdict);
        assert_int_equal(rate.verdict, cases[i].verdict);
        assert_true(fabs(time.speed / rate.speed - 1) < 1e-7);
        kv_results_free(loaded);
    }
}

/* Only rounds that have both are compared, and what is missing is no pair with its neighbour. */
static void test_a_judgement_in_full(void **state)
{
    PUT_RUNS(*state, {.path = "naive", .ttpt_ms = {10, 11, 12, 13, 14, 15, 99}, .rounds = {1, 2, 3, 4, 6, 7, 8}},
             {.ttpt_ms = {5, 5.5, 6, 77, 7, 7.5}, .rounds = {1, 2, 3, 5, 6, 7}});
    struct kv_results *results = load(*state);
    const struct kv_judgement j = judge(results, KV_COLUMN_TTPT_MS);
    assert_true(j.n_base == 7 && j.n_other == 6 && j.n_rounds == 5);
    assert_true(j.median_base == 13 && j.median_other == 6.5 && j.ratio == 0.5 && j.speed == 2);
    assert_int_equal(j.verdict, KV_EFFECT_UNDECIDED);
    assert_true(isnan(j.interval.low) && j.rounds_needed == 6);
    assert_true(isnan(judge(results, KV_COLUMN_TTPT_P99_MS).ratio));
    assert_int_equal(judge(results, KV_COLUMN_TTPT_P99_MS).verdict, KV_EFFECT_UNDECIDED);
    kv_results_free(results);
}

/* Rounds of different speed, each with a slope of 10 us a token: what is slow as a whole says nothing of the slope. */
static void test_trends(void **state)
{
    PUT_RUNS(*state, {.suite = "depth", .prompt_tokens = 90, .ttpt_ms = {21, 31, 16, 11, 41, 26}},
             {.suite = "depth", .prompt_tokens = 190, .ttpt_ms = {22, 32, 17, 12, 42, 27}},
             {.suite = "depth", .prompt_tokens = 390, .ttpt_ms = {24, 34, 19, 14, 44, 29, 90}});
    struct kv_results *results = load(*state);
    const struct kv_cell_results *cells[] = {&results->cells[1], &results->cells[0], &results->cells[2]};
    struct kv_trend trend;
    assert_int_equal(kv_results_trend(cells, 3, KV_COLUMN_TTPT_MS, &trend, NULL, NULL), KV_OK);
    assert_int_equal(trend.n, 6); /* the seventh has one context */
    assert_true(fabs(trend.slope - 10) < 1e-9 && fabs(trend.interval.low - 10) < 1e-9);
    assert_ptr_equal(trend.first, cells[1]);
    assert_ptr_equal(trend.last, cells[2]);
    assert_int_equal(kv_results_trend(cells, 1, KV_COLUMN_TTPT_MS, &trend, NULL, NULL), KV_OK);
    assert_true(isnan(trend.slope) && trend.n == 0);
    kv_results_free(results);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_rows_of_one_id_are_one_sample),
        TEST(test_the_last_row_tells_the_status),
        TEST(test_files_of_earlier_versions),
        TEST(test_places),
        TEST(test_tokens_and_their_growth),
        TEST(test_damage_is_named),
        TEST(test_an_axis_that_does_not_apply_agrees_with_all),
        TEST(test_verdicts),
        TEST(test_a_judgement_in_full),
        TEST(test_trends),
        TEST(test_stalled_repetitions),
        TEST(test_no_share_above_the_limit),
        TEST(test_the_machine_is_graded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
