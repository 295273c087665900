/* kvbench ab: what A and B are, the two workers, and what is said of them. The comparison itself is ab/contest.h. */
#include "cli/ab.h"

#include "ab/contest.h"
#include "base/error.h"
#include "machine/machine.h"
#include "measure/decoder.h"
#include "results/csv.h"
#include "results/stats.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Of --fail-if: none of those that other commands end with. */
enum { AB_FAILED_IF = 3 };

/* Any false verdict, by all looks together. Half of what the issue of a false one is worth: a build held against itself
 * is to be called different in less than 1 of 20, also where somebody tries 40 times. */
#define ALPHA 0.02

#define REPETITION_MS 20.0
#define WARM_UP_MS    100.0
/* Steps of a request at most: an answer has a number for each. */
enum { MOST_STEPS = 500, MOST_RUNS = 100 };
/* Between the sides: threads of the one that has answered spin on for about a millisecond. */
#define PAUSE_NS 2000000

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

enum { MAX_WORDS = 100 };

struct side {
    struct ab *ab;
    char letter[2]; /* "A" */
    char name[160]; /* as the person called it */
    char *program;  /* owned */
    char *words;    /* of --a or --b, cut into words; owned */
    const char *argv[MAX_WORDS];
    int n_common; /* of argv: what no person asked for */
    struct kv_peer *peer;
    json_t *ready; /* of the first start */
    char bench_folder[64];
};

struct ab {
    const char *command;
    const char *operands[KV_CONTEST_SIDES], *options[KV_CONTEST_SIDES];
    struct worker_texts texts;
    const char *metric_name, *fail_if, *csv_file;
    double seconds, threshold;
    uint64_t coins;
    bool quiet;
    struct side sides[KV_CONTEST_SIDES];
    enum kv_peer_metric metric;
    bool by_bench; /* one of them has no worker */
    int n_steps;   /* of a repetition; 0: n_runs whole generations, after one that is not counted if more than one */
    int n_runs;
    struct kv_csv_writer *csv;
    double drawn_s; /* when progress was */
};

/* ---- What A and B are -------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* "NAME=PLACE" or "PLACE", a program or the folder of a build. */
static kv_status find_program(struct side *side, const char *operand, struct kv_error *error)
{
    const char *equals = strchr(operand, '='), *place = equals ? equals + 1 : operand;
    snprintf(side->name, sizeof side->name, "%.*s", equals ? (int)(equals - operand) : 150, operand);
    static const char *const within[] = {"", "/benchmarks/kvbench", "/kvbench", "/build/benchmarks/kvbench"};
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        if (asprintf(&side->program, "%s%s", place, within[i]) < 0)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for the name of a program");
        if (is_program(side->program))
            return KV_OK;
        free(side->program);
        side->program = NULL;
    }
    return kv_fail(
        error, KV_ERROR_ARGUMENT,
        "%s '%.200s' is neither a program nor the folder of a build; commits, branches and tags are known to "
        "the door, ./kvbench ab",
        side->letter, place);
}

/* What a worker measures unless told otherwise: bench would sweep. */
static const char *const bench_defaults[] = {"--suite", "batch", "--path", "cached",   "--reps", "4",      "--batch",
                                             "1",       "--new", "50",     "--prompt", "21",     "--quiet"};

/* Program, command, the options of both, then the side's own: of two, the last one counts. */
static kv_status make_arguments(struct side *side, struct kv_error *error)
{
    int n = 0;
    side->argv[n++] = side->program;
    side->argv[n++] = side->ab->by_bench ? "bench" : "worker";
    for (size_t i = 0; side->ab->by_bench && i < sizeof bench_defaults / sizeof bench_defaults[0]; i++)
        side->argv[n++] = bench_defaults[i];
    side->n_common = n;
    n += worker_arguments(&side->ab->texts, side->argv + n);
    for (char *rest = side->words, *word; rest && (word = strtok_r(rest, " \t\n", &rest));) {
        if (n == MAX_WORDS - 12)
            return kv_fail(error, KV_ERROR_ARGUMENT, "--%c: too many words", side->letter[0] + 'a' - 'A');
        side->argv[n++] = word;
    }
    side->argv[n] = NULL;
    return KV_OK;
}

/* A program from before the worker does not know it. */
static bool has_worker(const struct side *side)
{
    struct kv_error error;
    const char *const argv[] = {side->program, "worker", "--help", NULL};
    return kv_peer_execute(side->letter, argv, &error) == KV_OK;
}

