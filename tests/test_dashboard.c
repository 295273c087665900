/* kvbench dashboard: every number of its CSV against a plain GPT-2, its files, and what it refuses. */
#include "cli_runner.h"
#include "plain_gpt2.h"

#include "results/csv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N_NEW = 6, MOST_POSITIONS = 64, MOST_PANELS = 4 };
static const double bound = 2e-5; /* of float32 against double */

/* What a file of the reference case's first row has to hold. */
struct recording {
    struct reference_case c;
    struct kv_pool *pool;
    struct kv_model *model;
    struct plain_gpt2 plain;
    int n_prompt, n_positions; /* of the cache at the last step */
    int layer, head;           /* -1: all */
    int n_seen[4];             /* rows of query, key, value, attention */
    bool seen[4][MOST_PANELS * MOST_POSITIONS][MOST_POSITIONS];
};

static const char *const kinds[] = {"query", "key", "value", "attention"};
enum { QUERY, KEY, VALUE, ATTENTION };

static void open_recording(struct recording *r, int layer, int head)
{
    struct kv_error error;
    *r = (struct recording){.layer = layer, .head = head};
    load_case(&r->c, "tiny-f32");
    assert_ok(kv_pool_create(&r->pool, 1, &error), error);
    assert_ok(kv_model_load(&r->model, r->c.folder, NULL, "reference", r->pool, &error), error);
    r->n_prompt = r->c.n_tokens;
    r->n_positions = r->n_prompt + N_NEW - 1;
    assert_in_range(r->n_positions, 1, MOST_POSITIONS);
    plain_gpt2_run(&r->plain, r->model, r->c.greedy, r->n_positions);
}

static void close_recording(struct recording *r)
{
    plain_gpt2_free(&r->plain);
    kv_model_free(r->model);
    kv_pool_free(r->pool);
    free_case(&r->c);
}

struct csv_row {
    double step, layer, head, position, dimension, value, token; /* NaN: empty */
    const char *kind, *text;
};

static double number_in(const struct kv_csv_table *table, size_t row, const char *name)
{
    struct kv_error error;
    size_t column;
    double value;
    assert_ok(kv_csv_column(table, name, &column, &error), error);
    assert_ok(kv_csv_number(table, row, column, &value, &error), error);
    return value;
}

static const char *text_in(const struct kv_csv_table *table, size_t row, const char *name)
{
    struct kv_error error;
    size_t column;
    assert_ok(kv_csv_column(table, name, &column, &error), error);
    return kv_csv_text(table, row, column);
}

static struct csv_row read_row(const struct kv_csv_table *table, size_t row)
{
    return (struct csv_row){
        .step = number_in(table, row, "step"),
        .layer = number_in(table, row, "layer"),
        .head = number_in(table, row, "head"),
        .position = number_in(table, row, "position"),
        .dimension = number_in(table, row, "dimension"),
        .value = number_in(table, row, "value"),
        .token = number_in(table, row, "token"),
        .kind = text_in(table, row, "kind"),
        .text = text_in(table, row, "text"),
    };
}

/* Where a row of that kind is counted, and what number it should have. */
static double expected_value(const struct recording *r, const struct csv_row *row, int kind, int *place, int *column)
{
    const int layer = (int)row->layer, head = (int)row->head, position = (int)row->position;
    const int step = (int)row->step, newest = r->n_prompt + step - 2;
    assert_in_range(step, 1, N_NEW);
    assert_in_range(position, 0, newest);
    assert_true(r->layer < 0 || layer == r->layer);
    assert_true(r->head < 0 || head == r->head);
    if (kind == ATTENTION) {
        assert_true(isnan(row->dimension));
        *place = (r->layer < 0 ? layer : head) * MOST_POSITIONS + step;
        *column = position;
        return plain_weight(&r->plain, layer, head, newest, position);
    }
    /* the step that computed it: the first for the whole prompt, but only its last query is looked at */
    assert_int_equal(position, kind == QUERY || step > 1 ? newest : position);
    assert_true(step > 1 || position < r->n_prompt);
    *place = position;
    *column = (int)row->dimension;
    return plain_vector(&r->plain, (enum plain_part)kind, layer, head, position, *column);
}

static void check_number(struct recording *r, const struct csv_row *row, int kind)
{
    int place, column;
    const double expected = expected_value(r, row, kind, &place, &column);
    if (!(fabs(row->value - expected) <= bound))
        fail_msg("%s of step %g, position %g: %.9g instead of %.9g", kinds[kind], row->step, row->position, row->value,
                 expected);
    assert_int_equal((int)row->token, r->c.greedy[(int)row->position]);
    assert_false(r->seen[kind][place][column]);
    r->seen[kind][place][column] = true;
    r->n_seen[kind]++;
}

