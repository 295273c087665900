/* The kernels suite on a tiny shape: which rows there are, what their figures are made of, that weights stream, and
 * that a run that was stopped, or short of memory or of disk, leaves whole rows and can be finished. */
#include "support.h"

#include "gbench/gbench.h"
#include "machine/pass.h"
#include "measure/run.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define RING_BYTES ((size_t)64 << 10)
enum { REPETITIONS = 2, PRODUCTS = 5 * 3, ATTENTIONS = 2 * 2 }; /* at the quick sizes */

static const struct kv_config config = {
    .n_layer = 2, .n_head = 2, .n_embd = 32, .n_inner = 80, .vocab_size = 100, .n_positions = 160};

/* ---- What is multiplied, watched; what fails on purpose ----------------------------------------------- */

/* What rank 0 was asked to multiply, for one shape. */
static struct {
    int n, k; /* of the shape to watch; 0: none */
    int n_calls;
    int n_repeats; /* calls on the weights of the call before */
    int most_rows;
    struct kv_matmul_task last;
    bool transposed; /* its weights */
    const float *data, *newest, *lowest, *highest;
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
        watched.n_calls++;
        watched.n_repeats += data == watched.data && task->m == watched.last.m; /* of one cell */
        watched.data = data;
        watched.newest = data;
        watched.last = *task;
        watched.most_rows = task->m > watched.most_rows ? task->m : watched.most_rows;
        watched.transposed = task->w->transposed;
        watched.lowest = !watched.lowest || data < watched.lowest ? data : watched.lowest;
        watched.highest = data > watched.highest ? data : watched.highest;
    }
    __real_kv_matmul(backend, kernels, task, rank, n_ranks);
}

static int blocks_until_failure = -1;
static const char *failing_block = "";

kv_status __real_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);
kv_status __wrap_kv_block_allocate(struct kv_block *block, const struct kv_layout *layout, const char *what,
                                   struct kv_error *error);
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

/* Limits and probes of a round size, at once; or none. */
static bool limits_are_known = true;
static struct kv_probe probe;                  /* what the machine can do, but */
static int n_probes, collapse_at, collapse_to; /* for the probes between these, a tenth of it */

kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                                   struct kv_limits *limits, struct kv_error *error);
kv_status __wrap_kv_limits_measure(struct kv_pool *pool, const char *isa, const struct kv_block *buffer,
                                   struct kv_limits *limits, struct kv_error *error)
{
    (void)isa, (void)buffer, (void)error;
    if (!limits_are_known)
        return KV_ERROR_MEMORY;
    *limits = (struct kv_limits){.threads = kv_pool_size(pool),
                                 .isa = "portable",
                                 .read_bytes_per_s = 1e9,
                                 .read_bytes_per_s_median = 1e9,
                                 .fma_flop_per_s = 4e9,
                                 .fma_flop_per_s_median = 4e9};
    return KV_OK;
}

kv_status __wrap_kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error);
kv_status __wrap_kv_pass_buffer(struct kv_pool *pool, struct kv_block *block, struct kv_error *error)
{
    (void)pool, (void)error;
    *block = (struct kv_block){0};
    return limits_are_known ? KV_OK : KV_ERROR_MEMORY;
}

void __wrap_kv_prober_take(struct kv_prober *prober, struct kv_pool *pool, struct kv_probe *taken);
void __wrap_kv_prober_take(struct kv_prober *prober, struct kv_pool *pool, struct kv_probe *taken)
{
    const double part = n_probes >= collapse_at && n_probes < collapse_to ? 0.1 : 1;
    (void)prober, (void)pool;
    watched.data = NULL; /* other cells may run in between, and come upon the same place in the ring */
    n_probes++;
    *taken = (struct kv_probe){part * probe.read_bytes_per_s, part * probe.fma_flop_per_s};
}

/* ---- A run in a folder ------------------------------------------------------------------------------- */

