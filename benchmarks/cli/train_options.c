#include "cli/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_GIVEN = -1 };

/* The defaults; NOT_GIVEN where they depend on other options and 0 is a value. */
static struct kv_training_options not_given(void)
{
    return (struct kv_training_options){
        .dtype = "F32",
        .batch = 16,
        .steps = 2000,
        .warmup = NOT_GIVEN,
        .every = 250,
        .validation = 5,
        .rate = NOT_GIVEN,
        .floor_rate = NOT_GIVEN,
        .weight_decay = 0.1,
        .clip = 1,
        .seed = 42,
    };
}

static void fill_in(struct kv_training_options *o)
{
    if (!o->init) {
        o->n_layer = o->n_layer ? o->n_layer : 4;
        o->n_head = o->n_head ? o->n_head : 4;
        o->n_embd = o->n_embd ? o->n_embd : 128;
        o->context = o->context ? o->context : 256;
    }
    if (o->warmup == NOT_GIVEN)
        o->warmup = o->steps / 10 < 100 ? o->steps / 10 : 100;
    if (o->rate == NOT_GIVEN)
        o->rate = o->init ? 1e-4 : 2e-3;
    if (o->floor_rate == NOT_GIVEN)
        o->floor_rate = o->rate / 10;
}

static const struct kv_choice dtypes[] = {{"F32", "float32, as trained"},
                                          {"BF16", "half the bytes, 8 bits of precision"}};

static const struct kv_choice *dtype_choice(int index)
{
    return index >= 0 && index < (int)(sizeof dtypes / sizeof dtypes[0]) ? &dtypes[index] : NULL;
}

/* The options' rows, whose values are in *o. */
struct train_rows {
    struct option_row rows[21];
};

static struct train_rows train_rows(struct kv_training_options *o)
{
    const int most = INT32_MAX / 2;
    return (struct train_rows){{
        {.name = "text", .argument = "FILE", .help = "the text to learn", .text = &o->text},
        {.name = "out",
         .letter = 'o',
         .argument = "DIR",
         .help = "folder for the model, the checkpoint and training.csv",
         .text = &o->out},
        {.name = "resume",
         .help = "continue the run in --out, bit for bit as if it had not stopped; other options given change it",
         .flag = &o->resume},
        {.name = "init",
         .argument = "MODEL",
         .help = "start from this checkpoint, a folder or a name as --model takes (default: from scratch)",
         .text = &o->init},
        {.name = "layers",
         .argument = "N",
         .help = "layers (default 4)",
         .integer = &o->n_layer,
         .low = 1,
         .high = most},
        {.name = "heads",
         .argument = "N",
         .help = "attention heads (default 4)",
         .integer = &o->n_head,
         .low = 1,
         .high = most},
        {.name = "embd",
         .argument = "N",
         .help = "width, a multiple of the heads (default 128)",
         .integer = &o->n_embd,
         .low = 1,
         .high = most / 8},
        {.name = "context",
         .argument = "N",
         .help = "tokens of a window (default 256)",
         .integer = &o->context,
         .low = 1,
         .high = most},
        {.name = "tokenizer",
         .argument = "NAME",
         .help = "tokens of the text (default: that of --init, else bytes):",
         .chosen = &o->tokenizer,
         .choice = kv_tokenizer_choice},
        {.name = "batch",
         .letter = 'b',
         .argument = "N",
         .help = "windows a training step (default 16)",
         .integer = &o->batch,
         .low = 1,
         .high = most},
        {.name = "steps",
         .letter = 'n',
         .argument = "N",
         .help = "training steps in all (default 2000)",
         .integer = &o->steps,
         .low = 1,
         .high = most},
        {.name = "lr",
         .argument = "X",
         .help = "learning rate (default 0.002, with --init 0.0001)",
         .number = &o->rate},
        {.name = "min-lr",
         .argument = "X",
         .help = "where its cosine ends (default: a tenth)",
         .number = &o->floor_rate},
        {.name = "warmup",
         .argument = "N",
         .help = "training steps until --lr is reached (default 100, at most a tenth of all)",
         .integer = &o->warmup,
         .high = most},
        {.name = "weight-decay", .argument = "X", .help = "of matrices (default 0.1)", .number = &o->weight_decay},
        {.name = "clip",
         .argument = "X",
         .help = "largest norm of the gradients (default 1; 0: any)",
         .number = &o->clip},
        {.name = "validation",
         .argument = "PERCENT",
         .help = "of the text, its end, to hold out (default 5)",
         .integer = &o->validation,
         .low = 1,
         .high = 90},
        {.name = "every",
         .argument = "N",
         .help = "training steps between evaluations, when files are written (default 250)",
         .integer = &o->every,
         .low = 1,
         .high = most},
        {.name = "dtype",
         .argument = "NAME",
         .help = "of model.safetensors (default F32):",
         .chosen = &o->dtype,
         .choice = dtype_choice},
        {.name = "seed",
         .argument = "N",
         .help = "of the first weights and the order of the text (default 42)",
         .seed = &o->seed},
        {.name = "threads",
         .letter = 't',
         .argument = "N",
         .help = "threads (default: the physical cores)",
         .integer = &o->threads,
         .low = 1,
         .high = KV_MAX_THREADS},
    }};
}