static kv_status find_sides(struct ab *ab, struct kv_error *error)
{
    static const char self[] = "this program=/proc/self/exe";
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++) {
        struct side *side = &ab->sides[i];
        const char *operand = ab->operands[i] ? ab->operands[i] : ab->operands[0] ? ab->operands[0] : self;
        side->ab = ab;
        side->letter[0] = (char)('A' + i);
        status = find_program(side, operand, error);
        if (!status && ab->options[i] && !(side->words = strdup(ab->options[i])))
            status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the options");
    }
    if (status)
        return status;
    /* /proc/self is somebody else to a child. */
    for (int i = 0; i < KV_CONTEST_SIDES; i++) {
        char *real = strncmp(ab->sides[i].program, "/proc/self/", 11) == 0 ? realpath(ab->sides[i].program, NULL)
                                                                           : NULL;
        if (real) {
            free(ab->sides[i].program);
            ab->sides[i].program = real;
        }
    }
    ab->by_bench = !has_worker(&ab->sides[0]) || !has_worker(&ab->sides[1]);
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        status = make_arguments(&ab->sides[i], error);
    return status;
}

/* ---- By workers -------------------------------------------------------------------------------------- */

static kv_status start_worker(void *context, struct kv_error *error)
{
    struct side *side = context;
    const kv_status status = kv_peer_start(&side->peer, side->letter, side->argv, error);
    if (!status && !side->ready)
        side->ready = json_incref((json_t *)kv_peer_ready(side->peer));
    return status;
}

static void stop_worker(void *context)
{
    struct side *side = context;
    kv_peer_stop(side->peer);
    side->peer = NULL;
}

/* Of whole generations the middle one counts; of more than one the first finds the caches as the other side left them.
 */
static kv_status repeat_runs(struct side *side, double *ms, struct kv_error *error)
{
    const int n = side->ab->n_runs;
    double runs[KV_PEER_N_METRICS][MOST_RUNS], one[KV_PEER_N_METRICS];
    kv_status status = n > 1 ? kv_peer_run(side->peer, one, NULL, error) : KV_OK;
    for (int i = 0; !status && i < n; i++) {
        status = kv_peer_run(side->peer, one, NULL, error);
        for (int m = 0; m < KV_PEER_N_METRICS; m++)
            runs[m][i] = one[m];
    }
    for (int m = 0; !status && m < KV_PEER_N_METRICS; m++) {
        kv_stats_sort(runs[m], (size_t)n);
        ms[m] = kv_stats_median(runs[m], (size_t)n);
    }
    return status;
}

static kv_status repeat_worker(void *context, double *ms, struct kv_error *error)
{
    struct side *side = context;
    return side->ab->n_steps ? kv_peer_steps(side->peer, side->ab->n_steps, ms, error) : repeat_runs(side, ms, error);
}

static int clamp(double value, int most)
{
    return value < 1 || isnan(value) ? 1 : value > most ? most : (int)ceil(value);
}

/* Where the texts of the two part, said once. */
static void compare_ids(const struct ab *ab, const json_t *a, const json_t *b)
{
    const size_t n_a = json_array_size(a), n_b = json_array_size(b);
    size_t i = 0;
    while (i < n_a && i < n_b && json_equal(json_array_get(a, i), json_array_get(b, i)))
        i++;
    if (i < n_a || i < n_b)
        fprintf(stderr,
                "kvbench %s: warning: they do not write the same text: new token %zu is the first that differs\n",
                ab->command, i + 1);
}

/* One generation of each says how long things take, and whether both do the same. */
static kv_status look_first(struct ab *ab, struct kv_error *error)
{
    double ms[KV_CONTEST_SIDES][KV_PEER_N_METRICS];
    json_t *ids[KV_CONTEST_SIDES] = {NULL, NULL};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        status = kv_peer_run(ab->sides[i].peer, ms[i], &ids[i], error);
    if (!status)
        compare_ids(ab, ids[0], ids[1]);
    json_decref(ids[0]);
    json_decref(ids[1]);
    if (status)
        return status;
    if (ab->metric == KV_PEER_TTPT && (isnan(ms[0][KV_PEER_TTPT]) || isnan(ms[1][KV_PEER_TTPT])))
        return kv_fail(error, KV_ERROR_ARGUMENT, "one new token has no step after it: give -n 2 or --metric ttft_ms");
    const bool steps = kv_peer_has_steps(ab->sides[0].peer) && kv_peer_has_steps(ab->sides[1].peer);
    const enum kv_peer_metric whole = ab->metric == KV_PEER_TTPT && steps ? KV_PEER_TTPT : KV_PEER_E2E;
    const double longer = ms[0][whole] > ms[1][whole] ? ms[0][whole] : ms[1][whole];
    if (whole == KV_PEER_TTPT)
        ab->n_steps = clamp(REPETITION_MS / longer, MOST_STEPS);
    else
        ab->n_runs = clamp(REPETITION_MS / longer, MOST_RUNS);
    return KV_OK;
}

