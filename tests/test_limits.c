/* The limits of the machine, and probes of it. */
#include "support.h"

#include "machine/limits.h"
#include "machine/pass.h"
#include "machine/probe.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The loops of level `index`; NULL past the last that runs here. */
static const struct kv_probe_kernels *loops(int index)
{
    return supported_kernels(index) ? supported_kernels(index)->probe : NULL;
}

static int create_pool(void **state)
{
    struct kv_error error = {0};
    return kv_pool_create((struct kv_pool **)state, 2, &error) == KV_OK ? 0 : -1;
}

static int free_pool(void **state)
{
    kv_pool_free(*state);
    return 0;
}

/* Small whole numbers: every order of adding them is exact, and a value missed or read twice shows. */
static void sum_reads_every_value_once(void **state)
{
    (void)state;
    enum { N = 5 * KV_PROBE_BLOCK };
    float *data = aligned_alloc(KV_PROBE_ALIGNMENT, N * sizeof(float));
    assert_non_null(data);
    double expected = 0;
    for (int i = 0; i < N; i++) {
        data[i] = (float)(i * i % 1009);
        expected += (double)data[i];
    }
    for (int level = 0; loops(level); level++) {
        assert_true(loops(level)->sum(data, N) == expected);
        assert_true(loops(level)->sum(data, 0) == 0);
    }
    free(data);
}

/* What multiply_add must give when a lane that began at x ends at slope x + offset. */
static double expected_total(const struct kv_probe_kernels *kernels, double slope, double offset)
{
    double total = 0;
    for (int c = 1; c <= kernels->chains; c++)
        total += kernels->lanes * (slope * c / 64 + offset);
    return total;
}

static void multiply_add_does_every_round_in_every_lane(void **state)
{
    (void)state;
    for (int level = 0; loops(level); level++) {
        const struct kv_probe_kernels *kernels = loops(level);
        assert_true(kernels->chains >= 8);
        assert_true(kernels->flops_per_round == 2.0 * kernels->chains * kernels->lanes);
        assert_true(kernels->multiply_add(1, 1, 0) == expected_total(kernels, 1, 0));
        assert_true(kernels->multiply_add(1, 1, 1000) == expected_total(kernels, 1, 1000));
        assert_true(kernels->multiply_add(2, 0, 9) == expected_total(kernels, 512, 0));
    }
}

/* The arguments of the timed loop: after a million rounds the values are still the ones it began with. */
static void timed_values_neither_fade_nor_grow(void **state)
{
    (void)state;
    for (int level = 0; loops(level); level++) {
        const struct kv_probe_kernels *kernels = loops(level);
        assert_true(kernels->multiply_add(-1, 1, 1000000) == expected_total(kernels, 1, 0));
        assert_true(kernels->multiply_add(-1, 1, 1000001) == expected_total(kernels, -1, 1));
    }
}

static void unknown_level_is_an_argument_error(void **state)
{
    struct kv_limits limits, before;
    memset(&limits, 0x5a, sizeof limits);
    before = limits;
    struct kv_error error = {0};
    assert_int_equal(kv_limits_measure(*state, "avx1024", NULL, &limits, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "'avx1024'"));
    assert_non_null(strstr(error.message, "portable"));
    assert_null(strchr(error.message, '\n'));
    assert_memory_equal(&limits, &before, sizeof limits);
    assert_int_equal(kv_limits_measure(*state, "", NULL, &limits, NULL), KV_ERROR_ARGUMENT);
}

static void level_above_the_cpu_is_unsupported(void **state)
{
    struct kv_limits limits;
    struct kv_error error = {0};
    for (int i = 0; kv_isa_choice(i); i++) {
        if (kv_isa_supported(kv_isa_choice(i)->name))
            continue;
        assert_int_equal(kv_limits_measure(*state, kv_isa_choice(i)->name, NULL, &limits, &error),
                         KV_ERROR_UNSUPPORTED);
        assert_non_null(strstr(error.message, kv_isa_choice(i)->name));
        assert_non_null(strstr(error.message, "use a lower one"));
    }
}

static void assert_plausible(const struct kv_limits *limits, int threads, const char *isa)
{
    assert_int_equal(limits->threads, threads);
    assert_string_equal(limits->isa, isa);
    assert_true(limits->read_bytes_per_s >= limits->read_bytes_per_s_median);
    assert_true(limits->fma_flop_per_s >= limits->fma_flop_per_s_median);
    /* Wide enough for a busy small board and a sanitizer below, narrow enough for a slip of 1000 or a folded loop. */
    assert_true(limits->read_bytes_per_s_median > 1e7 && limits->read_bytes_per_s < 1e13);
    assert_true(limits->fma_flop_per_s_median > 1e7 && limits->fma_flop_per_s < 1e12 * threads);
}

