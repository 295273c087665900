/* kvbench ab: what A and B are, the two workers, and what is said of them. The comparison itself is ab/contest.h. */
#include "cli/ab.h"

#include "base/error.h"
#include "measure/decoder.h"
#include "measure/status_line.h"
#include "results/csv.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of --fail-if: none of those that other commands end with. */
enum { AB_FAILED_IF = 3 };

static const struct kv_choice fail_choices[] = {
    {"slower", "B is"},
    {"faster", "B is"},
    {"different", "either"},
    {"undecided", "no verdict"},
};

static const struct kv_choice *fail_choice(int index)
{
    return index >= 0 && index < 4 ? &fail_choices[index] : NULL;
}

struct ab {
    struct ab_pair pair;
    const char *metric_name, *fail_if, *csv_file, *format_name;
    double seconds, threshold;
    uint64_t coins;
    bool quiet;
    struct kv_csv_writer *csv;
    double drawn_s; /* when progress was */
};

/* ---- While it runs ----------------------------------------------------------------------------------- */

static kv_status prepare(void *context, int first, struct kv_error *error)
{
    struct ab *ab = context;
    return ab_prepare(&ab->pair, first, error);
}

static kv_status keep_row(void *context, const struct kv_repetition *r, struct kv_error *error)
{
    struct ab *ab = context;
    if (!ab->csv)
        return KV_OK;
    kv_csv_add_integer(ab->csv, r->start);
    kv_csv_add_integer(ab->csv, r->round);
    kv_csv_add_integer(ab->csv, r->place);
    kv_csv_add_text(ab->csv, ab->pair.sides[r->side].letter);
    kv_csv_add_double(ab->csv, r->started_s);
    for (int m = 0; m < KV_PEER_N_METRICS; m++)
        kv_csv_add_double(ab->csv, r->ms[m]);
    return kv_csv_end_row(ab->csv, error);
}

static kv_status open_csv(struct ab *ab, struct kv_error *error)
{
    static const char *const columns[] = {"start", "round", "place", "side", "started_s"};
    const char *all[5 + KV_PEER_N_METRICS];
    if (!ab->csv_file)
        return KV_OK;
    for (int i = 0; i < 5; i++)
        all[i] = columns[i];
    for (int m = 0; m < KV_PEER_N_METRICS; m++)
        all[5 + m] = kv_peer_metric_choice(m)->name;
    return kv_csv_create(&ab->csv, ab->csv_file, all, 5 + KV_PEER_N_METRICS, error);
}

/* "0.941 (0.935 to 0.947)" */
static const char *ratio_text(const struct kv_effect *effect, char text[64])
{
    if (effect->n == 0)
        snprintf(text, 64, "-");
    else if (!(effect->level > 0))
        snprintf(text, 64, "%.3f (too few starts for an interval)", effect->ratio);
    else
        snprintf(text, 64, "%.3f (%.3f to %.3f)", effect->ratio, effect->low, effect->high);
    return text;
}

static void show_progress(void *context, const struct kv_contest *c)
{
    struct ab *ab = context;
    char ratio[64], gone[32], all[32], line[256];
    const bool terminal = kv_status_line_possible();
    if (ab->quiet || (ab->drawn_s > 0 && c->elapsed_s - ab->drawn_s < (terminal ? 0.2 : 10)))
        return;
    ab->drawn_s = c->elapsed_s;
    kv_clock_text(c->elapsed_s, gone);
    kv_clock_text(ab->seconds, all);
    snprintf(line, sizeof line, "%s of %s, start %d, B / A %s", gone, all, c->n_starts + 1,
             ratio_text(&c->shown, ratio));
    if (terminal)
        kv_status_line(line, false);
    else
        fprintf(stderr, "kvbench ab: %s\n", line);
}

/* ---- What is said at the end ------------------------------------------------------------------------- */

