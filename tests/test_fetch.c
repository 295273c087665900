/* data/fetch_gpt2.sh against a hub on the loopback interface that misbehaves in one way at a time.
 *   test_fetch FETCH_SCRIPT HUB_SERVER PYTHON
 * Exit status 77, with the reason on stderr, when curl is not installed. */
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define WEIGHTS_BYTES 100000
#define WEIGHTS       "models/gpt2/model.safetensors"
#define CONFIG        "models/gpt2/config.json"

static char *fetch_script, *hub_script, *python;

/* One test's folder: hub/ is what the server has, models/ what was fetched. */
struct fixture {
    char folder[64];
    char hub[64]; /* base URL of the running server */
    pid_t server;
    int server_stdin; /* -1 without a server, which ends when this closes */
    int n_runs;
};

/* A script that was started; its output goes to the files out.NUMBER and err.NUMBER. */
struct run {
    pid_t pid;
    int number;
};

/* What a finished run of the script left. */
struct outcome {
    int status; /* exit status, 128 + N when a signal N ended it */
    char out[2048];
    char err[2048];
};

/* ---- Files -------------------------------------------------------------------------------------- */

/* The path of what printf would print, in the fixture's folder; valid until the fourth call after this one. */
__attribute__((format(printf, 2, 3))) static const char *path_of(const struct fixture *fixture, const char *format, ...)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];
    int length = snprintf(path, sizeof paths[0], "%s/", fixture->folder);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path + length, sizeof paths[0] - (size_t)length, format, arguments);
    va_end(arguments);
    return path;
}

static size_t read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    return length;
}

static void write_bytes(const char *path, const void *bytes, size_t n_bytes)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, n_bytes, file), n_bytes);
    assert_int_equal(fclose(file), 0);
}

static void write_weights(const char *path, unsigned seed)
{
    static unsigned char weights[WEIGHTS_BYTES];
    for (size_t i = 0; i < sizeof weights; i++)
        weights[i] = (unsigned char)((seed = seed * 1664525u + 1013904223u) >> 24);
    write_bytes(path, weights, sizeof weights);
}

static long size_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? (long)status.st_size : -1;
}

static bool same_bytes(const char *left_path, const char *right_path)
{
    static char left[WEIGHTS_BYTES + 2], right[WEIGHTS_BYTES + 2];
    size_t n_left = read_text(left_path, left, sizeof left), n_right = read_text(right_path, right, sizeof right);
    return n_left > 0 && n_left == n_right && memcmp(left, right, n_left) == 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *position)
{
    (void)status, (void)type, (void)position;
    return remove(path);
}

/* ---- Server ------------------------------------------------------------------------------------- */

static void stop_server(struct fixture *fixture)
{
    if (fixture->server_stdin < 0)
        return;
    close(fixture->server_stdin);
    fixture->server_stdin = -1;
    waitpid(fixture->server, NULL, 0);
}

/* Starts a server of that mode in place of the one before, if any, and forgets the requests so far. */
static void start_server(struct fixture *fixture, const char *mode)
{
    int to_server[2], from_server[2];
    stop_server(fixture);
    unlink(path_of(fixture, "log"));
    assert_int_equal(pipe2(to_server, O_CLOEXEC), 0);
    assert_int_equal(pipe2(from_server, O_CLOEXEC), 0);
    fixture->server = fork();
    assert_true(fixture->server >= 0);
    if (fixture->server == 0) {
        dup2(to_server[0], STDIN_FILENO);
        dup2(from_server[1], STDOUT_FILENO);
        execlp(python, python, hub_script, path_of(fixture, "hub"), path_of(fixture, "log"), mode, (char *)NULL);
        _exit(127);
    }
    close(to_server[0]);
    close(from_server[1]);
    fixture->server_stdin = to_server[1];

    char port[16] = "";
    FILE *stream = fdopen(from_server[0], "r");
    assert_non_null(stream);
    assert_non_null(fgets(port, sizeof port, stream));
    fclose(stream);
    snprintf(fixture->hub, sizeof fixture->hub, "http://127.0.0.1:%d", atoi(port));
}

/* How many requests since the server started have that text in their line. */
static int requests_with(const struct fixture *fixture, const char *text)
{
    char log[8192];
    int n = 0;
    read_text(path_of(fixture, "log"), log, sizeof log);
    for (const char *at = strstr(log, text); at; at = strstr(at + 1, text))
        n++;
    return n;
}

/* ---- Script ------------------------------------------------------------------------------------- */

static int open_output(const char *path)
{
    return open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
}

/* Starts the script in a process group of its own, as a shell does with what a person may interrupt.
 * arguments: at most 3, NULL at the end. */
