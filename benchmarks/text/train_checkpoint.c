/* What a checkpoint's notes tell beside the weights: the run's arguments, its state, and what its bits depend on. */
#include "text/training.h"

#include "model/safetensors.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NOTE_BYTES = 48 };

/* The numbers of a state by name; "%a" keeps every bit. */
struct state_number {
    const char *name;
    double *value;
};
enum { N_NUMBERS = 9 };

static void list_numbers(struct kv_training_state *s, struct state_number numbers[N_NUMBERS])
{
    const struct state_number all[N_NUMBERS] = {
        {"loss_sum", &s->loss_sum},       {"loss_count", &s->loss_count},
        {"smooth_loss", &s->smooth_loss}, {"lowest_smooth", &s->lowest_smooth},
        {"best_loss", &s->best_loss},     {"best_step", &s->best_step},
        {"seconds", &s->seconds},         {"gradient_norm", &s->gradient_norm},
        {"tokens", &s->tokens},
    };
    memcpy(numbers, all, sizeof all);
}

static char *file_in(const char *folder, const char *name)
{
    char *file;
    return asprintf(&file, "%s/%s", folder, name) < 0 ? NULL : file;
}

static kv_status no_memory(const char *folder, struct kv_error *error)
{
    snprintf(error->message, sizeof error->message, "%.400s: no memory for its checkpoint", folder);
    return KV_ERROR_MEMORY;
}

kv_status kv_training_save_checkpoint(const struct kv_training *t, struct kv_error *error)
{
    char texts[N_NUMBERS + 2][NOTE_BYTES];
    struct state_number numbers[N_NUMBERS];
    struct kv_training_state state = t->state;
    struct kv_note notes[N_NUMBERS + 6];
    int n = 0;
    list_numbers(&state, numbers);
    for (; n < N_NUMBERS; n++) {
        snprintf(texts[n], NOTE_BYTES, "%a", *numbers[n].value);
        notes[n] = (struct kv_note){numbers[n].name, texts[n]};
    }
    snprintf(texts[n], NOTE_BYTES, "%016" PRIx64, t->text->hash);
    snprintf(texts[n + 1], NOTE_BYTES, "%d", kv_pool_size(t->pool));
    const struct kv_note others[] = {{"text_hash", texts[n]},
                                     {"threads", texts[n + 1]},
                                     {"openblas", kv_openblas_core()},
                                     {"isa", kv_isa_default()},
                                     {"arguments", t->arguments}};
    memcpy(&notes[n], others, sizeof others);
    n += (int)(sizeof others / sizeof others[0]);
    char *file = file_in(t->options->out, "checkpoint.safetensors");
    const kv_status status = file ? kv_trainer_save(t->trainer, file, notes, n, error)
                                  : no_memory(t->options->out, error);
    free(file);
    return status;
}

static kv_status open_checkpoint(const char *folder, struct kv_safetensors **file, struct kv_error *error)
{
    char *name = file_in(folder, "checkpoint.safetensors");
    *file = NULL;
    const kv_status status = name ? kv_safetensors_open(file, name, error) : no_memory(folder, error);
    free(name);
    return status;
}

/* The note's text; a file without it was not written here. */
static kv_status find_note(const struct kv_safetensors *file, const char *folder, const char *name, const char **text,
                           struct kv_error *error)
{
    *text = kv_safetensors_note(file, name);
    if (*text)
        return KV_OK;
    snprintf(error->message, sizeof error->message,
             "%.300s/checkpoint.safetensors: note '%s' is missing: no checkpoint of this command", folder, name);
    return KV_ERROR_FORMAT;
}

kv_status kv_training_read_arguments(const char *folder, char **arguments, struct kv_error *error)
{
    struct kv_safetensors *file;
    const char *text;
    *arguments = NULL;
    kv_status status = open_checkpoint(folder, &file, error);
    if (!status)
        status = find_note(file, folder, "arguments", &text, error);
    if (!status) {
        *arguments = strdup(text);
        status = *arguments ? KV_OK : no_memory(folder, error);
    }
    kv_safetensors_close(file);
    return status;
}

