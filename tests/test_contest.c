/* The contest of two sides (benchmarks/ab) with sides and a clock that are made up: the plan of starts, what it does
 * with the coins, false verdicts and power on a simulated machine, and what a recording of one says. */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ab/calibration.h"
#include "ab/contest.h"
#include "base/random.h"

/* ---- A machine and its clock ------------------------------------------------------------------------- */

struct machine {
    double now_s, phase_end_s, speed;
    uint64_t noise;
    double step_s;       /* of A at full speed, 10 of them a repetition */
    double slowdown;     /* of B */
    double start_spread; /* of what lies where in memory, as a part of the time */
    double carry_over;   /* the second of a round takes so much longer */
    int n_in_round;
    bool failing;  /* B's third repetition */
    bool stopping; /* after 40 repetitions */
    int n_repetitions, n_starts[2], n_stops[2];
    struct side {
        struct machine *machine;
        int number;
        double placement;
    } sides[2];
};

static double uniform(struct machine *m)
{
    return (double)(next_random(&m->noise) >> 11) * 0x1p-53;
}

/* Goes on in time until so much work is done: phases of 0.2 to 20 s, half of them at half the speed, and stalls. */
static void work(struct machine *m, double seconds)
{
    while (seconds > 0) {
        if (m->now_s >= m->phase_end_s) {
            m->phase_end_s = m->now_s + 0.2 * exp(uniform(m) * log(100));
            m->speed = uniform(m) < 0.5 ? 0.5 : 1;
        }
        const double left = m->phase_end_s - m->now_s, used = seconds / m->speed < left ? seconds / m->speed : left;
        m->now_s += used;
        seconds -= used * m->speed;
        if (seconds < 1e-12)
            break;
    }
    if (uniform(m) < 0.01)
        m->now_s += 0.05 * uniform(m);
}

static kv_status start_side(void *context, struct kv_error *error)
{
    struct side *side = context;
    (void)error;
    work(side->machine, 0.1);
    side->placement = 1 + side->machine->start_spread * (uniform(side->machine) - 0.5);
    side->machine->n_starts[side->number]++;
    return KV_OK;
}

static void stop_side(void *context)
{
    struct side *side = context;
    side->machine->n_stops[side->number]++;
}

static kv_status repeat_side(void *context, double *ms, struct kv_error *error)
{
    struct side *side = context;
    struct machine *m = side->machine;
    const double place = 1 + (m->n_in_round++ % 2 ? m->carry_over : 0);
    const double start = m->now_s;
    m->n_repetitions++;
    if (m->failing && side->number == 1 && m->n_repetitions > 5) {
        strcpy(error->message, "out of luck");
        return KV_ERROR_IO;
    }
    work(m, 10 * m->step_s * side->placement * place * (side->number ? m->slowdown : 1));
    for (int i = 0; i < KV_PEER_N_METRICS; i++)
        ms[i] = NAN;
    ms[KV_PEER_TTPT] = (m->now_s - start) * 100;
    return KV_OK;
}

static double now_s(void *context)
{
    return ((struct machine *)context)->now_s;
}

static bool is_stopped(void *context)
{
    const struct machine *m = context;
    return m->stopping && m->n_repetitions >= 40;
}

static struct machine machine_of(uint64_t noise)
{
    return (struct machine){.noise = noise, .speed = 1, .step_s = 0.002, .slowdown = 1, .start_spread = 0.01};
}

static kv_status hold(struct machine *m, struct kv_contest *contest, struct kv_contest_settings settings,
                      struct kv_error *error)
{
    struct kv_contest_side sides[2];
    for (int i = 0; i < 2; i++) {
        m->sides[i] = (struct side){.machine = m, .number = i};
        sides[i] = (struct kv_contest_side){
            .context = &m->sides[i], .start = start_side, .repeat = repeat_side, .stop = stop_side};
    }
    settings.context = m;
    settings.now_s = now_s;
    settings.stopped = is_stopped;
    return kv_contest_run(contest, sides, &settings, error);
}

static const struct kv_contest_settings usual = {.seconds = 120, .alpha = 0.02, .threshold = 0.01, .seed = 1};

