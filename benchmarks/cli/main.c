/* kvbench COMMAND [ARGS] */
#include "cli/cli.h"

#include "machine/context.h"
#include "measure/measure.h"
#include "results/pack.h"

#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    {"bench", "measure both paths and write the results as CSV", command_bench, true, true},
    {"ab", "which of two programs, commits or settings is faster", command_ab, false, true},
    {"compare", "hold one run against another, or the arms of one run", command_compare, false, false},
    {"columns", "what the columns of the result files mean", command_columns, false, false},
    {"race", "record one text without and with a KV cache, for an animated picture", command_race, true, true},
    {"dashboard", "record attention and the cache, token by token, for an animated picture", command_dashboard, true,
     true},
    {"evaluate", "how well a model predicts a text: loss, bits a byte", command_evaluate, true, true},
    {"export", "write a model for other engines, as a Hugging Face folder or GGUF", command_export, true, false},
    {"generate", "continue a text, or token ids", command_generate, true, true},
    {"logits", "write the logits of every position to a file", command_logits, true, false},
    {"tokenize", "text on stdin to token ids, or ids to text", command_tokenize, false, false},
    {"train", "train a small GPT on a text, on this CPU", command_train, true, true},
    {"pack", "make one file of a run, to keep or to send", command_pack, false, false},
    {"plan", "what this machine serves at a time-per-token goal", command_plan, false, false},
    {"replay", "requests of a trace, without and with a store of prefixes", command_replay, true, true},
    {"report", "write a run as one HTML page: findings, figures, tables", command_report, false, false},
    {"history", "all runs over time: where what became slower or faster", command_history, false, false},
    {"tables", "write the tables that the figures of a run are drawn from, for scripts", command_tables, false, false},
    {"peers", "other engines on the same weights, in the same rounds", command_peers, true, true},
    {"info", "show this machine, this build and what can be chosen", command_info, true, false},
    {"limits", "measure this machine's memory bandwidth and arithmetic peak", command_limits, false, true},
    {"calibrate", "how surely ab and compare can tell two programs apart on this machine", command_calibrate, false,
     true},
    {"worker", "measure one cell on request, over lines of JSON", command_worker, true, true},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

const char *cli_called(void)
{
    const char *called = getenv("KVBENCH_CALLED");
    return called && *called ? called : "kvbench";
}

int cli_fail(const char *command, int status, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "kvbench%s%s: ", *command ? " " : "", command);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return status;
}

/* ---- Being asked to stop ------------------------------------------------------------------------------- */

/* What a signal handler can reach: nothing is handed to it. */
static volatile sig_atomic_t received;
static const char *volatile first_notice, *volatile at_the_end;

static void write_text(int descriptor, const char *text)
{
    const int saved = errno;
    if (text && write(descriptor, text, strlen(text)) < 0)
        errno = saved; /* stderr is closed: there is nobody to tell */
    errno = saved;
}

static void on_signal(int number)
{
    if (received) {
        write_text(STDOUT_FILENO, at_the_end);
        kv_pack_remove_all();
        signal(number, SIG_DFL);
        raise(number);
    }
    received = number;
    write_text(STDERR_FILENO, first_notice);
}

/* Of the signals that end a program, the first `n`. */
static void set_handler(void (*handler)(int number), size_t n)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGPIPE, SIGQUIT};
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART}, before;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < n; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
}

void signals_listen(const char *notice)
{
    first_notice = notice;
    set_handler(on_signal, 3);
}

/* What a command that does not listen leaves behind. */
static void on_end(int number)
{
    kv_pack_remove_all();
    signal(number, SIG_DFL);
    raise(number);
}

int signals_received(void)
{
    return (int)received;
}

void signals_last_words(const char *last_words)
{
    at_the_end = last_words;
}

/* ---- The commands -------------------------------------------------------------------------------------- */

static void print_help(void)
{
    printf("Usage: kvbench COMMAND [OPTIONS]\n\nWhat a KV cache does for GPT-2 inference, measured.\n\n");
    for (int i = 0; i < N_COMMANDS; i++)
        printf("  %-10s %s\n", commands[i].name, commands[i].summary);
    printf("\nkvbench COMMAND --help lists a command's options. Exit status: 0 done, 1 the run failed, 2 bad usage.\n");
}

