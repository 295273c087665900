/* One run: the plan's configurations measured through Google Benchmark, a CSV row as each repetition is done. */
#ifndef KV_MEASURE_RUN_H
#define KV_MEASURE_RUN_H

#include "machine/limits.h"
#include "measure/decoder.h"
#include "plan/suite.h"
#include "results/csv.h"

/* Largest difference between a path's logits and the naive path's, of the largest |logit|. */
#define KV_GATE_BOUND 1e-4

/* Repetitions that progress takes its running median of; the results themselves are in the files. */
#define KV_PROGRESS_SAMPLES 32

enum kv_progress_style {
    KV_PROGRESS_NONE,
    KV_PROGRESS_LINES, /* a line a repetition */
    KV_PROGRESS_BAR,   /* one line that is drawn again */
};

struct kv_run_settings {
    const char *run_id;
    const char *folder; /* exists; all files are written there */
    const char *model_name;
    const char *gemm;      /* NULL: the default */
    const char *isa;       /* NULL: the default */
    const char *only_gemm; /* for the kernels suite: this one alone; NULL: all of them */
    const char *only_isa;
    double min_time_s;     /* go on past the repetitions until a configuration was measured for so long */
    double cell_budget_s;  /* skip what is predicted to take longer; 0: nothing */
    const int32_t *prompt; /* [n_prompt] ids, repeated to the length that a cell asks for */
    int n_prompt;
    bool resume; /* the folder holds the first part of this run */
    bool quick;
    enum kv_progress_style progress;
};

/* What became of a configuration so far. */
struct kv_cell_result {
    int n_done;     /* repetitions, those of an earlier part of the run included */
    double seconds; /* of these, together */
    double ttft_ms[KV_PROGRESS_SAMPLES], ttpt_ms[KV_PROGRESS_SAMPLES]; /* this part's first ones, sorted */
    int n_samples;
    double shortest_step_ms; /* of the mean steps; 0: none yet */
    bool given_up;           /* failed or skipped */
    bool failed;
    char error[256];
};

struct kv_run {
    const struct kv_run_settings *settings;
    const struct kv_plan *plan;
    const struct kv_model *model;
    struct kv_pool *pool;
    struct kv_csv_writer *runs, *tokens, *limits_rows;
    struct kv_cell_result *results; /* [plan->n_cells] */
    struct kv_cell_state *states;   /* [plan->n_cells], open while measured */
    struct kv_truth *truths;        /* what the equality gate holds paths against */
    struct kv_limits limits;        /* at the start; threads = 0: unknown */
    struct kv_limits limits_at_end; /* likewise */
    int n_failed;                   /* configurations */
    int n_kernels_failed;           /* of the kernels suite */
    int n_finished, n_total;        /* repetitions */
    kv_status broken;               /* the results could not be written: nothing more is measured */
    struct kv_error broken_error;
};

/* Measures the plan: group by group, and in a group path after path within each repetition, so that a machine that
 * drifts drifts for all of them. A cell that cannot be run, or whose path fails the equality gate, is a row with
 * its error, and the others go on. `run` is filled and given back with kv_run_free. Errors: IO, FORMAT, MEMORY, of
 * the run as a whole. */
kv_status kv_run_measure(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_pool *pool, struct kv_error *error);
void kv_run_free(struct kv_run *run);

/* Fills in what is needed to predict how long the plan takes, and measures nothing else; kv_run_free after it. */
kv_status kv_run_predict(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_pool *pool, struct kv_error *error);

/* The instrument's share of the shortest step that was measured, in percent; NaN when there was no step. */
double kv_run_instrument_share(const struct kv_run *run);

/* Prints the names of all configurations that --benchmark_filter matches, after --benchmark_list_tests. */
kv_status kv_run_list(const struct kv_plan *plan, struct kv_error *error);

/* ---- The kernels suite (kernels.c) ------------------------------------------------------------------ */

struct kv_kernel_suite_options;
/* The suite's options for these settings; `names` [2] is room for the lists that they point to. */
struct kv_kernel_suite_options kv_run_kernel_options(const struct kv_run_settings *settings,
                                                     const struct kv_config *config, const char *names[2]);
kv_status kv_run_measure_kernels(struct kv_run *run, struct kv_error *error);

/* ---- One cell (cell.c) ------------------------------------------------------------------------------ */

/* What a cell needs while it is measured: open from its first repetition to its last. */
struct kv_cell_state {
    struct kv_decoder decoder;
    double cold_ttft_ms;
};

/* Opens the session, holds the path against the naive one (the cold run, too) and warms up. */
kv_status kv_cell_open(struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                       struct kv_error *error);
void kv_cell_close(struct kv_cell_state *state);

/* ---- The equality gate (gate.c) --------------------------------------------------------------------- */

/* Runs the cell's path from the prompt over a few greedy steps, in a session that has not run yet, and compares the
 * logits and the tokens of every sequence with those of the naive path alone at batch 1 (all sequences have the same
 * prompt). *cold_ttft_ms is this run's. Errors: UNSUPPORTED when they differ, else as the session's. */
kv_status kv_gate_check(struct kv_run *run, const struct kv_cell *cell, struct kv_cell_state *state,
                        double *cold_ttft_ms, struct kv_error *error);
void kv_truths_free(struct kv_truth *truths);

/* ---- Files (rows.c, resume.c) ----------------------------------------------------------------------- */

kv_status kv_rows_open(struct kv_run *run, struct kv_error *error);
void kv_rows_close(struct kv_run *run);

struct kv_row {
    const struct kv_cell *cell;
    const char *status;                /* "ok", "failed", "skipped" */
    int repetition;                    /* from 1; 0: none was run */
    const struct kv_cell_state *state; /* NULL: nothing was measured */
    const struct kv_figures *figures;
    size_t rss_peak_bytes; /* 0: unknown */
    const char *error;
};
/* Writes the tokens of a measured repetition, then its row of runs.csv, which makes it count. */
kv_status kv_rows_write(const struct kv_run *run, const struct kv_row *row, struct kv_error *error);
kv_status kv_rows_write_limits(const struct kv_run *run, const char *moment, const struct kv_limits *limits,
                               struct kv_error *error);

/* Takes what an earlier part of the run finished into run->results, and out of tokens.csv what belongs to a
 * repetition that it did not finish. Call after kv_rows_open. Errors: IO, FORMAT, MEMORY. */
kv_status kv_resume(struct kv_run *run, struct kv_error *error);
/* Replaces tokens.csv, whole or not at all, by those of its rows for which keep [rows] is true. */
kv_status kv_rows_keep_tokens(struct kv_run *run, const struct kv_csv_table *rows, const bool *keep,
                              struct kv_error *error);

/* ---- Time (predict.c, progress.c) ------------------------------------------------------------------- */

/* Seconds that one repetition of a cell will take: its work at the machine's limits, corrected by how the path did so
 * far in this run. Unknown limits: those of a slow machine are assumed. */
double kv_predict_seconds(const struct kv_run *run, const struct kv_cell *cell);
/* The same for all that is left of the plan, gate and warm-up included. */
double kv_predict_left(const struct kv_run *run);

/* After a repetition, or when a cell was given up. */
void kv_progress(const struct kv_run *run, int cell, int repetition);
void kv_progress_end(const struct kv_run *run);

#endif