/* ---- The plan ---------------------------------------------------------------------------------------- */

static bool takes(double seconds, double cost_s, double expected)
{
    const struct kv_contest_settings s = {.seconds = seconds};
    return fabs(kv_contest_start_seconds(&s, cost_s) - expected) < 1e-9;
}

static void starts_are_as_long_as_their_cost_asks_for(void **state)
{
    (void)state;
    assert_true(takes(120, 0.1, 5));
    assert_true(takes(120, 2, 8));
    assert_true(takes(120, 60, 10)); /* fewer starts could tell nothing */
    assert_true(takes(600, 0.1, 5));
    assert_true(takes(6, 0.01, 0.25));
}

static void it_keeps_to_its_time_and_stops_what_it_starts(void **state)
{
    struct kv_error error = {""};
    struct kv_contest *c = malloc(sizeof *c);
    struct machine m = machine_of(3);
    (void)state;
    assert_ok(hold(&m, c, usual, &error), error);
    assert_true(m.now_s < usual.seconds + 2);
    assert_true(m.n_starts[0] == c->n_starts && m.n_starts[1] == c->n_starts);
    assert_true(m.n_stops[0] == c->n_starts && m.n_stops[1] == c->n_starts);
    assert_int_equal(2 * c->n_rounds, m.n_repetitions);
    assert_true(kv_contest_median(c, 0, KV_PEER_TTPT) > 1.9 && kv_contest_median(c, 0, KV_PEER_TTPT) < 4.1);
    assert_true(isnan(kv_contest_median(c, 0, KV_PEER_E2E)));
    /* Twice the time is plain at the first look. */
    m = machine_of(3);
    m.slowdown = 2;
    assert_ok(hold(&m, c, usual, &error), error);
    assert_int_equal(c->effect.verdict, KV_EFFECT_SLOWER);
    assert_true(m.now_s < 0.5 * usual.seconds && c->n_starts < 12);
    assert_true(c->effect.low < 2 && c->effect.high > 1.95);
    free(c);
}

static void what_fails_and_an_interrupt_end_it(void **state)
{
    struct kv_error error = {""};
    struct kv_contest *c = malloc(sizeof *c);
    struct machine m = machine_of(4);
    (void)state;
    m.failing = true;
    assert_int_equal(hold(&m, c, usual, &error), KV_ERROR_IO);
    assert_string_equal(error.message, "out of luck");
    assert_int_equal(m.n_stops[0], m.n_starts[0]);
    m = machine_of(4);
    m.stopping = true;
    assert_ok(hold(&m, c, usual, &error), error);
    assert_int_equal(m.n_repetitions, 40);
    assert_int_equal(c->effect.verdict, KV_EFFECT_UNDECIDED);
    assert_int_equal(c->n_starts, 1);
    free(c);
}

/* ---- What is between neighbours ---------------------------------------------------------------------- */

static void neighbours_of_different_sides_count(void **state)
{
    struct kv_error error = {""};
    double d;
    /* A 1, B 2 | B 4, A 1 | A unknown, B 3: log 2, log 4, log 3, and B 2 beside B 4 tells nothing */
    static const struct kv_repetition r[] = {
        {.side = 0, .ms = {1}}, {.side = 1, .ms = {2}},   {.side = 1, .ms = {4}},
        {.side = 0, .ms = {1}}, {.side = 0, .ms = {NAN}}, {.side = 1, .ms = {3}},
    };
    (void)state;
    assert_ok(kv_contest_log_ratio(r, 6, KV_PEER_TTPT, &d, &error), error);
    assert_true(fabs(d - log(3)) < 1e-12);
    assert_ok(kv_contest_log_ratio(r + 3, 2, KV_PEER_TTPT, &d, &error), error);
    assert_true(isnan(d));
}

/* ---- Verdicts ---------------------------------------------------------------------------------------- */

