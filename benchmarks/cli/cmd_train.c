#include "cli/train.h"

#include "base/error.h"
#include "base/file.h"
#include "measure/measure.h"
#include "measure/status_line.h"
#include "text/evaluate.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* All that a run needs, in the order in which it is made. */
struct work {
    struct kv_training training;
    struct kv_config config;
    struct kv_training_text text;
    struct kv_tokenizer *tokenizer;
    char *init; /* the folder that shape and tokenizer come from, or NULL */
    int lock;   /* on the folder of --out; -1: none yet */
};

static void free_work(struct work *w)
{
    kv_training_history_free(&w->training.history);
    free(w->training.tokens);
    free(w->training.targets);
    kv_session_free(w->training.session);
    kv_trainer_free(w->training.trainer);
    kv_pool_free(w->training.pool);
    kv_training_text_free(&w->text);
    kv_tokenizer_free(w->tokenizer);
    free(w->init);
    if (w->lock >= 0)
        close(w->lock);
}

/* ---- The folder ---------------------------------------------------------------------------------------- */

static bool has_file(const char *folder, const char *name)
{
    char *file;
    if (asprintf(&file, "%s/%s", folder, name) < 0)
        return false;
    const bool there = access(file, F_OK) == 0;
    free(file);
    return there;
}

static kv_status refuse_file_in(const char *folder, const char *name, const char *remedy, struct kv_error *error)
{
    if (!has_file(folder, name))
        return KV_OK;
    return kv_fail(error, KV_ERROR_ARGUMENT, "%.300s holds %s already: %s", folder, name, remedy);
}

/* A new run wants a folder that holds no other one. */
static kv_status check_folder(const char *folder, struct kv_error *error)
{
    const kv_status status = refuse_file_in(folder, "checkpoint.safetensors",
                                            "--resume goes on with that run; a new one needs another --out", error);
    return status ? status
                  : refuse_file_in(folder, "model.safetensors", "give another --out, so that this model stays", error);
}

/* Makes the folder where there is none, and keeps it for this run alone. */
static kv_status take_folder(struct work *w, const char *folder, struct kv_error *error)
{
    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return kv_fail(error, KV_ERROR_IO, "%.300s: cannot be made: %s", folder, strerror(errno));
    return kv_folder_lock(&w->lock, folder, error);
}

/* ---- Preparation --------------------------------------------------------------------------------------- */

/* The shape of the checkpoint to start from, which must know all ids of the tokenizer. A run that is resumed has it in
 * its own folder, unless it was ended before its first model was there. */
static kv_status choose_shape_of_init(struct work *w, const struct kv_training_options *o, struct kv_error *error)
{
    char *file;
    w->init = o->resume && has_file(o->out, "config.json") ? strdup(o->out) : model_folder(o->init);
    if (!w->init)
        return kv_fail(error, KV_ERROR_ARGUMENT, "--init %.200s: there are no weights of that name", o->init);
    if (asprintf(&file, "%s/config.json", w->init) < 0)
        return kv_fail(error, KV_ERROR_MEMORY, "%.300s: no memory to open it", w->init);
    kv_status status = kv_config_load(file, &w->config, error);
    free(file);
    if (!status)
        status = text_tokenizer(o->tokenizer, w->init, &w->tokenizer, error);
    if (!status && kv_tokenizer_vocab_size(w->tokenizer) > w->config.vocab_size)
        status = kv_fail(error, KV_ERROR_ARGUMENT, "tokenizer '%s' has %d ids, the model in %.200s knows %d",
                         kv_tokenizer_name(w->tokenizer), kv_tokenizer_vocab_size(w->tokenizer), w->init,
                         w->config.vocab_size);
    return status;
}

static kv_status choose_shape(struct work *w, const struct kv_training_options *o, struct kv_error *error)
{
    if (o->init)
        return choose_shape_of_init(w, o, error);
    const kv_status status = text_tokenizer(o->tokenizer ? o->tokenizer : "bytes", NULL, &w->tokenizer, error);
    if (!status)
        w->config = (struct kv_config){.n_layer = o->n_layer,
                                       .n_head = o->n_head,
                                       .n_embd = o->n_embd,
                                       .n_inner = 4 * o->n_embd,
                                       .vocab_size = kv_tokenizer_vocab_size(w->tokenizer),
                                       .n_positions = o->context,
                                       .activation = KV_GELU_NEW,
                                       .layer_norm_epsilon = 1e-5f};
    return status;
}

static int window_of(const struct kv_training_options *o, const struct kv_config *config)
{
    return o->context ? o->context : config->n_positions < 256 ? config->n_positions : 256;
}

