/* Two sides, measured by turns until it is known which is faster, or the time is over.
 *
 *   start        both sides begin anew: what lies where in memory is a property of a start and shifts its times
 *                (Mytkowicz et al. 2009, "Producing wrong data without doing anything obviously wrong"), so that a start,
 *                not a repetition, is the unit of the statistics. The order of the two is a coin's
 *   round        within a start: one repetition of either side, the order again a coin's; only one is at work at a time
 *   d_k          of start k: the median of log(b / a) over all neighbours of different sides in the order of measuring,
 *                those of two rounds among them
 *   verdict      kv_effect_look over the d_k (results/effect.h), after 5/12 and 2/3 of the time, and at its end. With
 *                the sides exchanged every coin of a start would turn its d_k around, so without a difference their signs
 *                are fair, and the chance of any false verdict is at most alpha, whatever the machine does
 *
 * Why these: simulated on a recorded trace of a shared two-core machine (means of 3 s differ by a factor of 3, 8 % of
 * the time stolen), steps of 2 and 20 ms, starts of 5 and 9 s. Spread of d_k under a true 3 %, as quartiles / 1.35:
 *   repetitions of 100 ms 1.5 to 2.0 %, of 20 ms 0.4 to 0.6 %: a stall hits most long ones, and few short ones. A
 *   repetition is about 20 ms, and of its steps the middle one counts
 *   at 20 ms: median of pairs 0.59, of all neighbours 0.54, trimmed mean 0.73, mean 2.2, ratio of two medians 1.5,
 *   first quartiles 0.8; an order of A B B A instead of coins changed nothing that could be seen
 *   leaving out starts whose neighbours spread much (1.4826 MAD / sqrt(n) above 3 %) found no more: of 400 on the
 *   recorded products 1 % in 56.5 for 57.8 %, 3 % in 99.0 for 96.5 and 10 % in 97.8 for 98.5, on other machines the same
 *   within 1 %; false verdicts of 4,200 were 1.4 for 1.5 %. There are too few starts to lose
 *   every look takes from the level of the last: with one more look, the last interval would be 6 % wider
 *
 * thread safety: no state but what is passed in */
#ifndef KV_AB_CONTEST_H
#define KV_AB_CONTEST_H

#include "ab/peer.h"
#include "results/effect.h"

enum { KV_CONTEST_MAX_STARTS = 200, KV_CONTEST_SIDES = 2 };

struct kv_contest_side {
    void *context;
    kv_status (*start)(void *context, struct kv_error *error);
    /* One repetition: ms [KV_PEER_N_METRICS], NaN what it did not measure. */
    kv_status (*repeat)(void *context, double *ms, struct kv_error *error);
    void (*stop)(void *context); /* also of one that could not start */
};

struct kv_repetition {
    int start, round, place; /* from 1; place: 1 or 2 */
    int side;                /* 0: A */
    double started_s;        /* since the contest began */
    double ms[KV_PEER_N_METRICS];
};

struct kv_contest;
struct kv_contest_settings {
    double seconds;
    double alpha, threshold; /* kv_effect_looks */
    uint64_t seed;           /* of the coins */
    enum kv_peer_metric metric;
    int rounds;     /* of a start at most; 0: as many as its time allows */
    double start_s; /* that a start takes, at least; 0: as is best */
    bool no_looks;  /* nothing is decided: it goes on until the time is over */
    void *context;
    double (*now_s)(void *context);
    bool (*stopped)(void *context); /* asked to end; NULL: never */
    /* Once both sides of a start are there, before the first round, that side first; NULL: nothing to do. */
    kv_status (*prepare)(void *context, int first, struct kv_error *error);
    void (*pause)(void *context); /* before every repetition; NULL: none */
    /* After each; NULL: nobody listens. */
    kv_status (*keep)(void *context, const struct kv_repetition *repetition, struct kv_error *error);
    void (*progress)(void *context, const struct kv_contest *contest);
};

/* What is known so far. */
struct kv_contest {
    int n_starts;     /* that are complete */
    int n_rounds;     /* of all of them */
    double elapsed_s; /* since it began */
    double start_s;   /* what starting both sides took, the least so far */
    double ms[KV_CONTEST_SIDES][KV_PEER_N_METRICS][KV_CONTEST_MAX_STARTS]; /* medians of each start */
    double ratios[KV_PEER_N_METRICS][KV_CONTEST_MAX_STARTS];               /* exp(d_k); NaN: not measured */
    struct kv_effect_looks looks;
    struct kv_effect effect; /* of the latest look; n = 0: there was none */
    struct kv_effect shown;  /* of all starts so far, at level alpha: no verdict rests on it */
};

/* Runs it to its end: the time, or up to twice as long where there were too few starts for any interval. After an error
 * the contest has what was known before. Errors: those of the sides and hooks, MEMORY. */
kv_status kv_contest_run(struct kv_contest *contest, const struct kv_contest_side sides[KV_CONTEST_SIDES],
                         const struct kv_contest_settings *settings, struct kv_error *error);

/* The ratio of any metric at level alpha, without a verdict's right; and the median of a side's starts, NaN: none. */
kv_status kv_contest_estimate(const struct kv_contest *contest, enum kv_peer_metric metric, struct kv_effect *effect,
                              struct kv_error *error);
double kv_contest_median(const struct kv_contest *contest, int side, enum kv_peer_metric metric);

/* How long a start is to take where starting both sides takes cost_s: those of a contest tell. */
double kv_contest_start_seconds(const struct kv_contest_settings *settings, double cost_s);

/* d of repetitions [n] in the order of measuring, all of one start: NaN when no two neighbours tell. Errors: MEMORY. */
kv_status kv_contest_log_ratio(const struct kv_repetition *repetitions, size_t n, enum kv_peer_metric metric, double *d,
                               struct kv_error *error);

/* The parts of the time after which the verdict is looked for, ascending, the last one 1. */
enum { KV_CONTEST_LOOKS = 3 };
double kv_contest_look_at(int look);

#endif
