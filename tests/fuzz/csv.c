/* One CSV file, to every reader that takes a single one. What kv_csv_read reads can be written and read again to the same
 * fields, but for line breaks; a training's rows go up, and are the same once they were written. */
#include "fuzz.h"

#include "results/calibrated.h"
#include "results/csv.h"
#include "text/dashboard.h"
#include "text/training.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void check_numbers(const struct kv_csv_table *table, size_t row, size_t column)
{
    struct kv_error error = {""};
    double number = 0, amount = 0, count = 0;
    const kv_status is_number = kv_csv_number(table, row, column, &number, &error);
    if (is_number)
        fuzz_refused(is_number, &error);
    FUZZ_HOLDS(is_number || isnan(number) == !*kv_csv_text(table, row, column));
    FUZZ_HOLDS(!isinf(number));
    if (kv_csv_amount(table, row, column, &amount, &error) == KV_OK)
        FUZZ_HOLDS(!is_number && (isnan(amount) || (amount >= 0 && amount <= 1e30)));
    if (kv_csv_count(table, row, column, 0, &count, &error) == KV_OK)
        FUZZ_HOLDS(count == floor(count) && count >= 0 && count <= 0x1p53);
}

/* Equal, a line break of `a` being a space of `b`. */
static bool same_text(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(*b == ' ' && (*a == '\n' || *a == '\r')))
            return false;
    return !*a && !*b;
}

static void write_table(const struct kv_csv_table *table, const char *file)
{
    struct kv_error error = {""};
    struct kv_csv_writer *writer;
    const size_t n = kv_csv_columns(table);
    const char **names = malloc(n * sizeof *names);
    FUZZ_HOLDS(names != NULL);
    for (size_t i = 0; i < n; i++)
        names[i] = kv_csv_name(table, i);
    unlink(file);
    FUZZ_HOLDS(kv_csv_append(&writer, file, names, (int)n, &error) == KV_OK);
    for (size_t row = 0; row < kv_csv_rows(table); row++) {
        for (size_t i = 0; i < n; i++)
            kv_csv_add_text(writer, kv_csv_text(table, row, i));
        FUZZ_HOLDS(kv_csv_end_row(writer, &error) == KV_OK);
    }
    kv_csv_close(writer);
    free(names);
}

static bool has_breaks(const struct kv_csv_table *table)
{
    for (size_t i = 0; i < kv_csv_columns(table); i++)
        if (strpbrk(kv_csv_name(table, i), "\r\n"))
            return true;
    return false;
}

static void check_table(const struct kv_csv_table *table)
{
    struct kv_error error = {""};
    struct kv_csv_table *again;
    char file[600];
    for (size_t row = 0; row < kv_csv_rows(table); row++)
        for (size_t i = 0; i < kv_csv_columns(table); i++)
            check_numbers(table, row, i);
    if (has_breaks(table)) /* two names may become one */
        return;
    snprintf(file, sizeof file, "%s/again.csv", fuzz_folder());
    write_table(table, file);
    FUZZ_HOLDS(kv_csv_read(&again, file, &error) == KV_OK);
    FUZZ_HOLDS(kv_csv_rows(again) == kv_csv_rows(table) && kv_csv_columns(again) == kv_csv_columns(table));
    for (size_t row = 0; row < kv_csv_rows(table); row++)
        for (size_t i = 0; i < kv_csv_columns(table); i++)
            FUZZ_HOLDS(same_text(kv_csv_text(table, row, i), kv_csv_text(again, row, i)));
    kv_csv_free(again);
}

static void check_training(const char *input)
{
    struct kv_training_history history, again;
    struct kv_error error = {""};
    char file[600];
    const kv_status status = kv_training_history_read(&history, input, INT64_MAX, &error);
    if (status) {
        FUZZ_HOLDS(history.n_rows == 0);
        fuzz_refused(status, &error);
        return;
    }
    for (int i = 0; i < history.n_rows; i++)
        FUZZ_HOLDS(history.rows[i].step >= 0 && history.rows[i].tokens >= 0 &&
                   (i == 0 || history.rows[i].step > history.rows[i - 1].step));
    snprintf(file, sizeof file, "%s/training.csv", fuzz_folder());
    FUZZ_HOLDS(kv_training_history_write(&history, file, &error) == KV_OK);
    FUZZ_HOLDS(kv_training_history_read(&again, file, INT64_MAX, &error) == KV_OK);
    FUZZ_HOLDS(again.n_rows == history.n_rows);
    for (int i = 0; i < history.n_rows; i++)
        FUZZ_HOLDS(again.rows[i].step == history.rows[i].step && again.rows[i].tokens == history.rows[i].tokens &&
                   isnan(again.rows[i].train_loss) == isnan(history.rows[i].train_loss));
    fuzz_say("loaded: %d rows of a training\n", history.n_rows);
    kv_training_history_free(&history);
    kv_training_history_free(&again);
}

static void check_dashboard(const char *input)
{
    struct kv_dashboard *d, *again;
    struct kv_error error = {""};
    char file[600];
    const kv_status status = kv_dashboard_read(&d, input, &error);
    if (status) {
        fuzz_refused(status, &error);
        return;
    }
    FUZZ_HOLDS(d->n_steps >= 1 && d->n_prompt >= 1 && d->n_layers >= 1 &&
               d->n_positions == d->n_prompt + d->n_steps - 1);
    snprintf(file, sizeof file, "%s/dashboard.csv", fuzz_folder());
    FUZZ_HOLDS(kv_dashboard_write(d, file, &error) == KV_OK);
    const kv_status reread = kv_dashboard_read(&again, file, &error);
    if (reread)
        fuzz_refused(reread, &error); /* what lacks numbers may lack a step once it is written */
    else
        kv_dashboard_free(again);
    const kv_status tabled = kv_dashboard_tables(d, input, fuzz_folder(), &error);
    if (tabled)
        fuzz_refused(tabled, &error); /* a number is missing */
    fuzz_clear(fuzz_folder());
    fuzz_say("loaded: %d steps of a dashboard\n", d->n_steps);
    kv_dashboard_free(d);
}

static void check_power(const char *input)
{
    struct kv_power_row *rows = NULL;
    size_t n = 0;
    struct kv_error error = {""};
    const kv_status status = kv_power_read(input, &rows, &n, &error);
    if (status) {
        fuzz_refused(status, &error);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        const struct kv_power_row *row = &rows[i];
        FUZZ_HOLDS(row->faster + row->slower + row->equal + row->undecided == row->n);
        FUZZ_HOLDS(kv_power_found(row) >= 0 && kv_power_found(row) <= row->n);
    }
    fuzz_say("loaded: %zu rows of a calibration\n", n);
    free(rows);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct kv_csv_table *table;
    struct kv_error error = {""};
    const char *file = fuzz_file(data, size);
    const kv_status status = kv_csv_read(&table, file, &error);
    if (status) {
        fuzz_refused(status, &error);
        return 0;
    }
    check_table(table);
    fuzz_say("read: %zu rows\n", kv_csv_rows(table));
    kv_csv_free(table);
    check_training(file);
    check_dashboard(file);
    check_power(file);
    return 0;
}
