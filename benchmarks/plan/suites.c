/* The suites: which points each of them sweeps. The arms at every point are axes.c's. */
#include "plan/plan.h"

#include <math.h>
#include <string.h>

/* A list of sizes. */
struct sizes {
    const int *values;
    int n;
};
#define SIZES(array) ((struct sizes){(array), (int)(sizeof(array) / sizeof *(array))})
/* The sizes of this extent, of three arrays. */
#define BY_EXTENT(sweep, quick, report, full)                                                                          \
    ((sweep)->extent == KV_EXTENT_QUICK    ? SIZES(quick)                                                              \
     : (sweep)->extent == KV_EXTENT_REPORT ? SIZES(report)                                                             \
                                           : SIZES(full))

static const int one[] = {1};

static struct sizes batches_of(const struct kv_sweep *sweep, struct sizes otherwise)
{
    return sweep->n_batches ? (struct sizes){sweep->batches, sweep->n_batches} : otherwise;
}

static struct sizes prompts_of(const struct kv_sweep *sweep, struct sizes otherwise)
{
    return sweep->n_prompts ? (struct sizes){sweep->prompts, sweep->n_prompts} : otherwise;
}

/* `n_new`, or the most new tokens that the model's window takes after such a prompt, and 1 at least. */
static int fitting(const struct kv_sweep *sweep, int n_prompt, int n_new)
{
    const int most = sweep->config->n_positions - n_prompt + 1;
    return n_new < most ? n_new : (most > 1 ? most : 1);
}

/* The window, cut to `most` where sizes are to be quick. */
static int window_of(const struct kv_sweep *sweep, int most)
{
    const int window = sweep->config->n_positions;
    return sweep->extent == KV_EXTENT_QUICK && window > most ? most : window;
}

/* Every batch with every prompt; `most_new` new tokens where nothing was asked for, as far as they fit. */
static kv_status add_generations(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep,
                                 struct sizes batches, struct sizes prompts, int most_new, int repetitions,
                                 struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const struct kv_point point = {
                .batch = batches.values[b],
                .n_prompt = prompts.values[p],
                .n_new = sweep->n_new ? sweep->n_new : fitting(sweep, prompts.values[p], most_new),
                .n_prefix = sweep->n_prefix,
            };
            status = kv_plan_add(plan, suite, KV_KIND_GENERATION, sweep, &point, repetitions, error);
        }
    return status;
}

static kv_status plan_batch(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                            struct kv_error *error)
{
    static const int quick[] = {1, 2}, all[] = {1, 2, 4, 8, 16, 32};
    return add_generations(plan, suite->choice.name, sweep, batches_of(sweep, BY_EXTENT(sweep, quick, all, all)),
                           prompts_of(sweep, (struct sizes){&sweep->default_prompt, 1}), 50, sweep->repetitions, error);
}

static kv_status plan_trace(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                            struct kv_error *error)
{
    static const int new_tokens[] = {128, 128, INT32_MAX}; /* quick, report, full: the whole window */
    return add_generations(plan, suite->choice.name, sweep, batches_of(sweep, SIZES(one)),
                           prompts_of(sweep, (struct sizes){&sweep->default_prompt, 1}), new_tokens[sweep->extent],
                           sweep->repetitions, error);
}

/* ---- Lengths up to the window ------------------------------------------------------------------------ */

enum { MAX_LENGTHS = 64 };

/* 64, 64 factor, .. below the window, then the window; the last of n_new tokens stands at the end of each. */
static struct sizes lengths_by_factor(int values[MAX_LENGTHS], int factor, int window, int n_new)
{
    int n = 0;
    for (long length = 64; length < window && n < MAX_LENGTHS - 1; length *= factor)
        values[n++] = (int)length;
    values[n++] = window;
    for (int i = 0; i < n; i++)
        values[i] = values[i] > n_new - 1 ? values[i] - (n_new - 1) : 1;
    return (struct sizes){values, n};
}

/* 1, then n_steps lengths in equal steps up to `last`, or every `every`th of them as far as `most`; none twice. */
static struct sizes lengths_by_step(int values[MAX_LENGTHS], int n_steps, int every, int last, int most)
{
    int n = 0;
    values[n++] = 1;
    for (int i = every; i <= n_steps && n < MAX_LENGTHS; i += every) {
        const int length = (int)((long)last * i / n_steps);
        if (length > values[n - 1] && length <= most)
            values[n++] = length;
    }
    return (struct sizes){values, n};
}

