#include "results/capacity.h"

#include "base/error.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- What was measured ------------------------------------------------------------------------------------------------ */

static double median(const struct kv_cell_results *cell, enum kv_column column)
{
    return cell->figures[column].n ? cell->figures[column].median : NAN;
}

static double mean_context(const struct kv_cell_results *cell)
{
    return cell->numbers[KV_COLUMN_PROMPT_TOKENS] + cell->numbers[KV_COLUMN_NEW_TOKENS] / 2;
}

/* Of a path with a cache, timed, with all sizes. */
static bool is_usable(const struct kv_cell_results *cell)
{
    return cell->file == KV_FILE_RUNS && *cell->texts[KV_COLUMN_CACHE] && kv_cell_is_timed(cell) &&
           !isnan(median(cell, KV_COLUMN_TTPT_MS)) && cell->numbers[KV_COLUMN_BATCH] >= 1 && mean_context(cell) > 0 &&
           cell->numbers[KV_COLUMN_NEW_TOKENS] >= 2;
}

static bool is_of_arm(const struct kv_cell_results *a, const struct kv_cell_results *b)
{
    for (int i = 0; i < KV_N_COLUMNS; i++)
        if ((kv_column_info((enum kv_column)i)->role == KV_ROLE_AXIS || i == KV_COLUMN_MODEL) &&
            strcmp(a->texts[i], b->texts[i]) != 0)
            return false;
    return true;
}

static int compare_points(const void *left, const void *right)
{
    const struct kv_capacity_point *a = left, *b = right;
    if (a->batch != b->batch)
        return a->batch < b->batch ? -1 : 1;
    return (a->context > b->context) - (a->context < b->context);
}

/* Sorts points [n]; those of one batch and context, as two suites may have, become their mean. Returns how many stay. */
static size_t merge_points(struct kv_capacity_point *points, size_t n)
{
    size_t kept = 0;
    qsort(points, n, sizeof *points, compare_points);
    for (size_t i = 0, next; i < n; i = next) {
        double sum = 0;
        for (next = i; next < n && compare_points(&points[i], &points[next]) == 0; next++)
            sum += points[next].ttpt_ms;
        points[kept] = points[i];
        points[kept++].ttpt_ms = sum / (double)(next - i);
    }
    return kept;
}

/* ---- What a step takes ------------------------------------------------------------------------------------------------- */

/* From the arm's cells: bytes and flops are exact, so that one cell, or two of different contexts, tell them. */
static void find_work(struct kv_capacity_arm *arm, const struct kv_results *results)
{
    const struct kv_cell_results *short_one = NULL, *long_one = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (!is_usable(cell) || !is_of_arm(cell, arm->cell) || isnan(median(cell, KV_COLUMN_FLOPS)))
            continue;
        if (!short_one || mean_context(cell) < mean_context(short_one))
            short_one = cell;
        if (!long_one || mean_context(cell) > mean_context(long_one))
            long_one = cell;
    }
    arm->weights_bytes = arm->kv_bytes = arm->flops_token = arm->flops_position = NAN;
    if (!short_one)
        return;
    const double batch = short_one->numbers[KV_COLUMN_BATCH], context = mean_context(short_one);
    const double flops = median(short_one, KV_COLUMN_FLOPS) / batch;
    arm->kv_bytes = median(short_one, KV_COLUMN_KV_LIVE_BYTES) / batch / short_one->numbers[KV_COLUMN_CONTEXT_TOKENS];
    arm->weights_bytes = median(short_one, KV_COLUMN_BYTES) - batch * context * arm->kv_bytes;
    arm->flops_position = 0;
    if (mean_context(long_one) > context)
        arm->flops_position = (median(long_one, KV_COLUMN_FLOPS) / long_one->numbers[KV_COLUMN_BATCH] - flops) /
                              (mean_context(long_one) - context);
    arm->flops_token = flops - context * arm->flops_position;
}

