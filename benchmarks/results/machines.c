#include "results/machines.h"

#include "base/error.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static kv_status fail_memory(struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_MEMORY, "no memory to hold two machines side by side: close other programs");
}

const char *kv_machine_name(const struct kv_results *run, char text[KV_MACHINE_NAME_SIZE])
{
    const struct kv_context_facts *facts = run->context;
    snprintf(text, KV_MACHINE_NAME_SIZE, "%.120s, %d CPUs, %.0f GiB", *facts->cpu ? facts->cpu : "unknown", facts->cpus,
             isnan(facts->memory_bytes) ? 0 : facts->memory_bytes / (1 << 30));
    return text;
}

bool kv_machines_differ(const struct kv_results *a, const struct kv_results *b)
{
    char name_a[KV_MACHINE_NAME_SIZE], name_b[KV_MACHINE_NAME_SIZE];
    return *a->context->cpu && *b->context->cpu && strcmp(kv_machine_name(a, name_a), kv_machine_name(b, name_b)) != 0;
}

/* ---- Points -------------------------------------------------------------------------------------------------------- */

static const kv_column_set point_columns = KV_BIT(KV_COLUMN_SUITE) | KV_BIT(KV_COLUMN_ENGINE) | KV_BIT(KV_COLUMN_PATH) |
                                           KV_BIT(KV_COLUMN_MODEL) | KV_BIT(KV_COLUMN_WEIGHTS) | KV_BIT(KV_COLUMN_KV) |
                                           KV_BIT(KV_COLUMN_BATCH) | KV_BIT(KV_COLUMN_PROMPT_TOKENS) |
                                           KV_BIT(KV_COLUMN_NEW_TOKENS);

/* The timed generations of a run, to be found by their point. */
struct side {
    const struct kv_cell_results **cells; /* [n] */
    size_t n;
    struct kv_matcher *matcher;
};

static kv_status open_side(struct side *side, const struct kv_results *run, kv_column_set lacking,
                           struct kv_error *error)
{
    side->cells = calloc(run->n_cells + 1, sizeof *side->cells);
    if (!side->cells)
        return fail_memory(error);
    for (size_t i = 0; i < run->n_cells; i++)
        if (run->cells[i].file == KV_FILE_RUNS && kv_cell_is_timed(&run->cells[i]))
            side->cells[side->n++] = &run->cells[i];
    return kv_matcher_create(&side->matcher, side->cells, side->n, point_columns, lacking, error);
}

static void close_side(struct side *side)
{
    kv_matcher_free(side->matcher);
    free(side->cells);
}

/* The fastest cell at the point of `wanted`; NULL: there is none. */
static const struct kv_cell_results *best(const struct side *side, const struct kv_cell_results *wanted,
                                          enum kv_column column)
{
    const struct kv_cell_results *found = NULL, *cell;
    size_t at = 0;
    while ((cell = kv_matcher_next(side->matcher, wanted, &at)) != NULL)
        if (cell->figures[column].n && (!found || cell->figures[column].median < found->figures[column].median))
            found = cell;
    return found;
}

static bool is_of_task(const struct kv_cell_results *cell, enum kv_task task)
{
    const bool keeps = *cell->texts[KV_COLUMN_CACHE] != '\0';
    const double batch = cell->numbers[KV_COLUMN_BATCH];
    switch (task) {
    case KV_TASK_FIRST_TOKEN:
        return keeps;
    case KV_TASK_ONE_SEQUENCE:
        return keeps && batch < 2;
    case KV_TASK_BATCH:
        return keeps && batch >= 2;
    default:
        return !keeps;
    }
}

static double median(const struct kv_cell_results *cell, enum kv_column column)
{
    return cell->figures[column].n ? cell->figures[column].median : NAN;
}

static enum kv_capacity_limit limit_of(const struct kv_cell_results *cell, enum kv_column column)
{
    const bool is_prefill = column == KV_COLUMN_TTFT_MS;
    const double read = median(cell, is_prefill ? KV_COLUMN_PREFILL_BYTES : KV_COLUMN_BYTES) /
                        median(cell, KV_COLUMN_PROBE_READ_BYTES_PER_S);
    const double compute = median(cell, is_prefill ? KV_COLUMN_PREFILL_FLOPS : KV_COLUMN_FLOPS) /
                           median(cell, KV_COLUMN_PROBE_FMA_FLOP_PER_S);
    if (isnan(read) || isnan(compute))
        return KV_LIMIT_UNKNOWN;
    return read >= compute ? KV_LIMIT_BANDWIDTH : KV_LIMIT_ARITHMETIC;
}

/* ---- Rows ----------------------------------------------------------------------------------------------------------- */

static void count(struct kv_task_summary *summary, const struct kv_machines_row *row)
{
    const enum kv_effect_verdict verdict = row->judgement.judged.verdict;
    summary->ratio = (summary->n ? summary->ratio : 0) + log(row->judgement.judged.ratio);
    summary->n++;
    summary->n_better[0] += verdict == KV_EFFECT_SLOWER;
    summary->n_better[1] += verdict == KV_EFFECT_FASTER;
    summary->n_equal += verdict == KV_EFFECT_EQUAL;
    for (int i = 0; i < 2; i++)
        summary->n_limits[i][row->limits[i]]++;
}