/* Trainer, session and buffers: nothing large is allocated for long after this. */
static kv_status allocate(struct work *w, const struct kv_training_options *o, struct kv_error *error)
{
    struct kv_training *t = &w->training;
    struct kv_trainer_options options = kv_trainer_default_options();
    options.weight_decay = (float)o->weight_decay;
    options.clip_norm = (float)o->clip;
    kv_status status = kv_pool_create(&t->pool, o->threads ? o->threads : kv_default_threads(), error);
    if (!status)
        status = kv_trainer_create(&t->trainer, &w->config, o->batch, t->n_positions, t->pool, &options, error);
    if (status)
        return status;
    t->evaluation_batch = kv_evaluation_batch(&w->config, t->n_positions);
    const struct kv_session_options session = {
        .path = "cached", .matmul = "openblas", .batch = t->evaluation_batch, .capacity = t->n_positions};
    status = kv_session_create(&t->session, kv_trainer_model(t->trainer), t->pool, &session, error);
    const size_t rows = (size_t)o->batch * (size_t)t->n_positions;
    t->tokens = malloc(rows * sizeof *t->tokens);
    t->targets = malloc(rows * sizeof *t->targets);
    if (!status && !(t->tokens && t->targets))
        status = kv_fail(error, KV_ERROR_MEMORY, "no memory for a batch of %d windows", o->batch);
    return status;
}

/* The weights that a new run starts with. */
static kv_status set_weights(struct work *w, const struct kv_training_options *o, struct kv_error *error)
{
    struct kv_model *model;
    if (!o->init)
        return kv_trainer_initialize(w->training.trainer, o->seed, error);
    kv_status status = kv_model_load(&model, w->init, NULL, "openblas", w->training.pool, error);
    if (!status)
        status = kv_trainer_copy_weights(w->training.trainer, model, error);
    kv_model_free(model);
    return status;
}

/* The program and the text, which are resident by now, the trainer, and an evaluation. The second copy of the weights
 * with which a run begins is gone before moments and activations are first written. */
static size_t peak_bytes(const struct work *w, const struct kv_training_options *o, size_t resident_before)
{
    const struct kv_training *t = &w->training;
    const size_t V = (size_t)w->config.vocab_size, rows = (size_t)t->evaluation_batch * (size_t)t->n_positions;
    return resident_before + kv_trainer_bytes(&w->config, o->batch, t->n_positions, kv_pool_size(t->pool)) +
           kv_session_bytes(t->session) + rows * V * sizeof(float);
}

static void announce(const struct work *w, const struct kv_training_options *o, size_t resident_before)
{
    const struct kv_config *c = &w->config;
    const double windows = (double)o->steps * o->batch * w->training.n_positions;
    fprintf(stderr, "text: %zu tokens (%s) to train on, %zu held out\n", w->text.n_ids, kv_tokenizer_name(w->tokenizer),
            w->text.n_held_out);
    fprintf(stderr, "model: %d layer%s, %d head%s, width %d, context %d: %.2f million parameters\n", c->n_layer,
            c->n_layer == 1 ? "" : "s", c->n_head, c->n_head == 1 ? "" : "s", c->n_embd, c->n_positions,
            (double)kv_config_parameters(c) / 1e6);
    fprintf(stderr, "training: %d steps of %d x %d tokens, %.1f times the text; peak memory about %.0f MiB\n", o->steps,
            o->batch, w->training.n_positions, windows / (double)w->text.n_ids,
            (double)peak_bytes(w, o, resident_before) / 0x1p20);
}

/* ---- Progress ---------------------------------------------------------------------------------------- */

/* Writes progress to stderr; ends a training at the first SIGINT or SIGTERM, between two steps. */
struct progress {
    struct kv_training_watcher watcher;
    bool redraws; /* a terminal: one line, drawn over */
    int64_t began_ns, drawn_ns;
    int64_t first_step; /* of this process; -1: not begun */
};

#define REDRAW_NS 500000000

static bool stopped(void *context)
{
    (void)context;
    return signals_received() != 0;
}

/* ", 51234 tokens/s, 12:03 left", by the steps of this process; nothing before the first. */
static const char *rate_text(const struct progress *p, const struct kv_training *t, char text[96])
{
    const int64_t step = kv_trainer_steps(t->trainer), done = step - p->first_step;
    const double seconds = (double)(kv_now_ns() - p->began_ns) / 1e9;
    char left[32];
    *text = '\0';
    if (done > 0)
        snprintf(text, 96, ", %.0f tokens/s, %s left", (double)(done * t->options->batch * t->n_positions) / seconds,
                 kv_clock_text((double)(t->options->steps - step) * seconds / (double)done, left));
    return text;
}

static void on_step(void *context, const struct kv_training *t)
{
    struct progress *p = context;
    const int64_t now = kv_now_ns();
    char line[192], rate[96];
    if (p->first_step < 0) /* resumed between two evaluations */
        p->first_step = kv_trainer_steps(t->trainer) - 1;
    if (!p->redraws || now - p->drawn_ns < REDRAW_NS)
        return;
    p->drawn_ns = now;
    snprintf(line, sizeof line, "step %lld of %d, loss %.3f%s", (long long)kv_trainer_steps(t->trainer),
             t->options->steps, t->state.smooth_loss, rate_text(p, t, rate));
    kv_status_line(line, false);
}

