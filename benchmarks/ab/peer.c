/* Processes, pipes and lines of JSON. */
#include "ab/peer.h"

#include "base/error.h"
#include "results/stats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Longer than any start or generation that a comparison can wait for. */
enum { ANSWER_MS = 15 * 60 * 1000, QUIT_MS = 3000 };
/* Bytes of a line: the times and ids of more tokens than any window has. */
#define MOST_LINE ((size_t)1 << 26)
/* Times that a clock of nanoseconds can show, up to a month. */
#define LEAST_MS 1e-6
#define MOST_MS  2.7e9

static const struct kv_choice metrics[KV_PEER_N_METRICS] = {
    [KV_PEER_TTPT] = {"ttpt_ms", "time of a step, a new token after the first"},
    [KV_PEER_TTFT] = {"ttft_ms", "time to the first token"},
    [KV_PEER_E2E] = {"e2e_ms", "time from the prompt to the last token"},
};

const struct kv_choice *kv_peer_metric_choice(int index)
{
    return index >= 0 && index < KV_PEER_N_METRICS ? &metrics[index] : NULL;
}

struct kv_peer {
    char *name;
    pid_t process; /* 0: none */
    int stderr_file;
    FILE *requests;
    int answers; /* -1: none */
    json_t *ready;
    int patience_ms;
    char *line; /* [capacity] what it said: n_line bytes, of which n_taken were handed on already */
    size_t capacity, n_line, n_taken;
};

/* ---- Processes --------------------------------------------------------------------------------------- */

extern char **environ;

/* With these as its stdin and stdout (-1: /dev/null) and stderr, in a process group of its own. Returns errno. */
static int spawn(pid_t *process, const char *const *argv, int in, int out, int err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    if (in >= 0)
        posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (out >= 0)
        posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    else
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, err, STDERR_FILENO);
    const int problem = posix_spawnp(process, argv[0], &actions, &attributes, (char *const *)argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    return problem;
}

/* The last line of what it wrote to stderr, "" for none, without the name of a program of ours before it. */
static const char *last_words(int file, char text[400])
{
    const off_t size = lseek(file, 0, SEEK_END);
    const off_t start = size > 399 ? size - 399 : 0;
    ssize_t n = size > 0 ? pread(file, text, 399, start) : 0;
    while (n > 0 && text[n - 1] == '\n')
        n--;
    text[n > 0 ? n : 0] = '\0';
    const char *newline = strrchr(text, '\n');
    const char *line = newline ? newline + 1 : text;
    return strncmp(line, "kvbench worker: ", 16) == 0 ? line + 16 : line;
}

static kv_status fail_ended(const char *name, int file, int wait_status, struct kv_error *error)
{
    char text[400], how[40];
    const char *words = last_words(file, text);
    if (WIFSIGNALED(wait_status))
        snprintf(how, sizeof how, "was ended by signal %d", WTERMSIG(wait_status));
    else
        snprintf(how, sizeof how, "ended with status %d", WEXITSTATUS(wait_status));
    return kv_fail(error, KV_ERROR_IO, "%.60s %s%s%s", name, how, *words ? ": " : " and said nothing", words);
}

