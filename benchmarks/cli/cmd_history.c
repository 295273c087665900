#include "cli/cli.h"

#include "base/error.h"
#include "results/history.h"
#include "results/pack.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HISTORY_REGRESSED = 3 };

struct history_settings {
    const char *command, *page, *csv, *fail_on, *format_name;
    struct text_list places; /* runs, packs, and folders of them */
};

struct run_list {
    struct kv_results **runs; /* [n] */
    size_t n, capacity;
};

static const struct kv_choice *fail_choice(int index)
{
    static const struct kv_choice regression = {"regression", "slower at its last change"};
    return index == 0 ? &regression : NULL;
}

/* ---- The runs of a folder ------------------------------------------------------------------------------------------ */

static bool is_run(const char *place)
{
    static const char *const files[] = {"runs.csv", "kernels.csv"};
    struct stat info;
    char file[4400];
    if (lstat(place, &info) != 0 || S_ISLNK(info.st_mode)) /* results/latest leads to a run that is there */
        return false;
    for (int i = 0; S_ISDIR(info.st_mode) && i < 2; i++) {
        snprintf(file, sizeof file, "%s/%s", place, files[i]);
        if (access(file, F_OK) == 0)
            return true;
    }
    return kv_pack_is(place);
}

/* The same run twice, as a folder and its pack. */
static bool is_known(const struct run_list *list, const struct kv_results *run)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct kv_results *other = list->runs[i];
        if (!(other->started_s < run->started_s) && !(other->started_s > run->started_s) &&
            other->n_cells == run->n_cells && strcmp(other->context->cpu, run->context->cpu) == 0)
            return true;
    }
    return false;
}

/* Takes the run over; false: no memory. */
static bool keep(struct run_list *list, struct kv_results *run)
{
    if (list->n == list->capacity) {
        const size_t capacity = 2 * list->capacity + 16;
        struct kv_results **runs = realloc(list->runs, capacity * sizeof *runs);
        if (!runs)
            return false;
        list->runs = runs;
        list->capacity = capacity;
    }
    list->runs[list->n++] = run;
    return true;
}

/* What cannot be read is told of and left out. */
static void load_run(const char *command, const char *place, struct run_list *list)
{
    struct kv_error error = {""};
    struct kv_results *run = NULL;
    if (kv_results_load(&run, place, &error) != KV_OK)
        fprintf(stderr, "kvbench %s: skipped %s: %s\n", command, place, error.message);
    else if (*run->context->problem)
        fprintf(stderr, "kvbench %s: skipped %s: its context.json cannot be read: %s\n", command, place,
                run->context->problem);
    else if (!is_known(list, run)) {
        if (keep(list, run))
            return;
        fprintf(stderr, "kvbench %s: skipped %s: no memory: name fewer runs\n", command, place);
    }
    kv_results_free(run);
}

/* A run, a pack, or the runs and packs of a folder; false with errno: there is no such folder. */
static bool load_place(const char *command, const char *place, struct run_list *list)
{
    struct dirent **entries = NULL;
    if (is_run(place)) {
        load_run(command, place, list);
        return true;
    }
    const int n = scandir(place, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        char inside[4200];
        snprintf(inside, sizeof inside, "%s/%s", place, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && is_run(inside))
            load_run(command, inside, list);
        free(entries[i]);
    }
    free(entries);
    return n >= 0;
}

/* ---- What is said ----------------------------------------------------------------------------------------------------- */

static void print_step(const struct kv_history *history, const struct kv_history_step *step)
{
    const struct kv_history_line *line = &history->lines[step->line];
    const struct kv_history_point *point = &line->points[step->point];
    char cell[200], differences[600], shown[600];
    printf("%s: %.3f x the time, %s of %s, between %.12s and %.12s%s\n", step->ratio > 1 ? "slower" : "faster",
           step->ratio, kv_column_info(line->column)->name, printable(point->cell->id, cell, sizeof cell),
           history->runs[point[-1].run].results->context->commit, history->runs[point->run].results->context->commit,
           step->is_last ? "" : " (changed again since)");
    if (*kv_history_differences(history, step, differences, sizeof differences))
        printf("        beside the program differs: %s\n", printable(differences, shown, sizeof shown));
}

static int print_text(const struct kv_history *history)
{
    char mean[KV_NUMBER_SIZE];
    size_t n_worst, n_best;
    kv_history_extremes(history, &n_worst, &n_best);
    printf("%zu run%s of %zu machine%s, %zu lines", history->n_runs, history->n_runs == 1 ? "" : "s",
           history->n_machines, history->n_machines == 1 ? "" : "s", history->n_lines);
    if (isnan(history->mean)) {
        printf("; no line has two runs yet, so nothing can be compared\n");
        return CLI_OK;
    }
    printf("; from the oldest to the newest run of a line its time is %s x in the geometric mean\n",
           kv_number_text(history->mean, mean, sizeof mean));
    if (!history->n_steps)
        printf("No change: no line moved by more than its noise.\n");
    for (size_t i = 0; i < n_worst; i++)
        print_step(history, &history->steps[i]);
    if (n_worst + n_best < history->n_steps)
        printf(".. %zu more changes on the page\n", history->n_steps - n_worst - n_best);
    for (size_t i = history->n_steps - n_best; i < history->n_steps; i++)
        print_step(history, &history->steps[i]);
    return CLI_OK;
}

