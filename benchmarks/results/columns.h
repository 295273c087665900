/* The columns of all result files, each once: name, unit, type and meaning. The writer, the readers, the glossary of
 * benchmarks/README.md, datapackage.json and the tests take them from here. A new column is one row in columns.c and
 * its name in the list of each file that has it.
 *
 *   unknown   an empty field, never 0; an axis that does not apply to a cell (the cache of a path that keeps nothing)
 *             is empty, too
 *   cell      an arm (the values of the axes) at a point (the sizes). Its id is made of its key columns alone, so that
 *             two rows belong together exactly when their ids are equal
 */
#ifndef KV_RESULTS_COLUMNS_H
#define KV_RESULTS_COLUMNS_H

#include "kvbench.h"

enum kv_column {
    /* where a row comes from */
    KV_COLUMN_RUN_ID,
    KV_COLUMN_CELL,
    KV_COLUMN_SUITE,
    KV_COLUMN_KERNEL,
    KV_COLUMN_SHAPE,
    /* the axes: what defines an arm */
    KV_COLUMN_ENGINE,
    KV_COLUMN_PATH,
    KV_COLUMN_WEIGHTS,
    KV_COLUMN_CACHE,
    KV_COLUMN_KV,
    KV_COLUMN_GEMM,
    KV_COLUMN_ISA,
    KV_COLUMN_THREADS,
    KV_COLUMN_CHUNK,
    KV_COLUMN_SPECULATE,
    KV_COLUMN_OVERFLOW,
    /* the point: sizes that are swept */
    KV_COLUMN_BATCH,
    KV_COLUMN_PROMPT_TOKENS,
    KV_COLUMN_NEW_TOKENS,
    KV_COLUMN_PREFIX_TOKENS,
    KV_COLUMN_EDIT_EVERY,
    KV_COLUMN_CONTEXT_TOKENS,
    KV_COLUMN_ROWS,
    KV_COLUMN_N,
    KV_COLUMN_K,
    /* the same for all cells of a run */
    KV_COLUMN_MODEL,
    KV_COLUMN_WEIGHTS_SOURCE,
    KV_COLUMN_ENGINE_VERSION,
    KV_COLUMN_ENGINE_OPTIONS,
    KV_COLUMN_STARTUP_S,
    KV_COLUMN_ENGINE_THREADS,
    KV_COLUMN_SAME_TOKENS,
    /* one repetition */
    KV_COLUMN_REPETITION,
    KV_COLUMN_ROUND,
    KV_COLUMN_PLACE,
    KV_COLUMN_STARTED_S,
    KV_COLUMN_STATUS,
    KV_COLUMN_TOKEN,
    KV_COLUMN_LATENCY_NS,
    KV_COLUMN_PHASE,
    KV_COLUMN_PART,
    KV_COLUMN_PART_NS,
    KV_COLUMN_CALLS,
    KV_COLUMN_COLD_TTFT_MS,
    KV_COLUMN_TTFT_MS,
    KV_COLUMN_TTPT_MS,
    KV_COLUMN_TTPT_P50_MS,
    KV_COLUMN_TTPT_P95_MS,
    KV_COLUMN_TTPT_P99_MS,
    KV_COLUMN_E2E_MS,
    KV_COLUMN_PREFILL_TOK_S,
    KV_COLUMN_DECODE_TOK_S,
    KV_COLUMN_OUTPUT_TOK_S,
    KV_COLUMN_STEP_TOKENS,
    KV_COLUMN_ACCEPTANCE,
    KV_COLUMN_ACCEPTANCE_BY_PLACE,
    KV_COLUMN_DRAFT_MS,
    KV_COLUMN_VERIFY_MS,
    KV_COLUMN_KV_LIVE_BYTES,
    KV_COLUMN_KV_RESERVED_BYTES,
    KV_COLUMN_HELD_SEQUENCES,
    KV_COLUMN_RSS_PEAK_BYTES,
    KV_COLUMN_PREFILL_FLOPS,
    KV_COLUMN_PREFILL_BYTES,
    KV_COLUMN_FLOPS,
    KV_COLUMN_BYTES,
    KV_COLUMN_LIMIT_MS,
    KV_COLUMN_LIMIT_NS,
    KV_COLUMN_LIMIT_PCT,
    KV_COLUMN_LIMIT_FAULT,
    KV_COLUMN_SECONDS,
    KV_COLUMN_GFLOPS,
    KV_COLUMN_GBYTES_S,
    KV_COLUMN_GATE,
    KV_COLUMN_LOGIT_DIFFERENCE,
    KV_COLUMN_ERROR,
    /* how far predictions are from those of float32 */
    KV_COLUMN_SCORED_TOKENS,
    KV_COLUMN_PERPLEXITY,
    KV_COLUMN_PERPLEXITY_LOW,
    KV_COLUMN_PERPLEXITY_HIGH,
    KV_COLUMN_PERPLEXITY_RATIO,
    KV_COLUMN_PERPLEXITY_RATIO_LOW,
    KV_COLUMN_PERPLEXITY_RATIO_HIGH,
    KV_COLUMN_DIVERGENCE,
    KV_COLUMN_DIVERGENCE_LOW,
    KV_COLUMN_DIVERGENCE_HIGH,
    KV_COLUMN_DIVERGENCE_P99,
    KV_COLUMN_DIVERGENCE_P99_LOW,
    KV_COLUMN_DIVERGENCE_P99_HIGH,
    KV_COLUMN_DIVERGENCE_LARGEST,
    KV_COLUMN_TOP_AGREEMENT_PCT,
    KV_COLUMN_TOP_AGREEMENT_LOW_PCT,
    KV_COLUMN_TOP_AGREEMENT_HIGH_PCT,
    KV_COLUMN_KV_TOKEN_BYTES,
    /* what the machine could do and did meanwhile */
    KV_COLUMN_PROBES,
    KV_COLUMN_PROBE_READ_BYTES_PER_S,
    KV_COLUMN_PROBE_FMA_FLOP_PER_S,
    KV_COLUMN_PROBE_CHANGE_PCT,
    KV_COLUMN_STOLEN_PCT,
    KV_COLUMN_PRESSURE_PCT,
    KV_COLUMN_SWITCHES,
    KV_COLUMN_PAGE_FAULTS,
    KV_COLUMN_CLOCK_HZ,
    /* what the machine can do at most */
    KV_COLUMN_MOMENT,
    KV_COLUMN_READ_BYTES_PER_S,
    KV_COLUMN_READ_BYTES_PER_S_MEDIAN,
    KV_COLUMN_FMA_FLOP_PER_S,
    KV_COLUMN_FMA_FLOP_PER_S_MEDIAN,
    KV_N_COLUMNS,
};

