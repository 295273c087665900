/* The verdicts of kvbench ab, held against noise: no more false ones than promised, whatever the machine does
 * meanwhile, and true differences found. A simulated machine has a speed that changes with time; programs run on it in
 * rounds as ab runs them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "results/effect.h"
#include "results/stats.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Machines ------------------------------------------------------------------------------------------- */

#define SLOT_SECONDS 0.05
enum { N_SLOTS = 6600, TRIALS = 2000, TRIALS_OF_POWER = 500, LONGEST = 64 };

/* Speed in each slot, and the work that is done from the start to the end of it. */
struct machine {
    const char *name;
    double speed[N_SLOTS], done[N_SLOTS + 1];
};

/* Numbers of a stream, one after the other. */
struct draws {
    uint64_t key, n;
};

static double uniform(struct draws *draws)
{
    return ((double)(kv_draw64(draws->key, draws->n++) >> 11) + 0.5) * 0x1p-53;
}

static double normal(struct draws *draws)
{
    return sqrt(-2 * log(uniform(draws))) * cos(6.283185307179586 * uniform(draws));
}

static void read_trace(struct machine *machine, int column)
{
    FILE *file = fopen(KV_DATA_DIR "/noise/xeon.csv", "r");
    char line[64];
    size_t n = 0;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_string_equal(line, "products,reading\n");
    for (; n < N_SLOTS && fgets(line, sizeof line, file); n++) {
        char *next;
        machine->speed[n] = strtod(line, &next) / 1000;
        assert_int_equal(*next, ',');
        if (column == 1)
            machine->speed[n] = strtod(next + 1, NULL) / 1000;
    }
    fclose(file);
    assert_in_range(n, N_SLOTS - 100, N_SLOTS);
    for (size_t i = n; i < N_SLOTS; i++)
        machine->speed[i] = machine->speed[i - n];
}

static void recorded_products(struct machine *machine)
{
    read_trace(machine, 0);
}

static void recorded_reading(struct machine *machine)
{
    read_trace(machine, 1);
}

static void drift(struct machine *machine)
{
    for (size_t i = 0; i < N_SLOTS; i++)
        machine->speed[i] = exp(0.7 * sin(6.283185307179586 * (double)i / N_SLOTS));
}

/* Half of the phases have a third of the speed; they last 0.2 to 20 s. */
static void phases(struct machine *machine)
{
    struct draws draws = {.key = 11};
    double left = 0, speed = 1;
    for (size_t i = 0; i < N_SLOTS; i++, left -= SLOT_SECONDS) {
        if (left <= 0) {
            left = 0.2 * exp(uniform(&draws) * log(100));
            speed = uniform(&draws) < 0.5 ? 1.0 / 3 : 1;
        }
        machine->speed[i] = speed;
    }
}

/* One slot in twenty is lost to somebody else, as a whole or nearly. */
static void spikes(struct machine *machine)
{
    struct draws draws = {.key = 12};
    for (size_t i = 0; i < N_SLOTS; i++)
        machine->speed[i] = uniform(&draws) < 0.05 ? 0.02 : 1;
}

/* The logarithm of the speed is an AR(1) process that forgets in 10 s. */
static void correlated(struct machine *machine)
{
    struct draws draws = {.key = 13};
    const double keep = exp(-SLOT_SECONDS / 10);
    double x = 0;
    for (size_t i = 0; i < N_SLOTS; i++) {
        x = keep * x + 0.3 * sqrt(1 - keep * keep) * normal(&draws);
        machine->speed[i] = exp(x);
    }
}

static void all_together(struct machine *machine)
{
    static struct machine part;
    void (*const parts[])(struct machine *) = {phases, spikes, correlated};
    drift(machine);
    for (size_t k = 0; k < COUNT(parts); k++) {
        parts[k](&part);
        for (size_t i = 0; i < N_SLOTS; i++)
            machine->speed[i] *= part.speed[i];
    }
}

static void make(struct machine *machine, const char *name, void (*fill)(struct machine *))
{
    fill(machine);
    machine->name = name;
    machine->done[0] = 0;
    for (size_t i = 0; i < N_SLOTS; i++) {
        machine->speed[i] = fmax(machine->speed[i], 1e-3);
        machine->done[i + 1] = machine->done[i] + machine->speed[i] * SLOT_SECONDS;
    }
}