static struct run start_fetch(struct fixture *fixture, char *const *arguments)
{
    struct run run = {.number = fixture->n_runs++};
    run.pid = fork();
    assert_true(run.pid >= 0);
    if (run.pid > 0)
        return run;
    char *argv[5] = {fetch_script};
    for (int i = 0; i < 3 && arguments[i]; i++)
        argv[i + 1] = arguments[i];
    setpgid(0, 0);
    setenv("KVBENCH_HUB", fixture->hub, 1);
    setenv("KVBENCH_MODELS", path_of(fixture, "models"), 1);
    setenv("TMPDIR", path_of(fixture, "scratch"), 1);
    setenv("no_proxy", "127.0.0.1", 1);
    if (dup2(open_output(path_of(fixture, "out.%d", run.number)), STDOUT_FILENO) >= 0 &&
        dup2(open_output(path_of(fixture, "err.%d", run.number)), STDERR_FILENO) >= 0)
        execv(fetch_script, argv);
    _exit(127);
}

static struct outcome finish_fetch(const struct fixture *fixture, struct run run)
{
    int status = 0;
    assert_int_equal(waitpid(run.pid, &status, 0), run.pid);
    struct outcome outcome;
    read_text(path_of(fixture, "out.%d", run.number), outcome.out, sizeof outcome.out);
    read_text(path_of(fixture, "err.%d", run.number), outcome.err, sizeof outcome.err);
    outcome.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return outcome;
}

#define fetch(fixture, ...) finish_fetch(fixture, start_fetch(fixture, (char *const[]){__VA_ARGS__, NULL}))

#define assert_contains(text, part)                                                                                    \
    do {                                                                                                               \
        if (!strstr(text, part))                                                                                       \
            fail_msg("no \"%s\" in \"%s\"", part, text);                                                               \
    } while (0)

/* Both files are there, are the server's, and nothing else was left beside them. */
static void assert_fetched(const struct fixture *fixture, struct outcome outcome)
{
    assert_string_equal(outcome.err, "");
    assert_int_equal(outcome.status, 0);
    assert_true(same_bytes(path_of(fixture, CONFIG), path_of(fixture, "hub/gpt2/config.json")));
    assert_true(same_bytes(path_of(fixture, WEIGHTS), path_of(fixture, "hub/gpt2/model.safetensors")));
    assert_int_equal(size_of(path_of(fixture, WEIGHTS ".part")), -1);
    assert_int_equal(size_of(path_of(fixture, WEIGHTS ".part.checksum")), -1);
}

/* One line on stderr that has `reason` in it, the exit status, and no weights under their final name. */
static void assert_failed(const struct fixture *fixture, struct outcome outcome, int status, const char *reason)
{
    assert_contains(outcome.err, reason);
    assert_ptr_equal(strchr(outcome.err, '\n'), outcome.err + strlen(outcome.err) - 1);
    assert_int_equal(outcome.status, status);
    assert_int_equal(size_of(path_of(fixture, WEIGHTS)), -1);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (!fixture)
        return -1;
    fixture->server_stdin = -1;
    strcpy(fixture->folder, "/tmp/kvbench-fetch-XXXXXX");
    if (!mkdtemp(fixture->folder) || mkdir(path_of(fixture, "hub"), 0700) || mkdir(path_of(fixture, "scratch"), 0700) ||
        mkdir(path_of(fixture, "hub/gpt2"), 0700))
        return -1;
    static const char config[] = "{\"n_layer\": 12}\n";
    write_bytes(path_of(fixture, "hub/gpt2/config.json"), config, sizeof config - 1);
    write_weights(path_of(fixture, "hub/gpt2/model.safetensors"), 1);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    stop_server(fixture);
    int litter = rmdir(path_of(fixture, "scratch"));
    int failed = litter | nftw(fixture->folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return failed;
}

/* ---- Fetches that succeed ----------------------------------------------------------------------- */

static void fetches_a_whole_model(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, "none");
    struct outcome outcome = fetch(fixture, "gpt2");
    assert_fetched(fixture, outcome);
    assert_contains(outcome.out, "gpt2/config.json: fetched, git-sha1 verified\n");
    assert_contains(outcome.out, "gpt2/model.safetensors: fetched, sha256 verified\n");
}

static void says_that_a_model_is_already_there(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, "none");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    stop_server(fixture);
    struct outcome outcome = fetch(fixture, "gpt2");
    assert_fetched(fixture, outcome);
    assert_contains(outcome.out, "gpt2/config.json: already there\n");
    assert_contains(outcome.out, "gpt2/model.safetensors: already there\n");
}

