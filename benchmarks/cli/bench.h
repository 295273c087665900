/* What the bench command was asked for; its parts share this. */
#ifndef KV_CLI_BENCH_H
#define KV_CLI_BENCH_H

#include "cli/cli.h"
#include "measure/folder.h"
#include "measure/run.h"

struct bench_settings {
    struct model_options model;
    struct name_list suites; /* n = 0: all */
    struct name_list paths;
    struct int_list batches;
    struct int_list prompts;
    int n_new;
    int repetitions;
    double min_time_s;
    double cell_budget_s;
    bool quick, full;
    bool dry_run;
    const char *out;
    const char *resume;
    bool quiet;
    int argc; /* as typed (of the first part, when a run is resumed), for the record */
    char **argv;
};

/* Reads the arguments into settings that hold the defaults or an earlier reading: --benchmark_ flags first, by Google
 * Benchmark. False: *status is the exit status, said. */
bool bench_parse(struct bench_settings *settings, int argc, char **argv, int *status);
struct bench_settings bench_settings_default(void);
void bench_settings_free(struct bench_settings *settings);

/* The arguments that a run in `folder` was started with, from its context.json: argv [*argc], ended by NULL, and given
 * back with arguments_free. Errors: IO, FORMAT, MEMORY. */
kv_status bench_read_arguments(const char *folder, int *argc, char ***argv, struct kv_error *error);

/* Prints the plan and how long it will take, by the machine's limits. */
int bench_dry_run(const char *command, const struct kv_run_settings *settings, const struct kv_plan *plan,
                  const struct kv_model *model, struct kv_pool *pool);

#endif
