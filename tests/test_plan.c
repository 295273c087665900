/* Which cells are measured: the product of the axes, none twice, and each suite's points. */
#include "support.h"

#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

static const struct kv_config config = {
    .n_layer = 2, .n_head = 2, .n_embd = 32, .n_inner = 80, .vocab_size = 100, .n_positions = 1024};

static struct kv_sweep plain_sweep(void)
{
    return (struct kv_sweep){
        .repetitions = 4, .extent = KV_EXTENT_REPORT, .config = &config, .default_prompt = 21, .default_threads = 2};
}

/* The values of one axis; at most two names or counts, NULL or 0 for fewer. */
static void ask(struct kv_sweep *sweep, enum kv_column column, const char *const *names, const int *counts, int n)
{
    for (int i = 0; kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == column)
            sweep->axes[i] = (struct kv_axis_values){.names = names, .counts = counts, .n = n};
}

static void plan_suite(const char *name, const struct kv_sweep *sweep, struct kv_plan *plan)
{
    struct kv_error error;
    int i = 0;
    while (strcmp(kv_suite_at(i)->choice.name, name) != 0)
        i++;
    *plan = (struct kv_plan){.n_cells = 0};
    assert_ok(kv_suite_at(i)->plan(kv_suite_at(i), sweep, plan, &error), error);
}

static void assert_distinct_ids(const struct kv_plan *plan)
{
    for (int i = 0; i < plan->n_cells; i++) {
        assert_int_equal(kv_plan_find(plan, plan->cells[i].id), i);
        for (int k = 0; k < i; k++)
            assert_string_not_equal(plan->cells[i].id, plan->cells[k].id);
    }
}

static void arms_are_the_product_of_the_axes(void **state)
{
    static const char *const gemms[] = {"packed", "openblas"};
    static const int threads[] = {1, 2}, chunks[] = {16, 64}, batches[] = {1, 4};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    sweep.batches = batches;
    sweep.n_batches = 2;
    ask(&sweep, KV_COLUMN_GEMM, gemms, NULL, 2);
    ask(&sweep, KV_COLUMN_THREADS, NULL, threads, 2);
    ask(&sweep, KV_COLUMN_CHUNK, NULL, chunks, 2);
    plan_suite("batch", &sweep, &plan);
    assert_int_equal(plan.n_cells, 2 * 2 * 2 * 2 * 2); /* the batches, and both paths */
    assert_int_equal(plan.n_turns, 2);
    assert_distinct_ids(&plan);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        assert_int_equal(cell->turn, i / 16); /* the arms of a point lie side by side */
        assert_int_equal(cell->point.batch, batches[i / 16]);
        assert_string_equal(cell->arm.path, i / 8 % 2 ? "cached" : "naive");
        assert_string_equal(cell->arm.gemm, gemms[i / 4 % 2]);
        assert_int_equal(cell->arm.threads, threads[i / 2 % 2]);
        assert_int_equal(cell->arm.chunk, chunks[i % 2]);
        /* A path that keeps nothing has no cache. */
        assert_string_equal(cell->arm.cache, i / 8 % 2 ? "contiguous" : "");
        assert_string_equal(cell->arm.kv, i / 8 % 2 ? "f32" : "");
        assert_string_equal(cell->arm.weights, "f32");
    }
    for (int i = 0; kv_axis_at(i); i++) {
        const enum kv_column c = kv_axis_at(i)->column;
        assert_int_equal(kv_plan_varies(&plan, KV_KIND_GENERATION, kv_axis_at(i)),
                         c == KV_COLUMN_PATH || c == KV_COLUMN_GEMM || c == KV_COLUMN_THREADS || c == KV_COLUMN_CHUNK);
    }
    kv_plan_free(&plan);
}

