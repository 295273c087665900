#include "cli/cli.h"

#include "results/compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* As diff does: 1 only for a regression, so that a script can tell it from a comparison that could not be made. */
enum { REGRESSED = CLI_FAILED, NOT_COMPARED = CLI_USAGE };

struct settings {
    const char *base_place, *other_place;
    struct kv_compare_settings compare;
    const char *csv;
    double fail_above; /* negative: never */
};

/* ---- Options ------------------------------------------------------------------------------------ */

/* "5%" or "0.05"; a number of 1 or more without its sign may mean either and is refused. */
static bool parse_share(const char *text, void *value, struct kv_error *error)
{
    const char *tail = text + strspn(text, "0123456789.");
    const bool percent = strcmp(tail, "%") == 0;
    char *end;
    const double number = strtod(text, &end), share = percent ? number / 100 : number;
    if (end == text || end != tail || (*tail && !percent) || share > (percent ? 100 : 0.999999)) {
        snprintf(error->message, sizeof error->message, "'%.60s' is not a share such as 5%% or 0.05", text);
        return false;
    }
    *(double *)value = share;
    return true;
}

static bool parse_alpha(const char *text, void *value, struct kv_error *error)
{
    double alpha;
    if (!parse_share(text, &alpha, error))
        return false;
    if (!(alpha >= 1e-6 && alpha < 1)) {
        snprintf(error->message, sizeof error->message, "'%.60s' is not a probability of 0.000001 to below 1", text);
        return false;
    }
    *(double *)value = alpha;
    return true;
}

/* Which of name_of(0), name_of(1), .. the first `length` characters are; -1: none */
static int find_name(const char *text, size_t length, const char *(*name_of)(int index))
{
    for (int i = 0; name_of(i); i++)
        if (strlen(name_of(i)) == length && strncmp(name_of(i), text, length) == 0)
            return i;
    return -1;
}

static const char *metric_name(int index)
{
    const struct kv_metric_info *info = kv_metric_info(index);
    return info ? info->name : NULL;
}

static bool fail_name(const char *text, const char *(*name_of)(int index), struct kv_error *error)
{
    size_t length = (size_t)snprintf(error->message, sizeof error->message, "'%.60s' is not of", text);
    for (int i = 0; name_of(i) && length < sizeof error->message; i++)
        length += (size_t)snprintf(error->message + length, sizeof error->message - length, "%s%s", i ? ", " : " ",
                                   name_of(i));
    return false;
}

/* Comma-separated names, none twice: calls take(value, index) for each. */
static bool parse_names(const char *text, const char *(*name_of)(int index), bool (*take)(void *value, int index),
                        void *value, struct kv_error *error)
{
    for (const char *at = text;; at++) {
        const size_t length = strcspn(at, ",");
        const int index = find_name(at, length, name_of);
        if (index < 0)
            return fail_name(text, name_of, error);
        if (!take(value, index)) {
            snprintf(error->message, sizeof error->message, "'%.60s' names %s twice", text, name_of(index));
            return false;
        }
        at += length;
        if (!*at)
            return true;
    }
}

static bool take_metric(void *value, int index)
{
    struct kv_compare_settings *compare = value;
    for (int i = 0; i < compare->n_metrics; i++)
        if ((int)compare->metrics[i] == index)
            return false;
    compare->metrics[compare->n_metrics++] = (enum kv_metric)index;
    return true;
}

static bool parse_metrics(const char *text, void *value, struct kv_error *error)
{
    ((struct kv_compare_settings *)value)->n_metrics = 0;
    return parse_names(text, metric_name, take_metric, value, error);
}

static bool take_ignored(void *value, int index)
{
    bool *ignored = (bool *)value + index;
    const bool is_first = !*ignored;
    *ignored = true;
    return is_first;
}

static bool parse_ignored(const char *text, void *value, struct kv_error *error)
{
    memset(value, 0, KV_ARM_KEYS * sizeof(bool));
    return parse_names(text, kv_arm_key_name, take_ignored, value, error);
}

static bool parse_by(const char *text, void *value, struct kv_error *error)
{
    const int key = find_name(text, strlen(text), kv_arm_key_name);
    if (key < 0)
        return fail_name(text, kv_arm_key_name, error);
    *(int *)value = key;
    return true;
}

