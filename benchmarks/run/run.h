/* One run: the plan's configurations measured through Google Benchmark, a CSV row as each repetition is done. */
#ifndef KV_RUN_RUN_H
#define KV_RUN_RUN_H

#include "measure/measure.h"
#include "report/csv.h"
#include "suites/suite.h"

struct kv_run_settings {
    const char *run_id;
    const char *folder;  /* exists; runs.csv is written there */
    const char *model_name;
    const char *gemm; /* NULL: the default */
    const char *isa;  /* NULL: the default */
    int repetitions;
    const int32_t *prompt; /* [n_prompt] ids, repeated to the length that a cell asks for */
    int n_prompt;
    bool quiet; /* no progress */
};

/* What became of a configuration. */
struct kv_cell_result {
    struct kv_figures *figures; /* [n_done] */
    int n_done;
    size_t kv_live_bytes;
    char error[256]; /* "" when all went well */
};

struct kv_run {
    const struct kv_run_settings *settings;
    const struct kv_plan *plan;
    const struct kv_model *model;
    struct kv_team *team;
    struct kv_csv_writer *runs;
    struct kv_cell_result *results; /* [plan->n_cells] */
    struct cell_state *states;      /* [plan->n_cells], of those being measured */
    int n_failed;                   /* configurations */
    int64_t start_ns;
    int n_finished; /* repetitions, of all configurations */
    kv_status broken; /* the results could not be written: nothing more is measured */
    struct kv_error broken_error;
};

/* Measures every cell `repetitions` times: group by group, and in a group path after path within each repetition,
 * so that a machine that drifts drifts for all of them. A cell that cannot be run is a row with its error, and
 * the others go on. `run` is filled and given back with kv_run_free. Errors: IO, MEMORY, of the run as a whole. */
kv_status kv_run_measure(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                         const struct kv_model *model, struct kv_team *team, struct kv_error *error);
void kv_run_free(struct kv_run *run);

/* Prints the names of all configurations that --benchmark_filter matches, after --benchmark_list_tests. */
kv_status kv_run_list(const struct kv_plan *plan, const struct kv_run_settings *settings, struct kv_error *error);

/* ---- Parts of it ------------------------------------------------------------------------------------ */

/* runs.csv: opens it with its header, and writes one row; `figures` NULL: failed, with the cell's error. */
kv_status kv_rows_open(struct kv_csv_writer **writer, const char *folder, struct kv_error *error);
struct kv_row {
    const struct kv_cell *cell;
    const char *gemm;
    const char *isa;
    int repetition; /* from 1; 0: none was run */
    double cold_ttft_ms;
    const struct kv_figures *figures;
    size_t kv_live_bytes;
    size_t kv_reserved_bytes;
    size_t rss_peak_bytes; /* 0: unknown */
    const char *error;
};
kv_status kv_rows_write(const struct kv_run *run, const struct kv_row *row, struct kv_error *error);

/* One line on stderr after each repetition: what was done, how long it took, and about how long the rest will. */
void kv_progress(const struct kv_run *run, int cell, int repetition);

/* The table, the findings and the failures, on stdout. */
void kv_summary_print(const struct kv_run *run);

#endif