/* kv_contest_settings.prepare */
static kv_status prepare_workers(void *context, struct kv_error *error)
{
    struct ab *ab = context;
    double ms[KV_PEER_N_METRICS];
    kv_status status = ab->n_steps || ab->n_runs ? KV_OK : look_first(ab, error);
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++) {
        const int64_t start = kv_now_ns();
        /* As many repetitions of each, so that both go on from the same token. */
        for (int k = 0; !status && k < (int)(WARM_UP_MS / REPETITION_MS); k++) {
            status = repeat_worker(&ab->sides[i], ms, error);
            if ((double)(kv_now_ns() - start) * 1e-6 > WARM_UP_MS * KV_CONTEST_SIDES)
                break;
        }
    }
    return status;
}

/* ---- By bench ---------------------------------------------------------------------------------------- */

/* The middle one of the column in folder/runs.csv. */
static kv_status read_bench(const struct side *side, const char *column, double *value, struct kv_error *error)
{
    char file[96];
    struct kv_csv_table *table;
    size_t at, n = 0;
    double values[1000];
    snprintf(file, sizeof file, "%s/runs.csv", side->bench_folder);
    kv_status status = kv_csv_read(&table, file, error);
    if (!status)
        status = kv_csv_column(table, column, &at, error);
    for (size_t row = 0; !status && row < kv_csv_rows(table) && n < 1000; row++) {
        status = kv_csv_number(table, row, at, &values[n], error);
        n += !status && values[n] > 0;
    }
    kv_csv_free(table);
    *value = NAN;
    if (status || n == 0)
        return status;
    kv_stats_sort(values, n);
    *value = kv_stats_median(values, n);
    return KV_OK;
}

/* A process of its own a repetition. */
static kv_status repeat_bench(void *context, double *ms, struct kv_error *error)
{
    struct side *side = context;
    const char *argv[MAX_WORDS], *const remove[] = {"rm", "-rf", "--", side->bench_folder, NULL};
    struct kv_error ignored;
    int n = 0;
    snprintf(side->bench_folder, sizeof side->bench_folder, "/tmp/kvbench-ab-XXXXXX");
    if (!mkdtemp(side->bench_folder))
        return kv_fail(error, KV_ERROR_IO, "no folder can be made in /tmp: %s", strerror(errno));
    for (; side->argv[n]; n++)
        argv[n] = side->argv[n];
    argv[n++] = "--out";
    argv[n++] = side->bench_folder;
    argv[n] = NULL;
    kv_status status = kv_peer_execute(side->letter, argv, error);
    for (int m = 0; !status && m < KV_PEER_N_METRICS; m++)
        status = read_bench(side, kv_peer_metric_choice(m)->name, &ms[m], error);
    kv_peer_execute(side->letter, remove, &ignored);
    return status;
}

static kv_status start_nothing(void *context, struct kv_error *error)
{
    (void)context;
    (void)error;
    return KV_OK;
}

static void stop_nothing(void *context)
{
    (void)context;
}

/* ---- While it runs ----------------------------------------------------------------------------------- */

static double now_s(void *context)
{
    (void)context;
    return (double)kv_now_ns() * 1e-9;
}

static bool is_stopped(void *context)
{
    (void)context;
    return signals_received() != 0;
}

