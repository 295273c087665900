#include "plan/plan.h"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A draft's folder is in the cell's id. */
enum { LONGEST_NAME = KV_AXIS_TEXT_SIZE - 1 };

static const char *speculation_name(const char *name)
{
    struct kv_speculate_name read;
    return strlen(name) <= LONGEST_NAME && kv_speculate_read(name, &read, NULL) == KV_OK ? name : NULL;
}

static bool speculation_misspelt(const char *name, struct kv_error *error)
{
    struct kv_speculate_name read;
    return kv_speculate_read(name, &read, error) != KV_OK;
}

static const struct kv_axis axes[] = {
    {.column = KV_COLUMN_ENGINE,
     .field = offsetof(struct kv_arm, engine),
     .choice = kv_engine_choice,
     .help = "who runs the model, kvbench or a peer (see kvbench peers):"},
    {.column = KV_COLUMN_PATH,
     .field = offsetof(struct kv_arm, path),
     .choice = kv_path_choice,
     .help = "measured in turn (default naive,cached):"},
    {.column = KV_COLUMN_WEIGHTS,
     .field = offsetof(struct kv_arm, weights),
     .choice = kv_weights_choice,
     .help = "format of the weights in memory:"},
    {.column = KV_COLUMN_CACHE,
     .field = offsetof(struct kv_arm, cache),
     .choice = kv_cache_choice,
     .more = kv_cache_name,
     .besides = ", or one with other numbers",
     .misspelt = kv_cache_misspelt,
     .help = "layout of the KV cache:"},
    {.column = KV_COLUMN_KV,
     .field = offsetof(struct kv_arm, kv),
     .choice = kv_kv_choice,
     .more = kv_kv_name,
     .besides = ", or two of them as KEYS/VALUES",
     .help = "type of the cached keys and values, or KEYS/VALUES such as int8/int4:"},
    {.column = KV_COLUMN_GEMM,
     .field = offsetof(struct kv_arm, gemm),
     .choice = kv_matmul_choice,
     .help = "matrix product (kernels: default all but reference):"},
    {.column = KV_COLUMN_ISA,
     .field = offsetof(struct kv_arm, isa),
     .choice = kv_isa_choice,
     .help = "instruction set of the other kernels (or KVBENCH_ISA):"},
    {.column = KV_COLUMN_THREADS,
     .field = offsetof(struct kv_arm, threads),
     .low = 1,
     .high = KV_MAX_THREADS,
     .letter = 't',
     .help = "threads (default: the physical cores)"},
    {.column = KV_COLUMN_CHUNK,
     .field = offsetof(struct kv_arm, chunk),
     .low = 1,
     .high = INT32_MAX,
     .help = "most positions of a prefill at once (default: the path's own choice)"},
    {.column = KV_COLUMN_SPECULATE,
     .field = offsetof(struct kv_arm, speculate),
     .choice = kv_speculate_choice,
     .more = speculation_name,
     .besides = ", or one with another model or number",
     .misspelt = speculation_misspelt,
     .help = "what drafts tokens that a step runs at once:"},
    {.column = KV_COLUMN_OVERFLOW,
     .field = offsetof(struct kv_arm, overflow),
     .choice = kv_overflow_choice,
     .help = "what a step past the window (n_positions) does:"},
};
enum { N_AXES = sizeof axes / sizeof *axes };
_Static_assert(N_AXES <= KV_MAX_AXES, "kv_sweep.axes is too short");