/* Waits for its end, so long at most; false: it goes on. */
static bool wait_for_end(pid_t process, int *wait_status, int milliseconds)
{
    for (int waited = 0;; waited += 5) {
        if (waitpid(process, wait_status, WNOHANG) == process)
            return true;
        if (waited >= milliseconds)
            return false;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
}

kv_status kv_peer_execute(const char *name, const char *const *argv, struct kv_error *error)
{
    pid_t process;
    int wait_status = 0;
    const int file = memfd_create("stderr", MFD_CLOEXEC);
    const int problem = file < 0 ? errno : spawn(&process, argv, -1, -1, file);
    kv_status status = KV_OK;
    if (problem)
        status = kv_fail(error, KV_ERROR_IO, "%.60s: %.300s cannot be started: %s", name, argv[0], strerror(problem));
    while (!status && waitpid(process, &wait_status, 0) < 0 && errno == EINTR)
        ;
    if (!status && !(WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 0))
        status = fail_ended(name, file, wait_status, error);
    if (file >= 0)
        close(file);
    return status;
}

/* ---- Lines ------------------------------------------------------------------------------------------- */

/* It closed its stdout, or does not answer: says how it ended. */
static kv_status fail_silent(struct kv_peer *peer, struct kv_error *error)
{
    int wait_status;
    if (peer->process <= 0)
        return kv_fail(error, KV_ERROR_IO, "%.60s has ended", peer->name);
    if (!wait_for_end(peer->process, &wait_status, QUIT_MS))
        return kv_fail(error, KV_ERROR_IO, "%.60s does not answer: is it a worker?", peer->name);
    peer->process = 0;
    return fail_ended(peer->name, peer->stderr_file, wait_status, error);
}

/* Waits for more of its answer, until that moment at most. Returns how many bytes came, 0 at the end, -1 with errno:
 * ETIMEDOUT, or what is wrong. */
static ssize_t read_more(struct kv_peer *peer, int64_t until_ns)
{
    const int64_t left_ms = (until_ns - kv_now_ns()) / 1000000;
    struct pollfd wait = {.fd = peer->answers, .events = POLLIN};
    const int n = poll(&wait, 1, left_ms < 0 ? 0 : (int)left_ms);
    if (n == 0)
        errno = ETIMEDOUT;
    if (n < 1)
        return -1;
    if (peer->n_line == peer->capacity) {
        const size_t capacity = peer->capacity ? 2 * peer->capacity : 4096;
        errno = EMSGSIZE;
        char *line = capacity > MOST_LINE ? NULL : realloc(peer->line, capacity);
        if (!line)
            return -1;
        peer->line = line;
        peer->capacity = capacity;
    }
    const ssize_t got = read(peer->answers, peer->line + peer->n_line, peer->capacity - peer->n_line);
    peer->n_line += got > 0 ? (size_t)got : 0;
    return got;
}

/* The next line [*n] without its newline, the peer's until the next call. All of it comes within its patience: one that
 * says half a line and sleeps is not waited for. */
static kv_status receive_line(struct kv_peer *peer, const char **line, size_t *n, struct kv_error *error)
{
    const int64_t until_ns = kv_now_ns() + peer->patience_ms * INT64_C(1000000);
    const char *newline = NULL;
    ssize_t got = 1;
    if (peer->n_taken)
        memmove(peer->line, peer->line + peer->n_taken, peer->n_line - peer->n_taken);
    peer->n_line -= peer->n_taken;
    peer->n_taken = 0;
    for (size_t searched = 0; got != 0;) {
        if (peer->n_line && (newline = memchr(peer->line + searched, '\n', peer->n_line - searched)) != NULL)
            break;
        searched = peer->n_line;
        while ((got = read_more(peer, until_ns)) < 0 && errno == EINTR)
            ;
        if (got < 0 && errno == ETIMEDOUT)
            return kv_fail(error, KV_ERROR_IO, "%.60s did not answer within %g s: give it less to do", peer->name,
                           peer->patience_ms / 1e3);
        if (got < 0)
            return kv_fail(error, errno == ENOMEM ? KV_ERROR_MEMORY : KV_ERROR_IO, "%.60s: no answer can be read: %s",
                           peer->name, strerror(errno));
    }
    if (!peer->n_line)
        return fail_silent(peer, error);
    *line = peer->line;
    *n = newline ? (size_t)(newline - peer->line) : peer->n_line;
    peer->n_taken = *n + (newline != NULL);
    return KV_OK;
}

/* The next line, as an object for the caller to json_decref. */
static kv_status receive(struct kv_peer *peer, json_t **answer, struct kv_error *error)
{
    json_error_t json_error;
    const char *line = NULL;
    size_t n = 0;
    *answer = NULL;
    const kv_status status = receive_line(peer, &line, &n, error);
    if (status)
        return status;
    *answer = json_loadb(line, n, 0, &json_error);
    if (!json_is_object(*answer)) {
        json_decref(*answer);
        *answer = NULL;
        return kv_fail(error, KV_ERROR_FORMAT, "%.60s does not speak a worker's protocol: it said '%.*s'", peer->name,
                       n > 80 ? 80 : (int)n, line);
    }
    const char *problem = json_string_value(json_object_get(*answer, "error"));
    if (!problem)
        return KV_OK;
    kv_fail(error, KV_ERROR_ARGUMENT, "%.60s: %.400s", peer->name, problem);
    json_decref(*answer);
    *answer = NULL;
    return KV_ERROR_ARGUMENT;
}

static kv_status ask(struct kv_peer *peer, const char *request, json_t **answer, struct kv_error *error)
{
    *answer = NULL;
    if (fprintf(peer->requests, "%s\n", request) < 0 || fflush(peer->requests) != 0)
        return fail_silent(peer, error);
    return receive(peer, answer, error);
}

/* Milliseconds that something can have taken; NaN: that is none. */
static double time_of(const json_t *value)
{
    const double ms = json_number_value(value);
    return ms >= LEAST_MS && ms <= MOST_MS ? ms : (double)NAN;
}

static kv_status fail_step(const struct kv_peer *peer, struct kv_error *error)
{
    return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered with a step that took no time, or one that nothing takes",
                   peer->name);
}