static void adopts_a_file_that_was_copied_there(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(mkdir(path_of(fixture, "models"), 0700), 0);
    assert_int_equal(mkdir(path_of(fixture, "models/gpt2"), 0700), 0);
    write_weights(path_of(fixture, WEIGHTS), 1);
    start_server(fixture, "none");
    struct outcome outcome = fetch(fixture, "gpt2");
    assert_fetched(fixture, outcome);
    assert_contains(outcome.out, "gpt2/model.safetensors: already there\n");
    assert_int_equal(requests_with(fixture, "GET /blob/"), 0);
}

static void resumes_a_cut_connection_at_once(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, "cut");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors -\n"), 1);
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors bytes=50000-\n"), 1);
}

/* Leaves the first half of the weights as the partial file. */
static void fetch_half(struct fixture *fixture)
{
    start_server(fixture, "stuck");
    assert_failed(fixture, fetch(fixture, "gpt2"), 1, "(after 50000 of 100000 bytes); run the same command again");
    assert_int_equal(size_of(path_of(fixture, WEIGHTS ".part")), WEIGHTS_BYTES / 2);
}

static void resumes_in_a_later_call(void **state)
{
    struct fixture *fixture = *state;
    fetch_half(fixture);
    start_server(fixture, "none");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors bytes=50000-\n"), 1);
    assert_int_equal(requests_with(fixture, "GET /blob/"), 1);
}

static void starts_over_when_the_server_ignores_ranges(void **state)
{
    struct fixture *fixture = *state;
    fetch_half(fixture);
    start_server(fixture, "no-range");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors -\n"), 1);
}

static void starts_over_when_the_file_has_changed(void **state)
{
    struct fixture *fixture = *state;
    fetch_half(fixture);
    write_weights(path_of(fixture, "hub/gpt2/model.safetensors"), 2);
    start_server(fixture, "none");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors bytes="), 0);
}

static struct run start_stalling_fetch(struct fixture *fixture)
{
    start_server(fixture, "stall");
    struct run run = start_fetch(fixture, (char *const[]){"gpt2", NULL});
    for (int i = 0; i < 1000 && size_of(path_of(fixture, WEIGHTS ".part")) <= 0; i++)
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    assert_in_range(size_of(path_of(fixture, WEIGHTS ".part")), 1, WEIGHTS_BYTES / 2);
    return run;
}

static void continues_after_a_signal(struct fixture *fixture, int signal_number)
{
    struct run run = start_stalling_fetch(fixture);
    assert_int_equal(kill(signal_number == SIGINT ? -run.pid : run.pid, signal_number), 0);
    assert_failed(fixture, finish_fetch(fixture, run), 128 + signal_number, "interrupted; run the same command again");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    assert_int_equal(requests_with(fixture, "GET /blob/gpt2/model.safetensors bytes="), 1);
}

static void continues_after_control_c(void **state)
{
    continues_after_a_signal(*state, SIGINT);
}

static void continues_after_termination(void **state)
{
    continues_after_a_signal(*state, SIGTERM);
}

/* ---- Fetches that fail -------------------------------------------------------------------------- */

static void refuses_a_second_fetch_at_the_same_time(void **state)
{
    struct fixture *fixture = *state;
    struct run run = start_stalling_fetch(fixture);
    assert_failed(fixture, fetch(fixture, "gpt2"), 1, "gpt2 is being fetched by another process; wait for it");
    assert_int_equal(kill(-run.pid, SIGINT), 0);
    assert_int_equal(finish_fetch(fixture, run).status, 128 + SIGINT);
}

/* A fetch from a server of that mode fails and leaves nothing of the weights. */
static void fails_with(struct fixture *fixture, const char *mode, const char *reason)
{
    start_server(fixture, mode);
    assert_failed(fixture, fetch(fixture, "gpt2"), 1, reason);
    assert_int_equal(size_of(path_of(fixture, WEIGHTS ".part")), -1);
    assert_int_equal(size_of(path_of(fixture, WEIGHTS ".part.checksum")), -1);
}

static void refuses_a_wrong_checksum(void **state)
{
    struct fixture *fixture = *state;
    fails_with(fixture, "wrong", "gpt2/model.safetensors: the checksum is not the one that http://127.0.0.1");
    start_server(fixture, "none");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
}

static void refuses_a_wrong_git_blob_id(void **state)
{
    fails_with(*state, "wrong-blob", "gpt2/config.json: the checksum is not the one that http://127.0.0.1");
    assert_int_equal(size_of(path_of(*state, CONFIG)), -1);
    assert_int_equal(size_of(path_of(*state, CONFIG ".part")), -1);
}

static void refuses_a_file_that_lacks_its_last_byte(void **state)
{
    fails_with(*state, "short", "gpt2/model.safetensors: the checksum is not the one that http://127.0.0.1");
}