static const struct kv_kind_info kinds[KV_N_KINDS] = {
    [KV_KIND_GENERATION] = {.kernel = "", .file = KV_FILE_RUNS, .axes = KV_ALL_COLUMNS},
    [KV_KIND_MATMUL] = {.kernel = "matmul",
                        .file = KV_FILE_KERNELS,
                        .axes = KV_BIT(KV_COLUMN_WEIGHTS) | KV_BIT(KV_COLUMN_GEMM) | KV_BIT(KV_COLUMN_ISA) |
                                KV_BIT(KV_COLUMN_THREADS)},
    [KV_KIND_ATTENTION] = {.kernel = "attention",
                           .file = KV_FILE_KERNELS,
                           .axes = KV_BIT(KV_COLUMN_CACHE) | KV_BIT(KV_COLUMN_KV) | KV_BIT(KV_COLUMN_ISA) |
                                   KV_BIT(KV_COLUMN_THREADS)},
    [KV_KIND_LOAD] = {.kernel = "", .file = KV_FILE_RUNS, .axes = KV_ALL_COLUMNS},
    [KV_KIND_QUALITY] = {.kernel = "", .file = KV_FILE_QUALITY, .axes = KV_ALL_COLUMNS & ~KV_BIT(KV_COLUMN_SPECULATE)},
};

const struct kv_axis *kv_axis_at(int index)
{
    return index >= 0 && index < N_AXES ? &axes[index] : NULL;
}

const struct kv_kind_info *kv_kind_info(enum kv_kind kind)
{
    return &kinds[kind];
}

/* Where an arm has its value of the axis. */
static const char **name_of(const struct kv_axis *axis, const struct kv_arm *arm)
{
    return (const char **)(uintptr_t)((const char *)arm + axis->field);
}

static int *count_of(const struct kv_axis *axis, const struct kv_arm *arm)
{
    return (int *)(uintptr_t)((const char *)arm + axis->field);
}

const char *kv_axis_text(const struct kv_axis *axis, const struct kv_arm *arm, char text[KV_AXIS_TEXT_SIZE])
{
    if (axis->choice)
        snprintf(text, KV_AXIS_TEXT_SIZE, "%s", *name_of(axis, arm));
    else
        snprintf(text, KV_AXIS_TEXT_SIZE, "%d", *count_of(axis, arm));
    return text;
}

static bool has_value(const struct kv_axis *axis, const struct kv_arm *arm)
{
    return axis->choice ? **name_of(axis, arm) : *count_of(axis, arm) > 0;
}

static bool is_equal(const struct kv_axis *axis, const struct kv_arm *a, const struct kv_arm *b)
{
    return axis->choice ? strcmp(*name_of(axis, a), *name_of(axis, b)) == 0 : *count_of(axis, a) == *count_of(axis, b);
}

bool kv_arms_equal(const struct kv_arm *a, const struct kv_arm *b)
{
    for (int i = 0; i < N_AXES; i++)
        if (!is_equal(&axes[i], a, b))
            return false;
    return true;
}

/* ---- The arms of a sweep --------------------------------------------------------------------------- */

enum { MOST_DEFAULTS = 32 };

/* Where nothing was asked for: one value of each axis, but both paths; of kernels alone all backends but the reference,
 * which is there to be right and takes minutes, and attention at every level. Names in `names` [MOST_DEFAULTS]. */
static struct kv_axis_values default_values(const struct kv_axis *axis, enum kv_kind kind, const struct kv_sweep *sweep,
                                            const char **names)
{
    static const char *const paths[] = {"naive", "cached"};
    static const int no_chunk = 0;
    int n = 0;
    if (axis->column == KV_COLUMN_PATH)
        return (struct kv_axis_values){.names = paths, .n = 2};
    if (axis->column == KV_COLUMN_THREADS)
        return (struct kv_axis_values){.counts = &sweep->default_threads, .n = 1};
    if (axis->column == KV_COLUMN_CHUNK)
        return (struct kv_axis_values){.counts = &no_chunk, .n = 1};
    const struct kv_choice *choice;
    if (axis->column == KV_COLUMN_GEMM && kind == KV_KIND_MATMUL) {
        for (int i = 0; (choice = kv_matmul_choice(i)) && n < MOST_DEFAULTS; i++)
            if (strcmp(choice->name, "reference") != 0)
                names[n++] = choice->name;
    } else if (axis->column == KV_COLUMN_ISA && kind == KV_KIND_ATTENTION) {
        for (int i = 0; (choice = kv_isa_choice(i)) && n < MOST_DEFAULTS; i++)
            if (kv_isa_supported(choice->name) && strcmp(choice->name, "amx") != 0) /* whose attention is avx512's */
                names[n++] = choice->name;
    } else {
        names[n++] = axis->column == KV_COLUMN_ISA ? kv_isa_default() : axis->choice(0)->name;
    }
    return (struct kv_axis_values){.names = names, .n = n};
}

