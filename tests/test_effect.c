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

#include "ab/contest.h"
#include "base/random.h"
#include "results/effect.h"
#include "results/stats.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- Machines ------------------------------------------------------------------------------------------- */

#define SLOT_SECONDS 0.05
enum { N_SLOTS = 6600 };

/* Comparisons of a machine; `long` on the command line takes more. */
static int trials = 500, trials_of_power = 100;

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

/* How long that work takes from now on. */
static double run(const struct machine *machine, double *time, double work)
{
    const double start = *time;
    *time = finish(machine, start, work);
    return *time - start;
}

#define START_WORK      0.4
#define REPETITION_WORK 0.1

/* Where a process lies in memory makes it faster or slower for all of its life. */
static double placement(struct draws *draws)
{
    return exp(0.01 * normal(draws));
}

/* A process: it starts, then repeats its work; its figure is the median of the repetitions. */
static double run_process(const struct machine *machine, double *time, double work, struct draws *draws)
{
    enum { REPETITIONS = 5 };
    double seconds[REPETITIONS];
    work *= placement(draws);
    run(machine, time, START_WORK);
    for (size_t i = 0; i < REPETITIONS; i++)
        seconds[i] = run(machine, time, REPETITION_WORK * work);
    kv_stats_sort(seconds, REPETITIONS);
    return kv_stats_median(seconds, REPETITIONS);
}

/* ---- Comparisons ---------------------------------------------------------------------------------------- */

/* Where and when a simulated comparison is. */
struct simulation {
    const struct machine *machine;
    double time;
    struct draws draws;
};

struct design {
    const char *name;
    kv_status (*compare)(const struct design *design, struct simulation *s, double slowdown, struct kv_effect *effect);
    double alpha;
    int n_looks; /* of rounds */
    int thinned; /* only every so many comparisons of this kind are made */
};

#define THRESHOLD 0.01

/* Rounds of a process of each side, a coin saying which is first. */
static kv_status compare_processes(const struct design *design, struct simulation *s, double slowdown,
                                   struct kv_effect *effect)
{
    enum { ROUNDS = 64 };
    struct kv_effect_looks looks = {.alpha = design->alpha, .threshold = THRESHOLD};
    double times[2][ROUNDS];
    kv_status status = KV_OK;
    for (int n = 0; !status && n < ROUNDS && !effect->verdict;) {
        const int first = uniform(&s->draws) < 0.5;
        for (int place = 0; place < 2; place++) {
            const int side = first ^ place;
            times[side][n] = run_process(s->machine, &s->time, side ? slowdown : 1, &s->draws);
        }
        if (++n % (ROUNDS / design->n_looks) == 0)
            status = kv_effect_look(&looks, times[0], times[1], (size_t)n, (double)n / ROUNDS, effect, NULL);
    }
    assert_true(looks.used <= looks.alpha);
    return status;
}

/* A side of kvbench ab, which measures a middle step of several when it is asked. */
struct simulated_side {
    struct simulation *simulation;
    double slowdown, work;
};

static kv_status start_side(void *context, struct kv_error *error)
{
    struct simulated_side *side = context;
    (void)error;
    side->work = side->slowdown * placement(&side->simulation->draws);
    run(side->simulation->machine, &side->simulation->time, START_WORK);
    return KV_OK;
}

static kv_status repeat_side(void *context, double *ms, struct kv_error *error)
{
    enum { STEPS = 5 };
    struct simulated_side *side = context;
    double steps[STEPS];
    (void)error;
    for (int i = 0; i < STEPS; i++)
        steps[i] = 1e3 * run(side->simulation->machine, &side->simulation->time, 0.02 / STEPS * side->work);
    kv_stats_sort(steps, STEPS);
    for (int m = 0; m < KV_PEER_N_METRICS; m++)
        ms[m] = m == KV_PEER_TTPT ? kv_stats_median(steps, STEPS) : NAN;
    return KV_OK;
}

static void stop_side(void *context)
{
    (void)context;
}

static double simulated_now(void *context)
{
    const struct simulation *simulation = context;
    return simulation->time;
}

/* The 2 minutes of kvbench ab: starts of both sides, in each as many rounds as there is time for. */
static kv_status compare_as_ab(const struct design *design, struct simulation *s, double slowdown,
                               struct kv_effect *effect)
{
    static struct kv_contest contest;
    struct simulated_side parts[] = {{.simulation = s, .slowdown = 1}, {.simulation = s, .slowdown = slowdown}};
    struct kv_contest_side sides[KV_CONTEST_SIDES];
    const struct kv_contest_settings settings = {
        .seconds = 120,
        .alpha = design->alpha,
        .threshold = THRESHOLD,
        .seed = kv_draw64(s->draws.key, s->draws.n++),
        .metric = KV_PEER_TTPT,
        .context = s,
        .now_s = simulated_now,
    };
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        sides[i] = (struct kv_contest_side){&parts[i], start_side, repeat_side, stop_side};
    const kv_status status = kv_contest_run(&contest, sides, &settings, NULL);
    *effect = contest.effect;
    assert_true(contest.looks.used <= contest.looks.alpha);
    return status;
}

static const struct design designs[] = {
    {"rounds of processes, one look", compare_processes, 0.05, 1, 1},
    {"rounds of processes, 4 looks", compare_processes, 0.05, 4, 1},
    {"starts, as kvbench ab", compare_as_ab, 0.02, 0, 4},
};

