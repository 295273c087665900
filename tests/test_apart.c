/* Separate runs of one program on machines that move: compare must not tell them apart, and must tell what is large
 * enough. The machines are made: a drift as long as many runs, phases, spikes, all together; and one that stands still. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "results/apart.h"
#include "results/reader.h"

enum { N_CELLS = 3, N_ROUNDS = 10, N_RUNS = 4, N_SETS = 60, N_SIDE = 3 };

/* ---- Machines ------------------------------------------------------------------------------------------------------- */

struct machine {
    double drift, phases, spikes;
    double between;  /* s from one repetition to the next, that others take */
    uint64_t key, n; /* of what is drawn */
    double reading, arithmetic, phase, phase_left;
};

static double uniform(struct machine *m)
{
    return ((double)(kv_draw64(m->key, m->n++) >> 11) + 0.5) * 0x1p-53;
}

static double normal(struct machine *m)
{
    const double u = uniform(m), v = uniform(m);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}

static void pass(struct machine *m, double seconds)
{
    m->reading += m->drift * sqrt(seconds / 1000) * normal(m) - m->reading * fmin(1, seconds / 400);
    m->arithmetic += m->drift * sqrt(seconds / 1000) * normal(m) - m->arithmetic * fmin(1, seconds / 400);
    m->phase_left -= seconds;
    if (m->phase_left < 0) {
        m->phase = uniform(m) < 0.5 ? 0 : m->phases * uniform(m);
        m->phase_left = exp(log(0.2) + uniform(m) * log(300));
    }
}

/* ---- Runs -------------------------------------------------------------------------------------------------------------- */

struct run {
    struct kv_results results;
    struct kv_context_facts facts;
    struct kv_cell_results cells[N_CELLS];
    struct kv_probed probed[N_CELLS * N_ROUNDS];
    double values[3][N_CELLS][N_ROUNDS];
    struct kv_round_value rounds[3][N_CELLS][N_ROUNDS];
};

static const enum kv_column columns[] = {KV_COLUMN_TTPT_MS, KV_COLUMN_PROBE_READ_BYTES_PER_S,
                                         KV_COLUMN_PROBE_FMA_FLOP_PER_S};

/* One repetition of a cell that spends that part of its time on reading, with the probes around it. */
static void repeat(struct run *run, struct machine *m, int cell, int round, double slowdown)
{
    static const double part[N_CELLS] = {0.9, 0.5, 0.1}, seconds[N_CELLS] = {0.1, 0.5, 0.3};
    double fastest[2] = {0, 0}, time = 0;
    for (int i = 0; i < 4; i++) { /* probe, two halves, probe */
        const double reading = exp(m->reading - m->phase), arithmetic = exp(m->arithmetic - m->phase / 2);
        if (i == 0 || i == 3) {
            fastest[0] = fmax(fastest[0], reading * exp(0.02 * normal(m)));
            fastest[1] = fmax(fastest[1], arithmetic * exp(0.02 * normal(m)));
        } else {
            const double half = seconds[cell] / 2 * (part[cell] / reading + (1 - part[cell]) / arithmetic);
            time += half * exp(0.01 * normal(m)) * (uniform(m) < m->spikes ? 5 : 1);
            pass(m, half);
        }
    }
    pass(m, 0.05 + m->between);
    const double figures[] = {1e3 * time * slowdown, fastest[0] * 1e10, fastest[1] * 1e11};
    for (int f = 0; f < 3; f++) {
        run->values[f][cell][round - 1] = figures[f];
        run->rounds[f][cell][round - 1] = (struct kv_round_value){round, figures[f]};
    }
    run->probed[run->results.n_probed++] = (struct kv_probed){(size_t)cell, figures[1], figures[2], NAN};
}

/* A run, half an hour after the last one. Where a start of the program puts its memory is worth 1 %. */
static void make_run(struct run *run, struct machine *m, double slowdown)
{
    memset(run, 0, sizeof *run);
    run->facts = (struct kv_context_facts){"", "", "", -1, -1, NAN, "", "", false};
    run->results = (struct kv_results){.folder = "/nowhere",
                                       .cells = run->cells,
                                       .n_cells = N_CELLS,
                                       .probed = run->probed,
                                       .context = &run->facts,
                                       .started_s = NAN,
                                       .ended_s = NAN};
    for (int i = 0; i < 100; i++)
        pass(m, 18);
    double start[N_CELLS];
    for (int cell = 0; cell < N_CELLS; cell++) {
        start[cell] = exp(0.01 * normal(m));
        run->cells[cell].file = KV_FILE_RUNS;
        for (int c = 0; c < KV_N_COLUMNS; c++)
            run->cells[cell].texts[c] = "";
    }
    for (int round = 1; round <= N_ROUNDS; round++)
        for (int i = 0, first = (int)(uniform(m) * N_CELLS); i < N_CELLS; i++)
            repeat(run, m, (first + i) % N_CELLS, round, slowdown * start[(first + i) % N_CELLS]);
    for (int cell = 0; cell < N_CELLS; cell++) {
        run->cells[cell].n = N_ROUNDS;
        for (int f = 0; f < 3; f++) {
            struct kv_sample *sample = &run->cells[cell].figures[columns[f]];
            sample->n = N_ROUNDS;
            kv_sample_describe(sample, run->values[f][cell], run->rounds[f][cell], f == 0);
        }
    }
}

