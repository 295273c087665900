/* A run of the kernels suite that is stopped, killed, or short of memory or of disk leaves whole rows and can be
 * finished; and Google Benchmark's flags. */
#include "kernel_folder.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/memory.h"
#include "gbench/gbench.h"

/* ---- Allocations that fail ------------------------------------------------------------ */

static int blocks_until_failure = -1, callocs_until_failure = -1;
static const char *failing_block = "";

kv_status __real_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);
kv_status __wrap_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);

kv_status __wrap_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error)
{
    if (strcmp(what, failing_block) == 0 && blocks_until_failure-- == 0) {
        if (error)
            snprintf(error->message, sizeof error->message, "%s: refused, \"by\" a test", what);
        return KV_ERROR_MEMORY;
    }
    return __real_kv_block_allocate(block, layout, what, error);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return callocs_until_failure >= 0 && callocs_until_failure-- == 0 ? NULL : __real_calloc(count, size);
}

static int tear_down(void **state)
{
    failing_block = "";
    callocs_until_failure = -1;
    return close_kernel_folder(state);
}

/* ---- Stopping, killing, resuming ------------------------------------------------------------------ */

static void rows_that_are_there_are_not_measured_again(void **state)
{
    const struct kernel_folder *place = *state;
    run_suite(place);
    char *before = contents_of(place);
    char *cut = before;
    for (int line = 0; line < 8; line++)
        cut = strchr(cut, '\n') + 1;
    put_file(place, before, (size_t)(cut - before) + 20); /* the ninth line is torn */
    run_suite(place);
    char *after = contents_of(place);
    assert_int_equal(strncmp(before, after, (size_t)(cut - before)), 0);
    assert_whole(place);
    run_suite(place);
    char *again = contents_of(place);
    assert_string_equal(again, after);
    free(before);
    free(after);
    free(again);
}

static void rows_of_other_thread_counts_do_not_count(void **state)
{
    struct kernel_folder *place = *state;
    struct kv_pool *alone, *pool = place->pool;
    assert_int_equal(kv_pool_create(&alone, 1, NULL), KV_OK);
    run_suite(place);
    place->options.pool = alone;
    run_suite(place);
    place->options.pool = pool;
    kv_pool_free(alone);
    struct kv_kernel_results *results = load_results(place);
    assert_int_equal(results->n, 2 * quick_configurations());
    for (int i = 0; i < results->n; i++) {
        assert_int_equal(results->results[i].threads, i < results->n / 2 ? 2 : 1);
        assert_int_equal(results->results[i].n_samples, REPETITIONS);
    }
    kv_kernel_results_free(results);
}

static void stop_after_three(const struct kv_kernel_progress *progress, void *context)
{
    (void)context;
    if (progress->n_done == 3)
        gb_request_stop();
}

static bool run_until_stopped(struct kernel_folder *place)
{
    place->options.progress = stop_after_three;
    return kv_kernel_suite_run(&place->options, NULL) == KV_OK;
}

static void a_stopped_run_is_finished_by_the_next(void **state)
{
    struct kernel_folder *place = *state;
    in_child(place, run_until_stopped);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), 3);
    kv_csv_free(table);
    run_suite(place);
    assert_whole(place);
}

static void progress_counts_to_the_end(void **state)
{
    struct kernel_folder *place = *state;
    struct progress_seen seen = {0};
    place->options.progress = see_progress;
    place->options.progress_context = &seen;
    run_suite(place);
    assert_int_equal(seen.n, quick_configurations() * REPETITIONS);
    assert_int_equal(seen.last_done, seen.n);
    assert_int_equal(seen.last_total, seen.n);
    assert_true(seen.measured);
}

/* ---- Google Benchmark's flags --------------------------------------------------------------------- */

static bool initialize(char *flag)
{
    char program[] = "kvbench", *argv[] = {program, flag, NULL};
    int argc = 2;
    return gb_initialize(&argc, argv, NULL) == KV_OK && argc == 1;
}

static bool run_decode_only(struct kernel_folder *place)
{
    char flag[] = "--benchmark_filter=^kernels/attention/decode/portable/context:64/";
    return initialize(flag) && kv_kernel_suite_run(&place->options, NULL) == KV_OK;
}

static void filter_chooses_configurations(void **state)
{
    struct kernel_folder *place = *state;
    in_child(place, run_decode_only);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), REPETITIONS);
    assert_string_equal(text_at(table, 0, "shape"), "decode");
    kv_csv_free(table);
}

static bool list_into_file(struct kernel_folder *place)
{
    char flag[] = "--benchmark_list_tests";
    place->options.pool = NULL;
    return initialize(flag) && freopen(place->file, "w", stdout) &&
           kv_kernel_suite_list(&place->options, NULL) == KV_OK;
}

static void names_can_be_listed(void **state)
{
    struct kernel_folder *place = *state;
    in_child(place, list_into_file);
    char *contents = contents_of(place), first[256];
    snprintf(first, sizeof first, "kernels/matmul/c_attn/openblas/%s/rows:1/", supported_isa(n_levels() - 1));
    assert_int_equal(strncmp(contents, first, strlen(first)), 0);
    int n_lines = 0;
    for (const char *c = contents; *c; c++)
        n_lines += *c == '\n';
    assert_int_equal(n_lines, quick_configurations());
    free(contents);
}

/* ---- Failures ------------------------------------------------------------------------------------- */

