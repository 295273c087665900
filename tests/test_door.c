/* The door script ./kvbench: what it installs, builds, passes on and draws, seen through fakes of every tool. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "door_sandbox.h"

static void assert_has(const char *text, const char *part)
{
    if (text == NULL || strstr(text, part) == NULL) {
        fail_msg("\"%s\" is not in \"%s\"", part, text == NULL ? "" : text);
    }
}

static void assert_lacks(const char *text, const char *part)
{
    if (strstr(text, part) != NULL) {
        fail_msg("\"%s\" is in \"%s\"", part, text);
    }
}

static void assert_one_line_error(const struct sandbox *box, int status)
{
    assert_int_equal(box->status, status);
    assert_int_equal(strncmp(box->err, "kvbench: ", 9), 0);
    assert_ptr_equal(strchr(box->err, '\n'), box->err + strlen(box->err) - 1);
}

/* ---- Help and usage ----------------------------------------------------------------------------- */

static void help_lists_the_door_then_the_program(void **state)
{
    struct sandbox *box = *state;
    sandbox_fake_program(box, "echo PROGRAM COMMANDS");
    static const char *const requests[][2] = {{NULL}, {"help"}, {"--help"}, {"-h"}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        sandbox_run(box, requests[i]);
        assert_int_equal(box->status, 0);
        assert_string_equal(box->err, "");
        assert_string_equal(box->calls, "program --help\n");
        assert_has(box->out, "  bench ");
        assert_has(strstr(box->out, "  setup "), "PROGRAM COMMANDS");
    }
}

static void help_needs_no_build(void **state)
{
    struct sandbox *box = *state;
    sandbox_delete(box, "project/build/benchmarks/kvbench");
    static const char *const requests[][3] = {{"help"}, {"setup", "--help"}, {"build", "--help"}, {"test", "-h"}};
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        sandbox_run(box, requests[i]);
        assert_int_equal(box->status, 0);
        assert_string_equal(box->calls, "");
        assert_has(box->out, "Usage: ./kvbench COMMAND");
        assert_has(box->out, "  test ");
    }
}

static void help_of_a_program_command_is_the_programs(void **state)
{
    struct sandbox *box = *state;
    RUN(box, "help", "bench");
    assert_has(box->calls, "program bench --help\n");
    assert_lacks(box->calls, "render");
}

static void setup_and_build_take_no_arguments(void **state)
{
    struct sandbox *box = *state;
    RUN(box, "setup", "now");
    assert_one_line_error(box, 2);
    RUN(box, "build", "now");
    assert_one_line_error(box, 2);
    assert_string_equal(box->calls, "");
}

/* ---- Packages ----------------------------------------------------------------------------------- */

static void other_systems_are_told_what_is_missing(void **state)
{
    struct sandbox *box = *state;
    sandbox_delete(box, "bin/gnuplot");
    sandbox_set(box, "NO_MODULE=cmocka");
    RUN(box, "info");
    assert_one_line_error(box, 1);
    assert_has(box->err, "gnuplot-nox fonts-dejavu-core libcmocka-dev");
    assert_lacks(box->err, "libjansson-dev");
    assert_lacks(box->calls, "program");
}

static void apt_get_is_called_through_sudo(void **state)
{
    struct sandbox *box = *state;
    sandbox_delete(box, "bin/gnuplot");
    sandbox_fake(box, "sudo", "exec \"$@\"");
    sandbox_fake(box, "apt-get",
                 "echo noise; echo \"frontend $DEBIAN_FRONTEND\" >>\"$CALLS\"\n"
                 "case $* in *install*) exec /bin/ln -s /bin/sh \"${CALLS%/*}/bin/gnuplot\" ;; esac");
    RUN(box, "info");
    assert_int_equal(box->status, 0);
    assert_has(box->calls, "sudo env DEBIAN_FRONTEND=noninteractive apt-get update\n");
    assert_has(box->calls, "frontend noninteractive\n");
    assert_has(box->calls, "install -y --no-install-recommends gnuplot-nox fonts-dejavu-core\n");
    assert_has(strstr(box->calls, "install -y"), "program info\n");
    assert_has(box->err, "kvbench: installing gnuplot-nox fonts-dejavu-core (sudo apt-get)\n");
    assert_lacks(box->err, "noise");
    assert_string_equal(strstr(box->out, "in "), box->out);
}

static void root_needs_no_sudo_and_apt_failures_are_shown(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "NO_MODULE=jansson");
    sandbox_fake(box, "id", "echo 0");
    sandbox_fake(box, "sudo", "exec \"$@\"");
    sandbox_fake(box, "apt-get", "echo Unable to fetch; exit 100");
    RUN(box, "info");
    assert_int_equal(box->status, 1);
    assert_has(box->calls, "apt-get -o DPkg::Lock::Timeout=600 install -y --no-install-recommends libjansson-dev\n");
    assert_lacks(box->calls, "sudo");
    assert_lacks(box->calls, "program");
    assert_has(box->err, "Unable to fetch\n");
    assert_has(strstr(box->err, "kvbench: apt-get failed"), "by hand: apt-get update && apt-get install -y");
}

