#include "results/picture.h"

#include "base/error.h"
#include "results/pack.h"

#include <errno.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool kv_picture_is_axis(int column)
{
    return kv_column_info((enum kv_column)column)->role == KV_ROLE_AXIS;
}

/* ---- Arms ----------------------------------------------------------------------------------------------------- */

static bool same_texts(const struct kv_cell_results *a, const struct kv_cell_results *b, kv_column_set columns)
{
    for (int i = 0; i < KV_N_COLUMNS; i++)
        if (columns & KV_BIT(i) && strcmp(a->texts[i], b->texts[i]) != 0)
            return false;
    return true;
}

/* Whether they agree in all axes but those in `exceptions`. */
static bool same_axes(const struct kv_cell_results *a, const struct kv_cell_results *b, kv_column_set exceptions)
{
    kv_column_set axes = 0;
    for (int i = 0; i < KV_N_COLUMNS; i++)
        axes |= kv_picture_is_axis(i) ? KV_BIT(i) : 0;
    return same_texts(a, b, axes & ~exceptions);
}

/* What a label always has: of a generation its path, of a kernel who computes it and with which instructions. */
kv_column_set kv_picture_told(enum kv_file_kind kind)
{
    return kind != KV_FILE_KERNELS ? KV_BIT(KV_COLUMN_PATH) : KV_BIT(KV_COLUMN_GEMM) | KV_BIT(KV_COLUMN_ISA);
}

static void find_varying(struct kv_picture_run *run)
{
    const char *suite = run->kind == KV_FILE_KERNELS ? "kernels" : run->kind == KV_FILE_QUALITY ? "quality" : NULL;
    for (int c = 0; c < KV_N_COLUMNS; c++) {
        run->varies[c] = kv_picture_is_axis(c) && !(kv_picture_told(run->kind) & KV_BIT(c)) &&
                         kv_column_varies(run->results, suite, (enum kv_column)c);
        run->n_varying += run->varies[c];
    }
}

/* "cached, int8"; "cached, threads 2"; "cached, weights f32, kv int8" where several axes could be meant. */
static void label_arm(const struct kv_picture_run *run, struct kv_picture_arm *arm)
{
    const char *const *texts = arm->cell->texts;
    const char *gemm = texts[KV_COLUMN_GEMM];
    const size_t size = sizeof arm->label;
    size_t n = (size_t)(run->kind != KV_FILE_KERNELS
                            ? snprintf(arm->label, size, "%s", texts[KV_COLUMN_PATH])
                            : snprintf(arm->label, size, "%s, %s", *gemm ? gemm : texts[KV_COLUMN_KERNEL],
                                       texts[KV_COLUMN_ISA]));
    for (int c = 0; c < KV_N_COLUMNS && n < size; c++) {
        if (!run->varies[c] || !*texts[c])
            continue;
        const struct kv_column_info *info = kv_column_info((enum kv_column)c);
        const bool named = run->n_varying > 1 || info->type == KV_TYPE_COUNT;
        n += (size_t)snprintf(arm->label + n, size - n, ", %s%s%s", named ? info->name : "", named ? " " : "",
                              texts[c]);
    }
}

static void add_arm(struct kv_picture_run *run, const struct kv_cell_results *cell, int style)
{
    for (int i = 0; i < run->n_arms; i++)
        if (same_axes(run->arms[i].cell, cell, 0))
            return;
    if (run->n_arms == KV_PICTURE_MAX_ARMS)
        return;
    struct kv_picture_arm *arm = &run->arms[run->n_arms++];
    *arm = (struct kv_picture_arm){.cell = cell, .style = style};
    label_arm(run, arm);
}

/* The first arm of each of these paths has its own style in every run. */
static void find_arms(struct kv_picture_run *run)
{
    static const char *const paths[] = {"naive", "cached"};
    enum { N_PATHS = sizeof paths / sizeof *paths };
    const struct kv_results *results = run->results;
    for (int k = 0; k < N_PATHS && run->kind != KV_FILE_KERNELS; k++) {
        size_t i = 0;
        while (i < results->n_cells &&
               (results->cells[i].file != run->kind || !kv_cell_is(&results->cells[i], KV_COLUMN_PATH, paths[k])))
            i++;
        if (i < results->n_cells)
            add_arm(run, &results->cells[i], k + 1);
    }
    int style = N_PATHS + 1;
    for (size_t i = 0; i < results->n_cells; i++) {
        const int before = run->n_arms;
        if (results->cells[i].file == run->kind)
            add_arm(run, &results->cells[i], style);
        style += run->n_arms > before;
    }
}

