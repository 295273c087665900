/* What speculation gains and what is foretold of it, of a run whose numbers can be told by heart; the sentences about it,
 * and the prompts that it goes on from. */
#include "run_folder.h"
#include "support.h"

#include "measure/fixture.h"
#include "results/csv.h"
#include "results/findings.h"
#include "results/speculation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 8, DIFFERENT = 3 };

/* Milliseconds a token, drafting and verifying; acceptance below 0: plain steps. */
struct arm {
    const char *speculate;
    double ttpt_ms, acceptance, step_tokens, draft_ms, verify_ms;
};

static void put(const char *folder, const struct arm *arms, size_t n)
{
    struct kv_csv_writer *runs;
    assert_int_equal(kv_result_file_append(&runs, folder, KV_FILE_RUNS, NULL), KV_OK);
    for (size_t i = 0; i < n; i++) {
        struct kv_row row = {0};
        char id[KV_CELL_ID_SIZE];
        kv_row_set_text(&row, KV_COLUMN_SUITE, "speculate");
        kv_row_set_text(&row, KV_COLUMN_PATH, "cached");
        kv_row_set_text(&row, KV_COLUMN_WEIGHTS, "f32");
        kv_row_set_text(&row, KV_COLUMN_CACHE, "contiguous");
        kv_row_set_text(&row, KV_COLUMN_KV, "f32");
        kv_row_set_text(&row, KV_COLUMN_SPECULATE, arms[i].speculate);
        kv_row_set_text(&row, KV_COLUMN_MODEL, "kjv");
        kv_row_set_text(&row, KV_COLUMN_STATUS, "ok");
        kv_row_set_number(&row, KV_COLUMN_THREADS, 2);
        kv_row_set_number(&row, KV_COLUMN_BATCH, 1);
        kv_row_set_number(&row, KV_COLUMN_PROMPT_TOKENS, 64);
        kv_row_set_number(&row, KV_COLUMN_NEW_TOKENS, 129);
        kv_row_set_number(&row, KV_COLUMN_CONTEXT_TOKENS, 192);
        kv_row_set_text(&row, KV_COLUMN_CELL, kv_row_cell_id(&row, id));
        for (int r = 1; r <= ROUNDS; r++) {
            const double machine = 1 + 0.1 * r; /* which is slower in every round, for all arms alike */
            kv_row_set_number(&row, KV_COLUMN_REPETITION, r);
            kv_row_set_number(&row, KV_COLUMN_ROUND, r);
            kv_row_set_number(&row, KV_COLUMN_TTPT_MS, arms[i].ttpt_ms * machine);
            if (arms[i].acceptance >= 0) {
                kv_row_set_number(&row, KV_COLUMN_ACCEPTANCE, arms[i].acceptance);
                kv_row_set_number(&row, KV_COLUMN_STEP_TOKENS, arms[i].step_tokens);
                kv_row_set_number(&row, KV_COLUMN_DRAFT_MS, arms[i].draft_ms * machine);
                kv_row_set_number(&row, KV_COLUMN_VERIFY_MS, arms[i].verify_ms * machine);
            }
            assert_int_equal(kv_row_write(runs, KV_FILE_RUNS, &row, NULL), KV_OK);
        }
    }
    kv_csv_close(runs);
}

/* A half of the drafts stays: 1.5 tokens a step of one, 1.75 of two, 1.9375 of four. */
static const struct arm arms[] = {
    {"none", 2, -1, 0, 0, 0},           {"lookup:2", 1.6, 0.5, 1.4, 0, 2.5},
    {"draft:a:b:1", 2, 0.5, 1.5, 1, 2}, {"draft:a:b:4", 1, 0.5, 1.9, 0.5, 1.5},
    {"draft:other:1", 4, 0, 1, 1, 3},
};
enum { N = sizeof arms / sizeof *arms };

static const struct kv_cell_results *find(const struct kv_results *results, const char *speculate)
{
    for (size_t i = 0; i < results->n_cells; i++)
        if (kv_cell_is(&results->cells[i], KV_COLUMN_SPECULATE, speculate))
            return &results->cells[i];
    fail_msg("no cell %s", speculate);
    return NULL;
}

static void assert_near(double a, double b)
{
    if (!(fabs(a - b) < 1e-9))
        fail_msg("%.12g is not %.12g", a, b);
}

/* Costs and gain are of the same rounds, however slow these were; a lookup drafts for nothing. */
static void test_gain_and_foretold(void **state)
{
    static const double tokens[N] = {NAN, 1.75, 1.5, 1.9375, 1};
    put(*state, arms, N);
    struct kv_results *results = load(*state);
    for (int i = 0; i < N; i++) {
        struct kv_speculated s;
        assert_int_equal(kv_speculated_of(results, find(results, arms[i].speculate), &s, NULL), KV_OK);
        assert_int_equal(s.base == NULL, i == 0);
        if (!s.base) {
            assert_true(isnan(s.gain) && isnan(s.foretold) && isnan(s.alpha));
            continue;
        }
        assert_near(s.alpha, arms[i].acceptance);
        assert_near(s.step_tokens, arms[i].step_tokens);
        assert_near(s.tokens, tokens[i]);
        assert_near(s.verify, arms[i].verify_ms / 2);
        assert_near(s.draft, arms[i].draft_ms / 2);
        assert_near(s.foretold, tokens[i] * 2 / (arms[i].verify_ms + arms[i].draft_ms));
        assert_near(s.gain, 2 / arms[i].ttpt_ms);
        assert_true(s.n_rounds == ROUNDS && s.interval.low <= s.gain && s.gain <= s.interval.high);
    }
    kv_results_free(results);
}

