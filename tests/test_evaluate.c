/* The loss of a text: against its definition, against the reference's loss, on both paths; and `kvbench evaluate`. */
#include "checkpoint.h"
#include "cli_runner.h"
#include "text/evaluate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOSS_BOUND 1e-6 /* relative; paths and batches differ by rounding only */

enum { TEXT_LENGTH = 50 };

struct fixture {
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    const struct kv_config *config;
    int32_t ids[TEXT_LENGTH];
};

static int set_up(void **state)
{
    struct kv_error error;
    struct fixture *f = calloc(1, sizeof *f);
    uint64_t random = 11;
    assert_non_null(f);
    load_case(&f->c, "tiny-f32");
    assert_ok(kv_pool_create(&f->pool, 2, &error), error);
    assert_ok(kv_model_load(&f->model, f->c.folder, NULL, NULL, f->pool, &error), error);
    f->config = kv_model_config(f->model);
    for (int i = 0; i < TEXT_LENGTH; i++)
        f->ids[i] = random_between(&random, 0, f->config->vocab_size - 1);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    kv_model_free(f->model);
    kv_pool_free(f->pool);
    free_case(&f->c);
    free(f);
    return 0;
}

/* One way to run a text. */
struct way {
    const char *path;
    int chunk, batch;
};

static void evaluate(const struct fixture *f, struct way way, int context, const int32_t *ids, int n_ids,
                     struct kv_evaluation *evaluation)
{
    struct kv_error error;
    struct kv_session *session;
    const struct kv_session_options options = {
        .path = way.path, .chunk = way.chunk, .batch = way.batch, .capacity = context};
    assert_ok(kv_session_create(&session, f->model, f->pool, &options, &error), error);
    assert_ok(kv_evaluate(session, f->config, way.batch, context, ids, (size_t)n_ids, evaluation, &error), error);
    assert_true(evaluation->seconds > 0);
    kv_session_free(session);
}

static void assert_loss(double loss, double expected, double bound)
{
    if (!(fabs(loss - expected) <= bound * expected))
        fail_msg("the loss is %.9f, expected %.9f within %.0e of it", loss, expected, bound);
}

/* -ln softmax(logits)[target], all of it in double */
static double negative_log_likelihood(const float *logits, int V, int32_t target)
{
    double sum = 0;
    for (int i = 0; i < V; i++)
        sum += exp((double)logits[i] - (double)logits[target]);
    return log(sum);
}

/* The definition, step by step: ids T apart begin a window, and each but the first of all is predicted from what its
 * window has before it. One position at a time, each from a fresh logits row. */
static double loss_by_definition(const struct fixture *f, int context, const int32_t *ids, int n_ids)
{
    struct kv_error error;
    struct kv_session *session;
    const struct kv_session_options options = {.path = "naive", .batch = 1};
    double total = 0;
    assert_ok(kv_session_create(&session, f->model, f->pool, &options, &error), error);
    for (int i = 1; i < n_ids; i++) {
        if ((i - 1) % context == 0)
            kv_session_reset(session);
        assert_ok(kv_session_decode(session, &ids[i - 1], &error), error);
        total += negative_log_likelihood(kv_session_logits(session), f->config->vocab_size, ids[i]);
    }
    kv_session_free(session);
    return total / (n_ids - 1);
}

/* ---- The figure ------------------------------------------------------------------------------------------ */

static void test_definition_at_the_edges_of_windows(void **state)
{
    static const int lengths[] = {2, 3, 7, 8, 9, 14, 15, 16, 17, 22, TEXT_LENGTH};
    static const int contexts[] = {1, 7, TEXT_LENGTH - 1, 64};
    const struct fixture *f = *state;
    for (size_t c = 0; c < COUNT(contexts); c++) {
        for (size_t i = 0; i < COUNT(lengths); i++) {
            struct kv_evaluation evaluation;
            evaluate(f, (struct way){"cached", 0, 2}, contexts[c], f->ids, lengths[i], &evaluation);
            assert_int_equal(evaluation.n_tokens, lengths[i] - 1);
            assert_loss(evaluation.loss, loss_by_definition(f, contexts[c], f->ids, lengths[i]), LOSS_BOUND);
        }
    }
}

