/* Training of the GPT-2 that kvbench.h runs: forward, backward, AdamW, on the CPU, in float32.
 *
 * Conventions of kvbench.h. A kv_trainer and its pool belong to one calling thread at a time; with the same pool size
 * the same calls give the same bits. Loss: mean cross-entropy in nats over all B * T positions. No dropout. */
#ifndef KV_TRAIN_TRAIN_H
#define KV_TRAIN_TRAIN_H

#include "model/safetensors.h"
#include "model/weights.h"

/* ---- Learning rate ------------------------------------------------------------------------------------------- */

/* Linear warm-up to `peak`, which step `warmup_steps` has, then half a cosine down to `floor` at `total_steps`, and
 * `floor` from there on (Loshchilov & Hutter 2017, without restarts). */
struct kv_learning_schedule {
    float peak;
    float floor;
    int64_t warmup_steps;
    int64_t total_steps;
};

/* The rate of step 0, 1, ..: a pure function, so a resumed run goes on where it was. */
float kv_learning_rate(const struct kv_learning_schedule *schedule, int64_t step);

/* ---- Batches ------------------------------------------------------------------------------------------------- */

/* What step 0, 1, .. trains on: `batch` windows of a text, each anywhere in it. A pure function of seed and step.
 *   ids              [n_ids], n_ids > n_positions = T
 *   tokens, targets  [B, T]; the targets are the tokens' successors */
void kv_training_batch(const int32_t *ids, size_t n_ids, uint64_t seed, int64_t step, int batch, int n_positions,
                       int32_t *tokens, int32_t *targets);

/* ---- Trainer ------------------------------------------------------------------------------------------------- */

/* AdamW (Loshchilov & Hutter 2019). Only matrices decay, the embeddings among them. */
struct kv_trainer_options {
    float beta1, beta2; /* 0 <= beta < 1 */
    float epsilon;      /* > 0 */
    float weight_decay; /* >= 0 */
    float clip_norm;    /* gradients are scaled down to this norm over all tensors together; 0: never */
};

/* 0.9, 0.95, 1e-8, 0.1, 1.0 */
struct kv_trainer_options kv_trainer_default_options(void);

struct kv_trainer;

/* Bytes that a trainer takes: weights, gradients, two moments, activations. OpenBLAS's own buffers come on top, and so
 * does one more copy of the weights while kv_trainer_initialize runs. 0 when it overflows or an argument is below 1. */
size_t kv_trainer_bytes(const struct kv_config *config, int batch, int n_positions, int n_threads);

/* Allocates everything a step will need: nothing later allocates but kv_trainer_initialize. All weights are 0 until
 * one of the functions below sets them. The pool must outlive it.
 * Errors: ARGUMENT, MEMORY (with the bytes that are needed, before they are taken). */
kv_status kv_trainer_create(struct kv_trainer **trainer, const struct kv_config *config, int batch, int n_positions,
                            struct kv_pool *pool, const struct kv_trainer_options *options, struct kv_error *error);
void kv_trainer_free(struct kv_trainer *trainer);

/* Draws weights as GPT-2 does: deviation 0.02, the projections onto the residual stream 0.02 / sqrt(2 L), gains 1,
 * biases 0. The same bits for the same seed. Errors: MEMORY. */
kv_status kv_trainer_initialize(struct kv_trainer *trainer, uint64_t seed, struct kv_error *error);

/* Copies the weights of a model of the same shape, made for matmul "openblas" or "reference". Errors: ARGUMENT. */
kv_status kv_trainer_copy_weights(struct kv_trainer *trainer, const struct kv_model *model, struct kv_error *error);

/* One step: the loss before it, the gradients, clipping, AdamW.
 *   tokens, targets   [B, T], each 0..V-1; targets[b][t] is what should follow tokens[b][..t]
 * Errors: ARGUMENT; NUMERIC when loss or gradients are not finite. After an error weights, moments and the count of
 * steps are as they were. */
kv_status kv_trainer_step(struct kv_trainer *trainer, const int32_t *tokens, const int32_t *targets,
                          float learning_rate, double *loss, struct kv_error *error);

/* The loss alone; nothing that can be read from the trainer changes. Errors: ARGUMENT, NUMERIC. */
kv_status kv_trainer_loss(struct kv_trainer *trainer, const int32_t *tokens, const int32_t *targets, double *loss,
                          struct kv_error *error);

/* The model in training, for sessions with matmul "openblas" or "reference"; a step changes its weights. */
const struct kv_model *kv_trainer_model(const struct kv_trainer *trainer);

/* Norm over all gradients of the last step, before clipping. */
double kv_trainer_gradient_norm(const struct kv_trainer *trainer);

/* Steps taken: what AdamW corrects its moments' bias by. */
int64_t kv_trainer_steps(const struct kv_trainer *trainer);

/* ---- Checkpoints --------------------------------------------------------------------------------------------- */

/* One safetensors file, F32: weights.NAME, first_moment.NAME and second_moment.NAME of every tensor; the notes "model",
 * the shape in words, and "steps"; and the caller's own, for instance options, which can be read back before there is a
 * trainer (kv_safetensors_open, kv_safetensors_note). Whole or not at all. Errors: ARGUMENT, IO, MEMORY. */
kv_status kv_trainer_save(const struct kv_trainer *trainer, const char *file, const struct kv_note *notes, int n_notes,
                          struct kv_error *error);

/* Goes on from there: with the same batches and pool size, with the same bits. Everything is checked before anything
 * changes; the trainer's options are its own. Errors: IO, FORMAT, MEMORY, ARGUMENT (a model of another shape). */
kv_status kv_trainer_restore(struct kv_trainer *trainer, const char *file, struct kv_error *error);

#endif
