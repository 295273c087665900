/* What a training run is made of: the text and its split, the batches, the rows, and the schedule's place in them. */
#include "checkpoint.h"
#include "text/training.h"
#include "unit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct kv_tokenizer *bytes_tokenizer(void)
{
    struct kv_tokenizer *tokenizer;
    OK(kv_tokenizer_create(&tokenizer, "bytes", NULL, &error));
    return tokenizer;
}

/* ---- Text -------------------------------------------------------------------------------------------- */

FOLDER_TEST(split)
{
    static const struct {
        size_t n_bytes;
        int validation;
        size_t n_held_out;
    } splits[] = {{1000, 5, 50}, {1019, 5, 50}, {1020, 5, 51}, {1099, 50, 549}, {1001, 1, 10}};
    const char *file = c->config_file;
    struct kv_tokenizer *tokenizer = bytes_tokenizer();
    for (size_t i = 0; i < COUNT(splits); i++) {
        unsigned char bytes[1100];
        struct kv_training_text text;
        for (size_t b = 0; b < splits[i].n_bytes; b++)
            bytes[b] = (unsigned char)(b * b + b / 7);
        write_bytes(file, bytes, splits[i].n_bytes);
        OK(kv_training_text_load(&text, file, splits[i].validation, 8, tokenizer, &error));
        assert_int_equal(text.n_bytes, splits[i].n_bytes);
        assert_int_equal(text.n_held_out_bytes, splits[i].n_held_out);
        assert_int_equal(text.n_held_out, splits[i].n_held_out);
        assert_int_equal(text.n_ids + text.n_held_out, splits[i].n_bytes);
        for (size_t b = 0; b < text.n_ids; b++)
            assert_int_equal(text.ids[b], bytes[b]);
        for (size_t b = 0; b < text.n_held_out; b++)
            assert_int_equal(text.held_out[b], bytes[text.n_ids + b]);
        kv_training_text_free(&text);
    }
    kv_tokenizer_free(tokenizer);
}

FOLDER_TEST(text_errors)
{
    const char *file = c->config_file;
    struct kv_tokenizer *tokenizer = bytes_tokenizer();
    struct kv_training_text text;
    REFUSED(kv_training_text_load(&text, file, 5, 8, tokenizer, &error), KV_ERROR_IO, file, NULL);
    write_text(file, "");
    REFUSED(kv_training_text_load(&text, file, 5, 8, tokenizer, &error), KV_ERROR_ARGUMENT, file, "empty");
    write_text(file, "0123456789012345");
    REFUSED(kv_training_text_load(&text, file, 5, 8, tokenizer, &error), KV_ERROR_ARGUMENT, file,
            "held out has 0 tokens");
    REFUSED(kv_training_text_load(&text, file, 60, 8, tokenizer, &error), KV_ERROR_ARGUMENT, file,
            "to train on has 7 tokens, a window takes 9");
    assert_null(text.ids);
    assert_null(text.held_out);
    kv_tokenizer_free(tokenizer);
}

/* ---- Batches ----------------------------------------------------------------------------------------- */

/* Every window lies in the text, targets are successors, all starts occur about equally often, and a batch depends on
 * seed and step alone. */
TEST(batches)
{
    enum { N = 37, B = 3, T = 5, STEPS = 20000, STARTS = N - T };
    int32_t ids[N], tokens[B * T], targets[B * T], again[B * T];
    int count[STARTS] = {0};
    for (int i = 0; i < N; i++)
        ids[i] = 1000 + i;
    for (int64_t step = 0; step < STEPS; step++) {
        kv_training_batch(ids, N, 7, step, B, T, tokens, targets);
        for (int b = 0; b < B; b++) {
            const int start = tokens[b * T] - 1000;
            assert_in_range(start, 0, STARTS - 1);
            count[start]++;
            for (int t = 0; t < T; t++) {
                assert_int_equal(tokens[b * T + t], 1000 + start + t);
                assert_int_equal(targets[b * T + t], 1000 + start + t + 1);
            }
        }
    }
    const double expected = (double)B * STEPS / STARTS;
    double chi_square = 0;
    for (int i = 0; i < STARTS; i++)
        chi_square += (count[i] - expected) * (count[i] - expected) / expected;
    assert_true(chi_square < 86.0); /* 31 degrees of freedom: p = 5e-7 */
    kv_training_batch(ids, N, 7, 123, B, T, tokens, targets);
    kv_training_batch(ids, N, 7, 123, B, T, again, targets);
    assert_memory_equal(tokens, again, sizeof tokens);
    kv_training_batch(ids, N, 8, 123, B, T, again, targets);
    assert_memory_not_equal(tokens, again, sizeof tokens);
}

/* ---- Rows -------------------------------------------------------------------------------------------- */

static const struct kv_training_row some_rows[] = {{0, 0, 1e-5, NAN, 5.545177444479562, NAN, 0.25},
                                                   {100, 409600, 1e-3, 2.5, 2.25, 0.75, 12.5},
                                                   {200, 819200, 1e-4, 1.5, 1.75, 0.5, 25}};

static void write_some_rows(const char *file)
{
    struct kv_training_history history = {0};
    for (size_t i = 0; i < COUNT(some_rows); i++)
        OK(kv_training_history_add(&history, &some_rows[i], &error));
    OK(kv_training_history_write(&history, file, &error));
    kv_training_history_free(&history);
}

FOLDER_TEST(rows_come_back)
{
    const char *file = c->config_file;
    struct kv_training_history history;
    write_some_rows(file);
    write_some_rows(file); /* anew, not behind the first */
    assert_int_equal(files_in(c->folder), 1);
    OK(kv_training_history_read(&history, file, 1000, &error));
    assert_int_equal(history.n_rows, COUNT(some_rows));
    assert_true(isnan(history.rows[0].train_loss) && isnan(history.rows[0].gradient_norm));
    assert_true(fabs(history.rows[0].validation_loss - some_rows[0].validation_loss) < 1e-8);
    for (size_t i = 1; i < COUNT(some_rows); i++) {
        const struct kv_training_row *row = &history.rows[i], *expected = &some_rows[i];
        assert_int_equal(row->step, expected->step);
        assert_int_equal(row->tokens, expected->tokens);
        assert_true(row->learning_rate == expected->learning_rate && row->train_loss == expected->train_loss &&
                    row->validation_loss == expected->validation_loss &&
                    row->gradient_norm == expected->gradient_norm && row->seconds == expected->seconds);
    }
    kv_training_history_free(&history);
    OK(kv_training_history_read(&history, file, 199, &error));
    assert_int_equal(history.n_rows, 2);
    kv_training_history_free(&history);
}

FOLDER_TEST(row_errors)
{
    char file[sizeof c->config_file + 16];
    struct kv_training_history history;
    snprintf(file, sizeof file, "%s/training.csv", c->folder);
    REFUSED(kv_training_history_read(&history, file, 9, &error), KV_ERROR_IO, file, NULL);
    write_text(file, "step,tokens\n0,0\n");
    REFUSED(kv_training_history_read(&history, file, 9, &error), KV_ERROR_FORMAT, file, "learning_rate");
    assert_null(history.rows);
    snprintf(file, sizeof file, "%s/missing/training.csv", c->folder);
    history = (struct kv_training_history){0};
    assert_int_not_equal(kv_training_history_write(&history, file, &error), KV_OK);
}
