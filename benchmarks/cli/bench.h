/* What the bench command was asked for; its parts share this. */
#ifndef KV_CLI_BENCH_H
#define KV_CLI_BENCH_H

#include "cli/cli.h"
#include "plan/plan.h"
#include "results/results.h"
#include "results/table.h"

/* A seed of orders is a whole number that JSON keeps everywhere. */
#define BENCH_SEED_MASK ((UINT64_C(1) << 53) - 1)

struct bench_settings {
    struct model_options model;
    struct name_list suites; /* n = 0: all but those that are measured by name */
    /* Of each axis, in the order of kv_axis_at: what was asked for. */
    struct name_list names[KV_MAX_AXES];
    struct int_list counts[KV_MAX_AXES];
    struct int_list batches;
    struct int_list prompts;
    int n_prefix;
    int n_new;
    int repetitions;
    double time_s; /* 0: as long as it takes */
    double precision;
    uint64_t seed; /* of the orders of the rounds, when has_seed */
    bool has_seed;
    double min_time_s;
    double cell_budget_s;
    const char *text; /* of suite quality; NULL: that of the model that comes along */
    bool quick, full;
    bool require_steady;
    bool dry_run;
    const char *format_name;
    enum kv_format format; /* of the tables on stdout */
    const char *out;
    const char *resume;
    bool quiet, verbose;
    int argc; /* as typed (of the first part, when a run is resumed), for the record */
    char **argv;
    char **first_argv; /* of the run that is resumed; owned */
};

/* Reads the arguments, --benchmark_ flags first, by Google Benchmark; of a run that is resumed, those in its
 * context.json and then what was typed now. False: *status is the exit status, said. bench_settings_free after it. */
bool bench_parse(struct bench_settings *settings, int argc, char **argv, int *status);
void bench_settings_free(struct bench_settings *settings);

/* Whether that suite is asked for. */
bool bench_has_suite(const struct bench_settings *settings, const char *suite);

/* What suite quality predicts. */
struct bench_text {
    struct model_options model; /* that predicts it */
    struct kv_config config;    /* its shape */
    bool is_own;                /* it is the run's own */
    int32_t *ids;               /* [n_ids], for free(); as many as the extent takes, 0 where none are predicted */
    size_t n_ids;
};

/* With --text the run's model and that text, otherwise the model that comes along and its held-out text. On failure
 * says why and returns CLI_FAILED or CLI_USAGE. */
int bench_text_read(const char *command, const struct bench_settings *settings, const struct kv_config *config,
                    struct bench_text *text);

/* The cells of the suites that were asked for; text_config: of the model that predicts the text of suite quality.
 * kv_plan_free after it, also after an error. Errors: MEMORY. */
kv_status bench_plan(const struct bench_settings *settings, const struct kv_config *config,
                     const struct kv_config *text_config, struct kv_plan *plan, struct kv_error *error);

/* Prints what a run found, from its files. Errors: IO, MEMORY. */
typedef kv_status (*bench_ending)(const struct kv_results *results, enum kv_format format, FILE *stream,
                                  struct kv_error *error);

/* The command, with `ending` in the place of the tables and findings on stdout; NULL: those. */
int bench_run(int argc, char **argv, bench_ending ending);

#endif
