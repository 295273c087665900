/* The tables that the figures of a run are drawn from: what plots/NAME.gp shows is computed here, and gnuplot only
 * draws it. A figure is one row of the table in figures.c and one file plots/NAME.gp.
 *
 *   arms      what a figure compares: a line for each combination of axes that the run has. Its label is the path and
 *             the values of those other axes that differ in the run; its style is the same in all figures of the run: 1
 *             for naive, 2 for cached, further ones in order of appearance
 *   tables    OUT/NAME/TABLE.tsv: a header, then numbers between tabs, NaN where unknown. A column `arm` counts the
 *             arms that the figure draws, from 1
 *   settings  OUT/NAME/settings: assignments for gnuplot. Of every figure of a run: model, setting, workload, batch (in
 *             words); n_arms, arm[], arm_style[]; not_ok and other_rows, the rows left out for their status and for
 *             another model or size; fewest and most, repetitions of a point. NAME_low and NAME_high are texts, empty
 *             when there is no value; NAME_keys is a list of the different sizes, ascending
 */
#ifndef KV_RESULTS_FIGURES_H
#define KV_RESULTS_FIGURES_H

#include "results/columns.h"

#include <stdio.h>

struct kv_picture;
struct kv_results;

struct kv_figure {
    const char *name;
    const char *suite;     /* that measures it; "training": kvbench train */
    const char *otherwise; /* where that one has not what the figure needs and this one has, it is drawn; NULL */
    /* Whether the suite has that: with otherwise. */
    bool (*needs)(const struct kv_results *results, const char *suite);
    const char *files[3]; /* that must be there; the first has its rows */
    kv_column_set same; /* columns, a bit each, in which all its cells agree, beside model and source of the weights */
    enum kv_column varying;                    /* not 0: said and drawn of runs only that have several values of it */
    void (*write)(struct kv_picture *picture); /* its tables and settings: picture.h */
};
/* In the order in which they are drawn; NULL past the end. */
const struct kv_figure *kv_figure(int index);

/* Whether that figure tells of such a run: those that compare the values of a column need more than one. */
bool kv_figure_concerns(const struct kv_figure *figure, const struct kv_results *results);

/* The suite of the run that the figure shows: its own, or the other one. */
const char *kv_figure_suite(const struct kv_figure *figure, const struct kv_results *results);

/* Writes the tables of the figures of a run, or of a training, in the folder or pack `place` into the folder `out`, and a line a figure
 * to `list`: its name, or "NAME: skipped, WHY; run COMMAND". Nothing is said of figures of a run where there is only a
 * training, or the other way round. Errors: IO, FORMAT (each naming the file and the line), MEMORY. */
kv_status kv_figures_write(const char *place, const char *out, FILE *list, struct kv_error *error);

#endif
