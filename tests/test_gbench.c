/* The C shim over Google Benchmark: fixtures, rows, skips, runs. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "gbench_child.h"

static void sleeping(struct gb_state *state, void *context)
{
    const struct timespec pause = {.tv_nsec = *(const long *)context};
    const int64_t n = gb_begin(state);
    for (int64_t i = 0; i < n; i++)
        nanosleep(&pause, NULL);
    gb_end(state);
}

/* ---- What a fixture can say ----------------------------------------------------------------------- */

static void describe(struct gb_state *state, void *context)
{
    const int64_t n = gb_begin(state);
    gb_end(state);
    *(int64_t *)context = gb_argument(state, 0) * 1000 + gb_argument(state, 1);
    gb_set_counter(state, "tokens", 0.1);
    gb_set_counter(state, "iterations", (double)n);
    gb_set_counter(state, "tokens", 1.0 / 3.0);
    gb_set_label(state, "weights=synthetic:1, \"quoted\"");
}

static void check_arguments_counters_and_label(void)
{
    const int64_t arguments[] = {32, 7};
    const char *const names[] = {"batch", "new"};
    int64_t seen = 0;
    struct gb_benchmark benchmark = {.name = "describe",
                                     .run = describe,
                                     .context = &seen,
                                     .arguments = arguments,
                                     .argument_names = names,
                                     .n_arguments = 2,
                                     .iterations = 5};
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    benchmark.argument_names = NULL;
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    const struct rows rows = run_all();
    CHECK(rows.n == 2);
    CHECK(seen == 32007);
    CHECK(strcmp(rows.row[0].name, "describe/batch:32/new:7/iterations:5/real_time") == 0);
    CHECK(strcmp(rows.row[1].name, "describe/32/7/iterations:5/real_time") == 0);
    CHECK(strcmp(rows.row[0].error, "") == 0);
    CHECK(strcmp(rows.row[0].label, "weights=synthetic:1, \"quoted\"") == 0);
    CHECK(strcmp(rows.row[0].counters, "iterations=5 tokens=0.33333333333333331 ") == 0);
    CHECK(rows.row[0].iterations == 5 && rows.row[0].repetition_index == 0 && rows.row[0].repetitions == 1);
    CHECK(rows.row[0].benchmark_context == &seen);
}

static void check_real_time(void)
{
    long nanoseconds = 2000000;
    struct gb_benchmark benchmark = {.name = "sleep", .run = sleeping, .context = &nanoseconds, .iterations = 3};
    for (benchmark.unit = GB_NANOSECONDS; benchmark.unit <= GB_SECONDS; benchmark.unit++)
        CHECK(gb_register(&benchmark, NULL) == KV_OK);
    benchmark = (struct gb_benchmark){.name = "timed", .run = sleeping, .context = &nanoseconds, .min_time_s = 0.02};
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    const struct rows rows = run_all();
    CHECK(rows.n == 5);
    for (int i = 0; i < rows.n; i++) {
        CHECK(rows.row[i].real_time_s >= 0.002 && rows.row[i].real_time_s < 2);
        CHECK(rows.row[i].cpu_time_s >= 0 && rows.row[i].cpu_time_s < rows.row[i].real_time_s);
    }
    CHECK(strcmp(rows.row[4].name, "timed/min_time:0.020/real_time") == 0);
    CHECK((double)rows.row[4].iterations * rows.row[4].real_time_s >= 0.02);
}

static void manual_forgotten(struct gb_state *state, void *context)
{
    counting(state, context);
    CHECK(*(int *)context == 1);
}

static void check_manual_time(void)
{
    double seconds[] = {0.25, 0, -1, NAN, INFINITY};
    struct gb_benchmark benchmark = {.name = "manual", .run = manual, .clock = GB_MANUAL_TIME, .min_time_s = 0.9};
    for (int i = 0; i < 5; i++) {
        benchmark.context = &seconds[i];
        CHECK(gb_register(&benchmark, NULL) == KV_OK);
    }
    int calls = 0;
    benchmark.run = manual_forgotten;
    benchmark.context = &calls;
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    const struct rows rows = run_all();
    CHECK(rows.n == 6);
    CHECK(strcmp(rows.row[0].error, "") == 0);
    CHECK(rows.row[0].real_time_s == 0.25);
    CHECK(rows.row[0].iterations >= 4);
    for (int i = 1; i < 6; i++) {
        CHECK(strstr(rows.row[i].error, "gb_set_iteration_time"));
        CHECK(isnan(rows.row[i].real_time_s));
    }
    CHECK(calls == 1);
}

/* ---- Skips and wrong fixtures ---------------------------------------------------------------------- */

static void skip_first(struct gb_state *state, void *context)
{
    ++*(int *)context;
    gb_set_label(state, "kept");
    gb_set_counter(state, "dropped", 1);
    gb_skip_with_error(state, "does not fit");
    gb_skip_with_error(state, "a second reason");
    CHECK(gb_begin(state) == 0);
    gb_end(state);
}

static void skip_inside(struct gb_state *state, void *context)
{
    ++*(int *)context;
    CHECK(gb_begin(state) == 1);
    gb_skip_with_error(state, "no number");
    gb_end(state);
}

static void skip_last(struct gb_state *state, void *context)
{
    counting(state, context);
    gb_skip_with_error(state, "wrong tokens");
}

static void never_begins(struct gb_state *state, void *context)
{
    (void)state;
    (void)context;
}

static void never_ends(struct gb_state *state, void *context)
{
    (void)context;
    gb_begin(state);
}