/* The median over the arm's cells; scratch [n_cells]. */
static double median_of_cells(const struct kv_capacity_arm *arm, const struct kv_results *results,
                              enum kv_column column, double *scratch)
{
    size_t n = 0;
    for (size_t i = 0; i < results->n_cells; i++)
        if (is_usable(&results->cells[i]) && is_of_arm(&results->cells[i], arm->cell) &&
            !isnan(median(&results->cells[i], column)))
            scratch[n++] = median(&results->cells[i], column);
    kv_stats_sort(scratch, n);
    return n ? kv_stats_median(scratch, n) : NAN;
}

static void find_machine(struct kv_capacity_arm *arm, const struct kv_results *results, double *scratch)
{
    const double threads = arm->cell->numbers[KV_COLUMN_THREADS];
    arm->bytes_per_s = median_of_cells(arm, results, KV_COLUMN_PROBE_READ_BYTES_PER_S, scratch);
    arm->flops_per_s = median_of_cells(arm, results, KV_COLUMN_PROBE_FMA_FLOP_PER_S, scratch);
    if (isnan(arm->bytes_per_s) && threads >= 1)
        arm->bytes_per_s = kv_results_bandwidth(results, (int)threads);
    if (isnan(arm->flops_per_s) && threads >= 1)
        arm->flops_per_s = kv_results_peak(results, (int)threads);
    arm->rest_bytes = 0;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (cell->file == KV_FILE_RUNS && is_of_arm(cell, arm->cell))
            arm->rest_bytes = fmax(arm->rest_bytes, median(cell, KV_COLUMN_RSS_PEAK_BYTES) - arm->weights_bytes -
                                                        median(cell, KV_COLUMN_KV_RESERVED_BYTES));
    }
}

static bool is_known_arm(const struct kv_capacity *capacity, const struct kv_cell_results *cell)
{
    for (size_t i = 0; i < capacity->n_arms; i++)
        if (is_of_arm(capacity->arms[i].cell, cell))
            return true;
    return false;
}

static void find_arms(struct kv_capacity *capacity, double *scratch)
{
    const struct kv_results *results = capacity->results;
    struct kv_capacity_point *points = capacity->points;
    for (size_t i = 0; i < results->n_cells; i++) {
        if (!is_usable(&results->cells[i]) || is_known_arm(capacity, &results->cells[i]))
            continue;
        struct kv_capacity_arm *arm = &capacity->arms[capacity->n_arms++];
        *arm = (struct kv_capacity_arm){.cell = &results->cells[i], .points = points};
        size_t n = 0;
        for (size_t k = i; k < results->n_cells; k++) {
            const struct kv_cell_results *cell = &results->cells[k];
            if (is_usable(cell) && is_of_arm(cell, arm->cell))
                points[n++] = (struct kv_capacity_point){(int)cell->numbers[KV_COLUMN_BATCH], mean_context(cell),
                                                         median(cell, KV_COLUMN_TTPT_MS)};
        }
        arm->n_points = merge_points(points, n);
        points += arm->n_points;
        find_work(arm, results);
        find_machine(arm, results, scratch);
    }
}

kv_status kv_capacity_create(struct kv_capacity **capacity, const struct kv_results *results, struct kv_error *error)
{
    struct kv_config config;
    struct kv_capacity *made = calloc(1, sizeof *made);
    double *scratch = malloc((results->n_cells + 1) * sizeof *scratch);
    if (made) {
        made->arms = calloc(results->n_cells + 1, sizeof *made->arms);
        made->points = calloc(results->n_cells + 1, sizeof *made->points);
    }
    *capacity = made;
    if (!made || !made->arms || !made->points || !scratch) {
        free(scratch);
        kv_capacity_free(made);
        *capacity = NULL;
        return kv_fail(error, KV_ERROR_MEMORY, "no memory to plan from %s: close other programs", results->file);
    }
    made->results = results;
    made->memory_bytes = results->context->memory_bytes;
    made->window = NAN;
    find_arms(made, scratch);
    if (made->n_arms && kv_config_preset(made->arms[0].cell->texts[KV_COLUMN_MODEL], &config, NULL) == KV_OK)
        made->window = config.n_positions;
    free(scratch);
    return KV_OK;
}

