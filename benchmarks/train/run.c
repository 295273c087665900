/* The loop: a step, and now and then an evaluation, which is also when files are written. */
#include "train/training.h"

#include "measure/evaluate.h"
#include "measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* A running mean of about twenty steps, and how far it may rise above its lowest: e times the perplexity is no noise.
 */
#define SMOOTHING 0.05
#define MOST_RISE 1.0

static struct kv_learning_schedule schedule_of(const struct kv_training_options *o)
{
    return (struct kv_learning_schedule){(float)o->rate, (float)o->floor_rate, o->warmup, o->steps};
}

static kv_status diverged(const struct kv_training *t, const char *what, double loss, double lowest,
                          struct kv_error *error)
{
    snprintf(error->message, sizeof error->message,
             "step %lld: the %s loss rose from %.3f to %.3f: training diverges; the files in %.200s are those of the "
             "last evaluation: start again with a lower --lr, or a longer --warmup",
             (long long)kv_trainer_steps(t->trainer), what, lowest, loss, t->options->out);
    return KV_ERROR_NUMERIC;
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
    s->loss_sum += loss;
    s->loss_count++;
    s->smooth_loss = s->smooth_loss > 0 ? s->smooth_loss + SMOOTHING * (loss - s->smooth_loss) : loss;
    if (s->lowest_smooth <= 0 || s->smooth_loss < s->lowest_smooth)
        s->lowest_smooth = s->smooth_loss;
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

/* The rows first, then the model, the checkpoint last: what it knows of is there. */
static kv_status write_files(struct kv_training *t, bool is_best, struct kv_error *error)
{
    char *history;
    if (asprintf(&history, "%s/training.csv", t->options->out) < 0) {
        snprintf(error->message, sizeof error->message, "%.400s: no memory to write it", t->options->out);
        return KV_ERROR_MEMORY;
    }
    kv_status status = kv_training_history_write(&t->history, history, error);
    free(history);
    if (!status && is_best)
        status = kv_model_save(kv_trainer_model(t->trainer), t->options->out, t->options->dtype, t->tokenizer, error);
    return status ? status : kv_training_save_checkpoint(t, error);
}

static struct kv_training_row make_row(const struct kv_training *t, double validation_loss)
{
    const struct kv_learning_schedule schedule = schedule_of(t->options);
    const struct kv_training_state *s = &t->state;
    const int64_t step = kv_trainer_steps(t->trainer);
    return (struct kv_training_row){
        .step = step,
        .tokens = step * t->options->batch * t->n_positions,
        .learning_rate = (double)kv_learning_rate(&schedule, step ? step - 1 : 0),
        .train_loss = s->loss_count > 0 ? s->loss_sum / s->loss_count : NAN,
        .validation_loss = validation_loss,
        .gradient_norm = step ? s->gradient_norm : NAN,
        .seconds = s->seconds,
    };
}

static kv_status evaluate(struct kv_training *t, struct kv_error *error)
{
    struct kv_training_state *s = &t->state;
    struct kv_evaluation evaluation;
    kv_status status = kv_evaluate(t->session, t->config, t->evaluation_batch, t->n_positions, t->text->held_out,
                                   t->text->n_held_out, &evaluation, error);
    if (!status && s->best_loss > 0 && evaluation.loss > s->best_loss + MOST_RISE)
        status = diverged(t, "validation", evaluation.loss, s->best_loss, error);
    if (status)
        return status;
    count_time(t);
    const struct kv_training_row row = make_row(t, evaluation.loss);
    const bool is_best = s->best_loss <= 0 || evaluation.loss < s->best_loss;
    status = kv_training_history_add(&t->history, &row, error);
    if (status)
        return status;
    if (is_best) {
        s->best_loss = evaluation.loss;
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
        *finished = kv_trainer_steps(t->trainer) >= t->options->steps;
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
