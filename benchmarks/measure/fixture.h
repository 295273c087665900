/* Inside a run: what a repetition of a kind of cell is, and what the parts of the measuring share. */
#ifndef KV_MEASURE_FIXTURE_H
#define KV_MEASURE_FIXTURE_H

#include "measure/decoder.h"
#include "measure/run.h"

#define KV_CELL_TEXT_SIZE 256

/* A kind of cell is one of these and one row in fixture_of (run.c). */
struct kv_fixture {
    enum gb_unit unit;
    int64_t calls; /* a repetition is so many; 0: as many as fill settings->kernel_min_time_s */

    /* Behind "SUITE/" in the cell's name, and what progress calls it. */
    void (*name)(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
    void (*describe)(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
    /* Least seconds of a call on such a machine. */
    double (*least_seconds)(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits);
    /* Work and limits that are known without running anything, into cell->row. */
    void (*expect)(struct kv_cell_run *cell);

    /* Makes cell->state, checks what is to be checked and warms up; cell->row takes what is known then. After an error
     * cell->state may stand and is closed. */
    kv_status (*open)(struct kv_cell_run *cell, struct kv_error *error);
    /* n calls, timed: their *seconds together. */
    kv_status (*repeat)(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error);
    /* The figures of the repetition that was just measured, into cell->newest. */
    kv_status (*fill)(struct kv_cell_run *cell, struct kv_error *error);
    /* Further rows of it, written before its own; NULL: there are none. */
    kv_status (*write_details)(struct kv_cell_run *cell, struct kv_error *error);
    /* What progress says of it. */
    void (*tell)(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE]);
    void (*close)(struct kv_cell_run *cell);
};
extern const struct kv_fixture kv_generation_fixture;
extern const struct kv_fixture kv_matmul_fixture;
extern const struct kv_fixture kv_attention_fixture;
void kv_kernel_memory_free(struct kv_kernel_memory *memory);

/* The limits at the start of so many threads, NULL: unknown. */
const struct kv_limits *kv_run_limits(const struct kv_run *run, int threads);

/* ---- The gate (gate.c) ------------------------------------------------------------------------------ */

/* Holds the arm of a decoder that has not run yet against its reference, on the settings' prompt over a few greedy
 * steps; the first one, *cold_ttft_ms, is the arm's very first. All sequences have the same prompt, so the reference is
 * the naive path at batch 1: with the arm's weights when the arm is exact, with float32 weights when it is lossy. An
 * exact arm must select the same tokens; a lossy one is compared as long as it does. cell->row takes the class and the
 * difference found, whatever it is. Errors: UNSUPPORTED when it is too far off, else as the session's. */
kv_status kv_gate_check(struct kv_cell_run *cell, struct kv_decoder *decoder, double *cold_ttft_ms,
                        struct kv_error *error);
void kv_references_free(struct kv_reference *references);

/* ---- Files (rows.c) --------------------------------------------------------------------------------- */

kv_status kv_rows_open(struct kv_run *run, struct kv_error *error);
void kv_rows_close(struct kv_run *run);
/* Writes cell->newest, after its details when it was measured: the row makes them count. */
kv_status kv_rows_write(struct kv_cell_run *cell, bool measured, struct kv_error *error);
kv_status kv_rows_write_limits(struct kv_run *run, const char *moment, const struct kv_limits *limits,
                               struct kv_error *error);
/* Takes what an earlier part of the run finished into the results, and out of tokens.csv what belongs to a repetition
 * that it did not finish. Call after kv_rows_open. Errors: IO, FORMAT (a row of no cell of the plan, or one that stands
 * twice), MEMORY. */
kv_status kv_resume(struct kv_run *run, struct kv_error *error);

/* ---- Progress (predict.c) --------------------------------------------------------------------------- */

/* After a repetition, or when a cell was given up. */
void kv_progress(const struct kv_cell_run *cell);
void kv_progress_end(const struct kv_run *run);

#endif
