/* From what a person calls A and B to two sides of a contest: workers, or bench for programs from before the worker. */
#include "cli/ab.h"

#include "base/error.h"
#include "machine/machine.h"
#include "measure/decoder.h"
#include "results/csv.h"
#include "results/stats.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define REPETITION_MS 20.0
#define WARM_UP_MS    100.0
/* Steps of a request at most: an answer has a number for each. */
enum { MOST_STEPS = 500, MOST_RUNS = 100 };
/* Between the sides: threads of the one that has answered spin on for about a millisecond. */
#define PAUSE_NS 2000000

/* ---- What A and B are -------------------------------------------------------------------------------- */

static bool is_program(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 && S_ISREG(status.st_mode) && access(path, X_OK) == 0;
}

/* "NAME=PLACE" or "PLACE", a program or the folder of a build. */
static kv_status find_program(struct ab_side *side, const char *operand, struct kv_error *error)
{
    const char *equals = strchr(operand, '='), *place = equals ? equals + 1 : operand;
    snprintf(side->name, sizeof side->name, "%.*s", equals ? (int)(equals - operand) : 150, operand);
    static const char *const within[] = {"", "/benchmarks/kvbench", "/build/benchmarks/kvbench"};
    for (size_t i = 0; i < sizeof within / sizeof within[0]; i++) {
        char *program;
        if (asprintf(&program, "%s%s", place, within[i]) < 0)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for the name of a program");
        /* /proc/self is somebody else to a child, and a name without a slash would be looked for in PATH. */
        side->program = is_program(program) ? realpath(program, NULL) : NULL;
        free(program);
        if (side->program)
            return KV_OK;
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
static kv_status make_arguments(struct ab_side *side, struct kv_error *error)
{
    int n = 0;
    side->argv[n++] = side->program;
    side->argv[n++] = side->pair->by_bench ? "bench" : "worker";
    for (size_t i = 0; side->pair->by_bench && i < sizeof bench_defaults / sizeof bench_defaults[0]; i++)
        side->argv[n++] = bench_defaults[i];
    side->n_common = n;
    n += worker_arguments(&side->pair->texts, side->argv + n);
    const int room = AB_MAX_WORDS - 12 - n,
              n_words = side->words ? options_words(side->words, side->argv + n, room) : 0;
    if (n_words > room)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--%c: too many words", side->letter[0] + 'a' - 'A');
    n += n_words;
    side->argv[n] = NULL;
    return KV_OK;
}

/* A program from before the worker does not know it. */
static bool has_worker(const struct ab_side *side)
{
    struct kv_error error;
    const char *const argv[] = {side->program, "worker", "--help", NULL};
    return kv_peer_execute(side->letter, argv, &error) == KV_OK;
}

kv_status ab_open(struct ab_pair *pair, struct kv_error *error)
{
    static const char self[] = "this program=/proc/self/exe";
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++) {
        struct ab_side *side = &pair->sides[i];
        const char *operand = pair->operands[i] ? pair->operands[i] : pair->operands[0] ? pair->operands[0] : self;
        side->pair = pair;
        side->letter[0] = (char)('A' + i);
        status = find_program(side, operand, error);
        if (!status && pair->options[i] && !(side->words = strdup(pair->options[i])))
            status = kv_fail(error, KV_ERROR_MEMORY, "no memory for the options");
    }
    if (status)
        return status;
    pair->by_bench = !has_worker(&pair->sides[0]) || !has_worker(&pair->sides[1]);
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        status = make_arguments(&pair->sides[i], error);
    return status;
}

/* ---- By workers -------------------------------------------------------------------------------------- */

static kv_status start_worker(void *context, struct kv_error *error)
{
    struct ab_side *side = context;
    const kv_status status = kv_peer_start(&side->peer, side->letter, side->argv, 0, error);
    if (!status && !side->ready)
        side->ready = json_incref((json_t *)kv_peer_ready(side->peer));
    return status;
}

static void stop_worker(void *context)
{
    struct ab_side *side = context;
    kv_peer_stop(side->peer);
    side->peer = NULL;
}

/* Of whole generations the middle one counts; of more than one the first finds the caches as the other side left them.
 */
static kv_status repeat_runs(struct ab_side *side, double *ms, struct kv_error *error)
{
    const int n = side->pair->n_runs;
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
    struct ab_side *side = context;
    return side->pair->n_steps ? kv_peer_steps(side->peer, side->pair->n_steps, 0, ms, error)
                               : repeat_runs(side, ms, error);
}

static int clamp(double value, int most)
{
    return value < 1 || isnan(value) ? 1 : value > most ? most : (int)ceil(value);
}

/* Where the texts of the two part, said once. */
static void compare_ids(const struct ab_pair *pair, const json_t *a, const json_t *b)
{
    const size_t n_a = json_array_size(a), n_b = json_array_size(b);
    size_t i = 0;
    while (i < n_a && i < n_b && json_equal(json_array_get(a, i), json_array_get(b, i)))
        i++;
    if (i < n_a || i < n_b)
        fprintf(stderr,
                "kvbench %s: warning: they do not write the same text: new token %zu is the first that differs\n",
                pair->command, i + 1);
}

/* One generation of each says how long things take, and whether both do the same. */
static kv_status look_first(struct ab_pair *pair, int first, struct kv_error *error)
{
    double ms[KV_CONTEST_SIDES][KV_PEER_N_METRICS];
    json_t *ids[KV_CONTEST_SIDES] = {NULL, NULL};
    kv_status status = KV_OK;
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        status = kv_peer_run(pair->sides[first ^ i].peer, ms[first ^ i], &ids[first ^ i], error);
    if (!status)
        compare_ids(pair, ids[0], ids[1]);
    json_decref(ids[0]);
    json_decref(ids[1]);
    if (status)
        return status;
    if (pair->metric == KV_PEER_TTPT && (isnan(ms[0][KV_PEER_TTPT]) || isnan(ms[1][KV_PEER_TTPT])))
        return kv_fail(error, KV_ERROR_ARGUMENT, "one new token has no step after it: give -n 2 or --metric ttft_ms");
    const bool steps = pair->metric == KV_PEER_TTPT && kv_peer_has_steps(pair->sides[0].peer) &&
                       kv_peer_has_steps(pair->sides[1].peer);
    const enum kv_peer_metric whole = steps ? KV_PEER_TTPT : KV_PEER_E2E;
    const double longer = ms[0][whole] > ms[1][whole] ? ms[0][whole] : ms[1][whole];
    const int n = clamp(REPETITION_MS / longer, steps ? MOST_STEPS : MOST_RUNS);
    pair->n_steps = steps ? n : 0;
    pair->n_runs = steps ? 0 : n;
    pair->n_warm = clamp(WARM_UP_MS / (n * longer), (int)(WARM_UP_MS / REPETITION_MS));
    return KV_OK;
}

kv_status ab_prepare(struct ab_pair *pair, int first, struct kv_error *error)
{
    double ms[KV_PEER_N_METRICS];
    kv_status status = pair->by_bench || pair->n_warm ? KV_OK : look_first(pair, first, error);
    /* As many of each, so that both go on from the same token. */
    for (int i = 0; !status && i < KV_CONTEST_SIDES; i++)
        for (int k = 0; !status && k < pair->n_warm; k++)
            status = repeat_worker(&pair->sides[first ^ i], ms, error);
    return status;
}

/* ---- By bench ---------------------------------------------------------------------------------------- */

/* The middle one of the column in folder/runs.csv. */
static kv_status read_bench(const char *folder, const char *column, double *value, struct kv_error *error)
{
    char file[96];
    struct kv_csv_table *table;
    size_t at, n = 0;
    double values[1000];
    snprintf(file, sizeof file, "%s/runs.csv", folder);
    kv_status status = kv_csv_read(&table, file, error);
    if (!status)
        status = kv_csv_column(table, column, &at, error);
    for (size_t row = 0; !status && row < kv_csv_rows(table) && n < 1000; row++) {
        status = kv_csv_amount(table, row, at, &values[n], error);
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
    struct ab_side *side = context;
    char folder[] = "/tmp/kvbench-ab-XXXXXX";
    const char *argv[AB_MAX_WORDS], *const remove[] = {"rm", "-rf", "--", folder, NULL};
    struct kv_error ignored;
    int n = 0;
    if (!mkdtemp(folder))
        return kv_fail(error, KV_ERROR_IO, "no folder can be made in /tmp: %s", strerror(errno));
    for (; side->argv[n]; n++)
        argv[n] = side->argv[n];
    argv[n++] = "--out";
    argv[n++] = folder;
    argv[n] = NULL;
    kv_status status = kv_peer_execute(side->letter, argv, error);
    for (int m = 0; !status && m < KV_PEER_N_METRICS; m++)
        status = read_bench(folder, kv_peer_metric_choice(m)->name, &ms[m], error);
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

void ab_contest_sides(struct ab_pair *pair, struct kv_contest_side sides[KV_CONTEST_SIDES])
{
    for (int i = 0; i < KV_CONTEST_SIDES; i++)
        sides[i] = (struct kv_contest_side){.context = &pair->sides[i],
                                            .start = pair->by_bench ? start_nothing : start_worker,
                                            .repeat = pair->by_bench ? repeat_bench : repeat_worker,
                                            .stop = pair->by_bench ? stop_nothing : stop_worker};
}

void ab_close(struct ab_pair *pair)
{
    for (int i = 0; i < KV_CONTEST_SIDES; i++) {
        free(pair->sides[i].program);
        free(pair->sides[i].words);
        json_decref(pair->sides[i].ready);
    }
}

/* ---- While it runs ---------------------------------------------------------------------------------- */

double ab_now_s(void *context)
{
    (void)context;
    return (double)kv_now_ns() * 1e-9;
}

bool ab_stopped(void *context)
{
    (void)context;
    return signals_received() != 0;
}

void ab_pause(void *context)
{
    (void)context;
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
}

const char *ab_machine(char text[160])
{
    struct kv_machine machine;
    kv_machine_read(&machine, NULL);
    snprintf(text, 160, "%s, %d CPUs", *machine.cpu_name ? machine.cpu_name : "an unknown CPU", machine.cpus_online);
    return text;
}