static kv_status plan_grid(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                           struct kv_error *error)
{
    static const int quick[] = {1, 4}, report[] = {1, 4, 16}, full[] = {1, 2, 4, 8, 16, 32};
    const int n_new = sweep->n_new ? sweep->n_new : 2; /* one step: the naive path runs the whole window for each */
    int values[MAX_LENGTHS];
    const struct sizes lengths = lengths_by_factor(values, sweep->extent == KV_EXTENT_FULL ? 2 : 4,
                                                   window_of(sweep, 256), n_new);
    const int first = plan->n_cells;
    const kv_status status = add_generations(plan, suite->choice.name, sweep,
                                             batches_of(sweep, BY_EXTENT(sweep, quick, report, full)),
                                             prompts_of(sweep, lengths), n_new, sweep->repetitions, error);
    for (int i = first; i < plan->n_cells; i++)
        plan->cells[i].is_last = plan->cells[i].point.n_prompt == plan->cells[first].point.n_prompt;
    return status;
}

static kv_status plan_depth(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                            struct kv_error *error)
{
    static const int steps[] = {[KV_EXTENT_QUICK] = 8, [KV_EXTENT_REPORT] = 8, [KV_EXTENT_FULL] = 32};
    const int n_new = sweep->n_new ? sweep->n_new : 3; /* two steps at nearly the same depth */
    const int last = sweep->config->n_positions - (n_new - 1);
    int values[MAX_LENGTHS];
    const struct sizes lengths = lengths_by_step(values, steps[sweep->extent], sweep->extent == KV_EXTENT_QUICK ? 2 : 1,
                                                 last > 1 ? last : 1, window_of(sweep, 512));
    const struct sizes batches = batches_of(sweep, SIZES(one));
    kv_status status = KV_OK;
    for (int b = 0; !status && b < batches.n; b++) /* a curve of all lengths a batch */
        status = add_generations(plan, suite->choice.name, sweep, (struct sizes){&batches.values[b], 1},
                                 prompts_of(sweep, lengths), n_new, sweep->repetitions, error);
    return status;
}

/* One prefill of each, once: what is reserved and live does not vary. */
static kv_status plan_memory(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                             struct kv_error *error)
{
    static const int quick[] = {1, 4}, all[] = {1, 2, 4, 8};
    int values[MAX_LENGTHS];
    const struct sizes lengths = lengths_by_factor(values, sweep->extent == KV_EXTENT_FULL ? 2 : 4,
                                                   window_of(sweep, 256), 1);
    return add_generations(plan, suite->choice.name, sweep, batches_of(sweep, BY_EXTENT(sweep, quick, all, all)),
                           prompts_of(sweep, lengths), 1, 1, error);
}

/* Batch and context, each by itself; what both make large the naive path would take minutes for. */
static kv_status plan_parts(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                            struct kv_error *error)
{
    static const int quick[] = {1, 8}, report[] = {1, 8, 32}, full[] = {1, 2, 4, 8, 16, 32};
    enum { SHORT = 64, LONG = 512, MOST_REPETITIONS = 6 };
    const int n_first = plan->n_cells, last = window_of(sweep, 2 * SHORT) - 2;
    const int lengths[] = {last < SHORT ? (last > 1 ? last : 1) : SHORT, last < LONG ? last : LONG};
    const int repetitions = sweep->repetitions < MOST_REPETITIONS ? sweep->repetitions : MOST_REPETITIONS;
    const struct sizes batches = batches_of(sweep, BY_EXTENT(sweep, quick, report, full));
    kv_status status = add_generations(plan, suite->choice.name, sweep, batches,
                                       prompts_of(sweep, (struct sizes){lengths, 1}), 3, repetitions, error);
    if (!status && !sweep->n_prompts && lengths[1] > lengths[0] && sweep->extent != KV_EXTENT_QUICK)
        status = add_generations(plan, suite->choice.name, sweep, (struct sizes){batches.values, 1},
                                 (struct sizes){lengths + 1, 1}, 3, repetitions, error);
    for (int i = n_first; i < plan->n_cells; i++)
        plan->cells[i].accounts = true;
    return status;
}

/* ---- Fewer bits ----------------------------------------------------------------------------------------- */

enum { MAX_TYPES = 32 };

/* The sweep of the cached path in all formats of weights and types of keys and values, where none are asked for; names
 * [2][MAX_TYPES] is to live as long. */