/* When `work` that is begun at `time` is done. After the last slot comes the first. */
static double finish(const struct machine *machine, double time, double work)
{
    const double length = N_SLOTS * SLOT_SECONDS;
    const double laps = floor(time / length), inside = time - laps * length;
    size_t low = (size_t)(inside / SLOT_SECONDS), high = N_SLOTS;
    low = low < N_SLOTS ? low : N_SLOTS - 1;
    double target = machine->done[low] + (inside - (double)low * SLOT_SECONDS) * machine->speed[low] + work;
    double end = laps * length;
    for (; target >= machine->done[N_SLOTS]; target -= machine->done[N_SLOTS], low = 0)
        end += length;
    while (high - low > 1) {
        const size_t middle = (low + high) / 2;
        if (machine->done[middle] <= target)
            low = middle;
        else
            high = middle;
    }
    return end + (double)low * SLOT_SECONDS + (target - machine->done[low]) / machine->speed[low];
}

/* A process: it starts, then repeats its work; its figure is the median of the repetitions. */
static double run_process(const struct machine *machine, double *time, double work, double placement)
{
    enum { REPETITIONS = 5 };
    double seconds[REPETITIONS];
    *time = finish(machine, *time, 0.4);
    for (size_t i = 0; i < REPETITIONS; i++) {
        const double start = *time;
        *time = finish(machine, start, 0.1 * work * placement);
        seconds[i] = *time - start;
    }
    kv_stats_sort(seconds, REPETITIONS);
    return kv_stats_median(seconds, REPETITIONS);
}

/* ---- Comparisons ---------------------------------------------------------------------------------------- */

struct tally {
    int verdicts[4], wrong, missed; /* wrong: faster where b is slower; missed: the interval lacks the truth */
    double rounds;
};

/* 64 rounds at most, looked at four times, as ab does. */
static void compare(const struct machine *machine, double slowdown, uint64_t seed, struct tally *tally)
{
    struct kv_effect_looks looks = {.alpha = 0.05, .threshold = 0.01};
    struct kv_effect effect = {.n = 0};
    struct draws draws = {.key = kv_mix64(seed)};
    double a[LONGEST], b[LONGEST];
    double time = uniform(&draws) * N_SLOTS * SLOT_SECONDS;
    for (size_t n = 0; n < LONGEST && !effect.verdict;) {
        const bool b_first = uniform(&draws) < 0.5;
        for (int place = 0; place < 2; place++) {
            const double placement = exp(0.01 * normal(&draws));
            if (b_first == (place == 0))
                b[n] = run_process(machine, &time, slowdown, placement);
            else
                a[n] = run_process(machine, &time, 1, placement);
        }
        if (++n % (LONGEST / 4) == 0)
            assert_int_equal(kv_effect_look(&looks, a, b, n, (double)n / LONGEST, &effect, NULL), KV_OK);
    }
    tally->verdicts[effect.verdict]++;
    tally->wrong += slowdown > 1 && effect.verdict == KV_EFFECT_FASTER;
    tally->missed += effect.low > slowdown || effect.high < slowdown;
    tally->rounds += (double)effect.n;
    assert_true(looks.used <= looks.alpha);
}

/* Smallest count that Binomial(trials, p) exceeds with less than 1 %. */
static int bound(int trials, double p)
{
    double below = 0;
    int count = -1;
    while (below < 0.99) {
        count++;
        below += exp(lgamma(trials + 1) - lgamma(count + 1) - lgamma(trials - count + 1) + count * log(p) +
                     (trials - count) * log1p(-p));
    }
    return count;
}

/* What is done without rounds: ten processes of a, then ten of b, and a rank test. */
static int false_alarms_in_blocks(const struct machine *machine)
{
    int alarms = 0;
    for (uint64_t trial = 0; trial < TRIALS; trial++) {
        double times[2][10];
        struct draws draws = {.key = kv_mix64(trial)};
        double time = uniform(&draws) * N_SLOTS * SLOT_SECONDS;
        for (int i = 0; i < 20; i++)
            times[i / 10][i % 10] = run_process(machine, &time, 1, exp(0.01 * normal(&draws)));
        int u = 0;
        for (int i = 0; i < 100; i++)
            u += times[0][i / 10] > times[1][i % 10];
        alarms += u <= 23 || u >= 77; /* p < 0.05: the critical value of Mann and Whitney's U for ten and ten */
    }
    return alarms;
}

static const struct {
    const char *name;
    void (*fill)(struct machine *);
    double found_10_percent; /* share of comparisons that find a true 10 %, at least */
} machines[] = {
    {"recorded, products", recorded_products, 0.9},
    {"recorded, reading", recorded_reading, 0.9},
    {"drift", drift, 0.99},
    {"phases", phases, 0.9},
    {"spikes", spikes, 0.9},
    {"autocorrelated", correlated, 0.9},
    {"all of these", all_together, 0},
};