static void packages_that_do_not_help_are_named(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "NO_MODULE=jansson");
    sandbox_fake(box, "id", "echo 0");
    sandbox_fake(box, "apt-get", "");
    RUN(box, "info");
    assert_int_equal(box->status, 1);
    assert_has(box->err, "kvbench: still missing or too old after the installation: libjansson-dev");
    assert_lacks(box->calls, "program");
}

static void without_sudo_the_command_to_run_is_told(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "NO_MODULE=openblas");
    sandbox_fake(box, "apt-get", "");
    RUN(box, "info");
    assert_one_line_error(box, 1);
    assert_has(box->err, "apt-get update && apt-get install -y --no-install-recommends libopenblas-dev\n");
    assert_lacks(box->calls, "apt-get");
}

static void google_benchmark_alone_may_come_from_its_wrap(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "NO_MODULE=benchmark");
    RUN(box, "info");
    assert_one_line_error(box, 1);
    assert_has(box->err, "libbenchmark-dev");
    sandbox_write(box, "project/subprojects/google-benchmark.wrap", "");
    RUN(box, "info");
    assert_int_equal(box->status, 0);
}

static void an_old_meson_is_refused(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "MESON_VERSION=0.61.2");
    RUN(box, "info");
    assert_one_line_error(box, 1);
    assert_has(box->err, "meson");
}

/* ---- Build -------------------------------------------------------------------------------------- */

static void the_build_is_configured_once_and_quiet(void **state)
{
    struct sandbox *box = *state;
    sandbox_make_folder(box, "project/build/meson-private");
    RUN(box, "info");
    assert_int_equal(box->status, 0);
    assert_has(box->calls, "meson setup --buildtype=release ");
    assert_has(box->calls, "/build benchmarks/kvbench\n");
    assert_false(sandbox_has(box, "project/build/meson-private"));
    RUN(box, "info");
    assert_lacks(box->calls, "meson");
    assert_has(box->calls, "ninja ");
    assert_string_equal(box->err, "");
}

static void a_failed_build_is_shown(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "NINJA_STATUS=1");
    RUN(box, "info");
    assert_int_equal(box->status, 1);
    assert_has(box->err, "unused variable x\n");
    assert_lacks(box->err, "[1/1] compiling");
    assert_has(strstr(box->err, "unused"), "kvbench: the build in ");
    assert_lacks(box->calls, "program");
}

static void doors_build_one_at_a_time(void **state)
{
    struct sandbox *box = *state;
    char lock_path[SANDBOX_PATH_SIZE];
    snprintf(lock_path, sizeof lock_path, "%s/project/build/door.lock", box->root);
    int lock = open(lock_path, O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    assert_true(lock >= 0);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    sandbox_clear_results(box);
    pid_t door = sandbox_start(box, (const char *const[]){"info", NULL});
    for (int i = 0; i < 1000 && strstr(box->err, "kvbench: waiting for another kvbench") == NULL; i++) {
        usleep(10000);
        sandbox_read_results(box);
    }
    assert_has(box->err, "kvbench: waiting for another kvbench");
    assert_lacks(box->calls, "meson setup");
    assert_lacks(box->calls, "ninja");
    assert_int_equal(close(lock), 0);
    assert_int_equal(sandbox_finish(door), 0);
    sandbox_read_results(box);
    assert_has(box->calls, "ninja ");
    assert_has(box->calls, "program info\n");
}

static void tests_are_mesons(void **state)
{
    struct sandbox *box = *state;
    RUN(box, "test", "--suite", "unit");
    assert_int_equal(box->status, 0);
    assert_has(box->calls, "/build all\n");
    assert_has(box->calls, "meson test -C ");
    assert_has(box->calls, " --suite unit\n");
    sandbox_set(box, "TEST_STATUS=3");
    RUN(box, "test");
    assert_one_line_error(box, 1);
}

/* ---- The program -------------------------------------------------------------------------------- */

static void arguments_folder_and_status_are_passed_on(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    const int base = box->n_settings;
    static const char *const statuses[] = {"PROGRAM_STATUS=0", "PROGRAM_STATUS=1", "PROGRAM_STATUS=2",
                                           "PROGRAM_STATUS=77"};
    for (size_t i = 0; i < sizeof statuses / sizeof *statuses; i++) {
        box->n_settings = base;
        sandbox_set(box, statuses[i]);
        RUN(box, "generate", "--tokens", "1, 2");
        assert_int_equal(box->status, atoi(strchr(statuses[i], '=') + 1));
        assert_string_equal(box->calls, "program generate --tokens 1, 2\n");
        assert_has(box->out, "/caller\n");
        assert_string_equal(box->err, "");
    }
}

static void the_build_folder_can_be_elsewhere(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    const int base = box->n_settings;
    sandbox_set(box, "KVBENCH_BUILD_DIR=../project/build");
    RUN(box, "info");
    assert_int_equal(box->status, 0);
    box->n_settings = base;
    sandbox_set(box, "KVBENCH_BUILD_DIR=nowhere");
    RUN(box, "info");
    assert_one_line_error(box, 1);
    assert_has(box->err, "nowhere/benchmarks/kvbench is not built");
}

/* ---- Bench and its figures ---------------------------------------------------------------------- */

static void bench_draws_the_figures_of_its_run(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    RUN(box, "bench", "--quick");
    assert_int_equal(box->status, 0);
    assert_has(box->calls, "program bench --quick\nrender ");
    assert_has(box->calls, "/project/results/latest\n");
    RUN(box, "bench", "--out", "one", "--quick");
    assert_string_equal(box->calls, "program bench --out one --quick\nrender one\n");
    RUN(box, "bench", "--out=two words");
    assert_string_equal(box->calls, "program bench --out=two words\nrender two words\n");
    sandbox_set(box, "KVBENCH_RESULTS=elsewhere");
    RUN(box, "bench");
    assert_string_equal(box->calls, "program bench\nrender elsewhere/latest\n");
}

static void bench_without_measurements_draws_nothing(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    static const char *const options[] = {"--help", "-h", "--dry-run", "--benchmark_list_tests",
                                          "--benchmark_list_tests=true"};
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        RUN(box, "bench", "--quick", options[i]);
        assert_int_equal(box->status, 0);
        assert_lacks(box->calls, "render");
    }
    sandbox_set(box, "PROGRAM_STATUS=2");
    RUN(box, "bench", "--bad");
    assert_int_equal(box->status, 2);
    assert_lacks(box->calls, "render");
}

