#include "cli/arguments.h"
#include "cli/train.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOT_GIVEN = -1 };

/* What 0 would mean something for is NOT_GIVEN until somebody gives it. */
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

static bool parse(struct kv_training_options *o, int argc, char **argv, int *status)
{
    const int most = INT32_MAX / 2;
    const struct option_row rows[] = {
        {.name = "text", .argument = "FILE", .help = "the text to learn", .text = &o->text},
        {.name = "out",
         .letter = 'o',
         .argument = "DIR",
         .help = "folder for the model, the checkpoint and training.csv",
         .text = &o->out},
        {.name = "resume",
         .help = "go on with the run in --out, to the same bits; other options change it",
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
         .help = "windows a step (default 16)",
         .integer = &o->batch,
         .low = 1,
         .high = most},
        {.name = "steps",
         .letter = 'n',
         .argument = "N",
         .help = "steps in all (default 2000)",
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
         .help = "steps until it is reached (default 100, at most a tenth of all)",
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
         .help = "steps between evaluations, when files are written (default 250)",
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
    };
    const struct option_table table = {
        .command = "train",
        .usage = "--text FILE --out DIR [OPTIONS]",
        .summary = "Trains a GPT on a text, from scratch or from a checkpoint, on this CPU. Ctrl-C stops it; --out DIR "
                   "--resume\n"
                   "goes on. The model in DIR, which --model takes, is that of the lowest loss on the held-out text.",
        .rows = rows,
        .n_rows = sizeof rows / sizeof rows[0],
    };
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
    if (!o->text)
        return refuse(status, "--text is missing: the file to learn");
    if (o->init && (o->n_layer || o->n_head || o->n_embd))
        return refuse(status, "--layers, --heads and --embd are those of --init; leave them out");
    return true;
}

/* The options of the run that the folder's checkpoint is of. */
static bool parse_interrupted(struct kv_training_options *o, const char *folder, char ***kept, int *status)
{
    struct kv_error error = {""};
    char *text;
    if (kv_training_read_arguments(folder, &text, &error) != KV_OK) {
        *status = cli_fail("train", CLI_FAILED, "nothing to resume: %s", error.message);
        return false;
    }
    json_t *array = json_loads(text, 0, NULL);
    free(text);
    *kept = json_is_array(array) ? arguments_of_json(array) : NULL;
    const int n = (int)json_array_size(array);
    json_decref(array);
    if (!*kept) {
        *status = cli_fail("train", CLI_FAILED, "%s/checkpoint.safetensors: note 'arguments' is no command", folder);
        return false;
    }
    *o = not_given();
    return parse(o, n, *kept, status);
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

enum { MAX_ARGUMENTS = 48, NUMBER_SIZE = 32 };

struct argument_list {
    char *argv[MAX_ARGUMENTS];
    char numbers[MAX_ARGUMENTS][NUMBER_SIZE];
    int n;
};

static void add_text(struct argument_list *list, const char *name, const char *value)
{
    if (!value)
        return;
    list->argv[list->n++] = (char *)(uintptr_t)name;
    list->argv[list->n++] = (char *)(uintptr_t)value;
}

static void add_integer(struct argument_list *list, const char *name, int value)
{
    if (!value)
        return;
    snprintf(list->numbers[list->n], NUMBER_SIZE, "%d", value);
    add_text(list, name, list->numbers[list->n]);
}

static void add_number(struct argument_list *list, const char *name, double value)
{
    snprintf(list->numbers[list->n], NUMBER_SIZE, "%.17g", value);
    add_text(list, name, list->numbers[list->n]);
}

/* The settled options as a command, wherever --resume will be typed: paths lead from the root. Not --out, which is
 * typed then, and not what the folder cannot know. */
static char *arguments_of(const struct kv_training_options *o)
{
    struct argument_list list = {.argv = {"train"}, .n = 1};
    char *text = realpath(o->text, NULL), *init = o->init ? realpath(o->init, NULL) : NULL, *json;
    add_text(&list, "--text", text ? text : o->text);
    add_text(&list, "--init", init ? init : o->init);
    add_text(&list, "--tokenizer", o->tokenizer);
    add_text(&list, "--dtype", o->dtype);
    add_integer(&list, "--layers", o->n_layer);
    add_integer(&list, "--heads", o->n_head);
    add_integer(&list, "--embd", o->n_embd);
    add_integer(&list, "--context", o->context);
    add_integer(&list, "--batch", o->batch);
    add_integer(&list, "--steps", o->steps);
    add_integer(&list, "--every", o->every);
    add_integer(&list, "--validation", o->validation);
    add_integer(&list, "--threads", o->threads);
    add_number(&list, "--warmup", o->warmup);
    add_number(&list, "--lr", o->rate);
    add_number(&list, "--min-lr", o->floor_rate);
    add_number(&list, "--weight-decay", o->weight_decay);
    add_number(&list, "--clip", o->clip);
    snprintf(list.numbers[list.n], NUMBER_SIZE, "%llu", (unsigned long long)o->seed);
    add_text(&list, "--seed", list.numbers[list.n]);
    json = arguments_to_json(list.n, list.argv);
    free(text);
    free(init);
    return json;
}

static bool parse_all(struct kv_training_options *o, int argc, char **argv, char ***kept, int *status)
{
    *o = not_given();
    if (!parse(o, argc, argv, status))
        return false;
    if (!o->resume)
        return true;
    const char *folder = o->out;
    if (!folder)
        return refuse(status, "--resume needs --out: the folder of the run to go on with");
    if (!parse_interrupted(o, folder, kept, status))
        return false;
    const struct kv_training_options before = *o;
    return parse(o, argc, argv, status) && check_resumed(&before, o, status);
}

bool train_parse(struct kv_training_options *o, int argc, char **argv, char **arguments, char ***kept, int *status)
{
    *arguments = NULL;
    *kept = NULL;
    if (!parse_all(o, argc, argv, kept, status) || !check(o, status))
        return false;
    fill_in(o);
    if (!o->init && o->n_embd % o->n_head)
        return refuse(status, "--embd must be a multiple of --heads");
    *arguments = arguments_of(o);
    if (*arguments)
        return true;
    *status = cli_fail("train", CLI_FAILED, "no memory, or a path that is not UTF-8: it could not be resumed");
    return false;
}