/* Many comparisons with a side b that is slower so many times; returns the share found slower. */
static double compare_often(const struct machine *machine, double slowdown, int trials)
{
    struct tally tally = {.rounds = 0};
    for (int trial = 0; trial < trials; trial++)
        compare(machine, slowdown, (uint64_t)(1000 * slowdown) * TRIALS + (uint64_t)trial, &tally);
    const double percent = 100.0 / trials, slower = percent * tally.verdicts[KV_EFFECT_SLOWER];
    print_message("  %g: %.1f/%.1f/%.1f, %.1f, %.0f", slowdown, percent * tally.verdicts[KV_EFFECT_FASTER],
                  percent * tally.verdicts[KV_EFFECT_EQUAL], slower, percent * tally.missed, tally.rounds / trials);
    if (slowdown == 1)
        assert_true(tally.verdicts[KV_EFFECT_FASTER] + tally.verdicts[KV_EFFECT_SLOWER] <= bound(trials, 0.05));
    assert_true(tally.wrong <= bound(trials, 0.05));
    assert_true(tally.missed <= bound(trials, 0.05));
    return slower / 100;
}

static void test_verdicts_under_noise(void **state)
{
    (void)state;
    static struct machine machine;
    int worst_in_blocks = 0;
    print_message("false alarms without rounds; slow-down: faster/equal/slower %%, interval missed %%, mean rounds\n");
    for (size_t m = 0; m < COUNT(machines); m++) {
        make(&machine, machines[m].name, machines[m].fill);
        const int blocks = false_alarms_in_blocks(&machine);
        worst_in_blocks = blocks > worst_in_blocks ? blocks : worst_in_blocks;
        print_message("%-18s %4.1f %%;", machine.name, 100.0 * blocks / TRIALS);
        compare_often(&machine, 1, TRIALS);
        compare_often(&machine, 1.01, TRIALS_OF_POWER);
        compare_often(&machine, 1.03, TRIALS_OF_POWER);
        assert_true(compare_often(&machine, 1.1, TRIALS_OF_POWER) >= machines[m].found_10_percent);
        print_message("\n");
    }
    /* or else these machines prove nothing */
    assert_true(worst_in_blocks > TRIALS / 4);
}

/* ---- Known answers -------------------------------------------------------------------------------------- */

/* Depression scores of nine patients before and after, Hollander & Wolfe 1973, section 3.1 to 3.3, and their answers.
 */
static void test_published_example(void **state)
{
    (void)state;
    static const double before[] = {1.83, 0.50, 1.62, 2.48, 1.68, 1.88, 1.55, 3.06, 1.30};
    static const double after[] = {0.878, 0.647, 0.598, 2.05, 1.06, 1.29, 1.06, 3.14, 1.29};
    double a[COUNT(before)], b[COUNT(before)];
    struct kv_effect effect;
    for (size_t i = 0; i < COUNT(before); i++) {
        a[i] = exp(before[i]);
        b[i] = exp(after[i]);
    }
    assert_int_equal(kv_effect_estimate(a, b, COUNT(a), 0.04, 0.01, &effect, NULL), KV_OK);
    assert_true(fabs(log(effect.ratio) + 0.46) < 1e-9);
    assert_true(fabs(log(effect.low) + 0.786) < 1e-9);
    assert_true(fabs(log(effect.high) + 0.010) < 1e-9);
    assert_true(fabs(effect.level - 0.0390625) < 1e-12);
    assert_int_equal(effect.verdict, KV_EFFECT_FASTER);
    assert_int_equal(kv_effect_estimate(b, a, COUNT(a), 0.04, 0.01, &effect, NULL), KV_OK);
    assert_true(fabs(log(effect.ratio) - 0.46) < 1e-9);
    assert_int_equal(effect.verdict, KV_EFFECT_SLOWER);
}

/* Rounds whose ratios are 1 + x / 1000 for x = first, first + 1, .. */
static struct kv_effect of_ratios(int first, size_t n, double level, double threshold)
{
    static double a[KV_EFFECT_MAX_ROUNDS], b[KV_EFFECT_MAX_ROUNDS];
    struct kv_effect effect;
    for (size_t i = 0; i < n; i++) {
        a[i] = 3;
        b[i] = 3 * (1 + ((double)first + (double)i) / 1000);
    }
    assert_int_equal(kv_effect_estimate(a, b, n, level, threshold, &effect, NULL), KV_OK);
    return effect;
}