static struct option_table train_table(const struct train_rows *rows)
{
    return (struct option_table){
        .command = "train",
        .usage = "--text FILE --out DIR [OPTIONS]",
        .summary = "Trains a GPT on a text, from scratch or from a checkpoint, on this CPU. Ctrl-C stops it; --out DIR "
                   "--resume\n"
                   "goes on. The model in DIR, which --model takes, is that of the lowest loss on the held-out text.",
        .rows = rows->rows,
        .n_rows = sizeof rows->rows / sizeof rows->rows[0],
    };
}

static bool parse(struct kv_training_options *o, int argc, char **argv, int *status)
{
    const struct train_rows rows = train_rows(o);
    const struct option_table table = train_table(&rows);
    return options_parse(&table, argc, argv, status);
}

static bool refuse(int *status, const char *message)
{
    *status = cli_fail("train", CLI_USAGE, "%s; see kvbench train --help", message);
    return false;
}

static bool check(const struct kv_training_options *o, int *status)
{
    if (!o->out)
        return refuse(status, "--out is missing: the folder for the model");
    if (!o->text || !*o->text)
        return refuse(status, "--text is missing: the file to learn");
    if (o->init && (o->n_layer || o->n_head || o->n_embd))
        return refuse(status, "--layers, --heads and --embd are those of --init; leave them out");
    return true;
}

/* Whether both name the same thing, as text or as a path; NULL is a name, too. */
static bool is_same(const char *a, const char *b)
{
    if (!a || !b)
        return a == b;
    char *a_path = realpath(a, NULL), *b_path = realpath(b, NULL);
    const bool same = strcmp(a_path ? a_path : a, b_path ? b_path : b) == 0;
    free(a_path);
    free(b_path);
    return same;
}

/* What the weights and the losses so far are of cannot change in the middle of a run. */
static bool check_resumed(const struct kv_training_options *before, const struct kv_training_options *now, int *status)
{
    const struct {
        const char *name;
        int before, now;
    } sizes[] = {{"--layers", before->n_layer, now->n_layer},
                 {"--heads", before->n_head, now->n_head},
                 {"--embd", before->n_embd, now->n_embd},
                 {"--context", before->context, now->context},
                 {"--validation", before->validation, now->validation}};
    const struct {
        const char *name, *before, *now;
    } names[] = {{"--tokenizer", before->tokenizer, now->tokenizer}, {"--init", before->init, now->init}};
    const char *changed = NULL;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        if (sizes[i].before != sizes[i].now)
            changed = sizes[i].name;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (!is_same(names[i].before, names[i].now))
            changed = names[i].name;
    if (!changed)
        return true;
    *status = cli_fail("train", CLI_USAGE, "%s cannot change in a run that goes on; leave it out, or start a new run",
                       changed);
    return false;
}

/* ---- What --resume starts from --------------------------------------------------------------------------- */

static bool no_settings(const char *folder, const char *what, int *status)
{
    *status = cli_fail("train", CLI_FAILED, "%s/checkpoint.safetensors: note 'settings': %s", folder, what);
    return false;
}

/* Early versions kept a command line, ["train", "--layers", "4", ..]: the same by name, NULL without memory. */
static json_t *settings_of_command(const json_t *command)
{
    json_t *settings = json_object();
    for (size_t i = 1; settings && i + 1 < json_array_size(command); i += 2) {
        const char *name = json_string_value(json_array_get(command, i));
        if (!name || strncmp(name, "--", 2) != 0 ||
            json_object_set(settings, name + 2, json_array_get(command, i + 1)) != 0) {
            json_decref(settings);
            return NULL;
        }
    }
    return settings;
}