/* Of kernels the colour tells the instruction set, the highest first, and what else varies; the form the backend. */
static void style_kernels(struct kv_picture_run *run)
{
    kv_column_set coloured = KV_BIT(KV_COLUMN_ISA);
    int n_levels = 0, n_forms = 0;
    for (int c = 0; c < KV_N_COLUMNS; c++)
        coloured |= run->varies[c] ? KV_BIT(c) : 0;
    while (kv_isa_choice(n_levels))
        n_levels++;
    int n_colours = run->n_varying ? 0 : n_levels;
    for (int i = 0; i < run->n_arms; i++) {
        struct kv_picture_arm *arm = &run->arms[i];
        const char *gemm = arm->cell->texts[KV_COLUMN_GEMM];
        arm->style = 0;
        arm->form = *gemm ? 0 : KV_PICTURE_ATTENTION;
        for (int k = 0; k < i; k++) {
            if (*gemm && kv_cell_is(run->arms[k].cell, KV_COLUMN_GEMM, gemm))
                arm->form = run->arms[k].form;
            if (same_texts(run->arms[k].cell, arm->cell, coloured))
                arm->style = run->arms[k].style;
        }
        for (int level = 0; !run->n_varying && level < n_levels; level++)
            if (kv_cell_is(arm->cell, KV_COLUMN_ISA, kv_isa_choice(level)->name))
                arm->style = n_levels - level;
        arm->form = arm->form ? arm->form : ++n_forms;
        arm->style = arm->style ? arm->style : ++n_colours;
    }
}

static void init_run(struct kv_picture_run *run, const struct kv_results *results, enum kv_file_kind kind)
{
    *run = (struct kv_picture_run){.results = results, .kind = kind};
    find_varying(run);
    find_arms(run);
    if (kind == KV_FILE_KERNELS)
        style_kernels(run);
}

/* ---- The cells of a figure ------------------------------------------------------------------------------------ */

/* Panels and limits of kernels are numbered in the order in which they appear. */
static void place_kernel(const struct kv_picture *p, struct kv_picture_cell *cell)
{
    const kv_column_set panel = KV_BIT(KV_COLUMN_KERNEL) | KV_BIT(KV_COLUMN_SHAPE);
    const double context = cell->cell->numbers[KV_COLUMN_CONTEXT_TOKENS];
    int n_panels = 0, n_limits = 0;
    cell->group = -1;
    cell->limit_group = -1;
    for (size_t i = 0; i < p->n_cells; i++) {
        const struct kv_picture_cell *other = &p->cells[i];
        if (same_texts(other->cell, cell->cell, panel))
            cell->group = other->group;
        if (same_axes(other->cell, cell->cell, kv_picture_told(KV_FILE_KERNELS)))
            cell->limit_group = other->limit_group;
        n_panels = other->group >= n_panels ? (int)other->group + 1 : n_panels;
        n_limits = other->limit_group >= n_limits ? other->limit_group + 1 : n_limits;
    }
    cell->group = cell->group < 0 ? n_panels : cell->group;
    cell->limit_group = cell->limit_group < 0 ? n_limits : cell->limit_group;
    cell->x = isnan(context) ? cell->cell->numbers[KV_COLUMN_ROWS] : context;
}

static void add_cell(struct kv_picture *p, const struct kv_cell_results *result, int arm)
{
    struct kv_picture_cell cell = {
        .cell = result,
        .arm = arm,
        .group = result->numbers[KV_COLUMN_BATCH],
        .x = result->numbers[KV_COLUMN_CONTEXT_TOKENS],
    };
    if (isnan(cell.group))
        cell.group = 0;
    if (result->file == KV_FILE_KERNELS)
        place_kernel(p, &cell);
    p->cells[p->n_cells++] = cell;
}