static void on_evaluation(void *context, const struct kv_training *t, const struct kv_training_row *row)
{
    struct progress *p = context;
    char line[256], training[48] = "", rate[96];
    if (p->first_step < 0) { /* what comes before the first step, an evaluation, is no part of the steps' rate */
        p->first_step = row->step;
        p->began_ns = kv_now_ns();
    }
    if (!isnan(row->train_loss))
        snprintf(training, sizeof training, "training loss %.4f, ", row->train_loss);
    snprintf(line, sizeof line, "step %lld of %d: %svalidation loss %.4f%s%s", (long long)row->step, t->options->steps,
             training, row->validation_loss, row->step && t->state.best_step == (double)row->step ? " (lowest)" : "",
             rate_text(p, t, rate));
    if (p->redraws)
        kv_status_line(line, true);
    else
        fprintf(stderr, "%s\n", line);
}

static void progress_begin(struct progress *p)
{
    *p = (struct progress){
        .watcher = {on_step, on_evaluation, stopped, p},
        .redraws = kv_status_line_possible(),
        .began_ns = kv_now_ns(),
        .first_step = -1,
    };
    signals_listen(
        "\nstopping after this step; once more to end at once, without what came since the last evaluation\n");
}

static void progress_end(const struct progress *p)
{
    if (p->redraws)
        kv_status_line_end();
}

/* ---- Run ----------------------------------------------------------------------------------------------- */

static kv_status start_or_resume(struct work *w, const struct kv_training_options *o, size_t resident_before,
                                 struct kv_error *error)
{
    struct kv_training_notices notices;
    const kv_status status = o->resume ? kv_training_resume(&w->training, &notices, error) : set_weights(w, o, error);
    if (status)
        return status;
    announce(w, o, resident_before);
    if (!o->resume)
        return KV_OK;
    if (*notices.bits)
        fprintf(stderr, "kvbench train: warning: %s: the result will not be bit for bit that of an uninterrupted run\n",
                notices.bits);
    if (*notices.rows)
        fprintf(stderr, "kvbench train: warning: %s: training.csv starts again from here\n", notices.rows);
    if (kv_trainer_steps(w->training.trainer) >= o->steps)
        fprintf(stderr, "kvbench train: all %d steps are done; a larger --steps goes on\n", o->steps);
    return KV_OK;
}

static void print_result(const struct work *w, const struct kv_training_options *o)
{
    const struct kv_training_state *s = &w->training.state;
    size_t n_first; /* bytes of the first token, which nothing predicts */
    char time[32];
    kv_tokenizer_token(w->tokenizer, w->text.held_out[0], &n_first);
    const double bits = s->best_loss * (double)(w->text.n_held_out - 1) /
                        (log(2) * (double)(w->text.n_held_out_bytes - n_first));
    printf("validation loss %.4f nats a token, %.3f bits a byte, at step %.0f; %s of training, peak memory %.0f MiB\n",
           s->best_loss, bits, s->best_step, kv_clock_text(s->seconds, time), (double)kv_rss_peak() / 0x1p20);
    /* A plain word could be the name of another model. */
    printf("the model is in %s: %s generate --model %s%s\n", o->out, cli_called(), strchr(o->out, '/') ? "" : "./",
           o->out);
}

static kv_status load_text(struct work *w, const struct kv_training_options *o, struct kv_error *error)
{
    const kv_status status = kv_training_text_load(&w->text, o->text, o->validation, w->training.n_positions,
                                                   w->tokenizer, error);
    const size_t length = status ? strlen(error->message) : 0;
    if (status == KV_ERROR_IO && o->resume)
        snprintf(error->message + length, sizeof error->message - length, "; --text says where it is now");
    return status;
}

static int train(const char *command, struct work *w, const struct kv_training_options *o)
{
    struct kv_error error = {""};
    struct progress progress;
    bool finished = false;
    kv_status status = o->resume ? KV_OK : check_folder(o->out, &error);
    if (!status)
        status = choose_shape(w, o, &error);
    w->training.n_positions = window_of(o, &w->config);
    if (!status)
        status = load_text(w, o, &error);
    const size_t resident_before = kv_rss_peak();
    if (!status)
        status = allocate(w, o, &error);
    if (!status)
        status = take_folder(w, o->out, &error);
    if (!status) {
        w->training.tokenizer = kv_tokenizer_name(w->tokenizer);
        status = start_or_resume(w, o, resident_before, &error);
    }
    if (!status) {
        progress_begin(&progress);
        w->training.watcher = &progress.watcher;
        status = kv_training_run(&w->training, &finished, &error);
        progress_end(&progress);
    }
    if (status)
        return cli_fail(command, CLI_FAILED, "%s", error.message);
    if (!finished)
        return cli_fail(command, CLI_FAILED, "stopped after step %lld; %s train --out %s --resume goes on from here",
                        (long long)kv_trainer_steps(w->training.trainer), cli_called(), o->out);
    print_result(w, o);
    return CLI_OK;
}

int command_train(int argc, char **argv)
{
    struct train_settings settings;
    struct work work = {.lock = -1};
    int status;
    if (train_parse(&settings, argc, argv, &status)) {
        work.training.options = &settings.options;
        work.training.config = &work.config;
        work.training.text = &work.text;
        work.training.settings = settings.record;
        status = train(argv[0], &work, &settings.options);
        free_work(&work);
    }
    train_settings_free(&settings);
    return status;
}