/* A set of columns, a bit each. */
__extension__ typedef unsigned __int128 kv_column_set;
#define KV_BIT(column) ((kv_column_set)1 << (column))
#define KV_ALL_COLUMNS (~(kv_column_set)0)
_Static_assert(KV_N_COLUMNS <= 128, "kv_column_set is too narrow");

enum kv_column_type {
    KV_TYPE_TEXT,
    KV_TYPE_COUNT,  /* a whole number, 0 or more */
    KV_TYPE_NUMBER, /* finite, 0 or more */
};

enum kv_column_role {
    KV_ROLE_ORIGIN, /* which run, which model */
    KV_ROLE_KIND,   /* which suite and kernel: part of a cell's id */
    KV_ROLE_AXIS,   /* part of a cell's id; arms differ in these */
    KV_ROLE_POINT,  /* part of a cell's id where `prefix` is not NULL: what follows from other columns is not */
    KV_ROLE_STATE,  /* repetition, status, error, gate */
    KV_ROLE_TIME,   /* a figure of which less is better */
    KV_ROLE_RATE,   /* a figure of which more is better */
    KV_ROLE_SIZE,   /* a figure that is neither: bytes, flops, limits */
    KV_ROLE_STRAIN, /* a figure of what the machine could do and did during the repetition */
};

struct kv_column_info {
    const char *name;
    const char *label; /* as headings of tables and figures have it: "TTFT" */
    const char *unit;  /* "ms", "tok/s", "B"; "" where there is none */
    enum kv_column_type type;
    enum kv_column_role role;
    const char *prefix;  /* of its value in a cell's id, "b" in "b8"; NULL: not in the id */
    const char *meaning; /* one sentence, with the formula where there is one */
};

/* The row of a column; never NULL for an enum kv_column. */
const struct kv_column_info *kv_column_info(enum kv_column column);
/* The column of that name; KV_N_COLUMNS when there is none. */
enum kv_column kv_column_find(const char *name);

/* ---- The files of a run ----------------------------------------------------------------------------------- */

enum kv_file_kind {
    KV_FILE_RUNS,    /* a row a repetition of a generation */
    KV_FILE_TOKENS,  /* a row a token of a repetition */
    KV_FILE_KERNELS, /* a row a repetition of a kernel alone */
    KV_FILE_PARTS,   /* a row a part of the steps of a phase of a repetition */
    KV_FILE_LIMITS,  /* what the machine could do, at the run's start and end */
    KV_FILE_QUALITY, /* a row an arm and context: how far its predictions are from those of float32 */
    KV_N_FILES,
};

struct kv_file_info {
    const char *name; /* "runs.csv" */
    const char *meaning;
    const enum kv_column *columns; /* [n_columns] in their order in the file */
    int n_columns;
};
const struct kv_file_info *kv_file_info(enum kv_file_kind kind);

/* ---- One row ----------------------------------------------------------------------------------------------- */

/* A value a column; a row that is all zero knows nothing. Texts are the caller's, and outlive the row. */
struct kv_row {
    const char *texts[KV_N_COLUMNS];
    double numbers[KV_N_COLUMNS];
    bool known[KV_N_COLUMNS]; /* of numbers; a text that is NULL or "" is unknown */
};
void kv_row_set_text(struct kv_row *row, enum kv_column column, const char *text);
void kv_row_set_number(struct kv_row *row, enum kv_column column, double value); /* NaN and infinities: unknown */

#define KV_CELL_ID_SIZE 192
/* The id of the row's cell, from its key columns in the table's order: each known value behind its prefix, joined by
 * "/": "batch/cached/w-f32/contiguous/kv-f32/packed/avx512/t2/b8/p21/n50/x70". A chunk of 0 and the engine
 * kvbench are left out. Returns `id`.
 */
const char *kv_row_cell_id(const struct kv_row *row, char id[KV_CELL_ID_SIZE]);

/* ---- Writing ------------------------------------------------------------------------------------------------ */

struct kv_csv_writer;

/* Opens folder/NAME.csv of that kind to add rows at its end, as kv_csv_append. */
kv_status kv_result_file_append(struct kv_csv_writer **writer, const char *folder, enum kv_file_kind kind,
                                struct kv_error *error);
/* Writes the file's columns of the row, as one line at once. Errors: IO, MEMORY. */
kv_status kv_row_write(struct kv_csv_writer *writer, enum kv_file_kind kind, const struct kv_row *row,
                       struct kv_error *error);

/* Writes folder/datapackage.json: a Frictionless Data Package with a Table Schema of every result file that is in the
 * folder (https://specs.frictionlessdata.io/table-schema/). Errors: IO, MEMORY. */
kv_status kv_datapackage_write(const char *folder, struct kv_error *error);

#endif