/* The options of the run that the folder's checkpoint is of; their texts stay in s->before. */
static bool read_interrupted(struct train_settings *s, const char *folder, int *status)
{
    struct kv_error error = {""};
    char *text, number[64];
    const char *name;
    json_t *value;
    if (kv_training_read_settings(folder, &text, &error) != KV_OK) {
        *status = cli_fail("train", CLI_FAILED, "nothing to resume: %s", error.message);
        return false;
    }
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    s->before = json_is_array(json) ? settings_of_command(json) : json_incref(json);
    json_decref(json);
    if (!json_is_object(s->before))
        return no_settings(folder, "no object of options", status);
    s->options = not_given();
    const struct train_rows rows = train_rows(&s->options);
    const struct option_table table = train_table(&rows);
    json_object_foreach(s->before, name, value)
    {
        if (json_is_real(value))
            snprintf(number, sizeof number, "%.17g", json_real_value(value));
        else
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
        if (!options_set(&table, name, json_is_string(value) ? json_string_value(value) : number, &error))
            return no_settings(folder, error.message, status);
    }
    if (s->options.text == number || s->options.init == number || s->options.out == number)
        return no_settings(folder, "a number where a path should be", status);
    return true;
}

static int add_size(json_t *settings, const char *name, int value)
{
    return value ? json_object_set_new(settings, name, json_integer(value)) : 0;
}

/* All options by their names, defaults filled in, for --resume from any folder: paths are absolute. Not --out, which is
 * given then, and nothing that was left to --init. The seed is a text: unsigned 64-bit numbers do not fit JSON's
 * integers. NULL without memory, or when a path is not UTF-8. */
static char *record_of(const struct kv_training_options *o)
{
    char *text = realpath(o->text, NULL), *init = o->init ? realpath(o->init, NULL) : NULL, *record = NULL;
    char seed[32];
    snprintf(seed, sizeof seed, "%" PRIu64, o->seed);
    json_t *settings = json_pack("{s:s, s:s*, s:s*, s:s, s:i, s:i, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:s}", "text",
                                 text ? text : o->text, "init", init ? init : o->init, "tokenizer", o->tokenizer,
                                 "dtype", o->dtype, "batch", o->batch, "steps", o->steps, "every", o->every,
                                 "validation", o->validation, "warmup", o->warmup, "lr", o->rate, "min-lr",
                                 o->floor_rate, "weight-decay", o->weight_decay, "clip", o->clip, "seed", seed);
    if (settings && add_size(settings, "layers", o->n_layer) == 0 && add_size(settings, "heads", o->n_head) == 0 &&
        add_size(settings, "embd", o->n_embd) == 0 && add_size(settings, "context", o->context) == 0 &&
        add_size(settings, "threads", o->threads) == 0)
        record = json_dumps(settings, JSON_COMPACT);
    json_decref(settings);
    free(text);
    free(init);
    return record;
}

static bool parse_all(struct train_settings *s, int argc, char **argv, int *status)
{
    struct kv_training_options *o = &s->options;
    *o = not_given();
    if (!parse(o, argc, argv, status))
        return false;
    if (!o->resume)
        return true;
    const char *folder = o->out;
    if (!folder)
        return refuse(status, "--resume needs --out: the folder of the run to go on with");
    if (!read_interrupted(s, folder, status))
        return false;
    const struct kv_training_options before = *o;
    return parse(o, argc, argv, status) && check_resumed(&before, o, status);
}

bool train_parse(struct train_settings *s, int argc, char **argv, int *status)
{
    *s = (struct train_settings){.before = NULL};
    if (!parse_all(s, argc, argv, status) || !check(&s->options, status))
        return false;
    fill_in(&s->options);
    if (!s->options.init && s->options.n_embd % s->options.n_head)
        return refuse(status, "--embd must be a multiple of --heads");
    /* a run that goes on may end earlier, or fall to what it was to end with */
    if (!s->options.resume && s->options.floor_rate > s->options.rate)
        return refuse(status, "--min-lr is above --lr, from which the rate falls to it");
    if (!s->options.resume && s->options.warmup > s->options.steps)
        return refuse(status, "--warmup takes more steps than there are, --steps");
    s->record = record_of(&s->options);
    if (s->record)
        return true;
    *status = cli_fail("train", CLI_FAILED, "no memory, or a path that is not UTF-8: it could not be resumed");
    return false;
}

void train_settings_free(struct train_settings *s)
{
    json_decref(s->before);
    free(s->record);
}
