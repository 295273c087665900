#include "text/training.h"

#include "results/csv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const columns[] = {"step",          "tokens", "learning_rate", "train_loss", "validation_loss",
                                      "gradient_norm", "seconds"};
enum { N_COLUMNS = sizeof columns / sizeof columns[0] };

kv_status kv_training_history_add(struct kv_training_history *history, const struct kv_training_row *row,
                                  struct kv_error *error)
{
    struct kv_training_row *rows = realloc(history->rows, ((size_t)history->n_rows + 1) * sizeof *rows);
    if (!rows) {
        snprintf(error->message, sizeof error->message, "no memory for %d evaluations", history->n_rows + 1);
        return KV_ERROR_MEMORY;
    }
    history->rows = rows;
    history->rows[history->n_rows++] = *row;
    return KV_OK;
}

/* So that the rename does not reach the disk before what it names. */
static void bring_to_disk(const char *file)
{
    const int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static kv_status write_rows(const struct kv_training_history *history, const char *file, struct kv_error *error)
{
    struct kv_csv_writer *writer;
    kv_status status = kv_csv_append(&writer, file, columns, N_COLUMNS, error);
    for (int i = 0; !status && i < history->n_rows; i++) {
        const struct kv_training_row *row = &history->rows[i];
        kv_csv_add_integer(writer, row->step);
        kv_csv_add_integer(writer, row->tokens);
        kv_csv_add_double(writer, row->learning_rate);
        kv_csv_add_double(writer, row->train_loss);
        kv_csv_add_double(writer, row->validation_loss);
        kv_csv_add_double(writer, row->gradient_norm);
        kv_csv_add_double(writer, row->seconds);
        status = kv_csv_end_row(writer, error);
    }
    kv_csv_close(writer);
    return status;
}

kv_status kv_training_history_write(const struct kv_training_history *history, const char *file, struct kv_error *error)
{
    char *temporary;
    if (asprintf(&temporary, "%s.part", file) < 0) {
        snprintf(error->message, sizeof error->message, "%.400s: no memory to write it", file);
        return KV_ERROR_MEMORY;
    }
    unlink(temporary); /* of a sitting that was killed */
    kv_status status = write_rows(history, temporary, error);
    bring_to_disk(temporary);
    if (!status && rename(temporary, file) != 0) {
        snprintf(error->message, sizeof error->message, "%.400s: cannot be written: %s", file, strerror(errno));
        status = KV_ERROR_IO;
    }
    if (status)
        unlink(temporary);
    free(temporary);
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
            status = kv_csv_number(table, at, column, &values[i], error);
    }
    if (!status)
        *row = (struct kv_training_row){(int64_t)values[0], (int64_t)values[1], values[2], values[3],
                                        values[4],          values[5],          values[6]};
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
