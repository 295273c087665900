/* All that a run needs to go on with the same bits: weights, both moments, the count of steps, in one file. */
#include "base/error.h"
#include "base/number.h"
#include "train/trainer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *prefix;
    enum kv_trainer_part part;
} parts[] = {{"weights", KV_TRAINER_WEIGHTS},
             {"first_moment", KV_TRAINER_FIRST_MOMENT},
             {"second_moment", KV_TRAINER_SECOND_MOMENT}};
enum { N_PARTS = sizeof parts / sizeof parts[0], N_OWN_NOTES = 2 };

struct tensor_name {
    char text[64];
};

static void name_tensor(struct tensor_name *name, int part, const struct kv_tensor_slot *slot)
{
    snprintf(name->text, sizeof name->text, "%s.%s", parts[part].prefix, slot->name);
}

struct shape_text {
    char text[256];
};

/* Heads, activation and epsilon change what the tensors mean, and show in no tensor's shape. */
static struct shape_text describe(const struct kv_config *c)
{
    struct shape_text shape;
    snprintf(shape.text, sizeof shape.text,
             "n_layer %d, n_head %d, n_embd %d, n_inner %d, vocab_size %d, n_positions %d, %s, layer_norm_epsilon %.9g",
             c->n_layer, c->n_head, c->n_embd, c->n_inner, c->vocab_size, c->n_positions,
             c->activation == KV_GELU ? "gelu" : "gelu_new", (double)c->layer_norm_epsilon);
    return shape;
}

/* ---- Saving -------------------------------------------------------------------------------------------------- */

kv_status kv_trainer_save(const struct kv_trainer *t, const char *file, const struct kv_note *notes, int n_notes,
                          struct kv_error *error)
{
    const struct shape_text shape = describe(&t->model->config);
    const size_t n = (size_t)t->n_slots;
    char steps[32];
    struct tensor_name *names = malloc(N_PARTS * n * sizeof *names);
    struct kv_tensor_source *tensors = malloc(N_PARTS * n * sizeof *tensors);
    struct kv_note *all_notes = malloc(((size_t)n_notes + N_OWN_NOTES) * sizeof *all_notes);
    kv_status status = KV_OK;
    if (!names || !tensors || !all_notes) {
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to write it", file);
    } else {
        snprintf(steps, sizeof steps, "%" PRId64, t->steps);
        all_notes[0] = (struct kv_note){"model", shape.text};
        all_notes[1] = (struct kv_note){"steps", steps};
        for (int i = 0; i < n_notes; i++)
            all_notes[N_OWN_NOTES + i] = notes[i];
        for (size_t i = 0; i < N_PARTS * n; i++) {
            const struct kv_tensor_slot *slot = &t->slots[parts[i / n].part][i % n];
            name_tensor(&names[i], (int)(i / n), slot);
            tensors[i] = (struct kv_tensor_source){names[i].text, KV_DTYPE_F32, slot->n_dims, slot->shape, slot->data};
        }
        status = kv_safetensors_write(file, tensors, (int)(N_PARTS * n), all_notes, n_notes + N_OWN_NOTES, error);
    }
    free(names);
    free(tensors);
    free(all_notes);
    return status;
}

/* ---- Restoring ----------------------------------------------------------------------------------------------- */

static kv_status read_steps(const struct kv_safetensors *file, const char *path, int64_t *steps, struct kv_error *error)
{
    const char *note = kv_safetensors_note(file, "steps");
    uint64_t number = 0;
    if (!note)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: not a checkpoint of a training run: it has no note 'steps'", path);
    const char *end = note;
    const bool good = kv_number_whole(&end, 0, INT64_MAX, &number) && !*end;
    *steps = (int64_t)number;
    if (!good)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: note 'steps' is '%.40s', it must be a whole number of at least 0",
                       path, note);
    return KV_OK;
}

static kv_status check_model(const struct kv_safetensors *file, const char *path, const struct kv_config *config,
                             struct kv_error *error)
{
    const struct shape_text shape = describe(config);
    const char *note = kv_safetensors_note(file, "model");
    if (!note)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: not a checkpoint of a training run: it has no note 'model'", path);
    if (strcmp(note, shape.text) != 0)
        return kv_fail(error, KV_ERROR_ARGUMENT, "%s: its model is %.160s; the one in training is %s", path, note,
                       shape.text);
    return KV_OK;
}

static kv_status find_tensor(const struct kv_safetensors *file, const char *path, int part,
                             const struct kv_tensor_slot *slot, const struct kv_tensor **tensor, struct kv_error *error)
{
    struct tensor_name name;
    name_tensor(&name, part, slot);
    *tensor = kv_safetensors_find(file, name.text);
    if (!*tensor)
        return kv_fail(error, KV_ERROR_FORMAT, "%s: tensor '%s' is missing; go back to another checkpoint", path,
                       name.text);
    bool same = (*tensor)->n_dims == slot->n_dims && (*tensor)->dtype == KV_DTYPE_F32;
    for (int i = 0; same && i < slot->n_dims; i++)
        same = (*tensor)->shape[i] == slot->shape[i];
    if (!same)
        return kv_fail(error, KV_ERROR_FORMAT,
                       "%s: tensor '%s' has another shape or type than the note 'model' tells; go back to another "
                       "checkpoint",
                       path, name.text);
    return KV_OK;
}

/* sources [N_PARTS * n_slots] */
static kv_status find_tensors(const struct kv_trainer *t, const struct kv_safetensors *file, const char *path,
                              const struct kv_tensor **sources, struct kv_error *error)
{
    const int n = N_PARTS * t->n_slots;
    kv_status status = KV_OK;
    for (int i = 0; !status && i < n; i++) {
        const int part = i / t->n_slots;
        status = find_tensor(file, path, part, &t->slots[parts[part].part][i % t->n_slots], &sources[i], error);
    }
    if (!status && kv_safetensors_count(file) != n)
        status = kv_fail(error, KV_ERROR_FORMAT, "%s: it has %d tensors, a checkpoint of its model has %d", path,
                         kv_safetensors_count(file), n);
    return status;
}

kv_status kv_trainer_restore(struct kv_trainer *t, const char *path, struct kv_error *error)
{
    struct kv_safetensors *file;
    const struct kv_tensor **sources = NULL;
    int64_t steps = 0;
    kv_status status = kv_safetensors_open(&file, path, error);
    if (status)
        return status;
    status = read_steps(file, path, &steps, error);
    if (!status)
        status = check_model(file, path, &t->model->config, error);
    if (!status && !(sources = malloc(N_PARTS * (size_t)t->n_slots * sizeof *sources)))
        status = kv_fail(error, KV_ERROR_MEMORY, "%s: no memory to read it", path);
    if (!status)
        status = find_tensors(t, file, path, sources, error);
    for (int i = 0; !status && i < N_PARTS * t->n_slots; i++) {
        const struct kv_tensor_slot *slot = &t->slots[parts[i / t->n_slots].part][i % t->n_slots];
        memcpy(slot->data, sources[i]->data, slot->n_elements * sizeof(float));
        kv_safetensors_release(sources[i]);
    }
    if (!status)
        t->steps = steps;
    free(sources);
    kv_safetensors_close(file);
    return status;
}