/* The middle one; NaN without steps or with one that is no time. */
static kv_status median_of(const struct kv_peer *peer, const json_t *steps, double *median, struct kv_error *error)
{
    const size_t n = json_array_size(steps);
    bool bad = false;
    *median = NAN;
    if (n == 0)
        return KV_OK;
    double *sorted = malloc(n * sizeof *sorted);
    if (!sorted)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %zu steps of %.60s", n, peer->name);
    for (size_t i = 0; i < n; i++)
        bad |= isnan(sorted[i] = time_of(json_array_get(steps, i)));
    if (!bad) {
        kv_stats_sort(sorted, n);
        *median = kv_stats_median(sorted, n);
    }
    free(sorted);
    return bad ? fail_step(peer, error) : KV_OK;
}

/* ---- A worker ---------------------------------------------------------------------------------------- */

static kv_status open_pipes(struct kv_peer *peer, const char *const *argv, struct kv_error *error)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    peer->stderr_file = memfd_create("stderr", MFD_CLOEXEC);
    int problem = 0;
    if (peer->stderr_file < 0 || pipe2(in, O_CLOEXEC) != 0 || pipe2(out, O_CLOEXEC) != 0)
        problem = errno;
    if (!problem)
        problem = spawn(&peer->process, argv, in[0], out[1], peer->stderr_file);
    if (in[0] >= 0)
        close(in[0]);
    if (out[1] >= 0)
        close(out[1]);
    peer->requests = in[1] >= 0 ? fdopen(in[1], "w") : NULL;
    peer->answers = out[0];
    if (!problem)
        return KV_OK;
    peer->process = 0;
    return kv_fail(error, KV_ERROR_IO, "%.60s: %.300s cannot be started: %s", peer->name, argv[0], strerror(problem));
}

kv_status kv_peer_start(struct kv_peer **out, const char *name, const char *const *argv, double patience_s,
                        struct kv_error *error)
{
    struct kv_peer *peer = calloc(1, sizeof *peer);
    *out = NULL;
    if (peer) {
        peer->name = strdup(name);
        peer->patience_ms = patience_s > 0 ? (int)(patience_s * 1e3) : ANSWER_MS;
    }
    if (!peer || !peer->name) {
        free(peer);
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for a worker");
    }
    kv_status status = open_pipes(peer, argv, error);
    if (!status)
        status = receive(peer, &peer->ready, error);
    if (!status && !json_is_true(json_object_get(peer->ready, "ready")))
        status = kv_fail(error, KV_ERROR_FORMAT, "%.60s does not say that it is ready: is it a worker?", peer->name);
    if (status)
        kv_peer_stop(peer);
    else
        *out = peer;
    return status;
}