static struct kv_sweep with_fewer_bits(const struct kv_sweep *sweep, const char *names[2][MAX_TYPES])
{
    static const char *const path[] = {"cached"};
    const struct kv_session_options step = {.path = path[0], .batch = 1};
    struct kv_sweep all = *sweep;
    bool asked = false;
    double least = INFINITY;
    for (int i = 0; kv_axis_at(i); i++) {
        const struct kv_axis *axis = kv_axis_at(i);
        const bool weights = axis->column == KV_COLUMN_WEIGHTS;
        if (axis->column == KV_COLUMN_PATH && !all.axes[i].n)
            all.axes[i] = (struct kv_axis_values){.names = path, .n = 1};
        if (!weights && axis->column != KV_COLUMN_KV)
            continue;
        asked = asked || all.axes[i].n;
        int n = 0;
        for (; !all.axes[i].n && axis->choice(n) && n < MAX_TYPES; n++) {
            names[weights][n] = axis->choice(n)->name;
            const double bytes = kv_step_work(sweep->config, names[weights][n], &step, 0, 1).bytes;
            if (weights && bytes < least) {
                least = bytes;
                all.for_all_types = names[weights][n];
            }
        }
        if (n)
            all.axes[i] = (struct kv_axis_values){.names = names[weights], .n = n};
    }
    if (asked)
        all.for_all_types = NULL;
    return all;
}

/* What is predicted is the same every time: once is enough. */
static kv_status add_texts(struct kv_plan *plan, const char *suite, const struct kv_sweep *arms, const int *contexts,
                           int n, struct kv_error *error)
{
    kv_status status = KV_OK;
    for (int i = 0; !status && i < n; i++) {
        const struct kv_point point = {.n_context = contexts[i]};
        status = kv_plan_add(plan, suite, KV_KIND_QUALITY, arms, &point, 1, error);
    }
    return status;
}

static kv_status plan_precision(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                                struct kv_error *error)
{
    static const int quick[] = {1, 8}, all[] = {1, 8, 32};
    const struct sizes batches = batches_of(sweep, BY_EXTENT(sweep, quick, all, all));
    const int n_new = sweep->n_new ? sweep->n_new : 5, window = sweep->config->n_positions;
    const int contexts[] = {64 < window ? 64 : window, 1024 < window ? 1024 : window};
    const int n_contexts = contexts[0] < contexts[1] && sweep->extent != KV_EXTENT_QUICK ? 2 : 1;
    int lengths[2];
    for (int i = 0; i < 2; i++)
        lengths[i] = contexts[i] > n_new - 1 ? contexts[i] - (n_new - 1) : 1;
    const struct sizes prompts = prompts_of(sweep, (struct sizes){lengths, n_contexts});
    const char *names[2][MAX_TYPES];
    const struct kv_sweep arms = with_fewer_bits(sweep, names);
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            struct kv_point point = {.batch = batches.values[b],
                                     .n_prompt = prompts.values[p],
                                     .n_new = fitting(sweep, prompts.values[p], n_new)};
            /* A prompt is measured at batch 1: for 32 sequences of 1,024 tokens it would take longer than all else. */
            point.same_prompt = point.batch > 1 && point.n_new > 1;
            status = kv_plan_add(plan, suite->choice.name, KV_KIND_GENERATION, &arms, &point, sweep->repetitions,
                                 error);
        }
    /* What the variants cost at these contexts. */
    for (int i = 0; i < 2; i++)
        lengths[i] = contexts[i] < sweep->text_positions ? contexts[i] : sweep->text_positions;
    return status ? status
                  : add_texts(plan, "quality", &arms, lengths, lengths[0] < lengths[1] ? n_contexts : 1, error);
}

/* Contexts from the window down by halves. */
static kv_status plan_quality(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                              struct kv_error *error)
{
    enum { SHORTEST = 16, MOST = 7 };
    const char *names[2][MAX_TYPES];
    const struct kv_sweep arms = with_fewer_bits(sweep, names);
    const int factor = sweep->extent == KV_EXTENT_QUICK ? 4 : 2;
    int contexts[MOST], first = MOST;
    for (int context = sweep->text_positions; first > 0 && (first == MOST || context >= SHORTEST); context /= factor)
        contexts[--first] = context;
    return add_texts(plan, suite->choice.name, &arms, contexts + first, MOST - first, error);
}

/* ---- Fewer positions ------------------------------------------------------------------------------------ */

