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

enum { HISTORY_REGRESSED = 3, MOST_TOLD = 10 };

struct history_settings {
    const char *command, *folder, *page, *csv, *fail_on, *format_name;
};

static const struct kv_choice *fail_choice(int index)
{
    static const struct kv_choice regression = {"regression", "a step to slower that no later one followed"};
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
static bool is_known(struct kv_results *const *runs, size_t n, const struct kv_results *run)
{
    for (size_t i = 0; i < n; i++)
        if (!(runs[i]->started_s < run->started_s) && !(runs[i]->started_s > run->started_s) &&
            runs[i]->n_cells == run->n_cells && strcmp(runs[i]->context->cpu, run->context->cpu) == 0)
            return true;
    return false;
}

/* Loads what can be read; what cannot is told of and left out. */
static size_t load_runs(const struct history_settings *s, struct dirent **entries, int n_entries,
                        struct kv_results **runs)
{
    size_t n = 0;
    for (int i = 0; i < n_entries; i++) {
        char place[4200];
        struct kv_error error = {""};
        struct kv_results *run = NULL;
        snprintf(place, sizeof place, "%s/%s", s->folder, entries[i]->d_name);
        if (entries[i]->d_name[0] == '.' || !is_run(place))
            continue;
        if (kv_results_load(&run, place, &error) != KV_OK) {
            fprintf(stderr, "kvbench %s: skipped %s: %s\n", s->command, place, error.message);
        } else if (*run->context->problem) {
            fprintf(stderr, "kvbench %s: skipped %s: its context.json cannot be read: %s\n", s->command, place,
                    run->context->problem);
            kv_results_free(run);
        } else if (is_known(runs, n, run)) {
            kv_results_free(run);
        } else {
            runs[n++] = run;
        }
    }
    return n;
}

/* ---- What is said ----------------------------------------------------------------------------------------------------- */

static int print_text(const struct kv_history *history)
{
    char mean[KV_NUMBER_SIZE];
    printf("%zu run%s of %zu machine%s, %zu lines", history->n_runs, history->n_runs == 1 ? "" : "s",
           history->n_machines, history->n_machines == 1 ? "" : "s", history->n_lines);
    if (isnan(history->mean)) {
        printf("; no line has two runs yet, so nothing can be compared\n");
        return CLI_OK;
    }
    printf("; from the oldest to the newest run of a line its time is %s x in the geometric mean\n",
           kv_number_text(history->mean, mean, sizeof mean));
    if (!history->n_steps)
        printf("No step: nothing changed by more than the noise.\n");
    for (size_t i = 0; i < history->n_steps; i++) {
        const struct kv_history_step *step = &history->steps[i];
        const struct kv_history_line *line = &history->lines[step->line];
        const struct kv_history_point *point = &line->points[step->point];
        char cell[200];
        if (history->n_steps > MOST_TOLD && i == MOST_TOLD / 2) { /* the worst and the best half of them */
            printf("..\n");
            i = history->n_steps - MOST_TOLD / 2 - 1;
            continue;
        }
        printf("%s: %.3f x the time, %s of %s, between %.12s and %.12s%s\n", step->ratio > 1 ? "slower" : "faster",
               step->ratio, kv_column_info(line->column)->name, printable(point->cell->id, cell, sizeof cell),
               history->runs[point[-1].run].results->context->commit,
               history->runs[point->run].results->context->commit, step->is_last ? "" : " (changed again since)");
    }
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
    if (format != KV_FORMAT_TEXT && kv_history_steps_table(history, &table, &error) != KV_OK)
        return cli_fail(s->command, CLI_FAILED, "%s", error.message);
    const int status = format == KV_FORMAT_TEXT ? print_text(history) : print_and_free(s->command, table, format);
    if (status)
        return status;
    if (format == KV_FORMAT_TEXT)
        printf("Files: %s, %s\n", s->page, s->csv);
    const size_t n = s->fail_on ? kv_history_regressions(history) : 0;
    return n ? cli_fail(s->command, HISTORY_REGRESSED, "%zu line%s slower since %s last step", n,
                        n == 1 ? " is" : "s are", n == 1 ? "its" : "their")
             : CLI_OK;
}

static int history(const struct history_settings *s)
{
    struct dirent **entries = NULL;
    struct kv_error error = {""};
    struct kv_history *made = NULL;
    const int n_entries = scandir(s->folder, &entries, NULL, alphasort);
    if (n_entries < 0)
        return cli_fail(s->command, CLI_FAILED, "%s: %s; name the folder that holds the runs", s->folder,
                        strerror(errno));
    struct kv_results **runs = calloc((size_t)n_entries + 1, sizeof *runs);
    const size_t n = runs ? load_runs(s, entries, n_entries, runs) : 0;
    int status;
    if (!n)
        status = cli_fail(s->command, CLI_FAILED, "%s holds no run that can be read: name the folder of all runs",
                          s->folder);
    else if (kv_history_create(&made, runs, n, &error) != KV_OK)
        status = cli_fail(s->command, CLI_FAILED, "%s", error.message);
    else
        status = tell(s, made);
    for (int i = 0; i < n_entries; i++)
        free(entries[i]);
    free(entries);
    free(runs);
    kv_history_free(made);
    return status;
}

int command_history(int argc, char **argv)
{
    const char *results = getenv("KVBENCH_RESULTS");
    struct history_settings s = {.command = argv[0]};
    char page[4200], csv[4200];
    const struct option_row rows[] = {
        {.name = "DIR",
         .help = "folder that holds folders of runs and packs (default: $KVBENCH_RESULTS, or results)",
         .operand = &s.folder},
        {.name = "fail-on",
         .argument = "WHAT",
         .help = "exit 3 when there is one, a step to slower that no later one followed:",
         .chosen = &s.fail_on,
         .choice = fail_choice},
        {.name = "out",
         .letter = 'o',
         .argument = "FILE",
         .help = "the page (default: DIR/history.html)",
         .text = &s.page},
        {.name = "csv", .argument = "FILE", .help = "a row a point (default: DIR/history.csv)", .text = &s.csv},
        format_row(&s.format_name),
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[DIR] [OPTIONS]",
        .summary =
            "All runs over time, a line for each cell on each machine: where it became faster or slower, between "
            "which\n"
            "commits, what else differs there; as text, a page and a CSV file. A step has to leave the noise of its\n"
            "line and what the machine does between two runs; two runs of one program are never a change.\n"
            "Exit status: 0 done, 1 it failed, 2 bad usage, 3 what --fail-on names is there.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof *rows,
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    if (!s.folder)
        s.folder = results && *results ? results : "results";
    if (snprintf(page, sizeof page, "%s/history.html", s.folder) >= (int)sizeof page)
        return cli_fail(argv[0], CLI_USAGE, "'%.60s...' is too long for a folder's name", s.folder);
    snprintf(csv, sizeof csv, "%s/history.csv", s.folder);
    s.page = s.page ? s.page : page;
    s.csv = s.csv ? s.csv : csv;
    return history(&s);
}