static kv_status write_files(const struct history_settings *s, const struct kv_history *history, struct kv_error *error)
{
    struct kv_table *table;
    kv_status status = kv_history_points_table(history, &table, error);
    if (!status)
        status = kv_table_write(table, KV_FORMAT_CSV, s->csv, error);
    kv_table_free(table);
    return status ? status : kv_history_write_page(history, s->page, error);
}

static int tell(const struct history_settings *s, const struct kv_history *history)
{
    const enum kv_format format = format_of(s->format_name);
    struct kv_error error = {""};
    struct kv_table *table = NULL;
    if (write_files(s, history, &error) != KV_OK)
        return cli_fail(s->command, CLI_FAILED, "%s", error.message);
    if (format != KV_FORMAT_TEXT && kv_history_steps_table(history, 0, history->n_steps, &table, &error) != KV_OK)
        return cli_fail(s->command, CLI_FAILED, "%s", error.message);
    const int status = format == KV_FORMAT_TEXT ? print_text(history) : print_and_free(s->command, table, format);
    if (status)
        return status;
    if (format == KV_FORMAT_TEXT)
        printf("Files: %s, %s\n", s->page, s->csv);
    const size_t n = s->fail_on ? kv_history_regressions(history) : 0;
    return n ? cli_fail(s->command, HISTORY_REGRESSED, "%zu line%s slower since %s last change", n,
                        n == 1 ? " is" : "s are", n == 1 ? "its" : "their")
             : CLI_OK;
}

static int history(const struct history_settings *s)
{
    struct kv_error error = {""};
    struct kv_history *made = NULL;
    struct run_list list = {0};
    int status = CLI_OK;
    for (int i = 0; !status && i < s->places.n; i++)
        if (!load_place(s->command, s->places.values[i], &list))
            status = cli_fail(s->command, CLI_FAILED, "%s: %s; name a folder that holds runs", s->places.values[i],
                              strerror(errno));
    if (!status && !list.n)
        status = cli_fail(s->command, CLI_FAILED, "%s holds no run that can be read: name the folder of all runs",
                          s->places.values[0]);
    else if (status)
        for (size_t i = 0; i < list.n; i++)
            kv_results_free(list.runs[i]);
    else if (kv_history_create(&made, list.runs, list.n, &error) != KV_OK)
        status = cli_fail(s->command, CLI_FAILED, "%s", error.message);
    else
        status = tell(s, made);
    free(list.runs);
    kv_history_free(made);
    return status;
}

int command_history(int argc, char **argv)
{
    const char *results = getenv("KVBENCH_RESULTS");
    struct history_settings s = {.command = argv[0]};
    char page[4200], csv[4200];
    const char *home = results && *results ? results : "results";
    const struct option_row rows[] = {
        {.name = "DIR",
         .help = "runs, packs, and folders of them (default: $KVBENCH_RESULTS, or results)",
         .texts = &s.places,
         .is_operand = true},
        {.name = "fail-on",
         .argument = "WHAT",
         .help = "exit 3 when a line's last change was one to slower:",
         .chosen = &s.fail_on,
         .choice = fail_choice},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE",
         .help = "the page (default: history.html in the first DIR, where that is no run itself)",
         .text = &s.page},
        {.name = "csv", .argument = "FILE", .help = "a row a point (default: history.csv beside it)", .text = &s.csv},
        format_row(&s.format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[DIR...] [OPTIONS]",
        .summary =
            "All runs over time, a line for each cell on each machine: where it became faster or slower, between\n"
            "which commits, what else differs there; as text, a page and a CSV file. A change has to exceed the\n"
            "noise of its line and what the machine does between two runs; two runs of one program never make one.\n"
            "Exit status: 0 done, 1 it failed, 2 bad usage, 3 what --fail-on names is there.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status = CLI_OK;
    if (!options_parse(&table, argc, argv, &status)) {
        text_list_free(&s.places);
        return status;
    }
    if (!s.places.n)
        text_list_add(&s.places, home);
    const char *folder = is_run(s.places.values[0]) ? "." : s.places.values[0];
    if (snprintf(page, sizeof page, "%s/history.html", folder) >= (int)sizeof page)
        status = cli_fail(argv[0], CLI_USAGE, "'%.60s...' is too long for a folder's name", folder);
    snprintf(csv, sizeof csv, "%s/history.csv", folder);
    s.page = s.page ? s.page : page;
    s.csv = s.csv ? s.csv : csv;
    status = status ? status : history(&s);
    text_list_free(&s.places);
    return status;
}