static int compare_cells(const void *left, const void *right)
{
    const struct kv_picture_cell *a = left, *b = right;
    if (a->arm != b->arm)
        return a->arm < b->arm ? -1 : 1;
    if (a->group != b->group)
        return a->group < b->group ? -1 : 1;
    return (a->x > b->x) - (a->x < b->x);
}

static void pick_cells(struct kv_picture *p, const char *suite, kv_column_set same)
{
    const struct kv_results *results = p->run->results;
    const struct kv_cell_results *chosen = NULL;
    for (size_t i = 0; i < results->n_cells; i++) {
        const struct kv_cell_results *cell = &results->cells[i];
        if (cell->file != p->run->kind || !kv_cell_is(cell, KV_COLUMN_SUITE, suite))
            continue;
        p->not_ok += (double)(cell->n_failed + cell->n_skipped + cell->n_stalled);
        if (!cell->n)
            continue;
        chosen = chosen ? chosen : cell;
        int arm = 0;
        while (arm < p->run->n_arms && !same_axes(p->run->arms[arm].cell, cell, 0))
            arm++;
        if (arm == p->run->n_arms || !same_texts(chosen, cell, same))
            p->others += (double)cell->n;
        else {
            add_cell(p, cell, arm);
            p->faults += (double)cell->n_faults;
        }
    }
}

/* From the arms of the run to those that are drawn. */
static void number_arms(struct kv_picture *p)
{
    int number[KV_PICTURE_MAX_ARMS];
    for (int arm = 0; arm < p->run->n_arms; arm++)
        for (size_t i = 0; i < p->n_cells; i++)
            if (p->cells[i].arm == arm) {
                number[arm] = p->n_arms;
                p->arms[p->n_arms++] = &p->run->arms[arm];
                break;
            }
    for (size_t i = 0; i < p->n_cells; i++)
        p->cells[i].arm = number[p->cells[i].arm];
    qsort(p->cells, p->n_cells, sizeof *p->cells, compare_cells);
}

/* Picks the cells that agree with the suite's first in model, source of the weights and what the figure says. */
static void open_picture(struct kv_picture *p, const struct kv_picture_run *run, const struct kv_figure *figure,
                         const char *folder, struct kv_error *error)
{
    *p = (struct kv_picture){.run = run, .folder = folder, .repetitions = {NAN, NAN}, .error = error};
    const size_t n_cells = run ? run->results->n_cells : 0;
    p->cells = malloc((n_cells + 1) * sizeof *p->cells);
    if (!p->cells) {
        kv_picture_fail_memory(p);
    } else if (run) {
        pick_cells(p, kv_figure_suite(figure, run->results),
                   figure->same | KV_BIT(KV_COLUMN_MODEL) | KV_BIT(KV_COLUMN_WEIGHTS_SOURCE));
        number_arms(p);
    }
}

/* ---- All figures of a folder ----------------------------------------------------------------------------------- */

/* Those of a file that is no run's: the suite is the command that writes it. */
static const struct {
    const char *suite, *command;
} alone[] = {{"training", "train"}, {"calibration", "calibrate"}};

/* The command of such a figure; NULL: it is a run's. */
static const char *command_alone(const struct kv_figure *figure)
{
    for (size_t i = 0; i < sizeof alone / sizeof alone[0]; i++)
        if (strcmp(alone[i].suite, figure->suite) == 0)
            return alone[i].command;
    return NULL;
}

/* What the figures of one folder share. */
struct source {
    const char *folder;
    struct kv_picture_run runs, kernels, quality;
};

static bool has_file(const char *folder, const char *name)
{
    char *file;
    const bool is_there = asprintf(&file, "%s/%s", folder, name) >= 0 && access(file, F_OK) == 0;
    free(file);
    return is_there;
}

static void skip(FILE *list, const struct kv_figure *figure, const char *file, const char *why, bool names_suite,
                 const char *end)
{
    const char *command = command_alone(figure);
    fprintf(list, "%s: skipped, %s %s", figure->name, file, why);
    if (names_suite && !command)
        fprintf(list, " %s%s", figure->suite, end);
    if (command)
        fprintf(list, "; run ./kvbench %s\n", command);
    else
        fprintf(list, "; run ./kvbench bench --suite %s\n", figure->suite);
}

