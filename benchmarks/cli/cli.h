/* What the commands of the program share. Only here does anything print. */
#ifndef KV_CLI_CLI_H
#define KV_CLI_CLI_H

#include "kvbench.h"
#include "results/table.h"

/* Exit statuses. */
enum { CLI_OK = 0, CLI_FAILED = 1, CLI_USAGE = 2, CLI_UNSTEADY = 3 /* of bench --require-steady */ };

struct command {
    const char *name;
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is the command's name */
    bool computes;                     /* with OpenBLAS, or tells of it: it had better know this CPU */
    bool times;                        /* something: without a clock that runs it would wait for ever */
};

int command_ab(int argc, char **argv);
int command_bench(int argc, char **argv);
int command_calibrate(int argc, char **argv);
int command_columns(int argc, char **argv);
int command_compare(int argc, char **argv);
int command_dashboard(int argc, char **argv);
int command_evaluate(int argc, char **argv);
int command_export(int argc, char **argv);
int command_generate(int argc, char **argv);
int command_history(int argc, char **argv);
int command_info(int argc, char **argv);
int command_limits(int argc, char **argv);
int command_logits(int argc, char **argv);
int command_pack(int argc, char **argv);
int command_peers(int argc, char **argv);
int command_plan(int argc, char **argv);
int command_replay(int argc, char **argv);
int command_race(int argc, char **argv);
int command_report(int argc, char **argv);
int command_tables(int argc, char **argv);
int command_tokenize(int argc, char **argv);
int command_train(int argc, char **argv);
int command_worker(int argc, char **argv);

/* One line on stderr, "kvbench COMMAND: ...", and `status` back. */
__attribute__((format(printf, 3, 4))) int cli_fail(const char *command, int status, const char *format, ...);

/* What a person types to run this program: as the door was called, or its name. */
const char *cli_called(void);

/* realloc, for what is so small that the program can only end without it, as options and JSON: says so on stderr and
 * exits with CLI_FAILED. */
void *cli_memory(void *block, size_t bytes);

/* ---- Being asked to stop ------------------------------------------------------------------------------
 * A command ends after what it is doing, the second time at once. */

/* From now on SIGINT, SIGTERM and SIGHUP are remembered, unless the caller ignores them. On the first one `notice`, a
 * text that stays, is written to stderr (NULL: nothing); a second one ends the program. */
void signals_listen(const char *notice);

/* The signal that came, 0: none. */
int signals_received(void);

/* A text that stays, written to stdout when a second signal ends the program: what puts a terminal back; NULL: none. */
void signals_last_words(const char *last_words);

/* ---- Lists ------------------------------------------------------------------------------------------ */

/* Whole numbers 1..INT32_MAX: "4", "1,2,8", "1-32*2" (factor), "64-1024+64" (step), or a list of such. */
struct int_list {
    int *values;
    int n;
};
bool int_list_parse(const char *text, struct int_list *list, struct kv_error *error);
void int_list_free(struct int_list *list);

/* "a, b, c", the names of a table of choices, in text [CHOICE_NAMES_SIZE], which it returns. */
enum { CHOICE_NAMES_SIZE = 300 };
const char *choice_names(const struct kv_choice *(*choice)(int index), char *text);

/* A comma-separated list of names that choice(0), choice(1), .. or `more` know, none twice, as the row has them. */
enum { MAX_NAMES = 16 };
struct name_list {
    const char *names[MAX_NAMES];
    int n;
};
struct option_row;
bool name_list_parse(const struct option_row *row, const char *text, struct name_list *list, struct kv_error *error);

/* The constant name among the choices that is text [length], or what `more`, unless it is NULL, makes of it; NULL: there
 * is none. */
const char *choice_name(const struct kv_choice *(*choice)(int index), const char *(*more)(const char *name),
                        const char *text, size_t length);

/* Token ids: sequences of the same length, "1,2,3" or "1,2,3;4,5,6". */
struct token_rows {
    int32_t *tokens; /* [batch, length] */
    int batch, length;
};
bool token_rows_parse(const char *text, void *rows, struct kv_error *error);
void token_rows_free(struct token_rows *rows);