static void check_token(const struct recording *r, const struct csv_row *row, int n)
{
    char id[16];
    assert_int_equal((int)row->position, n);
    assert_int_equal((int)row->step, n < r->n_prompt ? 0 : n - r->n_prompt + 1);
    assert_int_equal((int)row->token, r->c.greedy[n]);
    snprintf(id, sizeof id, "%d", r->c.greedy[n]);
    assert_string_equal(row->text, id);
}

/* Every row is right and none is missing; `n_panels` heads or layers. */
static void check_csv(struct recording *r, const char *file, int n_panels)
{
    struct kv_csv_table *table;
    struct kv_error error;
    int n_tokens = 0;
    assert_ok(kv_csv_read(&table, file, &error), error);
    for (size_t i = 0; i < kv_csv_rows(table); i++) {
        const struct csv_row row = read_row(table, i);
        if (i == 0 || i == 1) {
            assert_string_equal(row.kind, i ? "weights" : "model");
            assert_string_equal(row.text, i ? "F32" : r->c.folder);
        } else if (strcmp(row.kind, "token") == 0) {
            check_token(r, &row, n_tokens++);
        } else {
            int kind = 0;
            while (kind < ATTENTION && strcmp(row.kind, kinds[kind]) != 0)
                kind++;
            assert_string_equal(row.kind, kinds[kind]);
            check_number(r, &row, kind);
        }
    }
    kv_csv_free(table);
    const int size = n_panels == 1 ? r->plain.head_size : 0;
    assert_int_equal(n_tokens, r->n_positions + 1);
    assert_int_equal(r->n_seen[QUERY], N_NEW * size);
    assert_int_equal(r->n_seen[KEY], r->n_positions * size);
    assert_int_equal(r->n_seen[VALUE], r->n_positions * size);
    assert_int_equal(r->n_seen[ATTENTION], n_panels * N_NEW * (r->n_prompt + r->n_positions) / 2);
}

/* Records with two more arguments, to d.csv. */
static void record(struct cli *cli, const struct recording *r, const char *option, const char *value, const char *other,
                   const char *other_value)
{
    char *prompt = ids_text(r->c.tokens, 1, r->c.n_tokens, r->c.n_tokens);
    RUN(cli, "dashboard", "--model", r->c.folder, "--tokens", prompt, "-n", "6", "--out", "d.gif", option, value, other,
        other_value);
    free(prompt);
    assert_exit(cli, 0);
    assert_string_equal(cli->out, "d.csv\n");
    assert_string_equal(cli->err, "");
    assert_int_equal(cli_count_entries(cli), 1);
}

static void test_one_head(void **state)
{
    struct cli *cli = *state;
    static struct recording r;
    char file[CLI_PATH_SIZE];
    open_recording(&r, 0, 1);
    record(cli, &r, "--layer", "0", "--head", "1");
    cli_path(cli, "d.csv", file);
    check_csv(&r, file, 1);
    close_recording(&r);
}

static void test_all_heads(void **state)
{
    struct cli *cli = *state;
    static struct recording r;
    char file[CLI_PATH_SIZE];
    open_recording(&r, 1, -1);
    record(cli, &r, "--layer", "1", "--heads", "all");
    cli_path(cli, "d.csv", file);
    check_csv(&r, file, 2);
    close_recording(&r);
}

static void test_all_layers(void **state)
{
    struct cli *cli = *state;
    static struct recording r;
    char file[CLI_PATH_SIZE];
    open_recording(&r, -1, 1);
    record(cli, &r, "--layers", "all", "--head", "1");
    cli_path(cli, "d.csv", file);
    check_csv(&r, file, 2);
    close_recording(&r);
}

#define TINY KV_DATA_DIR "/reference/tiny-f32"

static void test_defaults(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "dashboard", "--model", TINY);
    assert_exit(cli, 0);
    assert_string_equal(cli->out, "kv_dashboard_l1_h0.csv\n");
    assert_string_equal(cli->err, "");
    RUN(cli, "dashboard", "--model", TINY, "--heads", "all", "--layer", "0");
    assert_string_equal(cli->out, "kv_dashboard_l0_hall.csv\n");
    RUN(cli, "dashboard", "--model", TINY, "--layers", "all");
    assert_string_equal(cli->out, "kv_dashboard_lall_h0.csv\n");
    assert_string_equal(cli->err, "");
}

static void test_window_end(void **state)
{
    struct cli *cli = *state;
    RUN(cli, "dashboard", "--model", TINY, "--layer", "0", "--tokens", "1,2,3", "-n", "100");
    assert_exit(cli, 0);
    assert_int_equal(count_lines(cli->err, "warning: 62 of 100 new tokens are shown"), 1);
    struct kv_csv_table *table;
    struct kv_error error;
    char file[CLI_PATH_SIZE];
    cli_path(cli, "kv_dashboard_l0_h0.csv", file);
    assert_ok(kv_csv_read(&table, file, &error), error);
    assert_int_equal((int)number_in(table, kv_csv_rows(table) - 1, "position"), 63);
    kv_csv_free(table);
}

