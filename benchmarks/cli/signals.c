#include "cli/signals.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a signal handler can reach: nothing is handed to it. */
static volatile sig_atomic_t received;
static const char *volatile first_notice, *volatile at_the_end;

static void write_text(int descriptor, const char *text)
{
    const int saved = errno;
    if (text && write(descriptor, text, strlen(text)) < 0)
        errno = saved; /* nobody reads it; the program ends all the same */
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