struct place {
    char folder[64];
    char file[96]; /* kernels.csv in it */
    struct kv_sweep sweep;
    struct kv_run_settings settings;
    const char *gemms[2];
};

static void choose_gemms(struct place *place, int n)
{
    for (int i = 0; kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == KV_COLUMN_GEMM)
            place->sweep.axes[i] = (struct kv_axis_values){.names = place->gemms, .n = n};
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    if (!place)
        return -1;
    strcpy(place->folder, "/tmp/kvbench-kernels-XXXXXX");
    if (!mkdtemp(place->folder))
        return -1;
    snprintf(place->file, sizeof place->file, "%s/kernels.csv", place->folder);
    place->gemms[0] = "openblas";
    place->gemms[1] = "packed";
    place->sweep = (struct kv_sweep){.repetitions = REPETITIONS,
                                     .extent = KV_EXTENT_QUICK,
                                     .config = &config,
                                     .default_prompt = 1,
                                     .default_threads = 2};
    choose_gemms(place, 1);
    place->settings = (struct kv_run_settings){.run_id = "a run",
                                               .folder = place->folder,
                                               .config = &config,
                                               .default_threads = 2,
                                               .kernel_min_time_s = 1e-5,
                                               .ring_bytes = RING_BYTES,
                                               .resume = true};
    limits_are_known = true;
    probe = (struct kv_probe){1e12, 4e12};
    n_probes = collapse_at = collapse_to = 0;
    failing_block = "";
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    static const char *const names[] = {"kernels.csv", "runs.csv", "tokens.csv", "limits.csv", "datapackage.json"};
    struct place *place = *state;
    char file[128];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(file, sizeof file, "%s/%s", place->folder, names[i]);
        unlink(file);
    }
    const int result = rmdir(place->folder);
    free(place);
    return result;
}

/* The run's status; what failed and how much was done. */
struct ending {
    kv_status status;
    struct kv_error error;
    int n_failed, n_finished, n_total;
};

static struct ending try_suite(const struct place *place)
{
    struct ending end = {.status = KV_OK};
    struct kv_plan plan = {0};
    struct kv_run run;
    int i = 0;
    while (strcmp(kv_suite_at(i)->choice.name, "kernels") != 0)
        i++;
    end.status = kv_suite_at(i)->plan(kv_suite_at(i), &place->sweep, &plan, &end.error);
    if (!end.status)
        end.status = kv_run_open(&run, &place->settings, &plan, &end.error);
    if (!end.status)
        end.status = kv_run_measure(&run, &end.error);
    end.n_failed = run.n_failed[KV_FILE_KERNELS];
    end.n_finished = run.n_finished;
    end.n_total = run.n_total;
    kv_run_free(&run);
    kv_plan_free(&plan);
    return end;
}

static struct ending run_suite(const struct place *place)
{
    const struct ending end = try_suite(place);
    assert_ok(end.status, end.error);
    return end;
}

static char *contents_of(const struct place *place)
{
    char *contents = NULL;
    size_t capacity = 0;
    FILE *stream = fopen(place->file, "r");
    assert_non_null(stream);
    assert_true(getdelim(&contents, &capacity, '\0', stream) > 0);
    fclose(stream);
    return contents;
}

static void put_file(const struct place *place, const char *text, size_t n)
{
    FILE *stream = fopen(place->file, "w");
    assert_non_null(stream);
    assert_int_equal(fwrite(text, 1, n, stream), n);
    assert_int_equal(fclose(stream), 0);
}

static struct kv_csv_table *read_rows(const struct place *place)
{
    struct kv_csv_table *table;
    struct kv_error error;
    assert_ok(kv_csv_read(&table, place->file, &error), error);
    return table;
}

static const char *text_at(const struct kv_csv_table *table, size_t row, const char *name)
{
    size_t column;
    struct kv_error error;
    assert_ok(kv_csv_column(table, name, &column, &error), error);
    return kv_csv_text(table, row, column);
}