static void print_side(const struct ab_side *side)
{
    const char *commit = json_string_value(json_object_get(side->ready, "commit"));
    const char *engine = json_string_value(json_object_get(side->ready, "engine"));
    printf("%s  %s", side->letter, side->name);
    if (commit && strcmp(commit, "unknown") != 0)
        printf(" (%s, commit %.12s%s)", engine ? engine : "?", commit, strstr(commit, "-dirty") ? "-dirty" : "");
    else if (engine)
        printf(" (%s)", engine);
    for (int i = side->n_common; side->argv[i]; i++)
        printf(" %s", side->argv[i]);
    putchar('\n');
}

static kv_status print_table(const struct ab *ab, const struct kv_contest *c, struct kv_error *error)
{
    char ratio[64], interval[40];
    snprintf(interval, sizeof interval, "B / A (%g %% interval)", 100 * (1 - AB_ALPHA));
    printf("%-8s %12s %12s  %s\n", "metric", "median A", "median B", interval);
    for (int m = 0; m < KV_PEER_N_METRICS; m++) {
        struct kv_effect effect;
        const kv_status status = kv_contest_estimate(c, (enum kv_peer_metric)m, &effect, error);
        if (status)
            return status;
        if (effect.n)
            printf("%-8s %12.4g %12.4g  %s\n", kv_peer_metric_choice(m)->name,
                   kv_contest_median(c, 0, (enum kv_peer_metric)m), kv_contest_median(c, 1, (enum kv_peer_metric)m),
                   ratio_text(m == (int)ab->pair.metric && c->effect.n ? &c->effect : &effect, ratio));
    }
    putchar('\n');
    return KV_OK;
}

/* What is known where nothing is decided, and what would decide it. */
static void print_undecided(const struct kv_contest *c)
{
    const struct kv_effect *known = c->effect.n ? &c->effect : &c->shown;
    const double starts = known->rounds_needed, seconds = starts * c->elapsed_s / c->n_starts;
    if (c->n_starts == 0)
        printf("undecided: not one start was complete; give more --time\n");
    else if (!(known->level > 0))
        printf("undecided: %.3f so far, but %zu start%s too few for an interval: at least %.0f, as --time %.0fs has\n",
               known->ratio, known->n, known->n == 1 ? " is" : "s are", starts, ceil(seconds));
    else
        printf("undecided: %.3f (%.3f to %.3f); about %.0f starts, %.*f %s, would tell\n", known->ratio, known->low,
               known->high, starts, seconds < 600 ? 1 : 0, seconds < 7200 ? seconds / 60 : seconds / 3600,
               seconds < 7200 ? "minutes" : "hours");
}

/* For programs: a row a metric; the one that was asked for has the verdict. */
static int print_data(const struct ab *ab, const struct kv_contest *c)
{
    static const struct kv_table_column columns[] = {
        {"a", NULL, true},
        {"b", NULL, true},
        {"metric", NULL, true},
        {"median_a_ms", NULL, false},
        {"median_b_ms", NULL, false},
        {"ratio", NULL, false},
        {"low", NULL, false},
        {"high", NULL, false},
        {"starts", NULL, false},
        {"verdict", NULL, true},
    };
    struct kv_error error = {""};
    struct kv_table *table;
    kv_status status = kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, &error);
    for (int m = 0; !status && m < KV_PEER_N_METRICS; m++) {
        const bool is_judged = m == (int)ab->pair.metric;
        struct kv_effect effect = c->effect;
        if (!is_judged || !effect.n)
            status = kv_contest_estimate(c, (enum kv_peer_metric)m, &effect, &error);
        if (status || !effect.n)
            continue;
        kv_table_add_text(table, ab->pair.sides[0].name);
        kv_table_add_text(table, ab->pair.sides[1].name);
        kv_table_add_text(table, kv_peer_metric_choice(m)->name);
        kv_table_add_number(table, kv_contest_median(c, 0, (enum kv_peer_metric)m), NULL);
        kv_table_add_number(table, kv_contest_median(c, 1, (enum kv_peer_metric)m), NULL);
        kv_table_add_number(table, effect.ratio, NULL);
        kv_table_add_number(table, isfinite(effect.high) ? effect.low : NAN, NULL);
        kv_table_add_number(table, effect.high, NULL);
        kv_table_add_number(table, (double)effect.n, NULL);
        kv_table_add_text(table, is_judged ? kv_effect_verdict_name(c->effect.verdict) : "");
    }
    if (!status)
        return print_and_free(ab->pair.command, table, format_of(ab->format_name));
    kv_table_free(table);
    return cli_fail(ab->pair.command, CLI_FAILED, "%s", error.message);
}