static void test_verdicts(void **state)
{
    (void)state;
    assert_int_equal(of_ratios(-4, 9, 0.05, 0.01).verdict, KV_EFFECT_EQUAL);
    assert_int_equal(of_ratios(1, 8, 0.05, 0.01).verdict, KV_EFFECT_EQUAL); /* beyond 1, but within the threshold */
    assert_int_equal(of_ratios(4, 20, 0.05, 0.01).verdict, KV_EFFECT_SLOWER);
    assert_int_equal(of_ratios(-25, 20, 0.05, 0.01).verdict, KV_EFFECT_FASTER);
    const struct kv_effect centred = of_ratios(-50, 100, 0.05, 0.001);
    assert_int_equal(centred.verdict, KV_EFFECT_UNDECIDED);
    assert_true(centred.low < centred.ratio && centred.ratio < centred.high);
    assert_true(centred.rounds_needed > 100);
    /* beyond the exact distribution the interval goes on as before it */
    const struct kv_effect beyond = of_ratios(-50, 101, 0.05, 0.001);
    assert_true(fabs(log(beyond.high / beyond.low) / log(centred.high / centred.low) - 1) < 0.02);
    assert_true(beyond.level <= 0.05 && beyond.level > 0.045);
}

static void test_too_few_rounds(void **state)
{
    (void)state;
    assert_int_equal(kv_effect_least_rounds(0.05), 6);
    for (size_t n = 0; n < 6; n++) {
        const struct kv_effect effect = of_ratios(500, n, 0.05, 0.01);
        assert_int_equal(effect.verdict, KV_EFFECT_UNDECIDED);
        assert_true(effect.low == 0 && isinf(effect.high) && effect.level == 0);
        assert_true(effect.rounds_needed == 6);
        assert_true(isnan(effect.ratio) == (n == 0));
    }
    assert_int_equal(of_ratios(500, 6, 0.05, 0.01).verdict, KV_EFFECT_SLOWER);
}

/* What a look could not use for want of rounds is left to later ones; all together stay within alpha. */
static void test_looks_share_the_level(void **state)
{
    (void)state;
    static const double a[] = {1, 1, 1, 1, 1, 1, 1, 1}, b[] = {2, 2, 2, 2, 2, 2, 2, 2};
    struct kv_effect_looks looks = {.alpha = 0.05, .threshold = 0.01};
    struct kv_effect effect;
    for (size_t n = 2; n <= 8; n += 2) {
        assert_int_equal(kv_effect_look(&looks, a, b, n, (double)n / 8, &effect, NULL), KV_OK);
        assert_int_equal(effect.verdict, n < 8 ? KV_EFFECT_UNDECIDED : KV_EFFECT_SLOWER);
    }
    assert_true(fabs(looks.used - 10.0 / 256) < 1e-12); /* T of 0, 1, 2 or 3 on either side: 1 + 1 + 1 + 2 signs */
}

static void test_bad_input(void **state)
{
    (void)state;
    static const double good[] = {1, 2}, bad[][2] = {{1, 0}, {1, -1}, {NAN, 1}, {1, INFINITY}};
    struct kv_effect effect;
    struct kv_error error;
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_int_equal(kv_effect_estimate(good, bad[i], 2, 0.05, 0.01, &effect, &error), KV_ERROR_ARGUMENT);
        assert_int_equal(kv_effect_estimate(bad[i], good, 2, 0.05, 0.01, &effect, &error), KV_ERROR_ARGUMENT);
        assert_true(isnan(effect.ratio));
    }
    assert_int_equal(kv_effect_estimate(good, good, 2, 0, 0.01, &effect, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_effect_estimate(good, good, 2, 0.05, NAN, &effect, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_effect_estimate(good, good, KV_EFFECT_MAX_ROUNDS + 1, 0.05, 0.01, &effect, &error),
                     KV_ERROR_ARGUMENT);
    struct kv_effect_looks looks = {.alpha = 0.05, .threshold = 0.01};
    assert_int_equal(kv_effect_look(&looks, good, good, 2, 1.5, &effect, &error), KV_ERROR_ARGUMENT);
    assert_int_equal(kv_effect_look(&looks, good, good, 2, 0, &effect, &error), KV_ERROR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_example), cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_too_few_rounds),    cmocka_unit_test(test_looks_share_the_level),
        cmocka_unit_test(test_bad_input),         cmocka_unit_test(test_verdicts_under_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
