/* The checkpoint of a training, of a model of one layer and width 4. What restores is saved again to the same tensors;
 * what is refused leaves the trainer as it was. */
#include "fuzz.h"

#include "base/random.h"
#include "model/safetensors.h"
#include "text/training.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct kv_config shape = {.n_layer = 1,
                                       .n_head = 2,
                                       .n_embd = 4,
                                       .n_inner = 4,
                                       .vocab_size = 5,
                                       .n_positions = 4,
                                       .activation = KV_GELU_NEW,
                                       .layer_norm_epsilon = 1e-5f};

static uint64_t state_of(const struct kv_trainer *t)
{
    uint64_t hash = (uint64_t)t->steps;
    for (int part = 0; part < KV_TRAINER_N_PARTS; part++)
        for (int i = 0; part != KV_TRAINER_GRADIENTS && i < t->n_slots; i++)
            hash = kv_mix64(hash ^ kv_hash_bytes(t->slots[part][i].data, t->slots[part][i].n_elements * sizeof(float)));
    return hash;
}

static void check_saved(struct kv_trainer *t, const char *input)
{
    struct kv_error error = {""};
    struct kv_safetensors *before, *after;
    char file[600];
    snprintf(file, sizeof file, "%s/again", fuzz_folder());
    FUZZ_HOLDS(kv_trainer_save(t, file, NULL, 0, &error) == KV_OK);
    FUZZ_HOLDS(kv_safetensors_open(&before, input, &error) == KV_OK &&
               kv_safetensors_open(&after, file, &error) == KV_OK);
    FUZZ_HOLDS(kv_safetensors_count(before) == kv_safetensors_count(after));
    for (int i = 0; i < kv_safetensors_count(before); i++) {
        const struct kv_tensor *a = kv_safetensors_at(before, i), *b = kv_safetensors_at(after, i);
        FUZZ_HOLDS(strcmp(a->name, b->name) == 0 && a->n_elements == b->n_elements &&
                   memcmp(a->data, b->data, a->end - a->begin) == 0);
    }
    FUZZ_HOLDS(strcmp(kv_safetensors_note(before, "model"), kv_safetensors_note(after, "model")) == 0);
    kv_safetensors_close(before);
    kv_safetensors_close(after);
}

/* As `train --resume` reads it, of a text whose hash is 1. */
static void check_resume(struct kv_trainer *trainer, struct kv_pool *pool, const uint8_t *data, size_t size)
{
    static const char *const name = "checkpoint.safetensors";
    struct kv_training_notices notices;
    struct kv_error error = {""};
    const struct kv_training_options options = {.text = "text", .out = fuzz_folder(), .dtype = "F32"};
    const struct kv_training_text text = {.hash = 1};
    struct kv_training training = {
        .options = &options, .text = &text, .config = &shape, .settings = "{}", .pool = pool, .trainer = trainer};
    char path[600], *settings;
    snprintf(path, sizeof path, "%s/%s", fuzz_folder(), name);
    FILE *file = fopen(path, "wb");
    FUZZ_HOLDS(file && fwrite(data, 1, size, file) == size && fclose(file) == 0);
    const kv_status found = kv_training_read_settings(fuzz_folder(), &settings, &error);
    if (found)
        fuzz_refused(found, &error);
    free(settings);
    const kv_status status = kv_training_resume(&training, &notices, &error);
    if (status) {
        fuzz_refused(status, &error);
    } else {
        const double numbers[] = {training.state.tokens, training.state.loss_count, training.state.best_step,
                                  training.state.seconds};
        for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) /* they become rows, and whole numbers */
            FUZZ_HOLDS(numbers[i] >= 0 && numbers[i] <= 0x1p53);
        fuzz_say("resumed: %s\n", *notices.rows ? "with a notice" : "as it was");
    }
    kv_training_history_free(&training.history);
    fuzz_clear(fuzz_folder());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct kv_pool *pool;
    static struct kv_trainer *trainer;
    const struct kv_trainer_options options = kv_trainer_default_options();
    struct kv_error error = {""};
    if (!trainer)
        FUZZ_HOLDS(kv_pool_create(&pool, 1, &error) == KV_OK &&
                   kv_trainer_create(&trainer, &shape, 1, 4, pool, &options, &error) == KV_OK);
    const uint64_t before = state_of(trainer);
    const char *file = fuzz_file(data, size);
    const kv_status status = kv_trainer_restore(trainer, file, &error);
    if (status) {
        fuzz_refused(status, &error);
        FUZZ_HOLDS(state_of(trainer) == before);
    } else {
        FUZZ_HOLDS(kv_trainer_steps(trainer) >= 0);
        check_saved(trainer, file);
        fuzz_say("restored\n");
    }
    check_resume(trainer, pool, data, size);
    return 0;
}
