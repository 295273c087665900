/* The figure of a training, whose file no run has. */
#include "results/picture.h"

#include "base/error.h"
#include "results/csv.h"

#include <math.h>
#include <stdlib.h>

enum { STEP, TOKENS, RATE, TRAIN_LOSS, VALIDATION_LOSS, SECONDS, N_TRAINING };

static kv_status read_training(const struct kv_csv_table *table, double (*rows)[N_TRAINING], struct kv_error *error)
{
    static const char *const names[] = {"step", "tokens", "learning_rate", "train_loss", "validation_loss", "seconds"};
    for (int i = 0; i < N_TRAINING; i++) {
        size_t column;
        kv_status status = kv_csv_column(table, names[i], &column, error);
        for (size_t row = 0; !status && row < kv_csv_rows(table); row++)
            status = i <= TOKENS ? kv_csv_count(table, row, column, 0, &rows[row][i], error)
                                 : kv_csv_amount(table, row, column, &rows[row][i], error);
        if (status)
            return status;
    }
    return KV_OK;
}

/* Bounds, and where the validation loss was lowest: the first of equals. */
static void write_training_settings(struct kv_picture *p, double (*rows)[N_TRAINING], size_t n)
{
    struct kv_range loss = {NAN, NAN}, rate = {NAN, NAN}, tokens = {0, 0};
    double lowest = NAN, lowest_tokens = NAN, lowest_step = NAN, last = NAN;
    for (size_t i = 0; i < n; i++) {
        const double *row = rows[i], validation = row[VALIDATION_LOSS];
        kv_range_add(&rate, row[RATE]);
        kv_range_add(&tokens, row[TOKENS]);
        if (isnan(row[TOKENS]))
            continue;
        kv_range_add(&loss, row[TRAIN_LOSS]);
        kv_range_add(&loss, validation);
        last = isnan(validation) ? last : validation;
        if (!isnan(validation) && !(validation >= lowest)) {
            lowest = validation;
            lowest_tokens = row[TOKENS];
            lowest_step = row[STEP];
        }
    }
    p->is_empty = isnan(loss.low);
    kv_picture_number(p, "n_rows", (double)n);
    kv_picture_number(p, "last_step", rows[n - 1][STEP]);
    kv_picture_number(p, "last_tokens", tokens.high);
    kv_picture_number(p, "seconds", rows[n - 1][SECONDS]);
    kv_picture_number(p, "highest_rate", isnan(rate.high) ? 0 : rate.high);
    kv_picture_number(p, "least", loss.low);
    kv_picture_number(p, "highest", loss.high);
    kv_picture_number(p, "lowest", lowest);
    kv_picture_number(p, "lowest_tokens", lowest_tokens);
    kv_picture_number(p, "lowest_step", lowest_step);
    kv_picture_number(p, "last", last);
}

/* training.csv is no file of a run: it is read here. */
void kv_picture_training(struct kv_picture *p)
{
    struct kv_csv_table *table = NULL;
    p->status = kv_csv_read(&table, p->file, p->error);
    const size_t n = p->status ? 0 : kv_csv_rows(table);
    double(*rows)[N_TRAINING] = malloc((n + 1) * sizeof *rows);
    if (!rows)
        kv_picture_fail_memory(p);
    if (!p->status && n == 0)
        p->status = kv_fail(p->error, KV_ERROR_FORMAT, "%s: a header and no rows; train again with ./kvbench train",
                            p->file);
    if (!p->status)
        p->status = read_training(table, rows, p->error);
    if (!p->status) {
        kv_picture_begin(p, "training", "step\ttokens\tlearning_rate\ttrain_loss\tvalidation_loss\tseconds");
        for (size_t i = 0; i < n; i++)
            kv_picture_row(p, rows[i], N_TRAINING);
        kv_picture_end(p);
        write_training_settings(p, rows, n);
    }
    free(rows);
    kv_csv_free(table);
}