static kv_status read_state(const struct kv_safetensors *file, const char *folder, struct kv_training_state *state,
                            struct kv_error *error)
{
    struct state_number numbers[N_NUMBERS];
    kv_status status = KV_OK;
    list_numbers(state, numbers);
    for (int i = 0; !status && i < N_NUMBERS; i++) {
        const char *text;
        char *end;
        status = find_note(file, folder, numbers[i].name, &text, error);
        if (status)
            break;
        *numbers[i].value = strtod(text, &end);
        if (end == text || *end || !isfinite(*numbers[i].value)) {
            snprintf(error->message, sizeof error->message,
                     "%.300s/checkpoint.safetensors: note '%s' is '%.40s', which is no number: the file is damaged",
                     folder, numbers[i].name, text);
            status = KV_ERROR_FORMAT;
        }
    }
    return status;
}

static kv_status check_text(const struct kv_safetensors *file, const struct kv_training *t, struct kv_error *error)
{
    const char *text;
    char hash[NOTE_BYTES];
    const kv_status status = find_note(file, t->options->out, "text_hash", &text, error);
    snprintf(hash, sizeof hash, "%016" PRIx64, t->text->hash);
    if (status || strcmp(text, hash) == 0)
        return status;
    snprintf(error->message, sizeof error->message,
             "%.200s: not the text that the run in %.200s was started with; give that one with --text",
             t->options->text, t->options->out);
    return KV_ERROR_ARGUMENT;
}

/* Says of the first thing that is not as it was. */
static kv_status compare_machine(const struct kv_safetensors *file, const struct kv_training *t,
                                 struct kv_training_notices *notices, struct kv_error *error)
{
    char threads[NOTE_BYTES];
    snprintf(threads, sizeof threads, "%d", kv_pool_size(t->pool));
    const struct kv_note now[] = {{"threads", threads}, {"openblas", kv_openblas_core()}, {"isa", kv_isa_default()}};
    for (size_t i = 0; i < sizeof now / sizeof now[0]; i++) {
        const char *then;
        const kv_status status = find_note(file, t->options->out, now[i].name, &then, error);
        if (status)
            return status;
        if (strcmp(then, now[i].value) == 0)
            continue;
        snprintf(notices->bits, sizeof notices->bits, "%s was %.40s and is %.40s now", now[i].name, then, now[i].value);
        break;
    }
    return KV_OK;
}

static kv_status restore(struct kv_training *t, struct kv_training_notices *notices, struct kv_error *error)
{
    struct kv_error lost;
    char *checkpoint = file_in(t->options->out, "checkpoint.safetensors");
    char *history = file_in(t->options->out, "training.csv");
    kv_status status = checkpoint && history ? KV_OK : no_memory(t->options->out, error);
    if (!status)
        status = kv_trainer_restore(t->trainer, checkpoint, error);
    /* The rows are a record: what training goes on from is all in the checkpoint. */
    if (!status && kv_training_history_read(&t->history, history, kv_trainer_steps(t->trainer), &lost) != KV_OK)
        memcpy(notices->rows, lost.message, sizeof notices->rows);
    free(checkpoint);
    free(history);
    return status;
}

kv_status kv_training_resume(struct kv_training *t, struct kv_training_notices *notices, struct kv_error *error)
{
    struct kv_safetensors *file;
    *notices = (struct kv_training_notices){"", ""};
    kv_status status = open_checkpoint(t->options->out, &file, error);
    if (!status)
        status = check_text(file, t, error);
    if (!status)
        status = read_state(file, t->options->out, &t->state, error);
    if (!status)
        status = compare_machine(file, t, notices, error);
    kv_safetensors_close(file);
    if (!status)
        status = restore(t, notices, error);
    if (!status && t->state.best_loss > 0 && t->state.best_step == (double)kv_trainer_steps(t->trainer))
        status = kv_training_save_model(t, error);
    return status;
}
