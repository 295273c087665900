/* Comparing runs whose medians, intervals and p are known: p as scipy.stats.mannwhitneyu has it, the ends of the
 * intervals from all resamples, enumerated. */
#include "sample_runs.h"

#include "results/compare.h"

#include <math.h>

#define NEAR(actual, expected) near((actual), (expected), __LINE__)

static void near(double actual, double expected, int line)
{
    if (!(fabs(actual - expected) <= 1e-9 * expected))
        fail_msg("line %d: %.17g instead of %.17g", line, actual, expected);
}

/* TTPT samples; what `low` against the others gives is in the tests. */
static const double low[] = {20, 21, 22, 23, 24.5};
static const double lower[] = {17, 18, 19, 18.5, 20.5};
static const double mixed[] = {20.5, 21.5, 22.2, 23.5, 19};

static struct kv_measurements *load(const struct cli *cli, const char *name)
{
    char path[CLI_PATH_SIZE];
    struct kv_measurements *run;
    struct kv_error error;
    cli_path(cli, name, path);
    assert_ok(kv_measurements_load(&run, path, &error), error);
    return run;
}

static const struct kv_compare_settings usual = {
    .metrics = {KV_METRIC_TTPT_MS}, .n_metrics = 1, .by = -1, .alpha = 0.05, .noise = 0.02};

/* Compares one configuration's TTPT, or the metric given. */
static struct kv_result judge(const struct cli *cli, const char *a, const char *b,
                              const struct kv_compare_settings *settings)
{
    struct kv_measurements *base = load(cli, a), *other = load(cli, b);
    struct kv_comparison *comparison;
    struct kv_error error;
    assert_ok(kv_compare(&comparison, base, other, settings, &error), error);
    assert_int_equal(comparison->n_sections, 1);
    assert_int_equal(comparison->sections[0].n_results, 1);
    const struct kv_result result = comparison->sections[0].results[0];
    kv_comparison_free(comparison);
    kv_measurements_free(other);
    kv_measurements_free(base);
    return result;
}

/* ---- Statistics and verdicts -------------------------------------------------------------------- */

static void test_figures(void **state)
{
    const struct cli *cli = *state;
    MAKE_RUN(cli, "A", "openblas", low);
    MAKE_RUN(cli, "B", "openblas", lower);
    const struct kv_result result = judge(cli, "A", "B", &usual);
    assert_int_equal(result.n_base, 5);
    assert_int_equal(result.n_other, 5);
    NEAR(result.median_base, 22);
    NEAR(result.median_other, 18.5);
    NEAR(result.ratio, 18.5 / 22);
    NEAR(result.interval.low, 0.7391304347826086);
    NEAR(result.interval.high, 0.95);
    NEAR(result.u, 24);
    NEAR(result.p, 0.015873015873015872);
    NEAR(result.smallest_p, 2. / 252);
    NEAR(result.speed, 22 / 18.5);
    assert_int_equal(result.verdict, KV_VERDICT_FASTER);
}

static void test_verdict_needs_p_and_distance(void **state)
{
    const struct cli *cli = *state;
    struct kv_compare_settings settings = usual;
    MAKE_RUN(cli, "low", "openblas", low);
    MAKE_RUN(cli, "lower", "openblas", lower);
    MAKE_RUN(cli, "mixed", "openblas", mixed);
    assert_int_equal(judge(cli, "lower", "low", &settings).verdict, KV_VERDICT_SLOWER);
    NEAR(judge(cli, "low", "mixed", &settings).p, 0.6904761904761905);
    assert_int_equal(judge(cli, "low", "mixed", &settings).verdict, KV_VERDICT_NONE);
    settings.alpha = 0.015;
    assert_int_equal(judge(cli, "low", "lower", &settings).verdict, KV_VERDICT_NONE);
    settings.alpha = 0.05;
    /* 22 / 18.5 = 1.189 times, the same in both directions */
    settings.noise = 0.185;
    assert_int_equal(judge(cli, "low", "lower", &settings).verdict, KV_VERDICT_FASTER);
    assert_int_equal(judge(cli, "lower", "low", &settings).verdict, KV_VERDICT_SLOWER);
    settings.noise = 0.19;
    assert_int_equal(judge(cli, "low", "lower", &settings).verdict, KV_VERDICT_NONE);
    assert_int_equal(judge(cli, "lower", "low", &settings).verdict, KV_VERDICT_NONE);
}

