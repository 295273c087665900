#include "measure/status_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { USUAL_WIDTH = 80, LEAST_WIDTH = 20 };

bool kv_status_line_possible(void)
{
    const char *terminal = getenv("TERM");
    return isatty(STDERR_FILENO) && terminal && *terminal && strcmp(terminal, "dumb") != 0;
}

int kv_status_line_width(void)
{
    struct winsize size = {0};
    const char *columns = getenv("COLUMNS");
    ioctl(STDERR_FILENO, TIOCGWINSZ, &size);
    const int width = size.ws_col ? size.ws_col : columns ? atoi(columns) : 0;
    return width <= 0 ? USUAL_WIDTH : width < LEAST_WIDTH ? LEAST_WIDTH : width;
}

void kv_status_line(const char *text, bool stays)
{
    /* The last column stays empty, because some terminals go to the next line as soon as it is written. */
    int columns = kv_status_line_width() - 1;
    size_t n = 0;
    while (text[n] && (columns > 0 || ((unsigned char)text[n] & 0xc0) == 0x80))
        columns -= ((unsigned char)text[n++] & 0xc0) != 0x80;
    fprintf(stderr, "\r\033[K%.*s%s", (int)n, text, stays ? "\n" : "");
    fflush(stderr);
}

void kv_status_line_end(void)
{
    fputs("\r\033[K", stderr);
    fflush(stderr);
}