static double number_at(const struct kv_csv_table *table, size_t row, const char *name)
{
    const char *text = text_at(table, row, name);
    return *text ? strtod(text, NULL) : NAN;
}

/* The first row of a shape at that many rows and positions. */
static size_t find_row(const struct kv_csv_table *table, const char *shape, const char *rows, const char *context)
{
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        if (strcmp(text_at(table, i, "shape"), shape) == 0 && strcmp(text_at(table, i, "rows"), rows) == 0 &&
            strcmp(text_at(table, i, "context_tokens"), context) == 0)
            return i;
    fail_msg("no row of %s, rows %s, context '%s'", shape, rows, context);
    return 0;
}

static int n_cells(void)
{
    int n_levels = 0;
    while (supported_isa(n_levels))
        n_levels++;
    n_levels -= kv_isa_supported("amx"); /* attention is that of avx512 */
    return PRODUCTS + ATTENTIONS * n_levels;
}

/* Every cell's every repetition, each once. */
static void assert_whole(const struct place *place)
{
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), n_cells() * REPETITIONS);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        for (size_t k = 0; k < i; k++)
            assert_true(strcmp(text_at(table, i, "cell"), text_at(table, k, "cell")) != 0 ||
                        strcmp(text_at(table, i, "repetition"), text_at(table, k, "repetition")) != 0);
    kv_csv_free(table);
}

/* ---- Rows --------------------------------------------------------------------------------------------- */

static void fields_that_do_not_apply_are_empty(void **state)
{
    const struct place *place = *state;
    run_suite(place);
    assert_whole(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        const bool product = strcmp(text_at(table, i, "kernel"), "matmul") == 0;
        assert_true(product || strcmp(text_at(table, i, "kernel"), "attention") == 0);
        assert_string_equal(text_at(table, i, "run_id"), "a run");
        assert_string_equal(text_at(table, i, "status"), "ok");
        assert_string_equal(text_at(table, i, "error"), "");
        assert_string_equal(text_at(table, i, "threads"), "2");
        assert_string_equal(text_at(table, i, "weights"), product ? "f32" : "");
        assert_string_equal(text_at(table, i, "kv"), product ? "" : "f32");
        assert_int_equal(*text_at(table, i, "gemm") != '\0', product);
        assert_int_equal(*text_at(table, i, "n") != '\0', product);
        assert_int_equal(*text_at(table, i, "k") != '\0', product);
        assert_int_equal(*text_at(table, i, "context_tokens") != '\0', !product);
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
        {"mlp_proj", "8", "", 32, 80, 40960, 10368},   {"lm_head", "64", "", 100, 32, 409600, 12800},
        {"decode", "1", "64", 0, 0, 8192, 16384},      {"decode", "1", "160", 0, 0, 20480, 40960},
        {"prefill", "64", "64", 0, 0, 266240, 16384},  {"prefill", "160", "160", 0, 0, 1648640, 40960},
    };
    const struct place *place = *state;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        const size_t row = find_row(table, expected[i].shape, expected[i].rows, expected[i].context);
        const double seconds = number_at(table, row, "seconds");
        const double limit = fmax(expected[i].bytes / 1e12, expected[i].flops / 4e12);
        assert_true(seconds > 0 && seconds < 60);
        assert_true(expected[i].n == 0 || number_at(table, row, "n") == expected[i].n);
        assert_true(expected[i].k == 0 || number_at(table, row, "k") == expected[i].k);
        assert_true(number_at(table, row, "flops") == expected[i].flops);
        assert_true(number_at(table, row, "bytes") == expected[i].bytes);
        assert_true(fabs(number_at(table, row, "gflops") * 1e9 * seconds / expected[i].flops - 1) < 1e-6);
        assert_true(fabs(number_at(table, row, "gbytes_s") * 1e9 * seconds / expected[i].bytes - 1) < 1e-6);
        assert_true(fabs(number_at(table, row, "limit_pct") / 100 * seconds / limit - 1) < 1e-6);
    }
    kv_csv_free(table);
}