static void activations_that_do_not_fit_are_a_row(void **state)
{
    const struct kernel_folder *place = *state;
    failing_block = "kernels (activations)";
    blocks_until_failure = 1;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), (quick_configurations() - 1) * REPETITIONS + 1);
    const size_t row = find_row(table, "c_attn", "8", "");
    assert_string_equal(text_at(table, row, "status"), "failed");
    assert_string_equal(text_at(table, row, "repetition"), "");
    assert_string_equal(text_at(table, row, "seconds"), "");
    assert_string_equal(text_at(table, row, "limit_pct"), "");
    assert_string_equal(text_at(table, row, "error"), "kernels (activations): refused, \"by\" a test");
    kv_csv_free(table);
    char *before = contents_of(place);
    run_suite(place);
    char *after = contents_of(place);
    assert_string_equal(after, before);
    free(before);
    free(after);
    struct kv_kernel_results *results = load_results(place);
    assert_int_equal(results->n, quick_configurations());
    assert_int_equal(results->n_failed, 1);
    kv_kernel_results_free(results);
}

static void no_ring_is_an_error_of_the_run(void **state)
{
    struct kernel_folder *place = *state;
    failing_block = "kernels (weights beyond all caches)";
    blocks_until_failure = 0;
    struct kv_error error = {""};
    assert_int_equal(kv_kernel_suite_run(&place->options, &error), KV_ERROR_MEMORY);
    assert_non_null(strstr(error.message, "weights beyond all caches"));
    place->options.ring_bytes = SIZE_MAX / 2;
    assert_refused(place, KV_ERROR_MEMORY, "weights beyond all caches");
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), 0);
    kv_csv_free(table);
    place->options.ring_bytes = KERNEL_RING_BYTES;
    run_suite(place);
    assert_whole(place);
}

static void every_failed_allocation_is_reported(void **state)
{
    const struct kernel_folder *place = *state;
    kv_status status = KV_ERROR_MEMORY;
    int n_failed = -1;
    for (int n = 0; status != KV_OK; n++, n_failed++) {
        struct kv_kernel_results *results = NULL;
        struct kv_error error = {""};
        callocs_until_failure = n;
        status = kv_kernel_suite_run(&place->options, &error);
        if (status == KV_OK)
            status = kv_kernel_results_load(&results, place->folder, &error);
        callocs_until_failure = -1;
        assert_true(status == KV_OK || status == KV_ERROR_MEMORY);
        assert_int_equal(error.message[0] != '\0', status != KV_OK);
        assert_int_equal(results != NULL, status == KV_OK);
        kv_kernel_results_free(results);
    }
    assert_true(n_failed >= 10);
    assert_whole(place);
}

static void a_missing_folder_is_an_error(void **state)
{
    struct kernel_folder *place = *state;
    struct kv_kernel_results *results;
    place->options.folder = "/nonexistent/folder";
    assert_refused(place, KV_ERROR_IO, "/nonexistent/folder/kernels.csv");
    assert_int_equal(kv_kernel_results_load(&results, "/nonexistent/folder", NULL), KV_ERROR_IO);
    assert_null(results);
}

static bool fail_when_disk_is_full(struct kernel_folder *place)
{
    const struct rlimit room = {600, 600};
    struct progress_seen seen = {0};
    struct kv_error error = {""};
    place->options.progress = see_progress;
    place->options.progress_context = &seen;
    signal(SIGXFSZ, SIG_IGN);
    return setrlimit(RLIMIT_FSIZE, &room) == 0 && kv_kernel_suite_run(&place->options, &error) == KV_ERROR_IO &&
           strstr(error.message, "kernels.csv") && seen.n < 10;
}

static void a_full_disk_ends_the_run_with_whole_rows(void **state)
{
    struct kernel_folder *place = *state;
    in_child(place, fail_when_disk_is_full);
    run_suite(place);
    assert_whole(place);
}

static void what_takes_longer_than_its_budget_is_skipped(void **state)
{
    struct kernel_folder *place = *state;
    place->options.cell_budget_s = 1e-12;
    run_suite(place);
    struct kv_kernel_results *results = load_results(place);
    /* The smallest size of each kind has nothing to be predicted by. */
    const int n_measured = 5 + ATTENTIONS * n_levels();
    assert_int_equal(results->n, quick_configurations());
    assert_int_equal(results->n_skipped, quick_configurations() - n_measured);
    assert_int_equal(results->n_failed, 0);
    assert_int_equal(results->results[0].n_samples, REPETITIONS);
    assert_int_equal(results->results[1].n_samples, 0);
    assert_true(results->results[1].row.skipped);
    assert_non_null(strstr(results->results[1].row.error, "the budget of a configuration is"));
    kv_kernel_results_free(results);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kernel_folder, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_that_are_there_are_not_measured_again),
        TEST(rows_of_other_thread_counts_do_not_count),
        TEST(a_stopped_run_is_finished_by_the_next),
        TEST(progress_counts_to_the_end),
        TEST(filter_chooses_configurations),
        TEST(names_can_be_listed),
        TEST(activations_that_do_not_fit_are_a_row),
        TEST(no_ring_is_an_error_of_the_run),
        TEST(every_failed_allocation_is_reported),
        TEST(a_missing_folder_is_an_error),
        TEST(a_full_disk_ends_the_run_with_whole_rows),
        TEST(what_takes_longer_than_its_budget_is_skipped),
    };
    return cmocka_run_group_tests_name("kernel_resume", tests, NULL, NULL);
}
