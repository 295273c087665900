/* One run: the cells of a plan measured through Google Benchmark, a CSV row as each repetition is done. Generations and
 * kernels go the same way: rounds, probes, rows and resuming are here, what a repetition is in a fixture.
 *
 *   opening   every cell once, the smallest first: its gate, its warm-up, and what a repetition will take
 *   round     every cell once: the turns of the plan in an order that is drawn anew, the cells of each side by side, in an
 *             order that is drawn anew, so that a machine that drifts drifts for all of them
 *   probes    of what the machine can do, before and after a repetition and within a long one (machine/probe.h) */
#ifndef KV_MEASURE_RUN_H
#define KV_MEASURE_RUN_H

#include "ab/peer.h"
#include "gbench/gbench.h"
#include "kernels/matmul.h"
#include "machine/limits.h"
#include "machine/probe.h"
#include "plan/plan.h"
#include "results/csv.h"

/* ---- The gate's classes ----------------------------------------------------------------------------- */

/* Exact: the same tokens as the reference, and logits no further from its than this part of the largest |logit|. */
#define KV_GATE_BOUND 1e-4

/* Arms with such weights and such a KV cache are lossy by design: logits are held to a wider bound, against a reference
 * of the same semantics in float32. What no rule names is exact. */
struct kv_gate_rule {
    const char *weights; /* NULL: any */
    const char *kv;      /* NULL: any */
    double bound;
};
/* The bound that arms with these weights and this type of keys and values are held to; KV_GATE_BOUND: they are exact. */
double kv_gate_bound(const char *weights, const char *kv);

/* ---- Where a run's files go -------------------------------------------------------------------------- */

struct kv_run_folder {
    char id[320];    /* DATE-HOST, in every row of the run */
    char path[4096]; /* exists, and holds no other run */
    bool in_results; /* below the results folder, so `latest` there leads to it */
    char results[4096];
    int lock; /* kv_folder_lock; -1: none */
};

/* Makes `out`, or results/ID when it is NULL, where results is $KVBENCH_RESULTS or "results" in the current folder. Until
 * kv_run_folder_close no other process has it, where the file system knows locks. Errors: ARGUMENT (it holds a run
 * already), IO (also: another has it). */
kv_status kv_run_folder_make(struct kv_run_folder *folder, const char *out, struct kv_error *error);

/* Opens the folder of a run to go on with; its id is that of its rows. Errors: ARGUMENT, IO (another has it). */
kv_status kv_run_folder_open(struct kv_run_folder *folder, const char *path, struct kv_error *error);
/* Also after an error, and of one that is all zero. */
void kv_run_folder_close(struct kv_run_folder *folder);

/* Points results/latest at the run. Errors: IO. */
kv_status kv_run_folder_link(const struct kv_run_folder *folder, struct kv_error *error);

/* ---- Settings --------------------------------------------------------------------------------------- */

enum kv_progress_style {
    KV_PROGRESS_NONE,
    KV_PROGRESS_LINES, /* a line a repetition */
    KV_PROGRESS_BAR,   /* one line that is drawn again */
};

/* What suite quality predicts, and by which model: the run's own, or one to which texts mean something. */
struct kv_run_text {
    const char *model_name;
    const struct kv_config *config;
    void *load_context; /* of kv_run_settings.load */
    const int32_t *ids; /* [n_ids]; the ids of the text */
    size_t n_ids;
};

struct kv_run_settings {
    const char *run_id;
    const char *folder; /* exists; all files are written there */
    const char *model_name;
    const struct kv_config *config; /* the model's shape */
    /* Makes the model with weights of that format for that backend; the run frees it. */
    kv_status (*load)(void *context, const char *weights, const char *gemm, struct kv_pool *pool,
                      struct kv_model **model, struct kv_error *error);
    /* What that name of the axis asks for (kv_speculate_read), of drafts for the model of that arm; the run frees *draft,
     * NULL for a lookup. NULL: there are none. */
    kv_status (*speculate)(void *context, const struct kv_arm *arm, struct kv_pool *pool,
                           struct kv_speculation *speculation, struct kv_model **draft, struct kv_error *error);
    /* Starts a peer that holds the same model; the run stops it. NULL: there are none. */
    kv_status (*start_engine)(void *context, const struct kv_arm *arm, struct kv_peer **peer, struct kv_error *error);
    void *load_context; /* of both */
    struct kv_run_text text;
    const char *limits_isa; /* what the machine's limits are measured with; NULL: the highest */
    int default_threads;    /* whose limits a plan without cells measures */
    uint64_t seed;          /* of the orders of the rounds */
    double time_s;          /* of the whole run: what does not fit is left out; 0: as long as it takes */
    double precision;       /* add rounds until every ratio between cells of a turn is known to 1 +- so much; 0: none */
    double min_time_s;      /* go on past the repetitions until a cell was measured for so long */
    double cell_budget_s;   /* skip what is predicted to take longer; 0: nothing */
    const int32_t *prompt;  /* [n_prompt] ids, repeated to the length that a cell asks for */
    int n_prompt;
    double kernel_min_time_s; /* of a kernel's repetition */
    /* Least bytes of weights, or of keys and values, that kernels cycle through; 0: max(512 MiB, 4 x the L3 caches that
     * so many threads can occupy). */
    size_t ring_bytes;
    const struct kv_gate_rule *gate_rules; /* [n_gate_rules] in place of the built-in ones; NULL: those */
    int n_gate_rules;
    bool resume; /* the folder holds the first part of this run */
    enum kv_progress_style progress;
};

