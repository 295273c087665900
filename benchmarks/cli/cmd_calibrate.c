/* kvbench calibrate: a recording of this program held against itself, and what it says of ab and compare. The method is
 * in ab/calibration.h. */
#include "ab/calibration.h"
#include "cli/ab.h"

#include "base/error.h"
#include "base/random.h"
#include "measure/decoder.h"
#include "measure/run.h"
#include "measure/status_line.h"
#include "results/csv.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double slowdowns_pct[] = {0, 1, 3, 10};
static const double times_s[] = {15, 30, 60, 120};
enum {
    N_SLOWDOWNS = sizeof slowdowns_pct / sizeof slowdowns_pct[0],
    N_TIMES = sizeof times_s / sizeof times_s[0],
    N_SEPARATIONS = 5,
};
/* Of the time: a start, which is to have as many rounds of each slow-down as one of ab has of the longest time; and a
 * window, which is to come often. */
#define STARTS_OF_TIME  15
#define WINDOWS_OF_TIME 32
#define THRESHOLD       0.01

struct calibration {
    struct ab_pair pair;
    double seconds;
    uint64_t coins;
    const char *out, *format_name;
    bool quiet;
    struct kv_recorded *recorded; /* [n] */
    size_t n, room;
    uint64_t n_drawn;
    double slowdown_pct; /* of the latest repetition of B */
    double drawn_s;
    struct kv_run_folder folder;
    struct kv_power powers[N_TIMES][N_SLOWDOWNS];
    struct kv_apart_windows windows[N_SEPARATIONS]; /* [n_windows] */
    int n_windows;
};

/* ---- Recording --------------------------------------------------------------------------------------- */

/* B's steps are longer by a share that is drawn anew each round. */
static kv_status repeat_slowed(void *context, double *ms, struct kv_error *error)
{
    struct ab_side *side = context;
    struct calibration *c = (struct calibration *)side->pair; /* its first member */
    c->slowdown_pct = slowdowns_pct[kv_draw64(~c->coins, c->n_drawn++) % N_SLOWDOWNS];
    return kv_peer_steps(side->peer, side->pair->n_steps, c->slowdown_pct, ms, error);
}

static kv_status prepare(void *context, int first, struct kv_error *error)
{
    struct calibration *c = context;
    return ab_prepare(&c->pair, first, error);
}

static kv_status keep(void *context, const struct kv_repetition *repetition, struct kv_error *error)
{
    struct calibration *c = context;
    if (c->n == c->room) {
        const size_t room = c->room ? 2 * c->room : 4096;
        struct kv_recorded *recorded = realloc(c->recorded, room * sizeof *recorded);
        if (!recorded)
            return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu repetitions: give less time", room);
        c->recorded = recorded;
        c->room = room;
    }
    c->recorded[c->n++] = (struct kv_recorded){.repetition = *repetition, .slowdown_pct = c->slowdown_pct};
    if (repetition->place == 2) /* only now B's share is known of both */
        c->recorded[c->n - 2].slowdown_pct = c->slowdown_pct;
    return KV_OK;
}

static void show_progress(void *context, const struct kv_contest *contest)
{
    struct calibration *c = context;
    char gone[32], all[32], line[128];
    const bool terminal = kv_status_line_possible();
    if (c->quiet || (c->drawn_s > 0 && contest->elapsed_s - c->drawn_s < (terminal ? 0.5 : 30)))
        return;
    c->drawn_s = contest->elapsed_s;
    snprintf(line, sizeof line, "%s of %s, start %d, %zu repetitions", kv_clock_text(contest->elapsed_s, gone),
             kv_clock_text(c->seconds, all), contest->n_starts + 1, c->n);
    if (terminal)
        kv_status_line(line, false);
    else
        fprintf(stderr, "kvbench calibrate: %s\n", line);
}