/* Writes the tables of one figure into the folder out/NAME. */
static kv_status write_figure(const struct source *source, const struct kv_figure *figure, const char *out, FILE *list,
                              struct kv_error *error)
{
    char folder[PATH_MAX], file[PATH_MAX];
    struct kv_picture p;
    for (int i = 0; i < 3 && figure->files[i]; i++)
        if (!has_file(source->folder, figure->files[i])) {
            skip(list, figure, figure->files[i], "is not there", false, "");
            return KV_OK;
        }
    if (snprintf(folder, sizeof folder, "%s/%s", out, figure->name) >= (int)sizeof folder ||
        snprintf(file, sizeof file, "%s/%s", source->folder, figure->files[0]) >= (int)sizeof file)
        return kv_fail(error, KV_ERROR_IO, "%.60s...: the name is too long; use a shorter one", out);
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return kv_fail(error, KV_ERROR_IO, "%s: cannot be made (%s): name a folder that is there and can be written",
                       folder, strerror(errno));
    const struct kv_picture_run *run = command_alone(figure)                          ? NULL
                                       : strcmp(figure->files[0], "kernels.csv") == 0 ? &source->kernels
                                       : strcmp(figure->files[0], "quality.csv") == 0 ? &source->quality
                                                                                      : &source->runs;
    open_picture(&p, run, figure, folder, error);
    p.file = file;
    const bool has_cells = !run || p.n_cells > 0;
    if (has_cells && !p.status)
        figure->write(&p);
    const bool is_empty = p.is_empty;
    const kv_status status = kv_picture_close(&p);
    if (status)
        return status;
    if (!has_cells)
        skip(list, figure, figure->files[0], "has no row of suite", true, " with status ok");
    else if (is_empty)
        skip(list, figure, figure->files[0], run ? "has no values for it in suite" : "has no values for it", true, "");
    else
        fprintf(list, "%s\n", figure->name);
    return KV_OK;
}

static kv_status write_figures(const char *folder, const char *out, FILE *list, struct kv_error *error)
{
    const bool has_run = has_file(folder, "runs.csv") || has_file(folder, "kernels.csv");
    bool has_any = has_run;
    for (int i = 0; kv_figure(i); i++)
        has_any |= command_alone(kv_figure(i)) && has_file(folder, kv_figure(i)->files[0]);
    struct kv_results *results = NULL;
    kv_status status = KV_OK;
    if (!has_any)
        return kv_fail(error, KV_ERROR_IO,
                       "%s has no runs.csv; run ./kvbench bench, or name the folder of a run or of a training", folder);
    struct source *source = calloc(1, sizeof *source);
    if (!source)
        return kv_fail(error, KV_ERROR_MEMORY, "%s: no memory for the figures: close other programs", folder);
    source->folder = folder;
    if (has_run)
        status = kv_results_load(&results, folder, error);
    if (!status && has_run && results->n_cells == 0)
        status = kv_fail(error, KV_ERROR_FORMAT,
                         "%s/runs.csv: a header and no rows; measure again with ./kvbench bench", folder);
    if (!status && has_run) {
        init_run(&source->runs, results, KV_FILE_RUNS);
        init_run(&source->kernels, results, KV_FILE_KERNELS);
        init_run(&source->quality, results, KV_FILE_QUALITY);
    }
    for (int i = 0; !status && kv_figure(i); i++)
        if (command_alone(kv_figure(i)) ? has_file(folder, kv_figure(i)->files[0])
                                        : has_run && kv_figure_concerns(kv_figure(i), results))
            status = write_figure(source, kv_figure(i), out, list, error);
    kv_results_free(results);
    free(source);
    return status;
}

kv_status kv_figures_write(const char *place, const char *out, FILE *list, struct kv_error *error)
{
    char *folder;
    if (!kv_pack_is(place))
        return write_figures(place, out, list, error);
    kv_status status = kv_pack_open(&folder, place, error);
    if (!status && (status = write_figures(folder, out, list, error)) != KV_OK)
        kv_pack_name(error, folder, place);
    kv_pack_close(folder);
    return status;
}