/* ---- A run ------------------------------------------------------------------------------------------ */

/* What became of a cell so far. */
struct kv_cell_result {
    int n_done;          /* repetitions, those of an earlier part of the run included */
    double seconds;      /* of these, together */
    double call_seconds; /* one call of each of these, together: a generation is one call, a kernel runs many */
    double estimate;     /* of one call, from the opening; 0: none yet */
    int last_round;      /* of these; 0: none */
    int n_stalled;       /* repetitions that the machine stalled and that were measured again */
    bool given_up;       /* failed or skipped */
    bool failed;
    char error[256];
};

/* One repetition's call in its round, for the ratios. */
struct kv_round_time {
    int round;
    double seconds;
};

/* The probes of one repetition. */
struct kv_probes {
    int n;
    struct kv_probe best, worst; /* of each rate */
};

struct kv_fixture;
struct kv_reference;
struct kv_kernel_memory;
struct kv_engine_process;
struct kv_engine_answer;

enum { KV_MAX_COUNTERS = 8 };

struct kv_cell_run {
    struct kv_run *run;
    const struct kv_cell *cell;
    const struct kv_fixture *fixture;
    struct kv_cell_result result;
    int wanted;                  /* repetitions to come to; precision raises it, a lack of time lowers it */
    struct kv_round_time *times; /* [result.n_done], in room for a power of two */
    int n_looked_at, n_wide; /* of a turn's first cell: repetitions of the turn at the last look, ratios that were */
    double widest;           /*   too wide, and the widest */
    bool opened;             /* once: what follows needs no gate */
    void *state;             /* the fixture's; NULL: not open */
    long last_use;           /* greater: later */
    size_t resident_bytes;   /* what it added to the process while it was open */
    struct kv_row row;       /* what is the same for all repetitions */
    bool skip;               /* over its budget, or left out */
    /* of the repetition that runs */
    double call_seconds, seconds, started_s;
    struct kv_probes probes;
    struct kv_limits limits; /* the best of these; threads = 0: unknown */
    struct kv_strain strain;
    struct kv_row newest;
    char fault[160];
    struct gb_counter counters[KV_MAX_COUNTERS + 1];
    char error[512];
};

enum { KV_MAX_MODELS = 32 };

struct kv_run {
    const struct kv_run_settings *settings;
    const struct kv_plan *plan;
    struct kv_cell_run *cells; /* [plan->n_cells] */
    struct kv_csv_writer *files[KV_N_FILES];
    struct kv_limits limits[KV_MAX_THREADS + 1];        /* of so many threads, at the start; threads = 0: unknown */
    struct kv_limits limits_at_end[KV_MAX_THREADS + 1]; /* likewise */
    int n_failed[KV_N_FILES];                           /* cells, by the file of their rows */
    int n_finished, n_total;                            /* repetitions */
    int n_written;                                      /* rows, since it was opened: a finished run gets none */
    double shortest_step_ms;                            /* of the mean steps; 0: none yet */
    double start_s;                                     /* of CLOCK_MONOTONIC */
    double limits_seconds;                              /* that the limits took at the start */
    int round;                                          /* that runs, from 1; 0: the opening */
    int place;                                          /* in it, of the repetition that runs */
    struct kv_cell_run *current;                        /* whose repetition runs */
    long n_uses;
    size_t open_bytes_most; /* of cells that stay open */
    double cache_bytes;     /* of this machine's last level, all instances */
    bool all_opened;        /* that are to be measured */
    bool time_over;         /* nothing more is begun */
    int n_left_out;         /* cells, for want of time */
    int least_rounds;       /* of the cells that have most, as far as the time allows */
    int n_rounds_less;      /* than were planned, for want of time */
    int n_wide;             /* ratios between cells of a turn that are not as narrow as settings->precision, and */
    double widest;          /*   the widest */
    kv_status broken;       /* the results could not be written: nothing more is measured */
    struct kv_error broken_error;
    /* Made when first needed, and freed with the run. */
    struct kv_pool *pools[KV_MAX_THREADS + 1];
    struct kv_model *models[KV_MAX_MODELS];
    enum kv_weight_layout layouts[KV_MAX_MODELS];
    void *load_contexts[KV_MAX_MODELS];
    int n_models;
    struct kv_prober *prober; /* NULL: there is no memory for it, and what the machine could do stays unknown */
    struct kv_probe_history *probes[KV_MAX_THREADS + 1];
    struct kv_reference *references;         /* what the gate holds arms against */
    struct kv_engine_process *engines;       /* that were started */
    struct kv_engine_answer *engine_answers; /* what they have to answer */
    struct kv_kernel_memory *kernel_memory;
};

