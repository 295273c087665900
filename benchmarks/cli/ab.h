/* What the commands about two programs share: the options that say what a worker measures. */
#ifndef KV_CLI_AB_H
#define KV_CLI_AB_H

#include "cli/cli.h"

struct worker_settings {
    struct model_options model;
    const char *path; /* NULL: the first */
    int batch;
    int n_prompt; /* 0: the benchmark's prompt */
    int n_new;
    int chunk; /* 0: as the path likes */
    double extra_pct;
};

struct worker_settings worker_settings_default(void);

/* The options of `worker`, each in a row of its own; `rows` is to live as long as the table. */
enum { WORKER_MAX_ROWS = 20 };
struct worker_rows {
    struct option_table table;
    struct option_row rows[WORKER_MAX_ROWS];
    struct source_rows source;
    struct engine_rows engine;
};
const struct option_table *worker_rows(struct worker_rows *rows, struct worker_settings *settings);

/* The same options as texts, to be handed on to a worker, which may be of another version and know other names. */
struct worker_texts {
    struct option_table table;
    struct option_row rows[WORKER_MAX_ROWS];
    struct worker_rows known;
    struct worker_settings unused;
    const char *texts[WORKER_MAX_ROWS]; /* NULL: not given */
    bool flags[WORKER_MAX_ROWS];
    char names[WORKER_MAX_ROWS][24]; /* "--model" */
};
const struct option_table *worker_texts(struct worker_texts *texts);

/* Those that were given, as arguments, at most [2 WORKER_MAX_ROWS]; returns how many. */
int worker_arguments(const struct worker_texts *texts, const char **arguments);

#endif