static void pause_between(void *context)
{
    (void)context;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

static kv_status keep_row(void *context, const struct kv_repetition *r, struct kv_error *error)
{
    struct ab *ab = context;
    if (!ab->csv)
        return KV_OK;
    kv_csv_add_integer(ab->csv, r->start);
    kv_csv_add_integer(ab->csv, r->round);
    kv_csv_add_integer(ab->csv, r->place);
    kv_csv_add_text(ab->csv, ab->sides[r->side].letter);
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
    if (unlink(ab->csv_file) != 0 && errno != ENOENT)
        return kv_fail(error, KV_ERROR_IO, "%.300s cannot be replaced: %s", ab->csv_file, strerror(errno));
    return kv_csv_append(&ab->csv, ab->csv_file, all, 5 + KV_PEER_N_METRICS, error);
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
    char ratio[64], gone[32], all[32];
    const bool terminal = isatty(STDERR_FILENO);
    if (ab->quiet || (ab->drawn_s > 0 && c->elapsed_s - ab->drawn_s < (terminal ? 0.2 : 10)))
        return;
    ab->drawn_s = c->elapsed_s;
    kv_clock_text(c->elapsed_s, gone);
    kv_clock_text(ab->seconds, all);
    fprintf(stderr, "%s%s of %s, start %d of %d, B / A %s%s", terminal ? "\r\033[K" : "kvbench ab: ", gone, all,
            c->n_starts + 1 > c->n_planned ? c->n_planned : c->n_starts + 1, c->n_planned, ratio_text(&c->shown, ratio),
            terminal ? "" : "\n");
    fflush(stderr);
}

/* ---- What is said at the end ------------------------------------------------------------------------- */

static void print_machine(void)
{
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    printf("on %s, %d cores\n\n", *machine.cpu_name ? machine.cpu_name : "an unknown CPU", machine.cores_affinity);
}

static void print_side(const struct side *side)
{
    const char *commit = json_string_value(json_object_get(side->ready, "commit"));
    const char *engine = json_string_value(json_object_get(side->ready, "engine"));
    printf("%s  %s", side->letter, side->name);
    if (commit && strcmp(commit, "unknown") != 0)
        printf(" (%s, commit %.12s%s)", engine ? engine : "?", commit, strstr(commit, "-dirty") ? "-dirty" : "");
    for (int i = side->n_common; side->argv[i]; i++)
        printf(" %s", side->argv[i]);
    putchar('\n');
}

static kv_status print_table(const struct ab *ab, const struct kv_contest *c, struct kv_error *error)
{
    char ratio[64], interval[40];
    snprintf(interval, sizeof interval, "B / A (%g %% interval)", 100 * (1 - ALPHA));
    printf("%-8s %12s %12s  %s\n", "metric", "median A", "median B", interval);
    for (int m = 0; m < KV_PEER_N_METRICS; m++) {
        struct kv_effect effect;
        const kv_status status = kv_contest_estimate(c, (enum kv_peer_metric)m, &effect, error);
        if (status)
            return status;
        if (effect.n)
            printf("%-8s %12.4g %12.4g  %s\n", kv_peer_metric_choice(m)->name,
                   kv_contest_median(c, 0, (enum kv_peer_metric)m), kv_contest_median(c, 1, (enum kv_peer_metric)m),
                   ratio_text(m == (int)ab->metric && c->effect.n ? &c->effect : &effect, ratio));
    }
    putchar('\n');
    return KV_OK;
}

static void print_verdict(const struct ab *ab, const struct kv_contest *c)
{
    const struct kv_effect *e = &c->effect;
    char interval[80];
    snprintf(interval, sizeof interval, "(%.3f to %.3f, %zu starts, %g %%)", e->low, e->high, e->n, 100 * (1 - ALPHA));
    if (e->verdict == KV_EFFECT_FASTER || e->verdict == KV_EFFECT_SLOWER)
        printf("B is %s: %.3f x the time of A %s\n", kv_effect_verdict_name(e->verdict), e->ratio, interval);
    else if (e->verdict == KV_EFFECT_EQUAL)
        printf("equal within %g %%: %.3f x the time of A %s\n", 100 * ab->threshold, e->ratio, interval);
    else if (c->n_starts == 0)
        printf("undecided: not one start was complete; give more --time\n");
    else {
        const struct kv_effect *known = e->n ? e : &c->shown;
        const double starts = known->rounds_needed, seconds = starts * c->elapsed_s / c->n_starts;
        printf("undecided: %.3f (%.3f to %.3f); about %.0f starts, %.*f minutes, would tell\n", known->ratio,
               known->low, known->high, starts, seconds < 600 ? 1 : 0, seconds / 60);
    }
}

static int conclude(const struct ab *ab, const struct kv_contest *c)
{
    struct kv_error error = {""};
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        print_side(&ab->sides[i]);
    print_machine();
    if (print_table(ab, c, &error) != KV_OK)
        return cli_fail(ab->command, CLI_FAILED, "%s", error.message);
    print_verdict(ab, c);
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
        return cli_fail(ab->command, CLI_FAILED, "no memory for a comparison");
    struct kv_contest_settings settings = {.seconds = ab->seconds,
                                           .alpha = ALPHA,
                                           .threshold = ab->threshold,
                                           .seed = ab->coins,
                                           .metric = ab->metric,
                                           .rounds = ab->by_bench ? 1 : 0,
                                           .context = ab,
                                           .now_s = now_s,
                                           .stopped = is_stopped,
                                           .prepare = ab->by_bench ? NULL : prepare_workers,
                                           .pause = pause_between,
                                           .keep = keep_row,
                                           .progress = show_progress};
    struct kv_contest_side sides[KV_CONTEST_SIDES];
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        sides[i] = (struct kv_contest_side){.context = &ab->sides[i],
                                            .start = ab->by_bench ? start_nothing : start_worker,
                                            .repeat = ab->by_bench ? repeat_bench : repeat_worker,
                                            .stop = ab->by_bench ? stop_nothing : stop_worker};
    if (ab->by_bench)
        fprintf(stderr,
                "kvbench %s: one of them is from before `kvbench worker`: both are measured by short runs of "
                "bench, which takes longer\n",
                ab->command);
    kv_status status = open_csv(ab, &error);
    if (!status)
        status = kv_contest_run(contest, sides, &settings, &error);
    if (!ab->quiet && isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
    const int exit_status = status ? cli_fail(ab->command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s",
                                              error.message)
                                   : conclude(ab, contest);
    kv_csv_close(ab->csv);
    free(contest);
    return exit_status;
}

static int run(struct ab *ab)
{
    struct kv_error error = {""};
    if (!ab->operands[0] && !ab->options[0] && !ab->options[1])
        return cli_fail(ab->command, CLI_USAGE,
                        "there is nothing to compare: name A and B, or settings with --a and --b; see kvbench ab "
                        "--help");
    if (!(ab->threshold > 0) || !(ab->seconds > 0))
        return cli_fail(ab->command, CLI_USAGE, "--%s is to be above 0", ab->seconds > 0 ? "threshold" : "time");
    for (int m = 0; m < KV_PEER_N_METRICS; m++)
        if (strcmp(kv_peer_metric_choice(m)->name, ab->metric_name) == 0)
            ab->metric = (enum kv_peer_metric)m;
    signals_listen("\nkvbench ab: ending with what is known; once more to end at once\n");
    signal(SIGPIPE, SIG_IGN); /* a worker that has ended is told of by its stderr */
    const kv_status status = find_sides(ab, &error);
    const int exit_status = status ? cli_fail(ab->command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s",
                                              error.message)
                                   : compare(ab);
    for (int i = 0; i < KV_CONTEST_SIDES; i++) {
        free(ab->sides[i].program);
        free(ab->sides[i].words);
        json_decref(ab->sides[i].ready);
    }
    return exit_status;
}

int command_ab(int argc, char **argv)
{
    struct ab *ab = calloc(1, sizeof *ab);
    if (!ab)
        return cli_fail(argv[0], CLI_FAILED, "no memory for a comparison");
    ab->command = argv[0];
    ab->metric_name = kv_peer_metric_choice(KV_PEER_TTPT)->name;
    ab->seconds = 120;
    ab->threshold = 0.01;
    ab->coins = (uint64_t)kv_now_ns();
    const struct option_row rows[] = {
        {.name = "A",
         .help = "a commit, branch or tag, a build folder, or a program; NAME=PLACE gives it a name",
         .operand = &ab->operands[0]},
        {.name = "B",
         .help = "what is held against it (default: A, with the options of --b)",
         .operand = &ab->operands[1]},
        {.name = "a",
         .argument = "OPTIONS",
         .help = "options of A alone, \"--kv f32 --threads 1\", of those below from --model to --extra",
         .text = &ab->options[0]},
        {.name = "b", .argument = "OPTIONS", .help = "options of B alone", .text = &ab->options[1]},
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
         .help = "30s, 2m, 1h at most; less when the verdict is there earlier (default 2m)",
         .seconds = &ab->seconds},
        {.name = "fail-if",
         .argument = "VERDICT",
         .help = "exit 3 when it is that:",
         .chosen = &ab->fail_if,
         .choice = fail_choice},
        {.name = "csv", .argument = "FILE", .help = "write a row a repetition there", .text = &ab->csv_file},
        {.name = "coins", .argument = "N", .help = "seed of the order (default: drawn anew)", .seed = &ab->coins},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &ab->quiet},
        {.table = worker_texts(&ab->texts)},
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
