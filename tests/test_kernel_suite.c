/* The kernels suite on a tiny model: which rows there are, what their figures are made of, that weights stream, and
 * what becomes of the results. */
#include "kernel_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kernels/matmul.h"
#include "results/summary_kernels.h"

/* ---- What is multiplied, watched ------------------------------------------------------------ */

/* What rank 0 was asked to multiply, for one shape. */
static struct {
    int n, k; /* of the shape to watch; 0: none */
    int n_calls;
    int n_repeats; /* calls on the weights of the call before */
    struct kv_matmul_task last;
    bool transposed; /* its weights */
    const float *data, *lowest, *highest;
} watched;

void __real_kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
                      const struct kv_matmul_task *task, int rank, int n_ranks);
void __wrap_kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
                      const struct kv_matmul_task *task, int rank, int n_ranks);

void __wrap_kv_matmul(const struct kv_matmul_backend *backend, const struct kv_kernels *kernels,
                      const struct kv_matmul_task *task, int rank, int n_ranks)
{
    if (rank == 0 && task->w->n == watched.n && task->w->k == watched.k) {
        const float *data = kv_matrix_floats(task->w);
        watched.n_repeats += watched.n_calls++ > 0 && data == watched.data;
        watched.data = data;
        watched.last = *task;
        watched.transposed = task->w->transposed;
        watched.lowest = !watched.lowest || data < watched.lowest ? data : watched.lowest;
        watched.highest = data > watched.highest ? data : watched.highest;
    }
    __real_kv_matmul(backend, kernels, task, rank, n_ranks);
}

/* ---- Rows ----------------------------------------------------------------------------------------- */

static void header_is_the_documented_one(void **state)
{
    const struct kernel_folder *place = *state;
    run_suite(place);
    char *contents = contents_of(place);
    assert_int_equal(strncmp(contents, KERNEL_HEADER, strlen(KERNEL_HEADER)), 0);
    free(contents);
    assert_whole(place);
}

static void fields_that_do_not_apply_are_empty(void **state)
{
    const struct kernel_folder *place = *state;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        const bool product = strcmp(text_at(table, i, "kernel"), "matmul") == 0;
        assert_true(product || strcmp(text_at(table, i, "kernel"), "attention") == 0);
        assert_string_equal(text_at(table, i, "run_id"), "a run");
        assert_string_equal(text_at(table, i, "status"), "ok");
        assert_string_equal(text_at(table, i, "error"), "");
        assert_string_equal(text_at(table, i, "threads"), "2");
        assert_int_equal(*text_at(table, i, "gemm") != '\0', product);
        assert_int_equal(*text_at(table, i, "n") != '\0', product);
        assert_int_equal(*text_at(table, i, "k") != '\0', product);
        assert_int_equal(*text_at(table, i, "context_tokens") != '\0', !product);
        if (product)
            assert_string_equal(text_at(table, i, "isa"), supported_isa(n_levels() - 1));
    }
    kv_csv_free(table);
}

static void figures_follow_the_definitions(void **state)
{
    static const struct {
        const char *shape, *rows, *context;
        double n, k; /* 0: does not apply */
        double flops, bytes;
    } expected[] = {
        {"c_attn", "1", "", 96, 32, 6144, 12672},      {"c_attn", "8", "", 96, 32, 49152, 12672},
        {"attn_proj", "64", "", 32, 32, 131072, 4224}, {"c_fc", "8", "", 80, 32, 40960, 10560},
        {"mlp_proj", "8", "", 32, 80, 40960, 10368},   {"lm_head", "512", "", 100, 32, 3276800, 12800},
        {"decode", "1", "64", 0, 0, 8192, 16384},      {"decode", "1", "160", 0, 0, 20480, 40960},
        {"prefill", "64", "64", 0, 0, 266240, 16384},  {"prefill", "160", "160", 0, 0, 1648640, 40960},
    };
    const struct kernel_folder *place = *state;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const size_t row = find_row(table, expected[i].shape, expected[i].rows, expected[i].context);
        const double seconds = number_at(table, row, "seconds");
        const double limit = fmax(expected[i].bytes / 1e9, expected[i].flops / 4e9);
        assert_true(seconds > 0 && seconds < 60);
        assert_true(expected[i].n == 0 || number_at(table, row, "n") == expected[i].n);
        assert_true(expected[i].k == 0 || number_at(table, row, "k") == expected[i].k);
        assert_true(fabs(number_at(table, row, "gflops") * 1e9 * seconds / expected[i].flops - 1) < 1e-6);
        assert_true(fabs(number_at(table, row, "gbytes_s") * 1e9 * seconds / expected[i].bytes - 1) < 1e-6);
        assert_true(fabs(number_at(table, row, "limit_pct") / 100 * seconds / limit - 1) < 1e-6);
    }
    kv_csv_free(table);
}

static void without_limits_their_share_is_unknown(void **state)
{
    struct kernel_folder *place = *state;
    place->options.limits = NULL;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        assert_string_equal(text_at(table, i, "limit_pct"), "");
    kv_csv_free(table);
}