void kv_capacity_free(struct kv_capacity *capacity)
{
    if (!capacity)
        return;
    free(capacity->arms);
    free(capacity->points);
    free(capacity);
}

/* ---- Between measured points -------------------------------------------------------------------------------------------- */

static double between(double x, double x0, double y0, double x1, double y1)
{
    return x1 > x0 ? y0 + (y1 - y0) * (x - x0) / (x1 - x0) : y0;
}

/* Points [n] of one batch, by context; NaN outside of them. */
static double at_context(const struct kv_capacity_point *points, size_t n, double context, bool *is_measured)
{
    size_t i = 0;
    while (i < n && points[i].context < context)
        i++;
    *is_measured = i < n && !(points[i].context > context);
    if (*is_measured)
        return points[i].ttpt_ms;
    if (i == 0 || i == n)
        return NAN;
    return between(context, points[i - 1].context, points[i - 1].ttpt_ms, points[i].context, points[i].ttpt_ms);
}

/* The next batch of the arm from point *at on that was measured around this context, and its time; 0 after the last. */
static int next_batch(const struct kv_capacity_arm *arm, size_t *at, double context, double *ttpt_ms, bool *is_measured)
{
    while (*at < arm->n_points) {
        const struct kv_capacity_point *first = &arm->points[*at];
        size_t n = 0;
        while (*at + n < arm->n_points && first[n].batch == first->batch)
            n++;
        *at += n;
        *ttpt_ms = at_context(first, n, context, is_measured);
        if (!isnan(*ttpt_ms))
            return first->batch;
    }
    return 0;
}

double kv_capacity_ttpt(const struct kv_capacity_arm *arm, int batch, double context, bool *is_measured)
{
    size_t at = 0;
    int below = 0;
    double time_below = NAN, time;
    *is_measured = false;
    for (int here; (here = next_batch(arm, &at, context, &time, is_measured)) != 0;) {
        if (here == batch)
            return time;
        if (here > batch) {
            *is_measured = false;
            return below ? between(batch, below, time_below, here, time) : NAN;
        }
        below = here;
        time_below = time;
    }
    *is_measured = false;
    return NAN;
}

/* ---- Plans ---------------------------------------------------------------------------------------------------------------- */

const char *kv_capacity_limit_name(enum kv_capacity_limit limit)
{
    static const char *const names[] = {"-", "memory bandwidth", "arithmetic", "memory capacity"};
    return names[limit];
}

double kv_capacity_fit(const struct kv_capacity *capacity, const struct kv_capacity_arm *arm, double other)
{
    const double left = capacity->memory_bytes - arm->weights_bytes - arm->rest_bytes;
    return left < 0 ? 0 : floor(left / (other * arm->kv_bytes));
}

static void find_limit(const struct kv_capacity *capacity, struct kv_capacity_plan *plan)
{
    const struct kv_capacity_arm *arm = plan->arm;
    const double batch = plan->batch ? plan->batch : plan->smallest;
    plan->step_bytes = arm->weights_bytes + batch * plan->context * arm->kv_bytes;
    plan->step_flops = batch * (arm->flops_token + plan->context * arm->flops_position);
    plan->read_ms = 1e3 * plan->step_bytes / arm->bytes_per_s;
    plan->compute_ms = 1e3 * plan->step_flops / arm->flops_per_s;
    plan->fit_context = kv_capacity_fit(capacity, arm, batch);
    if (plan->fit_context > capacity->window)
        plan->fit_context = capacity->window;
    if (plan->limit == KV_LIMIT_CAPACITY || isnan(plan->read_ms) || isnan(plan->compute_ms))
        return;
    plan->limit = plan->read_ms >= plan->compute_ms ? KV_LIMIT_BANDWIDTH : KV_LIMIT_ARITHMETIC;
}