/* Takes away what does not apply: arms that are then equal are one. */
static void reduce(struct kv_arm *arm, enum kv_kind kind)
{
    for (int i = 0; i < N_AXES; i++) {
        if (kinds[kind].axes & KV_BIT(axes[i].column))
            continue;
        if (axes[i].choice)
            *name_of(&axes[i], arm) = "";
        else
            *count_of(&axes[i], arm) = 0;
    }
    if (!kv_engine_is_own(arm->engine)) {
        arm->path = "cached";
        arm->cache = arm->kv = arm->gemm = arm->isa = "";
        arm->chunk = 0;
        arm->speculate = "none";
        arm->overflow = kv_overflow_choice(KV_OVERFLOW_STOP)->name;
    } else if (*arm->path && !kv_path_keeps(arm->path)) {
        arm->kv = "";
        if (!kv_cache_drops(arm->cache)) /* what is dropped is not attended to on any path */
            arm->cache = "";
    }
}

static kv_status add_cell(struct kv_plan *plan, struct kv_cell *cell, struct kv_error *error)
{
    struct kv_row row = {0};
    const struct kv_engine *engine = kv_engine_find(cell->arm.engine);
    if (cell->kind == KV_KIND_GENERATION && (!kv_engine_takes(engine, cell->arm.weights) ||
                                             (cell->point.edit_every && !kv_engine_is_own(cell->arm.engine))))
        return KV_OK;
    reduce(&cell->arm, cell->kind);
    kv_cell_describe(cell, &row);
    kv_row_cell_id(&row, cell->id);
    if (kv_plan_find(plan, cell->id) >= 0)
        return KV_OK;
    if ((plan->n_cells & (plan->n_cells - 1)) == 0) { /* 0 or a power of two: full, and the room doubles */
        const size_t room = plan->n_cells ? 2 * (size_t)plan->n_cells : 1;
        struct kv_cell *cells = realloc(plan->cells, room * sizeof *cells);
        if (!cells)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for a plan of %zu cells", room);
        plan->cells = cells;
    }
    plan->cells[plan->n_cells++] = *cell;
    return KV_OK;
}

/* Weights and types in all combinations are too many to measure. */
static bool makes_sense(const struct kv_sweep *sweep, const struct kv_arm *arm)
{
    return !sweep->for_all_types || strcmp(arm->weights, sweep->for_all_types) == 0 ||
           strcmp(arm->weights, kv_weights_choice(0)->name) == 0 || strcmp(arm->kv, kv_kv_choice(0)->name) == 0;
}

/* Every value of axis `index` and of those behind it, the last one changing fastest. */
static kv_status add_product(struct kv_plan *plan, const struct kv_sweep *sweep, struct kv_cell *cell, int index,
                             struct kv_error *error)
{
    const char *names[MOST_DEFAULTS];
    const struct kv_axis *axis = kv_axis_at(index);
    if (!axis) {
        struct kv_cell copy = *cell; /* which is reduced, so that the product goes on with the whole arm */
        return makes_sense(sweep, &cell->arm) ? add_cell(plan, &copy, error) : KV_OK;
    }
    const struct kv_axis_values values = sweep->axes[index].n ? sweep->axes[index]
                                                              : default_values(axis, cell->kind, sweep, names);
    kv_status status = KV_OK;
    for (int i = 0; !status && i < values.n; i++) {
        if (axis->choice)
            *name_of(axis, &cell->arm) = values.names[i];
        else
            *count_of(axis, &cell->arm) = values.counts[i];
        status = add_product(plan, sweep, cell, index + 1, error);
    }
    return status;
}