/* Layouts of one budget of positions. */
static const struct {
    int budget;
    const char *caches[3];
} budgets[] = {
    {16, {"window:4+12", "random:16@1", "heavy:16"}},
    {32, {"window:4+28", "random:32@1", "heavy:32"}},
    {64, {"window:4+60", "random:64@1", "heavy:64"}},
    {128, {"window:4+124", "random:128@1", "heavy:128"}},
};
enum { N_BUDGETS = sizeof budgets / sizeof *budgets, MOST_CACHES = 1 + 3 * N_BUDGETS };

/* What all positions are kept in, and how many of those layouts are, too: int4 keys are far worse where slots change hands. */
struct budget_type {
    const char *kv;
    int n_kinds;
};

/* The caches that have budgets below that context, all that keep every position before them; returns how many. To run a
 * prompt again for every repetition takes so long that of steps only some are timed. */
static int caches_below(const struct kv_sweep *sweep, bool is_timed, int context, int n_kinds,
                        const char *caches[MOST_CACHES])
{
    enum { TIMED = 64 };
    int n = 0;
    caches[n++] = kv_cache_choice(0)->name;
    for (int kind = 0; kind < n_kinds; kind++)
        for (int i = 0; i < N_BUDGETS; i++) {
            const bool is_quick = i % 2 == 0, is_of_times = budgets[i].budget == TIMED || (kind == 0 && is_quick);
            if (budgets[i].budget < context && (is_timed ? is_of_times || sweep->extent == KV_EXTENT_FULL
                                                         : is_quick || sweep->extent != KV_EXTENT_QUICK))
                caches[n++] = budgets[i].caches[kind];
        }
    return n;
}

/* The arms of that type of keys and values, or those that were asked for. */
static kv_status add_budgets(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                             const struct kv_point *point, struct budget_type type, struct kv_error *error)
{
    static const char *const path[] = {"cached"};
    const int context = kind == KV_KIND_QUALITY ? point->n_context : point->n_prompt + point->n_new - 1;
    const char *caches[MOST_CACHES];
    struct kv_sweep arms = *sweep;
    for (int i = 0; kv_axis_at(i); i++) {
        const enum kv_column column = kv_axis_at(i)->column;
        if (arms.axes[i].n)
            continue;
        if (column == KV_COLUMN_PATH)
            arms.axes[i] = (struct kv_axis_values){.names = path, .n = 1};
        else if (column == KV_COLUMN_CACHE)
            arms.axes[i] = (struct kv_axis_values){
                .names = caches, .n = caches_below(sweep, kind != KV_KIND_QUALITY, context, type.n_kinds, caches)};
        else if (column == KV_COLUMN_KV)
            arms.axes[i] = (struct kv_axis_values){.names = &type.kv, .n = 1};
    }
    return kv_plan_add(plan, suite, kind, &arms, point, kind == KV_KIND_QUALITY ? 1 : sweep->repetitions, error);
}

/* All arms of a point, side by side in a round. */
static kv_status add_turn(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                          const struct kv_point *point, struct kv_error *error)
{
    static const struct budget_type types[] = {{"f32", 3}, {"int8", 1}, {"int4", 0}};
    const int first = plan->n_cells, turn = plan->n_turns;
    kv_status status = KV_OK;
    for (int i = 0; !status && i < 3; i++)
        status = add_budgets(plan, suite, kind, sweep, point, types[i], error);
    for (int i = first; i < plan->n_cells; i++)
        plan->cells[i].turn = turn;
    plan->n_turns = turn + 1;
    return status;
}

/* Steps at the end of the context that a text is predicted at, and what the text's tokens cost in each cache. */
static kv_status plan_window(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                             struct kv_error *error)
{
    static const int batch[] = {8};
    const int positions = sweep->config->n_positions, text = sweep->text_positions;
    const int n_new = sweep->n_new ? sweep->n_new : 5, context = positions < text ? positions : text;
    const int prompt = context > n_new ? context - (n_new - 1) : 1;
    const struct sizes batches = batches_of(sweep, SIZES(batch));
    const struct sizes prompts = prompts_of(sweep, (struct sizes){&prompt, 1});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            struct kv_point step = {.batch = batches.values[b],
                                    .n_prompt = prompts.values[p],
                                    .n_new = sweep->n_new ? sweep->n_new : fitting(sweep, prompts.values[p], n_new)};
            step.same_prompt = step.batch > 1 && step.n_new > 1;
            status = add_turn(plan, suite->choice.name, KV_KIND_GENERATION, sweep, &step, error);
        }
    const struct kv_point whole = {.n_context = text};
    return status ? status : add_turn(plan, suite->choice.name, KV_KIND_QUALITY, sweep, &whole, error);
}