struct tally {
    double faster, slower, corrected, n;
};

/* Runs `start`, `start` + step, .. [N_SIDE] are one side, those `other` further on the other. */
static void compare_sides(struct run *runs, int step, int other, struct tally *tally)
{
    const struct kv_results *results[2][N_SIDE];
    const struct kv_cell_results *cells[2][N_SIDE];
    struct kv_apart apart;
    for (int i = 0; i < 2 * N_SIDE; i++)
        results[i % 2][i / 2] = &runs[i / 2 * step + i % 2 * other].results;
    assert_int_equal(kv_apart_find_sides(results[0], N_SIDE, results[1], N_SIDE, &apart, NULL), KV_OK);
    assert_int_equal(apart.in_turns, step == 2);
    for (int cell = 0; cell < N_CELLS; cell++) {
        struct kv_apart_judgement j;
        for (int i = 0; i < 2 * N_SIDE; i++)
            cells[i % 2][i / 2] = &results[i % 2][i / 2]->cells[cell];
        assert_int_equal(
            kv_apart_judge_sides(&apart, cells[0], N_SIDE, cells[1], N_SIDE, KV_COLUMN_TTPT_MS, 0.02, &j, NULL), KV_OK);
        tally->faster += j.judged.verdict == KV_EFFECT_FASTER;
        tally->slower += j.judged.verdict == KV_EFFECT_SLOWER;
        tally->n++;
    }
}

static void judge(const struct kv_apart *apart, const struct run *a, const struct run *b, struct tally *tally)
{
    for (int cell = 0; cell < N_CELLS; cell++) {
        struct kv_apart_judgement j;
        assert_int_equal(kv_apart_judge(apart, &a->cells[cell], &b->cells[cell], KV_COLUMN_TTPT_MS, 0.02, &j, NULL),
                         KV_OK);
        tally->faster += j.judged.verdict == KV_EFFECT_FASTER;
        tally->slower += j.judged.verdict == KV_EFFECT_SLOWER;
        tally->corrected += j.corrected_by != NULL;
        tally->n++;
    }
}

static void compare(const struct run *a, const struct run *b, struct tally *tally)
{
    struct kv_apart apart;
    assert_int_equal(kv_apart_find(&a->results, &b->results, &apart, NULL), KV_OK);
    judge(&apart, a, b, tally);
}

static const struct {
    const char *name;
    double drift, phases, spikes;
    double slowdown, found; /* a slow-down that is found in that part of the comparisons, at least */
} machines[] = {
    {"still", 0, 0, 0, 1.15, 0.95},   {"drift", 0.5, 0, 0, 1.5, 0.5},           {"phases", 0, 0.7, 0, 2, 0.5},
    {"spikes", 0, 0, 0.05, 1.3, 0.7}, {"all of these", 0.5, 0.7, 0.05, 3, 0.4},
};

static void test_separate_runs(void **state)
{
    (void)state;
    static struct run runs[N_RUNS + 1];
    print_message("of separate runs %% told apart (corrected); slow-down: found\n");
    for (size_t k = 0; k < sizeof machines / sizeof *machines; k++) {
        struct tally same = {0, 0, 0, 0}, slower = {0, 0, 0, 0};
        for (uint64_t set = 0; set < N_SETS; set++) {
            struct machine m = {.drift = machines[k].drift,
                                .phases = machines[k].phases,
                                .spikes = machines[k].spikes,
                                .key = kv_mix64(100 * k + set)};
            for (int i = 0; i < N_RUNS; i++)
                make_run(&runs[i], &m, 1);
            make_run(&runs[N_RUNS], &m, machines[k].slowdown);
            for (int i = 0; i < N_RUNS; i++)
                for (int other = 0; other < i; other++)
                    compare(&runs[i], &runs[other], &same);
            compare(&runs[0], &runs[N_RUNS], &slower);
        }
        print_message("%-12s %4.1f %% (%3.0f %%)   %g: %3.0f %%\n", machines[k].name,
                      100 * (same.faster + same.slower) / same.n, 100 * same.corrected / same.n, machines[k].slowdown,
                      100 * slower.slower / slower.n);
        assert_true(same.faster + same.slower <= 0.05 * same.n);
        assert_true(slower.faster == 0);
        assert_true(slower.slower >= machines[k].found * slower.n);
    }
}

/* Three runs a side of one program, in turns and one side first, and of one that is 8 % slower, which on a machine that
 * stands still two runs cannot show. */