kv_status kv_plan_add(struct kv_plan *plan, const char *suite, enum kv_kind kind, const struct kv_sweep *sweep,
                      const struct kv_point *point, int repetitions, struct kv_error *error)
{
    struct kv_cell cell = {
        .suite = suite, .kind = kind, .point = *point, .repetitions = repetitions, .turn = plan->n_turns++};
    return add_product(plan, sweep, &cell, 0, error);
}

void kv_plan_free(struct kv_plan *plan)
{
    free(plan->cells);
    *plan = (struct kv_plan){0};
}

/* ---- Cells ------------------------------------------------------------------------------------------ */

static void set_size(struct kv_row *row, enum kv_column column, int size)
{
    if (size)
        kv_row_set_number(row, column, size);
}

void kv_cell_describe(const struct kv_cell *cell, struct kv_row *row)
{
    const struct kv_point *p = &cell->point;
    kv_row_set_text(row, KV_COLUMN_CELL, cell->id);
    kv_row_set_text(row, KV_COLUMN_SUITE, cell->suite);
    kv_row_set_text(row, KV_COLUMN_KERNEL, kinds[cell->kind].kernel);
    kv_row_set_text(row, KV_COLUMN_SHAPE, p->shape);
    for (int i = 0; i < N_AXES; i++) {
        if (axes[i].choice)
            kv_row_set_text(row, axes[i].column, *name_of(&axes[i], &cell->arm));
        else if (kinds[cell->kind].axes & KV_BIT(axes[i].column))
            kv_row_set_number(row, axes[i].column, *count_of(&axes[i], &cell->arm));
    }
    set_size(row, KV_COLUMN_BATCH, p->batch);
    set_size(row, KV_COLUMN_PROMPT_TOKENS, p->n_prompt);
    set_size(row, KV_COLUMN_NEW_TOKENS, p->n_new);
    set_size(row, KV_COLUMN_PREFIX_TOKENS, p->n_prefix);
    set_size(row, KV_COLUMN_EDIT_EVERY, p->edit_every);
    /* The last new token is selected, not run. */
    const double context = cell->kind == KV_KIND_GENERATION ? (double)p->n_prompt + p->n_new - 1 : p->n_context;
    if (context > 0)
        kv_row_set_number(row, KV_COLUMN_CONTEXT_TOKENS, context);
    set_size(row, KV_COLUMN_ROWS, p->rows);
    set_size(row, KV_COLUMN_N, p->n);
    set_size(row, KV_COLUMN_K, p->k);
}

int kv_plan_find(const struct kv_plan *plan, const char *id)
{
    for (int i = plan->n_cells - 1; i >= 0; i--)
        if (strcmp(plan->cells[i].id, id) == 0)
            return i;
    return -1;
}

bool kv_plan_varies(const struct kv_plan *plan, enum kv_kind kind, const struct kv_axis *axis)
{
    const struct kv_arm *first = NULL;
    for (int i = 0; i < plan->n_cells; i++) {
        const struct kv_arm *arm = &plan->cells[i].arm;
        if (plan->cells[i].kind != kind || !has_value(axis, arm))
            continue;
        if (first && !is_equal(axis, first, arm))
            return true;
        first = arm;
    }
    return false;
}

int kv_plan_most_threads(const struct kv_plan *plan)
{
    int most = 1;
    for (int i = 0; i < plan->n_cells; i++)
        most = plan->cells[i].arm.threads > most ? plan->cells[i].arm.threads : most;
    return most;
}

bool kv_plan_has(const struct kv_plan *plan, enum kv_file_kind file)
{
    for (int i = 0; i < plan->n_cells; i++)
        if (file == KV_FILE_PARTS ? plan->cells[i].accounts : kinds[plan->cells[i].kind].file == file)
            return true;
    return false;
}
