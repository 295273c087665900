/* What two machines side by side have to tell. */
#include "results/machines.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *kv_task_name(enum kv_task task)
{
    static const char *const names[] = {"First tokens", "Tokens of one sequence", "Tokens of a batch",
                                        "Tokens without a cache"};
    return names[task];
}

/* ---- Both machines --------------------------------------------------------------------------------------------------- */

static void add_texts(struct kv_table *table, const char *name, const char *a, const char *b)
{
    kv_table_add_text(table, name);
    kv_table_add_text(table, a);
    kv_table_add_text(table, b);
}

static void add_counts(struct kv_table *table, const char *name, double a, double b)
{
    char texts[2][KV_NUMBER_SIZE];
    add_texts(table, name, kv_integer_text(a, texts[0], sizeof texts[0]),
              kv_integer_text(b, texts[1], sizeof texts[1]));
}

static void add_numbers(struct kv_table *table, const char *name, double a, double b)
{
    char texts[2][KV_NUMBER_SIZE];
    add_texts(table, name, kv_number_text(a, texts[0], sizeof texts[0]), kv_number_text(b, texts[1], sizeof texts[1]));
}

/* Of the arm that was fastest at the first point, or at all points. */
static const char *arm_text(const struct kv_machines *machines, int side, char *text, size_t size)
{
    const char *const *texts = machines->rows[0].cells[side]->texts;
    snprintf(text, size, "%.20s, %.20s, %.8s thread%s", texts[KV_COLUMN_GEMM], texts[KV_COLUMN_ISA],
             texts[KV_COLUMN_THREADS], strcmp(texts[KV_COLUMN_THREADS], "1") == 0 ? "" : "s");
    for (size_t i = 1; i < machines->n_rows; i++) {
        const char *const *others = machines->rows[i].cells[side]->texts;
        if (strcmp(texts[KV_COLUMN_GEMM], others[KV_COLUMN_GEMM]) != 0 ||
            strcmp(texts[KV_COLUMN_ISA], others[KV_COLUMN_ISA]) != 0 ||
            strcmp(texts[KV_COLUMN_THREADS], others[KV_COLUMN_THREADS]) != 0)
            return "the fastest at each point";
    }
    return text;
}

static double fit_of(const struct kv_capacity *capacity, double context)
{
    return capacity->n_arms ? kv_capacity_fit(capacity, &capacity->arms[0], context) : NAN;
}

kv_status kv_machines_facts_table(const struct kv_machines *machines, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {{"property", "", true}, {"a", "A", true}, {"b", "B", true}};
    const kv_status status = kv_table_create(table, "The machines", columns, 3, error);
    const struct kv_context_facts *a = machines->runs[0]->context, *b = machines->runs[1]->context;
    const double *read = machines->read_bytes_per_s, *fma = machines->fma_flop_per_s;
    char texts[2][100];
    if (status)
        return status;
    add_texts(*table, "CPU", a->cpu, b->cpu);
    add_counts(*table, "CPUs", a->cpus, b->cpus);
    add_numbers(*table, "memory, GiB", a->memory_bytes / (1 << 30), b->memory_bytes / (1 << 30));
    add_texts(*table, "fastest with", arm_text(machines, 0, texts[0], sizeof texts[0]),
              arm_text(machines, 1, texts[1], sizeof texts[1]));
    add_numbers(*table, "reads, GB/s", read[0] * 1e-9, read[1] * 1e-9);
    add_numbers(*table, "computes, GFLOP/s", fma[0] * 1e-9, fma[1] * 1e-9);
    add_numbers(*table, "flops for a byte", fma[0] / read[0], fma[1] / read[1]);
    add_counts(*table, "batch that fits at context 1,024", fit_of(machines->capacities[0], 1024),
               fit_of(machines->capacities[1], 1024));
    add_texts(*table, "run", machines->runs[0]->run_id, machines->runs[1]->run_id);
    snprintf(texts[0], sizeof texts[0], "%.12s%s", a->commit, a->dirty ? " with changes" : "");
    snprintf(texts[1], sizeof texts[1], "%.12s%s", b->commit, b->dirty ? " with changes" : "");
    add_texts(*table, "commit", texts[0], texts[1]);
    return KV_OK;
}