/* What no single option can tell; NULL when all is well. */
static const char *check(const struct settings *s)
{
    const struct kv_compare_settings *compare = &s->compare;
    if (s->other_place && compare->by >= 0)
        return "--by compares the values of a column within one run, and two runs are named: leave one of them out";
    if (!s->other_place && compare->by < 0)
        return "one run is named: name a second one, or compare its own arms with --by path";
    if (compare->base && compare->by < 0)
        return "--base needs --by, the column that it is a value of";
    if (compare->by >= 0 && compare->ignored[compare->by])
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
        return cli_fail(command, NOT_COMPARED,
                        "--fail-above: too few repetitions for any p below %g, so no regression can be seen; measure "
                        "with --reps %d or more",
                        s->compare.alpha, kv_compare_needed_repetitions(s->compare.alpha));
    const size_t n = kv_compare_regressions(comparison, s->fail_above, &section, &worst);
    if (n == 0)
        return CLI_OK;
    kv_compare_name(comparison, worst->pair->base, name, sizeof name);
    return cli_fail(command, REGRESSED, "%zu result%s slower by more than %g %%; the worst: %s, %s of %s, by %.3g %%",
                    n, n == 1 ? " is" : "s are", s->fail_above * 100, section->other->label,
                    kv_metric_info(section->metric)->name, name, (1 / worst->speed - 1) * 100);
}

static int compare(const char *command, const struct settings *s)
{
    struct kv_error error = {""};
    struct kv_measurements *base = NULL, *other = NULL;
    struct kv_comparison *comparison = NULL;
    int exit_status;
    kv_status status = kv_measurements_load(&base, s->base_place, &error);
    if (status == KV_OK && s->other_place)
        status = kv_measurements_load(&other, s->other_place, &error);
    if (status == KV_OK)
        status = kv_compare(&comparison, base, other, &s->compare, &error);
    if (status == KV_OK && s->csv)
        status = kv_compare_write_csv(comparison, s->csv, &error);
    if (status == KV_OK) {
        kv_compare_print(comparison, stdout);
        print_warnings(command, comparison);
        exit_status = apply_gate(command, s, comparison);
    } else {
        exit_status = cli_fail(command, NOT_COMPARED, "%s", error.message);
    }
    kv_comparison_free(comparison);
    kv_measurements_free(other);
    kv_measurements_free(base);
    return exit_status;
}

int command_compare(int argc, char **argv)
{
    struct settings s = {
        .compare =
            {.metrics = {KV_METRIC_TTPT_MS, KV_METRIC_TTFT_MS}, .n_metrics = 2, .by = -1, .alpha = 0.05, .noise = 0.02},
        .fail_above = -1,
    };
    const struct option_row rows[] = {
        {.name = "A",
         .help = "the base: the folder of a run, or its runs.csv",
         .operand = &s.base_place,
         .required = true},
        {.name = "B", .help = "the run to hold against it", .operand = &s.other_place},
        {.name = "by",
         .argument = "COLUMN",
         .help = "compare within A: configurations that differ in this column only, such as path or gemm",
         .value = &s.compare.by,
         .parse = parse_by},
        {.name = "base",
         .argument = "VALUE",
         .help = "with --by: the value to compare the others with (default: the first in the file)",
         .text = &s.compare.base},
        {.name = "ignore",
         .argument = "LIST",
         .help = "match configurations although they differ in these columns, such as gemm,isa",
         .value = s.compare.ignored,
         .parse = parse_ignored},
        {.name = "metric",
         .argument = "LIST",
         .help = "columns to compare (default ttpt_ms,ttft_ms)",
         .value = &s.compare,
         .parse = parse_metrics},
        {.name = "noise",
         .argument = "SHARE",
         .help = "medians less far apart are no difference (default 2%)",
         .value = &s.compare.noise,
         .parse = parse_share},
        {.name = "alpha",
         .argument = "P",
         .help = "a difference needs a p below this (default 0.05)",
         .value = &s.compare.alpha,
         .parse = parse_alpha},
        {.name = "fail-above",
         .argument = "SHARE",
         .help = "exit 1 when any result has the verdict slower and takes so much longer, as 5%",
         .value = &s.fail_above,
         .parse = parse_share},
        {.name = "csv", .argument = "FILE", .help = "write the results there too, a row each", .text = &s.csv},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "A B [OPTIONS]\n       kvbench compare A --by COLUMN [OPTIONS]",
        .summary = "Holds run B against run A, configuration by configuration: ratio of medians with its 95 % "
                   "bootstrap interval,\n"
                   "Mann-Whitney U test, verdict. With --by, the arms of one run instead.\n"
                   "Exit status: 0 compared, 1 slower than --fail-above allows, 2 not compared.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (!options_parse(&table, argc, argv, &status))
        return status;
    const char *problem = check(&s);
    if (problem)
        return cli_fail(argv[0], CLI_USAGE, "%s; see kvbench %s --help", problem, argv[0]);
    return compare(argv[0], &s);
}