static kv_status record(struct calibration *c, struct kv_contest *contest, struct kv_error *error)
{
    struct kv_contest_side sides[KV_CONTEST_SIDES];
    const struct kv_contest_settings settings = {.seconds = c->seconds,
                                                 .alpha = AB_ALPHA,
                                                 .threshold = THRESHOLD,
                                                 .seed = c->coins,
                                                 .metric = c->pair.metric,
                                                 .start_s = c->seconds / STARTS_OF_TIME,
                                                 .no_looks = true,
                                                 .context = c,
                                                 .now_s = ab_now_s,
                                                 .stopped = ab_stopped,
                                                 .prepare = prepare,
                                                 .pause = ab_pause,
                                                 .keep = keep,
                                                 .progress = show_progress};
    kv_status status = ab_open(&c->pair, error);
    if (status)
        return status;
    ab_contest_sides(&c->pair, sides);
    sides[1].repeat = repeat_slowed;
    status = kv_contest_run(contest, sides, &settings, error);
    if (!c->quiet && kv_status_line_possible())
        kv_status_line_end();
    return status;
}

static kv_status evaluate(struct calibration *c, const struct kv_contest *contest, struct kv_error *error)
{
    const struct kv_recording recording = {.repetitions = c->recorded,
                                           .n = c->n,
                                           .metric = c->pair.metric,
                                           .start_s = contest->start_s,
                                           .seconds = contest->elapsed_s};
    const double window_s = contest->elapsed_s / WINDOWS_OF_TIME;
    kv_status status = KV_OK;
    for (int t = 0; !status && t < N_TIMES; t++)
        for (int i = 0; !status && i < N_SLOWDOWNS; i++)
            status = kv_calibrate_power(&recording, times_s[t], slowdowns_pct[i], AB_ALPHA, THRESHOLD, c->coins,
                                        &c->powers[t][i], error);
    for (int i = 0; !status && i < N_SEPARATIONS; i++) {
        status = kv_calibrate_windows(&recording, window_s, window_s * (1 << i), &c->windows[c->n_windows], error);
        c->n_windows += !status && c->windows[c->n_windows].n > 0;
    }
    return status;
}

/* ---- Files ------------------------------------------------------------------------------------------- */

static void write_recording(const struct calibration *c, struct kv_csv_writer *w, int row)
{
    const struct kv_recorded *r = &c->recorded[row];
    kv_csv_add_integer(w, r->repetition.start);
    kv_csv_add_integer(w, r->repetition.round);
    kv_csv_add_integer(w, r->repetition.place);
    kv_csv_add_text(w, r->repetition.side ? "B" : "A");
    kv_csv_add_double(w, r->repetition.side ? r->slowdown_pct : 0);
    kv_csv_add_double(w, r->repetition.started_s);
    kv_csv_add_double(w, r->repetition.ms[c->pair.metric]);
}

static void write_power(const struct calibration *c, struct kv_csv_writer *w, int row)
{
    const struct kv_power *p = &c->powers[row / N_SLOWDOWNS][row % N_SLOWDOWNS];
    kv_csv_add_double(w, p->seconds);
    kv_csv_add_double(w, p->slowdown_pct);
    kv_csv_add_integer(w, p->n);
    kv_csv_add_integer(w, p->verdicts[KV_EFFECT_FASTER]);
    kv_csv_add_integer(w, p->verdicts[KV_EFFECT_SLOWER]);
    kv_csv_add_integer(w, p->verdicts[KV_EFFECT_EQUAL]);
    kv_csv_add_integer(w, p->verdicts[KV_EFFECT_UNDECIDED]);
}

static void write_windows(const struct calibration *c, struct kv_csv_writer *w, int row)
{
    char machine[160];
    kv_csv_add_text(w, ab_machine(machine));
    kv_csv_add_double(w, c->windows[row].separation_s);
    kv_csv_add_integer(w, c->windows[row].n);
    kv_csv_add_double(w, c->windows[row].log_ratio_q95);
}

