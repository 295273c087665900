/* What variants gain and cost, of a run whose numbers can be told by heart, and the sentences about them. */
#include "run_folder.h"

#include "results/csv.h"
#include "results/findings.h"
#include "results/precision.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROUNDS = 8 };

/* A variant at batch 8 and 1,024 tokens, its time per token, bytes of a step, and its divergence. */
struct variant {
    const char *weights, *kv;
    double ttpt_ms, bytes;
    double divergence; /* below 0: not measured */
};

static void put(const char *folder, const struct variant *variants, size_t n)
{
    struct kv_csv_writer *runs, *quality;
    assert_int_equal(kv_result_file_append(&runs, folder, KV_FILE_RUNS, NULL), KV_OK);
    assert_int_equal(kv_result_file_append(&quality, folder, KV_FILE_QUALITY, NULL), KV_OK);
    for (size_t i = 0; i < n; i++) {
        struct kv_row row = {0};
        char id[KV_CELL_ID_SIZE];
        kv_row_set_text(&row, KV_COLUMN_SUITE, "precision");
        kv_row_set_text(&row, KV_COLUMN_PATH, "cached");
        kv_row_set_text(&row, KV_COLUMN_WEIGHTS, variants[i].weights);
        kv_row_set_text(&row, KV_COLUMN_CACHE, "contiguous");
        kv_row_set_text(&row, KV_COLUMN_KV, variants[i].kv);
        kv_row_set_text(&row, KV_COLUMN_MODEL, "gpt2");
        kv_row_set_text(&row, KV_COLUMN_STATUS, "ok");
        kv_row_set_number(&row, KV_COLUMN_THREADS, 2);
        kv_row_set_number(&row, KV_COLUMN_BATCH, 8);
        kv_row_set_number(&row, KV_COLUMN_PROMPT_TOKENS, 1020);
        kv_row_set_number(&row, KV_COLUMN_NEW_TOKENS, 5);
        kv_row_set_number(&row, KV_COLUMN_CONTEXT_TOKENS, 1024);
        kv_row_set_number(&row, KV_COLUMN_BYTES, variants[i].bytes);
        kv_row_set_number(&row, KV_COLUMN_KV_LIVE_BYTES, 8 * 1024 * 100);
        kv_row_set_text(&row, KV_COLUMN_CELL, kv_row_cell_id(&row, id));
        for (int r = 1; r <= ROUNDS; r++) {
            kv_row_set_number(&row, KV_COLUMN_REPETITION, r);
            kv_row_set_number(&row, KV_COLUMN_ROUND, r);
            kv_row_set_number(&row, KV_COLUMN_TTPT_MS, variants[i].ttpt_ms * (1 + 0.1 * r));
            assert_int_equal(kv_row_write(runs, KV_FILE_RUNS, &row, NULL), KV_OK);
        }
        for (int context = 64; variants[i].divergence >= 0 && context <= 2048; context *= 2) {
            struct kv_row cost = row;
            cost.known[KV_COLUMN_BATCH] = cost.known[KV_COLUMN_PROMPT_TOKENS] = cost.known[KV_COLUMN_NEW_TOKENS] =
                false;
            kv_row_set_text(&cost, KV_COLUMN_SUITE, "quality");
            kv_row_set_text(&cost, KV_COLUMN_MODEL, "kjv");
            kv_row_set_text(&cost, KV_COLUMN_WEIGHTS_SOURCE, "BF16");
            kv_row_set_number(&cost, KV_COLUMN_CONTEXT_TOKENS, context);
            kv_row_set_number(&cost, KV_COLUMN_REPETITION, 1);
            kv_row_set_number(&cost, KV_COLUMN_DIVERGENCE, variants[i].divergence * context / 1024);
            kv_row_set_text(&cost, KV_COLUMN_CELL, kv_row_cell_id(&cost, id));
            assert_int_equal(kv_row_write(quality, KV_FILE_QUALITY, &cost, NULL), KV_OK);
        }
    }
    kv_csv_close(runs);
    kv_csv_close(quality);
}

static const struct variant variants[] = {
    {"f32", "f32", 3, 168, 0},    {"f32", "int8", 2, 100, 0.001}, {"f32", "int4", 2.5, 90, 0.02},
    {"bf16", "f32", 1.5, 150, 0}, {"int8", "int8", 1, 50, 0.002}, {"int8", "int4", 0.5, 42, -1},
};
enum { N = sizeof variants / sizeof *variants };