static int count_verdicts(int n, double slowdown, double carry_over, enum kv_effect_verdict wanted)
{
    struct kv_error error = {""};
    struct kv_contest *c = malloc(sizeof *c);
    int found = 0;
    for (int i = 0; i < n; i++) {
        struct machine m = machine_of((uint64_t)i + 100);
        struct kv_contest_settings s = usual;
        s.seed = kv_mix64((uint64_t)i);
        s.threshold = 1e-6; /* nothing is saved by being equal */
        m.slowdown = slowdown;
        m.carry_over = carry_over;
        assert_ok(hold(&m, c, s, &error), error);
        found += wanted == KV_EFFECT_UNDECIDED ? c->effect.verdict != KV_EFFECT_UNDECIDED : c->effect.verdict == wanted;
    }
    free(c);
    return found;
}

static void no_more_false_verdicts_than_promised(void **state)
{
    (void)state;
    /* Of 200 at 2 %: 11 or more come in 1 of 300. */
    assert_in_range(count_verdicts(200, 1, 0, KV_EFFECT_UNDECIDED), 0, 10);
    assert_in_range(count_verdicts(200, 1, 0.05, KV_EFFECT_UNDECIDED), 0, 10);
}

static void small_differences_are_found(void **state)
{
    (void)state;
    assert_in_range(count_verdicts(40, 1.01, 0, KV_EFFECT_SLOWER), 38, 40);
    assert_in_range(count_verdicts(40, 0.97, 0, KV_EFFECT_FASTER), 40, 40);
}

/* ---- Calibration ------------------------------------------------------------------------------------- */

/* 10 starts of 40 rounds a second apart, in which B is 10 % slower in every other round; times drift by 1 % a second. */
static void a_recording_tells_power_and_windows(void **state)
{
    struct kv_error error = {""};
    enum { N = 10 * 40 * 2 };
    struct kv_recorded *recorded = calloc(N, sizeof *recorded);
    uint64_t noise = 9;
    (void)state;
    for (int i = 0; i < N; i++) {
        const int round = i / 2, side = (i + round) % 2;
        const double slowdown = round % 2 ? 10 : 0;
        recorded[i].slowdown_pct = slowdown;
        recorded[i].repetition = (struct kv_repetition){
            .start = round / 40 + 1, .round = round % 40 + 1, .place = i % 2 + 1, .side = side, .started_s = round};
        recorded[i].repetition.ms[KV_PEER_TTPT] = exp(0.01 * round) * (1 + 0.001 * random_float(&noise)) *
                                                  (side ? 1 + slowdown / 100 : 1);
    }
    const struct kv_recording r = {.repetitions = recorded, .n = N, .seconds = 400};
    struct kv_power p;
    assert_ok(kv_calibrate_power(&r, 120, 10, 0.02, 0.01, 5, &p, &error), error);
    assert_int_equal(p.n, 400);
    assert_int_equal(p.verdicts[KV_EFFECT_SLOWER], 400);
    assert_ok(kv_calibrate_power(&r, 120, 0, 0.02, 0.01, 5, &p, &error), error);
    assert_in_range(p.verdicts[KV_EFFECT_SLOWER] + p.verdicts[KV_EFFECT_FASTER], 0, 16);
    assert_int_equal(kv_calibrate_power(&r, 120, 7, 0.02, 0.01, 5, &p, &error), KV_ERROR_ARGUMENT);
    struct kv_apart_windows w;
    assert_ok(kv_calibrate_windows(&r, 20, 100, &w, &error), error);
    assert_int_equal(w.n, 57);
    assert_true(fabs(w.log_ratio_q95 - 1) < 0.02);
    assert_ok(kv_calibrate_windows(&r, 20, 1000, &w, &error), error);
    assert_int_equal(w.n, 0);
    free(recorded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(starts_are_as_long_as_their_cost_asks_for),
        cmocka_unit_test(it_keeps_to_its_time_and_stops_what_it_starts),
        cmocka_unit_test(what_fails_and_an_interrupt_end_it),
        cmocka_unit_test(neighbours_of_different_sides_count),
        cmocka_unit_test(no_more_false_verdicts_than_promised),
        cmocka_unit_test(small_differences_are_found),
        cmocka_unit_test(a_recording_tells_power_and_windows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