/* Settings and plan must outlive the run; kv_run_free after it, also after an error. Errors: MEMORY. */
kv_status kv_run_open(struct kv_run *run, const struct kv_run_settings *settings, const struct kv_plan *plan,
                      struct kv_error *error);
void kv_run_free(struct kv_run *run);

/* The run's pool of so many threads, and its model of that format laid out for that backend; both are its own. Errors:
 * those of kv_pool_create, and of settings->load. */
kv_status kv_run_pool(struct kv_run *run, int threads, struct kv_pool **pool, struct kv_error *error);
kv_status kv_run_model(struct kv_run *run, const char *weights, const char *gemm, struct kv_pool *pool,
                       const struct kv_model **model, struct kv_error *error);

/* Likewise of the model of settings->text. */
kv_status kv_run_text_model(struct kv_run *run, const char *weights, const char *gemm, struct kv_pool *pool,
                            const struct kv_model **model, struct kv_error *error);

/* Measures the plan: the opening, then round after round. A cell that cannot be run, or whose arm fails the gate, is a
 * row with its error, and the others go on. When settings->time_s is over, the repetition that runs is the last: what is
 * there then is a whole run. Errors: IO, FORMAT, MEMORY, of the run as a whole. */
kv_status kv_run_measure(struct kv_run *run, struct kv_error *error);

/* In place of that, for a prediction: measures the limits alone. */
kv_status kv_run_measure_limits(struct kv_run *run, struct kv_error *error);

/* Gives up, without a row, the cells that do not fit the model, so that predictions leave them out; returns how many. The
 * error says why the first does not. */
int kv_run_leave_misfits(struct kv_run *run, struct kv_error *error);

/* The order of a round: indices of all cells of the plan [n_cells], turns in an order drawn from seed and round, and so
 * the cells of each. A cell that is not measured in that round is left out by who measures. */
void kv_round_order(const struct kv_plan *plan, uint64_t seed, int round, int *order);

/* Whether the machine stood still during a repetition, told from probes and counts alone and never from the time that
 * was measured, so that no result is preferred: more than a quarter of the CPU time was stolen (where it was counted in
 * 20 ticks at least), or the best of at least two probes is below half of the run's median, of reading or of
 * arithmetic. Medians: NaN where there were fewer than 5 probes. */
bool kv_is_stalled(const struct kv_strain *strain, const struct kv_probes *probes, const struct kv_probe *medians);

/* Seconds that one repetition of a cell will take: its work at the machine's limits, corrected by how its arm did so
 * far in this run. Unknown limits: those of a slow machine are assumed. */
double kv_predict_seconds(const struct kv_run *run, int cell);
/* Seconds that are left of settings->time_s, INFINITY without it; the limits at the end are not among them. */
double kv_run_time_left(const struct kv_run *run);
/* Whether the limits are measured at the end, too: settings->time_s has room for it. */
bool kv_run_has_end(const struct kv_run *run);

/* Seconds of a cell's opening: gate and warm-up. */
double kv_predict_opening(const struct kv_run *run, int cell);
/* The same for all that is left of the plan, openings included; of no cell more than `rounds` repetitions. */
double kv_predict_left(const struct kv_run *run, int rounds);

/* The instrument's share of the shortest step that was measured, in percent; NaN when there was no step. */
double kv_run_instrument_share(const struct kv_run *run);

/* Prints the names of all cells that --benchmark_filter matches, after --benchmark_list_tests. */
kv_status kv_run_list(struct kv_run *run, struct kv_error *error);

#endif
