/* A headless Chromium that is spoken to over two pipes, in the messages of its DevTools protocol. Every failure in
 * here ends the running test. */
#ifndef KV_TESTS_BROWSER_H
#define KV_TESTS_BROWSER_H

#include <jansson.h>
#include <stdbool.h>
#include <sys/types.h>

enum { BROWSER_BUFFER = 1 << 16 };

struct browser {
    pid_t child;
    int to, from;     /* pipes */
    int last;         /* number of the last call */
    char session[64]; /* of the page */
    json_t *events;   /* that came while replies were waited for, oldest first */
    char *received;   /* [n_received] and not yet read */
    size_t n_received, capacity;
};

/* The program on PATH, in a static buffer; NULL when there is none. */
const char *browser_program(void);

/* Starts it with an empty page; its files go to `profile`, a folder that it makes. */
void browser_start(struct browser *browser, const char *profile);
void browser_stop(struct browser *browser);

/* Calls a method of the page; takes `parameters` (NULL: none) and returns the result, for the caller to json_decref. */
json_t *browser_call(struct browser *browser, const char *method, json_t *parameters);

/* Goes to a file, and returns when all of it is loaded. */
void browser_open(struct browser *browser, const char *file);

/* The value of a JavaScript expression, for the caller to json_decref. */
json_t *browser_value(struct browser *browser, const char *expression);

/* Sets the width of a phone's or a desk's window, and what the person prefers: "light" or "dark". */
void browser_resize(struct browser *browser, int width, int height, bool is_phone);
void browser_prefer(struct browser *browser, const char *scheme);

#endif