/* Arguments as they were typed. */
struct text_list {
    const char **values; /* [n] texts of argv; free with text_list_free */
    int n;
};
void text_list_add(struct text_list *list, const char *text);
void text_list_free(struct text_list *list);

/* ---- Options ---------------------------------------------------------------------------------------- */

/* One option of a command: its name, its line of help, and where its value goes, in one of the typed pointers, which
 * say what it takes. Or all the options of another table, at this place. */
struct option_row {
    const struct option_table *table; /* stands for its rows, which name no further table; nothing else is set */
    const char *name;                 /* without the dashes */
    char letter;                      /* short form, 0: none */
    const char *argument;             /* as help shows it, NULL for a flag */
    const char *help;
    bool *flag;
    const char **text;
    int *integer;    /* low..high */
    double *number;  /* 0 or more */
    double *seconds; /* 0 or more: "90", "90s", "10m" or "1h" */
    double *share;   /* 0 or more: "5%" or "0.05" */
    uint64_t *seed;
    const char **chosen;     /* one of choice(0), choice(1), .. */
    struct name_list *names; /* some of them */
    struct int_list *sizes;  /* each low..high */
    const char **several;    /* low..high arguments, ended by NULL where there is room: those that help names in [..]
                              * only where they cannot be another option: empty, or an option and its value in one */
    const char **operand;    /* the next argument that is no option */
    struct text_list *texts; /* of an operand: all that are left; of an option: its value and all operands behind it */
    bool is_operand;         /* of texts */
    bool required;           /* that there is one */
    void *value; /* anything else: parse(text, value) writes a message and returns false when it cannot be read */
    bool (*parse)(const char *text, void *value, struct kv_error *error);
    const struct kv_choice *(*choice)(int index);
    const char *(*more)(const char *name); /* names besides, too many to be listed: kv_kv_name, kv_cache_name */
    const char *besides;                   /* what those are, in words */
    bool (*misspelt)(const char *name, struct kv_error *error); /* says what is wrong with one of those; may be NULL */
    int low, high;
};

/* Of a table that a row stands for, only the rows matter. */
struct option_table {
    const char *command;
    const char *usage;   /* after the command's name */
    const char *summary; /* what it does, below the usage */
    const struct option_row *rows;
    int n_rows;
};

/* Reads all arguments into the rows' values. Returns true to go on; otherwise *status is what to exit with: help
 * was printed (CLI_OK) or an argument was wrong and said so (CLI_USAGE). */
bool options_parse(const struct option_table *table, int argc, char **argv, int *status);

/* Cuts a text into its words: words [most], without those that are more. Returns how many there are in it. */
int options_words(char *text, const char **words, int most);

/* Sets the option `name`, as from --name TEXT; texts and choices are kept by address. The table has no tables in it.
 * False: the error says what is wrong. */
bool options_set(const struct option_table *table, const char *name, const char *text, struct kv_error *error);

/* The row of --format, whose value, *name, is set to its default; and what that name means. */
struct option_row format_row(const char **name);
enum kv_format format_of(const char *name);

/* A copy of what a file holds, in copy [size], which must not reach a terminal as an escape sequence; returned. */
const char *printable(const char *text, char *copy, size_t size);

/* Prints the table (NULL: there was no memory for it) to stdout, frees it, and returns the exit status. */
int print_and_free(const char *command, struct kv_table *table, enum kv_format format);

/* ---- Prompts ----------------------------------------------------------------------------------------- */

/* The tokenizer of that name, or, where it is NULL, of that model (NULL: the first). KVBENCH_DATA names the folder with
 * gpt2/vocab.bpe. Errors: as kv_tokenizer_create and kv_tokenizer_of_config. */
kv_status text_tokenizer(const char *name, const char *model, struct kv_tokenizer **tokenizer, struct kv_error *error);
/* The name of a model's tokenizer alone. Errors: as kv_tokenizer_of_config. */
kv_status text_tokenizer_name(const char *model, const char **name, struct kv_error *error);
/* The list of merges published with GPT-2, for the caller to free(); NULL without memory. */
char *text_merges_file(void);
/* One sequence: the ids of the text. Errors: ARGUMENT (no text), as kv_tokenizer_encode. */
kv_status text_rows(const struct kv_tokenizer *tokenizer, const char *text, struct token_rows *rows,
                    struct kv_error *error);

