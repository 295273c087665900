/* Run folders made by hand, for tests of what is read out of them. */
#ifndef KV_TESTS_RUN_FOLDER_H
#define KV_TESTS_RUN_FOLDER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "results/results.h"

#define MAX_VALUES 12

/* A cell and its repetitions; what is 0 or NULL has the default in brackets. */
struct result {
    const char *suite;             /* "batch" */
    const char *engine;            /* none, as in files from before there were any */
    const char *weights;           /* "f32" */
    double same_tokens;            /* of a peer */
    const char *path;              /* "cached" */
    const char *gemm;              /* "openblas" */
    const char *isa;               /* "avx2" */
    int threads;                   /* 2 */
    int batch;                     /* 1 */
    int prompt_tokens;             /* 6 */
    int new_tokens;                /* 11 */
    double ttft_ms[MAX_VALUES];    /* [number of ttpt_ms], 0: 10 */
    double ttpt_ms[MAX_VALUES];    /* up to a 0: a repetition each */
    int rounds[MAX_VALUES];        /* [1, 2, ..] */
    double probe_read[MAX_VALUES]; /* 0: unknown; probes of arithmetic are then unknown too, or 1e11 */
    double live_bytes;
    const char *status; /* NULL: no row but the repetitions; else one more row */
    const char *error;
};

/* cmocka's set-up and tear-down: *state is the name of an empty folder, which goes with all that is in it. */
int make_folder(void **state);
int remove_folder(void **state);

/* Writes folder/NAME. */
void put_file(const char *folder, const char *name, const char *text);
/* The text of folder/NAME, to be freed; NULL when it is not there. */
char *get_file(const char *folder, const char *name);

/* Writes folder/runs.csv anew: results [n] one after the other. */
void put_runs(const char *folder, const struct result *results, size_t n);
#define PUT_RUNS(folder, ...)                                                                                          \
    put_runs((folder), (const struct result[]){__VA_ARGS__},                                                           \
             sizeof((const struct result[]){__VA_ARGS__}) / sizeof(struct result))

/* The header of runs.csv, with its newline. */
const char *runs_header(void);

/* Loads, and fails the running test when that fails. */
struct kv_results *load(const char *folder);

/* Fails the running test unless text holds the part. */
#define assert_holds(text, part) check_holds((text), (part), __FILE__, __LINE__)
void check_holds(const char *text, const char *part, const char *file, int line);

#endif
