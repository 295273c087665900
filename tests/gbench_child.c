#include "gbench_child.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>
#include <sys/wait.h>

void collect(const struct gb_row *row, void *context)
{
    struct rows *rows = context;
    CHECK(rows->n < (int)(sizeof rows->row / sizeof rows->row[0]));
    struct row *copy = &rows->row[rows->n++];
    snprintf(copy->name, sizeof copy->name, "%s", row->name);
    snprintf(copy->label, sizeof copy->label, "%s", row->label);
    CHECK(!row->error || *row->error);
    snprintf(copy->error, sizeof copy->error, "%s", row->error ? row->error : "");
    size_t length = 0;
    copy->counters[0] = '\0';
    for (int i = 0; i < row->n_counters; i++)
        length += (size_t)snprintf(copy->counters + length, sizeof copy->counters - length, "%s=%.17g ",
                                   row->counters[i].name, row->counters[i].value);
    copy->benchmark_context = row->benchmark_context;
    copy->iterations = row->iterations;
    copy->repetition_index = row->repetition_index;
    copy->repetitions = row->repetitions;
    copy->real_time_s = row->real_time_s;
    copy->cpu_time_s = row->cpu_time_s;
}

void add(const char *name, gb_fixture run, void *context)
{
    struct gb_benchmark benchmark = {.name = name, .run = run, .context = context, .iterations = 2};
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
}

struct rows run_all(void)
{
    struct rows rows = {.n = 0};
    CHECK(gb_run(collect, &rows, NULL, NULL) == KV_OK);
    return rows;
}

kv_status initialize(const char *flag, struct kv_error *error)
{
    char program[] = "test";
    char copy[512];
    snprintf(copy, sizeof copy, "%s", flag ? flag : "");
    char *argv[] = {program, copy, NULL};
    int argc = flag ? 2 : 1;
    return gb_initialize(&argc, argv, error);
}

void counting(struct gb_state *state, void *context)
{
    ++*(int *)context;
    const int64_t n = gb_begin(state);
    for (int64_t i = 0; i < n; i++)
        gb_do_not_optimize(context);
    gb_clobber_memory();
    gb_end(state);
}

void manual(struct gb_state *state, void *context)
{
    const int64_t n = gb_begin(state);
    for (int64_t i = 0; i < n; i++)
        gb_set_iteration_time(state, *(const double *)context);
    gb_end(state);
}

/* Runs `check` in a child; what it printed on stdout goes to output [size], and it must not print on stderr. */
static void run_child(void (*check)(void), char *output, size_t size)
{
    FILE *const out = tmpfile();
    FILE *const err = tmpfile();
    assert_non_null(out);
    assert_non_null(err);
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (dup2(fileno(out), STDOUT_FILENO) < 0 || dup2(fileno(err), STDERR_FILENO) < 0)
            _exit(2);
        check();
        fflush(NULL);
        _exit(0);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    char complaints[4096];
    rewind(err);
    complaints[fread(complaints, 1, sizeof complaints - 1, err)] = '\0';
    rewind(out);
    output[fread(output, 1, size - 1, out)] = '\0';
    fclose(out);
    fclose(err);
    assert_string_equal(complaints, "");
    assert_int_equal(status, 0);
}

static void run_check(void **state)
{
    const struct check *check = *state;
    char output[4096];
    run_child(check->run, output, sizeof output);
    assert_string_equal(output, check->output ? check->output : "");
}

int run_checks(const char *group, const struct check *checks, int n_checks)
{
    struct CMUnitTest tests[32];
    assert_in_range(n_checks, 1, sizeof tests / sizeof tests[0]);
    for (int i = 0; i < n_checks; i++)
        tests[i] = (struct CMUnitTest){checks[i].name, run_check, NULL, NULL, (void *)&checks[i]};
    return _cmocka_run_group_tests(group, tests, (size_t)n_checks, NULL, NULL);
}
