#include "browser.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

/* The numbers that --remote-debugging-pipe stands for. */
enum { BROWSER_IN = 3, BROWSER_OUT = 4, PATIENCE_MS = 60000 };

/* ---- The process ---------------------------------------------------------------------------------- */

const char *browser_program(void)
{
    static const char *const names[] = {"chromium", "chromium-browser", "google-chrome"};
    static char file[1024];
    for (const char *folder = getenv("PATH"); folder && *folder; folder += strspn(folder, ":")) {
        const int length = (int)strcspn(folder, ":");
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            snprintf(file, sizeof file, "%.*s/%s", length, folder, names[i]);
            if (access(file, X_OK) == 0)
                return file;
        }
        folder += length;
    }
    return NULL;
}

/* In the child: pipes to their numbers, over a detour because each may have the number of the other. */
static void become(int in, int out, const char *profile)
{
    char folder[1024];
    const int in_aside = fcntl(in, F_DUPFD, 100), out_aside = fcntl(out, F_DUPFD, 100);
    snprintf(folder, sizeof folder, "--user-data-dir=%s", profile);
    /* The sandbox refuses root, as which containers run tests. */
    const char *sandbox = geteuid() == 0 ? "--no-sandbox" : "--disable-extensions";
    if (setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && dup2(in_aside, BROWSER_IN) >= 0 &&
        dup2(out_aside, BROWSER_OUT) >= 0 && freopen("/dev/null", "w", stderr))
        execl(browser_program(), "chromium", "--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
              "--disable-background-networking", sandbox, folder, "--remote-debugging-pipe", "about:blank",
              (char *)NULL);
    _exit(126);
}

/* ---- Messages: JSON, each ended by a 0 ------------------------------------------------------------ */

static void send_message(struct browser *browser, json_t *message)
{
    char *text = json_dumps(message, JSON_COMPACT);
    assert_non_null(text);
    const size_t size = strlen(text) + 1;
    for (size_t at = 0; at < size;) {
        const ssize_t n = write(browser->to, text + at, size - at);
        if (n <= 0)
            fail_msg("the browser does not listen: %s", strerror(errno));
        at += (size_t)n;
    }
    free(text);
    json_decref(message);
}

static void receive_more(struct browser *browser)
{
    struct pollfd wait = {.fd = browser->from, .events = POLLIN};
    if (browser->capacity - browser->n_received < BROWSER_BUFFER) {
        browser->capacity += 4 * BROWSER_BUFFER;
        browser->received = realloc(browser->received, browser->capacity);
        assert_non_null(browser->received);
    }
    if (poll(&wait, 1, PATIENCE_MS) != 1)
        fail_msg("no answer of the browser in %d s", PATIENCE_MS / 1000);
    const ssize_t n = read(browser->from, browser->received + browser->n_received, BROWSER_BUFFER);
    if (n <= 0)
        fail_msg("the browser has ended");
    browser->n_received += (size_t)n;
}

static json_t *receive_message(struct browser *browser)
{
    json_error_t error;
    const char *end;
    while (!browser->n_received || !(end = memchr(browser->received, '\0', browser->n_received)))
        receive_more(browser);
    const size_t size = (size_t)(end - browser->received) + 1;
    json_t *message = json_loads(browser->received, 0, &error);
    if (!message)
        fail_msg("the browser sent no JSON: %s", error.text);
    browser->n_received -= size;
    memmove(browser->received, browser->received + size, browser->n_received);
    return message;
}

json_t *browser_call(struct browser *browser, const char *method, json_t *parameters)
{
    json_t *call = json_pack("{si ss so}", "id", ++browser->last, "method", method, "params",
                             parameters ? parameters : json_object());
    if (*browser->session)
        json_object_set_new(call, "sessionId", json_string(browser->session));
    send_message(browser, call);
    for (;;) {
        json_t *message = receive_message(browser);
        if (!json_object_get(message, "id")) {
            json_array_append_new(browser->events, message);
            continue;
        }
        json_t *result = json_incref(json_object_get(message, "result"));
        if (json_integer_value(json_object_get(message, "id")) != browser->last || !result)
            fail_msg("%s: %s", method, json_dumps(message, 0));
        json_decref(message);
        return result;
    }
}

