/* Which of two sides is faster: the ratio of their times from rounds in which both were measured, its interval, and one
 * of four verdicts, by a rule that may look at the data several times.
 *
 *   design       In every round both sides are measured one after the other, and a fair coin, thrown anew each round,
 *                says which is first. Everything below rests on that coin.
 *   model        d_i = log(b_i / a_i) = theta + e_i, where e_i is what the machine did between the two places of round i.
 *                Had the coin fallen the other way, e_i would have the other sign. So given their sizes the signs of
 *                d_i - theta are fair coins, independent of each other, whatever the noise is: drift, phases, spikes and
 *                autocorrelation are in the sizes alone (Fisher 1935, The Design of Experiments, section 21)
 *   test         Wilcoxon's signed-rank test on d_i - theta, T = sum of the ranks of |d_i - theta| where it is positive.
 *                Its distribution under fair signs is exact and needs nothing of the noise (Lehmann 1975, section 3.2).
 *                A few rounds that the machine stalled weigh no more than their rank
 *   estimate     exp of the median of the n (n + 1) / 2 Walsh averages (d_i + d_j) / 2, i <= j (Hodges & Lehmann 1963)
 *   interval     all theta that the test does not refuse: from the C-th smallest to the C-th largest Walsh average, C
 *                the largest with 2 P(T <= C - 1) <= level (Hollander & Wolfe 1973, section 3.4). Too few rounds for the
 *                level: from 0 to infinity. With a ratio that itself changes with the machine's state, the interval is
 *                that of the middle of these ratios, and its level holds approximately; without a difference between
 *                the sides, it is exact
 *   looks        the level up to the part t of the time is alpha t^2 (a spending function of Lan & DeMets 1983, of the
 *                power family of Kim & DeMets 1987). What a look may use is that less what earlier ones used. Levels add
 *                up (Bonferroni), so that the chance of any false verdict is at most alpha, exactly; boundaries from the
 *                joint distribution of the looks would give intervals about 8 % narrower, but rest on its limit
 *   verdict      in this order: equal when the interval lies within 1 / (1 + threshold) to 1 + threshold (two one-sided
 *                tests: Schuirmann 1987); slower or faster (of b) when it lies above or below 1; else undecided
 *
 * No state but what is passed in, no random numbers: the same rounds give the same bits. */
#ifndef KV_RESULTS_EFFECT_H
#define KV_RESULTS_EFFECT_H

#include "kvbench.h"

/* Most rounds of an estimate. */
enum { KV_EFFECT_MAX_ROUNDS = 2000 };

enum kv_effect_verdict {
    KV_EFFECT_UNDECIDED,
    KV_EFFECT_EQUAL, /* within the threshold */
    KV_EFFECT_FASTER,
    KV_EFFECT_SLOWER,
};

struct kv_effect {
    size_t n;         /* rounds */
    double ratio;     /* time of b / time of a; NaN without rounds */
    double low, high; /* interval of the ratio at that level; 0 and infinity: too few rounds for it */
    double level;     /* chance that the interval misses, at most; 0 where there are too few rounds */
    enum kv_effect_verdict verdict;
    double rounds_needed; /* for a verdict, as far as the rounds so far can tell; n where there is one */
};

/* The verdict on a ratio whose logarithm lies between low and high. */
enum kv_effect_verdict kv_effect_judge(double low, double high, double threshold);

/* a, b [n] times of the two sides in each round, in one unit, at most KV_EFFECT_MAX_ROUNDS; 0 < level < 1, threshold >
 * 0. Errors: ARGUMENT (a time that is not positive and finite; bad numbers), MEMORY. */
kv_status kv_effect_estimate(const double *a, const double *b, size_t n, double level, double threshold,
                             struct kv_effect *effect, struct kv_error *error);

/* The middle of numbers d_i that lie as likely above as below it, one a round: log ratios, slopes. */
struct kv_effect_middle {
    size_t n;
    double value;     /* median of the Walsh averages; NaN without rounds */
    double low, high; /* interval at that level; infinite: too few rounds for it */
    double level;     /* as in struct kv_effect */
};
kv_status kv_effect_middle(const double *d, size_t n, double level, struct kv_effect_middle *middle,
                           struct kv_error *error);

/* A comparison that is looked at several times. */
struct kv_effect_looks {
    double alpha;     /* chance of any false verdict, at most */
    double threshold; /* ratios closer to 1 than this part are equal */
    double used;      /* of alpha, so far: 0 at the start */
};

/* What is looked for at `fraction` (0 < fraction <= 1, not falling) of the time or the rounds that are planned at most.
 * When to look must not depend on how the sides compare. Errors: as kv_effect_estimate. */
kv_status kv_effect_look(struct kv_effect_looks *looks, const double *a, const double *b, size_t n, double fraction,
                         struct kv_effect *effect, struct kv_error *error);

/* Fewest rounds with which an interval of that level has ends. */
size_t kv_effect_least_rounds(double level);

/* "undecided", "equal", "faster", "slower". */
const char *kv_effect_verdict_name(enum kv_effect_verdict verdict);

#endif