/* ---- A task ----------------------------------------------------------------------------------------------------------- */

static const char *better_of(enum kv_effect_verdict verdict)
{
    static const char *const names[] = {[KV_EFFECT_UNDECIDED] = "not told apart",
                                        [KV_EFFECT_EQUAL] = "equal",
                                        [KV_EFFECT_FASTER] = "B",
                                        [KV_EFFECT_SLOWER] = "A"};
    return names[verdict];
}

static void add_limit(struct kv_table *table, const struct kv_machines_row *row, int side)
{
    const struct kv_sample *share = &row->cells[side]->figures[KV_COLUMN_LIMIT_PCT];
    char text[80];
    snprintf(text, sizeof text, "%s", kv_capacity_limit_name(row->limits[side]));
    if (row->limits[side] != KV_LIMIT_UNKNOWN && row->column == KV_COLUMN_TTPT_MS && share->n)
        snprintf(text, sizeof text, "%s (%.0f %% of it)", kv_capacity_limit_name(row->limits[side]), share->median);
    kv_table_add_text(table, text);
}

kv_status kv_machines_task_table(const struct kv_machines *machines, enum kv_task task, struct kv_table **table,
                                 struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"suite", "suite", true},
        {"batch", "batch", false},
        {"prompt_tokens", "prompt", false},
        {"new_tokens", "new", false},
        {"weights", "weights", true},
        {"kv", "kv", true},
        {"median_a", "A, ms", false},
        {"median_b", "B, ms", false},
        {"ratio", "B / A", false},
        {"better", "faster", true},
        {"limit_a", "A is limited by", true},
        {"limit_b", "B is limited by", true},
    };
    const kv_status status = kv_table_create(table, kv_task_name(task), columns, sizeof columns / sizeof *columns,
                                             error);
    for (size_t i = 0; !status && i < machines->n_rows; i++) {
        const struct kv_machines_row *row = &machines->rows[i];
        const struct kv_judgement *judged = &row->judgement.judged;
        if (row->task != task)
            continue;
        for (int column = 0; column < 6; column++)
            kv_table_add_key(*table, row->cells[1], kv_column_find(columns[column].name));
        kv_table_add_interval(*table, judged->median_base, row->cells[0]->figures[row->column].interval);
        kv_table_add_interval(*table, judged->median_other, row->cells[1]->figures[row->column].interval);
        kv_table_add_interval(*table, judged->ratio, judged->interval);
        kv_table_add_text(*table, better_of(judged->verdict));
        add_limit(*table, row, 0);
        add_limit(*table, row, 1);
    }
    return status;
}

/* "memory bandwidth", or "memory bandwidth (at 3 of 5 points) and arithmetic" */
static void name_limits(const size_t n[KV_LIMIT_CAPACITY], char *text, size_t size)
{
    const char *reading = kv_capacity_limit_name(KV_LIMIT_BANDWIDTH),
               *computing = kv_capacity_limit_name(KV_LIMIT_ARITHMETIC);
    if (n[KV_LIMIT_BANDWIDTH] && n[KV_LIMIT_ARITHMETIC])
        snprintf(text, size, "%s (%zu of %zu) and %s", reading, n[KV_LIMIT_BANDWIDTH],
                 n[KV_LIMIT_BANDWIDTH] + n[KV_LIMIT_ARITHMETIC], computing);
    else
        snprintf(text, size, "%s", n[KV_LIMIT_BANDWIDTH] ? reading : n[KV_LIMIT_ARITHMETIC] ? computing : "");
}