/* Of one arm; plan.arm is NULL when nothing was measured around this context. */
static struct kv_capacity_plan plan_arm(const struct kv_capacity *capacity, const struct kv_capacity_arm *arm,
                                        double goal_ms, double context)
{
    struct kv_capacity_plan plan = {
        .goal_ms = goal_ms, .context = context, .fit_batch = kv_capacity_fit(capacity, arm, context)};
    size_t at = 0;
    double time;
    bool is_measured;
    for (int batch; (batch = next_batch(arm, &at, context, &time, &is_measured)) != 0; plan.largest = batch)
        plan.smallest = plan.smallest ? plan.smallest : batch;
    if (!plan.smallest)
        return plan;
    plan.arm = arm;
    plan.ttpt_ms = kv_capacity_ttpt(arm, plan.smallest, context, &plan.is_measured);
    for (int batch = plan.largest; !plan.batch && batch >= plan.smallest; batch--) {
        time = kv_capacity_ttpt(arm, batch, context, &is_measured);
        if (time > goal_ms)
            continue;
        if (batch > plan.fit_batch) {
            plan.limit = KV_LIMIT_CAPACITY;
            continue;
        }
        plan.batch = batch;
        plan.ttpt_ms = time;
        plan.is_measured = is_measured;
        plan.is_largest = batch == plan.largest;
    }
    plan.tok_s = (plan.batch ? plan.batch : plan.smallest) / plan.ttpt_ms * 1e3;
    find_limit(capacity, &plan);
    return plan;
}

struct kv_capacity_plan kv_capacity_plan(const struct kv_capacity *capacity, double goal_ms, double context)
{
    struct kv_capacity_plan best = {.goal_ms = goal_ms, .context = context};
    for (size_t i = 0; i < capacity->n_arms; i++) {
        const struct kv_capacity_plan plan = plan_arm(capacity, &capacity->arms[i], goal_ms, context);
        if (!plan.arm)
            continue;
        const bool meets = plan.batch > 0, best_meets = best.batch > 0;
        if (!best.arm || meets > best_meets ||
            (meets == best_meets && (meets ? plan.tok_s > best.tok_s : plan.ttpt_ms < best.ttpt_ms)))
            best = plan;
    }
    return best;
}

/* How many batches an arm was measured with at this very context, the most of any. */
static int batches_at(const struct kv_capacity *capacity, double context)
{
    int most = 0;
    for (size_t i = 0; i < capacity->n_arms; i++) {
        int n = 0;
        for (size_t k = 0; k < capacity->arms[i].n_points; k++)
            n += !(fabs(capacity->arms[i].points[k].context - context) > 0);
        most = n > most ? n : most;
    }
    return most;
}

int kv_capacity_contexts(const struct kv_capacity *capacity, double contexts[KV_CAPACITY_CONTEXTS])
{
    int n = 0;
    double last = 0;
    for (;;) {
        double next = INFINITY;
        for (size_t i = 0; i < capacity->n_arms; i++)
            for (size_t k = 0; k < capacity->arms[i].n_points; k++) {
                const double context = capacity->arms[i].points[k].context;
                /* of contexts that are next to each other one is enough */
                if (context > last * 1.5 && context < next && batches_at(capacity, context) >= 2)
                    next = context;
            }
        if (isinf(next))
            return n;
        /* with too many, the longest stays */
        contexts[n < KV_CAPACITY_CONTEXTS ? n++ : n - 1] = last = next;
    }
}

/* ---- Telling ---------------------------------------------------------------------------------------------------------------- */

const char *kv_capacity_arm_text(const struct kv_capacity_arm *arm, char *text, size_t size)
{
    const char *const *names = arm->cell->texts;
    snprintf(text, size, "%.20s, weights %.20s, kv %.20s, %.20s, %.20s, %.8s thread%s", names[KV_COLUMN_PATH],
             names[KV_COLUMN_WEIGHTS], names[KV_COLUMN_KV], names[KV_COLUMN_GEMM], names[KV_COLUMN_ISA],
             names[KV_COLUMN_THREADS], strcmp(names[KV_COLUMN_THREADS], "1") == 0 ? "" : "s");
    return text;
}

