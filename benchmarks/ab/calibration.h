/* How well two programs can be told apart on this machine, from one recording of a program held against itself.
 *
 *   recording    a contest of one program with itself, in whose rounds B's steps are longer by a share that is drawn anew
 *                each round, 0 among them, by work that is really done: pairs of the same minutes for every share
 *   power        an `ab` of a time and a slow-down is put together from it 400 times: as many starts as ab plans, each
 *                one of the recorded, drawn with replacement, and of its rounds of that slow-down as many neighbouring
 *                ones as fit; then the looks of results/effect.h. Without a slow-down a coin for each start says which
 *                side is A, as it does in ab, so that the mean of one recording cannot pass for a difference. ab also
 *                has the neighbours of two rounds, and is a little better than this
 *   windows      medians of A in windows of so many seconds, all pairs of them so far apart: what two separate runs
 *                differ by, of one program, because of the machine */
#ifndef KV_AB_CALIBRATION_H
#define KV_AB_CALIBRATION_H

#include "ab/contest.h"

struct kv_recorded {
    struct kv_repetition repetition;
    double slowdown_pct; /* of B in this round */
};

struct kv_recording {
    const struct kv_recorded *repetitions; /* [n] in the order of measuring */
    size_t n;
    enum kv_peer_metric metric;
    double start_s; /* what starting both sides costs */
    double seconds; /* all of it */
};

struct kv_power {
    double seconds, slowdown_pct;
    int n;           /* contests that were put together */
    int verdicts[4]; /* enum kv_effect_verdict */
};

/* Errors: ARGUMENT (the recording has no round of that slow-down), MEMORY. */
kv_status kv_calibrate_power(const struct kv_recording *recording, double seconds, double slowdown_pct, double alpha,
                             double threshold, uint64_t seed, struct kv_power *power, struct kv_error *error);

struct kv_apart_windows {
    double separation_s; /* of their middles */
    int n;               /* pairs; windows overlap */
    double log_ratio_q95;
};

/* Windows of window_s. n = 0: none are so far apart. Errors: MEMORY. */
kv_status kv_calibrate_windows(const struct kv_recording *recording, double window_s, double separation_s,
                               struct kv_apart_windows *windows, struct kv_error *error);

#endif
