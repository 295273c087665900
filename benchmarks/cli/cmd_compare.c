#include "cli/cli.h"

#include "results/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* As diff does: 1 only for a regression, so that a script can tell it from a comparison that could not be made. */
enum { REGRESSED = CLI_FAILED, NOT_COMPARED = CLI_USAGE };

struct settings {
    struct text_list places, others; /* operands; behind --with */
    struct kv_compare_settings compare;
    struct name_list metrics, ignored;
    const char *by;
    const char *csv, *format_name;
    int format;        /* enum kv_format */
    double fail_above; /* negative: never */
};

/* ---- Options ------------------------------------------------------------------------------------ */

/* A metric may be named as it is spoken of, in any case and without its unit: "TTFT", "decode", "tpot". */
static const char *metric_name(const char *text, size_t n)
{
    if (n == strlen("tpot") && strncasecmp(text, "tpot", n) == 0)
        return kv_column_info(KV_COLUMN_TTPT_MS)->name;
    for (int i = 0; kv_compare_metric_choice(i); i++) {
        const char *name = kv_compare_metric_choice(i)->name, *rest = name + n;
        if (strncasecmp(name, text, n) == 0 && (!*rest || strcmp(rest, "_ms") == 0 || strcmp(rest, "_tok_s") == 0))
            return name;
    }
    return NULL;
}

static bool parse_metrics(const char *text, void *value, struct kv_error *error)
{
    char names[1024] = "";
    size_t at = 0;
    for (const char *from = text; at < sizeof names; from++) {
        const size_t n = strcspn(from, ",");
        const char *name = metric_name(from, n);
        at += (size_t)snprintf(names + at, sizeof names - at, "%s%.*s", at ? "," : "",
                               name ? (int)strlen(name) : (int)n, name ? name : from);
        from += n;
        if (!*from)
            break;
    }
    return name_list_parse(&(struct option_row){.choice = kv_compare_metric_choice}, names, value, error);
}

/* Without --metric: times of generations; of a run that has none, or none that --by tells apart, rates of kernels. */
static void choose_metrics(struct settings *s, const struct kv_results *base)
{
    const char *first = NULL;
    bool told_apart = false, has_kernels = false;
    for (size_t i = 0; i < base->n_cells && !told_apart; i++) {
        const struct kv_cell_results *cell = &base->cells[i];
        has_kernels |= cell->file == KV_FILE_KERNELS;
        if (cell->file != KV_FILE_RUNS || !cell->n)
            continue;
        const char *text = s->by ? cell->texts[s->compare.by] : "";
        told_apart = !s->by || (first && *text && strcmp(first, text) != 0);
        first = !first && *text ? text : first;
    }
    s->metrics = told_apart || !has_kernels ? (struct name_list){.names = {"ttpt_ms", "ttft_ms"}, .n = 2}
                                            : (struct name_list){.names = {"gflops"}, .n = 1};
}

/* What the names of options mean for the comparison. */
static void take_names(struct settings *s)
{
    struct kv_compare_settings *compare = &s->compare;
    for (int i = 0; i < s->ignored.n; i++)
        compare->ignored |= KV_BIT(kv_column_find(s->ignored.names[i]));
    compare->by = s->by ? kv_column_find(s->by) : KV_N_COLUMNS;
    while (strcmp(kv_format_choice(s->format)->name, s->format_name) != 0)
        s->format++;
}

/* What no single option can tell; NULL when all is well. */
static const char *check(const struct settings *s)
{
    const struct kv_compare_settings *compare = &s->compare;
    const bool by = compare->by != KV_N_COLUMNS;
    if (!(compare->threshold > 0))
        return "--threshold is to be above 0";
    if (by && s->places.n + s->others.n > 1)
        return "--by compares the values of a column within one run, and two runs are named: leave one of them out";
    if (s->places.n == 1 && !s->others.n && !by)
        return "one run is named: name a second one, or compare its own arms with --by path";
    if (s->places.n > 2 && !s->others.n)
        return "more than two runs are named: put --with between those of one side and those of the other";
    if (compare->base && !by)
        return "--base needs --by, the column that it is a value of";
    if (by && compare->ignored & KV_BIT(compare->by))
        return "--ignore names the column of --by: take it out of one of them";
    return NULL;
}

/* ---- Running ------------------------------------------------------------------------------------ */

static void print_warnings(const char *command, const struct kv_comparison *comparison)
{
    struct kv_warning warnings[KV_COMPARE_MAX_WARNINGS];
    const int n = kv_compare_warnings(comparison, warnings);
    fflush(stdout);
    for (int i = 0; i < n; i++)
        fprintf(stderr, "kvbench %s: warning: %s\n", command, warnings[i].text);
}

static int apply_gate(const char *command, const struct settings *s, const struct kv_comparison *comparison)
{
    const struct kv_section *section;
    const struct kv_result *worst;
    char name[256];
    if (s->fail_above < 0)
        return CLI_OK;
    if (!kv_compare_can_judge(comparison))
        return cli_fail(
            command, NOT_COMPARED,
            "--fail-above: too few rounds for any verdict, so no regression can be seen; measure with --reps "
            "%zu or more",
            kv_effect_least_rounds(KV_JUDGE_LEVEL));
    const size_t n = kv_compare_regressions(comparison, s->fail_above, &section, &worst);
    if (n == 0)
        return CLI_OK;
    kv_compare_name(comparison, worst->pair->base, name, sizeof name);
    return cli_fail(command, REGRESSED, "%zu result%s slower by more than %g %%; the worst: %s, %s of %s, by %.3g %%",
                    n, n == 1 ? " is" : "s are", s->fail_above * 100, section->other->label,
                    kv_column_info(section->metric)->name, name, (1 / worst->judgement.speed - 1) * 100);
}