static void test_paths_chunks_and_batches_agree(void **state)
{
    static const int chunks[] = {0, 1, 7}, batches[] = {1, 3};
    const struct fixture *f = *state;
    for (int context = 6; context <= 16; context += 5) {
        const double expected = loss_by_definition(f, context, f->ids, TEXT_LENGTH);
        for (int p = 0; kv_path_choice(p); p++) {
            for (size_t c = 0; c < COUNT(chunks) * COUNT(batches); c++) {
                struct kv_evaluation evaluation;
                const struct way way = {kv_path_choice(p)->name, chunks[c % 3], batches[c / 3]};
                evaluate(f, way, context, f->ids, TEXT_LENGTH, &evaluation);
                assert_int_equal(evaluation.n_tokens, TEXT_LENGTH - 1);
                assert_loss(evaluation.loss, expected, LOSS_BOUND);
            }
        }
    }
}

/* An implementation that is not ours: the mean over both sequences of data/reference/tiny-f32, computed by PyTorch. */
static void test_reference_loss(void **state)
{
    const struct fixture *f = *state;
    char file[600];
    double sum = 0;
    snprintf(file, sizeof file, "%s/expected.json", f->c.folder);
    json_t *json = json_load_file(file, 0, NULL);
    assert_non_null(json);
    const double expected = json_number_value(json_object_get(json, "loss"));
    json_decref(json);
    assert_true(expected > 0);
    for (int b = 0; b < f->c.batch; b++) {
        struct kv_evaluation evaluation;
        evaluate(f, (struct way){"cached", 1, 1}, 64, f->c.tokens + b * f->c.n_tokens, f->c.n_tokens, &evaluation);
        sum += evaluation.loss;
    }
    assert_loss(sum / f->c.batch, expected, 1e-5);
}

static void test_errors(void **state)
{
    const struct fixture *f = *state;
    struct kv_error error;
    struct kv_evaluation evaluation;
    struct kv_session *session;
    const struct kv_session_options options = {.path = "cached", .batch = 1};
    int32_t ids[] = {0, 1, f->config->vocab_size};
    assert_ok(kv_session_create(&session, f->model, f->pool, &options, &error), error);
    for (size_t n = 0; n < 2; n++) {
        assert_int_equal(kv_evaluate(session, f->config, 1, 8, ids, n, &evaluation, &error), KV_ERROR_ARGUMENT);
        assert_non_null(strstr(error.message, "longer"));
        assert_true(isnan(evaluation.loss));
    }
    assert_int_equal(kv_evaluate(session, f->config, 1, 8, ids, 3, &evaluation, &error), KV_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "97 at 2 is not in 0..96")); /* the last one is never run, only predicted */
    ids[2] = -1;
    assert_int_equal(kv_evaluate(session, f->config, 1, 8, ids, 3, &evaluation, &error), KV_ERROR_ARGUMENT);
    kv_session_free(session);
}

static void test_batch_that_suits(void **state)
{
    (void)state;
    const struct kv_config bytes = {.vocab_size = 256}, gpt2 = {.vocab_size = 50257};
    assert_int_equal(kv_evaluation_batch(&bytes, 256), 16);
    assert_int_equal(kv_evaluation_batch(&gpt2, 1024), 1);
    assert_in_range(kv_evaluation_batch(&gpt2, 64), 2, 15);
}

/* ---- The command ----------------------------------------------------------------------------------------- */

#define CSV_HEADER                                                                                                     \
    "path,cache,kv,weights,chunk,context,batch,tokens,bytes,loss_nats,bits_per_byte,perplexity,seconds,tokens_per_"    \
    "second\n"

