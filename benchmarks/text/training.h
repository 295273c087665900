/* A training run: a text, a trainer, and a folder that always holds what is needed to go on.
 *
 * The folder has
 *   config.json, model.safetensors   the model with the lowest validation loss so far
 *   checkpoint.safetensors           weights, moments, and the notes below: what a run goes on from, to the same bits
 *   training.csv                     a row an evaluation
 * Each file appears under its name whole or not at all. An evaluation writes its row first, then the checkpoint, which
 * is all that counts, then the model, if it is the best one: a run that is resumed just there writes it again. */
#ifndef KV_TEXT_TRAINING_H
#define KV_TEXT_TRAINING_H

#include "train/train.h"

struct kv_training_options {
    const char *text;            /* the file */
    const char *out;             /* the folder */
    const char *init;            /* a checkpoint's folder to start from, or NULL: from scratch */
    const char *tokenizer;       /* NULL: that of `init`, or "bytes" */
    const char *dtype;           /* of model.safetensors: "F32" or "BF16" */
    int n_layer, n_head, n_embd; /* 0: not asked for */
    int context;                 /* T; 0: not asked for */
    int batch, steps, warmup, every, threads;
    int validation; /* percent of the text, its end */
    double rate, floor_rate, weight_decay, clip;
    uint64_t seed;
    bool resume;
};

/* ---- Text --------------------------------------------------------------------------------------------- */

/* The last `validation` percent of the bytes, rounded down, are held out; both parts are encoded apart. */
struct kv_training_text {
    int32_t *ids, *held_out; /* [n_ids], [n_held_out] */
    size_t n_ids, n_held_out;
    size_t n_bytes, n_held_out_bytes;
    uint64_t hash; /* FNV-1a of the whole file: a run that is resumed on another text would not say so */
};

/* Errors: IO, MEMORY, ARGUMENT (either part is shorter than one window of n_positions + 1 ids). */
kv_status kv_training_text_load(struct kv_training_text *text, const char *file, int validation, int n_positions,
                                const struct kv_tokenizer *tokenizer, struct kv_error *error);
void kv_training_text_free(struct kv_training_text *text);

/* ---- Progress ----------------------------------------------------------------------------------------- */

/* What a run knows beside the trainer; it goes into the checkpoint to the last bit. */
struct kv_training_state {
    double tokens;               /* seen */
    double loss_sum, loss_count; /* of the steps since the last evaluation */
    double smooth_loss;          /* running mean of the steps' losses; 0: none yet */
    double lowest_smooth;        /* its lowest value so far */
    double best_loss, best_step; /* lowest validation loss, and where; 0: none yet */
    double gradient_norm;        /* of the last step */
    double seconds;              /* of training and evaluation, of all processes that ran it */
};

/* A row of training.csv. Losses in nats a token, of the mean since the row before, and of all held-out text. */
struct kv_training_row {
    int64_t step;
    int64_t tokens; /* seen */
    double learning_rate;
    double train_loss; /* NaN at step 0 */
    double validation_loss;
    double gradient_norm; /* of the step before, NaN at step 0 */
    double seconds;
};

struct kv_training_history {
    struct kv_training_row *rows; /* [n_rows] */
    int n_rows;
};

kv_status kv_training_history_add(struct kv_training_history *history, const struct kv_training_row *row,
                                  struct kv_error *error);
/* Replaces the file. Errors: IO, MEMORY. */
kv_status kv_training_history_write(const struct kv_training_history *history, const char *file,
                                    struct kv_error *error);
/* Rows up to `last_step`; later ones were written by a process that ended before its next checkpoint. */
kv_status kv_training_history_read(struct kv_training_history *history, const char *file, int64_t last_step,
                                   struct kv_error *error);
void kv_training_history_free(struct kv_training_history *history);

/* ---- Run ---------------------------------------------------------------------------------------------- */

struct kv_training;

/* Callbacks: progress, and a question whether to stop between two steps. */
struct kv_training_watcher {
    void (*on_step)(void *context, const struct kv_training *training);
    void (*on_evaluation)(void *context, const struct kv_training *training, const struct kv_training_row *row);
    bool (*stopped)(void *context);
    void *context;
};

/* All but state and history belongs to the caller. */
struct kv_training {
    const struct kv_training_options *options;
    const struct kv_training_text *text;
    const struct kv_config *config;
    const struct kv_training_watcher *watcher;
    const char *tokenizer; /* its name */
    const char *settings;  /* a JSON object of all options: what --resume starts with */
    int n_positions;       /* T */
    int evaluation_batch;
    struct kv_pool *pool;
    struct kv_trainer *trainer;
    struct kv_session *session; /* on the trainer's model, for evaluations: capacity T */
    int32_t *tokens, *targets;  /* [B, T] */
    struct kv_training_state state;
    struct kv_training_history history;
    int64_t counted_until; /* of state.seconds */
};

/* Trains until options->steps are done or `stopped` says so; then *finished is false, and the checkpoint is that of
 * the last step. Errors: NUMERIC (a loss that is not a number, or that rises by more than 1 nat above its lowest: the
 * files are those of the last evaluation), IO, MEMORY. */
kv_status kv_training_run(struct kv_training *training, bool *finished, struct kv_error *error);

/* ---- Checkpoint ---------------------------------------------------------------------------------------- */

/* Errors: IO, MEMORY. */
kv_status kv_training_save_checkpoint(const struct kv_training *training, struct kv_error *error);

/* The model as it is now, under the folder's name for the best one. Errors: as kv_model_save. */
kv_status kv_training_save_model(const struct kv_training *training, struct kv_error *error);

/* The settings of the run in that folder, for the caller to free(); of an early version a JSON array, the command line.
 * Errors: IO, FORMAT, MEMORY. */
kv_status kv_training_read_settings(const char *folder, char **settings, struct kv_error *error);

/* Warnings of a resumed run; "": none. */
struct kv_training_notices {
    char bits[128]; /* why the bits will not be those of a run that was never stopped */
    char rows[512]; /* why training.csv starts again from here */
};

/* Puts trainer, state and history where the folder's checkpoint has them, and the best model beside it if that is its
 * own. Errors: IO, FORMAT, MEMORY, ARGUMENT (the text is another one). */
kv_status kv_training_resume(struct kv_training *training, struct kv_training_notices *notices, struct kv_error *error);

#endif