/* Runs that were named, the first n_bases of them the base's. */
struct runs {
    struct kv_results **all; /* [n] */
    int n, n_bases;
};

static kv_status load(const struct settings *s, struct runs *runs, struct kv_error *error)
{
    const int n_places = s->places.n, n = n_places + s->others.n;
    kv_status status = KV_OK;
    *runs = (struct runs){.all = cli_memory(NULL, (size_t)n * sizeof *runs->all),
                          .n_bases = s->others.n ? n_places : 1};
    while (!status && runs->n < n) {
        const char *place = runs->n < n_places ? s->places.values[runs->n] : s->others.values[runs->n - n_places];
        status = kv_results_load(&runs->all[runs->n], place, error);
        runs->n += !status;
    }
    return status;
}

static void free_runs(struct runs *runs)
{
    for (int i = 0; i < runs->n; i++)
        kv_results_free(runs->all[i]);
    free(runs->all);
}

static kv_status compare_runs(struct settings *s, const struct runs *runs, struct kv_comparison **comparison,
                              struct kv_error *error)
{
    const struct kv_results *const *all = (const struct kv_results *const *)runs->all;
    if (s->metrics.n == 0)
        choose_metrics(s, all[0]);
    for (int i = 0; i < s->metrics.n; i++)
        s->compare.metrics[s->compare.n_metrics++] = kv_column_find(s->metrics.names[i]);
    return kv_compare_sides(comparison, all, (size_t)runs->n_bases, all + runs->n_bases,
                            (size_t)(runs->n - runs->n_bases), &s->compare, error);
}

static int compare(const char *command, struct settings *s)
{
    struct kv_error error = {""};
    struct kv_comparison *comparison = NULL;
    struct runs runs;
    int exit_status;
    kv_status status = load(s, &runs, &error);
    if (status == KV_OK)
        status = compare_runs(s, &runs, &comparison, &error);
    if (status == KV_OK && s->csv)
        status = kv_compare_write_csv(comparison, s->csv, &error);
    if (status == KV_OK) {
        status = kv_compare_print(comparison, (enum kv_format)s->format, stdout, &error);
        print_warnings(command, comparison);
    }
    if (status == KV_OK) {
        exit_status = apply_gate(command, s, comparison);
    } else {
        exit_status = cli_fail(command, NOT_COMPARED, "%s", error.message);
    }
    kv_comparison_free(comparison);
    free_runs(&runs);
    return exit_status;
}

int command_compare(int argc, char **argv)
{
    struct settings s = {
        .compare = {.threshold = KV_JUDGE_THRESHOLD},
        .format_name = "text",
        .fail_above = -1,
    };
    const struct option_row rows[] = {
        {.name = "A B",
         .help = "the base, and the run to hold against it: the folder of a run, its runs.csv or its pack",
         .texts = &s.places,
         .is_operand = true,
         .required = true},
        {.name = "with",
         .argument = "B..",
         .help = "several runs a side: those before it are the base; from 3 a side what differs\n"
                 "                           between runs of a side is the measure, most sharply where the sides took "
                 "turns",
         .texts = &s.others},
        {.name = "by",
         .argument = "COLUMN",
         .help = "compare within A: cells that differ in this column only:",
         .chosen = &s.by,
         .choice = kv_compare_key_choice},
        {.name = "base",
         .argument = "VALUE",
         .help = "with --by: the value to compare the others with (default: the first of the run's tables)",
         .text = &s.compare.base},
        {.name = "ignore",
         .argument = "LIST",
         .help = "match cells although they differ in these columns:",
         .names = &s.ignored,
         .choice = kv_compare_key_choice},
        {.name = "metric",
         .argument = "LIST",
         .help = "what to compare, by column or by name, such as TTFT (default ttpt_ms,ttft_ms; of\n"
                 "                           kernels gflops):",
         .value = &s.metrics,
         .parse = parse_metrics,
         .choice = kv_compare_metric_choice},
        {.name = "threshold",
         .argument = "SHARE",
         .help = "ratios closer to 1 than this are equal (default 2%)",
         .share = &s.compare.threshold},
        {.name = "fail-above",
         .argument = "SHARE",
         .help = "exit 1 when any result has the verdict slower and takes so much longer, as 5%",
         .share = &s.fail_above},
        {.name = "format",
         .argument = "FORMAT",
         .help = "of what is printed (default text):",
         .chosen = &s.format_name,
         .choice = kv_format_choice},
        {.name = "csv", .argument = "FILE", .help = "write the results there too, a row each", .text = &s.csv},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "A B [OPTIONS]\n       kvbench compare A.. --with B.. [OPTIONS]\n"
                 "       kvbench compare A --by COLUMN [OPTIONS]",
        .summary =
            "Holds run B against run A, cell by cell: the ratio of medians, with an interval that is widened by\n"
            "what this machine does from one run to another, and a verdict. With --with, several runs a side: the\n"
            "interval is then that of how they differ. With --by, the arms of one run, from pairs of the same\n"
            "round. Which of two builds is faster, kvbench ab tells more sharply.\n"
            "Exit status: 0 compared, 1 slower than --fail-above allows, 2 not compared.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status)) {
        take_names(&s);
        const char *problem = check(&s);
        status = problem ? cli_fail(argv[0], CLI_USAGE, "%s; see kvbench %s --help", problem, argv[0])
                         : compare(argv[0], &s);
    }
    text_list_free(&s.places);
    text_list_free(&s.others);
    return status;
}