/* The same for scripts. */
static void print_help_json(void)
{
    json_t *list = json_array();
    for (int i = 0; i < N_COMMANDS; i++)
        json_array_append_new(list, json_pack("{s:s, s:s}", "name", commands[i].name, "summary", commands[i].summary));
    json_dumpf(list, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(list);
}

/* OpenBLAS reads OPENBLAS_CORETYPE when it is loaded, so the program starts over when the kernels it chose fall
 * short of the CPU. A value that a person set is left alone, and so is ours: there is no second restart. */
static void restart_with_better_openblas(char **argv)
{
    const char *better = kv_openblas_better_core();
    if (!better || getenv("OPENBLAS_CORETYPE"))
        return;
    fprintf(stderr,
            "kvbench: OpenBLAS took this CPU for %s; started over with OPENBLAS_CORETYPE=%s (set it to choose)\n",
            kv_openblas_core(), better);
    setenv("OPENBLAS_CORETYPE", better, 1);
    execv("/proc/self/exe", argv);
    fprintf(stderr, "kvbench: could not start over (%s), going on with %s: set OPENBLAS_CORETYPE=%s by hand\n",
            strerror(errno), kv_openblas_core(), better);
}

/* Whether time goes by within some tenths of a second; where it does not, what waits for it would wait for ever. */
static bool clock_runs(void)
{
    enum { READINGS = 10000000 };
    const int64_t start = kv_now_ns();
    for (int i = 0; i < READINGS; i++)
        if (kv_now_ns() != start)
            return true;
    return false;
}

/* How many characters have to be put in, taken out, replaced or swapped to make `b` of `a`; most + 1 for more than
 * that. */
static int distance(const char *a, const char *b, int most)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    if (!*a && !*b)
        return 0;
    if (most == 0)
        return 1;
    int least = most;
    const int tries[] = {*a ? distance(a + 1, b, most - 1) : most, *b ? distance(a, b + 1, most - 1) : most,
                         *a && *b ? distance(a + 1, b + 1, most - 1) : most,
                         *a && *b && a[0] == b[1] && a[1] == b[0] ? distance(a + 2, b + 2, most - 1) : most};
    for (int i = 0; i < 4; i++)
        least = tries[i] < least ? tries[i] : least;
    return least + 1;
}

static int refuse(const char *name)
{
    enum { MOST_TYPOS = 2 };
    const char *nearest = NULL;
    int least = MOST_TYPOS + 1;
    for (int i = 0; i < N_COMMANDS; i++) {
        const int d = distance(name, commands[i].name, MOST_TYPOS);
        if (d < least && (size_t)d < strlen(name)) { /* of "-" nothing would be left */
            least = d;
            nearest = commands[i].name;
        }
    }
    if (nearest)
        return cli_fail("", CLI_USAGE, "'%s' is not a command; did you mean %s? See kvbench --help", name, nearest);
    return cli_fail("", CLI_USAGE, "'%s' is not a command; see kvbench --help", name);
}

static int run(const char *name, int argc, char **argv)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
        return CLI_OK;
    }
    if (strcmp(name, "--help=json") == 0) {
        print_help_json();
        return CLI_OK;
    }
    if (strcmp(name, "--version") == 0) {
        struct kv_build_info build;
        kv_build_info_get(&build);
        printf("kvbench %s (%s)\n", build.version, build.commit);
        return CLI_OK;
    }
    for (int i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            const bool wants_help = argc > 2 && (strncmp(argv[2], "--help", 6) == 0 || strcmp(argv[2], "-h") == 0);
            if (commands[i].computes && !wants_help)
                restart_with_better_openblas(argv);
            if (commands[i].times && !wants_help && !clock_runs())
                return cli_fail(name, CLI_FAILED, "the clock of this machine stands still: nothing can be timed");
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return refuse(name);
}

/* jansson takes what it could not allocate for a mistake in the text, or leaves it out. */
static void *json_memory(size_t bytes)
{
    return cli_memory(NULL, bytes ? bytes : 1);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    json_set_alloc_funcs(json_memory, free);
    set_handler(on_end, 5);
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is told of like a full disk */
    const int status = run(name, argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_fail(name, CLI_FAILED, "stdout cannot be written: %s", strerror(errno));
    return status;
}