static void without_limits_their_share_is_unknown(void **state)
{
    const struct place *place = *state;
    limits_are_known = false;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        assert_string_equal(text_at(table, i, "limit_pct"), "");
    kv_csv_free(table);
}

/* Faster than the probes allow: no share, but why. */
static void no_share_is_above_the_limit(void **state)
{
    const struct place *place = *state;
    probe = (struct kv_probe){1e3, 4e3};
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        assert_string_equal(text_at(table, i, "limit_pct"), "");
        assert_non_null(strstr(text_at(table, i, "limit_fault"), "faster than its probes: "));
    }
    kv_csv_free(table);
}

static void rows_tell_of_the_machine(void **state)
{
    const struct place *place = *state;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    double before = 0;
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        assert_true(number_at(table, i, "probes") >= 2 && number_at(table, i, "probe_change_pct") == 0);
        assert_true(number_at(table, i, "probe_read_bytes_per_s") == 1e12);
        assert_true(number_at(table, i, "probe_fma_flop_per_s") == 4e12);
        assert_true(number_at(table, i, "switches") >= 0 && number_at(table, i, "page_faults") >= 0);
        assert_true(number_at(table, i, "started_s") >= before && before >= 0);
        before = number_at(table, i, "started_s");
        assert_string_equal(text_at(table, i, "limit_fault"), "");
    }
    kv_csv_free(table);
}

/* The cells of a point lie side by side in every round, each once, in an order that is drawn. */
static void backends_take_turns(void **state)
{
    struct place *place = *state;
    choose_gemms(place, 2);
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    const size_t a_round = kv_csv_rows(table) / REPETITIONS;
    int n_first = 0;
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        assert_true(number_at(table, i, "repetition") == (double)(i / a_round + 1));
        assert_true(number_at(table, i, "round") == number_at(table, i, "repetition"));
        assert_true(number_at(table, i, "place") == (double)(i % a_round + 1));
        if (strcmp(text_at(table, i, "kernel"), "matmul") != 0)
            continue;
        const size_t other = i > 0 && strcmp(text_at(table, i, "shape"), text_at(table, i - 1, "shape")) == 0 &&
                                     strcmp(text_at(table, i, "rows"), text_at(table, i - 1, "rows")) == 0
                                 ? i - 1
                                 : i + 1;
        assert_string_equal(text_at(table, i, "shape"), text_at(table, other, "shape"));
        assert_string_not_equal(text_at(table, i, "gemm"), text_at(table, other, "gemm"));
        n_first += other > i && strcmp(text_at(table, i, "gemm"), place->gemms[0]) == 0;
    }
    assert_true(n_first > 0 && n_first < PRODUCTS * REPETITIONS);
    kv_csv_free(table);
}

static size_t count_rows(const struct kv_csv_table *table, const char *name, const char *text)
{
    size_t n = 0;
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        n += strcmp(text_at(table, i, name), text) == 0;
    return n;
}