/* Who is faster, as far as it can be told: at most points, at few of them, or at some points and not at others. */
static size_t add_verdicts(const struct kv_task_summary *s, char *text, size_t size)
{
    const int winner = s->n_better[1] ? 1 : 0;
    const size_t n_won = s->n_better[winner], n_untold = s->n - n_won - s->n_better[!winner] - s->n_equal;
    char mean[KV_NUMBER_SIZE], rest[80] = "";
    kv_number_text(winner ? 1 / s->ratio : s->ratio, mean, sizeof mean);
    if (n_untold)
        snprintf(rest, sizeof rest, ", not told apart at %zu", n_untold);
    if (s->n_better[!winner])
        return (size_t)snprintf(text, size, "it depends: of %zu points A is faster at %zu and B at %zu%s", s->n,
                                s->n_better[0], s->n_better[1], rest);
    if (!n_won)
        return (size_t)snprintf(text, size, "A and B are %s", s->n_equal == s->n ? "equal" : "not told apart");
    if (2 * n_won <= s->n)
        return (size_t)snprintf(text, size, "perhaps %c, but it is faster for sure at %zu of %zu points alone%s",
                                'A' + winner, n_won, s->n, rest);
    return (size_t)snprintf(text, size, "%c, %s times as fast in the geometric mean; faster at %zu of %zu points%s",
                            'A' + winner, mean, n_won, s->n, rest);
}

const char *kv_task_sentence(const struct kv_machines *machines, enum kv_task task, char *text, size_t size)
{
    const struct kv_task_summary *summary = &machines->tasks[task];
    char limits[2][100];
    size_t n = add_verdicts(summary, text, size);
    name_limits(summary->n_limits[0], limits[0], sizeof limits[0]);
    name_limits(summary->n_limits[1], limits[1], sizeof limits[1]);
    if (*limits[0] && strcmp(limits[0], limits[1]) == 0)
        snprintf(text + n, size - n, ". Both are limited by %s", limits[0]);
    else if (*limits[0] && *limits[1])
        snprintf(text + n, size - n, ". A is limited by %s, B by %s", limits[0], limits[1]);
    return text;
}

/* ---- What both serve --------------------------------------------------------------------------------------------------- */

/* "12 (1202 tok/s)", which the page sets on two lines */
static void add_served(struct kv_table *table, const struct kv_capacity_plan *plan)
{
    char text[100], sequences[KV_NUMBER_SIZE], speed[KV_NUMBER_SIZE];
    kv_integer_text(plan->batch, sequences, sizeof sequences);
    kv_number_text(plan->tok_s, speed, sizeof speed);
    snprintf(text, sizeof text, plan->batch ? "%s (%s tok/s)" : "%s", sequences, speed);
    kv_table_add_number(table, plan->batch, text);
}

static const char *server(const struct kv_machines *machines, const struct kv_capacity_plan plans[2])
{
    if (!plans[0].batch && !plans[1].batch)
        return "neither";
    if (!plans[0].batch || !plans[1].batch)
        return plans[0].batch ? "A" : "B";
    const double apart = log(plans[1].tok_s / plans[0].tok_s);
    return fabs(apart) <= machines->apart.log_factor ? "not told apart" : apart < 0 ? "A" : "B";
}

kv_status kv_machines_serve_table(const struct kv_machines *machines, const double *goals, int n_goals,
                                  struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"context_tokens", "context", false}, {"goal_ms", "goal, ms", false},     {"better", "serves more", true},
        {"batch_a", "A, sequences", false},   {"batch_b", "B, sequences", false}, {"limit_a", "A is limited by", true},
        {"limit_b", "B is limited by", true},
    };
    double contexts[KV_CAPACITY_CONTEXTS];
    char text[KV_NUMBER_SIZE];
    const kv_status status = kv_table_create(table, "What both serve", columns, sizeof columns / sizeof *columns,
                                             error);
    const int n_contexts = kv_capacity_contexts(machines->capacities[0], contexts);
    for (int i = 0; !status && i < n_contexts; i++)
        for (int k = 0; k < n_goals; k++) {
            const struct kv_capacity_plan plans[2] = {kv_capacity_plan(machines->capacities[0], goals[k], contexts[i]),
                                                      kv_capacity_plan(machines->capacities[1], goals[k], contexts[i])};
            if (!plans[0].arm || !plans[1].arm)
                break;
            kv_table_add_number(*table, contexts[i], kv_integer_text(contexts[i], text, sizeof text));
            kv_table_add_number(*table, goals[k], kv_integer_text(goals[k], text, sizeof text));
            kv_table_add_text(*table, server(machines, plans));
            add_served(*table, &plans[0]);
            add_served(*table, &plans[1]);
            kv_table_add_text(*table, kv_capacity_limit_name(plans[0].limit));
            kv_table_add_text(*table, kv_capacity_limit_name(plans[1].limit));
        }
    return status;
}