/* ---- Pages -------------------------------------------------------------------------------------------- */

/* The sweep of the cached path with these values of an axis, where none are asked for. */
static struct kv_sweep with_names(const struct kv_sweep *sweep, enum kv_column column, const char *const *names, int n)
{
    static const char *const path[] = {"cached"};
    struct kv_sweep all = *sweep;
    for (int i = 0; kv_axis_at(i); i++) {
        if (kv_axis_at(i)->column == KV_COLUMN_PATH && !all.axes[i].n)
            all.axes[i] = (struct kv_axis_values){.names = path, .n = 1};
        if (kv_axis_at(i)->column == column && !all.axes[i].n)
            all.axes[i] = (struct kv_axis_values){.names = names, .n = n};
    }
    return all;
}

/* A load of mixed lengths, once: what is held does not vary. */
static kv_status add_loads(struct kv_plan *plan, const char *suite, const struct kv_sweep *sweep,
                           struct kv_error *error)
{
    enum { BATCH = 8, LONGEST = 256 }; /* of twice the length it takes minutes of GPT-2 */
    static const char *const path[] = {"cached"}, *const engine[] = {"kvbench"}, *const speculate[] = {"none"};
    const int window = sweep->config->n_positions;
    const struct kv_point point = {.batch = BATCH, .n_context = window < LONGEST ? window : LONGEST};
    struct kv_sweep own = *sweep;
    for (int i = 0; kv_axis_at(i); i++) {
        const enum kv_column column = kv_axis_at(i)->column;
        if (column == KV_COLUMN_PATH)
            own.axes[i] = (struct kv_axis_values){.names = path, .n = 1};
        else if (column == KV_COLUMN_ENGINE)
            own.axes[i] = (struct kv_axis_values){.names = engine, .n = 1};
        else if (column == KV_COLUMN_SPECULATE)
            own.axes[i] = (struct kv_axis_values){.names = speculate, .n = 1};
    }
    return kv_plan_add(plan, suite, KV_KIND_LOAD, &own, &point, 1, error);
}

/* Steps at a short and a long context. The prompt is run once, before the rounds; every sequence then has its own keys
 * and values, as copies, in blocks that lie apart. */
static kv_status plan_paged(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                            struct kv_error *error)
{
    static const char *const caches[] = {"contiguous", "paged:4", "paged:16", "paged:64", "paged:256"};
    static const int all[] = {1, 8};
    const struct kv_sweep arms = with_names(sweep, KV_COLUMN_CACHE, caches, sizeof caches / sizeof *caches);
    const int n_new = sweep->n_new ? sweep->n_new : 5, window = sweep->config->n_positions, short_one = 64;
    const int contexts[] = {short_one < window ? short_one : window, window};
    const int n_contexts = contexts[0] < contexts[1] && sweep->extent != KV_EXTENT_QUICK ? 2 : 1;
    const struct sizes batches = batches_of(sweep, SIZES(all));
    int lengths[2];
    for (int i = 0; i < 2; i++)
        lengths[i] = contexts[i] > n_new - 1 ? contexts[i] - (n_new - 1) : 1;
    const struct sizes prompts = prompts_of(sweep, (struct sizes){lengths, n_contexts});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const struct kv_point point = {.batch = batches.values[b],
                                           .n_prompt = prompts.values[p],
                                           .n_new = fitting(sweep, prompts.values[p], n_new),
                                           .same_prompt = fitting(sweep, prompts.values[p], n_new) > 1};
            status = kv_plan_add(plan, suite->choice.name, KV_KIND_GENERATION, &arms, &point, sweep->repetitions,
                                 error);
        }
    return status ? status : add_loads(plan, suite->choice.name, &arms, error);
}