/* Whole, or not at all. */
static kv_status write_file(const struct calibration *c, const char *name, const char *const *columns, int n_columns,
                            void (*write)(const struct calibration *c, struct kv_csv_writer *w, int row), int n_rows,
                            struct kv_error *error)
{
    char file[sizeof c->folder.path + 32];
    struct kv_csv_writer *writer = NULL;
    snprintf(file, sizeof file, "%s/%s", c->folder.path, name);
    kv_status status = kv_csv_create(&writer, file, columns, n_columns, error);
    for (int row = 0; !status && row < n_rows; row++) {
        write(c, writer, row);
        status = kv_csv_end_row(writer, error);
    }
    if (!status)
        status = kv_csv_publish(writer, error);
    kv_csv_close(writer);
    return status;
}

static kv_status write_files(struct calibration *c, struct kv_error *error)
{
    static const char *const recording[] = {"start", "round", "place", "side", "slowdown_pct", "started_s", "ttpt_ms"};
    static const char *const power[] = {"time_s", "slowdown_pct", "n", "faster", "slower", "equal", "undecided"};
    static const char *const windows[] = {"machine", "separation_s", "n", "log_ratio_q95"};
    kv_status status = write_file(c, "recording.csv", recording, 7, write_recording, (int)c->n, error);
    if (!status)
        status = write_file(c, "power.csv", power, 7, write_power, N_TIMES * N_SLOWDOWNS, error);
    if (!status)
        status = write_file(c, "calibration.csv", windows, 4, write_windows, c->n_windows, error);
    return status;
}

/* Before the time is spent. */
static kv_status make_folder(struct calibration *c, struct kv_error *error)
{
    const char *results = getenv("KVBENCH_RESULTS");
    char path[sizeof c->folder.path];
    snprintf(path, sizeof path, "%s/calibration", results && *results ? results : "results");
    return kv_run_folder_make(&c->folder, c->out ? c->out : path, error);
}

/* ---- What is said ------------------------------------------------------------------------------------ */

static double percent(const struct kv_power *p, enum kv_effect_verdict verdict)
{
    return 100.0 * p->verdicts[verdict] / p->n;
}

static void print(const struct calibration *c)
{
    char machine[160];
    printf("This machine: %s. Of each time and slow-down %d contests, put together from %zu repetitions\n\n",
           ab_machine(machine), c->powers[0][0].n, c->n);
    printf("%8s %10s %9s %9s %9s %11s\n", "ab takes", "B is", "slower %", "faster %", "equal %", "undecided %");
    for (int t = 0; t < N_TIMES; t++)
        for (int i = 0; i < N_SLOWDOWNS; i++) {
            const struct kv_power *p = &c->powers[t][i];
            char what[24] = "the same";
            if (p->slowdown_pct > 0)
                snprintf(what, sizeof what, "%g %% slower", p->slowdown_pct);
            printf("%6g s %12s %7.1f %9.1f %9.1f %11.1f\n", p->seconds, what, percent(p, KV_EFFECT_SLOWER),
                   percent(p, KV_EFFECT_FASTER), percent(p, KV_EFFECT_EQUAL), percent(p, KV_EFFECT_UNDECIDED));
        }
    printf("\nMedians of windows of one program differ, in 19 of 20 pairs, by at most\n");
    for (int i = 0; i < c->n_windows; i++)
        printf("%8.1f %% %.0f s apart (%d pairs)\n", 100 * expm1(c->windows[i].log_ratio_q95),
               c->windows[i].separation_s, c->windows[i].n);
    printf("\nFiles in %s: recording.csv, power.csv, calibration.csv\n", c->folder.path);
}

