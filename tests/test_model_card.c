/* The embedded model, data/models/kjv: its card says what the files beside it say, and they say what both paths find.
 */
#include "results/csv.h"
#include "support.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER        KV_DATA_DIR "/models/kjv"
#define LOSS_BOUND    1e-3    /* nats */
#define LARGEST_MODEL 2500000 /* bytes of a file that everybody clones */

static void test_card_is_of_the_files_beside_it(void **state)
{
    (void)state;
    assert_int_equal(system("'" KV_PYTHON "' '" KV_MODEL_CARD_SCRIPT "' --check"), 0);
}

static void test_model_is_small(void **state)
{
    (void)state;
    struct stat status;
    assert_int_equal(stat(FOLDER "/model.safetensors", &status), 0);
    assert_in_range(status.st_size, 1, LARGEST_MODEL);
}

/* The loss that evaluation.csv has in the row of that name. */
static double stated_loss(const char *row)
{
    struct kv_error error;
    struct kv_csv_table *table;
    size_t name, loss_nats;
    double loss = NAN;
    assert_ok(kv_csv_read(&table, FOLDER "/evaluation.csv", &error), error);
    assert_ok(kv_csv_column(table, "name", &name, &error), error);
    assert_ok(kv_csv_column(table, "loss_nats", &loss_nats, &error), error);
    for (size_t i = 0; i < kv_csv_rows(table); i++)
        if (strcmp(kv_csv_text(table, i, name), row) == 0)
            assert_ok(kv_csv_number(table, i, loss_nats, &loss, &error), error);
    kv_csv_free(table);
    assert_true(loss > 0);
    return loss;
}

static double measured_loss(const struct kv_model *model, struct kv_pool *pool, struct kv_session_options options)
{
    struct kv_error error;
    struct kv_session *session;
    struct kv_tokenizer *tokenizer;
    struct kv_evaluation evaluation;
    const struct kv_config *config = kv_model_config(model);
    const char *name;
    char *text;
    int32_t *ids;
    size_t n_bytes, n_ids;
    assert_ok(kv_tokenizer_of_config(FOLDER "/config.json", &name, &error), error);
    assert_ok(kv_tokenizer_create(&tokenizer, name, KV_DATA_DIR "/gpt2/vocab.bpe", &error), error);
    assert_ok(kv_text_file_read(FOLDER "/validation.txt", &text, &n_bytes, &error), error);
    assert_ok(kv_tokenizer_encode(tokenizer, text, n_bytes, false, &ids, &n_ids, &error), error);
    assert_ok(kv_session_create(&session, model, pool, &options, &error), error);
    assert_ok(kv_evaluate(session, config, options.batch, config->n_positions, ids, n_ids, &evaluation, &error), error);
    kv_session_free(session);
    kv_tokenizer_free(tokenizer);
    free(ids);
    free(text);
    return evaluation.loss;
}

static void test_both_paths_find_the_stated_loss(void **state)
{
    (void)state;
    static const struct kv_session_options ways[] = {{.path = "naive", .batch = 16},
                                                     {.path = "cached", .batch = 128, .chunk = 1}};
    struct kv_error error;
    struct kv_pool *pool;
    struct kv_model *model;
    assert_ok(kv_pool_create(&pool, kv_default_threads(), &error), error);
    assert_ok(kv_model_load(&model, FOLDER, NULL, NULL, pool, &error), error);
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        const double loss = measured_loss(model, pool, ways[i]), stated = stated_loss(ways[i].path);
        if (!(fabs(loss - stated) <= LOSS_BOUND))
            fail_msg("%s: the loss is %.6f, the card says %.6f", ways[i].path, loss, stated);
    }
    kv_model_free(model);
    kv_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_card_is_of_the_files_beside_it),
        cmocka_unit_test(test_model_is_small),
        cmocka_unit_test(test_both_paths_find_the_stated_loss),
    };
    return cmocka_run_group_tests_name("model_card", tests, NULL, NULL);
}
