/* Runs made by hand, in the working folder of a struct cli: every figure is chosen by the test. */
#ifndef KV_TESTS_SAMPLE_RUNS_H
#define KV_TESTS_SAMPLE_RUNS_H

#include "cli_runner.h"

#include <stdio.h>

/* TTPT in ms of nine repetitions, and of nine that are 1.0952 times as long. */
extern const double nine[9], nine_slower[9];

/* What the probes of the next rows read: 1e10, on a machine that stands still. */
extern double probed_bytes_per_s;

/* When the next rows were measured; "": unknown. */
extern const char *started_s;

/* Makes the folder `name` with a runs.csv that has its header so far. */
FILE *begin_run(const struct cli *cli, const char *name);
void end_run(FILE *run);

/* A configuration of n repetitions with those TTPTs; TTFT is ten times as long, a second has 1000 / TTPT tokens, and
 * all else is unknown. */
void add(FILE *run, const char *path, const char *gemm, int batch, const double *ttpt_ms, size_t n);
#define ADD(run, path, gemm, batch, sample) add(run, path, gemm, batch, sample, sizeof(sample) / sizeof(sample)[0])

/* A configuration that is failed or skipped. */
void add_without_figures(FILE *run, const char *path, int batch, const char *status);

/* A whole run of one configuration: path cached, batch 1. */
void make_run(const struct cli *cli, const char *name, const char *gemm, const double *ttpt_ms, size_t n);
#define MAKE_RUN(cli, name, gemm, sample) make_run(cli, name, gemm, sample, sizeof(sample) / sizeof(sample)[0])

/* A runs.csv in the working folder: the header, without probes, then those rows. */
void put_rows(const struct cli *cli, const char *name, const char *rows);

#endif