static void refuses_without_a_declared_checksum(void **state)
{
    fails_with(*state, "no-checksum", "declares no checksum, so nothing was fetched");
    assert_int_equal(requests_with(*state, "GET /blob/"), 0);
}

static void refuses_what_the_disk_cannot_hold(void **state)
{
    fails_with(*state, "huge", "gpt2/model.safetensors: needs 953674316 MiB");
    assert_int_equal(requests_with(*state, "GET /blob/"), 0);
}

static void reports_a_server_error(void **state)
{
    fails_with(*state, "error", "HTTP 500");
    assert_int_equal(size_of(path_of(*state, "models/gpt2")), -1);
}

static void reports_a_missing_file(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(unlink(path_of(fixture, "hub/gpt2/model.safetensors")), 0);
    fails_with(fixture, "none", "gpt2/model.safetensors: HTTP 404");
    assert_true(same_bytes(path_of(fixture, CONFIG), path_of(fixture, "hub/gpt2/config.json")));
}

static void reports_a_refused_connection(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, "none");
    stop_server(fixture);
    assert_failed(fixture, fetch(fixture, "gpt2"), 1, "check the network and KVBENCH_HUB");
}

static void reports_a_folder_that_cannot_be_made(void **state)
{
    struct fixture *fixture = *state;
    write_bytes(path_of(fixture, "models"), "file", 4);
    assert_failed(fixture, fetch(fixture, "gpt2"), 1, "set KVBENCH_MODELS");
}

static void never_overwrites_a_file_that_differs(void **state)
{
    struct fixture *fixture = *state;
    start_server(fixture, "none");
    assert_fetched(fixture, fetch(fixture, "gpt2"));
    write_weights(path_of(fixture, WEIGHTS), 9);
    struct outcome outcome = fetch(fixture, "gpt2");
    assert_int_equal(outcome.status, 1);
    assert_contains(outcome.err, "model.safetensors is not what was fetched; delete it");
    assert_int_equal(unlink(path_of(fixture, "models/gpt2/SHA256SUMS")), 0);
    outcome = fetch(fixture, "gpt2");
    assert_int_equal(outcome.status, 1);
    assert_contains(outcome.err, "model.safetensors is not the file of http://127.0.0.1");
    write_weights(path_of(fixture, "scratch.expected"), 9);
    assert_true(same_bytes(path_of(fixture, WEIGHTS), path_of(fixture, "scratch.expected")));
}

/* ---- Usage -------------------------------------------------------------------------------------- */

static void prints_help(void **state)
{
    struct outcome outcome = fetch(*state, "--help");
    assert_int_equal(outcome.status, 0);
    assert_contains(outcome.out, "Usage: data/fetch_gpt2.sh");
    assert_string_equal(outcome.err, "");
}

static void refuses_bad_usage(void **state)
{
    assert_failed(*state, fetch(*state, NULL), 2, "no model was named");
    assert_failed(*state, fetch(*state, "--fast"), 2, "unknown option --fast");
    /* All names are looked at before anything is fetched. */
    assert_failed(*state, fetch(*state, "gpt2", "gpt3"), 2, "unknown model 'gpt3'");
    assert_int_equal(size_of(path_of(*state, "models")), -1);
}

#define case_of(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: test_fetch FETCH_SCRIPT HUB_SERVER PYTHON\n");
        return 2;
    }
    if (system("curl --version >/dev/null 2>&1") != 0) {
        fprintf(stderr, "test_fetch: skipped, because curl is not installed\n");
        return 77;
    }
    fetch_script = argv[1];
    hub_script = argv[2];
    python = argv[3];
    const struct CMUnitTest tests[] = {
        case_of(fetches_a_whole_model),
        case_of(says_that_a_model_is_already_there),
        case_of(adopts_a_file_that_was_copied_there),
        case_of(resumes_a_cut_connection_at_once),
        case_of(resumes_in_a_later_call),
        case_of(starts_over_when_the_server_ignores_ranges),
        case_of(starts_over_when_the_file_has_changed),
        case_of(continues_after_control_c),
        case_of(continues_after_termination),
        case_of(refuses_a_second_fetch_at_the_same_time),
        case_of(refuses_a_wrong_checksum),
        case_of(refuses_a_wrong_git_blob_id),
        case_of(refuses_a_file_that_lacks_its_last_byte),
        case_of(refuses_without_a_declared_checksum),
        case_of(refuses_what_the_disk_cannot_hold),
        case_of(reports_a_server_error),
        case_of(reports_a_missing_file),
        case_of(reports_a_refused_connection),
        case_of(reports_a_folder_that_cannot_be_made),
        case_of(never_overwrites_a_file_that_differs),
        case_of(prints_help),
        case_of(refuses_bad_usage),
    };
    return cmocka_run_group_tests_name("fetch", tests, NULL, NULL);
}
