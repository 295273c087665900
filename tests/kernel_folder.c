#include "kernel_folder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

const struct kv_config kernel_config = {
    .n_layer = 2,
    .n_head = 2,
    .n_embd = 32,
    .n_inner = 80,
    .vocab_size = 100,
    .n_positions = 160,
    .layer_norm_epsilon = 1e-5f,
};
static const struct kv_limits limits = {
    .threads = 2, .isa = "portable", .read_bytes_per_s = 1e9, .fma_flop_per_s = 4e9};

int open_kernel_folder(void **state)
{
    struct kernel_folder *place = calloc(1, sizeof *place);
    if (!place)
        return -1;
    strcpy(place->folder, "/tmp/kvbench-kernels-XXXXXX");
    if (!mkdtemp(place->folder) || kv_pool_create(&place->pool, 2, NULL) != KV_OK) {
        free(place);
        return -1;
    }
    snprintf(place->file, sizeof place->file, "%s/kernels.csv", place->folder);
    static const char *const one_backend[] = {"openblas"};
    place->options = (struct kv_kernel_suite_options){
        .gemms = one_backend,
        .n_gemms = 1,
        .config = &kernel_config,
        .pool = place->pool,
        .quick = true,
        .repetitions = REPETITIONS,
        .min_time_s = 1e-5,
        .ring_bytes = KERNEL_RING_BYTES,
        .limits = &limits,
        .run_id = "a run",
        .folder = place->folder,
    };
    *state = place;
    return 0;
}

int close_kernel_folder(void **state)
{
    struct kernel_folder *place = *state;
    kv_pool_free(place->pool);
    unlink(place->file);
    const int result = rmdir(place->folder);
    free(place);
    return result;
}

void run_suite(const struct kernel_folder *place)
{
    struct kv_error error = {""};
    assert_ok(kv_kernel_suite_run(&place->options, &error), error);
}

char *contents_of(const struct kernel_folder *place)
{
    char *contents = NULL;
    size_t capacity = 0;
    FILE *stream = fopen(place->file, "r");
    assert_non_null(stream);
    assert_true(getdelim(&contents, &capacity, '\0', stream) > 0);
    fclose(stream);
    return contents;
}

void put_file(const struct kernel_folder *place, const char *text, size_t n)
{
    FILE *stream = fopen(place->file, "w");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

struct kv_csv_table *read_rows(const struct kernel_folder *place)
{
    struct kv_csv_table *table;
    struct kv_error error;
    assert_ok(kv_csv_read(&table, place->file, &error), error);
    return table;
}

const char *text_at(const struct kv_csv_table *table, size_t row, const char *name)
{
    size_t column;
    struct kv_error error;
    assert_ok(kv_csv_column(table, name, &column, &error), error);
    return kv_csv_text(table, row, column);
}

double number_at(const struct kv_csv_table *table, size_t row, const char *name)
{
    const char *text = text_at(table, row, name);
    return *text ? strtod(text, NULL) : NAN;
}

struct kv_kernel_results *load_results(const struct kernel_folder *place)
{
    struct kv_kernel_results *results;
    struct kv_error error = {""};
    assert_ok(kv_kernel_results_load(&results, place->folder, &error), error);
    return results;
}

int n_levels(void)
{
    int n = 0;
    while (supported_isa(n))
        n++;
    return n;
}

int quick_configurations(void)
{
    return QUICK_PRODUCTS + ATTENTIONS * QUICK_CONTEXTS * n_levels();
}

void assert_distinct(const struct kv_csv_table *table)
{
    static const char *const key[] = {"shape", "gemm", "isa", "rows", "context_tokens", "repetition"};
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        for (size_t j = 0; j < i; j++) {
            size_t n_equal = 0;
            for (size_t c = 0; c < sizeof key / sizeof *key; c++)
                n_equal += strcmp(text_at(table, i, key[c]), text_at(table, j, key[c])) == 0;
            assert_true(n_equal < sizeof key / sizeof *key);
        }
}

void assert_whole(const struct kernel_folder *place)
{
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), quick_configurations() * REPETITIONS);
    assert_distinct(table);
    kv_csv_free(table);
}

size_t find_row(const struct kv_csv_table *table, const char *shape, const char *rows, const char *context)
{
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        if (strcmp(text_at(table, i, "shape"), shape) == 0 && strcmp(text_at(table, i, "rows"), rows) == 0 &&
            strcmp(text_at(table, i, "context_tokens"), context) == 0)
            return i;
    fail_msg("no row of %s, rows %s, context '%s'", shape, rows, context);
    return 0;
}

void assert_refused(const struct kernel_folder *place, kv_status expected, const char *part)
{
    struct kv_error error = {""};
    assert_int_equal(kv_kernel_suite_run(&place->options, &error), expected);
    if (!strstr(error.message, part))
        fail_msg("\"%s\" does not say \"%s\"", error.message, part);
    assert_int_equal(kv_kernel_suite_run(&place->options, NULL), expected);
}

void in_child(struct kernel_folder *place, bool (*body)(struct kernel_folder *place))
{
    kv_pool_free(place->pool); /* threads do not survive a fork */
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    assert_int_equal(kv_pool_create(&place->pool, 2, NULL), KV_OK);
    place->options.pool = place->pool;
    if (child == 0) {
        const bool good = body(place);
        kv_pool_free(place->pool);
        fflush(NULL);
        _exit(good ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

void see_progress(const struct kv_kernel_progress *progress, void *context)
{
    struct progress_seen *seen = context;
    seen->n++;
    seen->last_done = progress->n_done;
    seen->last_total = progress->n_total;
    seen->measured = progress->row->seconds > 0 && !progress->row->error;
}
