/* A run as one page of HTML that needs nothing else: no network, no script, no other file. */
#ifndef KV_REPORT_REPORT_H
#define KV_REPORT_REPORT_H

#include "kvbench.h"

/* The figures that plots/ can draw. */
enum { KV_REPORT_MAX_FIGURES = 16 };

struct kv_report_settings {
    const char *folder; /* of the run, or its pack, whose figures are in NAME-figures: runs.csv or kernels.csv, and what
                            else there is of context.json, limits.csv, tokens.csv, figures/NAME.svg,
                            kv_dashboard_*.gif */
    const char *against; /* an earlier run, or one of another machine, its folder, pack or runs.csv; NULL: none */
    const char *file;    /* the page; one that is there is replaced */
};

struct kv_report_outcome {
    int n_figures;                              /* drawn on the page */
    int n_animations;                           /* likewise */
    const char *missing[KV_REPORT_MAX_FIGURES]; /* [n_missing] names of figures that the folder lacks although the run
                                                   has their suite; constants */
    int n_missing;
};

/* Writes the page under its name whole or not at all. What the folder lacks is a line on the page that says how to
 * get it; what is there and cannot be read is an error.
 * Errors: ARGUMENT (the folder holds no run, or nothing can be compared), IO, FORMAT (each naming the file), MEMORY.
 * Thread safety: any number of threads, each its own file. */
kv_status kv_report_write(const struct kv_report_settings *settings, struct kv_report_outcome *outcome,
                          struct kv_error *error);

#endif