/* Where the probes collapse, a repetition is measured again, twice at most, and its row is kept. */
static void what_the_machine_stalled_is_measured_again(void **state)
{
    struct place *place = *state;
    place->settings.kernel_min_time_s = 1e-9; /* every call is a repetition: a probe before it and one after it */
    collapse_at = 20;
    collapse_to = 26;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(count_rows(table, "status", "ok"), n_cells() * REPETITIONS);
    assert_int_equal(count_rows(table, "status", "stalled"), 2);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        if (strcmp(text_at(table, i, "status"), "stalled") == 0) {
            assert_true(number_at(table, i, "probe_read_bytes_per_s") < 1e12 && number_at(table, i, "seconds") > 0);
            assert_string_equal(text_at(table, i, "cell"), text_at(table, i + 1, "cell"));
            assert_string_equal(text_at(table, i, "repetition"), text_at(table, i + 1, "repetition"));
        }
    char *before = contents_of(place);
    kv_csv_free(table);
    run_suite(place); /* a run with such rows is as complete as another one */
    char *after = contents_of(place);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

/* ---- Streaming ---------------------------------------------------------------------------------------- */

static void watch(struct place *place, int n, int k, int columns_in_memory)
{
    memset(&watched, 0, sizeof watched);
    watched.n = n;
    watched.k = k;
    run_suite(place);
    assert_int_equal(unlink(place->file), 0);
    assert_int_equal(watched.n_repeats, 0);
    /* All of the ring was used, and none of it in two places. */
    const size_t item_bytes = (size_t)columns_in_memory * (size_t)k * sizeof(float);
    assert_true((size_t)(watched.highest - watched.lowest) * sizeof(float) + item_bytes >= RING_BYTES);
    assert_int_equal((size_t)(watched.newest - watched.lowest) * sizeof(float) % item_bytes, 0);
}

static void every_call_takes_other_weights(void **state)
{
    struct place *place = *state;
    place->settings.kernel_min_time_s = 1e-3;
    watch(place, 96, 32, 96);
    assert_false(watched.transposed || watched.last.accumulate || !watched.last.bias);
    assert_int_equal(watched.last.epilogue, KV_EPILOGUE_NONE);
    watch(place, 80, 32, 80);
    assert_int_equal(watched.last.epilogue, KV_EPILOGUE_GELU_NEW);
    watch(place, 32, 80, 32);
    assert_true(watched.last.accumulate && watched.last.bias && !watched.transposed);
    watch(place, 100, 32, 100);
    assert_true(watched.transposed && !watched.last.bias && !watched.last.accumulate);
    assert_int_equal(watched.most_rows, 64);
    place->gemms[0] = "packed";
    watch(place, 100, 32, 144); /* whole panels of 48 columns */
    memset(&watched, 0, sizeof watched);
}

/* ---- Resuming ----------------------------------------------------------------------------------------- */

static void what_is_there_is_not_measured_again(void **state)
{
    const struct place *place = *state;
    run_suite(place);
    char *before = contents_of(place);
    char *cut = before;
    for (int line = 0; line < 8; line++)
        cut = strchr(cut, '\n') + 1;
    put_file(place, before, (size_t)(cut - before) + 20); /* the ninth line is torn */
    const struct ending end = run_suite(place);
    assert_int_equal(end.n_finished, end.n_total); /* progress counts what was there */
    char *after = contents_of(place);
    assert_int_equal(strncmp(before, after, (size_t)(cut - before)), 0);
    free(after);
    free(before);
    assert_whole(place);
}

/* A row that stands twice, and one of another plan, are refused, and the file is left as it is. */
static void rows_of_no_use_are_refused(void **state)
{
    struct place *place = *state;
    run_suite(place);
    char *before = contents_of(place);
    const size_t header = strcspn(before, "\n") + 1, row = strcspn(before + header, "\n") + 1;
    char *twice = NULL;
    assert_true(asprintf(&twice, "%s%.*s", before, (int)row, before + header) > 0);
    put_file(place, twice, strlen(twice));
    struct ending end = try_suite(place);
    assert_int_equal(end.status, KV_ERROR_FORMAT);
    assert_non_null(strstr(end.error.message, "repeats repetition 1 of"));
    char *after = contents_of(place);
    assert_string_equal(after, twice);
    put_file(place, before, strlen(before));
    place->gemms[0] = "packed";
    end = try_suite(place);
    assert_int_equal(end.status, KV_ERROR_FORMAT);
    assert_non_null(strstr(end.error.message, "row 1 is of no cell of this run"));
    free(after);
    free(twice);
    free(before);
}

/* ---- Failures ----------------------------------------------------------------------------------------- */

static void activations_that_do_not_fit_are_a_row(void **state)
{
    const struct place *place = *state;
    failing_block = "kernels (activations)";
    blocks_until_failure = 1;
    assert_int_equal(run_suite(place).n_failed, 1);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), (n_cells() - 1) * REPETITIONS + 1);
    size_t row = 0;
    while (strcmp(text_at(table, row, "status"), "failed") != 0)
        row++;
    assert_string_equal(text_at(table, row, "repetition"), "");
    assert_string_equal(text_at(table, row, "seconds"), "");
    assert_string_equal(text_at(table, row, "limit_pct"), "");
    assert_string_equal(text_at(table, row, "error"), "kernels (activations): refused, \"by\" a test");
    kv_csv_free(table);
    char *before = contents_of(place);
    assert_int_equal(run_suite(place).n_failed, 1); /* what failed is not tried again, and still counts */
    char *after = contents_of(place);
    assert_string_equal(after, before);
    free(before);
    free(after);
}