static void a_failed_bench_draws_only_its_own_rows(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    sandbox_fake_program(box, "[ -z \"${ROWS:-}\" ] || echo \"$ROWS\" >\"$3/runs.csv\"; exit 1");
    sandbox_make_folder(box, "caller/run");
    RUN(box, "bench", "--out", "run");
    assert_int_equal(box->status, 1);
    assert_lacks(box->calls, "render");
    sandbox_write(box, "caller/run/runs.csv", "rows of an earlier run\n");
    RUN(box, "bench", "--out", "run");
    assert_int_equal(box->status, 1);
    assert_lacks(box->calls, "render");
    sandbox_set(box, "ROWS=new rows");
    RUN(box, "bench", "--out", "run");
    assert_int_equal(box->status, 1);
    assert_has(box->calls, "render run\n");
}

static void figures_that_fail_fail_the_bench(void **state)
{
    struct sandbox *box = *state;
    sandbox_set(box, "KVBENCH_NO_BUILD=1");
    sandbox_set(box, "RENDER_STATUS=2");
    RUN(box, "bench", "--out", "run");
    assert_one_line_error(box, 1);
    assert_has(box->err, "./kvbench plots run");
    RUN(box, "plots", "run");
    assert_int_equal(box->status, 2);
    assert_string_equal(box->calls, "render run\n");
}

static void plots_need_only_gnuplot(void **state)
{
    struct sandbox *box = *state;
    sandbox_delete(box, "bin/ninja");
    RUN(box, "plots", "run");
    assert_int_equal(box->status, 0);
    assert_string_equal(box->calls, "render run\n");
    sandbox_delete(box, "bin/gnuplot");
    RUN(box, "plots", "run");
    assert_one_line_error(box, 1);
    assert_has(box->err, "gnuplot-nox");
    assert_lacks(box->err, "ninja");
    RUN(box, "plots", "--help");
    assert_int_equal(box->status, 0);
    assert_string_equal(box->calls, "render --help\n");
}

#define DOOR_TEST(function) cmocka_unit_test_setup_teardown(function, sandbox_create, sandbox_remove)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DOOR_TEST(help_lists_the_door_then_the_program),
        DOOR_TEST(help_needs_no_build),
        DOOR_TEST(help_of_a_program_command_is_the_programs),
        DOOR_TEST(setup_and_build_take_no_arguments),
        DOOR_TEST(other_systems_are_told_what_is_missing),
        DOOR_TEST(apt_get_is_called_through_sudo),
        DOOR_TEST(root_needs_no_sudo_and_apt_failures_are_shown),
        DOOR_TEST(packages_that_do_not_help_are_named),
        DOOR_TEST(without_sudo_the_command_to_run_is_told),
        DOOR_TEST(google_benchmark_alone_may_come_from_its_wrap),
        DOOR_TEST(an_old_meson_is_refused),
        DOOR_TEST(the_build_is_configured_once_and_quiet),
        DOOR_TEST(a_failed_build_is_shown),
        DOOR_TEST(doors_build_one_at_a_time),
        DOOR_TEST(tests_are_mesons),
        DOOR_TEST(arguments_folder_and_status_are_passed_on),
        DOOR_TEST(the_build_folder_can_be_elsewhere),
        DOOR_TEST(bench_draws_the_figures_of_its_run),
        DOOR_TEST(bench_without_measurements_draws_nothing),
        DOOR_TEST(a_failed_bench_draws_only_its_own_rows),
        DOOR_TEST(figures_that_fail_fail_the_bench),
        DOOR_TEST(plots_need_only_gnuplot),
    };
    return cmocka_run_group_tests_name("door", tests, NULL, NULL);
}