/* Two values of an axis that does not apply make one arm, and a size that is asked for twice is measured once. */
static void nothing_is_measured_twice(void **state)
{
    static const char *const caches[] = {"contiguous", "paged"}, *const types[] = {"f32", "int8"};
    static const int batches[] = {1, 1}, threads[] = {2, 2};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    sweep.batches = batches;
    sweep.n_batches = 2;
    ask(&sweep, KV_COLUMN_CACHE, caches, NULL, 2);
    ask(&sweep, KV_COLUMN_KV, types, NULL, 2);
    ask(&sweep, KV_COLUMN_THREADS, NULL, threads, 2);
    plan_suite("batch", &sweep, &plan);
    assert_int_equal(plan.n_cells, 1 + 4);
    assert_distinct_ids(&plan);
    kv_plan_free(&plan);
}

static void ids_are_made_of_what_tells_cells_apart(void **state)
{
    static const int batches[] = {8};
    static const char *const isas[] = {"portable"};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    struct kv_row row = {.numbers = {0}};
    char id[KV_CELL_ID_SIZE];
    (void)state;
    sweep.batches = batches;
    sweep.n_batches = 1;
    ask(&sweep, KV_COLUMN_ISA, isas, NULL, 1);
    plan_suite("batch", &sweep, &plan);
    assert_string_equal(plan.cells[0].id, "batch/naive/w-f32/packed/portable/t2/b8/p21/n50/x70");
    assert_string_equal(plan.cells[1].id, "batch/cached/w-f32/contiguous/kv-f32/packed/portable/t2/b8/p21/n50/x70");
    kv_cell_describe(&plan.cells[1], &row);
    assert_string_equal(kv_row_cell_id(&row, id), plan.cells[1].id);
    assert_int_equal(kv_plan_find(&plan, "batch/none"), -1);
    kv_plan_free(&plan);
}