static void add_plan(struct kv_table *table, const struct kv_capacity_plan *plan)
{
    char text[160];
    kv_table_add_number(table, plan->context, kv_integer_text(plan->context, text, sizeof text));
    kv_table_add_number(table, plan->goal_ms,
                        plan->goal_ms < floor(plan->goal_ms) + 1e-9 ? kv_integer_text(plan->goal_ms, text, sizeof text)
                                                                    : NULL);
    if (!plan->arm) {
        kv_table_add_note(table, "nothing was measured around this context");
        return;
    }
    kv_table_add_number(table, plan->batch, kv_integer_text(plan->batch, text, sizeof text));
    kv_table_add_number(table, plan->batch ? plan->tok_s : NAN, NULL);
    kv_table_add_text(table, kv_capacity_limit_name(plan->limit));
    kv_table_add_number(table, plan->ttpt_ms, NULL);
    kv_table_add_text(table, !plan->batch         ? plan->limit == KV_LIMIT_CAPACITY ? "does not fit" : "too slow"
                             : !plan->is_measured ? "interpolated"
                             : plan->is_largest   ? "the largest measured"
                                                  : "measured");
    kv_table_add_number(table, plan->fit_batch, kv_integer_text(plan->fit_batch, text, sizeof text));
    kv_table_add_number(table, plan->fit_context, kv_integer_text(plan->fit_context, text, sizeof text));
    kv_table_add_number(table, plan->read_ms, NULL);
    kv_table_add_number(table, plan->compute_ms, NULL);
    kv_table_add_text(table, kv_capacity_arm_text(plan->arm, text, sizeof text));
}

kv_status kv_capacity_table(const struct kv_capacity *capacity, const double *goals, int n_goals,
                            const double *contexts, int n_contexts, struct kv_table **table, struct kv_error *error)
{
    static const struct kv_table_column columns[] = {
        {"context_tokens", "context", false},
        {"goal_ms", "goal, ms", false},
        {"batch", "sequences", false},
        {"tok_s", "tok/s", false},
        {"limit", "limited by", true},
        {"ttpt_ms", "a step, ms", false},
        {"source", "how it is known", true},
        {"fit_batch", "batch that fits", false},
        {"fit_context", "context that fits", false},
        {"read_ms", "reading, ms", false},
        {"compute_ms", "arithmetic, ms", false},
        {"arm", "arm", true},
    };
    const kv_status status = kv_table_create(table, "What this machine serves", columns,
                                             sizeof columns / sizeof *columns, error);
    for (int i = 0; !status && i < n_contexts; i++)
        for (int k = 0; k < n_goals; k++) {
            const struct kv_capacity_plan plan = kv_capacity_plan(capacity, goals[k], contexts[i]);
            add_plan(*table, &plan);
        }
    return status;
}

/* null where it is unknown, as JSON has no NaN */
static json_t *number(double value)
{
    return isfinite(value) ? json_real(value) : json_null();
}

char *kv_capacity_json(const struct kv_capacity *capacity)
{
    json_t *arms = json_array();
    for (size_t i = 0; i < capacity->n_arms; i++) {
        const struct kv_capacity_arm *arm = &capacity->arms[i];
        char name[160];
        json_t *points = json_array();
        for (size_t k = 0; k < arm->n_points; k++)
            json_array_append_new(
                points, json_pack("[i, f, f]", arm->points[k].batch, arm->points[k].context, arm->points[k].ttpt_ms));
        json_array_append_new(arms, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "name",
                                              kv_capacity_arm_text(arm, name, sizeof name), "points", points, "weights",
                                              number(arm->weights_bytes), "kv", number(arm->kv_bytes), "rest",
                                              number(arm->rest_bytes), "flops_token", number(arm->flops_token),
                                              "flops_position", number(arm->flops_position), "bytes_per_s",
                                              number(arm->bytes_per_s), "flops_per_s", number(arm->flops_per_s)));
    }
    json_t *all = json_pack("{s:o, s:o, s:o}", "arms", arms, "memory", number(capacity->memory_bytes), "window",
                            number(capacity->window));
    char *text = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(9));
    json_decref(all);
    return text;
}