/* Prompts of which nothing, a half and nine tenths are shared, side by side in every round. */
static kv_status plan_prefix(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                             struct kv_error *error)
{
    static const char *const caches[] = {"contiguous", "paged:16"};
    static const int quick[] = {8}, all[] = {2, 8}, percents[] = {0, 50, 90};
    const struct kv_sweep arms = with_names(sweep, KV_COLUMN_CACHE, caches, sizeof caches / sizeof *caches);
    const int window = sweep->config->n_positions, length = window < 128 ? (window > 1 ? window - 1 : 1) : 128;
    const struct sizes batches = batches_of(sweep, BY_EXTENT(sweep, quick, all, all));
    const struct sizes prompts = prompts_of(sweep, (struct sizes){&length, 1});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const int first = plan->n_cells, turn = plan->n_turns, n_prompt = prompts.values[p];
            for (int i = 0; !status && i < 3; i++) {
                const int own = i == 1 && sweep->n_prefix ? sweep->n_prefix : n_prompt * percents[i] / 100;
                const struct kv_point point = {.batch = batches.values[b],
                                               .n_prompt = n_prompt,
                                               .n_new = sweep->n_new ? sweep->n_new : fitting(sweep, n_prompt, 2),
                                               .n_prefix = own};
                if (i < 2 || !sweep->n_prefix)
                    status = kv_plan_add(plan, suite->choice.name, KV_KIND_GENERATION, &arms, &point,
                                         sweep->repetitions, error);
            }
            for (int i = first; i < plan->n_cells; i++)
                plan->cells[i].turn = turn;
            plan->n_turns = turn + 1;
        }
    return status;
}

/* ---- Speculation -------------------------------------------------------------------------------------- */

/* Plain steps, lookups, and drafts where a smaller model comes along, side by side; of a text that means something to the
 * model, since what stays of drafts is the text's. */
static kv_status plan_speculate(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                                struct kv_error *error)
{
    enum { MOST_SPECULATIONS = 16, PROMPT = 64, NEW = 129, NEW_WITHOUT_DRAFTS = 33 };
    static const int quick[] = {1}, all[] = {1, 4};
    const char *names[MOST_SPECULATIONS] = {"none", "lookup:2", "lookup:4", "lookup:8"};
    int n = 4;
    for (int i = 0; i < sweep->n_drafts && n < MOST_SPECULATIONS; i++)
        names[n++] = sweep->drafts[i];
    const struct kv_sweep arms = with_names(sweep, KV_COLUMN_SPECULATE, names, n);
    const int n_new = sweep->n_drafts ? NEW : NEW_WITHOUT_DRAFTS;
    const int window = sweep->config->n_positions, length = window < 2 * PROMPT ? (window + 1) / 2 : PROMPT;
    const struct sizes batches = batches_of(sweep, BY_EXTENT(sweep, quick, all, all));
    const struct sizes prompts = prompts_of(sweep, (struct sizes){&length, 1});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const struct kv_point point = {.batch = batches.values[b],
                                           .n_prompt = prompts.values[p],
                                           .n_new = sweep->n_new ? sweep->n_new
                                                                 : fitting(sweep, prompts.values[p], n_new),
                                           .of_text = true};
            status = kv_plan_add(plan, suite->choice.name, KV_KIND_GENERATION, &arms, &point, sweep->repetitions,
                                 error);
        }
    return status;
}

/* Plain steps and lookups over a text that is given: its prompt once more, with edits. What stays of drafts is then the
 * task's and the lookup's, whatever the model would have said, and the time that of its shape. */
static kv_status plan_copy(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                           struct kv_error *error)
{
    enum { PROMPT = 64, EDIT_EVERY = 32 };
    static const char *const names[] = {"none", "lookup:2", "lookup:4", "lookup:8"};
    static const int quick[] = {1}, all[] = {1, 4};
    const struct kv_sweep arms = with_names(sweep, KV_COLUMN_SPECULATE, names, sizeof names / sizeof *names);
    const int window = sweep->config->n_positions, length = window < 2 * PROMPT ? (window + 1) / 2 : PROMPT;
    const struct sizes batches = batches_of(sweep, BY_EXTENT(sweep, quick, all, all));
    const struct sizes prompts = prompts_of(sweep, (struct sizes){&length, 1});
    kv_status status = KV_OK;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const int n_prompt = prompts.values[p];
            const struct kv_point point = {.batch = batches.values[b],
                                           .n_prompt = n_prompt,
                                           .n_new = sweep->n_new ? sweep->n_new
                                                                 : fitting(sweep, n_prompt, n_prompt + 1),
                                           .edit_every = EDIT_EVERY,
                                           .of_text = true};
            status = kv_plan_add(plan, suite->choice.name, KV_KIND_GENERATION, &arms, &point, sweep->repetitions,
                                 error);
        }
    return status;
}