/* Suite, extent, and the cells that it has where nothing was asked for. */
static void suites_sweep_their_points(void **state)
{
    static const struct {
        const char *suite;
        enum kv_extent extent;
        int n_turns;
        int first[3], last[3]; /* batch, prompt, new */
        int repetitions;
    } expected[] = {
        {"batch", KV_EXTENT_QUICK, 2, {1, 21, 50}, {2, 21, 50}, 4},
        {"batch", KV_EXTENT_REPORT, 6, {1, 21, 50}, {32, 21, 50}, 4},
        {"trace", KV_EXTENT_QUICK, 1, {1, 21, 128}, {1, 21, 128}, 4},
        {"trace", KV_EXTENT_FULL, 1, {1, 21, 1004}, {1, 21, 1004}, 4}, /* the whole window */
        {"grid", KV_EXTENT_QUICK, 4, {1, 63, 2}, {4, 255, 2}, 4},
        {"grid", KV_EXTENT_REPORT, 9, {1, 63, 2}, {16, 1023, 2}, 4},
        {"grid", KV_EXTENT_FULL, 30, {1, 63, 2}, {32, 1023, 2}, 4},
        {"depth", KV_EXTENT_QUICK, 3, {1, 1, 3}, {1, 511, 3}, 4},
        {"depth", KV_EXTENT_FULL, 33, {1, 1, 3}, {1, 1022, 3}, 4},
        {"memory", KV_EXTENT_REPORT, 12, {1, 64, 1}, {8, 1024, 1}, 1},
        {"parts", KV_EXTENT_QUICK, 2, {1, 64, 3}, {8, 64, 3}, 4},
        {"parts", KV_EXTENT_REPORT, 4, {1, 64, 3}, {1, 512, 3}, 4},
        {"kernels", KV_EXTENT_QUICK, 5 * 3 + 2 * 2, {0, 0, 0}, {0, 0, 0}, 4},
        {"kernels", KV_EXTENT_REPORT, 5 * 11 + 2 * 5, {0, 0, 0}, {0, 0, 0}, 4},
        {"limits", KV_EXTENT_REPORT, 0, {0, 0, 0}, {0, 0, 0}, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct kv_sweep sweep = plain_sweep();
        struct kv_plan plan;
        sweep.extent = expected[i].extent;
        plan_suite(expected[i].suite, &sweep, &plan);
        assert_int_equal(plan.n_turns, expected[i].n_turns);
        assert_int_equal(plan.limits, strcmp(expected[i].suite, "limits") == 0);
        assert_distinct_ids(&plan);
        if (plan.n_cells > 0) {
            const struct kv_cell *first = &plan.cells[0], *last = &plan.cells[plan.n_cells - 1];
            const int sizes[] = {first->point.batch, first->point.n_prompt, first->point.n_new,
                                 last->point.batch,  last->point.n_prompt,  last->point.n_new};
            assert_memory_equal(sizes, expected[i].first, 3 * sizeof(int));
            assert_memory_equal(sizes + 3, expected[i].last, 3 * sizeof(int));
            assert_int_equal(first->repetitions, expected[i].repetitions);
        }
        kv_plan_free(&plan);
    }
}

/* So a quick run and a whole one can be compared. */
static void quick_cells_are_some_of_all_cells(void **state)
{
    struct kv_sweep quick = plain_sweep(), all = plain_sweep();
    struct kv_plan some, whole;
    (void)state;
    quick.extent = KV_EXTENT_QUICK;
    all.extent = KV_EXTENT_REPORT;
    for (int i = 0; kv_suite_at(i); i++) {
        plan_suite(kv_suite_at(i)->choice.name, &quick, &some);
        plan_suite(kv_suite_at(i)->choice.name, &all, &whole);
        for (int k = 0; k < some.n_cells; k++)
            if (kv_plan_find(&whole, some.cells[k].id) < 0)
                fail_msg("%s", some.cells[k].id);
        kv_plan_free(&some);
        kv_plan_free(&whole);
    }
}

/* What is left of a plan that the time is too short for shows both paths, by batch. */
static void the_shortest_texts_of_the_grid_are_left_out_last(void **state)
{
    (void)state;
    for (int extent = KV_EXTENT_QUICK; extent <= KV_EXTENT_FULL; extent++)
        for (int i = 0; kv_suite_at(i); i++) {
            struct kv_sweep sweep = plain_sweep();
            struct kv_plan plan;
            int n_last[2] = {0, 0};
            sweep.extent = (enum kv_extent)extent;
            plan_suite(kv_suite_at(i)->choice.name, &sweep, &plan);
            for (int k = 0; k < plan.n_cells; k++)
                if (plan.cells[k].is_last) {
                    n_last[strcmp(plan.cells[k].arm.path, "naive") == 0]++;
                    assert_int_equal(plan.cells[k].point.n_prompt, plan.cells[0].point.n_prompt);
                }
            assert_int_equal(n_last[0], n_last[1]);
            assert_true(strcmp(kv_suite_at(i)->choice.name, "grid") == 0 ? n_last[0] >= 2 : n_last[0] == 0);
            kv_plan_free(&plan);
        }
}

static void sizes_that_are_asked_for_take_the_place_of_the_suites(void **state)
{
    static const int batches[] = {3, 5}, prompts[] = {7};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    sweep.batches = batches;
    sweep.n_batches = 2;
    sweep.prompts = prompts;
    sweep.n_prompts = 1;
    sweep.n_new = 9;
    for (int i = 0; kv_suite_at(i); i++) {
        plan_suite(kv_suite_at(i)->choice.name, &sweep, &plan);
        for (int k = 0; k < plan.n_cells && plan.cells[k].kind == KV_KIND_GENERATION; k++)
            assert_true(plan.cells[k].point.batch == batches[plan.cells[k].turn] && plan.cells[k].point.n_prompt == 7 &&
                        plan.cells[k].point.n_new == 9);
        kv_plan_free(&plan);
    }
}

/* Kernels: every backend but the reference, products at the highest level, attention at every one; and what was asked
 * for where something was. */
static void kernels_have_arms_of_their_own(void **state)
{
    static const char *const reference[] = {"reference"}, *const portable[] = {"portable"};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    int n_levels = 0, n_products = 0, n_attentions = 0;
    (void)state;
    while (supported_isa(n_levels))
        n_levels++;
    n_levels -= kv_isa_supported("amx"); /* attention is that of avx512 */
    sweep.extent = KV_EXTENT_QUICK;
    plan_suite("kernels", &sweep, &plan);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_arm *arm = &plan.cells[i].arm;
        const bool product = plan.cells[i].kind == KV_KIND_MATMUL;
        n_products += product;
        n_attentions += !product;
        assert_string_equal(arm->path, "");
        assert_int_equal(arm->chunk, 0);
        assert_string_not_equal(arm->gemm, "reference");
        assert_int_equal(*arm->gemm && *arm->weights && !*arm->cache && !*arm->kv, product);
        assert_true(!product || strcmp(arm->isa, kv_isa_default()) == 0);
    }
    assert_int_equal(n_products, 5 * 3 * 2);
    assert_int_equal(n_attentions, 2 * 2 * n_levels);
    kv_plan_free(&plan);
    ask(&sweep, KV_COLUMN_GEMM, reference, NULL, 1);
    ask(&sweep, KV_COLUMN_ISA, portable, NULL, 1);
    plan_suite("kernels", &sweep, &plan);
    assert_int_equal(plan.n_cells, 5 * 3 + 2 * 2);
    assert_string_equal(plan.cells[0].arm.gemm, "reference");
    assert_true(plan.cells[0].point.n == 96 && plan.cells[0].point.k == 32 && plan.cells[0].point.rows == 1);
    kv_plan_free(&plan);
}