static void print_verdict(const struct ab *ab, const struct kv_contest *c)
{
    const struct kv_effect *e = &c->effect;
    char interval[80];
    snprintf(interval, sizeof interval, "(%.3f to %.3f, %zu starts, %g %%)", e->low, e->high, e->n,
             100 * (1 - AB_ALPHA));
    if (e->verdict == KV_EFFECT_FASTER || e->verdict == KV_EFFECT_SLOWER)
        printf("B is %s: %.3f x the time of A %s\n", kv_effect_verdict_name(e->verdict), e->ratio, interval);
    else if (e->verdict == KV_EFFECT_EQUAL)
        printf("equal within %g %%: %.3f x the time of A %s\n", 100 * ab->threshold, e->ratio, interval);
    else
        print_undecided(c);
}

static int print_text(const struct ab *ab, const struct kv_contest *c)
{
    struct kv_error error = {""};
    char machine[160];
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        print_side(&ab->pair.sides[i]);
    printf("on %s\n\n", ab_machine(machine));
    if (print_table(ab, c, &error) != KV_OK)
        return cli_fail(ab->pair.command, CLI_FAILED, "%s", error.message);
    print_verdict(ab, c);
    return CLI_OK;
}

static int conclude(const struct ab *ab, const struct kv_contest *c)
{
    const int status = format_of(ab->format_name) == KV_FORMAT_TEXT ? print_text(ab, c) : print_data(ab, c);
    if (status)
        return status;
    fflush(stdout);
    const enum kv_effect_verdict v = c->effect.verdict;
    const bool differs = v == KV_EFFECT_FASTER || v == KV_EFFECT_SLOWER;
    if (ab->fail_if &&
        (strcmp(ab->fail_if, kv_effect_verdict_name(v)) == 0 || (differs && strcmp(ab->fail_if, "different") == 0)))
        return AB_FAILED_IF;
    return CLI_OK;
}

/* ---- The command ------------------------------------------------------------------------------------- */

static int compare(struct ab *ab)
{
    struct kv_error error = {""};
    struct kv_contest *contest = calloc(1, sizeof *contest);
    if (!contest)
        return cli_fail(ab->pair.command, CLI_FAILED, "no memory for a comparison");
    struct kv_contest_settings settings = {.seconds = ab->seconds,
                                           .alpha = AB_ALPHA,
                                           .threshold = ab->threshold,
                                           .seed = ab->coins,
                                           .metric = ab->pair.metric,
                                           .rounds = ab->pair.by_bench ? 1 : 0,
                                           .context = ab,
                                           .now_s = ab_now_s,
                                           .stopped = ab_stopped,
                                           .prepare = prepare,
                                           .pause = ab_pause,
                                           .keep = keep_row,
                                           .progress = show_progress};
    struct kv_contest_side sides[KV_CONTEST_SIDES];
    ab_contest_sides(&ab->pair, sides);
    if (ab->pair.by_bench)
        fprintf(stderr,
                "kvbench %s: one of them is from before `kvbench worker`: both are measured by short runs of "
                "bench, which takes longer\n",
                ab->pair.command);
    kv_status status = open_csv(ab, &error);
    if (!status)
        status = kv_contest_run(contest, sides, &settings, &error);
    if (!status && ab->csv)
        status = kv_csv_publish(ab->csv, &error);
    if (!ab->quiet && kv_status_line_possible())
        kv_status_line_end();
    const int exit_status = status ? cli_fail(ab->pair.command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED,
                                              "%s", error.message)
                                   : conclude(ab, contest);
    kv_csv_close(ab->csv);
    free(contest);
    return exit_status;
}