static void call(struct browser *browser, const char *method, json_t *parameters)
{
    json_decref(browser_call(browser, method, parameters));
}

/* ---- The page ------------------------------------------------------------------------------------- */

void browser_start(struct browser *browser, const char *profile)
{
    int to[2], from[2];
    *browser = (struct browser){.events = json_array()};
    assert_int_equal(pipe2(to, O_CLOEXEC) | pipe2(from, O_CLOEXEC), 0);
    fflush(NULL);
    browser->child = fork();
    assert_true(browser->child >= 0);
    if (browser->child == 0)
        become(to[0], from[1], profile);
    close(to[0]);
    close(from[1]);
    browser->to = to[1];
    browser->from = from[0];
    json_t *target = browser_call(browser, "Target.createTarget", json_pack("{ss}", "url", "about:blank"));
    json_t *session = browser_call(browser, "Target.attachToTarget",
                                   json_pack("{sO sb}", "targetId", json_object_get(target, "targetId"), "flatten", 1));
    snprintf(browser->session, sizeof browser->session, "%s", json_string_value(json_object_get(session, "sessionId")));
    json_decref(target);
    json_decref(session);
    call(browser, "Page.enable", NULL);
    call(browser, "Runtime.enable", NULL);
    call(browser, "Log.enable", NULL);
}

/* Waits until `is_over` of the child, two seconds at most. */
static void wait_for(pid_t child, bool (*is_over)(pid_t child))
{
    const struct timespec pause = {.tv_nsec = 10000000};
    for (int i = 0; i < 200 && !is_over(child); i++)
        nanosleep(&pause, NULL);
}

static bool has_ended(pid_t child)
{
    return waitpid(child, NULL, WNOHANG) != 0;
}

static bool is_alone(pid_t child)
{
    return kill(-child, 0) != 0;
}

/* Its helpers write to the profile until the last of them is gone. */
void browser_stop(struct browser *browser)
{
    *browser->session = '\0';
    send_message(browser, json_pack("{si ss}", "id", ++browser->last, "method", "Browser.close"));
    wait_for(browser->child, has_ended);
    kill(-browser->child, SIGKILL);
    has_ended(browser->child);
    wait_for(browser->child, is_alone);
    close(browser->to);
    close(browser->from);
    json_decref(browser->events);
    free(browser->received);
}

static bool is_loaded(const struct browser *browser)
{
    size_t i;
    json_t *event;
    json_array_foreach(browser->events, i, event)
    {
        const char *method = json_string_value(json_object_get(event, "method"));
        if (method && strcmp(method, "Page.loadEventFired") == 0)
            return true;
    }
    return false;
}

void browser_open(struct browser *browser, const char *file)
{
    char address[2048];
    snprintf(address, sizeof address, "file://%s", file);
    json_array_clear(browser->events);
    call(browser, "Page.navigate", json_pack("{ss}", "url", address));
    while (!is_loaded(browser))
        json_array_append_new(browser->events, receive_message(browser));
}

json_t *browser_value(struct browser *browser, const char *expression)
{
    json_t *reply = browser_call(browser, "Runtime.evaluate",
                                 json_pack("{ss sb}", "expression", expression, "returnByValue", 1));
    json_t *value = json_incref(json_object_get(json_object_get(reply, "result"), "value"));
    if (!value || json_object_get(reply, "exceptionDetails"))
        fail_msg("%s: %s", expression, json_dumps(reply, 0));
    json_decref(reply);
    return value;
}

void browser_resize(struct browser *browser, int width, int height, bool is_phone)
{
    call(browser, "Emulation.setDeviceMetricsOverride",
         json_pack("{si si si sb}", "width", width, "height", height, "deviceScaleFactor", is_phone ? 2 : 1, "mobile",
                   is_phone));
}

void browser_prefer(struct browser *browser, const char *scheme)
{
    call(browser, "Emulation.setEmulatedMedia",
         json_pack("{s[{ss ss}]}", "features", "name", "prefers-color-scheme", "value", scheme));
}