/* For programs: the table of verdicts, as power.csv has it. */
static int print_data(const struct calibration *c, enum kv_format format)
{
    static const struct kv_table_column columns[] = {
        {"seconds", NULL, false},       {"slowdown_pct", NULL, false}, {"contests", NULL, false},
        {"slower_pct", NULL, false},    {"faster_pct", NULL, false},   {"equal_pct", NULL, false},
        {"undecided_pct", NULL, false},
    };
    struct kv_table *table;
    if (kv_table_create(&table, NULL, columns, sizeof columns / sizeof *columns, NULL) != KV_OK)
        table = NULL;
    for (int i = 0; table && i < N_TIMES * N_SLOWDOWNS; i++) {
        const struct kv_power *p = &c->powers[i / N_SLOWDOWNS][i % N_SLOWDOWNS];
        kv_table_add_number(table, p->seconds, NULL);
        kv_table_add_number(table, p->slowdown_pct, NULL);
        kv_table_add_number(table, p->n, NULL);
        kv_table_add_number(table, percent(p, KV_EFFECT_SLOWER), NULL);
        kv_table_add_number(table, percent(p, KV_EFFECT_FASTER), NULL);
        kv_table_add_number(table, percent(p, KV_EFFECT_EQUAL), NULL);
        kv_table_add_number(table, percent(p, KV_EFFECT_UNDECIDED), NULL);
    }
    return print_and_free(c->pair.command, table, format);
}

/* ---- The command ------------------------------------------------------------------------------------- */

static int calibrate(struct calibration *c)
{
    struct kv_error error = {""};
    struct kv_contest *contest = calloc(1, sizeof *contest);
    kv_status status = contest ? make_folder(c, &error)
                               : kv_fail(&error, KV_ERROR_MEMORY, "no memory for a calibration");
    if (!status)
        status = record(c, contest, &error);
    if (!status)
        status = evaluate(c, contest, &error);
    if (!status)
        status = write_files(c, &error);
    int exit_status = CLI_OK;
    if (!status && format_of(c->format_name) != KV_FORMAT_TEXT)
        exit_status = print_data(c, format_of(c->format_name));
    else if (!status)
        print(c);
    kv_run_folder_close(&c->folder);
    ab_close(&c->pair);
    free(contest);
    free(c->recorded);
    if (!status)
        return exit_status;
    return cli_fail(c->pair.command, status == KV_ERROR_ARGUMENT ? CLI_USAGE : CLI_FAILED, "%s", error.message);
}

int command_calibrate(int argc, char **argv)
{
    struct calibration *c = calloc(1, sizeof *c);
    if (!c)
        return cli_fail(argv[0], CLI_FAILED, "no memory for a calibration");
    c->pair.command = argv[0];
    c->pair.metric = KV_PEER_TTPT;
    c->seconds = 300;
    c->coins = (uint64_t)kv_now_ns();
    const struct option_row rows[] = {
        {.name = "time",
         .argument = "TIME",
         .help = "how long is recorded: 90s, 5m, 1h (default 5m)",
         .seconds = &c->seconds},
        {.name = "out",
         .argument = "DIR",
         .help = "folder of the files (default: calibration in $KVBENCH_RESULTS, or in results)",
         .text = &c->out},
        {.name = "coins", .argument = "N", .help = "seed of what is drawn (default: drawn anew)", .seed = &c->coins},
        {.name = "quiet", .letter = 'q', .help = "no progress on stderr", .flag = &c->quiet},
        format_row(&c->format_name),
        {.table = worker_texts(&c->pair.texts)},
    };
    const struct option_table table = {
        .command = argv[0],
        .usage = "[OPTIONS]",
        .summary =
            "How surely this machine lets two programs be told apart. Records this program against itself, with\n"
            "slow-downs of 1, 3 and 10 % that are really executed, and tells from that how often ab finds them\n"
            "or sees what is not there, by the time it is given; and how far runs apart in time differ by the\n"
            "machine alone, which compare allows for.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
    int status;
    if (options_parse(&table, argc, argv, &status)) {
        signals_listen("\nkvbench calibrate: ending with what is recorded; once more to end at once\n");
        signal(SIGPIPE, SIG_IGN);
        status = c->seconds > 0 ? calibrate(c) : cli_fail(argv[0], CLI_USAGE, "--time is to be above 0");
    }
    free(c);
    return status;
}
