#include "text/training.h"

#include "base/error.h"
#include "base/random.h"
#include "measure/measure.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Text --------------------------------------------------------------------------------------------- */

static kv_status check_length(const char *file, const char *part, size_t n_ids, int n_positions, struct kv_error *error)
{
    if (n_ids > (size_t)n_positions)
        return KV_OK;
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "%.300s: the part %s has %zu tokens, a window takes %d; give a longer text, or change --context or "
                   "--validation",
                   file, part, n_ids, n_positions + 1);
}

kv_status kv_training_text_load(struct kv_training_text *text, const char *file, int validation, int n_positions,
                                const struct kv_tokenizer *tokenizer, struct kv_error *error)
{
    char *bytes;
    *text = (struct kv_training_text){0};
    kv_status status = kv_text_file_read(file, &bytes, &text->n_bytes, error);
    if (status)
        return status;
    text->hash = kv_hash_bytes(bytes, text->n_bytes);
    text->n_held_out_bytes = text->n_bytes / 100 * (size_t)validation + text->n_bytes % 100 * (size_t)validation / 100;
    const size_t n_train = text->n_bytes - text->n_held_out_bytes;
    status = kv_tokenizer_encode(tokenizer, bytes, n_train, false, &text->ids, &text->n_ids, error);
    if (!status)
        status = kv_tokenizer_encode(tokenizer, bytes + n_train, text->n_held_out_bytes, false, &text->held_out,
                                     &text->n_held_out, error);
    free(bytes);
    if (!status)
        status = check_length(file, "to train on", text->n_ids, n_positions, error);
    if (!status)
        status = check_length(file, "held out", text->n_held_out, n_positions, error);
    if (status)
        kv_training_text_free(text);
    return status;
}

void kv_training_text_free(struct kv_training_text *text)
{
    free(text->ids);
    free(text->held_out);
    *text = (struct kv_training_text){0};
}

/* ---- Run ---------------------------------------------------------------------------------------------- */

/* The losses of single steps are noise: their running mean is over twenty of them, or over so many tokens where that is
 * more. By how much it may rise above its lowest: e times the perplexity. */
#define SMOOTHED_STEPS  20.0
#define SMOOTHED_TOKENS 32768.0
#define MOST_RISE       1.0
/* A validation loss that rises while the training loss stays this near its lowest is overfitting, not divergence. */
#define NEAR_LOWEST 0.25

static struct kv_learning_schedule schedule_of(const struct kv_training_options *o)
{
    return (struct kv_learning_schedule){(float)o->rate, (float)o->floor_rate, o->warmup, o->steps};
}

static kv_status diverged(const struct kv_training *t, const char *what, double loss, double lowest,
                          struct kv_error *error)
{
    char how[64] = "is not a number";
    if (isfinite(loss))
        snprintf(how, sizeof how, "rose from %.3f to %.3f", lowest, loss);
    snprintf(
        error->message, sizeof error->message,
        "step %lld: the %s loss %s: training diverges; the files in %.200s are those of the last evaluation: start "
        "again with a lower --lr, or a longer --warmup",
        (long long)kv_trainer_steps(t->trainer), what, how, t->options->out);
    return KV_ERROR_NUMERIC;
}

/* The running mean, and its lowest value from when it is over as much as it is to be. At first nothing is known, and a
 * loss is at best what guessing costs. */
static void smooth(struct kv_training *t, double loss)
{
    struct kv_training_state *s = &t->state;
    const double tokens_a_step = (double)t->options->batch * (double)t->n_positions;
    const double share = 1 / SMOOTHED_STEPS < tokens_a_step / SMOOTHED_TOKENS ? 1 / SMOOTHED_STEPS
                                                                              : tokens_a_step / SMOOTHED_TOKENS;
    const double first = 1 / (double)kv_trainer_steps(t->trainer); /* a plain mean until that is smaller */
    const double guessing = log(t->config->vocab_size);
    s->smooth_loss += (first > share ? first : share) * (loss - s->smooth_loss);
    if (s->lowest_smooth <= 0)
        s->lowest_smooth = s->smooth_loss > guessing ? s->smooth_loss : guessing;
    if (first <= share && s->smooth_loss < s->lowest_smooth)
        s->lowest_smooth = s->smooth_loss;
}

static kv_status take_step(struct kv_training *t, struct kv_error *error)
{
    const struct kv_training_options *o = t->options;
    const struct kv_learning_schedule schedule = schedule_of(o);
    const int64_t step = kv_trainer_steps(t->trainer);
    struct kv_training_state *s = &t->state;
    double loss;
    kv_training_batch(t->text->ids, t->text->n_ids, o->seed, step, o->batch, t->n_positions, t->tokens, t->targets);
    const kv_status status = kv_trainer_step(t->trainer, t->tokens, t->targets, kv_learning_rate(&schedule, step),
                                             &loss, error);
    if (status)
        return status;
    s->gradient_norm = kv_trainer_gradient_norm(t->trainer);
    s->tokens += (double)o->batch * t->n_positions;
    s->loss_sum += loss;
    s->loss_count++;
    smooth(t, loss);
    return s->smooth_loss > s->lowest_smooth + MOST_RISE
               ? diverged(t, "training", s->smooth_loss, s->lowest_smooth, error)
               : KV_OK;
}