static void begins_twice(struct gb_state *state, void *context)
{
    (void)context;
    CHECK(gb_begin(state) == 1);
    CHECK(gb_begin(state) == 0);
    gb_end(state);
}

static void only_ends(struct gb_state *state, void *context)
{
    (void)context;
    gb_end(state);
}

static void wrong_index(struct gb_state *state, void *context)
{
    (void)context;
    CHECK(gb_argument(state, 0) == 0);
    gb_begin(state);
    gb_end(state);
}

static void check_skips(void)
{
    static const struct {
        gb_fixture run;
        const char *error;
    } cases[] = {
        {skip_first, "does not fit"},   {skip_inside, "no number"},       {skip_last, "wrong tokens"},
        {never_begins, "without gb_b"}, {never_ends, "without gb_begin"}, {begins_twice, "gb_begin was called twice"},
        {only_ends, "without gb_b"},    {wrong_index, "no argument of"},  {counting, ""},
    };
    enum { N = sizeof cases / sizeof cases[0] };
    int calls[N] = {0};
    for (int i = 0; i < N; i++) {
        struct gb_benchmark benchmark = {.name = "skip", .run = cases[i].run, .context = &calls[i], .min_time_s = 1e-9};
        CHECK(gb_register(&benchmark, NULL) == KV_OK);
    }
    const struct rows rows = run_all();
    CHECK(rows.n == N);
    for (int i = 0; i < N - 1; i++) {
        CHECK(strstr(rows.row[i].error, cases[i].error));
        CHECK(isnan(rows.row[i].real_time_s) && isnan(rows.row[i].cpu_time_s));
        CHECK(strcmp(rows.row[i].counters, "") == 0);
        CHECK(calls[i] <= 1);
    }
    CHECK(strcmp(rows.row[0].error, "does not fit") == 0);
    CHECK(strcmp(rows.row[0].label, "kept") == 0);
    CHECK(strcmp(rows.row[N - 1].error, "") == 0);
    CHECK(rows.row[N - 1].real_time_s > 0);
}

static void check_registration_errors(void)
{
    int calls = 0;
    const int64_t one = 1;
    const struct gb_benchmark good = {.name = "good", .run = counting, .context = &calls};
    struct gb_benchmark bad[9];
    for (int i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].name = NULL;
    bad[1].name = "";
    bad[2].run = NULL;
    bad[3].n_arguments = 1;
    bad[4].arguments = &one;
    bad[4].n_arguments = -1;
    bad[5].iterations = -1;
    bad[6].repetitions = -1;
    bad[7].min_time_s = NAN;
    bad[8].iterations = 1;
    bad[8].min_time_s = 1;
    for (int i = 0; i < 9; i++) {
        struct kv_error error = {""};
        CHECK(gb_register(&bad[i], &error) == KV_ERROR_ARGUMENT);
        CHECK(strchr(error.message, ';') && !strchr(error.message, '\n'));
        CHECK(i < 2 || strstr(error.message, "good"));
    }
    size_t matched = 99;
    CHECK(gb_run(collect, NULL, &matched, NULL) == KV_OK);
    CHECK(matched == 0 && calls == 0);
}

/* ---- Several runs, names and repetitions ------------------------------------------------------------ */

static void check_several_runs(void)
{
    int calls[3] = {0};
    add("a", counting, &calls[0]);
    for (int run = 1; run <= 3; run++) {
        const struct rows rows = run_all();
        CHECK(rows.n == 1 && calls[0] == run);
    }
    add("b", counting, &calls[1]);
    CHECK(run_all().n == 2);
    gb_clear();
    CHECK(run_all().n == 0);
    add("c", counting, &calls[2]);
    const struct rows rows = run_all();
    CHECK(rows.n == 1 && strcmp(rows.row[0].name, "c/iterations:2/real_time") == 0);
    CHECK(calls[0] == 4 && calls[1] == 1 && calls[2] == 1);
    CHECK(gb_run(NULL, NULL, NULL, NULL) == KV_OK && calls[2] == 2);
}

static void check_repetitions(void)
{
    CHECK(initialize("--benchmark_report_aggregates_only=true", NULL) == KV_OK);
    CHECK(initialize("--benchmark_repetitions=2", NULL) == KV_OK);
    int calls[2] = {0};
    struct gb_benchmark benchmark = {.name = "r", .run = counting, .context = &calls[0], .iterations = 1};
    benchmark.repetitions = 3;
    CHECK(gb_register(&benchmark, NULL) == KV_OK);
    add("flag", counting, &calls[1]);
    const struct rows rows = run_all();
    CHECK(rows.n == 5 && calls[0] == 3 && calls[1] == 2);
    for (int i = 0; i < 5; i++) {
        CHECK(rows.row[i].repetition_index == i % 3);
        CHECK(rows.row[i].repetitions == (i < 3 ? 3 : 2));
        CHECK(rows.row[i].benchmark_context == &calls[i / 3]);
    }
}

int main(void)
{
    static const struct check checks[] = {
        {"arguments, counters and label", check_arguments_counters_and_label, NULL},
        {"real time", check_real_time, NULL},
        {"manual time", check_manual_time, NULL},
        {"skips", check_skips, NULL},
        {"registration errors", check_registration_errors, NULL},
        {"several runs", check_several_runs, NULL},
        {"repetitions", check_repetitions, NULL},
    };
    return run_checks("gbench", checks, sizeof checks / sizeof checks[0]);
}
