/* What the kernels suite found, for a person. */
#ifndef KV_RESULTS_SUMMARY_KERNELS_H
#define KV_RESULTS_SUMMARY_KERNELS_H

#include "measure/kernel_suite.h"

#include <stdio.h>

/* One table of products and one of attention, a few numbers of rows or contexts each: the median rate, and what
 * share of the machine's limit it is ("-": unknown); then what failed or was skipped, with the reason. */
void kv_kernel_summary_print(const struct kv_kernel_results *results, FILE *stream);

#endif