static void without_a_ring_every_cell_says_so(void **state)
{
    struct place *place = *state;
    place->settings.ring_bytes = SIZE_MAX / 2;
    assert_int_equal(run_suite(place).n_failed, n_cells());
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), n_cells());
    assert_non_null(strstr(text_at(table, 0, "error"), "weights beyond all caches"));
    kv_csv_free(table);
}

static void a_missing_folder_is_an_error(void **state)
{
    struct place *place = *state;
    place->settings.folder = "/nonexistent/folder";
    const struct ending end = try_suite(place);
    assert_int_equal(end.status, KV_ERROR_IO);
    assert_non_null(strstr(end.error.message, "/nonexistent/folder/"));
}

/* The limit on a file's size and the request to stop are the process's. */
static void a_full_disk_ends_the_run_with_whole_rows(void **state)
{
    const struct place *place = *state;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit room = {900, 900};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &room) != 0)
            _exit(2);
        const struct ending end = try_suite(place);
        _exit(end.status == KV_ERROR_IO && strstr(end.error.message, "kernels.csv") && end.n_finished < 10 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    run_suite(place);
    assert_whole(place);
}

static void what_takes_longer_than_its_budget_is_skipped(void **state)
{
    struct place *place = *state;
    place->settings.cell_budget_s = 1e-12;
    assert_int_equal(run_suite(place).n_failed, 0);
    struct kv_csv_table *table = read_rows(place);
    assert_int_equal(kv_csv_rows(table), n_cells());
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        assert_string_equal(text_at(table, i, "status"), "skipped");
        assert_non_null(strstr(text_at(table, i, "error"), "the budget of a cell is"));
    }
    kv_csv_free(table);
}

/* Where a cell was measured for less, it goes on past its repetitions. */
static void a_least_time_is_measured(void **state)
{
    struct place *place = *state;
    place->settings.min_time_s = 1e-4;
    run_suite(place);
    struct kv_csv_table *table = read_rows(place);
    assert_true(kv_csv_rows(table) > (size_t)(n_cells() * REPETITIONS));
    kv_csv_free(table);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(fields_that_do_not_apply_are_empty),
        TEST(figures_follow_the_definitions),
        TEST(without_limits_their_share_is_unknown),
        TEST(no_share_is_above_the_limit),
        TEST(rows_tell_of_the_machine),
        TEST(what_the_machine_stalled_is_measured_again),
        TEST(backends_take_turns),
        TEST(every_call_takes_other_weights),
        TEST(what_is_there_is_not_measured_again),
        TEST(rows_of_no_use_are_refused),
        TEST(activations_that_do_not_fit_are_a_row),
        TEST(without_a_ring_every_cell_says_so),
        TEST(a_missing_folder_is_an_error),
        TEST(a_full_disk_ends_the_run_with_whole_rows),
        TEST(what_takes_longer_than_its_budget_is_skipped),
        TEST(a_least_time_is_measured),
    };
    struct kv_error error;
    if (gb_initialize(&argc, argv, &error) != KV_OK)
        return 1;
    return cmocka_run_group_tests_name("kernel_suite", tests, NULL, NULL);
}