static void test_several_runs(void **state)
{
    (void)state;
    static struct run runs[2 * N_SIDE];
    print_message("of 3 runs a side %% told apart in turns, one side first; a slow-down of 8 %%: found\n");
    for (size_t k = 0; k < sizeof machines / sizeof *machines; k++) {
        struct tally turns = {0, 0, 0, 0}, blocks = {0, 0, 0, 0}, slower = {0, 0, 0, 0};
        for (uint64_t set = 0; set < 3 * N_SETS; set++) {
            struct machine m = {.drift = machines[k].drift,
                                .phases = machines[k].phases,
                                .spikes = machines[k].spikes,
                                .key = kv_mix64(1000 + 1000 * k + set)};
            for (int slow = 0; slow < 2; slow++) {
                for (int i = 0; i < 2 * N_SIDE; i++) {
                    make_run(&runs[i], &m, slow && i % 2 ? 1.08 : 1);
                    runs[i].results.started_s = runs[i].results.ended_s = 1e9 + 1800 * i;
                }
                compare_sides(runs, 2, 1, slow ? &slower : &turns);
                if (!slow)
                    compare_sides(runs, 1, N_SIDE, &blocks);
            }
        }
        print_message("%-12s %4.1f %%  %4.1f %%  %3.0f %%\n", machines[k].name,
                      100 * (turns.faster + turns.slower) / turns.n, 100 * (blocks.faster + blocks.slower) / blocks.n,
                      100 * slower.slower / slower.n);
        assert_true(turns.faster + turns.slower <= 0.05 * turns.n);
        assert_true(blocks.faster + blocks.slower <= 0.05 * blocks.n);
        assert_true(slower.slower >= (k == 0 ? 0.9 : 0) * slower.n);
    }
}

/* Runs of two machines that are as fast, each with phases and spikes of its own, and longer than a phase. Drift is left
 * out: what a machine does at another hour its run does not know. The allowance of two machines is sqrt 2 times as wide,
 * and so is what has to be found. */
static void test_two_machines(void **state)
{
    (void)state;
    static struct run a, b, slow;
    for (size_t k = 0; k < sizeof machines / sizeof *machines; k++) {
        struct tally same = {0, 0, 0, 0}, slower = {0, 0, 0, 0};
        for (uint64_t set = 0; set < 4 * N_SETS; set++) {
            struct machine one = {
                .phases = machines[k].phases, .spikes = machines[k].spikes, .between = 3, .key = kv_mix64(set)};
            struct machine two = {
                .between = 3, .phases = machines[k].phases, .spikes = machines[k].spikes, .key = kv_mix64(1000 + set)};
            struct kv_apart apart;
            make_run(&a, &one, 1);
            make_run(&b, &two, 1);
            make_run(&slow, &two, pow(machines[k].slowdown, sqrt(2)));
            assert_int_equal(kv_apart_of_machines(&a.results, &b.results, &apart, NULL), KV_OK);
            assert_true(apart.log_factor >= hypot(log(1.05), log(1.05)) - 1e-12 && !apart.is_calibrated);
            judge(&apart, &a, &b, &same);
            assert_int_equal(kv_apart_of_machines(&a.results, &slow.results, &apart, NULL), KV_OK);
            judge(&apart, &a, &slow, &slower);
        }
        print_message("%-12s %4.1f %%   %g: %3.0f %%\n", machines[k].name, 100 * (same.faster + same.slower) / same.n,
                      pow(machines[k].slowdown, sqrt(2)), 100 * slower.slower / slower.n);
        assert_true(same.faster + same.slower <= 0.05 * same.n);
        assert_true(slower.faster == 0);
        assert_true(slower.slower >= machines[k].found * slower.n);
        assert_true(same.corrected == 0 && slower.corrected == 0); /* or their memories would be made equal */
    }
}

/* Where something waited for a CPU in three quarters of one run's time, a factor of four more may be the machine, and no
 * correction by the probes takes that back. */
static void test_waiting_widens(void **state)
{
    (void)state;
    static struct run a, b;
    static double pressure[] = {75, 75, 75};
    struct machine m = {.key = kv_mix64(1)};
    struct kv_apart quiet, waiting;
    struct tally told = {0, 0, 0, 0}, told_waiting = {0, 0, 0, 0};
    make_run(&a, &m, 1);
    make_run(&b, &m, 2.5);
    assert_int_equal(kv_apart_find(&a.results, &b.results, &quiet, NULL), KV_OK);
    assert_true(quiet.waiting == 0);
    compare(&a, &b, &told);
    for (int cell = 0; cell < N_CELLS; cell++)
        b.cells[cell].figures[KV_COLUMN_PRESSURE_PCT] = (struct kv_sample){.values = pressure, .n = 3};
    assert_int_equal(kv_apart_find(&a.results, &b.results, &waiting, NULL), KV_OK);
    assert_true(fabs(waiting.waiting - log(4)) < 1e-12);
    assert_true(fabs(waiting.log_factor - quiet.log_factor - log(4)) < 1e-12);
    assert_non_null(strstr(waiting.source, "something waited for a CPU in 75 % of the time"));
    compare(&a, &b, &told_waiting);
    assert_true(told.slower == N_CELLS && told_waiting.slower == 0 && told_waiting.faster == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_separate_runs),
        cmocka_unit_test(test_several_runs),
        cmocka_unit_test(test_two_machines),
        cmocka_unit_test(test_waiting_widens),
    };
    return cmocka_run_group_tests_name("apart", tests, NULL, NULL);
}