void kv_peer_stop(struct kv_peer *peer)
{
    int wait_status;
    if (!peer)
        return;
    if (peer->requests) {
        fputs("{\"do\": \"quit\"}\n", peer->requests);
        fclose(peer->requests);
    }
    if (peer->answers >= 0)
        close(peer->answers);
    if (peer->process > 0 && !wait_for_end(peer->process, &wait_status, QUIT_MS)) {
        kill(peer->process, SIGKILL);
        waitpid(peer->process, &wait_status, 0);
    }
    if (peer->stderr_file >= 0)
        close(peer->stderr_file);
    json_decref(peer->ready);
    free(peer->line);
    free(peer->name);
    free(peer);
}

const json_t *kv_peer_ready(const struct kv_peer *peer)
{
    return peer->ready;
}

bool kv_peer_lives(struct kv_peer *peer)
{
    int wait_status;
    if (peer->process > 0 && waitpid(peer->process, &wait_status, WNOHANG) == peer->process)
        peer->process = 0;
    return peer->process > 0;
}

void kv_peer_set_patience(struct kv_peer *peer, double seconds)
{
    peer->patience_ms = (int)(seconds * 1e3);
}

double kv_peer_rss_peak(const struct kv_peer *peer)
{
    char file[40], line[200];
    double kib = NAN;
    snprintf(file, sizeof file, "/proc/%d/status", (int)peer->process);
    FILE *status = fopen(file, "re");
    while (status && isnan(kib) && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lf", &kib) != 1)
            kib = NAN;
    if (status)
        fclose(status);
    return kib * 1024;
}

int kv_peer_threads(const struct kv_peer *peer, struct kv_peer_thread threads[KV_PEER_MOST_THREADS])
{
    char path[80], text[1024];
    snprintf(path, sizeof path, "/proc/%d/task", (int)peer->process);
    DIR *tasks = opendir(path);
    int n = 0;
    for (const struct dirent *task; tasks && n < KV_PEER_MOST_THREADS && (task = readdir(tasks));) {
        snprintf(path, sizeof path, "/proc/%d/task/%.20s/stat", (int)peer->process, task->d_name);
        FILE *stat = *task->d_name == '.' ? NULL : fopen(path, "re");
        const size_t length = stat ? fread(text, 1, sizeof text - 1, stat) : 0;
        text[length] = '\0';
        if (stat)
            fclose(stat);
        const char *end = strrchr(text, ')'); /* of a name that may hold anything */
        long user, system;
        if (end && sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld %ld", &user, &system) == 2)
            threads[n++] = (struct kv_peer_thread){atoi(task->d_name), user + system};
    }
    if (tasks)
        closedir(tasks);
    return n;
}

/* ---- An engine, which takes the sizes with the request ------------------------------------------------ */

static char *generate_request(const int32_t *prompt, const struct kv_generation *g)
{
    json_t *ids = json_array();
    for (int i = 0; i < g->n_prompt; i++)
        json_array_append_new(ids, json_integer(prompt[i]));
    json_t *request = json_pack("{s:s, s:i, s:i, s:o}", "do", "run", "batch", g->batch, "new", g->room, "prompt", ids);
    char *text = request ? json_dumps(request, JSON_COMPACT) : NULL;
    json_decref(request);
    return text;
}

static void add_step(struct kv_generation *g, double ms, int n_tokens)
{
    const int i = ++g->n_steps;
    g->stamps[i] = g->stamps[i - 1] + llround(ms * 1e6);
    g->n_given[i] = n_tokens * g->batch;
    g->n_running[i] = g->batch;
}

static kv_status read_times(const struct kv_peer *peer, const json_t *answer, struct kv_generation *g,
                            struct kv_error *error)
{
    const json_t *steps = json_object_get(answer, "step_ms");
    const double first_ms = time_of(json_object_get(answer, "ttft_ms")),
                 whole_ms = time_of(json_object_get(answer, "e2e_ms"));
    if (isnan(first_ms))
        return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered without a time to the first token", peer->name);
    add_step(g, first_ms, 1);
    if (g->room > 1 && !json_is_array(steps)) {
        if (!(whole_ms >= first_ms + LEAST_MS))
            return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered with neither steps nor a longer time of all",
                           peer->name);
        add_step(g, whole_ms - first_ms, g->room - 1);
        return KV_OK;
    }
    if (json_array_size(steps) != (size_t)g->room - 1)
        return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered with %zu steps after the first token, not %d",
                       peer->name, json_array_size(steps), g->room - 1);
    for (int i = 0; i < g->room - 1; i++) {
        const double ms = time_of(json_array_get(steps, (size_t)i));
        if (isnan(ms))
            return fail_step(peer, error);
        add_step(g, ms, 1);
    }
    return KV_OK;
}