static void all_sizes_without_quick(void **state)
{
    struct kernel_folder *place = *state;
    struct kv_kernel_expectation expectation;
    struct kv_error error;
    place->options.quick = false;
    place->options.repetitions = 1;
    place->options.n_gemms = 0; /* all but the reference */
    assert_ok(kv_kernel_suite_expect(&place->options, &expectation, &error), error);
    assert_int_equal(expectation.n_configurations, 2 * 5 * 11 + ATTENTIONS * 3 * n_levels());
    assert_true(expectation.seconds > expectation.n_configurations * 2e-5 && expectation.seconds < 1);
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), expectation.n_configurations);
    assert_distinct(table);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        assert_string_not_equal(text_at(table, i, "gemm"), "reference");
    find_row(table, "prefill", "128", "128");
    kv_csv_free(table);
}

static void a_window_below_the_first_context_is_the_only_one(void **state)
{
    struct kernel_folder *place = *state;
    struct kv_config narrow = kernel_config;
    narrow.n_positions = 10;
    place->options.config = &narrow;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), (QUICK_PRODUCTS + ATTENTIONS * n_levels()) * REPETITIONS);
    find_row(table, "decode", "1", "10");
    find_row(table, "prefill", "10", "10");
    kv_csv_free(table);
}

/* ---- Backends and levels -------------------------------------------------------------------------- */

static void backends_take_turns(void **state)
{
    static const char *const gemms[] = {"reference", "openblas"};
    static const char *const isas[] = {"portable"};
    struct kernel_folder *place = *state;
    place->options.gemms = gemms;
    place->options.n_gemms = 2;
    place->options.isas = isas;
    place->options.n_isas = 1;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), (2 * QUICK_PRODUCTS + ATTENTIONS * QUICK_CONTEXTS) * REPETITIONS);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        assert_string_equal(text_at(table, i, "isa"), "portable");
    for (size_t i = 0; i < 2 * QUICK_PRODUCTS * REPETITIONS; i++) {
        assert_string_equal(text_at(table, i, "gemm"), gemms[i % 2]);
        assert_true(number_at(table, i, "repetition") == (double)(1 + i / 2 % REPETITIONS));
    }
    kv_csv_free(table);
}

static void what_is_not_known_is_refused(void **state)
{
    static const char *const unknown[] = {"fastest"};
    struct kernel_folder *place = *state;
    const struct kv_kernel_suite_options good = place->options;
    place->options.gemms = unknown;
    place->options.n_gemms = 1;
    assert_refused(place, KV_ERROR_ARGUMENT, "fastest");
    place->options = good;
    place->options.isas = unknown;
    place->options.n_isas = 1;
    assert_refused(place, KV_ERROR_ARGUMENT, "fastest");
    place->options = good;
    place->options.repetitions = -1;
    assert_refused(place, KV_ERROR_ARGUMENT, "negative");
    place->options = good;
    place->options.min_time_s = NAN;
    assert_refused(place, KV_ERROR_ARGUMENT, "negative");
    assert_int_not_equal(access(place->file, F_OK), 0);
}

/* ---- Streaming ------------------------------------------------------------------------------------ */

static void watch(struct kernel_folder *place, int n, int k, int columns_in_memory)
{
    memset(&watched, 0, sizeof watched);
    watched.n = n;
    watched.k = k;
    run_suite(place);
    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(watched.n_repeats, 0);
    /* All of the ring was used, and none of it in two places. */
    const size_t item_bytes = (size_t)columns_in_memory * (size_t)k * sizeof(float);
    assert_true((size_t)(watched.highest - watched.lowest) * sizeof(float) + item_bytes >= KERNEL_RING_BYTES);
    assert_int_equal((size_t)(watched.data - watched.lowest) * sizeof(float) % item_bytes, 0);
}

static void every_call_takes_other_weights(void **state)
{
    struct kernel_folder *place = *state;
    place->options.min_time_s = 1e-3;
    watch(place, 96, 32, 96);
    assert_false(watched.transposed || watched.last.accumulate || !watched.last.bias);
    assert_int_equal(watched.last.epilogue, KV_EPILOGUE_NONE);
    watch(place, 80, 32, 80);
    assert_int_equal(watched.last.epilogue, KV_EPILOGUE_GELU_NEW);
    watch(place, 32, 80, 32);
    assert_true(watched.last.accumulate && watched.last.bias && !watched.transposed);
    watch(place, 100, 32, 100);
    assert_true(watched.transposed && !watched.last.bias && !watched.last.accumulate);
    assert_int_equal(watched.last.m, 512);
    static const char *const packed[] = {"packed"};
    place->options.gemms = packed;
    watch(place, 100, 32, 144); /* whole panels of 48 columns */
}

/* ---- Results -------------------------------------------------------------------------------------- */

