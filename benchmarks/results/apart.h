/* How far apart two separate runs of one program may lie because of the machine alone. Nothing was drawn at random between
 * them, so no test of the rounds can tell the machine from the program; what is known of the machine has to:
 *
 *   calibration  calibration.csv, which kvbench calibrate leaves in results/calibration: what windows of so many
 *                seconds, so far apart, differed by on this machine (the 95 % quantile of |log(median / median)|). Of the rows of this
 *                machine the largest up to the first whose separation is at least that of the two runs; a row of fewer
 *                than 20 pairs is no quantile, and where the runs lie further apart than any row, the next source counts
 *                too
 *   probes       the log of the largest / smallest level of reading, and of arithmetic, over both runs: medians of
 *                the probes of a quarter of a run, cells of equal threads and instruction set together. And, of the
 *                cells, what the medians of their early and late rounds differ by, at its third quartile
 *   waiting      in a part w of the time something waited for a CPU (/proc/pressure/cpu, of which the larger run): where
 *                threads wait for each other nothing may have gone on meanwhile, which is a factor of 1 / (1 - w), on top
 *                of the others. The probes, the best of a few, do not show it
 *   neither      runs without probes (kvbench 0.2): a factor of 2, which is what shared machines were seen to do
 *
 * A start of a program alone, which is where its memory happens to lie, is worth a few percent (Mytkowicz et al. 2009,
 * "Producing wrong data without doing anything obviously wrong"): never less than 5 %. Of 4 simulated runs each on the
 * recorded Xeon, on drifts, phases and spikes, compared in pairs, intervals of the rounds alone called 0 to 58 % different;
 * widened by the probes 0 to 0.6 %.
 *
 * Where the probes foretell the times of a cell, they tell part of it: with x = log(probe of a row) and y = log(time),
 * each less its median in its run, and b the slope of y on x over the rows of both runs, a time is corrected to
 * y - b (x - x'), x' being the median of both. That is done with the one kind of probe for which
 *   b < 0, and the rest, each row foretold by the others, is at most half of |y| in sum,
 *   and in each run the slope of the other run alone leaves at most three quarters of it,
 * and when it narrows the allowance, which then is (logs, each a sum of what may be wrong still)
 *   the larger of 5 % and what early and late rounds of the rest differ by
 *   + the larger of 0.2 and how far the slopes of both runs differ, times the shift of x from run to run
 *   + the larger of 0.2 and 1 - |b|, times the swing of the other kind of probe: times are shared out between them
 * In the same simulations it was in force in 3 to 54 % of the comparisons, cut their allowance to a third, and called 0
 * to 2.4 % of them different. tests/test_apart.c is a short form of them.
 *
 * Several runs a side (apart_sides.c) show by themselves what another run does, its start, its hour and its machine:
 *
 *   3 or more   the unit is the run. With y the logs of the medians of each run, the ratio is exp(mean y_b - mean y_a),
 *               and its interval that of Student and Welch (kv_stats_difference). A drift of the machine is in it when
 *               the sides took turns, which is: the same interval of when the runs were measured holds 0, so that what
 *               any steady drift adds to the difference is less than the half of the interval. Where one side was
 *               measured before the other, and where it is not known when, it is also widened by what is allowed
 *               between two runs
 *   fewer       each run of a side is held against each of the other, by the rule above without corrections; the
 *               interval goes from the lowest end of all to the highest. It needs 6 rounds of each run
 *
 * What is allowed between two runs is then the largest of all pairs. */
#ifndef KV_RESULTS_APART_H
#define KV_RESULTS_APART_H

#include "results/results.h"

struct kv_apart {
    double log_factor;  /* what the machine alone may do to a ratio, as |log| */
    double waiting;     /* the part of it for what waited for a CPU */
    double seconds;     /* between the middles of the runs; NaN unknown */
    double swings[2];   /* log of largest / smallest level of reading, of arithmetic; NaN unknown */
    bool is_calibrated; /* by kvbench calibrate, and not by the runs alone */
    bool in_turns;      /* several runs a side, which took turns */
    char source[320];   /* in words, what it comes from */
};

/* Of two cells in one figure. */
struct kv_apart_judgement {
    struct kv_judgement judged; /* ratio and interval as corrected; interval NaN: fewer than 6 rounds on a side */
    double log_factor;          /* allowed for the machine */
    const char *corrected_by;   /* "reading" or "arithmetic"; NULL */
};

/* Errors: IO, FORMAT (a calibration.csv that cannot be read), MEMORY. */
kv_status kv_apart_find(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                        struct kv_error *error);

/* Of runs of two machines: what the longest separations of a calibration, or the run itself, say of each machine alone,
 * both together, as they move independently, sqrt(log^2 + log^2). A run knows what its machine did meanwhile, and not what
 * it does at another hour, which `source` says. Nothing is corrected by probes, which would take away what the machines
 * differ by. Errors: as kv_apart_find. */
kv_status kv_apart_of_machines(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                               struct kv_error *error);

/* Judges figure `column` of cell b of the second run against that of cell a of the first (apart_judge.c).
 * Errors: MEMORY. */
kv_status kv_apart_judge(const struct kv_apart *apart, const struct kv_cell_results *a, const struct kv_cell_results *b,
                         enum kv_column column, double threshold, struct kv_apart_judgement *judgement,
                         struct kv_error *error);

/* ---- Several runs a side ----------------------------------------------------------------------------- */

/* From so many runs on both sides a run is the unit. */
enum { KV_APART_LEAST_RUNS = 3 };

/* a [n_a], b [n_b] runs of each side, 1 or more. Errors: those of kv_apart_find. */
kv_status kv_apart_find_sides(const struct kv_results *const *a, size_t n_a, const struct kv_results *const *b,
                              size_t n_b, struct kv_apart *apart, struct kv_error *error);

/* Judges figure `column` of a cell that was measured in runs a [n_a] of one side and b [n_b] of the other, each with a
 * value of it. `judged` counts in n_base and n_other runs, its medians are exp(mean y). Errors: MEMORY. */
kv_status kv_apart_judge_sides(const struct kv_apart *apart, const struct kv_cell_results *const *a, size_t n_a,
                               const struct kv_cell_results *const *b, size_t n_b, enum kv_column column,
                               double threshold, struct kv_apart_judgement *judgement, struct kv_error *error);

#endif
