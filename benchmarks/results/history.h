/* Runs over time. A line is what one machine measured of one cell in one figure, a point a run: lines never join across
 * machines, models or sources of weights. The runs are the records; nothing is kept beside them.
 *
 *   machine   by kv_machine_name
 *   configuration  a hash of what is the same in all points of a line but the machine and the figure: the cell's id (its
 *             suite, axes and sizes, so engine, threads and instruction set, too), the model and the source of its weights
 *   program   the hash of its file, of context.json, else the commit of a clean tree
 *   floor     the noise of a line, as |log|: the largest of 5 %, of what the machine does between two runs (the median of
 *             kv_apart_find over neighbouring runs) and of twice 1.4826 times the median distance of neighbouring points
 *             of one program, where there are 4
 *   step      where least absolute deviations cut the line: of all ways to cut the logs into pieces, the one with the
 *             least sum of |log - median of its piece| + 2 floor a cut (the Potts functional in L1, as asv has it;
 *             Friedrich et al. 2008), by dynamic programming. A cut counts when the medians differ by more than the floor,
 *             and by more than kv_apart_find allows between the runs beside it, and when the programs beside it differ:
 *             the same binary twice is never a change, and what the machine did then is not told of the next one. So a
 *             single run is a step when it is off by more than 2 floor, and a smaller shift when enough runs have it
 */
#ifndef KV_RESULTS_HISTORY_H
#define KV_RESULTS_HISTORY_H

#include "results/machines.h"
#include "results/results.h"
#include "results/table.h"

struct kv_history_run {
    struct kv_results *results;
    char machine[KV_MACHINE_NAME_SIZE];
    const char *program; /* "" unknown */
    bool has_quality;    /* a row of quality.csv */
    double apart;        /* log, from the run before of the same machine; NaN: there is none */
};

struct kv_history_point {
    size_t run; /* number */
    const struct kv_cell_results *cell;
    double log_value; /* of the median */
    int piece;        /* from 0 */
};

struct kv_history_line {
    enum kv_column column;
    uint64_t configuration;
    struct kv_history_point *points; /* [n] by time; the latest KV_HISTORY_MOST_POINTS */
    size_t n;
    double floor;
    size_t last_step; /* the point that begins the last piece, 0: there is one alone */
    double ratio;     /* of the medians, the last piece to the one before; NaN */
};

struct kv_history_step {
    size_t line, point; /* which begins the new piece */
    double ratio;       /* of the medians, new to old: above 1 is slower */
    bool is_last;       /* no later step of its line */
};

enum { KV_HISTORY_MOST_POINTS = 100 };

struct kv_history {
    struct kv_history_run *runs; /* [n_runs] by time */
    size_t n_runs, n_machines;
    struct kv_history_line *lines; /* [n_lines] */
    size_t n_lines;
    struct kv_history_step *steps; /* [n_steps] from the worst to the best */
    size_t n_steps;
    double mean; /* geometric, of each line's last median to its first; NaN without a line of two points */
};

/* Of runs [n], which it takes over, whatever happens. Errors: IO, FORMAT (of a calibration), MEMORY. */
kv_status kv_history_create(struct kv_history **history, struct kv_results **runs, size_t n, struct kv_error *error);
void kv_history_free(struct kv_history *history);

/* What lies on the time line beside the speed, in the same run: share of the limit, memory, and the quality of the
 * weights and cache, by kv_quality_beside. NaN: unknown. */
enum { KV_HISTORY_BESIDE = 5 };
extern const enum kv_column kv_history_beside_columns[KV_HISTORY_BESIDE];
double kv_history_beside(const struct kv_history *history, const struct kv_history_point *point, int which);

/* "machine.kernel 6.1 -> 6.2; ..": what differs beside the program between the runs beside a step, in text [size], which
 * is returned; "" when nothing does. */
const char *kv_history_differences(const struct kv_history *history, const struct kv_history_step *step, char *text,
                                   size_t size);

/* The steps that are told first: so many to slower at the beginning, so many to faster at the end, five each at most. */
void kv_history_extremes(const struct kv_history *history, size_t *n_worst, size_t *n_best);

/* A row a point, for history.csv; and a row a step of [from, to), the worst first. Errors: MEMORY. */
kv_status kv_history_points_table(const struct kv_history *history, struct kv_table **table, struct kv_error *error);
kv_status kv_history_steps_table(const struct kv_history *history, size_t from, size_t to, struct kv_table **table,
                                 struct kv_error *error);

/* Steps to slower that no later one of their line followed. */
size_t kv_history_regressions(const struct kv_history *history);

/* The page, whole or not at all (report/history.c). Errors: IO, MEMORY. */
kv_status kv_history_write_page(const struct kv_history *history, const char *file, struct kv_error *error);

#endif