static void test_more_of_a_rate_is_faster(void **state)
{
    const struct cli *cli = *state;
    struct kv_compare_settings settings = usual;
    settings.metrics[0] = KV_METRIC_DECODE_TOK_S;
    MAKE_RUN(cli, "A", "openblas", low);
    MAKE_RUN(cli, "B", "openblas", lower);
    const struct kv_result result = judge(cli, "A", "B", &settings);
    NEAR(result.ratio, 22 / 18.5);
    NEAR(result.speed, 22 / 18.5);
    assert_int_equal(result.verdict, KV_VERDICT_FASTER);
}

static void test_few_repetitions_show_no_difference(void **state)
{
    const struct cli *cli = *state;
    static const double three[] = {5, 5.1, 5.2}, three_more[] = {6, 6.1, 6.2};
    static const double equal[] = {5, 5, 5}, equal_more[] = {6, 6, 6};
    MAKE_RUN(cli, "three", "openblas", three);
    MAKE_RUN(cli, "three_more", "openblas", three_more);
    MAKE_RUN(cli, "equal", "openblas", equal);
    MAKE_RUN(cli, "equal_more", "openblas", equal_more);
    make_run(cli, "one", "openblas", three, 1);
    make_run(cli, "one_more", "openblas", three_more, 1);
    NEAR(judge(cli, "three", "three_more", &usual).p, 0.1);
    /* Equal values: the normal approximation alone would say 0.0469, which three against three cannot show. */
    NEAR(judge(cli, "equal", "equal_more", &usual).p, 0.1);
    NEAR(judge(cli, "equal", "equal_more", &usual).interval.low, 1.2);
    assert_int_equal(judge(cli, "equal", "equal_more", &usual).verdict, KV_VERDICT_NONE);
    const struct kv_result one = judge(cli, "one", "one_more", &usual);
    NEAR(one.ratio, 1.2);
    NEAR(one.p, 1);
    assert_true(isnan(one.interval.low) && isnan(one.interval.high));
    assert_int_equal(one.verdict, KV_VERDICT_NONE);
    assert_int_equal(kv_compare_needed_repetitions(0.05), 4);
    assert_int_equal(kv_compare_needed_repetitions(0.1), 4);
    assert_int_equal(kv_compare_needed_repetitions(0.11), 3);
}

static void test_geometric_mean(void **state)
{
    const struct cli *cli = *state;
    static const double base[] = {10}, half[] = {5}, eightfold[] = {80};
    FILE *a = begin_run(cli, "A"), *b = begin_run(cli, "B");
    ADD(a, "naive", "openblas", 1, base);
    ADD(a, "cached", "openblas", 1, base);
    ADD(b, "cached", "openblas", 1, half);
    ADD(b, "naive", "openblas", 1, eightfold);
    end_run(a);
    end_run(b);
    struct kv_measurements *base_run = load(cli, "A"), *other_run = load(cli, "B");
    struct kv_comparison *comparison;
    struct kv_error error;
    assert_ok(kv_compare(&comparison, base_run, other_run, &usual, &error), error);
    assert_int_equal(comparison->sections[0].n_results, 2);
    NEAR(comparison->sections[0].results[0].ratio, 8); /* in the order of the base */
    NEAR(comparison->sections[0].results[1].ratio, 0.5);
    NEAR(comparison->sections[0].geometric_mean, 2);
    kv_comparison_free(comparison);
    kv_measurements_free(other_run);
    kv_measurements_free(base_run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_figures),
        CLI_TEST(test_verdict_needs_p_and_distance),
        CLI_TEST(test_more_of_a_rate_is_faster),
        CLI_TEST(test_few_repetitions_show_no_difference),
        CLI_TEST(test_geometric_mean),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