static void no_name_means_the_highest_supported(void **state)
{
    struct kv_limits limits;
    struct kv_error error = {0};
    assert_int_equal(kv_limits_measure(*state, NULL, NULL, &limits, &error), KV_OK);
    assert_plausible(&limits, 2, kv_isa_default());
}

static double seconds_between(const struct timespec *start, const struct timespec *end)
{
    return (double)(end->tv_sec - start->tv_sec) + 1e-9 * (double)(end->tv_nsec - start->tv_nsec);
}

/* By this thread's CPU time, so that waiting for a core does not count. */
static double flops_per_cpu_second(const struct kv_probe_kernels *kernels)
{
    const size_t rounds = 1000000;
    double best = 0;
    for (int i = 0; i < 5; i++) {
        struct timespec start, end;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
        const double total = kernels->multiply_add(-1, 1, rounds);
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
        assert_true(total == expected_total(kernels, 1, 0));
        const double rate = (double)rounds * kernels->flops_per_round / seconds_between(&start, &end);
        best = rate > best ? rate : best;
    }
    return best;
}

static void wider_levels_are_not_slower(void **state)
{
    (void)state;
    const double portable = flops_per_cpu_second(loops(0));
    for (int level = 1; loops(level); level++)
        assert_true(flops_per_cpu_second(loops(level)) >= 0.9 * portable);
}

static void seconds_follow_the_roofline(void **state)
{
    (void)state;
    const struct kv_limits limits = {.threads = 1, .isa = "portable", .read_bytes_per_s = 1e10, .fma_flop_per_s = 1e11};
    assert_true(kv_limit_seconds(&limits, 0, 0) == 0);
    assert_true(kv_limit_seconds(&limits, 2e10, 0) == 2);
    assert_true(kv_limit_seconds(&limits, 0, 3e11) == 3);
    assert_true(kv_limit_seconds(&limits, 2e10, 1e11) == 2);
    assert_true(kv_limit_seconds(&limits, 1e10, 3e11) == 3);
    /* The ridge: 10 flops a byte take equally long on both sides. */
    assert_true(kv_limit_seconds(&limits, 1e10, 1e11) == 1);
}

/* A probe tells about what the limits do, and another one is due only when 19 times as long has passed. */
static void probes_are_plausible_and_rare(void **state)
{
    enum { N = 8 };
    struct kv_error error = {0};
    struct kv_prober *prober;
    double probing = 0;
    assert_int_equal(kv_prober_create(&prober, *state, NULL, &error), KV_OK);
    assert_true(kv_prober_buffer(prober)->bytes >= kv_beyond_caches(2));
    assert_true(kv_prober_due(prober) && isinf(kv_prober_age(prober)));
    struct timespec start, before, after;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (int i = 0; i < N; i++) {
        struct kv_probe probe;
        clock_gettime(CLOCK_MONOTONIC, &before);
        kv_prober_take(prober, *state, &probe);
        clock_gettime(CLOCK_MONOTONIC, &after);
        probing += seconds_between(&before, &after);
        const struct kv_limits limits = {
            2, "", probe.read_bytes_per_s, probe.read_bytes_per_s, probe.fma_flop_per_s, probe.fma_flop_per_s};
        assert_plausible(&limits, 2, "");
        assert_false(kv_prober_due(prober));
        while (!kv_prober_due(prober))
            nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    clock_gettime(CLOCK_MONOTONIC, &after);
    assert_true(probing < 0.06 * seconds_between(&start, &after));
    kv_prober_free(prober);
    assert_int_equal(kv_prober_create(&prober, *state, "avx1024", &error), KV_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sum_reads_every_value_once),
        cmocka_unit_test(multiply_add_does_every_round_in_every_lane),
        cmocka_unit_test(timed_values_neither_fade_nor_grow),
        cmocka_unit_test_setup_teardown(unknown_level_is_an_argument_error, create_pool, free_pool),
        cmocka_unit_test_setup_teardown(level_above_the_cpu_is_unsupported, create_pool, free_pool),
        cmocka_unit_test_setup_teardown(no_name_means_the_highest_supported, create_pool, free_pool),
        cmocka_unit_test_setup_teardown(probes_are_plausible_and_rare, create_pool, free_pool),
        cmocka_unit_test(wider_levels_are_not_slower),
        cmocka_unit_test(seconds_follow_the_roofline),
    };
    return cmocka_run_group_tests_name("limits", tests, NULL, NULL);
}