static void a_window_below_the_first_context_is_the_only_one(void **state)
{
    struct kv_config narrow = config;
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    narrow.n_positions = 10;
    sweep.config = &narrow;
    plan_suite("kernels", &sweep, &plan);
    for (int i = 0; i < plan.n_cells; i++)
        assert_true(plan.cells[i].kind == KV_KIND_MATMUL || plan.cells[i].point.n_context == 10);
    assert_int_equal(plan.n_turns, 5 * 11 + 2);
    kv_plan_free(&plan);
}

static int count(const struct kv_choice *(*choice)(int index))
{
    int n = 0;
    while (choice(n))
        n++;
    return n;
}

/* All weights with the first type, all types with the first weights and with those of the fewest bytes; of a text also
 * what these cost, at the same contexts or at the window of the model that predicts it. What is asked for is swept. */
static void fewer_bits_in_combinations_that_make_sense(void **state)
{
    static const char *const int8[] = {"int8"};
    const int n_weights = count(kv_weights_choice), n_types = count(kv_kv_choice);
    const int n_arms = n_weights + n_types - 1 + n_types - 1;
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    sweep.text_positions = 256;
    plan_suite("precision", &sweep, &plan);
    assert_distinct_ids(&plan);
    assert_int_equal(plan.n_turns, 3 * 2 + 2);
    assert_int_equal(plan.n_cells, n_arms * plan.n_turns);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        assert_string_equal(cell->arm.path, "cached");
        assert_int_equal(cell->point.same_prompt, cell->kind == KV_KIND_GENERATION && cell->point.batch > 1);
        assert_true(strcmp(cell->arm.weights, "f32") == 0 || strcmp(cell->arm.kv, "f32") == 0 ||
                    strcmp(cell->arm.weights, "int8") == 0);
        if (cell->kind == KV_KIND_QUALITY)
            assert_true(cell->repetitions == 1 && (cell->point.n_context == 64 || cell->point.n_context == 256));
    }
    kv_plan_free(&plan);
    plan_suite("quality", &sweep, &plan);
    assert_int_equal(plan.n_cells, n_arms * 5);
    assert_int_equal(plan.cells[0].point.n_context, 16);
    assert_int_equal(plan.cells[plan.n_cells - 1].point.n_context, 256);
    kv_plan_free(&plan);
    ask(&sweep, KV_COLUMN_WEIGHTS, int8, NULL, 1);
    plan_suite("quality", &sweep, &plan);
    assert_int_equal(plan.n_cells, n_types * 5);
    kv_plan_free(&plan);
}