/* The prompt of the benchmark, " I am vibe coding to learn kv cache. To do that I am benchmarking kv cache.", in
 * GPT-2's ids. */
extern const int32_t default_prompt[];
extern const int default_prompt_length;

/* ---- Model and threads ------------------------------------------------------------------------------ */

struct model_options {
    const char *model;
    uint64_t seed;
    bool synthetic;
    int threads; /* 0: kv_default_threads() */
    /* NULL: the first of each table. */
    const char *weights, *cache, *kv, *gemm, *isa;
};

/* The small model that comes with the program, in data/models: what commands that show something run by default. */
#define EMBEDDED_MODEL "kjv"
/* A smaller one of the same text, which drafts for it. */
#define EMBEDDED_DRAFT "kjv-draft"

/* The folder with the files of a model: `model` itself, or that of a name; for the caller to free(), NULL when there is
 * none, as for a published model that was not fetched. */
char *model_folder(const char *model);

/* The shape of a published model. Errors: ARGUMENT, which names all models that there are. */
kv_status model_preset(const char *model, struct kv_config *config, struct kv_error *error);

/* Those of a session on `path`, its batch and all else unset. */
struct kv_session_options model_session_options(const struct model_options *options, const char *path);

/* Defaults, KVBENCH_ISA among them. */
struct model_options model_options_default(const char *model);

/* The options that commands with a model share, as tables for a row of theirs; their values are in *options, and
 * `rows` is to live as long as the table. First which model: --model, --synthetic, --seed (its help; NULL: that of a
 * command without draws). The default model that help names is that of *options. */
struct source_rows {
    struct option_table table;
    struct option_row rows[3];
    char model_help[160];
};
const struct option_table *model_source_rows(struct source_rows *rows, struct model_options *options,
                                             const char *seed_help);

/* Then what runs it: --threads, --weights, --cache, --kv, --gemm, --isa, a value each. */
struct engine_rows {
    struct option_table table;
    struct option_row rows[6];
};
const struct option_table *engine_rows(struct engine_rows *rows, struct model_options *options);

/* The shape of that model, without its weights. On failure says why and returns CLI_FAILED or CLI_USAGE. */
int model_shape(const char *command, const struct model_options *options, struct kv_config *config);

/* Loads or synthesizes the model; says so on stderr when weights are synthetic. Errors: as kv_model_load and
 * kv_model_synthesize. */
kv_status model_load(const char *command, const struct model_options *options, struct kv_pool *pool,
                     struct kv_model **model, struct kv_error *error);

/* Writes the model, plain float32, to folder for that target of `kvbench export`. Errors: as kv_model_save. */
kv_status export_model(const struct model_options *options, const struct kv_model *model, const char *target,
                       const char *folder, struct kv_error *error);

/* Starts the threads and loads or synthesizes the model; says so on stderr when weights are synthetic. On failure
 * says why and returns CLI_FAILED or CLI_USAGE. */
int model_open(const char *command, const struct model_options *options, struct kv_pool **pool,
               struct kv_model **model);

/* ---- Speculation ------------------------------------------------------------------------------------- */

/* What "lookup:4" or "draft:MODEL:4" asks for, of drafts for that model: with k 0 for none. *draft, NULL for a lookup, is
 * the caller's to free. The draft's weights and kernels are those of `options`. Errors: those of kv_speculate_read and
 * model_load; ARGUMENT for a draft of another vocabulary. */
kv_status speculation_open(const char *command, const char *name, const struct model_options *options,
                           struct kv_pool *pool, struct kv_speculation *speculation, struct kv_model **draft,
                           struct kv_error *error);

/* The speculations [*n] by a smaller model that goes with that one, where both have weights; 0: none does. */
const char *const *speculation_drafts(const struct model_options *options, int *n);

#endif
