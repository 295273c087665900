#include "cli/train.h"

#include "measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <unistd.h>

#define REDRAW_NS 500000000

static bool stopped(void *context)
{
    (void)context;
    return signals_received() != 0;
}

/* "51,234 tokens/s, 12:03 left", by this sitting's steps. */
static void print_rate(const struct train_progress *p, const struct kv_training *t)
{
    const int64_t step = kv_trainer_steps(t->trainer), done = step - p->first_step;
    const double seconds = (double)(kv_now_ns() - p->began_ns) / 1e9;
    char left[32];
    if (done > 0)
        fprintf(stderr, ", %.0f tokens/s, %s left", (double)(done * t->options->batch * t->n_positions) / seconds,
                kv_clock_text((double)(t->options->steps - step) * seconds / (double)done, left));
}

static void on_step(void *context, const struct kv_training *t)
{
    struct train_progress *p = context;
    const int64_t now = kv_now_ns();
    if (p->first_step < 0) /* resumed between two evaluations */
        p->first_step = kv_trainer_steps(t->trainer) - 1;
    if (!p->redraws || now - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = now;
    fprintf(stderr, "\r\033[Kstep %lld of %d, loss %.3f", (long long)kv_trainer_steps(t->trainer), t->options->steps,
            t->state.smooth_loss);
    print_rate(p, t);
}

static void on_evaluation(void *context, const struct kv_training *t, const struct kv_training_row *row)
{
    struct train_progress *p = context;
    if (p->first_step < 0) { /* what comes before the first step, an evaluation, is no part of the steps' rate */
        p->first_step = row->step;
        p->began_ns = kv_now_ns();
    }
    fprintf(stderr, "%sstep %lld of %d: ", p->redraws ? "\r\033[K" : "", (long long)row->step, t->options->steps);
    if (!isnan(row->train_loss))
        fprintf(stderr, "training loss %.4f, ", row->train_loss);
    fprintf(stderr, "validation loss %.4f%s", row->validation_loss,
            row->step && t->state.best_step == (double)row->step ? " (lowest)" : "");
    print_rate(p, t);
    fputc('\n', stderr);
}

void train_progress_begin(struct train_progress *p)
{
    *p = (struct train_progress){
        .watcher = {on_step, on_evaluation, stopped, p},
        .redraws = isatty(STDERR_FILENO),
        .began_ns = kv_now_ns(),
        .first_step = -1,
    };
    signals_listen(
        "\nstopping after this step; once more to end at once, without what came since the last evaluation\n");
}

void train_progress_end(const struct train_progress *p)
{
    if (p->redraws)
        fputs("\r\033[K", stderr);
}