static kv_status add_row(struct kv_machines *machines, enum kv_task task, const struct kv_cell_results *a,
                         const struct kv_cell_results *b, struct kv_error *error)
{
    struct kv_machines_row *rows = realloc(machines->rows, (machines->n_rows + 1) * sizeof *rows);
    if (!rows)
        return fail_memory(error);
    machines->rows = rows;
    struct kv_machines_row *row = &rows[machines->n_rows++];
    *row = (struct kv_machines_row){
        .task = task, .column = task == KV_TASK_FIRST_TOKEN ? KV_COLUMN_TTFT_MS : KV_COLUMN_TTPT_MS, .cells = {a, b}};
    for (int i = 0; i < 2; i++)
        row->limits[i] = limit_of(row->cells[i], row->column);
    const kv_status status = kv_apart_judge(&machines->apart, a, b, row->column, KV_JUDGE_THRESHOLD, &row->judgement,
                                            error);
    if (!status)
        count(&machines->tasks[task], row);
    return status;
}

static kv_status add_rows(struct kv_machines *machines, struct side *sides, enum kv_task task, struct kv_error *error)
{
    const enum kv_column column = task == KV_TASK_FIRST_TOKEN ? KV_COLUMN_TTFT_MS : KV_COLUMN_TTPT_MS;
    kv_status status = KV_OK;
    for (size_t i = 0; !status && i < sides[1].n; i++) {
        const struct kv_cell_results *b = sides[1].cells[i], *a;
        if (is_of_task(b, task) && best(&sides[1], b, column) == b && (a = best(&sides[0], b, column)) != NULL)
            status = add_row(machines, task, a, b, error);
    }
    struct kv_task_summary *summary = &machines->tasks[task];
    summary->ratio = summary->n ? exp(summary->ratio / (double)summary->n) : NAN;
    return status;
}

static kv_status compare(struct kv_machines *machines, struct kv_error *error)
{
    struct side sides[2] = {{0}};
    const kv_column_set lacking = kv_lacking_axes(machines->runs[0]) | kv_lacking_axes(machines->runs[1]);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < 2; i++)
        status = open_side(&sides[i], machines->runs[i], lacking, error);
    for (int task = 0; !status && task < KV_N_TASKS; task++)
        status = add_rows(machines, sides, (enum kv_task)task, error);
    for (int i = 0; i < 2; i++)
        close_side(&sides[i]);
    if (!status && !machines->n_rows)
        status = kv_fail(error, KV_ERROR_ARGUMENT,
                         "%.160s and %.160s have no timed generation in common: measure both machines with the same "
                         "model and suites",
                         machines->runs[0]->file, machines->runs[1]->file);
    return status;
}

/* ---- Machines -------------------------------------------------------------------------------------------------------- */

/* Medians of the probes of cells with the most threads. */
static kv_status find_rates(struct kv_machines *machines, int side, struct kv_error *error)
{
    const struct kv_results *run = machines->runs[side];
    double *values = malloc((run->n_probed + 1) * sizeof *values), threads = 0;
    if (!values)
        return fail_memory(error);
    for (size_t i = 0; i < run->n_probed; i++)
        threads = fmax(threads, run->cells[run->probed[i].cell].numbers[KV_COLUMN_THREADS]);
    for (int kind = 0; kind < 2; kind++) {
        size_t n = 0;
        for (size_t i = 0; i < run->n_probed; i++) {
            const double value = kind ? run->probed[i].fma_flop_per_s : run->probed[i].read_bytes_per_s;
            if (run->cells[run->probed[i].cell].numbers[KV_COLUMN_THREADS] >= threads && !isnan(value))
                values[n++] = value;
        }
        kv_stats_sort(values, n);
        (kind ? machines->fma_flop_per_s : machines->read_bytes_per_s)[side] = n ? kv_stats_median(values, n) : NAN;
    }
    free(values);
    return KV_OK;
}

kv_status kv_machines_create(struct kv_machines **machines, const struct kv_results *a, const struct kv_results *b,
                             struct kv_error *error)
{
    struct kv_machines *made = calloc(1, sizeof *made);
    *machines = NULL;
    if (!made)
        return fail_memory(error);
    made->runs[0] = a;
    made->runs[1] = b;
    kv_status status = kv_apart_of_machines(a, b, &made->apart, error);
    if (!status)
        status = compare(made, error);
    for (int i = 0; !status && i < 2; i++) {
        status = find_rates(made, i, error);
        if (!status)
            status = kv_capacity_create(&made->capacities[i], made->runs[i], error);
    }
    if (status) {
        kv_machines_free(made);
        return status;
    }
    *machines = made;
    return KV_OK;
}

void kv_machines_free(struct kv_machines *machines)
{
    if (!machines)
        return;
    for (int i = 0; i < 2; i++)
        kv_capacity_free(machines->capacities[i]);
    free(machines->rows);
    free(machines);
}
