/* Trends on simulated machines whose memory changes its speed between the cells of a round: the correction by the probes
 * invents no slope, finds more of true ones, and keeps out of the way where probes say nothing. */
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/random.h"
#include "results/results.h"

enum { N_CELLS = 9, N_ROUNDS = 6, N_SLOTS = 6600, TRIALS = 600 };
#define SLOT_SECONDS 0.05

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

/* ---- Machines: the speed of memory in each slot -------------------------------------------------------------------- */

static void two_speeds(double *speed)
{
    struct draws draws = {.key = 1};
    double left = 0, now = 1;
    for (int i = 0; i < N_SLOTS; i++, left -= SLOT_SECONDS) {
        if (left <= 0) {
            left = -1.5 * log(uniform(&draws));
            now = now == 1 ? 0.65 : 1;
        }
        speed[i] = now;
    }
}

static void recorded(double *speed)
{
    FILE *file = fopen(KV_DATA_DIR "/noise/xeon.csv", "r");
    char line[64];
    int n = 0;
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    for (const char *comma; n < N_SLOTS && fgets(line, sizeof line, file) && (comma = strchr(line, ','));)
        speed[n++] = strtod(comma + 1, NULL) / 1000;
    fclose(file);
    assert_in_range(n, N_SLOTS - 100, N_SLOTS);
    for (int i = n; i < N_SLOTS; i++)
        speed[i] = speed[i - n];
}

static void drift(double *speed)
{
    for (int i = 0; i < N_SLOTS; i++)
        speed[i] = exp(0.7 * sin(6.283185307179586 * i / N_SLOTS));
}

static void quiet(double *speed)
{
    for (int i = 0; i < N_SLOTS; i++)
        speed[i] = 1;
}

/* ---- Runs --------------------------------------------------------------------------------------------------------------- */

enum probes { NO_PROBES, PROBES, NOISE };

/* The cells of a curve, with room for what they point to. */
struct curve {
    struct kv_cell_results cells[N_CELLS];
    const struct kv_cell_results *list[N_CELLS];
    struct kv_round_value times[N_CELLS][N_ROUNDS], reads[N_CELLS][N_ROUNDS], products[N_CELLS][N_ROUNDS];
};

static void start_curve(struct curve *curve, enum probes probes)
{
    memset(curve, 0, sizeof *curve);
    for (int i = 0; i < N_CELLS; i++) {
        struct kv_cell_results *cell = &curve->cells[i];
        curve->list[i] = cell;
        cell->numbers[KV_COLUMN_CONTEXT_TOKENS] = 1 + 128 * i;
        cell->figures[KV_COLUMN_TTPT_MS] = (struct kv_sample){.rounds = curve->times[i], .n = N_ROUNDS};
        if (probes != NO_PROBES) {
            cell->figures[KV_COLUMN_PROBE_READ_BYTES_PER_S] = (struct kv_sample){.rounds = curve->reads[i],
                                                                                 .n = N_ROUNDS};
            cell->figures[KV_COLUMN_PROBE_FMA_FLOP_PER_S] = (struct kv_sample){.rounds = curve->products[i],
                                                                               .n = N_ROUNDS};
        }
    }
}

/* A step is 10 ms, 80 % of it reading, and grows by `growth` up to the last context; one in 25 is stalled. */
static void measure(struct curve *curve, const double *speed, enum probes probes, double growth, struct draws *draws)
{
    double t = uniform(draws) * 200;
    start_curve(curve, probes);
    for (int round = 0; round < N_ROUNDS; round++, t += 3 * uniform(draws)) {
        int order[N_CELLS] = {0};
        for (int i = 0; i < N_CELLS; i++) {
            const int at = (int)(uniform(draws) * (i + 1));
            order[i] = order[at];
            order[at] = i;
        }
        for (int i = 0; i < N_CELLS; i++, t += 0.45) {
            const int cell = order[i], slot = (int)(t / SLOT_SECONDS);
            const double before = speed[slot % N_SLOTS] * exp(0.015 * normal(draws));
            const double after = speed[(slot + 8) % N_SLOTS] * exp(0.015 * normal(draws));
            double took = 0;
            for (int k = 2; k < 8; k++)
                took += (0.8 / speed[(slot + k) % N_SLOTS] + 0.2) / 6;
            took *= 10 * (1 + growth * cell / (N_CELLS - 1)) * exp(0.03 * normal(draws));
            const double probe = probes == NOISE ? exp(0.2 * normal(draws)) : fmax(before, after);
            curve->times[cell][round] = (struct kv_round_value){round + 1, uniform(draws) < 0.04 ? 1.3 * took : took};
            curve->reads[cell][round] = (struct kv_round_value){round + 1, 80e9 * probe};
            curve->products[cell][round] = (struct kv_round_value){round + 1, 500e9 * exp(0.01 * normal(draws))};
        }
    }
}