static int run(struct ab *ab)
{
    struct kv_error error = {""};
    if (!ab->pair.operands[0] && !ab->pair.options[0] && !ab->pair.options[1])
        return cli_fail(ab->pair.command, CLI_USAGE,
                        "there is nothing to compare: name A and B, or settings with --a and --b; see kvbench ab "
                        "--help");
    if (!(ab->threshold > 0) || !(ab->seconds > 0))
        return cli_fail(ab->pair.command, CLI_USAGE, "--%s is to be above 0", ab->seconds > 0 ? "threshold" : "time");
    for (int m = 0; m < KV_PEER_N_METRICS; m++)
        if (strcmp(kv_peer_metric_choice(m)->name, ab->metric_name) == 0)
            ab->pair.metric = (enum kv_peer_metric)m;
    signals_listen("\nkvbench ab: ending with what is known; once more to end at once\n");
    signal(SIGPIPE, SIG_IGN); /* a worker that has ended is told of by its stderr */
    const kv_status status = ab_open(&ab->pair, &error);
    const int exit_status = status ? cli_fail(ab->pair.command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED,
                                              "%s", error.message)
                                   : compare(ab);
    ab_close(&ab->pair);
    return exit_status;
}

int command_ab(int argc, char **argv)
{
    struct ab *ab = calloc(1, sizeof *ab);
    if (!ab)
        return cli_fail(argv[0], CLI_FAILED, "no memory for a comparison");
    ab->pair.command = argv[0];
    ab->metric_name = kv_peer_metric_choice(KV_PEER_TTPT)->name;
    ab->seconds = 120;
    ab->threshold = 0.01;
    ab->coins = (uint64_t)kv_now_ns();
    const struct option_row rows[] = {
        {.name = "A",
         .help = "a commit, branch or tag, a build folder, or a program; NAME=PLACE gives it a name",
         .operand = &ab->pair.operands[0]},
        {.name = "B",
         .help = "what is held against it (default: A, with the options of --b)",
         .operand = &ab->pair.operands[1]},
        {.name = "a",
         .argument = "OPTIONS",
         .help = "options of A alone, \"--kv f32 --threads 1\", of those below from --model to --extra",
         .text = &ab->pair.options[0]},
        {.name = "b", .argument = "OPTIONS", .help = "options of B alone", .text = &ab->pair.options[1]},
        {.name = "metric",
         .argument = "NAME",
         .help = "what is compared (default ttpt_ms: the step is what most of a generation is made of):",
         .chosen = &ab->metric_name,
         .choice = kv_peer_metric_choice},
        {.name = "threshold",
         .argument = "SHARE",
         .help = "ratios within this of 1 are equal (default 1%)",
         .share = &ab->threshold},
        {.name = "time",
         .argument = "TIME",
         .help = "30s, 2m, 1h; less when the verdict is there earlier (default 2m)",
         .seconds = &ab->seconds},
        {.name = "fail-if",
         .argument = "VERDICT",
         .help = "exit 3 when it is that:",
         .chosen = &ab->fail_if,
         .choice = fail_choice},
        {.name = "csv", .argument = "FILE", .help = "write a row a repetition there", .text = &ab->csv_file},
        format_row(&ab->format_name),
        {.name = "coins", .argument = "N", .help = "seed of the order (default: drawn anew)", .seed = &ab->coins},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &ab->quiet},
        {.table = worker_texts(&ab->pair.texts)},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "A B [OPTIONS]\n       kvbench ab --a OPTIONS --b OPTIONS [OPTIONS]",
        .summary =
            "Which is faster? Short processes of A and B take turns in random order, over many starts, until it\n"
            "is known or the time is over. The last line is the verdict, faster, slower, equal or undecided,\n"
            "with the ratio of the times and its interval; at most 2 % of verdicts of faster and slower are\n"
            "false, whatever the machine does meanwhile.\n"
            "Exit status: 0 done, 1 it failed, 2 bad usage, 3 the verdict is that of --fail-if.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status))
        status = run(ab);
    free(ab);
    return status;
}