enum { N_BYTES = 150 };

/* A model on bytes, in a folder of its own, and a text in the program's folder. */
static struct checkpoint *byte_model(const struct cli *cli)
{
    const struct checkpoint_options options = {.config = {2, 2, 8, 32, 256, 12, KV_GELU_NEW, 1e-5f}};
    void *c;
    char text[N_BYTES + 1], file[CLI_PATH_SIZE];
    uint64_t random = 5;
    assert_int_equal(checkpoint_set_up(&c), 0);
    checkpoint_build(c, &options);
    checkpoint_write(c);
    for (int i = 0; i < N_BYTES; i++)
        text[i] = (char)random_between(&random, 32, 126);
    text[N_BYTES] = '\0';
    cli_path(cli, "text", file);
    write_text(file, text);
    return c;
}

static void remove_model(struct checkpoint *c)
{
    void *state = c;
    assert_int_equal(checkpoint_tear_down(&state), 0);
}

/* What `kv_evaluate` says of the file "text" under that model. */
static double expected_loss(const struct cli *cli, const struct checkpoint *c, int context)
{
    struct fixture f = {.pool = NULL};
    struct kv_evaluation evaluation;
    struct kv_error error;
    int32_t ids[N_BYTES];
    char file[CLI_PATH_SIZE];
    cli_path(cli, "text", file);
    char *text = read_text(file);
    for (int i = 0; i < N_BYTES; i++)
        ids[i] = (unsigned char)text[i];
    free(text);
    assert_ok(kv_pool_create(&f.pool, 1, &error), error);
    assert_ok(kv_model_load(&f.model, c->folder, NULL, NULL, f.pool, &error), error);
    f.config = kv_model_config(f.model);
    evaluate(&f, (struct way){"naive", 0, 1}, context, ids, N_BYTES, &evaluation);
    kv_model_free(f.model);
    kv_pool_free(f.pool);
    return evaluation.loss;
}

static void test_command_as_csv(void **state)
{
    static const struct {
        const char *path, *chunk, *context, *batch;
        const char *begin;
    } runs[] = {{"naive", "12", "12", "1", "naive,,,f32,12,12,1,149,149,"},
                {"cached", "1", "12", "3", "cached,contiguous,f32,f32,1,12,3,149,149,"},
                {"cached", "5", "9", "100", "cached,contiguous,f32,f32,5,9,17,149,149,"}}; /* 17 windows and no more */
    struct cli *cli = *state;
    struct checkpoint *c = byte_model(cli);
    for (size_t i = 0; i < COUNT(runs); i++) {
        double loss, bits_per_byte, perplexity, seconds, rate;
        RUN(cli, "evaluate", "--model", c->folder, "--text", "text", "--csv", "--path", runs[i].path, "--chunk",
            runs[i].chunk, "--context", runs[i].context, "--batch", runs[i].batch);
        assert_exit(cli, 0);
        assert_string_equal(cli->err, "");
        assert_int_equal(strncmp(cli->out, CSV_HEADER, strlen(CSV_HEADER)), 0);
        const char *row = cli->out + strlen(CSV_HEADER);
        assert_int_equal(strncmp(row, runs[i].begin, strlen(runs[i].begin)), 0);
        assert_int_equal(sscanf(row + strlen(runs[i].begin), "%lf,%lf,%lf,%lf,%lf\n", &loss, &bits_per_byte,
                                &perplexity, &seconds, &rate),
                         5);
        assert_loss(loss, expected_loss(cli, c, atoi(runs[i].context)), LOSS_BOUND);
        assert_loss(bits_per_byte, loss / log(2), 1e-8); /* a token is a byte */
        assert_loss(perplexity, exp(loss), 1e-6);
        assert_true(seconds >= 0 && rate > 0);
    }
    remove_model(c);
}