static const struct kv_cell_results *find(const struct kv_results *results, const char *weights, const char *kv)
{
    for (size_t i = 0; i < results->n_cells; i++)
        if (kv_is_variant(&results->cells[i]) && kv_cell_is(&results->cells[i], KV_COLUMN_WEIGHTS, weights) &&
            kv_cell_is(&results->cells[i], KV_COLUMN_KV, kv))
            return &results->cells[i];
    fail_msg("no variant %s / %s", weights, kv);
    return NULL;
}

/* Speed is of the same rounds, the bound of the bytes, the divergence of that context; dominated is what another one
 * beats in time without losing in divergence. What was not measured dominates nothing. */
static void test_gain_and_cost(void **state)
{
    static const bool dominated[N] = {true, true, true, false, false, false};
    put(*state, variants, N);
    struct kv_results *results = load(*state);
    for (int i = 0; i < N; i++) {
        struct kv_variant v;
        assert_int_equal(kv_variant_of(results, find(results, variants[i].weights, variants[i].kv), &v, NULL), KV_OK);
        assert_true(fabs(v.judged.speed - 3 / variants[i].ttpt_ms) < 1e-9);
        assert_true(fabs(v.bound - 168 / variants[i].bytes) < 1e-9);
        assert_true(v.token_bytes == 100);
        assert_int_equal(v.is_dominated, dominated[i]);
        assert_int_equal(v.quality == NULL, variants[i].divergence < 0);
        assert_true(v.quality
                        ? v.divergence == variants[i].divergence && v.quality->numbers[KV_COLUMN_CONTEXT_TOKENS] == 1024
                        : isnan(v.divergence));
    }
    kv_results_free(results);
}

/* Before and after the interval, whose decimals depend on the last bit of a logarithm. */
struct sentence {
    const char *before, *after;
};

static void assert_sentences(const char *folder, const struct sentence *expected, size_t n_expected)
{
    struct kv_results *results = load(folder);
    struct kv_finding *findings;
    size_t n, n_told = 0;
    char text[KV_FINDING_SIZE];
    assert_int_equal(kv_findings_find(results, &findings, &n, NULL), KV_OK);
    for (size_t i = 0; i < n; i++) {
        if (findings[i].kind != KV_FINDING_PRECISION)
            continue;
        assert_true(n_told < n_expected);
        const struct sentence *s = &expected[n_told++];
        kv_finding_text(results, &findings[i], text, sizeof text);
        assert_memory_equal(text, s->before, strlen(s->before));
        assert_holds(text, " times as fast as float32 (95 % interval ");
        assert_string_equal(strstr(text, "), ") ? strstr(text, "), ") : text, s->after);
    }
    assert_int_equal(n_told, n_expected);
    free(findings);
    kv_results_free(results);
}

static void test_sentences(void **state)
{
    static const struct sentence all[] = {
        {"precision: at batch 8 and 1,024 tokens bf16 weights decode 2.0",
         "), of a possible 1.12, without any divergence on kjv, whose weights were saved as BF16"},
        {"precision: at batch 8 and 1,024 tokens int8 weights with an int8 cache decode 3.0",
         "), of a possible 3.36, for a divergence of 0.002 nats a token on kjv at context 1024"},
        {"precision: at batch 8 and 1,024 tokens int8 weights with an int4 cache decode 6.0",
         "), of a possible 4.00; what it costs in quality was not measured in this run"},
    };
    static const struct sentence cache[] = {
        {"precision: at batch 8 and 1,024 tokens an int8 cache decodes 1.50",
         "), of a possible 1.68, for a divergence of 0.001 nats a token on kjv at context 1024"},
    };
    char file[512];
    put(*state, variants, N);
    assert_sentences(*state, all, 3);
    snprintf(file, sizeof file, "%s/runs.csv", (const char *)*state);
    unlink(file);
    snprintf(file, sizeof file, "%s/quality.csv", (const char *)*state);
    unlink(file);
    put(*state, variants, 2);
    assert_sentences(*state, cache, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_gain_and_cost),
        TEST(test_sentences),
    };
    return cmocka_run_group_tests_name("precision", tests, NULL, NULL);
}