/* ---- Past the window ----------------------------------------------------------------------------------- */

/* What goes on past the window, and in which cache. */
static const struct {
    const char *cache, *overflow;
} policies[] = {{"contiguous", "stop"}, {"contiguous", "recompute"}, {"contiguous", "shift"}, {"window:4+60", "shift"}};
enum { N_POLICIES = sizeof policies / sizeof *policies, WINDOWS = 4 };

/* New tokens behind half a window, to the end of the last of the windows, or as many past the first as recomputing has
 * the work for in a second or a few. */
static int tokens_past(const struct kv_sweep *sweep, int n_prompt)
{
    static const double most_flops = 1e12;
    const struct kv_session_options step = {.path = "cached", .batch = 1};
    const int window = sweep->config->n_positions;
    const double flops = kv_step_work(sweep->config, kv_weights_choice(0)->name, &step, 0, window).flops;
    const double past = fmax(4, fmin((WINDOWS - 1) * (double)window, most_flops / flops));
    return window - n_prompt + 1 + (int)past;
}

/* One policy, or those that were asked for; nothing past the window with none. */
static kv_status add_policy(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                            struct kv_point point, int policy, struct kv_error *error)
{
    const bool stops = strcmp(policies[policy].overflow, kv_overflow_choice(KV_OVERFLOW_STOP)->name) == 0;
    struct kv_sweep arms = with_names(sweep, KV_COLUMN_CACHE, &policies[policy].cache, 1);
    for (int i = 0; kv_axis_at(i); i++)
        if (kv_axis_at(i)->column == KV_COLUMN_OVERFLOW && !arms.axes[i].n)
            arms.axes[i] = (struct kv_axis_values){.names = &policies[policy].overflow, .n = 1};
        else if (kv_axis_at(i)->column == KV_COLUMN_OVERFLOW && stops)
            return KV_OK;
    if (stops && kind == KV_KIND_QUALITY && point.n_context > sweep->text_positions)
        return KV_OK;
    if (stops && kind == KV_KIND_GENERATION)
        point.n_new = fitting(sweep, point.n_prompt, point.n_new);
    return kv_plan_add(plan, suite, kind, &arms, &point, kind == KV_KIND_QUALITY ? 1 : sweep->repetitions, error);
}

/* All policies side by side in a round. */
static kv_status add_policies(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                              const struct kv_point *point, struct kv_error *error)
{
    const int first = plan->n_cells, turn = plan->n_turns;
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_POLICIES; i++)
        status = add_policy(plan, suite, kind, sweep, *point, i, error);
    for (int i = first; i < plan->n_cells; i++)
        plan->cells[i].turn = turn;
    plan->n_turns = turn + 1;
    return status;
}

/* A text of four windows, written token by token, and the tokens of each window predicted. */
static kv_status plan_overflow(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                               struct kv_error *error)
{
    enum { MOST_REPETITIONS = 3 };
    struct kv_sweep few = *sweep;
    const int half = sweep->config->n_positions / 2, prompt = half ? half : 1;
    const struct sizes batches = batches_of(sweep, SIZES(one));
    const struct sizes prompts = prompts_of(sweep, (struct sizes){&prompt, 1});
    kv_status status = KV_OK;
    few.repetitions = few.repetitions < MOST_REPETITIONS ? few.repetitions : MOST_REPETITIONS;
    for (int p = 0; p < prompts.n; p++)
        for (int b = 0; !status && b < batches.n; b++) {
            const struct kv_point point = {.batch = batches.values[b],
                                           .n_prompt = prompts.values[p],
                                           .n_new = sweep->n_new ? sweep->n_new
                                                                 : tokens_past(sweep, prompts.values[p])};
            status = add_policies(plan, suite->choice.name, KV_KIND_GENERATION, &few, &point, error);
        }
    for (int window = 1; !status && window <= WINDOWS; window++) {
        const struct kv_point text = {.n_context = window * sweep->text_positions, .past = true};
        status = add_policies(plan, suite->choice.name, KV_KIND_QUALITY, sweep, &text, error);
    }
    return status;
}

/* ---- Kernels ------------------------------------------------------------------------------------------ */