/* A load of mixed lengths in every cache, once, on the cached path and without drafts, whatever steps are asked for. */
static void loads_are_planned_once_a_cache(void **state)
{
    static const char *const caches[] = {"contiguous", "paged:8"}, *const speculate[] = {"none", "lookup:4"};
    static const char *const paths[] = {"naive", "cached"};
    static const int batches[] = {1, 2};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    for (int asked = 0; asked < 2; asked++) {
        int n_loads = 0;
        if (asked) {
            sweep.batches = batches;
            sweep.n_batches = 2;
            ask(&sweep, KV_COLUMN_CACHE, caches, NULL, 2);
            ask(&sweep, KV_COLUMN_SPECULATE, speculate, NULL, 2);
            ask(&sweep, KV_COLUMN_PATH, paths, NULL, 2);
        }
        plan_suite("paged", &sweep, &plan);
        assert_distinct_ids(&plan);
        for (int i = 0; i < plan.n_cells; i++) {
            const struct kv_cell *cell = &plan.cells[i];
            if (cell->kind != KV_KIND_LOAD)
                continue;
            n_loads++;
            assert_int_equal(cell->repetitions, 1);
            assert_int_equal(cell->point.batch, 8);
            assert_int_equal(cell->point.n_context, 256);
            assert_string_equal(cell->arm.path, "cached");
            assert_string_equal(cell->arm.speculate, "none");
        }
        assert_int_equal(n_loads, asked ? 2 : 5);
        kv_plan_free(&plan);
    }
}

/* What is dropped is not attended to on any path, so that the naive path is an arm of each such cache. */
static void caches_that_drop_are_arms_of_every_path(void **state)
{
    static const char *const caches[] = {"contiguous", "window:4+28"}, *const types[] = {"f32", "int8"};
    static const int batches[] = {1};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    sweep.batches = batches;
    sweep.n_batches = 1;
    ask(&sweep, KV_COLUMN_CACHE, caches, NULL, 2);
    ask(&sweep, KV_COLUMN_KV, types, NULL, 2);
    plan_suite("batch", &sweep, &plan);
    assert_int_equal(plan.n_cells, 2 + 4);
    assert_string_equal(plan.cells[0].arm.cache, "");
    assert_string_equal(plan.cells[1].arm.cache, "window:4+28");
    assert_string_equal(plan.cells[1].arm.path, "naive");
    assert_string_equal(plan.cells[1].arm.kv, "");
    assert_distinct_ids(&plan);
    kv_plan_free(&plan);
}

/* All positions in three types, windows in two, random and heavy in float32: every budget predicts the text, and of
 * steps some are timed, in one turn. */
static void budgets_are_held_against_all_positions(void **state)
{
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    int n_texts = 0, n_steps = 0, n_all = 0;
    (void)state;
    sweep.text_positions = 256;
    plan_suite("window", &sweep, &plan);
    assert_distinct_ids(&plan);
    assert_int_equal(plan.n_turns, 2);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        const bool is_text = cell->kind == KV_KIND_QUALITY;
        n_texts += is_text;
        n_steps += !is_text;
        n_all += !kv_cache_drops(cell->arm.cache);
        assert_int_equal(cell->turn, is_text);
        assert_string_equal(cell->arm.path, "cached");
        assert_true(is_text ? cell->point.n_context == 256 : cell->point.n_prompt + cell->point.n_new == 257);
    }
    assert_int_equal(n_texts, 3 + 2 * 4 + 2 * 4);
    assert_int_equal(n_steps, 3 + 2 * 2 + 2);
    assert_int_equal(n_all, 2 * 3);
    kv_plan_free(&plan);
}

/* Plain steps, lookups and the drafts that come along, at every batch in one turn; quick ones are some of these, and what
 * is asked for takes their place. */
static void speculation_is_held_against_plain_steps(void **state)
{
    static const char *const drafts[] = {"draft:small:1", "draft:small:4"}, *const asked[] = {"none", "lookup:3"};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    plan_suite("speculate", &sweep, &plan);
    assert_int_equal(plan.n_cells, 2 * 4); /* without a smaller model lookups alone, and less of them */
    assert_in_range(plan.cells[0].point.n_new, 17, 100);
    kv_plan_free(&plan);
    sweep.drafts = drafts;
    sweep.n_drafts = 2;
    plan_suite("speculate", &sweep, &plan);
    assert_distinct_ids(&plan);
    assert_int_equal(plan.n_cells, 2 * 6);
    assert_int_equal(plan.n_turns, 2);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        assert_int_equal(cell->turn, i / 6);
        assert_int_equal(cell->point.batch, i < 6 ? 1 : 4);
        assert_true(cell->point.of_text && cell->point.n_new > 100);
        assert_string_equal(cell->arm.path, "cached");
        assert_int_equal(strcmp(cell->arm.speculate, "none") == 0, i % 6 == 0);
    }
    assert_string_equal(plan.cells[11].arm.speculate, "draft:small:4");
    kv_plan_free(&plan);
    ask(&sweep, KV_COLUMN_SPECULATE, asked, NULL, 2);
    sweep.extent = KV_EXTENT_QUICK;
    plan_suite("speculate", &sweep, &plan);
    assert_int_equal(plan.n_cells, 2);
    assert_string_equal(plan.cells[1].arm.speculate, "lookup:3");
    kv_plan_free(&plan);
}