static kv_status read_ids(const struct kv_peer *peer, const json_t *ids, struct kv_generation *g,
                          struct kv_error *error)
{
    if (json_array_size(ids) != (size_t)g->room)
        return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered with %zu new tokens, not %d", peer->name,
                       json_array_size(ids), g->room);
    for (int i = 0; i < g->room; i++) {
        const json_t *id = json_array_get(ids, (size_t)i);
        const json_int_t number = json_integer_value(id);
        if (!json_is_integer(id) || number < 0 || number > INT32_MAX)
            return kv_fail(error, KV_ERROR_FORMAT, "%.60s answered with a new token that is no id", peer->name);
        g->tokens[i] = (int32_t)number;
    }
    return KV_OK;
}

kv_status kv_peer_generate(struct kv_peer *peer, const int32_t *prompt, struct kv_generation *g, struct kv_error *error)
{
    json_t *answer = NULL;
    char *request = generate_request(prompt, g);
    kv_status status = request ? ask(peer, request, &answer, error)
                               : kv_fail(error, KV_ERROR_MEMORY, "no memory to ask %.60s", peer->name);
    free(request);
    if (status)
        return status;
    kv_generation_reset(g);
    status = read_times(peer, answer, g, error);
    if (!status)
        status = read_ids(peer, json_object_get(answer, "ids"), g, error);
    g->n_selected[0] = status ? 0 : g->room;
    json_decref(answer);
    return status;
}

bool kv_peer_has_steps(const struct kv_peer *peer)
{
    return json_is_true(json_object_get(peer->ready, "steps"));
}

kv_status kv_peer_run(struct kv_peer *peer, double *ms, json_t **ids, struct kv_error *error)
{
    json_t *answer;
    kv_status status = ask(peer, "{\"do\": \"run\"}", &answer, error);
    if (ids)
        *ids = NULL;
    if (status)
        return status;
    ms[KV_PEER_TTFT] = time_of(json_object_get(answer, "ttft_ms"));
    ms[KV_PEER_E2E] = time_of(json_object_get(answer, "e2e_ms"));
    status = median_of(peer, json_object_get(answer, "step_ms"), &ms[KV_PEER_TTPT], error);
    if (!status && isnan(ms[KV_PEER_TTFT]))
        status = kv_fail(error, KV_ERROR_FORMAT, "%.60s answered without a time to the first token", peer->name);
    if (ids)
        *ids = json_incref(json_object_get(answer, "ids"));
    json_decref(answer);
    return status;
}

kv_status kv_peer_steps(struct kv_peer *peer, int n, double extra_pct, double *ms, struct kv_error *error)
{
    char request[80], extra[40] = "";
    json_t *answer;
    if (extra_pct > 0)
        snprintf(extra, sizeof extra, ", \"extra_pct\": %g", extra_pct);
    snprintf(request, sizeof request, "{\"do\": \"steps\", \"n\": %d%s}", n, extra);
    kv_status status = ask(peer, request, &answer, error);
    if (status)
        return status;
    ms[KV_PEER_TTFT] = time_of(json_object_get(answer, "ttft_ms"));
    ms[KV_PEER_E2E] = NAN;
    status = median_of(peer, json_object_get(answer, "step_ms"), &ms[KV_PEER_TTPT], error);
    if (!status && isnan(ms[KV_PEER_TTPT]))
        status = kv_fail(error, KV_ERROR_FORMAT, "%.60s answered without the steps that it was asked for", peer->name);
    json_decref(answer);
    return status;
}