static kv_status plan_products(const char *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                               struct kv_error *error)
{
    static const int quick[] = {1, 8, 64}, all[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
    const struct sizes rows = BY_EXTENT(sweep, quick, all, all);
    const struct kv_config *c = sweep->config;
    const struct {
        const char *name;
        int k, n;
    } shapes[] = {
        {"c_attn", c->n_embd, 3 * c->n_embd}, {"attn_proj", c->n_embd, c->n_embd},   {"c_fc", c->n_embd, c->n_inner},
        {"mlp_proj", c->n_inner, c->n_embd},  {"lm_head", c->n_embd, c->vocab_size},
    };
    kv_status status = KV_OK;
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++)
        for (int i = 0; !status && i < rows.n; i++) {
            const struct kv_point point = {
                .shape = shapes[s].name, .rows = rows.values[i], .n = shapes[s].n, .k = shapes[s].k};
            status = kv_plan_add(plan, suite, KV_KIND_MATMUL, sweep, &point, sweep->repetitions, error);
        }
    return status;
}

/* One new query over a context (decode), or as many queries as there are positions (prefill). */
static kv_status plan_attention(const char *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                                struct kv_error *error)
{
    const int longest = sweep->config->n_positions;
    kv_status status = KV_OK;
    for (int prefill = 0; prefill < 2; prefill++) {
        long context = 64;
        for (bool more = true; !status && more;) {
            more = context < longest;
            const int n = more ? (int)context : longest;
            const struct kv_point point = {
                .shape = prefill ? "prefill" : "decode", .rows = prefill ? n : 1, .n_context = n};
            status = kv_plan_add(plan, suite, KV_KIND_ATTENTION, sweep, &point, sweep->repetitions, error);
            context = sweep->extent == KV_EXTENT_QUICK ? longest : 2 * context;
        }
    }
    return status;
}

static kv_status plan_kernels(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                              struct kv_error *error)
{
    const kv_status status = plan_products(suite->choice.name, sweep, plan, error);
    return status ? status : plan_attention(suite->choice.name, sweep, plan, error);
}

/* Every run measures the limits of its own threads; this suite asks for fewer threads, too. */
static kv_status plan_limits(const struct kv_suite *suite, const struct kv_sweep *sweep, struct kv_plan *plan,
                             struct kv_error *error)
{
    (void)suite;
    (void)sweep;
    (void)error;
    plan->limits = true;
    return KV_OK;
}

static const struct kv_suite suites[] = {
    {{"batch", "batch 1 to 32: TTFT, TTPT (TPOT), throughput, memory"}, false, 0, plan_batch},
    {{"trace", "one long generation: every token's latency"}, false, 0, plan_trace},
    {{"grid", "batch x sequence length: TTFT, a step at that depth, memory"}, false, 0, plan_grid},
    {{"depth", "context 1 to n_positions: step latency against context"}, false, 0, plan_depth},
    {{"memory", "batch x length: live, reserved and resident memory"}, false, 0, plan_memory},
    {{"parts", "where a step's time goes: products, attention, norms, head, waiting"}, false, 0, plan_parts},
    {{"precision", "weights and caches in fewer bits, at batch 1, 8, 32: speed, bytes, quality"},
     true,
     0,
     plan_precision},
    {{"quality", "what fewer bits cost: divergence from float32 against context, on a text"}, true, 0, plan_quality},
    {{"paged", "a cache of blocks: step time, bytes, and how much of a ragged load fits"}, true, 110, plan_paged},
    {{"prefix", "sequences that share the beginning of their prompt: TTFT and bytes"}, true, 110, plan_prefix},
    {{"window", "caches of a budget, window, random, heavy: quality against bytes, and speed"}, true, 110, plan_window},
    {{"speculate", "drafts of several tokens a step: speed, tokens a step, acceptance"}, true, 110, plan_speculate},
    {{"copy", "a text that is given, the prompt again with edits: what looking up gains there"}, true, 110, plan_copy},
    {{"overflow", "four windows of text: what stop, recompute, shift and a window cost a token"},
     true,
     110,
     plan_overflow},
    {{"kernels", "matmul and attention shapes by backend, instruction set and rows"}, false, 0, plan_kernels},
    {{"limits", "read bandwidth and arithmetic peak of this machine"}, false, 0, plan_limits},
};

const struct kv_suite *kv_suite_at(int index)
{
    return index >= 0 && index < (int)(sizeof suites / sizeof *suites) ? &suites[index] : NULL;
}

const struct kv_choice *kv_suite_choice(int index)
{
    const struct kv_suite *suite = kv_suite_at(index);
    return suite ? &suite->choice : NULL;
}
