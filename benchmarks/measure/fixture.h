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
    bool untimed;  /* its figures are the same however the machine moves: it is never measured again */

    /* Behind "SUITE/" in the cell's name, and what progress calls it. */
    void (*name)(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
    void (*describe)(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
    /* Least seconds of a call on such a machine. */
    double (*least_seconds)(const struct kv_run *run, const struct kv_cell *cell, const struct kv_limits *limits);
    /* Work that is known without running anything, into cell->row. */
    void (*expect)(struct kv_cell_run *cell);
    /* Whether it can be run with such a model at all; NULL: always. Errors: ARGUMENT. */
    kv_status (*fit)(const struct kv_cell *cell, const struct kv_config *config, struct kv_error *error);

    /* Makes cell->state, and the first time checks what is to be checked, warms up and estimates a call; cell->row takes
     * what is known then. After an error cell->state may stand and is closed. */
    kv_status (*open)(struct kv_cell_run *cell, struct kv_error *error);
    /* Untimed, before a repetition: fills the caches as it would find them had nothing else run in between. */
    kv_status (*settle)(struct kv_cell_run *cell, struct kv_error *error);
    /* n calls, timed: their *seconds together. */
    kv_status (*repeat)(struct kv_cell_run *cell, int64_t n, double *seconds, struct kv_error *error);
    /* The figures of the repetition that was just measured, into cell->newest; limits are cell->limits. */
    kv_status (*fill)(struct kv_cell_run *cell, struct kv_error *error);
    /* Further rows of it, written before its own; NULL: there are none. */
    kv_status (*write_details)(struct kv_cell_run *cell, struct kv_error *error);
    /* What progress says of it. */
    void (*tell)(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE]);
    void (*close)(struct kv_cell_run *cell);
};
extern const struct kv_fixture kv_generation_fixture;
extern const struct kv_fixture kv_engine_fixture; /* a generation by another engine, in a process of its own */
extern const struct kv_fixture kv_matmul_fixture;
extern const struct kv_fixture kv_attention_fixture;
extern const struct kv_fixture kv_quality_fixture;
extern const struct kv_fixture kv_load_fixture;
void kv_kernel_memory_free(struct kv_kernel_memory *memory);

/* What a generation's session is made with. */
enum kv_overflow kv_cell_overflow(const struct kv_cell *cell);
struct kv_session_options kv_cell_session_options(const struct kv_cell *cell);

/* ---- Generations (generation.c, and by other engines engine.c) ---------------------------------------- */

/* Repetitions that progress takes its running median of; the results themselves are in the files. */
enum { KV_PROGRESS_SAMPLES = 32 };

/* What a cell->state of a generation begins with, and the parts of the fixture that need no more than that. */
struct kv_generation_state {
    const struct kv_generation *generation;                            /* the newest */
    double first_seconds;                                              /* of the newest first token */
    double kv_live_bytes, kv_reserved_bytes, rss_peak_bytes;           /* NaN: unknown */
    double ttft_ms[KV_PROGRESS_SAMPLES], ttpt_ms[KV_PROGRESS_SAMPLES]; /* of the first repetitions, sorted */
    int n_samples;
    bool same_prompt; /* run once, before the rounds: there is no TTFT */
};
void kv_generation_cell_name(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
void kv_generation_describe(const struct kv_cell *cell, char text[KV_CELL_TEXT_SIZE]);
double kv_generation_least_seconds(const struct kv_run *run, const struct kv_cell *cell,
                                   const struct kv_limits *limits);
void kv_generation_expect(struct kv_cell_run *cell);
kv_status kv_generation_fill(struct kv_cell_run *cell, struct kv_error *error);
kv_status kv_generation_write_tokens(struct kv_cell_run *cell, struct kv_error *error);
void kv_generation_tell(const struct kv_cell_run *cell, char text[KV_CELL_TEXT_SIZE]);
/* Ids [n_prompt] of a sequence's prompt: the benchmark's over and over, which a small model takes modulo its vocabulary,
 * or where the point asks for it pieces of a text, and a passage of its own where it is to be copied. */
void kv_generation_prompt(const struct kv_run_settings *settings, const struct kv_point *point, int sequence,
                          int32_t *prompt);
/* Ids [n] of a passage for models that have no text, each as often as words are in one. (copying.c) */
void kv_copying_passage(int vocab_size, int sequence, int32_t *passage, int n);
/* text [n]: the passage [n_passage], over and over, with another token in every edit_every-th place. */
void kv_copying_text(int vocab_size, int sequence, const int32_t *passage, int n_passage, int edit_every, int32_t *text,
                     int n);
/* Whether the model's window takes the cell. Errors: ARGUMENT. */
kv_status kv_generation_fit(const struct kv_cell *cell, const struct kv_config *config, struct kv_error *error);

void kv_engines_free(struct kv_engine_process *processes);
void kv_engine_answers_free(struct kv_engine_answer *answers);

/* The limits at the start of so many threads, NULL: unknown. */
const struct kv_limits *kv_run_limits(const struct kv_run *run, int threads);

/* ---- Repetitions (repetition.c) ----------------------------------------------------------------------- */

/* First tokens and calls above this lose less to cold caches than running them once more would be worth. */
#define KV_SETTLE_SECONDS 0.2

kv_status kv_cell_register(struct kv_cell_run *cell, struct kv_error *error);
void kv_cell_close(struct kv_cell_run *cell);
/* The cell is failed, or skipped when cell->skip: one row says why, and its other repetitions are passed over. */
void kv_cell_give_up(struct kv_cell_run *cell, const char *reason);
/* Probes the machine with the cell's threads, when that is due. */
void kv_cell_probe(struct kv_cell_run *cell);
/* The share of the limit of a time that it would have been, limit_pct or, above 100, limit_fault. */
void kv_cell_set_share(struct kv_cell_run *cell, double limit_seconds, double seconds, double bytes);
/* Resident bytes of this process that are not the cell's doing: of other open cells, and the prober's. */
size_t kv_cell_foreign_bytes(const struct kv_cell_run *cell);
/* A repetition that is done. Errors: MEMORY. */
kv_status kv_cell_keep_time(struct kv_cell_run *cell, int round, double call_seconds, struct kv_error *error);
void kv_probe_histories_free(struct kv_run *run);

/* ---- Rounds (rounds.c) -------------------------------------------------------------------------------- */

/* Rounds that a ratio needs to be told from 1 at all: kv_effect_least_rounds(0.05). */
#define KV_LEAST_ROUNDS 6
/* Counts a cell that the run has no time for, and says what it would take: the error of its row, cut to `size`. */
const char *kv_cell_leave_out(struct kv_cell_run *cell, int rounds, double seconds, char *text, size_t size);

kv_status kv_rounds_measure(struct kv_run *run, struct kv_error *error);
bool kv_cell_wants_more(const struct kv_cell_run *cell);

/* ---- Time by part (parts.c) -------------------------------------------------------------------------- */

/* What the threads of a session spent, in its prefill and in the steps after it. */
struct kv_parts;
kv_status kv_parts_open(struct kv_parts **parts, const struct kv_cell *cell, struct kv_session *session,
                        struct kv_error *error);
void kv_parts_begin(struct kv_parts *parts);     /* a repetition */
void kv_parts_prefilled(struct kv_parts *parts); /* its first step is done */
/* The rows of the repetition that is cell->newest, of so many steps. */
kv_status kv_parts_write(struct kv_cell_run *cell, const struct kv_parts *parts, int n_steps, struct kv_error *error);

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
/* Also counts what was done. */
void kv_progress_end(struct kv_run *run);

#endif
