/* What a training run writes and reads again: training.csv, and the checkpoint's notes beside the weights, which are
 * the run's settings, its state, and what its bits depend on. */
#include "text/training.h"

#include "base/error.h"
#include "base/file.h"
#include "model/safetensors.h"
#include "results/csv.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Rows --------------------------------------------------------------------------------------------- */

static const char *const columns[] = {"step",          "tokens", "learning_rate", "train_loss", "validation_loss",
                                      "gradient_norm", "seconds"};
enum { STEP, TOKENS, N_COLUMNS = sizeof columns / sizeof columns[0] };

kv_status kv_training_history_add(struct kv_training_history *history, const struct kv_training_row *row,
                                  struct kv_error *error)
{
    struct kv_training_row *rows = realloc(history->rows, ((size_t)history->n_rows + 1) * sizeof *rows);
    if (!rows)
        return kv_fail(error, KV_ERROR_MEMORY, "no memory for %d evaluations", history->n_rows + 1);
    history->rows = rows;
    history->rows[history->n_rows++] = *row;
    return KV_OK;
}

/* Writes "NUMBER,", of NaN the comma alone; returns how many bytes. */
static int put_number(char *line, size_t size, double value)
{
    return isnan(value) ? snprintf(line, size, ",") : snprintf(line, size, "%.9g,", value);
}

static void write_row(struct kv_file *file, const struct kv_training_row *row)
{
    const double numbers[] = {row->learning_rate, row->train_loss, row->validation_loss, row->gradient_norm,
                              row->seconds};
    char line[256];
    int n = snprintf(line, sizeof line, "%" PRId64 ",%" PRId64 ",", row->step, row->tokens);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        n += put_number(line + n, sizeof line - (size_t)n, numbers[i]);
    line[n - 1] = '\n';
    kv_file_write(file, line, (size_t)n);
}

kv_status kv_training_history_write(const struct kv_training_history *history, const char *name, struct kv_error *error)
{
    struct kv_file file;
    kv_status status = kv_file_open(&file, name, error);
    for (int i = 0; !status && i < N_COLUMNS; i++) {
        kv_file_write(&file, columns[i], strlen(columns[i]));
        kv_file_write(&file, i + 1 < N_COLUMNS ? "," : "\n", 1);
    }
    for (int i = 0; !status && i < history->n_rows; i++)
        write_row(&file, &history->rows[i]);
    if (!status)
        status = kv_file_finish(&file, error);
    if (!status)
        status = kv_file_publish(&file, error);
    kv_file_close(&file);
    return status;
}

static kv_status read_row(const struct kv_csv_table *table, size_t at, struct kv_training_row *row,
                          struct kv_error *error)
{
    double values[N_COLUMNS];
    kv_status status = KV_OK;
    for (int i = 0; !status && i < N_COLUMNS; i++) {
        size_t column;
        status = kv_csv_column(table, columns[i], &column, error);
        if (!status)
            status = i <= TOKENS ? kv_csv_count(table, at, column, 0, &values[i], error)
                                 : kv_csv_amount(table, at, column, &values[i], error);
    }
    if (!status)
        *row = (struct kv_training_row){
            (int64_t)values[STEP], (int64_t)values[TOKENS], values[2], values[3], values[4], values[5], values[6]};
    return status;
}

kv_status kv_training_history_read(struct kv_training_history *history, const char *file, int64_t last_step,
                                   struct kv_error *error)
{
    struct kv_csv_table *table;
    *history = (struct kv_training_history){0};
    kv_status status = kv_csv_read(&table, file, error);
    for (size_t i = 0; !status && i < kv_csv_rows(table); i++) {
        struct kv_training_row row;
        status = read_row(table, i, &row, error);
        if (!status && history->n_rows && row.step <= history->rows[history->n_rows - 1].step)
            status = kv_fail(error, KV_ERROR_FORMAT, "%s line %zu has a step that is not after the one before", file,
                             kv_csv_line(table, i));
        if (!status && row.step <= last_step)
            status = kv_training_history_add(history, &row, error);
    }
    kv_csv_free(table);
    if (status)
        kv_training_history_free(history);
    return status;
}

void kv_training_history_free(struct kv_training_history *history)
{
    free(history->rows);
    *history = (struct kv_training_history){0};
}

/* ---- Checkpoint ---------------------------------------------------------------------------------------- */

enum { NOTE_BYTES = 48 };
#define MOST_COUNT 0x1p53 /* larger whole numbers are not exact */

/* The numbers of a state by name; "%a" keeps every bit. None is negative, and counts become whole numbers again. */
struct state_number {
    const char *name;
    double *value;
    double most;
};
enum { N_NUMBERS = 9 };

static void list_numbers(struct kv_training_state *s, struct state_number numbers[N_NUMBERS])
{
    const struct state_number all[N_NUMBERS] = {
        {"loss_sum", &s->loss_sum, DBL_MAX},       {"loss_count", &s->loss_count, MOST_COUNT},
        {"smooth_loss", &s->smooth_loss, DBL_MAX}, {"lowest_smooth", &s->lowest_smooth, DBL_MAX},
        {"best_loss", &s->best_loss, DBL_MAX},     {"best_step", &s->best_step, MOST_COUNT},
        {"seconds", &s->seconds, MOST_COUNT},      {"gradient_norm", &s->gradient_norm, DBL_MAX},
        {"tokens", &s->tokens, MOST_COUNT},
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
    return kv_fail(error, KV_ERROR_MEMORY, "%.400s: no memory for its checkpoint", folder);
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
                                     {"settings", t->settings}};
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
    return kv_fail(error, KV_ERROR_FORMAT,
                   "%.300s/checkpoint.safetensors: note '%s' is missing: no checkpoint of this command", folder, name);
}

kv_status kv_training_read_settings(const char *folder, char **settings, struct kv_error *error)
{
    struct kv_safetensors *file;
    *settings = NULL;
    kv_status status = open_checkpoint(folder, &file, error);
    const char *text = status ? NULL : kv_safetensors_note(file, "arguments"); /* as it was called at first */
    if (!status && !text)
        status = find_note(file, folder, "settings", &text, error);
    if (!status && !(*settings = strdup(text)))
        status = no_memory(folder, error);
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
        if (end == text || *end || !(*numbers[i].value >= 0 && *numbers[i].value <= numbers[i].most))
            status = kv_fail(
                error, KV_ERROR_FORMAT,
                "%.300s/checkpoint.safetensors: note '%s' is '%.40s', which it cannot be: the file is damaged", folder,
                numbers[i].name, text);
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
    return kv_fail(error, KV_ERROR_ARGUMENT,
                   "%.200s: not the text that the run in %.200s was started with; give that one with --text",
                   t->options->text, t->options->out);
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