static const char sample[] = KERNEL_HEADER
    "r,matmul,c_fc,openblas,avx2,2,1,3072,768,,1,ok,2e-3,20,30,60,\n"
    "r,matmul,c_fc,openblas,avx2,2,1,3072,768,,2,ok,4e-3,10,15,30,\n"
    "r,matmul,c_fc,openblas,avx2,2,1,3072,768,,3,ok,1e-3,40,60,90,\n"
    "r,matmul,c_fc,openblas,avx2,2,8,3072,768,,,failed,,,,,\"too little, said \"\"it\"\"\"\n"
    "r,matmul,c_fc,packed,avx2,2,8,3072,768,,1,ok,5e-4,123.45,1,,\n"
    "r,matmul,c_fc,packed,avx2,2,8,3072,768,,2,ok,5e-4,100,1,,\n"
    "r,attention,decode,,avx2,2,1,,,64,1,ok,1e-5,3,12.34,45.6,\n"
    "r,attention,decode,,avx2,2,1,,,1024,,skipped,,,,,predicted to take 9.0 s\n"
    "r,attention,prefill,,avx2,2,64,,,64,1,ok,1e-5,77,5,8.4,\n";

static void results_are_medians(void **state)
{
    const struct kernel_folder *place = *state;
    put_file(place, sample, strlen(sample));
    struct kv_kernel_results *results = load_results(place);
    assert_int_equal(results->n, 6);
    assert_int_equal(results->n_failed, 1);
    assert_int_equal(results->n_skipped, 1);
    const struct kv_kernel_result *first = &results->results[0], *failed = &results->results[1];
    assert_int_equal(first->n_samples, 3);
    assert_true(first->row.seconds == 2e-3 && first->row.gflops == 20 && first->row.gbytes_s == 30);
    assert_true(first->row.limit_pct == 60 && !first->row.error);
    assert_int_equal(first->row.n, 3072);
    assert_int_equal(failed->n_samples, 0);
    assert_true(isnan(failed->row.gflops));
    assert_string_equal(failed->row.error, "too little, said \"it\"");
    assert_true(results->results[2].row.gflops == 111.725 && isnan(results->results[2].row.limit_pct));
    assert_null(results->results[3].row.gemm);
    kv_kernel_results_free(results);
}

static void summary_is_a_table(void **state)
{
    static const char expected[] = "Kernels alone: median rate, and its share of the machine's limit\n"
                                   "\n"
                                   "product    gemm       isa       threads unit            rows 1         rows 8\n"
                                   "c_fc       openblas   avx2            2 GFLOPS      20.0  60 %              -\n"
                                   "c_fc       packed     avx2            2 GFLOPS               -    111.7     -\n"
                                   "\n"
                                   "attention             isa       threads unit        context 64   context 1024\n"
                                   "decode                avx2            2 GB/s        12.3  46 %              -\n"
                                   "prefill               avx2            2 GFLOPS      77.0   8 %              -\n"
                                   "\n"
                                   "failed: c_fc, openblas, avx2, rows 8: too little, said \"it\"\n"
                                   "skipped: decode, avx2, context 1024: predicted to take 9.0 s\n";
    const struct kernel_folder *place = *state;
    char *text = NULL;
    size_t size;
    put_file(place, sample, strlen(sample));
    struct kv_kernel_results *results = load_results(place);
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    kv_kernel_summary_print(results, stream);
    fclose(stream);
    assert_string_equal(text, expected);
    free(text);
    kv_kernel_results_free(results);
}

static void damaged_files_are_refused(void **state)
{
    const struct kernel_folder *place = *state;
    struct kv_kernel_results *results;
    struct kv_error error;
    put_file(place, "a,b\n1,2\n", 8);
    assert_int_equal(kv_kernel_results_load(&results, place->folder, &error), KV_ERROR_FORMAT);
    assert_null(results);
    assert_refused(place, KV_ERROR_FORMAT, "kernels.csv");
    static const char letters[] = KERNEL_HEADER "r,matmul,c_fc,openblas,avx2,2,1,3072,768,,1,ok,fast,20,30,60,\n";
    put_file(place, letters, strlen(letters));
    assert_int_equal(kv_kernel_results_load(&results, place->folder, &error), KV_ERROR_FORMAT);
    assert_non_null(strstr(error.message, "fast"));
    assert_refused(place, KV_ERROR_FORMAT, "fast");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kernel_folder, close_kernel_folder)
    const struct CMUnitTest tests[] = {
        TEST(header_is_the_documented_one),
        TEST(fields_that_do_not_apply_are_empty),
        TEST(figures_follow_the_definitions),
        TEST(without_limits_their_share_is_unknown),
        TEST(all_sizes_without_quick),
        TEST(a_window_below_the_first_context_is_the_only_one),
        TEST(backends_take_turns),
        TEST(what_is_not_known_is_refused),
        TEST(every_call_takes_other_weights),
        TEST(results_are_medians),
        TEST(summary_is_a_table),
        TEST(damaged_files_are_refused),
    };
    return cmocka_run_group_tests_name("kernel_suite", tests, NULL, NULL);
}