/* Counts the time since the last call, or since the run began. */
static void count_time(struct kv_training *t)
{
    const int64_t now = kv_now_ns();
    t->state.seconds += (double)(now - t->counted_until) / 1e9;
    t->counted_until = now;
}

kv_status kv_training_save_model(const struct kv_training *t, struct kv_error *error)
{
    return kv_model_save(kv_trainer_model(t->trainer), t->options->out, t->options->dtype, t->tokenizer, error);
}

/* In the order that training.h tells of. */
static kv_status write_files(struct kv_training *t, bool is_best, struct kv_error *error)
{
    char *history;
    if (asprintf(&history, "%s/training.csv", t->options->out) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%.400s: no memory to write it", t->options->out);
    kv_status status = kv_training_history_write(&t->history, history, error);
    free(history);
    if (!status)
        status = kv_training_save_checkpoint(t, error);
    return status || !is_best ? status : kv_training_save_model(t, error);
}

static struct kv_training_row make_row(const struct kv_training *t, double validation_loss)
{
    const struct kv_learning_schedule schedule = schedule_of(t->options);
    const struct kv_training_state *s = &t->state;
    const int64_t step = kv_trainer_steps(t->trainer);
    return (struct kv_training_row){
        .step = step,
        .tokens = (int64_t)s->tokens,
        .learning_rate = (double)kv_learning_rate(&schedule, step ? step - 1 : 0),
        .train_loss = s->loss_count > 0 ? s->loss_sum / s->loss_count : NAN,
        .validation_loss = validation_loss,
        .gradient_norm = step ? s->gradient_norm : NAN,
        .seconds = s->seconds,
    };
}

/* The loss of the held-out text, some windows at a time, so that a person who stops the run need not wait for all of
 * it: *loss is then NaN. */
static kv_status held_out_loss(struct kv_training *t, double *loss, struct kv_error *error)
{
    const size_t n = t->text->n_held_out - 1, step = (size_t)t->evaluation_batch * (size_t)t->n_positions;
    struct kv_evaluation whole = {0};
    kv_status status = KV_OK;
    *loss = NAN;
    for (size_t at = 0; !status && at < n; at += step) {
        struct kv_evaluation part;
        if (t->watcher->stopped(t->watcher->context))
            return KV_OK;
        status = kv_evaluate(t->session, t->config, t->evaluation_batch, t->n_positions, t->text->held_out + at,
                             (n - at < step ? n - at : step) + 1, &part, error);
        if (!status)
            kv_evaluation_add(&whole, &part);
    }
    if (status == KV_ERROR_NUMERIC)
        return diverged(t, "validation", NAN, t->state.best_loss, error);
    *loss = whole.loss;
    return status;
}

static kv_status check_validation(const struct kv_training *t, double loss, struct kv_error *error)
{
    const struct kv_training_state *s = &t->state;
    if (s->best_loss > 0 && loss > s->best_loss + MOST_RISE && s->smooth_loss > s->lowest_smooth + NEAR_LOWEST)
        return diverged(t, "validation", loss, s->best_loss, error);
    return KV_OK;
}

static kv_status evaluate(struct kv_training *t, struct kv_error *error)
{
    struct kv_training_state *s = &t->state;
    double loss;
    kv_status status = held_out_loss(t, &loss, error);
    if (!status && isnan(loss))
        return KV_OK;
    if (!status)
        status = check_validation(t, loss, error);
    if (status)
        return status;
    count_time(t);
    const struct kv_training_row row = make_row(t, loss);
    const bool is_best = s->best_loss <= 0 || loss < s->best_loss;
    status = kv_training_history_add(&t->history, &row, error);
    if (status)
        return status;
    if (is_best) {
        s->best_loss = loss;
        s->best_step = (double)row.step;
    }
    s->loss_sum = s->loss_count = 0;
    status = write_files(t, is_best, error);
    if (!status)
        t->watcher->on_evaluation(t->watcher->context, t, &row);
    return status;
}

/* At the start, every so many steps, and at the end; not again where a resumed run has it already. */
static bool is_due(const struct kv_training *t)
{
    const int64_t step = kv_trainer_steps(t->trainer);
    const bool has_row = t->history.n_rows > 0 && t->history.rows[t->history.n_rows - 1].step == step;
    return !has_row && (step % t->options->every == 0 || step == t->options->steps);
}

kv_status kv_training_run(struct kv_training *t, bool *finished, struct kv_error *error)
{
    kv_status status = KV_OK;
    *finished = false;
    t->counted_until = kv_now_ns();
    while (!status) {
        if (is_due(t))
            status = evaluate(t, error);
        *finished = kv_trainer_steps(t->trainer) >= t->options->steps && !is_due(t);
        if (status || *finished)
            break;
        if (t->watcher->stopped(t->watcher->context))
            return kv_training_save_checkpoint(t, error);
        status = take_step(t, error);
        count_time(t);
        if (!status)
            t->watcher->on_step(t->watcher->context, t);
    }
    return status;
}
