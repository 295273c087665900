/* How far apart two separate runs of one program may lie because of the machine alone. Nothing was drawn at random between
 * them, so no test of the rounds can tell the machine from the program; what is known of the machine has to:
 *
 *   calibration  calibration.csv, which kvbench calibrate keeps beside the runs: what windows of so many seconds, so far
 *                apart, differed by on this machine (the 95 % quantile of |log(median / median)|). Of the rows of this
 *                machine the largest up to the first whose separation is at least that of the two runs; a row of fewer
 *                than 20 pairs is no quantile, and where the runs lie further apart than any row, the next source counts
 *                too
 *   probes       the log of the largest / smallest level of reading, and of arithmetic, over both runs: medians of
 *                the probes of a quarter of a run, cells of equal threads and instruction set together. And, of the
 *                cells, what the medians of their early and late rounds differ by, at its third quartile
 *   neither      runs without probes (kvbench 0.2): a factor of 2, which is what shared machines were seen to do
 *
 * A start of a program alone, which is where its memory happens to lie, is worth a few percent (Mytkowicz et al. 2009,
 * "Producing wrong data without doing anything obviously wrong"): never less than 5 %. Of 4 simulated runs each on the
 * recorded Xeon, on drifts, phases and spikes, compared in pairs, intervals of the rounds alone called 0 to 58 % different;
 * widened by the probes 0 to 0.6 %. */
#ifndef KV_RESULTS_APART_H
#define KV_RESULTS_APART_H

#include "results/results.h"

struct kv_apart {
    double log_factor; /* what the machine alone may do to a ratio, as |log| */
    double seconds;    /* between the middles of the runs; NaN unknown */
    char source[256];  /* in words, what it comes from */
};

/* Errors: IO, FORMAT (a calibration.csv that cannot be read), MEMORY. */
kv_status kv_apart_find(const struct kv_results *a, const struct kv_results *b, struct kv_apart *apart,
                        struct kv_error *error);

#endif
