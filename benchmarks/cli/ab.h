/* What the commands about two programs share: the options that say what a worker measures, and the two sides. */
#ifndef KV_CLI_AB_H
#define KV_CLI_AB_H

#include "ab/contest.h"
#include "cli/cli.h"

struct worker_settings {
    struct model_options model;
    const char *path; /* NULL: the first */
    int batch;
    int n_prompt; /* 0: the benchmark's prompt */
    int n_new;
    int chunk; /* 0: the path's own choice */
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

/* ---- The two sides ----------------------------------------------------------------------------------- */

struct ab_pair;

enum { AB_MAX_WORDS = 100 };
struct ab_side {
    struct ab_pair *pair;
    char letter[2]; /* "A" */
    char name[160]; /* as the person called it */
    char *program;
    char *words;                    /* of --a or --b, cut into words */
    const char *argv[AB_MAX_WORDS]; /* ended by NULL */
    int n_common;                   /* of argv: what no person asked for */
    struct kv_peer *peer;           /* NULL: not running */
    json_t *ready;                  /* of the first start; NULL: there was none */
};

struct ab_pair {
    /* of the caller */
    const char *command;
    const char *operands[KV_CONTEST_SIDES]; /* NULL: A of B, this program of A */
    const char *options[KV_CONTEST_SIDES];  /* NULL: none */
    struct worker_texts texts;              /* of both */
    enum kv_peer_metric metric;
    /* of the functions below */
    struct ab_side sides[KV_CONTEST_SIDES];
    bool by_bench; /* one of them has no worker */
    int n_steps;   /* of a repetition; 0: n_runs whole generations */
    int n_runs;
    int n_warm; /* repetitions that are not counted, at every start */
};

/* Finds both programs and makes their arguments; ab_close after it, also after an error. Errors: ARGUMENT, MEMORY. */
kv_status ab_open(struct ab_pair *pair, struct kv_error *error);
void ab_close(struct ab_pair *pair);

/* The sides of a contest between them, as long as the pair lives. */
void ab_contest_sides(struct ab_pair *pair, struct kv_contest_side sides[KV_CONTEST_SIDES]);

/* kv_contest_settings.prepare, of a pair: warms both up; the first time it also finds out how long a repetition is to
 * be, and warns when the texts of the two differ. */
kv_status ab_prepare(struct ab_pair *pair, int first, struct kv_error *error);

/* kv_contest_settings' now_s, stopped and pause; the context is not looked at. */
double ab_now_s(void *context);
bool ab_stopped(void *context);
void ab_pause(void *context);

/* "AMD EPYC, 2 CPUs" in text [160], which it returns: as calibration.csv knows this machine. */
const char *ab_machine(char text[160]);

/* The chance of any false verdict. A build held against itself is to be called different in less than 1 of 20, also by
 * somebody who tries 40 times: at 5 % three false ones of 40 would be no surprise (32 %), at 2 % they are (5 %). */
#define AB_ALPHA 0.02

#endif