struct tally {
    int n, verdicts[4], wrong, missed; /* wrong: faster where b is slower; missed: the interval lacks the truth */
    double units;
};

/* Smallest count that Binomial(n, p) exceeds with less than 1 %. */
static int bound(int n, double p)
{
    double below = 0;
    int count = -1;
    while (below < 0.99) {
        count++;
        below += exp(lgamma(n + 1) - lgamma(count + 1) - lgamma(n - count + 1) + count * log(p) +
                     (n - count) * log1p(-p));
    }
    return count;
}

/* What is done without rounds: ten processes of a, then ten of b, and a rank test. */
static int false_alarms_in_blocks(const struct machine *machine)
{
    int alarms = 0;
    for (int trial = 0; trial < trials; trial++) {
        double times[2][10];
        struct draws draws = {.key = kv_mix64((uint64_t)trial)};
        double time = uniform(&draws) * N_SLOTS * SLOT_SECONDS;
        for (int i = 0; i < 20; i++)
            times[i / 10][i % 10] = run_process(machine, &time, 1, &draws);
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
    double found[2]; /* share of comparisons that find a true 10 %, at least: by rounds of processes, by ab */
} machines[] = {
    {"recorded, products", recorded_products, {0.9, 0.75}}, /* a third of the starts fall where hardly anything runs */
    {"recorded, reading", recorded_reading, {0.9, 0.75}},
    {"drift", drift, {0.99, 0.95}},
    {"phases", phases, {0.9, 0.95}},
    {"spikes", spikes, {0.9, 0.95}},
    {"autocorrelated", correlated, {0.9, 0.95}},
    {"all of these", all_together, {0, 0.9}},
};

/* Many comparisons with a side b that is slower so many times. */
static struct tally compare_often(const struct machine *machine, const struct design *design, double slowdown, int n)
{
    struct tally tally = {.n = n / design->thinned};
    for (int trial = 0; trial < tally.n; trial++) {
        const uint64_t seed = (uint64_t)(1000 * slowdown) * 1000000 + (uint64_t)trial;
        struct simulation simulation = {.machine = machine, .draws = {.key = kv_mix64(seed)}};
        struct kv_effect effect = {.n = 0};
        simulation.time = uniform(&simulation.draws) * N_SLOTS * SLOT_SECONDS;
        assert_int_equal(design->compare(design, &simulation, slowdown, &effect), KV_OK);
        tally.verdicts[effect.verdict]++;
        tally.wrong += slowdown > 1 && effect.verdict == KV_EFFECT_FASTER;
        tally.missed += effect.low > slowdown || effect.high < slowdown;
        tally.units += (double)effect.n;
    }
    const double percent = 100.0 / tally.n;
    print_message("  %g: %.1f/%.1f/%.1f, %.1f, %.0f", slowdown, percent * tally.verdicts[KV_EFFECT_FASTER],
                  percent * tally.verdicts[KV_EFFECT_EQUAL], percent * tally.verdicts[KV_EFFECT_SLOWER],
                  percent * tally.missed, tally.units / tally.n);
    assert_true(tally.wrong <= bound(tally.n, design->alpha));
    assert_true(tally.missed <= bound(tally.n, design->alpha));
    return tally;
}

static int false_verdicts(const struct tally *tally)
{
    return tally->verdicts[KV_EFFECT_FASTER] + tally->verdicts[KV_EFFECT_SLOWER];
}

static void test_verdicts_under_noise(void **state)
{
    (void)state;
    static struct machine machine;
    int worst_in_blocks = 0, false_in_all = 0, n_in_all = 0;
    print_message("slow-down: faster/equal/slower %%, interval missed %%, mean rounds or starts\n");
    for (size_t m = 0; m < COUNT(machines); m++) {
        make(&machine, machines[m].name, machines[m].fill);
        const int blocks = false_alarms_in_blocks(&machine);
        worst_in_blocks = blocks > worst_in_blocks ? blocks : worst_in_blocks;
        print_message("%s; false alarms without rounds: %.1f %%\n", machine.name, 100.0 * blocks / trials);
        for (size_t i = 0; i < COUNT(designs); i++) {
            print_message("  %s:", designs[i].name);
            const struct tally same = compare_often(&machine, &designs[i], 1, trials);
            assert_true(false_verdicts(&same) <= bound(same.n, designs[i].alpha));
            false_in_all += false_verdicts(&same);
            n_in_all += same.n;
            compare_often(&machine, &designs[i], 1.01, trials_of_power);
            compare_often(&machine, &designs[i], 1.03, trials_of_power);
            const struct tally slow = compare_often(&machine, &designs[i], 1.1, trials_of_power);
            const double found = machines[m].found[designs[i].compare == compare_as_ab];
            assert_true(slow.verdicts[KV_EFFECT_SLOWER] >= found * slow.n);
            print_message("\n");
        }
    }
    print_message("%d of %d comparisons of a program with itself said faster or slower: %.2f %%\n", false_in_all,
                  n_in_all, 100.0 * false_in_all / n_in_all);
    assert_true(false_in_all <= bound(n_in_all, 0.05));
    /* or else these machines prove nothing */
    assert_true(worst_in_blocks > trials / 4);
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

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "long") == 0) {
        trials = 20000;
        trials_of_power = 2000;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_example), cmocka_unit_test(test_verdicts),
        cmocka_unit_test(test_too_few_rounds),    cmocka_unit_test(test_looks_share_the_level),
        cmocka_unit_test(test_bad_input),         cmocka_unit_test(test_verdicts_under_noise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