static void test_command_for_a_person(void **state)
{
    struct cli *cli = *state;
    struct checkpoint *c = byte_model(cli);
    char line[64];
    RUN(cli, "evaluate", "-m", c->folder, "--text", "text");
    assert_exit(cli, 0);
    snprintf(line, sizeof line, "loss         %.6f nats a token\n", expected_loss(cli, c, 12));
    assert_non_null(strstr(cli->out, line));
    assert_non_null(strstr(cli->out, "predicted    149 tokens, 149 bytes\n"));
    assert_non_null(strstr(cli->out, "tokens/s: path cached, context 12, batch 13\n"));
    remove_model(c);
}

/* GPT-2's tokens are of several bytes: those of all but the first count. */
static void test_command_counts_bytes_of_tokens(void **state)
{
    struct cli *cli = *state;
    const struct checkpoint_options options = {.config = {1, 1, 8, 8, 50257, 8, KV_GELU_NEW, 1e-5f}};
    void *c;
    char file[CLI_PATH_SIZE];
    const char *folder;
    assert_int_equal(checkpoint_set_up(&c), 0);
    checkpoint_build(c, &options);
    checkpoint_write(c);
    folder = ((struct checkpoint *)c)->folder;
    cli_path(cli, "text", file);
    write_text(file, "Hello, world!"); /* 15496 11 995 0 */
    RUN(cli, "evaluate", "--model", folder, "--text", "text", "--csv");
    assert_exit(cli, 0);
    assert_non_null(strstr(cli->out, "\ncached,contiguous,f32,f32,0,8,1,3,8,"));
    remove_model(c);
}

static void test_command_complains(void **state)
{
    static const struct {
        const char *option, *value;
        int status;
        const char *part;
    } runs[] = {{"--context", "13", 2, "n_positions, 12"},
                {"--context", "0", 2, "--context"},
                {"--chunk", "0", 2, "--chunk"},
                {"--batch", "0", 2, "--batch"},
                {"--path", "hybrid", 2, "--path"},
                {"--text", "missing", 1, "missing"},
                {"--text", ".", 1, "cannot be read"},
                {"--text", "empty", 1, "empty"},
                {"--text", "one", 1, "longer"},
                {"--model", "missing", 2, "missing"}};
    struct cli *cli = *state;
    struct checkpoint *c = byte_model(cli);
    char file[CLI_PATH_SIZE];
    cli_path(cli, "empty", file);
    write_text(file, "");
    cli_path(cli, "one", file);
    write_text(file, "a");
    for (size_t i = 0; i < COUNT(runs); i++) {
        RUN(cli, "evaluate", "--model", c->folder, "--text", "text", runs[i].option, runs[i].value);
        assert_complaint(cli, runs[i].status, runs[i].part);
    }
    RUN(cli, "evaluate", "--model", c->folder);
    assert_complaint(cli, 2, "--text FILE is needed");
    RUN(cli, "evaluate", "--model", KV_DATA_DIR "/reference/tiny-f32", "--text", "text");
    assert_complaint(cli, 1, "kvbench_tokenizer");
    remove_model(c);
}

static void test_command_with_weights_that_are_not_numbers(void **state)
{
    struct cli *cli = *state;
    struct checkpoint *c = byte_model(cli);
    memset(c->data, 0xff, c->n_data); /* NaN */
    checkpoint_write(c);
    RUN(cli, "evaluate", "--model", c->folder, "--text", "text");
    assert_complaint(cli, 1, "not a number");
    remove_model(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_definition_at_the_edges_of_windows, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_paths_chunks_and_batches_agree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_reference_loss, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_errors, set_up, tear_down),
        cmocka_unit_test(test_batch_that_suits),
        CLI_TEST(test_command_as_csv),
        CLI_TEST(test_command_for_a_person),
        CLI_TEST(test_command_counts_bytes_of_tokens),
        CLI_TEST(test_command_complains),
        CLI_TEST(test_command_with_weights_that_are_not_numbers),
    };
    return cmocka_run_group_tests_name("evaluate", tests, NULL, NULL);
}