struct tally {
    int rises, falls, corrected;
};

static struct tally simulate(const double *speed, enum probes probes, double growth)
{
    static struct curve curve;
    struct tally tally = {0};
    struct draws draws = {.key = 7};
    for (int i = 0; i < TRIALS; i++) {
        struct kv_trend trend;
        measure(&curve, speed, probes, growth, &draws);
        OK(kv_results_trend(curve.list, N_CELLS, KV_COLUMN_TTPT_MS, &trend, NULL, &error));
        assert_int_equal(trend.n, N_ROUNDS);
        tally.rises += trend.interval.low > 0;
        tally.falls += trend.interval.high < 0;
        tally.corrected += trend.corrected_by != NULL;
    }
    return tally;
}

/* Of 600 with a chance of 1 in 32 each, more than 29 are false with less than 1 %. */
TEST(no_slope_is_invented)
{
    static const struct {
        const char *name;
        void (*fill)(double *speed);
        enum probes probes;
        int most_corrected;
    } cases[] = {
        {"two speeds", two_speeds, PROBES, TRIALS},
        {"two speeds, probes are noise", two_speeds, NOISE, TRIALS / 50},
        {"two speeds, no probes", two_speeds, NO_PROBES, 0},
        {"recorded", recorded, PROBES, TRIALS},
        {"recorded, probes are noise", recorded, NOISE, TRIALS / 50},
        {"drift", drift, PROBES, TRIALS},
        {"quiet", quiet, PROBES, TRIALS / 50},
    };
    static double speed[N_SLOTS];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cases[i].fill(speed);
        const struct tally tally = simulate(speed, cases[i].probes, 0);
        print_message("%s: %d rise, %d fall, %d of %d corrected\n", cases[i].name, tally.rises, tally.falls,
                      tally.corrected, TRIALS);
        assert_in_range(tally.rises + tally.falls, 0, 29);
        assert_in_range(tally.corrected, 0, cases[i].most_corrected);
    }
}

TEST(more_of_a_true_slope_is_found)
{
    static double speed[N_SLOTS];
    two_speeds(speed);
    const struct tally alone = simulate(speed, NO_PROBES, 0.15), probed = simulate(speed, PROBES, 0.15);
    print_message("found %d of %d without probes, %d with them\n", alone.rises, TRIALS, probed.rises);
    assert_true(probed.rises > alone.rises + TRIALS / 10);
    quiet(speed);
    assert_true(simulate(speed, PROBES, 0.15).rises > TRIALS * 9 / 10);
}

/* Times that follow their probes exactly have an exact slope, at the middle of the speeds, and points on a line. */
TEST(what_probes_foretell_is_taken_out)
{
    static struct curve curve;
    struct kv_trend trend;
    struct kv_trend_point points[N_CELLS];
    start_curve(&curve, PROBES);
    for (int round = 0; round < N_ROUNDS; round++)
        for (int i = 0; i < N_CELLS; i++) {
            const double read = (round * 5 + i * 7) % 3 ? 80e9 : 50e9;
            curve.times[i][round] = (struct kv_round_value){round + 1, (8 + 0.128 * i) * 80e9 / read};
            curve.reads[i][round] = (struct kv_round_value){round + 1, read};
            curve.products[i][round] = (struct kv_round_value){round + 1, 500e9};
        }
    OK(kv_results_trend(curve.list, N_CELLS, KV_COLUMN_TTPT_MS, &trend, points, &error));
    assert_string_equal(trend.corrected_by, "reading");
    assert_true(fabs(trend.corrected_to / 80e9 - 1) < 1e-9);
    assert_true(fabs(trend.slope - 1) < 1e-9 && fabs(trend.interval.low - 1) < 1e-9);
    assert_true(fabs(trend.ends.ratio - (8 + 0.128 * 8) / 8) < 1e-9);
    for (int i = 0; i < N_CELLS; i++)
        assert_true(fabs(points[i].median - 8 - 0.128 * i) < 1e-9);
    curve.cells[3].figures[KV_COLUMN_PROBE_READ_BYTES_PER_S].n--; /* one row without */
    OK(kv_results_trend(curve.list, N_CELLS, KV_COLUMN_TTPT_MS, &trend, points, &error));
    assert_null(trend.corrected_by);
    assert_true(isnan(trend.corrected_to) && points[0].interval.high == 8 * 80e9 / 50e9);
}