/* At every batch in one turn, over a text that is as long as the window takes; no peer, which is given none. */
static void copying_is_given_its_text(void **state)
{
    static const char *const engines[] = {"kvbench", "torch"};
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    (void)state;
    ask(&sweep, KV_COLUMN_ENGINE, engines, NULL, 2);
    plan_suite("copy", &sweep, &plan);
    assert_distinct_ids(&plan);
    assert_int_equal(plan.n_cells, 2 * 4);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        assert_string_equal(cell->arm.engine, "kvbench");
        assert_int_equal(cell->point.edit_every, 32);
        assert_int_equal(cell->point.n_new, cell->point.n_prompt + 1);
        assert_int_equal(cell->turn, i / 4);
    }
    kv_plan_free(&plan);
}

/* Steps of all policies in one turn, of which one stops with its window; predictions of four windows. */
static void policies_go_past_the_window(void **state)
{
    struct kv_sweep sweep = plain_sweep();
    struct kv_plan plan;
    int n_steps = 0, n_stop = 0, n_of_window[5] = {0};
    (void)state;
    sweep.text_positions = 256;
    plan_suite("overflow", &sweep, &plan);
    assert_distinct_ids(&plan);
    assert_int_equal(plan.n_turns, 5);
    for (int i = 0; i < plan.n_cells; i++) {
        const struct kv_cell *cell = &plan.cells[i];
        const bool stops = strcmp(cell->arm.overflow, "stop") == 0, is_text = cell->kind == KV_KIND_QUALITY;
        const int length = is_text ? cell->point.n_context : cell->point.n_prompt + cell->point.n_new - 1;
        const int window = is_text ? sweep.text_positions : config.n_positions;
        assert_int_equal(cell->turn, is_text ? length / window : 0);
        assert_true(is_text ? cell->point.past : cell->repetitions == 3);
        assert_true(stops ? length == window : is_text || length == 4 * window);
        n_of_window[is_text ? length / window : 0]++;
        n_steps += !is_text;
        n_stop += stops;
    }
    assert_int_equal(n_steps, 4);
    assert_int_equal(n_stop, 2);
    assert_int_equal(n_of_window[1], 4);
    assert_int_equal(n_of_window[4], 3);
    kv_plan_free(&plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arms_are_the_product_of_the_axes),
        cmocka_unit_test(nothing_is_measured_twice),
        cmocka_unit_test(ids_are_made_of_what_tells_cells_apart),
        cmocka_unit_test(suites_sweep_their_points),
        cmocka_unit_test(quick_cells_are_some_of_all_cells),
        cmocka_unit_test(the_shortest_texts_of_the_grid_are_left_out_last),
        cmocka_unit_test(sizes_that_are_asked_for_take_the_place_of_the_suites),
        cmocka_unit_test(fewer_bits_in_combinations_that_make_sense),
        cmocka_unit_test(loads_are_planned_once_a_cache),
        cmocka_unit_test(caches_that_drop_are_arms_of_every_path),
        cmocka_unit_test(budgets_are_held_against_all_positions),
        cmocka_unit_test(speculation_is_held_against_plain_steps),
        cmocka_unit_test(copying_is_given_its_text),
        cmocka_unit_test(policies_go_past_the_window),
        cmocka_unit_test(kernels_have_arms_of_their_own),
        cmocka_unit_test(a_window_below_the_first_context_is_the_only_one),
    };
    return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