/* Without plain steps at its point a cell is held against nothing. */
static void test_nothing_to_hold_against(void **state)
{
    put(*state, arms + 1, N - 1);
    struct kv_results *results = load(*state);
    struct kv_finding *findings;
    size_t n;
    struct kv_speculated s;
    assert_int_equal(kv_speculated_of(results, find(results, "lookup:2"), &s, NULL), KV_OK);
    assert_null(s.base);
    assert_true(isnan(s.gain) && isnan(s.foretold));
    assert_int_equal(kv_findings_find(results, &findings, &n, NULL), KV_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_not_equal(findings[i].kind, KV_FINDING_SPECULATE);
    free(findings);
    kv_results_free(results);
}

/* Of each that drafts the fastest length, and of no cell a speed besides. */
static void test_sentences(void **state)
{
    static const char *const expected[] = {
        "speculate: at batch 1 lookups of up to 2 tokens stay 50 % of the time: 1.40 tokens a step (1.75 by that), ",
        "speculate: at batch 1 drafts by a:b of up to 4 tokens stay 50 % of the time: 1.90 tokens a step (1.94 by "
        "that), ",
        "speculate: at batch 1 drafts by other of up to 1 token stay 0 % of the time: 1.00 tokens a step (1.00 by "
        "that), ",
    };
    static const char *const ends[] = {
        ", where acceptance and costs foretell 1.40",
        ", where acceptance and costs foretell 1.94; the fastest of 2 lengths",
        ", where acceptance and costs foretell 0.500",
    };
    put(*state, arms, N);
    struct kv_results *results = load(*state);
    struct kv_finding *findings;
    size_t n, n_told = 0;
    char text[KV_FINDING_SIZE];
    assert_int_equal(kv_findings_find(results, &findings, &n, NULL), KV_OK);
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(findings[i].kind, KV_FINDING_SPEED);
        if (findings[i].kind != KV_FINDING_SPECULATE)
            continue;
        assert_true(n_told < DIFFERENT);
        kv_finding_text(results, &findings[i], text, sizeof text);
        assert_memory_equal(text, expected[n_told], strlen(expected[n_told]));
        assert_holds(text, " times as fast as plain steps (95 % interval ");
        assert_string_equal(text + strlen(text) - strlen(ends[n_told]), ends[n_told]);
        n_told++;
    }
    assert_int_equal(n_told, DIFFERENT);
    free(findings);
    kv_results_free(results);
}

/* An interval that holds 1 says so. */
static void test_not_told_apart(void **state)
{
    struct kv_finding finding = {.kind = KV_FINDING_SPECULATE, .value = 1.1, .value_2 = 1.2, .n = 1};
    char text[KV_FINDING_SIZE];
    put(*state, arms, N);
    struct kv_results *results = load(*state);
    finding.cell = find(results, "lookup:2");
    finding.interval = (struct kv_stats_interval){0.9, 1.5};
    assert_holds(kv_finding_text(results, &finding, text, sizeof text), "), not told apart from them, where ");
    finding.interval = (struct kv_stats_interval){1.05, 1.5};
    assert_null(strstr(kv_finding_text(results, &finding, text, sizeof text), "told apart"));
    kv_results_free(results);
}

/* Pieces of the text, eight prompts apart whatever the batch, and from its beginning again at its end; the
 * benchmark's prompt where the text is of another model, or is not asked for. */
static void test_prompts(void **state)
{
    static const int32_t own[] = {101, 7}, text[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    static const int32_t expected[3][4] = {{0, 1, 2, 3}, {2, 3, 4, 5}, {4, 5, 6, 7}};
    static const int32_t wrapped[] = {6, 7, 8, 9, 0, 1, 2}, benchmark[] = {1, 7, 1, 7};
    const struct kv_config config = {.vocab_size = 100};
    int model, other;
    struct kv_run_settings settings = {.config = &config,
                                       .load_context = &model,
                                       .text = {.load_context = &model, .ids = text, .n_ids = 10},
                                       .prompt = own,
                                       .n_prompt = 2};
    struct kv_point point = {.batch = 3, .n_prompt = 4, .of_text = true};
    int32_t prompt[7];
    (void)state;
    for (int b = 0; b < 3; b++) {
        kv_generation_prompt(&settings, &point, b, prompt);
        assert_memory_equal(prompt, expected[b], sizeof expected[b]);
    }
    kv_generation_prompt(&settings, &(struct kv_point){.batch = 2, .n_prompt = 7, .of_text = true}, 1, prompt);
    assert_memory_equal(prompt, wrapped, sizeof wrapped);
    settings.text.load_context = &other;
    kv_generation_prompt(&settings, &point, 1, prompt);
    assert_memory_equal(prompt, benchmark, sizeof benchmark);
    settings.text.load_context = &model;
    point.of_text = false;
    kv_generation_prompt(&settings, &point, 1, prompt);
    assert_memory_equal(prompt, benchmark, sizeof benchmark);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_gain_and_foretold), TEST(test_nothing_to_hold_against),
        TEST(test_sentences),         TEST(test_not_told_apart),
        TEST(test_prompts),
    };
    return cmocka_run_group_tests_name("speculated", tests, NULL, NULL);
}
