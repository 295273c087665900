/* The folder of a run that has something of everything, for tests of the report. */
#ifndef KV_TESTS_REPORT_FOLDER_H
#define KV_TESTS_REPORT_FOLDER_H

/* Writes runs.csv (suites batch, trace, grid, depth and memory; naive takes 4 ms a token, cached 1 ms), tokens.csv,
 * kernels.csv, limits.csv and context.json. */
void put_whole_run(const char *folder);

/* The names of all figures, NULL at the end. */
extern const char *const figure_names[];

/* Writes folder/figures/NAME.svg for each: a small drawing, all with the same ids. */
void put_figures(const char *folder);

/* Writes folder/kv_dashboard_l5_h0.gif: one transparent pixel. */
void put_animation(const char *folder);

#endif
