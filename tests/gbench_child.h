/* Helpers of the test programs of the shim over Google Benchmark. The library keeps its flags and registry
 * once for a process, so every check runs in a child process of its own. */
#ifndef KVBENCH_TESTS_GBENCH_CHILD_H
#define KVBENCH_TESTS_GBENCH_CHILD_H

#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "gbench.h"

/* Ends the child: cmocka's own assertions would jump back into a copy of the parent's test runner. */
#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                            \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

/* A copy of a gb_row. */
struct row {
    char name[128];
    char label[64];
    char error[256];    /* empty when none */
    char counters[128]; /* "name=value name=value " */
    void *benchmark_context;
    int64_t iterations;
    int repetition_index;
    int repetitions;
    double real_time_s;
    double cpu_time_s;
};

struct rows {
    struct row row[16];
    int n;
};

/* Registers a benchmark of two iterations. */
void add(const char *name, gb_fixture run, void *context);

/* A gb_report: appends to the struct rows that is its context. */
void collect(const struct gb_row *row, void *context);
struct rows run_all(void);

/* Hands over one flag, NULL for none. */
kv_status initialize(const char *flag, struct kv_error *error);

/* Fixture: counts its calls in the int that is its context. */
void counting(struct gb_state *state, void *context);

/* Fixture: gives every iteration the seconds in the double that is its context. */
void manual(struct gb_state *state, void *context);

struct check {
    const char *name;
    void (*run)(void);
    const char *output; /* what it prints on stdout, NULL for nothing */
};

/* Runs each check in a child, which must print nothing on stderr, as cmocka tests; returns how many failed. */
int run_checks(const char *group, const struct check *checks, int n_checks);

#endif