/* Text in, and texts for labels; of synthetic GPT-2, so what is generated does not matter here. */
static void test_text(void **state)
{
    struct cli *cli = *state;
    char file[CLI_PATH_SIZE];
    RUN(cli, "dashboard", "--model", "gpt2", "--synthetic", "--prompt", " vibe coding!\n\xc3\xa9", "-n", "1", "--heads",
        "all", "--out", "d.gif");
    assert_exit(cli, 0);
    cli_path(cli, "d.csv", file);
    char *text = read_text(file);
    assert_non_null(strstr(text, "\n0,token,,,0,,,27426,\xc2\xb7vibe\n"));
    assert_non_null(strstr(text, "\n0,token,,,2,,,0,!\n"));
    assert_non_null(strstr(text, "\n0,token,,,3,,,198,\xe2\x86\xb5\n"));
    assert_non_null(strstr(text, "\n0,token,,,4,,,2634,2634\n")); /* what is not ASCII is shown by its id */
    free(text);
}

/* With no option at all: the model that comes along, byte by byte. */
static void test_embedded_model(void **state)
{
    static const char prompt[] = " vibe coding to learn kv cache.";
    struct cli *cli = *state;
    char file[CLI_PATH_SIZE], line[64];
    RUN(cli, "dashboard");
    assert_exit(cli, 0);
    assert_string_equal(cli->out, "kv_dashboard_l2_h0.csv\n");
    assert_string_equal(cli->err, "");
    cli_path(cli, "kv_dashboard_l2_h0.csv", file);
    char *text = read_text(file);
    assert_non_null(strstr(text, "\n,model,,,,,,,kjv\n"));
    for (int i = 0; prompt[i]; i++) {
        const char as_label[2] = {prompt[i], '\0'};
        snprintf(line, sizeof line, "\n0,token,,,%d,,,%d,%s\n", i, prompt[i],
                 prompt[i] == ' ' ? "\xe2\x90\xa3" : as_label);
        assert_non_null(strstr(text, line));
    }
    free(text);
}

#define EIGHT_IDS   "1,2,3,4,5,6,7,8,"
#define LONG_PROMPT EIGHT_IDS EIGHT_IDS EIGHT_IDS EIGHT_IDS EIGHT_IDS EIGHT_IDS EIGHT_IDS EIGHT_IDS "9"

static void test_refusals(void **state)
{
    struct cli *cli = *state;
    static const struct {
        const char *option, *value, *other, *other_value;
        int status;
        const char *message;
    } cases[] = {
        {"--prompt", "some text", "--tokens", "1,2", 2, "exclude each other"},
        {"--layer", "0", "--prompt", "some text", 1, "vocab_size"},
        {"--layer", "0", "--tokens", LONG_PROMPT, 2, "--tokens: 65 tokens are more than the model's window of 64"},
        {"--layer", "2", NULL, NULL, 2, "--layer 2 is not in 0..1"},
        {"--head", "2", NULL, NULL, 2, "--head 2 is not in 0..1"},
        {"--heads", "all", "--layers", "all", 2, "exclude each other"},
        {"--heads", "all", "--head", "1", 2, "exclude each other"},
        {"--layers", "all", "--layer", "1", 2, "exclude each other"},
        {"--heads", "some", NULL, NULL, 2, "'some' is not one of all"},
        {"--out", "picture.png", NULL, NULL, 2, "does not end in .gif"},
        {"--tokens", "1,2;3,4", NULL, NULL, 2, "2 sequences"},
        {"--new", "0", NULL, NULL, 2, "whole number of 1 to"},
        {"--layer", "0", "--tokens", "1,97", 1, "97 is not in 0..96"},
        {"--layer", "0", "--out", "no-folder/d.gif", 1, "no-folder/d.csv"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        RUN(cli, "dashboard", "--model", TINY, cases[i].option, cases[i].value, cases[i].other, cases[i].other_value);
        assert_complaint(cli, cases[i].status, cases[i].message);
        assert_int_equal(cli_count_entries(cli), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLI_TEST(test_one_head),   CLI_TEST(test_all_heads), CLI_TEST(test_all_layers),     CLI_TEST(test_defaults),
        CLI_TEST(test_window_end), CLI_TEST(test_text),      CLI_TEST(test_embedded_model), CLI_TEST(test_refusals),
    };
    return cmocka_run_group_tests_name("dashboard", tests, NULL, NULL);
}
