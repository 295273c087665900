/* kvbench COMMAND [ARGS] */
#include "cli/cli.h"

#include "machine/context.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    {"bench", "measure both paths and write the results as CSV", command_bench, true},
    {"ab", "which of two programs, commits or settings is faster", command_ab, false},
    {"compare", "hold one run against another, or the arms of one run", command_compare, false},
    {"columns", "what the columns of the result files mean", command_columns, false},
    {"dashboard", "record attention and the cache, token by token, for an animated picture", command_dashboard, true},
    {"evaluate", "how well a model predicts a text: loss, bits a byte", command_evaluate, true},
    {"export", "write a model for other engines, as a Hugging Face folder or GGUF", command_export, true},
    {"generate", "continue a text, or token ids", command_generate, true},
    {"logits", "write the logits of every position to a file", command_logits, true},
    {"tokenize", "text on stdin to token ids, or ids to text", command_tokenize, false},
    {"train", "train a small GPT on a text, on this CPU", command_train, true},
    {"report", "write a run as one HTML page: findings, figures, tables", command_report, false},
    {"tables", "write the tables that the figures of a run are drawn from, for scripts", command_tables, false},
    {"peers", "other engines on the same weights, in the same rounds", command_peers, true},
    {"info", "show this machine, this build and what can be chosen", command_info, true},
    {"limits", "measure this machine's memory bandwidth and arithmetic peak", command_limits, false},
    {"calibrate", "how surely ab and compare can tell two programs apart on this machine", command_calibrate, false},
    {"worker", "measure one cell on request, over lines of JSON", command_worker, true},
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

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
        signal(number, SIG_DFL);
        raise(number);
    }
    received = number;
    write_text(STDERR_FILENO, first_notice);
}

void signals_listen(const char *notice)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART}, before;
    first_notice = notice;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        if (sigaction(numbers[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN)
            sigaction(numbers[i], &action, NULL);
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

static int run(const char *name, int argc, char **argv)
{
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        print_help();
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
            const bool wants_help = argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0);
            if (commands[i].computes && !wants_help)
                restart_with_better_openblas(argv);
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return cli_fail("", CLI_USAGE, "'%s' is not a command; see kvbench --help", name);
}

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : "--help";
    signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is told of like a full disk */
    const int status = run(name, argc, argv);
    if (fflush(stdout) != 0 || ferror(stdout))
        return cli_fail(name, CLI_FAILED, "stdout cannot be written: %s", strerror(errno));
    return status;
}
